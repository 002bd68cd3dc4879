//! Taking the desks' entries: judged, kept, folded, and the touched passes' new versions, all in
//! one transaction. What is acknowledged after it is on the disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crdt_model::account::{Account, Outcome, Placed, fold};
use crdt_model::catalogue::{Activity, CatalogueLimits, Coupon, PassRecord, Reward};
use crdt_model::entry::{Entry, EntryRef, Fact, Subject, TariffKind};
use crdt_model::ids::{DeviceId, VenueId, Writer};
use crdt_model::ledger::{Extension, LedgerId, Position};
use crdt_model::time::{Calendar, UnixMillis, date_of_day_number, day_number};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool};
use sync_protocol::batch::{MAX_PACKED_BYTES, unpack};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::Batch;

use crate::catalogue;
use crate::clock::{self, ReceiptTime};
use crate::db::{HubError, Writing, from_sql, json_list, to_sql, wall_clock};
use crate::stock::{UnitUse, note_uses};

mod placed;

pub use placed::entries_of_pass;
pub(crate) use placed::{placed, select_entries};

/// The time zone in which limits count. The passes are those of Flanders, Brussels and the
/// Netherlands, which share it; an account must not depend on which venue's entries came last.
pub const TIME_ZONE: &str = "Europe/Brussels";

/// Rows that are written in one statement: enough that its cost is spread, few enough that all their
/// parameters are allowed (SQLite takes 32,766).
const ROWS_AT_ONCE: usize = 500;

/// A batch's entries at the most, unpacked: what the hub can pack again for the venue's other desks.
/// Our desks make none that is larger.
const MAX_PLAIN_BYTES: usize = MAX_PACKED_BYTES - 1024;

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

/// Reads the limits that these entries fall under.
///
/// # Errors
/// [`HubError`].
pub async fn limits_of(
    connection: &mut SqliteConnection,
    entries: impl IntoIterator<Item = &Placed>,
) -> Result<CatalogueLimits, HubError> {
    let (mut activities, mut rewards, mut coupons) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for placed in entries {
        match placed.entry.fact {
            Fact::CheckIn { activity, .. } => {
                activities.insert(activity.0);
            }
            Fact::TicketSale { activity, tariff, .. } => {
                activities.insert(activity.0);
                if let TariffKind::Coupon(coupon) = tariff {
                    coupons.insert(coupon.0);
                }
            }
            Fact::Redemption { reward, .. } => {
                rewards.insert(reward.0);
            }
            Fact::Visit | Fact::ExternalVisit | Fact::Void { .. } | Fact::Newer { .. } => {}
        }
    }
    let mut limits = CatalogueLimits::default();
    let select = "SELECT record FROM activity WHERE id IN (SELECT value FROM json_each(?))";
    limits.add_activities(&records::<Activity>(connection, select, &activities).await?);
    let select = "SELECT record FROM reward WHERE id IN (SELECT value FROM json_each(?))";
    limits.add_rewards(&records::<Reward>(connection, select, &rewards).await?);
    let select = "SELECT record FROM coupon WHERE id IN (SELECT value FROM json_each(?))";
    limits.add_coupons(&records::<Coupon>(connection, select, &coupons).await?);
    Ok(limits)
}

