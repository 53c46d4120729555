//! Cloakroom beside the least that any receiver must do, and beside what one would write instead: in one run, in turn, so
//! that whatever else the machine does meets all of them.

use std::path::Path;
use std::time::Duration;

use crate::consumer::Consumer;
use crate::plain;
use crate::report::{Chart, ChartKind, Report, Series, median, quantiles};
use crate::scenario::run::Run;
use crate::server::{Place, Server, Setup};
use crate::webhook::Shape;

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Sizes of payloads, in bytes.
    #[arg(long, value_delimiter = ',', default_values_t = [1_024, 65_536])]
    sizes: Vec<usize>,
    /// Requests under way at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    concurrency: Vec<usize>,
    /// Seconds of each burst.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Rounds, each with a burst of every contender.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Leave the plain receiver out; it needs Node and npm.
    #[arg(long)]
    without_plain: bool,
}

const KEYS: u64 = 10_000;
/// What is prepared for one burst at the most, in bytes.
const PREPARED_MAX: usize = 192 * 1024 * 1024;
/// How many webhooks a second are prepared per request under way, before a rate was seen.
const FIRST_GUESS: f64 = 1_500.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contender {
    Limit,
    Plain,
    PlainBatched,
    Cloakroom,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit (append, fdatasync)",
            Self::Plain => "Node, SQLite",
            Self::PlainBatched => "Node, SQLite, batched",
            Self::Cloakroom => "Cloakroom",
        }
    }
}

/// A contender's server, and what was seen of it.
struct Seen {
    contender: Contender,
    run: Run,
    /// One for each concurrency.
    cells: Vec<Cell>,
}

/// What was seen at one concurrency.
#[derive(Default)]
struct Cell {
    rates: Vec<f64>,
    times: Vec<u32>,
}

/// What the bursts of a part wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Answered,
    Delivered,
}

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("compare");
    let program = match args.without_plain {
        true => None,
        false => Some(plain::install(&place.directory)?),
    };
    let mut memory = Vec::new();
    for size in &args.sizes {
        let shape = Shape {
            keys: KEYS,
            size: *size,
        };
        for until in [Until::Answered, Until::Delivered] {
            let seen = part(place, args, shape, program.as_deref(), until).await?;
            tell(&mut report, args, *size, until, &seen)?;
            for one in seen {
                if until == Until::Delivered {
                    let most = one.run.server.usage()?.resident_peak as f64 / 1e6;
                    memory.push((one.contender, *size as f64, most));
                }
                match one.contender {
                    Contender::Cloakroom => one.run.server.stop().await?,
                    _ => one.run.server.kill()?,
                }
            }
        }
    }
    tell_memory(&mut report, &memory);
    Ok(report)
}

/// All bursts of one size.
async fn part(
    place: &Place,
    args: &Args,
    shape: Shape,
    program: Option<&Path>,
    until: Until,
) -> anyhow::Result<Vec<Seen>> {
    let mut seen = start(place, shape, program, until).await?;
    let limit = Duration::from_secs_f64(args.seconds);
    for concurrency in &args.concurrency {
        for one in &mut seen {
            one.cells.push(Cell::default());
        }
        for _ in 0..args.rounds {
            for Seen { run, cells, .. } in &mut seen {
                let Some(cell) = cells.last_mut() else {
                    continue;
                };
                let guess = FIRST_GUESS * *concurrency as f64;
                let rate = cell.rates.last().map_or(guess, |rate| rate * 1.5);
                let most = PREPARED_MAX / shape.size;
                let count = ((rate * args.seconds) as usize).clamp(*concurrency, most);
                let batch = run.sign(count as u64)?;
                let load = match until {
                    Until::Answered => run.burst(&batch, *concurrency, limit).await?,
                    Until::Delivered => run.turns(&batch, *concurrency, limit).await?,
                };
                cell.rates.push(load.rate());
                cell.times.extend(load.answers);
            }
        }
    }
    Ok(seen)
}

