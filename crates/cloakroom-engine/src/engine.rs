//! The engine: everything put together, started and stopped.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use cloakroom_core::event::Payload;
use cloakroom_core::id::{EventId, Key as StreamKey, SourceName, StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::RequestHead;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::append::Appender;
use crate::bell::{Bell, Rings, Workers};
use crate::catalog::{Catalog, Route, Source, Subscription};
use crate::doorbell::Doorbells;
use crate::inspect::{Attention, EventStatus, Listing, StreamStatus};
use crate::intake::{Budget, Intake, Refusal};
use crate::known::KnownHeads;
use crate::operate::{OperateError, ReplayFrom};
use crate::ports::{
    ClaimStore, Clock, Entropy, Ledger, LedgerError, Outgoing, PayloadStream, Reclaimed,
    TransactError, Write,
};
use crate::pull::{Batch, Ready};
use crate::record::{DeadLetter, Key, Quarantined, Record, SourceRecord, SubscriptionRecord};
use crate::shared::{Active, ClaimLinks, Common, Holder, Settings, Settled, Shared, StoreError};
use crate::sweeper::{SLICE, Sweep};
use crate::tail::Tail;

/// How many records are looked up at once when an engine starts: on a shared ledger each is a round trip, and each one
/// under way needs a connection.
const REGISTERED_AT_ONCE: usize = 8;
/// How many streams are resequenced at once: enough to fill a group commit.
const RESEQUENCERS: usize = 64;
/// How many streams one subscription is served in at once.
const DELIVERERS: usize = 64;
/// How long the rolling sweep rests between two slices once it has been round.
const SWEEP_REST: Duration = Duration::from_secs(1);
/// The same on a shared ledger, where every visit costs reads that are paid for, and others sweep too.
const SWEEP_REST_SHARED: Duration = Duration::from_secs(60);
/// How long a worker waits after a store failed.
const STORE_REST: Duration = Duration::from_millis(500);
/// How many slices of the sweep pass between two looks for unreferenced claims and for old decisions.
const RECLAIM_EVERY: u32 = 3_600;

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

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ordering of a source that has streams was changed.
    #[error(
        "source {name}: its streams were ordered by `{before}`, the configuration now says `{after}`; \
         raise `generation` to {next} to start new streams, or change it back"
    )]
    OrderingChanged {
        /// The source.
        name: SourceName,
        /// What its streams were made under.
        before: String,
        /// What the configuration says.
        after: String,
        /// The generation that would allow it.
        next: u32,
    },
    /// The generation of a source went backwards.
    #[error("source {name}: its generation is {before} already, the configuration says {after}")]
    GenerationBack {
        /// The source.
        name: SourceName,
        /// What it was.
        before: u32,
        /// What the configuration says.
        after: u32,
    },
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A running engine. Cheap to clone; [`Engine::stop`] ends it for all.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    budget: Arc<Budget>,
    tasks: TaskTracker,
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

    fn spawn_workers(&self, workers: &Arc<Workers>) {
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

    /// Whether everything that can be released and sent now is: nothing waits at a doorbell.
    pub fn is_idle(&self) -> bool {
        let resequenced = match &self.shared.rings {
            Rings::Workers(workers) => workers.resequence.is_idle(),
            Rings::Gathered(_) => true,
        };
        resequenced
            && self
                .shared
                .active
                .values()
                .all(|active| active.bells.is_idle())
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
        match (&payload.claim, &payload.inline) {
            (Some(claim), _) => Ok(self.shared.claims.read(claim, range).await?),
            (None, Some(inline)) => {
                let part = slice(inline, range);
                Ok(Box::pin(stream::iter([Ok(part)])))
            }
            (None, None) => {
                let text = "a ledger entry has neither its payload nor a claim";
                Err(LedgerError::Corrupt(text.to_owned()).into())
            }
        }
    }
}

