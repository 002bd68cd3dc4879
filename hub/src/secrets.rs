//! The hub's secrets in its database, made at first use.

use crdt_model::catalogue::LookupKey;
use sync_protocol::request::RequestKey;

use crate::db::{Db, HubError};
use crate::records::meta;

/// The key under which cards are looked up in the catalogue.
///
/// # Errors
/// [`HubError`].
pub async fn lookup_key(db: &Db) -> Result<LookupKey, HubError> {
    secret(db, "lookup_key").await.map(LookupKey)
}

/// The key to which desks seal their requests.
///
/// # Errors
/// [`HubError`].
pub async fn request_key(db: &Db) -> Result<RequestKey, HubError> {
    secret(db, "request_key").await.map(|seed| RequestKey::from_seed(&seed))
}

/// 32 random bytes under this name.
async fn secret(db: &Db, name: &str) -> Result<[u8; 32], HubError> {
    let mut reading = db.read().await?;
    let mut kept = meta::value(&mut reading, name).await?;
    drop(reading);
    if kept.is_none() {
        let made: [u8; 32] = db.surroundings().random();
        let mut writing = db.write().await?;
        // Two may make one at once: the first counts.
        meta::keep_first(&mut writing, name, &made).await?;
        kept = meta::value(&mut writing, name).await?;
        writing.commit().await?;
    }
    let wrong = || HubError::Record(format!("the {name} has another length"));
    kept.unwrap_or_default().try_into().map_err(|_| wrong())
}
