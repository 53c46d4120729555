//! Putting a function together.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use cloakroom_aws::{ClientError, ClientOptions, ConfigObject, DynamoLedger, S3Claims, S3Options};
use cloakroom_core::config::{self, Config, Diagnostics};
use cloakroom_core::id::SubscriptionName;
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_core::text::Mistake;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::catalog::{BuildError, Catalog, Resolve};
use cloakroom_engine::ports::{ClaimStore, Clock, Elsewhere, Entropy, Ledger, Sink, Uploads};
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_engine::{ClaimLinks, Parts, Stepper};
use cloakroom_http::{App, ClaimUrls, configured};
use serde_json::Value;

use crate::answer::HandlerError;
use crate::environment::Environment;
use crate::host::{Host, Tell, to_stdout};
use crate::ingest::Ingest;
use crate::queue::{Queue, SqsQueue};
use crate::rings::{Queues, Rings};
use crate::role::{Role, Variable};
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
        path: String,
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
    /// The ledger's table: what metrics are told apart by.
    pub table: String,
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
    /// Where metrics go, a line at a time.
    pub tell: Arc<Tell>,
}

impl Stores {
    /// A table, and a bucket.
    fn on_aws(
        sdk: &SdkConfig,
        table: &str,
        bucket: &str,
        config: &Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let claims = S3Claims::new(
            aws_sdk_s3::Client::new(sdk),
            S3Options::new(bucket),
            Arc::clone(&clock),
            Arc::clone(&entropy),
        );
        Self {
            table: table.to_owned(),
            tell: Arc::new(to_stdout),
            ledger: Arc::new(DynamoLedger::new(sdk, table)),
            links: Arc::new(claims.links(config.claims.url_ttl.get(), None)),
            uploads: Arc::new(claims.uploads(UPLOAD_TTL)),
            claims: Arc::new(claims),
            clock,
            entropy,
        }
    }
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
    /// [`Role::Dispatch`].
    Dispatch(Arc<Catalog>, Rings),
    /// Every other role.
    Step(Role, Host),
}

