//! Runs seeds of the simulation: a few to look at them, or a great many.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap::Parser;
use cloakroom_sim::run::{Outcome, run, run_twice};

/// Runs the simulation of Cloakroom's engine.
#[derive(Debug, Parser)]
struct Args {
    /// Which seeds to run, like `0..1000` or `17`.
    #[arg(long, default_value = "0..1000", value_parser = seeds)]
    seeds: Range<u64>,
    /// Runs each seed twice and compares the histories.
    #[arg(long)]
    twice: bool,
    /// Prints the history of a seed that fails.
    #[arg(long)]
    history: bool,
    /// Ends with the first seed that fails.
    #[arg(long)]
    first: bool,
    /// Ends with the first seed that breaks one of these promises, by name; what breaks others only is passed over.
    #[arg(long, value_delimiter = ',')]
    until: Vec<String>,
    /// How many threads run seeds; as many as there are processors if left out.
    #[arg(long)]
    threads: Option<usize>,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let hint = || format!("{text:?} is no range: write it like `0..1000`, or one seed like `17`");
    let number = |text: &str| text.parse::<u64>().map_err(|_| hint());
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => number(text).map(|seed| seed..seed + 1),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let next = AtomicU64::new(args.seeds.start);
    let (failed, facts) = (AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    let threads = args
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= args.seeds.end {
                        return;
                    }
                    let outcome = if args.twice {
                        run_twice(seed)
                    } else {
                        run(seed)
                    };
                    facts.fetch_add(outcome.facts as u64, Ordering::Relaxed);
                    let kinds = outcome
                        .breaches
                        .iter()
                        .map(|breach| breach.kind.to_string());
                    let sought = kinds.filter(|kind| args.until.contains(kind)).count() > 0;
                    if sought || (args.until.is_empty() && !outcome.breaches.is_empty()) {
                        failed.fetch_add(1, Ordering::Relaxed);
                        tell(seed, &outcome, args.history);
                        done.fetch_or(args.first || sought, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (failed, facts) = (failed.into_inner(), facts.into_inner());
    let ran = next.into_inner().min(args.seeds.end) - args.seeds.start;
    eprintln!("{ran} seeds, {facts} facts, {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tell(seed: u64, outcome: &Outcome, history: bool) {
    for breach in &outcome.breaches {
        println!("seed {seed}: {}: {}", breach.kind, breach.text);
    }
    println!("seed {seed}: replay with `cargo run -p cloakroom-sim -- --history --seeds {seed}`");
    if let Some(text) = outcome.history.as_ref().filter(|_| history) {
        println!("{text}");
    }
}
