//! The cheap way in on a shared ledger, where every read costs.

use cloakroom_core::ordering::Guard;

use super::draft::{parse_sequence, stream_of};
use super::{Appender, Draft, Receipt, Round};
use crate::catalog::Source;
use crate::ports::LedgerError;

impl Appender {
    /// On a shared ledger: one conditional write to a place that needs no asking, in a stream seen before. Anything in the
    /// way leads back to the questions.
    pub(super) async fn at_known_place(
        &self,
        source: &Source,
        draft: &Draft,
    ) -> Result<Option<Receipt>, LedgerError> {
        // An earlier generation may have placed this identity under another ordering: that must be asked.
        let (Some(stream), Some(sequence)) = (stream_of(source, draft), parse_sequence(draft))
        else {
            return Ok(None);
        };
        if self.ledger.is_exclusive() || source.generation > 1 {
            return Ok(None);
        }
        let Some(head) = self.known.get(&stream, self.clock.now()) else {
            return Ok(None);
        };
        let Some(position) = source.rule.undisputed(&head, &sequence) else {
            return Ok(None);
        };
        let round = self.create(source, draft, stream.clone(), position, Guard::None);
        match round.await? {
            Round::Done(receipt) | Round::Released(receipt, _) => Ok(Some(receipt)),
            Round::Again => {
                self.known.forget(&stream);
                Ok(None)
            }
        }
    }
}
