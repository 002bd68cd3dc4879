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
//! | `at-hand` | the small parts of the catalogue, a second time |
//!
//! A disk that takes no writes is not damage: then nothing is set aside, and what cannot be opened is opened later.

mod at_hand;
mod bucket;
mod check;
mod denied;
mod keeping;
mod lineage;
mod looking_up;
mod record;
mod shelf;
mod stamps;
mod trouble;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crdt_model::catalogue::{Item, ItemName, PassRecord};
use crdt_model::holder::SealedHolder;
use crdt_model::ids::{CardKey, PassId, Writer};
use crdt_model::time::day_number;
use jiff::civil::Date;
use sync_protocol::message::SealedPart;
use tokio::sync::Notify;

use self::check::Finding;
use self::denied::{Change, Denial, Denied, NOT_IN_STORE};
use self::keeping::CHECKED_AT_ONCE;
use self::lineage::put_cursor;
use self::record::Tree;
use self::shelf::{Shelf, Stopped, Writing};
use self::stamps::stamped;
pub use self::trouble::{StoreError, StoreTrouble};
use crate::disk::DiskTrouble;

/// sled is at ease with values below 4 KiB: a picture is kept in pieces.
const PICTURE_PIECE: usize = 3500;

/// How long to wait for sled's lock at start: sled releases it shortly after the database is dropped.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// A list that has no more records than this is checked before the desk answers for the first time. A larger one is
/// checked while the desk works: a part of it would say nothing of the rest.
const CHECKED_AT_START: u64 = 5_000;

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
    /// A small part of the catalogue changed since it was written a second time.
    at_hand_changed: bool,
    damage: Option<String>,
    closed: Option<(String, Option<DiskTrouble>)>,
    /// A write failed because of the disk: sled repeats that until it is opened anew.
    failing: Option<DiskTrouble>,
    /// The run of the hub's database in which it tells, where it says so.
    run: Option<u64>,
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
            at_hand_changed: false,
            damage: None,
            closed: None,
            failing: None,
            run: None,
            filled: false,
            ended: Vec::new(),
            noticed: Mutex::new(None),
            alarm,
        };
        store.open_all(LOCK_PATIENCE);
        let records: u64 = store.shelves().map(|it| it.tally().records()).sum();
        if records <= CHECKED_AT_START {
            while store.check(CHECKED_AT_ONCE) {}
        }
        store
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

    /// The keys of the pieces of these passes' pictures.
    fn pieces_of(&self, passes: impl Iterator<Item = PassId>) -> Vec<Vec<u8>> {
        let Some(shelf) = &self.current else { return Vec::new() };
        let known = passes.flat_map(|pass| shelf.all(Tree::Pictures, &pass.0.to_be_bytes()));
        known.flatten().map(|(key, _)| key).collect()
    }

    /// Takes sealed parts of records, of which the hub numbers none beyond `stamp`. `version` is what the desk then has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn apply_holders(
        &mut self,
        parts: &[SealedPart],
        stamp: u64,
        version: u64,
    ) -> Result<(), StoreError> {
        let pieces = self.pieces_of(parts.iter().map(|part| part.pass));
        let run = self.run;
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
                writing.put(Tree::Holders, &key, &stamped(&plain, stamp))?;
            }
            put_cursor(writing, Cursor::Holders, version, run)
        })
    }

    /// Applies a page of the catalogue, whole or not at all, of which the hub numbers nothing beyond `stamp`. `version` is
    /// what the desk then has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn apply(&mut self, items: &[Item], stamp: u64, version: u64) -> Result<(), StoreError> {
        let shelf = self.writable()?;
        let (number, revision) = (shelf.number, shelf.tally().revision + 1);
        let (denied, freed) = self.denials(items, number, revision);
        // Blocked first, freed last: what comes between must not make a blocked card welcome.
        self.take_denials(&denied)?;
        let gone = items.iter().filter_map(|item| match item {
            Item::Gone(ItemName::Pass(pass)) => Some(*pass),
            _ => None,
        });
        let (pieces, run) = (self.pieces_of(gone), self.run);
        self.write(|writing| {
            for piece in &pieces {
                writing.remove(Tree::Pictures, piece)?;
            }
            for item in items {
                put_item(writing, item, stamp)?;
            }
            put_cursor(writing, Cursor::Catalogue, version, run)
        })?;
        self.at_hand_changed |= items.iter().any(|item| !matches!(item, Item::Pass(_)));
        self.take_denials(&freed)
    }

    /// What these items change in the list of blocked cards: those that are blocked now, and those that are not any
    /// more.
    fn denials(&self, items: &[Item], shelf: u32, revision: u64) -> (Vec<Change>, Vec<Change>) {
        let (mut denied, mut freed) = (Vec::new(), Vec::new());
        for item in items {
            if let Item::Gone(ItemName::Pass(pass)) = item {
                let cards = self.record(*pass).into_iter().flat_map(|it| it.cards);
                let names = cards.map(|card| card.name.0);
                let own = |name: &CardKey| self.denied.get(name).is_some_and(|it| it.pass == *pass);
                freed.extend(names.filter(own).map(|name| (name, None)));
            }
            let Item::Pass(record) = item else { continue };
            let mut named = HashSet::new();
            for card in &record.cards {
                let name = card.name.0;
                named.insert(name);
                let known = self.denied.get(&name);
                match Denial::of(record, card, shelf, revision) {
                    // Said again of this store, it is to be known of this store.
                    Some(denial)
                        if known.is_none_or(|it| {
                            !it.says_as(&denial) || it.shelf != shelf || it.revision == NOT_IN_STORE
                        }) =>
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
        let failing = || ("it takes nothing until it is opened anew".to_owned(), self.failing);
        let (why, disk) = self.closed.clone().unwrap_or_else(failing);
        StoreError::Closed { why, disk }
    }

    /// The sled that is written, where it takes writes.
    fn writable(&mut self) -> Result<&mut Shelf, StoreError> {
        let closed = self.is_closed();
        let shelf = self.current.as_mut().filter(|_| self.failing.is_none());
        shelf.ok_or(closed)
    }

    fn write(
        &mut self,
        work: impl Fn(&mut Writing<'_>) -> Result<(), Stopped>,
    ) -> Result<(), StoreError> {
        let written = self.writable()?.write(work);
        written.map_err(|error| self.failed(error))
    }

    /// Sets it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_cursor(&mut self, cursor: Cursor, value: u64) -> Result<(), StoreError> {
        let run = self.run;
        self.write(|writing| put_cursor(writing, cursor, value, run))
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
        let (path, changed) = (self.folder.join("at-hand"), self.at_hand_changed);
        let shelf = self.writable()?;
        let mut flushed = shelf.flush();
        if flushed.is_ok() && changed {
            let written = at_hand::write(&path, shelf);
            self.at_hand_changed = written.is_err();
            flushed = written.map_err(|error| StoreError::Disk { path, error });
        }
        flushed.map_err(|error| self.failed(error))?;
        if self.current.as_ref().is_some_and(Shelf::has_grown) {
            self.open_anew();
        }
        Ok(())
    }
}

fn put_item(writing: &mut Writing<'_>, item: &Item, stamp: u64) -> Result<(), Stopped> {
    match item {
        Item::Pass(record) => put_pass(writing, record, stamp),
        Item::Activity(it) => {
            writing.put(Tree::Activities, &it.activity.0.to_be_bytes(), &stamped(it, stamp))
        }
        Item::Reward(it) => {
            writing.put(Tree::Rewards, &it.reward.0.to_be_bytes(), &stamped(it, stamp))
        }
        Item::Policy(it) => writing.put(Tree::Meta, POLICY, &stamped(it, stamp)),
        Item::Coupon(it) => {
            writing.put(Tree::Coupons, &it.coupon.0.to_be_bytes(), &stamped(it, stamp))
        }
        Item::CardSystem(it) => {
            writing.put(Tree::CardSystems, &it.card_system.0.to_be_bytes(), &stamped(it, stamp))
        }
        Item::Gone(name) => forget_item(writing, *name),
    }
}

/// The hub has no such item, which it may have had before it was restored from an older copy.
fn forget_item(writing: &mut Writing<'_>, name: ItemName) -> Result<(), Stopped> {
    match name {
        ItemName::Pass(pass) => {
            let key = pass.0.to_be_bytes();
            let before = writing.get(Tree::Passes, &key)?;
            let before = before.and_then(|bytes| minicbor::decode::<PassRecord>(&bytes).ok());
            for card in before.into_iter().flat_map(|before| before.cards) {
                if writing.get(Tree::Cards, &card.name.0)?.as_deref() == Some(&key[..]) {
                    writing.remove(Tree::Cards, &card.name.0)?;
                }
            }
            writing.remove(Tree::Holders, &key)?;
            writing.remove(Tree::Passes, &key)
        }
        ItemName::Activity(it) => writing.remove(Tree::Activities, &it.0.to_be_bytes()),
        ItemName::Reward(it) => writing.remove(Tree::Rewards, &it.0.to_be_bytes()),
        ItemName::Policy => writing.remove(Tree::Meta, POLICY),
        ItemName::Coupon(it) => writing.remove(Tree::Coupons, &it.0.to_be_bytes()),
        ItemName::CardSystem(it) => writing.remove(Tree::CardSystems, &it.0.to_be_bytes()),
    }
}

fn put_pass(writing: &mut Writing<'_>, record: &PassRecord, stamp: u64) -> Result<(), Stopped> {
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
    writing.put(Tree::Passes, &key, &stamped(record, stamp))
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
    /// The hub's clock as it was kept last, in milliseconds since the epoch.
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
