//! The libnfc driver with the real libnfc, on an emulated PN532.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]
#![cfg(feature = "libnfc")]

#[path = "shared/keys.rs"]
mod keys;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crdt_model::authenticity::Authenticity;
use crdt_model::ids::ChipNumber;
use hardware::authentic::check::Finding;
use hardware::authentic::make::MakeError;
use hardware::card::{Attendant, Broken, CardChannel, Presented};
use hardware::emulator::Pn532Emulator;
use hardware::emulator::card::SharedCard;
use hardware::emulator::desfire::{Desfire, Generation};
use hardware::emulator::ntag424::Ntag424;
use hardware::emulator::type2::{Model, Type2};
use hardware::libnfc::LibnfcReader;
use hardware::reader::{ReaderEvent, ReaderHandle, spawn};
use keys::{checking, converse_through, make_through, making};

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

/// Numbers that look random and are the same in each run (Numerical Recipes' linear congruence).
struct Random(u32);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % bound
    }

    /// Up to 32 bytes of any kind: of frames that begin, end or break off, too.
    fn garbage(&mut self) -> Vec<u8> {
        const OF_FRAMES: [u8; 6] = [0x00, 0x00, 0xff, 0xd5, 0x4b, 0x01];
        let length = 1 + self.below(32);
        (0..length)
            .map(|_| match self.below(3) {
                0 => OF_FRAMES[usize::try_from(self.below(6)).unwrap()],
                _ => u8::try_from(self.below(256)).unwrap(),
            })
            .collect()
    }
}

/// Each card another one. In between the line carries garbage, answers come broken, and now and then
/// none comes: none is missed, none doubled, each is gone once.
#[test]
fn a_thousand_taps_with_garbage_between_them_are_a_thousand_taps_and_removals() {
    let emulator = Pn532Emulator::start().unwrap();
    let reader = LibnfcReader::new(Some(emulator.connstring()));
    let mut handle = spawn(reader.polling_every(Duration::from_millis(1))).unwrap();
    let events = handle.events().unwrap();
    assert!(matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Ready { .. })));
    let mut random = Random(0x2545_f491);
    let (mut garbled, mut broken, mut silences) = (0, 0, 0);
    // What was said of cards. The garbage may cost the line: then the reader comes back by itself.
    let next = || loop {
        match events.recv_timeout(LONG).unwrap() {
            ReaderEvent::Lost { .. } | ReaderEvent::Ready { .. } => {}
            said => return said,
        }
    };
    let held =
        || ["fd", "task"].map(|of| std::fs::read_dir(format!("/proc/self/{of}")).unwrap().count());
    let mut held_before = None;
    for n in 0..1000u32 {
        if n == 100 {
            held_before = Some(held());
        }
        let [_, a, b, c] = n.to_be_bytes();
        let uid = chip(&format!("04{a:02X}{b:02X}{c:02X}EE3880"));
        for _ in 0..2 {
            match random.below(100) {
                0..30 => {
                    emulator.garble(&random.garbage());
                    garbled += 1;
                }
                30..34 => {
                    emulator.garble_answers(1 + random.below(2));
                    broken += 1;
                }
                34 => {
                    emulator.silent(1);
                    silences += 1;
                }
                _ => {}
            }
        }
        emulator.present(uid.bytes());
        assert_eq!(next(), ReaderEvent::tapped(uid), "tap {n}");
        emulator.remove();
        assert_eq!(next(), ReaderEvent::Removed(uid), "tap {n}");
    }
    println!("garbage {garbled} times, {broken} broken answers, {silences} silences");
    assert!(events.try_recv().is_err(), "and nothing more");
    // Memory is measured by the benchmark; these have no noise.
    assert_eq!(Some(held()), held_before, "open files and threads, as after the first hundred");
}

/// UX: within two seconds on the status line, and back without a restart.
#[test]
fn a_reader_that_is_unplugged_is_said_to_be_lost_and_comes_back_by_itself() {
    let ports = tempfile::tempdir().unwrap();
    let port = ports.path().join("ttyReader");
    let emulator = Pn532Emulator::start().unwrap();
    let reader = LibnfcReader::new(Some(emulator.plugged_in_at(&port).unwrap()));
    let mut handle = spawn(reader).unwrap();
    let events = handle.events().unwrap();
    assert!(matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Ready { .. })));
    let begun = std::time::Instant::now();
    std::fs::remove_file(&port).unwrap();
    drop(emulator);
    assert!(matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Lost { .. })));
    println!("lost after {} ms", begun.elapsed().as_millis());
    let again = Pn532Emulator::start().unwrap();
    again.plugged_in_at(&port).unwrap();
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

