//! Decisions: what a desk answers, and why. Pure functions of the records, the account and the time.
//!
//! One file per question. A decision never looks at a clock, a file or the network, and never says
//! anything of a social tariff that a bystander could read (invariant 11).

mod check_in;
mod reason;
mod redeem;
mod visit;
mod void;

pub use check_in::check_in;
pub use reason::{Reason, UnknownReason, VerdictKind};
pub use redeem::{RewardOffer, redeem, rewards_for};
pub use visit::visit;
pub use void::void;

use crate::account::Account;
use crate::catalogue::PassRecord;

/// A pass as a decision sees it: its record, and its account with the entries of this venue that
/// the record does not include yet.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The record.
    pub record: &'a PassRecord,
    /// The account.
    pub account: &'a Account,
}

#[cfg(test)]
mod tests;
