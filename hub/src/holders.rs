//! The sealed parts of pass records: names, days of birth, pictures. The hub seals them and keeps the
//! content keys, so that a new card can be given a lock; desks get what only a card opens.

use catalogue_file::HolderRow;
use crdt_model::catalogue::{CardName, LookupKey};
use crdt_model::holder::{
    CardSecret, ContentKey, Cost, Details, Holder, MAX_LOCKS, NONCE_BYTES, Picture, SealedHolder,
    seal,
};
use crdt_model::ids::{Identification, PassId};
use data_encoding::BASE64;
use rand::RngExt;
use sqlx::{Row, SqliteConnection, SqlitePool};
use sync_protocol::frame::MAX_FRAME_BYTES;
use sync_protocol::message::{HoldersPage, SealedPart};
use thiserror::Error;

use crate::db::{HubError, from_sql, to_sql};
use crate::ledgers::encoded;

/// Bytes of sealed parts in one page: what fits a frame with room for the rest.
const PAGE_BYTES: usize = MAX_FRAME_BYTES / 2;

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

impl From<sqlx::Error> for HolderProblem {
    fn from(error: sqlx::Error) -> Self {
        Self::Hub(error.into())
    }
}

fn cannot(what: &str, error: &dyn std::fmt::Display) -> HubError {
    HubError::Record(format!("a sealed part cannot be {what}: {error}"))
}

