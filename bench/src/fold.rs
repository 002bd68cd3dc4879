//! How many entries are folded in a second on one core: in memory, and at the hub from the bytes of a
//! desk's batches to accounts, beside the engine's own bulk insert. The peer of the first is what no fold can do without: decoding the entries
//! and sorting them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crdt_model::account::{Account, Limits, Placed, fold};
use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{ActivityId, CouponId, DeviceId, PassId, RewardId, VenueId, Writer};
use crdt_model::ledger::{Extension, LedgerId, Position};
use crdt_model::limits::{PeriodLimit, PeriodType};
use crdt_model::receipt::Receipt;
use crdt_model::time::{Calendar, UnixMillis, day_number};
use hub::db::{Db, HubFolder, Value, sql};
use hub::ledgers::{Taken, Taker};
use jiff::civil::Date;
use stempel_tests::{VENUE, catalogue};
use sync_protocol::batch::pack;
use sync_protocol::message::Batch;
use sync_protocol::seal::DeviceKey;

/// Entries of one pass in one fold: those of a regular visitor in a year.
const OF_A_PASS: u32 = 50;

struct Daily;

impl Limits for Daily {
    fn checkin_limit(&self, _: ActivityId) -> Option<PeriodLimit> {
        Some(PeriodLimit { volume: 1, period_type: PeriodType::Day })
    }
    fn redeem_constraint(&self, _: RewardId) -> Option<PeriodLimit> {
        Some(PeriodLimit { volume: 1, period_type: PeriodType::Week })
    }
    fn ticket_limit(&self, _: ActivityId) -> Option<PeriodLimit> {
        None
    }
    fn coupon_limit(&self, _: CouponId) -> Option<PeriodLimit> {
        None
    }
}

/// A pass's year, as the bytes that stand in ledgers.
fn year_of(pass: u64, day: Date, writer: &Writer) -> Vec<(EntryRef, Vec<u8>)> {
    (0..OF_A_PASS)
        .map(|n| {
            let fact = match n % 10 {
                7 => Fact::Visit,
                9 => Fact::Redemption { reward: RewardId(2), points: 5, unit: None },
                _ => Fact::CheckIn { activity: ActivityId(1 + n % 3), points: 1 },
            };
            // Shuffled in time: entries of several desks do not come in order.
            let at = 1_767_222_000_000 + i64::from(n * 37 % OF_A_PASS) * 7 * 86_400_000;
            let entry = Entry { at: UnixMillis(at), subject: Subject::Pass(PassId(pass)), fact };
            (EntryRef { day, writer: *writer, index: u64::from(n) }, entry.encode(day, writer))
        })
        .collect()
}

/// Entries in one batch: what a desk sends at once after a day on its own.
const IN_A_BATCH: u32 = 2_000;

/// Entries in one list.
const IN_A_LIST: u32 = 20_000;

/// Desks that come back at once.
const DESKS: u32 = 8;

/// The day of all entries.
const DAY: Date = jiff::civil::date(2026, 11, 21);

/// A database for the measurement: SQLite in this folder, or a fresh schema at the address that
/// `STEMPEL_TEST_POSTGRES` names.
async fn database(world: &std::path::Path, postgres: Option<&str>) -> Db {
    let folder = HubFolder::create(world).expect("it can be made");
    let Some(server) = postgres else { return folder.database().await.expect("it opens") };
    let plain = folder.clone().with_database(Some(server.to_owned()));
    let mut writing = plain.database().await.expect("it opens").write().await.expect("it writes");
    for text in ["DROP SCHEMA IF EXISTS bench CASCADE", "CREATE SCHEMA bench"] {
        writing.execute(sql(text)).await.expect("a schema can be made");
    }
    writing.commit().await.expect("it commits");
    let join = if server.contains('?') { '&' } else { '?' };
    let address = format!("{server}{join}options[search_path]=bench");
    folder.with_database(Some(address)).database().await.expect("it opens")
}

/// The processor time of this process until now, of all its threads, in seconds.
fn processor() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default().as_secs_f64()
}

/// What something took.
struct Took {
    wall: f64,
    processor: f64,
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Took) {
    let (begun, used) = (Instant::now(), processor());
    let done = work.await;
    (done, Took { wall: begun.elapsed().as_secs_f64(), processor: processor() - used })
}

