//! A card in the field of an emulated reader: what kind it is, and what becomes of it in the middle
//! of a conversation.

use std::sync::{Arc, Mutex, PoisonError};

use crdt_model::ids::{ChipNumber, ChipNumberError};

use super::desfire::Desfire;
use super::dialogue::ApduCard;
use super::ntag424::Ntag424;
use super::type2::Type2;
use crate::card::{Broken, CardChannel, Command, Presented, Speaks};

/// What a card does with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// It answers these bytes.
    Answer(Vec<u8>),
    /// It says yes: the four bits 1010, with which a Type 2 tag takes a WRITE.
    Ack,
    /// It says no, with these four bits.
    Nak(u8),
    /// It says nothing.
    Silence,
}

/// What kind of card it is, with its memory.
#[derive(Debug)]
pub enum Kind {
    /// It says nothing beyond its UID.
    UidOnly,
    /// A Type 2 tag: commands are those of ISO 14443-3, without the CRC.
    Type2(Box<Type2>),
    /// An NTAG 424 DNA: commands are APDUs.
    Ntag424(Box<Ntag424>),
    /// A DESFire: commands are APDUs.
    Desfire(Box<Desfire>),
}

/// SEL_RES of a card that speaks ISO 14443-4, and of one that does not.
const ISO_DEP: u8 = 0x20;
const NOT_ISO_DEP: u8 = 0x00;

/// What stands before the historical bytes in the ATR of a contactless card, but for their number
/// (PC/SC part 3, 3.1.3.2.3.1).
const ATR_TD: [u8; 2] = [0x80, 0x01];

/// The ATR of a contactless storage card: ISO 14443-A, part 3, a MIFARE Ultralight.
pub(super) const STORAGE_CARD: [u8; 20] = [
    0x3b, 0x8f, 0x80, 0x01, 0x80, 0x4f, 0x0c, 0xa0, 0x00, 0x00, 0x03, 0x06, 0x03, 0x00, 0x03, 0x00,
    0x00, 0x00, 0x00, 0x68,
];

/// A card.
#[derive(Debug)]
pub struct Card {
    uid: Vec<u8>,
    kind: Kind,
    /// It was told to be quiet (HLTA), and is until it is woken or loses its power.
    halted: bool,
    /// It said NAK and has gone back to where it waits to be selected.
    deselected: bool,
    /// Exchanges until it is taken away.
    leaves_after: Option<u32>,
    gone: bool,
}

impl Card {
    /// A card that says nothing beyond this UID (4, 7 or 10 bytes).
    pub fn new(uid: &[u8]) -> Self {
        Self::of(uid, Kind::UidOnly)
    }

    fn of(uid: &[u8], kind: Kind) -> Self {
        let (halted, deselected, leaves_after, gone) = (false, false, None, false);
        Self { uid: uid.to_vec(), kind, halted, deselected, leaves_after, gone }
    }

    /// Its UID.
    pub fn uid(&self) -> &[u8] {
        &self.uid
    }

    /// What kind of card it is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The same, to change what lies on it behind a reader's back.
    pub fn kind_mut(&mut self) -> &mut Kind {
        &mut self.kind
    }

    /// The Type 2 tag, if it is one.
    pub fn type_2(&self) -> Option<&Type2> {
        if let Kind::Type2(tag) = &self.kind { Some(tag) } else { None }
    }

    /// The NTAG 424 DNA, if it is one.
    pub fn ntag_424(&self) -> Option<&Ntag424> {
        if let Kind::Ntag424(chip) = &self.kind { Some(chip) } else { None }
    }

    /// The DESFire, if it is one.
    pub fn desfire(&self) -> Option<&Desfire> {
        if let Kind::Desfire(card) = &self.kind { Some(card) } else { None }
    }

    /// What the card does with a command: of a Type 2 tag without the CRC, of the others an APDU.
    pub fn exchange(&mut self, command: &[u8]) -> Reaction {
        match &mut self.leaves_after {
            None => {}
            Some(0) => {
                self.gone = true;
                self.power_off();
            }
            Some(left) => *left -= 1,
        }
        if self.gone || self.deselected {
            return Reaction::Silence;
        }
        let reaction = match &mut self.kind {
            Kind::UidOnly => Reaction::Silence,
            Kind::Type2(tag) => tag.exchange(command),
            Kind::Ntag424(chip) => Reaction::Answer(chip.exchange(command)),
            Kind::Desfire(card) => Reaction::Answer(card.exchange(command)),
        };
        self.deselected = matches!(reaction, Reaction::Nak(_));
        reaction
    }

    /// The card is selected, for the first time or again: what was begun with it is over, and it is
    /// quiet no longer.
    pub fn select(&mut self) {
        (self.halted, self.deselected) = (false, false);
        match &mut self.kind {
            Kind::UidOnly => {}
            Kind::Type2(tag) => tag.select(),
            Kind::Ntag424(chip) => chip.power_off(),
            Kind::Desfire(card) => card.power_off(),
        }
    }

