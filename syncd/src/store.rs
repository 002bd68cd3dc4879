//! What the hub tells the desk, kept in sled: the catalogue, cursors, acknowledgements.
//!
//! Everything here can be deleted at any time and comes back from the hub and the ledger files
//! (invariant 9). But it comes back only where there is internet, so nothing is given up before what replaces it
//! is whole: a sled that is found damaged is only read from then on, and a new one is begun beside it. Look-ups go to
//! the new one first, then to the damaged one for records that prove themselves whole. The old one is removed once
//! the hub has filled the new one.
//!
//! | in `store/` | what |
//! | --- | --- |
//! | `1/`, `2/`, … | sleds; the highest number is the one that is written |
//! | `1.written-out`, … | what each had when it was last written out |
//! | `denied` | the blocked cards, a second time |
//!
//! A disk that takes no writes is not damage: then nothing is set aside, and what cannot be opened is opened later.

mod check;
mod denied;
mod record;
mod shelf;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crdt_model::catalogue::{
    Activity, CardKey, CardName, CardSystem, Coupon, Item, PassRecord, Policy, Reward,
};
use crdt_model::holder::SealedHolder;
use crdt_model::ids::{PassId, Writer};
use crdt_model::time::day_number;
use jiff::civil::Date;
use sync_protocol::message::SealedPart;
use thiserror::Error;
use tokio::sync::Notify;

use self::check::Finding;
use self::denied::{Change, Denial, Denied};
use self::record::Tree;
use self::shelf::{Shelf, Stopped, Writing, encoded, is_locked, numbers};
use crate::disk::{DiskTrouble, probe};
use crate::paths::sync_folder_of;

/// sled is at ease with values below 4 KiB: a picture is kept in pieces.
const PICTURE_PIECE: usize = 3500;

/// So long sled's lock is waited for where the desk starts: sled gives it up a moment after it was closed.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// So long sled's lock is waited for while the desk works.
const LOCK_PATIENCE_AT_WORK: Duration = Duration::from_millis(200);

/// Bytes that a disk must take before what went wrong in sled is sled's own fault: it writes 512 KiB at once.
const PROBE_BYTES: usize = 1024 * 1024;

/// Damaged sleds that are kept until the next is whole: the first had most, the last has what is newest.
const KEPT_ASIDE: usize = 2;

/// Records that are checked before the desk answers for the first time: a tenth of a second.
const CHECKED_AT_START: usize = 20_000;

/// What goes wrong with the store. None of it loses anything that matters.
#[derive(Debug, Error)]
pub enum StoreError {
    /// sled says no.
    #[error("the store: {0}")]
    Sled(#[from] sled::Error),
    /// sled panicked.
    #[error("the store's library panicked: {0}")]
    Panicked(String),
    /// A record cannot be read.
    #[error("a record of the store cannot be read: {0}")]
    Record(#[from] minicbor::decode::Error),
    /// The folder cannot be made, read or moved.
    #[error("{path}: {error}")]
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Something is not as it was written.
    #[error("{0}")]
    Damaged(String),
    /// The store is not open; it is tried again.
    #[error("{why}")]
    Closed {
        /// Why.
        why: String,
        /// What is the matter with the disk, where it is that.
        disk: Option<DiskTrouble>,
    },
}

impl StoreError {
    /// What is the matter with the disk, where the error comes from that.
    pub fn disk_trouble(&self) -> Option<DiskTrouble> {
        match self {
            Self::Sled(sled::Error::Io(error)) | Self::Disk { error, .. } => DiskTrouble::of(error),
            Self::Sled(sled::Error::ReportableBug(text)) | Self::Panicked(text) => {
                DiskTrouble::of_text(text)
            }
            Self::Closed { disk, .. } => *disk,
            Self::Sled(_) | Self::Record(_) | Self::Damaged(_) => None,
        }
    }
}

/// What is the matter with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreTrouble {
    /// The pass list was damaged; the hub fills the next one.
    Damaged {
        /// What was found.
        detail: String,
        /// Passes that can be looked up, as far as they are counted.
        passes: u64,
        /// Passes that there were.
        of: u64,
    },
    /// The pass list is one of an earlier version of the program; the hub fills the next one.
    OfEarlierVersion {
        /// Passes that can be looked up.
        passes: u64,
    },
    /// It cannot be opened.
    Closed {
        /// Why.
        why: String,
        /// What is the matter with the disk, where it is that.
        disk: Option<DiskTrouble>,
    },
    /// It is read, and cannot be written.
    Failing(DiskTrouble),
}

/// The store.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// What is written.
    current: Option<Shelf>,
    /// What is only read, the newest first.
    aside: Vec<Shelf>,
    /// Sleds that do not open at all, kept until the next is whole.
    unreadable: Vec<u32>,
    denied: Denied,
    damage: Option<String>,
    closed: Option<(String, Option<DiskTrouble>)>,
    /// A write failed because of the disk: sled repeats that until it is opened anew.
    failing: Option<DiskTrouble>,
    /// The hub has filled the current one: where it proves whole, the others are given up.
    filled: bool,
    /// Denials that the records do not have any more, as far as the check has come. They end where the whole proves
    /// whole: a record that came back in an older form says nothing.
    ended: Vec<(CardKey, Denial)>,
    /// What look-ups found to be wrong, to be seen to by [`Store::heal`].
    noticed: Mutex<Option<StoreError>>,
    alarm: Arc<Notify>,
}

