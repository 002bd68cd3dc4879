//! Readers that PC/SC drives, such as ACR1252U, Omnikey and Identiv: the UID of contactless cards, and
//! what is said to them.
//!
//! One [`PcscReader`] takes all readers of the machine. There is one in a process at the most:
//! libpcsclite keeps what it knows of the readers in one place for all contexts.
//!
//! Sources: PC/SC part 3, 3.2.2.1.3 (the pseudo-APDU for the UID), 3.2.2.1.8 and 9 (those for memory),
//! 3.1.3.2.3 (the ATRs); pcsc-lite 1.9.9,
//! `winscard_clnt.c` (what `SCardGetStatusChange` reports, and when).

mod channel;
mod signal;

use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crdt_model::ids::{ChipNumber, ChipNumberError};
use pcsc::{
    Context, Disposition, Error, MAX_BUFFER_SIZE, PNP_NOTIFICATION, Protocols, ReaderState, Scope,
    ShareMode, State,
};

use self::channel::CardOnReader;
use crate::card::Attendant;
use crate::reader::{Debounce, NoReader, Reader, ReaderEvent, Session, is_random};

/// GET DATA for the UID: every PC/SC reader answers it itself, whatever card it is.
pub const GET_UID: [u8; 5] = [0xff, 0xca, 0, 0, 0];

/// How long PC/SC is waited for at a stretch. Cards, and readers that come or go, end the wait at
/// once; but pcsc-lite 1.9 reports only readers that come during it, so one that came between two
/// waits is found after this time. A round costs some 1 ms of processor time.
const ROUND: Duration = Duration::from_secs(1);

/// Between two attempts at a card that another program holds for itself.
const HELD: Duration = Duration::from_millis(100);

/// Between two attempts to reach a service that does not run.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Readers that are followed at the most: libpcsclite waits for sixteen, the pseudo-reader among them.
const MOST: usize = 15;

/// How long such a card is tried before anything is said.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two attempts to end a wait: it may just not have begun at the first.
const CANCEL_AGAIN: Duration = Duration::from_millis(5);

/// The readers that PC/SC drives.
#[derive(Clone)]
pub struct PcscReader {
    name: Option<String>,
    attendant: Option<Arc<dyn Attendant>>,
}

impl fmt::Debug for PcscReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PcscReader({:?})", self.name)
    }
}

impl PcscReader {
    /// The readers whose name contains this, in whatever case; without it, all but the slots for
    /// security modules (SAM). Nothing is opened yet.
    pub fn new(name: Option<String>) -> Self {
        Self { name, attendant: None }
    }

    /// The same readers, whose cards this attendant talks with.
    #[must_use]
    pub fn attended_by(self, attendant: Arc<dyn Attendant>) -> Self {
        Self { attendant: Some(attendant), ..self }
    }
}

impl Reader for PcscReader {
    /// The wait for PC/SC hears no unpark, so it is on a thread of its own, and this one ends it.
    fn run(&mut self, session: &Session) {
        let readers = Readers::new(self.name.clone());
        let attendant = self.attendant.as_deref();
        let (waiting, ended) = (Mutex::new(None), AtomicBool::new(false));
        let here = thread::current();
        thread::scope(|scope| {
            let follower =
                thread::Builder::new().name("pcsc".to_owned()).spawn_scoped(scope, || {
                    follow(readers, session, attendant, &waiting);
                    ended.store(true, Ordering::Relaxed);
                    here.unpark();
                });
            let follower = match follower {
                Ok(follower) => follower,
                Err(error) => {
                    let why = NoReader::System { detail: error.to_string() };
                    session.say(ReaderEvent::Lost { why });
                    return;
                }
            };
            while !session.is_over() && !ended.load(Ordering::Relaxed) {
                if session.has_signal() {
                    // The reader is to give a signal: its follower may wait for a card.
                    cancel(&waiting);
                    thread::park_timeout(CANCEL_AGAIN);
                } else {
                    thread::park();
                }
            }
            while !follower.is_finished() {
                cancel(&waiting);
                // It may wait for the service to come back.
                follower.thread().unpark();
                thread::park_timeout(CANCEL_AGAIN);
            }
        });
    }
}

