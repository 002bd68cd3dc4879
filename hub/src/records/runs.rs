//! The runs of the database, what was restored, and which desks have not stated their grants since.

use crdt_model::ids::DeviceId;
use sync_protocol::version::Version;

use crate::db::{HubError, Reading, Row, Writing, sql};

/// A run of the database: numbers above `begins` are of it, up to where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its place among the runs, from 1.
    pub number: u64,
    /// Its random name.
    pub id: u64,
    /// How far the sequence had come when it was opened.
    pub begins: u64,
    /// How far it goes: to where the next one begins, or as far as the sequence has come.
    pub ends: u64,
}

/// How far the one sequence of numbers has come: all up to there is visible.
///
/// # Errors
/// [`HubError`].
pub async fn reached(reading: &mut Reading) -> Result<u64, HubError> {
    let select = sql("SELECT value AS found FROM counter WHERE id = 1");
    Ok(reading.value(select).await?.unwrap_or_default())
}

const SELECT: &str = "SELECT r.number, r.id, r.begins, COALESCE(
         (SELECT n.begins FROM run n WHERE n.number = r.number + 1),
         (SELECT value FROM counter WHERE id = 1)) AS ends
     FROM run r WHERE r.id IN (:list) ORDER BY r.number";

fn run(row: &Row) -> Result<Run, HubError> {
    Ok(Run {
        number: row.get("number")?,
        id: row.get("id")?,
        begins: row.get("begins")?,
        ends: row.get("ends")?,
    })
}

/// Those of these runs that the database knows, in their order.
///
/// # Errors
/// [`HubError`].
pub async fn known(reading: &mut Reading, ids: &[u64]) -> Result<Vec<Run>, HubError> {
    let rows = reading.all(sql(SELECT).list(ids.iter().copied())).await?;
    rows.iter().map(run).collect()
}

/// The run that was opened last; nothing where none ever was.
///
/// # Errors
/// [`HubError`].
pub async fn last(reading: &mut Reading) -> Result<Option<Run>, HubError> {
    let select = "SELECT number, id, begins, (SELECT value FROM counter WHERE id = 1) AS ends
         FROM run ORDER BY number DESC LIMIT 1";
    reading.first(sql(select)).await?.as_ref().map(run).transpose()
}

/// The run that was opened last, and how far the sequence has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The run, with the number from which it counts; nothing where none was ever opened.
    pub run: Option<Version>,
    /// All up to this number is visible.
    pub reached: u64,
}

/// The run that was opened last, and how far the sequence has come.
///
/// # Errors
/// [`HubError`].
pub async fn newest_run(reading: &mut Reading) -> Result<Newest, HubError> {
    let select = "SELECT c.value AS reached, r.id, r.begins
         FROM counter c LEFT JOIN run r ON r.number = (SELECT MAX(number) FROM run)
         WHERE c.id = 1";
    let row = reading.first(sql(select)).await?;
    row.map_or(Ok(Newest { run: None, reached: 0 }), |row| newest_of(&row))
}

fn newest_of(row: &Row) -> Result<Newest, HubError> {
    let (id, begins): (Option<u64>, Option<u64>) = (row.get("id")?, row.get("begins")?);
    let run = id.zip(begins).map(|(run, number)| Version { run, number });
    Ok(Newest { run, reached: row.get("reached")? })
}

/// The same, where this device is enrolled and not revoked; nothing where it is not. One look for what each answer to a
/// desk begins with.
///
/// # Errors
/// [`HubError`].
pub(crate) async fn newest_for(
    reading: &mut Reading,
    device: DeviceId,
) -> Result<Option<Newest>, HubError> {
    let select = "SELECT c.value AS reached, r.id, r.begins
         FROM device d CROSS JOIN counter c
         LEFT JOIN run r ON r.number = (SELECT MAX(number) FROM run)
         WHERE c.id = 1 AND d.id = $1 AND d.revoked_at IS NULL";
    let row = reading.first(sql(select).bind(device.0)).await?;
    row.as_ref().map(newest_of).transpose()
}

/// Notes that the database was restored from an older copy, as a run shows that it does not know; and that every desk
/// that may take part is to state its grants.
///
/// # Errors
/// [`HubError`].
pub async fn note_restored(writing: &mut Writing, run: u64) -> Result<(), HubError> {
    let now = writing.now().0;
    let note = "INSERT INTO restored (found_at, run) VALUES ($1, $2)
         ON CONFLICT (found_at, run) DO NOTHING";
    writing.execute(sql(note).bind(now).bind(run)).await?;
    let hold = "INSERT INTO hold (device, since)
         SELECT id, CAST($1 AS BIGINT) FROM device WHERE revoked_at IS NULL AND NOT is_hub
         ON CONFLICT (device) DO NOTHING";
    writing.execute(sql(hold).bind(now)).await?;
    Ok(())
}

/// Whether the database was found to be restored as this run shows.
///
/// # Errors
/// [`HubError`].
pub async fn is_noted(reading: &mut Reading, run: u64) -> Result<bool, HubError> {
    let select = sql("SELECT EXISTS (SELECT 1 FROM restored WHERE run = $1) AS found").bind(run);
    Ok(reading.value(select).await?.unwrap_or_default())
}

/// This device, too, is to state its grants.
///
/// # Errors
/// [`HubError`].
pub(crate) async fn hold(writing: &mut Writing, device: DeviceId) -> Result<(), HubError> {
    let now = writing.now().0;
    let hold =
        sql("INSERT INTO hold (device, since) VALUES ($1, $2) ON CONFLICT (device) DO NOTHING");
    writing.execute(hold.bind(device.0).bind(now)).await?;
    Ok(())
}

/// Whether this device has not stated its grants since a restore.
///
/// # Errors
/// [`HubError`].
pub(crate) async fn is_held(reading: &mut Reading, device: DeviceId) -> Result<bool, HubError> {
    let select = sql("SELECT EXISTS (SELECT 1 FROM hold WHERE device = $1) AS found");
    Ok(reading.value(select.bind(device.0)).await?.unwrap_or_default())
}

/// A device has stated its grants, or will not come back: nothing waits for it any more. Whether anything did.
///
/// # Errors
/// [`HubError`].
pub async fn release(writing: &mut Writing, device: DeviceId) -> Result<bool, HubError> {
    let release = sql("DELETE FROM hold WHERE device = $1").bind(device.0);
    Ok(writing.execute(release).await? > 0)
}

/// The devices that have not stated their grants since a restore, and since when that is waited for, in milliseconds
/// since the epoch.
///
/// # Errors
/// [`HubError`].
pub async fn held(reading: &mut Reading) -> Result<Vec<(DeviceId, i64)>, HubError> {
    let rows = reading.all(sql("SELECT device, since FROM hold ORDER BY device")).await?;
    rows.iter().map(|row| Ok((DeviceId(row.get("device")?), row.get("since")?))).collect()
}
