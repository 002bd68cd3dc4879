//! Invariant 10: the desk goes on with the clock wrong, says so, and dates by what is right. Through the real daemon,
//! whose wall clock is set while it runs.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use crdt_model::decide::{Reason, VerdictKind};
use crdt_model::time::UnixMillis;
use desk_api::types::{Answer, Health, HubLink, Status, Trouble};
use stempel_tests::faked_clock::FakedClock;
use stempel_tests::{Desk, Hub, catalogue, pass_number};

/// Right, as far as a test can say: far more than a measurement is off, far less than any clock here.
const ABOUT: i64 = 10 * 60_000;

fn connected(status: &Status) -> bool {
    status.hub == HubLink::Connected
}

fn trouble(status: &Status) -> Option<&Trouble> {
    match &status.clock {
        Health::Fine => None,
        Health::Trouble(trouble) => Some(trouble),
    }
}

/// A check-in that counts, at the true time.
async fn counts_now(desk: &Desk, pass: u32) -> Answer {
    let answer = desk.client.tap(&pass_number(pass)).await.unwrap();
    assert_eq!(answer.verdict, VerdictKind::Ok, "{answer:?}");
    let here = UnixMillis(jiff::Timestamp::now().as_millisecond());
    let off = answer.at - here.0;
    assert!(off.abs() < ABOUT, "off by {off} ms");
    let days = [-ABOUT, ABOUT].map(|off| {
        let calendar = crdt_model::time::Calendar::of("Europe/Brussels").unwrap();
        calendar.day(here.plus(off))
    });
    assert!(days.contains(&answer.entry.unwrap().day), "{:?}", answer.entry);
    answer
}

async fn was_counted(desk: &Desk, pass: u32) {
    let answer = desk.client.tap(&pass_number(pass)).await.unwrap();
    assert_eq!(answer.reason, Some(Reason::MaximumReached), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_while_linked_is_said_and_entries_are_dated_by_the_hubs() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, 0));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    let other = Desk::start(world.path(), &hub, "balie-2").await;
    desk.stop();
    let clock = FakedClock::new(world.path(), "balie-1", "+0");
    desk.go_by(&clock);
    desk.wait_for("the link", |status| connected(status) && trouble(status).is_none()).await;
    counts_now(&desk, 0).await;

    // Nobody asks the desk anything: it notices by itself.
    clock.set("+3h");
    let ahead = |status: &Status| {
        let off = Trouble::ClockOff { minutes: 180, ahead: true };
        trouble(status) == Some(&off) && (status.clock_correction + 3 * 3_600_000).abs() < ABOUT
    };
    desk.wait_for("the trouble with the clock", ahead).await;
    counts_now(&desk, 1).await;
    was_counted(&desk, 0).await;

    // Also without the hub, for as long as the daemon runs.
    desk.wait_for("the acknowledgements", |status| status.pending == 0).await;
    hub.stop();
    desk.wait_for("the end of the link", |status| !connected(status)).await;
    clock.set("+2d");
    counts_now(&desk, 2).await;
    // A daemon that is started again still knows it: the computer was not.
    desk.stop();
    desk.go_by(&clock);
    let off = |status: &Status| matches!(trouble(status), Some(Trouble::ClockOff { .. }));
    desk.wait_for("the trouble with the clock", off).await;
    was_counted(&desk, 2).await;
    clock.set("+0");
    desk.wait_for("the right clock", |status| trouble(status).is_none()).await;
    was_counted(&desk, 2).await;

    // Two desks of which one is off: a pass counts once.
    hub.go();
    desk.stop();
    clock.set("-3h");
    desk.go_by(&clock);
    let behind = |status: &Status| {
        connected(status) && matches!(trouble(status), Some(Trouble::ClockOff { ahead: false, .. }))
    };
    desk.wait_for("the trouble with the clock", behind).await;
    counts_now(&desk, 3).await;
    desk.wait_for("the acknowledgements", |status| status.pending == 0).await;
    other.wait_for("the link", connected).await;
    let shared = async {
        loop {
            let points = other.client.pass(&pass_number(3)).await.unwrap().points;
            if points == 1 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(stempel_tests::PATIENCE, shared).await.expect("the entry is shared");
    was_counted(&other, 3).await;

    // Put right while linked: fine again at once.
    clock.set("+0");
    desk.wait_for("the right clock", |status| connected(status) && trouble(status).is_none()).await;
    counts_now(&desk, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_after_a_flat_battery_or_in_2038_is_not_believed_and_the_hub_puts_it_right() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, 0));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    counts_now(&desk, 0).await;
    desk.stop();
    hub.stop();
    for (pass, shows, ahead) in
        [(1, "@1970-01-01 12:00:00", false), (3, "@2038-01-19 03:14:00", true)]
    {
        let clock = FakedClock::new(world.path(), "balie-1", shows);
        desk.go_by(&clock);
        let said = |status: &Status| trouble(status) == Some(&Trouble::ClockImplausible { ahead });
        desk.wait_for("the trouble with the clock", said).await;
        counts_now(&desk, pass).await;
        was_counted(&desk, 0).await;
        hub.go();
        let measured = |status: &Status| {
            connected(status) && matches!(trouble(status), Some(Trouble::ClockOff { .. }))
        };
        desk.wait_for("the hub's clock", measured).await;
        counts_now(&desk, pass + 1).await;
        was_counted(&desk, pass).await;
        clock.set("+0");
        desk.wait_for("the right clock", |status| trouble(status).is_none()).await;
        desk.stop();
        hub.stop();
    }
    // A desk that starts in 1970 and is linked at once.
    hub.go();
    let clock = FakedClock::new(world.path(), "balie-1", "@1970-01-01 12:00:00");
    desk.go_by(&clock);
    desk.wait_for("the link", connected).await;
    counts_now(&desk, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_was_counted_while_the_clock_was_ahead_is_not_counted_again_when_it_is_right() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, 0));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    desk.stop();
    hub.stop();
    let clock = FakedClock::new(world.path(), "balie-1", "+0");
    desk.go_by(&clock);
    clock.set("+2d");
    let answer = desk.client.tap(&pass_number(0)).await.unwrap();
    assert_eq!(answer.verdict, VerdictKind::Ok);
    let jumped = Trouble::ClockJumped { minutes: 2 * 24 * 60, ahead: true };
    desk.wait_for("the jump", |status| trouble(status) == Some(&jumped)).await;
    clock.set("+0");
    was_counted(&desk, 0).await;
    counts_now(&desk, 1).await;
    desk.stop();
    desk.go_by(&clock);
    was_counted(&desk, 0).await;
    was_counted(&desk, 1).await;
    hub.go();
    desk.wait_for("the acknowledgements", |status| connected(status) && status.pending == 0).await;
    was_counted(&desk, 0).await;
}
