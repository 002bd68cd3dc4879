//! Limited stock (contract: `maxAvailableUnits`): escrow with numbered units.
//!
//! The hub *grants* a desk a run of units, which that desk may hand out without asking; a redemption
//! names its grant and its unit. So two desks that cannot hear each other never hand out the same
//! unit, and whoever does is named by the grant. The hub keeps a [`Stock`] for each limited reward, a
//! desk keeps a [`Holding`].
//!
//! What a unit counts as is a function of the grants and of the set of units that redemptions name.
//! Each unit from 1 to the total is one of these, so they add up to it whatever has happened:
//!
//! | its newest grant is | a use of it stands | counts as |
//! | --- | --- | --- |
//! | none | | free |
//! | active or frozen | yes / no | used / active |
//! | settled | | used where the desk's closing statement names it, else free |
//! | written off | yes, and it was known then | used |
//! | written off | yes, and it was not | written off, and a *loss* |
//! | written off | no | written off |
//!
//! A use is never refused: the visitor has the reward. A use that nothing entitles the desk to is a
//! *breach*: kept, counted beside the sum, and laid to the grant's desk.
//!
//! Nothing here knows the time, and no time frees a unit: the hub cannot tell one that was not used
//! from one whose use it has not heard of. Only a desk's closing statement gives units back.

mod grants;
mod holding;

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::ids::{DeviceId, RewardId};

use grants::used_under;
pub use grants::{Grant, GrantId, GrantState, GrantedUnits, Unit, Units};
pub use holding::Holding;

/// Units of one reward at the most: a thousand times the largest in the contract's examples.
pub const MAX_TOTAL_UNITS: u32 = 1_000_000;

/// Units in one grant at the most: a closing statement that names them all, in 5 bytes each, stays
/// under 64 KiB.
pub const MAX_GRANT_UNITS: u32 = 10_000;

/// The part of a reward's total that no desk gets ahead of its visitors, in percent: what is left
/// for the desk that comes later.
pub const RESERVE_PERCENT: u8 = 30;

/// Why the hub cannot do something with a stock. The stock is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StockError {
    /// No grant of this stock has this number.
    #[error("there is no grant {grant} of this reward")]
    UnknownGrant {
        /// The number.
        grant: GrantId,
    },
    /// A new grant was to have the number of another.
    #[error("there is a grant {grant} already")]
    GrantExists {
        /// The number.
        grant: GrantId,
    },
    /// A grant that stands like this can never stand like that next.
    #[error("grant {grant} is {from} and cannot become {to}")]
    Transition {
        /// The grant.
        grant: GrantId,
        /// How it stands.
        from: GrantState,
        /// How it was to stand.
        to: GrantState,
    },
    /// A closing statement names a unit that the grant does not have.
    #[error("the closing statement of grant {grant} names unit {unit}, which is not in it")]
    NotInGrant {
        /// The grant.
        grant: GrantId,
        /// The unit's number, the lowest if there are several.
        unit: u32,
    },
    /// A second closing statement differs from the first, which may have freed units already.
    #[error("another closing statement of grant {grant} has been taken")]
    StatementDiffers {
        /// The grant.
        grant: GrantId,
    },
    /// The total would leave out units that a grant holds.
    #[error("a total of {total} leaves out granted units, it can be {lowest} at the least")]
    TotalBelowGranted {
        /// The total that was wanted.
        total: u32,
        /// The highest number that a grant holds.
        lowest: u32,
    },
    /// A grant that a desk states has units that another grant holds, or is not the grant that is known under its
    /// number: one of the two desks may hand out what is not its own.
    #[error("grant {grant} of units {} to {} is not the hub's: grant {held_by} holds some of them", units.first, units.end().saturating_sub(1))]
    Overlaps {
        /// The grant that was stated.
        grant: GrantId,
        /// Its units, as they were stated.
        units: Units,
        /// The grant that is known: another one, or the same number for something else.
        held_by: GrantId,
    },
    /// A grant that a desk states has no units, more than a grant may have, or units that no reward has.
    #[error("grant {grant} states {} units from {}, which no grant can have", units.count, units.first)]
    Impossible {
        /// The grant that was stated.
        grant: GrantId,
        /// Its units, as they were stated.
        units: Units,
    },
    /// The total is over [`MAX_TOTAL_UNITS`].
    #[error("a reward has at most {MAX_TOTAL_UNITS} units, not {total}")]
    TotalTooLarge {
        /// The total that was wanted.
        total: u32,
    },
}

