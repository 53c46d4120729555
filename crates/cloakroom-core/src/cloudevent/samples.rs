//! One event of every shape, in every mode: as snapshots to read, and as `tests/judges/cloudevents/samples.ndjson` for
//! SDKs of other languages to judge. What the samples must say is written by hand, not taken from the code under test.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::event::{ClaimName, Payload, Sha256};
use crate::id::{EventId, StreamId};
use crate::position::Position;
use crate::time::Timestamp;

/// Set to rewrite the file of samples.
const UPDATE: &str = "CLOAKROOM_UPDATE_SAMPLES";
const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/judges/cloudevents/samples.ndjson"
);
const DATAREF: &str = "https://cloakroom.example/v1/claims/c1?expires=1&signature=a%2Bb";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01";

pub(super) fn event(key: &str, content_type: &str, payload: &[u8]) -> Event {
    let stream = StreamId::new("transfers", key);
    let position = Position::dense(7);
    Event {
        id: EventId::of(&stream, &position),
        stream,
        position,
        identity: "msg_1".into(),
        event_type: "transfer.updated".to_owned(),
        time: Timestamp::parse_rfc3339("2026-11-22T10:00:00Z"),
        recorded: Timestamp::parse_rfc3339("2026-11-22T10:00:01.000123Z").unwrap(),
        traceparent: None,
        late: None,
        body: Body::Payload(Payload {
            content_type: content_type.to_owned(),
            size: payload.len() as u64,
            sha256: Sha256::of(payload),
            claim: Some(ClaimName("c1".to_owned())),
            inline: None,
        }),
    }
}

struct Sample {
    name: &'static str,
    event: Event,
    inline: Option<&'static [u8]>,
    dataref: Option<&'static str>,
    /// The attributes that differ from those of the first sample; `null` where one is missing.
    differs: Value,
    /// The data, as it must come out.
    data: Option<&'static [u8]>,
}

impl Sample {
    fn of(name: &'static str, content_type: &str, payload: &'static [u8]) -> Self {
        let mut differs = json!({
            "payloadsize": payload.len().to_string(),
            "payloadsha256": Sha256::of(payload).to_string(),
        });
        if content_type != "application/json" {
            differs["datacontenttype"] = content_type.into();
        }
        Self {
            name,
            event: event("TR-42", content_type, payload),
            inline: Some(payload),
            dataref: None,
            differs,
            data: Some(payload),
        }
    }

    fn but(mut self, change: impl FnOnce(&mut Event), differs: &Value) -> Self {
        change(&mut self.event);
        for (name, value) in differs.as_object().unwrap() {
            self.differs[name] = value.clone();
        }
        self
    }

    fn cloudevent(&self) -> CloudEvent<'_> {
        CloudEvent::of(&self.event, self.inline, self.dataref)
    }

    fn attributes(&self) -> Value {
        let mut attributes = json!({
            "specversion": "1.0",
            "id": "evt_dHJhbnNmZXJzClRSLTQyCjc",
            "source": "/sources/transfers/TR-42",
            "type": "transfer.updated",
            "time": "2026-11-22T10:00:00Z",
            "subject": "TR-42",
            "datacontenttype": "application/json",
            "sequence": "00000000000000000007",
            "partitionkey": "TR-42",
            "recordedtime": "2026-11-22T10:00:01.000123Z",
        });
        for (name, value) in self.differs.as_object().unwrap() {
            if value.is_null() {
                attributes.as_object_mut().unwrap().shift_remove(name);
            } else {
                attributes[name] = value.clone();
            }
        }
        attributes
    }
}

const JSON: &str = "application/json";
const SMALL: &[u8] = br#"{"id":"TR-42","amount":1.10}"#;

