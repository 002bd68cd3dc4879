//! What is looked up in a store: in the sled that is written first, then in those that are only read, and the list of
//! blocked cards over all of them.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use crdt_model::catalogue::{Activity, CardName, CardSystem, Coupon, PassRecord, Policy, Reward};
use crdt_model::holder::SealedHolder;
use crdt_model::ids::{CardKey, PassId, Writer};

use super::record::Tree;
use super::shelf::Shelf;
use super::{Cursor, POLICY, Store, StoreError, number};

impl Store {
    /// Returns the value. On an error, stores it for `heal` and returns `None`.
    pub(super) fn noted<T>(&self, found: Result<Option<T>, StoreError>) -> Option<T> {
        found.unwrap_or_else(|error| {
            let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
            if noticed.is_none() {
                tracing::error!(%error, "a part of the pass list cannot be read");
            }
            noticed.get_or_insert(error);
            self.alarm.notify_one();
            None
        })
    }

    /// As [`Store::noted`]; what is wrong with one that is only read is known.
    pub(super) fn read<T>(&self, shelf: &Shelf, found: Result<Option<T>, StoreError>) -> Option<T> {
        let current = self.current.as_ref().is_some_and(|current| current.number == shelf.number);
        if current { self.noted(found) } else { found.ok().flatten() }
    }

    /// The pass that carries this card, if the catalogue knows it.
    ///
    /// # Errors
    /// [`StoreError::Closed`] where nobody can know.
    pub fn pass_of_card(&self, card: &CardKey) -> Result<Option<PassRecord>, StoreError> {
        let mut found = None;
        for shelf in self.shelves() {
            let pass = self.read(shelf, shelf.get(Tree::Cards, card));
            if let Some(pass) =
                pass.and_then(|key| Some(PassId(u64::from_be_bytes(key.try_into().ok()?))))
                && let Some(record) = self.record(pass)
            {
                found = Some(record);
                break;
            }
        }
        // No damage to the records makes a blocked card welcome.
        if let Some(denial) = self.denied.get(card) {
            return Ok(Some(denial.upon(found, CardName(*card))));
        }
        if self.closed.is_some() && found.is_none() { Err(self.is_closed()) } else { Ok(found) }
    }

    /// The record of a pass.
    pub fn pass(&self, pass: PassId) -> Option<PassRecord> {
        let mut record = self.record(pass)?;
        for card in record.cards.clone() {
            if let Some(denial) = self.denied.get(&card.name.0) {
                record = denial.upon(Some(record), card.name);
            }
        }
        Some(record)
    }

    pub(super) fn record(&self, pass: PassId) -> Option<PassRecord> {
        self.shelves().find_map(|shelf| self.decoded(shelf, Tree::Passes, &pass.0.to_be_bytes()))
    }

    fn decoded<T: for<'b> minicbor::Decode<'b, ()>>(
        &self,
        shelf: &Shelf,
        tree: Tree,
        key: &[u8],
    ) -> Option<T> {
        let value = shelf.get(tree, key);
        let found = value.and_then(|value| match value {
            Some(value) => Ok(Some(minicbor::decode(&value)?)),
            None => Ok(None),
        });
        self.read(shelf, found)
    }

    /// All records of a tree, by their keys: the newest of each.
    pub(super) fn all<T: for<'b> minicbor::Decode<'b, ()>>(&self, tree: Tree) -> Vec<T> {
        let mut found: BTreeMap<Vec<u8>, T> = BTreeMap::new();
        for shelf in self.shelves() {
            for pair in shelf.all(tree, b"") {
                let decoded =
                    pair.and_then(|(key, value)| Ok(Some((key, minicbor::decode(&value)?))));
                if let Some((key, record)) = self.read(shelf, decoded) {
                    found.entry(key).or_insert(record);
                }
            }
        }
        found.into_values().collect()
    }

    /// The venue's activities, in the hub's order.
    pub fn activities(&self) -> Vec<Activity> {
        self.all(Tree::Activities)
    }

    /// The rewards, in the hub's order.
    pub fn rewards(&self) -> Vec<Reward> {
        self.all(Tree::Rewards)
    }

    /// The coupons.
    pub fn coupons(&self) -> Vec<Coupon> {
        self.all(Tree::Coupons)
    }

    /// The card systems.
    pub fn card_systems(&self) -> Vec<CardSystem> {
        self.all(Tree::CardSystems)
    }

    /// The venue's policy; the cautious default before the hub has said one.
    pub fn policy(&self) -> Policy {
        let said = self.shelves().find_map(|shelf| self.decoded(shelf, Tree::Meta, POLICY));
        said.unwrap_or_default()
    }

    /// The sealed part of a pass's record, with its picture.
    pub fn holder(&self, pass: PassId) -> Option<SealedHolder> {
        let key = pass.0.to_be_bytes();
        for shelf in self.shelves() {
            let found: Option<SealedHolder> = self.decoded(shelf, Tree::Holders, &key);
            let Some(mut sealed) = found else { continue };
            let pieces: Result<Vec<_>, _> = shelf.all(Tree::Pictures, &key).into_iter().collect();
            let Some(pieces) = self.read(shelf, pieces.map(Some)) else { continue };
            let picture: Vec<u8> = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
            sealed.picture = (!picture.is_empty()).then_some(picture);
            return Some(sealed);
        }
        None
    }

    /// A number that the desk keeps about its link to the hub; 0 before it was ever set.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn cursor(&self, cursor: Cursor) -> Result<u64, StoreError> {
        let of = |shelf: &Shelf| self.read(shelf, shelf.get(Tree::Meta, cursor.key()));
        match cursor {
            // The largest value in any sled.
            Cursor::CatalogueAt | Cursor::HubClock => {
                Ok(self.shelves().filter_map(of).map(|it| number(Some(&it))).max().unwrap_or(0))
            }
            Cursor::Catalogue | Cursor::Venue | Cursor::Holders => match &self.current {
                Some(shelf) => Ok(number(of(shelf).as_deref())),
                None => Err(self.is_closed()),
            },
        }
    }

    /// How many entries of its lists the hub has acknowledged.
    pub fn acknowledgements(&self) -> Vec<(i32, Writer, u64)> {
        let mut found = Vec::new();
        for shelf in self.current.iter().chain(self.aside.iter().filter(|_| self.current.is_none()))
        {
            for pair in shelf.all(Tree::Acknowledged, b"") {
                let Some((key, value)) = self.read(shelf, pair.map(Some)) else { continue };
                let Some((day, writer)) = key.split_first_chunk::<4>() else { continue };
                let Ok(writer) = Writer::from_bytes(writer) else { continue };
                found.push((i32::from_be_bytes(*day), writer, number(Some(&value))));
            }
        }
        found
    }
}
