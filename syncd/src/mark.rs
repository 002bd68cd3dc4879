//! What this computer knows of the units of limited rewards that the desk has handed out: a second place beside the ledgers,
//! outside the desk's folder. A copy of the folder does not take it along, and a folder that was put back to what it was
//! does not put it back. So an older copy that is started hands out nothing that was handed out here; two copies on one
//! computer notice each other; and a copy on another computer hands out no more than the policy allows before it has
//! heard the hub.
//!
//! | in the marks' folder | what |
//! | --- | --- |
//! | `<device>.mark` | records of 32 bytes, each with its proof, appended and `fdatasync`ed before a verdict |
//! | `<device>.lock` | locked for as long as a daemon with this desk's key runs |
//!
//! What it cannot know: a disk image that is copied whole, with the marks and the computer's id in it, looks like the same
//! computer. A monotonic counter of a TPM would tell: it belongs into `Record::Computer`, read at the start and raised
//! at each `Record::Handed`. That is not done; there was no hardware to try it with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crdt_model::ids::DeviceId;
use crdt_model::stock::{GrantId, Unit};
use ring::digest::{Context, SHA256};

use crate::durable::sync_data;
use crate::paths::write_durably;
use crate::proven::{prove, proven};

/// Bytes of a record with its proof.
const RECORD_BYTES: usize = 32;

/// Records that are kept: 512 KiB, two years of a desk that hands out 20 limited rewards a day. Of more, those of the
/// oldest grants are forgotten.
const MOST_RECORDS: usize = 16_384;

/// Which computer this is: derived from the system's machine id, which itself is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComputerId([u8; 16]);

impl ComputerId {
    /// This computer. One without a machine id (a container may have none) is told from others by nothing but where
    /// its marks are.
    pub fn of_this_one() -> Self {
        let known = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
        let id = known.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default();
        Self::derived_from(id.trim_ascii())
    }

    /// Derived from any machine id.
    pub fn derived_from(machine_id: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(b"stempel mark 1\0");
        context.update(machine_id);
        let digest = context.finish();
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_ref()[..16]);
        Self(id)
    }
}

/// One fact, in the order in which they came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    /// From here on this computer wrote, without knowing what was handed out before.
    Computer(ComputerId),
    /// A unit was handed out.
    Handed(Unit),
    /// A grant was given back.
    Closed(GrantId),
    /// The hub was heard: what it knows of this desk is in the ledgers and here.
    Heard,
}

impl Record {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; RECORD_BYTES - 8];
        let (kind, payload) = bytes.split_at_mut(8);
        kind[0] = match self {
            Self::Computer(ComputerId(id)) => {
                payload.copy_from_slice(&id);
                1
            }
            Self::Handed(Unit { grant, unit }) => {
                payload[..8].copy_from_slice(&grant.0.to_be_bytes());
                payload[8..12].copy_from_slice(&unit.to_be_bytes());
                2
            }
            Self::Closed(grant) => {
                payload[..8].copy_from_slice(&grant.0.to_be_bytes());
                3
            }
            Self::Heard => 4,
        };
        prove(bytes)
    }

    /// Nothing where the bytes do not prove themselves, or are of a newer version.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, payload) = proven(bytes)?.split_first_chunk::<8>()?;
        let grant = GrantId(u64::from_be_bytes(*payload.first_chunk()?));
        match kind[0] {
            1 => Some(Self::Computer(ComputerId(payload.try_into().ok()?))),
            2 => {
                let unit = u32::from_be_bytes(*payload[8..].first_chunk()?);
                Some(Self::Handed(Unit { grant, unit }))
            }
            3 => Some(Self::Closed(grant)),
            4 => Some(Self::Heard),
            _ => None,
        }
    }
}

/// What the records add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    /// How often each unit was handed out.
    handed: BTreeMap<Unit, u32>,
    closed: BTreeSet<GrantId>,
    computer: Option<ComputerId>,
    /// Units handed out since this computer began to write without knowing what was handed out before; nothing where
    /// it knows.
    since_unknown: Option<u32>,
}