fn samples() -> Vec<Sample> {
    let mut samples = plain_samples();
    let key = "zażółć/100% \"😀\"";
    samples.push(Sample::of("unicode-key", JSON, SMALL).but(
        |e| *e = event(key, JSON, SMALL),
        &json!({
            "id": "evt_dHJhbnNmZXJzCnphxbzDs8WCxIcvMTAwJSAi8J-YgCIKNw",
            "source": "/sources/transfers/za%C5%BC%C3%B3%C5%82%C4%87%2F100%25%20%22%F0%9F%98%80%22",
            "subject": key, "partitionkey": key,
        }),
    ));
    samples.push(Sample::of("control-characters-in-key", JSON, SMALL).but(
        |e| *e = event("a\nb\u{85}", JSON, SMALL),
        &json!({
            "id": "evt_dHJhbnNmZXJzCmEKYsKFCjc", "source": "/sources/transfers/a%0Ab%C2%85",
            "subject": "a%0Ab%C2%85", "partitionkey": "a%0Ab%C2%85",
        }),
    ));
    samples.push(Sample::of("late", JSON, SMALL).but(
        |e| {
            e.position = Position::after_head(Some(&Position::dense(7))).unwrap();
            e.id = EventId::of(&e.stream, &e.position);
            e.late = Some("3".to_owned());
            e.traceparent = Some(TRACEPARENT.to_owned());
            e.time = None;
        },
        &json!({
            "id": "evt_dHJhbnNmZXJzClRSLTQyCjcrMDAwMDAwMDE", "sequence": "00000000000000000007+00000001",
            "cloakroomlate": "true", "cloakroomlatesequence": "3", "traceparent": TRACEPARENT, "time": null,
        }),
    ));
    samples.push(Sample::of("state-change", JSON, SMALL).but(
        |e| {
            e.stream = StreamId::new("cloakroom", "billing");
            e.id = EventId::of(&e.stream, &e.position);
            e.event_type = "cloakroom.delivery.failed".to_owned();
        },
        &json!({
            "id": "evt_Y2xvYWtyb29tCmJpbGxpbmcKNw", "source": "/cloakroom", "subject": "billing",
            "partitionkey": "billing", "type": "cloakroom.delivery.failed",
        }),
    ));
    samples.push(Sample {
        data: Some(br#"{"from":5,"to":7}"#),
        ..Sample::of("gap", JSON, b"").but(
            |e| e.body = Body::Gap { from: 5, to: 7 },
            &json!({ "type": "cloakroom.gap", "payloadsize": null, "payloadsha256": null }),
        )
    });
    samples
}

fn plain_samples() -> Vec<Sample> {
    let with_dataref = |sample: Sample| {
        let sample = sample.but(|_| {}, &json!({ "dataref": DATAREF }));
        Sample {
            dataref: Some(DATAREF),
            ..sample
        }
    };
    vec![
        Sample::of("json", JSON, SMALL),
        with_dataref(Sample::of("json-with-dataref", JSON, SMALL)),
        with_dataref(Sample {
            inline: None,
            data: None,
            ..Sample::of("not-inline", JSON, SMALL)
        }),
        Sample::of(
            "json-as-written",
            "application/vnd.bank+json; charset=\"utf-8\"",
            b" \r\n{ \"b\" : 1e2, \"a\":\t-0.0,\"b\":\"\\u0041\xc5\xbc\",\"n\":12345678901234567890 }\n",
        ),
        Sample::of("json-scalar", "text/json", b"null"),
        Sample::of("broken-json", JSON, b"{\"id\":"),
        Sample::of("json-that-is-no-utf8", JSON, b"\"\xff\""),
        Sample::of("json-with-bom", JSON, b"\xef\xbb\xbf{}"),
        Sample::of("text", "text/plain; charset=utf-8", "zażółć\n".as_bytes()),
        Sample::of("bytes", "application/octet-stream", b"\x00\xff\x80\r\n\x00"),
        Sample::of("empty", "application/octet-stream", b""),
        Sample::of(
            "payload-is-a-cloudevent",
            "application/cloudevents+json",
            br#"{"specversion":"1.0","id":"inner","source":"/x","type":"y"}"#,
        ),
    ]
}

fn lines() -> String {
    let mut lines = String::new();
    let mut line = |name: &str, headers: Value, body: &[u8], expected: Vec<Value>| {
        let sample = json!({
            "name": name, "headers": headers, "body_base64": STANDARD.encode(body), "expected": expected,
        });
        writeln!(lines, "{sample}").unwrap();
    };
    let expected = |sample: &Sample| {
        let data = sample.data.map(|data| STANDARD.encode(data));
        json!({ "attributes": sample.attributes(), "data_base64": data })
    };
    let samples = samples();
    for sample in &samples {
        let structured = json!({ "content-type": STRUCTURED_CONTENT_TYPE });
        let body = sample.cloudevent().structured();
        let name = format!("{}/structured", sample.name);
        line(&name, structured, &body, vec![expected(sample)]);
        let (headers, body) = sample.cloudevent().binary();
        let headers = headers.into_iter().map(|(k, v)| (k.to_owned(), v.into()));
        let name = format!("{}/binary", sample.name);
        let headers = Value::Object(headers.collect());
        line(&name, headers, &body, vec![expected(sample)]);
    }
    let batch = CloudEvent::batch(samples.iter().map(Sample::cloudevent));
    let headers = json!({ "content-type": BATCH_CONTENT_TYPE });
    line(
        "all/batch",
        headers.clone(),
        &batch,
        samples.iter().map(expected).collect(),
    );
    line("none/batch", headers, &CloudEvent::batch([]), vec![]);
    lines
}

#[test]
fn the_samples_for_other_languages_are_current() {
    let lines = lines();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(FILE, &lines).unwrap();
    }
    let stored = std::fs::read_to_string(FILE).unwrap();
    assert!(stored == lines, "set {UPDATE}=1 to rewrite {FILE}");
}

