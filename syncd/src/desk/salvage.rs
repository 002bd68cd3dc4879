//! What a damaged or removed ledger file means for the desk: what it says of it, and when the copies of entries that
//! stood behind damage go to the hub.
//!
//! A list of copies ([`crdt_model::entry::Located`]) counts at this desk from the start. It is held back from the hub
//! until the hub has said what it has of the lists in which its entries stood first, and has sent what this disk lacks
//! of those: an entry that the hub has already is then here itself, and its copy is left out. So the hub gets each entry
//! once, also where the store, which knows what was acknowledged, is lost together with the file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crdt_model::entry::EntryRef;
use crdt_model::ids::Writer;
use desk_api::types::{Event, Health, Trouble};
use jiff::civil::Date;

use super::Desk;
use crate::disk::DiskTrouble;
use crate::ledger_files::{Damage, LedgerFileError, Repair};
use crate::links::Session;

/// How long it is shown that something was put right: long enough for a volunteer to see it and to tell somebody. What
/// is lost is shown for as long as the daemon runs.
const SHOWN_FOR: Duration = Duration::from_secs(15 * 60);

/// Lists of copies, and what is shown of the files.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    /// Lists that the hub must not have yet, and in which lists their entries stood first.
    held_back: BTreeMap<(Date, Writer), BTreeSet<Writer>>,
    /// Where a part of the ledgers is missing: the store has noted that all of the venue is asked for again.
    pub(super) asked_anew: bool,
    /// Entries that the hub has acknowledged are lacking.
    pub(super) lacking: bool,
    /// What is shown, and until when.
    shown: Option<(Trouble, Option<Instant>)>,
}

impl Salvaged {
    /// Whether the hub must not have this list yet.
    pub(super) fn holds_back(&self, day: Date, writer: Writer) -> bool {
        self.held_back.contains_key(&(day, writer))
    }

    /// The lists about which the hub is asked first.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (Date, Writer)> + '_ {
        self.held_back.iter().flat_map(|((day, _), firsts)| firsts.iter().map(|it| (*day, *it)))
    }
}

impl Desk {
    /// Says what was found in files that are made whole now.
    pub(super) fn take_up_repairs(&mut self, repairs: &[Repair]) {
        let (mut saved, mut lost) = (0, 0);
        for Repair { path, aside, damage } in repairs {
            let (file, aside) = (path.display(), aside.display());
            match damage {
                Damage::Tail { bytes, unfinished: true } => {
                    tracing::warn!(
                        %file, bytes, %aside,
                        "the end of a ledger file was not whole and is kept aside: the last append had not been finished, and its verdict was not shown unless the disk lost what it had confirmed"
                    );
                    self.show_for_a_while(Trouble::LedgerEndCut);
                }
                Damage::Tail { bytes, unfinished: false } => {
                    tracing::error!(
                        %file, bytes, %aside,
                        "the last entry of a ledger file is damaged and is kept aside; its verdict may have been shown"
                    );
                    self.show_for_a_while(Trouble::LedgerEndCut);
                }
                Damage::Mended { entries } => {
                    tracing::error!(
                        %file, entries, %aside,
                        "single bits of a ledger file were wrong, and were put right: nothing is lost, but the disk may be failing"
                    );
                    self.show_for_a_while(Trouble::LedgerMended { entries: *entries });
                }
                Damage::Lost { copied, lost: of_this, of_others, bytes } => {
                    tracing::error!(
                        %file, saved = copied, lost = of_this, of_others, bytes, %aside,
                        "a ledger file is damaged and is kept aside: the entries behind the damage go on in another list, and what the hub has comes back"
                    );
                    (saved, lost) = (saved + copied, lost + of_this);
                    let trouble = Trouble::LedgerDamaged { saved, lost };
                    self.salvaged.shown = Some((trouble, None));
                }
            }
        }
    }

    fn show_for_a_while(&mut self, trouble: Trouble) {
        // What is lost goes before what was put right.
        if !matches!(self.salvaged.shown, Some((_, None))) {
            self.salvaged.shown = Some((trouble, Some(Instant::now() + SHOWN_FOR)));
        }
    }

    /// The disk, as it is shown: what stops it now, else what was found of its files.
    pub(super) fn disk_shown(&self) -> Health {
        if self.salvaged.lacking {
            return Health::Trouble(Trouble::LedgerLacking);
        }
        let shown = self.salvaged.shown.as_ref();
        let shown = shown.filter(|(_, until)| until.is_none_or(|until| Instant::now() < until));
        shown.map_or(Health::Fine, |(trouble, _)| Health::Trouble(trouble.clone()))
    }

    /// Whether it is said that a part of a file cannot be read.
    pub(super) fn shows_damage(&self) -> bool {
        matches!(self.salvaged.shown, Some((Trouble::LedgerDamaged { .. }, _)))
    }

