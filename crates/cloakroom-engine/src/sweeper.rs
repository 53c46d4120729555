//! The sweeper: finds what nobody rang for, and removes what is past retention and settled by everybody.

use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::event::{ClaimName, Event};
use cloakroom_core::head::Head;
use cloakroom_core::id::{Place, StreamId};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use metrics::counter;

use crate::bell::Due;
use crate::ports::{
    ClaimError, ClaimHint, Index, LedgerError, Reclaimed, References, TransactError, Write,
};
use crate::record::{
    AttentionKind, HeadRecord, IdentityPlace, Key, Quarantined, Record, Resolution, Superseded,
};
use crate::shared::{Shared, StoreError};

/// How many records one step of a sweep looks at.
pub(crate) const SLICE: usize = 500;
/// The same on a shared ledger, where every visit costs reads that are paid for.
pub(crate) const SLICE_SHARED: usize = 100;
/// How old an unreferenced claim must be before it is removed in normal operation.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many events one transaction of retention removes: each with its notes, dead letters and identity.
const REMOVED_AT_ONCE: usize = 10;

/// Where the rolling sweep is.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    pub(crate) cursor: Option<String>,
}

/// What the timers are made from: the index of what is to be looked at by a set time, in two parts.
const TIMED: [AttentionKind; 2] = [AttentionKind::Wake, AttentionKind::Retry];

/// Where a reading of what is due has come to.
#[derive(Debug, Clone, Default)]
pub(crate) struct DueFrom {
    part: usize,
    cursor: Option<String>,
}

impl Shared {
    /// Sets the timers that were set before the restart, from the attention index. With the rolling sweep this is all
    /// that a restart needs.
    pub(crate) async fn recall_timers(&self) -> Result<(), LedgerError> {
        let mut from = Some(DueFrom::default());
        while let Some(next) = from {
            from = self
                .recall_due(Timestamp::from_micros(i64::MAX), next, SLICE)
                .await?;
        }
        Ok(())
    }

    /// Sets the timers of the next `limit` records that are to be looked at by `until`; `None` after the last.
    pub(crate) async fn recall_due(
        &self,
        until: Timestamp,
        from: DueFrom,
        limit: usize,
    ) -> Result<Option<DueFrom>, LedgerError> {
        let Some(kind) = TIMED.get(from.part).copied() else {
            return Ok(None);
        };
        let index = Index::Attention { kind, due: until };
        let page = self
            .ledger
            .list(&index, from.cursor.as_deref(), limit)
            .await?;
        for record in page.records {
            let at = record
                .attention()
                .map_or_else(|| self.clock.now(), |(_, at)| at);
            match record {
                Record::Head(head) => self.set_timer(at, Due::Resequence(head.stream)),
                Record::Cursor(cursor) => {
                    self.set_timer(at, Due::Deliver(cursor.subscription, cursor.stream));
                }
                _ => {}
            }
        }
        let part = from.part + usize::from(page.next.is_none());
        Ok((part < TIMED.len()).then_some(DueFrom {
            part,
            cursor: page.next,
        }))
    }

    /// Visits the next slice of streams. `true` when it was the last one; the next call starts again at the first. A
    /// stream that cannot be visited does not keep the sweep from the others; the first error is reported in the end.
    pub(crate) async fn sweep(&self, sweep: &mut Sweep, slice: usize) -> Result<bool, StoreError> {
        let page = self
            .ledger
            .list(&Index::Heads(None), sweep.cursor.as_deref(), slice)
            .await?;
        let mut outcome = Ok(());
        for record in page.records {
            if let Record::Head(head) = record {
                outcome = outcome.and(self.visit(head).await);
            }
        }
        sweep.cursor = page.next;
        outcome.map(|()| sweep.cursor.is_none())
    }

    /// Compares a stream's last event, its head and every cursor, and rings for what was forgotten.
    async fn visit(&self, head: HeadRecord) -> Result<(), StoreError> {
        let last = self.ledger.last_event(&head.stream).await?;
        let behind = last.is_some_and(|last| !head.head.covers(&last.position));
        if behind {
            self.ring_resequence(head.stream.clone());
        }
        let Some(released) = &head.head.position else {
            return Ok(());
        };
        let mut settled_by_all = Some(released.clone());
        for active in self
            .active
            .values()
            .filter(|active| active.config.listens_to(&head.stream))
        {
            let cursor = self.cursor(active, &head.stream).await?;
            if cursor
                .position
                .as_ref()
                .is_none_or(|position| position < released)
                || !cursor.redrive.is_empty()
            {
                self.ring(active, head.stream.clone());
            }
            // A dead letter that is to be sent once more is not settled, though it is below the watermark.
            let dead = cursor.redrive.first().map(Position::just_below);
            let settled = match dead {
                Some(dead) => cursor.position.map(|position| position.min(dead)),
                None => cursor.position,
            };
            settled_by_all = settled_by_all.zip(settled).map(|(a, b)| a.min(b));
        }
        if let Some(settled) = settled_by_all {
            self.retain(head, &settled).await?;
        }
        Ok(())
    }

