//! The counter at this desk: looks up what a question is about, appends what [`crdt_model::counter`] decides, and only
//! then answers.

use crdt_model::account::Account;
use crdt_model::authenticity::Authenticity;
use crdt_model::catalogue::{CardName, CardStatus, PassRecord};
use crdt_model::counter::{
    self, Case, Catalogue, Counter, Decision, ExternalPresented, PassPresented, PassShown,
    Presented, SaleAsked, Target, Units, UnknownPresented,
};
use crdt_model::decide::{Here, Standing};
use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{CardKey, ChipNumber, ExternalCard, Identification, RewardId};
use crdt_model::money::Cents;
use crdt_model::time::UnixMillis;
use data_encoding::BASE64;

use super::{Desk, Refusal, showing};
use desk_api::types::{
    Answer, PassView, RedemptionRequest, RewardView, SaleAnswer, SaleRequest, SealedView,
    TapRequest, TariffsView,
};

/// A card that was shown, and what the desk knows of it.
enum LookedUp {
    Forged,
    Pass(Box<KnownPass>),
    Unknown {
        chip: Option<ChipNumber>,
        account: Account,
        taken_today: u32,
        authenticity: Authenticity,
    },
    External {
        card: ExternalCard,
        key: CardKey,
        account: Account,
        seen: Vec<Entry>,
    },
}

struct KnownPass {
    record: PassRecord,
    card: CardStatus,
    account: Account,
    age: i64,
    authenticity: Authenticity,
    seen: Vec<Entry>,
}

impl LookedUp {
    fn presented(&self) -> Presented<'_> {
        match self {
            Self::Forged => Presented::Forged,
            Self::Pass(pass) => Presented::Pass(PassPresented {
                standing: Standing {
                    record: &pass.record,
                    card: pass.card,
                    account: &pass.account,
                    age: pass.age,
                    authenticity: pass.authenticity,
                },
                seen: &pass.seen,
            }),
            Self::Unknown { chip, account, taken_today, authenticity } => {
                Presented::Unknown(UnknownPresented {
                    chip: *chip,
                    account,
                    taken_today: *taken_today,
                    authenticity: *authenticity,
                })
            }
            Self::External { card, key, account, seen } => {
                Presented::External(ExternalPresented { card, key: *key, account, seen })
            }
        }
    }
}

