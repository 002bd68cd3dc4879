//! NTAG 424 DNA: the Secure Unique NFC message (SUN, by Secure Dynamic Messaging), which the chip
//! writes into the URL of its NDEF file anew at every reading (AN12196 rev 2.0, 3; NT4H2421Gx rev
//! 3.0, 9.3). AES mode only: a chip in LRP mode is refused for the length of its data.
//!
//! The chip puts into the URL its UID and a counter of readings, encrypted or plain, and a MAC with
//! keys that follow from its own key, the UID and the counter. Parameters go by the names that
//! AN12196 uses:
//!
//! | parameter | holds |
//! | --- | --- |
//! | `picc_data` or `e` | UID and counter, encrypted under the meta read key, which all cards share |
//! | `uid` and `ctr` | or else UID and counter as they are |
//! | `enc` | part of the file, encrypted; optional |
//! | `cmac` or `c` | the MAC: over the text from `enc`'s value to its own, or over nothing where there is no `enc` |
//!
//! What the MAC covers is not for the message to choose: nothing before `enc`'s value is taken into
//! it, so UID and counter are vouched for by the keys, and everything else in the URL by nobody.
//!
//! A message holds until a later one was used. Whoever once holds a card can read a message off it,
//! and bring it on a device that plays a card: so a message counts only if its counter is
//! [new](CounterGuard), and where that is not enough the card itself is asked: [`ev2`](super::ev2).

use crdt_model::ids::{ChipNumber, ChipNumberError};
use data_encoding::HEXUPPER_PERMISSIVE;
use thiserror::Error;

use super::key::{BLOCK, Key, SHORT_MAC};
use super::ndef::{self, NdefError, Record};

/// The names of the parameters. The first is ours.
const CARD_DATA: &[&str] = &["picc_data", "e"];
const UID: &[&str] = &["uid"];
const COUNTER: &[&str] = &["ctr"];
const FILE: &[&str] = &["enc"];
const MAC: &[&str] = &["cmac", "c"];

/// Bytes of the chip's UID and of its counter.
const UID_BYTES: usize = 7;
const COUNTER_BYTES: usize = 3;

/// How decrypted card data begins (PICCDataTag): with UID and counter, the UID of seven bytes.
const UID_AND_COUNTER: u8 = 0xc7;

/// The labels of the two session keys (SV1 and SV2).
const FOR_ENCRYPTION: [u8; 2] = [0xc3, 0x3c];
const FOR_MAC: [u8; 2] = [0x3c, 0xc3];

/// Why a message is none, or does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SunError {
    /// There is no message on the card, or none that can be read.
    #[error(transparent)]
    Ndef(#[from] NdefError),
    /// The card's message has no URL.
    #[error("the card holds no URL")]
    NoUrl,
    /// A parameter is missing.
    #[error("the card's URL has no parameter {parameter}")]
    Missing {
        /// Its name, or the first of its names.
        parameter: &'static str,
    },
    /// A parameter is there twice.
    #[error("the card's URL has the parameter {parameter} twice")]
    Twice {
        /// Its name, or the first of its names.
        parameter: &'static str,
    },
    /// A parameter's value is not hexadecimal, or has the wrong length.
    #[error("the parameter {parameter} of the card's URL is not {bytes} bytes in hexadecimal")]
    Value {
        /// Its name, or the first of its names.
        parameter: &'static str,
        /// The bytes that it must have; for `enc`, a multiple of it.
        bytes: usize,
    },
    /// The encrypted part of the file stands behind the MAC, which then cannot cover it.
    #[error("the card's URL has its MAC before its data")]
    Order,
    /// The card data does not decrypt to UID and counter: it was encrypted with another key.
    #[error("the card data was not encrypted with our key")]
    OtherKey,
    /// UIDs have seven bytes.
    #[error(transparent)]
    Chip(#[from] ChipNumberError),
    /// The MAC is not the chip's.
    #[error("the MAC in the card's URL does not hold")]
    Mac,
}

/// A message as it stands in a URL. It says nothing before [`verify_sun`] has looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SunMessage<'a> {
    card: CardData,
    file: Option<Vec<u8>>,
    /// The text that the MAC is over.
    covered: &'a str,
    mac: [u8; SHORT_MAC],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CardData {
    Encrypted([u8; BLOCK]),
    Plain(Reading),
}

/// One reading of a chip: what its session keys follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    uid: [u8; UID_BYTES],
    /// Least significant byte first.
    counter: [u8; COUNTER_BYTES],
}

