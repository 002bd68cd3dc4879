//! A card's own key, made of a master key and the card's chip number (NXP AN10922, "Symmetric key
//! diversifications"), for AES-128.
//!
//! Whoever reads a key out of one card has that card. The master key is on no card.

use crdt_model::ids::ChipNumber;
use thiserror::Error;

use super::key::{BLOCK, Key};

/// Bytes of a diversification input at the most: two blocks, less the constant in front.
pub const MAX_INPUT: usize = 2 * BLOCK - 1;

/// What stands in front of the input where an AES-128 key is made: no key for another algorithm
/// comes out the same.
const AES_128: u8 = 0x01;

/// The system identifier of our own cards: another system that was given the same master key by
/// mistake still makes other keys.
const SYSTEM: &[u8] = b"Stempel";

/// Why bytes are no diversification input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a diversification input has 1 to {MAX_INPUT} bytes, this has {bytes}")]
pub struct InputLength {
    /// How many bytes there were.
    pub bytes: usize,
}

/// What tells one card's key from another's: 1 to [`MAX_INPUT`] bytes, none of them secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiversificationInput {
    /// The input, then zeros.
    bytes: [u8; MAX_INPUT],
    length: usize,
}

impl DiversificationInput {
    /// These bytes, for cards that somebody else issued.
    ///
    /// # Errors
    /// [`InputLength`].
    pub fn new(input: &[u8]) -> Result<Self, InputLength> {
        let length = input.len();
        let mut bytes = [0; MAX_INPUT];
        match bytes.get_mut(..length) {
            Some(room) if length > 0 => room.copy_from_slice(input),
            _ => return Err(InputLength { bytes: length }),
        }
        Ok(Self { bytes, length })
    }

    /// That of our own cards, in the order that AN10922 recommends: chip number, application (on a
    /// DESFire its AID), system identifier.
    pub fn of_card(chip: ChipNumber, application: [u8; 3]) -> Self {
        let mut input = Self { bytes: [0; MAX_INPUT], length: 0 };
        // At the most 10, 3 and 7 bytes: they always fit.
        for part in [chip.bytes(), &application, SYSTEM] {
            let end = input.length + part.len();
            input.bytes[input.length..end].copy_from_slice(part);
            input.length = end;
        }
        input
    }
}

/// The key that this input makes of a master key (AN10922, 2.2).
pub fn diversified(master: &Key, input: &DiversificationInput) -> Key {
    let mut message = [0; 2 * BLOCK];
    message[0] = AES_128;
    message[1..].copy_from_slice(&input.bytes);
    let (first, second) = subkeys(master);
    // CMAC pads a short message to one block, AN10922 always to two. So this is CMAC done by hand.
    let mask = if input.length == MAX_INPUT {
        first
    } else {
        message[1 + input.length] = 0x80;
        second
    };
    for (byte, mask) in message[BLOCK..].iter_mut().zip(mask) {
        *byte ^= mask;
    }
    let encrypted = master.encrypted(message);
    Key::new(std::array::from_fn(|place| encrypted[BLOCK + place]))
}

/// CMAC's two subkeys (NIST SP 800-38B, 6.1).
fn subkeys(key: &Key) -> ([u8; BLOCK], [u8; BLOCK]) {
    let first = doubled(u128::from_be_bytes(key.encrypted([0; BLOCK])));
    (first.to_be_bytes(), doubled(first).to_be_bytes())
}

/// Twice this number in GF(2^128), without a branch on a bit that is secret.
fn doubled(number: u128) -> u128 {
    (number << 1) ^ (0x87 * (number >> 127))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::authentic::hex;

    const MASTER: &str = "00112233445566778899AABBCCDDEEFF";

    fn key_of(input: &[u8]) -> [u8; BLOCK] {
        *diversified(&Key::new(hex(MASTER)), &DiversificationInput::new(input).unwrap()).bytes()
    }

    #[test]
    fn an10922_section_2_2_1_steps_3_and_4_subkeys() {
        let (first, second) = subkeys(&Key::new(hex(MASTER)));
        assert_eq!(first, hex("FBC9F75C9413C041DFEE452D3F0706D1"));
        assert_eq!(second, hex("F793EEB928278083BFDC8A5A7E0E0D25"));
    }

    /// UID 04782E21801D80, application 3042F5, system "NXP Abu".
    #[test]
    fn an10922_section_2_2_1_step_15_diversified_key() {
        let input: [u8; 17] = hex("04782E21801D803042F54E585020416275");
        assert_eq!(key_of(&input), hex("A8DD63A3B89D54B37CA802473FDA9175"));
    }

    /// AN10922 has no example of these lengths. The keys were computed with OpenSSL's AES-CBC from
    /// the two subkeys that it prints; the input is 00 01 02 ….
    #[test]
    fn inputs_at_the_bounds_of_the_padding_give_what_openssl_gives() {
        let counted: [u8; MAX_INPUT] = std::array::from_fn(|place| u8::try_from(place).unwrap());
        for (length, key) in [
            (1, "281049D52ECBC8F60961993D34DE3D54"),
            (7, "E8B7F67C78C34AF1446E331EF7E6D3FF"),
            (15, "5A3C7F6F0687F24F82DEE7EDA0970D08"),
            (16, "FEED9FBD36CDB16819A72D30BCF9240B"),
            (31, "21C28CD89BB3147F66C7DBD4851CAB20"),
        ] {
            assert_eq!(key_of(&counted[..length]), hex(key), "{length} bytes");
        }
    }

    #[test]
    fn our_own_cards_keys_are_made_of_chip_application_and_system() {
        let chip: ChipNumber = "04782E21801D80".parse().unwrap();
        let ours = DiversificationInput::of_card(chip, [0x30, 0x42, 0xf5]);
        let spelt_out: [u8; 17] = hex("04782E21801D803042F55374656D70656C");
        assert_eq!(Ok(ours), DiversificationInput::new(&spelt_out));
        let longest = ChipNumber::from_bytes(&[0xff; 10]).unwrap();
        assert_eq!(DiversificationInput::of_card(longest, [0; 3]).length, 20);
    }

    #[test]
    fn an_input_of_no_byte_or_of_32_is_refused() {
        assert_eq!(DiversificationInput::new(&[]), Err(InputLength { bytes: 0 }));
        assert_eq!(DiversificationInput::new(&[1; 32]), Err(InputLength { bytes: 32 }));
        assert!(DiversificationInput::new(&[1; 31]).is_ok());
    }

    proptest! {
        /// AN10922 says so itself: from 16 bytes on, the standard algorithm can be used.
        #[test]
        fn an_input_of_16_bytes_or_more_gives_what_standard_cmac_gives(
            master: [u8; BLOCK],
            input in proptest::collection::vec(any::<u8>(), 16..=MAX_INPUT),
        ) {
            let master = Key::new(master);
            let standard = master.mac(&[&[AES_128][..], &input].concat());
            let key = diversified(&master, &DiversificationInput::new(&input).unwrap());
            prop_assert_eq!(key.bytes(), &standard);
        }
    }
}
