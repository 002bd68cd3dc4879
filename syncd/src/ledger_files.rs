//! The ledgers on disk: one standard Automerge file for each day, appended and `fdatasync`ed before
//! anybody sees a verdict. These files are the truth; everything else can be made again from them
//! and the hub.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crdt_model::chunk::{Chunk, Ending, walk};
use crdt_model::ids::VenueId;
use crdt_model::ledger::{Extension, Ledger, LedgerId, MergeError};
use jiff::civil::Date;
use thiserror::Error;

use crate::paths::{sync_folder_of, write_durably};

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

/// What had to be put right when a file was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// The last append had not been finished, so its verdict was never shown: cut.
    TornTailCut {
        /// The file.
        path: PathBuf,
        /// How many bytes.
        bytes: u64,
    },
    /// The file was damaged in the middle: set aside whole; what could be read goes on.
    SetAside {
        /// Where the damaged file lies now.
        path: PathBuf,
        /// How many chunks behind the damage could not be taken over.
        chunks_left_out: usize,
    },
}

#[derive(Debug)]
struct LedgerFile {
    ledger: Ledger,
    path: PathBuf,
    /// Opened for the first append.
    file: Option<File>,
    length: u64,
}

/// All ledgers of one venue.
#[derive(Debug)]
pub struct LedgerFiles {
    folder: PathBuf,
    venue: VenueId,
    days: BTreeMap<Date, LedgerFile>,
    /// A part of them was lost, and has not come back from the hub.
    incomplete: bool,
}

/// While this file lies beside the ledgers a part of them is missing.
const INCOMPLETE: &str = "incomplete";

