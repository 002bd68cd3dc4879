//! Taking the desks' entries: judged, kept, folded, and the touched passes' new versions, all in
//! one transaction. What is acknowledged after it is on the disk.

use crdt_model::time::Calendar;

use crate::db::HubError;

mod fold;
mod take;

pub use fold::limits_of;
pub(crate) use fold::{New, fold_passes, fold_with};
pub(crate) use take::{Came, keep};
pub use take::{Taken, TakenAt, Taker, take};

/// The time zone in which limits count. The passes are those of Flanders, Brussels and the
/// Netherlands, which share it; an account must not depend on which venue's entries came last.
pub const TIME_ZONE: &str = "Europe/Brussels";

/// The calendar of the fold.
///
/// # Errors
/// [`HubError::Record`] where the bundled database lacks [`TIME_ZONE`].
pub fn calendar() -> Result<Calendar, HubError> {
    Calendar::of(TIME_ZONE).map_err(|error| HubError::Record(error.to_string()))
}
