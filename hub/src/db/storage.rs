//! Whether the hub can store anything: a disk that is full, read-only or failing is noticed, said once, and
//! over as soon as the disk takes something again.
//!
//! A failed disk leaves two kinds of broken connections; both must be dropped. SQLite ends a transaction by
//! itself where the disk is full, so that the rollback after that fails, and sqlx counts the connection as
//! inside a transaction for ever; and a connection that was opened on a read-only disk stays read-only. So no
//! connection that was made before the last failure is used again (`Storage::failed_within`).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::StatVfsMountFlags;
use thiserror::Error;
use tokio::sync::watch;

use super::{DatabaseError, Db, HubError, Says, sql};

/// Between two looks whether the disk takes something again.
pub(crate) const LOOK_EACH: Duration = Duration::from_secs(1);

/// Room that there must be before desks are taken again: several batches with all that SQLite writes for
/// them. With less the hub would be full again before it has said that it is not.
const ENOUGH_ROOM: u64 = 1024 * 1024;

/// Less room than one page of the database and of its log: an error of such a disk is for want of room.
const NO_ROOM: u64 = 16 * 1024;

/// Bytes that are written, and taken back, to see whether the disk takes any.
const TRIED_BYTES: usize = 64 * 1024;

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
        /// What the database says.
        detail: String,
    },
    /// The database is another server's, which is not there.
    #[error("its database cannot be reached ({detail})")]
    Unreachable {
        /// What is said of it.
        detail: String,
    },
}

/// What this error says of the disk, where it says anything.
fn trouble_of(error: &DatabaseError) -> Option<StorageTrouble> {
    match error.says() {
        Says::Full => Some(StorageTrouble::Full),
        Says::ReadOnly => Some(StorageTrouble::ReadOnly),
        Says::DiskFails => Some(StorageTrouble::Fails { detail: error.to_string() }),
        Says::Unreachable => Some(StorageTrouble::Unreachable { detail: error.to_string() }),
        Says::Busy | Says::Other => None,
    }
}

/// What this error says of the disk of this folder, where it says anything. SQLite has one kind of error for much
/// that a disk can do: the disk itself says more.
pub(crate) fn trouble_in(folder: &Path, error: &HubError) -> Option<StorageTrouble> {
    let (HubError::Database(error) | HubError::Migration(error)) = error else { return None };
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

    /// Whether the disk failed after a connection was made that is so old.
    pub(crate) fn failed_within(&self, age: Duration) -> bool {
        let failed_at = *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_some_and(|at| at.elapsed() <= age)
    }

    /// Looks after the disk while something is the matter with it: as soon as it takes something again, that is
    /// said, and desks are taken again.
    ///
    /// # Errors
    /// [`HubError`] of another kind than those of the disk.
    pub async fn watch(&self, db: &Db) -> Result<(), HubError> {
        let mut trouble = self.trouble();
        loop {
            if trouble.wait_for(Option::is_some).await.is_err() {
                return Ok(());
            }
            let begun = Instant::now();
            loop {
                tokio::time::sleep(LOOK_EACH).await;
                match look(&self.folder, db).await {
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
pub(crate) async fn look(folder: &Path, db: &Db) -> Result<Option<StorageTrouble>, HubError> {
    match room(folder) {
        Some((_, true)) => return Ok(Some(StorageTrouble::ReadOnly)),
        Some((left, false)) if left < ENOUGH_ROOM => return Ok(Some(StorageTrouble::Full)),
        Some(_) | None => {}
    }
    try_to_store(db).await.map(|()| None)
}

/// Writes something to the disk and takes it away again.
///
/// # Errors
/// [`HubError`].
async fn try_to_store(db: &Db) -> Result<(), HubError> {
    let keep = "INSERT INTO meta (name, value) VALUES ('tried', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.write_one(sql(keep).bind(vec![0; TRIED_BYTES])).await?;
    db.write_one(sql("DELETE FROM meta WHERE name = 'tried'")).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::db::{HubFolder, sql};

    async fn on_disk(folder: &Path) -> (Db, Arc<Storage>) {
        let storage = Arc::new(Storage::new(folder));
        let folder = HubFolder::create(folder).unwrap();
        (folder.database_on(&storage).await.unwrap(), storage)
    }

    /// What sqlx believes is wrong behind a transaction that SQLite ended by itself, as on a full disk.
    #[tokio::test]
    async fn a_connection_whose_transaction_sqlite_ended_is_not_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let (db, _) = on_disk(folder.path()).await;
        for _ in 0..20 {
            let mut writing = db.write().await.unwrap();
            writing.execute(sql("ROLLBACK")).await.unwrap();
            drop(writing);
        }
        try_to_store(&db).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_from_when_the_disk_was_read_only_is_not_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let (db, storage) = on_disk(folder.path()).await;
        let mut connection = db.write().await.unwrap();
        connection.all(sql("PRAGMA query_only = ON")).await.unwrap();
        drop(connection);
        let failed = try_to_store(&db).await.unwrap_err();
        assert_eq!(storage.note(&failed), Some(StorageTrouble::ReadOnly));
        assert_eq!(*storage.trouble().borrow(), Some(StorageTrouble::ReadOnly));
        try_to_store(&db).await.unwrap();
    }

    #[tokio::test]
    async fn errors_that_say_nothing_of_the_disk_are_no_trouble_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (db, storage) = on_disk(folder.path()).await;
        let wrong = db.read().await.unwrap().all(sql("SELECT nothing FROM nowhere")).await;
        let other = [HubError::from(wrong.unwrap_err()), HubError::Record(String::new())];
        for error in other {
            assert_eq!(storage.note(&error), None);
        }
    }

    #[tokio::test]
    async fn the_trouble_ends_by_itself_when_the_disk_takes_something_again() {
        let folder = tempfile::tempdir().unwrap();
        let (db, storage) = on_disk(folder.path()).await;
        storage.trouble.send_replace(Some(StorageTrouble::Full));
        let mut trouble = storage.trouble();
        tokio::select! {
            ended = storage.watch(&db) => panic!("{ended:?}"),
            fine = trouble.wait_for(Option::is_none) => drop(fine.unwrap()),
        }
    }
}
