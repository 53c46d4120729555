//! State changes of Cloakroom's own, as events of the source `/cloakroom`.
//!
//! They are written in the transaction of the change they tell of, so none is lost and none is made up; and only while a
//! subscription listens to them.

use bytes::Bytes;
use cloakroom_core::event::{Body, Event, Payload, Sha256};
use cloakroom_core::id::{EventId, Identity, StreamId, SubscriptionName};
use cloakroom_core::ordering::Rule;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use serde_json::json;

use crate::catalog::STATE_SOURCE;
use crate::ports::{LedgerError, Write};
use crate::record::{HeadRecord, Record};
use crate::shared::Shared;

/// Something that happened to a delivery or to a stream.
#[derive(Debug, Clone)]
pub(crate) enum StateChange {
    Succeeded {
        subscription: SubscriptionName,
        event: EventId,
        stream: StreamId,
        attempts: u32,
    },
    Failed {
        subscription: SubscriptionName,
        event: EventId,
        stream: StreamId,
        attempts: u32,
        reason: String,
    },
    Aborted {
        subscription: SubscriptionName,
        event: EventId,
        stream: StreamId,
        attempts: u32,
        reason: String,
    },
    Stalled {
        stream: StreamId,
        from: u64,
        to: u64,
    },
}

/// The one stream that all state changes are told in: CloudEvents scopes `sequence` by `source`, and they share one.
fn told_in() -> StreamId {
    StreamId::new(STATE_SOURCE, STATE_SOURCE)
}

impl StateChange {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Succeeded { .. } => "cloakroom.delivery.succeeded",
            Self::Failed { .. } => "cloakroom.delivery.failed",
            Self::Aborted { .. } => "cloakroom.delivery.aborted",
            Self::Stalled { .. } => "cloakroom.stream.stalled",
        }
    }

    fn data(&self) -> serde_json::Value {
        match self {
            Self::Succeeded {
                subscription,
                event,
                stream,
                attempts,
            } => {
                json!({"subscription": subscription, "event": event, "stream": stream.to_string(), "attempts": attempts})
            }
            Self::Failed {
                subscription,
                event,
                stream,
                attempts,
                reason,
            }
            | Self::Aborted {
                subscription,
                event,
                stream,
                attempts,
                reason,
            } => json!({
                "subscription": subscription, "event": event, "stream": stream.to_string(),
                "attempts": attempts, "reason": reason,
            }),
            Self::Stalled { stream, from, to } => {
                json!({"stream": stream.to_string(), "from": from, "to": to})
            }
        }
    }

    fn event(&self, after: &HeadRecord, now: Timestamp, identity: Identity) -> Event {
        let data = Bytes::from(self.data().to_string());
        let position = Position::next_arrival(after.head.position.as_ref(), now, &identity);
        let stream = after.stream.clone();
        Event {
            id: EventId::of(&stream, &position),
            stream,
            position,
            identity,
            event_type: self.event_type().to_owned(),
            time: Some(now),
            recorded: now,
            traceparent: None,
            late: None,
            body: Body::Payload(Payload {
                content_type: "application/json".to_owned(),
                size: data.len() as u64,
                sha256: Sha256::of(&data),
                claim: None,
                inline: Some(data),
            }),
        }
    }
}

impl Shared {
    /// The writes that record `changes`, to be added to the transaction of the changes themselves. On a conflict in one
    /// of them ask again: positions follow the clock.
    pub(crate) async fn state_writes(
        &self,
        changes: &[StateChange],
    ) -> Result<Vec<Write>, LedgerError> {
        if changes.is_empty() || !self.catalog.has_state_subscribers() {
            return Ok(Vec::new());
        }
        let mut writes = Vec::new();
        let mut after = self.appender.head(&told_in(), &Rule::Arrival).await?;
        for change in changes {
            let identity = Identity::from(format!("{:016x}", self.entropy.next()));
            let event = change.event(&after, self.clock.now(), identity);
            // The first of them is the lowest: the head is below all of them when it is below that one.
            if writes.is_empty() {
                writes.push(Write::Admit {
                    stream: event.stream.clone(),
                    position: event.position.clone(),
                });
            }
            after.head.position = Some(event.position.clone());
            writes.push(Write::Create(Record::Event(event)));
        }
        Ok(writes)
    }

    /// Rings for `changes`, which are entries themselves, after their transaction.
    pub(crate) fn ring_state(&self, changes: &[StateChange]) {
        if !changes.is_empty() && self.catalog.has_state_subscribers() {
            self.entry_added(told_in());
        }
    }
}
