//! Cards that are made and checked: what they prove, what a copy of them proves, and what becomes of a
//! card that is taken away in the middle.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

#[path = "shared/keys.rs"]
mod keys;

use std::sync::Arc;

use crdt_model::authenticity::Authenticity;
use hardware::authentic::check::{Check, Finding, Step};
use hardware::authentic::keyring::Keyring;
use hardware::authentic::make::MakeError;
use hardware::authentic::ndef;
use hardware::authentic::signed::{Issued, SignedPass};
use hardware::card::{Broken, CardChannel, Command};
use hardware::describe::describe;
use hardware::emulator::card::{Card, Kind, SharedCard};
use hardware::emulator::desfire::{Desfire, Generation};
use hardware::emulator::ntag424::Ntag424;
use hardware::emulator::type2::{Model, Type2};
use keys::{TODAY, checking, converse, make, making, randoms, set, set_of, signatures_alone};
use proptest::prelude::*;

const UID: [u8; 7] = [0x04, 0x78, 0x4c, 0xda, 0xee, 0x38, 0x80];
const OTHER_UID: [u8; 7] = [0x04, 0x36, 0x3c, 0xda, 0xee, 0x38, 0x80];

/// Checks a card that is laid down anew, and counts what it was asked.
fn checked_by(keys: &Arc<Keyring>, card: &SharedCard) -> (Finding, usize) {
    card.lay_down();
    converse(keys, card)
}

fn made_by(keys: &Arc<Keyring>, card: &SharedCard) -> Result<Finding, MakeError> {
    card.lay_down();
    make(keys, card)
}

fn ntag213() -> SharedCard {
    SharedCard::new(Type2::new(Model::Ntag213, UID, 7))
}

fn ntag424() -> SharedCard {
    SharedCard::new(Ntag424::new(UID, 7))
}

fn fresh_ultralight() -> SharedCard {
    SharedCard::new(Type2::new(Model::UltralightAes, UID, 7))
}

fn desfire() -> SharedCard {
    SharedCard::new(Desfire::new(Generation::Ev2, UID, 7))
}

#[test]
fn a_plain_tag_is_made_a_pass_and_carries_its_issuers_signature() {
    let card = ntag213();
    let expected = Finding::Signed { number: 1, day: TODAY, not_proved: None };
    assert_eq!(made_by(&making(&[1]), &card), Ok(expected.clone()));
    let (found, _) = checked_by(&checking(&[1]), &card);
    assert_eq!(found, expected);
    assert_eq!(found.authenticity(), Authenticity::Signed);
}

#[test]
fn a_pass_that_was_copied_to_another_tag_is_refuted() {
    let card = ntag213();
    made_by(&making(&[1]), &card).unwrap();
    let memory = card.with(|card| card.type_2().unwrap().memory().to_vec());
    let mut copy = Type2::new(Model::Ntag213, OTHER_UID, 7);
    copy.memory_mut()[12..160].copy_from_slice(&memory[12..160]);
    let (found, _) = checked_by(&checking(&[1]), &SharedCard::new(copy));
    assert_eq!(found.authenticity(), Authenticity::Refuted, "{found}");
}

#[test]
fn chips_with_keys_prove_themselves_after_they_were_made() {
    for card in [ntag424(), desfire(), fresh_ultralight()] {
        let found = made_by(&making(&[1]), &card).unwrap();
        assert!(matches!(found, Finding::Proved { number: 1, .. }), "{found}");
        let (found, asked) = checked_by(&checking(&[1]), &card);
        assert_eq!(found.authenticity(), Authenticity::Cryptographic, "{found}");
        assert!(asked <= 11, "{asked} exchanges");
    }
}

/// Readings are counted by the chip, so an old message shows itself.
#[test]
fn each_check_of_an_ntag_424_sees_a_later_message() {
    let card = ntag424();
    made_by(&making(&[1]), &card).unwrap();
    let counter = || checked_by(&checking(&[1]), &card).0.counter().unwrap();
    let (first, second) = (counter(), counter());
    assert!(second > first, "{first} then {second}");
}

