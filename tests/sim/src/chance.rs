//! Everything that is left to chance: the same numbers for the same seed, everywhere.

use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom_engine::ports::Entropy;

/// SplitMix64.
#[derive(Debug)]
pub struct Chance(AtomicU64);

impl Chance {
    /// The numbers of this seed; `use_for` tells apart what must not share a sequence.
    pub fn new(seed: u64, use_for: &str) -> Self {
        let mix = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(AtomicU64::new(
            use_for.bytes().fold(seed.wrapping_mul(0x9e37_79b9), mix),
        ))
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index into something of this length, which is not 0.
    pub fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("an index is below a length")
    }

    /// Whether something that happens `percent` times in a hundred happens now.
    pub fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<T: Copy>(&self, of: &[T]) -> T {
        of[self.index(of.len())]
    }
}

impl Entropy for Chance {
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
