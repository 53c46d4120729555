//! The append protocol: how a verified webhook becomes exactly one ledger entry, or is kept apart on record.
//!
//! Order of questions (DESIGN's rules 3, 4, 10 and 11): is this identity on record already; where does the event belong;
//! is that place free. Only the conditional write answers the last one, so every conflict leads back to a question.

mod aside;
mod draft;
mod known;
mod release;
mod undisputed;

use std::sync::Arc;

use cloakroom_core::event::{Body, Event};
use cloakroom_core::id::StreamId;
use cloakroom_core::ordering::{Guard, Placement, Reason, Rule};
use cloakroom_core::position::Position;

pub(crate) use self::draft::{Appended, Draft};
pub use self::draft::{Receipt, Status};
use self::draft::{parse_sequence, stream_of};
use crate::catalog::Source;
use crate::known::KnownHeads;
use crate::ports::{Clock, Conflict, Ledger, LedgerError, TransactError, Write};
use crate::record::{HeadRecord, Key as RecordKey, Record};
use crate::shared::Release;

/// How often an append starts over when other appends to the same stream keep winning.
const ATTEMPTS_MAX: usize = 64;

/// Puts verified webhooks into the ledger.
pub(crate) struct Appender {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) known: KnownHeads,
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
        if let Some(receipt) = self.at_known_place(source, draft).await? {
            return Ok(receipt.into());
        }
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
        if !self.ledger.is_exclusive() {
            self.known.remember(&head, self.clock.now());
        }
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
