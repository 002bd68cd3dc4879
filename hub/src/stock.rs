//! Limited stock at the hub: what was granted to whom, and what became of it. The arithmetic is
//! [`crdt_model::stock`]; here it is read from the database, and written back.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crdt_model::catalogue::Reward;
use crdt_model::ids::{DeviceId, RewardId, Writer};
use crdt_model::stock::{
    Breach, Grant, GrantId, GrantState, GrantedUnits, Stock, StockError, Tally, Unit, Units,
};
use serde::Serialize;
use sync_protocol::message::{Closing, Wanted};
use sync_protocol::seal::closing_holds;
use thiserror::Error;

use crate::db::Line;
use crate::db::{DatabaseError, Db, HubError, Reading, Writing};
use crate::records::{catalogue, runs, stock as kept};

/// The last units of a stock: handed to desks that are online, one at a time.
pub const ONLINE_UNITS: u32 = 3;

/// Units that one desk is granted ahead at the most.
const MOST_AHEAD: u32 = 50;

/// Rewards of which a desk may want units at once, at the most: a sample world has 25, and each is a few queries in the
/// writer's turn.
const MOST_WANTED: usize = 1024;

/// Why something cannot be done with a stock.
#[derive(Debug, Error)]
pub enum GrantError {
    /// The arithmetic says no.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// The hub failed.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl From<DatabaseError> for GrantError {
    fn from(error: DatabaseError) -> Self {
        Self::Hub(error.into())
    }
}

/// All that is known of a limited reward's stock; nothing where it is not limited.
///
/// # Errors
/// [`HubError`].
pub async fn load(reading: &mut Reading, reward: RewardId) -> Result<Option<Stock>, HubError> {
    let Some(total) = kept::total(reading, reward).await? else { return Ok(None) };
    let mut stock = Stock::new(reward, total, ONLINE_UNITS)
        .map_err(|error| HubError::Record(error.to_string()))?;
    for grant in kept::grants(reading, reward).await? {
        stock.grants.insert(grant.grant, grant);
    }
    for unit in kept::used(reading, reward).await? {
        stock.record(unit);
    }
    Ok(Some(stock))
}

/// The same, and nobody else grants of it until the transaction ends.
pub(crate) async fn lock(
    writing: &mut Writing,
    reward: RewardId,
) -> Result<Option<Stock>, HubError> {
    kept::lock(writing, [reward]).await?;
    load(writing, reward).await
}

/// Writes a stock's total.
pub(crate) async fn keep_total(writing: &mut Writing, stock: &Stock) -> Result<(), HubError> {
    kept::keep_total(writing, stock.reward, stock.total).await
}

/// All units that a device may hand out now. A frozen grant stands there without units: nothing may be handed out by
/// it, but the hub still waits for what its desk has to say about it.
///
/// # Errors
/// [`HubError`].
pub async fn grants_of(
    reading: &mut Reading,
    device: DeviceId,
) -> Result<Vec<GrantedUnits>, HubError> {
    kept::granted(reading, device).await
}

/// The answer to what a desk would like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// All units that it may hand out now.
    pub grants: Vec<GrantedUnits>,
    /// The rewards of which somebody wants one now, and of which none is left to give.
    pub none_left: Vec<RewardId>,
    /// The hub's number at or after the commit.
    pub number: Option<u64>,
}

