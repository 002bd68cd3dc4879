//! Limited stock at the hub: what was granted to whom, and what became of it. The arithmetic is
//! [`crdt_model::stock`]; here it is read from the database, and written back.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crdt_model::catalogue::Reward;
use crdt_model::ids::{DeviceId, RewardId, Writer};
use crdt_model::stock::{
    Breach, Grant, GrantId, GrantState, GrantedUnits, Stock, StockError, Tally, Unit, Units,
};
use serde::Serialize;
use sqlx::{Row, SqliteConnection, SqlitePool};
use sync_protocol::message::{Closing, Wanted};
use sync_protocol::seal::closing_holds;
use thiserror::Error;

use crate::db::{HubError, Writing, from_sql, json_list, to_sql, wall_clock};

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

impl From<sqlx::Error> for GrantError {
    fn from(error: sqlx::Error) -> Self {
        Self::Hub(error.into())
    }
}

/// All that is known of a limited reward's stock; nothing where it is not limited.
///
/// # Errors
/// [`HubError`].
pub async fn load(
    connection: &mut SqliteConnection,
    reward: RewardId,
) -> Result<Option<Stock>, HubError> {
    let total: Option<u32> = sqlx::query_scalar("SELECT total FROM stock WHERE reward = ?")
        .bind(i64::from(reward.0))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(total) = total else { return Ok(None) };
    let mut stock = Stock::new(reward, total, ONLINE_UNITS)
        .map_err(|error| HubError::Record(error.to_string()))?;
    let rows = sqlx::query(
        "SELECT id, device, first, count, state, stated_used, used_at_write_off
         FROM stock_grant WHERE reward = ?",
    )
    .bind(i64::from(reward.0))
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        let grant = GrantId(from_sql(row.get(0)));
        stock.grants.insert(
            grant,
            Grant {
                grant,
                reward,
                device: device(row.get(1))?,
                units: Units { first: row.get(2), count: row.get(3) },
                state: from_json(row.get(4))?,
                stated_used: row.get::<Option<&str>, _>(5).map(from_json).transpose()?,
                used_at_write_off: from_json(row.get(6))?,
            },
        );
    }
    let rows =
        sqlx::query("SELECT DISTINCT grant_id, unit FROM unit_use WHERE reward = ? AND stands")
            .bind(i64::from(reward.0))
            .fetch_all(connection)
            .await?;
    for row in &rows {
        stock.record(Unit { grant: GrantId(from_sql(row.get(0))), unit: row.get(1) });
    }
    Ok(Some(stock))
}

fn device(bytes: Vec<u8>) -> Result<DeviceId, HubError> {
    let id = bytes.try_into();
    Ok(DeviceId(id.map_err(|_| HubError::Record("a device's id has another length".to_owned()))?))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, HubError> {
    serde_json::from_str(text).map_err(|error| HubError::Record(format!("a grant: {error}")))
}

fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Writes a stock's total.
pub(crate) async fn keep_total(
    connection: &mut SqliteConnection,
    stock: &Stock,
) -> Result<(), HubError> {
    sqlx::query("INSERT OR REPLACE INTO stock (reward, total) VALUES (?, ?)")
        .bind(i64::from(stock.reward.0))
        .bind(stock.total)
        .execute(connection)
        .await?;
    Ok(())
}

async fn keep_grant(connection: &mut SqliteConnection, grant: &Grant) -> Result<(), HubError> {
    sqlx::query(
        "INSERT INTO stock_grant
           (id, reward, device, first, count, state, stated_used, used_at_write_off)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO UPDATE SET state = ?6, stated_used = ?7, used_at_write_off = ?8",
    )
    .bind(to_sql(grant.grant.0))
    .bind(i64::from(grant.reward.0))
    .bind(&grant.device.0[..])
    .bind(grant.units.first)
    .bind(grant.units.count)
    .bind(to_json(&grant.state))
    .bind(grant.stated_used.as_ref().map(to_json))
    .bind(to_json(&grant.used_at_write_off))
    .execute(connection)
    .await?;
    Ok(())
}

/// All units that a device may hand out now. A frozen grant stands there without units: nothing may be handed out by
/// it, but the hub still waits for what its desk has to say about it.
///
/// # Errors
/// [`HubError`].
pub async fn grants_of(
    connection: &mut SqliteConnection,
    device: DeviceId,
) -> Result<Vec<GrantedUnits>, HubError> {
    let rows = sqlx::query(
        "SELECT id, reward, first, iif(state = ?2, count, 0) FROM stock_grant
         WHERE device = ?1 AND state IN (?2, ?3) ORDER BY id",
    )
    .bind(&device.0[..])
    .bind(to_json(&GrantState::Active))
    .bind(to_json(&GrantState::Frozen))
    .fetch_all(connection)
    .await?;
    let granted = rows.iter().map(|row| GrantedUnits {
        grant: GrantId(from_sql(row.get(0))),
        reward: RewardId(row.get(1)),
        units: Units { first: row.get(2), count: row.get(3) },
    });
    Ok(granted.collect())
}

/// The answer to what a desk would like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// All units that it may hand out now.
    pub grants: Vec<GrantedUnits>,
    /// The rewards of which somebody wants one now, and of which none is left to give.
    pub none_left: Vec<RewardId>,
}

