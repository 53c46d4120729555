//! Consumers: healthy, slow, dead, flapping or poisoned ones, and what a crash of the sender means to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::id::{EventId, SubscriptionName};
use cloakroom_engine::ports::{Outcome, Outgoing, Sink};

use crate::chance::Chance;
use crate::life::Life;
use crate::stores::Objects;
use crate::time::{WallClock, pass, secs};
use crate::trace::{Fact, Seen, Trace};

/// The longest call.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a FIFO queue remembers a deduplication id.
const DEDUPLICATED_FOR: Duration = Duration::from_secs(300);

/// How a consumer is.
#[derive(Debug, Clone, Copy)]
pub enum Mood {
    /// Takes everything at once.
    Healthy,
    /// Takes so many milliseconds at most.
    Slow(u64),
    /// Does not answer, or refuses everything.
    Dead,
    /// Fails so often, in percent, whether it did what was asked or not.
    Flapping(u64),
}

/// A consumer. Outlives the processes that send to it.
#[derive(Debug)]
pub struct Consumer {
    chance: Chance,
    mood: Mutex<Mood>,
    /// How many events in a hundred it always refuses.
    poisoned: AtomicU64,
    batch_max: usize,
    /// A FIFO queue's memory: deduplication ids, each with when it was first seen.
    queue: Option<Mutex<BTreeMap<Key, i64>>>,
    clock: Arc<WallClock>,
    objects: Arc<Objects>,
}

enum Reply {
    Take,
    TakeAndFail,
    Fail(Option<Duration>),
    Gone,
    Defer,
    Silence,
}

impl Consumer {
    /// The consumer of this name: `batch` takes three events at once, `fifo` is a queue that deduplicates.
    pub fn new(name: &str, seed: u64, clock: &Arc<WallClock>, objects: &Arc<Objects>) -> Self {
        Self {
            chance: Chance::new(seed, name),
            mood: Mutex::new(Mood::Healthy),
            poisoned: AtomicU64::new(0),
            batch_max: if name == "batch" { 3 } else { 1 },
            queue: (name == "fifo").then(Mutex::default),
            clock: Arc::clone(clock),
            objects: Arc::clone(objects),
        }
    }

    /// From now on it is like this, and refuses so many events in a hundred for good.
    pub fn set(&self, mood: Mood, poisoned: u64) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
        self.poisoned.store(poisoned, Ordering::Relaxed);
    }

    fn reply(&self, events: &[Outgoing]) -> (Duration, Reply) {
        let mood = *self.mood.lock().unwrap_or_else(PoisonError::into_inner);
        let poisoned = self.poisoned.load(Ordering::Relaxed);
        let is_poison = |outgoing: &Outgoing| {
            let id = outgoing.event.id.as_str().bytes();
            id.fold(7_u64, |hash, byte| hash.wrapping_mul(31) ^ u64::from(byte)) % 100 < poisoned
        };
        let millis = |bound| Duration::from_millis(self.chance.below(bound));
        if events.iter().any(is_poison) {
            return (millis(20), Reply::Fail(None));
        }
        match mood {
            Mood::Healthy => (millis(20), Reply::Take),
            Mood::Slow(most) => (millis(most), Reply::Take),
            Mood::Dead if self.chance.percent(50) => (millis(20), Reply::Fail(None)),
            Mood::Dead => (TIMEOUT, Reply::Silence),
            Mood::Flapping(often) if self.chance.percent(often) => {
                let reply = match self.chance.below(20) {
                    0..8 => Reply::Fail(None),
                    8..14 => Reply::TakeAndFail,
                    14..16 => Reply::Fail(Some(secs(self.chance.below(40)))),
                    16..19 => Reply::Defer,
                    _ => Reply::Gone,
                };
                (millis(2_000), reply)
            }
            Mood::Flapping(_) => (millis(500), Reply::Take),
        }
    }

    /// Takes what a call asks for. `false` when a FIFO queue swallows it, as a duplicate of what it took before.
    fn take(&self, events: &[Key]) -> bool {
        let Some(queue) = &self.queue else {
            return true;
        };
        let now = self.clock.elapsed();
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered = i64::try_from(DEDUPLICATED_FOR.as_micros()).unwrap_or(i64::MAX);
        let is_known = |first: &i64| now - first < remembered;
        if queue.get(&events[0]).is_some_and(is_known) {
            return false;
        }
        queue.insert(events[0].clone(), now);
        true
    }
}

/// What a FIFO queue tells messages apart by.
type Key = (EventId, u64);

/// A consumer as one process sees it: a crash cuts the connection.
pub struct Connection {
    /// On whose behalf.
    pub subscription: SubscriptionName,
    /// The consumer.
    pub consumer: Arc<Consumer>,
    /// The process.
    pub life: Life,
    /// Where it is written down.
    pub trace: Arc<Trace>,
}

/// A call that is under way. When it is dropped, the sender will never learn how it ended.
struct UnderWay<'a> {
    connection: &'a Connection,
    call: u64,
    events: Vec<Key>,
    takes: bool,
    is_open: bool,
}

impl UnderWay<'_> {
    fn take(&mut self) {
        self.takes = false;
        if self.connection.consumer.take(&self.events) {
            let fact = Fact::Taken { call: self.call };
            self.connection.trace.add(fact);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // The request is out: the consumer may well do what it asks.
        if self.is_open && self.takes && self.connection.consumer.chance.percent(50) {
            self.take();
        }
        if self.is_open {
            let fact = Fact::Ended { call: self.call };
            self.connection.trace.add(fact);
        }
    }
}

#[async_trait]
impl Sink for Connection {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        self.life.point().await;
        let (delay, reply) = self.consumer.reply(events);
        if matches!(reply, Reply::Defer) {
            let wait = secs(1 + self.consumer.chance.below(5));
            return Outcome::Deferred { wait };
        }
        let call = self.trace.read(<[_]>::len) as u64;
        self.trace.add(Fact::Sent {
            call,
            life: self.life.number(),
            subscription: self.subscription.clone(),
            events: events
                .iter()
                .map(|one| self.consumer.objects.seen(one))
                .collect(),
        });
        let takes = matches!(reply, Reply::Take | Reply::TakeAndFail);
        let mut under_way = UnderWay {
            connection: self,
            call,
            events: events
                .iter()
                .map(|one| (one.event.id.clone(), one.epoch))
                .collect(),
            takes,
            is_open: true,
        };
        let is_cut = tokio::select! {
            biased;
            () = self.life.ended() => true,
            () = pass(delay.min(TIMEOUT)) => false,
        };
        if is_cut {
            drop(under_way);
            return std::future::pending().await;
        }
        if under_way.takes {
            under_way.take();
        }
        self.life.point().await;
        under_way.is_open = false;
        self.trace.add(Fact::Ended { call });
        match reply {
            Reply::Take if delay < TIMEOUT => Outcome::Delivered,
            Reply::Gone => Outcome::Gone {
                reason: "410 Gone".to_owned(),
            },
            Reply::Fail(retry_after) => failed(retry_after),
            _ => failed(None),
        }
    }

    fn batch_max(&self) -> usize {
        self.consumer.batch_max
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }
}

fn failed(retry_after: Option<Duration>) -> Outcome {
    Outcome::Failed {
        reason: "500 Internal Server Error".to_owned(),
        retry_after,
    }
}

/// What a pulling consumer saw.
pub fn seen(objects: &Objects, events: &[Outgoing]) -> Vec<Seen> {
    events.iter().map(|one| objects.seen(one)).collect()
}
