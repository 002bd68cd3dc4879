//! The world: a hub, desks, the links between them, and everything that may happen to these.

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{ActivityId, PassId, RewardId};
use crdt_model::ledger::Ledger;
use crdt_model::time::{Calendar, UnixMillis, date_of_day_number, day_number};
use jiff::civil::Date;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sync_protocol::desk::DeskView;
use sync_protocol::request::RequestId;

use crate::desk::{Desk, Disk};
use crate::hub::{Committed, Crashed, Hub, Planted, Session, account};
use crate::link::Link;

/// Steps before the world is healed.
const STEPS: usize = 120;

/// Steps in which a healed world must come to rest.
const REST: usize = 200;

/// Two days, so that several ledgers are under way.
const DAYS: [Date; 2] = [Date::constant(2026, 11, 20), Date::constant(2026, 11, 21)];

/// Noon, Brussels time, on the second day.
const NOON: i64 = 1_795_258_800_000;

/// Passes that the desks of an eventful world see: few, so that desks meet on their accounts.
const PASSES: u64 = 8;

/// What may happen beside the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backups {
    /// The hub never loses what it committed.
    Never,
    /// It is sometimes restored from an older backup.
    Restored,
}

pub(crate) struct World {
    random: ChaCha8Rng,
    backups: Backups,
    desks: Vec<Desk>,
    images: Vec<Disk>,
    hub: Hub,
    backup: Committed,
    /// The hub was restored from a backup.
    hub_lost: bool,
    links: Vec<Link>,
    clock: i64,
}

