//! What an entry's bytes say, as columns to ask by.

use crdt_model::account::Outcome;
use crdt_model::entry::{Entry, Fact};

use super::Value;

/// An entry's columns to ask by, beside its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: &'static str,
    pub(crate) activity: Option<u32>,
    pub(crate) reward: Option<u32>,
    /// Earned, or spent: negative.
    pub(crate) points: i64,
    pub(crate) at: i64,
}

impl Facts {
    pub(crate) fn of(entry: &Entry) -> Self {
        let (mut activity, mut reward, mut points) = (None, None, 0);
        match entry.fact {
            Fact::CheckIn { activity: at, points: earned } => {
                (activity, points) = (Some(at.0), i64::from(earned));
            }
            Fact::TicketSale { activity: at, .. } => activity = Some(at.0),
            Fact::Redemption { reward: of, points: spent, .. } => {
                (reward, points) = (Some(of.0), -i64::from(spent));
            }
            Fact::Visit | Fact::ExternalVisit | Fact::Void { .. } | Fact::Newer { .. } => {}
        }
        Self { kind: kind(&entry.fact), activity, reward, points, at: entry.at.0 }
    }

    /// As values: kind, activity, reward, points, at.
    pub(crate) fn values(&self) -> [Value; 5] {
        [
            self.kind.into(),
            self.activity.into(),
            self.reward.into(),
            self.points.into(),
            self.at.into(),
        ]
    }
}

/// An entry's kind, in a word.
pub(crate) fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::CheckIn { .. } => "check-in",
        Fact::Visit => "visit",
        Fact::ExternalVisit => "external-visit",
        Fact::Redemption { .. } => "redemption",
        Fact::TicketSale { .. } => "ticket-sale",
        Fact::Void { .. } => "void",
        Fact::Newer { .. } => "newer",
    }
}

/// An outcome, in a word.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Counted => "counted",
        Outcome::OverLimit => "over-limit",
        Outcome::TakenBack => "taken-back",
        Outcome::LeftDebt => "left-debt",
        Outcome::Nothing => "nothing",
    }
}
