//! Timers: rings that come at a set time. They live in memory only; the ledger's attention index and the sweeper bring
//! them back after a restart.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cloakroom_core::time::Timestamp;
use tokio::sync::Notify;

use crate::ports::Clock;

/// Keys that are due at some time.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    due: Mutex<BinaryHeap<Reverse<(Timestamp, K)>>>,
    earlier: Notify,
}

impl<K: Ord> Timers<K> {
    pub(crate) fn new() -> Self {
        Self {
            due: Mutex::new(BinaryHeap::new()),
            earlier: Notify::new(),
        }
    }

    /// Makes [`Timers::next`] return `key` at `at`. Setting a key twice makes it come twice: rings are cheap.
    pub(crate) fn set(&self, at: Timestamp, key: K) {
        let mut due = self.lock();
        let first = due
            .peek()
            .is_none_or(|Reverse((earliest, _))| at < *earliest);
        due.push(Reverse((at, key)));
        drop(due);
        if first {
            self.earlier.notify_one();
        }
    }

    /// Waits for the next key to be due. Cancel-safe.
    pub(crate) async fn next(&self, clock: &dyn Clock) -> K {
        loop {
            let earliest = {
                let mut due = self.lock();
                match due.peek() {
                    Some(Reverse((at, _))) if *at <= clock.now() => {
                        let Reverse((_, key)) = due.pop().expect("it was just seen");
                        return key;
                    }
                    Some(Reverse((at, _))) => Some(*at),
                    None => None,
                }
            };
            match earliest {
                Some(at) => tokio::select! {
                    () = clock.sleep_until(at) => {}
                    () = self.earlier.notified() => {}
                },
                None => self.earlier.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<(Timestamp, K)>>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
