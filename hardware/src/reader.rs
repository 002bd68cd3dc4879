//! What every reader is: something that yields taps and removals from a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crdt_model::ids::ChipNumber;
use thiserror::Error;

use crate::card::{Attendant, CardChannel, Presented, Speaks};

/// Events that wait for the console at the most. A person taps once in two seconds; a reader that
/// finds the queue full waits, and the card with it.
const QUEUE: usize = 64;

/// The same card within this time is the same tap: people wave, and cards slip.
pub const SAME_TAP: Duration = Duration::from_secs(3);

/// A card that was put on a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    /// Its chip number.
    pub chip: ChipNumber,
    /// The name of the check that the reader's attendant made of it, where it made one.
    pub check: Option<String>,
}

/// What a reader says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReaderEvent {
    /// The reader is there and works.
    Ready {
        /// Its name, for the status line.
        name: String,
    },
    /// A card was put on it.
    Tapped(Tap),
    /// The card is gone.
    Removed(ChipNumber),
    /// More than one card lies on it: nothing is taken.
    TwoCards,
    /// A card was there and could not be read: it is to be shown again.
    ReadError,
    /// The card gives another number at every tap (ISO 14443-3: four bytes, the first 08), as phones and
    /// some bank cards do: nobody can be known by it.
    RandomUid,
    /// The reader is gone, or does not work; it is tried again by itself.
    Lost {
        /// What is the matter.
        why: NoReader,
    },
}

/// Why a reader is not there, or does not work. As text it is a sentence for operators; the console has its
/// own for volunteers, in their language.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoReader {
    /// There is none.
    #[error("no reader was found: plug one in, and check that this user may use it")]
    NotFound,
    /// It was there, or should be there, and is not.
    #[error("the reader {reader} is unplugged: plug it in again")]
    Unplugged {
        /// Its name, or the port it should be at.
        reader: String,
    },
    /// It does not open.
    #[error(
        "the reader {reader} cannot be opened: plug it in anew, and check that this user may use it"
    )]
    NotOpened {
        /// Its connection string.
        reader: String,
    },
    /// It opened, and does not answer any more, or never did.
    #[error("the reader does not answer: plug it in anew ({detail})")]
    Silent {
        /// What its driver says.
        detail: String,
    },
    /// None has this name.
    #[error("no reader is called {wanted}: plug it in{}", or_choose(.others))]
    NotNamed {
        /// The part of a name that was chosen.
        wanted: String,
        /// Those that are there.
        others: Vec<String>,
    },
    /// PC/SC's service does not run.
    #[error("the smart card service does not run: start pcscd, or install the package pcscd")]
    NoService,
    /// PC/SC's service does not take this user.
    #[error(
        "this user may not use the smart card service: allow org.debian.pcsc-lite.access_pcsc in polkit"
    )]
    NoAccess,
    /// Something fails that is no reader: a driver, a service, the system.
    #[error("readers cannot be used ({detail}): start this computer anew, or tell an operator")]
    System {
        /// What it says.
        detail: String,
    },
}

fn or_choose(others: &[String]) -> String {
    match others {
        [] => String::new(),
        others => format!(", or choose one of {}", others.join(", ")),
    }
}

impl ReaderEvent {
    /// A tap of which nothing is known but the chip number.
    pub fn tapped(chip: ChipNumber) -> Self {
        Self::Tapped(Tap { chip, check: None })
    }

    /// The same event; where it is a tap, the attendant has talked with the card.
    #[must_use]
    pub fn attended<C: CardChannel>(
        mut self,
        attendant: Option<&dyn Attendant>,
        channel: &mut C,
        speaks: impl FnOnce(&mut C) -> Option<Speaks>,
    ) -> Self {
        if let (Self::Tapped(tap), Some(attendant)) = (&mut self, attendant) {
            let card = Presented { chip: tap.chip, speaks: speaks(channel) };
            tap.check = attendant.attend(&card, channel);
        }
        self
    }
}

