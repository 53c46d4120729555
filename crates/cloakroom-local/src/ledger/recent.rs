//! Events and cursors that were written lately, in memory: what was just taken in is released and sent a moment later, and
//! a read of the database costs most then, because each commit empties the pages that its readers keep.
//!
//! As with [`super::streams`], only the writer fills this, with what is durable: before a commit it takes out whatever that
//! commit changes, and after it puts the new state in. In between, readers ask the database.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloakroom_core::event::Event;
use cloakroom_core::position::Position;
use cloakroom_engine::record::Cursor;
use quick_cache::sync::Cache;

use crate::value::Header;

/// How many events are kept, of all streams.
const EVENTS_MAX: usize = 8_192;
/// How many of one stream.
const STREAM_EVENTS_MAX: usize = 64;
/// Events whose stored form is larger are not kept: with the two limits above, 32 MB at most, and 5 MB in most cases.
const EVENT_MAX_BYTES: usize = 4 * 1024;
/// Of how many streams the last position is remembered, at some 120 bytes each.
const STREAMS_MAX: usize = 65_536;
/// How many cursors are kept, at some 400 bytes each.
const CURSORS_MAX: usize = 32_768;

/// A cursor and the header of its stored form.
pub(super) type KnownCursor = (Header, Arc<Cursor>);

pub(super) struct Recent {
    tails: Mutex<Tails>,
    cursors: Cache<(i64, i64), KnownCursor>,
    kinds: AtomicU32,
}

#[derive(Default)]
struct Tails {
    by_stream: HashMap<i64, Tail>,
    /// The events that are kept, the oldest first.
    kept: VecDeque<(i64, Position)>,
}

/// The end of a stream: every event above `after`, and there are no others.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    after: Option<Position>,
    events: Vec<Arc<Event>>,
}

impl Tail {
    /// Of a stream whose last event stands at this position, if it has any.
    pub(super) fn behind(last: Option<Position>) -> Self {
        Self {
            after: last,
            events: Vec::new(),
        }
    }

    /// Whether all above `position` is here.
    fn reaches(&self, position: Option<&Position>) -> bool {
        self.after.as_ref() <= position
    }

    fn add(&mut self, event: Arc<Event>) {
        if !self.reaches(Some(&event.position)) {
            return;
        }
        let place = self
            .events
            .partition_point(|other| other.position < event.position);
        self.events.insert(place, event);
        if self.events.len() > STREAM_EVENTS_MAX {
            let lowest = self.events[0].position.clone();
            self.forget(lowest);
        }
    }

    /// Nothing is known any more of what stands at `position` and below.
    fn forget(&mut self, position: Position) {
        self.events.retain(|event| event.position > position);
        if self.reaches(Some(&position)) {
            self.after = Some(position);
        }
    }
}

impl Recent {
    pub(super) fn new() -> Self {
        Self {
            tails: Mutex::default(),
            cursors: Cache::new(CURSORS_MAX),
            kinds: AtomicU32::new(0),
        }
    }

