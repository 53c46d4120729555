//! Presigned URLs, fetched by a client that knows nothing of AWS. SeaweedFS checks their signatures and lives.

use std::time::Duration;

use cloakroom_core::event::{Body, ClaimName, Event, Payload, Sha256};
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ClaimLinks as _;
use cloakroom_engine::ports::ClaimStore as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Bucket, body, hint, now, seaweedfs};

const HOUR: Duration = Duration::from_secs(3_600);

fn event(claim: Option<ClaimName>, content_type: &str) -> Event {
    let stream = StreamId::new("shop", "TR-42");
    let position = Position::dense(7);
    Event {
        id: cloakroom_core::id::EventId::of(&stream, &position),
        stream,
        position,
        identity: "evt-1".into(),
        event_type: "transfer.updated".to_owned(),
        time: None,
        recorded: Timestamp::from_secs(1_800_000_000),
        traceparent: None,
        late: None,
        body: Body::Payload(Payload {
            content_type: content_type.to_owned(),
            size: 1_000,
            sha256: Sha256::of(b""),
            claim,
            inline: None,
        }),
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

async fn fetch(url: &str, extra: &str) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut connection = TcpStream::connect(host).await.unwrap();
    let request =
        format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n{extra}connection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: answer.split_off(end),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_url_has_the_payload_for_its_time() {
    let bucket = Bucket::make(&seaweedfs()).await;
    let body = body(1_000);
    let claim = bucket.claims.put(&hint("evt-1", &body), body.clone()).await;
    let event = event(Some(claim.unwrap()), "application/json; charset=utf-8");
    let links = bucket.claims.links(HOUR, None);
    let url = links.link(&event, now()).await.unwrap().unwrap();

    let answer = fetch(&url, "").await;
    assert_eq!((answer.status, answer.body), (200, body.to_vec()));
    for header in [
        "content-type: application/json; charset=utf-8",
        "content-disposition: attachment",
        "cache-control: private, no-cache",
    ] {
        assert!(answer.head.contains(header), "{header}: {}", answer.head);
    }
    let part = fetch(&url, "range: bytes=10-19\r\n").await;
    assert_eq!((part.status, part.body), (206, body[10..20].to_vec()));

    let expired = links.link(&event, now().before(HOUR + HOUR)).await;
    assert_eq!(fetch(&expired.unwrap().unwrap(), "").await.status, 403);
    let (plain, _) = url.split_once('?').unwrap();
    for tampered in [
        url.replace(
            "response-content-type=",
            "response-content-type=text/html%3B",
        ),
        url.replace("X-Amz-Expires=3600", "X-Amz-Expires=360000"),
        url.replace("/some/where/c/", "/some/where/d/"),
        plain.to_owned(),
    ] {
        assert_ne!(tampered, url);
        assert_eq!(fetch(&tampered, "").await.status, 403, "{tampered}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_claims_have_urls_too() {
    let bucket = Bucket::make(&seaweedfs()).await;
    let body = body(6 << 20);
    let mut upload = bucket.claims.begin().await.unwrap();
    upload.write(body.clone()).await.unwrap();
    let claim = upload.commit(&hint("evt-1", &body)).await.unwrap();
    let links = bucket.claims.links(HOUR, None);
    let event = event(Some(claim), "");
    let url = links.link(&event, now()).await.unwrap().unwrap();
    let answer = fetch(&url, "").await;
    assert!(answer.status == 200 && answer.body == body);
    assert!(
        answer
            .head
            .contains("content-type: application/octet-stream")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_url_lives_longer_than_s3_allows() {
    let bucket = Bucket::make(&seaweedfs()).await;
    let body = body(10);
    let claim = bucket.claims.put(&hint("evt-1", &body), body.clone()).await;
    let event_of = event(Some(claim.unwrap()), "text/plain");
    let links = bucket.claims.links(30 * 24 * HOUR, None);
    let url = links.link(&event_of, now()).await.unwrap().unwrap();
    assert!(url.contains("X-Amz-Expires=604800"), "{url}");
    assert_eq!(fetch(&url, "").await.status, 200);
    // What only the ledger keeps is not in S3.
    let kept = links.link(&event(None, "text/plain"), now()).await.unwrap();
    assert_eq!(kept, None);
}
