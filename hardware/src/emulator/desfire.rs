//! A MIFARE DESFire EV2 or EV3 with applications that have AES keys. Not emulated: files, DES keys
//! (so nobody authenticates at the level of the card), ISO file names, delays after failed
//! authentications.

use super::dialogue::{ADDITIONAL_FRAME, AUTHENTICATE_EV2_FIRST, ApduCard, CommMode, Dialogue};
use super::iso_dep::{Apdu, StoredKey, answer, status};
use super::random::Random;

/// Which DESFire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// MF3D42: DESFire EV2, 4 KiB.
    Ev2,
    /// MF3D43: DESFire EV3, 4 KiB.
    Ev3,
}

/// The second settings byte of an application: the bits that choose the cipher, and AES.
const CIPHER: u8 = 0xc0;
const AES: u8 = 0x80;

/// An application has so many keys at the most.
const MOST_KEYS: u8 = 14;

/// Applications that there is room for, so that no test fills the memory.
const MOST_APPLICATIONS: usize = 28;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Application {
    aid: [u8; 3],
    /// Its upper half says with which key keys are changed.
    settings: u8,
    keys: Vec<StoredKey>,
}

/// A MIFARE DESFire.
#[derive(Debug)]
pub struct Desfire {
    generation: Generation,
    uid: [u8; 7],
    applications: Vec<Application>,
    random: Random,
    // What follows goes with the power. Without a selected application it is the card's own level.
    selected: Option<usize>,
    dialogue: Dialogue,
}

impl Desfire {
    /// A card without an application. Its random numbers follow from `seed`.
    pub fn new(generation: Generation, uid: [u8; 7], seed: u64) -> Self {
        Self {
            generation,
            uid,
            applications: Vec::new(),
            random: Random::of(seed),
            selected: None,
            dialogue: Dialogue::default(),
        }
    }

    /// The card's UID.
    pub fn uid(&self) -> [u8; 7] {
        self.uid
    }

    /// A key of an application, by its AID as the card has it in memory.
    pub fn key(&self, aid: [u8; 3], number: usize) -> Option<[u8; 16]> {
        let application = self.applications.iter().find(|application| application.aid == aid)?;
        application.keys.get(number).map(|key| key.bytes)
    }

    /// Ends selection and session.
    pub(super) fn power_off(&mut self) {
        self.selected = None;
        self.dialogue = Dialogue::default();
    }

    fn selected_key(&self, number: u8) -> Result<StoredKey, u16> {
        let application = self.selected.and_then(|at| self.applications.get(at));
        let keys = &application.ok_or(status::AUTHENTICATION)?.keys;
        keys.get(usize::from(number)).copied().ok_or(status::NO_SUCH_KEY)
    }

    fn authenticate(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        let [number, capabilities, rest @ ..] = data else { return Err(status::LENGTH) };
        if rest.len() != usize::from(*capabilities) || rest.len() > 6 {
            return Err(status::LENGTH);
        }
        let key = self.selected_key(*number)?.bytes;
        Ok(self.dialogue.challenge(*number, key, &mut self.random))
    }

    fn select_application(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        let aid: [u8; 3] = data.try_into().map_err(|_| status::LENGTH)?;
        let at = self.applications.iter().position(|application| application.aid == aid);
        if at.is_none() && aid != [0; 3] {
            return Err(status::NO_SUCH_APPLICATION);
        }
        self.selected = at;
        self.dialogue = Dialogue::default();
        Ok(answer(&[], status::OK))
    }

    fn create_application(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        if self.selected.is_some() {
            return Err(status::PERMISSION_DENIED);
        }
        // What may follow names it for ISO 7816-4, by which nobody asks for it here.
        let [a, b, c, settings, keys, ..] = data else { return Err(status::LENGTH) };
        let (aid, count) = ([*a, *b, *c], keys & 0x0f);
        if aid == [0; 3] || keys & CIPHER != AES || !(1..=MOST_KEYS).contains(&count) {
            return Err(status::PARAMETER);
        }
        if self.applications.iter().any(|application| application.aid == aid) {
            return Err(status::DUPLICATE);
        }
        if self.applications.len() >= MOST_APPLICATIONS {
            // OUT_OF_EEPROM_ERROR.
            return Err(0x910e);
        }
        let keys = vec![StoredKey::default(); usize::from(count)];
        self.applications.push(Application { aid, settings: *settings, keys });
        Ok(answer(&[], status::OK))
    }

