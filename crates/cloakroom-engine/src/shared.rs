//! What all workers share: the ports, the catalog, the doorbells.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cloakroom_core::event::Event;
use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use futures::TryStreamExt as _;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::append::Appender;
use crate::bell::{Due, Rings};
use crate::catalog::{Catalog, Route, Subscription};
use crate::doorbell::Doorbells;
use crate::ports::{ClaimError, ClaimStore, Clock, Entropy, Ledger, LedgerError, Write};
use crate::pull::Ready;
use crate::record::Record;

/// How many releases a slow tail may be behind before it misses some.
const RELEASES_KEPT: usize = 4_096;

/// What the engine is told besides its catalog.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Payloads up to this many bytes travel inside the event.
    pub inline_max: u64,
    /// Payloads up to this many bytes are kept in the ledger only; 0 puts every payload into the claim store.
    pub ledger_only_max: u64,
    /// How long a settled event and its claim are kept.
    pub retention: Duration,
}

/// Makes the URLs under which claims can be fetched.
#[async_trait]
pub trait ClaimLinks: Send + Sync + 'static {
    /// A URL for the payload of `event`, valid from `now` for as long as the configuration says. `None` when the event
    /// has no payload. One that only the ledger keeps has a URL too: it may be too large to travel inside the event.
    /// An error when there can be no URL for now: an event must not leave without one.
    async fn link(&self, event: &Event, now: Timestamp) -> Result<Option<String>, ClaimError>;
}

/// A failure of one of the stores, as a worker sees it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The claim store failed.
    #[error(transparent)]
    Claims(#[from] ClaimError),
}

impl StoreError {
    /// Whether the payload is lost, or damaged: trying again will not help, and the stream must not wait for it.
    pub(crate) fn is_payload_lost(&self) -> bool {
        matches!(
            self,
            Self::Claims(ClaimError::Missing(_) | ClaimError::Corrupt(_))
        )
    }

    /// Whether trying again may help.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Ledger(LedgerError::Unavailable(_)) | Self::Claims(ClaimError::Unavailable(_))
        )
    }
}

/// A subscription at work.
pub(crate) struct Active {
    pub(crate) config: Arc<Subscription>,
    /// When its name was first configured.
    pub(crate) since: Timestamp,
    /// Why it gets nothing (410), until an operator enables it.
    pub(crate) disabled: RwLock<Option<String>>,
    pub(crate) bells: Doorbells<StreamId>,
    pub(crate) ready: Ready,
}

impl Active {
    /// Whether anything may be sent now.
    pub(crate) fn is_enabled(&self) -> bool {
        self.config.enabled
            && self
                .disabled
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .is_none()
    }

    /// Notes why nothing may be sent; `None` when it may again.
    pub(crate) fn set_disabled(&self, reason: Option<String>) {
        *self
            .disabled
            .write()
            .unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// What was recorded before this moment is not for this subscription (unless a replay says otherwise).
    pub(crate) fn since(&self) -> Timestamp {
        if self.config.from_earliest {
            Timestamp::from_micros(i64::MIN)
        } else {
            self.since
        }
    }
}

/// A move of a head, for whoever tails.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) stream: StreamId,
    pub(crate) after: Option<Position>,
    pub(crate) up_to: Position,
}

/// What every worker and every step works with.
pub(crate) struct Common {
    pub(crate) catalog: Catalog,
    pub(crate) settings: Settings,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) claims: Arc<dyn ClaimStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) links: Arc<dyn ClaimLinks>,
    pub(crate) appender: Appender,
    /// Who sends, on a shared ledger.
    pub(crate) holder: Holder,
    pub(crate) active: BTreeMap<SubscriptionName, Arc<Active>>,
    pub(crate) releases: broadcast::Sender<Release>,
    pub(crate) settled: Settled,
    pub(crate) stop: CancellationToken,
}

/// Whom the leases on cursors belong to.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    /// Names it in leases.
    pub(crate) owner: String,
    /// How long a lease lasts that is renewed with every move of the cursor and never given back; `None` takes one for
    /// every pass and gives it back.
    pub(crate) keeps_for: Option<Duration>,
}

/// [`Common`], and where the rings go that this worker or step gives off.
pub(crate) struct Shared {
    common: Arc<Common>,
    pub(crate) rings: Rings,
    /// When whoever works must have finished.
    pub(crate) deadline: Option<Timestamp>,
}

impl Deref for Shared {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.common
    }
}

impl Shared {
    pub(crate) fn new(common: Common, rings: Rings) -> Self {
        Self {
            common: Arc::new(common),
            rings,
            deadline: None,
        }
    }

    /// The same, for one step: what it rings is gathered apart.
    pub(crate) fn for_step(&self, deadline: Option<Timestamp>) -> Self {
        Self {
            common: Arc::clone(&self.common),
            rings: Rings::gathered(),
            deadline,
        }
    }

    /// Whether there is no time left for something that may take this long.
    pub(crate) fn must_end(&self, needs: Duration) -> bool {
        let late = |deadline| self.clock.now().after(needs) >= deadline;
        self.stop.is_cancelled() || self.deadline.is_some_and(late)
    }

