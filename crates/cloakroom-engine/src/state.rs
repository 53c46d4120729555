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
use crate::record::Record;
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

impl StateChange {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Succeeded { .. } => "cloakroom.delivery.succeeded",
            Self::Failed { .. } => "cloakroom.delivery.failed",
            Self::Aborted { .. } => "cloakroom.delivery.aborted",
            Self::Stalled { .. } => "cloakroom.stream.stalled",
        }
    }

    /// The stream it is told in: one per subscription, and one for all that befalls streams themselves.
    fn told_in(&self) -> StreamId {
        let key = match self {
            Self::Succeeded { subscription, .. }
            | Self::Failed { subscription, .. }
            | Self::Aborted { subscription, .. } => subscription.as_str(),
            Self::Stalled { .. } => "streams",
        };
        StreamId::new(STATE_SOURCE, key)
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

    fn event(&self, stream: StreamId, now: Timestamp, identity: Identity) -> Event {
        let data = Bytes::from(self.data().to_string());
        let position = Position::arrival(now, &identity);
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
    /// of them ask again: positions follow the clock. At most one change may be told in one stream per transaction.
    pub(crate) async fn state_writes(
        &self,
        changes: &[StateChange],
    ) -> Result<Vec<Write>, LedgerError> {
        let mut writes = Vec::new();
        if !self.catalog.has_state_subscribers() {
            return Ok(writes);
        }
        for change in changes {
            let stream = change.told_in();
            self.appender.head(&stream, &Rule::Arrival).await?;
            let identity = Identity::from(format!("{:016x}", self.entropy.next()));
            let event = change.event(stream.clone(), self.clock.now(), identity);
            writes.push(Write::Admit {
                stream,
                position: event.position.clone(),
            });
            writes.push(Write::Create(Record::Event(event)));
        }
        Ok(writes)
    }

    /// Rings the streams that `changes` are told in, after their transaction.
    pub(crate) fn ring_state(&self, changes: &[StateChange]) {
        if self.catalog.has_state_subscribers() {
            for change in changes {
                self.resequence.ring(change.told_in());
            }
        }
    }
}