/// A reader. It runs on a thread of its own until it is told to stop.
pub trait Reader: Send + 'static {
    /// Says what happens until `session` is over or nobody listens any more.
    fn run(&mut self, session: &Session);
}

/// What a reader with lights or a beeper tells whoever holds the card. There are two and no more: a
/// bystander learns nothing from them that the door does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Come in.
    Welcome,
    /// Please wait.
    Refused,
}

/// What the console wants of a reader, until the reader does it.
#[derive(Debug, Default)]
struct Wishes {
    /// The signal that is to be given. A later one takes its place.
    signal: Option<Signal>,
    /// Cards whose taps came to nothing.
    forgotten: Vec<ChipNumber>,
}

type SharedWishes = Arc<Mutex<Wishes>>;

fn lock(wishes: &SharedWishes) -> MutexGuard<'_, Wishes> {
    wishes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a running reader talks through.
#[derive(Debug)]
pub struct Session {
    events: SyncSender<ReaderEvent>,
    stop: Arc<AtomicBool>,
    wishes: SharedWishes,
}

impl Session {
    /// Says something; `false` where nobody listens any more.
    pub fn say(&self, event: ReaderEvent) -> bool {
        self.events.send(event).is_ok()
    }

    /// The signal that is to be given now, where the reader can. It is given once.
    pub fn take_signal(&self) -> Option<Signal> {
        lock(&self.wishes).signal.take()
    }

    /// Whether a signal is to be given.
    pub fn has_signal(&self) -> bool {
        lock(&self.wishes).signal.is_some()
    }

    /// The cards that are to be taken anew when they are shown again ([`Debounce::forget`]). They are said
    /// once.
    pub fn take_forgotten(&self) -> Vec<ChipNumber> {
        std::mem::take(&mut lock(&self.wishes).forgotten)
    }

    /// Whether the reader is to stop.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits, but not beyond the end of the session; `false` where that has come.
    pub fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.is_over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            // Whoever stops the reader unparks it.
            std::thread::park_timeout(left);
        }
        false
    }
}

/// A reader that runs. It stops when this is dropped.
#[derive(Debug)]
pub struct ReaderHandle {
    events: Option<Receiver<ReaderEvent>>,
    stop: Arc<AtomicBool>,
    wishes: SharedWishes,
    thread: Option<JoinHandle<()>>,
}

impl ReaderHandle {
    /// What the reader says. It can be taken once, to be listened to on another thread.
    pub fn events(&mut self) -> Option<Receiver<ReaderEvent>> {
        self.events.take()
    }

    /// Gives a signal to whoever holds the card. Most readers cannot: nothing happens then.
    pub fn signal(&self, signal: Signal) {
        lock(&self.wishes).signal = Some(signal);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Forgets that this card was tapped: nothing came of it, and the holder is asked to show it again.
    /// Without this, that would be the same tap.
    pub fn forget(&self, card: ChipNumber) {
        lock(&self.wishes).forgotten.push(card);
    }
}

impl Drop for ReaderHandle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A reader that waits for room in the queue is let go by this.
        self.events = None;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A reader that panicked has said so on standard error; there is nothing left to do.
            let _ = thread.join();
        }
    }
}

/// Starts a reader on a thread of its own.
///
/// # Errors
/// Whatever the system says where it has no thread left.
pub fn spawn(mut reader: impl Reader) -> std::io::Result<ReaderHandle> {
    let (events, receiver) = sync_channel(QUEUE);
    let stop = Arc::new(AtomicBool::new(false));
    let wishes = SharedWishes::default();
    let session = Session { events, stop: stop.clone(), wishes: wishes.clone() };
    let thread = std::thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || reader.run(&session))?;
    Ok(ReaderHandle { events: Some(receiver), stop, wishes, thread: Some(thread) })
}

