//! Rows of catalogue files as they were last taken, by the cards' printed numbers.

use std::collections::HashMap;

use crate::db::{HubError, Reading, Writing, sql};

/// What the last file said: the whole row, and the card's state where no desk has asked for anything since.
pub(crate) struct Said {
    pub(crate) row_hash: Vec<u8>,
    pub(crate) card_status: Option<String>,
}

pub(crate) async fn said(
    reading: &mut Reading,
    numbers: impl IntoIterator<Item = String>,
) -> Result<HashMap<String, Said>, HubError> {
    let select = "SELECT number, row_hash, card_status FROM imported WHERE number IN (:list)";
    let rows = reading.all(sql(select).list(numbers)).await?;
    let said = rows.iter().map(|row| {
        let said = Said { row_hash: row.get("row_hash")?, card_status: row.get("card_status")? };
        Ok((row.get("number")?, said))
    });
    said.collect()
}

/// Keeps rows: number, hash, the card's state.
pub(crate) async fn keep(
    writing: &mut Writing,
    rows: Vec<(String, Vec<u8>, String)>,
) -> Result<(), HubError> {
    let rows = rows
        .into_iter()
        .map(|(number, hash, status)| vec![number.into(), hash.into(), status.into()]);
    let keep = "WITH given (number, row_hash, card_status) AS (:rows)
         INSERT INTO imported (number, row_hash, card_status) SELECT * FROM given WHERE TRUE
         ON CONFLICT (number) DO UPDATE
         SET row_hash = excluded.row_hash, card_status = excluded.card_status";
    writing.execute(sql(keep).rows(rows.collect())).await?;
    Ok(())
}

/// A desk asked for something about this pass: what a file said before this is not what it says of this.
pub(crate) async fn forget_status(writing: &mut Writing, pass: u64) -> Result<(), HubError> {
    let forget = "UPDATE imported SET card_status = NULL
         WHERE number IN (SELECT identification FROM card WHERE pass = $1)";
    writing.execute(sql(forget).bind(pass)).await?;
    Ok(())
}
