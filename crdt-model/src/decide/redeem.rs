//! Can this pass have this reward now, and what can it have?

use std::cmp::Reverse;

use crate::account::Limited;
use crate::catalogue::{Programme, Reward, RewardKind};
use crate::decide::{Here, Reason, Standing, proven, uitpas_in_use};
use crate::stock::Unit;
use crate::time::UnixMillis;

/// How soon a reward must end to be offered before others, in milliseconds (contract:
/// `lastChance`, "in the near future"; the two weeks are ours).
const LAST_CHANCE: i64 = 14 * 24 * 3_600_000;

/// What handing out a reward comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redemption {
    /// What it costs.
    pub points: u32,
    /// The unit that is handed out, where the stock is limited.
    pub unit: Option<Unit>,
}

/// Why a desk has no unit of a limited reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoUnit {
    /// The hub said that none is left.
    NoneLeft,
    /// It was granted none, or has handed them out; whether the hub has more is not known.
    NotHere,
}

/// What redeeming this reward now comes to. `unit` is the next unit that this desk was granted, or why it has none.
///
/// # Errors
/// The [`Reason`] for which it cannot be had (UiTPAS 4.0, `POST /rewards/redeemed`; for accounts of
/// some age: the venue's policy, invariant 6; for what the card must prove: the same policy).
pub fn redeem(
    pass: Standing<'_>,
    reward: &Reward,
    unit: Result<Unit, NoUnit>,
    here: &Here<'_>,
) -> Result<Redemption, Reason> {
    uitpas_in_use(pass, here)?;
    let member = reward.card_systems.is_empty()
        || pass
            .record
            .active_card_systems(here.today())
            .any(|it| reward.card_systems.contains(&it));
    if !member || pass.record.programme != Programme::Uitpas {
        return Err(Reason::RewardPassholderNoApplicableCardsystems);
    }
    if reward.online {
        return Err(Reason::RewardOnlineOnly);
    }
    if !reward.redeemed_by(here.policy.organiser.as_ref()) {
        return Err(Reason::RewardOtherOrganizer);
    }
    if !reward.redeemable_at(here.now) {
        return Err(Reason::RewardPeriodConstraint);
    }
    if let Some(limit) = reward.redeem_constraint {
        let of = Limited::Redemption(reward.reward);
        if !pass.account.leaves_room(&of, limit, here.today()) {
            return Err(Reason::RewardPassholderVolumeConstraint);
        }
    }
    if points_lacking(pass, reward) > 0 {
        return Err(Reason::RewardPassholderPointsConstraint);
    }
    proven(pass.authenticity, here.policy.proofs.redemption(reward.points))?;
    if reward.points > 0 {
        let rule = here.policy.age_rule(pass.age).ok_or(Reason::AccountTooOld)?;
        // What this venue has spent of the account since the hub last said what is on it.
        let since = pass.account.spent.saturating_sub(pass.record.account.spent);
        let spending = since.saturating_add(u64::from(reward.points));
        if rule.points.is_some_and(|most| spending > u64::from(most)) {
            return Err(Reason::OfflinePointsConstraint);
        }
    }
    // Last, for the desk asks the hub for a unit where nothing else is lacking.
    let unit = match unit {
        _ if !reward.limited => None,
        Ok(unit) => Some(unit),
        Err(NoUnit::NoneLeft) => return Err(Reason::RewardVolumeConstraint),
        Err(NoUnit::NotHere) => return Err(Reason::RewardNoUnitHere),
    };
    Ok(Redemption { points: reward.points, unit })
}

fn points_lacking(pass: Standing<'_>, reward: &Reward) -> u64 {
    u64::from(reward.points).saturating_sub(pass.account.points())
}

/// One reward, as seen from one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardOffer<'a> {
    /// The reward.
    pub reward: &'a Reward,
    /// What it comes to, or why it cannot be had.
    pub answer: Result<Redemption, Reason>,
    /// How many points are lacking.
    pub points_lacking: u64,
    /// Whether it ends soon.
    pub last_chance: bool,
}

/// Whether an offer can be had now, lacks points, or must wait for another reason; nothing where it
/// can never be had here.
fn not_now(offer: &RewardOffer<'_>) -> Option<u8> {
    match offer.answer {
        Ok(_) => Some(0),
        Err(Reason::RewardPassholderPointsConstraint) => Some(1),
        Err(
            Reason::RewardVolumeConstraint
            | Reason::RewardNoUnitHere
            | Reason::AccountTooOld
            | Reason::OfflinePointsConstraint
            | Reason::CardProofRequired,
        ) => Some(2),
        Err(_) => None,
    }
}

/// What this pass can have now: welcome rewards, then what ends soon, then what its card system put
/// first, then the dearest. Behind that what only points are lacking for, the nearest first, and what
/// no unit, no confirmed account or no proof of the card is there for now: asking again later may help. What is not
/// published, or what it cannot have for another reason, is left out.
///
/// `next_unit` says which unit of a limited reward this desk would hand out, or why none.
pub fn rewards_for<'a>(
    pass: Standing<'_>,
    rewards: impl IntoIterator<Item = &'a Reward>,
    next_unit: impl Fn(&Reward) -> Result<Unit, NoUnit>,
    here: &Here<'_>,
) -> Vec<RewardOffer<'a>> {
    let ends_soon = |end: UnixMillis| end.since(here.now) <= LAST_CHANCE;
    let mut offers: Vec<_> = rewards
        .into_iter()
        .filter(|reward| reward.published_at(here.now))
        .map(|reward| RewardOffer {
            reward,
            answer: redeem(pass, reward, next_unit(reward), here),
            points_lacking: points_lacking(pass, reward),
            last_chance: reward.redeem_end.is_some_and(ends_soon),
        })
        .filter(|offer| not_now(offer).is_some())
        .collect();
    offers.sort_by_key(|offer| {
        let reward = offer.reward;
        (
            not_now(offer),
            offer.points_lacking,
            Reverse(reward.kind == RewardKind::Welcome),
            Reverse(offer.last_chance),
            Reverse(reward.featured),
            Reverse(reward.points),
            reward.reward,
        )
    });
    offers
}