    /// How long a settled event is kept at least. A store that derives the name of a claim from its webhook hands a retry
    /// the very claim that is there already, as long as that is younger than half the age of orphans. So what is younger
    /// stays: an entry that is written for such a retry must not lose its claim when the first entry is removed.
    fn keeps_for(&self) -> Duration {
        match self.claims.is_local() {
            true => self.settings.retention,
            false => self.settings.retention.max(ORPHAN_AGE),
        }
    }

    /// Retention, in two steps a sweep apart: raise the floor over what is old and settled; remove what is below the
    /// floor. Whoever read the stream before the floor rose has long finished by then.
    async fn retain(&self, head: HeadRecord, settled: &Position) -> Result<(), StoreError> {
        if self.is_of_versions(&head.stream).await? {
            self.remove_superseded(&head.stream).await?;
        }
        if let Some(floor) = head.head.floor.clone() {
            self.remove_below(&head.stream, floor.min(settled.clone()))
                .await?;
        }
        let before = self.clock.now().before(self.keeps_for());
        let mut floor = head.head.floor.clone();
        // Nearly always the oldest event is young: one look tells.
        let mut limit = 1;
        loop {
            let page = self
                .ledger
                .events(&head.stream, floor.as_ref(), Some(settled), limit)
                .await?;
            let old = page
                .iter()
                .take_while(|event| event.recorded < before)
                .count();
            if let Some(last) = page[..old].last() {
                floor = Some(last.position.clone());
            }
            if old < page.len() || page.len() < limit {
                break;
            }
            limit = SLICE;
        }
        if floor == head.head.floor {
            return Ok(());
        }
        let raised = HeadRecord {
            head: Head { floor, ..head.head },
            revision: head.revision + 1,
            stream: head.stream,
            appended: head.appended,
            advanced_at: head.advanced_at,
        };
        match self
            .ledger
            .transact(vec![Write::Replace {
                record: Record::Head(raised),
                revision: head.revision,
            }])
            .await
        {
            // A head that moved meanwhile is visited again.
            Ok(()) | Err(TransactError::Conflict(_)) => Ok(()),
            Err(TransactError::Ledger(error)) => Err(error.into()),
        }
    }

    /// Removes versions that were recorded as superseded without ever being among the events: a page at a time, and on
    /// while there was something to remove.
    async fn remove_superseded(&self, stream: &StreamId) -> Result<(), StoreError> {
        let before = self.clock.now().before(self.keeps_for());
        let index = Index::Superseded(stream.clone());
        loop {
            let page = self.ledger.list(&index, None, REMOVED_AT_ONCE).await?;
            let mut removed = false;
            for record in page.records {
                if let Record::Superseded(Superseded {
                    event: Some(event), ..
                }) = record
                    && event.recorded < before
                {
                    self.remove(&event).await?;
                    removed = true;
                }
            }
            if !removed {
                return Ok(());
            }
        }
    }

    /// Removes claims that nothing refers to: written at or after `after`, and old enough. Up to when it looked.
    pub(crate) async fn reclaim_orphans(
        &self,
        after: Option<Timestamp>,
    ) -> Result<(Reclaimed, Timestamp), StoreError> {
        let before = self.clock.now().before(ORPHAN_AGE);
        let reclaimed = self.claims.reclaim(after, before, self).await?;
        Ok((reclaimed, before))
    }

