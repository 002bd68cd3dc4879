//! The keys of cards that cannot be faked: made here, sealed to each desk, and to those that make cards
//! with what makes them.

use crdt_model::ids::DeviceId;
use rand::RngExt;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use sqlx::{Row, SqliteConnection, SqliteExecutor, SqlitePool};
use sync_protocol::card_keys::{CardKeySet, SealedCardKeys, seal_card_keys};

use crate::db::{HubError, Writing, from_sql, wall_clock, write};

/// What a key set is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Cards with keys of their own, and signatures.
    Keys,
    /// Signatures alone: no desk that checks holds a secret.
    Signatures,
}

/// A key set, as an operator sees it: no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeySetRow {
    /// Its number, which cards name it by.
    pub number: u8,
    /// What it is for.
    pub kind: Kind,
    /// When it was made, in milliseconds since the epoch.
    pub made_at: i64,
    /// When desks were told to forget it, in milliseconds since the epoch.
    pub retired_at: Option<i64>,
}

/// The version of the card keys; nothing where there never were any.
///
/// # Errors
/// [`HubError`].
pub async fn version(database: impl SqliteExecutor<'_>) -> Result<Option<u64>, HubError> {
    let version: Option<i64> = sqlx::query_scalar("SELECT version FROM card_keys_version")
        .fetch_optional(database)
        .await?;
    Ok(version.map(from_sql))
}

/// What a desk is told of the version when it says hello: nothing where there never were any keys. A desk
/// whose sealing key is not known is told a version that none has, so that it says that key: from then on
/// it is sent every change.
///
/// # Errors
/// [`HubError`].
pub async fn announced(pool: &SqlitePool, device: DeviceId) -> Result<Option<u64>, HubError> {
    let known: Option<bool> =
        sqlx::query_scalar("SELECT sealing_key IS NOT NULL FROM device WHERE id = ?")
            .bind(&device.0[..])
            .fetch_optional(pool)
            .await?;
    if known == Some(true) { version(pool).await } else { Ok(Some(0)) }
}

/// A random number: a hub that was restored from a backup must not come by the same one again, or desks
/// would take other keys for theirs.
async fn next_version(connection: &mut SqliteConnection) -> Result<(), HubError> {
    let version: i64 = rand::rng().random_range(1..i64::MAX);
    sqlx::query(
        "INSERT INTO card_keys_version (id, version) VALUES (1, ?1)
         ON CONFLICT (id) DO UPDATE SET version = ?1",
    )
    .bind(version)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a key set, and gives its number: one more than the highest that ever was, for cards out there
/// name theirs.
///
/// # Errors
/// [`HubError`]; [`HubError::Exists`] where all 255 numbers were used.
pub async fn make(pool: &SqlitePool, kind: Kind) -> Result<u8, HubError> {
    let mut writing = Writing::begin(pool).await?;
    let highest: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) FROM card_key_set")
        .fetch_one(&mut *writing.transaction)
        .await?;
    let number = u8::try_from(highest + 1)
        .map_err(|_| HubError::Exists { what: "key set", name: "255".to_owned() })?;
    let keys = match kind {
        Kind::Keys => Some((rand::rng().random::<[u8; 16]>(), rand::rng().random::<[u8; 16]>())),
        Kind::Signatures => None,
    };
    let seed: [u8; 32] = rand::rng().random();
    sqlx::query(
        "INSERT INTO card_key_set (number, check_key, change_key, signing_seed, made_at)
         VALUES (?, ?, ?, ?, ?)",
    )
    .bind(number)
    .bind(keys.map(|(check, _)| check.to_vec()))
    .bind(keys.map(|(_, change)| change.to_vec()))
    .bind(&seed[..])
    .bind(wall_clock().0)
    .execute(&mut *writing.transaction)
    .await?;
    next_version(&mut writing.transaction).await?;
    writing.transaction.commit().await?;
    Ok(number)
}

/// Retires a key set: desks forget it, and a card that was made with it proves nothing any more.
///
/// # Errors
/// [`HubError::NoSuch`] where there is none of this number in use.
pub async fn retire(pool: &SqlitePool, number: u8) -> Result<(), HubError> {
    let mut writing = Writing::begin(pool).await?;
    let done = sqlx::query(
        "UPDATE card_key_set SET retired_at = ? WHERE number = ? AND retired_at IS NULL",
    )
    .bind(wall_clock().0)
    .bind(number)
    .execute(&mut *writing.transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Err(HubError::NoSuch { what: "key set in use", name: number.to_string() });
    }
    next_version(&mut writing.transaction).await?;
    writing.transaction.commit().await?;
    Ok(())
}

