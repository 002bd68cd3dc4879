//! The catalogue: numbered changes, and the pages in which desks get them.

use std::collections::HashMap;

use crdt_model::catalogue::{Activity, Folded, Item, PassRecord, Policy, Reward};
use crdt_model::ids::{PassId, VenueId};
use crdt_model::time::{UnixMillis, date_of_day_number};
use sqlx::{Row, SqliteConnection, SqlitePool};
use sync_protocol::catalogue::{MAX_PAGE_ITEMS, pack};
use sync_protocol::message::CataloguePage;

use crate::db::{HubError, from_sql, to_sql};

/// Days for which a record says which entries it includes: as long as a desk counts them.
const FOLDED_DAYS: i32 = 41;

/// Items on a page whose records may be large are bounded by number: a record has some 200 bytes,
/// 500 with many limits, so 1,000 stay within `MAX_PAGE_BYTES`.
const PAGE_ITEMS: i64 = MAX_PAGE_ITEMS as i64;

/// The next number of the catalogue.
pub(crate) async fn next_version(connection: &mut SqliteConnection) -> Result<i64, HubError> {
    let before: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT value FROM meta WHERE name = 'catalogue'")
            .fetch_optional(&mut *connection)
            .await?;
    let before = before.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes);
    let next = before + 1;
    sqlx::query("INSERT OR REPLACE INTO meta (name, value) VALUES ('catalogue', ?)")
        .bind(&next.to_be_bytes()[..])
        .execute(connection)
        .await?;
    Ok(next)
}

/// The catalogue's version now.
///
/// # Errors
/// [`HubError`].
pub async fn version(connection: &mut SqliteConnection) -> Result<u64, HubError> {
    let value: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT value FROM meta WHERE name = 'catalogue'")
            .fetch_optional(connection)
            .await?;
    Ok(from_sql(value.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes)))
}

/// The page behind version `from` for a venue's desks, or nothing where they have all.
///
/// # Errors
/// [`HubError`].
pub async fn page(
    pool: &SqlitePool,
    venue: &VenueId,
    from: u64,
    now: UnixMillis,
) -> Result<Option<CataloguePage>, HubError> {
    // One read transaction: the records, what they include and the version belong together.
    let mut reading = pool.begin().await?;
    let current = version(&mut reading).await?;
    if current <= from {
        return Ok(None);
    }
    let found = sqlx::query(
        "SELECT version, 0 AS kind, record, id FROM pass WHERE version > ?1
         UNION ALL SELECT version, 1, record, id FROM activity WHERE version > ?1 AND venue = ?2
         UNION ALL SELECT version, 2, record, id FROM reward WHERE version > ?1
         UNION ALL SELECT version, 3, record, id FROM policy WHERE version > ?1
         ORDER BY version LIMIT ?3",
    )
    .bind(to_sql(from))
    .bind(venue.as_str())
    .bind(PAGE_ITEMS)
    .fetch_all(&mut *reading)
    .await?;
    let last = found.len() < MAX_PAGE_ITEMS;
    let reached = found.last().map(|row| row.get::<i64, _>(0)).map_or(current, from_sql);
    let mut items = Vec::with_capacity(found.len());
    for row in &found {
        let record: &[u8] = row.get(2);
        items.push(match row.get::<i64, _>(1) {
            0 => Item::Pass(minicbor::decode::<PassRecord>(record)?),
            1 => Item::Activity(minicbor::decode::<Activity>(record)?),
            2 => Item::Reward(minicbor::decode::<Reward>(record)?),
            _ => Item::Policy(minicbor::decode::<Policy>(record)?),
        });
    }
    say_what_is_folded(&mut reading, venue, &mut items, now).await?;
    let to = if last { current } else { reached };
    Ok(Some(CataloguePage { from, to, last, items: pack(&items) }))
}

/// The passes that must be refused and have changed since `from`: sent before everything else. The
/// page moves nothing, so its `to` is its `from`.
///
/// # Errors
/// [`HubError`].
pub async fn deny_list(
    pool: &SqlitePool,
    venue: &VenueId,
    from: u64,
    now: UnixMillis,
) -> Result<Option<CataloguePage>, HubError> {
    let mut reading = pool.begin().await?;
    let found: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT record FROM pass WHERE version > ? AND NOT active ORDER BY version LIMIT ?",
    )
    .bind(to_sql(from))
    .bind(PAGE_ITEMS)
    .fetch_all(&mut *reading)
    .await?;
    if found.is_empty() {
        return Ok(None);
    }
    let mut items = Vec::with_capacity(found.len());
    for record in &found {
        items.push(Item::Pass(minicbor::decode(record)?));
    }
    say_what_is_folded(&mut reading, venue, &mut items, now).await?;
    Ok(Some(CataloguePage { from, to: from, last: false, items: pack(&items) }))
}

/// Writes into each record which of this venue's entries it includes. Exact for each record, which
/// a count for a whole page could not be: a page may end between two passes of one batch.
async fn say_what_is_folded(
    connection: &mut SqliteConnection,
    venue: &VenueId,
    items: &mut [Item],
    now: UnixMillis,
) -> Result<(), HubError> {
    let first_day = i32::try_from(now.0.div_euclid(86_400_000)).unwrap_or_default() - FOLDED_DAYS;
    let passes: Vec<u64> = items
        .iter()
        .filter_map(|item| match item {
            Item::Pass(record) => Some(record.pass.0),
            Item::Activity(_) | Item::Reward(_) | Item::Policy(_) => None,
        })
        .collect();
    if passes.is_empty() {
        return Ok(());
    }
    let asked = serde_json::to_string(&passes).unwrap_or_default();
    let rows = sqlx::query(
        "SELECT pass, day, writer, MAX(idx) FROM entry
         WHERE pass IN (SELECT value FROM json_each(?)) AND venue = ? AND day >= ?
         GROUP BY pass, day, writer",
    )
    .bind(asked)
    .bind(venue.as_str())
    .bind(first_day)
    .fetch_all(connection)
    .await?;
    let mut folded: HashMap<PassId, Vec<Folded>> = HashMap::new();
    for row in rows {
        let writer: Vec<u8> = row.get(2);
        let Ok(writer) = writer.try_into() else { continue };
        folded.entry(PassId(from_sql(row.get(0)))).or_default().push(Folded {
            day: row.get(1),
            writer,
            entries: from_sql(row.get::<i64, _>(3)) + 1,
        });
    }
    // Yesterday, for a venue's day may begin before or behind UTC's.
    let yesterday = date_of_day_number(first_day + FOLDED_DAYS - 1);
    for item in items {
        if let Item::Pass(record) = item {
            record.folded = folded.remove(&record.pass).unwrap_or_default();
            if let Some(yesterday) = yesterday {
                record.account.forget_before(yesterday);
            }
        }
    }
    Ok(())
}
