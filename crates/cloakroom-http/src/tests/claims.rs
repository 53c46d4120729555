//! Claims: signed, expiring URLs, and the payloads behind them.

use std::time::Duration;

use crate::ClaimUrls;
use cloakroom_core::id::EventId;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::Clock as _;
use cloakroom_engine::system::SystemClock;
use http::Request;
use serde_json::json;

use super::client::{Reply, whole};
use super::harness::{PUBLIC_URL, Server, Setup, claim_key, dense, source};

const PAYLOAD: &[u8] = b"\x00\x01 not json \xff\r\n";

/// A server that holds one payload, and the path (with its query) that leads to it.
async fn with_claim(content_type: &str) -> (Server, EventId, String) {
    let server = Setup::new([source("shop")]).start().await;
    let request = Request::post("/in/shop").header("content-type", content_type);
    let receipt = server
        .send(request.body(whole(PAYLOAD)).unwrap())
        .await
        .ok(202);
    let id = receipt["id"].as_str().unwrap();
    let event = server.get(&format!("/v1/events/{id}")).await.ok(200);
    let dataref = event["payload"]["dataref"].as_str().unwrap();
    let path = dataref.strip_prefix(PUBLIC_URL).unwrap().to_owned();
    (server, id.into(), path)
}

async fn get_with(server: &Server, path: &str, name: &str, value: &str) -> Reply {
    let request = Request::get(path).header(name, value);
    server.send(request.body(whole("")).unwrap()).await
}

#[tokio::test]
async fn a_claim_is_the_payload_byte_for_byte_and_no_page() {
    let (server, _, path) = with_claim("text/html; charset=x").await;
    let reply = server.get(&path).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, PAYLOAD);
    for (name, value) in [
        ("content-type", "text/html; charset=x"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "attachment"),
        ("content-length", &PAYLOAD.len().to_string()),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    let head = server
        .send(Request::head(&path).body(whole("")).unwrap())
        .await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), PAYLOAD.len().to_string());
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn a_url_that_was_tampered_with_is_refused() {
    let (server, id, path) = with_claim("text/plain").await;
    let (before, signature) = path.split_once("&signature=").unwrap();
    let (base, expires) = before.split_once("?expires=").unwrap();
    let later = expires.parse::<i64>().unwrap() + 1;
    let other_key = ClaimUrls::new("", &Secret::new("another key"), Duration::from_secs(60))
        .url(&id, SystemClock::new().now());
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    for forged in [
        base.to_owned(),
        format!("{base}?expires={expires}"),
        format!("{base}?signature={signature}"),
        format!("{base}?expires={later}&signature={signature}"),
        format!("{base}?expires=&signature={signature}"),
        format!("{base}?expires={expires}&signature="),
        format!(
            "{base}?expires={expires}&signature={flipped}{}",
            &signature[1..]
        ),
        format!("{base}?expires={expires}&signature={}", &signature[..20]),
        format!("/v1/claims/evt_other?expires={expires}&signature={signature}"),
        other_key,
    ] {
        server.get(&forged).await.problem(403, "claim-signature");
        // A bearer token does not replace the signature.
        let reply = get_with(&server, &forged, "authorization", "Bearer x").await;
        reply.problem(403, "claim-signature");
    }
}

#[tokio::test]
async fn a_url_expires() {
    let (server, id, _) = with_claim("text/plain").await;
    let now = SystemClock::new().now();
    let ttl = Duration::from_secs(60);
    let urls = ClaimUrls::new("", &claim_key(), ttl);
    let expired = urls.url(&id, now.before(ttl + Duration::from_secs(2)));
    server.get(&expired).await.problem(410, "claim-expired");
    let fresh = urls.url(&id, now);
    assert_eq!(server.get(&fresh).await.status, 200);
    let nothing = urls.url(&"evt_nothing".into(), now);
    server.get(&nothing).await.problem(404, "not-found");
    let long_ago = urls.url(&id, Timestamp::from_micros(i64::MIN));
    server.get(&long_ago).await.problem(410, "claim-expired");
}

#[tokio::test]
async fn a_part_of_a_claim_can_be_fetched() {
    let (server, _, path) = with_claim("text/plain").await;
    let size = PAYLOAD.len();
    for (range, start, end) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=2-4".to_owned(), 2, 5),
        ("bytes=5-".to_owned(), 5, size),
        ("bytes=-3".to_owned(), size - 3, size),
        (format!("bytes=1-{}", size * 2), 1, size),
    ] {
        let reply = get_with(&server, &path, "range", &range).await;
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(reply.body, PAYLOAD[start..end], "{range}");
        let told = format!("bytes {start}-{}/{size}", end - 1);
        assert_eq!(reply.header("content-range"), told);
        assert_eq!(reply.header("content-length"), (end - start).to_string());
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    let beyond = get_with(&server, &path, "range", &format!("bytes={size}-")).await;
    beyond.problem(416, "range-not-satisfiable");
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    let several = get_with(&server, &path, "range", "bytes=0-1,3-4").await;
    assert_eq!((several.status.as_u16(), &several.body[..]), (200, PAYLOAD));
}

#[tokio::test]
async fn a_part_is_given_only_of_the_same_payload() {
    let (server, _, path) = with_claim("text/plain").await;
    let tag = server.get(&path).await.header("etag").to_owned();
    let get = async |tag: &str| {
        let request = Request::get(&path)
            .header("range", "bytes=0-1")
            .header("if-range", tag);
        server.send(request.body(whole("")).unwrap()).await.status
    };
    assert_eq!(get(&tag).await, 206);
    assert_eq!(get("\"another\"").await, 200);
    let known = get_with(&server, &path, "if-none-match", &tag).await;
    assert_eq!(known.status, 304);
    assert!(known.body.is_empty());
}

#[tokio::test]
async fn what_only_the_ledger_keeps_has_a_claim_too() {
    let mut setup = Setup::new([source("shop"), dense("numbered")]);
    setup.ledger_only_max = 1_000;
    let server = setup.start().await;
    for (path, body) in [
        ("/in/shop", json!({"small": true})),
        // In quarantine, without a place.
        ("/in/numbered", json!({"id": "x"})),
    ] {
        let receipt = server.hook(path, body.to_string()).await.ok(202);
        let id = receipt["id"].as_str().unwrap();
        let event = server.get(&format!("/v1/events/{id}")).await.ok(200);
        let dataref = event["payload"]["dataref"].as_str().unwrap();
        let path = dataref.strip_prefix(PUBLIC_URL).unwrap();
        assert_eq!(server.get(path).await.body, body.to_string());
        let part = get_with(&server, path, "range", "bytes=1-3").await;
        assert_eq!(part.body, body.to_string()[1..4]);
    }
    assert!(server.claims.names().is_empty());
}
