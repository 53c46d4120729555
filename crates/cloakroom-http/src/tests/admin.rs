//! What operators do: replay, retry, skip, redrive, release, discard, enable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cloakroom_engine::catalog::Exhausted;
use cloakroom_engine::ports::LedgerError;
use http::Request;
use serde_json::{Value, json};

use super::client::whole;
use super::harness::{Server, Setup, TestSink, dense, eventually, pull, push, source};

fn numbered(n: u32) -> Value {
    json!({"id": n.to_string(), "key": "k", "n": n})
}

/// A server whose one consumer fails, and two webhooks it was to get.
async fn failing(exhausted: Exhausted) -> (Server, Arc<TestSink>, [Value; 2]) {
    let sink = Arc::new(TestSink::default());
    sink.fails.store(true, Ordering::SeqCst);
    let server = Setup::new([dense("shop")])
        .with(push("consumer", &sink, exhausted))
        .start()
        .await;
    let first = server.accept("/in/shop", &numbered(1)).await;
    let second = server.accept("/in/shop", &numbered(2)).await;
    (server, sink, [first, second])
}

async fn delivered(sink: &TestSink, count: usize) {
    eventually(async || (sink.delivered.load(Ordering::SeqCst) == count).then_some(())).await;
}

#[tokio::test]
async fn a_parked_stream_can_be_retried_and_skipped() {
    let (server, sink, [first, second]) = failing(Exhausted::Park).await;
    let parked = server
        .get_until("/v1/streams?attention=parked", |list| {
            list["items"] != json!([])
        })
        .await;
    let cursor = &parked["items"][0]["cursors"]["consumer"];
    assert_eq!(cursor["state"], "parked");
    assert_eq!(cursor["reason"], "500 Internal Server Error");
    assert_eq!(cursor["attempts"], 1);
    let state = async |receipt: &Value| {
        let path = format!("/v1/events/{}", receipt["id"].as_str().unwrap());
        server.get(&path).await.ok(200)["subscriptions"]["consumer"].clone()
    };
    assert_eq!(state(&first).await, "parked");
    assert_eq!(state(&second).await, "waiting");

    let base = "/v1/subscriptions/consumer/streams/shop/k";
    let skipped = server
        .post(&format!("{base}/skip"), &json!({}))
        .await
        .ok(200);
    assert_eq!(
        skipped,
        json!({"subscription": "consumer", "stream": "shop/k", "skipped": first["id"]})
    );
    eventually(async || (state(&second).await == "parked").then_some(())).await;
    assert_eq!(state(&first).await, "dead");

    sink.fails.store(false, Ordering::SeqCst);
    let retried = server
        .post(&format!("{base}/retry"), &json!({}))
        .await
        .ok(200);
    assert_eq!(
        retried,
        json!({"subscription": "consumer", "stream": "shop/k"})
    );
    delivered(&sink, 1).await;
    eventually(async || (state(&second).await == "delivered").then_some(())).await;

    for act in ["retry", "skip"] {
        let reply = server.post(&format!("{base}/{act}"), &json!({})).await;
        reply.problem(409, "not-possible");
        for nowhere in [
            format!("/v1/subscriptions/nobody/streams/shop/k/{act}"),
            format!("/v1/subscriptions/consumer/streams/shop/none/{act}"),
        ] {
            server
                .post(&nowhere, &json!({}))
                .await
                .problem(404, "not-found");
        }
    }
}

