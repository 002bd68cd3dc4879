use proptest::prelude::*;

use super::*;
use crate::entry::Subject;
use crate::ids::PassId;
use crate::receipt::{RECEIPT_TOLERANCE, Receipt};
use crate::samples::{DAY, NOON, cases, desk, ledger_id, some_entries};
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
    fn ticket_limit(&self, _: ActivityId) -> Option<PeriodLimit> {
        Some(PeriodLimit { volume: 4, period_type: PeriodType::Week })
    }
    fn coupon_limit(&self, _: CouponId) -> Option<PeriodLimit> {
        Some(PeriodLimit { volume: 2, period_type: PeriodType::Day })
    }
    fn tickets_per_year(&self) -> Option<u32> {
        Some(20)
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
                first_place: None,
                entry: Entry { subject: Subject::Pass(PassId(1)), ..*entry },
                included: false,
                receipt: None,
            }
        })
        .collect()
}

fn at(n: u8, index: u64, minutes: i64, fact: Fact) -> Placed {
    let entry =
        Entry { at: UnixMillis(NOON + minutes * 60_000), subject: Subject::Pass(PassId(1)), fact };
    let place = EntryRef { day: ledger_id().day, writer: desk(n), index };
    Placed {
        venue: ledger_id().venue,
        place,
        first_place: None,
        entry,
        included: false,
        receipt: None,
    }
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
    let entries =
        vec![at(1, 0, 5, check_in(1)), at(2, 0, 3, check_in(1)), at(3, 0, 9, check_in(1))];
    let result = folded(&Account::default(), entries);
    assert_eq!(result.account.points(), 1);
    let outcomes: Vec<_> = result.outcomes.iter().map(|(place, o)| (place.writer, *o)).collect();
    assert_eq!(
        outcomes,
        [(desk(2), Outcome::Counted), (desk(1), Outcome::OverLimit), (desk(3), Outcome::OverLimit)],
        "the earliest counts, whichever desk it was"
    );
}

