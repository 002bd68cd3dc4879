//! Making a card: what is written on it so that it can prove itself, as a state machine without I/O. A
//! command goes out ([`Step::Ask`]), its answer comes in ([`Making::take`]). When all is written, the card
//! is checked as any desk would, and what that finds is the result.
//!
//! | card | what is written |
//! | --- | --- |
//! | NTAG21x | the issuer's signature over the chip number, as an NDEF message |
//! | Ultralight AES | the same, its key, and last that both need that key to be changed |
//! | NTAG 424 DNA | keys 2, 1 and 3, the settings of the NDEF file, its message, and last key 0 |
//! | DESFire EV2, EV3 | our application, its key 1, and last its key 0 |
//!
//! A card that is taken away in the middle is finished at the next attempt: the key that allows changes
//! is changed last, and every key may be the factory's or that of any set. What shows that a card is ours
//! is taken off it first and written last, so a card that is half made claims nothing. A card of an earlier
//! key set is made anew with the latest.
//!
//! Whoever hands in a card that is none, and plays a new one, is given the keys of the number that it
//! shows: the factory's keys are known to everybody. So cards come from a stock that is trusted.
//!
//! Nothing is locked: a card can be made again, and a card stock be taken back.
//!
//! An Ultralight AES has one key for everything, so whoever checks such a card can also change it.
//!
//! Sources: NT4H2421Gx rev 3.0, 8.2 (files), 10.6.1 and 10.7.1; AN12196 rev 2.0, 5; DESFire EV2
//! (MF3Dx2): CreateApplication; for the Ultralight AES see `make/ultralight_aes.rs`.

mod type_2;
mod ultralight_aes;

use std::sync::Arc;

use thiserror::Error;

use super::check::{
    Check, DESFIRE_PROOF, Finding, KEY_SET, NTAG_424_PROOF, READ_NDEF, SELECT_NDEF_FILE,
    Step as CheckStep, URL, desfire_application, key_set_of_file,
};
use super::ev2::{self, Ev2Error};
use super::key::{BLOCK, Key};
use super::keyring::{KeySet, Keyring};
use super::ndef::{Record, TypeFormat};
use crate::card::{Broken, Command, Presented, Speaks};
use crate::product::{
    NTAG_424, ULTRALIGHT_AES, VERSION_APDU, VERSION_GOES_ON, iso_dep_product, type_2_product,
};
use type_2::Write;
use ultralight_aes::Ultralight;

/// Random numbers that making a card may need: one for each session with it, of which there may be some
/// for each key set that it may be of, and those of the check.
pub const RANDOM_NUMBERS: usize = 40;

/// The key that every card has from the factory.
const FACTORY: [u8; BLOCK] = [0; BLOCK];

/// The version under which a card knows a key of ours.
const KEY_VERSION: u8 = 1;

/// The key of an NTAG 424 DNA, and of our application on a DESFire, that allows changes.
const CHANGE: u8 = 0;

/// The keys of an NTAG 424 DNA behind the MAC of its message, and behind its hidden chip number.
const FILE_READ: u8 = 1;
const META_READ: u8 = 2;

/// The NDEF file of an NTAG 424 DNA.
const NDEF_FILE: u8 = 2;

/// How a URL that begins with `https://` begins in a URI record.
const HTTPS: u8 = 0x04;

/// The status of a key that was not the old one, or was damaged on the way.
const INTEGRITY_ERROR: u16 = 0x911e;

/// CreateApplication: our two keys are AES keys; what the change key allows can be changed with it.
const CREATE_APPLICATION: u8 = 0xca;
const APPLICATION_SETTINGS: [u8; 2] = [0x0b, 0x82];

/// An NTAG 424 DNA's file without a message.
const NO_MESSAGE: [u8; 2] = [0x00, 0x00];

