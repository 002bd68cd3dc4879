//! Data and strategies that the tests of several rooms share. Passes are numbers: nobody is meant.

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::entry::{Entry, EntryRef, Fact, Subject, TariffKind};
use crate::ids::{ActivityId, CouponId, DeviceId, PassId, RewardId, Writer};
use crate::ledger::LedgerId;
use crate::money::{Cents, Shares};
use crate::stock::{GrantId, Unit};
use crate::time::{Calendar, UnixMillis};

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
        2 => (1u32..4).prop_map(|n| Fact::Redemption {
            reward: RewardId(n),
            points: 5 * n,
            unit: (n == 3).then_some(Unit { grant: GrantId(1), unit: n }),
        }),
        1 => Just(Fact::ExternalVisit),
        2 => (1u32..3, 0u32..3, 1u16..4).prop_map(|(activity, tariff, tickets)| Fact::TicketSale {
            activity: ActivityId(activity),
            tickets,
            tariff: [
                TariffKind::Regular,
                TariffKind::SocialTariff,
                TariffKind::Coupon(CouponId(1)),
            ][tariff as usize],
            shares: Shares { holder: Cents(200), city: Cents(400), organiser: Cents(400) },
        }),
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

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const DAY: i64 = 24 * 60 * MINUTE;

/// So many cases of a law, without a file of earlier failures: what failed once becomes a test.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

pub(crate) fn noon() -> UnixMillis {
    UnixMillis(NOON)
}

pub(crate) fn brussels() -> Calendar {
    Calendar::of("Europe/Brussels").unwrap()
}

/// A fact about pass 1, so many minutes after [`NOON`].
pub(crate) fn fact_at(minute: i64, fact: Fact) -> Entry {
    Entry { at: noon().plus(minute * MINUTE), subject: Subject::Pass(PassId(1)), fact }
}

/// The bytes of any entry in the list of desk 1, a third of them with a field of a newer version.
pub(crate) fn any_entry_bytes() -> impl Strategy<Value = Vec<u8>> {
    let newer_field = prop::option::weighted(0.33, prop::collection::vec(any::<u8>(), 0..180));
    (some_entries(), newer_field).prop_map(|(entry, newer_field)| {
        let bytes = entry.encode(ledger_id().day, &desk(1));
        match newer_field {
            Some(field) => with_newer_field(bytes, &field),
            None => bytes,
        }
    })
}

/// An entry's bytes with one field more, as a later version might write it.
pub(crate) fn with_newer_field(mut bytes: Vec<u8>, field: &[u8]) -> Vec<u8> {
    bytes[0] += 1;
    let mut encoder = minicbor::Encoder::new(&mut bytes);
    encoder.u32(40).unwrap().bytes(field).unwrap();
    bytes
}
