//! The engine one step at a time, for hosts that live for one call: no workers, and whatever is rung is returned as data.
//!
//! The steps are the workers' own: the same functions, called once. Such a host follows the ledger's changes, and learns
//! from them of new entries (which ask for [`Stepper::resequence`]) and of heads that moved (which concern whom
//! [`Catalog::dispatch`](crate::catalog::Catalog::dispatch) says). What a step returns is everything else: it is to be passed on, or the sweep finds it.

use std::fmt;
use std::time::Duration;

use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use crate::bell::{Bell, Rings};
use crate::catalog::STATE_SOURCE;
use crate::counts::Counts;
use crate::engine::{Engine, Parts};
use crate::ports::{LedgerError, Reclaimed, TransactError, Write};
use crate::record::{Key, Record, SourceRecord};
use crate::register::StartError;
use crate::shared::{Holder, Shared, StoreError};
use crate::sweeper::{DueFrom, Sweep};

/// Under which names places are kept: the engine's own, which no source can have.
const SWEEP: &str = STATE_SOURCE;
const RECLAIM: &str = "cloakroom/reclaim";

/// An engine without workers. Cheap to clone. Its steps may run at once, with one exception: deliveries of one
/// (subscription, stream) under one `owner` must not, see [`Stepper::open`].
#[derive(Clone)]
pub struct Stepper {
    engine: Engine,
}

/// Where a reading of what is due goes on.
#[derive(Debug, Clone, Default)]
pub struct DueCursor(DueFrom);

/// What a slice of the sweep found.
#[derive(Debug)]
pub struct Swept {
    /// What nobody had rung for.
    pub bells: Vec<Bell>,
    /// Where the next slice starts; `None` when this was the last one.
    pub next: Option<String>,
    /// The first stream that could not be visited; the others were, all the same.
    pub failed: Option<StoreError>,
}

impl Stepper {
    /// Opens the engine: registers what is configured, as [`Engine::start`] does, and starts nothing.
    ///
    /// On a shared ledger a cursor is moved under a lease. It belongs to `owner`, lasts for `lease`, is renewed by every
    /// move of the cursor and never given back, so that it costs no writes of its own while a stream is busy. All
    /// steppers that share an `owner` must be kept from delivering one (subscription, stream) at once by what calls them:
    /// a queue that hands out one message of a group at a time does that, as long as a call cannot outlive its message's
    /// invisibility. Whoever delivers under another name waits until the lease has run out.
    pub async fn open(parts: Parts, owner: &str, lease: Duration) -> Result<Self, StartError> {
        let holder = Holder {
            owner: owner.to_owned(),
            keeps_for: Some(lease),
        };
        let engine = Engine::put_together(parts, holder, Rings::gathered()).await?;
        Ok(Self { engine })
    }

    /// For taking webhooks in, for operators, and for looking. Pulling and tailing need a host that stays.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What [`Stepper::engine`] rang for since the last time: operators ask for a delivery, or for a look at a stream. Taking
    /// webhooks in rings for nothing.
    pub fn rung(&self) -> Vec<Bell> {
        self.engine.take_rung()
    }

    /// Releases whatever may leave `stream` now. Rings the stream itself at the time when more may leave.
    pub async fn resequence(&self, stream: &StreamId) -> Result<Vec<Bell>, StoreError> {
        let step = self.step(None);
        step.resequence(stream).await?;
        Ok(step.rings.take())
    }

    /// Sends what `subscription` has not settled of `stream`, up to a position that is known to be released, or up to the
    /// head. Rings at a later time when it must wait; at once when no time is left: nothing is begun that may not end
    /// before `deadline`, but for the first send. Does nothing for a subscription that is not configured (any more).
    pub async fn deliver(
        &self,
        subscription: &SubscriptionName,
        stream: &StreamId,
        released_up_to: Option<Position>,
        deadline: Option<Timestamp>,
    ) -> Result<Vec<Bell>, StoreError> {
        let step = self.step(deadline);
        let Some(active) = step.active.get(subscription) else {
            return Ok(Vec::new());
        };
        step.deliver(active, stream, released_up_to).await?;
        Ok(step.rings.take())
    }

