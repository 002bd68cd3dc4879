//! Venues.

use crdt_model::ids::VenueId;

use crate::db::{HubError, Reading, Writing, sql};

/// Adds a venue unless there is one of this id. Whether it was added.
pub(crate) async fn add(
    writing: &mut Writing,
    venue: &VenueId,
    name: &str,
    time_zone: &str,
) -> Result<bool, HubError> {
    let add = "INSERT INTO venue (id, name, time_zone) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO NOTHING";
    let add = sql(add).bind(venue.as_str()).bind(name).bind(time_zone);
    Ok(writing.execute(add).await? > 0)
}

/// Adds a venue or brings it up to date. Whether anything of it was new.
pub(crate) async fn keep(
    writing: &mut Writing,
    venue: &VenueId,
    name: &str,
    time_zone: &str,
    organiser: Option<String>,
) -> Result<bool, HubError> {
    let keep = "INSERT INTO venue (id, name, time_zone, organiser) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, organiser = excluded.organiser
         WHERE venue.name <> excluded.name OR venue.organiser IS DISTINCT FROM excluded.organiser";
    let keep = sql(keep).bind(venue.as_str()).bind(name).bind(time_zone).bind(organiser);
    Ok(writing.execute(keep).await? > 0)
}

/// Whether there is a venue of this id.
pub(crate) async fn exists(reading: &mut Reading, venue: &VenueId) -> Result<bool, HubError> {
    let select = "SELECT EXISTS (SELECT 1 FROM venue WHERE id = $1) AS found";
    Ok(reading.value(sql(select).bind(venue.as_str())).await?.unwrap_or_default())
}

/// All venues: id and name.
pub(crate) async fn all(reading: &mut Reading) -> Result<Vec<(String, String)>, HubError> {
    let rows = reading.all(sql("SELECT id, name FROM venue ORDER BY id")).await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("name")?))).collect()
}

/// The venues without a policy of their own, with their organisers.
pub(crate) async fn without_own_policy(
    reading: &mut Reading,
) -> Result<Vec<(String, Option<String>)>, HubError> {
    let select = "SELECT v.id, v.organiser FROM venue v LEFT JOIN policy p ON p.venue = v.id
         WHERE p.own IS NULL OR NOT p.own ORDER BY v.id";
    let rows = reading.all(sql(select)).await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("organiser")?))).collect()
}
