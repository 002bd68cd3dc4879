//! Limited stocks: their totals, what was granted of them, and what was handed out.

use std::collections::BTreeMap;

use crdt_model::ids::{DeviceId, RewardId};
use crdt_model::stock::{Grant, GrantId, GrantState, GrantedUnits, Unit, Units};
use serde::Serialize;

use crate::db::{HubError, Reading, Row, Value, Writing, sql};

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, HubError> {
    serde_json::from_str(text).map_err(|error| HubError::Record(format!("a grant: {error}")))
}

fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// How many units a stock has; nothing where the reward is not limited.
pub(crate) async fn total(
    reading: &mut Reading,
    reward: RewardId,
) -> Result<Option<u32>, HubError> {
    let select = sql("SELECT total AS found FROM stock WHERE reward = $1").bind(reward.0);
    Ok(reading.value(select).await?)
}

/// Nobody else judges or changes these stocks until the transaction ends.
pub(crate) async fn lock(
    writing: &mut Writing,
    rewards: impl IntoIterator<Item = RewardId>,
) -> Result<(), HubError> {
    let lock = "SELECT reward FROM stock WHERE reward IN (:list) ORDER BY reward";
    let list = rewards.into_iter().map(|reward| reward.0);
    writing.all(sql(lock).list(list).locking()).await?;
    Ok(())
}

pub(crate) async fn keep_total(
    writing: &mut Writing,
    reward: RewardId,
    total: u32,
) -> Result<(), HubError> {
    let keep = "INSERT INTO stock (reward, total) VALUES ($1, $2)
         ON CONFLICT (reward) DO UPDATE SET total = excluded.total";
    writing.execute(sql(keep).bind(reward.0).bind(total)).await?;
    Ok(())
}

fn grant(row: &Row) -> Result<Grant, HubError> {
    let stated_used: Option<String> = row.get("stated_used")?;
    Ok(Grant {
        grant: GrantId(row.get("id")?),
        reward: RewardId(row.get("reward")?),
        device: DeviceId(row.get("device")?),
        units: Units { first: row.get("first")?, count: row.get("count")? },
        state: from_json(&row.get::<String>("state")?)?,
        stated_used: stated_used.as_deref().map(from_json).transpose()?,
        used_at_write_off: from_json(&row.get::<String>("used_at_write_off")?)?,
    })
}

/// The grants of a reward.
pub(crate) async fn grants(
    reading: &mut Reading,
    reward: RewardId,
) -> Result<Vec<Grant>, HubError> {
    let select = "SELECT id, reward, device, first, count, state, stated_used, used_at_write_off
         FROM stock_grant WHERE reward = $1 ORDER BY id";
    reading.all(sql(select).bind(reward.0)).await?.iter().map(grant).collect()
}

/// Whose a grant is, and of which reward.
pub(crate) async fn of_grant(
    reading: &mut Reading,
    id: GrantId,
) -> Result<Option<(RewardId, DeviceId)>, HubError> {
    let select = sql("SELECT reward, device FROM stock_grant WHERE id = $1").bind(id.0);
    let row = reading.first(select).await?;
    row.map(|row| Ok((RewardId(row.get("reward")?), DeviceId(row.get("device")?)))).transpose()
}

/// Keeps a grant, new or as it stands now.
pub(crate) async fn keep_grant(writing: &mut Writing, grant: &Grant) -> Result<(), HubError> {
    writing.device_moved(grant.device);
    let keep = "INSERT INTO stock_grant
           (id, reward, device, first, count, state, stated_used, used_at_write_off)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state,
             stated_used = excluded.stated_used,
             used_at_write_off = excluded.used_at_write_off";
    let keep = sql(keep)
        .bind(grant.grant.0)
        .bind(grant.reward.0)
        .bind(grant.device.0)
        .bind(grant.units.first)
        .bind(grant.units.count)
        .bind(to_json(&grant.state))
        .bind(grant.stated_used.as_ref().map(to_json))
        .bind(to_json(&grant.used_at_write_off));
    writing.execute(keep).await?;
    Ok(())
}

/// All units that a device may hand out, a frozen grant without its units.
pub(crate) async fn granted(
    reading: &mut Reading,
    device: DeviceId,
) -> Result<Vec<GrantedUnits>, HubError> {
    let select = "SELECT id, reward, first, CASE WHEN state = $2 THEN count ELSE 0 END AS count
         FROM stock_grant WHERE device = $1 AND state IN ($2, $3) ORDER BY id";
    let select = sql(select)
        .bind(device.0)
        .bind(to_json(&GrantState::Active))
        .bind(to_json(&GrantState::Frozen));
    let rows = reading.all(select).await?;
    let granted = rows.iter().map(|row| {
        Ok(GrantedUnits {
            grant: GrantId(row.get("id")?),
            reward: RewardId(row.get("reward")?),
            units: Units { first: row.get("first")?, count: row.get("count")? },
        })
    });
    granted.collect()
}

