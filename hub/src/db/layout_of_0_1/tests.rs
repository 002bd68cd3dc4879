use std::sync::Arc;

use crdt_model::account::Account;
use crdt_model::catalogue::Programme;
use crdt_model::entry::{Fact, Subject};
use crdt_model::ids::{ActivityId, DeviceId};
use crdt_model::time::{UnixMillis, day_number};
use sqlx::SqlitePool;

use super::*;
use crate::db::Db;
use crate::db::storage::Storage;
use crate::surroundings::System;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A database that a hub of 0.1.0 made, as far as these steps.
async fn of_0_1(file: &Path, steps: &[i64]) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    // As sqlx made it.
    let table = "CREATE TABLE _sqlx_migrations (
            version BIGINT PRIMARY KEY, description TEXT NOT NULL,
            installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
            checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)";
    sqlx::raw_sql(table).execute(&pool).await.unwrap();
    for (number, text) in STEPS.iter().filter(|(number, _)| steps.contains(number)) {
        sqlx::raw_sql(*text).execute(&pool).await.unwrap();
        let made = "INSERT INTO _sqlx_migrations VALUES (?, '', CURRENT_TIMESTAMP, TRUE, x'00', 0)";
        sqlx::query(made).bind(number).execute(&pool).await.unwrap();
    }
    pool
}

async fn open(file: &Path) -> Db {
    let storage = Arc::new(Storage::new(file.parent().unwrap()));
    Db::open_file(file, storage, Arc::new(System)).await.unwrap()
}

