//! May this pass check in at this activity, and what does it earn?

use crate::account::{Account, Limited};
use crate::authenticity::Authenticity;
use crate::catalogue::{Activity, Programme};
use crate::decide::{Here, Reason, Standing, proven, uitpas_in_use};

/// The points that a check-in now earns.
///
/// # Errors
/// The [`Reason`] for which it is not counted (UiTPAS 4.0, `POST /checkins`).
pub fn check_in(pass: Standing<'_>, activity: &Activity, here: &Here<'_>) -> Result<u32, Reason> {
    uitpas_in_use(pass, here)?;
    ours(activity, here)?;
    if pass.record.programme != Programme::Uitpas {
        return Err(Reason::CheckinNotAllowed);
    }
    proven(pass.authenticity, here.policy.proofs.check_in)?;
    open_and_within_limit(pass.account, activity, here)
}

/// Which of the venue's activities a QR code stands for (contract:
/// `POST /passholders/{passholderId}/checkins`).
///
/// # Errors
/// [`Reason::CheckinCodeInvalid`], [`Reason::CheckinCodeExpired`].
pub fn check_in_by_code<'a>(
    code: &str,
    activities: &'a [Activity],
    here: &Here<'_>,
) -> Result<&'a Activity, Reason> {
    let mut expired = false;
    for activity in activities {
        for known in activity.checkin_codes.iter().filter(|known| known.code == code) {
            if known.ends.is_none_or(|ends| here.now <= ends) {
                return Ok(activity);
            }
            expired = true;
        }
    }
    Err(if expired { Reason::CheckinCodeExpired } else { Reason::CheckinCodeInvalid })
}

/// The points that a card earns which the catalogue does not know, as far as this venue has seen it.
/// `taken_today` is how many other unknown cards this desk has taken today. What it proves of itself
/// counts as it does for a card that is known.
///
/// # Errors
/// The [`Reason`] for which it is not taken, by policy or by the activity.
pub fn unknown_card(
    account: &Account,
    taken_today: u32,
    authenticity: Authenticity,
    activity: &Activity,
    here: &Here<'_>,
) -> Result<u32, Reason> {
    ours(activity, here)?;
    proven(authenticity, here.policy.proofs.check_in)?;
    if !here.policy.unknown_cards {
        return Err(Reason::PassNotFound);
    }
    if here.policy.unknown_cards_a_day.is_some_and(|most| taken_today >= most) {
        return Err(Reason::UnknownCardsUsedUp);
    }
    open_and_within_limit(account, activity, here)
}

/// Whether an activity is this venue's organiser's, as far as both say whose they are.
///
/// # Errors
/// [`Reason::EventNotFound`]: nobody has permission for another organiser's events.
pub(super) fn ours(activity: &Activity, here: &Here<'_>) -> Result<(), Reason> {
    match (&activity.organiser, &here.policy.organiser) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(Reason::EventNotFound),
        _ => Ok(()),
    }
}

fn open_and_within_limit(
    account: &Account,
    activity: &Activity,
    here: &Here<'_>,
) -> Result<u32, Reason> {
    if here.hour_known && !activity.opening_hours.takes_checkins(here.calendar, here.now) {
        return Err(Reason::CheckinNotAllowed);
    }
    if let Some(limit) = activity.checkin_limit
        && !account.leaves_room(&Limited::CheckIn(activity.activity), limit, here.today())
    {
        return Err(Reason::MaximumReached);
    }
    Ok(activity.checkin_points)
}
