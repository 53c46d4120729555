//! What a server has set itself to do is done by the one after it.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom_core::time::Timestamp;
use serde_json::json;

use crate::support::consumer::Consumer;
use crate::support::http::Request;
use crate::support::server::{Server, assert_healthy};
use crate::support::wait_until;

fn config(consumer: &Consumer) -> String {
    format!(
        "\
sources:
  soon:
    verify: {{ scheme: none }}
    key: body:/id
    order: {{ kind: dense, at: body:/n, first: 1, gap: {{ after: 2s, then: skip }} }}
  later:
    verify: {{ scheme: none }}
    key: body:/id
    order: {{ kind: dense, at: body:/n, first: 1, gap: {{ after: 1h, then: skip }} }}
  open:
    verify: {{ scheme: none }}
subscriptions:
  gaps:
    sources: [soon, later]
    sink: {{ http: {{ url: \"{0}/gaps\", secret: env:SECRET }} }}
    from: earliest
  retried:
    sources: [open]
    sink: {{ http: {{ url: \"{0}/retried\", secret: env:SECRET }} }}
    from: earliest
server: {{ allow_private_sinks: true }}
",
        consumer.url("")
    )
}

#[test]
fn a_gap_s_deadline_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let config = config(&consumer);
    let server = Server::start(folder.path(), &config);
    for source in ["soon", "later"] {
        server.webhook(source, &json!({"id": "A", "n": 1}));
        server.webhook(source, &json!({"id": "A", "n": 4}));
    }
    let gap = |source: &str| server.get(&format!("/v1/streams/{source}/A"))["gap"].clone();
    // The shorter one may be over already on a slow machine.
    wait_until("both gaps are seen", || {
        gap("later").is_object() && (gap("soon").is_object() || consumer.count() > 2)
    });
    let before = gap("later");
    assert!(before["deadline"].is_string(), "{before}");
    server.stop();

    let server = Server::start(folder.path(), &config);
    let told = || {
        let all = consumer.taken();
        let events = all.iter().map(crate::support::consumer::Delivery::event);
        let soon = events.filter(|event| event["source"] == "/sources/soon/A");
        soon.collect::<Vec<_>>()
    };
    wait_until("the gap is passed over", || told().len() >= 3);
    let events = told();
    assert_eq!(events[1]["type"], "cloakroom.gap");
    assert_eq!(events[1]["data"], json!({"from": 2, "to": 3}));
    assert_eq!(events[2]["data"]["n"], 4);
    let waited = recorded(&events[1]).since(recorded(&events[2]));
    assert!(
        waited >= Duration::from_secs(2),
        "passed over after {waited:?}"
    );
    // The longer one waits on, until the same moment as before.
    assert_eq!(server.get("/v1/streams/later/A")["gap"], before);
    server.stop();
    assert_healthy(folder.path());
}

fn recorded(event: &serde_json::Value) -> Timestamp {
    Timestamp::parse_rfc3339(event["recordedtime"].as_str().unwrap()).unwrap()
}

#[test]
fn a_retry_s_time_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let tries = AtomicUsize::new(0);
    let consumer = Consumer::deciding(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => (503, vec![("retry-after", "2".to_owned())]),
        1 => (200, Vec::new()),
        _ => (503, vec![("retry-after", "3600".to_owned())]),
    });
    let config = config(&consumer);
    let server = Server::start(folder.path(), &config);
    let first = server.webhook("open", &json!({"first": true}));
    consumer.wait_for(1);
    server.stop();

    let server = Server::start(folder.path(), &config);
    let deliveries = consumer.wait_for(2);
    for delivery in &deliveries[..2] {
        assert_eq!(delivery.header("webhook-id"), first["id"]);
    }
    // The next one is asked to come back in an hour.
    server.webhook("open", &json!({"first": false}));
    consumer.wait_for(3);
    let stream = "/v1/streams/open/all";
    let retry_at = |server: &Server| server.get(stream)["cursors"]["retried"]["retry_at"].clone();
    wait_until("the retry is on record", || retry_at(&server).is_string());
    let before = retry_at(&server);
    server.kill();

    let server = Server::start(folder.path(), &config);
    assert_eq!(retry_at(&server), before);
    // Others are served meanwhile, and this one is left in peace.
    server.webhook("soon", &json!({"id": "B", "n": 1}));
    let deliveries = consumer.wait_for(4);
    assert_eq!(deliveries[3].path, "/gaps");
    assert_eq!(retry_at(&server), before);
}

#[test]
fn a_webhook_under_way_is_taken_before_the_server_ends() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let config = config(&consumer);
    let server = Server::start(folder.path(), &config);
    let body = br#"{"slow":true}"#;
    let request = Request::post("/in/open").header("expect", "100-continue");
    let request = request
        .header("content-type", "application/json")
        .body(body);
    let mut stream = request.begin(&server.address, 0).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body[..5]).unwrap();
    server.terminate();
    server.wait_for("stopping");
    stream.write_all(&body[5..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert!(server.wait().success());

    let _server = Server::start(folder.path(), &config);
    assert_eq!(
        consumer.wait_for(1)[0].event()["data"],
        json!({"slow": true})
    );
}
