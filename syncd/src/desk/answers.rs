//! The answers: to a tap, a redemption, a void. Look up, decide, append, and only then answer.

use crdt_model::account::{Account, Limited};
use crdt_model::catalogue::{PassRecord, Programme};
use crdt_model::decide::{self, Reason, Standing, VerdictKind, rewards_for};
use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{Identification, IdentificationError};
use crdt_model::time::UnixMillis;
use thiserror::Error;

use super::Desk;
use crate::desk_api::types::{Answer, Kind, PassView, RewardView};
use crate::ledger_files::LedgerFileError;
use crate::store::StoreError;

/// Why there is no verdict at all. Nothing was recorded.
#[derive(Debug, Error)]
pub enum Refusal {
    /// What was typed is no number of a card.
    #[error(transparent)]
    Card(#[from] IdentificationError),
    /// The disk does not take the entry.
    #[error("nothing was recorded, because the ledger could not be written: {0}")]
    Ledger(LedgerFileError),
    /// The pass list cannot be read.
    #[error("nothing was recorded, because the pass list cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The venue has no such activity.
    #[error("this venue has no such activity")]
    NoSuchActivity,
    /// There is no such entry in this venue's ledgers.
    #[error("there is no such entry in this venue's ledgers")]
    NoSuchEntry,
    /// The card is not known, so there is nothing to say about it.
    #[error("no pass of this number or chip is known at this desk")]
    NoSuchPass,
    /// What was chosen could not be kept.
    #[error("the choice could not be kept: {0}")]
    Settings(std::io::Error),
}

/// What a decision comes to, before it is an answer.
struct Decided {
    kind: Kind,
    title: Option<String>,
    /// The fact to write and the points that it changes, or why nothing is written.
    outcome: Result<(Fact, i64), Reason>,
    earlier_at: Option<UnixMillis>,
}

impl Desk {
    /// Answers a tap: a check-in, or a visit, whichever the pass is for.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn tap(&mut self, pass: &str, wall: UnixMillis) -> Result<Answer, Refusal> {
        let card: Identification = pass.parse()?;
        let now = self.next_at(wall);
        match self.record(&card)? {
            Some(record) => {
                let account = self.account(&record, Some(&card));
                let decided = self.decide_tap(&record, &account, now);
                self.answer(&record, Some(&card), decided, now)
            }
            None => self.answer_unknown(&card, now),
        }
    }

    fn decide_tap(&self, record: &PassRecord, account: &Account, now: UnixMillis) -> Decided {
        let standing = Standing { record, account };
        if record.programme == Programme::Museumpass {
            let outcome = decide::visit(standing, &self.enrolment.venue, &self.calendar, now);
            return Decided {
                kind: Kind::Visit,
                title: Some(self.enrolment.venue_name.clone()),
                earlier_at: self.earlier(record, now, |fact| matches!(fact, Fact::Visit)),
                outcome: outcome.map(|()| (Fact::Visit, 0)),
            };
        }
        let Some(activity) = self.activity() else {
            return Decided {
                kind: Kind::CheckIn,
                title: None,
                earlier_at: None,
                outcome: Err(Reason::NoActivityChosen),
            };
        };
        let outcome = decide::check_in(standing, activity, &self.calendar, now);
        let of = activity.activity;
        Decided {
            kind: Kind::CheckIn,
            title: Some(activity.title.clone()),
            earlier_at: self.earlier(
                record,
                now,
                |fact| matches!(fact, Fact::CheckIn { activity, .. } if *activity == of),
            ),
            outcome: outcome
                .map(|points| (Fact::CheckIn { activity: of, points }, i64::from(points))),
        }
    }

    /// When this venue last recorded such a fact for this pass today, if it did.
    fn earlier(
        &self,
        record: &PassRecord,
        now: UnixMillis,
        such: impl Fn(&Fact) -> bool,
    ) -> Option<UnixMillis> {
        let today = self.calendar.day(now);
        let places = self.by_subject.get(&Subject::Pass(record.pass))?;
        let entries = places.iter().filter(|place| place.day == today);
        entries.filter_map(|place| self.entry(place)).filter(|e| such(&e.fact)).map(|e| e.at).max()
    }

