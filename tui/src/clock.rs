//! The console's two clocks, and the time of the day at the venue.
//!
//! The clock on the wall may be set back by hours while the console runs. So everything that lasts for a while (a verdict
//! on the screen, an activity's code for the next card) is measured with a clock that never jumps, and the clock on the
//! wall only says what time it is.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

/// The time zone of the venues.
const TIME_ZONE: &str = "Europe/Brussels";

/// When the clock that never jumps was first asked.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// The clock on the wall, in milliseconds since the epoch.
    pub wall: i64,
    /// The clock that never jumps, in milliseconds since this process began to measure.
    pub steady: i64,
}

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        Self { wall: wall(), steady: steady() }
    }
}

/// This computer's clock on the wall, in milliseconds since the epoch.
pub fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The clock that never jumps, in milliseconds.
pub fn steady() -> i64 {
    i64::try_from(START.elapsed().as_millis()).unwrap_or(i64::MAX)
}

/// A moment of the clock on the wall, as the venue's day and time.
pub fn at_venue(wall: i64) -> jiff::Zoned {
    let zone = TimeZone::get(TIME_ZONE).unwrap_or(TimeZone::UTC);
    jiff::Timestamp::from_millisecond(wall).unwrap_or_default().to_zoned(zone)
}

/// Hours, minutes and seconds of a moment.
pub fn seconds(wall: i64) -> String {
    at_venue(wall).strftime("%H:%M:%S").to_string()
}

/// Hours and minutes of a moment.
pub fn minutes(wall: i64) -> String {
    at_venue(wall).strftime("%H:%M").to_string()
}