    /// Finds the lists of copies of which the hub has acknowledged nothing: those wait for its word.
    pub(super) fn take_up_copies(&mut self) {
        let (device, acknowledged) = (self.book.writer.device, &self.book.acknowledged);
        let unknown = |day, writer: Writer| {
            writer.device == device && acknowledged.get(&(day, writer)).is_none_or(|it| *it == 0)
        };
        let lists = self.book.files.lists_of_copies();
        let waiting = lists.filter(|(day, writer, _)| unknown(*day, *writer));
        self.salvaged.held_back =
            waiting.map(|(day, writer, firsts)| ((day, writer), firsts)).collect();
        // A start before this one found the damage.
        let lost = self.book.files.missing_count();
        let said = self.salvaged.lacking || self.shows_damage();
        if self.book.files.is_incomplete() && lost > 0 && !said {
            let lists = self.salvaged.held_back.keys();
            let lengths = lists.filter_map(|(day, writer)| {
                Some(self.book.files.ledger(*day)?.position(writer).sequence)
            });
            let trouble = Trouble::LedgerDamaged { saved: lengths.sum(), lost };
            self.salvaged.shown = Some((trouble, None));
        }
    }

    /// Lets the hub have the lists of copies of whose entries it has said all that it has, and sent what is lacking here.
    ///
    /// # Errors
    /// [`LedgerFileError`]; the list is held back for longer.
    pub(super) fn release_copies(&mut self, session: &Session) -> Result<(), LedgerFileError> {
        let here = |day: Date, writer: &Writer| self.book.files.length_of(day, writer);
        let known = |day: Date, first: &Writer| {
            session.held(day, first).is_some_and(|held| here(day, first) >= held)
        };
        let all = self.salvaged.held_back.iter();
        let ready: Vec<_> = all
            .filter(|((day, _), firsts)| firsts.iter().all(|first| known(*day, first)))
            // A list that is not on the disk yet has another name after a restart.
            .filter(|((day, _), _)| !self.book.files.awaits_repair(*day))
            .map(|(list, _)| *list)
            .collect();
        for (day, writer) in ready {
            if let Some(moves) = self.book.files.drop_copies(day, &writer)? {
                self.note_moved(&moves.into_iter().collect());
            }
            self.salvaged.held_back.remove(&(day, writer));
            tracing::info!(%day, list = %writer, "entries that stood behind damage go to the hub");
            self.wake_links();
        }
        Ok(())
    }

    /// Entries stand elsewhere from now on: in another list, or where they stood first.
    fn note_moved(&mut self, moves: &BTreeMap<EntryRef, EntryRef>) {
        let now = |place: &EntryRef| moves.get(place).copied().unwrap_or(*place);
        let mut touched = Vec::new();
        for (subject, places) in &mut self.book.by_subject {
            if places.iter().any(|place| moves.contains_key(place)) {
                let mut seen = BTreeSet::new();
                *places = places.iter().map(now).filter(|place| seen.insert(*place)).collect();
                touched.push(*subject);
            }
        }
        let mut moved = BTreeSet::new();
        for row in &mut self.history.rows {
            let place = row.answer.entry.as_ref().map(now);
            if row.answer.entry != place {
                row.answer.entry = place;
                moved.insert(row.id);
            }
        }
        self.take_up_unit_entries();
        self.recount_units();
        self.refresh_hub_states();
        for subject in touched {
            self.refresh_outcomes(subject);
        }
        // Whoever takes an entry back names its place, so each row is shown with the new one.
        for row in self.history.rows.iter().filter(|row| moved.contains(&row.id)) {
            self.publish(Event::Row(Box::new(row.clone())));
        }
    }

    /// What the hub had of what was lost is back; the rest is lost for good.
    pub(super) fn note_lost(&mut self) {
        let lost = self.book.files.missing_count();
        if let Some((Trouble::LedgerDamaged { saved, .. }, _)) = self.salvaged.shown {
            if lost == 0 && self.book.files.knows_what_is_missing() {
                self.salvaged.shown = None;
            } else if lost > 0 {
                self.salvaged.shown = Some((Trouble::LedgerDamaged { saved, lost }, None));
            }
        }
        if lost > 0 {
            tracing::error!(
                lost,
                "the hub has sent all that it has; these entries of this desk are lost for good"
            );
        }
    }

    /// Looks whether the ledger files are still there, without waiting for a tap, and writes again what is not.
    pub fn check_ledger_files(&mut self) {
        self.look_at_mark();
        if let Some(trouble) = self.look_at_files() {
            self.disk_failed(trouble);
        }
    }

    /// What stands in the way of the ledger files, where something does.
    pub(super) fn look_at_files(&mut self) -> Option<DiskTrouble> {
        let checked = self.book.files.check();
        self.note_written_again();
        match checked {
            Ok(()) => None,
            Err(LedgerFileError::Disk { path, error }) => {
                tracing::debug!(file = %path.display(), %error, "a ledger file cannot be written again");
                Some(DiskTrouble::of_failed_write(&error))
            }
            Err(error @ LedgerFileError::Merge(_)) => {
                tracing::error!(%error, "a ledger file cannot be written again");
                None
            }
        }
    }

    /// Says what of the files was written again, and what was put right only now.
    pub(super) fn note_written_again(&mut self) {
        let repaired = self.book.files.take_repaired();
        if !repaired.is_empty() {
            self.take_up_repairs(&repaired);
            self.publish_status();
        }
        let again = self.book.files.take_written_again();
        if again.is_empty() {
            return;
        }
        let entries = again.iter().map(|it| it.entries).sum();
        self.show_for_a_while(Trouble::LedgerWrittenAgain { entries });
        self.publish_status();
    }
}