/// Whether a grant of this device is frozen.
pub(crate) async fn any_frozen(reading: &mut Reading, device: DeviceId) -> Result<bool, HubError> {
    let select = "SELECT EXISTS (
             SELECT 1 FROM stock_grant WHERE device = $1 AND state = $2) AS found";
    let select = sql(select).bind(device.0).bind(to_json(&GrantState::Frozen));
    Ok(reading.value(select).await?.unwrap_or_default())
}

/// The units of a reward that were handed out.
pub(crate) async fn used(reading: &mut Reading, reward: RewardId) -> Result<Vec<Unit>, HubError> {
    let select = "SELECT DISTINCT grant_id, unit FROM unit_use WHERE reward = $1 AND stands";
    let rows = reading.all(sql(select).bind(reward.0)).await?;
    let units = rows
        .iter()
        .map(|row| Ok(Unit { grant: GrantId(row.get("grant_id")?), unit: row.get("unit")? }));
    units.collect()
}

/// One handed-out unit: where its entry stands, and whether it still does.
pub(crate) struct UnitUse {
    pub(crate) venue: String,
    pub(crate) day: i32,
    pub(crate) writer: [u8; 20],
    pub(crate) index: u64,
    pub(crate) reward: RewardId,
    pub(crate) unit: Unit,
    pub(crate) stands: bool,
}

/// Notes which entries hand out which units.
pub(crate) async fn note_uses(writing: &mut Writing, uses: Vec<UnitUse>) -> Result<(), HubError> {
    let rows: Vec<Vec<Value>> = uses
        .into_iter()
        .map(|it| {
            vec![
                it.venue.into(),
                it.day.into(),
                it.writer.into(),
                it.index.into(),
                it.reward.0.into(),
                it.unit.grant.0.into(),
                it.unit.unit.into(),
                it.stands.into(),
            ]
        })
        .collect();
    let note = "WITH given (venue, day, writer, idx, reward, grant_id, unit, stands) AS (:rows)
         INSERT INTO unit_use (venue, day, writer, idx, reward, grant_id, unit, stands)
         SELECT * FROM given WHERE TRUE
         ON CONFLICT (venue, day, writer, idx) DO UPDATE SET stands = excluded.stands
         WHERE unit_use.stands <> excluded.stands";
    writing.execute(sql(note).rows(rows)).await?;
    Ok(())
}

/// How many units of each reward two entries name which both stand.
pub(crate) async fn used_twice(reading: &mut Reading) -> Result<BTreeMap<u32, u32>, HubError> {
    let select = "SELECT reward, COUNT(*) AS many FROM (
             SELECT reward, grant_id, unit FROM unit_use WHERE stands
             GROUP BY reward, grant_id, unit HAVING COUNT(*) > 1) AS twice
         GROUP BY reward";
    let rows = reading.all(sql(select)).await?;
    rows.iter().map(|row| Ok((row.get("reward")?, row.get("many")?))).collect()
}

/// A unit that stands in another desk's list than the one that was granted it.
pub(crate) struct OfAnother {
    pub(crate) reward: u32,
    pub(crate) grant: u64,
    pub(crate) unit: u32,
    pub(crate) writer: Vec<u8>,
}

/// How many units of each reward two entries name which both stand, by the desk that was granted them: a copy of it, or
/// an older one, handed them out once more.
pub(crate) async fn doubled_by(
    reading: &mut Reading,
) -> Result<Vec<(u32, DeviceId, u32)>, HubError> {
    let select = "SELECT twice.reward, g.device, COUNT(*) AS many FROM (
             SELECT reward, grant_id FROM unit_use WHERE stands
             GROUP BY reward, grant_id, unit HAVING COUNT(*) > 1) AS twice
         JOIN stock_grant g ON g.id = twice.grant_id
         GROUP BY twice.reward, g.device ORDER BY twice.reward, g.device";
    let rows = reading.all(sql(select)).await?;
    let found = rows
        .iter()
        .map(|row| Ok((row.get("reward")?, DeviceId(row.get("device")?), row.get("many")?)));
    found.collect()
}

pub(crate) async fn used_by_others(reading: &mut Reading) -> Result<Vec<OfAnother>, HubError> {
    let select = "SELECT u.reward, u.grant_id, u.unit, u.writer FROM unit_use u
         JOIN stock_grant g ON g.id = u.grant_id
         WHERE u.stands AND substr(u.writer, 1, 16) <> g.device
         ORDER BY u.reward, u.grant_id, u.unit, u.writer";
    let rows = reading.all(sql(select)).await?;
    let found = rows.iter().map(|row| {
        Ok(OfAnother {
            reward: row.get("reward")?,
            grant: row.get("grant_id")?,
            unit: row.get("unit")?,
            writer: row.get("writer")?,
        })
    });
    found.collect()
}
