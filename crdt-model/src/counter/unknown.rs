//! A card that the catalogue does not know: taken by its chip number, where policy allows it and there is an activity to
//! check in to. The hub settles it.

use super::decision::{Decision, Kind, Rule, Verdict};
use super::tap::checked_in_to;
use super::{Counter, UnknownPresented};
use crate::catalogue::Policy;
use crate::decide::{Reason, unknown_card};
use crate::entry::{Entry, Fact, Subject};

pub(super) fn tapped(
    counter: &Counter<'_>,
    card: &UnknownPresented<'_>,
    code: Option<&str>,
) -> Decision {
    let UnknownPresented { chip, account, taken_today, authenticity } = *card;
    let (Some(chip), Ok(activity)) = (chip, checked_in_to(counter, code)) else {
        let refused = Decision::refused(Kind::Unknown, Reason::PassNotFound);
        return Decision { authenticity: Some(authenticity), ..refused };
    };
    let verdict = match unknown_card(account, taken_today, authenticity, activity, &counter.here) {
        Ok(points) => Verdict::Provisional(Entry {
            at: counter.here.now,
            subject: Subject::Chip(chip),
            fact: Fact::CheckIn { activity: activity.activity, points },
        }),
        Err(reason) => Verdict::Refused(reason),
    };
    Decision {
        title: Some(activity.title.clone()),
        rule: Some(rule(counter.here.policy, taken_today)),
        authenticity: Some(authenticity),
        ..Decision::said(Kind::Unknown, verdict)
    }
}

fn rule(policy: &Policy, taken_today: u32) -> Rule {
    let most_a_day = if policy.unknown_cards { policy.unknown_cards_a_day } else { Some(0) };
    Rule::UnknownCard { taken_today, most_a_day }
}
