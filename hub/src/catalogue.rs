//! The catalogue: numbered changes, and the pages in which desks get them.

use crdt_model::catalogue::Item;
use crdt_model::ids::VenueId;
use sync_protocol::catalogue::{MAX_PAGE_BYTES, MAX_PAGE_ITEMS, pack};
use sync_protocol::message::CataloguePage;

use crate::db::{Db, HubError, Reading};
use crate::records::runs::reached;
use crate::records::{self, encoded, entries};

/// Lists of which a record says how far it includes them: the pass's newest at the venue, by their days.
/// A pass is written into one list a visit, or two. No clock says which lists are new: a hub whose clock
/// is a year ahead would leave out those of today.
const FOLDED_LISTS: usize = 32;

/// The number of the catalogue's newest change, or one above it: all numbers are of one sequence.
///
/// # Errors
/// [`HubError`].
pub async fn version(reading: &mut Reading) -> Result<u64, HubError> {
    reached(reading).await
}

/// The page behind version `from` for a venue's desks, or nothing where they have all.
///
/// # Errors
/// [`HubError`].
pub async fn page(db: &Db, venue: &VenueId, from: u64) -> Result<Option<CataloguePage>, HubError> {
    // One state of the database: the records, what they include and the version belong together.
    let mut reading = db.read().await?;
    let current = version(&mut reading).await?;
    if current <= from {
        return Ok(None);
    }
    let found = records::catalogue::behind(&mut reading, venue, from, MAX_PAGE_ITEMS).await?;
    let (numbers, mut items): (Vec<u64>, Vec<Item>) = found.into_iter().unzip();
    say_what_is_folded(&mut reading, venue, &mut items).await?;
    let fitting = fitting(&mut items)?;
    let last = fitting == numbers.len() && numbers.len() < MAX_PAGE_ITEMS;
    let reached = fitting.checked_sub(1).map(|place| numbers[place]);
    let to = reached.filter(|_| !last).unwrap_or(current);
    Ok(Some(CataloguePage { from, to, last, items: pack(&items) }))
}

/// The passes that must be refused and have changed since `from`, those behind version `behind`:
/// sent before everything else. The page moves nothing, so its `to` is its `from`. With it comes the
/// version behind which the next such page begins.
///
/// # Errors
/// [`HubError`].
pub async fn deny_list(
    db: &Db,
    venue: &VenueId,
    from: u64,
    behind: u64,
) -> Result<Option<(CataloguePage, u64)>, HubError> {
    let mut reading = db.read().await?;
    let found = records::catalogue::denied_behind(&mut reading, behind, MAX_PAGE_ITEMS).await?;
    let (numbers, mut items): (Vec<u64>, Vec<Item>) = found.into_iter().unzip();
    say_what_is_folded(&mut reading, venue, &mut items).await?;
    let Some(last) = fitting(&mut items)?.checked_sub(1) else { return Ok(None) };
    let page = CataloguePage { from, to: from, last: false, items: pack(&items) };
    Ok(Some((page, numbers[last])))
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
    reading: &mut Reading,
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
            | Item::CardSystem(_) => None,
        })
        .collect();
    if passes.is_empty() {
        return Ok(());
    }
    // One more than is listed: where it begins, everything older is included.
    let most = FOLDED_LISTS + 1;
    let mut folded = entries::lists_of_passes(reading, venue, passes, most).await?;
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
