//! What time it is, as far as a desk can know: pure logic, readings are arguments.
//!
//! A desk has a wall clock, which anybody may set and a flat battery takes back to 1970, and a steady clock,
//! which nobody sets. The hub says its own clock at each exchange. What the desk wrote and was told before says
//! that it is not earlier than that. From these follows one time that everything at the desk goes by, and what is
//! the matter with the computer's clock.

use crdt_model::receipt::NO_DESK_BEFORE;
use crdt_model::time::UnixMillis;
use sync_protocol::heartbeat::Ticks;

use desk_api::types::{Health, Trouble};

pub(super) mod kept;

/// This release's date: it is not earlier than that. Moved on with each release, by hand, so that a build is the same
/// whenever it is made: 1 November 2026.
pub(crate) const RELEASED: UnixMillis = UnixMillis(1_793_491_200_000);

/// A clock that is so far after what the hub said last is wrong: a desk that was off for a year is rarer than a
/// clock that was set to another year, and its pass list would be of no use.
const FAR_AHEAD: i64 = 366 * 86_400_000;

/// How long after its last entry a desk's next one is believed, where nothing else is known: an entry further on is of a
/// moment when the clock was ahead.
const PAUSE: i64 = 40 * 86_400_000;

/// Both clocks, read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The computer's clock, right or wrong.
    pub wall: UnixMillis,
    /// A clock that nobody sets, and that goes on while the computer sleeps.
    pub steady: Ticks,
}

impl Reading {
    /// What the wall clock shows where the steady one shows 0. It changes when the wall clock is set, and by
    /// nothing else: both run at the same rate.
    fn base(self) -> i64 {
        self.wall.0.saturating_sub(i64::try_from(self.steady.0).unwrap_or(i64::MAX))
    }
}

/// What the hub's clock said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubTime {
    /// The hub's clock, at some moment between `asked` and when it was heard.
    pub clock: UnixMillis,
    /// The hub doubts it.
    pub doubtful: bool,
    /// When it was asked.
    pub asked: Ticks,
}

/// What a desk knows of the time when it starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evidence {
    /// When the desk last heard from a hub whose clock it believed.
    pub hub: Option<UnixMillis>,
    /// What the desk itself wrote last, as far as that is believed: [`newest_believed`].
    pub own: Option<UnixMillis>,
}

/// The newest of these times of entries, oldest first, before the first gap longer than [`PAUSE`]. Later times are
/// assumed to come from a clock that was ahead. What lies before `hub`, when the hub was last heard, disproves nothing,
/// and no desk wrote anything before [`NO_DESK_BEFORE`].
pub fn newest_believed(
    hub: Option<UnixMillis>,
    times: impl IntoIterator<Item = UnixMillis>,
) -> Option<UnixMillis> {
    let mut newest = hub.filter(|hub| *hub >= NO_DESK_BEFORE);
    for at in times.into_iter().filter(|at| *at >= NO_DESK_BEFORE) {
        if newest.is_some_and(|newest| at.since(newest) > PAUSE) {
            break;
        }
        newest = newest.max(Some(at));
    }
    newest
}

/// A time, and when it was so.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    time: UnixMillis,
    steady: Ticks,
}

impl Anchor {
    fn at(self, steady: Ticks) -> UnixMillis {
        self.time.plus(i64::try_from(steady.since(self.steady)).unwrap_or(i64::MAX))
    }
}

/// What the desk knows of the time beside its own clock.
#[derive(Debug, Clone, Copy)]
struct Known {
    not_before: Anchor,
    contact: Option<Anchor>,
    resume: Anchor,
}

/// The hub's clock, as it was measured last.
#[derive(Debug, Clone, Copy)]
struct Measured {
    anchor: Anchor,
    /// Half the round trip: by so much the measurement may be wrong.
    error: i64,
    believed: bool,
}

/// How the computer's clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Right,
    /// Off by so much against a hub that is believed: the desk goes by the hub's.
    Off(i64),
    /// Off by so much against what the desk knows: the desk goes by what it knows.
    Implausible(i64),
    /// It was set by so much while the desk ran, and no hub says whether rightly: the desk goes by it.
    Jumped(i64),
    /// The hub's is off by so much, and not believed: the desk goes by the computer's.
    HubOff(i64),
}

