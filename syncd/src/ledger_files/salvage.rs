//! A damaged file: what its checksums prove goes on.
//!
//! A single wrong bit is put right, and nothing is lost. Behind damage that cannot be put right a list does not chain
//! any more; of this desk's own lists what stands there goes on as *copies* in a new list of the same desk and day
//! ([`crdt_model::entry::Located`]), written together with the good part in one file that takes the place of the
//! damaged one by one rename: a crash leaves the damaged file, and the next start does it all again, or the new one.
//! Other desks' entries come back from the hub.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crdt_model::chunk::{Ending, MAGIC, declared_end, salvage, walk};
use crdt_model::entry::{EntryRef, copy_of};
use crdt_model::ids::{DeviceId, Writer};
use crdt_model::ledger::{Ledger, LedgerId, MAX_CHANGE_BYTES, Orphan};
use rand::RngExt;

use super::LedgerFile;
use super::aside::{Aside, keep_aside};
use super::missing::{Missing, MissingRun};
use crate::disk::DiskTrouble;
use crate::durable::sync_all;

/// What had to be put right when a file was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The file.
    pub path: PathBuf,
    /// Where its bytes lie as they were.
    pub aside: PathBuf,
    /// What was the matter with it.
    pub damage: Damage,
}

/// What was the matter with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Only the end of the file was incomplete. It was cut off.
    Tail {
        /// How many bytes were cut off.
        bytes: u64,
        /// They are the beginning of an entry: the append was not finished, and its verdict was never shown, unless
        /// the disk forgot what it had confirmed. Otherwise the verdict may have been shown.
        unfinished: bool,
    },
    /// Single bits were wrong, and are right again: nothing is lost.
    Mended {
        /// In how many entries.
        entries: u64,
    },
    /// A part cannot be read.
    Lost {
        /// How many entries of this desk stood behind the damage, and go on in another list.
        copied: u64,
        /// How many entries of this desk cannot be read, at the least. The hub may have them.
        lost: u64,
        /// How many entries of other desks cannot be read, or cannot stand without those. The hub has them.
        of_others: u64,
        /// How many bytes cannot be read.
        bytes: u64,
    },
}

/// A file as it was loaded, and what had to be put right.
pub(super) struct Loaded {
    pub(super) file: LedgerFile,
    pub(super) repair: Option<Repair>,
}

/// How a file with damage is made whole.
pub(super) enum Plan {
    /// Its end is cut off.
    CutAt(usize),
    /// The ledger is written in place of it.
    WriteAgain,
}

/// What can be read of a file with damage, and how it is made whole.
pub(super) struct Findings {
    pub(super) ledger: Ledger,
    pub(super) damage: Damage,
    /// What is lacking, where something is.
    pub(super) missing: Option<Missing>,
    plan: Plan,
}

/// Loads a day's file. `note_missing` is called before a file with a part lacking is made whole, for after that nothing
/// shows it any more. Where the disk takes nothing, the file stays as it is: what can be read of it goes on in memory,
/// and [`LedgerFile::awaits_repair`] says so.
pub(super) fn load(
    id: &LedgerId,
    path: &Path,
    bytes: &[u8],
    own: DeviceId,
    note_missing: impl FnOnce(Missing) -> io::Result<()>,
) -> io::Result<Loaded> {
    let found = walk(bytes);
    let mut ledger = Ledger::new(id.clone());
    let taken = found.chunks.iter().all(|chunk| ledger.take_chunk(chunk, bytes).is_ok());
    if taken && found.ending == Ending::Whole {
        let file = LedgerFile::loaded(ledger, path.to_owned(), bytes.len() as u64)?;
        return Ok(Loaded { file, repair: None });
    }
    let Findings { ledger, damage, missing, plan } = examine(id, bytes, own)?;
    let noted = missing.map_or(Ok(()), note_missing);
    let repaired = noted.and_then(|()| repair(&ledger, path, bytes, &plan));
    match repaired {
        Ok((file, aside)) => {
            let repair = Some(Repair { path: path.to_owned(), aside, damage });
            Ok(Loaded { file, repair })
        }
        Err(error) if DiskTrouble::of(&error).is_some() => {
            tracing::error!(
                file = %path.display(), %error, ?damage,
                "a ledger file is damaged, and the disk takes nothing: the file is made whole when it does"
            );
            let file = LedgerFile::damaged(ledger, path.to_owned(), damage);
            Ok(Loaded { file, repair: None })
        }
        Err(error) => Err(error),
    }
}

