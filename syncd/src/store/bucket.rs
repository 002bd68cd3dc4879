//! Buckets: records whose keys lie next to each other, kept as one value of sled's.
//!
//! sled splits a leaf that has more than 16 values, however small they are, and reads of every leaf where it lies before
//! it is open. With one value a record, that note had 3.8 MB for 500,000 passes with a card each, and most of a start
//! went by on it; with buckets it has 0.7 MB.

use std::ops::Range;

use sled::IVec;

use super::StoreError;
use super::record::Tree;

/// Passes in a bucket: 8, which is about a kilobyte. sled writes a bucket anew with every change in it.
const PASSES_BITS: u32 = 3;

/// Bytes of a card's name that say in which bucket it is: 65,536 buckets, which are of eight cards where a desk knows
/// 500,000. The names are as good as random.
const NAME_BYTES: usize = 2;

/// Bytes before a record: the length of its key, and that of its value.
const HEAD_BYTES: usize = 1 + 4;

/// The key of the bucket that has this key's record; nothing where the tree's records are kept one by one. Buckets are in
/// the order of their records.
pub(super) fn bucket_of(tree: Tree, key: &[u8]) -> Option<Vec<u8>> {
    match tree {
        Tree::Passes | Tree::Holders => {
            let pass = key.first_chunk().map_or(0, |pass| u64::from_be_bytes(*pass));
            Some((pass >> PASSES_BITS).to_be_bytes().to_vec())
        }
        Tree::Cards => Some(key.iter().copied().take(NAME_BYTES).collect()),
        Tree::Meta
        | Tree::Activities
        | Tree::Rewards
        | Tree::Coupons
        | Tree::CardSystems
        | Tree::Pictures
        | Tree::Acknowledged => None,
    }
}

/// Takes the first record off what is left of a bucket: where its key and its value lie.
fn record_at(
    tree: Tree,
    bytes: &[u8],
    at: usize,
) -> Result<(Range<usize>, Range<usize>), StoreError> {
    let damaged =
        || StoreError::Damaged(format!("a part of its {} cannot be taken apart", tree.name()));
    let rest = bytes.get(at..).unwrap_or_default();
    let [key, value @ ..] = *rest.first_chunk::<HEAD_BYTES>().ok_or_else(damaged)?;
    let of_key = at + HEAD_BYTES;
    let of_value = of_key + usize::from(key);
    let end = of_value + u32::from_be_bytes(value) as usize;
    if end > bytes.len() {
        return Err(damaged());
    }
    Ok((of_key..of_value, of_value..end))
}

/// The value of a key in a bucket's bytes.
///
/// # Errors
/// [`StoreError::Damaged`] where the lengths before it do not add up.
pub(super) fn found_in<'a>(
    tree: Tree,
    bytes: &'a [u8],
    key: &[u8],
) -> Result<Option<&'a [u8]>, StoreError> {
    let mut at = 0;
    while at < bytes.len() {
        let (of_key, of_value) = record_at(tree, bytes, at)?;
        at = of_value.end;
        if bytes[of_key] == *key {
            return Ok(Some(&bytes[of_value]));
        }
    }
    Ok(None)
}

/// The records of a bucket, in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Bucket(Vec<(IVec, IVec)>);

impl Bucket {
    /// Takes a bucket apart. Its records prove themselves, it does not.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where its lengths do not add up.
    pub(super) fn of(tree: Tree, bytes: &IVec) -> Result<Self, StoreError> {
        let (mut records, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let (key, value) = record_at(tree, bytes, at)?;
            at = value.end;
            let part = |it: Range<usize>| bytes.subslice(it.start, it.len());
            records.push((part(key), part(value)));
        }
        Ok(Self(records))
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&IVec> {
        self.0.iter().find(|(found, _)| *found == key).map(|(_, value)| value)
    }

    /// Puts a value in the place of the one that is there, which it gives back.
    pub(super) fn put(&mut self, key: &[u8], value: Vec<u8>) -> Option<IVec> {
        let place = self.0.partition_point(|(found, _)| &**found < key);
        if let Some((_, there)) = self.0.get_mut(place).filter(|(found, _)| *found == key) {
            return Some(std::mem::replace(there, value.into()));
        }
        self.0.insert(place, (key.into(), value.into()));
        None
    }

    /// Removes a value, and gives it back.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<IVec> {
        let place = self.0.iter().position(|(found, _)| *found == key)?;
        Some(self.0.remove(place).1)
    }

    /// Its records.
    pub(super) fn records(self) -> impl Iterator<Item = (IVec, IVec)> {
        self.0.into_iter()
    }

    /// What is kept of it; nothing where it has no records.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        for (key, value) in &self.0 {
            // Keys have 16 bytes at the most, and a record comes in a frame of a megabyte.
            bytes.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(keys: &[u8]) -> Bucket {
        let mut bucket = Bucket::default();
        for key in keys {
            assert_eq!(bucket.put(&[*key], vec![*key; 3]), None);
        }
        bucket
    }

    #[test]
    fn records_come_back_in_the_order_of_their_keys() {
        let mut bucket = bucket(&[3, 1, 2]);
        assert_eq!(bucket.put(&[2], vec![9]).unwrap(), [2; 3]);
        assert_eq!(bucket.remove(&[3]).unwrap(), [3; 3]);
        let again = Bucket::of(Tree::Cards, &bucket.to_bytes().unwrap().into()).unwrap();
        assert_eq!(again.get(&[1]).unwrap(), &[1; 3]);
        let bytes = again.to_bytes().unwrap();
        assert_eq!(found_in(Tree::Cards, &bytes, &[2]).unwrap(), Some(&[9][..]));
        assert_eq!(found_in(Tree::Cards, &bytes, &[3]).unwrap(), None);
        let records: Vec<_> = again.records().map(|(key, value)| (key[0], value.len())).collect();
        assert_eq!(records, [(1, 3), (2, 1)]);
        assert_eq!(Bucket::default().to_bytes(), None);
    }

    #[test]
    fn one_that_was_cut_is_damaged_wherever_the_cut_is_not_between_two_records() {
        let whole = bucket(&[1, 2]).to_bytes().unwrap();
        for end in 1..whole.len() {
            let cut = Bucket::of(Tree::Cards, &whole[..end].into());
            assert_eq!(cut.is_ok(), end == whole.len() / 2, "{end}");
            assert_eq!(found_in(Tree::Cards, &whole[..end], &[2]).is_ok(), cut.is_ok());
        }
    }

    #[test]
    fn buckets_are_in_the_order_of_their_records() {
        let of = |pass: u64| bucket_of(Tree::Passes, &pass.to_be_bytes()).unwrap();
        assert_eq!(of(8), of(15));
        assert!(of(7) < of(8) && of(15) < of(16) && of(255) < of(256));
        let of = |name: [u8; 16]| bucket_of(Tree::Cards, &name).unwrap();
        assert!(of([1; 16]) < of([2; 16]));
    }
}