/// Ends the follower's wait, if it waits.
fn cancel(waiting: &Mutex<Option<Context>>) {
    let context = waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(error) = context.and_then(|context: Context| context.cancel().err()) {
        tracing::debug!(%error, "the wait for PC/SC was not ended");
    }
}

/// Follows the readers until the session is over or nobody listens any more. While it waits, the
/// context that can end the wait is in `waiting`.
fn follow(
    mut readers: Readers,
    session: &Session,
    attendant: Option<&dyn Attendant>,
    waiting: &Mutex<Option<Context>>,
) {
    let wait_with = |context| {
        *waiting.lock().unwrap_or_else(PoisonError::into_inner) = context;
    };
    while !session.is_over() {
        let followed = Context::establish(Scope::User).and_then(|context| {
            wait_with(Some(context.clone()));
            follow_service(&mut readers, session, attendant, &context).map_err(
                |error| match error {
                    // libpcsclite takes a connection that is reset for one that is denied; the time for
                    // that is over.
                    Error::SecurityViolation => Error::ServiceStopped,
                    error => error,
                },
            )
        });
        wait_with(None);
        let Err(error) = followed else { return };
        // No reader is there to give it.
        session.take_signal();
        if !say(session, readers.lost(error, Instant::now())) {
            return;
        }
        session.wait(TRY_AGAIN);
    }
}

/// Follows the readers until the service fails, the session is over or nobody listens any more.
fn follow_service(
    readers: &mut Readers,
    session: &Session,
    attendant: Option<&dyn Attendant>,
    context: &Context,
) -> Result<(), Error> {
    while !session.is_over() {
        let listed = match context.list_readers_owned() {
            // A reader came between the length of the list and the list.
            Err(Error::InsufficientBuffer) => continue,
            listed => listed?,
        };
        if !say(session, readers.listed(listed, Instant::now())) {
            break;
        }
        let mut events =
            match context.get_status_change(readers.round(Instant::now()), &mut readers.states) {
                Ok(()) => {
                    readers.forget(&session.take_forgotten());
                    readers.changed(Instant::now())
                }
                Err(Error::Timeout | Error::Cancelled) => Vec::new(),
                // It went since it was listed, and the next list lacks it.
                Err(Error::UnknownReader | Error::ReaderUnavailable) => {
                    session.wait(HELD);
                    Vec::new()
                }
                Err(error) => return Err(error),
            };
        if let Some(signal) = session.take_signal() {
            // It is about the card that was tapped last.
            let lies =
                |slot: &&Slot| slot.lying != Lying::Nothing && slot.lying == readers.last_tapped;
            let tapped = readers.slots.iter().find(lies);
            if let Some(slot) = tapped {
                signal::give(context, &slot.name, signal);
            }
        }
        let read = readers.read(|name| uid(context, name), Instant::now);
        let tapped = read.iter().rev().find_map(|(_, event)| match event {
            ReaderEvent::Tapped(tap) => Some(Lying::Card(tap.chip)),
            _ => None,
        });
        readers.last_tapped = tapped.unwrap_or(readers.last_tapped);
        events.extend(read.into_iter().map(|(name, event)| {
            let mut card = CardOnReader::new(context, &name);
            event.attended(attendant, &mut card, CardOnReader::speaks)
        }));
        if !say(session, events) {
            break;
        }
    }
    Ok(())
}

/// Says these; `false` where nobody listens any more.
fn say(session: &Session, events: Vec<ReaderEvent>) -> bool {
    events.into_iter().all(|event| session.say(event))
}

/// What a card says of its UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uid {
    /// It is the same at every tap.
    Fixed(ChipNumber),
    /// It lasts for this one presentation (ISO 14443-3, 6.5.4).
    Random,
}

