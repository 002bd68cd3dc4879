//! What a session asks ([`Need`]), looked up: the hub's half of [`sync_protocol::feed`]. No bytes are moved here, and
//! nothing is decided about what a desk is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crdt_model::ids::{DeviceId, PassId, VenueId};
use crdt_model::time::UnixMillis;
use sync_protocol::desk::short_head;
use sync_protocol::feed::{
    Found, Known, KnownDesk, LogRow, Need, News, Note, Standing, Taken, Tops,
};
use sync_protocol::message::{Batch, Hello, ListPosition, WriterBytes};
use sync_protocol::runs::{KnownRun, RunTable};
use sync_protocol::version::Version;

use crate::copies::note_used_twice;
use crate::db::news::{Heard, Subscription};
use crate::db::{Db, HubError, Reading};
use crate::ledgers::{Taken as Became, Taker};
use crate::records::devices::{self, Contact};
use crate::records::lists::{self, ListKey};
use crate::records::runs::Newest;
use crate::records::{entries, holders, log, notices as kept_notices, runs};
use crate::registry::{self, Device};
use crate::secrets::request_key;
use crate::{card_keys, catalogue, clock, notices, requests, restored, stock};

/// Rows of a venue's log that are looked at in one go.
const LOG_ROWS: usize = 1000;

/// Sealed parts that are read in one go, at the most.
const MOST_PARTS: u64 = 200;

/// Between two notes of one desk that this hub was restored, in milliseconds: an hour.
const LOST_NOTED_EACH: u64 = 60 * 60 * 1000;

/// The desk of a session, once it is known.
#[derive(Debug, Clone)]
pub struct Identified {
    /// Its id.
    pub device: DeviceId,
    /// Its venue.
    pub venue: VenueId,
    /// As the registry had it at its hello.
    pub(crate) known: Device,
    /// Its daemon's run came back after another one: there are two copies of the desk.
    pub(crate) came_back: bool,
}

/// What was looked up, and the newest run of the database at or after that: numbers in it are of that run.
#[derive(Debug)]
pub struct Answer {
    /// What was found.
    pub found: Found,
    /// The run, with the number from which it counts.
    pub run: Option<Version>,
    /// Who the desk is, where that was asked; and what it hears of what moves since it was looked up.
    pub identified: Option<(Identified, Subscription)>,
}

/// Looks things up for the session of whoever holds a key.
#[derive(Debug, Clone)]
pub struct Answers {
    pub(crate) db: Db,
    pub(crate) taker: Taker,
    pub(crate) public_key: Vec<u8>,
    /// Whether the hub's own clock is in doubt: looked at when a desk comes, for it is told with the welcome.
    pub(crate) clock_doubtful: Arc<AtomicBool>,
}

impl Answers {
    /// For the session of whoever holds this key. `clock_doubtful` is where all sessions note whether the hub's own clock
    /// is in doubt.
    pub fn new(db: Db, taker: Taker, public_key: Vec<u8>, clock_doubtful: Arc<AtomicBool>) -> Self {
        Self { db, taker, public_key, clock_doubtful }
    }

