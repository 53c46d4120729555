//! The newest events of streams in use, in memory: after each append the same few are read again, by the resequencer and
//! by every deliverer, and a range read of the tree has to look into each of its tables.
//!
//! What is kept of a stream is its [`Tail`]: *all* events above some position. A reader that has just read up to a
//! stream's end offers it; the writer keeps it up to date. Three rules keep it true:
//!
//! 1. The writer takes a stream out before the commit that changes it and puts it back, changed, after the commit was
//!    published; in between, readers go to the tree, and nothing is offered (the stream is *busy*).
//! 2. A reader announces that it watches a stream before it takes its snapshot. Whatever the writer takes out is void: an
//!    offer that was announced before a commit and comes after its begin is thrown away.
//! 3. Watching is announced first and busyness checked second, and the writer does the reverse. One of the two notices.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use cloakroom_core::event::Event;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::record::Record;
use quick_cache::sync::Cache;

/// At most some 2 KB each.
const STREAMS_MAX: usize = 16_384;

/// How many events of a stream are kept.
const EVENTS_MAX: usize = 3;

/// Streams whose events carry more than this are left to the tree.
const INLINE_MAX_BYTES: usize = 2048;

pub(super) struct Recents {
    cache: Cache<StreamId, Arc<Slot>>,
    /// Streams that a commit under way changes.
    busy: RwLock<HashSet<StreamId>>,
}

/// What is known of one stream.
#[derive(Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Default)]
enum State {
    /// A reader is reading the stream's end.
    #[default]
    Watching,
    Known(Tail),
    /// Not in use any more.
    Void,
}

/// All events of a stream above `after`.
pub(super) struct Tail {
    after: Option<Position>,
    events: Vec<Arc<Record>>,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers what was read since the slot was handed out.
    pub(super) fn offer(&self, after: Option<&Position>, events: &[Event]) {
        let mut tail = Tail {
            after: after.cloned(),
            events: Vec::with_capacity(EVENTS_MAX),
        };
        for event in events {
            let record = Record::Event(event.clone());
            if !tail.change(&event.position, Some(Arc::new(record))) {
                return;
            }
        }
        let mut state = self.state();
        if matches!(*state, State::Watching) {
            *state = State::Known(tail);
        }
    }
}

impl Recents {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::new(STREAMS_MAX),
            busy: RwLock::default(),
        }
    }

    /// The events above `after`, up to `up_to`, at most `limit`. `None` when the tree must be asked.
    pub(super) fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Option<Vec<Event>> {
        let slot = self.cache.get(stream)?;
        let state = slot.state();
        let State::Known(tail) = &*state else {
            return None;
        };
        // `None` is before every position.
        if after < tail.after.as_ref() {
            return None;
        }
        let events = tail.events.iter().filter_map(|record| event(record));
        let above = events.filter(|event| Some(&event.position) > after);
        let within = above.filter(|event| up_to.is_none_or(|up_to| event.position <= *up_to));
        Some(within.take(limit).cloned().collect())
    }

    /// The last event, if it is here.
    pub(super) fn last_event(&self, stream: &StreamId) -> Option<Event> {
        let slot = self.cache.get(stream)?;
        let state = slot.state();
        match &*state {
            State::Known(tail) => tail.events.last().and_then(|record| event(record)).cloned(),
            _ => None,
        }
    }

    /// Announces that a reader is about to read to the end of `stream`. `None` when there is no use in it now.
    pub(super) fn watch(&self, stream: &StreamId) -> Option<Arc<Slot>> {
        let current = self.cache.get(stream);
        if current.is_some_and(|slot| matches!(*slot.state(), State::Known(_))) {
            return None;
        }
        let slot = Arc::new(Slot::default());
        self.cache.insert(stream.clone(), Arc::clone(&slot));
        let busy = self.busy.read().unwrap_or_else(PoisonError::into_inner);
        if busy.contains(stream) {
            *slot.state() = State::Void;
            return None;
        }
        Some(slot)
    }

    /// Begins a commit that changes these streams. Gives what is known of them, in the same order.
    pub(super) fn begin(&self, streams: &[StreamId]) -> Vec<Option<Tail>> {
        let mut busy = self.busy.write().unwrap_or_else(PoisonError::into_inner);
        busy.extend(streams.iter().cloned());
        drop(busy);
        streams.iter().map(|stream| self.take_out(stream)).collect()
    }

    /// Ends a commit, once it is published, with what is now known of the streams.
    pub(super) fn end(&self, streams: Vec<StreamId>, tails: Vec<Option<Tail>>) {
        for (stream, tail) in streams.into_iter().zip(tails) {
            self.take_out(&stream);
            if let Some(tail) = tail {
                let slot = Slot(Mutex::new(State::Known(tail)));
                self.cache.insert(stream, Arc::new(slot));
            }
        }
        self.busy
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn take_out(&self, stream: &StreamId) -> Option<Tail> {
        let (_, slot) = self.cache.remove(stream)?;
        match std::mem::replace(&mut *slot.state(), State::Void) {
            State::Known(tail) => Some(tail),
            State::Watching | State::Void => None,
        }
    }
}

impl Tail {
    /// Takes in that the event at `position` was written, or removed. `false` when the tail is not worth keeping.
    pub(super) fn change(&mut self, position: &Position, written: Option<Arc<Record>>) -> bool {
        if Some(position) <= self.after.as_ref() {
            return true;
        }
        let found = self.events.binary_search_by(|record| {
            let its_position = event(record).map(|event| &event.position);
            its_position.cmp(&Some(position))
        });
        match (found, written) {
            (Ok(at), Some(record)) => self.events[at] = record,
            (Ok(at), None) => drop(self.events.remove(at)),
            (Err(_), None) => {}
            (Err(at), Some(record)) => {
                let payload = event(&record).and_then(Event::payload);
                let inline = payload.and_then(|payload| payload.inline.as_ref());
                if inline.is_some_and(|inline| inline.len() > INLINE_MAX_BYTES) {
                    return false;
                }
                self.events.insert(at, record);
                if self.events.len() > EVENTS_MAX {
                    let lowest = self.events.remove(0);
                    self.after = event(&lowest).map(|event| event.position.clone());
                }
            }
        }
        true
    }
}

fn event(record: &Record) -> Option<&Event> {
    match record {
        Record::Event(event) => Some(event),
        _ => None,
    }
}
