//! Taking batches. What is slow about a batch (unpacking, hashing, the seal) is done before the writer's turn; in the
//! turn it is only seen whether the list still stands where it was judged from. Batches that wait while another commit
//! is on its way to the disk share the next one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crdt_model::account::Placed;
use crdt_model::entry::{EntryRef, Subject};
use crdt_model::ids::{DeviceId, VenueId};
use crdt_model::ledger::{Extension, LedgerId, Position};
use crdt_model::time::{UnixMillis, date_of_day_number};
use sync_protocol::batch::{MAX_PACKED_BYTES, unpack};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::Batch;
use sync_protocol::version::Version;
use tokio::sync::oneshot;

use super::{New, fold_with};
use crate::clock::{self, ReceiptTime};
use crate::db::{Db, HubError, Reading, Says, Writing};
use crate::records::devices::{self, Writer};
use crate::records::lists::{self, ListKey, Locked};
use crate::records::log::{self, Accepted};
use crate::records::runs::Newest;
use crate::records::{entries, passes, quarantine, runs};

/// A batch's entries at the most, unpacked: what the hub can pack again for the venue's other desks.
/// Our desks make none that is larger.
const MAX_PLAIN_BYTES: usize = MAX_PACKED_BYTES - 1024;

/// Batches that share a commit at the most: as many desks as tap within the time of a slow disk's fsync.
const MOST_TOGETHER: usize = 256;

/// Entries that share a commit at the most: others wait a quarter of a second for them, where 30,000 are taken a second.
/// The more there are, the more of them meet on a page of the database, which is written once.
const MOST_ENTRIES_TOGETHER: usize = 8_000;

/// How often a batch is judged anew because its list moved meanwhile: somebody else carries the same list.
const MOST_JUDGED: usize = 32;

/// How often a commit is tried again that met another writer's.
const MOST_TRIES: usize = 5;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The hub holds the list up to here, on the disk.
    Held {
        /// How many entries.
        sequence: u64,
        /// Whether anything was new.
        new: bool,
    },
    /// Something before it is lacking.
    Lacking {
        /// How many entries are held.
        held: u64,
    },
    /// Set apart, with its reason.
    Quarantined {
        /// Why.
        reason: String,
    },
    /// The device that carried it may add nothing any more.
    Revoked,
}

/// What became of a batch, and the hub's number when it had: at or after the commit, where there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenAt {
    /// What became of it.
    pub taken: Taken,
    /// The number up to which all was visible then.
    pub number: Option<u64>,
    /// The newest run of the database then, where that was looked up.
    pub run: Option<Version>,
}

/// A batch that was judged and is to be written.
#[derive(Debug)]
struct Judged {
    venue: VenueId,
    carrier: DeviceId,
    batch: Batch,
    what: What,
}

#[derive(Debug)]
enum What {
    /// These entries, behind this position.
    Merge { ledger: LedgerId, held: Position, extension: Box<Extension>, entries: Vec<Vec<u8>> },
    /// Set it apart.
    SetApart(String),
}

/// What was found before the turn.
enum Looked {
    /// There is nothing to write of the first batch.
    Answered(Taken),
    /// The first of the batches, which are to be written together.
    Judged(Vec<Judged>),
}

/// What was found of one batch.
enum LookedAtOne {
    Answered(Taken),
    Judged(What),
}

/// What came of it in the turn.
enum Written {
    Taken(Taken),
    /// The list is not where it was: judge again.
    Moved,
}

/// What came of batches that shared a commit.
struct WrittenTogether {
    written: Vec<Written>,
    /// Up to which number all is visible.
    number: Option<u64>,
    /// The newest run, where nobody else can have opened another one since: on SQLite.
    run: Option<Version>,
}

