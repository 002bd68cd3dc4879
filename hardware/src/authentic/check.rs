//! What is asked of a card so that it proves itself, and what its answers amount to: a state machine
//! without I/O. A command goes out ([`Step::Ask`]), its answer comes in ([`Check::take`]), until
//! there is a [`Finding`].
//!
//! ```text
//! Type 2     read the memory ─▶ the issuer's signature ─▶ where the pass says that the chip has a key: prove it
//! ISO-DEP    select NTAG 424 ─▶ read its message ─▶ MAC ─▶ prove the key
//!            or select our DESFire application ─▶ prove the key ─▶ where it fails: whether it got one
//! ```
//!
//! Nothing is asked of a card that does not show first, without any key, that it is one of ours: cards
//! count failed authentications and close after some, and a library card that somebody linked to a
//! pass is not ours to wear out.
//!
//! A card that claims to be ours and fails is [`Finding::Refuted`]. One that claims nothing, or was
//! made with keys that this desk does not hold, has merely proved nothing. One that is taken away in
//! the middle has proved what it had shown until then.

use std::sync::Arc;

use crdt_model::authenticity::Authenticity;
use crdt_model::ids::ChipNumber;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::ev2::{self, Ev2Error};
use super::key::BLOCK;
use super::keyring::{KeySet, Keyring};
use super::ndef;
use super::signed::{Issued, SignedError, SignedPass};
pub use super::sun::CounterGuard;
use super::sun::{SunError, SunMessage, verify_sun};
use super::ultralight_aes::{self, KeyNumber, UltralightError};
use crate::card::{Broken, Command, Presented, Speaks};

/// How the URL of our NTAG 424 DNA cards begins, behind `https://`.
pub const URL: &str = "stempel.example/p";

/// The parameter of that URL that holds the number of the card's key set.
pub const KEY_SET: &str = "k";

/// Selects the NDEF file of an NTAG 424 DNA by its ISO file identifier (NT4H2421Gx rev 3.0, table 69).
pub const SELECT_NDEF_FILE: [u8; 7] = [0x00, 0xa4, 0x00, 0x0c, 0x02, 0xe1, 0x04];

/// READ BINARY of the first 128 bytes: our message has less than a hundred.
pub const READ_NDEF: [u8; 5] = [0x00, 0xb0, 0x00, 0x00, 0x80];

/// The key with which an NTAG 424 DNA proves itself.
pub const NTAG_424_PROOF: u8 = 3;

/// The key with which a DESFire proves itself, in our application.
pub const DESFIRE_PROOF: u8 = 1;

/// The version of a key as it leaves the factory. We write our keys with another.
const FACTORY_VERSION: u8 = 0;

/// Pages of a Type 2 card that are read at the most: all of an NTAG216 that can hold a pass.
pub(crate) const MOST_PAGES: u8 = 64;

/// The AID of our application on a DESFire, for this key set.
pub fn desfire_application(set: u8) -> [u8; 3] {
    [b'S', b'T', set]
}

/// What a card showed of itself.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "finding")]
pub enum Finding {
    /// Nothing that says it is one of ours.
    #[error("the card holds nothing by which it could prove itself")]
    NothingOfOurs,
    /// It was made with keys that this desk does not hold.
    #[error("the card was made with key set {number}, which this desk does not hold")]
    #[serde(rename_all = "camelCase")]
    UnknownKeySet {
        /// Which.
        number: u32,
    },
    /// Its making broke off before it got its key, so there is nothing that it could prove.
    #[error("the making of the card broke off: write it again (key set {number})")]
    #[serde(rename_all = "camelCase")]
    HalfMade {
        /// With which key set.
        number: u32,
    },
    /// It carries the issuer's signature over its chip number.
    #[error("the card carries the issuer's signature (key set {number})")]
    #[serde(rename_all = "camelCase")]
    Signed {
        /// With which key set.
        number: u32,
        /// The day of issue, in days from 1970-01-01.
        day: i32,
        /// What it should have shown beyond that, and did not: the sentence says why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_proved: Option<Broken>,
    },
    /// It made a message that holds, but did not prove that it is here now.
    #[error("the card wrote a message that holds (reading {counter}, key set {number})")]
    #[serde(rename_all = "camelCase")]
    Message {
        /// With which key set.
        number: u32,
        /// How often it was read, this time included.
        counter: u32,
        /// Why it proved no more.
        not_proved: Broken,
    },
    /// It proved that it knows the key of its chip number.
    #[error("the card proved that it knows its key (key set {number})")]
    #[serde(rename_all = "camelCase")]
    Proved {
        /// Of which key set.
        number: u32,
        /// How often its message was read, this time included, where it writes one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counter: Option<u32>,
    },
    /// It claims to be one of ours and is not.
    #[error("the card claims to be one of ours, and is not: {why}")]
    #[serde(rename_all = "camelCase")]
    Refuted {
        /// What did not hold.
        why: String,
    },
    /// It was gone, or could not be read, before it had shown anything.
    #[error("{why}")]
    #[serde(rename_all = "camelCase")]
    NotRead {
        /// What broke off.
        why: Broken,
    },
}