impl Uid {
    /// The UID in an answer to [`GET_UID`].
    ///
    /// # Errors
    /// Whatever [`NoUid`] says, but for [`NoUid::Unreachable`] and [`NoUid::WithContacts`].
    pub fn of_answer(answer: &[u8]) -> Result<Self, NoUid> {
        let (uid, status) = answer.split_last_chunk().ok_or(NoUid::CutShort)?;
        match *status {
            [0x90, 0x00] if is_random(uid) => Ok(Self::Random),
            [0x90, 0x00] => Ok(Self::Fixed(ChipNumber::from_bytes(uid)?)),
            [0x63, 0x00] => Err(NoUid::Failed),
            [0x6a, 0x81] => Err(NoUid::NotSupported),
            [sw1, sw2] => Err(NoUid::Refused { sw1, sw2 }),
        }
    }
}

/// Why there is no UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoUid {
    /// 6A 81.
    #[error("this kind of card has no UID to give")]
    NotSupported,
    /// It is a card with contacts, such as an identity card, in a slot for those.
    #[error("it is a card with contacts, and no pass")]
    WithContacts,
    /// 63 00.
    #[error("the reader did not get the UID from the card")]
    Failed,
    /// Another status.
    #[error("the reader answered {sw1:02X} {sw2:02X}")]
    Refused {
        /// Its first byte.
        sw1: u8,
        /// Its second byte.
        sw2: u8,
    },
    /// An answer without a status, as from a card that was taken away.
    #[error("the answer was cut short")]
    CutShort,
    /// A UID that ISO 14443 does not know, such as the eight bytes of ISO 15693.
    #[error(transparent)]
    Length(#[from] ChipNumberError),
    /// PC/SC does not get through to the card.
    #[error("the card cannot be reached: {0}")]
    Unreachable(#[source] Error),
}

impl NoUid {
    /// Whether the card is worth another try where it lies. Where the service or the reader is gone,
    /// the next list of readers says so.
    fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Unreachable(
                Error::SharingViolation
                    | Error::NoService
                    | Error::ServiceStopped
                    | Error::ReaderUnavailable
                    | Error::UnknownReader
            )
        )
    }
}

fn uid(context: &Context, reader: &CStr) -> Result<Uid, NoUid> {
    let card =
        context.connect(reader, ShareMode::Shared, Protocols::ANY).map_err(NoUid::Unreachable)?;
    let mut buffer = [0; MAX_BUFFER_SIZE];
    let answer = card.transmit(&GET_UID, &mut buffer).map_err(NoUid::Unreachable);
    let read = answer.and_then(Uid::of_answer).map_err(|error| match card.status2_owned() {
        Ok(status) if !is_of_contactless_card(status.atr()) => NoUid::WithContacts,
        Ok(_) | Err(_) => error,
    });
    // A handle that is dropped resets the card, under the hands of whoever else uses it. A card that
    // is gone cannot be left: that is no matter here.
    let _ = card.disconnect(Disposition::LeaveCard);
    read
}

/// Whether an answer to reset is one that a reader makes up for a card without contacts (PC/SC part 3,
/// 3.1.3.2.3.1): 3B, 8n, 80, 01.
fn is_of_contactless_card(atr: &[u8]) -> bool {
    matches!(atr, [0x3b, lengths, 0x80, 0x01, ..] if lengths >> 4 == 8)
}

/// What lies in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lying {
    Nothing,
    /// A card that is still to be read. One that could not be read is tried again where it lies.
    Unread {
        since: Instant,
        again: Instant,
    },
    Card(ChipNumber),
    /// Somebody's identity card: it is left alone.
    WithContacts,
}

/// One reader as PC/SC counts them: a device with two slots is two.
#[derive(Debug)]
struct Slot {
    name: CString,
    /// How often cards had come and gone when the one that lies there was first seen.
    count: u32,
    lying: Lying,
    debounce: Debounce,
}

impl Slot {
    fn new(name: CString) -> Self {
        Self { name, count: 0, lying: Lying::Nothing, debounce: Debounce::default() }
    }

    /// What a new state amounts to. The flags also change when somebody uses the card; only the count
    /// tells that it is another one, or the same one anew: one went and one came. A difference of one
    /// is the coming of the card that lies there, which pcscd counts a moment after it shows it.
    fn changed(&mut self, state: State, count: u32, now: Instant) -> Vec<ReaderEvent> {
        let present = state.contains(State::PRESENT);
        // The count has sixteen bits.
        let moves = count.wrapping_sub(self.count) & 0xffff;
        if present && moves < 2 && self.lying != Lying::Nothing {
            return Vec::new();
        }
        self.count = count;
        let events = self.taken_away(now);
        if present {
            self.lying = Lying::Unread { since: now, again: now };
        }
        events
    }

