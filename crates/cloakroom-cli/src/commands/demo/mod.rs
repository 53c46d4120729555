//! `demo`: a provider, the server and a consumer, everything over real HTTP, checked at the end.
//!
//! The provider sends Adyen transfers, whose `data.sequenceNumber` counts from 1 for every `data.id`: shuffled, doubled,
//! one held back until all others were sent, one forged. The consumer verifies every delivery and fetches what is too
//! large to travel along. What both saw is compared by [`check`].

mod check;
mod consumer;
mod gaps;
mod provider;
mod script;
mod transfers;
mod view;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use cloakroom_core::config::{Config, Overrides};
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_engine::ports::{Clock as _, Entropy as _};
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use self::check::{Seen, Summary};
use self::consumer::Consumer;
use self::gaps::GapWatch;
use self::provider::{Provider, Source};
use self::script::{LARGE, Script};
use self::view::Happening;
use crate::exit::{Exit, Failure, Outcome};
use crate::logging::{self, LogFormat};
use crate::output;
use crate::wiring::{self, Server, ServerError};

/// How long sending takes at the usual speed.
const USUAL: Duration = Duration::from_secs(5);
/// How long to wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look whether it has.
const GLANCE: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// How many events the provider has to tell.
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(24..=10_000))]
    events: u32,
    /// How fast: 2 is twice as fast.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = speed)]
    speed: f64,
    /// What chance depends on.
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the data directory, to look into it with `cloakroom doctor`.
    #[arg(long)]
    keep: bool,
    /// Make something go wrong, to see that it is noticed.
    #[arg(long, hide = true, value_name = "WHAT")]
    sabotage: Option<Sabotage>,
}

/// What can be made to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sabotage {
    /// The consumer forgets an event.
    Lose,
    /// The consumer counts an event twice.
    Repeat,
    /// The consumer takes two events of one transfer in the wrong order.
    Swap,
    /// The consumer reads other bytes.
    Alter,
    /// The consumer expects another secret.
    Distrust,
    /// The forged webhook is signed well.
    Forge,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "write a number above 0")?;
    if speed > 0.0 && speed.is_finite() {
        Ok(speed)
    } else {
        Err("write a number above 0".to_owned())
    }
}

/// What provider, consumer and server agreed on.
struct Secrets {
    provider: Secret,
    consumer: Secret,
}

pub(crate) async fn run(args: Args, json: bool) -> Outcome {
    logging::start(LogFormat::Text, "error");
    let folder = tempfile::Builder::new()
        .prefix("cloakroom-demo-")
        .tempdir()
        .map_err(|error| {
            Failure::new(
                Exit::Unusable,
                format!(
                    "cannot make a temporary directory: {}",
                    wiring::plain(&error)
                ),
            )
        })?;
    let data_dir = folder.path().join("data");
    let summary = perform(&args, &data_dir, json).await?;
    if json {
        output::json(&summary)?;
    } else {
        summary.print()?;
    }
    if args.keep {
        let kept: PathBuf = folder.keep().join("data");
        output::note(format_args!(
            "kept: {0}; examine it with `cloakroom doctor {0}`",
            kept.display()
        ));
    }
    Ok(if summary.is_good() {
        Exit::Ok
    } else {
        Exit::CheckFailed
    })
}

/// The parts of the demo while it runs.
struct Stage {
    provider: Provider,
    consumer: Arc<Consumer>,
    gaps: GapWatch,
    clock: Arc<SystemClock>,
    happenings: UnboundedSender<Happening>,
    /// How long to wait for something that must happen.
    patience: Duration,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServerError>>,
    consuming: JoinHandle<()>,
    view: JoinHandle<()>,
}

async fn perform(args: &Args, data_dir: &Path, json: bool) -> Result<Summary, Failure> {
    let seed = args.seed.unwrap_or_else(|| SystemEntropy.next());
    let script = Script::new(args.events, seed, LARGE);
    let sent = script.webhooks.clone();
    let stage = Stage::set(args, script, data_dir, json).await?;
    let clock = Arc::clone(&stage.clock);
    let start = clock.now();
    stage.play(USUAL.div_f64(args.speed)).await;
    let took = clock.now().since(start);
    Ok(Summary::of(&sent, &stage.strike().await?, seed, took))
}

