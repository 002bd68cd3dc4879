//! The fold: from a pass's entries to its account. Points are earned less spent; what was spent
//! beyond that is a debt which later points pay.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::entry::{Entry, EntryRef, Fact};
use crate::ids::{ActivityId, RewardId, VenueId};
use crate::limits::{PeriodLimit, PeriodType, Window};
use crate::time::Calendar;

/// What a limit counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Limited {
    /// Check-ins at an activity.
    #[n(0)]
    CheckIn(#[n(0)] ActivityId),
    /// Redemptions of a reward.
    #[n(1)]
    Redemption(#[n(0)] RewardId),
    /// Visits to a museum.
    #[n(2)]
    Visit(#[n(0)] VenueId),
}

/// How often something limited was done in one period: all that stands, counted or over the limit.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Uses {
    /// What.
    #[n(0)]
    pub of: Limited,
    /// In which period.
    #[n(1)]
    pub window: Window,
    /// How often.
    #[n(2)]
    pub times: u32,
}

/// What a pass's entries add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Account {
    /// Points earned, ever.
    #[n(0)]
    pub earned: u64,
    /// Points spent, ever.
    #[n(1)]
    pub spent: u64,
    /// Visits counted, ever.
    #[n(2)]
    pub visits: u64,
    /// Uses of limits, in order of what and when.
    #[n(3)]
    pub uses: Vec<Uses>,
}

impl Account {
    /// Points that can be spent now.
    pub fn points(&self) -> u64 {
        self.earned.saturating_sub(self.spent)
    }

    /// Points overspent: earned − spent + debt = points.
    pub fn debt(&self) -> u64 {
        self.spent.saturating_sub(self.earned)
    }

    /// How often this was done in this period.
    pub fn times(&self, of: &Limited, window: Window) -> u32 {
        self.place(of, window).map_or(0, |place| self.uses[place].times)
    }

    /// Whether a limit leaves room for once more.
    pub fn leaves_room(&self, of: &Limited, limit: PeriodLimit, day: jiff::civil::Date) -> bool {
        self.times(of, limit.period_type.window(day)) < limit.volume
    }

    /// Forgets uses in periods that ended before this local day: they decide nothing any more.
    pub fn forget_before(&mut self, day: jiff::civil::Date) {
        self.uses.retain(|uses| uses.window.number >= uses.window.period_type.window(day).number);
    }

    fn place(&self, of: &Limited, window: Window) -> Result<usize, usize> {
        self.uses.binary_search_by(|uses| (&uses.of, uses.window).cmp(&(of, window)))
    }

    /// Counts one more use and says how many there are now.
    fn use_once(&mut self, of: Limited, window: Window) -> u32 {
        match self.place(&of, window) {
            Ok(place) => {
                self.uses[place].times += 1;
                self.uses[place].times
            }
            Err(place) => {
                self.uses.insert(place, Uses { of, window, times: 1 });
                1
            }
        }
    }

    /// Takes one use back and says how many there were.
    fn unuse_once(&mut self, of: &Limited, window: Window) -> u32 {
        let Ok(place) = self.place(of, window) else { return 0 };
        let times = self.uses[place].times;
        if times == 1 {
            self.uses.remove(place);
        } else {
            self.uses[place].times -= 1;
        }
        times
    }
}

/// The limits that the fold applies.
pub trait Limits {
    /// How often a pass may check in at this activity; `None` where it is unknown or unlimited.
    fn checkin_limit(&self, activity: ActivityId) -> Option<PeriodLimit>;
    /// How often a pass may redeem this reward. The fold counts it; it refuses nothing by it.
    fn redeem_constraint(&self, reward: RewardId) -> Option<PeriodLimit>;
}

/// One visit to a museum counts a day (museumPASSmusées).
pub const VISIT_LIMIT: PeriodLimit = PeriodLimit { volume: 1, period_type: PeriodType::Day };

/// An entry with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The venue of its ledger.
    pub venue: VenueId,
    /// Its place there.
    pub place: EntryRef,
    /// The entry.
    pub entry: Entry,
    /// Whether the opening account includes it already; then it only serves as a void's target.
    pub included: bool,
}

/// What an entry counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It counts.
    Counted,
    /// The limit was reached by earlier ones: kept, and earns nothing.
    OverLimit,
    /// A later entry took it back.
    TakenBack,
    /// A redemption beyond the balance: it stands, and left a debt.
    LeftDebt,
    /// It counts for nothing here: a void without a target, or a kind of a newer version.
    Nothing,
}

/// The fold's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedAccount {
    /// The account.
    pub account: Account,
    /// What each entry that the opening did not include counts for, in the fold's order.
    pub outcomes: Vec<(EntryRef, Outcome)>,
}

