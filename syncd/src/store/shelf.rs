//! One sled: records that each prove themselves whole, and the tally over all of them.
//!
//! sled 0.34 is opened behind one guarded function: a crash can leave it unable to open, a damaged file can make
//! it panic, or open with entries silently missing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use minicbor::Encode;
use sled::IVec;
use sled::transaction::{
    ConflictableTransactionError, TransactionError, Transactional, TransactionalTree,
};

use super::StoreError;
use super::bucket::{Bucket, bucket_of, found_in};
use super::check::Check;
use super::record::{CHECKSUM_BYTES, Tally, Tree, checksum, closed, opened};
use crate::durable::sync_data;
use crate::paths::write_durably;
use crate::proven::{prove, proven};

/// The layout's version.
const LAYOUT: &[u8] = b"stempel store 4";

/// The layout before there were buckets. A store that was begun so goes on so; the next one has buckets.
const LAYOUT_WITHOUT_BUCKETS: &[u8] = b"stempel store 3";

/// The layout of earlier versions: its records prove nothing. Read until the next store is whole.
const LAYOUT_WITHOUT_PROOFS: &[u8] = b"stempel store 2";

/// The keys in the tree of numbers that are no records.
const LAYOUT_KEY: &[u8] = b"layout";
const TALLY_KEY: &[u8] = b"tally";

/// sled's cache: small, for a desk shares its machine with a browser.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes that may be written before sled is opened anew ([`Shelf::has_grown`]). The next start replays them, which takes
/// some hundredths of a second; a catalogue of 500,000 passes changes by that much a few times a day.
const GROWN_BYTES: u64 = 16 * 1024 * 1024;

/// What was whole when the store was last written out: beside it, for what damages the store may lose its own tally, or
/// put it back.
fn written_out(path: &Path) -> Option<Tally> {
    minicbor::decode(proven(&fs::read(path).ok()?)?).ok()
}

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// One sled.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) number: u32,
    folder: PathBuf,
    pub(super) trees: Vec<sled::Tree>,
    database: sled::Db,
    tally: Tally,
    /// The tally's revision when it was last written out.
    written_out: u64,
    /// What is the matter with it as a whole; then it is only read.
    pub(super) damage: Option<String>,
    pub(super) check: Check,
    /// Its records carry checksums.
    proves: bool,
    /// Its records are in buckets, where there are many of them.
    has_buckets: bool,
    /// Bytes that were written since it was opened.
    grown: u64,
}

impl Shelf {
    /// Opens the sled of this number, or begins it.
    ///
    /// # Errors
    /// [`StoreError`] where it does not open at all. One that opens and is damaged says so in [`Shelf::damage`].
    pub(super) fn open(store: &Path, number: u32) -> Result<Self, StoreError> {
        let folder = folder_of(store, number);
        remove_leftovers(&folder);
        guarded(|| Self::open_unguarded(folder, number))
    }

    fn open_unguarded(folder: PathBuf, number: u32) -> Result<Self, StoreError> {
        let database = sled::Config::new()
            .path(&folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(1000))
            .open()?;
        let trees: Result<Vec<_>, _> =
            Tree::ALL.iter().map(|tree| database.open_tree(tree.name())).collect();
        let trees = trees?;
        let mut shelf = Self {
            number,
            folder,
            trees,
            database,
            tally: Tally::default(),
            written_out: 0,
            damage: None,
            check: Check::default(),
            proves: true,
            has_buckets: true,
            grown: 0,
        };
        shelf.damage = match shelf.take_tally() {
            Ok(()) => None,
            Err(StoreError::Damaged(what)) => Some(what),
            Err(other) => return Err(other),
        };
        Ok(shelf)
    }

