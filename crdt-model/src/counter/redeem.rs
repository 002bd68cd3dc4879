//! A reward: whether it is handed out, what is lacking, and what else this pass can have.

use super::age::age_rule;
use super::decision::{Decision, Kind, Rule, Unanswered};
use super::tap::counted;
use super::{Case, Counter, Presented};
use crate::catalogue::Reward;
use crate::decide::{self, Reason, RewardOffer, rewards_for};
use crate::entry::Fact;
use crate::ids::RewardId;

/// Answers a redemption of the reward that the contract calls `reward_id`.
pub fn redeem(case: &Case<'_>, reward_id: &str) -> Decision {
    let counter = &case.counter;
    let pass = match &case.presented {
        Presented::Forged => return Decision::forged(Kind::Redemption),
        Presented::Unknown(_) | Presented::External(_) => {
            return Decision::no_such_pass(Kind::Redemption);
        }
        Presented::Pass(pass) => pass,
    };
    let authenticity = Some(pass.standing.authenticity);
    let Some(reward) = reward_of(counter, reward_id) else {
        let refused = Decision::refused(Kind::Redemption, Reason::RewardNotFound);
        return Decision { authenticity, ..refused };
    };
    let outcome = decide::redeem(pass.standing, reward, counter.units.next(reward), &counter.here);
    let fact = outcome.map(|decide::Redemption { points, unit }| Fact::Redemption {
        reward: reward.reward,
        points,
        unit,
    });
    let rule = age_rule(counter.here.policy, pass.standing.age).filter(|_| reward.points > 0);
    Decision {
        title: Some(reward.title.clone()),
        rule: rule.map(Rule::AccountAge),
        authenticity,
        ..counted(counter, pass, Kind::Redemption, fact)
    }
}

/// The reward, where nothing stands in the way of this redemption but a unit that the hub may have: it is worth asking
/// the hub for one before [`redeem`]. What the hub said of its stock before may be otherwise now.
pub fn lacks_only_a_unit(case: &Case<'_>, reward_id: &str) -> Option<RewardId> {
    match redeem(case, reward_id).reason()? {
        Reason::RewardNoUnitHere | Reason::RewardVolumeConstraint => {
            reward_of(&case.counter, reward_id).map(|reward| reward.reward)
        }
        _ => None,
    }
}

/// What this pass can have now, and what it nearly can; nothing for a card that was refuted.
///
/// # Errors
/// [`Unanswered::NoSuchPass`].
pub fn rewards<'a>(case: &Case<'a>) -> Result<Vec<RewardOffer<'a>>, Unanswered> {
    let counter = &case.counter;
    match &case.presented {
        Presented::Forged => Ok(Vec::new()),
        Presented::Unknown(_) | Presented::External(_) => Err(Unanswered::NoSuchPass),
        Presented::Pass(pass) => {
            let next_unit = |reward: &Reward| counter.units.next(reward);
            Ok(rewards_for(pass.standing, counter.catalogue.rewards, next_unit, &counter.here))
        }
    }
}

fn reward_of<'a>(counter: &Counter<'a>, reward_id: &str) -> Option<&'a Reward> {
    counter.catalogue.rewards.iter().find(|reward| reward.reward_id == reward_id)
}
