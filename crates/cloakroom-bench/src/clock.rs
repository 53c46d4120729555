//! The bench's own clock: it measures from outside, so it reads the machine's clock directly.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How often [`until`] looks.
const LOOK: Duration = Duration::from_millis(2);

/// The machine's monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "measuring is what this program does"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Lets others run for a while.
#[expect(
    clippy::disallowed_methods,
    reason = "measuring is what this program does"
)]
pub(crate) async fn nap(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Holds up this thread until `at`. Finer than the timers of tokio, which count in milliseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "an open loop keeps its schedule to the microsecond"
)]
pub(crate) fn hold_until(at: Instant) {
    let left = at.saturating_duration_since(now());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}

/// Waits until `done` says so.
///
/// # Errors
/// When it has not come to that after `limit`.
pub(crate) async fn until(
    what: &str,
    limit: Duration,
    mut done: impl AsyncFnMut() -> bool,
) -> anyhow::Result<()> {
    let end = now() + limit;
    while !done().await {
        if now() > end {
            bail!("waited {limit:?} in vain: {what}");
        }
        nap(LOOK).await;
    }
    Ok(())
}
