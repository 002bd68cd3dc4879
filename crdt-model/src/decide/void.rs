//! May this entry be taken back?

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
    match target.fact {
        Fact::Void { .. } | Fact::Newer { .. } => Err(Reason::NothingToTakeBack),
        Fact::CheckIn { .. } | Fact::Visit | Fact::Redemption { .. } if taken_back => {
            Err(Reason::AlreadyTakenBack)
        }
        Fact::CheckIn { .. } | Fact::Visit | Fact::Redemption { .. }
            if now.since(target.at) > policy.undo_window =>
        {
            Err(Reason::TooLateToTakeBack)
        }
        Fact::CheckIn { .. } | Fact::Visit | Fact::Redemption { .. } => Ok(()),
    }
}
