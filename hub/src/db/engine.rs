//! The two engines: their pools, their transactions, and how each takes a statement.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Arguments, AssertSqlSafe, PgPool, Postgres, Sqlite, SqlitePool};

use super::error::DatabaseError;
use super::row::Row;
use super::statement::{Statement, Text, Value};
use crate::db::storage::Storage;

/// How long a connection of SQLite waits for another process that writes, before it is asked again. The shorter, the
/// closer together SQLite's own tries are: an import in another process leaves gaps of some 30 ms.
const BUSY: Duration = Duration::from_millis(60);

/// Connections to the database: readers beside the one writer.
const CONNECTIONS: u32 = 8;

/// Pages of SQLite's that its writer keeps, in KiB: 64 MiB. A bulk of entries rewrites some pages of many tables again
/// and again. The writer has one connection, for SQLite empties a connection's pages when another one has written.
const WRITER_CACHE: &str = "-65536";

/// The same for each of the readers: 4 MiB. What they read stands in the system's page cache, too.
const READER_CACHE: &str = "-4096";

/// Pages of the log behind which SQLite moves them into the database: 64 MiB. With SQLite's own 1,000 nearly each commit
/// of a bulk moves all that it wrote, and the next one the same pages again. A log of this size is read within a tenth
/// of a second when the hub starts.
const PAGES_IN_LOG: &str = "16384";

/// A log that grew beyond this, because somebody read for long, is cut again, in bytes.
const LOG_KEPT: &str = "134217728";

/// Rows of an answer that SQLite's thread may be ahead of whoever reads them: those of a fold, in one go.
const ROWS_AHEAD: usize = 1_024;

/// How long a connection to PostgreSQL may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A database's connections.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    /// Of a database in memory both are the same.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// Opens SQLite in this file, or in memory.
pub(super) async fn open_sqlite(
    file: Option<&std::path::Path>,
    storage: Arc<Storage>,
) -> Result<Pool, DatabaseError> {
    let options = SqliteConnectOptions::new()
        // An acknowledgement is a promise: a commit is on the disk before it is sent.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .statement_cache_capacity(200)
        .row_buffer_size(ROWS_AHEAD)
        .busy_timeout(BUSY);
    let Some(file) = file else {
        // A database in memory is its one connection's.
        let pool = SqlitePoolOptions::new().max_connections(1).min_connections(1);
        let pool = pool.idle_timeout(None).max_lifetime(None);
        let writer = pool.connect_with(options.in_memory(true)).await?;
        return Ok(Pool::Sqlite { readers: writer.clone(), writer });
    };
    let options = options
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("journal_size_limit", LOG_KEPT)
        .pragma("wal_autocheckpoint", PAGES_IN_LOG);
    let pool = |connections| {
        let (kept, taken) = (storage.clone(), storage.clone());
        SqlitePoolOptions::new()
            .max_connections(connections)
            .after_release(move |connection, met| {
                let storage = kept.clone();
                Box::pin(async move { is_sound(&storage, connection, met.age).await })
            })
            // Each of them was asked when it was given back: a question more would be a turn of its thread for each
            // transaction.
            .test_before_acquire(false)
            .before_acquire(move |connection, met| {
                use sqlx::Connection;
                let failed = taken.failed_within(met.age) || connection.is_in_transaction();
                Box::pin(async move { Ok(!failed) })
            })
    };
    let of_writer = options
        .clone()
        .pragma("cache_size", WRITER_CACHE)
        // Before a statement of many rows changes a page, SQLite keeps the old one, so that the statement alone can be
        // taken back: in a file, unless it is told otherwise, and so a bulk writes its pages once more.
        .pragma("temp_store", "MEMORY");
    let writer = pool(1).connect_with(of_writer).await?;
    let of_readers = options.pragma("cache_size", READER_CACHE);
    let readers = pool(CONNECTIONS - 1).connect_with(of_readers).await?;
    Ok(Pool::Sqlite { writer, readers })
}

/// Whether this connection, which was made so long ago, may be used: not one that sqlx counts as inside a transaction
/// that SQLite has ended, and none from before the disk failed last.
async fn is_sound(
    storage: &Storage,
    connection: &mut sqlx::SqliteConnection,
    age: Duration,
) -> Result<bool, sqlx::Error> {
    use sqlx::Connection;
    if storage.failed_within(age) {
        return Ok(false);
    }
    // ping() runs after a queued rollback of a dropped transaction.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Opens PostgreSQL at this address.
pub(super) async fn open_postgres(
    address: &str,
) -> Result<(Pool, PgConnectOptions), DatabaseError> {
    let options: PgConnectOptions = address.parse()?;
    let options = options.application_name("stempel-hub").statement_cache_capacity(200);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT)
        .connect_with(options.clone())
        .await?;
    Ok((Pool::Postgres(pool), options))
}

impl Pool {
    /// Begins to read: one state of the database for all that is asked.
    pub(super) async fn begin_to_read(&self) -> Result<Transaction, DatabaseError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Transaction::Sqlite(readers.begin().await?),
            Self::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Transaction::Postgres(pool.begin_with(begin).await?)
            }
        })
    }

    /// Begins to write. SQLite has one writer at a time, which is known from here on; PostgreSQL's locks come with
    /// the rows.
    pub(super) async fn begin_to_write(&self) -> Result<Transaction, DatabaseError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => {
                Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Self::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        })
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    pub(super) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

