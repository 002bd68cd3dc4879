//! May this entry be taken back at a desk? Later only the hub can correct, by an entry of its own.

use crate::catalogue::Policy;
use crate::decide::Reason;
use crate::entry::{Entry, Fact};
use crate::time::UnixMillis;

/// Nothing, where it may. `taken_back` says whether it was taken back before.
///
/// # Errors
/// The [`Reason`] for which it may not.
pub fn void(
    target: &Entry,
    taken_back: bool,
    policy: &Policy,
    now: UnixMillis,
) -> Result<(), Reason> {
    let can_be = match target.fact {
        Fact::CheckIn { .. }
        | Fact::Visit
        | Fact::ExternalVisit
        | Fact::Redemption { .. }
        | Fact::TicketSale { .. } => true,
        Fact::Void { .. } | Fact::Newer { .. } => false,
    };
    if !can_be {
        Err(Reason::NothingToTakeBack)
    } else if taken_back {
        Err(Reason::AlreadyTakenBack)
    } else if now.since(target.at) > policy.undo_window {
        Err(Reason::TooLateToTakeBack)
    } else {
        Ok(())
    }
}
