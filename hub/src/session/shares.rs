//! What a desk is told of the venue's other desks: their entries, as batches with their seals.

use std::collections::BTreeMap;

use crdt_model::ids::Writer;
use sqlx::{Row, SqlitePool};
use sync_protocol::batch::{MAX_BATCH_ENTRIES, MAX_PACKED_BYTES, pack};
use sync_protocol::message::{Batch, Seal, WriterBytes};

use super::{Desk, SessionEnd};
use crate::db::{from_sql, to_sql};

/// Rows of the venue's log that are looked at in one go.
const LOG_ROWS: i64 = 1000;

/// Entries of the venue's log that are read in one go, in bytes: four batches or so. A session holds
/// no more, however long the log is.
const LOG_BYTES: usize = 4 * MAX_PACKED_BYTES;

/// A list's next batch, as it grows.
struct Growing {
    first: u64,
    last: u64,
    signature: Vec<u8>,
    entries: Vec<Vec<u8>>,
    bytes: usize,
}

/// The batches of the next stretch of the log, and the version after it. Rows of one list are put
/// together, each batch ending where a row ends, for there its device's seal fits.
pub(super) async fn next(pool: &SqlitePool, desk: &Desk) -> Result<(Vec<Batch>, u64), SessionEnd> {
    let mut reading = pool.begin().await?;
    let rows = sqlx::query(
        "SELECT a.version, a.day, a.writer, a.first, a.last, a.signature
         FROM accepted a WHERE a.venue = ? AND a.version > ? ORDER BY a.version LIMIT ?",
    )
    .bind(desk.venue.as_str())
    .bind(to_sql(desk.venue_version))
    .bind(LOG_ROWS)
    .fetch_all(&mut *reading)
    .await?;
    let (mut reached, mut read) = (desk.venue_version, 0);
    let mut growing: BTreeMap<(i32, WriterBytes), Growing> = BTreeMap::new();
    let mut batches = Vec::new();
    for row in &rows {
        let writer: Vec<u8> = row.get(2);
        let Ok(writer) = writer.try_into().map(WriterBytes) else { continue };
        let key = (row.get::<i32, _>(1), writer);
        let (first, last) = (from_sql(row.get(3)), from_sql(row.get(4)));
        if read >= LOG_BYTES {
            break;
        }
        reached = from_sql(row.get(0));
        if desk.announced.get(&key).is_some_and(|known| *known >= last) {
            continue;
        }
        let entries: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT bytes FROM entry WHERE venue = ? AND day = ? AND writer = ?
             AND idx >= ? AND idx < ? ORDER BY idx",
        )
        .bind(desk.venue.as_str())
        .bind(key.0)
        .bind(&writer.0[..])
        .bind(to_sql(first) - 1)
        .bind(to_sql(last))
        .fetch_all(&mut *reading)
        .await?;
        let bytes: usize = entries.iter().map(|entry| entry.len() + 1).sum();
        read += bytes;
        let full = growing.get(&key).is_some_and(|list| {
            list.bytes + bytes > MAX_PACKED_BYTES - 1024
                || list.entries.len() + entries.len() > MAX_BATCH_ENTRIES
                || list.last + 1 != first
        });
        if full && let Some(list) = growing.remove(&key) {
            batches.push((key, list));
        }
        let grown = growing.entry(key).or_insert_with(|| Growing {
            first,
            last,
            signature: Vec::new(),
            entries: Vec::new(),
            bytes: 0,
        });
        grown.last = last;
        grown.signature = row.get(5);
        grown.entries.extend(entries);
        grown.bytes += bytes;
    }
    batches.extend(growing);
    let mut shares = Vec::with_capacity(batches.len());
    for ((day, writer), list) in batches {
        let device: Writer = writer.writer();
        let public_key: Vec<u8> = sqlx::query_scalar("SELECT public_key FROM device WHERE id = ?")
            .bind(&device.device.0[..])
            .fetch_one(&mut *reading)
            .await?;
        let (entries, _) = pack(list.entries.iter().map(Vec::as_slice));
        let seal = Seal { sequence: list.last, signature: list.signature };
        shares.push(Batch { day, writer, first: list.first, entries, seal, public_key });
    }
    Ok((shares, reached))
}
