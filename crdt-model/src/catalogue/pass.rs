//! What a desk knows of a pass: its cards, memberships and rights. It names nobody.

use jiff::civil::Date;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::lookup::CardName;
use crate::account::Account;
use crate::ids::{CardSystemId, CouponId, PassId};
use crate::time::{UnixMillis, day_number};

/// Which platform a pass belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cbor(index_only)]
pub enum Programme {
    /// UiTPAS of one person (contract: `passType` INDIVIDUAL). Brussels calls it Paspartoe.
    #[n(0)]
    Uitpas,
    /// UiTPAS of a group (contract: `passType` GROUP). It buys tickets; it never checks in and never
    /// redeems.
    #[n(1)]
    UitpasGroup,
    /// museumPASSmusées.
    #[n(2)]
    Museumpass,
    /// An admission pass of another platform, such as the Museumkaart. There is no record of it.
    #[n(3)]
    External,
}

/// What a card's state allows (contract: `Card.status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cbor(index_only)]
pub enum CardStatus {
    /// Made, and still at the maker's.
    #[n(0)]
    Provisioned,
    /// At a desk, not yet given to anybody.
    #[n(1)]
    LocalStock,
    /// In use.
    #[n(2)]
    Active,
    /// Lost, stolen, replaced or misused.
    #[n(3)]
    Blocked,
    /// Gone for good.
    #[n(4)]
    Deleted,
}

/// How the holder stands.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cbor(index_only)]
pub enum HolderStatus {
    /// Known by name.
    #[default]
    #[n(0)]
    Registered,
    /// Nobody is registered on the pass yet. A museumPASS may visit a few times so.
    #[n(1)]
    Unregistered,
    /// Blocked, whatever the card (`passholder-blocked`, `PASSHOLDER_BLOCKED`).
    #[n(2)]
    Blocked,
}

/// One card of a pass. A replaced card keeps its name, blocked, so that whoever finds it is told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Card {
    /// Its name in the catalogue.
    #[n(0)]
    pub name: CardName,
    /// Its state.
    #[n(1)]
    pub status: CardStatus,
}

/// Whether a membership is in force (contract: `CardSystemMembership.status`).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cbor(index_only)]
pub enum MembershipStatus {
    /// In force, unless its dates say otherwise.
    #[default]
    #[n(0)]
    Active,
    /// Blocked.
    #[n(1)]
    Blocked,
}

/// A holder's membership of one card system. Days are days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Membership {
    /// Of which.
    #[n(0)]
    pub card_system: CardSystemId,
    /// Whether it is in force.
    #[n(1)]
    pub status: MembershipStatus,
    /// Its last day, where it has one.
    #[n(2)]
    pub ends: Option<i32>,
    /// The first day on which it counts again, where it is suspended.
    #[n(3)]
    pub suspended_until: Option<i32>,
    /// The right to a social tariff in this card system.
    #[n(4)]
    pub social_tariff: Option<SocialTariffRight>,
}

impl Membership {
    /// Whether it counts on this local day.
    pub fn in_force(&self, day: Date) -> bool {
        let day = day_number(day);
        self.status == MembershipStatus::Active
            && self.ends.is_none_or(|last| day <= last)
            && self.suspended_until.is_none_or(|again| again <= day)
    }
}

/// A right to a social tariff (contract: `CardSystemMembership.socialTariff`). Never shown
/// (invariant 11). Days are days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SocialTariffRight {
    /// Its last day.
    #[n(0)]
    pub ends: i32,
    /// The first day on which it counts again, where it is suspended (`suspendedUntilDate`).
    #[n(1)]
    pub suspended_until: Option<i32>,
}

/// For so long after its end a right still counts (contract: `inGracePeriod`; the 30 days are
/// UiTPAS's own).
pub const GRACE_DAYS: i32 = 30;

