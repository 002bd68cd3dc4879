//! What the hub stated and signed, in the order of its numbers.

use crdt_model::ids::{DeviceId, VenueId};
use sync_protocol::notice::SignedNotice;

use crate::db::{HubError, Moves, Reading, Row, Writing, sql};

/// Keeps a notice for all desks, or for those of one venue. One that is kept already stays as it is.
pub(crate) async fn keep(
    writing: &mut Writing,
    venue: Option<&VenueId>,
    signed: &SignedNotice,
) -> Result<(), HubError> {
    let id = ring::digest::digest(&ring::digest::SHA256, &signed.notice).as_ref().to_vec();
    let known = sql("SELECT EXISTS (SELECT 1 FROM notice WHERE id = $1) AS found").bind(&id);
    if writing.value(known).await?.unwrap_or(false) {
        return Ok(());
    }
    let version = writing.version(Moves::Notices).await?;
    let keep = "INSERT INTO notice (id, venue, notice, signature, version)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";
    let keep = sql(keep)
        .bind(id)
        .bind(venue.map(ToString::to_string))
        .bind(&signed.notice)
        .bind(&signed.signature)
        .bind(version);
    writing.execute(keep).await?;
    Ok(())
}

fn signed(row: &Row) -> Result<(u64, SignedNotice), HubError> {
    let signed = SignedNotice { notice: row.get("notice")?, signature: row.get("signature")? };
    Ok((row.get("version")?, signed))
}

/// The notices behind a number that concern a venue's desks, with their numbers.
pub(crate) async fn behind(
    reading: &mut Reading,
    venue: &VenueId,
    from: u64,
    most: usize,
) -> Result<Vec<(u64, SignedNotice)>, HubError> {
    let select = "SELECT version, notice, signature FROM notice
         WHERE version > $1 AND (venue IS NULL OR venue = $2) ORDER BY version LIMIT $3";
    let select = sql(select).bind(from).bind(venue.as_str()).bind(most as u64);
    reading.all(select).await?.iter().map(signed).collect()
}

/// The number of the newest notice.
pub(crate) async fn version(reading: &mut Reading) -> Result<u64, HubError> {
    let select = "SELECT COALESCE(MAX(version), 0) AS found FROM notice WHERE version > 0";
    Ok(reading.value(sql(select)).await?.unwrap_or_default())
}

/// Notes that a device was revoked, though the database may not know it: for [`is_revoked`].
pub(crate) async fn note_revoked(writing: &mut Writing, device: DeviceId) -> Result<(), HubError> {
    let note = "INSERT INTO revoked (device) VALUES ($1) ON CONFLICT (device) DO NOTHING";
    writing.execute(sql(note).bind(device.0)).await?;
    Ok(())
}

/// Whether a device was ever revoked, also one that the database does not know.
pub(crate) async fn is_revoked(reading: &mut Reading, device: DeviceId) -> Result<bool, HubError> {
    let select = "SELECT EXISTS (SELECT 1 FROM revoked WHERE device = $1
             UNION ALL SELECT 1 FROM device WHERE id = $1 AND revoked_at IS NOT NULL) AS found";
    Ok(reading.value(sql(select).bind(device.0)).await?.unwrap_or_default())
}
