//! Pull with acknowledgement.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_engine::catalog::Exhausted;
use serde_json::{Value, json};

use super::client::Raw;
use super::harness::{Server, Setup, TestSink, dense, eventually, pull, push};

const EVENTS: &str = "/v1/subscriptions/puller/events";
const ACK: &str = "/v1/subscriptions/puller/ack";

async fn with_puller(lease: Duration) -> Server {
    let sink = Arc::new(TestSink::default());
    Setup::new([dense("shop")])
        .with(pull("puller", lease))
        .with(push("pushed", &sink, Exhausted::Park))
        .start()
        .await
}

fn ids(batch: &Value) -> Vec<Value> {
    let events = batch["events"].as_array().unwrap();
    events.iter().map(|event| event["id"].clone()).collect()
}

#[tokio::test]
async fn a_batch_is_leased_in_order_and_settled_by_its_acknowledgement() {
    let server = with_puller(Duration::from_secs(60)).await;
    let empty = server.get(EVENTS).await.ok(200);
    assert_eq!(empty, json!({"events": [], "lease": null}));
    let mut receipts = Vec::new();
    for n in [3, 1, 2] {
        let spaced = format!(r#"{{ "id":"{n}", "key": "k", "n":{n}, "price": 1.50 }}"#);
        receipts.push(server.hook("/in/shop", spaced).await.ok(202)["id"].clone());
    }
    server
        .get_until("/v1/streams/shop/k", |it| {
            it["head"] == "00000000000000000003"
        })
        .await;
    let reply = server.get(&format!("{EVENTS}?max=2&wait=20s")).await;
    let batch = reply.ok(200);
    assert_eq!(ids(&batch), [receipts[1].clone(), receipts[2].clone()]);
    assert!(batch["lease"].is_string());
    let text = std::str::from_utf8(&reply.body).unwrap();
    let untouched = r#""data":{ "id":"1", "key": "k", "n":1, "price": 1.50 }}"#;
    assert!(text.contains(untouched), "{text}");
    assert_eq!(
        server.get(EVENTS).await.ok(200)["events"],
        json!([]),
        "leased"
    );

    let acknowledged = server.post(ACK, &json!({"ids": ids(&batch)})).await;
    assert_eq!(acknowledged.ok(200), json!({"acknowledged": 2}));
    let again = server
        .post(
            "/v1/subscriptions/puller/events/ack",
            &json!({"ids": ids(&batch)}),
        )
        .await;
    assert_eq!(again.ok(200), json!({"acknowledged": 0}));
    let rest = server.get(&format!("{EVENTS}?wait=20s")).await.ok(200);
    assert_eq!(ids(&rest), [receipts[0].clone()]);
    server
        .post(ACK, &json!({}))
        .await
        .problem(400, "invalid-request");
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again() {
    let server = with_puller(Duration::from_millis(20)).await;
    let receipt = server
        .accept("/in/shop", &json!({"id": "1", "key": "k", "n": 1}))
        .await;
    let path = format!("{EVENTS}?wait=20s");
    for _ in 0..2 {
        let batch = server.get(&path).await.ok(200);
        assert_eq!(ids(&batch), [receipt["id"].clone()]);
    }
}

#[tokio::test]
async fn a_pull_waits_for_the_first_event() {
    let server = Arc::new(with_puller(Duration::from_secs(60)).await);
    let waiting = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.get(&format!("{EVENTS}?wait=60s")).await }
    });
    let receipt = server
        .accept("/in/shop", &json!({"id": "1", "key": "k", "n": 1}))
        .await;
    let batch = waiting.await.unwrap().ok(200);
    assert_eq!(ids(&batch), [receipt["id"].clone()]);
}

#[tokio::test]
async fn a_consumer_that_hangs_up_costs_no_event() {
    let server = with_puller(Duration::from_millis(20)).await;
    for n in 1..=20 {
        let mut hasty = Raw::connect(server.address).await;
        hasty
            .write(&format!(
                "GET {EVENTS}?wait=60s HTTP/1.1\r\nhost: localhost\r\n\r\n"
            ))
            .await;
        let body = json!({"id": n.to_string(), "key": n.to_string(), "n": 1});
        server.accept("/in/shop", &body).await;
        drop(hasty);
    }
    let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
    eventually(async || {
        let batch = server.get(&format!("{EVENTS}?wait=1s")).await.ok(200);
        let mut seen = seen.lock().unwrap();
        seen.extend(ids(&batch).iter().map(ToString::to_string));
        (seen.len() == 20).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_pulled_is_refused() {
    let server = with_puller(Duration::from_secs(60)).await;
    for (query, known) in [
        ("wait=20", false),
        ("wait=x", false),
        ("max=0", false),
        ("max=9999", true),
    ] {
        let reply = server.get(&format!("{EVENTS}?{query}")).await;
        if known {
            reply.ok(200);
        } else {
            reply.problem(400, "invalid-request");
        }
    }
    for (name, status, problem) in [
        ("pushed", 409, "not-possible"),
        ("nobody", 404, "not-found"),
    ] {
        let events = server
            .get(&format!("/v1/subscriptions/{name}/events"))
            .await;
        events.problem(status, problem);
        let ack = format!("/v1/subscriptions/{name}/ack");
        server
            .post(&ack, &json!({"ids": []}))
            .await
            .problem(status, problem);
    }
}
