//! Taking the desks' entries: judged, kept, folded, and the touched passes' new versions, all in
//! one transaction. What is acknowledged after it is on the disk.

use std::collections::{BTreeSet, HashMap};

use crdt_model::account::{Account, Limits, Placed, fold};
use crdt_model::catalogue::{Activity, PassRecord, Reward};
use crdt_model::entry::{Entry, EntryRef, Subject};
use crdt_model::ids::{ActivityId, DeviceId, RewardId, VenueId, Writer};
use crdt_model::ledger::{Extension, LedgerId, Position};
use crdt_model::limits::PeriodLimit;
use crdt_model::time::{Calendar, date_of_day_number};
use sqlx::{Row, SqliteConnection, SqlitePool};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::Batch;

use crate::catalogue;
use crate::db::{HubError, from_sql, to_sql, wall_clock};

/// The time zone in which limits count. The passes are those of Flanders, Brussels and the
/// Netherlands, which share it; an account must not depend on which venue's entries came last.
pub const TIME_ZONE: &str = "Europe/Brussels";

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The hub holds the list up to here, on the disk.
    Held {
        /// How many entries.
        sequence: u64,
        /// Whether anything was new.
        new: bool,
    },
    /// Something before it is lacking.
    Lacking {
        /// How many entries are held.
        held: u64,
    },
    /// Set apart, with its reason.
    Quarantined {
        /// Why.
        reason: String,
    },
    /// The device that carried it may add nothing any more.
    Revoked,
}

/// The limits of the hub's catalogue.
#[derive(Debug, Default)]
pub struct CatalogueLimits {
    checkins: HashMap<ActivityId, PeriodLimit>,
    redemptions: HashMap<RewardId, PeriodLimit>,
}

impl Limits for CatalogueLimits {
    fn checkin_limit(&self, activity: ActivityId) -> Option<PeriodLimit> {
        self.checkins.get(&activity).copied()
    }
    fn redeem_constraint(&self, reward: RewardId) -> Option<PeriodLimit> {
        self.redemptions.get(&reward).copied()
    }
}

/// Reads the limits of all activities and rewards.
///
/// # Errors
/// [`HubError`].
pub async fn limits(connection: &mut SqliteConnection) -> Result<CatalogueLimits, HubError> {
    let mut limits = CatalogueLimits::default();
    let activities: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT record FROM activity").fetch_all(&mut *connection).await?;
    for record in activities {
        let activity: Activity = minicbor::decode(&record)?;
        limits.checkins.extend(activity.checkin_limit.map(|limit| (activity.activity, limit)));
    }
    let rewards: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT record FROM reward").fetch_all(connection).await?;
    for record in rewards {
        let reward: Reward = minicbor::decode(&record)?;
        limits.redemptions.extend(reward.redeem_constraint.map(|limit| (reward.reward, limit)));
    }
    Ok(limits)
}

/// The calendar of the fold.
///
/// # Errors
/// [`HubError::Record`] where the bundled database lacks [`TIME_ZONE`].
pub fn calendar() -> Result<Calendar, HubError> {
    Calendar::of(TIME_ZONE).map_err(|error| HubError::Record(error.to_string()))
}

