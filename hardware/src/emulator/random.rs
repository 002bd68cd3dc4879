//! The random numbers of an emulated card: the same ones in every run, so that a test that fails can
//! be run again.

use crate::authentic::Key;

/// Bytes that follow from a seed: AES in counter mode.
#[derive(Debug, Clone)]
pub(super) struct Random {
    seed: u64,
    taken: u64,
    /// Given before the others: what a published example says that the card chose.
    first: Vec<u8>,
}

impl Random {
    /// Those of this seed.
    pub(super) fn of(seed: u64) -> Self {
        Self { seed, taken: 0, first: Vec::new() }
    }

    /// These bytes, then those of seed 0.
    #[cfg(test)]
    pub(super) fn that_begins(first: &[u8]) -> Self {
        Self { first: first.to_vec(), ..Self::of(0) }
    }

    /// The next ones.
    pub(super) fn next<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn byte(&mut self) -> u8 {
        if !self.first.is_empty() {
            return self.first.remove(0);
        }
        let mut counter = [0; 16];
        counter[..8].copy_from_slice(&self.seed.to_be_bytes());
        counter[8..].copy_from_slice(&self.taken.to_be_bytes());
        self.taken += 1;
        Key::new([0x5e; 16]).encrypted(counter)[0]
    }
}
