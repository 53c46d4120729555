//! What consumers receive, read by another project's SDK.
//!
//! Input: four lines (key, type, content type, `dataref`), then the payload.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_core::cloudevent::CloudEvent;
use cloakroom_core::event::{Body, Event, Payload, Sha256};
use cloakroom_core::id::{EventId, StreamId};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloudevents::AttributesReader as _;
use serde_json::value::RawValue;

use crate::text_line;

/// The content types that the SDK reads as well: it refuses some that are valid.
const PLAIN: [&str; 3] = ["application/json", "application/octet-stream", "text/plain"];

/// The target.
pub fn run(data: &[u8]) {
    let mut rest = data;
    let mut lines = [""; 4];
    for line in &mut lines {
        let Some((first, after)) = text_line(rest) else {
            return;
        };
        (*line, rest) = (first, after);
    }
    let [key, event_type, content_type, dataref] = lines;
    if key.is_empty() {
        return;
    }
    let event = event(key, event_type, content_type, rest);
    let cloudevent = CloudEvent::of(
        &event,
        Some(rest),
        Some(dataref).filter(|text| !text.is_empty()),
    );
    structured(&cloudevent, &event, rest);
    binary(&cloudevent, content_type, rest);
    drop(cloudevent.filter_view(true));
}

fn event(key: &str, event_type: &str, content_type: &str, payload: &[u8]) -> Event {
    let stream = StreamId::new("shop", key);
    let position = Position::dense(7);
    Event {
        id: EventId::of(&stream, &position),
        stream,
        position,
        identity: "msg_1".into(),
        event_type: event_type.to_owned(),
        time: Some(Timestamp::from_secs(1_700_000_000)),
        recorded: Timestamp::from_secs(1_700_000_001),
        traceparent: Some(event_type.to_owned()),
        late: Some(key.to_owned()),
        body: Body::Payload(Payload {
            content_type: content_type.to_owned(),
            size: payload.len() as u64,
            sha256: Sha256::of(payload),
            claim: None,
            inline: None,
        }),
    }
}

fn structured(cloudevent: &CloudEvent<'_>, event: &Event, payload: &[u8]) {
    let json = cloudevent.structured();
    let text = std::str::from_utf8(&json).expect("an event is text");
    let members: HashMap<&str, &RawValue> = serde_json::from_str(text).expect("an event is JSON");
    let source: String = serde_json::from_str(members["source"].get()).expect("a source is text");
    let stream = source.strip_prefix("/sources/").and_then(StreamId::parse);
    assert_eq!(stream.as_ref(), Some(&event.stream), "the key is not exact");
    match (members.get("data"), members.get("data_base64")) {
        (Some(_), None) => assert!(
            json.ends_with(&[br#","data":"#, payload, b"}"].concat()),
            "other bytes"
        ),
        (None, Some(raw)) => {
            let base64: String = serde_json::from_str(raw.get()).expect("base64 is text");
            assert_eq!(STANDARD.decode(base64).expect("it is base64"), payload);
        }
        _ => panic!("one of data and data_base64 is there"),
    }
    let batch = CloudEvent::batch([*cloudevent, *cloudevent]);
    assert_eq!(batch, [b"[", json.as_slice(), b",", &json, b"]"].concat());
    let content_type = event.payload().map_or("", |payload| &payload.content_type);
    if PLAIN.contains(&content_type) && !beyond_the_sdk(text) {
        let read: cloudevents::Event = serde_json::from_str(text).expect("the SDK reads it");
        assert_eq!(read.id(), event.id.as_str());
        assert_eq!(read.source().to_string(), source);
    }
}

/// The SDK turns JSON data into values, which cannot hold every number, nor every depth.
fn beyond_the_sdk(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_err()
}

fn binary(cloudevent: &CloudEvent<'_>, content_type: &str, payload: &[u8]) {
    let (headers, body) = cloudevent.binary();
    for (name, value) in &headers {
        let fits = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        assert!(fits, "{name}: {value:?} is no header");
    }
    let is_cloudevent = content_type
        .trim()
        .get(..23)
        .is_some_and(|start| start.eq_ignore_ascii_case("application/cloudevents"));
    if is_cloudevent {
        assert_eq!(*body, *cloudevent.structured());
    } else {
        assert_eq!(*body, *payload, "other bytes");
    }
}