    /// The card loses its power: sessions end, and it forgets that it was halted.
    pub fn power_off(&mut self) {
        self.select();
        if let Kind::Type2(tag) = &mut self.kind {
            tag.power_off();
        }
    }

    /// The card is told to be quiet (HLTA).
    pub(super) fn halt(&mut self) {
        self.select();
        self.halted = true;
    }

    /// Whether it answers a call to all cards.
    pub(super) fn is_awake(&self) -> bool {
        !self.halted && !self.gone
    }

    /// The card leaves the field behind so many more exchanges: the next one times out, without the
    /// card having done anything, and it is gone until it is presented again.
    pub fn take_away_after(&mut self, exchanges: u32) {
        self.leaves_after = Some(exchanges);
    }

    /// Whether it left the field in the middle of a conversation.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// The card is laid on a reader.
    pub(super) fn arrive(&mut self) {
        self.power_off();
        (self.leaves_after, self.gone) = (None, false);
    }

    /// SENS_RES, the higher byte first; its bits tell the UID's length.
    pub fn sens_res(&self) -> [u8; 2] {
        let length = match self.uid.len() {
            4 => 0x04,
            7 => 0x44,
            _ => 0x84,
        };
        [if self.ats().is_some() { 0x03 } else { 0x00 }, length]
    }

    /// SEL_RES.
    pub fn sak(&self) -> u8 {
        if self.ats().is_some() { ISO_DEP } else { NOT_ISO_DEP }
    }

    /// The answer to select of a card that speaks ISO 14443-4, its length first.
    pub fn ats(&self) -> Option<Vec<u8>> {
        match self.kind {
            Kind::UidOnly | Kind::Type2(_) => None,
            Kind::Ntag424(_) => Some(vec![0x06, 0x77, 0x77, 0x71, 0x02, 0x80]),
            Kind::Desfire(_) => Some(vec![0x06, 0x75, 0x77, 0x81, 0x02, 0x80]),
        }
    }

    /// The ATR that a PC/SC reader makes of it: of a storage card, or of the historical bytes.
    pub fn atr(&self) -> Vec<u8> {
        let Some(ats) = self.ats() else { return STORAGE_CARD.to_vec() };
        // Length, format and three interface bytes come before.
        let history = ats.get(5..).unwrap_or_default();
        let count = 0x80 | u8::try_from(history.len()).unwrap_or(0) & 0x0f;
        let body = [&[count][..], &ATR_TD, history].concat();
        let check = body.iter().fold(0, |sum, byte| sum ^ byte);
        [&[0x3b][..], &body, &[check]].concat()
    }
}

impl From<Type2> for Card {
    fn from(tag: Type2) -> Self {
        Self::of(&tag.uid(), Kind::Type2(Box::new(tag)))
    }
}

impl From<Ntag424> for Card {
    fn from(chip: Ntag424) -> Self {
        Self::of(&chip.uid(), Kind::Ntag424(Box::new(chip)))
    }
}

impl From<Desfire> for Card {
    fn from(card: Desfire) -> Self {
        Self::of(&card.uid(), Kind::Desfire(Box::new(card)))
    }
}

/// A card that a test keeps hold of while it lies on a reader: its memory outlives the tap, and can
/// be looked at and presented again.
#[derive(Debug, Clone)]
pub struct SharedCard(Arc<Mutex<Card>>);

impl SharedCard {
    /// This card, to be presented.
    pub fn new(card: impl Into<Card>) -> Self {
        Self(Arc::new(Mutex::new(card.into())))
    }