impl Finding {
    /// How strong a proof that is.
    pub fn authenticity(&self) -> Authenticity {
        match self {
            Self::Proved { .. } => Authenticity::Cryptographic,
            // A message can be read off a card that lies in somebody's pocket: whoever brings it and then
            // refuses to go on has shown less than whoever only came too short.
            Self::Message { not_proved: Broken::Refused, .. } => Authenticity::UidOnly,
            Self::Signed { .. } | Self::Message { .. } => Authenticity::Signed,
            Self::NothingOfOurs
            | Self::UnknownKeySet { .. }
            | Self::HalfMade { .. }
            | Self::NotRead { .. } => Authenticity::UidOnly,
            Self::Refuted { .. } => Authenticity::Refuted,
        }
    }

    /// How often the card's message was read, this time included, where it writes one.
    pub fn counter(&self) -> Option<u32> {
        match self {
            Self::Message { counter, .. } => Some(*counter),
            Self::Proved { counter, .. } => *counter,
            Self::NothingOfOurs
            | Self::UnknownKeySet { .. }
            | Self::HalfMade { .. }
            | Self::Signed { .. }
            | Self::Refuted { .. }
            | Self::NotRead { .. } => None,
        }
    }

    fn refuted(why: &impl ToString) -> Self {
        Self::Refuted { why: why.to_string() }
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// This is to be said to the card, and its answer given to the check.
    Ask(Command, Check),
    /// It is over.
    Done(Finding),
}

/// A check of one card, waiting for an answer.
#[derive(Debug)]
pub struct Check {
    keys: Arc<Keyring>,
    chip: ChipNumber,
    random: Zeroizing<Randoms>,
    state: State,
}

/// Random numbers for the sessions that a check may need: a card whose first one failed on the air gets a
/// second.
pub type Randoms = [[u8; BLOCK]; 2];

#[derive(Debug)]
enum State {
    /// A Type 2 card's memory as far as it was read.
    Memory(Vec<u8>),
    UltralightChallenge(Ultralight, ultralight_aes::AwaitingChallenge),
    UltralightProof(Ultralight, ultralight_aes::AwaitingProof),
    /// The card is selected anew, for its second session.
    UltralightAgain(Issued),
    NtagSelected,
    NtagFileSelected,
    NtagMessage,
    /// Our application of a key set was asked for.
    DesfireSelected(Place),
    /// The card does not know the key of our application: how often that key was changed was asked for.
    DesfireKeyVersion(Place),
    Challenge(Before, ev2::AwaitingChallenge),
    Proof(Before, ev2::AwaitingProof),
}

/// An Ultralight AES whose pass says that its chip has a key.
#[derive(Debug, Clone, Copy)]
struct Ultralight {
    issued: Issued,
    /// It failed once already. A reader cannot tell a card that refuses from one that slipped.
    second: bool,
}

/// What a card had shown before it was asked for its key.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// A message that holds.
    Message { number: u32, counter: u32 },
    /// That it has our application of a key set.
    Application { number: u32, place: Place },
}

/// How far the search for our applications on a DESFire is.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// The key set's place in the ring.
    at: usize,
    /// The latest set whose application is there without its key.
    half_made: Option<u32>,
}

impl Before {
    fn proved(self) -> Finding {
        match self {
            Self::Message { number, counter } => Finding::Proved { number, counter: Some(counter) },
            Self::Application { number, .. } => Finding::Proved { number, counter: None },
        }
    }

