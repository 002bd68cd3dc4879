//! Whose time an entry has, with the real processes and clocks that are wrong (DESIGN, "What counts").
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::path::Path;

use std::time::{SystemTime, UNIX_EPOCH};

use crdt_model::decide::{Reason, VerdictKind};
use crdt_model::time::{Calendar, UnixMillis};
use desk_api::types::{Health, HubLink, Status, Trouble};
use stempel_tests::{Desk, Hub, catalogue, pass_number};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A reward that a pass gets once a year.
const YEARLY: &str = "jaarlijks";

/// How far ahead of this computer's clock it is half past ten in the evening of the 10th of some month:
/// neither year nor month ends within days, and three hours later it is tomorrow.
fn evening() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = UnixMillis(i64::try_from(now).unwrap());
    let calendar = Calendar::of("Europe/Brussels").unwrap();
    let month =
        calendar.day(now).first_of_month().checked_add(jiff::Span::new().months(1)).unwrap();
    let day = month.checked_add(jiff::Span::new().days(9)).unwrap();
    calendar.moment(day.at(22, 30, 0, 0)).unwrap().since(now)
}

/// A few passes with points, and the yearly reward.
fn sample() -> String {
    let mut sample: serde_json::Value = serde_json::from_str(&catalogue(4, 100)).unwrap();
    sample["rewards"].as_array_mut().unwrap().push(serde_json::json!({
        "id": YEARLY, "title": "Jaargeschenk", "type": "POINTS", "points": 1,
        "redeemConstraint": { "volume": 1, "periodType": "YEAR" },
    }));
    sample.to_string()
}

fn linked_and_right(status: &Status) -> bool {
    status.hub == HubLink::Connected && status.clock == Health::Fine
}

/// Starts the hub and these desks, all with this clock, and waits until they agree.
async fn go_together(hub: &mut Hub, desks: &mut [Desk], ahead: i64) {
    hub.stop();
    hub.set_clock(ahead);
    hub.go();
    for desk in &mut *desks {
        desk.stop();
        desk.set_clock(ahead);
        desk.go();
    }
    for desk in desks {
        desk.wait_for("a link and the right time", linked_and_right).await;
    }
}

/// Waits until this desk's entries are at the hub, and what that comes to at all of these desks.
async fn settle(hub: &Hub, writer: &Desk, desks: &[&Desk]) {
    writer.wait_for("pending 0", |status| status.pending == 0).await;
    let version = hub.json(&["show", "totals"])["catalogueVersion"].as_u64().unwrap();
    for desk in desks {
        desk.wait_for("the catalogue", |status| status.catalogue_version >= version).await;
    }
}

fn points(hub: &Hub, pass: u32) -> u64 {
    hub.json(&["show", "pass", &pass_number(pass)])["points"].as_u64().unwrap()
}

