//! Batches from the rows of a venue's log.

use std::collections::BTreeMap;

use super::needs::{Known, LogRow};
use crate::batch::{MAX_BATCH_ENTRIES, MAX_PACKED_BYTES, pack_all};
use crate::message::{Batch, Seal, WriterBytes};

/// A batch as it grows.
struct Growing {
    row: LogRow,
    bytes: usize,
}

/// The batches of a stretch of the log. Rows of one list are put together, each batch ending where a row ends, for there
/// its device's seal holds. The batches of one list stand in their order.
pub(super) fn batches(rows: Vec<LogRow>, known: &Known) -> Vec<Batch> {
    let mut growing: BTreeMap<(i32, WriterBytes), Growing> = BTreeMap::new();
    let mut batches = Vec::new();
    for row in rows {
        let key = (row.day, row.writer);
        if row.entries.is_empty() || known.get(&key).is_some_and(|known| *known >= row.last()) {
            continue;
        }
        // Each entry stands behind one byte of length.
        let bytes: usize = row.entries.iter().map(|entry| entry.len() + 1).sum();
        if let Some(list) = growing.get_mut(&key)
            && list.bytes + bytes <= MAX_PACKED_BYTES - 1024
            && list.row.entries.len() + row.entries.len() <= MAX_BATCH_ENTRIES
            && list.row.last() + 1 == row.first
        {
            list.row.entries.extend(row.entries);
            list.row.signature = row.signature;
            list.bytes += bytes;
        } else if let Some(full) = growing.insert(key, Growing { row, bytes }) {
            batches.push(batch(full.row));
        }
    }
    batches.extend(growing.into_values().map(|list| batch(list.row)));
    batches
}

fn batch(row: LogRow) -> Batch {
    let sequence = row.last();
    Batch {
        day: row.day,
        writer: row.writer,
        first: row.first,
        entries: pack_all(row.entries.iter().map(Vec::as_slice)),
        seal: Seal { sequence, signature: row.signature },
        public_key: row.public_key,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::unpack;

    fn row(writer: u8, first: u64, count: usize, bytes: usize) -> LogRow {
        let entries = vec![vec![writer; bytes]; count];
        let last = first + count as u64 - 1;
        LogRow {
            day: 1,
            writer: WriterBytes([writer; 20]),
            first,
            entries,
            signature: last.to_be_bytes().to_vec(),
            public_key: vec![writer; 32],
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Nothing is left out, nothing comes twice, and each batch ends where a seal holds.
        #[test]
        fn rows_become_batches_that_hold_them_all_in_order(
            rows in prop::collection::vec((0u8..3, 1usize..1500, 1usize..60), 0..12),
            known in 0u64..2000,
        ) {
            let mut lengths = [0u64; 3];
            let rows: Vec<LogRow> = rows
                .into_iter()
                .map(|(writer, count, bytes)| {
                    let first = lengths[usize::from(writer)] + 1;
                    lengths[usize::from(writer)] += count as u64;
                    row(writer, first, count, bytes)
                })
                .collect();
            let known = Known::from([((1, WriterBytes([0; 20])), known)]);
            let expected: Vec<LogRow> = rows
                .iter()
                .filter(|row| known.get(&(row.day, row.writer)).is_none_or(|it| *it < row.last()))
                .cloned()
                .collect();
            let ends: Vec<(WriterBytes, u64)> = rows.iter().map(|row| (row.writer, row.last())).collect();
            let made = batches(rows, &known);
            for writer in 0..3 {
                let of = |it: WriterBytes| it == WriterBytes([writer; 20]);
                let entries: Vec<Vec<u8>> =
                    expected.iter().filter(|row| of(row.writer)).flat_map(|row| row.entries.clone()).collect();
                let mut next = expected.iter().find(|row| of(row.writer)).map(|row| row.first);
                let mut told = Vec::new();
                for batch in made.iter().filter(|batch| of(batch.writer)) {
                    let unpacked = unpack(&batch.entries).unwrap();
                    prop_assert_eq!(Some(batch.first), next);
                    next = Some(batch.first + unpacked.len() as u64);
                    prop_assert_eq!(batch.seal.sequence, batch.first + unpacked.len() as u64 - 1);
                    prop_assert_eq!(&batch.seal.signature[..], &batch.seal.sequence.to_be_bytes()[..]);
                    prop_assert!(ends.contains(&(batch.writer, batch.seal.sequence)));
                    told.extend(unpacked);
                }
                prop_assert_eq!(told, entries);
            }
        }
    }
}