/// Whether a UID is a random one (ISO 14443-3, 6.5.4: a single-size UID that begins with 08).
pub fn is_random(uid: &[u8]) -> bool {
    matches!(uid, [0x08, _, _, _])
}

/// Makes taps and removals of what a poll finds on the reader. Time is an argument.
#[derive(Debug, Default)]
pub struct Debounce {
    present: Option<ChipNumber>,
    /// The cards that were seen within the last [`SAME_TAP`], and when each was last: two that lie together
    /// may be seen in turn.
    recent: Vec<(ChipNumber, Instant)>,
    /// The card that lies there is to be taken anew when it is shown again.
    forgotten: bool,
    /// A tap was said whose removal was not.
    removal_owed: bool,
    /// What was the matter at the last poll.
    trouble: Option<ReaderEvent>,
}

impl Debounce {
    /// What a poll at `now` that found `card` (or none) amounts to. A card that goes on lying there
    /// is one tap, and so is one that comes back within [`SAME_TAP`] of when it was last seen: it is
    /// said to be gone once.
    pub fn seen(&mut self, card: Option<ChipNumber>, now: Instant) -> Vec<ReaderEvent> {
        let mut events = Vec::new();
        self.recent.retain(|(_, seen)| now.saturating_duration_since(*seen) < SAME_TAP);
        if self.present != card {
            if let Some(gone) = self.present
                && std::mem::take(&mut self.removal_owed)
            {
                events.push(ReaderEvent::Removed(gone));
            }
            if let Some(card) = card
                && self.recent.iter().all(|(recent, _)| *recent != card)
            {
                events.push(ReaderEvent::tapped(card));
                self.removal_owed = true;
                self.trouble = None;
            }
            self.present = card;
            self.forgotten = false;
        }
        if let Some(card) = card.filter(|_| !self.forgotten) {
            self.recent.retain(|(recent, _)| *recent != card);
            self.recent.push((card, now));
        }
        // Of two cards that lie together a poll may find one: that is no news of the two.
        if card.is_none() {
            self.trouble = None;
        }
        events
    }

    /// The next time that this card is shown is a tap, however soon. Where it lies there still, it is to be
    /// taken away first.
    pub fn forget(&mut self, card: ChipNumber) {
        self.recent.retain(|(recent, _)| *recent != card);
        self.forgotten |= self.present == Some(card);
    }

