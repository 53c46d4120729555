//! Time and chance, both owned by the test.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::time::Timestamp;
use tokio::time::Instant;

use crate::ports::{Clock, Entropy};

/// When every simulation begins.
const BEGINNING: i64 = 1_790_000_000_000_000;

/// The paused clock of the runtime. One microsecond passes with every look, so that no two looks see the same time.
pub(super) struct SimClock {
    started: Instant,
    latest: AtomicI64,
    stands_still: AtomicBool,
}

impl SimClock {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            latest: AtomicI64::new(BEGINNING),
            stands_still: AtomicBool::new(false),
        }
    }

    /// What a clock does after it was set back: it shows the same time until the world has caught up.
    pub(super) fn stand_still(&self, still: bool) {
        self.stands_still.store(still, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        if self.stands_still.load(Ordering::Relaxed) {
            return Timestamp::from_micros(self.latest.load(Ordering::Relaxed));
        }
        let elapsed = i64::try_from(self.started.elapsed().as_micros()).unwrap();
        let next = |latest: i64| Some((latest + 1).max(BEGINNING + elapsed));
        let before = self
            .latest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .unwrap();
        Timestamp::from_micros(next(before).unwrap())
    }

    async fn sleep_until(&self, at: Timestamp) {
        loop {
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            pass(left).await;
        }
    }
}

/// Lets simulated time pass.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the simulated clock: the runtime's time is paused and jumps ahead when everything waits"
)]
pub(super) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets time pass until `condition` holds. Fails with `what` when it still does not after three hours.
pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < Duration::from_secs(3 * 60 * 60),
            "it never came to this: {what}"
        );
        // Short steps first, so that what takes no time is seen at once; then ever longer ones.
        pass((started.elapsed() / 16).max(Duration::from_millis(1))).await;
    }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
pub(super) struct SimEntropy(AtomicU64);

impl SimEntropy {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number below `bound`.
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Whether something that happens `percent` times in a hundred happens now.
    pub(super) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

impl Entropy for SimEntropy {
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