    /// Answers a need of this desk, or of one that is not known yet.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn find(self, desk: Option<Identified>, need: Need) -> Result<Answer, HubError> {
        let mut identified = None;
        let (found, run) = match (need, &desk) {
            (Need::Desk(hello), _) => match self.identify(&hello).await? {
                Some((known, desk, hears)) => {
                    identified = Some((desk, hears));
                    (Found::Desk(Box::new(known)), None)
                }
                None => (Found::NotEnrolled, None),
            },
            (Need::Enrol(enrol), _) => {
                let enrolled = registry::enrol(&self.db, &enrol.token, &self.public_key).await?;
                (Found::Enrolled(enrolled), None)
            }
            (_, None) => (Found::NotEnrolled, None),
            // A batch's turn looks itself who may take part.
            (Need::Take(batches), Some(desk)) => self.take(desk, &batches).await?,
            (need, Some(desk)) => self.of_desk(desk, need).await?,
        };
        let run = match run {
            Some(run) => Some(run),
            None => runs::newest_run(&mut self.db.read().await?).await?.run,
        };
        Ok(Answer { found, run, identified })
    }

    /// Has batches judged and committed.
    async fn take(
        &self,
        desk: &Identified,
        batches: &[Batch],
    ) -> Result<(Found, Option<Version>), HubError> {
        let all = self.taker.take_all(&desk.venue, desk.device, batches).await?;
        let run = all.last().and_then(|last| last.run);
        let taken = all.into_iter().map(|at| match at.taken {
            Became::Held { sequence, .. } => Some(Taken::Held { sequence, number: at.number }),
            Became::Lacking { held } => Some(Taken::Lacking { held }),
            Became::Quarantined { reason } => Some(Taken::Quarantined { reason }),
            Became::Revoked => None,
        });
        let taken: Option<Vec<Taken>> = taken.collect();
        Ok((taken.map_or(Found::NotEnrolled, Found::Taken), run))
    }

    /// What a desk's session is told of what moved. A database that was put back ends the session, which is the driver's
    /// business.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn news_of(&self, desk: &Identified, heard: Heard) -> Result<Vec<News>, HubError> {
        let mut news = Vec::new();
        if heard.device || heard.everything {
            // Whoever was revoked meanwhile receives nothing more.
            if !registry::is_enrolled(&self.db, desk.device).await? {
                return Ok(vec![News::Revoked]);
            }
            news.extend([News::Grants, News::CardKeys]);
        }
        let all = if heard.everything {
            Some(runs::reached(&mut self.db.read().await?).await?)
        } else {
            None
        };
        news.extend(all.or(heard.venue).map(News::Venue));
        if let Some(number) = all.or(heard.catalogue) {
            let urgent = heard.urgent || heard.everything;
            news.push(News::Catalogue { number, urgent });
        }
        news.extend(all.or(heard.holders).map(News::Holders));
        news.extend(all.or(heard.notices).map(News::Notices));
        Ok(news)
    }

    /// What was found, and the newest run where that is of the same state of the database: not behind a write.
    async fn of_desk(
        &self,
        desk: &Identified,
        need: Need,
    ) -> Result<(Found, Option<Version>), HubError> {
        let (db, device, venue) = (&self.db, desk.device, &desk.venue);
        // Looked up each time: a desk that was revoked is told nothing more (invariant 7).
        let mut reading = db.read().await?;
        let Some(Newest { run, reached }) = runs::newest_for(&mut reading, device).await? else {
            return Ok((Found::NotEnrolled, None));
        };
        let found = match need {
            Need::Desk(_) | Need::Enrol(_) | Need::Take(_) => Found::NotEnrolled,
            Need::Runs(named) => Found::Runs(run_table(&mut reading, named).await?),
            Need::Held(lists) => Found::Held(held(&mut reading, venue, &lists).await?),
            Need::Request(_)
            | Need::Wanted(_)
            | Need::Closing(_)
            | Need::Stated(_)
            | Need::KeepNotices(_)
            | Need::KeepSealingKey(_)
            | Need::Note(_) => {
                drop(reading);
                return Ok((Box::pin(self.write(desk, need)).await?, None));
            }
            Need::Log { from, known, most_bytes } => {
                log_rows(&mut reading, venue, from, &known, most_bytes).await?
            }
            Need::Grants => {
                let grants = stock::grants_of(&mut reading, device).await?;
                Found::Granted { grants, none_left: None, number: Some(reached) }
            }
            Need::CardKeys { has } => {
                drop(reading);
                let version = card_keys::version(db).await?;
                let sealed =
                    if version == has { None } else { card_keys::sealed_to(db, device).await? };
                return Ok((Found::CardKeys(sealed), None));
            }
            Need::Notices { from, most } => {
                let found = kept_notices::behind(&mut reading, venue, from, most).await?;
                let to = match found.last() {
                    Some((number, _)) if found.len() >= most => *number,
                    _ => reached.max(from),
                };
                let notices = found.into_iter().map(|(_, signed)| signed).collect();
                Found::Notices { notices, to }
            }
            Need::DenyList { behind, most } => {
                Found::DenyList(catalogue::denied_behind(&mut reading, venue, behind, most).await?)
            }
            Need::Page { from, most } => {
                let catalogue::Stretch { items, to, last } =
                    catalogue::behind(&mut reading, venue, from, most).await?;
                Found::Page { items, to, last }
            }
            Need::Items { names, up_to } => {
                Found::Items(catalogue::standing(&mut reading, venue, &names, up_to).await?)
            }
            Need::SealedParts { passes, up_to, most_bytes } => {
                sealed_parts(&mut reading, passes, up_to, most_bytes).await?
            }
            Need::Holders { from, most_bytes } => {
                sealed_parts_behind(&mut reading, from, most_bytes).await?
            }
        };
        Ok((found, run))
    }

    /// Does what a desk that may take part asks to be written.
    async fn write(&self, desk: &Identified, need: Need) -> Result<Found, HubError> {
        let (db, device, key) = (&self.db, desk.device, &self.public_key);
        match need {
            Need::Request(request) => {
                return Ok(Found::Answered(requests::answer(db, device, key, &request).await?));
            }
            Need::Wanted(wanted) => {
                let stock::Answer { grants, none_left, number } =
                    stock::grant(db, device, &wanted).await?;
                return Ok(Found::Granted { grants, none_left: Some(none_left), number });
            }
            Need::Closing(closing) => {
                let (grants, number) = stock::close(db, device, key, &closing).await?;
                return Ok(Found::Granted { grants, none_left: None, number });
            }
            Need::Stated(stated) => restored::take_statement(db, device, key, &stated).await?,
            Need::KeepNotices(told) => notices::take_up(db, &told).await?,
            Need::KeepSealingKey(sealing) => {
                card_keys::keep_sealing_key(db, device, &sealing).await?;
            }
            Need::Note(note) => self.note(desk, note).await?,
            Need::Desk(_)
            | Need::Runs(_)
            | Need::Enrol(_)
            | Need::Held(_)
            | Need::Take(_)
            | Need::Log { .. }
            | Need::Grants
            | Need::CardKeys { .. }
            | Need::Notices { .. }
            | Need::DenyList { .. }
            | Need::Page { .. }
            | Need::Items { .. }
            | Need::SealedParts { .. }
            | Need::Holders { .. } => return Ok(Found::NotEnrolled),
        }
        Ok(Found::Done)
    }

    /// Who says this hello: nobody where its key is of no desk that may take part.
    async fn identify(
        &self,
        hello: &Hello,
    ) -> Result<Option<(KnownDesk, Identified, Subscription)>, HubError> {
        let db = &self.db;
        let mut found = registry::enrolled(db, &self.public_key).await?;
        if found.is_none()
            && let Some(shown) = &hello.enrolled
            && notices::enrol_by_notice(db, &self.public_key, shown).await?
        {
            found = registry::enrolled(db, &self.public_key).await?;
        }
        let Some(known) = found else { return Ok(None) };
        // Before it is looked up how far everything has come: what moves from now on is heard.
        let hears = db.news().subscribe(known.venue.clone(), known.device);
        self.clock_doubtful.store(clock::doubt(db).await?.is_some(), Ordering::Relaxed);
        let request_key = Some(request_key(db).await?.public_key());
        let card_keys = card_keys::announced(db, known.device).await?;
        let mut reading = db.read().await?;
        let reached = runs::reached(&mut reading).await?;
        let tops = Tops {
            catalogue: reached,
            venue: log::version(&mut reading, &known.venue).await?,
            holders: holders::version(&mut reading).await?,
            notices: kept_notices::version(&mut reading).await?,
        };
        let is_held = runs::is_held(&mut reading, known.device).await?;
        // A daemon never goes on with an old run. One that comes back after another began lived beside it.
        let came_back =
            hello.run.is_some() && known.runs[0] != hello.run && known.runs[1] == hello.run;
        let desk = KnownDesk {
            device: known.device,
            venue_name: known.venue_name.clone(),
            desk_name: known.name.clone(),
            entries: known.entries,
            request_key,
            card_keys,
            used_twice: came_back || known.used_twice_since.is_some(),
            is_held,
            tops,
        };
        let (device, venue) = (known.device, known.venue.clone());
        Ok(Some((desk, Identified { device, venue, known, came_back }, hears)))
    }

    async fn note(&self, desk: &Identified, note: Note) -> Result<(), HubError> {
        let (db, device) = (&self.db, desk.device);
        match note {
            Note::Came { hello, clock_offset, lost } => {
                self.note_came(desk, &hello, clock_offset, lost).await?;
            }
            Note::Restored { lost: Some(lost) } => restored::note(db, lost.run).await?,
            Note::Restored { lost: None } => {}
            Note::Heard { has, clock_offset } => {
                let mut writing = db.write().await?;
                let now = writing.now().0;
                let contact = Contact { now, have: has, offset: clock_offset };
                devices::note_contact(&mut writing, device, contact).await?;
                writing.commit().await?;
            }
            Note::TooLarge(names) => {
                tracing::error!(?names, "items of the catalogue fit no page, and reach no desk");
            }
        }
        Ok(())
    }

    async fn note_came(
        &self,
        desk: &Identified,
        hello: &Hello,
        clock_offset: i64,
        lost: bool,
    ) -> Result<(), HubError> {
        let (db, device, known) = (&self.db, desk.device, &desk.known);
        let holds_all = hello.pending.is_empty() && !lost;
        let now = db.now();
        let desk_clock = UnixMillis(now.0.saturating_add(clock_offset));
        clock::note_desk_clock(db, device, desk_clock, holds_all).await?;
        let same_software = known.software.as_ref() == Some(&hello.software);
        let other_run = hello.run.is_some() && hello.run != known.runs[0];
        let mut writing = db.write().await?;
        if !same_software || other_run {
            devices::note_software(&mut writing, device, &hello.software, hello.run).await?;
        }
        // One that was enrolled before there were notices is told one now.
        notices::state_enrolled(&mut writing, device).await?;
        let missing = hello.acknowledged.saturating_sub(known.entries);
        let lately = |at: i64| now.0.abs_diff(at) < LOST_NOTED_EACH;
        if missing > 0 && !known.sent_again_at.is_some_and(lately) {
            tracing::warn!(
                %device, desk = known.name, venue = %known.venue, entries = missing,
                "this hub was restored from an older copy, says a desk: it sends again what it had sent before"
            );
            devices::note_sent_again(&mut writing, device, now.0, missing).await?;
        }
        writing.commit().await?;
        if desk.came_back {
            note_used_twice(db, device, now).await?;
        }
        Ok(())
    }
}