/// Lets a desk make cards, or no longer.
///
/// # Errors
/// [`HubError::NoSuch`] where there is no such enrolled desk.
pub async fn let_make(pool: &SqlitePool, device: DeviceId, makes: bool) -> Result<(), HubError> {
    let mut writing = Writing::begin(pool).await?;
    let done = sqlx::query(
        "UPDATE device SET makes_cards = ? WHERE id = ? AND revoked_at IS NULL AND NOT is_hub",
    )
    .bind(makes)
    .bind(&device.0[..])
    .execute(&mut *writing.transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Err(HubError::NoSuch { what: "enrolled device", name: device.to_string() });
    }
    next_version(&mut writing.transaction).await?;
    writing.transaction.commit().await?;
    Ok(())
}

/// All key sets.
///
/// # Errors
/// [`HubError`].
pub async fn list(pool: &SqlitePool) -> Result<Vec<KeySetRow>, HubError> {
    let rows = sqlx::query(
        "SELECT number, check_key IS NULL, made_at, retired_at FROM card_key_set ORDER BY number",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .iter()
        .map(|row| KeySetRow {
            number: row.get(0),
            kind: if row.get(1) { Kind::Signatures } else { Kind::Keys },
            made_at: row.get(2),
            retired_at: row.get(3),
        })
        .collect())
}

/// Keeps the key to which a desk's card keys are sealed.
///
/// # Errors
/// [`HubError`].
pub async fn keep_sealing_key(
    pool: &SqlitePool,
    device: DeviceId,
    sealing_key: &[u8; 32],
) -> Result<(), HubError> {
    let update = sqlx::query("UPDATE device SET sealing_key = ? WHERE id = ?")
        .bind(&sealing_key[..])
        .bind(&device.0[..]);
    write(pool, update).await
}

/// The card keys for this desk, sealed to it; nothing where there never were any, it has not said to which
/// key, or it was revoked (invariant 7).
///
/// # Errors
/// [`HubError`].
pub async fn sealed_to(
    pool: &SqlitePool,
    device: DeviceId,
) -> Result<Option<SealedCardKeys>, HubError> {
    let mut reading = pool.begin().await?;
    let version = version(&mut *reading).await?;
    let desk = sqlx::query(
        "SELECT makes_cards, sealing_key FROM device
         WHERE id = ? AND revoked_at IS NULL AND NOT is_hub",
    )
    .bind(&device.0[..])
    .fetch_optional(&mut *reading)
    .await?;
    let (Some(version), Some(desk)) = (version, desk) else { return Ok(None) };
    let makes: bool = desk.get(0);
    let Some(sealing_key) = desk.get::<Option<Vec<u8>>, _>(1) else { return Ok(None) };
    let wrong = |what: &str| HubError::Record(format!("a {what} has another length"));
    let sealing_key = sealing_key.try_into().map_err(|_| wrong("sealing key"))?;
    let rows = sqlx::query(
        "SELECT number, check_key, change_key, signing_seed FROM card_key_set
         WHERE retired_at IS NULL ORDER BY number",
    )
    .fetch_all(&mut *reading)
    .await?;
    let mut sets = Vec::with_capacity(rows.len());
    for row in &rows {
        let master = |column: usize| {
            let key = row.get::<Option<Vec<u8>>, _>(column);
            key.map(|key| key.try_into().map_err(|_| wrong("card key"))).transpose()
        };
        let seed: [u8; 32] =
            row.get::<Vec<u8>, _>(3).try_into().map_err(|_| wrong("signing key"))?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|error| HubError::Record(format!("a signing key: {error}")))?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| wrong("public key"))?;
        sets.push(CardKeySet {
            number: row.get(0),
            public,
            check: master(1)?,
            change: if makes { master(2)? } else { None },
            signing: makes.then_some(seed),
        });
    }
    let sealed = seal_card_keys(version, &sets, &sealing_key, &mut rand::rng())
        .map_err(|error| HubError::Record(format!("card keys for desk {device}: {error}")))?;
    Ok(Some(sealed))
}
