//! Whatever the payload, key and content type: the bytes come back, and the CloudEvents SDK reads the attributes.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloudevents::event::ExtensionValue;
use cloudevents::{AttributesReader, Data as SdkData, Event as SdkEvent};
use percent_encoding::percent_decode_str;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::samples::event;
use super::*;
use crate::id::StreamId;

/// The members of an event, for a consumer that keeps the payload's bytes. Their names need no escaping.
type Members<'a> = HashMap<&'a str, &'a RawValue>;

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 1..40).prop_map(String::from_iter)
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((text(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// JSON as different writers would write it, with whitespace around it.
fn json_text() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        json_value().prop_map(|value| value.to_string()),
        json_value().prop_map(|value| serde_json::to_string_pretty(&value).unwrap()),
        proptest::sample::select(vec![
            r#"{"b":1,"a":2,"b":3}"#,
            "[1.0, 1.00, 1e0, -0, 123456789012345678901234567890]",
            r#""\u0041\/\ud83d\ude00""#,
        ])
        .prop_map(str::to_owned),
    ];
    let space = || vec(proptest::sample::select(b" \t\r\n".to_vec()), 0..4);
    (space(), body, space())
        .prop_map(|(before, body, after)| [before, body.into_bytes(), after].concat())
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..200), json_text()]
}

fn content_type() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "application/json",
        "application/problem+json; charset=utf-8",
        "text/plain",
        "application/octet-stream",
        "image/png",
    ])
}

fn text_of(member: &RawValue) -> String {
    serde_json::from_str(member.get()).unwrap()
}

fn trim_json(bytes: &[u8]) -> &[u8] {
    let space = |byte: &u8| b" \t\r\n".contains(byte);
    let start = bytes.iter().position(|b| !space(b)).unwrap_or(bytes.len());
    let end = bytes
        .iter()
        .rposition(|b| !space(b))
        .map_or(start, |at| at + 1);
    &bytes[start..end]
}

/// Every attribute the SDK found, but `specversion`.
fn sdk_attributes(event: &SdkEvent) -> Map<String, Value> {
    let mut found = Map::new();
    let mut put = |name: &str, value: &str| found.insert(name.to_owned(), value.into());
    put("id", event.id());
    put("source", event.source());
    put("type", event.ty());
    put(
        "time",
        &event.time().unwrap().to_rfc3339().replace("+00:00", "Z"),
    );
    put("subject", event.subject().unwrap());
    put("datacontenttype", event.datacontenttype().unwrap());
    for (name, value) in event.iter_extensions() {
        let ExtensionValue::String(value) = value else {
            panic!("{name} is no string");
        };
        put(name, value);
    }
    found
}

fn written_attributes(cloudevent: &CloudEvent<'_>) -> Map<String, Value> {
    let Value::Object(mut written) = cloudevent.filter_view(false) else {
        unreachable!("a view is an object");
    };
    assert_eq!(written.shift_remove("specversion"), Some("1.0".into()));
    written
}