    fn broken_off(self, broken: Broken) -> Finding {
        match self {
            Self::Message { number, counter } => {
                Finding::Message { number, counter, not_proved: broken }
            }
            Self::Application { .. } => Finding::NotRead { why: broken },
        }
    }

    fn failed(self, error: Ev2Error) -> Finding {
        match error {
            Ev2Error::NotGenuine => Finding::refuted(&error),
            // A genuine card makes itself slow after others have failed at it (91AD): no forgery, and no
            // proof.
            Ev2Error::Refused { .. } => self.broken_off(Broken::Refused),
            // What was sent did not arrive whole: that happens when a card slips.
            Ev2Error::Length { .. } | Ev2Error::Mac | Ev2Error::Exhausted => {
                self.broken_off(Broken::Gone)
            }
        }
    }
}

impl Check {
    /// Begins with a card. The random numbers were never used before: with an old one a recording of the card
    /// passes for the card.
    pub fn begin(keys: &Arc<Keyring>, card: Presented, random: Randoms) -> Step {
        let Presented { chip, speaks } = card;
        let check =
            |state| Self { keys: Arc::clone(keys), chip, random: Zeroizing::new(random), state };
        match speaks {
            _ if keys.is_empty() => Step::Done(Finding::NothingOfOurs),
            None => Step::Done(Finding::NothingOfOurs),
            Some(Speaks::Type2) => {
                Step::Ask(Command::ReadPages { from: 0 }, check(State::Memory(Vec::new())))
            }
            Some(Speaks::IsoDep) => {
                Step::Ask(Command::apdu(ev2::SELECT_NTAG_424), check(State::NtagSelected))
            }
        }
    }

