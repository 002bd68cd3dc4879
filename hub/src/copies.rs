//! Desks that were copied with their key. Both copies may be linked at once; then the hub hears two runs of
//! one device and tells both, and the operators.
//!
//! A daemon that was killed and started again has a new run, too, and the hub keeps its old line until that
//! times out. So two lines alone prove nothing: a copy is one that is still heard after the other began.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crdt_model::ids::DeviceId;
use crdt_model::time::UnixMillis;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::db::storage::Storage;
use crate::db::{Db, HubError};
use crate::records::devices;

/// Between two looks at who is heard.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// Where the last look was longer ago than this, nobody knows when the packets since then came.
const LATE_LOOK: Duration = Duration::from_secs(2);

/// What comes so soon after another run began may have been on its way: a dead daemon's last words.
const ON_ITS_WAY: Duration = Duration::from_secs(3);

/// A desk stays marked for a day after the last sighting of a copy: in milliseconds.
const SHOWN_FOR: i64 = 24 * 60 * 60 * 1000;

/// Between two notes of one desk in the database, in milliseconds.
const NOTED_EACH: i64 = 60 * 60 * 1000;

/// What is asked of a line: where it comes from, and how many packets have come.
pub(crate) trait Heard: Send + Sync {
    fn from(&self) -> SocketAddr;
    fn packets(&self) -> u64;
}

impl Heard for quinn::Connection {
    fn from(&self) -> SocketAddr {
        self.remote_address()
    }

    fn packets(&self) -> u64 {
        self.stats().udp_rx.datagrams
    }
}

/// One line of a desk.
struct Line {
    id: u64,
    run: u32,
    since: Instant,
    heard: Box<dyn Heard>,
    /// How many packets had come when it was last looked at, and when the last of them came.
    packets: u64,
    heard_at: Instant,
    /// Tells its session that another daemon has this desk's key, too.
    used_twice: watch::Sender<bool>,
}

impl Line {
    fn look(&mut self, now: Instant) {
        let packets = self.heard.packets();
        if packets != self.packets {
            self.packets = packets;
            self.heard_at = now;
        }
    }

    /// Leaves out what came since the last look, for nobody knows when it came.
    fn skip(&mut self) {
        self.packets = self.heard.packets();
    }
}

/// The lines of all desks that are linked.
#[derive(Default)]
pub(crate) struct Lines {
    of: Mutex<HashMap<DeviceId, Vec<Line>>>,
    next: AtomicU64,
}

/// A line's place among the lines; given up when it is dropped.
pub(crate) struct Place {
    lines: Arc<Lines>,
    device: DeviceId,
    id: u64,
    /// Whether another daemon has this desk's key, too.
    pub(crate) used_twice: watch::Receiver<bool>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.lines.all();
        if let Some(lines) = all.get_mut(&self.device) {
            lines.retain(|line| line.id != self.id);
            if lines.is_empty() {
                all.remove(&self.device);
            }
        }
    }
}

impl Lines {
    fn all(&self) -> MutexGuard<'_, HashMap<DeviceId, Vec<Line>>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A desk was welcomed. `known` says whether it is known to be used twice already.
    pub(crate) fn enter(
        self: &Arc<Self>,
        device: DeviceId,
        run: u32,
        known: bool,
        heard: Box<dyn Heard>,
    ) -> Place {
        let now = Instant::now();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (used_twice, told) = watch::channel(known);
        let mut all = self.all();
        let lines = all.entry(device).or_default();
        for line in &mut *lines {
            // What came until now says nothing about whether that run lives beside this one.
            line.look(now);
            if known {
                line.used_twice.send_if_modified(|told| !std::mem::replace(told, true));
            }
        }
        let packets = heard.packets();
        lines.push(Line { id, run, since: now, heard, packets, heard_at: now, used_twice });
        Place { lines: self.clone(), device, id, used_twice: told }
    }

    /// Begins to look again after a pause: packets that came in the pause count for nothing. A line that died in the
    /// pause would otherwise seem to be heard after it.
    fn skip_to_now(&self) {
        self.all().values_mut().flatten().for_each(Line::skip);
    }

    /// Looks who is heard, and gives the desks of which two runs live side by side, with where they are. Their
    /// sessions are told.
    fn look(&self, now: Instant) -> Vec<(DeviceId, SocketAddr, SocketAddr)> {
        let mut found = Vec::new();
        for (device, lines) in &mut *self.all() {
            if lines.len() < 2 {
                continue;
            }
            for line in &mut *lines {
                line.look(now);
            }
            let beside = |one: &Line, other: &Line| {
                let both_since = one.since.max(other.since) + ON_ITS_WAY;
                one.run != other.run && one.heard_at > both_since && other.heard_at > both_since
            };
            let pair = lines.iter().enumerate().find_map(|(at, one)| {
                let other = lines[at + 1..].iter().find(|other| beside(one, other))?;
                Some((*device, one.heard.from(), other.heard.from()))
            });
            if let Some(pair) = pair {
                found.push(pair);
                for line in lines {
                    line.used_twice.send_if_modified(|told| !std::mem::replace(told, true));
                }
            }
        }
        found
    }