/// How a holder's right to a social tariff stands at one place and day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocialTariff {
    /// There is none and was none.
    None,
    /// In force.
    Active,
    /// Ended, but not longer than [`GRACE_DAYS`] ago: it still counts.
    Grace,
    /// Ended.
    Expired,
    /// For a time not in force.
    Suspended,
    /// In force, but in another card system than this activity's.
    OtherRegion,
}

impl SocialTariff {
    /// Whether a ticket may be sold at it.
    pub fn counts(self) -> bool {
        matches!(self, Self::Active | Self::Grace)
    }

    /// Which of two states says more to the holder: the better one.
    fn rank(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Expired => 1,
            Self::OtherRegion => 2,
            Self::Suspended => 3,
            Self::Grace => 4,
            Self::Active => 5,
        }
    }
}

impl SocialTariffRight {
    /// How it stands on this local day, in its own card system.
    pub fn on(&self, day: Date) -> SocialTariff {
        let day = day_number(day);
        if self.suspended_until.is_some_and(|again| day < again) {
            SocialTariff::Suspended
        } else if day <= self.ends {
            SocialTariff::Active
        } else if day <= self.ends.saturating_add(GRACE_DAYS) {
            SocialTariff::Grace
        } else {
            SocialTariff::Expired
        }
    }
}

/// A coupon that this pass was granted (contract: `GrantedCoupon`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct GrantedCoupon {
    /// Which.
    #[n(0)]
    pub coupon: CouponId,
    /// From when.
    #[n(1)]
    pub begin: UnixMillis,
    /// Until when, where it ends.
    #[n(2)]
    pub end: Option<UnixMillis>,
}

impl GrantedCoupon {
    /// Whether it can be used at this moment.
    pub fn valid_at(&self, now: UnixMillis) -> bool {
        self.begin <= now && self.end.is_none_or(|end| now <= end)
    }
}

/// How many entries of one list a pass record includes already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Folded {
    /// The ledger's local day, as days since 1970-01-01.
    #[n(0)]
    pub day: i32,
    /// The list, as [`crate::ids::Writer::to_bytes`].
    #[cbor(n(1), with = "minicbor::bytes")]
    pub writer: [u8; 20],
    /// Entries of this pass with an index below this are included.
    #[n(2)]
    pub entries: u64,
}

/// What a desk knows of a pass: the open part, enough to decide. It names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PassRecord {
    /// The hub's serial number.
    #[n(0)]
    pub pass: PassId,
    /// The platform.
    #[n(1)]
    pub programme: Programme,
    /// How the holder stands.
    #[n(2)]
    pub holder: HolderStatus,
    /// Memberships of card systems.
    #[n(3)]
    pub memberships: Vec<Membership>,
    /// The last valid local day, as days since 1970-01-01 (museumPASS: `subscriptionEndDate`).
    #[n(4)]
    pub valid_until: Option<i32>,
    /// Coupons that it was granted.
    #[n(5)]
    pub coupons: Vec<GrantedCoupon>,
    /// A few digits that tell rows apart: [`crate::ids::UitpasNumber::telling_digits`].
    #[n(6)]
    pub telling_digits: String,
    /// Its cards, old and new, each under its chip number and its printed number.
    #[n(7)]
    pub cards: Vec<Card>,
    /// The account as the hub folded it.
    #[n(8)]
    pub account: Account,
    /// Which of the asking venue's entries the account includes.
    #[n(9)]
    pub folded: Vec<Folded>,
    /// Tickets at the social tariff that a group may buy in a year (contract:
    /// `totalTicketsPerYear`).
    #[n(10)]
    pub tickets_per_year: Option<u32>,
    /// `folded` begins with this day, in days since 1970-01-01: of the days before it the account includes
    /// everything that the hub has.
    #[n(11)]
    #[cbor(default)]
    pub folded_from: i32,
}

