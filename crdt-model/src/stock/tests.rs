use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::samples::{cases, desk};

const REWARD: RewardId = RewardId(1);

fn device(n: u8) -> DeviceId {
    desk(n).device
}

fn unit(grant: u64, unit: u32) -> Unit {
    Unit { grant: GrantId(grant), unit }
}

fn units(first: u32, count: u32) -> Units {
    Units { first, count }
}

/// A stock of which desk 1 has units 1 to `count` by grant 1; nothing is kept back.
fn granted(total: u32, count: u32) -> Stock {
    let mut stock = Stock { reserve_percent: 0, ..Stock::new(REWARD, total, 0).unwrap() };
    stock.grant(GrantId(1), device(1), count, false).unwrap().unwrap();
    stock
}

/// Grant 1, units 1 to 4 of 6, of which units 1 and 2 are known to be used, brought to this state.
fn standing_as(state: GrantState) -> Stock {
    let mut stock = granted(6, 4);
    stock.record(unit(1, 1));
    stock.record(unit(1, 2));
    match state {
        GrantState::Active => {}
        GrantState::Frozen => stock.freeze(GrantId(1)).unwrap(),
        GrantState::Settled => stock.close(GrantId(1), BTreeSet::from([1, 2])).unwrap(),
        GrantState::WrittenOff => {
            stock.freeze(GrantId(1)).unwrap();
            stock.write_off(GrantId(1)).unwrap();
        }
    }
    stock
}

/// Active, used, free, written off and losses.
fn sums(stock: &Stock) -> [u32; 5] {
    in_order(&stock.tally())
}

fn in_order(tally: &Tally) -> [u32; 5] {
    [tally.active, tally.used, tally.free, tally.written_off, tally.losses]
}

#[test]
fn a_run_holds_its_units_and_no_others() {
    let run = units(3, 2);
    assert_eq!((run.end(), run.iter().collect::<Vec<_>>()), (5, vec![3, 4]));
    assert_eq!([2, 3, 4, 5].map(|unit| run.contains(unit)), [false, true, true, false]);
    assert!(!units(3, 0).contains(3));
    assert!(!units(u32::MAX, 9).contains(3), "numbers that nobody grants overflow nothing");
}

#[test]
fn a_desk_that_asks_ahead_leaves_the_reserve_and_the_last_units_go_online_one_by_one() {
    let rows = [
        ("ahead, down to the reserve", 10, 2, 0, 20, false, Some(units(1, 7))),
        ("ahead, as many as it wants", 10, 2, 0, 4, false, Some(units(1, 4))),
        ("ahead, what is over the reserve", 10, 2, 5, 4, false, Some(units(6, 2))),
        ("ahead, in the reserve", 10, 2, 7, 1, false, None),
        ("ahead, a reserve of 3.3 units is 4", 11, 2, 0, 20, false, Some(units(1, 7))),
        ("ahead, more online units than reserve", 10, 5, 0, 20, false, Some(units(1, 5))),
        ("online, down to the online units", 10, 2, 0, 20, true, Some(units(1, 8))),
        ("online, in the reserve", 10, 2, 7, 5, true, Some(units(8, 1))),
        ("online, the last but one", 10, 2, 8, 5, true, Some(units(9, 1))),
        ("online, nothing free", 10, 0, 10, 1, true, None),
        ("online, nothing wanted", 10, 2, 0, 0, true, None),
        ("online, a reward without units", 0, 2, 0, 1, true, None),
        ("ahead, a reward without units", 0, 0, 0, 1, false, None),
        ("online, what a statement can name", 40_000, 0, 0, 40_000, true, Some(units(1, 10_000))),
    ];
    for (what, total, online_units, taken, wanted, online, expected) in rows {
        let mut stock = Stock { online_units: 0, ..Stock::new(REWARD, total, 0).unwrap() };
        stock.grant(GrantId(1), device(2), taken, true).unwrap();
        stock.online_units = online_units;
        let before = stock.clone();
        let found = stock.grant(GrantId(2), device(1), wanted, online).unwrap();
        let sent = |units| GrantedUnits { grant: GrantId(2), reward: REWARD, units };
        assert_eq!(found, expected.map(sent), "{what}");
        assert_eq!(stock == before, expected.is_none(), "{what}: the number is not taken");
    }
}

#[test]
fn a_reserve_over_the_whole_total_grants_nothing_ahead() {
    let mut stock = Stock { reserve_percent: 255, ..Stock::new(REWARD, 10, 0).unwrap() };
    assert_eq!(stock.grant(GrantId(1), device(1), 1, false), Ok(None));
}

