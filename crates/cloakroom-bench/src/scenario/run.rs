//! A server under load, with or without a consumer: what the scenarios have in common.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::timeout;

use crate::clock;
use crate::consumer::Consumer;
use crate::generator::{Generator, Load, Schedule, Times};
use crate::process::Usage;
use crate::server::{Place, Server, Setup};
use crate::webhook::{Batch, Shape};

/// How long a server may take to finish what it was given.
pub(crate) const FINISH_LIMIT: Duration = Duration::from_secs(900);
/// How long a single webhook may take to its consumer.
const TURN_LIMIT: Duration = Duration::from_secs(60);
/// How far ahead the first request of an open loop is scheduled.
pub(crate) const LEAD: Duration = Duration::from_millis(20);

/// A server, the webhooks it has had, and who consumes them.
#[derive(Debug)]
pub(crate) struct Run {
    /// The server.
    pub(crate) server: Server,
    /// Who takes what it delivers.
    pub(crate) consumer: Option<Consumer>,
    shape: Shape,
    connections: usize,
    sent: u64,
}

/// What a load cost.
#[derive(Debug)]
pub(crate) struct Cost {
    /// How the webhooks were answered.
    pub(crate) load: Load,
    /// From the first request to the last delivery, where there is a consumer.
    pub(crate) delivered_in: Option<Duration>,
    /// CPU time of the server until it had nothing left to do, in seconds.
    pub(crate) server_user: f64,
    /// The kernel's part of it.
    pub(crate) server_system: f64,
    /// CPU time of this program while it sent, in seconds: generator, and consumer if there is one.
    pub(crate) own: f64,
}

impl Cost {
    fn per_webhook(&self, seconds: f64) -> f64 {
        seconds * 1_000.0 / self.load.answers.len() as f64
    }

    /// CPU time of the server per webhook, in milliseconds.
    pub(crate) fn server_ms(&self) -> f64 {
        self.per_webhook(self.server_user + self.server_system)
    }

    /// The kernel's part of it.
    pub(crate) fn server_system_ms(&self) -> f64 {
        self.per_webhook(self.server_system)
    }

    /// CPU time of this program per webhook, in milliseconds.
    pub(crate) fn own_ms(&self) -> f64 {
        self.per_webhook(self.own)
    }

    /// Webhooks per second, to the last delivery.
    pub(crate) fn delivery_rate(&self) -> Option<f64> {
        let elapsed = self.delivered_in?;
        Some(self.load.answers.len() as f64 / elapsed.as_secs_f64())
    }
}

impl Run {
    /// Starts `cloakroom serve`.
    pub(crate) async fn cloakroom(
        place: &Place,
        shape: Shape,
        connections: usize,
        delivering: bool,
    ) -> anyhow::Result<Self> {
        let consumer = delivering.then(|| Consumer::start(shape)).transpose()?;
        let setup = Setup {
            consumer: consumer.as_ref().map(|consumer| consumer.address),
            ..Setup::default()
        };
        let server = Server::cloakroom(place, &setup).await?;
        Ok(Self::of(server, consumer, shape, connections))
    }

    /// Around a server that has had no webhook yet.
    pub(crate) fn of(
        server: Server,
        consumer: Option<Consumer>,
        shape: Shape,
        connections: usize,
    ) -> Self {
        Self {
            server,
            consumer,
            shape,
            connections,
            sent: 0,
        }
    }

    /// Starts the server that does nothing.
    pub(crate) async fn null(
        place: &Place,
        shape: Shape,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let server = Server::null(place, false).await?;
        Ok(Self::of(server, None, shape, connections))
    }

    /// How many webhooks it has had.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// The next `count` webhooks, signed.
    pub(crate) fn sign(&self, count: u64) -> anyhow::Result<Arc<Batch>> {
        let batch = Batch::sign(self.shape, self.sent..self.sent + count)?;
        Ok(Arc::new(batch))
    }

