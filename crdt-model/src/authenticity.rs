//! How strong the proof is that a card is the one whose chip number it shows.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// How strong the proof is that a card is the one whose chip number it shows. In order, so that a
/// policy can ask for at least one of them.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Encode,
    Decode,
)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum Authenticity {
    /// The card claims to be one of the issuer's and is not: its signature is another card's, or it
    /// does not know its key. A card that claims nothing is never this.
    #[n(3)]
    Refuted,
    /// There is none: the chip number is all that is known, or a number was typed.
    #[default]
    #[n(0)]
    UidOnly,
    /// The issuer's signature over the chip number lies on the card. It can be copied.
    #[n(1)]
    Signed,
    /// The card proved just now that it knows a key of its own, which never leaves it.
    #[n(2)]
    Cryptographic,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_can_ask_for_at_least_a_signature() {
        let enough = |proof: Authenticity| proof >= Authenticity::Signed;
        assert!(!enough(Authenticity::Refuted));
        assert!(!enough(Authenticity::UidOnly));
        assert!(enough(Authenticity::Signed));
        assert!(enough(Authenticity::Cryptographic));
        assert!(Authenticity::Refuted < Authenticity::UidOnly);
    }

    #[test]
    fn the_names_are_written_with_hyphens_and_the_bytes_stay() {
        for (proof, name, bytes) in [
            (Authenticity::UidOnly, "\"uid-only\"", 0),
            (Authenticity::Signed, "\"signed\"", 1),
            (Authenticity::Cryptographic, "\"cryptographic\"", 2),
            (Authenticity::Refuted, "\"refuted\"", 3),
        ] {
            assert_eq!(serde_json::to_string(&proof).unwrap(), name);
            assert_eq!(serde_json::from_str::<Authenticity>(name).unwrap(), proof);
            assert_eq!(minicbor::to_vec(proof).unwrap(), [bytes]);
        }
    }
}
