//! The domain of Stempel: what a pass, a ledger, an account and a verdict are.
//!
//! - A *ledger* ([`ledger::Ledger`]) is one venue's day: an Automerge document with one list of
//!   *entries* ([`entry::Entry`]) for each desk. Desks append; ledgers merge.
//! - An *account* ([`account::Account`]) is what a pass's entries add up to: [`account::fold`].
//! - A *verdict* is what [`decide`] answers to a tap, from the pass's record in the *catalogue*
//!   ([`catalogue`]), its account and the time. [`counter`] is the order in which a desk asks.
//!
//! There is no I/O here, no clock, no randomness and no async: all of that is arguments.
//!
//! ```
//! use crdt_model::entry::{Entry, Fact, Subject};
//! use crdt_model::ids::{ActivityId, DeviceId, PassId, Writer};
//! use crdt_model::ledger::{Ledger, LedgerId};
//! use crdt_model::time::UnixMillis;
//!
//! let id = LedgerId { venue: "de-reede".parse()?, day: "2026-11-21".parse()? };
//! let desk = |n| Writer { device: DeviceId([n; 16]), epoch: 1 };
//! let (mut here, mut there) = (Ledger::new(id.clone()), Ledger::new(id));
//!
//! let entry = Entry {
//!     at: UnixMillis(1_795_255_393_123),
//!     subject: Subject::Pass(PassId(7)),
//!     fact: Fact::CheckIn { activity: ActivityId(1), points: 1 },
//! };
//! let appended = here.appended(desk(1), &entry)?;
//! here.extend(&appended)?;
//!
//! // The other desk checks the change that it was sent, and merges it: once, however often.
//! let checked = there.check_change(appended.chunks())?;
//! there.extend(&checked)?;
//! there.extend(&checked)?;
//! assert_eq!(here, there);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod account;
pub mod authenticity;
pub mod catalogue;
pub mod chunk;
pub mod counter;
pub mod decide;
pub mod entry;
pub mod holder;
pub mod ids;
pub mod ledger;
pub mod limits;
pub mod money;
pub mod receipt;
#[cfg(test)]
mod samples;
pub mod stock;
pub mod surroundings;
pub mod time;
