//! Bringing the database of a hub of 0.1.0 over: its own steps, then its rows into this version's tables. All of it in
//! one transaction, so that a hub that is stopped meanwhile finds its database as it was.

use std::path::Path;

use crdt_model::catalogue::PassRecord;
use crdt_model::entry::Entry;
use crdt_model::holder::{ContentKey, SealedHolder};
use crdt_model::ids::{PassId, Writer};
use crdt_model::time::date_of_day_number;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::engine::Transaction;
use super::facts::Facts;
use super::layout;
use super::statement::{Value, made, sql};
use super::{DatabaseError, HubError};
use crate::surroundings::Surroundings;

/// The steps of 0.1.0, by their numbers.
const STEPS: [(i64, &str); 6] = [
    (1, include_str!("../../migrations/sqlite-0.1.0/0001_first.sql")),
    (2, include_str!("../../migrations/sqlite-0.1.0/0002_domain.sql")),
    (3, include_str!("../../migrations/sqlite-0.1.0/0003_card_keys.sql")),
    (4, include_str!("../../migrations/sqlite-0.1.0/0004_changed_at_desk.sql")),
    (6, include_str!("../../migrations/sqlite-0.1.0/0006_receipts.sql")),
    (7, include_str!("../../migrations/sqlite-0.1.0/0007_desks_told_apart.sql")),
];

/// Its tables.
const TABLES: [&str; 22] = [
    "meta",
    "venue",
    "device",
    "invitation",
    "pass",
    "card",
    "activity",
    "reward",
    "policy",
    "card_system",
    "coupon",
    "holder",
    "imported",
    "stock",
    "stock_grant",
    "unit_use",
    "entry",
    "list",
    "accepted",
    "request",
    "card_key_set",
    "card_keys_version",
];

/// Rows that are looked at in one go.
const ROWS_AT_ONCE: i64 = 2_000;

/// Brings the database in this file over where it is one of 0.1.0. Where there is none, nothing happens.
pub(super) async fn bring_over(
    file: &Path,
    surroundings: &dyn Surroundings,
) -> Result<(), HubError> {
    if !matches!(file.try_exists(), Ok(true)) {
        return Ok(());
    }
    // Without foreign keys: tables that refer to each other are renamed and dropped.
    let options = SqliteConnectOptions::new().filename(file).foreign_keys(false);
    let options = options.pragma("legacy_alter_table", "ON");
    let connected = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
    let pool = connected.map_err(DatabaseError::from)?;
    let done = bring(&pool, surroundings).await;
    pool.close().await;
    done
}

async fn bring(pool: &sqlx::SqlitePool, surroundings: &dyn Surroundings) -> Result<(), HubError> {
    let begun = pool.begin().await.map_err(DatabaseError::from)?;
    let mut looking = Transaction::Sqlite(begun);
    let old = "SELECT COUNT(*) AS found FROM sqlite_master
         WHERE type = 'table' AND name IN ('_sqlx_migrations', 'layout')
         AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'layout')";
    let rows = looking.all(sql(old)).await?;
    looking.rollback().await?;
    if rows.first().map(|row| row.get::<i64>("found")).transpose()? != Some(1) {
        return Ok(());
    }
    tracing::info!("the database is one of 0.1.0 and is brought over to this version");
    let begun = pool.begin_with("BEGIN IMMEDIATE").await.map_err(DatabaseError::from)?;
    let mut writing = Transaction::Sqlite(begun);
    let mut done = Vec::new();
    for row in writing.all(sql("SELECT version FROM _sqlx_migrations WHERE success")).await? {
        done.push(row.get::<i64>("version")?);
    }
    for (number, text) in STEPS.iter().filter(|(number, _)| !done.contains(number)) {
        tracing::info!(number, "a step of 0.1.0 that was never made");
        writing.run((*text).to_owned()).await.map_err(HubError::Migration)?;
    }
    says_passes(&mut writing).await?;
    let indexes = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL";
    for row in writing.all(sql(indexes)).await? {
        writing.run(format!("DROP INDEX {}", row.get::<String>("name")?)).await?;
    }
    for table in TABLES.iter().chain(&["quarantine"]) {
        writing.run(format!("ALTER TABLE {table} RENAME TO old_{table}")).await?;
    }
    layout::bring_on(&mut writing, layout::AFTER_0_1).await?;
    for table in TABLES {
        copy(&mut writing, table).await?;
    }
    quarantine(&mut writing).await?;
    numbers(&mut writing, surroundings).await?;
    passes(&mut writing).await?;
    entries(&mut writing).await?;
    for table in TABLES.iter().chain(&["quarantine"]) {
        writing.run(format!("DROP TABLE old_{table}")).await?;
    }
    writing.run("DROP TABLE _sqlx_migrations".to_owned()).await?;
    layout::bring_to_the_end(&mut writing).await?;
    Ok(writing.commit().await?)
}

