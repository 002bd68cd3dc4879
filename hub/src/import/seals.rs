//! Sealing the holders of a file: slow, outside any transaction, as many at a time as the machine has processors.

use crdt_model::catalogue::LookupKey;
use crdt_model::ids::{Identification, PassId};
use tokio::task::JoinSet;

use super::{CatalogueFile, HolderRow, ImportError, together};
use crate::db::{Db, HubError, Reading};
use crate::holders::{self, HolderProblem, Sealed, Step};
use crate::records::passes::{self, cards_in_use};

/// Holders whose sealed parts are written in one transaction.
const AT_ONCE: usize = 64;

/// How often a holder is sealed again because the pass's cards changed meanwhile.
const MOST_TRIES: usize = 5;

/// Seals the holders of these rows. A file that was broken off here is imported again, and goes on where it was. How
/// many were sealed.
pub(super) async fn seal(
    db: &Db,
    lookup: &LookupKey,
    file: &CatalogueFile,
    to_seal: &[(usize, PassId)],
) -> Result<u64, ImportError> {
    let mut done = 0;
    for some in to_seal.chunks(AT_ONCE) {
        let mut waiting = some.to_vec();
        for _ in 0..MOST_TRIES {
            waiting = seal_some(db, lookup, file, waiting, &mut done).await?;
            if waiting.is_empty() {
                break;
            }
        }
    }
    Ok(done)
}

/// Seals some, and gives those whose cards changed meanwhile.
async fn seal_some(
    db: &Db,
    lookup: &LookupKey,
    file: &CatalogueFile,
    some: Vec<(usize, PassId)>,
    done: &mut u64,
) -> Result<Vec<(usize, PassId)>, ImportError> {
    let mut sealing = JoinSet::new();
    let mut reading = db.read().await?;
    for (place, pass) in some {
        let Some(Step::Seal(of)) = step(&mut reading, lookup, file, place, pass).await? else {
            continue;
        };
        let (lookup, surroundings) = (LookupKey(lookup.0), db.surroundings().clone());
        sealing.spawn(async move {
            let sealed = holders::seal(*of, &lookup, &surroundings).await;
            (place, pass, sealed)
        });
    }
    drop(reading);
    let mut sealed: Vec<(usize, PassId, Sealed)> = Vec::new();
    while let Some(one) = sealing.join_next().await {
        let (place, pass, result) = one.map_err(|error| HubError::Record(error.to_string()))?;
        sealed.push((place, pass, result.or_else(|problem| said(place, problem))?));
    }
    if sealed.is_empty() {
        return Ok(Vec::new());
    }
    // Whoever locks several passes does so in the order of their ids.
    sealed.sort_by_key(|(_, pass, _)| *pass);
    let mut again = Vec::new();
    let mut writing = db.write().await?;
    passes::lock(&mut writing, sealed.iter().map(|(_, pass, _)| pass.0)).await?;
    for (place, pass, sealed) in sealed {
        let Some(step) = step(&mut writing, lookup, file, place, pass).await? else { continue };
        match holders::take_step(&mut writing, pass, step, Some(&sealed)).await? {
            None => *done += 1,
            Some(_) => again.push((place, pass)),
        }
    }
    writing.commit().await?;
    Ok(again)
}

/// What is to be done about the holder of a row.
async fn step(
    reading: &mut Reading,
    lookup: &LookupKey,
    file: &CatalogueFile,
    place: usize,
    pass: PassId,
) -> Result<Option<Step>, ImportError> {
    let Some(row): Option<&HolderRow> = file.passes[place].holder.as_ref() else {
        return Ok(None);
    };
    let Some(kept) = passes::find(reading, pass.0).await? else { return Ok(None) };
    // Not the row's: a card may have been reported lost since, or a chip linked.
    let cards: Vec<Identification> = cards_in_use(reading, lookup, &kept.record).await?;
    if cards.is_empty() {
        return Ok(None);
    }
    match holders::keep(reading, lookup, pass, &cards, row).await {
        Ok(step) => Ok(Some(step)),
        Err(problem) => said(place, problem),
    }
}

fn said<T>(place: usize, problem: HolderProblem) -> Result<T, ImportError> {
    match problem {
        HolderProblem::Hub(error) => Err(error.into()),
        HolderProblem::Row { field, why } => {
            together(format!("passes[{place}].holder.{field}"), &why)
        }
    }
}
