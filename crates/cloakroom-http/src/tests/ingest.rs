//! `POST /in/{source}`: receipts and refusals.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cloakroom_core::event::Sha256;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Signer};
use cloakroom_engine::ports::{Clock as _, LedgerError};
use cloakroom_engine::system::SystemClock;
use http::Request;
use serde_json::json;

use super::client::{Raw, whole};
use super::harness::{PUBLIC_URL, Setup, dense, eventually, named, pull, source, verifier};

#[tokio::test]
async fn a_receipt_tells_what_became_of_a_webhook() {
    let server = Setup::new([dense("shop")]).start().await;
    let body = json!({"id": "e1", "key": "a/b", "n": 1});
    let first = server.hook("/in/shop", body.to_string()).await;
    let receipt = first.ok(202);
    let id = receipt["id"].as_str().unwrap();
    assert_eq!(
        receipt,
        json!({
            "id": id, "stream": "shop/a%2Fb", "position": "00000000000000000001", "status": "accepted",
        })
    );
    let again = server.hook("/in/shop", body.to_string()).await;
    assert_eq!(
        again.ok(200),
        json!({
            "id": id, "stream": "shop/a%2Fb", "position": "00000000000000000001", "status": "duplicate",
        })
    );
    let other = json!({"id": "e1", "key": "a/b", "n": 1, "more": true}).to_string();
    let differs = server.hook("/in/shop", other.clone()).await.ok(200);
    assert_eq!(differs["status"], "duplicate");
    assert_eq!(differs["differs"], true);
    let event = server.get(&format!("/v1/events/{id}")).await.ok(200);
    assert_eq!(
        event["duplicates"][0]["sha256"],
        Sha256::of(other.as_bytes()).to_string()
    );
    let time = event["duplicates"][0]["time"].as_str().unwrap();
    assert!(Timestamp::parse_rfc3339(time).is_some());
}

#[tokio::test]
async fn what_cannot_be_placed_is_taken_and_kept_apart() {
    let server = Setup::new([dense("shop")]).start().await;
    for (body, reason, stream) in [
        (json!({"id": "e1", "n": 1}), "missing-key", json!(null)),
        (
            json!({"id": "e2", "key": "k"}),
            "missing-sequence",
            json!("shop/k"),
        ),
        (
            json!({"id": "e3", "key": "k", "n": "x"}),
            "bad-sequence",
            json!("shop/k"),
        ),
    ] {
        let receipt = server.hook("/in/shop", body.to_string()).await.ok(202);
        let id = receipt["id"].clone();
        assert_eq!(
            receipt,
            json!({
                "id": id, "stream": stream, "position": null, "status": "quarantined", "reason": reason,
            })
        );
    }
}

#[tokio::test]
async fn an_unknown_source_is_not_found() {
    let server = Setup::new([source("known")]).start().await;
    let problem = server
        .hook("/in/unknown", "{}")
        .await
        .problem(404, "unknown-source");
    assert!(problem["detail"].as_str().unwrap().contains("unknown"));
    server
        .hook("/in/known/more", "{}")
        .await
        .problem(404, "not-found");
    server.hook("/in/", "{}").await.problem(404, "not-found");
    let wrong = server.get("/in/known").await;
    wrong.problem(405, "method-not-allowed");
    assert_eq!(wrong.header("allow"), "POST");
}

#[tokio::test]
async fn only_what_is_signed_is_taken() {
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let mut signed = source("signed");
    signed.verifier = verifier("standard-webhooks", std::slice::from_ref(&secret)).into();
    let server = Setup::new([signed]).start().await;
    let signer = Signer::new(&named("standard-webhooks"), &secret).unwrap();
    let sign = |now: Timestamp, body: &str| {
        let no_headers: Vec<(String, String)> = Vec::new();
        let head = RequestHead {
            method: "POST",
            url: PUBLIC_URL,
            headers: &no_headers,
        };
        let headers = signer.sign(&head, "msg_1", now, body.as_bytes()).unwrap();
        headers
            .into_iter()
            .fold(Request::post("/in/signed"), |request, (name, value)| {
                request.header(name, value)
            })
    };
    let now = SystemClock::new().now();
    let good = sign(now, "{}").body(whole("{}")).unwrap();
    server.send(good).await.ok(202);
    let tampered = sign(now, "{}").body(whole("{ }")).unwrap();
    let reply = server.send(tampered).await;
    reply.problem(401, "invalid-signature");
    assert!(!reply.header("www-authenticate").is_empty());
    let stale = sign(now.before(Duration::from_secs(3_600)), "{}");
    let stale = server.send(stale.body(whole("{}")).unwrap()).await;
    let problem = stale.problem(401, "invalid-signature");
    assert!(problem["detail"].as_str().unwrap().contains("ago"));
    let unsigned = server.hook("/in/signed", "{}").await;
    unsigned.problem(401, "invalid-signature");
    assert_eq!(
        server.claims.names().len(),
        1,
        "only the good one left anything"
    );
}

