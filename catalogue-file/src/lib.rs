//! The catalogue as a file, JSON: its rows, with the contracts' names. The hub imports it, and the sample world is
//! written as one. Amounts are in cents, days are `yyyy-mm-dd`, moments RFC 3339. Whether rows fit together says who
//! imports them.

use crdt_model::authenticity::Authenticity;
use crdt_model::catalogue::{
    CardStatus, Category, Discount, DistributionKey, ExternalCardRule, HolderStatus,
    MembershipPrice, MembershipStatus, OpeningHours, PriceCategory, Programme, Residence,
    RewardKind,
};
use crdt_model::ids::{
    CardSystemId, ChipNumber, MuseumPassNumber, OrganiserId, UitpasNumber, VenueId,
};
use crdt_model::limits::PeriodLimit;
use serde::{Deserialize, Serialize};

/// A catalogue file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CatalogueFile {
    /// Where the facts come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The policy of every venue that has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRow>,
    /// Venues that are to be there.
    pub venues: Vec<VenueRow>,
    /// Card systems.
    pub card_systems: Vec<CardSystemRow>,
    /// Activities.
    pub activities: Vec<ActivityRow>,
    /// Rewards.
    pub rewards: Vec<RewardRow>,
    /// Coupons.
    pub coupons: Vec<CouponRow>,
    /// Passes.
    pub passes: Vec<PassRow>,
}

/// A venue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VenueRow {
    /// Its id.
    pub id: VenueId,
    /// Its name, for people.
    pub name: String,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organizer: Option<OrganiserId>,
    /// Its own policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRow>,
}

/// A card system (contract: `CardSystem`, `MembershipPrice`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CardSystemRow {
    /// Its number in the contract.
    pub id: CardSystemId,
    /// Its name.
    pub name: String,
    /// What a pass costs.
    #[serde(default)]
    pub membership_prices: Vec<MembershipPrice>,
}

/// An activity (contract: event and its `EventSettings`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActivityRow {
    /// The contract's id.
    pub event_id: String,
    /// Its title.
    pub title: String,
    /// The venue where it takes place.
    pub venue: VenueId,
    /// Points for one check-in.
    pub checkin_points: u32,
    /// How often one pass may check in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkin_limit: Option<PeriodLimit>,
    /// Who organises it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organizer: Option<OrganiserId>,
    /// The card systems that it belongs to.
    #[serde(default)]
    pub card_systems: Vec<CardSystemId>,
    /// When it is open; nothing means always.
    #[serde(default)]
    pub opening_hours: OpeningHours,
    /// How many discounted tickets one pass may buy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passholder_ticket_limit: Option<PeriodLimit>,
    /// Its regular prices, the usual one first.
    #[serde(default)]
    pub prices: Vec<PriceCategory>,
    /// How the social tariff is made.
    #[serde(default)]
    pub distribution_keys: Vec<DistributionKey>,
    /// Codes by which one checks in.
    #[serde(default)]
    pub checkin_codes: Vec<CheckinCodeRow>,
}

/// A check-in code.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckinCodeRow {
    /// What the QR code says.
    pub code: String,
    /// Until when it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<jiff::Timestamp>,
}

/// A period.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeriodRow {
    /// From when.
    pub begin: jiff::Timestamp,
    /// Until when; nothing means for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<jiff::Timestamp>,
}

/// A reward (contract: `Reward`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "the contract's own fields")]
pub struct RewardRow {
    /// The contract's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// POINTS or WELCOME.
    #[serde(rename = "type")]
    pub kind: RewardKind,
    /// Its price in points.
    #[serde(default)]
    pub points: u32,
    /// How often one pass may redeem it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeem_constraint: Option<PeriodLimit>,
    /// When it may be redeemed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeem_period: Option<PeriodRow>,
    /// When it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication_period: Option<PeriodRow>,
    /// The card systems whose members may redeem it; none means all.
    #[serde(default)]
    pub applicable_card_systems: Vec<CardSystemId>,
    /// The organisers where it is redeemed; none means all.
    #[serde(default)]
    pub organizers: Vec<OrganiserId>,
    /// How many there are; nothing means enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_available_units: Option<u32>,
    /// Redeemed online only.
    #[serde(default)]
    pub online: bool,
    /// What kind of thing it is.
    #[serde(default)]
    pub categories: Vec<Category>,
    /// For children.
    #[serde(default)]
    pub for_kids: bool,
    /// For sport.
    #[serde(default)]
    pub sport: bool,
    /// Put first.
    #[serde(default)]
    pub featured: bool,
}

