//! Requests about cards, which the hub answers, and what this desk has to hand out.

use crdt_model::ids::{CardSystemId, ChipNumber, UitpasNumber};
use crdt_model::money::Cents;
use serde::{Deserialize, Serialize};
use sync_protocol::request::RequestKind;

use super::hidden_debug;

/// Body of `POST /v1/requests`: what is asked of the hub about somebody's card. It is sealed at once;
/// the desk cannot read it again.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", tag = "type", deny_unknown_fields)]
pub enum RequestBody {
    /// A pass was sold.
    #[serde(rename_all = "camelCase")]
    Register {
        /// The card, from the desk's stock.
        uitpas_number: UitpasNumber,
        /// Its chip, where it was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip_number: Option<ChipNumber>,
        /// The holder's name.
        name: String,
        /// The day of birth, `yyyy-mm-dd`.
        date_of_birth: jiff::civil::Date,
        /// Where the holder lives.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        postal_code: Option<String>,
        /// The card system; without it, the only one that this desk knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        card_system: Option<CardSystemId>,
        /// The last day of a social tariff that was shown to be due.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        social_tariff_ends: Option<jiff::civil::Date>,
    },
    /// A chip belongs to a printed number.
    #[serde(rename_all = "camelCase")]
    LinkChip {
        /// The number.
        uitpas_number: UitpasNumber,
        /// The chip.
        chip_number: ChipNumber,
    },
    /// A card was lost or stolen.
    ReportLost {
        /// The card, as in [`TapRequest`](super::TapRequest).
        pass: String,
    },
    /// A pass gets a new card.
    #[serde(rename_all = "camelCase")]
    Replace {
        /// The old card, as in [`TapRequest`](super::TapRequest).
        pass: String,
        /// The new card, from the desk's stock.
        uitpas_number: UitpasNumber,
        /// Its chip, where it was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip_number: Option<ChipNumber>,
    },
}

/// A request, as far as the desk remembers it: nothing of whom it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestView {
    /// Its name.
    pub id: String,
    /// What kind it is.
    pub kind: RequestKind,
    /// When it was made, in milliseconds since the epoch.
    pub at: i64,
    /// Where it stands.
    #[serde(flatten)]
    pub state: RequestState,
    /// What a registration costs, in cents: to be paid at the desk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_pay_cents: Option<Cents>,
}

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum RequestState {
    /// On this disk, not yet answered by the hub.
    Waiting,
    /// Done.
    Done,
    /// Not done.
    Refused {
        /// The hub's sentence.
        sentence: String,
    },
}

/// Answer of `GET /v1/membership-prices?bornOn=…`: what passes cost for somebody of that age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MembershipPriceView {
    /// The card system.
    pub card_system: CardSystemId,
    /// Its name.
    pub name: String,
    /// For whom the price is.
    pub label: String,
    /// The price, in cents.
    pub price_cents: Cents,
}

/// Answer of `GET /v1/stock`: what this desk may hand out of a limited reward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockView {
    /// The contract's id of the reward.
    pub reward_id: String,
    /// Its title.
    pub title: String,
    /// Units granted to this desk.
    pub granted: u32,
    /// Units left here.
    pub left: u32,
    /// Units of grants that this desk uses no more, for it lost a part of its ledgers: an operator writes them off.
    #[serde(default)]
    pub doubted: u32,
}

hidden_debug!(RequestBody);