/// A card with the message of a genuine one, and its chip number, but not its keys.
#[test]
fn a_message_that_was_read_off_a_card_does_not_make_another_genuine() {
    let card = ntag424();
    made_by(&making(&[1]), &card).unwrap();
    card.lay_down();
    let mut channel = card.clone();
    let mut file = Vec::new();
    for apdu in [
        &hardware::authentic::ev2::SELECT_NTAG_424[..],
        &hardware::authentic::check::SELECT_NDEF_FILE,
        &[0x00, 0xb0, 0x00, 0x00, 0x80],
    ] {
        file = channel.exchange(&Command::apdu(apdu)).unwrap();
    }
    let message = file.strip_suffix(&[0x90, 0x00]).unwrap().to_vec();
    for uid in [UID, OTHER_UID] {
        let copy = SharedCard::new(Ntag424::new(uid, 9));
        copy.lay_down();
        let mut channel = copy.clone();
        for apdu in [
            hardware::authentic::ev2::SELECT_NTAG_424.to_vec(),
            hardware::authentic::check::SELECT_NDEF_FILE.to_vec(),
            [&[0x00, 0xd6, 0x00, 0x00, 0x78][..], &message[..0x78]].concat(),
        ] {
            assert_eq!(channel.exchange(&Command::apdu(apdu)).unwrap(), [0x90, 0x00]);
        }
        let (found, _) = checked_by(&checking(&[1]), &copy);
        assert_eq!(found.authenticity(), Authenticity::Refuted, "{found}");
    }
}

/// Cards count failed authentications and close after some: a card that is not ours is asked for none.
#[test]
fn a_card_of_somebody_else_is_left_alone() {
    for card in [ntag424(), desfire(), ntag213(), SharedCard::new(Card::new(&[4, 1, 2, 3]))] {
        card.lay_down();
        let mut asked = Vec::new();
        let mut channel = card.clone();
        let presented = card.presented().unwrap();
        let mut step = Check::begin(&checking(&[1, 2]), presented, randoms());
        let found = loop {
            match step {
                Step::Done(finding) => break finding,
                Step::Ask(command, check) => {
                    let answer = channel.exchange(&command);
                    asked.push(command);
                    step = check.take(answer.as_deref().map_err(|broken| *broken));
                }
            }
        };
        assert_eq!(found.authenticity(), Authenticity::UidOnly, "{found}");
        let authenticates = |command: &Command| match command {
            Command::Apdu { bytes } => bytes.get(1) == Some(&0x71),
            Command::Raw { .. } => true,
            Command::ReadPages { .. } | Command::WritePage { .. } | Command::SelectAnew => false,
        };
        assert!(!asked.iter().any(authenticates), "{asked:?}");
    }
}

#[test]
fn without_keys_nothing_is_asked() {
    let (found, asked) = checked_by(&Arc::default(), &ntag424());
    assert_eq!((found, asked), (Finding::NothingOfOurs, 0));
}

#[test]
fn a_card_of_a_set_that_this_desk_does_not_hold_has_proved_nothing() {
    for card in [ntag213(), ntag424()] {
        made_by(&making(&[1]), &card).unwrap();
        let (found, _) = checked_by(&checking(&[2]), &card);
        assert_eq!(found, Finding::UnknownKeySet { number: 1 });
        assert_eq!(found.authenticity(), Authenticity::UidOnly);
    }
    let card = desfire();
    made_by(&making(&[1]), &card).unwrap();
    assert_eq!(checked_by(&checking(&[2]), &card).0, Finding::NothingOfOurs);
}

#[test]
fn a_card_of_an_earlier_set_is_made_anew_with_the_latest() {
    for card in [ntag213(), ntag424(), desfire(), fresh_ultralight()] {
        made_by(&making(&[1]), &card).unwrap();
        made_by(&making(&[1, 2]), &card).unwrap();
        let (found, _) = checked_by(&checking(&[2]), &card);
        assert!(found.authenticity() >= Authenticity::Signed, "{found}");
    }
}

