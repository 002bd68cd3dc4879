//! Venues, devices and invitations: who may say what.

use crdt_model::catalogue::Policy;
use crdt_model::ids::{DeviceId, VenueId};
use rand::RngExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use sync_protocol::invitation::{Invitation, key_fingerprint};
use sync_protocol::message::Enrolled;

use crate::catalogue::next_version;
use crate::copies::still_shown;
use crate::db::{HubError, from_sql, lookup_key, request_key, wall_clock};
use crate::ledgers::{TIME_ZONE, encoded};

/// How long an invitation can be used: a week, in milliseconds.
const INVITATION_LIFETIME: i64 = 7 * 24 * 60 * 60 * 1000;

/// A device, as operators see it.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its id.
    pub device: DeviceId,
    /// Its venue.
    pub venue: VenueId,
    /// Its name, for people.
    pub name: String,
    /// Its venue's name, for people.
    pub venue_name: String,
    /// Whether it may take part.
    pub revoked: bool,
    /// When it was last heard of, in milliseconds since the epoch.
    pub last_contact: Option<i64>,
    /// Its software's version.
    pub software: Option<String>,
    /// Its clock less the hub's, in milliseconds.
    pub clock_offset: Option<i64>,
    /// How far it has the catalogue.
    pub catalogue_version: u64,
    /// How many of its entries the hub holds.
    pub entries: u64,
    /// Since when two computers record under its name, where they do: its folder was copied.
    pub used_twice_since: Option<i64>,
    /// When it last sent entries again that this hub, restored from an older copy, had lost.
    pub sent_again_at: Option<i64>,
    /// How many that were, as the desk says: at most as many as the hub now holds of it.
    pub sent_again: u64,
    /// The run of its daemon that came last, and the one before it.
    #[serde(skip)]
    pub(crate) runs: [Option<u32>; 2],
}

/// Adds a venue.
///
/// # Errors
/// [`HubError::Exists`].
pub async fn add_venue(pool: &SqlitePool, venue: &VenueId, name: &str) -> Result<(), HubError> {
    let mut writing = pool.begin_with("BEGIN IMMEDIATE").await?;
    let added = sqlx::query("INSERT OR IGNORE INTO venue (id, name, time_zone) VALUES (?, ?, ?)")
        .bind(venue.as_str())
        .bind(name)
        .bind(TIME_ZONE)
        .execute(&mut *writing)
        .await?;
    if added.rows_affected() == 0 {
        return Err(HubError::Exists { what: "venue", name: venue.to_string() });
    }
    let policy: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT value FROM meta WHERE name = 'policy'")
            .fetch_optional(&mut *writing)
            .await?;
    let policy = match policy {
        Some(policy) => policy,
        None => encoded(&Policy::default())?,
    };
    let version = next_version(&mut writing).await?;
    sqlx::query("INSERT INTO policy (venue, own, record, version) VALUES (?, 0, ?, ?)")
        .bind(venue.as_str())
        .bind(policy)
        .bind(version)
        .execute(&mut *writing)
        .await?;
    writing.commit().await?;
    Ok(())
}

/// All venues: id and name.
///
/// # Errors
/// [`HubError`].
pub async fn venues(pool: &SqlitePool) -> Result<Vec<(String, String)>, HubError> {
    Ok(sqlx::query_as("SELECT id, name FROM venue ORDER BY id").fetch_all(pool).await?)
}