/// What is wrong with a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreachKind {
    /// It names a grant that this stock does not know.
    UnknownGrant,
    /// It names a unit that its grant does not have.
    OutsideGrant,
    /// The closing statement left it out, and its unit may be another desk's by now.
    NotStated,
}

/// A use that nothing entitled the desk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breach {
    /// What the redemption names.
    pub unit: Unit,
    /// The desk that has the grant; `None` where the grant is unknown.
    pub device: Option<DeviceId>,
    /// What is wrong with it.
    pub kind: BreachKind,
}

/// What a stock's units count as: active + used + free + written off = total.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// In the hands of a desk, and not used as far as the hub knows.
    pub active: u32,
    /// Handed out.
    pub used: u32,
    /// To be granted.
    pub free: u32,
    /// Given up.
    pub written_off: u32,
    /// Units among the written off that were handed out all the same.
    pub losses: u32,
    /// Uses that nothing entitled a desk to, in order of grant and unit. They are in no sum. Where
    /// the kind is [`BreachKind::NotStated`], the use may yet turn out to be taken back.
    pub breaches: Vec<Breach>,
}

/// All that the hub knows about one limited reward.
///
/// The fields are open for whoever keeps them in rows; the operations see to it that no two grants
/// hold the same unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// The reward.
    pub reward: RewardId,
    /// How many units there are: 1 to this.
    pub total: u32,
    /// The reserve in percent of the total: see [`Stock::grant`].
    pub reserve_percent: u8,
    /// How many of the last free units go one at a time, and to desks online only.
    pub online_units: u32,
    /// Every grant, also those that are over.
    pub grants: BTreeMap<GrantId, Grant>,
    /// The units that standing redemptions name: see [`Stock::record`].
    pub used: BTreeSet<Unit>,
}

impl Stock {
    /// A stock of which nothing has been granted, with the usual reserve.
    ///
    /// # Errors
    /// [`StockError::TotalTooLarge`].
    pub fn new(reward: RewardId, total: u32, online_units: u32) -> Result<Self, StockError> {
        let mut stock = Self {
            reward,
            total: 0,
            reserve_percent: RESERVE_PERCENT,
            online_units,
            grants: BTreeMap::new(),
            used: BTreeSet::new(),
        };
        stock.set_total(total)?;
        Ok(stock)
    }

