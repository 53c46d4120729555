//! Whether a burst that arrives in reverse costs more per event the longer it is.

use std::sync::Arc;

use crate::clock;
use crate::consumer::Consumer;
use crate::generator::Generator;
use crate::report::Report;
use crate::scenario::run::FINISH_LIMIT;
use crate::server::{Place, Server, Setup};
use crate::webhook::{Batch, Shape};

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The lengths of the bursts.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    lengths: Vec<u64>,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Deliver to a consumer too, one event at a time as the order wants it.
    #[arg(long)]
    deliver: bool,
}

pub(crate) async fn run(place: &Place, args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("reversed");
    for length in &args.lengths {
        burst(place, args, *length, &mut report).await?;
    }
    Ok(report)
}

async fn burst(place: &Place, args: &Args, length: u64, report: &mut Report) -> anyhow::Result<()> {
    let shape = Shape::of(1);
    let consumer = args.deliver.then(|| Consumer::start(shape)).transpose()?;
    let address = consumer.as_ref().map(|consumer| consumer.address);
    let setup = Setup {
        consumer: address,
        ..Setup::default()
    };
    let server = Server::cloakroom(place, &setup).await?;
    let batch = Arc::new(Batch::sign(shape, (0..length).rev())?);
    let mut generator = Generator::connect(server.address, args.connections).await?;
    let before = server.usage()?;
    let start = clock::now();
    let load = generator.closed(&batch, None).await?;
    let key = shape.key(0);
    clock::until("the burst is released", FINISH_LIMIT, async || {
        server.released(&key).await.is_ok_and(|head| head == length)
    })
    .await?;
    let released = clock::now() - start;
    let per_event = |seconds: f64| seconds * 1e6 / length as f64;
    report.add(
        format!("{length} events: taken in"),
        load.elapsed.as_secs_f64(),
        "s",
    );
    report.add(
        format!("{length} events: all released after"),
        released.as_secs_f64(),
        "s",
    );
    report.add(
        format!("{length} events: time until released"),
        per_event(released.as_secs_f64()),
        "µs/event",
    );
    if let Some(consumer) = consumer {
        let last = consumer.expect(length, FINISH_LIMIT).await?;
        report.add(
            format!("{length} events: all delivered after"),
            (last - start).as_secs_f64(),
            "s",
        );
    }
    let usage = server.quiet(FINISH_LIMIT).await?;
    report.add(
        format!("{length} events: server CPU"),
        per_event(usage.cpu() - before.cpu()),
        "µs/event",
    );
    server.stop().await
}
