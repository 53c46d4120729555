//! `send`: signs test webhooks as a provider would, and sends them.

mod body;
mod plan;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::config::Overrides;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_core::units::{Bytes as Size, Rate};
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Signer};
use cloakroom_engine::ports::{Clock as _, Entropy as _};
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use futures::StreamExt as _;

use self::body::Template;
use self::plan::{Mischief, Plan};
use self::report::{Answer, Report};
use crate::client::{causes, http_client};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::wiring::{self, SecretFlag};

/// How long an answer may take: longer than a server waits for consumers under `ack: delivered`.
const ANSWER_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to send, e.g. `http://127.0.0.1:8080/in/transfers`. Not needed with --source; beside it, a server's address is
    /// enough.
    #[arg(required_unless_present = "source")]
    url: Option<String>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    body: BodyArgs,
    #[command(flatten)]
    traffic: Traffic,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Signing")]
struct Signing {
    /// How to sign: a scheme of `verify: { scheme: … }`.
    #[arg(long, default_value = "standard-webhooks", value_parser = scheme, value_name = "NAME")]
    scheme: SchemeName,
    /// Where the secret is found: `env:NAME` or `file:PATH`.
    #[arg(long, value_name = "REF")]
    secret: Option<SecretFlag>,
    /// Sign as this source of the configuration is verified (the only way for `hmac`).
    #[arg(long, conflicts_with_all = ["scheme", "secret"])]
    source: Option<String>,
    /// The configuration that --source is in.
    #[arg(long, short, env = "CLOAKROOM_CONFIG", hide_env_values = true, default_value = wiring::CONFIG_FILE, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Body")]
struct BodyArgs {
    /// The body.
    #[arg(long, conflicts_with = "file", value_name = "TEXT")]
    body: Option<String>,
    /// A file with the body.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Its content type.
    #[arg(long, default_value = "application/json", value_name = "TYPE")]
    content_type: String,
    /// A further header, as `name: value`. May be repeated.
    #[arg(long = "header", short = 'H', value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Fill JSON bodies up to this size.
    #[arg(long)]
    size: Option<Size>,
    /// Number the events of each key here (a JSON Pointer), from 1.
    #[arg(long, value_name = "POINTER")]
    sequence_at: Option<String>,
    /// Write the key here (a JSON Pointer).
    #[arg(long, value_name = "POINTER")]
    key_at: Option<String>,
    /// How many keys to spread the events over.
    #[arg(long, default_value_t = 1, value_name = "K", requires = "key_at", value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Traffic")]
struct Traffic {
    /// How many events.
    #[arg(long, short = 'n', default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// At most this many requests, e.g. `50/s`.
    #[arg(long)]
    rate: Option<Rate>,
    /// How many requests may be under way at once.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// Send in random order.
    #[arg(long)]
    shuffle: bool,
    /// The share that is sent twice, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "P", value_parser = share)]
    duplicates: f64,
    /// The share that is not sent at all, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "P", value_parser = share)]
    loss: f64,
    /// What chance depends on: the same seed gives the same order, the same doubles and the same loss.
    #[arg(long)]
    seed: Option<u64>,
}

fn scheme(text: &str) -> Result<SchemeName, String> {
    let known = |name: &&SchemeName| {
        name.as_str() == text || (text == "svix" && **name == SchemeName::StandardWebhooks)
    };
    SchemeName::ALL.iter().find(known).copied().ok_or_else(|| {
        let names: Vec<&str> = SchemeName::ALL.iter().map(|name| name.as_str()).collect();
        format!("known schemes: {}", names.join(", "))
    })
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write it as `name: value`")?;
    let (name, value) = (name.trim(), value.trim());
    name.parse::<http::HeaderName>()
        .map_err(|_| "the name of a header has no such characters")?;
    value
        .parse::<http::HeaderValue>()
        .map_err(|_| "the value of a header has no such characters")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "write a number from 0 to 1")?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("write a number from 0 to 1".to_owned())
    }
}

/// Everything a request needs.
struct Sender {
    http: reqwest::Client,
    url: reqwest::Url,
    signer: Signer,
    template: Template,
    content_type: String,
    headers: Vec<(String, String)>,
    clock: SystemClock,
    seed: u64,
}

pub(crate) async fn run(args: Args, json: bool) -> Outcome {
    let (url, scheme, secret) = args.target()?;
    let signer = Signer::new(&scheme, &secret)
        .map_err(|error| Failure::from_text(Exit::Config, &format!("cannot sign: {error}")))?;
    let url = reqwest::Url::parse(&url).map_err(|_| {
        Failure::new(Exit::Usage, format!("`{url}` is not a URL"))
            .hint("write it as `http://127.0.0.1:8080/in/transfers`")
    })?;
    let seed = args.traffic.seed.unwrap_or_else(|| SystemEntropy.next());
    let sender = Arc::new(Sender {
        http: http_client(Some(ANSWER_MAX))?,
        url,
        signer,
        template: args.body.template(&args.traffic)?,
        content_type: args.body.content_type,
        headers: args.body.headers,
        clock: SystemClock::new(),
        seed,
    });
    let mischief = Mischief {
        shuffle: args.traffic.shuffle,
        duplicates: args.traffic.duplicates,
        loss: args.traffic.loss,
    };
    let plan = Plan::new(args.traffic.count, &mischief, seed);
    let report = send_all(&sender, &plan, &args.traffic, json).await;
    report.print(&plan, seed, json)?;
    Ok(report.exit())
}

