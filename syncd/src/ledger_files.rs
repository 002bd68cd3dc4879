//! The ledgers on disk: one standard Automerge file for each day, appended and `fdatasync`ed before
//! anybody sees a verdict. These files are the truth; everything else can be made again from them
//! and the hub.
//!
//! | beside `<day>.automerge` | what |
//! | --- | --- |
//! | `incomplete` | a part is lacking, and which entries of this desk: until the hub has sent all that it has |
//! | `<day>.damaged-1` to `-8` | the file as it was when damage was found |
//! | `<day>.tail-1` to `-8` | what was cut off its end |
//! | `<day>.replaced-1` to `-8` | what lay in its place while the daemon ran |

mod aside;
mod file;
mod presence;
mod salvage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crdt_model::entry::EntryRef;
use crdt_model::ids::{DeviceId, VenueId, Writer};
use crdt_model::ledger::{Extension, Ledger, LedgerId, MergeError};
use crdt_model::time::{date_of_day_number, day_number};
use jiff::civil::Date;
use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::paths::{sync_folder_of, write_durably};
use file::LedgerFile;
use presence::FolderState;
pub use presence::WrittenAgain;
pub use salvage::{Damage, Repair};

/// What goes wrong with ledger files.
#[derive(Debug, Error)]
pub enum LedgerFileError {
    /// The disk says no. The ledger is as it was before.
    #[error("{path}: {error}")]
    Disk {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// What was to be appended does not fit. The ledger is as it was before.
    #[error(transparent)]
    Merge(#[from] MergeError),
}

impl LedgerFileError {
    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Disk { error, .. }
            if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// Entries of one of this desk's lists that this disk has lost: indices from `first` on, before `end`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
struct MissingRun {
    #[n(0)]
    day: i32,
    #[cbor(n(1), with = "minicbor::bytes")]
    writer: [u8; 20],
    #[n(2)]
    first: u64,
    #[n(3)]
    end: u64,
}

impl MissingRun {
    fn new(day: Date, writer: &Writer, first: u64, end: u64) -> Self {
        Self { day: day_number(day), writer: writer.to_bytes(), first, end }
    }
}

/// The contents of the file that says that a part is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
struct Missing {
    #[n(0)]
    own: Vec<MissingRun>,
    /// It may be more than that.
    #[n(1)]
    more: bool,
}

impl Missing {
    /// What these contents say. Empty ones, as earlier versions wrote, say that nobody knows what it is.
    fn of(contents: &[u8]) -> Self {
        minicbor::decode(contents).unwrap_or(Self { own: Vec::new(), more: true })
    }
}

/// All ledgers of one venue.
#[derive(Debug)]
pub struct LedgerFiles {
    folder: PathBuf,
    venue: VenueId,
    days: BTreeMap<Date, LedgerFile>,
    /// A part of them was lost, and has not come back from the hub.
    incomplete: bool,
    /// Which entries of this desk's own that is, as far as it is known.
    missing: Missing,
    /// The folder when its files were last looked at: what makes, renames or removes one changes it.
    folder_seen: Option<FolderState>,
    /// Days whose files somebody else removed or changed, and which were written again, until somebody asks.
    written_again: Vec<WrittenAgain>,
}

/// While this file lies beside the ledgers a part of them is missing.
const INCOMPLETE: &str = "incomplete";

impl LedgerFiles {
    /// Opens all ledgers of a venue, and puts right what a crash or a bad disk left. `own` is this desk.
    ///
    /// # Errors
    /// [`LedgerFileError::Disk`] where the folder cannot be read or written.
    pub fn open(
        folder: &Path,
        venue: &VenueId,
        own: DeviceId,
    ) -> Result<(Self, Vec<Repair>), LedgerFileError> {
        let folder = folder.join(venue.as_str());
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |error| LedgerFileError::Disk { path, error }
        };
        fs::create_dir_all(&folder).map_err(disk(&folder))?;
        sync_folder_of(&folder).map_err(disk(&folder))?;
        let missing = fs::read(folder.join(INCOMPLETE));
        let mut files = Self {
            folder: folder.clone(),
            venue: venue.clone(),
            days: BTreeMap::new(),
            incomplete: missing.is_ok(),
            missing: missing.map_or_else(|_| Missing::default(), |it| Missing::of(&it)),
            folder_seen: None,
            written_again: Vec::new(),
        };
        let mut repairs = Vec::new();
        for found in fs::read_dir(&folder).map_err(disk(&folder))? {
            let path = found.map_err(disk(&folder))?.path();
            let day = path
                .file_name()
                .and_then(|name| name.to_str()?.strip_suffix(".automerge")?.parse().ok());
            if let Some(day) = day {
                let bytes = fs::read(&path).map_err(disk(&path))?;
                let opened = files.load(day, &path, &bytes, own).map_err(disk(&path))?;
                files.days.insert(day, opened.file);
                repairs.extend(opened.repair);
            }
        }
        Ok((files, repairs))
    }

    /// Whether a part of the ledgers is missing. It stays so over restarts until [`Self::set_complete`].
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Notes durably that a part of the ledgers is missing: of this list of this desk, the entries between what is here
    /// and `sequence`.
    ///
    /// # Errors
    /// [`LedgerFileError::Disk`].
    pub fn set_incomplete(
        &mut self,
        day: Date,
        writer: &Writer,
        sequence: u64,
    ) -> Result<(), LedgerFileError> {
        let held = self.ledger(day).map_or(0, |ledger| ledger.position(writer).sequence);
        // What stood behind that, and was never acknowledged, is lost, too.
        let own = vec![MissingRun::new(day, writer, held, sequence)];
        self.note_missing(Missing { own, more: true })
            .map_err(|error| LedgerFileError::Disk { path: self.folder.join(INCOMPLETE), error })
    }

    fn note_missing(&mut self, found: Missing) -> io::Result<()> {
        self.incomplete = true;
        self.missing.more |= found.more;
        self.missing.own.extend(found.own);
        self.missing.own.sort();
        self.missing.own.dedup();
        let contents = minicbor::to_vec(&self.missing).map_err(io::Error::other)?;
        write_durably(&self.folder.join(INCOMPLETE), &contents)
    }

    /// How many entries of this desk are still missing, as far as it is known which.
    pub fn missing_count(&self) -> u64 {
        let lacks = |run: &MissingRun| {
            let writer = Writer::from_bytes(&run.writer).ok()?;
            let ledger = self.days.get(&date_of_day_number(run.day)?).map(|file| &file.ledger);
            let held = ledger.map_or(0, |ledger| ledger.position(&writer).sequence);
            Some(run.end.saturating_sub(held.max(run.first)))
        };
        self.missing.own.iter().filter_map(lacks).sum()
    }

    /// Whether no other entries of this desk are missing than those that [`Self::missing_count`] counts.
    pub fn knows_what_is_missing(&self) -> bool {
        !self.missing.more
    }

    /// Notes that the hub has sent all that it has: what was lost is back, or nobody has it.
    ///
    /// # Errors
    /// [`LedgerFileError::Disk`]; they are then still incomplete.
    pub fn set_complete(&mut self) -> Result<(), LedgerFileError> {
        let path = self.folder.join(INCOMPLETE);
        let gone = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| sync_folder_of(&path)),
        };
        gone.map_err(|error| LedgerFileError::Disk { path, error })?;
        self.incomplete = false;
        self.missing = Missing::default();
        Ok(())
    }

