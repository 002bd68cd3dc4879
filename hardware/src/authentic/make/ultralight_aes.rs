//! Making an Ultralight AES. Its key is written in four pages, and a card that is taken away between them
//! has a key that nobody knows: so before anything is written, nothing needs a key, and only at the end,
//! when all is there, what is written needs it again.
//!
//! Sources: MF0AES(H)20, the memory (configuration from page 29h on, keys from page 30h on, each with its
//! last byte first), which two independent open implementations use in the same way (pretix, stustapay).

use zeroize::Zeroizing;

use super::type_2::{CONTAINER, FIRST_PAGE, Write, in_order};
use super::{FACTORY, Guess, MakeError, State, Step, With, done, refused};
use crate::authentic::key::{BLOCK, Key};
use crate::authentic::ultralight_aes::{
    AwaitingChallenge, AwaitingProof, KeyNumber, UltralightError, start,
};
use crate::card::Command;

/// The page whose last byte (AUTH0) is the first page that needs the key to be written.
const CONFIGURATION: u8 = 0x29;

/// AUTH0 where no page needs it, and behind the last page of the key.
const NO_PAGE: u8 = 0x3c;
const BEHIND_KEY: u8 = 0x34;

/// DataProtKey.
const KEY: u8 = 0x30;

/// The capability container of a tag with 144 bytes, for one that the factory left empty. It is burnt in:
/// its bits never go back.
const EMPTY: [u8; 4] = [0; 4];
const FORMATTED: [u8; 4] = [0xe1, 0x10, 0x12, 0x00];

/// How far it is.
#[derive(Debug)]
pub(super) struct Ultralight {
    container: [u8; 4],
    /// The page of configuration, as it is.
    configuration: [u8; 4],
    /// The keys that it may have, the likeliest last.
    guesses: Vec<Guess>,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    Configuration,
    Challenge(AwaitingChallenge),
    Proof(AwaitingProof),
    /// The card refused a key: it is selected anew.
    Again,
}

impl With {
    /// An Ultralight AES with these first pages.
    pub(super) fn ultralight(self, memory: &[u8; 16]) -> Step {
        let has_keys = self.set().is_some_and(|set| set.proof(self.card.chip).is_some());
        if !has_keys {
            // A set of signatures alone makes it a plain pass.
            return self.plain(memory);
        }
        let mut container = EMPTY;
        container.copy_from_slice(&memory[CONTAINER]);
        // Only a card that was made once needs its key here.
        let mut guesses = vec![Guess::Factory];
        guesses.extend(self.keys.sets().iter().map(|set| Guess::Set(set.number())));
        let state =
            Ultralight { container, configuration: EMPTY, guesses, asked: Asked::Configuration };
        self.ask(Command::ReadPages { from: CONFIGURATION }, State::Ultralight(state))
    }

    /// The card refused: where it was a key, the next is tried.
    pub(super) fn other_key(self, mut state: Ultralight) -> Step {
        match state.asked {
            Asked::Configuration => done(MakeError::Locked),
            Asked::Challenge(_) | Asked::Proof(_) | Asked::Again => {
                state.guesses.pop();
                state.asked = Asked::Again;
                self.ask(Command::SelectAnew, State::Ultralight(state))
            }
        }
    }

    /// Takes the card's answer.
    pub(super) fn ultralight_answered(self, mut state: Ultralight, answer: &[u8]) -> Step {
        match std::mem::replace(&mut state.asked, Asked::Again) {
            Asked::Configuration => {
                let Some(configuration) = answer.first_chunk() else {
                    return refused(&"its configuration cannot be read");
                };
                state.configuration = *configuration;
                if configuration[3] >= BEHIND_KEY {
                    return self.write_ultralight(&state, None);
                }
                self.try_key(state)
            }
            Asked::Again => self.try_key(state),
            Asked::Challenge(waiting) => match waiting.take(answer) {
                Ok((command, waiting)) => {
                    state.asked = Asked::Proof(waiting);
                    self.ask(Command::raw(command), State::Ultralight(state))
                }
                Err(error) => refused(&error),
            },
            Asked::Proof(waiting) => match waiting.take(answer) {
                Ok(_) => {
                    let mut open = state.configuration;
                    open[3] = NO_PAGE;
                    self.write_ultralight(&state, Some((CONFIGURATION, open)))
                }
                Err(UltralightError::NotGenuine) => self.other_key(state),
                Err(error) => refused(&error),
            },
        }
    }

    /// Authenticates with the key that the card likeliest has.
    fn try_key(mut self, mut state: Ultralight) -> Step {
        while let Some(guess) = state.guesses.last().copied() {
            let key = match guess {
                Guess::Factory => Some(Key::new(FACTORY)),
                Guess::Set(set) => {
                    self.keys.set(set.into()).and_then(|set| set.proof(self.card.chip))
                }
            };
            let Some(key) = key else {
                state.guesses.pop();
                continue;
            };
            let Some(random) = self.random.pop() else {
                return refused(&"it asked for too many sessions");
            };
            let (command, waiting) = start(key, KeyNumber::DataProtection, random);
            state.asked = Asked::Challenge(waiting);
            return self.ask(Command::raw(command), State::Ultralight(state));
        }
        done(MakeError::OtherKeys)
    }

    /// Writes everything, in the order in which a break does no harm. `first` is what opens the card.
    fn write_ultralight(self, state: &Ultralight, first: Option<Write>) -> Step {
        let Ultralight { container, configuration, .. } = state;
        let Some(key) = self.set().and_then(|set| set.proof(self.card.chip)) else {
            return done(MakeError::NoKeys);
        };
        let formats = *container == EMPTY;
        let pass = self.pass_in(if formats { &FORMATTED } else { container }, true);
        let pages = match pass {
            Ok(pages) => pages,
            Err(error) => return done(error),
        };
        let mut closed = *configuration;
        closed[3] = FIRST_PAGE;
        let mut opening: Vec<Write> = first.into_iter().collect();
        if formats {
            opening.push((FIRST_PAGE - 1, FORMATTED));
        }
        let closing = Some((CONFIGURATION, closed));
        self.write(in_order(opening, pages, key_pages(&key).collect(), closing))
    }
}

/// A key as it lies on the card.
fn key_pages(key: &Key) -> impl Iterator<Item = Write> + use<> {
    let mut stored: Zeroizing<[u8; BLOCK]> = Zeroizing::new(*key.bytes());
    stored.reverse();
    (KEY..).zip(stored.as_chunks::<4>().0.to_vec())
}
