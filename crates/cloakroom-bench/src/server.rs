//! Servers under measurement: real processes, started on a directory and a configuration of their own.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::clock;
use crate::connection::Connection;
use crate::disk::bytes_below;
use crate::process::Usage;
use crate::webhook::{SECRET, SECRET_VARIABLE, SOURCE};

/// What deliveries are signed with, and where the server finds it.
const SINK_SECRET: &str = "whsec_Y2xvYWtyb29tLWJlbmNoLWRlbGl2ZXJpZXM=";
const SINK_SECRET_VARIABLE: &str = "CLOAKROOM_BENCH_SINK_SECRET";

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at whether a server is still busy.
const QUIET_WINDOW: Duration = Duration::from_millis(250);
/// A server that used less CPU time than this in a window, in seconds, has nothing left to do. The kernel counts in 0.01.
const QUIET_CPU: f64 = 0.015;

/// Where to find things, and where to put them.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The `cloakroom` binary.
    pub(crate) binary: PathBuf,
    /// The directory under which data directories are made. It must be on a real disk.
    pub(crate) directory: PathBuf,
    /// Whether data directories are left for inspection.
    pub(crate) keep: bool,
}

impl Place {
    /// A new directory that goes when it is dropped.
    pub(crate) fn scratch(&self) -> anyhow::Result<TempDir> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot make {}", self.directory.display()))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("run-").disable_cleanup(self.keep);
        Ok(builder.tempdir_in(&self.directory)?)
    }
}

/// A server process. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
    scratch: TempDir,
}

impl Server {
    /// Starts `cloakroom serve`.
    pub(crate) async fn cloakroom(place: &Place, setup: &Setup) -> anyhow::Result<Self> {
        let scratch = place.scratch()?;
        let address = free_address()?;
        let config = scratch.path().join("cloakroom.yaml");
        let data = scratch.path().join("data");
        fs::write(&config, configuration(address, &data, setup))?;
        let mut command = Command::new(&place.binary);
        command
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .current_dir(scratch.path())
            .env(SECRET_VARIABLE, SECRET)
            .env(SINK_SECRET_VARIABLE, SINK_SECRET);
        Self::start(command, address, scratch).await
    }

    /// Starts the server that does nothing, or nothing but keep what it was sent.
    pub(crate) async fn null(place: &Place, keeps: bool) -> anyhow::Result<Self> {
        let scratch = place.scratch()?;
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("null").arg(address.port().to_string());
        if keeps {
            command.arg("--keep-in").arg(scratch.path().join("bodies"));
        }
        Self::start(command, address, scratch).await
    }

    /// Starts the plain receiver whose program lies in `folder`, with `npm ci` done.
    pub(crate) async fn plain(
        place: &Place,
        folder: &Path,
        consumer: Option<SocketAddr>,
        batched: bool,
    ) -> anyhow::Result<Self> {
        let scratch = place.scratch()?;
        let address = free_address()?;
        let mut command = Command::new("node");
        command
            .arg(folder.join("server.mjs"))
            .env("PORT", address.port().to_string())
            .env("DATABASE", scratch.path().join("webhooks.db"))
            .env("SECRET", SECRET)
            .env("NODE_ENV", "production");
        if batched {
            command.env("BATCHED", "1");
        }
        if let Some(consumer) = consumer {
            command.env("CONSUMER", format!("http://{consumer}/hooks"));
        }
        Self::start(command, address, scratch).await
    }

    async fn start(
        mut command: Command,
        address: SocketAddr,
        scratch: TempDir,
    ) -> anyhow::Result<Self> {
        let log = scratch.path().join("server.log");
        let output = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut server = Self {
            address,
            child,
            scratch,
        };
        let answers = clock::until("the server answers", START_LIMIT, async || {
            server.child.try_wait().ok().flatten().is_some() || is_ready(address).await
        });
        answers.await.with_context(|| tail(&log))?;
        if let Some(status) = server.child.try_wait()? {
            bail!("the server ended at once ({status})\n{}", tail(&log));
        }
        Ok(server)
    }

