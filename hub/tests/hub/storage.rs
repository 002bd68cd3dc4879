//! The database under several writers and several processes, its backups, and its numbers. Two handles that were opened
//! apart stand for two processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crdt_model::ids::PassId;
use hub::db::news::Heard;
use hub::db::storage::Storage;
use hub::db::{Db, HubError, Moves, backup, restore, sql};
use hub::ledgers::{Taken, Taker};
use hub::records::runs;
use hub::surroundings::System;

use crate::desk::{
    TestDesk, check_in, count, database, hub_folder, hub_with_passes, points, put_passes, value,
    venue,
};

/// Two handles of one hub's database, as two processes have.
async fn two() -> (tempfile::TempDir, [Db; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let one = hub_with_passes(folder.path()).await;
    let other = database(folder.path()).await;
    (folder, [one, other])
}

/// All numbers that were given, of every table that has them.
const NUMBERS: &str = "SELECT version FROM pass_version UNION ALL SELECT version FROM activity
    UNION ALL SELECT version FROM policy UNION ALL SELECT version FROM accepted ORDER BY version";

async fn numbers(db: &Db) -> Vec<i64> {
    let rows = db.read().await.unwrap().all(sql(NUMBERS)).await.unwrap();
    rows.iter().map(|row| row.get("version").unwrap()).collect()
}

/// Invariants 2, 3 and 4 with two processes: every entry is there once, and the accounts are those of all entries,
/// though both folded the same passes at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_take_entries_of_the_same_passes_lose_and_double_nothing() {
    const EACH: u64 = 40;
    let (_folder, dbs) = two().await;
    let takers = dbs.clone().map(Taker::new);
    let mut desks = Vec::new();
    for n in 0..6 {
        desks.push(TestDesk::enrolled(&dbs[0], &format!("Balie {n}")).await);
    }
    let mut running = Vec::new();
    for (n, mut desk) in desks.into_iter().enumerate() {
        let taker = takers[n % 2].clone();
        running.push(tokio::spawn(async move {
            for at in 0..EACH {
                // All desks meet all passes, in different orders.
                let pass = (at * (2 * n as u64 + 1) + n as u64) % 10 + 1;
                // A day earlier each time: days to come would count on the day of their receipt.
                desk.append(check_in(pass, i64::try_from(at).unwrap() * -1440));
                let batch = desk.batch(at + 1, at + 1);
                let taken = taker.take(&venue(), desk.key.device(), &batch).await.unwrap();
                assert_eq!(taken.taken, Taken::Held { sequence: at + 1, new: true });
                assert!(taken.number.is_some());
            }
            desk
        }));
    }
    let mut expected: BTreeMap<u64, BTreeSet<i64>> = BTreeMap::new();
    for task in running {
        let desk = task.await.unwrap();
        for entry in desk.ledger.entries_of(&desk.writer, 0) {
            let crdt_model::entry::Subject::Pass(PassId(pass)) = entry.subject else { panic!() };
            expected.entry(pass).or_default().insert(entry.at.0);
        }
    }
    assert_eq!(count(&dbs[0], "entry").await, 6 * i64::try_from(EACH).unwrap());
    for pass in 1..=10 {
        // One check-in a day counts, whichever desk it was at.
        let days = expected[&pass].len() as u64;
        assert_eq!(points(&dbs[1], i64::try_from(pass).unwrap()).await, days, "pass {pass}");
    }
    let given = numbers(&dbs[0]).await;
    let distinct: BTreeSet<i64> = given.iter().copied().collect();
    assert_eq!(given.len(), distinct.len(), "no number is given twice");
    assert!(given.iter().all(|number| *number > 0), "everything is numbered: {given:?}");
    let reached = runs::reached(&mut dbs[1].read().await.unwrap()).await.unwrap();
    assert!(given.last().is_some_and(|last| u64::try_from(*last).unwrap() <= reached));
}

