//! What is on record already: duplicates, and their first receipts.

use cloakroom_core::event::Event;
use cloakroom_core::id::EventId;

use super::Appender;
use super::draft::{Draft, Receipt, stream_of};
use crate::catalog::Source;
use crate::ports::{LedgerError, TransactError, Write};
use crate::record::{IdentityPlace, Key as RecordKey, Note, Record};

impl Appender {
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

    /// What the identity record says, if there is one.
    pub(super) async fn by_identity(
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
    pub(super) async fn duplicate(
        &self,
        first: &Event,
        draft: &Draft,
    ) -> Result<Receipt, LedgerError> {
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
