//! What a consumer receives, read by an implementation of CloudEvents that is not ours.

use std::io::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloudevents::{AttributesReader as _, Data, Event};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::support::consumer::{Consumer, Delivery};
use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::sha256;

const JSON: &str = "application/json";
/// Payloads that are easily damaged: numbers, order of members, white space, text, and bytes that are no text.
const PAYLOADS: [(&str, &[u8]); 4] = [
    (
        JSON,
        b"{\"z\": 1.10, \"a\" : 12345678901234567890,\"t\":\"\\u00e9\xc3\xa9\"}",
    ),
    (JSON, b"{\"broken\":"),
    ("text/plain; charset=utf-8", "caf\u{e9}\r\n".as_bytes()),
    ("application/octet-stream", &[0, 255, 13, 10, 128]),
];

fn config(consumer: &Consumer) -> String {
    let mut text = "sources: { open: { verify: { scheme: none } } }\n\
         server: { allow_private_sinks: true }\nsubscriptions:\n"
        .to_owned();
    for mode in ["structured", "binary", "batched"] {
        let url = consumer.url(&format!("/{mode}"));
        text.push_str(&format!(
            "  {mode}: {{ sources: [open], sink: {{ http: {{ url: \"{url}\", secret: env:SECRET, mode: {mode} }} }}, from: earliest }}\n"
        ));
    }
    text
}

#[test]
fn another_implementation_reads_what_a_consumer_receives() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let server = Server::start(folder.path(), &config(&consumer));
    for (content_type, payload) in PAYLOADS {
        let request = Request::post("/in/open").header("content-type", content_type);
        let answer = request.body(payload).send(&server.address).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let events = |path: &str| -> Vec<(Event, Delivery)> {
        let all = consumer.taken();
        let mine = all.into_iter().filter(|one| one.path == path);
        mine.flat_map(|one| {
            read(&one)
                .into_iter()
                .map(move |event| (event, one.clone()))
        })
        .collect()
    };
    let modes = ["/structured", "/binary", "/batched"];
    crate::support::wait_until("every mode has every event", || {
        modes
            .iter()
            .all(|mode| events(mode).len() == PAYLOADS.len())
    });
    let mut samples = Vec::new();
    for mode in modes {
        for ((event, _), (content_type, payload)) in events(mode).iter().zip(PAYLOADS) {
            assert_is(event, mode, content_type, payload);
        }
        let mut payloads = PAYLOADS.iter().map(|(_, payload)| *payload);
        for delivery in consumer.taken().iter().filter(|one| one.path == mode) {
            samples.push(sample(delivery, &mut payloads));
        }
    }
    write(&samples);
}

/// The events of a request, as the SDK reads them.
fn read(delivery: &Delivery) -> Vec<Event> {
    if delivery.header("content-type") == "application/cloudevents-batch+json" {
        return serde_json::from_slice(&delivery.body).unwrap();
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &delivery.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    vec![cloudevents::binding::http::to_event(&headers, delivery.body.clone()).unwrap()]
}

fn assert_is(event: &Event, mode: &str, content_type: &str, payload: &[u8]) {
    assert_eq!(event.source(), "/sources/open/all", "{mode}");
    assert_eq!(event.ty(), "cloakroom.open.received", "{mode}");
    assert_eq!(event.datacontenttype(), Some(content_type), "{mode}");
    let extension = |name: &str| event.extension(name).unwrap().to_string();
    assert_eq!(extension("payloadsha256"), sha256(payload), "{mode}");
    assert_eq!(
        extension("payloadsize"),
        payload.len().to_string(),
        "{mode}"
    );
    assert_eq!(extension("partitionkey"), "all", "{mode}");
    let value = serde_json::from_slice::<Value>(payload);
    match (event.data().unwrap(), value) {
        (Data::Json(found), Ok(value)) => assert_eq!(*found, value, "{mode}"),
        (Data::Binary(found), _) => assert_eq!(found, payload, "{mode}"),
        (Data::String(found), _) => assert_eq!(found.as_bytes(), payload, "{mode}"),
        (found, _) => panic!("{mode}: {found:?} of {content_type}"),
    }
}

/// A line for the judge of another language, which reads the same requests.
fn sample<'a>(delivery: &Delivery, payloads: &mut impl Iterator<Item = &'a [u8]>) -> Value {
    let headers = delivery.headers.iter();
    let headers: serde_json::Map<String, Value> = headers
        .filter(|(name, _)| name == "content-type" || name.starts_with("ce-"))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let expected: Vec<Value> = read(delivery)
        .iter()
        .zip(payloads)
        .map(|(event, payload)| {
            json!({"attributes": attributes(event), "data_base64": STANDARD.encode(payload)})
        })
        .collect();
    json!({
        "name": format!("received{}", delivery.path),
        "headers": headers,
        "body_base64": STANDARD.encode(&delivery.body),
        "expected": expected,
    })
}

/// Everything but the payload.
fn attributes(event: &Event) -> Value {
    let mut attributes = serde_json::to_value(event).unwrap();
    let members = attributes.as_object_mut().unwrap();
    members.retain(|name, _| name != "data" && name != "data_base64");
    for name in ["time", "recordedtime"] {
        if let Some(text) = members.get(name).and_then(Value::as_str) {
            let text = text.replace("+00:00", "Z");
            members.insert(name.to_owned(), json!(text));
        }
    }
    attributes
}

/// Next to the test's own folder: `target/received.ndjson`.
fn write(samples: &[Value]) {
    let test = std::env::current_exe().unwrap();
    let target: PathBuf = test.ancestors().nth(3).unwrap().to_owned();
    let mut file = std::fs::File::create(target.join("received.ndjson")).unwrap();
    for sample in samples {
        writeln!(file, "{sample}").unwrap();
    }
}
