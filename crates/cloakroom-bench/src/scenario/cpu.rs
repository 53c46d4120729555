//! What a webhook costs the server's process, all in: verified, stored, ordered, delivered.

use anyhow::Context as _;

use crate::report::{Aim, Report};
use crate::scenario::run::Run;
use crate::server::Place;
use crate::webhook::Shape;

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ordering keys.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Webhooks.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..))]
    webhooks: u64,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let shape = Shape::of(args.keys);
    let mut run = Run::cloakroom(place, shape, args.connections, true).await?;
    run.closed(&run.sign(args.webhooks / 4)?).await?;
    let cost = run.closed(&run.sign(args.webhooks)?).await?;
    run.server.stop().await?;

    let mut report = Report::new("cpu");
    report.aim(
        "server CPU, all in",
        cost.server_ms(),
        "ms/webhook",
        Aim::AtMost(0.15),
    );
    report.add(
        "of that in the kernel",
        cost.server_system_ms(),
        "ms/webhook",
    );
    report.add("generator and consumer CPU", cost.own_ms(), "ms/webhook");
    report.add("taken in", cost.load.rate(), "/s");
    let delivered = cost.delivery_rate().context("there is a consumer")?;
    report.add("delivered over HTTP", delivered, "/s");
    Ok(report)
}
