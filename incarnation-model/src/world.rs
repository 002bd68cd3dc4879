//! What may happen, in which order.

use crate::design::{Bounds, Design, Fault, Restore};
use crate::desk::{Desk, Request};
use crate::hub::{Database, Hub, ITEMS, Journal, Memory};
use crate::session::{Goes, Session};

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// The hub changes an item; the change is not numbered yet.
    Change(usize),
    /// The hub numbers what is not numbered.
    Number,
    /// A desk writes an entry.
    Tap(usize),
    /// A desk runs low.
    Want(usize),
    /// A desk hands its unit out.
    HandOut(usize),
    /// A desk is to give its unit back.
    Close(usize),
    /// A desk makes a request.
    Ask(usize),
    /// An operator revokes the second desk.
    Revoke,
    /// The second desk burns.
    Vanish,
    /// A desk connects.
    Connect(usize),
    /// What is on its way arrives.
    Deliver(usize),
    /// A line breaks, or a desk restarts.
    Cut(usize),
    /// The backup is taken.
    Backup,
    /// The hub becomes what the backup holds.
    Restore,
    /// The hub restarts.
    Restart,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Backup {
    db: Database,
    journal: Journal,
    memory: Memory,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The hub.
    pub hub: Hub,
    /// The desks.
    pub desks: [Desk; 2],
    /// Their sessions.
    pub sessions: [Option<Session>; 2],
    /// The backup.
    pub backup: Option<Backup>,
    /// What is left of the bounds.
    pub left: Bounds,
    /// Whether the second desk was ever revoked.
    pub was_revoked: bool,
    /// Whether the hub granted the unit after a restore of which nothing told it.
    pub granted_unaware: bool,
}

/// The model.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// The rules.
    pub design: Design,
    /// What may happen how often.
    pub bounds: Bounds,
}

impl Model {
    /// The first state.
    pub fn start(&self) -> World {
        let mut world = World {
            hub: Hub::new(self.design),
            desks: [Desk::default(), Desk::default()],
            sessions: [None, None],
            backup: None,
            left: self.bounds,
            was_revoked: false,
            granted_unaware: false,
        };
        // Both desks are up to date: what happens before is not the subject.
        for desk in [0, 1] {
            self.full_session(&mut world, desk);
        }
        world
    }

    /// What may happen now.
    pub fn acts(&self, world: &World) -> Vec<Act> {
        let mut acts = Vec::new();
        let left = &world.left;
        if left.changes > 0 {
            acts.extend((0..ITEMS).map(Act::Change));
        }
        if world.hub.db.items.iter().any(|row| row.content > 0 && row.version == 0)
            || world.hub.db.log.iter().any(|row| row.version == 0)
        {
            acts.push(Act::Number);
        }
        for at in [0, 1] {
            let desk = &world.desks[at];
            if world.sessions[at].is_some() {
                acts.push(Act::Deliver(at));
                if left.cuts > 0 {
                    acts.push(Act::Cut(at));
                }
            }
            if desk.gone {
                continue;
            }
            if left.taps[at] > 0 {
                acts.push(Act::Tap(at));
            }
            if left.wants[at] > 0 && !desk.wants && !desk.had_unit() {
                acts.push(Act::Want(at));
            }
            if desk.grant.is_some() && desk.had_unit() && !desk.used {
                acts.push(Act::HandOut(at));
                if left.closings > 0 {
                    acts.push(Act::Close(at));
                }
            }
            if left.requests[at] {
                acts.push(Act::Ask(at));
            }
            let other = world.sessions[1 - at].is_some();
            if world.sessions[at].is_none()
                && (left.together || !other)
                && self.has_reason_to_connect(world, at)
            {
                acts.push(Act::Connect(at));
            }
        }
        if left.revocation && !world.hub.db.revoked {
            acts.push(Act::Revoke);
        }
        if left.vanishing {
            acts.push(Act::Vanish);
        }
        if world.backup.is_none() && left.restores > 0 {
            acts.push(Act::Backup);
        }
        if world.backup.is_some() && left.restores > 0 {
            acts.push(Act::Restore);
        }
        if left.restarts > 0 {
            acts.push(Act::Restart);
        }
        acts
    }

    /// Sessions that would say nothing new are left out: they change nothing.
    fn has_reason_to_connect(&self, world: &World, at: usize) -> bool {
        let mut after = world.clone();
        self.full_session(&mut after, at);
        after != *world
    }

