//! Backups, while the hub runs, and how they are taken back. A backup is a file of SQLite whichever engine it is of: so a
//! hub can also be moved from one engine to the other. Nothing needs to be installed for either.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::engine::{self, Transaction};
use super::layout::{self, Kind, Table};
use super::row::Row;
use super::statement::{Value, made, sql};
use super::{DatabaseError, Db, HubError, HubFolder};
use crate::db::storage::Storage;

/// Rows that are copied in one go.
const ROWS_AT_ONCE: usize = 1_000;

/// Writes a backup of a hub's database into a new file: one state of it, whatever is written meanwhile.
///
/// # Errors
/// [`HubError::Exists`] where the file is there, [`HubError`].
pub async fn backup(db: &Db, file: &Path) -> Result<(), HubError> {
    let exists = || HubError::Exists { what: "file", name: file.display().to_string() };
    if file.try_exists().unwrap_or(true) {
        return Err(exists());
    }
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    if !folder.unwrap_or(Path::new(".")).is_dir() {
        let why = "there is no such folder".to_owned();
        return Err(HubError::NoPlace { path: file.to_owned(), why });
    }
    let beside = beside(file);
    let _ = fs::remove_file(&beside);
    match &db.0.pool {
        engine::Pool::Sqlite { readers, .. } => {
            let into = beside.to_string_lossy().into_owned();
            let vacuum = sqlx::query("VACUUM INTO ?").bind(into);
            vacuum.execute(readers).await.map_err(super::DatabaseError::from)?;
        }
        engine::Pool::Postgres(_) => {
            let mut from = db.0.pool.begin_to_read().await?;
            let storage = Arc::new(Storage::new(file.parent().unwrap_or(Path::new("."))));
            let to = engine::open_sqlite(Some(&beside), storage).await?;
            layout::bring_up_to_date(&to).await?;
            let mut writing = to.begin_to_write().await?;
            copy_all(&mut from, &mut writing).await?;
            writing.commit().await?;
            // Closed, it has no second file beside it.
            to.close().await;
        }
    }
    finish(&beside, file)
}

/// Takes a backup back: the hub's database is as it was then. No server may run on it.
///
/// # Errors
/// [`HubError::AlreadyServing`]; [`HubError::NoBackup`], and nothing was changed; [`HubError`].
pub async fn restore(folder: &HubFolder, file: &Path) -> Result<(), HubError> {
    let _lock = folder.lock_alone()?;
    let disk = |path: &Path| {
        let path = path.to_owned();
        move |error| HubError::Disk { path, error }
    };
    let no_backup = |why: String| HubError::NoBackup { path: file.to_owned(), why };
    let mut given = File::open(file).map_err(|error| no_backup(error.to_string()))?;
    if !given.metadata().is_ok_and(|it| it.is_file()) {
        return Err(no_backup("it is no file".to_owned()));
    }
    // A copy, so that the backup stays as it is whatever happens to it here.
    let beside = beside(&folder.root().join("hub.db"));
    remove_database(&beside)?;
    let mut copy = File::create(&beside).map_err(disk(&beside))?;
    io::copy(&mut given, &mut copy).map_err(disk(&beside))?;
    drop(copy);
    let storage = Arc::new(Storage::new(folder.root()));
    let opened = match open_backup(&beside, &storage).await {
        Ok(opened) => opened,
        Err(why) => {
            remove_database(&beside)?;
            return Err(no_backup(why));
        }
    };
    if let Some(database) = folder.database_file() {
        opened.close().await;
        remove_database(&database)?;
        return finish(&beside, &database);
    }
    let db = folder.database_on(&storage).await?;
    let mut from = opened.0.pool.begin_to_read().await?;
    let mut writing = db.0.pool.begin_to_write().await?;
    for table in layout::tables().iter().rev() {
        writing.run(format!("DELETE FROM {}", table.name)).await?;
    }
    copy_all(&mut from, &mut writing).await?;
    writing.commit().await?;
    drop(from);
    opened.close().await;
    db.close().await;
    remove_database(&beside)
}

