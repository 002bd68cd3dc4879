//! The keys of cards that cannot be faked: made here, sealed to each desk, and to those that make cards
//! with what makes them.

use crdt_model::ids::DeviceId;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use sync_protocol::card_keys::{CardKeySet, SealedCardKeys, seal_card_keys};

use crate::db::{Db, HubError, Writing};
use crate::records::card_keys::{self as kept, KeySet};

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
pub async fn version(db: &Db) -> Result<Option<u64>, HubError> {
    kept::version(&mut db.read().await?).await
}

/// What a desk is told of the version when it says hello: nothing where there never were any keys. A desk
/// whose sealing key is not known is told a version that none has, so that it says that key: from then on
/// it is sent every change.
///
/// # Errors
/// [`HubError`].
pub async fn announced(db: &Db, device: DeviceId) -> Result<Option<u64>, HubError> {
    let mut reading = db.read().await?;
    match kept::desk(&mut reading, device).await? {
        Some((_, Some(_))) => kept::version(&mut reading).await,
        Some((_, None)) | None => Ok(Some(0)),
    }
}

/// A random number: a hub that was restored from a backup must not come by the same one again, or desks
/// would take other keys for theirs.
async fn next_version(writing: &mut Writing) -> Result<(), HubError> {
    let version = writing.surroundings().number();
    writing.devices_moved();
    kept::set_version(writing, version).await
}

/// Makes a key set, and gives its number: one more than the highest that ever was, for cards out there
/// name theirs.
///
/// # Errors
/// [`HubError`]; [`HubError::Exists`] where all 255 numbers were used.
pub async fn make(db: &Db, kind: Kind) -> Result<u8, HubError> {
    let mut writing = db.write().await?;
    // Not from the ids, which may leave some out: there are 255.
    writing.lock_name("key set", "").await?;
    let highest = kept::all(&mut writing).await?.last().map_or(0, |set| set.number);
    let number = highest
        .checked_add(1)
        .ok_or_else(|| HubError::Exists { what: "key set", name: "255".to_owned() })?;
    let surroundings = writing.surroundings();
    let keys = match kind {
        Kind::Keys => Some((surroundings.random(), surroundings.random())),
        Kind::Signatures => None,
    };
    let set = KeySet {
        number,
        check: keys.map(|(check, _)| check),
        change: keys.map(|(_, change)| change),
        signing_seed: surroundings.random(),
        made_at: surroundings.now().0,
        retired_at: None,
    };
    kept::add(&mut writing, &set).await?;
    next_version(&mut writing).await?;
    writing.commit().await?;
    Ok(number)
}

/// Retires a key set: desks forget it, and a card that was made with it proves nothing any more.
///
/// # Errors
/// [`HubError::NoSuch`] where there is none of this number in use.
pub async fn retire(db: &Db, number: u8) -> Result<(), HubError> {
    let mut writing = db.write().await?;
    if !kept::retire(&mut writing, number).await? {
        return Err(HubError::NoSuch { what: "key set in use", name: number.to_string() });
    }
    next_version(&mut writing).await?;
    writing.commit().await?;
    Ok(())
}

/// Lets a desk make cards, or no longer.
///
/// # Errors
/// [`HubError::NoSuch`] where there is no such enrolled desk.
pub async fn let_make(db: &Db, device: DeviceId, makes: bool) -> Result<(), HubError> {
    let mut writing = db.write().await?;
    if !kept::let_make(&mut writing, device, makes).await? {
        return Err(HubError::NoSuch { what: "enrolled device", name: device.to_string() });
    }
    next_version(&mut writing).await?;
    writing.commit().await?;
    Ok(())
}

/// All key sets.
///
/// # Errors
/// [`HubError`].
pub async fn list(db: &Db) -> Result<Vec<KeySetRow>, HubError> {
    let sets = kept::all(&mut db.read().await?).await?;
    let rows = sets.into_iter().map(|set| KeySetRow {
        number: set.number,
        kind: if set.check.is_none() { Kind::Signatures } else { Kind::Keys },
        made_at: set.made_at,
        retired_at: set.retired_at,
    });
    Ok(rows.collect())
}

/// Keeps the key to which a desk's card keys are sealed.
///
/// # Errors
/// [`HubError`].
pub async fn keep_sealing_key(
    db: &Db,
    device: DeviceId,
    sealing_key: &[u8; 32],
) -> Result<(), HubError> {
    let mut writing = db.write().await?;
    kept::keep_sealing_key(&mut writing, device, sealing_key).await?;
    writing.device_moved(device);
    writing.commit().await?;
    Ok(())
}

/// The card keys for this desk, sealed to it; nothing where there never were any, it has not said to which
/// key, or it was revoked (invariant 7).
///
/// # Errors
/// [`HubError`].
pub async fn sealed_to(db: &Db, device: DeviceId) -> Result<Option<SealedCardKeys>, HubError> {
    let mut reading = db.read().await?;
    let version = kept::version(&mut reading).await?;
    let desk = kept::desk(&mut reading, device).await?;
    let (Some(version), Some((makes, Some(sealing_key)))) = (version, desk) else {
        return Ok(None);
    };
    let all = kept::all(&mut reading).await?;
    let mut sets = Vec::with_capacity(all.len());
    for set in all.into_iter().filter(|set| set.retired_at.is_none()) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&set.signing_seed)
            .map_err(|error| HubError::Record(format!("a signing key: {error}")))?;
        let wrong = || HubError::Record("a public key has another length".to_owned());
        let public = pair.public_key().as_ref().try_into().map_err(|_| wrong())?;
        sets.push(CardKeySet {
            number: set.number,
            public,
            check: set.check,
            change: if makes { set.change } else { None },
            signing: makes.then_some(set.signing_seed),
        });
    }
    let mut random = db.surroundings().stream();
    let sealed = seal_card_keys(version, &sets, &sealing_key, &mut random)
        .map_err(|error| HubError::Record(format!("card keys for desk {device}: {error}")))?;
    Ok(Some(sealed))
}