async fn run_table(reading: &mut Reading, named: BTreeSet<u64>) -> Result<RunTable, HubError> {
    let named: Vec<u64> = named.into_iter().collect();
    let known = runs::known(reading, &named).await?;
    let known = known.into_iter().map(|run| KnownRun { id: run.id, ends: run.ends }).collect();
    let present = runs::last(reading).await?;
    let present = present.map(|run| Version { run: run.id, number: run.begins });
    Ok(RunTable { known, present })
}

/// What the hub holds of these lists, in their order.
async fn held(
    reading: &mut Reading,
    venue: &VenueId,
    asked: &[ListPosition],
) -> Result<Vec<ListPosition>, HubError> {
    let key = |list: &ListPosition| ListKey {
        venue: venue.to_string(),
        day: list.day,
        writer: list.writer.0,
    };
    let keys: Vec<ListKey> = asked.iter().map(key).collect();
    let found = lists::positions(reading, &keys).await?;
    let positions = asked.iter().zip(&keys).map(|(list, key)| {
        let position = found.get(key).copied().unwrap_or_default();
        ListPosition {
            day: list.day,
            writer: list.writer,
            sequence: position.sequence,
            head: short_head(&position),
        }
    });
    Ok(positions.collect())
}

/// The next stretch of a venue's log, without rows of lists that the desk has so far.
async fn log_rows(
    reading: &mut Reading,
    venue: &VenueId,
    from: u64,
    known: &Known,
    most_bytes: usize,
) -> Result<Found, HubError> {
    let logged = log::behind(reading, venue, from, LOG_ROWS).await?;
    let (mut reached, mut bytes) = (from, 0);
    let mut rows = Vec::new();
    for row in logged {
        if bytes >= most_bytes {
            break;
        }
        reached = row.version;
        let writer = WriterBytes(row.writer);
        if known.get(&(row.day, writer)).is_some_and(|known| *known >= row.last) {
            continue;
        }
        let places = row.first - 1..row.last;
        let entries = entries::bytes(reading, venue.as_str(), row.day, &row.writer, places).await?;
        bytes += entries.iter().map(|entry| entry.len() + 1).sum::<usize>();
        rows.push((row, entries));
    }
    let writers: BTreeSet<DeviceId> =
        rows.iter().map(|(row, _)| WriterBytes(row.writer).writer().device).collect();
    let keys: HashMap<DeviceId, Vec<u8>> = devices::public_keys(reading, writers).await?;
    let keys: BTreeMap<DeviceId, Vec<u8>> = keys.into_iter().collect();
    let row = |(row, entries): (log::Logged, Vec<Vec<u8>>)| {
        let writer = WriterBytes(row.writer);
        let public_key = keys.get(&writer.writer().device)?.clone();
        let (day, first, signature) = (row.day, row.first, row.signature);
        Some(LogRow { day, writer, first, entries, signature, public_key })
    };
    let rows = rows.into_iter().filter_map(row).collect();
    Ok(Found::Log { rows, reached })
}

