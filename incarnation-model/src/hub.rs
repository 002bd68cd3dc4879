//! What a hub stores, and how it finds out that it was restored.

use crate::design::{Design, Fault};
use crate::desk::Pair;

/// Catalogue items. The first one stands for a pass that the deny list may name.
pub const ITEMS: usize = 2;

/// A catalogue item as the hub has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Row {
    /// What it says; 0 is an item that does not exist.
    pub content: u8,
    /// Its number; 0 where it is not numbered yet, or does not exist.
    pub version: u8,
}

/// An entry of a venue's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogRow {
    /// Whose entry it is.
    pub desk: usize,
    /// Its place in the desk's list, from 1.
    pub place: u8,
    /// Its number; 0 where it is not numbered yet.
    pub version: u8,
}

/// The unit, in the hands of one desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grant {
    /// Unlike any other grant's, also across restores.
    pub id: u8,
    /// To whom.
    pub desk: usize,
    /// Whether the desk may hand it out, or has.
    pub active: bool,
}

/// A run of the hub: its random id, and the counter as it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    /// Random, so never drawn twice.
    pub id: u8,
    /// Greater numbers are this run's.
    pub begins: u8,
}

/// The database: what a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Database {
    /// The runs, the oldest first.
    pub runs: Vec<Run>,
    /// The highest number given.
    pub counter: u8,
    /// The catalogue.
    pub items: [Row; ITEMS],
    /// The entries that it has of each desk.
    pub entries: [u8; 2],
    /// The venue's log, in the order of commit.
    pub log: Vec<LogRow>,
    /// All grants ever given.
    pub grants: Vec<Grant>,
    /// Each desk's request: the pass that was made.
    pub requests: [Option<u8>; 2],
    /// The next pass id.
    pub next_pass: u8,
    /// Whether the second desk is revoked.
    pub revoked: bool,
    /// Which desks have not been heard since the hub learned that it was restored.
    pub held: [bool; 2],
}

/// The journal outside the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Journal {
    /// The ids of all runs opened.
    pub runs: Vec<u8>,
    /// All grants given.
    pub grants: Vec<Grant>,
    /// Whether the second desk was revoked.
    pub revoked: bool,
    /// No pass id beyond this one was given.
    pub pass_ceiling: u8,
}

/// What the hub's process knows, and loses when it stops.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// The run that this process opened.
    pub run: u8,
    /// The counter as this process saw it last.
    pub seen: u8,
    /// Whether the wall clock jumped against the steady one.
    pub clock_jumped: bool,
}

/// Numbers that no restore brings back: stands for randomness.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Fresh {
    /// The last run's id.
    pub run: u8,
    /// The last content.
    pub content: u8,
    /// The last grant's id.
    pub grant: u8,
    /// The last pass id.
    pub pass: u8,
}

/// A hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hub {
    /// The database.
    pub db: Database,
    /// The journal.
    pub journal: Journal,
    /// The process.
    pub memory: Memory,
    /// Randomness.
    pub fresh: Fresh,
    /// Whether it was restored and has not learned so. The hub itself does not know this.
    pub unaware: bool,
}

impl Hub {
    /// A hub at its first start, with one item.
    pub fn new(design: Design) -> Self {
        let mut hub = Self {
            db: Database {
                runs: Vec::new(),
                counter: 1,
                items: [Row { content: 1, version: 1 }, Row::default()],
                entries: [0, 0],
                log: Vec::new(),
                grants: Vec::new(),
                requests: [None, None],
                next_pass: 1,
                revoked: false,
                held: [false, false],
            },
            journal: Journal::default(),
            memory: Memory::default(),
            fresh: Fresh { run: 0, content: 1, grant: 0, pass: 0 },
            unaware: false,
        };
        hub.start(design);
        hub.db.held = [false, false];
        hub
    }

    /// A start of the process.
    pub fn start(&mut self, design: Design) {
        self.memory = Memory::default();
        let lost = self.compare_with_journal();
        self.open_run();
        if lost || design.held_at_every_start {
            self.learn(design);
        }
    }

    fn open_run(&mut self) {
        self.fresh.run += 1;
        let run = Run { id: self.fresh.run, begins: self.db.counter };
        self.journal.runs.push(run.id);
        self.db.runs.push(run);
        self.memory = Memory { run: run.id, seen: self.db.counter, clock_jumped: false };
    }

    /// Does again what the journal has and the database lacks; says whether there was anything.
    fn compare_with_journal(&mut self) -> bool {
        let mut lost = self.journal.runs.iter().any(|id| !self.db.runs.iter().any(|r| r.id == *id));
        for grant in &self.journal.grants {
            if !self.db.grants.iter().any(|known| known.id == grant.id) {
                self.db.grants.push(*grant);
                lost = true;
            }
        }
        if self.journal.revoked && !self.db.revoked {
            self.db.revoked = true;
            lost = true;
        }
        self.db.next_pass = self.db.next_pass.max(self.journal.pass_ceiling + 1);
        lost
    }

    /// The hub knows that it was restored: every desk is on hold until it has stated its grants.
    pub fn learn(&mut self, design: Design) {
        self.unaware = false;
        if !design.has(Fault::NothingHeld) {
            self.db.held = [true, !self.db.revoked];
        }
    }

