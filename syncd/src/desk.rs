//! The desk: its ledgers, what the hub told it, and the answers it gives. Everything that happens
//! at a desk goes through here, one thing at a time; nothing here waits for the network.

mod again;
mod answers;
mod checks;
mod clock;
mod health;
mod history;
mod incarnation;
mod link;
mod notes;
mod redemptions;
mod requests;
mod sales;
mod salvage;
mod standing;
mod stock;
mod unkept;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crdt_model::catalogue::{Activity, CardSystem, Coupon, LookupKey, Policy, Reward};
use crdt_model::entry::{Entry, EntryRef, Subject};
use crdt_model::ids::{RewardId, Writer};
use crdt_model::stock::{Holding, Unit};
use crdt_model::time::{Calendar, UnixMillis, UnknownTimeZone, date_of_day_number, day_number};
use hardware::authentic::keyring::Keyring;
use jiff::civil::Date;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sync_protocol::card_keys::DeskSealingKey;
use sync_protocol::heartbeat::Ticks;
use sync_protocol::seal::DeviceKey;
use thiserror::Error;
use tokio::sync::{Notify, broadcast};

use self::clock::kept::KeptClock;
use self::clock::{DeskClock, Evidence};
use crate::card_key_file::CardKeyFile;
use crate::desk_api::types::{
    ActivityView, Event, Health, HistoryRow, HubLink, Status, TodayCount, Trouble,
};
use crate::disk::DiskTrouble;
use crate::enrolment::{Enrolment, IdentityError, key};
use crate::ledger_files::{LedgerFileError, LedgerFiles};
use crate::notice_file::NoticeFile;
use crate::paths::{DeskFolder, write_durably};
use crate::request_box::RequestBox;
use crate::seals::Seals;
use crate::stock_file::StockFile;
use crate::store::{Cursor, Store};

pub use answers::Refusal;
pub use clock::Reading;
pub use health::{NextLook, Trials, Tried};
pub use link::LinkError;

/// Events that a slow reader of the event stream may be behind before it is told that it missed some.
const EVENT_BACKLOG: usize = 1024;

/// Rows of the history that are kept: a screen shows some ten, a busy hour has some two hundred.
const HISTORY_ROWS: usize = 200;

/// Days whose entries count beside a record. The hub's records include entries within minutes; a
/// desk that was offline for longer than this has long-expired day limits, and its points are right
/// as soon as it has synced.
const RECENT_DAYS: i32 = 40;

/// What the volunteers chose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    /// The contract's `eventId` of the desk's activity.
    activity: Option<String>,
}

