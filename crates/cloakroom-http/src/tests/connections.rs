//! Connections: keep-alive, limits of the head, and the server's end.

use std::time::Duration;

use super::client::Raw;
use super::harness::{Setup, eventually, pull, source};

#[tokio::test]
async fn a_connection_takes_one_request_after_another_and_several_at_once() {
    let server = Setup::new([source("shop")]).start().await;
    let mut raw = Raw::connect(server.address).await;
    let request = |body: &str| {
        format!(
            "POST /in/shop HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    raw.write(&request("1")).await;
    let answer = raw.read_until(|text| text.ends_with('}')).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    raw.write(&[request("2"), request("1"), request("3")].concat())
        .await;
    let statuses = |text: &str| -> Vec<String> {
        let lines = text.match_indices("HTTP/1.1 ");
        lines
            .filter_map(|(at, _)| text.get(at + 9..at + 12))
            .map(ToOwned::to_owned)
            .collect()
    };
    let answers = raw
        .read_until(|text| statuses(text).len() == 3 && text.ends_with('}'))
        .await;
    assert_eq!(statuses(&answers), ["202", "200", "202"]);
}

#[tokio::test]
async fn a_head_may_not_take_for_ever() {
    let mut setup = Setup::new([source("shop")]);
    setup.options.header_timeout = Duration::from_millis(50);
    let server = setup.start().await;
    let mut raw = Raw::connect(server.address).await;
    raw.write("POST /in/shop HTTP/1.1\r\nhost:").await;
    let answer = raw.read_to_end().await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_may_not_be_endless() {
    let server = Setup::new([source("shop")]).start().await;
    let mut raw = Raw::connect(server.address).await;
    let many = "x: y\r\n".repeat(200);
    raw.write(&format!("POST /in/shop HTTP/1.1\r\nhost: h\r\n{many}"))
        .await;
    let answer = raw.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    // Of these not everything is read, and the answer may be lost to the sender, who still writes.
    let long = "x".repeat(200_000);
    for head in [
        format!("POST /in/shop HTTP/1.1\r\nhost: h\r\nx: {long}"),
        format!("GET /{long}"),
    ] {
        let mut raw = Raw::connect(server.address).await;
        raw.write_as_far_as_possible(&head).await;
        let answer = raw.read_to_end().await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn requests_under_way_are_finished_and_waits_are_ended() {
    let mut server = Setup::new([source("shop")])
        .with(pull("puller", Duration::from_secs(60)))
        .start()
        .await;
    let mut idle = Raw::connect(server.address).await;
    let mut slow = Raw::connect(server.address).await;
    slow.write(
        "POST /in/shop HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
    )
    .await;
    let asked = slow.read_until(|text| text.ends_with("\r\n\r\n")).await;
    assert!(
        asked.starts_with("HTTP/1.1 100"),
        "the body is being read: {asked}"
    );
    let mut waiting = Raw::connect(server.address).await;
    waiting
        .write("GET /v1/subscriptions/puller/events?wait=60s HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    // Connections are accepted in turn: once this is answered, the long poll has arrived at least.
    assert_eq!(server.get("/healthz").await.status, 200);
    server.stop();
    let answer = waiting.read_to_end().await;
    assert!(
        answer.is_empty() || answer.contains("\"events\":[]"),
        "{answer}"
    );
    assert_eq!(idle.read_to_end().await, "");
    slow.write("{}").await;
    let answer = slow.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    server.serving.await.unwrap().unwrap();
    let refused = tokio::net::TcpStream::connect(server.address).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let mut setup = Setup::new([source("shop")]);
    setup.options.drain_timeout = Duration::from_millis(50);
    let mut server = setup.start().await;
    let mut stuck = Raw::connect(server.address).await;
    stuck
        .write("POST /in/shop HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    let asked = stuck.read_until(|text| text.ends_with("\r\n\r\n")).await;
    assert!(asked.starts_with("HTTP/1.1 100"), "{asked}");
    server.stop();
    assert_eq!(stuck.read_to_end().await, "");
    server.serving.await.unwrap().unwrap();
    let stream = server
        .engine
        .stream(&cloakroom_core::id::StreamId::new("shop", "all"))
        .await;
    assert!(stream.unwrap().is_none());
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away_and_a_place_that_is_free_again_is_given() {
    let mut setup = Setup::new([source("shop")]);
    setup.options.max_connections = 2;
    let server = setup.start().await;
    let ask = "GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n";
    let mut first = Raw::connect(server.address).await;
    let mut second = Raw::connect(server.address).await;
    for place in [&mut first, &mut second] {
        place.write(ask).await;
        let answer = place.read_until(|text| text.ends_with("ok\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let refusal = Raw::connect(server.address).await.read_to_end().await;
    assert!(refusal.starts_with("HTTP/1.1 503"), "{refusal}");
    let (head, body) = refusal.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())));
    drop(first);
    eventually(async || {
        let mut third = Raw::connect(server.address).await;
        third.write_as_far_as_possible(ask).await;
        let answer = third.read_until(|text| text.ends_with("\n")).await;
        answer.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
    // Whoever was there keeps the place.
    second.write(ask).await;
    let answer = second.read_until(|text| text.ends_with("ok\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
