//! What a desk makes of its clocks.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const TOLERANCE: i64 = 120_000;

/// The true time when the steady clock shows 0: a day in November 2026.
const TRUTH: UnixMillis = UnixMillis(1_795_680_000_000);

/// Both clocks when the steady one shows so many milliseconds, the wall clock off by so much.
fn reading(steady: i64, off: i64) -> Reading {
    Reading { wall: truth(steady).plus(off), steady: Ticks(steady.try_into().unwrap()) }
}

fn truth(steady: i64) -> UnixMillis {
    TRUTH.plus(steady)
}

/// What a hub whose clock is off by so much says, 20 ms after it was asked.
fn hub(steady: i64, off: i64) -> HubTime {
    let asked = Ticks((steady - 20).try_into().unwrap());
    HubTime { clock: truth(steady - 10).plus(off), doubtful: false, asked }
}

fn linked_yesterday(off: i64) -> DeskClock {
    let evidence = Evidence { hub: Some(TRUTH.plus(-DAY)), own: Some(TRUTH.plus(-DAY)) };
    DeskClock::new(reading(0, off), evidence, TOLERANCE)
}

/// Looks, and says the time that the desk goes by against the true one.
fn off(clock: &mut DeskClock, now: Reading) -> i64 {
    clock.look(now);
    clock.latest().since(truth(now.steady.0.try_into().unwrap()))
}

fn trouble(clock: &DeskClock) -> Option<Trouble> {
    match clock.health() {
        Health::Fine => None,
        Health::Trouble(trouble) => Some(trouble),
    }
}

#[test]
fn a_clock_that_goes_ahead_while_linked_is_said_at_the_next_look_and_is_fine_again_when_it_is_right()
 {
    let mut clock = linked_yesterday(0);
    assert!(clock.measure(reading(1_000, 0), hub(1_000, 0)).is_some());
    assert_eq!((off(&mut clock, reading(2_000, 500)), trouble(&clock)), (500, None));
    // No exchange is needed, for the steady clock goes on.
    assert_eq!(off(&mut clock, reading(60_000, 3 * HOUR)), 0);
    assert_eq!(trouble(&clock), Some(Trouble::ClockOff { minutes: 180, ahead: true }));
    clock.measure(reading(65_000, 3 * HOUR), hub(65_000, 0));
    assert_eq!(off(&mut clock, reading(2 * DAY, 3 * HOUR)), 0, "the link has been gone for days");
    assert_eq!(clock.correction(), -3 * HOUR);
    assert_eq!((off(&mut clock, reading(2 * DAY + 1, 100)), trouble(&clock)), (100, None));
}

#[test]
fn a_clock_in_1970_goes_on_from_what_the_desk_knows_and_by_the_hub_as_soon_as_that_says_its_clock()
{
    let in_1970 = -TRUTH.0;
    for evidence in [
        Evidence { hub: Some(TRUTH.plus(-DAY)), own: None },
        Evidence { hub: Some(TRUTH.plus(-9 * DAY)), own: Some(TRUTH.plus(-DAY)) },
        Evidence { hub: None, own: Some(TRUTH.plus(-DAY)) },
    ] {
        let mut clock = DeskClock::new(reading(0, in_1970), evidence, TOLERANCE);
        assert_eq!(off(&mut clock, reading(HOUR, in_1970)), -DAY, "{evidence:?}");
        assert_eq!(trouble(&clock), Some(Trouble::ClockImplausible { ahead: false }));
        clock.measure(reading(HOUR + 50, in_1970), hub(HOUR + 50, 0));
        assert_eq!(off(&mut clock, reading(2 * HOUR, in_1970)), 0);
        assert!(matches!(trouble(&clock), Some(Trouble::ClockOff { ahead: false, .. })));
    }
    let clock = DeskClock::new(reading(0, in_1970), Evidence::default(), TOLERANCE);
    assert_eq!(clock.latest(), RELEASED, "a desk that knows nothing knows when it was built");
}

#[test]
fn a_clock_in_2038_is_not_believed_by_a_desk_that_was_linked_this_year() {
    let in_2038 = 2_147_483_648_000 - TRUTH.0;
    let mut clock = linked_yesterday(in_2038);
    assert_eq!(off(&mut clock, reading(1_000, in_2038)), -DAY + 1_000 - 1_000);
    assert_eq!(trouble(&clock), Some(Trouble::ClockImplausible { ahead: true }));
    // Eleven months without a hub are possible.
    let mut clock = linked_yesterday(330 * DAY);
    assert_eq!((off(&mut clock, reading(1_000, 330 * DAY)), trouble(&clock)), (330 * DAY, None));
}