    /// The events of a range, if all of it is here.
    pub(super) fn events(
        &self,
        stream: i64,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Option<Vec<Arc<Event>>> {
        let tails = self.tails();
        let tail = tails.by_stream.get(&stream)?;
        if !tail.reaches(after) {
            return None;
        }
        let first = tail
            .events
            .partition_point(|event| Some(&event.position) <= after);
        let within = tail.events[first..]
            .iter()
            .take_while(|event| up_to.is_none_or(|up_to| event.position <= *up_to));
        Some(within.take(limit).cloned().collect())
    }

    /// What stands at a position: the outer `None` when that is not known here.
    pub(super) fn event(&self, stream: i64, position: &Position) -> Option<Option<Arc<Event>>> {
        let tails = self.tails();
        let tail = tails.by_stream.get(&stream)?;
        let is_known = tail.after.as_ref() < Some(position);
        is_known.then(|| {
            let found = tail
                .events
                .binary_search_by(|event| event.position.cmp(position));
            found.ok().map(|at| Arc::clone(&tail.events[at]))
        })
    }

    /// The last event of a stream: the outer `None` when that is not known here.
    pub(super) fn last_event(&self, stream: i64) -> Option<Option<Arc<Event>>> {
        let tails = self.tails();
        let tail = tails.by_stream.get(&stream)?;
        match tail.events.last() {
            Some(last) => Some(Some(Arc::clone(last))),
            None => tail.after.is_none().then_some(None),
        }
    }

    /// Hides the end of a stream that is about to change.
    pub(super) fn take_tail(&self, stream: i64) -> Option<Tail> {
        self.tails().by_stream.remove(&stream)
    }

    /// Shows the ends of streams, with the events that a commit put there.
    pub(super) fn put_tails(&self, changed: impl Iterator<Item = (i64, Tail, Vec<Added>)>) {
        let mut tails = self.tails();
        for (stream, mut tail, added) in changed {
            for Added { event, stored_len } in added {
                if stored_len > EVENT_MAX_BYTES {
                    tail.forget(event.position.clone());
                    continue;
                }
                if tail.reaches(Some(&event.position)) {
                    tails.kept.push_back((stream, event.position.clone()));
                    tail.add(event);
                }
            }
            tails.by_stream.insert(stream, tail);
        }
        tails.trim();
    }

    pub(super) fn cursor(&self, subscriber: i64, stream: i64) -> Option<KnownCursor> {
        self.cursors.get(&(subscriber, stream))
    }

    pub(super) fn take_out_cursor(&self, place: (i64, i64)) {
        self.cursors.remove(&place);
    }

    pub(super) fn put_in_cursor(&self, place: (i64, i64), cursor: KnownCursor) {
        self.cursors.insert(place, cursor);
    }

    /// From now on there may be records whose key begins with this byte. Told before their commit.
    pub(super) fn note_kind(&self, kind: u8) {
        self.kinds.fetch_or(bit(kind), Ordering::Release);
    }

    /// Whether there can be any record whose key begins with this byte.
    pub(super) fn may_hold(&self, kind: u8) -> bool {
        self.kinds.load(Ordering::Acquire) & bit(kind) != 0
    }

    fn tails(&self) -> MutexGuard<'_, Tails> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kinds of records are few and small numbers; what else stands in the database is asked for by nobody.
fn bit(kind: u8) -> u32 {
    1_u32.checked_shl(kind.into()).unwrap_or(0)
}

/// An event that a commit added, and how long its stored form is.
pub(super) struct Added {
    pub(super) event: Arc<Event>,
    pub(super) stored_len: usize,
}

impl Tails {
    fn trim(&mut self) {
        while self.kept.len() > EVENTS_MAX
            && let Some((stream, position)) = self.kept.pop_front()
        {
            if let Some(tail) = self.by_stream.get_mut(&stream) {
                tail.forget(position);
            }
        }
        if self.by_stream.len() > STREAMS_MAX {
            // At most EVENTS_MAX stay, so this is rare.
            self.by_stream.retain(|_, tail| !tail.events.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::id::StreamId;
    use cloakroom_engine::conformance::samples;

    use super::*;

    fn added(number: u64) -> Added {
        let stream = StreamId::new("shop", "TR-42");
        Added {
            event: Arc::new(samples::event(&stream, &Position::dense(number), "evt")),
            stored_len: 600,
        }
    }

    fn numbers(found: Option<Vec<Arc<Event>>>) -> Option<Vec<u64>> {
        let number = |event: &Arc<Event>| event.position.number().unwrap();
        found.map(|events| events.iter().map(number).collect())
    }

    fn put(recent: &Recent, stream: i64, last: Option<u64>, new: Vec<Added>) {
        let tail = recent.take_tail(stream);
        let tail = tail.unwrap_or_else(|| Tail::behind(last.map(Position::dense)));
        recent.put_tails(std::iter::once((stream, tail, new)));
    }

    #[test]
    fn only_what_is_known_in_full_is_answered() {
        let recent = Recent::new();
        let at = Position::dense;
        assert_eq!(numbers(recent.events(1, None, None, 9)), None);
        put(&recent, 1, Some(3), vec![added(6), added(4)]);
        let range = |after: Option<u64>, up_to: Option<u64>, limit| {
            let (after, up_to) = (after.map(at), up_to.map(at));
            numbers(recent.events(1, after.as_ref(), up_to.as_ref(), limit))
        };
        assert_eq!(range(None, None, 9), None, "1 to 3 are not here");
        assert_eq!(range(Some(2), None, 9), None);
        assert_eq!(range(Some(3), None, 9), Some(vec![4, 6]));
        assert_eq!(range(Some(3), None, 1), Some(vec![4]));
        assert_eq!(range(Some(3), Some(5), 9), Some(vec![4]));
        assert_eq!(range(Some(6), None, 9), Some(vec![]));
        assert!(recent.event(1, &at(3)).is_none(), "not known");
        assert!(recent.event(1, &at(4)).unwrap().is_some());
        assert!(
            recent.event(1, &at(5)).unwrap().is_none(),
            "known to be free"
        );
        put(&recent, 1, None, vec![added(2), added(5)]);
        assert_eq!(range(Some(3), None, 9), Some(vec![4, 5, 6]));
        assert_eq!(range(Some(1), None, 9), None);
        assert_eq!(recent.last_event(1).unwrap().unwrap().position, at(6));
        recent.take_tail(1);
        assert_eq!(range(Some(3), None, 9), None, "taken out");
    }

    #[test]
    fn what_is_too_much_or_too_large_is_forgotten_with_all_below() {
        let recent = Recent::new();
        let large = Added {
            stored_len: EVENT_MAX_BYTES + 1,
            ..added(2)
        };
        put(&recent, 1, None, vec![added(1), large, added(3)]);
        assert_eq!(numbers(recent.events(1, None, None, 9)), None);
        let after = Position::dense(2);
        assert_eq!(
            numbers(recent.events(1, Some(&after), None, 9)),
            Some(vec![3])
        );
        let many = STREAM_EVENTS_MAX as u64 + 10;
        put(&recent, 2, None, (1..=many).map(added).collect());
        let after = |number| {
            let after = Position::dense(number);
            recent
                .events(2, Some(&after), None, usize::MAX)
                .map(|events| events.len())
        };
        assert_eq!(after(10), Some(STREAM_EVENTS_MAX));
        assert_eq!(after(9), None);
        for stream in 3..=(EVENTS_MAX as i64 + 3) {
            put(&recent, stream, None, vec![added(1)]);
        }
        assert!(recent.event(3, &Position::dense(1)).is_none());
        assert!(
            recent
                .event(EVENTS_MAX as i64 + 3, &Position::dense(1))
                .is_some()
        );
        assert_eq!(after(many), Some(0), "that nothing is above stays known");
        let tails = recent.tails();
        assert!(tails.kept.len() <= EVENTS_MAX);
        assert!(
            tails
                .by_stream
                .values()
                .map(|tail| tail.events.len())
                .sum::<usize>()
                <= EVENTS_MAX
        );
    }

    #[test]
    fn ends_of_streams_are_bounded_too() {
        let recent = Recent::new();
        for stream in 0..(STREAMS_MAX as i64 + 10) {
            put(&recent, stream, Some(7), vec![]);
        }
        assert!(recent.tails().by_stream.len() <= STREAMS_MAX);
    }
}
