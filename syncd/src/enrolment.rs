//! What enrolment gave this desk, and its key: read at start-up.

use std::fs;
use std::io;
use std::path::PathBuf;

use crdt_model::ids::VenueId;
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde::{Deserialize, Serialize};
use sync_protocol::seal::DeviceKey;
use thiserror::Error;

use crate::paths::{DeskFolder, write_durably};

/// A desk's enrolment: which venue it is of, where its hub is and which key that has.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enrolment {
    /// The venue.
    pub venue: VenueId,
    /// The venue's name, for people.
    pub venue_name: String,
    /// The desk's name, for people.
    pub desk_name: String,
    /// The venue's IANA time zone.
    pub time_zone: String,
    /// Where the hub listens, in the order to try them.
    pub hub_addresses: Vec<String>,
    /// The SHA-256 of the hub's public key: pinned.
    pub hub_key: [u8; 32],
    /// The key under which cards are looked up.
    pub lookup_key: [u8; 32],
    /// The key to which requests about cards are sealed, where the hub takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<[u8; 32]>,
}

/// Shows which venue and hub it is, and no key.
impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enrolment {{ venue {}, hub {:?}, … }}", self.venue, self.hub_addresses)
    }
}

/// Why a desk's identity cannot be read.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// It has none yet.
    #[error(
        "this desk is not enrolled: nobody has told it which venue it is of. Ask an operator for an invitation, then run: stempel enrol INVITATION"
    )]
    NotEnrolled,
    /// A file cannot be read or written.
    #[error("{path} cannot be read or written: {error}")]
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} is damaged: {why}. Ask an operator for a new invitation; the ledgers stay")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The file: a flipped bit in the venue's name would have the desk write ledgers that nobody asks for, and one in the
/// look-up key would make all its cards unknown. So it proves itself, and there are two of it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    #[serde(flatten)]
    enrolment: Enrolment,
    /// The SHA-256 of the rest, in hexadecimal. 0.1.0 wrote none.
    #[serde(default)]
    check: Option<String>,
}

impl Kept {
    fn read(path: PathBuf) -> Result<Self, IdentityError> {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(IdentityError::NotEnrolled);
            }
            Err(error) => return Err(IdentityError::Disk { path, error }),
        };
        let kept: Self = match serde_json::from_slice(&bytes) {
            Ok(kept) => kept,
            Err(error) => return Err(IdentityError::Damaged { path, why: error.to_string() }),
        };
        match &kept.check {
            Some(check) if *check != kept.enrolment.check() => {
                let why = "it is not what was written".to_owned();
                Err(IdentityError::Damaged { path, why })
            }
            _ => Ok(kept),
        }
    }
}

impl Enrolment {
    /// Reads it. Where the file is damaged, its copy is read, and the file is written again.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn read(folder: &DeskFolder) -> Result<Self, IdentityError> {
        let first = Kept::read(folder.enrolment());
        // Removed, it is not to come back: that is how a desk is enrolled anew.
        if matches!(first, Err(IdentityError::NotEnrolled)) {
            return Err(IdentityError::NotEnrolled);
        }
        let copy = Kept::read(folder.enrolment_copy()).ok().filter(|copy| copy.check.is_some());
        let (kept, whole) = match (first, copy) {
            (Ok(first), Some(copy)) if first.check.is_some() => {
                let same = first.enrolment == copy.enrolment;
                (first, same)
            }
            (Ok(first), None) => (first, false),
            (_, Some(copy)) => {
                tracing::error!(
                    "enrolment.json is damaged; its copy is read, and it is written again"
                );
                (copy, false)
            }
            (Err(error), None) => return Err(error),
        };
        // A disk that takes nothing is said elsewhere: what was read is right.
        if !whole && let Err(error) = kept.enrolment.write(folder) {
            tracing::warn!(%error, "the enrolment could not be written again");
        }
        Ok(kept.enrolment)
    }

    /// Keeps it, twice.
    ///
    /// # Errors
    /// [`IdentityError::Disk`].
    pub fn write(&self, folder: &DeskFolder) -> Result<(), IdentityError> {
        let kept = Kept { enrolment: self.clone(), check: Some(self.check()) };
        let json = serde_json::to_vec_pretty(&kept).unwrap_or_default();
        for path in [folder.enrolment_copy(), folder.enrolment()] {
            write_durably(&path, &json).map_err(|error| IdentityError::Disk { path, error })?;
        }
        Ok(())
    }

    fn check(&self) -> String {
        let rest = serde_json::to_vec(self).unwrap_or_default();
        HEXLOWER.encode(digest(&SHA256, &rest).as_ref())
    }
}

