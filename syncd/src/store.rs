//! What the hub tells the desk, kept in sled: the catalogue, cursors, acknowledgements.
//!
//! Everything here can be deleted at any time and comes back from the hub and the ledger files
//! (invariant 9). sled 0.34 is opened behind one guarded function, for a crash can leave it unable
//! to open, and a damaged file can make it panic.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crdt_model::catalogue::{
    Activity, CardKey, CardSystem, Coupon, Item, PassRecord, Policy, Reward,
};
use crdt_model::holder::SealedHolder;
use crdt_model::ids::{PassId, Writer};
use crdt_model::time::day_number;
use jiff::civil::Date;
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};
use sync_protocol::message::SealedPart;
use thiserror::Error;

/// The layout's version: a store of another one is set aside and filled anew.
const LAYOUT: &[u8] = b"stempel store 2";

/// sled is at ease with values below 4 KiB: a picture is kept in pieces.
const PICTURE_PIECE: usize = 3500;

/// What sled says where another holds its lock; it has no error of its own for that.
const LOCKED: &str = "could not acquire lock";

/// So long sled's lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// sled's cache: small, for a desk shares its machine with a browser.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

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
    /// A store of another layout.
    #[error("the store has another layout")]
    Layout,
}

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    passes: sled::Tree,
    cards: sled::Tree,
    activities: sled::Tree,
    rewards: sled::Tree,
    coupons: sled::Tree,
    card_systems: sled::Tree,
    /// pass → the sealed part of its record, without the picture.
    holders: sled::Tree,
    /// pass and number → a piece of its sealed picture.
    pictures: sled::Tree,
    /// Catalogue and venue versions, policy, counts.
    meta: sled::Tree,
    /// day and writer → acknowledged entries.
    acknowledged: sled::Tree,
    database: sled::Db,
}

impl Store {
    /// Opens the store. One that will not open is set aside and a new one begun: the second value
    /// then says why, in a sentence.
    ///
    /// # Errors
    /// [`StoreError`] where not even a new store can be begun.
    pub fn open(folder: &Path) -> Result<(Self, Option<String>), StoreError> {
        remove_leftovers(folder);
        let begun = Instant::now();
        let why = loop {
            match guarded(|| Self::open_unguarded(folder)) {
                Ok(store) => return Ok((store, None)),
                // sled gives its lock up a moment after it was closed. A store that is in use is not
                // a damaged one.
                Err(StoreError::Sled(error)) if error.to_string().contains(LOCKED) => {
                    if begun.elapsed() > LOCK_PATIENCE {
                        return Err(error.into());
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(why) => break why.to_string(),
            }
        };
        let aside = (1u32..)
            .map(|n| folder.with_extension(format!("damaged-{n}")))
            .find(|aside| !aside.exists())
            .unwrap_or_else(|| folder.with_extension("damaged"));
        if folder.exists() {
            fs::rename(folder, &aside)
                .map_err(|error| StoreError::Disk { path: folder.to_owned(), error })?;
        }
        Ok((guarded(|| Self::open_unguarded(folder))?, Some(why)))
    }

    fn open_unguarded(folder: &Path) -> Result<Self, StoreError> {
        let database = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(1000))
            .open()?;
        let store = Self {
            passes: database.open_tree("passes")?,
            cards: database.open_tree("cards")?,
            activities: database.open_tree("activities")?,
            rewards: database.open_tree("rewards")?,
            coupons: database.open_tree("coupons")?,
            card_systems: database.open_tree("card-systems")?,
            holders: database.open_tree("holders")?,
            pictures: database.open_tree("pictures")?,
            meta: database.open_tree("meta")?,
            acknowledged: database.open_tree("acknowledged")?,
            database,
        };
        match store.meta.get("layout")? {
            Some(layout) if layout == LAYOUT => {}
            None if store.meta.is_empty() => {
                store.meta.insert("layout", LAYOUT)?;
            }
            _ => return Err(StoreError::Layout),
        }
        // Read what the first tap reads, so that damage shows here and not there.
        store.policy()?;
        store.activities()?;
        store.rewards()?;
        Ok(store)
    }

    /// The pass that carries this card, if the catalogue knows it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn pass_of_card(&self, card: &CardKey) -> Result<Option<PassRecord>, StoreError> {
        guarded(|| match self.cards.get(card)? {
            Some(pass) => self.record(&pass),
            None => Ok(None),
        })
    }

