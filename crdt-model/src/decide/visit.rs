//! May this museumPASSmusées visit the museum now?

use crate::account::{Limited, VISIT_LIMIT};
use crate::catalogue::{CardStatus, HolderStatus, Programme};
use crate::decide::{Here, Reason, Standing, proven};
use crate::time::day_number;

/// Nothing, where the visit counts. The standard and the reduced subscription are one thing here:
/// a desk is not told which it is.
///
/// # Errors
/// The [`Reason`] for which it is not counted (partner API 1.0, `visit.reason`).
/// [`Reason::MaximumReached`] where the pass was here today: one visit per museum and day counts.
pub fn visit(pass: Standing<'_>, here: &Here<'_>) -> Result<(), Reason> {
    if pass.record.programme != Programme::Museumpass {
        return Err(Reason::CheckinNotAllowed);
    }
    if pass.card != CardStatus::Active {
        return Err(Reason::MuseumCardBlocked);
    }
    if pass.record.holder == HolderStatus::Blocked {
        return Err(Reason::PassholderBlocked);
    }
    let today = here.today();
    // No date means that the only subscription was cancelled (`GET /passes/{cardNumber}`).
    if pass.record.valid_until.is_none_or(|last| last < day_number(today)) {
        return Err(Reason::Expired);
    }
    proven(pass.authenticity, here.policy.proofs.visit)?;
    if !pass.account.leaves_room(&Limited::Visit(here.venue.clone()), VISIT_LIMIT, today) {
        return Err(Reason::MaximumReached);
    }
    if pass.record.holder == HolderStatus::Unregistered
        && pass.account.visits >= u64::from(here.policy.unregistered_visits)
    {
        return Err(Reason::MaximumUnregisteredVisitsReached);
    }
    Ok(())
}
