//! What can be the matter with the hub, for its operators. Other tests cause it; each row names its test.

/// One trouble of the hub.
pub struct HubRow {
    pub trouble: &'static str,
    /// How the test causes it.
    pub how: &'static str,
    pub file: &'static str,
    pub test: &'static str,
    /// What operators read, and where.
    pub said: &'static str,
    /// What goes on working.
    pub meanwhile: &'static str,
    /// How it ends.
    pub ends: &'static str,
}

/// All troubles of the hub.
pub const HUB_ROWS: [HubRow; 9] = [
    HubRow {
        trouble: "its disk is full",
        how: "a small disk is filled",
        file: "tests/tests/operations/disk.rs",
        test: "a_hub_whose_disk_was_full_goes_on_by_itself_and_nothing_is_lost_or_doubled",
        said: "`stempel-hub status`: `disk: nothing can be stored, for its disk is full`; desks: `cannot-store`",
        meanwhile: "desks record; entries wait there",
        ends: "by itself within some 6 seconds, when there is 1 MiB of room",
    },
    HubRow {
        trouble: "its disk is read-only",
        how: "a read-only mount over its folder",
        file: "tests/tests/operations/disk.rs",
        test: "a_hub_whose_disk_was_read_only_for_a_while_goes_on_by_itself",
        said: "the same, `read-only`",
        meanwhile: "the same",
        ends: "by itself, when it can be written",
    },
    HubRow {
        trouble: "it was restored from an older copy",
        how: "`hub.db` is replaced",
        file: "tests/tests/operations/told.rs",
        test: "a_hub_that_was_restored_is_sent_again_what_it_lost_and_everybody_is_told",
        said: "`stempel-hub status`: which desk sent how many entries again; `device list --json`: `sentAgain`",
        meanwhile: "everything",
        ends: "it is a note",
    },
    HubRow {
        trouble: "a desk's folder was copied",
        how: "`cp -a` of the folder, both run",
        file: "tests/tests/operations/told.rs",
        test: "a_copied_desk_is_noticed_and_both_copies_go_on",
        said: "`stempel-hub status`, `device list`: `used twice since …`",
        meanwhile: "both record and send",
        ends: "a day after it was last seen: enrol one of them anew",
    },
    HubRow {
        trouble: "one of its tasks failed",
        how: "a task that panics",
        file: "service/src/tasks.rs",
        test: "a_task_that_panics_or_fails_is_started_again_and_counted",
        said: "`stempel-hub status`: `task … failed … times`",
        meanwhile: "the other tasks; it is started again",
        ends: "when it runs again",
    },
    HubRow {
        trouble: "its clock is wrong, say three desks or more",
        how: "its clock is put forward",
        file: "tests/tests/hub_clock.rs",
        test: "three_desks_outvote_a_hub_that_starts_two_days_ahead",
        said: "`stempel-hub status`, `clock show`: `IN DOUBT`; `device list`: `The hub's own clock is in doubt`",
        meanwhile: "everything; desks go by their own clocks; receipts are dated by what most desks say",
        ends: "when the clock is right, or `stempel-hub clock trust`",
    },
    HubRow {
        trouble: "its clock is before its newest receipt",
        how: "its clock is put back",
        file: "hub/src/clock/tests.rs",
        test: "a_clock_before_the_newest_receipt_is_in_doubt_and_receipts_do_not_go_back",
        said: "the same",
        meanwhile: "everything; entries count when they say",
        ends: "when time has passed, three desks agree, or `stempel-hub clock trust`",
    },
    HubRow {
        trouble: "a desk's clock is wrong",
        how: "a desk dates ahead while it is offline",
        file: "tests/tests/hub_clock.rs",
        test: "what_a_desk_dates_ahead_while_offline_counts_once_that_day_and_on_no_later_one",
        said: "the column CLOCK of `device list`",
        meanwhile: "everything; its entries count when the hub receives them",
        ends: "when the desk's clock is right",
    },
    HubRow {
        trouble: "its log cannot be written",
        how: "standard error on a full disk, closed, or a pipe that nobody reads",
        file: "tests/tests/operations/log.rs",
        test: "whatever_becomes_of_its_log_a_hub_takes_entries_and_ends",
        said: "in the log: a line with the number of lines that were lost, as soon as lines are taken again",
        meanwhile: "everything",
        ends: "when lines are taken",
    },
];
