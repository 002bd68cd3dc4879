//! How a pass stands: its record, and its account with this venue's entries that the record does
//! not include yet.

use crdt_model::account::{Account, FoldedAccount, Placed, fold};
use crdt_model::catalogue::PassRecord;
use crdt_model::entry::{Entry, EntryRef, Subject};
use crdt_model::ids::Identification;

use super::Desk;

impl Desk {
    /// This venue's entries about any of these subjects; `included` says which the opening has.
    fn placed(&self, subjects: &[Subject], included: impl Fn(&EntryRef) -> bool) -> Vec<Placed> {
        let places = subjects.iter().flat_map(|subject| self.book.places_of(subject));
        places
            .filter_map(|place| {
                let entry = self.book.entry(place)?;
                Some(Placed {
                    venue: self.enrolment.venue.clone(),
                    place: *place,
                    first_place: self.book.first_place(place),
                    entry: Entry { at: self.counted_at(place, entry), ..*entry },
                    // The hub may have folded the entry from where it stood first.
                    included: included(place)
                        || self.book.first_place(place).is_some_and(|first| included(&first)),
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
        let at_hub = |place: &EntryRef| self.book.is_at_hub(place);
        let entries = self.placed(&subjects, |place| record.includes(place, at_hub(place)));
        fold(&record.account, entries, &self.knowledge.limits.of(record), &self.calendar).account
    }

    /// The account of a card that the catalogue does not know, as far as this venue saw it.
    pub(super) fn account_of_unknown(&self, subject: Subject) -> Account {
        self.outcomes(subject).account
    }

    /// What this venue's entries of a subject count for, among each other.
    pub(super) fn outcomes(&self, subject: Subject) -> FoldedAccount {
        let entries = self.placed(&[subject], |_| false);
        fold(&Account::default(), entries, &self.knowledge.limits.of_unknown(), &self.calendar)
    }
}
