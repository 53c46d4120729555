//! `POST /in/{source}/uploads`: who is offered a place, and who is not.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::event::Sha256;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Signer};
use cloakroom_engine::memory::MemoryUploads;
use cloakroom_engine::ports::{Clock as _, Uploads as _};
use cloakroom_engine::system::SystemClock;
use cloakroom_engine::upload::Taken;
use serde_json::{Value, json};

use super::harness::{PUBLIC_URL, Server, Setup, named, source, verifier};

const BODY: &[u8] = br#"{"n":1}"#;

fn secret() -> Secret {
    Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
}

async fn start() -> (Server, Arc<MemoryUploads>) {
    let mut signed = source("signed");
    signed.verifier = verifier("standard-webhooks", &[secret()]).into();
    let mut small = source("small");
    small.max_payload = 6;
    let uploads = Arc::new(MemoryUploads::new());
    let mut setup = Setup::new([signed, small]);
    setup.uploads = Some(Arc::clone(&uploads));
    (setup.start().await, uploads)
}

/// An announcement of a webhook that was signed then.
fn announce(signed: Timestamp) -> Value {
    let no_headers: Vec<(String, String)> = Vec::new();
    let head = RequestHead {
        method: "POST",
        url: PUBLIC_URL,
        headers: &no_headers,
    };
    let signer = Signer::new(&named("standard-webhooks"), &secret()).unwrap();
    let headers = signer.sign(&head, "msg_1", signed, BODY).unwrap();
    let headers: serde_json::Map<_, _> = headers
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    json!({
        "content_type": "application/json", "content_length": BODY.len(),
        "sha256": Sha256::of(BODY).to_string(), "headers": headers,
    })
}

fn now() -> Timestamp {
    SystemClock::new().now()
}

#[tokio::test]
async fn what_is_uploaded_to_an_offered_place_becomes_an_event() {
    let (server, uploads) = start().await;
    let reply = server
        .post("/in/signed/uploads?a=1", &announce(now()))
        .await;
    let offer = reply.ok(200);
    let place = offer["claim"].as_str().unwrap();
    assert!(place.starts_with("staging/signed/"), "{offer}");
    assert_eq!(offer["upload_url"], format!("memory:///{place}"));
    assert_eq!(offer["headers"]["content-length"], BODY.len().to_string());
    let expires = Timestamp::parse_rfc3339(offer["expires_at"].as_str().unwrap()).unwrap();
    assert!(expires > now());

    assert!(server.claims.names().is_empty(), "an offer stores nothing");
    assert!(uploads.put(place, BODY));
    let announced = uploads.staged(place).await.unwrap().unwrap().announced;
    assert_eq!(
        announced.unwrap().url,
        format!("{PUBLIC_URL}/in/signed?a=1")
    );
    let taken = server.engine.take_upload(uploads.as_ref(), place).await;
    let Taken::In(receipt) = taken.unwrap() else {
        panic!("it was not taken in");
    };
    let event = server.get(&format!("/v1/events/{}", receipt.id)).await;
    assert_eq!(event.ok(200)["id"], receipt.id.as_str());
    assert!(uploads.places().is_empty());
}

#[tokio::test]
async fn only_a_webhook_that_would_be_taken_in_is_offered_a_place() {
    let (server, uploads) = start().await;
    let unsigned = json!({
        "content_type": "application/json", "content_length": 7, "sha256": Sha256::of(BODY).to_string(), "headers": {},
    });
    let reply = server.post("/in/signed/uploads", &unsigned).await;
    reply.problem(401, "invalid-signature");
    let old = announce(now().before(Duration::from_secs(3_600)));
    let reply = server.post("/in/signed/uploads", &old).await;
    let problem = reply.problem(401, "invalid-signature");
    assert!(
        problem["detail"].as_str().unwrap().contains("signed 36"),
        "{problem}"
    );
    let reply = server.post("/in/nobody/uploads", &unsigned).await;
    reply.problem(404, "unknown-source");
    let reply = server.post("/in/small/uploads", &unsigned).await;
    reply.problem(413, "too-large");
    assert!(uploads.places().is_empty());
}

#[tokio::test]
async fn an_announcement_must_be_one() {
    let (server, _) = start().await;
    let good = announce(now());
    let with = |name: &str, value: Value| {
        let mut announcement = good.clone();
        announcement[name] = value;
        announcement
    };
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("sha256");
    for (announcement, word) in [
        (without, "sha256"),
        (with("sha256", "abc".into()), "64 hex"),
        (with("more", 1.into()), "more"),
        (with("content_type", "a\r\nb".into()), "content_type"),
        (with("headers", json!({"a b": "1"})), "a b"),
        (
            with("headers", json!({"Content-Type": "x"})),
            "content-type",
        ),
        (with("headers", json!({"x": "1", "X": "2"})), "twice"),
        (with("headers", json!({"x": "a\nb"})), "`x`"),
    ] {
        let reply = server.post("/in/signed/uploads", &announcement).await;
        let problem = reply.problem(400, "invalid-request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{word}: {detail}");
    }
    let mut long = good.clone();
    long["headers"]["x-long"] = "x".repeat(2_000).into();
    let problem = server.post("/in/signed/uploads", &long).await;
    let problem = problem.problem(400, "invalid-request");
    assert!(problem["detail"].as_str().unwrap().contains("at most"));
    long["headers"]["x-long"] = "x".repeat(20_000).into();
    let reply = server.post("/in/signed/uploads", &long).await;
    reply.problem(413, "too-large");
}

#[tokio::test]
async fn a_server_without_a_place_says_where_to_send_the_body() {
    let server = Setup::new([source("any")]).start().await;
    let reply = server.post("/in/any/uploads", &announce(now())).await;
    let problem = reply.problem(501, "uploads-not-offered");
    assert!(
        problem["hint"]
            .as_str()
            .unwrap()
            .contains("POST /in/{source}")
    );
    let wrong = server.get("/in/any/uploads").await;
    wrong.problem(405, "method-not-allowed");
}
