//! The hub's side of a session, as a state machine: bytes, answers, news and the time in; frames and questions out.
//!
//! Its driver only looks things up and moves bytes:
//!
//! ```text
//! loop match session.step() {
//!     Send(bytes)    => write them
//!     Need(need)     => look it up, then session.found(answer)
//!     Wait { until } => until bytes come, something moves, an answer is found, or it is so late:
//!                       session.tick(..), then session.receive(..), session.news(..), session.found(..)
//!     End(why)       => the line is closed
//! }
//! ```
//!
//! The session takes what the desk says in its order, one thing at a time: the next is looked at when the one before has
//! been answered. Batches that came right behind each other are one thing. So whatever a desk said before something is
//! committed when that is answered. It reads no more than it can answer: its driver reads nothing while a step waits for an
//! answer, or before [`HubSession::has_read_all`]. What the desk lacks comes behind what
//! it says ([`crate::feed`]).

mod batches;
mod greeting;

use std::collections::VecDeque;

use thiserror::Error;

use crate::desk::SessionError;
use crate::feed::{Feed, Found, HubClock, Need, News, NextAgain, NotAsked, Note};
use crate::frame::{FrameReader, frame};
use crate::heartbeat::{BEAT_EVERY, DESK_SILENCE, Ticks};
use crate::message::{
    DeskBeat, DeskMessage, Goodbye, GoodbyeKind, HubBeat, HubMessage, MOST_NAMES, PROTOCOL_VERSION,
};
use crate::notice::MOST_NOTICES_AT_ONCE;
use crate::version::{MOST_PAIRS, Seen, Version};
use greeting::Greeting;

/// How long the hub waits for a Hello: 10 s. Anybody may open a line; nobody may keep one without a word.
pub const FIRST_WORD: u64 = 10_000;

/// Between two notes of what a desk has, at the least: 30 s. A commit for each word of each desk would hold up the
/// acknowledgements.
pub const NOTED_EACH: u64 = 30_000;

/// A desk's clock that moved by more than this against the hub's is noted anew, in milliseconds.
const OFFSET_NOTED: u64 = 1_000;

/// So often it is noted that a desk's clock goes on as it did: the hub's doubt of its own clock goes by those that were
/// heard within the hour.
const OFFSET_NOTED_EACH: u64 = 10 * 60_000;

/// A number that no desk gives to a beat, for one that answers none: a sign of life of a hub that is busy.
const ANSWERS_NOTHING: u64 = u64::MAX;

/// What the driver is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes, whole.
    Send(Vec<u8>),
    /// Look this up, and say it with [`HubSession::found`].
    Need(Need),
    /// Nothing before then.
    Wait {
        /// When to look again, at the latest, by the clock of [`HubSession::tick`]. `None`: when something happens.
        until: Option<Ticks>,
    },
    /// The session is over.
    End(End),
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum End {
    /// The hub said goodbye.
    #[error("the hub said goodbye: {}", .0.sentence)]
    Goodbye(Goodbye),
    /// The desk said what it may not say.
    #[error(transparent)]
    Protocol(#[from] SessionError),
    /// A new desk was enrolled: it comes again with its Hello.
    #[error("the desk was enrolled")]
    Enrolled,
    /// No Hello came.
    #[error("no hello came")]
    NoHello,
    /// A desk that beats said nothing for [`DESK_SILENCE`].
    #[error("the desk fell silent")]
    Silent,
    /// The hub stops.
    #[error("the hub is stopping")]
    Stopping,
    /// The driver answered what was not asked.
    #[error("an answer came that nobody asked for")]
    NotAsked,
}

#[derive(Debug)]
enum Phase {
    /// Nothing has come yet.
    Fresh,
    /// The desk said hello, and is being looked up.
    Greeted(Box<Greeting>),
    /// A new desk showed its invitation.
    Enrolling,
    /// Welcomed.
    Open(Box<Feed>),
}

/// What was asked for, and what is to be known of it when it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Greeting,
    Enrol,
    Held,
    Take(Vec<batches::Place>),
    Request,
    /// Whether an answer says which rewards are out.
    Units {
        wanted: bool,
    },
    Stated,
    SealingKey,
    Done,
    Feed,
}