/// Talks with each card, which leaves the field in the middle.
struct Quick {
    card: SharedCard,
    /// Behind how many exchanges it leaves.
    leaves: Mutex<Option<u32>>,
    make: bool,
    outcome: Sender<Result<Finding, MakeError>>,
}

impl Attendant for Quick {
    fn attend(&self, card: &Presented, channel: &mut dyn CardChannel) -> Option<String> {
        if let Some(exchanges) = *self.leaves.lock().unwrap() {
            self.card.with(|card| card.take_away_after(exchanges));
        }
        let outcome = if self.make {
            make_through(&making(&[1]), card, channel)
        } else {
            Ok(converse_through(&checking(&[1]), card, channel).0)
        };
        self.outcome.send(outcome).unwrap();
        None
    }
}

/// A card on a reader whose attendant talks with it. It leaves behind more and more exchanges, until it stays.
fn taken_away_at_every_point(
    card: &SharedCard,
    make: bool,
    mut look: impl FnMut(u32, Result<Finding, MakeError>),
) {
    let emulator = Pn532Emulator::start().unwrap();
    let reader = LibnfcReader::new(Some(emulator.connstring()));
    let reader = reader.polling_every(Duration::from_millis(1));
    let (sender, outcomes) = channel();
    let leaves = Mutex::new(None);
    let quick = Arc::new(Quick { card: card.clone(), leaves, make, outcome: sender });
    let mut handle = spawn(reader.attended_by(quick.clone())).unwrap();
    let events = handle.events().unwrap();
    assert!(matches!(events.recv_timeout(LONG), Ok(ReaderEvent::Ready { .. })));
    let uid = card.presented().unwrap().chip;
    for exchanges in 0..64 {
        *quick.leaves.lock().unwrap() = Some(exchanges);
        emulator.present_shared(card);
        look(exchanges, outcomes.recv_timeout(LONG).unwrap());
        assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::tapped(uid)));
        let stayed = !card.with(|card| card.is_gone());
        handle.forget(uid);
        emulator.remove();
        assert_eq!(events.recv_timeout(LONG), Ok(ReaderEvent::Removed(uid)));
        if stayed {
            assert!(exchanges > 3, "it left {exchanges} times");
            return;
        }
    }
    panic!("it never stayed");
}

fn cards() -> [SharedCard; 4] {
    let uid = [0x04, 0x78, 0x4c, 0xda, 0xee, 0x38, 0x80];
    [
        SharedCard::new(Type2::new(Model::Ntag213, uid, 7)),
        SharedCard::new(Type2::new(Model::UltralightAes, uid, 7)),
        SharedCard::new(Ntag424::new(uid, 7)),
        SharedCard::new(Desfire::new(Generation::Ev2, uid, 7)),
    ]
}

/// libnfc says nothing of a card that is gone while it is selected: the reader must notice.
#[test]
fn a_card_that_is_lifted_while_it_is_checked_is_not_called_a_forgery() {
    for card in cards() {
        card.lay_down();
        let whole = keys::make(&making(&[1]), &card).unwrap().authenticity();
        let mut last = None;
        taken_away_at_every_point(&card, false, |exchanges, outcome| {
            let found = outcome.unwrap();
            let shown = found.authenticity();
            assert_ne!(shown, Authenticity::Refuted, "behind {exchanges}: {found}");
            last = Some(shown);
        });
        assert_eq!(last, Some(whole), "the last time it stayed");
    }
}

#[test]
fn a_card_that_is_lifted_while_it_is_made_is_said_to_be_gone_and_finished_in_the_end() {
    for card in cards() {
        let mut last = None;
        taken_away_at_every_point(&card, true, |exchanges, outcome| {
            if let Err(error) = &outcome {
                let gone = *error == MakeError::Broken(Broken::Gone);
                let not_proved = matches!(error, MakeError::NotProved(_));
                assert!(gone || not_proved, "behind {exchanges}: {error}");
            }
            last = Some(outcome);
        });
        assert!(matches!(last, Some(Ok(_))), "{last:?}");
    }
}
