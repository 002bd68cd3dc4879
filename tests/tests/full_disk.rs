//! Disks that are full or read-only, as small file systems in memory: the desk says what is the matter, gives nothing
//! up, and heals by itself when there is room. Mounting needs root, as in CI; where it is not possible
//! `STEMPEL_NO_MOUNTS=1` leaves these tests out (`syncd`'s own tests tell the errors apart without a mount).
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::fs;

use crdt_model::decide::{Reason, VerdictKind};
use desk_api::client::ClientError;
use desk_api::types::{Health, HubLink, ProblemKind, Status, Trouble};
use stempel_tests::small_disk::SmallDisk;
use stempel_tests::{Desk, Hub, catalogue, pass_number};

/// Passes of the first catalogue: enough to fill the page of memory that a ledger's file ends in.
const PASSES: u32 = 300;

fn disk(trouble: Trouble) -> impl Fn(&Status) -> bool {
    move |status| status.disk == Health::Trouble(trouble.clone())
}

fn well(status: &Status) -> bool {
    status.disk == Health::Fine && status.store == Health::Fine
}

/// Taps one pass after the other until one cannot be recorded: the number of those that were, and what the desk said.
async fn tap_until_refused(desk: &Desk, from: u32) -> (u32, Option<ProblemKind>) {
    for n in from..PASSES {
        match desk.client.tap(&pass_number(n)).await {
            Ok(answer) => assert_eq!(answer.verdict, VerdictKind::Ok, "{answer:?}"),
            Err(ClientError::Problem(problem)) => return (n - from, problem.kind()),
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("a full disk took {PASSES} entries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_whose_disk_fills_up_says_so_sends_what_it_has_and_goes_on_when_there_is_room() {
    let world = tempfile::tempdir().unwrap();
    let Some(small) = SmallDisk::mount(&world.path().join("balie-1")) else { return };
    let hub = Hub::start(world.path(), &catalogue(PASSES, 6));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    small.fill();
    let (taken, said) = tap_until_refused(&desk, 0).await;
    assert_eq!(said, Some(ProblemKind::DiskFull));
    // The link is not to blame, and what was recorded reaches the hub.
    let full = disk(Trouble::DiskFull);
    desk.wait_for("the full disk", |it| {
        full(it) && it.hub == HubLink::Connected && it.pending == 0
    })
    .await;
    assert_eq!(hub.json(&["show", "totals"])["entries"], taken);
    // What the hub says meanwhile cannot be kept. The desk is told again.
    hub.import(&catalogue(PASSES + 5, 6));
    small.make_room();
    let more = u64::from(PASSES + 5);
    desk.wait_for("room, and the new passes", |it| well(it) && it.passes == more).await;
    let answer = desk.client.tap(&pass_number(PASSES + 4)).await.unwrap();
    assert_eq!(answer.verdict, VerdictKind::Ok, "{answer:?}");
    desk.wait_for("pending 0", |it| it.pending == 0 && it.hub == HubLink::Connected).await;
    assert_eq!(hub.json(&["show", "totals"])["entries"], taken + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_starts_on_a_full_disk_has_its_passes_when_there_is_room_without_a_hub() {
    let world = tempfile::tempdir().unwrap();
    let Some(small) = SmallDisk::mount(&world.path().join("balie-1")) else { return };
    let mut hub = Hub::start(world.path(), &catalogue(PASSES, 6));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    hub.stop();
    let mut next = 0;
    for start in 1..=2 {
        // Once after a kill, once after an end as it should be.
        if start == 1 {
            desk.kill();
        } else {
            desk.stop();
        }
        small.fill();
        desk.go();
        desk.wait_for("the full disk", disk(Trouble::DiskFull)).await;
        let (taken, said) = tap_until_refused(&desk, next).await;
        assert_eq!(said, Some(ProblemKind::DiskFull));
        next += taken;
        small.make_room();
        let all = u64::from(PASSES);
        desk.wait_for("room, with all passes", |it| well(it) && it.passes == all).await;
        let answer = desk.client.tap(&pass_number(next)).await.unwrap();
        assert_eq!(answer.verdict, VerdictKind::Ok, "start {start}: {answer:?}");
        next += 1;
    }
    hub.go();
    desk.wait_for("pending 0", |it| it.hub == HubLink::Connected && it.pending == 0).await;
    assert_eq!(hub.json(&["show", "totals"])["entries"], next, "nothing is lost or doubled");
}

/// Invariants 9 and 10: a store that a bad disk cut in half.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_list_cut_in_half_is_said_its_blocked_pass_stays_blocked_and_the_hub_fills_it_again()
{
    let world = tempfile::tempdir().unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&catalogue(PASSES, 6)).unwrap();
    let mut hub = Hub::start(world.path(), &json.to_string());
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    let (blocked, other) = (pass_number(0), pass_number(7));
    json["passes"][0]["cardStatus"] = "BLOCKED".into();
    let before = desk.client.status().await.unwrap().catalogue_version;
    hub.import(&json.to_string());
    desk.wait_for("the block", |it| it.catalogue_version > before).await;
    assert_eq!(desk.client.tap(&blocked).await.unwrap().verdict, VerdictKind::Stop);
    hub.stop();
    desk.stop();
    let file = desk.folder.join("store/1/db");
    let bytes = fs::read(&file).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(&file, &bytes[..used / 2]).unwrap();
    desk.go();
    let damaged =
        |it: &Status| matches!(it.store, Health::Trouble(Trouble::PassListDamaged { .. }));
    desk.wait_for("the damage", damaged).await;
    assert_eq!(desk.client.tap(&blocked).await.unwrap().verdict, VerdictKind::Stop);
    hub.go();
    let all = u64::from(PASSES);
    desk.wait_for("the whole list", |it| well(it) && it.passes == all).await;
    assert_eq!(desk.client.tap(&blocked).await.unwrap().verdict, VerdictKind::Stop);
    assert_eq!(desk.client.tap(&other).await.unwrap().verdict, VerdictKind::Ok);
    assert!(!desk.folder.join("store/1").exists(), "it is given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_starts_on_a_read_only_disk_says_so_and_goes_on_when_it_can_be_written() {
    let world = tempfile::tempdir().unwrap();
    let Some(small) = SmallDisk::mount(&world.path().join("balie-1")) else { return };
    let mut hub = Hub::start(world.path(), &catalogue(3, 6));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    hub.stop();
    desk.stop();
    small.remount("ro");
    desk.go();
    desk.wait_for("the read-only disk", disk(Trouble::DiskReadOnly)).await;
    match desk.client.tap(&pass_number(0)).await {
        Err(ClientError::Problem(problem)) => {
            assert_eq!(problem.kind(), Some(ProblemKind::DiskReadOnly), "{problem:?}");
        }
        other => panic!("{other:?}"),
    }
    small.remount("rw");
    desk.wait_for("a disk that can be written", |it| well(it) && it.passes == 3).await;
    assert_eq!(desk.client.tap(&pass_number(0)).await.unwrap().verdict, VerdictKind::Ok);
}

/// Invariant 10: a folder that is removed is no disk that fails, and what the hub blocks meanwhile arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_removed_under_the_running_desk_is_filled_again_and_the_disk_is_not_blamed()
{
    let world = tempfile::tempdir().unwrap();
    let hub = Hub::start(world.path(), &catalogue(20, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    assert_eq!(desk.client.tap(&pass_number(1)).await.unwrap().verdict, VerdictKind::Ok);
    std::fs::remove_dir_all(desk.folder.join("store")).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&catalogue(20, 0)).unwrap();
    changed["passes"][2]["cardStatus"] = "BLOCKED".into();
    hub.import(&changed.to_string());
    let whole = |status: &Status| {
        assert_eq!(status.disk, Health::Fine, "the disk takes everything");
        desk.folder.join("store").is_dir() && status.store == Health::Fine && status.passes == 20
    };
    desk.wait_for("a whole pass list", whole).await;
    let answer = desk.client.tap(&pass_number(2)).await.unwrap();
    assert_eq!((answer.verdict, answer.reason), (VerdictKind::Stop, Some(Reason::CardBlocked)));
}
