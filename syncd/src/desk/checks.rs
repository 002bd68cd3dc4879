//! Checks of cards: the desk holds the keys, whoever has the reader carries what is said. A check has a
//! name, which is given with the tap that follows.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crdt_model::authenticity::Authenticity;
use crdt_model::ids::{ChipNumber, Identification};
use crdt_model::time::UnixMillis;
use data_encoding::HEXLOWER;
use hardware::authentic::check::{self, Check, Finding};
use hardware::authentic::keyring::Keyring;
use hardware::authentic::make::{self, Making, RANDOM_NUMBERS};
use hardware::card::{Broken, Presented};
use rand::RngExt;
use sync_protocol::card_keys::{DeskSealingKey, SealedCardKeys};

use super::{Desk, Refusal};
use crate::card_key_file::{CardKeyFile, CardKeyFileError};
use desk_api::types::{CardAnswer, CardCheckRequest, CardCheckView};

/// Checks that are remembered at the most: a desk has one card on each of a few readers, and each may be
/// named for as long as its verdict is on the screen.
const MOST: usize = 256;

/// For so long what a card proved counts: as long as its verdict stays on the screen, twice over, for
/// whoever chooses a reward meanwhile.
const COUNTS_FOR: Duration = Duration::from_secs(60);

/// Cards whose last reading is remembered at the most: some days of the largest museum.
const MOST_READINGS: usize = 100_000;

/// What is said of a card that is not made because its number is in use.
const IN_USE: &str = "a pass has this chip number already. Whoever only shows a number must not be given the keys of its pass: if you know this card, make it with --again";

/// What is said of a card that is not made because nobody here can know whether its number is in use.
const LIST_TOO_OLD: &str = "this desk's pass list is not whole, or the hub has not confirmed it for a day, so this chip number may be that of a pass. Link the desk to the hub first; or, if you know this card, make it with --again";

/// A pass list that was not confirmed for so long does not tell which chip numbers are free, in milliseconds.
const LIST_TELLS_FOR: i64 = 24 * 3_600_000;

/// All checks, and the keys by which they are made.
#[derive(Debug)]
pub(super) struct Checks {
    key_file: CardKeyFile,
    keys: Arc<Keyring>,
    /// The oldest first.
    known: VecDeque<CardCheck>,
    /// The highest reading of each card in this run of the daemon.
    readings: HashMap<ChipNumber, check::CounterGuard>,
}

#[derive(Debug)]
struct CardCheck {
    name: String,
    chip: ChipNumber,
    state: State,
}

#[derive(Debug)]
enum State {
    Checking(Box<Check>),
    Making(Box<Making>),
    /// What was found, and when.
    Found(Finding, Instant),
    /// The card was not made: the sentence says why.
    NotMade,
    /// Somebody else's turn: it is being answered.
    Taken,
}

impl Checks {
    /// With the keys in the file at this path, which were sealed to this desk.
    pub(super) fn open(path: &Path, sealing_key: &DeskSealingKey) -> Self {
        let (key_file, keys) = CardKeyFile::open(path, sealing_key);
        let (known, readings) = (VecDeque::new(), HashMap::new());
        Self { key_file, keys: Arc::new(keys), known, readings }
    }

    /// The version of the keys that are here.
    pub(super) fn keys_version(&self) -> Option<u64> {
        self.key_file.version()
    }

    /// What this card proved in the check of this name; nothing but its number where none was made, or
    /// where it was made of another card. A proof counts for a while, a forgery stays one.
    ///
    /// # Errors
    /// [`Refusal::NoSuchCheck`]: what is not known any more may have been a forgery.
    pub(super) fn authenticity(
        &self,
        name: Option<&str>,
        card: &Identification,
    ) -> Result<Authenticity, Refusal> {
        let Some(name) = name else { return Ok(Authenticity::UidOnly) };
        let check = self.known.iter().find(|check| check.name == name);
        let check = check.ok_or(Refusal::NoSuchCheck)?;
        if *card != Identification::Chip(check.chip) {
            return Ok(Authenticity::UidOnly);
        }
        Ok(match &check.state {
            State::Found(finding, at) => match finding.authenticity() {
                Authenticity::Refuted => Authenticity::Refuted,
                shown if at.elapsed() < COUNTS_FOR => shown,
                Authenticity::UidOnly | Authenticity::Signed | Authenticity::Cryptographic => {
                    Authenticity::UidOnly
                }
            },
            State::Checking(_) | State::Making(_) | State::NotMade | State::Taken => {
                Authenticity::UidOnly
            }
        })
    }

    /// A message that was used before in this run proves nothing: somebody read it off the card earlier.
    fn fresh(&mut self, chip: ChipNumber, finding: Finding) -> Finding {
        let Some(counter) = finding.counter() else { return finding };
        if self.readings.len() >= MOST_READINGS {
            self.readings.clear();
        }
        let guard = self.readings.entry(chip).or_default();
        match (guard.take(counter), &finding) {
            (Ok(next), _) => {
                *guard = next;
                finding
            }
            // The card itself was here, whatever its counter says.
            (Err(_), Finding::Proved { .. }) => finding,
            (Err(replayed), _) => Finding::Refuted { why: replayed.to_string() },
        }
    }

    fn add(&mut self, name: [u8; 16], chip: ChipNumber, outcome: Outcome) -> CardCheckView {
        let name = HEXLOWER.encode(&name);
        let (state, view) = self.state_of(chip, name.clone(), outcome);
        if self.known.len() >= MOST {
            self.known.pop_front();
        }
        self.known.push_back(CardCheck { name, chip, state });
        view
    }

