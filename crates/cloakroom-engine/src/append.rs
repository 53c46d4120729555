//! The append protocol: how a verified webhook becomes exactly one ledger entry, or is kept apart on record.
//!
//! Order of questions (DESIGN's rules 3, 4, 10 and 11): is this identity on record already; where does the event belong;
//! is that place free. Only the conditional write answers the last one, so every conflict leads back to a question.

use std::sync::Arc;

use cloakroom_core::event::{Body, Event, Payload};
use cloakroom_core::id::{EventId, Identity, Key, StreamId};
use cloakroom_core::ordering::{Guard, LatePolicy, Placement, Reason, Rule};
use cloakroom_core::position::{Position, Sequence};
use cloakroom_core::resequence::released_by_append;
use cloakroom_core::time::Timestamp;

use crate::catalog::Source;
use crate::ports::{Clock, Conflict, Ledger, LedgerError, TransactError, Write};
use crate::record::{
    HeadRecord, IdentityPlace, IdentityRecord, Key as RecordKey, Note, Quarantined, Record,
    Superseded,
};
use crate::shared::Release;

/// How often an append starts over when other appends to the same stream keep winning.
const ATTEMPTS_MAX: usize = 64;

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

/// Puts verified webhooks into the ledger.
pub(crate) struct Appender {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What one round of the protocol ended with.
enum Round {
    Done(Receipt),
    /// As [`Round::Done`], and the event is released already.
    Released(Receipt, Release),
    Again,
}

impl Appender {
    /// Appends `draft`, or finds what was appended before. Safe to repeat: a second call with the same identity answers
    /// `Duplicate`.
    pub(crate) async fn append(
        &self,
        source: &Source,
        draft: &Draft,
    ) -> Result<Appended, LedgerError> {
        for _ in 0..ATTEMPTS_MAX {
            match self.round(source, draft).await? {
                Round::Done(receipt) => return Ok(receipt.into()),
                Round::Released(receipt, release) => {
                    return Ok(Appended {
                        receipt,
                        released: Some(release),
                    });
                }
                Round::Again => {}
            }
        }
        Err(LedgerError::Unavailable(
            "too many appends to one stream at once".into(),
        ))
    }

    /// The first receipt of this identity, if it is known without trying to append.
    pub(crate) async fn find(
        &self,
        source: &Source,
        draft: &Draft,
    ) -> Result<Option<Receipt>, LedgerError> {
        if let Some(receipt) = self.by_identity(source, draft).await? {
            return Ok(Some(receipt));
        }
        let own_place = stream_of(source, draft).zip(draft.own_position(&source.rule));
        let Some((stream, position)) = own_place else {
            return Ok(None);
        };
        match self.ledger.get(&RecordKey::Event(stream, position)).await? {
            Some(Record::Event(event)) if event.identity == draft.identity => {
                Ok(Some(self.duplicate(&event, draft).await?))
            }
            _ => Ok(None),
        }
    }

    async fn round(&self, source: &Source, draft: &Draft) -> Result<Round, LedgerError> {
        if let Some(receipt) = self.by_identity(source, draft).await? {
            return Ok(Round::Done(receipt));
        }
        let Some(stream) = stream_of(source, draft) else {
            return self
                .quarantine(
                    source,
                    draft,
                    None,
                    Reason::MissingKey,
                    "no usable key was found",
                )
                .await;
        };
        let sequence = parse_sequence(draft);
        if let (Some(text), None) = (&draft.sequence, &sequence)
            && source.rule != Rule::Arrival
        {
            let detail = format!("{text:?} is neither a number nor a timestamp");
            return self
                .quarantine(source, draft, Some(stream), Reason::BadSequence, &detail)
                .await;
        }
        if let Some(round) = self
            .release(source, draft, &stream, sequence.as_ref())
            .await?
        {
            return Ok(round);
        }
        let head = self.head(&stream, &source.rule).await?;
        match source.rule.place(
            &head.head,
            sequence.as_ref(),
            &draft.identity,
            self.clock.now(),
        ) {
            Placement::At { position, guard } => {
                self.create(source, draft, stream, position, guard).await
            }
            Placement::Late => self.late(source, draft, stream, &head).await,
            Placement::Superseded(position) => {
                self.superseded(source, draft, stream, position).await
            }
            Placement::Quarantine(reason) => {
                self.quarantine(
                    source,
                    draft,
                    Some(stream),
                    reason,
                    "the number does not fit this stream",
                )
                .await
            }
        }
    }

    async fn stored_head(&self, stream: &StreamId) -> Result<Option<HeadRecord>, LedgerError> {
        match self.ledger.get(&RecordKey::Head(stream.clone())).await? {
            Some(Record::Head(head)) => Ok(Some(head)),
            _ => Ok(None),
        }
    }