/// The hub's side of a session.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the desk")]
pub struct HubSession {
    reader: FrameReader,
    /// What came behind batches that are taken together: to be looked at next.
    behind: Option<Result<DeskMessage, SessionError>>,
    out: VecDeque<Vec<u8>>,
    phase: Phase,
    end: Option<End>,
    asked: Option<Asked>,
    notes: VecDeque<Note>,
    now: Ticks,
    begun: Ticks,
    clock: HubClock,
    /// When the desk said something last, or kept waiting no longer.
    heard: Ticks,
    /// When something was said to it last.
    said: Ticks,
    /// The desk beats: it says something at least every [`BEAT_EVERY`].
    beats: bool,
    /// The desk knows beats of the hub: a sign of life may be said.
    knows_beats: bool,
    /// The desk told its [`crate::message::Hello::run`].
    knows_copies: bool,
    /// Whether its name is used twice, to be said once it is noted that it came.
    used_twice: Option<bool>,
    /// The desk told [`crate::message::Hello::seen`], and was told this run last.
    run: Option<Version>,
    tells_runs: bool,
    has: Option<(u64, u64)>,
    clock_offset: i64,
    offset_moved: Option<i64>,
    offset_due: Ticks,
    note_at: Ticks,
}

impl HubSession {
    /// A session of a line that was opened now.
    pub fn new(now: Ticks, clock: HubClock) -> Self {
        Self {
            reader: FrameReader::default(),
            behind: None,
            out: VecDeque::new(),
            phase: Phase::Fresh,
            end: None,
            asked: None,
            notes: VecDeque::new(),
            now,
            begun: now,
            clock,
            heard: now,
            said: now,
            beats: false,
            knows_beats: false,
            knows_copies: false,
            used_twice: None,
            run: None,
            tells_runs: false,
            has: None,
            clock_offset: 0,
            offset_moved: None,
            offset_due: now.plus(OFFSET_NOTED_EACH),
            note_at: now,
        }
    }

    /// The time. To be said whenever the driver wakes up, before what woke it.
    pub fn tick(&mut self, now: Ticks, clock: HubClock) {
        self.now = self.now.max(now);
        self.clock = clock;
    }

