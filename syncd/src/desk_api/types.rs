//! What the desk API says, as types: JSON in camelCase with the contracts' words. The server and
//! the client share this file; nothing here knows how the bytes travel.
//!
//! Times are milliseconds since the Unix epoch; points are whole points.

use crdt_model::decide::{Reason, VerdictKind};
use crdt_model::ids::{DeviceId, PassId, VenueId};
use crdt_model::ledger::EntryRef;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/taps`: one card on the reader, or a number typed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TapRequest {
    /// A chip number, a UiTPAS number or a museumPASS number, as read or typed.
    pub pass: String,
}

/// Body of `POST /v1/redemptions`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedemptionRequest {
    /// As in [`TapRequest`].
    pub pass: String,
    /// The contract's id of the reward.
    pub reward_id: String,
}

/// Body of `POST /v1/voids`: what to take back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VoidRequest {
    /// The entry, as [`Answer::entry`] named it; without it, the last one of this desk.
    #[serde(default)]
    pub entry: Option<EntryRef>,
}

/// Body of `PUT /v1/desk/activity`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityRequest {
    /// The contract's `eventId`.
    pub event_id: String,
}

/// What an answer or a row of the history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A UiTPAS check-in at the desk's activity.
    CheckIn,
    /// A museum visit with a museumPASSmusées.
    Visit,
    /// A reward handed out.
    Redemption,
    /// An earlier entry taken back.
    Void,
    /// A card that nothing can be done with: unknown, or not read.
    Unknown,
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
}

impl Answer {
    /// What a console shows where what was typed is no number of a card: nothing was recorded.
    pub fn not_a_card(at: i64) -> Self {
        Self {
            verdict: VerdictKind::Retry,
            reason: Some(Reason::InvalidUitpasNumber),
            kind: Kind::Unknown,
            provisional: false,
            at,
            entry: None,
            points_change: 0,
            pass: None,
            title: None,
            earlier_at: None,
        }
    }
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
}

/// What the hub made of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum HubState {
    /// On this disk, not yet acknowledged.
    Waiting,
    /// Acknowledged: the hub's commit holds it.
    Accepted,
    /// The hub set it apart, with its reason.
    Quarantined {
        /// The hub's reason.
        reason: String,
    },
    /// Nothing was written, so there is nothing to send.
    NotSent,
}

/// What an entry counts for in the merged ledger, as far as this desk knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It counts.
    Counted,
    /// Another desk's entry reached the limit first: it earns nothing.
    OverLimit,
    /// It was taken back.
    TakenBack,
    /// A redemption beyond the balance: it stands and left a debt.
    LeftDebt,
    /// Nothing was counted in the first place.
    NotCounted,
}

/// One row of the last taps. A row that changes is sent again under the same `id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRow {
    /// Counts up from 1 within one run of the daemon.
    pub id: u64,
    /// What the desk said.
    #[serde(flatten)]
    pub answer: Answer,
    /// What the hub made of it.
    pub hub: HubState,
    /// What it counts for after merging.
    pub outcome: Outcome,
}

/// How the link to the hub stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum HubLink {
    /// Connected; both sides push at once.
    Connected,
    /// Not connected; the desk goes on, and tries again.
    Offline {
        /// One sentence: what is the matter.
        why: String,
    },
    /// The hub answers with another key than the one pinned at enrolment, or refuses this desk.
    /// An operator must look: nothing is sent.
    Refused {
        /// One sentence: what is the matter.
        why: String,
    },
}

/// Whether a part of the desk is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Health {
    /// All is well.
    Fine,
    /// Something is the matter; the desk says what and goes on as far as it safely can.
    Trouble {
        /// One sentence: what is the matter and what it means.
        why: String,
    },
}

/// Answer of `GET /v1/status`, and the `status` event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The venue's id.
    pub venue: VenueId,
    /// The venue's name, for people.
    pub venue_name: String,
    /// This desk's device id.
    pub device: DeviceId,
    /// The desk's name, for people.
    pub desk_name: String,
    /// The desk's activity, where one is chosen.
    pub activity: Option<ActivityView>,
    /// The link to the hub.
    pub hub: HubLink,
    /// Since when the link has been so, in milliseconds since the epoch.
    pub hub_since: i64,
    /// Entries on this disk without the hub's acknowledgement.
    pub pending: u64,
    /// The version of the catalogue on this disk; 0 before the first page.
    pub catalogue_version: u64,
    /// When the hub last confirmed that the catalogue is up to date, where it ever did.
    pub catalogue_at: Option<i64>,
    /// Passes in the catalogue.
    pub passes: u64,
    /// Today's count of taps by this run of the daemon.
    pub today: TodayCount,
    /// The disk.
    pub disk: Health,
    /// The catalogue's store (sled).
    pub store: Health,
    /// The clock, compared with the hub's.
    pub clock: Health,
    /// How long an entry can be taken back, in milliseconds, by policy.
    pub undo_window: i64,
    /// Software version.
    pub version: String,
}

/// How many taps today, by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TodayCount {
    /// All taps.
    pub taps: u64,
    /// Those answered with ok.
    pub ok: u64,
}

/// One event of `GET /v1/events`: the SSE `event:` field is the tag, `data:` the JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "data")]
pub enum Event {
    /// A new row, or one that changed.
    Row(Box<HistoryRow>),
    /// The status changed. Also the first event of a stream.
    Status(Box<Status>),
    /// The reader of this stream was too slow and missed events: read `GET /v1/taps` again.
    Missed,
}

/// An error as RFC 9457 problem+json. `kind` is the last part of `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// A URI that names the kind of problem, such as `https://stempel.example/probs/disk-full`
    /// or the contract's `https://api.publiq.be/probs/uitpas/invalid-uitpas-number`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, what it means and what to do.
    pub detail: String,
}
