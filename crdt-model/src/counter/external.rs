//! A Museumkaart, a member card: let in or not, by the policy's word on its type.

use super::decision::{Decision, Kind, Verdict};
use super::tap::earlier;
use super::{Counter, ExternalPresented};
use crate::decide::external;
use crate::entry::{Entry, Fact, Subject};

pub(super) fn tapped(counter: &Counter<'_>, presented: &ExternalPresented<'_>) -> Decision {
    let ExternalPresented { card, key, account, seen } = *presented;
    let rule = external(card, account, &counter.here);
    let is_visit = |fact: &Fact| matches!(fact, Fact::ExternalVisit);
    let (verdict, title) = match rule {
        Ok(rule) => {
            let subject = Subject::External(key);
            let entry = Entry { at: counter.here.now, subject, fact: Fact::ExternalVisit };
            (Verdict::Welcome(entry), rule.name.clone())
        }
        Err(reason) => (Verdict::Refused(reason), card.card_type().to_owned()),
    };
    Decision {
        title: Some(title),
        earlier_at: earlier(counter, rule.err(), seen, is_visit),
        ..Decision::said(Kind::ExternalVisit, verdict)
    }
}