    /// Appends the very event its stream waits for and moves the head over it, in one transaction. `None` when the
    /// event is no such one, or the head moved meanwhile: then it is appended in the usual way, and the resequencer looks.
    ///
    /// Only on an exclusive ledger. On a shared one whoever follows the changes of heads and events releases, and two
    /// writers would meet at one head all the time. Here every other move of a head is conditioned on its revision, as
    /// this one is, so that whoever comes second looks again and finds this event in its place.
    async fn release(
        &self,
        source: &Source,
        draft: &Draft,
        stream: &StreamId,
        sequence: Option<&Sequence>,
    ) -> Result<Option<Round>, LedgerError> {
        if !self.ledger.is_exclusive() {
            return Ok(None);
        }
        let stored = self.stored_head(stream).await?;
        let is_first = stored.is_none();
        let head = stored.unwrap_or_else(|| first_head(stream, &source.rule));
        let now = self.clock.now();
        let Placement::At {
            position,
            guard: Guard::None,
        } = source
            .rule
            .place(&head.head, sequence, &draft.identity, now)
        else {
            return Ok(None);
        };
        let Some(moved) = released_by_append(&source.rule, &head.head, &position) else {
            return Ok(None);
        };
        let after = head.head.position.clone();
        let (before, revision) = (head.revision, head.revision + 1);
        let record = Record::Head(HeadRecord {
            head: moved,
            advanced_at: revision,
            revision,
            ..head
        });
        let event = draft.event(stream.clone(), position.clone(), None);
        let receipt = Receipt::accepted(event.id.clone(), stream.clone(), position.clone());
        let head = match is_first {
            true => Write::Create(record),
            false => Write::Replace {
                record,
                revision: before,
            },
        };
        match self
            .ledger
            .transact(vec![Write::Create(Record::Event(event)), head])
            .await
        {
            Ok(()) => {
                let release = Release {
                    stream: stream.clone(),
                    after,
                    up_to: position,
                };
                Ok(Some(Round::Released(receipt, release)))
            }
            Err(TransactError::Conflict(_)) => Ok(None),
            Err(TransactError::Ledger(error)) => Err(error),
        }
    }

    /// The head of `stream`, which is made before the stream's first event.
    pub(crate) async fn head(
        &self,
        stream: &StreamId,
        rule: &Rule,
    ) -> Result<HeadRecord, LedgerError> {
        if let Some(head) = self.stored_head(stream).await? {
            return Ok(head);
        }
        let first = first_head(stream, rule);
        match self
            .ledger
            .transact(vec![Write::Create(Record::Head(first.clone()))])
            .await
        {
            Ok(()) => Ok(first),
            Err(TransactError::Conflict(conflict)) => match conflict.stored {
                Some(Record::Head(head)) => Ok(head),
                _ => Err(LedgerError::Corrupt(format!(
                    "the head of {stream} is no head"
                ))),
            },
            Err(TransactError::Ledger(error)) => Err(error),
        }
    }

    async fn create(
        &self,
        source: &Source,
        draft: &Draft,
        stream: StreamId,
        position: Position,
        guard: Guard,
    ) -> Result<Round, LedgerError> {
        let event = draft.event(stream.clone(), position.clone(), None);
        let id = event.id.clone();
        let mut writes = vec![Write::Create(Record::Event(event))];
        writes.extend(guard.write(&stream, &position));
        if !source.rule.position_is_identity() {
            writes.push(Write::Create(Record::Identity(
                draft.placed(source, &stream, &position),
            )));
        }
        match self.ledger.transact(writes).await {
            Ok(()) => Ok(Round::Done(Receipt::accepted(id, stream, position))),
            Err(TransactError::Conflict(conflict)) => match *conflict {
                Conflict {
                    write: 0,
                    stored: Some(Record::Event(stored)),
                } => self.taken(source, draft, stream, &stored).await,
                // The head or the base moved, or the identity was recorded, while this append was under way. An arrival
                // takes a fresh position; the others learn from the new head what they are.
                _ if guard == Guard::Head && source.rule.position_is_identity() => {
                    self.passed_by(source, draft, stream, position).await
                }
                _ => Ok(Round::Again),
            },
            Err(TransactError::Ledger(error)) => Err(error),
        }
    }

    /// Another entry stands at the event's place: it decides.
    async fn taken(
        &self,
        source: &Source,
        draft: &Draft,
        stream: StreamId,
        stored: &Event,
    ) -> Result<Round, LedgerError> {
        match stored.body {
            Body::Payload(_) if stored.identity == draft.identity => {
                Ok(Round::Done(self.duplicate(stored, draft).await?))
            }
            Body::Payload(_) => {
                let detail = format!("event {} holds position {}", stored.id, stored.position);
                self.quarantine(
                    source,
                    draft,
                    Some(stream),
                    Reason::SequenceConflict,
                    &detail,
                )
                .await
            }
            Body::Gap { .. } | Body::Placeholder => {
                let head = self.head(&stream, &source.rule).await?;
                self.late(source, draft, stream, &head).await
            }
        }
    }

