//! How a card is found without holding its number.

use hmac::{Hmac, KeyInit, Mac};
use minicbor::{Decode, Encode};
use sha2::Sha256;

use crate::ids::{CardKey, Identification};

/// A [`CardKey`] as a field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct CardName(#[cbor(n(0), with = "minicbor::bytes")] pub CardKey);

/// The key under which cards are looked up; the hub gives it to a desk at enrolment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LookupKey(pub [u8; 32]);

impl LookupKey {
    /// The name of this card in the catalogue.
    pub fn card_key(&self, card: &Identification) -> CardKey {
        let (kind, text) = match card {
            Identification::Chip(chip) => (0u8, chip.to_string()),
            Identification::Uitpas(number) => (1, number.to_string()),
            Identification::MuseumPass(number) => (2, number.to_string()),
            Identification::External(card) => (3, card.to_string()),
        };
        let mut key = CardKey::default();
        // HMAC takes keys of any length, so the error cannot happen; an all-zero name finds nothing.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) {
            mac.update(&[kind]);
            mac.update(text.as_bytes());
            key.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        }
        key
    }
}

impl std::fmt::Debug for LookupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LookupKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_named_by_what_kind_of_number_it_carries_and_by_the_key() {
        let card: Identification = "0900000095902".parse().unwrap();
        let other: Identification = "04784CDAEE3880".parse().unwrap();
        let key = LookupKey([1; 32]);
        assert_eq!(key.card_key(&card), key.card_key(&card));
        assert_ne!(key.card_key(&card), key.card_key(&other));
        assert_ne!(key.card_key(&card), LookupKey([2; 32]).card_key(&card));
    }
}
