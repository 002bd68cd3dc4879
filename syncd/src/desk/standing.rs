//! How a pass stands: its record, and its account with this venue's entries that the record does
//! not include yet.

use crdt_model::account::{Account, FoldedAccount, Placed, fold};
use crdt_model::catalogue::PassRecord;
use crdt_model::entry::{Entry, EntryRef, Subject};
use crdt_model::ids::Identification;

use super::Desk;
use crate::store::StoreError;

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
        fold(&record.account, entries, &self.limits.of(record), &self.calendar).account
    }

    /// The account of a card that the catalogue does not know, as far as this venue saw it.
    pub(super) fn account_of_unknown(&self, subject: Subject) -> Account {
        self.outcomes(subject).account
    }

    /// What this venue's entries of a subject count for, among each other.
    pub(super) fn outcomes(&self, subject: Subject) -> FoldedAccount {
        let entries = self.placed(&[subject], |_| false);
        fold(&Account::default(), entries, &self.limits.of_unknown(), &self.calendar)
    }
}
