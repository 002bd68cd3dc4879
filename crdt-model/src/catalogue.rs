//! The records that desks know: passes, activities, rewards, coupons, card systems, policy. The hub
//! writes them, the desk reads them. Their bytes are CBOR with integer keys, so that fields may be
//! added.

mod activity;
mod limits;
mod lookup;
mod pass;
mod policy;
mod reward;
mod tariff;

pub use activity::{Activity, CheckinCode, OpeningHours, PriceCategory, Weekly};
pub use limits::{CatalogueLimits, LimitsOfPass};
pub use lookup::{CardName, LookupKey};
pub use pass::{
    Card, CardStatus, Folded, GRACE_DAYS, GrantedCoupon, HolderStatus, Membership,
    MembershipStatus, PassRecord, Programme, SocialTariff, SocialTariffRight,
};
pub use policy::{AgeRule, ExternalCardRule, Policy, ProofRule, Proofs};
pub use reward::{Category, Reward, RewardKind};
pub use tariff::{
    CardSystem, Coupon, Discount, DistributionKey, DistributionRule, MembershipPrice, Residence,
};

use minicbor::{Decode, Encode};

use crate::ids::{ActivityId, CardSystemId, CouponId, PassId, RewardId};

/// One item of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Item {
    /// A pass.
    #[n(0)]
    Pass(#[n(0)] PassRecord),
    /// An activity.
    #[n(1)]
    Activity(#[n(0)] Activity),
    /// A reward.
    #[n(2)]
    Reward(#[n(0)] Reward),
    /// The venue's policy.
    #[n(3)]
    Policy(#[n(0)] Policy),
    /// A coupon.
    #[n(4)]
    Coupon(#[n(0)] Coupon),
    /// A card system.
    #[n(5)]
    CardSystem(#[n(0)] CardSystem),
    /// The hub has no item of this name: the desk forgets what it has under it.
    #[n(6)]
    Gone(#[n(0)] ItemName),
}

impl Item {
    /// The highest kind that this version knows. A newer hub may send others; they are passed over.
    pub const HIGHEST_KIND: u32 = 6;

    /// What it is an item of.
    pub fn name(&self) -> ItemName {
        match self {
            Self::Pass(it) => ItemName::Pass(it.pass),
            Self::Activity(it) => ItemName::Activity(it.activity),
            Self::Reward(it) => ItemName::Reward(it.reward),
            Self::Policy(_) => ItemName::Policy,
            Self::Coupon(it) => ItemName::Coupon(it.coupon),
            Self::CardSystem(it) => ItemName::CardSystem(it.card_system),
            Self::Gone(name) => *name,
        }
    }
}

/// The name of an item of the catalogue, whatever stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum ItemName {
    /// A pass, with its sealed part.
    #[n(0)]
    Pass(#[n(0)] PassId),
    /// An activity.
    #[n(1)]
    Activity(#[n(0)] ActivityId),
    /// A reward.
    #[n(2)]
    Reward(#[n(0)] RewardId),
    /// The venue's policy: there is one.
    #[n(3)]
    Policy,
    /// A coupon.
    #[n(4)]
    Coupon(#[n(0)] CouponId),
    /// A card system.
    #[n(5)]
    CardSystem(#[n(0)] CardSystemId),
}
