//! What the desk API says, as types: JSON in camelCase with the contracts' words. The server and
//! the client share this file; nothing here knows how the bytes travel.
//!
//! Times are milliseconds since the Unix epoch; points are whole points.

use crdt_model::authenticity::Authenticity;
use crdt_model::decide::{Reason, VerdictKind};
use crdt_model::ids::{CardSystemId, ChipNumber, DeviceId, PassId, UitpasNumber, VenueId};
use crdt_model::ledger::EntryRef;
use crdt_model::money::Cents;
use hardware::authentic::check::Finding;
use hardware::card::{Answered, Broken, Command, Speaks};
use serde::{Deserialize, Serialize};
use sync_protocol::request::RequestKind;

/// Body of `POST /v1/taps`: one card on the reader, or a number typed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TapRequest {
    /// A chip number, a UiTPAS number, a museumPASS number or an external card, as read or typed.
    pub pass: String,
    /// What an activity's QR code says: the check-in is to that one instead of the desk's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkin_code: Option<String>,
    /// The check that was made of the card ([`CardCheckView::check`]), where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// Body of `POST /v1/redemptions`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedemptionRequest {
    /// As in [`TapRequest`].
    pub pass: String,
    /// The contract's id of the reward.
    pub reward_id: String,
    /// As in [`TapRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// Body of `POST /v1/card-checks`: a card was put on a reader. The daemon holds the keys and says what to
/// ask the card; whoever has the reader carries question and answer.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardCheckRequest {
    /// The card's chip.
    pub chip_number: ChipNumber,
    /// How it talks; nothing where it can be asked for nothing but its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaks: Option<Speaks>,
    /// It is not checked but made: only where the hub allows this desk to.
    #[serde(default)]
    pub make: bool,
    /// It is made although a pass has its chip number already: whoever asks knows the card.
    #[serde(default)]
    pub again: bool,
}

/// Body of `POST /v1/card-checks/{check}/answers`: what the card said, or why it said nothing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardAnswer {
    /// Its answer, in upper-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// Answer of both: what to ask the card next, or what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardCheckView {
    /// Its name, to be given with the tap.
    pub check: String,
    /// What to ask the card next; nothing where it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Command>,
    /// How strong the proof is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticity: Option<Authenticity>,
    /// What the card showed of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// The same as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Why the card was not made, where one was to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Body of `POST /v1/ticket-sales`: tickets for one pass, all at one tariff.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SaleRequest {
    /// As in [`TapRequest`].
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
    /// As in [`TapRequest`]: a forged card buys nothing. No ticket needs a proof, for a rule about tariffs
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

/// Body of `POST /v1/requests`: what is asked of the hub about somebody's card. It is sealed at once;
/// the desk cannot read it again.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", tag = "type")]
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
        /// The card, as in [`TapRequest`].
        pass: String,
    },
    /// A pass gets a new card.
    #[serde(rename_all = "camelCase")]
    Replace {
        /// The old card, as in [`TapRequest`].
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

/// Numbers and keys do not go to logs: these show what they are and nothing of what they hold.
macro_rules! hidden_debug {
    ($($type:ident),*) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        })*
    };
}

hidden_debug!(
    CardCheckRequest,
    CardAnswer,
    TapRequest,
    RedemptionRequest,
    SaleRequest,
    RequestBody,
    SealedView
);

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
    /// Requests on this disk that the hub has not answered.
    pub requests_waiting: u64,
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
