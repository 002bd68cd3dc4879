//! The hub's own clock: which time a receipt has, and when the clock is not to be believed.
//!
//! A hub has no better clock to ask, but it has witnesses: the newest receipt in its database, which was
//! before now, and the desks, each of which says what its clock shows. Where the witnesses say that the
//! hub's clock is wrong, operators are told, desks are not to take the hub's time over ([`doubt`]), and
//! receipts are dated by the witnesses, or not at all.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crdt_model::ids::DeviceId;
use crdt_model::receipt::{RECEIPT_TOLERANCE, Receipt};
use crdt_model::time::UnixMillis;
use serde::Serialize;
use sqlx::{SqliteConnection, SqlitePool};

use crate::db::{HubError, wall_clock, write};

/// A desk's clock that was heard longer ago than this says nothing of the hub's clock now: an hour.
const HEARD_WITHIN: i64 = 60 * 60 * 1000;

/// Desks whose clocks are compared: the 64 that were heard last. A majority of more would say the same,
/// and every batch that the hub takes asks for it.
const MOST_WITNESSES: i64 = 64;

/// Fewer desks than this prove nothing: two may have the same wrong clock.
const FEWEST_WITNESSES: usize = 3;

/// How often the running hub looks whether its clock is in doubt, to tell operators.
const LOOK_EACH: Duration = Duration::from_secs(10);

/// The version of `accepted` up to which an operator said that receipts are not to be compared with.
const TRUSTED_FROM: &str = "clock_trusted_from";

/// Why the hub's clock is in doubt. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "why")]
pub enum Doubt {
    /// It shows an earlier time than the newest receipt in the database.
    BeforeNewestReceipt {
        /// By how much.
        behind: i64,
    },
    /// The desks agree with each other, and not with it.
    DesksDisagree {
        /// How far the desks' clocks are ahead of the hub's; negative where they are behind.
        desks_ahead: i64,
        /// How many desks agree.
        desks: usize,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeNewestReceipt { behind } => write!(
                f,
                "the clock shows {} less than when the hub last received entries",
                Span(*behind)
            ),
            Self::DesksDisagree { desks_ahead, desks } => write!(
                f,
                "{desks} desks agree that it is {} {} than this computer's clock shows",
                Span(*desks_ahead),
                if *desks_ahead > 0 { "later" } else { "earlier" }
            ),
        }
    }
}

/// A span of time as people say it. Its sign is left out.
#[derive(Debug, Clone, Copy)]
pub struct Span(pub i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // To the nearest: what is three hours is not said to be two.
        let seconds = self.0.unsigned_abs().saturating_add(500) / 1000;
        match seconds {
            0..120 => write!(f, "{seconds} s"),
            120..7_200 => write!(f, "{} min", (seconds + 30) / 60),
            7_200..172_800 => write!(f, "{} h", (seconds + 1_800) / 3_600),
            _ => write!(f, "{} days", (seconds + 43_200) / 86_400),
        }
    }
}

/// What the hub's clock shows, and what its witnesses say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Witnesses {
    now: UnixMillis,
    /// The newest receipt, where there is one that an operator has not set aside.
    newest: Option<UnixMillis>,
    /// The desks' clocks less the hub's, of those that were heard of late.
    offsets: Vec<i64>,
}

impl Witnesses {
    /// What most of the desks agree on: their offset, and how many they are. The hub's own clock has a
    /// voice like a desk's, so three desks must all agree, and three of four.
    fn agreed(&self) -> Option<(i64, usize)> {
        if self.offsets.len() < FEWEST_WITNESSES {
            return None;
        }
        let mut offsets = self.offsets.clone();
        offsets.sort_unstable();
        let from = |first: usize| {
            let many = offsets[first..]
                .iter()
                .take_while(|offset| offset.saturating_sub(offsets[first]) <= RECEIPT_TOLERANCE)
                .count();
            (many, first)
        };
        let (many, first) = (0..offsets.len()).map(from).max_by_key(|(many, _)| *many)?;
        let voices = offsets.len() + 1;
        (many * 2 > voices).then(|| (offsets[first + many / 2], many))
    }

