//! Entries, as they came and as they are asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crdt_model::account::{Outcome, Placed};
use crdt_model::catalogue::Folded;
use crdt_model::entry::{EntryRef, Located, Subject};
use crdt_model::ids::{PassId, VenueId, Writer};
use crdt_model::receipt::Receipt;
use crdt_model::time::{UnixMillis, date_of_day_number, day_number};
use jiff::civil::Date;

use super::lists;
use crate::db::{Facts, HubError, Reading, Row, Value, Writing, outcome, sql};

/// An entry that is new, in its place.
pub(crate) struct New {
    pub(crate) placed: Placed,
    /// The number of its list.
    pub(crate) list: u64,
    pub(crate) bytes: Vec<u8>,
    /// The pass that it is about, where the hub knows it.
    pub(crate) pass: Option<u64>,
    /// The chip that it names.
    pub(crate) chip: Option<String>,
    /// What the fold made of it.
    pub(crate) outcome: Option<Outcome>,
}

/// Adds entries. One that is there stays as it is.
pub(crate) async fn add(writing: &mut Writing, new: Vec<New>) -> Result<(), HubError> {
    let rows = new.into_iter().map(|it| {
        let receipt = it.placed.receipt;
        // The lower bound is kept where it disproves the entry's time; elsewhere it says nothing.
        let not_before = receipt
            .filter(|receipt| {
                it.placed.entry.at < receipt.at && receipt.disproves(it.placed.entry.at)
            })
            .and_then(|receipt| receipt.not_before);
        let mut row: Vec<Value> = Vec::with_capacity(13);
        row.extend([
            it.list.into(),
            it.placed.place.index.into(),
            it.pass.into(),
            it.chip.into(),
            it.bytes.into(),
            receipt.map(|receipt| receipt.at.0).into(),
            not_before.map(|at| at.0).into(),
        ]);
        row.extend(Facts::of(&it.placed.entry).values());
        row.push(it.outcome.map(outcome).into());
        row
    });
    let add = "WITH given (list, idx, pass, chip, bytes, received, not_before, kind, activity,
             reward, points, at, outcome) AS (:rows)
         INSERT INTO entry (list, idx, pass, chip, bytes, received, not_before, kind, activity,
             reward, points, at, outcome)
         SELECT * FROM given WHERE TRUE ON CONFLICT (list, idx) DO NOTHING";
    writing.execute(sql(add).rows(rows.collect())).await?;
    Ok(())
}

/// An entry as it is kept.
pub(crate) struct Kept {
    pub(crate) placed: Placed,
    /// The number of its list.
    pub(crate) list: u64,
    /// What became of it when its pass was last folded, in a word.
    pub(crate) outcome: Option<String>,
}

/// The columns that [`kept`] reads, of the rows that fulfil a condition.
macro_rules! select_entries {
    ($condition:literal) => {
        concat!(
            "SELECT e.list, e.idx, e.bytes, e.pass, e.received, e.not_before, e.outcome
             FROM list l JOIN entry e ON e.list = l.id WHERE ",
            $condition
        )
    };
}

/// A list as the place of its entries.
struct OfList {
    venue: VenueId,
    day: Date,
    writer: Writer,
}

