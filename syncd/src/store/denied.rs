//! The cards that are not welcome, a second time: in a small file beside the store, so that no damage to the store
//! makes a blocked card welcome. The file is a log of changes, each with a checksum that depends on those before
//! it; a change is durable before the store has the page that it came with.
//!
//! It is as large as there are blocked cards (40 bytes each, at the most twice that in the log) and leaves none
//! out.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crdt_model::catalogue::{Card, CardName, CardStatus, HolderStatus, PassRecord, Programme};
use crdt_model::ids::{CardKey, PassId};
use ring::digest::{Context, SHA256};

use super::record::first_eight;
use crate::durable::sync_data;
use crate::paths::{open_in_its_folder, sync_folder_of, write_durably};

/// A change in the log.
const CHANGE_BYTES: usize = 40;

/// What is before the changes of a block: their number, and the checksum.
const HEAD_BYTES: usize = 4 + 8;

/// A log that is longer than twice what it says, and than this, is written anew.
const SHORT_LOG: u64 = 64 * 1024;

/// The revision of a denial that the store lost, or never had.
pub(super) const NOT_IN_STORE: u64 = u64::MAX;

/// Why a card is not welcome, and since which change of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Denial {
    pub pass: PassId,
    pub programme: Programme,
    pub holder_blocked: bool,
    pub card: CardStatus,
    /// The store that has it in its records, and from which of its revisions on.
    pub shelf: u32,
    pub revision: u64,
}

impl Denial {
    /// Why this card of this pass is not welcome, if it is not.
    pub(super) fn of(record: &PassRecord, card: &Card, shelf: u32, revision: u64) -> Option<Self> {
        let holder_blocked = record.holder == HolderStatus::Blocked;
        let denied = holder_blocked || denies(card.status);
        let (pass, programme) = (record.pass, record.programme);
        denied.then_some(Self {
            pass,
            programme,
            holder_blocked,
            card: card.status,
            shelf,
            revision,
        })
    }

    /// Whether another one says the same of the card.
    pub(super) fn says_as(&self, other: &Self) -> bool {
        let said = |it: &Self| (it.pass, it.programme, it.holder_blocked, it.card);
        said(self) == said(other)
    }

    /// The record with this said in it; where there is none, one that says nothing else.
    pub(super) fn upon(&self, found: Option<PassRecord>, name: CardName) -> PassRecord {
        let mut record = found.unwrap_or_else(|| PassRecord::new(self.pass, self.programme));
        if self.holder_blocked {
            record.holder = HolderStatus::Blocked;
        }
        match record.cards.iter_mut().find(|card| card.name == name) {
            Some(card) if denies(self.card) => card.status = self.card,
            Some(_) => {}
            None => record.cards.push(Card { name, status: self.card }),
        }
        record
    }
}

fn denies(card: CardStatus) -> bool {
    match card {
        CardStatus::Blocked | CardStatus::Deleted => true,
        CardStatus::Active | CardStatus::Provisioned | CardStatus::LocalStock => false,
    }
}

/// One change: a denial, or the end of one.
pub(super) type Change = (CardKey, Option<Denial>);

/// The list.
#[derive(Debug)]
pub(super) struct Denied {
    path: PathBuf,
    list: HashMap<CardKey, Denial>,
    /// Bytes of the log that hold together, and the checksum of its last block.
    length: u64,
    last: u64,
    /// A part of the log could not be read.
    incomplete: bool,
}

impl Denied {
    /// Reads the list. What cannot be read is left out, and [`Denied::is_incomplete`] says so.
    pub(super) fn open(path: &Path) -> Self {
        let mut denied = Self {
            path: path.to_owned(),
            list: HashMap::new(),
            length: 0,
            last: 0,
            incomplete: false,
        };
        match fs::read(path) {
            Ok(bytes) => denied.take_log(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(%error, "the list of blocked cards cannot be read");
                denied.incomplete = true;
            }
        }
        denied
    }

    fn take_log(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((block, behind)) = next_block(self.last, rest) {
            for change in block.changes.chunks_exact(CHANGE_BYTES) {
                let Some((name, denial)) = change_of(change) else { continue };
                match denial {
                    Some(denial) => drop(self.list.insert(name, denial)),
                    None => drop(self.list.remove(&name)),
                }
            }
            self.last = block.checksum;
            self.length += (rest.len() - behind.len()) as u64;
            rest = behind;
        }
        self.incomplete = !rest.is_empty();
    }

    /// Whether a part of the list could not be read: the last change, which the store then does not have either, or
    /// more.
    pub(super) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Whether this card is not welcome.
    pub(super) fn get(&self, card: &CardKey) -> Option<&Denial> {
        self.list.get(card)
    }

