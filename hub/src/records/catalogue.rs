//! Card systems, activities, rewards, coupons and policies; and the catalogue's changes in the order of their numbers.

use std::collections::HashMap;

use crdt_model::catalogue::{Item, ItemName};
use crdt_model::ids::VenueId;

use crate::db::{HubError, Moves, Reading, Row, Statement, Writing, sql};

/// The most rows of each table that may be in one page: each table gives the page's length at the most, from its index.
macro_rules! behind {
    ($kind:literal, $table:literal, $condition:literal) => {
        concat!(
            "SELECT * FROM (SELECT version, CAST(",
            $kind,
            " AS BIGINT) AS kind, record FROM ",
            $table,
            " WHERE version > $1",
            $condition,
            " ORDER BY version LIMIT $3) AS of_",
            $table
        )
    };
}

const BEHIND: &str = concat!(
    "SELECT * FROM (SELECT v.version, CAST(0 AS BIGINT) AS kind, p.record
     FROM pass_version v JOIN pass p ON p.id = v.pass
     WHERE v.version > $1 ORDER BY v.version LIMIT $3) AS of_pass UNION ALL ",
    behind!(1, "activity", " AND venue = $2"),
    " UNION ALL ",
    behind!(2, "reward", ""),
    " UNION ALL ",
    behind!(3, "policy", " AND venue = $2"),
    " UNION ALL ",
    behind!(4, "coupon", ""),
    " UNION ALL ",
    behind!(5, "card_system", ""),
    " ORDER BY version LIMIT $3"
);

fn item(row: &Row) -> Result<(u64, Item), HubError> {
    Ok((row.get("version")?, content(row)?))
}

fn content(row: &Row) -> Result<Item, HubError> {
    let record = row.bytes("record")?;
    let item = match row.get::<i64>("kind")? {
        0 => Item::Pass(minicbor::decode(record)?),
        1 => Item::Activity(minicbor::decode(record)?),
        2 => Item::Reward(minicbor::decode(record)?),
        3 => Item::Policy(minicbor::decode(record)?),
        4 => Item::Coupon(minicbor::decode(record)?),
        5 => Item::CardSystem(minicbor::decode(record)?),
        kind => return Err(HubError::Record(format!("there is no kind {kind} of item"))),
    };
    Ok(item)
}

/// The changes behind a number for a venue's desks, with their numbers.
pub(crate) async fn behind(
    reading: &mut Reading,
    venue: &VenueId,
    from: u64,
    most: usize,
) -> Result<Vec<(u64, Item)>, HubError> {
    let select = sql(BEHIND).bind(from).bind(venue.as_str()).bind(most as u64);
    reading.all(select).await?.iter().map(item).collect()
}

/// The passes that must be refused and have changed behind a number, with their numbers.
pub(crate) async fn denied_behind(
    reading: &mut Reading,
    from: u64,
    most: usize,
) -> Result<Vec<(u64, Item)>, HubError> {
    let select = "SELECT v.version, CAST(0 AS BIGINT) AS kind, p.record
         FROM pass_version v JOIN pass p ON p.id = v.pass
         WHERE v.version > $1 AND v.denied ORDER BY v.version LIMIT $2";
    reading.all(sql(select).bind(from).bind(most as u64)).await?.iter().map(item).collect()
}

/// The number of the newest change: a desk that has come so far lacks nothing.
pub(crate) async fn version(reading: &mut Reading) -> Result<u64, HubError> {
    let select = "SELECT COALESCE(MAX(version), 0) AS found FROM (
             SELECT MAX(version) AS version FROM pass_version
             UNION ALL SELECT MAX(version) FROM activity UNION ALL SELECT MAX(version) FROM reward
             UNION ALL SELECT MAX(version) FROM policy UNION ALL SELECT MAX(version) FROM coupon
             UNION ALL SELECT MAX(version) FROM card_system) AS newest";
    Ok(reading.value(sql(select)).await?.unwrap_or_default())
}

