//! Period limits: so many times in so long (`PeriodLimit` of the UiTPAS contract).

use jiff::civil::Date;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::time::day_number;

/// The calendar period that a limit counts in, by the venue's local time. Days run from 00:00,
/// weeks from Monday (UiTPAS 4.0, `redeemConstraint.period`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "UPPERCASE")]
#[cbor(index_only)]
pub enum PeriodType {
    /// Ever.
    #[n(0)]
    Absolute,
    /// A calendar day.
    #[n(1)]
    Day,
    /// A week, from Monday.
    #[n(2)]
    Week,
    /// A calendar month.
    #[n(3)]
    Month,
    /// A quarter, from January, April, July or October.
    #[n(4)]
    Quarter,
    /// A calendar year.
    #[n(5)]
    Year,
}

/// At most `volume` times in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeriodLimit {
    /// How many times.
    #[n(0)]
    pub volume: u32,
    /// In which period.
    #[n(1)]
    pub period_type: PeriodType,
}

/// One particular period, such as the week that contains a certain day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Window {
    /// Its kind.
    #[n(0)]
    pub period_type: PeriodType,
    /// Its number, counted from 1970 in its own unit.
    #[n(1)]
    pub number: i32,
}

impl PeriodType {
    /// The period of this kind that contains this local day.
    pub fn window(self, day: Date) -> Window {
        let months = i32::from(day.year() - 1970) * 12 + i32::from(day.month()) - 1;
        let number = match self {
            Self::Absolute => 0,
            Self::Day => day_number(day),
            // 1970-01-01 was a Thursday, three days into its week.
            Self::Week => (day_number(day) + 3).div_euclid(7),
            Self::Month => months,
            Self::Quarter => months.div_euclid(3),
            Self::Year => i32::from(day.year()),
        };
        Window { period_type: self, number }
    }
}

impl Window {
    /// Its first and its last day, in days since 1970-01-01; nothing for [`PeriodType::Absolute`], which
    /// has neither.
    pub fn days(self) -> Option<(i32, i32)> {
        let number = self.number;
        let months = |first: i32, many: i32| {
            let last = first.saturating_add(many);
            (first_day_of_month(first), first_day_of_month(last).saturating_sub(1))
        };
        match self.period_type {
            PeriodType::Absolute => None,
            PeriodType::Day => Some((number, number)),
            PeriodType::Week => {
                let first = number.saturating_mul(7).saturating_sub(3);
                Some((first, first.saturating_add(6)))
            }
            PeriodType::Month => Some(months(number, 1)),
            PeriodType::Quarter => Some(months(number.saturating_mul(3), 3)),
            PeriodType::Year => Some(months(number.saturating_sub(1970).saturating_mul(12), 12)),
        }
    }
}

/// The first day of a month, counted in months since 1970-01. A month outside of the calendar is
/// before or behind all days.
fn first_day_of_month(months: i32) -> i32 {
    let year = i16::try_from(1970 + i64::from(months.div_euclid(12)));
    let month = i8::try_from(months.rem_euclid(12) + 1);
    let date = year.ok().zip(month.ok()).and_then(|(year, month)| Date::new(year, month, 1).ok());
    date.map_or(if months < 0 { i32::MIN } else { i32::MAX }, day_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::cases;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(cases(2048))]

        #[test]
        fn the_days_of_a_window_are_those_that_it_is_the_window_of(number in -200_000i32..200_000) {
            let day = crate::time::date_of_day_number(number).unwrap();
            for period in [
                PeriodType::Day,
                PeriodType::Week,
                PeriodType::Month,
                PeriodType::Quarter,
                PeriodType::Year,
            ] {
                let window = period.window(day);
                let (first, last) = window.days().unwrap();
                prop_assert!((first..=last).contains(&number), "{period:?}");
                let of = |day| period.window(crate::time::date_of_day_number(day).unwrap());
                prop_assert_eq!(of(first), window);
                prop_assert_eq!(of(last), window);
                prop_assert_ne!(of(first - 1), window);
                prop_assert_ne!(of(last + 1), window);
            }
        }

        #[test]
        fn any_window_that_comes_over_the_wire_has_days(number in any::<i32>()) {
            for period_type in [PeriodType::Week, PeriodType::Month, PeriodType::Quarter, PeriodType::Year] {
                let (first, last) = Window { period_type, number }.days().unwrap();
                prop_assert!(first <= last || first == i32::MAX, "{first} to {last}");
            }
        }
    }

    #[test]
    fn a_window_holds_exactly_the_days_of_its_period() {
        let same = |period: PeriodType, a: &str, b: &str| {
            period.window(a.parse().unwrap()) == period.window(b.parse().unwrap())
        };
        assert!(same(PeriodType::Absolute, "1999-01-01", "2026-11-21"));
        assert!(!same(PeriodType::Day, "2026-11-20", "2026-11-21"));
        assert!(same(PeriodType::Week, "2026-11-16", "2026-11-22"), "Monday to Sunday");
        assert!(!same(PeriodType::Week, "2026-11-22", "2026-11-23"), "Sunday and Monday");
        assert!(same(PeriodType::Month, "2026-11-01", "2026-11-30"));
        assert!(!same(PeriodType::Month, "2025-11-01", "2026-11-01"));
        assert!(same(PeriodType::Quarter, "2026-10-01", "2026-12-31"));
        assert!(!same(PeriodType::Quarter, "2026-09-30", "2026-10-01"));
        assert!(same(PeriodType::Year, "2026-01-01", "2026-12-31"));
        assert!(!same(PeriodType::Year, "2025-12-31", "2026-01-01"));
    }
}
