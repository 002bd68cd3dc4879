//! What a card says of itself to anybody: its product, its counter, what is written on it. For people who
//! hold a card in their hand and want to know what it is; nothing here proves anything.
//!
//! Sources: NTAG213/215/216 rev 3.2, 10.1 (GET_VERSION) and 10.5 (READ_CNT); NT4H2421Gx rev 3.0, 10.5.2
//! and MF3D(H)x3 (GetVersion); MF0AES(H)20 (GET_VERSION).

use crate::authentic::check::{MOST_PAGES, READ_NDEF, SELECT_NDEF_FILE};
use crate::authentic::ev2::SELECT_NTAG_424;
use crate::authentic::ndef::{self, NdefError};
use crate::authentic::sun::SunMessage;
use crate::card::{Broken, CardChannel, Command, Presented, Speaks};

/// GET_VERSION and READ_CNT of Type 2 cards.
pub(crate) const TYPE_2_VERSION: [u8; 1] = [0x60];
const READ_COUNTER: [u8; 2] = [0x39, 0x02];

/// GetVersion of cards that take APDUs, and the command for the rest of its answer.
pub(crate) const VERSION_APDU: [u8; 5] = [0x90, 0x60, 0x00, 0x00, 0x00];
pub(crate) const VERSION_GOES_ON: [u8; 5] = [0x90, 0xaf, 0x00, 0x00, 0x00];

/// The product that has keys of its own among Type 2 cards.
pub(crate) const ULTRALIGHT_AES: &str = "MIFARE Ultralight AES";

/// The product that writes messages.
pub(crate) const NTAG_424: &str = "NTAG 424 DNA";

/// What a card says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// Its product, such as `NTAG213`; nothing where it does not say, or the reader cannot ask.
    pub product: Option<&'static str>,
    /// How often it was read, where it counts and says so.
    pub readings: Option<u32>,
    /// The URL that is written on it, without what its chip adds at each reading, or the types of its
    /// records.
    pub records: Vec<String>,
}

/// Asks a card what it is.
pub fn describe(card: &Presented, channel: &mut dyn CardChannel) -> Description {
    match card.speaks {
        None => Description::default(),
        Some(Speaks::Type2) => {
            let version = channel.exchange(&Command::raw(TYPE_2_VERSION));
            let counter = channel.exchange(&Command::raw(READ_COUNTER));
            Description {
                product: version.ok().as_deref().and_then(type_2_product),
                readings: match counter.as_deref() {
                    Ok([low, middle, high]) => Some(u32::from_le_bytes([*low, *middle, *high, 0])),
                    Ok(_) | Err(_) => None,
                },
                records: memory(channel).map_or_else(
                    |_| Vec::new(),
                    |memory| ndef::type_2_message(&memory).map_or_else(|_| Vec::new(), records),
                ),
            }
        }
        Some(Speaks::IsoDep) => Description {
            product: version(channel).as_deref().and_then(iso_dep_product),
            readings: None,
            records: ndef_file(channel).map_or_else(Vec::new, |file| {
                ndef::type_4_message(&file).map_or_else(|_| Vec::new(), records)
            }),
        },
    }
}

/// The product behind a Type 2 card's version: vendor, type, and size of memory.
pub(crate) fn type_2_product(version: &[u8]) -> Option<&'static str> {
    Some(match version {
        [_, 0x04, 0x04, _, _, _, 0x0b, _] => "NTAG210",
        [_, 0x04, 0x04, _, _, _, 0x0e, _] => "NTAG212",
        [_, 0x04, 0x04, _, _, _, 0x0f, _] => "NTAG213",
        [_, 0x04, 0x04, _, _, _, 0x11, _] => "NTAG215",
        [_, 0x04, 0x04, _, _, _, 0x13, _] => "NTAG216",
        [_, 0x04, 0x03, _, 0x04, _, _, _] => ULTRALIGHT_AES,
        [_, 0x04, 0x03, _, 0x01, _, _, _] => "MIFARE Ultralight EV1",
        _ => return None,
    })
}

pub(crate) fn iso_dep_product(version: &[u8]) -> Option<&'static str> {
    Some(match version {
        [0x04, 0x04, _, 0x30, ..] => NTAG_424,
        [0x04, 0x01, _, 0x12, ..] => "MIFARE DESFire EV2",
        [0x04, 0x01, _, 0x33, ..] => "MIFARE DESFire EV3",
        [0x04, 0x01, _, 0x01, ..] => "MIFARE DESFire EV1",
        _ => return None,
    })
}