/// Why a card was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MakeError {
    /// This desk was not given the keys to make cards.
    #[error("this desk has no keys to make cards with; an operator allows it at the hub")]
    NoKeys,
    /// The card has no memory that can be written, or is of a kind that is not known here.
    #[error("this kind of card cannot be made a pass")]
    Kind,
    /// The card is not formatted, or is too small.
    #[error("the card is not formatted for NDEF, or has no room for a pass")]
    Room,
    /// The card refused to be written. A reader cannot tell one that was locked from one that slipped.
    #[error(
        "the card's memory is locked, or the card slipped while it was written: hold it on the reader again, or take another card"
    )]
    Locked,
    /// The card has other keys than ours and than those of the factory.
    #[error("the card has keys that are neither ours nor the factory's: it is somebody else's")]
    OtherKeys,
    /// The card did not go on.
    #[error("{0}. Hold it on the reader again: it will be finished")]
    Broken(Broken),
    /// The card said no, or what came back was wrong.
    #[error("the card could not be written ({why})")]
    Refused {
        /// What it said.
        why: String,
    },
    /// Everything was written, and yet the card proves less than it should.
    #[error("the card was written, but does not prove itself: {0}")]
    NotProved(Finding),
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// This is to be said to the card, and its answer given to the making.
    Ask(Command, Making),
    /// It is over.
    Done(Result<Finding, MakeError>),
}

/// A card that is being made, waiting for an answer.
#[derive(Debug)]
pub struct Making {
    with: With,
    state: State,
}

/// What does not change on the way.
#[derive(Debug)]
struct With {
    keys: Arc<Keyring>,
    card: Presented,
    /// The day of issue, in days from 1970-01-01.
    day: i32,
    random: Vec<[u8; BLOCK]>,
}

#[derive(Debug)]
enum State {
    /// A Type 2 card's first pages are asked for.
    Look,
    /// These first pages were read; whether the card has keys is asked for.
    Version([u8; 16]),
    /// An Ultralight AES, on the way to where it can be written.
    Ultralight(Ultralight),
    /// Pages are written: those that are left, the next last.
    Writes(Vec<Write>),
    /// All is written, and the card is to forget what was begun with it.
    SelectedAnew,
    /// What card that takes APDUs it is; its first word of that.
    Product(Option<Vec<u8>>),
    Selected,
    FileSelected,
    FileRead,
    /// Our application was asked for.
    Application,
    /// The card itself was asked for, to be given our application.
    Card,
    Created,
    /// Our new application was asked for.
    NewApplication,
    Challenge(Chip, ev2::AwaitingChallenge),
    Proof(Chip, ev2::AwaitingProof),
    FileCleared(Chip, ev2::AwaitingPlainAnswer),
    KeyChanged(Chip, ev2::AwaitingAnswer),
    FileWritten(Chip, ev2::AwaitingPlainAnswer),
    SettingsChanged(Chip, ev2::AwaitingAnswer),
    OwnKeyChanged,
    Checking(Check),
}

/// A card with keys, and how far it is.
#[derive(Debug)]
struct Chip {
    kind: ChipKind,
    /// Its message was taken off it.
    cleared: bool,
    /// What its change key may be, the likeliest last.
    change: Vec<Guess>,
    /// Keys that are still to be changed, the next last, with what each may be.
    left: Vec<(u8, Vec<Guess>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChipKind {
    Ntag424,
    Desfire,
}

/// What a key may be before it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guess {
    Factory,
    /// That of this set.
    Set(u8),
}

fn done(error: MakeError) -> Step {
    Step::Done(Err(error))
}

fn refused(error: &impl ToString) -> Step {
    done(MakeError::Refused { why: error.to_string() })
}

impl Making {
    /// Begins with a card. The random numbers ([`RANDOM_NUMBERS`]) were never used before; `day` is
    /// the day of issue, in days from 1970-01-01.
    pub fn begin(
        keys: Arc<Keyring>,
        card: Presented,
        day: i32,
        random: [[u8; BLOCK]; RANDOM_NUMBERS],
    ) -> Step {
        if keys.making().is_none() {
            return done(MakeError::NoKeys);
        }
        let with = With { keys, card, day, random: random.to_vec() };
        match card.speaks {
            None => done(MakeError::Kind),
            Some(Speaks::Type2) => with.ask(Command::ReadPages { from: 0 }, State::Look),
            // A set of signatures alone makes no cards with keys.
            Some(Speaks::IsoDep) if with.new_key(ChipKind::Desfire, CHANGE).is_none() => {
                done(MakeError::NoKeys)
            }
            Some(Speaks::IsoDep) => with.ask(Command::apdu(VERSION_APDU), State::Product(None)),
        }
    }