    fn change_key(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        let session = self.dialogue.key_number().ok_or(status::AUTHENTICATION)?;
        let (header, new) = self.dialogue.received(0xc4, CommMode::Full, 1, data)?;
        let number = header[0];
        let application = self.selected.and_then(|at| self.applications.get_mut(at));
        let application = application.ok_or(status::AUTHENTICATION)?;
        // Key settings, bits 7 to 4; key 0 itself is changed under key 0, if bit 0 allows it.
        let changer = match (number, application.settings >> 4) {
            (0, _) if application.settings & 1 == 0 => return Err(status::PERMISSION_DENIED),
            (0, _) => 0,
            (_, 0x0f) => return Err(status::PERMISSION_DENIED),
            (same, 0x0e) => same,
            (_, changer) => changer,
        };
        if session != changer {
            return Err(status::AUTHENTICATION);
        }
        let key = application.keys.get_mut(usize::from(number)).ok_or(status::NO_SUCH_KEY)?;
        *key = key.changed(&new, number == session)?;
        Ok(if number == session {
            self.dialogue.over()
        } else {
            self.dialogue.answered(CommMode::Full, &[])
        })
    }

    /// GetVersion's three frames: hardware, software, and this card.
    fn version(&self) -> [Vec<u8>; 3] {
        let (hardware, software) = match self.generation {
            Generation::Ev2 => ((0x12, 0x00), (0x02, 0x01)),
            Generation::Ev3 => ((0x33, 0x00), (0x03, 0x00)),
        };
        let of = |(major, minor)| vec![0x04, 0x01, 0x01, major, minor, 0x18, 0x05];
        // Batch, week and year of production.
        let chip = [&self.uid[..], &[0xb9, 0x0c, 0x15, 0x4e, 0x60, 0x12, 0x21]].concat();
        [of(hardware), of(software), chip]
    }
}

impl ApduCard for Desfire {
    fn dialogue(&mut self) -> &mut Dialogue {
        &mut self.dialogue
    }

    fn native(&mut self, instruction: u8, data: &[u8]) -> Result<Vec<u8>, u16> {
        let mac_if_open = self.dialogue.mac_if_open();
        match instruction {
            ADDITIONAL_FRAME => Ok(self.dialogue.additional_frame(data)),
            AUTHENTICATE_EV2_FIRST => self.authenticate(data),
            0x5a => self.select_application(data),
            0xca => self.create_application(data),
            0xc4 => self.change_key(data),
            // GetVersion.
            0x60 => {
                self.dialogue.received(instruction, mac_if_open, 0, data)?;
                Ok(self.dialogue.answered_in_frames(&self.version()))
            }
            // GetKeyVersion.
            0x64 => {
                let (header, _) = self.dialogue.received(instruction, mac_if_open, 1, data)?;
                let version = self.selected_key(header[0])?.version;
                Ok(self.dialogue.answered(mac_if_open, &[version]))
            }
            _ => Err(status::ILLEGAL_COMMAND),
        }
    }