/// Opens a file that is said to be a backup, where it is one: a whole database with the tables of a hub, of this version
/// or of one before it. Else why it is none.
async fn open_backup(file: &Path, storage: &Arc<Storage>) -> Result<Db, String> {
    let mut begins = [0; 16];
    let read = File::open(file).and_then(|mut it| it.read_exact(&mut begins));
    if read.is_err() || begins != *b"SQLite format 3\0" {
        return Err("it is no database of SQLite".to_owned());
    }
    let damaged = |error: DatabaseError| format!("it is damaged ({error})");
    let plain = engine::open_sqlite(Some(file), storage.clone()).await.map_err(damaged)?;
    let looked = look_at(&plain).await;
    plain.close().await;
    looked?;
    let opened = Db::open_file(file, storage.clone(), super::system()).await;
    opened.map_err(|error| error.to_string())
}

/// The tables that every version of a hub has.
const OF_A_HUB: &str = "SELECT COUNT(*) AS found FROM sqlite_master
     WHERE type = 'table' AND name IN ('meta', 'venue', 'device', 'pass', 'card', 'entry', 'list')";

async fn look_at(plain: &engine::Pool) -> Result<(), String> {
    let damaged = |error: DatabaseError| format!("it is damaged ({error})");
    let mut reading = plain.begin_to_read().await.map_err(damaged)?;
    let check = sql("SELECT quick_check AS found FROM pragma_quick_check");
    let said = reading.all(check).await.map_err(damaged)?;
    let said = said.first().and_then(|row| row.get::<String>("found").ok()).unwrap_or_default();
    if said != "ok" {
        return Err(format!("it is damaged ({said})"));
    }
    let tables = reading.all(sql(OF_A_HUB)).await.map_err(damaged)?;
    let tables = tables.first().and_then(|row| row.get::<i64>("found").ok());
    if tables != Some(7) {
        return Err("it is the database of something else".to_owned());
    }
    Ok(())
}

fn beside(file: &Path) -> std::path::PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    file.with_file_name(name)
}

/// Removes a database of SQLite with the files beside it.
fn remove_database(file: &Path) -> Result<(), HubError> {
    for behind in ["-wal", "-shm", ""] {
        let mut name = file.as_os_str().to_owned();
        name.push(behind);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(HubError::Disk { path: name.into(), error });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Gives a file that was written whole its name, and sees it to the disk.
fn finish(beside: &Path, file: &Path) -> Result<(), HubError> {
    let moved = File::open(beside)
        .and_then(|written| written.sync_all())
        .and_then(|()| fs::rename(beside, file))
        .and_then(|()| {
            let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
    moved.map_err(|error| HubError::Disk { path: file.to_owned(), error })
}

/// Copies all rows of all tables.
async fn copy_all(from: &mut Transaction, to: &mut Transaction) -> Result<(), HubError> {
    for table in layout::tables() {
        // What a fresh layout begins with.
        to.run(format!("DELETE FROM {}", table.name)).await?;
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let mut rows = from.stream(format!("SELECT {names} FROM {}", table.name));
        let mut waiting: Vec<Vec<Value>> = Vec::with_capacity(ROWS_AT_ONCE);
        loop {
            let row = rows.next().await?;
            let last = row.is_none();
            waiting.extend(row.map(|row| values(&table, &row)).transpose()?);
            if waiting.len() >= ROWS_AT_ONCE || (last && !waiting.is_empty()) {
                let insert = format!(
                    "WITH given ({names}) AS (:rows) INSERT INTO {} ({names}) SELECT * FROM given",
                    table.name
                );
                to.execute(made(insert).rows(std::mem::take(&mut waiting))).await?;
            }
            if last {
                break;
            }
        }
    }
    Ok(())
}

fn values(table: &Table, row: &Row) -> Result<Vec<Value>, HubError> {
    let mut values = Vec::with_capacity(table.columns.len());
    for (name, kind) in &table.columns {
        values.push(match kind {
            Kind::Integer => Value::Integer(row.get(name)?),
            Kind::Text => Value::Text(row.get(name)?),
            Kind::Bytes => Value::Bytes(row.get(name)?),
            Kind::Boolean => Value::Boolean(row.get(name)?),
        });
    }
    Ok(values)
}
