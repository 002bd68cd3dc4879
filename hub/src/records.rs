//! What the hub keeps, one file a kind of record: the SQL and the columns, read by their names. No rule of the hub is
//! here; who calls knows why.

pub(crate) mod card_keys;
pub(crate) mod catalogue;
pub(crate) mod devices;
pub(crate) mod entries;
pub(crate) mod holders;
pub(crate) mod imported;
pub(crate) mod invitations;
pub(crate) mod lists;
pub(crate) mod log;
pub(crate) mod meta;
pub(crate) mod notices;
pub mod passes;
pub(crate) mod quarantine;
pub(crate) mod requests;
pub mod runs;
pub(crate) mod stock;
pub(crate) mod venues;

use crate::db::HubError;

/// A record's bytes.
pub(crate) fn encoded<T: minicbor::Encode<()>>(record: &T) -> Result<Vec<u8>, HubError> {
    minicbor::to_vec(record).map_err(|error| HubError::Record(error.to_string()))
}
