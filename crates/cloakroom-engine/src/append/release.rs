//! The short way: an event that is next leaves in the transaction that stores it.

use cloakroom_core::id::StreamId;
use cloakroom_core::ordering::{Guard, Placement};
use cloakroom_core::position::Sequence;
use cloakroom_core::resequence::released_by_append;

use super::draft::{Draft, Receipt};
use super::{Appender, Round, first_head};
use crate::catalog::Source;
use crate::ports::{LedgerError, TransactError, Write};
use crate::record::{HeadRecord, Record};
use crate::shared::Release;

impl Appender {
    /// Appends the very event its stream waits for and moves the head over it, in one transaction. `None` when the
    /// event is no such one, or the head moved meanwhile: then it is appended in the usual way, and the resequencer looks.
    ///
    /// Only on an exclusive ledger. On a shared one whoever follows the changes of heads and events releases, and two
    /// writers would meet at one head all the time. Here every other move of a head is conditioned on its revision, as
    /// this one is, so that whoever comes second looks again and finds this event in its place.
    pub(super) async fn release(
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
}
