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
    ($($(#[$doc:meta])* $name:ident = $code:literal => $verdict:ident, from $source:literal;)*) => {
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

            /// Where the rule behind it comes from.
            pub const fn source(&self) -> &'static str {
                match self { $(Self::$name => $source,)* }
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
    CardBlocked = "card-blocked" => Stop, from "UiTPAS 4.0: `card-blocked`, `GET /chip-numbers/{chipNumber}`, `POST /kiosk-devices/checkins`";
    /// UiTPAS: the holder is blocked, whatever the card.
    UitpasHolderBlocked = "passholder-blocked" => Stop, from "UiTPAS 4.0: `passholder-blocked`, `GET /chip-numbers/{chipNumber}`";
    /// UiTPAS: the card's state allows nothing, such as one not yet given to anybody.
    InvalidCardStatus = "invalid-card-status" => Stop, from "UiTPAS 4.0: `invalid-card-status`, `POST /checkins`, `GET /tariffs`";
    /// UiTPAS: the number fails the Luhn check.
    InvalidUitpasNumber = "invalid-uitpas-number" => Retry, from "UiTPAS 4.0: `invalid-uitpas-number`, `POST /rewards/redeemed`";
    /// No pass of this number or chip is known.
    PassNotFound = "pass-not-found" => Ask, from "UiTPAS 4.0: `pass-not-found`, `GET /chip-numbers/{chipNumber}`; policy: unknown cards";
    /// UiTPAS: the holder is an active member of no card system.
    PassholderNoActiveCardsystems = "passholder-no-active-cardsystems" => Stop, from "UiTPAS 4.0: `passholder-no-active-cardsystems`, `POST /checkins`";
    /// The activity's check-in limit is reached, or the museum was visited today.
    MaximumReached = "maximum-reached" => Again, from "UiTPAS 4.0: `maximum-reached`, `POST /kiosk-devices/checkins`, `POST /ticket-sales`; one visit per museum and day: Stempel";
    /// This kind of pass does not check in here, or the activity is not open now.
    CheckinNotAllowed = "checkin-not-allowed" => Stop, from "UiTPAS 4.0: `checkin-not-allowed`, `POST /checkins`; groups: `Grouppass`";
    /// No activity has this check-in code.
    CheckinCodeInvalid = "checkin-code-invalid" => Retry, from "UiTPAS 4.0: `checkin-code-invalid`, `POST /passholders/{passholderId}/checkins`";
    /// The activity's check-in code is no longer taken.
    CheckinCodeExpired = "checkin-code-expired" => Stop, from "UiTPAS 4.0: `checkin-code-expired`, `POST /passholders/{passholderId}/checkins`";
    /// The venue has no such activity (UiTPAS: `event-not-found`), or it is another organiser's.
    EventNotFound = "event-not-found" => Ask, from "UiTPAS 4.0: `event-not-found`, `POST /ticket-sales`";
    /// The social tariff has ended. Only where a tariff is asked for; behind F5.
    SocialTariffExpired = "social-tariff-expired" => Stop, from "UiTPAS 4.0: `social-tariff-expired`, `GET /tariffs`";
    /// The social tariff is suspended. Only where a tariff is asked for; behind F5.
    SocialTariffSuspended = "social-tariff-suspended" => Stop, from "UiTPAS 4.0: `social-tariff-suspended`, `GET /tariffs`";
    /// There is no social tariff here, or the right counts in another card system. Behind F5.
    SocialTariffNotAvailable = "social-tariff-not-available" => Stop, from "UiTPAS 4.0: `social-tariff-not-available`, `GET /tariffs/static`";
    /// The pass was not granted this coupon, or it is not for this activity or day.
    InvalidCoupon = "invalid-coupon" => Stop, from "UiTPAS 4.0: `invalid-coupon`, `POST /ticket-sales`";
    /// Fewer tickets can be had at this tariff than were asked for.
    InvalidNumberOfTickets = "invalid-number-of-tickets" => Stop, from "UiTPAS 4.0: `invalid-number-of-tickets`, `POST /ticket-sales`";
    /// Too few points for the reward.
    RewardPassholderPointsConstraint = "reward-passholder-points-constraint" => Stop, from "UiTPAS 4.0: `reward-passholder-points-constraint`, `POST /rewards/redeemed`";
    /// This pass has had the reward as often as it may.
    RewardPassholderVolumeConstraint = "reward-passholder-volume-constraint" => Stop, from "UiTPAS 4.0: `reward-passholder-volume-constraint`, `POST /rewards/redeemed`";
    /// No units of the reward are left: the hub said so.
    RewardVolumeConstraint = "reward-volume-constraint" => Stop, from "UiTPAS 4.0: `reward-volume-constraint`, `POST /rewards/redeemed`; units: DESIGN.md, limited stock";
    /// This desk has no unit of the reward, and the hub has not said that none is left.
    RewardNoUnitHere = "reward-no-unit-here" => Ask, from "Stempel: limited stock, DESIGN.md";
    /// The reward cannot be redeemed now.
    RewardPeriodConstraint = "reward-period-constraint" => Stop, from "UiTPAS 4.0: `reward-period-constraint`, `POST /rewards/redeemed`";
    /// The reward is redeemed online only (contract: `Reward.online`).
    RewardOnlineOnly = "reward-online-only" => Stop, from "UiTPAS 4.0: `Reward.online`; the reason is Stempel's";
    /// The reward is redeemed at other organisers (contract: `Reward.organizers`).
    RewardOtherOrganizer = "reward-other-organizer" => Stop, from "UiTPAS 4.0: `Reward.organizers`; the reason is Stempel's";
    /// The reward is for members of other card systems.
    RewardPassholderNoApplicableCardsystems = "reward-passholder-no-applicable-cardsystems" => Stop, from "UiTPAS 4.0: `reward-passholder-no-applicable-cardsystems`, `POST /rewards/redeemed`";
    /// No reward of this id is known (UiTPAS: `reward-not-found`).
    RewardNotFound = "reward-not-found" => Ask, from "UiTPAS 4.0: `reward-not-found`, `POST /rewards/redeemed`";
    /// museumPASS: the subscription has ended.
    Expired = "EXPIRED" => Stop, from "museumPASS 1.0: `visit.reason`";
    /// museumPASS: the card is blocked.
    MuseumCardBlocked = "CARD_BLOCKED" => Stop, from "museumPASS 1.0: `visit.reason`";
    /// museumPASS: the holder is blocked.
    PassholderBlocked = "PASSHOLDER_BLOCKED" => Stop, from "museumPASS 1.0: `visit.reason`";
    /// museumPASS: too many visits without a registered holder.
    MaximumUnregisteredVisitsReached = "MAXIMUM_UNREGISTERED_VISITS_REACHED" => Stop, from "museumPASS 1.0: `visit.reason`; how many: policy";
    /// Policy: the hub has not confirmed the account for too long to spend points of it.
    AccountTooOld = "account-too-old" => Ask, from "Stempel: policy, invariant 6";
    /// Policy: more points than may be spent of an account of this age.
    OfflinePointsConstraint = "offline-points-constraint" => Ask, from "Stempel: policy, invariant 6";
    /// Policy: this desk has taken as many unknown cards today as it may.
    UnknownCardsUsedUp = "unknown-cards-used-up" => Ask, from "Stempel: policy";
    /// Policy: the card must prove that it is the one whose chip number it shows, and has not.
    CardProofRequired = "card-proof-required" => Ask, from "Stempel: policy, cards that cannot be faked";
    /// The card claims to be one of the issuer's and failed the proof.
    CardNotGenuine = "card-not-genuine" => Stop, from "Stempel: cards that cannot be faked";
    /// Policy: this type of external card is not let in here.
    ExternalCardNotAccepted = "external-card-not-accepted" => Stop, from "Stempel: policy";
    /// No activity is chosen at this desk, so nobody can check in.
    NoActivityChosen = "no-activity-chosen" => Ask, from "Stempel: the desk";
    /// The entry was taken back before.
    AlreadyTakenBack = "already-taken-back" => Stop, from "Stempel: voids";
    /// The time to take the entry back is over.
    TooLateToTakeBack = "too-late-to-take-back" => Stop, from "Stempel: voids, policy";
    /// There is nothing to take back.
    NothingToTakeBack = "nothing-to-take-back" => Stop, from "Stempel: voids";
}

impl Reason {
    /// Whether it tells something of a holder's tariff: such a reason is never shown or kept where it
    /// was not asked for (invariant 11).
    pub const fn concerns_tariff(&self) -> bool {
        matches!(
            self,
            Self::SocialTariffExpired
                | Self::SocialTariffSuspended
                | Self::SocialTariffNotAvailable
        )
    }
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