    fn load(
        &mut self,
        day: Date,
        path: &Path,
        bytes: &[u8],
        own: DeviceId,
    ) -> io::Result<salvage::Loaded> {
        let id = self.id(day);
        salvage::load(&id, path, bytes, own, |missing| self.note_missing(missing))
    }

    fn id(&self, day: Date) -> LedgerId {
        LedgerId { venue: self.venue.clone(), day }
    }

    /// The ledger of a day; an empty one where nothing has happened yet.
    pub fn ledger(&self, day: Date) -> Option<&Ledger> {
        self.days.get(&day).map(|file| &file.ledger)
    }

    /// All ledgers, oldest first.
    pub fn ledgers(&self) -> impl DoubleEndedIterator<Item = &Ledger> {
        self.days.values().map(|file| &file.ledger)
    }

    /// A day's ledger to make an extension for: made empty, without a file, where there is none.
    pub fn ledger_or_new(&mut self, day: Date) -> &Ledger {
        let id = self.id(day);
        let path = self.folder.join(format!("{day}.automerge"));
        &self.days.entry(day).or_insert_with(|| LedgerFile::new(Ledger::new(id), path)).ledger
    }

    /// Appends an extension to a day's file and makes it durable, then to the ledger. When this
    /// returns `Ok`, the entries survive kill -9 and a power cut (invariant 1), and the file is where a restart
    /// looks for it.
    ///
    /// # Errors
    /// [`LedgerFileError`]; file and ledger are then as they were.
    pub fn append(&mut self, day: Date, extension: &Extension) -> Result<(), LedgerFileError> {
        self.ledger_or_new(day);
        self.check_folder()?;
        let Some(ledger_file) = self.days.get_mut(&day) else { return Ok(()) };
        let mut ledger = None;
        // Checked before anything is written, so that a file never holds what a ledger refuses.
        if ledger_file.ledger.position(&extension.writer()).sequence != extension.first_index() {
            let mut copy = ledger_file.ledger.clone();
            copy.extend(extension)?;
            ledger = Some(copy);
        }
        let disk = |path: PathBuf| move |error| LedgerFileError::Disk { path, error };
        let written =
            ledger_file.write(extension.chunks()).map_err(disk(ledger_file.path.clone()))?;
        // Looked at behind the write, for a file can be removed while it is written.
        if !(written && ledger_file.stands()) {
            let mut whole = ledger_file.ledger.clone();
            whole.extend(extension)?;
            self.write_again(day, whole)?;
            return Ok(());
        }
        match ledger {
            Some(extended) => ledger_file.ledger = extended,
            None => ledger_file.ledger.extend(extension)?,
        }
        Ok(())
    }

    /// This desk's lists of copies, by day ([`crdt_model::entry::Located`]), and in which lists their entries stood first.
    pub fn lists_of_copies(&self) -> impl Iterator<Item = (Date, Writer, BTreeSet<Writer>)> + '_ {
        self.days.iter().flat_map(|(day, file)| {
            file.ledger.writers().filter_map(|writer| {
                let firsts: BTreeSet<_> =
                    file.ledger.first_places_of(&writer).map(|it| it.writer).collect();
                (!firsts.is_empty()).then_some((*day, writer, firsts))
            })
        })
    }

    /// Leaves out of a list of copies those whose entries are here again, and gives what remains another name. Nobody
    /// else may have seen the list. Says where each of its entries stands now; nothing where nothing changed.
    ///
    /// # Errors
    /// [`LedgerFileError::Disk`]; the list is then as it was.
    pub fn drop_copies(
        &mut self,
        day: Date,
        writer: &Writer,
    ) -> Result<Option<Vec<(EntryRef, EntryRef)>>, LedgerFileError> {
        let Some(file) = self.days.get_mut(&day) else { return Ok(None) };
        let path = file.path.clone();
        file.drop_copies(writer).map_err(|error| LedgerFileError::Disk { path, error })
    }
}

#[cfg(test)]
mod tests;
