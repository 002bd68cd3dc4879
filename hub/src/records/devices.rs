//! Devices: desks, and the hub itself, which writes corrections.

use std::collections::HashMap;

use crdt_model::ids::{DeviceId, VenueId};
use crdt_model::time::UnixMillis;

use crate::db::{HubError, Reading, Row, Writing, sql};

/// A device, as it is kept.
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) venue: String,
    pub(crate) name: String,
    pub(crate) venue_name: String,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) last_contact: Option<i64>,
    pub(crate) software: Option<String>,
    pub(crate) clock_offset: Option<i64>,
    pub(crate) catalogue_version: u64,
    pub(crate) entries: u64,
    pub(crate) used_twice_since: Option<i64>,
    pub(crate) used_twice_at: Option<i64>,
    pub(crate) sent_again_at: Option<i64>,
    pub(crate) sent_again: Option<u64>,
    pub(crate) run: Option<u32>,
    pub(crate) run_before: Option<u32>,
}

/// What is asked of the table of devices; what follows says of which.
macro_rules! select_devices {
    ($which:literal) => {
        concat!(
            "SELECT d.id, d.venue, d.name, d.revoked_at, d.last_contact, d.software,
                    d.clock_offset, d.catalogue_version, v.name AS venue_name,
                    (SELECT CAST(COALESCE(SUM(sequence), 0) AS BIGINT) FROM list
                     WHERE device = d.id) AS entries,
                    d.used_twice_since, d.used_twice_at, d.sent_again_at, d.sent_again, d.run,
                    d.run_before
             FROM device d JOIN venue v ON v.id = d.venue ",
            $which
        )
    };
}

fn device(row: &Row) -> Result<Device, HubError> {
    Ok(Device {
        id: DeviceId(row.get("id")?),
        venue: row.get("venue")?,
        name: row.get("name")?,
        venue_name: row.get("venue_name")?,
        revoked_at: row.get("revoked_at")?,
        last_contact: row.get("last_contact")?,
        software: row.get("software")?,
        clock_offset: row.get("clock_offset")?,
        catalogue_version: row.get("catalogue_version")?,
        entries: row.get("entries")?,
        used_twice_since: row.get("used_twice_since")?,
        used_twice_at: row.get("used_twice_at")?,
        sent_again_at: row.get("sent_again_at")?,
        sent_again: row.get("sent_again")?,
        run: row.get("run")?,
        run_before: row.get("run_before")?,
    })
}

/// The device of this id, if it is enrolled and not revoked.
pub(crate) async fn enrolled(
    reading: &mut Reading,
    id: DeviceId,
) -> Result<Option<Device>, HubError> {
    let select = sql(select_devices!("WHERE d.id = $1 AND d.revoked_at IS NULL")).bind(id.0);
    reading.first(select).await?.as_ref().map(device).transpose()
}

/// All desks.
pub(crate) async fn desks(reading: &mut Reading) -> Result<Vec<Device>, HubError> {
    let rows = reading.all(sql(select_devices!("WHERE NOT d.is_hub ORDER BY d.venue, d.name")));
    rows.await?.iter().map(device).collect()
}

/// Whether this device is enrolled and not revoked.
pub(crate) async fn is_enrolled(reading: &mut Reading, id: DeviceId) -> Result<bool, HubError> {
    let select = "SELECT EXISTS (
             SELECT 1 FROM device WHERE id = $1 AND revoked_at IS NULL) AS found";
    Ok(reading.value(sql(select).bind(id.0)).await?.unwrap_or_default())
}

/// When this device was enrolled at this venue, if it was and is not revoked.
pub(crate) async fn enrolled_at(
    reading: &mut Reading,
    id: DeviceId,
    venue: &str,
) -> Result<Option<i64>, HubError> {
    let select = "SELECT enrolled_at AS found FROM device
         WHERE id = $1 AND venue = $2 AND revoked_at IS NULL";
    Ok(reading.value(sql(select).bind(id.0).bind(venue)).await?)
}

