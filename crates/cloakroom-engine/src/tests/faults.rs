//! The memory adapters behind everything that can go wrong with a store, and behind a crash of the process.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::event::{ClaimName, Event};
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use tokio::sync::Notify;

use super::sim::{SimEntropy, pass};
use crate::memory::{MemoryClaims, MemoryLedger};
use crate::ports::{
    ClaimError, ClaimHint, ClaimStore, Index, Ledger, LedgerError, Page, PayloadStream, Reclaimed,
    References, TransactError, Upload, Write,
};
use crate::record::{Key, Record};

/// One run of the engine. Once it is over, nothing that belongs to it reads, writes or sends any more.
#[derive(Clone, Default)]
pub(super) struct Life(Arc<(AtomicBool, Notify)>);

impl Life {
    /// The process dies here.
    pub(super) fn end(&self) {
        self.0.0.store(true, Ordering::Relaxed);
        self.0.1.notify_waiters();
    }

    /// Never returns in a dead process.
    pub(super) async fn check(&self) {
        if self.0.0.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the process dies.
    pub(super) async fn ended(&self) {
        while !self.0.0.load(Ordering::Relaxed) {
            self.0.1.notified().await;
        }
    }
}

/// What is asked of the ledger.
pub(super) enum Op<'a> {
    Read,
    List(&'a Index),
    Transact(&'a [Write]),
}

type Matches = Box<dyn Fn(&Op<'_>) -> bool + Send>;

/// What happens to one matching call, once.
enum Plan {
    FailBefore,
    FailAfter,
    Hold(Arc<Gate>),
}

/// Somewhere a call waits until the test lets it go on.
#[derive(Default)]
pub(super) struct Gate {
    reached: AtomicBool,
    open: Notify,
}

impl Gate {
    pub(super) async fn until_reached(&self) {
        super::sim::until("the call is made", || self.reached.load(Ordering::Relaxed)).await;
    }

    pub(super) fn open(&self) {
        self.open.notify_one();
    }
}

/// How often something goes wrong by chance, in percent.
#[derive(Clone, Copy, Default)]
pub(super) struct Rates {
    pub(super) fails_before: u64,
    pub(super) fails_after: u64,
    pub(super) yields: u64,
    pub(super) delays: u64,
}

/// How often the ledger was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) reads: usize,
    pub(super) lists: usize,
    /// Records written, guards included, however many to a transaction.
    pub(super) writes: usize,
}

/// What goes wrong with the stores; shared by all runs of the engine.
pub(super) struct Faults {
    chance: SimEntropy,
    rates: Mutex<Rates>,
    plans: Mutex<Vec<(Matches, Plan)>>,
    calls: Mutex<Calls>,
    longest_range: AtomicUsize,
    down: AtomicBool,
    claims_down: AtomicBool,
    shared: AtomicBool,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            chance: SimEntropy::new(seed ^ 0xfau64.rotate_left(32)),
            rates: Mutex::default(),
            plans: Mutex::default(),
            calls: Mutex::default(),
            longest_range: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            claims_down: AtomicBool::new(false),
            shared: AtomicBool::new(false),
        }
    }

    pub(super) fn by_chance(&self, rates: Rates) {
        *self.rates.lock().unwrap() = rates;
    }

