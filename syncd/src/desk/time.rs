//! What time it is at the desk: this computer's clocks, the hub's, and what the desk itself wrote.

use std::sync::Arc;

use crdt_model::catalogue::Policy;
use crdt_model::surroundings::Surroundings;
use crdt_model::time::UnixMillis;
use sync_protocol::heartbeat::Ticks;

use super::Desk;
use super::clock::kept::{KeptClock, boot};
use super::clock::{self, DeskClock, Evidence, HubTime, Reading};
use crate::paths::DeskFolder;
use crate::store::Cursor;
use desk_api::types::Health;

/// How often the hub's clock is kept for the next start, in milliseconds: a beat comes every few seconds, and the
/// store writes all that it is given.
const HUB_CLOCK_KEPT_EACH: i64 = 60_000;

/// What is known of the time.
#[derive(Debug)]
pub(super) struct Time {
    /// This computer's clocks, and its randomness.
    pub(super) surroundings: Arc<dyn Surroundings>,
    /// What time it is: everything that decides by time goes by this.
    pub(super) clock: DeskClock,
    /// The hub's clock as it was kept last for the next start.
    pub(super) hub_clock_kept: UnixMillis,
    /// The same, while this computer's clock is wrong.
    pub(super) kept_clock: KeptClock,
}

impl Time {
    /// What is known before anything was read.
    pub(super) fn new(folder: &DeskFolder, surroundings: Arc<dyn Surroundings>) -> Self {
        let now = read(&*surroundings);
        let tolerance = Policy::default().clock_tolerance;
        Self {
            clock: DeskClock::new(now, Evidence::default(), tolerance),
            hub_clock_kept: UnixMillis(0),
            kept_clock: KeptClock::open(folder.clock(), boot()),
            surroundings,
        }
    }
}

/// Both clocks, as they stand.
pub(super) fn read(surroundings: &dyn Surroundings) -> Reading {
    let steady = surroundings.steady().as_millis();
    let steady = Ticks(u64::try_from(steady).unwrap_or(u64::MAX));
    Reading { wall: surroundings.now(), steady }
}

impl Desk {
    /// What the hub and this desk's ledgers say of the time.
    pub(super) fn evidence_of_time(&mut self) -> Evidence {
        let hub = self.knowledge.store.cursor(Cursor::HubClock).unwrap_or_default();
        let hub = UnixMillis(i64::try_from(hub).unwrap_or(i64::MAX));
        self.time.hub_clock_kept = hub;
        let hub = (hub.0 > 0).then_some(hub);
        Evidence { hub, own: clock::newest_believed(hub, self.book.own_times()) }
    }

    /// This computer's clocks.
    pub fn read_clocks(&self) -> Reading {
        read(&*self.time.surroundings)
    }

    /// Looks at this computer's clocks, says where something is the matter with them, and gives the time that the
    /// desk goes by.
    pub fn now(&mut self) -> UnixMillis {
        self.look(self.read_clocks())
    }

    pub(crate) fn look(&mut self, reading: Reading) -> UnixMillis {
        if self.time.clock.look(reading) {
            match self.time.clock.health() {
                Health::Fine => tracing::info!("the clock is right"),
                Health::Trouble(trouble) => tracing::warn!("{trouble}"),
            }
            self.publish_status();
        }
        self.time.kept_clock.keep(reading, self.time.clock.hubs_word());
        self.time.clock.latest()
    }

    /// Compares the clocks with the hub's, and keeps what that said for the next start.
    pub(super) fn measure(&mut self, now: Reading, said: HubTime) {
        if let Some(hub) = self.time.clock.measure(now, said)
            && hub.since(self.time.hub_clock_kept).saturating_abs() >= HUB_CLOCK_KEPT_EACH
        {
            self.time.hub_clock_kept = hub;
            let hub = u64::try_from(hub.0).unwrap_or_default();
            let kept = self.knowledge.store.set_cursor(Cursor::HubClock, hub);
            self.kept(kept);
        }
        self.look(now);
    }
}
