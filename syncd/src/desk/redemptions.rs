//! The answer to a redemption, and what is asked of the hub before it.

use crdt_model::authenticity::Authenticity;
use crdt_model::decide::{self, Reason};
use crdt_model::entry::Fact;
use crdt_model::ids::{Identification, RewardId};
use crdt_model::time::UnixMillis;

use super::Desk;
use super::answers::{Decided, Refusal};
use crate::desk_api::types::{Answer, Kind, RedemptionRequest};

impl Desk {
    /// Answers a redemption.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn redeem(
        &mut self,
        asked: &RedemptionRequest,
        wall: UnixMillis,
    ) -> Result<Answer, Refusal> {
        let card: Identification = asked.pass.parse()?;
        let authenticity = self.checks.authenticity(asked.check.as_deref(), &card)?;
        self.look_at_mark();
        let now = self.next_at(wall);
        if authenticity == Authenticity::Refuted {
            return Ok(self.answer_forged(Kind::Redemption, now));
        }
        let Some(record) = self.record(&card)? else {
            return Ok(self.answer_unknown_pass(Kind::Redemption, now));
        };
        let account = self.account(&record, Some(&card));
        let reward = self.rewards.iter().find(|it| it.reward_id == asked.reward_id).cloned();
        let standing = self.standing(&record, &account, &card, authenticity, now);
        let outcome = match &reward {
            Some(reward) => {
                let unit = self.next_unit(reward);
                decide::redeem(standing, reward, unit, &self.here(now)).map(|it| {
                    let decide::Redemption { points, unit } = it;
                    let fact = Fact::Redemption { reward: reward.reward, points, unit };
                    (fact, -i64::from(points))
                })
            }
            None => Err(Reason::RewardNotFound),
        };
        let spends = reward.as_ref().is_some_and(|reward| reward.points > 0);
        let policy = self.age_rule(standing.age).filter(|_| spends);
        let title = reward.map(|reward| reward.title);
        let authenticity = Some(authenticity);
        let decided =
            Decided { policy, authenticity, ..Decided::of(Kind::Redemption, title, outcome) };
        self.answer(&record, Some(&card), decided, now)
    }

    /// Before a redemption: asks the hub for a unit, where nothing but a unit is lacking that the hub may have. Says for
    /// which reward the answer is to be waited for; nothing where there is nothing to wait for.
    ///
    /// # Errors
    /// As [`Desk::redeem`].
    pub fn ask_for_unit(
        &mut self,
        asked: &RedemptionRequest,
        wall: UnixMillis,
    ) -> Result<Option<RewardId>, Refusal> {
        let card: Identification = asked.pass.parse()?;
        let authenticity = self.checks.authenticity(asked.check.as_deref(), &card)?;
        let reward = self.rewards.iter().find(|it| it.reward_id == asked.reward_id).cloned();
        let (Some(reward), Some(record)) = (reward, self.record(&card)?) else { return Ok(None) };
        if authenticity == Authenticity::Refuted {
            return Ok(None);
        }
        let now = self.next_at(wall);
        let account = self.account(&record, Some(&card));
        let standing = self.standing(&record, &account, &card, authenticity, now);
        let unit = self.next_unit(&reward);
        let outcome = decide::redeem(standing, &reward, unit, &self.here(now));
        // What the hub said of the stock before may be otherwise now.
        let lacks_unit =
            matches!(outcome, Err(Reason::RewardNoUnitHere | Reason::RewardVolumeConstraint));
        Ok((lacks_unit && self.want_now(reward.reward)).then_some(reward.reward))
    }
}
