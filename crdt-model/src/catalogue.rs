//! The records that desks know: passes, activities, rewards, policy. The hub writes them, the desk
//! reads them. Their bytes are CBOR with integer keys, so that fields may be added.

use hmac::{Hmac, KeyInit, Mac};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::account::Account;
use crate::ids::{ActivityId, CardSystemId, Identification, PassId, RewardId, VenueId};
use crate::limits::PeriodLimit;
use crate::time::UnixMillis;

/// Which platform a pass belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cbor(index_only)]
pub enum Programme {
    /// UiTPAS of one person (contract: `passType` INDIVIDUAL). Brussels calls it Paspartoe.
    #[n(0)]
    Uitpas,
    /// UiTPAS of a group (contract: `passType` GROUP). It buys tickets; it never checks in.
    #[n(1)]
    UitpasGroup,
    /// museumPASSmusées.
    #[n(2)]
    Museumpass,
}

/// What a card's state allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cbor(index_only)]
pub enum PassStatus {
    /// In use.
    #[n(0)]
    Active,
    /// The card is blocked: lost, replaced, or misused.
    #[n(1)]
    Blocked,
    /// The holder is blocked, whatever the card (museumPASS: `PASSHOLDER_BLOCKED`).
    #[n(2)]
    HolderBlocked,
    /// Made, but not yet given to anybody (contract: card `PROVISIONED` or `LOCAL_STOCK`).
    #[n(3)]
    Unregistered,
    /// museumPASS: too many visits without a registered holder.
    #[n(4)]
    MaximumUnregisteredVisits,
}

/// A holder's right to a social tariff (contract: `socialTariff.status`). Never shown (invariant 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cbor(index_only)]
pub enum SocialTariff {
    /// None.
    #[n(0)]
    None,
    /// Entitled.
    #[n(1)]
    Active,
    /// Not any more.
    #[n(2)]
    Expired,
    /// Entitled in another card system.
    #[n(3)]
    OtherRegion,
}

/// How a catalogue names a card without holding its number: 16 bytes of HMAC-SHA256 under the
/// venue's look-up key.
pub type CardKey = [u8; 16];

/// The key under which cards are looked up; the hub gives it to a desk at enrolment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LookupKey(pub [u8; 32]);

impl LookupKey {
    /// The name of this card in the catalogue.
    pub fn card_key(&self, card: &Identification) -> CardKey {
        let (kind, text) = match card {
            Identification::Chip(chip) => (0u8, chip.to_string()),
            Identification::Uitpas(number) => (1, number.to_string()),
            Identification::MuseumPass(number) => (2, number.to_string()),
        };
        let mut key = CardKey::default();
        // HMAC takes keys of any length, so the error cannot happen; an all-zero name finds nothing.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) {
            mac.update(&[kind]);
            mac.update(text.as_bytes());
            key.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        }
        key
    }
}

impl std::fmt::Debug for LookupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LookupKey(…)")
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
    /// What its state allows.
    #[n(2)]
    pub status: PassStatus,
    /// Card systems in which the holder is an active member.
    #[n(3)]
    pub card_systems: Vec<CardSystemId>,
    /// The last valid local day, as days since 1970-01-01 (museumPASS: `subscriptionEndDate`).
    #[n(4)]
    pub valid_until: Option<i32>,
    /// The right to a social tariff.
    #[n(5)]
    pub social_tariff: SocialTariff,
    /// A few digits that tell rows apart: [`crate::ids::UitpasNumber::telling_digits`].
    #[n(6)]
    pub telling_digits: String,
    /// The names of its cards: chip numbers and printed numbers, old and new.
    #[n(7)]
    pub cards: Vec<CardName>,
    /// The account as the hub folded it.
    #[n(8)]
    pub account: Account,
    /// Which of the asking venue's entries the account includes.
    #[n(9)]
    pub folded: Vec<Folded>,
}

/// A [`CardKey`] as a field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct CardName(#[cbor(n(0), with = "minicbor::bytes")] pub CardKey);

impl PassRecord {
    /// Whether the record includes the entry at this index of this list already.
    pub fn includes(&self, place: &crate::entry::EntryRef) -> bool {
        let (day, writer) = (crate::time::day_number(place.day), place.writer.to_bytes());
        self.folded.iter().any(|f| f.day == day && f.writer == writer && place.index < f.entries)
    }
}

/// What one checks in to (contract: event and its `EventSettings`).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Activity {
    /// The hub's serial number.
    #[n(0)]
    pub activity: ActivityId,
    /// The contract's `eventId`.
    #[n(1)]
    pub event_id: String,
    /// Its title.
    #[n(2)]
    pub title: String,
    /// The venue where it takes place.
    #[n(3)]
    pub venue: VenueId,
    /// Points for one check-in.
    #[n(4)]
    pub checkin_points: u32,
    /// How often one pass may check in.
    #[n(5)]
    pub checkin_limit: Option<PeriodLimit>,
}

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

/// What points are exchanged for.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
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
    /// The card systems whose members may redeem it; empty means all.
    #[n(8)]
    pub card_systems: Vec<CardSystemId>,
    /// Redeemed online only: never at a desk.
    #[n(9)]
    pub online: bool,
}

/// What the hub lets a venue's desks do on their own.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Policy {
    /// How long an entry can be taken back, in milliseconds.
    #[n(0)]
    pub undo_window: i64,
    /// Whether a card that the catalogue does not know is taken provisionally.
    #[n(1)]
    pub unknown_cards: bool,
    /// How far the desk's clock may be from the hub's before it is called wrong, in milliseconds.
    #[n(2)]
    pub clock_tolerance: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { undo_window: 5 * 60 * 1000, unknown_cards: true, clock_tolerance: 2 * 60 * 1000 }
    }
}

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_named_by_what_kind_of_number_it_carries_and_by_the_key() {
        let card: Identification = "0900000095902".parse().unwrap();
        let other: Identification = "04784CDAEE3880".parse().unwrap();
        let key = LookupKey([1; 32]);
        assert_eq!(key.card_key(&card), key.card_key(&card));
        assert_ne!(key.card_key(&card), key.card_key(&other));
        assert_ne!(key.card_key(&card), LookupKey([2; 32]).card_key(&card));
    }
}
