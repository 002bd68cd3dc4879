//! The last taps: what the desk said, and what the hub and other desks made of it since.

use std::collections::VecDeque;

use crdt_model::account;
use crdt_model::counter;
use crdt_model::decide::VerdictKind;
use crdt_model::entry::{Entry, EntryRef, Subject};
use crdt_model::ids::Writer;
use crdt_model::time::UnixMillis;
use jiff::civil::Date;

use super::{Desk, showing};
use desk_api::types::{Answer, Event, HistoryRow, HubState, Kind, Outcome, TodayCount};

/// Rows of the history that are kept: a screen shows some ten, a busy hour has some two hundred.
const HISTORY_ROWS: usize = 200;

/// The last taps.
#[derive(Debug)]
pub(super) struct History {
    /// The newest first.
    pub(super) rows: VecDeque<HistoryRow>,
    next_row: u64,
    today: (Option<Date>, TodayCount),
}

impl Default for History {
    fn default() -> Self {
        Self { rows: VecDeque::new(), next_row: 1, today: (None, TodayCount::default()) }
    }
}

impl History {
    /// Today's count.
    pub(super) fn today(&self) -> TodayCount {
        self.today.1
    }
}

impl Desk {
    /// Puts an answer on top of the history and tells whoever is looking.
    pub(super) fn remember(&mut self, answer: &Answer) {
        // A refusal that tells of a tariff is for whoever asked, and for nobody who reads the last
        // taps (invariant 11).
        if answer.reason.is_some_and(|reason| reason.concerns_tariff()) {
            return;
        }
        let day = self.calendar.day(UnixMillis(answer.at));
        if self.history.today.0 != Some(day) {
            self.history.today = (Some(day), TodayCount::default());
        }
        if answer.kind != Kind::Void {
            self.history.today.1.taps += 1;
            self.history.today.1.ok += u64::from(answer.verdict == VerdictKind::Ok);
        }
        let row = HistoryRow {
            id: self.history.next_row,
            answer: answer.clone(),
            hub: if answer.entry.is_some() { HubState::Waiting } else { HubState::NotSent },
            outcome: if answer.entry.is_some() { Outcome::Counted } else { Outcome::NotCounted },
        };
        self.history.next_row += 1;
        self.history.rows.push_front(row.clone());
        self.history.rows.truncate(HISTORY_ROWS);
        self.publish(Event::Row(Box::new(row)));
        self.health.note_status_due();
    }

    /// The last taps, newest first.
    pub fn history(&self) -> Vec<HistoryRow> {
        self.history.rows.iter().cloned().collect()
    }

    /// After a restart: today's entries of this desk, as rows.
    pub(super) fn rebuild_history(&mut self, now: UnixMillis) {
        let today = self.calendar.day(now);
        let Some(ledger) = self.book.files.ledger(today) else { return };
        let mut own: Vec<(EntryRef, Entry)> = ledger
            .entries()
            .filter(|(place, _)| place.writer.device == self.book.writer.device)
            .map(|(place, entry)| (place, *entry))
            .collect();
        own.sort_by_key(|(place, entry)| (entry.at, *place));
        let recent = own.split_off(own.len().saturating_sub(HISTORY_ROWS));
        for (place, entry) in recent {
            let answer = self.answer_of(place, &entry);
            self.remember(&answer);
        }
        let subjects: Vec<Subject> = self.book.by_subject.keys().copied().collect();
        for subject in subjects {
            self.refresh_outcomes(subject);
        }
        self.refresh_hub_states();
    }

    /// Names the passes, activities and rewards of rows that were made while the pass list could not be read.
    pub(super) fn refresh_names(&mut self) {
        let mut named = Vec::new();
        for (at, row) in self.history.rows.iter().enumerate() {
            let Some(place) = row.answer.entry else { continue };
            let Some(entry) = self.book.entry(&place) else { continue };
            let now = self.answer_of(place, entry);
            let pass = row.answer.pass.is_none() && now.pass.is_some();
            let title = row.answer.title.is_none() && now.title.is_some();
            if pass || title {
                named.push((at, now));
            }
        }
        for (at, now) in named {
            let Some(row) = self.history.rows.get_mut(at) else { continue };
            row.answer.pass = row.answer.pass.take().or(now.pass);
            row.answer.title = row.answer.title.take().or(now.title);
            let row = row.clone();
            self.publish(Event::Row(Box::new(row)));
        }
    }