    /// Nothing lies there any more. What did lay there until now: PC/SC is silent until it goes.
    fn taken_away(&mut self, now: Instant) -> Vec<ReaderEvent> {
        if let Lying::Card(chip) = std::mem::replace(&mut self.lying, Lying::Nothing) {
            // This is no news, and says when it was last seen.
            self.debounce.seen(Some(chip), now);
        }
        self.debounce.seen(None, now)
    }

    /// Reads the card where one is to be read.
    fn read(
        &mut self,
        read: impl FnOnce(&CStr) -> Result<Uid, NoUid>,
        now: impl Fn() -> Instant,
    ) -> Vec<ReaderEvent> {
        let since = match self.lying {
            Lying::Unread { since, again } if again <= now() => since,
            Lying::Unread { .. } | Lying::Nothing | Lying::Card(_) | Lying::WithContacts => {
                return Vec::new();
            }
        };
        let read = read(&self.name);
        let now = now();
        let (wait, trouble) = match read {
            Ok(Uid::Fixed(chip)) => {
                self.lying = Lying::Card(chip);
                return self.debounce.seen(Some(chip), now);
            }
            Err(error) if error.may_pass() && now.duration_since(since) < PATIENCE => (HELD, None),
            Err(NoUid::WithContacts) => {
                self.lying = Lying::WithContacts;
                return Vec::new();
            }
            Ok(Uid::Random) => (ROUND, Some(ReaderEvent::RandomUid)),
            Err(error) => {
                tracing::debug!(reader = %text(&self.name), %error, "a card was not read");
                (ROUND, Some(ReaderEvent::ReadError))
            }
        };
        self.lying = Lying::Unread { since, again: now + wait };
        trouble.and_then(|trouble| self.debounce.trouble(trouble)).into_iter().collect()
    }
}

/// The readers that are followed, and what was said of them.
struct Readers {
    chosen: Option<String>,
    /// What PC/SC fills in: first the pseudo-reader that tells of new readers, then one for each slot.
    states: Vec<ReaderState>,
    slots: Vec<Slot>,
    /// Readers that were unplugged, as long as there are fewer than there were.
    unplugged: Vec<String>,
    /// So many there were at the most. One that is plugged in again may have another name.
    most: usize,
    /// The last `Ready` or `Lost`.
    said: Option<ReaderEvent>,
    /// The card that was tapped last: [`Lying::Card`], or nothing yet.
    last_tapped: Lying,
}

impl Readers {
    fn new(chosen: Option<String>) -> Self {
        let states = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
        Self {
            chosen,
            states,
            slots: Vec::new(),
            unplugged: Vec::new(),
            most: 0,
            said: None,
            last_tapped: Lying::Nothing,
        }
    }

    fn takes(&self, name: &CStr) -> bool {
        let name = text(name).to_lowercase();
        match &self.chosen {
            Some(part) => name.contains(&part.to_lowercase()),
            None => !name.split(|c: char| !c.is_alphanumeric()).any(|word| word == "sam"),
        }
    }

