//! The desk as a sync session sees it, and what it does with what the hub says.

use std::collections::BTreeSet;

use crdt_model::catalogue::{Item, ItemName};
use crdt_model::entry::Subject;
use crdt_model::ids::{VenueId, Writer};
use crdt_model::ledger::{LedgerId, Position};
use crdt_model::time::UnixMillis;
use jiff::civil::Date;
use sync_protocol::catalogue;
use sync_protocol::desk::{DeskEvent, DeskStart, DeskView, OwnList, SealedList, date};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{
    CataloguePage, Closing, Goodbye, GoodbyeKind, Share, StatedGrant, Wanted, Welcome,
};
use sync_protocol::notice::SignedNotice;
use sync_protocol::request::SealedRequest;
use sync_protocol::seal::DeviceKey;
use sync_protocol::version::Seen;
use thiserror::Error;

use super::Desk;
use super::clock::{HubTime, Reading};
use crate::desk_api::types::{Health, HubLink, Trouble};
use crate::disk::DiskTrouble;
use crate::ledger_files::LedgerFileError;
use crate::store::Cursor;

/// Pages with so many items are written out before the next thing is done.
const FLUSHED_AT_ONCE: usize = 20;

/// How often the hub's clock is kept for the next start, in milliseconds: a beat comes every few seconds, and the
/// store writes all that it is given.
const HUB_CLOCK_KEPT_EACH: i64 = 60_000;

