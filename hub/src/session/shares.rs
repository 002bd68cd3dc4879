//! What a desk is told of the venue's other desks: their entries, as batches with their seals.

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::ids::DeviceId;
use sync_protocol::batch::{MAX_BATCH_ENTRIES, MAX_PACKED_BYTES, pack};
use sync_protocol::message::{Batch, Seal, WriterBytes};

use super::{Desk, SessionEnd};
use crate::db::Db;
use crate::records::{devices, entries, log};

/// Rows of the venue's log that are looked at in one go.
const LOG_ROWS: usize = 1000;

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
pub(super) async fn next(db: &Db, desk: &Desk) -> Result<(Vec<Batch>, u64), SessionEnd> {
    let mut reading = db.read().await?;
    let rows = log::behind(&mut reading, &desk.venue, desk.venue_version, LOG_ROWS).await?;
    let (mut reached, mut read) = (desk.venue_version, 0);
    let mut growing: BTreeMap<(i32, WriterBytes), Growing> = BTreeMap::new();
    let mut batches = Vec::new();
    for row in rows {
        let key = (row.day, WriterBytes(row.writer));
        let (first, last) = (row.first, row.last);
        if read >= LOG_BYTES {
            break;
        }
        reached = row.version;
        if desk.announced.get(&key).is_some_and(|known| *known >= last) {
            continue;
        }
        let places = first - 1..last;
        let entries =
            entries::bytes(&mut reading, desk.venue.as_str(), row.day, &row.writer, places).await?;
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
        grown.signature = row.signature;
        grown.entries.extend(entries);
        grown.bytes += bytes;
    }
    batches.extend(growing);
    let writers = batches.iter().map(|((_, writer), _)| writer.writer().device);
    let writers: BTreeSet<DeviceId> = writers.collect();
    let keys = devices::public_keys(&mut reading, writers).await?;
    let mut shares = Vec::with_capacity(batches.len());
    for ((day, writer), list) in batches {
        let Some(public_key) = keys.get(&writer.writer().device).cloned() else { continue };
        let (entries, _) = pack(list.entries.iter().map(Vec::as_slice));
        let seal = Seal { sequence: list.last, signature: list.signature };
        shares.push(Batch { day, writer, first: list.first, entries, seal, public_key });
    }
    Ok((shares, reached))
}
