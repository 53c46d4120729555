//! The consumer: takes deliveries over real HTTP, and checks that each came once and in order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::{Buf as _, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::clock;
use crate::connection::content_length;
use crate::generator::{Schedule, micros};
use crate::webhook::{MARK, SERIAL_DIGITS, Shape};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// A running consumer. It ends with the program. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    tally: Arc<Mutex<Tally>>,
}

/// What came.
#[derive(Debug)]
struct Tally {
    shape: Shape,
    /// The sequence number last delivered, per key.
    last: Vec<u32>,
    delivered: u64,
    disordered: u64,
    last_at: Option<Instant>,
    schedule: Option<(Schedule, u64)>,
    latencies: Vec<u32>,
    /// Who waits for a webhook, by its number.
    watched: HashMap<u64, oneshot::Sender<Instant>>,
    broken: Option<String>,
}

impl Consumer {
    /// Starts one in a thread of its own.
    pub(crate) fn start(shape: Shape) -> anyhow::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), shape)
    }

    /// Starts one where deliveries are sent to already.
    pub(crate) fn start_at(address: SocketAddr, shape: Shape) -> anyhow::Result<Self> {
        let keys = usize::try_from(shape.keys).context("too many keys")?;
        let tally = Arc::new(Mutex::new(Tally {
            shape,
            last: vec![0; keys],
            delivered: 0,
            disordered: 0,
            last_at: None,
            schedule: None,
            latencies: Vec::new(),
            watched: HashMap::new(),
            broken: None,
        }));
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::clone(&tally);
        thread::Builder::new()
            .name("consumer".to_owned())
            .spawn(move || serve(listener, &shared))?;
        Ok(Self { address, tally })
    }

    /// How many deliveries came.
    pub(crate) fn delivered(&self) -> u64 {
        lock(&self.tally).delivered
    }

    /// Tells when the webhook with this number is delivered. Nobody is told any more once the consumer is broken.
    pub(crate) fn watch(&self, serial: u64) -> oneshot::Receiver<Instant> {
        let (sender, receiver) = oneshot::channel();
        let mut tally = lock(&self.tally);
        if tally.broken.is_none() {
            tally.watched.insert(serial, sender);
        }
        receiver
    }

    /// Measures from here on: webhooks from number `first` on follow the schedule.
    pub(crate) fn follow(&self, schedule: Schedule, first: u64) {
        let mut tally = lock(&self.tally);
        tally.schedule = Some((schedule, first));
        tally.latencies.clear();
    }

    /// How long each delivery since [`Self::follow`] took from when its webhook was due, in microseconds.
    pub(crate) fn take_latencies(&self) -> Vec<u32> {
        std::mem::take(&mut lock(&self.tally).latencies)
    }

    /// Waits until that many came in all, and tells when the last one did.
    ///
    /// # Errors
    /// When they do not come, or when one came twice, out of order, or unreadable.
    pub(crate) async fn expect(&self, count: u64, limit: Duration) -> anyhow::Result<Instant> {
        let what = format!("{count} deliveries");
        let complete = clock::until(&what, limit, async || {
            self.delivered() >= count || self.is_broken()
        })
        .await;
        let tally = lock(&self.tally);
        if let Some(broken) = &tally.broken {
            bail!("the consumer stopped: {broken}");
        }
        complete.with_context(|| format!("{} came", tally.delivered))?;
        if tally.disordered > 0 || tally.delivered != count {
            bail!(
                "{} of {} deliveries for {count} webhooks were doubled or out of order",
                tally.disordered,
                tally.delivered
            );
        }
        tally.last_at.context("nothing was delivered")
    }

    fn is_broken(&self) -> bool {
        lock(&self.tally).broken.is_some()
    }
}

impl Tally {
    fn take(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let serial = serial(payload).context("a delivery holds no webhook of this bench")?;
        let slot = &mut self.last[(serial % self.shape.keys) as usize];
        let sequence = self.shape.sequence(serial) as u32;
        if sequence == *slot + 1 {
            *slot = sequence;
        } else {
            self.disordered += 1;
        }
        self.delivered += 1;
        let now = clock::now();
        self.last_at = Some(now);
        if let Some(watcher) = self.watched.remove(&serial) {
            // Whoever no longer waits need not be told.
            let _ = watcher.send(now);
        }
        if let Some((schedule, first)) = &self.schedule
            && let Some(index) = serial.checked_sub(*first)
        {
            let due = schedule.due(index as usize);
            self.latencies.push(micros(now - due));
        }
        Ok(())
    }

    fn fail(&mut self, error: &anyhow::Error) {
        self.broken = Some(format!("{error:#}"));
        self.watched.clear();
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the webhook whose payload is in there.
fn serial(delivery: &[u8]) -> Option<u64> {
    let start = memmem::find(delivery, MARK)? + MARK.len();
    let digits = delivery.get(start..start + SERIAL_DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn serve(listener: std::net::TcpListener, tally: &Arc<Mutex<Tally>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread can be built");
    let ran: anyhow::Result<()> = runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let tally = Arc::clone(tally);
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &tally).await {
                    lock(&tally).fail(&error);
                }
            });
        }
    });
    if let Err(error) = ran {
        lock(tally).fail(&error);
    }
}

async fn answer(mut stream: TcpStream, tally: &Mutex<Tally>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    loop {
        while let Some((head, length)) = parse(&buffer)? {
            if buffer.len() < head + length {
                break;
            }
            lock(tally).take(&buffer[head..head + length])?;
            buffer.advance(head + length);
            stream.write_all(ANSWER).await?;
        }
        buffer.reserve(16 * 1024);
        // Whoever hangs up has nothing more to deliver; what is missing then shows in the count.
        if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return Ok(());
        }
    }
}

/// The lengths of a request's head and body, once the head is complete.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes)? {
        httparse::Status::Complete(head) => Ok(Some((head, content_length(request.headers)?))),
        httparse::Status::Partial => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(keys: u64) -> Tally {
        Tally {
            shape: Shape::of(keys),
            last: vec![0; keys as usize],
            delivered: 0,
            disordered: 0,
            last_at: None,
            schedule: None,
            latencies: Vec::new(),
            watched: HashMap::new(),
            broken: None,
        }
    }

    #[test]
    fn doubles_and_disorder_are_noticed() {
        let shape = Shape::of(2);
        let disordered = |serials: &[u64]| {
            let mut tally = tally(2);
            for serial in serials {
                tally.take(&shape.payload(*serial)).unwrap();
            }
            tally.disordered
        };
        assert_eq!(disordered(&[1, 0, 2, 3, 5]), 0);
        assert_eq!(disordered(&[0, 0]), 1);
        assert_eq!(disordered(&[2]), 1);
        assert_eq!(disordered(&[0, 4]), 1);
    }

    #[test]
    fn what_is_no_webhook_of_ours_is_refused() {
        assert!(tally(1).take(b"{}").is_err());
    }
}