/// A message that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sun {
    /// The chip.
    pub uid: ChipNumber,
    /// How often it was read, this time included. 24 bits.
    pub counter: u32,
    /// The part of the file that came encrypted, if there is one.
    pub file: Option<Vec<u8>>,
}

impl<'a> SunMessage<'a> {
    /// The message in an NDEF message (of a Type 4 tag: [`ndef::type_4_message`]): that of its first
    /// URL.
    ///
    /// # Errors
    /// [`SunError::Ndef`], [`SunError::NoUrl`], and those of [`SunMessage::parse`].
    pub fn from_message(message: &'a [u8]) -> Result<Self, SunError> {
        let records = ndef::records(message)?;
        Self::parse(records.iter().find_map(Record::uri_tail).ok_or(SunError::NoUrl)?)
    }

    /// The message in a URL. Its beginning need not be there.
    ///
    /// # Errors
    /// [`SunError::Missing`], [`SunError::Twice`], [`SunError::Value`], [`SunError::Order`].
    pub fn parse(url: &'a str) -> Result<Self, SunError> {
        let query = Query::of(url);
        let mac = query.needs(MAC)?;
        let card = if let Some(data) = query.find(CARD_DATA)? {
            CardData::Encrypted(data.bytes()?)
        } else {
            let (Some(uid), Some(counter)) = (query.find(UID)?, query.find(COUNTER)?) else {
                return Err(SunError::Missing { parameter: CARD_DATA[0] });
            };
            // Plain text has the counter's most significant byte first.
            let mut counter: [u8; COUNTER_BYTES] = counter.bytes()?;
            counter.reverse();
            CardData::Plain(Reading { uid: uid.bytes()?, counter })
        };
        let (file, covered) = match query.find(FILE)? {
            Some(file) => {
                let covered = query.text.get(file.at..mac.at).ok_or(SunError::Order)?;
                (Some(file.blocks()?), covered)
            }
            None => (None, ""),
        };
        Ok(Self { card, file, covered, mac: mac.bytes()? })
    }
}

/// Whether this message is from a card of ours, and from which. `meta_read` is the key that all cards
/// share (with plain UIDs it is not used); `file_read` says what the key of a chip is, as a rule
/// [`diversified`](super::diversify::diversified) from its number.
///
/// It does not know whether the message was used before: ask a [`CounterGuard`].
///
/// # Errors
/// [`SunError::OtherKey`], [`SunError::Mac`].
pub fn verify_sun(
    message: &SunMessage<'_>,
    meta_read: &Key,
    file_read: impl FnOnce(ChipNumber) -> Key,
) -> Result<Sun, SunError> {
    let reading = match message.card {
        CardData::Encrypted(data) => Reading::decrypted(data, meta_read)?,
        CardData::Plain(reading) => reading,
    };
    let uid = ChipNumber::from_bytes(&reading.uid)?;
    let file_read = file_read(uid);
    let mac = reading.session_key(&file_read, FOR_MAC);
    if !mac.mac_holds(message.covered.as_bytes(), message.mac) {
        return Err(SunError::Mac);
    }
    let file = message.file.as_ref().map(|file| reading.file(&file_read, file));
    let [low, middle, high] = reading.counter;
    Ok(Sun { uid, counter: u32::from_le_bytes([low, middle, high, 0]), file })
}

impl Reading {
    fn decrypted(data: [u8; BLOCK], meta_read: &Key) -> Result<Self, SunError> {
        let plain = meta_read.decrypted(data);
        if plain[0] != UID_AND_COUNTER {
            return Err(SunError::OtherKey);
        }
        // Behind them stand random bytes.
        Ok(Self {
            uid: std::array::from_fn(|place| plain[1 + place]),
            counter: std::array::from_fn(|place| plain[1 + UID_BYTES + place]),
        })
    }

