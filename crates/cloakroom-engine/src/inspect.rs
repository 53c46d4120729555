//! What can be seen: events, streams, lists. Read models over the ledger; nothing here changes anything.

use cloakroom_core::event::{Body, Event, Payload};
use cloakroom_core::head::Gap;
use cloakroom_core::id::{EventId, Place, SourceName, StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use crate::ports::{Index, Outgoing, Page};
use crate::record::{
    AttentionKind, Cursor, CursorState, DeadLetter, HeadRecord, Key, Note, Quarantined, Record,
    Superseded,
};
use crate::shared::{Active, Shared, StoreError};

/// How many notes or jumps of one event are looked at.
const NOTES_MAX: usize = 100;

/// An event and what became of it.
#[derive(Debug, Clone)]
pub struct EventStatus {
    /// The entry; `None` while it is in quarantine.
    pub event: Option<Event>,
    /// The quarantine record, if it ever was there.
    pub quarantined: Option<Quarantined>,
    /// Its state.
    pub state: EventState,
    /// Its state for each subscription that it is for.
    pub subscriptions: Vec<(SubscriptionName, DeliveryState)>,
    /// The duplicates that differed from it.
    pub duplicates: Vec<Note>,
}

/// Where an event is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventState {
    /// Above the head.
    Pending,
    /// At or below the head.
    Released,
    /// Kept apart.
    Quarantined,
    /// A newer version was there before it was handed out.
    Superseded,
}

/// Where an event is on its way to one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// Not settled.
    Waiting,
    /// Settled.
    Delivered,
    /// The stream stopped at it.
    Parked,
    /// Given up.
    Dead,
}

/// A stream and where everybody stands in it.
#[derive(Debug, Clone)]
pub struct StreamStatus {
    /// The head.
    pub head: HeadRecord,
    /// The hole it waits at, as of now.
    pub gap: Option<Gap>,
    /// The cursors of the subscriptions that listen to it.
    pub cursors: Vec<Cursor>,
}

/// What a list of streams is narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// Streams that wait at a gap past its deadline.
    Stalled,
    /// Streams that some subscription stopped at.
    Parked,
}

/// A page of anything.
#[derive(Debug, Clone)]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

impl Shared {
    /// An event by its id, and what became of it.
    pub(crate) async fn event_status(
        &self,
        id: &EventId,
    ) -> Result<Option<EventStatus>, StoreError> {
        let quarantined = match id.place() {
            None => return Ok(None),
            Some(Place::Stream(..)) => None,
            Some(Place::Quarantine(source)) => match self
                .ledger
                .get(&Key::Quarantined(source, id.clone()))
                .await?
            {
                Some(Record::Quarantined(record)) => Some(record),
                _ => return Ok(None),
            },
        };
        let Some((stream, position)) = self.place_of(id).await? else {
            let unplaced = EventStatus {
                event: None,
                quarantined,
                state: EventState::Quarantined,
                subscriptions: Vec::new(),
                duplicates: Vec::new(),
            };
            return Ok(unplaced.quarantined.is_some().then_some(unplaced));
        };
        let superseded = self
            .ledger
            .get(&Key::Superseded(stream.clone(), position.clone()))
            .await?;
        let event = match self
            .ledger
            .get(&Key::Event(stream.clone(), position.clone()))
            .await?
        {
            Some(Record::Event(event)) => event,
            _ => match &superseded {
                Some(Record::Superseded(Superseded {
                    event: Some(event), ..
                })) => event.clone(),
                _ => return Ok(None),
            },
        };
        let head = self.released_up_to(&stream).await?;
        let state = match head {
            _ if superseded.is_some() => EventState::Superseded,
            Some(head) if position <= head => EventState::Released,
            _ => EventState::Pending,
        };
        let mut subscriptions = Vec::new();
        for active in self
            .active
            .values()
            .filter(|active| active.config.listens_to(&stream))
        {
            if let Some(state) = self.delivery_state(active, &event).await? {
                subscriptions.push((active.config.name.clone(), state));
            }
        }
        let notes = self
            .ledger
            .list(&Index::Notes(stream, position), None, NOTES_MAX)
            .await?;
        let note = |record| match record {
            Record::Note(note) => Some(note),
            _ => None,
        };
        let duplicates = notes.records.into_iter().filter_map(note).collect();
        Ok(Some(EventStatus {
            event: Some(event),
            quarantined,
            state,
            subscriptions,
            duplicates,
        }))
    }

