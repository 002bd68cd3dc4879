//! The catalogue: numbered changes, and the pages in which desks get them.

use std::collections::HashMap;

use crdt_model::catalogue::{
    Activity, CardSystem, Coupon, Folded, Item, PassRecord, Policy, Reward,
};
use crdt_model::ids::{PassId, VenueId};
use sqlx::{Row, SqliteConnection, SqlitePool};
use sync_protocol::catalogue::{MAX_PAGE_BYTES, MAX_PAGE_ITEMS, pack};
use sync_protocol::message::CataloguePage;

use crate::db::{HubError, from_sql, json_list, to_sql};
use crate::ledgers::encoded;

/// Lists of which a record says how far it includes them: the pass's newest at the venue, by their days.
/// A pass is written into one list a visit, or two. No clock says which lists are new: a hub whose clock
/// is a year ahead would leave out those of today.
const FOLDED_LISTS: usize = 32;

/// Items that are read for one page. What does not fit within [`MAX_PAGE_BYTES`] waits for the next.
#[allow(clippy::cast_possible_wrap, reason = "it is 1,000")]
const PAGE_ITEMS: i64 = MAX_PAGE_ITEMS as i64;

/// The next number of the catalogue.
pub(crate) async fn next_version(connection: &mut SqliteConnection) -> Result<i64, HubError> {
    next_versions(connection, 1).await
}

/// The first of the catalogue's next so many numbers.
pub(crate) async fn next_versions(
    connection: &mut SqliteConnection,
    many: usize,
) -> Result<i64, HubError> {
    let before = to_sql(version(connection).await?);
    let reached = before + to_sql(many as u64);
    sqlx::query("INSERT OR REPLACE INTO meta (name, value) VALUES ('catalogue', ?)")
        .bind(&reached.to_be_bytes()[..])
        .execute(connection)
        .await?;
    Ok(before + 1)
}

/// The catalogue's numbers as one transaction gives them out: read once, written back once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Versions {
    reached: i64,
    begun: i64,
}

impl Versions {
    pub(crate) async fn begin(connection: &mut SqliteConnection) -> Result<Self, HubError> {
        let begun = to_sql(version(connection).await?);
        Ok(Self { reached: begun, begun })
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> i64 {
        self.reached += 1;
        self.reached
    }

    /// Writes back how far they have come.
    pub(crate) async fn keep(self, connection: &mut SqliteConnection) -> Result<(), HubError> {
        let many = usize::try_from(self.reached - self.begun).unwrap_or_default();
        next_versions(connection, many).await.map(drop)
    }
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
         UNION ALL SELECT version, 3, record, 0 FROM policy WHERE version > ?1 AND venue = ?2
         UNION ALL SELECT version, 4, record, id FROM coupon WHERE version > ?1
         UNION ALL SELECT version, 5, record, id FROM card_system WHERE version > ?1
         ORDER BY version LIMIT ?3",
    )
    .bind(to_sql(from))
    .bind(venue.as_str())
    .bind(PAGE_ITEMS)
    .fetch_all(&mut *reading)
    .await?;
    let mut items = Vec::with_capacity(found.len());
    for row in &found {
        let record: &[u8] = row.get(2);
        items.push(match row.get::<i64, _>(1) {
            0 => Item::Pass(minicbor::decode::<PassRecord>(record)?),
            1 => Item::Activity(minicbor::decode::<Activity>(record)?),
            2 => Item::Reward(minicbor::decode::<Reward>(record)?),
            3 => Item::Policy(minicbor::decode::<Policy>(record)?),
            4 => Item::Coupon(minicbor::decode::<Coupon>(record)?),
            5 => Item::CardSystem(minicbor::decode::<CardSystem>(record)?),
            kind => return Err(HubError::Record(format!("there is no kind {kind} of item"))),
        });
    }
    say_what_is_folded(&mut reading, venue, &mut items).await?;
    let fitting = fitting(&mut items)?;
    let last = fitting == found.len() && found.len() < MAX_PAGE_ITEMS;
    let reached = fitting.checked_sub(1).map(|place| from_sql(found[place].get(0)));
    let to = reached.filter(|_| !last).unwrap_or(current);
    Ok(Some(CataloguePage { from, to, last, items: pack(&items), stamp: None, again_done: false }))
}

