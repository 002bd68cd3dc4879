//! The hub's database: one SQL text for two engines. SQLite is the default, one file; PostgreSQL serves any number of
//! hub processes.
//!
//! Only this room and [`crate::records`] know SQL. What differs between the engines is here: how a write begins, which
//! rows are locked, how many rows are written at once ([`Statement::rows`]), how others hear of it ([`news`]), how what
//! leaves the hub is numbered (`numbers.rs`), and what an error says of the world ([`Says`]).

mod backup;
mod beside;
mod engine;
mod error;
mod facts;
mod folder;
mod layout;
mod layout_of_0_1;
pub mod news;
mod numbers;
mod row;
mod statement;
pub mod storage;

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crdt_model::ids::DeviceId;
use crdt_model::time::UnixMillis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use backup::{backup, restore};
pub use beside::{Beside, Line};
pub use error::{DatabaseError, HubError, Says};
pub(crate) use facts::{Facts, outcome};
pub use folder::HubFolder;
pub(crate) use layout_of_0_1::hash_of_batch;
pub use numbers::Moves;
pub use row::{Column, Row};
pub use statement::{Statement, Value, sql};

use engine::{Pool, Transaction};
use news::{News, NewsRoom};
use numbers::{Numbered, Numbering, OwnRun};

use crate::db::storage::Storage;
use crate::surroundings::{Surroundings, System};

/// How often a writer tries again where another process writes, 60 ms at a time: ten minutes in all.
const MOST_TRIES: u32 = 10_000;

/// After so many tries it is said that a writer waits: some ten seconds.
const SAID_EACH: u32 = 150;

/// The hub's database, open. A handle: clones share it.
#[derive(Debug, Clone)]
pub struct Db(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    /// How to connect once more, to listen; and the channel, which is that of this database's schema alone.
    listening: Option<(sqlx::postgres::PgConnectOptions, String)>,
    surroundings: Arc<dyn Surroundings>,
    /// SQLite has one writer, and on PostgreSQL one is enough for a process: who writes waits for its turn here, before
    /// it takes a connection, so that the waiting leave the connections to those who read.
    turn: Arc<Semaphore>,
    news: NewsRoom,
    /// Whether this process serves desks: then nobody else does on this SQLite file.
    serves: AtomicBool,
    run: Mutex<Option<OwnRun>>,
    numbering: Numbering,
    ids: Mutex<std::collections::HashMap<&'static str, std::ops::Range<u64>>>,
    epoch: u32,
    /// What stands beside the database, where it has a hub's folder.
    beside: OnceLock<Beside>,
    /// The highest number that this process has seen: a database that has come less far was put back from a copy.
    reached: AtomicU64,
}