#[test]
fn an_asking_that_is_repeated_gets_one_of_the_last_units_only() {
    let mut stock = Stock::new(REWARD, 3, 3).unwrap();
    let ask = |stock: &mut Stock, id, n| {
        stock.grant(GrantId(id), device(n), 5, true).unwrap().map(|granted| granted.units)
    };
    assert_eq!(ask(&mut stock, 1, 1), Some(units(1, 1)));
    assert_eq!(ask(&mut stock, 2, 1), None, "it has one left");
    assert_eq!(ask(&mut stock, 2, 2), Some(units(2, 1)), "another desk has none");
    stock.freeze(GrantId(1)).unwrap();
    assert_eq!(ask(&mut stock, 3, 1), None, "one that is frozen is still in its hands");
    stock.record(unit(1, 1));
    assert_eq!(ask(&mut stock, 3, 1), Some(units(3, 1)), "the one before is used");
    stock.record(unit(3, 3));
    assert_eq!(ask(&mut stock, 4, 1), None, "none is left");
}

#[test]
fn units_that_were_given_back_are_granted_anew_the_lowest_run_first() {
    let mut stock = granted(6, 5);
    stock.close(GrantId(1), BTreeSet::from([2, 4])).unwrap();
    for (id, expected) in [(2, units(1, 1)), (3, units(3, 1)), (4, units(5, 2))] {
        let found = stock.grant(GrantId(id), device(2), 9, false).unwrap().unwrap();
        assert_eq!(found.units, expected);
    }
    assert_eq!(sums(&stock), [4, 2, 0, 0, 0]);
}

#[test]
fn a_grant_passes_only_from_state_to_state_as_an_operator_may_turn_it() {
    use GrantState::{Active, Frozen, Settled, WrittenOff};
    type Turn = fn(&mut Stock, GrantId) -> Result<(), StockError>;
    let close: Turn = |stock, grant| stock.close(grant, BTreeSet::from([1, 2]));
    let turns = [
        ("freeze", Stock::freeze as Turn, Frozen, [true, true, false, false]),
        ("thaw", Stock::thaw as Turn, Active, [true, true, false, false]),
        ("write off", Stock::write_off as Turn, WrittenOff, [false, true, false, true]),
        ("close", close, Settled, [true, true, true, false]),
    ];
    for (what, turn, to, allowed) in turns {
        for (from, allowed) in [Active, Frozen, Settled, WrittenOff].into_iter().zip(allowed) {
            let mut stock = standing_as(from);
            let (before, grant) = (stock.clone(), GrantId(1));
            let result = turn(&mut stock, grant);
            if allowed {
                assert_eq!((result, stock.grants[&grant].state), (Ok(()), to), "{what} {from}");
                let once = stock.clone();
                assert_eq!((turn(&mut stock, grant), stock), (Ok(()), once), "{what} twice");
            } else {
                let refused = Err(StockError::Transition { grant, from, to });
                assert_eq!((result, stock), (refused, before), "{what} {from}");
            }
        }
        let unknown = Err(StockError::UnknownGrant { grant: GrantId(9) });
        assert_eq!(turn(&mut granted(6, 4), GrantId(9)), unknown, "{what}");
    }
}

#[test]
fn a_unit_counts_by_its_grant_and_by_what_is_known_of_its_use() {
    use GrantState::{Active, Frozen, Settled, WrittenOff};
    // Grant 1 has units 1 to 4 of 6; 1 and 2 were known to be used when it came to its state.
    let rows = [
        (Active, [2, 2, 2, 0, 0], [1, 3, 2, 0, 0], [3, 1, 2, 0, 0]),
        (Frozen, [2, 2, 2, 0, 0], [1, 3, 2, 0, 0], [3, 1, 2, 0, 0]),
        (Settled, [0, 2, 4, 0, 0], [0, 2, 4, 0, 0], [0, 2, 4, 0, 0]),
        (WrittenOff, [0, 2, 2, 2, 0], [0, 2, 2, 2, 1], [0, 1, 2, 3, 0]),
    ];
    for (state, at_first, used_later, taken_back) in rows {
        let mut stock = standing_as(state);
        assert_eq!(sums(&stock), at_first, "{state}");
        assert!(stock.record(unit(1, 3)));
        assert_eq!(sums(&stock), used_later, "{state}, unit 3 used later");
        let breaches = stock.tally().breaches;
        assert_eq!(breaches.is_empty(), state != Settled, "{state}: {breaches:?}");
        assert!(stock.take_back(unit(1, 3)));
        assert_eq!(sums(&stock), at_first, "{state}, and taken back");
        assert!(stock.take_back(unit(1, 2)));
        assert_eq!(sums(&stock), taken_back, "{state}, unit 2 taken back");
        assert!(stock.record(unit(1, 2)));
        assert_eq!(sums(&stock), at_first, "{state}, and handed out again");
    }
}

