//! The links of this desk, each with what is to be seen of it. What is said on one link overwrites nothing that was
//! said on another; what the desk shows and decides by it derives from all of them.
//!
//! What only the link needs, for as long as one session lasts, is the link's own: [`Session`].

mod session;

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::ids::{DeviceId, RewardId};
use crdt_model::time::UnixMillis;

pub use self::session::Session;
use desk_api::types::HubLink;

/// Who is at the other end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The hub.
    Hub,
    /// Another desk of the venue.
    Neighbour(DeviceId),
}

/// Whether what is said in a session is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Keeping {
    /// There is no session.
    #[default]
    NoSession,
    /// It is.
    Kept,
    /// Something could not be kept, and what comes after it would hide that it is lacking.
    Missed,
    /// As before, and the session is to end, so that another begins.
    Ending,
}

/// What is to be seen of one link.
#[derive(Debug)]
struct Link {
    state: HubLink,
    since: UnixMillis,
    keeping: Keeping,
    /// In this session it was said that the catalogue here is all there is.
    confirmed: bool,
    /// Limited rewards of which it was said in this session that none is left.
    none_left: BTreeSet<RewardId>,
    /// In this session it was said that a list there is not the one on this disk.
    diverged: bool,
    /// It was said last that another daemon uses this desk's key, too.
    used_twice: bool,
}

/// How a link ended or began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// It stands otherwise than before.
    pub(crate) changed: bool,
    /// It stood until now, and until now the catalogue here was known to be all there is.
    pub(crate) was_confirmed: bool,
}

/// All links.
#[derive(Debug)]
pub(crate) struct Links {
    hub: Link,
    neighbours: BTreeMap<DeviceId, Link>,
    /// Counts up where the sessions must end, so that others begin.
    sessions: u64,
}

impl Default for Links {
    fn default() -> Self {
        let hub = Link::offline("the desk has just started");
        Self { hub, neighbours: BTreeMap::new(), sessions: 0 }
    }
}

impl Link {
    fn offline(why: &str) -> Self {
        Self {
            state: HubLink::Offline { why: why.to_owned() },
            since: UnixMillis(0),
            keeping: Keeping::NoSession,
            confirmed: false,
            none_left: BTreeSet::new(),
            diverged: false,
            used_twice: false,
        }
    }
}

impl Links {
    fn link(&mut self, peer: Peer) -> &mut Link {
        let never = || Link::offline("there was no link yet");
        match peer {
            Peer::Hub => &mut self.hub,
            Peer::Neighbour(device) => self.neighbours.entry(device).or_insert_with(never),
        }
    }

