//! Pages of the catalogue, packed.

use crdt_model::catalogue::{Item, ItemName};
use minicbor::Decoder;
use minicbor::data::Type;
use thiserror::Error;

use crate::packing::{PackError, compress, decompress};

/// A page's items before packing, at the most. Packed they fit a frame whatever they hold.
pub const MAX_PAGE_BYTES: usize = 512 * 1024;

/// Items in a page at the most: 1,000 records of some 100 bytes are on a desk's disk at once.
pub const MAX_PAGE_ITEMS: usize = 1000;

/// Why a page cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PageError {
    /// The packing is broken or over its bound.
    #[error(transparent)]
    Packing(#[from] PackError),
    /// An item is not one.
    #[error("an item cannot be read: {why}")]
    Item {
        /// What the decoder met.
        why: String,
    },
}

/// Packs items. The caller keeps to [`MAX_PAGE_ITEMS`].
pub fn pack(items: &[Item]) -> Vec<u8> {
    compress(&minicbor::to_vec(items).unwrap_or_default())
}

/// As many items as one page holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitting {
    /// The page's items, packed.
    pub packed: Vec<u8>,
    /// How many of the items, from the first on, are settled with it: at least one where there is any.
    pub settled: usize,
    /// Those of the settled that no page could hold. They are left out, for they would stop the catalogue for good.
    pub too_large: Vec<ItemName>,
}

/// Packs as many items as one page holds.
pub fn fitting<'a>(items: impl IntoIterator<Item = &'a Item>) -> Fitting {
    // The array's own header has at most 9 bytes.
    const HEADER: usize = 9;
    let (mut bytes, mut settled) = (HEADER, 0);
    let (mut kept, mut too_large) = (Vec::new(), Vec::new());
    for item in items {
        let encoded = minicbor::to_vec(item).unwrap_or_default();
        if encoded.len() + HEADER > MAX_PAGE_BYTES {
            too_large.push(item.name());
        } else if bytes + encoded.len() > MAX_PAGE_BYTES {
            break;
        } else {
            bytes += encoded.len();
            kept.push(encoded);
        }
        settled += 1;
    }
    let mut encoder = minicbor::Encoder::new(Vec::with_capacity(bytes));
    let header = encoder.array(kept.len() as u64).map(drop);
    debug_assert!(header.is_ok(), "writing to memory does not fail");
    let mut plain = encoder.into_writer();
    for item in &kept {
        plain.extend_from_slice(item);
    }
    Fitting { packed: compress(&plain), settled, too_large }
}

/// The items of a page. Those of a kind that a newer hub knows, and this version does not, are passed over.
///
/// # Errors
/// [`PageError`].
pub fn unpack(packed: &[u8]) -> Result<Vec<Item>, PageError> {
    let plain = decompress(packed, MAX_PAGE_BYTES)?;
    items_of(&plain).map_err(|error| PageError::Item { why: error.to_string() })
}

fn items_of(plain: &[u8]) -> Result<Vec<Item>, minicbor::decode::Error> {
    let mut decoder = Decoder::new(plain);
    let mut items = Vec::new();
    let mut lacking = decoder.array()?;
    loop {
        match &mut lacking {
            Some(0) => return Ok(items),
            Some(more) => *more -= 1,
            None if decoder.datatype()? == Type::Break => return Ok(items),
            None => {}
        }
        if is_known(decoder.clone())? {
            items.push(decoder.decode()?);
        } else {
            decoder.skip()?;
        }
    }
}

/// Whether the item that stands here is of a kind that this version knows: an item is its kind, then its fields.
fn is_known(mut item: Decoder<'_>) -> Result<bool, minicbor::decode::Error> {
    item.array()?;
    Ok(item.u32()? <= Item::HIGHEST_KIND)
}

#[cfg(test)]
mod tests {
    use crdt_model::catalogue::Activity;
    use crdt_model::ids::{ActivityId, PassId};
    use minicbor::Encode;

    use super::*;

    /// Items of a later release: the same kinds, and another.
    #[derive(Encode)]
    #[allow(clippy::large_enum_variant, reason = "a test has a handful of them")]
    enum NewerItem {
        #[n(1)]
        Activity(#[n(0)] Activity),
        #[n(6)]
        Gone(#[n(0)] ItemName),
        #[n(7)]
        Song(#[n(0)] String, #[n(1)] Vec<u64>),
        #[n(8)]
        Silence,
    }

    fn activity() -> Activity {
        Activity::new(ActivityId(1), "event-1", "Story hour", "de-reede".parse().unwrap())
    }

    #[test]
    fn kinds_that_a_newer_hub_knows_are_passed_over_and_what_stands_around_them_is_read() {
        let song = || NewerItem::Song("x".to_owned(), vec![1, 2]);
        let newer = [
            song(),
            NewerItem::Activity(activity()),
            NewerItem::Silence,
            NewerItem::Gone(ItemName::Pass(PassId(3))),
            song(),
        ];
        let packed = compress(&minicbor::to_vec(&newer[..]).unwrap());
        let known = [Item::Activity(activity()), Item::Gone(ItemName::Pass(PassId(3)))];
        assert_eq!(unpack(&packed).unwrap(), known);
        assert_eq!(unpack(&pack(&known)).unwrap(), known);
    }

    #[test]
    fn every_kind_that_this_version_writes_it_reads() {
        let gone = minicbor::to_vec(Item::Gone(ItemName::Policy)).unwrap();
        let kind = u32::from(gone[1]);
        assert_eq!((gone[0], kind), (0x82, Item::HIGHEST_KIND), "the highest kind is the last");
        assert!(is_known(Decoder::new(&gone)).unwrap());
    }

    #[test]
    fn a_known_kind_that_cannot_be_read_is_not_passed_over() {
        // Two items: an activity whose fields are a text, and one that is whole.
        let broken = [
            &[0x82, 0x82, 0x01, 0x61, b'x'][..],
            &minicbor::to_vec(Item::Activity(activity())).unwrap(),
        ]
        .concat();
        assert!(matches!(unpack(&compress(&broken)), Err(PageError::Item { .. })));
    }

    #[test]
    fn as_many_items_as_fit_are_settled_by_a_page() {
        let of = |id, bytes| {
            let title = "x".repeat(bytes);
            Item::Activity(Activity {
                title,
                ..Activity { activity: ActivityId(id), ..activity() }
            })
        };
        let half = MAX_PAGE_BYTES / 2;
        let items = [of(1, half), of(2, MAX_PAGE_BYTES), of(3, half - 1000), of(4, half)];
        let page = fitting(&items);
        assert_eq!((page.settled, page.too_large), (3, vec![ItemName::Activity(ActivityId(2))]));
        assert_eq!(unpack(&page.packed).unwrap(), [items[0].clone(), items[2].clone()]);
        assert_eq!(fitting([]).settled, 0);
    }
}
