//! The world: a hub, desks, the lines between them, and everything that may happen to these.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{ActivityId, DeviceId, PassId, Writer};
use crdt_model::ledger::{Extension, LedgerId, Position};
use crdt_model::time::{UnixMillis, day_number};
use desk_api::types::RequestState;
use hub::db::HubError;
use hub::ledgers::Taken;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sync_protocol::batch::pack;
use sync_protocol::message::Batch;

use crate::desk::{Desk, Ending, Heard};
use crate::disk::Image;
use crate::enrolling::Invited;
use crate::hub::{Files, Hub, Planted, Turn, venue};
use crate::link::Link;
use crate::{Counts, check, template};

/// Steps before the world is healed.
const STEPS: usize = 100;

/// Steps in which a healed world must come to rest.
const REST: usize = 300;

/// Rounds in which nothing moves, until a world is at rest; and the moment between two of them.
const QUIET: usize = 3;
const A_MOMENT: Duration = Duration::from_millis(2);

/// Desks at the most.
const MOST_DESKS: usize = 5;

/// How far a desk's clock may be from the world's, in milliseconds.
const SKEWS: [i64; 8] = [0, 0, 0, -30_000, 90_000, 3_600_000, -86_400_000, 86_400_000];

/// The activities, as the desks choose them.
const EVENTS: [&str; 3] = ["event-1", "event-2", "event-3"];

