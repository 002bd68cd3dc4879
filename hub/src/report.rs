//! What operators ask for: a pass, a ledger, the totals. For eyes and for scripts (`--json`).

use std::collections::HashMap;

use crdt_model::account::Outcome;
use crdt_model::catalogue::CardName;
use crdt_model::entry::{EntryRef, Subject};
use crdt_model::ids::{DeviceId, Identification, PassId, VenueId};
use crdt_model::time::day_number;
use serde::Serialize;

use crate::db::{Db, Facts, HubError, outcome};
use crate::records::{catalogue, entries, passes, quarantine};
use crate::registry;
use crate::secrets::lookup_key;

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
pub async fn pass(db: &Db, card: &Identification) -> Result<PassReport, HubError> {
    let lookup = lookup_key(db).await?;
    let mut reading = db.read().await?;
    let Some(pass) = passes::of_card(&mut reading, card).await? else {
        return Err(HubError::NoSuch { what: "pass", name: "that".to_owned() });
    };
    let entries = entries::of_passes(&mut reading, [pass.id]).await?;
    let all = || entries.values().flatten();
    let over_limit = outcome(Outcome::OverLimit);
    let over = all().filter(|it| it.outcome.as_deref() == Some(over_limit)).count();
    let record = pass.record;
    Ok(PassReport {
        pass_id: record.pass,
        programme: record.programme,
        card_status: record.card_status(&CardName(lookup.card_key(card))),
        holder_status: record.holder,
        points: record.account.points(),
        debt: record.account.debt(),
        visits: record.account.visits,
        entries: all().count() as u64,
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
    db: &Db,
    venue: &VenueId,
    day: jiff::civil::Date,
) -> Result<Vec<EntryReport>, HubError> {
    let desks: HashMap<DeviceId, String> =
        registry::devices(db).await?.into_iter().map(|d| (d.device, d.name)).collect();
    let kept = entries::of_day(&mut db.read().await?, venue, day_number(day)).await?;
    let mut report = Vec::with_capacity(kept.len());
    for it in kept {
        let placed = it.placed;
        let facts = Facts::of(&placed.entry);
        report.push(EntryReport {
            entry: placed.place,
            desk: desks.get(&placed.place.writer.device).cloned().unwrap_or_default(),
            at: placed.entry.at.0,
            counts_at: placed.counts_at().0,
            received: placed.receipt.map(|receipt| receipt.at.0),
            kind: facts.kind,
            pass: match placed.entry.subject {
                Subject::Pass(pass) => Some(pass),
                Subject::Chip(_) | Subject::External(_) => None,
            },
            points: facts.points,
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
    /// The number of the newest change of the catalogue.
    pub catalogue_version: u64,
}

/// The hub's totals.
///
/// # Errors
/// [`HubError`].
pub async fn totals(db: &Db) -> Result<Totals, HubError> {
    let mut reading = db.read().await?;
    let (passes, points, debt) = passes::sums(&mut reading).await?;
    Ok(Totals {
        entries: entries::count(&mut reading).await?,
        quarantined: quarantine::count(&mut reading).await?,
        passes,
        points,
        debt,
        catalogue_version: catalogue::version(&mut reading).await?,
    })
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
pub async fn debts(db: &Db) -> Result<Vec<DebtReport>, HubError> {
    let all = passes::debts(&mut db.read().await?).await?.into_iter();
    Ok(all.map(|(pass, debt)| DebtReport { pass_id: PassId(pass), debt }).collect())
}
