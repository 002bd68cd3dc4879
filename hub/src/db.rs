//! The hub's folder and its database: SQLite through sqlx, one file.

mod migrations;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crdt_model::catalogue::{LookupKey, PassRecord};
use crdt_model::time::UnixMillis;
use rand::RngExt;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, SqlitePool};
use sync_protocol::request::RequestKey;
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::storage::{Storage, sqlite_code};

/// How long a connection waits for another one that writes, before it gives up.
const BUSY: Duration = Duration::from_secs(10);

/// How often a starting server tries to take its lock.
const LOCK_TRIES: u32 = 10;

/// Connections to the database: readers beside the one writer that SQLite has.
const CONNECTIONS: u32 = 8;

/// What goes wrong in the hub.
#[derive(Debug, Error)]
pub enum HubError {
    /// The database says no.
    #[error("the hub's database: {0}")]
    Database(#[from] sqlx::Error),
    /// The database cannot be brought to this version's layout.
    #[error("the hub's database cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A stored record cannot be read.
    #[error("a record of the hub's database cannot be read: {0}")]
    Record(String),
    /// The folder or a file in it cannot be used.
    #[error("{path} cannot be used: {error}. The hub needs a folder that it can write to")]
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another hub serves this folder.
    #[error(
        "another stempel-hub already serves {folder}. Stop it first, or choose another --folder"
    )]
    AlreadyServing {
        /// Which folder.
        folder: PathBuf,
    },
    /// No hub was begun here: a typing error must not look like a hub without desks.
    #[error(
        "there is no hub in {folder}: `venue add`, `import` and `serve` begin one; `--folder` says where it is"
    )]
    NoHub {
        /// Which folder.
        folder: PathBuf,
    },
    /// There is no such venue, device or pass.
    #[error("there is no {what} named {name}")]
    NoSuch {
        /// What kind of thing.
        what: &'static str,
        /// The name that was asked for.
        name: String,
    },
    /// There is one already.
    #[error("there is already a {what} named {name}")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The network says no.
    #[error("the hub cannot listen on {address}: {why}")]
    Listen {
        /// Where.
        address: String,
        /// What the system says.
        why: String,
    },
}

impl From<minicbor::decode::Error> for HubError {
    fn from(error: minicbor::decode::Error) -> Self {
        Self::Record(error.to_string())
    }
}

/// The system's clock, in milliseconds since the epoch.
pub fn wall_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The hub's folder: `hub.db`, `hub.key` and the lock of a running server.
#[derive(Debug, Clone)]
pub struct HubFolder {
    root: PathBuf,
}

impl HubFolder {
    /// The folder at this place, made where it is not there yet, for its owner only.
    ///
    /// # Errors
    /// [`HubError::Disk`].
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, HubError> {
        let root = root.into();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&root)
            .map_err(|error| HubError::Disk { path: root.clone(), error })?;
        Ok(Self { root })
    }

    /// The folder of a hub that was begun.
    ///
    /// # Errors
    /// [`HubError::NoHub`].
    pub fn existing(root: impl Into<PathBuf>) -> Result<Self, HubError> {
        let root = root.into();
        // A disk that cannot be asked is no sign that nothing is there.
        match root.join("hub.db").try_exists() {
            Ok(false) => Err(HubError::NoHub { folder: root }),
            Ok(true) | Err(_) => Ok(Self { root }),
        }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What a running server says of itself ([`crate::status`]).
    pub(crate) fn status(&self) -> PathBuf {
        self.root.join("hub.status")
    }

    /// Whether a server runs. Where the system does not tell, none does.
    pub fn is_served(&self) -> bool {
        // Shared, and given back at once: two who ask do not take each other for a server.
        let lock = File::open(self.root.join("hub.lock"));
        lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The lock that a running server holds.
    ///
    /// # Errors
    /// [`HubError::AlreadyServing`], [`HubError::Disk`].
    pub fn lock(&self) -> Result<File, HubError> {
        let path = self.root.join("hub.lock");
        let failed = |error| HubError::Disk { path: path.clone(), error };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            // A lock needs no writing: a hub that starts on a read-only disk waits until it can be written.
            .or_else(|error| match error.kind() {
                io::ErrorKind::ReadOnlyFilesystem => File::open(&path),
                _ => Err(error),
            })
            .map_err(failed)?;
        let mut tries = 1;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                // Somebody may just be asking whether a server runs.
                Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(HubError::AlreadyServing { folder: self.root.clone() });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// The hub's private key in PKCS#8 and its public key: read, or made at first use.
    ///
    /// # Errors
    /// [`HubError::Disk`], [`HubError::Record`] where the file is no key.
    pub fn key(&self) -> Result<(Vec<u8>, Vec<u8>), HubError> {
        let path = self.root.join("hub.key");
        let failed = |error| HubError::Disk { path: path.clone(), error };
        let der = match fs::read(&path) {
            Ok(der) => der,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                    .map_err(|_| failed(io::Error::other("the system gives no random numbers")))?;
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                let mut file = options.open(&path).map_err(failed)?;
                file.write_all(made.as_ref()).and_then(|()| file.sync_all()).map_err(failed)?;
                made.as_ref().to_vec()
            }
            Err(error) => return Err(failed(error)),
        };
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
            .map_err(|error| HubError::Record(format!("hub.key: {error}")))?;
        Ok((der, pair.public_key().as_ref().to_vec()))
    }

    /// Opens the database and brings it to this version's layout.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn database(&self) -> Result<SqlitePool, HubError> {
        self.database_on(&Arc::new(Storage::new(&self.root))).await
    }

    /// The same, with what is known of its disk: for a server, which outlives the disk's troubles.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn database_on(&self, storage: &Arc<Storage>) -> Result<SqlitePool, HubError> {
        open(&self.root.join("hub.db"), storage.clone()).await
    }
}

