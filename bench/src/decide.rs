//! One decision with half a million passes on the desk, beside one with a thousand: the ratio says what
//! the number of passes costs. And how long a daemon takes to its first verdict, with how much memory; the peer is sled
//! alone, which opens a copy of the same files.

use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crdt_model::account::Account;
use crdt_model::authenticity::Authenticity;
use crdt_model::catalogue::{
    Activity, Card, CardName, CardStatus, Item, LookupKey, Membership, MembershipStatus,
    PassRecord, Policy, Programme,
};
use crdt_model::decide::{self, Here, Standing};
use crdt_model::ids::{ActivityId, CardSystemId, Identification, PassId, VenueId};
use crdt_model::time::{Calendar, UnixMillis};
use stempel_tests::{ACTIVITY, Desk, Hub, VENUE, catalogue, pass_number};
use syncd::enrolment::Enrolment;
use syncd::paths::DeskFolder;
use syncd::store::Store;

use crate::measure::Times;

/// Items in one page, as the hub sends them.
const PAGE: u32 = 1000;

/// Starts of the daemon that are measured. It is killed between them.
const STARTS: u32 = 7;

/// Decisions that are measured.
const DECISIONS: u32 = 20_000;

fn record(n: u32, card: &Identification, lookup: &LookupKey) -> PassRecord {
    PassRecord {
        memberships: vec![Membership {
            card_system: CardSystemId(1),
            status: MembershipStatus::Active,
            ends: None,
            suspended_until: None,
            social_tariff: None,
        }],
        telling_digits: "0959".to_owned(),
        cards: vec![Card { name: CardName(lookup.card_key(card)), status: CardStatus::Active }],
        account: Account { earned: u64::from(n % 200), ..Account::default() },
        ..PassRecord::new(PassId(u64::from(n) + 1), Programme::Uitpas)
    }
}

fn card(n: u32) -> Identification {
    pass_number(n).parse().expect("a number is one")
}

fn fill(store: &mut Store, passes: u32, lookup: &LookupKey) {
    for first in (0..passes).step_by(PAGE as usize) {
        let page = first..passes.min(first + PAGE);
        let items: Vec<Item> = page.map(|n| Item::Pass(record(n, &card(n), lookup))).collect();
        let version = u64::from(first + PAGE);
        store.apply(&items, version, version).expect("the store takes it");
    }
    store.flush().expect("the store is written out");
}

/// Look-up, account and decision, in turn for passes all over the list.
fn decisions(store: &Store, passes: u32, lookup: &LookupKey) -> Times {
    let calendar = Calendar::of("Europe/Brussels").expect("the bundled database has it");
    let (policy, venue): (_, VenueId) = (Policy::default(), VENUE.parse().expect("a venue"));
    let activity = Activity::new(ActivityId(1), ACTIVITY, "Festiviteit", venue.clone());
    let now = UnixMillis(1_795_258_800_000);
    let here = Here { venue: &venue, policy: &policy, calendar: &calendar, now, hour_known: true };
    let times = (0..DECISIONS).map(|n| {
        // A step that shares no factor with round numbers: every look-up is elsewhere.
        let n = n.wrapping_mul(7919) % passes;
        let card = card(n);
        let begun = Instant::now();
        let name = lookup.card_key(&card);
        let record = store.pass_of_card(&name).expect("it reads").expect("it is there");
        let standing = Standing {
            record: &record,
            card: record.card_status(&CardName(name)),
            account: &record.account,
            age: 0,
            authenticity: Authenticity::UidOnly,
        };
        assert!(black_box(decide::check_in(standing, &activity, &here)).is_ok());
        begun.elapsed()
    });
    Times::of(times.collect())
}

/// Copies sled's files, durably: otherwise the first sync after it would write all of them.
fn copy(files: &Path, to: &Path) {
    fs::create_dir_all(to.join("blobs")).expect("this folder can be written");
    for file in fs::read_dir(files).expect("it is there").flatten() {
        if file.path().is_file() {
            let to = to.join(file.file_name());
            fs::copy(file.path(), &to).expect("it can be copied");
            File::open(to).and_then(|it| it.sync_all()).expect("the disk works");
        }
    }
}

/// How long sled takes to open these files.
fn sled_alone(files: &Path) -> Duration {
    let begun = Instant::now();
    let opened = sled::Config::new().path(files).cache_capacity(16 * 1024 * 1024).open();
    let took = begun.elapsed();
    // As a desk does, so that there is something to replay at the next start.
    let opened = opened.expect("it opens");
    opened.insert(b"start", &begun.elapsed().as_nanos().to_be_bytes()[..]).expect("it writes");
    took
}

pub(crate) async fn measure(passes: u32) {
    let world = tempfile::tempdir_in(".").expect("this folder can be written");
    let hub = Hub::start(world.path(), &catalogue(1, 0));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    desk.stop();
    drop(hub);
    let folder = DeskFolder::new(&desk.folder);
    let lookup = LookupKey(Enrolment::read(&folder).expect("it is enrolled").lookup_key);

    let mut few = Store::open(&world.path().join("few"), Arc::default());
    fill(&mut few, PAGE, &lookup);
    let few = decisions(&few, PAGE, &lookup);

    let begun = Instant::now();
    let many = {
        let mut store = Store::open(&folder.store(), Arc::default());
        fill(&mut store, passes, &lookup);
        println!("{passes} passes stored in {:.1} s", begun.elapsed().as_secs_f64());
        decisions(&store, passes, &lookup)
    };
    println!("look-up, account, decision        median         p99");
    for (name, times) in [(PAGE, &few), (passes, &many)] {
        let (median, tail) = (times.percentile(50), times.percentile(99));
        println!("{name:>9} passes             {:8.1} µs {:8.1} µs", median * 1e3, tail * 1e3);
    }
    println!("ratio                        {:8.2}", many.percentile(50) / few.percentile(50));

    let (mut starts, mut alone) = (Vec::new(), Vec::new());
    let copied = world.path().join("alone");
    copy(&folder.store().join("1"), &copied);
    for start in 0..STARTS {
        alone.push(sled_alone(&copied));
        let begun = Instant::now();
        desk.go();
        let number = pass_number(passes / 2 + start);
        let answer = desk.client.tap(&number).await.expect("the desk answers");
        starts.push(begun.elapsed());
        assert!(answer.entry.is_some(), "{answer:?}");
        if start + 1 < STARTS {
            desk.kill();
        }
    }
    let first = starts[0].as_secs_f64() * 1e3;
    let (starts, alone) = (Times::of(starts), Times::of(alone));
    println!("{STARTS} starts, killed between them   median       most");
    let row = |name: &str, times: &Times| {
        println!("{name:29} {:6.0} ms  {:6.0} ms", times.percentile(50), times.percentile(100));
    };
    row("daemon start to first verdict", &starts);
    row("sled alone, opened", &alone);
    println!("the first of them, on a list that was just filled: {first:.0} ms (target 200)");
    for n in 0..2000 {
        desk.client.pass(&pass_number(n * 7919 % passes)).await.expect("the desk answers");
    }
    println!("resident memory after 2,000 look-ups  {:.0} MiB (target 96)", desk.resident_mib());
}
