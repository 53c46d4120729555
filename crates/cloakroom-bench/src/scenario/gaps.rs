//! Many streams that wait at a gap at the same time: for what is missing, or for their deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::generator::Generator;
use crate::report::Report;
use crate::scenario::run::FINISH_LIMIT;
use crate::server::{Place, Server, Setup};
use crate::webhook::{Batch, Shape};

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Streams, each of which gets its second event first.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10..))]
    streams: u64,
    /// Seconds after which a gap is passed over, in the second part: all gaps must be open before the first of them ends.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    deadline: u64,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("gaps");
    filled(place, args, &mut report).await?;
    skipped(place, args, &mut report).await?;
    Ok(report)
}

/// The missing events come after all.
async fn filled(place: &Place, args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let server = start(place, "{ after: 1h, then: wait }").await?;
    let rest = server.usage()?.resident as f64;
    send(&server, args, 1, "with the second events", report).await?;
    let usage = server.quiet(FINISH_LIMIT).await?;
    report.add("resident memory at rest", rest / 1e6, "MB");
    let waiting = usage.resident as f64;
    report.add("resident memory with all gaps open", waiting / 1e6, "MB");
    let each = (waiting - rest) / args.streams as f64;
    report.add("memory for each gap", each, "bytes");
    let start = clock::now();
    send(&server, args, 0, "with the first events", report).await?;
    let sent = clock::now();
    released(&server, 2 * args.streams).await?;
    let done = clock::now();
    report.add("filled: sent in", (sent - start).as_secs_f64(), "s");
    report.add(
        "filled: the rest released after",
        (done - sent).as_secs_f64(),
        "s",
    );
    let rate = 2.0 * args.streams as f64 / (done - start).as_secs_f64();
    report.add("filled: released", rate, "events/s");
    let peak = server.usage()?.resident_peak as f64;
    report.add("filled: most resident memory", peak / 1e6, "MB");
    server.stop().await
}

/// The missing events never come.
async fn skipped(place: &Place, args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let gap = format!("{{ after: {}s, then: skip }}", args.deadline);
    let server = start(place, &gap).await?;
    let start = clock::now();
    send(&server, args, 1, "before they are skipped", report).await?;
    let sent = clock::now();
    let before = server.events_released().await?;
    report.add(
        "skipped: released before the last gap was open",
        before as f64,
        "events",
    );
    released(&server, args.streams).await?;
    let done = clock::now();
    let last_deadline = sent + Duration::from_secs(args.deadline);
    let late = done.saturating_duration_since(last_deadline);
    report.add("skipped: gaps opened in", (sent - start).as_secs_f64(), "s");
    report.add(
        "skipped: all released after the last deadline",
        late.as_secs_f64(),
        "s",
    );
    let usage = server.usage()?;
    report.add(
        "skipped: most resident memory",
        usage.resident_peak as f64 / 1e6,
        "MB",
    );
    let each = usage.cpu() * 1e6 / args.streams as f64;
    report.add("skipped: server CPU for each gap", each, "µs");
    server.stop().await
}

async fn start(place: &Place, gap: &str) -> anyhow::Result<Server> {
    let setup = Setup {
        gap: Some(gap.to_owned()),
        ..Setup::default()
    };
    Server::cloakroom(place, &setup).await
}

/// Sends one webhook of each stream: that with this index.
async fn send(
    server: &Server,
    args: &Args,
    index: u64,
    what: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let shape = Shape::of(args.streams);
    let first = index * args.streams;
    let batch = Arc::new(Batch::sign(shape, first..first + args.streams)?);
    let mut generator = Generator::connect(server.address, args.connections).await?;
    let load = generator.closed(&batch, None).await?;
    report.add(format!("taken in, {what}"), load.rate(), "/s");
    Ok(())
}

async fn released(server: &Server, events: u64) -> anyhow::Result<()> {
    let what = format!("{events} events are released");
    clock::until(&what, FINISH_LIMIT, async || {
        server
            .events_released()
            .await
            .is_ok_and(|released| released >= events)
    })
    .await
}
