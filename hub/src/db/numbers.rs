//! The numbers of what leaves the hub, and the ids of what is made in it.
//!
//! There is one sequence of numbers, without holes, and a number is visible only when all smaller ones are. On SQLite the
//! transaction that writes is alone, so it gives numbers out as it writes. On PostgreSQL rows are written with a
//! negative version, in their order, and numbered after the commit, in batches, by whoever holds the numbering lock: so
//! numbers follow the order of commits, and no writer waits for another one's transaction.
//!
//! Every process opens a *run* before it numbers anything, and another one where its run is not in the database any
//! more (the database was replaced under it) or the clock has jumped (the machine was).

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crdt_model::ids::VenueId;
use crdt_model::time::UnixMillis;

use super::engine::Transaction;
use super::error::{HubError, Says};
use super::news::News;
use super::statement::{Value, made, sql};
use super::{Db, Writing};

/// What is not numbered yet has a version of at least this, and below zero.
const UNNUMBERED: i64 = i64::MIN / 2;

/// A wall clock that jumps by more than this against the steady one is that of a machine that was put back, in
/// milliseconds.
const JUMP: i64 = 2_000;

/// How often a numbering is tried that PostgreSQL broke off.
const MOST_TRIES: u32 = 10;

/// Ids that a process takes at once on PostgreSQL, so that its writers do not wait for each other's transactions.
const IDS_AT_ONCE: u64 = 64;

/// What a numbered row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves<'a> {
    /// The catalogue.
    Catalogue,
    /// The catalogue, and somebody is to be refused from now on.
    Denial,
    /// A venue's log.
    Venue(&'a VenueId),
    /// The sealed parts.
    Holders,
    /// What the hub states to desks.
    Notices,
    /// Nothing that is kept under a number: what a desk is told beside the numbered rows takes one all the same, so that
    /// a desk can say later up to where it was told.
    Told,
}

/// What a transaction has numbered, or will have.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Numbered {
    /// How far the sequence had come, on SQLite.
    reached: Option<i64>,
    /// How many rows wait for a number, on PostgreSQL.
    places: i64,
    catalogue: bool,
    denial: bool,
    holders: bool,
    notices: bool,
    /// A number is taken for what has no row: on PostgreSQL.
    told: bool,
    venues: BTreeSet<VenueId>,
}

/// The run of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnRun {
    id: u64,
    seen: (UnixMillis, Duration),
}

/// Who has committed and who is numbered: one numbering serves all who committed before it began.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    committed: AtomicU64,
    /// How many of them take a number for what has no row.
    told: AtomicU64,
    /// How many commits are numbered, and the number that was reached.
    numbered: tokio::sync::Mutex<(u64, u64)>,
}

