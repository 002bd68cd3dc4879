//! What points are exchanged for.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::{CardSystemId, OrganiserId, RewardId};
use crate::limits::PeriodLimit;
use crate::time::UnixMillis;

/// Whether a reward costs points (contract: `Reward.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "UPPERCASE")]
#[cbor(index_only)]
pub enum RewardKind {
    /// Exchanged for points.
    #[n(0)]
    Points,
    /// A welcome reward: costs none.
    #[n(1)]
    Welcome,
}

/// What kind of thing a reward is (contract: `Reward.categories`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[cbor(index_only)]
pub enum Category {
    /// Food and drink.
    #[serde(rename = "Eten en drinken")]
    #[n(0)]
    FoodAndDrink,
    /// Something to do.
    #[serde(rename = "Doen")]
    #[n(1)]
    Activity,
    /// A thing.
    #[serde(rename = "Gadget of item")]
    #[n(2)]
    Item,
    /// A good cause.
    #[serde(rename = "Goede doel")]
    #[n(3)]
    GoodCause,
}

/// What points are exchanged for (contract: `Reward`).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[allow(clippy::struct_excessive_bools, reason = "the contract's own fields")]
pub struct Reward {
    /// The hub's serial number.
    #[n(0)]
    pub reward: RewardId,
    /// The contract's id.
    #[n(1)]
    pub reward_id: String,
    /// Its title.
    #[n(2)]
    pub title: String,
    /// Whether it costs points.
    #[n(3)]
    pub kind: RewardKind,
    /// Its price in points; 0 for a welcome reward.
    #[n(4)]
    pub points: u32,
    /// How often one pass may redeem it.
    #[n(5)]
    pub redeem_constraint: Option<PeriodLimit>,
    /// From when it may be redeemed.
    #[n(6)]
    pub redeem_begin: Option<UnixMillis>,
    /// Until when it may be redeemed.
    #[n(7)]
    pub redeem_end: Option<UnixMillis>,
    /// The card systems whose members may redeem it (contract: `applicableCardSystems`); empty means
    /// all.
    #[n(8)]
    pub card_systems: Vec<CardSystemId>,
    /// Redeemed online only: never at a desk.
    #[n(9)]
    pub online: bool,
    /// From when it is shown (contract: `publicationPeriod`). Shown is not redeemable: the contract's
    /// subset REDEEMABLE leaves the publication date out.
    #[n(10)]
    pub publication_begin: Option<UnixMillis>,
    /// Until when it is shown.
    #[n(11)]
    pub publication_end: Option<UnixMillis>,
    /// The organisers where it is redeemed; empty means all.
    #[n(12)]
    pub organisers: Vec<OrganiserId>,
    /// Whether its stock is limited (contract: `maxAvailableUnits`): then each redemption needs a
    /// granted unit.
    #[n(13)]
    pub limited: bool,
    /// What kind of thing it is.
    #[n(14)]
    pub categories: Vec<Category>,
    /// For children.
    #[n(15)]
    pub for_kids: bool,
    /// For sport.
    #[n(16)]
    pub sport: bool,
    /// Put first by its card system.
    #[n(17)]
    pub featured: bool,
}

impl Reward {
    /// Whether it may be redeemed at this moment.
    pub fn redeemable_at(&self, now: UnixMillis) -> bool {
        within(self.redeem_begin, self.redeem_end, now)
    }

    /// Whether it is redeemed at this organiser's venues; where no organiser is known, only what all
    /// organisers take.
    pub fn redeemed_by(&self, organiser: Option<&OrganiserId>) -> bool {
        self.organisers.is_empty() || organiser.is_some_and(|it| self.organisers.contains(it))
    }

    /// Whether it is to be shown at this moment.
    pub fn published_at(&self, now: UnixMillis) -> bool {
        within(self.publication_begin, self.publication_end, now)
    }
}

fn within(begin: Option<UnixMillis>, end: Option<UnixMillis>, now: UnixMillis) -> bool {
    begin.is_none_or(|begin| begin <= now) && end.is_none_or(|end| now <= end)
}
