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
mod missing;
mod presence;
mod salvage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crdt_model::entry::EntryRef;
use crdt_model::ids::{DeviceId, VenueId, Writer};
use crdt_model::ledger::{Extension, Ledger, LedgerId, MergeError};
use jiff::civil::Date;
use thiserror::Error;

use crate::paths::{sync_folder_of, write_durably};
use file::LedgerFile;
use missing::{Missing, MissingRun};
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
    /// The note of that on the disk says the same.
    noted: bool,
    /// The folder when its files were last looked at: what makes, renames or removes one changes it.
    folder_seen: Option<FolderState>,
    /// Days whose files somebody else removed or changed, and which were written again, until somebody asks.
    written_again: Vec<WrittenAgain>,
    /// Damaged files that were made whole after the start, until somebody asks.
    repaired: Vec<Repair>,
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
        let missing = match fs::read(folder.join(INCOMPLETE)) {
            Ok(contents) => Some(Missing::of(&contents)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::error!(%error, "the note of what the ledgers lack cannot be read");
                Some(Missing::unknown())
            }
        };
        let mut files = Self {
            folder: folder.clone(),
            venue: venue.clone(),
            days: BTreeMap::new(),
            incomplete: missing.is_some(),
            missing: missing.unwrap_or_default(),
            noted: true,
            folder_seen: None,
            written_again: Vec::new(),
            repaired: Vec::new(),
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

    /// How many entries of this list are here.
    pub fn length_of(&self, day: Date, writer: &Writer) -> u64 {
        self.ledger(day).map_or(0, |ledger| ledger.position(writer).sequence)
    }

    /// Notes durably that a part of the ledgers is missing: this list of this desk had `sequence` entries, which the
    /// hub acknowledged, and is shorter here. Nothing is noted where damage that was found in it explains that.
    ///
    /// # Errors
    /// [`LedgerFileError::Disk`].
    pub fn set_incomplete(
        &mut self,
        day: Date,
        writer: &Writer,
        sequence: u64,
    ) -> Result<(), LedgerFileError> {
        let held = self.length_of(day, writer);
        let of_list = |it: &&EntryRef| it.writer == *writer;
        let copies: Vec<EntryRef> = self.days.get(&day).map_or_else(Vec::new, |file| {
            let lists = file.ledger.writers();
            lists.flat_map(|list| file.ledger.first_places_of(&list).collect::<Vec<_>>()).collect()
        });
        let copied = copies.iter().filter(of_list).map(|it| it.index + 1);
        let known = copied.chain(self.missing.ends_of(day, writer)).fold(held, u64::max);
        if known >= sequence {
            return Ok(());
        }
        // Entries after `sequence` that the hub never acknowledged may be lost as well, hence `more: true`.
        let own = vec![MissingRun::new(day, writer, known, sequence)];
        self.note_missing(Missing { own, more: true })
            .map_err(|error| LedgerFileError::Disk { path: self.folder.join(INCOMPLETE), error })
    }

    fn note_missing(&mut self, found: Missing) -> io::Result<()> {
        let known = (self.incomplete, self.missing.clone());
        self.incomplete = true;
        self.missing.add(found);
        self.noted &= known == (true, self.missing.clone());
        self.write_note()
    }

    fn write_note(&mut self) -> io::Result<()> {
        write_durably(&self.folder.join(INCOMPLETE), &self.missing.to_bytes())?;
        self.noted = true;
        Ok(())
    }

    /// How many entries of this desk are still missing, as far as it is known which.
    pub fn missing_count(&self) -> u64 {
        self.missing.count(|day, writer| self.length_of(day, writer))
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
        self.noted = true;
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