/// The engine's own bulk insert of the rows that the batches become, so many to a commit: no judging, no account, no
/// record, no number.
async fn bulk_insert(db: &Db, entries: u32, passes: u32, to_a_commit: u32) {
    let writer = Writer { device: DeviceId([8; 16]), epoch: 1 };
    for begin in (0..entries).step_by(usize::try_from(to_a_commit).unwrap_or(1)) {
        let rows = (begin..entries.min(begin + to_a_commit)).map(|n| {
            let entry = entry_of(n, passes);
            vec![
                1_000_000u32.into(),
                n.into(),
                pass_of(n, passes).into(),
                entry.encode(DAY, &writer).into(),
                entry.at.0.into(),
                "check-in".into(),
                1u32.into(),
                1i64.into(),
                entry.at.0.into(),
                "counted".into(),
            ]
        });
        let insert = "WITH given (list, idx, pass, bytes, received, kind, activity, points, at, outcome)
                 AS (:rows)
             INSERT INTO entry (list, idx, pass, bytes, received, kind, activity, points, at, outcome)
             SELECT * FROM given";
        let rows: Vec<Vec<Value>> = rows.collect();
        db.write_one(sql(insert).rows(rows)).await.expect("they are written");
    }
}

/// Who comes n-th: everybody once before anybody comes again, and neighbours in time are not neighbours in the
/// database. The 7,919 is a prime.
fn pass_of(n: u32, passes: u32) -> u64 {
    1 + u64::from(n) * 7919 % u64::from(passes)
}

fn entry_of(n: u32, passes: u32) -> Entry {
    let at = UnixMillis(1_795_258_800_000 + i64::from(n));
    let fact = Fact::CheckIn { activity: ActivityId(1), points: 1 };
    Entry { at, subject: Subject::Pass(PassId(pass_of(n, passes))), fact }
}

/// Enrolled desks of one venue, and the batches of each.
async fn desks(db: &Db, venue: &VenueId, many: u32, entries: u32, passes: u32) -> Vec<Vec<Batch>> {
    let ledger = LedgerId { venue: venue.clone(), day: DAY };
    let mut desks = Vec::new();
    for desk in 0..many {
        let seed = [u8::try_from(100 + desk).unwrap_or_default(); 32];
        let key = DeviceKey::from_seed(&seed).expect("32 bytes");
        let invitation = hub::registry::invite(db, venue, "Balie", Vec::new(), &[0; 32])
            .await
            .expect("the venue is there");
        hub::registry::enrol(db, &invitation.token, key.public_key())
            .await
            .expect("the hub works")
            .expect("the invitation is new");
        let own = entries / many;
        let begins = (0..own).step_by(usize::try_from(IN_A_BATCH).unwrap_or(1));
        let mut held = Position::default();
        let batches = begins.map(|begin| {
            // A list has its bounds: several runs of the desk.
            let writer = Writer { device: key.device(), epoch: 1 + begin / IN_A_LIST };
            let first = u64::from(1 + begin % IN_A_LIST);
            let of_all = desk * own..(desk + 1) * own;
            let of_it = of_all.skip(begin as usize).take(IN_A_BATCH as usize);
            let bytes: Vec<Vec<u8>> =
                of_it.map(|n| entry_of(n, passes).encode(DAY, &writer)).collect();
            if first == 1 {
                held = Position::default();
            }
            let bytes_of_it = bytes.iter().map(Vec::as_slice);
            let extension =
                Extension::behind(&ledger, writer, held, first, bytes_of_it).expect("they follow");
            held = extension.head();
            Batch {
                day: day_number(DAY),
                writer: writer.into(),
                first,
                entries: pack(bytes.iter().map(Vec::as_slice)).0,
                seal: key.seal(&ledger, &writer, &extension.head()),
                public_key: key.public_key().to_vec(),
            }
        });
        desks.push(batches.collect());
    }
    desks
}

/// Takes all batches: those of a desk one after the other, the desks at once. How many commits that were.
async fn take(db: &Db, venue: &VenueId, desks: Vec<Vec<Batch>>) -> u32 {
    let taker = Taker::new(db.clone());
    let mut tasks = tokio::task::JoinSet::new();
    for batches in desks {
        let (taker, venue) = (taker.clone(), venue.clone());
        tasks.spawn(async move {
            let mut numbers = Vec::new();
            for batch in &batches {
                let taken = taker.take(&venue, batch.writer.writer().device, batch).await;
                let taken = taken.expect("the hub works");
                assert!(matches!(taken.taken, Taken::Held { new: true, .. }), "{taken:?}");
                numbers.extend(taken.number);
            }
            numbers
        });
    }
    // Each commit has reached another number.
    let mut numbers = std::collections::BTreeSet::new();
    while let Some(of_desk) = tasks.join_next().await {
        numbers.extend(of_desk.expect("a desk does not panic"));
    }
    u32::try_from(numbers.len()).unwrap_or(u32::MAX)
}

