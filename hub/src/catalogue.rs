//! The catalogue as desks are told it: numbered changes, with what each record includes of the venue's entries.

use crdt_model::catalogue::{Item, ItemName};
use crdt_model::ids::VenueId;
use sync_protocol::feed::{Numbered, Standing};

use crate::db::{HubError, Reading};
use crate::records::runs::reached;
use crate::records::{self, entries};

/// Lists of which a record says how far it includes them: the pass's newest at the venue, by their days.
/// A pass is written into one list a visit, or two. No clock says which lists are new: a hub whose clock
/// is a year ahead would leave out those of today.
const FOLDED_LISTS: usize = 32;

/// A stretch of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The items, in the order of their numbers.
    pub items: Vec<Numbered>,
    /// Everything up to this number is in them.
    pub to: u64,
    /// Nothing stands beyond them.
    pub last: bool,
}

/// What a venue's desks lack behind a number: so many items at the most.
///
/// # Errors
/// [`HubError`].
pub async fn behind(
    reading: &mut Reading,
    venue: &VenueId,
    from: u64,
    most: usize,
) -> Result<Stretch, HubError> {
    let current = reached(reading).await?;
    if current <= from {
        return Ok(Stretch { items: Vec::new(), to: from, last: true });
    }
    let found = records::catalogue::behind(reading, venue, from, most).await?;
    let last = found.len() < most;
    let end = found.last().map_or(current, |(number, _)| *number);
    let items = numbered(reading, venue, found).await?;
    Ok(Stretch { items, to: if last { current } else { end }, last })
}

/// The passes that must be refused and have changed behind a number, so many at the most.
///
/// # Errors
/// [`HubError`].
pub async fn denied_behind(
    reading: &mut Reading,
    venue: &VenueId,
    behind: u64,
    most: usize,
) -> Result<Vec<Numbered>, HubError> {
    let found = records::catalogue::denied_behind(reading, behind, most).await?;
    numbered(reading, venue, found).await
}

/// How the items of these names stand for a venue's desks. Those that are numbered beyond `up_to` come with the pages.
///
/// # Errors
/// [`HubError`].
pub async fn standing(
    reading: &mut Reading,
    venue: &VenueId,
    names: &[ItemName],
    up_to: u64,
) -> Result<Vec<Standing<Item>>, HubError> {
    let found = records::catalogue::by_names(reading, venue, names).await?;
    let (mut standing, mut items) = (Vec::with_capacity(names.len()), Vec::new());
    for found in found {
        standing.push(match found {
            None => Standing::Gone,
            // One without a number is being changed.
            Some((number, _)) if number.is_none_or(|number| number > up_to) => Standing::Later,
            Some((_, item)) => {
                items.push(item);
                Standing::Is(())
            }
        });
    }
    say_what_is_folded(reading, venue, &mut items).await?;
    let mut items = items.into_iter();
    let standing = standing.into_iter().map(|it| match it {
        Standing::Is(()) => items.next().map_or(Standing::Later, Standing::Is),
        Standing::Later => Standing::Later,
        Standing::Gone => Standing::Gone,
    });
    Ok(standing.collect())
}

async fn numbered(
    reading: &mut Reading,
    venue: &VenueId,
    found: Vec<(u64, Item)>,
) -> Result<Vec<Numbered>, HubError> {
    let (numbers, mut items): (Vec<u64>, Vec<Item>) = found.into_iter().unzip();
    say_what_is_folded(reading, venue, &mut items).await?;
    let numbered = numbers.into_iter().zip(items);
    Ok(numbered.map(|(number, item)| Numbered { number, item }).collect())
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
            | Item::CardSystem(_)
            | Item::Gone(_) => None,
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
