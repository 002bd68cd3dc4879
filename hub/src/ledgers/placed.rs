//! Entries as the database keeps them, in their places, with their receipts.

use crdt_model::account::Placed;
use crdt_model::entry::{EntryRef, Located, Subject};
use crdt_model::ids::{PassId, Writer};
use crdt_model::receipt::Receipt;
use crdt_model::time::{UnixMillis, date_of_day_number};
use sqlx::{Row, SqliteConnection};

use crate::db::{HubError, from_sql};

/// The columns of `entry` that [`placed`] reads, of the rows that fulfil a condition.
macro_rules! select_entries {
    ($condition:literal) => {
        concat!(
            "SELECT venue, day, writer, idx, bytes, pass, received, not_before FROM entry WHERE ",
            $condition
        )
    };
}
pub(crate) use select_entries;

/// All entries of a pass, from every venue.
///
/// # Errors
/// [`HubError`].
pub async fn entries_of_pass(
    connection: &mut SqliteConnection,
    pass: i64,
) -> Result<Vec<Placed>, HubError> {
    let rows = sqlx::query(select_entries!("pass = ?")).bind(pass).fetch_all(connection).await?;
    rows.iter().map(placed).collect()
}

/// A row of `entry`, as `select_entries!` asks for it, as an entry in its place. An entry that
/// was written under a chip number is one of the pass that the hub knows it to be.
pub(crate) fn placed(row: &sqlx::sqlite::SqliteRow) -> Result<Placed, HubError> {
    let wrong = |what: &str| HubError::Record(format!("an entry's {what} cannot be read"));
    let day = date_of_day_number(row.get(1)).ok_or_else(|| wrong("day"))?;
    let writer = Writer::from_bytes(row.get(2)).map_err(|_| wrong("writer"))?;
    let venue = row.get::<&str, _>(0).parse().map_err(|_| wrong("venue"))?;
    let Located { mut entry, first_place } = Located::decode(row.get(4), day, &writer)
        .map_err(|error| HubError::Record(error.to_string()))?;
    if let Some(pass) = row.get::<Option<i64>, _>(5) {
        entry.subject = Subject::Pass(PassId(from_sql(pass)));
    }
    let place = EntryRef { day, writer, index: from_sql(row.get(3)) };
    let receipt = row.get::<Option<i64>, _>(6).map(|at| Receipt {
        at: UnixMillis(at),
        not_before: row.get::<Option<i64>, _>(7).map(UnixMillis),
    });
    Ok(Placed { venue, place, first_place, entry, included: false, receipt })
}