    /// Looks at the card or changes it. The reader waits meanwhile, so nothing in `look` may wait for
    /// the reader.
    pub fn with<T>(&self, look: impl FnOnce(&mut Card) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SharedCard {
    /// Lays the card down anew, where no reader is between it and whoever talks with it.
    pub fn lay_down(&self) {
        self.with(Card::arrive);
    }

    /// The card as a reader would show it.
    ///
    /// # Errors
    /// Where its UID has a length that no card's has.
    pub fn presented(&self) -> Result<Presented, ChipNumberError> {
        self.with(|card| {
            let chip = ChipNumber::from_bytes(card.uid())?;
            Ok(Presented { chip, speaks: Speaks::of_sak(card.sak()) })
        })
    }
}

/// Talks with the card itself, as through a reader that can do everything.
impl CardChannel for SharedCard {
    fn exchange(&mut self, command: &Command) -> Result<Vec<u8>, Broken> {
        let bytes = match command {
            Command::SelectAnew => {
                let gone = self.with(|card| {
                    card.power_off();
                    card.is_gone()
                });
                return if gone { Err(Broken::Gone) } else { Ok(Vec::new()) };
            }
            Command::ReadPages { from } => vec![0x30, *from],
            Command::WritePage { page, data } => [&[0xa2, *page][..], data].concat(),
            Command::Raw { bytes } | Command::Apdu { bytes } => bytes.clone(),
        };
        self.with(|card| match card.exchange(&bytes) {
            Reaction::Answer(answer) => Ok(answer),
            Reaction::Ack => Ok(Vec::new()),
            Reaction::Nak(_) => {
                card.select();
                Err(Broken::Refused)
            }
            Reaction::Silence => Err(Broken::Gone),
        })
    }
}

impl From<Card> for SharedCard {
    fn from(card: Card) -> Self {
        Self::new(card)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::emulator::desfire::Generation;
    use crate::emulator::type2::Model;

    const UID: [u8; 7] = [4, 1, 2, 3, 4, 5, 6];

    fn one_of_each() -> Vec<Card> {
        vec![
            Card::new(&UID),
            Type2::new(Model::Ntag213, UID, 0).into(),
            Type2::new(Model::UltralightEv1, UID, 0).into(),
            Type2::new(Model::UltralightAes, UID, 0).into(),
            Ntag424::new(UID, 0).into(),
            Desfire::new(Generation::Ev3, UID, 0).into(),
        ]
    }

    #[test]
    fn a_card_says_what_it_is_before_it_is_asked_anything() {
        let tag = Card::from(Type2::new(Model::Ntag213, UID, 0));
        assert_eq!((tag.sens_res(), tag.sak(), tag.ats()), ([0x00, 0x44], 0x00, None));
        assert_eq!(tag.atr(), STORAGE_CARD);
        let chip = Card::from(Ntag424::new(UID, 0));
        assert_eq!((chip.sens_res(), chip.sak()), ([0x03, 0x44], 0x20));
        assert_eq!(chip.atr(), [0x3b, 0x81, 0x80, 0x01, 0x80, 0x80]);
        assert_eq!(Card::new(&[1, 2, 3, 4]).sens_res(), [0x00, 0x04]);
    }

    #[test]
    fn a_tag_that_said_nak_is_quiet_until_it_is_selected_again() {
        let mut tag = Card::from(Type2::new(Model::Ntag213, UID, 0));
        assert_eq!(tag.exchange(&[0x30, 0xff]), Reaction::Nak(0));
        assert_eq!(tag.exchange(&[0x30, 0]), Reaction::Silence);
        tag.select();
        assert!(matches!(tag.exchange(&[0x30, 0]), Reaction::Answer(_)));
    }

    #[test]
    fn a_card_that_is_taken_away_does_not_do_what_it_is_told_then() {
        let card = SharedCard::new(Type2::new(Model::Ntag213, UID, 0));
        card.with(|card| {
            card.take_away_after(1);
            assert_eq!(card.exchange(&[0xa2, 4, 1, 1, 1, 1]), Reaction::Ack);
            assert_eq!(card.exchange(&[0xa2, 5, 1, 1, 1, 1]), Reaction::Silence);
            assert!(card.is_gone());
            card.arrive();
            assert!(matches!(card.exchange(&[0x30, 4]), Reaction::Answer(_)));
            let memory = card.type_2().map(|tag| tag.memory()[16..24].to_vec());
            assert_eq!(memory, Some(vec![1, 1, 1, 1, 0x34, 3, 0, 0xfe]));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_bytes_make_a_card_panic(
            commands in proptest::collection::vec(
                (
                    proptest::sample::select(vec![
                        &[][..], &[0x30], &[0x3a], &[0xa2], &[0xa5, 1], &[0x1a, 0], &[0xaf], &[0x1b],
                        &[0x00, 0xa4, 0x04, 0x0c, 7, 0xd2, 0x76, 0, 0, 0x85, 1, 1], &[0x00, 0xb0],
                        &[0x00, 0xb0, 0x84], &[0x00, 0xd6], &[0x00, 0xd6, 0x84, 0, 3],
                        &[0x90, 0x71, 0, 0, 2, 0, 0], &[0x90, 0xaf, 0, 0, 32], &[0x90, 0x60, 0, 0],
                        &[0x90, 0xad, 0, 0, 7, 2], &[0x90, 0x8d, 0, 0, 9, 2], &[0x90, 0xc4, 0, 0, 41],
                        &[0x90, 0x5f, 0, 0, 6, 2], &[0x90, 0xca, 0, 0, 5], &[0x90, 0x5a, 0, 0, 3],
                    ]),
                    proptest::collection::vec(any::<u8>(), 0..50),
                ),
                0..30,
            ),
        ) {
            for mut card in one_of_each() {
                for (head, tail) in &commands {
                    card.exchange(&[head, &tail[..]].concat());
                    card.select();
                }
                for (head, tail) in &commands {
                    card.exchange(&[head, &tail[..]].concat());
                }
            }
        }
    }
}
