//! The sealed parts of pass records: names, days of birth, pictures. The hub seals them and keeps the
//! content keys, so that a new card can be given a lock; desks get what only a card opens.

use std::sync::Arc;

use catalogue_file::HolderRow;
use crdt_model::catalogue::{CardName, LookupKey};
use crdt_model::holder::{
    CardSecret, ContentKey, Cost, Details, Holder, MAX_LOCKS, NONCE_BYTES, OpenError, Picture,
    SealError,
};
use crdt_model::ids::{Identification, PassId};
use data_encoding::BASE64;
use thiserror::Error;

use crate::db::{DatabaseError, HubError, Reading, Writing};
use crate::records::holders::{self as kept, Kept};
use crate::surroundings::Surroundings;

/// Why a holder cannot be sealed.
#[derive(Debug, Error)]
pub(crate) enum HolderProblem {
    /// A field is wrong. It is not repeated.
    #[error("{field}: {why}")]
    Row {
        /// Which.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The hub failed.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl From<DatabaseError> for HolderProblem {
    fn from(error: DatabaseError) -> Self {
        Self::Hub(error.into())
    }
}

fn cannot(what: &str, error: &dyn std::fmt::Display) -> HubError {
    HubError::Record(format!("a sealed part cannot be {what}: {error}"))
}

fn holder_of(row: &HolderRow) -> Result<Holder, HolderProblem> {
    let wrong = |field, why: String| HolderProblem::Row { field, why };
    let details = Details::new(row.name.clone(), row.date_of_birth)
        .map_err(|error| wrong("name", error.to_string()))?;
    let picture = row.picture.as_ref().map(|text| {
        let bytes = BASE64
            .decode(text.as_bytes())
            .map_err(|_| wrong("picture", "a picture is written in base64".to_owned()))?;
        Picture::from_file(bytes).map_err(|error| wrong("picture", error.to_string()))
    });
    Ok(Holder { details, picture: picture.transpose()? })
}

/// Whether a row's holder can be sealed: looked at before anything is taken.
pub(crate) fn check(row: &HolderRow) -> Result<(), HolderProblem> {
    holder_of(row).map(drop)
}

/// What is to be sealed: slow, and so never done in the writer's turn. Equal where sealing it gives as good a result.
#[derive(Clone, PartialEq)]
pub(crate) struct Sealing {
    pass: PassId,
    cards: Vec<Identification>,
    what: What,
}

#[derive(Clone, PartialEq)]
enum What {
    /// A holder, under a new key.
    New(HolderRow),
    /// The holder of before, under a new key.
    Anew(Kept),
    /// One more card gets a lock, the others go on.
    AddCard(Kept),
}

/// What was sealed, and what of.
pub(crate) struct Sealed {
    of: Sealing,
    kept: Kept,
}

/// What is to be done about a pass's sealed part.
pub(crate) enum Step {
    /// Nothing: it is as it should be.
    Nothing,
    /// It is written as it is here.
    Write(Box<Kept>),
    /// It is to be sealed first.
    Seal(Box<Sealing>),
}

/// What a row says of a holder, for these cards.
pub(crate) async fn keep(
    reading: &mut Reading,
    lookup: &LookupKey,
    pass: PassId,
    cards: &[Identification],
    row: &HolderRow,
) -> Result<Step, HolderProblem> {
    let holder = holder_of(row)?;
    if let Some(kept) = kept::find(reading, pass).await? {
        let secrets: Vec<CardSecret> =
            cards.iter().map(|card| CardSecret::of(card, lookup)).collect();
        let key = ContentKey::new(kept.key);
        let same_cards = secrets.len() == kept.sealed.locks.len()
            && secrets.iter().all(|it| kept.sealed.locks.iter().any(|lock| lock.card == it.name()));
        let same = kept.sealed.details(pass, &key).is_ok_and(|it| it == holder.details)
            && kept.sealed.picture(pass, &key).is_ok_and(|it| it == holder.picture);
        if same && same_cards {
            return Ok(Step::Nothing);
        }
    }
    let what = What::New(row.clone());
    Ok(Step::Seal(Box::new(Sealing { pass, cards: cards.to_vec(), what })))
}

/// The cards of a pass changed: its sealed part is sealed anew, under a new key, for these cards.
/// Whoever finds a lost card and an old copy of the catalogue opens what was in it, and nothing that
/// came later.
pub(crate) async fn seal_anew(
    reading: &mut Reading,
    pass: PassId,
    cards: &[Identification],
) -> Result<Step, HubError> {
    let Some(mut kept) = kept::find(reading, pass).await? else { return Ok(Step::Nothing) };
    if cards.is_empty() {
        // Nobody has a card that opens it. It is kept for the next one, without any lock.
        kept.sealed.locks.clear();
        return Ok(Step::Write(Box::new(kept)));
    }
    let what = What::Anew(kept);
    Ok(Step::Seal(Box::new(Sealing { pass, cards: cards.to_vec(), what })))
}

/// Gives one more card a lock, in place of nothing: the pass's other cards go on.
pub(crate) async fn add_card(
    reading: &mut Reading,
    lookup: &LookupKey,
    pass: PassId,
    card: Identification,
) -> Result<Step, HubError> {
    let Some(kept) = kept::find(reading, pass).await? else { return Ok(Step::Nothing) };
    let name: CardName = CardSecret::of(&card, lookup).name();
    if kept.sealed.locks.len() >= MAX_LOCKS {
        // The card counts all the same; only the name does not show with it.
        tracing::warn!(pass = pass.0, "a pass has more cards than its sealed part has locks");
        return Ok(Step::Nothing);
    }
    if kept.sealed.locks.iter().any(|lock| lock.card == name) {
        return Ok(Step::Nothing);
    }
    let what = What::AddCard(kept);
    Ok(Step::Seal(Box::new(Sealing { pass, cards: vec![card], what })))
}

/// Seals, slowly, beside the threads that serve desks.
pub(crate) async fn seal(
    of: Sealing,
    lookup: &LookupKey,
    surroundings: &Arc<dyn Surroundings>,
) -> Result<Sealed, HolderProblem> {
    let secrets: Vec<CardSecret> =
        of.cards.iter().map(|card| CardSecret::of(card, lookup)).collect();
    let (pass, what, surroundings) = (of.pass, of.what.clone(), surroundings.clone());
    let made = tokio::task::spawn_blocking(move || {
        let mut nonce = || surroundings.random::<NONCE_BYTES>();
        let failed = |error: SealError| cannot("made", &error);
        let holder = match what {
            What::AddCard(Kept { key, mut sealed }) => {
                let content_key = ContentKey::new(key);
                for secret in &secrets {
                    let cost = Cost::STANDARD;
                    sealed
                        .add_lock(pass, &content_key, secret, cost, &mut nonce)
                        .map_err(failed)?;
                }
                return Ok(Kept { key, sealed });
            }
            What::New(row) => holder_of(&row)?,
            What::Anew(kept) => {
                let key = ContentKey::new(kept.key);
                let opened = |error: OpenError| cannot("opened", &error);
                Holder {
                    details: kept.sealed.details(pass, &key).map_err(opened)?,
                    picture: kept.sealed.picture(pass, &key).map_err(opened)?,
                }
            }
        };
        let key: [u8; 32] = surroundings.random();
        let content_key = ContentKey::new(key);
        let cost = Cost::STANDARD;
        let sealed =
            crdt_model::holder::seal(&holder, pass, &content_key, &secrets, cost, &mut nonce);
        Ok(Kept { key, sealed: sealed.map_err(failed)? })
    });
    let kept: Result<Kept, HolderProblem> = made.await.map_err(|error| cannot("made", &error))?;
    Ok(Sealed { of, kept: kept? })
}

/// Does a step, in the writer's turn, where what it needs was sealed before; else gives what is to be sealed.
pub(crate) async fn take_step(
    writing: &mut Writing,
    pass: PassId,
    step: Step,
    sealed: Option<&Sealed>,
) -> Result<Option<Sealing>, HubError> {
    match (step, sealed) {
        (Step::Nothing, _) => Ok(None),
        (Step::Write(kept), _) => kept::write(writing, pass, &kept).await.map(|()| None),
        (Step::Seal(of), Some(sealed)) if sealed.of == *of => {
            kept::write(writing, pass, &sealed.kept).await.map(|()| None)
        }
        (Step::Seal(of), _) => Ok(Some(*of)),
    }
}