impl Store {
    /// Opens the store. This never fails: [`Store::trouble`] says what is the matter. `alarm` is told when a look-up
    /// finds something that [`Store::heal`] is to see to.
    pub fn open(folder: &Path, alarm: Arc<Notify>) -> Self {
        let mut store = Self {
            folder: folder.to_owned(),
            current: None,
            aside: Vec::new(),
            unreadable: Vec::new(),
            denied: Denied::open(&folder.join("denied")),
            damage: None,
            closed: None,
            failing: None,
            filled: false,
            ended: Vec::new(),
            noticed: Mutex::new(None),
            alarm,
        };
        store.open_all(LOCK_PATIENCE);
        store.check(CHECKED_AT_START);
        store
    }

    /// Opens what is not open.
    fn open_all(&mut self, patience: Duration) {
        let made = fs::create_dir_all(&self.folder).and_then(|()| sync_folder_of(&self.folder));
        if let Err(error) = made {
            let error = StoreError::Disk { path: self.folder.clone(), error };
            return self.not_open(&error);
        }
        let numbers = numbers(&self.folder);
        let newest = numbers.first().copied();
        for number in numbers.iter().skip(1) {
            self.open_aside(*number);
        }
        let Some(newest) = newest.filter(|number| *number > 0) else {
            // Only what an earlier version left, or nothing.
            newest.into_iter().for_each(|number| self.open_aside(number));
            return self.begin(1, patience);
        };
        match open_patiently(&self.folder, newest, patience) {
            Ok(shelf) if shelf.damage.is_none() => self.opened(shelf),
            Ok(shelf) => {
                let why = shelf.damage.clone().unwrap_or_default();
                self.aside.insert(0, shelf);
                self.note_damage(why);
                self.begin(newest + 1, patience);
            }
            Err(error) => match self.disk_or_lock(&error) {
                true => self.not_open(&error),
                false => {
                    self.unreadable.push(newest);
                    self.note_damage(error.to_string());
                    self.begin(newest + 1, patience);
                }
            },
        }
    }

    fn open_aside(&mut self, number: u32) {
        if self.aside.iter().any(|shelf| shelf.number == number)
            || self.unreadable.contains(&number)
        {
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
            Ok(shelf) => {
                self.opened(shelf);
                if let Err(error) = self.carry_over() {
                    tracing::warn!(%error, "acknowledgements could not be taken over; the hub is sent all again");
                }
            }
            Err(error) => self.not_open(&error),
        }
        self.forget_the_middle();
    }

    /// What the damaged one has of acknowledgements is not sent again.
    fn carry_over(&mut self) -> Result<(), StoreError> {
        let mut kept: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for shelf in &self.aside {
            for (key, value) in shelf.all(Tree::Acknowledged, b"").into_iter().flatten() {
                let known = kept.entry(key).or_default();
                *known = (*known).max(number(Some(&value)));
            }
        }
        let hub_clock = self.cursor(Cursor::HubClock)?;
        self.write(|writing| {
            for (key, sequence) in &kept {
                writing.put(Tree::Acknowledged, key, &sequence.to_be_bytes())?;
            }
            writing.put(Tree::Meta, Cursor::HubClock.key(), &hub_clock.to_be_bytes())
        })
    }