impl Writing {
    /// The first of so many consecutive versions for rows that are written now.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn versions(&mut self, of: Moves<'_>, many: usize) -> Result<i64, HubError> {
        let many = i64::try_from(many).unwrap_or(i64::MAX);
        match of {
            Moves::Catalogue => self.numbered.catalogue = true,
            Moves::Denial => {
                self.numbered.catalogue = true;
                self.numbered.denial = true;
            }
            Moves::Holders => self.numbered.holders = true,
            Moves::Notices => self.numbered.notices = true,
            Moves::Told => self.numbered.told = true,
            Moves::Venue(venue) => {
                self.numbered.venues.insert(venue.clone());
            }
        }
        if self.reading.transaction.is_postgres() {
            let first = UNNUMBERED + self.numbered.places;
            if of != Moves::Told {
                self.numbered.places += many;
            }
            return Ok(first);
        }
        let reached = match self.numbered.reached {
            Some(reached) => reached,
            None => open_run_if_needed(&self.db, &mut self.reading.transaction).await?,
        };
        self.numbered.reached = Some(reached + many);
        Ok(reached + 1)
    }

    /// The version of one row that is written now.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn version(&mut self, of: Moves<'_>) -> Result<i64, HubError> {
        self.versions(of, 1).await
    }

    /// The first of so many consecutive ids of a kind, none of which was ever given, and none below `least`.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn ids(
        &mut self,
        kind: &'static str,
        many: usize,
        least: u64,
    ) -> Result<u64, HubError> {
        let many = many as u64;
        if !self.reading.transaction.is_postgres() {
            return next_ids(&mut self.reading.transaction, kind, many, least).await;
        }
        {
            let mut kept = self.db.0.ids.lock().unwrap_or_else(PoisonError::into_inner);
            let block = kept.entry(kind).or_default();
            block.start = block.start.max(least).min(block.end);
            if block.end - block.start >= many {
                block.start += many;
                return Ok(block.start - many);
            }
        }
        // In a transaction of its own, for a moment: the row of this kind is not held for the length of this one.
        let taken = many.max(IDS_AT_ONCE);
        let mut apart = self.db.0.pool.begin_to_write().await?;
        let first = next_ids(&mut apart, kind, taken, least).await?;
        apart.commit().await?;
        let mut kept = self.db.0.ids.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(kind, first + many..first + taken);
        Ok(first)
    }
}

impl Writing {
    /// These passes were written: each gets a new number. With each comes whether it is on the deny list from now on.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn passes_moved(
        &mut self,
        moves: Moves<'_>,
        passes: impl IntoIterator<Item = (u64, bool)>,
    ) -> Result<(), HubError> {
        let passes: Vec<(u64, bool)> = passes.into_iter().collect();
        if passes.is_empty() {
            return Ok(());
        }
        let first = self.versions(moves, passes.len()).await?;
        if self.reading.transaction.is_postgres() {
            // One row for all: the numbering finds it, and gives the numbers.
            let ids: Vec<String> = passes.iter().map(|(pass, _)| pass.to_string()).collect();
            let mark = sql("INSERT INTO pass_moved (passes) VALUES ($1)").bind(ids.join(","));
            self.execute(mark).await?;
            return Ok(());
        }
        let rows = passes.into_iter().zip(first..);
        let rows =
            rows.map(|((pass, denied), version)| vec![pass.into(), version.into(), denied.into()]);
        let number = "WITH given (pass, version, denied) AS (:rows)
             INSERT INTO pass_version (pass, version, denied) SELECT * FROM given WHERE TRUE
             ON CONFLICT (pass) DO UPDATE SET version = excluded.version, denied = excluded.denied";
        self.execute(sql(number).rows(rows.collect())).await?;
        Ok(())
    }

    /// No id of this kind is given again up to this one.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn ids_beyond(&mut self, kind: &'static str, up_to: u64) -> Result<(), HubError> {
        let raise = "INSERT INTO ids (kind, next) VALUES ($1, $2)
             ON CONFLICT (kind) DO UPDATE
             SET next = CASE WHEN ids.next < $2 THEN $2 ELSE ids.next END";
        self.execute(sql(raise).bind(kind).bind(up_to.saturating_add(1))).await?;
        Ok(())
    }
}

async fn next_ids(
    transaction: &mut Transaction,
    kind: &'static str,
    many: u64,
    least: u64,
) -> Result<u64, HubError> {
    let take = "INSERT INTO ids (kind, next) VALUES ($1, CAST($3 AS BIGINT) + $2)
         ON CONFLICT (kind) DO UPDATE
         SET next = CASE WHEN ids.next < $3 THEN $3 ELSE ids.next END + $2
         RETURNING next - $2 AS first";
    let rows = transaction.all(sql(take).bind(kind).bind(many).bind(least.max(1))).await?;
    let first = rows.first().map(|row| row.get("first")).transpose()?;
    first.ok_or_else(|| HubError::Record(format!("no id for a {kind}")))
}