/// Takes a batch that the desk `carrier` sent.
///
/// # Errors
/// [`HubError`]; nothing is then kept.
pub async fn take(
    pool: &SqlitePool,
    venue: &VenueId,
    carrier: DeviceId,
    batch: &Batch,
) -> Result<Taken, HubError> {
    let writer = batch.writer.writer();
    let mut writing = pool.begin_with("BEGIN IMMEDIATE").await?;
    // A device's status counts at every batch, whatever TLS said when the line was opened.
    if !is_enrolled(&mut writing, carrier, venue).await? {
        return Ok(Taken::Revoked);
    }
    let known_key: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT public_key FROM device WHERE id = ? AND venue = ? AND revoked_at IS NULL",
    )
    .bind(&writer.device.0[..])
    .bind(venue.as_str())
    .fetch_optional(&mut *writing)
    .await?;
    let Some(day) = date_of_day_number(batch.day) else {
        let reason = "its day is outside the calendar".to_owned();
        return set_apart(writing, venue, carrier, batch, reason).await;
    };
    if known_key.as_deref() != Some(&batch.public_key) {
        let reason = "its writer is no enrolled desk of this venue".to_owned();
        return set_apart(writing, venue, carrier, batch, reason).await;
    }
    let held = position(&mut writing, venue, batch.day, &writer).await?;
    let ledger = LedgerId { venue: venue.clone(), day };
    match judge(batch, &ledger, held) {
        Judgement::Held => Ok(Taken::Held { sequence: held.sequence, new: false }),
        Judgement::Lacking { held } => Ok(Taken::Lacking { held }),
        Judgement::Quarantine(reason) => {
            set_apart(writing, venue, carrier, batch, reason.to_string()).await
        }
        Judgement::Merge(extension) => {
            let touched = keep(&mut writing, &ledger, batch, &extension).await?;
            fold_passes(&mut writing, &touched).await?;
            writing.commit().await?;
            Ok(Taken::Held { sequence: extension.head().sequence, new: true })
        }
    }
}

