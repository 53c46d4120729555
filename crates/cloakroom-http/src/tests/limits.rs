//! Bodies that are too large, too slow, or cut off.

use std::time::Duration;

use bytes::Bytes;
use cloakroom_engine::catalog::Source;
use http::{Request, StatusCode};

use super::client::{Raw, chunked, whole};
use super::harness::{Server, Setup, eventually, source};

/// A source that takes at most `max` bytes.
fn limited(name: &str, max: usize) -> Source {
    let mut source = source(name);
    source.max_payload = max as u64;
    source
}

#[tokio::test]
async fn a_body_may_have_as_many_bytes_as_the_limit_says() {
    // One limit that is held in memory, and one that is streamed to the store.
    for max in [1_000, 200_000] {
        let server = Setup::new([limited("shop", max)]).start().await;
        for (fill, chunk) in [(b'a', max), (b'b', 999), (b'c', 64 * 1024)] {
            for (size, taken) in [(max - 1, true), (max, true), (max + 1, false)] {
                let body = vec![fill; size];
                let chunks = body.chunks(chunk).map(Bytes::copy_from_slice).collect();
                let with_length = Request::post("/in/shop").body(whole(body.clone())).unwrap();
                let without = Request::post("/in/shop").body(chunked(chunks)).unwrap();
                for (request, first) in [(with_length, true), (without, false)] {
                    let reply = server.send(request).await;
                    match (taken, first) {
                        (true, true) => drop(reply.ok(202)),
                        (true, false) => drop(reply.ok(200)),
                        (false, _) => {
                            let problem = reply.problem(413, "too-large");
                            let detail = problem["detail"].as_str().unwrap();
                            assert!(detail.contains(&max.to_string()), "{detail}");
                        }
                    }
                }
            }
        }
        // Two sizes of three fills; a duplicate of a small one leaves its copy to the sweep.
        let kept = server.get("/v1/streams/shop/all/events").await.json();
        assert_eq!(kept.as_array().unwrap().len(), 6);
    }
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_refused_before_anything_is_read() {
    let server = Setup::new([limited("shop", 10)]).start().await;
    let mut raw = Raw::connect(server.address).await;
    raw.write("POST /in/shop HTTP/1.1\r\nhost: h\r\ncontent-length: 11\r\n\r\n")
        .await;
    let answer = raw.read_until(|text| text.ends_with('}')).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Once the rest has come, the connection is as good as new.
    raw.write("hello world").await;
    raw.write("POST /in/shop HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    let answer = raw.read_until(|text| text.ends_with('}')).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

#[tokio::test]
async fn a_sender_that_asks_first_is_told_to_go_on_or_not_to_begin() {
    let server = Setup::new([limited("shop", 10)]).start().await;
    let mut raw = Raw::connect(server.address).await;
    raw.write(
        "POST /in/shop HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n",
    )
    .await;
    let asked = raw.read_until(|text| text.ends_with("\r\n\r\n")).await;
    assert!(asked.starts_with("HTTP/1.1 100"), "{asked}");
    raw.write("hello").await;
    let answer = raw.read_until(|text| text.ends_with('}')).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    raw.write(
        "POST /in/shop HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n",
    )
    .await;
    let answer = raw.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(!answer.contains("HTTP/1.1 100"), "{answer}");
}

#[tokio::test]
async fn the_rest_of_a_refused_body_is_read_so_that_its_sender_sees_the_answer() {
    let server = Setup::new([limited("shop", 10)]).start().await;
    let huge = vec![b'x'; 20 << 20];
    let reply = server
        .send(Request::post("/in/shop").body(whole(huge)).unwrap())
        .await;
    reply.problem(413, "too-large");
}

async fn sends_a_part(setup: Setup) -> (Server, String) {
    let server = setup.start().await;
    let mut raw = Raw::connect(server.address).await;
    let part = "x".repeat(100_000);
    raw.write("POST /in/shop HTTP/1.1\r\nhost: h\r\ncontent-length: 200000\r\n\r\n")
        .await;
    raw.write(&part).await;
    let answer = raw.read_until(|text| text.ends_with('}')).await;
    (server, answer)
}

#[tokio::test]
async fn a_body_that_falls_silent_is_given_up() {
    let mut setup = Setup::new([source("shop")]);
    setup.options.read_timeout = Duration::from_millis(50);
    let (server, answer) = sends_a_part(setup).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("/problems/body-timeout"), "{answer}");
    assert!(
        answer.contains("nothing of the body came for 50ms"),
        "{answer}"
    );
    assert!(server.claims.names().is_empty());
}

#[tokio::test]
async fn a_source_may_have_its_own_patience() {
    let server = Setup::new([source("shop"), source("hasty")]).start().await;
    let mut raw = Raw::connect(server.address).await;
    raw.write("POST /in/hasty HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{")
        .await;
    let answer = raw.read_until(|text| text.ends_with('}')).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let mut setup = Setup::new([source("shop")]);
    setup.options.body_timeout = Duration::from_millis(50);
    let (server, answer) = sends_a_part(setup).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.contains("the body was not complete after 50ms"),
        "{answer}"
    );
    assert!(server.claims.names().is_empty());
}

#[tokio::test]
async fn a_body_that_is_cut_off_leaves_nothing_behind() {
    for (head, part) in [
        ("content-length: 200000", "x".repeat(100_000)),
        ("content-length: 20", "x".to_owned()),
        (
            "transfer-encoding: chunked",
            format!("186a0\r\n{}", "x".repeat(100_000)),
        ),
    ] {
        let mut setup = Setup::new([source("shop"), source("other")]);
        setup.requests = 1;
        let server = setup.start().await;
        let mut raw = Raw::connect(server.address).await;
        raw.write(&format!(
            "POST /in/shop HTTP/1.1\r\nhost: h\r\n{head}\r\n\r\n{part}"
        ))
        .await;
        // The one place is taken: the body is being read.
        let shed = async |status: StatusCode| {
            eventually(async || {
                (server.hook("/in/other", "{}").await.status == status).then_some(())
            })
            .await;
        };
        shed(StatusCode::TOO_MANY_REQUESTS).await;
        drop(raw);
        // The place is free again: whatever there was of the body is gone.
        shed(StatusCode::OK).await;
        let claims = server.claims.names();
        assert!(
            claims.iter().all(|claim| !claim.0.starts_with("shop/")),
            "{claims:?}"
        );
        let stream = server.get("/v1/streams/shop/all").await;
        stream.problem(404, "not-found");
    }
}

#[tokio::test]
async fn malformed_chunks_end_the_connection_and_leave_nothing_behind() {
    let server = Setup::new([source("shop")]).start().await;
    let mut raw = Raw::connect(server.address).await;
    raw.write(
        "POST /in/shop HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    )
    .await;
    let answer = raw.read_to_end().await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert!(server.claims.names().is_empty());
    let stream = server.get("/v1/streams/shop/all").await;
    stream.problem(404, "not-found");
}