/// An open transaction. Dropped, it is rolled back.
#[derive(Debug)]
pub(super) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

fn unsound(error: sqlx::error::BoxDynError) -> DatabaseError {
    DatabaseError(sqlx::Error::Encode(error))
}

fn sqlite_arguments(values: Vec<Value>) -> Result<SqliteArguments, DatabaseError> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
            Value::Boolean(value) => arguments.add(value),
        }
        .map_err(unsound)?;
    }
    Ok(arguments)
}

fn postgres_arguments(
    values: Vec<Value>,
    columns: Vec<Vec<Value>>,
) -> Result<PgArguments, DatabaseError> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
            Value::Boolean(value) => arguments.add(value),
        }
        .map_err(unsound)?;
    }
    macro_rules! column {
        ($column:expr, $variant:ident) => {
            arguments.add(
                $column
                    .into_iter()
                    .map(|value| match value {
                        Value::$variant(value) => Ok(value),
                        other => Err(unsound(format!("a column of two kinds: {other:?}").into())),
                    })
                    .collect::<Result<Vec<_>, _>>()?,
            )
        };
    }
    for column in columns {
        match column.first() {
            None | Some(Value::Integer(_)) => column!(column, Integer),
            Some(Value::Text(_)) => column!(column, Text),
            Some(Value::Bytes(_)) => column!(column, Bytes),
            Some(Value::Boolean(_)) => column!(column, Boolean),
        }
        .map_err(unsound)?;
    }
    Ok(arguments)
}

/// A query of this text, for one engine or the other.
macro_rules! query {
    ($engine:ty, $text:expr, $arguments:expr) => {
        match $text {
            Text::Fixed(text) => sqlx::query_with::<$engine, _>(text, $arguments),
            Text::Made(text) => sqlx::query_with::<$engine, _>(AssertSqlSafe(text), $arguments),
        }
    };
}

impl Transaction {
    /// Carries a statement out, and says how many rows it changed.
    pub(super) async fn execute(&mut self, statement: Statement) -> Result<u64, DatabaseError> {
        if statement.is_empty() {
            return Ok(0);
        }
        match self {
            Self::Sqlite(transaction) => {
                let mut changed = 0;
                for (text, values) in statement.for_sqlite() {
                    let query = query!(Sqlite, text, sqlite_arguments(values)?);
                    changed += query.execute(&mut **transaction).await?.rows_affected();
                }
                Ok(changed)
            }
            Self::Postgres(transaction) => {
                let (text, values, columns) = statement.for_postgres();
                let query = query!(Postgres, text, postgres_arguments(values, columns)?);
                Ok(query.execute(&mut **transaction).await?.rows_affected())
            }
        }
    }

    /// All rows that a statement finds.
    pub(super) async fn all(&mut self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        if statement.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Sqlite(transaction) => {
                let mut rows = Vec::new();
                for (text, values) in statement.for_sqlite() {
                    let query = query!(Sqlite, text, sqlite_arguments(values)?);
                    let found = query.fetch_all(&mut **transaction).await?;
                    rows.extend(found.into_iter().map(Row::Sqlite));
                }
                Ok(rows)
            }
            Self::Postgres(transaction) => {
                let (text, values, columns) = statement.for_postgres();
                let query = query!(Postgres, text, postgres_arguments(values, columns)?);
                let found = query.fetch_all(&mut **transaction).await?;
                Ok(found.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// All rows of a text without values, one after the other.
    pub(super) fn stream(&mut self, text: String) -> Rows<'_> {
        let text = AssertSqlSafe(text);
        Rows(match self {
            Self::Sqlite(transaction) => {
                let text = sqlx::query::<Sqlite>(text);
                text.fetch(&mut **transaction).map_ok(Row::Sqlite).map_err(DatabaseError).boxed()
            }
            Self::Postgres(transaction) => {
                let text = sqlx::query::<Postgres>(text);
                text.fetch(&mut **transaction).map_ok(Row::Postgres).map_err(DatabaseError).boxed()
            }
        })
    }

    /// Carries a text of several statements out, as it stands.
    pub(super) async fn run(&mut self, text: String) -> Result<(), DatabaseError> {
        let text = sqlx::raw_sql(AssertSqlSafe(text));
        match self {
            Self::Sqlite(transaction) => text.execute(&mut **transaction).await.map(drop)?,
            Self::Postgres(transaction) => text.execute(&mut **transaction).await.map(drop)?,
        }
        Ok(())
    }

    pub(super) async fn commit(self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }

    pub(super) async fn rollback(self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await?,
            Self::Postgres(transaction) => transaction.rollback().await?,
        }
        Ok(())
    }

    pub(super) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

/// Rows of which a few are in memory at once.
pub(super) struct Rows<'a>(BoxStream<'a, Result<Row, DatabaseError>>);

impl Rows<'_> {
    pub(super) async fn next(&mut self) -> Result<Option<Row>, DatabaseError> {
        self.0.next().await.transpose()
    }
}