impl World {
    pub(crate) fn new(seed: u64, backups: Backups, planted: Planted) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count: u8 = random.random_range(2..=4);
        Self {
            backups,
            desks: (0..count).map(Desk::new).collect(),
            images: vec![Disk::default(); usize::from(count)],
            hub: Hub::new(planted),
            backup: Committed::default(),
            hub_lost: false,
            links: Vec::new(),
            clock: NOON,
            random,
        }
    }

    /// One desk, and nothing ever happens to it.
    pub(crate) fn quiet() -> Self {
        let mut world = Self::new(0, Backups::Never, Planted::Nothing);
        world.desks.truncate(1);
        world
    }

    pub(crate) fn run(mut self) {
        for _ in 0..STEPS {
            self.step();
            self.check_acknowledgements();
        }
        self.settle();
        // Whatever a desk learnt last, its next hello may say: nothing must come of it.
        self.reconnect_all();
        self.settle();
        self.check();
    }

    fn step(&mut self) {
        let desk = self.random.random_range(0..self.desks.len());
        match self.random.random_range(0..102) {
            100..102 => {
                let id = RequestId(self.random.random());
                self.desks[desk].ask(id);
            }
            0..32 => {
                let entries = self.random.random_range(1..4);
                self.append(desk, entries);
            }
            32..40 => self.connect(desk),
            40..78 => self.deliver_something(),
            78..82 => self.cut_something(),
            82..85 => self.repeat_something(),
            85..87 => self.desks[desk].crash(true),
            87..89 => self.desks[desk].crash(false),
            89..91 => self.images[desk] = self.desks[desk].disk.clone(),
            91..92 => {
                let image = self.images[desk].clone();
                self.desks[desk].restore(&image);
            }
            // The hub goes down: all connections end, what was committed stays.
            92..94 => {
                self.hub.start();
                self.links.clear();
            }
            94..96 => {
                let (id, points) =
                    (self.random.random_range(0..10), self.random.random_range(1..9));
                self.hub.change_activity(id, points);
            }
            96..98 => {
                if let Some(place) = self.some_link() {
                    let link = &mut self.links[place];
                    let stream =
                        if self.random.random_bool(0.5) { &mut link.up } else { &mut link.down };
                    stream.dead = true;
                }
            }
            98 => self.backup = self.hub.committed.clone(),
            99 if self.backups == Backups::Never => {}
            _ => {
                self.hub.restore(&self.backup);
                self.hub_lost = true;
                self.links.clear();
            }
        }
        for (place, desk) in self.desks.iter().enumerate() {
            if desk.session.is_none() {
                for link in self.links.iter_mut().filter(|link| link.desk == place) {
                    link.listened_to = false;
                }
            }
        }
    }

    pub(crate) fn append(&mut self, desk: usize, entries: usize) {
        for _ in 0..entries {
            self.clock += self.random.random_range(1..60_000);
            let day = DAYS[self.random.random_range(0..DAYS.len())];
            let passes = if self.desks.len() == 1 { 500_000 } else { PASSES };
            let pass = Subject::Pass(PassId(self.random.random_range(0..passes)));
            let (subject, fact) = match self.random.random_range(0..10) {
                0..7 => (pass, Fact::CheckIn { activity: ActivityId(1), points: 1 }),
                7 => (pass, Fact::Redemption { reward: RewardId(1), points: 3, unit: None }),
                _ => self.a_void(desk).unwrap_or((pass, Fact::Visit)),
            };
            let entry = Entry { at: UnixMillis(self.clock), subject, fact };
            self.desks[desk].append(day, &entry);
        }
    }

    /// Takes back something that this desk has on its disk, its own or another desk's.
    fn a_void(&mut self, desk: usize) -> Option<(Subject, Fact)> {
        let day = DAYS[self.random.random_range(0..DAYS.len())];
        let ledger = self.desks[desk].disk.ledgers.get(&day)?;
        let writers: Vec<_> = ledger.writers().collect();
        let writer = writers[self.random.random_range(0..writers.len())];
        let index = self.random.random_range(0..ledger.position(&writer).sequence);
        let target = EntryRef { day, writer, index };
        Some((ledger.entry(&target)?.subject, Fact::Void { target }))
    }

    /// As many check-ins of random passes, on one day.
    pub(crate) fn check_in(&mut self, desk: usize, entries: usize) {
        for _ in 0..entries {
            self.clock += self.random.random_range(1_000..10_000);
            let entry = Entry {
                at: UnixMillis(self.clock),
                subject: Subject::Pass(PassId(self.random.random_range(0..500_000))),
                fact: Fact::CheckIn { activity: ActivityId(1), points: 1 },
            };
            self.desks[desk].append(DAYS[1], &entry);
        }
    }

    fn some_link(&mut self) -> Option<usize> {
        let count = self.links.len();
        (count > 0).then(|| self.random.random_range(0..count))
    }

    fn connect(&mut self, desk: usize) {
        for link in self.links.iter_mut().filter(|link| link.desk == desk) {
            link.listened_to = false;
        }
        self.desks[desk].connect();
        let session = Session::new(self.desks[desk].writer().device);
        self.links.push(Link::new(desk, session));
    }

    pub(crate) fn reconnect_all(&mut self) {
        for desk in 0..self.desks.len() {
            self.connect(desk);
        }
    }

    /// Moves some bytes on some link, one way.
    fn deliver_something(&mut self) {
        let Some(place) = self.some_link() else { return };
        let largest = if self.random.random_bool(0.2) { 8 } else { 2000 };
        let most = self.random.random_range(1..largest);
        if self.random.random_bool(0.5) {
            let crash = self.random.random_bool(0.05);
            self.deliver_up(place, most, crash);
        } else {
            self.deliver_down(place, most);
        }
    }

    /// `true` where anything moved.
    fn deliver_up(&mut self, place: usize, most: usize, crash: bool) -> bool {
        let link = &mut self.links[place];
        if link.listened_to {
            while let Some(frame) = self.desks[link.desk].next_frame() {
                link.up.send(&frame);
            }
        }
        let bytes = link.up.arrive(most);
        let Ok(answers) = link.session.receive(&bytes, &mut self.hub, crash) else {
            let Crashed = Crashed;
            self.hub.start();
            self.links.clear();
            return true;
        };
        link.down.send(&answers);
        !bytes.is_empty() || !answers.is_empty()
    }

    fn deliver_down(&mut self, place: usize, most: usize) -> bool {
        let link = &mut self.links[place];
        let bytes = link.down.arrive(most);
        if !link.listened_to || bytes.is_empty() {
            return false;
        }
        link.listened_to = self.desks[link.desk].receive(&bytes);
        true
    }

    /// A line is cut. The desk notices; what it sent last may still arrive, up to some byte.
    fn cut_something(&mut self) {
        let Some(place) = self.some_link() else { return };
        let arriving = self.random.random_range(0..2000);
        let link = &mut self.links[place];
        link.up.cut(arriving);
        link.down.dead = true;
        if std::mem::take(&mut link.listened_to) {
            self.desks[link.desk].session = None;
        }
    }

    /// What a desk sent is said again, to a session of its own, and maybe cut.
    fn repeat_something(&mut self) {
        let Some(place) = self.some_link() else { return };
        let link = &self.links[place];
        let most = self.random.random_range(0..=link.up.sent.len());
        let session = Session::new(self.desks[link.desk].writer().device);
        let repetition = Link::repetition(link.desk, session, &link.up.sent[..most]);
        self.links.push(repetition);
    }

    /// Everything works again, until nothing moves any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..REST {
            let mut moved = false;
            for desk in 0..self.desks.len() {
                let linked = self.links.iter().any(|link| link.desk == desk && link.works());
                if !linked || self.desks[desk].session.is_none() {
                    self.connect(desk);
                    moved = true;
                }
            }
            for place in 0..self.links.len() {
                moved |= self.deliver_up(place, usize::MAX, false);
                moved |= self.deliver_down(place, usize::MAX);
            }
            if !moved {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// All lines are closed, and both sides know.
    pub(crate) fn hang_up(&mut self) {
        self.links.clear();
    }

    /// What was said until now on all links, up and down, in bytes; and it is forgotten.
    pub(crate) fn take_bytes(&mut self) -> (usize, usize) {
        let mut bytes = (0, 0);
        for link in &mut self.links {
            bytes.0 += std::mem::take(&mut link.up.sent).len();
            bytes.1 += std::mem::take(&mut link.down.sent).len();
        }
        bytes
    }

    /// An acknowledgement never says more than the hub has committed.
    fn check_acknowledgements(&self) {
        if self.hub_lost {
            return;
        }
        for desk in &self.desks {
            for ((day, writer), sequence) in &desk.disk.store.acknowledged {
                let list = self.hub.committed.lists.get(&(day_number(*day), (*writer).into()));
                let held = list.map_or(0, |list| list.0.sequence);
                assert!(*sequence <= held, "invariant 1: {sequence} acknowledged, {held} held");
            }
        }
    }

    fn check(&mut self) {
        let must: BTreeSet<EntryRef> =
            self.desks.iter().flat_map(|desk| &desk.shown).copied().collect();
        let may: BTreeSet<EntryRef> =
            self.desks.iter().flat_map(|desk| &desk.ever_shown).copied().collect();
        let mut at_hub = BTreeMap::new();
        for ((day, writer), (position, entries)) in &self.hub.committed.lists {
            assert_eq!(position.sequence, entries.len() as u64);
            let (day, writer) = (date_of_day_number(*day).unwrap(), writer.writer());
            for (index, bytes) in (0..).zip(entries) {
                let place = EntryRef { day, writer, index };
                at_hub.insert(place, Entry::decode(bytes, day, &writer).unwrap());
            }
        }
        let held: BTreeSet<EntryRef> = at_hub.keys().copied().collect();
        assert_eq!(must.difference(&held).next(), None, "invariant 1: shown, and not at the hub");
        assert_eq!(held.difference(&may).next(), None, "invariant 2: at the hub, and never shown");
        for desk in &self.desks {
            self.check_desk(desk, &at_hub);
        }
        self.check_accounts(&at_hub);
    }

    fn check_desk(&self, desk: &Desk, at_hub: &BTreeMap<EntryRef, Entry>) {
        assert_eq!(desk.pending(), [], "pending 0");
        let ledgers = desk.disk.ledgers.values();
        let here: BTreeMap<EntryRef, Entry> =
            ledgers.flat_map(Ledger::entries).map(|(place, entry)| (place, *entry)).collect();
        assert_eq!(here, *at_hub, "invariant 2: everybody holds the union");
        for ((day, writer), (position, _)) in &self.hub.committed.lists {
            let (day, writer) = (date_of_day_number(*day).unwrap(), writer.writer());
            let here = desk.position_at(day, &writer, position.sequence);
            assert_eq!(here, Some(*position), "the same entries by the same changes");
        }
        let has: BTreeMap<_, _> =
            desk.disk.store.activities.iter().map(|(id, (_, it))| (id, it)).collect();
        let hub = self.hub.committed.activities.iter();
        assert_eq!(has, hub.map(|(id, (_, it))| (id, it)).collect(), "the catalogue is the hub's");
        for (request, answered) in &desk.disk.requests {
            let done = self.hub.committed.done.contains(request);
            assert!(done && answered.is_some(), "request {request} is done");
        }
    }

    /// Invariant 3: what the hub kept as it went along is what the set folds to, in any order.
    fn check_accounts(&mut self, at_hub: &BTreeMap<EntryRef, Entry>) {
        let calendar = Calendar::of("Europe/Brussels").unwrap();
        let mut entries: Vec<(&EntryRef, &Entry)> = at_hub.iter().collect();
        entries.shuffle(&mut self.random);
        let mut rows: BTreeMap<Subject, Vec<(&EntryRef, &Entry)>> = BTreeMap::new();
        for (place, entry) in entries {
            rows.entry(entry.subject).or_default().push((place, entry));
        }
        let folded: BTreeMap<_, _> =
            rows.into_iter().map(|(subject, rows)| (subject, account(rows, &calendar))).collect();
        assert_eq!(self.hub.committed.accounts, folded, "invariant 3");
    }
}