    /// What is known of the payload of the event or quarantined webhook with this id.
    pub(crate) async fn payload_of(&self, id: &EventId) -> Result<Option<Payload>, StoreError> {
        let (stream, position) = match id.place() {
            None => return Ok(None),
            Some(Place::Stream(stream, position)) => (stream, position),
            Some(Place::Quarantine(source)) => {
                let key = Key::Quarantined(source, id.clone());
                return Ok(match self.ledger.get(&key).await? {
                    Some(Record::Quarantined(record)) => Some(record.payload),
                    _ => None,
                });
            }
        };
        let key = Key::Event(stream.clone(), position.clone());
        if let Some(Record::Event(event)) = self.ledger.get(&key).await? {
            return Ok(event.payload().cloned());
        }
        let key = Key::Superseded(stream, position);
        Ok(match self.ledger.get(&key).await? {
            Some(Record::Superseded(record)) => {
                record.event.and_then(|event| event.payload().cloned())
            }
            _ => None,
        })
    }

    /// `None` when the event is not for this subscription.
    async fn delivery_state(
        &self,
        active: &Active,
        event: &Event,
    ) -> Result<Option<DeliveryState>, StoreError> {
        let cursor = self.cursor(active, &event.stream).await?;
        let name = active.config.name.clone();
        if !self.is_for(active, &cursor, event).await? {
            return Ok(None);
        }
        let dead = Key::DeadLetter(name.clone(), event.stream.clone(), event.position.clone());
        if self.ledger.get(&dead).await?.is_some() {
            return Ok(Some(DeliveryState::Dead));
        }
        if cursor.redrive.contains(&event.position) {
            return Ok(Some(DeliveryState::Waiting));
        }
        if cursor.acknowledged.contains(&event.position) {
            return Ok(Some(DeliveryState::Delivered));
        }
        if cursor
            .position
            .as_ref()
            .is_some_and(|settled| event.position <= *settled)
        {
            let jumped = self.jumped_over(active, event).await?;
            return Ok((!jumped).then_some(DeliveryState::Delivered));
        }
        let is_next = match &cursor.state {
            CursorState::Parked { .. } => {
                let next = self.next_offer(active, &cursor).await?;
                next.is_some_and(|next| next.position == event.position)
            }
            CursorState::Active | CursorState::Retrying { .. } => false,
        };
        Ok(Some(if is_next {
            DeliveryState::Parked
        } else {
            DeliveryState::Waiting
        }))
    }

