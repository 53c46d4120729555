//! What is sent, and what the answers mean.

use std::num::NonZeroU32;
use std::time::SystemTime;

use axum::body::Body as AxumBody;
use axum::response::Response;
use futures::StreamExt as _;

use super::consumer::{Consumer, answer};
use super::*;

async fn accepting() -> Consumer {
    Consumer::start(|| answer(204, &[])).await
}

async fn requests(mode: Mode, events: &[Outgoing]) -> String {
    let consumer = accepting().await;
    let mut options = options(&consumer.url());
    options.mode = mode;
    options.headers = vec![("X-Tenant".to_owned(), "blue".to_owned())];
    assert_eq!(sink(&options).send(events).await, Outcome::Delivered);
    let received = consumer.received();
    let texts: Vec<_> = received.iter().map(consumer::Received::text).collect();
    texts.join("\n\n")
}

const BATCHED: Mode = Mode::Batched {
    events: 100,
    inline_max: 16 << 10,
};

#[tokio::test]
async fn a_structured_request() {
    insta::assert_snapshot!(requests(Mode::Structured, &[json(7)]).await);
}

#[tokio::test]
async fn a_binary_request() {
    let event = outgoing(7, "image/png", b"\x89PNG\r\n\x00\xff");
    insta::assert_snapshot!(requests(Mode::Binary, &[event]).await);
}

#[tokio::test]
async fn a_binary_request_without_its_payload() {
    let mut event = json(7);
    event.inline = None;
    event.dataref = Some("https://cloakroom.example/v1/claims/c1".to_owned());
    insta::assert_snapshot!(requests(Mode::Binary, &[event]).await);
}

#[tokio::test]
async fn a_batched_request() {
    insta::assert_snapshot!(requests(BATCHED, &[json(7), json(8)]).await);
}

#[tokio::test]
async fn a_batch_has_an_id_of_its_own() {
    let id = |events: &[Outgoing]| {
        let mut message = Message::of(BATCHED, events, http::HeaderMap::new());
        message.sign(None, 0);
        message.headers["webhook-id"].clone()
    };
    assert_eq!(id(&[json(7), json(8)]), id(&[json(7), json(8)]));
    assert_ne!(id(&[json(7)]), id(&[json(7), json(8)]));
}

#[test]
fn batches_stay_small() {
    let batch_max = |mode| {
        let mut options = options("http://127.0.0.1:1/");
        options.mode = mode;
        sink(&options).batch_max()
    };
    assert_eq!(batch_max(Mode::Structured), 1);
    assert_eq!(batch_max(Mode::Binary), 1);
    assert_eq!(batch_max(BATCHED), 100);
    let large = |inline_max| Mode::Batched {
        events: 100,
        inline_max,
    };
    assert_eq!(batch_max(large(256 << 10)), 11);
    assert_eq!(batch_max(large(u64::MAX)), 1);
}

#[tokio::test]
async fn the_standard_webhooks_library_accepts_every_signature() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the library compares with the time of the system"
    )]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = Timestamp::default().after(now.unwrap());
    let raw = "not base64: any bytes do";
    let whsec = standardwebhooks::Webhook::new(SECRET).unwrap();
    let raw_judge = standardwebhooks::Webhook::from_bytes(raw.as_bytes().to_vec()).unwrap();
    for (secret, judge) in [(SECRET, whsec), (raw, raw_judge)] {
        for mode in [Mode::Structured, Mode::Binary, BATCHED] {
            let consumer = accepting().await;
            let mut options = options(&consumer.url());
            options.mode = mode;
            options.secret = Some(Secret::new(secret));
            let sink = HttpSink::new(&options, TestClock::at(now, false)).unwrap();
            assert_eq!(sink.send(&[json(7)]).await, Outcome::Delivered);
            let received = consumer.received();
            judge
                .verify(&received[0].body, &received[0].head.headers)
                .unwrap();
            let tampered = [&received[0].body, b" ".as_slice()].concat();
            judge
                .verify(&tampered, &received[0].head.headers)
                .unwrap_err();
        }
    }
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed() {
    let consumer = accepting().await;
    let mut options = options(&consumer.url());
    options.secret = None;
    assert_eq!(sink(&options).send(&[json(7)]).await, Outcome::Delivered);
    let received = consumer.received();
    let headers = &received[0].head.headers;
    assert!(!headers.contains_key("webhook-signature"));
    assert_eq!(received[0].header("webhook-id"), json(7).event.id.as_str());
    assert_eq!(received[0].header("webhook-timestamp"), "1795341602");
}

#[tokio::test]
async fn a_user_in_the_url_becomes_a_header() {
    let consumer = accepting().await;
    let url = format!("http://us%C5%BCr:p%40ss@{}/", consumer.address);
    assert_eq!(
        sink(&options(&url)).send(&[json(7)]).await,
        Outcome::Delivered
    );
    let received = consumer.received();
    assert_eq!(
        received[0].header("authorization"),
        "Basic dXPFvHI6cEBzcw=="
    );
}

