//! What becomes of a webhook whose own place the stream has passed, and of one that has none.

use cloakroom_core::id::{EventId, StreamId};
use cloakroom_core::ordering::{LatePolicy, Reason};
use cloakroom_core::position::Position;

use super::draft::{Draft, Receipt, Status, parse_sequence};
use super::{Appender, Round};
use crate::catalog::Source;
use crate::ports::{LedgerError, TransactError, Write};
use crate::record::{HeadRecord, IdentityPlace, Key as RecordKey, Quarantined, Record, Superseded};

impl Appender {
    pub(super) async fn late(
        &self,
        source: &Source,
        draft: &Draft,
        stream: StreamId,
        head: &HeadRecord,
    ) -> Result<Round, LedgerError> {
        // What retention is about to remove is still there: a retry of it is a duplicate, not late.
        if let Some(position) = draft.own_position(&source.rule)
            && head.head.is_at_or_below_floor(&position)
            && let Some(Record::Event(stored)) = self
                .ledger
                .get(&RecordKey::Event(stream.clone(), position))
                .await?
            && stored.identity == draft.identity
        {
            return Ok(Round::Done(self.duplicate(&stored, draft).await?));
        }
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
    pub(super) async fn superseded(
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

    pub(super) async fn quarantine(
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
}
