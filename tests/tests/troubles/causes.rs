//! What a test does to a desk and its hub to cause a trouble, and to end it.
#![allow(clippy::unused_async, reason = "causes and cures have one form, whether they wait or not")]

use std::fs;
use std::path::PathBuf;

use crdt_model::chunk::walk;
use desk_api::client::ClientError;
use desk_api::types::{Answer, HubLink, Status};
use stempel_tests::faked_clock::FakedClock;
use stempel_tests::small_disk::SmallDisk;
use stempel_tests::{Desk, Hub, VENUE, catalogue, pass_number};
use tempfile::TempDir;

/// Passes of the catalogue: each is tapped once.
const PASSES: u32 = 2_000;

/// Three hours and two days, in milliseconds.
const THREE_HOURS: i64 = 3 * 3_600_000;
const TWO_DAYS: i64 = 48 * 3_600_000;

/// A hub and a desk, each on a small disk, each with a clock of its own.
pub struct World {
    pub hub: Hub,
    pub desk: Desk,
    hub_disk: SmallDisk,
    desk_disk: SmallDisk,
    in_the_way: Option<PathBuf>,
    folder: TempDir,
    next: u32,
    recorded: u64,
}

impl World {
    /// Nothing where no disk can be mounted.
    pub async fn begin() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let hub_disk = SmallDisk::mount(&folder.path().join("hub"))?;
        let desk_disk = SmallDisk::mount(&folder.path().join("balie-1"))?;
        let mut hub = Hub::start(folder.path(), &catalogue(PASSES, 0));
        hub.set_clock(0);
        hub.stop();
        hub.go();
        let mut desk = Desk::start(folder.path(), &hub, "balie-1").await;
        desk.set_clock(0);
        desk.stop();
        desk.go();
        let in_the_way = None;
        let mut world =
            Self { hub, desk, hub_disk, desk_disk, in_the_way, folder, next: 0, recorded: 0 };
        for _ in 0..3 {
            world.tap().await.unwrap();
        }
        world.all_sent().await;
        Some(world)
    }

    /// Taps the next pass.
    pub async fn tap(&mut self) -> Result<Answer, ClientError> {
        self.next += 1;
        let answer = self.desk.client.tap(&pass_number(self.next)).await?;
        self.recorded += u64::from(answer.entry.is_some());
        Ok(answer)
    }

    /// Taps one pass after the other until the desk refuses: a full disk may have room for a few more entries.
    pub async fn tap_until_refused(&mut self) -> ClientError {
        for _ in 0..300 {
            if let Err(refused) = self.tap().await {
                return refused;
            }
        }
        panic!("the desk records for ever");
    }

    /// Every entry that was acknowledged is at the hub once, but for so many that still wait at the desk.
    pub fn check_entries(&mut self, waiting: u64) {
        let held = self.hub.json(&["show", "totals"])["entries"].as_u64().unwrap();
        assert_eq!(held, self.recorded - waiting);
    }

    async fn all_sent(&self) {
        let sent = |it: &Status| it.pending == 0 && it.hub == HubLink::Connected;
        self.desk.wait_for("pending 0", sent).await;
    }

    async fn offline(&self) {
        let offline = |it: &Status| matches!(it.hub, HubLink::Offline { .. });
        self.desk.wait_for("the end of the link", offline).await;
    }

    /// The newest ledger file.
    fn ledger_file(&self) -> PathBuf {
        let folder = self.desk.folder.join("ledger").join(VENUE);
        let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
        let ledgers = files.filter(|path| path.extension().is_some_and(|it| it == "automerge"));
        ledgers.filter(|path| path.is_file()).max().unwrap()
    }

    /// Changes the newest ledger file while the desk is stopped. What is not at the hub yet must not be harmed for good.
    fn harm_ledger(&mut self, harm: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        self.desk.stop();
        let file = self.ledger_file();
        let harmed = harm(fs::read(&file).unwrap());
        fs::write(&file, harmed).unwrap();
        self.desk.go();
    }
}

/// What the desk said to its operators, where the walk broke off.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.desk.folder.with_extension("log"));
            println!("the desk's log:\n{}", log.unwrap_or_default());
        }
    }
}

pub async fn stop_hub(world: &mut World) {
    world.hub.stop();
}

pub async fn start_hub(world: &mut World) {
    world.hub.go();
}

pub async fn fill_hub(world: &mut World) {
    world.hub_disk.fill();
    world.tap().await.unwrap();
}

pub async fn make_room_at_hub(world: &mut World) {
    world.hub_disk.make_room();
}

pub async fn fill_desk(world: &mut World) {
    world.desk_disk.fill();
    world.tap_until_refused().await;
}

