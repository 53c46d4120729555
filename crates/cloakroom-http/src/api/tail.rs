//! Tailing by server-sent events: one CloudEvent per message.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cloakroom_core::id::{EventId, SubscriptionName};
use cloakroom_engine::StoreError;
use cloakroom_engine::ports::Outgoing;
use cloakroom_engine::tail::Tailed;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use tokio::time::timeout;

use crate::app::App;
use crate::problem::Problem;

/// How often something is said when nothing happens, so that nobody on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Keeps proxies that buffer answers from holding events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Starts to tail; the answer ends only with the server, or when the watcher has missed something.
pub(super) async fn events(
    app: &App,
    name: &SubscriptionName,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get(LAST_EVENT_ID);
    let last = last.and_then(|id| id.to_str().ok()).map(EventId::from);
    let tail = app.engine().tail(name, last.as_ref()).await?;
    let watching = Some((tail, app.clone()));
    let messages = stream::unfold(watching, async |watching| {
        let (mut tail, app) = watching?;
        let next = tokio::select! {
            biased;
            () = app.draining().cancelled() => Ok(Ok(Tailed::Closed)),
            next = timeout(HEARTBEAT, tail.next()) => next,
        };
        let (message, goes_on) = message(next.ok());
        Some((message, goes_on.then_some((tail, app))))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (ACCEL_BUFFERING, "no"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    Ok((headers, Body::from_stream(messages)).into_response())
}

/// What to write next, and whether anything comes after it. `None` is a heartbeat.
fn message(next: Option<Result<Tailed, StoreError>>) -> (Result<Bytes, StoreError>, bool) {
    let end = |comment: &'static str| (Ok(Bytes::from_static(comment.as_bytes())), false);
    match next {
        None => (Ok(Bytes::from_static(b": still here\n\n")), true),
        Some(Ok(Tailed::Event(outgoing))) => (Ok(event(*outgoing)), true),
        Some(Ok(Tailed::Missed)) => end(
            ": events were missed; connect again, with the last id you have seen as last-event-id\n\n",
        ),
        Some(Ok(Tailed::Closed)) => end(": the server is stopping\n\n"),
        Some(Err(error)) => {
            tracing::warn!(%error, "a tail ended");
            end(": the store failed; connect again\n\n")
        }
    }
}

/// One message. Lines of the payload become lines of data, which the receiver joins again as they were; but the format
/// cannot carry a carriage return, and so an event that has one goes without its payload, which `dataref` leads to.
fn event(mut outgoing: Outgoing) -> Bytes {
    if outgoing
        .inline
        .as_ref()
        .is_some_and(|inline| inline.contains(&b'\r'))
        && outgoing.dataref.is_some()
    {
        outgoing.inline = None;
    }
    let structured = outgoing.cloud_event().structured();
    let mut message = Vec::with_capacity(structured.len() + 128);
    message.extend_from_slice(b"id: ");
    message.extend_from_slice(outgoing.event.id.as_str().as_bytes());
    for line in structured.split(|byte| *byte == b'\n') {
        message.extend_from_slice(b"\ndata: ");
        message.extend_from_slice(line);
    }
    message.extend_from_slice(b"\n\n");
    message.into()
}
