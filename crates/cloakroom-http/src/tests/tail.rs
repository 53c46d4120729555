//! Tailing by server-sent events.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::client::{open, whole};
use super::harness::{Server, Setup, dense, pull, source};

const EVENTS: &str = "/v1/subscriptions/watched/events";

/// A stream of messages, read as the standard says.
struct Messages {
    body: Incoming,
    text: String,
}

struct Message {
    id: String,
    data: String,
}

impl Messages {
    async fn open(server: &Server, last: Option<&str>) -> Self {
        let mut request = Request::get(EVENTS).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = open(server.address, request.body(whole("")).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next block: a message, or a comment as an error; `None` at the end.
    async fn block(&mut self) -> Option<Result<Message, String>> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let lines = block.lines();
                let field = |name: &str| -> Vec<String> {
                    lines
                        .clone()
                        .filter_map(|line| line.strip_prefix(name))
                        .map(ToOwned::to_owned)
                        .collect()
                };
                let message = Message {
                    id: field("id: ").concat(),
                    data: field("data: ").join("\n"),
                };
                let block = if block.starts_with(':') {
                    Err(block.to_owned())
                } else {
                    Ok(message)
                };
                self.text = rest.to_owned();
                return Some(block);
            }
            let frame = self.body.frame().await?.ok()?;
            let data = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    async fn next(&mut self) -> Message {
        self.block().await.unwrap().unwrap()
    }
}

fn watched() -> Setup {
    Setup::new([dense("shop"), source("plain")]).with(pull("watched", Duration::from_secs(60)))
}

fn numbered(n: u32) -> Value {
    json!({"id": n.to_string(), "key": "k", "n": n})
}

#[tokio::test]
async fn events_go_by_in_order_and_nothing_is_settled() {
    let server = watched().start().await;
    let mut messages = Messages::open(&server, None).await;
    let mut receipts = Vec::new();
    for n in [2, 1, 3] {
        receipts.push(server.accept("/in/shop", &numbered(n)).await);
    }
    for expected in [&receipts[1], &receipts[0], &receipts[2]] {
        let message = messages.next().await;
        assert_eq!(message.id, expected["id"].as_str().unwrap());
        let event: Value = serde_json::from_str(&message.data).unwrap();
        assert_eq!(event["id"], expected["id"]);
        assert_eq!(event["sequence"], expected["position"]);
    }
    let stream = server.get("/v1/streams/shop/k").await.ok(200);
    assert_eq!(stream["cursors"]["watched"]["position"], json!(null));
}

#[tokio::test]
async fn a_tail_goes_on_after_the_last_event_that_was_seen() {
    let server = watched().start().await;
    let mut receipts = Vec::new();
    for n in 1..=3 {
        receipts.push(server.accept("/in/shop", &numbered(n)).await);
    }
    server
        .get_until("/v1/streams/shop/k", |it| {
            it["head"] == "00000000000000000003"
        })
        .await;
    let mut messages = Messages::open(&server, receipts[0]["id"].as_str()).await;
    for expected in &receipts[1..] {
        assert_eq!(messages.next().await.id, expected["id"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_payload_with_line_ends_arrives_untouched_or_as_a_claim() {
    let server = watched().start().await;
    let mut messages = Messages::open(&server, None).await;
    let lines = "{\n  \"a\": 1,\n\n  \"b\": 2\n}\n";
    server.hook("/in/plain", lines).await.ok(202);
    let message = messages.next().await;
    assert!(
        message.data.ends_with(&format!("\"data\":{lines}}}")),
        "{}",
        message.data
    );
    server.hook("/in/plain", "{\r\n\"a\":1}").await.ok(202);
    let message = messages.next().await;
    let event: Value = serde_json::from_str(&message.data).unwrap();
    assert_eq!(event.get("data"), None);
    assert!(event["dataref"].is_string());
}

#[tokio::test]
async fn a_tail_ends_when_the_server_stops() {
    let mut server = watched().start().await;
    let mut messages = Messages::open(&server, None).await;
    server.stop();
    let end = messages.block().await.unwrap().err().unwrap();
    assert!(end.contains("stopping"), "{end}");
    assert!(messages.block().await.is_none());
    server.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn only_what_is_configured_can_be_tailed() {
    let server = watched().start().await;
    let request =
        Request::get("/v1/subscriptions/nobody/events").header("accept", "text/event-stream");
    let reply = server.send(request.body(whole("")).unwrap()).await;
    reply.problem(404, "not-found");
}
