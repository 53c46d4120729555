//! The engine: everything put together, started and stopped.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::event::Payload;
use cloakroom_core::id::{EventId, Key as StreamKey, SourceName, StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::RequestHead;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::append::Appender;
use crate::bell::{Bell, Rings, Workers};
use crate::catalog::{Catalog, Route};
use crate::inspect::{Attention, EventStatus, Listing, StreamStatus};
use crate::intake::{Budget, Intake, Refusal};
use crate::known::KnownHeads;
use crate::operate::{OperateError, ReplayFrom};
use crate::ports::{ClaimStore, Clock, Entropy, Ledger, Outgoing, PayloadStream, Reclaimed};
use crate::pull::Batch;
use crate::record::{DeadLetter, Key, Quarantined};
use crate::register::{StartError, register};
use crate::shared::{Active, ClaimLinks, Common, Holder, Settings, Settled, Shared, StoreError};
use crate::tail::Tail;

/// Everything the engine needs.
pub struct Parts {
    /// The sources and subscriptions.
    pub catalog: Catalog,
    /// Sizes and times.
    pub settings: Settings,
    /// How much may be under way at once.
    pub budget: Budget,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The claim store.
    pub claims: Arc<dyn ClaimStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Makes claim URLs.
    pub links: Arc<dyn ClaimLinks>,
}

/// A running engine. Cheap to clone; [`Engine::stop`] ends it for all.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    budget: Arc<Budget>,
    pub(crate) tasks: TaskTracker,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl Engine {
    /// Starts the workers. Must be called within a Tokio runtime.
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let holder = Holder {
            owner: format!("{:016x}", parts.entropy.next()),
            keeps_for: None,
        };
        let workers = Arc::new(Workers::new());
        let engine =
            Self::put_together(parts, holder, Rings::Workers(Arc::clone(&workers))).await?;
        engine.spawn_workers(&workers);
        Ok(engine)
    }

    /// Registers what is configured, and puts everything together; nothing works yet.
    pub(crate) async fn put_together(
        parts: Parts,
        holder: Holder,
        rings: Rings,
    ) -> Result<Self, StartError> {
        let Parts {
            catalog,
            settings,
            budget,
            ledger,
            claims,
            clock,
            entropy,
            links,
        } = parts;
        let active = register(&catalog, ledger.as_ref(), clock.now()).await?;
        let appender = Appender {
            ledger: Arc::clone(&ledger),
            clock: Arc::clone(&clock),
            known: KnownHeads::new(settings.retention),
        };
        let common = Common {
            catalog,
            settings,
            ledger,
            claims,
            clock,
            holder,
            entropy,
            links,
            appender,
            active,
            releases: Shared::release_channel(),
            settled: Settled::default(),
            stop: CancellationToken::new(),
        };
        Ok(Self {
            shared: Arc::new(Shared::new(common, rings)),
            budget: Arc::new(budget),
            tasks: TaskTracker::new(),
        })
    }

    /// Stops the workers after what they are sending right now, and waits for them. Everything else is in the ledger.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        if let Rings::Workers(workers) = &self.shared.rings {
            workers.resequence.close();
        }
        for active in self.shared.active.values() {
            active.bells.close();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Rings a doorbell, as a host does that follows the changes of a shared ledger. See [`Bell`].
    pub fn ring(&self, bell: Bell) {
        match bell.at {
            None => self.shared.ring_due(bell.due),
            Some(at) => self.shared.set_timer(at, bell.due),
        }
    }

    /// How many timers are set.
    #[cfg(test)]
    pub(crate) fn timers_set(&self) -> usize {
        match &self.shared.rings {
            Rings::Workers(workers) => workers.timers.len(),
            Rings::Gathered(_) => 0,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What was rung by operators, when there are no workers to hear it.
    pub(crate) fn take_rung(&self) -> Vec<Bell> {
        self.shared.rings.take()
    }

    /// Begins to take a webhook in. See [`Intake`].
    pub fn intake(&self, source: &str, head: &RequestHead<'_>) -> Result<Intake, Refusal> {
        self.intake_as_of(self.now(), source, head)
    }

    /// The same for a head that came at another time.
    pub(crate) fn intake_as_of(
        &self,
        came: Timestamp,
        source: &str,
        head: &RequestHead<'_>,
    ) -> Result<Intake, Refusal> {
        Intake::begin(&self.shared, &self.budget, source, head, came)
    }

    /// The configured sources and subscriptions.
    pub fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    /// The time, as the engine sees it.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Whether the ledger answers.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.shared
            .ledger
            .get(&Key::Source(SourceName::from("cloakroom")))
            .await?;
        Ok(())
    }

    /// Removes unreferenced claims that were written from `after` on and before now: what a crash left behind. Call it
    /// before any webhook is taken in.
    pub async fn reclaim_since(&self, after: Timestamp) -> Result<Reclaimed, StoreError> {
        let now = self.shared.clock.now();
        Ok(self
            .shared
            .claims
            .reclaim(Some(after), now, self.shared.as_ref())
            .await?)
    }

    /// An event and what became of it.
    pub async fn event(&self, id: &EventId) -> Result<Option<EventStatus>, StoreError> {
        self.shared.event_status(id).await
    }

    /// A stream and where everybody stands in it.
    pub async fn stream(&self, stream: &StreamId) -> Result<Option<StreamStatus>, StoreError> {
        self.shared.stream_status(stream).await
    }

    /// Streams, all of them or those that want attention.
    pub async fn streams(
        &self,
        attention: Option<Attention>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<StreamStatus>, StoreError> {
        self.shared.streams(attention, cursor, limit).await
    }

    /// The released events of a stream above `after`, in order; `None` when there is no such stream.
    pub async fn released(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Option<Vec<Outgoing>>, StoreError> {
        self.shared.released(stream, after, limit).await
    }

    /// What waits in quarantine.
    pub async fn quarantined(
        &self,
        source: Option<SourceName>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<Quarantined>, StoreError> {
        self.shared.quarantined(source, cursor, limit).await
    }

    /// What subscriptions gave up on.
    pub async fn dead_letters(
        &self,
        subscription: Option<SubscriptionName>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<DeadLetter>, StoreError> {
        self.shared.dead_letters(subscription, cursor, limit).await
    }

    /// Fetches events of a pull subscription; see [`Batch`].
    pub async fn pull(
        &self,
        name: &SubscriptionName,
        max: usize,
        wait: Duration,
    ) -> Result<Batch, OperateError> {
        Ok(self.shared.pull(self.pulled(name)?, max, wait).await?)
    }

    /// The subscription of this name, if it is one whose events are fetched.
    fn pulled(&self, name: &SubscriptionName) -> Result<&Active, OperateError> {
        let active = self.shared.active(name)?;
        if matches!(active.config.route, Route::Pull { .. }) {
            return Ok(active);
        }
        let text = format!("the events of subscription {name} are sent to its sink, not pulled");
        Err(OperateError::NotPossible(text))
    }

    /// Settles events of a pull subscription; how many were not settled before.
    pub async fn acknowledge(
        &self,
        name: &SubscriptionName,
        ids: &[EventId],
    ) -> Result<usize, OperateError> {
        Ok(self.shared.acknowledge(self.pulled(name)?, ids).await?)
    }

    /// Watches what is released for a subscription, from now on or after an event.
    pub async fn tail(
        &self,
        name: &SubscriptionName,
        last: Option<&EventId>,
    ) -> Result<Tail, OperateError> {
        self.shared.active(name)?;
        let active = Arc::clone(&self.shared.active[name]);
        Ok(Tail::start(Arc::clone(&self.shared), active, last).await?)
    }

    /// Moves cursors back; how many streams will be sent again.
    pub async fn replay(
        &self,
        name: &SubscriptionName,
        stream: Option<&StreamId>,
        from: &ReplayFrom,
    ) -> Result<usize, OperateError> {
        self.shared
            .replay(self.shared.active(name)?, stream, from)
            .await
    }

    /// Tries a parked stream again at once.
    pub async fn retry(
        &self,
        name: &SubscriptionName,
        stream: &StreamId,
    ) -> Result<(), OperateError> {
        self.shared.retry(self.shared.active(name)?, stream).await
    }

    /// Passes the event that a parked stream stopped at over, on record.
    pub async fn skip(
        &self,
        name: &SubscriptionName,
        stream: &StreamId,
    ) -> Result<EventId, OperateError> {
        self.shared.skip(self.shared.active(name)?, stream).await
    }

    /// Sends a dead letter once more.
    pub async fn redrive(
        &self,
        name: &SubscriptionName,
        stream: &StreamId,
        position: &Position,
    ) -> Result<(), OperateError> {
        self.shared
            .redrive(self.shared.active(name)?, stream, position)
            .await
    }

    /// Passes the gap a stream waits at over, whatever the policy says; the range.
    pub async fn skip_gap(&self, stream: &StreamId) -> Result<(u64, u64), OperateError> {
        self.shared.skip_gap(stream).await
    }

    /// Makes a quarantined webhook an event.
    pub async fn release(
        &self,
        id: &EventId,
        key: Option<StreamKey>,
        sequence: Option<String>,
    ) -> Result<(StreamId, Position), OperateError> {
        self.shared.release(id, key, sequence).await
    }

    /// Keeps a quarantined webhook for the record only.
    pub async fn discard(&self, id: &EventId) -> Result<(), OperateError> {
        self.shared.discard(id).await
    }

    /// Switches a subscription on again after a 410.
    pub async fn enable(&self, name: &SubscriptionName) -> Result<(), OperateError> {
        Ok(self.shared.enable(self.shared.active(name)?).await?)
    }

    /// Why a subscription gets nothing, if it is switched off by a 410.
    pub fn disabled_reason(&self, name: &SubscriptionName) -> Option<String> {
        let active = self.shared.active.get(name)?;
        active
            .disabled
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// When a subscription's name was first configured.
    pub fn since(&self, name: &SubscriptionName) -> Option<Timestamp> {
        Some(self.shared.active.get(name)?.since)
    }

    /// What is known of the payload of an event; `None` when there is no such event, or it has none.
    pub async fn payload(&self, id: &EventId) -> Result<Option<Payload>, StoreError> {
        self.shared.payload_of(id).await
    }

    /// The bytes of a payload, or a part of them (`range` in bytes; its end is clipped to the payload's).
    pub async fn read_payload(
        &self,
        payload: &Payload,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<PayloadStream, StoreError> {
        self.shared.read_payload(payload, range).await
    }
}