    fn state_of(
        &mut self,
        chip: ChipNumber,
        check: String,
        outcome: Outcome,
    ) -> (State, CardCheckView) {
        let view = CardCheckView {
            check,
            ask: None,
            authenticity: None,
            finding: None,
            said: None,
            failed: None,
        };
        let found = |finding: Finding, view: CardCheckView| {
            let view = CardCheckView {
                authenticity: Some(finding.authenticity()),
                said: Some(finding.to_string()),
                finding: Some(finding.clone()),
                ..view
            };
            (State::Found(finding, Instant::now()), view)
        };
        match outcome {
            Outcome::Check(check::Step::Ask(command, check)) => {
                let view = CardCheckView { ask: Some(command), ..view };
                (State::Checking(Box::new(check)), view)
            }
            Outcome::Check(check::Step::Done(finding)) => found(self.fresh(chip, finding), view),
            Outcome::Make(make::Step::Ask(command, making)) => {
                let view = CardCheckView { ask: Some(command), ..view };
                (State::Making(Box::new(making)), view)
            }
            Outcome::Make(make::Step::Done(Ok(finding))) => found(self.fresh(chip, finding), view),
            Outcome::NotMade(why) => {
                (State::NotMade, CardCheckView { failed: Some(why.to_owned()), ..view })
            }
            Outcome::Make(make::Step::Done(Err(error))) => {
                let view = CardCheckView { failed: Some(error.to_string()), ..view };
                (State::NotMade, view)
            }
        }
    }
}

/// What a step of either kind came to.
enum Outcome {
    Check(check::Step),
    Make(make::Step),
    /// The card is not made, and this sentence says why: the keys of a pass are not given to whatever shows its
    /// number.
    NotMade(&'static str),
}

impl Desk {
    /// Begins to check a card that was put on a reader, or to make one.
    pub fn begin_card_check(
        &mut self,
        request: &CardCheckRequest,
        wall: UnixMillis,
    ) -> CardCheckView {
        let card = Presented { chip: request.chip_number, speaks: request.speaks };
        let keys = Arc::clone(&self.checks.keys);
        let mut random = self.time.surroundings.stream();
        let taken = if request.again { None } else { self.may_be_taken(card.chip, wall) };
        let outcome = if let (true, Some(why)) = (request.make, taken) {
            Outcome::NotMade(why)
        } else if request.make {
            let day = crdt_model::time::day_number(self.calendar.day(wall));
            let numbers: [[u8; 16]; RANDOM_NUMBERS] = random.random();
            Outcome::Make(Making::begin(keys, card, day, numbers))
        } else {
            Outcome::Check(Check::begin(&keys, card, random.random()))
        };
        self.checks.add(random.random(), card.chip, outcome)
    }

    /// Why this chip number may be that of a pass; nothing where it is free.
    fn may_be_taken(&self, chip: ChipNumber, now: UnixMillis) -> Option<&'static str> {
        let known = self.knowledge.record(&Identification::Chip(chip));
        let tells = self.knowledge.store.is_whole() && self.catalogue_age(now) < LIST_TELLS_FOR;
        match known {
            Ok(Some(_)) => Some(IN_USE),
            Ok(None) if tells => None,
            Ok(None) | Err(_) => Some(LIST_TOO_OLD),
        }
    }

    /// Takes a card's answer to what was asked of it.
    ///
    /// # Errors
    /// [`Refusal::NoSuchCheck`] where there is no such check, or nothing was asked in it.
    pub fn take_card_answer(
        &mut self,
        name: &str,
        answer: &CardAnswer,
    ) -> Result<CardCheckView, Refusal> {
        let place = self.checks.known.iter().position(|check| check.name == name);
        let place = place.ok_or(Refusal::NoSuchCheck)?;
        let chip = self.checks.known[place].chip;
        let answer = match answer {
            CardAnswer { broken: Some(broken), .. } => Err(*broken),
            CardAnswer { answer: Some(answered), .. } => Ok(&answered.0[..]),
            CardAnswer { answer: None, broken: None } => Err(Broken::Gone),
        };
        let state = std::mem::replace(&mut self.checks.known[place].state, State::Taken);
        let outcome = match state {
            State::Checking(check) => Outcome::Check(check.take(answer)),
            State::Making(making) => Outcome::Make(making.take(answer)),
            over @ (State::Found(..) | State::NotMade | State::Taken) => {
                self.checks.known[place].state = over;
                return Err(Refusal::NoSuchCheck);
            }
        };
        let (state, view) = self.checks.state_of(chip, name.to_owned(), outcome);
        self.checks.known[place].state = state;
        Ok(view)
    }

    /// Takes up the card keys that the hub sent.
    pub(super) fn take_card_keys(&mut self, sealed: &SealedCardKeys) -> io::Result<()> {
        match self.checks.key_file.keep(sealed, &self.sealing_key()) {
            Ok(keys) => {
                tracing::info!(
                    version = sealed.version,
                    sets = keys.sets().len(),
                    "card keys came"
                );
                self.checks.keys = Arc::new(keys);
                Ok(())
            }
            Err(CardKeyFileError::Disk(error)) => Err(error),
            // Without them cards prove nothing, and what needs a proof is refused: no reason to lose the
            // link.
            Err(error @ CardKeyFileError::Sealed(_)) => {
                tracing::error!(%error, "the card keys that came are not taken");
                Ok(())
            }
        }
    }
}
