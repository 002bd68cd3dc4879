//! Emulated cards, spoken to through the real libnfc: what the emulators promise to the tests of
//! whoever reads and writes cards.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]
#![cfg(feature = "libnfc")]

use hardware::authentic::Key;
use hardware::authentic::ev2::{self, SELECT_NTAG_424};
use hardware::authentic::ultralight_aes::{self, KeyNumber};
use hardware::emulator::Pn532Emulator;
use hardware::emulator::card::{Card, SharedCard};
use hardware::emulator::desfire::{Desfire, Generation};
use hardware::emulator::ntag424::Ntag424;
use hardware::emulator::type2::{Model, Type2};
use nfc1::target_info::{Iso14443a, TargetInfo};
use nfc1::{BaudRate, Context, Device, Error, Modulation, ModulationType, Property, Timeout};

const MODULATION: Modulation =
    Modulation { modulation_type: ModulationType::Iso14443a, baud_rate: BaudRate::Baud106 };

const UID: [u8; 7] = [0x04, 0x78, 0x2e, 0x21, 0x80, 0x1d, 0x80];

/// An emulated PN532, and libnfc that has opened it. What is dropped first stands first.
struct Desk {
    device: Device,
    _context: Context,
    emulator: Pn532Emulator,
}

impl Desk {
    fn with(card: &SharedCard) -> Self {
        let emulator = Pn532Emulator::start().unwrap();
        emulator.present_shared(card);
        let mut context = Context::new().unwrap();
        let mut device = context.open_with_connstring(&emulator.connstring()).unwrap();
        device.initiator_init().unwrap();
        device.set_property_bool(Property::InfiniteSelect, false).unwrap();
        Self { device, _context: context, emulator }
    }

    fn select(&mut self) -> Option<Iso14443a> {
        match self.device.initiator_select_passive_target(&MODULATION).unwrap().target_info {
            TargetInfo::Iso14443a(info) if info.uid_len > 0 => Some(info),
            _ => None,
        }
    }

    fn says(&mut self, command: &[u8]) -> Result<Vec<u8>, Error> {
        self.device.initiator_transceive_bytes(command, 262, Timeout::Default)
    }
}