    fn of(&self, peer: Peer) -> Option<&Link> {
        match peer {
            Peer::Hub => Some(&self.hub),
            Peer::Neighbour(device) => self.neighbours.get(&device),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Link> {
        std::iter::once(&self.hub).chain(self.neighbours.values())
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        std::iter::once(&mut self.hub).chain(self.neighbours.values_mut())
    }

    /// The desk has started at this time.
    pub(crate) fn start_at(&mut self, now: UnixMillis) {
        self.hub.since = now;
    }

    /// How a link stands from now on.
    pub(crate) fn set(&mut self, peer: Peer, state: HubLink, now: UnixMillis) -> Turn {
        let link = self.link(peer);
        let stands = state == HubLink::Connected;
        let mut turn = Turn { changed: link.state != state, was_confirmed: false };
        if !stands {
            // What was said last may be otherwise when the peer is back.
            turn.was_confirmed = std::mem::take(&mut link.confirmed);
            link.keeping = Keeping::NoSession;
            link.none_left.clear();
        }
        if std::mem::discriminant(&link.state) != std::mem::discriminant(&state) {
            link.since = now;
        }
        link.state = state;
        turn
    }

    /// How the link to the hub stands, and since when.
    pub(crate) fn hub(&self) -> (&HubLink, UnixMillis) {
        (&self.hub.state, self.hub.since)
    }

    /// Whether this link stands.
    pub(crate) fn stands(&self, peer: Peer) -> bool {
        self.of(peer).is_some_and(|link| link.state == HubLink::Connected)
    }

    /// A session begins on this link. `keeps` says whether what is said in it can be kept.
    pub(crate) fn begin(&mut self, peer: Peer, keeps: bool) {
        self.link(peer).keeping = if keeps { Keeping::Kept } else { Keeping::Missed };
    }

    /// Whether what is said in this link's session is kept.
    pub(crate) fn keeps(&self, peer: Peer) -> bool {
        self.of(peer).is_some_and(|link| link.keeping == Keeping::Kept)
    }

    /// Whether something that was said in a session could not be kept.
    pub(crate) fn missed(&self) -> bool {
        self.all().any(|link| link.keeping == Keeping::Missed)
    }

    /// From here on nothing of what is said is kept, until other sessions begin.
    pub(crate) fn stop_keeping(&mut self) {
        for link in self.all_mut() {
            link.confirmed = false;
            if link.keeping == Keeping::Kept {
                link.keeping = Keeping::Missed;
            }
        }
    }

    /// Ends the sessions, so that others begin.
    pub(crate) fn begin_others(&mut self) {
        self.sessions += 1;
        for link in self.all_mut() {
            if link.keeping != Keeping::NoSession {
                link.keeping = Keeping::Ending;
            }
        }
    }

    /// Which sessions are the current ones: where the number changes, a session ends and another begins.
    pub(crate) fn sessions(&self) -> u64 {
        self.sessions
    }

    /// It is said on this link that the catalogue here is all there is.
    pub(crate) fn confirm(&mut self, peer: Peer) {
        self.link(peer).confirmed = true;
    }

    /// Whether somebody who is linked says that the catalogue here is all there is.
    pub(crate) fn confirmed(&self) -> bool {
        self.all().any(|link| link.confirmed && link.state == HubLink::Connected)
    }

    /// Limited rewards of which the hub says that none is left.
    pub(crate) fn none_left(&self) -> &BTreeSet<RewardId> {
        &self.hub.none_left
    }

    /// The same, to be brought up to date.
    pub(crate) fn none_left_mut(&mut self, peer: Peer) -> &mut BTreeSet<RewardId> {
        &mut self.link(peer).none_left
    }

    /// Whether a list there is another than the one on this disk.
    pub(crate) fn set_diverged(&mut self, peer: Peer, diverged: bool) {
        self.link(peer).diverged = diverged;
    }

    /// It is said on this link whether another daemon uses this desk's key, too. Says whether that is news.
    pub(crate) fn set_used_twice(&mut self, peer: Peer, used_twice: bool) -> bool {
        let before = std::mem::replace(&mut self.link(peer).used_twice, used_twice);
        used_twice && !before
    }

    /// Whether anybody says that this desk's name is used twice.
    pub(crate) fn name_used_twice(&self) -> bool {
        self.all().any(|link| link.diverged || link.used_twice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEIGHBOUR: Peer = Peer::Neighbour(DeviceId([2; 16]));

    fn both() -> Links {
        let mut links = Links::default();
        for peer in [Peer::Hub, NEIGHBOUR] {
            links.begin(peer, true);
            links.set(peer, HubLink::Connected, UnixMillis(5));
        }
        links
    }

    fn offline() -> HubLink {
        HubLink::Offline { why: "the line broke".to_owned() }
    }

    #[test]
    fn what_ends_with_one_link_stands_on_the_other() {
        let mut links = both();
        links.confirm(Peer::Hub);
        links.none_left_mut(Peer::Hub).insert(RewardId(1));
        links.set_diverged(Peer::Hub, true);
        let turn = links.set(NEIGHBOUR, offline(), UnixMillis(9));
        assert_eq!(turn, Turn { changed: true, was_confirmed: false });
        assert_eq!(links.hub(), (&HubLink::Connected, UnixMillis(5)));
        assert!(links.confirmed() && links.keeps(Peer::Hub) && links.name_used_twice());
        assert!(links.none_left().contains(&RewardId(1)) && !links.keeps(NEIGHBOUR));
        let turn = links.set(Peer::Hub, offline(), UnixMillis(10));
        assert_eq!(turn, Turn { changed: true, was_confirmed: true });
        assert!(!links.confirmed() && links.none_left().is_empty());
    }

    /// A second link that begins must not hide that something said on the first one is lacking.
    #[test]
    fn a_session_that_begins_does_not_make_another_one_whole() {
        let mut links = both();
        links.stop_keeping();
        assert!(!links.keeps(Peer::Hub) && !links.keeps(NEIGHBOUR));
        links.begin(NEIGHBOUR, true);
        assert!(links.keeps(NEIGHBOUR) && !links.keeps(Peer::Hub) && links.missed());
        let before = links.sessions();
        links.begin_others();
        assert_ne!(links.sessions(), before);
        assert!(!links.keeps(Peer::Hub) && !links.missed(), "it ends, and is not told so again");
        links.begin(Peer::Hub, true);
        assert!(links.keeps(Peer::Hub));
    }

    #[test]
    fn a_link_has_been_so_since_its_kind_changed() {
        let mut links = both();
        links.set(Peer::Hub, offline(), UnixMillis(7));
        let again = HubLink::Offline { why: "nobody answers".to_owned() };
        assert!(links.set(Peer::Hub, again.clone(), UnixMillis(8)).changed);
        assert_eq!(links.hub(), (&again, UnixMillis(7)));
        assert!(!links.set(Peer::Hub, again, UnixMillis(9)).changed);
    }

    #[test]
    fn a_name_is_used_twice_for_as_long_as_anybody_says_so() {
        let mut links = both();
        assert!(links.set_used_twice(Peer::Hub, true));
        assert!(!links.set_used_twice(Peer::Hub, true), "it was said before");
        links.set_used_twice(NEIGHBOUR, false);
        assert!(links.name_used_twice());
        links.set_used_twice(Peer::Hub, false);
        assert!(!links.name_used_twice());
    }
}
