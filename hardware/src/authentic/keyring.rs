//! The keys that a desk holds: what it checks cards with and, where it makes cards, what it makes
//! them with. They come from the hub and are made into the keys of one card here.
//!
//! A key set has one number, which stands on each card that was made with it. All keys of a card
//! follow from the two master keys of its set (AN10922), told apart by a label in the place of an
//! application's AID:
//!
//! | key | made of | on an NTAG 424 DNA | on a DESFire | held by |
//! | --- | --- | --- | --- | --- |
//! | change | the change key | 0 | 0 of our application | desks that make cards |
//! | file read | the check key | 1: the MAC of its message | | every desk |
//! | meta read | the check key alone: the same on all cards | 2 | | every desk |
//! | proof | the check key | 3 | 1 | every desk |
//!
//! Whoever opens a desk that only checks has the keys to imitate cards, but not to change those that
//! were made, except an Ultralight AES, which has one key for both. The signature of a plain card has no secret at a desk at all: a set may have nothing but
//! that.

use crdt_model::ids::ChipNumber;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::diversify::{DiversificationInput, diversified};
use super::key::{BLOCK, Key};
use super::signed::IssuerKey;

const CHANGE: [u8; 3] = *b"CHG";
const FILE_READ: [u8; 3] = *b"SUN";
const PROOF: [u8; 3] = *b"PRF";

/// What the meta read key is made of: no chip number, for it is what opens the chip number.
const META_READ: &[u8] = b"MTA Stempel meta read";

/// What makes cards.
pub struct Making {
    /// The master of the keys with which cards are changed; none in a set of signatures alone.
    pub change: Option<Key>,
    /// Signs passes.
    pub signing: Ed25519KeyPair,
}

/// One key set.
pub struct KeySet {
    number: u8,
    issuer: IssuerKey,
    check: Option<Key>,
    making: Option<Making>,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySet({})", self.number)
    }
}

impl KeySet {
    /// The set of this number: with the issuer's public key, with the master of what cards prove
    /// themselves by (none where they only carry signatures), and with what makes cards where this
    /// desk does.
    pub fn new(
        number: u8,
        public: [u8; 32],
        check: Option<[u8; BLOCK]>,
        making: Option<Making>,
    ) -> Self {
        let issuer = IssuerKey { number: number.into(), public };
        Self { number, issuer, check: check.map(Key::new), making }
    }

    /// Its number, which cards name it by.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The key that signs its passes.
    pub fn issuer(&self) -> IssuerKey {
        self.issuer
    }

    /// What makes cards, where this desk does.
    pub fn making(&self) -> Option<&Making> {
        self.making.as_ref()
    }

    /// The key with which this card proves itself; none in a set of signatures alone.
    pub fn proof(&self, chip: ChipNumber) -> Option<Key> {
        self.check.as_ref().map(|master| of_card(master, chip, PROOF))
    }

    /// The key behind the MAC of this card's message.
    pub fn file_read(&self, chip: ChipNumber) -> Option<Key> {
        self.check.as_ref().map(|master| of_card(master, chip, FILE_READ))
    }

    /// The key behind which all cards of the set hide chip number and counter.
    pub fn meta_read(&self) -> Option<Key> {
        // The constant has 1 to 31 bytes.
        let input = DiversificationInput::new(META_READ).ok()?;
        self.check.as_ref().map(|master| diversified(master, &input))
    }

    /// The key that changes this card, where this desk makes cards that have keys.
    pub fn change(&self, chip: ChipNumber) -> Option<Key> {
        let master = self.making.as_ref()?.change.as_ref()?;
        Some(of_card(master, chip, CHANGE))
    }
}

fn of_card(master: &Key, chip: ChipNumber, label: [u8; 3]) -> Key {
    diversified(master, &DiversificationInput::of_card(chip, label))
}

/// All key sets that a desk holds.
#[derive(Debug, Default)]
pub struct Keyring {
    sets: Vec<KeySet>,
}

impl Keyring {
    /// These sets.
    pub fn new(mut sets: Vec<KeySet>) -> Self {
        sets.sort_by_key(KeySet::number);
        Self { sets }
    }

    /// Whether there is none: then nothing is asked of any card.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The sets, in the order of their numbers.
    pub fn sets(&self) -> &[KeySet] {
        &self.sets
    }

    /// The set of this number.
    pub fn set(&self, number: u32) -> Option<&KeySet> {
        self.sets.iter().find(|set| u32::from(set.number) == number)
    }

    /// The public keys of all issuers.
    pub fn issuers(&self) -> Vec<IssuerKey> {
        self.sets.iter().map(KeySet::issuer).collect()
    }

    /// The set that new cards are made with: the latest that this desk makes cards of.
    pub fn making(&self) -> Option<&KeySet> {
        self.sets.iter().rev().find(|set| set.making.is_some())
    }
}

/// The public half of a signing key.
pub fn public_of(signing: &Ed25519KeyPair) -> [u8; 32] {
    // An Ed25519 public key has 32 bytes.
    signing.public_key().as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_card_is_another_and_another_cards_are_others() {
        let making = || {
            let signing = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
            Making { change: Some(Key::new([2; BLOCK])), signing }
        };
        let set = KeySet::new(1, [0; 32], Some([1; BLOCK]), Some(making()));
        let chip = |text: &str| text.parse::<ChipNumber>().unwrap();
        let of = |chip| {
            [set.proof(chip), set.file_read(chip), set.change(chip), set.meta_read()]
                .map(|key| *key.unwrap().bytes())
        };
        let (one, other) = (of(chip("04784CDAEE3880")), of(chip("04363CDAEE3880")));
        let mut keys: Vec<_> = one.iter().chain(&other[..3]).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 7);
        assert_eq!(one[3], other[3], "the meta read key is all cards'");
        assert_eq!(format!("{set:?}"), "KeySet(1)");
    }

    #[test]
    fn new_cards_are_made_with_the_latest_set_that_this_desk_makes_cards_of() {
        let set = |number, makes: bool| {
            let signing = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap();
            let public = public_of(&signing);
            KeySet::new(number, public, None, makes.then_some(Making { change: None, signing }))
        };
        let ring = Keyring::new(vec![set(3, false), set(2, true), set(1, true)]);
        assert_eq!(ring.making().map(KeySet::number), Some(2));
        assert_eq!(ring.sets().iter().map(KeySet::number).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(ring.set(3).is_some() && ring.set(4).is_none());
        assert!(Keyring::default().is_empty());
        let chip = "04784CDAEE3880".parse().unwrap();
        assert!(ring.sets().iter().all(|set| set.proof(chip).is_none()), "signatures alone");
    }
}
