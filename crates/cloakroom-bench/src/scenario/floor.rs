//! What the bench itself can do, against the server that does nothing: no other figure can be better than these.

use crate::report::Report;
use crate::scenario::run::Run;
use crate::server::Place;
use crate::webhook::Shape;

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Webhooks of the closed loop.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..))]
    webhooks: u64,
    /// Webhooks per second of the open loop.
    #[arg(long, default_value_t = 5_000.0)]
    rate: f64,
    /// Seconds of the open loop.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let shape = Shape::of(10_000);
    let mut run = Run::null(place, shape, args.connections).await?;
    let closed = run.closed(&run.sign(args.webhooks)?).await?;
    let count = (args.rate * args.seconds as f64) as u64;
    let open = run.paced(&run.sign(count)?, args.rate).await?;
    run.server.kill()?;

    let mut report = Report::new("floor");
    report.add("closed loop: answered", closed.load.rate(), "/s");
    report.add("closed loop: server CPU", closed.server_ms(), "ms/webhook");
    report.add("closed loop: generator CPU", closed.own_ms(), "ms/webhook");
    report.percentiles("closed loop: answer", &closed.load.answers)?;
    report.add("open loop: answered", open.load.rate(), "/s");
    report.add("open loop: server CPU", open.server_ms(), "ms/webhook");
    report.add("open loop: generator CPU", open.own_ms(), "ms/webhook");
    report.percentiles("open loop: answer", &open.load.answers)?;
    Ok(report)
}
