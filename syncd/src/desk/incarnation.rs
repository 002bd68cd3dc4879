//! Whether this folder is the desk, or a copy of it: what that means for units of limited rewards, and what is said of it.
//!
//! Entries need none of this: each run has its own lists. Units do, for a copy of the folder has the same grants. The
//! mark ([`crate::mark`]) knows what was handed out on this computer; the hub knows what it was sent; and entries of
//! another run that are newer than this one's beginning show that the other still runs.

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::entry::{Entry, EntryRef, Fact};
use crdt_model::ids::{DeviceId, Writer};
use crdt_model::ledger::Ledger;
use crdt_model::stock::{GrantId, Holding, Unit};
use crdt_model::time::UnixMillis;
use sync_protocol::heartbeat::Ticks;

use super::Desk;
use crate::ledger_files::LedgerFiles;
use crate::links::{Peer, Session};
use crate::mark::{ComputerId, Mark, Standing};
use crate::paths::DeskFolder;
use crate::stock_file::StockFile;
use crate::store::Cursor;
use desk_api::types::Trouble;

/// What is known of other copies of this desk.
#[derive(Debug)]
pub(super) struct Incarnation {
    mark: Mark,
    /// In this run the hub has shared all that it knows of this desk.
    hub_heard: bool,
    /// When this run began, by the clock that nobody sets.
    began: Ticks,
    /// The epochs of this run's lists: one, and another after each time that the clock was put back.
    epochs: BTreeSet<u32>,
    /// Another run of this desk recorded after this one began.
    overlapped: bool,
}

/// The units that this desk's redemptions name, taken back or not, and how often.
fn units_named(files: &LedgerFiles, device: DeviceId) -> BTreeMap<Unit, u32> {
    let own = files.ledgers().flat_map(move |ledger| {
        let own = ledger.entries().filter(move |(place, _)| place.writer.device == device);
        own.filter_map(|(place, entry)| {
            Some((ledger.first_place(&place).unwrap_or(place), unit_of(entry)?))
        })
    });
    counted(own)
}

/// A redemption that was saved as a copy, and came back where it stood first, is one.
fn counted(units: impl Iterator<Item = (EntryRef, Unit)>) -> BTreeMap<Unit, u32> {
    let mut counts = BTreeMap::new();
    for (_, unit) in units.collect::<BTreeSet<_>>() {
        *counts.entry(unit).or_default() += 1;
    }
    counts
}

fn unit_of(entry: &Entry) -> Option<Unit> {
    match entry.fact {
        Fact::Redemption { unit, .. } => unit,
        _ => None,
    }
}

impl Incarnation {
    /// Opens the mark, before anything is handed out.
    pub(super) fn begin(
        folder: &DeskFolder,
        writer: Writer,
        began: Ticks,
        files: &LedgerFiles,
        stock: &StockFile,
    ) -> Self {
        let named = units_named(files, writer.device);
        let is_new = is_new(files, writer.device, stock);
        let computer = ComputerId::of_this_one();
        let mark = Mark::open(&folder.marks(), writer.device, computer, &named, is_new);
        match mark.standing() {
            Standing::Knows => {}
            Standing::Unknown { .. } => tracing::warn!(
                "this computer does not know what this desk has handed out; until the hub was heard, few units of limited rewards are"
            ),
            Standing::HeldByAnother => tracing::error!(
                "another daemon on this computer uses this desk's key: its folder was copied. This one hands out no limited rewards. Enrol one of them anew, with a folder of its own"
            ),
        }
        let epochs = [writer.epoch].into();
        Self { mark, hub_heard: false, began, epochs, overlapped: false }
    }

    /// As if this run had begun so many milliseconds earlier.
    #[cfg(test)]
    pub(super) fn began_earlier(&mut self, milliseconds: u64) {
        self.began = Ticks(self.began.0.saturating_sub(milliseconds));
    }

    /// This run begins another list.
    pub(super) fn note_epoch(&mut self, epoch: u32) {
        self.epochs.insert(epoch);
    }
}

/// Whether this desk has recorded nothing and was granted nothing.
fn is_new(files: &LedgerFiles, device: DeviceId, stock: &StockFile) -> bool {
    let mut writers = files.ledgers().flat_map(Ledger::writers);
    stock.kept().grants.is_empty() && !writers.any(|writer| writer.device == device)
}

impl Desk {
    fn units_named_here(&self) -> BTreeMap<Unit, u32> {
        let first = |place: &EntryRef| self.book.first_place(place).unwrap_or(*place);
        counted(self.units.unit_entries.iter().map(|(place, unit)| (first(place), *unit)))
    }

    /// Units that were handed out on this computer by redemptions that are not in this folder.
    pub(super) fn handed_out_elsewhere(&self) -> Vec<Unit> {
        self.incarnation.mark.not_in(&self.units_named_here()).collect()
    }