impl Known {
    fn take(&mut self, record: Record) {
        match record {
            Record::Computer(computer) => {
                self.computer = Some(computer);
                self.since_unknown = Some(0);
            }
            Record::Handed(unit) => {
                *self.handed.entry(unit).or_default() += 1;
                self.since_unknown = self.since_unknown.map(|count| count.saturating_add(1));
            }
            Record::Closed(grant) => drop(self.closed.insert(grant)),
            Record::Heard => self.since_unknown = None,
        }
    }

    /// The same in as few records as possible, those of the newest grants where there are too many.
    fn records(&self) -> Vec<Record> {
        let each = self.handed.iter().rev();
        let handed = each.flat_map(|(unit, times)| (0..*times).map(|_| Record::Handed(*unit)));
        let mut handed: Vec<Record> = handed.take(MOST_RECORDS / 2).collect();
        let closed = self.closed.iter().rev().take(MOST_RECORDS / 4).map(|it| Record::Closed(*it));
        let since = usize::try_from(self.since_unknown.unwrap_or_default()).unwrap_or(usize::MAX);
        let after = handed.split_off(handed.len().saturating_sub(since));
        let computer = self.computer.map(Record::Computer);
        let heard = self.since_unknown.is_none().then_some(Record::Heard);
        handed.into_iter().chain(closed).chain(computer).chain(after).chain(heard).collect()
    }
}

/// How the mark stands to the desk that opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// This computer knows what was handed out.
    Knows,
    /// This computer does not know it: the folder was copied here, or the mark is lost or cannot be written. So many
    /// units were handed out since.
    Unknown {
        /// Units.
        handed: u32,
    },
    /// Another daemon with this desk's key runs on this computer.
    HeldByAnother,
}

/// The lock of a mark.
#[derive(Debug)]
enum Lock {
    /// Another daemon has it, or nobody tried yet.
    NotTaken,
    /// This daemon has it for as long as the file is open.
    Taken { _file: File },
    /// The file system does not lock. Then nothing tells two daemons from each other.
    CannotBe,
}

/// The mark of one desk.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
    computer: ComputerId,
    lock: Lock,
    /// The file, to append to. Nothing where it is to be written anew.
    file: Option<File>,
    known: Known,
    /// What is not on the disk yet.
    unwritten: Vec<Record>,
    /// Units handed out that could not be written down.
    unwritten_units: u32,
}

impl Mark {
    /// Opens the mark of this desk, and takes its lock. This never fails: [`Mark::standing`] says what is the matter.
    /// `in_ledgers` are the units that the desk's ledgers name, as often as they do; `is_new` says that this desk has
    /// recorded nothing and was granted nothing, so that there is nothing that could be handed out twice.
    pub fn open(
        folder: &Path,
        device: DeviceId,
        computer: ComputerId,
        in_ledgers: &BTreeMap<Unit, u32>,
        is_new: bool,
    ) -> Self {
        let mut mark = Self {
            path: folder.join(format!("{device}.mark")),
            computer,
            lock: Lock::NotTaken,
            file: None,
            known: Known::default(),
            unwritten: Vec::new(),
            unwritten_units: 0,
        };
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(folder) {
            tracing::warn!(%error, folder = %folder.display(), "the folder of the marks cannot be made");
        }
        mark.try_lock(in_ledgers, is_new);
        mark
    }

