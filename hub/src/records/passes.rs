//! Passes and their cards.

use std::collections::{BTreeMap, HashMap};

use crdt_model::catalogue::{CardName, CardStatus, HolderStatus, LookupKey, PassRecord};
use crdt_model::ids::Identification;

use super::encoded;
use crate::db::{HubError, Moves, Reading, Row, Value, Writing, sql};

/// A pass, as it is kept.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Its serial number.
    pub id: u64,
    /// What desks are told.
    pub record: PassRecord,
    /// Points that it had before its entries.
    pub opening_points: u64,
    /// Whether a desk's request changed it.
    pub changed_at_desk: bool,
}

fn pass(row: &Row) -> Result<Pass, HubError> {
    Ok(Pass {
        id: row.get("id")?,
        record: minicbor::decode(row.bytes("record")?)?,
        opening_points: row.get("opening_points")?,
        changed_at_desk: row.get("changed_at_desk")?,
    })
}

/// Whether a pass is not on the deny list: its holder and its current cards are in order.
pub(crate) fn is_active(record: &PassRecord) -> bool {
    record.holder != HolderStatus::Blocked
        && record.cards.iter().all(|card| card.status == CardStatus::Active)
}

/// These passes, locked in the order of their ids: nobody else folds or changes them until the transaction ends. Before
/// their entries are read.
pub(crate) async fn lock(
    writing: &mut Writing,
    ids: impl IntoIterator<Item = u64>,
) -> Result<BTreeMap<u64, Pass>, HubError> {
    let select = "SELECT id, record, opening_points, changed_at_desk FROM pass
         WHERE id IN (:list) ORDER BY id";
    let rows = writing.all(sql(select).list(ids).locking()).await?;
    rows.iter().map(|row| pass(row).map(|pass| (pass.id, pass))).collect()
}

/// This pass.
pub(crate) async fn find(reading: &mut Reading, id: u64) -> Result<Option<Pass>, HubError> {
    let select = "SELECT id, record, opening_points, changed_at_desk FROM pass WHERE id = $1";
    reading.first(sql(select).bind(id)).await?.as_ref().map(pass).transpose()
}

/// The pass that carries this card.
///
/// # Errors
/// [`HubError`].
pub async fn of_card(
    reading: &mut Reading,
    card: &Identification,
) -> Result<Option<Pass>, HubError> {
    let select = "SELECT p.id, p.record, p.opening_points, p.changed_at_desk
         FROM card c JOIN pass p ON p.id = c.pass WHERE c.identification = $1";
    let row = reading.first(sql(select).bind(card.to_string())).await?;
    row.as_ref().map(pass).transpose()
}

/// Which of these cards, as text, belong to which passes.
pub(crate) async fn owners(
    reading: &mut Reading,
    cards: impl IntoIterator<Item = String>,
) -> Result<HashMap<String, u64>, HubError> {
    let select = "SELECT identification, pass FROM card WHERE identification IN (:list)";
    let rows = reading.all(sql(select).list(cards)).await?;
    rows.iter().map(|row| Ok((row.get("identification")?, row.get("pass")?))).collect()
}

/// All cards of a pass, as text.
pub(crate) async fn cards(reading: &mut Reading, pass: u64) -> Result<Vec<String>, HubError> {
    let select = "SELECT identification FROM card WHERE pass = $1 ORDER BY identification";
    let rows = reading.all(sql(select).bind(pass)).await?;
    rows.iter().map(|row| Ok(row.get("identification")?)).collect()
}

/// Adds cards. One that is there stays where it is.
pub(crate) async fn add_cards(
    writing: &mut Writing,
    cards: Vec<(String, u64)>,
) -> Result<(), HubError> {
    let add = "WITH given (identification, pass) AS (:rows)
         INSERT INTO card (identification, pass) SELECT * FROM given WHERE TRUE
         ON CONFLICT (identification) DO NOTHING";
    let rows = cards.into_iter().map(|(card, pass)| vec![card.into(), pass.into()]);
    writing.execute(sql(add).rows(rows.collect())).await?;
    Ok(())
}

/// Gives one pass the cards of another.
pub(crate) async fn move_cards(writing: &mut Writing, from: u64, to: u64) -> Result<(), HubError> {
    let move_all = sql("UPDATE card SET pass = $1 WHERE pass = $2");
    writing.execute(move_all.bind(to).bind(from)).await?;
    Ok(())
}

/// Writes the accounts of passes that were folded, under new versions: also where the account is the same, for desks
/// learn that it includes the entries.
pub(crate) async fn write_folded(
    writing: &mut Writing,
    folded: &[(u64, PassRecord)],
) -> Result<(), HubError> {
    let mut rows = Vec::with_capacity(folded.len());
    for (id, record) in folded {
        rows.push(vec![
            (*id).into(),
            encoded(record)?.into(),
            record.account.points().into(),
            record.account.debt().into(),
        ]);
    }
    let update = "WITH given (id, record, points, debt) AS (:rows)
         UPDATE pass SET record = given.record, points = given.points, debt = given.debt
         FROM given WHERE pass.id = given.id";
    writing.execute(sql(update).rows(rows)).await?;
    let moved = folded.iter().map(|(id, record)| (*id, !is_active(record)));
    writing.passes_moved(Moves::Catalogue, moved).await
}

