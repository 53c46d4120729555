//! The API below `/v1`, claims apart: one file per kind of thing.

mod dead_letters;
mod events;
mod pull;
mod quarantine;
mod streams;
mod subscriptions;
mod tail;

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;

/// Every route of the API.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/events/{id}", get(events::show))
        .route("/v1/streams", get(streams::list))
        .route("/v1/streams/{source}/{key}", get(streams::show))
        .route("/v1/streams/{source}/{key}/events", get(streams::released))
        .route(
            "/v1/streams/{source}/{key}/skip-gap",
            post(streams::skip_gap),
        )
        .route("/v1/subscriptions", get(subscriptions::list))
        .route("/v1/subscriptions/{name}", get(subscriptions::show))
        .route("/v1/subscriptions/{name}/events", get(pull::events))
        .route(
            "/v1/subscriptions/{name}/events/ack",
            post(pull::acknowledge),
        )
        .route("/v1/subscriptions/{name}/ack", post(pull::acknowledge))
        .route(
            "/v1/subscriptions/{name}/enable",
            post(subscriptions::enable),
        )
        .route(
            "/v1/subscriptions/{name}/replay",
            post(subscriptions::replay),
        )
        .route(
            "/v1/subscriptions/{name}/streams/{source}/{key}/retry",
            post(subscriptions::retry),
        )
        .route(
            "/v1/subscriptions/{name}/streams/{source}/{key}/skip",
            post(subscriptions::skip),
        )
        .route("/v1/quarantine", get(quarantine::list))
        .route("/v1/quarantine/{id}/release", post(quarantine::release))
        .route("/v1/quarantine/{id}/discard", post(quarantine::discard))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route(
            "/v1/dead-letters/{subscription}/redrive",
            post(dead_letters::redrive_all),
        )
        .route(
            "/v1/dead-letters/{subscription}/{id}/redrive",
            post(dead_letters::redrive),
        )
}