    /// Takes the card's answer to what was asked, or why there is none.
    pub fn take(self, answer: Result<&[u8], Broken>) -> Step {
        let Self { keys, chip, random, state } = self;
        let on = |command, state| {
            Step::Ask(command, Self { keys: keys.clone(), chip, random: random.clone(), state })
        };
        let desfire = |on: &dyn Fn(Command, State) -> Step, place: Place| match (
            keys.sets().get(place.at),
            place.half_made,
        ) {
            (Some(set), _) => on(select_ours(set), State::DesfireSelected(place)),
            (None, Some(number)) => Step::Done(Finding::HalfMade { number }),
            (None, None) => Step::Done(Finding::NothingOfOurs),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(broken) => match state.second_try(broken) {
                Ok(issued) => return on(Command::SelectAnew, State::UltralightAgain(issued)),
                Err(state) => return Step::Done(state.broken_off(broken, &keys, chip)),
            },
        };
        match state {
            State::Memory(mut memory) => {
                // A card that is read beyond its end begins anew with its first page.
                memory.extend_from_slice(answer);
                let pages = u8::try_from(memory.len() / 4).unwrap_or(MOST_PAGES);
                let cut_short = answer.len() != 16;
                match SignedPass::from_type_2(&memory) {
                    Err(SignedError::Ndef(ndef::NdefError::CutShort))
                        if !cut_short && pages < MOST_PAGES =>
                    {
                        on(Command::ReadPages { from: pages }, State::Memory(memory))
                    }
                    read => match signed(read, &keys, chip) {
                        Ok(issued) => {
                            let key = keys.set(issued.key).and_then(|set| set.proof(chip));
                            match key.filter(|_| issued.keyed) {
                                Some(key) => {
                                    let (command, state) = ultralight_aes::start(
                                        key,
                                        KeyNumber::DataProtection,
                                        random[0],
                                    );
                                    let tag = Ultralight { issued, second: false };
                                    on(
                                        Command::raw(command),
                                        State::UltralightChallenge(tag, state),
                                    )
                                }
                                None => Step::Done(of_signature(issued, None)),
                            }
                        }
                        Err(finding) => Step::Done(finding),
                    },
                }
            }
            State::UltralightAgain(issued) => {
                match keys.set(issued.key).and_then(|set| set.proof(chip)) {
                    Some(key) => {
                        let number = KeyNumber::DataProtection;
                        let (command, state) = ultralight_aes::start(key, number, random[1]);
                        let tag = Ultralight { issued, second: true };
                        on(Command::raw(command), State::UltralightChallenge(tag, state))
                    }
                    None => Step::Done(of_signature(issued, None)),
                }
            }
            State::UltralightChallenge(tag, state) => match state.take(answer) {
                Ok((command, state)) => {
                    on(Command::raw(command), State::UltralightProof(tag, state))
                }
                Err(_) if !tag.second => {
                    on(Command::SelectAnew, State::UltralightAgain(tag.issued))
                }
                Err(error) => Step::Done(ultralight_failed(tag.issued, error)),
            },
            State::UltralightProof(tag, state) => match state.take(answer) {
                Ok(_) => Step::Done(Finding::Proved { number: tag.issued.key, counter: None }),
                Err(_) if !tag.second => {
                    on(Command::SelectAnew, State::UltralightAgain(tag.issued))
                }
                Err(error) => Step::Done(ultralight_failed(tag.issued, error)),
            },
            State::NtagSelected if answer == [0x90, 0x00] => {
                on(Command::apdu(SELECT_NDEF_FILE), State::NtagFileSelected)
            }
            // A DESFire may have an NDEF application, too, beside ours.
            State::NtagSelected => desfire(&on, Place::default()),
            State::NtagFileSelected if answer == [0x90, 0x00] => {
                on(Command::apdu(READ_NDEF), State::NtagMessage)
            }
            State::NtagFileSelected => desfire(&on, Place::default()),
            State::NtagMessage => {
                let [file @ .., 0x90, 0x00] = answer else { return desfire(&on, Place::default()) };
                match message(file, &keys, chip) {
                    Ok((before, key)) => {
                        let (command, state) = ev2::start(key, NTAG_424_PROOF, random[0]);
                        on(Command::apdu(command), State::Challenge(before, state))
                    }
                    Err(Finding::NothingOfOurs) => desfire(&on, Place::default()),
                    Err(finding) => Step::Done(finding),
                }
            }
            State::DesfireSelected(place) => {
                let set = keys.sets().get(place.at);
                match (answer, set.and_then(|set| Some((set.number(), set.proof(chip)?)))) {
                    ([0x91, 0x00], Some((number, key))) => {
                        let before = Before::Application { number: number.into(), place };
                        let (command, state) = ev2::start(key, DESFIRE_PROOF, random[0]);
                        on(Command::apdu(command), State::Challenge(before, state))
                    }
                    // No such application: it may have that of another set.
                    _ => desfire(&on, Place { at: place.at + 1, ..place }),
                }
            }
            State::DesfireKeyVersion(place) => match (answer, keys.sets().get(place.at)) {
                // Whoever forges our application may as well say this, and has then proved as little as with
                // no application at all.
                ([FACTORY_VERSION, 0x91, 0x00], Some(set)) => {
                    let half_made = place.half_made.or(Some(set.number().into()));
                    desfire(&on, Place { at: place.at + 1, half_made })
                }
                _ => Step::Done(Finding::refuted(&Ev2Error::NotGenuine)),
            },
            State::Challenge(before, state) => match state.take(answer) {
                Ok((command, state)) => on(Command::apdu(command), State::Proof(before, state)),
                Err(error) => Step::Done(before.failed(error)),
            },
            State::Proof(before, state) => Step::Done(match (state.take(answer), before) {
                // Its making broke off, or it is a forgery.
                (Err(Ev2Error::NotGenuine), Before::Application { place, .. }) => {
                    let command = ev2::key_version(DESFIRE_PROOF);
                    return on(Command::apdu(command), State::DesfireKeyVersion(place));
                }
                (Ok(_), before) => before.proved(),
                (Err(error), before) => before.failed(error),
            }),
        }
    }
}

impl State {
    /// Whether the card is to be asked once more: an Ultralight AES that fell silent in its first session,
    /// and is still there.
    fn second_try(self, broken: Broken) -> Result<Issued, Self> {
        match self {
            Self::UltralightChallenge(tag, _) | Self::UltralightProof(tag, _)
                if broken == Broken::Refused && !tag.second =>
            {
                Ok(tag.issued)
            }
            state => Err(state),
        }
    }

