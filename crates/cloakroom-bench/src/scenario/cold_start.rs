//! How long a function needs from its process's start until it asks for its first event, and until it has answered it.
//!
//! The functions are played through in the order in which a webhook passes them, each over the table as the one before
//! left it, and each start over the same table: one webhook is taken in, released, rung for and sent to a queue.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{Advice, fadvise};
use serde_json::{Value, json};

use crate::clock;
use crate::cloud::{Cloud, Seen, Table};
use crate::report::{Aim, Report};
use crate::webhook::{SOURCE, Shape, signed};

const ROLES: [&str; 5] = ["ingest", "resequence", "dispatch", "deliver", "sweep"];
const START_LIMIT: Duration = Duration::from_secs(30);
/// The subscription whose delivery is measured.
const QUEUE: &str = "queue-0";

/// What to start.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Binaries of the function, as `./build-lambdas` makes them; several are started in turn and compared.
    #[arg(required = true, value_name = "FILE")]
    functions: Vec<PathBuf>,
    /// Starts of each role.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Sources in the configuration, with a subscription to a queue and one over HTTPS each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    sources: u32,
    /// How long AWS takes to answer, in milliseconds.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    latency: u64,
    /// Measure this role only.
    #[arg(long, value_parser = ROLES)]
    role: Option<String>,
    /// Drop the binary from the page cache before every start, as a new machine does not have it.
    #[arg(long)]
    uncached: bool,
}

/// The times of one role of one binary, in milliseconds.
#[derive(Debug, Default)]
struct Times {
    asked: Vec<f64>,
    answered: Vec<f64>,
    cpu: Vec<f64>,
}

/// What every start has in common.
struct Setting<'a> {
    args: &'a Args,
    config: PathBuf,
    log: PathBuf,
}

pub(crate) async fn run(directory: &Path, args: &Args) -> anyhow::Result<Report> {
    let scratch = tempfile::tempdir_in(directory)?;
    let setting = Setting {
        args,
        config: scratch.path().join("cloakroom.yaml"),
        log: scratch.path().join("function.log"),
    };
    std::fs::write(&setting.config, configuration(args.sources))?;

    let mut report = Report::new("cold-start");
    for function in &args.functions {
        let bytes = std::fs::metadata(function)
            .with_context(|| format!("cannot read {}", function.display()))?
            .len();
        let name = format!("{}binary", of(args, function));
        report.add(name, bytes as f64 / 1e6, "MB");
    }
    let mut table = Table::new();
    let mut event = webhook()?;
    // The first start registers what is configured.
    (_, table) = setting
        .start(&args.functions[0], "ingest", &table, &event)
        .await?;
    table.retain(|(partition, _), _| !partition.starts_with("STREAM#"));
    for role in ROLES {
        let is_wanted = args.role.as_deref().is_none_or(|wanted| wanted == role);
        // What comes before it prepares the table, and that is all.
        let (functions, runs) = match is_wanted {
            true => (&args.functions[..], args.runs),
            false => (&args.functions[..1], 1),
        };
        let mut times: Vec<Times> = functions.iter().map(|_| Times::default()).collect();
        let mut last = None;
        for _ in 0..runs {
            for (function, times) in functions.iter().zip(&mut times) {
                let (started, after) = setting.start(function, role, &table, &event).await?;
                times.asked.push(started.asked);
                times.answered.push(started.answered);
                times.cpu.push(started.cpu);
                last = Some((started.seen, after));
            }
        }
        let (seen, after) = last.expect("there is at least one run");
        if is_wanted {
            add(&mut report, args, role, times, &seen);
            if args.role.is_some() {
                break;
            }
        }
        event = next(role, &after, &seen)?;
        table = after;
    }
    Ok(report)
}

/// In front of figures of one of several binaries.
fn of(args: &Args, function: &Path) -> String {
    if args.functions.len() == 1 {
        String::new()
    } else {
        format!("{}: ", function.display())
    }
}

fn add(report: &mut Report, args: &Args, role: &str, times: Vec<Times>, seen: &Seen) {
    for (function, times) in args.functions.iter().zip(times) {
        let name = |what: &str| format!("{}{role}, {what}", of(args, function));
        let (asked, slowest) = middle_and_most(times.asked);
        report.aim(name("first poll"), asked, "ms", Aim::AtMost(50.0));
        report.add(name("first poll, slowest"), slowest, "ms");
        let (answered, _) = middle_and_most(times.answered);
        report.add(name("first answer"), answered, "ms");
        let (cpu, _) = middle_and_most(times.cpu);
        report.add(name("CPU until then"), cpu, "ms");
    }
    let name = format!("{role}, requests to AWS before the first poll");
    report.add(name, seen.requests_before as f64, "");
    let name = format!("{role}, requests to AWS in all");
    report.add(name, seen.requests.len() as f64, "");
}

/// The median, and the largest.
fn middle_and_most(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_unstable_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() - 1])
}

/// The CPU time of a process in milliseconds, finer than the 10 ms that the kernel otherwise counts in.
fn cpu(pid: u32) -> Option<f64> {
    let mut nanos = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        let on_cpu: f64 = text.split_whitespace().next()?.parse().ok()?;
        nanos += on_cpu;
    }
    Some(nanos / 1e6)
}

/// One start, in milliseconds.
struct Started {
    asked: f64,
    answered: f64,
    cpu: f64,
    seen: Seen,
}