    fn answer_of(&self, place: EntryRef, entry: &Entry) -> Answer {
        let record = match entry.subject {
            Subject::Pass(pass) => self.knowledge.store.pass(pass),
            Subject::Chip(_) | Subject::External(_) => None,
        };
        let provisional = matches!(entry.subject, Subject::Chip(_));
        Answer {
            verdict: if provisional { VerdictKind::Ask } else { VerdictKind::Ok },
            reason: provisional.then_some(crdt_model::decide::Reason::PassNotFound),
            kind: showing::kind(counter::Kind::of(&entry.fact)),
            provisional,
            at: entry.at.0,
            entry: Some(place),
            points_change: counter::points_change(&entry.fact),
            pass: record.map(|record| self.shown(&record, None)),
            title: self.title_of(&entry.fact),
            earlier_at: None,
            policy: None,
            authenticity: None,
        }
    }

    /// Brings what the rows say of a subject's entries up to date with the merged ledger.
    pub(super) fn refresh_outcomes(&mut self, subject: Subject) {
        let folded = self.outcomes(subject);
        let in_debt = match subject {
            Subject::Pass(pass) => {
                let record = self.knowledge.store.pass(pass);
                record.is_some_and(|record| self.account(&record, None).debt() > 0)
            }
            Subject::Chip(_) | Subject::External(_) => false,
        };
        let outcome_of = |place: &EntryRef| {
            let (_, outcome) = folded.outcomes.iter().find(|(found, _)| found == place)?;
            Some(match outcome {
                account::Outcome::OverLimit => Outcome::OverLimit,
                account::Outcome::TakenBack => Outcome::TakenBack,
                // Folded from nothing every redemption leaves a debt: the account knows better.
                account::Outcome::LeftDebt if in_debt => Outcome::LeftDebt,
                account::Outcome::LeftDebt | account::Outcome::Counted => Outcome::Counted,
                account::Outcome::Nothing => Outcome::NotCounted,
            })
        };
        let mut changed = Vec::new();
        for row in &mut self.history.rows {
            let Some(outcome) = row.answer.entry.as_ref().and_then(outcome_of) else { continue };
            if row.outcome != outcome {
                row.outcome = outcome;
                changed.push(row.clone());
            }
        }
        for row in changed {
            self.publish(Event::Row(Box::new(row)));
        }
    }

    /// Brings what the rows say of the hub up to date with its acknowledgements.
    pub(super) fn refresh_hub_states(&mut self) {
        let mut changed = Vec::new();
        for row in &mut self.history.rows {
            let Some(place) = &row.answer.entry else { continue };
            let acknowledged =
                self.book.acknowledged.get(&(place.day, place.writer)).copied().unwrap_or_default();
            // A hub that was restored from an older copy takes back what it had said.
            let now = match row.hub {
                HubState::Waiting if place.index < acknowledged => HubState::Accepted,
                HubState::Accepted if place.index >= acknowledged => HubState::Waiting,
                _ => continue,
            };
            row.hub = now;
            changed.push(row.clone());
        }
        for row in changed {
            self.publish(Event::Row(Box::new(row)));
        }
    }

    /// The hub set this desk's entries apart from this place on.
    pub(super) fn mark_quarantined(&mut self, day: Date, writer: Writer, first: u64, reason: &str) {
        let mut changed = Vec::new();
        for row in &mut self.history.rows {
            let Some(place) = &row.answer.entry else { continue };
            if place.day == day && place.writer == writer && place.index + 1 >= first {
                row.hub = HubState::Quarantined { reason: reason.to_owned() };
                changed.push(row.clone());
            }
        }
        for row in changed {
            self.publish(Event::Row(Box::new(row)));
        }
    }
}