/// The card leaves the field at every point in turn. What was written is no harm, and the next attempt
/// finishes it.
#[test]
fn a_card_that_is_taken_away_while_it_is_made_is_finished_later() {
    for fresh in [ntag213, ntag424, desfire, fresh_ultralight] {
        let mut interrupted = 0;
        for exchanges in 0..64 {
            let card = fresh();
            card.lay_down();
            card.with(|card| card.take_away_after(exchanges));
            match make(&making(&[1]), &card) {
                Ok(_) => break,
                Err(error) => {
                    interrupted += 1;
                    let gone = MakeError::Broken(Broken::Gone);
                    let not_proved = matches!(error, MakeError::NotProved(_));
                    assert!(error == gone || not_proved, "behind {exchanges}: {error}");
                }
            }
            let again = made_by(&making(&[1]), &card);
            assert!(again.is_ok(), "behind {exchanges}: {again:?}");
        }
        assert!(interrupted >= 10, "{interrupted}");
    }
}

/// A card that leaves the field while it is checked has proved what it had shown: never more, and it is
/// not called a forgery.
#[test]
fn a_card_that_is_taken_away_while_it_is_checked_is_neither_proved_nor_refuted() {
    for fresh in [ntag213, ntag424, desfire, fresh_ultralight] {
        let card = fresh();
        made_by(&making(&[1]), &card).unwrap();
        let (whole, asked) = checked_by(&checking(&[1]), &card);
        for exchanges in 0..asked {
            card.lay_down();
            card.with(|card| card.take_away_after(u32::try_from(exchanges).unwrap()));
            let (found, _) = converse(&checking(&[1]), &card);
            let shown = found.authenticity();
            assert!(shown < whole.authenticity(), "behind {exchanges}: {found}");
            assert_ne!(shown, Authenticity::Refuted, "behind {exchanges}: {found}");
        }
    }
}

/// After some failed authentications a card answers with 91AD for a while: that is no forgery.
#[test]
fn a_card_that_asks_for_patience_is_not_called_a_forgery() {
    let card = ntag424();
    made_by(&making(&[1]), &card).unwrap();
    card.lay_down();
    let mut channel = card.clone();
    let mut step = Check::begin(&checking(&[1]), card.presented().unwrap(), randoms());
    let found = loop {
        match step {
            Step::Done(finding) => break finding,
            Step::Ask(command, check) => {
                let asks_for_proof =
                    matches!(&command, Command::Apdu { bytes } if bytes.get(1) == Some(&0x71));
                let answer = channel.exchange(&command).unwrap();
                let answer = if asks_for_proof { vec![0x91, 0xad] } else { answer };
                step = check.take(Ok(&answer));
            }
        }
    };
    assert_eq!(found.authenticity(), Authenticity::UidOnly, "no forgery, and no proof: {found}");
}

/// A card of an earlier set leaves the field at every point while it is made anew. It is never left with a
/// key that nobody knows, and is finished at the next attempt.
#[test]
fn a_card_that_is_taken_away_while_it_is_made_anew_is_finished_later() {
    for fresh in [ntag213, ntag424, desfire, fresh_ultralight] {
        let mut interrupted = 0;
        for exchanges in 0..100 {
            let card = fresh();
            made_by(&making(&[1]), &card).unwrap();
            card.lay_down();
            card.with(|card| card.take_away_after(exchanges));
            let outcome = make(&making(&[1, 2]), &card);
            let again = made_by(&making(&[1, 2]), &card);
            let found = again.unwrap_or_else(|error| panic!("behind {exchanges}: {error}"));
            let (with_the_latest, _) = checked_by(&checking(&[2]), &card);
            assert_eq!(with_the_latest.authenticity(), found.authenticity());
            assert!(found.authenticity() >= Authenticity::Signed, "behind {exchanges}: {found}");
            if outcome.is_ok() {
                break;
            }
            interrupted += 1;
        }
        assert!((10..100).contains(&interrupted), "{interrupted}");
    }
}

/// What is half written claims nothing: a genuine card is not called a forgery because somebody was quick.
#[test]
fn a_card_that_is_half_made_is_not_called_a_forgery() {
    for fresh in [ntag213, ntag424, desfire, fresh_ultralight] {
        for sets in [&[1][..], &[1, 2]] {
            for exchanges in 0..100 {
                let card = fresh();
                if sets.len() > 1 {
                    made_by(&making(&[1]), &card).unwrap();
                }
                card.lay_down();
                card.with(|card| card.take_away_after(exchanges));
                let outcome = make(&making(sets), &card);
                let (found, _) = checked_by(&checking(sets), &card);
                assert_ne!(
                    found.authenticity(),
                    Authenticity::Refuted,
                    "{:?}, sets {sets:?}, behind {exchanges}: {found}",
                    card.with(|card| card.sak())
                );
                if outcome.is_ok() {
                    break;
                }
            }
        }
    }
}