impl Desk {
    /// The counter as it stands now.
    fn counter(&self, now: UnixMillis) -> Counter<'_> {
        Counter {
            venue_name: &self.enrolment.venue_name,
            catalogue: Catalogue {
                activities: &self.knowledge.activities,
                rewards: &self.knowledge.rewards,
                coupons: &self.knowledge.coupons,
            },
            chosen: self.knowledge.activity(),
            units: Units { holding: self.may_be_handed_out(), none_left: self.links.none_left() },
            here: Here {
                venue: &self.enrolment.venue,
                policy: &self.knowledge.policy,
                calendar: &self.calendar,
                now,
                hour_known: !self.time.clock.is_a_guess(),
            },
        }
    }

    fn case<'a>(&'a self, looked_up: &'a LookedUp, now: UnixMillis) -> Case<'a> {
        Case { presented: looked_up.presented(), counter: self.counter(now) }
    }

    /// Looks up a card. A forged one is not looked up.
    fn look_up(
        &self,
        card: &Identification,
        check: Option<&str>,
        now: UnixMillis,
    ) -> Result<LookedUp, Refusal> {
        let authenticity = self.checks.authenticity(check, card)?;
        if authenticity == Authenticity::Refuted {
            return Ok(LookedUp::Forged);
        }
        if let Identification::External(external) = card {
            let key = self.knowledge.lookup.card_key(card);
            let subject = Subject::External(key);
            return Ok(LookedUp::External {
                card: external.clone(),
                key,
                account: self.account_of_unknown(subject),
                seen: self.seen(subject),
            });
        }
        if let Some(record) = self.knowledge.record(card)? {
            return Ok(LookedUp::Pass(Box::new(KnownPass {
                card: record.card_status(&CardName(self.knowledge.lookup.card_key(card))),
                account: self.account(&record, Some(card)),
                age: self.catalogue_age(now),
                authenticity,
                seen: self.seen(Subject::Pass(record.pass)),
                record,
            })));
        }
        let Identification::Chip(chip) = card else {
            let account = Account::default();
            return Ok(LookedUp::Unknown { chip: None, account, taken_today: 0, authenticity });
        };
        let subject = Subject::Chip(*chip);
        Ok(LookedUp::Unknown {
            chip: Some(*chip),
            account: self.account_of_unknown(subject),
            taken_today: self.unknown_cards_of(now, subject),
            authenticity,
        })
    }

    /// This venue's entries about a subject, each dated at when it counts.
    fn seen(&self, subject: Subject) -> Vec<Entry> {
        let places = self.book.places_of(&subject);
        let entries = places.filter_map(|place| Some((place, self.book.entry(place)?)));
        let dated = |(place, entry)| Entry { at: self.counted_at(place, entry), ..*entry };
        entries.map(dated).collect()
    }

    /// How many different unknown cards beside this one the desk has taken today.
    fn unknown_cards_of(&self, now: UnixMillis, but: Subject) -> u32 {
        let (today, device) = (self.calendar.day(now), self.book.writer.device);
        let own = |place: &EntryRef| {
            let at = self.book.entry(place).map(|entry| self.counted_at(place, entry));
            place.writer.device == device && at.is_some_and(|at| self.calendar.day(at) == today)
        };
        let taken = self.book.by_subject.iter().filter(|(subject, places)| {
            **subject != but && matches!(subject, Subject::Chip(_)) && places.iter().any(own)
        });
        u32::try_from(taken.count()).unwrap_or(u32::MAX)
    }

    /// Answers a tap: a check-in, or a visit, whichever the pass is for.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn tap(&mut self, tap: &TapRequest, wall: UnixMillis) -> Result<Answer, Refusal> {
        let card: Identification = tap.pass.parse()?;
        let now = self.next_at(wall);
        let looked_up = self.look_up(&card, tap.check.as_deref(), now)?;
        let decision = counter::tap(&self.case(&looked_up, now), tap.checkin_code.as_deref());
        self.answer(&looked_up, &card, &decision, now)
    }

    /// Answers a redemption.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn redeem(
        &mut self,
        asked: &RedemptionRequest,
        wall: UnixMillis,
    ) -> Result<Answer, Refusal> {
        let card: Identification = asked.pass.parse()?;
        self.look_at_mark();
        let now = self.next_at(wall);
        let looked_up = self.look_up(&card, asked.check.as_deref(), now)?;
        let decision = counter::redeem(&self.case(&looked_up, now), &asked.reward_id);
        self.answer(&looked_up, &card, &decision, now)
    }

    /// Before a redemption: asks the hub for a unit, where nothing but a unit is lacking that the hub may have. Says for
    /// which reward the answer is to be waited for; nothing where there is nothing to wait for.
    ///
    /// # Errors
    /// As [`Desk::redeem`].
    pub fn ask_for_unit(
        &mut self,
        asked: &RedemptionRequest,
        wall: UnixMillis,
    ) -> Result<Option<RewardId>, Refusal> {
        let card: Identification = asked.pass.parse()?;
        let now = self.next_at(wall);
        let looked_up = self.look_up(&card, asked.check.as_deref(), now)?;
        let lacking = counter::lacks_only_a_unit(&self.case(&looked_up, now), &asked.reward_id);
        Ok(lacking.filter(|reward| self.want_now(*reward)))
    }

    /// What a pass pays for a ticket, the lowest price first.
    ///
    /// # Errors
    /// [`Refusal`]: also [`Refusal::Not`] where the pass buys nothing as a pass.
    pub fn tariffs(
        &self,
        pass: &str,
        event_id: Option<&str>,
        regular_price: Option<Cents>,
        wall: UnixMillis,
    ) -> Result<TariffsView, Refusal> {
        let card: Identification = pass.parse()?;
        let now = self.next_at(wall);
        let looked_up = self.look_up(&card, None, now)?;
        let tariffs = counter::tariffs(&self.case(&looked_up, now), event_id, regular_price)?;
        Ok(showing::tariffs(tariffs))
    }

    /// Sells tickets: all of them at one tariff, or none.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn sell(&mut self, sale: &SaleRequest, wall: UnixMillis) -> Result<SaleAnswer, Refusal> {
        let card: Identification = sale.pass.parse()?;
        let now = self.next_at(wall);
        let looked_up = self.look_up(&card, sale.check.as_deref(), now)?;
        let asked = SaleAsked {
            event_id: sale.event_id.as_deref(),
            regular_price: sale.regular_price_cents,
            tariff_id: sale.tariff_id.as_deref(),
            tickets: sale.tickets,
        };
        let decision = counter::sell(&self.case(&looked_up, now), &asked)?;
        let answer = self.answer(&looked_up, &card, &decision, now)?;
        Ok(SaleAnswer { answer, sale: decision.sold.map(showing::sale) })
    }

    /// Takes an entry back: this one, or the last of this run of the desk.
    ///
    /// # Errors
    /// [`Refusal::NoSuchEntry`], or as for a tap.
    pub fn void(&mut self, target: Option<EntryRef>, wall: UnixMillis) -> Result<Answer, Refusal> {
        let now = self.next_at(wall);
        let place = target.or_else(|| self.last_to_take_back()).ok_or(Refusal::NoSuchEntry)?;
        let target = *self.book.entry(&place).ok_or(Refusal::NoSuchEntry)?;
        let asked = Target {
            entry: &target,
            place: self.book.first_place(&place).unwrap_or(place),
            taken_back: self.book.is_taken_back(&place, target.subject),
        };
        let decision = counter::void(&asked, &self.counter(now));
        let entry = self.append_decided(&decision)?;
        let pass = match target.subject {
            // What was written is said, whatever the pass list says.
            Subject::Pass(pass) => self.knowledge.store.pass(pass),
            Subject::Chip(_) | Subject::External(_) => None,
        };
        let pass = pass.map(|record| self.shown(&record, None));
        let answer = showing::answer(&decision, now, entry, pass);
        self.remember(&answer);
        self.recount_units();
        self.refresh_outcomes(target.subject);
        Ok(answer)
    }

    /// Writes what was decided, and makes the answer of it.
    fn answer(
        &mut self,
        looked_up: &LookedUp,
        card: &Identification,
        decision: &Decision,
        now: UnixMillis,
    ) -> Result<Answer, Refusal> {
        let entry = self.append_decided(decision)?;
        let pass = match looked_up {
            LookedUp::Pass(pass) => Some(self.shown(&pass.record, Some(card))),
            LookedUp::Forged | LookedUp::Unknown { .. } | LookedUp::External { .. } => None,
        };
        let answer = showing::answer(decision, now, entry, pass);
        self.remember(&answer);
        Ok(answer)
    }

    fn append_decided(&mut self, decision: &Decision) -> Result<Option<EntryRef>, Refusal> {
        decision.entry().map(|entry| self.append(*entry)).transpose()
    }

    /// A pass as it stands at this desk, as it may be shown.
    pub(super) fn shown(&self, record: &PassRecord, card: Option<&Identification>) -> PassView {
        showing::pass(&PassShown::of(record, &self.account(record, card)))
    }

    /// What this fact was about, for people.
    pub(super) fn title_of(&self, fact: &Fact) -> Option<String> {
        self.counter(self.time.clock.latest()).title_of(fact).map(ToOwned::to_owned)
    }

    /// The last entry of this run that is neither a void nor taken back.
    fn last_to_take_back(&self) -> Option<EntryRef> {
        let own = self.history.rows.iter().filter_map(|row| row.answer.entry);
        own.filter(|place| place.writer.device == self.book.writer.device).find(|place| {
            self.book.entry(place).is_some_and(|entry| {
                !matches!(entry.fact, Fact::Void { .. })
                    && !self.book.is_taken_back(place, entry.subject)
            })
        })
    }

    /// The pass that carries this card, as it stands.
    ///
    /// # Errors
    /// [`Refusal::NoSuchPass`], [`Refusal::Card`], [`Refusal::Store`].
    pub fn pass(&self, pass: &str) -> Result<PassView, Refusal> {
        let card: Identification = pass.parse()?;
        let record = self.knowledge.record(&card)?.ok_or(Refusal::NoSuchPass)?;
        Ok(self.shown(&record, Some(&card)))
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
        let now = self.next_at(wall);
        let looked_up = self.look_up(&card, check, now)?;
        let case = self.case(&looked_up, now);
        let offers = counter::rewards(&case)?;
        let units = case.counter.units;
        Ok(offers.iter().map(|offer| showing::reward(offer, units.left(offer.reward))).collect())
    }

    /// The sealed part of the record of the pass that carries this card. This desk does not open it.
    ///
    /// # Errors
    /// As [`Desk::pass`]; [`Refusal::NoHolder`].
    pub fn sealed(&self, pass: &str) -> Result<SealedView, Refusal> {
        let card: Identification = pass.parse()?;
        let record = self.knowledge.record(&card)?.ok_or(Refusal::NoSuchPass)?;
        let sealed = self.knowledge.store.holder(record.pass).ok_or(Refusal::NoHolder)?;
        Ok(SealedView {
            pass_id: record.pass,
            sealed: BASE64.encode(&minicbor::to_vec(&sealed).unwrap_or_default()),
            lookup_key: BASE64.encode(&self.knowledge.lookup.0),
        })
    }
}