#[test]
fn a_statement_counts_before_the_uses_that_it_names_have_arrived() {
    let mut stock = granted(6, 4);
    stock.close(GrantId(1), BTreeSet::from([1, 2])).unwrap();
    assert_eq!(sums(&stock), [0, 2, 4, 0, 0]);
    stock.record(unit(1, 1));
    assert_eq!(sums(&stock), [0, 2, 4, 0, 0]);
}

#[test]
fn a_statement_that_differs_or_names_other_units_is_refused() {
    let mut stock = granted(6, 4);
    let refused = Err(StockError::NotInGrant { grant: GrantId(1), unit: 5 });
    assert_eq!(stock.close(GrantId(1), BTreeSet::from([1, 5, 6])), refused);
    assert_eq!(stock, granted(6, 4));
    stock.close(GrantId(1), BTreeSet::from([1])).unwrap();
    let closed = stock.clone();
    stock.close(GrantId(1), BTreeSet::new()).unwrap();
    for other in [BTreeSet::from([1, 2]), BTreeSet::from([9])] {
        let refused = Err(StockError::StatementDiffers { grant: GrantId(1) });
        assert_eq!(stock.close(GrantId(1), other), refused);
    }
    assert_eq!(stock, closed);
}

#[test]
fn a_use_that_nothing_entitles_to_is_kept_and_laid_to_the_grants_desk() {
    use BreachKind::{NotStated, OutsideGrant, UnknownGrant};
    let rows = [
        (GrantState::Settled, unit(1, 3), Some((NotStated, Some(device(1))))),
        (GrantState::Settled, unit(1, 2), None),
        (GrantState::Settled, unit(1, 5), Some((OutsideGrant, Some(device(1))))),
        (GrantState::Active, unit(1, 0), Some((OutsideGrant, Some(device(1))))),
        (GrantState::WrittenOff, unit(1, 7), Some((OutsideGrant, Some(device(1))))),
        (GrantState::WrittenOff, unit(1, 3), None),
        (GrantState::Active, unit(9, 1), Some((UnknownGrant, None))),
    ];
    for (state, unit, expected) in rows {
        let mut stock = standing_as(state);
        let before = sums(&stock);
        stock.record(unit);
        let expected = expected.map(|(kind, device)| Breach { unit, device, kind });
        assert_eq!(stock.tally().breaches, Vec::from_iter(expected), "{state}: {unit:?}");
        if expected.is_some() {
            assert_eq!(sums(&stock), before, "{state}: {unit:?} is in no sum");
        }
        stock.take_back(unit);
        assert_eq!(stock.tally().breaches, [], "{state}: {unit:?} taken back");
    }
}

#[test]
fn a_unit_of_a_broken_statement_is_used_by_its_new_holder_and_a_breach_of_the_old_one() {
    let mut stock = standing_as(GrantState::Settled);
    let again = stock.grant(GrantId(2), device(2), 1, false).unwrap().unwrap();
    assert_eq!(again.units, units(3, 1));
    stock.record(unit(1, 3));
    stock.record(unit(2, 3));
    assert_eq!(sums(&stock), [0, 3, 3, 0, 0]);
    let broken = Breach { unit: unit(1, 3), device: Some(device(1)), kind: BreachKind::NotStated };
    assert_eq!(stock.tally().breaches, [broken]);
}

#[test]
fn the_total_can_rise_and_can_fall_to_the_highest_unit_that_a_grant_holds() {
    let (below, large) = (
        |total, lowest| Err(StockError::TotalBelowGranted { total, lowest }),
        |total| Err(StockError::TotalTooLarge { total }),
    );
    let rows = [
        (GrantState::Active, 9, Ok(()), [2, 2, 5, 0, 0]),
        (GrantState::Active, 4, Ok(()), [2, 2, 0, 0, 0]),
        (GrantState::Active, 3, below(3, 4), [2, 2, 2, 0, 0]),
        (GrantState::Settled, 2, Ok(()), [0, 2, 0, 0, 0]),
        (GrantState::Settled, 1, below(1, 2), [0, 2, 4, 0, 0]),
        (GrantState::WrittenOff, 3, below(3, 4), [0, 2, 2, 2, 0]),
        (GrantState::Active, 1_000_000, Ok(()), [2, 2, 999_996, 0, 0]),
        (GrantState::Active, 1_000_001, large(1_000_001), [2, 2, 2, 0, 0]),
    ];
    for (state, total, expected, after) in rows {
        let mut stock = standing_as(state);
        assert_eq!(stock.set_total(total), expected, "{state}: {total}");
        assert_eq!(sums(&stock), after, "{state}: {total}");
    }
    assert_eq!(Stock::new(REWARD, 0, 0).unwrap().set_total(0), Ok(()));
    assert_eq!(Stock::new(REWARD, u32::MAX, 0), Err(StockError::TotalTooLarge { total: u32::MAX }));
}