/// Folds a pass's entries over the account that they begin from.
///
/// The entries may come in any order and more than once: they are sorted by `(at, writer, index)`,
/// and the same place counts once. A void takes back an entry of its own venue, once, however many
/// voids name it; it does not matter whether it stands before or behind its target.
pub fn fold(
    opening: &Account,
    entries: impl IntoIterator<Item = Placed>,
    limits: &impl Limits,
    calendar: &Calendar,
) -> FoldedAccount {
    let by_place: BTreeMap<(VenueId, EntryRef), Placed> =
        entries.into_iter().map(|placed| ((placed.venue.clone(), placed.place), placed)).collect();
    let target_of = |placed: &Placed| match placed.entry.fact {
        Fact::Void { target } => by_place.get(&(placed.venue.clone(), target)).filter(|found| {
            found.entry.subject == placed.entry.subject
                && !matches!(found.entry.fact, Fact::Void { .. })
        }),
        _ => None,
    };
    let voids = |included: bool| -> BTreeSet<(VenueId, EntryRef)> {
        let of_this_kind = by_place.values().filter(|placed| placed.included == included);
        of_this_kind.filter_map(target_of).map(|found| (found.venue.clone(), found.place)).collect()
    };
    let (settled, taken_back) = (voids(true), voids(false));
    let mut ordered: Vec<&Placed> = by_place.values().collect();
    ordered.sort_by_key(|placed| {
        (placed.entry.at, placed.place.writer, placed.place.day, placed.place.index)
    });

    let mut folding = Folding { account: opening.clone(), limits, calendar };
    let mut outcomes = Vec::new();
    for placed in ordered {
        let key = (placed.venue.clone(), placed.place);
        if placed.included {
            if taken_back.contains(&key) && !settled.contains(&key) {
                folding.take_back(placed);
            }
            continue;
        }
        let outcome = if taken_back.contains(&key) || settled.contains(&key) {
            Outcome::TakenBack
        } else if target_of(placed).is_some() {
            Outcome::Counted
        } else {
            folding.count(placed)
        };
        outcomes.push((placed.place, outcome));
    }
    FoldedAccount { account: folding.account, outcomes }
}

struct Folding<'a, L> {
    account: Account,
    limits: &'a L,
    calendar: &'a Calendar,
}

impl<L: Limits> Folding<'_, L> {
    /// Under which limit an entry falls, if any.
    fn limit(&self, placed: &Placed) -> Option<(Limited, PeriodLimit, Window)> {
        let (of, limit) = match placed.entry.fact {
            Fact::CheckIn { activity, .. } => {
                (Limited::CheckIn(activity), self.limits.checkin_limit(activity)?)
            }
            Fact::Redemption { reward, .. } => {
                (Limited::Redemption(reward), self.limits.redeem_constraint(reward)?)
            }
            Fact::Visit => (Limited::Visit(placed.venue.clone()), VISIT_LIMIT),
            Fact::Void { .. } | Fact::Newer { .. } => return None,
        };
        Some((of, limit, limit.period_type.window(self.calendar.day(placed.entry.at))))
    }

    fn count(&mut self, placed: &Placed) -> Outcome {
        let within = match self.limit(placed) {
            Some((of, limit, window)) => self.account.use_once(of, window) <= limit.volume,
            None => true,
        };
        match placed.entry.fact {
            Fact::CheckIn { points, .. } if within => self.account.earned += u64::from(points),
            Fact::Visit if within => self.account.visits += 1,
            Fact::CheckIn { .. } | Fact::Visit => return Outcome::OverLimit,
            Fact::Redemption { points, .. } => {
                self.account.spent += u64::from(points);
                if points > 0 && self.account.debt() > 0 {
                    return Outcome::LeftDebt;
                }
            }
            Fact::Void { .. } | Fact::Newer { .. } => return Outcome::Nothing,
        }
        Outcome::Counted
    }

    /// Undoes an entry that the opening account includes. With `m` check-ins under a limit of `L`
    /// there, `min(m, L)` counted; without this one it is `min(m − 1, L)`.
    fn take_back(&mut self, placed: &Placed) {
        let counted = match self.limit(placed) {
            Some((of, limit, window)) => self.account.unuse_once(&of, window) <= limit.volume,
            None => true,
        };
        match placed.entry.fact {
            Fact::CheckIn { points, .. } if counted => {
                self.account.earned = self.account.earned.saturating_sub(u64::from(points));
            }
            Fact::Visit if counted => self.account.visits = self.account.visits.saturating_sub(1),
            Fact::Redemption { points, .. } => {
                self.account.spent = self.account.spent.saturating_sub(u64::from(points));
            }
            Fact::CheckIn { .. } | Fact::Visit | Fact::Void { .. } | Fact::Newer { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
