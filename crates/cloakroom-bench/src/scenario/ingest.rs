//! How fast webhooks are taken in, as a ratio to the same HTTP stack doing nothing.

use crate::report::{Aim, Report, median};
use crate::scenario::run::{Cost, Run};
use crate::server::Place;
use crate::webhook::Shape;

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ordering keys.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Webhooks per round.
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u64).range(100..))]
    webhooks: u64,
    /// Rounds of each server, in turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let shape = Shape::of(args.keys);
    let mut cloakroom = Run::cloakroom(place, shape, args.connections, false).await?;
    let mut null = Run::null(place, shape, args.connections).await?;
    let warm_up = args.webhooks / 4;
    cloakroom.closed(&cloakroom.sign(warm_up)?).await?;
    null.closed(&null.sign(warm_up)?).await?;
    let (mut ours, mut nulls) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        ours.push(cloakroom.closed(&cloakroom.sign(args.webhooks)?).await?);
        nulls.push(null.closed(&null.sign(args.webhooks)?).await?);
    }
    cloakroom.check_released().await?;
    cloakroom.server.stop().await?;
    null.server.kill()?;
    report(&ours, &nulls)
}

fn report(ours: &[Cost], nulls: &[Cost]) -> anyhow::Result<Report> {
    let rates = |costs: &[Cost]| {
        costs
            .iter()
            .map(|cost| cost.load.rate())
            .collect::<Vec<_>>()
    };
    let ratios: Vec<_> = rates(ours)
        .iter()
        .zip(rates(nulls))
        .map(|(ours, null)| ours / null)
        .collect();
    let mut report = Report::new("ingest");
    report.aim(
        "ratio to the server that does nothing, median of the rounds",
        median(&ratios),
        "",
        Aim::AtLeast(0.5),
    );
    let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = ratios.iter().copied().fold(0.0, f64::max);
    report.add("lowest ratio of a round", lowest, "");
    report.add("highest ratio of a round", highest, "");
    let all_in = |costs| mean(costs, Cost::server_ms) + mean(costs, Cost::own_ms);
    report.add(
        "ratio of CPU time instead, generator included",
        all_in(nulls) / all_in(ours),
        "",
    );
    for (name, costs) in [("cloakroom", ours), ("nothing", nulls)] {
        let mean = |of| mean(costs, of);
        report.add(format!("{name}: webhooks"), median(&rates(costs)), "/s");
        report.add(
            format!("{name}: server CPU"),
            mean(Cost::server_ms),
            "ms/webhook",
        );
        report.add(
            format!("{name}: of that in the kernel"),
            mean(Cost::server_system_ms),
            "ms/webhook",
        );
        report.add(
            format!("{name}: generator CPU"),
            mean(Cost::own_ms),
            "ms/webhook",
        );
        let answers: Vec<_> = costs
            .iter()
            .flat_map(|cost| cost.load.answers.iter().copied())
            .collect();
        report.percentiles(&format!("{name}: answer"), &answers)?;
    }
    Ok(report)
}

fn mean(costs: &[Cost], of: fn(&Cost) -> f64) -> f64 {
    costs.iter().map(of).sum::<f64>() / costs.len() as f64
}