    /// Takes the card's answer to what was asked, or why there is none.
    pub fn take(self, answer: Result<&[u8], Broken>) -> Step {
        let Self { with, state } = self;
        let (answer, state) = match (answer, state) {
            // The check knows what to make of it.
            (answer, State::Checking(check)) => return with.checked(check.take(answer)),
            // A reader that cannot ask, or an older tag that does not know the question: it is plain.
            (Err(Broken::Unsupported | Broken::Refused), State::Version(memory)) => {
                return with.plain(&memory);
            }
            (Err(Broken::Refused), State::Ultralight(state)) => return with.other_key(state),
            (Err(Broken::Refused), State::Writes(_)) => return done(MakeError::Locked),
            (Err(broken), _) => return done(MakeError::Broken(broken)),
            (Ok(answer), state) => (answer, state),
        };
        match state {
            State::Look => with.look(answer),
            State::Version(memory) if type_2_product(answer) == Some(ULTRALIGHT_AES) => {
                with.ultralight(&memory)
            }
            State::Version(memory) => with.plain(&memory),
            State::Ultralight(state) => with.ultralight_answered(state, answer),
            State::Writes(left) => with.write(left),
            State::SelectedAnew => with.check(),
            State::Product(first) => with.product(first, answer),
            State::Selected if answer == [0x90, 0x00] => {
                with.ask(Command::apdu(SELECT_NDEF_FILE), State::FileSelected)
            }
            State::Selected => done(MakeError::Kind),
            State::FileSelected if answer == [0x90, 0x00] => {
                with.ask(Command::apdu(READ_NDEF), State::FileRead)
            }
            State::FileSelected => done(MakeError::Kind),
            State::FileRead => {
                let [file @ .., 0x90, 0x00] = answer else { return done(MakeError::Kind) };
                with.ntag_424(key_set_of_file(file))
            }
            State::Application if answer == [0x91, 0x00] => with.desfire(),
            State::Application => with.ask(Command::apdu(ev2::select_desfire([0; 3])), State::Card),
            State::Card if answer == [0x91, 0x00] => match with.set() {
                Some(set) => {
                    let application = desfire_application(set.number());
                    let data = [&application[..], &APPLICATION_SETTINGS].concat();
                    let command = ev2::framed(CREATE_APPLICATION, &data);
                    with.ask(Command::apdu(command), State::Created)
                }
                None => done(MakeError::NoKeys),
            },
            State::Card => done(MakeError::Kind),
            State::Created if answer == [0x91, 0x00] => with.select_ours(State::NewApplication),
            State::Created => done(MakeError::OtherKeys),
            State::NewApplication if answer == [0x91, 0x00] => with.desfire(),
            State::NewApplication => refused(&"its new application is not there"),
            State::Challenge(chip, state) => match state.take(answer) {
                Ok((command, state)) => with.ask(Command::apdu(command), State::Proof(chip, state)),
                Err(error) => refused(&error),
            },
            State::Proof(mut chip, state) => match state.take(answer) {
                Ok(session) => with.go_on(chip, session),
                Err(Ev2Error::NotGenuine) => {
                    chip.change.pop();
                    with.authenticate(chip)
                }
                Err(error) => refused(&error),
            },
            State::FileCleared(mut chip, state) => match state.take(answer) {
                Ok(session) => {
                    chip.cleared = true;
                    with.go_on(chip, session)
                }
                Err(error) => refused(&error),
            },
            State::KeyChanged(mut chip, state) => match state.take(answer) {
                Ok((_, session)) => {
                    chip.left.pop();
                    with.go_on(chip, session)
                }
                Err(Ev2Error::Refused { status: INTEGRITY_ERROR }) => {
                    // It was another key. The session is over.
                    let others = chip.left.last_mut().map(|(_, guesses)| {
                        guesses.pop();
                        guesses.len()
                    });
                    match others {
                        Some(1..) => with.authenticate(chip),
                        Some(0) | None => done(MakeError::OtherKeys),
                    }
                }
                Err(error) => refused(&error),
            },
            State::SettingsChanged(chip, state) => match (state.take(answer), with.url_file()) {
                (Ok((_, session)), Some(file)) => {
                    let (command, state) = session.write_plain(NDEF_FILE, &file);
                    with.ask(Command::apdu(command), State::FileWritten(chip, state))
                }
                (Ok(_), None) => done(MakeError::NoKeys),
                (Err(error), _) => refused(&error),
            },
            State::FileWritten(chip, state) => match state.take(answer) {
                Ok(session) => with.finish(&chip, session),
                Err(error) => refused(&error),
            },
            State::OwnKeyChanged => match ev2::changed_own_key(answer) {
                Ok(()) => with.check(),
                Err(error) => refused(&error),
            },
            // It is answered above.
            State::Checking(check) => with.checked(check.take(Ok(answer))),
        }
    }
}

impl With {
    fn ask(self, command: Command, state: State) -> Step {
        Step::Ask(command, Making { with: self, state })
    }

