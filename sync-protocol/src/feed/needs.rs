//! What a hub's session asks of its driver, what the driver answers, and what it tells by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crdt_model::catalogue::{Item, ItemName};
use crdt_model::holder::SealedHolder;
use crdt_model::ids::{DeviceId, PassId, RewardId};
use crdt_model::stock::GrantedUnits;
use crdt_model::time::UnixMillis;

use crate::card_keys::SealedCardKeys;
use crate::message::{
    Batch, Closing, Enrol, Enrolled, Hello, ListPosition, Stated, Wanted, WriterBytes,
};
use crate::notice::SignedNotice;
use crate::request::{RequestAnswer, SealedRequest};
use crate::runs::RunTable;
use crate::version::Version;

/// How far a desk is known to have lists of its venue, by day and list: so far it need not be told them.
pub type Known = BTreeMap<(i32, WriterBytes), u64>;

/// What a session asks. Each is answered by the [`Found`] that is named with it, or by [`Found::NotEnrolled`], which the
/// driver looks up each time: a desk that was revoked asks for nothing more (invariant 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Who holds the key that the line was opened with, and says this? [`Found::Desk`].
    Desk(Box<Hello>),
    /// What the database knows of these runs, each named once: [`Found::Runs`].
    Runs(BTreeSet<u64>),
    /// Enrol the holder of the key: [`Found::Enrolled`].
    Enrol(Enrol),
    /// What is held of these lists of the desk's venue? [`Found::Held`].
    Held(Vec<ListPosition>),
    /// Judge and commit these entries, in their order: [`Found::Taken`]. They came behind each other, and may share a
    /// commit.
    Take(Vec<Batch>),
    /// Open and do this request once: [`Found::Answered`].
    Request(SealedRequest),
    /// Grant units: [`Found::Granted`], with what is out.
    Wanted(Vec<Wanted>),
    /// Take a grant back: [`Found::Granted`].
    Closing(Closing),
    /// Take up the grants that the desk holds: [`Found::Done`].
    Stated(Stated),
    /// Take up what this hub once signed, where the signature holds: [`Found::Done`].
    KeepNotices(Vec<SignedNotice>),
    /// Keep the key to which the desk's card keys are to be sealed: [`Found::Done`].
    KeepSealingKey([u8; 32]),
    /// The venue's log beyond `from`, without rows of lists that are known so far: [`Found::Log`].
    Log {
        /// Everything up to this number is told.
        from: u64,
        /// What the desk has.
        known: Arc<Known>,
        /// Entries of so many bytes are enough.
        most_bytes: usize,
    },
    /// What the desk may hand out: [`Found::Granted`], with nothing said of what is out.
    Grants,
    /// The card keys, sealed to the desk, where they are not of this version: [`Found::CardKeys`].
    CardKeys {
        /// The version that the desk has.
        has: Option<u64>,
    },
    /// Notices numbered beyond `from`, in the order of their numbers: all of revoked devices and used invitations, and
    /// this desk's own enrolment. [`Found::Notices`].
    Notices {
        /// Everything up to this number is told.
        from: u64,
        /// So many at the most.
        most: usize,
    },
    /// Passes that must be refused and are numbered beyond `behind`, in the order of their numbers:
    /// [`Found::DenyList`].
    DenyList {
        /// Those up to this number are told.
        behind: u64,
        /// So many at the most.
        most: usize,
    },
    /// Items of the catalogue that reach the desk's venue and are numbered beyond `from`, in the order of their numbers:
    /// [`Found::Page`].
    Page {
        /// Everything up to this number is told.
        from: u64,
        /// So many at the most.
        most: usize,
    },
    /// How do the items of these names stand, as the desk's venue has them? [`Found::Items`].
    Items {
        /// The names, none twice.
        names: Vec<ItemName>,
        /// Items that are numbered beyond this come with the pages.
        up_to: u64,
    },
    /// How do the sealed parts of these passes stand? [`Found::SealedParts`], of the first of them at least.
    SealedParts {
        /// The passes, none twice.
        passes: Vec<PassId>,
        /// Parts that are numbered beyond this come with the pages.
        up_to: u64,
        /// Sealed parts of so many bytes are enough.
        most_bytes: usize,
    },
    /// Sealed parts numbered beyond `from`, in the order of their numbers: [`Found::Holders`].
    Holders {
        /// Everything up to this number is told.
        from: u64,
        /// Sealed parts of so many bytes are enough.
        most_bytes: usize,
    },
    /// Keep this for the operators: [`Found::Done`].
    Note(Note),
}

