//! A server on AWS: the ledger in a DynamoDB table, the claims in an S3 bucket.
//!
//! Alone it takes webhooks in and answers operators; the deployed functions release and deliver. With `run_pipes` it does
//! everything itself: it executes the definitions of the pipes on the table's stream, with the functions' own handlers,
//! and delivers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_aws::claims::CheckError;
use cloakroom_aws::ledger::OpenError;
use cloakroom_aws::{ClientError, ClientOptions, ConfigObject, DynamoLedger, S3Claims, S3Options};
use cloakroom_core::config::Config;
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_engine::catalog::Catalog;
use cloakroom_engine::ports::{Clock, Entropy, Uploads};
use cloakroom_engine::system::SystemEntropy;
use cloakroom_engine::{Bell, Engine, Parts, Stepper};
use cloakroom_http::configured;
use cloakroom_lambda::start::{LEASE, LEASE_OWNER, UPLOAD_TTL, elsewhere};
use cloakroom_lambda::{
    Doorbell, Host, Message, Queue, Queues, Rings, Role, SendError, SqsQueue, Vault,
};
use cloakroom_pipes::aws::StreamSource;
use cloakroom_pipes::definition::Definition;
use cloakroom_pipes::file::FileCheckpoints;
use cloakroom_pipes::handler::Handler;
use cloakroom_pipes::{RunError, Runner};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ConfigError;
use super::server::{ServerError, catalog};
use crate::exit::{Exit, Failure};

/// How often it is asked whether secrets are to be read again.
const REFRESH_EVERY: Duration = Duration::from_secs(30);
/// How often what operators asked for is passed on.
const PASS_ON_EVERY: Duration = Duration::from_millis(100);

/// Where a server on AWS keeps what it is given.
#[derive(Debug, Clone)]
pub struct AwsOptions {
    /// The ledger's table.
    pub table: String,
    /// The claims' bucket.
    pub bucket: String,
    /// Makes table and bucket unless they are there: for trials.
    pub create: bool,
    /// Whether to execute the pipes, and to deliver.
    pub run_pipes: bool,
    /// The URLs of the doorbell queue and the timers queue, which operators' wishes are passed on to.
    pub queues: Option<(String, String)>,
}

