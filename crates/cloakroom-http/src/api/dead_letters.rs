//! `/v1/dead-letters`: what subscriptions gave up on.

use axum::Json;
use axum::extract::State;
use cloakroom_core::id::{EventId, SubscriptionName};
use cloakroom_engine::operate::OperateError;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::extract::{At, LIMIT_MAX, Paging, Params};
use crate::problem::Problem;
use crate::view::{DeadLetterView, List};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    subscription: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    Params(params): Params<ListParams>,
) -> Result<Json<List<DeadLetterView>>, Problem> {
    let paging = Paging::new(params.limit, params.cursor.as_deref())?;
    let subscription = params.subscription.map(Into::into);
    let listing = app
        .engine()
        .dead_letters(subscription, paging.cursor.as_deref(), paging.limit)
        .await?;
    Ok(List::of(listing, DeadLetterView::from))
}

#[derive(Serialize)]
pub(super) struct Redriven {
    /// How many events will be sent once more.
    redriven: usize,
}

pub(super) async fn redrive(
    State(app): State<App>,
    At((name, id)): At<(String, String)>,
) -> Result<Json<Redriven>, Problem> {
    let (name, id) = (SubscriptionName::from(name), EventId::from(id));
    let status = app.engine().event(&id).await?;
    let event = status.and_then(|status| status.event);
    let event = event.ok_or_else(|| Problem::not_found(format!("there is no event {id}")))?;
    app.engine()
        .redrive(&name, &event.stream, &event.position)
        .await?;
    Ok(Json(Redriven { redriven: 1 }))
}

/// What was given up before the call; what fails again meanwhile is left for another one.
pub(super) async fn redrive_all(
    State(app): State<App>,
    At(name): At<String>,
) -> Result<Json<Redriven>, Problem> {
    let name = SubscriptionName::from(name);
    if app.engine().catalog().subscription(&name).is_none() {
        return Err(Problem::not_found(format!(
            "there is no subscription {name}"
        )));
    }
    let begun = app.engine().now();
    let (mut redriven, mut cursor) = (0, None);
    loop {
        let page = app
            .engine()
            .dead_letters(Some(name.clone()), cursor.as_deref(), LIMIT_MAX)
            .await?;
        for letter in page.items.iter().filter(|letter| letter.since <= begun) {
            let redrive = app
                .engine()
                .redrive(&name, &letter.stream, &letter.position);
            match redrive.await {
                Ok(()) => redriven += 1,
                // Somebody else was faster.
                Err(OperateError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Json(Redriven { redriven }));
        }
    }
}
