//! The resequencer's decision: what may leave a stream now.
//!
//! A pure function. The engine reads the head and the candidates above it, asks [`resequence`], and writes the answer
//! in one transaction that is conditioned on the head it read.

mod dense;

use std::time::Duration;

use crate::head::{Base, Gap, Head};
use crate::ordering::{First, Rule};
use crate::position::Position;
use crate::time::Timestamp;

/// The most placeholders one decision writes: a DynamoDB transaction holds 100 items, and the head is one of them.
pub const PLACEHOLDERS_MAX: u64 = 98;

/// A held sparse event is looked at again no sooner than this fraction of its hold, so that a steady flow of events
/// costs a bounded number of reads each.
const HOLD_STEPS: u32 = 8;

/// An event above the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its place.
    pub position: Position,
    /// When it was accepted.
    pub recorded: Timestamp,
}

/// What follows from a head and the candidates above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The new head. Equal to the old one when there is nothing to write.
    pub head: Head,
    /// How many of the candidates, from the first, the new head covers.
    pub released: usize,
    /// How many of the released ones, from the first, are older versions of the last: recorded, never handed out.
    pub superseded: usize,
    /// Numbers to be passed over: entries to write above the released candidates, the last of them at the new head.
    pub skipped: Option<Skip>,
    /// Look again at once: more may be released than this decision could hold.
    pub again: bool,
}

impl Decision {
    /// Whether the ledger must learn of this decision. A gap that only shrank from above needs no write before its old
    /// deadline: the new one is derived again from the events then. So a burst in reverse order costs one head write.
    pub fn must_write(&self, before: &Head, now: Timestamp) -> bool {
        let after = &self.head;
        let not_due = before
            .wake_at
            .is_some_and(|at| now < at && after.wake_at.is_some_and(|new| at <= new));
        let gap_only_shrank = match (&before.gap, &after.gap) {
            (Some(old), Some(new)) if new.to <= old.to => {
                let gap = Gap {
                    to: old.to,
                    since: old.since,
                    deadline: old.deadline,
                    ..new.clone()
                };
                let but_for_the_gap = Head {
                    gap: Some(gap),
                    wake_at: before.wake_at,
                    ..after.clone()
                };
                but_for_the_gap == *before
            }
            _ => false,
        };
        *after != *before && !(gap_only_shrank && not_due)
    }
}

/// Numbers that are passed over: a placeholder for each of `from..=to`, in the transaction that moves the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip {
    /// The first number to write.
    pub from: u64,
    /// The last number to write; below `from` when only the gap event is still to be written.
    pub to: u64,
    /// Where the whole range that is passed over starts, when it ends here: the entry at the new head is then the one
    /// gap event of `range_from..=to`.
    pub range_from: Option<u64>,
}

/// How much of a stream the resequencer must read before it can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: no arrival changes anything before the head's `wake_at`.
    Nothing,
    /// A first look at the next candidate, then more only while they follow on.
    Run,
    /// Every candidate above the head.
    All,
}

/// What to read before calling [`resequence`]. This is what keeps the cost of an arrival flat.
pub fn need(rule: &Rule, head: &Head, now: Timestamp) -> Need {
    let asleep = head.wake_at.is_some_and(|at| now < at);
    match rule {
        Rule::Sparse { .. } if asleep => Need::Nothing,
        Rule::Sparse { .. } => Need::All,
        Rule::Dense {
            first: First::Lowest { .. },
            ..
        } if head.base == Base::Open => match head.wake_at {
            // The window runs from whichever event was accepted first.
            None => Need::All,
            Some(_) if asleep => Need::Nothing,
            Some(_) => Need::Run,
        },
        Rule::Dense { .. } | Rule::Version | Rule::Arrival => Need::Run,
    }
}

/// Decides what is released. `candidates` are the events above the head in position order; `complete` says that there
/// are no more of them (otherwise the decision is made on these and asks to look again).
pub fn resequence(
    rule: &Rule,
    head: &Head,
    candidates: &[Candidate],
    complete: bool,
    now: Timestamp,
) -> Decision {
    match rule {
        Rule::Dense { first, gap, .. } => {
            dense::decide(first, gap, head, candidates, complete, now)
        }
        Rule::Sparse { hold, .. } => sparse(*hold, head, candidates, now),
        Rule::Version => {
            let decision = release_all(head, candidates, complete);
            Decision {
                superseded: candidates.len().saturating_sub(1),
                ..decision
            }
        }
        Rule::Arrival => release_all(head, candidates, complete),
    }
}

/// The head behind an append at `position`, when that is the very number a dense stream waits for and there is nothing
/// else to decide: then the append may release its event itself, in its own transaction, on condition that the head is
/// still this one. `None` when the resequencer has to look.
pub fn released_by_append(rule: &Rule, head: &Head, position: &Position) -> Option<Head> {
    let (Rule::Dense { .. }, Base::Settled(base)) = (rule, head.base) else {
        return None;
    };
    let released = head.position.as_ref().and_then(Position::number);
    let next = released.map_or(Some(base), |number| {
        number.checked_add(1).map(|n| n.max(base))
    });
    let is_next = !position.is_late() && position.number() == next;
    // What waits behind a gap is only found by a look.
    (is_next && next.is_some() && head.gap.is_none()).then(|| Head {
        position: Some(position.clone()),
        ..head.clone()
    })
}

fn unchanged(head: &Head) -> Decision {
    Decision {
        head: head.clone(),
        released: 0,
        superseded: 0,
        skipped: None,
        again: false,
    }
}

fn release_all(head: &Head, candidates: &[Candidate], complete: bool) -> Decision {
    let position = candidates
        .last()
        .map(|last| last.position.clone())
        .or_else(|| head.position.clone());
    Decision {
        head: Head {
            position,
            ..head.clone()
        },
        released: candidates.len(),
        again: !complete,
        ..unchanged(head)
    }
}

fn sparse(hold: Duration, head: &Head, candidates: &[Candidate], now: Timestamp) -> Decision {
    let held_long_enough = |candidate: &Candidate| {
        candidate.position.is_late() || candidate.recorded.after(hold) <= now
    };
    // Whatever stands before one that may leave must leave with it: nothing can come between them in time any more
    // without coming late.
    let released = candidates
        .iter()
        .rposition(held_long_enough)
        .map_or(0, |last| last + 1);
    let (leaving, waiting) = candidates.split_at(released);
    let due = waiting
        .iter()
        .map(|candidate| candidate.recorded.after(hold))
        .min();
    let wake_at = due.map(|due| due.max(now.after(hold / HOLD_STEPS)));
    let position = leaving
        .last()
        .map(|last| last.position.clone())
        .or_else(|| head.position.clone());
    Decision {
        head: Head {
            position,
            wake_at,
            ..head.clone()
        },
        released,
        ..unchanged(head)
    }
}

#[cfg(test)]
mod tests;