fn nonce() -> [u8; NONCE_BYTES] {
    rand::rng().random()
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

/// Seals slowly, beside the threads that serve desks.
async fn sealed_anew(
    holder: Holder,
    pass: PassId,
    cards: Vec<CardSecret>,
) -> Result<([u8; 32], SealedHolder), HubError> {
    let made = tokio::task::spawn_blocking(move || {
        let random: [u8; 32] = rand::rng().random();
        let key = ContentKey::new(random);
        seal(&holder, pass, &key, &cards, Cost::STANDARD, &mut nonce).map(|sealed| (random, sealed))
    });
    made.await.map_err(|error| cannot("made", &error))?.map_err(|error| cannot("made", &error))
}

struct Kept {
    key: [u8; 32],
    sealed: SealedHolder,
}

async fn kept(connection: &mut SqliteConnection, pass: PassId) -> Result<Option<Kept>, HubError> {
    let row = sqlx::query("SELECT content_key, sealed FROM holder WHERE pass = ?")
        .bind(to_sql(pass.0))
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let key = row.get::<Vec<u8>, _>(0).try_into();
    Ok(Some(Kept {
        key: key.map_err(|_| HubError::Record("a content key has another length".to_owned()))?,
        sealed: minicbor::decode(row.get(1))?,
    }))
}

async fn write(
    connection: &mut SqliteConnection,
    pass: PassId,
    key: &[u8; 32],
    sealed: &SealedHolder,
) -> Result<(), HubError> {
    sqlx::query(
        "INSERT OR REPLACE INTO holder (pass, content_key, sealed, version)
         VALUES (?, ?, ?, (SELECT COALESCE(MAX(version), 0) + 1 FROM holder))",
    )
    .bind(to_sql(pass.0))
    .bind(&key[..])
    .bind(encoded(sealed)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a row's holder can be sealed: looked at before anything is taken.
pub(crate) fn check(row: &HolderRow) -> Result<(), HolderProblem> {
    holder_of(row).map(drop)
}

/// Keeps what a row says of a holder in a transaction of its own: sealing takes long, and desks wait
/// for their acknowledgements meanwhile.
pub(crate) async fn keep_apart(
    pool: &SqlitePool,
    lookup: &LookupKey,
    pass: PassId,
    cards: &[Identification],
    row: &HolderRow,
) -> Result<bool, HolderProblem> {
    let mut connection = pool.acquire().await?;
    keep(&mut connection, lookup, pass, cards, row).await
}

/// Keeps what a row says of a holder, sealed for these cards, and says whether that is news.
pub(crate) async fn keep(
    connection: &mut SqliteConnection,
    lookup: &LookupKey,
    pass: PassId,
    cards: &[Identification],
    row: &HolderRow,
) -> Result<bool, HolderProblem> {
    let holder = holder_of(row)?;
    let secrets: Vec<CardSecret> = cards.iter().map(|card| CardSecret::of(card, lookup)).collect();
    if let Some(kept) = kept(connection, pass).await? {
        let key = ContentKey::new(kept.key);
        let same_cards = secrets.len() == kept.sealed.locks.len()
            && secrets.iter().all(|it| kept.sealed.locks.iter().any(|lock| lock.card == it.name()));
        let same = kept.sealed.details(pass, &key).is_ok_and(|it| it == holder.details)
            && kept.sealed.picture(pass, &key).is_ok_and(|it| it == holder.picture);
        if same && same_cards {
            return Ok(false);
        }
    }
    let (key, sealed) = sealed_anew(holder, pass, secrets).await?;
    write(connection, pass, &key, &sealed).await?;
    Ok(true)
}

/// The cards of a pass changed: its sealed part is sealed anew, under a new key, for these cards.
/// Whoever finds a lost card and an old copy of the catalogue opens what was in it, and nothing that
/// came later.
pub(crate) async fn seal_anew(
    connection: &mut SqliteConnection,
    lookup: &LookupKey,
    pass: PassId,
    cards: &[Identification],
) -> Result<(), HubError> {
    let Some(kept) = kept(connection, pass).await? else { return Ok(()) };
    let key = ContentKey::new(kept.key);
    let holder = Holder {
        details: kept.sealed.details(pass, &key).map_err(|error| cannot("opened", &error))?,
        picture: kept.sealed.picture(pass, &key).map_err(|error| cannot("opened", &error))?,
    };
    let secrets: Vec<CardSecret> = cards.iter().map(|card| CardSecret::of(card, lookup)).collect();
    if secrets.is_empty() {
        // Nobody has a card that opens it. It is kept for the next one, without any lock.
        let mut sealed = kept.sealed;
        sealed.locks.clear();
        return write(connection, pass, &kept.key, &sealed).await;
    }
    let (key, sealed) = sealed_anew(holder, pass, secrets).await?;
    write(connection, pass, &key, &sealed).await
}

/// Gives one more card a lock, in place of nothing: the pass's other cards go on.
pub(crate) async fn add_card(
    connection: &mut SqliteConnection,
    lookup: &LookupKey,
    pass: PassId,
    card: &Identification,
) -> Result<(), HubError> {
    let Some(Kept { key, mut sealed }) = kept(connection, pass).await? else { return Ok(()) };
    let secret = CardSecret::of(card, lookup);
    let name: CardName = secret.name();
    if sealed.locks.len() >= MAX_LOCKS {
        // The card counts all the same; only the name does not show with it.
        tracing::warn!(pass = pass.0, "a pass has more cards than its sealed part has locks");
        return Ok(());
    }
    if sealed.locks.iter().any(|lock| lock.card == name) {
        return Ok(());
    }
    let locked = tokio::task::spawn_blocking(move || {
        let content_key = ContentKey::new(key);
        sealed.add_lock(pass, &content_key, &secret, Cost::STANDARD, &mut nonce).map(|()| sealed)
    });
    let sealed = locked
        .await
        .map_err(|error| cannot("locked", &error))?
        .map_err(|error| cannot("locked", &error))?;
    write(connection, pass, &key, &sealed).await
}

/// The version of the newest sealed part.
///
/// # Errors
/// [`HubError`].
pub async fn version(pool: &SqlitePool) -> Result<u64, HubError> {
    let version: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM holder").fetch_one(pool).await?;
    Ok(from_sql(version))
}

/// The sealed parts behind version `from`, or nothing where the desk has all.
///
/// # Errors
/// [`HubError`].
pub async fn page(pool: &SqlitePool, from: u64) -> Result<Option<HoldersPage>, HubError> {
    let rows = sqlx::query(
        "SELECT version, pass, sealed FROM holder WHERE version > ? ORDER BY version LIMIT 200",
    )
    .bind(to_sql(from))
    .fetch_all(pool)
    .await?;
    let (mut bytes, mut to, mut holders) = (0, from, Vec::new());
    for row in &rows {
        let sealed: &[u8] = row.get(2);
        bytes += sealed.len();
        if bytes > PAGE_BYTES && !holders.is_empty() {
            break;
        }
        to = from_sql(row.get(0));
        holders.push(SealedPart {
            pass: PassId(from_sql(row.get(1))),
            sealed: Some(minicbor::decode(sealed)?),
        });
    }
    Ok((!holders.is_empty()).then_some(HoldersPage { to, holders, stamp: None }))
}
