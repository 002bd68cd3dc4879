//! The hub that ships, on a SQLite file in memory, and a driver of its sessions: what `hub::session` is to a QUIC line,
//! one need after the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crdt_model::ids::{DeviceId, VenueId};
use crdt_model::stock::GrantedUnits;
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
use sync_protocol::runs::KnownRun;
use sync_protocol::seal::HubKey;
use sync_protocol::version::Seen;

use crate::template;

/// Noon, UTC.
pub(crate) const NOON: i64 = 1_795_262_400_000;

const HUB_SEED: [u8; 32] = [77; 32];

pub(crate) fn venue() -> &'static VenueId {
    static VENUE: OnceLock<VenueId> = OnceLock::new();
    VENUE.get_or_init(|| "de-reede".parse().unwrap())
}

pub(crate) fn hub_public_key() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| HubKey::from_seed(&HUB_SEED).unwrap().public_key().to_vec())
}

/// A key as it stands in a folder: PKCS#8 around the seed.
pub(crate) fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(seed);
    der
}

/// The hub's key as it stands in its folder.
pub(crate) fn hub_key() -> Vec<u8> {
    pkcs8(&HUB_SEED)
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

    /// So many random bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
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

/// A fault that is planted, to see that the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// None.
    Nothing,
    /// The desks' disks say that something is durable, and forget it at a power cut.
    NothingIsSynced,
    /// A desk applies the first half of a page, and takes the page for applied.
    PageHalfApplied,
    /// A desk leaves out the deny list that goes ahead of the catalogue.
    DenyListLeftOut,
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
    /// Whatever comes under a desk's name counts as sealed by it.
    SealUnchecked,
    /// What one desk was granted is granted to the next one that asks, too.
    GrantSentTwice,
    /// A desk that was revoked is answered as if it were not.
    ResumedAfterRevocation,
    /// Each third batch is folded as if nobody else wrote meanwhile: the accounts of before are written over the new ones.
    FoldedBeforeLocked,
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
    /// Batches that were taken.
    taken: u64,
    /// What was granted first, and to whom.
    granted: Option<(DeviceId, Vec<GrantedUnits>)>,
    /// To whom it was granted, too.
    granted_again: Option<DeviceId>,
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
            taken: 0,
            granted: None,
            granted_again: None,
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
            public_key: public_key.to_vec(),
            answers: Answers::new(db, taker, public_key.to_vec(), self.clock_doubtful.clone()),
            machine: HubSession::new(self.ticks(), self.clock()),
            desk: None,
            news: None,
            hello: None,
        }
    }

    /// The accounts as they stand, where the next batch is to be folded without looking.
    async fn before_a_stale_fold(&mut self) -> Option<Vec<(u64, Vec<u8>)>> {
        self.taken += 1;
        if self.planted != Planted::FoldedBeforeLocked || !self.taken.is_multiple_of(3) {
            return None;
        }
        let select = sql("SELECT id, record FROM pass WHERE id <= $1").bind(template::PASSES);
        let rows = self.db.read().await.unwrap().all(select).await.unwrap();
        Some(rows.iter().map(|it| (it.get("id").unwrap(), it.get("record").unwrap())).collect())
    }

    async fn fold_stale(&self, before: Option<Vec<(u64, Vec<u8>)>>) {
        for (pass, record) in before.into_iter().flatten() {
            let update = sql("UPDATE pass SET record = $1 WHERE id = $2").bind(record).bind(pass);
            self.db.write_one(update).await.unwrap();
        }
    }

    /// Whoever was revoked is let in for one answer, where that is planted.
    async fn let_in(&self, public_key: &[u8], need: &Need, identified: bool) -> Option<DeviceId> {
        let of_desk = matches!(need, Need::Desk(_)) || identified;
        if self.planted != Planted::ResumedAfterRevocation || !of_desk {
            return None;
        }
        let device = DeviceId::of_public_key(public_key);
        if hub::registry::is_enrolled(&self.db, device).await.unwrap() {
            return None;
        }
        let update = sql("UPDATE device SET revoked_at = NULL WHERE id = $1").bind(device.0);
        self.db.write_one(update).await.unwrap();
        Some(device)
    }

    async fn keep_out(&self, device: Option<DeviceId>) {
        if let Some(device) = device {
            let update = sql("UPDATE device SET revoked_at = 1 WHERE id = $1").bind(device.0);
            self.db.write_one(update).await.unwrap();
        }
    }

    fn grant_twice(&mut self, device: DeviceId, grants: &mut Vec<GrantedUnits>, asks: bool) {
        match &self.granted {
            None if asks && !grants.is_empty() => self.granted = Some((device, grants.clone())),
            Some((other, units)) if *other != device => {
                if asks {
                    self.granted_again.get_or_insert(device);
                }
                if self.granted_again == Some(device) {
                    grants.splice(0..0, units.clone());
                }
            }
            _ => {}
        }
    }

    /// A batch that somebody carries here.
    pub(crate) async fn take(&self, carrier: DeviceId, batch: &Batch) -> hub::ledgers::Taken {
        self.taker.take(venue(), carrier, batch).await.unwrap().taken
    }

    async fn commit_late(&mut self) {
        for (device, batch) in std::mem::take(&mut self.late) {
            self.taker.take(venue(), device, &batch).await.unwrap();
        }
    }
}

/// One connection at the hub.
pub(crate) struct Session {
    public_key: Vec<u8>,
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
                        Need::Take(_)
                            | Need::Request(_)
                            | Need::Wanted(_)
                            | Need::Closing(_)
                            | Need::Enrol(_)
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
        let before = match &need {
            Need::Take(_) => hub.before_a_stale_fold().await,
            _ => None,
        };
        let asks = matches!(need, Need::Wanted(_));
        let revoked = hub.let_in(&self.public_key, &need, self.desk.is_some()).await;
        let answer = self.answers.clone().find(self.desk.clone(), need).await;
        hub.keep_out(revoked).await;
        hub.fold_stale(before).await;
        let mut answer = answer.unwrap_or_else(|error| panic!("the hub failed: {error}"));
        if let (Some(id), Found::Answered(Some(it))) = (request, &answer.found) {
            let before = hub.answered.insert(id, it.refused.clone());
            assert!(
                before.as_ref().is_none_or(|before| *before == it.refused),
                "request {id} was done twice: {before:?}, then {:?}",
                it.refused
            );
        }
        if let (Found::Granted { grants, .. }, Some(desk), Planted::GrantSentTwice) =
            (&mut answer.found, &self.desk, hub.planted)
        {
            hub.grant_twice(desk.device, grants, asks);
        }
        if let Found::Runs(table) = &mut answer.found
            && hub.planted == Planted::RunsIgnored
        {
            let seen = self.hello.iter().flat_map(|it| &it.seen);
            let said = seen.flat_map(Seen::runs);
            table.known = said.map(|id| KnownRun { id, ends: u64::MAX }).collect();
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