pub async fn make_room_at_desk(world: &mut World) {
    world.desk_disk.make_room();
}

pub async fn make_read_only(world: &mut World) {
    world.desk.stop();
    world.desk_disk.remount("ro");
    world.desk.go();
}

pub async fn make_writable(world: &mut World) {
    world.desk_disk.remount("rw");
}

/// The folder of the ledgers is moved away and a file put in its place.
pub async fn put_a_folder_in_the_way(world: &mut World) {
    let file = world.ledger_file();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("something"), "in the way").unwrap();
    world.in_the_way = Some(file);
}

pub async fn take_it_away(world: &mut World) {
    fs::remove_dir_all(world.in_the_way.take().unwrap()).unwrap();
}

pub async fn start_again(world: &mut World) {
    world.desk.stop();
    world.desk.go();
}

pub async fn cut_the_end(world: &mut World) {
    world.all_sent().await;
    world.harm_ledger(|bytes| bytes[..bytes.len() - 7].to_vec());
}

pub async fn flip_a_bit(world: &mut World) {
    world.harm_ledger(|mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        bytes
    });
}

pub async fn fill_an_entry_with_zeroes(world: &mut World) {
    for _ in 0..3 {
        world.tap().await.unwrap();
    }
    world.all_sent().await;
    world.hub.stop();
    world.harm_ledger(|mut bytes| {
        let chunks = walk(&bytes).chunks;
        bytes[chunks[chunks.len() - 3].range.clone()].fill(0);
        bytes
    });
}

pub async fn put_a_file_back(world: &mut World) {
    world.tap().await.unwrap();
    world.all_sent().await;
    world.hub.stop();
    world.harm_ledger(|bytes| {
        let last = walk(&bytes).chunks.last().unwrap().range.start;
        bytes[..last].to_vec()
    });
}

pub async fn remove_a_file(world: &mut World) {
    fs::remove_file(world.ledger_file()).unwrap();
}

pub async fn cut_the_store_in_half(world: &mut World) {
    world.all_sent().await;
    world.hub.stop();
    world.desk.stop();
    let store = world.desk.folder.join("store");
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![store];
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(folder).unwrap() {
            let path = found.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let largest = files.into_iter().max_by_key(|it| fs::metadata(it).unwrap().len()).unwrap();
    let bytes = fs::read(&largest).unwrap();
    fs::write(&largest, &bytes[..bytes.len() / 2]).unwrap();
    world.desk.go();
}

pub async fn remove_the_store(world: &mut World) {
    world.all_sent().await;
    world.hub.stop();
    world.desk.stop();
    fs::remove_dir_all(world.desk.folder.join("store")).unwrap();
    world.desk.go();
}

pub async fn put_forward(world: &mut World) {
    world.all_sent().await;
    world.desk.set_clock(THREE_HOURS);
}

pub async fn put_right(world: &mut World) {
    world.desk.set_clock(0);
}

pub async fn start_in_1970(world: &mut World) {
    world.all_sent().await;
    world.hub.stop();
    world.desk.stop();
    let clock = FakedClock::new(world.folder.path(), "balie-1", "@1970-01-01 12:00:00");
    world.desk.go_by(&clock);
}

pub async fn put_right_and_start_hub(world: &mut World) {
    world.desk.set_clock(0);
    world.hub.go();
}

pub async fn jump_without_a_hub(world: &mut World) {
    world.hub.stop();
    start_again(world).await;
    world.offline().await;
    world.desk.set_clock(TWO_DAYS);
}

pub async fn put_the_hub_forward(world: &mut World) {
    world.all_sent().await;
    world.hub.set_clock(TWO_DAYS);
}

pub async fn put_the_hub_right(world: &mut World) {
    world.hub.set_clock(0);
}

pub async fn restore_the_hub(world: &mut World) {
    world.all_sent().await;
    world.hub.stop();
    let database = world.folder.path().join("hub/hub.db");
    let older = world.folder.path().join("older.db");
    fs::copy(&database, &older).unwrap();
    world.hub.go();
    for _ in 0..4 {
        world.tap().await.unwrap();
    }
    world.all_sent().await;
    world.hub.stop();
    fs::copy(&older, &database).unwrap();
    for log in ["hub.db-wal", "hub.db-shm"] {
        // SQLite takes them away at a clean end.
        let _ = fs::remove_file(world.folder.path().join("hub").join(log));
    }
    world.hub.go();
}

pub async fn revoke(world: &mut World) {
    world.all_sent().await;
    let devices = world.hub.json(&["device", "list"]);
    world.hub.run(&["device", "revoke", devices[0]["device"].as_str().unwrap()]);
}