    /// A session key (AN12196 rev 2.0, 3.3).
    fn session_key(&self, file_read: &Key, [first, second]: [u8; 2]) -> Key {
        let head = [first, second, 0x00, 0x01, 0x00, 0x80];
        Key::new(file_read.mac(&[&head[..], &self.uid, &self.counter].concat()))
    }

    /// The part of the file that came encrypted (AN12196 rev 2.0, 3.4.3).
    fn file(&self, file_read: &Key, encrypted: &[u8]) -> Vec<u8> {
        let key = self.session_key(file_read, FOR_ENCRYPTION);
        let mut counter = [0; BLOCK];
        counter[..COUNTER_BYTES].copy_from_slice(&self.counter);
        let mut file = encrypted.to_vec();
        key.decrypt(key.encrypted(counter), &mut file);
        file
    }
}

/// A URL's parameters.
struct Query<'a> {
    text: &'a str,
}

/// One parameter: its value, and where in the query it begins.
#[derive(Clone, Copy)]
struct Parameter<'a> {
    name: &'static str,
    at: usize,
    value: &'a str,
}

impl<'a> Query<'a> {
    fn of(url: &'a str) -> Self {
        let before_fragment = url.split_once('#').map_or(url, |(url, _)| url);
        Self { text: before_fragment.split_once('?').map_or("", |(_, query)| query) }
    }

    fn find(&self, names: &'static [&'static str]) -> Result<Option<Parameter<'a>>, SunError> {
        let mut found = None;
        let mut at = 0;
        for part in self.text.split('&') {
            if let Some((name, value)) = part.split_once('=')
                && names.contains(&name)
            {
                let parameter = Parameter { name: names[0], at: at + name.len() + 1, value };
                if found.replace(parameter).is_some() {
                    return Err(SunError::Twice { parameter: names[0] });
                }
            }
            at += part.len() + 1;
        }
        Ok(found)
    }

    fn needs(&self, names: &'static [&'static str]) -> Result<Parameter<'a>, SunError> {
        self.find(names)?.ok_or(SunError::Missing { parameter: names[0] })
    }
}

impl Parameter<'_> {
    fn bytes<const N: usize>(&self) -> Result<[u8; N], SunError> {
        let wrong = SunError::Value { parameter: self.name, bytes: N };
        let bytes = HEXUPPER_PERMISSIVE.decode(self.value.as_bytes()).map_err(|_| wrong)?;
        bytes.try_into().map_err(|_| wrong)
    }

    fn blocks(&self) -> Result<Vec<u8>, SunError> {
        let wrong = SunError::Value { parameter: self.name, bytes: BLOCK };
        let bytes = HEXUPPER_PERMISSIVE.decode(self.value.as_bytes()).map_err(|_| wrong)?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK) {
            return Err(wrong);
        }
        Ok(bytes)
    }
}

/// A message that was used already, or that is older than one that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the card's message {counter} is not new: the last that was used is {last}")]
pub struct Replayed {
    /// The counter of the message.
    pub counter: u32,
    /// The highest counter of this chip that was taken before.
    pub last: u32,
}

/// Says whether a chip's message is new: whoever keeps the counters gives the chip's last one and
/// keeps what comes back.
///
/// Numbers may be left out (a holder reads the card with a telephone), but never come again. Two
/// desks that are apart do not know each other's counters: until they have met, a message that was
/// used at one of them is new to the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CounterGuard {
    last: Option<u32>,
}

impl CounterGuard {
    /// For a chip whose last counter was this; `None` if it was never seen.
    pub fn after(last: Option<u32>) -> Self {
        Self { last }
    }

    /// The guard behind this counter, if it is new.
    ///
    /// # Errors
    /// [`Replayed`].
    pub fn take(self, counter: u32) -> Result<Self, Replayed> {
        match self.last {
            Some(last) if counter <= last => Err(Replayed { counter, last }),
            _ => Ok(Self { last: Some(counter) }),
        }
    }

    /// The highest counter that was taken.
    pub fn last(self) -> Option<u32> {
        self.last
    }
}

#[cfg(test)]
mod tests;
