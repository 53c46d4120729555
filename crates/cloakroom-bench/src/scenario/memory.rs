//! Resident memory: at rest, under load, and after a million streams.

use std::time::Duration;

use crate::report::{Aim, Report};
use crate::scenario::run::Run;
use crate::server::Place;
use crate::webhook::Shape;

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Webhooks of the load.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..))]
    webhooks: u64,
    /// Streams, with one webhook each.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10..))]
    streams: u64,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

const REST_LIMIT: Duration = Duration::from_secs(60);
const PARTS: u64 = 10;
const MB: f64 = 1e6;

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("memory");
    let shape = Shape::of(10_000);
    let mut loaded = Run::cloakroom(place, shape, args.connections, true).await?;
    let rest = loaded.server.quiet(REST_LIMIT).await?;
    report.aim(
        "at rest",
        rest.resident as f64 / MB,
        "MB",
        Aim::AtMost(60.0),
    );
    loaded.closed(&loaded.sign(args.webhooks)?).await?;
    let usage = loaded.server.usage()?;
    report.aim(
        "most under load, delivering",
        usage.resident_peak as f64 / MB,
        "MB",
        Aim::AtMost(200.0),
    );
    report.add("after the load", usage.resident as f64 / MB, "MB");
    loaded.server.stop().await?;

    let shape = Shape::of(args.streams);
    let mut many = Run::cloakroom(place, shape, args.connections, true).await?;
    for _ in 0..PARTS {
        many.closed(&many.sign(args.streams / PARTS)?).await?;
    }
    let usage = many.server.usage()?;
    let name = format!("after {} streams, delivered", many.sent());
    report.aim(name, usage.resident as f64 / MB, "MB", Aim::AtMost(400.0));
    report.add("most on the way", usage.resident_peak as f64 / MB, "MB");
    many.server.stop().await?;
    Ok(report)
}