/// Grants a desk what it would like, as far as the stock goes: booked before it is sent. A desk one of
/// whose grants is frozen gets nothing, for an operator doubts it.
///
/// # Errors
/// [`HubError`].
pub async fn grant(db: &Db, device: DeviceId, wanted: &[Wanted]) -> Result<Answer, HubError> {
    let mut seen = HashSet::new();
    // Whoever has a visitor before them first.
    let by_haste = wanted.iter().filter(|it| it.now).chain(wanted.iter().filter(|it| !it.now));
    let once = by_haste.filter(|asked| seen.insert((asked.reward, asked.now)));
    let once: Vec<&Wanted> = once.take(MOST_WANTED).collect();
    let mut writing = db.write().await?;
    let (mut none_left, mut new) = (Vec::new(), Vec::new());
    // After a restore nothing is newly granted before all who held grants have stated them.
    let doubted = kept::any_frozen(&mut writing, device).await?
        || !runs::held(&mut writing).await?.is_empty();
    if !doubted {
        // All of them, in the order of their ids, before any is judged.
        kept::lock(&mut writing, once.iter().map(|asked| asked.reward)).await?;
    }
    for asked in once.into_iter().filter(|_| !doubted) {
        let Some(mut stock) = load(&mut writing, asked.reward).await? else { continue };
        // A desk that lost its store asks for what it has.
        let unused = unused_units(&stock, device);
        // At once there is one, for a visitor who stands there: that goes past the reserve.
        let most = if asked.now { asked.units.min(1) } else { asked.units.saturating_sub(unused) };
        let most = most.min(MOST_AHEAD);
        if most == 0 {
            continue;
        }
        // A hub that was restored from a backup must not give a grant of before the name of another:
        // numbers follow the clock, in seconds. No clock decides what may be handed out.
        let least = u64::try_from(writing.now().0 / 1000).unwrap_or_default();
        let id = GrantId(writing.ids("grant", 1, least).await?);
        let given = match stock.grant(id, device, most, asked.now) {
            Ok(given) => {
                if given.is_none() && asked.now {
                    none_left.push(asked.reward);
                }
                given
            }
            Err(error) => {
                tracing::warn!(reward = asked.reward.0, %error, "nothing granted");
                None
            }
        };
        if let Some(grant) = given.and_then(|given| stock.grants.get(&given.grant)) {
            kept::keep_grant(&mut writing, grant).await?;
            let Grant { grant, reward, device, units, .. } = *grant;
            new.push(Line::Granted { grant, reward, device, units });
        }
    }
    let grants = grants_of(&mut writing, device).await?;
    writing.is_told().await?;
    let number = writing.commit().await?;
    if let Some(beside) = db.beside() {
        // Before the desk hears of them.
        beside.append(&new)?;
    }
    Ok(Answer { grants, none_left, number })
}

/// Units that a device has been granted and not handed out.
fn unused_units(stock: &Stock, device: DeviceId) -> u32 {
    let own = stock
        .grants
        .values()
        .filter(|grant| grant.device == device && grant.state == GrantState::Active);
    own.map(|grant| {
        let used = stock.used.iter().filter(|unit| unit.grant == grant.grant).count();
        grant.units.count.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    })
    .sum()
}

/// Takes a closing statement: what it does not name goes back into the stock. One that does not fit
/// is logged and changes nothing; the desk goes on without the grant in any case.
///
/// # Errors
/// [`HubError`].
pub async fn close(
    db: &Db,
    device: DeviceId,
    public_key: &[u8],
    closing: &Closing,
) -> Result<(Vec<GrantedUnits>, Option<u64>), HubError> {
    let holds = closing_holds(closing, public_key);
    let mut writing = db.write().await?;
    let of_grant = kept::of_grant(&mut writing, closing.grant).await?;
    let own = of_grant.filter(|(_, holder)| *holder == device);
    match own {
        Some((reward, _)) if holds => {
            if let Some(mut stock) = lock(&mut writing, reward).await? {
                // What the hub knows to be handed out is so, whatever a desk says that lost a ledger.
                let known = stock.used.iter().filter(|it| it.grant == closing.grant);
                let units = stock.grants.get(&closing.grant).map(|grant| grant.units);
                let known = known
                    .map(|it| it.unit)
                    .filter(|unit| units.is_some_and(|units| units.contains(*unit)));
                let used: BTreeSet<u32> = closing.used.iter().copied().chain(known).collect();
                match stock.close(closing.grant, used) {
                    Ok(()) => {
                        if let Some(grant) = stock.grants.get(&closing.grant) {
                            kept::keep_grant(&mut writing, grant).await?;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(grant = closing.grant.0, %error, "a closing statement does not fit");
                    }
                }
            }
        }
        _ => {
            tracing::warn!(grant = closing.grant.0, %device, "a closing statement of another's grant");
        }
    }
    let granted = grants_of(&mut writing, device).await?;
    writing.is_told().await?;
    let number = writing.commit().await?;
    Ok((granted, number))
}

/// What an operator does with a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantStep {
    /// Its desk may not hand out more, as far as it hears of it; nothing returns to the stock.
    Freeze,
    /// It may again.
    Thaw,
    /// What is not known to be handed out is given up: it never returns to the stock, and a late
    /// redemption of it is booked as a loss.
    WriteOff,
}

