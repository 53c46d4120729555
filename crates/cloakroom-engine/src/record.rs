//! What the ledger keeps: every kind of record, its key, and its life.
//!
//! | record | key | written by | changed | removed |
//! | --- | --- | --- | --- | --- |
//! | head | stream | first append to the stream | resequencer (compare-and-set), appends (`Admit`), retention (floor) | never |
//! | event | stream, position | append; resequencer (placeholders) | never | retention, below the floor |
//! | superseded | stream, position | append below a version head; resequencer | never | retention |
//! | note | stream, position, hash | a duplicate that differed | never | retention |
//! | cursor | subscription, stream | deliverer | deliverer and operators (compare-and-set) | never |
//! | passed | subscription, stream, position | the cursor move that jumped | never | retention |
//! | dead letter | subscription, stream, position | the cursor move that gave up | redrive | redrive, retention |
//! | identity | source, identity | an append that needs one; quarantine | release, discard | retention |
//! | quarantined | source, id | ingest | release, discard | retention |
//! | subscription | name | first configured | disabled, enabled | never |
//! | source | name | first configured | new generation | never |

use cloakroom_core::event::{ClaimName, Event, Payload, Sha256};
use cloakroom_core::head::Head;
use cloakroom_core::id::{EventId, Identity, SourceName, StreamId, SubscriptionName};
use cloakroom_core::ordering::Reason;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a record is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A [`HeadRecord`].
    Head(StreamId),
    /// An [`Event`].
    Event(StreamId, Position),
    /// A [`Superseded`].
    Superseded(StreamId, Position),
    /// A [`Note`].
    Note(StreamId, Position, Sha256),
    /// A [`Cursor`].
    Cursor(SubscriptionName, StreamId),
    /// A [`Passed`].
    Passed(SubscriptionName, StreamId, Position),
    /// A [`DeadLetter`].
    DeadLetter(SubscriptionName, StreamId, Position),
    /// An [`IdentityRecord`].
    Identity(SourceName, Identity),
    /// A [`Quarantined`].
    Quarantined(SourceName, EventId),
    /// A [`SubscriptionRecord`].
    Subscription(SubscriptionName),
    /// A [`SourceRecord`].
    Source(SourceName),
}

/// One record of the ledger. The serialised form is stored: it only ever grows optional fields, and every adapter
/// stores [`FORMAT_VERSION`] where it can be checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// See [`HeadRecord`].
    Head(HeadRecord),
    /// See [`Event`].
    Event(Event),
    /// See [`Superseded`].
    Superseded(Superseded),
    /// See [`Note`].
    Note(Note),
    /// See [`Cursor`].
    Cursor(Cursor),
    /// See [`Passed`].
    Passed(Passed),
    /// See [`DeadLetter`].
    DeadLetter(DeadLetter),
    /// See [`IdentityRecord`].
    Identity(IdentityRecord),
    /// See [`Quarantined`].
    Quarantined(Quarantined),
    /// See [`SubscriptionRecord`].
    Subscription(SubscriptionRecord),
    /// See [`SourceRecord`].
    Source(SourceRecord),
}

/// The version of the serialised form of [`Record`].
pub const FORMAT_VERSION: u32 = 1;

/// The head of a stream, with what makes compare-and-set possible.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadRecord {
    /// The stream.
    pub stream: StreamId,
    /// The watermark.
    pub head: Head,
    /// How many guarded appends were counted.
    pub appended: u64,
    /// The revision that last moved the position: equal to `revision` when the latest change did. Whoever sees only
    /// changes go by (a pipe) tells by it which of them released something.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub advanced_at: u64,
    /// Rises with every change, appends included.
    pub revision: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A version that came, or stayed, below a newer one: on record, never handed out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Superseded {
    /// The stream.
    pub stream: StreamId,
    /// Its position.
    pub position: Position,
    /// The event itself when it came after the newer one and so has no entry among the events.
    pub event: Option<Event>,
}

