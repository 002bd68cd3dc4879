//! What linked desks cost the hub that ships, in a process of its own: how long a single tap waits for its
//! acknowledgement, and how much processor time the hub has for it, while 10, 100 and 1,000 desks are linked, ten at a
//! venue; how many taps are acknowledged in a second when many come at once; and how much memory an idle desk takes.
//!
//! The numbers of desks take turns, so that a machine that is busy with something else is so for all of them. The peer of
//! a single acknowledgement is the disk: one append and one `fdatasync`, in turn with the taps.
//!
//! Single taps come at the same pace, one each 50 ms over all desks, whatever their number: so a thousand desks have 50
//! visitors in a minute and more each. What the hub does for them later (others are told what became of the passes)
//! counts as the taps' cost; what the same desks cost while nobody taps does not, and is said beside it.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crdt_model::ids::{ActivityId, PassId, VenueId};
use hub::db::{Db, HubFolder, sql};
use hub::records::runs;
use quinn::Endpoint;
use stempel_tests::{Hub, pass_number};
use sync_protocol::invitation::key_fingerprint;
use sync_protocol::version::Version;
use tokio::sync::oneshot;

use crate::light_desk::{KnownHub, LightDesk, LinkedDesk, Tap};
use crate::measure::{Times, processor_time, resident_kib};

/// How many desks are linked, in turn.
const NUMBERS: [usize; 3] = [10, 100, 1_000];

/// Desks of one venue: those of a large museum.
const AT_A_VENUE: usize = 10;

/// Desks that come at once, where many come.
const AT_ONCE_COME: usize = 100;

/// Between two single taps, of all desks together.
const PACE: Duration = Duration::from_millis(50);

/// How long idle desks are looked at: longer than a desk's beat, and than the hub's looks at itself.
const IDLE: Duration = Duration::from_secs(10);

/// What taps changed has reached all desks within this, or the measurement says how many it has not.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// Taps of each desk, where all tap at once.
const AT_ONCE: usize = 20;

/// Taps of one desk that taps as fast as it can.
const FLAT_OUT: usize = 4_000;

/// Bytes that one entry takes in the peer's file.
const PEER_BYTES: usize = 200;

/// The hub, its desks, and the passes that have not been at one.
struct World {
    hub: Hub,
    known: KnownHub,
    endpoints: Vec<Endpoint>,
    /// Desks that are not linked, and those that are.
    desks: Vec<LightDesk>,
    linked: Vec<LinkedDesk>,
    newest: Arc<AtomicU64>,
    next_pass: u64,
}

fn venue(n: usize) -> VenueId {
    format!("venue-{n}").parse().expect("a venue's name")
}

/// As many venues as the desks need, with an activity each.
fn catalogue(venues: usize, passes: u32) -> String {
    let all = (0..venues).map(|n| {
        let (id, event) = (venue(n).to_string(), format!("event-{n}"));
        let activity = serde_json::json!({
            "eventId": event, "title": "Festiviteit", "venue": id, "checkinPoints": 1,
            "checkinLimit": { "volume": 1, "periodType": "DAY" },
        });
        (serde_json::json!({ "id": id, "name": format!("Museum {n}") }), activity)
    });
    let (venues, activities): (Vec<_>, Vec<_>) = all.unzip();
    let passes: Vec<_> = (0..passes)
        .map(|n| {
            serde_json::json!({
                "programme": "UITPAS", "uitpasNumber": pass_number(n),
                "cardStatus": "ACTIVE", "memberships": [{ "cardSystem": 1 }], "points": 7,
            })
        })
        .collect();
    serde_json::json!({
        "venues": venues, "activities": activities, "passes": passes,
        "rewards": [{ "id": "5687", "title": "Voordeel", "type": "POINTS", "points": 5 }],
    })
    .to_string()
}

async fn database(hub: &Hub) -> (HubFolder, Db) {
    let folder = HubFolder::existing(hub.folder()).expect("the hub has a folder");
    let folder = folder.with_database(hub.database().map(str::to_owned));
    let db = folder.database().await.expect("it opens");
    (folder, db)
}

