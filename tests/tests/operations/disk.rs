//! The hub's disk.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use desk_api::types::{HubLink, Status};
use stempel_tests::small_disk::{BindMount, SmallDisk};
use stempel_tests::{Desk, Hub, PATIENCE, catalogue};

use super::{assert_holds, tap};

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn cannot_store(why_has: &'static str) -> impl Fn(&Status) -> bool {
    move |status| matches!(&status.hub, HubLink::CannotStore { why } if why.contains(why_has))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_disk_was_full_goes_on_by_itself_and_nothing_is_lost_or_doubled() {
    let world = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&world.path().join("hub")) else { return };
    let mut hub = Hub::start(world.path(), &catalogue(80, 0));
    let one = Desk::start(world.path(), &hub, "balie-1").await;
    let two = Desk::start(world.path(), &hub, "balie-2").await;
    // SQLite goes on in the room that its log has already: a hub that starts has none.
    hub.stop();
    hub.go();
    let mut entries = BTreeSet::new();
    for round in 0..2 {
        let first = round * 40;
        for desk in [&one, &two] {
            desk.wait_for("the link", |status| status.hub == HubLink::Connected).await;
        }
        disk.fill();
        entries.extend(tap(&one, first..first + 15).await);
        entries.extend(tap(&two, first + 20..first + 35).await);
        for desk in [&one, &two] {
            desk.wait_for("the word that the hub's disk is full", cannot_store("full")).await;
        }
        let status = hub.json(&["status"]);
        assert_eq!(status["storage"]["trouble"], "full", "{status}");
        assert_eq!(status["serving"], true, "{status}");
        entries.extend(tap(&one, first + 15..first + 20).await);
        entries.extend(tap(&two, first + 35..first + 40).await);
        assert!(one.client.status().await.unwrap().pending >= 5);
        disk.make_room();
        for desk in [&one, &two] {
            desk.wait_for("pending 0", |status| status.pending == 0).await;
        }
    }
    assert_holds(&hub, &entries);
    assert!(hub.json(&["status"])["storage"].is_null());
    // A hub that starts on a full disk waits for room, too, and says so once.
    hub.stop();
    disk.fill();
    let log = world.path().join("hub.log");
    let said = move || {
        let log = fs::read_to_string(&log).unwrap();
        assert!(!log.contains("transaction depth"), "{log}");
        log.matches("cannot store anything: its disk is full").count()
    };
    assert_eq!(said(), 2, "once for each time that it was so");
    let starts = std::thread::spawn(move || {
        hub.go();
        hub
    });
    wait_until("the word that the disk is full", || said() > 2);
    disk.make_room();
    let _hub = starts.join().unwrap();
    one.wait_for("the link", |status| status.hub == HubLink::Connected).await;
    assert_eq!(said(), 3);
}

/// The system does not let a disk be made read-only under a file that is being written. So the disk is full first,
/// for then no connection from before is used again; those that come find it read-only.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_disk_was_read_only_for_a_while_goes_on_by_itself() {
    let world = tempfile::tempdir().unwrap();
    let folder = world.path().join("hub");
    let Some(disk) = SmallDisk::mount(&folder) else { return };
    let mut hub = Hub::start(world.path(), &catalogue(10, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    hub.stop();
    hub.go();
    desk.wait_for("the link", |status| status.hub == HubLink::Connected).await;
    let behind = world.path().join("behind");
    fs::create_dir(&behind).unwrap();
    let _behind = BindMount::new(&folder, &behind);
    disk.fill();
    let mut entries = tap(&desk, 0..5).await;
    desk.wait_for("the word that the hub's disk is full", cannot_store("full")).await;
    let read_only = BindMount::read_only(&folder, &folder);
    fs::remove_file(behind.join("ballast")).unwrap();
    desk.wait_for("the word that it is read-only", cannot_store("read-only")).await;
    entries.extend(tap(&desk, 5..10).await);
    let status = hub.json(&["status"]);
    assert_eq!(status["storage"]["trouble"], "read-only", "{status}");
    drop(read_only);
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    assert_holds(&hub, &entries);
    // A hub that starts on a read-only disk waits until it can be written.
    hub.stop();
    let read_only = BindMount::read_only(&folder, &folder);
    let log = world.path().join("hub.log");
    let said = move || fs::read_to_string(&log).unwrap().matches("its disk is read-only").count();
    let before = said();
    let starts = std::thread::spawn(move || {
        hub.go();
        hub
    });
    wait_until("the word that it is read-only", || said() > before);
    drop(read_only);
    let _hub = starts.join().unwrap();
    desk.wait_for("the link", |status| status.hub == HubLink::Connected).await;
}
