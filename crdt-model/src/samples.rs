//! Data and strategies that the tests of several rooms share. Passes are numbers: nobody is meant.

use proptest::prelude::*;

use crate::entry::{Entry, EntryRef, Fact, Subject};
use crate::ids::{ActivityId, DeviceId, PassId, RewardId, Writer};
use crate::ledger::LedgerId;
use crate::time::UnixMillis;

/// Noon, Brussels time, on the day of [`ledger_id`].
pub(crate) const NOON: i64 = 1_795_258_800_000;

pub(crate) fn ledger_id() -> LedgerId {
    LedgerId { venue: "de-reede".parse().unwrap(), day: "2026-11-21".parse().unwrap() }
}

pub(crate) fn desk(n: u8) -> Writer {
    Writer { device: DeviceId([n; 16]), epoch: 1 }
}

pub(crate) fn entry(n: i64) -> Entry {
    Entry {
        at: UnixMillis(NOON + n),
        subject: Subject::Pass(PassId(7)),
        fact: Fact::CheckIn { activity: ActivityId(1), points: 1 },
    }
}

/// Any entry of a known kind, about one of a few passes.
pub(crate) fn some_entries() -> impl Strategy<Value = Entry> {
    let fact = prop_oneof![
        5 => (1u32..4).prop_map(|n| Fact::CheckIn { activity: ActivityId(n), points: n }),
        2 => Just(Fact::Visit),
        2 => (1u32..4).prop_map(|n| Fact::Redemption { reward: RewardId(n), points: 5 * n }),
        2 => (0u8..4, 0u64..12).prop_map(|(n, index)| Fact::Void {
            target: EntryRef { day: ledger_id().day, writer: desk(n), index },
        }),
    ];
    (0i64..1_000_000, 1u64..4, fact).prop_map(|(at, pass, fact)| Entry {
        at: UnixMillis(NOON + at),
        subject: Subject::Pass(PassId(pass)),
        fact,
    })
}
