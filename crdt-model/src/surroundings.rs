//! What logic takes from the world: the time and random bytes. A simulation gives others.

use std::fmt;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::time::UnixMillis;

/// The clocks and the randomness of one process.
pub trait Surroundings: fmt::Debug + Send + Sync {
    /// The wall clock: in milliseconds since the epoch. It may jump.
    fn now(&self) -> UnixMillis;
    /// A clock that never jumps, from any begin, and that goes on while the computer sleeps.
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