#[tokio::test]
async fn the_status_decides() {
    let failure = |reason: &str, seconds: Option<u64>| Outcome::Failed {
        reason: reason.to_owned(),
        retry_after: seconds.map(Duration::from_secs),
    };
    let gone = Outcome::Gone {
        reason: "answered 410 Gone".to_owned(),
    };
    let redirect = failure("answered 302 Found; redirects are not followed", None);
    let moved = failure(
        "answered 308 Permanent Redirect; redirects are not followed",
        None,
    );
    // The clock stands at 10:00:02.
    let date = "Sun, 22 Nov 2026 10:01:02 GMT";
    for (status, header, expected) in [
        (200, None, Outcome::Delivered),
        (202, None, Outcome::Delivered),
        (299, None, Outcome::Delivered),
        (302, Some(("location", "/elsewhere")), redirect),
        (308, Some(("location", "/elsewhere")), moved),
        (400, None, failure("answered 400 Bad Request", None)),
        (410, None, gone),
        (
            429,
            Some(("retry-after", "30")),
            failure("answered 429 Too Many Requests", Some(30)),
        ),
        (
            429,
            Some(("retry-after", date)),
            failure("answered 429 Too Many Requests", Some(60)),
        ),
        (
            429,
            Some(("retry-after", "soon")),
            failure("answered 429 Too Many Requests", None),
        ),
        (
            503,
            Some(("retry-after", "999999")),
            failure("answered 503 Service Unavailable", Some(86_400)),
        ),
        (503, None, failure("answered 503 Service Unavailable", None)),
        (
            500,
            Some(("retry-after", "30")),
            failure("answered 500 Internal Server Error", None),
        ),
        (599, None, failure("answered 599", None)),
    ] {
        let consumer = Consumer::start(move || answer(status, header.as_slice())).await;
        let outcome = sink(&options(&consumer.url())).send(&[json(7)]).await;
        assert_eq!(outcome, expected, "{status}");
        assert_eq!(consumer.received().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_settles_the_event_all_the_same() {
    let endless = || {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>([0; 1024].as_slice()));
        Response::new(AxumBody::from_stream(chunks))
    };
    let stuck = || {
        let first = futures::stream::iter([Ok::<_, std::io::Error>("…")]);
        Response::new(AxumBody::from_stream(
            first.chain(futures::stream::pending()),
        ))
    };
    for answer in [endless, stuck] {
        let consumer = Consumer::start(answer).await;
        let sink = sink(&options(&consumer.url()));
        assert_eq!(sink.send(&[json(7)]).await, Outcome::Delivered);
        assert_eq!(sink.send(&[json(8)]).await, Outcome::Delivered);
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let consumer = Consumer::start(|| answer(200, &[])).await;
    let sink = sink(&options(&consumer.url()));
    for number in 0..20 {
        assert_eq!(sink.send(&[json(number)]).await, Outcome::Delivered);
    }
    let received = consumer.received();
    let connections: std::collections::HashSet<_> = received.iter().map(|r| r.from).collect();
    assert_eq!(received.len(), 20);
    assert!(connections.len() < 20, "{} connections", connections.len());
}

fn per_second(count: u32) -> Rate {
    Rate {
        count: NonZeroU32::new(count).unwrap(),
        per: Duration::from_secs(1),
    }
}

#[tokio::test]
async fn the_rate_is_kept() {
    let consumer = accepting().await;
    let clock = TestClock::at(Timestamp::from_secs(1_000), true);
    let mut options = options(&consumer.url());
    options.rate = Some(per_second(50));
    let sink = HttpSink::new(&options, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    for number in 0..105 {
        assert_eq!(sink.send(&[json(number)]).await, Outcome::Delivered);
    }
    // Five at once, then one every 20 ms.
    let took = clock.now().since(Timestamp::from_secs(1_000));
    assert_eq!(took.as_millis(), 2_000);
}

#[tokio::test]
async fn who_waits_too_long_for_a_turn_is_told() {
    let consumer = accepting().await;
    let clock = TestClock::fixed();
    let mut options = options(&consumer.url());
    options.rate = Some(Rate {
        count: NonZeroU32::MIN,
        per: Duration::from_secs(3_600),
    });
    let sink = HttpSink::new(&options, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    assert!(sink.timeout() > rate::PATIENCE);
    assert_eq!(sink.send(&[json(7)]).await, Outcome::Delivered);
    let late = async { clock.advance(rate::PATIENCE) };
    let second = [json(8)];
    let (outcome, ()) = tokio::join!(sink.send(&second), late);
    let (reason, wait) = failed(outcome);
    assert_eq!(reason, "not sent: the subscription's rate limit is used up");
    assert_eq!(wait, Some(rate::PATIENCE));
    assert_eq!(consumer.received().len(), 1);
}
