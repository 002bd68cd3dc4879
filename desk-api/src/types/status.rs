//! How the desk is, and what it has done.

use crdt_model::ids::{DeviceId, VenueId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::passes::ActivityView;
use super::taps::Answer;

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
    /// The hub cannot store anything now, for its disk is full, read-only or fails. Nothing is lost: what is
    /// recorded waits here, and the desk tries again.
    CannotStore {
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
    Trouble(Trouble),
}

/// What can be the matter with a part of the desk. As text it is a sentence for operators; the console has
/// its own for volunteers, in their language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case", tag = "trouble")]
pub enum Trouble {
    /// The disk is full.
    #[error("the disk is full: nothing is recorded but what still fits, until there is room")]
    DiskFull,
    /// The user's share of the disk is used up.
    #[error(
        "this user's share of the disk is used up: nothing is recorded but what still fits, until there is room, or the quota is larger"
    )]
    DiskQuota,
    /// The disk is read-only.
    #[error(
        "the disk is mounted read-only, as systems do with a disk that fails: nothing can be recorded until it is mounted for writing"
    )]
    DiskReadOnly,
    /// The disk fails.
    #[error("the disk does not take what is written: nothing can be recorded")]
    DiskFails,
    /// Entries that the hub has acknowledged are not on this disk.
    #[error(
        "entries that the hub has are lacking on this disk; they come back from the hub. Tell an operator"
    )]
    LedgerLacking,
    /// The end of a ledger file was not whole, and is kept aside.
    #[error(
        "the end of a ledger file was not whole and is kept aside: the last tap before the desk stopped may be missing"
    )]
    LedgerEndCut,
    /// Single bits of a ledger file were wrong, and were put right.
    #[error(
        "{entries} damaged entries of a ledger were put right, and nothing is lost; the disk may be failing, tell an operator"
    )]
    #[serde(rename_all = "camelCase")]
    LedgerMended {
        /// In how many entries.
        entries: u64,
    },
    /// A part of a ledger file cannot be read.
    #[error(
        "a ledger file was damaged and is kept aside: {lost} entries cannot be read, {saved} that stood behind them were saved; tell an operator"
    )]
    #[serde(rename_all = "camelCase")]
    LedgerDamaged {
        /// Entries of this desk behind the damage that were saved.
        saved: u64,
        /// Entries of this desk that cannot be read. Before the hub has sent what it has, some may come back.
        lost: u64,
    },
    /// Ledger files were removed or changed while the desk ran, and were written again.
    #[error(
        "ledger files were removed or changed while the desk ran; {entries} entries were written again and nothing is lost; tell an operator"
    )]
    #[serde(rename_all = "camelCase")]
    LedgerWrittenAgain {
        /// Entries that are in them.
        entries: u64,
    },
    /// Two desks share one key.
    #[error("another desk wrote under this desk's name; tell an operator")]
    NameUsedTwice,
    /// This folder is older than what was done with it: a copy, or one that was put back.
    #[error(
        "this desk's folder is an older copy: {units} units of limited rewards were handed out that it does not know of. They are not handed out again; tell an operator"
    )]
    #[serde(rename_all = "camelCase")]
    FolderOlder {
        /// How many units.
        units: u64,
    },
    /// This computer does not know what this desk has handed out of limited rewards, and the hub was not heard yet.
    #[error(
        "this computer does not know what this desk has handed out of limited rewards: {units} more are handed out before the hub was heard"
    )]
    #[serde(rename_all = "camelCase")]
    UnitsLimited {
        /// How many units, by policy.
        units: u64,
    },
    /// The pass list was damaged. What proves itself whole is used until the hub has filled a new one.
    #[error(
        "the pass list was damaged ({detail}); {passes} of {of} passes can be looked up, and the rest comes from the hub; until then cards may be unknown"
    )]
    #[serde(rename_all = "camelCase")]
    PassListDamaged {
        /// What was the matter with it.
        detail: String,
        /// Passes that can be looked up, as far as they are counted.
        #[serde(default)]
        passes: u64,
        /// Passes that there were, as far as that is known.
        #[serde(default)]
        of: u64,
    },
    /// The pass list is one of an earlier version of the program, and is used until the hub has filled a new one.
    #[error(
        "the pass list with {passes} passes is of an earlier version of this program; it is used until the hub has sent a new one"
    )]
    #[serde(rename_all = "camelCase")]
    PassListOfEarlierVersion {
        /// Passes that can be looked up.
        passes: u64,
    },
    /// There is no pass list: the hub has sent none yet, or it was removed.
    #[error("there is no pass list on this disk: cards are unknown until the hub has sent it")]
    PassListLacking,
    /// The pass list cannot be opened now; that is tried again every few seconds.
    #[error("the pass list cannot be opened now ({detail}); until then cards are unknown")]
    #[serde(rename_all = "camelCase")]
    PassListClosed {
        /// Why.
        detail: String,
    },
    /// The clock is off by more than the policy tolerates.
    #[error("this computer's clock is {minutes} minutes {} the hub's; entries are dated by the hub's. Set it right", if *.ahead { "ahead of" } else { "behind" })]
    #[serde(rename_all = "camelCase")]
    ClockOff {
        /// By how many minutes.
        minutes: u64,
        /// Whether it is ahead of the hub's.
        ahead: bool,
    },
    /// The hub was restored from an older copy, and was sent again what it had lost.
    #[error("the hub was restored from an older copy; {entries} entries were sent again")]
    #[serde(rename_all = "camelCase")]
    HubRestored {
        /// How many entries it had lost.
        entries: u64,
    },
    /// A part of the daemon failed and was started again.
    #[error("a part of the daemon ({part}) failed and was started again; tell an operator")]
    #[serde(rename_all = "camelCase")]
    PartRestarted {
        /// Its name.
        part: String,
    },
    /// A part of the daemon fails again and again.
    #[error("a part of the daemon ({part}) fails again and again; tell an operator")]
    #[serde(rename_all = "camelCase")]
    PartFails {
        /// Its name.
        part: String,
    },
    /// The desk API's socket is gone and cannot be made again.
    #[error("no new console can reach the daemon: {detail}")]
    #[serde(rename_all = "camelCase")]
    SocketGone {
        /// What is the matter with it.
        detail: String,
    },
    /// The clock cannot be right: it is before what the desk knows, or more than a year after what the hub said last.
    #[error("this computer's clock is {} what this desk knows of the time, as after a flat battery; entries are dated on from what is known until the hub is reached. Set it right", if *.ahead { "more than a year after" } else { "before" })]
    #[serde(rename_all = "camelCase")]
    ClockImplausible {
        /// Whether it is ahead.
        ahead: bool,
    },
    /// The clock was set while the desk ran, and no hub has said since whether rightly.
    #[error("this computer's clock was put {} by {minutes} minutes while the desk ran, and no hub has said what time it is; entries are dated by it. See whether it is right", if *.ahead { "forward" } else { "back" })]
    #[serde(rename_all = "camelCase")]
    ClockJumped {
        /// By how many minutes.
        minutes: u64,
        /// Whether it was put forward.
        ahead: bool,
    },
    /// The hub's clock is off, and this computer's is not.
    #[error("the hub's clock is {minutes} minutes {} this computer's, and it is the hub's that is not believed; entries are dated by this computer's. Set the hub's clock right", if *.ahead { "ahead of" } else { "behind" })]
    #[serde(rename_all = "camelCase")]
    HubClockOff {
        /// By how many minutes.
        minutes: u64,
        /// Whether the hub's is ahead.
        ahead: bool,
    },
}

