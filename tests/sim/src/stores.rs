//! The stores behind everything that can go wrong with them: calls that fail, are slow, or whose answer is lost; processes
//! that die before or after any of them. What is carried out is written into the history.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cloakroom_core::event::{ClaimName, Event, Sha256};
use cloakroom_core::id::StreamId;
use cloakroom_core::position::{Position, fingerprint};
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ClaimLinks;
use cloakroom_engine::memory::MemoryLedger;
use cloakroom_engine::ports::{
    ClaimError, ClaimHint, ClaimStore, Clock as _, Index, Ledger, LedgerError, Outgoing, Page,
    PayloadStream, Reclaimed, References, TransactError, Upload, Write,
};
use cloakroom_engine::record::{Key, Record};
use futures::StreamExt as _;

use crate::chance::Chance;
use crate::life::Life;
use crate::time::{HostClock, WallClock, pass_ms, secs};
use crate::trace::{Fact, Seen, Trace};

/// How often something goes wrong, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// A call fails and does nothing.
    pub before: u64,
    /// A call does what it was asked, and its answer is lost.
    pub after: u64,
    /// A call takes its time, before or after it is carried out.
    pub slow: u64,
}

/// What goes wrong with the stores, for all processes.
#[derive(Debug)]
pub struct Faults {
    chance: Chance,
    rates: Mutex<Rates>,
    down: AtomicBool,
}

impl Faults {
    /// Nothing goes wrong yet.
    pub fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed, "faults"),
            rates: Mutex::default(),
            down: AtomicBool::new(false),
        }
    }

    /// From now on it is like this.
    pub fn set(&self, rates: Rates, down: bool) {
        *lock(&self.rates) = rates;
        self.down.store(down, Ordering::Relaxed);
    }

    async fn slow(&self) {
        let slow = lock(&self.rates).slow;
        while self.chance.percent(slow) {
            pass_ms(1 + self.chance.below(40)).await;
        }
    }

    /// Before a call; `Ok(true)` when its answer is to be lost.
    async fn before(&self) -> Result<bool, String> {
        self.slow().await;
        let rates = *lock(&self.rates);
        if self.down.load(Ordering::Relaxed) || self.chance.percent(rates.before) {
            return Err("the simulation says so".to_owned());
        }
        Ok(self.chance.percent(rates.after))
    }

    /// Before a process calls a store that keeps bytes, or after it: the call fails, its answer is lost, or the process dies.
    pub async fn point(&self, life: &Life) -> Result<(), ClaimError> {
        life.point().await;
        let outcome = self.before().await;
        life.still_alive().await;
        outcome.map(drop).map_err(ClaimError::Unavailable)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a follower of the ledger's changes sees.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new entry.
    Event(StreamId),
    /// A head that moved.
    Head(StreamId, Position),
}

/// What one process uses.
#[derive(Debug, Clone)]
pub struct Side {
    /// The process.
    pub life: Life,
    /// Its clock.
    pub clock: Arc<HostClock>,
    /// What goes wrong.
    pub faults: Arc<Faults>,
    /// Where it is written down.
    pub trace: Arc<Trace>,
    /// Held while a large body comes in.
    pub large: Arc<Mutex<Large>>,
}

/// Which request holds the right to be the only one whose body is hashed on other threads: others at the same moment
/// would come in an order that differs from run to run.
pub type Large = Option<(u64, tokio::sync::OwnedMutexGuard<()>)>;

/// The ledger as one process sees it.
pub struct SimLedger {
    /// The records.
    pub inner: Arc<MemoryLedger>,
    /// The process.
    pub side: Side,
    /// What followers of its changes see.
    pub feed: Arc<Mutex<Vec<Change>>>,
}

impl SimLedger {
    async fn call<T>(
        &self,
        work: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        self.side.life.point().await;
        let is_lost = self.side.faults.before().await;
        let is_lost = is_lost.map_err(LedgerError::Unavailable)?;
        self.side.life.still_alive().await;
        let answer = work.await;
        self.side.faults.slow().await;
        self.side.life.point().await;
        match is_lost {
            true => Err(LedgerError::Unavailable("the answer is lost".to_owned())),
            false => answer,
        }
    }

    fn written(&self, writes: &[Write]) {
        let mut feed = lock(&self.feed);
        for write in writes {
            match write {
                Write::Create(Record::Event(event)) => {
                    feed.push(Change::Event(event.stream.clone()));
                }
                Write::Create(Record::Head(head))
                | Write::Replace {
                    record: Record::Head(head),
                    ..
                } if head.advanced_at == head.revision => {
                    let position = head.head.position.clone();
                    feed.extend(position.map(|p| Change::Head(head.stream.clone(), p)));
                }
                _ => {}
            }
        }
        drop(feed);
        self.side.trace.add(Fact::Transacted {
            life: self.side.life.number(),
            now: self.side.clock.now(),
            writes: writes.to_vec(),
        });
    }
}

