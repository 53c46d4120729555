//! What operators do: replay, retry, skip, redrive, release, discard, disable.
//!
//! Each is one transaction that raises the cursor's epoch, so that whatever a deliverer had begun before is void.

mod quarantine;

use cloakroom_core::event::Event;
use cloakroom_core::head::{Gap, Head};
use cloakroom_core::id::{EventId, StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use crate::ports::{Index, LedgerError, TransactError, Write};
use crate::record::{Cursor, CursorState, DeadLetter, HeadRecord, Key, Passed, Record};
use crate::shared::{Active, Shared, StoreError};

/// How many records are read at a time.
const PAGE: usize = 500;

/// The widest gap an operator may pass over, in numbers: each gets a placeholder.
const SKIPPED_MAX: u64 = 1_000_000;

/// Where a replay starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayFrom {
    /// As far back as events are kept.
    Earliest,
    /// With the first event that was accepted at or after this moment.
    Time(Timestamp),
    /// With this position.
    Position(Position),
}

/// Why an operator's wish was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OperateError {
    /// What it was about does not exist.
    #[error("{0}")]
    NotFound(String),
    /// It is not in a state in which that can be done.
    #[error("{0}")]
    NotPossible(String),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LedgerError> for OperateError {
    fn from(error: LedgerError) -> Self {
        Self::Store(error.into())
    }
}