/// Records of before the first release had another form. Better said here than at a desk's tap.
async fn says_passes(writing: &mut Transaction) -> Result<(), HubError> {
    let rows = writing.all(sql("SELECT record FROM pass LIMIT 1")).await?;
    if let Some(row) = rows.first()
        && minicbor::decode::<PassRecord>(row.bytes("record")?).is_err()
    {
        let why = "it was made by an earlier build, whose passes this one cannot read. Set the hub up in another folder and import the catalogue there";
        return Err(HubError::Record(why.to_owned()));
    }
    Ok(())
}

/// Copies a table's columns that there still are.
async fn copy(writing: &mut Transaction, table: &str) -> Result<(), HubError> {
    let described = format!("SELECT name FROM pragma_table_info('old_{table}')");
    let mut there = Vec::new();
    for row in writing.all(made(described)).await? {
        there.push(row.get::<String>("name")?);
    }
    let tables = layout::tables_after(layout::AFTER_0_1);
    let new = tables.iter().find(|it| it.name == table);
    let (mut to, mut from) = (Vec::new(), Vec::new());
    for (column, _) in new.iter().flat_map(|it| &it.columns) {
        let taken = match (table, *column) {
            ("pass", "points" | "debt") => "0",
            ("pass", "municipality") => "postal_code",
            (_, column) if there.iter().any(|it| it == column) => column,
            _ => continue,
        };
        to.push(*column);
        from.push(taken);
    }
    let condition = if table == "meta" { " WHERE name NOT IN ('catalogue', 'tried')" } else { "" };
    let text = format!(
        "INSERT INTO {table} ({}) SELECT {} FROM old_{table}{condition}",
        to.join(", "),
        from.join(", ")
    );
    Ok(writing.run(text).await?)
}

async fn quarantine(writing: &mut Transaction) -> Result<(), HubError> {
    let all = "SELECT venue, day, writer, first, entries, signature, carried_by, reason, at
         FROM old_quarantine";
    for row in writing.all(sql(all)).await? {
        let insert = "INSERT INTO quarantine
             (venue, day, writer, first, hash, entries, signature, carried_by, reason, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let (entries, signature) = (row.bytes("entries")?, row.bytes("signature")?);
        let insert = sql(insert)
            .bind(row.get::<String>("venue")?)
            .bind(row.get::<i64>("day")?)
            .bind(row.bytes("writer")?)
            .bind(row.get::<i64>("first")?)
            .bind(hash_of_batch(entries, signature))
            .bind(entries)
            .bind(signature)
            .bind(row.bytes("carried_by")?)
            .bind(row.get::<String>("reason")?)
            .bind(row.get::<i64>("at")?);
        writing.execute(insert).await?;
    }
    Ok(())
}

/// What tells a batch that is set apart from another one.
pub(crate) fn hash_of_batch(entries: &[u8], signature: &[u8]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(signature);
    context.update(entries);
    context.finish().as_ref().try_into().unwrap_or_default()
}

/// 0.1.0 counted its catalogue, its log and its sealed parts each by itself. All those numbers stand, and the one
/// sequence goes on above the highest: what desks say that they have is as true as it was. Ids go on likewise.
async fn numbers(
    writing: &mut Transaction,
    surroundings: &dyn Surroundings,
) -> Result<(), HubError> {
    let rows = writing.all(sql("SELECT value FROM old_meta WHERE name = 'catalogue'")).await?;
    let catalogue = rows.first().map(|row| row.get::<[u8; 8]>("value")).transpose()?;
    let catalogue = catalogue.map_or(0, i64::from_be_bytes);
    let counter = "UPDATE counter SET value = (SELECT MAX(it) FROM (
             SELECT $1 AS it
             UNION ALL SELECT COALESCE(MAX(version), 0) FROM accepted
             UNION ALL SELECT COALESCE(MAX(version), 0) FROM holder)) WHERE id = 1";
    writing.execute(sql(counter).bind(catalogue)).await?;
    let run = "INSERT INTO run (number, id, begins, opened_at) VALUES (1, $1, 0, $2)";
    let run = sql(run).bind(surroundings.number()).bind(surroundings.now().0);
    writing.execute(run).await?;
    let ids = "INSERT INTO ids (kind, next)
         SELECT 'pass', COALESCE(MAX(id), 0) + 1 FROM pass
         UNION ALL SELECT 'activity', COALESCE(MAX(id), 0) + 1 FROM activity
         UNION ALL SELECT 'reward', COALESCE(MAX(id), 0) + 1 FROM reward
         UNION ALL SELECT 'coupon', COALESCE(MAX(id), 0) + 1 FROM coupon
         UNION ALL SELECT 'grant', COALESCE(MAX(id), 0) + 1 FROM stock_grant
         UNION ALL SELECT 'key set', COALESCE(MAX(number), 0) + 1 FROM card_key_set";
    writing.execute(sql(ids)).await?;
    Ok(())
}

