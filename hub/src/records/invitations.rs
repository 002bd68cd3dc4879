//! Invitations, each for one new desk.

use crate::db::{HubError, Reading, Row, Writing, sql};

/// An invitation, and its venue.
pub(crate) struct Invitation {
    pub(crate) venue: String,
    pub(crate) name: String,
    pub(crate) expires_at: i64,
    pub(crate) used_at: Option<i64>,
    pub(crate) venue_name: String,
    pub(crate) time_zone: String,
}

fn invitation(row: &Row) -> Result<Invitation, HubError> {
    Ok(Invitation {
        venue: row.get("venue")?,
        name: row.get("name")?,
        expires_at: row.get("expires_at")?,
        used_at: row.get("used_at")?,
        venue_name: row.get("venue_name")?,
        time_zone: row.get("time_zone")?,
    })
}

pub(crate) async fn add(
    writing: &mut Writing,
    token_hash: &[u8],
    venue: &str,
    name: &str,
    expires_at: i64,
) -> Result<(), HubError> {
    let add = "INSERT INTO invitation (token_hash, venue, name, expires_at)
         VALUES ($1, $2, $3, $4)";
    let add = sql(add).bind(token_hash).bind(venue).bind(name).bind(expires_at);
    writing.execute(add).await?;
    Ok(())
}

const SELECT: &str = "SELECT i.venue, i.name, i.expires_at, i.used_at, v.name AS venue_name,
         v.time_zone
     FROM invitation i JOIN venue v ON v.id = i.venue WHERE i.token_hash = $1";

/// The invitation of this token, which nobody else uses meanwhile.
pub(crate) async fn lock(
    writing: &mut Writing,
    token_hash: &[u8],
) -> Result<Option<Invitation>, HubError> {
    let lock = "SELECT token_hash FROM invitation WHERE token_hash = $1";
    writing.all(sql(lock).bind(token_hash).locking()).await?;
    find(writing, token_hash).await
}

/// The invitation of this token.
pub(crate) async fn find(
    reading: &mut Reading,
    token_hash: &[u8],
) -> Result<Option<Invitation>, HubError> {
    reading.first(sql(SELECT).bind(token_hash)).await?.as_ref().map(invitation).transpose()
}

pub(crate) async fn note_used(
    writing: &mut Writing,
    token_hash: &[u8],
    at: i64,
) -> Result<(), HubError> {
    let note = sql("UPDATE invitation SET used_at = $1 WHERE token_hash = $2");
    writing.execute(note.bind(at).bind(token_hash)).await?;
    Ok(())
}

/// Notes that an invitation was used before, of which this database does not know it.
pub(crate) async fn note_used_before(
    writing: &mut Writing,
    token_hash: &[u8],
    at: i64,
) -> Result<(), HubError> {
    let note = "UPDATE invitation SET used_at = $1 WHERE token_hash = $2 AND used_at IS NULL";
    writing.execute(sql(note).bind(at).bind(token_hash)).await?;
    Ok(())
}
