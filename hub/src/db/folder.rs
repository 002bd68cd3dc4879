//! The hub's folder: its key, its lock, and its database where that is SQLite.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::{Beside, Db, HubError, system};

use crate::db::storage::Storage;

/// How often a starting server tries to take its lock.
const LOCK_TRIES: u32 = 10;

/// The hub's folder: `hub.key`, the lock of a running server, and `hub.db` unless the database is elsewhere.
#[derive(Debug, Clone)]
pub struct HubFolder {
    root: PathBuf,
    database: Option<String>,
}

impl HubFolder {
    /// The folder at this place, made where it is not there yet, for its owner only.
    ///
    /// # Errors
    /// [`HubError::Disk`].
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, HubError> {
        let root = root.into();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&root)
            .map_err(|error| HubError::Disk { path: root.clone(), error })?;
        Ok(Self { root, database: None })
    }

    /// The folder of a hub that was begun.
    ///
    /// # Errors
    /// [`HubError::NoHub`].
    pub fn existing(root: impl Into<PathBuf>) -> Result<Self, HubError> {
        let root = root.into();
        // A disk that cannot be asked is no sign that nothing is there.
        match root.join("hub.db").try_exists() {
            Ok(false) => Err(HubError::NoHub { folder: root }),
            Ok(true) | Err(_) => Ok(Self { root, database: None }),
        }
    }

    /// The same folder with its database at an address, `postgres://…`, instead of in it.
    #[must_use]
    pub fn with_database(mut self, address: Option<String>) -> Self {
        self.database = address;
        self
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file of the database, where that is SQLite.
    pub fn database_file(&self) -> Option<PathBuf> {
        self.database.is_none().then(|| self.root.join("hub.db"))
    }

    /// What a running server says of itself ([`crate::status`]).
    pub(crate) fn status(&self) -> PathBuf {
        self.root.join("hub.status")
    }

    /// Takes the lock for itself alone: nobody serves meanwhile.
    ///
    /// # Errors
    /// As [`HubFolder::lock`].
    pub fn lock_alone(&self) -> Result<File, HubError> {
        Self { root: self.root.clone(), database: None }.lock()
    }

    /// Whether a server runs. Where the system does not tell, none does.
    pub fn is_served(&self) -> bool {
        // Given back at once. Shared where a server's lock is not: two who ask do not take each other for a server.
        let lock = File::open(self.root.join("hub.lock"));
        lock.is_ok_and(|file| {
            let locked = match self.database {
                None => file.try_lock_shared(),
                Some(_) => file.try_lock(),
            };
            matches!(locked, Err(TryLockError::WouldBlock))
        })
    }

    /// The lock that a running server holds.
    ///
    /// # Errors
    /// [`HubError::AlreadyServing`], [`HubError::Disk`].
    pub fn lock(&self) -> Result<File, HubError> {
        let path = self.root.join("hub.lock");
        let failed = |error| HubError::Disk { path: path.clone(), error };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            // A lock needs no writing: a hub that starts on a read-only disk waits until it can be written.
            .or_else(|error| match error.kind() {
                io::ErrorKind::ReadOnlyFilesystem => File::open(&path),
                _ => Err(error),
            })
            .map_err(failed)?;
        let mut tries = 1;
        loop {
            // On PostgreSQL several may serve, also with one folder for the key.
            let locked = match self.database {
                None => file.try_lock(),
                Some(_) => file.try_lock_shared(),
            };
            match locked {
                Ok(()) => return Ok(file),
                // Somebody may just be asking whether a server runs.
                Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(HubError::AlreadyServing { folder: self.root.clone() });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// The hub's private key in PKCS#8 and its public key: read, or made at first use.
    ///
    /// # Errors
    /// [`HubError::Disk`], [`HubError::Record`] where the file is no key.
    pub fn key(&self) -> Result<(Vec<u8>, Vec<u8>), HubError> {
        let path = self.root.join("hub.key");
        let failed = |error| HubError::Disk { path: path.clone(), error };
        let der = match fs::read(&path) {
            Ok(der) => der,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                    .map_err(|_| failed(io::Error::other("the system gives no random numbers")))?;
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                let mut file = options.open(&path).map_err(failed)?;
                file.write_all(made.as_ref()).and_then(|()| file.sync_all()).map_err(failed)?;
                made.as_ref().to_vec()
            }
            Err(error) => return Err(failed(error)),
        };
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
            .map_err(|error| HubError::Record(format!("hub.key: {error}")))?;
        Ok((der, pair.public_key().as_ref().to_vec()))
    }

    /// Opens the database and brings it to this version's layout.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn database(&self) -> Result<Db, HubError> {
        self.database_on(&Arc::new(Storage::new(&self.root))).await
    }

    /// The same, with what is known of its disk: for a server, which outlives the disk's troubles.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn database_on(&self, storage: &Arc<Storage>) -> Result<Db, HubError> {
        let db = match &self.database {
            Some(address) => Db::open_address(address, system()).await?,
            None => Db::open_file(&self.root.join("hub.db"), storage.clone(), system()).await?,
        };
        // On a disk that takes no key there is nothing to sign with, and nothing to be written.
        if let Ok((key, _)) = self.key() {
            db.stands_beside(Beside::of(&self.root, &key)?);
        }
        Ok(db)
    }
}