/// How far the one sequence has come: all up to there is visible.
pub(crate) const REACHED: &str = "SELECT value AS found FROM counter WHERE id = 1";

async fn reached(transaction: &mut Transaction) -> Result<i64, HubError> {
    let rows = transaction.all(sql(REACHED)).await?;
    Ok(rows.first().map(|row| row.get("found")).transpose()?.unwrap_or_default())
}

/// Makes sure that this process has a run that the database knows, while nobody else can number; and says how far the
/// sequence has come.
async fn open_run_if_needed(db: &Db, transaction: &mut Transaction) -> Result<i64, HubError> {
    let begins = reached(transaction).await?;
    let surroundings = db.surroundings();
    let seen = (surroundings.now(), surroundings.steady());
    let own = *db.0.run.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(own) = own {
        let by_wall = seen.0.since(own.seen.0);
        let steady =
            i64::try_from(seen.1.saturating_sub(own.seen.1).as_millis()).unwrap_or(i64::MAX);
        let known = sql("SELECT number FROM run WHERE id = $1").bind(own.id);
        let known = !transaction.all(known).await?.is_empty();
        if known && by_wall.saturating_sub(steady).saturating_abs() <= JUMP {
            *db.0.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(OwnRun { seen, ..own });
            return Ok(begins);
        }
    }
    let id = surroundings.number();
    // Whoever opens a run holds the numbering lock, so the highest place is that of the last run.
    let open = "INSERT INTO run (number, id, begins, opened_at)
         SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3 FROM run";
    transaction.execute(sql(open).bind(id).bind(begins).bind(seen.0.0)).await?;
    *db.0.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(OwnRun { id, seen });
    tracing::debug!(begins, "a run of the database was opened");
    Ok(begins)
}

pub(super) async fn before_commit(writing: &mut Writing) -> Result<(), HubError> {
    let Some(reached) = writing.numbered.reached else { return Ok(()) };
    let keep = sql("UPDATE counter SET value = $1 WHERE id = 1").bind(reached);
    writing.reading.transaction.execute(keep).await?;
    let number = u64::try_from(reached).unwrap_or_default();
    let told = of_numbered(&writing.numbered, number);
    writing.news.extend(told);
    Ok(())
}

fn of_numbered(numbered: &Numbered, number: u64) -> Vec<News> {
    let venues = numbered.venues.iter();
    let mut news: Vec<News> =
        venues.map(|venue| News::Venue { venue: venue.clone(), number }).collect();
    if numbered.catalogue {
        news.push(News::Catalogue { number, urgent: numbered.denial });
    }
    if numbered.holders {
        news.push(News::Holders { number });
    }
    if numbered.notices {
        news.push(News::Notices { number });
    }
    news
}

pub(super) async fn after_commit(db: &Db, numbered: Numbered) -> Result<Option<u64>, HubError> {
    if let Some(number) = numbered.reached.and_then(|reached| u64::try_from(reached).ok()) {
        db.note_reached(number);
        return Ok(Some(number));
    }
    if numbered.places == 0 && !numbered.told {
        return Ok(None);
    }
    let numbering = &db.0.numbering;
    if numbered.told {
        numbering.told.fetch_add(1, Ordering::SeqCst);
    }
    let own = numbering.committed.fetch_add(1, Ordering::SeqCst) + 1;
    let mut done = numbering.numbered.lock().await;
    if done.0 < own {
        let all = numbering.committed.load(Ordering::SeqCst);
        let number = number_all(db).await?;
        *done = (all, number);
    }
    Ok(Some(done.1))
}

