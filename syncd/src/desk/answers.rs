//! The answers: to a tap, a void (to a redemption: [`super::redemptions`]). Look up, decide, append, and only then answer.

use std::borrow::Cow;

use crdt_model::account::Account;
use crdt_model::authenticity::Authenticity;
use crdt_model::catalogue::{Activity, CardName, OpeningHours, PassRecord, Programme};
use crdt_model::decide::{self, Here, Reason, Standing, VerdictKind, rewards_for};
use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{ExternalCard, Identification, IdentificationError};
use crdt_model::time::UnixMillis;
use data_encoding::BASE64;
use desk_api::types::{
    Answer, HubLink, Kind, PassView, PolicyRule, RewardView, SealedView, TapRequest,
};
use thiserror::Error;

use super::Desk;
use crate::ledger_files::LedgerFileError;
use crate::store::{Cursor, StoreError};

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
    /// There is no such check of a card, or nothing was asked in it.
    #[error("there is no such check of a card: show the card again")]
    NoSuchCheck,
    /// The card is not known, so there is nothing to say about it.
    #[error("no pass of this number or chip is known at this desk")]
    NoSuchPass,
    /// Neither the activity nor the request has a price.
    #[error("this activity has no price; say what it costs without a discount")]
    NoPrice,
    /// The pass can buy nothing as a pass.
    #[error("this pass has no prices of its own: {0}")]
    Not(Reason),
    /// There is no sealed part of this pass here.
    #[error("this desk has no name or picture of this pass")]
    NoHolder,
    /// The desk has not been told to which key requests are sealed.
    #[error(
        "the hub takes no requests about cards, or this desk has not reached it since it does. Link the desk to the hub once"
    )]
    NoRequestKey,
    /// A request cannot be sealed.
    #[error(transparent)]
    Request(#[from] sync_protocol::request::RequestError),
    /// A request could not be kept.
    #[error("the request could not be kept, so it was not made: {0}")]
    RequestNotKept(std::io::Error),
    /// The card is not one that can be sold.
    #[error(
        "this card is not from a stock: it was given to somebody before, or blocked. Take another card"
    )]
    NotInStock,
    /// A registration lacks something.
    #[error("a holder has a name, and a day of birth that has been")]
    Registration,
    /// No price fits.
    #[error("the card system has no price for somebody of this age")]
    NoMembershipPrice,
    /// The card system is not known, or must be named.
    #[error(
        "name the card system of which the holder becomes a member: this desk knows several, or not this one"
    )]
    CardSystem,
    /// What was chosen could not be kept.
    #[error("the choice could not be kept: {0}")]
    Settings(std::io::Error),
}

/// What a decision comes to, before it is an answer.
pub(super) struct Decided {
    pub(super) kind: Kind,
    pub(super) title: Option<String>,
    /// The fact to write and the points that it changes, or why nothing is written.
    pub(super) outcome: Result<(Fact, i64), Reason>,
    pub(super) earlier_at: Option<UnixMillis>,
    pub(super) policy: Option<PolicyRule>,
    /// What the card proved, where one was shown.
    pub(super) authenticity: Option<Authenticity>,
}

impl Decided {
    pub(super) fn of(
        kind: Kind,
        title: Option<String>,
        outcome: Result<(Fact, i64), Reason>,
    ) -> Self {
        Self { kind, title, outcome, earlier_at: None, policy: None, authenticity: None }
    }
}