/// What is kept for the operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The desk came.
    Came {
        /// What it said.
        hello: Box<Hello>,
        /// How far its clock is ahead of the hub's, in milliseconds.
        clock_offset: i64,
        /// The hub holds less than it had acknowledged, or is otherwise found to be restored.
        lost: bool,
    },
    /// The desk was told something that the database does not know: it was restored from an older copy. Where that is
    /// news, every desk's grants are to be stated before anything is granted.
    Restored {
        /// What the desk was told.
        lost: Option<Version>,
    },
    /// What the desk has, and how its clock goes, where that is otherwise than it was noted last.
    Heard {
        /// The numbers up to which it has the catalogue and the venue's entries.
        has: Option<(u64, u64)>,
        /// How far its clock is ahead of the hub's, in milliseconds.
        clock_offset: Option<i64>,
    },
    /// Items of the catalogue that fit no page and therefore reach no desk.
    TooLarge(Vec<ItemName>),
}

/// A device that is enrolled, as a session needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDesk {
    /// The device.
    pub device: DeviceId,
    /// The venue's name, for people.
    pub venue_name: String,
    /// The desk's name, for people.
    pub desk_name: String,
    /// How many entries of its lists are held.
    pub entries: u64,
    /// The key to which requests are sealed, where the hub takes any.
    pub request_key: Option<[u8; 32]>,
    /// The version of the card keys as this desk is to be told it ([`crate::message::Welcome::card_keys`]).
    pub card_keys: Option<u64>,
    /// Whether another daemon uses its key, too.
    pub used_twice: bool,
    /// It is to say again what it holds, whatever it was told: others found out that the hub was restored.
    pub is_held: bool,
    /// The highest numbers of what reaches it.
    pub tops: Tops,
}

/// The highest numbers of what reaches a desk: what it lacks is looked up only where it has come less far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tops {
    /// Of the catalogue.
    pub catalogue: u64,
    /// Of its venue's log.
    pub venue: u64,
    /// Of the sealed parts.
    pub holders: u64,
    /// Of the notices.
    pub notices: u64,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The commit holds the list up to here.
    Held {
        /// How many entries are held.
        sequence: u64,
        /// The hub's number at or after that commit, where it numbers by then.
        number: Option<u64>,
    },
    /// Something before it is lacking.
    Lacking {
        /// How many entries are held.
        held: u64,
    },
    /// It was set apart.
    Quarantined {
        /// Why.
        reason: String,
    },
}

/// A row of a venue's log: what one batch added to a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// The ledger's local day, as days since 1970-01-01.
    pub day: i32,
    /// The list.
    pub writer: WriterBytes,
    /// The sequence number of the first entry, from 1.
    pub first: u64,
    /// The entries.
    pub entries: Vec<Vec<u8>>,
    /// Its device's seal over the list as far as the last of them.
    pub signature: Vec<u8>,
    /// Its device's public key.
    pub public_key: Vec<u8>,
}

impl LogRow {
    /// The sequence number of its last entry.
    pub fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }
}

/// An item of the catalogue with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// The number.
    pub number: u64,
    /// The item.
    pub item: Item,
}

