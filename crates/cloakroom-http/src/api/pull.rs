//! `/v1/subscriptions/{name}/events`: ordered pull with acknowledgement. Whoever accepts `text/event-stream` tails.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use cloakroom_core::id::{EventId, SubscriptionName};
use cloakroom_core::units::DurationText;
use cloakroom_engine::pull::Batch;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde::{Deserialize, Serialize};

use super::tail;
use crate::app::App;
use crate::extract::{At, Input, Params, cut};
use crate::problem::Problem;

/// The longest wait for a first event.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PullParams {
    wait: Option<String>,
    max: Option<usize>,
}

pub(super) async fn events(
    State(app): State<App>,
    At(name): At<String>,
    Params(params): Params<PullParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = SubscriptionName::from(name);
    if accepts_event_stream(&headers) {
        return tail::events(&app, &name, &headers).await;
    }
    let max = cut(params.max)?;
    let wait = params.wait.as_deref().map(wait).transpose()?;
    let empty = Batch {
        events: Vec::new(),
        lease: None,
    };
    let batch = tokio::select! {
        biased;
        batch = app.engine().pull(&name, max, wait.unwrap_or_default()) => batch?,
        () = app.draining().cancelled() => empty,
    };
    let json = [(CONTENT_TYPE, "application/json")];
    Ok((json, batch_json(&batch)).into_response())
}

fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/event-stream"))
}

fn wait(text: &str) -> Result<Duration, Problem> {
    let wait: DurationText = text.parse().map_err(|_| {
        Problem::invalid(format!("`wait` is {text:?}: write a duration such as 20s"))
    })?;
    Ok(wait.get().min(WAIT_MAX))
}

/// Written by hand, so that no byte of a payload is touched.
fn batch_json(batch: &Batch) -> Vec<u8> {
    let mut json = b"{\"events\":[".to_vec();
    for (index, outgoing) in batch.events.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        outgoing.cloud_event().write_structured(&mut json);
    }
    json.extend_from_slice(b"],\"lease\":");
    serde_json::to_writer(&mut json, &batch.lease).expect("a lease is plain text");
    json.push(b'}');
    json
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acknowledgement {
    ids: Vec<EventId>,
}

#[derive(Serialize)]
pub(super) struct Acknowledged {
    /// How many were not settled before.
    acknowledged: usize,
}

pub(super) async fn acknowledge(
    State(app): State<App>,
    At(name): At<String>,
    Input(input): Input<Acknowledgement>,
) -> Result<Json<Acknowledged>, Problem> {
    let acknowledged = app.engine().acknowledge(&name.into(), &input.ids).await?;
    Ok(Json(Acknowledged { acknowledged }))
}
