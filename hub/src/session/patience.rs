//! What a session says while it waits for the writer's turn. Another process may write for minutes, as an import
//! does, and the session reads nothing meanwhile: without a word from the hub its desk would give the line up.

use std::time::Duration;

use sync_protocol::heartbeat::BEAT_EVERY;
use sync_protocol::message::HubMessage;
use tokio::time::sleep;

use super::{Session, SessionEnd};

/// A number that no desk gives to a beat, for a [`HubMessage::Beat`] that answers none: the desk takes it as a sign
/// of life and measures nothing by it.
const ANSWERS_NOTHING: u64 = u64::MAX;

impl Session {
    /// Waits for `work`, and tells the desk from time to time that the hub lives. The work goes on while something is
    /// said: it may hold the writer's turn, for which every other session waits.
    pub(super) async fn while_it_waits<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, SessionEnd> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = sleep(Duration::from_millis(BEAT_EVERY)) => {}
            }
            if !self.knows_beats() {
                continue;
            }
            let beat = HubMessage::Beat(self.hub_beat(ANSWERS_NOTHING));
            let saying = self.say(&beat);
            tokio::pin!(saying);
            tokio::select! {
                biased;
                said = &mut saying => said?,
                done = &mut work => {
                    // Half a frame must not be left on the wire.
                    saying.await?;
                    return Ok(done);
                }
            }
        }
    }

    /// Whether the desk knows [`HubMessage::Beat`]: a desk of an earlier release would end the session. Desks that
    /// tell their run know it.
    fn knows_beats(&self) -> bool {
        self.place.is_some() || self.silent_at.is_some()
    }
}