    async fn jumped_over(&self, active: &Active, event: &Event) -> Result<bool, StoreError> {
        let index = Index::Passed(active.config.name.clone(), event.stream.clone());
        let mut cursor = None;
        loop {
            let page = self
                .ledger
                .list(&index, cursor.as_deref(), NOTES_MAX)
                .await?;
            for record in page.records {
                if let Record::Passed(passed) = record
                    && event.position < passed.to
                    && passed.after.is_none_or(|after| after < event.position)
                {
                    return Ok(true);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(false);
            }
        }
    }

    /// A stream, with its gap as the core sees it now.
    pub(crate) async fn stream_status(
        &self,
        stream: &StreamId,
    ) -> Result<Option<StreamStatus>, StoreError> {
        match self.ledger.get(&Key::Head(stream.clone())).await? {
            Some(Record::Head(head)) => Ok(Some(self.stream_with_cursors(head).await?)),
            _ => Ok(None),
        }
    }

    async fn stream_with_cursors(&self, head: HeadRecord) -> Result<StreamStatus, StoreError> {
        let mut cursors = Vec::new();
        for active in self
            .active
            .values()
            .filter(|active| active.config.listens_to(&head.stream))
        {
            cursors.push(self.cursor(active, &head.stream).await?);
        }
        let gap = match self.catalog.rule(&head.stream) {
            Some(rule) if head.head.gap.is_some() => self
                .decide(rule, &head, self.clock.now())
                .await?
                .and_then(|decision| decision.head.gap),
            _ => head.head.gap.clone(),
        };
        Ok(StreamStatus { head, gap, cursors })
    }

    /// Streams, all of them or those that want attention.
    pub(crate) async fn streams(
        &self,
        attention: Option<Attention>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<StreamStatus>, StoreError> {
        let due = Timestamp::from_micros(i64::MAX);
        let index = match attention {
            None => Index::Heads(None),
            Some(Attention::Stalled) => Index::Attention {
                kind: AttentionKind::Stalled,
                due,
            },
            Some(Attention::Parked) => Index::Attention {
                kind: AttentionKind::Parked,
                due,
            },
        };
        let page = self.ledger.list(&index, cursor, limit).await?;
        let mut items: Vec<StreamStatus> = Vec::with_capacity(page.records.len());
        for record in page.records {
            let head = match record {
                Record::Head(head) => Some(head),
                Record::Cursor(cursor) => match self.ledger.get(&Key::Head(cursor.stream)).await? {
                    Some(Record::Head(head)) => Some(head),
                    _ => None,
                },
                _ => None,
            };
            if let Some(head) = head
                && !items.iter().any(|item| item.head.stream == head.stream)
            {
                items.push(self.stream_with_cursors(head).await?);
            }
        }
        Ok(Listing {
            items,
            next: page.next,
        })
    }

    /// The released events of a stream above `after`, in order, without placeholders.
    pub(crate) async fn released(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Option<Vec<Outgoing>>, StoreError> {
        let Some(Record::Head(head)) = self.ledger.get(&Key::Head(stream.clone())).await? else {
            return Ok(None);
        };
        let mut outgoing = Vec::new();
        let Some(head) = head.head.position else {
            return Ok(Some(outgoing));
        };
        let mut after = after.cloned();
        while outgoing.len() < limit {
            let events = self
                .ledger
                .events(stream, after.as_ref(), Some(&head), limit)
                .await?;
            let end = events.len() < limit;
            after = events.last().map(|event| event.position.clone()).or(after);
            for event in events {
                if !matches!(event.body, Body::Placeholder) && outgoing.len() < limit {
                    outgoing.push(self.outgoing(event, 0).await?);
                }
            }
            if end {
                break;
            }
        }
        Ok(Some(outgoing))
    }

    /// What waits in quarantine for an operator's decision.
    pub(crate) async fn quarantined(
        &self,
        source: Option<SourceName>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<Quarantined>, StoreError> {
        let waiting = |record| match record {
            Record::Quarantined(record) if record.resolution.is_none() => Some(record),
            _ => None,
        };
        self.listing(&Index::Quarantine(source), cursor, limit, waiting)
            .await
    }

    /// What subscriptions gave up on.
    pub(crate) async fn dead_letters(
        &self,
        subscription: Option<SubscriptionName>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<DeadLetter>, StoreError> {
        let dead = |record| match record {
            Record::DeadLetter(record) => Some(record),
            _ => None,
        };
        self.listing(&Index::DeadLetters(subscription), cursor, limit, dead)
            .await
    }

    /// A page of the records that `pick` wants, read on until it is full or the index ends.
    async fn listing<T>(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
        pick: impl Fn(Record) -> Option<T>,
    ) -> Result<Listing<T>, StoreError> {
        let mut items = Vec::new();
        let mut cursor = cursor.map(ToOwned::to_owned);
        loop {
            let Page { records, next } = self
                .ledger
                .list(index, cursor.as_deref(), limit - items.len())
                .await?;
            items.extend(records.into_iter().filter_map(&pick));
            cursor = next;
            if cursor.is_none() || items.len() >= limit {
                return Ok(Listing {
                    items,
                    next: cursor,
                });
            }
        }
    }
}