impl Args {
    /// Where to send, how to sign, and with what.
    fn target(&self) -> Result<(String, Scheme, Secret), Failure> {
        let signing = &self.signing;
        let Some(name) = &signing.source else {
            let url = self.url.clone().unwrap_or_default();
            if signing.scheme == SchemeName::Hmac {
                return Err(Failure::new(
                    Exit::Usage,
                    "the scheme `hmac` says too little by itself",
                )
                .hint("describe it in a configuration, and use --source"));
            }
            let secret = match &signing.secret {
                Some(flag) => flag.read()?,
                None if signing.scheme == SchemeName::None => Secret::new([]),
                None => {
                    let message = format!("the scheme `{}` signs with a secret", signing.scheme);
                    return Err(Failure::new(Exit::Usage, message)
                        .hint("say where it is found: `--secret env:NAME`; or send unsigned with `--scheme none`"));
                }
            };
            return Ok((url, Scheme::new(signing.scheme), secret));
        };
        let config = wiring::load(&signing.config, &Overrides::default())?;
        let source = config.sources.get(&name.as_str().into()).ok_or_else(|| {
            let known: Vec<String> = config.sources.keys().map(ToString::to_string).collect();
            Failure::new(
                Exit::Usage,
                format!("{} has no source `{name}`", signing.config.display()),
            )
            .hint(format!("known sources: {}", known.join(", ")))
        })?;
        let scheme = source
            .verify
            .clone()
            .unwrap_or_else(|| Scheme::new(SchemeName::None));
        let secret = scheme
            .secrets
            .first()
            .map_or_else(|| Ok(Secret::new([])), wiring::secret)?;
        let given = self.url.clone();
        let base = given.unwrap_or_else(|| config.server.public_url());
        // A server's address means the source's place on it.
        let is_bare = reqwest::Url::parse(&base).is_ok_and(|url| url.path() == "/");
        let url = match is_bare || self.url.is_none() {
            true => format!("{}/in/{name}", base.trim_end_matches('/')),
            false => base,
        };
        Ok((url, scheme, secret))
    }
}

impl BodyArgs {
    fn template(&self, traffic: &Traffic) -> Result<Template, Failure> {
        let given = match (&self.body, &self.file) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(file)) => Some(std::fs::read(file).map_err(|error| {
                let message = format!("cannot read {}: {}", file.display(), wiring::plain(&error));
                Failure::new(Exit::Usage, message)
            })?),
            (None, None) => None,
        };
        Template::new(given, self.sequence_at.as_deref(), self.key_at.as_deref(), self.keys, self.size.map(Size::get))
            .map_err(|problem| Failure::from_text(Exit::Usage, &problem))
            .inspect(|template| {
                if template.is_constant() && traffic.count > 1 {
                    output::warning("all bodies are equal: where the payload is the identity they count as one event");
                }
            })
    }
}

async fn send_all(sender: &Arc<Sender>, plan: &Plan, traffic: &Traffic, json: bool) -> Report {
    let bar = output::progress(Some(plan.order.len() as u64), "sending", json);
    let start = sender.clock.now();
    let interval = traffic.rate.map(Rate::interval);
    let concurrency = usize::try_from(traffic.concurrency).unwrap_or(usize::MAX);
    let answers = futures::stream::iter(plan.order.iter().copied().enumerate())
        .map(|(turn, number)| {
            let sender = Arc::clone(sender);
            async move {
                if let Some(interval) = interval {
                    let turn = u32::try_from(turn).unwrap_or(u32::MAX);
                    sender
                        .clock
                        .sleep_until(start.after(interval.saturating_mul(turn)))
                        .await;
                }
                sender.send(number).await
            }
        })
        .buffer_unordered(concurrency)
        .inspect(|_| bar.inc(1));
    let mut answers = Box::pin(answers);
    let mut report = Report::default();
    while let Some(answer) = answers.next().await {
        report.count(answer);
    }
    bar.finish_and_clear();
    report.took = sender.clock.now().since(start);
    report
}

impl Sender {
    /// Sends the event of this number, from 0.
    async fn send(&self, number: u32) -> Answer {
        let body = self.template.body(number, self.seed);
        let id = format!("msg_{:016x}{number:08x}", self.seed);
        let mut given: Vec<(&str, &[u8])> = vec![("content-type", self.content_type.as_bytes())];
        given.extend(
            self.headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes())),
        );
        let head = RequestHead {
            method: "POST",
            url: self.url.as_str(),
            headers: &given,
        };
        let now: Timestamp = self.clock.now();
        let signature = match self.signer.sign(&head, &id, now, &body) {
            Ok(signature) => signature,
            Err(error) => return Answer::NotSent(error.to_string()),
        };
        let mut request = self
            .http
            .post(self.url.clone())
            .header("content-type", &self.content_type);
        for (name, value) in self.headers.iter().chain(&signature) {
            request = request.header(name, value);
        }
        let response = match request.body(body).send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Answer::Unreachable(causes(&error)),
            Err(error) => return Answer::NotSent(causes(&error)),
        };
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        Answer::read(status, &body)
    }
}