/// Why what the hub said could not be taken. The link is closed and tried again later.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The ledger does not take it.
    #[error(transparent)]
    Ledger(#[from] LedgerFileError),
    /// A page of the catalogue cannot be read.
    #[error(transparent)]
    Page(#[from] catalogue::PageError),
    /// The hub's message names a day that is none.
    #[error(transparent)]
    Session(#[from] sync_protocol::desk::SessionError),
    /// The hub shared what does not follow on what is here: everything is asked for again.
    #[error("the hub's entries do not follow on what is here; everything is asked for again")]
    OutOfStep,
    /// The hub ended the session.
    #[error("{sentence}")]
    Ended {
        /// The hub's sentence.
        sentence: String,
        /// The reason, as the protocol names it.
        kind: GoodbyeKind,
    },
}

impl Desk {
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

    /// What a session begins with. The hub is told this computer's clock as it stands, right or wrong. Where the store
    /// cannot be opened the desk has nothing: it sends what it recorded, and takes nothing until another session.
    pub fn session_start(&mut self, Reading { wall, .. }: Reading) -> DeskStart {
        self.begin_to_keep();
        if self.files.is_incomplete() && !self.salvaged.asked_anew {
            self.ask_anew();
        }
        let cursor = |cursor| self.store.cursor(cursor).unwrap_or_default();
        DeskStart {
            software: env!("CARGO_PKG_VERSION").to_owned(),
            clock: wall,
            catalogue_version: cursor(Cursor::Catalogue),
            venue_version: cursor(Cursor::Venue),
            holders_version: cursor(Cursor::Holders),
            run: Some(self.run),
        }
    }

    /// What the desk has of the catalogue and of the venue.
    pub fn have(&self) -> (u64, u64) {
        let cursor = |cursor| self.store.cursor(cursor).unwrap_or_default();
        (cursor(Cursor::Catalogue), cursor(Cursor::Venue))
    }

    /// Notes how the link to the hub stands.
    pub fn set_hub(&mut self, link: HubLink, wall: UnixMillis) {
        if link != HubLink::Connected && std::mem::take(&mut self.confirmed) {
            // Until now the catalogue was what the hub had.
            let at = u64::try_from(wall.0).unwrap_or_default();
            let kept = self.store.set_cursor(Cursor::CatalogueAt, at);
            if let Err(error) = kept.and_then(|()| self.store.flush()) {
                tracing::warn!(%error, "it could not be kept when the hub was last heard");
            }
        }
        let same_kind = std::mem::discriminant(&self.hub) == std::mem::discriminant(&link);
        if self.hub != link {
            if !same_kind {
                self.hub_since = wall;
            }
            self.hub = link;
            if self.hub != HubLink::Connected {
                // Nobody waits for a hub that is gone, and what it said last may be otherwise at its return.
                self.wanted_now.clear();
                self.none_left.clear();
                self.stock_heard.notify_waiters();
            }
            self.publish_status();
        }
    }

    /// Does what a session's events ask for.
    ///
    /// # Errors
    /// [`LinkError`]; what was done before it stands.
    pub fn take_up(&mut self, events: Vec<DeskEvent>, now: Reading) -> Result<(), LinkError> {
        // The hub's clock is said by itself where it changes something.
        let changed = events.iter().any(|event| !matches!(event, DeskEvent::HubClock { .. }));
        for event in events {
            match event {
                DeskEvent::HubClock { clock, doubtful, asked } => {
                    self.measure(now, HubTime { clock, doubtful, asked });
                }
                event => self.take_up_one(event, self.clock.time(now))?,
            }
        }
        self.seals.write();
        if let Err(error) = self.release_copies() {
            self.ledger_failed(&error);
        }
        self.note_hub_heard();
        self.note_whole();
        if changed {
            self.refresh_hub_states();
            self.publish_status();
        }
        Ok(())
    }

    /// Where a part of the ledgers was lost: it is back when the hub has shared all that it had at its welcome.
    pub(super) fn note_whole(&mut self) {
        // Where nothing is kept, the store's version is not what the hub has shared since.
        if !self.files.is_incomplete() || !self.salvaged.asked_anew || !self.keeps() {
            return;
        }
        let shared = self.store.cursor(Cursor::Venue).unwrap_or_default();
        // The grants are listed behind that: the hub knows of those that this disk has forgotten, too.
        if self.grants_listed && self.whole_at.is_some_and(|all| shared >= all) {
            // Where it is known which entries of this desk were lacking, and all are back, no grant is doubted. Where the
            // disk does not take what is written now, it is done with what the hub says next.
            let doubted = self.files.missing_count() > 0 || !self.files.knows_what_is_missing();
            if doubted && let Err(error) = self.doubt_grants() {
                self.disk_failed(DiskTrouble::of_failed_write(&error));
                return;
            }
            self.note_lost();
            if let Err(error) = self.files.set_complete() {
                self.ledger_failed(&error);
                return;
            }
            self.whole_at = None;
            if self.disk == Health::Trouble(Trouble::LedgerLacking) {
                self.disk = Health::Fine;
            }
            self.hold();
            self.wake_link();
        }
    }

    fn take_up_one(&mut self, event: DeskEvent, wall: UnixMillis) -> Result<(), LinkError> {
        match event {
            // Taken up before, for it needs both clocks.
            DeskEvent::HubClock { .. } => {}
            DeskEvent::Welcomed(welcome) => self.welcomed(&welcome, wall),
            DeskEvent::Compared => self.count_what_is_sent_again(),
            DeskEvent::Acknowledged { day, writer, sequence } => {
                self.salvaged.note_at_hub(day, writer, sequence);
                self.note_held_by_hub(day, writer, sequence);
                let held = self.files.length_of(day, &writer);
                let sequence = sequence.min(held);
                let known = self.acknowledged.entry((day, writer)).or_default();
                if *known < sequence {
                    *known = sequence;
                    let kept = self.store.acknowledge(day, &writer, sequence);
                    self.kept(kept);
                }
            }
            DeskEvent::AcknowledgementsLost => {
                tracing::warn!("the hub holds less than it had acknowledged; all is sent again");
                self.note_hub_restored(wall);
                let forgotten = self.store.forget_acknowledgements();
                self.kept(forgotten);
                // A hub that tells its runs says from where it goes on.
                if !self.says_again() {
                    let asked = self.store.set_cursor(Cursor::Venue, 0);
                    self.kept(asked);
                }
            }
            DeskEvent::Behind { day, writer, held } => {
                self.salvaged.note_at_hub(day, writer, held);
                self.note_held_by_hub(day, writer, held);
                tracing::warn!(%day, %writer, "the hub has more of a list than this disk; it comes back");
            }
            DeskEvent::Diverged { day, writer, held } => {
                self.salvaged.note_at_hub(day, writer, held);
                // Two desks share one key. The hub sets apart what this one sent; the rest goes on.
                tracing::error!(%day, %writer, "the hub's list is not the one on this disk");
                self.note_diverged();
            }
            // What comes behind something that could not be kept would hide that it is lacking.
            DeskEvent::Shared(_)
            | DeskEvent::Advanced(_)
            | DeskEvent::Page(_)
            | DeskEvent::Holders(_)
                if !self.keeps() => {}
            DeskEvent::Shared(share) => self.merge(&share)?,
            DeskEvent::Advanced(version) => self.advance(version),
            DeskEvent::Page(page) => self.take_page(&page, wall)?,
            DeskEvent::Quarantined(set_apart) => {
                let (day, writer) = (date(set_apart.day)?, set_apart.writer.writer());
                tracing::error!(%day, %writer, reason = set_apart.reason, "the hub set entries apart");
                self.mark_quarantined(day, writer, set_apart.first, &set_apart.reason);
            }
            DeskEvent::Answered(answer) => {
                if let Some(sentence) = &answer.refused {
                    tracing::warn!(id = %answer.id, sentence, "the hub did not do what was asked");
                }
                self.keep_answer(answer);
            }
            DeskEvent::Granted { grants, answered, none_left } => {
                self.keep_grants(grants);
                self.note_answered(&answered, &none_left);
            }
            DeskEvent::CardKeys(sealed) => self.take_card_keys(&sealed),
            DeskEvent::Holders(page) => {
                let applied = {
                    let version = self.store.cursor(Cursor::Holders).unwrap_or_default();
                    // What answers a desk that says something again moves nothing.
                    let moved = if self.says_again() { version } else { page.to };
                    self.store.apply_holders(&page.holders, page.stamp(), moved)
                };
                self.kept(applied);
            }
            DeskEvent::UsedTwice(used_twice) => self.note_used_twice(used_twice),
            DeskEvent::Told(version) => self.note_told(version),
            DeskEvent::Notices { notices, to } => self.take_notices(notices, to),
            DeskEvent::AgainDone { go_on, common, told } => self.again_done(go_on, common, told),
            DeskEvent::Ended(Goodbye { kind, sentence }) => {
                return Err(LinkError::Ended { sentence, kind });
            }
        }
        Ok(())
    }

    /// Compares the clocks with the hub's, and keeps what that said for the next start.
    fn measure(&mut self, now: Reading, said: HubTime) {
        if let Some(hub) = self.clock.measure(now, said)
            && hub.since(self.hub_clock_kept).saturating_abs() >= HUB_CLOCK_KEPT_EACH
        {
            self.hub_clock_kept = hub;
            let hub = u64::try_from(hub.0).unwrap_or_default();
            let kept = self.store.set_cursor(Cursor::HubClock, hub);
            self.kept(kept);
        }
        self.look(now);
    }

    fn welcomed(&mut self, welcome: &Welcome, wall: UnixMillis) {
        // A hub that was set up anew or restored is behind what this desk has: begin again.
        let (catalogue, venue) = self.have();
        let tells_runs = self.take_up_run(welcome);
        let mut behind = Vec::new();
        if tells_runs {
            // It has said itself from where it goes on.
        } else if welcome.catalogue_version < catalogue {
            behind.extend([Cursor::Catalogue, Cursor::Holders]);
        }
        if !tells_runs && welcome.venue_version < venue {
            behind.push(Cursor::Venue);
        }
        for cursor in behind {
            let asked = self.store.set_cursor(cursor, 0);
            self.kept(asked);
        }
        self.whole_at = Some(welcome.venue_version);
        self.grants_listed = false;
        self.salvaged.begin_session();
        self.forget_diverged();
        // A hub without a catalogue replaces nothing.
        if welcome.catalogue_version > 0 && self.have().0 == welcome.catalogue_version {
            self.note_up_to_date(wall);
        }
        let told = crate::enrolment::Enrolment {
            venue_name: welcome.venue_name.clone(),
            desk_name: welcome.desk_name.clone(),
            request_key: welcome.request_key.or(self.enrolment.request_key),
            ..self.enrolment.clone()
        };
        if told != self.enrolment {
            self.enrolment = told;
            if let Err(error) = self.enrolment.write(&self.folder) {
                tracing::warn!(%error, "the new names could not be kept");
            }
        }
        self.set_hub(HubLink::Connected, wall);
    }

    /// The hub says that the catalogue is all here.
    fn note_up_to_date(&mut self, wall: UnixMillis) {
        if !self.keeps() {
            return;
        }
        self.confirmed = true;
        let at = u64::try_from(wall.0).unwrap_or_default();
        let kept = self.store.set_cursor(Cursor::CatalogueAt, at);
        self.kept(kept);
        self.store.caught_up();
    }

    fn advance(&mut self, version: u64) {
        let known = self.have().1;
        let kept = self.store.set_cursor(Cursor::Venue, known.max(version));
        self.kept(kept);
    }

    fn take_page(&mut self, page: &CataloguePage, wall: UnixMillis) -> Result<(), LinkError> {
        let items = catalogue::unpack(&page.items)?;
        let version = self.have().0;
        // A page that begins behind what is here would leave a hole. The deny list moves nothing.
        if page.from > version {
            return Err(LinkError::OutOfStep);
        }
        let applied = self.store.apply(&items, page.stamp(), version.max(page.to));
        if !self.kept(applied) {
            return Ok(());
        }
        let mut subjects = Vec::new();
        for item in &items {
            match item {
                Item::Activity(_) => self.activities = self.store.activities(),
                Item::Reward(_) => self.rewards = self.store.rewards(),
                Item::Policy(_) => {
                    self.take_up_policy();
                }
                Item::Coupon(_) => self.coupons = self.store.coupons(),
                Item::CardSystem(_) => self.card_systems = self.store.card_systems(),
                Item::Pass(record) => subjects.push(Subject::Pass(record.pass)),
                Item::Gone(ItemName::Pass(pass)) => subjects.push(Subject::Pass(*pass)),
                Item::Gone(ItemName::Activity(_)) => self.activities = self.store.activities(),
                Item::Gone(ItemName::Reward(_)) => self.rewards = self.store.rewards(),
                Item::Gone(ItemName::Policy) => self.take_up_policy(),
                Item::Gone(ItemName::Coupon(_)) => self.coupons = self.store.coupons(),
                Item::Gone(ItemName::CardSystem(_)) => {
                    self.card_systems = self.store.card_systems();
                }
            }
        }
        for subject in subjects {
            if self.by_subject.contains_key(&subject) {
                self.refresh_outcomes(subject);
            }
        }
        if page.last {
            self.note_up_to_date(wall);
        }
        // A desk that is killed right after it got its pass list is to have it all the same. Single
        // records come with every tap anywhere: those may wait for sled's own turn.
        if items.len() >= FLUSHED_AT_ONCE {
            let flushed = self.store.flush();
            self.kept(flushed);
        }
        Ok(())
    }

    /// Merges another desk's entries: durable before the hub is told that they are here.
    fn merge(&mut self, share: &Share) -> Result<(), LinkError> {
        let (day, writer) = (date(share.batch.day)?, share.batch.writer.writer());
        let ledger = LedgerId { venue: self.enrolment.venue.clone(), day };
        let held = self.files.ledger(day).map(|l| l.position(&writer)).unwrap_or_default();
        match judge(&share.batch, &ledger, held) {
            Judgement::Merge(extension) => {
                match self.files.append(day, &extension) {
                    Ok(()) => {}
                    Err(error @ LedgerFileError::Disk { .. }) => {
                        self.ledger_failed(&error);
                        self.stop_keeping();
                        return Ok(());
                    }
                    Err(error) => return Err(error.into()),
                }
                self.keep_seal(day, &share.batch, extension.entry_bytes());
                self.note_overlap(&writer, extension.entries().iter().map(|it| it.at));
                let mut subjects = Vec::new();
                for (index, entry) in (extension.first_index()..).zip(extension.entries()) {
                    let place = crdt_model::entry::EntryRef { day, writer, index };
                    self.by_subject.entry(entry.subject).or_default().push(place);
                    self.note_unit(place, &entry.fact);
                    subjects.push(entry.subject);
                }
                self.recount_units();
                if writer.device == self.writer.device {
                    // An earlier run of this desk, from before its disk was restored: the hub has it.
                    let sequence = extension.head().sequence;
                    self.acknowledged.insert((day, writer), sequence);
                    let kept = self.store.acknowledge(day, &writer, sequence);
                    self.kept(kept);
                }
                subjects.sort_unstable();
                subjects.dedup();
                for subject in subjects {
                    self.refresh_outcomes(subject);
                }
            }
            Judgement::Held => {}
            Judgement::Lacking { .. } => {
                let asked = self.store.set_cursor(Cursor::Venue, 0);
                self.kept(asked);
                return Err(LinkError::OutOfStep);
            }
            Judgement::Quarantine(reason) => {
                tracing::error!(%day, %writer, %reason, "entries that the hub shared are left out");
            }
        }
        self.advance(share.venue_version);
        Ok(())
    }
}

impl DeskView for Desk {
    fn venue(&self) -> &VenueId {
        &self.enrolment.venue
    }

    fn key(&self) -> &DeviceKey {
        &self.key
    }

    fn pending(&self) -> Vec<OwnList> {
        let asked: BTreeSet<_> = self.salvaged.firsts().collect();
        self.lists_for_hub()
            .filter(|(list, length)| {
                list.acknowledged < *length || asked.contains(&(list.day, list.writer))
            })
            .map(|(list, _)| list)
            .collect()
    }

    fn own_lists(&self) -> Vec<OwnList> {
        self.lists_for_hub().map(|(list, _)| list).collect()
    }

    fn acknowledged(&self) -> u64 {
        let device = self.writer.device;
        let own = self.acknowledged.iter().filter(|((_, writer), _)| writer.device == device);
        own.map(|(_, sequence)| sequence).sum()
    }

    fn position_at(&self, day: Date, writer: &Writer, sequence: u64) -> Option<Position> {
        match self.files.ledger(day) {
            Some(ledger) => ledger.position_at(writer, sequence),
            None => (sequence == 0).then(Position::default),
        }
    }

    fn entries(&self, day: Date, writer: &Writer, from: u64, most: usize) -> Vec<Vec<u8>> {
        let Some(ledger) = self.files.ledger(day) else { return Vec::new() };
        ledger.entry_bytes_of(writer, from).take(most).collect()
    }

    fn seen(&self) -> Option<Seen> {
        Some(self.seen_of_hub())
    }

    fn enrolled(&self) -> Option<SignedNotice> {
        self.notices_kept.enrolled(self.writer.device)
    }

    fn others(&self) -> Vec<SealedList> {
        self.sealed_lists()
    }

    fn notices(&self) -> Vec<SignedNotice> {
        self.notices_kept.notices().to_vec()
    }

    fn stated(&self) -> Vec<StatedGrant> {
        self.stated_grants()
    }

    fn answered_beyond(&self, number: u64) -> Vec<SealedRequest> {
        self.requests.answered_beyond(number)
    }

    fn names_beyond(&self, catalogue: u64, holders: u64) -> Vec<ItemName> {
        self.names_of_items_beyond(catalogue, holders)
    }

    fn requests(&self) -> Vec<SealedRequest> {
        self.requests.waiting()
    }

    fn wanted(&self) -> Vec<Wanted> {
        self.wanted_units()
    }

    fn card_keys_version(&self) -> Option<u64> {
        self.card_key_file.version()
    }

    fn closings(&self) -> Vec<Closing> {
        self.closing_statements()
    }
}