impl Trouble {
    /// Whether the desk records nothing for as long as it lasts.
    pub fn stops_recording(&self) -> bool {
        match self {
            Self::DiskFull | Self::DiskQuota | Self::DiskReadOnly | Self::DiskFails => true,
            Self::LedgerLacking
            | Self::LedgerEndCut
            | Self::LedgerMended { .. }
            | Self::LedgerDamaged { .. }
            | Self::LedgerWrittenAgain { .. }
            | Self::NameUsedTwice
            | Self::FolderOlder { .. }
            | Self::UnitsLimited { .. }
            | Self::PassListDamaged { .. }
            | Self::PassListOfEarlierVersion { .. }
            | Self::PassListLacking
            | Self::PassListClosed { .. }
            | Self::ClockOff { .. }
            | Self::ClockImplausible { .. }
            | Self::ClockJumped { .. }
            | Self::HubClockOff { .. }
            | Self::HubRestored { .. }
            | Self::PartRestarted { .. }
            | Self::PartFails { .. }
            | Self::SocketGone { .. } => false,
        }
    }
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
    /// Passes that can be looked up.
    pub passes: u64,
    /// Today's count of taps by this run of the daemon.
    pub today: TodayCount,
    /// The disk.
    pub disk: Health,
    /// The catalogue's store (sled).
    pub store: Health,
    /// This computer's clock, compared with the hub's and with what the desk knows.
    pub clock: Health,
    /// What is to be said beside these, the worst first.
    #[serde(default)]
    pub beside: Vec<Trouble>,
    /// What the desk adds to this computer's clock to get the time that it goes by, in milliseconds; 0 where it
    /// goes by that clock.
    #[serde(default)]
    pub clock_correction: i64,
    /// How long an entry can be taken back, in milliseconds, by policy.
    pub undo_window: i64,
    /// Software version.
    pub version: String,
}

impl Status {
    /// Whether the desk records what happens. Nobody is told to go on working at one that does not.
    pub fn records(&self) -> bool {
        match &self.disk {
            Health::Fine => true,
            Health::Trouble(trouble) => !trouble.stops_recording(),
        }
    }
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
