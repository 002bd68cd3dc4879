//! The limits of a catalogue, as accounts are folded by them.

use std::collections::HashMap;

use super::{Activity, Coupon, PassRecord, Reward};
use crate::account::Limits;
use crate::ids::{ActivityId, CouponId, RewardId};
use crate::limits::PeriodLimit;

/// The limits of a catalogue, or of the part of it that some entries fall under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogueLimits {
    checkins: HashMap<ActivityId, PeriodLimit>,
    tickets: HashMap<ActivityId, PeriodLimit>,
    redemptions: HashMap<RewardId, PeriodLimit>,
    coupons: HashMap<CouponId, PeriodLimit>,
}

impl CatalogueLimits {
    /// Adds those of these activities.
    pub fn add_activities<'a>(&mut self, activities: impl IntoIterator<Item = &'a Activity>) {
        for it in activities {
            self.checkins.extend(it.checkin_limit.map(|limit| (it.activity, limit)));
            self.tickets.extend(it.ticket_limit.map(|limit| (it.activity, limit)));
        }
    }

    /// Adds those of these rewards.
    pub fn add_rewards<'a>(&mut self, rewards: impl IntoIterator<Item = &'a Reward>) {
        for it in rewards {
            self.redemptions.extend(it.redeem_constraint.map(|limit| (it.reward, limit)));
        }
    }

    /// Adds those of these coupons.
    pub fn add_coupons<'a>(&mut self, coupons: impl IntoIterator<Item = &'a Coupon>) {
        for it in coupons {
            self.coupons.extend(it.limit.map(|limit| (it.coupon, limit)));
        }
    }

    /// As they are for this pass.
    pub fn of<'a>(&'a self, record: &PassRecord) -> LimitsOfPass<'a> {
        LimitsOfPass { limits: self, tickets_per_year: record.tickets_per_year }
    }

    /// As they are for a card of which there is no record.
    pub fn of_unknown(&self) -> LimitsOfPass<'_> {
        LimitsOfPass { limits: self, tickets_per_year: None }
    }
}

/// The limits of a catalogue as they are for one pass.
#[derive(Debug, Clone, Copy)]
pub struct LimitsOfPass<'a> {
    limits: &'a CatalogueLimits,
    tickets_per_year: Option<u32>,
}

impl Limits for LimitsOfPass<'_> {
    fn checkin_limit(&self, activity: ActivityId) -> Option<PeriodLimit> {
        self.limits.checkins.get(&activity).copied()
    }
    fn redeem_constraint(&self, reward: RewardId) -> Option<PeriodLimit> {
        self.limits.redemptions.get(&reward).copied()
    }
    fn ticket_limit(&self, activity: ActivityId) -> Option<PeriodLimit> {
        self.limits.tickets.get(&activity).copied()
    }
    fn coupon_limit(&self, coupon: CouponId) -> Option<PeriodLimit> {
        self.limits.coupons.get(&coupon).copied()
    }
    fn tickets_per_year(&self) -> Option<u32> {
        self.tickets_per_year
    }
}
