//! What operators do with what waits in quarantine: release it as an event, or discard it.

use cloakroom_core::id::{EventId, Key as StreamKey, StreamId};
use cloakroom_core::ordering::{Guard, Placement, Reason};
use cloakroom_core::position::{Position, Sequence};
use cloakroom_core::time::Timestamp;

use super::OperateError;
use crate::append::{Draft, GuardWrite as _};
use crate::ports::{TransactError, Write};
use crate::record::{HeadRecord, Key, Quarantined, Record, Resolution, Superseded};
use crate::shared::Shared;

impl Shared {
    /// Makes a quarantined webhook an event, with the key and sequence it came with or with better ones.
    pub(crate) async fn release(
        &self,
        id: &EventId,
        key: Option<StreamKey>,
        sequence: Option<String>,
    ) -> Result<(StreamId, Position), OperateError> {
        loop {
            let before = self.unresolved(id).await?;
            let name = before.source.as_str();
            let source = self.catalog.source(name).ok_or_else(|| {
                OperateError::NotPossible(format!("source {name} is not configured any more"))
            })?;
            let stream = match (&key, &before.stream) {
                (Some(key), _) => StreamId {
                    source: source.stream_source(),
                    key: key.clone(),
                },
                (None, Some(stream)) => stream.clone(),
                (None, None) => {
                    return Err(OperateError::NotPossible(
                        "it has no key: give one to release it".into(),
                    ));
                }
            };
            let text = sequence.clone().or_else(|| before.sequence.clone());
            let parsed = text.as_deref().and_then(Sequence::parse);
            let head = self.appender.head(&stream, &source.rule).await?;
            let placement = source.rule.place(
                &head.head,
                parsed.as_ref(),
                &before.identity,
                self.clock.now(),
            );
            let released = match placement {
                Placement::At { position, guard } if !head.head.covers(&position) => {
                    let own = Some((position, guard));
                    self.place_released(&before, &stream, own, &head, text)
                        .await?
                }
                Placement::Quarantine(Reason::MissingSequence | Reason::BadSequence) => {
                    return Err(OperateError::NotPossible(
                        "it has no usable sequence: give one to release it".into(),
                    ));
                }
                // A version stream hands nothing out that is older than what it handed out already.
                Placement::Superseded(position)
                    if head.head.position.as_ref() != Some(&position) =>
                {
                    self.supersede_released(&before, &stream, position).await?
                }
                // What comes too late or into conflict is released after what was sent already.
                _ => {
                    self.place_released(&before, &stream, None, &head, text)
                        .await?
                }
            };
            if let Some(released) = released {
                self.entry_added(stream);
                return Ok(released);
            }
        }
    }

    /// Records a released webhook as an older version, beside the events. `None` when it was resolved meanwhile.
    async fn supersede_released(
        &self,
        before: &Quarantined,
        stream: &StreamId,
        position: Position,
    ) -> Result<Option<(StreamId, Position)>, OperateError> {
        let taken = || {
            let text = format!(
                "another event holds number {position} of {stream}, and a newer one was handed out already: discard \
                 it, or release it with another sequence"
            );
            OperateError::NotPossible(text)
        };
        let its_place = Key::Event(stream.clone(), position.clone());
        if self.ledger.get(&its_place).await?.is_some() {
            return Err(taken());
        }
        let mut event =
            draft_of(before, self.clock.now()).event(stream.clone(), position.clone(), None);
        event.id = before.id.clone();
        let superseded = Superseded {
            stream: stream.clone(),
            position: position.clone(),
            event: Some(event),
        };
        let released = Resolution::Released {
            stream: stream.clone(),
            position: position.clone(),
        };
        let writes = vec![
            Write::Create(Record::Superseded(superseded)),
            resolve(before, released),
        ];
        match self.ledger.transact(writes).await {
            Ok(()) => Ok(Some((stream.clone(), position))),
            Err(TransactError::Conflict(conflict)) if conflict.write == 0 => Err(taken()),
            Err(TransactError::Conflict(_)) => Ok(None),
            Err(TransactError::Ledger(error)) => Err(error.into()),
        }
    }

    async fn place_released(
        &self,
        before: &Quarantined,
        stream: &StreamId,
        own_place: Option<(Position, Guard)>,
        head: &HeadRecord,
        sequence: Option<String>,
    ) -> Result<Option<(StreamId, Position)>, OperateError> {
        let late = Position::after_head(head.head.position.as_ref());
        let late = std::iter::successors(late, |last| Position::after_head(Some(last)));
        let places = own_place
            .into_iter()
            .chain(late.map(|position| (position, Guard::Head)));
        for (position, guard) in places {
            let is_late = position
                .is_late()
                .then(|| sequence.clone().unwrap_or_default());
            let mut event =
                draft_of(before, self.clock.now()).event(stream.clone(), position.clone(), is_late);
            event.id = before.id.clone();
            let released = Resolution::Released {
                stream: stream.clone(),
                position: position.clone(),
            };
            let mut writes = vec![
                Write::Create(Record::Event(event)),
                resolve(before, released),
            ];
            writes.extend(guard.write(stream, &position));
            match self.ledger.transact(writes).await {
                Ok(()) => return Ok(Some((stream.clone(), position))),
                Err(TransactError::Conflict(conflict)) if conflict.write == 0 => {}
                Err(TransactError::Conflict(_)) => return Ok(None),
                Err(TransactError::Ledger(error)) => return Err(error.into()),
            }
        }
        Err(OperateError::NotPossible(
            "no place is left after the head".into(),
        ))
    }

    /// Keeps a quarantined webhook for the record only.
    pub(crate) async fn discard(&self, id: &EventId) -> Result<(), OperateError> {
        loop {
            let before = self.unresolved(id).await?;
            let discarded = Resolution::Discarded {
                at: self.clock.now(),
            };
            match self
                .ledger
                .transact(vec![resolve(&before, discarded)])
                .await
            {
                Ok(()) => return Ok(()),
                Err(TransactError::Conflict(_)) => {}
                Err(TransactError::Ledger(error)) => return Err(error.into()),
            }
        }
    }

    async fn unresolved(&self, id: &EventId) -> Result<Quarantined, OperateError> {
        let missing =
            || OperateError::NotFound(format!("nothing with the id {id} is in quarantine"));
        let Some(cloakroom_core::id::Place::Quarantine(source)) = id.place() else {
            return Err(missing());
        };
        match self
            .ledger
            .get(&Key::Quarantined(source, id.clone()))
            .await?
        {
            Some(Record::Quarantined(record)) => match record.resolution {
                None => Ok(record),
                Some(Resolution::Released { .. }) => Err(OperateError::NotPossible(format!(
                    "{id} was released already"
                ))),
                Some(Resolution::Discarded { .. }) => Err(OperateError::NotPossible(format!(
                    "{id} was discarded already"
                ))),
            },
            _ => Err(missing()),
        }
    }
}

/// A quarantined webhook as one that is accepted now: whatever waits for others to turn up waits from here on.
fn draft_of(record: &Quarantined, now: Timestamp) -> Draft {
    Draft {
        identity: record.identity.clone(),
        key: None,
        sequence: record.sequence.clone(),
        event_type: record.event_type.clone(),
        time: record.time,
        traceparent: record.traceparent.clone(),
        payload: record.payload.clone(),
        recorded: now,
    }
}

fn resolve(before: &Quarantined, resolution: Resolution) -> Write {
    let record = Quarantined {
        resolution: Some(resolution),
        revision: before.revision + 1,
        ..before.clone()
    };
    Write::Replace {
        record: Record::Quarantined(record),
        revision: before.revision,
    }
}
