//! The deliverer: sends the events of one (subscription, stream) in order, and moves its cursor.

mod outcome;

use std::time::Duration;

use cloakroom_core::event::Event;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use crate::bell::Due;
use crate::catalog::Route;
use crate::feed::Step;
use crate::ports::{Outcome, Outgoing, Sink, TransactError, Write};
use crate::record::{Cursor, CursorState, Key, Lease, Passed, Record};
use crate::shared::{Active, Shared, StoreError};
use crate::state::StateChange;

/// How many events are read at a time while all goes well.
const PAGE: usize = 64;
/// The most events of one call to a sink: each may be told, and taken off the dead letters, in one transaction.
const BATCH_MAX: usize = 40;
/// A cursor is written at the latest after this many settled events …
const UNSAVED_MAX: usize = 64;
/// … or after this time: how far back a consumer may be taken by a crash.
const UNSAVED_FOR: Duration = Duration::from_millis(200);
/// How long a lease on a shared ledger lasts beyond the longest send.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Why a drain ended before everything was settled.
enum Stop {
    /// Somebody else moved the cursor, or the process is stopping: look again, or leave it to the next run.
    Superseded,
    /// It waits: for a retry, for an operator, for a lease, for more time.
    Waiting,
}

/// One pass over one stream.
struct Drain<'a> {
    shared: &'a Shared,
    active: &'a Active,
    sink: &'a dyn Sink,
    cursor: Cursor,
    /// Settled since the cursor was last written.
    unsaved: usize,
    saved_at: Timestamp,
    changes: Vec<StateChange>,
    /// Records that go with the next cursor move.
    with_move: Vec<Write>,
}

impl Shared {
    /// Sends everything of `stream` that is released and not settled. Sets a timer when there is something to wait for.
    /// Whoever knows a position up to which the stream is released saves the read of its head: once true, that stays true.
    pub(crate) async fn deliver(
        &self,
        active: &Active,
        stream: &StreamId,
        mut released_up_to: Option<Position>,
    ) -> Result<(), StoreError> {
        let Route::Push(sink) = &active.config.route else {
            return Ok(());
        };
        // Of versions only the newest is handed out. One that was the newest once may follow a newer one that was sent
        // but not settled, when its sender died in between.
        if self.is_of_versions(stream).await? {
            released_up_to = None;
        }
        self.look_whether_enabled(active).await?;
        loop {
            let head = match released_up_to.take() {
                Some(head) => head,
                None => match self.released_up_to(stream).await? {
                    Some(head) => head,
                    None => return Ok(()),
                },
            };
            let cursor = self.cursor(active, stream).await?;
            let settled = cursor
                .position
                .as_ref()
                .is_some_and(|position| *position >= head);
            if !active.is_enabled()
                || (settled && cursor.redrive.is_empty())
                || !self.may_send(active, &cursor)
            {
                return Ok(());
            }
            let mut drain = Drain {
                shared: self,
                active,
                sink: sink.as_ref(),
                cursor,
                unsaved: 0,
                saved_at: self.clock.now(),
                changes: Vec::new(),
                with_move: Vec::new(),
            };
            match drain.run(&head).await? {
                // Whatever was released meanwhile was rung for.
                Ok(()) | Err(Stop::Waiting) => return Ok(()),
                Err(Stop::Superseded) if self.must_end(sink.timeout()) => {
                    self.ring(active, stream.clone());
                    return Ok(());
                }
                // The cursor was moved by somebody else: look again.
                Err(Stop::Superseded) => {}
            }
        }
    }

    /// On a shared ledger somebody else may have switched a subscription on again.
    async fn look_whether_enabled(&self, active: &Active) -> Result<(), StoreError> {
        if self.ledger.is_exclusive() || active.is_enabled() {
            return Ok(());
        }
        let key = Key::Subscription(active.config.name.clone());
        if let Some(Record::Subscription(record)) = self.ledger.get(&key).await? {
            active.set_disabled(record.disabled);
        }
        Ok(())
    }