impl Stage {
    /// Starts the server and the consumer, and everything that watches.
    async fn set(
        args: &Args,
        script: Script,
        data_dir: &Path,
        json: bool,
    ) -> Result<Self, Failure> {
        let clock = Arc::new(SystemClock::new());
        let secrets = secrets()?;
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server_socket = wiring::bind(any_port).await?;
        let consumer_socket = wiring::bind(any_port).await?;
        let server_url = format!("http://{}", local(&server_socket)?);
        let consumer_url = format!("http://{}/hooks", local(&consumer_socket)?);
        let config = config(&server_url, &consumer_url, data_dir);
        let resolve = |reference: &SecretRef| match reference.to_string().as_str() {
            "env:ADYEN_HMAC_KEY" => Ok(secrets.provider.clone()),
            "env:CONSUMER_SECRET" => Ok(secrets.consumer.clone()),
            other => Err(format!("the demo has no secret {other}")),
        };
        let server = Server::start(&config, server_socket, &resolve).await?;

        let (happenings, watched) = unbounded_channel();
        let consumer_secret = match args.sabotage {
            Some(Sabotage::Distrust) => self::secrets()?.consumer,
            _ => secrets.consumer.clone(),
        };
        let stop = CancellationToken::new();
        let stopped = || stop.clone().cancelled_owned();
        let source = Source {
            url: format!("{server_url}/in/transfers"),
            key: secrets.provider.clone(),
        };
        let consumer = Consumer::new(
            &consumer_secret,
            args.sabotage,
            happenings.clone(),
            Arc::clone(&clock),
        )?;
        Ok(Self {
            provider: Provider::new(
                script,
                &source,
                args.sabotage,
                Arc::clone(&clock),
                happenings.clone(),
            )?,
            gaps: GapWatch::start(
                &server_url,
                Arc::clone(&clock),
                happenings.clone(),
                stop.clone(),
            )?,
            view: tokio::spawn(view::show(watched, Arc::clone(&clock), json)),
            serving: tokio::spawn(server.run(stopped())),
            consuming: tokio::spawn(consumer::serve(
                consumer_socket,
                Arc::clone(&consumer),
                stopped(),
            )),
            patience: if args.sabotage.is_some() {
                PATIENCE / 10
            } else {
                PATIENCE
            },
            consumer,
            clock,
            happenings,
            stop,
        })
    }

    /// Stops everything, and tells what was seen.
    async fn strike(self) -> Result<Seen, Failure> {
        let ended = |what: &'static str| {
            move |error: JoinError| Failure::new(Exit::Failure, format!("{what} ended: {error}"))
        };
        self.stop.cancel();
        self.serving.await.map_err(ended("the server"))??;
        self.consuming.await.map_err(ended("the consumer"))?;
        let seen = Seen {
            answers: self.provider.answers(),
            deliveries: self.consumer.deliveries(),
            gaps: self.gaps.finish().await,
        };
        let _ = self.happenings.send(Happening::End);
        self.view.await.map_err(ended("the view"))?;
        Ok(seen)
    }

    /// Sends everything but one event, waits until the gap it leaves is seen, and sends it.
    async fn play(&self, pace: Duration) {
        self.provider.send_most(pace).await;
        let withheld = self.provider.withheld();
        let behind = self.provider.waiting_behind_withheld();
        let total = self.provider.total();
        self.wait(|| self.gaps.is_open(withheld) && self.consumer.settled() >= total - behind - 1)
            .await;
        let told = format!(
            "{behind} events of {} wait for #{}, which the provider sends only now",
            withheld.transfer, withheld.sequence
        );
        let _ = self.happenings.send(Happening::Told(told));
        self.provider.send_withheld().await;
        self.wait(|| self.consumer.settled() >= total && !self.gaps.is_open(withheld))
            .await;
    }

    /// Returns when `condition` holds, or when nothing has arrived for so long that the check will tell why.
    async fn wait(&self, condition: impl Fn() -> bool) {
        let mut settled = self.consumer.settled();
        let mut deadline = self.clock.now().after(self.patience);
        while !condition() && self.clock.now() < deadline {
            self.clock.sleep_until(self.clock.now().after(GLANCE)).await;
            let now_settled = self.consumer.settled();
            if now_settled != settled {
                settled = now_settled;
                deadline = self.clock.now().after(self.patience);
            }
        }
    }
}

fn local(socket: &TcpListener) -> Result<SocketAddr, Failure> {
    socket
        .local_addr()
        .map_err(|error| Failure::new(Exit::Unusable, wiring::plain(&error)))
}

/// Secrets for this run, in the form in which Adyen and Standard Webhooks hand them out.
fn secrets() -> Result<Secrets, Failure> {
    let mut bytes = [0; 64];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("the system gives no random bytes: {error}"),
        )
    })?;
    let hex: String = bytes[..32]
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let consumer = format!("whsec_{}", STANDARD.encode(&bytes[32..]));
    Ok(Secrets {
        provider: Secret::new(hex),
        consumer: Secret::new(consumer),
    })
}

/// The configuration of the demo, as one would write it.
fn config(server_url: &str, consumer_url: &str, data_dir: &Path) -> Config {
    let text = format!(
        r#"
        sources:
          transfers:
            verify: {{ scheme: adyen, secrets: [env:ADYEN_HMAC_KEY] }}
            key: body:/data/id
            type: body:/type
            time: body:/timestamp
            order: {{ kind: dense, at: body:/data/sequenceNumber, first: 1, gap: {{ after: 60s, then: wait }} }}
        subscriptions:
          bookkeeping:
            sources: [transfers]
            sink: {{ http: {{ url: "{consumer_url}", secret: env:CONSUMER_SECRET }} }}
            from: earliest
        server: {{ allow_private_sinks: true, public_url: "{server_url}" }}
        "#
    );
    let overrides = Overrides {
        data_dir: Some(data_dir.to_owned()),
        ..Overrides::default()
    };
    Config::parse_with(&text, &overrides)
        .expect("the demo's configuration is valid, which a test checks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_valid() {
        let config = config(
            "http://127.0.0.1:1",
            "http://127.0.0.1:2/hooks",
            Path::new("/tmp/demo"),
        );
        assert_eq!(config.sources.len(), 1);
        assert_eq!(config.warnings(), []);
    }
}
