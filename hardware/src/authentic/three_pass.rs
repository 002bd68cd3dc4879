//! What the mutual authentications of DESFire EV2 and of Ultralight AES have in common.
//!
//! The card sends a random number encrypted (first pass); the reader sends one of its own and the
//! card's, rotated by a byte, encrypted (second); the card sends back the reader's, rotated (third).
//! Then each knows that the other knows the key. Commands and frames are the business of the two
//! modules that use this.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::key::{BLOCK, Key};

/// The label of a session key for MACs (NT4H2421Gx rev 3.0, 9.1.7).
pub(super) const FOR_MAC: [u8; 2] = [0x5a, 0xa5];

/// The label of a session key for encryption.
pub(super) const FOR_ENCRYPTION: [u8; 2] = [0xa5, 0x5a];

/// The reader before the first pass.
pub(super) struct Asking {
    key: Key,
    ours: Zeroizing<[u8; BLOCK]>,
}

impl Asking {
    /// With the card's key and a random number that was never used before: with an old one, a
    /// recording of the card passes for the card.
    pub(super) fn new(key: Key, ours: [u8; BLOCK]) -> Self {
        Self { key, ours: Zeroizing::new(ours) }
    }

    /// The second pass, in answer to the first.
    pub(super) fn challenged(self, first_pass: [u8; BLOCK]) -> ([u8; 2 * BLOCK], Proving) {
        let theirs = Zeroizing::new(self.key.decrypted(first_pass));
        let mut both = Zeroizing::new([0; 2 * BLOCK]);
        both[..BLOCK].copy_from_slice(&*self.ours);
        both[BLOCK..].copy_from_slice(&rotated(&theirs));
        let second_pass = self.key.encrypted(*both);
        (second_pass, Proving { key: self.key, ours: self.ours, theirs })
    }
}

/// The reader before the third pass.
pub(super) struct Proving {
    key: Key,
    ours: Zeroizing<[u8; BLOCK]>,
    theirs: Zeroizing<[u8; BLOCK]>,
}

impl Proving {
    /// What the card encrypted in the third pass.
    pub(super) fn decrypted<const N: usize>(&self, third_pass: [u8; N]) -> Zeroizing<[u8; N]> {
        Zeroizing::new(self.key.decrypted(third_pass))
    }

    /// Whether this is our random number, rotated, which the card can know only by the key.
    pub(super) fn is_proof(&self, returned: &[u8]) -> bool {
        rotated(&self.ours).ct_eq(returned).into()
    }

    /// A key of the session (NT4H2421Gx rev 3.0, 9.1.7; MF0AES(H)20, 8.8.1).
    pub(super) fn session_key(&self, label: [u8; 2]) -> Key {
        let mut vector = Zeroizing::new([0; 2 * BLOCK]);
        vector[..2].copy_from_slice(&label);
        // The first key, of 128 bits (NIST SP 800-108).
        vector[2..6].copy_from_slice(&[0x00, 0x01, 0x00, 0x80]);
        vector[6..14].copy_from_slice(&self.ours[..8]);
        for (byte, theirs) in vector[8..14].iter_mut().zip(self.theirs.iter()) {
            *byte ^= theirs;
        }
        vector[14..24].copy_from_slice(&self.theirs[6..]);
        vector[24..].copy_from_slice(&self.ours[8..]);
        Key::new(self.key.mac(&*vector))
    }
}

fn rotated(random: &[u8; BLOCK]) -> [u8; BLOCK] {
    let mut random = *random;
    random.rotate_left(1);
    random
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking(…)")
    }
}

impl fmt::Debug for Proving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proving(…)")
    }
}
