//! The sealed parts of pass records, and the keys by which the hub opens them.

use std::collections::{HashMap, HashSet};

use crdt_model::holder::SealedHolder;
use crdt_model::ids::PassId;

use super::encoded;
use crate::db::{HubError, Moves, Reading, Writing, sql};

/// A sealed part and its key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) key: [u8; 32],
    pub(crate) sealed: SealedHolder,
}

pub(crate) async fn find(reading: &mut Reading, pass: PassId) -> Result<Option<Kept>, HubError> {
    let select = sql("SELECT content_key, sealed FROM holder WHERE pass = $1").bind(pass.0);
    let Some(row) = reading.first(select).await? else { return Ok(None) };
    let sealed = minicbor::decode(row.bytes("sealed")?)?;
    Ok(Some(Kept { key: row.get("content_key")?, sealed }))
}

pub(crate) async fn write(
    writing: &mut Writing,
    pass: PassId,
    kept: &Kept,
) -> Result<(), HubError> {
    let version = writing.version(Moves::Holders).await?;
    let write = "INSERT INTO holder (pass, content_key, sealed, version) VALUES ($1, $2, $3, $4)
         ON CONFLICT (pass) DO UPDATE SET content_key = excluded.content_key,
             sealed = excluded.sealed, version = excluded.version";
    let write = sql(write).bind(pass.0).bind(kept.key).bind(encoded(&kept.sealed)?).bind(version);
    writing.execute(write).await?;
    Ok(())
}

/// Which of these passes have a sealed part.
pub(crate) async fn which(
    reading: &mut Reading,
    passes: impl IntoIterator<Item = u64>,
) -> Result<HashSet<u64>, HubError> {
    let select = sql("SELECT pass FROM holder WHERE pass IN (:list)");
    let rows = reading.all(select.list(passes)).await?;
    rows.iter().map(|row| Ok(row.get("pass")?)).collect()
}

/// The number of the newest sealed part.
pub(crate) async fn version(reading: &mut Reading) -> Result<u64, HubError> {
    let select = "SELECT COALESCE(MAX(version), 0) AS found FROM holder WHERE version > 0";
    Ok(reading.value(sql(select)).await?.unwrap_or_default())
}

/// Sealed parts behind a number, with their numbers, as bytes.
pub(crate) async fn behind(
    reading: &mut Reading,
    from: u64,
    most: u64,
) -> Result<Vec<(u64, PassId, Vec<u8>)>, HubError> {
    let select = "SELECT version, pass, sealed FROM holder WHERE version > $1
         ORDER BY version LIMIT $2";
    let rows = reading.all(sql(select).bind(from).bind(most)).await?;
    let found = rows
        .iter()
        .map(|row| Ok((row.get("version")?, PassId(row.get("pass")?), row.get("sealed")?)));
    found.collect()
}

/// The sealed parts of these passes, each with its number, where it has one.
pub(crate) async fn of_passes(
    reading: &mut Reading,
    passes: impl IntoIterator<Item = PassId>,
) -> Result<HashMap<PassId, (Option<u64>, Vec<u8>)>, HubError> {
    let select = sql("SELECT version, pass, sealed FROM holder WHERE pass IN (:list)");
    let rows = reading.all(select.list(passes.into_iter().map(|pass| pass.0))).await?;
    rows.iter()
        .map(|row| {
            // A negative one is no number yet.
            let version = u64::try_from(row.get::<i64>("version")?).ok();
            Ok((PassId(row.get("pass")?), (version, row.get("sealed")?)))
        })
        .collect()
}
