//! The names of things, as newtypes that parse once: whoever holds a [`UitpasNumber`] holds one
//! that passed the Luhn check.
//!
//! Nothing here knows where a name comes from (a reader, a keyboard, a file).

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The hub's serial number for a pass: a pseudonym, and the only name of a pass in a ledger.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct PassId(#[n(0)] pub u64);

/// The hub's serial number for an activity; the contract's `eventId` stands in the catalogue.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct ActivityId(#[n(0)] pub u32);

/// The hub's serial number for a reward; the contract's `rewardId` stands in the catalogue.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct RewardId(#[n(0)] pub u32);

/// The hub's serial number for a coupon; the contract's coupon id stands in the catalogue.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct CouponId(#[n(0)] pub u32);

/// A card system (a UiTPAS region) by its number in the contract (`CardSystem.id`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct CardSystemId(#[n(0)] pub u32);

/// Writes and reads a type as the string of its `Display` and `FromStr`, for JSON and files.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize<'de>>::deserialize(
                    deserializer,
                )?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// Writes and reads a type as a CBOR string of its `Display` and `FromStr`.
macro_rules! cbor_as_text {
    ($type:ty) => {
        impl<C> Encode<C> for $type {
            fn encode<W: minicbor::encode::Write>(
                &self,
                encoder: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                encoder.str(&self.to_string())?.ok()
            }
        }
        impl<'b, C> Decode<'b, C> for $type {
            fn decode(
                decoder: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                decoder.str()?.parse().map_err(minicbor::decode::Error::custom)
            }
        }
    };
}

/// Why a text is not a UiTPAS number. The text itself is not repeated: it may be somebody's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UitpasNumberError {
    /// It has another number of characters than 13.
    #[error("a UiTPAS number has 13 digits, this has {characters} characters")]
    Length {
        /// How many characters there were.
        characters: usize,
    },
    /// A character is not a digit.
    #[error("character {position} is not a digit")]
    NotADigit {
        /// Its position, counted from 1.
        position: usize,
    },
    /// The Luhn check over all 13 digits fails: a digit was mistyped.
    #[error("the check digit does not fit: a digit was mistyped")]
    Luhn,
}

/// A UiTPAS number: 13 digits that satisfy the Luhn check over all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UitpasNumber([u8; Self::DIGITS]);

impl UitpasNumber {
    /// How many digits a UiTPAS number has.
    pub const DIGITS: usize = 13;

    /// Whether the card was issued with a social tariff: its 12th digit is 1. This says nothing
    /// about the tariff today, and it must never be shown (invariant 11).
    pub fn issued_with_social_tariff(&self) -> bool {
        self.0[11] == b'1'
    }

    /// Digits 8 to 11, enough to tell two rows of a list apart. The last two digits are left out
    /// on purpose: the 12th tells the social tariff (invariant 11) and the 13th follows from it.
    pub fn telling_digits(&self) -> &str {
        self.text().get(7..11).unwrap_or_default()
    }

    /// The 13 digits that begin with these 12: the check digit is worked out. For sample data.
    ///
    /// # Errors
    /// [`UitpasNumberError`] where the text is not 12 digits.
    pub fn with_check_digit(twelve: &str) -> Result<Self, UitpasNumberError> {
        ('0'..='9')
            .find_map(|check| match format!("{twelve}{check}").parse::<Self>() {
                Err(UitpasNumberError::Luhn) => None,
                settled => Some(settled),
            })
            .unwrap_or(Err(UitpasNumberError::Luhn))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for UitpasNumber {
    type Err = UitpasNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(position) = text.chars().position(|c| !c.is_ascii_digit()) {
            return Err(UitpasNumberError::NotADigit { position: position + 1 });
        }
        let digits: [u8; Self::DIGITS] = text
            .as_bytes()
            .try_into()
            .map_err(|_| UitpasNumberError::Length { characters: text.chars().count() })?;
        if luhn_sum(&digits).is_multiple_of(10) {
            Ok(Self(digits))
        } else {
            Err(UitpasNumberError::Luhn)
        }
    }
}

/// The Luhn sum: every second digit from the right doubled, its digits added.
fn luhn_sum(digits: &[u8]) -> u32 {
    digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0');
            if place % 2 == 0 { value } else { value * 2 / 10 + value * 2 % 10 }
        })
        .sum()
}

