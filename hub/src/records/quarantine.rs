//! Batches that were set apart.

use crdt_model::ids::{DeviceId, VenueId};
use sync_protocol::message::Batch;

use crate::db::{HubError, Reading, Writing, hash_of_batch, sql};

/// Sets a batch apart. One that is set apart already stays as it is.
pub(crate) async fn add(
    writing: &mut Writing,
    venue: &VenueId,
    carrier: DeviceId,
    batch: &Batch,
    reason: &str,
) -> Result<(), HubError> {
    let now = writing.now().0;
    let add = "INSERT INTO quarantine
         (venue, day, writer, first, hash, entries, signature, carried_by, reason, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (venue, day, writer, first, hash) DO NOTHING";
    let add = sql(add)
        .bind(venue.as_str())
        .bind(batch.day)
        .bind(batch.writer.0)
        .bind(batch.first)
        .bind(hash_of_batch(&batch.entries, &batch.seal.signature))
        .bind(&batch.entries)
        .bind(&batch.seal.signature)
        .bind(carrier.0)
        .bind(reason)
        .bind(now);
    writing.execute(add).await?;
    Ok(())
}

/// How many there are.
pub(crate) async fn count(reading: &mut Reading) -> Result<u64, HubError> {
    Ok(reading.value(sql("SELECT COUNT(*) AS found FROM quarantine")).await?.unwrap_or_default())
}
