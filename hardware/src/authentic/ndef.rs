//! NFC Forum data on a card, as far as a check needs it: the message in the memory of a Type 2 tag
//! (NTAG21x, Ultralight) or in the file of a Type 4 tag (NTAG 424 DNA), and the records of a message
//! (NFC Forum: Type 2 Tag 1.2, Type 4 Tag 1.2, NDEF 1.0, URI Record Type Definition 1.0).
//!
//! No crate does it for us: `ndef` 0.7 is under the GPL, which our licence check does not take, and
//! `ndef-rs` 0.2 writes tag memory but does not read it, and takes as much memory as a record's length
//! asks for (4 GiB) before it looks whether the record is there.

use thiserror::Error;

/// The first page of a Type 2 tag that holds data, and the length of a page.
const DATA_BEGINS: usize = 4 * PAGE;
const PAGE: usize = 4;

/// The capability container of a Type 2 tag: that it is one, and its size in eighths.
const MAGIC: u8 = 0xe1;
const MAGIC_AT: usize = 12;
const SIZE_AT: usize = 14;

/// TLV blocks without a length: one that is skipped, and the end.
const NULL: u8 = 0x00;
const TERMINATOR: u8 = 0xfe;

/// The TLV block that holds the message.
const MESSAGE: u8 = 0x03;

/// A TLV block with this length has it in the two bytes behind.
const LONG: u8 = 0xff;

/// A record's flags.
const MESSAGE_BEGIN: u8 = 0x80;
const MESSAGE_END: u8 = 0x40;
const CHUNK: u8 = 0x20;
const SHORT: u8 = 0x10;
const HAS_ID: u8 = 0x08;
const FORMAT: u8 = 0x07;

/// Why there is no message, or none that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NdefError {
    /// The memory is not that of a tag that was formatted for NDEF.
    #[error("the tag is not formatted for NDEF")]
    NotFormatted,
    /// The tag holds no message.
    #[error("the tag holds no message")]
    NoMessage,
    /// A length points beyond the end, or what was read is not all.
    #[error("the message is cut short")]
    CutShort,
    /// A record in pieces. Nobody writes such on a card.
    #[error("the message has a record in pieces")]
    Chunked,
    /// Flags or a type that no record has.
    #[error("the message has a malformed record")]
    Malformed,
}

/// How a record's type is to be read (TNF).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeFormat {
    /// There is no record here.
    Empty = 0,
    /// One of the NFC Forum's own.
    WellKnown = 1,
    /// A media type.
    Media = 2,
    /// A URI.
    AbsoluteUri = 3,
    /// `domain:name`.
    External = 4,
    /// None is given.
    Unknown = 5,
}

/// One record of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// How the type is to be read.
    pub format: TypeFormat,
    /// The type.
    pub kind: &'a [u8],
    /// What the record holds.
    pub payload: &'a [u8],
}

/// The message in the memory of a Type 2 tag, which begins at page 0. Pages behind the message need
/// not have been read.
///
/// # Errors
/// [`NdefError::NotFormatted`], [`NdefError::NoMessage`], [`NdefError::CutShort`].
pub fn type_2_message(memory: &[u8]) -> Result<&[u8], NdefError> {
    if memory.get(MAGIC_AT) != Some(&MAGIC) {
        return Err(NdefError::NotFormatted);
    }
    let size = memory.get(SIZE_AT).map_or(0, |eighths| usize::from(*eighths) * 8);
    let mut rest = memory.get(DATA_BEGINS..).ok_or(NdefError::CutShort)?;
    let whole = rest.len() >= size;
    rest = &rest[..rest.len().min(size)];
    loop {
        let (kind, behind) = match rest {
            [] if !whole => return Err(NdefError::CutShort),
            [] | [TERMINATOR, ..] => return Err(NdefError::NoMessage),
            [NULL, behind @ ..] => {
                rest = behind;
                continue;
            }
            [kind, behind @ ..] => (*kind, behind),
        };
        let (length, behind) = match behind {
            [LONG, high, low, behind @ ..] => (u16::from_be_bytes([*high, *low]), behind),
            [LONG, ..] | [] => return Err(NdefError::CutShort),
            [length, behind @ ..] => (u16::from(*length), behind),
        };
        let (value, behind) =
            behind.split_at_checked(usize::from(length)).ok_or(NdefError::CutShort)?;
        if kind == MESSAGE {
            return if value.is_empty() { Err(NdefError::NoMessage) } else { Ok(value) };
        }
        rest = behind;
    }
}