/// The hub, from the bytes of sealed batches to accounts; beside it the engine's own bulk insert of the same rows, as
/// many to a commit.
async fn at_the_hub(many: u32, entries: u32, passes: u32, postgres: Option<&str>) {
    let engine = if postgres.is_some() { "PostgreSQL" } else { "SQLite" };
    let world = tempfile::tempdir_in(".").expect("this folder can be written");
    let db = database(world.path(), postgres).await;
    let file = hub::import::read(&catalogue(passes, 0)).expect("a catalogue");
    let (imported, took) = timed(hub::import::import(&db, &file)).await;
    imported.expect("it is taken");
    println!(
        "{engine}: {passes} passes imported in {:.1} s; desks that come back: {many}",
        took.wall
    );
    let venue: VenueId = VENUE.parse().expect("a venue");
    let batches = desks(&db, &venue, many, entries, passes).await;
    let (commits, took) = timed(take(&db, &venue, batches)).await;
    let to_a_commit = entries / commits.max(1);
    let ((), peer) = timed(bulk_insert(&db, entries, passes, to_a_commit)).await;
    let count = f64::from(entries);
    println!(
        "taken at the hub        {:12.0} entries a second, {:.1} us of this process's processor each ({entries} entries, {commits} commits)",
        count / took.wall,
        took.processor / count * 1e6
    );
    println!(
        "its own bulk insert     {:12.0} rows a second, {:.1} us",
        count / peer.wall,
        peer.processor / count * 1e6
    );
    println!(
        "ratio                   {:12.2}, of processor time {:.2}",
        took.wall / peer.wall,
        took.processor / peer.processor
    );
    db.close().await;
}

pub(crate) async fn measure(entries: u32, kept: u32, passes_kept: u32) {
    let calendar = Calendar::of("Europe/Brussels").expect("the bundled database has it");
    let day: Date = "2026-11-21".parse().expect("a day");
    let venue: VenueId = "museum-de-reede".parse().expect("a venue");
    let writer = Writer { device: DeviceId([7; 16]), epoch: 1 };
    let passes: Vec<_> =
        (0..entries.div_ceil(OF_A_PASS)).map(|n| year_of(u64::from(n), day, &writer)).collect();
    let count = f64::from(entries.div_ceil(OF_A_PASS) * OF_A_PASS);
    let decoded = |year: &[(EntryRef, Vec<u8>)]| -> Vec<Placed> {
        year.iter()
            .filter_map(|(place, bytes)| {
                let entry = Entry::decode(bytes, day, &writer).ok()?;
                let receipt = Some(Receipt { at: entry.at, not_before: None });
                let (venue, place) = (venue.clone(), *place);
                Some(Placed { venue, place, first_place: None, entry, included: false, receipt })
            })
            .collect()
    };

    let begun = Instant::now();
    for year in &passes {
        let mut placed = decoded(year);
        placed.sort_by_key(|it| (it.entry.at, it.place));
        black_box(placed);
    }
    let peer = begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    let mut points = 0;
    for year in &passes {
        points += fold(&Account::default(), decoded(year), &Daily, &calendar).account.points();
    }
    let folded = begun.elapsed().as_secs_f64();
    println!("{count:.0} entries of {} passes, one core; {points} points", passes.len());
    println!("decoded and sorted      {:12.0} entries a second", count / peer);
    println!("decoded and folded      {:12.0} entries a second", count / folded);
    println!("ratio                   {:12.2}", folded / peer);
    let server = std::env::var("STEMPEL_TEST_POSTGRES").ok();
    for many in [1, DESKS] {
        at_the_hub(many, kept, passes_kept, None).await;
        match &server {
            Some(server) => at_the_hub(many, kept, passes_kept, Some(server)).await,
            None => println!("PostgreSQL: not measured, STEMPEL_TEST_POSTGRES names none"),
        }
    }
}