    /// What a poll amounts to at which something was the matter: said once, and again only when nothing, or
    /// a tap, was seen between. Whatever lies there is still there.
    pub fn trouble(&mut self, event: ReaderEvent) -> Option<ReaderEvent> {
        let new = self.trouble.as_ref() != Some(&event);
        self.trouble = Some(event.clone());
        new.then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chip(n: u8) -> ChipNumber {
        ChipNumber::from_bytes(&[n; 7]).unwrap()
    }

    #[test]
    fn a_card_that_lies_on_the_reader_is_one_tap_and_one_removal() {
        let (mut debounce, start) = (Debounce::default(), Instant::now());
        let mut events = Vec::new();
        for (second, card) in
            [(0, None), (1, Some(1)), (2, Some(1)), (60, Some(1)), (61, None), (62, None)]
        {
            events.extend(debounce.seen(card.map(chip), start + Duration::from_secs(second)));
        }
        assert_eq!(events, [ReaderEvent::tapped(chip(1)), ReaderEvent::Removed(chip(1))]);
    }

    #[test]
    fn what_is_the_matter_is_said_once_until_something_else_is_seen() {
        let (mut debounce, start) = (Debounce::default(), Instant::now());
        let two = ReaderEvent::TwoCards;
        assert_eq!(debounce.trouble(two.clone()), Some(two.clone()));
        assert_eq!(debounce.trouble(two.clone()), None);
        assert_eq!(debounce.trouble(ReaderEvent::ReadError), Some(ReaderEvent::ReadError));
        debounce.seen(None, start);
        assert_eq!(debounce.trouble(two.clone()), Some(two.clone()));
        assert_eq!(debounce.seen(Some(chip(1)), start), [ReaderEvent::tapped(chip(1))]);
        assert_eq!(debounce.trouble(two.clone()), Some(two.clone()));
        for _ in 0..10 {
            assert_eq!(debounce.seen(Some(chip(1)), start), [], "one of the two was missed");
            assert_eq!(debounce.trouble(two.clone()), None);
        }
        assert!(is_random(&[8, 1, 2, 3]) && !is_random(&[4, 1, 2, 3]) && !is_random(&[8; 7]));
    }

    #[test]
    fn a_card_that_slips_is_one_tap_and_one_removal() {
        let (mut debounce, start) = (Debounce::default(), Instant::now());
        let mut events = Vec::new();
        for (at, card) in [(0, Some(1)), (100, None), (200, Some(1)), (300, None), (400, None)] {
            events.extend(debounce.seen(card.map(chip), start + Duration::from_millis(at)));
        }
        assert_eq!(events, [ReaderEvent::tapped(chip(1)), ReaderEvent::Removed(chip(1))]);
    }

    /// Two cards in one wallet, of which a poll finds now one and now the other.
    #[test]
    fn cards_that_are_seen_in_turn_are_one_tap_each() {
        let (mut debounce, start) = (Debounce::default(), Instant::now());
        let mut events = Vec::new();
        for poll in 0..100 {
            let card = chip(1 + u8::try_from(poll % 2).unwrap());
            events.extend(debounce.seen(Some(card), start + Duration::from_millis(100 * poll)));
        }
        let (one, two) = (chip(1), chip(2));
        assert_eq!(
            events,
            [
                ReaderEvent::tapped(one),
                ReaderEvent::Removed(one),
                ReaderEvent::tapped(two),
                ReaderEvent::Removed(two),
            ]
        );
    }

    #[test]
    fn a_card_whose_tap_came_to_nothing_is_tapped_again_as_soon_as_it_is_shown_again() {
        let (mut debounce, start) = (Debounce::default(), Instant::now());
        let mut seen = |milliseconds, card: Option<u8>, forget| {
            if forget {
                debounce.forget(chip(1));
            }
            debounce.seen(card.map(chip), start + Duration::from_millis(milliseconds))
        };
        assert_eq!(seen(0, Some(1), false), [ReaderEvent::tapped(chip(1))]);
        assert_eq!(seen(100, Some(1), true), [], "it lies there still");
        assert_eq!(seen(200, Some(1), false), []);
        assert_eq!(seen(300, None, false), [ReaderEvent::Removed(chip(1))]);
        assert_eq!(seen(400, Some(1), false), [ReaderEvent::tapped(chip(1))]);
        assert_eq!(seen(500, None, false), [ReaderEvent::Removed(chip(1))]);
        assert_eq!(seen(600, Some(1), false), [], "that one counted");
        assert_eq!(seen(700, None, false), []);
        assert_eq!(seen(800, Some(1), true), [ReaderEvent::tapped(chip(1))], "forgotten when gone");
    }

    #[test]
    fn a_card_that_comes_back_within_three_seconds_is_the_same_tap_and_later_a_new_one() {
        let (mut debounce, start) = (Debounce::default(), Instant::now());
        let mut taps = |milliseconds, card: Option<u8>| {
            let events = debounce.seen(card.map(chip), start + Duration::from_millis(milliseconds));
            events.iter().filter(|event| matches!(event, ReaderEvent::Tapped(_))).count()
        };
        assert_eq!(taps(0, Some(1)), 1);
        assert_eq!(taps(100, None), 0);
        assert_eq!(taps(2_999, Some(1)), 0, "2.999 s after it was last seen");
        assert_eq!(taps(3_100, None), 0);
        assert_eq!(taps(6_000, Some(1)), 1, "3.001 s after it was last seen");
        assert_eq!(taps(6_100, Some(2)), 1, "another card is another tap at once");
    }
}