    fn opened(&mut self, shelf: Shelf) {
        self.current = Some(shelf);
        self.closed = None;
        self.failing = None;
    }

    fn not_open(&mut self, error: &StoreError) {
        tracing::error!(%error, "the pass list cannot be opened now; it is tried again");
        let disk = error.disk_trouble().or_else(|| probe(&self.folder, PROBE_BYTES).err());
        self.closed = Some((format!("it cannot be opened now ({error})"), disk));
    }

    fn note_damage(&mut self, why: String) {
        tracing::error!(
            why,
            "the pass list is damaged; what proves itself whole is used until the hub has filled a new one"
        );
        self.damage.get_or_insert(why);
    }

    /// Whether this error says nothing of what is on the disk. What sled says is not always what was the matter, so
    /// the disk is tried out.
    fn disk_or_lock(&self, error: &StoreError) -> bool {
        let moment = matches!(error, StoreError::Closed { .. }) || is_locked(error);
        moment || error.disk_trouble().is_some() || probe(&self.folder, PROBE_BYTES).is_err()
    }

    /// Of many damaged ones the first and the last are kept.
    fn forget_the_middle(&mut self) {
        let current = self.current.as_ref().map(|shelf| shelf.number);
        let mut others = numbers(&self.folder);
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

    /// What is the matter.
    pub fn trouble(&self) -> Option<StoreTrouble> {
        if let Some((why, disk)) = &self.closed {
            return Some(StoreTrouble::Closed { why: why.clone(), disk: *disk });
        }
        if let Some(trouble) = self.failing {
            return Some(StoreTrouble::Failing(trouble));
        }
        let passes = self.passes();
        let of = self.shelves().map(|it| it.tally().of(Tree::Passes).records).max();
        let of = of.unwrap_or_default().max(passes);
        let found = self.current.as_ref().and_then(|shelf| shelf.check.damage());
        if let Some(detail) = self.damage.as_deref().or(found) {
            return Some(StoreTrouble::Damaged { detail: detail.to_owned(), passes, of });
        }
        match &self.aside[..] {
            [] if self.unreadable.is_empty() => None,
            [only] if only.is_of_earlier_version() && self.unreadable.is_empty() => {
                Some(StoreTrouble::OfEarlierVersion { passes })
            }
            _ => {
                let detail = "it was found before this start".to_owned();
                Some(StoreTrouble::Damaged { detail, passes, of })
            }
        }
    }

    /// Whether every record of it was checked and is there: what is not found then is not known to the hub either.
    pub fn is_whole(&self) -> bool {
        let checked = self.current.as_ref().map(|shelf| shelf.check.finding());
        self.trouble().is_none() && checked == Some(Finding::Whole)
    }

    /// Whether it was damaged, and the hub has not filled another one yet.
    pub fn is_damaged(&self) -> bool {
        matches!(self.trouble(), Some(StoreTrouble::Damaged { .. }))
    }

    /// Whether it takes what the hub says.
    pub fn is_writable(&self) -> bool {
        self.current.is_some() && self.failing.is_none()
    }

    /// Passes that can be looked up, as far as they are counted.
    pub fn passes(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |it| it.tally().of(Tree::Passes).records);
        let read = self.shelves().filter_map(|shelf| shelf.check.passes());
        match self.aside[..] {
            [] => current,
            _ => read.max().unwrap_or_default().max(current),
        }
    }

    /// The current one, then the others.
    fn shelves(&self) -> impl Iterator<Item = &Shelf> {
        self.current.iter().chain(&self.aside)
    }

    /// What a look-up says, or what it found to be wrong: that is seen to later, and here it is not there.
    fn noted<T>(&self, found: Result<Option<T>, StoreError>) -> Option<T> {
        found.unwrap_or_else(|error| {
            let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
            if noticed.is_none() {
                tracing::error!(%error, "a part of the pass list cannot be read");
            }
            noticed.get_or_insert(error);
            self.alarm.notify_one();
            None
        })
    }

    /// As [`Store::noted`]; what is wrong with one that is only read is known.
    fn read<T>(&self, shelf: &Shelf, found: Result<Option<T>, StoreError>) -> Option<T> {
        let current = self.current.as_ref().is_some_and(|current| current.number == shelf.number);
        if current { self.noted(found) } else { found.ok().flatten() }
    }