/// Does what an operator asks with a grant.
///
/// # Errors
/// [`GrantError`].
pub async fn change_grant(db: &Db, grant: GrantId, step: GrantStep) -> Result<(), GrantError> {
    let mut writing = db.write().await?;
    let stock = match kept::of_grant(&mut writing, grant).await? {
        Some((reward, _)) => lock(&mut writing, reward).await?,
        None => None,
    };
    let Some(mut stock) = stock else {
        return Err(HubError::NoSuch { what: "grant", name: grant.0.to_string() }.into());
    };
    match step {
        GrantStep::Freeze => stock.freeze(grant)?,
        GrantStep::Thaw => stock.thaw(grant)?,
        GrantStep::WriteOff => stock.write_off(grant)?,
    }
    if let Some(changed) = stock.grants.get(&grant) {
        kept::keep_grant(&mut writing, changed).await?;
    }
    writing.commit().await?;
    Ok(())
}

/// A stock, as operators see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StockReport {
    /// The contract's id of the reward.
    pub reward_id: String,
    /// Its title.
    pub title: String,
    /// The contract's `maxAvailableUnits`.
    pub total: u32,
    /// With desks, not yet handed out.
    pub active: u32,
    /// Handed out.
    pub used: u32,
    /// At the hub.
    pub free: u32,
    /// Given up by an operator.
    pub written_off: u32,
    /// Handed out under a grant that was written off.
    pub losses: u32,
    /// Units that two entries name which both stand: a desk was restored from an image, or copied.
    pub handed_out_twice: u32,
    /// The desks to which those units were granted: each was copied, or put back.
    pub handed_out_twice_by: Vec<Doubled>,
    /// Redemptions that no grant allowed.
    pub breaches: Vec<String>,
    /// The grants.
    pub grants: Vec<GrantReport>,
}

/// Units that a desk and its copy both handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Doubled {
    /// The desk.
    pub device: DeviceId,
    /// How many units.
    pub units: u32,
}

/// A grant, as operators see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantReport {
    /// Its serial number.
    pub grant: GrantId,
    /// The desk.
    pub device: DeviceId,
    /// Its units.
    pub units: Units,
    /// How it stands.
    pub state: GrantState,
}

/// All limited stocks.
///
/// # Errors
/// [`HubError`].
pub async fn report(db: &Db) -> Result<Vec<StockReport>, HubError> {
    let mut reading = db.read().await?;
    let rewards = catalogue::limited_rewards(&mut reading).await?;
    let twice = kept::used_twice(&mut reading).await?;
    let doubled = kept::doubled_by(&mut reading).await?;
    let of_others = used_by_others(&mut reading).await?;
    let mut report = Vec::with_capacity(rewards.len());
    for (id, record) in rewards {
        let record: Reward = minicbor::decode(&record)?;
        let Some(stock) = load(&mut reading, RewardId(id)).await? else { continue };
        let Tally { active, used, free, written_off, losses, breaches } = stock.tally();
        report.push(StockReport {
            reward_id: record.reward_id,
            title: record.title,
            total: stock.total,
            active,
            used,
            free,
            written_off,
            losses,
            handed_out_twice: twice.get(&id).copied().unwrap_or_default(),
            handed_out_twice_by: doubled
                .iter()
                .filter(|(reward, ..)| *reward == id)
                .map(|(_, device, units)| Doubled { device: *device, units: *units })
                .collect(),
            breaches: breaches
                .iter()
                .map(breach)
                .chain(of_others.get(&id).into_iter().flatten().cloned())
                .collect(),
            grants: stock
                .grants
                .values()
                .map(|it| GrantReport {
                    grant: it.grant,
                    device: it.device,
                    units: it.units,
                    state: it.state,
                })
                .collect(),
        });
    }
    Ok(report)
}

/// Units that stand in another desk's list than the one that was granted them, by reward.
async fn used_by_others(reading: &mut Reading) -> Result<BTreeMap<u32, Vec<String>>, HubError> {
    let mut found: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for it in kept::used_by_others(reading).await? {
        let by = Writer::from_bytes(&it.writer)
            .map_or_else(|_| "unknown".to_owned(), |writer| writer.device.to_string());
        let said = format!("unit {} of grant {} (another desk's), desk {by}", it.unit, it.grant);
        found.entry(it.reward).or_default().push(said);
    }
    Ok(found)
}

fn breach(breach: &Breach) -> String {
    let Unit { grant, unit } = breach.unit;
    let by = breach.device.map_or_else(|| "unknown".to_owned(), |device| device.to_string());
    format!("unit {unit} of grant {} ({:?}), desk {by}", grant.0, breach.kind)
}
