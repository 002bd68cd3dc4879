use proptest::prelude::*;

use super::*;
use crate::entry::Subject;
use crate::ids::PassId;
use crate::samples::{NOON, desk, ledger_id, some_entries};
use crate::time::UnixMillis;

/// One check-in a day at activities 1 and 2, three a week at activity 3; one redemption ever.
struct SampleLimits;

impl Limits for SampleLimits {
    fn checkin_limit(&self, activity: ActivityId) -> Option<PeriodLimit> {
        Some(match activity.0 {
            1 | 2 => PeriodLimit { volume: 1, period_type: PeriodType::Day },
            _ => PeriodLimit { volume: 3, period_type: PeriodType::Week },
        })
    }
    fn redeem_constraint(&self, _: RewardId) -> Option<PeriodLimit> {
        Some(PeriodLimit { volume: 1, period_type: PeriodType::Absolute })
    }
}

fn calendar() -> Calendar {
    Calendar::of("Europe/Brussels").unwrap()
}

fn folded(opening: &Account, entries: Vec<Placed>) -> FoldedAccount {
    fold(opening, entries, &SampleLimits, &calendar())
}

/// Entries of one pass, placed in the lists of four desks.
fn placed(entries: &[(u8, Entry)]) -> Vec<Placed> {
    let mut next = [0u64; 4];
    entries
        .iter()
        .map(|(n, entry)| {
            let index = next[usize::from(*n)];
            next[usize::from(*n)] += 1;
            Placed {
                venue: ledger_id().venue,
                place: EntryRef { day: ledger_id().day, writer: desk(*n), index },
                entry: Entry { subject: Subject::Pass(PassId(1)), ..*entry },
                included: false,
            }
        })
        .collect()
}

fn at(n: u8, index: u64, minutes: i64, fact: Fact) -> Placed {
    let entry = Entry { at: UnixMillis(NOON + minutes * 60_000), subject: Subject::Pass(PassId(1)), fact };
    let place = EntryRef { day: ledger_id().day, writer: desk(n), index };
    Placed { venue: ledger_id().venue, place, entry, included: false }
}

fn check_in(points: u32) -> Fact {
    Fact::CheckIn { activity: ActivityId(1), points }
}

fn earned_before(points: u64) -> Account {
    Account { earned: points, ..Account::default() }
}

/// Invariant 4.
#[test]
fn a_limit_of_one_a_day_counts_once_across_desks() {
    let entries = vec![at(1, 0, 5, check_in(1)), at(2, 0, 3, check_in(1)), at(3, 0, 9, check_in(1))];
    let result = folded(&Account::default(), entries);
    assert_eq!(result.account.points(), 1);
    let outcomes: Vec<_> = result.outcomes.iter().map(|(place, o)| (place.writer, *o)).collect();
    assert_eq!(
        outcomes,
        [
            (desk(2), Outcome::Counted),
            (desk(1), Outcome::OverLimit),
            (desk(3), Outcome::OverLimit)
        ],
        "the earliest counts, whichever desk it was"
    );
}

/// Invariant 6.
#[test]
fn a_redemption_after_a_partition_leaves_a_debt_that_later_points_pay() {
    let redeem = Fact::Redemption { reward: RewardId(1), points: 10 };
    let mut entries = vec![at(1, 0, 0, redeem), at(2, 0, 1, redeem)];
    let apart = folded(&earned_before(12), entries.clone());
    assert_eq!((apart.account.points(), apart.account.debt()), (0, 8));
    assert_eq!(apart.outcomes[1].1, Outcome::LeftDebt);
    entries.push(at(1, 1, 2, check_in(9)));
    let later = folded(&earned_before(12), entries);
    assert_eq!((later.account.points(), later.account.debt()), (1, 0));
}

