//! zstd with a bound: nothing is inflated beyond what its reader allows.

use thiserror::Error;

/// zstd's level: 3 is its default, and more buys little on bytes as short as entries.
const LEVEL: i32 = 3;

/// Why packed bytes cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot be unpacked into {bound} bytes: {why}")]
pub struct PackError {
    /// What its reader allows, in bytes.
    pub bound: usize,
    /// What zstd met.
    pub why: String,
}

/// Packs bytes.
pub fn compress(plain: &[u8]) -> Vec<u8> {
    // zstd fails on memory alone; sent bytes then stand as they are, and the reader refuses them.
    zstd::bulk::compress(plain, LEVEL).unwrap_or_default()
}

/// Unpacks bytes, at most `bound` of them.
///
/// # Errors
/// [`PackError`].
pub fn decompress(packed: &[u8], bound: usize) -> Result<Vec<u8>, PackError> {
    zstd::bulk::decompress(packed, bound)
        .map_err(|error| PackError { bound, why: error.to_string() })
}
