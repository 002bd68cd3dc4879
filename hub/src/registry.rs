//! Venues, devices and invitations: who may say what.

use crdt_model::catalogue::Policy;
use crdt_model::ids::{DeviceId, VenueId};
use crdt_model::time::UnixMillis;
use data_encoding::HEXLOWER;
use sync_protocol::invitation::{Invitation, key_fingerprint};
use sync_protocol::message::Enrolled;
use sync_protocol::notice::Notice;

use crate::copies::still_shown;
use crate::db::Line;
use crate::db::{Db, HubError, Writing};
use crate::ledgers::TIME_ZONE;
use crate::notices;
use crate::records::devices::venue_id;
use crate::records::{
    self, catalogue, devices as kept, encoded, invitations, meta, venues as places,
};
use crate::secrets::{lookup_key, request_key};

/// How long an invitation can be used: a week, in milliseconds.
const INVITATION_LIFETIME: i64 = 7 * 24 * 60 * 60 * 1000;

/// A device, as operators see it.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its id.
    pub device: DeviceId,
    /// Its venue.
    pub venue: VenueId,
    /// Its name, for people.
    pub name: String,
    /// Its venue's name, for people.
    pub venue_name: String,
    /// Whether it may take part.
    pub revoked: bool,
    /// When it was last heard of, in milliseconds since the epoch.
    pub last_contact: Option<i64>,
    /// Its software's version.
    pub software: Option<String>,
    /// Its clock less the hub's, in milliseconds.
    pub clock_offset: Option<i64>,
    /// How far it has the catalogue.
    pub catalogue_version: u64,
    /// How many of its entries the hub holds.
    pub entries: u64,
    /// Since when two computers record under its name, where they do: its folder was copied.
    pub used_twice_since: Option<i64>,
    /// When it last sent entries again that this hub, restored from an older copy, had lost.
    pub sent_again_at: Option<i64>,
    /// How many that were, as the desk says: at most as many as the hub now holds of it.
    pub sent_again: u64,
    /// The run of its daemon that came last, and the one before it.
    #[serde(skip)]
    pub(crate) runs: [Option<u32>; 2],
}

/// Adds a venue.
///
/// # Errors
/// [`HubError::Exists`].
pub async fn add_venue(db: &Db, venue: &VenueId, name: &str) -> Result<(), HubError> {
    let mut writing = db.write().await?;
    if !places::add(&mut writing, venue, name, TIME_ZONE).await? {
        return Err(HubError::Exists { what: "venue", name: venue.to_string() });
    }
    let policy = match meta::value(&mut writing, "policy").await? {
        Some(policy) => policy,
        None => encoded(&Policy::default())?,
    };
    catalogue::keep_policy(&mut writing, venue.as_str(), false, policy).await?;
    writing.commit().await?;
    Ok(())
}

/// All venues: id and name.
///
/// # Errors
/// [`HubError`].
pub async fn venues(db: &Db) -> Result<Vec<(String, String)>, HubError> {
    places::all(&mut db.read().await?).await
}

/// Makes an invitation for one new desk. `hub_key` is the hub's public key.
///
/// # Errors
/// [`HubError::NoSuch`] where there is no such venue.
pub async fn invite(
    db: &Db,
    venue: &VenueId,
    name: &str,
    addresses: Vec<String>,
    hub_key: &[u8],
) -> Result<Invitation, HubError> {
    let token: [u8; 16] = db.surroundings().random();
    let mut writing = db.write().await?;
    if !places::exists(&mut writing, venue).await? {
        return Err(HubError::NoSuch { what: "venue", name: venue.to_string() });
    }
    let expires = writing.now().plus(INVITATION_LIFETIME).0;
    let hash = key_fingerprint(&token);
    invitations::add(&mut writing, &hash, venue.as_str(), name, expires).await?;
    writing.commit().await?;
    Ok(Invitation { addresses, hub_key: key_fingerprint(hub_key), token })
}

/// Enrols the device that holds this key, with an invitation's token: once.
///
/// # Errors
/// [`HubError`]. The inner error is a sentence for the people at the desk.
pub async fn enrol(
    db: &Db,
    token: &[u8],
    public_key: &[u8],
) -> Result<Result<Enrolled, String>, HubError> {
    let hash = key_fingerprint(token);
    let mut writing = db.write().await?;
    let refused = |sentence: &str| Ok(Err(sentence.to_owned()));
    let Some(found) = invitations::lock(&mut writing, &hash).await? else {
        return refused("this hub has made no such invitation. Ask an operator for one");
    };
    let device = DeviceId::of_public_key(public_key);
    let enrolled_at = kept::enrolled_at(&mut writing, device, &found.venue).await?;
    // The answer may be lost on its way: the desk that used the invitation is given it again.
    if found.used_at.is_some() && found.used_at == enrolled_at {
        writing.rollback().await?;
        return Ok(Ok(enrolment(db, device, found).await?));
    }
    if found.used_at.is_some() {
        return refused(
            "the invitation was used before; each works once. Ask an operator for a new one",
        );
    }
    let now = writing.now().0;
    if found.expires_at < now {
        return refused(
            "the invitation is too old; they last a week. Ask an operator for a new one",
        );
    }
    if !enrol_now(&mut writing, device, &found, public_key, &hash).await? {
        return refused(
            "this desk's key is enrolled already. Move the desk's folder away and enrol anew, with a new key",
        );
    }
    writing.commit().await?;
    Ok(Ok(enrolment(db, device, found).await?))
}