/// The desk's clock.
#[derive(Debug)]
pub struct DeskClock {
    /// How far two clocks that are both right may be apart, in milliseconds: the policy's.
    tolerance: i64,
    /// The time is not before this.
    not_before: Anchor,
    /// The hub's time when it was last believed, also in a run before this one.
    contact: Option<Anchor>,
    /// From here the desk counts on where the wall clock cannot be right.
    resume: Anchor,
    hub: Option<Measured>,
    /// When hub and wall clock last agreed in this run.
    agreed: Option<Anchor>,
    /// What was known before the desk took the hub's word against this computer's clock. The hub may take it back:
    /// it comes to doubt its clock when it has heard several desks.
    before_hubs_word: Option<Known>,
    /// The wall clock's base at the start, or when something last agreed with it.
    base: i64,
    /// The last look.
    seen: Reading,
    standing: Standing,
}

impl DeskClock {
    /// The clock of a desk that starts now.
    pub fn new(now: Reading, evidence: Evidence, tolerance: i64) -> Self {
        let anchor = |time| Anchor { time, steady: now.steady };
        let own = evidence.own.unwrap_or(RELEASED).max(RELEASED);
        let known = evidence.hub.map_or(own, |hub| hub.max(RELEASED));
        let mut clock = Self {
            tolerance,
            not_before: anchor(known),
            contact: evidence.hub.map(anchor),
            resume: anchor(known.max(own)),
            hub: None,
            agreed: None,
            before_hubs_word: None,
            base: now.base(),
            seen: now,
            standing: Standing::Right,
        };
        clock.standing = clock.judge(now).1;
        clock
    }

    /// Takes up what the hub's clock shows now, as it was measured by another run of the daemon, in which it was believed
    /// against this computer's clock.
    pub fn take_up_measured(&mut self, now: Reading, hub: UnixMillis) {
        let anchor = Anchor { time: hub, steady: now.steady };
        self.hub = Some(Measured { anchor, error: 0, believed: true });
        (self.not_before, self.resume, self.contact) = (anchor, anchor, Some(anchor));
        self.standing = self.judge(now).1;
    }

    /// The hub's time, where the desk goes by that and this computer's clock is wrong.
    pub fn hubs_word(&self) -> Option<UnixMillis> {
        matches!(self.standing, Standing::Off(_)).then(|| self.latest())
    }

    /// The policy's word on how far clocks may be apart.
    pub fn set_tolerance(&mut self, tolerance: i64) {
        self.tolerance = tolerance;
    }

    /// What the desk goes by, and why.
    fn judge(&self, now: Reading) -> (UnixMillis, Standing) {
        let mut hub_off = None;
        let plausible = self.is_plausible(now);
        if let Some(hub) = self.hub {
            let hub_now = hub.anchor.at(now.steady);
            let by = now.wall.since(hub_now);
            if by.saturating_abs() > self.tolerance.saturating_add(hub.error) {
                if hub.believed {
                    return (hub_now, Standing::Off(by));
                }
                hub_off = Some(by.saturating_neg());
            } else if plausible {
                return (now.wall, Standing::Right);
            }
        }
        if !plausible {
            let resumed = self.resume.at(now.steady);
            return (resumed, Standing::Implausible(now.wall.since(resumed)));
        }
        let jumped = now.base().saturating_sub(self.base);
        let standing = match hub_off {
            Some(by) => Standing::HubOff(by),
            None if jumped.saturating_abs() > self.tolerance => Standing::Jumped(jumped),
            None => Standing::Right,
        };
        (now.wall, standing)
    }

    fn is_plausible(&self, now: Reading) -> bool {
        let earliest = self.not_before.at(now.steady).plus(self.tolerance.saturating_neg());
        let latest = self.contact.map(|contact| contact.at(now.steady).plus(FAR_AHEAD));
        now.wall >= earliest && latest.is_none_or(|latest| now.wall <= latest)
    }

    /// The time that the desk goes by.
    pub fn time(&self, now: Reading) -> UnixMillis {
        self.judge(now).0
    }

    /// The time that the desk went by at the last look.
    pub fn latest(&self) -> UnixMillis {
        self.time(self.seen)
    }

    /// What the desk adds to the computer's clock, in milliseconds: 0 where it goes by that.
    pub fn correction(&self) -> i64 {
        self.latest().since(self.seen.wall)
    }

