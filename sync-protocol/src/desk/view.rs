//! What a session may look at of the desk.

use crdt_model::catalogue::ItemName;
use crdt_model::ids::{VenueId, Writer};
use crdt_model::ledger::Position;
use jiff::civil::Date;

use crate::message::{Closing, Seal, StatedGrant, Wanted};
use crate::notice::SignedNotice;
use crate::request::SealedRequest;
use crate::seal::DeviceKey;
use crate::version::Seen;

/// One of this desk's own lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnList {
    /// The ledger's day.
    pub day: Date,
    /// The list.
    pub writer: Writer,
    /// How many of its entries the hub has acknowledged.
    pub acknowledged: u64,
}

/// A neighbour's list on this desk's disk, with what proves it the neighbour's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedList {
    /// The ledger's day.
    pub day: Date,
    /// The list.
    pub writer: Writer,
    /// Its device's seals that are kept, by rising sequence number. Only what lies before one of them can be said to
    /// others, so a list that came in several batches is best kept with the seal of each.
    pub seals: Vec<Seal>,
    /// Its device's public key.
    pub public_key: Vec<u8>,
}

/// What a session may look at of the desk.
pub trait DeskView {
    /// The venue.
    fn venue(&self) -> &VenueId;
    /// The desk's key.
    fn key(&self) -> &DeviceKey;
    /// Its own lists that hold entries without an acknowledgement, oldest first.
    fn pending(&self) -> Vec<OwnList>;
    /// All its own lists on the disk, oldest first.
    fn own_lists(&self) -> Vec<OwnList>;
    /// How many of its entries the hub has acknowledged, over all ledgers.
    fn acknowledged(&self) -> u64;
    /// Where a list stood at this sequence number, if it has come so far.
    fn position_at(&self, day: Date, writer: &Writer, sequence: u64) -> Option<Position>;
    /// At most `most` entries of a list, from index `from` (from 0) on.
    fn entries(&self, day: Date, writer: &Writer, from: u64, most: usize) -> Vec<Vec<u8>>;
    /// Requests that the hub has not answered, oldest first.
    fn requests(&self) -> Vec<SealedRequest> {
        Vec::new()
    }
    /// Units that the desk would like, where it runs low.
    fn wanted(&self) -> Vec<Wanted> {
        Vec::new()
    }
    /// The version of the card keys that it has.
    fn card_keys_version(&self) -> Option<u64> {
        None
    }
    /// Grants that it gives back.
    fn closings(&self) -> Vec<Closing> {
        Vec::new()
    }
    /// What the hub told it, in pairs. `None` from a desk that keeps no pairs: it goes by the versions in its
    /// [`super::DeskStart`], and never hears that a hub was restored but by how many entries it acknowledged.
    fn seen(&self) -> Option<Seen> {
        None
    }
    /// What the hub stated when it enrolled this desk.
    fn enrolled(&self) -> Option<SignedNotice> {
        None
    }
    /// Other desks' lists on the disk of which a seal is kept, oldest first.
    fn others(&self) -> Vec<SealedList> {
        Vec::new()
    }
    /// The notices that it keeps, oldest first.
    fn notices(&self) -> Vec<SignedNotice> {
        Vec::new()
    }
    /// All grants under which it may have handed out something that the hub does not know of: those that it holds, and
    /// those that it gives back and whose closing statement is not answered.
    fn stated(&self) -> Vec<StatedGrant> {
        Vec::new()
    }
    /// Requests that are kept though the hub answered them, with a number beyond this one.
    fn answered_beyond(&self, _number: u64) -> Vec<SealedRequest> {
        Vec::new()
    }
    /// The names of all items of the catalogue that came with a stamp beyond `catalogue`, and of all passes whose
    /// sealed part came with a stamp beyond `holders`.
    fn names_beyond(&self, _catalogue: u64, _holders: u64) -> Vec<ItemName> {
        Vec::new()
    }
}
