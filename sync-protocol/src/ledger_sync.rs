//! Judging a batch: may it be merged? The same rule at the hub and at a desk, whoever carried it.

use crdt_model::ledger::{Extension, LedgerId, MergeError, Position};

use crate::batch::{self, BatchError};
use crate::message::Batch;
use crate::seal::seal_holds;

/// What is to be done with a batch.
#[derive(Debug)]
pub enum Judgement {
    /// Merge this; its end is sealed by its device.
    Merge(Extension),
    /// All of it is held already.
    Held,
    /// Something before it is lacking: ask for it from here.
    Lacking {
        /// How many entries are held.
        held: u64,
    },
    /// Set it apart: it is malformed, or its device did not seal it. Never merged, never dropped.
    Quarantine(QuarantineReason),
}

/// Why a batch is set apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuarantineReason {
    /// The entries cannot be unpacked.
    #[error("the entries cannot be unpacked: {0}")]
    Packing(#[from] BatchError),
    /// An entry is not one, or there are too many.
    #[error("the entries cannot be merged: {0}")]
    Entries(MergeError),
    /// The seal does not cover what the list would be.
    #[error("the list would not be what its device sealed")]
    Seal,
}

/// Judges a batch for a ledger of which `held` is held in the batch's list.
pub fn judge(batch: &Batch, ledger: &LedgerId, held: Position) -> Judgement {
    let writer = batch.writer.writer();
    let entries = match batch::unpack(&batch.entries) {
        Ok(entries) => entries,
        Err(error) => return Judgement::Quarantine(error.into()),
    };
    match Extension::behind(ledger, writer, held, batch.first, entries.iter().map(Vec::as_slice)) {
        Ok(extension) if extension.entries().is_empty() => Judgement::Held,
        Ok(extension)
            if seal_holds(&batch.seal, ledger, &writer, &extension.head(), &batch.public_key) =>
        {
            Judgement::Merge(extension)
        }
        Ok(_) => Judgement::Quarantine(QuarantineReason::Seal),
        Err(MergeError::Gap { held, .. }) => Judgement::Lacking { held },
        Err(error) => Judgement::Quarantine(QuarantineReason::Entries(error)),
    }
}
