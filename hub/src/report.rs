//! What operators ask for: a pass, a ledger, the totals. For eyes and for scripts (`--json`).

use std::collections::HashMap;

use crdt_model::account::{Account, Outcome, fold};
use crdt_model::catalogue::{CardName, PassRecord};
use crdt_model::entry::{EntryRef, Fact, Subject};
use crdt_model::ids::{DeviceId, Identification, PassId, VenueId};
use crdt_model::time::day_number;
use serde::Serialize;
use sqlx::{Row, SqliteConnection, SqlitePool};

use crate::db::{HubError, from_sql, lookup_key};
use crate::ledgers::{calendar, entries_of_pass, limits_of, placed, select_entries};
use crate::registry;

/// A pass, as the hub has it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PassReport {
    /// Its serial number.
    pub pass_id: PassId,
    /// The platform.
    pub programme: crdt_model::catalogue::Programme,
    /// The state of the card that was asked for.
    pub card_status: crdt_model::catalogue::CardStatus,
    /// How its holder stands.
    pub holder_status: crdt_model::catalogue::HolderStatus,
    /// Points that can be spent.
    pub points: u64,
    /// Points overspent.
    pub debt: u64,
    /// Visits counted.
    pub visits: u64,
    /// Entries in all ledgers.
    pub entries: u64,
    /// Entries that earn nothing because the limit was reached before.
    pub over_limit: u64,
}

/// The pass that carries this number or chip.
///
/// # Errors
/// [`HubError::NoSuch`].
pub async fn pass(pool: &SqlitePool, card: &Identification) -> Result<PassReport, HubError> {
    let lookup = lookup_key(pool).await?;
    let mut reading = pool.begin().await?;
    let row = sqlx::query(
        "SELECT p.id, p.record, p.opening_points FROM pass p JOIN card c ON c.pass = p.id
         WHERE c.identification = ?",
    )
    .bind(card.to_string())
    .fetch_optional(&mut *reading)
    .await?;
    let Some(row) = row else {
        return Err(HubError::NoSuch { what: "pass", name: "that".to_owned() });
    };
    let record: PassRecord = minicbor::decode(row.get(1))?;
    let opening = Account { earned: from_sql(row.get(2)), ..Account::default() };
    let entries = entries_of_pass(&mut reading, row.get(0)).await?;
    let count = entries.len() as u64;
    let limits = limits_of(&mut reading, &entries).await?;
    let folded = fold(&opening, entries, &limits.of(&record), &calendar()?);
    let over = folded.outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::OverLimit).count();
    Ok(PassReport {
        pass_id: record.pass,
        programme: record.programme,
        card_status: record.card_status(&CardName(lookup.card_key(card))),
        holder_status: record.holder,
        points: record.account.points(),
        debt: record.account.debt(),
        visits: record.account.visits,
        entries: count,
        over_limit: over as u64,
    })
}

/// One entry of a ledger, as operators see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryReport {
    /// Its place.
    pub entry: EntryRef,
    /// The name of the desk that wrote it.
    pub desk: String,
    /// When, by the desk's clock, in milliseconds since the epoch.
    pub at: i64,
    /// The time at which it counts: `at`, unless its receipt disproves that.
    pub counts_at: i64,
    /// When the hub received it, where it knew the time.
    pub received: Option<i64>,
    /// What: check-in, visit, external-visit, redemption, ticket-sale, void, newer.
    pub kind: &'static str,
    /// About which pass, where it is known.
    pub pass: Option<PassId>,
    /// Points earned or spent.
    pub points: i64,
}

