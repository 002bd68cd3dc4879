//! The table.

use std::pin::Pin;

use desk_api::types::{HubLink, ProblemKind, Trouble};

use crate::causes::{self, World};

/// What is done to the world.
pub type Step = for<'a> fn(&'a mut World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Where the status says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    Disk(Trouble),
    PassList(Trouble),
    Clock(Trouble),
    Beside(Trouble),
    Hub(HubLink),
}

/// How a test causes it.
#[derive(Clone, Copy)]
pub enum Caused {
    /// By this test.
    Here { how: &'static str, cause: Step, cure: Step },
    /// By another one: no user of real programs can cause it at will.
    In { how: &'static str, file: &'static str, test: &'static str },
}

/// What the desk does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoesOn {
    /// Everything is recorded.
    Recording,
    /// Known passes are recorded; others are asked about, and nobody is stopped for that.
    KnownPasses,
    /// Nothing is recorded, and whoever taps is told so by this problem.
    Nothing(ProblemKind),
}

/// One trouble.
#[derive(Clone)]
pub struct Row {
    /// Its name in the desk API.
    pub name: &'static str,
    /// What the status says: an example of it.
    pub shown: Shown,
    pub caused: Caused,
    pub goes_on: GoesOn,
    /// What goes on working, for people.
    pub meanwhile: &'static str,
    /// How it ends, for people.
    pub ends: &'static str,
    /// Once it has ended, the desk is linked and nothing waits.
    pub ends_well: bool,
}

/// The place of a trouble's row: whoever adds a trouble adds it here, and a row below.
pub fn name(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::DiskFull => "disk-full",
        Trouble::DiskQuota => "disk-quota",
        Trouble::DiskReadOnly => "disk-read-only",
        Trouble::DiskFails => "disk-fails",
        Trouble::LedgerLacking => "ledger-lacking",
        Trouble::LedgerEndCut => "ledger-end-cut",
        Trouble::LedgerMended { .. } => "ledger-mended",
        Trouble::LedgerDamaged { .. } => "ledger-damaged",
        Trouble::LedgerWrittenAgain { .. } => "ledger-written-again",
        Trouble::NameUsedTwice => "name-used-twice",
        Trouble::FolderOlder { .. } => "folder-older",
        Trouble::UnitsLimited { .. } => "units-limited",
        Trouble::PassListDamaged { .. } => "pass-list-damaged",
        Trouble::PassListOfEarlierVersion { .. } => "pass-list-of-earlier-version",
        Trouble::PassListLacking => "pass-list-lacking",
        Trouble::PassListClosed { .. } => "pass-list-closed",
        Trouble::ClockOff { .. } => "clock-off",
        Trouble::ClockImplausible { .. } => "clock-implausible",
        Trouble::ClockJumped { .. } => "clock-jumped",
        Trouble::HubClockOff { .. } => "hub-clock-off",
        Trouble::HubRestored { .. } => "hub-restored",
        Trouble::PartRestarted { .. } => "part-restarted",
        Trouble::PartFails { .. } => "part-fails",
        Trouble::SocketGone { .. } => "socket-gone",
    }
}

/// The name of a link that does not stand.
pub fn link_name(link: &HubLink) -> Option<&'static str> {
    match link {
        HubLink::Connected => None,
        HubLink::Offline { .. } => Some("offline"),
        HubLink::CannotStore { .. } => Some("cannot-store"),
        HubLink::Refused { .. } => Some("refused"),
    }
}

impl Row {
    fn of(shown: Shown, caused: Caused) -> Self {
        let name = match &shown {
            Shown::Disk(it) | Shown::PassList(it) | Shown::Clock(it) | Shown::Beside(it) => {
                name(it)
            }
            Shown::Hub(link) => link_name(link).expect("a link that stands is no trouble"),
        };
        let goes_on = GoesOn::Recording;
        Self { name, shown, caused, goes_on, meanwhile: "everything", ends: "", ends_well: true }
    }
}

macro_rules! here {
    ($how:literal, $cause:ident, $cure:ident) => {
        Caused::Here {
            how: $how,
            cause: |world| Box::pin(causes::$cause(world)),
            cure: |world| Box::pin(causes::$cure(world)),
        }
    };
}

fn elsewhere(how: &'static str, file: &'static str, test: &'static str) -> Caused {
    Caused::In { how, file, test }
}

