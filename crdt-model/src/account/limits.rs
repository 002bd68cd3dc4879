//! The limits by which an account is folded.

use crate::ids::{ActivityId, CouponId, RewardId};
use crate::limits::PeriodLimit;

/// The limits that the fold applies.
pub trait Limits {
    /// How often a pass may check in at this activity; `None` where it is unknown or unlimited.
    fn checkin_limit(&self, activity: ActivityId) -> Option<PeriodLimit>;
    /// How often a pass may redeem this reward. The fold counts it; it refuses nothing by it.
    fn redeem_constraint(&self, reward: RewardId) -> Option<PeriodLimit>;
    /// How many discounted tickets a pass may buy for this activity. Counted, refused by nothing.
    fn ticket_limit(&self, activity: ActivityId) -> Option<PeriodLimit>;
    /// How many tickets a pass may buy with this coupon. Counted, refused by nothing.
    fn coupon_limit(&self, coupon: CouponId) -> Option<PeriodLimit>;
    /// How many tickets at the social tariff the pass that is folded may buy in a year: a group's.
    fn tickets_per_year(&self) -> Option<u32> {
        None
    }
}
