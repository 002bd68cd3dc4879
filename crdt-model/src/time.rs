//! Points in time and the venue's calendar. There is no clock here: every time is an argument.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Encode,
    Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct UnixMillis(#[n(0)] pub i64);

impl UnixMillis {
    /// This time, moved by so many milliseconds.
    #[must_use]
    pub fn plus(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to here; negative where `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

/// Midnight UTC at the start of this date: what an entry's time is written relative to.
pub fn utc_midnight(day: Date) -> UnixMillis {
    day.to_zoned(TimeZone::UTC)
        .map_or(UnixMillis(0), |zoned| UnixMillis(zoned.timestamp().as_millisecond()))
}

/// Days from 1970-01-01 to this date.
pub fn day_number(day: Date) -> i32 {
    let days = utc_midnight(day).0.div_euclid(86_400_000);
    i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX })
}

/// The date so many days after 1970-01-01, where the calendar reaches that far.
pub fn date_of_day_number(number: i32) -> Option<Date> {
    Date::constant(1970, 1, 1).checked_add(Span::new().try_days(i64::from(number)).ok()?).ok()
}

/// A time zone that the calendar does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone named {name}")]
pub struct UnknownTimeZone {
    /// The name that was asked for.
    pub name: String,
}

/// The venue's calendar: which local day a moment belongs to, daylight saving included.
#[derive(Clone)]
pub struct Calendar {
    zone: TimeZone,
}

impl Calendar {
    /// The calendar of an IANA time zone such as `Europe/Brussels`.
    ///
    /// # Errors
    /// [`UnknownTimeZone`] where the bundled database does not have it.
    pub fn of(name: &str) -> Result<Self, UnknownTimeZone> {
        let zone = TimeZone::get(name).map_err(|_| UnknownTimeZone { name: name.to_owned() })?;
        Ok(Self { zone })
    }

    /// The moment at which the clock on the wall shows this. Where it never does, for it was put
    /// forward, the moment of the same time span later; where it does twice, the first.
    pub fn moment(&self, local: jiff::civil::DateTime) -> Option<UnixMillis> {
        let zoned = local.to_zoned(self.zone.clone()).ok()?;
        Some(UnixMillis(zoned.timestamp().as_millisecond()))
    }

    /// The local day of this moment.
    pub fn day(&self, at: UnixMillis) -> Date {
        self.zone.to_datetime(at.timestamp()).date()
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calendar({})", self.zone.iana_name().unwrap_or("unnamed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_day_changes_at_local_midnight_in_winter_and_in_summer() {
        let brussels = Calendar::of("Europe/Brussels").unwrap();
        let day_at = |text: &str| {
            let at: Timestamp = text.parse().unwrap();
            brussels.day(UnixMillis(at.as_millisecond())).to_string()
        };
        assert_eq!(day_at("2026-11-20T22:59:59Z"), "2026-11-20");
        assert_eq!(day_at("2026-11-20T23:00:00Z"), "2026-11-21");
        assert_eq!(day_at("2026-07-20T21:59:59Z"), "2026-07-20");
        assert_eq!(day_at("2026-07-20T22:00:00Z"), "2026-07-21");
    }

    #[test]
    fn day_numbers_and_dates_are_the_same_thing_said_twice() {
        for text in ["1969-12-31", "1970-01-01", "2026-11-21"] {
            let date: Date = text.parse().unwrap();
            assert_eq!(date_of_day_number(day_number(date)), Some(date));
        }
    }
}
