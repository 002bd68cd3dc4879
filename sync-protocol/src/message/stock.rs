//! What a desk says of limited stock.

use crdt_model::ids::RewardId;
use minicbor::{Decode, Encode};

/// A desk runs low on a limited reward and asks for units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Wanted {
    /// The reward.
    #[n(0)]
    pub reward: RewardId,
    /// How many units it would like.
    #[n(1)]
    pub units: u32,
    /// Somebody stands at the desk and wants one now: then the hub gives of its last ones, too.
    #[n(2)]
    pub now: bool,
}
