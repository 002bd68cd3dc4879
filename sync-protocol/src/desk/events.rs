//! What a session tells the desk, and why it cannot go on.

use crdt_model::ids::{RewardId, Writer};
use crdt_model::stock::GrantedUnits;
use crdt_model::time::UnixMillis;
use jiff::civil::Date;
use thiserror::Error;

use crate::card_keys::SealedCardKeys;
use crate::frame::FrameTooLong;
use crate::heartbeat::Ticks;
use crate::message::{
    CataloguePage, Goodbye, HoldersPage, MessageError, Quarantined, Share, Welcome,
};
use crate::notice::SignedNotice;
use crate::request::RequestAnswer;
use crate::version::{GoOn, Version};

/// What a session tells the desk.
#[derive(Debug)]
pub enum DeskEvent {
    /// What the hub's clock says. Comes before [`DeskEvent::Welcomed`], and again with every answered beat.
    HubClock {
        /// The hub's clock, as it was between `asked` and now.
        clock: UnixMillis,
        /// The hub doubts it.
        doubtful: bool,
        /// When the hub was asked, by [`super::DeskSession::tick`]'s clock.
        asked: Ticks,
    },
    /// The session is open.
    Welcomed(Welcome),
    /// The hub's commit holds this list up to here: keep that.
    Acknowledged {
        /// The ledger's day.
        day: Date,
        /// The list.
        writer: Writer,
        /// How many entries the hub holds, and they are the same as here.
        sequence: u64,
    },
    /// The hub lost what it had acknowledged: forget all acknowledgements.
    AcknowledgementsLost,
    /// The hub has said what it holds, and all of that came before this event.
    Compared,
    /// The hub holds more of this list than is here: this disk lost its end, or was restored from an
    /// image. The hub shares what is lacking; nothing is sent of this list in this session.
    Behind {
        /// The ledger's day.
        day: Date,
        /// The list.
        writer: Writer,
        /// How many entries the hub holds.
        held: u64,
    },
    /// The hub holds another list under this name: a copy of this desk wrote, too. The hub sets
    /// apart what is sent of it.
    Diverged {
        /// The ledger's day.
        day: Date,
        /// The list.
        writer: Writer,
        /// How many entries the hub holds.
        held: u64,
    },
    /// Another desk's entries: judge and merge them, then call [`super::DeskSession::have`].
    Shared(Share),
    /// The desk has all of the venue up to this version.
    Advanced(u64),
    /// A page of the catalogue: apply it whole, then call [`super::DeskSession::have`].
    Page(CataloguePage),
    /// The hub set entries apart.
    Quarantined(Quarantined),
    /// What became of a request.
    Answered(RequestAnswer),
    /// What this desk may hand out now.
    Granted {
        /// All units.
        grants: Vec<GrantedUnits>,
        /// The rewards of which one was wanted now, where this is the hub's answer.
        answered: Vec<RewardId>,
        /// Those of them of which the hub has none left.
        none_left: Vec<RewardId>,
    },
    /// Sealed parts of pass records.
    Holders(HoldersPage),
    /// The card keys, sealed to this desk: keep them in place of those that are here.
    CardKeys(SealedCardKeys),
    /// Whether another daemon uses this desk's key, too.
    UsedTwice(bool),
    /// The hub is telling something that it numbers so: note that pair among all that was told ([`crate::version::Seen::any`]) with
    /// what the next event makes the desk keep. Comes before that event, for a desk that notes too much says a few
    /// things again, and one that notes too little forgets to.
    Told(Version),
    /// Notices of the hub, to be kept as they are where its signature holds; and up to which number the desk has them
    /// with these.
    Notices {
        /// The notices.
        notices: Vec<SignedNotice>,
        /// The number.
        to: u64,
    },
    /// A hub that was restored has been told again all that it had lost, and has told how the catalogue stands. Now the
    /// desk's lists go back, in one durable step with the cursors: [`crate::version::forget_beyond`] for each, to the run
    /// of `told` and the number in `go_on`, and for [`crate::version::Seen::any`] to `told`.
    AgainDone {
        /// From which numbers the hub goes on.
        go_on: GoOn,
        /// Up to which number both know the same.
        common: u64,
        /// The highest that was told in this session.
        told: Version,
    },
    /// The hub ended the session.
    Ended(Goodbye),
}

/// Why a session cannot go on. The link is closed and a new session begun.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The stream is broken.
    #[error(transparent)]
    Frame(#[from] FrameTooLong),
    /// A frame is not a message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A message that does not belong here.
    #[error("{what} came out of turn")]
    OutOfTurn {
        /// Which.
        what: &'static str,
    },
    /// A day outside the calendar.
    #[error("day {day} is outside the calendar")]
    Day {
        /// Its number.
        day: i32,
    },
}