    /// Writes what was decided, and makes the answer of it.
    fn answer(
        &mut self,
        record: &PassRecord,
        card: Option<&Identification>,
        decided: Decided,
        now: UnixMillis,
    ) -> Result<Answer, Refusal> {
        let (entry, reason, points_change) = match decided.outcome {
            Ok((fact, points_change)) => {
                let entry = Entry { at: now, subject: Subject::Pass(record.pass), fact };
                (Some(self.append(entry)?), None, points_change)
            }
            Err(reason) => (None, Some(reason), 0),
        };
        let account = self.account(record, card);
        let answer = Answer {
            verdict: reason.map_or(VerdictKind::Ok, |reason| reason.verdict()),
            reason,
            kind: decided.kind,
            provisional: false,
            at: now.0,
            entry,
            points_change,
            pass: Some(Self::pass_view(record, &account)),
            title: decided.title,
            earlier_at: decided
                .earlier_at
                .filter(|_| reason == Some(Reason::MaximumReached))
                .map(|at| at.0),
        };
        self.remember(&answer);
        Ok(answer)
    }

    /// A card that the catalogue does not know: recorded by its chip number where policy allows
    /// and there is an activity to check in to; the hub settles it.
    fn answer_unknown(
        &mut self,
        card: &Identification,
        now: UnixMillis,
    ) -> Result<Answer, Refusal> {
        let mut answer = Answer {
            verdict: VerdictKind::Ask,
            reason: Some(Reason::PassNotFound),
            kind: Kind::Unknown,
            provisional: false,
            at: now.0,
            entry: None,
            points_change: 0,
            pass: None,
            title: None,
            earlier_at: None,
        };
        let provisional = match (card, self.activity()) {
            (Identification::Chip(chip), Some(activity)) if self.policy.unknown_cards => {
                Some((Subject::Chip(*chip), activity.clone()))
            }
            _ => None,
        };
        if let Some((subject, activity)) = provisional {
            let account = self.account_of_unknown(subject);
            let of = Limited::CheckIn(activity.activity);
            let day = self.calendar.day(now);
            let room =
                activity.checkin_limit.is_none_or(|limit| account.leaves_room(&of, limit, day));
            answer.title = Some(activity.title);
            answer.provisional = true;
            if room {
                let points = activity.checkin_points;
                let fact = Fact::CheckIn { activity: activity.activity, points };
                answer.entry = Some(self.append(Entry { at: now, subject, fact })?);
            } else {
                answer.reason = Some(Reason::MaximumReached);
                answer.verdict = Reason::MaximumReached.verdict();
            }
        }
        self.remember(&answer);
        Ok(answer)
    }