    /// Looks for copies for as long as the hub runs, and notes them for the operators.
    ///
    /// # Errors
    /// [`HubError`], where they cannot be noted.
    pub(crate) async fn watch(&self, db: &Db, storage: &Arc<Storage>) -> Result<(), HubError> {
        let mut noted: HashMap<DeviceId, UnixMillis> = HashMap::new();
        let mut noting: JoinSet<Result<(), HubError>> = JoinSet::new();
        let mut looked: Option<Instant> = None;
        loop {
            tokio::time::sleep(LOOK_EACH).await;
            while let Some(done) = noting.try_join_next() {
                done.unwrap_or(Ok(()))?;
            }
            let late = looked.is_none_or(|at| at.elapsed() > LATE_LOOK);
            looked = Some(Instant::now());
            if late {
                self.skip_to_now();
                continue;
            }
            let now = db.now();
            noted.retain(|_, at| (now.0 - at.0).abs() < NOTED_EACH);
            for (device, one, other) in self.look(Instant::now()) {
                if noted.contains_key(&device) {
                    continue;
                }
                tracing::error!(
                    %device, %one, %other,
                    "a desk is used twice: its folder was copied, and two computers record under one name. Nothing is lost; enrol one of them anew, with a folder of its own"
                );
                // In a task of its own: a note may wait minutes for the writer's turn, and looking goes on.
                noting.spawn(note_when_possible(db.clone(), storage.clone(), device, now));
                noted.insert(device, now);
            }
        }
    }
}

/// Notes it as soon as the disk takes it.
async fn note_when_possible(
    db: Db,
    storage: Arc<Storage>,
    device: DeviceId,
    now: UnixMillis,
) -> Result<(), HubError> {
    loop {
        match note_used_twice(&db, device, now).await {
            Err(error) if storage.note(&error).is_some() => tokio::time::sleep(LOOK_EACH).await,
            noted => return noted,
        }
    }
}

/// Whether a desk that was last seen to be used twice then still counts as such.
pub(crate) fn still_shown(used_twice_at: Option<i64>, now: UnixMillis) -> bool {
    used_twice_at.is_some_and(|at| now.0.saturating_sub(at) < SHOWN_FOR)
}

/// Notes that a desk was seen to be used twice, for operators and for its next sessions.
pub(crate) async fn note_used_twice(
    db: &Db,
    device: DeviceId,
    now: UnixMillis,
) -> Result<(), HubError> {
    let mut writing = db.write().await?;
    let still_since = now.0.saturating_sub(SHOWN_FOR);
    devices::note_used_twice(&mut writing, device, now.0, still_since).await?;
    writing.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Packets(Arc<AtomicU64>);

    impl Packets {
        fn come(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Heard for Packets {
        fn from(&self) -> SocketAddr {
            ([127, 0, 0, 1], 4433).into()
        }

        fn packets(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    const DESK: DeviceId = DeviceId([1; 16]);

    fn two_lines(runs: [u32; 2]) -> (Arc<Lines>, [Packets; 2], [Place; 2]) {
        let lines = Arc::new(Lines::default());
        let packets = [Packets::default(), Packets::default()];
        packets[0].come();
        let places = [0, 1].map(|at| {
            let heard = Box::new(packets[at].clone());
            lines.enter(DESK, runs[at], false, heard)
        });
        (lines, packets, places)
    }

    fn later() -> Instant {
        Instant::now() + ON_ITS_WAY + Duration::from_secs(1)
    }

    #[test]
    fn two_runs_that_are_both_heard_after_the_second_began_are_copies() {
        let (lines, packets, places) = two_lines([1, 2]);
        packets.iter().for_each(Packets::come);
        assert_eq!(lines.look(later()).len(), 1);
        assert!(places.iter().all(|place| *place.used_twice.borrow()), "both are told");
    }

    #[test]
    fn a_daemon_that_was_started_again_beside_its_old_line_is_no_copy() {
        let (lines, packets, places) = two_lines([1, 2]);
        packets[0].come();
        lines.look(Instant::now());
        packets[1].come();
        assert!(lines.look(later()).is_empty(), "what was on its way proves nothing");
        assert!(places.iter().all(|place| !*place.used_twice.borrow()));
    }

    #[test]
    fn packets_that_came_while_nobody_looked_make_no_copy() {
        let (lines, packets, _places) = two_lines([1, 2]);
        packets[0].come();
        lines.skip_to_now();
        packets[1].come();
        assert!(lines.look(later()).is_empty(), "nobody knows when the first line's packet came");
        packets[0].come();
        assert_eq!(lines.look(later()).len(), 1);
    }

    #[test]
    fn a_daemon_that_came_again_over_another_line_is_no_copy() {
        let (lines, packets, _places) = two_lines([1, 1]);
        packets.iter().for_each(Packets::come);
        assert!(lines.look(later()).is_empty());
    }

    #[test]
    fn a_line_that_ended_is_no_longer_looked_at() {
        let (lines, packets, places) = two_lines([1, 2]);
        drop(places);
        packets.iter().for_each(Packets::come);
        assert!(lines.look(later()).is_empty());
        assert!(lines.all().is_empty());
    }
}
