//! Damaged bytes are kept for whoever can read more out of them than this program: beside the file that they were in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::paths::write_durably;

/// Copies of one kind that are kept of one day's file: a disk that fails more often than that in one day needs no more
/// evidence. A day of 86,400 entries has some 15 MB, so these are 120 MB at the most, for each day that was damaged.
/// The first seven stay for ever; the eighth gives way to the newest, and the log says so.
pub(super) const MOST_ASIDE: u32 = 8;

/// What is kept aside, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside {
    /// A whole file with damage in it.
    Damaged,
    /// What stood behind the last whole chunk.
    Tail,
    /// What lay where the running daemon had its file.
    Replaced,
}

impl Aside {
    fn extension(self, number: u32) -> String {
        let kind = match self {
            Self::Damaged => "damaged",
            Self::Tail => "tail",
            Self::Replaced => "replaced",
        };
        format!("{kind}-{number}")
    }
}

/// Keeps these bytes beside the file at `path`: durable before this returns. Bytes that are kept already are not kept
/// again, so that a daemon that is killed while it starts, over and over, fills no disk.
///
/// # Errors
/// Whatever the file system says.
pub(super) fn keep_aside(path: &Path, kind: Aside, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut place = path.with_extension(kind.extension(MOST_ASIDE));
    for number in 1..=MOST_ASIDE {
        let here = path.with_extension(kind.extension(number));
        match fs::read(&here) {
            Ok(kept) if kept == bytes => return Ok(here),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                place = here;
                break;
            }
            // Whatever lies there is not written over.
            Err(error) => {
                tracing::warn!(file = %here.display(), %error, "a copy that was set aside cannot be read");
            }
        }
    }
    if let Ok(before) = fs::metadata(&place) {
        tracing::error!(
            file = %place.display(),
            bytes = before.len(),
            "so many copies of this day's damaged file are kept that the newest takes the place of the one before it"
        );
    }
    write_durably(&place, bytes)?;
    Ok(place)
}
