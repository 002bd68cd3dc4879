//! The book: this venue's ledgers on this disk, what the hub has of this desk's lists, and the writing of entries.

use std::collections::{BTreeMap, HashMap};

use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::Writer;
use crdt_model::ledger::Ledger;
use crdt_model::time::{UnixMillis, date_of_day_number, day_number};
use jiff::civil::Date;
use sync_protocol::desk::OwnList;

use super::clock::{self, DeskClock, Reading};
use super::{Desk, Refusal};
use crate::ledger_files::LedgerFiles;
use crate::store::Cursor;

/// Days whose entries count beside a record. The hub's records include entries within minutes; a
/// desk that was offline for longer than this has long-expired day limits, and its points are right
/// as soon as it has synced.
const RECENT_DAYS: i32 = 40;

/// This venue's ledgers, and what is known of them.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) files: LedgerFiles,
    /// The list that this desk writes to.
    pub(super) writer: Writer,
    /// The venue's recent entries of each pass or unknown card.
    pub(super) by_subject: HashMap<Subject, Vec<EntryRef>>,
    /// How many entries of each of this desk's lists the hub has acknowledged, at most as many as are here.
    pub(super) acknowledged: BTreeMap<(Date, Writer), u64>,
    /// How many entries of each of this desk's lists the hub is known to have, also where this disk lost them.
    pub(super) held_by_hub: BTreeMap<(Date, Writer), u64>,
    /// When this desk wrote last.
    pub(super) last_at: UnixMillis,
    /// Own lists that ended because the clock was put right: whatever stands in one was written before then. It is not
    /// kept over a restart: after one, entries that are dated ahead count on the day of their own time once that has
    /// come.
    pub(super) ended_at: BTreeMap<Writer, UnixMillis>,
}

impl Book {
    pub(super) fn new(files: LedgerFiles, writer: Writer) -> Self {
        Self {
            files,
            writer,
            by_subject: HashMap::new(),
            acknowledged: BTreeMap::new(),
            held_by_hub: BTreeMap::new(),
            last_at: UnixMillis(0),
            ended_at: BTreeMap::new(),
        }
    }

    /// The entry at this place of this venue.
    pub(super) fn entry(&self, place: &EntryRef) -> Option<&Entry> {
        self.files.ledger(place.day)?.entry(place)
    }

    /// The place that says which entry this is: where it stood first.
    pub(super) fn first_place(&self, place: &EntryRef) -> Option<EntryRef> {
        self.files.ledger(place.day)?.first_place(place)
    }

    /// Where this venue's entries about a subject stand.
    pub(super) fn places_of(&self, subject: &Subject) -> impl Iterator<Item = &EntryRef> {
        self.by_subject.get(subject).into_iter().flatten()
    }

    /// An entry about a subject stands here.
    pub(super) fn note_place(&mut self, subject: Subject, place: EntryRef) {
        self.by_subject.entry(subject).or_default().push(place);
    }

    /// Whether an entry about a subject was taken back, by this desk or another one.
    pub(super) fn is_taken_back(&self, target: &EntryRef, subject: Subject) -> bool {
        let first = |place: &EntryRef| self.first_place(place).unwrap_or(*place);
        self.places_of(&subject).any(|place| {
            self.entry(place).is_some_and(|entry| match &entry.fact {
                Fact::Void { target: named } => first(named) == first(target),
                _ => false,
            })
        })
    }

    /// Whether the hub has the entry at this place, as far as this desk knows: what other desks wrote came from there.
    pub(super) fn is_at_hub(&self, place: &EntryRef) -> bool {
        let list = (place.day, place.writer);
        let acknowledged = self.acknowledged.get(&list).copied().unwrap_or_default();
        // An entry that this disk lost may be here as a copy, and stand at the hub where it stood first.
        let held = self.held_by_hub.get(&list).copied().unwrap_or_default();
        place.writer.device != self.writer.device || place.index < acknowledged.max(held)
    }