/// A desk as it was enrolled.
pub(crate) struct Enrolment {
    pub(crate) venue: String,
    pub(crate) name: String,
    pub(crate) public_key: [u8; 32],
    pub(crate) enrolled_at: UnixMillis,
}

/// How a desk was enrolled that may take part.
pub(crate) async fn enrolment(
    reading: &mut Reading,
    id: DeviceId,
) -> Result<Option<Enrolment>, HubError> {
    let select = "SELECT venue, name, public_key, enrolled_at FROM device
         WHERE id = $1 AND revoked_at IS NULL AND NOT is_hub";
    let row = reading.first(sql(select).bind(id.0)).await?;
    row.map(|row| {
        Ok(Enrolment {
            venue: row.get("venue")?,
            name: row.get("name")?,
            public_key: row.get("public_key")?,
            enrolled_at: UnixMillis(row.get("enrolled_at")?),
        })
    })
    .transpose()
}

/// Adds a device unless it is there: when it was added.
pub(crate) async fn add(
    writing: &mut Writing,
    id: DeviceId,
    venue: &str,
    name: &str,
    public_key: &[u8],
    is_hub: bool,
) -> Result<Option<i64>, HubError> {
    let now = writing.now().0;
    let add = "INSERT INTO device (id, venue, name, public_key, enrolled_at, is_hub)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let add = sql(add).bind(id.0).bind(venue).bind(name).bind(public_key).bind(now).bind(is_hub);
    Ok((writing.execute(add).await? > 0).then_some(now))
}

/// Revokes a device. Whether there was one to revoke.
pub(crate) async fn revoke(writing: &mut Writing, id: DeviceId) -> Result<bool, HubError> {
    let now = writing.now().0;
    let revoke = "UPDATE device SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
    Ok(writing.execute(sql(revoke).bind(now).bind(id.0)).await? > 0)
}

/// What a batch asks of devices: where they are enrolled and not revoked, with which key, and when the hub last held
/// everything that they had written.
pub(crate) struct Writer {
    pub(crate) venue: String,
    pub(crate) public_key: Vec<u8>,
    pub(crate) all_held_at: Option<i64>,
}

/// Those of these devices that are enrolled and not revoked.
pub(crate) async fn writers(
    reading: &mut Reading,
    ids: impl IntoIterator<Item = DeviceId>,
) -> Result<HashMap<DeviceId, Writer>, HubError> {
    let select = "SELECT id, venue, public_key, all_held_at FROM device
         WHERE id IN (:list) AND revoked_at IS NULL";
    let rows = reading.all(sql(select).list(ids.into_iter().map(|id| id.0))).await?;
    let found = rows.iter().map(|row| {
        let writer = Writer {
            venue: row.get("venue")?,
            public_key: row.get("public_key")?,
            all_held_at: row.get("all_held_at")?,
        };
        Ok((DeviceId(row.get("id")?), writer))
    });
    found.collect()
}

/// The public key of each of these devices.
pub(crate) async fn public_keys(
    reading: &mut Reading,
    ids: impl IntoIterator<Item = DeviceId>,
) -> Result<HashMap<DeviceId, Vec<u8>>, HubError> {
    let select = sql("SELECT id, public_key FROM device WHERE id IN (:list)");
    let rows = reading.all(select.list(ids.into_iter().map(|id| id.0))).await?;
    rows.iter().map(|row| Ok((DeviceId(row.get("id")?), row.get("public_key")?))).collect()
}

