//! `/v1/streams`: heads, gaps, cursors, and what was released.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use cloakroom_core::cloudevent::{BATCH_CONTENT_TYPE, CloudEvent};
use cloakroom_core::position::Position;
use cloakroom_engine::inspect::Attention;
use cloakroom_engine::ports::Outgoing;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::extract::{At, Paging, Params, cut, stream_at};
use crate::problem::Problem;
use crate::view::{List, StreamView};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    attention: Option<AttentionParam>,
    limit: Option<usize>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum AttentionParam {
    Stalled,
    Parked,
}

pub(super) async fn list(
    State(app): State<App>,
    Params(params): Params<ListParams>,
) -> Result<Json<List<StreamView>>, Problem> {
    let paging = Paging::new(params.limit, params.cursor.as_deref())?;
    let attention = params.attention.map(|attention| match attention {
        AttentionParam::Stalled => Attention::Stalled,
        AttentionParam::Parked => Attention::Parked,
    });
    let listing = app
        .engine()
        .streams(attention, paging.cursor.as_deref(), paging.limit)
        .await?;
    Ok(List::of(listing, StreamView::from))
}

pub(super) async fn show(
    State(app): State<App>,
    At((source, key)): At<(String, String)>,
) -> Result<Json<StreamView>, Problem> {
    let stream = stream_at(source, key)?;
    let status = app.engine().stream(&stream).await?;
    let status =
        status.ok_or_else(|| Problem::not_found(format!("there is no stream {stream}")))?;
    Ok(Json(status.into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleasedParams {
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn released(
    State(app): State<App>,
    At((source, key)): At<(String, String)>,
    Params(params): Params<ReleasedParams>,
) -> Result<Response, Problem> {
    let stream = stream_at(source, key)?;
    let after = params.after.as_deref().map(position).transpose()?;
    let limit = cut(params.limit)?;
    let events = app
        .engine()
        .released(&stream, after.as_ref(), limit)
        .await?;
    let events =
        events.ok_or_else(|| Problem::not_found(format!("there is no stream {stream}")))?;
    let batch = CloudEvent::batch(events.iter().map(Outgoing::cloud_event));
    Ok(([(CONTENT_TYPE, BATCH_CONTENT_TYPE)], batch).into_response())
}

#[derive(Serialize)]
pub(super) struct Skipped {
    stream: String,
    from: u64,
    to: u64,
}

pub(super) async fn skip_gap(
    State(app): State<App>,
    At((source, key)): At<(String, String)>,
) -> Result<Json<Skipped>, Problem> {
    let stream = stream_at(source, key)?;
    let (from, to) = app.engine().skip_gap(&stream).await?;
    let stream = stream.to_string();
    Ok(Json(Skipped { stream, from, to }))
}

/// A position as a user wrote it: one that was given out, or a bare number.
pub(super) fn position(text: &str) -> Result<Position, Problem> {
    Position::expand(text).ok_or_else(|| {
        Problem::invalid(format!(
            "{text:?} is no position: use one from a receipt or an event's `sequence`"
        ))
    })
}