/// After a restore from an older copy the hub has forgotten grants that desks hand out by.
#[test]
fn a_forgotten_grant_is_taken_up_again_as_active_and_its_units_are_not_granted_anew() {
    let mut stock = Stock::new(RewardId(1), 100, 0).unwrap();
    stock.grant(GrantId(1), device(1), 10, true).unwrap();
    let stated = |grant, units| GrantedUnits { grant: GrantId(grant), reward: RewardId(1), units };
    assert_eq!(stock.restate(device(2), stated(7, units(11, 20))), Ok(true));
    assert_eq!(stock.restate(device(2), stated(7, units(11, 20))), Ok(false), "once");
    assert_eq!(stock.restate(device(1), stated(1, units(1, 10))), Ok(false), "it is known");
    assert_eq!(stock.tally().active, 30);
    let next = stock.grant(GrantId(8), device(3), 5, true).unwrap().unwrap();
    assert_eq!(next.units, units(31, 5));
    // It was written off or closed meanwhile: so it stays.
    stock.close(GrantId(7), BTreeSet::from([11])).unwrap();
    assert_eq!(stock.restate(device(2), stated(7, units(11, 20))), Ok(false));
    assert_eq!(stock.grants[&GrantId(7)].state, GrantState::Settled);
    // An operator had restocked, and the hub forgot that, too.
    assert_eq!(stock.restate(device(2), stated(9, units(101, 50))), Ok(true));
    assert_eq!(stock.total, 150);
}

#[test]
fn invariant_5_a_stated_grant_that_overlaps_another_is_refused_and_changes_nothing() {
    let mut stock = Stock::new(RewardId(1), 100, 0).unwrap();
    stock.grant(GrantId(1), device(1), 10, true).unwrap();
    let before = stock.clone();
    let stated = |grant, units| GrantedUnits { grant: GrantId(grant), reward: RewardId(1), units };
    for (grant, of, run) in [
        (7, 2, units(10, 5)),
        (7, 2, units(1, 10)),
        (7, 1, units(3, 2)),
        (1, 2, units(1, 10)),
        (1, 1, units(1, 11)),
    ] {
        let overlaps =
            StockError::Overlaps { grant: GrantId(grant), units: run, held_by: GrantId(1) };
        assert_eq!(stock.restate(device(of), stated(grant, run)), Err(overlaps), "{grant} {run:?}");
    }
    for run in [
        units(0, 5),
        units(20, 0),
        units(20, MAX_GRANT_UNITS + 1),
        units(MAX_TOTAL_UNITS, 2),
        units(u32::MAX, 5),
    ] {
        let impossible = StockError::Impossible { grant: GrantId(7), units: run };
        assert_eq!(stock.restate(device(2), stated(7, run)), Err(impossible));
    }
    assert_eq!(stock, before);
    let said = stock.restate(device(2), stated(7, units(10, 5))).unwrap_err().to_string();
    assert_eq!(said, "grant 7 of units 10 to 14 is not the hub's: grant 1 holds some of them");
}

#[test]
fn a_grants_number_is_given_once() {
    let mut stock = granted(6, 4);
    let refused = Err(StockError::GrantExists { grant: GrantId(1) });
    assert_eq!(stock.grant(GrantId(1), device(2), 1, true), refused);
    assert_eq!(stock, granted(6, 4));
}

#[test]
fn what_cannot_be_done_is_said_with_its_numbers() {
    let grant = GrantId(7);
    let (from, to) = (GrantState::WrittenOff, GrantState::Active);
    let rows = [
        (StockError::UnknownGrant { grant }, "there is no grant 7 of this reward"),
        (StockError::GrantExists { grant }, "there is a grant 7 already"),
        (
            StockError::Transition { grant, from, to },
            "grant 7 is written off and cannot become active",
        ),
        (
            StockError::NotInGrant { grant, unit: 5 },
            "the closing statement of grant 7 names unit 5, which is not in it",
        ),
        (
            StockError::StatementDiffers { grant },
            "another closing statement of grant 7 has been taken",
        ),
        (
            StockError::TotalBelowGranted { total: 3, lowest: 4 },
            "a total of 3 leaves out granted units, it can be 4 at the least",
        ),
        (
            StockError::TotalTooLarge { total: 2_000_000 },
            "a reward has at most 1000000 units, not 2000000",
        ),
    ];
    for (error, text) in rows {
        assert_eq!(error.to_string(), text);
    }
}

/// Grants 4 (units 1 and 2) and 2 (units 7 to 12) of one reward, grant 3 of another.
fn holding() -> Holding {
    let of = |grant, reward, units| GrantedUnits { grant: GrantId(grant), reward, units };
    let grants =
        [of(4, REWARD, units(1, 2)), of(2, REWARD, units(7, 6)), of(3, RewardId(2), units(1, 1))];
    Holding { grants: grants.to_vec(), used: BTreeSet::new() }
}