/// What a message looks like in the data pages of a Type 2 tag: to be written from page 4 on, whole
/// pages. `None` where it is longer than any tag.
pub fn type_2_pages(message: &[u8]) -> Option<Vec<u8>> {
    let mut pages = vec![MESSAGE];
    match u8::try_from(message.len()) {
        Ok(length) if length != LONG => pages.push(length),
        _ => {
            pages.push(LONG);
            pages.extend(u16::try_from(message.len()).ok()?.to_be_bytes());
        }
    }
    pages.extend_from_slice(message);
    pages.push(TERMINATOR);
    pages.resize(pages.len().next_multiple_of(PAGE), NULL);
    Some(pages)
}

/// The message in the NDEF file of a Type 4 tag: behind its length, of two bytes.
///
/// # Errors
/// [`NdefError::NoMessage`], [`NdefError::CutShort`].
pub fn type_4_message(file: &[u8]) -> Result<&[u8], NdefError> {
    let (length, rest) = file.split_first_chunk().ok_or(NdefError::CutShort)?;
    match usize::from(u16::from_be_bytes(*length)) {
        0 => Err(NdefError::NoMessage),
        length => rest.get(..length).ok_or(NdefError::CutShort),
    }
}

/// The records of a message.
///
/// # Errors
/// [`NdefError::CutShort`], [`NdefError::Chunked`], [`NdefError::Malformed`].
pub fn records(message: &[u8]) -> Result<Vec<Record<'_>>, NdefError> {
    let mut records = Vec::new();
    let mut rest = Reading(message);
    loop {
        let [flags, kind_length] = rest.array()?;
        if (flags & MESSAGE_BEGIN != 0) != records.is_empty() {
            return Err(NdefError::Malformed);
        }
        if flags & CHUNK != 0 {
            return Err(NdefError::Chunked);
        }
        let payload_length = if flags & SHORT == 0 {
            u32::from_be_bytes(rest.array()?)
        } else {
            let [length] = rest.array()?;
            length.into()
        };
        let [id_length] = if flags & HAS_ID == 0 { [0] } else { rest.array()? };
        let kind = rest.slice(kind_length.into())?;
        rest.slice(id_length.into())?;
        let payload = rest.slice(payload_length)?;
        records.push(Record { format: format(flags)?, kind, payload });
        if flags & MESSAGE_END != 0 {
            return Ok(records);
        }
    }
}

fn format(flags: u8) -> Result<TypeFormat, NdefError> {
    Ok(match flags & FORMAT {
        0 => TypeFormat::Empty,
        1 => TypeFormat::WellKnown,
        2 => TypeFormat::Media,
        3 => TypeFormat::AbsoluteUri,
        4 => TypeFormat::External,
        5 => TypeFormat::Unknown,
        // Goes on with the record before, in pieces.
        6 => return Err(NdefError::Chunked),
        _ => return Err(NdefError::Malformed),
    })
}

impl<'a> Record<'a> {
    /// The URI of a URI record, less its beginning (`https://` and the like), which the record has as
    /// a number.
    pub fn uri_tail(&self) -> Option<&'a str> {
        match (self.format, self.kind, self.payload) {
            (TypeFormat::WellKnown, b"U", [_, tail @ ..]) => str::from_utf8(tail).ok(),
            _ => None,
        }
    }

    /// The message that holds this record alone. `None` where a length does not fit: a type has at
    /// most 255 bytes.
    pub fn message(&self) -> Option<Vec<u8>> {
        let flags = MESSAGE_BEGIN | MESSAGE_END | self.format as u8;
        let kind_length = u8::try_from(self.kind.len()).ok()?;
        let mut message = if let Ok(length) = u8::try_from(self.payload.len()) {
            vec![flags | SHORT, kind_length, length]
        } else {
            let length = u32::try_from(self.payload.len()).ok()?;
            [&[flags, kind_length][..], &length.to_be_bytes()].concat()
        };
        message.extend_from_slice(self.kind);
        message.extend_from_slice(self.payload);
        Some(message)
    }
}

/// What is still to be read.
struct Reading<'a>(&'a [u8]);