/// A coupon.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CouponRow {
    /// The contract's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it takes off: `{"percent": 50}` or `{"cents": 300}`.
    pub discount: Discount,
    /// The city's part of that, in percent.
    #[serde(default)]
    pub city_percent: u8,
    /// How many tickets one pass may buy with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<PeriodLimit>,
    /// The event ids that it is for; none means all.
    #[serde(default)]
    pub activities: Vec<String>,
    /// Postal codes of those who are granted it without being named; none means nobody is.
    #[serde(default)]
    pub residence: Residence,
}

/// A membership (contract: `CardSystemMembership`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MembershipRow {
    /// Of which card system.
    pub card_system: CardSystemId,
    /// Whether it is in force.
    #[serde(default)]
    pub status: MembershipStatus,
    /// Its last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<jiff::civil::Date>,
    /// The first day on which it counts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended_until_date: Option<jiff::civil::Date>,
    /// The right to a social tariff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_tariff: Option<SocialTariffRow>,
}

/// A right to a social tariff (contract: `CardSystemMembership.socialTariff`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SocialTariffRow {
    /// Its last day.
    pub end_date: jiff::civil::Date,
    /// The first day on which it counts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended_until_date: Option<jiff::civil::Date>,
}

/// Which museumPASS subscription it is. They look the same at the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubscriptionRow {
    /// The ordinary one.
    Standard,
    /// The one for 10 euro.
    Reduced,
}

/// A card that a pass had before: blocked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EarlierCardRow {
    /// The number on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uitpas_number: Option<UitpasNumber>,
    /// Its chip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip_number: Option<ChipNumber>,
}

/// A granted coupon (contract: `GrantedCoupon`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantedCouponRow {
    /// The coupon's id.
    pub coupon: String,
    /// When it can be used.
    pub validity_period: PeriodRow,
}

/// What is sealed into a record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HolderRow {
    /// The name.
    pub name: String,
    /// The day of birth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_of_birth: Option<jiff::civil::Date>,
    /// A PNG or JPEG file in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

impl std::fmt::Debug for HolderRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HolderRow(…)")
    }
}

/// A pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PassRow {
    /// The platform.
    pub programme: Programme,
    /// The number on a UiTPAS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uitpas_number: Option<UitpasNumber>,
    /// The number on a museumPASS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub museumpass_number: Option<MuseumPassNumber>,
    /// The chip, if the card has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip_number: Option<ChipNumber>,
    /// The state of the card.
    pub card_status: CardStatus,
    /// How the holder stands.
    #[serde(default)]
    pub holder_status: HolderStatus,
    /// Cards that it had before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_cards: Vec<EarlierCardRow>,
    /// Memberships of card systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memberships: Vec<MembershipRow>,
    /// The last valid day (museumPASS: `subscriptionEndDate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_end_date: Option<jiff::civil::Date>,
    /// Which subscription it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionRow>,
    /// Where the holder lives: only for coupons by residence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// Coupons that it was granted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coupons: Vec<GrantedCouponRow>,
    /// Tickets at the social tariff that a group may buy in a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_tickets_per_year: Option<u32>,
    /// Points that the pass begins with. Read when the pass is new; later only entries move points.
    #[serde(default)]
    pub points: u32,
    /// What is sealed into the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderRow>,
}

/// A policy. What is left out is as in Stempel's cautious default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRow {
    /// How long an entry can be taken back at the desk, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_window_seconds: Option<u32>,
    /// Whether unknown cards are taken provisionally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_cards: Option<bool>,
    /// How many of them one desk takes on one day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_cards_a_day: Option<u32>,
    /// How far a desk's clock may be off, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_tolerance_seconds: Option<u32>,
    /// For redemptions on accounts of growing age; an empty list means that age does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redemptions: Option<Vec<AgeRuleRow>>,
    /// Visits of a museumPASS whose holder is not registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unregistered_visits: Option<u32>,
    /// Types of external cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_cards: Option<Vec<ExternalCardRule>>,
    /// What a card must prove for what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proofs: Option<ProofsRow>,
    /// Units of limited rewards that a desk hands out before it has heard the hub, on a computer that does not know what
    /// the desk has handed out before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units_without_hub: Option<u32>,
}

/// What a card must prove for what. What is left out needs no proof.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProofsRow {
    /// For a check-in.
    #[serde(default)]
    pub check_in: Authenticity,
    /// For a museum visit.
    #[serde(default)]
    pub visit: Authenticity,
    /// For redemptions: the strictest rule that applies.
    #[serde(default)]
    pub redemptions: Vec<ProofRuleRow>,
}

/// What a card must prove for a reward.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProofRuleRow {
    /// For a reward that costs so many points or more …
    pub from_points: u32,
    /// … at least this.
    pub at_least: Authenticity,
}

/// A rule for redemptions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgeRuleRow {
    /// Up to this age of the account, in hours.
    pub up_to_hours: u32,
    /// Points that may be spent; nothing means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<u32>,
}