impl Db {
    /// Opens the file of a hub on SQLite, made where there is none, and brings it to this version's layout.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn open_file(
        file: &Path,
        storage: Arc<Storage>,
        surroundings: Arc<dyn Surroundings>,
    ) -> Result<Self, HubError> {
        layout_of_0_1::bring_over(file, &*surroundings).await?;
        let pool = engine::open_sqlite(Some(file), storage).await?;
        Self::over(pool, None, surroundings).await
    }

    /// A hub's database in memory, which ends with its last handle.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn in_memory(surroundings: Arc<dyn Surroundings>) -> Result<Self, HubError> {
        let pool = engine::open_sqlite(None, Arc::new(Storage::new("."))).await?;
        Self::over(pool, None, surroundings).await
    }

    /// Opens a database at an address, `postgres://…`, and brings it to this version's layout.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn open_address(
        address: &str,
        surroundings: Arc<dyn Surroundings>,
    ) -> Result<Self, HubError> {
        let (pool, options) = engine::open_postgres(address).await?;
        let mut reading = pool.begin_to_read().await?;
        let schema = reading.all(sql("SELECT current_schema() AS name")).await?;
        let schema: String =
            schema.first().map(|row| row.get("name")).transpose()?.unwrap_or_default();
        drop(reading);
        Self::over(pool, Some((options, format!("stempel_{schema}"))), surroundings).await
    }

    async fn over(
        pool: Pool,
        listening: Option<(sqlx::postgres::PgConnectOptions, String)>,
        surroundings: Arc<dyn Surroundings>,
    ) -> Result<Self, HubError> {
        layout::bring_up_to_date(&pool).await?;
        let epoch = u32::from_le_bytes(surroundings.random());
        Ok(Self(Arc::new(Inner {
            pool,
            listening,
            surroundings,
            turn: Arc::new(Semaphore::new(1)),
            news: NewsRoom::default(),
            serves: AtomicBool::new(false),
            run: Mutex::new(None),
            numbering: Numbering::default(),
            ids: Mutex::default(),
            epoch,
            beside: OnceLock::new(),
            reached: AtomicU64::new(0),
        })))
    }

    /// The clocks and the randomness.
    pub fn surroundings(&self) -> &Arc<dyn Surroundings> {
        &self.0.surroundings
    }

    /// The wall clock.
    pub fn now(&self) -> UnixMillis {
        self.0.surroundings.now()
    }

    /// The epoch of the hub's own lists: random for each opening, as a desk's is, so that a hub restored from a backup
    /// never goes on with a list that desks have otherwise.
    pub fn epoch(&self) -> u32 {
        self.0.epoch
    }

    /// This is the database of the hub with this key and journal.
    pub fn stands_beside(&self, beside: Beside) {
        let _ = self.0.beside.set(beside);
    }

    /// What stands beside it, where it has a hub's folder.
    pub fn beside(&self) -> Option<&Beside> {
        self.0.beside.get()
    }

    /// A number was given.
    fn note_reached(&self, number: u64) {
        self.0.reached.fetch_max(number, Ordering::Relaxed);
        if let Some(beside) = self.beside() {
            beside.note_reached(number);
        }
    }

    /// The database was put back, and all is done that this takes: from now on it goes on from where it stands.
    pub(crate) fn goes_on_from(&self, number: u64) {
        self.0.reached.store(number, Ordering::Relaxed);
    }

    /// The run of this process is of a database that is no more: it opens another before it numbers.
    pub(crate) fn forgets_its_run(&self) {
        *self.0.run.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What moved, for sessions.
    pub fn news(&self) -> &NewsRoom {
        &self.0.news
    }

    /// Whether this is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.0.pool.is_postgres()
    }

    /// Begins to read: all that is asked is of one state of the database.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn read(&self) -> Result<Reading, HubError> {
        let transaction = self.0.pool.begin_to_read().await?;
        Ok(Reading { transaction, surroundings: self.0.surroundings.clone() })
    }

    /// Begins to write to a database that may have been put back ([`crate::restored`]).
    ///
    /// # Errors
    /// [`HubError`].
    pub(crate) async fn write_to_whatever_stands_there(&self) -> Result<Writing, HubError> {
        self.write_unless_below(0).await
    }

    /// Waits for the writer's turn and begins to write. Another process may write, too, and is waited for: desks wait
    /// rather than lose their sessions. Nothing slow happens in the turn: everybody waits for it.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn write(&self) -> Result<Writing, HubError> {
        // Before the database is asked: others may number meanwhile.
        self.write_unless_below(self.0.reached.load(Ordering::Relaxed)).await
    }

    async fn write_unless_below(&self, known: u64) -> Result<Writing, HubError> {
        let turn = self.0.turn.clone().acquire_owned().await;
        let turn = turn.map_err(|_| HubError::Record("the hub is stopping".to_owned()))?;
        let mut tries = 1;
        let transaction = loop {
            match self.0.pool.begin_to_write().await {
                Err(error) if error.says() == Says::Busy && tries < MOST_TRIES => {
                    if tries % SAID_EACH == 0 {
                        tracing::info!(tries, "another process writes to the database; waiting");
                    }
                    tries += 1;
                }
                begun => break begun?,
            }
        };
        let mut reading = Reading { transaction, surroundings: self.0.surroundings.clone() };
        // In each turn: whatever was written to a database that was put back would be told as if it were the newest.
        let reached: u64 = reading.value(sql(numbers::REACHED)).await?.unwrap_or_default();
        if reached < known {
            self.0.news.publish(&[News::PutBack]);
            return Err(HubError::PutBack);
        }
        Ok(Writing {
            reading,
            numbered: Numbered::default(),
            news: Vec::new(),
            _turn: turn,
            db: self.clone(),
        })
    }

    /// Carries one statement out, in a turn of its own, and says how many rows it changed.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn write_one(&self, statement: Statement) -> Result<u64, HubError> {
        let mut writing = self.write().await?;
        let changed = writing.execute(statement).await?;
        writing.commit().await?;
        Ok(changed)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.0.pool.close().await;
    }
}

