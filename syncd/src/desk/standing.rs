//! How a pass stands: its record, and its account with this venue's entries that the record does
//! not include yet.

use crdt_model::account::{Account, FoldedAccount, Limits, Placed, fold};
use crdt_model::catalogue::{CardStatus, HolderStatus, PassRecord, Programme};
use crdt_model::decide::{Reason, Standing};
use crdt_model::entry::{Entry, EntryRef, Subject};
use crdt_model::ids::{ActivityId, CouponId, Identification, RewardId};
use crdt_model::limits::PeriodLimit;
use crdt_model::time::date_of_day_number;
use desk_api::types::PassView;

use super::Desk;
use crate::store::StoreError;

/// The limits of the catalogue that the desk has.
impl Limits for Desk {
    fn checkin_limit(&self, activity: ActivityId) -> Option<PeriodLimit> {
        self.activities.iter().find(|found| found.activity == activity)?.checkin_limit
    }

    fn redeem_constraint(&self, reward: RewardId) -> Option<PeriodLimit> {
        self.rewards.iter().find(|found| found.reward == reward)?.redeem_constraint
    }

    fn ticket_limit(&self, activity: ActivityId) -> Option<PeriodLimit> {
        self.activities.iter().find(|found| found.activity == activity)?.ticket_limit
    }

    fn coupon_limit(&self, coupon: CouponId) -> Option<PeriodLimit> {
        self.coupons.iter().find(|found| found.coupon == coupon)?.limit
    }
}

/// Those limits, and what is a group's own.
struct LimitsOfPass<'a> {
    desk: &'a Desk,
    tickets_per_year: Option<u32>,
}

impl Limits for LimitsOfPass<'_> {
    fn checkin_limit(&self, activity: ActivityId) -> Option<PeriodLimit> {
        self.desk.checkin_limit(activity)
    }
    fn redeem_constraint(&self, reward: RewardId) -> Option<PeriodLimit> {
        self.desk.redeem_constraint(reward)
    }
    fn ticket_limit(&self, activity: ActivityId) -> Option<PeriodLimit> {
        self.desk.ticket_limit(activity)
    }
    fn coupon_limit(&self, coupon: CouponId) -> Option<PeriodLimit> {
        self.desk.coupon_limit(coupon)
    }
    fn tickets_per_year(&self) -> Option<u32> {
        self.tickets_per_year
    }
}

/// Why the card or its holder is blocked, if that is so.
pub(super) fn blocked(pass: &Standing<'_>) -> Option<Reason> {
    if pass.card == CardStatus::Blocked {
        Some(Reason::CardBlocked)
    } else if pass.record.holder == HolderStatus::Blocked {
        Some(Reason::UitpasHolderBlocked)
    } else {
        None
    }
}

impl Desk {
    /// The record of the pass that carries this card.
    pub(super) fn record(&self, card: &Identification) -> Result<Option<PassRecord>, StoreError> {
        self.store.pass_of_card(&self.lookup.card_key(card))
    }

    /// The entry at this place of this venue.
    pub(super) fn entry(&self, place: &EntryRef) -> Option<&Entry> {
        self.files.ledger(place.day)?.entry(place)
    }

    /// This venue's entries about any of these subjects; `included` says which the opening has.
    fn placed(&self, subjects: &[Subject], included: impl Fn(&EntryRef) -> bool) -> Vec<Placed> {
        let places = subjects.iter().filter_map(|subject| self.by_subject.get(subject)).flatten();
        places
            .filter_map(|place| {
                let entry = self.entry(place)?;
                Some(Placed {
                    venue: self.enrolment.venue.clone(),
                    place: *place,
                    first_place: self.first_place(place),
                    entry: Entry { at: self.counted_at(place, entry), ..*entry },
                    // The hub may have folded the entry from where it stood first.
                    included: included(place)
                        || self.first_place(place).is_some_and(|first| included(&first)),
                    // What the hub has received is in its records.
                    receipt: None,
                })
            })
            .collect()
    }

    /// The account of a pass at this desk. `card` is the card that is shown: entries that were
    /// written under its chip number before the catalogue knew it count too.
    pub(super) fn account(&self, record: &PassRecord, card: Option<&Identification>) -> Account {
        let mut subjects = vec![Subject::Pass(record.pass)];
        if let Some(Identification::Chip(chip)) = card {
            subjects.push(Subject::Chip(*chip));
        }
        // What other desks wrote came from the hub.
        let at_hub = |place: &EntryRef| {
            let list = (place.day, place.writer);
            let acknowledged = self.acknowledged.get(&list).copied().unwrap_or_default();
            // An entry that this disk lost may be here as a copy, and stand at the hub where it stood first.
            let held = self.held_by_hub.get(&list).copied().unwrap_or_default();
            place.writer.device != self.writer.device || place.index < acknowledged.max(held)
        };
        let entries = self.placed(&subjects, |place| record.includes(place, at_hub(place)));
        let limits = LimitsOfPass { desk: self, tickets_per_year: record.tickets_per_year };
        fold(&record.account, entries, &limits, &self.calendar).account
    }

    /// The account of a card that the catalogue does not know, as far as this venue saw it.
    pub(super) fn account_of_unknown(&self, subject: Subject) -> Account {
        fold(&Account::default(), self.placed(&[subject], |_| false), self, &self.calendar).account
    }

    /// What this venue's entries of a subject count for, among each other.
    pub(super) fn outcomes(&self, subject: Subject) -> FoldedAccount {
        fold(&Account::default(), self.placed(&[subject], |_| false), self, &self.calendar)
    }

    /// A pass as the desk may show it.
    pub(super) fn pass_view(record: &PassRecord, account: &Account) -> PassView {
        let dated = record.programme == Programme::Museumpass;
        PassView {
            pass_id: record.pass,
            programme: record.programme,
            telling_digits: record.telling_digits.clone(),
            points: account.points(),
            debt: account.debt(),
            valid_until: record
                .valid_until
                .filter(|_| dated)
                .and_then(date_of_day_number)
                .map(|day| day.to_string()),
            visits: account.visits,
        }
    }
}