    /// The pass that carries this card, if the catalogue knows it.
    ///
    /// # Errors
    /// [`StoreError::Closed`] where nobody can know.
    pub fn pass_of_card(&self, card: &CardKey) -> Result<Option<PassRecord>, StoreError> {
        let mut found = None;
        for shelf in self.shelves() {
            let pass = self.read(shelf, shelf.get(Tree::Cards, card));
            if let Some(pass) =
                pass.and_then(|key| Some(PassId(u64::from_be_bytes(key.try_into().ok()?))))
                && let Some(record) = self.record(pass)
            {
                found = Some(record);
                break;
            }
        }
        // No damage to the records makes a blocked card welcome.
        if let Some(denial) = self.denied.get(card) {
            return Ok(Some(denial.upon(found, CardName(*card))));
        }
        match &self.closed {
            Some((why, disk)) if found.is_none() => {
                Err(StoreError::Closed { why: why.clone(), disk: *disk })
            }
            _ => Ok(found),
        }
    }

    /// The record of a pass.
    pub fn pass(&self, pass: PassId) -> Option<PassRecord> {
        let mut record = self.record(pass)?;
        for card in record.cards.clone() {
            if let Some(denial) = self.denied.get(&card.name.0) {
                record = denial.upon(Some(record), card.name);
            }
        }
        Some(record)
    }

    fn record(&self, pass: PassId) -> Option<PassRecord> {
        self.shelves().find_map(|shelf| self.decoded(shelf, Tree::Passes, &pass.0.to_be_bytes()))
    }

    fn decoded<T: for<'b> minicbor::Decode<'b, ()>>(
        &self,
        shelf: &Shelf,
        tree: Tree,
        key: &[u8],
    ) -> Option<T> {
        let value = shelf.get(tree, key);
        let found = value.and_then(|value| match value {
            Some(value) => Ok(Some(minicbor::decode(&value)?)),
            None => Ok(None),
        });
        self.read(shelf, found)
    }

    /// All records of a tree, by their keys: the newest of each.
    fn all<T: for<'b> minicbor::Decode<'b, ()>>(&self, tree: Tree) -> Vec<T> {
        let mut found: BTreeMap<Vec<u8>, T> = BTreeMap::new();
        for shelf in self.shelves() {
            for pair in shelf.all(tree, b"") {
                let decoded =
                    pair.and_then(|(key, value)| Ok(Some((key, minicbor::decode(&value)?))));
                if let Some((key, record)) = self.read(shelf, decoded) {
                    found.entry(key).or_insert(record);
                }
            }
        }
        found.into_values().collect()
    }

    /// The venue's activities, in the hub's order.
    pub fn activities(&self) -> Vec<Activity> {
        self.all(Tree::Activities)
    }

    /// The rewards, in the hub's order.
    pub fn rewards(&self) -> Vec<Reward> {
        self.all(Tree::Rewards)
    }

    /// The coupons.
    pub fn coupons(&self) -> Vec<Coupon> {
        self.all(Tree::Coupons)
    }

    /// The card systems.
    pub fn card_systems(&self) -> Vec<CardSystem> {
        self.all(Tree::CardSystems)
    }

    /// The venue's policy; the cautious default before the hub has said one.
    pub fn policy(&self) -> Policy {
        let said = self.shelves().find_map(|shelf| self.decoded(shelf, Tree::Meta, POLICY));
        said.unwrap_or_default()
    }

    /// The sealed part of a pass's record, with its picture.
    pub fn holder(&self, pass: PassId) -> Option<SealedHolder> {
        let key = pass.0.to_be_bytes();
        for shelf in self.shelves() {
            let found: Option<SealedHolder> = self.decoded(shelf, Tree::Holders, &key);
            let Some(mut sealed) = found else { continue };
            let pieces: Result<Vec<_>, _> = shelf.all(Tree::Pictures, &key).into_iter().collect();
            let Some(pieces) = self.read(shelf, pieces.map(Some)) else { continue };
            let picture: Vec<u8> = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
            sealed.picture = (!picture.is_empty()).then_some(picture);
            return Some(sealed);
        }
        None
    }

