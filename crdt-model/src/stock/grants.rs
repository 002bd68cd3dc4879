//! What is granted: runs of numbered units, and how a grant stands.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, RewardId};

/// The hub's serial number of a grant. A later grant has a higher one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct GrantId(#[n(0)] pub u64);

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A run of numbered units of one reward. Units are numbered from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct Units {
    /// The lowest number.
    #[n(0)]
    pub first: u32,
    /// How many.
    #[n(1)]
    pub count: u32,
}

impl Units {
    /// The run from `first` up to, and without, `end`, unless there is nothing in it.
    pub(super) fn between(first: u32, end: u32) -> Option<Self> {
        let count = end.checked_sub(first).filter(|count| *count > 0)?;
        Some(Self { first, count })
    }

    /// The number behind the last unit.
    pub fn end(self) -> u32 {
        self.first.saturating_add(self.count)
    }

    /// Whether this unit is one of them.
    pub fn contains(self, unit: u32) -> bool {
        (self.first..self.end()).contains(&unit)
    }

    /// Their numbers, the lowest first.
    pub fn iter(self) -> Range<u32> {
        self.first..self.end()
    }
}

/// A unit under the grant that it was handed out by: what a redemption names.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// The grant.
    #[n(0)]
    pub grant: GrantId,
    /// The unit's number.
    #[n(1)]
    pub unit: u32,
}

/// The numbers of the used units that name this grant, the lowest first.
pub(super) fn used_under(used: &BTreeSet<Unit>, grant: GrantId) -> impl Iterator<Item = u32> + '_ {
    used.range(Unit { grant, unit: 0 }..=Unit { grant, unit: u32::MAX }).map(|used| used.unit)
}

/// How a grant stands with the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cbor(index_only)]
pub enum GrantState {
    /// Its desk hands out its units.
    #[n(0)]
    Active,
    /// Its desk is thought lost. It may still be handing out units, so none of them is free.
    #[n(1)]
    Frozen,
    /// Its desk closed it by a statement of what it had handed out; the rest was given back.
    #[n(2)]
    Settled,
    /// An operator gave its units up, for ever.
    #[n(3)]
    WrittenOff,
}

impl fmt::Display for GrantState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::Settled => "settled",
            Self::WrittenOff => "written off",
        })
    }
}

/// A grant as the hub keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its serial number.
    pub grant: GrantId,
    /// Of which reward.
    pub reward: RewardId,
    /// To which desk.
    pub device: DeviceId,
    /// Which units.
    pub units: Units,
    /// How it stands.
    pub state: GrantState,
    /// The units that the desk's closing statement says it has handed out; set exactly when a
    /// statement has closed it.
    pub stated_used: Option<BTreeSet<u32>>,
    /// The units whose use the hub knew of when the grant was written off; until then, none.
    pub used_at_write_off: BTreeSet<u32>,
}

impl Grant {
    /// The runs that it has not given back. No other grant may have a unit of them.
    pub(super) fn held(&self) -> Vec<Units> {
        match &self.stated_used {
            Some(stated) => stated.iter().map(|unit| Units { first: *unit, count: 1 }).collect(),
            None => vec![self.units],
        }
    }
}

/// A grant as it is sent to its desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct GrantedUnits {
    /// Its serial number.
    #[n(0)]
    pub grant: GrantId,
    /// Of which reward.
    #[n(1)]
    pub reward: RewardId,
    /// Which units.
    #[n(2)]
    pub units: Units,
}
