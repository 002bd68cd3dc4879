//! The desk's side: what it may hand out without asking.

use std::collections::BTreeSet;

use super::grants::{GrantId, GrantedUnits, Unit, used_under};
use super::number_of;
use crate::ids::RewardId;

/// A desk asks for more when no more than this part of what it was granted is left, in percent.
const RUNS_LOW_PERCENT: u64 = 25;

/// What a desk has been granted and has used of it.
///
/// A grant that the desk closes leaves `grants` for good, on its disk too, before the statement
/// goes out: a unit that is handed out behind the statement's back may be another desk's by then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// The grants that the desk hands out by, in any order, of any reward.
    pub grants: Vec<GrantedUnits>,
    /// The units that its standing redemptions name, under these grants or others.
    pub used: BTreeSet<Unit>,
}

impl Holding {
    /// The unit to hand out next: the lowest that is unused in the oldest grant that has one, so
    /// that what is given back is in one run.
    pub fn next_unit(&self, reward: RewardId) -> Option<Unit> {
        let unused = |of: &GrantedUnits| {
            let grant = of.grant;
            let mut units = of.units.iter().map(|unit| Unit { grant, unit });
            units.find(|unit| !self.used.contains(unit))
        };
        self.of(reward).filter_map(unused).min()
    }

    /// How many units can be handed out without asking.
    pub fn left(&self, reward: RewardId) -> u32 {
        let used = |of: &GrantedUnits| {
            number_of(used_under(&self.used, of.grant).filter(|unit| of.units.contains(*unit)))
        };
        self.of(reward).map(|of| of.units.count - used(of)).sum()
    }

    /// How many units the desk was granted, used or not.
    pub fn granted(&self, reward: RewardId) -> u32 {
        self.of(reward).map(|of| of.units.count).sum()
    }

    /// Whether it is time to ask for more: a quarter is left or less, or nothing was ever granted.
    pub fn runs_low(&self, reward: RewardId) -> bool {
        u64::from(self.left(reward)) * 100 <= u64::from(self.granted(reward)) * RUNS_LOW_PERCENT
    }

    /// What the desk states when it closes this grant: the units that it has handed out by it. It
    /// follows from the redemptions alone, so it is also right where the grant was forgotten.
    pub fn closing_statement(&self, grant: GrantId) -> BTreeSet<u32> {
        used_under(&self.used, grant).collect()
    }

    fn of(&self, reward: RewardId) -> impl Iterator<Item = &GrantedUnits> {
        self.grants.iter().filter(move |of| of.reward == reward)
    }
}
