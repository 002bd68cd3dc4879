//! Units of limited rewards that this desk may hand out without asking.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crdt_model::catalogue::Reward;
use crdt_model::entry::{EntryRef, Fact};
use crdt_model::ids::RewardId;
use crdt_model::stock::{GrantId, GrantedUnits, Holding, Unit};
use sync_protocol::message::{Closing, Wanted};
use tokio::sync::Notify;

use super::Desk;
use crate::links::Peer;
use crate::stock_file::{Stock, StockFile};
use desk_api::types::StockView;

/// Units that a desk asks for ahead.
const AHEAD: u32 = 20;

/// What this desk may hand out of limited rewards, and what it has handed out.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) holding: Holding,
    /// What a desk goes by that may hand out nothing now.
    pub(super) nothing: Holding,
    /// This desk's redemptions that name a unit, taken back or not.
    pub(super) unit_entries: Vec<(EntryRef, Unit)>,
    pub(super) stock_file: StockFile,
    /// The units were given back: none are asked for ahead.
    gave_back: bool,
    /// Limited rewards of which somebody wants one now.
    wanted_now: BTreeSet<RewardId>,
    /// Told when the hub has said what may be handed out, or can no longer be asked.
    heard: Arc<Notify>,
}

impl Held {
    /// What the file at this path says was granted.
    pub(super) fn open(path: &Path) -> Self {
        Self {
            holding: Holding::default(),
            nothing: Holding::default(),
            unit_entries: Vec::new(),
            stock_file: StockFile::open(path),
            gave_back: false,
            wanted_now: BTreeSet::new(),
            heard: Arc::default(),
        }
    }

    /// Whoever waits for a unit waits no longer.
    pub(super) fn stop_waiting_for_all(&mut self) {
        self.wanted_now.clear();
        self.heard.notify_waiters();
    }

    /// Units of this reward in grants that are used no more.
    fn doubted(&self, reward: RewardId) -> u32 {
        let Stock { grants, doubted, .. } = self.stock_file.kept();
        let of_reward = grants.iter().filter(|it| it.reward == reward);
        let counts = of_reward.filter(|it| doubted.contains(&it.grant)).map(|it| it.units.count);
        counts.fold(0, u32::saturating_add)
    }
}

impl Desk {
    /// Takes up, after a start, what is kept of grants, and what the ledgers say of their use.
    pub(super) fn take_up_stock(&mut self) {
        self.take_up_unit_entries();
        self.hold();
    }

    /// Finds this desk's redemptions that name a unit.
    pub(super) fn take_up_unit_entries(&mut self) {
        let mut found = Vec::new();
        for (place, entry) in
            self.book.files.ledgers().flat_map(crdt_model::ledger::Ledger::entries)
        {
            if let Fact::Redemption { unit: Some(unit), .. } = entry.fact
                && place.writer.device == self.book.writer.device
            {
                found.push((place, unit));
            }
        }
        self.units.unit_entries = found;
    }

    /// Holds what the hub granted and what is not given back. A desk that lost a part of its ledgers
    /// does not know what it has handed out: it holds nothing before the hub has shared all that it has.
    pub(super) fn hold(&mut self) {
        let Stock { grants, closing, doubted } = self.units.stock_file.kept();
        let knows = !self.book.files.is_incomplete();
        let given_up =
            |it: &GrantId| closing.contains(it) || doubted.contains(it) || self.was_closed(*it);
        let own = grants.iter().filter(|it| knows && !given_up(&it.grant));
        self.units.holding.grants = own.copied().collect();
        self.recount_units();
    }

