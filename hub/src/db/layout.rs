//! The layout of the database, and how an older one is brought up to date: one set of texts for both engines, in which
//! PostgreSQL's names of types stand for SQLite's.

use super::HubError;
use super::engine::{Pool, Transaction};
use super::statement::sql;

/// The steps, in order. A step that was released is never changed.
const STEPS: [&str; 3] = [
    include_str!("../../migrations/0001_layout.sql"),
    include_str!("../../migrations/0002_notices.sql"),
    include_str!("../../migrations/0003_narrow_keys.sql"),
];

/// Up to which step a database of 0.1.0 is brought over by [`super::layout_of_0_1`]; the others follow.
pub(super) const AFTER_0_1: usize = 2;

/// What else a step takes on PostgreSQL: room on each page, so that a pass is rewritten beside its old row and no index
/// hears of it.
const ON_POSTGRES: (usize, &str) = (3, "ALTER TABLE pass SET (fillfactor = 75)");

/// Brings a database to this version's layout: all of it, or nothing.
pub(super) async fn bring_up_to_date(pool: &Pool) -> Result<(), HubError> {
    // Most often there is nothing to do, and a database on a read-only disk can be looked at.
    let mut reading = pool.begin_to_read().await?;
    let known = known(&mut reading).await?;
    reading.rollback().await?;
    if known < STEPS.len() {
        let mut writing = pool.begin_to_write().await?;
        bring_on(&mut writing, STEPS.len()).await?;
        writing.commit().await?;
    }
    Ok(())
}

/// Brings it up to the last step, in a transaction.
pub(super) async fn bring_to_the_end(transaction: &mut Transaction) -> Result<(), HubError> {
    bring_on(transaction, STEPS.len()).await
}

/// Makes the steps up to this one, in a transaction.
pub(super) async fn bring_on(transaction: &mut Transaction, last: usize) -> Result<(), HubError> {
    if transaction.is_postgres() {
        // Several processes may start at once.
        let lock =
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || 'layout', 7))";
        transaction.execute(sql(lock)).await?;
    }
    let known = known(transaction).await?;
    if known == 0 {
        transaction.run("CREATE TABLE layout (step BIGINT PRIMARY KEY)".to_owned()).await?;
    }
    for (step, text) in (1..=last).zip(STEPS).skip(known) {
        let text = if transaction.is_postgres() { text.to_owned() } else { for_sqlite(text) };
        transaction.run(text).await.map_err(HubError::Migration)?;
        if transaction.is_postgres() && step == ON_POSTGRES.0 {
            transaction.run(ON_POSTGRES.1.to_owned()).await.map_err(HubError::Migration)?;
        }
        let made = sql("INSERT INTO layout (step) VALUES ($1)").bind(step as u64);
        transaction.execute(made).await?;
    }
    Ok(())
}

/// How many steps a database has made.
async fn known(transaction: &mut Transaction) -> Result<usize, HubError> {
    let there = if transaction.is_postgres() {
        "SELECT COUNT(*) AS found FROM pg_tables
         WHERE schemaname = current_schema() AND tablename = 'layout'"
    } else {
        "SELECT COUNT(*) AS found FROM sqlite_master WHERE type = 'table' AND name = 'layout'"
    };
    let rows = transaction.all(sql(there)).await?;
    if rows.first().map(|row| row.get("found")).transpose()? == Some(0i64) {
        return Ok(0);
    }
    let steps = transaction.all(sql("SELECT COUNT(*) AS found FROM layout")).await?;
    let made: u64 = steps.first().map(|row| row.get("found")).transpose()?.unwrap_or_default();
    let made = usize::try_from(made).unwrap_or(usize::MAX);
    if made > STEPS.len() {
        let why = "it was made by a newer version of stempel-hub. Use that one";
        return Err(HubError::Record(why.to_owned()));
    }
    Ok(made)
}

/// A text as SQLite takes it: its types, tables that check them, and a table's rows in its key where it has one that is no
/// number.
fn for_sqlite(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let (mut own_key, mut keyed) = (false, false);
    for line in text.lines() {
        let line = if line.trim_start().starts_with("--") {
            line.to_owned()
        } else {
            line.replace("BIGINT", "INTEGER").replace("BYTEA", "BLOB").replace("BOOLEAN", "INTEGER")
        };
        own_key |= line.contains("INTEGER PRIMARY KEY");
        keyed |= line.contains("PRIMARY KEY");
        if line == ");" {
            let in_key = keyed && !own_key;
            made.push_str(if in_key { ") STRICT, WITHOUT ROWID;" } else { ") STRICT;" });
            (own_key, keyed) = (false, false);
        } else {
            made.push_str(&line);
        }
        made.push('\n');
    }
    made
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Text,
    Bytes,
    Boolean,
}

/// A table of this version's layout: its name, and its columns in their order.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: Vec<(&'static str, Kind)>,
}

/// The tables of this version's layout, in the order in which they may be filled.
pub(super) fn tables() -> Vec<Table> {
    tables_after(STEPS.len())
}

/// The tables after so many steps.
pub(super) fn tables_after(steps: usize) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in STEPS[..steps].iter().flat_map(|step| step.lines()) {
        let words: Vec<&str> = line.split_whitespace().map(|it| it.trim_end_matches(';')).collect();
        match words[..] {
            ["CREATE", "TABLE", name, ..] => tables.push(Table { name, columns: Vec::new() }),
            ["DROP", "TABLE", name] => tables.retain(|it| it.name != name),
            ["ALTER", "TABLE", name, "RENAME", "TO", new] => {
                tables.iter_mut().filter(|it| it.name == name).for_each(|it| it.name = new);
            }
            ["ALTER", "TABLE", name, "DROP", "COLUMN", column] => {
                let of_it = tables.iter_mut().filter(|it| it.name == name);
                of_it.for_each(|it| it.columns.retain(|(known, _)| *known != column));
            }
            [column, kind, ..] if line.starts_with("    ") => {
                let kind = match kind.trim_end_matches(',') {
                    "BIGINT" => Kind::Integer,
                    "TEXT" => Kind::Text,
                    "BYTEA" => Kind::Bytes,
                    "BOOLEAN" => Kind::Boolean,
                    _ => continue,
                };
                if let Some(table) = tables.last_mut() {
                    table.columns.push((column, kind));
                }
            }
            _ => {}
        }
    }
    tables
}
