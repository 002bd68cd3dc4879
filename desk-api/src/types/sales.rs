//! Tickets: what they cost a pass, and their sale.

use crdt_model::decide::Reason;
use crdt_model::money::Cents;
use serde::{Deserialize, Serialize};

use super::hidden_debug;
use super::taps::Answer;

/// Body of `POST /v1/ticket-sales`: tickets for one pass, all at one tariff.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SaleRequest {
    /// As in [`TapRequest`](super::TapRequest).
    pub pass: String,
    /// The contract's `eventId`; without it, the desk's activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The price before any discount; without it, the activity's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regular_price_cents: Option<Cents>,
    /// The tariff's id, as `GET /v1/tariffs` names it; without it, the best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tariff_id: Option<String>,
    /// How many; without it, one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tickets: Option<u32>,
    /// As in [`TapRequest`](super::TapRequest): a forged card buys nothing. No ticket needs a proof, for a rule about tariffs
    /// would tell of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// Answer of `POST /v1/ticket-sales`. The history keeps the [`Answer`] alone: no row tells a price
/// (invariant 11).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SaleAnswer {
    /// The verdict.
    #[serde(flatten)]
    pub answer: Answer,
    /// What was sold, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale: Option<SaleView>,
}

/// What was sold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SaleView {
    /// How many tickets.
    pub tickets: u16,
    /// At which tariff.
    pub tariff: TariffView,
    /// What the visitor pays for all of them, in cents.
    pub to_pay_cents: Cents,
    /// What city and organiser add for all of them, in cents: for the books, never for the screen.
    pub city_cents: Cents,
    /// See above.
    pub organiser_cents: Cents,
}

/// One price at which a pass can buy (contract: `TariffAvailibility`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TariffView {
    /// Its id: `REGULAR`, `SOCIALTARIFF-` and a card system, or the coupon's.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `REGULAR`, `SOCIALTARIFF` or `COUPON`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the visitor pays for one ticket, in cents.
    pub price_cents: Cents,
    /// How many tickets can be had for it.
    pub remaining: u32,
}

/// Answer of `GET /v1/tariffs?pass=…`: what a pass pays, the lowest first. Shown on demand only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TariffsView {
    /// The activity's `eventId`.
    pub event_id: String,
    /// The price before any discount, in cents.
    pub regular_price_cents: Cents,
    /// The prices.
    pub available: Vec<TariffView>,
    /// Why there is no social tariff, where one might be expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_tariff_reason: Option<Reason>,
}

hidden_debug!(SaleRequest);
