//! Against a consumer on the loopback interface.

mod consumer;
mod delivery;
mod rebinding;
mod refusal;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::event::{Body, Event, Payload, Sha256};
use cloakroom_core::id::{EventId, StreamId};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use tokio::sync::Notify;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01";

/// A clock that tests move. With `skips`, whoever waits moves it to where they want it.
struct TestClock {
    now: AtomicI64,
    skips: bool,
    moved: Notify,
}

impl TestClock {
    fn at(now: Timestamp, skips: bool) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicI64::new(now.as_micros()),
            skips,
            moved: Notify::new(),
        })
    }

    fn fixed() -> Arc<Self> {
        Self::at(
            Timestamp::parse_rfc3339("2026-11-22T10:00:02Z").unwrap(),
            false,
        )
    }

    fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.now.fetch_add(micros, Ordering::SeqCst);
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    async fn sleep_until(&self, at: Timestamp) {
        if self.skips {
            self.now.fetch_max(at.as_micros(), Ordering::SeqCst);
        }
        loop {
            let moved = self.moved.notified();
            if self.now() >= at {
                return;
            }
            moved.await;
        }
    }
}

fn outgoing(number: u64, content_type: &str, payload: &'static [u8]) -> Outgoing {
    let stream = StreamId::new("transfers", "TR-42");
    let position = Position::dense(number);
    Outgoing {
        event: Event {
            id: EventId::of(&stream, &position),
            stream,
            position,
            identity: "msg_1".into(),
            event_type: "transfer.updated".to_owned(),
            time: Timestamp::parse_rfc3339("2026-11-22T10:00:00Z"),
            recorded: Timestamp::parse_rfc3339("2026-11-22T10:00:01Z").unwrap(),
            traceparent: Some(TRACEPARENT.to_owned()),
            late: None,
            body: Body::Payload(Payload {
                content_type: content_type.to_owned(),
                size: payload.len() as u64,
                sha256: Sha256::of(payload),
                claim: None,
                inline: None,
            }),
        },
        inline: Some(Bytes::from_static(payload)),
        dataref: None,
        attempt: 1,
        epoch: 1,
    }
}

fn json(number: u64) -> Outgoing {
    outgoing(number, "application/json", br#"{"id": "TR-42"}"#)
}

fn options(url: &str) -> HttpSinkOptions {
    HttpSinkOptions {
        url: url.to_owned(),
        secret: Some(Secret::new(SECRET)),
        mode: Mode::Structured,
        timeout: Duration::from_secs(30),
        rate: None,
        headers: Vec::new(),
        allow_private: true,
    }
}

fn sink(options: &HttpSinkOptions) -> HttpSink {
    HttpSink::new(options, TestClock::fixed()).unwrap()
}

fn failed(outcome: Outcome) -> (String, Option<Duration>) {
    match outcome {
        Outcome::Failed {
            reason,
            retry_after,
        } => (reason, retry_after),
        other => panic!("this should have failed: {other:?}"),
    }
}
