//! Keys of any text: exact in the receipt, the API, what is delivered, and never a path on disk.

use serde_json::json;

use crate::support::consumer::Consumer;
use crate::support::files_below;
use crate::support::http::Request;
use crate::support::server::{Server, assert_healthy};

fn keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        ".",
        "..",
        "../../../../etc/passwd",
        "..\\..\\windows",
        "/etc/passwd",
        "%2e%2e%2f",
        "%2F",
        "%",
        "%zz",
        "a/b",
        "a//b/",
        "\0",
        "a\0b",
        "\n",
        "\r\nx-injected: 1",
        "\u{1}\u{1f}\u{7f}\u{85}",
        " ",
        " padded ",
        "?x=1&y=2#z",
        "+",
        "'\";--",
        "<script>alert(1)</script>",
        "${jndi:x}",
        "STREAM#open#all",
        "evt_x",
        "CON",
        "\u{202e}txt.exe",
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{627}\u{644}",
        "\u{e9}",
        "e\u{301}",
        "Z\u{351}\u{36b}\u{343}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{feff}",
        "\u{fffd}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{ff0f}\u{2215}\u{2024}\u{2024}",
        "\u{0}\u{10ffff}",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.push("k".repeat(512));
    keys.push("\u{1f600}".repeat(128));
    keys
}

fn config(consumer: &Consumer) -> String {
    format!(
        "\
sources:
  open: {{ verify: {{ scheme: none }}, key: body:/key, order: {{ kind: dense, at: body:/n, first: 1 }} }}
subscriptions:
  all: {{ sources: [open], sink: {{ http: {{ url: \"{}\", secret: env:SECRET }} }}, from: earliest }}
server: {{ allow_private_sinks: true }}
",
        consumer.url("/hooks")
    )
}

/// The key in a stream's id, decoded once.
fn key_of(stream: &str) -> String {
    let encoded = stream.strip_prefix("open/").unwrap();
    assert!(!encoded.contains('/'), "{stream}");
    let mut bytes = Vec::new();
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next().unwrap()).to_digit(16).unwrap();
        match byte {
            b'%' => bytes.push(u8::try_from(digit() * 16 + digit()).unwrap()),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Escapes everything, so that nothing depends on how the document was written.
fn escaped(key: &str) -> String {
    key.encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect()
}

#[test]
fn any_key_comes_out_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let server = Server::start(folder.path(), &config(&consumer));
    let keys = keys();
    for key in &keys {
        let receipt = server.webhook("open", &json!({"key": key, "n": 1}));
        let stream = receipt["stream"].as_str().unwrap();
        assert_eq!(key_of(stream), *key);
        let body = format!(r#"{{"key":"{}","n":2}}"#, escaped(key));
        let request = Request::post("/in/open").header("content-type", "application/json");
        let second = request.body(body.as_bytes()).send(&server.address).unwrap();
        assert_eq!(second.status, 202, "{key:?}: {}", second.text());
        assert_eq!(second.json()["stream"], stream, "{key:?}");

        let shown = server.get(&format!("/v1/streams/{stream}"));
        assert_eq!(shown["stream"], stream);
        let event = server.get(&format!("/v1/events/{}", receipt["id"].as_str().unwrap()));
        assert_eq!(event["stream"], stream);
        let events = server.get(&format!("/v1/streams/{stream}/events"));
        let events = events.as_array().unwrap();
        assert_eq!(events.len(), 2, "{key:?}");
        for event in events {
            assert_eq!(event["source"], format!("/sources/{stream}"));
        }
        assert_eq!(events[0]["data"]["key"], *key);
    }
    check_delivered(&consumer, &keys);
    let outside = files_below(folder.path())
        .into_iter()
        .filter(|(path, _)| !path.contains("/cloakroom-data/"));
    assert_eq!(
        outside.count(),
        1,
        "only the configuration lies beside the data"
    );
    server.stop();
    let report = assert_healthy(folder.path());
    assert_eq!(report["totals"]["events"], 2 * keys.len());
}

fn check_delivered(consumer: &Consumer, keys: &[String]) {
    let delivered = consumer.wait_for(2 * keys.len());
    assert_eq!(delivered.len(), 2 * keys.len());
    for key in keys {
        let of_key = delivered
            .iter()
            .map(|one| one.event())
            .filter(|event| event["data"]["key"] == **key);
        let of_key: Vec<_> = of_key.collect();
        assert_eq!(of_key.len(), 2, "{key:?}");
        assert_eq!(
            [&of_key[0]["data"]["n"], &of_key[1]["data"]["n"]],
            [1, 2],
            "{key:?}"
        );
        for event in of_key {
            let source = event["source"].as_str().unwrap();
            assert_eq!(key_of(source.strip_prefix("/sources/").unwrap()), *key);
        }
    }
}

#[test]
fn what_is_no_key_is_set_aside_and_lost_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let server = Server::start(folder.path(), &config(&consumer));
    let long = "k".repeat(513);
    let long = format!(r#"{{"key":"{long}","n":1}}"#);
    let bodies = [
        r#"{"key":"","n":1}"#,
        r#"{"n":1}"#,
        r#"{"key":null,"n":1}"#,
        r#"{"key":{"a":1},"n":1}"#,
        r#"{"key":"\ud800","n":1}"#,
        r#"{"key":"\udc00\ud800","n":1}"#,
        r#"{"key":"a","n":1"#,
        &long,
    ];
    for body in bodies {
        let request = Request::post("/in/open").header("content-type", "application/json");
        let answer = request.body(body.as_bytes()).send(&server.address).unwrap();
        assert_eq!(answer.status, 202, "{body}: {}", answer.text());
        assert_eq!(answer.json()["status"], "quarantined", "{body}");
    }
    let listed = server.get("/v1/quarantine");
    assert_eq!(listed["items"].as_array().unwrap().len(), bodies.len());
    server.stop();
    assert_healthy(folder.path());
}
