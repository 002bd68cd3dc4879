//! Whose time an entry has, and when the hub doubts its own clock (DESIGN, "What counts"; invariant 3).

use crdt_model::account::{Account, Limited};
use crdt_model::catalogue::{Item, PassRecord};
use crdt_model::entry::{Entry, EntryRef};
use crdt_model::ids::{ActivityId, DeviceId, Writer};
use crdt_model::limits::PeriodType;
use crdt_model::time::{Calendar, UnixMillis, date_of_day_number, day_number};
use hub::clock::{self, Doubt};
use hub::db::wall_clock;
use hub::db::{Db, sql};
use hub::ledgers::{TIME_ZONE, Taken, take};
use sync_protocol::message::{HubMessage, PROTOCOL_VERSION};
use tempfile::TempDir;

use crate::desk::{TestDesk, check_in, execute, hub_with_passes, points, put_list, today, venue};
use crate::sessions::{RunningHub, ask, hello};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

async fn hub_and_desks<const N: usize>() -> (TempDir, Db, [TestDesk; N]) {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    let mut desks = Vec::new();
    for n in 0..N {
        desks.push(TestDesk::enrolled(&db, &format!("Balie {n}")).await);
    }
    let Ok(desks) = desks.try_into() else { unreachable!("there are {N}") };
    (folder, db, desks)
}

/// A check-in of this pass, so long after now.
fn check_in_at(pass: u64, from_now: i64) -> Entry {
    Entry { at: wall_clock().plus(from_now), ..check_in(pass, 0) }
}

/// Has the hub take a desk's newest entry.
async fn take_last(db: &Db, desk: &TestDesk) {
    let last = desk.ledger.position(&desk.writer).sequence;
    let taken = take(db, &venue(), desk.key.device(), &desk.batch(last, last)).await.unwrap();
    assert_eq!(taken, Taken::Held { sequence: last, new: true });
}

/// The account of a pass, as desks get it.
async fn record(db: &Db, pass: u64) -> PassRecord {
    let items = crate::desk::catalogue(db).await;
    let found = items.into_iter().find_map(|item| match item {
        Item::Pass(record) if record.pass.0 == pass => Some(record),
        _ => None,
    });
    found.unwrap()
}

/// How often a pass checked in so long after now, on that day.
fn times(account: &Account, from_now: i64) -> u32 {
    let day = Calendar::of(TIME_ZONE).unwrap().day(wall_clock().plus(from_now));
    account.times(&Limited::CheckIn(ActivityId(1)), PeriodType::Day.window(day))
}

#[tokio::test]
async fn an_entry_that_is_dated_two_days_ahead_counts_on_the_day_of_its_receipt() {
    let (_folder, db, [mut ahead, mut right]) = hub_and_desks().await;
    ahead.append(check_in_at(1, 2 * DAY));
    take_last(&db, &ahead).await;
    let account = record(&db, 1).await.account;
    assert_eq!((times(&account, 0), times(&account, 2 * DAY)), (1, 0));
    right.append(check_in_at(1, 0));
    take_last(&db, &right).await;
    assert_eq!(points(&db, 1).await, 1, "one pass, one day, two desks: one point");
    let said = hub::report::ledger(&db, &venue(), today()).await.unwrap();
    assert_eq!(said.iter().filter(|entry| entry.counts_at < entry.at).count(), 1);
}

#[tokio::test]
async fn an_entry_of_1970_counts_on_the_day_of_its_receipt() {
    let (_folder, db, [mut desk]) = hub_and_desks().await;
    desk.append(Entry { at: UnixMillis(120_000), ..check_in(1, 0) });
    take_last(&db, &desk).await;
    assert_eq!(times(&record(&db, 1).await.account, 0), 1);
}

/// A desk may be without internet for weeks, and its times be right.
#[tokio::test]
async fn an_entry_of_weeks_ago_counts_when_it_says_unless_the_hub_held_all_since() {
    let (_folder, db, [mut desk]) = hub_and_desks().await;
    desk.append(check_in_at(1, -20 * DAY));
    take_last(&db, &desk).await;
    let account = record(&db, 1).await.account;
    assert_eq!((times(&account, -20 * DAY), times(&account, 0)), (1, 0));

    let device = desk.key.device();
    // A desk whose clock is off proves nothing by having nothing to send.
    clock::note_desk_clock(&db, device, wall_clock().plus(-2 * DAY), true).await.unwrap();
    desk.append(check_in_at(2, -2 * DAY));
    take_last(&db, &desk).await;
    assert_eq!(times(&record(&db, 2).await.account, -2 * DAY), 1);

    clock::note_desk_clock(&db, device, wall_clock(), true).await.unwrap();
    desk.append(check_in_at(3, -2 * DAY));
    take_last(&db, &desk).await;
    let account = record(&db, 3).await.account;
    assert_eq!((times(&account, -2 * DAY), times(&account, 0)), (0, 1), "it was written since");
}

#[tokio::test]
async fn the_first_receipt_counts_and_a_repeat_changes_nothing() {
    let (_folder, db, [mut desk]) = hub_and_desks().await;
    desk.append(check_in_at(1, 0));
    take_last(&db, &desk).await;
    let receipts = || async {
        let select = sql("SELECT received, not_before FROM entry");
        let rows = db.read().await.unwrap().all(select).await.unwrap();
        let all =
            rows.iter().map(|row| (row.get("received").unwrap(), row.get("not_before").unwrap()));
        all.collect::<Vec<(Option<i64>, Option<i64>)>>()
    };
    let first = receipts().await;
    assert!(first[0].0.is_some());
    // Later, and by a hub that since knows better from when the entry can be.
    execute(&db, sql("UPDATE accepted SET received = received + 1000")).await;
    clock::note_desk_clock(&db, desk.key.device(), wall_clock(), true).await.unwrap();
    let again = take(&db, &venue(), desk.key.device(), &desk.batch(1, 1)).await.unwrap();
    assert_eq!(again, Taken::Held { sequence: 1, new: false });
    assert_eq!(receipts().await, first);
}

