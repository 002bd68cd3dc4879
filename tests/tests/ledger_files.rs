//! Ledger files that are damaged, cut or removed, under real daemons and a real hub: each entry whose verdict was shown
//! reaches the hub once, as far as its bytes are there, and what is lost is said with its number.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use desk_api::types::{Health, HubLink, Status, Trouble};
use stempel_tests::small_disk::SmallDisk;
use stempel_tests::{Desk, Hub, VENUE, catalogue, pass_number};

/// What somebody does to a ledger file.
type Harm = fn(&Path);

fn linked(status: &Status) -> bool {
    status.hub == HubLink::Connected
}

/// The only ledger file of a desk.
fn ledger_file(desk: &Desk) -> PathBuf {
    let folder = desk.folder.join("ledger").join(VENUE);
    let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let mut ledgers = files.filter(|path| path.extension().is_some_and(|it| it == "automerge"));
    ledgers.next().unwrap()
}

/// Where the chunks of a ledger file begin.
fn chunks_of(file: &Path) -> Vec<usize> {
    let bytes = fs::read(file).unwrap();
    let found = crdt_model::chunk::walk(&bytes);
    found.chunks.iter().map(|chunk| chunk.range.start).collect()
}

/// Checks these passes in: each counts.
async fn taps(desk: &Desk, passes: std::ops::Range<u32>) {
    for n in passes {
        assert!(desk.client.tap(&pass_number(n)).await.unwrap().entry.is_some());
    }
}

/// The hub has so many entries, of so many passes, which earned so many points: each entry once.
fn check_entries(hub: &Hub, desk: &Desk, entries: u64, passes: u64, points: u64) {
    let day = ledger_file(desk).file_stem().unwrap().to_str().unwrap().to_owned();
    let ledger = hub.json(&["show", "ledger", VENUE, &day]);
    let of: BTreeSet<String> =
        ledger.as_array().unwrap().iter().map(|it| it["pass"].to_string()).collect();
    assert_eq!((ledger.as_array().unwrap().len() as u64, of.len() as u64), (entries, passes));
    assert_eq!(hub.json(&["show", "totals"])["points"], points);
}

/// Of 150 entries that the hub does not have, a flipped bit costs none, and a hole what stood in it.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_behind_damage_reaches_the_hub_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path(), &catalogue(200, 0));
    let mut desk = Desk::start(folder.path(), &hub, "balie-1").await;
    hub.stop();
    desk.wait_for("the end of the link", |status| !linked(status)).await;
    taps(&desk, 0..150).await;
    let file = ledger_file(&desk);

    // Bits, while nobody has any of it but this disk: of a magic, a change, a checksum, a length, and of the last entry.
    desk.stop();
    let chunks = chunks_of(&file);
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 9;
    for at in [chunks[0] + 2, chunks[40] + 60, chunks[80] + 5, chunks[100] + 9, last] {
        bytes[at] ^= 4;
    }
    fs::write(&file, bytes).unwrap();
    desk.go();
    let status = desk.client.status().await.unwrap();
    assert_eq!(status.pending, 150);
    assert_eq!(status.disk, Health::Trouble(Trouble::LedgerMended { entries: 5 }));

    // A hole over three entries, and a kill right behind the next start.
    desk.stop();
    let chunks = chunks_of(&file);
    let mut bytes = fs::read(&file).unwrap();
    bytes[chunks[50] + 20..chunks[52] + 20].fill(0);
    fs::write(&file, bytes).unwrap();
    desk.go();
    desk.kill();
    desk.go();
    let status = desk.client.status().await.unwrap();
    assert_eq!(status.pending, 147, "they count before the hub has them");
    let lost = Trouble::LedgerDamaged { saved: 97, lost: 3 };
    assert_eq!(status.disk, Health::Trouble(lost.clone()), "also after another start");
    // A pass behind the damage was here today.
    let again = desk.client.tap(&pass_number(120)).await.unwrap();
    assert_eq!((again.entry, again.earlier_at.is_some()), (None, true));
    // What is taken back of it stays so, wherever it stands later.
    let last = desk.client.history().await.unwrap().into_iter().find_map(|row| row.answer.entry);
    assert!(desk.client.void(last).await.unwrap().entry.is_some());
    assert_eq!(desk.client.void(last).await.unwrap().entry, None, "once");
    hub.go();
    desk.wait_for("the link", |status| linked(status) && status.pending == 0).await;
    check_entries(&hub, &desk, 148, 147, 146);
    assert_eq!(desk.client.status().await.unwrap().disk, Health::Trouble(lost));
}

/// What the hub has already comes back, also where the store that knew it is lost together with the file.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_had_before_the_damage_comes_back_and_is_not_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path(), &catalogue(100, 0));
    let mut desk = Desk::start(folder.path(), &hub, "balie-1").await;
    taps(&desk, 0..30).await;
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    hub.stop();
    desk.wait_for("the end of the link", |status| !linked(status)).await;
    taps(&desk, 30..60).await;
    desk.stop();
    let file = ledger_file(&desk);
    let chunks = chunks_of(&file);
    let mut bytes = fs::read(&file).unwrap();
    bytes[chunks[10] + 20..chunks[12] + 20].fill(0);
    fs::write(&file, bytes).unwrap();
    fs::remove_dir_all(desk.folder.join("store")).unwrap();
    desk.go();
    hub.go();
    desk.wait_for("the link", |status| linked(status) && status.pending == 0).await;
    check_entries(&hub, &desk, 60, 60, 60);
    desk.wait_for("the pass list", |status| status.catalogue_at.is_some()).await;
    taps(&desk, 60..61).await;
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    check_entries(&hub, &desk, 61, 61, 61);
    // The desk has them all, too.
    desk.stop();
    desk.go();
    for n in [0, 11, 29, 30, 59] {
        assert_eq!(desk.client.tap(&pass_number(n)).await.unwrap().entry, None, "pass {n}");
    }
}