/// Adds the device and notes that the invitation was used, at one moment. Whether the device was new.
async fn enrol_now(
    writing: &mut Writing,
    device: DeviceId,
    invitation: &invitations::Invitation,
    public_key: &[u8],
    hash: &[u8],
) -> Result<bool, HubError> {
    let (venue, name) = (&invitation.venue, &invitation.name);
    let Some(at) = kept::add(writing, device, venue, name, public_key, false).await? else {
        return Ok(false);
    };
    invitations::note_used(writing, hash, at).await?;
    if let Ok(token_hash) = hash.try_into() {
        let used = Notice::InvitationUsed { token_hash, at: UnixMillis(at) };
        notices::state(writing, &used).await?;
    }
    notices::state_enrolled(writing, device).await?;
    if let Some(beside) = writing.db().beside() {
        // Before the database, as with a revocation.
        beside.append(&[Line::InvitationUsed { token_hash: HEXLOWER.encode(hash) }])?;
    }
    Ok(true)
}

async fn enrolment(
    db: &Db,
    device: DeviceId,
    found: invitations::Invitation,
) -> Result<Enrolled, HubError> {
    let lookup_key = lookup_key(db).await?.0;
    let request_key = Some(request_key(db).await?.public_key());
    let venue = venue_id(&found.venue)?;
    let (venue_name, desk_name, time_zone) = (found.venue_name, found.name, found.time_zone);
    let notice = notices::signed_enrolment(db, device).await?;
    Ok(Enrolled { venue, venue_name, desk_name, time_zone, lookup_key, request_key, notice })
}

/// Whether this device is enrolled and not revoked.
///
/// # Errors
/// [`HubError`].
pub async fn is_enrolled(db: &Db, device: DeviceId) -> Result<bool, HubError> {
    kept::is_enrolled(&mut db.read().await?, device).await
}

/// The device that holds this key, if it is enrolled and not revoked.
///
/// # Errors
/// [`HubError`].
pub async fn enrolled(db: &Db, public_key: &[u8]) -> Result<Option<Device>, HubError> {
    let device = DeviceId::of_public_key(public_key);
    let found = kept::enrolled(&mut db.read().await?, device).await?;
    found.map(|it| shown(it, db.now())).transpose()
}

/// All devices.
///
/// # Errors
/// [`HubError`].
pub async fn devices(db: &Db) -> Result<Vec<Device>, HubError> {
    let found = kept::desks(&mut db.read().await?).await?;
    found.into_iter().map(|it| shown(it, db.now())).collect()
}

fn shown(it: records::devices::Device, now: UnixMillis) -> Result<Device, HubError> {
    Ok(Device {
        device: it.id,
        venue: venue_id(&it.venue)?,
        name: it.name,
        venue_name: it.venue_name,
        revoked: it.revoked_at.is_some(),
        last_contact: it.last_contact,
        software: it.software,
        clock_offset: it.clock_offset,
        catalogue_version: it.catalogue_version,
        entries: it.entries,
        used_twice_since: it.used_twice_since.filter(|_| still_shown(it.used_twice_at, now)),
        sent_again_at: it.sent_again_at,
        sent_again: it.sent_again.unwrap_or_default().min(it.entries),
        runs: [it.run, it.run_before],
    })
}

/// Revokes a device: from now on it adds nothing and receives nothing (invariant 7).
///
/// # Errors
/// [`HubError::NoSuch`].
pub async fn revoke(db: &Db, device: DeviceId) -> Result<(), HubError> {
    let mut writing = db.write().await?;
    if !notices::shut_out(&mut writing, device).await? {
        return Err(HubError::NoSuch { what: "enrolled device", name: device.to_string() });
    }
    let at = writing.now();
    notices::state(&mut writing, &Notice::Revoked { device: device.0, at }).await?;
    if let Some(beside) = db.beside() {
        // Before the database: whoever was shut out stays so, whatever becomes of it.
        beside.append(&[Line::Revoked { device }])?;
    }
    writing.commit().await?;
    Ok(())
}
