//! The desk's side of a session, as a state machine: bytes in, events and frames out.
//!
//! It keeps nothing that must last. What it must know of the ledgers it asks of a [`DeskView`];
//! what must be kept it says in a [`DeskEvent`]; how far it has sent is its own.
//!
//! A hub that was restored from an older copy ([`crate::message::Welcome::restored`]) is told again, in this order:
//!
//! 1. the positions of all lists on the disk, also of the neighbours' whose seal is kept; then what of them the hub
//!    lacks, the neighbours' under their own seals;
//! 2. the notices that the hub once signed;
//! 3. the grants that the desk holds, once its entries are sent;
//! 4. the requests that the hub answered beyond what both know, and those that wait;
//! 5. the names of the catalogue's items that came with a number beyond it. The hub says how these stand, and ends it
//!    with a page that says `again_done`: whatever came before it has been taken up then ([`DeskEvent::AgainDone`]).
//!
//! Until then the desk keeps the pairs that the hub does not know. So a line that is cut at any byte costs nothing: the
//! next session finds the hub restored again, and all of it is repeated.

mod again;
mod events;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crdt_model::ids::{RewardId, Writer};
use crdt_model::ledger::{LedgerId, Position};
use crdt_model::stock::GrantId;
use crdt_model::time::{UnixMillis, date_of_day_number, day_number};
use jiff::civil::Date;

use crate::batch;
use crate::card_keys::DeskSealingKey;
use crate::frame::{FrameReader, frame};
use crate::heartbeat::{Heartbeat, Pulse, Ticks};
use crate::message::{
    Ack, Batch, Closing, DeskBeat, DeskMessage, Hello, HubMessage, ListPosition, MOST_POSITIONS,
    PROTOCOL_VERSION, Wanted,
};
use crate::request::{RequestId, SealedRequest};
use crate::version::Version;
use again::SayingAgain;
pub use events::{DeskEvent, SessionError};
pub use view::{DeskView, OwnList, SealedList};

/// Questions for units that wait for an answer at the most. A hub of an earlier version does not say that it answers one.
const MOST_ASKED: usize = 64;

/// What a desk begins a session with.
#[derive(Debug, Clone)]
pub struct DeskStart {
    /// The software's version.
    pub software: String,
    /// The desk's clock.
    pub clock: UnixMillis,
    /// The catalogue that it has.
    pub catalogue_version: u64,
    /// What it has of the venue's other entries.
    pub venue_version: u64,
    /// The sealed parts of records that it has.
    pub holders_version: u64,
    /// The run of its daemon ([`Hello::run`]).
    pub run: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Request(RequestId),
    Closing(GrantId),
}

/// The desk's side of a session.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct DeskSession {
    reader: FrameReader,
    queue: Vec<DeskMessage>,
    /// How far each list has been sent in this session.
    sent: BTreeMap<(Date, Writer), u64>,
    /// Lists that the hub holds longer, or otherwise: an Ack says how many entries, not which, so
    /// for these it says nothing about what is here.
    unlike: BTreeSet<(Date, Writer)>,
    /// Requests and closing statements that were sent in this session: once is enough, for the line
    /// loses nothing.
    said: BTreeSet<Said>,
    /// What was asked for last: asked again when it is something else.
    wanted: Vec<Wanted>,
    /// The rewards of which one is wanted now, by question that the hub has not answered.
    asked: VecDeque<Vec<RewardId>>,
    /// The hub has said what this desk may hand out: before that it does not know what it lacks.
    granted: bool,
    have: (u64, u64),
    have_changed: bool,
    welcomed: bool,
    /// How many messages with positions the hub has not answered: nothing is sent until it has said what it holds.
    comparing: usize,
    /// The hub's run, where it tells its runs, and the highest number that it told.
    run: Option<Version>,
    told: u64,
    /// What is said again to a hub that was restored.
    again: Option<SayingAgain>,
    ended: bool,
    heart: Heartbeat,
}

