//! Doorbells: "look at this again". They carry no truth, so they are allowed to coalesce.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A queue of things to look at. Each is looked at by one worker at a time; a ring during the look means one more look.
#[derive(Debug)]
pub(crate) struct Doorbells<K> {
    state: Mutex<State<K>>,
    rung: Notify,
}

#[derive(Debug)]
struct State<K> {
    waiting: VecDeque<K>,
    known: HashMap<K, Bell>,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bell {
    Waiting,
    Busy,
    BusyAndRung,
}

impl<K: Hash + Eq + Clone> Doorbells<K> {
    pub(crate) fn new() -> Self {
        let state = State {
            waiting: VecDeque::new(),
            known: HashMap::new(),
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            rung: Notify::new(),
        }
    }

    /// Asks for a look at `key`, after this call.
    pub(crate) fn ring(&self, key: K) {
        let mut state = self.lock();
        match state.known.get_mut(&key) {
            Some(Bell::Waiting | Bell::BusyAndRung) => {}
            Some(bell) => *bell = Bell::BusyAndRung,
            None => {
                state.known.insert(key.clone(), Bell::Waiting);
                state.waiting.push_back(key);
                drop(state);
                self.rung.notify_one();
            }
        }
    }

    /// The next thing to look at; `None` once closed and empty-handed. Pass it to [`Doorbells::done`] afterwards.
    pub(crate) async fn next(&self) -> Option<K> {
        loop {
            {
                let mut state = self.lock();
                if state.closed {
                    self.rung.notify_one();
                    return None;
                }
                if let Some(key) = state.waiting.pop_front() {
                    state.known.insert(key.clone(), Bell::Busy);
                    if !state.waiting.is_empty() {
                        self.rung.notify_one();
                    }
                    return Some(key);
                }
            }
            self.rung.notified().await;
        }
    }

    /// The look is over.
    pub(crate) fn done(&self, key: &K) {
        let mut state = self.lock();
        if state.known.get(key) == Some(&Bell::BusyAndRung) {
            state.known.insert(key.clone(), Bell::Waiting);
            state.waiting.push_back(key.clone());
            drop(state);
            self.rung.notify_one();
        } else {
            state.known.remove(key);
        }
    }

    /// Whether nothing waits and nobody is looking.
    #[cfg(test)]
    fn is_idle(&self) -> bool {
        self.lock().known.is_empty()
    }

    /// Ends every [`Doorbells::next`]. What still waits is found again by the sweeper of a later run.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.rung.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rings_coalesce_and_a_ring_during_a_look_means_one_more() {
        let bells = Doorbells::new();
        bells.ring("a");
        bells.ring("a");
        bells.ring("b");
        assert_eq!(bells.next().await, Some("a"));
        bells.ring("a");
        bells.ring("a");
        assert_eq!(bells.next().await, Some("b"));
        bells.done(&"b");
        assert!(!bells.is_idle());
        bells.done(&"a");
        assert_eq!(bells.next().await, Some("a"));
        bells.done(&"a");
        assert!(bells.is_idle());
        bells.close();
        assert_eq!(bells.next().await, None);
        assert_eq!(bells.next().await, None);
    }
}
