//! What the chip answers: a command in, an answer out (UM0701-02, chapter 7). No I/O.

use super::card::{Card, Reaction, SharedCard};
use super::frame::{self, SYNTAX_ERROR};

/// An answer of the chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This frame.
    Frame(Vec<u8>),
    /// None before there is a card, for the host set the number of attempts to infinite.
    WaitForCard,
}

/// The chip's state.
#[derive(Debug)]
pub struct Chip {
    /// The cards in its field.
    pub cards: Vec<SharedCard>,
    /// The card that was selected last.
    active: Option<usize>,
    /// `MxRtyPassiveActivation`: 0xff is for ever (RFConfiguration, item 5).
    attempts: Option<u8>,
    /// Whether it brings a card that speaks ISO 14443-4 so far by itself (SetParameters).
    automatic_rats: bool,
}

impl Default for Chip {
    fn default() -> Self {
        Self { cards: Vec::new(), active: None, attempts: None, automatic_rats: true }
    }
}

/// `MxRtyPassiveActivation` for ever, which is also what the chip begins with.
const FOR_EVER: u8 = 0xff;

/// SetParameters: fAutomaticRATS.
const AUTOMATIC_RATS: u8 = 0x10;

/// What stands before each part of three bytes of a UID (ISO 14443-3, 6.5.4).
const CASCADE_TAG: u8 = 0x88;

/// The status byte (7.1): no error.
const OK: u8 = 0;

/// The target did not answer in time.
const TIMEOUT: u8 = 0x01;

/// An answer without a valid CRC, which four bits have not.
const CRC_ERROR: u8 = 0x02;

/// A framing error in an exchange with a MIFARE card: four bits where bytes are due.
const FRAMING_ERROR: u8 = 0x05;

/// The command cannot be carried out as things are: no card is selected.
const NOT_NOW: u8 = 0x27;

/// How a command goes to the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// InDataExchange: the chip speaks the card's protocol.
    Exchange,
    /// InCommunicateThru: bytes as they are, but for the CRC.
    Through,
}

impl Chip {
    /// Puts these cards in the field, in place of what is there.
    pub fn present(&mut self, cards: Vec<SharedCard>) {
        self.clear();
        for card in cards {
            self.add(card);
        }
    }

    /// Puts one more card in the field.
    pub fn add(&mut self, card: SharedCard) {
        card.with(Card::arrive);
        self.cards.push(card);
    }

    /// Takes all cards away.
    pub fn clear(&mut self) {
        self.active = None;
        self.cards.drain(..).for_each(|card| card.with(Card::power_off));
    }

    /// The chip's answer to a command (its code, then its parameters).
    pub fn answer(&mut self, command: &[u8]) -> Answer {
        let Some((code, parameters)) = command.split_first() else {
            return Answer::Frame(SYNTAX_ERROR.to_vec());
        };
        let returned = match code {
            // Diagnose, card presence.
            0x00 if parameters == [6] => {
                let there = self.selected().is_some_and(|card| !card.with(|card| card.is_gone()));
                vec![if there { OK } else { TIMEOUT }]
            }
            // Diagnose: the communication line test says its parameters again.
            0x00 => parameters.to_vec(),
            // GetFirmwareVersion: a PN532, 1.6, ISO 14443 A and B, ISO 18092.
            0x02 => vec![0x32, 1, 6, 7],
            // ReadRegister: two bytes of address each, one byte of value.
            0x06 => vec![0; parameters.len() / 2],
            // SetParameters.
            0x12 => {
                self.automatic_rats = parameters.first().is_some_and(|p| p & AUTOMATIC_RATS != 0);
                Vec::new()
            }
            // WriteRegister, SAMConfiguration.
            0x08 | 0x14 => Vec::new(),
            // PowerDown.
            0x16 => vec![OK],
            // RFConfiguration.
            0x32 => {
                match parameters {
                    [5, _, _, attempts] => self.attempts = Some(*attempts),
                    // Item 1: the field. A card without power forgets that it was halted.
                    [1, field] if field & 1 == 0 => {
                        self.active = None;
                        self.cards.iter().for_each(|card| card.with(Card::power_off));
                    }
                    _ => {}
                }
                Vec::new()
            }
            // InDataExchange: the number of a target before the data.
            0x40 => match parameters.split_first() {
                Some((1, data)) => self.exchange(data, Way::Exchange),
                _ => vec![NOT_NOW],
            },
            // InCommunicateThru.
            0x42 => self.exchange(parameters, Way::Through),
            // InDeselect, InRelease: the card is halted.
            0x44 | 0x52 => {
                if let Some(card) = self.selected() {
                    card.with(Card::halt);
                }
                self.active = None;
                vec![OK]
            }
            // InSelect.
            0x54 => vec![if self.cards.is_empty() { TIMEOUT } else { OK }],
            // InListPassiveTarget: ISO 14443-A at 106 kbit/s is baud rate 0.
            0x4a => {
                let found = match parameters {
                    [1..=2, 0, uid @ ..] => self.find(uid),
                    _ => return Answer::Frame(frame::answer(&[code + 1, 0])),
                };
                match found {
                    Some(at) => self.select(at),
                    None if self.attempts.unwrap_or(FOR_EVER) == FOR_EVER => {
                        return Answer::WaitForCard;
                    }
                    None => vec![0],
                }
            }
            _ => return Answer::Frame(SYNTAX_ERROR.to_vec()),
        };
        Answer::Frame(frame::answer(&[&[code + 1], &returned[..]].concat()))
    }

