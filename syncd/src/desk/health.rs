//! What is the matter with the disk and the pass list, and how it heals: each trouble has its name, and ends when its
//! cause ends, without a restart. The daemon calls [`Desk::look_after`] again and again; it tries the disk out, opens
//! the store anew where sled repeats an old error, and checks the pass list a part at a time.
//!
//! The link to the hub does not end because the disk takes nothing: what was recorded before is sent. What the hub
//! says then cannot be kept, so the desk takes none of it until it begins another session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use desk_api::types::{Health, Status, Trouble};
use sync_protocol::heartbeat::Ticks;
use tokio::sync::Notify;

use super::Desk;
use crate::disk::{DiskTrouble, Trial};
use crate::ledger_files::LedgerFileError;
use crate::links::Peer;
use crate::store::{StoreError, StoreTrouble};

/// Bytes that a disk must take before it is said to have room again: some thousand entries.
const ROOM: usize = 64 * 1024;

/// Bytes by which a disk that is well is tried out.
const A_LITTLE: usize = 512;

/// Records that are checked while nobody else has the desk: some milliseconds.
const CHECKED_AT_ONCE: usize = 1000;

/// How often trouble is looked at.
const TROUBLE_EVERY: Duration = Duration::from_secs(2);

/// The disk is not tried out more often than this, however often there is something to look after.
const TRIED_EVERY_MS: u64 = 1000;

/// How often the disk is tried out while all is well, so that a full one is said before the next visitor comes.
const FINE_EVERY: Duration = Duration::from_secs(30);

/// When [`Desk::look_after`] is to be called again, unless the alarm comes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextLook {
    /// At once: the pass list is being checked.
    AtOnce,
    /// After a while.
    After(Duration),
}

/// What is tried out before [`Desk::look_after`]: without the desk's lock, for a disk may take seconds.
#[derive(Debug, Clone)]
pub struct Trials {
    disk: Option<Trial>,
    store: Option<Trial>,
}

impl Trials {
    /// Makes the trials.
    pub fn run(&self) -> Tried {
        let run = |trial: &Option<Trial>| trial.as_ref().map(Trial::run);
        Tried { disk: run(&self.disk), store: run(&self.store) }
    }
}

/// What the trials said, where they were made.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    disk: Option<Result<(), DiskTrouble>>,
    store: Option<Result<(), DiskTrouble>>,
}

/// What of the status can change without an event of its own: some troubles end with time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    disk: Health,
    store: Health,
    passes: u64,
    beside: Vec<Trouble>,
}

/// What is known of disk and link to the store.
#[derive(Debug, Default)]
pub(super) struct DeskHealth {
    /// What the disk last said, where it took nothing.
    disk: Option<DiskTrouble>,
    /// When the disk was tried out last.
    tried: Option<Ticks>,
    /// What was published last.
    published: Mutex<Option<Said>>,
    /// An answer changed the status, which nobody was told yet.
    status_due: bool,
    /// Told when something is the matter.
    alarm: Arc<Notify>,
}

impl DeskHealth {
    pub(super) fn alarm(&self) -> Arc<Notify> {
        self.alarm.clone()
    }

    fn published(&self) -> MutexGuard<'_, Option<Said>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer changed the status.
    pub(super) fn note_status_due(&mut self) {
        self.status_due = true;
    }

    /// This status is published.
    pub(super) fn note_published(&self, status: &Status) {
        *self.published() = Some(Said {
            disk: status.disk.clone(),
            store: status.store.clone(),
            passes: status.passes,
            beside: status.beside.clone(),
        });
    }
}

impl Desk {
    /// What is told when something is the matter: [`Desk::look_after`] is then called at once.
    pub fn alarm(&self) -> Arc<Notify> {
        self.health.alarm()
    }

    /// Whether an answer changed the status: it is told once the answer is on its way ([`Desk::tell_status`]), for who asked
    /// waits for the answer.
    pub fn owes_status(&self) -> bool {
        self.health.status_due
    }

    /// Tells the status that an answer changed.
    pub fn tell_status(&mut self) {
        if std::mem::take(&mut self.health.status_due) {
            self.publish_status();
        }
    }

    /// The state of the disk, for the status: that it takes nothing comes before what was lost once.
    pub(super) fn disk_health(&self) -> Health {
        let store = match self.knowledge.store.trouble() {
            Some(StoreTrouble::Closed { disk, .. }) => disk,
            Some(StoreTrouble::Failing(trouble)) => Some(trouble),
            Some(StoreTrouble::Damaged { .. } | StoreTrouble::OfEarlierVersion { .. }) | None => {
                None
            }
        };
        let taken = self.health.disk.or(store).or(self.unkept.trouble());
        taken.map_or_else(|| self.disk_shown(), |trouble| Health::Trouble(trouble.into()))
    }