/// Why a server does not start on AWS.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// There are no clients.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The table cannot be used.
    #[error(transparent)]
    Table(#[from] OpenError),
    /// The bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] CheckError),
    /// A pipe cannot begin.
    #[error("cannot keep the places of the pipes in {}: {error}; name another `--data-dir`", folder.display())]
    Checkpoints {
        /// Where.
        folder: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// What runs beside the server.
#[derive(Debug)]
pub(super) struct Beside {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Beside {
    /// Lets what is under way come to its end.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn begin() -> Self {
        Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }
}

/// An engine on AWS.
pub(super) struct Started {
    pub(super) engine: Engine,
    pub(super) admin_token: Option<Secret>,
    /// Where providers may put bodies: only beside a deployed function `upload`, which takes them in.
    pub(super) uploads: Option<Arc<dyn Uploads>>,
    pub(super) beside: Beside,
}

/// The text of a configuration that is an object in S3; `None` when `place` names a file.
pub(super) async fn read_config(place: &Path) -> Result<Option<String>, Failure> {
    let failed = |reason: String| {
        let place = place.display();
        let text = format!("cannot read the configuration {place}: {reason}");
        Failure::from_text(Exit::Config, &text)
    };
    let object = ConfigObject::parse(place.to_str().unwrap_or_default());
    let Some(object) = object.map_err(|error| failed(error.to_string()))? else {
        return Ok(None);
    };
    let sdk = ClientOptions::default().load().await;
    let sdk = sdk.map_err(|error| failed(error.to_string()))?;
    let text = object.fetch(&sdk).await;
    text.map(Some).map_err(|error| failed(error.to_string()))
}

/// Checks table and bucket, reads secrets, and starts the engine.
pub(super) async fn start(
    config: &Config,
    options: &AwsOptions,
    clock: &Arc<dyn Clock>,
) -> Result<Started, ServerError> {
    let sdk = ClientOptions::default()
        .load()
        .await
        .map_err(AwsError::from)?;
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let ledger = Arc::new(DynamoLedger::new(&sdk, &options.table));
    let bucket = S3Options::new(&options.bucket);
    let s3 = aws_sdk_s3::Client::new(&sdk);
    let claims = S3Claims::new(s3, bucket, Arc::clone(clock), Arc::clone(&entropy));
    if options.create {
        ledger.create_table().await.map_err(AwsError::from)?;
        claims.create_bucket().await.map_err(AwsError::from)?;
    }
    ledger.check().await.map_err(AwsError::from)?;
    claims.check().await.map_err(AwsError::from)?;

    // Without the pipes it does what the function `ingest` does, for bodies of any size.
    let wanted = match options.run_pipes {
        true => config.secrets().cloned().collect(),
        false => Role::Ingest.secrets(config),
    };
    let vault = Vault::open(&sdk, config, wanted, Arc::clone(clock)).await;
    let resolve = |reference: &SecretRef| vault.resolve(reference);
    let links = Arc::new(claims.links(config.claims.url_ttl.get(), None));
    let uploads: Arc<dyn Uploads> = Arc::new(claims.uploads(UPLOAD_TTL));
    let claims = Arc::new(claims);
    let parts = || -> Result<Parts, ServerError> {
        Ok(Parts {
            catalog: match options.run_pipes {
                true => catalog(config, &resolve, clock, Some(&sdk))?,
                false => Catalog::build(config, Some(&resolve), |_, subscription| {
                    Ok(elsewhere(&subscription.sink))
                })
                .map_err(ConfigError::Build)?,
            },
            settings: configured::settings(config),
            budget: configured::budget(config),
            ledger: Arc::clone(&ledger) as _,
            claims: Arc::clone(&claims) as _,
            clock: Arc::clone(clock),
            entropy: Arc::clone(&entropy),
            links: Arc::clone(&links) as _,
        })
    };
    let admin_token = configured::admin_token(config, &resolve)
        .map_err(|error| ConfigError::Build(vec![error]))?;
    let stepper = Stepper::open(parts()?, LEASE_OWNER, LEASE).await?;
    let beside = Beside::begin();
    let engine = if options.run_pipes {
        let engine = Engine::start(parts()?).await?;
        let queue: Arc<dyn Queue> = Arc::new(InProcess(engine.clone()));
        let queues = Queues::new(Arc::clone(&queue), queue);
        let rings = Rings::new(queues, Arc::clone(clock), Arc::clone(&entropy));
        let host = Host {
            stepper,
            rings,
            clock: Arc::clone(clock),
            table: options.table.clone(),
            // This server has metrics of its own.
            tell: Arc::new(|_| {}),
        };
        run_pipes(config, &sdk, &ledger, &host, &entropy, &beside).await?;
        engine
    } else {
        let engine = stepper.engine().clone();
        let queue = |url: &String| -> Arc<dyn Queue> {
            Arc::new(SqsQueue::new(aws_sdk_sqs::Client::new(&sdk), url))
        };
        let rings = options.queues.as_ref().map(|(doorbells, timers)| {
            let queues = Queues::new(queue(doorbells), queue(timers));
            Rings::new(queues, Arc::clone(clock), entropy)
        });
        pass_on(stepper, rings, clock, &beside);
        engine
    };
    refresh(vault, engine.clone(), clock, &beside);
    Ok(Started {
        engine,
        admin_token,
        uploads: (!options.run_pipes).then_some(uploads),
        beside,
    })
}

/// Follows the rotation of secrets until told to stop.
fn refresh(vault: Vault, engine: Engine, clock: &Arc<dyn Clock>, beside: &Beside) {
    vault.rotate(engine.catalog());
    let (clock, stop) = (Arc::clone(clock), beside.stop.clone());
    beside.tasks.spawn(async move {
        loop {
            tokio::select! {
                () = clock.sleep_until(clock.now().after(REFRESH_EVERY)) => {}
                () = stop.cancelled() => return,
            }
            vault.refresh(engine.catalog()).await;
        }
    });
}

/// Executes both pipes until told to stop.
async fn run_pipes(
    config: &Config,
    sdk: &aws_config::SdkConfig,
    ledger: &DynamoLedger,
    host: &Host,
    entropy: &Arc<dyn Entropy>,
    beside: &Beside,
) -> Result<(), AwsError> {
    let folder = config.server.data_dir.join("pipes");
    std::fs::create_dir_all(&folder).map_err(|error| AwsError::Checkpoints {
        folder: folder.clone(),
        error,
    })?;
    let stream = ledger.stream_arn().await?;
    let source = Arc::new(StreamSource::new(
        aws_sdk_dynamodbstreams::Client::new(sdk),
        &stream,
    ));
    let resequence = {
        let host = host.clone();
        Handler::new(move |batch| {
            let host = host.clone();
            async move { answered(cloakroom_lambda::resequence(&host, batch, None).await) }
        })
    };
    let dispatch = {
        let host = host.clone();
        Handler::new(move |batch| {
            let host = host.clone();
            async move { answered(dispatch(&host, batch).await) }
        })
    };
    let pipes: [(Definition, Arc<dyn cloakroom_pipes::ports::Target>); 2] = [
        (Definition::resequence(), Arc::new(resequence)),
        (Definition::dispatch(), Arc::new(dispatch)),
    ];
    for (definition, target) in pipes {
        let parts = cloakroom_pipes::Parts {
            pipe_arn: format!("{stream}#{}", definition.name),
            source: Arc::clone(&source) as _,
            target,
            dead_letters: None,
            checkpoints: Arc::new(FileCheckpoints::new(
                folder.join(format!("{}.json", definition.name)),
            )),
            clock: Arc::clone(&host.clock),
            entropy: Arc::clone(entropy),
        };
        let (runner, stop) = (Runner::new(definition, parts), beside.stop.clone());
        beside.tasks.spawn(async move {
            if let Err(error) = runner.run(stop).await {
                report(&error);
            }
        });
    }
    Ok(())
}

async fn dispatch(
    host: &Host,
    batch: serde_json::Value,
) -> Result<cloakroom_lambda::BatchAnswer, cloakroom_lambda::HandlerError> {
    let catalog = host.stepper.engine().catalog();
    cloakroom_lambda::dispatch(catalog, &host.rings, batch).await
}

fn report(error: &RunError) {
    tracing::error!(%error, "a pipe stopped; until the server is started again, only the sweep finds what is new");
}

fn answered(
    answer: Result<cloakroom_lambda::BatchAnswer, cloakroom_lambda::HandlerError>,
) -> Result<serde_json::Value, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(answer).expect("an answer is plain data"))
}