/// Our application with somebody else's keys is a forgery; with those of the factory it is one that was begun,
/// and proves as little as none.
#[test]
fn a_desfire_with_our_application_and_other_keys_is_refuted() {
    let forged = desfire();
    made_by(&Arc::new(Keyring::new(vec![set_of(1, 9, true)])), &forged).unwrap();
    let (found, _) = checked_by(&checking(&[1]), &forged);
    assert_eq!(found.authenticity(), Authenticity::Refuted, "{found}");
    let begun = desfire();
    begun.lay_down();
    let create = [0x90, 0xca, 0, 0, 5, b'S', b'T', 1, 0x0b, 0x82, 0];
    assert_eq!(begun.clone().exchange(&Command::apdu(create)).unwrap(), [0x91, 0x00]);
    let (found, _) = checked_by(&checking(&[1, 2]), &begun);
    assert_eq!(found, Finding::HalfMade { number: 1 });
    assert_eq!(found.authenticity(), Authenticity::UidOnly);
}

/// The application of the set before is there until the new one is whole.
#[test]
fn a_desfire_that_is_half_made_anew_proves_the_key_that_it_had() {
    let mut interrupted = 0;
    for exchanges in 0..100 {
        let card = desfire();
        made_by(&making(&[1]), &card).unwrap();
        card.lay_down();
        card.with(|card| card.take_away_after(exchanges));
        let outcome = make(&making(&[1, 2]), &card);
        let (found, _) = checked_by(&checking(&[1, 2]), &card);
        assert!(matches!(found, Finding::Proved { .. }), "behind {exchanges}: {found}");
        if outcome.is_ok() {
            break;
        }
        interrupted += 1;
    }
    assert!((10..100).contains(&interrupted), "{interrupted}");
}

/// Made, an Ultralight AES can be written over only by whoever has its key.
#[test]
fn an_ultralight_aes_that_was_made_is_closed() {
    let card = fresh_ultralight();
    made_by(&making(&[1]), &card).unwrap();
    card.lay_down();
    let closed = card.clone().exchange(&Command::WritePage { page: 8, data: [0; 4] });
    assert_eq!(closed, Err(Broken::Refused));
}

/// An Ultralight AES whose pass says that its chip has a key.
fn ultralight_aes(key: [u8; 16]) -> SharedCard {
    let keys = making(&[1]);
    let chip = crdt_model::ids::ChipNumber::from_bytes(&UID).unwrap();
    let issued = Issued { key: 1, day: TODAY, keyed: true };
    let signing = &keys.set(1).unwrap().making().unwrap().signing;
    let pages = ndef::type_2_pages(&SignedPass::sign(&chip, issued, signing).to_message()).unwrap();
    let mut tag = Type2::new(Model::UltralightAes, UID, 7);
    let memory = tag.memory_mut();
    memory[12..16].copy_from_slice(&[0xe1, 0x10, 0x12, 0x00]);
    memory[16..16 + pages.len()].copy_from_slice(&pages);
    // The key's last byte lies first.
    let mut stored = key;
    stored.reverse();
    memory[0x30 * 4..0x34 * 4].copy_from_slice(&stored);
    SharedCard::new(tag)
}

#[test]
fn an_ultralight_aes_proves_its_key_and_a_copy_of_its_memory_is_refuted() {
    let chip = crdt_model::ids::ChipNumber::from_bytes(&UID).unwrap();
    let key = *set(1, false).proof(chip).unwrap().bytes();
    let genuine = ultralight_aes(key);
    assert_eq!(checked_by(&checking(&[1]), &genuine).0.authenticity(), Authenticity::Cryptographic);
    // Keys cannot be read, so a copy has another one, or is a tag that knows no authentication at all.
    let copy = ultralight_aes([0; 16]);
    let (found, _) = checked_by(&checking(&[1]), &copy);
    assert_eq!(found.authenticity(), Authenticity::Refuted, "{found}");
    let memory = genuine.with(|card| card.type_2().unwrap().memory()[12..160].to_vec());
    let plain = ntag213();
    plain.with(|card| match card.kind_mut() {
        Kind::Type2(tag) => tag.memory_mut()[12..160].copy_from_slice(&memory),
        other => panic!("{other:?}"),
    });
    let (found, _) = checked_by(&checking(&[1]), &plain);
    assert_eq!(found.authenticity(), Authenticity::Refuted, "{found}");
}

