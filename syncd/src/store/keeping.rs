//! How the sleds of a store are opened, set aside, checked, and given up: nothing before what replaces it is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crdt_model::catalogue::PassRecord;

use super::check::{Check, Finding};
use super::denied::{Change, Denial, NOT_IN_STORE};
use super::record::Tree;
use super::shelf::{Shelf, numbers};
use super::{Cursor, LOCK_PATIENCE, Store, StoreError, at_hand, number};
use crate::disk::{DiskTrouble, Trial, probe};
use crate::paths::sync_folder_of;

/// How long to wait for sled's lock while the desk works.
const LOCK_PATIENCE_AT_WORK: Duration = Duration::from_millis(200);

/// Bytes that a disk must take before what went wrong in sled is sled's own fault: it writes 512 KiB at once.
const PROBE_BYTES: usize = 1024 * 1024;

/// Bytes that a disk must take before sled is opened anew without need: where its leaves lie, for some millions of
/// passes.
const NOTE_BYTES: usize = 8 * 1024 * 1024;

/// Records that are read at once.
pub(super) const CHECKED_AT_ONCE: usize = 1000;

/// Damaged sleds that are kept until the next is whole: the first had most, the last has what is newest.
const KEPT_ASIDE: usize = 2;

impl Store {
    /// Opens what is not open.
    pub(super) fn open_all(&mut self, patience: Duration) {
        let made = fs::create_dir_all(&self.folder).and_then(|()| sync_folder_of(&self.folder));
        if let Err(error) = made {
            let error = StoreError::Disk { path: self.folder.clone(), error };
            return self.not_open(&error);
        }
        let numbers = match numbers(&self.folder) {
            Ok(numbers) => numbers,
            Err(error) => {
                let error = StoreError::Disk { path: self.folder.clone(), error };
                return self.not_open(&error);
            }
        };
        let newest = numbers.first().copied();
        for number in numbers.iter().skip(1) {
            self.open_aside(*number);
        }
        let Some(newest) = newest.filter(|number| *number > 0) else {
            // Only what an earlier version left, or nothing.
            if let Some(earlier) = newest {
                self.open_aside(earlier);
            }
            return self.begin(1, patience);
        };
        // It was found damaged before, when there was no room for another.
        if self.is_set_aside(newest) {
            return self.begin(newest + 1, patience);
        }
        match open_patiently(&self.folder, newest, patience) {
            Ok(shelf) if shelf.damage.is_none() => self.opened(shelf),
            Ok(shelf) => {
                let why = shelf.damage.clone().unwrap_or_default();
                self.aside.insert(0, shelf);
                self.note_damage(why);
                self.begin(newest + 1, patience);
            }
            Err(error) if self.disk_or_lock(&error) => self.not_open(&error),
            Err(error) => {
                self.unreadable.push(newest);
                self.note_damage(error.to_string());
                self.begin(newest + 1, patience);
            }
        }
    }

    fn is_set_aside(&self, number: u32) -> bool {
        self.aside.iter().any(|shelf| shelf.number == number) || self.unreadable.contains(&number)
    }

    fn open_aside(&mut self, number: u32) {
        if self.is_set_aside(number) {
            return;
        }
        match open_patiently(&self.folder, number, LOCK_PATIENCE_AT_WORK) {
            Ok(shelf) => {
                self.aside.push(shelf);
                self.aside.sort_unstable_by_key(|shelf| std::cmp::Reverse(shelf.number));
            }
            Err(error) if self.disk_or_lock(&error) => {
                tracing::warn!(number, %error, "an earlier pass list cannot be opened now");
            }
            Err(error) => {
                tracing::warn!(number, %error, "an earlier pass list cannot be read");
                self.unreadable.push(number);
            }
        }
    }

    /// Begins a new sled.
    fn begin(&mut self, number: u32, patience: Duration) {
        self.filled = false;
        match open_patiently(&self.folder, number, patience) {
            Ok(shelf) => self.opened(shelf),
            Err(error) => self.not_open(&error),
        }
        self.forget_the_middle();
    }

    /// What the damaged one has of acknowledgements is not sent again; and the small parts of the catalogue are there
    /// at once.
    fn carry_over(&mut self) -> Result<(), StoreError> {
        let mut kept: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for shelf in &self.aside {
            for (key, value) in shelf.all(Tree::Acknowledged, b"").into_iter().flatten() {
                let known = kept.entry(key).or_default();
                *known = (*known).max(number(Some(&value)));
            }
        }
        let hub_clock = self.cursor(Cursor::HubClock)?;
        let at_hand = at_hand::read(&self.folder.join("at-hand"));
        // Not [`Store::write`]: that begins another sled where this one proves damaged, and so on without an end.
        self.writable()?.write(|writing| {
            for (tree, key, value) in &at_hand {
                writing.put(*tree, key, value)?;
            }
            for (key, sequence) in &kept {
                writing.put(Tree::Acknowledged, key, &sequence.to_be_bytes())?;
            }
            writing.put(Tree::Meta, Cursor::HubClock.key(), &hub_clock.to_be_bytes())
        })
    }