#[async_trait]
impl Ledger for SimLedger {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        self.call(self.inner.get(key)).await
    }

    async fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        self.call(self.inner.events(stream, after, up_to, limit))
            .await
    }

    async fn last_event(&self, stream: &StreamId) -> Result<Option<Event>, LedgerError> {
        self.call(self.inner.last_event(stream)).await
    }

    async fn list(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        self.call(self.inner.list(index, cursor, limit)).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        let mut answer = Ok(());
        let work = async {
            answer = self.inner.transact(writes.clone()).await;
            if answer.is_ok() {
                self.written(&writes);
            }
            Ok(())
        };
        self.call(work).await?;
        answer
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }
}

/// The claims, which outlive every process.
#[derive(Debug)]
pub struct Objects {
    objects: Mutex<Kept>,
    clock: Arc<WallClock>,
    trace: Arc<Trace>,
    /// Whether a name is derived from the webhook, as a bucket's keys are, or every payload has its own, as on a disk.
    derived: bool,
}

#[derive(Debug, Default)]
struct Kept {
    claims: BTreeMap<ClaimName, (ClaimHint, Bytes, Timestamp)>,
    named: u64,
    /// Names that were given and deleted: they do not come back.
    gone: BTreeSet<ClaimName>,
}

impl Objects {
    /// No claims yet.
    pub fn new(clock: &Arc<WallClock>, trace: &Arc<Trace>, derived: bool) -> Self {
        Self {
            objects: Mutex::default(),
            clock: Arc::clone(clock),
            trace: Arc::clone(trace),
            derived,
        }
    }

    /// The bytes of a claim.
    pub fn get(&self, claim: &ClaimName) -> Option<Bytes> {
        let found = lock(&self.objects);
        found.claims.get(claim).map(|(_, body, _)| body.clone())
    }

    /// An event as a consumer sees it that looks at everything: the bytes that came with it and those of its claim.
    pub fn seen(&self, outgoing: &Outgoing) -> Seen {
        let event = &outgoing.event;
        let bytes = event.payload().map(|payload| {
            let claimed = payload.claim.as_ref().map(|claim| self.get(claim));
            let fetched = match claimed {
                Some(claimed) => claimed,
                None => payload.inline.clone(),
            };
            match (&outgoing.inline, &fetched) {
                (Some(inline), Some(fetched)) if inline != fetched => Sha256([0; 32]),
                (_, Some(bytes)) => Sha256::of(bytes),
                (_, None) => Sha256([1; 32]),
            }
        });
        Seen {
            stream: event.stream.clone(),
            position: event.position.clone(),
            id: event.id.clone(),
            epoch: outgoing.epoch,
            bytes,
        }
    }

    fn store(&self, hint: &ClaimHint, body: &Bytes) -> ClaimName {
        let now = self.clock.now();
        let mut kept = lock(&self.objects);
        if self.derived {
            let stem = format!(
                "{}/{}/{}",
                hint.source,
                fingerprint(&hint.identity),
                hint.sha256
            );
            let names = std::iter::once(stem.clone()).chain((1..).map(|n| format!("{stem}/{n}")));
            for name in names.map(ClaimName) {
                // The object that is there is the same. It is this webhook's as long as nobody can take it for an
                // orphan before the entry is written.
                match kept.claims.get(&name) {
                    Some((_, _, written)) if now.since(*written) >= secs(12 * 60 * 60) => {}
                    // It is the claim of an entry in another generation, and goes when that one goes.
                    Some((other, _, _)) if other.event != hint.event => {}
                    Some(_) => return name,
                    // A deletion that is late must not meet a new object.
                    None if kept.gone.contains(&name) => {}
                    None => {
                        let object = (hint.clone(), body.clone(), now);
                        kept.claims.insert(name.clone(), object);
                        drop(kept);
                        return self.stored(name, body);
                    }
                }
            }
        }
        kept.named += 1;
        let name = ClaimName(format!("{}/{}", hint.source, kept.named));
        let object = (hint.clone(), body.clone(), now);
        kept.claims.insert(name.clone(), object);
        drop(kept);
        self.stored(name, body)
    }

    fn stored(&self, claim: ClaimName, body: &Bytes) -> ClaimName {
        self.trace.add(Fact::ClaimStored {
            claim: claim.clone(),
            sha256: Sha256::of(body),
        });
        claim
    }