/// What passes are asked by.
async fn passes(writing: &mut Transaction) -> Result<(), HubError> {
    let mut from = i64::MIN;
    loop {
        let some = "SELECT p.id, p.record, h.content_key, h.sealed
             FROM pass p LEFT JOIN holder h ON h.pass = p.id
             WHERE p.id > $1 ORDER BY p.id LIMIT $2";
        let rows = writing.all(sql(some).bind(from).bind(ROWS_AT_ONCE)).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        from = last.get("id")?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let id: i64 = row.get("id")?;
            let record: PassRecord = minicbor::decode(row.bytes("record")?)?;
            let mut born: Option<i64> = None;
            if let Some(key) = row.get::<Option<[u8; 32]>>("content_key")? {
                let sealed: SealedHolder = minicbor::decode(row.bytes("sealed")?)?;
                let pass = PassId(u64::try_from(id).unwrap_or_default());
                let details = sealed.details(pass, &ContentKey::new(key)).ok();
                born = details.and_then(|it| Some(i64::from(it.date_of_birth()?.year())));
            }
            let (points, debt) = (record.account.points(), record.account.debt());
            found.push(vec![id.into(), points.into(), debt.into(), born.into()]);
        }
        let update = "WITH found (id, points, debt, birth_year) AS (:rows)
             UPDATE pass SET points = found.points, debt = found.debt,
                             birth_year = found.birth_year
             FROM found WHERE pass.id = found.id";
        writing.execute(sql(update).rows(found)).await?;
    }
}

/// What entries are asked by. What became of them is written when their pass is folded next.
async fn entries(writing: &mut Transaction) -> Result<(), HubError> {
    let mut from: (String, i64, Vec<u8>, i64) = (String::new(), i64::MIN, Vec::new(), 0);
    loop {
        let some = "SELECT venue, day, writer, idx, bytes FROM entry
             WHERE (venue, day, writer, idx) > ($1, $2, $3, $4)
             ORDER BY venue, day, writer, idx LIMIT $5";
        let (venue, day, writer, index) = from;
        let some = sql(some).bind(venue).bind(day).bind(writer).bind(index).bind(ROWS_AT_ONCE);
        let rows = writing.all(some).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        from = (last.get("venue")?, last.get("day")?, last.get("writer")?, last.get("idx")?);
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let day = date_of_day_number(row.get("day")?);
            let writer = Writer::from_bytes(row.bytes("writer")?).ok();
            let (Some(day), Some(writer)) = (day, writer) else { continue };
            let Ok(entry) = Entry::decode(row.bytes("bytes")?, day, &writer) else { continue };
            let mut values: Vec<Value> = vec![
                row.get::<String>("venue")?.into(),
                row.get::<i64>("day")?.into(),
                row.bytes("writer")?.into(),
                row.get::<i64>("idx")?.into(),
            ];
            values.extend(Facts::of(&entry).values());
            found.push(values);
        }
        let update = "WITH found (venue, day, writer, idx, kind, activity, reward, points, at)
             AS (:rows)
             UPDATE entry SET kind = found.kind, activity = found.activity,
                 reward = found.reward, points = found.points, at = found.at
             FROM found WHERE entry.venue = found.venue AND entry.day = found.day
                 AND entry.writer = found.writer AND entry.idx = found.idx";
        writing.execute(sql(update).rows(found)).await?;
    }
}

#[cfg(test)]
mod tests;