    /// Bytes came from the desk.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.heard = self.now;
        self.reader.push(bytes);
    }

    /// Whether all that came has been looked at: no more is to be read before.
    pub fn has_read_all(&self) -> bool {
        self.behind.is_none() && !self.reader.has_frame()
    }

    /// What was found of the last [`Step::Need`].
    pub fn found(&mut self, found: Found) {
        // The desk was kept waiting: what it said meanwhile may not be read yet.
        self.heard = self.now;
        let Some(asked) = self.asked.take() else { return self.fail() };
        if self.end.is_some() {
            return;
        }
        if found == Found::NotEnrolled {
            return self.say_not_enrolled();
        }
        if self.take_found(asked, found).is_err() {
            self.fail();
        }
    }

    /// Something moved.
    pub fn news(&mut self, news: News) {
        match news {
            News::Revoked => self.say_not_enrolled(),
            News::CannotStore(sentence) => self.goodbye(GoodbyeKind::CannotStore, sentence),
            News::Stopping => {
                self.end.get_or_insert(End::Stopping);
            }
            News::UsedTwice(used_twice) => {
                if self.knows_copies && matches!(self.phase, Phase::Open(_)) {
                    self.say(&HubMessage::UsedTwice(used_twice));
                }
            }
            News::Run(run) => self.open_run(run),
            moved => match &mut self.phase {
                Phase::Open(feed) => feed.moved(&moved),
                Phase::Greeted(greeting) => greeting.moved.push(moved),
                Phase::Fresh | Phase::Enrolling => {}
            },
        }
    }

    /// Says goodbye; the session is over when that is sent. For what the driver finds: that it fails, above all.
    pub fn goodbye(&mut self, kind: GoodbyeKind, sentence: String) {
        if self.end.is_none() {
            let goodbye = Goodbye { kind, sentence };
            self.say(&HubMessage::Goodbye(goodbye.clone()));
            self.end = Some(End::Goodbye(goodbye));
        }
    }

    /// What the desk said last that it has, where that was not asked to be noted yet: for a driver whose line broke.
    pub fn last_note(&mut self) -> Option<Note> {
        let (has, clock_offset) = (self.has.take(), self.offset_moved.take());
        if has.is_none() && clock_offset.is_none() {
            return None;
        }
        self.note_at = self.now.plus(NOTED_EACH);
        if let Some(offset) = clock_offset {
            self.clock_offset = offset;
            self.offset_due = self.now.plus(OFFSET_NOTED_EACH);
        }
        Some(Note::Heard { has, clock_offset })
    }

    /// What is to be done next.
    pub fn step(&mut self) -> Step {
        loop {
            if let Some(bytes) = self.out.pop_front() {
                self.said = self.now;
                return Step::Send(bytes);
            }
            if let Some(end) = &self.end {
                return Step::End(end.clone());
            }
            if self.asked.is_some() {
                return self.wait_for_an_answer();
            }
            if let Some((need, asked)) = self.next_need() {
                self.asked = Some(asked);
                return Step::Need(need);
            }
            if self.out.is_empty() && self.end.is_none() {
                return self.wait();
            }
        }
    }

    /// Another process may write for minutes, as an import does, and the session says nothing meanwhile: without a word
    /// its desk would give the line up.
    fn wait_for_an_answer(&mut self) -> Step {
        if !self.knows_beats {
            return Step::Wait { until: None };
        }
        let due = self.said.plus(BEAT_EVERY);
        if self.now < due {
            return Step::Wait { until: Some(due) };
        }
        self.said = self.now;
        let HubClock { wall, doubtful } = self.clock;
        let beat = HubBeat { number: ANSWERS_NOTHING, clock: wall.0, clock_doubtful: doubtful };
        Step::Send(frame(&HubMessage::Beat(beat).to_bytes()))
    }

    fn wait(&mut self) -> Step {
        let silent = match self.phase {
            Phase::Fresh => Some((self.begun.plus(FIRST_WORD), End::NoHello)),
            _ if self.beats => Some((self.heard.plus(DESK_SILENCE), End::Silent)),
            _ => None,
        };
        let mut until = None;
        if let Some((at, end)) = silent {
            if at <= self.now {
                self.end = Some(end.clone());
                return Step::End(end);
            }
            until = Some(at);
        }
        if self.has.is_some() || self.offset_moved.is_some() {
            until = Some(until.map_or(self.note_at, |until: Ticks| until.min(self.note_at)));
        }
        Step::Wait { until }
    }

    /// What is asked for next; where there is nothing to ask, what is to be said may stand in `out` behind it.
    fn next_need(&mut self) -> Option<(Need, Asked)> {
        // Much of what a desk says needs nothing, and is not worth a step.
        while self.out.is_empty() && self.end.is_none() {
            if let Phase::Greeted(greeting) = &mut self.phase
                && let Some(need) = greeting.next_need()
            {
                return Some((need, Asked::Greeting));
            }
            if let Some(note) = self.notes.pop_front() {
                return Some((Need::Note(note), Asked::Done));
            }
            if let Some(used_twice) = self.used_twice.take() {
                self.say(&HubMessage::UsedTwice(used_twice));
                return None;
            }
            if let Phase::Open(feed) = &mut self.phase {
                match feed.next_again() {
                    Some(NextAgain::Ask(need)) => return Some((need, Asked::Feed)),
                    Some(NextAgain::Done(done)) => {
                        self.say(&done);
                        return None;
                    }
                    None => {}
                }
            }
            let need = match self.next_message() {
                Ok(Some(message)) => self.need_of(message),
                Ok(None) => return self.next_of_feed(),
                Err(error) => Err(error),
            };
            match need {
                Ok(Some(need)) => return Some(need),
                Ok(None) => {}
                Err(error) => {
                    let sentence = format!("the desk said what the hub cannot read: {error}");
                    self.goodbye(GoodbyeKind::Malformed, sentence);
                    self.end = Some(End::Protocol(error));
                }
            }
        }
        None
    }

    /// What is asked for where the desk has said nothing more.
    fn next_of_feed(&mut self) -> Option<(Need, Asked)> {
        let Phase::Open(feed) = &mut self.phase else { return None };
        if let Some(need) = feed.next_need() {
            return Some((need, Asked::Feed));
        }
        if self.note_at <= self.now
            && let Some(note) = self.last_note()
        {
            return Some((Need::Note(note), Asked::Done));
        }
        None
    }

    fn next_message(&mut self) -> Result<Option<DeskMessage>, SessionError> {
        if let Some(message) = self.behind.take() {
            return message.map(Some);
        }
        match self.reader.next_frame()? {
            Some(contents) => Ok(Some(DeskMessage::from_bytes(contents)?)),
            None => Ok(None),
        }
    }

    fn need_of(&mut self, message: DeskMessage) -> Result<Option<(Need, Asked)>, SessionError> {
        let out_of_turn = |what| Err(SessionError::OutOfTurn { what });
        let message = match (&self.phase, message) {
            (Phase::Open(_), DeskMessage::Batch(batch)) => {
                let batches = self.with_its_followers(batch);
                return Ok(Some(self.need_of_batches(batches)));
            }
            (_, message) => message,
        };
        let feed = match (&mut self.phase, &message) {
            (Phase::Fresh, DeskMessage::Hello(_) | DeskMessage::Enrol(_)) => None,
            (_, DeskMessage::Hello(_)) => return out_of_turn("a second Hello"),
            (_, DeskMessage::Enrol(_)) => return out_of_turn("Enrol"),
            (Phase::Fresh, _) => return out_of_turn("a message before Hello"),
            (Phase::Open(feed), _) => Some(feed),
            // Nothing is read before the welcome, for the greeting asks first.
            (Phase::Greeted(_) | Phase::Enrolling, _) => return out_of_turn("a message"),
        };
        let Some(feed) = feed else {
            return Ok(self.begin(message));
        };
        Ok(Some(match message {
            DeskMessage::Hello(_) | DeskMessage::Enrol(_) => return out_of_turn("a second Hello"),
            DeskMessage::Batch(_) => return out_of_turn("a batch"),
            DeskMessage::Positions(lists) => {
                let device = feed.device();
                feed.announce(lists.iter().filter(|list| list.writer.writer().device == device));
                (Need::Held(lists), Asked::Held)
            }
            DeskMessage::Request(request) => (Need::Request(request), Asked::Request),
            DeskMessage::Wanted(wanted) => (Need::Wanted(wanted), Asked::Units { wanted: true }),
            DeskMessage::Closing(closing) => {
                (Need::Closing(closing), Asked::Units { wanted: false })
            }
            DeskMessage::Stated(stated) => (Need::Stated(stated), Asked::Stated),
            DeskMessage::Notices(notices) if notices.len() > MOST_NOTICES_AT_ONCE => {
                return out_of_turn("so many notices at once");
            }
            DeskMessage::Again(names, _) if names.len() > MOST_NAMES => {
                return out_of_turn("so many names at once");
            }
            DeskMessage::Notices(notices) => (Need::KeepNotices(notices), Asked::Done),
            DeskMessage::CardKeys(key) => (Need::KeepSealingKey(key), Asked::SealingKey),
            DeskMessage::Have(catalogue, venue) => {
                self.has = Some((catalogue, venue));
                return Ok(None);
            }
            DeskMessage::Again(names, last) => {
                feed.named(names, last);
                return Ok(None);
            }
            DeskMessage::Beat(beat) => {
                self.answer_beat(beat);
                return Ok(None);
            }
        }))
    }

    fn begin(&mut self, message: DeskMessage) -> Option<(Need, Asked)> {
        let theirs = match &message {
            DeskMessage::Hello(hello) => hello.protocol,
            DeskMessage::Enrol(enrol) => enrol.protocol,
            _ => return None,
        };
        if theirs != PROTOCOL_VERSION {
            let sentence = format!(
                "this desk speaks version {theirs} of the protocol and the hub version {PROTOCOL_VERSION}: one of them must be updated. What was recorded stays on this disk"
            );
            self.goodbye(GoodbyeKind::Version, sentence);
            return None;
        }
        match message {
            DeskMessage::Enrol(enrol) => {
                self.phase = Phase::Enrolling;
                Some((Need::Enrol(enrol), Asked::Enrol))
            }
            DeskMessage::Hello(mut hello) => {
                // None of ours says more.
                if let Some(seen) = &mut hello.seen {
                    let Seen { catalogue, venue, holders, any, notices } = seen;
                    for list in [catalogue, venue, holders, any, notices] {
                        list.truncate(MOST_PAIRS);
                    }
                }
                self.knows_copies = hello.run.is_some();
                self.knows_beats = hello.run.is_some();
                self.tells_runs = hello.seen.is_some();
                let mut greeting = Box::new(Greeting::new(hello));
                let need = greeting.next_need();
                self.phase = Phase::Greeted(greeting);
                need.map(|need| (need, Asked::Greeting))
            }
            _ => None,
        }
    }

    fn take_found(&mut self, asked: Asked, found: Found) -> Result<(), NotAsked> {
        let feed = match &mut self.phase {
            Phase::Open(feed) => Some(feed),
            Phase::Fresh | Phase::Greeted(_) | Phase::Enrolling => None,
        };
        match (asked, found, feed) {
            (Asked::Greeting, found, _) => return self.greet(found),
            (Asked::Enrol, Found::Enrolled(Ok(enrolled)), _) => {
                self.say(&HubMessage::Enrolled(enrolled));
                self.end = Some(End::Enrolled);
            }
            (Asked::Enrol, Found::Enrolled(Err(sentence)), _) => {
                self.goodbye(GoodbyeKind::Invitation, sentence);
            }
            (Asked::Held, Found::Held(held), _) => self.say(&HubMessage::Held(held)),
            (Asked::Take(batches), Found::Taken(taken), Some(feed))
                if batches.len() == taken.len() =>
            {
                let messages = batches::answers(feed, batches, taken);
                self.say_together(&messages);
            }
            (Asked::Request, Found::Answered(answer), _) => {
                if let Some(answer) = answer {
                    self.say(&HubMessage::Answered(answer));
                }
            }
            (Asked::Units { wanted }, Found::Granted { grants, none_left, number }, Some(feed)) => {
                feed.told_grants(&grants);
                let none_left = wanted.then(|| none_left.unwrap_or_default());
                self.say(&HubMessage::Grants(grants, none_left, number));
            }
            (Asked::Stated, Found::Done, Some(feed)) => feed.stated(),
            (Asked::SealingKey, Found::Done, Some(feed)) => feed.card_keys_wanted(),
            (Asked::Done, Found::Done, _) => {}
            (Asked::Feed, found, Some(feed)) => {
                let (messages, too_large) = feed.found(found)?;
                for message in &messages {
                    self.say(message);
                }
                if !too_large.is_empty() {
                    self.notes.push_back(Note::TooLarge(too_large));
                }
            }
            _ => return Err(NotAsked),
        }
        Ok(())
    }

    /// Answers a desk's beat with the hub's clock, and compares the desk's with it.
    fn answer_beat(&mut self, beat: DeskBeat) {
        (self.beats, self.knows_beats) = (true, true);
        let HubClock { wall, doubtful } = self.clock;
        let offset = beat.clock.saturating_sub(wall.0);
        let moved = offset.abs_diff(self.clock_offset) > OFFSET_NOTED;
        self.offset_moved = (moved || self.offset_due <= self.now).then_some(offset);
        let beat = HubBeat { number: beat.number, clock: wall.0, clock_doubtful: doubtful };
        self.say(&HubMessage::Beat(beat));
    }

    fn open_run(&mut self, run: Version) {
        match &mut self.phase {
            Phase::Open(_) if self.tells_runs && self.run != Some(run) => {
                self.run = Some(run);
                self.say(&HubMessage::Run(run));
            }
            Phase::Greeted(greeting) => greeting.opened = Some(run),
            Phase::Fresh | Phase::Enrolling | Phase::Open(_) => {}
        }
    }

    fn say(&mut self, message: &HubMessage) {
        self.out.push_back(frame(&message.to_bytes()));
    }

    fn say_not_enrolled(&mut self) {
        let sentence = "the hub does not take this desk: it is not enrolled there, or it was revoked. What was recorded stays on this disk; tell an operator";
        self.goodbye(GoodbyeKind::NotEnrolled, sentence.to_owned());
    }

    fn fail(&mut self) {
        self.end.get_or_insert(End::NotAsked);
    }
}