    fn delete(&self, claim: &ClaimName) -> Option<u64> {
        let mut kept = lock(&self.objects);
        let (_, body, _) = kept.claims.remove(claim)?;
        kept.gone.insert(claim.clone());
        drop(kept);
        self.trace.add(Fact::ClaimDeleted {
            claim: claim.clone(),
        });
        Some(body.len() as u64)
    }
}

/// The claim store as one process sees it.
pub struct SimClaims {
    /// The claims.
    pub objects: Arc<Objects>,
    /// The process.
    pub side: Side,
}

#[async_trait]
impl ClaimStore for SimClaims {
    async fn put(&self, hint: &ClaimHint, body: Bytes) -> Result<ClaimName, ClaimError> {
        self.side.faults.point(&self.side.life).await?;
        let name = self.objects.store(hint, &body);
        self.side.faults.point(&self.side.life).await?;
        Ok(name)
    }

    /// Whatever has to do with an upload takes no time: its hash is computed on other threads, and whoever else came in
    /// between would do so at a moment that differs from run to run.
    async fn begin(&self) -> Result<Box<dyn Upload>, ClaimError> {
        self.side.life.point().await;
        Ok(Box::new(SimUpload {
            objects: Arc::clone(&self.objects),
            side: self.side.clone(),
            body: BytesMut::new(),
        }))
    }

    async fn read(
        &self,
        claim: &ClaimName,
        _: Option<Range<u64>>,
    ) -> Result<PayloadStream, ClaimError> {
        self.side.faults.point(&self.side.life).await?;
        let body = self.objects.get(claim);
        let mut body = body.ok_or_else(|| ClaimError::Missing(claim.clone()))?;
        let rest = body.split_off(body.len() / 2);
        Ok(futures::stream::iter([Ok(body), Ok(rest)]).boxed())
    }

    async fn delete(&self, claim: &ClaimName) -> Result<(), ClaimError> {
        self.side.faults.point(&self.side.life).await?;
        self.objects.delete(claim);
        self.side.faults.point(&self.side.life).await
    }

    async fn reclaim(
        &self,
        after: Option<Timestamp>,
        before: Timestamp,
        references: &dyn References,
    ) -> Result<Reclaimed, ClaimError> {
        self.side.faults.point(&self.side.life).await?;
        let is_old = |at: Timestamp| at < before && after.is_none_or(|after| at >= after);
        let candidates: Vec<_> = lock(&self.objects.objects)
            .claims
            .iter()
            .filter(|(_, (_, _, written))| is_old(*written))
            .map(|(name, (hint, _, _))| (name.clone(), hint.clone()))
            .collect();
        let mut reclaimed = Reclaimed::default();
        for (name, hint) in candidates {
            reclaimed.examined += 1;
            if references.is_referenced(&hint, &name).await? {
                continue;
            }
            self.side.faults.point(&self.side.life).await?;
            if let Some(bytes) = self.objects.delete(&name) {
                reclaimed.removed += 1;
                reclaimed.bytes += bytes;
            }
        }
        Ok(reclaimed)
    }

    fn is_local(&self) -> bool {
        !self.objects.derived
    }
}

struct SimUpload {
    objects: Arc<Objects>,
    side: Side,
    body: BytesMut,
}

#[async_trait]
impl Upload for SimUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), ClaimError> {
        self.side.life.point().await;
        self.body.extend_from_slice(&chunk);
        Ok(())
    }

    async fn commit(self: Box<Self>, hint: &ClaimHint) -> Result<ClaimName, ClaimError> {
        // It is hashed.
        lock(&self.side.large).take();
        self.side.life.point().await;
        self.side.faults.slow().await;
        self.side.life.still_alive().await;
        let name = self.objects.store(hint, &self.body.freeze());
        self.side.faults.slow().await;
        self.side.life.point().await;
        Ok(name)
    }

    async fn abort(self: Box<Self>) {
        // It was hashed: a duplicate may be answered much later.
        lock(&self.side.large).take();
        self.side.life.point().await;
    }
}

/// Makes the URLs of claims.
pub struct Links(pub Side);

#[async_trait]
impl ClaimLinks for Links {
    async fn link(&self, event: &Event, _: Timestamp) -> Result<Option<String>, ClaimError> {
        self.0.life.point().await;
        let url = |id: &dyn std::fmt::Display| format!("https://cloakroom.example/claims/{id}");
        Ok(event.payload().map(|_| url(&event.id)))
    }
}

/// How long a call may take before whoever asked gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);