#[test]
fn a_desk_without_a_hub_follows_its_clock_and_says_that_it_jumped() {
    let mut clock = linked_yesterday(0);
    assert_eq!(off(&mut clock, reading(1_000, 2 * HOUR)), 2 * HOUR);
    assert_eq!(trouble(&clock), Some(Trouble::ClockJumped { minutes: 120, ahead: true }));
    assert_eq!((off(&mut clock, reading(2_000, 0)), trouble(&clock)), (0, None), "and back");
    assert_eq!(off(&mut clock, reading(3_000, -2 * HOUR)), -2 * HOUR);
    clock.measure(reading(4_000, -2 * HOUR), hub(4_000, 0));
    assert_eq!(off(&mut clock, reading(4_000, -2 * HOUR)), 0);
    clock.measure(reading(5_000, 0), hub(5_000, 0));
    assert_eq!((off(&mut clock, reading(5_000, 0)), trouble(&clock)), (0, None));
}

/// The third desk that says hello puts the hub in doubt; the first two had taken its word.
#[test]
fn a_hub_that_comes_to_doubt_its_clock_takes_back_what_it_said() {
    let mut clock = linked_yesterday(0);
    let ahead = |steady| hub(steady, 2 * DAY);
    assert!(clock.measure(reading(1_000, 0), ahead(1_000)).is_some());
    assert!(clock.measure(reading(6_000, 0), ahead(6_000)).is_some());
    assert_eq!(off(&mut clock, reading(6_000, 0)), 2 * DAY);
    let doubtful = HubTime { doubtful: true, ..ahead(11_000) };
    let kept = clock.measure(reading(11_000, 0), doubtful);
    assert_eq!(kept, Some(TRUTH.plus(-DAY)), "the next start goes by what was known before");
    assert_eq!(off(&mut clock, reading(11_000, 0)), 0);
    assert!(matches!(trouble(&clock), Some(Trouble::HubClockOff { ahead: true, .. })));
    assert!(clock.measure(reading(16_000, 0), hub(16_000, 0)).is_some());
    assert_eq!((off(&mut clock, reading(16_000, 0)), trouble(&clock)), (0, None));
}

#[test]
fn a_hub_is_not_believed_where_something_says_that_it_is_the_one_that_is_wrong() {
    // Before what the desk knows.
    let mut clock = linked_yesterday(0);
    assert_eq!(clock.measure(reading(1_000, 0), hub(1_000, -2 * DAY)), None);
    assert_eq!(off(&mut clock, reading(1_000, 0)), 0);
    assert_eq!(trouble(&clock), Some(Trouble::HubClockOff { minutes: 2 * 24 * 60, ahead: false }));
    // More than a year after what it said yesterday; unless this desk's own clock tells nothing.
    let mut clock = linked_yesterday(0);
    assert_eq!(clock.measure(reading(1_000, 0), hub(1_000, 400 * DAY)), None);
    assert_eq!(off(&mut clock, reading(1_000, 0)), 0);
    let mut clock = linked_yesterday(-TRUTH.0);
    assert!(clock.measure(reading(1_000, -TRUTH.0), hub(1_000, 400 * DAY)).is_some());
    // It says so.
    let mut clock = linked_yesterday(0);
    let doubtful = HubTime { doubtful: true, ..hub(1_000, 5 * DAY) };
    assert_eq!(clock.measure(reading(1_000, 0), doubtful), None);
    assert_eq!(off(&mut clock, reading(1_000, 0)), 0);
    assert_eq!(trouble(&clock), Some(Trouble::HubClockOff { minutes: 5 * 24 * 60, ahead: true }));
    // It agreed with this computer's clock, which went on as clocks do.
    let mut clock = linked_yesterday(0);
    clock.measure(reading(1_000, 0), hub(1_000, 0));
    assert_eq!(clock.measure(reading(6_000, 0), hub(6_000, 2 * DAY)), None);
    assert_eq!(off(&mut clock, reading(6_000, 0)), 0);
    assert!(matches!(trouble(&clock), Some(Trouble::HubClockOff { ahead: true, .. })));
    assert!(clock.measure(reading(9_000, 0), hub(9_000, 0)).is_some());
    assert_eq!((off(&mut clock, reading(9_000, 0)), trouble(&clock)), (0, None));
}

/// A hub was two days ahead, and this desk, which was started then, had only that to go by.
#[test]
fn a_hub_that_is_put_right_and_agrees_with_the_computer_is_believed_whatever_was_known_before() {
    let mut clock = linked_yesterday(0);
    clock.measure(reading(1_000, 0), hub(1_000, 2 * DAY));
    assert_eq!(off(&mut clock, reading(1_000, 0)), 2 * DAY);
    assert!(clock.measure(reading(6_000, 0), hub(6_000, 0)).is_some());
    assert_eq!((off(&mut clock, reading(6_000, 0)), trouble(&clock)), (0, None));
}