/// The items of these names as a venue's desks have them, in their order; each with its number, where it has one.
pub(crate) async fn by_names(
    reading: &mut Reading,
    venue: &VenueId,
    names: &[ItemName],
) -> Result<Vec<Option<(Option<u64>, Item)>>, HubError> {
    let mut found: HashMap<(i64, u64), (Option<u64>, Item)> = HashMap::new();
    let tables = [
        "SELECT COALESCE(v.version, -1) AS version, CAST(0 AS BIGINT) AS kind, p.record, p.id
         FROM pass p LEFT JOIN pass_version v ON v.pass = p.id WHERE p.id IN (:list)",
        "SELECT version, CAST(1 AS BIGINT) AS kind, record, id FROM activity WHERE venue = $1 AND id IN (:list)",
        "SELECT version, CAST(2 AS BIGINT) AS kind, record, id FROM reward WHERE id IN (:list)",
        "SELECT version, CAST(3 AS BIGINT) AS kind, record, CAST(0 AS BIGINT) AS id FROM policy WHERE venue = $1",
        "SELECT version, CAST(4 AS BIGINT) AS kind, record, id FROM coupon WHERE id IN (:list)",
        "SELECT version, CAST(5 AS BIGINT) AS kind, record, id FROM card_system WHERE id IN (:list)",
    ];
    for (kind, text) in (0i64..).zip(tables) {
        let mut ids =
            names.iter().map(key).filter(|(of, _)| *of == kind).map(|(_, id)| id).peekable();
        if ids.peek().is_none() {
            continue;
        }
        let mut select = sql(text);
        if text.contains("$1") {
            select = select.bind(venue.as_str());
        }
        if text.contains(":list") {
            select = select.list(ids);
        }
        for row in reading.all(select).await? {
            // A negative one is no number yet.
            let version = u64::try_from(row.get::<i64>("version")?).ok();
            found.insert((kind, row.get("id")?), (version, content(&row)?));
        }
    }
    Ok(names.iter().map(|name| found.remove(&key(name))).collect())
}

/// An item's kind, and its id among those of that kind.
fn key(name: &ItemName) -> (i64, u64) {
    match name {
        ItemName::Pass(pass) => (0, pass.0),
        ItemName::Activity(activity) => (1, u64::from(activity.0)),
        ItemName::Reward(reward) => (2, u64::from(reward.0)),
        ItemName::Policy => (3, 0),
        ItemName::Coupon(coupon) => (4, u64::from(coupon.0)),
        ItemName::CardSystem(system) => (5, u64::from(system.0)),
    }
}

/// A kind of record of which each has a serial number, and a name in the contract.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named {
    Activity,
    Reward,
    Coupon,
}

/// The serial number and record of the one that has this name.
pub(crate) async fn known(
    reading: &mut Reading,
    of: Named,
    name: &str,
) -> Result<Option<(u32, Vec<u8>)>, HubError> {
    let select = match of {
        Named::Activity => "SELECT id, record FROM activity WHERE event_id = $1",
        Named::Reward => "SELECT id, record FROM reward WHERE reward_id = $1",
        Named::Coupon => "SELECT id, record FROM coupon WHERE coupon_id = $1",
    };
    let row = reading.first(sql(select).bind(name)).await?;
    row.map(|row| Ok((row.get("id")?, row.get("record")?))).transpose()
}

/// The records of these serial numbers.
pub(crate) async fn records<T: for<'b> minicbor::Decode<'b, ()>>(
    reading: &mut Reading,
    of: Named,
    ids: impl IntoIterator<Item = u32>,
) -> Result<Vec<T>, HubError> {
    let select = match of {
        Named::Activity => "SELECT record FROM activity WHERE id IN (:list)",
        Named::Reward => "SELECT record FROM reward WHERE id IN (:list)",
        Named::Coupon => "SELECT record FROM coupon WHERE id IN (:list)",
    };
    let rows = reading.all(sql(select).list(ids)).await?;
    rows.iter().map(|row| Ok(minicbor::decode(row.bytes("record")?)?)).collect()
}

/// A serial number for a new one.
pub(crate) async fn new_id(writing: &mut Writing, of: Named) -> Result<u32, HubError> {
    let kind = match of {
        Named::Activity => "activity",
        Named::Reward => "reward",
        Named::Coupon => "coupon",
    };
    let id = writing.ids(kind, 1, 1).await?;
    u32::try_from(id).map_err(|_| HubError::Record(format!("no more ids for a {kind}")))
}