impl DeskSession {
    /// A session that says hello, with the pending entries right behind it.
    pub fn start(start: &DeskStart, view: &impl DeskView) -> Self {
        let pending: Vec<ListPosition> = view
            .pending()
            .iter()
            .filter_map(|list| list_position(view, list.day, &list.writer, list.acknowledged))
            .collect();
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            software: start.software.clone(),
            clock: start.clock.0,
            catalogue_version: start.catalogue_version,
            venue_version: start.venue_version,
            acknowledged: view.acknowledged(),
            pending,
            holders_version: Some(start.holders_version),
            run: start.run,
            seen: view.seen(),
            enrolled: view.enrolled(),
        };
        Self {
            reader: FrameReader::default(),
            queue: vec![DeskMessage::Hello(hello)],
            sent: BTreeMap::new(),
            unlike: BTreeSet::new(),
            said: BTreeSet::new(),
            wanted: Vec::new(),
            asked: VecDeque::new(),
            granted: false,
            have: (start.catalogue_version, start.venue_version),
            have_changed: false,
            welcomed: false,
            comparing: 0,
            run: None,
            told: 0,
            again: None,
            ended: false,
            heart: Heartbeat::default(),
        }
    }

    /// Looks at the time: at the start, whenever [`Pulse`] says, and after something was sent or heard. A beat that
    /// is due is among the next frames. `wall` is the desk's own clock as it stands, `waiting` how many entries have
    /// no acknowledgement, and `signs` counts what shows that packets arrive at the hub. A session that is never
    /// told the time sends no beats.
    pub fn tick(&mut self, now: Ticks, wall: UnixMillis, waiting: u64, signs: u64) -> Pulse {
        let pulse = self.heart.look(now, waiting, signs);
        if let Pulse::Beat { number, .. } = pulse {
            self.queue.push(DeskMessage::Beat(DeskBeat { number, clock: wall.0 }));
        }
        pulse
    }

    /// Bytes came from the hub at this time: to be said before [`DeskSession::receive`].
    pub fn heard(&mut self, now: Ticks) {
        self.heart.heard(now);
    }

    /// The next frame to send, if there is anything to say now: ledgers first.
    pub fn next_frame(&mut self, view: &impl DeskView) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let message = if self.queue.is_empty() {
            let next = self.next_batch(view).map(DeskMessage::Batch);
            let next = next.or_else(|| self.next_again(view));
            next.or_else(|| self.next_question(view)).or_else(|| {
                let (catalogue, venue) = self.have;
                std::mem::take(&mut self.have_changed)
                    .then_some(DeskMessage::Have(catalogue, venue))
            })?
        } else {
            self.queue.remove(0)
        };
        Some(frame(&message.to_bytes()))
    }

    /// What the desk asks behind its entries: the hub knows what was handed out before it is asked
    /// for more, or given the rest back.
    fn next_question(&mut self, view: &impl DeskView) -> Option<DeskMessage> {
        if !self.welcomed || self.comparing > 0 {
            return None;
        }
        let unsaid = |request: &SealedRequest| !self.said.contains(&Said::Request(request.id));
        if let Some(request) = view.requests().into_iter().find(unsaid) {
            self.said.insert(Said::Request(request.id));
            return Some(DeskMessage::Request(request));
        }
        let unsaid = |closing: &Closing| !self.said.contains(&Said::Closing(closing.grant));
        if let Some(closing) = view.closings().into_iter().find(unsaid) {
            self.said.insert(Said::Closing(closing.grant));
            return Some(DeskMessage::Closing(closing));
        }
        if !self.granted {
            return None;
        }
        let wanted = view.wanted();
        let asks = !wanted.is_empty() && wanted != self.wanted;
        self.wanted.clone_from(&wanted);
        if asks {
            let now = wanted.iter().filter(|it| it.now).map(|it| it.reward);
            self.asked.push_back(now.collect());
        }
        asks.then_some(DeskMessage::Wanted(wanted))
    }

    fn next_batch(&mut self, view: &impl DeskView) -> Option<Batch> {
        if self.comparing > 0 {
            return None;
        }
        for list in view.pending() {
            let sent = self.sent.entry((list.day, list.writer)).or_insert(list.acknowledged);
            let entries = view.entries(list.day, &list.writer, *sent, batch::MAX_BATCH_ENTRIES);
            if entries.is_empty() {
                continue;
            }
            let (packed, count) = batch::pack(entries.iter().map(Vec::as_slice));
            let first = *sent + 1;
            let position = view.position_at(list.day, &list.writer, *sent + count as u64)?;
            *sent = position.sequence;
            let ledger = LedgerId { venue: view.venue().clone(), day: list.day };
            return Some(Batch {
                day: day_number(list.day),
                writer: list.writer.into(),
                first,
                entries: packed,
                seal: view.key().seal(&ledger, &list.writer, &position),
                public_key: view.key().public_key().to_vec(),
            });
        }
        None
    }

    /// Takes bytes from the hub.
    ///
    /// # Errors
    /// [`SessionError`]: the link is to be closed. What came before it stands.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        view: &impl DeskView,
    ) -> (Vec<DeskEvent>, Result<(), SessionError>) {
        self.reader.push(bytes);
        let mut events = Vec::new();
        loop {
            if self.ended {
                return (events, Ok(()));
            }
            let message = match self.reader.next_frame() {
                Ok(Some(contents)) => HubMessage::from_bytes(contents).map_err(SessionError::from),
                Ok(None) => return (events, Ok(())),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = message.and_then(|message| self.take(message, view, &mut events)) {
                self.ended = true;
                return (events, Err(error));
            }
        }
    }

    fn take(
        &mut self,
        message: HubMessage,
        view: &impl DeskView,
        events: &mut Vec<DeskEvent>,
    ) -> Result<(), SessionError> {
        let out_of_turn = |what| Err(SessionError::OutOfTurn { what });
        match message {
            HubMessage::Goodbye(goodbye) => {
                self.ended = true;
                events.push(DeskEvent::Ended(goodbye));
            }
            HubMessage::Enrolled(_) => return out_of_turn("Enrolled"),
            HubMessage::Welcome(_) if self.welcomed => return out_of_turn("a second Welcome"),
            HubMessage::Welcome(welcome) => {
                self.welcomed = true;
                self.take_clock(0, welcome.clock, welcome.clock_doubtful, events);
                if welcome.beats {
                    self.heart.is_answered_here();
                }
                // A hub that has none says nothing of them, and what is here stays.
                if welcome.card_keys.is_some() && welcome.card_keys != view.card_keys_version() {
                    let sealing_key = DeskSealingKey::of(view.key()).public_key();
                    self.queue.push(DeskMessage::CardKeys(sealing_key));
                }
                self.run = welcome.run;
                self.again = welcome.restored.map(|restored| {
                    SayingAgain::new(restored, welcome.go_on.unwrap_or_default(), view)
                });
                if welcome.lost || self.again.is_some() {
                    self.say_positions(view);
                    events.push(DeskEvent::Welcomed(welcome));
                    events.push(DeskEvent::AcknowledgementsLost);
                } else {
                    let held = welcome.held.clone();
                    events.push(DeskEvent::Welcomed(welcome));
                    self.compare(&held, view, events)?;
                    events.push(DeskEvent::Compared);
                }
            }
            _ if !self.welcomed => return out_of_turn("a message before Welcome"),
            HubMessage::Held(held) => {
                self.compare(&held, view, events)?;
                for position in &held {
                    let day = date(position.day)?;
                    self.sent.insert((day, position.writer.writer()), position.sequence);
                }
                self.comparing = self.comparing.saturating_sub(1);
                if self.comparing == 0 {
                    events.push(DeskEvent::Compared);
                }
            }
            HubMessage::Ack(Ack { day, writer, sequence, number }) => {
                self.note_told(number, events);
                let (day, writer) = (date(day)?, writer.writer());
                if view.position_at(day, &writer, sequence).is_some()
                    && !self.unlike.contains(&(day, writer))
                {
                    events.push(DeskEvent::Acknowledged { day, writer, sequence });
                }
            }
            HubMessage::Resend(resend) => {
                self.sent.insert((date(resend.day)?, resend.writer.writer()), resend.held);
            }
            HubMessage::Quarantined(quarantined) => {
                events.push(DeskEvent::Quarantined(quarantined));
            }
            HubMessage::Page(page) => {
                self.note_told(Some(page.stamp()), events);
                let done = page.again_done;
                events.push(DeskEvent::Page(page));
                if let (true, Some(run)) = (done, self.run)
                    && let Some(SayingAgain { go_on, common, .. }) = self.again.take()
                {
                    let told = Version { run: run.run, number: self.told };
                    events.push(DeskEvent::AgainDone { go_on, common, told });
                }
            }
            HubMessage::Share(share) => {
                self.note_told(Some(share.venue_version), events);
                events.push(DeskEvent::Shared(share));
            }
            HubMessage::Advance(version) => {
                self.note_told(Some(version), events);
                events.push(DeskEvent::Advanced(version));
            }
            HubMessage::Answered(answer) => {
                self.note_told(answer.number, events);
                events.push(DeskEvent::Answered(answer));
            }
            HubMessage::Run(run) => self.run = Some(run),
            HubMessage::Notices(notices, to) => {
                self.note_told(Some(to), events);
                events.push(DeskEvent::Notices { notices, to });
            }
            HubMessage::Grants(grants, none_left, number) => {
                self.note_told(number, events);
                self.granted = true;
                // The hub answers in the order in which it was asked; what it says by itself answers nothing.
                let answers = none_left.is_some() || self.asked.len() > MOST_ASKED;
                let answered =
                    answers.then(|| self.asked.pop_front()).flatten().unwrap_or_default();
                // Whoever wants one later asks again.
                self.wanted.retain(|it| !(it.now && answered.contains(&it.reward)));
                let none_left = none_left.unwrap_or_default();
                events.push(DeskEvent::Granted { grants, answered, none_left });
            }
            HubMessage::Holders(page) => {
                self.note_told(Some(page.stamp()), events);
                events.push(DeskEvent::Holders(page));
            }
            HubMessage::CardKeys(keys) => events.push(DeskEvent::CardKeys(keys)),
            HubMessage::UsedTwice(used_twice) => events.push(DeskEvent::UsedTwice(used_twice)),
            HubMessage::Beat(beat) => {
                self.take_clock(beat.number, beat.clock, beat.clock_doubtful, events);
            }
        }
        Ok(())
    }

    /// The hub tells something that it numbers so.
    fn note_told(&mut self, number: Option<u64>, events: &mut Vec<DeskEvent>) {
        if let (Some(run), Some(number)) = (self.run, number)
            && number > self.told
        {
            self.told = number;
            events.push(DeskEvent::Told(Version { run: run.run, number }));
        }
    }

    /// Says how far all lists on the disk have come: its own, and where the hub was restored the neighbours' too.
    fn say_positions(&mut self, view: &impl DeskView) {
        let own = view.own_lists();
        let own = own.iter().filter_map(|list| {
            let length = view.entries(list.day, &list.writer, 0, usize::MAX).len() as u64;
            list_position(view, list.day, &list.writer, length)
        });
        let others = self.again.iter().flat_map(SayingAgain::others).filter_map(|list| {
            let sealed = list.seals.last()?.sequence;
            list_position(view, list.day, &list.writer, sealed)
        });
        let all: Vec<ListPosition> = own.chain(others).collect();
        let messages = all.chunks(MOST_POSITIONS).map(<[ListPosition]>::to_vec);
        let messages: Vec<_> = messages.map(DeskMessage::Positions).collect();
        self.comparing = messages.len().max(1);
        if messages.is_empty() {
            self.queue.push(DeskMessage::Positions(Vec::new()));
        }
        self.queue.extend(messages);
    }

    /// The hub answered the beat of this number, or the hello, with what its clock says.
    fn take_clock(&mut self, number: u64, clock: i64, doubtful: bool, events: &mut Vec<DeskEvent>) {
        if let Some(asked) = self.heart.answered(number) {
            events.push(DeskEvent::HubClock { clock: UnixMillis(clock), doubtful, asked });
        }
    }

    /// What the hub says it holds, compared with what is here.
    fn compare(
        &mut self,
        held: &[ListPosition],
        view: &impl DeskView,
        events: &mut Vec<DeskEvent>,
    ) -> Result<(), SessionError> {
        for position in held {
            let (day, writer) = (date(position.day)?, position.writer.writer());
            if writer.device != view.key().device() {
                // The hub shares what it holds beyond that, and nobody's grants or pending entries are at stake.
                let here = view.position_at(day, &writer, position.sequence);
                if here.is_none_or(|here| short_head(&here) != position.head) {
                    self.unlike.insert((day, writer));
                }
                continue;
            }
            events.push(match view.position_at(day, &writer, position.sequence) {
                Some(here) if short_head(&here) == position.head => {
                    DeskEvent::Acknowledged { day, writer, sequence: position.sequence }
                }
                Some(_) => {
                    self.unlike.insert((day, writer));
                    DeskEvent::Diverged { day, writer, held: position.sequence }
                }
                None => {
                    self.unlike.insert((day, writer));
                    self.sent.insert((day, writer), position.sequence);
                    DeskEvent::Behind { day, writer, held: position.sequence }
                }
            });
        }
        Ok(())
    }

    /// The desk has the catalogue and the venue's entries up to these versions: the hub is told.
    pub fn have(&mut self, catalogue_version: u64, venue_version: u64) {
        let have = (catalogue_version, venue_version);
        self.have_changed |= self.have != have;
        self.have = have;
    }

    /// The hub's run, where it tells its runs: what this session tells is noted as a pair with it.
    pub fn run(&self) -> Option<Version> {
        self.run
    }

    /// Whether the hub is being told again what it lost.
    pub fn says_again(&self) -> bool {
        self.again.is_some()
    }

    /// Whether the hub has welcomed this desk.
    pub fn is_welcomed(&self) -> bool {
        self.welcomed
    }
}

fn list_position(
    view: &impl DeskView,
    day: Date,
    writer: &Writer,
    sequence: u64,
) -> Option<ListPosition> {
    let position = view.position_at(day, writer, sequence)?;
    Some(ListPosition {
        day: day_number(day),
        writer: (*writer).into(),
        sequence,
        head: short_head(&position),
    })
}

/// The first eight bytes of a position's hash: enough to notice that two lists differ.
pub fn short_head(position: &Position) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&position.head[..8]);
    u64::from_be_bytes(first)
}

/// The day of this number.
///
/// # Errors
/// [`SessionError::Day`].
pub fn date(day: i32) -> Result<Date, SessionError> {
    date_of_day_number(day).ok_or(SessionError::Day { day })
}
