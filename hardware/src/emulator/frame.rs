//! The PN532's frames on its high-speed UART (UM0701-02, 6.2.1).

/// The ACK frame. From the host it also aborts the command under way.
pub const ACK: [u8; 6] = [0, 0, 0xff, 0, 0xff, 0];

/// The frame with which the chip says that it does not know a command (6.2.1.5).
pub const SYNTAX_ERROR: [u8; 8] = [0, 0, 0xff, 1, 0xff, 0x7f, 0x81, 0];

/// What the host sends begins with this byte, what the chip sends with [`FROM_CHIP`].
const FROM_HOST: u8 = 0xd4;
const FROM_CHIP: u8 = 0xd5;

/// What a host sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// ACK: taken, or stop what you do.
    Ack,
    /// NACK: say it again.
    Nack,
    /// A command: its code and parameters.
    Command(Vec<u8>),
}

/// The frame of an answer: the answer's code and what it returns. Extended where it is long.
pub fn answer(contents: &[u8]) -> Vec<u8> {
    let length = contents.len() + 1;
    let mut frame = vec![0, 0, 0xff];
    if let Ok(short @ 0..=254) = u8::try_from(length) {
        frame.extend([short, short.wrapping_neg()]);
    } else {
        let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        frame.extend([0xff, 0xff, high, low, high.wrapping_add(low).wrapping_neg()]);
    }
    frame.push(FROM_CHIP);
    frame.extend_from_slice(contents);
    let sum = contents.iter().fold(FROM_CHIP, |sum, byte| sum.wrapping_add(*byte));
    frame.extend([sum.wrapping_neg(), 0]);
    frame
}

/// Finds frames in a stream of bytes. Whatever is no frame (wake-up bytes, noise) is passed over.
#[derive(Debug, Default)]
pub struct Scanner {
    buffer: Vec<u8>,
}

/// Bytes that may wait for the rest of a frame: the longest has 265 and its overhead.
const MAX_WAITING: usize = 1024;

impl Scanner {
    /// Takes bytes, and gives the frames that are now whole.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Received> {
        self.buffer.extend_from_slice(bytes);
        let mut found = Vec::new();
        while let Some(start) = self.buffer.windows(3).position(|window| window == [0, 0, 0xff]) {
            match frame_at(&self.buffer[start + 3..]) {
                Frame::Whole(received, length) => {
                    self.buffer.drain(..start + 3 + length);
                    found.push(received);
                }
                Frame::Wrong => drop(self.buffer.drain(..=start)),
                Frame::Unfinished => break,
            }
        }
        let excess = self.buffer.len().saturating_sub(MAX_WAITING);
        self.buffer.drain(..excess);
        found
    }
}

enum Frame {
    Whole(Received, usize),
    Wrong,
    Unfinished,
}

/// The frame behind a start code.
fn frame_at(rest: &[u8]) -> Frame {
    let (header, length) = match rest {
        [0, 0xff, ..] => return Frame::Whole(Received::Ack, 2),
        [0xff, 0, ..] => return Frame::Whole(Received::Nack, 2),
        [0xff, 0xff, high, low, check, ..] => {
            if high.wrapping_add(*low).wrapping_add(*check) != 0 {
                return Frame::Wrong;
            }
            (5, usize::from(u16::from_be_bytes([*high, *low])))
        }
        [0xff, 0xff, ..] | [] | [_] => return Frame::Unfinished,
        [length, check, ..] if length.wrapping_add(*check) == 0 => (2, usize::from(*length)),
        _ => return Frame::Wrong,
    };
    let Some(data) = rest.get(header..header + length + 1) else {
        return if length > MAX_WAITING { Frame::Wrong } else { Frame::Unfinished };
    };
    if data.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) != 0 {
        return Frame::Wrong;
    }
    match data.split_first() {
        Some((&FROM_HOST, contents)) => {
            let command = contents[..contents.len() - 1].to_vec();
            Frame::Whole(Received::Command(command), header + length + 1)
        }
        _ => Frame::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GetFirmwareVersion, as the manual prints it (UM0701-02, 7.2.2).
    const GET_FIRMWARE_VERSION: [u8; 9] = [0, 0, 0xff, 2, 0xfe, 0xd4, 2, 0x2a, 0];

    #[test]
    fn a_command_is_found_behind_wake_up_bytes_and_noise_and_in_any_pieces() {
        let stream =
            [&[0x55, 0x55, 0, 0, 0, 7, 0, 0, 0xff, 9, 9][..], &GET_FIRMWARE_VERSION, &ACK].concat();
        for size in 1..stream.len() {
            let mut scanner = Scanner::default();
            let found: Vec<_> = stream.chunks(size).flat_map(|piece| scanner.push(piece)).collect();
            assert_eq!(found, [Received::Command(vec![2]), Received::Ack], "pieces of {size}");
        }
    }

    #[test]
    fn an_answer_has_the_manuals_form() {
        let frame = answer(&[3, 0x32, 1, 6, 7]);
        assert_eq!(frame, [0, 0, 0xff, 6, 0xfa, 0xd5, 3, 0x32, 1, 6, 7, 0xe8, 0]);
        assert_eq!(&answer(&[0; 300])[..8], [0, 0, 0xff, 0xff, 0xff, 1, 45, 0xd2]);
    }
}
