//! The hub that ships, on a SQLite file in memory, and a driver of its sessions: what `hub::session` is to a QUIC line,
//! one need after the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crdt_model::ids::{DeviceId, VenueId};
use crdt_model::time::UnixMillis;
use futures_util::FutureExt;
use hub::answers::{Answers, Identified};
use hub::db::news::Subscription;
use hub::db::storage::Storage;
use hub::db::{Beside, Db, sql};
use hub::ledgers::Taker;
use hub::surroundings::Surroundings;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sync_protocol::feed::{Found, HubClock, Need, News, Taken};
use sync_protocol::heartbeat::Ticks;
use sync_protocol::hub::{End, HubSession, Step};
use sync_protocol::message::{Batch, Hello};
use sync_protocol::request::RequestId;
use sync_protocol::runs::Run;
use sync_protocol::seal::HubKey;

use crate::template;

/// Noon, UTC.
pub(crate) const NOON: i64 = 1_795_262_400_000;

/// The reward whose stock is limited.
pub(crate) const REWARD: u32 = 1;

const HUB_SEED: [u8; 32] = [77; 32];

pub(crate) fn venue() -> &'static VenueId {
    static VENUE: OnceLock<VenueId> = OnceLock::new();
    VENUE.get_or_init(|| "de-reede".parse().unwrap())
}

pub(crate) fn hub_public_key() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| HubKey::from_seed(&HUB_SEED).unwrap().public_key().to_vec())
}

/// The hub's key as it stands in its folder: PKCS#8 around the seed.
fn hub_key() -> Vec<u8> {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(HUB_SEED);
    der
}

/// The one clock and the one randomness of a world.
#[derive(Debug)]
pub(crate) struct Simulated {
    /// The world's time, in milliseconds since the epoch.
    pub(crate) clock: AtomicI64,
    /// The hub's wall clock is so far from it.
    pub(crate) hub_skew: AtomicI64,
    random: Mutex<ChaCha20Rng>,
}

impl Simulated {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            clock: AtomicI64::new(NOON),
            hub_skew: AtomicI64::new(0),
            random: Mutex::new(ChaCha20Rng::seed_from_u64(seed)),
        })
    }
}

impl Surroundings for Simulated {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.load(Ordering::Relaxed) + self.hub_skew.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        let passed = self.clock.load(Ordering::Relaxed) - NOON;
        Duration::from_millis(u64::try_from(passed).unwrap())
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.random.lock().unwrap().fill_bytes(bytes);
    }
}

/// A mistake that the driver makes, to see that the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    Nothing,
    /// A batch is acknowledged, and committed when the next thing is asked, if the hub lives so long.
    AcknowledgedBeforeCommit,
    /// Numbers count and runs do not: whichever run a desk names is taken for one of this database.
    RunsIgnored,
    /// That a request was done is forgotten before it comes again.
    RequestDoneTwice,
    /// Sessions are not told what moves.
    NewsLost,
    /// A hub that was restored starts without looking at its journal.
    JournalIgnored,
}

/// The hub: a folder, and a process that has it open.
pub(crate) struct Hub {
    folder: tempfile::TempDir,
    pub(crate) surroundings: Arc<Simulated>,
    pub(crate) planted: Planted,
    pub(crate) db: Db,
    taker: Taker,
    clock_doubtful: Arc<AtomicBool>,
    /// What was answered to each request since the last restore.
    answered: BTreeMap<RequestId, Option<String>>,
    /// Acknowledged, and not committed.
    late: Vec<(DeviceId, Batch)>,
}

/// A folder in memory where the system has one.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Opens the hub of this folder, as a server does before it serves.
pub(crate) async fn open(folder: &Path, surroundings: Arc<Simulated>) -> Db {
    let storage = Arc::new(Storage::new(folder));
    let db = Db::open_file(&folder.join("hub.db"), storage, surroundings).await.unwrap();
    db.stands_beside(Beside::of(folder, &hub_key()).unwrap());
    hub::restored::begin(&db).await.unwrap();
    db
}

