//! Secure Dynamic Messaging: what an NTAG 424 DNA writes into its NDEF file when somebody reads it
//! (NT4H2421Gx rev 3.0, 9.3 and 10.7.1). UID and counter are mirrored encrypted, and a MAC behind
//! them; the other ways that the chip knows are refused.

use super::aes::BLOCK;
use super::iso_dep::{StoredKey, status};
use crate::authentic::Key;

/// SDMOptions: UID and counter are mirrored, in ASCII.
const UID_AND_COUNTER_IN_ASCII: u8 = 0xc1;

/// How the card data begins: with both, the UID of seven bytes.
const TAG: u8 = 0xc7;

/// The access right that nobody has.
const NEVER: u8 = 0x0f;

/// ASCII digits of the card data and of the MAC.
const CARD_DATA_DIGITS: usize = 2 * BLOCK;
const MAC_DIGITS: usize = 16;

/// Where and with which keys a file mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sdm {
    /// The number of the key of the card data.
    meta_read: usize,
    card_data_at: usize,
    mac: Option<MacMirror>,
    /// The settings as they were given.
    pub(super) settings: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct MacMirror {
    file_read: usize,
    /// Where the text begins that the MAC is over. It ends where the MAC begins.
    from: usize,
    at: usize,
}

/// What one reading shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) uid: [u8; 7],
    /// 24 bits.
    pub(super) counter: u32,
    pub(super) random: [u8; 5],
}

impl Sdm {
    /// The settings that ChangeFileSettings gives behind the access rights, for a file of this size.
    pub(super) fn parse(settings: &[u8], size: usize) -> Result<Self, u16> {
        let [options, rights_low, rights_high, offsets @ ..] = settings else {
            return Err(status::LENGTH);
        };
        let (meta_read, file_read) = (rights_high >> 4, rights_high & 0x0f);
        let is_key = |right: u8| right < 5;
        // The low byte is the right to ask for the counter, below four bits without a meaning.
        if *options != UID_AND_COUNTER_IN_ASCII
            || !is_key(meta_read)
            || !(is_key(file_read) || file_read == NEVER)
            || rights_low >> 4 != NEVER
        {
            return Err(status::PARAMETER);
        }
        let (offsets, []) = offsets.as_chunks::<3>() else { return Err(status::LENGTH) };
        let offsets: Vec<usize> = offsets
            .iter()
            .map(|[low, middle, high]| {
                usize::from(*low) | usize::from(*middle) << 8 | usize::from(*high) << 16
            })
            .collect();
        let (card_data_at, mac) = match (offsets[..].split_first(), file_read) {
            (Some((card_data_at, [])), NEVER) => (*card_data_at, None),
            (Some((card_data_at, [from, at])), 0..5) => {
                let file_read = usize::from(file_read);
                (*card_data_at, Some(MacMirror { file_read, from: *from, at: *at }))
            }
            _ => return Err(status::LENGTH),
        };
        let fits = |at: usize, digits: usize| at + digits <= size;
        let mac_fits = mac.as_ref().is_none_or(|mac| {
            let apart =
                mac.at >= card_data_at + CARD_DATA_DIGITS || mac.at + MAC_DIGITS <= card_data_at;
            fits(mac.at, MAC_DIGITS) && mac.from <= mac.at && apart
        });
        if !fits(card_data_at, CARD_DATA_DIGITS) || !mac_fits {
            return Err(status::PARAMETER);
        }
        let meta_read = usize::from(meta_read);
        Ok(Self { meta_read, card_data_at, mac, settings: settings.to_vec() })
    }

    /// The file as this reading shows it.
    pub(super) fn mirrored(
        &self,
        file: &[u8],
        reading: &Reading,
        keys: &[StoredKey; 5],
    ) -> Vec<u8> {
        let mut file = file.to_vec();
        let key = |number: usize| Key::new(keys[number].bytes);
        let [low, middle, high, _] = reading.counter.to_le_bytes();
        let mut card_data = [TAG; BLOCK];
        card_data[1..8].copy_from_slice(&reading.uid);
        card_data[8..11].copy_from_slice(&[low, middle, high]);
        card_data[11..].copy_from_slice(&reading.random);
        let card_data = key(self.meta_read).encrypted(card_data);
        write_digits(&mut file, self.card_data_at, &card_data);
        if let Some(mac) = &self.mac {
            // SV2 (9.3.9.1).
            let mut vector = [0x3c, 0xc3, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, low, middle, high];
            vector[6..13].copy_from_slice(&reading.uid);
            let session = Key::new(key(mac.file_read).mac(&vector));
            let short = session.short_mac(&file[mac.from..mac.at]);
            write_digits(&mut file, mac.at, &short);
        }
        file
    }
}

fn write_digits(file: &mut [u8], at: usize, bytes: &[u8]) {
    let digits = data_encoding::HEXUPPER.encode(bytes);
    file[at..at + digits.len()].copy_from_slice(digits.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_taken_only_if_the_mirrors_lie_in_the_file_and_apart() {
        let parsed = |settings: &[u8]| Sdm::parse(settings, 256).map(|_| ());
        let good = [0xc1, 0xf1, 0x21, 0x20, 0, 0, 0x43, 0, 0, 0x43, 0, 0];
        assert_eq!(parsed(&good), Ok(()));
        assert_eq!(parsed(&[0xc1, 0xff, 0x2f, 0x20, 0, 0]), Ok(()), "no MAC");
        assert_eq!(parsed(&good[..11]), Err(status::LENGTH));
        assert_eq!(parsed(&good[..6]), Err(status::LENGTH));
        for (at, byte) in [(0, 0xd1), (0, 0x81), (1, 0x01), (2, 0xe1), (2, 0x51), (4, 1), (3, 0x40)]
        {
            let mut wrong = good;
            wrong[at] = byte;
            assert_eq!(parsed(&wrong), Err(status::PARAMETER), "{byte:02X} at {at}");
        }
        let mut backwards = good;
        backwards[6] = 0x44;
        assert_eq!(parsed(&backwards), Err(status::PARAMETER));
    }
}
