//! The small parts of the catalogue, a second time: activities, rewards, coupons, card systems and the policy, in one
//! file beside the store. Without its activity a desk checks nobody in, whatever passes it still has; so these
//! are there where a store is begun anew. Some hundred records.

use std::fs;
use std::io;
use std::path::Path;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::POLICY;
use super::record::{Tree, checksum, closed, opened};
use super::shelf::{Shelf, encoded};
use crate::paths::write_durably;

/// The trees of which all records are kept; of the numbers it is the policy alone.
const KEPT: [Tree; 4] = [Tree::Activities, Tree::Rewards, Tree::Coupons, Tree::CardSystems];

/// A record, with its checksum behind its value.
#[derive(Encode, Decode)]
struct Kept {
    #[n(0)]
    tree: u8,
    #[n(1)]
    key: ByteVec,
    #[n(2)]
    value: ByteVec,
}

impl Kept {
    fn of(tree: Tree, key: &[u8], value: &[u8]) -> Self {
        let value = closed(checksum(tree, key, value), value);
        Self { tree: tree as u8, key: key.to_vec().into(), value: value.into() }
    }
}

/// Writes what the store has of them.
///
/// # Errors
/// Whatever the file system says; the earlier file is then still there.
pub(super) fn write(path: &Path, shelf: &Shelf) -> io::Result<()> {
    let mut kept = Vec::new();
    for tree in KEPT {
        let records = shelf.all(tree, b"").into_iter().flatten();
        kept.extend(records.map(|(key, value)| Kept::of(tree, &key, &value)));
    }
    let policy = shelf.get(Tree::Meta, POLICY).ok().flatten();
    kept.extend(policy.map(|value| Kept::of(Tree::Meta, POLICY, &value)));
    write_durably(path, &encoded(&kept))
}

/// What is kept and proves itself whole.
pub(super) fn read(path: &Path) -> Vec<(Tree, Vec<u8>, Vec<u8>)> {
    let kept: Option<Vec<Kept>> =
        fs::read(path).ok().and_then(|bytes| minicbor::decode(&bytes).ok());
    let mut found = Vec::new();
    for Kept { tree, key, value } in kept.unwrap_or_default() {
        if let Some(tree) = Tree::ALL.get(usize::from(tree)).copied()
            && let Ok((value, _)) = opened(tree, &key, &value)
        {
            found.push((tree, key.to_vec(), value.to_vec()));
        }
    }
    found
}