impl LedgerFiles {
    /// Opens all ledgers of a venue, and puts right what a crash or a bad disk left.
    ///
    /// # Errors
    /// [`LedgerFileError::Disk`] where the folder cannot be read or written.
    pub fn open(folder: &Path, venue: &VenueId) -> Result<(Self, Vec<Repair>), LedgerFileError> {
        let folder = folder.join(venue.as_str());
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |error| LedgerFileError::Disk { path, error }
        };
        fs::create_dir_all(&folder).map_err(disk(&folder))?;
        sync_folder_of(&folder).map_err(disk(&folder))?;
        let incomplete = folder.join(INCOMPLETE).exists();
        let (venue, days) = (venue.clone(), BTreeMap::new());
        let mut files = Self { folder: folder.clone(), venue, days, incomplete };
        let mut repairs = Vec::new();
        for found in fs::read_dir(&folder).map_err(disk(&folder))? {
            let path = found.map_err(disk(&folder))?.path();
            let day = path
                .file_name()
                .and_then(|name| name.to_str()?.strip_suffix(".automerge")?.parse().ok());
            if let Some(day) = day {
                let bytes = fs::read(&path).map_err(disk(&path))?;
                let (opened, repair) =
                    files.load(day, path.clone(), &bytes).map_err(disk(&path))?;
                files.days.insert(day, opened);
                repairs.extend(repair);
            }
        }
        Ok((files, repairs))
    }

    /// Whether a part of the ledgers is missing. It stays so over restarts until [`Self::set_complete`].
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Notes durably that a part of the ledgers is missing.
    ///
    /// # Errors
    /// [`LedgerFileError::Disk`].
    pub fn set_incomplete(&mut self) -> Result<(), LedgerFileError> {
        let path = self.folder.join(INCOMPLETE);
        self.incomplete = true;
        write_durably(&path, b"").map_err(|error| LedgerFileError::Disk { path, error })
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
        Ok(())
    }

    fn load(
        &mut self,
        day: Date,
        path: PathBuf,
        bytes: &[u8],
    ) -> io::Result<(LedgerFile, Option<Repair>)> {
        let mut ledger = Ledger::new(self.id(day));
        let found = walk(bytes);
        let refused =
            found.chunks.iter().position(|chunk| ledger.take_chunk(chunk, bytes).is_err());
        if let (None, Ending::Whole) = (refused, &found.ending) {
            return Ok((LedgerFile { ledger, path, file: None, length: bytes.len() as u64 }, None));
        }
        if let (None, Ending::Torn { at }) = (refused, &found.ending) {
            let file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(*at as u64)?;
            file.sync_all()?;
            let repair =
                Repair::TornTailCut { path: path.clone(), bytes: (bytes.len() - at) as u64 };
            return Ok((LedgerFile { ledger, path, file: None, length: *at as u64 }, Some(repair)));
        }
        // Damaged in the middle, or a whole chunk that does not belong: what still chains goes on. That something
        // is missing is noted before the file is whole again, for then nothing shows it any more.
        self.set_incomplete().map_err(io::Error::other)?;
        let rest = found.chunks.iter().skip(refused.unwrap_or(found.chunks.len()));
        let rest: Vec<&Chunk> = rest.chain(&found.behind_damage).collect();
        let left_out = rest.iter().filter(|chunk| ledger.take_chunk(chunk, bytes).is_err()).count();
        let aside = (1u32..)
            .map(|n| path.with_extension(format!("damaged-{n}")))
            .find(|aside| !aside.exists())
            .unwrap_or_else(|| path.with_extension("damaged"));
        let good = whole_file(&ledger);
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&good)?;
        file.sync_all()?;
        fs::hard_link(&path, &aside)?;
        fs::rename(&beside, &path)?;
        sync_folder_of(&path)?;
        let repair = Repair::SetAside { path: aside, chunks_left_out: left_out };
        Ok((LedgerFile { ledger, path, file: None, length: good.len() as u64 }, Some(repair)))
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
        let new = || LedgerFile { ledger: Ledger::new(id), path, file: None, length: 0 };
        &self.days.entry(day).or_insert_with(new).ledger
    }

    /// Appends an extension to a day's file and makes it durable, then to the ledger. When this
    /// returns `Ok`, the entries survive kill -9 and a power cut (invariant 1).
    ///
    /// # Errors
    /// [`LedgerFileError`]; file and ledger are then as they were.
    pub fn append(&mut self, day: Date, extension: &Extension) -> Result<(), LedgerFileError> {
        self.ledger_or_new(day);
        let Some(ledger_file) = self.days.get_mut(&day) else { return Ok(()) };
        let mut ledger = None;
        // Checked before anything is written, so that a file never holds what a ledger refuses.
        if ledger_file.ledger.position(&extension.writer()).sequence != extension.first_index() {
            let mut copy = ledger_file.ledger.clone();
            copy.extend(extension)?;
            ledger = Some(copy);
        }
        ledger_file
            .write(extension.chunks())
            .map_err(|error| LedgerFileError::Disk { path: ledger_file.path.clone(), error })?;
        match ledger {
            Some(extended) => ledger_file.ledger = extended,
            None => ledger_file.ledger.extend(extension)?,
        }
        Ok(())
    }
}

impl LedgerFile {
    fn write(&mut self, chunks: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .read(true)
                .open(&self.path)?;
            file.set_len(self.length)?;
            file.sync_all()?;
            sync_folder_of(&self.path)?;
            self.file = Some(file);
        }
        let Some(file) = &self.file else { return Ok(()) };
        let written = file.write_all_at(chunks, self.length).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // After a failed write or sync nobody knows what is on the disk: cut back to what was
            // known, and open the file anew next time.
            let cut = file.set_len(self.length).and_then(|()| file.sync_all());
            if let Err(error) = cut {
                tracing::error!(%error, "a ledger file could not be cut back after a failed append");
            }
            self.file = None;
            return Err(error);
        }
        self.length += chunks.len() as u64;
        Ok(())
    }
}

/// The chunks of a whole ledger, list by list.
fn whole_file(ledger: &Ledger) -> Vec<u8> {
    let rebuilt = Ledger::new(ledger.id().clone());
    let mut bytes = Vec::new();
    for writer in ledger.writers() {
        let entries: Vec<Vec<u8>> = ledger.entry_bytes_of(&writer, 0).collect();
        if let Ok(extension) = rebuilt.extension(writer, 1, entries.iter().map(Vec::as_slice)) {
            bytes.extend_from_slice(extension.chunks());
        }
    }
    bytes
}

#[cfg(test)]
mod tests;