#[test]
fn a_card_that_cannot_be_written_says_why() {
    let changed = |change: fn(&mut [u8])| {
        let mut tag = Type2::new(Model::Ntag213, UID, 7);
        change(tag.memory_mut());
        SharedCard::new(tag)
    };
    let refused = |card: &SharedCard| made_by(&making(&[1]), card).unwrap_err();
    assert_eq!(refused(&changed(|memory| memory[10] = 0xf0)), MakeError::Locked);
    assert_eq!(refused(&changed(|memory| memory[12] = 0)), MakeError::Room);
    assert_eq!(refused(&changed(|memory| memory[14] = 4)), MakeError::Room);
    assert_eq!(
        refused(&SharedCard::new(Card::new(&[4, 1, 2, 3]))),
        MakeError::Broken(Broken::Gone)
    );
    assert_eq!(made_by(&checking(&[1]), &ntag213()).unwrap_err(), MakeError::NoKeys);
    // A set of signatures alone makes plain cards, and leaves the others as they are.
    let signs = Arc::new(Keyring::new(vec![signatures_alone(1)]));
    assert!(made_by(&signs, &ntag213()).is_ok());
    for card in [ntag424(), desfire()] {
        assert_eq!(made_by(&signs, &card).unwrap_err(), MakeError::NoKeys);
    }
    // Somebody else's chip: its keys are neither ours nor the factory's.
    for card in [ntag424(), desfire()] {
        let elsewhere = Arc::new(Keyring::new(vec![set(9, true)]));
        made_by(&elsewhere, &card).unwrap();
        if card.with(|card| card.ntag_424().is_some()) {
            assert_eq!(refused(&card), MakeError::OtherKeys);
        }
    }
}

#[test]
fn a_card_is_described_to_whoever_holds_it() {
    let said = |card: &SharedCard| {
        card.lay_down();
        describe(&card.presented().unwrap(), &mut card.clone())
    };
    let plain = ntag213();
    assert_eq!(said(&plain).product, Some("NTAG213"));
    made_by(&making(&[1]), &plain).unwrap();
    assert_eq!(said(&plain).records, ["stempel.example:pass"]);
    let chip = ntag424();
    made_by(&making(&[1]), &chip).unwrap();
    let described = said(&chip);
    assert_eq!(described.product, Some("NTAG 424 DNA"));
    assert_eq!(described.records, ["stempel.example/p"], "nothing that tells the card from others");
    assert_eq!(said(&desfire()).product, Some("MIFARE DESFire EV2"));
    assert_eq!(said(&SharedCard::new(Card::new(&[4, 1, 2, 3]))).product, None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a card answers, a check ends, and what is no proof is not taken for one.
    #[test]
    fn no_answers_make_a_check_panic_go_on_for_ever_or_pass(
        answers in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40).prop_map(Ok),
                proptest::collection::vec(any::<u8>(), 0..20).prop_map(|mut it| {
                    it.extend([0x90, 0x00]);
                    Ok(it)
                }),
                Just(Ok(vec![0x91, 0x00])),
                Just(Err(Broken::Gone)),
                Just(Err(Broken::Refused)),
                proptest::array::uniform16(any::<u8>()).prop_map(|it| Ok(it.to_vec())),
            ],
            0..80,
        ),
        iso_dep: bool,
    ) {
        let card = if iso_dep { ntag424() } else { ntag213() };
        let mut answers = answers.into_iter();
        let mut step = Check::begin(&checking(&[1, 2]), card.presented().unwrap(), randoms());
        let mut asked = 0;
        let found = loop {
            match step {
                Step::Done(finding) => break finding,
                Step::Ask(_, check) => {
                    asked += 1;
                    let answer = answers.next().unwrap_or(Err(Broken::Gone));
                    step = check.take(answer.as_deref().map_err(|broken| *broken));
                }
            }
        };
        prop_assert!(asked <= 81);
        prop_assert!(found.authenticity() <= Authenticity::UidOnly, "{}", found);
    }
}