/// Takes a batch that the desk `carrier` sent, in a transaction of its own.
///
/// # Errors
/// [`HubError`]; nothing is then kept.
pub async fn take(
    db: &Db,
    venue: &VenueId,
    carrier: DeviceId,
    batch: &Batch,
) -> Result<Taken, HubError> {
    for _ in 0..MOST_JUDGED {
        let judged = match look(db, venue, carrier, std::slice::from_ref(batch)).await? {
            Looked::Answered(taken) => return Ok(taken),
            Looked::Judged(judged) => judged,
        };
        let together = write_together(db, &judged.iter().collect::<Vec<_>>()).await?;
        if let Some(Written::Taken(taken)) = together.written.into_iter().next() {
            return Ok(taken);
        }
    }
    Err(busy())
}

fn busy() -> HubError {
    HubError::Record("a list moved whenever it was looked at".to_owned())
}

fn key_of(venue: &VenueId, batch: &Batch) -> ListKey {
    ListKey { venue: venue.to_string(), day: batch.day, writer: batch.writer.0 }
}

/// Judges batches of one desk, which came behind each other: all that needs no turn. At least the first of them; the
/// others as far as they can be written with it.
async fn look(
    db: &Db,
    venue: &VenueId,
    carrier: DeviceId,
    batches: &[Batch],
) -> Result<Looked, HubError> {
    let mut reading = db.read().await?;
    let writers = batches.iter().map(|batch| batch.writer.writer().device);
    let all: HashSet<DeviceId> = writers.chain([carrier]).collect();
    let devices = devices::writers(&mut reading, all).await?;
    // A device's status counts at every batch, whatever TLS said when the line was opened.
    if !takes_part(&devices, carrier, venue) {
        return Ok(Looked::Answered(Taken::Revoked));
    }
    let keys: BTreeSet<ListKey> = batches.iter().map(|batch| key_of(venue, batch)).collect();
    let mut positions = lists::positions(&mut reading, &keys).await?;
    // Lists that stand where they stand in `positions` only when what was judged here is written.
    let mut ahead = HashSet::new();
    let mut judged = Vec::with_capacity(batches.len());
    for batch in batches {
        let key = key_of(venue, batch);
        let held = positions.get(&key).copied().unwrap_or_default();
        let what = match look_at_one(db, &mut reading, &devices, venue, batch, held).await? {
            LookedAtOne::Answered(taken) if judged.is_empty() => {
                return Ok(Looked::Answered(taken));
            }
            LookedAtOne::Answered(_) => break,
            LookedAtOne::Judged(What::SetApart(_)) if ahead.contains(&key) => break,
            LookedAtOne::Judged(what) => what,
        };
        if let What::Merge { extension, .. } = &what {
            positions.insert(key.clone(), extension.head());
            ahead.insert(key);
        }
        let (venue, batch) = (venue.clone(), batch.clone());
        judged.push(Judged { venue, carrier, batch, what });
    }
    Ok(Looked::Judged(judged))
}

/// Judges one batch, whose list stands at `held`.
async fn look_at_one(
    db: &Db,
    reading: &mut Reading,
    devices: &HashMap<DeviceId, Writer>,
    venue: &VenueId,
    batch: &Batch,
    held: Position,
) -> Result<LookedAtOne, HubError> {
    let set_apart = |reason: &str| Ok(LookedAtOne::Judged(What::SetApart(reason.to_owned())));
    let Some(day) = date_of_day_number(batch.day) else {
        return set_apart("its day is outside the calendar");
    };
    if !is_its_writer(devices, batch, venue) && !is_of_this_hub(db, batch) {
        return set_apart(NO_WRITER);
    }
    let ledger = LedgerId { venue: venue.clone(), day };
    match judge(batch, &ledger, held) {
        Judgement::Held => {
            // The entries' bytes as they came. Without this look a desk whose disk was copied would be told that the
            // hub has what it has not.
            let sent = unpack(&batch.entries).unwrap_or_default();
            let places = batch.first - 1..batch.first - 1 + sent.len() as u64;
            let writer = &batch.writer.0;
            let kept = entries::bytes(reading, venue.as_str(), batch.day, writer, places).await?;
            if kept == sent {
                let sequence = held.sequence;
                Ok(LookedAtOne::Answered(Taken::Held { sequence, new: false }))
            } else {
                set_apart(
                    "the hub holds other entries at these places: two desks wrote under one key",
                )
            }
        }
        Judgement::Lacking { held } => Ok(LookedAtOne::Answered(Taken::Lacking { held })),
        Judgement::Quarantine(reason) => set_apart(&reason.to_string()),
        Judgement::Merge(extension) => {
            // As they came and not written anew: a newer desk's fields are in them, and the seal is over all of them.
            let entries = unpack(&batch.entries).unwrap_or_default();
            if entries.iter().map(|entry| entry.len() + 1).sum::<usize>() > MAX_PLAIN_BYTES {
                return set_apart("the batch is larger than any that can be handed on");
            }
            let extension = Box::new(extension);
            Ok(LookedAtOne::Judged(What::Merge { ledger, held, extension, entries }))
        }
    }
}