    /// Answers a redemption.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn redeem(
        &mut self,
        pass: &str,
        reward_id: &str,
        wall: UnixMillis,
    ) -> Result<Answer, Refusal> {
        let card: Identification = pass.parse()?;
        let now = self.next_at(wall);
        let Some(record) = self.record(&card)? else {
            return Ok(self.answer_unknown_redemption(now));
        };
        let account = self.account(&record, Some(&card));
        let reward = self.rewards.iter().find(|reward| reward.reward_id == reward_id);
        let outcome = match reward {
            Some(reward) => {
                let standing = Standing { record: &record, account: &account };
                decide::redeem(standing, reward, &self.calendar, now).map(|points| {
                    (Fact::Redemption { reward: reward.reward, points }, -i64::from(points))
                })
            }
            None => Err(Reason::RewardNotFound),
        };
        let title = reward.map(|reward| reward.title.clone());
        let decided = Decided { kind: Kind::Redemption, title, outcome, earlier_at: None };
        self.answer(&record, Some(&card), decided, now)
    }

    /// Points of an unknown card are unknown, so nothing is handed out for them.
    fn answer_unknown_redemption(&mut self, now: UnixMillis) -> Answer {
        let answer = Answer {
            verdict: VerdictKind::Ask,
            reason: Some(Reason::PassNotFound),
            kind: Kind::Redemption,
            provisional: false,
            at: now.0,
            entry: None,
            points_change: 0,
            pass: None,
            title: None,
            earlier_at: None,
        };
        self.remember(&answer);
        answer
    }

    /// Takes an entry back: this one, or the last of this run of the desk.
    ///
    /// # Errors
    /// [`Refusal::NoSuchEntry`], or as for a tap.
    pub fn void(&mut self, target: Option<EntryRef>, wall: UnixMillis) -> Result<Answer, Refusal> {
        let now = self.next_at(wall);
        let place = target.or_else(|| self.last_to_take_back()).ok_or(Refusal::NoSuchEntry)?;
        let target = *self.entry(&place).ok_or(Refusal::NoSuchEntry)?;
        let taken_back = self.is_taken_back(&place, target.subject);
        let outcome = decide::void(&target, taken_back, &self.policy, now);
        let (title, points_change) = self.taken_back_points(&target);
        let entry = match outcome {
            Ok(()) => {
                let fact = Fact::Void { target: place };
                Some(self.append(Entry { at: now, subject: target.subject, fact })?)
            }
            Err(_) => None,
        };
        let reason = outcome.err();
        let pass = match target.subject {
            Subject::Pass(pass) => self
                .store
                .pass(pass)?
                .map(|record| Self::pass_view(&record, &self.account(&record, None))),
            Subject::Chip(_) => None,
        };
        let answer = Answer {
            verdict: reason.map_or(VerdictKind::Ok, |reason| reason.verdict()),
            reason,
            kind: Kind::Void,
            provisional: false,
            at: now.0,
            entry,
            points_change: if entry.is_some() { points_change } else { 0 },
            pass,
            title,
            earlier_at: None,
        };
        self.remember(&answer);
        self.refresh_outcomes(target.subject);
        Ok(answer)
    }

    /// The last entry of this run that is neither a void nor taken back.
    fn last_to_take_back(&self) -> Option<EntryRef> {
        let own = self.history.iter().filter_map(|row| row.answer.entry);
        own.filter(|place| place.writer.device == self.writer.device).find(|place| {
            self.entry(place).is_some_and(|entry| {
                !matches!(entry.fact, Fact::Void { .. })
                    && !self.is_taken_back(place, entry.subject)
            })
        })
    }

    fn is_taken_back(&self, target: &EntryRef, subject: Subject) -> bool {
        self.by_subject.get(&subject).into_iter().flatten().any(|place| {
            self.entry(place).is_some_and(|entry| entry.fact == Fact::Void { target: *target })
        })
    }

    /// The title of what is taken back, and what that does to the points.
    fn taken_back_points(&self, target: &Entry) -> (Option<String>, i64) {
        match target.fact {
            Fact::CheckIn { activity, points } => {
                let found = self.activities.iter().find(|found| found.activity == activity);
                (found.map(|found| found.title.clone()), -i64::from(points))
            }
            Fact::Redemption { reward, points } => {
                let found = self.rewards.iter().find(|found| found.reward == reward);
                (found.map(|found| found.title.clone()), i64::from(points))
            }
            Fact::Visit => (Some(self.enrolment.venue_name.clone()), 0),
            Fact::Void { .. } | Fact::Newer { .. } => (None, 0),
        }
    }

    /// The pass that carries this card, as it stands.
    ///
    /// # Errors
    /// [`Refusal::NoSuchPass`], [`Refusal::Card`], [`Refusal::Store`].
    pub fn pass(&self, pass: &str) -> Result<PassView, Refusal> {
        let card: Identification = pass.parse()?;
        let record = self.record(&card)?.ok_or(Refusal::NoSuchPass)?;
        Ok(Self::pass_view(&record, &self.account(&record, Some(&card))))
    }

    /// What the pass that carries this card can have now, and what it nearly can.
    ///
    /// # Errors
    /// As [`Desk::pass`].
    pub fn rewards(&self, pass: &str, wall: UnixMillis) -> Result<Vec<RewardView>, Refusal> {
        let card: Identification = pass.parse()?;
        let record = self.record(&card)?.ok_or(Refusal::NoSuchPass)?;
        let account = self.account(&record, Some(&card));
        let standing = Standing { record: &record, account: &account };
        let offers = rewards_for(standing, &self.rewards, &self.calendar, self.next_at(wall));
        Ok(offers
            .into_iter()
            .map(|offer| RewardView {
                reward_id: offer.reward.reward_id.clone(),
                title: offer.reward.title.clone(),
                kind: offer.reward.kind,
                points: offer.reward.points,
                redeemable: offer.answer.is_ok(),
                points_lacking: offer.points_lacking,
                reason: offer.answer.err(),
            })
            .collect())
    }
}