async fn found<T: crate::db::Column>(db: &Db, select: &'static str) -> T {
    db.read().await.unwrap().value(sql(select)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_database_of_0_1_0_is_brought_over_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.db");
    let pool = of_0_1(&file, &[1, 2, 3, 4, 6, 7]).await;
    let day = "2026-11-21".parse().unwrap();
    let writer = Writer { device: DeviceId([1; 16]), epoch: 7 };
    let record = PassRecord {
        account: Account { earned: 30, spent: 35, ..Account::default() },
        ..PassRecord::new(PassId(5), Programme::Uitpas)
    };
    let entry = Entry {
        at: UnixMillis(1_795_258_800_000),
        subject: Subject::Pass(PassId(5)),
        fact: Fact::CheckIn { activity: ActivityId(3), points: 2 },
    };
    let writer_bytes = writer.to_bytes();
    let statements: Vec<(&'static str, Vec<Vec<u8>>)> = vec![
        ("INSERT INTO meta VALUES ('lookup_key', ?)", vec![vec![9; 32]]),
        ("INSERT INTO meta VALUES ('catalogue', ?)", vec![41i64.to_be_bytes().to_vec()]),
        ("INSERT INTO venue (id, name, time_zone) VALUES ('museum', 'Museum', 'Z')", vec![]),
        (
            "INSERT INTO device (id, venue, name, public_key, enrolled_at, is_hub, makes_cards)
             VALUES (?, 'museum', 'Balie', x'01', 12, 0, 1)",
            vec![vec![1; 16]],
        ),
        (
            "INSERT INTO pass (id, record, opening_points, active, version, postal_code)
             VALUES (5, ?, 30, 1, 41, '9000')",
            vec![minicbor::to_vec(&record).unwrap()],
        ),
        ("INSERT INTO card VALUES ('0900000095902', 5)", vec![]),
        (
            "INSERT INTO entry (venue, day, writer, idx, pass, bytes)
             VALUES ('museum', DAY, ?, 0, 5, ?)",
            vec![writer_bytes.to_vec(), entry.encode(day, &writer)],
        ),
        (
            "INSERT INTO list VALUES ('museum', DAY, ?, ?, 1, ?)",
            vec![writer_bytes.to_vec(), vec![1; 16], vec![2; 32]],
        ),
        (
            "INSERT INTO accepted (version, venue, day, writer, first, last, signature, received)
             VALUES (77, 'museum', DAY, ?, 1, 1, x'03', 44)",
            vec![writer_bytes.to_vec()],
        ),
        (
            "INSERT INTO quarantine VALUES ('museum', DAY, ?, 1, x'04', x'05', ?, 'why', 6)",
            vec![writer_bytes.to_vec(), vec![1; 16]],
        ),
        ("INSERT INTO request VALUES (?, x'01', 'LINK_CHIP', NULL, 6, NULL)", vec![vec![8; 16]]),
    ];
    for (text, values) in statements {
        let text = text.replace("DAY", &day_number(day).to_string());
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for value in values {
            query = query.bind(value);
        }
        query.execute(&pool).await.unwrap();
    }
    pool.close().await;

    for _ in 0..2 {
        // The second time there is nothing to bring over.
        let db = open(&file).await;
        assert_eq!(found::<i64>(&db, "SELECT value AS found FROM counter").await, 77);
        let lookup = "SELECT value AS found FROM meta WHERE name = 'lookup_key'";
        assert_eq!(found::<Vec<u8>>(&db, lookup).await, [9; 32]);
        assert!(found::<bool>(&db, "SELECT makes_cards AS found FROM device").await);
        let mut reading = db.read().await.unwrap();
        let pass = reading.first(sql("SELECT * FROM pass")).await.unwrap().unwrap();
        assert_eq!(pass.get::<u64>("points").unwrap(), 0);
        assert_eq!(pass.get::<u64>("debt").unwrap(), 5);
        assert_eq!(pass.get::<String>("municipality").unwrap(), "9000");
        let number = "SELECT version AS found FROM pass_version WHERE pass = 5";
        assert_eq!(reading.value(sql(number)).await.unwrap(), Some(41u64));
        let kept = reading.first(sql("SELECT * FROM entry")).await.unwrap().unwrap();
        assert_eq!(kept.get::<String>("kind").unwrap(), "check-in");
        assert_eq!(kept.get::<u32>("activity").unwrap(), 3);
        assert_eq!(kept.get::<i64>("at").unwrap(), entry.at.0);
        assert_eq!(kept.bytes("bytes").unwrap(), entry.encode(day, &writer));
        let run = reading.first(sql("SELECT * FROM run")).await.unwrap().unwrap();
        assert_eq!(run.get::<u64>("begins").unwrap(), 0);
        drop(reading);
        for (table, many) in [
            ("SELECT COUNT(*) AS found FROM list", 1),
            ("SELECT COUNT(*) AS found FROM accepted WHERE version = 77", 1),
            ("SELECT COUNT(*) AS found FROM quarantine", 1),
            ("SELECT COUNT(*) AS found FROM request", 1),
            ("SELECT COUNT(*) AS found FROM sqlite_master WHERE name LIKE 'old%'", 0),
        ] {
            assert_eq!(found::<i64>(&db, table).await, many, "{table}");
        }
        db.close().await;
    }
    let db = open(&file).await;
    let mut writing = db.write().await.unwrap();
    assert_eq!(writing.ids("pass", 1, 1).await.unwrap(), 6, "ids go on");
    let version = writing.version(crate::db::Moves::Catalogue).await.unwrap();
    assert_eq!(version, 78, "and numbers");
}

/// A hub of before receipts were kept: what is dated in days to come was received before the update, so it
/// is of that day at the latest; everything else counts when it says.
#[tokio::test]
async fn entries_of_before_receipts_were_kept_are_bounded_by_the_update() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.db");
    let pool = of_0_1(&file, &[1, 2, 3, 4]).await;
    for of_list in [
        "INSERT INTO venue (id, name, time_zone) VALUES ('v', 'Museum', 'Z')",
        "INSERT INTO device (id, venue, name, public_key, enrolled_at)
         VALUES (x'00', 'v', 'Balie', x'01', 12)",
    ] {
        sqlx::query(of_list).execute(&pool).await.unwrap();
    }
    let now = crate::db::wall_clock().0;
    let today = i32::try_from(now / DAY).unwrap();
    for day in [0, today - 300, today, today + 2, 24_900] {
        let insert = "INSERT INTO entry (venue, day, writer, idx, bytes)
             VALUES ('v', ?, x'00', 0, x'00')";
        sqlx::query(insert).bind(day).execute(&pool).await.unwrap();
        let list = "INSERT INTO list VALUES ('v', ?, x'00', x'00', 1, x'00')";
        sqlx::query(list).bind(day).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let db = open(&file).await;
    let rows = sql("SELECT received FROM entry JOIN list ON list.id = entry.list ORDER BY day");
    let rows = db.read().await.unwrap().all(rows).await.unwrap();
    let kept: Vec<Option<i64>> = rows.iter().map(|row| row.get("received").unwrap()).collect();
    assert_eq!(kept[..3], [None, None, None]);
    for received in &kept[3..] {
        assert!((received.unwrap() - now).abs() < HOUR, "{received:?}");
    }
}