const NO_WRITER: &str = "its writer is no enrolled desk of this venue";

fn takes_part(devices: &HashMap<DeviceId, Writer>, device: DeviceId, venue: &VenueId) -> bool {
    devices.get(&device).is_some_and(|it| it.venue == venue.as_str())
}

fn is_its_writer(devices: &HashMap<DeviceId, Writer>, batch: &Batch, venue: &VenueId) -> bool {
    let device = batch.writer.writer().device;
    takes_part(devices, device, venue)
        && devices.get(&device).is_some_and(|it| it.public_key == batch.public_key)
}

/// Whether this hub itself wrote it: an operator's correction, which desks give back to a database that has lost it.
fn is_of_this_hub(db: &Db, batch: &Batch) -> bool {
    db.beside().is_some_and(|beside| {
        let key = beside.key().public_key();
        batch.public_key == key && batch.writer.writer().device == DeviceId::of_public_key(key)
    })
}

/// Writes batches that were judged, in one transaction: all of them, or none. Several may extend one list, each where the
/// one before it ends.
async fn write_together(db: &Db, judged: &[&Judged]) -> Result<WrittenTogether, HubError> {
    let mut writing = db.write().await?;
    let all = judged.iter().flat_map(|it| [it.carrier, it.batch.writer.writer().device]);
    let all: HashSet<DeviceId> = all.collect();
    let devices = devices::writers(&mut writing, all).await?;
    let mut keys: Vec<ListKey> = judged.iter().filter_map(|it| it.list()).collect();
    keys.sort();
    keys.dedup();
    let locked = lists::lock(&mut writing, &keys).await?;
    let mut time = None;
    let mut extended: HashMap<ListKey, Locked> = HashMap::new();
    let mut came = Vec::new();
    let mut written = Vec::with_capacity(judged.len());
    for it in judged {
        if !takes_part(&devices, it.carrier, &it.venue) {
            written.push(Written::Taken(Taken::Revoked));
            continue;
        }
        let reason = match &it.what {
            What::SetApart(reason) => reason,
            // Revoked since it was judged.
            What::Merge { .. }
                if !is_its_writer(&devices, &it.batch, &it.venue)
                    && !is_of_this_hub(db, &it.batch) =>
            {
                NO_WRITER
            }
            What::Merge { ledger, held, extension, entries } => {
                let list = it.key();
                let stands = extended.get(&list).or_else(|| locked.get(&list)).copied();
                let Some(stands) = stands.filter(|it| it.position == *held) else {
                    written.push(Written::Moved);
                    continue;
                };
                extended.insert(list, Locked { position: extension.head(), ..stands });
                let time = match time {
                    Some(time) => time,
                    None => *time.insert(clock::receipt_time(&mut writing).await?),
                };
                let writer = devices.get(&extension.writer().device);
                let all_held_at = writer.and_then(|it| it.all_held_at).map(UnixMillis);
                let batch = &it.batch;
                if is_of_this_hub(db, batch) {
                    let (device, key) = (extension.writer().device, &batch.public_key);
                    devices::add(&mut writing, device, it.venue.as_str(), "hub", key, true).await?;
                }
                let list = stands.id;
                came.push(Came { ledger, list, batch, extension, entries, time, all_held_at });
                let sequence = extension.head().sequence;
                written.push(Written::Taken(Taken::Held { sequence, new: true }));
                continue;
            }
        };
        quarantine::add(&mut writing, &it.venue, it.carrier, &it.batch, reason).await?;
        let writer = it.batch.writer.writer();
        tracing::warn!(venue = %it.venue, day = it.batch.day, %writer, reason, "entries set apart");
        written.push(Written::Taken(Taken::Quarantined { reason: reason.to_owned() }));
    }
    keep(&mut writing, &came).await?;
    let run = if db.is_postgres() { None } else { runs::newest_run(&mut writing).await?.run };
    let number = writing.commit().await?;
    Ok(WrittenTogether { written, number, run })
}

