//! The load: a closed loop, which finds the peak, and an open loop, which keeps a schedule whatever the server does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::clock;
use crate::connection::Connection;
use crate::webhook::Batch;

/// How a batch was answered.
#[derive(Debug)]
pub(crate) struct Load {
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// How long each answer took: from the request, or from when the schedule had it, in microseconds.
    pub(crate) answers: Vec<u32>,
}

impl Load {
    /// Webhooks per second.
    pub(crate) fn rate(&self) -> f64 {
        self.answers.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// When the requests of an open loop are due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// When the first one is.
    pub(crate) start: Instant,
    /// The time between two.
    pub(crate) interval: Duration,
}

impl Schedule {
    /// When the request with this index is due.
    pub(crate) fn due(&self, index: usize) -> Instant {
        self.start + Duration::from_nanos(self.interval.as_nanos() as u64 * index as u64)
    }
}

/// Connections to one server, opened before any clock starts.
#[derive(Debug)]
pub(crate) struct Generator {
    connections: Vec<Connection>,
}

impl Generator {
    /// Opens that many connections.
    pub(crate) async fn connect(address: SocketAddr, connections: usize) -> anyhow::Result<Self> {
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            opened.push(Connection::open(address).await?);
        }
        Ok(Self {
            connections: opened,
        })
    }

    /// Sends the batch in order as fast as the server answers: each connection sends its next request when it has the answer.
    pub(crate) async fn closed(&mut self, batch: &Arc<Batch>) -> anyhow::Result<Load> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let start = clock::now();
        for mut connection in self.connections.drain(..) {
            let (batch, next) = (Arc::clone(batch), Arc::clone(&next));
            tasks.spawn(async move {
                let mut answers = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= batch.len() {
                        return anyhow::Ok((connection, answers));
                    }
                    let sent = clock::now();
                    post(&mut connection, batch.request(index)).await?;
                    answers.push(micros(clock::now() - sent));
                }
            });
        }
        self.gather(tasks, start).await
    }

    /// Sends each request of the batch when it is due, and counts from then: a request that waits for a free connection
    /// waits on the clock.
    pub(crate) async fn open(
        &mut self,
        batch: &Arc<Batch>,
        schedule: Schedule,
    ) -> anyhow::Result<Load> {
        let (due, queue) = mpsc::unbounded_channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut tasks = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (batch, queue) = (Arc::clone(batch), Arc::clone(&queue));
            tasks.spawn(async move {
                let mut answers = Vec::new();
                loop {
                    let Some(index) = queue.lock().await.recv().await else {
                        return anyhow::Ok((connection, answers));
                    };
                    post(&mut connection, batch.request(index)).await?;
                    answers.push(micros(clock::now() - schedule.due(index)));
                }
            });
        }
        let count = batch.len();
        let pacer = thread::spawn(move || {
            for index in 0..count {
                clock::hold_until(schedule.due(index));
                if due.send(index).is_err() {
                    return;
                }
            }
        });
        let load = self.gather(tasks, schedule.start).await;
        drop(queue);
        pacer.join().ok().context("the pacer panicked")?;
        load
    }

    async fn gather(
        &mut self,
        mut tasks: JoinSet<anyhow::Result<(Connection, Vec<u32>)>>,
        start: Instant,
    ) -> anyhow::Result<Load> {
        let mut all = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let (connection, answers) = done??;
            self.connections.push(connection);
            all.extend(answers);
        }
        Ok(Load {
            elapsed: clock::now() - start,
            answers: all,
        })
    }
}

/// Anything but 202 would make the figures mean something else.
async fn post(connection: &mut Connection, request: &[u8]) -> anyhow::Result<()> {
    let answer = connection.exchange(request).await?;
    if answer.status != 202 {
        bail!(
            "a webhook was answered {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    Ok(())
}

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