/// A reader that has everything up to a number never finds a smaller one later.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_visible_only_when_all_smaller_ones_are() {
    let (_folder, dbs) = two().await;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (reader, ended) = (dbs[0].clone(), done.clone());
    let reading = tokio::spawn(async move {
        let (mut seen, mut from) = (BTreeSet::new(), 0);
        loop {
            let last = ended.load(std::sync::atomic::Ordering::SeqCst);
            let mut reading = reader.read().await.unwrap();
            let select =
                sql("SELECT pass AS id, version FROM pass_version WHERE version > $1").bind(from);
            for row in reading.all(select).await.unwrap() {
                seen.insert(row.get::<i64>("id").unwrap());
                from = from.max(row.get::<i64>("version").unwrap());
            }
            if last {
                return seen;
            }
        }
    });
    let mut writers = Vec::new();
    for (n, db) in (0u64..).zip(dbs.clone()) {
        for part in 0..2 {
            let db = db.clone();
            writers.push(tokio::spawn(async move {
                for number in 0..30 {
                    let id = 1000 + n * 200 + part * 100 + number;
                    let status = crdt_model::catalogue::CardStatus::Active;
                    put_passes(&db, id..=id, status).await;
                }
            }));
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    let seen = reading.await.unwrap();
    assert_eq!(seen.len(), 130, "whoever went on from the last number has seen every pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_from_one_place_whichever_process_asks() {
    let (_folder, dbs) = two().await;
    let mut given = BTreeSet::new();
    for round in 0..50u64 {
        for db in &dbs {
            let mut writing = db.write().await.unwrap();
            let least = if round == 25 { 5_000 } else { 1 };
            let first = writing.ids("pass", 3, least).await.unwrap();
            assert!(first > 10 && (round < 25 || first >= 5_000), "{first} in round {round}");
            for id in first..first + 3 {
                assert!(given.insert(id), "{id} was given before");
            }
            writing.commit().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_writes_the_other_hears_of_and_only_whom_it_concerns() {
    let (_folder, [here, there]) = two().await;
    let desk = TestDesk::enrolled(&here, "Balie").await;
    let device = desk.key.device();
    let mut session = there.news().subscribe(venue(), device);
    let listening = there.clone();
    tokio::spawn(async move { listening.listen().await });
    // Listening has begun when everything is to be looked at.
    let wait = async |session: &mut hub::db::news::Subscription, what: fn(&Heard) -> bool| {
        let heard = async {
            loop {
                let heard = session.heard().await.unwrap();
                if what(&heard) {
                    return heard;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), heard).await.expect("it is heard")
    };
    wait(&mut session, |heard| heard.everything).await;
    let taker = Taker::new(here.clone());
    let mut desk = desk;
    desk.append(check_in(1, 0));
    let taken = taker.take(&venue(), device, &desk.batch(1, 1)).await.unwrap();
    let heard = wait(&mut session, |heard| heard.venue.is_some()).await;
    assert_eq!(heard.venue, taken.number);
    put_passes(&here, 3..=3, crdt_model::catalogue::CardStatus::Blocked).await;
    wait(&mut session, |heard| heard.urgent).await;
    hub::registry::revoke(&here, device).await.unwrap();
    wait(&mut session, |heard| heard.device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_while_the_hub_works_and_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    let mut desk = TestDesk::enrolled(&db, "Balie").await;
    let device = desk.key.device();
    let taker = Taker::new(db.clone());
    for pass in 1..=4 {
        desk.append(check_in(pass, 0));
    }
    taker.take(&venue(), device, &desk.batch(1, 2)).await.unwrap();
    let file = folder.path().join("backup");
    let open = db.write().await.unwrap();
    backup(&db, &file).await.unwrap();
    drop(open);
    assert!(backup(&db, &file).await.is_err(), "a backup is not written over");
    taker.take(&venue(), device, &desk.batch(3, 4)).await.unwrap();
    let before = runs::last(&mut db.read().await.unwrap()).await.unwrap().unwrap();
    db.close().await;

    let hub = hub_folder(folder.path()).await;
    restore(&hub, &file).await.unwrap();
    let db = hub.database().await.unwrap();
    assert_eq!(count(&db, "entry").await, 2);
    assert_eq!((points(&db, 2).await, points(&db, 3).await), (1, 0));
    // What is numbered from here on is of another run than what was lost.
    let taker = Taker::new(db.clone());
    taker.take(&venue(), device, &desk.batch(3, 4)).await.unwrap();
    let after = runs::last(&mut db.read().await.unwrap()).await.unwrap().unwrap();
    assert_ne!(before.id, after.id);
    let known = runs::known(&mut db.read().await.unwrap(), &[before.id]).await.unwrap();
    assert!(known[0].ends <= after.begins, "{known:?} and {after:?}");
    assert_eq!(count(&db, "entry").await, 4);
}

/// An operator in a hurry names the wrong file: the good database stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_is_not_put_in_place_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    let good = folder.path().join("backup");
    backup(&db, &good).await.unwrap();
    let nowhere = folder.path().join("nowhere/backup");
    let refused = backup(&db, &nowhere).await.unwrap_err();
    assert!(matches!(refused, HubError::NoPlace { .. }), "{refused}");
    put_passes(&db, 11..=11, crdt_model::catalogue::CardStatus::Active).await;
    db.close().await;
    let whole = std::fs::read(&good).unwrap();
    let mut damaged = whole.clone();
    damaged[4096..4096 + 40_000].fill(0);
    let foreign = folder.path().join("foreign");
    let options = foreign.display().to_string();
    let other = Db::open_file(&foreign, Arc::new(Storage::new(folder.path())), Arc::new(System));
    let other = other.await.unwrap();
    other.write_one(sql("DROP TABLE entry")).await.unwrap();
    other.close().await;
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("text", b"no database at all".to_vec()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("damaged", damaged),
        ("foreign", std::fs::read(options).unwrap()),
    ] {
        let file = folder.path().join(format!("wrong-{name}"));
        std::fs::write(&file, bytes).unwrap();
        is_refused(folder.path(), &file).await;
    }
    is_refused(folder.path(), &folder.path().join("not-there")).await;
    is_refused(folder.path(), folder.path()).await;
    let hub = hub_folder(folder.path()).await;
    assert_eq!(count(&hub.database().await.unwrap(), "pass").await, 11, "as it was");
    restore(&hub, &good).await.unwrap();
    assert_eq!(count(&hub.database().await.unwrap(), "pass").await, 10);
}

async fn is_refused(folder: &std::path::Path, file: &std::path::Path) {
    let refused = restore(&hub_folder(folder).await, file).await.unwrap_err();
    assert!(matches!(refused, HubError::NoBackup { .. }), "{}: {refused}", file.display());
    assert!(refused.to_string().ends_with("Nothing was changed"), "{refused}");
}

/// A server whose database is replaced under it, by whatever tool, goes on under another run.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_the_database_does_not_know_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    let last = async || runs::last(&mut db.read().await.unwrap()).await.unwrap().unwrap();
    let first = last().await;
    put_passes(&db, 1..=1, crdt_model::catalogue::CardStatus::Active).await;
    assert_eq!(last().await.id, first.id, "one run for as long as nothing happens to it");
    db.write_one(sql("UPDATE run SET id = id - 1")).await.unwrap();
    put_passes(&db, 1..=1, crdt_model::catalogue::CardStatus::Active).await;
    let other = last().await;
    assert_ne!(other.id, first.id);
    assert_eq!((other.number, other.begins + 1), (first.number + 1, other.ends));
}

#[tokio::test]
async fn entries_and_passes_have_columns_to_ask_by() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    let mut desk = TestDesk::enrolled(&db, "Balie").await;
    desk.append(check_in(1, 0));
    desk.append(check_in(1, 1));
    let device = desk.key.device();
    Taker::new(db.clone()).take(&venue(), device, &desk.batch(1, 2)).await.unwrap();
    let outcomes = "SELECT COUNT(*) AS found FROM entry WHERE kind = 'check-in' AND activity = 1
         AND points = 1 AND at > 0 AND received > 0 AND outcome IN ('counted', 'over-limit')";
    assert_eq!(value::<i64>(&db, sql(outcomes)).await, 2);
    let over = "SELECT COUNT(*) AS found FROM entry WHERE outcome = 'over-limit'";
    assert_eq!(value::<i64>(&db, sql(over)).await, 1);
    let pass = "SELECT points AS found FROM pass WHERE id = 1";
    assert_eq!(value::<i64>(&db, sql(pass)).await, 1);
}

/// Rows of one transaction get their numbers in the order in which they were written.
#[tokio::test]
async fn numbers_follow_the_order_of_writing() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    let mut writing = db.write().await.unwrap();
    for id in [7i64, 3, 5] {
        let version = writing.version(Moves::Catalogue).await.unwrap();
        let add = "INSERT INTO activity (id, event_id, venue, record, version)
             SELECT CAST($1 AS BIGINT), $2, venue, record, CAST($3 AS BIGINT) FROM activity WHERE id = 1";
        let add = sql(add).bind(id).bind(format!("event-{id}")).bind(version);
        writing.execute(add).await.unwrap();
    }
    let number = writing.commit().await.unwrap().unwrap();
    let select = "SELECT id FROM activity ORDER BY version DESC LIMIT 3";
    let rows = db.read().await.unwrap().all(sql(select)).await.unwrap();
    let order: Vec<i64> = rows.iter().map(|row| row.get("id").unwrap()).collect();
    assert_eq!(order, [5, 3, 7]);
    let highest: u64 = value(&db, sql("SELECT MAX(version) AS found FROM activity")).await;
    assert_eq!(highest, number);
}

/// What a simulation runs on: a database that has one connection.
#[tokio::test]
async fn a_hub_in_memory_takes_files_entries_and_requests() {
    let db = Db::in_memory(Arc::new(hub::surroundings::System)).await.unwrap();
    let file = hub::import::read(sample_world::dataset::CATALOGUE).unwrap();
    let done = hub::import::import(&db, &file).await.unwrap();
    assert!(done.changed > 18, "{done:?}");
    let mut desk = TestDesk::enrolled(&db, "Balie").await;
    desk.append(check_in(1, 0));
    let taker = Taker::new(db.clone());
    let taken = taker.take(&venue(), desk.key.device(), &desk.batch(1, 1)).await.unwrap();
    assert_eq!(taken.taken, Taken::Held { sequence: 1, new: true });
    assert!(!crate::desk::catalogue(&db).await.is_empty());
    hub::registry::revoke(&db, desk.key.device()).await.unwrap();
}

/// An import in another process gives the turn on after some thousands of passes, however many there are.
#[tokio::test(flavor = "multi_thread")]
async fn entries_are_taken_while_another_process_imports_passes() {
    let (_folder, [serving, importing]) = two().await;
    let mut desk = TestDesk::enrolled(&serving, "Balie").await;
    let device = desk.key.device();
    let row = |n: u32| {
        let digits = format!("0900{n:06}00");
        let number = crdt_model::ids::UitpasNumber::with_check_digit(&digits).unwrap();
        format!(r#"{{"programme": "UITPAS", "uitpasNumber": "{number}", "cardStatus": "ACTIVE"}}"#)
    };
    let rows: Vec<String> = (0..12_000).map(row).collect();
    let file = hub::import::read(&format!(r#"{{"passes": [{}]}}"#, rows.join(","))).unwrap();
    let import = tokio::spawn(async move { hub::import::import(&importing, &file).await });
    let taker = Taker::new(serving.clone());
    let mut taken_meanwhile = 0;
    for n in 1.. {
        if import.is_finished() {
            break;
        }
        desk.append(check_in(n % 10 + 1, -i64::try_from(n).unwrap()));
        taker.take(&venue(), device, &desk.batch(n, n)).await.unwrap();
        taken_meanwhile += 1;
    }
    assert_eq!(import.await.unwrap().unwrap().changed, 12_000);
    assert!(taken_meanwhile >= 5, "{taken_meanwhile} were taken between the import's transactions");
    assert_eq!(count(&serving, "pass").await, 12_010);
}