/// Writes a pass that a desk's request changed.
pub(crate) async fn write_changed(
    writing: &mut Writing,
    record: &PassRecord,
) -> Result<(), HubError> {
    let active = is_active(record);
    let moves = if active { Moves::Catalogue } else { Moves::Denial };
    let update = "UPDATE pass SET record = $1, active = $2, points = $3, debt = $4,
             changed_at_desk = TRUE
         WHERE id = $5";
    let update = sql(update)
        .bind(encoded(record)?)
        .bind(active)
        .bind(record.account.points())
        .bind(record.account.debt())
        .bind(record.pass.0);
    writing.execute(update).await?;
    writing.passes_moved(moves, [(record.pass.0, !active)]).await
}

/// Writes where a pass's holder lives and was born, as a desk said it.
pub(crate) async fn write_holder_facts(
    writing: &mut Writing,
    pass: u64,
    municipality: Option<String>,
    birth_year: Option<i32>,
) -> Result<(), HubError> {
    let update = "UPDATE pass SET municipality = $1, birth_year = $2 WHERE id = $3";
    writing.execute(sql(update).bind(municipality).bind(birth_year).bind(pass)).await?;
    Ok(())
}

/// A pass as a file says it.
#[derive(Debug, Clone)]
pub struct Imported {
    /// What desks are told.
    pub record: PassRecord,
    /// Points that it has before its entries, where it is new.
    pub opening_points: u64,
    /// The subscription that it is under.
    pub subscription: Option<String>,
    /// The postal code of where its holder lives.
    pub municipality: Option<String>,
    /// The year in which its holder was born; where the file does not say, it stays as it is.
    pub birth_year: Option<i32>,
}

/// Writes passes of a file, under new versions.
///
/// # Errors
/// [`HubError`].
pub async fn write_imported(writing: &mut Writing, passes: &[Imported]) -> Result<(), HubError> {
    let denied = passes.iter().any(|it| !is_active(&it.record));
    let moves = if denied { Moves::Denial } else { Moves::Catalogue };
    let mut rows: Vec<Vec<Value>> = Vec::with_capacity(passes.len());
    for it in passes {
        rows.push(vec![
            it.record.pass.0.into(),
            encoded(&it.record)?.into(),
            it.opening_points.into(),
            is_active(&it.record).into(),
            it.record.account.points().into(),
            it.record.account.debt().into(),
            it.subscription.clone().into(),
            it.municipality.clone().into(),
            it.birth_year.into(),
        ]);
    }
    let write = "WITH given (id, record, opening_points, active, points, debt,
             subscription, municipality, birth_year) AS (:rows)
         INSERT INTO pass (id, record, opening_points, active, points, debt,
             subscription, municipality, birth_year)
         SELECT * FROM given WHERE TRUE
         ON CONFLICT (id) DO UPDATE SET record = excluded.record, active = excluded.active,
             points = excluded.points, debt = excluded.debt,
             subscription = excluded.subscription, municipality = excluded.municipality,
             birth_year = COALESCE(excluded.birth_year, pass.birth_year)";
    writing.execute(sql(write).rows(rows)).await?;
    let moved = passes.iter().map(|it| (it.record.pass.0, !is_active(&it.record)));
    writing.passes_moved(moves, moved).await
}

/// How many passes there are, and their points and debts in all.
pub(crate) async fn sums(reading: &mut Reading) -> Result<(u64, u64, u64), HubError> {
    let select = "SELECT COUNT(*) AS many, CAST(COALESCE(SUM(points), 0) AS BIGINT) AS points,
             CAST(COALESCE(SUM(debt), 0) AS BIGINT) AS debt
         FROM pass";
    let Some(row) = reading.first(sql(select)).await? else { return Ok((0, 0, 0)) };
    Ok((row.get("many")?, row.get("points")?, row.get("debt")?))
}

/// All debts, the largest first.
pub(crate) async fn debts(reading: &mut Reading) -> Result<Vec<(u64, u64)>, HubError> {
    let select = "SELECT id, debt FROM pass WHERE debt > 0 ORDER BY debt DESC, id";
    let rows = reading.all(sql(select)).await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("debt")?))).collect()
}

/// The cards of a pass that are in use.
pub(crate) async fn cards_in_use(
    reading: &mut Reading,
    lookup: &LookupKey,
    record: &PassRecord,
) -> Result<Vec<Identification>, HubError> {
    let texts = cards(reading, record.pass.0).await?;
    let all = texts.iter().filter_map(|text| text.parse::<Identification>().ok());
    let in_use = |card: &Identification| {
        record.card_status(&CardName(lookup.card_key(card))) == CardStatus::Active
    };
    Ok(all.filter(in_use).collect())
}
