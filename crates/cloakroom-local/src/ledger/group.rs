//! Transactions that are committed together: each is checked against the database and those before it in the group, and
//! carried out at once if all its conditions hold. One that is refused writes nothing, so none ever has to be undone alone.
//!
//! Heads are changed in memory first and written once, at the end: many appends to one stream may share a group. What is
//! kept in memory of a stream or a cursor is hidden from readers until its change is durable.

use std::collections::HashMap;
use std::sync::Arc;

use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_engine::ports::{Conflict, LedgerError, TransactError};
use cloakroom_engine::record::{HeadRecord, Record};
use rusqlite::Connection;

use super::read::{Store, corrupt, decode};
use super::recent::{Added, KnownCursor, Tail};
use super::request::{Action, Fresh, Kept, Prepared, Target};
use super::streams::Known;
use super::tables::{self, Slot, Wanted};
use crate::value::{self, Header};

pub(super) struct Group<'a> {
    db: &'a Connection,
    store: &'a Store,
    touched: HashMap<StreamId, Touched>,
    /// What was written of cursors, by subscriber and stream; `None` for those that were removed.
    cursors: HashMap<(i64, i64), Option<KnownCursor>>,
    new_subscribers: HashMap<SubscriptionName, i64>,
}

/// A stream that the group asked about or changed.
struct Touched {
    /// `None` while it has no row.
    id: Option<i64>,
    head: Option<Arc<HeadRecord>>,
    wanted: Wanted,
    /// What the attention index says of the stored head.
    stored_wanted: Wanted,
    /// The head to write at the end.
    change: Change,
    /// The end of the stream as it was; taken from readers before the first event is added.
    tail: Option<Tail>,
    added: Vec<Added>,
}

enum Change {
    None,
    /// The caller made the stored form.
    Written(Vec<u8>),
    Counted,
    Removed,
}

/// Why a transaction did not go through.
pub(super) enum Halt {
    /// For this caller alone.
    Refused(TransactError),
    /// The database failed, and with it the whole group.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Halt {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<LedgerError> for Halt {
    fn from(error: LedgerError) -> Self {
        Self::Refused(error.into())
    }
}

impl<'a> Group<'a> {
    pub(super) fn new(db: &'a Connection, store: &'a Store) -> Self {
        Self {
            db,
            store,
            touched: HashMap::new(),
            cursors: HashMap::new(),
            new_subscribers: HashMap::new(),
        }
    }

    /// Checks and carries out one transaction.
    pub(super) fn transact(&mut self, writes: Vec<Prepared>) -> Result<(), Halt> {
        if self.is_append(&writes)? {
            return self.append(writes);
        }
        let mut seen = Vec::with_capacity(writes.len());
        for (number, write) in writes.iter().enumerate() {
            let header = self.look(&write.target)?;
            if !self.holds(write, header) {
                return self.conflict(number, &write.target);
            }
            seen.push(header);
        }
        for (write, seen) in writes.into_iter().zip(seen) {
            self.carry_out(write, seen)?;
        }
        Ok(())
    }