/// The daemon has all entries in memory: whatever is done to the files, the next append writes them again.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_removed_under_the_running_daemon_are_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path(), &catalogue(100, 0));
    let mut desk = Desk::start(folder.path(), &hub, "balie-1").await;
    hub.stop();
    desk.wait_for("the end of the link", |status| !linked(status)).await;
    taps(&desk, 0..8).await;
    let file = ledger_file(&desk);
    let harms: [(&str, Harm); 5] = [
        ("the file is removed", |file| fs::remove_file(file).unwrap()),
        ("the folder is removed", |file| fs::remove_dir_all(file.parent().unwrap()).unwrap()),
        ("all ledgers are removed", |file| {
            fs::remove_dir_all(file.ancestors().nth(2).unwrap()).unwrap();
        }),
        ("the file is cut", |file| {
            fs::OpenOptions::new().write(true).open(file).unwrap().set_len(300).unwrap();
        }),
        ("another file takes its place", |file| {
            fs::write(file.with_extension("other"), "something else").unwrap();
            fs::rename(file.with_extension("other"), file).unwrap();
        }),
    ];
    let mut acknowledged = 8;
    for (what, harm) in harms {
        harm(&file);
        taps(&desk, acknowledged..acknowledged + 2).await;
        acknowledged += 2;
        let status = desk.client.status().await.unwrap();
        assert!(
            matches!(status.disk, Health::Trouble(Trouble::LedgerWrittenAgain { .. })),
            "{what}: {:?}",
            status.disk
        );
        desk.kill();
        desk.go();
        let pending = desk.client.status().await.unwrap().pending;
        assert_eq!(pending, u64::from(acknowledged), "{what}");
    }
    // Without a tap, too.
    fs::remove_file(&file).unwrap();
    desk.wait_for("the look at the files", |status| status.disk != Health::Fine).await;
    assert!(file.exists());
    hub.go();
    desk.wait_for("the link", |status| linked(status) && status.pending == 0).await;
    let all = u64::from(acknowledged);
    check_entries(&hub, &desk, all, all, all);
}

/// A flipped bit in the last entry is put right; one that is cut short is kept aside and said.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_file_is_put_right_or_kept_aside_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path(), &catalogue(20, 0));
    let mut desk = Desk::start(folder.path(), &hub, "balie-1").await;
    hub.stop();
    taps(&desk, 0..5).await;
    let file = ledger_file(&desk);
    desk.stop();
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 9;
    bytes[last] ^= 0x40;
    fs::write(&file, &bytes).unwrap();
    desk.go();
    assert_eq!(desk.client.status().await.unwrap().pending, 5);
    desk.stop();
    let bytes = fs::read(&file).unwrap();
    let torn = &bytes[*chunks_of(&file).last().unwrap()..bytes.len() - 7];
    fs::write(&file, &bytes[..bytes.len() - 7]).unwrap();
    desk.go();
    let status = desk.client.status().await.unwrap();
    assert_eq!((status.pending, status.disk), (4, Health::Trouble(Trouble::LedgerEndCut)));
    assert_eq!(fs::read(file.with_extension("tail-1")).unwrap(), torn);
}

/// Invariant 10.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_or_damaged_file_on_a_full_disk_does_not_stop_the_start_and_is_made_whole_later() {
    let world = tempfile::tempdir().unwrap();
    let Some(small) = SmallDisk::mount(&world.path().join("balie-1")) else { return };
    let mut hub = Hub::start(world.path(), &catalogue(20, 0));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    hub.stop();
    taps(&desk, 0..5).await;
    let file = ledger_file(&desk);
    let damaged = Trouble::LedgerDamaged { saved: 2, lost: 1 };
    for (trouble, pending) in [(Trouble::LedgerEndCut, 4), (damaged, 4)] {
        desk.stop();
        let mut bytes = fs::read(&file).unwrap();
        if trouble == Trouble::LedgerEndCut {
            bytes.truncate(bytes.len() - 7);
        } else {
            let hole = crdt_model::chunk::walk(&bytes).chunks[1].range.clone();
            bytes[hole.start + 20..hole.end].fill(0);
        }
        fs::write(&file, &bytes).unwrap();
        small.fill();
        desk.go();
        let full = |it: &Status| it.disk == Health::Trouble(Trouble::DiskFull);
        desk.wait_for("the full disk", full).await;
        assert_eq!(desk.client.status().await.unwrap().pending, pending);
        assert_eq!(fs::read(&file).unwrap(), bytes, "it is as it was");
        small.make_room();
        let said = Health::Trouble(trouble);
        desk.wait_for("room, and the mended file", |it| it.disk == said).await;
        let next = u32::try_from(pending).unwrap()
            + 1
            + u32::from(said != Health::Trouble(Trouble::LedgerEndCut));
        taps(&desk, next..next + 1).await;
        desk.stop();
        desk.go();
        assert_eq!(desk.client.status().await.unwrap().pending, pending + 1);
    }
    hub.go();
    desk.wait_for("the link", |status| linked(status) && status.pending == 0).await;
    check_entries(&hub, &desk, 5, 5, 5);
}
