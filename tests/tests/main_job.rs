//! The main job, with the real processes: tap offline, see the verdict, merge when the hub is back.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::decide::VerdictKind;
use desk_api::types::{Answer, HubLink, HubState, Outcome};
use stempel_tests::{Desk, Hub, VENUE, catalogue, pass_number};

/// Taps of each desk.
const TAPS: u32 = 200;

/// Passes that tap at both desks.
const SHARED: u32 = 100;

/// Points that each pass begins with: enough for one redemption of 5, not for two.
const POINTS: u32 = 6;

fn entry_of(answer: &Answer) -> String {
    answer.entry.expect("what counts has an entry").to_string()
}

/// One desk's offline day up to tap `until`: taps, and a redemption for every tenth pass.
async fn work(desk: &Desk, passes: std::ops::Range<u32>, acknowledged: &mut BTreeSet<String>) {
    for n in passes {
        let number = pass_number(n);
        let answer = desk.client.tap(&number).await.unwrap();
        assert_eq!(answer.verdict, VerdictKind::Ok, "{answer:?}");
        assert!(acknowledged.insert(entry_of(&answer)));
        if n % 10 == 0 {
            let answer = desk.client.redeem(&number, None, "5687").await.unwrap();
            assert_eq!(answer.verdict, VerdictKind::Ok, "{answer:?}");
            assert!(acknowledged.insert(entry_of(&answer)));
        }
    }
}

/// Invariants 1, 2, 3, 4 and 6.
#[tokio::test(flavor = "multi_thread")]
async fn two_desks_work_offline_are_killed_and_merge_to_one_truth() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(2 * TAPS - SHARED, POINTS));
    let mut one = Desk::start(world.path(), &hub, "balie-1").await;
    let mut two = Desk::start(world.path(), &hub, "balie-2").await;
    hub.stop();
    let offline = |status: &desk_api::types::Status| status.hub != HubLink::Connected;
    one.wait_for("the end of the link", offline).await;
    two.wait_for("the end of the link", offline).await;

    let mut acknowledged = BTreeSet::new();
    let (first, second) = (0..TAPS, TAPS - SHARED..2 * TAPS - SHARED);
    work(&one, first.start..first.start + TAPS / 2, &mut acknowledged).await;
    work(&two, second.start..second.start + TAPS / 2, &mut acknowledged).await;
    one.kill();
    two.kill();
    one.go();
    two.go();
    work(&one, first.start + TAPS / 2..first.end, &mut acknowledged).await;
    work(&two, second.start + TAPS / 2..second.end, &mut acknowledged).await;
    let pending =
        one.client.status().await.unwrap().pending + two.client.status().await.unwrap().pending;
    assert_eq!(pending, acknowledged.len() as u64);
    let again = one.client.tap(&pass_number(0)).await.unwrap();
    assert_eq!(
        again.verdict,
        VerdictKind::Again,
        "after kill -9 the desk knows what it said before"
    );

    hub.go();
    for desk in [&one, &two] {
        desk.wait_for("pending 0", |status| status.pending == 0).await;
    }

    // The hub holds exactly the acknowledged entries, each once.
    let day = acknowledged.first().unwrap().split('/').next().unwrap().to_owned();
    let ledger = hub.json(&["show", "ledger", VENUE, &day]);
    let held: Vec<String> = ledger
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["entry"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(held.len(), acknowledged.len(), "each once");
    assert_eq!(held.into_iter().collect::<BTreeSet<_>>(), acknowledged);
    assert_eq!(hub.json(&["show", "totals"])["quarantined"], 0);

    // Invariant 6: points overspent while the desks were apart are reported, to the point.
    let debts = hub.json(&["show", "debts"]);
    let owed: u64 = debts.as_array().unwrap().iter().map(|it| it["debt"].as_u64().unwrap()).sum();
    assert!(owed > 0);
    assert_eq!(hub.json(&["show", "totals"])["debt"], owed);

    // Both desks and the hub show the same points for every pass: 1 for the check-in, however many
    // desks it was tapped at, less 5 for each redemption.
    let at_hub: BTreeMap<u32, (u64, u64)> = (0..2 * TAPS - SHARED)
        .map(|n| {
            let pass = hub.json(&["show", "pass", &pass_number(n)]);
            (n, (pass["points"].as_u64().unwrap(), pass["debt"].as_u64().unwrap()))
        })
        .collect();
    for (n, (points, debt)) in &at_hub {
        let at_both = second.contains(n) && first.contains(n);
        let redeemed = if n % 10 != 0 {
            0
        } else if at_both {
            10
        } else {
            5
        };
        let balance = i64::from(POINTS) + 1 - redeemed;
        assert_eq!(
            i64::try_from(*points).unwrap() - i64::try_from(*debt).unwrap(),
            balance,
            "pass {n}"
        );
    }
    for desk in [&one, &two] {
        let version = hub_version(&hub);
        desk.wait_for("the catalogue", |status| status.catalogue_version >= version).await;
        for (n, expected) in &at_hub {
            let pass = desk.client.pass(&pass_number(*n)).await.unwrap();
            assert_eq!((pass.points, pass.debt), *expected, "pass {n}");
        }
    }

    // The rows of the history say what the hub made of them, and that the other desk came first.
    let history = two.client.history().await.unwrap();
    let sent = history.iter().filter(|row| row.answer.entry.is_some());
    assert!(sent.clone().all(|row| row.hub == HubState::Accepted));
    let all: Vec<_> =
        one.client.history().await.unwrap().into_iter().chain(history.clone()).collect();
    assert!(all.iter().any(|row| row.outcome == Outcome::OverLimit));
}

