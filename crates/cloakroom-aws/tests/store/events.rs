//! Events for sinks to send.

use bytes::Bytes;
use cloakroom_core::event::{Body, Event, Payload, Sha256};
use cloakroom_core::id::{EventId, StreamId};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{Outcome, Outgoing};
use serde_json::Value;

/// The event with this number in the stream of this key.
pub(crate) fn event(key: &str, number: u64) -> Outgoing {
    with_payload(key, number, &format!(r#"{{ "number": {number} }}"#))
}

pub(crate) fn with_payload(key: &str, number: u64, payload: &str) -> Outgoing {
    let stream = StreamId::new("shop", key);
    let position = Position::dense(number);
    Outgoing {
        event: Event {
            id: EventId::of(&stream, &position),
            stream,
            position,
            identity: format!("evt-{number}").into(),
            event_type: "order.updated".to_owned(),
            time: None,
            recorded: Timestamp::from_secs(1_800_000_000),
            traceparent: None,
            late: None,
            body: Body::Payload(Payload {
                content_type: "application/json".to_owned(),
                size: payload.len() as u64,
                sha256: Sha256::of(payload.as_bytes()),
                claim: None,
                inline: None,
            }),
        },
        inline: Some(Bytes::from(payload.to_owned())),
        dataref: Some("https://claims.example/1".to_owned()),
        attempt: 1,
        epoch: 0,
    }
}

/// The numbers in the payloads of these CloudEvents.
pub(crate) fn numbers<'a>(bodies: impl IntoIterator<Item = &'a Value>) -> Vec<u64> {
    bodies
        .into_iter()
        .map(|body| body["data"]["number"].as_u64().unwrap())
        .collect()
}

/// Why a delivery failed.
pub(crate) fn reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}
