//! What the hub takes from desks (invariants 2, 4 and 7).

use crdt_model::entry::{Fact, Subject};
use crdt_model::ids::PassId;
use crdt_model::ledger::Position;
use crdt_model::time::day_number;
use hub::db::{Db, sql};
use hub::ledgers::{Taken, Taker, take};
use sync_protocol::batch;
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::Batch;
use tempfile::TempDir;

use crate::desk::{TestDesk, check_in, count, hub_with_passes, points, today, value, venue};

/// A hub in its folder, and a desk that it knows.
async fn hub_and_desk() -> (TempDir, Db, TestDesk) {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    let desk = TestDesk::enrolled(&db, "Balie").await;
    (folder, db, desk)
}

#[tokio::test]
async fn a_batch_that_comes_twice_counts_once() {
    let (_folder, db, mut desk) = hub_and_desk().await;
    for pass in 1..=10 {
        desk.append(check_in(pass, 0));
    }
    let device = desk.key.device();
    let whole = desk.batch(1, 10);
    let taken = take(&db, &venue(), device, &whole).await.unwrap();
    assert_eq!(taken, Taken::Held { sequence: 10, new: true });
    // Again, and in other cuts, the last of which overlaps.
    for (first, last) in [(1, 10), (1, 5), (6, 10), (3, 7)] {
        let taken = take(&db, &venue(), device, &desk.batch(first, last)).await.unwrap();
        assert_eq!(taken, Taken::Held { sequence: 10, new: false }, "{first} to {last}");
    }
    assert_eq!(count(&db, "entry").await, 10);
    assert_eq!(points(&db, 4).await, 1);

    desk.append(check_in(1, 1));
    let overlapping = desk.batch(9, 11);
    let taken = take(&db, &venue(), device, &overlapping).await.unwrap();
    assert_eq!(taken, Taken::Held { sequence: 11, new: true });
    assert_eq!(count(&db, "entry").await, 11);
}

#[tokio::test]
async fn a_batch_behind_a_gap_is_asked_for_from_where_the_hub_stands() {
    let (_folder, db, mut desk) = hub_and_desk().await;
    for pass in 1..=4 {
        desk.append(check_in(pass, 0));
    }
    let taken = take(&db, &venue(), desk.key.device(), &desk.batch(3, 4)).await.unwrap();
    assert_eq!(taken, Taken::Lacking { held: 0 });
    assert_eq!(count(&db, "entry").await, 0);
}

#[tokio::test]
async fn check_ins_over_the_limit_at_two_desks_count_once() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    let mut desks =
        [TestDesk::enrolled(&db, "Balie 1").await, TestDesk::enrolled(&db, "Balie 2").await];
    for (minute, desk) in (0..).zip(&mut desks) {
        desk.append(check_in(1, minute));
        let taken = take(&db, &venue(), desk.key.device(), &desk.batch(1, 1)).await.unwrap();
        assert_eq!(taken, Taken::Held { sequence: 1, new: true });
    }
    assert_eq!(count(&db, "entry").await, 2);
    assert_eq!(points(&db, 1).await, 1);
}

#[tokio::test]
async fn what_its_device_did_not_seal_is_set_apart_once_and_never_merged() {
    let (_folder, db, mut desk) = hub_and_desk().await;
    let other = TestDesk::enrolled(&db, "Kiosk").await;
    let stranger = TestDesk::new();
    desk.append(check_in(1, 0));
    let sealed = desk.batch(1, 1);

    let mut forged = sealed.clone();
    forged.seal.signature[0] ^= 1;
    let position = desk.ledger.position(&desk.writer);
    let by_another =
        Batch { seal: other.key.seal(desk.ledger.id(), &desk.writer, &position), ..sealed.clone() };
    let of_other = Batch {
        seal: other.key.seal(desk.ledger.id(), &other.writer, &position),
        ..sealed.clone()
    };
    let under_another_key = Batch { public_key: other.key.public_key().to_vec(), ..of_other };
    let mut of_a_stranger = stranger;
    of_a_stranger.append(check_in(1, 0));
    for (what, batch) in [
        ("a flipped bit", forged),
        ("another desk's seal", by_another),
        ("another desk's key and seal", under_another_key),
        ("a desk that is not enrolled", of_a_stranger.batch(1, 1)),
    ] {
        let before = count(&db, "quarantine").await;
        for _ in 0..2 {
            let taken = take(&db, &venue(), desk.key.device(), &batch).await.unwrap();
            assert!(matches!(taken, Taken::Quarantined { .. }), "{what}: {taken:?}");
        }
        assert_eq!(count(&db, "quarantine").await, before + 1, "{what}");
        assert_eq!(count(&db, "entry").await, 0, "{what}");
    }
    let taken = take(&db, &venue(), desk.key.device(), &sealed).await.unwrap();
    assert_eq!(taken, Taken::Held { sequence: 1, new: true });
}

