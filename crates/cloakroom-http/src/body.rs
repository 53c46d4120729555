//! Request bodies as they arrive: bounded in time, never gathered without a limit.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::EXPECT;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::problem::{Kind, Problem};

/// How long a refused sender is listened to, so that it reads the answer before it meets a closed connection.
const LINGER: Duration = Duration::from_secs(10);

/// How long a body may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The longest pause between two of its chunks.
    pub(crate) idle: Duration,
    /// The longest time it may take altogether.
    pub(crate) whole: Duration,
}

/// A body on its way in.
pub(crate) struct Arriving {
    body: Body,
    pace: Pace,
    end: Instant,
    sender_waits: bool,
}

impl Arriving {
    pub(crate) fn new(headers: &HeaderMap, body: Body, pace: Pace) -> Self {
        Self {
            body,
            pace,
            end: Instant::now() + pace.whole,
            sender_waits: headers.contains_key(EXPECT),
        }
    }

    /// How many bytes will come at least, as far as the sender has said.
    pub(crate) fn promised(&self) -> u64 {
        self.body.size_hint().lower()
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            if self.body.is_end_stream() {
                return Ok(None);
            }
            let deadline = self.end.min(Instant::now() + self.pace.idle);
            let frame = match timeout_at(deadline, self.body.frame()).await {
                Ok(frame) => frame,
                Err(_) => return Err(self.too_slow()),
            };
            match frame {
                None => return Ok(None),
                Some(Err(_)) => {
                    let text = "the connection broke off, or the chunks are malformed";
                    return Err(Problem::new(Kind::IncompleteBody, text));
                }
                // Trailers are none of our business.
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some(chunk));
                    }
                }
            }
        }
    }

    fn too_slow(&self) -> Problem {
        let text = if Instant::now() >= self.end {
            format!("the body was not complete after {:?}", self.pace.whole)
        } else {
            format!("nothing of the body came for {:?}", self.pace.idle)
        };
        Problem::new(Kind::BodyTimeout, text)
    }

    /// All of it, unless it is longer than `max`.
    pub(crate) async fn collect(mut self, max: usize) -> Result<Bytes, Problem> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            if whole.len() + chunk.len() > max {
                let text = format!("a request to the API may have at most {max} bytes");
                return Err(Problem::new(Kind::TooLarge, text));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// Reads on for a while without keeping anything. A connection that is closed while its sender still writes is
    /// reset, and the sender never sees why; and one whose rest is read can be used again.
    pub(crate) fn discard(self, stop: &CancellationToken) {
        // Whoever waits for `100 Continue` takes the answer in its place, and sends nothing.
        if self.sender_waits || self.body.is_end_stream() {
            return;
        }
        let (mut body, stop) = (self.body, stop.clone());
        tokio::spawn(async move {
            let rest = async { while let Some(Ok(_)) = body.frame().await {} };
            tokio::select! {
                _ = timeout(LINGER, rest) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}