    /// What it used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id()).with_context(|| tail(&self.scratch.path().join("server.log")))
    }

    /// The bytes of what it keeps on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        bytes_below(self.scratch.path())
    }

    /// How many events it has released since it started.
    pub(crate) async fn events_released(&self) -> anyhow::Result<u64> {
        let answer = get(self.address, "/metrics").await?;
        let text = String::from_utf8_lossy(&answer.body);
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix("cloakroom_events_released_total "));
        // The counter is there from the first event on.
        Ok(count.unwrap_or("0").trim().parse::<f64>()? as u64)
    }

    /// Waits until it has nothing left to do, and tells what it used up to then.
    pub(crate) async fn quiet(&self, limit: Duration) -> anyhow::Result<Usage> {
        let end = clock::now() + limit;
        let mut before = self.usage()?;
        loop {
            clock::nap(QUIET_WINDOW).await;
            let usage = self.usage()?;
            if usage.cpu() - before.cpu() < QUIET_CPU {
                return Ok(usage);
            }
            if clock::now() > end {
                bail!("the server was still busy after {limit:?}");
            }
            before = usage;
        }
    }

    /// What became of it, for whoever was not answered: whether it still runs, and the last it said.
    pub(crate) fn fate(&mut self) -> String {
        let state = match self.child.try_wait() {
            Ok(None) => "the server still runs".to_owned(),
            Ok(Some(status)) => format!("the server ended ({status})"),
            Err(error) => format!("nobody knows whether the server runs ({error})"),
        };
        format!("{state}; {}", tail(&self.scratch.path().join("server.log")))
    }

    /// Asks one of its JSON pages.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let answer = get(self.address, path).await?;
        if answer.status != 200 {
            bail!(
                "{path} was answered {}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// How many of the stream's events are released.
    pub(crate) async fn released(&self, key: &str) -> anyhow::Result<u64> {
        let stream = self.get(&format!("/v1/streams/{SOURCE}/{key}")).await?;
        let head = stream["head"].as_str().unwrap_or("0");
        head.parse()
            .with_context(|| format!("the head {head:?} of a dense stream is no number"))
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let mut status: Option<ExitStatus> = None;
        clock::until("the server ends", STOP_LIMIT, async || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })
        .await?;
        match status {
            Some(status) if status.success() => Ok(()),
            status => bail!(
                "the server did not end well ({status:?})\n{}",
                tail(&self.scratch.path().join("server.log"))
            ),
        }
    }

    /// Ends it without ceremony: for the one that does nothing.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on. Somebody might take it before the server does; then the server says so.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// What of Cloakroom's configuration differs between scenarios.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// Whom a subscription delivers to.
    pub(crate) consumer: Option<SocketAddr>,
    /// What is done about gaps, as `order.gap` has it; the default otherwise.
    pub(crate) gap: Option<String>,
    /// Which payloads travel inside the event; the default otherwise.
    pub(crate) inline_max: Option<usize>,
}

fn configuration(address: SocketAddr, data: &Path, setup: &Setup) -> String {
    let gap = setup.gap.as_ref().map(|gap| format!(", gap: {gap}"));
    let gap = gap.unwrap_or_default();
    let mut text = format!(
        "sources:
  {SOURCE}:
    verify: {{ scheme: adyen, secrets: [\"env:{SECRET_VARIABLE}\"] }}
    key: body:/data/id
    order: {{ kind: dense, at: body:/data/sequenceNumber, first: 1{gap} }}
server:
  listen: {address}
  data_dir: {}
  allow_private_sinks: true
",
        data.display()
    );
    if let Some(inline_max) = setup.inline_max {
        writeln!(text, "claims: {{ inline_max: {inline_max}B }}")
            .expect("writing to a string cannot fail");
    }
    if let Some(consumer) = setup.consumer {
        write!(
            text,
            "subscriptions:
  bench:
    sources: [{SOURCE}]
    sink: {{ http: {{ url: \"http://{consumer}/hooks\", secret: env:{SINK_SECRET_VARIABLE} }} }}
    from: earliest
    retry: {{ attempts: 1000000, base: 1s, max: 5s }}
"
        )
        .expect("writing to a string cannot fail");
    }
    text
}

async fn is_ready(address: SocketAddr) -> bool {
    // The server that does nothing answers 202 to everything.
    get(address, "/readyz")
        .await
        .is_ok_and(|answer| matches!(answer.status, 200 | 202))
}

async fn get(address: SocketAddr, path: &str) -> anyhow::Result<crate::connection::Answer> {
    let mut connection = Connection::open(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    connection.exchange(request.as_bytes()).await
}

/// The end of what the server said.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let end = &lines[lines.len().saturating_sub(20)..];
    format!("the server said:\n{}", end.join("\n"))
}