/// Rows as entries in their places. An entry that was written under a chip number is one of the pass that the hub knows
/// it to be. The lists are asked for once: hundreds of entries stand in one.
async fn kept(reading: &mut Reading, rows: &[Row]) -> Result<Vec<Kept>, HubError> {
    let wrong = |what: &str| HubError::Record(format!("an entry's {what} cannot be read"));
    let of: BTreeSet<u64> = rows.iter().map(|row| row.get("list")).collect::<Result<_, _>>()?;
    let mut places = HashMap::with_capacity(of.len());
    for (id, key) in lists::named(reading, of).await? {
        let day = date_of_day_number(key.day).ok_or_else(|| wrong("day"))?;
        let writer = Writer::from_bytes(&key.writer).map_err(|_| wrong("writer"))?;
        let venue = key.venue.parse().map_err(|_| wrong("venue"))?;
        places.insert(id, OfList { venue, day, writer });
    }
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let list: u64 = row.get("list")?;
        let OfList { venue, day, writer } = places.get(&list).ok_or_else(|| wrong("list"))?;
        let Located { mut entry, first_place } = Located::decode(row.bytes("bytes")?, *day, writer)
            .map_err(|error| HubError::Record(error.to_string()))?;
        if let Some(pass) = row.get::<Option<u64>>("pass")? {
            entry.subject = Subject::Pass(PassId(pass));
        }
        let place = EntryRef { day: *day, writer: *writer, index: row.get("idx")? };
        let received = row.get::<Option<i64>>("received")?;
        let receipt = match received {
            Some(at) => {
                let not_before = row.get::<Option<i64>>("not_before")?.map(UnixMillis);
                Some(Receipt { at: UnixMillis(at), not_before })
            }
            None => None,
        };
        let venue = venue.clone();
        let placed = Placed { venue, place, first_place, entry, included: false, receipt };
        kept.push(Kept { placed, list, outcome: row.get("outcome")? });
    }
    Ok(kept)
}

/// All entries of these passes, from every venue.
pub(crate) async fn of_passes(
    reading: &mut Reading,
    passes: impl IntoIterator<Item = u64>,
) -> Result<BTreeMap<u64, Vec<Kept>>, HubError> {
    let select = "SELECT list, idx, bytes, pass, received, not_before, outcome FROM entry
         WHERE pass IN (:list)";
    let rows = reading.all(sql(select).list(passes)).await?;
    let mut found: BTreeMap<u64, Vec<Kept>> = BTreeMap::new();
    for it in kept(reading, &rows).await? {
        if let Subject::Pass(pass) = it.placed.entry.subject {
            found.entry(pass.0).or_default().push(it);
        }
    }
    Ok(found)
}

/// A venue's day.
pub(crate) async fn of_day(
    reading: &mut Reading,
    venue: &VenueId,
    day: i32,
) -> Result<Vec<Kept>, HubError> {
    let select = sql(select_entries!("l.venue = $1 AND l.day = $2"));
    let rows = reading.all(select.bind(venue.as_str()).bind(day)).await?;
    kept(reading, &rows).await
}

/// The entry in this place, as its desk wrote it.
pub(crate) async fn bytes_at(
    reading: &mut Reading,
    venue: &VenueId,
    place: &EntryRef,
) -> Result<Option<Vec<u8>>, HubError> {
    let (day, writer) = (day_number(place.day), place.writer.to_bytes());
    let found = bytes(reading, venue.as_str(), day, &writer, place.index..place.index + 1);
    Ok(found.await?.into_iter().next())
}

/// The entries of a list in these places, as they came.
pub(crate) async fn bytes(
    reading: &mut Reading,
    venue: &str,
    day: i32,
    writer: &[u8; 20],
    places: std::ops::Range<u64>,
) -> Result<Vec<Vec<u8>>, HubError> {
    let select = "SELECT e.bytes FROM list l JOIN entry e ON e.list = l.id
         WHERE l.venue = $1 AND l.day = $2 AND l.writer = $3 AND e.idx >= $4 AND e.idx < $5
         ORDER BY e.idx";
    let select =
        sql(select).bind(venue).bind(day).bind(*writer).bind(places.start).bind(places.end);
    let rows = reading.all(select).await?;
    rows.iter().map(|row| Ok(row.get("bytes")?)).collect()
}

/// The entries of a venue about the same pass, chip, or neither.
pub(crate) async fn about(
    reading: &mut Reading,
    venue: &VenueId,
    subject: &Subject,
) -> Result<Vec<Kept>, HubError> {
    let select = match subject {
        Subject::Pass(pass) => {
            sql(select_entries!("l.venue = $1 AND e.pass = $2")).bind(venue.as_str()).bind(pass.0)
        }
        Subject::Chip(chip) => sql(select_entries!("l.venue = $1 AND e.chip = $2"))
            .bind(venue.as_str())
            .bind(chip.to_string()),
        Subject::External(_) => {
            sql(select_entries!("l.venue = $1 AND e.pass IS NULL AND e.chip IS NULL"))
                .bind(venue.as_str())
        }
    };
    let rows = reading.all(select).await?;
    kept(reading, &rows).await
}

