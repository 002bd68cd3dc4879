//! What was said in one session, for as long as it lasts.

use std::collections::BTreeMap;

use crdt_model::ids::Writer;
use jiff::civil::Date;

use super::Peer;

/// What was said in one session. The link owns it, and begins with another one when it connects again: what a peer
/// said in an earlier session is no longer its word.
#[derive(Debug)]
pub struct Session {
    peer: Peer,
    /// The version of the venue that the peer had when the session began.
    venue_version: Option<u64>,
    /// The peer has said which units it has granted.
    grants_listed: bool,
    /// How many entries of some lists the peer has.
    held: BTreeMap<(Date, Writer), u64>,
}

impl Session {
    /// A session with this peer in which nothing was said yet.
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer, venue_version: None, grants_listed: false, held: BTreeMap::new() }
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// The peer welcomed this desk, and has this version of the venue.
    pub(crate) fn welcomed(&mut self, venue_version: u64) {
        self.venue_version = Some(venue_version);
        self.grants_listed = false;
        self.held.clear();
    }

    /// The peer has said which units it has granted.
    pub(crate) fn grants_listed(&mut self) {
        self.grants_listed = true;
    }

    /// Whether the peer has said all that it had when the session began: the entries of the venue, of which those up to
    /// `shared` are here, and the grants that are listed behind them.
    pub(crate) fn has_said_all(&self, shared: u64) -> bool {
        self.grants_listed && self.venue_version.is_some_and(|all| shared >= all)
    }

    /// The peer has so many entries of this list.
    pub(crate) fn note_held(&mut self, day: Date, writer: Writer, held: u64) {
        let known = self.held.entry((day, writer)).or_default();
        *known = held.max(*known);
    }

    /// How many entries of this list the peer has, as far as it has said so.
    pub(crate) fn held(&self, day: Date, writer: &Writer) -> Option<u64> {
        self.held.get(&(day, *writer)).copied()
    }
}