impl Judged {
    fn key(&self) -> ListKey {
        key_of(&self.venue, &self.batch)
    }

    /// The list that it extends.
    fn list(&self) -> Option<ListKey> {
        matches!(self.what, What::Merge { .. }).then(|| self.key())
    }

    fn entries(&self) -> usize {
        match &self.what {
            What::Merge { entries, .. } => entries.len(),
            What::SetApart(_) => 0,
        }
    }
}

/// Entries as they came, and when.
pub(crate) struct Came<'a> {
    pub(crate) ledger: &'a LedgerId,
    /// The number of the list that they extend.
    pub(crate) list: u64,
    pub(crate) batch: &'a Batch,
    /// What they extend their list by.
    pub(crate) extension: &'a Extension,
    /// The batch's entries, as bytes.
    pub(crate) entries: &'a [Vec<u8>],
    /// The time of receipt.
    pub(crate) time: ReceiptTime,
    /// When the hub last held everything that their desk had written, by clocks that agreed.
    pub(crate) all_held_at: Option<UnixMillis>,
}

/// Keeps entries, and folds the passes that they are about. Their lists are locked.
pub(crate) async fn keep(writing: &mut Writing, came: &[Came<'_>]) -> Result<(), HubError> {
    if came.is_empty() {
        return Ok(());
    }
    let owners = owners_of_chips(writing, came).await?;
    let mut new = Vec::new();
    // Of several stretches of one list the last one says how far it has come.
    let mut extended = BTreeMap::new();
    let mut logged: BTreeMap<&VenueId, Vec<Accepted>> = BTreeMap::new();
    for it in came {
        let (extension, batch, venue) = (it.extension, it.batch, &it.ledger.venue);
        let list = key_of(venue, batch);
        let first = extension.first_index();
        let known = usize::try_from(first + 1 - batch.first).unwrap_or(usize::MAX);
        let receipt = it.time.receipt(it.all_held_at);
        let parts = extension.entries().iter().zip(extension.first_places());
        let places = (first..).zip(parts).zip(it.entries.iter().skip(known));
        for ((index, (entry, first_place)), bytes) in places {
            let (pass, chip) = match entry.subject {
                Subject::Pass(pass) => (Some(pass.0), None),
                Subject::Chip(chip) => {
                    let chip = chip.to_string();
                    (owners.get(&chip).copied(), Some(chip))
                }
                Subject::External(_) => (None, None),
            };
            let mut entry = *entry;
            if let Some(pass) = pass {
                entry.subject = Subject::Pass(crdt_model::ids::PassId(pass));
            }
            let place = EntryRef { day: it.ledger.day, writer: extension.writer(), index };
            let placed = Placed {
                venue: venue.clone(),
                place,
                first_place: *first_place,
                entry,
                included: false,
                receipt,
            };
            let (list, bytes) = (it.list, bytes.clone());
            new.push(New { placed, list, bytes, pass, chip, outcome: None });
        }
        let head = extension.head();
        extended.insert(it.list, head);
        logged.entry(venue).or_default().push(Accepted {
            list,
            first: first + 1,
            last: head.sequence,
            signature: batch.seal.signature.clone(),
            received: it.time.at.0,
        });
    }
    fold_with(writing, new).await?;
    lists::extend(writing, &extended.into_iter().collect::<Vec<_>>()).await?;
    for (venue, accepted) in logged {
        log::add(writing, venue, accepted).await?;
    }
    Ok(())
}

/// The passes of the cards that were written by their chip numbers, where they are known.
async fn owners_of_chips(
    writing: &mut Writing,
    came: &[Came<'_>],
) -> Result<HashMap<String, u64>, HubError> {
    let all = came.iter().flat_map(|it| it.extension.entries());
    let mut chips: Vec<String> = all
        .filter_map(|entry| match entry.subject {
            Subject::Chip(chip) => Some(chip.to_string()),
            Subject::Pass(_) | Subject::External(_) => None,
        })
        .collect();
    chips.sort();
    chips.dedup();
    // Whoever says meanwhile whose a chip is would not see these entries.
    for chip in &chips {
        entries::lock_chip(writing, chip).await?;
    }
    passes::owners(writing, chips).await
}

/// Takes the batches of all sessions: those that wait for a commit share the next one.
#[derive(Debug, Clone)]
pub struct Taker {
    db: Db,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Whether somebody writes, and will take what waits after that.
    works: bool,
}

/// Batches of one desk that came behind each other.
#[derive(Debug)]
struct Job {
    judged: Vec<Judged>,
    /// Told what became of each; nothing of those that are to be judged again.
    answer: oneshot::Sender<Result<Vec<Option<TakenAt>>, HubError>>,
}

impl Job {
    fn entries(&self) -> usize {
        self.judged.iter().map(Judged::entries).sum()
    }
}

/// Should the writing task fail, those who wait are told, and the next who comes begins anew.
struct Ending<'a> {
    taker: &'a Taker,
    /// Nothing waited when it ended: by now another task may be at work.
    well: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.well {
            *self.taker.waiting() = Waiting::default();
        }
    }
}

