//! Copies: entries that go on in another list than the one in which they stood first.

use minicbor::{Decoder, Encoder};

use super::{EntryError, EntryRef, Fields, MAX_ENTRY_BYTES, Raw, VOID};

/// The bytes of a copy of an entry, for another list of the same day: the same fields, those of a newer version
/// included, and its first place. A copy of a copy names the first place of all.
///
/// # Errors
/// [`EntryError`] where the bytes are no entry, or too many with the place.
pub fn copy_of(bytes: &[u8], place: &EntryRef) -> Result<Vec<u8>, EntryError> {
    let raw = Raw::decode(bytes)?;
    // A void without a writer refers to its own list. The copy must name that list explicitly.
    let names_list = raw.kind == Some(VOID) && raw.target_writer.is_none();
    let is_copy = raw.first_place.is_some();
    let (fields, rest) = {
        let mut decoder = Decoder::new(bytes);
        let fields = decoder.map()?.unwrap_or_default();
        (fields, bytes.get(decoder.position()..).unwrap_or_default())
    };
    let mut copy = Vec::with_capacity(bytes.len() + 64);
    let mut written = Fields { encoder: Encoder::new(&mut copy) };
    written.begin(fields + u64::from(names_list) + u64::from(!is_copy));
    written.encoder.writer_mut().extend_from_slice(rest);
    if names_list {
        written.bytes(7, &place.writer.to_bytes());
    }
    if !is_copy {
        written.list_place(13, &place.writer, place.index);
    }
    if copy.len() > MAX_ENTRY_BYTES {
        return Err(EntryError::TooLarge { bytes: copy.len() });
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{day, samples, writer};
    use super::super::{EntryRef, Located};
    use super::*;
    use crate::ids::{DeviceId, Writer};

    #[test]
    fn a_copy_is_the_same_entry_with_its_first_place() {
        for (index, entry) in (0u64..).zip(samples()) {
            let first = EntryRef { day: day(), writer: writer(1), index };
            let mut bytes = entry.encode(day(), &writer(1));
            // A field of a newer version goes along.
            bytes[0] += 1;
            bytes.extend([0x18, 40, 0x82, 1, 0x61, b'x']);
            let copy = copy_of(&bytes, &first).unwrap();
            assert!(copy.windows(6).any(|it| it == [0x18, 40, 0x82, 1, 0x61, b'x']));
            let located = Located { entry, first_place: Some(first) };
            assert_eq!(Located::decode(&copy, day(), &writer(2)), Ok(located));
            let again = copy_of(&copy, &EntryRef { writer: writer(2), index: 0, ..first }).unwrap();
            assert_eq!(Located::decode(&again, day(), &writer(3)), Ok(located));
            // Invariant 13: nobody's entry is a copy of another desk's.
            let strange = Writer { device: DeviceId([8; 16]), epoch: 2 };
            let read = Located::decode(&copy, day(), &strange).map(|it| it.first_place);
            assert_eq!(read, Ok(None));
        }
    }
}
