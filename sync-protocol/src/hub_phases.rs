//! The hub's side of a session, as a state machine: bytes in, events and frames out.
//!
//! It sees to the order of messages only; what a desk lacks its driver finds out. [`crate::hub`] takes its place.

use crate::desk::SessionError;
use crate::frame::{FrameReader, frame};
use crate::message::{
    Batch, Closing, DeskBeat, DeskMessage, Enrol, Goodbye, Hello, HubMessage, ListPosition, Wanted,
};
use crate::request::SealedRequest;

/// What a session tells the hub.
#[derive(Debug)]
pub enum HubEvent {
    /// A desk says hello: look it up, answer with [`HubMessage::Welcome`] or a goodbye.
    HelloReceived(Hello),
    /// A new desk shows an invitation.
    EnrolReceived(Enrol),
    /// Entries: judge, commit, then answer with [`HubMessage::Ack`], a resend or a quarantine.
    BatchReceived(Batch),
    /// All the desk's own lists: answer with [`HubMessage::Held`].
    PositionsReceived(Vec<ListPosition>),
    /// How far the desk has what it was sent.
    HaveReceived {
        /// The catalogue's version.
        catalogue_version: u64,
        /// The venue's version.
        venue_version: u64,
    },
    /// A sealed request: open and do it once, answer with [`HubMessage::Answered`].
    RequestReceived(SealedRequest),
    /// Units that the desk would like: answer with [`HubMessage::Grants`].
    WantedReceived(Vec<Wanted>),
    /// A grant is given back: answer with [`HubMessage::Grants`].
    ClosingReceived(Closing),
    /// The desk would like the card keys, sealed to this key: answer with [`HubMessage::CardKeys`].
    CardKeysWanted([u8; 32]),
    /// The desk asks for a sign of life and for the time: answer with [`HubMessage::Beat`] at once. From now on it
    /// says something at least every [`crate::heartbeat::BEAT_EVERY`].
    BeatReceived(DeskBeat),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has come yet.
    Fresh,
    /// The desk said hello and was not answered yet: its batches wait.
    Greeted,
    /// Welcomed.
    Open,
    /// Over.
    Ended,
}

/// The hub's side of a session.
#[derive(Debug)]
pub struct HubPhases {
    reader: FrameReader,
    phase: Phase,
    /// The desk said what cannot be read: nothing more is taken, but what came before is answered.
    broken: bool,
}

impl Default for HubPhases {
    fn default() -> Self {
        Self { reader: FrameReader::default(), phase: Phase::Fresh, broken: false }
    }
}

impl HubPhases {
    /// Takes bytes from the desk. The events are to be answered in their order.
    ///
    /// # Errors
    /// [`SessionError`]: answer the events, for what came before it stands; then say goodbye and
    /// close.
    pub fn receive(&mut self, bytes: &[u8]) -> (Vec<HubEvent>, Result<(), SessionError>) {
        self.reader.push(bytes);
        let mut events = Vec::new();
        loop {
            if self.broken || self.phase == Phase::Ended {
                return (events, Ok(()));
            }
            let message = match self.reader.next_frame() {
                Ok(Some(contents)) => DeskMessage::from_bytes(contents).map_err(SessionError::from),
                Ok(None) => return (events, Ok(())),
                Err(error) => Err(error.into()),
            };
            match message.and_then(|message| self.take(message)) {
                Ok(event) => events.push(event),
                Err(error) => {
                    self.broken = true;
                    return (events, Err(error));
                }
            }
        }
    }

    fn take(&mut self, message: DeskMessage) -> Result<HubEvent, SessionError> {
        let fresh = self.phase == Phase::Fresh;
        let event = match message {
            DeskMessage::Hello(hello) if fresh => {
                self.phase = Phase::Greeted;
                HubEvent::HelloReceived(hello)
            }
            DeskMessage::Enrol(enrol) if fresh => {
                self.phase = Phase::Greeted;
                HubEvent::EnrolReceived(enrol)
            }
            DeskMessage::Hello(_) => {
                return Err(SessionError::OutOfTurn { what: "a second Hello" });
            }
            DeskMessage::Enrol(_) => return Err(SessionError::OutOfTurn { what: "Enrol" }),
            _ if fresh => return Err(SessionError::OutOfTurn { what: "a message before Hello" }),
            DeskMessage::Batch(batch) => HubEvent::BatchReceived(batch),
            DeskMessage::Positions(lists) => HubEvent::PositionsReceived(lists),
            DeskMessage::Have(catalogue_version, venue_version) => {
                HubEvent::HaveReceived { catalogue_version, venue_version }
            }
            DeskMessage::Request(request) => HubEvent::RequestReceived(request),
            DeskMessage::Wanted(wanted) => HubEvent::WantedReceived(wanted),
            DeskMessage::Closing(closing) => HubEvent::ClosingReceived(closing),
            DeskMessage::CardKeys(sealing_key) => HubEvent::CardKeysWanted(sealing_key),
            DeskMessage::Beat(beat) => HubEvent::BeatReceived(beat),
            // Only said to a hub that said it was restored, which none that is driven by this does.
            DeskMessage::Notices(_) | DeskMessage::Stated(_) | DeskMessage::Again(..) => {
                return Err(SessionError::OutOfTurn { what: "what only a restored hub is told" });
            }
        };
        Ok(event)
    }

    /// The frame of a message to the desk.
    ///
    /// # Errors
    /// [`SessionError::OutOfTurn`] where the session does not allow it now: nothing but the answer
    /// to a hello before the welcome, nothing at all after a goodbye.
    pub fn send(&mut self, message: &HubMessage) -> Result<Vec<u8>, SessionError> {
        let next = match (self.phase, message) {
            (Phase::Ended, _) => {
                return Err(SessionError::OutOfTurn { what: "a message after the end" });
            }
            (_, HubMessage::Goodbye(_)) => Phase::Ended,
            (Phase::Greeted, HubMessage::Welcome(_)) => Phase::Open,
            (Phase::Greeted, HubMessage::Enrolled(_)) => Phase::Ended,
            (Phase::Open, HubMessage::Welcome(_) | HubMessage::Enrolled(_)) => {
                return Err(SessionError::OutOfTurn { what: "a second Welcome" });
            }
            (Phase::Open, _) => Phase::Open,
            (Phase::Fresh | Phase::Greeted, _) => {
                return Err(SessionError::OutOfTurn { what: "a message before Welcome" });
            }
        };
        self.phase = next;
        Ok(frame(&message.to_bytes()))
    }

    /// The frame of a goodbye, whatever came before it.
    pub fn goodbye(&mut self, goodbye: Goodbye) -> Vec<u8> {
        self.phase = Phase::Ended;
        frame(&HubMessage::Goodbye(goodbye).to_bytes())
    }
}