    /// The hub has acknowledged a list of this desk up to here. Says how far that is news, and here.
    pub(super) fn acknowledge(&mut self, day: Date, writer: Writer, sequence: u64) -> Option<u64> {
        self.note_held_by_hub(day, writer, sequence);
        let sequence = sequence.min(self.files.length_of(day, &writer));
        let known = self.acknowledged.entry((day, writer)).or_default();
        let news = *known < sequence;
        *known = sequence.max(*known);
        news.then_some(sequence)
    }

    /// The hub has at least so many entries of this list of this desk.
    pub(super) fn note_held_by_hub(&mut self, day: Date, writer: Writer, sequence: u64) {
        let known = self.held_by_hub.entry((day, writer)).or_default();
        *known = sequence.max(*known);
    }

    /// The hub has lost what it had acknowledged. Gives what that was.
    pub(super) fn forget_acknowledged(&mut self) -> BTreeMap<(Date, Writer), u64> {
        self.held_by_hub.clear();
        std::mem::take(&mut self.acknowledged)
    }

    /// This desk's own lists with their lengths, oldest first.
    pub(super) fn own_list_lengths(&self) -> impl Iterator<Item = (OwnList, u64)> + '_ {
        let device = self.writer.device;
        self.files.ledgers().flat_map(move |ledger| {
            let day = ledger.id().day;
            let own = ledger.writers().filter(move |writer| writer.device == device);
            own.map(move |writer| {
                let acknowledged =
                    self.acknowledged.get(&(day, writer)).copied().unwrap_or_default();
                (OwnList { day, writer, acknowledged }, ledger.position(&writer).sequence)
            })
        })
    }

    /// How many entries are on this disk without the hub's acknowledgement.
    pub(super) fn pending_count(&self) -> u64 {
        self.own_list_lengths().map(|(list, length)| length - list.acknowledged.min(length)).sum()
    }

    /// When this desk's entries were written, by themselves, oldest first.
    pub(super) fn own_times(&self) -> Vec<UnixMillis> {
        let device = self.writer.device;
        let entries = self.files.ledgers().flat_map(Ledger::entries);
        let own = entries.filter(|(place, _)| place.writer.device == device);
        let mut times: Vec<UnixMillis> = own.map(|(_, entry)| entry.at).collect();
        times.sort_unstable();
        times
    }

    /// From now on this desk writes to another list, where `ended` is known at that time: within a list time never goes
    /// backwards.
    fn begin_another_list(&mut self, ended: Option<UnixMillis>, random: u32) {
        self.ended_at.extend(ended.map(|at| (self.writer, at)));
        let epoch = &mut self.writer.epoch;
        *epoch = if random == *epoch { random.wrapping_add(1) } else { random };
    }
}

impl Desk {
    /// Takes up what the store knows of what the hub has.
    pub(super) fn take_up_acknowledgements(&mut self) {
        for (day, writer, sequence) in self.knowledge.store.acknowledgements() {
            let Some(day) = date_of_day_number(day) else { continue };
            // A list that was damaged is shorter than what was acknowledged of it.
            let held = self.book.files.length_of(day, &writer);
            if held < sequence {
                tracing::error!(%day, %writer, held, sequence, "a list is shorter than what the hub has of it");
                if let Err(error) = self.book.files.set_incomplete(day, &writer, sequence) {
                    self.ledger_failed(&error);
                }
                // Where this start found damage, that says more.
                if self.book.files.is_incomplete() && !self.shows_damage() {
                    self.salvaged.lacking = true;
                }
            }
            self.book.acknowledge(day, writer, sequence);
        }
        if self.book.files.is_incomplete() {
            self.ask_anew();
            // Nobody knows what the lost part handed out.
            self.hold();
        }
    }

    /// What the hub has of a lost part of the ledgers comes back with everything else: all of the venue is asked for.
    pub(super) fn ask_anew(&mut self) {
        let asked = self.knowledge.store.set_cursor(Cursor::Venue, 0);
        self.salvaged.asked_anew = self.kept(asked);
    }

