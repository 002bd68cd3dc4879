//! What the hub lets this desk hand out of limited rewards, and what of that it gives back: one small
//! file, written durably. Not in sled, for a store that a power cut has put back would let a desk hand
//! out what it has given back. Lost, it does no harm: the hub says it again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crdt_model::stock::{GrantId, GrantedUnits};
use minicbor::{Decode, Encode};

use crate::paths::write_durably;
use crate::proven::{prove, proven};

/// The file's contents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Stock {
    /// What the hub last said that this desk may hand out.
    #[n(0)]
    pub grants: Vec<GrantedUnits>,
    /// What of that is given back, until the hub has heard of it.
    #[n(1)]
    pub closing: Vec<GrantId>,
    /// Grants of which a part of what was handed out may have been lost for ever: nothing more is handed out by them,
    /// and nothing is stated about them.
    #[n(2)]
    #[cbor(default)]
    pub doubted: Vec<GrantId>,
}

/// The file.
#[derive(Debug)]
pub struct StockFile {
    path: PathBuf,
    kept: Stock,
}

impl StockFile {
    /// Opens the file. One that cannot be read, or does not prove itself whole, holds nothing: the hub says it again. A
    /// flipped bit in a grant's number would let the desk hand its units out anew.
    pub fn open(path: &Path) -> Self {
        let kept = fs::read(path).ok().and_then(|bytes| minicbor::decode(proven(&bytes)?).ok());
        Self { path: path.to_owned(), kept: kept.unwrap_or_default() }
    }

    /// What is kept.
    pub fn kept(&self) -> &Stock {
        &self.kept
    }

    /// Keeps something else: durable before this returns.
    ///
    /// # Errors
    /// Whatever the file system says; then what was kept before still is.
    pub fn keep(&mut self, stock: Stock) -> io::Result<()> {
        if stock != self.kept {
            write_durably(&self.path, &prove(minicbor::to_vec(&stock).unwrap_or_default()))?;
            self.kept = stock;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crdt_model::ids::RewardId;
    use crdt_model::stock::Units;

    use super::*;

    #[test]
    fn what_is_kept_is_there_after_a_restart_and_a_damaged_file_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stock");
        let units = Units { first: 3, count: 5 };
        let stock = Stock {
            grants: vec![GrantedUnits { grant: GrantId(7), reward: RewardId(2), units }],
            closing: vec![GrantId(6)],
            doubted: vec![GrantId(7)],
        };
        StockFile::open(&path).keep(stock.clone()).unwrap();
        assert_eq!(*StockFile::open(&path).kept(), stock);
        let whole = fs::read(&path).unwrap();
        for damaged in crate::proven::damage::each_of(&whole) {
            fs::write(&path, damaged).unwrap();
            assert_eq!(*StockFile::open(&path).kept(), Stock::default());
        }
    }
}
