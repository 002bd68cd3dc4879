//! Every reason for which a verdict is not a plain ok, under the contracts' names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::serde_as_text;

/// The five verdicts: one word, one sign, one colour, one sound each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictKind {
    /// Counted.
    Ok,
    /// Limit reached, visited today: let in, nothing counted.
    Again,
    /// Somebody must look: an unknown card.
    Ask,
    /// Not valid here.
    Stop,
    /// Not read: present the card again.
    Retry,
}

/// A name that is no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no verdict reason of this name")]
pub struct UnknownReason;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal => $verdict:ident,)*) => {
        /// Why a verdict is what it is. `code` gives the name of the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason's name: the last part of the contract's problem type, or the museumPASS
            /// contract's `visit.reason`.
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The verdict that this reason leads to.
            pub const fn verdict(&self) -> VerdictKind {
                match self { $(Self::$name => VerdictKind::$verdict,)* }
            }
        }
    };
}

reasons! {
    /// UiTPAS: the card is blocked.
    CardBlocked = "card-blocked" => Stop,
    /// UiTPAS: the card's state allows nothing, such as one not yet given to anybody.
    InvalidCardStatus = "invalid-card-status" => Stop,
    /// UiTPAS: the number fails the Luhn check.
    InvalidUitpasNumber = "invalid-uitpas-number" => Retry,
    /// No pass of this number or chip is known.
    PassNotFound = "pass-not-found" => Ask,
    /// UiTPAS: the holder is an active member of no card system.
    PassholderNoActiveCardsystems = "passholder-no-active-cardsystems" => Stop,
    /// The activity's check-in limit is reached, or the museum was visited today.
    MaximumReached = "maximum-reached" => Again,
    /// This kind of pass does not check in here.
    CheckinNotAllowed = "checkin-not-allowed" => Stop,
    /// The social tariff has ended. Only where a tariff is asked for; behind F5.
    SocialTariffExpired = "social-tariff-expired" => Stop,
    /// Too few points for the reward.
    RewardPassholderPointsConstraint = "reward-passholder-points-constraint" => Stop,
    /// This pass has had the reward as often as it may.
    RewardPassholderVolumeConstraint = "reward-passholder-volume-constraint" => Stop,
    /// No units of the reward are left.
    RewardVolumeConstraint = "reward-volume-constraint" => Stop,
    /// The reward cannot be redeemed now.
    RewardPeriodConstraint = "reward-period-constraint" => Stop,
    /// The reward is for members of other card systems, or not handed out at desks.
    RewardPassholderNoApplicableCardsystems = "reward-passholder-no-applicable-cardsystems" => Stop,
    /// No reward of this id is known (UiTPAS: `reward-not-found`).
    RewardNotFound = "reward-not-found" => Ask,
    /// museumPASS: the subscription has ended.
    Expired = "EXPIRED" => Stop,
    /// museumPASS: the card is blocked.
    MuseumCardBlocked = "CARD_BLOCKED" => Stop,
    /// museumPASS: the holder is blocked.
    PassholderBlocked = "PASSHOLDER_BLOCKED" => Stop,
    /// museumPASS: too many visits without a registered holder.
    MaximumUnregisteredVisitsReached = "MAXIMUM_UNREGISTERED_VISITS_REACHED" => Stop,
    /// No activity is chosen at this desk, so nobody can check in.
    NoActivityChosen = "no-activity-chosen" => Ask,
    /// The entry was taken back before.
    AlreadyTakenBack = "already-taken-back" => Stop,
    /// The time to take the entry back is over.
    TooLateToTakeBack = "too-late-to-take-back" => Stop,
    /// There is nothing to take back.
    NothingToTakeBack = "nothing-to-take-back" => Stop,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().find(|reason| reason.code() == text).copied().ok_or(UnknownReason)
    }
}

serde_as_text!(Reason);