    /// What the ledger was asked since the last time.
    pub(super) fn take_calls(&self) -> Calls {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// The most events that one read got since the last time.
    pub(super) fn take_longest_range(&self) -> usize {
        self.longest_range.swap(0, Ordering::Relaxed)
    }

    fn count(&self, op: &Op<'_>) {
        let mut calls = self.calls.lock().unwrap();
        match op {
            Op::Read => calls.reads += 1,
            Op::List(_) => calls.lists += 1,
            Op::Transact(writes) => calls.writes += writes.len(),
        }
    }

    /// Whether the ledger answers nothing but errors.
    pub(super) fn ledger_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// Whether the claim store answers nothing but errors.
    pub(super) fn claims_down(&self, down: bool) {
        self.claims_down.store(down, Ordering::Relaxed);
    }

    /// Several engines use the stores at once: leases count, and claims are far away.
    pub(super) fn shared_ledger(&self) {
        self.shared.store(true, Ordering::Relaxed);
    }

    /// The next matching call fails and does nothing.
    pub(super) fn fail_before(&self, matches: impl Fn(&Op<'_>) -> bool + Send + 'static) {
        self.plan(matches, Plan::FailBefore);
    }

    /// The next matching call succeeds, but its answer is lost.
    pub(super) fn fail_after(&self, matches: impl Fn(&Op<'_>) -> bool + Send + 'static) {
        self.plan(matches, Plan::FailAfter);
    }

    /// The next matching call waits before it does anything.
    pub(super) fn hold(&self, matches: impl Fn(&Op<'_>) -> bool + Send + 'static) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        self.plan(matches, Plan::Hold(Arc::clone(&gate)));
        gate
    }

    fn plan(&self, matches: impl Fn(&Op<'_>) -> bool + Send + 'static, plan: Plan) {
        self.plans.lock().unwrap().push((Box::new(matches), plan));
    }

    /// Before a call. `Ok(true)` when its answer is to be lost.
    async fn before(&self, op: &Op<'_>) -> Result<bool, LedgerError> {
        self.count(op);
        let planned = {
            let mut plans = self.plans.lock().unwrap();
            let found = plans.iter().position(|(matches, _)| matches(op));
            found.map(|index| plans.remove(index).1)
        };
        match planned {
            Some(Plan::FailBefore) => return Err(unavailable()),
            Some(Plan::FailAfter) => return Ok(true),
            Some(Plan::Hold(gate)) => {
                gate.reached.store(true, Ordering::Relaxed);
                gate.open.notified().await;
            }
            None => {}
        }
        if self.down.load(Ordering::Relaxed) {
            return Err(unavailable());
        }
        let rates = self.stray().await;
        if self.chance.chance(rates.fails_before) {
            return Err(unavailable());
        }
        Ok(matches!(op, Op::Transact(_)) && self.chance.chance(rates.fails_after))
    }

    /// Lets other tasks in between.
    async fn stray(&self) -> Rates {
        let rates = *self.rates.lock().unwrap();
        while self.chance.chance(rates.yields) {
            tokio::task::yield_now().await;
        }
        if self.chance.chance(rates.delays) {
            pass(Duration::from_millis(self.chance.below(40))).await;
        }
        rates
    }
}

fn unavailable() -> LedgerError {
    LedgerError::Unavailable("the test says so".to_owned())
}

/// The ledger as one run of the engine sees it.
pub(super) struct FaultyLedger {
    pub(super) inner: Arc<MemoryLedger>,
    pub(super) faults: Arc<Faults>,
    pub(super) life: Life,
}

impl FaultyLedger {
    async fn call<T>(
        &self,
        op: Op<'_>,
        work: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        self.life.check().await;
        self.faults.before(&op).await?;
        self.life.check().await;
        let answer = work.await;
        self.faults.stray().await;
        self.life.check().await;
        answer
    }
}

#[async_trait]
impl Ledger for FaultyLedger {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        self.call(Op::Read, self.inner.get(key)).await
    }

    async fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        let work = self.inner.events(stream, after, up_to, limit);
        let events = self.call(Op::Read, work).await?;
        let longest = &self.faults.longest_range;
        longest.fetch_max(events.len(), Ordering::Relaxed);
        Ok(events)
    }

    async fn last_event(&self, stream: &StreamId) -> Result<Option<Event>, LedgerError> {
        self.call(Op::Read, self.inner.last_event(stream)).await
    }

    async fn list(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        self.call(Op::List(index), self.inner.list(index, cursor, limit))
            .await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        self.life.check().await;
        let is_lost = self.faults.before(&Op::Transact(&writes)).await?;
        self.life.check().await;
        assert!(
            one_write_per_key(&writes),
            "two writes on one key: {writes:?}"
        );
        let answer = self.inner.transact(writes).await;
        self.faults.stray().await;
        self.life.check().await;
        if is_lost {
            return Err(unavailable().into());
        }
        answer
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive() && !self.faults.shared.load(Ordering::Relaxed)
    }
}

fn one_write_per_key(writes: &[Write]) -> bool {
    let keys: std::collections::HashSet<Key> = writes.iter().map(Write::key).collect();
    keys.len() == writes.len()
}

/// The claim store as one run of the engine sees it.
pub(super) struct FaultyClaims {
    pub(super) inner: Arc<MemoryClaims>,
    pub(super) faults: Arc<Faults>,
    pub(super) life: Life,
}

impl FaultyClaims {
    async fn before(&self) -> Result<(), ClaimError> {
        self.life.check().await;
        let rates = self.faults.stray().await;
        self.life.check().await;
        let down = self.faults.claims_down.load(Ordering::Relaxed);
        if down || self.faults.chance.chance(rates.fails_before) {
            return Err(ClaimError::Unavailable("the test says so".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl ClaimStore for FaultyClaims {
    async fn put(&self, hint: &ClaimHint, body: Bytes) -> Result<ClaimName, ClaimError> {
        self.before().await?;
        let name = self.inner.put(hint, body).await;
        self.before().await?;
        name
    }

    async fn begin(&self) -> Result<Box<dyn Upload>, ClaimError> {
        self.before().await?;
        self.inner.begin().await
    }

    async fn read(
        &self,
        claim: &ClaimName,
        range: Option<Range<u64>>,
    ) -> Result<PayloadStream, ClaimError> {
        self.before().await?;
        self.inner.read(claim, range).await
    }

    async fn delete(&self, claim: &ClaimName) -> Result<(), ClaimError> {
        self.before().await?;
        self.inner.delete(claim).await
    }

    async fn reclaim(
        &self,
        after: Option<Timestamp>,
        before: Timestamp,
        references: &dyn References,
    ) -> Result<Reclaimed, ClaimError> {
        self.before().await?;
        self.inner.reclaim(after, before, references).await
    }

    fn is_local(&self) -> bool {
        self.inner.is_local() && !self.faults.shared.load(Ordering::Relaxed)
    }
}