    /// Sends as much of the batch as is answered within `limit`, at this concurrency, and waits for nothing else.
    pub(crate) async fn burst(
        &mut self,
        batch: &Arc<Batch>,
        connections: usize,
        limit: Duration,
    ) -> anyhow::Result<Load> {
        let mut generator = Generator::connect(self.server.address, connections).await?;
        let load = generator.closed(batch, Some(limit)).await;
        let load = load.with_context(|| self.server.fate())?;
        self.sent += load.answers.len() as u64;
        Ok(load)
    }

    /// The same, and each connection waits for the delivery of its webhook before it sends the next one.
    pub(crate) async fn turns(
        &mut self,
        batch: &Arc<Batch>,
        connections: usize,
        limit: Duration,
    ) -> anyhow::Result<Load> {
        let consumer = self.consumer.as_ref().context("there is a consumer")?;
        let mut generator = Generator::connect(self.server.address, connections).await?;
        let load = generator.turns(batch, limit, consumer, self.sent);
        let load = match timeout(limit + TURN_LIMIT, load).await {
            Ok(load) => load.with_context(|| self.server.fate())?,
            Err(_) => bail!("a webhook was never delivered; {}", self.server.fate()),
        };
        self.sent += load.answers.len() as u64;
        Ok(load)
    }

    /// Sends the batch in a closed loop and waits until nothing is left to do.
    pub(crate) async fn closed(&mut self, batch: &Arc<Batch>) -> anyhow::Result<Cost> {
        self.load(batch, None).await
    }

    /// Sends the batch at `rate` webhooks per second and waits until nothing is left to do.
    pub(crate) async fn paced(&mut self, batch: &Arc<Batch>, rate: f64) -> anyhow::Result<Cost> {
        self.load(batch, Some(Duration::from_secs_f64(1.0 / rate)))
            .await
    }

    async fn load(
        &mut self,
        batch: &Arc<Batch>,
        interval: Option<Duration>,
    ) -> anyhow::Result<Cost> {
        let mut generator = Generator::connect(self.server.address, self.connections).await?;
        let before = self.server.usage()?;
        let own = Usage::own()?;
        let start = clock::now();
        let load = match interval {
            None => generator.closed(batch, None).await,
            Some(interval) => {
                let schedule = Schedule {
                    start: start + LEAD,
                    interval,
                };
                if let Some(consumer) = &self.consumer {
                    consumer.follow(schedule, self.sent);
                }
                let (sender, batches) = sync_channel(1);
                sender.send(Arc::clone(batch))?;
                drop(sender);
                let answers = Times::default();
                let elapsed = generator.open(batches, schedule, &answers).await;
                elapsed.map(|elapsed| Load {
                    elapsed,
                    answers: answers.take(),
                })
            }
        };
        let load = load.with_context(|| self.server.fate())?;
        drop(generator);
        self.sent += batch.len() as u64;
        let mut delivered_in = None;
        if let Some(consumer) = &self.consumer {
            let last = consumer.expect(self.sent, FINISH_LIMIT).await?;
            delivered_in = Some(last - start);
        }
        let own = Usage::own()?.cpu() - own.cpu();
        let after = self.server.quiet(FINISH_LIMIT).await?;
        Ok(Cost {
            load,
            delivered_in,
            server_user: after.user - before.user,
            server_system: after.system - before.system,
            own,
        })
    }

    /// How long each delivery of the last paced load took from when its webhook was due, in microseconds.
    pub(crate) fn take_latencies(&self) -> Vec<u32> {
        self.consumer
            .as_ref()
            .map(Consumer::take_latencies)
            .unwrap_or_default()
    }

    /// Makes sure that everything sent is released: looks at the streams of the last few webhooks.
    pub(crate) async fn check_released(&self) -> anyhow::Result<()> {
        for serial in self.sent.saturating_sub(5)..self.sent {
            let key = self.shape.key(serial);
            let (released, expected) = (
                self.server.released(&key).await?,
                self.shape.sequence(serial),
            );
            if released != expected {
                bail!("stream {key} is released up to {released}, not {expected}");
            }
        }
        Ok(())
    }
}
