//! HTTP requests that come as events: of an API Gateway HTTP API (payload 2.0), a function URL or a load balancer.
//!
//! Every request goes through the router of `cloakroom-http`, so it is answered as the server would answer it.

mod answer;
mod event;

use std::fmt;

use axum::Router;
use axum::body::Body;
use cloakroom_engine::Stepper;
use cloakroom_engine::catalog::Catalog;
use cloakroom_http::App;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use lambda_runtime::Service as _;
use serde_json::Value;

use crate::answer::HandlerError;
use crate::rings::Rings;

/// The API, which is there only for those who can show a token.
const API: &str = "/v1/";

/// The handler of requests. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    stepper: Stepper,
    router: Router,
    rings: Option<Rings>,
    has_token: bool,
    /// The path of the public address, without a slash at its end.
    base: String,
}

impl Ingest {
    /// Serves `app`, which must be over the engine of `stepper`. `rings` is for what operators ask for; `has_token` tells
    /// whether the API asks for a token: without one there is no API here. `public_url` is the app's.
    pub fn new(
        stepper: Stepper,
        app: &App,
        rings: Option<Rings>,
        has_token: bool,
        public_url: &str,
    ) -> Self {
        let path = public_url
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        Self {
            stepper,
            router: app.router(),
            rings,
            has_token,
            base: path.unwrap_or_default().trim_end_matches('/').to_owned(),
        }
    }

    /// What it serves.
    pub fn catalog(&self) -> &Catalog {
        self.stepper.engine().catalog()
    }

    /// Answers one request, in the form of the event it came in.
    ///
    /// # Errors
    /// When the event is no request.
    pub async fn answer(&self, event: Value) -> Result<Value, HandlerError> {
        let (request, form) = event::read(event, &self.base)?;
        let request = match request {
            Ok(request) => request,
            Err(refusal) => return Ok(answer::plain(form, StatusCode::BAD_REQUEST, refusal)),
        };
        if request.uri().path().starts_with(API) && !self.has_token {
            let text = "there is no API here: set `server.admin_token` to have one\n";
            return Ok(answer::plain(form, StatusCode::NOT_FOUND, text));
        }
        let response = self.call(request).await;
        self.ring().await;
        let (head, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                tracing::error!(%error, "an answer broke off");
                let text = "the answer broke off: try again\n";
                return Ok(answer::plain(form, StatusCode::SERVICE_UNAVAILABLE, text));
            }
        };
        Ok(answer::write(form, &head, &body))
    }

    async fn call(&self, request: Request<Body>) -> axum::response::Response {
        let mut router = self.router.clone();
        match router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Passes on what operators asked for.
    async fn ring(&self) {
        let bells = self.stepper.rung();
        if bells.is_empty() {
            return;
        }
        let Some(rings) = &self.rings else {
            tracing::warn!("what was asked for waits for the next sweep: no queues are configured");
            return;
        };
        if let Err(error) = rings.pass_all_on(bells).await {
            tracing::error!(%error, "a doorbell was not rung: what was asked for waits for the next sweep");
        }
    }
}

/// The request in an event.
#[cfg(test)]
pub(crate) fn request_of(event: Value) -> Option<Request<Body>> {
    event::read(event, "").ok()?.0.ok()
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").finish_non_exhaustive()
    }
}
