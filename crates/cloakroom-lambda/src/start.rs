//! Putting a function together.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use cloakroom_aws::{ClientError, ClientOptions, ConfigObject, DynamoLedger, S3Claims, S3Options};
use cloakroom_core::config::{self, Config, Diagnostics, Store};
use cloakroom_core::id::SubscriptionName;
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_core::text::Mistake;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::catalog::{BuildError, Catalog, Resolve};
use cloakroom_engine::intake::Budget;
use cloakroom_engine::ports::{ClaimStore, Clock, Entropy, Ledger, Sink, Uploads};
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_engine::{ClaimLinks, Parts, Settings, Stepper};
use cloakroom_http::{App, ClaimUrls, configured};
use serde_json::Value;

use crate::answer::HandlerError;
use crate::environment::{Environment, Role};
use crate::host::Host;
use crate::ingest::Ingest;
use crate::queue::{Queue, SqsQueue};
use crate::rings::Rings;
use crate::upload::Upload;
use crate::vault::Vault;

/// Whom the leases of deliveries belong to that the doorbell queue hands out one at a time.
pub const LEASE_OWNER: &str = "doorbells";

/// How long such a lease lasts after a cursor's last move: as long as another host that wants to deliver by itself must
/// wait. A stream that is quiet for longer costs a write more.
pub const LEASE: Duration = Duration::from_secs(60 * 60);

/// How long a `PUT` to an upload's URL may begin after it was offered.
pub const UPLOAD_TTL: Duration = Duration::from_secs(15 * 60);

/// Why a function does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be read.
    #[error(
        "cannot read the configuration {place}: {reason}; CLOAKROOM_CONFIG says where it is: a file of a layer, or `s3://bucket/key`"
    )]
    Missing {
        /// Where it should be.
        place: String,
        /// Why.
        reason: String,
    },
    /// It has mistakes.
    #[error("{place}: {mistakes}")]
    Mistakes {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        mistakes: Diagnostics,
    },
    /// It reads well but refers to what is not there.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Build(Vec<BuildError>),
    /// Something in it cannot be served by functions.
    #[error("{path}: {mistake}")]
    Unfit {
        /// The key.
        path: &'static str,
        /// What is wrong, and what to do.
        mistake: Mistake,
    },
    /// AWS cannot be reached.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The engine cannot be opened.
    #[error(transparent)]
    Engine(#[from] cloakroom_engine::StartError),
}

/// What a function keeps its records and payloads in, and what it is given by the machine.
pub struct Stores {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The claims.
    pub claims: Arc<dyn ClaimStore>,
    /// Makes the URLs of claims.
    pub links: Arc<dyn ClaimLinks>,
    /// What providers upload.
    pub uploads: Arc<dyn Uploads>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores").finish_non_exhaustive()
    }
}

/// Makes the sinks that need AWS; `None` for the others.
pub type AwsSinks<'a> = dyn Fn(&config::Sink) -> Result<Option<Arc<dyn Sink>>, Mistake> + 'a;

/// A function: one role over its host.
#[derive(Debug, Clone)]
pub enum Function {
    /// [`Role::Ingest`].
    Ingest(Ingest),
    /// [`Role::Upload`].
    Upload(Upload),
    /// Every other role.
    Step(Role, Host),
}

