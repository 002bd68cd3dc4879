//! A card in the virtual PC/SC reader of Debian's vsmartcard-vpcd, for tests: the real pcscd sees it,
//! and the test puts it there and takes it away.
//!
//! The reader's driver listens, and a connection is a card. pcscd looks every 0.4 s whether one is
//! there, so a card that comes and goes within that time is never seen.
//!
//! Sources: vsmartcard 3.3, `virtualsmartcard/src/vpcd/vpcd.c` (the protocol); PC/SC part 3,
//! 3.1.3.2.3.1 (the ATR) and 3.2.2.1.3 (the UID).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread::JoinHandle;

use super::card::{Card as EmulatedCard, Kind, Reaction, SharedCard};

/// Where the first slot of Debian's virtual reader listens; the second is the next.
pub const PORT: u16 = 0x8c7b;

/// The ATR of a contactless storage card: ISO 14443-A, part 3, a MIFARE Ultralight.
pub const STORAGE_CARD: [u8; 20] = super::card::STORAGE_CARD;

/// GET DATA for the UID.
const GET_UID: [u8; 5] = [0xff, 0xca, 0, 0, 0];

/// The function is not supported.
const NOT_SUPPORTED: [u8; 2] = [0x6a, 0x81];

/// Done.
const DONE: [u8; 2] = [0x90, 0x00];

/// The card did not do what it was asked.
const FAILED: [u8; 2] = [0x63, 0x00];

/// What a card does when it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It answers these bytes, be they sense or garbage.
    Bytes(Vec<u8>),
    /// It is taken away before it answers.
    TakenAway,
}

/// A card of few words: what it answers to which APDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    atr: Vec<u8>,
    answers: Vec<(Vec<u8>, Answer)>,
}

impl Card {
    /// A contactless storage card with this UID.
    pub fn new(uid: &[u8]) -> Self {
        Self::which_answers(Answer::Bytes([uid, &[0x90, 0]].concat()))
    }

    /// A contactless storage card that answers this when it is asked for its UID.
    pub fn which_answers(answer: Answer) -> Self {
        Self { atr: STORAGE_CARD.to_vec(), answers: vec![(GET_UID.to_vec(), answer)] }
    }

    /// The same card with one more answer; the first that fits a command is given.
    #[must_use]
    pub fn and(mut self, command: &[u8], answer: Answer) -> Self {
        self.answers.push((command.to_vec(), answer));
        self
    }

    /// The same card with another ATR.
    #[must_use]
    pub fn with_atr(self, atr: &[u8]) -> Self {
        Self { atr: atr.to_vec(), ..self }
    }

    /// What is said to a message of the reader, if anything is.
    fn reply(&self, message: &[u8]) -> Option<Answer> {
        match message {
            // Power off, power on, reset.
            [0..=2] => None,
            [4] => Some(Answer::Bytes(self.atr.clone())),
            command => {
                let answer = self.answers.iter().find(|(asked, _)| asked == command);
                let answer = answer.map(|(_, answer)| answer.clone());
                Some(answer.unwrap_or_else(|| Answer::Bytes(NOT_SUPPORTED.to_vec())))
            }
        }
    }
}

/// One slot of the virtual reader, seen from the side of the card. The card goes when this is dropped.
#[derive(Debug)]
pub struct VirtualSlot {
    port: u16,
    inserted: Option<(TcpStream, JoinHandle<()>)>,
}

impl VirtualSlot {
    /// The slot that listens at this port of this machine, such as [`PORT`].
    pub fn at(port: u16) -> Self {
        Self { port, inserted: None }
    }

    /// Puts a storage card with this UID (4, 7 or 10 bytes) in the slot, in place of what is there.
    ///
    /// # Errors
    /// Whatever the system says where no reader listens.
    pub fn insert(&mut self, uid: &[u8]) -> io::Result<()> {
        self.insert_card(Card::new(uid))
    }

    /// Puts this card in the slot, in place of what is there.
    ///
    /// # Errors
    /// Whatever the system says where no reader listens.
    pub fn insert_card(&mut self, card: Card) -> io::Result<()> {
        self.insert_what(Inserted::Scripted(card))
    }

    /// Puts this card in the slot, in place of what is there. It remembers what is written on it.
    ///
    /// # Errors
    /// Whatever the system says where no reader listens.
    pub fn insert_shared(&mut self, card: &SharedCard) -> io::Result<()> {
        self.insert_what(Inserted::Emulated(card.clone()))
    }