    fn iso(&mut self, apdu: &Apdu<'_>) -> Vec<u8> {
        match apdu.instruction {
            0xa4 => answer(&[], status::ISO_NOT_FOUND),
            _ => answer(&[], status::ISO_INSTRUCTION),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentic::{Key, ev2};
    use crate::emulator::aes::padded_and_encrypted;

    const UID: [u8; 7] = [0x04, 0x78, 0x2e, 0x21, 0x80, 0x1d, 0x80];
    const AID: [u8; 3] = [0xf5, 0x42, 0x30];

    fn card(generation: Generation) -> Desfire {
        let mut card = Desfire::new(generation, UID, 7);
        let create = [0x90, 0xca, 0, 0, 5, AID[0], AID[1], AID[2], 0x0b, 0x82, 0];
        assert_eq!(card.exchange(&create), [0x91, 0x00]);
        card
    }

    fn open(card: &mut Desfire, number: u8, key: [u8; 16]) -> Result<ev2::Session, ev2::Ev2Error> {
        assert_eq!(card.exchange(&ev2::select_desfire(AID)), [0x91, 0x00]);
        let (command, state) = ev2::start(Key::new(key), number, [0xa0; 16]);
        let (command, state) = state.take(&card.exchange(&command))?;
        state.take(&card.exchange(&command))
    }

    /// ChangeKey in the session's first command.
    fn change(card: &mut Desfire, session: &ev2::Session, number: u8, plain: &[u8]) -> Vec<u8> {
        let mut vector = [0; 16];
        vector[..6].copy_from_slice(&[&[0xa5, 0x5a][..], &session.ti].concat());
        let data = padded_and_encrypted(&session.enc, session.enc.encrypted(vector), plain);
        let counted = [&[0xc4, 0, 0][..], &session.ti, &[number], &data].concat();
        let mac = session.mac.short_mac(&counted);
        card.exchange(&[&[0x90, 0xc4, 0, 0, 41, number][..], &data, &mac, &[0]].concat())
    }

    #[test]
    fn the_reader_passes_with_the_right_key_and_with_no_other() {
        for generation in [Generation::Ev2, Generation::Ev3] {
            let mut card = card(generation);
            open(&mut card, 0, [0; 16]).unwrap();
            open(&mut card, 1, [0; 16]).unwrap();
            let wrong = open(&mut card, 0, [1; 16]).unwrap_err();
            assert_eq!(wrong, ev2::Ev2Error::NotGenuine);
            let none = open(&mut card, 2, [0; 16]).unwrap_err();
            assert_eq!(none, ev2::Ev2Error::Refused { status: 0x9140 });
        }
    }

    #[test]
    fn an_application_that_is_not_there_is_not_selected_and_one_is_not_created_twice() {
        let mut card = card(Generation::Ev3);
        assert_eq!(card.exchange(&ev2::select_desfire([1, 2, 3])), [0x91, 0xa0]);
        let twice = [0x90, 0xca, 0, 0, 5, AID[0], AID[1], AID[2], 0x0b, 0x82, 0];
        assert_eq!(card.exchange(&twice), [0x91, 0xde]);
        assert_eq!(card.exchange(&ev2::select_desfire([0; 3])), [0x91, 0x00]);
        let des = [0x90, 0xca, 0, 0, 5, 9, 9, 9, 0x0b, 0x02, 0];
        assert_eq!(card.exchange(&des), [0x91, 0x9e]);
    }

    #[test]
    fn a_changed_key_is_the_one_that_is_asked_from_then_on() {
        let mut card = card(Generation::Ev2);
        let session = open(&mut card, 0, [0; 16]).unwrap();
        let sum = crate::emulator::aes::check_sum(&[5; 16]);
        let answer = change(&mut card, &session, 1, &[&[5; 16][..], &[3], &sum].concat());
        assert_eq!(answer.len(), 10);
        assert_eq!(card.key(AID, 1), Some([5; 16]));
        let session = open(&mut card, 0, [0; 16]).unwrap();
        assert_eq!(change(&mut card, &session, 0, &[&[6; 16][..], &[1]].concat()), [0x91, 0x00]);
        card.power_off();
        assert!(open(&mut card, 0, [0; 16]).is_err());
        open(&mut card, 0, [6; 16]).unwrap();
        let session = open(&mut card, 1, [5; 16]).unwrap();
        // Key settings 0B: only key 0 changes keys.
        let refused = change(&mut card, &session, 1, &[&[7; 16][..], &[1]].concat());
        assert_eq!(refused, [0x91, 0xae]);
    }

    #[test]
    fn get_version_comes_in_three_frames_and_another_command_ends_it() {
        let mut card = card(Generation::Ev2);
        let more = [0x90, 0xaf, 0, 0, 0];
        let first = card.exchange(&[0x90, 0x60, 0, 0, 0]);
        assert_eq!(first, [0x04, 0x01, 0x01, 0x12, 0x00, 0x18, 0x05, 0x91, 0xaf]);
        assert!(card.exchange(&more).ends_with(&[0x91, 0xaf]));
        let last = card.exchange(&more);
        assert!(last.starts_with(&UID) && last.ends_with(&[0x91, 0x00]));
        assert_eq!(card.exchange(&more), [0x91, 0x1c]);
        card.exchange(&[0x90, 0x60, 0, 0, 0]);
        assert_eq!(card.exchange(&ev2::select_desfire(AID)), [0x91, 0xca]);
        assert_eq!(card.exchange(&ev2::select_desfire(AID)), [0x91, 0x00]);
    }
}
