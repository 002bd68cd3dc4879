//! What a desk says of limited stock.

use crdt_model::ids::RewardId;
use crdt_model::stock::{GrantId, Units};
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

/// A desk gives a grant back: what it says here it has handed out, the rest it never will.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Closing {
    /// Which.
    #[n(0)]
    pub grant: GrantId,
    /// The units that were handed out, in order.
    #[n(1)]
    pub used: Vec<u32>,
    /// Its device's signature: [`crate::seal::DeviceKey::sign_closing`].
    #[cbor(n(2), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
}

/// A grant that a desk holds, as it tells a hub that was restored from an older copy.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StatedGrant {
    /// Its serial number.
    #[n(0)]
    pub grant: GrantId,
    /// Of which reward.
    #[n(1)]
    pub reward: RewardId,
    /// Which units.
    #[n(2)]
    pub units: Units,
    /// The units that were handed out, in order.
    #[n(3)]
    pub used: Vec<u32>,
}

/// All grants that a desk holds, also where there are none: a hub that was restored grants nothing new before it knows
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Stated {
    /// A list of [`StatedGrant`] in CBOR, as it was signed.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub grants: Vec<u8>,
    /// Its device's signature: [`crate::seal::DeviceKey::sign_stated`].
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
}