const DATABASE: [&str; 2] = ["hub.db", "hub.db-wal"];
const BESIDE: [&str; 2] = ["hub.journal", "hub.reached"];

/// Files of a hub's folder, as they were.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeMap<&'static str, Vec<u8>>);

impl Files {
    /// The database and what stands beside it, as any tool copies them.
    pub(crate) fn of(folder: &Path) -> Self {
        let names = DATABASE.into_iter().chain(BESIDE);
        let there = names.filter_map(|name| Some((name, fs::read(folder.join(name)).ok()?)));
        Self(there.collect())
    }

    fn put(&self, folder: &Path, names: &[&str]) {
        for name in names {
            remove(&folder.join(name));
            if let Some(bytes) = self.0.get(name) {
                fs::write(folder.join(name), bytes).unwrap();
            }
        }
    }
}

fn remove(file: &Path) {
    if let Err(error) = fs::remove_file(file) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }
}

impl Hub {
    pub(crate) async fn new(desks: u8, large: bool, seed: u64, planted: Planted) -> Self {
        let folder = folder();
        let template = template::of(desks, large).await;
        template.put(folder.path(), &DATABASE);
        template.put(folder.path(), &BESIDE);
        let surroundings = Simulated::new(seed);
        let db = open(folder.path(), surroundings.clone()).await;
        Self {
            taker: Taker::new(db.clone()),
            folder,
            surroundings,
            planted,
            db,
            clock_doubtful: Arc::default(),
            answered: BTreeMap::new(),
            late: Vec::new(),
        }
    }

    /// It goes down, and comes again with what it has committed.
    pub(crate) async fn restart(&mut self) {
        self.db.close().await;
        self.start().await;
    }

    async fn start(&mut self) {
        self.late.clear();
        self.db = open(self.folder.path(), self.surroundings.clone()).await;
        self.taker = Taker::new(self.db.clone());
        self.clock_doubtful = Arc::default();
    }

    /// A copy of the database and of what stands beside it, as any tool makes one.
    pub(crate) fn copy(&self) -> Files {
        Files::of(self.folder.path())
    }

    /// It goes down, and its database is put back from a copy: `whole` with what stood beside it then.
    pub(crate) async fn restore(&mut self, from: &Files, whole: bool) {
        self.db.close().await;
        let folder = self.folder.path();
        remove(&folder.join("hub.db-shm"));
        from.put(folder, &DATABASE);
        if whole {
            from.put(folder, &BESIDE);
        } else if self.planted == Planted::JournalIgnored {
            for name in BESIDE {
                remove(&folder.join(name));
            }
        }
        self.answered.clear();
        self.start().await;
    }

    fn clock(&self) -> HubClock {
        let doubtful = self.clock_doubtful.load(Ordering::Relaxed);
        HubClock { wall: self.surroundings.now(), doubtful }
    }

    fn ticks(&self) -> Ticks {
        Ticks(u64::try_from(self.surroundings.steady().as_millis()).unwrap())
    }

    /// A new line, opened with this key.
    pub(crate) fn session(&self, public_key: &[u8]) -> Session {
        let (db, taker) = (self.db.clone(), self.taker.clone());
        Session {
            answers: Answers::new(db, taker, public_key.to_vec(), self.clock_doubtful.clone()),
            machine: HubSession::new(self.ticks(), self.clock()),
            desk: None,
            news: None,
            hello: None,
        }
    }

    async fn commit_late(&mut self) {
        for (device, batch) in std::mem::take(&mut self.late) {
            self.taker.take(venue(), device, &batch).await.unwrap();
        }
    }
}

/// One connection at the hub.
pub(crate) struct Session {
    answers: Answers,
    machine: HubSession,
    desk: Option<Identified>,
    news: Option<Subscription>,
    hello: Option<Box<Hello>>,
}

/// What became of a turn of a session.
pub(crate) enum Turn {
    /// These bytes are to be sent.
    Said(Vec<u8>),
    /// These last ones; the line is closed.
    Over(Vec<u8>),
    /// The hub went down behind a commit, before it could say so.
    Crashed,
}

