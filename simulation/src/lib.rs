//! The hub and the desk that ship in a simulated world: lines that break at any byte, crashes, power cuts, disks that are
//! full or put back, clocks that are wrong. Each seed is a world of its own, and the same world each time.
//!
//! `./dev sim` lives through as many as one likes; `docs/simulation.md` says what was found.

#![allow(clippy::unwrap_used, reason = "a world ends with the first thing that is wrong")]
#![allow(clippy::missing_panics_doc, reason = "that is how a world says what is wrong")]

mod check;
mod desk;
mod disk;
mod enrolling;
mod hub;
#[path = "../../sync-protocol/tests/simulation/link.rs"]
mod link;
mod template;
mod world;

use std::collections::BTreeMap;

pub use crate::hub::Planted;
use crate::world::World;

/// What happened, and how often.
pub type Counts = BTreeMap<&'static str, u64>;

/// Lives one world through. What happened in it, and a hash of all that was said.
pub fn live(seed: u64, planted: Planted) -> (Counts, u64) {
    disk::let_power_cuts_be_quiet();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { World::new(seed, planted).await.run().await })
}
