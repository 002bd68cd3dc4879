//! What the hub's logic takes from the world.

pub use crdt_model::surroundings::Surroundings;
pub use service::surroundings::System;
