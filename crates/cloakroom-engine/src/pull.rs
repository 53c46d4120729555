//! Pull: a consumer fetches its events, per stream in order, and acknowledges them by id.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloakroom_core::event::Event;
use cloakroom_core::id::{EventId, Place, StreamId};
use cloakroom_core::position::Position;
use tokio::sync::Notify;

use crate::bell::Due;
use crate::catalog::Route;
use crate::feed::Step;
use crate::ports::{Outgoing, TransactError, Write};
use crate::record::{Cursor, Key, Lease, Passed, Record, Resolution};
use crate::shared::{Active, Shared, StoreError};

/// How many steps of a stream are looked at in one go.
const PAGE: usize = 128;

/// The most acknowledgements that a cursor keeps above its watermark.
const ACKNOWLEDGED_MAX: usize = 1_000;

/// Streams that may have something for a pulling consumer.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    state: Mutex<(VecDeque<StreamId>, HashSet<StreamId>)>,
    added: Notify,
}

impl Ready {
    pub(crate) fn add(&self, stream: StreamId) {
        let mut state = self.lock();
        if state.1.insert(stream.clone()) {
            state.0.push_back(stream);
            drop(state);
            self.added.notify_waiters();
        }
    }

    fn take(&self) -> Option<StreamId> {
        let mut state = self.lock();
        let stream = state.0.pop_front()?;
        state.1.remove(&stream);
        Some(stream)
    }

    /// [`Ready::take`], put back unless [`Taken::settle`] is called: a consumer may hang up at any moment.
    fn take_guarded(&self) -> Option<Taken<'_>> {
        let stream = Some(self.take()?);
        Some(Taken {
            ready: self,
            stream,
        })
    }

    fn lock(&self) -> MutexGuard<'_, (VecDeque<StreamId>, HashSet<StreamId>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that was taken to be reserved.
struct Taken<'a> {
    ready: &'a Ready,
    stream: Option<StreamId>,
}

impl Taken<'_> {
    /// What was to be done with the stream is done.
    fn settle(mut self) {
        self.stream = None;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.ready.add(stream);
        }
    }
}

/// A batch of events, reserved for the consumer until the lease ends.
#[derive(Debug)]
pub struct Batch {
    /// The events, per stream in order.
    pub events: Vec<Outgoing>,
    /// Names the reservation; `None` for an empty batch.
    pub lease: Option<String>,
}

