//! What can be the matter with the disk, told apart by what the system says, and how it is tried out.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::durable::sync_all;
use desk_api::types::Trouble;

/// Why a disk takes no writes. None of it says anything about what is on the disk already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskTrouble {
    /// There is no room (ENOSPC).
    Full,
    /// The user's share of the disk is used up (EDQUOT).
    Quota,
    /// The disk is mounted read-only (EROFS), as systems do with one that fails.
    ReadOnly,
    /// The disk does not do what it is asked (EIO and the like).
    Fails,
}

impl DiskTrouble {
    /// What this error says of the disk; nothing where it may come from something else.
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull => return Some(Self::Full),
            io::ErrorKind::QuotaExceeded => return Some(Self::Quota),
            io::ErrorKind::ReadOnlyFilesystem => return Some(Self::ReadOnly),
            _ => {}
        }
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::IO | Errno::NODEV | Errno::NXIO | Errno::STALE | Errno::FBIG) => {
                Some(Self::Fails)
            }
            Some(_) => None,
            // sled keeps the kind and the text of an error, and loses its number.
            None => Self::of_text(&error.to_string()),
        }
    }

    /// What an error says of the disk where it may come from damaged contents as well: what is there is not what was
    /// written only where a file ends too early, is not there, or is asked for at an impossible place. Whatever else the
    /// operating system says (no descriptors left, no memory, no permission) proves no damage.
    pub fn unless_damage(error: &io::Error) -> Option<Self> {
        Self::of(error).or_else(|| {
            let number = error.raw_os_error().or_else(|| number_in(&error.to_string()));
            number.filter(|number| !may_be_damage(*number)).map(|_| Self::Fails)
        })
    }

    /// [`Self::unless_damage`] of the text of a panic or of an error that was cloned.
    pub fn unless_damage_in_text(text: &str) -> Option<Self> {
        let system = number_in(text).filter(|number| !may_be_damage(*number));
        Self::of_text(text).or(system.map(|_| Self::Fails))
    }

    /// What a write that failed says of the disk.
    pub fn of_failed_write(error: &io::Error) -> Self {
        Self::of(error).unwrap_or(Self::Fails)
    }

    /// What is left of an error where only its text is: that of a panic, or of an error that was cloned.
    pub fn of_text(text: &str) -> Option<Self> {
        let says = |error: Errno, kind: &str| {
            let number = error.raw_os_error();
            text.contains(kind)
                || text.contains(&format!("os error {number})"))
                || text.contains(&format!("code: {number},"))
        };
        if says(Errno::NOSPC, "StorageFull") {
            Some(Self::Full)
        } else if says(Errno::DQUOT, "QuotaExceeded") {
            Some(Self::Quota)
        } else if says(Errno::ROFS, "ReadOnlyFilesystem") {
            Some(Self::ReadOnly)
        } else if says(Errno::IO, "Input/output error") {
            Some(Self::Fails)
        } else {
            None
        }
    }
}

/// The operating system's number in the text of its error, as `Display` and as `Debug` write it.
fn number_in(text: &str) -> Option<i32> {
    let behind = ["os error ", "Os { code: "].iter().find_map(|it| Some(text.split_once(it)?.1))?;
    let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    behind[..end].parse().ok()
}

/// Whether damaged contents can lead to this error of the operating system.
fn may_be_damage(number: i32) -> bool {
    matches!(
        Errno::from_raw_os_error(number),
        Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::INVAL | Errno::OVERFLOW
    )
}

impl From<DiskTrouble> for Trouble {
    fn from(trouble: DiskTrouble) -> Self {
        match trouble {
            DiskTrouble::Full => Self::DiskFull,
            DiskTrouble::Quota => Self::DiskQuota,
            DiskTrouble::ReadOnly => Self::DiskReadOnly,
            DiskTrouble::Fails => Self::DiskFails,
        }
    }
}

/// A trial of the disk, to be made without holding any lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The folder that is to take a file.
    pub folder: PathBuf,
    /// The size of the file.
    pub bytes: usize,
}

impl Trial {
    /// Makes the trial.
    ///
    /// # Errors
    /// What the disk says.
    pub fn run(&self) -> Result<(), DiskTrouble> {
        probe(&self.folder, self.bytes)
    }
}

/// Tries whether a folder takes so many bytes durably: a file is written, synced and removed.
///
/// # Errors
/// What the disk says.
pub fn probe(folder: &Path, bytes: usize) -> Result<(), DiskTrouble> {
    let path = folder.join("probe.new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| {
            // Not zeros: a file system that compresses would find room for them.
            let noise: Vec<u8> = (0..bytes as u64)
                .map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
                .collect();
            file.write_all(&noise)?;
            sync_all(&file, &path)
        });
    let removed = match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    written.and(removed).map_err(|error| DiskTrouble::of_failed_write(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_trouble_is_told_by_number_kind_and_text() {
        for (errno, wanted) in [
            (Errno::NOSPC, DiskTrouble::Full),
            (Errno::DQUOT, DiskTrouble::Quota),
            (Errno::ROFS, DiskTrouble::ReadOnly),
            (Errno::IO, DiskTrouble::Fails),
        ] {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(DiskTrouble::of(&error), Some(wanted));
            // As sled clones it.
            let cloned = io::Error::new(error.kind(), format!("{error:?}"));
            assert_eq!(DiskTrouble::of(&cloned), Some(wanted), "{cloned:?}");
            assert_eq!(DiskTrouble::of_text(&format!("called unwrap: {error}")), Some(wanted));
        }
        let other = io::Error::new(io::ErrorKind::UnexpectedEof, "failed to fill whole buffer");
        assert_eq!(DiskTrouble::of(&other), None, "a file that is cut off is no full disk");
    }

    #[test]
    fn what_the_system_refuses_is_no_damage_and_a_file_that_is_gone_may_be() {
        for (errno, wanted) in [
            (Errno::MFILE, Some(DiskTrouble::Fails)),
            (Errno::NFILE, Some(DiskTrouble::Fails)),
            (Errno::NOMEM, Some(DiskTrouble::Fails)),
            (Errno::ACCESS, Some(DiskTrouble::Fails)),
            (Errno::NOSPC, Some(DiskTrouble::Full)),
            (Errno::NOENT, None),
            (Errno::INVAL, None),
        ] {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(DiskTrouble::unless_damage(&error), wanted);
            // As sled clones it.
            let cloned = io::Error::new(error.kind(), format!("{error:?}"));
            assert_eq!(DiskTrouble::unless_damage(&cloned), wanted, "{cloned:?}");
            let panic = format!("called `Result::unwrap()` on an `Err` value: {error:?}");
            assert_eq!(DiskTrouble::unless_damage_in_text(&panic), wanted);
        }
        let short = io::Error::new(io::ErrorKind::UnexpectedEof, "failed to fill whole buffer");
        assert_eq!(DiskTrouble::unless_damage(&short), None);
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(probe(folder.path(), 4096), Ok(()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(probe(&folder.path().join("none"), 1), Err(DiskTrouble::Fails));
    }
}
