//! How many entries are folded in a second on one core: in memory, and at the hub from the bytes of a
//! desk's batches to accounts on SQLite. The peer is what no fold can do without: decoding the entries
//! and sorting them.

use std::hint::black_box;
use std::time::Instant;

use crdt_model::account::{Account, Limits, Placed, fold};
use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{ActivityId, CouponId, DeviceId, PassId, RewardId, VenueId, Writer};
use crdt_model::limits::{PeriodLimit, PeriodType};
use crdt_model::time::{Calendar, UnixMillis};
use jiff::civil::Date;

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

pub(crate) fn measure(entries: u32) {
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
                Some(Placed { venue: venue.clone(), place: *place, entry, included: false })
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
}
