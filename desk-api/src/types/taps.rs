//! Taps, redemptions and what is taken back: what is asked, and the answer.

use crdt_model::authenticity::Authenticity;
use crdt_model::decide::{Reason, VerdictKind};
use crdt_model::ledger::EntryRef;
use serde::{Deserialize, Deserializer, Serialize};

use super::hidden_debug;
use super::passes::PassView;

/// Body of `POST /v1/taps`: one card on the reader, or a number typed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TapRequest {
    /// A chip number, a UiTPAS number, a museumPASS number or an external card, as read or typed.
    pub pass: String,
    /// What an activity's QR code says: the check-in is to that one instead of the desk's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkin_code: Option<String>,
    /// The check that was made of the card ([`CardCheckView::check`](super::CardCheckView::check)), where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// Body of `POST /v1/redemptions`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedemptionRequest {
    /// As in [`TapRequest`].
    pub pass: String,
    /// The contract's id of the reward.
    pub reward_id: String,
    /// As in [`TapRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// Body of `POST /v1/voids`: what to take back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VoidRequest {
    /// The entry, as [`Answer::entry`] named it; without it, the last one of this desk. What names nothing (`null`) is
    /// no way to ask for the last one: a script that has lost the name would take back another visitor's entry.
    #[serde(default, deserialize_with = "named", skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryRef>,
}

fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// What an answer or a row of the history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A UiTPAS check-in at the desk's activity.
    CheckIn,
    /// A museum visit with a museumPASSmusées.
    Visit,
    /// A visit with an admission pass of another platform.
    ExternalVisit,
    /// A reward handed out.
    Redemption,
    /// Tickets sold.
    TicketSale,
    /// An earlier entry taken back.
    Void,
    /// A card that nothing can be done with: unknown, or not read.
    Unknown,
}

/// Which rule of the venue's policy an answer rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "rule")]
pub enum PolicyRule {
    /// The card is not known: taken provisionally.
    #[serde(rename_all = "camelCase")]
    UnknownCard {
        /// How many unknown cards this desk has taken today.
        taken_today: u32,
        /// How many it may, where that is bounded.
        most_a_day: Option<u32>,
    },
    /// Points were spent of an account that the hub has not confirmed for a while.
    #[serde(rename_all = "camelCase")]
    AccountAge {
        /// For how long, in milliseconds; nothing where it never did.
        age: Option<i64>,
        /// How many points may be spent of an account of that age, where that is bounded; nothing
        /// may where `points_allowed` is 0.
        points_allowed: Option<u32>,
    },
}

/// The answer to a tap, a redemption or a void: what the console shows large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// One of five.
    pub verdict: VerdictKind,
    /// Why, where the verdict is not a plain ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What was asked.
    pub kind: Kind,
    /// Recorded by chip number because the catalogue does not know the card; the hub settles it.
    #[serde(default)]
    pub provisional: bool,
    /// When, in milliseconds since the epoch.
    pub at: i64,
    /// The entry in the ledger, where one was written: durable before this answer left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryRef>,
    /// Points earned (positive) or spent (negative) by this entry; a void gives its target's back.
    pub points_change: i64,
    /// The pass as it stands after this, where the catalogue knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<PassView>,
    /// The title of the activity or reward in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// For `maximum-reached`: when the earlier check-in or visit was, if this desk knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_at: Option<i64>,
    /// Which rule of the venue's policy it rests on, where it rests on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRule>,
    /// How strong the proof is that the card is the one that it says it is, where one was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticity: Option<Authenticity>,
}

impl Answer {
    /// What a console shows where what was typed is no number of a card: nothing was recorded.
    pub fn not_a_card(at: i64) -> Self {
        Self {
            verdict: VerdictKind::Retry,
            reason: Some(Reason::InvalidUitpasNumber),
            ..Self::without_pass(Kind::Unknown, at)
        }
    }

    /// A plain ok about no pass that the catalogue knows; what differs is to be set.
    pub fn without_pass(kind: Kind, at: i64) -> Self {
        Self {
            verdict: VerdictKind::Ok,
            reason: None,
            kind,
            provisional: false,
            at,
            entry: None,
            points_change: 0,
            pass: None,
            title: None,
            earlier_at: None,
            policy: None,
            authenticity: None,
        }
    }
}

hidden_debug!(TapRequest, RedemptionRequest);