/// A duplicate whose payload differed from the first one's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The stream of the first.
    pub stream: StreamId,
    /// The position of the first.
    pub position: Position,
    /// The hash of the other payload, which is not kept.
    pub sha256: Sha256,
    /// When it came.
    pub recorded: Timestamp,
}

/// The settled watermark of one subscription on one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// The subscription.
    pub subscription: SubscriptionName,
    /// The stream.
    pub stream: StreamId,
    /// All positions up to it are settled; `None` means that nothing is.
    pub position: Option<Position>,
    /// What the next event is waiting for.
    pub state: CursorState,
    /// Positions above the watermark that a pulling consumer has acknowledged already.
    pub acknowledged: Vec<Position>,
    /// Who may move it.
    pub lease: Option<Lease>,
    /// After a replay: deliver what was recorded from here on, whatever the subscription's own `since`.
    pub since: Option<Timestamp>,
    /// Rises with every act of an operator (replay, retry, skip, redrive): what was begun before is void.
    pub epoch: u64,
    /// Dead letters to be sent once more, in order, before anything above the watermark.
    pub redrive: Vec<Position>,
    /// Rises with every change.
    pub revision: u64,
}

/// What a cursor is waiting for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CursorState {
    /// Nothing: the next event may be sent.
    Active,
    /// The next try of the event after the watermark.
    Retrying {
        /// How many tries have failed.
        attempts: u32,
        /// When the next one is due.
        retry_at: Timestamp,
        /// Why the last one failed.
        reason: String,
    },
    /// An operator.
    Parked {
        /// How many tries have failed.
        attempts: u32,
        /// Since when.
        since: Timestamp,
        /// Why the last try failed.
        reason: String,
    },
}

/// The right to move a cursor, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it.
    pub owner: String,
    /// Until when.
    pub until: Timestamp,
    /// For a pulled batch: the last position it handed out.
    pub through: Option<Position>,
}

/// What a cursor jumped over in a version stream when it moved to `to`: everything above `after` and below `to`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// The subscription.
    pub subscription: SubscriptionName,
    /// The stream.
    pub stream: StreamId,
    /// The cursor before.
    pub after: Option<Position>,
    /// The cursor after.
    pub to: Position,
}

/// One event that one subscription gave up on and passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The subscription.
    pub subscription: SubscriptionName,
    /// The stream.
    pub stream: StreamId,
    /// The event's position.
    pub position: Position,
    /// The event's id.
    pub id: EventId,
    /// When it was given up.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last try failed, or who skipped it.
    pub reason: String,
    /// Rises with every change.
    pub revision: u64,
}

/// Where the event with a provider's identity went, for those whose position does not follow from the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// The source.
    pub source: SourceName,
    /// The identity.
    pub identity: Identity,
    /// Where the event is.
    pub place: IdentityPlace,
    /// When it was first accepted.
    pub recorded: Timestamp,
    /// Rises with every change.
    pub revision: u64,
}

/// Where an identity's event is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityPlace {
    /// Among the events.
    Placed {
        /// Its stream.
        stream: StreamId,
        /// Its position.
        position: Position,
    },
    /// In quarantine (or released or discarded from there: its record tells).
    Quarantined(EventId),
}

/// A verified webhook that could not be placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The source.
    pub source: SourceName,
    /// Its id, also once released.
    pub id: EventId,
    /// Its identity.
    pub identity: Identity,
    /// Why it is here.
    pub reason: Reason,
    /// What more can be said about it. Never holds payload.
    pub detail: String,
    /// The stream it would belong to, if its key is known.
    pub stream: Option<StreamId>,
    /// The sequence it came with, if any.
    pub sequence: Option<String>,
    /// The CloudEvents `type`.
    pub event_type: String,
    /// When it happened, as the provider told.
    pub time: Option<Timestamp>,
    /// When it was accepted.
    pub recorded: Timestamp,
    /// The `traceparent` header it came with.
    pub traceparent: Option<String>,
    /// Its payload.
    pub payload: Payload,
    /// What became of it.
    pub resolution: Option<Resolution>,
    /// Rises with every change.
    pub revision: u64,
}

