//! `/v1/events`: what became of an event.

use axum::Json;
use axum::extract::State;
use cloakroom_core::id::EventId;

use crate::app::App;
use crate::extract::At;
use crate::problem::Problem;
use crate::view::EventView;

pub(super) async fn show(
    State(app): State<App>,
    At(id): At<String>,
) -> Result<Json<EventView>, Problem> {
    let id = EventId::from(id);
    let status = app.engine().event(&id).await?;
    let view = status.and_then(|status| EventView::new(&app, status));
    view.map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no event {id}")))
}
