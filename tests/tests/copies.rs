//! Copies of a desk's folder while the hub is away: no unit of a limited reward is handed out twice on one computer, on another
//! one no more than the policy says, and somebody is told. Invariants 5 and 12.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crdt_model::decide::Reason;
use desk_api::types::{HubLink, Status, Trouble};
use serde_json::{Value, json};
use stempel_tests::{Desk, Hub, PATIENCE, catalogue, pass_number};
use tempfile::TempDir;

/// Units that a desk asks for ahead, and so is granted.
const GRANTED: u32 = 20;

/// A hub that is away, and a desk that has its units.
async fn desk_with_units() -> (TempDir, Hub, Desk) {
    let folder = tempfile::tempdir().unwrap();
    let mut world: Value = serde_json::from_str(&catalogue(60, 30)).unwrap();
    let poster = json!({
        "id": "poster", "title": "Poster", "type": "POINTS", "points": 1, "maxAvailableUnits": 100,
    });
    world["rewards"].as_array_mut().unwrap().push(poster);
    let mut hub = Hub::start(folder.path(), &world.to_string());
    let desk = Desk::start_without_activity(folder.path(), &hub, "balie-1").await;
    // No event tells of a grant, so it is looked for.
    let granted = async {
        while left(&desk).await < GRANTED {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, granted).await.expect("units are granted");
    hub.stop();
    desk.wait_for("the end of the link", |it| it.hub != HubLink::Connected).await;
    (folder, hub, desk)
}

async fn left(desk: &Desk) -> u32 {
    let stock = desk.client.stock().await.unwrap();
    stock.iter().find(|it| it.reward_id == "poster").unwrap().left
}

fn copy_of(folder: &Path, name: &str) -> PathBuf {
    let copy = folder.with_file_name(name);
    let done = Command::new("cp").arg("-a").arg(folder).arg(&copy).status().unwrap();
    assert!(done.success());
    copy
}

/// Hands out at most so many, each to another pass, until the desk has none. How many it handed out.
async fn hand_out(desk: &Desk, passes: std::ops::Range<u32>) -> u32 {
    let mut count = 0;
    for pass in passes {
        match desk.client.redeem(&pass_number(pass), None, "poster").await.unwrap().reason {
            None => count += 1,
            Some(Reason::RewardNoUnitHere) => break,
            other => panic!("{other:?}"),
        }
    }
    count
}

async fn beside(desk: &Desk) -> Vec<Trouble> {
    desk.client.status().await.unwrap().beside
}

async fn all_sent(desk: &Desk) {
    let sent = |it: &Status| it.pending == 0 && it.hub == HubLink::Connected;
    desk.wait_for("pending 0", sent).await;
}

fn used_at_hub(hub: &Hub) -> (u64, Value) {
    let stock = hub.json(&["stock", "list"]);
    let poster = stock.as_array().unwrap().iter().find(|it| it["rewardId"] == "poster").unwrap();
    (poster["used"].as_u64().unwrap(), poster["breaches"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_a_desk_hands_out_nothing_twice_and_says_so() {
    let (_world, mut hub, mut desk) = desk_with_units().await;
    desk.stop();
    let older = copy_of(&desk.folder, "older");
    desk.go();
    assert_eq!(hand_out(&desk, 0..6).await, 6);
    desk.kill();
    desk.go();
    assert_eq!(beside(&desk).await, [], "an ordinary restart without internet");
    assert_eq!(hand_out(&desk, 6..8).await, 2);
    desk.stop();

    let mut copy = Desk::of_folder(older);
    assert_eq!(beside(&copy).await, [Trouble::FolderOlder { units: 8 }]);
    assert_eq!(left(&copy).await, GRANTED - 8);
    assert_eq!(hand_out(&copy, 20..50).await, GRANTED - 8, "what was not handed out before");
    copy.stop();

    // The older one's entries are newer than the desk's, and the other way round: both go to the hub.
    hub.go();
    desk.go();
    all_sent(&desk).await;
    desk.stop();
    copy.go();
    all_sent(&copy).await;
    copy.wait_for("the end of the word", |it| it.beside.is_empty()).await;
    let (used, breaches) = used_at_hub(&hub);
    assert_eq!(used, u64::from(GRANTED), "{breaches}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_runs_beside_its_desk_hands_out_nothing_until_the_desk_has_ended() {
    let (_world, _hub, mut desk) = desk_with_units().await;
    let copy = copy_of(&desk.folder, "copy");
    std::fs::remove_file(copy.join("desk.sock")).unwrap();
    let copy = Desk::of_folder(copy);
    assert_eq!(beside(&copy).await, [Trouble::NameUsedTwice]);
    assert_eq!(hand_out(&desk, 0..5).await, 5);
    assert_eq!(hand_out(&copy, 20..25).await, 0);
    desk.stop();
    let told = |it: &Status| it.beside == [Trouble::FolderOlder { units: 5 }];
    copy.wait_for("the word that the folder is older", told).await;
    assert_eq!(hand_out(&copy, 20..50).await, GRANTED - 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_on_another_computer_hands_out_what_the_policy_says_until_it_hears_the_hub() {
    let (world, mut hub, mut desk) = desk_with_units().await;
    desk.stop();
    let copy = copy_of(&desk.folder, "copy");
    let mut copy = Desk::of_folder_with_marks(copy, world.path().join("other-marks"));
    assert_eq!(beside(&copy).await, [Trouble::UnitsLimited { units: 2 }]);
    assert_eq!(hand_out(&copy, 0..5).await, 2);
    copy.kill();
    copy.go();
    assert_eq!(beside(&copy).await, [Trouble::UnitsLimited { units: 0 }], "also after a restart");
    assert_eq!(hand_out(&copy, 5..9).await, 0);
    hub.go();
    copy.wait_for("the hub", |it| it.beside.is_empty() && it.pending == 0).await;
    hub.stop();
    copy.wait_for("the end of the link", |it| it.hub != HubLink::Connected).await;
    copy.stop();
    copy.go();
    assert_eq!(beside(&copy).await, [], "this computer knows now");
    assert_eq!(hand_out(&copy, 5..50).await, GRANTED - 2);
}
