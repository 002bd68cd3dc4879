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
         SELECT l.id, l.venue, l.day, l.writer, l.sequence, l.head
         FROM asked JOIN list l
           ON l.venue = asked.venue AND l.day = asked.day AND l.writer = asked.writer
         ORDER BY l.venue, l.day, l.writer";
    sql(select).rows(keys.into_iter().map(ListKey::values).collect())
}

/// The names of these lists, by their numbers.
pub(crate) async fn named(
    reading: &mut Reading,
    ids: impl IntoIterator<Item = u64>,
) -> Result<HashMap<u64, ListKey>, HubError> {
    let select = sql("SELECT id, venue, day, writer FROM list WHERE id IN (:list)").list(ids);
    let rows = reading.all(select).await?;
    let named = rows.iter().map(|row| {
        let key =
            ListKey { venue: row.get("venue")?, day: row.get("day")?, writer: row.get("writer")? };
        Ok((row.get("id")?, key))
    });
    named.collect()
}

/// How far these lists have come here. One that is not there has not begun.
pub(crate) async fn positions<'a>(
    reading: &mut Reading,
    keys: impl IntoIterator<Item = &'a ListKey>,
) -> Result<HashMap<ListKey, Position>, HubError> {
    reading.all(select(keys)).await?.iter().map(found).collect()
}

/// A list that is locked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Locked {
    /// The number that the list has in this database, which its entries stand under.
    pub(crate) id: u64,
    pub(crate) position: Position,
}

/// How far these lists have come, each made where it has not begun; and nobody else extends them until the transaction
/// ends. `keys` are in their order.
pub(crate) async fn lock(
    writing: &mut Writing,
    keys: &[ListKey],
) -> Result<HashMap<ListKey, Locked>, HubError> {
    let locked = |row: &Row| {
        let (key, position) = found(row)?;
        Ok::<_, HubError>((key, Locked { id: row.get("id")?, position }))
    };
    let rows = writing.all(select(keys).locking()).await?;
    let there = rows.iter().map(locked).collect::<Result<HashMap<_, _>, _>>()?;
    let lacking: Vec<&ListKey> = keys.iter().filter(|key| !there.contains_key(key)).collect();
    if lacking.is_empty() {
        return Ok(there);
    }
    // A row that can be locked: who comes first makes it, and the others wait. Again in the order of the keys, for
    // whoever comes later locks them so: what is locked already is locked once more.
    let first = writing.ids("list", lacking.len(), 1).await?;
    let make = "WITH given (id, venue, day, writer, device, head) AS (:rows)
         INSERT INTO list (id, venue, day, writer, device, sequence, head)
         SELECT id, venue, day, writer, device, 0, head FROM given WHERE TRUE
         ORDER BY venue, day, writer
         ON CONFLICT (venue, day, writer) DO NOTHING";
    let head = Position::default().head;
    let rows = lacking.iter().zip(first..).map(|(key, id)| {
        let device = Writer::from_bytes(&key.writer).map(|it| it.device.0);
        let mut values = vec![id.into()];
        values.extend(key.values());
        values.extend([device.unwrap_or_default().into(), head.into()]);
        values
    });
    writing.execute(sql(make).rows(rows.collect())).await?;
    writing.all(select(keys).locking()).await?.iter().map(locked).collect()
}

/// Writes how far lists have come that were locked.
pub(crate) async fn extend(
    writing: &mut Writing,
    lists: &[(u64, Position)],
) -> Result<(), HubError> {
    let extend = "WITH given (id, sequence, head) AS (:rows)
         UPDATE list SET sequence = given.sequence, head = given.head
         FROM given WHERE list.id = given.id";
    let rows = lists
        .iter()
        .map(|(id, position)| vec![(*id).into(), position.sequence.into(), position.head.into()]);
    writing.execute(sql(extend).rows(rows.collect())).await?;
    Ok(())
}