/// The desk's private key in PKCS#8: read, or made where there is none yet.
///
/// # Errors
/// [`IdentityError`].
pub fn key(folder: &DeskFolder) -> Result<(DeviceKey, Vec<u8>), IdentityError> {
    let path = folder.key();
    let der = match fs::read(&path) {
        Ok(der) => der,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| {
                let error = io::Error::other("the system gives no random numbers");
                IdentityError::Disk { path: path.clone(), error }
            })?;
            write_durably(&path, made.as_ref())
                .map_err(|error| IdentityError::Disk { path: path.clone(), error })?;
            made.as_ref().to_vec()
        }
        Err(error) => return Err(IdentityError::Disk { path, error }),
    };
    let key = DeviceKey::from_pkcs8(&der)
        .map_err(|error| IdentityError::Damaged { path, why: error.to_string() })?;
    Ok((key, der))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proven::damage;

    fn enrolment() -> Enrolment {
        Enrolment {
            venue: "museum-de-reede".parse().unwrap(),
            venue_name: "Museum De Reede".to_owned(),
            desk_name: "Balie 1".to_owned(),
            time_zone: "Europe/Brussels".to_owned(),
            hub_addresses: vec!["hub.example:4433".to_owned()],
            hub_key: [1; 32],
            lookup_key: [2; 32],
            request_key: Some([3; 32]),
        }
    }

    #[test]
    fn no_damage_to_the_enrolment_gives_another_one() {
        let disk = tempfile::tempdir().unwrap();
        let folder = DeskFolder::new(disk.path());
        enrolment().write(&folder).unwrap();
        let whole = fs::read(folder.enrolment()).unwrap();
        // With the copy it is read, whatever happens to the first, and is whole again.
        for damaged in damage::each_of(&whole).step_by(61) {
            fs::write(folder.enrolment(), damaged).unwrap();
            assert_eq!(Enrolment::read(&folder).unwrap(), enrolment());
            assert!(fs::read(folder.enrolment()).unwrap() == whole);
        }
        // Without it, it is the same or nothing.
        for damaged in damage::each_of(&whole) {
            fs::remove_file(folder.enrolment_copy()).ok();
            fs::write(folder.enrolment(), damaged).unwrap();
            match Enrolment::read(&folder) {
                Ok(read) => assert_eq!(read, enrolment()),
                Err(error) => assert!(matches!(error, IdentityError::Damaged { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read_and_then_proves_itself() {
        let disk = tempfile::tempdir().unwrap();
        let folder = DeskFolder::new(disk.path());
        fs::write(folder.enrolment(), serde_json::to_vec(&enrolment()).unwrap()).unwrap();
        assert_eq!(Enrolment::read(&folder).unwrap(), enrolment());
        assert!(Kept::read(folder.enrolment()).unwrap().check.is_some());
        assert!(folder.enrolment_copy().exists());
    }

    #[test]
    fn an_enrolment_that_was_removed_does_not_come_back() {
        let disk = tempfile::tempdir().unwrap();
        let folder = DeskFolder::new(disk.path());
        enrolment().write(&folder).unwrap();
        fs::remove_file(folder.enrolment()).unwrap();
        assert!(matches!(Enrolment::read(&folder), Err(IdentityError::NotEnrolled)));
    }
}
