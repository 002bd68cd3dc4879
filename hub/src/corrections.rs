//! Corrections: what a desk may no longer take back, the hub can, by an entry of its own. It is an
//! entry like any other, in the hub's own list of the venue's ledger and under the hub's seal; the
//! venue's desks are sent it like each other's.

use std::sync::LazyLock;

use crdt_model::entry::{Entry, EntryRef, Fact, Subject};
use crdt_model::ids::{VenueId, Writer};
use crdt_model::ledger::{Extension, LedgerId};
use crdt_model::time::day_number;
use rand::RngExt;
use sqlx::{Row, SqliteConnection, SqlitePool};
use sync_protocol::batch::pack;
use sync_protocol::message::Batch;
use sync_protocol::seal::DeviceKey;
use thiserror::Error;

use crate::clock;
use crate::db::{HubError, Writing, to_sql, wall_clock};
use crate::ledgers::{Came, calendar, fold_passes, keep, placed, position};

/// The hub's incarnation: random for each run, as a desk's is, so that a hub restored from a backup
/// never goes on with a list that desks have otherwise.
static EPOCH: LazyLock<u32> = LazyLock::new(|| rand::rng().random());

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

impl From<sqlx::Error> for CorrectionError {
    fn from(error: sqlx::Error) -> Self {
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
    pool: &SqlitePool,
    key: &[u8],
    venue: &VenueId,
    target: EntryRef,
) -> Result<EntryRef, CorrectionError> {
    let key = DeviceKey::from_pkcs8(key).map_err(|error| cannot(&error))?;
    let mut turn = Writing::begin(pool).await?;
    let writing = &mut turn.transaction;
    let subject = subject_to_take_back(writing, venue, target).await?;
    let now = wall_clock();
    let day = calendar()?.day(now);
    let ledger = LedgerId { venue: venue.clone(), day };
    let writer = Writer { device: key.device(), epoch: *EPOCH };
    sqlx::query(
        "INSERT OR IGNORE INTO device (id, venue, name, public_key, enrolled_at, is_hub)
         VALUES (?, ?, 'hub', ?, ?, 1)",
    )
    .bind(&key.device().0[..])
    .bind(venue.as_str())
    .bind(key.public_key())
    .bind(now.0)
    .execute(&mut **writing)
    .await?;
    let entry = Entry { at: now, subject, fact: Fact::Void { target } };
    let bytes = entry.encode(day, &writer);
    let held = position(writing, venue, day_number(day), &writer).await?;
    let first = held.sequence + 1;
    let extension = Extension::behind(&ledger, writer, held, first, std::iter::once(&bytes[..]))
        .map_err(|error| cannot(&error))?;
    let batch = Batch {
        day: day_number(day),
        writer: writer.into(),
        first,
        entries: pack(std::iter::once(&bytes[..])).0,
        seal: key.seal(&ledger, &writer, &extension.head()),
        public_key: key.public_key().to_vec(),
    };
    let time = clock::receipt_time(writing).await?;
    let came = Came { entries: vec![bytes], time, all_held_at: None };
    let touched = keep(writing, &ledger, &batch, &extension, came).await?;
    fold_passes(writing, &touched).await?;
    turn.transaction.commit().await?;
    tracing::info!(%venue, %target, "the hub took an entry back");
    Ok(EntryRef { day, writer, index: first - 1 })
}

async fn subject_to_take_back(
    connection: &mut SqliteConnection,
    venue: &VenueId,
    target: EntryRef,
) -> Result<Subject, CorrectionError> {
    let row = sqlx::query(
        "SELECT venue, day, writer, idx, bytes, pass FROM entry
         WHERE venue = ? AND day = ? AND writer = ? AND idx = ?",
    )
    .bind(venue.as_str())
    .bind(day_number(target.day))
    .bind(&target.writer.to_bytes()[..])
    .bind(to_sql(target.index))
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else {
        return Err(CorrectionError::NoSuchEntry { venue: venue.clone(), entry: target });
    };
    // The subject as its desk wrote it, though the hub may know meanwhile whose chip it was: at the
    // desks a void is of the same subject as its target.
    let found =
        Entry::decode(row.get(4), target.day, &target.writer).map_err(|error| cannot(&error))?;
    let nothing = |why| Err(CorrectionError::Nothing { entry: target, why });
    if matches!(found.fact, Fact::Void { .. } | Fact::Newer { .. }) {
        return nothing("it is a void itself, or of a newer kind");
    }
    // Voids of an entry are about the same pass or card.
    let mut voids = sqlx::QueryBuilder::<sqlx::Sqlite>::new(
        "SELECT venue, day, writer, idx, bytes, pass, received, not_before FROM entry WHERE venue = ",
    );
    voids.push_bind(venue.to_string());
    match found.subject {
        Subject::Pass(pass) => voids.push(" AND pass = ").push_bind(to_sql(pass.0)),
        Subject::Chip(chip) => voids.push(" AND chip = ").push_bind(chip.to_string()),
        Subject::External(_) => voids.push(" AND pass IS NULL AND chip IS NULL"),
    };
    for row in voids.build().fetch_all(connection).await? {
        if placed(&row)?.entry.fact == (Fact::Void { target }) {
            return nothing("it was taken back before");
        }
    }
    Ok(found.subject)
}
