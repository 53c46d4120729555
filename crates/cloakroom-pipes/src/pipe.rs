//! What all workers of a running pipe share.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::batch::Policy;
use crate::definition::Definition;
use crate::filter::Filters;
use crate::ports::{Checkpoint, ShardId};
use crate::runner::Parts;

/// How long to wait before an empty shard is read again: a pipe polls four times a second.
pub(crate) const POLL: Duration = Duration::from_millis(250);

/// The waits after something failed. AWS only says that a pipe backs off gradually.
const BACKOFF: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    base: Duration::from_millis(100),
    max: Duration::from_secs(20),
};

/// The runner was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// A running pipe.
pub(crate) struct Pipe {
    pub(crate) name: String,
    pub(crate) filters: Filters,
    pub(crate) policy: Policy,
    pub(crate) batch_size: usize,
    pub(crate) window: Duration,
    pub(crate) parts: Parts,
    pub(crate) stop: CancellationToken,
}

impl Pipe {
    pub(crate) fn new(definition: &Definition, parts: Parts, stop: CancellationToken) -> Arc<Self> {
        let stream = definition.stream();
        Arc::new(Self {
            name: definition.name.clone(),
            filters: definition.filters(),
            policy: Policy::new(stream),
            batch_size: usize::try_from(stream.batch_size).unwrap_or(usize::MAX),
            window: Duration::from_secs(stream.maximum_batching_window_in_seconds.into()),
            parts,
            stop,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Waits, unless the runner is told to stop.
    pub(crate) async fn pause(&self, wait: Duration) -> Result<(), Stopped> {
        self.pause_until(self.now().after(wait)).await
    }

    /// Waits, unless the runner is told to stop.
    pub(crate) async fn pause_until(&self, at: Timestamp) -> Result<(), Stopped> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Stopped),
            () = self.parts.clock.sleep_until(at) => Ok(()),
        }
    }

    /// Waits after something failed for the `failed`th time in a row.
    pub(crate) async fn back_off(&self, failed: u32) -> Result<(), Stopped> {
        let random = self.parts.entropy.next();
        let wait = BACKOFF.wait_after(failed, None, random);
        self.pause(wait.unwrap_or(BACKOFF.max)).await
    }

    /// Saves how far a shard came. A checkpoint that could not be saved only means that records are delivered again.
    pub(crate) async fn save(&self, shard: &ShardId, checkpoint: &Checkpoint) {
        if let Err(error) = self.parts.checkpoints.save(shard, checkpoint).await {
            tracing::warn!(pipe = self.name, %shard, %error, "a checkpoint was not saved");
        }
    }
}