    fn opened(&mut self, shelf: Shelf) {
        // Its layout alone was written: it was begun now, or earlier when there was no room for more.
        let is_new = shelf.tally().revision <= 1;
        self.current = Some(shelf);
        self.closed = None;
        self.failing = None;
        if let Err(error) = self.note_what_it_lost() {
            tracing::error!(%error, "the list of blocked cards cannot be written");
        }
        if is_new && let Err(error) = self.carry_over() {
            self.failing = self.failing.or(error.disk_trouble());
            tracing::warn!(%error, "acknowledgements could not be taken over; the hub is sent all again");
        }
    }

    /// Opens the current sled anew, which has been written out, so that it notes where its leaves lie. What was checked of
    /// it is checked.
    /// Where the disk might not take that note, it stays as it is: an open list can be read on a full disk.
    pub(super) fn open_anew(&mut self) {
        if probe(&self.folder, NOTE_BYTES).is_err() {
            return;
        }
        let Some(shelf) = self.current.take() else { return };
        let (tally, check) = (shelf.tally().clone(), shelf.check.clone());
        drop(shelf);
        self.open_all(LOCK_PATIENCE);
        if let Some(shelf) = self.current.as_mut().filter(|shelf| *shelf.tally() == tally) {
            shelf.check = check;
        }
    }

    /// A denial that the list has of a page that this sled does not have any more: the check must not end it.
    fn note_what_it_lost(&mut self) -> Result<(), StoreError> {
        let Some(shelf) = &self.current else { return Ok(()) };
        let lost = self.denied.ahead_of(shelf.number, shelf.tally().revision);
        if lost.is_empty() { Ok(()) } else { self.take_denials(&lost) }
    }

    fn not_open(&mut self, error: &StoreError) {
        tracing::error!(%error, "the pass list cannot be opened now; it is tried again");
        let disk = error.disk_trouble().or_else(|| self.probed().err());
        self.closed = Some((format!("it cannot be opened now ({error})"), disk));
    }

    pub(super) fn note_damage(&mut self, why: String) {
        tracing::error!(
            why,
            "the pass list is damaged; what proves itself whole is used until the hub has filled a new one"
        );
        self.damage.get_or_insert(why);
    }

    /// Whether this error says nothing of what is on the disk. What sled says is not always what was the matter, so
    /// the disk is tried out.
    fn disk_or_lock(&self, error: &StoreError) -> bool {
        let moment = matches!(error, StoreError::Closed { .. }) || error.is_locked();
        moment || error.disk_trouble().is_some() || self.probed().is_err()
    }

    /// Tries the disk out where the store is. Somebody may have removed its folder under the running desk: the disk is
    /// well then, and the folder is made again.
    fn probed(&self) -> Result<(), DiskTrouble> {
        self.folder_is_there();
        probe(&self.folder, PROBE_BYTES)
    }

    fn folder_is_there(&self) {
        // The trial that follows says what is the matter.
        let _ = fs::create_dir_all(&self.folder);
    }

    /// Of many damaged ones the first and the last are kept.
    fn forget_the_middle(&mut self) {
        let current = self.current.as_ref().map(|shelf| shelf.number);
        let Ok(mut others) = numbers(&self.folder) else { return };
        others.retain(|number| Some(*number) != current);
        if others.len() <= KEPT_ASIDE || current.is_none() {
            return;
        }
        let middle = &others[1..others.len() - 1];
        self.aside.retain(|shelf| !middle.contains(&shelf.number));
        self.unreadable.retain(|number| !middle.contains(number));
        for number in middle {
            Shelf::remove(&self.folder, *number);
        }
    }

    /// Notes what a failed write says: what the operating system refuses is no damage. sled may have taken a part of the
    /// write in memory, and repeats its error, so it is opened anew.
    pub(super) fn failed(&mut self, error: StoreError) -> StoreError {
        let disk = error.disk_trouble().or_else(|| self.probed().err());
        if let Some(trouble) = disk {
            self.failing = Some(trouble);
            return StoreError::Closed { why: error.to_string(), disk: Some(trouble) };
        }
        self.set_aside(error.to_string());
        error
    }

    /// The current sled is damaged: from now on it is only read, and another one is begun.
    pub(super) fn set_aside(&mut self, why: String) {
        self.note_damage(why);
        self.ended.clear();
        let Some(shelf) = self.current.take() else { return };
        let next = shelf.number + 1;
        self.aside.insert(0, shelf);
        self.begin(next, LOCK_PATIENCE_AT_WORK);
    }

    /// The hub says that the catalogue is all here. Where there are damaged ones, they are given up as soon as this one
    /// proves whole.
    pub fn caught_up(&mut self) {
        if self.aside.is_empty() && self.unreadable.is_empty() {
            self.damage = None;
        } else if !self.filled {
            self.filled = true;
            if let Some(shelf) = &mut self.current {
                shelf.check = Check::default();
            }
            self.alarm.notify_one();
        }
    }

    /// Checks so many more records. Whether there are more.
    pub fn check(&mut self, at_most: usize) -> bool {
        let mut left = at_most;
        while left > 0 {
            match self.check_part(left.min(CHECKED_AT_ONCE)) {
                Ok(Some(read)) => left = left.saturating_sub(read),
                Ok(None) => return false,
                Err(error) => {
                    self.noted::<()>(Err(error));
                    return false;
                }
            }
        }
        true
    }