impl PassRecord {
    /// The pass of a registered holder, of which nothing else is known: no cards, no memberships, no points.
    pub fn new(pass: PassId, programme: Programme) -> Self {
        Self {
            pass,
            programme,
            holder: HolderStatus::Registered,
            memberships: Vec::new(),
            valid_until: None,
            coupons: Vec::new(),
            telling_digits: String::new(),
            cards: Vec::new(),
            account: Account::default(),
            folded: Vec::new(),
            tickets_per_year: None,
            folded_from: 0,
        }
    }

    /// Whether the account includes this entry already. `at_hub` says whether the hub has it.
    pub fn includes(&self, place: &crate::entry::EntryRef, at_hub: bool) -> bool {
        let (day, writer) = (day_number(place.day), place.writer.to_bytes());
        let listed = |f: &Folded| f.day == day && f.writer == writer && place.index < f.entries;
        (at_hub && day < self.folded_from) || self.folded.iter().any(listed)
    }

    /// The state of the card of this name; a card that is not the pass's own allows nothing.
    pub fn card_status(&self, name: &CardName) -> CardStatus {
        self.cards
            .iter()
            .find(|card| card.name == *name)
            .map_or(CardStatus::Deleted, |card| card.status)
    }

    /// Card systems of which the holder is an active member on this local day.
    pub fn active_card_systems(&self, day: Date) -> impl Iterator<Item = CardSystemId> {
        let in_force = self.memberships.iter().filter(move |membership| membership.in_force(day));
        in_force.map(|membership| membership.card_system)
    }

    /// How the right to a social tariff stands in any of these card systems on this local day.
    pub fn social_tariff(&self, card_systems: &[CardSystemId], day: Date) -> SocialTariff {
        let states = self.memberships.iter().filter(|it| it.in_force(day)).filter_map(|it| {
            let here = it.social_tariff?.on(day);
            Some(match here {
                _ if card_systems.contains(&it.card_system) => here,
                SocialTariff::Active | SocialTariff::Grace => SocialTariff::OtherRegion,
                SocialTariff::None
                | SocialTariff::Expired
                | SocialTariff::Suspended
                | SocialTariff::OtherRegion => SocialTariff::None,
            })
        });
        states.max_by_key(|state| state.rank()).unwrap_or(SocialTariff::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn right(ends: &str, suspended_until: Option<&str>) -> SocialTariffRight {
        SocialTariffRight {
            ends: day_number(day(ends)),
            suspended_until: suspended_until.map(|again| day_number(day(again))),
        }
    }

    #[test]
    fn a_right_counts_for_thirty_days_after_its_end_and_not_while_suspended() {
        let plain = right("2026-10-31", None);
        assert_eq!(plain.on(day("2026-10-31")), SocialTariff::Active);
        assert_eq!(plain.on(day("2026-11-01")), SocialTariff::Grace);
        assert_eq!(plain.on(day("2026-11-30")), SocialTariff::Grace);
        assert_eq!(plain.on(day("2026-12-01")), SocialTariff::Expired);
        let suspended = right("2026-12-31", Some("2026-11-21"));
        assert_eq!(suspended.on(day("2026-11-20")), SocialTariff::Suspended);
        assert_eq!(suspended.on(day("2026-11-21")), SocialTariff::Active);
    }

    #[test]
    fn a_membership_counts_until_its_end_unless_blocked_or_suspended() {
        let plain = Membership {
            card_system: CardSystemId(1),
            status: MembershipStatus::Active,
            ends: Some(day_number(day("2026-11-21"))),
            suspended_until: None,
            social_tariff: None,
        };
        assert!(plain.in_force(day("2026-11-21")));
        assert!(!plain.in_force(day("2026-11-22")));
        assert!(
            !Membership { status: MembershipStatus::Blocked, ..plain }.in_force(day("2026-11-21"))
        );
        let suspended =
            Membership { suspended_until: Some(day_number(day("2026-11-21"))), ..plain };
        assert!(!suspended.in_force(day("2026-11-20")));
        assert!(suspended.in_force(day("2026-11-21")));
    }
}
