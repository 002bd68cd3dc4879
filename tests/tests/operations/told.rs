//! What the hub tells desks and operators: that it was restored, and that a desk was copied.

use std::fs;
use std::process::Command;

use desk_api::types::{Event, HubLink, HubState, Status, Trouble};
use stempel_tests::{Desk, Hub, PATIENCE, catalogue};

use super::{assert_holds, tap};

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_restored_is_sent_again_what_it_lost_and_everybody_is_told() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let mut entries = tap(&desk, 0..3).await;
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    hub.stop();
    let (database, older) = (world.path().join("hub/hub.db"), world.path().join("older.db"));
    fs::copy(&database, &older).unwrap();
    hub.go();
    entries.extend(tap(&desk, 3..7).await);
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    assert!(desk.client.status().await.unwrap().beside.is_empty());
    let mut events = desk.client.events().await.unwrap();
    hub.stop();
    fs::copy(&older, &database).unwrap();
    for log in ["hub.db-wal", "hub.db-shm"] {
        let _ = fs::remove_file(world.path().join("hub").join(log));
    }
    hub.go();
    let told = |status: &Status| {
        status.pending == 0 && status.beside == [Trouble::HubRestored { entries: 4 }]
    };
    desk.wait_for("the word that four entries were sent again", told).await;
    let waits_again = async {
        loop {
            match events.next().await.unwrap().unwrap() {
                Event::Row(row) if row.hub == HubState::Waiting => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, waits_again).await.expect("its rows wait again");
    assert_holds(&hub, &entries);
    let history = desk.client.history().await.unwrap();
    assert!(history.iter().all(|row| row.hub == HubState::Accepted), "{history:?}");
    let status = hub.json(&["status"]);
    assert_eq!(status["sentAgain"][0]["name"], "balie-1", "{status}");
    assert_eq!(status["sentAgain"][0]["sentAgain"], 4, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_desk_is_noticed_and_both_copies_go_on() {
    let world = tempfile::tempdir().unwrap();
    let hub = Hub::start(world.path(), &catalogue(40, 0));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    let mut entries = tap(&desk, 0..2).await;
    // Killed and started again it has two lines at the hub for a while, and is no copy.
    desk.kill();
    desk.go();
    entries.extend(tap(&desk, 2..4).await);
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    desk.stop();
    let copy = world.path().join("copy");
    assert!(Command::new("cp").arg("-a").args([&desk.folder, &copy]).status().unwrap().success());
    desk.go();
    desk.wait_for("the link", |status| status.hub == HubLink::Connected).await;
    let alone = hub.json(&["device", "list"]);
    assert!(alone[0]["usedTwiceSince"].is_null(), "{alone}");
    // On another computer: on this one they would notice each other by themselves.
    let copy = Desk::of_folder_with_marks(copy, world.path().join("other-marks"));
    // Both are heard: that is what shows it.
    let mut n = 4;
    let told = |status: &Status| status.beside.contains(&Trouble::NameUsedTwice);
    while n < 36 {
        entries.extend(tap(&desk, n..n + 1).await);
        entries.extend(tap(&copy, n + 1..n + 2).await);
        n += 2;
        let statuses = [desk.client.status().await.unwrap(), copy.client.status().await.unwrap()];
        if statuses.iter().all(told) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    for it in [&desk, &copy] {
        it.wait_for("the word that the name is used twice", told).await;
    }
    entries.extend(tap(&desk, 36..38).await);
    entries.extend(tap(&copy, 38..40).await);
    for it in [&desk, &copy] {
        let sent = |status: &Status| status.pending == 0 && status.hub == HubLink::Connected;
        it.wait_for("pending 0", sent).await;
    }
    assert_holds(&hub, &entries);
    let devices = hub.json(&["device", "list"]);
    assert!(devices[0]["usedTwiceSince"].is_i64(), "{devices}");
    assert!(hub.run(&["device", "list"]).contains("used twice since"));
}