/// The records of these serial numbers.
async fn records<T: for<'b> minicbor::Decode<'b, ()>>(
    connection: &mut SqliteConnection,
    select: &'static str,
    ids: &BTreeSet<u32>,
) -> Result<Vec<T>, HubError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let asked = json_list(&ids.iter().collect::<Vec<_>>());
    let found: Vec<Vec<u8>> = sqlx::query_scalar(select).bind(asked).fetch_all(connection).await?;
    found.iter().map(|record| Ok(minicbor::decode(record)?)).collect()
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
    let mut turn = Writing::begin(pool).await?;
    let writing = &mut turn.transaction;
    // A device's status counts at every batch, whatever TLS said when the line was opened.
    if !is_enrolled(writing, carrier, venue).await? {
        return Ok(Taken::Revoked);
    }
    let known: Option<(Vec<u8>, Option<i64>)> = sqlx::query_as(
        "SELECT public_key, all_held_at FROM device
         WHERE id = ? AND venue = ? AND revoked_at IS NULL",
    )
    .bind(&writer.device.0[..])
    .bind(venue.as_str())
    .fetch_optional(&mut **writing)
    .await?;
    let Some(day) = date_of_day_number(batch.day) else {
        let reason = "its day is outside the calendar".to_owned();
        return set_apart(turn, venue, carrier, batch, reason).await;
    };
    let Some((_, all_held_at)) = known.filter(|(key, _)| *key == batch.public_key) else {
        let reason = "its writer is no enrolled desk of this venue".to_owned();
        return set_apart(turn, venue, carrier, batch, reason).await;
    };
    let held = position(writing, venue, batch.day, &writer).await?;
    let ledger = LedgerId { venue: venue.clone(), day };
    match judge(batch, &ledger, held) {
        Judgement::Held if holds_the_same(writing, venue, batch).await? => {
            Ok(Taken::Held { sequence: held.sequence, new: false })
        }
        Judgement::Held => {
            let reason =
                "the hub holds other entries at these places: two desks wrote under one key";
            set_apart(turn, venue, carrier, batch, reason.to_owned()).await
        }
        Judgement::Lacking { held } => Ok(Taken::Lacking { held }),
        Judgement::Quarantine(reason) => {
            set_apart(turn, venue, carrier, batch, reason.to_string()).await
        }
        Judgement::Merge(extension) => {
            let entries = received(batch);
            if entries.iter().map(|entry| entry.len() + 1).sum::<usize>() > MAX_PLAIN_BYTES {
                let reason = "the batch is larger than any that can be handed on".to_owned();
                return set_apart(turn, venue, carrier, batch, reason).await;
            }
            let came = Came {
                entries,
                time: clock::receipt_time(writing).await?,
                all_held_at: all_held_at.map(UnixMillis),
            };
            let touched = keep(writing, &ledger, batch, &extension, came).await?;
            fold_passes(writing, &touched).await?;
            turn.transaction.commit().await?;
            Ok(Taken::Held { sequence: extension.head().sequence, new: true })
        }
    }
}

/// The entries' bytes as they came, for a batch that was judged. They are kept so and not written
/// anew: a newer desk's fields are in them, and the seal is over all of them.
fn received(batch: &Batch) -> Vec<Vec<u8>> {
    unpack(&batch.entries).unwrap_or_default()
}

/// Whether what is held at the batch's places is what it brings. Without this look a desk whose
/// disk was copied would be told that the hub has what it has not.
async fn holds_the_same(
    connection: &mut SqliteConnection,
    venue: &VenueId,
    batch: &Batch,
) -> Result<bool, HubError> {
    let entries = received(batch);
    let first = to_sql(batch.first) - 1;
    let held: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT bytes FROM entry WHERE venue = ? AND day = ? AND writer = ?
         AND idx >= ? AND idx < ? ORDER BY idx",
    )
    .bind(venue.as_str())
    .bind(batch.day)
    .bind(&batch.writer.0[..])
    .bind(first)
    .bind(first + to_sql(entries.len() as u64))
    .fetch_all(connection)
    .await?;
    Ok(held == entries)
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
    mut turn: Writing,
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
    .execute(&mut *turn.transaction)
    .await?;
    turn.transaction.commit().await?;
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

/// Entries as they came, and when.
pub(crate) struct Came {
    /// The entries' bytes.
    pub(crate) entries: Vec<Vec<u8>>,
    /// The time of receipt.
    pub(crate) time: ReceiptTime,
    /// When the hub last held everything that their desk had written, by clocks that agreed.
    pub(crate) all_held_at: Option<UnixMillis>,
}

