//! How old what is known of an account is, and how many points may be spent of one of that age.

use crate::catalogue::Policy;
use crate::time::UnixMillis;

/// When the hub last confirmed what is known of the passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// It does so at this moment.
    Now,
    /// At this moment.
    At(UnixMillis),
    /// Never, or nobody knows when: the list is damaged, or nobody knows what time has passed.
    Unknown,
}

/// How old what is known of the passes is, in milliseconds; [`i64::MAX`] where nobody can say.
pub fn age_of(confirmed: Confirmed, policy: &Policy, now: UnixMillis) -> i64 {
    match confirmed {
        Confirmed::Now => 0,
        Confirmed::Unknown => i64::MAX,
        Confirmed::At(at) => match now.since(at) {
            // A clock that was put back says nothing of how old the list is.
            age if age < -policy.clock_tolerance => i64::MAX,
            age => age.max(0),
        },
    }
}

/// What policy says of spending points of an account that the hub has not confirmed for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountAge {
    /// For how long it has not, in milliseconds; nothing where that is not known.
    pub age: Option<i64>,
    /// How many points may be spent, where that is bounded.
    pub points_allowed: Option<u32>,
}

/// The rule for an account of this age ([`age_of`]); nothing for one that the hub confirms at this moment.
pub fn age_rule(policy: &Policy, age: i64) -> Option<AccountAge> {
    let points_allowed = policy.age_rule(age).map_or(Some(0), |rule| rule.points);
    (age > 0).then_some(AccountAge { age: (age < i64::MAX).then_some(age), points_allowed })
}