    /// Grants a desk at most `wanted` units, and at most [`MAX_GRANT_UNITS`]: the lowest free run, so
    /// fewer where units that were given back lie apart; the desk asks again. `None` where there is
    /// nothing for it now; the number `id` is not taken then.
    ///
    /// `online` says that the desk asks for a visitor who stands there while the hub can be reached;
    /// otherwise it asks ahead, for when it cannot be. The less is left, the less is given ahead:
    ///
    /// | free units | asked ahead | online |
    /// | --- | --- | --- |
    /// | over the reserve | down to the reserve | down to the online units |
    /// | in the reserve | nothing | down to the online units |
    /// | the last `online_units` | nothing | one, to a desk that has no other left |
    ///
    /// The reserve is `reserve_percent` of the total, rounded up. It is what a desk that comes later
    /// is served from, so no desk takes of it for visitors that may never come. Of the last units
    /// one is given at a time, and the next when the use of the one before has been recorded: an
    /// asking that is repeated because its answer was lost drains nothing.
    ///
    /// # Errors
    /// [`StockError::GrantExists`].
    pub fn grant(
        &mut self,
        id: GrantId,
        device: DeviceId,
        wanted: u32,
        online: bool,
    ) -> Result<Option<GrantedUnits>, StockError> {
        if self.grants.contains_key(&id) {
            return Err(StockError::GrantExists { grant: id });
        }
        let free = self.free_runs();
        let allowed = self.allowed(device, online, free.iter().map(|run| run.count).sum());
        let count = wanted.min(allowed).min(MAX_GRANT_UNITS);
        let Some(run) = free.first().filter(|_| count > 0) else { return Ok(None) };
        let units = Units { first: run.first, count: run.count.min(count) };
        let grant = Grant {
            grant: id,
            reward: self.reward,
            device,
            units,
            state: GrantState::Active,
            stated_used: None,
            used_at_write_off: BTreeSet::new(),
        };
        self.grants.insert(id, grant);
        Ok(Some(GrantedUnits { grant: id, reward: self.reward, units }))
    }

    /// Takes up again a grant that its desk still holds and that this stock has forgotten, as after a restore from an
    /// older copy: it counts as active. Says whether that is news; the same statement again changes nothing, nor does
    /// one of a grant that is known as this desk's, however it stands. The total rises where the grant reaches beyond
    /// it: the units were given out when there were so many.
    ///
    /// # Errors
    /// [`StockError::Overlaps`] where another grant holds one of the units, or the number is that of another grant;
    /// [`StockError::Impossible`] where no grant could be like this.
    pub fn restate(&mut self, device: DeviceId, stated: GrantedUnits) -> Result<bool, StockError> {
        let GrantedUnits { grant, units, .. } = stated;
        let end = u64::from(units.first) + u64::from(units.count);
        let possible = units.first >= 1
            && (1..=MAX_GRANT_UNITS).contains(&units.count)
            && end <= u64::from(MAX_TOTAL_UNITS) + 1
            && stated.reward == self.reward;
        if !possible {
            return Err(StockError::Impossible { grant, units });
        }
        let overlaps = |held_by| StockError::Overlaps { grant, units, held_by };
        if let Some(known) = self.grants.get(&grant) {
            let same = known.device == device && known.units == units;
            return if same { Ok(false) } else { Err(overlaps(grant)) };
        }
        let meets = |run: &Units| run.first < units.end() && units.first < run.end();
        let holds_some = |known: &&Grant| known.held().iter().any(meets);
        if let Some(other) = self.grants.values().find(holds_some) {
            return Err(overlaps(other.grant));
        }
        self.book(device, stated);
        Ok(true)
    }

    /// Books a grant that its desk holds though another grant holds units of it, too: that one's desk has not stated yet
    /// whether it gave them back. Until it has, both count as held, and a use of either is its desk's.
    pub fn book(&mut self, device: DeviceId, stated: GrantedUnits) {
        let GrantedUnits { grant, units, .. } = stated;
        let known = Grant {
            grant,
            reward: self.reward,
            device,
            units,
            state: GrantState::Active,
            stated_used: None,
            used_at_write_off: BTreeSet::new(),
        };
        self.grants.entry(grant).or_insert(known);
        self.total = self.total.max(units.end().saturating_sub(1));
    }

    /// How many units a desk may have now, by the table at [`Stock::grant`].
    fn allowed(&self, device: DeviceId, online: bool, free: u32) -> u32 {
        if !online {
            return free.saturating_sub(self.reserve().max(self.online_units));
        }
        match free.saturating_sub(self.online_units) {
            0 if self.has_unit_left(device) => 0,
            0 => free.min(1),
            above => above,
        }
    }

    /// The reserve in units.
    fn reserve(&self) -> u32 {
        let units = (u64::from(self.total) * u64::from(self.reserve_percent)).div_ceil(100);
        u32::try_from(units).unwrap_or(u32::MAX)
    }