    /// What happens.
    pub fn act(&self, world: &mut World, act: Act) {
        let design = self.design;
        match act {
            Act::Change(item) => {
                world.left.changes -= 1;
                if !design.has(Fault::WritesUnguarded) {
                    self.guard(world);
                }
                world.hub.fresh.content += 1;
                world.hub.db.items[item].content = world.hub.fresh.content;
                world.hub.db.items[item].version = 0;
            }
            Act::Number => {
                self.guard(world);
                world.hub.number();
            }
            Act::Tap(at) => {
                world.left.taps[at] -= 1;
                world.desks[at].own += 1;
            }
            Act::Want(at) => {
                world.left.wants[at] -= 1;
                world.desks[at].wants = true;
            }
            Act::HandOut(at) => world.desks[at].used = true,
            Act::Close(at) => {
                world.left.closings -= 1;
                world.desks[at].closing = true;
            }
            Act::Ask(at) => {
                world.left.requests[at] = false;
                world.desks[at].request = Request::Waiting;
            }
            Act::Revoke => {
                world.left.revocation = false;
                self.guard(world);
                world.hub.revoke(design);
                world.was_revoked = true;
                world.sessions[1] = None;
            }
            Act::Vanish => {
                world.left.vanishing = false;
                world.desks[1].gone = true;
                world.sessions[1] = None;
            }
            Act::Connect(at) => world.sessions[at] = Some(Session::new()),
            Act::Deliver(at) => self.deliver(world, at),
            Act::Cut(at) => {
                world.left.cuts -= 1;
                world.sessions[at] = None;
            }
            Act::Backup => {
                let Hub { db, journal, memory, .. } = world.hub.clone();
                world.backup = Some(Backup { db, journal, memory });
            }
            Act::Restore => self.restore(world),
            Act::Restart => {
                world.left.restarts -= 1;
                world.sessions = [None, None];
                world.hub.start(design);
            }
        }
    }

    fn restore(&self, world: &mut World) {
        let Some(backup) = world.backup.clone() else { return };
        world.left.restores -= 1;
        world.hub.db = backup.db;
        world.hub.unaware = true;
        match world.left.restore {
            Restore::Database => {
                world.sessions = [None, None];
                world.hub.start(self.design);
            }
            Restore::UnderRunningHub => {}
            Restore::WholeFolder => {
                world.sessions = [None, None];
                world.hub.journal = backup.journal;
                world.hub.start(self.design);
            }
            Restore::Machine => {
                world.sessions = [None, None];
                world.hub.journal = backup.journal;
                world.hub.memory = Memory { clock_jumped: true, ..backup.memory };
            }
        }
    }

    fn guard(&self, world: &mut World) {
        if world.hub.guard(self.design) && !self.design.has(Fault::SessionsGoOn) {
            world.sessions = [None, None];
        }
    }

    fn deliver(&self, world: &mut World, at: usize) {
        let Some(mut session) = world.sessions[at].take() else { return };
        let before = world.hub.fresh.grant;
        let goes = session.deliver(self.design, &mut world.hub, at, &mut world.desks[at]);
        world.granted_unaware |= world.hub.unaware && world.hub.fresh.grant > before;
        match goes {
            Goes::On => world.sessions[at] = Some(session),
            Goes::Over => {}
            Goes::AllOver if self.design.has(Fault::SessionsGoOn) => {
                world.sessions[at] = Some(session);
            }
            Goes::AllOver => world.sessions = [None, None],
        }
        if world.hub.db.revoked && at == 0 {
            world.sessions[1] = None;
        }
    }

    /// A desk connects and nothing breaks, until there is nothing left to say.
    pub fn full_session(&self, world: &mut World, at: usize) {
        world.sessions[at] = Some(Session::new());
        // No session of this model needs more messages.
        for _ in 0..100 {
            if world.sessions[at].is_none() {
                return;
            }
            self.deliver(world, at);
        }
        panic!("a session does not end");
    }

    /// Faults stop: the hub numbers what it has, and each desk that is left has full sessions: one to
    /// say what it holds, one to hear what the other said, one more where the hub learned meanwhile.
    pub fn settle(&self, world: &World) -> World {
        let mut world = world.clone();
        world.sessions = [None, None];
        for _ in 0..3 {
            self.guard(&mut world);
            world.hub.number();
            for at in [0, 1] {
                if !world.desks[at].gone {
                    self.full_session(&mut world, at);
                }
            }
        }
        world
    }
}