    fn insert_what(&mut self, card: Inserted) -> io::Result<()> {
        self.remove();
        card.arrives();
        let line = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        // Answers are a few bytes each.
        line.set_nodelay(true)?;
        let mut end = line.try_clone()?;
        let thread = std::thread::Builder::new().name("card".to_owned()).spawn(move || {
            if let Err(error) = serve(&mut end, &card) {
                tracing::debug!(%error, "the virtual card's reader went away");
            }
            // It may be closed already.
            let _ = end.shutdown(Shutdown::Both);
        })?;
        self.inserted = Some((line, thread));
        Ok(())
    }

    /// Takes the card away.
    pub fn remove(&mut self) {
        if let Some((line, thread)) = self.inserted.take() {
            // It may be closed already; a thread that panicked has said so on standard error.
            let _ = line.shutdown(Shutdown::Both);
            let _ = thread.join();
        }
    }
}

impl Drop for VirtualSlot {
    fn drop(&mut self) {
        self.remove();
    }
}

/// What lies in the slot.
#[derive(Debug)]
enum Inserted {
    Scripted(Card),
    Emulated(SharedCard),
}

impl Inserted {
    fn arrives(&self) {
        match self {
            Self::Scripted(_) => {}
            Self::Emulated(card) => card.with(EmulatedCard::arrive),
        }
    }

    /// What is said to a message of the reader, if anything is.
    fn reply(&self, message: &[u8]) -> Option<Answer> {
        match self {
            Self::Scripted(card) => card.reply(message),
            Self::Emulated(card) => card.with(|card| emulated_reply(card, message)),
        }
    }
}

fn emulated_reply(card: &mut EmulatedCard, message: &[u8]) -> Option<Answer> {
    let bytes = match message {
        // Power off, power on, reset.
        [0..=2] => {
            card.power_off();
            return None;
        }
        [4] => card.atr(),
        command => {
            let answer = through_the_reader(card, command);
            if card.is_gone() {
                return Some(Answer::TakenAway);
            }
            answer
        }
    };
    Some(Answer::Bytes(bytes))
}

/// What the reader makes of a command: of its own (class FF, PC/SC part 3, 3.2.2.1) it does what it
/// knows, the others go to a card that takes APDUs.
fn through_the_reader(card: &mut EmulatedCard, command: &[u8]) -> Vec<u8> {
    let is_type_2 = matches!(card.kind(), Kind::Type2(_));
    match command {
        command if *command == GET_UID => [card.uid(), &DONE].concat(),
        // READ BINARY: by page, sixteen bytes at the most; Le 0 asks for them all.
        [0xff, 0xb0, 0, page, length @ 0..=16] if is_type_2 => {
            let length = if *length == 0 { 16 } else { usize::from(*length) };
            match reselected(card, &[0x30, *page]) {
                Reaction::Answer(data) => [data.get(..length).unwrap_or(&data), &DONE].concat(),
                Reaction::Ack | Reaction::Nak(_) | Reaction::Silence => FAILED.to_vec(),
            }
        }
        // UPDATE BINARY: one page.
        [0xff, 0xd6, 0, page, 4, data @ ..] if is_type_2 && data.len() == 4 => {
            match reselected(card, &[&[0xa2, *page], data].concat()) {
                Reaction::Ack => DONE.to_vec(),
                Reaction::Answer(_) | Reaction::Nak(_) | Reaction::Silence => FAILED.to_vec(),
            }
        }
        [0xff, ..] => NOT_SUPPORTED.to_vec(),
        command if card.ats().is_some() => match card.exchange(command) {
            Reaction::Answer(answer) => answer,
            Reaction::Ack | Reaction::Nak(_) | Reaction::Silence => FAILED.to_vec(),
        },
        _ => NOT_SUPPORTED.to_vec(),
    }
}

/// What the card does; a reader of this kind selects it again behind a NAK.
fn reselected(card: &mut EmulatedCard, command: &[u8]) -> Reaction {
    let reaction = card.exchange(command);
    if matches!(reaction, Reaction::Nak(_)) {
        card.select();
    }
    reaction
}