    /// Whether this desk has a unit in hand that, as far as the hub knows, it has not used.
    fn has_unit_left(&self, device: DeviceId) -> bool {
        let in_hand = |grant: &&Grant| match grant.state {
            GrantState::Active | GrantState::Frozen => grant.device == device,
            GrantState::Settled | GrantState::WrittenOff => false,
        };
        self.grants
            .values()
            .filter(in_hand)
            .any(|grant| number_of(self.standing(grant)) < grant.units.count)
    }

    /// Records that a standing redemption names this unit, and says whether that is news. It is
    /// never refused: the visitor has the reward.
    ///
    /// A use is a unit here and not a redemption. The caller keeps redemptions and voids as sets
    /// and says what follows from both: it records a unit when the first redemption that names it
    /// comes to stand, and takes it back when the last one that did is void. So it does not matter
    /// which came first.
    ///
    /// What only redemptions show is the caller's to report: two of them that stand and name the
    /// same unit, or one that is in the list of another desk than the grant's.
    pub fn record(&mut self, unit: Unit) -> bool {
        self.used.insert(unit)
    }

    /// Takes back that a standing redemption names this unit, and says whether that is news. Its
    /// desk may hand it out again; where the grant is settled and the statement names it, it stays
    /// used, for the desk has no grant any more to hand it out by.
    pub fn take_back(&mut self, unit: Unit) -> bool {
        self.used.remove(&unit)
    }

    /// Takes a desk's closing statement: what it has not used is free again. A frozen grant can be
    /// closed too: its desk was not lost. The same statement again changes nothing.
    ///
    /// # Errors
    /// [`StockError`] where the grant is unknown or written off, the statement names a unit that is
    /// not the grant's, or it names a unit that an earlier one did not.
    pub fn close(&mut self, grant: GrantId, stated_used: BTreeSet<u32>) -> Result<(), StockError> {
        let found = self.grants.get_mut(&grant).ok_or(StockError::UnknownGrant { grant })?;
        match found.state {
            GrantState::Active | GrantState::Frozen => {}
            GrantState::Settled
                if found.stated_used.as_ref().is_some_and(|taken| stated_used.is_subset(taken)) =>
            {
                return Ok(());
            }
            GrantState::Settled => return Err(StockError::StatementDiffers { grant }),
            from @ GrantState::WrittenOff => {
                return Err(StockError::Transition { grant, from, to: GrantState::Settled });
            }
        }
        if let Some(unit) = stated_used.iter().find(|unit| !found.units.contains(**unit)) {
            return Err(StockError::NotInGrant { grant, unit: *unit });
        }
        found.state = GrantState::Settled;
        found.stated_used = Some(stated_used);
        Ok(())
    }

    /// Marks an active grant as that of a lost desk. No unit changes what it counts as.
    ///
    /// # Errors
    /// [`StockError`] where the grant is unknown, settled or written off.
    pub fn freeze(&mut self, grant: GrantId) -> Result<(), StockError> {
        self.turn(grant, GrantState::Active, GrantState::Frozen).map(|_| ())
    }

    /// Makes a frozen grant active again: its desk was found.
    ///
    /// # Errors
    /// As [`Stock::freeze`].
    pub fn thaw(&mut self, grant: GrantId) -> Result<(), StockError> {
        self.turn(grant, GrantState::Frozen, GrantState::Active).map(|_| ())
    }

    /// Gives up, for ever, the units of a frozen grant whose use is not known. They are not granted
    /// anew: a use of one that comes to light later is a loss, and no unit is handed out twice.
    ///
    /// # Errors
    /// [`StockError`] where the grant is unknown, active (an operator freezes first) or settled.
    pub fn write_off(&mut self, grant: GrantId) -> Result<(), StockError> {
        let known: BTreeSet<u32> =
            self.grants.get(&grant).into_iter().flat_map(|grant| self.standing(grant)).collect();
        if let Some(turned) = self.turn(grant, GrantState::Frozen, GrantState::WrittenOff)? {
            turned.used_at_write_off = known;
        }
        Ok(())
    }

