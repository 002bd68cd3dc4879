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
    kept.iter().for_each(|item| plain.extend_from_slice(item));
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