/// Keeps the damaged bytes aside, and makes the file whole.
fn repair(
    ledger: &Ledger,
    path: &Path,
    bytes: &[u8],
    plan: &Plan,
) -> io::Result<(LedgerFile, PathBuf)> {
    match *plan {
        Plan::CutAt(at) => {
            let aside = keep_aside(path, Aside::Tail, bytes.get(at..).unwrap_or_default())?;
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(at as u64)?;
            sync_all(&file, path)?;
            Ok((LedgerFile::loaded(ledger.clone(), path.to_owned(), at as u64)?, aside))
        }
        Plan::WriteAgain => {
            let aside = keep_aside(path, Aside::Damaged, bytes)?;
            let mut file = LedgerFile::new(ledger.clone(), path.to_owned());
            file.replace(ledger.clone())?;
            Ok((file, aside))
        }
    }
}

/// Reads what the checksums of a file with damage prove.
pub(super) fn examine(id: &LedgerId, bytes: &[u8], own: DeviceId) -> io::Result<Findings> {
    let mut bytes_now = bytes.to_vec();
    let salvaged = salvage(&mut bytes_now);
    let mut ledger = Ledger::new(id.clone());
    let mut orphans: BTreeMap<EntryRef, Vec<u8>> = BTreeMap::new();
    let mut strange = 0;
    for chunk in &salvaged.chunks {
        if ledger.take_chunk(chunk, &bytes_now).is_ok() {
            continue;
        }
        let orphan = bytes_now.get(chunk.range.clone()).and_then(|it| Orphan::of(id.day, it));
        match orphan.filter(|it| it.place.index >= ledger.position(&it.place.writer).sequence) {
            Some(orphan) => drop(orphans.insert(orphan.place, orphan.entry)),
            // Whole, and yet not what belongs there: no flipped bit does that.
            None => strange += 1,
        }
    }
    // The chunks of a file may stand in any order: what an orphan lacked may have come after it.
    orphans.retain(|place, _| place.index >= ledger.position(&place.writer).sequence);
    let damaged: u64 = salvaged.damaged.iter().map(|range| range.len() as u64).sum();
    let clean = orphans.is_empty() && strange == 0;
    // Each append of an entry of this desk is one change. A longer tail has entries in it that the disk had confirmed.
    if let ([tail], true, 0) = (&salvaged.damaged[..], clean, salvaged.mended)
        && tail.end == bytes.len()
        && tail.len() <= MAX_CHANGE_BYTES
    {
        let unfinished = is_unfinished(bytes, tail.start);
        // Which entry that was nobody knows, nor whose.
        let missing = (!unfinished).then(Missing::unknown);
        let damage = Damage::Tail { bytes: damaged, unfinished };
        return Ok(Findings { ledger, damage, missing, plan: Plan::CutAt(tail.start) });
    }
    let Lacking { own: missing, mut lost, of_others, gaps } = lacking(&ledger, &orphans, own);
    let of_own = orphans.iter().filter(|(place, _)| place.writer.device == own);
    let copies = of_own.map(|(place, entry)| copy_of(entry, place));
    let (copies, too_long): (Vec<_>, Vec<_>) = copies.partition(Result::is_ok);
    let copies: Vec<Vec<u8>> = copies.into_iter().flatten().collect();
    lost += too_long.len() as u64;
    let incomplete = !salvaged.damaged.is_empty() || !clean;
    if incomplete && lost + of_others == 0 {
        // Nothing stands behind the damage that would tell how much was in it, but a change has a bound.
        let changes = |range: &Range<usize>| range.len().div_ceil(MAX_CHANGE_BYTES) as u64;
        lost = (salvaged.damaged.iter().map(changes).sum::<u64>() + strange).max(1);
    }
    // More may have been lost than what stands behind it tells: the end of a list, above all.
    let more = strange > 0 || !too_long.is_empty() || damaged >= (gaps + 1) * CHANGE_BYTES;
    let missing = incomplete.then_some(Missing { own: missing, more });
    let list = new_list(own, &ledger, &orphans);
    add_list(&mut ledger, list, &copies)?;
    let damage = if incomplete {
        Damage::Lost { copied: copies.len() as u64, lost, of_others, bytes: damaged }
    } else {
        Damage::Mended { entries: salvaged.mended as u64 }
    };
    Ok(Findings { ledger, damage, missing, plan: Plan::WriteAgain })
}