    fn selected(&self) -> Option<&SharedCard> {
        self.active.and_then(|at| self.cards.get(at))
    }

    /// The first card that is awake, or the one with this UID, which is woken: libfreefare and others
    /// list the cards, which halts them, and then go back to one by its UID.
    fn find(&self, uid: &[u8]) -> Option<usize> {
        let uid = without_cascade_tags(uid);
        self.cards.iter().position(|card| {
            card.with(|card| match &uid[..] {
                [] => card.is_awake(),
                uid => card.uid() == uid && !card.is_gone(),
            })
        })
    }

    fn select(&mut self, at: usize) -> Vec<u8> {
        self.active = Some(at);
        let automatic_rats = self.automatic_rats;
        self.cards[at].with(|card| {
            card.select();
            target(card, automatic_rats)
        })
    }

    /// The status of an exchange and what the card answered.
    fn exchange(&mut self, data: &[u8], way: Way) -> Vec<u8> {
        let Some(card) = self.selected() else {
            return vec![if way == Way::Exchange { NOT_NOW } else { TIMEOUT }];
        };
        let automatic_rats = self.automatic_rats;
        let reaction = card.with(|card| match (way, card.ats().is_some()) {
            (_, false) => card.exchange(data),
            (Way::Exchange, true) if automatic_rats => card.exchange(data),
            // R(NAK) is answered by R(ACK): so libnfc asks whether such a card is still there.
            (Way::Through, true) => match data {
                [block @ (0xb2 | 0xb3)] if !card.is_gone() => {
                    Reaction::Answer(vec![0xa2 | block & 1])
                }
                _ => Reaction::Silence,
            },
            (Way::Exchange, true) => Reaction::Silence,
        });
        match (reaction, way) {
            (Reaction::Answer(answer), _) => [&[OK], &answer[..]].concat(),
            (Reaction::Ack, _) => vec![OK],
            (Reaction::Nak(_), Way::Exchange) => vec![FRAMING_ERROR],
            (Reaction::Nak(_), Way::Through) => vec![CRC_ERROR],
            (Reaction::Silence, _) => vec![TIMEOUT],
        }
    }
}

/// The UID in the initiator data of InListPassiveTarget.
fn without_cascade_tags(data: &[u8]) -> Vec<u8> {
    match data {
        [CASCADE_TAG, a, b, c, CASCADE_TAG, rest @ ..] if rest.len() == 7 => {
            [&[*a, *b, *c], rest].concat()
        }
        [CASCADE_TAG, uid @ ..] if uid.len() == 7 => uid.to_vec(),
        uid => uid.to_vec(),
    }
}