impl Db {
    /// Opens this process's run, and numbers what a process left that died before it could.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn open_run(&self) -> Result<(), HubError> {
        if self.is_postgres() {
            let mut done = self.0.numbering.numbered.lock().await;
            done.1 = number_all(self).await?;
            return Ok(());
        }
        let mut writing = self.write().await?;
        open_run_if_needed(self, &mut writing.reading.transaction).await?;
        // A backup of PostgreSQL may hold some that waited for their numbers when it was taken.
        let waiting = taken_marks(&mut writing.reading.transaction).await?;
        if !waiting.is_empty() {
            let select = sql("SELECT id, active FROM pass WHERE id IN (:list)").list(waiting);
            let rows = writing.all(select).await?;
            let moved = rows.iter().map(|row| Ok((row.get("id")?, !row.get::<bool>("active")?)));
            let moved = moved.collect::<Result<Vec<_>, HubError>>()?;
            writing.passes_moved(Moves::Denial, moved).await?;
        }
        writing.commit().await?;
        Ok(())
    }
}

/// The passes that wait for a number, which they do not any more afterwards.
async fn taken_marks(transaction: &mut Transaction) -> Result<BTreeSet<u64>, HubError> {
    let mut passes = BTreeSet::new();
    for row in transaction.all(sql("DELETE FROM pass_moved RETURNING passes")).await? {
        let marked: String = row.get("passes")?;
        passes.extend(marked.split(',').filter_map(|pass| pass.parse::<u64>().ok()));
    }
    Ok(passes)
}

/// The tables whose rows are numbered in their place, each with its key, and in which order its rows are numbered.
const NUMBERED: [(&str, &str, &str); 8] = [
    ("activity", "id", "version, id"),
    ("reward", "id", "version, id"),
    ("card_system", "id", "version, id"),
    ("coupon", "id", "version, id"),
    ("policy", "venue", "version, venue"),
    ("holder", "pass", "version, pass"),
    ("notice", "id", "version, id"),
    // Of one list the earlier first, whichever transaction wrote it.
    ("accepted", "venue, day, writer, first", "first, venue, day, writer"),
];

/// Numbers all that is committed and has no number: on PostgreSQL. Tried again where a fold and the numbering waited for
/// each other, which PostgreSQL notices.
async fn number_all(db: &Db) -> Result<u64, HubError> {
    let mut tries = 1;
    loop {
        match number_once(db).await {
            Err(HubError::Database(error)) if error.says() == Says::Busy && tries < MOST_TRIES => {
                tries += 1;
            }
            done => return done,
        }
    }
}

/// Once, in a transaction of its own.
async fn number_once(db: &Db) -> Result<u64, HubError> {
    let mut transaction = db.0.pool.begin_to_write().await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || 'numbers', 7))";
    transaction.execute(sql(lock)).await?;
    let mut reached = open_run_if_needed(db, &mut transaction).await?;
    // An index of each finds none at once, or one.
    let waits = "SELECT 'activity' AS name WHERE EXISTS (SELECT 1 FROM activity WHERE version < 0)
         UNION ALL SELECT 'reward' WHERE EXISTS (SELECT 1 FROM reward WHERE version < 0)
         UNION ALL SELECT 'card_system' WHERE EXISTS (SELECT 1 FROM card_system WHERE version < 0)
         UNION ALL SELECT 'coupon' WHERE EXISTS (SELECT 1 FROM coupon WHERE version < 0)
         UNION ALL SELECT 'policy' WHERE EXISTS (SELECT 1 FROM policy WHERE version < 0)
         UNION ALL SELECT 'holder' WHERE EXISTS (SELECT 1 FROM holder WHERE version < 0)
         UNION ALL SELECT 'notice' WHERE EXISTS (SELECT 1 FROM notice WHERE version < 0)
         UNION ALL SELECT 'accepted' WHERE EXISTS (SELECT 1 FROM accepted WHERE version < 0)";
    let mut waiting = BTreeSet::new();
    for row in transaction.all(sql(waits)).await? {
        waiting.insert(row.get::<String>("name")?);
    }
    // One for all that is told beside the rows.
    let told = db.0.numbering.told.load(Ordering::SeqCst);
    reached += i64::from(told > 0);
    let mut numbered = Numbered::default();
    reached = number_passes(&mut transaction, reached, &mut numbered).await?;
    for (table, key, order) in NUMBERED.iter().filter(|(table, ..)| waiting.contains(*table)) {
        reached = number_table(&mut transaction, table, key, order, reached, &mut numbered).await?;
    }
    let keep = sql("UPDATE counter SET value = $1 WHERE id = 1").bind(reached);
    transaction.execute(keep).await?;
    let number = u64::try_from(reached).unwrap_or_default();
    let news = of_numbered(&numbered, number);
    super::news::notify(db, &mut transaction, &news).await?;
    transaction.commit().await?;
    db.0.numbering.told.fetch_sub(told, Ordering::SeqCst);
    db.note_reached(number);
    db.0.news.publish(&news);
    Ok(number)
}

