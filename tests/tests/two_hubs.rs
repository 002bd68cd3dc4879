//! Two processes of one hub on one PostgreSQL, eight desks, and one of the two killed.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::collections::BTreeSet;
use std::time::Duration;

use crdt_model::decide::VerdictKind;
use desk_api::types::{HubLink, Status};
use serde_json::json;
use stempel_tests::{ACTIVITY, Desk, Hub, VENUE, catalogue, pass_number};

const DESKS: u32 = 8;

/// Passes that tap at one desk alone, in each of three rounds.
const OWN: u32 = 12;

/// The pass that taps at every desk.
const SHARED: u32 = 400;

fn linked(status: &Status) -> bool {
    status.hub == HubLink::Connected
}

async fn points(desk: &Desk, n: u32) -> u64 {
    desk.client.pass(&pass_number(n)).await.unwrap().points
}

/// Each desk's round: passes of its own.
async fn round(desks: &[Desk], round: u32, acknowledged: &mut BTreeSet<String>) {
    for (n, desk) in (0u32..).zip(desks) {
        let first = (round * DESKS + n) * OWN;
        for pass in first..first + OWN {
            let answer = desk.client.tap(&pass_number(pass)).await.unwrap();
            assert_eq!(answer.verdict, VerdictKind::Ok, "{answer:?}");
            assert!(acknowledged.insert(answer.entry.unwrap().to_string()));
        }
    }
}

/// Invariants 2, 3, 4 and 12 with two processes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL, which ./dev test gives it"]
async fn eight_desks_at_two_hubs_lose_and_double_nothing_when_one_hub_is_killed() {
    let world = tempfile::tempdir().unwrap();
    let mut one = Hub::start(world.path(), &catalogue(SHARED + 1, 30));
    let two = one.another(world.path(), "hub-2");
    let mut desks = Vec::new();
    for n in 0..DESKS {
        // Half of them call the one first, half the other.
        let both = [one.address.as_str(), &two.address];
        let order = if n % 2 == 0 { both } else { [both[1], both[0]] };
        let name = format!("balie-{n}");
        let desk = Desk::invited(world.path(), &one.invite_to(&name, &order), &name).await;
        desk.client.choose_activity(ACTIVITY).await.unwrap();
        desks.push(desk);
    }
    let mut acknowledged = BTreeSet::new();

    // What a desk at one hub does, a desk at the other sees: one check-in a day counts, wherever it was.
    let first = desks[0].client.tap(&pass_number(SHARED)).await.unwrap();
    acknowledged.insert(first.entry.unwrap().to_string());
    let seen = desks[1].wait_until("the point", 31, async || points(&desks[1], SHARED).await);
    tokio::time::timeout(Duration::from_secs(10), seen).await.expect("as good as at once");
    let again = desks[1].client.tap(&pass_number(SHARED)).await.unwrap();
    assert_eq!(again.verdict, VerdictKind::Again, "{again:?}");

    round(&desks, 0, &mut acknowledged).await;
    one.kill();
    round(&desks, 1, &mut acknowledged).await;
    for desk in &desks {
        desk.wait_for("the other hub", |status| linked(status) && status.pending == 0).await;
    }
    one.go();
    round(&desks, 2, &mut acknowledged).await;
    for desk in &desks {
        desk.wait_for("pending 0", |status| linked(status) && status.pending == 0).await;
    }

    let day = acknowledged.first().unwrap().split('/').next().unwrap().to_owned();
    for hub in [&one, &two] {
        let ledger = hub.json(&["show", "ledger", VENUE, &day]);
        let held: Vec<&str> =
            ledger.as_array().unwrap().iter().map(|it| it["entry"].as_str().unwrap()).collect();
        assert_eq!(held.len(), acknowledged.len(), "each once");
        assert!(held.iter().all(|entry| acknowledged.contains(*entry)));
        let totals = hub.json(&["show", "totals"]);
        let told = ["quarantined", "debt"].map(|what| totals[what].clone());
        assert_eq!(told, [json!(0), json!(0)]);
        let status = hub.json(&["status"]);
        let wrong = ["notStated", "sentAgain", "usedTwice"].map(|what| status[what].clone());
        assert_eq!(wrong, [json!([]), json!([]), json!([])], "nobody was put back, or copied");
    }
    let points_at_hub = |n: u32| two.json(&["show", "pass", &pass_number(n)])["points"].clone();
    for pass in [0, DESKS * OWN, 2 * DESKS * OWN, SHARED] {
        assert_eq!(points_at_hub(pass), 31, "pass {pass}");
        for desk in &desks {
            desk.wait_until("the hub's points", 31, async || points(desk, pass).await).await;
        }
    }
}