    /// Takes the lock where another daemon had it, and reads what that one has handed out meanwhile. Whether anything
    /// changed.
    pub fn try_lock(&mut self, in_ledgers: &BTreeMap<Unit, u32>, is_new: bool) -> bool {
        if !matches!(self.lock, Lock::NotTaken) {
            return false;
        }
        let path = self.path.with_extension("lock");
        let opened =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        self.lock = match opened.map(|file| (file.try_lock(), file)) {
            Ok((Ok(()), file)) => Lock::Taken { _file: file },
            Ok((Err(TryLockError::WouldBlock), _)) => return false,
            Ok((Err(TryLockError::Error(error)), _)) | Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the mark cannot be locked");
                Lock::CannotBe
            }
        };
        self.read(in_ledgers, is_new);
        true
    }

    fn read(&mut self, in_ledgers: &BTreeMap<Unit, u32>, is_new: bool) {
        let (bytes, missing) = match fs::read(&self.path) {
            Ok(bytes) => (bytes, false),
            Err(error) => {
                let none = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
                (Vec::new(), none.contains(&error.kind()))
            }
        };
        let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
        self.known = Known::default();
        let mut damaged = false;
        for (place, record) in records.iter().enumerate() {
            match Record::from_bytes(record) {
                Some(record) => self.known.take(record),
                // A last one that is not whole was never followed by a verdict.
                None => damaged |= place + 1 < records.len(),
            }
        }
        // What the ledgers have and the mark has not was recorded just before the desk died, or before there were marks.
        let lacking = self.lacking(in_ledgers);
        let as_written = rest.is_empty() && !damaged && records.len() < MOST_RECORDS;
        for record in &lacking {
            self.known.take(*record);
        }
        if self.known.computer != Some(self.computer) || damaged {
            if !missing {
                tracing::warn!(mark = %self.path.display(), damaged, "the mark is not of this computer, or not whole");
            }
            self.known.take(Record::Computer(self.computer));
            if missing && is_new {
                self.known.take(Record::Heard);
            }
        } else if as_written {
            self.file = OpenOptions::new().append(true).open(&self.path).ok();
            self.unwritten = lacking;
        }
        self.write();
    }

    /// What the ledgers name more often than the mark.
    fn lacking(&self, in_ledgers: &BTreeMap<Unit, u32>) -> Vec<Record> {
        let more = in_ledgers.iter().flat_map(|(unit, times)| {
            let known = self.known.handed.get(unit).copied().unwrap_or_default();
            (known..*times).map(|_| Record::Handed(*unit))
        });
        more.collect()
    }

    /// How the mark stands.
    pub fn standing(&self) -> Standing {
        if matches!(self.lock, Lock::NotTaken) {
            return Standing::HeldByAnother;
        }
        let unwritten = (self.unwritten_units > 0).then_some(self.unwritten_units);
        match self.known.since_unknown.max(unwritten) {
            None => Standing::Knows,
            Some(handed) => Standing::Unknown { handed },
        }
    }

    /// Units that were handed out more often than the ledgers name them: the folder is older than what was done with it.
    pub fn not_in<'a>(&'a self, in_ledgers: &'a BTreeMap<Unit, u32>) -> impl Iterator<Item = Unit> {
        let named = |unit: &Unit| in_ledgers.get(unit).copied().unwrap_or_default();
        self.known.handed.iter().filter(move |(unit, times)| **times > named(unit)).map(|it| *it.0)
    }

    /// Whether a grant was given back.
    pub fn is_closed(&self, grant: GrantId) -> bool {
        self.known.closed.contains(&grant)
    }

    /// A unit is handed out: durable before this returns, where the disk takes it. Where it does not, the desk counts
    /// as one that does not know what it has handed out.
    pub fn hand_out(&mut self, unit: Unit) {
        if !self.note([Record::Handed(unit)]) {
            self.unwritten_units = self.unwritten_units.saturating_add(1);
        }
    }

    /// Grants are given back: durable before this returns, where the disk takes it.
    pub fn close(&mut self, grants: &[GrantId]) {
        let new = grants.iter().filter(|grant| !self.is_closed(**grant));
        let new: Vec<_> = new.map(|grant| Record::Closed(*grant)).collect();
        self.note(new);
    }

    /// The hub was heard, and what it knows is in the ledgers.
    pub fn heard(&mut self, in_ledgers: &BTreeMap<Unit, u32>) {
        if matches!(self.lock, Lock::NotTaken) {
            return;
        }
        let mut news = self.lacking(in_ledgers);
        if self.known.since_unknown.is_some() {
            news.push(Record::Heard);
        }
        self.note(news);
    }

    fn note(&mut self, records: impl IntoIterator<Item = Record>) -> bool {
        for record in records {
            self.known.take(record);
            self.unwritten.push(record);
        }
        self.write()
    }

    /// Writes what is not on the disk yet. Whether all is.
    pub fn write(&mut self) -> bool {
        if self.unwritten.is_empty() && self.file.is_some() {
            return true;
        }
        // What another daemon writes would stand between.
        if matches!(self.lock, Lock::NotTaken) {
            return false;
        }
        let bytes: Vec<u8> = self.unwritten.iter().flat_map(|it| it.to_bytes()).collect();
        match self.append(&bytes) {
            Ok(()) => {
                self.unwritten.clear();
                self.unwritten_units = 0;
                true
            }
            Err(error) => {
                tracing::error!(%error, mark = %self.path.display(), "what was handed out cannot be noted outside the desk's folder");
                // Half a record may stand there.
                self.file = None;
                false
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return self.replace() };
        file.write_all(bytes)?;
        sync_data(file, &self.path)
    }

    /// Writes the file anew, whole or not at all.
    fn replace(&mut self) -> io::Result<()> {
        let bytes: Vec<u8> = self.known.records().into_iter().flat_map(Record::to_bytes).collect();
        write_durably(&self.path, &bytes)?;
        self.file = Some(OpenOptions::new().append(true).open(&self.path)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proven::damage;

    const DESK: DeviceId = DeviceId([7; 16]);

    fn unit(unit: u32) -> Unit {
        Unit { grant: GrantId(1), unit }
    }

    fn once(units: &[u32]) -> BTreeMap<Unit, u32> {
        units.iter().map(|it| (unit(*it), 1)).collect()
    }

    fn computer(n: u8) -> ComputerId {
        ComputerId::derived_from(&[n])
    }

    /// A mark of a new desk that handed out these units.
    fn handed_out(folder: &Path, units: &[u32]) {
        let mut mark = Mark::open(folder, DESK, computer(1), &once(&[]), true);
        for it in units {
            mark.hand_out(unit(*it));
        }
        assert_eq!(mark.standing(), Standing::Knows);
    }

    fn opened(folder: &Path, n: u8, in_ledgers: &[u32]) -> Mark {
        Mark::open(folder, DESK, computer(n), &once(in_ledgers), false)
    }

    fn not_in(mark: &Mark, in_ledgers: &[u32]) -> Vec<u32> {
        mark.not_in(&once(in_ledgers)).map(|it| it.unit).collect()
    }

    #[test]
    fn an_ordinary_restart_finds_what_it_knew() {
        let folder = tempfile::tempdir().unwrap();
        handed_out(folder.path(), &[1, 2, 3]);
        let mark = opened(folder.path(), 1, &[1, 2, 3]);
        assert_eq!((mark.standing(), not_in(&mark, &[1, 2, 3])), (Standing::Knows, vec![]));
    }

    #[test]
    fn an_older_folder_is_known_by_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        handed_out(folder.path(), &[1, 2, 3]);
        let mark = opened(folder.path(), 1, &[1]);
        assert_eq!((mark.standing(), not_in(&mark, &[1])), (Standing::Knows, vec![2, 3]));
    }

    /// Taken back and handed out again, a unit was handed out twice; the older folder has it once.
    #[test]
    fn a_unit_that_was_handed_out_again_is_not_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        handed_out(folder.path(), &[1, 1]);
        assert_eq!(not_in(&opened(folder.path(), 1, &[1]), &[1]), [1]);
    }

    #[test]
    fn a_desk_killed_between_its_ledger_and_its_mark_lacks_nothing_in_the_next_copy() {
        let folder = tempfile::tempdir().unwrap();
        handed_out(folder.path(), &[1]);
        assert_eq!(opened(folder.path(), 1, &[1, 2]).standing(), Standing::Knows);
        assert_eq!(not_in(&opened(folder.path(), 1, &[]), &[]), [1, 2]);
    }

    #[test]
    fn a_computer_that_does_not_know_the_desk_counts_over_restarts_until_the_hub_was_heard() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        handed_out(one.path(), &[1]);
        for folder in [&one, &other] {
            // Another computer, with the mark that came along, or with none.
            let mut mark = opened(folder.path(), 2, &[1]);
            assert_eq!(mark.standing(), Standing::Unknown { handed: 0 });
            mark.hand_out(unit(2));
            drop(mark);
            let mut mark = opened(folder.path(), 2, &[1, 2]);
            assert_eq!(mark.standing(), Standing::Unknown { handed: 1 });
            mark.heard(&once(&[1, 2]));
            assert_eq!(mark.standing(), Standing::Knows);
            drop(mark);
            assert_eq!(opened(folder.path(), 2, &[1, 2]).standing(), Standing::Knows);
        }
    }

    #[test]
    fn two_daemons_with_one_key_exclude_each_other_and_the_second_reads_what_the_first_did() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Mark::open(folder.path(), DESK, computer(1), &once(&[]), true);
        let mut second = opened(folder.path(), 1, &[]);
        assert_eq!(second.standing(), Standing::HeldByAnother);
        first.hand_out(unit(1));
        assert!(!second.try_lock(&once(&[]), false));
        drop(first);
        assert!(second.try_lock(&once(&[]), false));
        assert_eq!((second.standing(), not_in(&second, &[])), (Standing::Knows, vec![1]));
    }

    #[test]
    fn a_grant_that_was_given_back_stays_so_for_an_older_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(folder.path(), DESK, computer(1), &once(&[]), true);
        mark.close(&[GrantId(4)]);
        drop(mark);
        let mark = opened(folder.path(), 1, &[]);
        assert!(mark.is_closed(GrantId(4)) && !mark.is_closed(GrantId(5)));
    }

    /// The last record alone may be lost: without it there was no verdict.
    #[test]
    fn damage_forgets_nothing_that_was_said_without_saying_so() {
        let folder = tempfile::tempdir().unwrap();
        handed_out(folder.path(), &[1, 2]);
        let path = folder.path().join(format!("{DESK}.mark"));
        let whole = fs::read(&path).unwrap();
        let last = whole.len() - RECORD_BYTES;
        for damaged in damage::each_of(&whole) {
            fs::write(&path, &damaged).unwrap();
            let mark = opened(folder.path(), 1, &[]);
            let told = mark.standing() != Standing::Knows;
            let in_last = damaged.len() >= last && damaged[..last] == whole[..last];
            let cut = damaged.len() < last;
            assert!(told || in_last || cut, "{damaged:?}");
            let most = if in_last { vec![1] } else { vec![] };
            assert!(not_in(&mark, &[]).len() >= most.len());
        }
    }

    #[test]
    fn where_the_mark_cannot_be_written_the_desk_does_not_know_what_it_hands_out() {
        let folder = tempfile::tempdir().unwrap();
        // A file lies where the marks' folder belongs.
        let marks = folder.path().join("marks");
        fs::write(&marks, "").unwrap();
        let mut mark = Mark::open(&marks, DESK, computer(1), &once(&[]), true);
        mark.hand_out(unit(1));
        assert_eq!(mark.standing(), Standing::Unknown { handed: 1 });
        fs::remove_file(&marks).unwrap();
        assert!(mark.write(), "the folder is made again");
        assert_eq!(mark.standing(), Standing::Knows);
        drop(mark);
        assert_eq!(not_in(&opened(&marks, 1, &[]), &[]), [1]);
    }

    #[test]
    fn of_too_many_records_those_of_the_oldest_grants_are_forgotten() {
        let mut known = Known::default();
        known.take(Record::Computer(computer(1)));
        for grant in 0..MOST_RECORDS as u64 {
            known.take(Record::Handed(Unit { grant: GrantId(grant), unit: 1 }));
            known.take(Record::Closed(GrantId(grant)));
        }
        let mut again = Known::default();
        known.records().into_iter().for_each(|record| again.take(record));
        assert!(known.records().len() < MOST_RECORDS);
        assert_eq!(again.handed.keys().next_back(), known.handed.keys().next_back());
        assert!(again.closed.contains(&GrantId(MOST_RECORDS as u64 - 1)));
        assert_eq!(again.since_unknown, Some(8_192));
    }
}