    fn doubt(&self) -> Option<Doubt> {
        if let Some((desks_ahead, desks)) = self.agreed() {
            // Most desks confirm this clock, or they say how wrong it is: receipts say no more.
            let wrong = desks_ahead.saturating_abs() > RECEIPT_TOLERANCE;
            return wrong.then_some(Doubt::DesksDisagree { desks_ahead, desks });
        }
        let behind = self.newest?.since(self.now);
        (behind > RECEIPT_TOLERANCE).then_some(Doubt::BeforeNewestReceipt { behind })
    }

    /// The time of what is received now.
    fn receipt(&self) -> ReceiptTime {
        let agreed = self.agreed().map(|(ahead, _)| ahead);
        match (self.doubt(), agreed) {
            // The desks confirm the clock. Receipts of a time when it was ahead do not bind it.
            (None, Some(_)) => ReceiptTime { at: self.now, sure: true },
            (None, None) => ReceiptTime { at: self.not_before_newest(self.now), sure: true },
            // Nobody tells the time: it is later than the newest receipt, and nothing else is known.
            (Some(Doubt::BeforeNewestReceipt { .. }), _) => {
                ReceiptTime { at: self.not_before_newest(self.now), sure: false }
            }
            // The desks' word may make a receipt later, never earlier: desks that lie together could
            // otherwise move everybody's entries to another day. A later receipt moves none.
            (Some(Doubt::DesksDisagree { desks_ahead, .. }), _) => ReceiptTime {
                at: self.not_before_newest(self.now.plus(desks_ahead.max(0))),
                sure: true,
            },
        }
    }

    fn not_before_newest(&self, at: UnixMillis) -> UnixMillis {
        self.newest.map_or(at, |newest| newest.max(at))
    }
}

/// The time of a receipt. It never goes backwards, unless most desks or an operator confirm a clock that
/// was put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceiptTime {
    /// When.
    pub(crate) at: UnixMillis,
    /// Whether it is later than whatever desks with right clocks have written. Otherwise it is a lower
    /// bound, and disproves no entry's time.
    pub(crate) sure: bool,
}

impl ReceiptTime {
    /// The receipt of an entry of a desk of which the hub held all at `all_held_at`.
    pub(crate) fn receipt(self, all_held_at: Option<UnixMillis>) -> Option<Receipt> {
        // A moment that is not before the receipt was dated by a clock that was wrong.
        let not_before = all_held_at.filter(|at| *at <= self.at);
        self.sure.then_some(Receipt { at: self.at, not_before })
    }
}

async fn witnesses(
    connection: &mut SqliteConnection,
    now: UnixMillis,
) -> Result<Witnesses, HubError> {
    let newest: Option<i64> = sqlx::query_scalar(
        "SELECT received FROM accepted WHERE version > COALESCE(
             (SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM meta WHERE name = ?), 0)
         ORDER BY version DESC LIMIT 1",
    )
    .bind(TRUSTED_FROM)
    .fetch_optional(&mut *connection)
    .await?
    .flatten();
    let offsets = sqlx::query_scalar(
        "SELECT clock_offset FROM device
         WHERE clock_heard_at BETWEEN ? AND ? AND clock_offset IS NOT NULL AND revoked_at IS NULL
         ORDER BY clock_heard_at DESC LIMIT ?",
    )
    .bind(now.0.saturating_sub(HEARD_WITHIN))
    .bind(now.0.saturating_add(RECEIPT_TOLERANCE))
    .bind(MOST_WITNESSES)
    .fetch_all(connection)
    .await?;
    Ok(Witnesses { now, newest: newest.map(UnixMillis), offsets })
}

/// The time of what is received now, in the transaction that keeps it.
pub(crate) async fn receipt_time(
    connection: &mut SqliteConnection,
) -> Result<ReceiptTime, HubError> {
    Ok(witnesses(connection, wall_clock()).await?.receipt())
}

/// Whether the hub's own clock is in doubt, and why. Desks must then not take its time over.
///
/// # Errors
/// [`HubError`].
pub async fn doubt(pool: &SqlitePool) -> Result<Option<Doubt>, HubError> {
    let mut connection = pool.acquire().await?;
    Ok(witnesses(&mut connection, wall_clock()).await?.doubt())
}

