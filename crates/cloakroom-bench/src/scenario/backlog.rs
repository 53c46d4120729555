//! A consumer that is dead while events pile up, and then takes all of them, in order.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use crate::clock;
use crate::consumer::Consumer;
use crate::report::{Chart, ChartKind, Report, Series};
use crate::scenario::run::{FINISH_LIMIT, Run};
use crate::server::{Place, Server, Setup};
use crate::webhook::Shape;

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Webhooks that pile up.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..))]
    events: u64,
    /// Ordering keys.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

/// How many are prepared at a time.
const PART: u64 = 50_000;
/// Between two looks at the drain.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("backlog");
    let shape = Shape::of(args.keys);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, dead_port()?));
    let setup = Setup {
        consumer: Some(address),
        ..Setup::default()
    };
    let server = Server::cloakroom(place, &setup).await?;
    let mut run = Run::of(server, None, shape, args.connections);

    let mut elapsed = Duration::ZERO;
    let before = run.server.usage()?;
    while run.sent() < args.events {
        let batch = run.sign(PART.min(args.events - run.sent()))?;
        elapsed += run
            .burst(&batch, args.connections, FINISH_LIMIT)
            .await?
            .elapsed;
    }
    let usage = run.server.usage()?;
    let seconds = elapsed.as_secs_f64();
    report.add("piled up", args.events as f64, "events");
    report.add("taken in meanwhile", args.events as f64 / seconds, "/s");
    let each = (usage.cpu() - before.cpu()) * 1e3 / args.events as f64;
    report.add("server CPU meanwhile", each, "ms/webhook");
    report.add("resident memory then", usage.resident as f64 / 1e6, "MB");
    let disk = run.server.disk_bytes() as f64;
    report.add("on disk then", disk / 1e6, "MB");
    report.add("on disk, each", disk / args.events as f64, "bytes");

    let consumer = Consumer::start_at(address, shape)?;
    let (drained, points) = drain(&mut run, args, &consumer).await?;
    let after = run.server.usage()?;
    report.add("drained in", drained.as_secs_f64(), "s");
    let rate = args.events as f64 / drained.as_secs_f64();
    report.add("drained, over HTTP and in order", rate, "/s");
    let each = (after.cpu() - usage.cpu()) * 1e3 / args.events as f64;
    report.add("server CPU per event drained", each, "ms");
    report.add(
        "most resident memory",
        after.resident_peak as f64 / 1e6,
        "MB",
    );
    run.server.stop().await?;
    report.charts = charts(points);
    Ok(report)
}

/// Delivered events and resident memory, after so many seconds.
type Point = (f64, u64, f64);

/// Waits until the consumer has everything; the clock starts with the first delivery.
async fn drain(
    run: &mut Run,
    args: &Args,
    consumer: &Consumer,
) -> anyhow::Result<(Duration, Vec<Point>)> {
    let first = clock::until("the first delivery", FINISH_LIMIT, async || {
        consumer.delivered() > 0
    });
    first.await?;
    let start = clock::now();
    let mut points = Vec::new();
    let mut last = consumer.delivered();
    let mut silent = 0;
    while last < args.events {
        clock::nap(LOOK).await;
        let delivered = consumer.delivered();
        let resident = run.server.usage()?.resident as f64 / 1e6;
        points.push(((clock::now() - start).as_secs_f64(), delivered, resident));
        silent = if delivered > last { 0 } else { silent + 1 };
        // Whatever holds it up is told by what `expect` finds.
        if silent > 120 {
            break;
        }
        last = delivered;
    }
    let end = consumer.expect(args.events, LOOK).await?;
    Ok((end - start, points))
}

fn charts(points: Vec<Point>) -> Vec<Chart> {
    let mut rates = Vec::new();
    let (mut before, mut had) = (0.0, 0);
    for (seconds, delivered, _) in &points {
        rates.push((*seconds, (delivered - had) as f64 / (seconds - before)));
        (before, had) = (*seconds, *delivered);
    }
    let memory = points.into_iter().map(|(at, _, memory)| (at, memory));
    let chart = |name: &str, title: &str, y: &str, points: Vec<(f64, f64)>| Chart {
        name: name.to_owned(),
        title: title.to_owned(),
        kind: ChartKind::Lines,
        x: "seconds since the consumer came back".to_owned(),
        y: y.to_owned(),
        logarithmic: false,
        series: vec![Series {
            name: name.to_owned(),
            points,
        }],
    };
    vec![
        chart(
            "drained",
            "Backlog: delivered in order",
            "events per second",
            rates,
        ),
        chart(
            "memory",
            "Backlog: resident memory while draining",
            "MB",
            memory.collect(),
        ),
    ]
}

/// A port that nobody listens on. Somebody might take it before the consumer does; then that says so.
fn dead_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
