//! The world: a hub, desks, the links between them, and everything that may happen to these.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crdt_model::account::{Account, Limits, Placed, fold};
use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{ActivityId, PassId, RewardId};
use crdt_model::limits::{PeriodLimit, PeriodType};
use crdt_model::time::{Calendar, UnixMillis, date_of_day_number};
use jiff::civil::Date;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sync_protocol::desk::DeskView;

use crate::desk::{Desk, Disk, venue};
use crate::hub::{Committed, Session};

/// Steps before the world is healed.
const STEPS: usize = 120;

/// Steps in which a healed world must come to rest.
const REST: usize = 200;

/// Two days, so that several ledgers are under way.
const DAYS: [Date; 2] = [Date::constant(2026, 11, 20), Date::constant(2026, 11, 21)];

/// Noon, Brussels time, on the second day.
const NOON: i64 = 1_795_258_800_000;

/// A connection: two streams of bytes and the hub's session at one end.
struct Link {
    desk: usize,
    session: Session,
    up: VecDeque<u8>,
    down: VecDeque<u8>,
    /// Whether the desk still listens: an older connection's bytes may arrive when a newer one is
    /// already under way.
    listened_to: bool,
    /// One direction may be dead.
    deaf: bool,
    /// All that the desk ever sent on it, for repetition.
    sent: Vec<u8>,
}

