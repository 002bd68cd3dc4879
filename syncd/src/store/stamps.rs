//! Under which of the hub's numbers each item came: eight bytes behind its record. A hub that was restored from an older copy
//! is asked for all items that came beyond what both know, for it may have them in another form, or not at all.

use std::collections::BTreeSet;

use crdt_model::catalogue::ItemName;
use crdt_model::ids::{ActivityId, CardSystemId, CouponId, PassId, RewardId};
use minicbor::Encode;

use super::record::Tree;
use super::shelf::encoded;
use super::{Cursor, POLICY, Store, StoreError};

/// A record with the number that it came under.
pub(super) fn stamped<T: Encode<()>>(record: &T, stamp: u64) -> Vec<u8> {
    let mut bytes = encoded(record);
    bytes.extend_from_slice(&stamp.to_be_bytes());
    bytes
}

/// The number that a record came under; nothing where an earlier version of this program kept it.
fn stamp_of(value: &[u8]) -> Option<u64> {
    let mut decoder = minicbor::Decoder::new(value);
    decoder.skip().ok()?;
    value.get(decoder.position()..)?.try_into().ok().map(u64::from_be_bytes)
}

fn name_of(tree: Tree, key: &[u8]) -> Option<ItemName> {
    let short = || key.try_into().ok().map(u32::from_be_bytes);
    match tree {
        Tree::Passes | Tree::Holders => {
            Some(ItemName::Pass(PassId(u64::from_be_bytes(key.try_into().ok()?))))
        }
        Tree::Activities => short().map(ActivityId).map(ItemName::Activity),
        Tree::Rewards => short().map(RewardId).map(ItemName::Reward),
        Tree::Coupons => short().map(CouponId).map(ItemName::Coupon),
        Tree::CardSystems => short().map(CardSystemId).map(ItemName::CardSystem),
        Tree::Meta => (key == POLICY).then_some(ItemName::Policy),
        Tree::Cards | Tree::Pictures | Tree::Acknowledged => None,
    }
}

/// The trees whose records carry the number that they came under.
const STAMPED: [Tree; 7] = [
    Tree::Passes,
    Tree::Activities,
    Tree::Rewards,
    Tree::Coupons,
    Tree::CardSystems,
    Tree::Meta,
    Tree::Holders,
];

impl Store {
    /// The names of all items that came with a number beyond `catalogue`, and of all passes whose sealed part came with
    /// one beyond `holders`. What came without a number counts as come with the last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn names_beyond(&self, catalogue: u64, holders: u64) -> Result<Vec<ItemName>, StoreError> {
        let mut names = BTreeSet::new();
        for shelf in self.shelves() {
            for tree in STAMPED {
                let (bound, cursor) = match tree {
                    Tree::Holders => (holders, Cursor::Holders),
                    _ => (catalogue, Cursor::Catalogue),
                };
                let last = self.cursor(cursor)?;
                let found = shelf.each(tree, |key, value| {
                    if stamp_of(value).unwrap_or(last) > bound {
                        names.extend(name_of(tree, key));
                    }
                });
                // What is wrong with one that is only read is known.
                let current = self.current.as_ref().is_some_and(|it| it.number == shelf.number);
                if current {
                    found?;
                }
            }
        }
        Ok(names.into_iter().collect())
    }
}