    /// Whether the cursor's state lets anything be sent now; otherwise a timer is set for when it may.
    fn may_send(&self, active: &Active, cursor: &Cursor) -> bool {
        let now = self.clock.now();
        let wait_until = match &cursor.state {
            CursorState::Parked { .. } => return false,
            CursorState::Retrying { retry_at, .. } if now < *retry_at => Some(*retry_at),
            _ => self.foreign_lease(cursor, now),
        };
        if let Some(at) = wait_until {
            self.set_timer(
                at,
                Due::Deliver(active.config.name.clone(), cursor.stream.clone()),
            );
        }
        wait_until.is_none()
    }

    /// Until when somebody else may move this cursor. An exclusive ledger knows no others: its lock is the lease.
    fn foreign_lease(&self, cursor: &Cursor, now: Timestamp) -> Option<Timestamp> {
        let lease = cursor
            .lease
            .as_ref()
            .filter(|_| !self.ledger.is_exclusive())?;
        (lease.owner != self.holder.owner && now < lease.until).then_some(lease.until)
    }
}

impl Drain<'_> {
    async fn run(&mut self, head: &Position) -> Result<Result<(), Stop>, StoreError> {
        if let Err(stop) = self.redrive().await? {
            return Ok(Err(stop));
        }
        while self.cursor.position.as_ref() < Some(head) {
            let after = self.cursor.position.clone();
            let page = self.page();
            let steps = self
                .shared
                .steps(self.active, &self.cursor, after.as_ref(), head, page)
                .await?;
            let complete = steps.len() < page;
            match self.walk(steps, head).await? {
                Err(stop) => return Ok(Err(stop)),
                // Retention may have removed what there was up to the head: that is settled too.
                Ok(true) if complete && self.cursor.position.as_ref() < Some(head) => {
                    self.settle(head.clone(), 1);
                }
                Ok(_) => {}
            }
        }
        self.save_rest().await
    }

    /// How many events to read. What failed before will probably fail again: then what stands behind it is read in vain.
    fn page(&self) -> usize {
        match self.cursor.state {
            CursorState::Retrying { .. } => self.sink.batch_max().clamp(1, BATCH_MAX),
            CursorState::Active | CursorState::Parked { .. } => PAGE,
        }
    }

    /// Settles `steps` one after the other. `false` when only a part of a batch was, and the rest must be read again.
    async fn walk(
        &mut self,
        steps: Vec<Step>,
        head: &Position,
    ) -> Result<Result<bool, Stop>, StoreError> {
        let mut steps = steps.into_iter().peekable();
        while let Some(step) = steps.next() {
            let mut batch = Vec::new();
            match step {
                Step::Pass { position, jumped } => {
                    self.note_jump(&position, jumped).await?;
                    self.settle(position, 1);
                }
                Step::Offer { event, jumped } => {
                    self.note_jump(&event.position, jumped).await?;
                    batch.push(*event);
                    while batch.len() < self.sink.batch_max().min(BATCH_MAX)
                        && let Some(Step::Offer { event, .. }) =
                            steps.next_if(|s| matches!(s, Step::Offer { .. }))
                    {
                        batch.push(*event);
                    }
                }
            }
            let last = batch.last().map(|event| event.position.clone());
            if !batch.is_empty()
                && let Err(stop) = self.offer(batch).await?
            {
                return Ok(Err(stop));
            }
            if self.is_save_due()
                && let Err(stop) = self.save().await?
            {
                return Ok(Err(stop));
            }
            if self.shared.must_end(self.sink.timeout())
                && self.cursor.position.as_ref() < Some(head)
            {
                let saved = self.save_rest().await?;
                self.shared.ring(self.active, self.cursor.stream.clone());
                return Ok(saved.and(Err(Stop::Waiting)));
            }
            if self.cursor.position < last {
                return Ok(Ok(false));
            }
        }
        Ok(Ok(true))
    }

    /// Sends the dead letters an operator wants sent once more, before anything new.
    async fn redrive(&mut self) -> Result<Result<(), Stop>, StoreError> {
        while let Some(position) = self.cursor.redrive.first().cloned() {
            let key = Key::Event(self.cursor.stream.clone(), position.clone());
            if let Some(Record::Event(event)) = self.shared.ledger.get(&key).await? {
                let attempts = self.attempts();
                match self
                    .send(std::slice::from_ref(&event), attempts + 1)
                    .await?
                {
                    Ok(Outcome::Delivered) => self.succeeded(&[event], attempts + 1).await?,
                    Ok(Outcome::Gone { reason }) => return self.gone(reason).await,
                    Ok(Outcome::Deferred { wait }) => return self.come_again(wait).await,
                    Ok(Outcome::Failed {
                        reason,
                        retry_after,
                    }) => {
                        let Some(wait) = self.next_wait(attempts + 1, retry_after) else {
                            self.cursor.redrive.remove(0);
                            self.bury(&event, attempts + 1, reason).await?;
                            match self.save().await? {
                                Ok(()) => continue,
                                Err(stop) => return Ok(Err(stop)),
                            }
                        };
                        return self.retry_later(&event, attempts + 1, reason, wait).await;
                    }
                    Err(stop) => return Ok(Err(stop)),
                }
            }
            self.cursor.redrive.remove(0);
            self.cursor.state = CursorState::Active;
            if let Err(stop) = self.save().await? {
                return Ok(Err(stop));
            }
        }
        Ok(Ok(()))
    }

    /// Sends a batch (nearly always one event) and records what came of it.
    async fn offer(&mut self, batch: Vec<Event>) -> Result<Result<(), Stop>, StoreError> {
        let attempt = self.attempts() + 1;
        let outcome = match self.send(&batch, attempt).await? {
            Ok(outcome) => outcome,
            Err(stop) => return Ok(Err(stop)),
        };
        match outcome {
            Outcome::Delivered => {
                let last = batch
                    .last()
                    .expect("a batch is never empty")
                    .position
                    .clone();
                self.succeeded(&batch, attempt).await?;
                self.settle(last, batch.len());
                Ok(Ok(()))
            }
            Outcome::Gone { reason } => self.gone(reason).await,
            Outcome::Deferred { wait } => self.come_again(wait).await,
            Outcome::Failed {
                reason,
                retry_after,
            } => {
                let first = &batch[0];
                self.failed(first, attempt, &reason);
                match self.next_wait(attempt, retry_after) {
                    Some(wait) => self.retry_later(first, attempt, reason, wait).await,
                    None => self.exhausted(first, attempt, reason).await,
                }
            }
        }
    }

    async fn send(
        &mut self,
        batch: &[Event],
        attempt: u32,
    ) -> Result<Result<Outcome, Stop>, StoreError> {
        if let Err(stop) = self.hold_lease().await? {
            return Ok(Err(stop));
        }
        match self.outgoing(batch, attempt).await {
            Ok(outgoing) => Ok(Ok(self.sink.send(&outgoing).await)),
            // A failed try like any other: in the end an operator learns of it, and may skip the event.
            Err(error) if error.is_payload_lost() => Ok(Ok(Outcome::Failed {
                reason: error.to_string(),
                retry_after: None,
            })),
            // Nothing was tried. The ledger may well be there: what is settled need not be sent again.
            Err(error) => match self.save_rest().await? {
                Ok(()) => Err(error),
                Err(stop) => Ok(Err(stop)),
            },
        }
    }

    /// What the sink is given: each event with its payload, or where that is found.
    async fn outgoing(&self, batch: &[Event], attempt: u32) -> Result<Vec<Outgoing>, StoreError> {
        let now = self.shared.clock.now();
        let mut outgoing = Vec::with_capacity(batch.len());
        for event in batch {
            outgoing.push(Outgoing {
                inline: self.shared.inline(event).await?,
                dataref: self.shared.links.link(event, now).await?,
                event: event.clone(),
                attempt,
                epoch: self.cursor.epoch,
            });
        }
        Ok(outgoing)
    }

    /// On a shared ledger: makes sure that nobody else moves this cursor until the send is over.
    async fn hold_lease(&mut self) -> Result<Result<(), Stop>, StoreError> {
        if self.shared.ledger.is_exclusive() {
            return Ok(Ok(()));
        }
        let now = self.shared.clock.now();
        let enough = now.after(self.sink.timeout()).after(LEASE_MARGIN / 2);
        if self
            .cursor
            .lease
            .as_ref()
            .is_some_and(|l| l.owner == self.shared.holder.owner && l.until > enough)
        {
            return Ok(Ok(()));
        }
        self.cursor.lease = Some(self.lease(now));
        self.save().await
    }

    fn lease(&self, now: Timestamp) -> Lease {
        let holder = &self.shared.holder;
        let least = self.sink.timeout() + LEASE_MARGIN;
        Lease {
            owner: holder.owner.clone(),
            until: now.after(holder.keeps_for.map_or(least, |long| long.max(least))),
            through: None,
        }
    }

    fn attempts(&self) -> u32 {
        match self.cursor.state {
            CursorState::Retrying { attempts, .. } => attempts,
            CursorState::Active | CursorState::Parked { .. } => 0,
        }
    }

    fn settle(&mut self, position: Position, events: usize) {
        self.cursor.position = Some(position);
        self.cursor.state = CursorState::Active;
        self.unsaved += events;
    }

    async fn note_jump(&mut self, to: &Position, jumped: bool) -> Result<(), StoreError> {
        if jumped {
            let passed = Record::Passed(Passed {
                subscription: self.active.config.name.clone(),
                stream: self.cursor.stream.clone(),
                after: self.cursor.position.clone(),
                to: to.clone(),
            });
            self.with_move.push(self.shared.upsert(passed).await?);
        }
        Ok(())
    }

    fn is_save_due(&self) -> bool {
        let late = || self.shared.clock.now().since(self.saved_at) >= UNSAVED_FOR;
        self.unsaved >= UNSAVED_MAX
            || !self.with_move.is_empty()
            || !self.changes.is_empty()
            || (self.unsaved > 0 && late())
    }

    /// Writes what is settled, and gives the lease back unless it is kept.
    async fn save_rest(&mut self) -> Result<Result<(), Stop>, StoreError> {
        let keeps = self.shared.holder.keeps_for.is_some();
        let leased = !keeps && self.cursor.lease.take().is_some();
        if self.unsaved > 0 || leased {
            self.save().await
        } else {
            Ok(Ok(()))
        }
    }

    /// Writes the cursor with everything that belongs to its move, on condition that nobody else wrote it.
    async fn save(&mut self) -> Result<Result<(), Stop>, StoreError> {
        let before = self.cursor.revision;
        let owner = &self.shared.holder.owner;
        let holds = self
            .cursor
            .lease
            .as_ref()
            .is_some_and(|l| l.owner == *owner);
        if holds && self.shared.holder.keeps_for.is_some() {
            self.cursor.lease = Some(self.lease(self.shared.clock.now()));
        }
        let after = Cursor {
            revision: before + 1,
            ..self.cursor.clone()
        };
        loop {
            let mut writes = vec![match before {
                0 => Write::Create(Record::Cursor(after.clone())),
                revision => Write::Replace {
                    record: Record::Cursor(after.clone()),
                    revision,
                },
            }];
            writes.extend(self.with_move.iter().cloned());
            let own = writes.len();
            writes.extend(self.shared.state_writes(&self.changes).await?);
            match self.shared.ledger.transact(writes).await {
                Ok(()) => break,
                // A state change met a newer head: the next round gives it a newer position.
                Err(TransactError::Conflict(conflict)) if conflict.write >= own => {}
                Err(TransactError::Conflict(_)) => return Ok(Err(Stop::Superseded)),
                Err(TransactError::Ledger(error)) => return Err(error.into()),
            }
        }
        self.shared.ring_state(&self.changes);
        self.shared.settled.moved(&self.cursor.stream);
        self.cursor = after;
        self.unsaved = 0;
        self.saved_at = self.shared.clock.now();
        self.changes.clear();
        self.with_move.clear();
        Ok(Ok(()))
    }
}