/// Each message has its length before it, two bytes, the higher first.
fn serve(line: &mut TcpStream, card: &Inserted) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        line.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        line.read_exact(&mut message)?;
        match card.reply(&message) {
            None => {}
            Some(Answer::Bytes(bytes)) => {
                let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
                line.write_all(&[&length.to_be_bytes(), &bytes[..]].concat())?;
            }
            Some(Answer::TakenAway) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::ntag424::Ntag424;
    use crate::emulator::type2::{Model, Type2};

    #[test]
    fn a_card_says_its_atr_and_its_uid_and_nothing_to_power() {
        let card = Card::new(&[4, 1, 2, 3, 4, 5, 6]).and(&[0, 0xb0, 0, 0, 1], Answer::TakenAway);
        let bytes = |bytes: &[u8]| Some(Answer::Bytes(bytes.to_vec()));
        for (message, expected) in [
            (&[0][..], None),
            (&[1], None),
            (&[2], None),
            (&[4], bytes(&STORAGE_CARD)),
            (&GET_UID, bytes(&[4, 1, 2, 3, 4, 5, 6, 0x90, 0])),
            (&[0, 0xb0, 0, 0, 1], Some(Answer::TakenAway)),
            (&[0, 0xa4, 0, 0], bytes(&NOT_SUPPORTED)),
        ] {
            assert_eq!(card.reply(message), expected, "{message:02X?}");
        }
    }

    #[test]
    fn the_atr_has_a_sound_check_byte() {
        // ISO 7816-3, 8.2.5: all bytes but the first, with the check byte, add up to zero.
        assert_eq!(STORAGE_CARD[1..].iter().fold(0, |sum, byte| sum ^ byte), 0);
    }

    #[test]
    fn an_emulated_tag_is_read_and_written_by_page_and_keeps_what_was_written() {
        let card = SharedCard::new(Type2::new(Model::Ntag213, [4, 1, 2, 3, 4, 5, 6], 0));
        let slot = Inserted::Emulated(card.clone());
        let bytes = |bytes: &[u8]| Some(Answer::Bytes(bytes.to_vec()));
        for (message, expected) in [
            (&[1][..], None),
            (&[4], bytes(&STORAGE_CARD)),
            (&GET_UID, bytes(&[4, 1, 2, 3, 4, 5, 6, 0x90, 0])),
            (&[0xff, 0xd6, 0, 4, 4, 9, 8, 7, 6], bytes(&DONE)),
            (&[0xff, 0xb0, 0, 4, 4], bytes(&[9, 8, 7, 6, 0x90, 0])),
            (&[0xff, 0xb0, 0, 0xff, 16], bytes(&FAILED)),
            (&[0xff, 0xd6, 0, 0, 4, 9, 8, 7, 6], bytes(&FAILED)),
            (&[0xff, 0x82, 0, 0, 0], bytes(&NOT_SUPPORTED)),
            (&[0, 0xa4, 0, 0], bytes(&NOT_SUPPORTED)),
        ] {
            assert_eq!(slot.reply(message), expected, "{message:02X?}");
        }
        let read = slot.reply(&[0xff, 0xb0, 0, 4, 16]);
        assert!(matches!(read, Some(Answer::Bytes(read)) if read.len() == 18));
        card.with(|card| {
            assert_eq!(card.type_2().map(|tag| &tag.memory()[16..20]), Some(&[9, 8, 7, 6][..]));
            card.take_away_after(0);
        });
        assert_eq!(slot.reply(&[0xff, 0xb0, 0, 4, 16]), Some(Answer::TakenAway));
    }

    #[test]
    fn an_emulated_chip_gets_every_command_that_is_not_the_readers() {
        let slot = Inserted::Emulated(SharedCard::new(Ntag424::new([4; 7], 0)));
        let bytes = |bytes: &[u8]| Some(Answer::Bytes(bytes.to_vec()));
        assert_eq!(slot.reply(&[4]), bytes(&[0x3b, 0x81, 0x80, 0x01, 0x80, 0x80]));
        assert_eq!(slot.reply(&GET_UID), bytes(&[4, 4, 4, 4, 4, 4, 4, 0x90, 0]));
        assert_eq!(slot.reply(&crate::authentic::ev2::SELECT_NTAG_424), bytes(&[0x90, 0]));
        assert_eq!(slot.reply(&[0xff, 0xb0, 0, 4, 16]), bytes(&NOT_SUPPORTED));
    }
}