    /// Looks at the clocks. Says whether what is to be said of them has changed.
    pub fn look(&mut self, now: Reading) -> bool {
        let before = self.health();
        self.seen = now;
        self.standing = self.judge(now).1;
        self.health() != before
    }

    /// Takes up what the hub's clock said, heard now. Gives the hub's time where it is believed, to be kept for the
    /// next start.
    pub fn measure(&mut self, now: Reading, said: HubTime) -> Option<UnixMillis> {
        let error = i64::try_from(now.steady.since(said.asked) / 2).unwrap_or(i64::MAX);
        let hub_now = said.clock.plus(error);
        let anchor = Anchor { time: hub_now, steady: now.steady };
        let taken_back = if said.doubtful { self.before_hubs_word.take() } else { None };
        if let Some(Known { not_before, contact, resume }) = taken_back {
            (self.not_before, self.contact, self.resume) = (not_before, contact, resume);
        }
        let within = self.tolerance.saturating_add(error);
        let apart = |other: UnixMillis| other.since(hub_now).saturating_abs() > within;
        // Nobody's clock is before this release.
        let may_be = !said.doubtful && hub_now.plus(within) >= RELEASED;
        let agrees = may_be && !apart(now.wall);
        let before_known = hub_now.plus(within) < self.not_before.at(now.steady);
        // They agreed, this computer's clock went on as clocks do, and the hub's is elsewhere.
        let set_at_hub = now.base().saturating_sub(self.base).saturating_abs() <= self.tolerance
            && self.agreed.is_some_and(|agreed| apart(agreed.at(now.steady)));
        // A hub that is more than a year on is wrong, unless this computer's clock is wrong anyhow: then the desk may
        // have lain in a cupboard.
        let latest = self.contact.map(|contact| contact.at(now.steady).plus(FAR_AHEAD));
        let too_far = self.is_plausible(now) && latest.is_some_and(|latest| hub_now > latest);
        let believed = agrees || may_be && !before_known && !too_far && !set_at_hub;
        self.hub = Some(Measured { anchor, error, believed });
        if agrees {
            // Two clocks that agree know better than what was known before: the hub may have been ahead for a time.
            (self.not_before, self.resume) = (anchor, anchor);
            self.agreed = Some(anchor);
            self.before_hubs_word = None;
            self.base = now.base();
        } else if believed {
            let Self { not_before, contact, resume, .. } = *self;
            self.before_hubs_word.get_or_insert(Known { not_before, contact, resume });
            self.agreed = None;
            self.not_before = anchor;
            self.resume = anchor;
        }
        if believed {
            self.contact = Some(anchor);
        }
        let kept_before = taken_back.map(|known| known.contact.unwrap_or(known.not_before).time);
        believed.then_some(hub_now).or(kept_before)
    }

    /// Whether the time is confirmed by the hub, or nothing contradicts it.
    pub fn is_confident(&self) -> bool {
        matches!(self.standing, Standing::Right | Standing::Off(_))
    }

    /// Whether the time is one that the desk only counts on to: the hour of the day is not known then, nor how much
    /// time has passed since the desk was last on.
    pub fn is_a_guess(&self) -> bool {
        matches!(self.standing, Standing::Implausible(_))
    }

    /// Whether the time since something before the start of the desk may be longer than the clock says.
    pub fn may_be_behind(&self) -> bool {
        self.is_a_guess() || matches!(self.standing, Standing::Jumped(by) if by < 0)
    }

    /// What is the matter with the clock.
    pub fn health(&self) -> Health {
        // To the nearest: a clock that is three hours ahead is not said to be two.
        let minutes = |by: i64| by.unsigned_abs().saturating_add(30_000) / 60_000;
        Health::Trouble(match self.standing {
            Standing::Right => return Health::Fine,
            Standing::Off(by) => Trouble::ClockOff { minutes: minutes(by), ahead: by > 0 },
            Standing::Implausible(by) => Trouble::ClockImplausible { ahead: by > 0 },
            Standing::Jumped(by) => Trouble::ClockJumped { minutes: minutes(by), ahead: by > 0 },
            Standing::HubOff(by) => Trouble::HubClockOff { minutes: minutes(by), ahead: by > 0 },
        })
    }
}

#[cfg(test)]
mod tests;