    /// Whether these create an event and otherwise only look at and change heads, on conditions that hold: the most
    /// frequent transaction. The condition that is left, on the event, is checked by writing it.
    fn is_append(&mut self, writes: &[Prepared]) -> Result<bool, Halt> {
        let [event, heads @ ..] = writes else {
            return Ok(false);
        };
        if !matches!(event.target, Target::Event(..)) || !matches!(event.action, Action::Create(_))
        {
            return Ok(false);
        }
        for write in heads {
            if !matches!(write.target, Target::Head(_)) {
                return Ok(false);
            }
            let seen = self.look(&write.target)?;
            if !self.holds(write, seen) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn append(&mut self, writes: Vec<Prepared>) -> Result<(), Halt> {
        for (number, write) in writes.into_iter().enumerate() {
            let Prepared { target, action } = write;
            match (&target, action) {
                (Target::Event(stream, position), Action::Create(fresh)) => {
                    if !self.add_event(stream, position, fresh)? {
                        return self.conflict(number, &target);
                    }
                }
                (Target::Head(stream), action) => self.touch(stream)?.change(action),
                _ => unreachable!("an append holds nothing else"),
            }
        }
        Ok(())
    }

    /// Creates an event. `false` when its place is taken: then nothing is written.
    fn add_event(
        &mut self,
        stream: &StreamId,
        position: &Position,
        fresh: Fresh,
    ) -> Result<bool, Halt> {
        let id = self.row_with_tail(stream)?;
        if !tables::insert(self.db, Slot::Event(id, position), &fresh.bytes)? {
            return Ok(false);
        }
        if let Kept::Event(event) = fresh.kept {
            let stored_len = fresh.bytes.len();
            self.touch(stream)?.added.push(Added { event, stored_len });
        }
        Ok(true)
    }

    /// The number of a stream that is about to get an event. What is known of its end is hidden from readers from here on.
    fn row_with_tail(&mut self, stream: &StreamId) -> Result<i64, Halt> {
        let (db, recent) = (self.db, &self.store.recent);
        let touched = self.touch(stream)?;
        let Some(id) = touched.id else {
            touched.tail = Some(Tail::default());
            return Ok(*touched.id.insert(tables::add_stream(db, stream, None)?));
        };
        if touched.tail.is_none() {
            touched.tail = match recent.take_tail(id) {
                Some(tail) => Some(tail),
                None => known_tail(tables::last_position(db, id)?.as_deref()),
            };
        }
        Ok(id)
    }

    fn conflict(&mut self, write: usize, target: &Target) -> Result<(), Halt> {
        let stored = self.stored(target)?;
        Err(Halt::Refused(TransactError::Conflict(Box::new(Conflict {
            write,
            stored,
        }))))
    }

    fn touch(&mut self, stream: &StreamId) -> Result<&mut Touched, Halt> {
        if !self.touched.contains_key(stream) {
            let touched = match self.store.streams.get(stream) {
                Some(known) => Touched::stored(Some(known.id), known.head, known.wanted),
                None => match tables::stream(self.db, stream)? {
                    Some((id, Some(head))) => {
                        let (head, wanted) = head_of(&head)?;
                        Touched::stored(Some(id), Some(head), wanted)
                    }
                    Some((id, None)) => Touched::stored(Some(id), None, None),
                    None => Touched::stored(None, None, None),
                },
            };
            self.touched.insert(stream.clone(), touched);
        }
        let touched = self.touched.get_mut(stream);
        Ok(touched.expect("it was put in if it was missing"))
    }

    /// The stream's number; gives it one if it has none.
    fn row_of(&mut self, stream: &StreamId) -> Result<i64, Halt> {
        let db = self.db;
        let touched = self.touch(stream)?;
        match touched.id {
            Some(id) => Ok(id),
            None => Ok(*touched.id.insert(tables::add_stream(db, stream, None)?)),
        }
    }

    fn subscriber(&self, name: &SubscriptionName) -> Result<Option<i64>, Halt> {
        let known = self.new_subscribers.get(name).copied();
        match known.or_else(|| self.store.streams.subscriber(name)) {
            Some(id) => Ok(Some(id)),
            None => Ok(tables::subscriber(self.db, name)?),
        }
    }

    /// Where a record lies, or would lie. `None` for heads, and where there can be nothing yet.
    fn slot<'t>(&mut self, target: &'t Target) -> Result<Option<Slot<'t>>, Halt> {
        Ok(match target {
            Target::Head(_) => None,
            Target::Event(stream, position) => {
                let id = self.touch(stream)?.id;
                id.map(|id| Slot::Event(id, position))
            }
            Target::Cursor(name, stream) => {
                let subscriber = self.subscriber(name)?;
                let both = subscriber.zip(self.touch(stream)?.id);
                both.map(|(subscriber, stream)| Slot::Cursor { subscriber, stream })
            }
            Target::Record(key) => Some(Slot::Record(key)),
        })
    }

    fn look(&mut self, target: &Target) -> Result<Option<Header>, Halt> {
        if let Target::Head(stream) = target {
            let head = &self.touch(stream)?.head;
            return Ok(head.as_ref().map(|head| Header {
                attention: None,
                revision: head.revision,
            }));
        }
        let Some(slot) = self.slot(target)? else {
            return Ok(None);
        };
        if let Slot::Cursor { subscriber, stream } = slot {
            let written = self.cursors.get(&(subscriber, stream)).cloned();
            let known = || self.store.recent.cursor(subscriber, stream).map(Some);
            if let Some(cursor) = written.or_else(known) {
                return Ok(cursor.map(|(header, _)| header));
            }
        }
        let header = tables::value(self.db, slot, value::header)?.transpose();
        Ok(header.map_err(|error| LedgerError::Corrupt(error.to_string()))?)
    }