/// The offsets of the desks' clocks that were heard between two moments, of so many that were heard last.
pub(crate) async fn clock_offsets(
    reading: &mut Reading,
    from: i64,
    until: i64,
    most: i64,
) -> Result<Vec<i64>, HubError> {
    let select = "SELECT clock_offset FROM device
         WHERE clock_heard_at BETWEEN $1 AND $2 AND clock_offset IS NOT NULL
           AND revoked_at IS NULL
         ORDER BY clock_heard_at DESC LIMIT $3";
    let rows = reading.all(sql(select).bind(from).bind(until).bind(most)).await?;
    rows.iter().map(|row| Ok(row.get("clock_offset")?)).collect()
}

/// Notes what a desk's clock showed at its hello, and whether the hub holds all that it has written.
pub(crate) async fn note_clock(
    writing: &mut Writing,
    id: DeviceId,
    now: i64,
    offset: i64,
    holds_all: bool,
) -> Result<(), HubError> {
    let note = "UPDATE device SET last_contact = $1, clock_heard_at = $1, clock_offset = $2,
             all_held_at = CASE WHEN $3 THEN $1 ELSE all_held_at END
         WHERE id = $4";
    writing.execute(sql(note).bind(now).bind(offset).bind(holds_all).bind(id.0)).await?;
    Ok(())
}

/// Notes which software a desk runs, and in which run.
pub(crate) async fn note_software(
    writing: &mut Writing,
    id: DeviceId,
    software: &str,
    run: Option<u32>,
) -> Result<(), HubError> {
    let note = "UPDATE device SET software = $1,
             run_before = CASE WHEN $2 IS NULL OR run = $2 THEN run_before ELSE run END,
             run = COALESCE($2, run)
         WHERE id = $3";
    writing.execute(sql(note).bind(software).bind(run).bind(id.0)).await?;
    Ok(())
}

/// What a desk said last that it has, and what its clock showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contact {
    pub(crate) now: i64,
    /// How far it has the catalogue and its venue's log.
    pub(crate) have: Option<(u64, u64)>,
    pub(crate) offset: Option<i64>,
}

pub(crate) async fn note_contact(
    writing: &mut Writing,
    id: DeviceId,
    contact: Contact,
) -> Result<(), HubError> {
    let note = "UPDATE device SET catalogue_version = COALESCE($1, catalogue_version),
             venue_version = COALESCE($2, venue_version),
             clock_offset = COALESCE($3, clock_offset),
             clock_heard_at = COALESCE($4, clock_heard_at), last_contact = $5
         WHERE id = $6";
    let Contact { now, have, offset } = contact;
    let note = sql(note)
        .bind(have.map(|(catalogue, _)| catalogue))
        .bind(have.map(|(_, venue)| venue))
        .bind(offset)
        .bind(offset.map(|_| now))
        .bind(now)
        .bind(id.0);
    writing.execute(note).await?;
    Ok(())
}

/// Notes that a desk was seen to be used twice; since then, unless it was seen so after `still_since`.
pub(crate) async fn note_used_twice(
    writing: &mut Writing,
    id: DeviceId,
    now: i64,
    still_since: i64,
) -> Result<(), HubError> {
    let note = "UPDATE device
         SET used_twice_since =
                 CASE WHEN used_twice_at > $1 THEN used_twice_since ELSE $2 END,
             used_twice_at = $2
         WHERE id = $3";
    writing.execute(sql(note).bind(still_since).bind(now).bind(id.0)).await?;
    Ok(())
}

/// Notes that a desk sends so many entries again, which the hub had lost.
pub(crate) async fn note_sent_again(
    writing: &mut Writing,
    id: DeviceId,
    now: i64,
    entries: u64,
) -> Result<(), HubError> {
    let note = sql("UPDATE device SET sent_again_at = $1, sent_again = $2 WHERE id = $3");
    writing.execute(note.bind(now).bind(entries).bind(id.0)).await?;
    Ok(())
}

/// A venue's id, as it is kept.
pub(crate) fn venue_id(text: &str) -> Result<VenueId, HubError> {
    text.parse().map_err(|_| HubError::Record("a venue's id cannot be read".to_owned()))
}
