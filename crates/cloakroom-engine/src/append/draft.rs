//! What goes into an append, and what comes out.

use cloakroom_core::event::{Body, Event, Payload};
use cloakroom_core::id::{EventId, Identity, Key, StreamId};
use cloakroom_core::ordering::{Reason, Rule};
use cloakroom_core::position::{Position, Sequence};
use cloakroom_core::time::Timestamp;

use crate::catalog::Source;
use crate::record::{IdentityPlace, IdentityRecord};
use crate::shared::Release;

/// A verified webhook on its way into the ledger. Its payload is durable.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// What makes it itself.
    pub(crate) identity: Identity,
    /// The ordering key, if one was found.
    pub(crate) key: Option<Key>,
    /// What the order selector found, as the provider wrote it.
    pub(crate) sequence: Option<String>,
    /// The CloudEvents `type`.
    pub(crate) event_type: String,
    /// When it happened, as the provider told.
    pub(crate) time: Option<Timestamp>,
    /// The `traceparent` header it came with.
    pub(crate) traceparent: Option<String>,
    /// Its payload.
    pub(crate) payload: Payload,
    /// When it was accepted.
    pub(crate) recorded: Timestamp,
}

/// What became of a webhook: the provider's receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id.
    pub id: EventId,
    /// Its stream, if known.
    pub stream: Option<StreamId>,
    /// Its position, if it has one.
    pub position: Option<Position>,
    /// Whether it is new.
    pub status: Status,
    /// Why it was quarantined, if it was.
    pub reason: Option<Reason>,
    /// For a duplicate: whether its payload was another one than the first's.
    pub differs: bool,
}

/// Whether a webhook is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is an event now.
    Accepted,
    /// It was an event already.
    Duplicate,
    /// It is kept apart.
    Quarantined,
}

/// What an append did.
#[derive(Debug)]
pub(crate) struct Appended {
    /// The provider's receipt.
    pub(crate) receipt: Receipt,
    /// The move of the head that released the event in the append's own transaction. Otherwise the resequencer has to look.
    pub(crate) released: Option<Release>,
}

impl From<Receipt> for Appended {
    fn from(receipt: Receipt) -> Self {
        Self {
            receipt,
            released: None,
        }
    }
}

pub(super) fn stream_of(source: &Source, draft: &Draft) -> Option<StreamId> {
    draft.key.clone().map(|key| StreamId {
        source: source.stream_source(),
        key,
    })
}

pub(super) fn parse_sequence(draft: &Draft) -> Option<Sequence> {
    draft.sequence.as_deref().and_then(Sequence::parse)
}

impl Draft {
    /// The position that follows from the event alone; `None` where acceptance decides, or without a usable sequence.
    pub(crate) fn own_position(&self, rule: &Rule) -> Option<Position> {
        let sequence = parse_sequence(self)?;
        match rule {
            Rule::Dense { .. } => sequence.as_whole().map(Position::dense),
            Rule::Sparse { .. } => Some(Position::sparse(&sequence, &self.identity)),
            Rule::Version => Some(Position::version(&sequence)),
            Rule::Arrival => None,
        }
    }

    /// The ledger entry of this draft at `position`.
    pub(crate) fn event(
        &self,
        stream: StreamId,
        position: Position,
        late: Option<String>,
    ) -> Event {
        Event {
            id: EventId::of(&stream, &position),
            stream,
            position,
            identity: self.identity.clone(),
            event_type: self.event_type.clone(),
            time: self.time,
            recorded: self.recorded,
            traceparent: self.traceparent.clone(),
            late,
            body: Body::Payload(self.payload.clone()),
        }
    }

    pub(super) fn identity_record(&self, source: &Source, place: IdentityPlace) -> IdentityRecord {
        IdentityRecord {
            source: source.name.clone(),
            identity: self.identity.clone(),
            place,
            recorded: self.recorded,
            revision: 0,
        }
    }

    pub(super) fn placed(
        &self,
        source: &Source,
        stream: &StreamId,
        position: &Position,
    ) -> IdentityRecord {
        let place = IdentityPlace::Placed {
            stream: stream.clone(),
            position: position.clone(),
        };
        self.identity_record(source, place)
    }
}

impl Receipt {
    pub(super) fn accepted(id: EventId, stream: StreamId, position: Position) -> Self {
        Self {
            id,
            stream: Some(stream),
            position: Some(position),
            status: Status::Accepted,
            reason: None,
            differs: false,
        }
    }

    pub(super) fn duplicate(
        id: EventId,
        stream: Option<StreamId>,
        position: Option<Position>,
    ) -> Self {
        Self {
            id,
            stream,
            position,
            status: Status::Duplicate,
            reason: None,
            differs: false,
        }
    }
}
