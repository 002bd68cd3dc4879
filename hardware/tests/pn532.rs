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
    assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::Tapped(uid)));
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
        assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::Tapped(chip(text))));
        emulator.remove();
        assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::Removed(chip(text))));
    }
}

#[test]
fn a_reader_that_is_not_there_is_said_to_be_lost_and_stops_when_dropped() {
    let mut handle = spawn(LibnfcReader::new(Some("pn532_uart:/dev/nowhere".to_owned()))).unwrap();
    let events = handle.events().unwrap();
    assert!(matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Lost { .. })));
    drop(handle);
    assert!(events.recv().is_err(), "the thread has ended");
}
