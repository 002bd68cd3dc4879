//! What the hub states to desks, signed: who was revoked, which invitations were used, which desks were enrolled. Desks
//! keep it, and tell it to a hub whose database was put back from an older copy, journal and all.

use crdt_model::ids::{DeviceId, VenueId};
use sync_protocol::notice::{Notice, SignedNotice};

use crate::db::Line;
use crate::db::{Db, HubError, Reading, Writing};
use crate::records::devices::{self, venue_id};
use crate::records::{invitations, notices, runs};

/// States it: to all desks, or where a desk was enrolled to those of its venue. A database without a hub's folder, as in
/// tests, states nothing.
///
/// # Errors
/// [`HubError`].
pub(crate) async fn state(writing: &mut Writing, notice: &Notice) -> Result<(), HubError> {
    let Some(beside) = writing.db().beside() else { return Ok(()) };
    let signed = beside.key().sign_notice(notice);
    notices::keep(writing, venue_of(notice), &signed).await
}

fn venue_of(notice: &Notice) -> Option<&VenueId> {
    match notice {
        Notice::Enrolled { venue, .. } => Some(venue),
        Notice::Revoked { .. } | Notice::InvitationUsed { .. } => None,
    }
}

/// States that this desk was enrolled, unless it is stated.
///
/// # Errors
/// [`HubError`].
pub(crate) async fn state_enrolled(
    writing: &mut Writing,
    device: DeviceId,
) -> Result<(), HubError> {
    match enrolled(writing, device).await? {
        Some(notice) => state(writing, &notice).await,
        None => Ok(()),
    }
}

/// What is to be stated of a desk that may take part.
async fn enrolled(reading: &mut Reading, device: DeviceId) -> Result<Option<Notice>, HubError> {
    let Some(found) = devices::enrolment(reading, device).await? else { return Ok(None) };
    Ok(Some(Notice::Enrolled {
        device: device.0,
        public_key: found.public_key,
        venue: venue_id(&found.venue)?,
        name: found.name,
        at: found.enrolled_at,
    }))
}

/// The same, signed, as the desk is to show it.
///
/// # Errors
/// [`HubError`].
pub(crate) async fn signed_enrolment(
    db: &Db,
    device: DeviceId,
) -> Result<Option<SignedNotice>, HubError> {
    let Some(beside) = db.beside() else { return Ok(None) };
    let notice = enrolled(&mut db.read().await?, device).await?;
    Ok(notice.map(|notice| beside.key().sign_notice(&notice)))
}

/// Shuts a device out: from now on it adds nothing and is told nothing (invariant 7), and nothing waits any more for what
/// it was granted before a restore. Whether it took part until now.
///
/// # Errors
/// [`HubError`].
pub(crate) async fn shut_out(writing: &mut Writing, device: DeviceId) -> Result<bool, HubError> {
    // Also where the database knows no such device: it was enrolled since the copy, and is not enrolled again.
    notices::note_revoked(writing, device).await?;
    if !devices::revoke(writing, device).await? {
        return Ok(false);
    }
    runs::release(writing, device).await?;
    writing.device_moved(device);
    Ok(true)
}

/// Takes up what this hub once stated, as its desks tell it: it is done again where the database lacks it. What was not
/// signed by this hub says nothing.
///
/// # Errors
/// [`HubError`].
pub async fn take_up(db: &Db, told: &[SignedNotice]) -> Result<(), HubError> {
    let Some(beside) = db.beside() else { return Ok(()) };
    let public = beside.key().public_key();
    let opened: Vec<(Notice, &SignedNotice)> =
        told.iter().filter_map(|signed| Some((signed.open(public).ok()?, signed))).collect();
    if opened.is_empty() {
        return Ok(());
    }
    let mut writing = db.write().await?;
    let mut revoked = Vec::new();
    for (notice, signed) in &opened {
        notices::keep(&mut writing, venue_of(notice), signed).await?;
        match notice {
            Notice::Revoked { device, .. } => {
                let device = DeviceId(*device);
                if shut_out(&mut writing, device).await? {
                    tracing::warn!(%device, "a desk that had been revoked is revoked again: the database was put back");
                    revoked.push(Line::Revoked { device });
                }
            }
            Notice::InvitationUsed { token_hash, at } => {
                invitations::note_used_before(&mut writing, token_hash, at.0).await?;
            }
            Notice::Enrolled { .. } => {}
        }
    }
    // Who was enrolled behind who was revoked: one of both is revoked.
    for (notice, _) in &opened {
        enrol_again(&mut writing, notice).await?;
    }
    writing.commit().await?;
    beside.append(&revoked)
}

/// Enrols a desk again of which the database knows nothing, though this hub stated that it was enrolled.
async fn enrol_again(writing: &mut Writing, notice: &Notice) -> Result<bool, HubError> {
    let Notice::Enrolled { device, public_key, venue, name, .. } = notice else { return Ok(false) };
    let device = DeviceId(*device);
    if notices::is_revoked(writing, device).await?
        || !crate::records::venues::exists(writing, venue).await?
    {
        return Ok(false);
    }
    let added =
        devices::add(writing, device, venue.as_str(), name, public_key, false).await?.is_some();
    if added {
        tracing::warn!(%device, %venue, "a desk that had been enrolled is enrolled again: the database was put back");
        runs::hold(writing, device).await?;
    }
    Ok(added)
}

/// A desk that the database does not know shows what this hub stated when it enrolled it. Whether it is enrolled again.
///
/// # Errors
/// [`HubError`].
pub async fn enrol_by_notice(
    db: &Db,
    public_key: &[u8],
    shown: &SignedNotice,
) -> Result<bool, HubError> {
    let Some(beside) = db.beside() else { return Ok(false) };
    let Ok(notice) = shown.open(beside.key().public_key()) else { return Ok(false) };
    let own = matches!(&notice, Notice::Enrolled { public_key: of, .. } if of[..] == *public_key);
    if !own {
        return Ok(false);
    }
    let mut writing = db.write().await?;
    let added = enrol_again(&mut writing, &notice).await?;
    if added {
        notices::keep(&mut writing, venue_of(&notice), shown).await?;
    }
    writing.commit().await?;
    Ok(added)
}
