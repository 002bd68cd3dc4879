//! Batches: the entries of one list, packed. Only entries travel, no changes: both sides rebuild
//! the canonical changes ([`crdt_model::ledger`]), and the seal covers the hash of the last one.

use thiserror::Error;

use crate::packing::{PackError, compress, decompress};

/// A batch's entries before packing, at the most.
pub const MAX_UNPACKED_BYTES: usize = 256 * 1024;

/// A batch's entries after packing, at the most: 64 KiB, so that no desk blocks a slow line.
pub const MAX_PACKED_BYTES: usize = 64 * 1024;

/// Entries in a batch at the most.
pub const MAX_BATCH_ENTRIES: usize = 4096;

/// Why packed entries cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// The packing is broken or over its bound.
    #[error(transparent)]
    Packing(#[from] PackError),
    /// The entries' lengths do not add up.
    #[error("the entries do not fit their lengths")]
    Lengths,
    /// Too many.
    #[error("more than {MAX_BATCH_ENTRIES} entries")]
    TooMany,
}

/// Packs as many of these entries as fit into one batch, and says how many. Each stands behind one
/// byte of length ([`crdt_model::entry::MAX_ENTRY_BYTES`] is 256; length 256 is written as 0, which
/// no entry has).
pub fn pack<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, usize) {
    let (mut plain, mut count) = (Vec::new(), 0);
    for entry in entries.into_iter().take(MAX_BATCH_ENTRIES) {
        // Entries of at most 256 bytes, and zstd adds less than one in 256 plus a few bytes.
        if plain.len() + entry.len() + 1 > MAX_PACKED_BYTES - 1024 {
            break;
        }
        push(&mut plain, entry);
        count += 1;
    }
    (compress(&plain), count)
}

/// Packs all of these entries, which fit one batch: they came in one, or [`MAX_PACKED_BYTES`] hold them unpacked.
pub(crate) fn pack_all<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut plain = Vec::new();
    for entry in entries {
        push(&mut plain, entry);
    }
    compress(&plain)
}

fn push(plain: &mut Vec<u8>, entry: &[u8]) {
    #[allow(clippy::cast_possible_truncation, reason = "256 is meant to become 0")]
    plain.push(entry.len() as u8);
    plain.extend_from_slice(entry);
}

/// The entries of a batch.
///
/// # Errors
/// [`BatchError`].
pub fn unpack(packed: &[u8]) -> Result<Vec<Vec<u8>>, BatchError> {
    let plain = decompress(packed, MAX_UNPACKED_BYTES)?;
    let mut entries = Vec::new();
    let mut rest = &plain[..];
    while let Some((length, behind)) = rest.split_first() {
        let length = if *length == 0 { 256 } else { usize::from(*length) };
        if behind.len() < length {
            return Err(BatchError::Lengths);
        }
        if entries.len() == MAX_BATCH_ENTRIES {
            return Err(BatchError::TooMany);
        }
        let (entry, further) = behind.split_at(length);
        entries.push(entry.to_vec());
        rest = further;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_packing_and_a_batch_keeps_to_its_bound() {
        let entries: Vec<Vec<u8>> = (0..6000u32)
            .map(|n| n.to_be_bytes().repeat(1 + usize::try_from(n % 64).unwrap()))
            .collect();
        let (packed, count) = pack(entries.iter().map(Vec::as_slice));
        assert!(packed.len() <= MAX_PACKED_BYTES);
        assert!(count < entries.len());
        assert_eq!(unpack(&packed).unwrap(), entries[..count]);
    }

    #[test]
    fn a_batch_that_would_inflate_beyond_its_bound_is_refused() {
        let bomb = compress(&vec![1; MAX_UNPACKED_BYTES + 1]);
        assert!(bomb.len() < 1000);
        assert!(matches!(unpack(&bomb), Err(BatchError::Packing(_))));
        assert_eq!(unpack(&compress(&[5, 1, 2])), Err(BatchError::Lengths));
    }
}