    /// Turns a grant from one state to the next; `None` where it stands there already, so that an
    /// operator's click may come twice.
    fn turn(
        &mut self,
        grant: GrantId,
        from: GrantState,
        to: GrantState,
    ) -> Result<Option<&mut Grant>, StockError> {
        let found = self.grants.get_mut(&grant).ok_or(StockError::UnknownGrant { grant })?;
        if found.state == to {
            return Ok(None);
        }
        if found.state != from {
            return Err(StockError::Transition { grant, from: found.state, to });
        }
        found.state = to;
        Ok(Some(found))
    }

    /// Sets how many units there are: more where the operator restocks, fewer where the highest
    /// are free.
    ///
    /// # Errors
    /// [`StockError::TotalBelowGranted`] and [`StockError::TotalTooLarge`].
    pub fn set_total(&mut self, total: u32) -> Result<(), StockError> {
        if total > MAX_TOTAL_UNITS {
            return Err(StockError::TotalTooLarge { total });
        }
        let ends = self.grants.values().flat_map(Grant::held).map(Units::end);
        let lowest = ends.max().map_or(0, |end| end.saturating_sub(1));
        if total < lowest {
            return Err(StockError::TotalBelowGranted { total, lowest });
        }
        self.total = total;
        Ok(())
    }

    /// What the units count as, by the table at the head of this module.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally {
            free: self.free_runs().iter().map(|run| run.count).sum(),
            breaches: self.used.iter().filter_map(|unit| self.breach(*unit)).collect(),
            ..Tally::default()
        };
        for grant in self.grants.values() {
            let standing = number_of(self.standing(grant));
            match grant.state {
                GrantState::Active | GrantState::Frozen => {
                    tally.used += standing;
                    tally.active += grant.units.count - standing;
                }
                GrantState::Settled => {
                    tally.used += grant.held().iter().map(|run| run.count).sum::<u32>();
                }
                GrantState::WrittenOff => {
                    let known = |unit: &u32| grant.used_at_write_off.contains(unit);
                    let known = number_of(self.standing(grant).filter(known));
                    tally.used += known;
                    tally.written_off += grant.units.count - known;
                    tally.losses += standing - known;
                }
            }
        }
        tally
    }

    /// The units of this grant that a standing redemption names under it.
    fn standing(&self, grant: &Grant) -> impl Iterator<Item = u32> + use<'_> {
        let units = grant.units;
        used_under(&self.used, grant.grant).filter(move |unit| units.contains(*unit))
    }

    /// The runs that no grant holds, the lowest first.
    fn free_runs(&self) -> Vec<Units> {
        let mut held: Vec<Units> = self.grants.values().flat_map(Grant::held).collect();
        held.sort_unstable();
        let mut free = Vec::new();
        let mut next = 1;
        for run in held {
            free.extend(Units::between(next, run.first));
            next = next.max(run.end());
        }
        free.extend(Units::between(next, self.total.saturating_add(1)));
        free
    }

    fn breach(&self, unit: Unit) -> Option<Breach> {
        let grant = self.grants.get(&unit.grant);
        let kind = match grant {
            None => BreachKind::UnknownGrant,
            Some(grant) if !grant.units.contains(unit.unit) => BreachKind::OutsideGrant,
            Some(grant) => {
                grant.stated_used.as_ref().filter(|stated| !stated.contains(&unit.unit))?;
                BreachKind::NotStated
            }
        };
        Some(Breach { unit, device: grant.map(|grant| grant.device), kind })
    }
}

/// How many there are. Units are numbered in 32 bits, so their number fits.
fn number_of(units: impl Iterator<Item = u32>) -> u32 {
    units.map(|_| 1).sum()
}

#[cfg(test)]
mod tests;