fn readable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\\"", "\"")
}

#[test]
fn every_shape() {
    let mut text = String::new();
    for sample in samples() {
        let structured = sample.cloudevent().structured();
        let (headers, body) = sample.cloudevent().binary();
        writeln!(text, "# {}", sample.name).unwrap();
        writeln!(text, "{}\n", readable(&structured)).unwrap();
        for (name, value) in headers {
            writeln!(text, "{name}: {value}").unwrap();
        }
        writeln!(text, "\n{}\n", readable(&body)).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn filters_see_attributes_and_json_data() {
    let samples = samples();
    let view = |name: &str, with_data| {
        let sample = samples.iter().find(|sample| sample.name == name).unwrap();
        let view = sample.cloudevent().filter_view(with_data);
        let mut attributes = view.clone();
        attributes.as_object_mut().unwrap().shift_remove("data");
        assert_eq!(attributes, sample.attributes(), "{name}");
        view.get("data").cloned()
    };
    let small = Some(json!({ "id": "TR-42", "amount": 1.1 }));
    assert_eq!(view("json", true), small);
    assert_eq!(view("json", false), None);
    assert_eq!(view("gap", true), Some(json!({ "from": 5, "to": 7 })));
    assert_eq!(view("json-scalar", true), Some(Value::Null));
    for name in ["not-inline", "broken-json", "text", "empty"] {
        assert_eq!(view(name, true), None, "{name}");
    }
    let deep = [vec![b'['; 1000], vec![b']'; 1000]].concat();
    let event = event("TR-42", JSON, &deep);
    let view = CloudEvent::of(&event, Some(&deep), None).filter_view(true);
    assert_eq!(view.get("data"), None);
}

#[test]
fn a_placeholder_and_a_missing_content_type_are_still_valid_events() {
    let mut event = event("TR-42", " ", b"x");
    let view = CloudEvent::of(&event, Some(b"x"), None).filter_view(true);
    assert_eq!(view["datacontenttype"], "application/octet-stream");
    event.body = Body::Placeholder;
    let cloudevent = CloudEvent::of(&event, Some(b"x"), Some(DATAREF));
    let view: Value = serde_json::from_slice(&cloudevent.structured()).unwrap();
    assert_eq!(view, cloudevent.filter_view(true));
    assert_eq!(view.get("data_base64"), None);
    assert_eq!(&*cloudevent.binary().1, b"");
}
