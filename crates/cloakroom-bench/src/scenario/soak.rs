//! Whether anything grows or slows down in the long run, at 80% of what can be kept up.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::clock;
use crate::disk;
use crate::generator::{Generator, Schedule, Times};
use crate::report::{Chart, ChartKind, Report, Series, median, quantiles};
use crate::scenario::run::{FINISH_LIMIT, LEAD, Run};
use crate::server::Place;
use crate::webhook::{Batch, Shape};

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ordering keys.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// How long, in seconds, after the warm-up.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(3..))]
    seconds: u64,
    /// Seconds of the same load beforehand. They are drawn and not compared: with 10,000 keys at 12,000 webhooks a second it
    /// takes 100 until every stream fills a page of the ledger's index by itself, and until then a webhook writes less.
    #[arg(long, default_value_t = 120)]
    warm_up: u64,
    /// Seconds between two looks; at least three fit.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    window: u64,
    /// Webhooks per second, in place of 80% of the peak.
    #[arg(long)]
    rate: Option<f64>,
    /// Webhooks of the closed loop that finds the peak.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(100..))]
    webhooks: u64,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

/// The part of the peak that is kept up.
const PART: f64 = 0.8;
/// What a webhook takes on disk, claim and ledger entry, with some room.
const DISK_EACH: u64 = 3_200;
/// How far the last third may be from the first and still count as flat …
const FLAT: f64 = 1.2;
/// … or how far in absolute numbers: MB, handles, ms.
const SLACK: [f64; 3] = [8.0, 4.0, 1.0];

/// What was seen at the end of a window.
struct Look {
    seconds: f64,
    resident: f64,
    files: f64,
    answer: [f64; 2],
    consumer: [f64; 2],
}

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    ensure!(
        args.seconds >= 3 * args.window,
        "at least three windows are compared: choose a shorter --window or more --seconds"
    );
    let shape = Shape::of(args.keys);
    let mut run = Run::cloakroom(place, shape, args.connections, true).await?;
    run.closed(&run.sign(args.webhooks / 4)?).await?;
    let peak = run.closed(&run.sign(args.webhooks)?).await?;
    let peak = peak.delivery_rate().context("there is a consumer")?;
    let rate = args.rate.unwrap_or(peak * PART);
    let count = (rate * (args.warm_up + args.seconds) as f64) as u64;
    let (needed, free) = (count * DISK_EACH, disk::available(&place.directory)?);
    ensure!(
        needed < free,
        "{count} webhooks take up to {} GB, and {} GB are free: choose another --dir, a lower --rate or fewer --seconds",
        needed / 1_000_000_000,
        free / 1_000_000_000
    );
    let looks = keep_up(&mut run, args, shape, rate, count).await?;
    let consumer = run.consumer.as_ref().context("there is a consumer")?;
    consumer.expect(run.sent() + count, FINISH_LIMIT).await?;
    let disk = run.server.disk_bytes();
    run.server.stop().await?;

    let mut report = Report::new("soak");
    report.add("peak: delivered over HTTP", peak, "/s");
    report.add("kept up", rate, "/s");
    report.add("webhooks", count as f64, "");
    report.add("on disk in the end", disk as f64 / 1e6, "MB");
    tell(&mut report, &looks, args.warm_up as f64);
    Ok(report)
}

