//! What the desk does with what is said on its links.

use crdt_model::catalogue::{Item, ItemName};
use crdt_model::entry::{EntryRef, Subject};
use crdt_model::ledger::LedgerId;
use crdt_model::time::UnixMillis;
use sync_protocol::catalogue;
use sync_protocol::desk::{DeskEvent, DeskStart, date};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{CataloguePage, Goodbye, GoodbyeKind, Share, Welcome};
use thiserror::Error;

use super::Desk;
use super::clock::{HubTime, Reading};
use crate::disk::DiskTrouble;
use crate::ledger_files::LedgerFileError;
use crate::links::{Peer, Session};
use crate::store::Cursor;
use desk_api::types::HubLink;

/// Pages with so many items are written out before the next thing is done.
const FLUSHED_AT_ONCE: usize = 20;

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
    /// Begins a session with this peer: what it is told first, and what the link is to hold on to. The peer is told this
    /// computer's clock as it stands, right or wrong. Where the store cannot be opened the desk has nothing: it sends
    /// what it recorded, and takes nothing until another session.
    pub fn begin_session(
        &mut self,
        peer: Peer,
        Reading { wall, .. }: Reading,
    ) -> (DeskStart, Session) {
        self.links.begin(peer, self.knowledge.store.is_writable());
        if self.book.files.is_incomplete() && !self.salvaged.asked_anew {
            self.ask_anew();
        }
        let cursor = |cursor| self.knowledge.store.cursor(cursor).unwrap_or_default();
        let start = DeskStart {
            software: env!("CARGO_PKG_VERSION").to_owned(),
            clock: wall,
            catalogue_version: cursor(Cursor::Catalogue),
            venue_version: cursor(Cursor::Venue),
            holders_version: cursor(Cursor::Holders),
            run: Some(self.run),
        };
        (start, Session::new(peer))
    }

    /// Notes how a link stands.
    pub fn set_link(&mut self, peer: Peer, state: HubLink, wall: UnixMillis) {
        let ended = state != HubLink::Connected;
        let turn = self.links.set(peer, state, wall);
        if turn.was_confirmed {
            // Until now the catalogue was what the hub had.
            let at = u64::try_from(wall.0).unwrap_or_default();
            let kept = self.knowledge.store.set_cursor(Cursor::CatalogueAt, at);
            if let Err(error) = kept.and_then(|()| self.knowledge.store.flush()) {
                tracing::warn!(%error, "it could not be kept when the hub was last heard");
            }
        }
        if turn.changed {
            if ended && peer == Peer::Hub {
                // Nobody waits for a hub that is gone.
                self.units.stop_waiting_for_all();
            }
            self.publish_status();
        }
    }

    /// Does what a session's events ask for.
    ///
    /// # Errors
    /// [`LinkError`]; what was done before it stands.
    pub fn take_up(
        &mut self,
        session: &mut Session,
        events: Vec<DeskEvent>,
        now: Reading,
    ) -> Result<(), LinkError> {
        // The hub's clock is said by itself where it changes something.
        let changed = events.iter().any(|event| !matches!(event, DeskEvent::HubClock { .. }));
        for event in events {
            match event {
                DeskEvent::HubClock { clock, doubtful, asked } => {
                    self.measure(now, HubTime { clock, doubtful, asked });
                }
                event => self.take_up_one(session, event, self.time.clock.time(now))?,
            }
        }
        self.seals.write();
        if let Err(error) = self.release_copies(session) {
            self.ledger_failed(&error);
        }
        self.note_hub_heard(session);
        self.note_whole(session);
        if changed {
            self.refresh_hub_states();
            self.publish_status();
        }
        Ok(())
    }

    /// Where a part of the ledgers was lost: it is back when the hub has shared all that it had at its welcome.
    pub(super) fn note_whole(&mut self, session: &Session) {
        // Where nothing is kept, the store's version is not what the hub has shared since.
        if !self.book.files.is_incomplete() || !self.salvaged.asked_anew {
            return;
        }
        if !self.keeps(session.peer()) || self.unkept.awaits_grants() {
            return;
        }
        let shared = self.knowledge.store.cursor(Cursor::Venue).unwrap_or_default();
        // The grants are listed behind that: the hub knows of those that this disk has forgotten, too.
        if session.has_said_all(shared) {
            // Where it is known which entries of this desk were lacking, and all are back, no grant is doubted. Where the
            // disk does not take what is written now, it is done with what the hub says next.
            let doubted =
                self.book.files.missing_count() > 0 || !self.book.files.knows_what_is_missing();
            if doubted && let Err(error) = self.doubt_grants() {
                self.disk_failed(DiskTrouble::of_failed_write(&error));
                return;
            }
            self.note_lost();
            if let Err(error) = self.book.files.set_complete() {
                self.ledger_failed(&error);
                return;
            }
            self.salvaged.lacking = false;
            self.hold();
            self.wake_links();
        }
    }

    fn take_up_one(
        &mut self,
        session: &mut Session,
        event: DeskEvent,
        wall: UnixMillis,
    ) -> Result<(), LinkError> {
        let peer = session.peer();
        match event {
            // Taken up before, for it needs both clocks.
            DeskEvent::HubClock { .. } => {}
            DeskEvent::Welcomed(welcome) => self.welcomed(session, &welcome, wall),
            DeskEvent::Compared => self.count_what_is_sent_again(),
            DeskEvent::Acknowledged { day, writer, sequence } => {
                session.note_held(day, writer, sequence);
                if let Some(sequence) = self.book.acknowledge(day, writer, sequence) {
                    let kept = self.knowledge.store.acknowledge(day, &writer, sequence);
                    self.kept(kept);
                }
            }
            DeskEvent::AcknowledgementsLost => {
                tracing::warn!("the hub holds less than it had acknowledged; all is sent again");
                self.note_hub_restored(wall);
                let forgotten = self.knowledge.store.forget_acknowledgements();
                self.kept(forgotten);
                // A hub that tells its runs says from where it goes on.
                if !self.says_again() {
                    let asked = self.knowledge.store.set_cursor(Cursor::Venue, 0);
                    self.kept(asked);
                }
            }
            DeskEvent::Behind { day, writer, held } => {
                session.note_held(day, writer, held);
                self.book.note_held_by_hub(day, writer, held);
                tracing::warn!(%day, %writer, "the hub has more of a list than this disk; it comes back");
            }
            DeskEvent::Diverged { day, writer, held } => {
                session.note_held(day, writer, held);
                // Two desks share one key. The hub sets apart what this one sent; the rest goes on.
                tracing::error!(%day, %writer, "the hub's list is not the one on this disk");
                self.links.set_diverged(peer, true);
            }
            // What comes behind something that could not be kept would hide that it is lacking.
            DeskEvent::Shared(_)
            | DeskEvent::Advanced(_)
            | DeskEvent::Page(_)
            | DeskEvent::Holders(_)
                if !self.keeps(peer) => {}
            DeskEvent::Shared(share) => self.merge(&share)?,
            DeskEvent::Advanced(version) => self.advance(version),
            DeskEvent::Page(page) => self.take_page(peer, &page, wall)?,
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
                session.grants_listed();
                self.keep_grants(grants);
                self.note_answered(peer, &answered, &none_left);
            }
            DeskEvent::CardKeys(sealed) => self.keep_card_keys(sealed),
            DeskEvent::Holders(page) => {
                let store = &mut self.knowledge.store;
                let version = store.cursor(Cursor::Holders).unwrap_or_default();
                // What answers a desk that says something again moves nothing.
                let moved = if self.again.says_again() { version } else { page.to };
                let applied = store.apply_holders(&page.holders, page.stamp(), moved);
                self.kept(applied);
            }
            DeskEvent::Told(version) => self.note_told(version),
            DeskEvent::Notices { notices, to } => self.take_notices(notices, to),
            DeskEvent::AgainDone { go_on, common, told } => self.again_done(go_on, common, told),
            DeskEvent::UsedTwice(used_twice) => self.note_used_twice(peer, used_twice),
            DeskEvent::Ended(Goodbye { kind, sentence }) => {
                return Err(LinkError::Ended { sentence, kind });
            }
        }
        Ok(())
    }

    fn welcomed(&mut self, session: &mut Session, welcome: &Welcome, wall: UnixMillis) {
        // A hub that was set up anew or restored is behind what this desk has: begin again.
        let (catalogue, venue) = self.have();
        let mut behind = Vec::new();
        // A hub that tells its runs has said itself from where it goes on.
        let by_versions = !self.take_up_run(welcome);
        if by_versions && welcome.catalogue_version < catalogue {
            behind.extend([Cursor::Catalogue, Cursor::Holders]);
        }
        if by_versions && welcome.venue_version < venue {
            behind.push(Cursor::Venue);
        }
        for cursor in behind {
            let asked = self.knowledge.store.set_cursor(cursor, 0);
            self.kept(asked);
        }
        session.welcomed(welcome.venue_version);
        self.links.set_diverged(session.peer(), false);
        // A hub without a catalogue replaces nothing.
        let has_all = self.have().0 == welcome.catalogue_version && welcome.restored.is_none();
        if welcome.catalogue_version > 0 && has_all {
            self.note_up_to_date(session.peer(), wall);
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
        self.set_link(session.peer(), HubLink::Connected, wall);
    }

    /// The hub says that the catalogue is all here.
    fn note_up_to_date(&mut self, peer: Peer, wall: UnixMillis) {
        if !self.keeps(peer) {
            return;
        }
        self.links.confirm(peer);
        let at = u64::try_from(wall.0).unwrap_or_default();
        let kept = self.knowledge.store.set_cursor(Cursor::CatalogueAt, at);
        self.kept(kept);
        self.knowledge.store.caught_up();
    }

    fn advance(&mut self, version: u64) {
        let known = self.have().1;
        let kept = self.knowledge.store.set_cursor(Cursor::Venue, known.max(version));
        self.kept(kept);
    }

    fn take_page(
        &mut self,
        peer: Peer,
        page: &CataloguePage,
        wall: UnixMillis,
    ) -> Result<(), LinkError> {
        let items = catalogue::unpack(&page.items)?;
        let version = self.have().0;
        // A page that begins behind what is here would leave a hole. The deny list moves nothing.
        if page.from > version {
            return Err(LinkError::OutOfStep);
        }
        let applied = self.knowledge.store.apply(&items, page.stamp(), version.max(page.to));
        if !self.kept(applied) {
            return Ok(());
        }
        self.take_up_changed(&items);
        let subjects = items.iter().filter_map(|item| match item {
            Item::Pass(record) => Some(Subject::Pass(record.pass)),
            Item::Gone(ItemName::Pass(pass)) => Some(Subject::Pass(*pass)),
            Item::Gone(_)
            | Item::Activity(_)
            | Item::Reward(_)
            | Item::Policy(_)
            | Item::Coupon(_)
            | Item::CardSystem(_) => None,
        });
        for subject in subjects {
            if self.book.by_subject.contains_key(&subject) {
                self.refresh_outcomes(subject);
            }
        }
        if page.last {
            self.note_up_to_date(peer, wall);
        }
        // A desk that is killed right after it got its pass list is to have it all the same. Single
        // records come with every tap anywhere: those may wait for sled's own turn.
        if items.len() >= FLUSHED_AT_ONCE {
            let flushed = self.knowledge.store.flush();
            self.kept(flushed);
        }
        Ok(())
    }

    /// Merges another desk's entries: durable before the hub is told that they are here.
    fn merge(&mut self, share: &Share) -> Result<(), LinkError> {
        let (day, writer) = (date(share.batch.day)?, share.batch.writer.writer());
        let ledger = LedgerId { venue: self.enrolment.venue.clone(), day };
        let held = self.book.files.ledger(day).map(|l| l.position(&writer)).unwrap_or_default();
        match judge(&share.batch, &ledger, held) {
            Judgement::Merge(extension) => {
                match self.book.files.append(day, &extension) {
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
                    let place = EntryRef { day, writer, index };
                    self.book.note_place(entry.subject, place);
                    self.note_unit(place, &entry.fact);
                    subjects.push(entry.subject);
                }
                self.recount_units();
                if writer.device == self.book.writer.device {
                    // An earlier run of this desk, from before its disk was restored: the hub has it.
                    let sequence = extension.head().sequence;
                    self.book.acknowledged.insert((day, writer), sequence);
                    let kept = self.knowledge.store.acknowledge(day, &writer, sequence);
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
                let asked = self.knowledge.store.set_cursor(Cursor::Venue, 0);
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
