//! What proves a record whole: a checksum over its tree, its key and its value, kept behind the value. A
//! flipped bit, a value under another's key and half a value do not prove themselves. What proves that a record
//! is there at all, and is the latest, is the [`Tally`] over all of them.

use minicbor::{Decode, Encode};
use ring::digest::{Context, SHA256};

use super::StoreError;

/// Bytes of a record's checksum.
pub(super) const CHECKSUM_BYTES: usize = 8;

/// The trees of the store. The number is a part of each record's checksum, and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tree {
    /// Catalogue and venue versions, policy.
    Meta = 0,
    /// pass → its record.
    Passes = 1,
    /// card name → pass.
    Cards = 2,
    Activities = 3,
    Rewards = 4,
    Coupons = 5,
    CardSystems = 6,
    /// pass → the sealed part of its record, without the picture.
    Holders = 7,
    /// pass and number → a piece of its sealed picture.
    Pictures = 8,
    /// day and writer → acknowledged entries.
    Acknowledged = 9,
}

impl Tree {
    pub(super) const ALL: [Self; 10] = [
        Self::Meta,
        Self::Passes,
        Self::Cards,
        Self::Activities,
        Self::Rewards,
        Self::Coupons,
        Self::CardSystems,
        Self::Holders,
        Self::Pictures,
        Self::Acknowledged,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Passes => "passes",
            Self::Cards => "cards",
            Self::Activities => "activities",
            Self::Rewards => "rewards",
            Self::Coupons => "coupons",
            Self::CardSystems => "card-systems",
            Self::Holders => "holders",
            Self::Pictures => "pictures",
            Self::Acknowledged => "acknowledged",
        }
    }
}

/// The checksum of a record. SHA-256 is at hand and costs a third of a microsecond; damage is no adversary, so
/// eight bytes of it do.
pub(super) fn checksum(tree: Tree, key: &[u8], value: &[u8]) -> u64 {
    let mut context = Context::new(&SHA256);
    context.update(&[tree as u8]);
    context.update(&(key.len() as u64).to_be_bytes());
    context.update(key);
    context.update(value);
    first_eight(context.finish().as_ref())
}

/// The first eight bytes, as a number.
pub(super) fn first_eight(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// A value with its checksum behind it.
pub(super) fn closed(checksum: u64, value: &[u8]) -> Vec<u8> {
    [value, &checksum.to_be_bytes()].concat()
}

/// The value and checksum of a record that proves itself whole.
///
/// # Errors
/// [`StoreError::Damaged`].
pub(super) fn opened<'a>(
    tree: Tree,
    key: &[u8],
    bytes: &'a [u8],
) -> Result<(&'a [u8], u64), StoreError> {
    let damaged = || {
        StoreError::Damaged(format!("a record of its {} does not prove itself whole", tree.name()))
    };
    let (value, stored) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(damaged)?;
    let stored = u64::from_be_bytes(*stored);
    if checksum(tree, key, value) == stored { Ok((value, stored)) } else { Err(damaged()) }
}

/// How many records a tree has, and the sum of their checksums: the same in whatever order they came. A record
/// that is lost, or came back in an older form, changes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct TreeTally {
    #[n(0)]
    pub records: u64,
    #[n(1)]
    pub sum: u64,
}

impl TreeTally {
    pub(super) fn add(&mut self, checksum: u64) {
        self.records = self.records.wrapping_add(1);
        self.sum = self.sum.wrapping_add(checksum);
    }

    pub(super) fn remove(&mut self, checksum: u64) {
        self.records = self.records.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(checksum);
    }
}

/// What all trees have. Written with every change, in the same transaction; and beside the store at each flush, for
/// what damages the store may damage this record with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Tally {
    /// Counts the changes: of two tallies the higher one is the later one.
    #[n(0)]
    pub revision: u64,
    /// In the order of [`Tree::ALL`].
    #[n(1)]
    pub trees: [TreeTally; Tree::ALL.len()],
}

impl Tally {
    pub(super) fn of(&self, tree: Tree) -> &TreeTally {
        &self.trees[tree as usize]
    }

    /// How many records there are in all.
    pub(super) fn records(&self) -> u64 {
        self.trees.iter().map(|tree| tree.records).fold(0, u64::saturating_add)
    }

    pub(super) fn of_mut(&mut self, tree: Tree) -> &mut TreeTally {
        &mut self.trees[tree as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_and_no_other_key_passes() {
        let bytes = closed(checksum(Tree::Passes, b"key", b"value"), b"value");
        assert_eq!(opened(Tree::Passes, b"key", &bytes).unwrap().0, b"value");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(opened(Tree::Passes, b"key", &flipped).is_err(), "bit {bit}");
        }
        assert!(opened(Tree::Passes, b"other", &bytes).is_err());
        assert!(opened(Tree::Cards, b"key", &bytes).is_err());
        assert!(opened(Tree::Passes, b"key", b"short").is_err());
    }

    #[test]
    fn a_tally_does_not_depend_on_the_order_and_shows_a_record_that_is_lost_or_stale() {
        let (mut one, mut other) = (TreeTally::default(), TreeTally::default());
        for n in [1, 2, 3] {
            one.add(n);
        }
        for n in [3, 1, 2] {
            other.add(n);
        }
        assert_eq!(one, other);
        other.remove(2);
        assert_ne!(one, other);
        other.add(9);
        assert_ne!(one, other);
    }
}
