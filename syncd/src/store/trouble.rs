//! What goes wrong with the store, and what is said of it.

use std::path::PathBuf;

use thiserror::Error;

use crate::disk::DiskTrouble;

/// What sled says where another holds its lock; it has no error of its own for that.
const LOCKED: &str = "could not acquire lock";

/// What goes wrong with the store. None of it loses anything that matters.
#[derive(Debug, Error)]
pub enum StoreError {
    /// sled says no.
    #[error("the store: {0}")]
    Sled(#[from] sled::Error),
    /// sled panicked.
    #[error("the store's library panicked: {0}")]
    Panicked(String),
    /// A record cannot be read.
    #[error("a record of the store cannot be read: {0}")]
    Record(#[from] minicbor::decode::Error),
    /// The folder cannot be made, read or moved.
    #[error("{path}: {error}")]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        error: std::io::Error,
    },
    /// Something is not as it was written.
    #[error("{0}")]
    Damaged(String),
    /// The store is not open; it is tried again.
    #[error("{why}")]
    Closed {
        /// The reason, as a fragment of a sentence.
        why: String,
        /// What is the matter with the disk, where it is that.
        disk: Option<DiskTrouble>,
    },
}

impl StoreError {
    /// Whether sled says that somebody else has its lock.
    pub(super) fn is_locked(&self) -> bool {
        matches!(self, Self::Sled(error) if error.to_string().contains(LOCKED))
    }

    /// What is the matter with the disk, where the error comes from that and not from damage.
    pub fn disk_trouble(&self) -> Option<DiskTrouble> {
        match self {
            // The number in that text is the lock's.
            Self::Sled(_) if self.is_locked() => None,
            Self::Sled(sled::Error::Io(error)) => DiskTrouble::unless_damage(error),
            // A folder that somebody removed is a pass list that is gone: another is begun.
            Self::Disk { error, .. } if error.kind() == std::io::ErrorKind::NotFound => None,
            Self::Disk { error, .. } => Some(DiskTrouble::of_failed_write(error)),
            Self::Sled(sled::Error::ReportableBug(text)) | Self::Panicked(text) => {
                DiskTrouble::unless_damage_in_text(text)
            }
            Self::Closed { disk, .. } => *disk,
            Self::Sled(_) | Self::Record(_) | Self::Damaged(_) => None,
        }
    }
}

/// What is the matter with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreTrouble {
    /// The pass list was damaged; the hub fills the next one.
    Damaged {
        /// What was found.
        detail: String,
        /// Passes that can be looked up, as far as they are counted.
        passes: u64,
        /// Passes that there were.
        of: u64,
    },
    /// The pass list is one of an earlier version of the program; the hub fills the next one.
    OfEarlierVersion {
        /// Passes that can be looked up.
        passes: u64,
    },
    /// It cannot be opened.
    Closed {
        /// The reason, as a fragment of a sentence.
        why: String,
        /// What is the matter with the disk, where it is that.
        disk: Option<DiskTrouble>,
    },
    /// It is read, and cannot be written.
    Failing(DiskTrouble),
}