    /// What a card has shown that says no more.
    fn broken_off(self, broken: Broken, keys: &Keyring, chip: ChipNumber) -> Finding {
        match self {
            // A card with less memory than its pass says refuses to go on.
            Self::Memory(memory) if broken == Broken::Refused => {
                match signed(SignedPass::from_type_2(&memory), keys, chip) {
                    Ok(issued) => of_signature(issued, Some(broken)),
                    Err(finding) => finding,
                }
            }
            Self::Memory(_) | Self::NtagSelected | Self::NtagFileSelected | Self::NtagMessage => {
                Finding::NotRead { why: broken }
            }
            Self::DesfireSelected(_) | Self::DesfireKeyVersion(_) => {
                Finding::NotRead { why: broken }
            }
            // A copy of a card's memory lies on a card that knows no such command.
            Self::UltralightChallenge(..) | Self::UltralightProof(..)
                if broken == Broken::Refused =>
            {
                Finding::refuted(&UltralightError::NotGenuine)
            }
            Self::UltralightChallenge(Ultralight { issued, .. }, _)
            | Self::UltralightProof(Ultralight { issued, .. }, _)
            | Self::UltralightAgain(issued) => of_signature(issued, Some(broken)),
            Self::Challenge(before, _) | Self::Proof(before, _) => before.broken_off(broken),
        }
    }
}

fn select_ours(set: &KeySet) -> Command {
    Command::apdu(ev2::select_desfire(desfire_application(set.number())))
}

fn of_signature(issued: Issued, not_proved: Option<Broken>) -> Finding {
    Finding::Signed { number: issued.key, day: issued.day, not_proved }
}

fn ultralight_failed(issued: Issued, error: UltralightError) -> Finding {
    match error {
        UltralightError::Length { .. } => of_signature(issued, Some(Broken::Gone)),
        error => Finding::refuted(&error),
    }
}

/// What the issuer says of a plain card, or what else was found.
fn signed(
    read: Result<SignedPass, SignedError>,
    keys: &Keyring,
    chip: ChipNumber,
) -> Result<Issued, Finding> {
    let verified = read.and_then(|pass| pass.verify(&chip, &keys.issuers()));
    verified.map_err(|error| match error {
        SignedError::UnknownKey { key } => Finding::UnknownKeySet { number: key },
        SignedError::Signature | SignedError::Malformed => Finding::refuted(&error),
        SignedError::Ndef(_) | SignedError::NoPass | SignedError::UnknownFormat { .. } => {
            Finding::NothingOfOurs
        }
    })
}

/// What an NTAG 424 DNA's message says, with the key that the card is to prove next.
fn message(file: &[u8], keys: &Keyring, chip: ChipNumber) -> Result<(Before, super::Key), Finding> {
    let url = url(file).ok_or(Finding::NothingOfOurs)?;
    let number = key_set_of(url).ok_or(Finding::NothingOfOurs)?;
    let unknown = Finding::UnknownKeySet { number };
    let set = keys.set(number).ok_or(unknown.clone())?;
    let (Some(meta), Some(file_read)) = (set.meta_read(), set.file_read(chip)) else {
        return Err(unknown);
    };
    let proof = set.proof(chip).ok_or(unknown)?;
    let parsed = SunMessage::parse(url).map_err(|error| Finding::refuted(&error))?;
    // The key is that of the chip number that the reader saw, so the message of another card, whose
    // number it hides, does not hold.
    let sun =
        verify_sun(&parsed, &meta, |_| file_read).map_err(|error| Finding::refuted(&error))?;
    if sun.uid != chip {
        return Err(Finding::refuted(&SunError::Mac));
    }
    Ok((Before::Message { number, counter: sun.counter }, proof))
}

/// The URL of an NDEF file, less its `https://`, where it is one of ours.
fn url(file: &[u8]) -> Option<&str> {
    let records = ndef::records(ndef::type_4_message(file).ok()?).ok()?;
    let tail = records.iter().find_map(ndef::Record::uri_tail)?;
    tail.starts_with(URL).then_some(tail)
}

/// The key set of one of our URLs.
fn key_set_of(url: &str) -> Option<u32> {
    let (_, query) = url.split_once('?')?;
    query
        .split('&')
        .find_map(|parameter| parameter.strip_prefix(KEY_SET)?.strip_prefix('=')?.parse().ok())
}

/// The number of the key set that an NTAG 424 DNA's NDEF file names, where it is a card of ours.
pub fn key_set_of_file(file: &[u8]) -> Option<u32> {
    key_set_of(url(file)?)
}
