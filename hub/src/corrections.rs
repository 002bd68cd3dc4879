//! Corrections: what a desk may no longer take back, the hub can, by an entry of its own. It is an
//! entry like any other, in the hub's own list of the venue's ledger and under the hub's seal; the
//! venue's desks are sent it like each other's.

use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{VenueId, Writer};
use crdt_model::ledger::{Extension, LedgerId};
use crdt_model::time::day_number;
use sync_protocol::batch::pack;
use sync_protocol::message::Batch;
use sync_protocol::seal::DeviceKey;
use thiserror::Error;

use crate::clock;
use crate::db::{DatabaseError, Db, HubError, Reading};
use crate::ledgers::{Came, calendar, keep};
use crate::records::devices;
use crate::records::entries;
use crate::records::lists::{self, ListKey};

/// Why nothing is corrected.
#[derive(Debug, Error)]
pub enum CorrectionError {
    /// There is no such entry.
    #[error("there is no entry {entry} at {venue}. `show ledger` names them")]
    NoSuchEntry {
        /// Where.
        venue: VenueId,
        /// Which.
        entry: EntryRef,
    },
    /// It was taken back already, or is itself a void.
    #[error("entry {entry} cannot be taken back: {why}")]
    Nothing {
        /// Which.
        entry: EntryRef,
        /// Why.
        why: &'static str,
    },
    /// The hub failed.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl From<DatabaseError> for CorrectionError {
    fn from(error: DatabaseError) -> Self {
        Self::Hub(error.into())
    }
}

fn cannot(error: &impl std::fmt::Display) -> HubError {
    HubError::Record(format!("the correction cannot be written: {error}"))
}

/// Takes back an entry of a venue, however old it is. `key` is the hub's key in PKCS#8.
///
/// # Errors
/// [`CorrectionError`]; nothing is then written.
pub async fn void(
    db: &Db,
    key: &[u8],
    venue: &VenueId,
    target: EntryRef,
) -> Result<EntryRef, CorrectionError> {
    let key = DeviceKey::from_pkcs8(key).map_err(|error| cannot(&error))?;
    let mut writing = db.write().await?;
    let now = writing.now();
    let day = calendar()?.day(now);
    let ledger = LedgerId { venue: venue.clone(), day };
    let writer = Writer { device: key.device(), epoch: db.epoch() };
    let list =
        ListKey { venue: venue.to_string(), day: day_number(day), writer: writer.to_bytes() };
    let public_key = key.public_key();
    devices::add(&mut writing, key.device(), venue.as_str(), "hub", public_key, true).await?;
    // Whoever takes something back at this venue does so one after the other, for all write the hub's list.
    let mut locked = lists::lock(&mut writing, std::slice::from_ref(&list)).await?;
    let of_hub = "the hub's own list could not be locked";
    let list = locked.remove(&list).ok_or_else(|| HubError::Record(of_hub.to_owned()))?;
    let held = list.position;
    let subject = subject_to_take_back(&mut writing, venue, target).await?;
    let entry = Entry { at: now, subject, fact: Fact::Void { target } };
    let bytes = entry.encode(day, &writer);
    let first = held.sequence + 1;
    let extension = Extension::behind(&ledger, writer, held, first, std::iter::once(&bytes[..]))
        .map_err(|error| cannot(&error))?;
    let batch = Batch {
        day: day_number(day),
        writer: writer.into(),
        first,
        entries: pack(std::iter::once(&bytes[..])).0,
        seal: key.seal(&ledger, &writer, &extension.head()),
        public_key: public_key.to_vec(),
    };
    let time = clock::receipt_time(&mut writing).await?;
    let came = Came {
        ledger: &ledger,
        list: list.id,
        batch: &batch,
        extension: &extension,
        entries: &[bytes],
        time,
        all_held_at: None,
    };
    keep(&mut writing, &[came]).await?;
    writing.commit().await?;
    tracing::info!(%venue, %target, "the hub took an entry back");
    Ok(EntryRef { day, writer, index: first - 1 })
}

async fn subject_to_take_back(
    reading: &mut Reading,
    venue: &VenueId,
    target: EntryRef,
) -> Result<Subject, CorrectionError> {
    let Some(bytes) = entries::bytes_at(reading, venue, &target).await? else {
        return Err(CorrectionError::NoSuchEntry { venue: venue.clone(), entry: target });
    };
    // The subject as its desk wrote it, though the hub may know meanwhile whose chip it was: at the
    // desks a void is of the same subject as its target.
    let found =
        Entry::decode(&bytes, target.day, &target.writer).map_err(|error| cannot(&error))?;
    let nothing = |why| Err(CorrectionError::Nothing { entry: target, why });
    if matches!(found.fact, Fact::Void { .. } | Fact::Newer { .. }) {
        return nothing("it is a void itself, or of a newer kind");
    }
    // Voids of an entry are about the same pass or card.
    for it in entries::about(reading, venue, &found.subject).await? {
        if it.placed.entry.fact == (Fact::Void { target }) {
            return nothing("it was taken back before");
        }
    }
    Ok(found.subject)
}
