//! What a hub keeps beside its database, so that an older copy of the database can be told from the newest: its key, a
//! journal of what must not be forgotten, and the highest number that it has given.
//!
//! The journal is a file of lines that are only ever appended, each behind its checksum: what must hold though the
//! database is put back by whatever tool. A database that lacks what stands here is an older copy ([`crate::restored`]).
//! Where the whole machine is put back, journal and all, the desks tell it ([`crate::notices`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crdt_model::ids::{DeviceId, RewardId};
use crdt_model::stock::{GrantId, Units};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use sync_protocol::seal::HubKey;

use super::HubError;

/// Bytes of a line's checksum, in hex.
const CHECKSUM: usize = 16;

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Line {
    /// A run of the database was opened.
    Run {
        /// Its random id.
        id: u64,
    },
    /// A device was revoked.
    Revoked {
        /// The device.
        device: DeviceId,
    },
    /// An invitation was used.
    InvitationUsed {
        /// The SHA-256 of its token, in hex.
        token_hash: String,
    },
    /// Units of a limited reward were granted.
    Granted {
        /// The grant.
        grant: GrantId,
        /// Of which reward.
        reward: RewardId,
        /// To which desk.
        device: DeviceId,
        /// Which units.
        units: Units,
    },
    /// Passes were given ids up to this one.
    Passes {
        /// The highest.
        up_to: u64,
    },
}

/// What stands beside a hub's database.
#[derive(Debug)]
pub struct Beside {
    key: HubKey,
    journal: PathBuf,
    /// Kept open, so that a commit costs one small write and no search for a file.
    reached: Mutex<Option<File>>,
    reached_path: PathBuf,
}

impl Beside {
    /// That of the hub in this folder, with its key in PKCS#8.
    ///
    /// # Errors
    /// [`HubError::Record`] where that is no key.
    pub fn of(folder: &Path, key: &[u8]) -> Result<Self, HubError> {
        let key = HubKey::from_pkcs8(key).map_err(|error| HubError::Record(error.to_string()))?;
        Ok(Self {
            key,
            journal: folder.join("hub.journal"),
            reached: Mutex::default(),
            reached_path: folder.join("hub.reached"),
        })
    }

    /// The hub's key.
    pub fn key(&self) -> &HubKey {
        &self.key
    }

    /// All that was written, in its order. A line that does not prove itself whole is left out, and said.
    ///
    /// # Errors
    /// [`HubError::Disk`].
    pub fn lines(&self) -> Result<Vec<Line>, HubError> {
        let text = match fs::read(&self.journal) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let mut lines = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(line) = whole(line) {
                lines.push(line);
            } else {
                tracing::warn!("a line of hub.journal cannot be read, and is passed over");
            }
        }
        Ok(lines)
    }

    /// Appends lines: they are on the disk when this returns.
    ///
    /// # Errors
    /// [`HubError::Disk`].
    pub fn append(&self, lines: &[Line]) -> Result<(), HubError> {
        if lines.is_empty() {
            return Ok(());
        }
        // Each line begins behind an end of its own: a torn one spoils no other.
        let mut text = String::new();
        for line in lines {
            let json = serde_json::to_string(line).unwrap_or_default();
            text.push_str(&format!("\n{} {json}\n", checksum(&json)));
        }
        let new = !self.journal.exists();
        let mut options = OpenOptions::new();
        let opened = options.append(true).create(true).mode(0o600).open(&self.journal);
        let written = opened.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_data()
        });
        written.map_err(|error| self.failed(error))?;
        if new && let Some(folder) = self.journal.parent() {
            File::open(folder).and_then(|it| it.sync_all()).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Notes the highest number that was given. Where the disk does not take it, the desks tell what it would have.
    pub fn note_reached(&self, number: u64) {
        let mut kept = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            *kept = self.open_reached().ok();
        }
        // Looked at each time, for other processes write it, too.
        if let Some(file) = &*kept
            && read_from(file).is_none_or(|known| known < number)
        {
            let _ = file.write_all_at(line_of(number).as_bytes(), 0);
        }
    }

    /// The database was put back, and that is noted: it goes on from where it stands.
    ///
    /// # Errors
    /// [`HubError::Disk`].
    pub fn goes_on_from(&self, number: u64) -> Result<(), HubError> {
        let mut kept = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.open_reached().map_err(|error| self.failed(error))?;
        file.write_all_at(line_of(number).as_bytes(), 0).map_err(|error| self.failed(error))?;
        *kept = Some(file);
        Ok(())
    }

    /// Opened to be written in place: other processes have it open, too.
    fn open_reached(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(&self.reached_path)
    }

    /// The highest number that was ever given, where it is known.
    pub fn reached(&self) -> Option<u64> {
        read_from(&File::open(&self.reached_path).ok()?)
    }

    fn failed(&self, error: io::Error) -> HubError {
        HubError::Disk { path: self.journal.clone(), error }
    }
}

/// How the highest number is written: as long each time, so that one write replaces the one before.
fn line_of(number: u64) -> String {
    let text = number.to_string();
    format!("{} {text:>20}\n", checksum(&text))
}

fn read_from(file: &File) -> Option<u64> {
    let mut line = [0; CHECKSUM + 1 + 20];
    file.read_exact_at(&mut line, 0).ok()?;
    let (sum, number) = std::str::from_utf8(&line).ok()?.split_once(' ')?;
    let number = number.trim();
    (checksum(number) == sum).then(|| number.parse().ok()).flatten()
}

fn checksum(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    data_encoding::HEXLOWER.encode(&hash.as_ref()[..CHECKSUM / 2])
}

fn whole(line: &str) -> Option<Line> {
    let (sum, json) = line.split_once(' ')?;
    (checksum(json) == sum).then(|| serde_json::from_str(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(folder: &Path) -> Beside {
        let pair =
            ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new());
        Beside::of(folder, pair.unwrap().as_ref()).unwrap()
    }

    #[test]
    fn what_was_appended_is_read_and_a_torn_line_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let beside = beside(folder.path());
        assert_eq!(beside.lines().unwrap(), []);
        let revoked = Line::Revoked { device: DeviceId([7; 16]) };
        beside.append(&[Line::Run { id: 9 }, revoked.clone()]).unwrap();
        let whole = fs::read(folder.path().join("hub.journal")).unwrap();
        fs::write(folder.path().join("hub.journal"), &whole[..whole.len() - 5]).unwrap();
        beside.append(&[Line::Passes { up_to: 4 }]).unwrap();
        assert_eq!(beside.lines().unwrap(), [Line::Run { id: 9 }, Line::Passes { up_to: 4 }]);
    }

    #[test]
    fn the_highest_number_is_the_last_that_was_noted() {
        let folder = tempfile::tempdir().unwrap();
        let beside = beside(folder.path());
        assert_eq!(beside.reached(), None);
        for number in [1, 100_000, 100_001] {
            beside.note_reached(number);
            assert_eq!(beside.reached(), Some(number));
        }
        fs::write(folder.path().join("hub.reached"), "0123456789abcdef 7\n").unwrap();
        assert_eq!(beside.reached(), None, "a number that does not prove itself says nothing");
    }
}