impl Shared {
    /// Moves cursors back; the number of streams that will be sent again from an earlier position.
    pub(crate) async fn replay(
        &self,
        active: &Active,
        stream: Option<&StreamId>,
        from: &ReplayFrom,
    ) -> Result<usize, OperateError> {
        if let Some(stream) = stream {
            if !active.config.listens_to(stream) {
                let name = &active.config.name;
                return Err(OperateError::NotPossible(format!(
                    "subscription {name} does not listen to {stream}"
                )));
            }
            if self.ledger.get(&Key::Head(stream.clone())).await?.is_none() {
                return Err(OperateError::NotFound(format!(
                    "there is no stream {stream}"
                )));
            }
            return Ok(usize::from(self.replay_stream(active, stream, from).await?));
        }
        if matches!(from, ReplayFrom::Position(_)) {
            let text = "a position belongs to one stream: name the stream, or replay from a time or `earliest`";
            return Err(OperateError::NotPossible(text.to_owned()));
        }
        let (mut replayed, mut cursor) = (0, None);
        loop {
            let page = self
                .ledger
                .list(&Index::Heads(None), cursor.as_deref(), PAGE)
                .await?;
            for record in page.records {
                if let Record::Head(head) = record
                    && active.config.listens_to(&head.stream)
                    && self.replay_stream(active, &head.stream, from).await?
                {
                    replayed += 1;
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(replayed);
            }
        }
    }

    async fn replay_stream(
        &self,
        active: &Active,
        stream: &StreamId,
        from: &ReplayFrom,
    ) -> Result<bool, OperateError> {
        let head = match self.ledger.get(&Key::Head(stream.clone())).await? {
            Some(Record::Head(head)) => head.head,
            _ => return Ok(false),
        };
        let Some(released) = &head.position else {
            return Ok(false);
        };
        let first = match from {
            ReplayFrom::Earliest => None,
            ReplayFrom::Position(position) if position > released => return Ok(false),
            ReplayFrom::Position(position) => Some(position.just_below()),
            ReplayFrom::Time(time) => match self.first_since(stream, *time, released).await? {
                Some(first) => Some(first.position.just_below()),
                None => return Ok(false),
            },
        };
        let target = first.max(head.floor.clone());
        let since = match from {
            ReplayFrom::Time(time) => *time,
            ReplayFrom::Earliest | ReplayFrom::Position(_) => Timestamp::from_micros(i64::MIN),
        };
        loop {
            let before = self.cursor(active, stream).await?;
            let mut cursor = before.clone();
            let wanted_since = cursor.since.unwrap_or_else(|| active.since());
            let mut target = target.clone();
            let back = match &cursor.position {
                Some(now) => target.as_ref() < Some(now),
                // Nothing was settled yet, but what came before the subscription is wanted now. What it waits for
                // already must not be jumped over.
                None => {
                    if self.is_of_versions(stream).await? {
                        // Versions before the newest are passed over when that one is handed out, on record.
                        target = None;
                    } else if let Some(next) = self.next_offer(active, &cursor).await? {
                        target = target.min(Some(next.position.just_below()));
                    }
                    since < wanted_since
                }
            };
            if back {
                cursor.redrive.retain(|dead| Some(dead) <= target.as_ref());
                cursor.position = target;
                // Only ever earlier: what is not settled yet stays wanted, whenever it was recorded.
                cursor.since = Some(since.min(wanted_since));
                cursor.state = CursorState::Active;
                cursor.acknowledged.clear();
                cursor.lease = None;
            }
            if !back {
                return Ok(false);
            }
            if self
                .change_cursor(active, &before, cursor, Vec::new())
                .await?
            {
                return Ok(true);
            }
        }
    }

    async fn first_since(
        &self,
        stream: &StreamId,
        time: Timestamp,
        up_to: &Position,
    ) -> Result<Option<Event>, LedgerError> {
        let mut after = None;
        loop {
            let page = self
                .ledger
                .events(stream, after.as_ref(), Some(up_to), PAGE)
                .await?;
            let last = page.last().map(|event| event.position.clone());
            let full = page.len() == PAGE;
            if let Some(first) = page.into_iter().find(|event| event.recorded >= time) {
                return Ok(Some(first));
            }
            if !full {
                return Ok(None);
            }
            after = last;
        }
    }

    /// Tries a parked (or waiting) stream again at once, with all its tries.
    pub(crate) async fn retry(
        &self,
        active: &Active,
        stream: &StreamId,
    ) -> Result<(), OperateError> {
        self.require_halted(active, stream).await?;
        loop {
            let before = self.cursor(active, stream).await?;
            let mut cursor = before.clone();
            cursor.state = CursorState::Active;
            if self
                .change_cursor(active, &before, cursor, Vec::new())
                .await?
            {
                return Ok(());
            }
        }
    }

    /// Passes the event that a parked (or waiting) stream stopped at over, on record; the event's id.
    pub(crate) async fn skip(
        &self,
        active: &Active,
        stream: &StreamId,
    ) -> Result<EventId, OperateError> {
        self.require_halted(active, stream).await?;
        loop {
            let before = self.cursor(active, stream).await?;
            let mut cursor = before.clone();
            let redriven = cursor.redrive.first().cloned();
            let event = match &redriven {
                Some(position) => {
                    let key = Key::Event(stream.clone(), position.clone());
                    match self.ledger.get(&key).await? {
                        Some(Record::Event(event)) => Some(event),
                        _ => None,
                    }
                }
                None => self.next_offer(active, &cursor).await?,
            };
            let Some(event) = event else {
                return Err(OperateError::NotPossible(format!(
                    "{stream} waits at no event"
                )));
            };
            let reason = match &cursor.state {
                CursorState::Parked { reason, .. } | CursorState::Retrying { reason, .. } => {
                    format!("skipped by an operator; the last try failed: {reason}")
                }
                CursorState::Active => "skipped by an operator".to_owned(),
            };
            let dead_letter = DeadLetter {
                subscription: active.config.name.clone(),
                stream: stream.clone(),
                position: event.position.clone(),
                id: event.id.clone(),
                since: self.clock.now(),
                attempts: attempts(&cursor.state),
                reason,
                revision: 0,
            };
            let is_next = redriven.is_none();
            // What is being tried is the first dead letter of a redrive, if there is any: it goes back to where it was.
            match redriven {
                Some(_) => drop(cursor.redrive.remove(0)),
                None => cursor.position = Some(event.position.clone()),
            }
            cursor.state = CursorState::Active;
            let mut with = vec![self.upsert(Record::DeadLetter(dead_letter)).await?];
            if is_next {
                let jump = self.jump_to(&before, &event.position).await?;
                with.extend(jump);
            }
            if self.change_cursor(active, &before, cursor, with).await? {
                return Ok(event.id);
            }
        }
    }

    /// The record of what a cursor jumps over on its way to a version; `None` when there is nothing between them.
    async fn jump_to(&self, before: &Cursor, to: &Position) -> Result<Option<Write>, LedgerError> {
        if !self.is_of_versions(&before.stream).await? {
            return Ok(None);
        }
        let after = before.position.as_ref();
        let first = self
            .ledger
            .events(&before.stream, after, Some(to), 1)
            .await?;
        if first.first().is_none_or(|first| first.position >= *to) {
            return Ok(None);
        }
        let passed = Record::Passed(Passed {
            subscription: before.subscription.clone(),
            stream: before.stream.clone(),
            after: before.position.clone(),
            to: to.clone(),
        });
        Ok(Some(self.upsert(passed).await?))
    }

    async fn require_halted(&self, active: &Active, stream: &StreamId) -> Result<(), OperateError> {
        let cursor = self.cursor(active, stream).await?;
        let name = &active.config.name;
        match cursor.state {
            CursorState::Active if cursor.revision == 0 => Err(OperateError::NotFound(format!(
                "subscription {name} has not begun a stream {stream}"
            ))),
            CursorState::Active => Err(OperateError::NotPossible(format!(
                "{stream} is neither parked nor waiting for a retry at {name}"
            ))),
            CursorState::Retrying { .. } | CursorState::Parked { .. } => Ok(()),
        }
    }

    /// Sends a dead letter once more, before anything new in its stream.
    pub(crate) async fn redrive(
        &self,
        active: &Active,
        stream: &StreamId,
        position: &Position,
    ) -> Result<(), OperateError> {
        let key = Key::DeadLetter(active.config.name.clone(), stream.clone(), position.clone());
        loop {
            let before = self.cursor(active, stream).await?;
            let mut cursor = before.clone();
            let Some(record) = self.ledger.get(&key).await? else {
                let text = format!(
                    "subscription {} has no such dead letter",
                    active.config.name
                );
                return Err(OperateError::NotFound(text));
            };
            // A sweep that has read the cursors already may be removing it: this must not count on its staying.
            if let Some(Record::Head(head)) = self.ledger.get(&Key::Head(stream.clone())).await?
                && head.head.is_at_or_below_floor(position)
            {
                let text = format!("{position} of {stream} is past retention and goes now");
                return Err(OperateError::NotPossible(text));
            }
            // The tries of what was waiting for a retry are not this one's. A parked stream stays parked.
            if matches!(cursor.state, CursorState::Retrying { .. }) {
                cursor.state = CursorState::Active;
            }
            cursor.redrive.push(position.clone());
            cursor.redrive.sort();
            cursor.redrive.dedup();
            let with = vec![Write::Delete {
                key: key.clone(),
                revision: Some(record.revision()),
            }];
            if self.change_cursor(active, &before, cursor, with).await? {
                return Ok(());
            }
        }
    }

    /// Changes a cursor by compare-and-set, together with what goes with it, and rings for it. `false` when the cursor is
    /// not as it was any more: look at it again.
    async fn change_cursor(
        &self,
        active: &Active,
        before: &Cursor,
        mut after: Cursor,
        with: Vec<Write>,
    ) -> Result<bool, OperateError> {
        let stream = before.stream.clone();
        after.epoch += 1;
        let changed = self.store(before, after, with).await?;
        if changed {
            self.settled.moved(&stream);
            self.ring(active, stream);
        }
        Ok(changed)
    }

    /// Starts to pass a gap over at once, whatever the policy says.
    pub(crate) async fn skip_gap(&self, stream: &StreamId) -> Result<(u64, u64), OperateError> {
        loop {
            self.resequence(stream).await?;
            let Some(Record::Head(before)) = self.ledger.get(&Key::Head(stream.clone())).await?
            else {
                return Err(OperateError::NotFound(format!(
                    "there is no stream {stream}"
                )));
            };
            // A gap that shrank from above is written only when it matters: the one to skip is derived from the events.
            let decision = match self.catalog.rule(stream) {
                Some(rule) => self.decide(rule, &before, self.clock.now()).await?,
                None => None,
            };
            let gap = match decision {
                Some(decision) if decision.head.position != before.head.position => {
                    // The resequencer has something to release first.
                    self.ring_resequence(stream.clone());
                    tokio::task::yield_now().await;
                    continue;
                }
                Some(decision) => decision.head.gap,
                None => before.head.gap.clone(),
            };
            let Some(gap) = gap else {
                return Err(OperateError::NotPossible(format!(
                    "{stream} waits at no gap"
                )));
            };
            let range = (gap.from, gap.to);
            if gap.to - gap.from >= SKIPPED_MAX {
                return Err(OperateError::NotPossible(format!(
                    "the gap from {} to {} is too wide to be passed over: is the last number a mistake?",
                    gap.from, gap.to
                )));
            }
            let gap = Gap {
                skipping_from: Some(gap.skipping_from.unwrap_or(gap.from)),
                ..gap
            };
            let revision = before.revision;
            let head = Head {
                gap: Some(gap),
                wake_at: None,
                ..before.head.clone()
            };
            let record = Record::Head(HeadRecord {
                head,
                revision: revision + 1,
                ..before
            });
            match self
                .ledger
                .transact(vec![Write::Replace { record, revision }])
                .await
            {
                Ok(()) => {
                    self.ring_resequence(stream.clone());
                    return Ok(range);
                }
                Err(TransactError::Conflict(_)) => {}
                Err(TransactError::Ledger(error)) => return Err(error.into()),
            }
        }
    }

    /// Switches a subscription off until [`Shared::enable`].
    pub(crate) async fn disable(&self, active: &Active, reason: String) -> Result<(), StoreError> {
        tracing::warn!(subscription = %active.config.name, reason, "the subscription is disabled");
        self.set_disabled(active, Some(reason)).await
    }

    /// Switches a subscription on again, and rings for everything that waited.
    pub(crate) async fn enable(&self, active: &Active) -> Result<(), StoreError> {
        self.set_disabled(active, None).await?;
        let mut cursor = None;
        loop {
            let page = self
                .ledger
                .list(&Index::Heads(None), cursor.as_deref(), PAGE)
                .await?;
            for record in page.records {
                if let Record::Head(head) = record
                    && active.config.listens_to(&head.stream)
                {
                    self.ring(active, head.stream);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn set_disabled(
        &self,
        active: &Active,
        reason: Option<String>,
    ) -> Result<(), StoreError> {
        let key = Key::Subscription(active.config.name.clone());
        while let Some(Record::Subscription(mut record)) = self.ledger.get(&key).await? {
            let revision = record.revision;
            record.disabled.clone_from(&reason);
            record.revision += 1;
            let write = Write::Replace {
                record: Record::Subscription(record),
                revision,
            };
            match self.ledger.transact(vec![write]).await {
                Ok(()) => break,
                Err(TransactError::Conflict(_)) => {}
                Err(TransactError::Ledger(error)) => return Err(error.into()),
            }
        }
        active.set_disabled(reason);
        Ok(())
    }

    /// The subscription of this name, if it is configured.
    pub(crate) fn active(&self, name: &SubscriptionName) -> Result<&Active, OperateError> {
        let missing = || OperateError::NotFound(format!("there is no subscription {name}"));
        self.active.get(name).map(AsRef::as_ref).ok_or_else(missing)
    }
}

fn attempts(state: &CursorState) -> u32 {
    match state {
        CursorState::Active => 0,
        CursorState::Retrying { attempts, .. } | CursorState::Parked { attempts, .. } => *attempts,
    }
}