/// Makes an invitation for one new desk. `hub_key` is the hub's public key.
///
/// # Errors
/// [`HubError::NoSuch`] where there is no such venue.
pub async fn invite(
    pool: &SqlitePool,
    venue: &VenueId,
    name: &str,
    addresses: Vec<String>,
    hub_key: &[u8],
) -> Result<Invitation, HubError> {
    let token: [u8; 16] = rand::rng().random();
    let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM venue WHERE id = ?")
        .bind(venue.as_str())
        .fetch_optional(pool)
        .await?;
    if known.is_none() {
        return Err(HubError::NoSuch { what: "venue", name: venue.to_string() });
    }
    sqlx::query("INSERT INTO invitation (token_hash, venue, name, expires_at) VALUES (?, ?, ?, ?)")
        .bind(&key_fingerprint(&token)[..])
        .bind(venue.as_str())
        .bind(name)
        .bind(wall_clock().plus(INVITATION_LIFETIME).0)
        .execute(pool)
        .await?;
    Ok(Invitation { addresses, hub_key: key_fingerprint(hub_key), token })
}

/// Enrols the device that holds this key, with an invitation's token: once.
///
/// # Errors
/// [`HubError`]. The inner error is a sentence for the people at the desk.
pub async fn enrol(
    pool: &SqlitePool,
    token: &[u8],
    public_key: &[u8],
) -> Result<Result<Enrolled, String>, HubError> {
    let mut writing = pool.begin_with("BEGIN IMMEDIATE").await?;
    let found = sqlx::query(
        "SELECT i.venue, i.name, i.expires_at, i.used_at, v.name, v.time_zone
         FROM invitation i JOIN venue v ON v.id = i.venue WHERE token_hash = ?",
    )
    .bind(&key_fingerprint(token)[..])
    .fetch_optional(&mut *writing)
    .await?;
    let now = wall_clock();
    let refused = |sentence: &str| Ok(Err(sentence.to_owned()));
    let Some(row) = found else {
        return refused("this hub has made no such invitation. Ask an operator for one");
    };
    let (venue, name): (String, String) = (row.get(0), row.get(1));
    let (venue_name, time_zone): (String, String) = (row.get(4), row.get(5));
    let device = DeviceId::of_public_key(public_key);
    let used_at = row.get::<Option<i64>, _>(3);
    // The answer may be lost on its way: the desk that used the invitation is given it again.
    if used_at.is_some() && used_at == enrolled_at(&mut writing, device, &venue).await? {
        writing.rollback().await?;
        let venue = venue_id(&venue)?;
        return Ok(Ok(enrolment(pool, venue, venue_name, name, time_zone).await?));
    }
    if used_at.is_some() {
        return refused(
            "the invitation was used before; each works once. Ask an operator for a new one",
        );
    }
    if row.get::<i64, _>(2) < now.0 {
        return refused(
            "the invitation is too old; they last a week. Ask an operator for a new one",
        );
    }
    let added = sqlx::query(
        "INSERT OR IGNORE INTO device (id, venue, name, public_key, enrolled_at) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(&device.0[..])
    .bind(&venue)
    .bind(&name)
    .bind(public_key)
    .bind(now.0)
    .execute(&mut *writing)
    .await?;
    if added.rows_affected() == 0 {
        return refused(
            "this desk's key is enrolled already. Move the desk's folder away and enrol anew, with a new key",
        );
    }
    sqlx::query("UPDATE invitation SET used_at = ? WHERE token_hash = ?")
        .bind(now.0)
        .bind(&key_fingerprint(token)[..])
        .execute(&mut *writing)
        .await?;
    writing.commit().await?;
    let venue = venue_id(&venue)?;
    Ok(Ok(enrolment(pool, venue, venue_name, name, time_zone).await?))
}

async fn enrolment(
    pool: &SqlitePool,
    venue: VenueId,
    venue_name: String,
    desk_name: String,
    time_zone: String,
) -> Result<Enrolled, HubError> {
    let lookup_key = lookup_key(pool).await?.0;
    let request_key = Some(request_key(pool).await?.public_key());
    Ok(Enrolled { venue, venue_name, desk_name, time_zone, lookup_key, request_key })
}

fn venue_id(text: &str) -> Result<VenueId, HubError> {
    text.parse().map_err(|_| HubError::Record("a venue's id cannot be read".to_owned()))
}

/// When this device was enrolled at this venue, if it was and is not revoked.
async fn enrolled_at(
    connection: &mut SqliteConnection,
    device: DeviceId,
    venue: &str,
) -> Result<Option<i64>, HubError> {
    let found = sqlx::query_scalar(
        "SELECT enrolled_at FROM device WHERE id = ? AND venue = ? AND revoked_at IS NULL",
    )
    .bind(&device.0[..])
    .bind(venue)
    .fetch_optional(connection)
    .await?;
    Ok(found)
}

/// Whether this device is enrolled and not revoked.
///
/// # Errors
/// [`HubError`].
pub async fn is_enrolled(pool: &SqlitePool, device: DeviceId) -> Result<bool, HubError> {
    let found: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM device WHERE id = ? AND revoked_at IS NULL")
            .bind(&device.0[..])
            .fetch_optional(pool)
            .await?;
    Ok(found.is_some())
}

/// What is asked of the table of devices; what follows says of which.
macro_rules! select_devices {
    ($which:literal) => {
        concat!(
            "SELECT d.id, d.venue, d.name, d.revoked_at, d.last_contact, d.software,
                    d.clock_offset, d.catalogue_version,
                    (SELECT COALESCE(SUM(sequence), 0) FROM list WHERE device = d.id), v.name,
                    d.used_twice_since, d.used_twice_at, d.sent_again_at, d.sent_again, d.run, d.run_before
             FROM device d JOIN venue v ON v.id = d.venue ",
            $which
        )
    };
}

/// The device that holds this key, if it is enrolled and not revoked.
///
/// # Errors
/// [`HubError`].
pub async fn enrolled(pool: &SqlitePool, public_key: &[u8]) -> Result<Option<Device>, HubError> {
    let row = sqlx::query(select_devices!("WHERE d.id = ? AND d.revoked_at IS NULL"))
        .bind(&DeviceId::of_public_key(public_key).0[..])
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(device).transpose()
}

/// All devices.
///
/// # Errors
/// [`HubError`].
pub async fn devices(pool: &SqlitePool) -> Result<Vec<Device>, HubError> {
    let rows = sqlx::query(select_devices!("WHERE NOT d.is_hub ORDER BY d.venue, d.name"))
        .fetch_all(pool)
        .await?;
    rows.iter().map(device).collect()
}

fn device(row: &SqliteRow) -> Result<Device, HubError> {
    let id: Vec<u8> = row.get(0);
    let wrong = |what: &str| HubError::Record(format!("a device's {what} cannot be read"));
    Ok(Device {
        device: DeviceId(id.try_into().map_err(|_| wrong("id"))?),
        venue: venue_id(row.get(1))?,
        name: row.get(2),
        venue_name: row.get(9),
        revoked: row.get::<Option<i64>, _>(3).is_some(),
        last_contact: row.get(4),
        software: row.get(5),
        clock_offset: row.get(6),
        catalogue_version: from_sql(row.get(7)),
        entries: from_sql(row.get(8)),
        used_twice_since: still_shown(row.get(11), wall_clock())
            .then(|| row.get::<Option<i64>, _>(10))
            .flatten(),
        sent_again_at: row.get(12),
        sent_again: row.get::<Option<i64>, _>(13).map_or(0, from_sql).min(from_sql(row.get(8))),
        runs: [row.get(14), row.get(15)],
    })
}

/// Revokes a device: from now on it adds nothing and receives nothing (invariant 7).
///
/// # Errors
/// [`HubError::NoSuch`].
pub async fn revoke(pool: &SqlitePool, device: DeviceId) -> Result<(), HubError> {
    let done = sqlx::query("UPDATE device SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
        .bind(wall_clock().0)
        .bind(&device.0[..])
        .execute(pool)
        .await?;
    if done.rows_affected() == 0 {
        return Err(HubError::NoSuch { what: "enrolled device", name: device.to_string() });
    }
    Ok(())
}
