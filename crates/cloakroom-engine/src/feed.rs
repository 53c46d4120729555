//! What is next for one subscription in one stream: the same for everything that hands events out.

use cloakroom_core::cloudevent::CloudEvent;
use cloakroom_core::event::{Body, Event};
use cloakroom_core::id::StreamId;
use cloakroom_core::ordering::Rule;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use crate::ports::LedgerError;
use crate::record::{Cursor, CursorState, Key, Record};
use crate::shared::{Active, Shared, StoreError};

/// How many steps are looked at in search of an offer.
const OFFER_PAGE: usize = 64;

/// One position of a stream, as one subscription sees it.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Nothing for this subscription: settled as it is passed. `jumped` as below.
    Pass { position: Position, jumped: bool },
    /// An event to hand out. `jumped` when older versions were left out before it.
    Offer { event: Box<Event>, jumped: bool },
}

impl Step {
    pub(crate) fn position(&self) -> &Position {
        match self {
            Self::Pass { position, .. } => position,
            Self::Offer { event, .. } => &event.position,
        }
    }
}

impl Shared {
    /// The cursor of a subscription in a stream; where none was written yet, one that stands before everything.
    pub(crate) async fn cursor(
        &self,
        active: &Active,
        stream: &StreamId,
    ) -> Result<Cursor, StoreError> {
        let key = Key::Cursor(active.config.name.clone(), stream.clone());
        match self.ledger.get(&key).await? {
            Some(Record::Cursor(cursor)) => Ok(cursor),
            _ => Ok(Cursor {
                subscription: active.config.name.clone(),
                stream: stream.clone(),
                position: None,
                state: CursorState::Active,
                acknowledged: Vec::new(),
                lease: None,
                since: None,
                epoch: 0,
                redrive: Vec::new(),
                revision: 0,
            }),
        }
    }

    /// The head of a stream; `None` while nothing is released.
    pub(crate) async fn released_up_to(
        &self,
        stream: &StreamId,
    ) -> Result<Option<Position>, StoreError> {
        match self.ledger.get(&Key::Head(stream.clone())).await? {
            Some(Record::Head(head)) => Ok(head.head.position),
            _ => Ok(None),
        }
    }

    /// Whether only the newest event of `stream` is handed out. Of a generation that is not configured here (any more, or
    /// yet) the head tells: old streams are still delivered, and hosts are not all started anew at once.
    pub(crate) async fn is_of_versions(&self, stream: &StreamId) -> Result<bool, LedgerError> {
        if let Some(rule) = self.catalog.rule(stream) {
            return Ok(*rule == Rule::Version);
        }
        match self.ledger.get(&Key::Head(stream.clone())).await? {
            Some(Record::Head(head)) => Ok(head.head.is_of_versions()),
            _ => Ok(false),
        }
    }

    /// The next steps above `after` up to `head`, at most `limit`; none when everything is settled.
    pub(crate) async fn steps(
        &self,
        active: &Active,
        cursor: &Cursor,
        after: Option<&Position>,
        head: &Position,
        limit: usize,
    ) -> Result<Vec<Step>, StoreError> {
        let stream = &cursor.stream;
        if self.is_of_versions(stream).await? {
            return self.newest(active, cursor, after, head).await;
        }
        let events = self.ledger.events(stream, after, Some(head), limit).await?;
        let mut steps = Vec::with_capacity(events.len());
        for event in events {
            steps.push(match self.is_for(active, cursor, &event).await? {
                true => Step::Offer {
                    event: Box::new(event),
                    jumped: false,
                },
                false => Step::Pass {
                    position: event.position,
                    jumped: false,
                },
            });
        }
        Ok(steps)
    }

    /// In a version stream only the newest released event is handed out.
    async fn newest(
        &self,
        active: &Active,
        cursor: &Cursor,
        after: Option<&Position>,
        head: &Position,
    ) -> Result<Vec<Step>, StoreError> {
        let stream = &cursor.stream;
        if after.is_some_and(|after| after >= head) {
            return Ok(Vec::new());
        }
        let Some(Record::Event(event)) = self
            .ledger
            .get(&Key::Event(stream.clone(), head.clone()))
            .await?
        else {
            return Ok(vec![Step::Pass {
                position: head.clone(),
                jumped: false,
            }]);
        };
        let first = self.ledger.events(stream, after, Some(head), 1).await?;
        let jumped = first
            .first()
            .is_some_and(|first| first.position < event.position);
        Ok(vec![match self.is_for(active, cursor, &event).await? {
            true => Step::Offer {
                event: Box::new(event),
                jumped,
            },
            false => Step::Pass {
                position: event.position,
                jumped,
            },
        }])
    }

    /// Whether `event` is for this subscription.
    pub(crate) async fn is_for(
        &self,
        active: &Active,
        cursor: &Cursor,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let since: Timestamp = cursor.since.unwrap_or_else(|| active.since());
        if matches!(event.body, Body::Placeholder) || event.recorded < since {
            return Ok(false);
        }
        self.passes_filter(active, event).await
    }

    /// Whether the subscription's filter lets `event` through. Whoever listens to a stream hears of its gaps, unless
    /// the filter says otherwise.
    pub(crate) async fn passes_filter(
        &self,
        active: &Active,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let Some(filter) = &active.config.filter else {
            return Ok(true);
        };
        let with_data = filter.reads("data");
        let inline = match with_data {
            true => self.inline(event).await,
            false => Ok(None),
        };
        let inline = match inline {
            // Nobody can tell any more whether it is wanted: let whoever hands it out find that it is lost.
            Err(error) if error.is_payload_lost() => return Ok(true),
            inline => inline?,
        };
        let view = CloudEvent::of(event, inline.as_deref(), None).filter_view(with_data);
        Ok(filter.matches(&view))
    }

    /// The first event above the cursor that is for this subscription.
    pub(crate) async fn next_offer(
        &self,
        active: &Active,
        cursor: &Cursor,
    ) -> Result<Option<Event>, StoreError> {
        let Some(head) = self.released_up_to(&cursor.stream).await? else {
            return Ok(None);
        };
        let mut after = cursor.position.clone();
        loop {
            let steps = self
                .steps(active, cursor, after.as_ref(), &head, OFFER_PAGE)
                .await?;
            let Some(last) = steps.last() else {
                return Ok(None);
            };
            after = Some(last.position().clone());
            let offer = |step| match step {
                Step::Offer { event, .. } => Some(*event),
                Step::Pass { .. } => None,
            };
            if let Some(event) = steps.into_iter().find_map(offer) {
                return Ok(Some(event));
            }
        }
    }
}