    /// What a list of all readers amounts to: those that came, those that went.
    fn listed(&mut self, names: Vec<CString>, now: Instant) -> Vec<ReaderEvent> {
        let (mut taken, others): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| self.takes(name));
        taken.truncate(MOST);
        let mut events = Vec::new();
        while let Some(place) = self.slots.iter().position(|slot| !taken.contains(&slot.name)) {
            let mut gone = self.slots.remove(place);
            self.states.remove(place + 1);
            events.extend(gone.taken_away(now));
            self.unplugged.push(text(&gone.name));
        }
        for name in taken {
            if self.slots.iter().all(|slot| slot.name != name) {
                self.states.push(ReaderState::new(name.clone(), State::UNAWARE));
                self.slots.push(Slot::new(name));
            }
        }
        self.most = self.most.max(self.slots.len());
        let (slots, all) = (&self.slots, self.slots.len() == self.most);
        self.unplugged.retain(|name| !all && slots.iter().all(|slot| text(&slot.name) != *name));
        // One that is missing is said before those that are there: they go on all the same.
        let status = if self.slots.is_empty() || !self.unplugged.is_empty() {
            ReaderEvent::Lost { why: self.why_none(&others) }
        } else {
            ReaderEvent::Ready { name: joined(self.slots.iter().map(|slot| &slot.name)) }
        };
        events.extend(self.status(status));
        events
    }

    fn why_none(&self, others: &[CString]) -> NoReader {
        match (&self.unplugged[..], &self.chosen) {
            ([], Some(part)) => NoReader::NotNamed {
                wanted: part.clone(),
                others: others.iter().map(|name| text(name)).collect(),
            },
            ([], None) => NoReader::NotFound,
            (unplugged, _) => NoReader::Unplugged { reader: unplugged.join(", ") },
        }
    }

    /// Cards whose taps came to nothing: see [`Debounce::forget`].
    fn forget(&mut self, cards: &[ChipNumber]) {
        for slot in &mut self.slots {
            for card in cards {
                slot.debounce.forget(*card);
            }
        }
    }

    /// What the states that PC/SC has filled in amount to.
    fn changed(&mut self, now: Instant) -> Vec<ReaderEvent> {
        let mut events = Vec::new();
        if let [new_readers, states @ ..] = &mut self.states[..] {
            new_readers.sync_current_state();
            for (state, slot) in states.iter_mut().zip(&mut self.slots) {
                if state.event_state().contains(State::CHANGED) {
                    events.extend(slot.changed(state.event_state(), state.event_count(), now));
                    state.sync_current_state();
                }
            }
        }
        events
    }

    /// How long PC/SC may be waited for.
    fn round(&self, now: Instant) -> Duration {
        let due = self.slots.iter().filter_map(|slot| match slot.lying {
            Lying::Unread { again, .. } => Some(again.saturating_duration_since(now)),
            Lying::Nothing | Lying::Card(_) | Lying::WithContacts => None,
        });
        due.fold(ROUND, Duration::min)
    }

    /// Reads what is to be read.
    fn read(
        &mut self,
        mut read: impl FnMut(&CStr) -> Result<Uid, NoUid>,
        now: impl Fn() -> Instant,
    ) -> Vec<(CString, ReaderEvent)> {
        let read = self.slots.iter_mut().flat_map(|slot| {
            let events = slot.read(&mut read, &now);
            let name = &slot.name;
            events.into_iter().map(|event| (name.clone(), event)).collect::<Vec<_>>()
        });
        read.collect()
    }

    /// The service is gone and all cards with it. What was tapped a moment ago is remembered: a card
    /// that lies there while the service starts anew is not tapped again.
    fn lost(&mut self, error: Error, now: Instant) -> Vec<ReaderEvent> {
        let mut events = Vec::new();
        self.states.truncate(1);
        for slot in &mut self.slots {
            self.states.push(ReaderState::new(slot.name.clone(), State::UNAWARE));
            events.extend(slot.taken_away(now));
        }
        events.extend(self.status(ReaderEvent::Lost { why: why(error) }));
        events
    }

    /// Whether the readers are there is said when it changes.
    fn status(&mut self, event: ReaderEvent) -> Option<ReaderEvent> {
        if self.said.as_ref() == Some(&event) {
            return None;
        }
        if let ReaderEvent::Lost { why } = &event {
            tracing::warn!(%why, "no reader");
        }
        self.said = Some(event.clone());
        Some(event)
    }
}

fn text(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}

fn joined<'a>(names: impl IntoIterator<Item = &'a CString>) -> String {
    names.into_iter().map(|name| text(name)).collect::<Vec<_>>().join(", ")
}

fn why(error: Error) -> NoReader {
    match error {
        // libpcsclite has a different one of these for every moment at which pcscd can go.
        Error::NoService | Error::ServiceStopped | Error::CommError | Error::InvalidHandle => {
            NoReader::NoService
        }
        Error::SecurityViolation | Error::NoAccess => NoReader::NoAccess,
        error => NoReader::System { detail: format!("PC/SC: {error}") },
    }
}

#[cfg(test)]
mod tests;
