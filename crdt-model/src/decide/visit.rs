//! May this museumPASSmusées visit the museum now?

use crate::account::{Limited, VISIT_LIMIT};
use crate::catalogue::PassStatus;
use crate::decide::{Reason, Standing};
use crate::ids::VenueId;
use crate::time::{Calendar, UnixMillis, day_number};

/// Nothing, where the visit counts.
///
/// # Errors
/// The [`Reason`] for which it is not counted (partner API 1.0, `visit.reason`).
/// [`Reason::MaximumReached`] where the pass was here today: one visit per museum and day counts.
pub fn visit(
    pass: Standing<'_>,
    museum: &VenueId,
    calendar: &Calendar,
    now: UnixMillis,
) -> Result<(), Reason> {
    match pass.record.status {
        PassStatus::Active | PassStatus::Unregistered => {}
        PassStatus::Blocked => return Err(Reason::MuseumCardBlocked),
        PassStatus::HolderBlocked => return Err(Reason::PassholderBlocked),
        PassStatus::MaximumUnregisteredVisits => {
            return Err(Reason::MaximumUnregisteredVisitsReached);
        }
    }
    let today = calendar.day(now);
    if pass.record.valid_until.is_some_and(|last| last < day_number(today)) {
        return Err(Reason::Expired);
    }
    if pass.account.leaves_room(&Limited::Visit(museum.clone()), VISIT_LIMIT, today) {
        Ok(())
    } else {
        Err(Reason::MaximumReached)
    }
}
