//! `POST /in/{source}`: hands the body to the intake as it arrives, and answers with a receipt.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use cloakroom_core::verify::{Headers, RequestHead};
use cloakroom_engine::intake::Refusal;
use cloakroom_engine::{Receipt, Status};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use metrics::counter;

use crate::app::App;
use crate::body::Arriving;
use crate::finish::ToTheEnd;
use crate::problem::Problem;
use crate::view::receipt_json;

/// Everything before the source's name.
const PREFIX: &str = "/in/";

/// The headers as verification sees them.
struct View<'a>(&'a HeaderMap);

impl Headers for View<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(HeaderValue::as_bytes)
    }
}

/// Whether the request is for here, so that it need not go through the router.
pub(crate) fn is_for<B>(request: &Request<B>) -> bool {
    request.method() == Method::POST
        && request
            .uri()
            .path()
            .strip_prefix(PREFIX)
            .is_some_and(|source| !source.contains('/'))
}

/// The handler.
pub(crate) async fn receive(State(app): State<App>, request: Request<Body>) -> Response {
    match take_in(&app, request).await {
        Ok(receipt) => answer(&receipt),
        Err(problem) => {
            counter!("cloakroom_http_refusals_total", "problem" => problem.kind().name())
                .increment(1);
            problem.into_response()
        }
    }
}

async fn take_in(app: &App, request: Request<Body>) -> Result<Receipt, Problem> {
    let (head, body) = request.into_parts();
    let source = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let mut body = Arriving::new(&head.headers, body, app.pace_of(source));
    let begun = {
        let path_and_query = head
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        let url = [app.public_url(), path_and_query].concat();
        let head = RequestHead {
            method: head.method.as_str(),
            url: &url,
            headers: &View(&head.headers),
        };
        app.engine().intake(source, &head)
    };
    let mut intake = match begun {
        Ok(intake) if body.promised() <= intake.max_payload() => intake,
        Ok(intake) => {
            body.discard(app.draining());
            let max = intake.max_payload();
            return Err(Refusal::TooLarge { max }.into());
        }
        Err(refusal) => {
            body.discard(app.draining());
            return Err(refusal.into());
        }
    };
    while let Some(chunk) = body.next().await? {
        if let Err(refusal) = intake.write(chunk).await {
            body.discard(app.draining());
            return Err(refusal.into());
        }
    }
    Ok(ToTheEnd::new(intake.finish(), app.tasks()).await?)
}

fn answer(receipt: &Receipt) -> Response {
    let mut response = Response::new(Body::from(receipt_json(receipt)));
    *response.status_mut() = match receipt.status {
        Status::Accepted | Status::Quarantined => StatusCode::ACCEPTED,
        Status::Duplicate => StatusCode::OK,
    };
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