    /// The set that the card is made with.
    fn set(&self) -> Option<&KeySet> {
        self.keys.making()
    }

    /// What card that takes APDUs it is. Its version comes in three parts; the first tells.
    fn product(self, first: Option<Vec<u8>>, answer: &[u8]) -> Step {
        let Some((part, status)) = answer.split_last_chunk::<2>() else {
            return done(MakeError::Kind);
        };
        let first = first.unwrap_or_else(|| part.to_vec());
        match (status, iso_dep_product(&first)) {
            ([0x91, 0xaf], _) => {
                self.ask(Command::apdu(VERSION_GOES_ON), State::Product(Some(first)))
            }
            ([0x91, 0x00], Some(NTAG_424)) => {
                self.ask(Command::apdu(ev2::SELECT_NTAG_424), State::Selected)
            }
            ([0x91, 0x00], Some(_)) => self.select_ours(State::Application),
            _ => done(MakeError::Kind),
        }
    }

    /// Asks a DESFire for our application.
    fn select_ours(self, state: State) -> Step {
        match self.set().map(|set| ev2::select_desfire(desfire_application(set.number()))) {
            Some(select) => self.ask(Command::apdu(select), state),
            None => done(MakeError::NoKeys),
        }
    }

    /// What a key of a card may be, the likeliest last: that of the set that it names, else the
    /// factory's, else that of the latest set, which an earlier attempt may have written.
    fn guesses(&self, named: Option<u32>) -> Vec<Guess> {
        let sets = self.keys.sets().iter().map(KeySet::number);
        let (named, others): (Vec<u8>, Vec<u8>) =
            sets.partition(|number| named == Some(u32::from(*number)));
        let of_sets = |numbers: Vec<u8>| numbers.into_iter().map(Guess::Set);
        of_sets(others).chain([Guess::Factory]).chain(of_sets(named)).collect()
    }

    /// An NTAG 424 DNA, whose message names this key set.
    fn ntag_424(self, named: Option<u32>) -> Step {
        let guesses = self.guesses(named);
        let left = [NTAG_424_PROOF, FILE_READ, META_READ].map(|key| (key, guesses.clone()));
        let (kind, left) = (ChipKind::Ntag424, left.to_vec());
        self.authenticate(Chip { kind, cleared: false, change: guesses, left })
    }

    /// A DESFire, whose application is there. There is one for each set, so it has that set's keys or the
    /// factory's.
    fn desfire(self) -> Step {
        let Some(number) = self.set().map(KeySet::number) else {
            return done(MakeError::NoKeys);
        };
        let change = vec![Guess::Set(number), Guess::Factory];
        let left = vec![(DESFIRE_PROOF, change.clone())];
        // It has no message.
        self.authenticate(Chip { kind: ChipKind::Desfire, cleared: true, change, left })
    }

    /// A key of the card, as it may be.
    fn key(&self, kind: ChipKind, number: u8, guess: Guess) -> Option<Key> {
        let set = match guess {
            Guess::Factory => return Some(Key::new(FACTORY)),
            Guess::Set(set) => self.keys.set(set.into())?,
        };
        let card = self.card.chip;
        match (kind, number) {
            (_, CHANGE) => set.change(card),
            (ChipKind::Desfire, _) | (ChipKind::Ntag424, NTAG_424_PROOF) => set.proof(card),
            (ChipKind::Ntag424, FILE_READ) => set.file_read(card),
            (ChipKind::Ntag424, _) => set.meta_read(),
        }
    }

    /// A key of the card, as it is to be.
    fn new_key(&self, kind: ChipKind, number: u8) -> Option<Key> {
        self.key(kind, number, Guess::Set(self.set()?.number()))
    }

    /// Opens a session with the change key, as it likeliest is.
    fn authenticate(mut self, mut chip: Chip) -> Step {
        while let Some(guess) = chip.change.last().copied() {
            let Some(key) = self.key(chip.kind, CHANGE, guess) else {
                chip.change.pop();
                continue;
            };
            let Some(random) = self.random.pop() else {
                return refused(&"it asked for too many sessions");
            };
            let (command, state) = ev2::start(key, CHANGE, random);
            return self.ask(Command::apdu(command), State::Challenge(chip, state));
        }
        done(MakeError::OtherKeys)
    }