    /// The head passed the event's place (which is free) before the write.
    async fn passed_by(
        &self,
        source: &Source,
        draft: &Draft,
        stream: StreamId,
        position: Position,
    ) -> Result<Round, LedgerError> {
        let head = self.head(&stream, &source.rule).await?;
        match &source.rule {
            _ if !head.head.covers(&position) => Ok(Round::Again),
            Rule::Version => self.superseded(source, draft, stream, position).await,
            _ => self.late(source, draft, stream, &head).await,
        }
    }

    async fn late(
        &self,
        source: &Source,
        draft: &Draft,
        stream: StreamId,
        head: &HeadRecord,
    ) -> Result<Round, LedgerError> {
        let sequence = parse_sequence(draft)
            .map(|s| s.to_string())
            .unwrap_or_default();
        match source.rule.late_policy() {
            LatePolicy::Quarantine => {
                let detail = format!("the stream has passed {sequence}");
                self.quarantine(source, draft, Some(stream), Reason::Late, &detail)
                    .await
            }
            LatePolicy::Deliver => self.place_late(source, draft, stream, head, sequence).await,
        }
    }

    /// Puts the event directly after the head, behind other late ones that wait there.
    async fn place_late(
        &self,
        source: &Source,
        draft: &Draft,
        stream: StreamId,
        head: &HeadRecord,
        sequence: String,
    ) -> Result<Round, LedgerError> {
        let mut place = Position::after_head(head.head.position.as_ref());
        while let Some(position) = place {
            let event = draft.event(stream.clone(), position.clone(), Some(sequence.clone()));
            let id = event.id.clone();
            let writes = vec![
                Write::Create(Record::Event(event)),
                Write::Admit {
                    stream: stream.clone(),
                    position: position.clone(),
                },
                Write::Create(Record::Identity(draft.placed(source, &stream, &position))),
            ];
            match self.ledger.transact(writes).await {
                Ok(()) => return Ok(Round::Done(Receipt::accepted(id, stream, position))),
                Err(TransactError::Conflict(conflict)) if conflict.write == 0 => {
                    place = Position::after_head(Some(&position));
                }
                Err(TransactError::Conflict(_)) => return Ok(Round::Again),
                Err(TransactError::Ledger(error)) => return Err(error),
            }
        }
        self.quarantine(
            source,
            draft,
            Some(stream),
            Reason::Late,
            "no place is left after the head",
        )
        .await
    }

    /// Records an older version beside the events.
    async fn superseded(
        &self,
        source: &Source,
        draft: &Draft,
        stream: StreamId,
        position: Position,
    ) -> Result<Round, LedgerError> {
        // A retry of a version long since released is a duplicate, not superseded: look at its own place first.
        if let Some(Record::Event(stored)) = self
            .ledger
            .get(&RecordKey::Event(stream.clone(), position.clone()))
            .await?
        {
            return self.taken(source, draft, stream, &stored).await;
        }
        let event = draft.event(stream.clone(), position.clone(), None);
        let id = event.id.clone();
        let record = Superseded {
            stream: stream.clone(),
            position: position.clone(),
            event: Some(event),
        };
        match self
            .ledger
            .transact(vec![Write::Create(Record::Superseded(record))])
            .await
        {
            Ok(()) => Ok(Round::Done(Receipt::accepted(id, stream, position))),
            Err(TransactError::Conflict(conflict)) => match conflict.stored {
                Some(Record::Superseded(Superseded {
                    event: Some(stored),
                    ..
                })) => self.taken(source, draft, stream, &stored).await,
                _ => Ok(Round::Again),
            },
            Err(TransactError::Ledger(error)) => Err(error),
        }
    }

    async fn quarantine(
        &self,
        source: &Source,
        draft: &Draft,
        stream: Option<StreamId>,
        reason: Reason,
        detail: &str,
    ) -> Result<Round, LedgerError> {
        let id = EventId::quarantined(&source.name, &draft.identity);
        let record = Quarantined {
            source: source.name.clone(),
            id: id.clone(),
            identity: draft.identity.clone(),
            reason,
            detail: detail.to_owned(),
            stream: stream.clone(),
            sequence: draft.sequence.clone(),
            event_type: draft.event_type.clone(),
            time: draft.time,
            recorded: draft.recorded,
            traceparent: draft.traceparent.clone(),
            payload: draft.payload.clone(),
            resolution: None,
            revision: 0,
        };
        let identity = draft.identity_record(source, IdentityPlace::Quarantined(id.clone()));
        let writes = vec![
            Write::Create(Record::Quarantined(record)),
            Write::Create(Record::Identity(identity)),
        ];
        match self.ledger.transact(writes).await {
            Ok(()) => Ok(Round::Done(Receipt {
                id,
                stream,
                position: None,
                status: Status::Quarantined,
                reason: Some(reason),
                differs: false,
            })),
            Err(TransactError::Conflict(_)) => Ok(Round::Again),
            Err(TransactError::Ledger(error)) => Err(error),
        }
    }

