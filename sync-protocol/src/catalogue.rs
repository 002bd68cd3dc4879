//! Pages of the catalogue, packed.

use crdt_model::catalogue::Item;
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

/// The items of a page.
///
/// # Errors
/// [`PageError`].
pub fn unpack(packed: &[u8]) -> Result<Vec<Item>, PageError> {
    let plain = decompress(packed, MAX_PAGE_BYTES)?;
    minicbor::decode(&plain).map_err(|error| PageError::Item { why: error.to_string() })
}
