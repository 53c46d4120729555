//! Heads that were written lately, in memory: every webhook reads one.
//!
//! Only the writer fills this: it takes a head out before the commit that changes it, and puts the new one in once that
//! commit is durable. In between, readers go to the tree. So nobody ever sees a head here that the tree does not show,
//! nor an older one after a newer one.

use std::sync::Arc;

use cloakroom_core::id::StreamId;
use cloakroom_engine::record::Record;
use quick_cache::sync::Cache;

/// At some 400 bytes each, 16 MB.
const HEADS_MAX: usize = 40_000;

pub(super) struct Heads {
    cache: Cache<StreamId, Arc<Record>>,
}

impl Heads {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::new(HEADS_MAX),
        }
    }

    pub(super) fn get(&self, stream: &StreamId) -> Option<Arc<Record>> {
        self.cache.get(stream)
    }

    pub(super) fn take_out(&self, stream: &StreamId) {
        self.cache.remove(stream);
    }

    pub(super) fn put_in(&self, stream: StreamId, head: Arc<Record>) {
        self.cache.insert(stream, head);
    }
}
