//! Single values by their names.

use crate::db::{HubError, Reading, Writing, sql};

/// The value of this name.
pub(crate) async fn value(reading: &mut Reading, name: &str) -> Result<Option<Vec<u8>>, HubError> {
    let select = sql("SELECT value AS found FROM meta WHERE name = $1").bind(name);
    Ok(reading.value(select).await?)
}

/// Keeps a value under this name.
pub(crate) async fn keep(writing: &mut Writing, name: &str, value: &[u8]) -> Result<(), HubError> {
    let keep = "INSERT INTO meta (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    writing.execute(sql(keep).bind(name).bind(value)).await?;
    Ok(())
}

/// Keeps a value under this name unless there is one.
pub(crate) async fn keep_first(
    writing: &mut Writing,
    name: &str,
    value: &[u8],
) -> Result<(), HubError> {
    let keep = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    writing.execute(sql(keep).bind(name).bind(value)).await?;
    Ok(())
}