impl Taker {
    /// For this database.
    pub fn new(db: Db) -> Self {
        Self { db, waiting: Arc::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch that the desk `carrier` sent. It is on the disk, and numbered, when this answers.
    ///
    /// # Errors
    /// [`HubError`]; nothing of the batch is then kept.
    pub async fn take(
        &self,
        venue: &VenueId,
        carrier: DeviceId,
        batch: &Batch,
    ) -> Result<TakenAt, HubError> {
        let taken = self.take_all(venue, carrier, std::slice::from_ref(batch)).await?;
        taken.into_iter().next().ok_or_else(busy)
    }

    /// Takes batches that the desk `carrier` sent behind each other, in their order: with as few commits as that takes.
    /// They are on the disk, and numbered, when this answers.
    ///
    /// # Errors
    /// [`HubError`]; the first of the batches may be kept then.
    pub async fn take_all(
        &self,
        venue: &VenueId,
        carrier: DeviceId,
        batches: &[Batch],
    ) -> Result<Vec<TakenAt>, HubError> {
        let mut all = Vec::with_capacity(batches.len());
        let mut in_vain = 0;
        while let Some(rest) = batches.get(all.len()..).filter(|rest| !rest.is_empty()) {
            let judged = match look(&self.db, venue, carrier, rest).await? {
                Looked::Answered(taken) => {
                    let mut reading = self.db.read().await?;
                    let Newest { run, reached } = runs::newest_run(&mut reading).await?;
                    all.push(TakenAt { taken, number: Some(reached), run });
                    continue;
                }
                Looked::Judged(judged) => judged,
            };
            let taken = self.written_with_others(judged).await?;
            let before = all.len();
            // Behind one that is to be judged again, so are the others: those that are on the disk are found there.
            all.extend(taken.into_iter().map_while(|taken| taken));
            in_vain = if all.len() > before { 0 } else { in_vain + 1 };
            if in_vain >= MOST_JUDGED {
                return Err(busy());
            }
        }
        Ok(all)
    }

    /// Has batches written, with others that wait for a commit.
    async fn written_with_others(
        &self,
        judged: Vec<Judged>,
    ) -> Result<Vec<Option<TakenAt>>, HubError> {
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut waiting = self.waiting();
            waiting.jobs.push_back(Job { judged, answer });
            !std::mem::replace(&mut waiting.works, true)
        };
        if begins {
            // A task of its own: whoever waits may go away, and the others' batches are still written.
            tokio::spawn(self.clone().work());
        }
        answered.await.map_err(|_| HubError::Record("the hub is stopping".to_owned()))?
    }

    /// Writes what waits, until nothing does.
    async fn work(self) {
        let mut ending = Ending { taker: &self, well: false };
        loop {
            let jobs = {
                let mut waiting = self.waiting();
                let (mut many, mut batches, mut entries) = (0, 0, 0);
                for job in &waiting.jobs {
                    batches += job.judged.len();
                    entries += job.entries();
                    let full = batches > MOST_TOGETHER || entries > MOST_ENTRIES_TOGETHER;
                    if many > 0 && full {
                        break;
                    }
                    many += 1;
                }
                waiting.works = many > 0;
                waiting.jobs.drain(..many).collect::<Vec<_>>()
            };
            if jobs.is_empty() {
                ending.well = true;
                return;
            }
            self.write(jobs).await;
        }
    }

    async fn write(&self, jobs: Vec<Job>) {
        let judged: Vec<&Judged> = jobs.iter().flat_map(|job| &job.judged).collect();
        match self.try_to_write(&judged).await {
            Ok(WrittenTogether { written, number, run }) => {
                let mut written = written.into_iter();
                for job in jobs {
                    let of_job = written.by_ref().take(job.judged.len());
                    let answer = of_job.map(|written| match written {
                        Written::Taken(taken) => Some(TakenAt { taken, number, run }),
                        Written::Moved => None,
                    });
                    // Whoever asked may have gone: the entries are safe all the same.
                    let _ = job.answer.send(Ok(answer.collect()));
                }
            }
            Err(error) if jobs.len() > 1 => {
                tracing::debug!(%error, "batches that share no commit: each desk's alone");
                for job in jobs {
                    Box::pin(self.write(vec![job])).await;
                }
            }
            Err(error) => {
                if let Some(job) = jobs.into_iter().next() {
                    let _ = job.answer.send(self.write_one_by_one(job.judged, error).await);
                }
            }
        }
    }

    /// Writes a desk's batches that cannot be written together: those in front of the one that fails, where it is not the
    /// first.
    async fn write_one_by_one(
        &self,
        judged: Vec<Judged>,
        error: HubError,
    ) -> Result<Vec<Option<TakenAt>>, HubError> {
        if judged.len() < 2 {
            return Err(error);
        }
        let mut all = Vec::with_capacity(judged.len());
        for it in &judged {
            match self.try_to_write(&[it]).await {
                Ok(WrittenTogether { written, number, run }) => {
                    all.extend(written.into_iter().map(|written| match written {
                        Written::Taken(taken) => Some(TakenAt { taken, number, run }),
                        Written::Moved => None,
                    }));
                }
                Err(error) if all.is_empty() => return Err(error),
                // Looked at again, it comes first.
                Err(_) => break,
            }
        }
        Ok(all)
    }

    async fn try_to_write(&self, judged: &[&Judged]) -> Result<WrittenTogether, HubError> {
        let mut tries = 1;
        loop {
            match write_together(&self.db, judged).await {
                Err(HubError::Database(error))
                    if error.says() == Says::Busy && tries < MOST_TRIES =>
                {
                    tries += 1;
                }
                done => return done,
            }
        }
    }
}