/// Stores what a desk's clock showed at its hello. Only a hello says whether anything waits at the desk; beats move
/// the offset alone.
///
/// `holds_all` says whether the hub holds everything that the desk has written. Where it does, and both
/// clocks agree, whatever it sends later was written later.
///
/// # Errors
/// [`HubError`].
pub async fn note_desk_clock(
    pool: &SqlitePool,
    device: DeviceId,
    desk_clock: UnixMillis,
    holds_all: bool,
) -> Result<(), HubError> {
    let now = wall_clock();
    let offset = desk_clock.since(now);
    let agree = offset.saturating_abs() <= RECEIPT_TOLERANCE;
    let held = holds_all && agree && doubt(pool).await?.is_none();
    let update = sqlx::query(
        "UPDATE device SET last_contact = ?1, clock_heard_at = ?1, clock_offset = ?2,
             all_held_at = CASE WHEN ?3 THEN ?1 ELSE all_held_at END
         WHERE id = ?4",
    )
    .bind(now.0)
    .bind(offset)
    .bind(held)
    .bind(device.0.to_vec());
    write(pool, update).await
}

/// An operator says that the hub's clock is right now: receipts from before, of a time when it was ahead,
/// do not count as witnesses any more.
///
/// # Errors
/// [`HubError`].
pub async fn trust(pool: &SqlitePool) -> Result<(), HubError> {
    let version: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM accepted")
        .fetch_one(pool)
        .await?;
    let statement = sqlx::query("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)")
        .bind(TRUSTED_FROM)
        .bind(version.to_string().into_bytes());
    write(pool, statement).await
}

/// What operators are told of the hub's clock.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockReport {
    /// What it shows, in milliseconds since the epoch.
    pub now: i64,
    /// The newest receipt in the database.
    pub newest_receipt: Option<i64>,
    /// How many desks said within the last hour what their clocks show.
    pub desks_heard: usize,
    /// Why the clock is in doubt, where it is.
    pub doubt: Option<Doubt>,
}

/// What operators are told of the hub's clock.
///
/// # Errors
/// [`HubError`].
pub async fn report(pool: &SqlitePool) -> Result<ClockReport, HubError> {
    let mut connection = pool.acquire().await?;
    let found = witnesses(&mut connection, wall_clock()).await?;
    Ok(ClockReport {
        now: found.now.0,
        newest_receipt: found.newest.map(|at| at.0),
        desks_heard: found.offsets.len(),
        doubt: found.doubt(),
    })
}

/// A desk's clock less the hub's, as operators read it in a list.
pub fn offset_said(offset: Option<i64>) -> String {
    match offset {
        None => "unknown".to_owned(),
        Some(offset) if offset.saturating_abs() <= RECEIPT_TOLERANCE => "fine".to_owned(),
        Some(offset) if offset > 0 => format!("{} ahead", Span(offset)),
        Some(offset) => format!("{} behind", Span(offset)),
    }
}

/// What to do about it, for operators.
pub const NEXT_STEP: &str = "Set this computer's clock right (timedatectl set-ntp true). If it is right and was ahead before, say so: stempel-hub clock trust";

/// The kind of doubt that was last logged in this process.
static LOGGED: Mutex<Option<std::mem::Discriminant<Doubt>>> = Mutex::new(None);

/// Logs a change of the doubt, once for each change.
fn log_change(doubt: Option<Doubt>) {
    let kind = doubt.as_ref().map(std::mem::discriminant);
    let mut logged = LOGGED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if *logged == kind {
        return;
    }
    *logged = kind;
    if let Some(doubt) = doubt {
        tracing::error!(%doubt, "the hub's clock is in doubt. {NEXT_STEP}");
    } else {
        tracing::info!("the hub's clock is no longer in doubt");
    }
}

/// Looks at the hub's clock from time to time, for as long as the hub runs, and logs when it comes into
/// doubt and when the doubt ends.
pub(crate) async fn watch(pool: &SqlitePool, doubtful: &AtomicBool) {
    loop {
        match doubt(pool).await {
            Ok(doubt) => {
                doubtful.store(doubt.is_some(), Ordering::Relaxed);
                log_change(doubt);
            }
            Err(error) => tracing::warn!(%error, "the database could not be asked for the clocks"),
        }
        tokio::time::sleep(LOOK_EACH).await;
    }
}

#[cfg(test)]
mod tests;