/// Grants a desk what it would like, as far as the stock goes: booked before it is sent. A desk one of
/// whose grants is frozen gets nothing, for an operator doubts it.
///
/// # Errors
/// [`HubError`].
pub async fn grant(
    pool: &SqlitePool,
    device: DeviceId,
    wanted: &[Wanted],
) -> Result<Answer, HubError> {
    let mut turn = Writing::begin(pool).await?;
    let writing = &mut turn.transaction;
    let mut none_left = Vec::new();
    let doubted: i64 = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM stock_grant WHERE device = ? AND state = ?)",
    )
    .bind(&device.0[..])
    .bind(to_json(&GrantState::Frozen))
    .fetch_one(&mut **writing)
    .await?;
    let mut seen = HashSet::new();
    // Whoever has a visitor before them first.
    let by_haste = wanted.iter().filter(|it| it.now).chain(wanted.iter().filter(|it| !it.now));
    let once = by_haste.filter(|asked| seen.insert((asked.reward, asked.now)));
    for asked in once.take(MOST_WANTED).filter(|_| doubted == 0) {
        let Some(mut stock) = load(writing, asked.reward).await? else { continue };
        let next: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) + 1 FROM stock_grant")
            .fetch_one(&mut **writing)
            .await?;
        // A hub that was restored from a backup must not give a grant of before the name of another:
        // numbers follow the clock, in seconds. No clock decides what may be handed out.
        let id = GrantId(from_sql(next.max(wall_clock().0 / 1000)));
        // A desk that lost its store asks for what it has.
        let unused = unused_units(&stock, device);
        // At once there is one, for a visitor who stands there: that goes past the reserve.
        let most = if asked.now { asked.units.min(1) } else { asked.units.saturating_sub(unused) };
        let most = most.min(MOST_AHEAD);
        if most == 0 {
            continue;
        }
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
            keep_grant(writing, grant).await?;
        }
    }
    let grants = grants_of(writing, device).await?;
    turn.transaction.commit().await?;
    Ok(Answer { grants, none_left })
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
    pool: &SqlitePool,
    device: DeviceId,
    public_key: &[u8],
    closing: &Closing,
) -> Result<Vec<GrantedUnits>, HubError> {
    let mut turn = Writing::begin(pool).await?;
    let writing = &mut turn.transaction;
    let of_grant: Option<(u32, Vec<u8>)> =
        sqlx::query_as("SELECT reward, device FROM stock_grant WHERE id = ?")
            .bind(to_sql(closing.grant.0))
            .fetch_optional(&mut **writing)
            .await?;
    let own = of_grant.filter(|(_, holder)| *holder == device.0);
    match own {
        Some((reward, _)) if closing_holds(closing, public_key) => {
            if let Some(mut stock) = load(writing, RewardId(reward)).await? {
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
                            keep_grant(writing, grant).await?;
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
    let granted = grants_of(writing, device).await?;
    turn.transaction.commit().await?;
    Ok(granted)
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
pub async fn change_grant(
    pool: &SqlitePool,
    grant: GrantId,
    step: GrantStep,
) -> Result<(), GrantError> {
    let mut turn = Writing::begin(pool).await?;
    let writing = &mut turn.transaction;
    let reward: Option<u32> = sqlx::query_scalar("SELECT reward FROM stock_grant WHERE id = ?")
        .bind(to_sql(grant.0))
        .fetch_optional(&mut **writing)
        .await?;
    let stock = match reward {
        Some(reward) => load(writing, RewardId(reward)).await?,
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
        keep_grant(writing, changed).await?;
    }
    turn.transaction.commit().await?;
    Ok(())
}

/// One handed-out unit: where its entry stands, and whether it still does.
pub(crate) struct UnitUse {
    pub(crate) venue: String,
    pub(crate) day: i32,
    pub(crate) writer: [u8; 20],
    pub(crate) index: i64,
    pub(crate) reward: RewardId,
    pub(crate) unit: Unit,
    pub(crate) stands: bool,
}

/// Notes which entries hand out which units.
pub(crate) async fn note_uses(
    connection: &mut SqliteConnection,
    uses: Vec<UnitUse>,
) -> Result<(), HubError> {
    for it in uses {
        sqlx::query(
            "INSERT INTO unit_use (venue, day, writer, idx, reward, grant_id, unit, stands)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET stands = ?8 WHERE stands <> ?8",
        )
        .bind(it.venue)
        .bind(it.day)
        .bind(&it.writer[..])
        .bind(it.index)
        .bind(i64::from(it.reward.0))
        .bind(to_sql(it.unit.grant.0))
        .bind(it.unit.unit)
        .bind(it.stands)
        .execute(&mut *connection)
        .await?;
    }
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
    /// Redemptions that no grant allowed.
    pub breaches: Vec<String>,
    /// The grants.
    pub grants: Vec<GrantReport>,
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
pub async fn report(pool: &SqlitePool) -> Result<Vec<StockReport>, HubError> {
    let mut reading = pool.begin().await?;
    let rewards: Vec<(u32, Vec<u8>)> = sqlx::query_as(
        "SELECT r.id, r.record FROM reward r JOIN stock s ON s.reward = r.id ORDER BY r.id",
    )
    .fetch_all(&mut *reading)
    .await?;
    let ids: Vec<u32> = rewards.iter().map(|(id, _)| *id).collect();
    let twice: Vec<(u32, u32)> = sqlx::query_as(
        "SELECT reward, COUNT(*) FROM (
             SELECT reward, grant_id, unit FROM unit_use WHERE stands
             AND reward IN (SELECT value FROM json_each(?))
             GROUP BY reward, grant_id, unit HAVING COUNT(*) > 1)
         GROUP BY reward",
    )
    .bind(json_list(&ids))
    .fetch_all(&mut *reading)
    .await?;
    let twice: BTreeMap<u32, u32> = twice.into_iter().collect();
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
async fn used_by_others(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<u32, Vec<String>>, HubError> {
    let rows: Vec<(u32, i64, u32, Vec<u8>)> = sqlx::query_as(
        "SELECT u.reward, u.grant_id, u.unit, u.writer FROM unit_use u
         JOIN stock_grant g ON g.id = u.grant_id
         WHERE u.stands AND substr(u.writer, 1, 16) <> g.device",
    )
    .fetch_all(connection)
    .await?;
    let mut found: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (reward, grant, unit, writer) in rows {
        let by = Writer::from_bytes(&writer)
            .map_or_else(|_| "unknown".to_owned(), |writer| writer.device.to_string());
        let said = format!("unit {unit} of grant {grant} (another desk's), desk {by}");
        found.entry(reward).or_default().push(said);
    }
    Ok(found)
}

fn breach(breach: &Breach) -> String {
    let Unit { grant, unit } = breach.unit;
    let by = breach.device.map_or_else(|| "unknown".to_owned(), |device| device.to_string());
    format!("unit {unit} of grant {} ({:?}), desk {by}", grant.0, breach.kind)
}