/// Passes what operators asked for on to the queues of the deployed functions. Without queues it is let go, and found by
/// the sweep.
fn pass_on(stepper: Stepper, rings: Option<Rings>, clock: &Arc<dyn Clock>, beside: &Beside) {
    let (clock, stop) = (Arc::clone(clock), beside.stop.clone());
    beside.tasks.spawn(async move {
        loop {
            let stopping = stop.is_cancelled();
            let bells = stepper.rung();
            if let Some(rings) = &rings
                && let Err(error) = rings.pass_all_on(bells).await
            {
                tracing::error!(%error, "a doorbell was not rung: what was asked for waits for the next sweep");
            }
            if stopping {
                return;
            }
            tokio::select! {
                () = clock.sleep_until(clock.now().after(PASS_ON_EVERY)) => {}
                () = stop.cancelled() => {}
            }
        }
    });
}

/// The queues of a server that delivers by itself: its own workers.
struct InProcess(Engine);

#[async_trait]
impl Queue for InProcess {
    async fn send(&self, messages: Vec<Message>) -> Vec<Result<(), SendError>> {
        let ring = |message: Message| {
            let doorbell: Doorbell = serde_json::from_str(&message.body)
                .map_err(|error| SendError(error.to_string()))?;
            let at = (!message.delay.is_zero()).then(|| self.0.now().after(message.delay));
            self.0.ring(Bell {
                at,
                ..doorbell.into()
            });
            Ok(())
        };
        messages.into_iter().map(ring).collect()
    }
}
