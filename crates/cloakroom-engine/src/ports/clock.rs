//! Time and randomness, so that a simulation can own both.

use async_trait::async_trait;
use cloakroom_core::time::Timestamp;

/// The one source of time.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now. Never goes backwards within one process.
    fn now(&self) -> Timestamp;

    /// Returns once [`Clock::now`] is at or past `at`. Cancel-safe.
    async fn sleep_until(&self, at: Timestamp);
}

/// The one source of randomness. Used for jitter and for ids, never for secrets.
pub trait Entropy: Send + Sync + 'static {
    /// 64 uniformly distributed bits.
    fn next(&self) -> u64;
}