async fn activity(db: &Db, venue: &VenueId) -> ActivityId {
    let select = sql("SELECT id AS found FROM activity WHERE venue = $1").bind(venue.as_str());
    let found: Option<i64> =
        db.read().await.expect("it reads").value(select).await.expect("it reads");
    ActivityId(u32::try_from(found.expect("the venue has one")).expect("few activities"))
}

impl World {
    /// A hub with so many desks enrolled, running; no desk is linked.
    async fn begin(folder: &std::path::Path, desks: usize, passes: u32) -> Self {
        let venues = desks.div_ceil(AT_A_VENUE);
        let mut hub = Hub::start(folder, &catalogue(venues, passes));
        hub.stop();
        let (place, db) = database(&hub).await;
        let (_, public) = place.key().expect("the hub has a key");
        let address: SocketAddr = hub.address.parse().expect("it is an address");
        let key = key_fingerprint(&public);
        let mut known = KnownHub { address, key, version: Version { run: 0, number: 0 } };
        let mut activities = Vec::new();
        for n in 0..venues {
            activities.push((venue(n), activity(&db, &venue(n)).await));
        }
        let newest = Arc::new(AtomicU64::new(0));
        let desk_of = |n: usize, known: &KnownHub| {
            // Neighbours come one after the other, so that ten desks are one venue.
            let there = activities[n / AT_A_VENUE].clone();
            LightDesk::new(u32::try_from(n).expect("few desks"), there, known, &newest)
        };
        for n in 0..desks {
            let desk = desk_of(n, &known);
            let (there, name) = (venue(n / AT_A_VENUE), format!("Balie {n}"));
            let invited = hub::registry::invite(&db, &there, &name, Vec::new(), &public).await;
            let token = invited.expect("the venue is there").token;
            let enrolled = hub::registry::enrol(&db, &token, desk.public_key()).await;
            enrolled.expect("the hub works").expect("the invitation is new");
        }
        let mut reading = db.read().await.expect("it reads");
        let run = runs::last(&mut reading).await.expect("it reads").expect("it was numbered in");
        let reached = runs::reached(&mut reading).await.expect("it reads");
        drop(reading);
        db.close().await;
        known.version = Version { run: run.id, number: reached };
        hub.go();
        let endpoint = |_| Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        Self {
            endpoints: (0..venues).map(endpoint).collect(),
            desks: (0..desks).rev().map(|n| desk_of(n, &known)).collect(),
            linked: Vec::new(),
            hub,
            known,
            newest,
            next_pass: 1,
        }
    }

    fn pass(&mut self) -> PassId {
        self.next_pass += 1;
        PassId(self.next_pass - 1)
    }

    /// Links or unlinks desks until so many are linked.
    async fn have_linked(&mut self, many: usize) {
        while self.linked.len() < many {
            // Many at once, as after a start of the hub.
            let coming = AT_ONCE_COME.min(many - self.linked.len());
            let first = self.linked.len();
            let mut come: Vec<_> = (first..first + coming)
                .map(|n| {
                    let desk = self.desks.pop().expect("so many desks are enrolled");
                    let (endpoint, known) = (self.endpoints[n / AT_A_VENUE].clone(), self.known);
                    tokio::spawn(async move { desk.link(&endpoint, &known).await })
                })
                .collect();
            for it in come.drain(..) {
                self.linked.push(it.await.expect("a desk does not fail"));
            }
        }
        for linked in self.linked.drain(many..).rev() {
            self.desks.push(linked.unlink().await);
        }
    }

    fn processor_time(&self) -> f64 {
        processor_time(self.hub.process())
    }

    /// What the hub costs while nobody taps, in processor seconds a second.
    async fn idle_cost(&self) -> f64 {
        let (begun, before) = (Instant::now(), self.processor_time());
        tokio::time::sleep(IDLE).await;
        (self.processor_time() - before) / begun.elapsed().as_secs_f64()
    }