#[test]
fn a_desk_hands_out_its_lowest_unused_unit_of_its_oldest_grant() {
    let mut holding = holding();
    let mut handed_out = Vec::new();
    while let Some(next) = holding.next_unit(REWARD) {
        holding.used.insert(next);
        handed_out.push(next);
    }
    let expected: Vec<_> = (7..13).map(|n| unit(2, n)).chain([unit(4, 1), unit(4, 2)]).collect();
    assert_eq!(handed_out, expected);
    holding.used.remove(&unit(2, 9));
    assert_eq!(holding.next_unit(REWARD), Some(unit(2, 9)), "taken back, and handed out again");
    assert_eq!(holding.next_unit(RewardId(2)), Some(unit(3, 1)), "of another reward");
    assert_eq!(holding.next_unit(RewardId(9)), None);
}

#[test]
fn a_desk_runs_low_at_a_quarter_and_where_nothing_was_granted() {
    let mut holding = holding();
    holding.used.extend([unit(1, 1), unit(2, 1), unit(2, 13)]);
    assert_eq!((holding.granted(REWARD), holding.left(REWARD)), (8, 8), "others' units");
    let rows = [
        (8, false),
        (7, false),
        (6, false),
        (5, false),
        (4, false),
        (3, false),
        (2, true),
        (1, true),
        (0, true),
    ];
    for (left, low) in rows {
        assert_eq!((holding.left(REWARD), holding.runs_low(REWARD)), (left, low));
        holding.used.extend(holding.next_unit(REWARD));
    }
    assert_eq!((holding.granted(RewardId(2)), holding.left(RewardId(2))), (1, 1));
    assert_eq!((holding.granted(RewardId(9)), holding.left(RewardId(9))), (0, 0));
    assert!(holding.runs_low(RewardId(9)));
}

#[test]
fn a_closing_statement_is_what_was_handed_out_also_by_a_forgotten_grant() {
    let mut holding = holding();
    assert_eq!(holding.closing_statement(GrantId(2)), BTreeSet::new());
    holding.used.extend([unit(1, 1), unit(2, 7), unit(2, 9), unit(3, 1)]);
    assert_eq!(holding.closing_statement(GrantId(2)), BTreeSet::from([7, 9]));
    holding.grants.clear();
    assert_eq!(holding.closing_statement(GrantId(2)), BTreeSet::from([7, 9]));
}

/// The bytes of the first release. A later version must read them for ever.
#[test]
fn the_bytes_of_release_0_1_are_still_read() {
    let granted = GrantedUnits { grant: GrantId(77), reward: RewardId(9), units: units(12, 300) };
    let bytes = [0x83, 0x18, 77, 9, 0x82, 12, 0x19, 1, 44];
    assert_eq!(minicbor::decode::<GrantedUnits>(&bytes).unwrap(), granted);
    assert_eq!(minicbor::to_vec(granted).unwrap(), bytes);
    assert_eq!(minicbor::decode::<Unit>(&[0x82, 0x18, 77, 12]).unwrap(), unit(77, 12));
    assert_eq!(minicbor::to_vec(unit(77, 12)).unwrap(), [0x82, 0x18, 77, 12]);
    let newer = [0x84, 0x18, 77, 9, 0x82, 12, 0x19, 1, 44, 0x61, b'x'];
    assert_eq!(minicbor::decode::<GrantedUnits>(&newer).unwrap(), granted, "a field more");
    let states =
        [GrantState::Active, GrantState::Frozen, GrantState::Settled, GrantState::WrittenOff];
    for (number, state) in (0..).zip(states) {
        assert_eq!(minicbor::decode::<GrantState>(&[number]).unwrap(), state);
        assert_eq!(minicbor::to_vec(state).unwrap(), [number]);
    }
}