impl Function {
    /// A function over AWS, as the environment says.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(environment: &Environment) -> Result<Running, StartError> {
        let sdk = ClientOptions::default().load().await?;
        let config = load(&environment.config, &sdk).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let claims = S3Claims::new(
            aws_sdk_s3::Client::new(&sdk),
            S3Options::new(&environment.bucket),
            Arc::clone(&clock),
            Arc::clone(&entropy),
        );
        let stores = Stores {
            ledger: Arc::new(DynamoLedger::new(&sdk, &environment.table)),
            links: Arc::new(claims.links(config.claims.url_ttl.get(), None)),
            uploads: Arc::new(claims.uploads(UPLOAD_TTL)),
            claims: Arc::new(claims),
            clock,
            entropy,
        };
        let queue = |url: &String| -> Arc<dyn Queue> {
            let client = aws_sdk_sqs::Client::new(&sdk);
            Arc::new(SqsQueue::new(client, url))
        };
        let queues = environment.queues.as_ref();
        let queues = queues.map(|(doorbells, timers)| (queue(doorbells), queue(timers)));
        let vault = Vault::open(&sdk, &config, Arc::clone(&stores.clock)).await;
        let resolve = |reference: &SecretRef| vault.resolve(reference);
        let sinks = |sink: &_| cloakroom_aws::sinks::sink(&sdk, sink);
        let function =
            Self::assemble(environment.role, &config, stores, queues, &resolve, &sinks).await?;
        let running = Running { function, vault };
        if let Some(catalog) = running.function.verifying() {
            running.vault.rotate(catalog);
        }
        Ok(running)
    }

    /// A function over any stores and queues. A role that rings needs queues.
    ///
    /// # Errors
    /// When the configuration cannot be put to work, or the ledger fails.
    pub async fn assemble(
        role: Role,
        config: &Config,
        stores: Stores,
        queues: Option<(Arc<dyn Queue>, Arc<dyn Queue>)>,
        resolve: &Resolve<'_>,
        sinks: &AwsSinks<'_>,
    ) -> Result<Self, StartError> {
        let (clock, entropy) = (Arc::clone(&stores.clock), Arc::clone(&stores.entropy));
        let uploads = Arc::clone(&stores.uploads);
        let stepper = open(config, stores, resolve, sinks).await?;
        let rings = queues.map(|(doorbells, timers)| {
            Rings::new(doorbells, timers, Arc::clone(&clock), Arc::clone(&entropy))
        });
        if role == Role::Ingest {
            let app = |app: App| app.with_uploads(uploads);
            return ingest(config, stepper, rings, resolve, entropy.as_ref(), app)
                .map(Self::Ingest);
        }
        if role == Role::Upload {
            return Ok(Self::Upload(Upload::new(stepper, uploads)));
        }
        let rings = rings.expect("every role that rings has its queues");
        let host = Host {
            stepper,
            rings,
            clock,
        };
        Ok(Self::Step(role, host))
    }

    /// The catalog whose sources verify webhooks; `None` for a role that sees none.
    fn verifying(&self) -> Option<&Catalog> {
        match self {
            Self::Ingest(ingest) => Some(ingest.catalog()),
            Self::Upload(upload) => Some(upload.catalog()),
            Self::Step(..) => None,
        }
    }

    /// Handles one event; the invocation is ended at `ends`.
    ///
    /// # Errors
    /// When the whole invocation is to be tried again.
    pub async fn handle(
        &self,
        event: Value,
        ends: Option<Timestamp>,
    ) -> Result<Value, HandlerError> {
        let batch = match self {
            Self::Ingest(ingest) => return ingest.answer(event).await,
            Self::Upload(upload) => return upload.answer(event).await,
            Self::Step(Role::Sweep, host) => return crate::sweep::sweep(host, event, ends).await,
            Self::Step(Role::Dispatch, host) => crate::dispatch(host, event).await?,
            Self::Step(Role::Deliver, host) => crate::deliver(host, event, ends).await?,
            Self::Step(Role::Resequence | Role::Ingest | Role::Upload, host) => {
                crate::resequence(host, event, ends).await?
            }
        };
        Ok(serde_json::to_value(batch).expect("an answer is plain data"))
    }
}

/// A function over AWS.
#[derive(Debug)]
pub struct Running {
    function: Function,
    vault: Vault,
}

impl Running {
    /// Handles one event, with the secrets of now; see [`Function::handle`].
    ///
    /// # Errors
    /// When the whole invocation is to be tried again.
    pub async fn handle(
        &self,
        event: Value,
        ends: Option<Timestamp>,
    ) -> Result<Value, HandlerError> {
        if let Some(catalog) = self.function.verifying() {
            self.vault.refresh(catalog).await;
        }
        self.function.handle(event, ends).await
    }
}

