//! `/v1/subscriptions`: who listens, and what operators do about it.

use axum::Json;
use axum::extract::State;
use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::time::Timestamp;
use cloakroom_engine::operate::ReplayFrom;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::streams::position;
use crate::app::App;
use crate::extract::{At, Input, scalar, stream_at};
use crate::problem::{Kind, Problem};
use crate::view::{List, SubscriptionView};

pub(super) async fn list(State(app): State<App>) -> Json<List<SubscriptionView>> {
    let subscriptions = app.engine().catalog().subscriptions();
    List::whole(
        subscriptions
            .map(|subscription| SubscriptionView::new(&app, subscription))
            .collect(),
    )
}

pub(super) async fn show(
    State(app): State<App>,
    At(name): At<String>,
) -> Result<Json<SubscriptionView>, Problem> {
    view(&app, &name.into())
}

pub(super) async fn enable(
    State(app): State<App>,
    At(name): At<String>,
) -> Result<Json<SubscriptionView>, Problem> {
    let name = SubscriptionName::from(name);
    app.engine().enable(&name).await?;
    if app
        .engine()
        .catalog()
        .subscription(&name)
        .is_some_and(|subscription| !subscription.enabled)
    {
        let text = format!(
            "subscription {name} is switched off in the configuration: say `enabled: true` there"
        );
        return Err(Problem::new(Kind::NotPossible, text));
    }
    view(&app, &name)
}

fn view(app: &App, name: &SubscriptionName) -> Result<Json<SubscriptionView>, Problem> {
    match app.engine().catalog().subscription(name) {
        Some(subscription) => Ok(Json(SubscriptionView::new(app, subscription))),
        None => Err(Problem::not_found(format!(
            "there is no subscription {name}"
        ))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayInput {
    stream: Option<String>,
    from: Box<RawValue>,
}

#[derive(Serialize)]
pub(super) struct Replayed {
    /// How many streams will be sent again from an earlier position.
    streams: usize,
}

pub(super) async fn replay(
    State(app): State<App>,
    At(name): At<String>,
    Input(input): Input<ReplayInput>,
) -> Result<Json<Replayed>, Problem> {
    let stream = input.stream.as_deref().map(|text| {
        StreamId::parse(text).ok_or_else(|| {
            Problem::invalid(format!(
                "{text:?} is no stream: write `source/key`, the key percent-encoded"
            ))
        })
    });
    let stream = stream.transpose()?;
    let from = scalar("from", &input.from)?;
    let from = match Timestamp::parse_rfc3339(&from) {
        _ if from == "earliest" => ReplayFrom::Earliest,
        Some(time) => ReplayFrom::Time(time),
        None => ReplayFrom::Position(position(&from).map_err(|_| {
            Problem::invalid(format!(
                "`from` is {from:?}: write `earliest`, a time such as 2026-11-22T10:00:00Z, or a position"
            ))
        })?),
    };
    let streams = app
        .engine()
        .replay(&name.into(), stream.as_ref(), &from)
        .await?;
    Ok(Json(Replayed { streams }))
}

#[derive(Serialize)]
pub(super) struct Retried {
    subscription: String,
    stream: String,
}

pub(super) async fn retry(
    State(app): State<App>,
    At((name, source, key)): At<(String, String, String)>,
) -> Result<Json<Retried>, Problem> {
    let (name, stream) = (SubscriptionName::from(name), stream_at(source, key)?);
    app.engine().retry(&name, &stream).await?;
    Ok(Json(Retried {
        subscription: name.to_string(),
        stream: stream.to_string(),
    }))
}

#[derive(Serialize)]
pub(super) struct Skipped {
    subscription: String,
    stream: String,
    /// The id of the event that was passed over.
    skipped: String,
}

pub(super) async fn skip(
    State(app): State<App>,
    At((name, source, key)): At<(String, String, String)>,
) -> Result<Json<Skipped>, Problem> {
    let (name, stream) = (SubscriptionName::from(name), stream_at(source, key)?);
    let skipped = app.engine().skip(&name, &stream).await?;
    Ok(Json(Skipped {
        subscription: name.to_string(),
        stream: stream.to_string(),
        skipped: skipped.to_string(),
    }))
}
