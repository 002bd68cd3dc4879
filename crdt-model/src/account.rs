//! The fold: from a pass's entries to its account. Points are earned less spent; what was spent
//! beyond that is a debt which later points pay.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::entry::{Entry, EntryRef, Fact, TariffKind};
use crate::ids::{ActivityId, CouponId, RewardId, VenueId};
use crate::limits::{PeriodLimit, PeriodType, Window};
use crate::receipt::Receipt;
use crate::time::{Calendar, UnixMillis};

mod forgetting;
mod limits;

pub use forgetting::{MARGIN_DAYS, MOST_USES, NEWEST_KEPT};
pub use limits::Limits;

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
    /// Discounted tickets for an activity (contract: `passholderTicketLimit`).
    #[n(3)]
    Ticket(#[n(0)] ActivityId),
    /// Tickets bought with a coupon.
    #[n(4)]
    Coupon(#[n(0)] CouponId),
    /// Tickets that a group bought at the social tariff (contract: `totalTicketsPerYear`).
    #[n(5)]
    GroupTicket,
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
        self.room(of, limit, day) > 0
    }

    /// How often more a limit allows it in the period that holds this local day.
    pub fn room(&self, of: &Limited, limit: PeriodLimit, day: jiff::civil::Date) -> u32 {
        limit.volume.saturating_sub(self.times(of, limit.period_type.window(day)))
    }

    fn place(&self, of: &Limited, window: Window) -> Result<usize, usize> {
        self.uses.binary_search_by(|uses| (&uses.of, uses.window).cmp(&(of, window)))
    }

    /// Counts more uses and says how many there are now.
    fn add_uses(&mut self, of: Limited, window: Window, more: u32) -> u32 {
        match self.place(&of, window) {
            Ok(place) => {
                self.uses[place].times = self.uses[place].times.saturating_add(more);
                self.uses[place].times
            }
            Err(place) => {
                self.uses.insert(place, Uses { of, window, times: more });
                more
            }
        }
    }

    /// Takes uses back and says how many there were.
    fn take_uses_back(&mut self, of: &Limited, window: Window, fewer: u32) -> u32 {
        let Ok(place) = self.place(of, window) else { return 0 };
        let times = self.uses[place].times;
        if times <= fewer {
            self.uses.remove(place);
        } else {
            self.uses[place].times -= fewer;
        }
        times
    }
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
    /// Where it stood first, where it is a copy ([`crate::entry::Located`]).
    pub first_place: Option<EntryRef>,
    /// The entry.
    pub entry: Entry,
    /// Whether the opening account includes it already; then it only serves as a void's target.
    pub included: bool,
    /// When the hub received it. `None` at a desk, which does not know, and where the hub did not know
    /// the time itself.
    pub receipt: Option<Receipt>,
}

impl Placed {
    /// The *effective time*: the moment at which the entry counts. Its own time, unless its receipt
    /// disproves that ([`Receipt::disproves`]): then the time of receipt.
    pub fn counts_at(&self) -> UnixMillis {
        match self.receipt {
            Some(receipt) if receipt.disproves(self.entry.at) => receipt.at,
            _ => self.entry.at,
        }
    }

    /// The place that says which entry it is: a copy is the entry that it is a copy of.
    fn identity(&self) -> (VenueId, EntryRef) {
        (self.venue.clone(), self.first_place.unwrap_or(self.place))
    }
}

