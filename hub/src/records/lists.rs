//! The lists of ledgers: how far each has come.

use std::collections::HashMap;

use crdt_model::ids::Writer;
use crdt_model::ledger::Position;

use crate::db::{HubError, Reading, Row, Statement, Value, Writing, sql};

/// A list's name: venue, day, writer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ListKey {
    pub(crate) venue: String,
    pub(crate) day: i32,
    pub(crate) writer: [u8; 20],
}

impl ListKey {
    fn values(&self) -> Vec<Value> {
        vec![(&self.venue).into(), self.day.into(), self.writer.into()]
    }
}

fn found(row: &Row) -> Result<(ListKey, Position), HubError> {
    let key =
        ListKey { venue: row.get("venue")?, day: row.get("day")?, writer: row.get("writer")? };
    Ok((key, Position { sequence: row.get("sequence")?, head: row.get("head")? }))
}

fn select<'a>(keys: impl IntoIterator<Item = &'a ListKey>) -> Statement {
    let select = "WITH asked (venue, day, writer) AS (:rows)
         SELECT l.venue, l.day, l.writer, l.sequence, l.head
         FROM asked JOIN list l
           ON l.venue = asked.venue AND l.day = asked.day AND l.writer = asked.writer
         ORDER BY l.venue, l.day, l.writer";
    sql(select).rows(keys.into_iter().map(ListKey::values).collect())
}

/// How far these lists have come here. One that is not there has not begun.
pub(crate) async fn positions<'a>(
    reading: &mut Reading,
    keys: impl IntoIterator<Item = &'a ListKey>,
) -> Result<HashMap<ListKey, Position>, HubError> {
    reading.all(select(keys)).await?.iter().map(found).collect()
}

/// The same, and nobody else extends them until the transaction ends. `keys` are in their order.
pub(crate) async fn lock(
    writing: &mut Writing,
    keys: &[ListKey],
) -> Result<HashMap<ListKey, Position>, HubError> {
    // A row that can be locked: who comes first makes it, and the others wait.
    let make = "WITH given (venue, day, writer, device, head) AS (:rows)
         INSERT INTO list (venue, day, writer, device, sequence, head)
         SELECT venue, day, writer, device, 0, head FROM given
         WHERE NOT EXISTS (SELECT 1 FROM list l WHERE l.venue = given.venue
             AND l.day = given.day AND l.writer = given.writer)
         ORDER BY venue, day, writer
         ON CONFLICT (venue, day, writer) DO NOTHING";
    let head = Position::default().head;
    let rows = keys.iter().map(|key| {
        let device = Writer::from_bytes(&key.writer).map(|it| it.device.0);
        let mut values = key.values();
        values.extend([device.unwrap_or_default().into(), head.into()]);
        values
    });
    writing.execute(sql(make).rows(rows.collect())).await?;
    writing.all(select(keys).locking()).await?.iter().map(found).collect()
}

/// Writes how far lists have come that were locked.
pub(crate) async fn extend(
    writing: &mut Writing,
    lists: &[(ListKey, Position)],
) -> Result<(), HubError> {
    let extend = "WITH given (venue, day, writer, sequence, head) AS (:rows)
         UPDATE list SET sequence = given.sequence, head = given.head
         FROM given
         WHERE list.venue = given.venue AND list.day = given.day AND list.writer = given.writer";
    let rows = lists.iter().map(|(key, position)| {
        let mut values = key.values();
        values.extend([position.sequence.into(), position.head.into()]);
        values
    });
    writing.execute(sql(extend).rows(rows.collect())).await?;
    Ok(())
}
