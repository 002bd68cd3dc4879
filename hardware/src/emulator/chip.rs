//! What the chip answers: a command in, an answer out (UM0701-02, chapter 7). No I/O.

use super::frame::{self, SYNTAX_ERROR};

/// An answer of the chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This frame.
    Frame(Vec<u8>),
    /// None before there is a card, for the host set the number of attempts to infinite.
    WaitForCard,
}

/// A card in the chip's field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its UID.
    pub uid: Vec<u8>,
    /// It was told to be quiet (HLTA), and is until the field goes off.
    halted: bool,
}

impl Card {
    /// A card with this UID.
    pub fn new(uid: &[u8]) -> Self {
        Self { uid: uid.to_vec(), halted: false }
    }
}

/// The chip's state.
#[derive(Debug, Default)]
pub struct Chip {
    /// The cards in its field.
    pub cards: Vec<Card>,
    /// The card that was selected last.
    active: Option<usize>,
    /// `MxRtyPassiveActivation`: 0xff is for ever (RFConfiguration, item 5).
    attempts: Option<u8>,
}

/// `MxRtyPassiveActivation` for ever, which is also what the chip begins with.
const FOR_EVER: u8 = 0xff;

/// The status byte: no error.
const OK: u8 = 0;

/// The status byte: the target did not answer in time.
const TIMEOUT: u8 = 1;

impl Chip {
    /// The chip's answer to a command (its code, then its parameters).
    pub fn answer(&mut self, command: &[u8]) -> Answer {
        let Some((code, parameters)) = command.split_first() else {
            return Answer::Frame(SYNTAX_ERROR.to_vec());
        };
        let returned = match code {
            // Diagnose: the communication line test says its parameters again.
            0x00 => parameters.to_vec(),
            // GetFirmwareVersion: a PN532, 1.6, ISO 14443 A and B, ISO 18092.
            0x02 => vec![0x32, 1, 6, 7],
            // ReadRegister: two bytes of address each, one byte of value.
            0x06 => vec![0; parameters.len() / 2],
            // WriteRegister, SetParameters, SAMConfiguration.
            0x08 | 0x12 | 0x14 => Vec::new(),
            // PowerDown.
            0x16 => vec![OK],
            // RFConfiguration.
            0x32 => {
                match parameters {
                    [5, _, _, attempts] => self.attempts = Some(*attempts),
                    // Item 1: the field. A card without power forgets that it was halted.
                    [1, field] if field & 1 == 0 => {
                        self.active = None;
                        self.cards.iter_mut().for_each(|card| card.halted = false);
                    }
                    _ => {}
                }
                Vec::new()
            }
            // InDataExchange, InCommunicateThru: this card says nothing beyond its UID.
            0x40 | 0x42 => vec![TIMEOUT],
            // InDeselect, InRelease: the card is halted.
            0x44 | 0x52 => {
                if let Some(card) = self.active.take().and_then(|at| self.cards.get_mut(at)) {
                    card.halted = true;
                }
                vec![OK]
            }
            // InSelect.
            0x54 => vec![if self.cards.is_empty() { TIMEOUT } else { OK }],
            // InListPassiveTarget: ISO 14443-A at 106 kbit/s is baud rate 0.
            0x4a => {
                let awake = self.cards.iter().position(|card| !card.halted);
                match (awake, parameters) {
                    (Some(at), [1..=2, 0, ..]) => {
                        self.active = Some(at);
                        target(&self.cards[at].uid)
                    }
                    (None, [1..=2, 0, ..]) if self.attempts.unwrap_or(FOR_EVER) == FOR_EVER => {
                        return Answer::WaitForCard;
                    }
                    _ => vec![0],
                }
            }
            _ => return Answer::Frame(SYNTAX_ERROR.to_vec()),
        };
        Answer::Frame(frame::answer(&[&[code + 1], &returned[..]].concat()))
    }
}

/// One target: its number, SENS_RES (whose bits tell the UID's length), SEL_RES of a Type 2 tag, UID.
fn target(uid: &[u8]) -> Vec<u8> {
    let sens_res = match uid.len() {
        4 => 0x04,
        7 => 0x44,
        _ => 0x84,
    };
    let length = u8::try_from(uid.len()).unwrap_or(u8::MAX);
    [&[1, 1, 0, sens_res, 0, length], uid].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: [u8; 3] = [0x4a, 1, 0];

    #[test]
    fn a_card_is_listed_with_its_uid() {
        let mut chip = Chip { cards: vec![Card::new(&[4, 1, 2, 3, 4, 5, 6])], ..Chip::default() };
        let expected = frame::answer(&[0x4b, 1, 1, 0, 0x44, 0, 7, 4, 1, 2, 3, 4, 5, 6]);
        assert_eq!(chip.answer(&LIST), Answer::Frame(expected));
    }

    #[test]
    fn without_a_card_it_waits_or_says_none_as_the_host_has_set_it() {
        let mut chip = Chip::default();
        assert_eq!(chip.answer(&LIST), Answer::WaitForCard);
        chip.answer(&[0x32, 5, 0xff, 1, 2]);
        assert_eq!(chip.answer(&LIST), Answer::Frame(frame::answer(&[0x4b, 0])));
    }

    #[test]
    fn a_halted_card_is_quiet_until_the_field_goes_off() {
        let cards = vec![Card::new(&[4, 1, 1, 1]), Card::new(&[4, 2, 2, 2])];
        let mut chip = Chip { cards, ..Chip::default() };
        chip.answer(&[0x32, 5, 0xff, 1, 2]);
        let listed = |chip: &mut Chip| match chip.answer(&LIST) {
            Answer::Frame(frame) => frame.get(14).copied().filter(|_| frame[7] == 1),
            Answer::WaitForCard => None,
        };
        assert_eq!(listed(&mut chip), Some(1));
        chip.answer(&[0x44, 1]);
        assert_eq!(listed(&mut chip), Some(2));
        chip.answer(&[0x44, 1]);
        assert_eq!(chip.answer(&LIST), Answer::Frame(frame::answer(&[0x4b, 0])));
        chip.answer(&[0x32, 1, 0]);
        assert_eq!(listed(&mut chip), Some(1));
    }

    #[test]
    fn an_unknown_command_is_a_syntax_error() {
        assert_eq!(Chip::default().answer(&[0x99]), Answer::Frame(SYNTAX_ERROR.to_vec()));
    }
}
