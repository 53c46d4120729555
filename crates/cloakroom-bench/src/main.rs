//! `cloakroom-bench`: measures Cloakroom from outside.
//!
//! Every scenario starts real servers as processes of their own, on a data directory of their own on a real disk, and talks to
//! them over loopback HTTP. Webhooks are signed before the clock starts. How to read the figures: `docs/benchmarks.md`.
//!
//! | part | what |
//! | --- | --- |
//! | `webhook`, `connection`, `generator` | the load: prepared requests, closed loop and open loop |
//! | `consumer` | takes deliveries, and checks that each came once and in order |
//! | `server`, `null`, `keeper`, `plain`, `process` | the servers under measurement, and what they use |
//! | `cloud` | what a function finds around it in AWS |
//! | `scenario` | what is measured, a file each |
//! | `report`, `plot` | figures as a table or as JSON, and charts |

mod clock;
mod cloud;
mod connection;
mod consumer;
mod disk;
mod generator;
mod keeper;
mod null;
mod plain;
mod plot;
mod process;
mod report;
mod scenario;
mod server;
mod webhook;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};

use crate::report::{Machine, Printer, Report};
use crate::scenario::{
    backlog, cold_start, compare, cpu, floor, gaps, ingest, keys, large, latency, memory, reversed,
    soak,
};
use crate::server::Place;

/// The scenarios of `all`, in order.
const ALL: [&str; 8] = [
    "floor", "ingest", "latency", "cpu", "large", "memory", "reversed", "keys",
];

/// Measure Cloakroom from outside: real servers, real loopback HTTP, fsync on.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Print the figures as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Write the figures and charts into this file too, as JSON.
    #[arg(long, global = true, value_name = "FILE")]
    save: Option<PathBuf>,
    /// The server's binary. Default: `cloakroom` beside this program.
    #[arg(long, global = true, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Where data directories are made; a real disk. Default: `bench-data` beside the build.
    #[arg(long, global = true, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// Leave data directories and server logs for inspection.
    #[arg(long, global = true)]
    keep: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every scenario as it comes, one after the other.
    All,
    /// What the bench itself can do, against the server that does nothing.
    Floor(floor::Args),
    /// Taking 1 KB webhooks in, as a ratio to the same HTTP stack doing nothing.
    Ingest(ingest::Args),
    /// From the POST to the consumer, in an open loop at half of the peak rate.
    Latency(latency::Args),
    /// CPU time of the server per webhook taken in, ordered and delivered.
    Cpu(cpu::Args),
    /// A 1 GiB payload as a ratio to hashing, writing and syncing it; memory during 2 GiB.
    Large(large::Args),
    /// Memory at rest, under load, and after a million streams.
    Memory(memory::Args),
    /// Bursts of one stream in reverse order.
    Reversed(reversed::Args),
    /// A million streams.
    Keys(keys::Args),
    /// Cloakroom beside the least a receiver must do, and beside a plain receiver on Node. Not part of `all`.
    Compare(compare::Args),
    /// Ten minutes at 80% of the peak: whether anything grows or slows down. Not part of `all`.
    Soak(soak::Args),
    /// A million events for a consumer that is dead, and then is not. Not part of `all`.
    Backlog(backlog::Args),
    /// A hundred thousand streams that wait at a gap. Not part of `all`.
    Gaps(gaps::Args),
    /// Draw the charts of saved results.
    Plot(plot::Args),
    /// The start of the functions of the AWS form, with each role, over a stand-in for AWS. Not part of `all`.
    ColdStart(cold_start::Args),
    /// The server that does nothing.
    #[command(hide = true)]
    Null {
        /// Where to listen.
        port: u16,
        /// Keep bodies in this file, durably.
        #[arg(long)]
        keep_in: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match &cli.command {
        Command::Null { port, keep_in } => return null::run(*port, keep_in.as_deref()),
        Command::Plot(args) => return plot::run(args),
        _ => {}
    }
    let directory = directory(&cli)?;
    let machine = Machine::examine(&directory)?;
    // One thread for the generator: it shares the machine with the server, and must leave it most of it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut printer = Printer::begin(machine, cli.json);
    if let Command::ColdStart(args) = &cli.command {
        printer.add(runtime.block_on(cold_start::run(&directory, args))?);
        return printer.end(cli.save.as_deref());
    }
    let place = place(&cli, directory)?;
    if matches!(cli.command, Command::All) {
        for name in ALL {
            let command = Cli::try_parse_from(["cloakroom-bench", name])?.command;
            printer.add(runtime.block_on(measure(&place, &command))?);
        }
    } else {
        printer.add(runtime.block_on(measure(&place, &cli.command))?);
    }
    printer.end(cli.save.as_deref())
}

/// Where this program is.
fn beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.parent().context("a program lies in a directory")?;
    Ok(beside.to_owned())
}

/// Where data directories are made.
fn directory(cli: &Cli) -> anyhow::Result<PathBuf> {
    let beside = beside()?;
    let default = beside.parent().unwrap_or(&beside).join("bench-data");
    let directory = cli.dir.clone().unwrap_or(default);
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    absolute(&directory)
}

fn place(cli: &Cli, directory: PathBuf) -> anyhow::Result<Place> {
    let default = beside()?.join("cloakroom");
    let binary = cli.server.clone().unwrap_or(default);
    ensure!(
        binary.is_file(),
        "there is no {}: build it with `cargo build --release`, or name another with `--server`",
        binary.display()
    );
    Ok(Place {
        binary: absolute(&binary)?,
        directory,
        keep: cli.keep,
    })
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("cannot resolve {}", path.display()))
}

async fn measure(place: &Place, command: &Command) -> anyhow::Result<Report> {
    match command {
        Command::Floor(args) => floor::run(place, args).await,
        Command::Ingest(args) => ingest::run(place, args).await,
        Command::Latency(args) => latency::run(place, args).await,
        Command::Cpu(args) => cpu::run(place, args).await,
        Command::Large(args) => large::run(place, args).await,
        Command::Memory(args) => memory::run(place, args).await,
        Command::Reversed(args) => reversed::run(place, args).await,
        Command::Keys(args) => keys::run(place, args).await,
        Command::Compare(args) => compare::run(place, args).await,
        Command::Soak(args) => soak::run(place, args).await,
        Command::Backlog(args) => backlog::run(place, args).await,
        Command::Gaps(args) => gaps::run(place, args).await,
        Command::All | Command::ColdStart(_) | Command::Null { .. } | Command::Plot(_) => {
            unreachable!("`main` takes these itself")
        }
    }
}
