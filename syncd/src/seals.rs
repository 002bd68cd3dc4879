//! The seals of neighbours' lists: what proves to others that a list on this disk is its desk's. The ledger files hold
//! entries alone; with its seal a list of a desk that has vanished can be given to a hub that lost it.
//!
//! One small file for each day, `seals/<day>`, beside the ledgers' folder rather than in it, for what is renamed there makes
//! the desk look at all ledger files again. It is not synced: a file that is lost or torn costs only that the hub must hear
//! those entries from the desk that wrote them.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crdt_model::ids::Writer;
use jiff::civil::Date;
use minicbor::{Decode, Encode};
use sync_protocol::message::{Seal, WriterBytes};

use crate::proven::{prove, proven};

/// Entries between two seals of a list that are kept, at the most, and their bytes: what lies between them must fit into
/// one batch, of which this is half.
const MOST_BETWEEN: u64 = 1024;
const MOST_BYTES_BETWEEN: u64 = 24 * 1024;

/// A seal that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct KeptSeal {
    #[n(0)]
    seal: Seal,
    /// Bytes of the list's entries up to here, as far as they were counted.
    #[n(1)]
    bytes: u64,
}

/// A list's seals.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct KeptList {
    #[n(0)]
    writer: WriterBytes,
    #[cbor(n(1), with = "minicbor::bytes")]
    public_key: Vec<u8>,
    /// By rising sequence number.
    #[n(2)]
    seals: Vec<KeptSeal>,
}

#[derive(Debug, Default)]
struct Day {
    lists: BTreeMap<Writer, KeptList>,
    unwritten: bool,
}

/// The seals of all days.
#[derive(Debug)]
pub struct Seals {
    folder: PathBuf,
    days: BTreeMap<Date, Day>,
}

/// The seals of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealsOfList {
    /// The ledger's day.
    pub day: Date,
    /// The list.
    pub writer: Writer,
    /// Its device's public key.
    pub public_key: Vec<u8>,
    /// By rising sequence number; between two of them lies no more than fits into one batch, where they came so.
    pub seals: Vec<Seal>,
}

impl Seals {
    /// Opens what is in this folder. A file that does not prove itself holds nothing.
    pub fn open(folder: &Path) -> Self {
        let mut days = BTreeMap::new();
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path()) {
            let day = path.file_name().and_then(|name| name.to_str()?.parse::<Date>().ok());
            let Some(day) = day else { continue };
            let lists: Option<Vec<KeptList>> =
                fs::read(&path).ok().and_then(|bytes| minicbor::decode(proven(&bytes)?).ok());
            let Some(lists) = lists else {
                tracing::warn!(file = %path.display(), "the seals of a day cannot be read");
                continue;
            };
            let lists = lists.into_iter().map(|list| (list.writer.writer(), list)).collect();
            days.insert(day, Day { lists, unwritten: false });
        }
        Self { folder: folder.to_owned(), days }
    }

    /// Entries of this list were merged, of so many bytes, and this is the seal at their end.
    pub fn note(
        &mut self,
        day: Date,
        writer: Writer,
        seal: &Seal,
        bytes: usize,
        public_key: &[u8],
    ) {
        let kept = self.days.entry(day).or_default();
        let list = kept.lists.entry(writer).or_insert_with(|| KeptList {
            writer: writer.into(),
            public_key: public_key.to_vec(),
            seals: Vec::new(),
        });
        let known = list.seals.last().map_or(0, |it| it.bytes);
        let bytes = known.saturating_add(bytes as u64);
        // Of a list that grows by single entries every seal but the last is one too many.
        let before_last = list.seals.len().checked_sub(2).and_then(|it| list.seals.get(it));
        let (first, counted) = before_last.map_or((0, 0), |it| (it.seal.sequence, it.bytes));
        if !list.seals.is_empty()
            && seal.sequence.saturating_sub(first) <= MOST_BETWEEN
            && bytes.saturating_sub(counted) <= MOST_BYTES_BETWEEN
        {
            list.seals.pop();
        }
        list.seals.push(KeptSeal { seal: seal.clone(), bytes });
        kept.unwritten = true;
    }

    /// Writes what changed.
    pub fn write(&mut self) {
        let folder = self.folder.clone();
        for (day, kept) in self.days.iter_mut().filter(|(_, kept)| kept.unwritten) {
            let lists: Vec<&KeptList> = kept.lists.values().collect();
            let bytes = prove(minicbor::to_vec(lists).unwrap_or_default());
            match write_beside(&folder, *day, &bytes) {
                Ok(()) => kept.unwritten = false,
                // Written with the next seal of that day.
                Err(error) => tracing::warn!(%day, %error, "the seals of a day cannot be written"),
            }
        }
    }

    /// All lists, oldest first.
    pub fn lists(&self) -> impl Iterator<Item = SealsOfList> + '_ {
        self.days.iter().flat_map(|(day, kept)| {
            kept.lists.iter().map(|(writer, list)| SealsOfList {
                day: *day,
                writer: *writer,
                public_key: list.public_key.clone(),
                seals: list.seals.iter().map(|it| it.seal.clone()).collect(),
            })
        })
    }
}