/// What an operator decided about a quarantined webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// It became an event.
    Released {
        /// Its stream.
        stream: StreamId,
        /// Its position.
        position: Position,
    },
    /// It is kept for the record only.
    Discarded {
        /// When.
        at: Timestamp,
    },
}

/// What must be remembered of a subscription from the day its name was first configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionRecord {
    /// Its name.
    pub name: SubscriptionName,
    /// When the name was first configured.
    pub since: Timestamp,
    /// Why it gets nothing any more (HTTP 410), until it is enabled again.
    pub disabled: Option<String>,
    /// Rises with every change.
    pub revision: u64,
}

/// What must be remembered of a source: streams made under one ordering must not be continued under another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Its name.
    pub name: SourceName,
    /// The generation of its streams.
    pub generation: u32,
    /// What its streams depend on (kind, `at`, `key`), as text.
    pub ordering: String,
    /// Rises with every change.
    pub revision: u64,
}

/// Why somebody must look at a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionKind {
    /// A head whose resequencer must look again at that time.
    Wake,
    /// A head that waits at a gap past its deadline.
    Stalled,
    /// A cursor whose next try is due at that time.
    Retry,
    /// A cursor that waits for an operator.
    Parked,
}

impl Record {
    /// The key this record is kept under.
    pub fn key(&self) -> Key {
        match self {
            Self::Head(r) => Key::Head(r.stream.clone()),
            Self::Event(r) => Key::Event(r.stream.clone(), r.position.clone()),
            Self::Superseded(r) => Key::Superseded(r.stream.clone(), r.position.clone()),
            Self::Note(r) => Key::Note(r.stream.clone(), r.position.clone(), r.sha256),
            Self::Cursor(r) => Key::Cursor(r.subscription.clone(), r.stream.clone()),
            Self::Passed(r) => Key::Passed(r.subscription.clone(), r.stream.clone(), r.to.clone()),
            Self::DeadLetter(r) => {
                Key::DeadLetter(r.subscription.clone(), r.stream.clone(), r.position.clone())
            }
            Self::Identity(r) => Key::Identity(r.source.clone(), r.identity.clone()),
            Self::Quarantined(r) => Key::Quarantined(r.source.clone(), r.id.clone()),
            Self::Subscription(r) => Key::Subscription(r.name.clone()),
            Self::Source(r) => Key::Source(r.name.clone()),
        }
    }

    /// The revision that a conditional write compares; 0 for what is never changed.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Head(r) => r.revision,
            Self::Cursor(r) => r.revision,
            Self::DeadLetter(r) => r.revision,
            Self::Identity(r) => r.revision,
            Self::Quarantined(r) => r.revision,
            Self::Subscription(r) => r.revision,
            Self::Source(r) => r.revision,
            Self::Event(_) | Self::Superseded(_) | Self::Note(_) | Self::Passed(_) => 0,
        }
    }

    /// Whether and when the record wants attention: what [`Index::Attention`](crate::ports::Index::Attention) lists.
    pub fn attention(&self) -> Option<(AttentionKind, Timestamp)> {
        match self {
            Self::Head(HeadRecord { head, .. }) => match &head.gap {
                Some(gap) if gap.stalled => Some((AttentionKind::Stalled, gap.deadline)),
                _ => head.wake_at.map(|at| (AttentionKind::Wake, at)),
            },
            Self::Cursor(cursor) => match cursor.state {
                CursorState::Active => None,
                CursorState::Retrying { retry_at, .. } => Some((AttentionKind::Retry, retry_at)),
                CursorState::Parked { since, .. } => Some((AttentionKind::Parked, since)),
            },
            _ => None,
        }
    }

    /// The claim this record keeps alive.
    pub fn claim(&self) -> Option<&ClaimName> {
        match self {
            Self::Event(event) => event.payload()?.claim.as_ref(),
            Self::Superseded(superseded) => superseded.event.as_ref()?.payload()?.claim.as_ref(),
            Self::Quarantined(quarantined) => quarantined.payload.claim.as_ref(),
            _ => None,
        }
    }
}