#[test]
fn a_void_takes_back_once_and_only_at_its_own_venue() {
    let target = EntryRef { day: ledger_id().day, writer: desk(1), index: 0 };
    let void = Fact::Void { target };
    let taken = folded(
        &Account::default(),
        vec![at(1, 0, 0, check_in(3)), at(1, 1, 1, void), at(2, 0, 2, void)],
    );
    assert_eq!(taken.account.points(), 0);
    let mut elsewhere = at(2, 0, 1, void);
    elsewhere.venue = "elders".parse().unwrap();
    assert_eq!(folded(&Account::default(), vec![at(1, 0, 0, check_in(3)), elsewhere]).account.points(), 3);
}

#[test]
fn taking_back_a_check_in_makes_room_for_another() {
    let void = Fact::Void { target: EntryRef { day: ledger_id().day, writer: desk(1), index: 0 } };
    let result = folded(
        &Account::default(),
        vec![at(1, 0, 0, check_in(1)), at(1, 1, 1, void), at(1, 2, 2, check_in(1))],
    );
    assert_eq!(result.account.points(), 1);
}

#[test]
fn uses_of_periods_that_are_over_are_forgotten_and_others_kept() {
    let mut account = folded(&Account::default(), vec![at(1, 0, 0, check_in(1))]).account;
    account.forget_before("2026-11-21".parse().unwrap());
    assert_eq!(account.uses.len(), 1);
    account.forget_before("2026-11-22".parse().unwrap());
    assert_eq!(account.uses.len(), 0);
}

proptest! {
    /// Invariant 3.
    #[test]
    fn the_fold_does_not_depend_on_order_or_repetition(
        entries in prop::collection::vec((0u8..4, some_entries()), 0..30),
        order in any::<u64>(),
    ) {
        let straight = placed(&entries);
        let mut shuffled: Vec<Placed> = straight.iter().chain(&straight).cloned().collect();
        let mut state = order | 1;
        for place in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(place, usize::try_from(state >> 33).unwrap() % (place + 1));
        }
        prop_assert_eq!(folded(&earned_before(5), straight), folded(&earned_before(5), shuffled));
    }

    #[test]
    fn points_are_earned_less_spent_plus_debt(
        entries in prop::collection::vec((0u8..4, some_entries()), 0..30),
    ) {
        let account = folded(&earned_before(5), placed(&entries)).account;
        prop_assert_eq!(account.points() + account.spent, account.earned + account.debt());
    }

    /// Invariant 4.
    #[test]
    fn no_more_than_the_limit_counts_in_any_period(
        entries in prop::collection::vec((0u8..4, some_entries()), 0..40),
    ) {
        let placed = placed(&entries);
        let result = folded(&Account::default(), placed.clone());
        for activity in 1..4 {
            let counted = result.outcomes.iter().filter(|(place, outcome)| {
                let entry = placed.iter().find(|placed| placed.place == *place).unwrap().entry;
                *outcome == Outcome::Counted
                    && matches!(entry.fact, Fact::CheckIn { activity: a, .. } if a.0 == activity)
            });
            prop_assert!(counted.count() <= if activity < 3 { 1 } else { 3 });
        }
    }

    /// A desk folds what the hub does not have yet over what it has: the points are the same as if
    /// all had been folded at once, whatever the hub had.
    #[test]
    fn folding_in_two_steps_gives_the_same_points(
        entries in prop::collection::vec((0u8..4, some_entries()), 0..30),
        had in prop::collection::vec(0u64..12, 4),
    ) {
        let all = placed(&entries);
        let whole = folded(&earned_before(50), all.clone()).account;
        let is_in = |p: &Placed| {
            (0u8..4).any(|n| desk(n) == p.place.writer && p.place.index < had[usize::from(n)])
        };
        let first = folded(&earned_before(50), all.iter().filter(|p| is_in(p)).cloned().collect());
        let second = all.into_iter().map(|p| { let included = is_in(&p); Placed { included, ..p } });
        let both = folded(&first.account, second.collect()).account;
        prop_assert_eq!((both.points(), both.debt(), both.visits), (whole.points(), whole.debt(), whole.visits));
        prop_assert_eq!(both.uses, whole.uses);
    }
}