async fn is_enrolled(
    connection: &mut SqliteConnection,
    device: DeviceId,
    venue: &VenueId,
) -> Result<bool, HubError> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM device WHERE id = ? AND venue = ? AND revoked_at IS NULL",
    )
    .bind(&device.0[..])
    .bind(venue.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

async fn set_apart(
    mut writing: sqlx::Transaction<'_, sqlx::Sqlite>,
    venue: &VenueId,
    carrier: DeviceId,
    batch: &Batch,
    reason: String,
) -> Result<Taken, HubError> {
    sqlx::query(
        "INSERT OR IGNORE INTO quarantine
         (venue, day, writer, first, entries, signature, carried_by, reason, at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(venue.as_str())
    .bind(batch.day)
    .bind(&batch.writer.0[..])
    .bind(to_sql(batch.first))
    .bind(&batch.entries)
    .bind(&batch.seal.signature)
    .bind(&carrier.0[..])
    .bind(&reason)
    .bind(wall_clock().0)
    .execute(&mut *writing)
    .await?;
    writing.commit().await?;
    tracing::warn!(%venue, day = batch.day, writer = %batch.writer.writer(), reason, "entries set apart");
    Ok(Taken::Quarantined { reason })
}

/// How far a list has come here.
///
/// # Errors
/// [`HubError`].
pub async fn position(
    connection: &mut SqliteConnection,
    venue: &VenueId,
    day: i32,
    writer: &Writer,
) -> Result<Position, HubError> {
    let row =
        sqlx::query("SELECT sequence, head FROM list WHERE venue = ? AND day = ? AND writer = ?")
            .bind(venue.as_str())
            .bind(day)
            .bind(&writer.to_bytes()[..])
            .fetch_optional(connection)
            .await?;
    let Some(row) = row else { return Ok(Position::default()) };
    let head = row.get::<Vec<u8>, _>(1).try_into();
    Ok(Position {
        sequence: from_sql(row.get(0)),
        head: head.map_err(|_| HubError::Record("a list's head has another length".to_owned()))?,
    })
}

/// Keeps an extension's entries and says which passes they touch.
async fn keep(
    connection: &mut SqliteConnection,
    ledger: &LedgerId,
    batch: &Batch,
    extension: &Extension,
) -> Result<BTreeSet<i64>, HubError> {
    let writer = extension.writer();
    let mut touched = BTreeSet::new();
    for (index, entry) in (extension.first_index()..).zip(extension.entries()) {
        let (pass, chip) = match entry.subject {
            Subject::Pass(pass) => (Some(to_sql(pass.0)), None),
            Subject::Chip(chip) => {
                let chip = chip.to_string();
                let pass = sqlx::query_scalar("SELECT pass FROM card WHERE identification = ?")
                    .bind(&chip)
                    .fetch_optional(&mut *connection)
                    .await?;
                (pass, Some(chip))
            }
        };
        touched.extend(pass);
        sqlx::query(
            "INSERT OR IGNORE INTO entry (venue, day, writer, idx, pass, chip, bytes)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(ledger.venue.as_str())
        .bind(batch.day)
        .bind(&batch.writer.0[..])
        .bind(to_sql(index))
        .bind(pass)
        .bind(chip)
        .bind(entry.encode(ledger.day, &writer))
        .execute(&mut *connection)
        .await?;
    }
    let head = extension.head();
    sqlx::query(
        "INSERT OR REPLACE INTO list (venue, day, writer, device, sequence, head)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(ledger.venue.as_str())
    .bind(batch.day)
    .bind(&batch.writer.0[..])
    .bind(&writer.device.0[..])
    .bind(to_sql(head.sequence))
    .bind(&head.head[..])
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO accepted (venue, day, writer, first, last, signature) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(ledger.venue.as_str())
    .bind(batch.day)
    .bind(&batch.writer.0[..])
    .bind(to_sql(extension.first_index() + 1))
    .bind(to_sql(head.sequence))
    .bind(&batch.seal.signature)
    .execute(connection)
    .await?;
    Ok(touched)
}

/// Folds these passes again from all their entries, and gives those that changed a new version.
pub(crate) async fn fold_passes(
    connection: &mut SqliteConnection,
    passes: &BTreeSet<i64>,
) -> Result<(), HubError> {
    let _span = tracing::debug_span!("fold", passes = passes.len());
    let (limits, calendar) = (limits(connection).await?, calendar()?);
    for pass in passes {
        let found = sqlx::query("SELECT record, opening_points FROM pass WHERE id = ?")
            .bind(pass)
            .fetch_optional(&mut *connection)
            .await?;
        // An entry of a pass that the hub does not know is kept; it is folded when the pass comes.
        let Some(row) = found else { continue };
        let mut record: PassRecord = minicbor::decode(row.get(0))?;
        let opening = Account { earned: from_sql(row.get(1)), ..Account::default() };
        let entries = entries_of_pass(connection, *pass).await?;
        record.account = fold(&opening, entries, &limits, &calendar).account;
        // A new version even where the account is the same: the desks learn that it is included.
        let version = catalogue::next_version(connection).await?;
        sqlx::query("UPDATE pass SET record = ?, version = ? WHERE id = ?")
            .bind(encoded(&record)?)
            .bind(version)
            .bind(pass)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// All entries of a pass, from every venue.
///
/// # Errors
/// [`HubError`].
pub async fn entries_of_pass(
    connection: &mut SqliteConnection,
    pass: i64,
) -> Result<Vec<Placed>, HubError> {
    let rows = sqlx::query("SELECT venue, day, writer, idx, bytes, pass FROM entry WHERE pass = ?")
        .bind(pass)
        .fetch_all(connection)
        .await?;
    rows.iter().map(placed).collect()
}

/// A row of `entry` (venue, day, writer, idx, bytes, pass) as an entry in its place. An entry that
/// was written under a chip number is one of the pass that the hub knows it to be.
pub(crate) fn placed(row: &sqlx::sqlite::SqliteRow) -> Result<Placed, HubError> {
    let wrong = |what: &str| HubError::Record(format!("an entry's {what} cannot be read"));
    let day = date_of_day_number(row.get(1)).ok_or_else(|| wrong("day"))?;
    let writer = Writer::from_bytes(row.get(2)).map_err(|_| wrong("writer"))?;
    let venue = row.get::<&str, _>(0).parse().map_err(|_| wrong("venue"))?;
    let mut entry = Entry::decode(row.get(4), day, &writer)
        .map_err(|error| HubError::Record(error.to_string()))?;
    if let Some(pass) = row.get::<Option<i64>, _>(5) {
        entry.subject = Subject::Pass(crdt_model::ids::PassId(from_sql(pass)));
    }
    let place = EntryRef { day, writer, index: from_sql(row.get(3)) };
    Ok(Placed { venue, place, entry, included: false })
}

/// A record's bytes.
pub(crate) fn encoded<T: minicbor::Encode<()>>(record: &T) -> Result<Vec<u8>, HubError> {
    minicbor::to_vec(record).map_err(|error| HubError::Record(error.to_string()))
}

#[cfg(test)]
mod tests;