    /// Whether this desk may hand out a unit that it was granted.
    pub(super) fn may_hand_out(&self) -> bool {
        match self.incarnation.mark.standing() {
            Standing::HeldByAnother => false,
            _ if self.is_used_twice() => false,
            Standing::Knows => true,
            Standing::Unknown { .. } if self.incarnation.hub_heard => true,
            Standing::Unknown { handed } => handed < self.knowledge.policy.units_without_hub(),
        }
    }

    /// What this desk may hand out now.
    pub(super) fn may_be_handed_out(&self) -> &Holding {
        if self.may_hand_out() { &self.units.holding } else { &self.units.nothing }
    }

    /// Whether this desk knows what was handed out under its name, as far as anybody can.
    pub(super) fn knows_its_units(&self) -> bool {
        match self.incarnation.mark.standing() {
            Standing::HeldByAnother => false,
            Standing::Knows => true,
            Standing::Unknown { .. } => self.incarnation.hub_heard,
        }
    }

    /// Whether another daemon records under this desk's name.
    fn is_used_twice(&self) -> bool {
        self.incarnation.overlapped || self.links.name_used_twice()
    }

    /// This entry may hand out a unit: noted outside the folder before anybody sees the verdict.
    pub(super) fn mark_handed_out(&mut self, entry: &Entry) {
        if let Some(unit) = unit_of(entry) {
            self.incarnation.mark.hand_out(unit);
        }
    }

    /// These grants are given back: an older copy of this folder hands out none of them either.
    pub(super) fn mark_closed(&mut self, grants: &[GrantId]) {
        self.incarnation.mark.close(grants);
    }

    /// Whether this grant was given back by a folder that was newer than this one.
    pub(super) fn was_closed(&self, grant: GrantId) -> bool {
        self.incarnation.mark.is_closed(grant)
    }

    /// Sees whether the other daemon on this computer is gone, and writes what could not be written.
    pub(super) fn look_at_mark(&mut self) {
        if self.incarnation.mark.standing() == Standing::HeldByAnother {
            let named = self.units_named_here();
            let is_new = is_new(&self.book.files, self.book.writer.device, &self.units.stock_file);
            if self.incarnation.mark.try_lock(&named, is_new) {
                self.hold();
                self.publish_status();
            }
        }
        self.incarnation.mark.write();
    }

    /// The hub has shared all that it had at its welcome, and said what it has granted: what it knows of this desk's
    /// other copies is here.
    pub(super) fn note_hub_heard(&mut self, session: &Session) {
        if self.incarnation.hub_heard || !self.keeps(session.peer()) {
            return;
        }
        let shared = self.knowledge.store.cursor(Cursor::Venue).unwrap_or_default();
        if session.peer() == Peer::Hub && session.has_said_all(shared) {
            self.incarnation.hub_heard = true;
            let named = self.units_named_here();
            self.incarnation.mark.heard(&named);
            self.recount_units();
        }
    }

    /// The hub shared entries of this list. Where they are of another run of this desk, and newer than this run's
    /// beginning, that run still goes on beside this one. What is dated ahead of now shows only that a clock was wrong.
    pub(super) fn note_overlap(
        &mut self,
        writer: &Writer,
        mut times: impl Iterator<Item = UnixMillis>,
    ) {
        if writer.device != self.book.writer.device
            || self.incarnation.epochs.contains(&writer.epoch)
        {
            return;
        }
        let since = self.read_clocks().steady.since(self.incarnation.began);
        let now = self.time.clock.latest();
        let began = now.plus(-i64::try_from(since).unwrap_or(i64::MAX));
        let tolerance = self.knowledge.policy.clock_tolerance;
        if times.any(|at| at > began.plus(tolerance) && at <= now.plus(tolerance))
            && !std::mem::replace(&mut self.incarnation.overlapped, true)
        {
            tracing::error!(
                %writer,
                "another computer recorded under this desk's name after this run began: its folder was copied. Enrol one of them anew, with a folder of its own"
            );
        }
    }

    /// What is to be said of copies of this desk.
    pub(super) fn said_of_copies(&self) -> Vec<Trouble> {
        let standing = self.incarnation.mark.standing();
        let mut said = Vec::new();
        if standing == Standing::HeldByAnother || self.is_used_twice() {
            said.push(Trouble::NameUsedTwice);
        }
        let held = |unit: &Unit| self.units.holding.grants.iter().any(|it| it.grant == unit.grant);
        let units = self.handed_out_elsewhere().into_iter().filter(held).count() as u64;
        if units > 0 {
            said.push(Trouble::FolderOlder { units });
        }
        if let Standing::Unknown { handed } = standing
            && !self.incarnation.hub_heard
            && self.units.holding.grants.iter().any(|it| self.units.holding.left(it.reward) > 0)
        {
            let units = self.knowledge.policy.units_without_hub().saturating_sub(handed).into();
            said.push(Trouble::UnitsLimited { units });
        }
        said
    }
}
