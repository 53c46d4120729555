//! One batch on its way to the target: what to invoke next, what to halve, what to give up. No I/O, no clock.
//!
//! A batch is a row of pieces, in the order of the stream. Only the first piece is worked on, until it is dealt with or given up, so a
//! record is delivered for the first time only after all records before it were.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::time::Timestamp;

use crate::answer::Answer;
use crate::definition::StreamParameters;
use crate::letter::{Burial, Condition};
use crate::record::Item;

/// How long a DynamoDB stream keeps a record. An attempt beyond that is pointless, so nothing is tried for longer.
pub(crate) const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// When to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// How often a piece is tried again; `None` without limit.
    pub(crate) retries: Option<u32>,
    /// How old a record may grow.
    pub(crate) age_max: Duration,
    /// Whether a piece that failed is halved.
    pub(crate) bisect: bool,
}

impl Policy {
    pub(crate) fn new(parameters: &StreamParameters) -> Self {
        let age = u64::try_from(parameters.maximum_record_age_in_seconds).ok();
        Self {
            retries: u32::try_from(parameters.maximum_retry_attempts).ok(),
            age_max: age.map_or(RETENTION, |age| Duration::from_secs(age).min(RETENTION)),
            bisect: parameters.on_partial_batch_item_failure.is_some(),
        }
    }
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Invoke the target with these records, then call [`Batch::answered`]; or not, when it was not reached.
    Invoke(Vec<Arc<Item>>),
    /// Send a dead letter for these records, then call [`Batch::buried`].
    Bury(Burial),
    /// Nothing: everything was dealt with or given up.
    Done,
}

/// A batch.
#[derive(Debug)]
pub(crate) struct Batch {
    /// All records of it, in the shard's order.
    all: Vec<Arc<Item>>,
    pieces: VecDeque<Piece>,
    policy: Policy,
}

#[derive(Debug)]
struct Piece {
    items: Vec<Arc<Item>>,
    /// How often exactly this was tried in vain. Halving does not count, as with Lambda's own stream poller.
    failures: u32,
}

impl Batch {
    /// A batch of records in the shard's order.
    pub(crate) fn new(items: Vec<Arc<Item>>, policy: Policy) -> Self {
        let pieces = VecDeque::from([Piece {
            items: items.clone(),
            failures: 0,
        }]);
        Self {
            all: items,
            pieces,
            policy,
        }
    }

    /// What to do next. Changes nothing, so that a step may be repeated.
    pub(crate) fn step(&self, now: Timestamp) -> Step {
        let Some(piece) = self.pieces.front() else {
            return Step::Done;
        };
        let exhausted = self.policy.retries.is_some_and(|max| piece.failures > max);
        if exhausted {
            return Step::Bury(Burial {
                items: piece.items.clone(),
                condition: Condition::RetryAttemptsExhausted,
            });
        }
        let aged = |item: &&Arc<Item>| now.since(item.created_at) > self.policy.age_max;
        let expired: Vec<_> = piece.items.iter().take_while(aged).cloned().collect();
        if expired.is_empty() {
            return Step::Invoke(piece.items.clone());
        }
        Step::Bury(Burial {
            items: expired,
            condition: Condition::RecordAgeExceeded,
        })
    }

    /// The first `count` records of the piece at hand have their dead letter.
    pub(crate) fn buried(&mut self, count: usize) {
        if let Some(piece) = self.pieces.front_mut() {
            piece.items.drain(..count);
            if piece.items.is_empty() {
                self.pieces.pop_front();
            }
        }
    }

    /// The target's answer to the piece at hand.
    pub(crate) fn answered(&mut self, answer: &Answer) {
        let Some(mut piece) = self.pieces.pop_front() else {
            return;
        };
        match answer {
            Answer::Success => return,
            Answer::Failed => {}
            Answer::Partial(failed) => {
                let rest = failed.iter().filter_map(|place| piece.items.get(*place));
                piece.items = rest.cloned().collect();
            }
        }
        if self.policy.bisect && piece.items.len() > 1 {
            let second = piece.items.split_off(piece.items.len().div_ceil(2));
            self.pieces.push_front(Piece {
                items: second,
                failures: piece.failures,
            });
        } else {
            piece.failures = piece.failures.saturating_add(1);
        }
        self.pieces.push_front(piece);
    }

    /// The sequence number up to which nothing is left to do; `None` when that is before this batch.
    pub(crate) fn settled(&self) -> Option<&str> {
        let last = match self.pieces.front().and_then(|piece| piece.items.first()) {
            None => self.all.last(),
            Some(open) => {
                let place = self.all.iter().position(|item| Arc::ptr_eq(item, open))?;
                place.checked_sub(1).and_then(|before| self.all.get(before))
            }
        };
        last.map(|item| item.sequence_number.as_str())
    }
}

#[cfg(test)]
mod tests;