async fn keep(writing: &mut Writing, keep: Statement, record: Vec<u8>) -> Result<(), HubError> {
    let version = writing.version(Moves::Catalogue).await?;
    writing.execute(keep.bind(record).bind(version)).await?;
    Ok(())
}

/// Keeps an activity under a new version.
pub(crate) async fn keep_activity(
    writing: &mut Writing,
    id: u32,
    event_id: &str,
    venue: &VenueId,
    record: Vec<u8>,
) -> Result<(), HubError> {
    let text = "INSERT INTO activity (id, event_id, venue, record, version)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET record = excluded.record, version = excluded.version";
    keep(writing, sql(text).bind(id).bind(event_id).bind(venue.as_str()), record).await
}

/// Keeps a reward under a new version.
pub(crate) async fn keep_reward(
    writing: &mut Writing,
    id: u32,
    reward_id: &str,
    record: Vec<u8>,
) -> Result<(), HubError> {
    let text = "INSERT INTO reward (id, reward_id, record, version) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET record = excluded.record, version = excluded.version";
    keep(writing, sql(text).bind(id).bind(reward_id), record).await
}

/// Keeps a coupon under a new version.
pub(crate) async fn keep_coupon(
    writing: &mut Writing,
    id: u32,
    coupon_id: &str,
    residence: &str,
    record: Vec<u8>,
) -> Result<(), HubError> {
    let text = "INSERT INTO coupon (id, coupon_id, residence, record, version)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET residence = excluded.residence, record = excluded.record,
             version = excluded.version";
    keep(writing, sql(text).bind(id).bind(coupon_id).bind(residence), record).await
}

/// Who gets a coupon has changed, of which desks are told nothing.
pub(crate) async fn keep_residence(
    writing: &mut Writing,
    id: u32,
    residence: &str,
) -> Result<(), HubError> {
    let update = sql("UPDATE coupon SET residence = $1 WHERE id = $2").bind(residence).bind(id);
    writing.execute(update).await?;
    Ok(())
}

/// All coupons: serial number, id, and where people must live to be granted them, as JSON.
pub(crate) async fn coupons(reading: &mut Reading) -> Result<Vec<(u32, String, String)>, HubError> {
    let rows = reading.all(sql("SELECT id, coupon_id, residence FROM coupon ORDER BY id")).await?;
    rows.iter()
        .map(|row| Ok((row.get("id")?, row.get("coupon_id")?, row.get("residence")?)))
        .collect()
}

/// The record of a card system.
pub(crate) async fn card_system(
    reading: &mut Reading,
    id: i64,
) -> Result<Option<Vec<u8>>, HubError> {
    let select = sql("SELECT record AS found FROM card_system WHERE id = $1").bind(id);
    Ok(reading.value(select).await?)
}

/// Keeps a card system under a new version.
pub(crate) async fn keep_card_system(
    writing: &mut Writing,
    id: i64,
    record: Vec<u8>,
) -> Result<(), HubError> {
    let text = "INSERT INTO card_system (id, record, version) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET record = excluded.record, version = excluded.version";
    keep(writing, sql(text).bind(id), record).await
}

/// The record of a venue's policy.
pub(crate) async fn policy(
    reading: &mut Reading,
    venue: &str,
) -> Result<Option<Vec<u8>>, HubError> {
    let select = sql("SELECT record AS found FROM policy WHERE venue = $1").bind(venue);
    Ok(reading.value(select).await?)
}

/// Keeps a venue's policy under a new version. `own` where it is no copy of the default one.
pub(crate) async fn keep_policy(
    writing: &mut Writing,
    venue: &str,
    own: bool,
    record: Vec<u8>,
) -> Result<(), HubError> {
    let text = "INSERT INTO policy (venue, own, record, version) VALUES ($1, $2, $3, $4)
         ON CONFLICT (venue) DO UPDATE SET own = excluded.own, record = excluded.record,
             version = excluded.version";
    keep(writing, sql(text).bind(venue).bind(own), record).await
}

/// The rewards of which there is a limited stock, with their records.
pub(crate) async fn limited_rewards(
    reading: &mut Reading,
) -> Result<Vec<(u32, Vec<u8>)>, HubError> {
    let select = "SELECT r.id, r.record FROM reward r JOIN stock s ON s.reward = r.id
         ORDER BY r.id";
    let rows = reading.all(sql(select)).await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("record")?))).collect()
}
