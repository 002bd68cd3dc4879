//! The libnfc driver with the real libnfc, on an emulated PN532.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]
#![cfg(feature = "libnfc")]

use std::sync::mpsc::Receiver;
use std::time::Duration;

use crdt_model::ids::ChipNumber;
use hardware::emulator::Pn532Emulator;
use hardware::libnfc::LibnfcReader;
use hardware::reader::{ReaderEvent, ReaderHandle, spawn};

/// Far longer than anything takes: only a failure waits so long.
const LONG: Duration = Duration::from_secs(20);

fn started() -> (Pn532Emulator, ReaderHandle, Receiver<ReaderEvent>) {
    let emulator = Pn532Emulator::start().unwrap();
    let mut handle = spawn(LibnfcReader::new(Some(emulator.connstring()))).unwrap();
    let events = handle.events().unwrap();
    assert!(matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Ready { .. })));
    (emulator, handle, events)
}

fn chip(text: &str) -> ChipNumber {
    text.parse().unwrap()
}

#[test]
fn a_card_is_tapped_stays_and_is_removed() {
    let (emulator, _handle, events) = started();
    let uid = chip("04784CDAEE3880");
    emulator.present(uid.bytes());
    assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::tapped(uid)));
    // It lies there for several polls: nothing more is said until it goes.
    assert!(events.recv_timeout(Duration::from_millis(700)).is_err());
    emulator.remove();
    assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::Removed(uid)));
}

#[test]
fn cards_with_four_seven_and_ten_bytes_follow_each_other() {
    let (emulator, _handle, events) = started();
    for text in ["DEADBEEF", "04363CDAEE3880", "04010203040506070809"] {
        emulator.present(chip(text).bytes());
        assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::tapped(chip(text))));
        emulator.remove();
        assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::Removed(chip(text))));
    }
}

#[test]
fn two_cards_are_said_once_and_the_one_that_stays_is_tapped() {
    let (emulator, _handle, events) = started();
    let (one, two) = (chip("04784CDAEE3880"), chip("04363CDAEE3880"));
    emulator.present(one.bytes());
    assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::tapped(one)));
    emulator.add(two.bytes());
    assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::TwoCards));
    emulator.present(two.bytes());
    assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::Removed(one)));
    assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::tapped(two)));
}

#[test]
fn a_random_uid_is_nobodys() {
    let (emulator, _handle, events) = started();
    emulator.present(&[0x08, 1, 2, 3]);
    assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::RandomUid));
    let fixed = chip("04784CDAEE3880");
    emulator.present(fixed.bytes());
    assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::tapped(fixed)));
}

/// Each card another one, with noise on the line before every third: none missed, none doubled.
#[test]
fn a_thousand_taps_with_noise_between_them_are_a_thousand_taps() {
    let emulator = Pn532Emulator::start().unwrap();
    let reader = LibnfcReader::new(Some(emulator.connstring()));
    let mut handle = spawn(reader.polling_every(Duration::from_millis(1))).unwrap();
    let events = handle.events().unwrap();
    assert!(matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Ready { .. })));
    let mut noise = 0x2545_f491_u32;
    for n in 0..1000u32 {
        let [_, a, b, c] = n.to_be_bytes();
        let uid = chip(&format!("04{a:02X}{b:02X}{c:02X}EE3880"));
        if n % 3 == 0 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // No start code in it: a frame that is cut off is another matter.
            let bytes: Vec<u8> = noise.to_be_bytes().iter().map(|byte| byte | 1).collect();
            emulator.garble(&bytes);
        }
        emulator.present(uid.bytes());
        let mut taps = 0;
        while taps == 0 {
            match events.recv_timeout(LONG).unwrap() {
                ReaderEvent::Tapped(tap) => {
                    assert_eq!(tap.chip, uid, "tap {n}");
                    taps += 1;
                }
                // The noise may cost the line: the reader comes back by itself.
                ReaderEvent::Lost { .. } | ReaderEvent::Ready { .. } => {}
                other => panic!("tap {n}: {other:?}"),
            }
        }
        emulator.remove();
        while events.recv_timeout(LONG).unwrap() != ReaderEvent::Removed(uid) {}
    }
    assert!(events.try_recv().is_err(), "and nothing more");
}

/// UX: within two seconds on the status line, and back without a restart.
#[test]
fn a_reader_that_is_unplugged_is_said_to_be_lost_and_comes_back_by_itself() {
    let (emulator, _handle, events) = started();
    let path = emulator.path().to_owned();
    let begun = std::time::Instant::now();
    drop(emulator);
    assert!(matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Lost { .. })));
    println!("lost after {} ms", begun.elapsed().as_millis());
    // The kernel gives the same number to the next pseudo-terminal.
    let mut others = Vec::new();
    let again = loop {
        let emulator = Pn532Emulator::start().unwrap();
        if emulator.path() == path {
            break emulator;
        }
        assert!(others.len() < 64, "{} does not come back", path.display());
        others.push(emulator);
    };
    assert!(matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Ready { .. })));
    let uid = chip("04784CDAEE3880");
    again.present(uid.bytes());
    assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::tapped(uid)));
}

#[test]
fn a_reader_that_is_not_there_is_said_to_be_lost_and_stops_when_dropped() {
    let mut handle = spawn(LibnfcReader::new(Some("pn532_uart:/dev/nowhere".to_owned()))).unwrap();
    let events = handle.events().unwrap();
    assert!(matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Lost { .. })));
    drop(handle);
    assert!(events.recv().is_err(), "the thread has ended");
}