impl Desk {
    /// Where and when a decision is taken.
    pub(super) fn here(&self, now: UnixMillis) -> Here<'_> {
        Here { venue: &self.enrolment.venue, policy: &self.policy, calendar: &self.calendar, now }
    }

    /// For how long the hub has not confirmed the catalogue, in milliseconds.
    pub(super) fn catalogue_age(&self, now: UnixMillis) -> i64 {
        if self.hub == HubLink::Connected && self.confirmed {
            return 0;
        }
        // Nobody knows how old the records of a damaged list are, nor for how long a desk was off whose clock lags.
        if self.store.is_damaged() || self.clock.may_be_behind() {
            return i64::MAX;
        }
        let at = self.store.cursor(Cursor::CatalogueAt).ok().filter(|at| *at > 0);
        let age = at.map(|at| now.0.saturating_sub(i64::try_from(at).unwrap_or(i64::MAX)));
        match age {
            // A clock that was put back says nothing of how old the list is.
            Some(age) if age >= -self.policy.clock_tolerance => age.max(0),
            Some(_) | None => i64::MAX,
        }
    }

    pub(super) fn standing<'a>(
        &self,
        record: &'a PassRecord,
        account: &'a Account,
        card: &Identification,
        authenticity: Authenticity,
        now: UnixMillis,
    ) -> Standing<'a> {
        let name = CardName(self.lookup.card_key(card));
        Standing {
            record,
            account,
            card: record.card_status(&name),
            age: self.catalogue_age(now),
            authenticity,
        }
    }

    /// Answers a tap: a check-in, or a visit, whichever the pass is for.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn tap(&mut self, tap: &TapRequest, wall: UnixMillis) -> Result<Answer, Refusal> {
        let card: Identification = tap.pass.parse()?;
        let code = tap.checkin_code.as_deref();
        let authenticity = self.checks.authenticity(tap.check.as_deref(), &card)?;
        let now = self.next_at(wall);
        if authenticity == Authenticity::Refuted {
            return Ok(self.answer_forged(Kind::CheckIn, now));
        }
        if let Identification::External(external) = &card {
            return self.answer_external(&card, external, now);
        }
        match self.record(&card)? {
            Some(record) => {
                let account = self.account(&record, Some(&card));
                let standing = self.standing(&record, &account, &card, authenticity, now);
                let decided = self.decide_tap(standing, code, now);
                let decided = Decided { authenticity: Some(authenticity), ..decided };
                self.answer(&record, Some(&card), decided, now)
            }
            None => self.answer_unknown(&card, code, authenticity, now),
        }
    }

    /// A card that was refuted is stopped before anything else is looked at: whoever shows it learns
    /// nothing of the pass whose number it has, not even whether there is one.
    pub(super) fn answer_forged(&mut self, kind: Kind, now: UnixMillis) -> Answer {
        let reason = Reason::CardNotGenuine;
        let answer = Answer {
            verdict: reason.verdict(),
            reason: Some(reason),
            authenticity: Some(Authenticity::Refuted),
            ..Answer::without_pass(kind, now.0)
        };
        self.remember(&answer);
        answer
    }

    /// The activity that a check-in is to: the one of the code, or the desk's. Where the desk does not know the hour,
    /// the volunteer does: then it is open.
    fn checked_in_to(
        &self,
        code: Option<&str>,
        now: UnixMillis,
    ) -> Result<Cow<'_, Activity>, Reason> {
        let activity = match code {
            Some(code) => decide::check_in_by_code(code, &self.activities, &self.here(now))?,
            None => self.activity().ok_or(Reason::NoActivityChosen)?,
        };
        if !self.clock.is_a_guess() {
            return Ok(Cow::Borrowed(activity));
        }
        let opening_hours = OpeningHours::default();
        Ok(Cow::Owned(Activity { opening_hours, ..activity.clone() }))
    }

    fn decide_tap(&self, pass: Standing<'_>, code: Option<&str>, now: UnixMillis) -> Decided {
        let here = self.here(now);
        if pass.record.programme == Programme::Museumpass {
            let outcome = decide::visit(pass, &here).map(|()| (Fact::Visit, 0));
            let subject = Subject::Pass(pass.record.pass);
            return Decided {
                earlier_at: self.earlier(outcome.as_ref().err(), subject, now, |fact| {
                    matches!(fact, Fact::Visit)
                }),
                ..Decided::of(Kind::Visit, Some(self.enrolment.venue_name.clone()), outcome)
            };
        }
        let activity = match self.checked_in_to(code, now) {
            Ok(activity) => activity,
            // A blocked card is stopped, also where nobody has chosen an activity.
            Err(reason) => {
                let reason = super::standing::blocked(&pass).unwrap_or(reason);
                return Decided::of(Kind::CheckIn, None, Err(reason));
            }
        };
        let of = activity.activity;
        let outcome = decide::check_in(pass, &activity, &here)
            .map(|points| (Fact::CheckIn { activity: of, points }, i64::from(points)));
        Decided {
            earlier_at: self.earlier(
                outcome.as_ref().err(),
                Subject::Pass(pass.record.pass),
                now,
                |fact| matches!(fact, Fact::CheckIn { activity, .. } if *activity == of),
            ),
            ..Decided::of(Kind::CheckIn, Some(activity.title.clone()), outcome)
        }
    }

    /// A Museumkaart, a member card: let in or not, by the policy's word on its type.
    fn answer_external(
        &mut self,
        card: &Identification,
        external: &ExternalCard,
        now: UnixMillis,
    ) -> Result<Answer, Refusal> {
        let subject = Subject::External(self.lookup.card_key(card));
        let account = self.account_of_unknown(subject);
        let decided = decide::external(external, &account, &self.here(now));
        let title = decided.map(|rule| rule.name.clone());
        let outcome = match &title {
            Ok(_) => {
                let entry = Entry { at: now, subject, fact: Fact::ExternalVisit };
                Ok(self.append(entry)?)
            }
            Err(reason) => Err(*reason),
        };
        let reason = outcome.err();
        let earlier =
            self.earlier(reason.as_ref(), subject, now, |fact| matches!(fact, Fact::ExternalVisit));
        let answer = Answer {
            verdict: reason.map_or(VerdictKind::Ok, |reason| reason.verdict()),
            reason,
            entry: outcome.ok(),
            title: title.ok().or_else(|| Some(external.card_type().to_owned())),
            earlier_at: earlier.map(|at| at.0),
            ..Answer::without_pass(Kind::ExternalVisit, now.0)
        };
        self.remember(&answer);
        Ok(answer)
    }

    /// When this venue last recorded such a fact about this pass or card today, where another one is
    /// refused because it did.
    fn earlier(
        &self,
        refused: Option<&Reason>,
        subject: Subject,
        now: UnixMillis,
        such: impl Fn(&Fact) -> bool,
    ) -> Option<UnixMillis> {
        if refused != Some(&Reason::MaximumReached) {
            return None;
        }
        let today = self.calendar.day(now);
        let places = self.by_subject.get(&subject)?;
        let entries = places.iter().filter_map(|place| Some((place, self.entry(place)?)));
        let such = entries.filter(|(_, entry)| such(&entry.fact));
        let times = such.map(|(place, entry)| self.counted_at(place, entry));
        times.filter(|at| self.calendar.day(*at) == today).max()
    }

    /// Writes what was decided, and makes the answer of it.
    pub(super) fn answer(
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
            verdict: reason.map_or(VerdictKind::Ok, |reason| match decided.kind {
                Kind::TicketSale => decide::verdict_of_sale(reason),
                _ => reason.verdict(),
            }),
            reason,
            kind: decided.kind,
            provisional: false,
            at: now.0,
            entry,
            points_change,
            pass: Some(Self::pass_view(record, &account)),
            title: decided.title,
            earlier_at: decided.earlier_at.map(|at| at.0),
            policy: decided.policy,
            authenticity: decided.authenticity,
        };
        self.remember(&answer);
        Ok(answer)
    }

    /// A card that the catalogue does not know: recorded by its chip number where policy allows
    /// and there is an activity to check in to; the hub settles it.
    fn answer_unknown(
        &mut self,
        card: &Identification,
        code: Option<&str>,
        authenticity: Authenticity,
        now: UnixMillis,
    ) -> Result<Answer, Refusal> {
        let mut answer = Answer {
            verdict: VerdictKind::Ask,
            reason: Some(Reason::PassNotFound),
            authenticity: Some(authenticity),
            ..Answer::without_pass(Kind::Unknown, now.0)
        };
        let activity = self.checked_in_to(code, now).ok().map(Cow::into_owned);
        if let (Identification::Chip(chip), Some(activity)) = (card, activity) {
            let subject = Subject::Chip(*chip);
            let account = self.account_of_unknown(subject);
            let taken_today = self.unknown_cards_of(now, subject);
            let here = self.here(now);
            let decided =
                decide::unknown_card(&account, taken_today, authenticity, &activity, &here);
            answer.title = Some(activity.title);
            answer.policy = Some(PolicyRule::UnknownCard {
                taken_today,
                most_a_day: if self.policy.unknown_cards {
                    self.policy.unknown_cards_a_day
                } else {
                    Some(0)
                },
            });
            match decided {
                Ok(points) => {
                    let fact = Fact::CheckIn { activity: activity.activity, points };
                    answer.entry = Some(self.append(Entry { at: now, subject, fact })?);
                    answer.provisional = true;
                }
                Err(reason) => {
                    answer.reason = Some(reason);
                    answer.verdict = reason.verdict();
                }
            }
        }
        self.remember(&answer);
        Ok(answer)
    }

    /// How many different unknown cards beside this one the desk has taken today.
    fn unknown_cards_of(&self, now: UnixMillis, but: Subject) -> u32 {
        let (today, device) = (self.calendar.day(now), self.writer.device);
        let own = |place: &EntryRef| {
            let at = self.entry(place).map(|entry| self.counted_at(place, entry));
            place.writer.device == device && at.is_some_and(|at| self.calendar.day(at) == today)
        };
        let taken = self.by_subject.iter().filter(|(subject, places)| {
            **subject != but && matches!(subject, Subject::Chip(_)) && places.iter().any(own)
        });
        u32::try_from(taken.count()).unwrap_or(u32::MAX)
    }

    /// The rule for an account of this age, where age has a say.
    pub(super) fn age_rule(&self, age: i64) -> Option<PolicyRule> {
        let rule = self.policy.age_rule(age);
        let points_allowed = match rule {
            Some(rule) => rule.points,
            None => Some(0),
        };
        (age > 0).then_some(PolicyRule::AccountAge {
            age: (age < i64::MAX).then_some(age),
            points_allowed,
        })
    }

    /// An unknown card's points and rights are unknown, so nothing is handed out for them.
    pub(super) fn answer_unknown_pass(&mut self, kind: Kind, now: UnixMillis) -> Answer {
        let answer = Answer {
            verdict: VerdictKind::Ask,
            reason: Some(Reason::PassNotFound),
            ..Answer::without_pass(kind, now.0)
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
                // A copy may get another place; where it stood first stays.
                let fact = Fact::Void { target: self.first_place(&place).unwrap_or(place) };
                Some(self.append(Entry { at: now, subject: target.subject, fact })?)
            }
            Err(_) => None,
        };
        let reason = outcome.err();
        let pass = match target.subject {
            // What was written is said, whatever the pass list says.
            Subject::Pass(pass) => self
                .store
                .pass(pass)
                .map(|record| Self::pass_view(&record, &self.account(&record, None))),
            Subject::Chip(_) | Subject::External(_) => None,
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
            policy: None,
            authenticity: None,
        };
        self.remember(&answer);
        self.recount_units();
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

    pub(super) fn is_taken_back(&self, target: &EntryRef, subject: Subject) -> bool {
        let first = |place: &EntryRef| self.first_place(place).unwrap_or(*place);
        self.by_subject.get(&subject).into_iter().flatten().any(|place| {
            self.entry(place).is_some_and(|entry| match &entry.fact {
                Fact::Void { target: named } => first(named) == first(target),
                _ => false,
            })
        })
    }

    /// The title of what is taken back, and what that does to the points.
    fn taken_back_points(&self, target: &Entry) -> (Option<String>, i64) {
        match target.fact {
            Fact::CheckIn { activity, points } => {
                let found = self.activities.iter().find(|found| found.activity == activity);
                (found.map(|found| found.title.clone()), -i64::from(points))
            }
            Fact::TicketSale { activity, .. } => {
                let found = self.activities.iter().find(|found| found.activity == activity);
                (found.map(|found| found.title.clone()), 0)
            }
            Fact::Redemption { reward, points, .. } => {
                let found = self.rewards.iter().find(|found| found.reward == reward);
                (found.map(|found| found.title.clone()), i64::from(points))
            }
            Fact::Visit | Fact::ExternalVisit => (Some(self.enrolment.venue_name.clone()), 0),
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

    /// What the pass that carries this card can have now, and what it nearly can. `check` is the check
    /// that was made of the card, where one was.
    ///
    /// # Errors
    /// As [`Desk::pass`].
    pub fn rewards(
        &self,
        pass: &str,
        check: Option<&str>,
        wall: UnixMillis,
    ) -> Result<Vec<RewardView>, Refusal> {
        let card: Identification = pass.parse()?;
        let record = self.record(&card)?.ok_or(Refusal::NoSuchPass)?;
        let account = self.account(&record, Some(&card));
        let now = self.next_at(wall);
        let authenticity = self.checks.authenticity(check, &card)?;
        if authenticity == Authenticity::Refuted {
            return Ok(Vec::new());
        }
        let standing = self.standing(&record, &account, &card, authenticity, now);
        let next_unit = |reward: &_| self.next_unit(reward);
        let offers = rewards_for(standing, &self.rewards, next_unit, &self.here(now));
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
                last_chance: offer.last_chance,
                categories: offer.reward.categories.clone(),
                for_kids: offer.reward.for_kids,
                sport: offer.reward.sport,
                featured: offer.reward.featured,
                units_left: offer.reward.limited.then(|| self.holding.left(offer.reward.reward)),
            })
            .collect())
    }

    /// The sealed part of the record of the pass that carries this card. This desk does not open it.
    ///
    /// # Errors
    /// As [`Desk::pass`]; [`Refusal::NoHolder`].
    pub fn sealed(&self, pass: &str) -> Result<SealedView, Refusal> {
        let card: Identification = pass.parse()?;
        let record = self.record(&card)?.ok_or(Refusal::NoSuchPass)?;
        let sealed = self.store.holder(record.pass).ok_or(Refusal::NoHolder)?;
        Ok(SealedView {
            pass_id: record.pass,
            sealed: BASE64.encode(&minicbor::to_vec(&sealed).unwrap_or_default()),
            lookup_key: BASE64.encode(&self.lookup.0),
        })
    }
}
