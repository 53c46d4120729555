//! A transaction on its way to the writer, with all that can be worked out on the caller's thread.

use std::sync::Arc;

use cloakroom_core::event::Event;
use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_engine::ports::{TransactError, Write};
use cloakroom_engine::record::{Cursor, HeadRecord, Key, Record};
use tokio::sync::oneshot;

use super::tables::Wanted;
use crate::claims::Mark;
use crate::value::Header;
use crate::{key, value};

pub(super) type Answer = oneshot::Sender<Result<(), TransactError>>;

pub(super) struct Request {
    pub(super) writes: Vec<Prepared>,
    /// Payloads that the writes may name have their places up to here.
    pub(super) payloads: Mark,
    pub(super) answer: Answer,
}

pub(super) struct Prepared {
    pub(super) target: Target,
    pub(super) action: Action,
}

/// What a write reads its condition from, and changes.
pub(super) enum Target {
    Head(StreamId),
    Event(StreamId, Position),
    Cursor(SubscriptionName, StreamId),
    Record(Vec<u8>),
}

pub(super) enum Action {
    Create(Fresh),
    Replace { fresh: Fresh, revision: u64 },
    Delete { revision: Option<u64> },
    Admit(Position),
    BaseAllows(u64),
}

/// A record about to be written.
pub(super) struct Fresh {
    pub(super) bytes: Vec<u8>,
    pub(super) attention: Wanted,
    pub(super) kept: Kept,
}

/// The record itself, of the kinds that are kept in memory.
pub(super) enum Kept {
    No,
    Head(Arc<HeadRecord>),
    Event(Arc<Event>),
    Cursor(Arc<Cursor>),
}

impl Prepared {
    pub(super) fn new(write: Write) -> Self {
        let target = match write.key() {
            Key::Head(stream) => Target::Head(stream),
            Key::Event(stream, position) => Target::Event(stream, position),
            Key::Cursor(name, stream) => Target::Cursor(name, stream),
            key => Target::Record(key::encode(&key)),
        };
        let action = match write {
            Write::Create(record) => Action::Create(Fresh::new(record)),
            Write::Replace { record, revision } => Action::Replace {
                fresh: Fresh::new(record),
                revision,
            },
            Write::Delete { revision, .. } => Action::Delete { revision },
            Write::Admit { position, .. } => Action::Admit(position),
            Write::BaseAllows { number, .. } => Action::BaseAllows(number),
        };
        Self { target, action }
    }
}

impl Fresh {
    /// What the header of the stored form says.
    pub(super) fn header(&self) -> Header {
        Header {
            attention: self.attention,
            revision: match &self.kept {
                Kept::Head(head) => head.revision,
                Kept::Cursor(cursor) => cursor.revision,
                Kept::Event(_) | Kept::No => 0,
            },
        }
    }

    fn new(record: Record) -> Self {
        Self {
            bytes: value::encode(&record),
            attention: record.attention(),
            kept: match record {
                Record::Head(head) => Kept::Head(Arc::new(head)),
                Record::Event(event) => Kept::Event(Arc::new(event)),
                Record::Cursor(cursor) => Kept::Cursor(Arc::new(cursor)),
                _ => Kept::No,
            },
        }
    }
}