    /// Takes changes: durable before this returns.
    ///
    /// # Errors
    /// Whatever the file system says; the list is then as it was.
    pub(super) fn take(&mut self, changes: &[Change]) -> io::Result<()> {
        if changes.is_empty() && !self.incomplete {
            return Ok(());
        }
        let lasting = (self.list.len() + changes.len()) as u64 * CHANGE_BYTES as u64;
        let mut list = None;
        if self.incomplete || self.lost_its_file() || self.length > SHORT_LOG.max(2 * lasting) {
            let mut whole = self.list.clone();
            put(&mut whole, changes);
            let all: Vec<Change> = whole.iter().map(|(name, it)| (*name, Some(*it))).collect();
            let (block, last) = block_of(0, &all);
            write_durably(&self.path, &block)?;
            (self.length, self.last, self.incomplete) = (block.len() as u64, last, false);
            list = Some(whole);
        } else {
            let (block, last) = block_of(self.last, changes);
            self.append(&block)?;
            (self.length, self.last) = (self.length + block.len() as u64, last);
        }
        match list {
            Some(whole) => self.list = whole,
            None => put(&mut self.list, changes),
        }
        Ok(())
    }

    /// Whether the file was removed or cut short under the running daemon. A change that is written where the file
    /// should end would then stand after zeros, and the next start could read none of the list.
    fn lost_its_file(&self) -> bool {
        self.length > 0 && fs::metadata(&self.path).map_or(true, |it| it.len() < self.length)
    }

    /// Denials that this store cannot have in its records, for it is at an earlier revision: a power cut took the page
    /// they came with. Revisions are used again after such a loss, so the denials get one that the store never reaches.
    pub(super) fn ahead_of(&self, shelf: u32, revision: u64) -> Vec<Change> {
        let ahead = self.list.iter().filter(|(_, it)| {
            it.shelf == shelf && it.revision > revision && it.revision != NOT_IN_STORE
        });
        ahead.map(|(name, it)| (*name, Some(Denial { revision: NOT_IN_STORE, ..*it }))).collect()
    }

    fn append(&self, block: &[u8]) -> io::Result<()> {
        let new = !self.path.exists();
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = open_in_its_folder(&options, &self.path)?;
        let written =
            file.write_all_at(block, self.length).and_then(|()| sync_data(&file, &self.path));
        if written.is_err() {
            cut(&file, self.length);
        } else if new {
            sync_folder_of(&self.path)?;
        }
        written
    }
}

/// Half a block is no harm: it is left out when the list is read, and written over by the next one.
fn cut(file: &File, length: u64) {
    if let Err(error) = file.set_len(length) {
        tracing::warn!(%error, "the list of blocked cards could not be cut back after a failed write");
    }
}

fn put(list: &mut HashMap<CardKey, Denial>, changes: &[Change]) {
    for (name, denial) in changes {
        match denial {
            Some(denial) => drop(list.insert(*name, *denial)),
            None => drop(list.remove(name)),
        }
    }
}

struct Block<'a> {
    changes: &'a [u8],
    checksum: u64,
}

fn next_block(last: u64, bytes: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_be_bytes(*count)).ok()?.checked_mul(CHANGE_BYTES)?;
    let (changes, behind) = rest.split_at_checked(length)?;
    let checksum = u64::from_be_bytes(*checksum);
    (checksum_of(last, changes) == checksum).then_some((Block { changes, checksum }, behind))
}

fn block_of(last: u64, changes: &[Change]) -> (Vec<u8>, u64) {
    let mut bytes = vec![0; HEAD_BYTES];
    for change in changes {
        bytes.extend_from_slice(&bytes_of(change));
    }
    let checksum = checksum_of(last, &bytes[HEAD_BYTES..]);
    let count = u32::try_from(changes.len()).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&count.to_be_bytes());
    bytes[4..HEAD_BYTES].copy_from_slice(&checksum.to_be_bytes());
    (bytes, checksum)
}

fn checksum_of(last: u64, changes: &[u8]) -> u64 {
    let mut context = Context::new(&SHA256);
    context.update(&last.to_be_bytes());
    context.update(changes);
    first_eight(context.finish().as_ref())
}

const PROGRAMMES: [Programme; 4] =
    [Programme::Uitpas, Programme::UitpasGroup, Programme::Museumpass, Programme::External];

const STATUSES: [CardStatus; 5] = [
    CardStatus::Provisioned,
    CardStatus::LocalStock,
    CardStatus::Active,
    CardStatus::Blocked,
    CardStatus::Deleted,
];

/// The byte that says that a denial ended.
const ENDED: u8 = u8::MAX;