    /// The record of a pass.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn pass(&self, pass: PassId) -> Result<Option<PassRecord>, StoreError> {
        guarded(|| self.record(&pass.0.to_be_bytes()))
    }

    fn record(&self, pass: &[u8]) -> Result<Option<PassRecord>, StoreError> {
        self.passes.get(pass)?.map(|bytes| Ok(minicbor::decode(&bytes)?)).transpose()
    }

    /// The venue's activities, in the hub's order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn activities(&self) -> Result<Vec<Activity>, StoreError> {
        guarded(|| all(&self.activities))
    }

    /// The rewards, in the hub's order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rewards(&self) -> Result<Vec<Reward>, StoreError> {
        guarded(|| all(&self.rewards))
    }

    /// The coupons.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn coupons(&self) -> Result<Vec<Coupon>, StoreError> {
        guarded(|| all(&self.coupons))
    }

    /// The card systems.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn card_systems(&self) -> Result<Vec<CardSystem>, StoreError> {
        guarded(|| all(&self.card_systems))
    }

    /// The sealed part of a pass's record, with its picture.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn holder(&self, pass: PassId) -> Result<Option<SealedHolder>, StoreError> {
        guarded(|| {
            let key = pass.0.to_be_bytes();
            let Some(bytes) = self.holders.get(key)? else { return Ok(None) };
            let mut sealed: SealedHolder = minicbor::decode(&bytes)?;
            let mut picture = Vec::new();
            for piece in self.pictures.scan_prefix(key) {
                picture.extend_from_slice(&piece?.1);
            }
            sealed.picture = (!picture.is_empty()).then_some(picture);
            Ok(Some(sealed))
        })
    }

    /// Takes sealed parts of records. `version` is what the desk then has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn apply_holders(&self, parts: &[SealedPart], version: u64) -> Result<(), StoreError> {
        guarded(|| self.put_holders(parts, version))
    }

    fn put_holders(&self, parts: &[SealedPart], version: u64) -> Result<(), StoreError> {
        for part in parts {
            let key = part.pass.0.to_be_bytes();
            let mut pieces = sled::Batch::default();
            for known in self.pictures.scan_prefix(key).keys() {
                pieces.remove(known?);
            }
            match &part.sealed {
                Some(sealed) => {
                    let picture = sealed.picture.as_deref().unwrap_or_default();
                    for (number, piece) in (0u16..).zip(picture.chunks(PICTURE_PIECE)) {
                        pieces.insert([&key[..], &number.to_be_bytes()].concat(), piece);
                    }
                    let plain = SealedHolder { picture: None, ..sealed.clone() };
                    self.holders.insert(key, encoded(&plain))?;
                }
                None => drop(self.holders.remove(key)?),
            }
            self.pictures.apply_batch(pieces)?;
        }
        self.set_cursor(Cursor::Holders, version)
    }

    /// The venue's policy; the cautious default before the hub has said one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn policy(&self) -> Result<Policy, StoreError> {
        let policy = self.meta.get("policy")?.map(|bytes| minicbor::decode(&bytes)).transpose()?;
        Ok(policy.unwrap_or_default())
    }

    /// Applies a page of the catalogue, whole or not at all. `version` is what the desk then has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn apply(&self, items: &[Item], version: u64) -> Result<(), StoreError> {
        guarded(|| self.put_items(items, version))
    }

    fn put_items(&self, items: &[Item], version: u64) -> Result<(), StoreError> {
        let trees = (
            &self.passes,
            &self.cards,
            &self.activities,
            &self.rewards,
            &self.coupons,
            &self.card_systems,
            &self.meta,
        );
        let applied = trees.transaction(|trees| {
            let (passes, cards, activities, rewards, coupons, card_systems, meta) = trees;
            let mut added = 0u64;
            for item in items {
                match item {
                    Item::Pass(record) => {
                        let key = record.pass.0.to_be_bytes();
                        let before = passes.insert(&key[..], encoded(record))?;
                        added += u64::from(before.is_none());
                        if let Some(Ok(before)) = before.map(|b| minicbor::decode::<PassRecord>(&b))
                        {
                            for gone in before.cards.iter().filter(|card| {
                                !record.cards.iter().any(|kept| kept.name == card.name)
                            }) {
                                // A card that has gone over to another pass stays there.
                                let name = &gone.name.0[..];
                                if cards.get(name)?.as_deref() == Some(&key[..]) {
                                    cards.remove(name)?;
                                }
                            }
                        }
                        for card in &record.cards {
                            cards.insert(&card.name.0[..], &key[..])?;
                        }
                    }
                    Item::Activity(activity) => {
                        activities
                            .insert(&activity.activity.0.to_be_bytes()[..], encoded(activity))?;
                    }
                    Item::Reward(reward) => {
                        rewards.insert(&reward.reward.0.to_be_bytes()[..], encoded(reward))?;
                    }
                    Item::Policy(policy) => {
                        meta.insert("policy", encoded(policy))?;
                    }
                    Item::Coupon(coupon) => {
                        coupons.insert(&coupon.coupon.0.to_be_bytes()[..], encoded(coupon))?;
                    }
                    Item::CardSystem(system) => {
                        let key = system.card_system.0.to_be_bytes();
                        card_systems.insert(&key[..], encoded(system))?;
                    }
                }
            }
            let count = number(meta.get("passes")?.as_deref()) + added;
            meta.insert("passes", &count.to_be_bytes()[..])?;
            meta.insert("catalogue", &version.to_be_bytes()[..])?;
            Ok::<_, ConflictableTransactionError<()>>(())
        });
        match applied {
            Ok(()) | Err(TransactionError::Abort(())) => Ok(()),
            Err(TransactionError::Storage(error)) => Err(error.into()),
        }
    }

    /// A number that the desk keeps about its link to the hub; 0 before it was ever set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn cursor(&self, cursor: Cursor) -> Result<u64, StoreError> {
        guarded(|| Ok(number(self.meta.get(cursor.name())?.as_deref())))
    }

    /// Sets it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_cursor(&self, cursor: Cursor, value: u64) -> Result<(), StoreError> {
        guarded(|| {
            self.meta.insert(cursor.name(), &value.to_be_bytes())?;
            Ok(())
        })
    }

    /// How many entries of its lists the hub has acknowledged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acknowledgements(&self) -> Result<Vec<(i32, Writer, u64)>, StoreError> {
        guarded(|| {
            let mut found = Vec::new();
            for pair in &self.acknowledged {
                let (key, value) = pair?;
                let Some((day, writer)) = key.split_first_chunk::<4>() else { continue };
                let Ok(writer) = Writer::from_bytes(writer) else { continue };
                found.push((i32::from_be_bytes(*day), writer, number(Some(&value))));
            }
            Ok(found)
        })
    }

    /// Keeps an acknowledgement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acknowledge(&self, day: Date, writer: &Writer, sequence: u64) -> Result<(), StoreError> {
        guarded(|| {
            let key = [&day_number(day).to_be_bytes()[..], &writer.to_bytes()].concat();
            self.acknowledged.insert(key, &sequence.to_be_bytes())?;
            Ok(())
        })
    }

    /// Forgets all acknowledgements.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_acknowledgements(&self) -> Result<(), StoreError> {
        guarded(|| {
            self.acknowledged.clear()?;
            Ok(())
        })
    }

    /// Writes everything out, before the daemon ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn flush(&self) -> Result<(), StoreError> {
        guarded(|| {
            self.database.flush()?;
            Ok(())
        })
    }
}