    /// Forgets what an operator decided about quarantined webhooks, once that is past retention. What is undecided stays.
    pub(crate) async fn forget_resolved(&self) -> Result<(), StoreError> {
        let before = self.clock.now().before(self.keeps_for());
        let mut cursor = None;
        loop {
            let index = Index::Quarantine(None);
            let page = self.ledger.list(&index, cursor.as_deref(), SLICE).await?;
            for record in page.records {
                if let Record::Quarantined(record) = record {
                    self.forget(record, before).await?;
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn forget(&self, record: Quarantined, before: Timestamp) -> Result<(), StoreError> {
        let claim = match &record.resolution {
            Some(Resolution::Discarded { at }) if *at < before => record.payload.claim.clone(),
            // Its claim went with the event that it became.
            Some(Resolution::Released { stream, position }) => {
                let key = Key::Event(stream.clone(), position.clone());
                let superseded = Key::Superseded(stream.clone(), position.clone());
                if self.ledger.get(&key).await?.is_some()
                    || self.ledger.get(&superseded).await?.is_some()
                {
                    return Ok(());
                }
                None
            }
            _ => return Ok(()),
        };
        let identity = Key::Identity(record.source.clone(), record.identity.clone());
        let quarantined = Key::Quarantined(record.source.clone(), record.id.clone());
        let delete = |key| Write::Delete {
            key,
            revision: None,
        };
        match self
            .ledger
            .transact(vec![delete(quarantined), delete(identity)])
            .await
        {
            Ok(()) => {}
            Err(TransactError::Conflict(_)) => return Ok(()),
            Err(TransactError::Ledger(error)) => return Err(error.into()),
        }
        if let Some(claim) = claim {
            self.claims.delete(&claim).await?;
        }
        Ok(())
    }

    async fn remove_below(&self, stream: &StreamId, floor: Position) -> Result<(), StoreError> {
        loop {
            let events = self
                .ledger
                .events(stream, None, Some(&floor), REMOVED_AT_ONCE)
                .await?;
            for event in &events {
                self.remove(event).await?;
            }
            counter!("cloakroom_events_expired_total").increment(events.len() as u64);
            if events.len() < REMOVED_AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Removes an entry, everything that hangs on it, and its claim: the claim last, so that a crash in between leaves
    /// an unreferenced claim (which is reclaimed) and never an entry without one.
    ///
    /// Most entries have nothing that hangs on them. On DynamoDB looking for it costs a twentieth of removing it unseen, and
    /// an entry that goes alone needs no transaction, which costs double.
    async fn remove(&self, event: &Event) -> Result<(), StoreError> {
        let (stream, position) = (&event.stream, &event.position);
        let mut keys = self.hanging_on(event).await?;
        keys.push(Key::Event(stream.clone(), position.clone()));
        for chunk in keys.chunks(crate::ports::TRANSACTION_MAX) {
            let writes = chunk
                .iter()
                .map(|key| Write::Delete {
                    key: key.clone(),
                    revision: None,
                })
                .collect();
            match self.ledger.transact(writes).await {
                Ok(()) | Err(TransactError::Conflict(_)) => {}
                Err(TransactError::Ledger(error)) => return Err(error.into()),
            }
        }
        if let Some(claim) = event.payload().and_then(|payload| payload.claim.as_ref()) {
            self.claims.delete(claim).await?;
        }
        Ok(())
    }

    /// What goes together with an entry: what was recorded about its place, its identity, and notes of its duplicates.
    async fn hanging_on(&self, event: &Event) -> Result<Vec<Key>, StoreError> {
        let (stream, position) = (&event.stream, &event.position);
        let mut possible = vec![Key::Superseded(stream.clone(), position.clone())];
        for active in self
            .active
            .values()
            .filter(|active| active.config.listens_to(stream))
        {
            let name = active.config.name.clone();
            possible.push(Key::DeadLetter(
                name.clone(),
                stream.clone(),
                position.clone(),
            ));
            possible.push(Key::Passed(name, stream.clone(), position.clone()));
        }
        let mut keys = Vec::new();
        for key in possible {
            if self.ledger.get(&key).await?.is_some() {
                keys.push(key);
            }
        }
        let source = crate::catalog::configured_name(&stream.source).into();
        let identity = Key::Identity(source, event.identity.clone());
        let placed = IdentityPlace::Placed {
            stream: stream.clone(),
            position: position.clone(),
        };
        if let Some(Record::Identity(record)) = self.ledger.get(&identity).await?
            && record.place == placed
        {
            keys.push(identity);
        }
        let notes = Index::Notes(stream.clone(), position.clone());
        let notes = self.ledger.list(&notes, None, SLICE).await?;
        keys.extend(notes.records.iter().map(Record::key));
        Ok(keys)
    }
}

#[async_trait]
impl References for Shared {
    async fn is_referenced(&self, hint: &ClaimHint, claim: &ClaimName) -> Result<bool, ClaimError> {
        let mut keys = vec![Key::Quarantined(
            hint.source.clone(),
            cloakroom_core::id::EventId::quarantined(&hint.source, &hint.identity),
        )];
        if let Some(Place::Stream(stream, position)) = hint.event.as_ref().and_then(|id| id.place())
        {
            keys.push(Key::Superseded(stream.clone(), position.clone()));
            keys.push(Key::Event(stream, position));
        }
        let get = async |key: &Key| {
            let unavailable = |error: LedgerError| ClaimError::Unavailable(error.to_string());
            self.ledger.get(key).await.map_err(unavailable)
        };
        let identity = Key::Identity(hint.source.clone(), hint.identity.clone());
        if let Some(Record::Identity(record)) = get(&identity).await?
            && let IdentityPlace::Placed { stream, position } = record.place
        {
            keys.push(Key::Event(stream, position));
        }
        for key in &keys {
            if get(key)
                .await?
                .is_some_and(|record| record.claim() == Some(claim))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