    /// Waits until all desks have the catalogue as the taps left it.
    async fn settle(&self) {
        let begun = Instant::now();
        let newest = self.newest.load(Ordering::Relaxed);
        loop {
            let behind = self.linked.iter().filter(|desk| desk.told() < newest).count();
            if behind == 0 {
                return;
            }
            if begun.elapsed() > SETTLED_WITHIN {
                println!("{behind} desks of {} were not told in time", self.linked.len());
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A tap at this desk; how long it takes to its acknowledgement.
    async fn tap(&mut self, desk: usize) -> Duration {
        let (told, acknowledged) = oneshot::channel();
        let tap = Tap { pass: self.pass(), acknowledged: Some(told) };
        self.linked[desk].tap(tap).await;
        acknowledged.await.expect("it is acknowledged")
    }

    /// Single taps, all over the desks that are linked, in turn with the peer.
    async fn single_taps(&mut self, taps: u32, peer: &mut File, into: &mut Single) {
        // Those that came now have been told what they had missed.
        self.settle().await;
        let idle = self.idle_cost().await;
        let (begun, before) = (Instant::now(), self.processor_time());
        for n in 0..taps as usize {
            let began = Instant::now();
            // A step that shares no factor with the numbers of desks.
            let desk = n * 7_919 % self.linked.len();
            into.took.push(self.tap(desk).await);
            let synced = Instant::now();
            let bytes = vec![b'x'; PEER_BYTES];
            peer.write_all(&bytes).and_then(|()| peer.sync_data()).expect("the disk works");
            into.peer.push(synced.elapsed());
            tokio::time::sleep(PACE.saturating_sub(began.elapsed())).await;
        }
        self.settle().await;
        let (span, spent) = (begun.elapsed().as_secs_f64(), self.processor_time() - before);
        into.idle.push(idle);
        into.each.push((spent - idle * span) / f64::from(taps));
    }

    /// All desks that are linked tap at once, so many times each without waiting: acknowledgements a second.
    async fn all_at_once(&mut self, times: usize) -> f64 {
        let desks = self.linked.len();
        let passes: Vec<PassId> = (0..desks * times).map(|_| self.pass()).collect();
        let begun = Instant::now();
        let mut last = Vec::with_capacity(desks);
        for n in 0..times {
            for desk in 0..desks {
                let (told, acknowledged) = oneshot::channel();
                let pass = passes[n * desks + desk];
                let waits = n + 1 == times;
                self.linked[desk].tap(Tap { pass, acknowledged: waits.then_some(told) }).await;
                if waits {
                    last.push(acknowledged);
                }
            }
        }
        for acknowledged in last {
            acknowledged.await.expect("it is acknowledged");
        }
        #[allow(clippy::cast_precision_loss, reason = "few taps")]
        let taps = (desks * times) as f64;
        taps / begun.elapsed().as_secs_f64()
    }
}

/// What single taps cost with one number of desks.
#[derive(Default)]
struct Single {
    took: Vec<Duration>,
    peer: Vec<Duration>,
    /// Of each round: processor seconds a second while nobody taps, and processor seconds a tap beyond that.
    idle: Vec<f64>,
    each: Vec<f64>,
    /// The hub's memory behind the first round.
    resident_kib: f64,
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Links all desks and says what an idle one takes.
async fn memory(world: &mut World) {
    let [few, .., many] = NUMBERS;
    world.have_linked(few).await;
    tokio::time::sleep(IDLE).await;
    let before = resident_kib(world.hub.process());
    let begun = Instant::now();
    world.have_linked(many).await;
    let took = begun.elapsed().as_secs_f64();
    tokio::time::sleep(IDLE).await;
    let after = resident_kib(world.hub.process());
    println!("the hub's memory with {few} desks linked   {:8.1} MiB", before / 1024.0);
    println!("with {many}, which came within {took:.1} s     {:8.1} MiB", after / 1024.0);
    #[allow(clippy::cast_precision_loss, reason = "few desks")]
    let each = (after - before) / (many - few) as f64;
    println!("for each idle desk                     {each:8.1} KiB (target: under 64)");
}

pub(crate) async fn measure(taps: u32, rounds: u32, only_memory: bool) {
    let begun = Instant::now();
    let world = tempfile::tempdir_in(".").expect("this folder can be written");
    let mut peer = File::create(world.path().join("peer")).expect("this folder can be written");
    let most = NUMBERS.into_iter().max().unwrap_or_default();
    let each_round = taps as usize * NUMBERS.len() + 100 * AT_ONCE + FLAT_OUT;
    let passes = u32::try_from(each_round).expect("few taps") * rounds + 1;
    let mut world = World::begin(world.path(), most, passes).await;
    println!(
        "{most} desks at {} venues, {passes} passes; set up in {:.0} s",
        most / AT_A_VENUE,
        begun.elapsed().as_secs_f64()
    );
    memory(&mut world).await;
    world.have_linked(0).await;
    if only_memory {
        return;
    }
    // From here on a process that has had as many desks at the most as are linked then.
    world.hub.stop();
    world.hub.go();
    let mut single: [Single; NUMBERS.len()] = Default::default();
    let (mut at_once, mut flat_out) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for (many, into) in NUMBERS.into_iter().zip(&mut single) {
            world.have_linked(many).await;
            world.single_taps(taps, &mut peer, into).await;
            if round == 0 {
                into.resident_kib = resident_kib(world.hub.process());
            }
        }
        world.have_linked(100).await;
        at_once.push(world.all_at_once(AT_ONCE).await);
        world.settle().await;
        world.have_linked(1).await;
        flat_out.push(world.all_at_once(FLAT_OUT).await);
    }
    world.have_linked(most).await;
    world.settle().await;
    let [few, .., _] = &single;
    let base = Times::of(few.took.clone()).percentile(50);
    println!("\nsingle taps, {taps} x {rounds} with each number of desks, one each 50 ms");
    println!(
        "desks   acknowledged: median     p99   ratio   append+fdatasync   hub's processor: a tap   idle"
    );
    for (many, it) in NUMBERS.iter().zip(&single) {
        let (took, disk) = (Times::of(it.took.clone()), Times::of(it.peer.clone()));
        println!(
            "{many:5}               {:6.2} ms {:6.2} ms  {:5.2}          {:6.2} ms              {:6.2} ms  {:5.2} %",
            took.percentile(50),
            took.percentile(99),
            took.percentile(50) / base,
            disk.percentile(50),
            median(&it.each) * 1e3,
            median(&it.idle) * 1e2,
        );
    }
    println!(
        "\n100 desks with {AT_ONCE} taps each at once   {:6.0} a second (77 seen in 0.1)",
        median(&at_once)
    );
    println!(
        "one desk, {FLAT_OUT} taps flat out           {:6.0} a second (target 2,000)",
        median(&flat_out)
    );
    let [few, .., many] = &single;
    #[allow(clippy::cast_precision_loss, reason = "few desks")]
    let each = (many.resident_kib - few.resident_kib) / (NUMBERS[2] - NUMBERS[0]) as f64;
    println!(
        "the hub's memory behind the first single taps   {:.1} MiB with {} desks, {:.1} with {most}: {each:.1} KiB for each desk",
        few.resident_kib / 1024.0,
        NUMBERS[0],
        many.resident_kib / 1024.0
    );
    println!(
        "the same after all of that, with {most}   {:.1} MiB",
        resident_kib(world.hub.process()) / 1024.0
    );
    world.have_linked(0).await;
    world.hub.stop();
    let (_, db) = database(&world.hub).await;
    let counted = sql("SELECT COUNT(*) AS found FROM entry WHERE outcome = 'counted'");
    let all = sql("SELECT COUNT(*) AS found FROM entry");
    let mut reading = db.read().await.expect("it reads");
    let counted: Option<i64> = reading.value(counted).await.expect("it reads");
    let all: Option<i64> = reading.value(all).await.expect("it reads");
    println!("entries at the hub: {}, of which counted {}", all.unwrap_or(0), counted.unwrap_or(0));
}