/// The numbers that the desk keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// The catalogue's version.
    Catalogue,
    /// The venue's version: other desks' entries.
    Venue,
    /// How many passes the catalogue has.
    Passes,
    /// The version of the sealed parts.
    Holders,
    /// When the hub last said that the catalogue is up to date, in milliseconds since the epoch.
    CatalogueAt,
    /// The hub's clock at its last welcome, in milliseconds since the epoch.
    HubClock,
}

impl Cursor {
    fn name(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Venue => "venue",
            Self::Passes => "passes",
            Self::Holders => "holders",
            Self::CatalogueAt => "catalogue-at",
            Self::HubClock => "hub-clock",
        }
    }
}

fn number(bytes: Option<&[u8]>) -> u64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

fn encoded<T: minicbor::Encode<()>>(record: &T) -> Vec<u8> {
    // Writing to memory does not fail; an empty value would be refused when it is read.
    minicbor::to_vec(record).unwrap_or_default()
}

fn all<T: for<'b> minicbor::Decode<'b, ()>>(tree: &sled::Tree) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    for pair in tree {
        found.push(minicbor::decode(&pair?.1)?);
    }
    Ok(found)
}

/// A crash while sled writes a snapshot leaves `snap.*.generating`, after which it never opens.
fn remove_leftovers(folder: &Path) {
    let Ok(found) = fs::read_dir(folder) else { return };
    for path in found.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::warn!(file = name, "removing what a crash left in the store");
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, file = name, "it could not be removed");
            }
        }
    }
}

