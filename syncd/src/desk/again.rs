//! What this desk keeps for the day on which the hub's database is put back from an older copy, and what it does then. In which
//! order it is said the session knows ([`sync_protocol::desk`]).

use std::sync::atomic::{AtomicBool, Ordering};

use crdt_model::catalogue::ItemName;
use crdt_model::ids::Writer;
use crdt_model::ledger::Ledger;
use jiff::civil::Date;
use sync_protocol::desk::SealedList;
use sync_protocol::message::{Batch, StatedGrant, Welcome};
use sync_protocol::notice::SignedNotice;
use sync_protocol::version::{GoOn, Seen, Version};

use super::Desk;
use crate::disk::DiskTrouble;
use crate::links::Peer;
use crate::store::Cursor;

/// What of this session matters to a hub that was restored.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// The hub's public key, as it was proven in the handshake.
    hub_key: Option<[u8; 32]>,
    /// The hub's run, where it tells its runs.
    run: Option<u64>,
    /// The hub says that it was restored, and has not been told all yet.
    saying: bool,
    /// The names of what it is to tell again could not be read: this session ends nothing.
    unread: AtomicBool,
}

impl Again {
    /// Whether the hub is being told what it lost.
    pub(super) fn says_again(&self) -> bool {
        self.saying
    }
}

impl Desk {
    /// The hub of the session that begins has proven this public key, whose fingerprint is pinned.
    pub fn set_hub_key(&mut self, key: [u8; 32]) {
        self.again.hub_key = Some(key);
    }

    /// Takes up what the hub's welcome says of its runs. Whether it says anything: else the desk goes by versions alone.
    pub(super) fn take_up_run(&mut self, welcome: &Welcome) -> bool {
        self.again.run = welcome.run.map(|it| it.run);
        self.again.saying = welcome.restored.is_some();
        self.again.unread = AtomicBool::new(false);
        self.knowledge.store.set_run(self.again.run);
        let Some(go_on) = welcome.go_on.filter(|_| welcome.run.is_some()) else { return false };
        if let Some(restored) = welcome.restored {
            tracing::warn!(
                common = restored.common,
                ?go_on,
                "the hub was restored from an older copy: it is told again what it lost"
            );
            return true;
        }
        // Nothing was told that the hub does not know. Where it cannot tell how far the desk is, it begins again.
        let cursors = [
            (Cursor::Catalogue, go_on.catalogue),
            (Cursor::Venue, go_on.venue),
            (Cursor::Holders, go_on.holders),
        ];
        for (cursor, number) in cursors {
            if self.knowledge.store.cursor(cursor).unwrap_or_default() > number {
                let asked = self.knowledge.store.set_cursor(cursor, number);
                self.kept(asked);
            }
        }
        true
    }

    /// Whether the hub is being told what it lost.
    pub(super) fn says_again(&self) -> bool {
        self.again.says_again()
    }

    pub(super) fn note_told(&mut self, version: Version) {
        self.again.run = Some(version.run);
        let noted = self.knowledge.store.note_told(version);
        self.kept(noted);
    }

    /// Keeps what the hub has signed. Where that fails the hub tells it again in the next session.
    pub(super) fn take_notices(&mut self, notices: Vec<SignedNotice>, to: u64) {
        let Some(hub) = self.again.hub_key else { return };
        let seen = self.again.run.map(|run| Version { run, number: to });
        if let Err(error) = self.notices_kept.keep(notices, &hub, seen) {
            tracing::warn!(%error, "the hub's notices cannot be kept");
            self.disk_failed(DiskTrouble::of_failed_write(&error));
        }
    }

    /// The hub was told all that it had lost, and has told how the catalogue stands: the desk goes on from what both
    /// know. Where that cannot be kept, all of it is repeated in the next session.
    pub(super) fn again_done(&mut self, go_on: GoOn, common: u64, told: Version) {
        if !self.keeps(Peer::Hub) || self.again.unread.load(Ordering::Relaxed) {
            return;
        }
        let notices = Version { run: told.run, number: go_on.notices };
        let back = self.notices_kept.go_back(common, notices);
        if let Err(error) = back {
            tracing::warn!(%error, "the hub's notices cannot be kept");
            self.disk_failed(DiskTrouble::of_failed_write(&error));
            return;
        }
        let gone_back = self.knowledge.store.go_back(go_on, common, told);
        if self.kept(gone_back) {
            self.again.saying = false;
            tracing::info!(?go_on, "the hub has been told again what it lost");
        }
    }

    /// Another desk's entries were merged: what proves them that desk's is kept.
    pub(super) fn keep_seal(&mut self, day: Date, batch: &Batch, merged: &[Vec<u8>]) {
        let writer: Writer = batch.writer.writer();
        if writer.device != self.book.writer.device {
            let bytes = merged.iter().map(|entry| entry.len() + 1).sum();
            self.seals.note(day, writer, &batch.seal, bytes, &batch.public_key);
        }
    }

    /// What the hub told, in pairs.
    pub(super) fn seen_of_hub(&self) -> Seen {
        let notices = self.notices_kept.seen().to_vec();
        let mut seen = Seen { notices, ..self.knowledge.store.seen() };
        // A store that was begun anew knows nothing of what was told: this much was.
        if seen.any.is_empty() {
            seen.any.clone_from(&seen.notices);
        }
        seen
    }

    /// Other desks' lists whose seal is kept, as far as they are on this disk.
    pub(super) fn sealed_lists(&self) -> Vec<SealedList> {
        let kept = self.seals.lists().filter_map(|list| {
            let (day, writer) = (list.day, list.writer);
            let held =
                self.book.files.ledger(day).map(|it: &Ledger| it.position(&writer).sequence)?;
            let mut seals = list.seals;
            seals.retain(|seal| seal.sequence <= held);
            let public_key = list.public_key;
            (!seals.is_empty()).then_some(SealedList { day, writer, seals, public_key })
        });
        kept.collect()
    }

    /// All grants under which this desk may have handed out something: those that it holds, gives back, or uses no more
    /// because it lost a part of its ledgers.
    pub(super) fn stated_grants(&self) -> Vec<StatedGrant> {
        let grants = &self.units.stock_file.kept().grants;
        let stated = grants.iter().map(|it| StatedGrant {
            grant: it.grant,
            reward: it.reward,
            units: it.units,
            used: self.units.holding.closing_statement(it.grant).into_iter().collect(),
        });
        stated.collect()
    }

    /// The names of what came with a number beyond these.
    pub(super) fn names_of_items_beyond(&self, catalogue: u64, holders: u64) -> Vec<ItemName> {
        self.knowledge.store.names_beyond(catalogue, holders).unwrap_or_else(|error| {
            tracing::error!(%error, "the pass list cannot be read");
            self.again.unread.store(true, Ordering::Relaxed);
            Vec::new()
        })
    }
}

#[cfg(test)]
mod tests;