/// The catalogue's version at the hub, as its desks must come to have it.
fn hub_version(hub: &Hub) -> u64 {
    hub.json(&["show", "totals"])["catalogueVersion"].as_u64().unwrap()
}

/// What one desk records while both are linked, the other shows.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_desk_records_the_other_knows_while_both_are_linked() {
    let world = tempfile::tempdir().unwrap();
    let hub = Hub::start(world.path(), &catalogue(3, POINTS));
    let one = Desk::start(world.path(), &hub, "balie-1").await;
    let two = Desk::start(world.path(), &hub, "balie-2").await;
    let before = two.client.status().await.unwrap().catalogue_version;
    assert_eq!(one.client.tap(&pass_number(1)).await.unwrap().verdict, VerdictKind::Ok);
    two.wait_for("the other desk's entry", |status| status.catalogue_version > before).await;
    let answer = two.client.tap(&pass_number(1)).await.unwrap();
    assert_eq!(answer.verdict, VerdictKind::Again, "invariant 4");
    assert_eq!(answer.pass.unwrap().points, u64::from(POINTS) + 1);
}

/// Invariant 9.
#[tokio::test(flavor = "multi_thread")]
async fn deleting_sled_loses_nothing() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(5, POINTS));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    desk.client.tap(&pass_number(0)).await.unwrap();
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    hub.stop();
    desk.wait_for("the end of the link", |status| status.hub != HubLink::Connected).await;
    for n in 1..5 {
        desk.client.tap(&pass_number(n)).await.unwrap();
    }
    desk.stop();
    std::fs::remove_dir_all(desk.folder.join("store")).unwrap();
    desk.go();
    assert_eq!(desk.client.status().await.unwrap().pending, 5, "without acknowledgements all wait");
    hub.go();
    desk.wait_for("pending 0", |status| status.pending == 0 && status.passes == 5).await;
    assert_eq!(hub.json(&["show", "totals"])["entries"], 5);
    for n in 0..5 {
        assert_eq!(desk.client.pass(&pass_number(n)).await.unwrap().points, u64::from(POINTS) + 1);
    }
}