#[test]
fn units_and_states_are_written_in_json_as_the_desk_api_writes_names() {
    let unit_text = serde_json::to_string(&unit(77, 12)).unwrap();
    assert_eq!(unit_text, r#"{"grant":77,"unit":12}"#);
    assert_eq!(serde_json::to_string(&units(3, 2)).unwrap(), r#"{"first":3,"count":2}"#);
    assert_eq!(serde_json::to_string(&GrantState::WrittenOff).unwrap(), r#""WRITTEN_OFF""#);
    assert_eq!(serde_json::from_str::<Unit>(&unit_text).unwrap(), unit(77, 12));
}

/// What a desk writes down, and what the hub hears of it some time later, or more than once.
#[derive(Debug, Clone)]
enum Said {
    HandedOut(Unit),
    /// What was said at this place is void.
    TookBack(usize),
    Closed(GrantId, BTreeSet<u32>),
}

#[derive(Debug, Clone, Default)]
struct Desk {
    holding: Holding,
    closed: BTreeSet<GrantId>,
    /// Where it said what, as far as it knows, still stands.
    handed_out: Vec<usize>,
}

/// The desk that leaves units out of its statements and goes on handing out, where a law wants one.
const CARELESS: u8 = 3;

/// A hub, four desks, and what the desks have said.
#[derive(Debug, Clone)]
struct World {
    stock: Stock,
    desks: Vec<Desk>,
    said: Vec<Said>,
    heard: BTreeSet<usize>,
    next_grant: u64,
    all_honest: bool,
}

#[derive(Debug, Clone)]
enum Step {
    /// A desk asks; where the answer is lost, the hub has booked it all the same.
    Ask {
        n: u8,
        wanted: u32,
        online: bool,
        answered: bool,
    },
    /// A desk hears what its active grants are.
    Hear {
        n: u8,
    },
    HandOut {
        n: u8,
    },
    /// A desk takes back what it handed out itself.
    TakeBack {
        n: u8,
        which: Index,
    },
    /// The desk beside it takes back what another handed out, which that one does not hear.
    TakeBackForAnother {
        which: Index,
    },
    /// Something reaches the hub: any of what was ever said, also once more.
    Arrive {
        which: Index,
    },
    Close {
        n: u8,
        which: Index,
    },
    Operator {
        turn: GrantState,
        which: Index,
    },
    SetTotal {
        total: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let turn = prop_oneof![
        Just(GrantState::Frozen),
        Just(GrantState::Active),
        Just(GrantState::WrittenOff)
    ];
    prop_oneof![
        6 => (0u8..4, 0u32..7, any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(|(n, wanted, online, answered)| Step::Ask { n, wanted, online, answered }),
        2 => (0u8..4).prop_map(|n| Step::Hear { n }),
        12 => (0u8..4).prop_map(|n| Step::HandOut { n }),
        3 => (0u8..4, any::<Index>()).prop_map(|(n, which)| Step::TakeBack { n, which }),
        1 => any::<Index>().prop_map(|which| Step::TakeBackForAnother { which }),
        9 => any::<Index>().prop_map(|which| Step::Arrive { which }),
        2 => (0u8..4, any::<Index>()).prop_map(|(n, which)| Step::Close { n, which }),
        4 => (turn, any::<Index>()).prop_map(|(turn, which)| Step::Operator { turn, which }),
        1 => (0u32..30).prop_map(|total| Step::SetTotal { total }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..200)
}

impl World {
    fn new(total: u32, online_units: u32, all_honest: bool) -> Self {
        let stock = Stock::new(REWARD, total, online_units).unwrap();
        let desks = vec![Desk::default(); 4];
        Self { stock, desks, said: vec![], heard: BTreeSet::new(), next_grant: 1, all_honest }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Ask { n, wanted, online, answered } => {
                let before = self.stock.tally().free;
                let (id, who) = (GrantId(self.next_grant), device(*n));
                let Some(given) = self.stock.grant(id, who, *wanted, *online).unwrap() else {
                    return;
                };
                self.next_grant += 1;
                let (count, after) = (given.units.count, self.stock.tally().free);
                assert_eq!(before, after + count);
                assert!((1..=*wanted).contains(&count));
                assert!(*online || after * 100 >= self.stock.total * 30, "the reserve is kept");
                assert!(after >= self.stock.online_units || *online && count == 1, "one by one");
                if *answered {
                    self.desk(*n).holding.grants.push(given);
                }
            }
            Step::Hear { n } => {
                let active = self.stock.grants.values().filter(|grant| {
                    grant.device == device(*n) && grant.state == GrantState::Active
                });
                let active: Vec<_> = active
                    .map(|of| GrantedUnits { grant: of.grant, reward: of.reward, units: of.units })
                    .collect();
                let desk = self.desk(*n);
                for granted in active {
                    if !desk.closed.contains(&granted.grant)
                        && !desk.holding.grants.contains(&granted)
                    {
                        desk.holding.grants.push(granted);
                    }
                }
            }
            Step::HandOut { n } => {
                let place = self.said.len();
                let desk = self.desk(*n);
                if let Some(unit) = desk.holding.next_unit(REWARD) {
                    desk.holding.used.insert(unit);
                    desk.handed_out.push(place);
                    self.said.push(Said::HandedOut(unit));
                }
            }
            Step::TakeBack { n, which } => {
                let desk = &mut self.desks[usize::from(*n)];
                if !desk.handed_out.is_empty() {
                    let place = desk.handed_out.remove(which.index(desk.handed_out.len()));
                    let Said::HandedOut(unit) = &self.said[place] else { unreachable!() };
                    desk.holding.used.remove(unit);
                    self.said.push(Said::TookBack(place));
                }
            }
            Step::TakeBackForAnother { which } => {
                let handed_out = |place: &usize| matches!(self.said[*place], Said::HandedOut(_));
                let places: Vec<usize> = (0..self.said.len()).filter(handed_out).collect();
                if !places.is_empty() {
                    self.said.push(Said::TookBack(*which.get(&places)));
                }
            }
            Step::Arrive { which } => {
                if !self.said.is_empty() {
                    self.arrive(which.index(self.said.len()));
                }
            }
            Step::Close { n, which } => {
                let careless = *n == CARELESS && !self.all_honest;
                let desk = self.desk(*n);
                let open: Vec<_> =
                    desk.holding.grants.iter().map(|granted| granted.grant).collect();
                if open.is_empty() || careless && desk.closed.contains(which.get(&open)) {
                    return;
                }
                let grant = *which.get(&open);
                let mut stated = desk.holding.closing_statement(grant);
                desk.closed.insert(grant);
                if careless {
                    stated.pop_last();
                } else {
                    desk.holding.grants.retain(|granted| granted.grant != grant);
                }
                self.said.push(Said::Closed(grant, stated));
            }
            Step::Operator { turn, which } => {
                let grants: Vec<_> = self.stock.grants.keys().copied().collect();
                if grants.is_empty() {
                    return;
                }
                let grant = *which.get(&grants);
                let result = match turn {
                    GrantState::Active => self.stock.thaw(grant),
                    GrantState::Frozen => self.stock.freeze(grant),
                    GrantState::WrittenOff => self.stock.write_off(grant),
                    GrantState::Settled => unreachable!("only a desk settles"),
                };
                assert!(matches!(result, Ok(()) | Err(StockError::Transition { .. })));
            }
            Step::SetTotal { total } => {
                let result = self.stock.set_total(*total);
                assert!(matches!(result, Ok(()) | Err(StockError::TotalBelowGranted { .. })));
            }
        }
    }

    fn desk(&mut self, n: u8) -> &mut Desk {
        &mut self.desks[usize::from(n)]
    }

    /// The hub hears what was said at this place, and tells its stock what follows from all that
    /// it has heard.
    fn arrive(&mut self, place: usize) {
        self.heard.insert(place);
        let touched = match &self.said[place] {
            Said::HandedOut(unit) => *unit,
            Said::TookBack(target) => match self.said[*target] {
                Said::HandedOut(unit) => unit,
                Said::TookBack(_) | Said::Closed(..) => unreachable!(),
            },
            Said::Closed(grant, stated) => {
                let result = self.stock.close(*grant, stated.clone());
                let written_off = self.stock.grants[grant].state == GrantState::WrittenOff;
                assert_eq!(result.is_err(), written_off, "{result:?}");
                return;
            }
        };
        if self.standing(|place| self.heard.contains(&place)).any(|unit| unit == touched) {
            self.stock.record(touched);
        } else {
            self.stock.take_back(touched);
        }
    }

    /// Everything arrives, in an order that this number gives.
    fn arrive_all(&mut self, order: u64) {
        let mut places: Vec<usize> = (0..self.said.len()).chain(0..self.said.len()).collect();
        let mut state = order | 1;
        for place in (1..places.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            places.swap(place, usize::try_from(state >> 33).unwrap() % (place + 1));
        }
        for place in places {
            self.arrive(place);
        }
    }

    /// The units that are handed out and not void, by what was said at these places.
    fn standing(&self, known: impl Fn(usize) -> bool) -> impl Iterator<Item = Unit> {
        let said = || self.said.iter().enumerate().filter(|(place, _)| known(*place));
        let void: BTreeSet<usize> = said()
            .filter_map(
                |(_, said)| if let Said::TookBack(target) = said { Some(*target) } else { None },
            )
            .collect();
        let standing = said().filter(|(place, _)| !void.contains(place)).filter_map(|(_, said)| {
            if let Said::HandedOut(unit) = said { Some(*unit) } else { None }
        });
        standing.collect::<Vec<_>>().into_iter()
    }

    /// The numbers of the units that visitors have, whatever the hub has heard, in order.
    fn out(&self) -> Vec<u32> {
        let mut out: Vec<u32> = self.standing(|_| true).map(|unit| unit.unit).collect();
        out.sort_unstable();
        out
    }
}

/// The table at the head of the module, unit by unit.
fn tally_by_unit(stock: &Stock) -> [u32; 5] {
    let mut by_unit = Tally::default();
    for number in 1..=stock.total {
        let holders: Vec<&Grant> = stock
            .grants
            .values()
            .filter(|grant| grant.units.contains(number))
            .filter(|grant| {
                grant.stated_used.as_ref().is_none_or(|stated| stated.contains(&number))
            })
            .collect();
        assert!(holders.len() <= 1, "unit {number} is held by {holders:?}");
        let Some(grant) = holders.last() else {
            by_unit.free += 1;
            continue;
        };
        let stands = stock.used.contains(&unit(grant.grant.0, number));
        let known = grant.used_at_write_off.contains(&number);
        let counted = match (grant.state, stands) {
            (GrantState::Active | GrantState::Frozen, false) => &mut by_unit.active,
            (GrantState::Active | GrantState::Frozen, true) => &mut by_unit.used,
            (GrantState::Settled, _) => &mut by_unit.used,
            (GrantState::WrittenOff, true) if known => &mut by_unit.used,
            (GrantState::WrittenOff, late) => {
                by_unit.losses += u32::from(late);
                &mut by_unit.written_off
            }
        };
        *counted += 1;
    }
    in_order(&by_unit)
}

fn length(units: &[u32]) -> u32 {
    u32::try_from(units.len()).unwrap()
}

proptest! {
    #![proptest_config(cases(1000))]

    /// Invariant 5.
    #[test]
    fn invariant_5_active_used_free_and_written_off_are_the_total_after_every_step(
        total in 0u32..25, online_units in 0u32..4, all_honest in any::<bool>(), steps in steps(),
    ) {
        let mut world = World::new(total, online_units, all_honest);
        for step in &steps {
            world.take(step);
            let [active, used, free, written_off, losses] = sums(&world.stock);
            prop_assert_eq!(active + used + free + written_off, world.stock.total, "{:?}", step);
            prop_assert!(losses <= written_off);
            prop_assert_eq!(sums(&world.stock), tally_by_unit(&world.stock), "{:?}", step);
        }
    }

    /// Invariant 5: honest desks never hand out a number twice, whatever is lost, late or closed.
    #[test]
    fn invariant_5_honest_desks_hand_out_no_unit_twice_and_no_more_than_there_are(
        total in 0u32..25, online_units in 0u32..4, steps in steps(), order in any::<u64>(),
    ) {
        let mut world = World::new(total, online_units, true);
        for step in &steps {
            world.take(step);
            let out = world.out();
            prop_assert!(out.is_sorted_by(|one, next| one < next), "{:?} after {:?}", out, step);
            prop_assert!(length(&out) <= world.stock.total);
        }
        world.arrive_all(order);
        let tally = world.stock.tally();
        let out = length(&world.out());
        prop_assert!(out <= world.stock.total - tally.written_off + tally.losses);
        prop_assert!(out <= tally.used + tally.losses);
        prop_assert_eq!(tally.breaches, []);
    }

    /// Invariant 5: a desk that breaks its statements oversells by its breaches and no more, and
    /// each of them is laid to it.
    #[test]
    fn invariant_5_what_a_broken_statement_oversells_is_laid_to_its_desk(
        total in 0u32..25, online_units in 0u32..4, steps in steps(), order in any::<u64>(),
    ) {
        let mut world = World::new(total, online_units, false);
        for step in &steps {
            world.take(step);
        }
        world.arrive_all(order);
        let tally = world.stock.tally();
        let careless = |breach: &Breach| {
            breach.device == Some(device(CARELESS)) && breach.kind == BreachKind::NotStated
        };
        prop_assert!(tally.breaches.iter().all(careless), "{:?}", tally.breaches);
        let breaches = u32::try_from(tally.breaches.len()).unwrap();
        prop_assert!(length(&world.out()) <= tally.used + tally.losses + breaches);
    }

    /// Invariant 5 does not hang on the order in which uses, voids and statements reach the hub, nor
    /// on how often they do.
    #[test]
    fn invariant_5_the_tally_does_not_depend_on_the_order_of_arrival(
        total in 0u32..25, all_honest in any::<bool>(), steps in steps(), orders in any::<[u64; 2]>(),
    ) {
        let mut one = World::new(total, 2, all_honest);
        for step in &steps {
            one.take(step);
        }
        let mut other = one.clone();
        one.arrive_all(orders[0]);
        other.arrive_all(orders[1]);
        prop_assert_eq!(one.stock.tally(), other.stock.tally());
        prop_assert_eq!(one.stock, other.stock);
    }

    /// Invariant 5 is a function of a set: what is recorded, or counted, twice is so once.
    #[test]
    fn invariant_5_recording_and_counting_twice_change_nothing(
        total in 0u32..25, steps in steps(), strays in prop::collection::vec((0u64..9, 0u32..30), 0..9),
    ) {
        let mut world = World::new(total, 2, false);
        for step in &steps {
            world.take(step);
        }
        for (grant, number) in strays {
            world.stock.record(unit(grant, number));
        }
        let stock = world.stock.clone();
        for used in &stock.used {
            prop_assert!(!world.stock.record(*used));
        }
        prop_assert!(!world.stock.take_back(unit(1000, 1)));
        prop_assert_eq!(world.stock.tally(), stock.tally());
        prop_assert_eq!(world.stock.tally(), stock.tally());
        prop_assert_eq!(sums(&stock), tally_by_unit(&stock));
        prop_assert_eq!(world.stock, stock);
    }
}
