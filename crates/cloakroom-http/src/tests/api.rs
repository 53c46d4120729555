//! Events, streams, lists.

use cloakroom_core::cloudevent::BATCH_CONTENT_TYPE;
use http::Request;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::time::Duration;

use super::client::whole;
use super::harness::{Setup, dense, pull, source};

#[tokio::test]
async fn an_event_tells_what_became_of_it() {
    let server = Setup::new([dense("shop")])
        .with(pull("puller", Duration::from_secs(60)))
        .start()
        .await;
    let body = json!({"id": "e2", "key": "k", "n": 2, "type": "order.updated"});
    let second = server.accept("/in/shop", &body).await;
    let path = format!("/v1/events/{}", second["id"].as_str().unwrap());
    let event = server.get(&path).await.ok(200);
    assert_eq!(event["id"], second["id"]);
    assert_eq!(event["stream"], "shop/k");
    assert_eq!(event["position"], "00000000000000000002");
    assert_eq!(event["state"], "pending");
    assert_eq!(event["type"], "order.updated");
    assert_eq!(event["subscriptions"], json!({"puller": "waiting"}));
    assert_eq!(event["payload"]["content_type"], "application/json");
    assert_eq!(event["payload"]["size"], body.to_string().len());
    assert_eq!(event["duplicates"], json!([]));
    server
        .accept("/in/shop", &json!({"id": "e1", "key": "k", "n": 1}))
        .await;
    server
        .get_until(&path, |event| event["state"] == "released")
        .await;
    let pulled = server
        .get("/v1/subscriptions/puller/events?wait=20s")
        .await
        .ok(200);
    let ids: Vec<_> = pulled["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["id"])
        .collect();
    let ack = json!({ "ids": ids });
    server
        .post("/v1/subscriptions/puller/ack", &ack)
        .await
        .ok(200);
    let event = server.get(&path).await.ok(200);
    assert_eq!(event["subscriptions"], json!({"puller": "delivered"}));
    for id in ["evt_nothing", "x", "%00"] {
        server
            .get(&format!("/v1/events/{id}"))
            .await
            .problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_stream_tells_its_head_its_gap_and_its_cursors() {
    let server = Setup::new([dense("shop")])
        .with(pull("puller", Duration::from_secs(60)))
        .start()
        .await;
    for n in [1, 4] {
        let body = json!({"id": n.to_string(), "key": "k", "n": n});
        server.accept("/in/shop", &body).await;
    }
    let stream = server
        .get_until("/v1/streams/shop/k", |stream| {
            stream["gap"]["stalled"] == true
        })
        .await;
    assert_eq!(stream["stream"], "shop/k");
    assert_eq!(stream["head"], "00000000000000000001");
    assert_eq!(stream["gap"]["from"], 2);
    assert_eq!(stream["gap"]["to"], 3);
    for time in ["since", "deadline"] {
        let time = stream["gap"][time].as_str().unwrap();
        assert!(cloakroom_core::time::Timestamp::parse_rfc3339(time).is_some());
    }
    assert_eq!(
        stream["cursors"],
        json!({"puller": {"position": null, "state": "active"}})
    );
    let stalled = server
        .get_until("/v1/streams?attention=stalled", |list| {
            list["items"] != json!([])
        })
        .await;
    assert_eq!(stalled["items"][0]["stream"], "shop/k");
    assert_eq!(stalled["next"], json!(null));
    let parked = server.get("/v1/streams?attention=parked").await.ok(200);
    assert_eq!(parked, json!({"items": [], "next": null}));

    let skip = Request::post("/v1/streams/shop/k/skip-gap")
        .body(whole(""))
        .unwrap();
    let skipped = server.send(skip).await.ok(200);
    assert_eq!(skipped, json!({"stream": "shop/k", "from": 2, "to": 3}));
    server
        .get_until("/v1/streams/shop/k", |stream| {
            stream["head"] == "00000000000000000004"
        })
        .await;
    let events = server.get("/v1/streams/shop/k/events").await.json();
    let types: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["type"])
        .collect();
    let received = "cloakroom.shop.received";
    assert_eq!(types, [received, "cloakroom.gap", received]);
    assert_eq!(events[1]["data"], json!({"from": 2, "to": 3}));
    let again = Request::post("/v1/streams/shop/k/skip-gap")
        .body(whole(""))
        .unwrap();
    server.send(again).await.problem(409, "not-possible");
    let gap = format!("/v1/events/{}", events[1]["id"].as_str().unwrap());
    let gap = server.get(&gap).await.ok(200);
    assert_eq!(
        (&gap["gap"], &gap["payload"]),
        (&json!({"from": 2, "to": 3}), &json!(null))
    );
    let nowhere = Request::post("/v1/streams/shop/none/skip-gap")
        .body(whole(""))
        .unwrap();
    server.send(nowhere).await.problem(404, "not-found");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = Setup::new([dense("shop")]).start().await;
    for key in 0..5 {
        let body = json!({"id": key.to_string(), "key": format!("k{key}"), "n": 1});
        server.accept("/in/shop", &body).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/streams?limit=2".to_owned());
    loop {
        let page = server.get(&path).await.ok(200);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(
            items
                .iter()
                .map(|item| item["stream"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/streams?limit=2&cursor={next}");
    }
    assert_eq!(
        seen,
        ["shop/k0", "shop/k1", "shop/k2", "shop/k3", "shop/k4"]
    );
    let all = server.get("/v1/streams?limit=999999").await.ok(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 5);
    for query in [
        "limit=0",
        "limit=x",
        "cursor=%21",
        "attention=all",
        "atention=parked",
    ] {
        let reply = server.get(&format!("/v1/streams?{query}")).await;
        reply.problem(400, "invalid-request");
    }
}

#[tokio::test]
async fn released_events_are_a_batch_with_the_payloads_untouched() {
    let server = Setup::new([dense("shop")]).start().await;
    let spaced = r#"{ "id" : "1",  "key":"k","n":1, "z": 1.50, "a": 1e2 }"#;
    server.hook("/in/shop", spaced).await.ok(202);
    let path = "/v1/streams/shop/k/events";
    server.get_until(path, |events| events != &json!([])).await;
    let reply = server.get(path).await;
    assert_eq!(reply.header("content-type"), BATCH_CONTENT_TYPE);
    let text = std::str::from_utf8(&reply.body).unwrap();
    assert!(text.contains(&format!("\"data\":{spaced}}}")), "{text}");
    for n in 2..=5 {
        let body = json!({"id": n.to_string(), "key": "k", "n": n});
        server.accept("/in/shop", &body).await;
    }
    server
        .get_until("/v1/streams/shop/k", |stream| {
            stream["head"] == "00000000000000000005"
        })
        .await;
    let sequences = |events: &Value| -> Vec<u64> {
        let events = events.as_array().unwrap().iter();
        events
            .map(|event| event["sequence"].as_str().unwrap().parse().unwrap())
            .collect()
    };
    let page = server
        .get(&format!("{path}?after=00000000000000000002&limit=2"))
        .await
        .json();
    assert_eq!(sequences(&page), [3, 4]);
    let page = server.get(&format!("{path}?after=4")).await.json();
    assert_eq!(sequences(&page), [5]);
    server
        .get(&format!("{path}?after=now"))
        .await
        .problem(400, "invalid-request");
    server
        .get("/v1/streams/shop/none/events")
        .await
        .problem(404, "not-found");
    server
        .get("/v1/streams/shop/none")
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn a_key_survives_its_way_through_a_path() {
    let server = Setup::new([dense("shop")]).start().await;
    for key in [
        "a/b",
        "%2F",
        "100%",
        "%25",
        "..",
        ".",
        "../..",
        "a b",
        "a+b",
        "?x=1",
        "#",
        "é",
        "zażółć",
        "日本語",
        "🎁",
        "\u{202e}x",
        "\n",
        "\u{0}",
        "a\\b",
        ";",
        "&",
        "'\"",
        "e\u{301}",
    ] {
        let receipt = server
            .accept("/in/shop", &json!({"id": key, "key": key, "n": 1}))
            .await;
        let stream = receipt["stream"].as_str().unwrap();
        let everything = utf8_percent_encode(key, NON_ALPHANUMERIC);
        for path in [
            format!("/v1/streams/{stream}"),
            format!("/v1/streams/shop/{everything}"),
        ] {
            let found = server.get(&path).await.ok(200);
            assert_eq!(found["stream"], stream, "{key:?} at {path}");
        }
        let path = format!("/v1/streams/{stream}/events");
        let events = server.get_until(&path, |events| events != &json!([])).await;
        assert_eq!(events[0]["partitionkey"], events[0]["subject"]);
        assert_eq!(events[0]["source"], format!("/sources/{stream}"));
        assert_eq!(events[0]["id"], receipt["id"]);
        let event = format!("/v1/events/{}", receipt["id"].as_str().unwrap());
        assert_eq!(
            server.get(&event).await.ok(200)["stream"],
            stream,
            "{key:?}"
        );
    }
    server
        .get("/v1/streams/shop/%ff")
        .await
        .problem(400, "invalid-request");
    let long = "x".repeat(513);
    server
        .get(&format!("/v1/streams/shop/{long}"))
        .await
        .problem(400, "invalid-request");
}

#[tokio::test]
async fn streams_of_a_later_generation_have_it_in_their_name() {
    let mut later = dense("shop");
    later.generation = 2;
    let server = Setup::new([later]).start().await;
    let receipt = server
        .accept("/in/shop", &json!({"id": "1", "key": "k", "n": 1}))
        .await;
    assert_eq!(receipt["stream"], "shop@2/k");
    for path in ["/v1/streams/shop@2/k", "/v1/streams/shop%402/k"] {
        assert_eq!(server.get(path).await.ok(200)["stream"], "shop@2/k");
    }
}

#[tokio::test]
async fn problems_explain_themselves() {
    let server = Setup::new([source("shop")]).start().await;
    let problem = server.get("/nowhere").await.problem(404, "not-found");
    let explanation = server.get(problem["type"].as_str().unwrap()).await;
    assert_eq!(explanation.status, 200);
    let text = std::str::from_utf8(&explanation.body).unwrap();
    assert!(text.contains(problem["title"].as_str().unwrap()), "{text}");
    server.get("/problems/none").await.problem(404, "not-found");
    let reply = server
        .send(Request::delete("/v1/streams").body(whole("")).unwrap())
        .await;
    reply.problem(405, "method-not-allowed");
    assert!(reply.header("allow").contains("GET"));
}
