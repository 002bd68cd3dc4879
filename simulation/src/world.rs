//! The world: a hub, desks, the lines between them, and everything that may happen to these.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::Ordering;

use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{ActivityId, PassId, RewardId, Writer};
use crdt_model::time::{UnixMillis, day_number};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sync_protocol::request::{Request, RequestId, seal_request};

use crate::desk::{Desk, Disk, Heard};
use crate::hub::{Files, Hub, Planted, REWARD, Turn};
use crate::link::Link;
use crate::{Counts, check, template};

/// Steps before the world is healed.
const STEPS: usize = 120;

/// Steps in which a healed world must come to rest.
const REST: usize = 300;

/// How far a desk's clock may be from the world's, in milliseconds.
const SKEWS: [i64; 8] = [0, 0, 0, -30_000, 90_000, 3_600_000, -86_400_000, 86_400_000];

pub(crate) struct World {
    pub(crate) random: ChaCha8Rng,
    pub(crate) hub: Hub,
    pub(crate) desks: Vec<Desk>,
    images: Vec<Disk>,
    backup: Files,
    /// Whether the hub may be put back: in half of the worlds it never is.
    restores: bool,
    /// Desks that were revoked.
    pub(crate) revoked: BTreeSet<usize>,
    /// The hub was put back with what stands beside its database, so that only desks could tell it.
    pub(crate) all_put_back: bool,
    /// The hub was put back, with what stands beside its database or without.
    pub(crate) put_back: bool,
    links: Vec<Link>,
    pub(crate) counts: Counts,
    /// Of all bytes that were said, in their order.
    said: DefaultHasher,
}