pub(crate) struct World {
    random: ChaCha8Rng,
    desks: Vec<Desk>,
    images: Vec<Disk>,
    hub: Committed,
    links: Vec<Link>,
    clock: i64,
    bytes: (usize, usize),
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count: u8 = random.random_range(2..=4);
        Self {
            desks: (0..count).map(Desk::new).collect(),
            images: vec![Disk::default(); usize::from(count)],
            hub: Committed::default(),
            links: Vec::new(),
            clock: NOON,
            bytes: (0, 0),
            random,
        }
    }

    /// One desk, and nothing ever happens to it.
    pub(crate) fn quiet() -> Self {
        let mut world = Self::new(0);
        world.desks.truncate(1);
        world
    }

    pub(crate) fn run(mut self) {
        for _ in 0..STEPS {
            self.step();
        }
        self.settle();
        self.check();
    }

    fn step(&mut self) {
        let desk = self.random.random_range(0..self.desks.len());
        match self.random.random_range(0..100) {
            0..35 => {
                let entries = self.random.random_range(1..4);
                self.append(desk, entries);
            }
            35..42 => self.connect(desk),
            42..80 => self.deliver_something(),
            80..84 => self.cut_something(),
            84..87 => self.repeat_something(),
            87..89 => self.desks[desk].crash(true),
            89..91 => self.desks[desk].crash(false),
            91..93 => self.images[desk] = self.desks[desk].disk.clone(),
            93..94 => {
                let image = self.images[desk].clone();
                self.desks[desk].restore(&image);
            }
            // The hub goes down: all connections end, what was committed stays.
            94..96 => self.links.clear(),
            _ => {
                if let Some(place) = self.some_link() {
                    self.links[place].deaf = true;
                }
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
            let fact = match self.random.random_range(0..10) {
                0..7 => Fact::CheckIn { activity: ActivityId(1), points: 1 },
                7 => Fact::Redemption { reward: RewardId(1), points: 3 },
                _ => self.a_void(desk),
            };
            let pass = PassId(self.random.random_range(0..500_000));
            let pass = if self.desks.len() == 1 { pass } else { PassId(pass.0 % 5) };
            let entry = Entry { at: UnixMillis(self.clock), subject: Subject::Pass(pass), fact };
            self.desks[desk].append(day, &entry);
        }
    }

    fn a_void(&mut self, desk: usize) -> Fact {
        let shown: Vec<EntryRef> = self.desks[desk].shown.iter().rev().take(5).copied().collect();
        match shown.get(self.random.random_range(0..5)) {
            Some(target) => Fact::Void { target: *target },
            None => Fact::Visit,
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
        let device = self.desks[desk].writer().device;
        self.links.push(Link {
            desk,
            session: Session::new(device),
            up: VecDeque::new(),
            down: VecDeque::new(),
            listened_to: true,
            deaf: false,
            sent: Vec::new(),
        });
    }

    /// Moves some bytes on some link, one way.
    fn deliver_something(&mut self) {
        let Some(place) = self.some_link() else { return };
        let most = self.random.random_range(1..2000);
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
                self.bytes.0 += frame.len();
                link.sent.extend(&frame);
                link.up.extend(frame);
            }
        }
        let count = most.min(link.up.len());
        let bytes: Vec<u8> = link.up.drain(..count).collect();
        match link.session.receive(&bytes, &mut self.hub, crash) {
            Some(answers) if !link.deaf => link.down.extend(answers),
            Some(_) => {}
            None => {
                self.links.clear();
                return true;
            }
        }
        let news = self.links[place].session.news(&self.hub);
        let moved = count > 0 || !news.is_empty();
        if !self.links[place].deaf {
            self.links[place].down.extend(news);
        }
        moved
    }

    fn deliver_down(&mut self, place: usize, most: usize) -> bool {
        let link = &mut self.links[place];
        let count = most.min(link.down.len());
        let bytes: Vec<u8> = link.down.drain(..count).collect();
        if !link.listened_to || count == 0 {
            return false;
        }
        self.bytes.1 += count;
        let desk = link.desk;
        if !self.desks[desk].receive(&bytes) {
            self.links[place].listened_to = false;
        }
        true
    }

    fn cut_something(&mut self) {
        if let Some(place) = self.some_link() {
            let link = self.links.swap_remove(place);
            if link.listened_to {
                self.desks[link.desk].session = None;
            }
        }
    }

    /// What a desk sent is said again, to a session of its own, and maybe cut.
    fn repeat_something(&mut self) {
        if let Some(place) = self.some_link() {
            let link = &self.links[place];
            let (desk, mut sent) = (link.desk, link.sent.clone());
            sent.truncate(self.random.random_range(0..=sent.len()));
            let session = Session::new(self.desks[desk].writer().device);
            self.links.push(Link {
                desk,
                session,
                up: sent.into(),
                down: VecDeque::new(),
                listened_to: false,
                deaf: true,
                sent: Vec::new(),
            });
        }
    }

    /// Everything works again, until nothing moves any more. Gives the bytes that went up and down.
    pub(crate) fn settle(&mut self) -> (usize, usize) {
        self.bytes = (0, 0);
        for _ in 0..REST {
            let mut moved = false;
            for desk in 0..self.desks.len() {
                let linked = self
                    .links
                    .iter()
                    .any(|link| link.desk == desk && link.listened_to && !link.deaf);
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
                return self.bytes;
            }
        }
        panic!("the world does not come to rest");
    }

    fn check(&self) {
        let must: BTreeSet<EntryRef> =
            self.desks.iter().flat_map(|desk| &desk.shown).copied().collect();
        let may: BTreeSet<EntryRef> =
            self.desks.iter().flat_map(|desk| &desk.ever_shown).copied().collect();
        let mut at_hub = BTreeMap::new();
        for ((day, writer), (position, entries)) in &self.hub.lists {
            assert_eq!(position.sequence, entries.len() as u64);
            let (day, writer) = (date_of_day_number(*day).unwrap(), writer.writer());
            for (index, bytes) in (0..).zip(entries) {
                let place = EntryRef { day, writer, index };
                at_hub.insert(place, Entry::decode(bytes, day, &writer).unwrap());
            }
        }
        let held: BTreeSet<EntryRef> = at_hub.keys().copied().collect();
        assert_eq!(
            must.difference(&held).next(),
            None,
            "invariants 1 and 2: shown, and not at the hub"
        );
        assert_eq!(held.difference(&may).next(), None, "invariant 2: at the hub, and never shown");
        for desk in &self.desks {
            assert_eq!(desk.pending(), [], "pending 0");
            let here: BTreeMap<EntryRef, Entry> = desk
                .disk
                .ledgers
                .values()
                .flat_map(crdt_model::ledger::Ledger::entries)
                .map(|(p, e)| (p, *e))
                .collect();
            assert_eq!(here, at_hub, "everybody holds the union");
        }
        // Invariant 3, said once more with the fold: forwards and backwards.
        let account = |entries: Vec<(&EntryRef, &Entry)>| {
            let placed = entries.into_iter().map(|(place, entry)| Placed {
                venue: venue(),
                place: *place,
                entry: *entry,
                included: false,
            });
            fold(&Account::default(), placed, &OneADay, &Calendar::of("Europe/Brussels").unwrap())
        };
        for pass in 0..5 {
            let of_pass =
                || at_hub.iter().filter(move |(_, e)| e.subject == Subject::Pass(PassId(pass)));
            assert_eq!(account(of_pass().collect()), account(of_pass().rev().collect()));
        }
    }
}

struct OneADay;

impl Limits for OneADay {
    fn checkin_limit(&self, _: ActivityId) -> Option<PeriodLimit> {
        Some(PeriodLimit { volume: 1, period_type: PeriodType::Day })
    }
    fn redeem_constraint(&self, _: RewardId) -> Option<PeriodLimit> {
        None
    }
}