async fn start(
    place: &Place,
    shape: Shape,
    program: Option<&Path>,
    until: Until,
) -> anyhow::Result<Vec<Seen>> {
    let delivering = until == Until::Delivered;
    let mut contenders = vec![Contender::Cloakroom];
    if program.is_some() {
        contenders.splice(..0, [Contender::Plain, Contender::PlainBatched]);
    }
    if !delivering {
        // It has nobody to deliver to.
        contenders.insert(0, Contender::Limit);
    }
    let mut seen = Vec::new();
    for contender in contenders {
        let consumer = delivering.then(|| Consumer::start(shape)).transpose()?;
        let address = consumer.as_ref().map(|consumer| consumer.address);
        let server = match (contender, program) {
            (Contender::Limit, _) => Server::null(place, true).await?,
            (Contender::Plain | Contender::PlainBatched, Some(program)) => {
                let batched = contender == Contender::PlainBatched;
                Server::plain(place, program, address, batched).await?
            }
            _ => {
                let setup = Setup {
                    consumer: address,
                    // The plain receiver sends whole payloads, too.
                    inline_max: Some(shape.size),
                    ..Setup::default()
                };
                Server::cloakroom(place, &setup).await?
            }
        };
        seen.push(Seen {
            contender,
            run: Run::of(server, consumer, shape, 1),
            cells: Vec::new(),
        });
    }
    Ok(seen)
}

fn tell(
    report: &mut Report,
    args: &Args,
    size: usize,
    until: Until,
    seen: &[Seen],
) -> anyhow::Result<()> {
    let (what, done, chart) = match until {
        Until::Answered => ("answer", "taken in", "answer"),
        Until::Delivered => ("consumer", "delivered", "consumer"),
    };
    let (mut rates, mut slowest) = (Vec::new(), Vec::new());
    for Seen {
        contender, cells, ..
    } in seen
    {
        let name = contender.name();
        let (mut rate_line, mut slow_line) = (Vec::new(), Vec::new());
        for (cell, concurrency) in cells.iter().zip(&args.concurrency) {
            let place = format!("{}, {concurrency} at once, {name}", kib(size));
            let rate = median(&cell.rates);
            let [p50, p99] = quantiles(&cell.times, [0.5, 0.99])?;
            report.add(format!("{place}: {done}"), rate, "/s");
            report.add(format!("{place}: POST to {what}, p50"), p50, "ms");
            report.add(format!("{place}: POST to {what}, p99"), p99, "ms");
            rate_line.push((*concurrency as f64, rate));
            slow_line.push((*concurrency as f64, p99));
        }
        rates.push(series(name, rate_line));
        slowest.push(series(name, slow_line));
    }
    tell_ratios(report, args, size, done, seen);
    let bars = |name: String, title: String, y: &str, logarithmic, series| Chart {
        name,
        title,
        kind: ChartKind::Bars,
        x: "requests under way".to_owned(),
        y: y.to_owned(),
        logarithmic,
        series,
    };
    let size = kib(size);
    let slug = size.replace(' ', "").to_lowercase();
    report.charts.push(bars(
        format!("{chart}-rate-{slug}"),
        format!("Webhooks of {size} {done}"),
        "webhooks per second",
        false,
        rates,
    ));
    report.charts.push(bars(
        format!("{chart}-p99-{slug}"),
        format!("POST to {what}, webhooks of {size}, p99"),
        "milliseconds",
        true,
        slowest,
    ));
    Ok(())
}

/// Cloakroom's rates as a part of the others'.
fn tell_ratios(report: &mut Report, args: &Args, size: usize, done: &str, seen: &[Seen]) {
    let Some((ours, others)) = seen.split_last() else {
        return;
    };
    for other in others {
        for ((ours, theirs), concurrency) in
            ours.cells.iter().zip(&other.cells).zip(&args.concurrency)
        {
            let rounds = ours.rates.iter().zip(&theirs.rates);
            let ratios: Vec<_> = rounds.map(|(ours, theirs)| ours / theirs).collect();
            let name = format!(
                "{}, {concurrency} at once: {done} in proportion to: {}",
                kib(size),
                other.contender.name()
            );
            report.add(name, median(&ratios), "");
        }
    }
}

fn tell_memory(report: &mut Report, memory: &[(Contender, f64, f64)]) {
    let mut lines: Vec<Series> = Vec::new();
    for (contender, size, most) in memory {
        let name = contender.name();
        let figure = format!("{}, {name}: most memory, delivering", kib(*size as usize));
        report.add(figure, *most, "MB");
        let point = (*size / 1_024.0, *most);
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(series(name, vec![point])),
        }
    }
    report.charts.push(Chart {
        name: "memory".to_owned(),
        title: "Most resident memory while taking in and delivering".to_owned(),
        kind: ChartKind::Bars,
        x: "size of payloads, in KiB".to_owned(),
        y: "MB".to_owned(),
        logarithmic: false,
        series: lines,
    });
}

fn series(name: &str, points: Vec<(f64, f64)>) -> Series {
    Series {
        name: name.to_owned(),
        points,
    }
}

fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes / 1_024)
}
