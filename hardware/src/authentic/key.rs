//! An AES-128 key and what NXP's cards do with one: CBC and CMAC.

use std::fmt;

use aes::Aes128;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use cmac::{Cmac, KeyInit, Mac};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of an AES block, and of a key of AES-128.
pub(crate) const BLOCK: usize = 16;

/// Bytes of a MAC as cards send it: half of the CMAC.
pub(crate) const SHORT_MAC: usize = 8;

/// An AES-128 key: a master key, a card's own or one of a session. It is overwritten when it is
/// dropped, shows nothing in `Debug`, and cannot be cloned.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; BLOCK]);

impl Key {
    /// The key that these bytes are.
    pub fn new(bytes: [u8; BLOCK]) -> Self {
        Self(bytes)
    }

    /// The key's bytes, to write them on a card or to seal them.
    pub fn bytes(&self) -> &[u8; BLOCK] {
        &self.0
    }

    /// AES-CMAC (NIST SP 800-38B).
    pub(crate) fn mac(&self, message: &[u8]) -> [u8; BLOCK] {
        let mut mac = Cmac::<Aes128>::new((&self.0).into());
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// The CMAC as cards send it: every second byte (AN12196 rev 2.0, 2: "MACt").
    pub(crate) fn short_mac(&self, message: &[u8]) -> [u8; SHORT_MAC] {
        let whole = self.mac(message);
        std::array::from_fn(|place| whole[2 * place + 1])
    }

    /// Whether this is the short MAC of the message. It takes as long for a wrong one as for the
    /// right one.
    pub(crate) fn mac_holds(&self, message: &[u8], mac: [u8; SHORT_MAC]) -> bool {
        self.short_mac(message).ct_eq(&mac).into()
    }

    /// Whole blocks encrypted in CBC mode, beginning with an initial vector of zeros.
    pub(crate) fn encrypted<const N: usize>(&self, mut data: [u8; N]) -> [u8; N] {
        const { assert!(N.is_multiple_of(BLOCK)) };
        self.encrypt([0; BLOCK], &mut data);
        data
    }

    /// Encrypts whole blocks in place, in CBC mode. Bytes behind the last whole block stay as they
    /// are: whoever calls has seen to it that there are none.
    pub(super) fn encrypt(&self, initial: [u8; BLOCK], data: &mut [u8]) {
        let mut mode = cbc::Encryptor::<Aes128>::new((&self.0).into(), &initial.into());
        for block in data.as_chunks_mut::<BLOCK>().0 {
            mode.encrypt_block(block.into());
        }
    }

    /// What [`Self::encrypted`] was given.
    pub(crate) fn decrypted<const N: usize>(&self, mut data: [u8; N]) -> [u8; N] {
        const { assert!(N.is_multiple_of(BLOCK)) };
        self.decrypt([0; BLOCK], &mut data);
        data
    }

    /// Decrypts whole blocks in place, in CBC mode. Bytes behind the last whole block stay as they
    /// are: whoever calls has seen to it that there are none.
    pub(crate) fn decrypt(&self, initial: [u8; BLOCK], data: &mut [u8]) {
        let mut mode = cbc::Decryptor::<Aes128>::new((&self.0).into(), &initial.into());
        for block in data.as_chunks_mut::<BLOCK>().0 {
            mode.decrypt_block(block.into());
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentic::hex;

    #[test]
    fn a_key_shows_nothing_of_itself() {
        assert_eq!(format!("{:?}", Key::new([0x42; BLOCK])), "Key(…)");
    }

    #[test]
    fn rfc_4493_section_4_examples_1_to_4() {
        let key = Key::new(hex("2B7E151628AED2A6ABF7158809CF4F3C"));
        let message: [u8; 64] = hex(concat!(
            "6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E51",
            "30C81C46A35CE411E5FBC1191A0A52EFF69F2445DF4F9B17AD2B417BE66C3710",
        ));
        for (length, mac) in [
            (0, "BB1D6929E95937287FA37D129B756746"),
            (16, "070A16B46B4D4144F79BDD9DD04A287C"),
            (40, "DFA66747DE9AE63030CA32611497C827"),
            (64, "51F0BEBF7E3B9D92FC49741779363CFE"),
        ] {
            assert_eq!(key.mac(&message[..length]), hex(mac), "{length} bytes");
        }
    }

    #[test]
    fn a_mac_with_one_bit_changed_does_not_hold() {
        let key = Key::new([7; BLOCK]);
        let mac = key.short_mac(b"message");
        assert!(key.mac_holds(b"message", mac));
        for bit in 0..64 {
            let mut changed = mac;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.mac_holds(b"message", changed), "bit {bit}");
        }
    }
}