#[tokio::test]
async fn a_hub_whose_clock_is_before_its_newest_receipt_doubts_it_until_an_operator_trusts_it() {
    let (_folder, db, [mut desk]) = hub_and_desks().await;
    desk.append(check_in_at(1, 0));
    take_last(&db, &desk).await;
    assert_eq!(clock::doubt(&db).await.unwrap(), None);
    // As if it had been received when the clock was two days ahead, or the clock was put back since.
    let ahead = sql("UPDATE accepted SET received = received + $1").bind(2 * DAY);
    execute(&db, ahead).await;
    let doubt = clock::doubt(&db).await.unwrap();
    assert!(matches!(doubt, Some(Doubt::BeforeNewestReceipt { .. })), "{doubt:?}");

    // Nobody knows the time: entries count when they say, and receipts do not go back.
    desk.append(check_in_at(2, DAY));
    take_last(&db, &desk).await;
    assert_eq!(times(&record(&db, 2).await.account, DAY), 1);
    let select = sql("SELECT received FROM accepted ORDER BY version");
    let rows = db.read().await.unwrap().all(select).await.unwrap();
    let receipts: Vec<i64> = rows.iter().map(|row| row.get("received").unwrap()).collect();
    assert!(receipts.is_sorted(), "{receipts:?}");

    clock::trust(&db).await.unwrap();
    assert_eq!(clock::doubt(&db).await.unwrap(), None);
    desk.append(check_in_at(3, DAY + HOUR));
    take_last(&db, &desk).await;
    assert_eq!(times(&record(&db, 3).await.account, 0), 1, "receipts bound entries again");
}

#[tokio::test]
async fn three_desks_that_agree_put_the_hubs_clock_in_doubt_and_the_doubt_ends_when_they_agree_with_it()
 {
    let (_folder, db, [mut desk, two, three, revoked]) = hub_and_desks().await;
    hub::registry::revoke(&db, revoked.key.device()).await.unwrap();
    let say = async |desk: &TestDesk, offset| {
        let clock = wall_clock().plus(offset);
        clock::note_desk_clock(&db, desk.key.device(), clock, false).await.unwrap();
    };
    say(&revoked, 2 * DAY).await;
    say(&desk, 2 * DAY).await;
    say(&two, 2 * DAY).await;
    assert_eq!(clock::doubt(&db).await.unwrap(), None, "two desks prove nothing");
    say(&three, 2 * DAY).await;
    let doubt = clock::doubt(&db).await.unwrap();
    assert!(matches!(doubt, Some(Doubt::DesksDisagree { desks: 3, .. })), "{doubt:?}");

    // The hub is behind, and its desks are right: their entries count when they say.
    desk.append(check_in_at(1, 2 * DAY));
    take_last(&db, &desk).await;
    assert_eq!(times(&record(&db, 1).await.account, 2 * DAY), 1);

    for desk in [&desk, &two, &three] {
        say(desk, 0).await;
    }
    assert_eq!(clock::doubt(&db).await.unwrap(), None);
    let offsets = hub::registry::devices(&db).await.unwrap();
    assert!(
        offsets.iter().filter(|it| !it.revoked).all(|it| it.clock_offset.unwrap().abs() < HOUR)
    );
}

/// A page says of every entry, listed or older, that the record includes it; and of no entry of a new
/// day. Which lists are new no clock says.
#[tokio::test]
async fn a_record_says_of_each_entry_that_it_includes_it_however_many_lists_there_are() {
    let (_folder, db, [desk]) = hub_and_desks().await;
    let first = day_number(today());
    let place = |n: i32| EntryRef {
        day: date_of_day_number(first + n).unwrap(),
        writer: Writer { device: DeviceId(desk.key.device().0), epoch: n.unsigned_abs() },
        index: 3,
    };
    for n in 0..60 {
        let EntryRef { day, writer, .. } = place(n);
        let list = i64::from(n);
        put_list(&db, list, day_number(day), writer.to_bytes()).await;
        let insert = "INSERT INTO entry (list, idx, pass, bytes) VALUES ($1, 3, 1, $2)";
        let insert = sql(insert).bind(list).bind(check_in(1, 0).encode(day, &writer));
        execute(&db, insert).await;
    }
    let record = record(&db, 1).await;
    assert_eq!(record.folded.len(), 32);
    for n in 0..60 {
        assert!(record.includes(&place(n), true), "list {n}");
        let next = EntryRef { index: 4, ..place(n) };
        assert_eq!(record.includes(&next, true), n < 28, "what came since into list {n}");
        assert!(!record.includes(&next, false));
    }
    assert!(!record.includes(&place(60), true));
    assert!(self::record(&db, 2).await.folded.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_doubts_its_clock_says_so_in_its_welcome() {
    let hub = RunningHub::start().await;
    let mut desk = TestDesk::enrolled(&hub.db, "Balie").await;
    desk.append(check_in_at(1, 0));
    take_last(&hub.db, &desk).await;
    let doubtful = async || match ask(&hub, &desk, hello(PROTOCOL_VERSION)).await {
        HubMessage::Welcome(welcome) => welcome.clock_doubtful,
        other => panic!("{other:?}"),
    };
    assert!(!doubtful().await);
    // Its clock is put back by two days.
    let back = sql("UPDATE accepted SET received = received + $1").bind(2 * DAY);
    execute(&hub.db, back).await;
    assert!(doubtful().await);
}