/// The hardware's part of the version. The other two parts are taken as well, or the card would take the
/// next command for another.
fn version(channel: &mut dyn CardChannel) -> Option<Vec<u8>> {
    let mut answer = channel.exchange(&Command::apdu(VERSION_APDU)).ok()?;
    let mut hardware = None;
    for _ in 0..3 {
        let (part, status) = answer.split_last_chunk::<2>()?;
        hardware = hardware.or_else(|| Some(part.to_vec()));
        match status {
            [0x91, 0xaf] => answer = channel.exchange(&Command::apdu(VERSION_GOES_ON)).ok()?,
            [0x91, 0x00] => return hardware,
            _ => return None,
        }
    }
    None
}

fn ndef_file(channel: &mut dyn CardChannel) -> Option<Vec<u8>> {
    for selection in [&SELECT_NTAG_424[..], &SELECT_NDEF_FILE] {
        let answer = channel.exchange(&Command::apdu(selection)).ok()?;
        if answer != [0x90, 0x00] {
            return None;
        }
    }
    let answer = channel.exchange(&Command::apdu(READ_NDEF)).ok()?;
    answer.strip_suffix(&[0x90, 0x00]).map(<[u8]>::to_vec)
}

/// A Type 2 card's memory, as far as its message goes.
fn memory(channel: &mut dyn CardChannel) -> Result<Vec<u8>, Broken> {
    let mut memory = Vec::new();
    while memory.len() < usize::from(MOST_PAGES) * 4 {
        let from = u8::try_from(memory.len() / 4).unwrap_or(MOST_PAGES);
        let read = channel.exchange(&Command::ReadPages { from })?;
        let cut_short = read.len() != 16;
        memory.extend(read);
        if cut_short || ndef::type_2_message(&memory) != Err(NdefError::CutShort) {
            break;
        }
    }
    Ok(memory)
}

fn records(message: &[u8]) -> Vec<String> {
    let records = ndef::records(message).unwrap_or_default();
    records
        .iter()
        .map(|record| match record.uri_tail() {
            // What the chip adds would tell the card from others.
            Some(tail) if SunMessage::parse(tail).is_ok() => {
                tail.split(['?', '&']).next().unwrap_or_default().to_owned()
            }
            Some(tail) => tail.to_owned(),
            None => String::from_utf8_lossy(record.kind).into_owned(),
        })
        // Whoever wrote the card does not drive the terminal that shows it.
        .map(|text| text.chars().filter(|c| !c.is_control()).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card that answers with nothing at all, for ever.
    struct Empty;

    impl CardChannel for Empty {
        fn exchange(&mut self, command: &Command) -> Result<Vec<u8>, Broken> {
            Ok(match command {
                Command::ReadPages { from: 0 } => {
                    vec![4, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0xe1, 0x10, 0x12, 0]
                }
                _ => Vec::new(),
            })
        }
    }

    #[test]
    fn a_card_that_says_nothing_is_not_asked_for_ever() {
        let chip = "04784CDAEE3880".parse().unwrap();
        for speaks in [Speaks::Type2, Speaks::IsoDep] {
            let card = Presented { chip, speaks: Some(speaks) };
            assert_eq!(describe(&card, &mut Empty).product, None);
        }
    }

    #[test]
    fn what_stands_on_a_card_does_not_drive_a_terminal() {
        let kind = b"a:b\x1b[2J";
        let record = ndef::Record { format: ndef::TypeFormat::External, kind, payload: &[] };
        assert_eq!(records(&record.message().unwrap()), ["a:b[2J"]);
    }

    #[test]
    fn products_are_known_by_their_versions() {
        for (version, product) in [
            ([0x00, 0x04, 0x04, 0x02, 0x01, 0x00, 0x0f, 0x03], Some("NTAG213")),
            ([0x00, 0x04, 0x04, 0x02, 0x01, 0x00, 0x13, 0x03], Some("NTAG216")),
            ([0x00, 0x04, 0x03, 0x01, 0x04, 0x00, 0x0f, 0x03], Some("MIFARE Ultralight AES")),
            ([0x00, 0x05, 0x04, 0x02, 0x01, 0x00, 0x0f, 0x03], None),
        ] {
            assert_eq!(type_2_product(&version), product, "{version:02X?}");
        }
        assert_eq!(
            iso_dep_product(&[0x04, 0x04, 0x02, 0x30, 0x00, 0x11, 0x05]),
            Some("NTAG 424 DNA")
        );
        assert_eq!(iso_dep_product(&[]), None);
    }
}
