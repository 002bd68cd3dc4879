//! An entry that is taken back.

use super::Counter;
use super::decision::{Decision, Kind, Verdict, points_change};
use crate::decide;
use crate::entry::{Entry, EntryRef, Fact};

/// The entry that is to be taken back.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The entry.
    pub entry: &'a Entry,
    /// Its place: where it stood first, for a copy may get another place.
    pub place: EntryRef,
    /// Whether it was taken back before.
    pub taken_back: bool,
}

/// Answers whether an entry is taken back.
pub fn void(target: &Target<'_>, counter: &Counter<'_>) -> Decision {
    let Target { entry, place, taken_back } = *target;
    let here = &counter.here;
    let title = counter.title_of(&entry.fact).map(ToOwned::to_owned);
    let decision = match decide::void(entry, taken_back, here.policy, here.now) {
        Ok(()) => {
            let fact = Fact::Void { target: place };
            let void = Entry { at: here.now, subject: entry.subject, fact };
            Decision {
                points_change: -points_change(&entry.fact),
                ..Decision::said(Kind::Void, Verdict::Welcome(void))
            }
        }
        Err(reason) => Decision::refused(Kind::Void, reason),
    };
    Decision { title, ..decision }
}
