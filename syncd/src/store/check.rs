//! The check of a whole store, a few records at a time while the desk works: each record proves itself, and all of
//! them together are those that the tally counted.

use super::StoreError;
use super::record::{Tally, Tree, TreeTally};

/// What a check has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// It goes on.
    NotYet,
    /// Everything is there.
    Whole,
    /// Something is not: what was found first.
    Damaged(String),
}

/// A check that goes on.
#[derive(Debug, Clone, Default)]
pub(super) struct Check {
    /// The place in [`Tree::ALL`], and the last key that was seen there.
    tree: usize,
    after: Option<Vec<u8>>,
    found: Tally,
    damage: Option<String>,
}

impl Check {
    /// Where it goes on: the tree, and the key behind which.
    pub(super) fn place(&self) -> Option<(Tree, Option<Vec<u8>>)> {
        Some((*Tree::ALL.get(self.tree)?, self.after.clone()))
    }

    /// What was found so far.
    pub(super) fn finding(&self) -> Finding {
        match &self.damage {
            _ if self.tree < Tree::ALL.len() => Finding::NotYet,
            None => Finding::Whole,
            Some(what) => Finding::Damaged(what.clone()),
        }
    }

    /// What is the matter, as soon as it is known.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// The passes that prove themselves whole, once all of them were read.
    pub(super) fn passes(&self) -> Option<u64> {
        (self.tree > Tree::Passes as usize).then(|| self.found.of(Tree::Passes).records)
    }

    /// A record that proves itself whole.
    pub(super) fn found(&mut self, key: &[u8], checksum: u64) {
        if let Some(tree) = Tree::ALL.get(self.tree) {
            self.found.of_mut(*tree).add(checksum);
        }
        self.after = Some(key.to_vec());
    }

    /// A record that does not.
    pub(super) fn failed(&mut self, key: &[u8], why: &str) {
        self.damage.get_or_insert_with(|| why.to_owned());
        self.after = Some(key.to_vec());
    }

    /// The tree's end. `counted` is what it is to have, where that is known.
    pub(super) fn end_of_tree(&mut self, counted: Option<&TreeTally>) {
        if let (Some(tree), Some(counted)) = (Tree::ALL.get(self.tree), counted) {
            let found = self.found.of(*tree);
            if found != counted {
                let (tree, found, counted) = (tree.name(), found.records, counted.records);
                self.damage.get_or_insert_with(|| {
                    if found == counted {
                        format!("of its {tree} some are not the latest")
                    } else {
                        format!("it has {found} of {counted} {tree}")
                    }
                });
            }
        }
        self.next_tree();
    }

    /// The tree cannot be read further.
    pub(super) fn broken_tree(&mut self, error: &StoreError) {
        self.damage.get_or_insert_with(|| error.to_string());
        self.next_tree();
    }

    fn next_tree(&mut self) {
        self.tree += 1;
        self.after = None;
    }

    /// A record was changed: where the check has been there, what it found changes with it.
    pub(super) fn changed(&mut self, tree: Tree, key: &[u8], change: impl FnOnce(&mut TreeTally)) {
        let place = tree as usize;
        let seen = place < self.tree
            || place == self.tree && self.after.as_deref().is_some_and(|after| key <= after);
        if seen {
            change(self.found.of_mut(tree));
        }
    }
}