#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct World {
    pub(crate) random: ChaCha8Rng,
    pub(crate) hub: Hub,
    pub(crate) desks: Vec<Desk>,
    images: Vec<Image>,
    backup: Files,
    /// Whether the hub may be put back: in half of the worlds it never is.
    restores: bool,
    /// Whether holders get other names: sealing is slow.
    pub(crate) holders_change: bool,
    /// Desks that were revoked.
    pub(crate) revoked: BTreeSet<usize>,
    /// How many entries of each the hub held then.
    pub(crate) held_when_revoked: Vec<(DeviceId, usize)>,
    /// The hub was put back with what stands beside its database, so that only desks could tell it.
    pub(crate) all_put_back: bool,
    /// The hub was put back, with what stands beside its database or without.
    pub(crate) put_back: bool,
    /// Passes that the hub had blocked when each desk called it last, in a world whose catalogue fits no page.
    pub(crate) denied: Vec<BTreeSet<u64>>,
    large: bool,
    /// Invitations that were used.
    pub(crate) invited: Vec<Invited>,
    /// What an operator took back.
    pub(crate) corrected: BTreeSet<EntryRef>,
    pub(crate) links: Vec<Link>,
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
        let mut desks = Vec::new();
        for n in 0..count {
            let skew = SKEWS[random.random_range(0..SKEWS.len())];
            let enrolment = template::enrolment(&hub.db, n).await;
            desks.push(Desk::new(n, skew, hub.surroundings.clone(), &enrolment, planted));
        }
        Self {
            images: desks.iter().map(Desk::image).collect(),
            denied: vec![BTreeSet::new(); desks.len()],
            large,
            desks,
            backup: hub.copy(),
            restores: random.random_bool(0.5),
            holders_change: random.random_bool(0.1),
            hub,
            revoked: BTreeSet::new(),
            held_when_revoked: Vec::new(),
            all_put_back: false,
            put_back: false,
            invited: Vec::new(),
            corrected: BTreeSet::new(),
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
        for desk in &mut self.desks {
            desk.disk.full.store(false, Ordering::Relaxed);
            desk.start();
        }
        self.settle().await;
        check::all(&mut self).await;
        // Whatever a desk learnt last, its next hello may say: nothing must come of it.
        for desk in 0..self.desks.len() {
            if !self.revoked.contains(&desk) {
                self.connect(desk).await;
            }
        }
        self.settle().await;
        check::all(&mut self).await;
        self.check_invitations().await;
        check::stores(&mut self).await;
        self.hub.db.close().await;
        (self.counts, self.said.finish())
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    async fn step(&mut self) {
        let desk = self.random.random_range(0..self.desks.len());
        self.hub
            .surroundings
            .clock
            .fetch_add(self.random.random_range(1..3_000), Ordering::Relaxed);
        match self.random.random_range(0..126) {
            0..28 => self.visitors(desk),
            28..40 => self.connect(desk).await,
            40..78 => self.deliver_something().await,
            78..82 => self.cut_something(),
            82..85 => self.repeat_something(),
            85..91 => self.end(desk),
            91..93 => self.images[desk] = self.desks[desk].image(),
            93 => {
                let whole = self.random.random();
                self.count(if whole {
                    "desks put back, disk and all"
                } else {
                    "desks' folders put back"
                });
                let image = self.images[desk].clone();
                self.desks[desk].put_back(&image, whole);
            }
            94 => {
                let full = self.random.random_bool(0.3);
                if full {
                    self.count("disks that became full");
                }
                self.desks[desk].disk.full.store(full, Ordering::Relaxed);
            }
            95..97 => self.hub_changes().await,
            97..99 => self.stop_hearing(),
            99..101 => self.backup = self.hub.copy(),
            101 if self.restores => self.restore(false).await,
            102 if self.restores => self.restore(true).await,
            101..103 => self.work().await,
            103..106 => self.ask(desk),
            106..108 => {
                if self.desks[desk].give_back() {
                    self.count("desks that gave their units back");
                }
            }
            108 => self.revoke(desk).await,
            109 => self.set_a_clock(desk),
            110..114 => {
                self.count("times that all lines worked");
                self.work().await;
            }
            114..116 => {
                self.count("hubs stopped and started");
                self.restart().await;
            }
            116 if self.desks.len() < MOST_DESKS => self.enrol_another().await,
            117 if self.random.random() => self.forge(desk).await,
            117 => self.correct().await,
            118..121 => {
                for desk in &mut self.desks {
                    desk.start();
                    desk.look_after();
                }
            }
            _ => {
                self.count("times that some minutes passed");
                let passed = self.random.random_range(60_000..300_000);
                self.hub.surroundings.clock.fetch_add(passed, Ordering::Relaxed);
            }
        }
        self.hang_up_on_the_dead();
    }

    /// A desk ends, and begins again.
    fn end(&mut self, desk: usize) {
        let (how, what) = match self.random.random_range(0..4) {
            0 => (Ending::Killed, "desks killed"),
            1 => (Ending::LostStore, "desks killed that lost their store"),
            2 => (Ending::PowerCut, "desks whose power was cut"),
            _ => {
                self.count("desks whose power was cut in the middle of something");
                let many = self.random.random_range(1..6);
                self.desks[desk].disk.cut_in(many);
                self.visitors(desk);
                self.desks[desk].disk.cut_in(0);
                return;
            }
        };
        self.count(what);
        self.desks[desk].end(how);
        self.desks[desk].start();
    }

    /// Something changes at the hub that desks are told.
    async fn hub_changes(&mut self) {
        match self.random.random_range(0..8) {
            0 => {
                self.count("card keys changed");
                hub::card_keys::make(&self.hub.db, hub::card_keys::Kind::Keys).await.unwrap();
            }
            1 if self.holders_change => {
                self.count("holders changed");
                let letters = self.random.random_range(4..30);
                template::change_holders(&self.hub.db, letters).await;
            }
            _ => {
                self.count("activities changed");
                let (id, points) = (self.random.random_range(1..6), self.random.random_range(1..9));
                template::change_activity(&self.hub.db, id, points).await;
            }
        }
    }

    fn set_a_clock(&mut self, desk: usize) {
        if self.random.random() {
            self.count("clocks of the hub set");
            let skew = self.random.random_range(-600_000..600_000);
            self.hub.surroundings.hub_skew.store(skew, Ordering::Relaxed);
        } else {
            self.count("clocks of desks set");
            self.desks[desk].set_clock(SKEWS[self.random.random_range(0..SKEWS.len())]);
        }
    }

    /// An operator takes something back that the hub holds.
    async fn correct(&mut self) {
        let held = check::places(&self.hub.db).await;
        if held.is_empty() {
            return;
        }
        let target = held[self.random.random_range(0..held.len())];
        let key = crate::hub::hub_key();
        let corrected =
            hub::corrections::void(&self.hub.db, &key, crate::hub::venue(), target).await;
        if let Ok(place) = corrected {
            self.count("entries that an operator took back");
            self.corrected.insert(place);
        }
    }

    /// A desk whose session is over listens to no line.
    fn hang_up_on_the_dead(&mut self) {
        for (place, desk) in self.desks.iter().enumerate() {
            if !desk.has_session() {
                for link in self.links.iter_mut().filter(|link| link.desk == place) {
                    link.listened_to = false;
                }
            }
        }
        self.links.retain(|link| link.listened_to || !link.up.dead);
    }

    /// Another desk is there.
    pub(crate) fn join(&mut self, desk: Desk) {
        self.images.push(desk.image());
        self.denied.push(BTreeSet::new());
        self.desks.push(desk);
    }

    pub(crate) async fn restart(&mut self) {
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
        if self.desks.len() - self.revoked.len() <= 1 || self.revoked.contains(&desk) {
            return;
        }
        match hub::registry::revoke(&self.hub.db, self.desks[desk].key.device()).await {
            Ok(()) => {
                self.count("desks revoked");
                let device = self.desks[desk].key.device();
                let held = check::held_of(&self.hub.db, device).await;
                self.held_when_revoked.push((device, held));
                self.revoked.insert(desk);
            }
            // It was put back to before the desk was enrolled, and has not heard of it.
            Err(HubError::NoSuch { .. }) if self.put_back => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Somebody with the key of one desk says an entry in another one's name. The hub sets it apart.
    async fn forge(&mut self, victim: usize) {
        let carrier = self.random.random_range(0..self.desks.len());
        let revoked = [carrier, victim].iter().any(|it| self.revoked.contains(it));
        if carrier == victim || revoked || self.put_back {
            return;
        }
        self.count("batches forged");
        let at = UnixMillis(self.hub.surroundings.clock.load(Ordering::Relaxed));
        let day = hub::ledgers::calendar().unwrap().day(at);
        let id = LedgerId { venue: venue().clone(), day };
        let (forger, victim) = (&self.desks[carrier].key, &self.desks[victim].key);
        let writer = Writer { device: victim.device(), epoch: 1_000_000 };
        let fact = Fact::CheckIn { activity: ActivityId(1), points: 1 };
        let entry = Entry { at, subject: Subject::Pass(PassId(1)), fact }.encode(day, &writer);
        let (none, entries) = (Position::default(), std::iter::once(&entry[..]));
        let extension = Extension::behind(&id, writer, none, 1, entries.clone()).unwrap();
        let key = if self.hub.planted == Planted::SealUnchecked { victim } else { forger };
        let batch = Batch {
            day: day_number(day),
            writer: writer.into(),
            first: 1,
            entries: pack(entries).0,
            seal: key.seal(&id, &writer, &extension.head()),
            public_key: victim.public_key().to_vec(),
        };
        let taken = self.hub.take(forger.device(), &batch).await;
        let set_apart = matches!(taken, Taken::Quarantined { .. });
        assert!(set_apart, "invariant 7: what another desk sealed is {taken:?}");
    }

    /// Some visitors come to a desk.
    fn visitors(&mut self, desk: usize) {
        if self.random.random_bool(0.3) {
            let event = EVENTS[self.random.random_range(0..EVENTS.len())];
            self.desks[desk].choose(event);
        }
        for _ in 0..self.random.random_range(1..4) {
            let card = template::chip(self.random.random_range(1..=template::PASSES)).to_string();
            let (what, place) = match self.random.random_range(0..10) {
                0..5 => ("check-ins and visits", self.desks[desk].tap(&card)),
                5..9 => ("units handed out", self.desks[desk].redeem(&card, "tas")),
                _ => {
                    let target = self.something_here(desk);
                    ("entries taken back", self.desks[desk].void(target))
                }
            };
            if place.is_some() {
                self.count(what);
            }
        }
    }

    /// Something that this desk was shown to have recorded; or its last entry.
    fn something_here(&mut self, desk: usize) -> Option<EntryRef> {
        let shown = &self.desks[desk].shown;
        let many = shown.len();
        if many == 0 || self.random.random() {
            return None;
        }
        shown.iter().nth(self.random.random_range(0..many)).copied()
    }

    /// A card is reported lost: it is refused from then on, and the report is refused where it comes a second time.
    fn ask(&mut self, desk: usize) {
        self.count("requests");
        // Not all: who taps then?
        let card = template::chip(self.random.random_range(1..=template::PASSES / 2));
        self.desks[desk].ask(&card.to_string());
    }

    fn some_link(&mut self) -> Option<usize> {
        let count = self.links.len();
        (count > 0).then(|| self.random.random_range(0..count))
    }

    pub(crate) async fn connect(&mut self, desk: usize) {
        if self.large {
            self.denied[desk] = check::blocked(&self.hub.db).await;
        }
        self.desks[desk].start();
        for link in self.links.iter_mut().filter(|link| link.desk == desk) {
            link.listened_to = false;
        }
        self.desks[desk].connect();
        if self.desks[desk].has_session() {
            self.count("lines opened");
            let session = self.hub.session(self.desks[desk].key.public_key());
            self.links.push(Link::new(desk, session));
        }
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
        if link.listened_to {
            self.desks[link.desk].signs += bytes.len() as u64;
        }
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
                Heard::OutOfTurn => self.count("pages out of turn"),
                Heard::FirstPage => check::denials(self, desk),
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
            self.desks[link.desk].hang_up();
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
        let mut quiet = 0;
        for _ in 0..REST {
            let mut moved = false;
            if self.waits() {
                self.hub.surroundings.clock.fetch_add(2_000, Ordering::Relaxed);
            }
            for desk in &mut self.desks {
                desk.look_after();
            }
            for desk in 0..self.desks.len() {
                let linked = self.links.iter().any(|link| link.desk == desk && link.works());
                if !self.revoked.contains(&desk) && (!linked || !self.desks[desk].has_session()) {
                    self.connect(desk).await;
                    moved = true;
                }
            }
            for place in 0..self.links.len() {
                let up = self.deliver_up(place, usize::MAX, false).await;
                let down = self.deliver_down(place, usize::MAX).await;
                moved |= (up || down) && !self.revoked.contains(&self.links[place].desk);
            }
            if moved || self.waits() {
                quiet = 0;
                continue;
            }
            // The database has a thread of its own: what it was told last may be news a moment later.
            quiet += 1;
            if quiet == QUIET {
                return;
            }
            tokio::time::sleep(A_MOMENT).await;
        }
        let standing: Vec<String> =
            self.desks.iter().enumerate().map(|(n, desk)| self.standing(n, desk)).collect();
        panic!("the world does not come to rest: {}", standing.join("; "));
    }

    /// How a desk stands, for whoever looks why a world does not come to rest.
    fn standing(&self, n: usize, desk: &Desk) -> String {
        let revoked = self.revoked.contains(&n);
        let session = desk.has_session();
        let Some(real) = desk.real() else { return format!("desk {n} does not run") };
        let (pending, waiting, status) = (real.pending_count(), waiting(real), real.status());
        format!(
            "desk {n}: revoked {revoked}, session {session}, pending {pending}, waiting {waiting}, disk {:?}, store {:?}, hub {:?}",
            status.disk, status.store, status.hub
        )
    }

    /// Whether something at a desk waits for its time.
    fn waits(&self) -> bool {
        let living = self.desks.iter().enumerate().filter(|(it, _)| !self.revoked.contains(it));
        let mut desks = living.map(|(_, desk)| desk.real());
        desks.any(|desk| desk.is_none_or(|it| it.pending_count() > 0 || waiting(it) > 0))
    }
}

/// How many requests of a desk wait for an answer.
fn waiting(desk: &syncd::desk::Desk) -> usize {
    let requests = desk.requests();
    requests.iter().filter(|it| it.state == RequestState::Waiting).count()
}
