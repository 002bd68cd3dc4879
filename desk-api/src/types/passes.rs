//! What the desk shows of a pass, of rewards and of activities.

use crdt_model::decide::Reason;
use crdt_model::ids::PassId;
use serde::{Deserialize, Serialize};

use super::hidden_debug;

/// Answer of `GET /v1/holders?pass=…`: the sealed part of a record. Whoever has the card opens it
/// ([`crdt_model::holder`]); the desk does not.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedView {
    /// The pass.
    pub pass_id: PassId,
    /// The sealed part: CBOR, in base64.
    pub sealed: String,
    /// The key under which cards are looked up, in base64: it is part of what opens.
    pub lookup_key: String,
}

/// A pass as the desk may show it: nothing here tells of a social tariff (invariant 11).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PassView {
    /// The hub's serial number.
    pub pass_id: PassId,
    /// `UITPAS`, `UITPAS_GROUP` or `MUSEUMPASS`.
    pub programme: crdt_model::catalogue::Programme,
    /// A few digits of the number that tell two rows apart and reveal nothing.
    pub telling_digits: String,
    /// Points that can be spent now.
    pub points: u64,
    /// Points overspent while desks were apart; later points pay them first.
    pub debt: u64,
    /// Last day of validity (`yyyy-mm-dd`), where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// Visits counted on this pass.
    pub visits: u64,
}

/// Answer of `GET /v1/rewards?pass=`: one reward, seen from one pass, obtainable ones first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "the contract's own fields")]
pub struct RewardView {
    /// The contract's id.
    pub reward_id: String,
    /// The contract's title.
    pub title: String,
    /// `POINTS` or `WELCOME`.
    #[serde(rename = "type")]
    pub kind: crdt_model::catalogue::RewardKind,
    /// Its price in points; 0 for a welcome reward.
    pub points: u32,
    /// Whether the pass can have it now.
    pub redeemable: bool,
    /// How many points are lacking, where points are what is lacking.
    pub points_lacking: u64,
    /// Why not, where it cannot be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Whether it can be redeemed for two weeks more at the most.
    pub last_chance: bool,
    /// What kind of thing it is.
    pub categories: Vec<crdt_model::catalogue::Category>,
    /// For children.
    pub for_kids: bool,
    /// For sport.
    pub sport: bool,
    /// Put first by its card system.
    pub featured: bool,
    /// Units that this desk has left, where the stock is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units_left: Option<u32>,
}

/// Body of `PUT /v1/desk/activity`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActivityRequest {
    /// The contract's `eventId`.
    pub event_id: String,
}

/// One activity, as in `GET /v1/activities`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityView {
    /// The contract's `eventId`.
    pub event_id: String,
    /// Its title.
    pub title: String,
    /// Points for one check-in.
    pub checkin_points: u32,
    /// Whether it is the desk's activity now.
    pub chosen: bool,
    /// Whether check-ins are taken now: its opening hours and their margins.
    pub open: bool,
    /// Its regular prices.
    pub prices: Vec<crdt_model::catalogue::PriceCategory>,
    /// The codes by which one checks in to it, as its QR codes say them; those that have ended, too, so that a console
    /// can tell them from what is no code of this desk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkin_codes: Vec<String>,
}

hidden_debug!(SealedView);