/// All troubles of a desk, in the order in which they are walked through.
pub fn rows() -> Vec<Row> {
    let why = || String::new();
    vec![
        Row {
            meanwhile: "everything; entries wait",
            ends: "by itself, when the hub can be reached",
            ..Row::of(
                Shown::Hub(HubLink::Offline { why: why() }),
                here!("the hub is stopped", stop_hub, start_hub),
            )
        },
        Row {
            meanwhile: "everything; entries wait",
            ends: "by itself, when the hub has room again or its disk can be written",
            ..Row::of(
                Shown::Hub(HubLink::CannotStore { why: why() }),
                here!("the hub's disk is filled", fill_hub, make_room_at_hub),
            )
        },
        Row {
            goes_on: GoesOn::Nothing(ProblemKind::DiskFull),
            meanwhile: "prices, points and names are shown; what was recorded is sent. Taps are refused",
            ends: "by itself within seconds, when there is room",
            ..Row::of(
                Shown::Disk(Trouble::DiskFull),
                here!("the desk's disk is filled", fill_desk, make_room_at_desk),
            )
        },
        Row {
            goes_on: GoesOn::Nothing(ProblemKind::DiskFull),
            meanwhile: "as with a full disk",
            ends: "by itself, when the quota has room",
            ..Row::of(
                Shown::Disk(Trouble::DiskQuota),
                elsewhere(
                    "the system's error EDQUOT",
                    "syncd/src/disk.rs",
                    "each_kind_of_trouble_is_told_by_number_kind_and_text",
                ),
            )
        },
        Row {
            goes_on: GoesOn::Nothing(ProblemKind::DiskReadOnly),
            meanwhile: "as with a full disk",
            ends: "by itself, when the disk can be written",
            ..Row::of(
                Shown::Disk(Trouble::DiskReadOnly),
                here!(
                    "the desk starts on a disk that is mounted read-only",
                    make_read_only,
                    make_writable
                ),
            )
        },
        Row {
            goes_on: GoesOn::Nothing(ProblemKind::Disk),
            meanwhile: "as with a full disk",
            ends: "by itself, when the disk takes what is written",
            ..Row::of(
                Shown::Disk(Trouble::DiskFails),
                here!(
                    "a folder lies where a ledger file belongs",
                    put_a_folder_in_the_way,
                    take_it_away
                ),
            )
        },
        Row {
            ends: "after a quarter of an hour, or at the next start",
            ..Row::of(
                Shown::Disk(Trouble::LedgerEndCut),
                here!("the last 7 bytes of a ledger file are cut off", cut_the_end, start_again),
            )
        },
        Row {
            ends: "after a quarter of an hour, or at the next start",
            ..Row::of(
                Shown::Disk(Trouble::LedgerMended { entries: 1 }),
                here!("one bit of a ledger file is flipped", flip_a_bit, start_again),
            )
        },
        Row {
            meanwhile: "everything but limited rewards",
            ends: "when the hub has sent what it has; what is lost is shown until the next start",
            ..Row::of(
                Shown::Disk(Trouble::LedgerDamaged { saved: 2, lost: 1 }),
                here!(
                    "an entry in the middle of a ledger file is filled with zeroes, without a hub",
                    fill_an_entry_with_zeroes,
                    start_hub
                ),
            )
        },
        Row {
            meanwhile: "everything but limited rewards",
            ends: "when the hub has sent what it has",
            ..Row::of(
                Shown::Disk(Trouble::LedgerLacking),
                here!(
                    "a ledger file is put back to what it was before its last entry, without a hub",
                    put_a_file_back,
                    start_hub
                ),
            )
        },
        Row {
            ends: "after a quarter of an hour, or at the next start",
            ..Row::of(
                Shown::Disk(Trouble::LedgerWrittenAgain { entries: 3 }),
                here!(
                    "a ledger file is removed under the running daemon",
                    remove_a_file,
                    start_again
                ),
            )
        },
        Row {
            goes_on: GoesOn::KnownPasses,
            meanwhile: "everything with the passes that prove whole; others are unknown; blocked cards stay blocked",
            ends: "when the hub has sent the whole list again",
            ..Row::of(
                Shown::PassList(Trouble::PassListDamaged {
                    detail: why(),
                    passes: 1_058,
                    of: 2_000,
                }),
                here!("the store is cut in half, without a hub", cut_the_store_in_half, start_hub),
            )
        },
        Row {
            goes_on: GoesOn::KnownPasses,
            meanwhile: "cards are unknown: taken provisionally where the policy allows",
            ends: "when the hub has sent the list",
            ..Row::of(
                Shown::PassList(Trouble::PassListLacking),
                here!("the store is removed while the desk is off", remove_the_store, start_hub),
            )
        },
        Row {
            meanwhile: "everything with the old list",
            ends: "when the hub has sent the list",
            ..Row::of(
                Shown::PassList(Trouble::PassListOfEarlierVersion { passes: 2_000 }),
                elsewhere(
                    "a store with another version number",
                    "syncd/src/store/tests.rs",
                    "the_list_of_an_earlier_version_is_used_until_the_hub_has_sent_another",
                ),
            )
        },
        Row {
            meanwhile: "cards are unknown: taken provisionally where the policy allows",
            ends: "by itself, when the store can be opened",
            ..Row::of(
                Shown::PassList(Trouble::PassListClosed { detail: why() }),
                elsewhere(
                    "the disk is full when the daemon starts",
                    "tests/tests/full_disk.rs",
                    "a_desk_that_starts_on_a_full_disk_has_its_passes_when_there_is_room_without_a_hub",
                ),
            )
        },
        Row {
            meanwhile: "everything, dated by the hub's clock",
            ends: "by itself within seconds, when the clock is right",
            ..Row::of(
                Shown::Clock(Trouble::ClockOff { minutes: 180, ahead: true }),
                here!("the clock is put forward by 3 hours", put_forward, put_right),
            )
        },
        Row {
            meanwhile: "everything, dated on from the last time that the desk knows",
            ends: "when the hub is reached, or the clock is right",
            ..Row::of(
                Shown::Clock(Trouble::ClockImplausible { ahead: false }),
                here!(
                    "the desk starts with a clock of 1970, without a hub",
                    start_in_1970,
                    put_right_and_start_hub
                ),
            )
        },
        Row {
            meanwhile: "everything, dated by this computer's clock",
            ends: "when the hub is reached, or the clock is put back",
            ..Row::of(
                Shown::Clock(Trouble::ClockJumped { minutes: 2 * 24 * 60, ahead: true }),
                here!(
                    "the clock is put forward by 2 days, without a hub since the start",
                    jump_without_a_hub,
                    put_right_and_start_hub
                ),
            )
        },
        Row {
            meanwhile: "everything, dated by this computer's clock",
            ends: "by itself within seconds, when the hub's clock is right",
            ..Row::of(
                Shown::Clock(Trouble::HubClockOff { minutes: 2 * 24 * 60, ahead: true }),
                here!(
                    "the hub's clock is put forward by 2 days",
                    put_the_hub_forward,
                    put_the_hub_right
                ),
            )
        },
        Row {
            ends: "when the path is free again",
            ..Row::of(
                Shown::Beside(Trouble::SocketGone { detail: why() }),
                elsewhere(
                    "a file lies where the socket was",
                    "tests/tests/operations/socket.rs",
                    "a_socket_that_is_deleted_is_made_again_and_who_is_connected_stays_so",
                ),
            )
        },
        Row {
            ends: "an hour after it last failed",
            ..Row::of(
                Shown::Beside(Trouble::PartRestarted { part: "link".to_owned() }),
                elsewhere(
                    "a task that panics",
                    "syncd/src/desk/tests.rs",
                    "a_part_of_the_daemon_that_failed_is_a_part_of_the_status",
                ),
            )
        },
        Row {
            meanwhile: "recording; what failed does not",
            ends: "when it has run for a minute",
            ..Row::of(
                Shown::Beside(Trouble::PartFails { part: "link".to_owned() }),
                elsewhere(
                    "a task that panics at each start",
                    "syncd/src/desk/tests.rs",
                    "a_part_of_the_daemon_that_failed_is_a_part_of_the_status",
                ),
            )
        },
        Row {
            ends: "when all is acknowledged again and the day is over, or at the next start",
            ..Row::of(
                Shown::Beside(Trouble::HubRestored { entries: 4 }),
                here!(
                    "the hub's database is replaced by an older copy",
                    restore_the_hub,
                    start_again
                ),
            )
        },
        Row {
            meanwhile: "both computers record and send; neither hands out limited rewards",
            ends: "a day after the other computer was last heard",
            ..Row::of(
                Shown::Beside(Trouble::NameUsedTwice),
                elsewhere(
                    "the desk's folder is copied, and both copies run",
                    "tests/tests/operations/told.rs",
                    "a_copied_desk_is_noticed_and_both_copies_go_on",
                ),
            )
        },
        Row {
            meanwhile: "everything; the units that it does not know of stay handed out",
            ends: "when the hub has sent what it knows of them, or the units were given back",
            ..Row::of(
                Shown::Beside(Trouble::FolderOlder { units: 18 }),
                elsewhere(
                    "the desk's folder is put back to what it was",
                    "tests/tests/copies.rs",
                    "an_older_copy_of_a_desk_hands_out_nothing_twice_and_says_so",
                ),
            )
        },
        Row {
            meanwhile: "everything; of limited rewards as many as the policy says",
            ends: "when the hub was heard",
            ..Row::of(
                Shown::Beside(Trouble::UnitsLimited { units: 2 }),
                elsewhere(
                    "the desk's folder is copied to another computer, without a hub",
                    "tests/tests/copies.rs",
                    "a_copy_on_another_computer_hands_out_what_the_policy_says_until_it_hears_the_hub",
                ),
            )
        },
        Row {
            meanwhile: "everything; entries wait",
            ends: "when an operator enrols the desk anew",
            ends_well: false,
            ..Row::of(
                Shown::Hub(HubLink::Refused { why: why() }),
                here!("the desk is revoked", revoke, stop_hub),
            )
        },
    ]
}