impl fmt::Display for UitpasNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Shows only the digits that [`UitpasNumber::telling_digits`] shows: numbers do not go to logs.
impl fmt::Debug for UitpasNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UitpasNumber(…{}··)", self.telling_digits())
    }
}

serde_as_text!(UitpasNumber);

/// Why bytes or a text are not a chip number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChipNumberError {
    /// ISO 14443-3 knows UIDs of 4, 7 and 10 bytes only.
    #[error("a chip number has 4, 7 or 10 bytes, this has {bytes}")]
    Length {
        /// How many bytes there were.
        bytes: usize,
    },
    /// A character is not a hexadecimal digit, or one is missing.
    #[error("a chip number is written in hexadecimal digits, two for each byte")]
    NotHexadecimal,
}

/// A chip number: the card's UID (ISO 14443-3), 4, 7 or 10 bytes, shown in upper-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChipNumber {
    length: u8,
    bytes: [u8; 10],
}

impl ChipNumber {
    /// The chip number of these bytes, as a reader gives them.
    ///
    /// # Errors
    /// [`ChipNumberError::Length`] for another length than 4, 7 or 10.
    pub fn from_bytes(uid: &[u8]) -> Result<Self, ChipNumberError> {
        let (length, true) = (uid.len(), matches!(uid.len(), 4 | 7 | 10)) else {
            return Err(ChipNumberError::Length { bytes: uid.len() });
        };
        let mut bytes = [0; 10];
        bytes[..length].copy_from_slice(uid);
        #[allow(clippy::cast_possible_truncation, reason = "length is at most 10")]
        Ok(Self { length: length as u8, bytes })
    }

    /// The UID's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl FromStr for ChipNumber {
    type Err = ChipNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: Vec<u8> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
            .collect::<Option<_>>()
            .ok_or(ChipNumberError::NotHexadecimal)?;
        if !digits.len().is_multiple_of(2) {
            return Err(ChipNumberError::NotHexadecimal);
        }
        let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for ChipNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// Shows only the last byte: chip numbers do not go to logs.
impl fmt::Debug for ChipNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChipNumber(…{:02X})", self.bytes().last().copied().unwrap_or_default())
    }
}

serde_as_text!(ChipNumber);

/// Why a text is not a museumPASS card number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a museumPASS number begins with MPM and has 6 to 17 digits behind it")]
pub struct MuseumPassNumberError;

/// A museumPASSmusées card number. The partner API calls it `cardNumber` and leaves its form open;
/// Stempel's catalogues write it as `MPM` and digits, so that it can never be taken for a UiTPAS
/// number or a chip number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MuseumPassNumber(String);

impl FromStr for MuseumPassNumber {
    type Err = MuseumPassNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.to_ascii_uppercase();
        match upper.strip_prefix("MPM") {
            Some(digits)
                if (6..=17).contains(&digits.len())
                    && digits.bytes().all(|b| b.is_ascii_digit()) =>
            {
                Ok(Self(upper))
            }
            _ => Err(MuseumPassNumberError),
        }
    }
}

impl fmt::Display for MuseumPassNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MuseumPassNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MuseumPassNumber(…{})", &self.0[self.0.len() - 2..])
    }
}

serde_as_text!(MuseumPassNumber);

/// Why a text is not the number of an external card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "an external card is written as its type, a colon and its number, as in museumkaart:12345678"
)]
pub struct ExternalCardError;

/// An admission pass of another platform (a Museumkaart, a member card): its type, as the policy
/// names it, and the number that it carries. As text `museumkaart:12345678`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalCard {
    card_type: String,
    number: String,
}

impl ExternalCard {
    /// The card's type: small letters, digits and hyphens.
    pub fn card_type(&self) -> &str {
        &self.card_type
    }
}

impl FromStr for ExternalCard {
    type Err = ExternalCardError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (card_type, number) = text.split_once(':').ok_or(ExternalCardError)?;
        let card_type = card_type.to_ascii_lowercase();
        let named = (2..=24).contains(&card_type.len())
            && card_type.starts_with(|c: char| c.is_ascii_lowercase())
            && card_type.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let numbered =
            (4..=32).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_alphanumeric());
        if named && numbered {
            Ok(Self { card_type, number: number.to_ascii_uppercase() })
        } else {
            Err(ExternalCardError)
        }
    }
}