/// What an entry counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It counts.
    Counted,
    /// The limit was reached by earlier ones: a check-in or visit is kept and earns nothing; tickets
    /// stand, for they were paid.
    OverLimit,
    /// A later entry took it back.
    TakenBack,
    /// A redemption beyond the balance: it stands, and left a debt.
    LeftDebt,
    /// It counts for nothing here: a void without a target, a kind of a newer version, or a copy of an entry that is
    /// here itself.
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
/// The entries may come in any order and more than once: they are sorted by `(effective time, at,
/// writer, index)`, and the same place counts once. An entry and its copies count once, too, in the order of its first
/// place. Limits count in the periods of the effective time. A void takes back an entry of its own venue, once, however many
/// voids name it; it does not matter whether it stands before or behind its target.
pub fn fold(
    opening: &Account,
    entries: impl IntoIterator<Item = Placed>,
    limits: &impl Limits,
    calendar: &Calendar,
) -> FoldedAccount {
    let mut outcomes = Vec::new();
    let mut by_identity: BTreeMap<(VenueId, EntryRef), Placed> = BTreeMap::new();
    // Which entries are copies, by where those stand: a void may name either place.
    let mut copies: BTreeMap<(VenueId, EntryRef), (VenueId, EntryRef)> = BTreeMap::new();
    for placed in entries {
        let identity = placed.identity();
        if placed.first_place.is_some() {
            copies.insert((placed.venue.clone(), placed.place), identity.clone());
        }
        match by_identity.entry(identity) {
            Slot::Vacant(vacant) => drop(vacant.insert(placed)),
            Slot::Occupied(mut known) => {
                let included = known.get().included || placed.included;
                // The entry itself before its copies, and those in an order independent of arrival.
                let rank = |it: &Placed| (it.first_place.is_some(), it.place);
                let extra =
                    if rank(&placed) < rank(known.get()) { known.insert(placed) } else { placed };
                known.get_mut().included = included;
                if extra.place != known.get().place && !extra.included {
                    outcomes.push((extra.place, Outcome::Nothing));
                }
            }
        }
    }
    let target_of = |placed: &Placed| match placed.entry.fact {
        Fact::Void { target } => {
            let named = (placed.venue.clone(), target);
            by_identity.get(copies.get(&named).unwrap_or(&named)).filter(|found| {
                found.entry.subject == placed.entry.subject
                    && !matches!(found.entry.fact, Fact::Void { .. })
            })
        }
        _ => None,
    };
    let voids = |included: bool| -> BTreeSet<(VenueId, EntryRef)> {
        let of_this_kind = by_identity.values().filter(|placed| placed.included == included);
        of_this_kind.filter_map(target_of).map(Placed::identity).collect()
    };
    let (settled, taken_back) = (voids(true), voids(false));
    let mut ordered: Vec<(&(VenueId, EntryRef), &Placed)> = by_identity.iter().collect();
    // Several entries of a desk whose clock was ahead may share a time of receipt: among them its own
    // order holds.
    ordered.sort_by_key(|((_, first), placed)| {
        (placed.counts_at(), placed.entry.at, first.writer, first.day, first.index)
    });

    let mut folding = Folding { account: opening.clone(), limits, calendar };
    for (key, placed) in ordered {
        if placed.included {
            if taken_back.contains(key) && !settled.contains(key) {
                folding.take_back(placed);
            }
            continue;
        }
        let outcome = if taken_back.contains(key) || settled.contains(key) {
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
    /// Under which limits an entry falls, and how many uses it is.
    fn limits(&self, placed: &Placed) -> ([Option<(Limited, PeriodLimit)>; 2], u32) {
        let limits = self.limits;
        let under = |of: Limited, limit: Option<PeriodLimit>| limit.map(|limit| (of, limit));
        match placed.entry.fact {
            Fact::CheckIn { activity, .. } => {
                let of = under(Limited::CheckIn(activity), limits.checkin_limit(activity));
                ([of, None], 1)
            }
            Fact::Redemption { reward, .. } => {
                let of = under(Limited::Redemption(reward), limits.redeem_constraint(reward));
                ([of, None], 1)
            }
            Fact::Visit | Fact::ExternalVisit => {
                ([Some((Limited::Visit(placed.venue.clone()), VISIT_LIMIT)), None], 1)
            }
            Fact::TicketSale { activity, tickets, tariff, .. } => {
                let tickets = u32::from(tickets);
                let of_activity = under(Limited::Ticket(activity), limits.ticket_limit(activity));
                match tariff {
                    TariffKind::Regular => ([None, None], tickets),
                    TariffKind::SocialTariff => {
                        let year = limits
                            .tickets_per_year()
                            .map(|volume| PeriodLimit { volume, period_type: PeriodType::Year });
                        ([of_activity, under(Limited::GroupTicket, year)], tickets)
                    }
                    TariffKind::Coupon(coupon) => {
                        let of_coupon = under(Limited::Coupon(coupon), limits.coupon_limit(coupon));
                        ([of_activity, of_coupon], tickets)
                    }
                }
            }
            Fact::Void { .. } | Fact::Newer { .. } => ([None, None], 0),
        }
    }

    fn count(&mut self, placed: &Placed) -> Outcome {
        let day = self.calendar.day(placed.counts_at());
        let (limits, uses) = self.limits(placed);
        let mut within = true;
        for (of, limit) in limits.into_iter().flatten() {
            let window = limit.period_type.window(day);
            within &= self.account.add_uses(of, window, uses) <= limit.volume;
        }
        match placed.entry.fact {
            Fact::CheckIn { points, .. } if within => self.account.earned += u64::from(points),
            Fact::Visit | Fact::ExternalVisit if within => self.account.visits += 1,
            Fact::CheckIn { .. } | Fact::Visit | Fact::ExternalVisit | Fact::TicketSale { .. }
                if !within =>
            {
                return Outcome::OverLimit;
            }
            Fact::Redemption { points, .. } => {
                self.account.spent += u64::from(points);
                if points > 0 && self.account.debt() > 0 {
                    return Outcome::LeftDebt;
                }
            }
            Fact::CheckIn { .. } | Fact::Visit | Fact::ExternalVisit | Fact::TicketSale { .. } => {}
            Fact::Void { .. } | Fact::Newer { .. } => return Outcome::Nothing,
        }
        Outcome::Counted
    }

    /// Undoes an entry that the opening account includes. With `m` check-ins under a limit of `L`
    /// there, `min(m, L)` counted; without this one it is `min(m − 1, L)`.
    fn take_back(&mut self, placed: &Placed) {
        let day = self.calendar.day(placed.counts_at());
        let (limits, uses) = self.limits(placed);
        let mut counted = true;
        for (of, limit) in limits.into_iter().flatten() {
            let window = limit.period_type.window(day);
            counted &= self.account.take_uses_back(&of, window, uses) <= limit.volume;
        }
        match placed.entry.fact {
            Fact::CheckIn { points, .. } if counted => {
                self.account.earned = self.account.earned.saturating_sub(u64::from(points));
            }
            Fact::Visit | Fact::ExternalVisit if counted => {
                self.account.visits = self.account.visits.saturating_sub(1);
            }
            Fact::Redemption { points, .. } => {
                self.account.spent = self.account.spent.saturating_sub(u64::from(points));
            }
            Fact::CheckIn { .. }
            | Fact::Visit
            | Fact::ExternalVisit
            | Fact::TicketSale { .. }
            | Fact::Void { .. }
            | Fact::Newer { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
