//! What must hold.

use crate::design::Restore;
use crate::desk::{Desk, Request};
use crate::world::{Model, World};

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Broken {
    /// One unit was in the hands of two desks (invariant 5).
    UnitTwice,
    /// A revoked desk has a session (invariant 7).
    RevokedServed,
    /// A hub that knows what happened to it says that there is nothing new to a desk that lacks
    /// something: a session may last for weeks.
    Misled,
    /// A desk's items are not the hub's.
    Items,
    /// The hub does not have the entries that desks hold, or a desk those of its neighbour.
    Entries,
    /// A desk shows entries as pending that the hub has, or the other way round.
    Pending,
    /// A request that a desk was told is done is not done, or two requests made one pass.
    Requests,
    /// A desk was told of one pass, and the hub has another.
    OtherPass,
    /// A revoked desk is let in again, though journal or a desk knows better.
    RevokedForgotten,
    /// The hub waits for a desk that was there.
    StillHeld,
    /// The hub's book of grants is not what the desks hold.
    Grants,
}

/// What is broken in this state, for whatever may come.
pub fn broken_now(model: &Model, world: &World) -> Option<Broken> {
    let lost = matches!(model.bounds.restore, Restore::WholeFolder | Restore::Machine);
    let unaware = lost && world.granted_unaware && !model.design.strict;
    if world.desks.iter().all(Desk::had_unit) && !unaware {
        return Some(Broken::UnitTwice);
    }
    if !world.hub.unaware && world.sessions.iter().flatten().any(|session| session.misled) {
        return Some(Broken::Misled);
    }
    (world.hub.db.revoked
        && world.sessions[1].is_some()
        && world.was_revoked
        && revoked_served(world))
    .then_some(Broken::RevokedServed)
}

fn revoked_served(world: &World) -> bool {
    use crate::session::{Down, Message, Up};
    // A refusal, and the question that it answers, are no service.
    !matches!(
        world.sessions[1].as_ref().map(|session| &session.wire),
        None | Some(Message::Up(Up::Hello) | Message::Down(Down::Refused))
    )
}

/// What is broken once faults have stopped and all desks that are left had their sessions.
pub fn broken_at_rest(model: &Model, world: &World) -> Option<Broken> {
    let rest = model.settle(world);
    let db = &rest.hub.db;
    let live = |at: usize| !rest.desks[at].gone && (at == 0 || !db.revoked);
    let lost = matches!(model.bounds.restore, Restore::WholeFolder | Restore::Machine);
    for at in [0, 1] {
        let desk = &rest.desks[at];
        if db.entries[at] < rest.desks[1 - at].other {
            return Some(Broken::Entries);
        }
        if !live(at) {
            continue;
        }
        if (0..db.items.len()).any(|item| desk.items[item].content != db.items[item].content) {
            return Some(Broken::Items);
        }
        if db.entries[at] != desk.own || desk.other != db.entries[1 - at] {
            return Some(Broken::Entries);
        }
        if desk.acknowledged != desk.own {
            return Some(Broken::Pending);
        }
        match desk.request {
            Request::None => {}
            Request::Waiting => return Some(Broken::Requests),
            Request::Answered { pass, .. } => match db.requests[at] {
                None => return Some(Broken::Requests),
                Some(made) if made != pass => {
                    return Some(Broken::OtherPass);
                }
                Some(_) => {}
            },
        }
        if db.held[at] {
            return Some(Broken::StillHeld);
        }
        let book: Vec<u8> =
            db.grants.iter().filter(|g| g.active && g.desk == at).map(|g| g.id).collect();
        let unaware = lost && rest.granted_unaware && !model.design.strict;
        if !unaware && book != desk.grant.into_iter().collect::<Vec<_>>() {
            return Some(Broken::Grants);
        }
    }
    if db.requests[0].is_some() && db.requests[0] == db.requests[1] {
        return Some(Broken::Requests);
    }
    let known = (!lost && rest.was_revoked) || rest.desks[0].knows_revoked;
    (known && !db.revoked).then_some(Broken::RevokedForgotten)
}
