//! Heads that this process has seen: what an append to a stream seen before need not read again.
//!
//! A remembered head is an old one, and heads only move forward. That an entry was appended above the real head must
//! still follow from the write alone: in a dense stream every number from the base to the head is taken, so a
//! conditional write there fails. Only retention frees numbers again. An entry it removes is older than the retention
//! time, so it lay above the remembered head all along; a head that showed no gap is therefore good for half the
//! retention time at most, as long as the sweep visits every stream once in the other half.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloakroom_core::head::Head;
use cloakroom_core::id::StreamId;
use cloakroom_core::time::Timestamp;

use crate::record::HeadRecord;

/// How many streams are remembered.
const STREAMS_MAX: usize = 20_000;
/// How long a head is remembered at most.
const REMEMBERED_FOR: Duration = Duration::from_secs(60 * 60);

/// Heads by stream, each with when it was read.
#[derive(Debug)]
pub(crate) struct KnownHeads {
    heads: Mutex<HashMap<StreamId, (Head, Timestamp)>>,
    good_for: Duration,
}

impl KnownHeads {
    pub(crate) fn new(retention: Duration) -> Self {
        Self {
            heads: Mutex::default(),
            good_for: REMEMBERED_FOR.min(retention / 2),
        }
    }

    /// Remembers a head that was just read.
    pub(crate) fn remember(&self, head: &HeadRecord, now: Timestamp) {
        let mut heads = self.lock();
        if heads.len() >= STREAMS_MAX && !heads.contains_key(&head.stream) {
            // What is still in use comes back at the price of one read each.
            heads.clear();
        }
        heads.insert(head.stream.clone(), (head.head.clone(), now));
    }

    /// The head as it was when it was last read, if that is not too long ago.
    pub(crate) fn get(&self, stream: &StreamId, now: Timestamp) -> Option<Head> {
        let heads = self.lock();
        let (head, read_at) = heads.get(stream)?;
        (now.since(*read_at) < self.good_for).then(|| head.clone())
    }

    pub(crate) fn forget(&self, stream: &StreamId) {
        self.lock().remove(stream);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, (Head, Timestamp)>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(key: usize) -> HeadRecord {
        HeadRecord {
            stream: StreamId::new("orders", &*key.to_string()),
            head: Head::default(),
            appended: 0,
            advanced_at: 0,
            revision: 0,
        }
    }

    #[test]
    fn a_head_is_known_for_an_hour_or_half_the_retention() {
        let read_at = Timestamp::from_secs(1_000);
        for (retention, good_for) in [(u64::MAX, 3_600), (7_200, 3_600), (600, 300)] {
            let known = KnownHeads::new(Duration::from_secs(retention));
            let head = head(1);
            known.remember(&head, read_at);
            let after = |secs| known.get(&head.stream, read_at.after(Duration::from_secs(secs)));
            assert!(after(good_for - 1).is_some(), "{retention}");
            assert!(after(good_for).is_none(), "{retention}");
        }
    }

    #[test]
    fn what_is_known_has_a_bound_and_what_is_read_again_takes_no_room() {
        let known = KnownHeads::new(Duration::MAX);
        for key in (0..STREAMS_MAX).chain(0..STREAMS_MAX) {
            known.remember(&head(key), Timestamp::from_secs(1));
        }
        assert_eq!(known.lock().len(), STREAMS_MAX);
        known.remember(&head(STREAMS_MAX), Timestamp::from_secs(1));
        assert_eq!(known.lock().len(), 1);
    }
}