impl fmt::Display for ExternalCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.card_type, self.number)
    }
}

/// Shows only the type: numbers do not go to logs.
impl fmt::Debug for ExternalCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExternalCard({}:…)", self.card_type)
    }
}

serde_as_text!(ExternalCard);

/// How a catalogue names a card without holding its number: 16 bytes of HMAC-SHA256 under the
/// venue's look-up key.
pub type CardKey = [u8; 16];

/// Why a text names no card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdentificationError {
    /// Thirteen digits or nearly so: meant as a UiTPAS number, and wrong.
    #[error(transparent)]
    UitpasNumber(#[from] UitpasNumberError),
    /// Nothing that a card carries looks like this.
    #[error(
        "this is neither a chip number (8, 14 or 20 hexadecimal digits), nor a UiTPAS number (13 digits), nor a museumPASS number (MPM and digits), nor an external card (its type, a colon and its number)"
    )]
    Unrecognised,
}

/// What a visitor's card says of itself: what a reader reads or a volunteer types.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identification {
    /// The chip's UID.
    Chip(ChipNumber),
    /// The number printed on a UiTPAS.
    Uitpas(UitpasNumber),
    /// The number printed on a museumPASSmusées.
    MuseumPass(MuseumPassNumber),
    /// An admission pass of another platform.
    External(ExternalCard),
}

impl FromStr for Identification {
    type Err = IdentificationError;

    /// The forms never meet: a chip number has 8, 14 or 20 characters, a UiTPAS number 13, a
    /// museumPASS number begins with a letter that is not hexadecimal; an external card has a colon
    /// behind its type, which is longer than the two digits between colons in a chip number or not
    /// hexadecimal. Blanks and hyphens that people type between groups are passed over.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain: String =
            text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | ':')).collect();
        if let Ok(chip) = plain.parse() {
            return Ok(Self::Chip(chip));
        }
        if let Ok(number) = plain.parse() {
            return Ok(Self::MuseumPass(number));
        }
        if let Ok(card) = text.trim().parse() {
            return Ok(Self::External(card));
        }
        match plain.parse::<UitpasNumber>() {
            Ok(number) => Ok(Self::Uitpas(number)),
            Err(wrong) if !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit()) => {
                Err(wrong.into())
            }
            Err(_) => Err(IdentificationError::Unrecognised),
        }
    }
}

impl fmt::Display for Identification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chip(chip) => chip.fmt(f),
            Self::Uitpas(number) => number.fmt(f),
            Self::MuseumPass(number) => number.fmt(f),
            Self::External(card) => card.fmt(f),
        }
    }
}

serde_as_text!(Identification);

/// Why a text is not a name of a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a venue's id has 1 to 40 characters: small letters, digits and hyphens")]
pub struct VenueIdError;

/// A venue's id: a short name that can stand in a path, such as `museum-de-reede`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueId(String);

impl VenueId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VenueId {
    type Err = VenueIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(VenueIdError) }
    }
}

impl fmt::Display for VenueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(VenueId);

cbor_as_text!(VenueId);

/// Why a text is no organiser's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an organiser's id has 1 to 40 characters: letters, digits and hyphens")]
pub struct OrganiserIdError;

/// An organiser by its id in the contract (`Organizer.id`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganiserId(String);

impl FromStr for OrganiserId {
    type Err = OrganiserIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(OrganiserIdError) }
    }
}

impl fmt::Display for OrganiserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(OrganiserId);
cbor_as_text!(OrganiserId);

/// Why a text or bytes are not a device or a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a device is written as 32 hexadecimal digits, a writer as a device, a full stop and 8 more"
)]
pub struct DeviceIdError;

/// A desk's name: the first 16 bytes of the SHA-256 of its public key, so that whoever shows a key
/// shows whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub [u8; 16]);

impl DeviceId {
    /// The device that holds this Ed25519 public key.
    pub fn of_public_key(public_key: &[u8]) -> Self {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(public_key);
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

impl FromStr for DeviceId {
    type Err = DeviceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; 16];
        if text.len() != 32 || !text.is_ascii() {
            return Err(DeviceIdError);
        }
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| DeviceIdError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| DeviceIdError)?;
        }
        Ok(Self(id))
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

serde_as_text!(DeviceId);

