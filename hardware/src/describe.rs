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
use crate::product::{
    TYPE_2_VERSION, VERSION_APDU, VERSION_GOES_ON, iso_dep_product, type_2_product,
};

/// READ_CNT of Type 2 cards.
const READ_COUNTER: [u8; 2] = [0x39, 0x02];

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
}