    /// Takes sealed parts of records. `version` is what the desk then has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn apply_holders(&mut self, parts: &[SealedPart], version: u64) -> Result<(), StoreError> {
        let mut pieces = Vec::new();
        for part in parts {
            let Some(shelf) = &self.current else { break };
            let known = shelf.all(Tree::Pictures, &part.pass.0.to_be_bytes());
            pieces.extend(known.into_iter().flatten().map(|(key, _)| key));
        }
        self.write(|writing| {
            for piece in &pieces {
                writing.remove(Tree::Pictures, piece)?;
            }
            for part in parts {
                let key = part.pass.0.to_be_bytes();
                let Some(sealed) = &part.sealed else {
                    writing.remove(Tree::Holders, &key)?;
                    continue;
                };
                let picture = sealed.picture.as_deref().unwrap_or_default();
                for (number, piece) in (0u16..).zip(picture.chunks(PICTURE_PIECE)) {
                    let key = [&key[..], &number.to_be_bytes()].concat();
                    writing.put(Tree::Pictures, &key, piece)?;
                }
                let plain = SealedHolder { picture: None, ..sealed.clone() };
                writing.put(Tree::Holders, &key, &encoded(&plain))?;
            }
            writing.put(Tree::Meta, Cursor::Holders.key(), &version.to_be_bytes())
        })
    }

    /// Applies a page of the catalogue, whole or not at all. `version` is what the desk then has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn apply(&mut self, items: &[Item], version: u64) -> Result<(), StoreError> {
        let Some(shelf) = &self.current else { return Err(self.is_closed()) };
        let (denied, freed) = self.denials(items, shelf.number, shelf.tally().revision + 1);
        // Blocked first, freed last: what comes between must not make a blocked card welcome.
        self.take_denials(&denied)?;
        self.write(|writing| {
            for item in items {
                put_item(writing, item)?;
            }
            writing.put(Tree::Meta, Cursor::Catalogue.key(), &version.to_be_bytes())
        })?;
        self.take_denials(&freed)
    }

    /// What these items change in the list of blocked cards: those that are blocked now, and those that are not any
    /// more.
    fn denials(&self, items: &[Item], shelf: u32, revision: u64) -> (Vec<Change>, Vec<Change>) {
        let (mut denied, mut freed) = (Vec::new(), Vec::new());
        for item in items {
            let Item::Pass(record) = item else { continue };
            let mut named = HashSet::new();
            for card in &record.cards {
                let name = card.name.0;
                named.insert(name);
                let known = self.denied.get(&name);
                match Denial::of(record, card, shelf, revision) {
                    // Said again of this store, it is to be known of this store.
                    Some(denial)
                        if known.is_none_or(|it| !it.says_as(&denial) || it.shelf != shelf) =>
                    {
                        denied.push((name, Some(denial)));
                    }
                    Some(_) => {}
                    None if known.is_some() => freed.push((name, None)),
                    None => {}
                }
            }
            // Cards that the pass has no more: they are not known, unless they went over to another pass.
            let before = self.record(record.pass).into_iter().flat_map(|it| it.cards);
            let gone = before.map(|card| card.name.0).filter(|name| !named.contains(name));
            let own =
                |name: &CardKey| self.denied.get(name).is_some_and(|it| it.pass == record.pass);
            freed.extend(gone.filter(own).map(|name| (name, None)));
        }
        (denied, freed)
    }

    fn take_denials(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let path = self.folder.join("denied");
        self.denied.take(changes).map_err(|error| {
            self.failing = self.failing.or(Some(DiskTrouble::of_failed_write(&error)));
            StoreError::Disk { path, error }
        })
    }

    fn is_closed(&self) -> StoreError {
        let (why, disk) = self.closed.clone().unwrap_or_default();
        StoreError::Closed { why, disk }
    }

    fn write(
        &mut self,
        work: impl Fn(&mut Writing<'_>) -> Result<(), Stopped>,
    ) -> Result<(), StoreError> {
        if let (Some(shelf), Some(trouble)) = (&self.current, self.failing) {
            let why = format!("sled {} takes nothing until it is opened anew", shelf.number);
            return Err(StoreError::Closed { why, disk: Some(trouble) });
        }
        let Some(shelf) = &mut self.current else { return Err(self.is_closed()) };
        let written = shelf.write(work);
        written.map_err(|error| self.failed(error))
    }

    /// Notes what a failed write says. sled may have taken a part of it in memory, and repeats its error: it is opened
    /// anew.
    fn failed(&mut self, error: StoreError) -> StoreError {
        let disk = error.disk_trouble().or_else(|| probe(&self.folder, PROBE_BYTES).err());
        match disk {
            Some(trouble) => {
                self.failing = Some(trouble);
                StoreError::Closed { why: error.to_string(), disk: Some(trouble) }
            }
            None => {
                self.set_aside(error.to_string());
                error
            }
        }
    }

    /// The current sled is damaged: from now on it is only read, and another one is begun.
    fn set_aside(&mut self, why: String) {
        self.note_damage(why);
        self.ended.clear();
        let Some(shelf) = self.current.take() else { return };
        let next = shelf.number + 1;
        self.aside.insert(0, shelf);
        self.begin(next, LOCK_PATIENCE_AT_WORK);
    }

    /// A number that the desk keeps about its link to the hub; 0 before it was ever set.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn cursor(&self, cursor: Cursor) -> Result<u64, StoreError> {
        let of = |shelf: &Shelf| self.read(shelf, shelf.get(Tree::Meta, cursor.key()));
        match cursor {
            // Of what is there, whatever it is in.
            Cursor::CatalogueAt | Cursor::HubClock => {
                Ok(self.shelves().filter_map(of).map(|it| number(Some(&it))).max().unwrap_or(0))
            }
            Cursor::Catalogue | Cursor::Venue | Cursor::Holders => match &self.current {
                Some(shelf) => Ok(number(of(shelf).as_deref())),
                None => Err(self.is_closed()),
            },
        }
    }

    /// Sets it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_cursor(&mut self, cursor: Cursor, value: u64) -> Result<(), StoreError> {
        self.write(|writing| writing.put(Tree::Meta, cursor.key(), &value.to_be_bytes()))
    }

    /// How many entries of its lists the hub has acknowledged.
    pub fn acknowledgements(&self) -> Vec<(i32, Writer, u64)> {
        let mut found = Vec::new();
        for shelf in self.current.iter().chain(self.aside.iter().filter(|_| self.current.is_none()))
        {
            for pair in shelf.all(Tree::Acknowledged, b"") {
                let Some((key, value)) = self.read(shelf, pair.map(Some)) else { continue };
                let Some((day, writer)) = key.split_first_chunk::<4>() else { continue };
                let Ok(writer) = Writer::from_bytes(writer) else { continue };
                found.push((i32::from_be_bytes(*day), writer, number(Some(&value))));
            }
        }
        found
    }

    /// Keeps an acknowledgement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acknowledge(
        &mut self,
        day: Date,
        writer: &Writer,
        sequence: u64,
    ) -> Result<(), StoreError> {
        let key = [&day_number(day).to_be_bytes()[..], &writer.to_bytes()].concat();
        self.write(|writing| writing.put(Tree::Acknowledged, &key, &sequence.to_be_bytes()))
    }

    /// Forgets all acknowledgements.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_acknowledgements(&mut self) -> Result<(), StoreError> {
        let shelf = self.current.iter();
        let keys = shelf.flat_map(|shelf| shelf.all(Tree::Acknowledged, b"")).flatten();
        let keys: Vec<Vec<u8>> = keys.map(|(key, _)| key).collect();
        self.write(|writing| {
            keys.iter().try_for_each(|key| writing.remove(Tree::Acknowledged, key))
        })
    }

    /// Writes everything out, so that a power cut finds it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn flush(&mut self) -> Result<(), StoreError> {
        let Some(shelf) = &mut self.current else { return Err(self.is_closed()) };
        if let Some(trouble) = self.failing {
            let why = "it is to be opened anew".to_owned();
            return Err(StoreError::Closed { why, disk: Some(trouble) });
        }
        shelf.flush().map_err(|error| self.failed(error))
    }

    /// The hub says that the catalogue is all here. Where there are damaged ones, they are given up as soon as this one
    /// proves whole.
    pub fn caught_up(&mut self) {
        if self.aside.is_empty() && self.unreadable.is_empty() {
            self.damage = None;
        } else if !self.filled {
            self.filled = true;
            if let Some(shelf) = &mut self.current {
                shelf.check = check::Check::default();
            }
            self.alarm.notify_one();
        }
    }

    /// Checks so many more records. Whether there are more.
    pub fn check(&mut self, at_most: usize) -> bool {
        let mut left = at_most;
        while left > 0 {
            let part = left.min(at_most.min(1000));
            match self.check_part(part) {
                Ok(true) => left -= part,
                Ok(false) => return false,
                Err(error) => {
                    self.noted::<()>(Err(error));
                    return false;
                }
            }
        }
        true
    }

    fn check_part(&mut self, at_most: usize) -> Result<bool, StoreError> {
        let mut changes = Vec::new();
        let Self { current, aside, denied, ended, .. } = self;
        let own = current.iter_mut().map(|shelf| (true, shelf));
        let next = own
            .chain(aside.iter_mut().map(|shelf| (false, shelf)))
            .find(|(_, shelf)| shelf.check.finding() == Finding::NotYet);
        let Some((is_current, shelf)) = next else { return Ok(false) };
        let (number, revision) = (shelf.number, shelf.tally().revision);
        shelf.check_some(at_most, |tree, _, value| {
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
        Ok(true)
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

    /// Sees to what is the matter: sets a damaged sled aside, and opens what is closed or repeats an old error.
    /// Whether anything changed.
    pub fn heal(&mut self) -> bool {
        let noticed = self.noticed.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let mut changed = noticed.is_some();
        if let Some(error) = noticed {
            if self.current.is_some() {
                drop(self.failed(error));
            }
        }
        if self.closed.is_none() && self.failing.is_none() {
            return changed;
        }
        if let Err(trouble) = probe(&self.folder, PROBE_BYTES) {
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
            Err(error) if is_locked(&error) && begun.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return opened,
        }
    }
}

fn put_item(writing: &mut Writing<'_>, item: &Item) -> Result<(), Stopped> {
    match item {
        Item::Pass(record) => put_pass(writing, record),
        Item::Activity(it) => {
            writing.put(Tree::Activities, &it.activity.0.to_be_bytes(), &encoded(it))
        }
        Item::Reward(it) => writing.put(Tree::Rewards, &it.reward.0.to_be_bytes(), &encoded(it)),
        Item::Policy(it) => writing.put(Tree::Meta, POLICY, &encoded(it)),
        Item::Coupon(it) => writing.put(Tree::Coupons, &it.coupon.0.to_be_bytes(), &encoded(it)),
        Item::CardSystem(it) => {
            writing.put(Tree::CardSystems, &it.card_system.0.to_be_bytes(), &encoded(it))
        }
    }
}

fn put_pass(writing: &mut Writing<'_>, record: &PassRecord) -> Result<(), Stopped> {
    let key = record.pass.0.to_be_bytes();
    let before = writing.get(Tree::Passes, &key)?;
    let before = before.and_then(|bytes| minicbor::decode::<PassRecord>(&bytes).ok());
    for gone in before.into_iter().flat_map(|before| before.cards) {
        let kept = record.cards.iter().any(|card| card.name == gone.name);
        // A card that has gone over to another pass stays there.
        if !kept && writing.get(Tree::Cards, &gone.name.0)?.as_deref() == Some(&key[..]) {
            writing.remove(Tree::Cards, &gone.name.0)?;
        }
    }
    for card in &record.cards {
        writing.put(Tree::Cards, &card.name.0, &key)?;
    }
    writing.put(Tree::Passes, &key, &encoded(record))
}

/// The key of the policy.
const POLICY: &[u8] = b"policy";

/// The numbers that the desk keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// The catalogue's version.
    Catalogue,
    /// The venue's version: other desks' entries.
    Venue,
    /// The version of the sealed parts.
    Holders,
    /// When the hub last said that the catalogue is up to date, in milliseconds since the epoch.
    CatalogueAt,
    /// The hub's clock at its last welcome, in milliseconds since the epoch.
    HubClock,
}

impl Cursor {
    fn key(self) -> &'static [u8] {
        match self {
            Self::Catalogue => b"catalogue",
            Self::Venue => b"venue",
            Self::Holders => b"holders",
            Self::CatalogueAt => b"catalogue-at",
            Self::HubClock => b"hub-clock",
        }
    }
}

fn number(bytes: Option<&[u8]>) -> u64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests;