/// Sends `count` webhooks at `rate`, each signed shortly before its time, and looks at the server once a window.
async fn keep_up(
    run: &mut Run,
    args: &Args,
    shape: Shape,
    rate: f64,
    count: u64,
) -> anyhow::Result<Vec<Look>> {
    let mut generator = Generator::connect(run.server.address, args.connections).await?;
    let batches = signed(shape, run.sent()..run.sent() + count, rate as u64 + 1);
    let answers = Times::default();
    let schedule = Schedule {
        start: clock::now() + LEAD,
        interval: Duration::from_secs_f64(1.0 / rate),
    };
    let consumer = run.consumer.clone().context("there is a consumer")?;
    consumer.follow(schedule, run.sent());
    let server = &run.server;
    let sending = generator.open(batches, schedule, &answers);
    let looking = async {
        let mut looks = Vec::new();
        for number in 1..=(args.warm_up + args.seconds) / args.window {
            let seconds = number * args.window;
            let due = schedule.start + Duration::from_secs(seconds);
            clock::nap(due.saturating_duration_since(clock::now())).await;
            let usage = server.usage()?;
            looks.push(Look {
                seconds: seconds as f64,
                resident: usage.resident as f64 / 1e6,
                files: usage.files as f64,
                answer: quantiles(&answers.take(), [0.5, 0.99])?,
                consumer: quantiles(&consumer.take_latencies(), [0.5, 0.99])?,
            });
        }
        anyhow::Ok(looks)
    };
    let (sent, looks) = tokio::join!(sending, looking);
    let fate = sent.err();
    if let Some(error) = fate {
        return Err(error.context(run.server.fate()));
    }
    looks
}

/// Webhooks, a second's worth at a time, the next one signed while one is sent.
fn signed(shape: Shape, serials: std::ops::Range<u64>, each: u64) -> Receiver<Arc<Batch>> {
    let (sender, batches) = sync_channel(1);
    thread::spawn(move || {
        let mut next = serials.start;
        while next < serials.end {
            let end = (next + each).min(serials.end);
            // Signing worked for the webhooks that found the peak.
            let Ok(batch) = Batch::sign(shape, next..end) else {
                return;
            };
            if sender.send(Arc::new(batch)).is_err() {
                return;
            }
            next = end;
        }
    });
    batches
}

/// What is told of a run: its name, its unit, [`SLACK`], and where it is found.
type Line = (&'static str, &'static str, f64, fn(&Look) -> f64);

const LINES: [Line; 6] = [
    ("resident memory", "MB", SLACK[0], |look| look.resident),
    ("file handles", "", SLACK[1], |look| look.files),
    ("POST to answer, p50", "ms", SLACK[2], |look| look.answer[0]),
    ("POST to answer, p99", "ms", SLACK[2], |look| look.answer[1]),
    ("POST to consumer, p50", "ms", SLACK[2], |look| {
        look.consumer[0]
    }),
    ("POST to consumer, p99", "ms", SLACK[2], |look| {
        look.consumer[1]
    }),
];

fn tell(report: &mut Report, looks: &[Look], warm_up: f64) {
    let mut drawn = Vec::new();
    for (name, unit, slack, of) in LINES {
        let compared = looks.iter().filter(|look| look.seconds > warm_up);
        let values: Vec<_> = compared.map(of).collect();
        let third = values.len() / 3;
        let (first, last) = (
            median(&values[..third]),
            median(&values[values.len() - third..]),
        );
        report.add(format!("{name}, first third"), first, unit);
        report.add(format!("{name}, last third"), last, unit);
        let is_flat = last <= (first * FLAT).max(first + slack);
        report.add(format!("{name}: flat"), f64::from(u8::from(is_flat)), "");
        drawn.push(Series {
            name: name.to_owned(),
            points: looks.iter().map(|look| (look.seconds, of(look))).collect(),
        });
    }
    let times = drawn.split_off(2);
    drawn.truncate(1);
    let chart = |name: &str, title: &str, y: &str, logarithmic, series| Chart {
        name: name.to_owned(),
        title: title.to_owned(),
        kind: ChartKind::Lines,
        x: "seconds".to_owned(),
        y: y.to_owned(),
        logarithmic,
        series,
    };
    report.charts = vec![
        chart(
            "latency",
            "Soak: latency, at 80% of the peak",
            "milliseconds",
            true,
            times,
        ),
        chart("memory", "Soak: resident memory", "MB", false, drawn),
    ];
}