    /// Checks a part of one tree: how many records were read; nothing where everything is checked.
    fn check_part(&mut self, at_most: usize) -> Result<Option<usize>, StoreError> {
        let mut changes = Vec::new();
        let Self { current, aside, denied, ended, .. } = self;
        let own = current.iter_mut().map(|shelf| (true, shelf));
        let next = own
            .chain(aside.iter_mut().map(|shelf| (false, shelf)))
            .find(|(_, shelf)| shelf.check.finding() == Finding::NotYet);
        let Some((is_current, shelf)) = next else { return Ok(None) };
        let (number, revision) = (shelf.number, shelf.tally().revision);
        let read = shelf.check_some(at_most, |tree, _, value| {
            let Ok(record) = minicbor::decode::<PassRecord>(value) else { return };
            if tree != Tree::Passes {
                return;
            }
            for card in &record.cards {
                let known = denied.get(&card.name.0);
                match (Denial::of(&record, card, number, revision), known) {
                    (Some(denial), None) => changes.push((card.name.0, Some(denial))),
                    // It ended after this store had it, and the desk was stopped before that was noted.
                    (None, Some(known))
                        if is_current
                            && (known.shelf < number
                                || known.shelf == number && known.revision <= revision) =>
                    {
                        ended.push((card.name.0, *known));
                    }
                    // It is in the records after all.
                    (Some(denial), Some(known))
                        if is_current
                            && known.revision == NOT_IN_STORE
                            && known.says_as(&denial) =>
                    {
                        changes.push((card.name.0, Some(denial)));
                    }
                    (Some(_), Some(_)) | (None, _) => {}
                }
            }
        })?;
        let finding = shelf.check.finding();
        if !changes.is_empty() {
            self.take_denials(&changes)?;
        }
        match finding {
            Finding::NotYet => {}
            Finding::Whole if is_current => {
                let ended = std::mem::take(&mut self.ended).into_iter();
                let as_it_was = ended.filter(|(name, it)| self.denied.get(name) == Some(it));
                let ended: Vec<Change> = as_it_was.map(|(name, _)| (name, None)).collect();
                if self.denied.is_incomplete() || !ended.is_empty() {
                    self.take_denials(&ended)?;
                }
                self.give_up_the_others()?;
            }
            Finding::Damaged(why) if is_current => self.set_aside(why),
            Finding::Whole | Finding::Damaged(_) => {}
        }
        Ok(Some(read))
    }

    /// The current one is filled and whole.
    fn give_up_the_others(&mut self) -> Result<(), StoreError> {
        if !self.filled {
            return Ok(());
        }
        self.flush()?;
        let others = self.aside.drain(..).map(|shelf| shelf.number);
        let others: Vec<u32> = others.chain(self.unreadable.drain(..)).collect();
        for number in &others {
            Shelf::remove(&self.folder, *number);
        }
        if !others.is_empty() {
            tracing::info!("the pass list is whole again; the damaged one was removed");
        }
        self.damage = None;
        self.filled = false;
        Ok(())
    }

    /// What is to be tried out before [`Store::heal`], where something is closed or repeats an old error.
    pub fn trial(&self) -> Option<Trial> {
        let needed = self.closed.is_some() || self.failing.is_some();
        if needed {
            self.folder_is_there();
        }
        needed.then(|| Trial { folder: self.folder.clone(), bytes: PROBE_BYTES })
    }

    /// Sees to what is the matter: sets a damaged sled aside, and opens what is closed or repeats an old error.
    /// `tried` is what a trial of the disk said just now ([`Store::trial`]); without it the disk is tried out here.
    /// Whether anything changed.
    pub fn heal(&mut self, tried: Option<Result<(), DiskTrouble>>) -> bool {
        let noticed = self.noticed.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let mut changed = noticed.is_some();
        if let Some(error) = noticed
            && self.current.is_some()
        {
            drop(self.failed(error));
        }
        if self.closed.is_none() && self.failing.is_none() {
            return changed;
        }
        let tried = tried.unwrap_or_else(|| self.probed());
        if let Err(trouble) = tried {
            let known = self.closed.as_ref().map_or(self.failing, |(_, disk)| *disk);
            changed |= known != Some(trouble);
            match &mut self.closed {
                Some((_, disk)) => *disk = Some(trouble),
                None => self.failing = Some(trouble),
            }
            return changed;
        }
        // sled forgets its error when it is opened anew.
        self.current = None;
        self.failing = None;
        self.open_all(LOCK_PATIENCE_AT_WORK);
        true
    }
}

/// Waits for sled's lock: it is given up a moment after the sled was closed, and a sled that is in use is not a damaged
/// one.
fn open_patiently(store: &Path, number: u32, patience: Duration) -> Result<Shelf, StoreError> {
    let begun = Instant::now();
    loop {
        match Shelf::open(store, number) {
            Err(error) if error.is_locked() && begun.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return opened,
        }
    }
}