fn slice(bytes: &Bytes, range: Option<std::ops::Range<u64>>) -> Bytes {
    let Some(range) = range else {
        return bytes.clone();
    };
    let clip = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(clip(range.start)..clip(range.end).max(clip(range.start)))
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
        let mut sweep = Sweep::default();
        let mut slices: u32 = 0;
        let mut been_round = false;
        loop {
            let failed = match self.sweep(&mut sweep, SLICE).await {
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
                if let Err(error) = self.reclaim_orphans(None).await {
                    tracing::error!(%error, "unreferenced claims could not be removed");
                }
            }
            if been_round || failed {
                let rest = match self.ledger.is_exclusive() {
                    true => SWEEP_REST,
                    false => SWEEP_REST_SHARED,
                };
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

fn activate(config: Arc<Subscription>, record: SubscriptionRecord) -> Active {
    Active {
        config,
        since: record.since,
        disabled: RwLock::new(record.disabled),
        bells: Doorbells::new(),
        ready: Ready::default(),
    }
}

/// Remembers when a subscription's name was first configured.
async fn register_subscription(
    ledger: &dyn Ledger,
    subscription: &Subscription,
    now: Timestamp,
) -> Result<SubscriptionRecord, LedgerError> {
    let first = SubscriptionRecord {
        name: subscription.name.clone(),
        since: now,
        disabled: None,
        revision: 0,
    };
    match ledger
        .transact(vec![Write::Create(Record::Subscription(first.clone()))])
        .await
    {
        Ok(()) => Ok(first),
        Err(TransactError::Conflict(conflict)) => match conflict.stored {
            Some(Record::Subscription(stored)) => Ok(stored),
            _ => Err(LedgerError::Corrupt(format!(
                "the record of subscription {} is none",
                subscription.name
            ))),
        },
        Err(TransactError::Ledger(error)) => Err(error),
    }
}

/// Refuses to continue streams under another ordering than they were made under.
/// Registers the sources, and then what subscribes to them.
async fn register(
    catalog: &Catalog,
    ledger: &dyn Ledger,
    now: Timestamp,
) -> Result<BTreeMap<SubscriptionName, Arc<Active>>, StartError> {
    let sources: Vec<_> = catalog
        .sources()
        .map(|source| register_source(ledger, source))
        .collect();
    let sources = stream::iter(sources).buffered(REGISTERED_AT_ONCE);
    sources.try_collect::<()>().await?;
    let subscriptions: Vec<_> = catalog
        .subscriptions()
        .map(async |subscription| {
            let record = register_subscription(ledger, subscription, now).await?;
            let active = Arc::new(activate(Arc::clone(subscription), record));
            Ok((subscription.name.clone(), active))
        })
        .collect();
    let subscriptions = stream::iter(subscriptions).buffered(REGISTERED_AT_ONCE);
    subscriptions.try_collect().await
}

async fn register_source(ledger: &dyn Ledger, source: &Source) -> Result<(), StartError> {
    loop {
        let record = SourceRecord {
            name: source.name.clone(),
            generation: source.generation,
            ordering: source.ordering.clone(),
            revision: 0,
        };
        let stored = match ledger.get(&Key::Source(source.name.clone())).await? {
            Some(Record::Source(stored)) => Some(stored),
            _ => None,
        };
        let write = match stored {
            None => Write::Create(Record::Source(record)),
            Some(stored) if source.generation < stored.generation => {
                return Err(StartError::GenerationBack {
                    name: source.name.clone(),
                    before: stored.generation,
                    after: source.generation,
                });
            }
            Some(stored)
                if source.generation == stored.generation && source.ordering == stored.ordering =>
            {
                return Ok(());
            }
            Some(stored) if source.generation > stored.generation => {
                let revision = stored.revision;
                Write::Replace {
                    record: Record::Source(SourceRecord {
                        revision: revision + 1,
                        ..record
                    }),
                    revision,
                }
            }
            Some(stored) => {
                return Err(StartError::OrderingChanged {
                    name: source.name.clone(),
                    before: stored.ordering,
                    after: source.ordering.clone(),
                    next: stored.generation + 1,
                });
            }
        };
        match ledger.transact(vec![write]).await {
            Ok(()) => return Ok(()),
            Err(TransactError::Conflict(_)) => {}
            Err(TransactError::Ledger(error)) => return Err(error.into()),
        }
    }
}
