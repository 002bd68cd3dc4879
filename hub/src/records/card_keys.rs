//! Keys of cards that cannot be faked.

use crdt_model::ids::DeviceId;

use crate::db::{HubError, Reading, Row, Writing, sql};

/// A key set, with its keys.
pub(crate) struct KeySet {
    pub(crate) number: u8,
    pub(crate) check: Option<[u8; 16]>,
    pub(crate) change: Option<[u8; 16]>,
    pub(crate) signing_seed: [u8; 32],
    pub(crate) made_at: i64,
    pub(crate) retired_at: Option<i64>,
}

fn key_set(row: &Row) -> Result<KeySet, HubError> {
    Ok(KeySet {
        number: row.get("number")?,
        check: row.get("check_key")?,
        change: row.get("change_key")?,
        signing_seed: row.get("signing_seed")?,
        made_at: row.get("made_at")?,
        retired_at: row.get("retired_at")?,
    })
}

/// All key sets, also those that were retired.
pub(crate) async fn all(reading: &mut Reading) -> Result<Vec<KeySet>, HubError> {
    let select = "SELECT number, check_key, change_key, signing_seed, made_at, retired_at
         FROM card_key_set ORDER BY number";
    reading.all(sql(select)).await?.iter().map(key_set).collect()
}

pub(crate) async fn add(writing: &mut Writing, set: &KeySet) -> Result<(), HubError> {
    let add = "INSERT INTO card_key_set (number, check_key, change_key, signing_seed, made_at)
         VALUES ($1, $2, $3, $4, $5)";
    let add = sql(add)
        .bind(set.number)
        .bind(set.check.map(|key| key.to_vec()))
        .bind(set.change.map(|key| key.to_vec()))
        .bind(set.signing_seed)
        .bind(set.made_at);
    writing.execute(add).await?;
    Ok(())
}

/// Retires a set that is in use. Whether there was one.
pub(crate) async fn retire(writing: &mut Writing, number: u8) -> Result<bool, HubError> {
    let now = writing.now().0;
    let retire = "UPDATE card_key_set SET retired_at = $1
         WHERE number = $2 AND retired_at IS NULL";
    Ok(writing.execute(sql(retire).bind(now).bind(number)).await? > 0)
}

/// The version of the keys; nothing where there never were any.
pub(crate) async fn version(reading: &mut Reading) -> Result<Option<u64>, HubError> {
    Ok(reading.value(sql("SELECT version AS found FROM card_keys_version")).await?)
}

pub(crate) async fn set_version(writing: &mut Writing, version: u64) -> Result<(), HubError> {
    let set = "INSERT INTO card_keys_version (id, version) VALUES (1, $1)
         ON CONFLICT (id) DO UPDATE SET version = excluded.version";
    writing.execute(sql(set).bind(version)).await?;
    Ok(())
}

/// Whether a desk makes cards, and the key to which its card keys are sealed, once it has said it. Nothing where it is
/// no desk that may take part.
pub(crate) async fn desk(
    reading: &mut Reading,
    device: DeviceId,
) -> Result<Option<(bool, Option<[u8; 32]>)>, HubError> {
    let select = "SELECT makes_cards, sealing_key FROM device
         WHERE id = $1 AND revoked_at IS NULL AND NOT is_hub";
    let row = reading.first(sql(select).bind(device.0)).await?;
    row.map(|row| Ok((row.get("makes_cards")?, row.get("sealing_key")?))).transpose()
}

/// Lets a desk make cards, or no longer. Whether there is such a desk.
pub(crate) async fn let_make(
    writing: &mut Writing,
    device: DeviceId,
    makes: bool,
) -> Result<bool, HubError> {
    let set = "UPDATE device SET makes_cards = $1
         WHERE id = $2 AND revoked_at IS NULL AND NOT is_hub";
    Ok(writing.execute(sql(set).bind(makes).bind(device.0)).await? > 0)
}

pub(crate) async fn keep_sealing_key(
    writing: &mut Writing,
    device: DeviceId,
    key: &[u8; 32],
) -> Result<(), HubError> {
    let keep = sql("UPDATE device SET sealing_key = $1 WHERE id = $2");
    writing.execute(keep.bind(*key).bind(device.0)).await?;
    Ok(())
}
