//! The load: a closed loop, which finds the peak, and an open loop, which keeps a schedule whatever the server does.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::clock;
use crate::connection::Connection;
use crate::consumer::Consumer;
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

/// Times of an open loop as they come, in microseconds. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times(Arc<std::sync::Mutex<Vec<u32>>>);

impl Times {
    fn add(&self, time: u32) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.push(time);
    }

    /// Those that came since this was last asked.
    pub(crate) fn take(&self) -> Vec<u32> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The least time that the pacer of an open loop sleeps: those that were due meanwhile go together, and their times still
/// count from when each was due. To wake up for each would take more of the processor than to send it.
const TICK: Duration = Duration::from_micros(200);

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

    /// Sends the batch in order as fast as the server answers: each connection sends its next request when it has the
    /// answer. Nothing is begun after `limit`: then only the first part of the batch is sent.
    pub(crate) async fn closed(
        &mut self,
        batch: &Arc<Batch>,
        limit: Option<Duration>,
    ) -> anyhow::Result<Load> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let start = clock::now();
        for mut connection in self.connections.drain(..) {
            let (batch, next) = (Arc::clone(batch), Arc::clone(&next));
            tasks.spawn(async move {
                let mut answers = Vec::new();
                loop {
                    let sent = clock::now();
                    if limit.is_some_and(|limit| sent - start >= limit) {
                        return anyhow::Ok((connection, answers));
                    }
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= batch.len() {
                        return anyhow::Ok((connection, answers));
                    }
                    post(&mut connection, batch.request(index)).await?;
                    answers.push(micros(clock::now() - sent));
                }
            });
        }
        self.gather(tasks, start).await
    }

    /// As [`Self::closed`], and each connection waits for the delivery of its webhook before it sends the next one. The
    /// times are from the request to the consumer; `first` is the number of the batch's first webhook.
    pub(crate) async fn turns(
        &mut self,
        batch: &Arc<Batch>,
        limit: Duration,
        consumer: &Consumer,
        first: u64,
    ) -> anyhow::Result<Load> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let start = clock::now();
        for mut connection in self.connections.drain(..) {
            let (batch, next, consumer) = (Arc::clone(batch), Arc::clone(&next), consumer.clone());
            tasks.spawn(async move {
                let mut times = Vec::new();
                loop {
                    let sent = clock::now();
                    if sent - start >= limit {
                        return anyhow::Ok((connection, times));
                    }
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= batch.len() {
                        return anyhow::Ok((connection, times));
                    }
                    let came = consumer.watch(first + index as u64);
                    post(&mut connection, batch.request(index)).await?;
                    let came = came.await.context("the consumer stopped")?;
                    times.push(micros(came - sent));
                }
            });
        }
        self.gather(tasks, start).await
    }

    /// Sends each request of the batches, as they come, when it is due, and counts from then: a request that waits for a
    /// free connection waits on the clock. Ends with the last batch, and tells how long it took.
    pub(crate) async fn open(
        &mut self,
        batches: Receiver<Arc<Batch>>,
        schedule: Schedule,
        answers: &Times,
    ) -> anyhow::Result<Duration> {
        let (due, queue) = mpsc::unbounded_channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut tasks = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (queue, answers) = (Arc::clone(&queue), answers.clone());
            tasks.spawn(async move {
                loop {
                    let next: Option<(Arc<Batch>, usize, Instant)> =
                        queue.lock().await.recv().await;
                    let Some((batch, index, due)) = next else {
                        return anyhow::Ok((connection, Vec::new()));
                    };
                    post(&mut connection, batch.request(index)).await?;
                    answers.add(micros(clock::now() - due));
                }
            });
        }
        let pacer = thread::spawn(move || {
            let mut number = 0;
            let mut woke = schedule.start;
            for batch in batches {
                for index in 0..batch.len() {
                    let at = schedule.due(number);
                    number += 1;
                    if at > woke {
                        clock::hold_until(at.max(woke + TICK));
                        woke = clock::now();
                    }
                    if due.send((Arc::clone(&batch), index, at)).is_err() {
                        return;
                    }
                }
            }
        });
        let load = self.gather(tasks, schedule.start).await;
        drop(queue);
        pacer.join().ok().context("the pacer panicked")?;
        Ok(load?.elapsed)
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
