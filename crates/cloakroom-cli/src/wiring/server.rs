//! A server: the stores, the engine and HTTP, put together, started, and stopped in order.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cloakroom_core::config::{Config, Store};
use cloakroom_core::secret::Secret;
use cloakroom_engine::catalog::{Catalog, Resolve};
use cloakroom_engine::intake::Budget;
use cloakroom_engine::ports::Clock;
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_engine::{Engine, Parts, Settings, StartError, StoreError};
use cloakroom_http::{App, ClaimUrls, Options, configured};
use cloakroom_local::{DataDir, LocalStore, OpenError};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

use super::ConfigError;
use super::sinks::Sinks;
use crate::exit::{Exit, Failure};

/// How often the metrics' histograms are tidied.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// A server that has started its engine and is about to serve.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: App,
    engine: Engine,
    store: LocalStore,
    metrics: Option<PrometheusHandle>,
    clock: Arc<dyn Clock>,
}

/// Why a server did not start or did not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration refers to what is not there.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] OpenError),
    /// The configuration does not fit what is stored.
    #[error(transparent)]
    Start(#[from] StartError),
    /// What a crash left behind could not be removed.
    #[error("cannot look for what the last run left behind: {0}")]
    Reclaim(#[from] StoreError),
    /// The listener failed.
    #[error("cannot serve: {0}")]
    Serve(#[from] io::Error),
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let exit = match &error {
            ServerError::Config(config) => {
                return Self {
                    exit: Exit::Config,
                    problems: config.problems(),
                };
            }
            ServerError::DataDir(_) => Exit::Unusable,
            ServerError::Start(
                StartError::OrderingChanged { .. } | StartError::GenerationBack { .. },
            ) => Exit::Config,
            ServerError::Start(StartError::Ledger(_))
            | ServerError::Reclaim(_)
            | ServerError::Serve(_) => Exit::Failure,
        };
        Self::from_text(exit, &error.to_string())
    }
}

impl Server {
    /// Opens the data directory, resolves secrets, makes the sinks, starts the engine, and removes what a crash left
    /// behind. Serves nothing yet. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// See [`ServerError`]. The data directory is not touched when the configuration is wrong.
    pub async fn start(
        config: &Config,
        listener: TcpListener,
        resolve: &Resolve<'_>,
    ) -> Result<Self, ServerError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let address = listener.local_addr()?;
        let catalog = catalog(config, resolve, &clock)?;
        let admin_token = configured::admin_token(config, resolve)
            .map_err(|error| ConfigError::Build(vec![error]))?;
        let public_url = match &config.server.public_url {
            Some(_) => config.server.public_url(),
            // The port may have been chosen only now.
            None => format!("http://{}", reachable(address)),
        };
        let store = open(config, &clock).await?;
        let key = Secret::new(store.url_key.to_vec());
        let claim_urls = ClaimUrls::new(&public_url, &key, config.claims.url_ttl.get());
        let ledger_only_max = match config.claims.store() {
            Store::Always => 0,
            Store::Above(bytes) => bytes,
        };
        let in_flight = config.server.max_in_flight;
        let engine = Engine::start(Parts {
            catalog,
            settings: Settings {
                inline_max: config.claims.inline_max.get(),
                ledger_only_max,
                retention: config.claims.retention.get(),
            },
            budget: Budget::new(
                usize::try_from(in_flight.requests).unwrap_or(usize::MAX),
                in_flight.bytes.get(),
            ),
            ledger: Arc::clone(&store.ledger) as _,
            claims: Arc::clone(&store.claims) as _,
            clock: Arc::clone(&clock),
            entropy: Arc::new(SystemEntropy),
            links: Arc::new(claim_urls.clone()),
        })
        .await?;
        reclaim(&engine, &store).await?;
        let metrics = metrics();
        let options = Options {
            admin_token,
            ..configured::options(config, public_url)
        };
        let app = configured::with_source_timeouts(
            App::new(engine.clone(), claim_urls, options, metrics.clone()),
            config,
        );
        Ok(Self {
            listener,
            address,
            app,
            engine,
            store,
            metrics,
            clock,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The engine, for whoever wants to look inside.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Serves until `shutdown`; then answers what is under way, stops the engine and closes the stores.
    ///
    /// # Errors
    /// When the listener fails, or the data directory cannot be closed in order (which loses nothing).
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let upkeep = async {
            loop {
                self.clock
                    .sleep_until(self.clock.now().after(UPKEEP_EVERY))
                    .await;
                if let Some(metrics) = &self.metrics {
                    metrics.run_upkeep();
                }
            }
        };
        let served = tokio::select! {
            served = cloakroom_http::serve(self.listener, self.app, shutdown) => served,
            () = upkeep => unreachable!("upkeep never ends"),
        };
        self.engine.stop().await;
        drop(self.engine);
        let store = self.store;
        tokio::task::spawn_blocking(move || store.close())
            .await
            .map_err(io::Error::other)??;
        Ok(served?)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn catalog(
    config: &Config,
    resolve: &Resolve<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<Catalog, ConfigError> {
    let mut sinks = Sinks::new(config, resolve, Arc::clone(clock));
    Catalog::build(config, resolve, |name, subscription| {
        sinks.make(name, subscription)
    })
    .map_err(ConfigError::Build)
}

/// Opening reads files and may complete what a crash interrupted.
async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<LocalStore, ServerError> {
    let path = config.server.data_dir.clone();
    let options = cloakroom_local::Options::at(clock.now());
    let opened = tokio::task::spawn_blocking(move || DataDir::open(path, &options)).await;
    Ok(opened.map_err(io::Error::other)??)
}

/// Removes payloads whose webhook was never acknowledged because the last run ended in between.
async fn reclaim(engine: &Engine, store: &LocalStore) -> Result<(), ServerError> {
    let last = store.last_run;
    if let (false, Some(started)) = (last.ended_cleanly, last.started) {
        let reclaimed = engine.reclaim_since(started).await?;
        tracing::info!(
            removed = reclaimed.removed,
            bytes = reclaimed.bytes,
            "the last run did not end in order; removed what it left behind"
        );
        store.reclaimed()?;
    }
    Ok(())
}

/// The one recorder of this process; `None` when another was installed.
fn metrics() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| PrometheusBuilder::new().install_recorder().ok())
        .clone()
}

/// An address to connect to in place of one that stands for all.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback: std::net::IpAddr = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(loopback, address.port())
}