impl Setting<'_> {
    async fn start(
        &self,
        function: &Path,
        role: &str,
        table: &Table,
        event: &Value,
    ) -> anyhow::Result<(Started, Table)> {
        let latency = Duration::from_millis(self.args.latency);
        let cloud = Cloud::start(latency, table.clone(), event.clone()).await?;
        if self.args.uncached {
            fadvise(File::open(function)?, 0, None, Advice::DontNeed)?;
        }
        let log = File::create(&self.log)?;
        let mut command = self.command(function, role, cloud.address);
        command.stdout(log.try_clone()?).stderr(log);
        let begun = clock::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", function.display()))?;
        let over = clock::until("the function answers", START_LIMIT, async || {
            cloud.is_over() || child.try_wait().ok().flatten().is_some()
        });
        let over = over.await;
        let cpu = cpu(child.id());
        // Ended already, or ended now: the next start needs the machine for itself.
        let _ = child.kill();
        child.wait()?;
        let said = || std::fs::read_to_string(&self.log).unwrap_or_default();
        over.with_context(said)?;
        let (seen, table) = cloud.end();
        if let Some(failed) = &seen.failed {
            bail!("{role}: {failed}\n{}", said());
        }
        let (Some(asked), Some((answered, answer))) = (seen.asked, &seen.answered) else {
            bail!("{role} ended without an answer\n{}", said());
        };
        ensure!(is_good(answer), "{role} answered {answer}\n{}", said());
        let since = |at: std::time::Instant| (at - begun).as_secs_f64() * 1_000.0;
        let started = Started {
            asked: since(asked),
            answered: since(*answered),
            cpu: cpu.context("the kernel does not tell CPU times")?,
            seen,
        };
        Ok((started, table))
    }

    /// The function with the environment that Lambda gives it, and nothing else.
    fn command(&self, function: &Path, role: &str, address: SocketAddr) -> Command {
        let mut command = Command::new(function);
        command
            .env_clear()
            .env("_HANDLER", role)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", role)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .env("AWS_SESSION_TOKEN", "bench")
            .env("AWS_ENDPOINT_URL", format!("http://{address}"))
            .env("CLOAKROOM_TABLE", "cloakroom")
            .env("CLOAKROOM_BUCKET", "claims")
            .env("CLOAKROOM_CONFIG", &self.config)
            .env("CLOAKROOM_DOORBELLS", queue("doorbells.fifo"))
            .env("CLOAKROOM_TIMERS", queue("timers"))
            .stdin(Stdio::null());
        command
    }
}

fn queue(name: &str) -> String {
    format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{name}")
}

fn configuration(sources: u32) -> String {
    let (mut all, mut subscriptions) = (String::new(), String::new());
    for n in 0..sources {
        let name = if n == 0 {
            SOURCE.to_owned()
        } else {
            format!("{SOURCE}-{n}")
        };
        all += &format!(
            "  {name}:
    verify: {{ scheme: adyen, secrets: [\"aws-secret:{name}\"] }}
    key: body:/data/id
    order: {{ kind: dense, at: body:/data/sequenceNumber, first: 1 }}
"
        );
        let queue = queue("out.fifo");
        subscriptions += &format!(
            "  queue-{n}: {{ sources: [{name}], from: earliest, sink: {{ sqs-fifo: {{ queue: \"{queue}\" }} }} }}
  http-{n}: {{ sources: [{name}], from: earliest, sink: {{ http: {{ url: \"https://consumer.example/\", secret: \"aws-secret:sink\" }} }} }}
"
        );
    }
    format!("sources:\n{all}subscriptions:\n{subscriptions}")
}

/// A webhook as an HTTP API hands it on.
fn webhook() -> anyhow::Result<Value> {
    let (headers, payload) = signed(Shape::of(1), 0)?;
    let mut lower = serde_json::Map::new();
    lower.insert("content-type".to_owned(), "application/json".into());
    for (name, value) in headers {
        lower.insert(name.to_lowercase(), value.into());
    }
    let path = format!("/in/{SOURCE}");
    Ok(json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": lower,
        "requestContext": {
            "http": { "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "bench" },
            "stage": "$default",
        },
        "body": STANDARD.encode(payload), "isBase64Encoded": true,
    }))
}

/// What the next role is called with, once this one has done its work.
fn next(role: &str, table: &Table, seen: &Seen) -> anyhow::Result<Value> {
    let change = |wanted: &str| {
        let found = table.iter().find(|((partition, sort), _)| {
            partition.starts_with("STREAM#") && sort.starts_with(wanted)
        });
        let (_, image) = found.with_context(|| format!("{role} has left no {wanted}"))?;
        anyhow::Ok(
            json!([{ "eventID": "1", "eventName": "INSERT", "dynamodb": { "NewImage": image } }]),
        )
    };
    match role {
        "ingest" => change("EVENT#"),
        "resequence" => change("HEAD"),
        "dispatch" => {
            let mut messages = seen.messages.iter();
            let bell = messages.find(|text| text.contains(QUEUE));
            let bell = bell.with_context(|| format!("{role} has not rung for {QUEUE}"))?;
            Ok(json!({ "Records": [{
                "messageId": "1", "receiptHandle": "1", "body": bell, "attributes": { "MessageGroupId": "1" },
                "messageAttributes": {}, "eventSource": "aws:sqs",
            }] }))
        }
        "deliver" => {
            let sent = seen.messages.len();
            ensure!(
                sent == 1,
                "{role} has sent {sent} messages instead of the event"
            );
            Ok(json!({ "source": "aws.scheduler" }))
        }
        _ => Ok(Value::Null),
    }
}

/// Whether the work was done: a webhook taken, a batch without failures, a sweep.
fn is_good(answer: &Value) -> bool {
    match &answer["statusCode"] {
        Value::Null => match &answer["batchItemFailures"] {
            Value::Array(failures) => failures.is_empty(),
            _ => answer["round"] == true,
        },
        status => *status == 202,
    }
}
