//! What was accepted, in the order of its numbers: what the venue's other desks are sent.

use crdt_model::ids::VenueId;

use super::lists::ListKey;
use crate::db::{HubError, Moves, Reading, Writing, sql};

/// Entries of a list that were accepted together.
pub(crate) struct Accepted {
    pub(crate) list: ListKey,
    /// The first of them, from 1.
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) signature: Vec<u8>,
    /// By the hub's time.
    pub(crate) received: i64,
}

/// Adds to the log of a venue.
pub(crate) async fn add(
    writing: &mut Writing,
    venue: &VenueId,
    accepted: Vec<Accepted>,
) -> Result<(), HubError> {
    let first = writing.versions(Moves::Venue(venue), accepted.len()).await?;
    let rows = (first..).zip(accepted).map(|(version, it)| {
        vec![
            it.list.venue.into(),
            it.list.day.into(),
            it.list.writer.into(),
            it.first.into(),
            it.last.into(),
            it.signature.into(),
            it.received.into(),
            version.into(),
        ]
    });
    let add = "WITH given (venue, day, writer, first, last, signature, received, version)
         AS (:rows)
         INSERT INTO accepted (venue, day, writer, first, last, signature, received, version)
         SELECT * FROM given";
    writing.execute(sql(add).rows(rows.collect())).await?;
    Ok(())
}

/// A row of the log, with its number.
pub(crate) struct Logged {
    pub(crate) version: u64,
    pub(crate) day: i32,
    pub(crate) writer: [u8; 20],
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) signature: Vec<u8>,
}

/// The rows of a venue's log behind a number.
pub(crate) async fn behind(
    reading: &mut Reading,
    venue: &VenueId,
    from: u64,
    most: usize,
) -> Result<Vec<Logged>, HubError> {
    let select = "SELECT version, day, writer, first, last, signature
         FROM accepted WHERE venue = $1 AND version > $2 ORDER BY version LIMIT $3";
    let select = sql(select).bind(venue.as_str()).bind(from).bind(most as u64);
    let rows = reading.all(select).await?;
    let logged = rows.iter().map(|row| {
        Ok(Logged {
            version: row.get("version")?,
            day: row.get("day")?,
            writer: row.get("writer")?,
            first: row.get("first")?,
            last: row.get("last")?,
            signature: row.get("signature")?,
        })
    });
    logged.collect()
}

/// The number of the newest row of a venue's log.
pub(crate) async fn version(reading: &mut Reading, venue: &VenueId) -> Result<u64, HubError> {
    let select = "SELECT COALESCE(MAX(version), 0) AS found FROM accepted
         WHERE venue = $1 AND version > 0";
    Ok(reading.value(sql(select).bind(venue.as_str())).await?.unwrap_or_default())
}

/// When the newest row behind a number was received, by the hub's time.
pub(crate) async fn newest_receipt(
    reading: &mut Reading,
    behind: u64,
) -> Result<Option<i64>, HubError> {
    let select = "SELECT received AS found FROM accepted WHERE version > $1
         ORDER BY version DESC LIMIT 1";
    Ok(reading.value::<Option<i64>>(sql(select).bind(behind)).await?.flatten())
}