/// Invariants 3, 4 and 13. No clock decides what a record forgets.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_days_or_a_year_ahead_makes_no_desk_forget_what_a_pass_did_today() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &sample());
    let one = Desk::start(world.path(), &hub, "balie-1").await;
    let two = Desk::start(world.path(), &hub, "balie-2").await;
    let mut desks = [one, two];
    let evening = evening();
    go_together(&mut hub, &mut desks, evening).await;
    let [one, two] = &desks;

    for (pass, ahead) in [(1, 2 * DAY), (2, 365 * DAY)] {
        hub.set_clock(evening + ahead);
        let off = |status: &Status| {
            matches!(status.clock, Health::Trouble(Trouble::HubClockOff { ahead: true, .. }))
        };
        one.wait_for("the hub's clock to be called wrong", off).await;
        two.wait_for("the hub's clock to be called wrong", off).await;
        let number = pass_number(pass);
        let tap = one.client.tap(&number).await.unwrap();
        assert_eq!(tap.verdict, VerdictKind::Ok, "{tap:?}");
        settle(&hub, one, &[one, two]).await;
        for desk in [two, one] {
            let again = desk.client.tap(&number).await.unwrap();
            assert_eq!(again.verdict, VerdictKind::Again, "a second tap that day: {again:?}");
        }
        let reward = two.client.redeem(&number, None, YEARLY).await.unwrap();
        assert_eq!(reward.verdict, VerdictKind::Ok, "{reward:?}");
        settle(&hub, two, &[one, two]).await;
        for desk in [one, two] {
            let second = desk.client.redeem(&number, None, YEARLY).await.unwrap();
            let reason = Some(Reason::RewardPassholderVolumeConstraint);
            assert_eq!(second.reason, reason, "once a year: {second:?}");
        }
        assert_eq!(points(&hub, pass), 100, "one earned, one spent");
    }

    // Put right, the hub knows that it received entries later than now, until somebody settles it.
    hub.set_clock(evening);
    assert_eq!(hub.json(&["clock", "show"])["doubt"]["why"], "beforeNewestReceipt");
    let list = hub.run(&["device", "list"]);
    assert!(list.contains("clock trust"), "{list}");
    hub.run(&["clock", "trust"]);
    assert!(hub.json(&["clock", "show"])["doubt"].is_null());
    let log = std::fs::read_to_string(world.path().join("hub.log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

/// A hub and three desks whose clocks all show this.
async fn three_desks(world: &Path, clock: i64) -> (Hub, Vec<Desk>) {
    let mut hub = Hub::start(world, &sample());
    let mut desks = Vec::new();
    for name in ["balie-1", "balie-2", "balie-3"] {
        desks.push(Desk::start(world, &hub, name).await);
    }
    go_together(&mut hub, &mut desks, clock).await;
    (hub, desks)
}

/// Invariants 3 and 4. The first desks take the word of a hub that starts with a wrong clock. When a third
/// disagrees in the same way the hub doubts itself, and all of them go by their own clocks again.
#[tokio::test(flavor = "multi_thread")]
async fn three_desks_outvote_a_hub_that_starts_two_days_ahead() {
    let world = tempfile::tempdir().unwrap();
    let evening = evening();
    let (mut hub, mut desks) = three_desks(world.path(), evening).await;
    hub.stop();
    for desk in &mut desks {
        desk.stop();
    }
    hub.set_clock(evening + 2 * DAY);
    hub.go();
    let ahead_of = |status: &Status| {
        matches!(status.clock, Health::Trouble(Trouble::ClockOff { ahead: false, .. }))
    };
    for desk in &mut desks[..2] {
        desk.go();
        desk.wait_for("the hub's word to be taken", ahead_of).await;
    }
    desks[2].go();
    let off = |status: &Status| {
        matches!(status.clock, Health::Trouble(Trouble::HubClockOff { ahead: true, .. }))
    };
    for desk in &desks {
        desk.wait_for("the hub's clock to be called wrong", off).await;
    }
    assert_eq!(hub.json(&["clock", "show"])["doubt"]["why"], "desksDisagree");
    let list = hub.run(&["device", "list"]);
    assert!(list.contains("2 days behind") && list.contains("clock is in doubt"), "{list}");

    let tap = desks[0].client.tap(&pass_number(1)).await.unwrap();
    assert_eq!(tap.verdict, VerdictKind::Ok, "{tap:?}");
    settle(&hub, &desks[0], &[&desks[1], &desks[2]]).await;
    for desk in &desks {
        let again = desk.client.tap(&pass_number(1)).await.unwrap();
        assert_eq!(again.verdict, VerdictKind::Again, "a second tap that day: {again:?}");
    }
    go_together(&mut hub, &mut desks, evening + DAY).await;
    let tap = desks[1].client.tap(&pass_number(1)).await.unwrap();
    assert_eq!(tap.verdict, VerdictKind::Ok, "the next day: {tap:?}");
}

/// Invariants 3 and 4. What a desk dates ahead while it is offline counts on the day on which the hub
/// receives it: once that day, and the days that it names are free.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_desk_dates_ahead_while_offline_counts_once_that_day_and_on_no_later_one() {
    let world = tempfile::tempdir().unwrap();
    let evening = evening();
    let (mut hub, mut desks) = three_desks(world.path(), evening).await;
    // Each pass is shown at a desk that is ahead and at the one that is right.
    for (desk, (pass, ahead)) in [(1, 3 * HOUR), (2, 2 * DAY)].into_iter().enumerate() {
        let tap = desks[2].client.tap(&pass_number(pass)).await.unwrap();
        assert_eq!(tap.verdict, VerdictKind::Ok, "{tap:?}");
        desks[2].wait_for("pending 0", |status| status.pending == 0).await;
        let off = &mut desks[desk];
        off.stop();
        off.set_clock(evening + ahead);
    }
    hub.stop();
    for (desk, pass) in [(0, 1), (1, 2)] {
        desks[desk].go();
        let tap = desks[desk].client.tap(&pass_number(pass)).await.unwrap();
        assert_eq!(tap.verdict, VerdictKind::Ok, "for this desk it is another day: {tap:?}");
        // A pass that only this desk sees.
        let tap = desks[desk].client.tap(&pass_number(3)).await.unwrap();
        assert_eq!(tap.verdict, VerdictKind::Ok, "{tap:?}");
    }
    hub.go();
    for desk in &desks {
        desk.wait_for("pending 0", |status| {
            status.hub == HubLink::Connected && status.pending == 0
        })
        .await;
    }
    for pass in 1..=3 {
        assert_eq!(points(&hub, pass), 101, "pass {pass}: once for the real day");
    }

    for day in 1..=2 {
        go_together(&mut hub, &mut desks, evening + day * DAY).await;
        settle(&hub, &desks[2], &[&desks[2]]).await;
        for pass in 1..=3 {
            let tap = desks[2].client.tap(&pass_number(pass)).await.unwrap();
            assert_eq!(tap.verdict, VerdictKind::Ok, "pass {pass}, {day} days later: {tap:?}");
        }
        settle(&hub, &desks[2], &[]).await;
        for pass in 1..=3 {
            assert_eq!(points(&hub, pass), 101 + u64::try_from(day).unwrap(), "pass {pass}");
        }
    }
}