/// The passes that must be refused and have changed since `from`, those behind version `behind`:
/// sent before everything else. The page moves nothing, so its `to` is its `from`. With it comes the
/// version behind which the next such page begins.
///
/// # Errors
/// [`HubError`].
pub async fn deny_list(
    pool: &SqlitePool,
    venue: &VenueId,
    from: u64,
    behind: u64,
) -> Result<Option<(CataloguePage, u64)>, HubError> {
    let mut reading = pool.begin().await?;
    let found = sqlx::query(
        "SELECT version, record FROM pass WHERE version > ? AND NOT active ORDER BY version LIMIT ?",
    )
    .bind(to_sql(behind))
    .bind(PAGE_ITEMS)
    .fetch_all(&mut *reading)
    .await?;
    let mut items = Vec::with_capacity(found.len());
    for row in &found {
        items.push(Item::Pass(minicbor::decode(row.get(1))?));
    }
    say_what_is_folded(&mut reading, venue, &mut items).await?;
    let Some(last) = fitting(&mut items)?.checked_sub(1) else { return Ok(None) };
    let page = CataloguePage {
        from,
        to: from,
        last: false,
        items: pack(&items),
        stamp: None,
        again_done: false,
    };
    Ok(Some((page, from_sql(found[last].get(0)))))
}

/// Cuts items to what one page holds, and says how many of them are settled by it. An item that no
/// page could hold would stop the catalogue for good, so it is left out and the operator is told.
fn fitting(items: &mut Vec<Item>) -> Result<usize, HubError> {
    // The array's own header has at most 9 bytes.
    let (mut bytes, mut settled, mut kept) = (9, 0, Vec::with_capacity(items.len()));
    for item in items.drain(..) {
        let length = encoded(&item)?.len();
        if length + 9 > MAX_PAGE_BYTES {
            tracing::error!(place = settled, length, "an item of the catalogue fits no page");
        } else if bytes + length > MAX_PAGE_BYTES {
            break;
        } else {
            bytes += length;
            kept.push(item);
        }
        settled += 1;
    }
    *items = kept;
    Ok(settled)
}

/// Writes into each record which of this venue's entries it includes. Exact for each record, which
/// a count for a whole page could not be: a page may end between two passes of one batch.
async fn say_what_is_folded(
    connection: &mut SqliteConnection,
    venue: &VenueId,
    items: &mut [Item],
) -> Result<(), HubError> {
    let passes: Vec<u64> = items
        .iter()
        .filter_map(|item| match item {
            Item::Pass(record) => Some(record.pass.0),
            Item::Activity(_)
            | Item::Reward(_)
            | Item::Policy(_)
            | Item::Coupon(_)
            | Item::CardSystem(_)
            | Item::Gone(_) => None,
        })
        .collect();
    if passes.is_empty() {
        return Ok(());
    }
    let asked = json_list(&passes);
    // One more than is listed: where it begins, everything older is included.
    let rows = sqlx::query(
        "SELECT pass, day, writer, entries FROM (
             SELECT pass, day, writer, MAX(idx) + 1 AS entries,
                    ROW_NUMBER() OVER (PARTITION BY pass ORDER BY day DESC, writer) AS place
             FROM entry
             WHERE pass IN (SELECT value FROM json_each(?)) AND venue = ?
             GROUP BY pass, day, writer)
         WHERE place <= ? ORDER BY pass, place",
    )
    .bind(asked)
    .bind(venue.as_str())
    .bind(to_sql(FOLDED_LISTS as u64 + 1))
    .fetch_all(connection)
    .await?;
    let mut folded: HashMap<PassId, Vec<Folded>> = HashMap::new();
    for row in rows {
        let writer: Vec<u8> = row.get(2);
        let Ok(writer) = writer.try_into() else { continue };
        folded.entry(PassId(from_sql(row.get(0)))).or_default().push(Folded {
            day: row.get(1),
            writer,
            entries: from_sql(row.get(3)),
        });
    }
    for item in items {
        if let Item::Pass(record) = item {
            let mut lists = folded.remove(&record.pass).unwrap_or_default();
            let older = lists.split_off(lists.len().min(FOLDED_LISTS));
            record.folded_from = older.first().map_or(i32::MIN, |list| list.day.saturating_add(1));
            record.folded = lists;
            record.account.forget_old();
        }
    }
    Ok(())
}
