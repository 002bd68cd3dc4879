//! What a session tells its desk, and the operators, beside the exchange itself: that nothing can be stored, that
//! the desk was copied, that this hub was restored.

use crdt_model::time::UnixMillis;
use sync_protocol::message::{GoodbyeKind, Hello};

use super::{Session, SessionEnd};
use crate::copies::Place;
use crate::db::{Db, HubError};
use crate::records::devices;
use crate::registry::Device;
use crate::storage::StorageTrouble;

/// Between two notes of one desk that this hub was restored, in milliseconds: an hour.
const LOST_NOTED_EACH: u64 = 60 * 60 * 1000;

impl Session {
    /// Says goodbye to a desk whose entries could not be stored. Always an error, for the session is over.
    pub(super) async fn goodbye_cannot_store(
        &mut self,
        trouble: StorageTrouble,
    ) -> Result<(), SessionEnd> {
        let sentence = format!(
            "the hub cannot store anything now: {trouble}. Nothing is lost: what is recorded waits on this disk, and is sent when the hub can store again"
        );
        match self.goodbye(GoodbyeKind::CannotStore, &sentence).await {
            Err(SessionEnd::Goodbye(_)) => Err(SessionEnd::CannotStore(trouble)),
            ended => ended,
        }
    }

    /// The desk tells its run: it takes its place among the lines. Gives whether its run came back after another one,
    /// which only one of two copies of a desk does: that is to be noted, and the desk is told.
    pub(super) fn take_place(&mut self, device: &Device, run: Option<u32>) -> bool {
        let Some(run) = run else { return false };
        // A daemon never goes on with an old run. One that comes back after another began lived beside it.
        let came_back = device.runs[0] != Some(run) && device.runs[1] == Some(run);
        if came_back {
            tracing::error!(
                device = %device.device, desk = device.name, venue = %device.venue, from = %self.connection.remote_address(),
                "a desk is used twice: two computers record under its name in turn. Nothing is lost; enrol one of them anew, with a folder of its own"
            );
        }
        let known = came_back || device.used_twice_since.is_some();
        let heard = Box::new(self.connection.clone());
        self.place = Some(self.shared.lines.enter(device.device, run, known, heard));
        came_back
    }
}

/// This hub was restored from an older copy: how much the desk sends again is noted for the operators. It is the desk
/// that says how much the hub held, so one desk is noted at most once in [`LOST_NOTED_EACH`], and what is shown is
/// bounded by what the hub holds of it ([`Device::sent_again`]).
pub(super) async fn note_lost(
    db: &Db,
    device: &Device,
    hello: &Hello,
    now: UnixMillis,
) -> Result<(), HubError> {
    let lately = |at: i64| now.0.abs_diff(at) < LOST_NOTED_EACH;
    if device.sent_again_at.is_some_and(lately) {
        return Ok(());
    }
    let lost = hello.acknowledged.saturating_sub(device.entries);
    tracing::warn!(
        device = %device.device, desk = device.name, venue = %device.venue, entries = lost,
        "this hub was restored from an older copy, says a desk: it sends again what it had sent before"
    );
    let mut writing = db.write().await?;
    devices::note_sent_again(&mut writing, device.device, now.0, lost).await?;
    writing.commit().await?;
    Ok(())
}

/// Resolves when the used-twice flag changes.
pub(super) async fn used_twice(place: &mut Option<Place>) -> bool {
    let Some(place) = place else { return std::future::pending().await };
    match place.used_twice.changed().await {
        Ok(()) => *place.used_twice.borrow_and_update(),
        Err(_) => std::future::pending().await,
    }
}