/// Keeps an extension's entries and says which passes they touch.
pub(crate) async fn keep(
    connection: &mut SqliteConnection,
    ledger: &LedgerId,
    batch: &Batch,
    extension: &Extension,
    came: Came,
) -> Result<BTreeSet<i64>, HubError> {
    let writer = extension.writer();
    let passes_of_chips = passes_of_chips(connection, extension.entries()).await?;
    let known = usize::try_from(extension.first_index() + 1 - batch.first).unwrap_or(usize::MAX);
    let mut touched = BTreeSet::new();
    let mut rows = Vec::with_capacity(extension.entries().len());
    let receipt = came.time.receipt(came.all_held_at);
    let places = (extension.first_index()..).zip(extension.entries());
    for ((index, entry), bytes) in places.zip(came.entries.into_iter().skip(known)) {
        let (pass, chip) = match entry.subject {
            Subject::Pass(pass) => (Some(to_sql(pass.0)), None),
            Subject::Chip(chip) => {
                let chip = chip.to_string();
                (passes_of_chips.get(&chip).copied(), Some(chip))
            }
            Subject::External(_) => (None, None),
        };
        touched.extend(pass);
        // The lower bound is kept where it disproves the entry's time; elsewhere it says nothing.
        let not_before = receipt
            .filter(|receipt| entry.at < receipt.at && receipt.disproves(entry.at))
            .and_then(|receipt| receipt.not_before);
        rows.push((to_sql(index), pass, chip, bytes, not_before));
    }
    while !rows.is_empty() {
        let some: Vec<_> = rows.drain(..rows.len().min(ROWS_AT_ONCE)).collect();
        let full = some.len() == ROWS_AT_ONCE || some.len() == 1;
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT OR IGNORE INTO entry
             (venue, day, writer, idx, pass, chip, bytes, received, not_before) ",
        );
        insert.push_values(some, |mut row, (index, pass, chip, bytes, not_before)| {
            row.push_bind(ledger.venue.to_string())
                .push_bind(batch.day)
                .push_bind(batch.writer.0.to_vec())
                .push_bind(index)
                .push_bind(pass)
                .push_bind(chip)
                .push_bind(bytes)
                .push_bind(receipt.map(|receipt| receipt.at.0))
                .push_bind(not_before.map(|at| at.0));
        });
        insert.build().persistent(full).execute(&mut *connection).await?;
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
        "INSERT INTO accepted (venue, day, writer, first, last, signature, received)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(ledger.venue.as_str())
    .bind(batch.day)
    .bind(&batch.writer.0[..])
    .bind(to_sql(extension.first_index() + 1))
    .bind(to_sql(head.sequence))
    .bind(&batch.seal.signature)
    .bind(came.time.at.0)
    .execute(connection)
    .await?;
    Ok(touched)
}

/// The passes of the cards that were written by their chip numbers, where they are known.
async fn passes_of_chips(
    connection: &mut SqliteConnection,
    entries: &[Entry],
) -> Result<HashMap<String, i64>, HubError> {
    let chips: BTreeSet<String> = entries
        .iter()
        .filter_map(|entry| match entry.subject {
            Subject::Chip(chip) => Some(chip.to_string()),
            Subject::Pass(_) | Subject::External(_) => None,
        })
        .collect();
    if chips.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT identification, pass FROM card
         WHERE identification IN (SELECT value FROM json_each(?))",
    )
    .bind(json_list(&chips.into_iter().collect::<Vec<_>>()))
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().collect())
}

/// Folds these passes again from all their entries, and gives them new versions.
pub(crate) async fn fold_passes(
    connection: &mut SqliteConnection,
    passes: &BTreeSet<i64>,
) -> Result<(), HubError> {
    let _span = tracing::debug_span!("fold", passes = passes.len());
    let calendar = calendar()?;
    let passes: Vec<i64> = passes.iter().copied().collect();
    for some in passes.chunks(ROWS_AT_ONCE) {
        fold_some(connection, some, &calendar).await?;
    }
    Ok(())
}