    /// Takes the message off the card, changes the next key; behind the last, what the card says, and then
    /// its change key.
    fn go_on(self, chip: Chip, session: ev2::Session) -> Step {
        if !chip.cleared {
            let (command, state) = session.write_plain(NDEF_FILE, &NO_MESSAGE);
            return self.ask(Command::apdu(command), State::FileCleared(chip, state));
        }
        if let Some((number, guesses)) = chip.left.last() {
            let number = *number;
            let Some(guess) = guesses.last().copied() else { return done(MakeError::OtherKeys) };
            let keys = (self.key(chip.kind, number, guess), self.new_key(chip.kind, number));
            let (Some(old), Some(new)) = keys else { return done(MakeError::NoKeys) };
            let (command, state) = session.change_key(number, &old, &new, KEY_VERSION);
            return self.ask(Command::apdu(command), State::KeyChanged(chip, state));
        }
        match (chip.kind, self.url_file().as_deref().and_then(settings)) {
            (ChipKind::Desfire, _) => self.finish(&chip, session),
            (ChipKind::Ntag424, Some(settings)) => {
                let (command, state) = session.change_file_settings(NDEF_FILE, &settings);
                self.ask(Command::apdu(command), State::SettingsChanged(chip, state))
            }
            (ChipKind::Ntag424, None) => done(MakeError::NoKeys),
        }
    }

    fn finish(self, chip: &Chip, session: ev2::Session) -> Step {
        let Some(new) = self.new_key(chip.kind, CHANGE) else { return done(MakeError::NoKeys) };
        let command = session.change_own_key(CHANGE, &new, KEY_VERSION);
        self.ask(Command::apdu(command), State::OwnKeyChanged)
    }

    /// The NDEF file with the URL of the set's cards: where the chip writes, there are zeros.
    fn url_file(&self) -> Option<Vec<u8>> {
        let number = self.set()?.number();
        let url = format!("{URL}?{KEY_SET}={number}&e={:032}&c={:016}", 0, 0);
        let payload = [&[HTTPS][..], url.as_bytes()].concat();
        let record = Record { format: TypeFormat::WellKnown, kind: b"U", payload: &payload };
        let message = record.message()?;
        let length = u16::try_from(message.len()).ok()?;
        Some([&length.to_be_bytes()[..], &message].concat())
    }

    /// Checks the card as any desk would.
    fn check(mut self) -> Step {
        let (Some(first), Some(second)) = (self.random.pop(), self.random.pop()) else {
            return refused(&"it asked for too many sessions");
        };
        let step = Check::begin(&self.keys, self.card, [first, second]);
        self.checked(step)
    }

    fn checked(self, step: CheckStep) -> Step {
        match step {
            CheckStep::Ask(command, check) => self.ask(command, State::Checking(check)),
            CheckStep::Done(finding @ (Finding::Proved { .. } | Finding::Signed { .. })) => {
                Step::Done(Ok(finding))
            }
            CheckStep::Done(finding) => done(MakeError::NotProved(finding)),
        }
    }
}

/// The settings of this NDEF file (NT4H2421Gx rev 3.0, table 69; AN12196 rev 2.0, table 18). They say where
/// the two places are that the chip writes: chip number and counter hidden under the meta read key, then
/// the MAC. Anybody may read it; who has the change key may write it.
fn settings(file: &[u8]) -> Option<Vec<u8>> {
    let behind = |parameter: &[u8]| {
        let at = file.windows(parameter.len()).position(|window| window == parameter)?;
        Some(at + parameter.len())
    };
    let (hidden, mac) = (behind(b"&e=")?, behind(b"&c=")?);
    let offset = |at: usize| Some(u32::try_from(at).ok()?.to_le_bytes());
    let (hidden_at, mac_at) = (offset(hidden)?, offset(mac)?);
    let plain_with_messages = 0x40;
    let rights = [0x00, 0xe0];
    let chip_number_and_counter_in_ascii = 0xc1;
    let keys = [0xf0 | FILE_READ, META_READ << 4 | FILE_READ];
    Some(
        [
            &[plain_with_messages][..],
            &rights,
            &[chip_number_and_counter_in_ascii],
            &keys,
            // Three bytes each. The MAC begins to cover where it stands itself: it is over nothing else.
            &hidden_at[..3],
            &mac_at[..3],
            &mac_at[..3],
        ]
        .concat(),
    )
}
