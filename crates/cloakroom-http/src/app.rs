//! The application: what every handler shares, and the table of routes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cloakroom_core::secret::Secret;
use cloakroom_engine::Engine;
use cloakroom_engine::ports::Uploads;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{self, Token};
use crate::body::Pace;
use crate::claims::ClaimUrls;
use crate::problem::{self, Kind, Problem};
use crate::{api, claims, ingest, uploads};

/// The longest body of a request to the API, in bytes. An acknowledgement of a thousand of the longest ids fits.
pub(crate) const API_BODY_MAX: usize = 2 << 20;

/// What the server is told besides its engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address under which providers and consumers reach the server, e.g. `https://hooks.example`.
    pub public_url: String,
    /// What `/v1/*` asks for; without one everybody may do everything.
    pub admin_token: Option<Secret>,
    /// How long a request's headers may take, and how long a connection may wait for its next request.
    pub header_timeout: Duration,
    /// How long a body may stay silent.
    pub read_timeout: Duration,
    /// How long a whole body may take.
    pub body_timeout: Duration,
    /// The most connections at a time; whoever comes on top of them is answered 503 and cut off.
    pub max_connections: usize,
    /// How long requests under way may take once the server is told to stop.
    pub drain_timeout: Duration,
}

/// The application. Cheap to clone.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
    paces: Arc<BTreeMap<String, Pace>>,
    uploads: Option<Arc<dyn Uploads>>,
}

struct Shared {
    engine: Engine,
    claim_urls: ClaimUrls,
    options: Options,
    token: Option<Token>,
    metrics: Option<PrometheusHandle>,
    /// Told when the server stops: whoever only waits for something to happen is answered at once.
    draining: CancellationToken,
    /// What is carried on after its sender hung up.
    tasks: TaskTracker,
}

impl App {
    /// Puts the application together. `claim_urls` must be the ones the engine makes its links with; without `metrics`
    /// there is no `/metrics`.
    pub fn new(
        engine: Engine,
        claim_urls: ClaimUrls,
        mut options: Options,
        metrics: Option<PrometheusHandle>,
    ) -> Self {
        let url = options.public_url.trim_end_matches('/').len();
        options.public_url.truncate(url);
        let token = options.admin_token.take().map(|token| Token::new(&token));
        Self {
            shared: Arc::new(Shared {
                engine,
                claim_urls,
                options,
                token,
                metrics,
                draining: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
            paces: Arc::default(),
            uploads: None,
        }
    }

    /// Offers places in this store for the bodies of webhooks. Something must take in what is uploaded to them. Without
    /// it, providers are told to send the body here.
    #[must_use]
    pub fn with_uploads(mut self, uploads: Arc<dyn Uploads>) -> Self {
        self.uploads = Some(uploads);
        self
    }

    /// Gives the bodies of one source their own `read_timeout` and `body_timeout`.
    #[must_use]
    pub fn with_source_timeouts(mut self, source: &str, read: Duration, body: Duration) -> Self {
        let pace = Pace {
            idle: read,
            whole: body,
        };
        Arc::make_mut(&mut self.paces).insert(source.to_owned(), pace);
        self
    }

    /// Every route, as a service for any server. [`serve`](crate::serve) adds what belongs to connections: timeouts for
    /// headers, and draining.
    pub fn router(&self) -> Router {
        let guard = axum::middleware::from_fn_with_state(self.clone(), auth::guard);
        let guarded = api::routes().route_layer(guard);
        Router::new()
            .route("/in/{source}", post(ingest::receive))
            .route("/in/{source}/uploads", post(uploads::offer))
            .route("/v1/claims/{id}", get(claims::fetch))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route("/problems/{name}", get(explain))
            .merge(guarded)
            .fallback(nothing_here)
            .method_not_allowed_fallback(wrong_method)
            .with_state(self.clone())
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub(crate) fn uploads(&self) -> Option<&Arc<dyn Uploads>> {
        self.uploads.as_ref()
    }

    pub(crate) fn claim_urls(&self) -> &ClaimUrls {
        &self.shared.claim_urls
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(crate) fn public_url(&self) -> &str {
        &self.shared.options.public_url
    }

    pub(crate) fn token(&self) -> Option<&Token> {
        self.shared.token.as_ref()
    }

    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.shared.draining
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.shared.tasks
    }

    /// How long bodies of API requests may take.
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            idle: self.shared.options.read_timeout,
            whole: self.shared.options.body_timeout,
        }
    }

    /// How long bodies of this source may take.
    pub(crate) fn pace_of(&self, source: &str) -> Pace {
        self.paces
            .get(source)
            .copied()
            .unwrap_or_else(|| self.pace())
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    if app.draining().is_cancelled() {
        return Err(Problem::new(Kind::Unavailable, "the server is stopping"));
    }
    app.engine().check().await?;
    Ok("ready\n")
}

async fn metrics(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    auth::check_host(&app, &request)?;
    let Some(metrics) = &app.shared.metrics else {
        return Err(Problem::not_found("this server keeps no metrics"));
    };
    let text = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((text, metrics.render()).into_response())
}

async fn explain(Path(name): Path<String>) -> Result<String, Problem> {
    problem::explanation(&name).ok_or_else(|| Problem::not_found("there is no such problem"))
}

/// Below `/v1/` nobody learns without the token what is there and what is not.
async fn nothing_here(State(app): State<App>, request: Request) -> Problem {
    if request.uri().path().starts_with("/v1/")
        && let Err(problem) = auth::check(&app, &request)
    {
        return problem;
    }
    Problem::not_found(format!("there is nothing at {}", request.uri().path()))
}

async fn wrong_method(request: Request) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!(
            "{} does not take {}",
            request.uri().path(),
            request.method()
        ),
    )
}
