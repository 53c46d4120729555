//! Whether many streams cost more than few.

use crate::report::Report;
use crate::scenario::run::Run;
use crate::server::Place;
use crate::webhook::Shape;

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ordering keys, with one webhook each.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10..))]
    keys: u64,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Deliver to a consumer too.
    #[arg(long)]
    deliver: bool,
}

/// The keys come in that many parts, each timed by itself.
const PARTS: u64 = 10;

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let shape = Shape::of(args.keys);
    let mut run = Run::cloakroom(place, shape, args.connections, args.deliver).await?;
    let mut report = Report::new("keys");
    for _ in 0..PARTS {
        let batch = run.sign(args.keys / PARTS)?;
        let cost = run.closed(&batch).await?;
        let usage = run.server.usage()?;
        let sent = run.sent();
        report.add(format!("to {sent} keys: taken in"), cost.load.rate(), "/s");
        report.add(
            format!("to {sent} keys: server CPU"),
            cost.server_ms(),
            "ms/webhook",
        );
        report.add(
            format!("at {sent} keys: resident memory"),
            usage.resident as f64 / 1e6,
            "MB",
        );
    }
    run.check_released().await?;
    run.server.stop().await?;
    Ok(report)
}