    /// The hub has shared all that it has of this desk's lists; what it never had, and this disk lost, is gone. Nobody
    /// knows which units that handed out, so none of those grants is used or given back any more: an operator writes
    /// them off. What is granted from now on is used.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(super) fn doubt_grants(&mut self) -> io::Result<()> {
        let Stock { grants, .. } = self.units.stock_file.kept().clone();
        let doubted: Vec<_> = grants.iter().map(|it| it.grant).collect();
        if !doubted.is_empty() {
            tracing::error!(
                grants = ?doubted,
                "a part of the ledgers is gone, and nobody knows what these grants were used for: freeze them and write them off with stempel-hub stock, then this desk gets others"
            );
        }
        self.units.stock_file.keep(Stock { grants, closing: Vec::new(), doubted })
    }

    /// Which units are handed out: those of redemptions that nobody took back, and those that this computer knows to be
    /// handed out by redemptions that are not in this folder.
    pub(super) fn recount_units(&mut self) {
        let stands = |(place, unit): &(EntryRef, Unit)| {
            let subject = self.book.entry(place)?.subject;
            (!self.book.is_taken_back(place, subject)).then_some(*unit)
        };
        let mut used: BTreeSet<Unit> = self.units.unit_entries.iter().filter_map(stands).collect();
        used.extend(self.handed_out_elsewhere());
        self.units.holding.used = used;
    }

    /// This entry hands out a unit.
    pub(super) fn note_unit(&mut self, place: EntryRef, fact: &Fact) {
        if let Fact::Redemption { unit: Some(unit), .. } = fact
            && place.writer.device == self.book.writer.device
        {
            self.units.unit_entries.push((place, *unit));
            self.units.holding.used.insert(*unit);
        }
    }

    /// Somebody wants a limited reward of which this desk has no unit: the hub is asked for one at once, where it can be
    /// asked. Whoever wants it waits for as long as [`Self::waits_for_unit`] says so.
    pub(super) fn want_now(&mut self, reward: RewardId) -> bool {
        if !self.links.stands(Peer::Hub) || self.book.files.is_incomplete() {
            return false;
        }
        self.units.gave_back = false;
        self.units.wanted_now.insert(reward);
        self.wake_links();
        true
    }

    /// Whether the hub has not answered yet.
    pub fn waits_for_unit(&self, reward: RewardId) -> bool {
        self.links.stands(Peer::Hub) && self.units.wanted_now.contains(&reward)
    }

    /// Nobody waits any more for a unit of this reward.
    pub fn stop_waiting(&mut self, reward: RewardId) {
        self.units.wanted_now.remove(&reward);
    }

    /// Told whenever the hub has said what may be handed out, or the link has ended.
    pub fn stock_signal(&self) -> Arc<Notify> {
        self.units.heard.clone()
    }

    /// The hub has answered for these rewards, and of some it has none left.
    pub(super) fn note_answered(
        &mut self,
        peer: Peer,
        answered: &[RewardId],
        none_left: &[RewardId],
    ) {
        let holding = &self.units.holding;
        self.units.wanted_now.retain(|it| holding.left(*it) == 0 && !answered.contains(it));
        let said = self.links.none_left_mut(peer);
        said.retain(|it| holding.left(*it) == 0 && !answered.contains(it));
        said.extend(none_left);
        self.units.heard.notify_waiters();
    }

    /// What the hub says that this desk may hand out now.
    pub(super) fn granted(&mut self, grants: Vec<GrantedUnits>) -> io::Result<()> {
        // The hub no longer lists what it has heard to be given back. A desk that has closed gives
        // back what was on its way, too.
        let Stock { closing: kept, doubted, .. } = self.units.stock_file.kept();
        let doubts = |it: &&GrantedUnits| doubted.contains(&it.grant);
        let closing =
            |it: &&GrantedUnits| !doubts(it) && (self.units.gave_back || kept.contains(&it.grant));
        let closing: Vec<_> = grants.iter().filter(closing).map(|it| it.grant).collect();
        let doubted = grants.iter().filter(doubts).map(|it| it.grant).collect();
        self.mark_closed(&closing);
        self.units.stock_file.keep(Stock { grants, closing, doubted })?;
        self.hold();
        Ok(())
    }

    /// Gives all units back: from now on this desk hands out none of them, and the hub is told which
    /// it has handed out.
    ///
    /// # Errors
    /// Whatever the file system says; nothing is then given back.
    pub fn give_stock_back(&mut self) -> io::Result<Vec<StockView>> {
        let Stock { grants, doubted, .. } = self.units.stock_file.kept().clone();
        let closing = grants.iter().map(|it| it.grant).filter(|it| !doubted.contains(it));
        let closing: Vec<_> = closing.collect();
        self.mark_closed(&closing);
        self.units.stock_file.keep(Stock { grants, closing, doubted })?;
        self.units.gave_back = true;
        self.hold();
        self.wake_links();
        Ok(self.stock())
    }

    /// What this desk may hand out.
    pub fn stock(&self) -> Vec<StockView> {
        let limited = self.knowledge.rewards.iter().filter(|reward| reward.limited);
        limited
            .map(|reward| StockView {
                reward_id: reward.reward_id.clone(),
                title: reward.title.clone(),
                granted: self.units.holding.granted(reward.reward),
                left: self.units.holding.left(reward.reward),
                doubted: self.units.doubted(reward.reward),
            })
            .collect()
    }

    /// What the hub is asked for: ahead, where the desk runs low on something that is handed out here.
    pub(super) fn wanted_units(&self) -> Vec<Wanted> {
        let ours = self.knowledge.policy.organiser.as_ref();
        let here = |reward: &&Reward| reward.limited && !reward.online && reward.redeemed_by(ours);
        let mut wanted = Vec::new();
        if self.book.files.is_incomplete() || !self.may_hand_out() {
            return wanted;
        }
        for reward in self.knowledge.rewards.iter().filter(here) {
            // A desk that gave its units back, for it closes, does not ask for them again.
            if self.units.holding.runs_low(reward.reward) && !self.units.gave_back {
                wanted.push(Wanted { reward: reward.reward, units: AHEAD, now: false });
            }
            if self.units.wanted_now.contains(&reward.reward) {
                wanted.push(Wanted { reward: reward.reward, units: 1, now: true });
            }
        }
        wanted
    }

    /// The closing statements that the hub has not heard yet: none where this desk does not know what it has handed
    /// out.
    pub(super) fn closing_statements(&self) -> Vec<Closing> {
        if self.book.files.is_incomplete() || !self.knows_its_units() {
            return Vec::new();
        }
        self.units
            .stock_file
            .kept()
            .closing
            .iter()
            .map(|grant| {
                let used: BTreeSet<u32> = self.units.holding.closing_statement(*grant);
                self.key.sign_closing(*grant, used.into_iter().collect())
            })
            .collect()
    }
}