/// Whole or as it was, unless the power is cut.
fn write_beside(folder: &Path, day: Date, bytes: &[u8]) -> io::Result<()> {
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let beside = folder.join(format!("{day}.new"));
    fs::write(&beside, bytes)?;
    fs::rename(&beside, folder.join(day.to_string()))
}

#[cfg(test)]
mod tests {
    use crdt_model::ids::DeviceId;

    use super::*;
    use crate::proven::damage;

    fn seal(sequence: u64) -> Seal {
        Seal { sequence, signature: vec![u8::try_from(sequence % 256).unwrap(); 64] }
    }

    const WRITER: Writer = Writer { device: DeviceId([3; 16]), epoch: 9 };
    const DAY: Date = jiff::civil::date(2026, 11, 27);

    fn noted(folder: &Path, sequences: impl IntoIterator<Item = u64>, bytes: usize) -> Vec<u64> {
        let mut seals = Seals::open(folder);
        for sequence in sequences {
            seals.note(DAY, WRITER, &seal(sequence), bytes, &[7; 32]);
        }
        seals.write();
        let list = Seals::open(folder).lists().next().unwrap();
        assert_eq!((list.day, list.writer, &list.public_key[..]), (DAY, WRITER, &[7; 32][..]));
        list.seals.iter().map(|it| it.sequence).collect()
    }

    #[test]
    fn of_a_list_that_grows_one_by_one_the_last_seal_is_kept_and_one_for_each_batch() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(noted(folder.path(), 1..=900, 12), [900]);
        let kept = noted(folder.path(), 901..=5000, 12);
        assert_eq!(kept.last(), Some(&5000));
        let between = [0].iter().chain(&kept).zip(&kept).map(|(one, next)| next - one);
        assert!(kept.len() < 12 && between.into_iter().all(|it| it <= MOST_BETWEEN), "{kept:?}");
    }

    #[test]
    fn what_lies_between_two_seals_fits_into_one_batch_also_where_entries_are_large() {
        let folder = tempfile::tempdir().unwrap();
        let kept = noted(folder.path(), 1..=400, 256);
        let between = [0].iter().chain(&kept).zip(&kept).map(|(one, next)| next - one);
        assert!(between.into_iter().all(|it| it * 256 <= MOST_BYTES_BETWEEN), "{kept:?}");
    }

    #[test]
    fn a_damaged_file_holds_no_seals() {
        let folder = tempfile::tempdir().unwrap();
        noted(folder.path(), [1], 12);
        let path = folder.path().join(DAY.to_string());
        let whole = fs::read(&path).unwrap();
        for damaged in damage::each_of(&whole) {
            fs::write(&path, damaged).unwrap();
            assert_eq!(Seals::open(folder.path()).lists().count(), 0);
        }
    }
}