/// Runs what may panic inside sled.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(StoreError::Panicked(what.unwrap_or_else(|| "without a word".to_owned())))
    })
}

#[cfg(test)]
mod tests {
    use crdt_model::catalogue::{Card, CardName, CardStatus, Programme};

    use super::*;

    fn record(pass: u64, cards: &[u8]) -> PassRecord {
        PassRecord {
            cards: cards
                .iter()
                .map(|n| Card { name: CardName([*n; 16]), status: CardStatus::Active })
                .collect(),
            ..PassRecord::new(PassId(pass), Programme::Uitpas)
        }
    }

    #[test]
    fn a_page_is_found_again_after_a_restart_and_a_replaced_card_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let (store, _) = Store::open(&path).unwrap();
        store.apply(&[Item::Pass(record(1, &[1, 2])), Item::Pass(record(2, &[3]))], 7).unwrap();
        store.apply(&[Item::Pass(record(1, &[2, 4]))], 8).unwrap();
        store.flush().unwrap();
        drop(store);
        let (store, trouble) = Store::open(&path).unwrap();
        assert_eq!(trouble, None);
        assert_eq!(store.pass_of_card(&[1; 16]).unwrap(), None);
        assert_eq!(store.pass_of_card(&[4; 16]).unwrap().unwrap().pass, PassId(1));
        assert_eq!(store.cursor(Cursor::Catalogue).unwrap(), 8);
        assert_eq!(store.cursor(Cursor::Passes).unwrap(), 2);
    }

    /// Invariant 9.
    #[test]
    fn a_store_that_will_not_open_is_set_aside_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("conf"), "not a sled configuration").unwrap();
        fs::write(path.join("db"), [0xff; 5000]).unwrap();
        let (store, trouble) = Store::open(&path).unwrap();
        assert!(trouble.is_some());
        assert_eq!(store.cursor(Cursor::Catalogue).unwrap(), 0);
        assert!(folder.path().join("store.damaged-1").exists());
    }

    #[test]
    fn the_leftover_of_a_crashed_snapshot_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        drop(Store::open(&path).unwrap());
        fs::write(path.join("snap.0000000000000ABC.generating"), "half").unwrap();
        assert_eq!(Store::open(&path).unwrap().1, None);
    }
}
