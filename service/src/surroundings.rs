//! The clocks and the randomness of this computer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crdt_model::surroundings::Surroundings;
use crdt_model::time::UnixMillis;
use rand::Rng;

/// The system's clocks and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Surroundings for System {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn steady(&self) -> Duration {
        // The clock since the start of the computer goes on while that sleeps; Linux alone has it under this name.
        #[cfg(target_os = "linux")]
        let clock = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = rustix::time::ClockId::Monotonic;
        let steady = rustix::time::clock_gettime(clock);
        let seconds = u64::try_from(steady.tv_sec).unwrap_or_default();
        Duration::new(seconds, u32::try_from(steady.tv_nsec).unwrap_or_default())
    }

    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}
