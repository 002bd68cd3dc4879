//! What a session stores of its desk for the operators: when it was heard, with which software, what it has, and how
//! its clock goes. A commit for each word of each desk would hold up the acknowledgements, so notes wait.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crdt_model::time::UnixMillis;
use sync_protocol::heartbeat::DESK_SILENCE;
use sync_protocol::message::{DeskBeat, Hello, HubBeat, HubMessage};
use tokio::time::Instant;

use super::{Session, SessionEnd, told};
use crate::clock;
use crate::copies::note_used_twice;
use crate::db::{Db, HubError};
use crate::records::devices::{self, Contact};
use crate::registry::Device;

/// Between two notes of what a desk has, at the least.
const NOTED_EACH: Duration = Duration::from_secs(30);

/// A desk's clock that moved by more than this against the hub's is noted anew, in milliseconds.
const OFFSET_NOTED: i64 = 1_000;

/// So often it is noted that a desk's clock goes on as it did: the hub's doubt of its own clock goes by those that were
/// heard within the hour.
pub(super) const OFFSET_NOTED_EACH: Duration = Duration::from_secs(10 * 60);

/// What the hub found when a desk came.
pub(super) struct Found {
    pub(super) at: UnixMillis,
    /// The hub holds less than the desk was told: it was restored from an older copy.
    pub(super) lost: bool,
    /// The desk's run came back after another run: there are two copies of the desk.
    pub(super) came_back: bool,
}

impl Session {
    /// Stores that the desk came, with which software, in which run, what its clock shows, and what the hub found
    /// out. Called after the Welcome, for each note may have to wait for the writer's turn.
    pub(super) async fn note_hello(
        &mut self,
        device: &Device,
        hello: &Hello,
        found: Found,
    ) -> Result<(), SessionEnd> {
        let db = self.db.clone();
        let noting = async {
            note_desk(&db, device, hello, found.lost).await?;
            if found.lost {
                told::note_lost(&db, device, hello, found.at).await?;
            }
            if found.came_back {
                note_used_twice(&db, device.device, found.at).await?;
            }
            Ok::<(), HubError>(())
        };
        Ok(self.while_it_waits(noting).await??)
    }

    /// Answers a desk's beat with the hub's clock, and compares the desk's with it.
    pub(super) async fn beat(&mut self, beat: DeskBeat) -> Result<(), SessionEnd> {
        self.silent_at = Some(silent_at());
        let now = self.db.now();
        let offset = beat.clock.saturating_sub(now.0);
        let moved = offset.abs_diff(self.offset) > OFFSET_NOTED.unsigned_abs();
        let due = self.offset_due <= Instant::now();
        self.offset_moved = (moved || due).then_some(offset);
        self.say(&HubMessage::Beat(self.hub_beat(beat.number))).await
    }

    pub(super) fn hub_beat(&self, number: u64) -> HubBeat {
        let clock_doubtful = self.shared.clock_doubtful.load(Ordering::Relaxed);
        HubBeat { number, clock: self.db.now().0, clock_doubtful }
    }

    pub(super) fn is_to_note(&self) -> bool {
        self.have.is_some() || self.offset_moved.is_some()
    }

    /// Stores the versions and clock offset that the desk last reported, and the time of contact. Not whether the
    /// hub holds everything that the desk has written: a beat does not say how much waits there.
    pub(super) fn note_have(&mut self) -> impl Future<Output = Result<(), HubError>> + use<> {
        let (have, moved) = (self.have.take(), self.offset_moved.take());
        let device = self.desk.as_ref().map(|desk| desk.device);
        let device = device.filter(|_| have.is_some() || moved.is_some());
        self.note_at = Instant::now() + NOTED_EACH;
        if let Some(offset) = moved {
            self.offset = offset;
            self.offset_due = Instant::now() + OFFSET_NOTED_EACH;
        }
        let (now, db) = (self.db.now().0, self.db.clone());
        async move {
            let Some(device) = device else { return Ok(()) };
            let mut writing = db.write().await?;
            let contact = Contact { now, have, offset: moved };
            devices::note_contact(&mut writing, device, contact).await?;
            writing.commit().await.map(drop)
        }
    }
}

/// Stores that the desk came, with which software, in which run, and what its clock shows.
async fn note_desk(db: &Db, device: &Device, hello: &Hello, lost: bool) -> Result<(), HubError> {
    let holds_all = hello.pending.is_empty() && !lost;
    clock::note_desk_clock(db, device.device, UnixMillis(hello.clock), holds_all).await?;
    let same_software = device.software.as_ref() == Some(&hello.software);
    if same_software && (hello.run.is_none() || hello.run == device.runs[0]) {
        return Ok(());
    }
    let mut writing = db.write().await?;
    devices::note_software(&mut writing, device.device, &hello.software, hello.run).await?;
    writing.commit().await.map(drop)
}

/// When a desk that beats and says nothing from now on is given up.
pub(super) fn silent_at() -> Instant {
    Instant::now() + Duration::from_millis(DESK_SILENCE)
}
