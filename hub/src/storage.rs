//! Whether the hub can store anything: a disk that is full, read-only or failing is noticed, said once, and
//! over as soon as the disk takes something again.
//!
//! A failed disk leaves two kinds of broken connections; both must be dropped. SQLite ends a transaction by
//! itself where the disk is full, so that the rollback after that fails, and sqlx counts the connection as
//! inside a transaction for ever; and a connection that was opened on a read-only disk stays read-only. So no
//! connection that was made before the last failure is used again (`Storage::connection_is_sound`).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::StatVfsMountFlags;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, SqlitePool};
use thiserror::Error;
use tokio::sync::watch;

use crate::db::{HubError, write};

/// Between two looks whether the disk takes something again.
pub(crate) const LOOK_EACH: Duration = Duration::from_secs(1);

/// Room that there must be before desks are taken again: several batches with all that SQLite writes for
/// them. With less the hub would be full again before it has said that it is not.
const ENOUGH_ROOM: u64 = 1024 * 1024;

/// Less room than one page of the database and of its log: an error of such a disk is for want of room.
const NO_ROOM: u64 = 16 * 1024;

/// Bytes that are written, and taken back, to see whether the disk takes any.
const TRIED_BYTES: i64 = 64 * 1024;

/// Why the hub cannot store anything. As text it is a part of a sentence for operators and for desks.
#[derive(Debug, Clone, PartialEq, Eq, Error, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "trouble")]
pub enum StorageTrouble {
    /// There is no room.
    #[error("its disk is full")]
    Full,
    /// The disk takes no writes.
    #[error("its disk is read-only")]
    ReadOnly,
    /// The disk fails otherwise.
    #[error("its disk fails ({detail})")]
    Fails {
        /// What SQLite says.
        detail: String,
    },
}

/// SQLite's primary result code, where the error is one of SQLite.
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    // The rest of an extended code says more precisely what the lowest byte says.
    Some(code.parse::<u32>().ok()? & 0xff)
}

/// What this error says of the disk, where it says anything.
fn trouble_of(error: &sqlx::Error) -> Option<StorageTrouble> {
    const READ_ONLY: u32 = 8;
    const IO: u32 = 10;
    const FULL: u32 = 13;
    const CANNOT_OPEN: u32 = 14;
    match sqlite_code(error)? {
        FULL => Some(StorageTrouble::Full),
        READ_ONLY => Some(StorageTrouble::ReadOnly),
        IO | CANNOT_OPEN => Some(StorageTrouble::Fails { detail: error.to_string() }),
        _ => None,
    }
}

/// What this error says of the disk of this folder, where it says anything. SQLite has one kind of error for much
/// that a disk can do: the disk itself says more.
pub(crate) fn trouble_in(folder: &Path, error: &HubError) -> Option<StorageTrouble> {
    let error = match error {
        HubError::Database(error) => error,
        HubError::Migration(sqlx::migrate::MigrateError::Execute(error)) => error,
        _ => return None,
    };
    Some(match (trouble_of(error)?, room(folder)) {
        (StorageTrouble::Fails { .. }, Some((_, true))) => StorageTrouble::ReadOnly,
        (StorageTrouble::Fails { .. }, Some((left, false))) if left < NO_ROOM => {
            StorageTrouble::Full
        }
        (found, _) => found,
    })
}

/// Room that is left for the hub in this folder, in bytes, and whether its disk is read-only; where the system
/// tells.
pub(crate) fn room(folder: &Path) -> Option<(u64, bool)> {
    let told = rustix::fs::statvfs(folder).ok()?;
    let read_only = told.f_flag.contains(StatVfsMountFlags::RDONLY);
    Some((told.f_bavail.saturating_mul(told.f_frsize), read_only))
}

/// How the hub's disk is, for all who write to it.
#[derive(Debug)]
pub struct Storage {
    folder: PathBuf,
    trouble: watch::Sender<Option<StorageTrouble>>,
    failed_at: Mutex<Option<Instant>>,
}

