//! Batches that a desk says right behind each other: taken together, and answered together.

use super::{Asked, HubSession, Phase};
use crate::batch::MAX_PACKED_BYTES;
use crate::feed::{Feed, Need, Taken};
use crate::frame::frame;
use crate::message::{Ack, Batch, DeskMessage, HubMessage, Quarantined, Resend, WriterBytes};

/// Batches that are taken together at the most, where they came behind each other: a desk that taps faster than commits
/// reach the disk has as many taps share one.
const MOST_BATCHES: usize = 64;

/// Packed entries behind which no further batch is taken along: those of one full batch. The other desks wait for a
/// commit no longer than they may anyhow.
const BATCHES_BYTES: usize = MAX_PACKED_BYTES;

/// Where a batch stands: its day, its list, and where it begins.
pub(super) type Place = (i32, WriterBytes, u64);

impl HubSession {
    /// This batch, and those that came right behind it.
    pub(super) fn with_its_followers(&mut self, batch: Batch) -> Vec<Batch> {
        let mut bytes = batch.entries.len();
        let mut batches = vec![batch];
        while batches.len() < MOST_BATCHES && bytes < BATCHES_BYTES {
            match self.next_message() {
                Ok(Some(DeskMessage::Batch(batch))) => {
                    bytes += batch.entries.len();
                    batches.push(batch);
                }
                Ok(None) => break,
                Ok(Some(message)) => {
                    self.behind = Some(Ok(message));
                    break;
                }
                Err(error) => {
                    self.behind = Some(Err(error));
                    break;
                }
            }
        }
        batches
    }

    /// The need of these batches.
    pub(super) fn need_of_batches(&mut self, batches: Vec<Batch>) -> (Need, Asked) {
        if let Phase::Open(feed) = &mut self.phase {
            for batch in &batches {
                feed.took(batch);
            }
        }
        let names = batches.iter().map(|batch| (batch.day, batch.writer, batch.first)).collect();
        (Need::Take(batches), Asked::Take(names))
    }

    /// Says these in one piece, so that they leave in as few packets as they fit.
    pub(super) fn say_together(&mut self, messages: &[HubMessage]) {
        let frames: Vec<u8> =
            messages.iter().flat_map(|message| frame(&message.to_bytes())).collect();
        self.out.push_back(frames);
    }
}

/// What is said of each batch.
pub(super) fn answers(feed: &mut Feed, batches: Vec<Place>, taken: Vec<Taken>) -> Vec<HubMessage> {
    let answer = |((day, writer, first), taken): (Place, Taken)| match taken {
        Taken::Held { sequence, number } => {
            if let Some(number) = number {
                feed.venue_moved(number);
            }
            HubMessage::Ack(Ack { day, writer, sequence, number })
        }
        Taken::Lacking { held } => HubMessage::Resend(Resend { day, writer, held }),
        Taken::Quarantined { reason } => {
            HubMessage::Quarantined(Quarantined { day, writer, first, reason })
        }
    };
    batches.into_iter().zip(taken).map(answer).collect()
}
