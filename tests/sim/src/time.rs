//! Time: the runtime's, which is paused and jumps ahead when everything waits; the world's wall clock, which somebody may
//! set; and the clock of each host, which goes wrong in its own way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::Clock;
use tokio::time::Instant;

use crate::life::Life;

/// When every simulation begins.
const BEGINNING: i64 = 1_790_000_000_000_000;

/// The longest single sleep of a host, as on the machine's clock: a clock that is set forward is noticed after that time.
const NAP_MAX: Duration = Duration::from_secs(60);

/// The wall clock.
#[derive(Debug)]
pub struct WallClock {
    started: Instant,
    offset: AtomicI64,
}

impl WallClock {
    /// Starts with the simulation.
    #[expect(
        clippy::new_without_default,
        reason = "it reads the runtime's time: that is no default"
    )]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            offset: AtomicI64::new(0),
        }
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(BEGINNING + self.elapsed() + self.offset.load(Ordering::Relaxed))
    }

    /// Microseconds since the simulation began, whatever was done to the clock.
    pub fn elapsed(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// Somebody sets it, by so many microseconds forward or back.
    pub fn jump(&self, micros: i64) {
        self.offset.fetch_add(micros, Ordering::Relaxed);
    }
}

/// The clock of one process.
#[derive(Debug)]
pub struct HostClock {
    wall: Arc<WallClock>,
    skew: i64,
    /// Whether two looks at one moment show the same time.
    coarse: bool,
    latest: AtomicI64,
    life: Life,
}

impl HostClock {
    /// A clock that is `skew` microseconds ahead.
    pub fn new(wall: &Arc<WallClock>, skew: i64, coarse: bool, life: &Life) -> Self {
        Self {
            wall: Arc::clone(wall),
            skew,
            coarse,
            latest: AtomicI64::new(0),
            life: life.clone(),
        }
    }
}

#[async_trait]
impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        let shown = self.wall.now().as_micros() + self.skew;
        let latest = self.latest.load(Ordering::Relaxed);
        // Set back, it stands still (or nearly so) until it has caught up.
        let now = shown.max(latest + i64::from(!self.coarse));
        self.latest.store(now, Ordering::Relaxed);
        Timestamp::from_micros(now)
    }

    async fn sleep_until(&self, at: Timestamp) {
        loop {
            self.life.still_alive().await;
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            pass(left.min(NAP_MAX)).await;
        }
    }
}

/// Lets simulated time pass.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the simulated clock: the runtime's time is paused and jumps ahead when everything waits"
)]
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets so many milliseconds pass.
pub async fn pass_ms(millis: u64) {
    pass(Duration::from_millis(millis)).await;
}

/// Seconds, in short.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