#[tokio::test]
async fn the_url_that_is_verified_is_the_public_one_with_path_and_query_as_received() {
    let secret = Secret::new("twilio's token");
    let mut signed = source("signed");
    signed.verifier = verifier("twilio", std::slice::from_ref(&secret)).into();
    signed.key = "query:who".parse().unwrap();
    let server = Setup::new([signed]).start().await;
    let target = "/in/signed?who=%C3%B6&b=%2f+x";
    let form = vec![("content-type", "application/x-www-form-urlencoded")];
    let head = RequestHead {
        method: "POST",
        url: &format!("{PUBLIC_URL}{target}"),
        headers: &form,
    };
    let signer = Signer::new(&named("twilio"), &secret).unwrap();
    let now = SystemClock::new().now();
    let signature = signer.sign(&head, "id", now, b"Body=hello").unwrap();
    let request = |target: &str| {
        let request = Request::post(target).header(form[0].0, form[0].1);
        let request = signature.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        request.body(whole("Body=hello")).unwrap()
    };
    let receipt = server.send(request(target)).await.ok(202);
    assert_eq!(receipt["stream"], "signed/%C3%B6");
    let other = server.send(request("/in/signed?who=%C3%B6&b=%2F+x")).await;
    other.problem(401, "invalid-signature");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told_as_such() {
    let server = Setup::new([source("shop")]).start().await;
    server
        .ledger
        .fail(Some(LedgerError::Unavailable("gone".into())));
    let reply = server.hook("/in/shop", "{}").await;
    reply.problem(503, "unavailable");
    assert_eq!(reply.header("retry-after"), "1");
    server.get("/readyz").await.problem(503, "unavailable");
    assert_eq!(server.get("/healthz").await.status, 200);
    server
        .ledger
        .fail(Some(LedgerError::Corrupt("a page is not readable".into())));
    let problem = server.hook("/in/shop", "{}").await.problem(500, "internal");
    assert!(
        !problem["detail"].as_str().unwrap().contains("page"),
        "the log tells, not the answer"
    );
    server.ledger.fail(None);
    server.hook("/in/shop", "{}").await.ok(202);
    assert_eq!(server.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_sender_may_wait_for_consumers_to_have_the_event() {
    let mut patient = source("patient");
    patient.ack_delivered = Some(Duration::from_millis(20));
    let server = Setup::new([patient])
        .with(pull("puller", Duration::from_secs(60)))
        .start()
        .await;
    let reply = server.hook("/in/patient", "{}").await;
    let problem = reply.problem(503, "not-delivered");
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(problem["receipt"]["status"], "accepted");
    let pulled = server
        .get("/v1/subscriptions/puller/events?wait=20s")
        .await
        .ok(200);
    assert_eq!(pulled["events"][0]["id"], problem["receipt"]["id"]);
    let ids = json!({"ids": [problem["receipt"]["id"]]});
    server
        .post("/v1/subscriptions/puller/ack", &ids)
        .await
        .ok(200);
    let receipt = server.hook("/in/patient", "{}").await.ok(200);
    assert_eq!(receipt["status"], "duplicate");
}

#[tokio::test]
async fn what_is_over_the_budget_is_shed() {
    let mut setup = Setup::new([source("shop")]);
    setup.requests = 1;
    let server = setup.start().await;
    let mut slow = Raw::connect(server.address).await;
    slow.write("POST /in/shop HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{")
        .await;
    let shed = eventually(async || {
        let reply = server.hook("/in/shop", "{}").await;
        (reply.status == 429).then_some(reply)
    })
    .await;
    shed.problem(429, "overloaded");
    assert_eq!(shed.header("retry-after"), "1");
    slow.write("}").await;
    let answer = slow.read_until(|text| text.contains("\"status\"")).await;
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert_eq!(server.hook("/in/shop", "[]").await.status, 202);
}

#[tokio::test]
async fn an_ingest_is_finished_even_when_its_sender_hangs_up() {
    let server = Arc::new(Setup::new([source("shop")]).start().await);
    let permits = server.ledger.gate.available_permits();
    let closed = server.ledger.gate.forget_permits(permits);
    let before = server.ledger.arrived.load(Ordering::SeqCst);
    let mut hasty = Raw::connect(server.address).await;
    hasty
        .write("POST /in/shop HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}")
        .await;
    eventually(async || (server.ledger.arrived.load(Ordering::SeqCst) > before).then_some(()))
        .await;
    drop(hasty);
    // A second request is answered only after the server had every chance to notice that the first sender is gone.
    for _ in 0..10 {
        assert_eq!(server.get("/healthz").await.status, 200);
    }
    server.ledger.gate.add_permits(closed);
    let stream = server
        .get_until("/v1/streams/shop/all", |json| json["head"].is_string())
        .await;
    assert_eq!(stream["stream"], "shop/all");
    assert_eq!(
        server.hook("/in/shop", "{}").await.ok(200)["status"],
        "duplicate"
    );
}
