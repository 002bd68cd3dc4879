//! Can this pass have this reward now, and what can it have?

use crate::account::Limited;
use crate::catalogue::{Programme, Reward};
use crate::decide::check_in::uitpas_in_use;
use crate::decide::{Reason, Standing};
use crate::time::{Calendar, UnixMillis};

/// The points that redeeming this reward now costs.
///
/// # Errors
/// The [`Reason`] for which it cannot be had (UiTPAS 4.0, `POST /rewards/redeemed`).
pub fn redeem(
    pass: Standing<'_>,
    reward: &Reward,
    calendar: &Calendar,
    now: UnixMillis,
) -> Result<u32, Reason> {
    uitpas_in_use(pass)?;
    let member = reward.card_systems.is_empty()
        || reward.card_systems.iter().any(|system| pass.record.card_systems.contains(system));
    if !member || reward.online || pass.record.programme != Programme::Uitpas {
        return Err(Reason::RewardPassholderNoApplicableCardsystems);
    }
    let begun = reward.redeem_begin.is_none_or(|begin| begin <= now);
    let ended = reward.redeem_end.is_some_and(|end| end < now);
    if !begun || ended {
        return Err(Reason::RewardPeriodConstraint);
    }
    if let Some(limit) = reward.redeem_constraint {
        let of = Limited::Redemption(reward.reward);
        if !pass.account.leaves_room(&of, limit, calendar.day(now)) {
            return Err(Reason::RewardPassholderVolumeConstraint);
        }
    }
    if points_lacking(pass, reward) > 0 {
        return Err(Reason::RewardPassholderPointsConstraint);
    }
    Ok(reward.points)
}

fn points_lacking(pass: Standing<'_>, reward: &Reward) -> u64 {
    u64::from(reward.points).saturating_sub(pass.account.points())
}

/// One reward, as seen from one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardOffer<'a> {
    /// The reward.
    pub reward: &'a Reward,
    /// Its price in points, or why it cannot be had.
    pub answer: Result<u32, Reason>,
    /// How many points are lacking.
    pub points_lacking: u64,
}

/// What this pass can have now, the dearest first; then what only points are lacking for, the
/// nearest first. What it can never have is left out.
pub fn rewards_for<'a>(
    pass: Standing<'_>,
    rewards: impl IntoIterator<Item = &'a Reward>,
    calendar: &Calendar,
    now: UnixMillis,
) -> Vec<RewardOffer<'a>> {
    let mut offers: Vec<_> = rewards
        .into_iter()
        .map(|reward| RewardOffer {
            reward,
            answer: redeem(pass, reward, calendar, now),
            points_lacking: points_lacking(pass, reward),
        })
        .filter(|offer| {
            matches!(offer.answer, Ok(_) | Err(Reason::RewardPassholderPointsConstraint))
        })
        .collect();
    offers.sort_by_key(|offer| {
        (offer.points_lacking, std::cmp::Reverse(offer.reward.points), offer.reward.reward)
    });
    offers
}