/// How something stands that was asked for by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing<T> {
    /// It is this.
    Is(T),
    /// It is numbered beyond what was asked for, and comes with the pages.
    Later,
    /// There is none.
    Gone,
}

/// What the driver found.
///
/// Wherever a `number` is answered for a commit, it is one that this commit took, or that was given after it: never one
/// that stood before. A backup of just before that commit ends below it, and that is how its restoring shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The device, where it is enrolled.
    Desk(Box<KnownDesk>),
    /// The device is not enrolled, or was revoked: the answer to any need.
    NotEnrolled,
    /// The runs.
    Runs(RunTable),
    /// The device is enrolled now; or a sentence for the people at the desk that says why not.
    Enrolled(Result<Enrolled, String>),
    /// What is held of the lists, in their order.
    Held(Vec<ListPosition>),
    /// What became of each batch, in their order.
    Taken(Vec<Taken>),
    /// What became of the request. Nothing where it cannot be said yet: the desk asks again in another session.
    Answered(Option<RequestAnswer>),
    /// All units that the desk may hand out.
    Granted {
        /// The units.
        grants: Vec<GrantedUnits>,
        /// Where units were wanted: the rewards of which one was wanted now and of which none is left.
        none_left: Option<Vec<RewardId>>,
        /// The hub's number at or after that commit.
        number: Option<u64>,
    },
    /// The venue's log.
    Log {
        /// The rows, in the order of their numbers.
        rows: Vec<LogRow>,
        /// Everything up to this number is in them, or known. Where it is `from`, there is nothing more.
        reached: u64,
    },
    /// The card keys; nothing where the desk has them, or cannot be told any.
    CardKeys(Option<SealedCardKeys>),
    /// The notices.
    Notices {
        /// The notices.
        notices: Vec<SignedNotice>,
        /// Everything up to this number is in them. Where it is `from`, there is nothing more.
        to: u64,
    },
    /// The passes that must be refused. Fewer than were asked for: there are no more.
    DenyList(Vec<Numbered>),
    /// The items.
    Page {
        /// The items.
        items: Vec<Numbered>,
        /// Everything up to this number is in them. Where it is `from`, there is nothing more.
        to: u64,
        /// Nothing stands beyond them.
        last: bool,
    },
    /// How each name stands, in the order in which they were asked for.
    Items(Vec<Standing<Item>>),
    /// How each pass's sealed part stands, in the order in which they were asked for; maybe only of the first of them.
    SealedParts(Vec<Standing<SealedHolder>>),
    /// The sealed parts.
    Holders {
        /// The parts.
        parts: Vec<(PassId, SealedHolder)>,
        /// Everything up to this number is in them. Where it is `from`, there is nothing more.
        to: u64,
    },
    /// It is done.
    Done,
}

/// What moved, as far as it reaches a session's desk. A session that is told nothing asks nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The log of the desk's venue has come to this number.
    Venue(u64),
    /// The catalogue has come to this number, with something that reaches the desk's venue.
    Catalogue {
        /// The number.
        number: u64,
        /// A pass must be refused that was not before: it is told ahead of a catalogue that is under way.
        urgent: bool,
    },
    /// The sealed parts have come to this number.
    Holders(u64),
    /// The notices have come to this number.
    Notices(u64),
    /// What the desk may hand out may have changed.
    Grants,
    /// The card keys may have changed.
    CardKeys,
    /// The device was revoked.
    Revoked,
    /// Another run of the database was opened. To be told before an answer holds a number beyond its beginning.
    Run(Version),
    /// Whether another daemon uses the desk's key, too.
    UsedTwice(bool),
    /// The hub cannot store anything now, and says why in a sentence for the people at the desk.
    CannotStore(String),
    /// The hub stops. Its desks come again.
    Stopping,
}

/// The hub's clock, as the driver reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubClock {
    /// What it shows.
    pub wall: UnixMillis,
    /// The hub doubts it.
    pub doubtful: bool,
}
