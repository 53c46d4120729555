//! A simulated stream: shards that split, close and are forgotten, iterators that expire, calls that fail.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cloakroom_engine::ports::Clock as _;
use serde_json::json;

use super::world::{Dice, TokioClock};
use crate::Record;
use crate::ports::{Checkpoint, Page, Position, Shard, ShardId, Source, SourceError};

/// A shard of the simulated stream.
#[derive(Debug)]
struct SimShard {
    id: ShardId,
    parent: Option<ShardId>,
    closed: bool,
    records: Vec<Record>,
    /// How many of the records the stream has forgotten.
    trimmed: usize,
}

/// A simulated stream.
pub(super) struct Stream {
    shards: Mutex<Vec<SimShard>>,
    clock: Arc<TokioClock>,
    dice: Dice,
    /// How often, in percent, a call fails, and an iterator turns out to be expired.
    faults: u64,
    /// The most records of one page.
    page: usize,
    generation: AtomicU64,
    expired_before: AtomicU64,
}

impl Stream {
    pub(super) fn new(clock: Arc<TokioClock>, seed: u64, faults: u64, page: usize) -> Self {
        Self {
            shards: Mutex::default(),
            clock,
            dice: Dice::new(seed),
            faults,
            page,
            generation: AtomicU64::new(0),
            expired_before: AtomicU64::new(0),
        }
    }

    pub(super) fn open(&self, id: &str, parent: Option<&str>) {
        self.shards.lock().unwrap().push(SimShard {
            id: id.into(),
            parent: parent.map(Into::into),
            closed: false,
            records: Vec::new(),
            trimmed: 0,
        });
    }

    pub(super) fn close(&self, id: &str) {
        self.with(id, |shard| shard.closed = true);
    }

    /// Removes a shard altogether, as DynamoDB does a day after it was closed.
    pub(super) fn forget(&self, id: &str) {
        self.shards.lock().unwrap().retain(|shard| shard.id.0 != id);
    }

    /// The checkpoint of every shard once all of it is settled. Open shards without records have none.
    pub(super) fn ends(&self) -> Vec<(ShardId, Checkpoint)> {
        let shards = self.shards.lock().unwrap();
        let end = |shard: &SimShard| match shard.closed {
            true => Some((shard.id.clone(), Checkpoint::Finished)),
            false => shard.records.last().map(|last| {
                let settled = Checkpoint::After(last.sequence_number.clone());
                (shard.id.clone(), settled)
            }),
        };
        shards.iter().filter_map(end).collect()
    }

    /// Forgets the oldest records of a shard.
    pub(super) fn trim(&self, id: &str, count: usize) {
        self.with(id, |shard| shard.trimmed = count);
    }

    /// Every iterator that was handed out so far is expired.
    pub(super) fn expire_iterators(&self) {
        let now = self.generation.load(Ordering::SeqCst);
        self.expired_before.store(now, Ordering::SeqCst);
    }

    /// Writes records of this kind, numbered on within the shard. Their event ids are `{shard}/{number}`.
    pub(super) fn write(&self, id: &str, count: usize, kind: &str) {
        self.write_sized(id, count, kind, 0);
    }

    /// Writes records that are at least `bytes` long.
    pub(super) fn write_sized(&self, id: &str, count: usize, kind: &str, bytes: usize) {
        let created_at = self.clock.now();
        self.with(id, |shard| {
            for _ in 0..count {
                let number = shard.records.len() + 1;
                let event_id = format!("{id}/{number}");
                let image = json!({"kind": {"S": kind}, "filler": {"S": "x".repeat(bytes)}});
                shard.records.push(Record {
                    body: json!({"eventID": event_id, "dynamodb": {"NewImage": image}}),
                    event_id,
                    sequence_number: number.to_string(),
                    created_at,
                });
            }
        });
    }

    fn with<T>(&self, id: &str, act: impl FnOnce(&mut SimShard) -> T) -> T {
        let mut shards = self.shards.lock().unwrap();
        act(shards.iter_mut().find(|shard| shard.id.0 == id).unwrap())
    }

    fn iterator_at(&self, shard: &str, place: usize) -> String {
        let generation = self.generation.fetch_add(1, Ordering::SeqCst);
        format!("{shard}|{place}|{generation}")
    }

    fn fault(&self) -> Result<(), SourceError> {
        if self.dice.chance(self.faults) {
            return Err(SourceError::Unavailable("simulated".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Source for Stream {
    fn stream_arn(&self) -> &str {
        "arn:aws:dynamodb:eu-west-1:1:table/t/stream/s"
    }

    async fn shards(&self) -> Result<Vec<Shard>, SourceError> {
        tokio::task::yield_now().await;
        self.fault()?;
        let shards = self.shards.lock().unwrap();
        let told = shards.iter().map(|shard| Shard {
            id: shard.id.clone(),
            parent: shard.parent.clone(),
            closed: shard.closed,
        });
        Ok(told.collect())
    }

    async fn iterator(&self, id: &ShardId, at: &Position) -> Result<String, SourceError> {
        tokio::task::yield_now().await;
        self.fault()?;
        let shards = self.shards.lock().unwrap();
        let shard = shards.iter().find(|shard| shard.id == *id);
        let shard = shard.ok_or_else(|| SourceError::Gone(id.to_string()))?;
        let place = match at {
            Position::TrimHorizon => shard.trimmed,
            Position::Latest => shard.records.len(),
            Position::After(number) => number.parse().unwrap(),
        };
        if place < shard.trimmed {
            return Err(SourceError::Trimmed);
        }
        Ok(self.iterator_at(&id.0, place))
    }

    async fn records(&self, iterator: &str) -> Result<Page, SourceError> {
        tokio::task::yield_now().await;
        self.fault()?;
        let mut parts = iterator.split('|');
        let id = parts.next().unwrap();
        let place: usize = parts.next().unwrap().parse().unwrap();
        let generation: u64 = parts.next().unwrap().parse().unwrap();
        let aged = generation < self.expired_before.load(Ordering::SeqCst);
        if aged || self.dice.chance(self.faults / 2) {
            return Err(SourceError::Expired);
        }
        let shards = self.shards.lock().unwrap();
        let shard = shards.iter().find(|shard| shard.id.0 == id);
        let shard = shard.ok_or_else(|| SourceError::Gone(id.to_owned()))?;
        if place < shard.trimmed {
            return Err(SourceError::Trimmed);
        }
        let records: Vec<_> = shard
            .records
            .iter()
            .skip(place)
            .take(self.page)
            .cloned()
            .collect();
        let end = place + records.len();
        let over = shard.closed && end == shard.records.len();
        Ok(Page {
            records,
            next: (!over).then(|| self.iterator_at(id, end)),
        })
    }
}
