//! Tailing: watching a subscription's events go by. Never moves a cursor.

use std::collections::VecDeque;
use std::sync::Arc;

use cloakroom_core::id::{EventId, StreamId};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::feed::Step;
use crate::ports::{Index, Outgoing};
use crate::record::{Key, Record};
use crate::shared::{Active, Release, Shared, StoreError};

/// How many events are read at a time.
const PAGE: usize = 64;

/// A view on what is released for one subscription, per stream in order.
pub struct Tail {
    shared: Arc<Shared>,
    active: Arc<Active>,
    releases: Receiver<Release>,
    /// What is to be shown next, before the next release is waited for.
    spans: VecDeque<Span>,
    shown: VecDeque<Outgoing>,
}

/// A part of a stream that is still to be shown.
struct Span {
    stream: StreamId,
    after: Option<Position>,
    up_to: Position,
    recorded_after: Option<Timestamp>,
}

/// What a tail brings.
#[derive(Debug)]
pub enum Tailed {
    /// The next event.
    Event(Box<Outgoing>),
    /// The watcher was too slow and has missed some: resume from the last event.
    Missed,
    /// The engine is stopping.
    Closed,
}

impl Tail {
    /// Starts with what is released from now on; after `last`, with what followed that event in its own stream and what
    /// was recorded after it in the others.
    pub(crate) async fn start(
        shared: Arc<Shared>,
        active: Arc<Active>,
        last: Option<&EventId>,
    ) -> Result<Self, StoreError> {
        let releases = shared.releases.subscribe();
        let mut tail = Self {
            shared,
            active,
            releases,
            spans: VecDeque::new(),
            shown: VecDeque::new(),
        };
        if let Some(last) = last {
            tail.resume(last).await?;
        }
        Ok(tail)
    }

    async fn resume(&mut self, last: &EventId) -> Result<(), StoreError> {
        let Some((its_stream, its_position)) = self.shared.place_of(last).await? else {
            return Ok(());
        };
        let key = Key::Event(its_stream.clone(), its_position.clone());
        let Some(Record::Event(event)) = self.shared.ledger.get(&key).await? else {
            return Ok(());
        };
        let mut cursor = None;
        loop {
            let page = self
                .shared
                .ledger
                .list(&Index::Heads(None), cursor.as_deref(), PAGE)
                .await?;
            for record in page.records {
                let Record::Head(head) = record else { continue };
                let Some(up_to) = head.head.position else {
                    continue;
                };
                if !self.active.config.listens_to(&head.stream) {
                    continue;
                }
                let own = head.stream == its_stream;
                self.spans.push_back(Span {
                    after: own.then(|| its_position.clone()),
                    recorded_after: (!own).then_some(event.recorded),
                    stream: head.stream,
                    up_to,
                });
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// The next event. Cancel-safe up to the reading of a page, which is then read again.
    pub async fn next(&mut self) -> Result<Tailed, StoreError> {
        loop {
            if let Some(outgoing) = self.shown.pop_front() {
                return Ok(Tailed::Event(Box::new(outgoing)));
            }
            if !self.spans.is_empty() {
                self.read_span().await?;
                continue;
            }
            tokio::select! {
                release = self.releases.recv() => match release {
                    Ok(Release { stream, after, up_to }) => {
                        if self.active.config.listens_to(&stream) {
                            self.spans.push_back(Span { stream, after, up_to, recorded_after: None });
                        }
                    }
                    Err(RecvError::Lagged(_)) => return Ok(Tailed::Missed),
                    Err(RecvError::Closed) => return Ok(Tailed::Closed),
                },
                () = self.shared.stop.cancelled() => return Ok(Tailed::Closed),
            }
        }
    }

    async fn read_span(&mut self) -> Result<(), StoreError> {
        let Some(span) = self.spans.front() else {
            return Ok(());
        };
        let cursor = self.shared.cursor(&self.active, &span.stream).await?;
        let steps = self
            .shared
            .steps(
                &self.active,
                &cursor,
                span.after.as_ref(),
                &span.up_to,
                PAGE,
            )
            .await?;
        let last = steps.last().map(|step| step.position().clone());
        let recorded_after = span.recorded_after;
        let mut shown = Vec::new();
        for step in steps {
            if let Step::Offer { event, .. } = step
                && recorded_after.is_none_or(|after| event.recorded > after)
            {
                shown.push(self.shared.outgoing(*event, 0).await?);
            }
        }
        self.shown.extend(shown);
        match (last, self.spans.front_mut()) {
            (Some(last), Some(span)) if last < span.up_to => span.after = Some(last),
            _ => {
                self.spans.pop_front();
            }
        }
        Ok(())
    }
}