impl Session {
    /// Takes bytes, and gives those to send; `crash` loses the hub behind what it does next.
    pub(crate) async fn turn(&mut self, bytes: &[u8], hub: &mut Hub, crash: bool) -> Turn {
        let mut said = Vec::new();
        self.machine.tick(hub.ticks(), hub.clock());
        self.machine.receive(bytes);
        loop {
            if self.hear(hub).await {
                return Turn::Over(said);
            }
            match self.machine.step() {
                Step::Send(bytes) => said.extend(bytes),
                Step::Need(need) => {
                    let writes = matches!(
                        need,
                        Need::Take(_) | Need::Request(_) | Need::Wanted(_) | Need::Closing(_)
                    );
                    self.find(need, hub).await;
                    if writes && crash {
                        return Turn::Crashed;
                    }
                }
                Step::Wait { .. } => return Turn::Said(said),
                // A repeated or cut stream may end in the middle of a frame, but says nothing wrong.
                Step::End(end @ (End::Protocol(_) | End::NotAsked)) => panic!("{end}"),
                Step::End(_) => {
                    hub.commit_late().await;
                    return Turn::Over(said);
                }
            }
        }
    }

    /// Tells the machine what moved; `true` where the session is over.
    async fn hear(&mut self, hub: &Hub) -> bool {
        let (Some(news), Some(desk)) = (&mut self.news, &self.desk) else { return false };
        while let Some(heard) = news.heard().now_or_never() {
            let Some(heard) = heard else { return true };
            if heard.put_back {
                return true;
            }
            if hub.planted == Planted::NewsLost {
                continue;
            }
            for news in self.answers.news_of(desk, heard).await.unwrap() {
                self.machine.news(news);
            }
        }
        false
    }

    async fn find(&mut self, need: Need, hub: &mut Hub) {
        hub.commit_late().await;
        let request = match &need {
            Need::Request(request) => Some(request.id),
            _ => None,
        };
        match &need {
            Need::Desk(hello) => self.hello = Some(hello.clone()),
            Need::Take(batches) if hub.planted == Planted::AcknowledgedBeforeCommit => {
                let device = self.desk.as_ref().unwrap().device;
                hub.late.extend(batches.iter().map(|batch| (device, batch.clone())));
                let held = batches.iter().map(|batch| batch.seal.sequence);
                let held = held.map(|sequence| Taken::Held { sequence, number: None });
                return self.machine.found(Found::Taken(held.collect()));
            }
            Need::Request(request) if hub.planted == Planted::RequestDoneTwice => {
                let forget = sql("DELETE FROM request WHERE id = $1").bind(request.id.0.to_vec());
                hub.db.write_one(forget).await.unwrap();
            }
            _ => {}
        }
        let answer = self.answers.clone().find(self.desk.clone(), need).await;
        let mut answer = answer.unwrap_or_else(|error| panic!("the hub failed: {error}"));
        if let (Some(id), Found::Answered(Some(it))) = (request, &answer.found) {
            let before = hub.answered.insert(id, it.refused.clone());
            assert!(
                before.as_ref().is_none_or(|before| *before == it.refused),
                "request {id} was done twice: {before:?}, then {:?}",
                it.refused
            );
        }
        if let Found::Runs(table) = &mut answer.found
            && hub.planted == Planted::RunsIgnored
        {
            let seen = self.hello.iter().flat_map(|it| &it.seen);
            let pairs = seen.flat_map(|it| it.any.iter().chain(&it.catalogue).chain(&it.venue));
            let counter = table.counter;
            let said = pairs.map(|pair| Run { id: pair.run, begins: counter });
            let newest = table.runs.last().copied();
            table.runs = said.chain(newest).collect();
        }
        if let Some((desk, hears)) = answer.identified {
            (self.desk, self.news) = (Some(desk), Some(hears));
        }
        // Before what was found: its numbers are of this run.
        if let Some(run) = answer.run {
            self.machine.news(News::Run(run));
        }
        self.machine.found(answer.found);
    }
}
