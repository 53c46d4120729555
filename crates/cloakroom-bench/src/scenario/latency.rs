//! How long an event takes from the POST to its consumer, at half of the rate that can be kept up.

use anyhow::Context as _;

use crate::report::Report;
use crate::scenario::run::Run;
use crate::server::Place;
use crate::webhook::Shape;

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ordering keys.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Webhooks of the closed loop that finds the peak.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(100..))]
    webhooks: u64,
    /// Seconds of the open loop.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Webhooks per second of the open loop, in place of half the peak.
    #[arg(long)]
    rate: Option<f64>,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let shape = Shape::of(args.keys);
    let mut run = Run::cloakroom(place, shape, args.connections, true).await?;
    run.closed(&run.sign(args.webhooks / 4)?).await?;
    let peak = run.closed(&run.sign(args.webhooks)?).await?;
    let peak_rate = peak.delivery_rate().context("there is a consumer")?;
    let rate = args.rate.unwrap_or(peak_rate / 2.0);
    let count = (rate * args.seconds as f64) as u64;
    let paced = run.paced(&run.sign(count)?, rate).await?;
    let latencies = run.take_latencies();
    run.server.stop().await?;

    let mut report = Report::new("latency");
    report.add("peak: taken in while delivering", peak.load.rate(), "/s");
    report.add("peak: delivered over HTTP", peak_rate, "/s");
    report.add("open loop: rate", rate, "/s");
    report.percentiles("open loop: POST to consumer", &latencies)?;
    report.percentiles("open loop: POST to answer", &paced.load.answers)?;
    report.add("open loop: server CPU", paced.server_ms(), "ms/webhook");
    Ok(report)
}