    /// What the identity record says, if there is one.
    async fn by_identity(
        &self,
        source: &Source,
        draft: &Draft,
    ) -> Result<Option<Receipt>, LedgerError> {
        let key = RecordKey::Identity(source.name.clone(), draft.identity.clone());
        let Some(Record::Identity(record)) = self.ledger.get(&key).await? else {
            return Ok(None);
        };
        let receipt = match record.place {
            IdentityPlace::Placed { stream, position } => {
                let key = RecordKey::Event(stream.clone(), position.clone());
                match self.ledger.get(&key).await? {
                    Some(Record::Event(event)) => self.duplicate(&event, draft).await?,
                    // Retention took the entry; the identity is still known.
                    _ => Receipt::duplicate(
                        EventId::of(&stream, &position),
                        Some(stream),
                        Some(position),
                    ),
                }
            }
            IdentityPlace::Quarantined(id) => {
                let key = RecordKey::Quarantined(source.name.clone(), id.clone());
                match self.ledger.get(&key).await? {
                    Some(Record::Quarantined(record)) => Receipt {
                        reason: Some(record.reason),
                        differs: record.payload.sha256 != draft.payload.sha256,
                        ..Receipt::duplicate(id, record.stream, None)
                    },
                    _ => Receipt::duplicate(id, None, None),
                }
            }
        };
        Ok(Some(receipt))
    }

    /// The receipt of a duplicate of `first`. A payload that differs is noted beside the event.
    async fn duplicate(&self, first: &Event, draft: &Draft) -> Result<Receipt, LedgerError> {
        let receipt = Receipt::duplicate(
            first.id.clone(),
            Some(first.stream.clone()),
            Some(first.position.clone()),
        );
        let same = first
            .payload()
            .is_some_and(|payload| payload.sha256 == draft.payload.sha256);
        if same {
            return Ok(receipt);
        }
        let note = Note {
            stream: first.stream.clone(),
            position: first.position.clone(),
            sha256: draft.payload.sha256,
            recorded: draft.recorded,
        };
        match self
            .ledger
            .transact(vec![Write::Create(Record::Note(note))])
            .await
        {
            Ok(()) | Err(TransactError::Conflict(_)) => Ok(Receipt {
                differs: true,
                ..receipt
            }),
            Err(TransactError::Ledger(error)) => Err(error),
        }
    }
}

/// The head of a stream before its first event.
fn first_head(stream: &StreamId, rule: &Rule) -> HeadRecord {
    HeadRecord {
        stream: stream.clone(),
        head: rule.initial_head(),
        appended: 0,
        advanced_at: 0,
        revision: 0,
    }
}

/// The write that makes a transaction conditional on a guard.
pub(crate) trait GuardWrite {
    /// The write, if the guard asks for any.
    fn write(self, stream: &StreamId, position: &Position) -> Option<Write>;
}

impl GuardWrite for Guard {
    fn write(self, stream: &StreamId, position: &Position) -> Option<Write> {
        match self {
            Self::None => None,
            Self::Base(number) => Some(Write::BaseAllows {
                stream: stream.clone(),
                number,
            }),
            Self::Head => Some(Write::Admit {
                stream: stream.clone(),
                position: position.clone(),
            }),
        }
    }
}

fn stream_of(source: &Source, draft: &Draft) -> Option<StreamId> {
    draft.key.clone().map(|key| StreamId {
        source: source.stream_source(),
        key,
    })
}

fn parse_sequence(draft: &Draft) -> Option<Sequence> {
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

    fn identity_record(&self, source: &Source, place: IdentityPlace) -> IdentityRecord {
        IdentityRecord {
            source: source.name.clone(),
            identity: self.identity.clone(),
            place,
            recorded: self.recorded,
            revision: 0,
        }
    }

    fn placed(&self, source: &Source, stream: &StreamId, position: &Position) -> IdentityRecord {
        let place = IdentityPlace::Placed {
            stream: stream.clone(),
            position: position.clone(),
        };
        self.identity_record(source, place)
    }
}

impl Receipt {
    fn accepted(id: EventId, stream: StreamId, position: Position) -> Self {
        Self {
            id,
            stream: Some(stream),
            position: Some(position),
            status: Status::Accepted,
            reason: None,
            differs: false,
        }
    }

    fn duplicate(id: EventId, stream: Option<StreamId>, position: Option<Position>) -> Self {
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
