//! `/v1/quarantine`: webhooks that could not be placed.

use axum::Json;
use axum::extract::State;
use cloakroom_core::id::{EventId, Key};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::app::App;
use crate::extract::{At, Input, Paging, Params, scalar, stream_at};
use crate::problem::Problem;
use crate::view::{List, QuarantinedView};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    source: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    Params(params): Params<ListParams>,
) -> Result<Json<List<QuarantinedView>>, Problem> {
    let paging = Paging::new(params.limit, params.cursor.as_deref())?;
    let source = params.source.map(Into::into);
    let listing = app
        .engine()
        .quarantined(source, paging.cursor.as_deref(), paging.limit)
        .await?;
    Ok(List::of(listing, |record| {
        QuarantinedView::new(&app, record)
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseInput {
    key: Option<Box<RawValue>>,
    sequence: Option<Box<RawValue>>,
}

#[derive(Serialize)]
pub(super) struct Released {
    id: String,
    stream: String,
    position: String,
}

pub(super) async fn release(
    State(app): State<App>,
    At(id): At<String>,
    Input(input): Input<ReleaseInput>,
) -> Result<Json<Released>, Problem> {
    let id = EventId::from(id);
    let key = input.key.map(|key| scalar("key", &key)).transpose()?;
    let key = key.map(|key| stream_at(String::new(), key).map(|stream| stream.key));
    let key: Option<Key> = key.transpose()?;
    let sequence = input.sequence.map(|sequence| scalar("sequence", &sequence));
    let sequence = sequence.transpose()?;
    let (stream, position) = app.engine().release(&id, key, sequence).await?;
    Ok(Json(Released {
        id: id.to_string(),
        stream: stream.to_string(),
        position: position.to_string(),
    }))
}

#[derive(Serialize)]
pub(super) struct Discarded {
    id: String,
}

pub(super) async fn discard(
    State(app): State<App>,
    At(id): At<String>,
) -> Result<Json<Discarded>, Problem> {
    let id = EventId::from(id);
    app.engine().discard(&id).await?;
    Ok(Json(Discarded { id: id.to_string() }))
}
