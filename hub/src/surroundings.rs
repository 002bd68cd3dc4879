//! What the hub's logic takes from the world: the time and random bytes. A simulation gives others.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crdt_model::time::UnixMillis;
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// The clocks and the randomness of one hub process.
pub trait Surroundings: fmt::Debug + Send + Sync {
    /// The wall clock: in milliseconds since the epoch. It may jump.
    fn now(&self) -> UnixMillis;
    /// A clock that never jumps, from any begin.
    fn steady(&self) -> Duration;
    /// Fills this with random bytes that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Surroundings + '_ {
    /// So many random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A random number of 63 bits that is not 0: what fits a `BIGINT`.
    pub fn number(&self) -> u64 {
        (u64::from_le_bytes(self.random()) >> 1).max(1)
    }

    /// A stream of random numbers for whoever wants one.
    pub fn stream(&self) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(self.random())
    }
}

/// The system's clocks and randomness.
#[derive(Debug)]
pub struct System {
    begun: Instant,
}

impl Default for System {
    fn default() -> Self {
        Self { begun: Instant::now() }
    }
}

impl Surroundings for System {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn steady(&self) -> Duration {
        self.begun.elapsed()
    }

    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}