/// Whether the bytes from here on are the beginning of a chunk that goes on after the end of the file: what an append
/// leaves that was not finished.
fn is_unfinished(bytes: &[u8], at: usize) -> bool {
    let tail = bytes.get(at..).unwrap_or_default();
    let begins = tail.starts_with(&MAGIC) || MAGIC.starts_with(tail);
    begins && declared_end(bytes, at).is_none()
}

/// A change has more bytes than this: so many damaged bytes hold one at the most.
const CHANGE_BYTES: u64 = 120;

/// What lacks before the orphans.
struct Lacking {
    /// Entries of this desk.
    own: Vec<MissingRun>,
    /// How many that is.
    lost: u64,
    /// How many entries of other desks lack, or cannot stand without those.
    of_others: u64,
    /// How many entries lack that others stand behind, of all desks.
    gaps: u64,
}

fn lacking(ledger: &Ledger, orphans: &BTreeMap<EntryRef, Vec<u8>>, own: DeviceId) -> Lacking {
    let mut lacking = Lacking { own: Vec::new(), lost: 0, of_others: 0, gaps: 0 };
    let mut expected: BTreeMap<Writer, u64> = BTreeMap::new();
    for place in orphans.keys() {
        let next =
            expected.entry(place.writer).or_insert_with(|| ledger.position(&place.writer).sequence);
        let gap = place.index - *next;
        lacking.gaps += gap;
        if place.writer.device != own {
            lacking.of_others += gap + 1;
        } else if gap > 0 {
            lacking.own.push(MissingRun::new(place.day, &place.writer, *next, place.index));
            lacking.lost += gap;
        }
        *next = place.index + 1;
    }
    lacking
}

/// The name of a list that is nowhere in this file.
fn new_list(own: DeviceId, ledger: &Ledger, orphans: &BTreeMap<EntryRef, Vec<u8>>) -> Writer {
    let of_orphans = orphans.keys().map(|place| place.writer);
    let taken: BTreeSet<Writer> = ledger.writers().chain(of_orphans).collect();
    loop {
        let writer = Writer { device: own, epoch: rand::rng().random() };
        if !taken.contains(&writer) {
            return writer;
        }
    }
}

/// Adds a list that is not there yet.
fn add_list(ledger: &mut Ledger, writer: Writer, entries: &[Vec<u8>]) -> io::Result<()> {
    let extension =
        ledger.extension(writer, 1, entries.iter().map(Vec::as_slice)).map_err(io::Error::other)?;
    ledger.extend(&extension).map_err(io::Error::other)
}

impl LedgerFile {
    /// Leaves out of a list of copies those whose entries have come back, and gives what remains another name. Nobody
    /// else may have seen the list. Says where each of its entries stands now; nothing where all stay where they are.
    pub(super) fn drop_copies(
        &mut self,
        writer: &Writer,
    ) -> io::Result<Option<Vec<(EntryRef, EntryRef)>>> {
        let day = self.ledger.id().day;
        let bytes: Vec<Vec<u8>> = self.ledger.entry_bytes_of(writer, 0).collect();
        let firsts: Vec<EntryRef> = self.ledger.first_places_of(writer).collect();
        let is_back = |first: &EntryRef| self.ledger.entry(first).is_some();
        if !firsts.iter().any(is_back) {
            return Ok(None);
        }
        let other = loop {
            let other = Writer { device: writer.device, epoch: rand::rng().random() };
            if self.ledger.position(&other).sequence == 0
                && !firsts.iter().any(|it| it.writer == other)
            {
                break other;
            }
        };
        let (mut kept, mut moves) = (Vec::new(), Vec::new());
        for ((index, first), entry) in (0u64..).zip(&firsts).zip(bytes) {
            let before = EntryRef { day, writer: *writer, index };
            if is_back(first) {
                moves.push((before, *first));
            } else {
                let index = kept.len() as u64;
                moves.push((before, EntryRef { day, writer: other, index }));
                kept.push(entry);
            }
        }
        let mut ledger = self.ledger.clone();
        ledger.remove(writer);
        add_list(&mut ledger, other, &kept)?;
        self.replace(ledger)?;
        Ok(Some(moves))
    }
}