/// Why a desk cannot start.
#[derive(Debug, Error)]
pub enum DeskError {
    /// It is not enrolled, or its key cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The ledgers cannot be opened.
    #[error(
        "the ledgers cannot be opened: {0}. Without them no verdict would be safe, so the desk does not start. Look at the disk and at who owns the folder"
    )]
    Ledgers(#[from] LedgerFileError),
    /// Requests about cards cannot be read.
    #[error("the requests that wait for the hub cannot be read: {0}. Look at who owns the folder")]
    Requests(std::io::Error),
    /// The venue's time zone is not one.
    #[error(transparent)]
    TimeZone(#[from] UnknownTimeZone),
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    folder: DeskFolder,
    enrolment: Enrolment,
    key: DeviceKey,
    writer: Writer,
    calendar: Calendar,
    lookup: LookupKey,
    files: LedgerFiles,
    salvaged: salvage::Salvaged,
    store: Store,
    settings: Settings,
    /// The catalogue's activities and rewards, kept at hand: a few dozen.
    activities: Vec<Activity>,
    rewards: Vec<Reward>,
    coupons: Vec<Coupon>,
    card_systems: Vec<CardSystem>,
    policy: Policy,
    /// What the hub lets this desk hand out of limited rewards, and what it has handed out.
    holding: Holding,
    /// This desk's redemptions that name a unit, taken back or not.
    unit_entries: Vec<(EntryRef, Unit)>,
    stock_file: StockFile,
    card_key_file: CardKeyFile,
    card_keys: Arc<Keyring>,
    checks: checks::Checks,
    /// Where a part of the ledgers is missing: all is back when the hub has shared what it has up to this version of
    /// the venue.
    whole_at: Option<u64>,
    /// The hub has said in this session which units it has granted.
    grants_listed: bool,
    /// The units were given back: none are asked for ahead.
    gave_back: bool,
    /// Limited rewards of which somebody wants one now.
    wanted_now: BTreeSet<RewardId>,
    /// Limited rewards of which the hub said last that none is left.
    none_left: BTreeSet<RewardId>,
    /// Told when the hub has said what may be handed out.
    stock_heard: Arc<Notify>,
    requests: RequestBox,
    /// The venue's recent entries of each pass or unknown card.
    by_subject: HashMap<Subject, Vec<EntryRef>>,
    /// How many entries of each of this desk's lists the hub has acknowledged, at most as many as are here.
    acknowledged: BTreeMap<(Date, Writer), u64>,
    /// How many entries of each of this desk's lists the hub is known to have, also where this disk lost them.
    held_by_hub: BTreeMap<(Date, Writer), u64>,
    last_at: UnixMillis,
    /// What time it is: everything that decides by time goes by this.
    clock: DeskClock,
    /// Own lists that ended because the clock was put right: whatever stands in one was written before then. It is not
    /// kept over a restart: after one, entries that are dated ahead count on the day of their own time once that has
    /// come.
    ended_at: BTreeMap<Writer, UnixMillis>,
    /// The hub's clock as it was kept last for the next start.
    hub_clock_kept: UnixMillis,
    /// The same, while this computer's clock is wrong.
    kept_clock: KeptClock,
    history: VecDeque<HistoryRow>,
    next_row: u64,
    today: (Option<Date>, TodayCount),
    hub: HubLink,
    hub_since: UnixMillis,
    /// In this session the hub has said that the catalogue here is all there is.
    confirmed: bool,
    disk: Health,
    health: health::DeskHealth,
    notes: notes::Notes,
    unkept: unkept::Unkept,
    incarnation: incarnation::Incarnation,
    /// What is kept for a hub that is restored from an older copy.
    seals: Seals,
    notices_kept: NoticeFile,
    again: again::Again,
    /// The number of this run of the daemon. Unlike the epoch it never changes.
    run: u32,
    events: broadcast::Sender<Event>,
    appended: Arc<Notify>,
}

/// This computer's clocks.
pub fn read_clocks() -> Reading {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The clock since the start of the computer goes on while that sleeps; Linux alone has it under this name.
    #[cfg(target_os = "linux")]
    let steady = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let steady = rustix::time::ClockId::Monotonic;
    let steady = rustix::time::clock_gettime(steady);
    let milliseconds =
        steady.tv_sec.saturating_mul(1000).saturating_add(steady.tv_nsec / 1_000_000);
    Reading {
        wall: UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        steady: Ticks(u64::try_from(milliseconds).unwrap_or_default()),
    }
}

/// Two clocks that are both right are never so far apart: one day, in milliseconds.
const MOST_TOLERANCE: i64 = 86_400_000;

/// The policy that the store has. What it says of clocks came over the wire, so it is brought within its bounds.
fn policy_of(store: &Store) -> Policy {
    let policy = store.policy();
    let clock_tolerance = policy.clock_tolerance.clamp(0, MOST_TOLERANCE);
    Policy { clock_tolerance, ..policy }
}

/// The number of another list of this desk.
fn new_epoch(other_than: u32) -> u32 {
    let random: u32 = rand::rng().random();
    if random == other_than { random.wrapping_add(1) } else { random }
}

impl Desk {
    /// Opens the desk in this folder. `epoch` is this run's incarnation: a random number, so that
    /// a desk restored from an image never goes on with a list that another copy may have gone on
    /// with.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn open(folder: DeskFolder, epoch: u32) -> Result<(Self, Vec<u8>), DeskError> {
        let enrolment = Enrolment::read(&folder)?;
        let (device_key, der) = key(&folder)?;
        let calendar = Calendar::of(&enrolment.time_zone)?;
        let (files, repairs) =
            LedgerFiles::open(&folder.ledgers(), &enrolment.venue, device_key.device())?;
        let health = health::DeskHealth::default();
        let store = Store::open(&folder.store(), health.alarm());
        let settings = fs::read(folder.settings())
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let now = read_clocks();
        let sealing_key = DeskSealingKey::of(&device_key);
        let writer = Writer { device: device_key.device(), epoch };
        let stock_file = StockFile::open(&folder.stock());
        let incarnation =
            incarnation::Incarnation::begin(&folder, writer, now.steady, &files, &stock_file);
        let (card_key_file, card_keys) = CardKeyFile::open(&folder.card_keys(), &sealing_key);
        let mut desk = Self {
            writer,
            lookup: LookupKey(enrolment.lookup_key),
            calendar,
            enrolment,
            key: device_key,
            files,
            salvaged: salvage::Salvaged::default(),
            settings,
            activities: Vec::new(),
            rewards: Vec::new(),
            coupons: Vec::new(),
            card_systems: Vec::new(),
            clock: DeskClock::new(now, Evidence::default(), Policy::default().clock_tolerance),
            policy: Policy::default(),
            holding: Holding::default(),
            unit_entries: Vec::new(),
            stock_file,
            card_key_file,
            card_keys: Arc::new(card_keys),
            checks: checks::Checks::default(),
            whole_at: None,
            grants_listed: false,
            gave_back: false,
            wanted_now: BTreeSet::new(),
            none_left: BTreeSet::new(),
            stock_heard: Arc::default(),
            requests: RequestBox::open(&folder.requests()).map_err(DeskError::Requests)?,
            store,
            by_subject: HashMap::new(),
            acknowledged: BTreeMap::new(),
            held_by_hub: BTreeMap::new(),
            last_at: UnixMillis(0),
            ended_at: BTreeMap::new(),
            hub_clock_kept: UnixMillis(0),
            kept_clock: KeptClock::open(folder.clock(), clock::kept::boot()),
            history: VecDeque::new(),
            next_row: 1,
            today: (None, TodayCount::default()),
            hub: HubLink::Offline { why: "the desk has just started".to_owned() },
            hub_since: UnixMillis(0),
            confirmed: false,
            disk: Health::Fine,
            health,
            notes: notes::Notes::default(),
            unkept: unkept::Unkept::default(),
            incarnation,
            seals: Seals::open(&folder.seals()),
            notices_kept: NoticeFile::open(&folder.notices()),
            again: again::Again::default(),
            run: epoch,
            events: broadcast::channel(EVENT_BACKLOG).0,
            appended: Arc::default(),
            folder,
        };
        desk.take_up_catalogue();
        desk.take_up_repairs(&repairs);
        desk.take_up_acknowledgements();
        desk.take_up_ledgers(now);
        desk.take_up_stock();
        // A damaged file that could not be made whole, because the disk takes nothing, is said at once.
        desk.check_ledger_files();
        Ok((desk, der))
    }

    /// The key to which the hub seals what is for this desk alone.
    fn sealing_key(&self) -> DeskSealingKey {
        DeskSealingKey::of(&self.key)
    }

    /// Takes up the small parts of the catalogue from the store.
    fn take_up_catalogue(&mut self) {
        self.activities = self.store.activities();
        self.rewards = self.store.rewards();
        self.coupons = self.store.coupons();
        self.card_systems = self.store.card_systems();
        self.take_up_policy();
    }

    /// Takes up what the store knows of what the hub has.
    fn take_up_acknowledgements(&mut self) {
        for (day, writer, sequence) in self.store.acknowledgements() {
            let Some(day) = date_of_day_number(day) else { continue };
            // A list that was damaged is shorter than what was acknowledged of it.
            let held = self.files.length_of(day, &writer);
            if held < sequence {
                tracing::error!(%day, %writer, held, sequence, "a list is shorter than what the hub has of it");
                if let Err(error) = self.files.set_incomplete(day, &writer, sequence) {
                    self.ledger_failed(&error);
                }
                // Where this start found damage, that says more.
                if self.files.is_incomplete() && !self.shows_damage() {
                    self.disk = Health::Trouble(Trouble::LedgerLacking);
                }
            }
            let known = self.acknowledged.entry((day, writer)).or_default();
            *known = sequence.min(held).max(*known);
            self.note_held_by_hub(day, writer, sequence);
        }
        if self.files.is_incomplete() {
            self.ask_anew();
            // Nobody knows what the lost part handed out.
            self.hold();
        }
    }

    /// What the hub has of a lost part of the ledgers comes back with everything else: all of the venue is asked for.
    fn ask_anew(&mut self) {
        let asked = self.store.set_cursor(Cursor::Venue, 0);
        self.salvaged.asked_anew = self.kept(asked);
    }

    /// The hub has at least so many entries of this list of this desk.
    fn note_held_by_hub(&mut self, day: Date, writer: Writer, sequence: u64) {
        let known = self.held_by_hub.entry((day, writer)).or_default();
        *known = sequence.max(*known);
    }

    /// Takes up the policy that the store has.
    fn take_up_policy(&mut self) {
        self.policy = policy_of(&self.store);
        self.clock.set_tolerance(self.policy.clock_tolerance);
    }

    fn take_up_ledgers(&mut self, reading: Reading) {
        self.clock = DeskClock::new(reading, self.evidence_of_time(), self.policy.clock_tolerance);
        if let Some(hub) = self.kept_clock.hub_now(reading) {
            self.clock.take_up_measured(reading, hub);
        }
        self.take_up_copies();
        let now = self.clock.latest();
        self.hub_since = now;
        let soon = now.plus(self.policy.clock_tolerance);
        let device = self.writer.device;
        // A clock that is ahead, and will be put right, must not leave out what counts then.
        let from = self.hub_clock_kept.max(clock::RELEASED).min(now);
        let first = day_number(self.calendar.day(from)) - RECENT_DAYS;
        let recent = self.files.ledgers().filter(|l| day_number(l.id().day) >= first);
        for (place, entry) in recent.flat_map(crdt_model::ledger::Ledger::entries) {
            self.by_subject.entry(entry.subject).or_default().push(place);
            // One of a day when the clock was ahead says nothing of now, and this run has a list of its own.
            if place.writer.device == device && entry.at <= soon {
                self.last_at = self.last_at.max(entry.at);
            }
        }
        self.rebuild_history(now);
    }

    /// What the hub and this desk's ledgers say of the time.
    fn evidence_of_time(&mut self) -> Evidence {
        let hub = self.store.cursor(Cursor::HubClock).unwrap_or_default();
        let hub = UnixMillis(i64::try_from(hub).unwrap_or(i64::MAX));
        self.hub_clock_kept = hub;
        let device = self.writer.device;
        let entries = self.files.ledgers().flat_map(crdt_model::ledger::Ledger::entries);
        let own = entries.filter(|(place, _)| place.writer.device == device);
        let mut times: Vec<UnixMillis> = own.map(|(_, entry)| entry.at).collect();
        times.sort_unstable();
        let hub = (hub.0 > 0).then_some(hub);
        Evidence { hub, own: clock::newest_believed(hub, times) }
    }

    /// Looks at this computer's clocks, says where something is the matter with them, and gives the time that the
    /// desk goes by.
    pub fn now(&mut self) -> UnixMillis {
        self.look(read_clocks())
    }

    pub(crate) fn look(&mut self, reading: Reading) -> UnixMillis {
        if self.clock.look(reading) {
            match self.clock.health() {
                Health::Fine => tracing::info!("the clock is right"),
                Health::Trouble(trouble) => tracing::warn!("{trouble}"),
            }
            self.publish_status();
        }
        self.kept_clock.keep(reading, self.clock.hubs_word());
        self.clock.latest()
    }

    /// The time at which an entry counts: `at`, but at most now, and at most the moment at which this desk's clock was
    /// set back. The hub does the same by when it receives them.
    fn counted_at(&self, place: &EntryRef, entry: &Entry) -> UnixMillis {
        let now = self.clock.latest();
        let ended = self.ended_at.get(&place.writer).copied().unwrap_or(entry.at);
        let at = entry.at.min(ended);
        if at > now.plus(self.policy.clock_tolerance) { now } else { at }
    }

    /// The time of the next entry: now, but never before what this desk has written. What
    /// other desks wrote does not count: one whose clock is a year ahead must not take the rest along. Nor does
    /// what this one wrote while its own clock was ahead, by more than the policy tolerates, of where it is now.
    fn next_at(&self, now: UnixMillis) -> UnixMillis {
        let put_back = self.last_at.0.saturating_sub(now.0) > self.policy.clock_tolerance;
        if put_back { now } else { now.max(self.last_at.plus(1)) }
    }

    /// Writes an entry: durable before this returns.
    fn append(&mut self, entry: Entry) -> Result<EntryRef, Refusal> {
        if entry.at < self.last_at {
            // The clock was put back. Within a list time never goes backwards, so this begins another one.
            tracing::warn!("the clock was put back; a new list begins");
            if self.clock.is_confident() {
                self.ended_at.insert(self.writer, entry.at);
            }
            self.writer.epoch = new_epoch(self.writer.epoch);
            self.incarnation.note_epoch(self.writer.epoch);
        }
        let day = self.calendar.day(entry.at);
        let writer = self.writer;
        let extension = self
            .files
            .ledger_or_new(day)
            .appended(writer, &entry)
            .map_err(|error| Refusal::Ledger(error.into()))?;
        if let Err(error) = self.files.append(day, &extension) {
            self.ledger_failed(&error);
            return Err(Refusal::Ledger(error));
        }
        self.disk_took_it();
        self.note_written_again();
        let place = EntryRef { day, writer, index: extension.first_index() };
        self.last_at = entry.at;
        self.by_subject.entry(entry.subject).or_default().push(place);
        self.note_unit(place, &entry.fact);
        self.mark_handed_out(&entry);
        self.wake_link();
        Ok(place)
    }

    /// There is something to send: wakes the link if it waits, and otherwise its next wait.
    fn wake_link(&self) {
        self.appended.notify_waiters();
        self.appended.notify_one();
    }

    /// What wakes the link to the hub when there is something to send.
    pub fn appended_signal(&self) -> Arc<Notify> {
        self.appended.clone()
    }

    /// A stream of events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The desk's enrolment.
    pub fn enrolment(&self) -> &Enrolment {
        &self.enrolment
    }

    /// The desk's folder.
    pub fn folder(&self) -> &DeskFolder {
        &self.folder
    }

    /// How many entries are on this disk without the hub's acknowledgement.
    pub fn pending_count(&self) -> u64 {
        self.own_list_lengths().map(|(list, length)| length - list.acknowledged.min(length)).sum()
    }

    /// Everything about the desk's state.
    pub fn status(&self) -> Status {
        let cursor = |cursor| self.store.cursor(cursor).unwrap_or_default();
        let confirmed = cursor(Cursor::CatalogueAt);
        Status {
            venue: self.enrolment.venue.clone(),
            venue_name: self.enrolment.venue_name.clone(),
            device: self.writer.device,
            desk_name: self.enrolment.desk_name.clone(),
            activity: self.activity().map(|activity| self.activity_view(activity)),
            hub: self.hub.clone(),
            hub_since: self.hub_since.0,
            pending: self.pending_count(),
            requests_waiting: self.requests.waiting_count(),
            catalogue_version: cursor(Cursor::Catalogue),
            catalogue_at: (confirmed > 0).then(|| i64::try_from(confirmed).unwrap_or(i64::MAX)),
            passes: self.store.passes(),
            today: self.today.1,
            disk: self.disk_health(),
            store: self.store_health(),
            clock: self.clock.health(),
            clock_correction: self.clock.correction(),
            beside: self.said_beside(),
            undo_window: self.policy.undo_window,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn publish_status(&self) {
        let status = self.status();
        self.health.note_published(&status);
        self.publish(Event::Status(Box::new(status)));
    }

    fn publish(&self, event: Event) {
        // An error only says that nobody is looking.
        let _ = self.events.send(event);
    }

    fn activity(&self) -> Option<&Activity> {
        let chosen = self.settings.activity.as_deref()?;
        self.activities.iter().find(|activity| activity.event_id == chosen)
    }

    fn activity_view(&self, activity: &Activity) -> ActivityView {
        ActivityView {
            event_id: activity.event_id.clone(),
            title: activity.title.clone(),
            checkin_points: activity.checkin_points,
            chosen: self.settings.activity.as_deref() == Some(&activity.event_id),
            open: self.clock.is_a_guess()
                || activity.opening_hours.takes_checkins(&self.calendar, self.clock.latest()),
            prices: activity.prices.clone(),
            checkin_codes: activity.checkin_codes.iter().map(|it| it.code.clone()).collect(),
        }
    }

    /// The venue's activities.
    pub fn activities(&self) -> Vec<ActivityView> {
        self.activities.iter().map(|activity| self.activity_view(activity)).collect()
    }

    /// Chooses the desk's activity.
    ///
    /// # Errors
    /// [`Refusal::NoSuchActivity`]; [`Refusal::Settings`] where the choice cannot be kept.
    pub fn choose_activity(&mut self, event_id: &str) -> Result<ActivityView, Refusal> {
        if !self.activities.iter().any(|activity| activity.event_id == event_id) {
            return Err(Refusal::NoSuchActivity);
        }
        let settings = Settings { activity: Some(event_id.to_owned()) };
        let json = serde_json::to_vec_pretty(&settings).unwrap_or_default();
        if let Err(error) = write_durably(&self.folder.settings(), &json) {
            self.disk_failed(DiskTrouble::of_failed_write(&error));
            return Err(Refusal::Settings(error));
        }
        self.settings = settings;
        self.publish_status();
        self.activity().map(|activity| self.activity_view(activity)).ok_or(Refusal::NoSuchActivity)
    }

    /// Writes the store out, before the daemon ends.
    pub fn close(&mut self) {
        if let Err(error) = self.store.flush() {
            tracing::warn!(%error, "the store could not be written out; the hub will refill it");
        }
    }
}

#[cfg(test)]
mod tests;