/// Who writes one list of a ledger: a device in one epoch (one run of its daemon). It is the
/// Automerge actor of that list's changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer {
    /// The desk.
    pub device: DeviceId,
    /// Its incarnation. A desk never goes on with a list of an earlier one.
    pub epoch: u32,
}

impl Writer {
    /// The 20 bytes of the writer: the device, then the epoch, big-endian.
    pub fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(&self.device.0);
        bytes[16..].copy_from_slice(&self.epoch.to_be_bytes());
        bytes
    }

    /// The writer of these 20 bytes.
    ///
    /// # Errors
    /// [`DeviceIdError`] for another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DeviceIdError> {
        let (device, epoch) = bytes.split_first_chunk::<16>().ok_or(DeviceIdError)?;
        let epoch = <[u8; 4]>::try_from(epoch).map_err(|_| DeviceIdError)?;
        Ok(Self { device: DeviceId(*device), epoch: u32::from_be_bytes(epoch) })
    }
}

impl FromStr for Writer {
    type Err = DeviceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (device, epoch) = text.split_once('.').ok_or(DeviceIdError)?;
        if epoch.len() != 8 {
            return Err(DeviceIdError);
        }
        let epoch = u32::from_str_radix(epoch, 16).map_err(|_| DeviceIdError)?;
        Ok(Self { device: device.parse()?, epoch })
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08x}", self.device, self.epoch)
    }
}

serde_as_text!(Writer);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_public_test_dataset_pass_luhn_and_tell_their_tariff() {
        for (text, social) in
            [("0900000095902", false), ("0900000067513", true), ("1000000520006", false)]
        {
            let number: UitpasNumber = text.parse().unwrap();
            assert_eq!(number.to_string(), text);
            assert_eq!(number.issued_with_social_tariff(), social, "{text}");
        }
    }

    #[test]
    fn a_mistyped_uitpas_number_is_told_apart_from_a_short_one() {
        assert_eq!("0900000095903".parse::<UitpasNumber>(), Err(UitpasNumberError::Luhn));
        assert_eq!(
            "090000009590".parse::<UitpasNumber>(),
            Err(UitpasNumberError::Length { characters: 12 })
        );
        assert_eq!(
            "09000000959O2".parse::<UitpasNumber>(),
            Err(UitpasNumberError::NotADigit { position: 12 })
        );
    }

    #[test]
    fn telling_digits_and_debug_hide_the_tariff_digit() {
        let without = UitpasNumber::with_check_digit("090000009590").unwrap();
        let with = UitpasNumber::with_check_digit("090000009591").unwrap();
        assert_eq!(without.telling_digits(), with.telling_digits());
        assert_eq!(format!("{without:?}"), format!("{with:?}"));
    }

    #[test]
    fn a_text_is_a_chip_number_a_uitpas_number_or_a_museumpass_number() {
        assert!(matches!("04784CDAEE3880".parse(), Ok(Identification::Chip(_))));
        assert!(matches!("04:78:4c:da".parse(), Ok(Identification::Chip(_))));
        assert!(matches!("090 000 009 5902".parse(), Ok(Identification::Uitpas(_))));
        assert!(matches!("mpm00012345".parse(), Ok(Identification::MuseumPass(_))));
        assert!(matches!("Museumkaart:12345678".parse(), Ok(Identification::External(_))));
        assert_eq!("0900000095903".parse::<Identification>(), Err(UitpasNumberError::Luhn.into()));
        assert_eq!("hello".parse::<Identification>(), Err(IdentificationError::Unrecognised));
        assert_eq!("".parse::<Identification>(), Err(IdentificationError::Unrecognised));
    }

    #[test]
    fn chip_numbers_have_four_seven_or_ten_bytes() {
        assert_eq!("04784cdaee3880".parse::<ChipNumber>().unwrap().to_string(), "04784CDAEE3880");
        assert_eq!(ChipNumber::from_bytes(&[1; 5]), Err(ChipNumberError::Length { bytes: 5 }));
        assert_eq!("04784CDAEE388".parse::<ChipNumber>(), Err(ChipNumberError::NotHexadecimal));
    }

    #[test]
    fn a_writer_survives_its_text_and_its_bytes() {
        let writer = Writer { device: DeviceId::of_public_key(b"key"), epoch: 0xdead_beef };
        assert_eq!(writer.to_string().parse(), Ok(writer));
        assert_eq!(Writer::from_bytes(&writer.to_bytes()), Ok(writer));
    }
}