    pub(crate) fn release_channel() -> broadcast::Sender<Release> {
        broadcast::channel(RELEASES_KEPT).0
    }

    /// Asks for a look at the head of `stream`, which has a new entry. Rings are gathered for hosts that follow the ledger's
    /// changes: those learn of it by themselves.
    pub(crate) fn entry_added(&self, stream: StreamId) {
        if let Rings::Workers(workers) = &self.rings {
            workers.resequence.ring(stream);
        }
    }

    /// Asks for a look at the head of `stream`, for a reason that nothing else tells of.
    pub(crate) fn ring_resequence(&self, stream: StreamId) {
        match &self.rings {
            Rings::Workers(workers) => workers.resequence.ring(stream),
            Rings::Gathered(rung) => rung.add(Due::Resequence(stream), None),
        }
    }

    /// Asks for a look at a set time.
    pub(crate) fn set_timer(&self, at: Timestamp, due: Due) {
        match &self.rings {
            Rings::Workers(workers) => workers.timers.set(at, due),
            Rings::Gathered(rung) => rung.add(due, Some(at)),
        }
    }

    /// Rings every subscription that listens to `stream`, whose head has moved. Hosts that follow the ledger's changes learn
    /// of that by themselves, too.
    pub(crate) fn head_moved(&self, stream: &StreamId) {
        if let Rings::Gathered(_) = &self.rings {
            return;
        }
        for active in self
            .active
            .values()
            .filter(|active| active.config.listens_to(stream))
        {
            self.ring(active, stream.clone());
        }
    }

    /// Rings one subscription for one stream.
    pub(crate) fn ring(&self, active: &Active, stream: StreamId) {
        match (&active.config.route, &self.rings) {
            (Route::Push(_), Rings::Workers(_)) => active.bells.ring(stream),
            (Route::Push(_), Rings::Gathered(rung)) => {
                rung.add(Due::Deliver(active.config.name.clone(), stream), None);
            }
            (Route::Pull { .. }, Rings::Workers(_)) => active.ready.add(stream),
            // Nobody waits here for something to fetch: that is for hosts that stay.
            (Route::Pull { .. }, Rings::Gathered(_)) => {}
        }
    }

    /// Rings whatever a timer was set for.
    pub(crate) fn ring_due(&self, due: Due) {
        match due {
            Due::Resequence(stream) => self.ring_resequence(stream),
            Due::Deliver(name, stream) => {
                if let Some(active) = self.active.get(&name) {
                    self.ring(active, stream);
                }
            }
        }
    }

    /// A write that stores `record` whether or not there is one under its key.
    pub(crate) async fn upsert(&self, mut record: Record) -> Result<Write, LedgerError> {
        let Some(stored) = self.ledger.get(&record.key()).await? else {
            return Ok(Write::Create(record));
        };
        if let Record::DeadLetter(dead_letter) = &mut record {
            dead_letter.revision = stored.revision() + 1;
        }
        Ok(Write::Replace {
            record,
            revision: stored.revision(),
        })
    }

    /// The payload of `event`, if it is small enough to travel inside it.
    pub(crate) async fn inline(&self, event: &Event) -> Result<Option<Bytes>, StoreError> {
        let Some(payload) = event.payload() else {
            return Ok(None);
        };
        if payload.size > self.settings.inline_max {
            return Ok(None);
        }
        match (&payload.inline, &payload.claim) {
            (Some(inline), _) => Ok(Some(inline.clone())),
            (None, Some(claim)) => {
                let mut stream = self.claims.read(claim, None).await?;
                let Some(first) = stream.try_next().await? else {
                    return Ok(Some(Bytes::new()));
                };
                let mut whole = BytesMut::from(first);
                while let Some(chunk) = stream.try_next().await? {
                    whole.extend_from_slice(&chunk);
                }
                Ok(Some(whole.freeze()))
            }
            (None, None) => {
                Err(ClaimError::Corrupt(format!("event {} has no payload at all", event.id)).into())
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// Wakes those who wait for events of a stream to be settled.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    waiting: Mutex<HashMap<StreamId, (usize, Arc<Notify>)>>,
}

impl Settled {
    /// Tells those who wait that a cursor of `stream` moved.
    pub(crate) fn moved(&self, stream: &StreamId) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, notify)) = waiting.get(stream) {
            notify.notify_waiters();
        }
    }

    /// Joins those who wait, until the guard is dropped.
    pub(crate) fn wait_for<'a>(&'a self, stream: &'a StreamId) -> SettledGuard<'a> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, notify) = waiting.entry(stream.clone()).or_default();
        *count += 1;
        SettledGuard {
            settled: self,
            stream,
            notify: Arc::clone(notify),
        }
    }
}

pub(crate) struct SettledGuard<'a> {
    settled: &'a Settled,
    stream: &'a StreamId,
    pub(crate) notify: Arc<Notify>,
}

impl Drop for SettledGuard<'_> {
    fn drop(&mut self) {
        let mut waiting = self
            .settled
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((count, _)) = waiting.get_mut(self.stream) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(self.stream);
            }
        }
    }
}