async fn fold_some(
    connection: &mut SqliteConnection,
    passes: &[i64],
    calendar: &Calendar,
) -> Result<(), HubError> {
    let asked = json_list(passes);
    let rows = sqlx::query(select_entries!("pass IN (SELECT value FROM json_each(?))"))
        .bind(&asked)
        .fetch_all(&mut *connection)
        .await?;
    let mut entries: BTreeMap<i64, Vec<Placed>> = BTreeMap::new();
    for row in &rows {
        entries.entry(row.get(5)).or_default().push(placed(row)?);
    }
    let limits = limits_of(connection, entries.values().flatten()).await?;
    // An entry of a pass that the hub does not know is kept; nothing is found for it here.
    let found = sqlx::query(
        "SELECT id, record, opening_points FROM pass
         WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
    )
    .bind(&asked)
    .fetch_all(&mut *connection)
    .await?;
    if found.is_empty() {
        return Ok(());
    }
    // New versions even where the account is the same: the desks learn that it is included.
    let version = catalogue::next_versions(connection, found.len()).await?;
    let mut folded = Vec::with_capacity(found.len());
    for (row, version) in found.iter().zip(version..) {
        let pass: i64 = row.get(0);
        let mut record: PassRecord = minicbor::decode(row.get(1))?;
        let opening = Account { earned: from_sql(row.get(2)), ..Account::default() };
        let of_it = entries.remove(&pass).unwrap_or_default();
        let units = units_of(&of_it);
        let result = fold(&opening, of_it, &limits.of(&record), calendar);
        if !units.is_empty() {
            note_units(connection, units, &result.outcomes).await?;
        }
        record.account = result.account;
        folded.push((pass, encoded(&record)?, version));
    }
    let full = folded.len() == ROWS_AT_ONCE || folded.len() == 1;
    let mut update = QueryBuilder::<Sqlite>::new("WITH folded (id, record, version) AS (");
    update.push_values(folded, |mut row, (pass, record, version)| {
        row.push_bind(pass).push_bind(record).push_bind(version);
    });
    update.push(
        ") UPDATE pass SET record = folded.record, version = folded.version
         FROM folded WHERE pass.id = folded.id",
    );
    update.build().persistent(full).execute(connection).await?;
    Ok(())
}

/// The redemptions that hand out units of a limited stock.
fn units_of(entries: &[Placed]) -> Vec<Placed> {
    let has_unit =
        |placed: &&Placed| matches!(placed.entry.fact, Fact::Redemption { unit: Some(_), .. });
    entries.iter().filter(has_unit).cloned().collect()
}

/// Notes which units were handed out, and which of that stands.
async fn note_units(
    connection: &mut SqliteConnection,
    redemptions: Vec<Placed>,
    outcomes: &[(EntryRef, Outcome)],
) -> Result<(), HubError> {
    // A copy of an entry that is here itself hands out nothing of its own.
    let taken_back: BTreeSet<EntryRef> = outcomes
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Outcome::TakenBack | Outcome::Nothing))
        .map(|(place, _)| *place)
        .collect();
    let uses = redemptions.into_iter().filter_map(|placed| {
        let Fact::Redemption { reward, unit: Some(unit), .. } = placed.entry.fact else {
            return None;
        };
        let EntryRef { day, writer, index } = placed.place;
        Some(UnitUse {
            venue: placed.venue.to_string(),
            day: day_number(day),
            writer: writer.to_bytes(),
            index: to_sql(index),
            reward,
            unit,
            stands: !taken_back.contains(&placed.place),
        })
    });
    note_uses(connection, uses.collect()).await
}

/// A record's bytes.
pub(crate) fn encoded<T: minicbor::Encode<()>>(record: &T) -> Result<Vec<u8>, HubError> {
    minicbor::to_vec(record).map_err(|error| HubError::Record(error.to_string()))
}

#[cfg(test)]
mod tests;