/// Reads a configuration from a file, or from `s3://bucket/key`.
///
/// # Errors
/// When there is none, or every mistake in it.
pub async fn load(place: &str, sdk: &SdkConfig) -> Result<Config, StartError> {
    let text = match ConfigObject::parse(place) {
        Ok(Some(object)) => object.fetch(sdk).await.map_err(|e| e.to_string()),
        Ok(None) => std::fs::read_to_string(place).map_err(|error| configured::plain(&error)),
        Err(error) => Err(error.to_string()),
    };
    let text = text.map_err(|reason| StartError::Missing {
        place: place.to_owned(),
        reason,
    })?;
    Config::parse(&text).map_err(|mistakes| StartError::Mistakes {
        place: place.to_owned(),
        mistakes,
    })
}

/// Opens the engine of a function.
async fn open(
    config: &Config,
    stores: Stores,
    resolve: &Resolve<'_>,
    sinks: &AwsSinks<'_>,
) -> Result<Stepper, StartError> {
    let ledger_only_max = match config.claims.store() {
        Store::Always => 0,
        Store::Above(bytes) => bytes,
    };
    let inline_max = config.claims.inline_max.get();
    if ledger_only_max > inline_max {
        return Err(StartError::Unfit {
            path: "claims.store",
            mistake: Mistake::new(
                "payloads that only the ledger keeps must travel inside their events",
                "raise `claims.inline_max` to at least what `above` says",
            ),
        });
    }
    let in_flight = config.server.max_in_flight;
    let parts = Parts {
        catalog: catalog(config, resolve, sinks, &stores.clock)?,
        settings: Settings {
            inline_max,
            ledger_only_max,
            retention: config.claims.retention.get(),
        },
        budget: Budget::new(
            usize::try_from(in_flight.requests).unwrap_or(usize::MAX),
            in_flight.bytes.get(),
        ),
        ledger: stores.ledger,
        claims: stores.claims,
        clock: stores.clock,
        entropy: stores.entropy,
        links: stores.links,
    };
    Ok(Stepper::open(parts, LEASE_OWNER, LEASE).await?)
}

fn catalog(
    config: &Config,
    resolve: &Resolve<'_>,
    sinks: &AwsSinks<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<Catalog, StartError> {
    let make = |name: &SubscriptionName, subscription: &config::Subscription| {
        let path = format!("subscriptions.{name}.sink");
        if let config::Sink::Http(http) = &subscription.sink {
            let path = format!("{path}.http");
            let sink = configured::http_sink(config, http, &path, resolve, Arc::clone(clock))?;
            return Ok(Arc::new(sink) as Arc<dyn Sink>);
        }
        let wrong = |mistake| BuildError::Sink {
            path: path.clone(),
            mistake,
        };
        sinks(&subscription.sink).map_err(wrong)?.ok_or_else(|| {
            let text = format!("a function cannot send to `{}`", subscription.sink.name());
            wrong(Mistake::new(text, "use `http`, or a sink of AWS"))
        })
    };
    Catalog::build(config, resolve, make).map_err(StartError::Build)
}

fn ingest(
    config: &Config,
    stepper: Stepper,
    rings: Option<Rings>,
    resolve: &Resolve<'_>,
    entropy: &dyn Entropy,
    complete: impl FnOnce(App) -> App,
) -> Result<Ingest, StartError> {
    let token = configured::admin_token(config, resolve);
    let token = token.map_err(|error| StartError::Build(vec![error]))?;
    let public_url = config.server.public_url();
    // Claims are fetched from S3: nobody is given a URL of the server's own, so its key may change with every start.
    let key: Vec<u8> = (0..4).flat_map(|_| entropy.next().to_le_bytes()).collect();
    let claim_urls = ClaimUrls::new(&public_url, &Secret::new(key), config.claims.url_ttl.get());
    let has_token = token.is_some();
    let options = cloakroom_http::Options {
        admin_token: token,
        ..configured::options(config, public_url.clone())
    };
    let app = App::new(stepper.engine().clone(), claim_urls, options, None);
    let app = complete(configured::with_source_timeouts(app, config));
    Ok(Ingest::new(stepper, &app, rings, has_token, &public_url))
}