async fn sealed_parts(
    reading: &mut Reading,
    passes: Vec<PassId>,
    up_to: u64,
    most_bytes: usize,
) -> Result<Found, HubError> {
    let some: Vec<PassId> =
        passes.into_iter().take(usize::try_from(MOST_PARTS).unwrap_or(usize::MAX)).collect();
    let mut found = holders::of_passes(reading, some.iter().copied()).await?;
    let (mut parts, mut bytes) = (Vec::with_capacity(some.len()), 0);
    for pass in some {
        parts.push(match found.remove(&pass) {
            None => Standing::Gone,
            Some((number, _)) if number.is_none_or(|number| number > up_to) => Standing::Later,
            Some((_, sealed)) => {
                bytes += sealed.len();
                if bytes > most_bytes && !parts.is_empty() {
                    break;
                }
                Standing::Is(minicbor::decode(&sealed)?)
            }
        });
    }
    Ok(Found::SealedParts(parts))
}

async fn sealed_parts_behind(
    reading: &mut Reading,
    from: u64,
    most_bytes: usize,
) -> Result<Found, HubError> {
    let all = runs::reached(reading).await?;
    let found = holders::behind(reading, from, MOST_PARTS).await?;
    let more = found.len() as u64 >= MOST_PARTS;
    let (mut bytes, mut to, mut parts, mut cut) = (0, from, Vec::new(), false);
    for (version, pass, sealed) in found {
        bytes += sealed.len();
        if bytes > most_bytes && !parts.is_empty() {
            cut = true;
            break;
        }
        to = version;
        parts.push((pass, minicbor::decode(&sealed)?));
    }
    if !more && !cut && !parts.is_empty() {
        to = all.max(to);
    }
    Ok(Found::Holders { parts, to })
}