impl<'a> Reading<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], NdefError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(NdefError::CutShort)?;
        self.0 = rest;
        Ok(*array)
    }

    fn slice(&mut self, length: u32) -> Result<&'a [u8], NdefError> {
        let length = usize::try_from(length).map_err(|_| NdefError::CutShort)?;
        let (slice, rest) = self.0.split_at_checked(length).ok_or(NdefError::CutShort)?;
        self.0 = rest;
        Ok(slice)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pages 0 to 3 of an NTAG213 as it comes: chip number, locks, capability container.
    const NTAG213: [u8; 16] = [4, 1, 2, 0x8f, 3, 4, 5, 6, 4, 0x48, 0, 0, 0xe1, 0x10, 0x12, 0x00];

    fn memory(data: &[u8]) -> Vec<u8> {
        [&NTAG213[..], data].concat()
    }

    #[test]
    fn a_message_is_found_behind_the_lock_control_block_that_the_factory_writes() {
        let data = [1, 3, 0xa0, 0x0c, 0x34, 0, 0, 3, 3, 0xd0, 0, 0, 0xfe, 9];
        assert_eq!(type_2_message(&memory(&data)), Ok(&[0xd0, 0, 0][..]));
    }

    #[test]
    fn a_tag_without_a_message_says_what_is_the_matter() {
        assert_eq!(type_2_message(&[0; 64]), Err(NdefError::NotFormatted));
        assert_eq!(type_2_message(&[]), Err(NdefError::NotFormatted));
        assert_eq!(type_2_message(&NTAG213[..13]), Err(NdefError::CutShort));
        for data in [&[3, 0, 0xfe][..], &[0xfe, 3, 1, 1], &[0; 144]] {
            assert_eq!(type_2_message(&memory(data)), Err(NdefError::NoMessage), "{data:?}");
        }
        // Of two of these, the rest was not read yet.
        for data in [&[0; 40][..], &[], &[3], &[3, 5, 1], &[3, 0xff, 0], &[1, 0xff, 0, 9, 3, 1, 1]]
        {
            assert_eq!(type_2_message(&memory(data)), Err(NdefError::CutShort), "{data:?}");
        }
    }

    #[test]
    fn a_message_does_not_reach_beyond_the_size_that_the_tag_states() {
        let mut beyond = memory(&[3, 200]);
        beyond.resize(16 + 400, 0xd0);
        assert_eq!(type_2_message(&beyond), Err(NdefError::CutShort));
    }

    #[test]
    fn a_long_message_has_its_length_in_three_bytes() {
        let mut roomy = NTAG213;
        roomy[14] = 0x6d;
        for length in [1, 253, 254, 255, 256, 800] {
            let message = vec![7; length];
            let pages = type_2_pages(&message).unwrap();
            assert_eq!(pages.len() % 4, 0);
            assert_eq!(type_2_message(&[&roomy[..], &pages].concat()), Ok(&message[..]));
        }
        assert_eq!(type_2_pages(&vec![7; 0x1_0000]), None);
    }

    #[test]
    fn a_type_4_file_holds_its_message_behind_its_length() {
        assert_eq!(type_4_message(&[0, 2, 0xd0, 1, 9]), Ok(&[0xd0, 1][..]));
        assert_eq!(type_4_message(&[0, 0, 1]), Err(NdefError::NoMessage));
        assert_eq!(type_4_message(&[0, 2, 1]), Err(NdefError::CutShort));
        assert_eq!(type_4_message(&[0]), Err(NdefError::CutShort));
    }

    #[test]
    fn records_are_read_with_and_without_an_id_short_and_long() {
        let message = [
            &[0x99, 1, 2, 1, b'U', b'i', 4, b'x'][..],
            &[0x44, 3, 0, 0, 0, 2, b'a', b':', b'b', 8, 9],
        ]
        .concat();
        let read = records(&message).unwrap();
        assert_eq!(read[0].uri_tail(), Some("x"));
        let second = Record { format: TypeFormat::External, kind: b"a:b", payload: &[8, 9] };
        assert_eq!(read[1..], [second]);
        assert_eq!(read[1].uri_tail(), None);
    }

    #[test]
    fn malformed_records_are_told_apart() {
        for (message, error) in [
            (&[][..], NdefError::CutShort),
            (&[0xd1, 1, 5, b'U', 4], NdefError::CutShort),
            (&[0xc1, 1, 0xff, 0xff, 0xff, 0xff, b'U'], NdefError::CutShort),
            (&[0x51, 1, 0, b'U'], NdefError::Malformed),
            (&[0x90, 0, 0, 0xd0, 0, 0], NdefError::Malformed),
            (&[0x90, 0, 0], NdefError::CutShort),
            (&[0xb1, 1, 0, b'U'], NdefError::Chunked),
            (&[0xd6, 0, 0], NdefError::Chunked),
            (&[0xd7, 0, 0], NdefError::Malformed),
        ] {
            assert_eq!(records(message), Err(error), "{message:02X?}");
        }
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was_written(
            kind in proptest::collection::vec(any::<u8>(), 0..=255),
            payload in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let record = Record { format: TypeFormat::External, kind: &kind, payload: &payload };
            let message = record.message().unwrap();
            prop_assert_eq!(records(&message), Ok(vec![record]));
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes: Vec<u8>) {
            let _ = (type_2_message(&bytes), type_4_message(&bytes), records(&bytes));
            if let Some(magic) = bytes.get_mut(12) {
                *magic = 0xe1;
            }
            if let Ok(message) = type_2_message(&bytes) {
                let _ = records(message);
            }
        }
    }
}
