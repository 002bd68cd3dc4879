//! When the hub received an entry, and what that proves about the entry's own time.
//!
//! A desk dates its entries by its own clock, which may be wrong. The hub's receipt proves two things:
//! an entry is not later than its receipt, and not earlier than the last moment at which the hub held
//! everything that the desk had written, provided that both clocks showed the same time at that moment.
//! Nothing else is proved: a desk may be without internet for weeks, and its times be right.

use crate::time::UnixMillis;

/// An entry may be dated so much outside of what its receipt allows: 5 minutes. Two computers whose
/// clocks are kept by a person agree within that. It is a constant and no policy: an entry's effect must
/// not change when somebody sets another policy.
pub const RECEIPT_TOLERANCE: i64 = 5 * 60 * 1000;

/// 2026-01-01, UTC: before it no desk had this software. A computer with a flat battery starts in 1970,
/// in 2000 or in the year in which it was built.
pub const NO_DESK_BEFORE: UnixMillis = UnixMillis(1_767_225_600_000);

/// When and after what the hub received an entry. The first receipt counts; a repeat changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The hub's time when it received the entry.
    pub at: UnixMillis,
    /// The last moment before the receipt at which the hub held everything that the desk had written,
    /// and the clocks of both agreed: what came later was written later. `None` where there was none.
    pub not_before: Option<UnixMillis>,
}

impl Receipt {
    /// Whether an entry of this receipt cannot have been written when it says.
    pub fn disproves(&self, at: UnixMillis) -> bool {
        if self.at < NO_DESK_BEFORE {
            // The hub's own clock was wrong, so the receipt proves nothing.
            return false;
        }
        let too_early = self.not_before.map_or(NO_DESK_BEFORE, |earliest| {
            earliest.plus(-RECEIPT_TOLERANCE).max(NO_DESK_BEFORE)
        });
        at < too_early || at > self.at.plus(RECEIPT_TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixMillis = UnixMillis(1_795_258_800_000);
    const HOUR: i64 = 3_600_000;

    fn received(not_before: Option<UnixMillis>) -> Receipt {
        Receipt { at: NOON, not_before }
    }

    #[test]
    fn an_entry_cannot_be_later_than_its_receipt() {
        assert!(!received(None).disproves(NOON));
        assert!(!received(None).disproves(NOON.plus(RECEIPT_TOLERANCE)));
        assert!(received(None).disproves(NOON.plus(RECEIPT_TOLERANCE + 1)));
    }

    #[test]
    fn weeks_without_internet_disprove_nothing() {
        assert!(!received(None).disproves(NOON.plus(-60 * 24 * HOUR)));
    }

    #[test]
    fn what_came_after_a_session_with_nothing_pending_is_not_older_than_that() {
        let receipt = received(Some(NOON.plus(-3 * HOUR)));
        assert!(!receipt.disproves(NOON.plus(-3 * HOUR - RECEIPT_TOLERANCE)));
        assert!(receipt.disproves(NOON.plus(-3 * HOUR - RECEIPT_TOLERANCE - 1)));
        assert!(receipt.disproves(NOON.plus(-48 * HOUR)));
    }

    #[test]
    fn no_desk_wrote_in_1970() {
        assert!(received(None).disproves(UnixMillis(0)));
        assert!(received(None).disproves(NO_DESK_BEFORE.plus(-1)));
        assert!(!received(None).disproves(NO_DESK_BEFORE));
    }

    #[test]
    fn a_hub_whose_clock_starts_in_1970_disproves_nothing() {
        let receipt = Receipt { at: UnixMillis(5 * HOUR), not_before: None };
        assert!(!receipt.disproves(NOON));
        assert!(!receipt.disproves(UnixMillis(0)));
    }
}
