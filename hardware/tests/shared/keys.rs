//! Key sets for tests, and conversations with emulated cards.
#![allow(dead_code, reason = "not every test that has this module uses all of it")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::sync::Arc;

use hardware::authentic::Key;
use hardware::authentic::check::{Check, Finding, Randoms, Step};
use hardware::authentic::keyring::{KeySet, Keyring, Making as Makes, public_of};
use hardware::authentic::make::{self, MakeError, Making, RANDOM_NUMBERS};
use hardware::card::{CardChannel, Presented};
use hardware::emulator::card::SharedCard;
use ring::signature::Ed25519KeyPair;

/// The day on which cards are issued.
pub const TODAY: i32 = 20_778;

/// A key set.
pub fn set(number: u8, makes: bool) -> KeySet {
    set_of(number, number, makes)
}

/// A key set of this number whose keys are those of another one.
pub fn set_of(number: u8, keys: u8, makes: bool) -> KeySet {
    let signing = Ed25519KeyPair::from_seed_unchecked(&[keys; 32]).unwrap();
    let public = public_of(&signing);
    let making = makes.then(|| Makes { change: Some(Key::new([0xc0 | keys; 16])), signing });
    KeySet::new(number, public, Some([0xa0 | keys; 16]), making)
}

/// A key set that has nothing but signatures, at a desk that makes cards.
pub fn signatures_alone(number: u8) -> KeySet {
    let signing = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap();
    let public = public_of(&signing);
    KeySet::new(number, public, None, Some(Makes { change: None, signing }))
}

/// What a desk holds that makes cards of these sets.
pub fn making(sets: &[u8]) -> Arc<Keyring> {
    Arc::new(Keyring::new(sets.iter().map(|number| set(*number, true)).collect()))
}

/// What a desk holds that only checks.
pub fn checking(sets: &[u8]) -> Arc<Keyring> {
    Arc::new(Keyring::new(sets.iter().map(|number| set(*number, false)).collect()))
}

/// Random numbers for one check.
pub fn randoms() -> Randoms {
    [random(1), random(2)]
}

/// Random numbers that differ from those of every other conversation.
pub fn random(n: u8) -> [u8; 16] {
    std::array::from_fn(|place| n.wrapping_mul(31).wrapping_add(u8::try_from(place).unwrap()))
}

/// Checks the card that lies there, and counts what it was asked.
pub fn converse(keys: &Arc<Keyring>, card: &SharedCard) -> (Finding, usize) {
    converse_through(keys, &card.presented().unwrap(), &mut card.clone())
}

/// Checks a card through whatever carries the bytes, and counts what it was asked.
pub fn converse_through(
    keys: &Arc<Keyring>,
    card: &Presented,
    channel: &mut dyn CardChannel,
) -> (Finding, usize) {
    let mut step = Check::begin(keys, *card, randoms());
    let mut asked = 0;
    loop {
        match step {
            Step::Done(finding) => return (finding, asked),
            Step::Ask(command, check) => {
                asked += 1;
                let answer = channel.exchange(&command);
                step = check.take(answer.as_deref().map_err(|broken| *broken));
            }
        }
    }
}

/// Makes the card that lies there.
pub fn make(keys: &Arc<Keyring>, card: &SharedCard) -> Result<Finding, MakeError> {
    make_through(keys, &card.presented().unwrap(), &mut card.clone())
}

/// Makes a card through whatever carries the bytes.
pub fn make_through(
    keys: &Arc<Keyring>,
    card: &Presented,
    channel: &mut dyn CardChannel,
) -> Result<Finding, MakeError> {
    let numbers: [[u8; 16]; RANDOM_NUMBERS] =
        std::array::from_fn(|place| random(u8::try_from(place).unwrap()));
    let mut step = Making::begin(keys.clone(), *card, TODAY, numbers);
    loop {
        match step {
            make::Step::Done(outcome) => return outcome,
            make::Step::Ask(command, making) => {
                let answer = channel.exchange(&command);
                step = making.take(answer.as_deref().map_err(|broken| *broken));
            }
        }
    }
}