#[tokio::test]
async fn a_revoked_desk_adds_nothing_whoever_carries_it() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    let mut revoked = TestDesk::enrolled(&db, "Balie").await;
    let carrier = TestDesk::enrolled(&db, "Kiosk").await;
    revoked.append(check_in(1, 0));
    hub::registry::revoke(&db, revoked.key.device()).await.unwrap();
    let batch = revoked.batch(1, 1);
    let by_itself = take(&db, &venue(), revoked.key.device(), &batch).await.unwrap();
    assert_eq!(by_itself, Taken::Revoked);
    let carried = take(&db, &venue(), carrier.key.device(), &batch).await.unwrap();
    assert!(matches!(carried, Taken::Quarantined { .. }), "{carried:?}");
    assert_eq!(count(&db, "entry").await, 0);
}

/// Two copies of one desk's disk wrote the same places. What the hub does not hold it must not
/// acknowledge: the desk would count it as safe.
#[tokio::test]
async fn other_entries_at_places_that_are_held_are_not_acknowledged() {
    let (_folder, db, mut desk) = hub_and_desk().await;
    let device = desk.key.device();
    desk.append(check_in(1, 0));
    let mut copy = desk.ledger.clone();
    desk.append(check_in(2, 1));
    take(&db, &venue(), device, &desk.batch(1, 2)).await.unwrap();

    let otherwise = copy.appended(desk.writer, &check_in(3, 1)).unwrap();
    copy.extend(&otherwise).unwrap();
    desk.ledger = copy;
    let taken = take(&db, &venue(), device, &desk.batch(2, 2)).await.unwrap();
    assert!(matches!(taken, Taken::Quarantined { .. }), "{taken:?}");
}

/// A newer desk may add fields and kinds. The hub must keep their bytes: the hash of the change,
/// and so the seal, is over them.
#[tokio::test]
async fn fields_of_a_newer_version_are_kept_byte_for_byte() {
    let (_folder, db, desk) = hub_and_desk().await;
    let mut entry = check_in(1, 0).encode(today(), &desk.writer);
    entry[0] += 1;
    entry.extend([0x18, 40, 1]);
    let batch = sealed_entries(&desk, std::slice::from_ref(&entry));
    let taken = take(&db, &venue(), desk.key.device(), &batch).await.unwrap();
    assert_eq!(taken, Taken::Held { sequence: 1, new: true });
    let kept: Vec<u8> = value(&db, sql("SELECT bytes AS found FROM entry")).await;
    assert_eq!(kept, entry);
}

#[tokio::test]
async fn an_entry_of_a_kind_of_a_newer_version_is_kept_byte_for_byte() {
    let (_folder, db, desk) = hub_and_desk().await;
    let mut newer = check_in(1, 0);
    newer.fact = Fact::Newer { kind: 40 };
    newer.subject = Subject::Pass(PassId(1));
    let mut entry = newer.encode(today(), &desk.writer);
    entry[0] += 1;
    entry.extend([0x18, 40, 1]);
    let batch = sealed_entries(&desk, std::slice::from_ref(&entry));
    let taken = take(&db, &venue(), desk.key.device(), &batch).await.unwrap();
    assert_eq!(taken, Taken::Held { sequence: 1, new: true });
    let kept: Vec<u8> = value(&db, sql("SELECT bytes AS found FROM entry")).await;
    assert_eq!(kept, entry);
}