#[tokio::test]
async fn dead_letters_can_be_listed_and_redriven() {
    let (server, sink, [first, second]) = failing(Exhausted::DeadLetter).await;
    let two = |list: &Value| list["items"].as_array().unwrap().len() == 2;
    let dead = server.get_until("/v1/dead-letters", two).await;
    let letter = &dead["items"][0];
    assert_eq!(letter["id"], first["id"]);
    assert_eq!(letter["subscription"], "consumer");
    assert_eq!(letter["stream"], "shop/k");
    assert_eq!(letter["position"], first["position"]);
    assert_eq!(letter["attempts"], 1);
    assert_eq!(letter["reason"], "500 Internal Server Error");
    let none = server
        .get("/v1/dead-letters?subscription=other")
        .await
        .ok(200);
    assert_eq!(none, json!({"items": [], "next": null}));

    sink.fails.store(false, Ordering::SeqCst);
    let path = format!(
        "/v1/dead-letters/consumer/{}/redrive",
        second["id"].as_str().unwrap()
    );
    assert_eq!(
        server.post(&path, &json!({})).await.ok(200),
        json!({"redriven": 1})
    );
    delivered(&sink, 1).await;
    server
        .post(&path, &json!({}))
        .await
        .problem(404, "not-found");
    let left = server
        .get("/v1/dead-letters?subscription=consumer")
        .await
        .ok(200);
    assert_eq!(left["items"][0]["id"], first["id"]);

    let all = server
        .post("/v1/dead-letters/consumer/redrive", &json!({}))
        .await;
    assert_eq!(all.ok(200), json!({"redriven": 1}));
    delivered(&sink, 2).await;
    let all = server
        .post("/v1/dead-letters/consumer/redrive", &json!({}))
        .await;
    assert_eq!(all.ok(200), json!({"redriven": 0}));
    for nowhere in [
        "/v1/dead-letters/nobody/redrive",
        "/v1/dead-letters/consumer/evt_x/redrive",
    ] {
        server
            .post(nowhere, &json!({}))
            .await
            .problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_replay_moves_cursors_back() {
    let sink = Arc::new(TestSink::default());
    let server = Setup::new([dense("shop")])
        .with(push("consumer", &sink, Exhausted::Park))
        .start()
        .await;
    let before = server.engine.now().to_string();
    server.accept("/in/shop", &numbered(1)).await;
    server.accept("/in/shop", &numbered(2)).await;
    delivered(&sink, 2).await;
    let path = "/v1/subscriptions/consumer/replay";
    let mut total = 2;
    for (body, again) in [
        (json!({"from": "earliest"}), 2),
        (json!({"from": before}), 2),
        (
            json!({"stream": "shop/k", "from": "00000000000000000002"}),
            1,
        ),
        (json!({"stream": "shop/k", "from": 2}), 1),
        (json!({"stream": "shop/k", "from": "earliest"}), 2),
    ] {
        // The cursor moves only after the delivery: a replay must find it where it will be.
        server
            .get_until("/v1/streams/shop/k", |stream| {
                stream["cursors"]["consumer"]["position"] == "00000000000000000002"
            })
            .await;
        let replayed = server.post(path, &body).await.ok(200);
        assert_eq!(replayed, json!({"streams": 1}), "{body}");
        total += again;
        delivered(&sink, total).await;
    }
    for body in [
        json!({}),
        json!({"from": "yesterday"}),
        json!({"from": null}),
        json!({"from": "earliest", "stream": "shop"}),
        json!({"from": "earliest", "streams": "shop/k"}),
    ] {
        server
            .post(path, &body)
            .await
            .problem(400, "invalid-request");
    }
    server
        .post(path, &json!({"from": 1}))
        .await
        .problem(409, "not-possible");
    let nowhere = json!({"from": "earliest", "stream": "shop/none"});
    server.post(path, &nowhere).await.problem(404, "not-found");
    let nobody = server
        .post(
            "/v1/subscriptions/nobody/replay",
            &json!({"from": "earliest"}),
        )
        .await;
    nobody.problem(404, "not-found");
}

#[tokio::test]
async fn a_request_must_be_json_and_say_so() {
    let server = Setup::new([source("shop")])
        .with(pull("puller", Duration::from_secs(1)))
        .start()
        .await;
    let path = "/v1/subscriptions/puller/replay";
    let request = Request::post(path)
        .body(whole("{\"from\":\"earliest\"}"))
        .unwrap();
    server
        .send(request)
        .await
        .problem(415, "unsupported-media-type");
    let json = || Request::post(path).header("content-type", "Application/JSON; charset=utf-8");
    let reply = server.send(json().body(whole("{")).unwrap()).await;
    reply.problem(400, "invalid-request");
    let huge = vec![b' '; 3 << 20];
    let reply = server.send(json().body(whole(huge)).unwrap()).await;
    reply.problem(413, "too-large");
    let request = json().body(whole("{\"from\":\"earliest\"}")).unwrap();
    server.send(request).await.ok(200);
}

#[tokio::test]
async fn what_is_in_quarantine_can_be_released_or_discarded() {
    let server = Setup::new([dense("shop"), dense("other")]).start().await;
    let hook = async |path: &str, id: &str| {
        let receipt = server
            .hook(path, json!({"id": id, "key": "k"}).to_string())
            .await
            .ok(202);
        assert_eq!(receipt["status"], "quarantined");
        receipt["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (hook("/in/shop", "a").await, hook("/in/shop", "b").await);
    let third = hook("/in/other", "c").await;
    let list = server.get("/v1/quarantine?source=shop").await.ok(200);
    let item = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["id"] == first)
        .unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert_eq!(item["source"], "shop");
    assert_eq!(item["reason"], "missing-sequence");
    assert_eq!(item["stream"], "shop/k");
    assert_eq!(item["sequence"], json!(null));
    let all = server.get("/v1/quarantine").await.ok(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 3);

    let release = |id: &str| format!("/v1/quarantine/{id}/release");
    server
        .post(&release(&first), &json!({}))
        .await
        .problem(409, "not-possible");
    for body in [
        json!({"sequence": {}}),
        json!({"sequence": true}),
        json!({"key": ""}),
        json!({"seq": 1}),
    ] {
        server
            .post(&release(&first), &body)
            .await
            .problem(400, "invalid-request");
    }
    let released = server
        .post(&release(&first), &json!({"sequence": 1}))
        .await
        .ok(200);
    assert_eq!(
        released,
        json!({"id": first, "stream": "shop/k", "position": "00000000000000000001"})
    );
    let elsewhere = json!({"key": "other/key", "sequence": "1"});
    let released = server.post(&release(&second), &elsewhere).await.ok(200);
    assert_eq!(released["stream"], "shop/other%2Fkey");
    let event = server
        .get_until(&format!("/v1/events/{first}"), |event| {
            event["state"] == "released"
        })
        .await;
    assert_eq!(event["quarantine"]["resolution"], "released");
    server
        .post(&release(&first), &json!({"sequence": 1}))
        .await
        .problem(409, "not-possible");

    let discard = format!("/v1/quarantine/{third}/discard");
    assert_eq!(
        server.post(&discard, &json!({})).await.ok(200),
        json!({ "id": third })
    );
    server
        .post(&discard, &json!({}))
        .await
        .problem(409, "not-possible");
    let event = server.get(&format!("/v1/events/{third}")).await.ok(200);
    assert_eq!(event["state"], "quarantined");
    assert_eq!(event["quarantine"]["resolution"], "discarded");
    assert_eq!(
        server.get("/v1/quarantine").await.ok(200)["items"],
        json!([])
    );
    for act in ["release", "discard"] {
        let nowhere = format!("/v1/quarantine/evt_x/{act}");
        server
            .post(&nowhere, &json!({}))
            .await
            .problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_subscription_tells_its_state_and_can_be_enabled_again() {
    let sink = Arc::new(TestSink::default());
    sink.gone.store(true, Ordering::SeqCst);
    let mut off = pull("off", Duration::from_secs(1));
    off.enabled = false;
    let server = Setup::new([source("shop")])
        .with(push("consumer", &sink, Exhausted::DeadLetter))
        .with(off)
        .start()
        .await;
    let path = "/v1/subscriptions/consumer";
    let fresh = server.get(path).await.ok(200);
    assert_eq!(
        fresh,
        json!({
            "name": "consumer", "sources": ["*"], "sink": "test", "state": "active", "since": fresh["since"],
            "filtered": false, "exhausted": "dead-letter",
        })
    );
    assert!(fresh["since"].is_string());
    server.accept("/in/shop", &json!({})).await;
    let disabled = server.get_until(path, |it| it["state"] == "disabled").await;
    assert_eq!(disabled["reason"], "410 Gone");
    let list = server.get("/v1/subscriptions").await.ok(200);
    let names: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["consumer", "off"]);
    assert_eq!(list["items"][1]["sink"], "pull");
    assert_eq!(list["items"][1]["state"], "disabled");

    sink.gone.store(false, Ordering::SeqCst);
    let enabled = server
        .post(&format!("{path}/enable"), &json!({}))
        .await
        .ok(200);
    assert_eq!(enabled["state"], "active");
    delivered(&sink, 1).await;
    let off = server
        .post("/v1/subscriptions/off/enable", &json!({}))
        .await;
    off.problem(409, "not-possible");
    server
        .get("/v1/subscriptions/nobody")
        .await
        .problem(404, "not-found");
    server
        .post("/v1/subscriptions/nobody/enable", &json!({}))
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn the_api_tells_when_the_store_does_not_answer() {
    let server = Setup::new([source("shop")]).start().await;
    let receipt = server.accept("/in/shop", &json!({})).await;
    server
        .ledger
        .fail(Some(LedgerError::Unavailable("gone".into())));
    for path in [
        "/v1/streams".to_owned(),
        "/v1/quarantine".to_owned(),
        "/v1/dead-letters".to_owned(),
        "/v1/streams/shop/all".to_owned(),
        format!("/v1/events/{}", receipt["id"].as_str().unwrap()),
    ] {
        let reply = server.get(&path).await;
        reply.problem(503, "unavailable");
        assert_eq!(reply.header("retry-after"), "1");
    }
}
