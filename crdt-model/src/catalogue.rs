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
}
