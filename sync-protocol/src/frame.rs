//! Frames: how messages stand in a stream. Four bytes of length, big-endian, then that many bytes.

use thiserror::Error;

/// A frame at the most: 1 MiB. A batch has at most 64 KiB, a catalogue page about 256 KiB.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// Memory that a reader keeps when it has read everything: what a beat or a tap takes. A line that once brought a batch
/// of 64 KiB would keep its room otherwise, and so would a thousand idle ones.
const KEPT_BYTES: usize = 1024;

/// A frame that says it is longer than any frame may be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a frame of {bytes} bytes, at most {MAX_FRAME_BYTES} are taken")]
pub struct FrameTooLong {
    /// What it says.
    pub bytes: usize,
}

/// The frame around these bytes.
pub fn frame(contents: &[u8]) -> Vec<u8> {
    debug_assert!(contents.len() <= MAX_FRAME_BYTES, "senders keep to the bound");
    let length = u32::try_from(contents.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], contents].concat()
}

/// Puts frames together again from a stream that comes in pieces of any size.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    read: usize,
}

impl FrameReader {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..std::mem::take(&mut self.read));
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether something can be read without further bytes.
    pub fn has_frame(&self) -> bool {
        let rest = &self.buffer[self.read..];
        let Some((length, behind)) = rest.split_first_chunk::<4>() else { return false };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        length > MAX_FRAME_BYTES || behind.len() >= length
    }

    /// The next whole frame's contents, if there is one.
    ///
    /// # Errors
    /// [`FrameTooLong`]: the stream cannot be read any further.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        let rest = &self.buffer[self.read..];
        let Some((length, behind)) = rest.split_first_chunk::<4>() else {
            if rest.is_empty() && self.buffer.capacity() > KEPT_BYTES {
                *self = Self::default();
            }
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_FRAME_BYTES {
            return Err(FrameTooLong { bytes: length });
        }
        if behind.len() < length {
            return Ok(None);
        }
        let start = self.read + 4;
        self.read = start + length;
        Ok(Some(&self.buffer[start..start + length]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_whatever_the_pieces() {
        let stream = [frame(b"one"), frame(b""), frame(b"three")].concat();
        for size in 1..=stream.len() {
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            for piece in stream.chunks(size) {
                reader.push(piece);
                while let Some(contents) = reader.next_frame().unwrap() {
                    frames.push(contents.to_vec());
                }
            }
            assert_eq!(
                frames,
                [b"one".to_vec(), Vec::new(), b"three".to_vec()],
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_reader_that_has_read_all_keeps_no_room_for_what_it_read() {
        let mut reader = FrameReader::default();
        reader.push(&frame(&[7; 60_000]));
        reader.push(&frame(b"behind")[..3]);
        assert!(reader.next_frame().unwrap().is_some());
        assert_eq!(reader.next_frame(), Ok(None));
        assert!(reader.buffer.capacity() > KEPT_BYTES, "a frame is under way");
        reader.push(&frame(b"behind")[3..]);
        assert_eq!(reader.next_frame(), Ok(Some(&b"behind"[..])));
        assert_eq!(reader.next_frame(), Ok(None));
        assert_eq!(reader.buffer.capacity(), 0);
    }

    #[test]
    fn a_frame_over_the_bound_is_refused_before_it_is_read() {
        let mut reader = FrameReader::default();
        reader.push(&[0xff; 4]);
        assert_eq!(reader.next_frame(), Err(FrameTooLong { bytes: 0xffff_ffff }));
    }
}
