//! One day's file: its ledger, and the bytes on the disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crdt_model::ledger::Ledger;

use super::aside::{Aside, keep_aside};
use super::salvage::{Damage, Repair};
use crate::durable::{sync_all, sync_data};
use crate::paths::{sync_folder_of, write_durably};

/// Which file this is, whatever its name: its device and its number there.
type FileId = (u64, u64);

/// One day's ledger and its file.
#[derive(Debug)]
pub(super) struct LedgerFile {
    pub(super) ledger: Ledger,
    pub(super) path: PathBuf,
    /// Opened for the first append.
    file: Option<File>,
    /// The file that has the ledger's bytes; nothing before the first of them was written.
    id: Option<FileId>,
    length: u64,
    /// The file on the disk is damaged, and the disk has taken nothing since that was found.
    damage: Option<Damage>,
}

impl LedgerFile {
    /// A ledger that has no file yet.
    pub(super) fn new(ledger: Ledger, path: PathBuf) -> Self {
        Self { ledger, path, file: None, id: None, length: 0, damage: None }
    }

    /// A ledger as it was found in a file of this length.
    pub(super) fn loaded(ledger: Ledger, path: PathBuf, length: u64) -> io::Result<Self> {
        let id = Some(id_of(&path)?);
        Ok(Self { ledger, path, file: None, id, length, damage: None })
    }

    /// What can be read of a damaged file that the disk does not let be made whole.
    pub(super) fn damaged(ledger: Ledger, path: PathBuf, damage: Damage) -> Self {
        Self { damage: Some(damage), ..Self::new(ledger, path) }
    }

    /// Whether the file on the disk is damaged, and not made whole yet.
    pub(super) fn awaits_repair(&self) -> bool {
        self.damage.is_some()
    }

    /// Appends these bytes: durable before this returns. Says whether there was a file to append to: one that somebody
    /// removed is not made anew here, for it would hold these bytes alone.
    pub(super) fn write(&mut self, chunks: &[u8]) -> io::Result<bool> {
        if self.awaits_repair() || self.file.is_none() && !self.open()? {
            return Ok(false);
        }
        let Some(file) = &self.file else { return Ok(false) };
        let written =
            file.write_all_at(chunks, self.length).and_then(|()| sync_data(file, &self.path));
        if let Err(error) = written {
            // After a failed write or sync nobody knows what is on the disk: cut back to what was
            // known, and open the file anew next time.
            let cut = file.set_len(self.length).and_then(|()| sync_all(file, &self.path));
            if let Err(error) = cut {
                tracing::error!(%error, "a ledger file could not be cut back after a failed append");
            }
            self.file = None;
            return Err(error);
        }
        self.length += chunks.len() as u64;
        Ok(true)
    }

    /// Opens the file, or makes it where this ledger never had one. Says whether there is one.
    fn open(&mut self) -> io::Result<bool> {
        let mut how = OpenOptions::new();
        how.read(true).write(true).mode(0o600);
        if self.id.is_none() {
            self.keep_what_is_there()?;
            how.create(true).truncate(true);
        }
        let file = match how.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.id.is_some() => {
                return Ok(false);
            }
            opened => opened?,
        };
        let found = file.metadata()?;
        let id = (found.dev(), found.ino());
        if self.id.is_some_and(|known| known != id) || found.len() < self.length {
            return Ok(false);
        }
        // What a failed append left behind the end.
        file.set_len(self.length)?;
        sync_all(&file, &self.path)?;
        sync_folder_of(&self.path)?;
        (self.id, self.file) = (Some(id), Some(file));
        Ok(true)
    }

    /// Whether the file with this ledger's bytes lies where a restart looks for it, as long as it was left. A ledger
    /// without any entry needs none.
    pub(super) fn stands(&self) -> bool {
        if self.awaits_repair() {
            return false;
        }
        let Some(id) = self.id else { return self.ledger.is_empty() };
        fs::symlink_metadata(&self.path).is_ok_and(|found| {
            (found.dev(), found.ino()) == id && found.len() == self.length && found.is_file()
        })
    }

    /// Writes a whole ledger in place of this one, durably.
    pub(super) fn replace(&mut self, ledger: Ledger) -> io::Result<()> {
        let bytes = whole_file(&ledger)?;
        write_durably(&self.path, &bytes)?;
        self.id = Some(id_of(&self.path)?);
        self.length = bytes.len() as u64;
        self.file = None;
        self.ledger = ledger;
        Ok(())
    }

    /// Makes a damaged file whole. Nothing where it is not damaged.
    pub(super) fn repair(&mut self) -> io::Result<Option<Repair>> {
        let Some(damage) = self.damage.clone() else { return Ok(None) };
        let aside = match fs::read(&self.path) {
            Ok(found) => keep_aside(&self.path, Aside::Damaged, &found)?,
            // Somebody removed it since: what could be read of it is in memory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.path.clone(),
            Err(error) => return Err(error),
        };
        self.replace(self.ledger.clone())?;
        self.damage = None;
        Ok(Some(Repair { path: self.path.clone(), aside, damage }))
    }

    /// What lies where this ledger's file belongs, and is not it, is kept aside before it is written over.
    pub(super) fn keep_what_is_there(&mut self) -> io::Result<()> {
        self.file = None;
        match fs::read(&self.path) {
            // What an append left that failed before its first byte.
            Ok(found) if found.is_empty() => Ok(()),
            Ok(found) => {
                let aside = keep_aside(&self.path, Aside::Replaced, &found)?;
                tracing::error!(
                    file = %self.path.display(),
                    aside = %aside.display(),
                    "what lay in the place of a ledger file is kept aside"
                );
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn id_of(path: &Path) -> io::Result<FileId> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// The chunks of a whole ledger, list by list.
fn whole_file(ledger: &Ledger) -> io::Result<Vec<u8>> {
    let rebuilt = Ledger::new(ledger.id().clone());
    let mut bytes = Vec::new();
    for writer in ledger.writers() {
        let entries: Vec<Vec<u8>> = ledger.entry_bytes_of(&writer, 0).collect();
        let extension = rebuilt.extension(writer, 1, entries.iter().map(Vec::as_slice));
        bytes.extend_from_slice(extension.map_err(io::Error::other)?.chunks());
    }
    Ok(bytes)
}
