//! What holds whatever happens: every order of all that may happen within the bounds is tried.
//!
//! The bounds keep apart what does not touch: catalogue, entries, stock, requests, revocation. Some
//! tests at the end mix them.

use incarnation_model::design::{Bounds, Design, Restore};

use crate::check::{check, holds};

const RESTORES: [Restore; 4] =
    [Restore::Database, Restore::UnderRunningHub, Restore::WholeFolder, Restore::Machine];

#[test]
fn every_change_made_since_reaches_every_desk() {
    for restore in RESTORES {
        // A cut costs states; where the journal is makes no difference to it.
        let cuts = u8::from(restore == Restore::Machine);
        holds(Design::default(), Bounds { changes: 2, cuts, ..Bounds::one(restore) });
    }
}

#[test]
fn no_entry_stays_lost_also_not_of_a_desk_that_vanished() {
    for restore in RESTORES {
        let bounds = Bounds { taps: [1, 1], cuts: 1, vanishing: true, ..Bounds::one(restore) };
        holds(Design::default(), bounds);
    }
}

#[test]
fn no_unit_is_handed_out_twice_and_the_book_is_right_in_the_end() {
    for restore in RESTORES {
        let bounds = Bounds { wants: [1, 1], closings: 1, cuts: 1, ..Bounds::one(restore) };
        holds(Design::default(), bounds);
    }
}

#[test]
fn a_request_that_was_answered_is_done_and_made_the_pass_that_was_told() {
    for restore in RESTORES {
        holds(
            Design::default(),
            Bounds { requests: [true, true], cuts: 1, ..Bounds::one(restore) },
        );
    }
}

#[test]
fn a_revoked_desk_stays_revoked_where_the_journal_or_the_other_desk_knew() {
    for restore in RESTORES {
        let bounds = Bounds { revocation: true, taps: [0, 1], cuts: 1, ..Bounds::one(restore) };
        holds(Design::default(), bounds);
    }
}

#[test]
fn runs_that_began_after_the_backup_are_lost_without_harm() {
    let changed = Bounds { changes: 1, restarts: 1, ..Bounds::one(Restore::Database) };
    holds(Design::default(), Bounds { taps: [1, 0], ..changed });
    holds(Design::default(), Bounds { restore: Restore::UnderRunningHub, ..changed });
}

#[test]
fn two_desks_at_once_are_told_the_same() {
    let both = Bounds { together: true, ..Bounds::one(Restore::UnderRunningHub) };
    holds(Design::default(), Bounds { changes: 1, ..both });
    holds(Design::default(), Bounds { taps: [1, 1], ..both });
}

#[test]
fn two_desks_at_once_share_the_stock_over_a_restart() {
    holds(Design::default(), stock_of_two_at_once());
}

pub fn stock_of_two_at_once() -> Bounds {
    let restore = Restore::WholeFolder;
    Bounds { wants: [1, 1], closings: 1, restarts: 1, together: true, ..Bounds::one(restore) }
}

#[test]
fn a_second_restore_of_the_same_backup_costs_no_more_than_the_first() {
    let twice = Bounds { restores: 2, ..Bounds::one(Restore::Database) };
    holds(Design::default(), Bounds { changes: 2, ..twice });
    holds(Design::default(), Bounds { taps: [1, 1], ..twice });
    holds(Design::default(), Bounds { wants: [1, 1], closings: 1, ..twice });
}

#[test]
fn stock_entries_and_requests_do_not_disturb_each_other() {
    let bounds = Bounds {
        wants: [1, 1],
        taps: [1, 0],
        requests: [true, false],
        ..Bounds::one(Restore::WholeFolder)
    };
    holds(Design::default(), bounds);
}

#[test]
fn requests_are_done_once_beside_restarts_a_revocation_and_a_desk_that_vanishes() {
    let bounds = Bounds {
        requests: [true, true],
        restarts: 1,
        revocation: true,
        vanishing: true,
        ..Bounds::one(Restore::Database)
    };
    holds(Design::default(), bounds);
}

/// What remains: a hub whose journal was put back together with its database cannot know, and grants
/// a unit again before the desk that has it comes. See DESIGN, invariants 5 and 12.
#[test]
fn a_hub_that_nothing_tells_of_a_restore_grants_a_unit_again() {
    let strict = Design { strict: true, ..Design::default() };
    let bounds = Bounds { wants: [1, 1], ..Bounds::one(Restore::WholeFolder) };
    check(strict, bounds).unwrap_err();
    let kept = Bounds { restore: Restore::Database, ..bounds };
    holds(strict, kept);
}

#[test]
fn a_hub_that_holds_at_every_start_never_grants_a_unit_again() {
    let careful = Design { strict: true, held_at_every_start: true, ..Design::default() };
    for restore in RESTORES {
        let bounds = Bounds { wants: [1, 1], closings: 1, cuts: 1, ..Bounds::one(restore) };
        holds(careful, bounds);
    }
}
