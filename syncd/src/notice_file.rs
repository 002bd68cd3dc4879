//! What the hub has signed and must not forget: which devices were revoked, which invitations were used, and that this desk
//! was enrolled. Kept for the day on which the hub's database is put back from an older copy; then the hub is given them back.
//! One small file, written durably; what does not prove itself whole is told by the hub again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crdt_model::ids::DeviceId;
use minicbor::{Decode, Encode};
use sync_protocol::notice::{MOST_NOTICES, Notice, NoticeError, SignedNotice};
use sync_protocol::version::{Version, forget_beyond, note};

use crate::paths::write_durably;
use crate::proven::{prove, proven};

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
struct Kept {
    /// Oldest first.
    #[n(0)]
    notices: Vec<SignedNotice>,
    /// Up to where the hub has told them.
    #[n(1)]
    seen: Vec<Version>,
}

/// The file.
#[derive(Debug)]
pub struct NoticeFile {
    path: PathBuf,
    kept: Kept,
}

impl NoticeFile {
    /// Opens the file.
    pub fn open(path: &Path) -> Self {
        let kept = fs::read(path).ok().and_then(|bytes| minicbor::decode(proven(&bytes)?).ok());
        Self { path: path.to_owned(), kept: kept.unwrap_or_default() }
    }

    /// All that is kept, oldest first.
    pub fn notices(&self) -> &[SignedNotice] {
        &self.kept.notices
    }

    /// Up to where the hub has told them.
    pub fn seen(&self) -> &[Version] {
        &self.kept.seen
    }

    /// What says that this device was enrolled, by whoever has this public key.
    pub fn enrolled(&self, device: DeviceId) -> Option<SignedNotice> {
        let of_device = |it: &&SignedNotice| matches!(minicbor::decode(&it.notice), Ok(Notice::Enrolled { device: id, .. }) if id == device.0);
        self.kept.notices.iter().rev().find(of_device).cloned()
    }

    /// Keeps what the hub with this public key has signed of these, within bounds; with them the desk has what the hub
    /// told up to `seen`.
    ///
    /// # Errors
    /// Whatever the file system says; what was kept before still is.
    pub fn keep(
        &mut self,
        notices: Vec<SignedNotice>,
        hub: &[u8],
        seen: Option<Version>,
    ) -> io::Result<()> {
        let mut kept = self.kept.clone();
        for notice in notices {
            match notice.open(hub) {
                // One of a kind that this version does not know is kept for a hub that does.
                Ok(_) | Err(NoticeError::Contents { .. }) => {}
                Err(NoticeError::Signature) => {
                    tracing::warn!("a notice that the hub did not sign is left out");
                    continue;
                }
            }
            if !kept.notices.contains(&notice) {
                kept.notices.push(notice);
            }
        }
        let too_many = kept.notices.len().saturating_sub(MOST_NOTICES);
        kept.notices.drain(..too_many);
        if let Some(seen) = seen {
            note(&mut kept.seen, seen);
        }
        self.write(kept)
    }

    /// The hub was restored, has been told again what it had lost beyond `common`, and tells notices from this version on.
    ///
    /// # Errors
    /// Whatever the file system says; what was kept before still is.
    pub fn go_back(&mut self, common: u64, version: Version) -> io::Result<()> {
        let mut kept = self.kept.clone();
        forget_beyond(&mut kept.seen, common, version);
        self.write(kept)
    }

    fn write(&mut self, kept: Kept) -> io::Result<()> {
        if kept != self.kept {
            write_durably(&self.path, &prove(minicbor::to_vec(&kept).unwrap_or_default()))?;
            self.kept = kept;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crdt_model::time::UnixMillis;
    use sync_protocol::seal::HubKey;

    use super::*;

    fn hub(seed: u8) -> HubKey {
        HubKey::from_seed(&[seed; 32]).unwrap()
    }

    fn revoked(n: u64) -> Notice {
        let at = UnixMillis(i64::try_from(n).unwrap());
        Notice::Revoked { device: u128::from(n).to_be_bytes(), at }
    }

    const AT_5: Version = Version { run: 1, number: 5 };

    #[test]
    fn what_the_pinned_hub_signed_is_kept_once_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notices");
        let (own, other) = (hub(1), hub(2));
        let enrolled = own.sign_notice(&Notice::Enrolled {
            device: [9; 16],
            public_key: [9; 32],
            venue: "museum-de-reede".parse().unwrap(),
            name: "Balie 1".to_owned(),
            at: UnixMillis(3),
        });
        let told = vec![
            own.sign_notice(&revoked(1)),
            other.sign_notice(&revoked(2)),
            own.sign_notice(&revoked(1)),
            enrolled.clone(),
        ];
        let mut file = NoticeFile::open(&path);
        file.keep(told.clone(), own.public_key(), Some(AT_5)).unwrap();
        file.keep(told.clone(), own.public_key(), None).unwrap();
        let file = NoticeFile::open(&path);
        assert_eq!(file.notices(), [told[0].clone(), enrolled.clone()]);
        assert_eq!(file.seen(), [AT_5]);
        assert_eq!(file.enrolled(DeviceId([9; 16])), Some(enrolled));
        assert_eq!(file.enrolled(DeviceId([8; 16])), None);
    }

    #[test]
    fn of_too_many_notices_the_oldest_go_and_a_damaged_file_holds_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notices");
        let own = hub(1);
        let many = (0..MOST_NOTICES as u64 + 2).map(|n| own.sign_notice(&revoked(n))).collect();
        let mut file = NoticeFile::open(&path);
        file.keep(many, own.public_key(), Some(AT_5)).unwrap();
        assert_eq!(file.notices().len(), MOST_NOTICES);
        assert_eq!(file.notices()[0], own.sign_notice(&revoked(2)));
        let mut bytes = fs::read(&path).unwrap();
        bytes[100] ^= 1;
        fs::write(&path, bytes).unwrap();
        let file = NoticeFile::open(&path);
        assert_eq!((file.notices().len(), file.seen().len()), (0, 0), "the hub tells them again");
    }
}