#[test]
fn what_a_desk_wrote_while_its_clock_was_ahead_is_no_evidence() {
    let times = [0, DAY, 2 * DAY, 402 * DAY, 403 * DAY].map(|after| TRUTH.plus(after));
    assert_eq!(newest_believed(None, times), Some(TRUTH.plus(2 * DAY)));
    assert_eq!(newest_believed(None, []), None);
    // Where the hub said something, only that judges: an entry may be two days ahead.
    let evidence = Evidence { hub: Some(TRUTH.plus(-DAY)), own: Some(TRUTH.plus(2 * DAY)) };
    let clock = DeskClock::new(reading(0, 0), evidence, TOLERANCE);
    assert_eq!((clock.latest(), trouble(&clock)), (TRUTH, None));
}

proptest! {
    /// A hub that is right is enough, whatever this computer's clock does before, at and after the exchange.
    #[test]
    fn after_a_right_hub_was_heard_the_time_is_right(
        offs in prop::collection::vec((1i64..DAY, -60 * 365 * DAY..20 * 365 * DAY), 2..40),
        round_trip in 0u64..3_000,
    ) {
        let mut clock = DeskClock::new(reading(0, offs[0].1), Evidence::default(), TOLERANCE);
        let mut steady = 10_000;
        let asked = Ticks(u64::try_from(steady).unwrap() - round_trip);
        let said = HubTime { clock: truth(steady), doubtful: false, asked };
        clock.measure(reading(steady, offs[0].1), said);
        for (step, wall_off) in offs {
            steady += step;
            let wrong = off(&mut clock, reading(steady, wall_off));
            prop_assert!(wrong.abs() <= TOLERANCE + i64::try_from(round_trip).unwrap(), "{wrong} ms");
            prop_assert_eq!(wrong == wall_off || trouble(&clock).is_some(), true);
        }
    }

    /// Whatever is said and read: no overflow, and never before the release by more than clocks may be off.
    #[test]
    fn the_time_is_never_before_the_release(
        looks in prop::collection::vec(
            (any::<i64>(), 0u64..1 << 40, any::<Option<i64>>(), any::<bool>(), 0u64..30_000), 1..20),
        known in any::<Option<i64>>(),
    ) {
        let evidence = Evidence { hub: known.map(UnixMillis), own: known.map(UnixMillis) };
        let (mut steady, mut clock) = (1 << 20, None);
        for (wall, step, hub, doubtful, round_trip) in looks {
            steady += step;
            let now = Reading { wall: UnixMillis(wall), steady: Ticks(steady) };
            let clock = clock.get_or_insert_with(|| DeskClock::new(now, evidence, TOLERANCE));
            if let Some(hub) = hub {
                let (clock_there, asked) = (UnixMillis(hub), Ticks(steady - round_trip));
                clock.measure(now, HubTime { clock: clock_there, doubtful, asked });
            }
            clock.look(now);
            prop_assert!(clock.latest() >= RELEASED.plus(-2 * TOLERANCE - 15_000), "{:?}", clock);
        }
    }
}

#[test]
fn what_another_run_of_the_daemon_knew_of_a_wrong_clock_still_holds() {
    let mut clock = linked_yesterday(DAY);
    assert_eq!(trouble(&clock), None, "a day ahead is plausible");
    clock.take_up_measured(reading(0, DAY), truth(0));
    assert_eq!(trouble(&clock), Some(Trouble::ClockOff { minutes: 24 * 60, ahead: true }));
    assert_eq!(off(&mut clock, reading(HOUR, DAY)), 0);
    assert_eq!(clock.hubs_word(), Some(truth(HOUR)));
    assert_eq!((off(&mut clock, reading(DAY, 0)), trouble(&clock)), (0, None));
    assert_eq!(clock.hubs_word(), None, "they agree");
}

#[test]
fn entries_of_1970_and_a_pause_before_the_hub_was_heard_disprove_nothing() {
    let flat_battery = [UnixMillis(60_000), UnixMillis(90_000)];
    let recent = [TRUTH, TRUTH.plus(DAY)];
    let times = || flat_battery.into_iter().chain(recent);
    assert_eq!(newest_believed(None, times()), Some(TRUTH.plus(DAY)));
    // A winter in which the museum was closed.
    let before_winter = [TRUTH.plus(-100 * DAY)];
    let times = || before_winter.into_iter().chain(recent);
    assert_eq!(newest_believed(None, times()), Some(TRUTH.plus(-100 * DAY)));
    assert_eq!(newest_believed(Some(TRUTH.plus(-DAY)), times()), Some(TRUTH.plus(DAY)));
    assert_eq!(newest_believed(Some(TRUTH.plus(3 * DAY)), times()), Some(TRUTH.plus(3 * DAY)));
}