    /// The state of the pass list, for the status.
    pub(super) fn store_health(&self) -> Health {
        let trouble = match self.knowledge.store.trouble() {
            // A hub that was restored may begin again; the list is here all the same.
            None if self.have().0 == 0 && self.knowledge.store.passes() == 0 => {
                Trouble::PassListLacking
            }
            // The disk says it, and what is in memory is read.
            None | Some(StoreTrouble::Failing(_)) => return Health::Fine,
            Some(StoreTrouble::Damaged { detail, passes, of }) => {
                Trouble::PassListDamaged { detail, passes, of }
            }
            Some(StoreTrouble::OfEarlierVersion { passes }) => {
                Trouble::PassListOfEarlierVersion { passes }
            }
            Some(StoreTrouble::Closed { why, .. }) => Trouble::PassListClosed { detail: why },
        };
        Health::Trouble(trouble)
    }

    /// The disk took nothing.
    pub(super) fn disk_failed(&mut self, trouble: DiskTrouble) {
        if self.health.disk != Some(trouble) {
            tracing::error!(?trouble, "the disk takes nothing");
            self.health.disk = Some(trouble);
            self.publish_status();
        }
        self.health.alarm.notify_one();
    }

    /// A ledger file could not be written.
    pub(super) fn ledger_failed(&mut self, error: &LedgerFileError) {
        if let LedgerFileError::Disk { error, .. } = error {
            self.disk_failed(DiskTrouble::of_failed_write(error));
        }
    }

    /// The disk took an entry.
    pub(super) fn disk_took_it(&mut self) {
        self.health.disk = None;
    }

    /// Whether what is said in this peer's session is kept.
    pub(super) fn keeps(&self, peer: Peer) -> bool {
        self.links.keeps(peer) && self.knowledge.store.is_writable()
    }

    /// From here on nothing of what is said on the links is kept, until other sessions begin.
    pub(super) fn stop_keeping(&mut self) {
        self.links.stop_keeping();
        self.health.alarm.notify_one();
    }

    /// Whether the store took what it was given. Where it did not, the session goes on without keeping anything.
    pub(super) fn kept(&mut self, done: Result<(), StoreError>) -> bool {
        let Err(error) = done else { return true };
        // Log once per session, so that the log does not fill the disk further.
        if !self.links.missed() {
            tracing::error!(%error, "the store does not take what the hub says; it is told again later");
        }
        self.stop_keeping();
        self.publish_status();
        false
    }

    /// Which sessions are the current ones: where the number changes, a session ends and another begins, with what the
    /// desk then has.
    pub fn sessions(&self) -> u64 {
        self.links.sessions()
    }

    /// What is to be tried out before the next look.
    pub fn trials(&mut self) -> Trials {
        let now = self.read_clocks().steady;
        let due = self.health.tried.is_none_or(|at| now.since(at) >= TRIED_EVERY_MS);
        if due {
            self.health.tried = Some(now);
        }
        let bytes = if self.health.disk.is_some() { ROOM } else { A_LITTLE };
        let disk = due.then(|| Trial { folder: self.folder.root().to_owned(), bytes });
        Trials { disk, store: self.knowledge.store.trial() }
    }

    /// Looks after disk and pass list: takes up what the trials said, opens anew, checks a part. To be called after the
    /// alarm, and when the last look said.
    pub fn look_after(&mut self, tried: &Tried) -> NextLook {
        let before = self.store_health();
        if let Some(taken) = tried.disk {
            // A disk that takes a new file is not well where a ledger file cannot be written.
            self.health.disk = taken.err().or_else(|| self.look_at_files());
        }
        self.keep_what_was_not_kept();
        self.requests.forget_the_oldest(self.time.clock.latest().0);
        let healed = self.knowledge.store.heal(tried.store);
        let more = self.knowledge.store.check(CHECKED_AT_ONCE);
        // What was written lately is written out, so that the next start can tell whether all of it is there. Not
        // between two parts of a check: those come every few milliseconds.
        if !more
            && self.knowledge.store.is_writable()
            && let Err(error) = self.knowledge.store.flush()
        {
            tracing::error!(%error, "the store could not be written out");
        }
        if healed || before != self.store_health() {
            self.take_up_store();
        }
        if self.links.missed() && self.health.disk.is_none() && self.knowledge.store.is_writable() {
            self.links.begin_others();
            self.wake_links();
        }
        let now = Said {
            disk: self.disk_health(),
            store: self.store_health(),
            passes: self.knowledge.store.passes(),
            beside: self.said_beside(),
        };
        let fine = now.disk == Health::Fine && now.store == Health::Fine;
        if self.health.published().as_ref() != Some(&now) {
            tracing::info!(disk = ?now.disk, store = ?now.store, "the desk's state changed");
            self.publish_status();
        }
        match (more, fine) {
            (true, _) => NextLook::AtOnce,
            (false, true) => NextLook::After(FINE_EVERY),
            (false, false) => NextLook::After(TROUBLE_EVERY),
        }
    }

    /// The store was opened anew, or another one was begun.
    fn take_up_store(&mut self) {
        self.take_up_catalogue();
        self.take_up_acknowledgements();
        // What the hub acknowledged meanwhile is known here only.
        let kept: Vec<_> =
            self.book.acknowledged.iter().map(|(list, sequence)| (*list, *sequence)).collect();
        for ((day, writer), sequence) in kept {
            if self.knowledge.store.is_writable() {
                let kept = self.knowledge.store.acknowledge(day, &writer, sequence);
                self.kept(kept);
            }
        }
        self.refresh_names();
        self.stop_keeping();
    }
}