impl World {
    pub(crate) async fn new(seed: u64, planted: Planted) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count: u8 = random.random_range(2..=4);
        let large = random.random_bool(0.05);
        let hub = Hub::new(count, large, random.random(), planted).await;
        let desk = |n| Desk::new(n, SKEWS[random.random_range(0..SKEWS.len())]);
        Self {
            desks: (0..count).map(desk).collect(),
            images: vec![Disk::default(); usize::from(count)],
            backup: hub.copy(),
            restores: random.random_bool(0.5),
            hub,
            revoked: BTreeSet::new(),
            all_put_back: false,
            put_back: false,
            links: Vec::new(),
            counts: Counts::new(),
            said: DefaultHasher::new(),
            random,
        }
    }

    /// What happened, and a hash of all that was said.
    pub(crate) async fn run(mut self) -> (Counts, u64) {
        for _ in 0..STEPS {
            self.step().await;
        }
        self.hub.surroundings.hub_skew.store(0, Ordering::Relaxed);
        self.settle().await;
        check::all(&mut self).await;
        // Whatever a desk learnt last, its next hello may say: nothing must come of it.
        for desk in 0..self.desks.len() {
            if !self.revoked.contains(&desk) {
                self.connect(desk);
            }
        }
        self.settle().await;
        check::all(&mut self).await;
        self.hub.db.close().await;
        (self.counts, self.said.finish())
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    async fn step(&mut self) {
        let desk = self.random.random_range(0..self.desks.len());
        self.hub
            .surroundings
            .clock
            .fetch_add(self.random.random_range(1..3_000), Ordering::Relaxed);
        match self.random.random_range(0..118) {
            0..28 => self.append(desk),
            28..40 => self.connect(desk),
            40..78 => self.deliver_something().await,
            78..82 => self.cut_something(),
            82..85 => self.repeat_something(),
            85..87 => {
                self.count("desks killed");
                self.desks[desk].crash(true);
            }
            87..89 => {
                self.count("desks killed that lost their store");
                self.desks[desk].crash(false);
            }
            89..91 => self.images[desk] = self.desks[desk].disk.clone(),
            91 => {
                self.count("desks whose disk was put back");
                let image = self.images[desk].clone();
                self.desks[desk].restore(&image);
            }
            92..94 => {
                self.count("hubs stopped and started");
                self.restart().await;
            }
            94..97 => {
                self.count("activities changed");
                let (id, points) = (self.random.random_range(1..6), self.random.random_range(1..9));
                template::change_activity(&self.hub.db, id, points).await;
            }
            97..99 => self.stop_hearing(),
            99..101 => self.backup = self.hub.copy(),
            101 if self.restores => self.restore(false).await,
            102 if self.restores => self.restore(true).await,
            101..103 => self.work().await,
            103..106 => self.ask(desk).await,
            106..108 => {
                if self.desks[desk].give_back() {
                    self.count("desks that gave their units back");
                }
            }
            108 => self.revoke(desk).await,
            109 => {
                self.count("clocks of the hub set");
                let skew = self.random.random_range(-600_000..600_000);
                self.hub.surroundings.hub_skew.store(skew, Ordering::Relaxed);
            }
            110..114 => {
                self.count("times that all lines worked");
                self.work().await;
            }
            _ => {
                self.count("times that some minutes passed");
                let passed = self.random.random_range(60_000..300_000);
                self.hub.surroundings.clock.fetch_add(passed, Ordering::Relaxed);
            }
        }
        self.hang_up_on_the_dead();
    }

    fn world_clock(&self) -> i64 {
        self.hub.surroundings.clock.load(Ordering::Relaxed)
    }

    /// A desk whose session is over listens to no line.
    fn hang_up_on_the_dead(&mut self) {
        for (place, desk) in self.desks.iter().enumerate() {
            if desk.session.is_none() {
                for link in self.links.iter_mut().filter(|link| link.desk == place) {
                    link.listened_to = false;
                }
            }
        }
        self.links.retain(|link| link.listened_to || !link.up.dead);
    }

    async fn restart(&mut self) {
        self.links.clear();
        self.hub.restart().await;
    }

    async fn restore(&mut self, whole: bool) {
        self.count(if whole {
            "hubs put back, journal and all"
        } else {
            "hubs whose database was put back"
        });
        self.links.clear();
        self.put_back = true;
        self.all_put_back |= whole;
        self.hub.restore(&self.backup, whole).await;
    }

    async fn revoke(&mut self, desk: usize) {
        if self.desks.len() - self.revoked.len() <= 1 || !self.revoked.insert(desk) {
            return;
        }
        self.count("desks revoked");
        hub::registry::revoke(&self.hub.db, self.desks[desk].key.device()).await.unwrap();
    }

    fn append(&mut self, desk: usize) {
        for _ in 0..self.random.random_range(1..4) {
            let pass = Subject::Pass(PassId(self.random.random_range(1..=template::PASSES)));
            let activity = ActivityId(self.random.random_range(1..4));
            let check_in = (pass, Fact::CheckIn { activity, points: 1 });
            let (subject, fact) = match self.random.random_range(0..10) {
                0..4 => check_in,
                4..8 => match self.desks[desk].next_unit() {
                    Some(unit) => {
                        self.count("units handed out");
                        let reward = RewardId(REWARD);
                        (pass, Fact::Redemption { reward, points: 1, unit: Some(unit) })
                    }
                    None => check_in,
                },
                8 => (pass, Fact::Visit),
                _ => self.a_void(desk).unwrap_or(check_in),
            };
            self.count("entries recorded");
            let (world, at) = (self.world_clock(), UnixMillis(0));
            self.desks[desk].append(world, Entry { at, subject, fact });
        }
    }

    /// Takes back something that this desk has on its disk, its own or another desk's.
    fn a_void(&mut self, desk: usize) -> Option<(Subject, Fact)> {
        let ledgers: Vec<_> = self.desks[desk].disk.ledgers.iter().collect();
        if ledgers.is_empty() {
            return None;
        }
        let (day, ledger) = ledgers[self.random.random_range(0..ledgers.len())];
        let writers: Vec<_> = ledger.writers().collect();
        let writer = *writers.get(self.random.random_range(0..writers.len().max(1)))?;
        let index = self.random.random_range(0..ledger.position(&writer).sequence);
        let target = EntryRef { day: *day, writer, index };
        Some((ledger.entry(&target)?.subject, Fact::Void { target }))
    }

    /// A card is reported lost: it is refused from then on, and the report is refused where it comes a second time.
    async fn ask(&mut self, desk: usize) {
        self.count("requests");
        let key = hub::secrets::request_key(&self.hub.db).await.unwrap().public_key();
        let card = template::chip(self.random.random_range(1..=template::PASSES));
        let (request, id) = (Request::ReportLost { card }, RequestId(self.random.random()));
        let mut random = rand_chacha::ChaCha20Rng::from_seed(self.random.random());
        let desk = &mut self.desks[desk];
        let sealed = seal_request(&request, id, &key, desk.key.public_key(), &mut random);
        desk.ask(sealed.unwrap());
    }

    fn some_link(&mut self) -> Option<usize> {
        let count = self.links.len();
        (count > 0).then(|| self.random.random_range(0..count))
    }

    fn connect(&mut self, desk: usize) {
        self.count("lines opened");
        for link in self.links.iter_mut().filter(|link| link.desk == desk) {
            link.listened_to = false;
        }
        let world = self.world_clock();
        self.desks[desk].connect(world);
        let session = self.hub.session(self.desks[desk].key.public_key());
        self.links.push(Link::new(desk, session));
    }

    /// Moves some bytes on some line, one way.
    async fn deliver_something(&mut self) {
        let Some(place) = self.some_link() else { return };
        let largest = if self.random.random_bool(0.2) { 8 } else { 4000 };
        let most = self.random.random_range(1..largest);
        if self.random.random_bool(0.5) {
            let crash = self.random.random_bool(0.05);
            self.deliver_up(place, most, crash).await;
        } else {
            self.deliver_down(place, most).await;
        }
    }

    /// `true` where anything moved.
    async fn deliver_up(&mut self, place: usize, most: usize, crash: bool) -> bool {
        let link = &mut self.links[place];
        if link.listened_to {
            while let Some(frame) = self.desks[link.desk].next_frame() {
                link.up.send(&frame);
            }
        }
        let bytes = link.up.arrive(most);
        self.said.write(&bytes);
        match link.session.turn(&bytes, &mut self.hub, crash).await {
            Turn::Said(said) => {
                self.said.write(&said);
                link.down.send(&said);
                !bytes.is_empty() || !said.is_empty()
            }
            Turn::Over(said) => {
                self.said.write(&said);
                let news = !link.down.dead;
                link.down.send(&said);
                (link.up.dead, link.down.dead) = (true, true);
                news
            }
            Turn::Crashed => {
                self.count("hubs killed behind a commit");
                self.restart().await;
                true
            }
        }
    }

    async fn deliver_down(&mut self, place: usize, most: usize) -> bool {
        let link = &mut self.links[place];
        let bytes = link.down.arrive(most);
        if !link.listened_to || bytes.is_empty() {
            return false;
        }
        let desk = link.desk;
        link.listened_to = self.desks[desk].receive(&bytes);
        for heard in std::mem::take(&mut self.desks[desk].heard) {
            match heard {
                Heard::Acknowledged { day, writer, sequence } => {
                    self.count("acknowledgements");
                    let held = check::held(&self.hub.db, day_number(day), writer).await;
                    assert!(sequence <= held, "invariant 1: {sequence} acknowledged, {held} held");
                }
                Heard::SetApart { writer, reason } => self.take_set_apart(writer, &reason),
                Heard::Restored => self.count("desks told that the hub was restored"),
                Heard::DenyList => self.count("pages out of turn"),
                Heard::SaidAgain => self.count("desks that said all again"),
                Heard::NotEnrolled => self.count("desks sent away"),
            }
        }
        true
    }

    /// Known, and kept out (docs/simulation.md): a hub that was put back takes back nothing of a desk that was revoked.
    fn take_set_apart(&mut self, writer: Writer, reason: &str) {
        let known = self.put_back && self.is_of_a_revoked(writer);
        assert!(known, "an honest desk was set apart: {reason}");
        self.count("batches of revoked desks set apart by hubs that were put back");
    }

    pub(crate) fn is_of_a_revoked(&self, writer: Writer) -> bool {
        self.revoked.iter().any(|it| self.desks[*it].key.device() == writer.device)
    }

    /// A line is cut. The desk notices; what it sent last may still arrive, up to some byte.
    fn cut_something(&mut self) {
        let Some(place) = self.some_link() else { return };
        let arriving = self.random.random_range(0..2000);
        self.count("lines cut");
        let link = &mut self.links[place];
        link.up.cut(arriving);
        link.down.dead = true;
        if std::mem::take(&mut link.listened_to) {
            self.desks[link.desk].session = None;
        }
    }

    /// Nothing more arrives on a line, one way, and its sender does not notice.
    fn stop_hearing(&mut self) {
        let Some(place) = self.some_link() else { return };
        self.count("lines that went dead one way");
        let up = self.random.random_bool(0.5);
        let link = &mut self.links[place];
        let stream = if up { &mut link.up } else { &mut link.down };
        stream.dead = true;
    }

    /// What a desk sent is said again, to a session of its own, and maybe cut.
    fn repeat_something(&mut self) {
        let Some(place) = self.some_link() else { return };
        self.count("streams repeated");
        let link = &self.links[place];
        let most = self.random.random_range(0..=link.up.sent.len());
        let session = self.hub.session(self.desks[link.desk].key.public_key());
        let repetition = Link::repetition(link.desk, session, &link.up.sent[..most]);
        self.links.push(repetition);
    }

    /// What is under way arrives.
    async fn work(&mut self) {
        for _ in 0..3 {
            for place in 0..self.links.len() {
                self.deliver_up(place, usize::MAX, false).await;
                self.deliver_down(place, usize::MAX).await;
            }
        }
    }

    /// Everything works again, until nothing moves any more.
    async fn settle(&mut self) {
        for _ in 0..REST {
            let mut moved = false;
            for desk in 0..self.desks.len() {
                let linked = self.links.iter().any(|link| link.desk == desk && link.works());
                if !self.revoked.contains(&desk) && (!linked || self.desks[desk].session.is_none())
                {
                    self.connect(desk);
                    moved = true;
                }
            }
            for place in 0..self.links.len() {
                moved |= self.deliver_up(place, usize::MAX, false).await;
                moved |= self.deliver_down(place, usize::MAX).await;
            }
            if !moved {
                return;
            }
        }
        panic!("the world does not come to rest");
    }
}
