//! The card keys as the hub sent them: sealed to this desk, in one small file, and opened only in memory.
//! Lost or damaged, it does no harm: the hub sends them again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hardware::authentic::Key;
use hardware::authentic::keyring::{KeySet, Keyring, Making};
use ring::signature::Ed25519KeyPair;
use sync_protocol::card_keys::{CardKeySet, CardKeysError, DeskSealingKey, SealedCardKeys};
use thiserror::Error;

use crate::paths::write_durably;

/// Why card keys are not taken.
#[derive(Debug, Error)]
pub enum CardKeyFileError {
    /// They cannot be opened.
    #[error(transparent)]
    Sealed(#[from] CardKeysError),
    /// They cannot be kept.
    #[error("the card keys could not be kept: {0}")]
    Disk(#[from] io::Error),
}

/// The file, and the keys that it holds.
#[derive(Debug)]
pub struct CardKeyFile {
    path: PathBuf,
    version: Option<u64>,
}

impl CardKeyFile {
    /// Opens the file. One that cannot be read, or was sealed to another desk, holds no keys.
    pub fn open(path: &Path, key: &DeskSealingKey) -> (Self, Keyring) {
        let mut file = Self { path: path.to_owned(), version: None };
        let Ok(bytes) = fs::read(path) else { return (file, Keyring::default()) };
        let opened = minicbor::decode::<SealedCardKeys>(&bytes)
            .map_err(|_| CardKeysError::Contents)
            .and_then(|sealed| Ok((sealed.version, key.open(&sealed)?)));
        match opened {
            Ok((version, sets)) => {
                file.version = Some(version);
                (file, keyring(&sets))
            }
            Err(error) => {
                tracing::warn!(%error, "the card keys are asked for again");
                (file, Keyring::default())
            }
        }
    }

    /// The version of the keys.
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// Takes others in their place: durable before this returns.
    ///
    /// # Errors
    /// [`CardKeyFileError`]; then those that were there still are.
    pub fn keep(
        &mut self,
        sealed: &SealedCardKeys,
        key: &DeskSealingKey,
    ) -> Result<Keyring, CardKeyFileError> {
        let sets = key.open(sealed)?;
        write_durably(&self.path, &minicbor::to_vec(sealed).unwrap_or_default())?;
        self.version = Some(sealed.version);
        Ok(keyring(&sets))
    }
}

fn keyring(sets: &[CardKeySet]) -> Keyring {
    let set = |set: &CardKeySet| {
        let signing = set.signing.and_then(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).ok());
        let making = signing.map(|signing| Making { change: set.change.map(Key::new), signing });
        KeySet::new(set.number, set.public, set.check, making)
    };
    Keyring::new(sets.iter().map(set).collect())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use sync_protocol::card_keys::seal_card_keys;
    use sync_protocol::seal::DeviceKey;

    use super::*;

    fn desk(seed: u8) -> DeskSealingKey {
        DeskSealingKey::of(&DeviceKey::from_seed(&[seed; 32]).unwrap())
    }

    fn sealed(version: u64) -> SealedCardKeys {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let set = CardKeySet {
            number: 3,
            public: hardware::authentic::keyring::public_of(&pair),
            check: Some([0xc1; 16]),
            change: None,
            signing: None,
        };
        let mut random = rand::rngs::StdRng::seed_from_u64(1);
        seal_card_keys(version, &[set], &desk(1).public_key(), &mut random).unwrap()
    }

    #[test]
    fn keys_are_kept_sealed_and_are_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card-keys");
        let (mut file, none) = CardKeyFile::open(&path, &desk(1));
        assert!(none.is_empty() && file.version().is_none());
        file.keep(&sealed(5), &desk(1)).unwrap();
        let (file, keys) = CardKeyFile::open(&path, &desk(1));
        assert_eq!((file.version(), keys.set(3).is_some()), (Some(5), true));
        assert!(keys.making().is_none(), "this desk only checks");
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(8).any(|window| window == [0xc1; 8]), "no key lies there open");
    }

    #[test]
    fn keys_of_another_desk_or_a_damaged_file_are_none_and_are_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card-keys");
        let (mut file, _) = CardKeyFile::open(&path, &desk(1));
        file.keep(&sealed(5), &desk(1)).unwrap();
        assert!(file.keep(&sealed(6), &desk(2)).is_err(), "sealed to another");
        assert_eq!(file.version(), Some(5));
        let (copied, keys) = CardKeyFile::open(&path, &desk(2));
        assert!(copied.version().is_none() && keys.is_empty());
        fs::write(&path, b"not this").unwrap();
        assert!(CardKeyFile::open(&path, &desk(1)).0.version().is_none());
    }
}
