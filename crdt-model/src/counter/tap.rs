//! A card on the reader: a check-in or a visit, whichever it is for.

use super::decision::{Decision, Kind, Verdict};
use super::{Case, Counter, PassPresented, Presented, external, unknown};
use crate::catalogue::{Activity, CardStatus, HolderStatus, Programme};
use crate::decide::{Reason, Standing, check_in, check_in_by_code, visit};
use crate::entry::{Entry, Fact, Subject};
use crate::time::UnixMillis;

/// Answers a tap. `code` is what an activity's QR code said, where one was scanned: then the check-in is to that
/// activity instead of the chosen one.
pub fn tap(case: &Case<'_>, code: Option<&str>) -> Decision {
    let counter = &case.counter;
    match &case.presented {
        Presented::Forged => Decision::forged(Kind::CheckIn),
        Presented::External(card) => external::tapped(counter, card),
        Presented::Unknown(card) => unknown::tapped(counter, card, code),
        Presented::Pass(pass) => Decision {
            authenticity: Some(pass.standing.authenticity),
            ..if pass.standing.record.programme == Programme::Museumpass {
                visits(counter, pass)
            } else {
                checks_in(counter, pass, code)
            }
        },
    }
}

/// The activity that a check-in is to: the one of the code, or the chosen one.
///
/// # Errors
/// The [`Reason`] for which there is none.
pub(super) fn checked_in_to<'a>(
    counter: &Counter<'a>,
    code: Option<&str>,
) -> Result<&'a Activity, Reason> {
    match code {
        Some(code) => check_in_by_code(code, counter.catalogue.activities, &counter.here),
        None => counter.chosen.ok_or(Reason::NoActivityChosen),
    }
}

fn visits(counter: &Counter<'_>, pass: &PassPresented<'_>) -> Decision {
    let outcome = visit(pass.standing, &counter.here).map(|()| Fact::Visit);
    Decision {
        title: Some(counter.venue_name.to_owned()),
        earlier_at: earlier(counter, outcome.err(), pass.seen, |fact| matches!(fact, Fact::Visit)),
        ..counted(counter, pass, Kind::Visit, outcome)
    }
}

fn checks_in(counter: &Counter<'_>, pass: &PassPresented<'_>, code: Option<&str>) -> Decision {
    let activity = match checked_in_to(counter, code) {
        Ok(activity) => activity,
        // A blocked card is stopped, also where nobody has chosen an activity.
        Err(reason) => {
            let reason = blocked(&pass.standing).unwrap_or(reason);
            return Decision::refused(Kind::CheckIn, reason);
        }
    };
    let of = activity.activity;
    let outcome = check_in(pass.standing, activity, &counter.here)
        .map(|points| Fact::CheckIn { activity: of, points });
    Decision {
        title: Some(activity.title.clone()),
        earlier_at: earlier(
            counter,
            outcome.err(),
            pass.seen,
            |fact| matches!(fact, Fact::CheckIn { activity, .. } if *activity == of),
        ),
        ..counted(counter, pass, Kind::CheckIn, outcome)
    }
}

/// The decision about a pass of which this is to be recorded, or nothing is.
pub(super) fn counted(
    counter: &Counter<'_>,
    pass: &PassPresented<'_>,
    kind: Kind,
    outcome: Result<Fact, Reason>,
) -> Decision {
    let subject = Subject::Pass(pass.standing.record.pass);
    let verdict = match outcome {
        Ok(fact) => Verdict::Welcome(Entry { at: counter.here.now, subject, fact }),
        Err(reason) => Verdict::Refused(reason),
    };
    Decision::said(kind, verdict)
}

/// Why the card or its holder is blocked, if that is so.
fn blocked(pass: &Standing<'_>) -> Option<Reason> {
    if pass.card == CardStatus::Blocked {
        Some(Reason::CardBlocked)
    } else if pass.record.holder == HolderStatus::Blocked {
        Some(Reason::UitpasHolderBlocked)
    } else {
        None
    }
}

/// When this venue last saw such a fact today, where another one is refused because it did.
pub(super) fn earlier(
    counter: &Counter<'_>,
    refused: Option<Reason>,
    seen: &[Entry],
    such: impl Fn(&Fact) -> bool,
) -> Option<UnixMillis> {
    if refused != Some(Reason::MaximumReached) {
        return None;
    }
    let (calendar, today) = (counter.here.calendar, counter.here.today());
    let times = seen.iter().filter(|entry| such(&entry.fact)).map(|entry| entry.at);
    times.filter(|at| calendar.day(*at) == today).max()
}