impl Storage {
    /// The disk of this folder, of which nothing bad is known yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let (trouble, _) = watch::channel(None);
        Self { folder: folder.into(), trouble, failed_at: Mutex::new(None) }
    }

    /// What is the matter, now and whenever that changes.
    pub fn trouble(&self) -> watch::Receiver<Option<StorageTrouble>> {
        self.trouble.subscribe()
    }

    /// Notes an error. Says what is the matter with the disk where the error comes from there. It is logged when
    /// it begins, not for each write that fails.
    pub fn note(&self, error: &HubError) -> Option<StorageTrouble> {
        let found = trouble_in(&self.folder, error)?;
        *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.set(&found);
        Some(found)
    }

    /// Something is the matter: logged, and told to whoever waits for it, where it is something else than before.
    fn set(&self, found: &StorageTrouble) {
        self.trouble.send_if_modified(|known| {
            let same_kind = |known: &StorageTrouble| {
                std::mem::discriminant(known) == std::mem::discriminant(found)
            };
            if known.as_ref().is_some_and(same_kind) {
                return false;
            }
            tracing::error!(
                folder = %self.folder.display(),
                "the hub cannot store anything: {found}. Nothing is lost: desks keep what they record and are told. Make room, or mend the disk; the hub goes on by itself then"
            );
            *known = Some(found.clone());
            true
        });
    }

    /// Whether this connection, which was made so long ago, may be used: not one that sqlx counts as inside a
    /// transaction that SQLite has ended, and none from before the disk failed last.
    pub(crate) async fn connection_is_sound(
        &self,
        connection: &mut SqliteConnection,
        age: Duration,
    ) -> Result<bool, sqlx::Error> {
        let failed_at = *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        if failed_at.is_some_and(|at| at.elapsed() <= age) {
            return Ok(false);
        }
        // ping() runs after a queued rollback of a dropped transaction.
        connection.ping().await?;
        Ok(!connection.is_in_transaction())
    }

    /// Looks after the disk while something is the matter with it: as soon as it takes something again, that is
    /// said, and desks are taken again.
    ///
    /// # Errors
    /// [`HubError`] of another kind than those of the disk.
    pub async fn watch(&self, pool: &SqlitePool) -> Result<(), HubError> {
        let mut trouble = self.trouble();
        loop {
            if trouble.wait_for(Option::is_some).await.is_err() {
                return Ok(());
            }
            let begun = Instant::now();
            loop {
                tokio::time::sleep(LOOK_EACH).await;
                match look(&self.folder, pool).await {
                    Ok(None) => break,
                    Ok(Some(found)) => self.set(&found),
                    Err(error) if self.note(&error).is_some() => {}
                    Err(error) => return Err(error),
                }
            }
            tracing::info!(after = ?begun.elapsed(), "the hub can store again; desks come by themselves");
            self.trouble.send_replace(None);
        }
    }
}

/// Looks whether the hub can store: whether its disk has room and takes writes, and then whether SQLite does. What
/// the server goes by when it takes desks again, and what `status` says.
///
/// # Errors
/// [`HubError`], which may say what is the matter with the disk ([`trouble_in`]).
pub(crate) async fn look(
    folder: &Path,
    pool: &SqlitePool,
) -> Result<Option<StorageTrouble>, HubError> {
    match room(folder) {
        Some((_, true)) => return Ok(Some(StorageTrouble::ReadOnly)),
        Some((left, false)) if left < ENOUGH_ROOM => return Ok(Some(StorageTrouble::Full)),
        Some(_) | None => {}
    }
    try_to_store(pool).await.map(|()| None)
}

/// Writes something to the disk and takes it away again.
///
/// # Errors
/// [`HubError`].
async fn try_to_store(pool: &SqlitePool) -> Result<(), HubError> {
    let insert =
        sqlx::query("INSERT OR REPLACE INTO meta (name, value) VALUES ('tried', zeroblob(?))");
    write(pool, insert.bind(TRIED_BYTES)).await?;
    write(pool, sqlx::query("DELETE FROM meta WHERE name = 'tried'")).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::db::HubFolder;

    async fn on_disk(folder: &Path) -> (SqlitePool, Arc<Storage>) {
        let storage = Arc::new(Storage::new(folder));
        let folder = HubFolder::create(folder).unwrap();
        (folder.database_on(&storage).await.unwrap(), storage)
    }

    /// What sqlx believes is wrong behind a transaction that SQLite ended by itself, as on a full disk.
    #[tokio::test]
    async fn a_connection_whose_transaction_sqlite_ended_is_not_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let (pool, _) = on_disk(folder.path()).await;
        for _ in 0..20 {
            let mut writing = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
            sqlx::query("ROLLBACK").execute(&mut *writing).await.unwrap();
            drop(writing);
        }
        try_to_store(&pool).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_from_when_the_disk_was_read_only_is_not_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let (pool, storage) = on_disk(folder.path()).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut connection = pool.acquire().await.unwrap();
            sqlx::query("PRAGMA query_only = ON").execute(&mut *connection).await.unwrap();
            held.push(connection);
        }
        drop(held);
        let failed = try_to_store(&pool).await.unwrap_err();
        assert_eq!(storage.note(&failed), Some(StorageTrouble::ReadOnly));
        assert_eq!(*storage.trouble().borrow(), Some(StorageTrouble::ReadOnly));
        try_to_store(&pool).await.unwrap();
    }

    #[tokio::test]
    async fn errors_that_say_nothing_of_the_disk_are_no_trouble_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (_, storage) = on_disk(folder.path()).await;
        let other = [HubError::Database(sqlx::Error::RowNotFound), HubError::Record(String::new())];
        for error in other {
            assert_eq!(storage.note(&error), None);
        }
    }

    #[tokio::test]
    async fn the_trouble_ends_by_itself_when_the_disk_takes_something_again() {
        let folder = tempfile::tempdir().unwrap();
        let (pool, storage) = on_disk(folder.path()).await;
        storage.trouble.send_replace(Some(StorageTrouble::Full));
        let mut trouble = storage.trouble();
        tokio::select! {
            ended = storage.watch(&pool) => panic!("{ended:?}"),
            fine = trouble.wait_for(Option::is_none) => drop(fine.unwrap()),
        }
    }
}