    /// Whether the database was replaced under this process.
    pub fn replaced(&self, design: Design) -> bool {
        let own = self.db.runs.iter().any(|run| run.id == self.memory.run);
        let backwards = self.db.counter < self.memory.seen && !design.has(Fault::OwnRunOnly);
        !own || backwards || (self.memory.clock_jumped && !design.has(Fault::ClockUnwatched))
    }

    /// What stands before every write: where the database was replaced under this process, another
    /// run is opened, and all sessions are over.
    pub fn guard(&mut self, design: Design) -> bool {
        let replaced = self.replaced(design);
        if replaced {
            self.compare_with_journal();
            self.open_run();
            self.learn(design);
        }
        replaced
    }

    /// Numbers what is not numbered yet, in the order of commit. The caller has called [`Hub::guard`].
    pub fn number(&mut self) {
        for row in &mut self.db.items {
            if row.content > 0 && row.version == 0 {
                self.db.counter += 1;
                row.version = self.db.counter;
            }
        }
        for row in &mut self.db.log {
            if row.version == 0 {
                self.db.counter += 1;
                row.version = self.db.counter;
            }
        }
        self.memory.seen = self.memory.seen.max(self.db.counter);
    }

    /// A number for something that is told and is not in the feed: a grant, an answer. Without the
    /// rule that `unless` stands for it is told with the counter as it stands.
    pub fn number_of_its_own(&mut self, design: Design, unless: Fault) -> u8 {
        if !design.has(unless) {
            self.number();
            self.db.counter += 1;
            self.memory.seen = self.db.counter;
        }
        self.db.counter
    }

    fn end_of(&self, run: u8) -> Option<u8> {
        let at = self.db.runs.iter().position(|known| known.id == run)?;
        Some(self.db.runs.get(at + 1).map_or(self.db.counter, |next| next.begins))
    }

    /// The number from which a list goes on, and whether its first pair is lost here.
    pub fn locate(&self, design: Design, list: &[Pair]) -> (u8, bool) {
        if design.has(Fault::RunIgnored) {
            let number = list.first().map_or(0, |pair| pair.number);
            return (number.min(self.db.counter), number > self.db.counter);
        }
        for (at, pair) in list.iter().enumerate() {
            if let Some(end) = self.end_of(pair.run) {
                return (pair.number.min(end), at > 0 || pair.number > end);
            }
        }
        (0, !list.is_empty())
    }

    /// Commits the entries that a list has beyond the hub's. A list with a gap adds nothing.
    pub fn take(&mut self, desk: usize, from: u8, up_to: u8) {
        if from > self.db.entries[desk] {
            return;
        }
        for place in self.db.entries[desk] + 1..=up_to {
            self.db.log.push(LogRow { desk, place, version: 0 });
        }
        self.db.entries[desk] = self.db.entries[desk].max(up_to);
    }

    /// All that this desk may hand out: what it has, or the unit, where it is free and nobody is on
    /// hold.
    pub fn grant(&mut self, desk: usize) -> Option<u8> {
        if let Some(own) = self.db.grants.iter().find(|grant| grant.active && grant.desk == desk) {
            return Some(own.id);
        }
        if self.db.held != [false, false] || self.db.grants.iter().any(|grant| grant.active) {
            return None;
        }
        self.fresh.grant += 1;
        let grant = Grant { id: self.fresh.grant, desk, active: true };
        self.journal.grants.push(grant);
        self.db.grants.push(grant);
        Some(grant.id)
    }

    /// The second desk is revoked. The journal has it first.
    pub fn revoke(&mut self, design: Design) {
        self.journal.revoked = true;
        self.db.revoked = true;
        self.db.held[1] = false;
        self.number_of_its_own(design, Fault::RevocationsUnnumbered);
    }

    /// A desk states all that it holds.
    pub fn stated(&mut self, design: Design, desk: usize, stated: Option<u8>) {
        let known = &mut self.db.grants;
        for grant in known.iter_mut().filter(|grant| grant.desk == desk && grant.active) {
            grant.active = stated == Some(grant.id) || design.has(Fault::StatementOnlyAdds);
        }
        if let Some(id) = stated
            && !known.iter().any(|grant| grant.id == id)
        {
            let other = known.iter().any(|grant| grant.active && grant.desk != desk);
            if !other || (self.db.held[1 - desk] && !design.has(Fault::OverlapRefused)) {
                known.push(Grant { id, desk, active: true });
            }
        }
        self.db.held[desk] = false;
    }

    /// A pass id. Each run has a part of its own, so none is given twice.
    fn next_pass(&mut self, design: Design) -> u8 {
        if design.has(Fault::IdsCountOn) {
            return self.db.next_pass;
        }
        self.fresh.pass += 1;
        self.fresh.pass
    }

    /// Does a request, once; `told` is the pass that the desk was told before.
    pub fn request(&mut self, design: Design, desk: usize, told: Option<u8>) -> u8 {
        if let Some(pass) = self.db.requests[desk] {
            return pass;
        }
        let other = self.db.requests[1 - desk];
        let kept = told.filter(|told| !design.has(Fault::RequestsRenamed) && other != Some(*told));
        let pass = kept.unwrap_or_else(|| self.next_pass(design));
        self.db.next_pass = self.db.next_pass.max(pass + 1);
        self.journal.pass_ceiling = self.journal.pass_ceiling.max(pass);
        self.db.requests[desk] = Some(pass);
        pass
    }
}