    fn stored(&mut self, target: &Target) -> Result<Option<Record>, Halt> {
        if let Target::Head(stream) = target {
            let head = &self.touch(stream)?.head;
            return Ok(head.as_ref().map(|head| Record::Head((**head).clone())));
        }
        let Some(slot) = self.slot(target)? else {
            return Ok(None);
        };
        Ok(tables::value(self.db, slot, decode)?.transpose()?)
    }

    fn holds(&self, write: &Prepared, seen: Option<Header>) -> bool {
        let head = || match &write.target {
            Target::Head(stream) => self.touched.get(stream)?.head.as_deref(),
            _ => None,
        };
        match &write.action {
            Action::Create(_) => seen.is_none(),
            Action::Replace { revision, .. }
            | Action::Delete {
                revision: Some(revision),
            } => seen.is_some_and(|seen| seen.revision == *revision),
            Action::Delete { revision: None } => true,
            Action::Admit(position) => head().is_some_and(|head| !head.head.covers(position)),
            Action::BaseAllows(number) => {
                let allows = |base: u64| base <= *number;
                head().is_some_and(|head| head.head.base.number().is_none_or(allows))
            }
        }
    }

    /// Carries out a write whose condition holds.
    fn carry_out(&mut self, write: Prepared, seen: Option<Header>) -> Result<(), Halt> {
        let Prepared { target, action } = write;
        if let Target::Head(stream) = &target {
            self.touch(stream)?.change(action);
            return Ok(());
        }
        let (fresh, is_new) = match action {
            Action::Create(fresh) => (fresh, true),
            Action::Replace { fresh, .. } => (fresh, false),
            Action::Delete { .. } => return self.delete(&target, seen),
            // Both are only ever aimed at heads.
            Action::Admit(_) | Action::BaseAllows(_) => return Ok(()),
        };
        if let Target::Event(stream, position) = &target
            && is_new
        {
            return self.add_event(stream, position, fresh).map(drop);
        }
        if is_new {
            self.make_room(&target)?;
        }
        let slot = self.slot(&target)?.expect("there is a row for every part");
        if is_new {
            tables::insert(self.db, slot, &fresh.bytes)?;
        } else {
            tables::update(self.db, slot, &fresh.bytes)?;
        }
        self.notice(slot, seen, fresh.attention)?;
        let header = fresh.header();
        match (slot, fresh.kept) {
            (Slot::Event(..), _) => {
                if let Target::Event(stream, _) = &target {
                    self.forget_tail(stream)?;
                }
            }
            (Slot::Cursor { subscriber, stream }, Kept::Cursor(cursor)) => {
                let place = (subscriber, stream);
                self.cursors.insert(place, Some((header, cursor)));
            }
            (Slot::Record(key), _) => {
                if let Some(kind) = key.first() {
                    self.store.recent.note_kind(*kind);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives numbers to what the slot of a new record is made of.
    fn make_room(&mut self, target: &Target) -> Result<(), Halt> {
        match target {
            Target::Cursor(name, stream) => {
                if self.subscriber(name)?.is_none() {
                    let id = tables::add_subscriber(self.db, name)?;
                    self.new_subscribers.insert(name.clone(), id);
                }
                self.row_of(stream).map(drop)
            }
            Target::Head(_) | Target::Event(..) | Target::Record(_) => Ok(()),
        }
    }

    fn delete(&mut self, target: &Target, seen: Option<Header>) -> Result<(), Halt> {
        let Some(slot) = self.slot(target)? else {
            return Ok(());
        };
        tables::delete(self.db, slot)?;
        self.notice(slot, seen, None)?;
        match (slot, target) {
            (Slot::Cursor { subscriber, stream }, _) => {
                self.cursors.insert((subscriber, stream), None);
            }
            (_, Target::Event(stream, _)) => self.forget_tail(stream)?,
            _ => {}
        }
        Ok(())
    }

    /// An event of the stream was changed or removed.
    fn forget_tail(&mut self, stream: &StreamId) -> Result<(), Halt> {
        let recent = &self.store.recent;
        let touched = self.touch(stream)?;
        touched.id.and_then(|id| recent.take_tail(id));
        touched.tail = None;
        touched.added.clear();
        Ok(())
    }

    fn notice(&self, slot: Slot<'_>, before: Option<Header>, after: Wanted) -> Result<(), Halt> {
        if let Slot::Cursor { subscriber, stream } = slot {
            let before = before.and_then(|header| header.attention);
            tables::set_attention(self.db, stream, subscriber, before, after)?;
        }
        Ok(())
    }

    /// Writes the heads, and hides whatever is about to change from readers: for the last step before the commit.
    pub(super) fn write_heads(&mut self) -> rusqlite::Result<()> {
        for place in self.cursors.keys() {
            self.store.recent.take_out_cursor(*place);
        }
        for (stream, touched) in &mut self.touched {
            let counted;
            let head = match (&touched.change, &touched.head) {
                (Change::None, _) => continue,
                (Change::Written(bytes), _) => Some(bytes),
                (Change::Counted, Some(head)) => {
                    counted = value::encode(&Record::Head((**head).clone()));
                    Some(&counted)
                }
                (Change::Counted | Change::Removed, _) => None,
            };
            let head = head.map(Vec::as_slice);
            let id = match (touched.id, head) {
                (Some(id), _) => {
                    tables::set_head(self.db, id, head)?;
                    id
                }
                // Made and removed again in this group.
                (None, None) => continue,
                (None, Some(_)) => *touched
                    .id
                    .insert(tables::add_stream(self.db, stream, head)?),
            };
            tables::set_attention(self.db, id, 0, touched.stored_wanted, touched.wanted)?;
            self.store.streams.take_out(stream);
        }
        Ok(())
    }

    /// Shows readers what is durable now.
    pub(super) fn publish(mut self) {
        let Store {
            streams, recent, ..
        } = self.store;
        for (name, id) in self.new_subscribers {
            streams.put_in_subscriber(name, id);
        }
        recent.put_tails(self.touched.values_mut().filter_map(|touched| {
            let tail = touched.tail.take()?;
            Some((touched.id?, tail, std::mem::take(&mut touched.added)))
        }));
        for (place, cursor) in self.cursors {
            if let Some(cursor) = cursor {
                recent.put_in_cursor(place, cursor);
            }
        }
        for (stream, touched) in self.touched {
            if let Some(id) = touched.id {
                let Touched { head, wanted, .. } = touched;
                streams.put_in(stream, Known { id, head, wanted });
            }
        }
    }
}

/// The end of a stream behind the last position that is stored, if that can be read.
fn known_tail(last: Option<&[u8]>) -> Option<Tail> {
    let Some(last) = last else {
        return Some(Tail::default());
    };
    let last = Position::parse(std::str::from_utf8(last).ok()?)?;
    Some(Tail::behind(Some(last)))
}

impl Touched {
    fn stored(id: Option<i64>, head: Option<Arc<HeadRecord>>, wanted: Wanted) -> Self {
        Self {
            id,
            head,
            wanted,
            stored_wanted: wanted,
            change: Change::None,
            tail: None,
            added: Vec::new(),
        }
    }

    fn change(&mut self, action: Action) {
        match action {
            Action::Create(fresh) | Action::Replace { fresh, .. } => {
                self.head = match fresh.kept {
                    Kept::Head(head) => Some(head),
                    _ => None,
                };
                self.wanted = fresh.attention;
                self.change = Change::Written(fresh.bytes);
            }
            Action::Delete { .. } => {
                self.head = None;
                self.wanted = None;
                self.change = Change::Removed;
            }
            Action::Admit(_) => {
                if let Some(head) = &mut self.head {
                    let head = Arc::make_mut(head);
                    head.appended += 1;
                    head.revision += 1;
                    self.change = Change::Counted;
                }
            }
            Action::BaseAllows(_) => {}
        }
    }
}

fn head_of(stored: &[u8]) -> Result<(Arc<HeadRecord>, Wanted), LedgerError> {
    let record = decode(stored)?;
    let wanted = record.attention();
    match record {
        Record::Head(head) => Ok((Arc::new(head), wanted)),
        _ => Err(corrupt("a record of another kind stands for a head")),
    }
}
