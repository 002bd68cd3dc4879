//! One rule is taken out at a time, and the checker finds what it was good for.

use incarnation_model::design::{Bounds, Design, Fault, Restore};
use incarnation_model::laws::Broken;

use crate::check::check;
use crate::holds::stock_of_two_at_once;

/// Without the rule, this is broken within these bounds.
#[track_caller]
fn found(fault: Fault, bounds: Bounds, wanted: Broken) {
    let design = Design { without: Some(fault), ..Design::default() };
    let (broken, story) = check(design, bounds).expect_err("the fault is not found");
    println!("{fault:?}: {broken:?}\n{story}");
    assert_eq!(broken, wanted, "{story}");
}

const fn catalogue(restore: Restore) -> Bounds {
    Bounds { changes: 2, cuts: 1, ..Bounds::one(restore) }
}

const fn entries(restore: Restore) -> Bounds {
    Bounds { taps: [1, 1], cuts: 1, ..Bounds::one(restore) }
}

const fn stock(restore: Restore) -> Bounds {
    Bounds { wants: [1, 1], cuts: 1, closings: 1, ..Bounds::one(restore) }
}

const fn requests(restore: Restore) -> Bounds {
    Bounds { requests: [true, true], cuts: 1, ..Bounds::one(restore) }
}

#[test]
fn numbers_are_compared_without_their_runs() {
    found(Fault::RunIgnored, catalogue(Restore::Database), Broken::Items);
    found(Fault::RunIgnored, entries(Restore::Database), Broken::Entries);
}

#[test]
fn a_hub_that_knows_of_the_restore_grants_at_once() {
    let strict = Design { without: Some(Fault::NothingHeld), strict: true, ..Design::default() };
    let bounds = Bounds { wants: [1, 1], ..Bounds::one(Restore::Machine) };
    assert_eq!(check(strict, bounds).unwrap_err().0, Broken::UnitTwice);
    check(Design { without: None, ..strict }, bounds).unwrap();
}

#[test]
fn a_desk_does_not_name_what_it_took() {
    found(Fault::NoAgain, catalogue(Restore::Database), Broken::Items);
}

#[test]
fn a_desk_moves_its_cursor_before_the_end_of_what_is_said_again() {
    found(Fault::CursorMovedEarly, catalogue(Restore::Database), Broken::Items);
}

#[test]
fn a_hub_does_not_ask_for_entries_that_it_had_acknowledged() {
    found(Fault::AcknowledgementsKept, entries(Restore::Database), Broken::Entries);
}

#[test]
fn the_deny_list_is_kept_under_the_cursor() {
    found(Fault::DenyListUnstamped, catalogue(Restore::Database), Broken::Items);
}

#[test]
fn a_number_is_noted_behind_what_came_with_it() {
    found(Fault::NotedLate, catalogue(Restore::Database), Broken::Items);
}

#[test]
fn entries_are_acknowledged_before_they_are_numbered() {
    found(Fault::AcknowledgedUnnumbered, entries(Restore::Database), Broken::Entries);
}

#[test]
fn grants_answers_closings_and_notices_take_no_number() {
    found(Fault::GrantsUnnumbered, stock(Restore::WholeFolder), Broken::Grants);
    found(Fault::AnswersUnnumbered, requests(Restore::Database), Broken::Requests);
    found(Fault::ClosingsUnnumbered, stock(Restore::Database), Broken::Grants);
    let revocation = Bounds { revocation: true, ..Bounds::one(Restore::WholeFolder) };
    found(Fault::RevocationsUnnumbered, revocation, Broken::RevokedForgotten);
}

#[test]
fn pass_ids_count_on() {
    found(Fault::IdsCountOn, requests(Restore::WholeFolder), Broken::OtherPass);
}

#[test]
fn a_request_that_is_done_again_makes_another_pass() {
    found(Fault::RequestsRenamed, requests(Restore::Database), Broken::OtherPass);
}

#[test]
fn a_desk_that_lost_nothing_is_not_asked_for_its_stock() {
    found(Fault::AskedByPairsOnly, catalogue(Restore::Database), Broken::StillHeld);
}

#[test]
fn new_pairs_hide_the_lost_ones() {
    found(Fault::PairsNotedEarly, catalogue(Restore::Database), Broken::Items);
}

#[test]
fn a_running_hub_does_not_see_its_counter_go_back() {
    found(Fault::OwnRunOnly, catalogue(Restore::UnderRunningHub), Broken::Items);
}

#[test]
fn only_numbering_looks_whether_the_database_was_replaced() {
    found(Fault::WritesUnguarded, stock(Restore::UnderRunningHub), Broken::UnitTwice);
    found(Fault::WritesUnguarded, entries(Restore::UnderRunningHub), Broken::Entries);
}

#[test]
fn sessions_outlive_the_database_they_began_with() {
    found(Fault::SessionsGoOn, catalogue(Restore::UnderRunningHub), Broken::Misled);
}

#[test]
fn a_machine_that_slept_does_not_notice() {
    found(Fault::ClockUnwatched, catalogue(Restore::Machine), Broken::Items);
}

#[test]
fn a_grant_that_a_desk_does_not_state_stays_active() {
    found(Fault::StatementOnlyAdds, stock(Restore::Database), Broken::Grants);
}

#[test]
fn a_stated_unit_is_refused_while_another_desk_is_on_hold() {
    found(Fault::OverlapRefused, stock(Restore::WholeFolder), Broken::Grants);
}

#[test]
fn a_grant_on_its_way_back_is_stated_as_held() {
    found(Fault::ClosingStatedAsHeld, stock_of_two_at_once(), Broken::Grants);
}

#[test]
fn what_is_said_again_has_no_number_of_its_own() {
    let twice = Bounds { changes: 2, restores: 2, ..Bounds::one(Restore::Database) };
    found(Fault::AgainUnnumbered, twice, Broken::Items);
    found(Fault::AgainStampedLow, twice, Broken::Items);
}