/// Gives numbers to the passes that were written, in the order of their ids. Nobody else writes these rows, and the wide
/// ones of the passes are left alone: a fold that holds one is not waited for. What it writes is marked by it, too, and
/// gets a number after this one.
async fn number_passes(
    transaction: &mut Transaction,
    reached: i64,
    numbered: &mut Numbered,
) -> Result<i64, HubError> {
    let moved = taken_marks(transaction).await?;
    if moved.is_empty() {
        return Ok(reached);
    }
    let highest = reached + i64::try_from(moved.len()).unwrap_or(i64::MAX);
    let rows = moved.into_iter().zip(reached + 1..);
    let rows: Vec<Vec<Value>> =
        rows.map(|(pass, number)| vec![pass.into(), number.into()]).collect();
    let number = "WITH given (pass, version) AS (:rows), done AS (
             INSERT INTO pass_version (pass, version, denied)
             SELECT given.pass, given.version, NOT pass.active
             FROM given JOIN pass ON pass.id = given.pass
             ON CONFLICT (pass) DO UPDATE SET version = excluded.version, denied = excluded.denied
             RETURNING denied)
         SELECT COALESCE(BOOL_OR(denied), FALSE) AS denial FROM done";
    for row in transaction.all(sql(number).rows(rows)).await? {
        numbered.denial |= row.get::<bool>("denial")?;
    }
    numbered.catalogue = true;
    Ok(highest)
}

async fn number_table(
    transaction: &mut Transaction,
    table: &str,
    key: &str,
    order: &str,
    reached: i64,
    numbered: &mut Numbered,
) -> Result<i64, HubError> {
    // Rows that a fold holds are waited for here, in its own order: it may bring another content for the number.
    transaction
        .run(format!(
            "DO $$ BEGIN PERFORM {key} FROM {table} WHERE version < 0 ORDER BY {key} FOR UPDATE; END $$"
        ))
        .await?;
    let same: Vec<String> =
        key.split(", ").map(|column| format!("{table}.{column} = numbered.{column}")).collect();
    let told = match table {
        "accepted" => "accepted.venue AS of_venue",
        _ => "'' AS of_venue",
    };
    let text = format!(
        "WITH numbered AS (SELECT {key}, $1 + ROW_NUMBER() OVER (ORDER BY {order}) AS number
             FROM {table} WHERE version < 0),
           done AS (UPDATE {table} SET version = numbered.number FROM numbered WHERE {}
             RETURNING {table}.version, {told})
         SELECT COUNT(*) AS many, MAX(version) AS highest, of_venue FROM done
         GROUP BY of_venue",
        same.join(" AND ")
    );
    let mut highest = reached;
    for row in transaction.all(made(text).bind(reached)).await? {
        highest = highest.max(row.get("highest")?);
        match table {
            "accepted" => {
                let venue: String = row.get("of_venue")?;
                numbered.venues.extend(venue.parse::<VenueId>().ok());
            }
            "holder" => numbered.holders = true,
            "notice" => numbered.notices = true,
            _ => numbered.catalogue = true,
        }
    }
    Ok(highest)
}