/// One state of the database, to read from.
#[derive(Debug)]
pub struct Reading {
    transaction: Transaction,
    surroundings: Arc<dyn Surroundings>,
}

impl Reading {
    /// All rows that a statement finds.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn all(&mut self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        self.transaction.all(statement).await
    }

    /// The first row that a statement finds.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn first(&mut self, statement: Statement) -> Result<Option<Row>, DatabaseError> {
        Ok(self.transaction.all(statement).await?.into_iter().next())
    }

    /// The column `found` of the first row that a statement finds.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn value<T: Column>(
        &mut self,
        statement: Statement,
    ) -> Result<Option<T>, DatabaseError> {
        self.first(statement).await?.map(|row| row.get("found")).transpose()
    }

    /// The wall clock.
    pub fn now(&self) -> UnixMillis {
        self.surroundings.now()
    }

    /// The clocks and the randomness.
    pub fn surroundings(&self) -> &dyn Surroundings {
        &*self.surroundings
    }
}

/// A transaction that writes, and its turn. Dropped, nothing of it was.
#[derive(Debug)]
pub struct Writing {
    // Before the turn is given on, for fields are dropped in their order.
    reading: Reading,
    numbered: Numbered,
    news: Vec<News>,
    _turn: OwnedSemaphorePermit,
    db: Db,
}

impl Deref for Writing {
    type Target = Reading;

    fn deref(&self) -> &Reading {
        &self.reading
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut Reading {
        &mut self.reading
    }
}

impl Writing {
    /// Carries a statement out, and says how many rows it changed.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn execute(&mut self, statement: Statement) -> Result<u64, DatabaseError> {
        self.reading.transaction.execute(statement).await
    }

    /// Nobody else is between this and the end of the transaction for this name: for what has no row to lock yet.
    /// Several are asked for in order.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn lock_name(&mut self, of: &str, name: &str) -> Result<(), DatabaseError> {
        if self.reading.transaction.is_postgres() {
            let key = format!("{of} {name}");
            let lock = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || $1, 7))";
            self.reading.transaction.execute(sql(lock).bind(key)).await?;
        }
        Ok(())
    }

    /// Something of a device moved: its grants, its card keys, or that it was revoked.
    pub fn device_moved(&mut self, device: DeviceId) {
        self.tell(News::Device { device });
    }

    /// Something of all devices moved: the card keys.
    pub fn devices_moved(&mut self) {
        self.tell(News::Devices);
    }

    /// What a desk is told of this takes a number, though no row has one.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn is_told(&mut self) -> Result<(), HubError> {
        self.versions(Moves::Told, 1).await.map(drop)
    }

    /// Every session ends and begins anew, so that its desk is asked what this hub has lost.
    pub fn asks_all_anew(&mut self) {
        self.tell(News::PutBack);
    }

    fn tell(&mut self, news: News) {
        if !self.news.contains(&news) {
            self.news.push(news);
        }
    }

    /// The database that is written to.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Commits, numbers what is to be numbered, and tells what moved. The number up to which all is visible afterwards,
    /// where anything was numbered.
    ///
    /// # Errors
    /// [`HubError`]; where that is of the commit, nothing was written.
    pub async fn commit(mut self) -> Result<Option<u64>, HubError> {
        numbers::before_commit(&mut self).await?;
        news::before_commit(&mut self).await?;
        let Self { reading, numbered, news, _turn: turn, db } = self;
        reading.transaction.commit().await?;
        // On PostgreSQL others write while this one's rows are numbered.
        drop(turn);
        db.0.news.publish(&news);
        numbers::after_commit(&db, numbered).await
    }

    /// Takes all of it back.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn rollback(self) -> Result<(), HubError> {
        Ok(self.reading.transaction.rollback().await?)
    }
}

/// The surroundings of a process.
pub(crate) fn system() -> Arc<dyn Surroundings> {
    Arc::new(System)
}

/// The system's wall clock, for what is no logic of the hub: command lines, tests.
pub fn wall_clock() -> UnixMillis {
    System.now()
}