    /// Takes up what stands in the ledgers.
    pub(super) fn take_up_ledgers(&mut self, reading: Reading) {
        self.time.clock =
            DeskClock::new(reading, self.evidence_of_time(), self.knowledge.policy.clock_tolerance);
        if let Some(hub) = self.time.kept_clock.hub_now(reading) {
            self.time.clock.take_up_measured(reading, hub);
        }
        self.take_up_copies();
        let now = self.time.clock.latest();
        self.links.start_at(now);
        let soon = now.plus(self.knowledge.policy.clock_tolerance);
        let device = self.book.writer.device;
        // A clock that is ahead, and will be put right, must not leave out what counts then.
        let from = self.time.hub_clock_kept.max(clock::RELEASED).min(now);
        let first = day_number(self.calendar.day(from)) - RECENT_DAYS;
        let (mut by_subject, mut last_at) = (HashMap::<_, Vec<_>>::new(), self.book.last_at);
        let recent = self.book.files.ledgers().filter(|l| day_number(l.id().day) >= first);
        for (place, entry) in recent.flat_map(Ledger::entries) {
            by_subject.entry(entry.subject).or_default().push(place);
            // One of a day when the clock was ahead says nothing of now, and this run has a list of its own.
            if place.writer.device == device && entry.at <= soon {
                last_at = last_at.max(entry.at);
            }
        }
        (self.book.by_subject, self.book.last_at) = (by_subject, last_at);
        self.rebuild_history(now);
    }

    /// The time at which an entry counts: `at`, but at most now, and at most the moment at which this desk's clock was
    /// set back. The hub does the same by when it receives them.
    pub(super) fn counted_at(&self, place: &EntryRef, entry: &Entry) -> UnixMillis {
        let now = self.time.clock.latest();
        let ended = self.book.ended_at.get(&place.writer).copied().unwrap_or(entry.at);
        let at = entry.at.min(ended);
        if at > now.plus(self.knowledge.policy.clock_tolerance) { now } else { at }
    }

    /// The time of the next entry: now, but never before what this desk has written. What
    /// other desks wrote does not count: one whose clock is a year ahead must not take the rest along. Nor does
    /// what this one wrote while its own clock was ahead, by more than the policy tolerates, of where it is now.
    pub(super) fn next_at(&self, now: UnixMillis) -> UnixMillis {
        let put_back =
            self.book.last_at.0.saturating_sub(now.0) > self.knowledge.policy.clock_tolerance;
        if put_back { now } else { now.max(self.book.last_at.plus(1)) }
    }

    /// Writes an entry: durable before this returns.
    pub(super) fn append(&mut self, entry: Entry) -> Result<EntryRef, Refusal> {
        if entry.at < self.book.last_at {
            // The clock was put back. Within a list time never goes backwards, so this begins another one.
            tracing::warn!("the clock was put back; a new list begins");
            let ended = self.time.clock.is_confident().then_some(entry.at);
            let random = u32::from_le_bytes(self.time.surroundings.random());
            self.book.begin_another_list(ended, random);
            self.incarnation.note_epoch(self.book.writer.epoch);
        }
        let day = self.calendar.day(entry.at);
        let writer = self.book.writer;
        let extension = self
            .book
            .files
            .ledger_or_new(day)
            .appended(writer, &entry)
            .map_err(|error| Refusal::Ledger(error.into()))?;
        if let Err(error) = self.book.files.append(day, &extension) {
            self.ledger_failed(&error);
            return Err(Refusal::Ledger(error));
        }
        self.disk_took_it();
        self.note_written_again();
        let place = EntryRef { day, writer, index: extension.first_index() };
        self.book.last_at = entry.at;
        self.book.note_place(entry.subject, place);
        self.note_unit(place, &entry.fact);
        self.mark_handed_out(&entry);
        self.wake_links();
        Ok(place)
    }
}