    /// What is to be looked at by now, at most `limit` at a time: releases that were held back, and retries.
    pub async fn due(
        &self,
        from: DueCursor,
        limit: usize,
    ) -> Result<(Vec<Bell>, Option<DueCursor>), StoreError> {
        let step = self.step(None);
        let next = step.recall_due(step.clock.now(), from.0, limit).await?;
        Ok((step.rings.take(), next.map(DueCursor)))
    }

    /// Visits the next `slice` streams behind `cursor` (from the first if `None`): rings for what nobody rang for, and
    /// removes what is past retention and settled.
    pub async fn sweep(&self, cursor: Option<String>, slice: usize) -> Swept {
        let step = self.step(None);
        let mut sweep = Sweep {
            cursor: cursor.clone(),
        };
        let failed = step.sweep(&mut sweep, slice).await.err();
        Swept {
            bells: step.rings.take(),
            next: sweep.cursor,
            failed,
        }
    }

    /// Where the last call of [`Stepper::keep_sweep_cursor`] left off.
    pub async fn sweep_cursor(&self) -> Result<Option<String>, StoreError> {
        Ok(self.kept(SWEEP).await?.0)
    }

    /// Keeps the place of the rolling sweep in the ledger, for the host's next life. Of two hosts that sweep at once
    /// either place is kept: both leave nothing out, since the sweep goes round.
    pub async fn keep_sweep_cursor(&self, cursor: Option<&str>) -> Result<(), StoreError> {
        self.keep(SWEEP, cursor.unwrap_or_default()).await
    }

    /// Up to when [`Stepper::reclaim`] has looked at what was written. `None` before the first time.
    pub async fn reclaimed_until(&self) -> Result<Option<Timestamp>, StoreError> {
        let (kept, _) = self.kept(RECLAIM).await?;
        Ok(kept.and_then(|kept| Timestamp::parse_rfc3339(&kept)))
    }

    /// Counts what wants an operator's attention: gauges for alarms, as true as the ledger.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        self.step(None).counts().await
    }

    /// Removes what nothing refers to any more: old decisions about quarantined webhooks, and payloads whose webhook was
    /// never acknowledged, of those written at or after `after`. Looks at all of them: meant for once an hour or a day.
    pub async fn reclaim(&self, after: Option<Timestamp>) -> Result<Reclaimed, StoreError> {
        let step = self.step(None);
        step.forget_resolved().await?;
        let (reclaimed, until) = step.reclaim_orphans(after).await?;
        self.keep(RECLAIM, &until.to_string()).await?;
        Ok(reclaimed)
    }

    /// What was kept under a name, with its revision.
    async fn kept(&self, name: &str) -> Result<(Option<String>, u64), LedgerError> {
        match self.shared().ledger.get(&Key::Source(name.into())).await? {
            Some(Record::Source(record)) => {
                let text = (!record.ordering.is_empty()).then_some(record.ordering);
                Ok((text, record.revision))
            }
            _ => Ok((None, 0)),
        }
    }

    /// Keeps a text. Another host that does so meanwhile is as good.
    async fn keep(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let (_, revision) = self.kept(name).await?;
        // The engine's own sources have no ordering to remember: their records keep places.
        let record = Record::Source(SourceRecord {
            name: name.into(),
            generation: 0,
            ordering: text.to_owned(),
            revision: revision + 1,
        });
        let write = match revision {
            0 => Write::Create(record),
            _ => Write::Replace { record, revision },
        };
        match self.shared().ledger.transact(vec![write]).await {
            Ok(()) | Err(TransactError::Conflict(_)) => Ok(()),
            Err(TransactError::Ledger(error)) => Err(error.into()),
        }
    }

    fn shared(&self) -> &Shared {
        self.engine.shared()
    }

    fn step(&self, deadline: Option<Timestamp>) -> Shared {
        self.shared().for_step(deadline)
    }
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper").finish_non_exhaustive()
    }
}
