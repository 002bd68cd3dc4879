//! A card on a reader, as whoever asks it sees it: what kind it is, what may be said to it, and what
//! comes back. Readers carry the bytes ([`CardChannel`]); what they mean is [`crate::authentic`]'s
//! business, and who asks is the reader's [`Attendant`]'s.

use crdt_model::ids::ChipNumber;
use data_encoding::HEXUPPER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Bytes of a command at the most: a short APDU with its header, lengths and 255 bytes of data.
pub const MAX_COMMAND: usize = 261;

/// Bytes of an answer at the most: 256 and a status.
pub const MAX_ANSWER: usize = 258;

/// What a card answered. As text: upper-case hexadecimal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answered(
    #[serde(serialize_with = "to_hex", deserialize_with = "of_hex")]
    /// The bytes.
    pub Vec<u8>,
);

/// How a card talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speaks {
    /// In pages of four bytes (NFC Forum Type 2: NTAG21x, Ultralight).
    #[serde(rename = "type-2")]
    Type2,
    /// In APDUs (ISO 14443-4: NTAG 424 DNA, DESFire, telephones).
    IsoDep,
}

impl Speaks {
    /// What a card's SAK says (NXP AN10833, 3.2): bit 6 is ISO 14443-4; of the others only one that is
    /// zero is Type 2. A MIFARE Classic says neither, and is asked nothing.
    pub fn of_sak(sak: u8) -> Option<Self> {
        match sak {
            sak if sak & 0x20 != 0 => Some(Self::IsoDep),
            0 => Some(Self::Type2),
            _ => None,
        }
    }
}

/// A card that was just put on a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// Its chip number.
    pub chip: ChipNumber,
    /// How it talks; nothing where it can be asked for nothing but its number.
    pub speaks: Option<Speaks>,
}

/// What is said to a card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Command {
    /// Of a Type 2 card: the sixteen bytes from this page on.
    ReadPages {
        /// The first of four pages.
        from: u8,
    },
    /// Of a Type 2 card: four bytes are written. The answer is empty.
    WritePage {
        /// Which page.
        page: u8,
        /// What.
        #[serde(serialize_with = "to_hex", deserialize_with = "four_of_hex")]
        data: [u8; 4],
    },
    /// Of a Type 2 card: one of its own commands, without its CRC. Not every reader can.
    Raw {
        /// The command.
        #[serde(serialize_with = "to_hex", deserialize_with = "of_hex")]
        bytes: Vec<u8>,
    },
    /// The card is selected anew, as if it had just been put there: what was begun with it is over, and keys
    /// that were written count. The answer is empty.
    SelectAnew,
    /// Of an ISO-DEP card: an APDU. The answer ends with its status.
    Apdu {
        /// The APDU.
        #[serde(serialize_with = "to_hex", deserialize_with = "of_hex")]
        bytes: Vec<u8>,
    },
}

impl Command {
    /// An APDU.
    pub fn apdu(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Apdu { bytes: bytes.into() }
    }

    /// One of a Type 2 card's own commands.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Raw { bytes: bytes.into() }
    }
}

/// Shows what is asked and nothing of what is written: keys are written so.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ReadPages { from } => write!(f, "ReadPages({from})"),
            Self::WritePage { page, .. } => write!(f, "WritePage({page})"),
            Self::SelectAnew => f.write_str("SelectAnew"),
            Self::Raw { bytes } => write!(f, "Raw({} bytes)", bytes.len()),
            Self::Apdu { bytes } => write!(f, "Apdu({} bytes)", bytes.len()),
        }
    }
}

fn to_hex<S: Serializer>(bytes: impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&HEXUPPER.encode(bytes.as_ref()))
}

fn of_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = HEXUPPER.decode(text.as_bytes()).map_err(de::Error::custom)?;
    if bytes.len() > MAX_COMMAND {
        return Err(de::Error::custom("cards are told and say 261 bytes at the most"));
    }
    Ok(bytes)
}

fn four_of_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 4], D::Error> {
    of_hex(deserializer)?.try_into().map_err(|_| de::Error::custom("a page has four bytes"))
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broken {
    /// Nothing came in time, or what came was damaged: as a rule the card was taken away.
    #[error("the card does not answer: hold it on the reader until it is done")]
    Gone,
    /// The card said no (NAK).
    #[error("the card refused the command")]
    Refused,
    /// The reader cannot say this to a card.
    #[error("this reader cannot ask the card that")]
    Unsupported,
}

/// A card that can be talked with, for as long as it lies on its reader.
pub trait CardChannel {
    /// Says this to the card, and gives its answer.
    ///
    /// # Errors
    /// [`Broken`].
    fn exchange(&mut self, command: &Command) -> Result<Vec<u8>, Broken>;
}

/// Talks with each card that is put on a reader, before the tap is said. It runs on the reader's
/// thread, and the tap waits for it.
pub trait Attendant: Send + Sync {
    /// Talks with a card. What comes back is given on with the tap: the name of the check that
    /// whoever holds the keys has made.
    fn attend(&self, card: &Presented, channel: &mut dyn CardChannel) -> Option<String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_their_text_and_show_nothing_of_what_is_written() {
        for (command, json) in [
            (Command::ReadPages { from: 4 }, r#"{"kind":"read-pages","from":4}"#),
            (
                Command::WritePage { page: 5, data: [1, 2, 3, 0xff] },
                r#"{"kind":"write-page","page":5,"data":"010203FF"}"#,
            ),
            (Command::SelectAnew, r#"{"kind":"select-anew"}"#),
            (Command::raw([0x1a, 0]), r#"{"kind":"raw","bytes":"1A00"}"#),
            (Command::apdu([0, 0xa4]), r#"{"kind":"apdu","bytes":"00A4"}"#),
        ] {
            assert_eq!(serde_json::to_string(&command).unwrap(), json);
            assert_eq!(serde_json::from_str::<Command>(json).unwrap(), command);
        }
        assert_eq!(serde_json::to_string(&Speaks::Type2).unwrap(), "\"type-2\"");
        assert_eq!(serde_json::to_string(&Speaks::IsoDep).unwrap(), "\"iso-dep\"");
        assert_eq!(format!("{:?}", Command::apdu([0xaa; 40])), "Apdu(40 bytes)");
        for wrong in [
            r#"{"kind":"write-page","page":5,"data":"0102"}"#,
            r#"{"kind":"apdu","bytes":"0"}"#,
            &format!(r#"{{"kind":"apdu","bytes":"{}"}}"#, "00".repeat(262)),
        ] {
            assert!(serde_json::from_str::<Command>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sak_says_how_a_card_talks() {
        for (sak, speaks) in [
            (0x00, Some(Speaks::Type2)),
            (0x20, Some(Speaks::IsoDep)),
            (0x28, Some(Speaks::IsoDep)),
            (0x08, None),
            (0x18, None),
            (0x04, None),
        ] {
            assert_eq!(Speaks::of_sak(sak), speaks, "{sak:02X}");
        }
    }
}
