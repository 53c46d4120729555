//! What an answer means.

use std::error::Error as _;
use std::time::Duration;

use cloakroom_core::outbound::retry_after;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::Outcome;
use http::{HeaderMap, StatusCode, header};
use reqwest::Response;

/// How long the rest of an answer is read, so that its connection can be used again.
pub(super) const DRAIN_MAX: Duration = Duration::from_millis(100);

/// How much of an answer is read.
const DRAIN_MAX_BYTES: usize = 64 << 10;

/// The status decides.
pub(super) fn outcome(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Outcome {
    if status.is_success() {
        return Outcome::Delivered;
    }
    let mut reason = format!("answered {}", status.as_u16());
    if let Some(text) = status.canonical_reason() {
        reason.push(' ');
        reason.push_str(text);
    }
    if status == StatusCode::GONE {
        return Outcome::Gone { reason };
    }
    if status.is_redirection() {
        reason.push_str("; redirects are not followed");
    }
    let asked = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let wait = headers
        .get(header::RETRY_AFTER)
        .filter(|_| asked)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| retry_after(value, now));
    Outcome::Failed {
        reason,
        retry_after: wait,
    }
}

/// There was no answer. The reason names the causes, not the URL, which may hold a token.
pub(super) fn failure(error: reqwest::Error, timeout: Duration) -> Outcome {
    let reason = if error.is_timeout() {
        format!("no answer within {timeout:?}")
    } else {
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some layers only repeat the one below them.
            if !reason.ends_with(&text) {
                reason.push_str(": ");
                reason.push_str(&text);
            }
            cause = error.source();
        }
        reason
    };
    Outcome::Failed {
        reason,
        retry_after: None,
    }
}

/// Reads a little of the body and drops it. A connection whose body was not read to its end is closed.
pub(super) async fn drain(mut response: Response) {
    let read = async {
        let mut left = DRAIN_MAX_BYTES;
        while let Ok(Some(chunk)) = response.chunk().await {
            let Some(rest) = left.checked_sub(chunk.len()) else {
                break;
            };
            left = rest;
        }
    };
    // The outcome is known; whether the rest came in time does not matter.
    let _ = tokio::time::timeout(DRAIN_MAX, read).await;
}
