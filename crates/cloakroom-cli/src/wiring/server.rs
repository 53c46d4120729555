//! A server: the stores, the engine and HTTP, put together, started, and stopped in order.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::SdkConfig;
use cloakroom_core::config::Config;
use cloakroom_core::secret::Secret;
use cloakroom_engine::catalog::{Catalog, Resolve};
use cloakroom_engine::ports::{Clock, Entropy as _};
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_engine::{Engine, Parts, StartError, StoreError};
use cloakroom_http::{App, ClaimUrls, Options, configured};
use cloakroom_local::{DataDir, LocalStore, OpenError};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

use super::ConfigError;
use super::aws::{self, AwsError, AwsOptions, Beside};
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
    behind: Behind,
    metrics: Option<PrometheusHandle>,
    clock: Arc<dyn Clock>,
}

/// What is closed after the engine.
enum Behind {
    Directory(LocalStore),
    Aws(Beside),
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
    /// AWS cannot be used.
    #[error(transparent)]
    Aws(#[from] AwsError),
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
            ServerError::DataDir(_) | ServerError::Aws(_) => Exit::Unusable,
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
        let catalog = catalog(config, resolve, &clock, None)?;
        let admin_token = configured::admin_token(config, resolve)
            .map_err(|error| ConfigError::Build(vec![error]))?;
        let public_url = public_url(config, address);
        let store = open(config, &clock).await?;
        let key = Secret::new(store.url_key.to_vec());
        let claim_urls = ClaimUrls::new(&public_url, &key, config.claims.url_ttl.get());
        let engine = Engine::start(Parts {
            catalog,
            settings: configured::settings(config),
            budget: configured::budget(config),
            ledger: Arc::clone(&store.ledger) as _,
            claims: Arc::clone(&store.claims) as _,
            clock: Arc::clone(&clock),
            entropy: Arc::new(SystemEntropy),
            links: Arc::new(claim_urls.clone()),
        })
        .await?;
        reclaim(&engine, &store).await?;
        let options = Options {
            admin_token,
            ..configured::options(config, public_url)
        };
        let metrics = metrics();
        let app = App::new(engine.clone(), claim_urls, options, metrics.clone());
        Ok(Self {
            listener,
            address,
            app: configured::with_source_timeouts(app, config),
            engine,
            behind: Behind::Directory(store),
            metrics,
            clock,
        })
    }

    /// The same over a table and a bucket on AWS, which are checked first.
    ///
    /// # Errors
    /// See [`ServerError`]. Nothing is written when the configuration is wrong.
    pub async fn start_on_aws(
        config: &Config,
        listener: TcpListener,
        options: &AwsOptions,
    ) -> Result<Self, ServerError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let address = listener.local_addr()?;
        let started = aws::start(config, options, &clock).await?;
        let public_url = public_url(config, address);
        // Claims are fetched from S3: nobody is given a URL of the server's own, so its key may change with every start.
        let claim_urls = ClaimUrls::new(&public_url, &random_key(), config.claims.url_ttl.get());
        let options = Options {
            admin_token: started.admin_token,
            ..configured::options(config, public_url)
        };
        let metrics = metrics();
        let mut app = App::new(started.engine.clone(), claim_urls, options, metrics.clone());
        if let Some(uploads) = started.uploads {
            app = app.with_uploads(uploads);
        }
        Ok(Self {
            listener,
            address,
            app: configured::with_source_timeouts(app, config),
            engine: started.engine,
            behind: Behind::Aws(started.beside),
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
        match self.behind {
            Behind::Directory(store) => tokio::task::spawn_blocking(move || store.close())
                .await
                .map_err(io::Error::other)??,
            Behind::Aws(beside) => beside.stop().await,
        }
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

pub(super) fn catalog(
    config: &Config,
    resolve: &Resolve<'_>,
    clock: &Arc<dyn Clock>,
    sdk: Option<&SdkConfig>,
) -> Result<Catalog, ConfigError> {
    let mut sinks = Sinks::new(config, resolve, Arc::clone(clock), sdk);
    Catalog::build(config, Some(resolve), |name, subscription| {
        sinks.make(name, subscription)
    })
    .map_err(ConfigError::Build)
}

fn public_url(config: &Config, address: SocketAddr) -> String {
    match &config.server.public_url {
        Some(_) => config.server.public_url(),
        // The port may have been chosen only now.
        None => format!("http://{}", reachable(address)),
    }
}

fn random_key() -> Secret {
    let parts = (0..4).flat_map(|_| SystemEntropy.next().to_le_bytes());
    Secret::new(parts.collect::<Vec<u8>>())
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