/// Writes what became of entries: each the number of its list, its place there, and the outcome.
pub(crate) async fn set_outcomes(
    writing: &mut Writing,
    outcomes: Vec<(u64, u64, Outcome)>,
) -> Result<(), HubError> {
    let rows = outcomes
        .into_iter()
        .map(|(list, index, it)| vec![list.into(), index.into(), outcome(it).into()]);
    let update = "WITH given (list, idx, outcome) AS (:rows)
         UPDATE entry SET outcome = given.outcome FROM given
         WHERE entry.list = given.list AND entry.idx = given.idx";
    writing.execute(sql(update).rows(rows.collect())).await?;
    Ok(())
}

/// Gives passes the entries that were written under their chips before anybody knew whose they are. The passes that got
/// any.
pub(crate) async fn give_chips(
    writing: &mut Writing,
    chips: &[(String, u64)],
) -> Result<Vec<u64>, HubError> {
    let mut sorted: Vec<&(String, u64)> = chips.iter().collect();
    sorted.sort();
    for (chip, _) in &sorted {
        lock_chip(writing, chip).await?;
    }
    let rows = sorted.iter().map(|(chip, pass)| vec![chip.into(), (*pass).into()]);
    let give = "WITH given (chip, pass) AS (:rows)
         UPDATE entry SET pass = given.pass FROM given
         WHERE entry.chip = given.chip AND entry.pass IS NULL RETURNING entry.pass AS found";
    let found = writing.all(sql(give).rows(rows.collect())).await?;
    let mut passes =
        found.iter().map(|row| Ok(row.get("found")?)).collect::<Result<Vec<u64>, HubError>>()?;
    passes.sort_unstable();
    passes.dedup();
    Ok(passes)
}

/// Nobody else writes entries under this chip, or says whose it is, until the transaction ends.
pub(crate) async fn lock_chip(writing: &mut Writing, chip: &str) -> Result<(), HubError> {
    Ok(writing.lock_name("chip", chip).await?)
}

/// Whether entries under chips wait for their passes.
pub(crate) async fn any_wait(reading: &mut Reading) -> Result<bool, HubError> {
    let select = "SELECT EXISTS (
             SELECT 1 FROM entry WHERE chip IS NOT NULL AND pass IS NULL) AS found";
    Ok(reading.value(sql(select)).await?.unwrap_or_default())
}

/// Which of a venue's lists these passes stand in, the newest days first, at most so many of each pass; and up to which
/// entry.
pub(crate) async fn lists_of_passes(
    reading: &mut Reading,
    venue: &VenueId,
    passes: impl IntoIterator<Item = u64>,
    most: usize,
) -> Result<HashMap<PassId, Vec<Folded>>, HubError> {
    let select = "SELECT pass, day, writer, entries FROM (
             SELECT e.pass, l.day, l.writer, MAX(e.idx) + 1 AS entries,
                    ROW_NUMBER() OVER (PARTITION BY e.pass ORDER BY l.day DESC, l.writer) AS place
             FROM entry e JOIN list l ON l.id = e.list
             WHERE e.pass IN (:list) AND l.venue = $1
             GROUP BY e.pass, l.day, l.writer) AS lists
         WHERE place <= $2 ORDER BY pass, place";
    let select = sql(select).bind(venue.as_str()).bind(most as u64);
    let mut found: HashMap<PassId, Vec<Folded>> = HashMap::new();
    for row in reading.all(select.list(passes)).await? {
        found.entry(PassId(row.get("pass")?)).or_default().push(Folded {
            day: row.get("day")?,
            writer: row.get("writer")?,
            entries: row.get("entries")?,
        });
    }
    Ok(found)
}

/// How many there are.
pub(crate) async fn count(reading: &mut Reading) -> Result<u64, HubError> {
    Ok(reading.value(sql("SELECT COUNT(*) AS found FROM entry")).await?.unwrap_or_default())
}
