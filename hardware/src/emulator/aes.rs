//! What emulated cards do with AES, written from the card's point of view: its side of the mutual
//! authentication, and the padding, vectors and check sum of encrypted data.
//!
//! It shares only the ciphers with the reader's side in [`authentic`](crate::authentic), so that a
//! mistake there does not meet its mirror image here.

use crate::authentic::Key;

/// Bytes of a block of AES, and of a key of AES-128.
pub(super) const BLOCK: usize = 16;

/// What tells the two keys of a session apart (NT4H2421Gx rev 3.0, 9.1.7; MF0AES(H)20, 8.8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// KSesAuthENC.
    Encryption,
    /// KSesAuthMAC.
    Mac,
}

/// A card that sent its random number, encrypted, and waits for the second pass.
#[derive(Debug, Clone)]
pub(super) struct Challenge {
    key: [u8; BLOCK],
    /// RndB.
    ours: [u8; BLOCK],
}

impl Challenge {
    pub(super) fn new(key: [u8; BLOCK], ours: [u8; BLOCK]) -> Self {
        Self { key, ours }
    }

    /// What the card sends first.
    pub(super) fn first_pass(&self) -> [u8; BLOCK] {
        Key::new(self.key).encrypted(self.ours)
    }

    /// What follows from the reader's answer, if that proves that the reader knows the key.
    pub(super) fn met_by(&self, second_pass: [u8; 2 * BLOCK]) -> Option<Agreed> {
        let both = Key::new(self.key).decrypted(second_pass);
        let theirs: [u8; BLOCK] = std::array::from_fn(|at| both[at]);
        let mut expected = self.ours;
        expected.rotate_left(1);
        (both[BLOCK..] == expected).then_some(Agreed { key: self.key, ours: self.ours, theirs })
    }
}

/// Two random numbers that both sides know.
#[derive(Debug, Clone)]
pub(super) struct Agreed {
    key: [u8; BLOCK],
    ours: [u8; BLOCK],
    theirs: [u8; BLOCK],
}

impl Agreed {
    /// The reader's random number, rotated: with it the card proves that it knows the key.
    pub(super) fn proof(&self) -> [u8; BLOCK] {
        let mut proof = self.theirs;
        proof.rotate_left(1);
        proof
    }

    /// These blocks under the key that was used to authenticate.
    pub(super) fn encrypted<const N: usize>(&self, data: [u8; N]) -> [u8; N] {
        Key::new(self.key).encrypted(data)
    }

    /// A key of the session: the CMAC of SV1 or SV2.
    pub(super) fn session_key(&self, purpose: Purpose) -> Key {
        let (a, b) = (&self.theirs, &self.ours);
        let label = match purpose {
            Purpose::Encryption => [0xa5, 0x5a],
            Purpose::Mac => [0x5a, 0xa5],
        };
        let mixed: Vec<u8> = a[2..8].iter().zip(&b[..6]).map(|(a, b)| a ^ b).collect();
        let vector = [&label[..], &[0, 1, 0, 0x80], &a[..2], &mixed, &b[6..], &a[8..]].concat();
        Key::new(Key::new(self.key).mac(&vector))
    }
}

/// These bytes, padded (ISO 9797-1, method 2), in CBC mode.
pub(super) fn padded_and_encrypted(key: &Key, initial: [u8; BLOCK], data: &[u8]) -> Vec<u8> {
    let mut plain = data.to_vec();
    plain.push(0x80);
    plain.resize(plain.len().next_multiple_of(BLOCK), 0);
    let mut last = initial;
    for block in plain.as_chunks_mut::<BLOCK>().0 {
        last = key.encrypted(std::array::from_fn(|at| block[at] ^ last[at]));
        *block = last;
    }
    plain
}

/// What [`padded_and_encrypted`] was given; `None` where these are no whole blocks or the padding is
/// none.
pub(super) fn decrypted_and_unpadded(
    key: &Key,
    initial: [u8; BLOCK],
    encrypted: &[u8],
) -> Option<Vec<u8>> {
    if !encrypted.len().is_multiple_of(BLOCK) {
        return None;
    }
    let mut plain = encrypted.to_vec();
    key.decrypt(initial, &mut plain);
    let end = plain.iter().rposition(|byte| *byte != 0)?;
    (plain[end] == 0x80 && plain.len() - end <= BLOCK).then(|| plain[..end].to_vec())
}

/// The check sum over a new key in ChangeKey: CRC-32 of IEEE 802.3 without its last inversion, the
/// least significant byte first (AN12196 rev 2.0, 5.16.1).
pub(super) fn check_sum(data: &[u8]) -> [u8; 4] {
    let mut sum = u32::MAX;
    for byte in data {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 * (sum & 1));
        }
    }
    sum.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentic::hex;

    #[test]
    fn an12196_rev_2_0_section_5_16_1_table_25_check_sum_of_the_new_key() {
        let key: [u8; BLOCK] = hex("F3847D627727ED3BC9C4CC050489B966");
        assert_eq!(check_sum(&key), hex("789DFADC"));
    }

    #[test]
    fn an12196_rev_2_0_section_5_6_table_14_session_keys() {
        let factory = Key::new([0; BLOCK]);
        let ours = factory.decrypted(hex("A04C124213C186F22399D33AC2A30215"));
        let challenge = Challenge::new([0; BLOCK], ours);
        let second = "35C3E05A752E0144BAC0DE51C1F22C56B34408A23D8AEA266CAB947EA8E0118D";
        let agreed = challenge.met_by(hex(second)).unwrap();
        let enc = agreed.session_key(Purpose::Encryption);
        assert_eq!(enc.bytes(), &hex("1309C877509E5A215007FF0ED19CA564"));
        let mac = agreed.session_key(Purpose::Mac);
        assert_eq!(mac.bytes(), &hex("4C6626F5E72EA694202139295C7A7FC7"));
        assert!(challenge.met_by([0; 2 * BLOCK]).is_none());
    }

    #[test]
    fn padding_comes_off_again_and_none_is_noticed() {
        let key = Key::new([7; BLOCK]);
        for length in 0..40 {
            let data = vec![0x80; length];
            let encrypted = padded_and_encrypted(&key, [1; BLOCK], &data);
            assert_eq!(encrypted.len(), (length + 1).next_multiple_of(BLOCK));
            assert_eq!(decrypted_and_unpadded(&key, [1; BLOCK], &encrypted), Some(data));
        }
        assert_eq!(decrypted_and_unpadded(&key, [0; BLOCK], &key.encrypted([0; BLOCK])), None);
        assert_eq!(decrypted_and_unpadded(&key, [0; BLOCK], &[0; 15]), None);
        assert_eq!(decrypted_and_unpadded(&key, [0; BLOCK], &[]), None);
    }
}
