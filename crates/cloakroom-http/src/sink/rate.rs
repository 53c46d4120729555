//! At most so many requests in a time, spread evenly.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::Clock;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;

/// How long a request may wait for its turn.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What may start at once after a pause: as much as this time allows. Timers are too coarse to space single requests
/// at high rates.
const BURST: Duration = Duration::from_millis(100);

/// So many requests in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long. Not zero.
    pub per: Duration,
}

/// Lets requests through one after the other, in the order in which they came.
pub(super) struct Throttle {
    limiter: RateLimiter<NotKeyed, InMemoryState, PortClock, NoOpMiddleware<Duration>>,
    turn: Mutex<()>,
    clock: Arc<dyn Clock>,
}

impl Throttle {
    pub(super) fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let period = (rate.per / rate.count.get()).max(Duration::from_nanos(1));
        let burst = u32::try_from(BURST.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX);
        let quota = Quota::with_period(period)
            .expect("the period is not zero")
            .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::direct_with_clock(quota, PortClock(Arc::clone(&clock))),
            turn: Mutex::new(()),
            clock,
        }
    }

    /// Returns when a request may be sent.
    ///
    /// # Errors
    /// The time after which to try again, when the turn did not come in [`PATIENCE`].
    pub(super) async fn admit(&self) -> Result<(), Duration> {
        let deadline = self.clock.now().after(PATIENCE);
        tokio::select! {
            biased;
            () = self.next_turn() => Ok(()),
            () = self.clock.sleep_until(deadline) => Err(PATIENCE),
        }
    }

    async fn next_turn(&self) {
        let _turn = self.turn.lock().await;
        while let Err(early) = self.limiter.check() {
            let now = self.clock.now();
            let wait = early.wait_time_from(since_epoch(now));
            // A clock that counts microseconds would otherwise be asked again too early.
            let at = now.after(wait).after(Duration::from_micros(1));
            self.clock.sleep_until(at).await;
        }
    }
}

/// The engine's clock, as governor reads one.
#[derive(Clone)]
struct PortClock(Arc<dyn Clock>);

impl GovernorClock for PortClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        since_epoch(self.0.now())
    }
}

fn since_epoch(at: Timestamp) -> Duration {
    at.since(Timestamp::default())
}
