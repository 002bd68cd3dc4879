//! What a counter decides: the verdict, the entry that is written, and what is shown.

use thiserror::Error;

use super::{AccountAge, Sold};
use crate::authenticity::Authenticity;
use crate::decide::{Reason, VerdictKind, verdict_of_sale};
use crate::entry::{Entry, Fact};
use crate::time::UnixMillis;

/// What a decision is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A UiTPAS check-in at an activity.
    CheckIn,
    /// A museum visit with a museumPASSmusées.
    Visit,
    /// A visit with an admission pass of another platform.
    ExternalVisit,
    /// A reward handed out.
    Redemption,
    /// Tickets sold.
    TicketSale,
    /// An earlier entry taken back.
    Void,
    /// A card that nothing is known of.
    Unknown,
}

impl Kind {
    /// What this fact was.
    pub fn of(fact: &Fact) -> Self {
        match fact {
            Fact::CheckIn { .. } => Self::CheckIn,
            Fact::Visit => Self::Visit,
            Fact::ExternalVisit => Self::ExternalVisit,
            Fact::Redemption { .. } => Self::Redemption,
            Fact::TicketSale { .. } => Self::TicketSale,
            Fact::Void { .. } => Self::Void,
            Fact::Newer { .. } => Self::Unknown,
        }
    }
}

/// What is said to a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Counted. The entry is on the disk before anything is shown.
    Welcome(Entry),
    /// Counted as far as anybody here can know: the catalogue does not know the card, and the hub settles it. The entry
    /// is on the disk before anything is shown.
    Provisional(Entry),
    /// Nothing is written, for this reason.
    Refused(Reason),
}

/// Which rule of the policy a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The card is not known.
    UnknownCard {
        /// How many other unknown cards were taken here today.
        taken_today: u32,
        /// How many may be, where that is bounded.
        most_a_day: Option<u32>,
    },
    /// Points are spent of an account that the hub has not confirmed for a while.
    AccountAge(AccountAge),
}

/// What a counter decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What it is about.
    pub kind: Kind,
    /// What is said, with the entry to be written or the reason why there is none.
    pub verdict: Verdict,
    /// The title of the activity or reward in question, the name of the museum or of the type of card.
    pub title: Option<String>,
    /// Points earned (positive) or spent (negative); a void gives its target's back. 0 where nothing is written, and
    /// where the hub has to settle it.
    pub points_change: i64,
    /// For [`Reason::MaximumReached`]: when the earlier check-in or visit was, if this venue saw it.
    pub earlier_at: Option<UnixMillis>,
    /// Which rule of the policy it rests on, where it rests on one.
    pub rule: Option<Rule>,
    /// What the card proved, where that is a part of the answer.
    pub authenticity: Option<Authenticity>,
    /// What was sold, where something was.
    pub sold: Option<Sold>,
}

impl Decision {
    pub(super) fn refused(kind: Kind, reason: Reason) -> Self {
        Self::said(kind, Verdict::Refused(reason))
    }

    pub(super) fn said(kind: Kind, verdict: Verdict) -> Self {
        Self {
            kind,
            verdict,
            title: None,
            points_change: match verdict {
                Verdict::Welcome(entry) => points_change(&entry.fact),
                Verdict::Provisional(_) | Verdict::Refused(_) => 0,
            },
            earlier_at: None,
            rule: None,
            authenticity: None,
            sold: None,
        }
    }

    /// A card that was refuted is stopped before anything else is looked at.
    pub(super) fn forged(kind: Kind) -> Self {
        let authenticity = Some(Authenticity::Refuted);
        Self { authenticity, ..Self::refused(kind, Reason::CardNotGenuine) }
    }

    /// Points and rights of an unknown card are unknown, so nothing is handed out for them.
    pub(super) fn no_such_pass(kind: Kind) -> Self {
        Self::refused(kind, Reason::PassNotFound)
    }

    /// The entry that is to be written, if any.
    pub fn entry(&self) -> Option<&Entry> {
        match &self.verdict {
            Verdict::Welcome(entry) | Verdict::Provisional(entry) => Some(entry),
            Verdict::Refused(_) => None,
        }
    }

    /// Why the verdict is not a plain ok.
    pub fn reason(&self) -> Option<Reason> {
        match self.verdict {
            Verdict::Welcome(_) => None,
            Verdict::Provisional(_) => Some(Reason::PassNotFound),
            Verdict::Refused(reason) => Some(reason),
        }
    }

    /// The verdict in one word.
    pub fn verdict_kind(&self) -> VerdictKind {
        match (self.reason(), self.kind) {
            (None, _) => VerdictKind::Ok,
            (Some(reason), Kind::TicketSale) => verdict_of_sale(reason),
            (Some(reason), _) => reason.verdict(),
        }
    }
}

/// Points that a fact earns (positive) or spends (negative).
pub fn points_change(fact: &Fact) -> i64 {
    match *fact {
        Fact::CheckIn { points, .. } => i64::from(points),
        Fact::Redemption { points, .. } => -i64::from(points),
        Fact::Visit
        | Fact::ExternalVisit
        | Fact::TicketSale { .. }
        | Fact::Void { .. }
        | Fact::Newer { .. } => 0,
    }
}

/// Why a question has no answer at all: what it names is not there. Nothing is written, and no verdict is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unanswered {
    /// The card is not known.
    #[error("no pass of this number or chip is known")]
    NoSuchPass,
    /// The venue has no such activity, or none is chosen.
    #[error("the venue has no such activity")]
    NoSuchActivity,
    /// Neither the activity nor the question has a price.
    #[error("the activity has no price")]
    NoPrice,
    /// The pass can buy nothing as a pass.
    #[error("this pass has no prices of its own: {0}")]
    NotForPass(Reason),
}