/// Opens a database file.
async fn open(path: &Path, storage: Arc<Storage>) -> Result<SqlitePool, HubError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An acknowledgement is a promise: a commit is on the disk before it is sent.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY);
    let (kept, taken) = (storage.clone(), storage);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .after_release(move |connection, met| {
            let storage = kept.clone();
            Box::pin(async move { storage.connection_is_sound(connection, met.age).await })
        })
        .before_acquire(move |connection, met| {
            let storage = taken.clone();
            Box::pin(async move { storage.connection_is_sound(connection, met.age).await })
        })
        .connect_with(options)
        .await?;
    migrations::all().run(&pool).await?;
    // Records of before the first release had another form. Better said here than at a desk's tap.
    let record: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT record FROM pass LIMIT 1").fetch_optional(&pool).await?;
    if let Some(record) = record
        && minicbor::decode::<PassRecord>(&record).is_err()
    {
        let why = "it was made by an earlier build, whose passes this one cannot read. Set the hub up in another folder and import the catalogue there";
        return Err(HubError::Record(why.to_owned()));
    }
    Ok(pool)
}

/// The key under which cards are looked up in the catalogue: made at first use.
///
/// # Errors
/// [`HubError`].
pub async fn lookup_key(pool: &SqlitePool) -> Result<LookupKey, HubError> {
    secret(pool, "lookup_key").await.map(LookupKey)
}

/// The key to which desks seal their requests: made at first use.
///
/// # Errors
/// [`HubError`].
pub async fn request_key(pool: &SqlitePool) -> Result<RequestKey, HubError> {
    secret(pool, "request_key").await.map(|seed| RequestKey::from_seed(&seed))
}

/// 32 random bytes under this name: made at first use.
async fn secret(pool: &SqlitePool, name: &str) -> Result<[u8; 32], HubError> {
    let select = || sqlx::query_scalar("SELECT value FROM meta WHERE name = ?").bind(name);
    let kept: Option<Vec<u8>> = select().fetch_optional(pool).await?;
    let kept: Vec<u8> = if let Some(kept) = kept {
        kept
    } else {
        let made: [u8; 32] = rand::rng().random();
        sqlx::query("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)")
            .bind(name)
            .bind(&made[..])
            .execute(pool)
            .await?;
        select().fetch_one(pool).await?
    };
    kept.try_into().map_err(|_| HubError::Record(format!("the {name} has another length")))
}

/// SQLite has one writer. Who writes much waits for its turn here, before it takes a connection, so
/// that the waiting leave the connections to those who read.
static ONE_WRITER: Semaphore = Semaphore::const_new(1);

/// How often a writer waits for another process, [`BUSY`] at a time.
const MOST_TRIES: u32 = 60;

/// Whether the database is being written to by another process (SQLITE_BUSY).
fn is_busy(error: &sqlx::Error) -> bool {
    const BUSY: u32 = 5;
    sqlite_code(error) == Some(BUSY)
}

/// A transaction that writes, and its turn.
pub(crate) struct Writing {
    /// The transaction. Dropped before the turn is given on, for fields are dropped in their order.
    pub(crate) transaction: sqlx::Transaction<'static, Sqlite>,
    _turn: SemaphorePermit<'static>,
}

impl Writing {
    /// Waits for the turn and begins. Another process may write, too: an import of many passes takes minutes, and
    /// desks wait for it rather than lose their sessions.
    pub(crate) async fn begin(pool: &SqlitePool) -> Result<Self, HubError> {
        let turn = ONE_WRITER
            .acquire()
            .await
            .map_err(|_| HubError::Record("the hub is stopping".to_owned()))?;
        let mut tries = 1;
        let transaction = loop {
            match pool.begin_with("BEGIN IMMEDIATE").await {
                Err(error) if is_busy(&error) && tries < MOST_TRIES => {
                    tracing::info!(tries, "another process writes to the database; waiting");
                    tries += 1;
                }
                begun => break begun?,
            }
        };
        Ok(Self { transaction, _turn: turn })
    }
}

/// Carries one statement out in the writer's turn.
pub(crate) async fn write(
    pool: &SqlitePool,
    statement: Query<'_, Sqlite, SqliteArguments>,
) -> Result<(), HubError> {
    let mut turn = Writing::begin(pool).await?;
    statement.execute(&mut *turn.transaction).await?;
    turn.transaction.commit().await?;
    Ok(())
}

/// A list of numbers or texts as a parameter: `IN (SELECT value FROM json_each(?))`.
pub(crate) fn json_list<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

/// A number as SQLite keeps it.
pub(crate) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as SQLite kept it.
pub(crate) fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