    fn take_tally(&mut self) -> Result<(), StoreError> {
        let written_out = written_out(&written_out_path(&self.folder));
        let layout = self.tree(Tree::Meta).get(LAYOUT_KEY)?;
        match layout.as_deref() {
            Some(LAYOUT) => {}
            Some(LAYOUT_WITHOUT_BUCKETS) => self.has_buckets = false,
            Some(LAYOUT_WITHOUT_PROOFS) => {
                (self.proves, self.has_buckets) = (false, false);
                return Ok(());
            }
            None if written_out.is_none() && self.trees.iter().all(sled::Tree::is_empty) => {
                self.tree(Tree::Meta).insert(LAYOUT_KEY, LAYOUT)?;
                return self.write(|_| Ok(()));
            }
            unknown => {
                // The last written tally is the best count available.
                self.tally = written_out.unwrap_or_default();
                let what = if unknown.is_none() {
                    "what it held is gone"
                } else {
                    "its layout is not known"
                };
                return Err(StoreError::Damaged(what.to_owned()));
            }
        }
        let written_out = written_out.unwrap_or_default();
        let bytes = self.tree(Tree::Meta).get(TALLY_KEY)?;
        let found = match &bytes {
            Some(bytes) => opened(Tree::Meta, TALLY_KEY, bytes)
                .and_then(|(value, _)| Ok(minicbor::decode::<Tally>(value)?)),
            None => Err(StoreError::Damaged("its own count is gone".to_owned())),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                // The last written tally is the best count available.
                self.tally = written_out;
                return Err(error);
            }
        };
        let earlier = found.revision < written_out.revision;
        let other = found.revision == written_out.revision && found != written_out;
        self.written_out = written_out.revision;
        self.tally = if earlier { written_out } else { found };
        if earlier || other {
            return Err(StoreError::Damaged("it is not what was last written out".to_owned()));
        }
        Ok(())
    }

    fn tree(&self, tree: Tree) -> &sled::Tree {
        &self.trees[tree as usize]
    }

    /// What it has, by its own count.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether it is of a layout whose records prove nothing.
    pub(super) fn is_of_earlier_version(&self) -> bool {
        !self.proves
    }

    fn value<'a>(&self, tree: Tree, key: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], StoreError> {
        if self.proves { Ok(opened(tree, key, bytes)?.0) } else { Ok(bytes) }
    }

    fn bucket_of(&self, tree: Tree, key: &[u8]) -> Option<Vec<u8>> {
        if self.has_buckets { bucket_of(tree, key) } else { None }
    }

    /// The keys and bytes of a tree from here on, in order. Whoever reads them stops at the first error: sled's iterator is
    /// unreliable behind one.
    fn pairs(
        &self,
        tree: Tree,
        from: Bound<Vec<u8>>,
    ) -> Box<dyn Iterator<Item = Result<(IVec, IVec), StoreError>> + '_> {
        let (Bound::Included(key) | Bound::Excluded(key)) = &from else {
            return self.pairs(tree, Bound::Included(Vec::new()));
        };
        let is_record =
            move |key: &[u8]| tree != Tree::Meta || key != LAYOUT_KEY && key != TALLY_KEY;
        let Some(first) = self.bucket_of(tree, key) else {
            let found = self.tree(tree).range::<Vec<u8>, _>((from, Bound::Unbounded));
            let found = found.map(|pair| pair.map_err(StoreError::from));
            return Box::new(
                found.filter(move |it| it.as_ref().map_or(true, |it| is_record(&it.0))),
            );
        };
        let records = self.tree(tree).range(first..).flat_map(move |pair| {
            let bucket = pair.map_err(StoreError::from);
            let (records, error) = match bucket.and_then(|(_, bytes)| Bucket::of(tree, &bytes)) {
                Ok(bucket) => (Some(bucket.records().map(Ok)), None),
                Err(error) => (None, Some(Err(error))),
            };
            records.into_iter().flatten().chain(error)
        });
        let wanted = move |key: &IVec| match &from {
            Bound::Included(from) => **key >= **from,
            Bound::Excluded(from) => **key > **from,
            Bound::Unbounded => true,
        };
        Box::new(records.filter(move |it| it.as_ref().map_or(true, |(key, _)| wanted(key))))
    }

    /// The value of a record that proves itself whole.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| {
            let bucket = self.bucket_of(tree, key);
            let Some(bytes) = self.tree(tree).get(bucket.as_deref().unwrap_or(key))? else {
                return Ok(None);
            };
            let found = match bucket {
                Some(_) => found_in(tree, &bytes, key)?,
                None => Some(&*bytes),
            };
            found.map(|bytes| Ok(self.value(tree, key, bytes)?.to_vec())).transpose()
        })
    }

    /// All records of a tree whose key begins so, in order; those that do not prove themselves whole as errors.
    pub(super) fn all(&self, tree: Tree, prefix: &[u8]) -> Vec<Result<Pair, StoreError>> {
        let mut found = Vec::new();
        let read = guarded(|| {
            for pair in self.pairs(tree, Bound::Included(prefix.to_vec())) {
                let (key, bytes) = pair?;
                if !key.starts_with(prefix) {
                    break;
                }
                let value = self.value(tree, &key, &bytes);
                found.push(value.map(|value| (key.to_vec(), value.to_vec())));
            }
            Ok(())
        });
        found.extend(read.err().map(Err));
        found
    }

    /// Shows all records of a tree, in order, without holding them all in memory.
    ///
    /// # Errors
    /// [`StoreError`]: the first record that cannot be read, or does not prove itself whole.
    pub(super) fn each(
        &self,
        tree: Tree,
        mut show: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        guarded(|| {
            for pair in self.pairs(tree, Bound::Unbounded) {
                let (key, bytes) = pair?;
                show(&key, self.value(tree, &key, &bytes)?);
            }
            Ok(())
        })
    }

    /// Changes records, all or none, and the tally with them.
    ///
    /// # Errors
    /// [`StoreError`]; on the disk nothing has then changed. In memory sled may have taken a part: it is to be opened
    /// anew.
    pub(super) fn write(
        &mut self,
        work: impl Fn(&mut Writing<'_>) -> Result<(), Stopped>,
    ) -> Result<(), StoreError> {
        let (tally, check, grown) = guarded(|| {
            let written = self.trees[..].transaction(|trees: &Vec<TransactionalTree>| {
                let mut writing = Writing {
                    trees,
                    tally: self.tally.clone(),
                    check: self.check.clone(),
                    has_buckets: self.has_buckets,
                    buckets: BTreeMap::new(),
                    grown: 0,
                };
                work(&mut writing)?;
                writing.put_buckets()?;
                writing.tally.revision += 1;
                let bytes = encoded(&writing.tally);
                let bytes = closed(checksum(Tree::Meta, TALLY_KEY, &bytes), &bytes);
                trees[Tree::Meta as usize].insert(TALLY_KEY, bytes)?;
                Ok((writing.tally, writing.check, writing.grown))
            });
            written.map_err(|error| match error {
                TransactionError::Abort(error) => error,
                TransactionError::Storage(error) => error.into(),
            })
        })?;
        (self.tally, self.check) = (tally, check);
        self.grown += grown;
        Ok(())
    }

    /// Writes everything out, so that a power cut finds it; and then what it was, beside it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if self.written_out == self.tally.revision {
            return Ok(());
        }
        guarded(|| {
            self.database.flush()?;
            Ok(())
        })?;
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |error| StoreError::Disk { path, error }
        };
        // sled's flush is sync_file_range, which a power cut does not respect.
        let file = self.folder.join("db");
        File::open(&file).and_then(|opened| sync_data(&opened, &file)).map_err(disk(&file))?;
        let path = written_out_path(&self.folder);
        let bytes = prove(encoded(&self.tally));
        write_durably(&path, &bytes).map_err(disk(&path))?;
        self.written_out = self.tally.revision;
        Ok(())
    }

    /// Whether so much was written since it was opened that the next start would take long: sled notes where its leaves
    /// lie when it is opened, and never again, and each start reads all that was written since.
    pub(super) fn has_grown(&self) -> bool {
        self.grown >= GROWN_BYTES
    }

    /// Checks at the most so many more records; `each` sees every one that proves itself whole. How many were read.
    ///
    /// # Errors
    /// [`StoreError`] where the disk cannot be read: that is no finding, and the check goes on there later.
    pub(super) fn check_some(
        &mut self,
        at_most: usize,
        mut each: impl FnMut(Tree, &[u8], &[u8]),
    ) -> Result<usize, StoreError> {
        let Some((tree, after)) = self.check.place() else { return Ok(0) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut check = std::mem::take(&mut self.check);
        let read = guarded(|| {
            let mut read = 0;
            for pair in self.pairs(tree, from).take(at_most) {
                let (key, bytes) = pair?;
                read += 1;
                if self.proves {
                    match opened(tree, &key, &bytes) {
                        Ok((value, checksum)) => {
                            check.found(&key, checksum);
                            each(tree, &key, value);
                        }
                        Err(error) => check.failed(&key, &error.to_string()),
                    }
                } else {
                    check.found(&key, 0);
                    each(tree, &key, &bytes);
                }
            }
            Ok(read)
        });
        let count = read.as_ref().copied().unwrap_or_default();
        match read {
            Ok(read) if read == at_most => {}
            Ok(_) => check.end_of_tree(self.proves.then(|| self.tally.of(tree))),
            Err(error) if error.disk_trouble().is_some() => {
                self.check = check;
                return Err(error);
            }
            Err(error) => check.broken_tree(&error),
        }
        self.check = check;
        Ok(count)
    }

    /// Removes a sled that is closed, with what is beside it.
    pub(super) fn remove(store: &Path, number: u32) {
        let folder = folder_of(store, number);
        let removed = if number == 0 { remove_files(&folder) } else { fs::remove_dir_all(&folder) };
        let beside = written_out_path(&folder);
        for (path, removed) in [(&folder, removed), (&beside, fs::remove_file(&beside))] {
            if let Err(error) = removed
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "an old pass list could not be removed");
            }
        }
    }
}