impl Function {
    /// A function over AWS, as the environment says.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(environment: &Environment) -> Result<Running, StartError> {
        let (role, sdk) = (environment.role, ClientOptions::default().load().await?);
        let config = load(environment.config(), &sdk).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let queue = |variable| -> Option<Arc<dyn Queue>> {
            let url = environment.get(variable)?;
            let client = aws_sdk_sqs::Client::new(&sdk);
            Some(Arc::new(SqsQueue::new(client, url)))
        };
        let queues = Queues {
            doorbells: queue(Variable::Doorbells),
            timers: queue(Variable::Timers),
        };
        let vault = Vault::open(&sdk, &config, role.secrets(&config), Arc::clone(&clock)).await;
        let stores = environment.get(Variable::Table);
        let stores = stores.zip(environment.get(Variable::Bucket));
        let function = match stores {
            None => {
                let rings = Rings::new(queues, clock, entropy);
                Self::dispatching(&config, rings)?
            }
            Some((table, bucket)) => {
                let stores = Stores::on_aws(&sdk, table, bucket, &config, clock, entropy);
                let resolve = |reference: &SecretRef| vault.resolve(reference);
                let sinks = |sink: &_| cloakroom_aws::sinks::sink(&sdk, sink);
                Self::assemble(role, &config, stores, queues, &resolve, &sinks).await?
            }
        };
        let running = Running { function, vault };
        if let Some(catalog) = running.function.verifying() {
            running.vault.rotate(catalog);
        }
        Ok(running)
    }

    /// A function over any stores and queues.
    ///
    /// # Errors
    /// When the configuration cannot be put to work, or the ledger fails.
    pub async fn assemble(
        role: Role,
        config: &Config,
        stores: Stores,
        queues: Queues,
        resolve: &Resolve<'_>,
        sinks: &AwsSinks<'_>,
    ) -> Result<Self, StartError> {
        let (clock, entropy) = (Arc::clone(&stores.clock), Arc::clone(&stores.entropy));
        let rings = (!queues.is_empty())
            .then(|| Rings::new(queues, Arc::clone(&clock), Arc::clone(&entropy)));
        if role == Role::Dispatch {
            let rings = rings.expect("a role that rings has its queues");
            return Self::dispatching(config, rings);
        }
        let uploads = Arc::clone(&stores.uploads);
        let (table, tell) = (stores.table.clone(), Arc::clone(&stores.tell));
        let catalog = catalog(role, config, resolve, sinks, &clock)?;
        let stepper = open(config, catalog, stores).await?;
        if role == Role::Ingest {
            let app = |app: App| app.with_uploads(uploads);
            return ingest(config, stepper, rings, resolve, entropy.as_ref(), app)
                .map(Self::Ingest);
        }
        if role == Role::Upload {
            return Ok(Self::Upload(Upload::new(stepper, uploads)));
        }
        let host = Host {
            stepper,
            rings: rings.expect("a role that rings has its queues"),
            clock,
            table,
            tell,
        };
        Ok(Self::Step(role, host))
    }

    /// A function that dispatches: the configuration tells everything.
    fn dispatching(config: &Config, rings: Rings) -> Result<Self, StartError> {
        let sinks = |_: &SubscriptionName, subscription: &config::Subscription| {
            Ok(elsewhere(&subscription.sink))
        };
        let catalog = Catalog::build(config, None, sinks).map_err(StartError::Build)?;
        Ok(Self::Dispatch(Arc::new(catalog), rings))
    }

    /// The catalog whose sources verify webhooks; `None` for a role that sees none.
    fn verifying(&self) -> Option<&Catalog> {
        match self {
            Self::Ingest(ingest) => Some(ingest.catalog()),
            Self::Upload(upload) => Some(upload.catalog()),
            Self::Dispatch(..) | Self::Step(..) => None,
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
            Self::Dispatch(catalog, rings) => crate::dispatch(catalog, rings, event).await?,
            Self::Step(Role::Sweep, host) => return crate::sweep::sweep(host, event, ends).await,
            Self::Step(Role::Deliver, host) => crate::deliver(host, event, ends).await?,
            Self::Step(_, host) => crate::resequence(host, event, ends).await?,
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
async fn open(config: &Config, catalog: Catalog, stores: Stores) -> Result<Stepper, StartError> {
    let settings = configured::settings(config);
    if settings.ledger_only_max > settings.inline_max {
        return Err(StartError::Unfit {
            path: "claims.store".to_owned(),
            mistake: Mistake::new(
                "payloads that only the ledger keeps must travel inside their events",
                "raise `claims.inline_max` to at least what `above` says",
            ),
        });
    }
    let parts = Parts {
        catalog,
        settings,
        budget: configured::budget(config),
        ledger: stores.ledger,
        claims: stores.claims,
        clock: stores.clock,
        entropy: stores.entropy,
        links: stores.links,
    };
    Ok(Stepper::open(parts, LEASE_OWNER, LEASE).await?)
}

/// What the role needs of the configuration: nobody else's secrets are read, nobody else's sinks made.
fn catalog(
    role: Role,
    config: &Config,
    resolve: &Resolve<'_>,
    sinks: &AwsSinks<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<Catalog, StartError> {
    let make = |name: &SubscriptionName, subscription: &config::Subscription| {
        if !role.delivers() {
            return Ok(elsewhere(&subscription.sink));
        }
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
    let verify = role.verifies().then_some(resolve);
    if verify.is_some() {
        refuse_unverified(config)?;
    }
    Catalog::build(config, verify, make).map_err(StartError::Build)
}

/// A function may be reached from everywhere, whatever `server.listen` says.
fn refuse_unverified(config: &Config) -> Result<(), StartError> {
    let unverified = |source: &&config::Source| source.verify.is_none();
    match config.sources.iter().find(|(_, source)| unverified(source)) {
        None => Ok(()),
        Some((name, _)) => Err(StartError::Unfit {
            path: format!("sources.{name}.verify"),
            mistake: Mistake::new(
                "nothing verifies its webhooks, and functions are reached from everywhere",
                "add `verify: { scheme: …, secrets: […] }`, or say `verify: { scheme: none }` to take anything",
            ),
        }),
    }
}

/// Stands in for a sink that other functions send to.
pub fn elsewhere(sink: &config::Sink) -> Arc<dyn Sink> {
    Arc::new(Elsewhere { kind: sink.name() })
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
