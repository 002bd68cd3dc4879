//! What enrolment gave this desk, and its key: read at start-up.

use std::fs;
use std::io;
use std::path::PathBuf;

use crdt_model::ids::VenueId;
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

impl Enrolment {
    /// Reads it.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn read(folder: &DeskFolder) -> Result<Self, IdentityError> {
        let path = folder.enrolment();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(IdentityError::NotEnrolled);
            }
            Err(error) => return Err(IdentityError::Disk { path, error }),
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| IdentityError::Damaged { path, why: error.to_string() })
    }

    /// Keeps it.
    ///
    /// # Errors
    /// [`IdentityError::Disk`].
    pub fn write(&self, folder: &DeskFolder) -> Result<(), IdentityError> {
        let path = folder.enrolment();
        let json = serde_json::to_vec_pretty(self).unwrap_or_default();
        write_durably(&path, &json).map_err(|error| IdentityError::Disk { path, error })
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