/// What a change of records is made with.
pub(super) struct Writing<'a> {
    trees: &'a [TransactionalTree],
    tally: Tally,
    check: Check,
    has_buckets: bool,
    /// Buckets as they are to be: each is written once, however many of its records change.
    buckets: BTreeMap<(Tree, Vec<u8>), Bucket>,
    grown: u64,
}

/// Why a change is not made.
pub(super) type Stopped = ConflictableTransactionError<StoreError>;

impl Writing<'_> {
    /// The bucket of this key's record, read when it is first asked for; nothing where there are none.
    fn bucket(&mut self, tree: Tree, key: &[u8]) -> Result<Option<&mut Bucket>, Stopped> {
        let Some(name) = bucket_of(tree, key).filter(|_| self.has_buckets) else { return Ok(None) };
        match self.buckets.entry((tree, name)) {
            Entry::Occupied(known) => Ok(Some(known.into_mut())),
            Entry::Vacant(place) => {
                let bytes = self.trees[tree as usize].get(&place.key().1)?;
                let bucket = bytes.map(|bytes| Bucket::of(tree, &bytes)).transpose();
                let bucket = bucket.map_err(ConflictableTransactionError::Abort)?;
                Ok(Some(place.insert(bucket.unwrap_or_default())))
            }
        }
    }

    fn put_buckets(&mut self) -> Result<(), Stopped> {
        for ((tree, name), bucket) in std::mem::take(&mut self.buckets) {
            match bucket.to_bytes() {
                Some(bytes) => {
                    self.grown += bytes.len() as u64;
                    self.trees[tree as usize].insert(name, bytes)?;
                }
                None => drop(self.trees[tree as usize].remove(name)?),
            }
        }
        Ok(())
    }

    /// The value that is there.
    pub(super) fn get(&mut self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Stopped> {
        let bytes = match self.bucket(tree, key)? {
            Some(bucket) => bucket.get(key).cloned(),
            None => self.trees[tree as usize].get(key)?,
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let (value, _) = opened(tree, key, &bytes).map_err(ConflictableTransactionError::Abort)?;
        Ok(Some(value.to_vec()))
    }

    /// Puts a value in place of the one that is there.
    pub(super) fn put(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> Result<(), Stopped> {
        let checksum = checksum(tree, key, value);
        let bytes = closed(checksum, value);
        let before = if let Some(bucket) = self.bucket(tree, key)? {
            bucket.put(key, bytes)
        } else {
            self.grown += bytes.len() as u64;
            self.trees[tree as usize].insert(key, bytes)?
        };
        self.gone(tree, key, before.as_deref());
        self.tally.of_mut(tree).add(checksum);
        self.check.changed(tree, key, |found| found.add(checksum));
        Ok(())
    }

    /// Removes a value.
    pub(super) fn remove(&mut self, tree: Tree, key: &[u8]) -> Result<(), Stopped> {
        let before = match self.bucket(tree, key)? {
            Some(bucket) => bucket.remove(key),
            None => self.trees[tree as usize].remove(key)?,
        };
        self.gone(tree, key, before.as_deref());
        Ok(())
    }

    fn gone(&mut self, tree: Tree, key: &[u8], before: Option<&[u8]>) {
        let Some(stored) = before.and_then(|bytes| bytes.last_chunk::<CHECKSUM_BYTES>()) else {
            return;
        };
        // As it was counted in: the sum does not agree where that was changed since.
        let stored = u64::from_be_bytes(*stored);
        self.tally.of_mut(tree).remove(stored);
        self.check.changed(tree, key, |found| found.remove(stored));
    }
}

/// Where the sled of this number lies. That of earlier versions lies in the store's folder itself.
pub(super) fn folder_of(store: &Path, number: u32) -> PathBuf {
    if number == 0 { store.to_owned() } else { store.join(number.to_string()) }
}

fn written_out_path(folder: &Path) -> PathBuf {
    folder.with_extension("written-out")
}

/// The numbers of the sleds that are there, the newest first.
///
/// # Errors
/// Whatever the file system says: then nobody knows which sleds there are, and none is begun.
pub(super) fn numbers(store: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(store)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "db" {
            numbers.push(0);
        } else if entry.file_type()?.is_dir()
            && let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok())
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    Ok(numbers)
}

/// The sled of an earlier version shares its folder with what came after it.
fn remove_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == "db" || name == "conf" || name.starts_with("snap.") {
            fs::remove_file(&path)?;
        } else if name == "blobs" {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

pub(super) fn encoded<T: Encode<()>>(record: &T) -> Vec<u8> {
    // Writing to memory does not fail; an empty value would be refused when it is read.
    minicbor::to_vec(record).unwrap_or_default()
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
