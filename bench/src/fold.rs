//! How many entries are folded in a second on one core: in memory, and at the hub from the bytes of a
//! desk's batches to accounts, beside the engine's own bulk insert. The peer of the first is what no fold can do without: decoding the entries
//! and sorting them.

use std::hint::black_box;
use std::time::Instant;

use crdt_model::account::{Account, Limits, Placed, fold};
use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{ActivityId, CouponId, DeviceId, PassId, RewardId, VenueId, Writer};
use crdt_model::ledger::{Ledger, LedgerId};
use crdt_model::limits::{PeriodLimit, PeriodType};
use crdt_model::receipt::Receipt;
use crdt_model::time::{Calendar, UnixMillis, day_number};
use hub::db::{Db, HubFolder, Value, sql};
use hub::ledgers::Taken;
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
const IN_A_BATCH: u64 = 2_000;

/// Entries in one list.
const IN_A_LIST: u64 = 20_000;

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

/// The engine's own bulk insert of the rows that the batches become, one commit a batch: no judging, no account, no
/// record, no number.
async fn bulk_insert(db: &Db, entries: u64, passes: u64) -> f64 {
    let writer = Writer { device: DeviceId([8; 16]), epoch: 1 };
    let begun = Instant::now();
    for begin in (0..entries).step_by(usize::try_from(IN_A_BATCH).unwrap_or(1)) {
        let rows = (begin..begin + IN_A_BATCH).map(|n| {
            let entry = entry_of(n, passes);
            let day = "2026-11-21".parse().expect("a day");
            let bytes = entry.encode(day, &writer);
            vec![
                VENUE.into(),
                day_number(day).into(),
                writer.to_bytes().into(),
                n.into(),
                (1 + n * 7919 % passes).into(),
                bytes.into(),
                entry.at.0.into(),
                "check-in".into(),
                1u32.into(),
                1i64.into(),
                entry.at.0.into(),
                "counted".into(),
            ]
        });
        let insert = "WITH given (venue, day, writer, idx, pass, bytes, received, kind, activity,
                 points, at, outcome) AS (:rows)
             INSERT INTO entry (venue, day, writer, idx, pass, bytes, received, kind, activity,
                 points, at, outcome)
             SELECT * FROM given";
        let rows: Vec<Vec<Value>> = rows.collect();
        db.write_one(sql(insert).rows(rows)).await.expect("they are written");
    }
    begun.elapsed().as_secs_f64()
}

fn entry_of(n: u64, passes: u64) -> Entry {
    let at = UnixMillis(1_795_258_800_000 + i64::try_from(n).unwrap_or(0));
    let fact = Fact::CheckIn { activity: ActivityId(1), points: 1 };
    Entry { at, subject: Subject::Pass(PassId(1 + n * 7919 % passes)), fact }
}

/// The hub, from the bytes of sealed batches to accounts, one commit a batch; beside it the engine's own bulk insert of
/// the same rows.
async fn at_the_hub(entries: u64, passes: u64, postgres: Option<&str>) {
    let engine = if postgres.is_some() { "PostgreSQL" } else { "SQLite" };
    let world = tempfile::tempdir_in(".").expect("this folder can be written");
    let db = database(world.path(), postgres).await;
    let passes_there = u32::try_from(passes).unwrap_or(u32::MAX);
    let file = hub::import::read(&catalogue(passes_there, 0)).expect("a catalogue");
    let begun = Instant::now();
    hub::import::import(&db, &file).await.expect("it is taken");
    println!("{engine}: {passes} passes imported in {:.1} s", begun.elapsed().as_secs_f64());
    let key = DeviceKey::from_seed(&[7; 32]).expect("32 bytes");
    let venue: VenueId = VENUE.parse().expect("a venue");
    let invitation = hub::registry::invite(&db, &venue, "Balie", Vec::new(), &[0; 32])
        .await
        .expect("the venue is there");
    hub::registry::enrol(&db, &invitation.token, key.public_key())
        .await
        .expect("the hub works")
        .expect("the invitation is new");
    let day: Date = "2026-11-21".parse().expect("a day");
    let id = LedgerId { venue: venue.clone(), day };
    let mut ledger = Ledger::new(id.clone());
    let mut batches = Vec::new();
    let of_all = (0..entries).step_by(usize::try_from(IN_A_BATCH).unwrap_or(1));
    for begin in of_all {
        // A list has its bounds: several runs of the desk.
        let epoch = u32::try_from(1 + begin / IN_A_LIST).unwrap_or(u32::MAX);
        let writer = Writer { device: key.device(), epoch };
        let first = 1 + begin % IN_A_LIST;
        let bytes: Vec<Vec<u8>> =
            (begin..begin + IN_A_BATCH).map(|n| entry_of(n, passes).encode(day, &writer)).collect();
        let extension =
            ledger.extension(writer, first, bytes.iter().map(Vec::as_slice)).expect("they follow");
        ledger.extend(&extension).expect("they are the next");
        batches.push(Batch {
            day: day_number(day),
            writer: writer.into(),
            first,
            entries: pack(bytes.iter().map(Vec::as_slice)).0,
            seal: key.seal(&id, &writer, &extension.head()),
            public_key: key.public_key().to_vec(),
        });
    }
    let begun = Instant::now();
    for batch in &batches {
        let taken = hub::ledgers::take(&db, &venue, key.device(), batch).await;
        assert!(matches!(taken, Ok(Taken::Held { new: true, .. })), "{taken:?}");
    }
    let took = begun.elapsed().as_secs_f64();
    let count = f64::from(u32::try_from(entries).unwrap_or(u32::MAX));
    println!(
        "at the hub, {engine:12}{:12.0} entries a second ({count:.0} of {passes} passes, {} commits)",
        count / took,
        batches.len()
    );
    let peer = bulk_insert(&db, entries, passes).await;
    println!("its own bulk insert     {:12.0} rows a second", count / peer);
    println!("ratio                   {:12.2}", took / peer);
    db.close().await;
}

pub(crate) async fn measure(entries: u32) {
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
    at_the_hub(200_000, 50_000, None).await;
    match std::env::var("STEMPEL_TEST_POSTGRES") {
        Ok(server) => at_the_hub(200_000, 50_000, Some(&server)).await,
        Err(_) => println!("PostgreSQL: not measured, STEMPEL_TEST_POSTGRES names none"),
    }
}
