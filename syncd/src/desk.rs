//! The desk: its ledgers, what the hub told it, and the answers it gives. Everything that happens
//! at a desk goes through here, one thing at a time; nothing here waits for the network.

mod again;
mod book;
mod checks;
mod clock;
mod counter;
mod health;
mod heard;
mod history;
mod incarnation;
mod knowledge;
mod notes;
mod refusal;
mod requests;
mod salvage;
mod showing;
mod standing;
mod time;
mod units;
mod unkept;
mod view;

use std::sync::Arc;

use crdt_model::catalogue::LookupKey;
use crdt_model::ids::Writer;
use crdt_model::surroundings::Surroundings;
use crdt_model::time::{Calendar, UnknownTimeZone};
use sync_protocol::card_keys::DeskSealingKey;
use sync_protocol::seal::DeviceKey;
use thiserror::Error;
use tokio::sync::{broadcast, watch};

use crate::enrolment::{Enrolment, IdentityError, key};
use crate::ledger_files::{LedgerFileError, LedgerFiles};
use crate::links::Links;
use crate::notice_file::NoticeFile;
use crate::paths::DeskFolder;
use crate::request_box::RequestBox;
use crate::seals::Seals;
use crate::store::{Cursor, Store};
use desk_api::types::{Event, Status};

pub use clock::Reading;
pub use health::{NextLook, Trials, Tried};
pub use heard::LinkError;
pub use refusal::Refusal;

/// Events that a slow reader of the event stream may be behind before it is told that it missed some.
const EVENT_BACKLOG: usize = 1024;

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

/// The desk, by subject.
#[derive(Debug)]
pub struct Desk {
    folder: DeskFolder,
    enrolment: Enrolment,
    key: DeviceKey,
    /// The number of this run of the daemon. Unlike the epoch it never changes.
    run: u32,
    calendar: Calendar,
    /// The ledgers.
    book: book::Book,
    salvaged: salvage::Salvaged,
    /// What the hub told it.
    knowledge: knowledge::Knowledge,
    /// What it may hand out of limited rewards.
    units: units::Held,
    checks: checks::Checks,
    requests: RequestBox,
    time: time::Time,
    history: history::History,
    /// How its links stand, and what was said on them.
    links: Links,
    health: health::DeskHealth,
    notes: notes::Notes,
    unkept: unkept::Unkept,
    incarnation: incarnation::Incarnation,
    /// What is kept for a hub that is restored from an older copy.
    seals: Seals,
    notices_kept: NoticeFile,
    again: again::Again,
    events: broadcast::Sender<Event>,
    /// Told when there is something to send.
    wake: watch::Sender<()>,
}

impl Desk {
    /// Opens the desk in this folder. `epoch` is this run's incarnation: a random number, so that
    /// a desk restored from an image never goes on with a list that another copy may have gone on
    /// with. `surroundings` are this computer's clocks and randomness.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn open(
        folder: DeskFolder,
        epoch: u32,
        surroundings: Arc<dyn Surroundings>,
    ) -> Result<(Self, Vec<u8>), DeskError> {
        let enrolment = Enrolment::read(&folder)?;
        let (device_key, der) = key(&folder)?;
        let calendar = Calendar::of(&enrolment.time_zone)?;
        let (files, repairs) =
            LedgerFiles::open(&folder.ledgers(), &enrolment.venue, device_key.device())?;
        let health = health::DeskHealth::default();
        let store = Store::open(&folder.store(), health.alarm());
        let lookup = LookupKey(enrolment.lookup_key);
        let now = time::read(&*surroundings);
        let writer = Writer { device: device_key.device(), epoch };
        let units = units::Held::open(&folder.stock());
        let incarnation =
            incarnation::Incarnation::begin(&folder, writer, now.steady, &files, &units.stock_file);
        let mut desk = Self {
            calendar,
            book: book::Book::new(files, writer),
            salvaged: salvage::Salvaged::default(),
            knowledge: knowledge::Knowledge::new(&folder, store, lookup),
            units,
            checks: checks::Checks::open(&folder.card_keys(), &DeskSealingKey::of(&device_key)),
            requests: RequestBox::open(&folder.requests()).map_err(DeskError::Requests)?,
            time: time::Time::new(&folder, surroundings),
            history: history::History::default(),
            links: Links::default(),
            health,
            notes: notes::Notes::default(),
            unkept: unkept::Unkept::default(),
            incarnation,
            seals: Seals::open(&folder.seals()),
            notices_kept: NoticeFile::open(&folder.notices()),
            again: again::Again::default(),
            run: epoch,
            events: broadcast::channel(EVENT_BACKLOG).0,
            wake: watch::Sender::default(),
            enrolment,
            key: device_key,
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

    /// There is something to send: wakes each link, also one that does not wait yet.
    fn wake_links(&self) {
        self.wake.send_replace(());
    }

    /// What tells a link that there is something to send, from now on.
    pub fn wakes(&self) -> watch::Receiver<()> {
        self.wake.subscribe()
    }

    /// How many entries are on this disk without the hub's acknowledgement.
    pub fn pending_count(&self) -> u64 {
        self.book.pending_count()
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

    /// Everything about the desk's state.
    pub fn status(&self) -> Status {
        let cursor = |cursor| self.knowledge.store.cursor(cursor).unwrap_or_default();
        let confirmed = cursor(Cursor::CatalogueAt);
        let (hub, since) = self.links.hub();
        Status {
            venue: self.enrolment.venue.clone(),
            venue_name: self.enrolment.venue_name.clone(),
            device: self.book.writer.device,
            desk_name: self.enrolment.desk_name.clone(),
            activity: self.knowledge.activity().map(|activity| self.activity_view(activity)),
            hub: hub.clone(),
            hub_since: since.0,
            pending: self.pending_count(),
            requests_waiting: self.requests.waiting_count(),
            catalogue_version: cursor(Cursor::Catalogue),
            catalogue_at: (confirmed > 0).then(|| i64::try_from(confirmed).unwrap_or(i64::MAX)),
            passes: self.knowledge.store.passes(),
            today: self.history.today(),
            disk: self.disk_health(),
            store: self.store_health(),
            clock: self.time.clock.health(),
            clock_correction: self.time.clock.correction(),
            beside: self.said_beside(),
            undo_window: self.knowledge.policy.undo_window,
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

    /// Writes the store out, before the daemon ends.
    pub fn close(&mut self) {
        if let Err(error) = self.knowledge.store.flush() {
            tracing::warn!(%error, "the store could not be written out; the hub will refill it");
        }
    }
}

#[cfg(test)]
mod tests;