/// A venue's day, in the order of the fold.
///
/// # Errors
/// [`HubError`].
pub async fn ledger(
    pool: &SqlitePool,
    venue: &VenueId,
    day: jiff::civil::Date,
) -> Result<Vec<EntryReport>, HubError> {
    let desks: HashMap<DeviceId, String> =
        registry::devices(pool).await?.into_iter().map(|d| (d.device, d.name)).collect();
    let rows = sqlx::query(select_entries!("venue = ? AND day = ?"))
        .bind(venue.as_str())
        .bind(day_number(day))
        .fetch_all(pool)
        .await?;
    let mut report = Vec::with_capacity(rows.len());
    for row in &rows {
        let placed = placed(row)?;
        let (kind, points) = match placed.entry.fact {
            Fact::CheckIn { points, .. } => ("check-in", i64::from(points)),
            Fact::Visit => ("visit", 0),
            Fact::ExternalVisit => ("external-visit", 0),
            Fact::TicketSale { .. } => ("ticket-sale", 0),
            Fact::Redemption { points, .. } => ("redemption", -i64::from(points)),
            Fact::Void { .. } => ("void", 0),
            Fact::Newer { .. } => ("newer", 0),
        };
        report.push(EntryReport {
            entry: placed.place,
            desk: desks.get(&placed.place.writer.device).cloned().unwrap_or_default(),
            at: placed.entry.at.0,
            counts_at: placed.counts_at().0,
            received: placed.receipt.map(|receipt| receipt.at.0),
            kind,
            pass: match placed.entry.subject {
                Subject::Pass(pass) => Some(pass),
                Subject::Chip(_) | Subject::External(_) => None,
            },
            points,
        });
    }
    report.sort_by_key(|entry| (entry.counts_at, entry.at, entry.entry));
    Ok(report)
}

/// The hub's totals.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Entries in all ledgers.
    pub entries: u64,
    /// Batches set apart.
    pub quarantined: u64,
    /// Passes in the catalogue.
    pub passes: u64,
    /// Points of all passes.
    pub points: u64,
    /// Debts of all passes.
    pub debt: u64,
    /// The catalogue's version.
    pub catalogue_version: u64,
}

/// The hub's totals.
///
/// # Errors
/// [`HubError`].
pub async fn totals(pool: &SqlitePool) -> Result<Totals, HubError> {
    let mut reading = pool.begin().await?;
    let count =
        sqlx::query("SELECT (SELECT COUNT(*) FROM entry), (SELECT COUNT(*) FROM quarantine)")
            .fetch_one(&mut *reading)
            .await?;
    let mut totals = Totals {
        entries: from_sql(count.get(0)),
        quarantined: from_sql(count.get(1)),
        passes: 0,
        points: 0,
        debt: 0,
        catalogue_version: crate::catalogue::version(&mut reading).await?,
    };
    for_each_pass(&mut reading, |record| {
        totals.passes += 1;
        totals.points += record.account.points();
        totals.debt += record.account.debt();
    })
    .await?;
    Ok(totals)
}

/// All pass records in the order of their ids, a thousand at a time: there may be millions.
async fn for_each_pass(
    reading: &mut SqliteConnection,
    mut visit: impl FnMut(&PassRecord),
) -> Result<(), HubError> {
    let mut from = 0i64;
    loop {
        let rows = sqlx::query("SELECT id, record FROM pass WHERE id > ? ORDER BY id LIMIT 1000")
            .bind(from)
            .fetch_all(&mut *reading)
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        from = last.get(0);
        for row in &rows {
            visit(&minicbor::decode(row.get(1))?);
        }
    }
}

/// A pass whose points were overspent while desks were apart.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DebtReport {
    /// The pass.
    pub pass_id: PassId,
    /// Points overspent. The next points that it earns pay them.
    pub debt: u64,
}

/// All debts, the largest first (invariant 6).
///
/// # Errors
/// [`HubError`].
pub async fn debts(pool: &SqlitePool) -> Result<Vec<DebtReport>, HubError> {
    let mut reading = pool.begin().await?;
    let mut debts = Vec::new();
    for_each_pass(&mut reading, |record| {
        let debt = record.account.debt();
        if debt > 0 {
            debts.push(DebtReport { pass_id: record.pass, debt });
        }
    })
    .await?;
    debts.sort_by_key(|it| (std::cmp::Reverse(it.debt), it.pass_id));
    Ok(debts)
}
