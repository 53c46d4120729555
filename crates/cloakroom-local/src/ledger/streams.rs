//! What is known of the streams and subscribers that were written lately, in memory: every webhook asks.
//!
//! Only the writer fills this, with what is durable: it takes a head out before the commit that changes it, and puts the
//! new one in after. In between, readers ask the database. So nobody ever sees a head here that the database does not
//! show, nor an older one after a newer one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_engine::record::HeadRecord;
use quick_cache::sync::Cache;

use super::tables::Wanted;

/// At some 500 bytes each, 32 MB.
const STREAMS_MAX: usize = 65_536;

/// A stream that has a row.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: i64,
    pub(super) head: Option<Arc<HeadRecord>>,
    /// What the head says of itself to the attention index.
    pub(super) wanted: Wanted,
}

pub(super) struct Streams {
    cache: Cache<StreamId, Known>,
    /// All of them: they are few, and never removed.
    subscribers: RwLock<HashMap<SubscriptionName, i64>>,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::new(STREAMS_MAX),
            subscribers: RwLock::default(),
        }
    }

    pub(super) fn get(&self, stream: &StreamId) -> Option<Known> {
        self.cache.get(stream)
    }

    pub(super) fn take_out(&self, stream: &StreamId) {
        self.cache.remove(stream);
    }

    pub(super) fn put_in(&self, stream: StreamId, known: Known) {
        self.cache.insert(stream, known);
    }

    pub(super) fn subscriber(&self, name: &SubscriptionName) -> Option<i64> {
        let subscribers = self.subscribers.read();
        let subscribers = subscribers.unwrap_or_else(PoisonError::into_inner);
        subscribers.get(name).copied()
    }

    pub(super) fn put_in_subscriber(&self, name: SubscriptionName, id: i64) {
        let subscribers = self.subscribers.write();
        let mut subscribers = subscribers.unwrap_or_else(PoisonError::into_inner);
        subscribers.insert(name, id);
    }
}
