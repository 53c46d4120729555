//! Timers: rings that come at a set time. They live in memory only; the ledger's attention index and the sweeper bring
//! them back after a restart.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cloakroom_core::time::Timestamp;
use tokio::sync::Notify;

use crate::ports::Clock;

/// Keys that are due at some time, each at most once.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    due: Mutex<State<K>>,
    earlier: Notify,
}

#[derive(Debug)]
struct State<K> {
    /// What was set, with leftovers of what was set to an earlier time since.
    heap: BinaryHeap<Reverse<(Timestamp, K)>>,
    /// When each key is due.
    at: HashMap<K, Timestamp>,
}

impl<K: Ord + Hash + Clone> Timers<K> {
    pub(crate) fn new() -> Self {
        let due = State {
            heap: BinaryHeap::new(),
            at: HashMap::new(),
        };
        Self {
            due: Mutex::new(due),
            earlier: Notify::new(),
        }
    }

    /// Makes [`Timers::next`] return `key` at `at`, or before that when it is set to an earlier time already: whoever
    /// looks then finds that it is too early and sets it again. So the sweeper may set a timer on every visit.
    pub(crate) fn set(&self, at: Timestamp, key: K) {
        let mut due = self.lock();
        if due.at.get(&key).is_some_and(|set| *set <= at) {
            return;
        }
        let first = due
            .heap
            .peek()
            .is_none_or(|Reverse((earliest, _))| at < *earliest);
        due.at.insert(key.clone(), at);
        due.heap.push(Reverse((at, key)));
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
                match due.heap.peek() {
                    Some(Reverse((at, _))) if *at <= clock.now() => {
                        let Reverse((at, key)) = due.heap.pop().expect("it was just seen");
                        if due.at.get(&key) == Some(&at) {
                            due.at.remove(&key);
                            return key;
                        }
                        continue;
                    }
                    Some(Reverse((at, _))) => Some(*at),
                    None => None,
                }
            };
            match earliest {
                Some(at) => tokio::select! {
                    biased;
                    () = clock.sleep_until(at) => {}
                    () = self.earlier.notified() => {}
                },
                None => self.earlier.notified().await,
            }
        }
    }

    /// How many are set.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().heap.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