proptest! {
    #[test]
    fn structured_keeps_every_byte(key in text(), content_type in content_type(), payload in payload()) {
        let event = event(&key, content_type, &payload);
        let json = CloudEvent::of(&event, Some(&payload), None).structured();
        let members: Members<'_> = serde_json::from_slice(&json).unwrap();
        let source = text_of(members["source"]);
        let stream = StreamId::parse(source.strip_prefix("/sources/").unwrap());
        prop_assert_eq!(stream, Some(StreamId::new("transfers", key.as_str())));
        match (members.get("data"), members.get("data_base64")) {
            (Some(raw), None) => {
                prop_assert_eq!(raw.get().as_bytes(), trim_json(&payload));
                let tail = [br#","data":"#.as_slice(), &payload, b"}"].concat();
                prop_assert!(json.ends_with(&tail));
            }
            (None, Some(base64)) => prop_assert_eq!(STANDARD.decode(text_of(base64)).unwrap(), payload),
            other => prop_assert!(false, "one of data and data_base64 is there, not {other:?}"),
        }
    }

    #[test]
    fn valid_json_is_always_embedded_raw(payload in json_text()) {
        let event = event("TR-42", "application/json", &payload);
        let json = CloudEvent::of(&event, Some(&payload), None).structured();
        let members: Members<'_> = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(members["data"].get().as_bytes(), trim_json(&payload));
    }

    #[test]
    fn the_sdk_reads_structured_events(key in text(), payload in vec(any::<u8>(), 0..200)) {
        let event = event(&key, "application/octet-stream", &payload);
        let cloudevent = CloudEvent::of(&event, Some(&payload), Some("/v1/claims/c1"));
        let read: SdkEvent = serde_json::from_slice(&cloudevent.structured()).unwrap();
        prop_assert_eq!(sdk_attributes(&read), written_attributes(&cloudevent));
        prop_assert_eq!(read.data(), Some(&SdkData::Binary(payload)));
    }

    #[test]
    fn the_sdk_reads_embedded_json(value in json_value()) {
        let payload = serde_json::to_vec(&value).unwrap();
        let event = event("TR-42", "application/json", &payload);
        let json = CloudEvent::of(&event, Some(&payload), None).structured();
        let read: SdkEvent = serde_json::from_slice(&json).unwrap();
        // Compared as the same parser reads both: reading a float's shortest form back may be off in its last digit.
        let value = serde_json::from_slice(&payload).unwrap();
        prop_assert_eq!(read.data(), Some(&SdkData::Json(value)));
    }

    #[test]
    fn the_sdk_reads_binary_events(key in text(), content_type in content_type(), payload in payload()) {
        let event = event(&key, content_type, &payload);
        let cloudevent = CloudEvent::of(&event, Some(&payload), Some("/v1/claims/c1"));
        let (headers, body) = cloudevent.binary();
        prop_assert_eq!(&*body, payload.as_slice());
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            prop_assert!(value.bytes().all(|b| matches!(b, b' '..=b'~')));
            map.insert(name, value.parse().unwrap());
        }
        let read = cloudevents::binding::http::to_event(&map, body.into_owned()).unwrap();
        let mut attributes = sdk_attributes(&read);
        // This SDK leaves the percent-encoding of header values as it finds it.
        for (name, value) in &mut attributes {
            if name != "datacontenttype" {
                let decoded = percent_decode_str(value.as_str().unwrap()).decode_utf8();
                *value = decoded.unwrap().into_owned().into();
            }
        }
        prop_assert_eq!(attributes, written_attributes(&cloudevent));
    }

    #[test]
    fn a_batch_is_its_events(payloads in vec(payload(), 0..5)) {
        let events: Vec<_> = payloads.iter().map(|p| event("TR-42", "application/json", p)).collect();
        let cloudevents = || events.iter().zip(&payloads).map(|(e, p)| CloudEvent::of(e, Some(p), None));
        let batch = CloudEvent::batch(cloudevents());
        let items: Vec<&RawValue> = serde_json::from_slice(&batch).unwrap();
        let items: Vec<_> = items.iter().map(|item| item.get().as_bytes().to_vec()).collect();
        let structured: Vec<_> = cloudevents().map(|event| event.structured()).collect();
        prop_assert_eq!(items, structured);
    }

    #[test]
    fn no_attribute_holds_what_cloudevents_forbids(key in text()) {
        let event = event(&key, "text/plain", b"");
        for (name, value) in written_attributes(&CloudEvent::of(&event, None, None)) {
            let value = value.as_str().unwrap();
            prop_assert!(!value.is_empty() && !value.contains(text::is_disallowed), "{name}");
            if name == "subject" && !key.contains(text::is_disallowed) {
                prop_assert_eq!(value, &key);
            }
        }
    }
}