/// A desk's first batch with exactly these entries.
fn sealed_entries(desk: &TestDesk, entries: &[Vec<u8>]) -> Batch {
    let (packed, _) = batch::pack(entries.iter().map(Vec::as_slice));
    let extension =
        desk.ledger.extension(desk.writer, 1, entries.iter().map(Vec::as_slice)).unwrap();
    let batch = Batch {
        day: day_number(today()),
        writer: desk.writer.into(),
        first: 1,
        entries: packed,
        seal: desk.key.seal(desk.ledger.id(), &desk.writer, &extension.head()),
        public_key: desk.key.public_key().to_vec(),
    };
    let judgement = judge(&batch, desk.ledger.id(), Position::default());
    assert!(matches!(judgement, Judgement::Merge(_)), "{judgement:?}");
    batch
}

#[tokio::test]
async fn a_full_batch_of_as_many_passes_is_taken_whole() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    crate::desk::put_passes(&db, 11..=2000, crdt_model::catalogue::CardStatus::Active).await;
    let mut desk = TestDesk::enrolled(&db, "Balie").await;
    for number in 0..3000 {
        desk.append(check_in(number % 2000 + 1, i64::try_from(number / 60).unwrap()));
    }
    let batch = desk.batch(1, 3000);
    let taken = take(&db, &venue(), desk.key.device(), &batch).await.unwrap();
    assert_eq!(taken, Taken::Held { sequence: 3000, new: true });
}

/// What one desk said behind each other is taken with as few commits as that takes, and each is answered as if it had come
/// alone: also one that is there already by another one of them, and one that leaves a hole.
#[tokio::test(flavor = "multi_thread")]
async fn batches_behind_each_other_are_answered_as_if_each_had_come_alone() {
    let (_folder, db, mut desk) = hub_and_desk().await;
    for pass in 1..=7 {
        desk.append(check_in(pass, i64::try_from(pass).unwrap()));
    }
    let device = desk.key.device();
    let stretches = [(1, 1), (2, 2), (1, 2), (3, 3), (5, 5), (4, 6), (6, 7)];
    let mut batches: Vec<Batch> =
        stretches.iter().map(|(first, last)| desk.batch(*first, *last)).collect();
    // One of somebody else's, unsealed.
    let mut foreign = desk.batch(4, 4);
    foreign.seal.signature[0] ^= 1;
    batches.insert(4, foreign);
    let taker = Taker::new(db.clone());
    let taken = taker.take_all(&venue(), device, &batches).await.unwrap();
    let held = |sequence, new| Taken::Held { sequence, new };
    let became: Vec<Taken> = taken.iter().map(|at| at.taken.clone()).collect();
    let [one, two, again, three, Taken::Quarantined { .. }, hole, six, seven] = &became[..] else {
        panic!("{became:?}")
    };
    assert_eq!([one, two, again], [&held(1, true), &held(2, true), &held(2, false)]);
    assert_eq!([three, hole], [&held(3, true), &Taken::Lacking { held: 3 }]);
    assert_eq!([six, seven], [&held(6, true), &held(7, true)]);
    assert_eq!(taken[0].number, taken[1].number, "they shared a commit");
    let numbered = |at: &&hub::ledgers::TakenAt| matches!(at.taken, Taken::Held { .. });
    assert!(taken.iter().filter(numbered).all(|at| at.number.is_some()));
    assert_eq!(count(&db, "entry").await, 7);
    for pass in 1..=7 {
        assert_eq!(points(&db, pass).await, 1);
    }
    // All of it again: nothing is new.
    let repeated = taker.take_all(&venue(), device, &batches[..4]).await.unwrap();
    assert!(repeated.iter().all(|at| matches!(at.taken, Taken::Held { new: false, .. })));
}