#[test]
fn a_tag_that_was_written_is_presented_again_and_still_has_it() {
    let card = SharedCard::new(Type2::new(Model::Ntag213, UID, 0));
    let mut desk = Desk::with(&card);
    let info = desk.select().unwrap();
    assert_eq!((info.atqa, info.sak, info.ats_len), ([0x00, 0x44], 0x00, 0));
    assert!(desk.says(&[0xa2, 4, 1, 2, 3, 4]).unwrap().is_empty());
    assert!(desk.says(&[0x30, 0xf0]).is_err(), "no such page");
    desk.emulator.remove();
    assert!(desk.says(&[0x30, 4]).is_err());
    assert!(desk.select().is_none());
    desk.emulator.present_shared(&card);
    desk.select().unwrap();
    assert_eq!(desk.says(&[0x30, 4]).unwrap()[..4], [1, 2, 3, 4]);
    desk.device.set_property_bool(Property::EasyFraming, false).unwrap();
    assert_eq!(desk.says(&[0x30, 4]).unwrap()[..4], [1, 2, 3, 4]);
    assert!(desk.says(&[0xa2, 5, 5, 6, 7, 8]).unwrap().is_empty());
    let memory = card.with(|card| card.type_2().unwrap().memory()[16..24].to_vec());
    assert_eq!(memory, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn an_ultralight_aes_proves_its_key() {
    let card = SharedCard::new(Type2::new(Model::UltralightAes, UID, 5));
    let mut desk = Desk::with(&card);
    desk.select().unwrap();
    desk.device.set_property_bool(Property::EasyFraming, false).unwrap();
    let start = |key| ultralight_aes::start(Key::new(key), KeyNumber::DataProtection, [1; 16]);
    let (command, state) = start([0; 16]);
    let (command, state) = state.take(&desk.says(&command).unwrap()).unwrap();
    state.take(&desk.says(&command).unwrap()).unwrap();
    let (command, state) = start([1; 16]);
    let (command, _) = state.take(&desk.says(&command).unwrap()).unwrap();
    assert!(desk.says(&command).is_err(), "a NAK");
}

fn authenticates(desk: &mut Desk, key: [u8; 16]) -> Result<ev2::Session, ev2::Ev2Error> {
    let (command, state) = ev2::start(Key::new(key), 0, [2; 16]);
    let (command, state) = state.take(&desk.says(&command).unwrap())?;
    state.take(&desk.says(&command).unwrap())
}

#[test]
fn an_ntag_424_is_selected_by_its_uid_among_others_and_proves_its_key() {
    let card = SharedCard::new(Ntag424::new(UID, 5));
    let mut desk = Desk::with(&Card::new(&[4, 1, 1, 1]).into());
    desk.emulator.add_shared(&card);
    let target = desk.device.initiator_select_passive_target_with_init_data(&MODULATION, &UID);
    let TargetInfo::Iso14443a(info) = target.unwrap().target_info else { panic!() };
    assert_eq!((info.uid[..7].to_vec(), info.sak), (UID.to_vec(), 0x20));
    assert_eq!(info.ats[..info.ats_len], [0x77, 0x77, 0x71, 0x02, 0x80]);
    assert_eq!(desk.says(&SELECT_NTAG_424).unwrap(), [0x90, 0x00]);
    assert_eq!(authenticates(&mut desk, [1; 16]).unwrap_err(), ev2::Ev2Error::NotGenuine);
    authenticates(&mut desk, [0; 16]).unwrap();
    // The whole NDEF file: longer than a short frame of the chip.
    assert_eq!(desk.says(&SELECT_NTAG_424).unwrap(), [0x90, 0x00]);
    assert_eq!(desk.says(&[0, 0xa4, 0, 0x0c, 2, 0xe1, 4]).unwrap(), [0x90, 0x00]);
    assert_eq!(desk.says(&[0, 0xb0, 0, 0, 251]).unwrap().len(), 253);
}

#[test]
fn a_desfire_takes_an_application_and_proves_its_key() {
    let card = SharedCard::new(Desfire::new(Generation::Ev2, UID, 5));
    let mut desk = Desk::with(&card);
    assert_eq!(desk.select().unwrap().sak, 0x20);
    let create = [0x90, 0xca, 0, 0, 5, 1, 2, 3, 0x0b, 0x81, 0];
    assert_eq!(desk.says(&create).unwrap(), [0x91, 0x00]);
    assert_eq!(desk.says(&ev2::select_desfire([1, 2, 3])).unwrap(), [0x91, 0x00]);
    authenticates(&mut desk, [0; 16]).unwrap();
}

#[test]
fn a_card_that_leaves_in_the_middle_has_done_what_came_before() {
    let card = SharedCard::new(Type2::new(Model::Ntag213, UID, 0));
    let mut desk = Desk::with(&card);
    desk.select().unwrap();
    desk.emulator.take_away_after(1);
    desk.says(&[0xa2, 4, 1, 1, 1, 1]).unwrap();
    assert!(desk.says(&[0xa2, 5, 2, 2, 2, 2]).is_err());
    assert!(desk.says(&[0x30, 4]).is_err());
    assert!(desk.select().is_none());
    let memory = card.with(|card| card.type_2().unwrap().memory()[16..24].to_vec());
    assert_eq!(memory, [1, 1, 1, 1, 0x34, 0x03, 0x00, 0xfe]);
}

#[test]
fn a_line_that_is_spoilt_or_silent_fails_and_then_works_again() {
    let card = SharedCard::new(Type2::new(Model::Ntag213, UID, 0));
    let mut desk = Desk::with(&card);
    for spoil in [
        (|desk: &Desk| desk.emulator.garble_answers(1)) as fn(&Desk),
        |desk| desk.emulator.garble_answers(2),
        |desk| desk.emulator.silent(1),
    ] {
        desk.select().unwrap();
        spoil(&desk);
        let mut failures = 0;
        while failures < 5 && desk.says(&[0x30, 4]).is_err() {
            failures += 1;
        }
        assert!((1..5).contains(&failures), "{failures} failures");
    }
}