fn bytes_of((name, denial): &Change) -> [u8; CHANGE_BYTES] {
    let place = |found: Option<usize>| found.and_then(|n| u8::try_from(n).ok()).unwrap_or_default();
    let mut bytes = [0; CHANGE_BYTES];
    bytes[..16].copy_from_slice(name);
    match denial {
        Some(denial) => {
            bytes[16..24].copy_from_slice(&denial.pass.0.to_be_bytes());
            bytes[24..28].copy_from_slice(&denial.shelf.to_be_bytes());
            bytes[28..36].copy_from_slice(&denial.revision.to_be_bytes());
            bytes[36] = place(PROGRAMMES.iter().position(|it| *it == denial.programme));
            bytes[37] = u8::from(denial.holder_blocked);
            bytes[38] = place(STATUSES.iter().position(|it| *it == denial.card));
        }
        None => bytes[36] = ENDED,
    }
    bytes
}

fn change_of(bytes: &[u8]) -> Option<Change> {
    let name = *bytes.first_chunk::<16>()?;
    let programme = *bytes.get(36)?;
    if programme == ENDED {
        return Some((name, None));
    }
    let shelf = u32::from_be_bytes(bytes.get(24..28)?.try_into().ok()?);
    let denial = Denial {
        pass: PassId(first_eight(bytes.get(16..24)?)),
        programme: *PROGRAMMES.get(usize::from(programme))?,
        holder_blocked: *bytes.get(37)? != 0,
        card: *STATUSES.get(usize::from(*bytes.get(38)?))?,
        shelf,
        revision: first_eight(bytes.get(28..36)?),
    };
    Some((name, Some(denial)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(pass: u64) -> Denial {
        Denial {
            pass: PassId(pass),
            programme: Programme::Museumpass,
            holder_blocked: pass.is_multiple_of(2),
            card: CardStatus::Blocked,
            shelf: 3,
            revision: 900 + pass,
        }
    }

    fn name(n: u8) -> CardKey {
        [n; 16]
    }

    #[test]
    fn denials_are_there_after_a_restart_until_they_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("denied");
        let mut denied = Denied::open(&path);
        denied.take(&[(name(1), Some(denial(1))), (name(2), Some(denial(2)))]).unwrap();
        denied.take(&[(name(2), None), (name(3), Some(denial(3)))]).unwrap();
        let denied = Denied::open(&path);
        assert!(!denied.is_incomplete());
        assert_eq!(denied.get(&name(1)), Some(&denial(1)));
        assert_eq!(denied.get(&name(2)), None);
        assert_eq!(denied.get(&name(3)), Some(&denial(3)));
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_what_was_before_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("denied");
        let mut denied = Denied::open(&path);
        denied.take(&[(name(1), Some(denial(1)))]).unwrap();
        denied.take(&[(name(2), Some(denial(2)))]).unwrap();
        let whole = fs::read(&path).unwrap();
        let block = HEAD_BYTES + CHANGE_BYTES;
        assert_eq!(whole.len(), 2 * block);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            let denied = Denied::open(&path);
            assert!(denied.is_incomplete(), "bit {bit}");
            assert_eq!(denied.get(&name(1)).is_some(), bit >= block * 8, "bit {bit}");
        }
        fs::write(&path, &whole[..block + 5]).unwrap();
        let mut torn = Denied::open(&path);
        assert!(torn.is_incomplete(), "the last change had not been finished");
        torn.take(&[]).unwrap();
        assert!(!Denied::open(&path).is_incomplete(), "and is written anew");
    }

    #[test]
    fn a_list_whose_file_was_removed_or_cut_short_is_written_anew_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("denied");
        let mut denied = Denied::open(&path);
        denied.take(&[(name(1), Some(denial(1)))]).unwrap();
        fs::remove_file(&path).unwrap();
        denied.take(&[(name(2), Some(denial(2)))]).unwrap();
        fs::write(&path, []).unwrap();
        denied.take(&[(name(3), Some(denial(3)))]).unwrap();
        let denied = Denied::open(&path);
        assert!(!denied.is_incomplete());
        for n in 1..=3 {
            assert_eq!(denied.get(&name(n)), Some(&denial(u64::from(n))));
        }
    }

    #[test]
    fn the_log_stays_short_however_often_a_card_is_blocked_and_freed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("denied");
        let mut denied = Denied::open(&path);
        let many: Vec<Change> = (0..250).map(|n| (name(n), Some(denial(1)))).collect();
        let ended: Vec<Change> = (1..250).map(|n| (name(n), None)).collect();
        for _ in 0..10 {
            denied.take(&many).unwrap();
            denied.take(&ended).unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() < SHORT_LOG + 2 * 250 * CHANGE_BYTES as u64);
        assert_eq!(Denied::open(&path).get(&name(0)), Some(&denial(1)));
        assert_eq!(Denied::open(&path).get(&name(1)), None);
    }
}