/// Invariant 6.
#[test]
fn a_redemption_after_a_partition_leaves_a_debt_that_later_points_pay() {
    let redeem = Fact::Redemption { reward: RewardId(1), points: 10, unit: None };
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
    assert_eq!(
        folded(&Account::default(), vec![at(1, 0, 0, check_in(3)), elsewhere]).account.points(),
        3
    );
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

/// The account after three folds, each from the record that the one before made: an entry is new at its step, and
/// included after it.
fn folded_in_steps(entries: &[Placed], steps: &[u8]) -> Account {
    (0..3).fold(Account::default(), |record, step| {
        let known = entries.iter().zip(steps).filter(|(_, of)| **of <= step);
        let known = known.map(|(placed, of)| Placed { included: *of < step, ..placed.clone() });
        folded(&record, known.collect()).account
    })
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
            let volume = if activity < 3 { 1 } else { 3 };
            prop_assert!(counted.count() <= volume);
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

#[test]
fn a_void_counts_for_its_own_venue_and_pass_and_for_no_void() {
    use Outcome::{Counted, Nothing, TakenBack};
    let of =
        |n, index| Fact::Void { target: EntryRef { day: ledger_id().day, writer: desk(n), index } };
    let void = |minute| at(2, 0, minute, of(1, 0));
    let of_another_pass = |mut void: Placed| {
        void.entry.subject = Subject::Pass(PassId(2));
        void
    };
    let elsewhere = Placed { venue: "elders".parse().unwrap(), ..void(1) };
    let rows = [
        ("by the desk beside it", vec![void(1)], vec![TakenBack, Counted], 0),
        ("dated before it", vec![void(-1)], vec![Counted, TakenBack], 0),
        ("at another venue", vec![elsewhere], vec![Counted, Nothing], 3),
        ("of another pass", vec![of_another_pass(void(1))], vec![Counted, Nothing], 3),
        ("of nothing", vec![at(2, 0, 1, of(1, 9))], vec![Counted, Nothing], 3),
        ("twice", vec![void(1), at(3, 0, 2, of(1, 0))], vec![TakenBack, Counted, Counted], 0),
        ("of a void", vec![void(1), at(3, 0, 2, of(2, 0))], vec![TakenBack, Counted, Nothing], 0),
    ];
    for (what, voids, outcomes, points) in rows {
        let entries = [vec![at(1, 0, 0, check_in(3))], voids].concat();
        let result = folded(&Account::default(), entries);
        let found: Vec<_> = result.outcomes.iter().map(|(_, outcome)| *outcome).collect();
        assert_eq!((found, result.account.points()), (outcomes, points), "{what}");
    }
}

/// Invariants 2 and 3: what a damaged list could not carry goes on as copies in another one.
#[test]
fn an_entry_and_its_copies_count_once_and_a_void_of_any_place_takes_all_back() {
    use Outcome::{Counted, Nothing, TakenBack};
    let itself = at(1, 5, 0, check_in(3));
    let copy_in = |list, index| Placed {
        first_place: Some(itself.place),
        place: EntryRef { writer: desk(list), index, ..itself.place },
        ..itself.clone()
    };
    let (copy, another) = (copy_in(2, 0), copy_in(3, 0));
    let void = |of: &Placed| at(0, 0, 1, Fact::Void { target: of.place });
    let rows = [
        ("a copy alone", vec![copy.clone()], 3, vec![Counted]),
        ("both", vec![copy.clone(), itself.clone()], 3, vec![Nothing, Counted]),
        ("two copies", vec![another.clone(), copy.clone()], 3, vec![Nothing, Counted]),
        (
            "the first place taken back",
            vec![copy.clone(), void(&itself)],
            0,
            vec![TakenBack, Counted],
        ),
        ("the copy taken back", vec![copy.clone(), void(&copy)], 0, vec![TakenBack, Counted]),
        (
            "both, the copy taken back",
            vec![itself.clone(), copy.clone(), void(&copy)],
            0,
            vec![Nothing, TakenBack, Counted],
        ),
    ];
    for (what, entries, points, outcomes) in rows {
        for order in [entries.clone(), entries.into_iter().rev().collect()] {
            let result = folded(&Account::default(), order);
            let found: Vec<_> = result.outcomes.iter().map(|(_, outcome)| *outcome).collect();
            assert_eq!((result.account.points(), found), (points, outcomes.clone()), "{what}");
        }
    }
    // The hub has folded the entry itself: its copy here is in the account already.
    let opening = folded(&Account::default(), vec![itself.clone()]).account;
    let known = Placed { included: true, ..itself.clone() };
    assert_eq!(folded(&opening, vec![known.clone(), copy.clone()]).account, opening);
    assert_eq!(folded(&opening, vec![known, void(&copy), copy]).account.points(), 0);
}

#[test]
fn a_void_of_an_included_entry_gives_back_only_what_had_counted() {
    let both = vec![at(1, 0, 0, check_in(1)), at(2, 0, 1, check_in(1))];
    let opening = folded(&Account::default(), both.clone()).account;
    assert_eq!((opening.earned, opening.uses[0].times), (1, 2), "one is over the limit");
    let void = Fact::Void { target: both[0].place };
    let included = |placed: &Placed| Placed { included: true, ..placed.clone() };
    let mut known: Vec<_> = both.iter().map(included).chain([at(1, 1, 2, void)]).collect();
    let account = folded(&opening, known.clone()).account;
    assert_eq!((account.earned, account.uses[0].times), (1, 1), "the other one counts instead");
    known[2].included = true;
    known.push(at(3, 0, 3, void));
    assert_eq!(folded(&account, known).account, account, "once, however many voids name it");
}

#[test]
fn a_welcome_reward_leaves_no_debt() {
    let redeem = |minute: i64, points| {
        let fact = Fact::Redemption { reward: RewardId(1), points, unit: None };
        at(1, minute.unsigned_abs(), minute, fact)
    };
    let result = folded(&Account::default(), vec![redeem(0, 3), redeem(1, 0)]);
    let outcomes: Vec<_> = result.outcomes.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(outcomes, [Outcome::LeftDebt, Outcome::Counted]);
    assert_eq!(result.account.debt(), 3);
}

#[test]
fn tickets_sold_beyond_a_limit_while_desks_were_apart_stand_and_say_so() {
    use Outcome::{Counted, OverLimit};
    let sale = |tariff, tickets| Fact::TicketSale {
        activity: ActivityId(1),
        tickets,
        tariff,
        shares: crate::money::Shares::regular(crate::money::Cents(1000)),
    };
    let coupon = TariffKind::Coupon(CouponId(1));
    let entries = vec![
        at(1, 0, 0, sale(TariffKind::Regular, 100)),
        at(1, 1, 1, sale(coupon, 2)),
        at(2, 0, 2, sale(coupon, 1)),
        at(2, 1, 3, sale(TariffKind::SocialTariff, 1)),
        at(3, 0, 4, sale(TariffKind::SocialTariff, 1)),
    ];
    let result = folded(&Account::default(), entries.clone());
    let outcomes: Vec<_> = result.outcomes.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(outcomes, [Counted, Counted, OverLimit, Counted, OverLimit]);
    let day = ledger_id().day;
    let week = PeriodType::Week.window(day);
    let year = PeriodType::Year.window(day);
    assert_eq!(result.account.times(&Limited::Ticket(ActivityId(1)), week), 5);
    assert_eq!(result.account.times(&Limited::GroupTicket, year), 2);
    let void = Fact::Void { target: entries[1].place };
    let cancelled = folded(&Account::default(), [entries, vec![at(1, 2, 5, void)]].concat());
    assert_eq!(cancelled.account.times(&Limited::Ticket(ActivityId(1)), week), 3);
}

/// Entries of one pass over ten days, at two venues: desks 0 and 2 stand at one, 1 and 3 at another.
fn several_venues() -> impl Strategy<Value = Vec<Placed>> {
    let one = (0u8..4, 0..10i64, some_entries(), prop::bool::weighted(0.05));
    prop::collection::vec(one, 0..40).prop_map(|of| {
        let moved = of.iter().map(|(n, days, entry, newer)| {
            let fact = if *newer { Fact::Newer { kind: 99 } } else { entry.fact };
            (*n, Entry { at: entry.at.plus(days * DAY), fact, ..*entry })
        });
        let mut all = placed(&moved.collect::<Vec<_>>());
        for placed in &mut all {
            if [desk(1), desk(3)].contains(&placed.place.writer) {
                placed.venue = "het-dok".parse().unwrap();
            }
        }
        all
    })
}

/// What stands, summed up by limit and window: how often, the limit's volume, points, visits.
fn sums(entries: &[Placed]) -> BTreeMap<(Limited, Window), (u64, u64, u64, u64)> {
    let stands = |target: &&Placed| {
        let void = Fact::Void { target: target.place };
        !entries.iter().any(|other| other.entry.fact == void && other.venue == target.venue)
    };
    let mut sums = BTreeMap::new();
    for placed in entries.iter().filter(stands) {
        let (of, limit, points, visits) = match placed.entry.fact {
            Fact::CheckIn { activity, points } => {
                let limit = SampleLimits.checkin_limit(activity).unwrap();
                (Limited::CheckIn(activity), limit, u64::from(points), 0)
            }
            Fact::Visit | Fact::ExternalVisit => {
                (Limited::Visit(placed.venue.clone()), VISIT_LIMIT, 0, 1)
            }
            Fact::Redemption { .. }
            | Fact::TicketSale { .. }
            | Fact::Void { .. }
            | Fact::Newer { .. } => continue,
        };
        let window = limit.period_type.window(calendar().day(placed.entry.at));
        let sum = sums.entry((of, window)).or_insert((0, u64::from(limit.volume), points, visits));
        sum.0 += 1;
    }
    sums
}

proptest! {
    #![proptest_config(cases(1024))]

    /// Invariants 3 and 4, against the rules written down as sums.
    #[test]
    fn an_account_is_the_sum_of_what_stands_up_to_the_limits(entries in several_venues()) {
        let result = folded(&Account::default(), entries.clone());
        let sums = sums(&entries);
        let earned: u64 = sums.values().map(|(n, volume, points, _)| n.min(volume) * points).sum();
        let visits: u64 = sums.values().map(|(n, volume, _, visits)| n.min(volume) * visits).sum();
        prop_assert_eq!((result.account.earned, result.account.visits), (earned, visits));
        prop_assert!(result.account.points() == 0 || result.account.debt() == 0);

        let counted = |place: &EntryRef| result.outcomes.contains(&(*place, Outcome::Counted));
        let entries: Vec<_> = entries.into_iter()
            .filter(|placed| matches!(
                placed.entry.fact,
                Fact::CheckIn { .. } | Fact::Visit | Fact::ExternalVisit
            ))
            .filter(|placed| counted(&placed.place))
            .collect();
        for (key, (n, ..)) in self::sums(&entries) {
            prop_assert_eq!(n, sums[&key].0.min(sums[&key].1), "{:?}", key);
        }
    }

    /// Invariant 3, for whoever begins from a record: whichever entries it includes, in whatever
    /// order, with voids of included entries, included voids and windows over their limit.
    #[test]
    fn folding_in_three_steps_gives_the_same_account(
        entries in several_venues(), steps in prop::collection::vec(0..3u8, 40)
    ) {
        prop_assert_eq!(folded_in_steps(&entries, &steps), folded(&Account::default(), entries).account);
    }

    /// Only entries of its own venue can be a void's target: a desk needs no others.
    #[test]
    fn a_desk_gets_by_without_the_included_entries_of_other_venues(
        entries in several_venues(), included in prop::collection::vec(any::<bool>(), 40)
    ) {
        let (record, new): (Vec<_>, Vec<_>) = entries.into_iter().zip(included).partition(|of| of.1);
        let record: Vec<_> = record.into_iter().map(|(placed, _)| placed).collect();
        let opening = folded(&Account::default(), record.clone()).account;
        let all = record.into_iter().map(|placed| Placed { included: true, ..placed })
            .chain(new.into_iter().map(|(placed, _)| placed).filter(|p| p.venue == ledger_id().venue));
        let all: Vec<_> = all.collect();
        let own = all.iter().filter(|p| p.venue == ledger_id().venue).cloned().collect();
        prop_assert_eq!(folded(&opening, own), folded(&opening, all));
    }
}

/// This entry, received so many minutes after noon.
fn received(placed: Placed, minutes: i64) -> Placed {
    let at = UnixMillis(NOON + minutes * 60_000);
    Placed { receipt: Some(Receipt { at, not_before: None }), ..placed }
}

/// Two days, in minutes.
const TWO_DAYS: i64 = 2 * 24 * 60;

#[test]
fn an_entry_of_a_desk_that_is_two_days_ahead_counts_once_on_the_day_of_its_receipt() {
    let ahead = received(at(1, 0, TWO_DAYS, check_in(1)), 5);
    let same_day = received(at(2, 0, 3, check_in(1)), 3);
    let that_day = received(at(2, 1, TWO_DAYS + 9, check_in(1)), TWO_DAYS + 9);
    let result = folded(&Account::default(), vec![that_day, ahead, same_day]);
    let outcomes: Vec<_> = result.outcomes.iter().map(|(place, o)| (place.writer, *o)).collect();
    assert_eq!(
        outcomes,
        [(desk(2), Outcome::Counted), (desk(1), Outcome::OverLimit), (desk(2), Outcome::Counted)],
        "twice that day is once, and two days later counts for itself"
    );
}

#[test]
fn an_entry_of_1970_counts_on_the_day_of_its_receipt() {
    let mut flat_battery = received(at(1, 0, 0, check_in(1)), 10);
    flat_battery.entry.at = UnixMillis(90_000);
    let result =
        folded(&Account::default(), vec![flat_battery, received(at(2, 0, 5, check_in(1)), 5)]);
    let of = Limited::CheckIn(ActivityId(1));
    assert_eq!(result.account.times(&of, PeriodType::Day.window(ledger_id().day)), 2);
    assert_eq!(result.account.points(), 1);
}

#[test]
fn where_the_hub_did_not_know_the_time_an_entry_counts_when_it_says() {
    let unknown = at(1, 0, TWO_DAYS, check_in(1));
    assert_eq!(unknown.counts_at(), unknown.entry.at);
}

/// Entries over ten days at two venues, of desks whose clocks may be days off, with their receipts.
fn received_entries() -> impl Strategy<Value = Vec<Placed>> {
    let receipt = (-3 * DAY..12 * DAY, prop::option::weighted(0.3, -3 * DAY..12 * DAY));
    let receipts = prop::collection::vec(prop::option::weighted(0.9, receipt), 40);
    (several_venues(), receipts).prop_map(|(mut entries, receipts)| {
        for (placed, receipt) in entries.iter_mut().zip(receipts) {
            placed.receipt = receipt.map(|(at, not_before)| Receipt {
                at: UnixMillis(NOON + at),
                not_before: not_before.map(|at| UnixMillis(NOON + at)),
            });
        }
        entries
    })
}

proptest! {
    #![proptest_config(cases(512))]

    /// Invariant 3: whatever order entries came in, with the same receipts the account is the same.
    #[test]
    fn with_the_same_receipts_any_order_of_arrival_gives_the_same_account(
        entries in received_entries(), order in any::<u64>(),
    ) {
        let mut shuffled = entries.clone();
        let mut state = order | 1;
        for place in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(place, usize::try_from(state >> 33).unwrap() % (place + 1));
        }
        prop_assert_eq!(
            folded(&earned_before(5), entries),
            folded(&earned_before(5), shuffled)
        );
    }

    /// The same where the fold begins from a record that includes some of the entries.
    #[test]
    fn with_the_same_receipts_folding_in_steps_gives_the_same_account(
        entries in received_entries(), steps in prop::collection::vec(0..3u8, 40)
    ) {
        prop_assert_eq!(folded_in_steps(&entries, &steps), folded(&Account::default(), entries).account);
    }

    /// No entry counts later than its receipt, and a right one counts when it says.
    #[test]
    fn nothing_counts_later_than_its_receipt(entries in received_entries()) {
        for placed in entries {
            let Some(receipt) = placed.receipt else { continue };
            let counts = placed.counts_at();
            prop_assert!(counts <= receipt.at.plus(RECEIPT_TOLERANCE));
            prop_assert!(counts == placed.entry.at || counts == receipt.at);
            if receipt.not_before.is_none() && placed.entry.at <= receipt.at {
                prop_assert_eq!(counts, placed.entry.at);
            }
        }
    }
}
