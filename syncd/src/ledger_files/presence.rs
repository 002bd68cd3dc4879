//! Whether the files are still there: an entry in a file that somebody removed does not survive the daemon. The daemon has
//! all entries in memory, so it writes them again.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crdt_model::ledger::Ledger;
use jiff::civil::Date;

use super::file::LedgerFile;
use super::{INCOMPLETE, LedgerFileError, LedgerFiles, Repair};
use crate::paths::sync_folder_of;

/// A folder as it was seen: which one, and when a name in it last changed, in seconds and nanoseconds.
pub(super) type FolderState = (u64, u64, i64, i64);

/// A day's file was not there any more, or was not what the daemon left, and was written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenAgain {
    /// The file.
    pub path: PathBuf,
    /// How many entries are in it.
    pub entries: u64,
}

impl LedgerFiles {
    /// Looks whether all files are where a restart looks for them, and as long as they were left; what is not is written
    /// again, and a file that was damaged at the start is made whole. A few microseconds for each day.
    ///
    /// # Errors
    /// [`LedgerFileError::Disk`] where the disk does not take it; the next look tries once more.
    pub fn check(&mut self) -> Result<(), LedgerFileError> {
        // Before the look: what changes behind it shows at the next one.
        let seen = state_of(&self.folder);
        // Before a damaged file is made whole, for after that nothing else shows that a part of it is lacking.
        let note = self.folder.join(INCOMPLETE);
        if self.incomplete && !(self.noted && note.exists()) {
            let written = make_folder(&self.folder).and_then(|()| self.write_note());
            written.map_err(|error| LedgerFileError::Disk { path: note, error })?;
        }
        for file in self.days.values_mut().filter(|file| file.awaits_repair()) {
            let repaired = make_folder(&self.folder).and_then(|()| file.repair());
            let path = &file.path;
            let repair =
                repaired.map_err(|error| LedgerFileError::Disk { path: path.clone(), error })?;
            self.repaired.extend(repair);
        }
        let gone: Vec<Date> =
            self.days.iter().filter(|(_, file)| !file.stands()).map(|(day, _)| *day).collect();
        for day in gone {
            if let Some(file) = self.days.get(&day) {
                let whole = file.ledger.clone();
                self.write_again(day, whole)?;
            }
        }
        self.folder_seen = seen;
        Ok(())
    }

    /// As [`Self::check`], where a name in the folder has changed since the last look.
    pub(super) fn check_folder(&mut self) -> Result<(), LedgerFileError> {
        let now = state_of(&self.folder);
        if now.is_some() && now == self.folder_seen {
            return Ok(());
        }
        self.check()
    }

    /// Writes a day's file again, with this ledger in it.
    pub(super) fn write_again(&mut self, day: Date, ledger: Ledger) -> Result<(), LedgerFileError> {
        let folder = self.folder.clone();
        let Some(file) = self.days.get_mut(&day) else { return Ok(()) };
        let entries = ledger.len();
        let path = file.path.clone();
        tracing::error!(
            file = %path.display(),
            entries,
            "a ledger file was removed or changed while the desk ran; it is written again"
        );
        make_folder(&folder)
            .and_then(|()| file.keep_what_is_there())
            .and_then(|()| file.replace(ledger))
            .map_err(|error| LedgerFileError::Disk { path: path.clone(), error })?;
        self.written_again.push(WrittenAgain { path, entries });
        Ok(())
    }

    /// Damaged files that were made whole since this was asked last, because the disk took nothing at the start.
    pub fn take_repaired(&mut self) -> Vec<Repair> {
        std::mem::take(&mut self.repaired)
    }

    /// Whether this day's file is damaged, and the disk does not let it be made whole: what is known of it may not have
    /// the same place after a restart.
    pub fn awaits_repair(&self, day: Date) -> bool {
        self.days.get(&day).is_some_and(LedgerFile::awaits_repair)
    }

    /// What was written again since this was asked last.
    pub fn take_written_again(&mut self) -> Vec<WrittenAgain> {
        std::mem::take(&mut self.written_again)
    }
}

fn state_of(folder: &Path) -> Option<FolderState> {
    let found = fs::symlink_metadata(folder).ok()?;
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

/// Makes the folder where it is gone, and every folder above it that is gone, too: durable before this returns.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let made: Vec<&Path> = folder.ancestors().take_while(|it| !it.exists()).collect();
    fs::create_dir_all(folder)?;
    made.iter().try_for_each(|it| sync_folder_of(it))
}