/// One target: its number, SENS_RES, SEL_RES, UID, and the ATS if it was asked for one.
fn target(card: &Card, automatic_rats: bool) -> Vec<u8> {
    let uid = card.uid();
    let length = u8::try_from(uid.len()).unwrap_or(u8::MAX);
    let [high, low] = card.sens_res();
    let ats = card.ats().filter(|_| automatic_rats).unwrap_or_default();
    [&[1, 1, high, low, card.sak(), length], uid, &ats].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::emulator::desfire::{Desfire, Generation};
    use crate::emulator::ntag424::Ntag424;
    use crate::emulator::type2::{Model, Type2};

    const LIST: [u8; 3] = [0x4a, 1, 0];

    #[test]
    fn a_card_is_listed_with_its_uid() {
        let mut chip =
            Chip { cards: vec![Card::new(&[4, 1, 2, 3, 4, 5, 6]).into()], ..Chip::default() };
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
        let cards = vec![Card::new(&[4, 1, 1, 1]).into(), Card::new(&[4, 2, 2, 2]).into()];
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

    const TAG: [u8; 7] = [4, 1, 2, 3, 4, 5, 6];
    const CHIP: [u8; 7] = [4, 9, 8, 7, 6, 5, 4];

    fn with_a_tag_and_a_chip() -> Chip {
        let mut chip = Chip::default();
        let tag = Type2::new(Model::Ntag213, TAG, 0);
        chip.present(vec![SharedCard::new(tag), SharedCard::new(Ntag424::new(CHIP, 0))]);
        chip.answer(&[0x32, 5, 0xff, 1, 2]);
        chip
    }

    /// What the chip returns behind its code.
    #[track_caller]
    fn returned(chip: &mut Chip, command: &[u8]) -> Vec<u8> {
        match chip.answer(command) {
            Answer::Frame(frame) => frame[7..frame.len() - 2].to_vec(),
            Answer::WaitForCard => panic!("{command:02X?} waits"),
        }
    }

    #[test]
    fn a_type_2_tag_is_read_and_written_both_ways() {
        let mut chip = with_a_tag_and_a_chip();
        let listed = returned(&mut chip, &LIST);
        assert_eq!(listed, [&[1, 1, 0, 0x44, 0x00, 7][..], &TAG].concat());
        assert_eq!(returned(&mut chip, &[0x40, 1, 0xa2, 4, 1, 2, 3, 4]), [0]);
        assert_eq!(returned(&mut chip, &[0x42, 0xa2, 5, 5, 6, 7, 8]), [0]);
        let read = returned(&mut chip, &[0x40, 1, 0x30, 4]);
        assert_eq!(read[..9], [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(returned(&mut chip, &[0x42, 0x30, 4]), read);
        assert_eq!(returned(&mut chip, &[0x40, 1, 0x30, 0xff]), [0x05]);
        assert_eq!(returned(&mut chip, &[0x40, 1, 0x30, 4]), [0x01], "it waits to be selected");
        returned(&mut chip, &LIST);
        assert_eq!(returned(&mut chip, &[0x42, 0x30, 0xff]), [0x02]);
    }

    #[test]
    fn a_card_is_selected_by_its_uid_and_one_that_speaks_iso_14443_4_shows_its_ats() {
        let mut chip = with_a_tag_and_a_chip();
        let by_uid = [&LIST[..], &[0x88], &CHIP].concat();
        let ats = [0x06, 0x77, 0x77, 0x71, 0x02, 0x80];
        let expected = [&[1, 1, 0x03, 0x44, 0x20, 7][..], &CHIP, &ats].concat();
        assert_eq!(returned(&mut chip, &by_uid), expected);
        let select = [&[0x40, 1][..], &crate::authentic::ev2::SELECT_NTAG_424].concat();
        assert_eq!(returned(&mut chip, &select), [0, 0x90, 0x00]);
        assert_eq!(returned(&mut chip, &[0x42, 0xb2]), [0, 0xa2]);
        assert_eq!(returned(&mut chip, &[0x00, 6]), [0]);
        // Halted, it is woken by its name.
        returned(&mut chip, &[0x44, 1]);
        assert_eq!(returned(&mut chip, &by_uid), expected);
        assert_eq!(returned(&mut chip, &[0x4a, 1, 0, 9, 9, 9, 9]), [0]);
        // The host does not want the ATS: then no APDU is understood.
        returned(&mut chip, &[0x12, 0]);
        assert_eq!(returned(&mut chip, &by_uid), expected[..13]);
        assert_eq!(returned(&mut chip, &select), [0x01]);
    }

    #[test]
    fn uids_of_all_lengths_are_found_behind_their_cascade_tags() {
        assert_eq!(without_cascade_tags(&[1, 2, 3, 4]), [1, 2, 3, 4]);
        assert_eq!(without_cascade_tags(&[0x88, 1, 2, 3, 4, 5, 6, 7]), [1, 2, 3, 4, 5, 6, 7]);
        let ten = without_cascade_tags(&[0x88, 1, 2, 3, 0x88, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(ten, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn without_a_selected_card_nothing_is_exchanged() {
        let mut chip = with_a_tag_and_a_chip();
        assert_eq!(returned(&mut chip, &[0x40, 1, 0x30, 0]), [0x27]);
        assert_eq!(returned(&mut chip, &[0x42, 0x30, 0]), [0x01]);
        assert_eq!(returned(&mut chip, &[0x00, 6]), [0x01]);
    }

    #[test]
    fn a_card_that_leaves_in_the_middle_is_not_listed_until_it_is_presented_again() {
        let mut chip = Chip::default();
        let card = SharedCard::new(Type2::new(Model::Ntag213, TAG, 0));
        chip.present(vec![card.clone()]);
        chip.answer(&[0x32, 5, 0xff, 1, 2]);
        returned(&mut chip, &LIST);
        card.with(|card| card.take_away_after(1));
        assert_eq!(returned(&mut chip, &[0x40, 1, 0x30, 0])[0], 0);
        assert_eq!(returned(&mut chip, &[0x40, 1, 0x30, 0]), [0x01]);
        assert_eq!(returned(&mut chip, &LIST), [0]);
        chip.present(vec![card]);
        assert_eq!(returned(&mut chip, &LIST)[0], 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_chip_panic(
            commands in proptest::collection::vec(
                (
                    proptest::sample::select(vec![
                        &[][..], &[0x00], &[0x06], &[0x12], &[0x32], &[0x40], &[0x40, 1], &[0x42],
                        &[0x44], &[0x4a], &[0x4a, 1, 0], &[0x4a, 1, 0, 0x88], &[0x52], &LIST,
                    ]),
                    proptest::collection::vec(any::<u8>(), 0..20),
                ),
                0..20,
            ),
        ) {
            let mut chip = with_a_tag_and_a_chip();
            chip.add(SharedCard::new(Desfire::new(Generation::Ev2, [7; 7], 0)));
            for (head, tail) in commands {
                chip.answer(&[head, &tail[..]].concat());
                chip.answer(head);
            }
        }
    }
}
