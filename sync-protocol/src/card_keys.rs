//! Card keys on their way from the hub to a desk: sealed to that one desk, and kept there as they came.
//! Whoever copies a desk's files without its key has nothing, and no other desk can open them.
//!
//! The key to which they are sealed follows from the desk's own key ([`DeskSealingKey::of`]), so there is
//! no further secret to keep. The desk says its public half in the session, which its own key opened.

use hpke::rand_core::CryptoRng;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::seal::DeviceKey;
use crate::sealed_box::{OpeningKey, seal};

/// Where sealed card keys begin.
const CONTEXT: &[u8] = b"stempel card keys 1";

/// What a desk's key signs to make the seed of its sealing key: nothing else that it signs begins so.
const SEED_CONTEXT: &[u8] = b"stempel sealing key 1";

/// Bytes of sealed card keys at the most: 255 sets of some 130 bytes.
pub const MAX_CARD_KEYS_BYTES: usize = 48 * 1024;

/// One key set as it travels. What its keys are for is `hardware::authentic::keyring`'s business.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Zeroize, ZeroizeOnDrop)]
pub struct CardKeySet {
    /// Its number, which cards name it by.
    #[n(0)]
    pub number: u8,
    /// The Ed25519 key that signs its passes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub public: [u8; 32],
    /// The master of what cards prove themselves by; none where they only carry signatures.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub check: Option<[u8; 16]>,
    /// The master of what changes cards: for desks that make them.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub change: Option<[u8; 16]>,
    /// The seed of the key that signs passes: for desks that make cards.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub signing: Option<[u8; 32]>,
}

impl std::fmt::Debug for CardKeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CardKeySet({})", self.number)
    }
}

/// Card keys as the hub sends them and the desk keeps them.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SealedCardKeys {
    /// Another number with every change of any set, or of what a desk may do.
    #[n(0)]
    pub version: u64,
    /// The sets, sealed.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
}

impl std::fmt::Debug for SealedCardKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedCardKeys(version {}, {} bytes)", self.version, self.sealed.len())
    }
}

/// Why card keys cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CardKeysError {
    /// What the desk said is no key.
    #[error("the desk's sealing key cannot be used")]
    Key,
    /// There are too many.
    #[error("sealed card keys have at most {MAX_CARD_KEYS_BYTES} bytes")]
    TooLarge,
    /// They were not sealed to this desk, or were changed.
    #[error("the card keys cannot be opened: they were not sealed to this desk, or were changed")]
    Sealed,
    /// What was sealed is none that this version knows.
    #[error("the card keys are of a form that this desk does not know; update it")]
    Contents,
}

/// The key to which card keys are sealed for one desk.
pub struct DeskSealingKey(OpeningKey);

impl std::fmt::Debug for DeskSealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeskSealingKey(…)")
    }
}

impl DeskSealingKey {
    /// That of the desk with this key. Ed25519 signs the same thing in the same way each time (RFC 8032,
    /// 5.1.6), so a signature that is never shown is a secret that need not be kept.
    pub fn of(desk: &DeviceKey) -> Self {
        let signature = Zeroizing::new(desk.sign_for_itself(SEED_CONTEXT));
        let seed = Zeroizing::new(Sha256::digest(&*signature).into());
        Self(OpeningKey::from_seed(&seed))
    }

    /// What the hub seals to.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.public()
    }

    /// Opens what the hub sealed to this desk.
    ///
    /// # Errors
    /// [`CardKeysError::Sealed`], [`CardKeysError::Contents`], [`CardKeysError::TooLarge`].
    pub fn open(&self, keys: &SealedCardKeys) -> Result<Vec<CardKeySet>, CardKeysError> {
        if keys.sealed.len() > MAX_CARD_KEYS_BYTES {
            return Err(CardKeysError::TooLarge);
        }
        let plain = self
            .0
            .open(CONTEXT, &keys.version.to_be_bytes(), &keys.sealed)
            .ok_or(CardKeysError::Sealed)?;
        minicbor::decode(&plain).map_err(|_| CardKeysError::Contents)
    }
}

/// Seals card keys of this version to the desk with this sealing key.
///
/// # Errors
/// [`CardKeysError::Key`], [`CardKeysError::TooLarge`].
pub fn seal_card_keys(
    version: u64,
    sets: &[CardKeySet],
    desk: &[u8; 32],
    random: &mut impl CryptoRng,
) -> Result<SealedCardKeys, CardKeysError> {
    let plain = Zeroizing::new(minicbor::to_vec(sets).map_err(|_| CardKeysError::TooLarge)?);
    let sealed =
        seal(desk, CONTEXT, &version.to_be_bytes(), &plain, random).ok_or(CardKeysError::Key)?;
    if sealed.len() > MAX_CARD_KEYS_BYTES {
        return Err(CardKeysError::TooLarge);
    }
    Ok(SealedCardKeys { version, sealed })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn desk(seed: u8) -> DeskSealingKey {
        DeskSealingKey::of(&DeviceKey::from_seed(&[seed; 32]).unwrap())
    }

    fn sets() -> Vec<CardKeySet> {
        let set = |number, making: bool| CardKeySet {
            number,
            public: [number; 32],
            check: Some([0xc1; 16]),
            change: making.then_some([0xc2; 16]),
            signing: making.then_some([0xc3; 32]),
        };
        vec![set(1, false), set(2, true)]
    }

    fn sealed(version: u64) -> SealedCardKeys {
        let mut random = ChaCha20Rng::seed_from_u64(1);
        seal_card_keys(version, &sets(), &desk(1).public_key(), &mut random).unwrap()
    }

    #[test]
    fn a_desk_opens_what_was_sealed_to_it_and_no_other_does() {
        assert!(desk(1).open(&sealed(4)).unwrap() == sets());
        assert_eq!(desk(2).open(&sealed(4)), Err(CardKeysError::Sealed), "another desk");
        let renamed = SealedCardKeys { version: 5, ..sealed(4) };
        assert_eq!(desk(1).open(&renamed), Err(CardKeysError::Sealed), "another version");
        assert_eq!(desk(1).public_key(), desk(1).public_key(), "it is the same after a restart");
    }

    #[test]
    fn changed_or_cut_keys_are_refused_and_no_key_shows() {
        let whole = sealed(4);
        for place in 0..whole.sealed.len() {
            let mut changed = whole.clone();
            changed.sealed[place] ^= 1;
            assert!(desk(1).open(&changed).is_err(), "byte {place}");
            changed.sealed.truncate(place);
            assert!(desk(1).open(&changed).is_err(), "cut at {place}");
        }
        for key in [0xc1, 0xc2, 0xc3] {
            assert!(!whole.sealed.windows(8).any(|window| window == [key; 8]));
        }
        let shown = format!("{:?} {:?} {:?}", sets(), whole, desk(1));
        assert_eq!(
            shown,
            format!(
                "[CardKeySet(1), CardKeySet(2)] SealedCardKeys(version 4, {} bytes) DeskSealingKey(…)",
                whole.sealed.len()
            )
        );
    }

    #[test]
    fn as_many_sets_as_have_numbers_fit() {
        let full = |number| CardKeySet { number, ..sets().remove(1) };
        let all: Vec<_> = (1..=255).map(full).collect();
        let mut random = ChaCha20Rng::seed_from_u64(1);
        let sealed = seal_card_keys(1, &all, &desk(1).public_key(), &mut random).unwrap();
        assert_eq!(desk(1).open(&sealed).unwrap().len(), 255);
    }
}
