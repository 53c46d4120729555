//! The workers of a server: each waits for a doorbell, looks at its stream, and waits again.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::id::StreamId;
use futures::FutureExt as _;

use crate::bell::Workers;
use crate::catalog::Route;
use crate::engine::Engine;
use crate::ports::LedgerError;
use crate::shared::{Shared, StoreError};
use crate::sweeper::{SLICE, SLICE_SHARED, Sweep};

/// How many streams are resequenced at once: enough to fill a group commit.
const RESEQUENCERS: usize = 64;
/// How many streams one subscription is served in at once.
const DELIVERERS: usize = 64;
/// How long the rolling sweep rests between two slices once it has been round.
const SWEEP_REST: Duration = Duration::from_secs(1);
/// The same on a shared ledger, where others sweep too.
const SWEEP_REST_SHARED: Duration = Duration::from_secs(60);
/// How long a worker waits after a store failed.
const STORE_REST: Duration = Duration::from_millis(500);
/// How many slices of the sweep pass between two looks for unreferenced claims and for old decisions.
const RECLAIM_EVERY: u32 = 3_600;

impl Engine {
    pub(crate) fn spawn_workers(&self, workers: &Arc<Workers>) {
        for _ in 0..RESEQUENCERS {
            let (shared, workers) = (Arc::clone(&self.shared), Arc::clone(workers));
            self.tasks.spawn(async move {
                while let Some(stream) = workers.resequence.next().await {
                    let work = async { Ok(shared.resequence(&stream).await?) };
                    let outcome = unwound(work).await;
                    workers.resequence.done(&stream);
                    if shared.rest_after("resequencing", &stream, outcome).await {
                        workers.resequence.ring(stream);
                    }
                }
            });
        }
        for active in self
            .shared
            .active
            .values()
            .filter(|active| matches!(active.config.route, Route::Push(_)))
        {
            for _ in 0..DELIVERERS {
                let (shared, active) = (Arc::clone(&self.shared), Arc::clone(active));
                self.tasks.spawn(async move {
                    while let Some(stream) = active.bells.next().await {
                        let outcome = unwound(shared.deliver(&active, &stream, None)).await;
                        active.bells.done(&stream);
                        if shared.rest_after("delivering", &stream, outcome).await {
                            active.bells.ring(stream);
                        }
                    }
                });
            }
        }
        let (shared, workers) = (Arc::clone(&self.shared), Arc::clone(workers));
        self.spawn_until_stop(async move {
            loop {
                let due = workers.timers.next(shared.clock.as_ref()).await;
                shared.ring_due(due);
            }
        });
        let shared = Arc::clone(&self.shared);
        self.spawn_until_stop(async move { shared.sweep_for_ever().await });
    }

    fn spawn_until_stop(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.shared.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

impl Shared {
    /// Waits a while after a store failed; whether to try again.
    async fn rest_after(
        &self,
        what: &str,
        stream: &StreamId,
        outcome: Result<(), StoreError>,
    ) -> bool {
        let Err(error) = outcome else { return false };
        tracing::error!(%stream, %error, "{what} failed");
        metrics::counter!("cloakroom_store_errors_total").increment(1);
        tokio::select! {
            biased;
            () = self.clock.sleep_until(self.clock.now().after(STORE_REST)) => true,
            () = self.stop.cancelled() => false,
        }
    }

    async fn sweep_for_ever(&self) {
        while let Err(error) = self.recall_timers().await {
            tracing::error!(%error, "the timers could not be read");
            self.clock
                .sleep_until(self.clock.now().after(STORE_REST))
                .await;
        }
        let (slice, rest) = match self.ledger.is_exclusive() {
            true => (SLICE, SWEEP_REST),
            false => (SLICE_SHARED, SWEEP_REST_SHARED),
        };
        let mut sweep = Sweep::default();
        let mut slices: u32 = 0;
        let mut been_round = false;
        let mut reclaimed_until = None;
        loop {
            let failed = match self.sweep(&mut sweep, slice).await {
                Ok(last) => {
                    been_round |= last;
                    false
                }
                Err(error) => {
                    tracing::error!(%error, "the sweep failed");
                    true
                }
            };
            slices = slices.wrapping_add(1);
            if slices.is_multiple_of(RECLAIM_EVERY) {
                if let Err(error) = self.forget_resolved().await {
                    tracing::error!(%error, "old decisions could not be removed");
                }
                match self.reclaim_orphans(reclaimed_until).await {
                    Ok((_, until)) => reclaimed_until = Some(until),
                    Err(error) => {
                        tracing::error!(%error, "unreferenced claims could not be removed");
                    }
                }
            }
            if been_round || failed {
                self.clock.sleep_until(self.clock.now().after(rest)).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Turns a panic (a sink's, say) into a failure of this one look, so that its stream is not busy for ever.
async fn unwound(work: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => Err(LedgerError::Unavailable("a worker panicked; this is a bug".into()).into()),
    }
}
