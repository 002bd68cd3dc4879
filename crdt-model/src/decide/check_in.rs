//! May this pass check in at this activity, and what does it earn?

use crate::account::Limited;
use crate::catalogue::{Activity, PassStatus, Programme};
use crate::decide::{Reason, Standing};
use crate::time::{Calendar, UnixMillis};

/// The points that a check-in now earns.
///
/// # Errors
/// The [`Reason`] for which it is not counted (UiTPAS 4.0, `POST /checkins`).
pub fn check_in(
    pass: Standing<'_>,
    activity: &Activity,
    calendar: &Calendar,
    now: UnixMillis,
) -> Result<u32, Reason> {
    uitpas_in_use(pass)?;
    if pass.record.programme != Programme::Uitpas {
        return Err(Reason::CheckinNotAllowed);
    }
    if let Some(limit) = activity.checkin_limit {
        let of = Limited::CheckIn(activity.activity);
        if !pass.account.leaves_room(&of, limit, calendar.day(now)) {
            return Err(Reason::MaximumReached);
        }
    }
    Ok(activity.checkin_points)
}

/// Whether the card and its holder are in order: what every question about a UiTPAS begins with.
pub(super) fn uitpas_in_use(pass: Standing<'_>) -> Result<(), Reason> {
    match pass.record.status {
        PassStatus::Active => {}
        PassStatus::Blocked | PassStatus::HolderBlocked => return Err(Reason::CardBlocked),
        PassStatus::Unregistered | PassStatus::MaximumUnregisteredVisits => {
            return Err(Reason::InvalidCardStatus);
        }
    }
    if pass.record.card_systems.is_empty() {
        return Err(Reason::PassholderNoActiveCardsystems);
    }
    Ok(())
}