impl Shared {
    /// Fetches up to `max` events, waiting up to `wait` for the first one. When it is dropped no event is lost: what was
    /// reserved by then comes again when the lease ends.
    pub(crate) async fn pull(
        &self,
        active: &Active,
        max: usize,
        wait: Duration,
    ) -> Result<Batch, StoreError> {
        let Route::Pull { lease } = active.config.route else {
            return Ok(Batch {
                events: Vec::new(),
                lease: None,
            });
        };
        let owner = format!("lease_{:016x}", self.entropy.next());
        let until = self.clock.now().after(wait);
        let mut events = Vec::new();
        loop {
            let added = active.ready.added.notified();
            tokio::pin!(added);
            added.as_mut().enable();
            let enabled = active.is_enabled();
            while enabled
                && events.len() < max
                && let Some(taken) = active.ready.take_guarded()
            {
                let room = max - events.len();
                if let Some(stream) = &taken.stream {
                    events.extend(self.reserve(active, stream, room, &owner, lease).await?);
                }
                taken.settle();
            }
            let in_time = self.clock.now() < until && !self.stop.is_cancelled();
            if !events.is_empty() || !in_time {
                let lease = (!events.is_empty()).then_some(owner);
                return Ok(Batch { events, lease });
            }
            tokio::select! {
                biased;
                () = added => {}
                () = self.clock.sleep_until(until) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Reserves what is next in one stream. Empty when it is reserved already, or when nothing there is for this consumer.
    async fn reserve(
        &self,
        active: &Active,
        stream: &StreamId,
        room: usize,
        owner: &str,
        lease: Duration,
    ) -> Result<Vec<Outgoing>, StoreError> {
        let due = |at| {
            self.set_timer(at, Due::Deliver(active.config.name.clone(), stream.clone()));
        };
        let Some(head) = self.released_up_to(stream).await? else {
            return Ok(Vec::new());
        };
        let before = self.cursor(active, stream).await?;
        let now = self.clock.now();
        if let Some(lease) = before.lease.as_ref().filter(|lease| now < lease.until) {
            due(lease.until);
            return Ok(Vec::new());
        }
        let (mut cursor, mut offered, mut jump) = (before.clone(), Vec::new(), None);
        for position in &before.redrive {
            let key = Key::Event(stream.clone(), position.clone());
            if let Some(Record::Event(event)) = self.ledger.get(&key).await? {
                offered.push(event);
            }
        }
        let mut after = before.position.clone();
        while offered.len() < room {
            let steps = self
                .steps(active, &cursor, after.as_ref(), &head, PAGE)
                .await?;
            let Some(last) = steps.last() else {
                // Retention may have removed all there was up to the head: that is settled too.
                if offered.is_empty() && cursor.position.as_ref() < Some(&head) {
                    cursor.position = Some(head.clone());
                }
                break;
            };
            after = Some(last.position().clone());
            for step in steps {
                match step {
                    // Nothing was offered before it, so it is settled on the spot.
                    Step::Pass { position, jumped } if offered.is_empty() => {
                        jump = jumped.then(|| position.clone()).or(jump);
                        cursor.position = Some(position);
                    }
                    Step::Pass { .. } => {}
                    Step::Offer { event, .. } if cursor.acknowledged.contains(&event.position) => {}
                    Step::Offer { event, jumped } => {
                        jump = jumped.then(|| event.position.clone()).or(jump);
                        offered.push(*event);
                    }
                }
            }
        }
        offered.truncate(room);
        let until = now.after(lease);
        let through = offered.last().map(|event| event.position.clone());
        cursor.lease = through.map(|through| Lease {
            owner: owner.to_owned(),
            until,
            through: Some(through),
        });
        if cursor == before {
            return Ok(Vec::new());
        }
        let mut jumps = Vec::new();
        if let Some(to) = jump {
            let after = before.position.clone();
            jumps.push(self.upsert(passed(active, stream, after, to)).await?);
        }
        if !self.store(&before, cursor.clone(), jumps).await? {
            active.ready.add(stream.clone());
            return Ok(Vec::new());
        }
        self.settled.moved(stream);
        if let Some(lease) = &cursor.lease {
            due(lease.until);
        }
        let mut outgoing = Vec::with_capacity(offered.len());
        for event in offered {
            outgoing.push(self.outgoing(event, before.epoch).await?);
        }
        Ok(outgoing)
    }

    /// An event as consumers see it.
    pub(crate) async fn outgoing(&self, event: Event, epoch: u64) -> Result<Outgoing, StoreError> {
        let inline = match self.inline(&event).await {
            Ok(inline) => inline,
            Err(error) if error.is_payload_lost() => {
                tracing::error!(event_id = %event.id, %error, "the payload of an event is lost");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Outgoing {
            inline,
            dataref: self.links.link(&event, self.clock.now()).await?,
            event,
            attempt: 1,
            epoch,
        })
    }

    /// Settles fetched events. Ids that are unknown, not released or settled already are passed over; the number of
    /// newly acknowledged ones comes back.
    pub(crate) async fn acknowledge(
        &self,
        active: &Active,
        ids: &[EventId],
    ) -> Result<usize, StoreError> {
        let mut by_stream: BTreeMap<StreamId, Vec<Position>> = BTreeMap::new();
        for id in ids {
            if let Some((stream, position)) = self.place_of(id).await? {
                by_stream.entry(stream).or_default().push(position);
            }
        }
        let mut acknowledged = 0;
        for (stream, positions) in by_stream {
            while let Turn::Again = self
                .acknowledge_in(active, &stream, &positions, &mut acknowledged)
                .await?
            {}
        }
        Ok(acknowledged)
    }

    async fn acknowledge_in(
        &self,
        active: &Active,
        stream: &StreamId,
        positions: &[Position],
        acknowledged: &mut usize,
    ) -> Result<Turn, StoreError> {
        let Some(head) = self.released_up_to(stream).await? else {
            return Ok(Turn::Done);
        };
        let before = self.cursor(active, stream).await?;
        let mut cursor = before.clone();
        cursor
            .redrive
            .retain(|position| !positions.contains(position));
        let mut new = before.redrive.len() - cursor.redrive.len();
        for position in positions {
            let open = *position <= head
                && before
                    .position
                    .as_ref()
                    .is_none_or(|settled| position > settled);
            if open
                && cursor.acknowledged.len() < ACKNOWLEDGED_MAX
                && !cursor.acknowledged.contains(position)
            {
                cursor.acknowledged.push(position.clone());
                new += 1;
            }
        }
        if new == 0 {
            return Ok(Turn::Done);
        }
        let mut jumps = Vec::new();
        if self.is_of_versions(stream).await? {
            // What is older than a version that the consumer has is settled with it.
            let newest = cursor.acknowledged.iter().max().cloned();
            cursor.position = newest.max(cursor.position);
        }
        let all_handed_out_settled = self.advance(active, &mut cursor, &head, &mut jumps).await?;
        if all_handed_out_settled && cursor.redrive.is_empty() {
            cursor.lease = None;
        }
        let free = cursor.lease.is_none();
        if !self.store(&before, cursor, jumps).await? {
            return Ok(Turn::Again);
        }
        *acknowledged += new;
        self.settled.moved(stream);
        if free {
            active.ready.add(stream.clone());
        }
        Ok(Turn::Done)
    }

    /// Moves the cursor over everything that is acknowledged or not for this consumer, up to the first that is open.
    /// Whether all that the lease handed out is settled by then.
    async fn advance(
        &self,
        active: &Active,
        cursor: &mut Cursor,
        head: &Position,
        jumps: &mut Vec<Write>,
    ) -> Result<bool, StoreError> {
        'pages: loop {
            let after = cursor.position.clone();
            let steps = self
                .steps(active, cursor, after.as_ref(), head, PAGE)
                .await?;
            if steps.is_empty() {
                break;
            }
            for step in steps {
                match step {
                    Step::Offer { event, .. } if !cursor.acknowledged.contains(&event.position) => {
                        break 'pages;
                    }
                    step => {
                        let after = cursor.position.replace(step.position().clone());
                        if let Step::Pass {
                            position,
                            jumped: true,
                        } = step
                        {
                            let record = passed(active, &cursor.stream, after, position);
                            jumps.push(self.upsert(record).await?);
                        }
                    }
                }
            }
        }
        let settled = cursor.position.clone();
        cursor
            .acknowledged
            .retain(|position| settled.as_ref().is_none_or(|settled| position > settled));
        let through = cursor
            .lease
            .as_ref()
            .and_then(|lease| lease.through.as_ref());
        Ok(
            through
                .is_none_or(|through| settled.as_ref().is_some_and(|settled| settled >= through)),
        )
    }

    /// Writes a cursor on condition that it is still as it was. `false` when it was not.
    pub(crate) async fn store(
        &self,
        before: &Cursor,
        after: Cursor,
        with: Vec<Write>,
    ) -> Result<bool, StoreError> {
        let record = Record::Cursor(Cursor {
            revision: before.revision + 1,
            ..after
        });
        let mut writes = vec![match before.revision {
            0 => Write::Create(record),
            revision => Write::Replace { record, revision },
        }];
        writes.extend(with);
        match self.ledger.transact(writes).await {
            Ok(()) => Ok(true),
            Err(TransactError::Conflict(_)) => Ok(false),
            Err(TransactError::Ledger(error)) => Err(error.into()),
        }
    }

    /// Where the event with this id is, released from quarantine or not.
    pub(crate) async fn place_of(
        &self,
        id: &EventId,
    ) -> Result<Option<(StreamId, Position)>, StoreError> {
        match id.place() {
            Some(Place::Stream(stream, position)) => Ok(Some((stream, position))),
            Some(Place::Quarantine(source)) => match self
                .ledger
                .get(&Key::Quarantined(source, id.clone()))
                .await?
            {
                Some(Record::Quarantined(record)) => match record.resolution {
                    Some(Resolution::Released { stream, position }) => Ok(Some((stream, position))),
                    _ => Ok(None),
                },
                _ => Ok(None),
            },
            None => Ok(None),
        }
    }
}

fn passed(active: &Active, stream: &StreamId, after: Option<Position>, to: Position) -> Record {
    Record::Passed(Passed {
        subscription: active.config.name.clone(),
        stream: stream.clone(),
        after,
        to,
    })
}

/// How an attempt at a compare-and-set ended.
enum Turn {
    Done,
    Again,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_was_taken_is_put_back_unless_it_was_dealt_with() {
        let (ready, stream) = (Ready::default(), StreamId::new("shop", "k"));
        ready.add(stream.clone());
        drop(ready.take_guarded());
        let taken = ready.take_guarded().unwrap();
        assert_eq!(taken.stream, Some(stream));
        taken.settle();
        assert_eq!(ready.take(), None);
    }
}
