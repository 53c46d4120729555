//! The resequencer's decision: what may leave a stream now.
//!
//! A pure function. The engine reads the head and the candidates above it, asks [`resequence`], and writes the answer
//! in one transaction that is conditioned on the head it read.

use std::time::Duration;

use crate::head::{Base, Gap, Head};
use crate::ordering::{First, GapAction, GapPolicy, Rule};
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
    /// Numbers to be passed over: placeholders to write, all of them up to the new head.
    pub skipped: Option<Skip>,
    /// Look again at once: more may be released than this decision could hold.
    pub again: bool,
}

impl Decision {
    /// Whether the ledger must learn of this decision. A gap that only shrank from above needs no write before its old
    /// deadline: the new one is derived again from the events then. So a burst in reverse order costs one head write.
    pub fn must_write(&self, before: &Head, now: Timestamp) -> bool {
        let after = &self.head;
        let gap_only_shrank = match (&before.gap, &after.gap) {
            (Some(old), Some(new)) => {
                let same = Gap {
                    to: old.to,
                    since: old.since,
                    deadline: old.deadline,
                    ..new.clone()
                };
                same == *old && new.to <= old.to
            }
            _ => false,
        };
        let not_due = before
            .wake_at
            .is_some_and(|at| now < at && after.wake_at.is_some_and(|new| new >= at));
        let same = Head {
            gap: before.gap.clone(),
            wake_at: before.wake_at,
            ..after.clone()
        };
        !(*after == *before || (gap_only_shrank && not_due && same == *before))
    }
}

/// Placeholders for the numbers `from..=to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip {
    /// The first number to write.
    pub from: u64,
    /// The last number to write.
    pub to: u64,
    /// Where the whole range that is passed over starts, when this is its end: the last placeholder then stands for the
    /// range and is its one gap event.
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
        } if head.base == Base::Open && asleep => Need::Nothing,
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
        Rule::Dense { first, gap, .. } => dense(first, gap, head, candidates, complete, now),
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

fn dense(
    first: &First,
    policy: &GapPolicy,
    head: &Head,
    candidates: &[Candidate],
    complete: bool,
    now: Timestamp,
) -> Decision {
    let base = match head.base {
        Base::Settled(base) => base,
        Base::Open | Base::Fixed(_) => return choose_base(first, head, candidates, now),
    };
    let mut next = match head.position.as_ref() {
        Some(position) => position.number().map_or(base, |number| number + 1),
        None => base,
    };
    let mut released = 0;
    for candidate in candidates {
        match candidate.position.number() {
            Some(number) if number == next && !candidate.position.is_late() => next += 1,
            _ if candidate.position.is_late()
                && candidate.position.number().is_none_or(|n| n < next) => {}
            _ => break,
        }
        released += 1;
    }
    let position = candidates[..released]
        .last()
        .map(|last| last.position.clone())
        .or_else(|| head.position.clone());
    let Some(above) = candidates.get(released) else {
        let head = Head {
            position,
            gap: None,
            wake_at: None,
            ..head.clone()
        };
        return Decision {
            head,
            released,
            superseded: 0,
            skipped: None,
            again: !complete,
        };
    };
    let to = above
        .position
        .number()
        .map_or(next, |number| number.saturating_sub(1));
    let gap = open_gap(policy, head.gap.as_ref(), next, to, above.recorded, now);
    let head = Head {
        position,
        ..head.clone()
    };
    decide_gap(policy, head, gap, released, now)
}

/// Fixes where a `first: lowest` stream starts, in three steps with a look at the ledger between them: choose the
/// lowest number once the window is over, look for lower ones that were written before the choice, then settle.
fn choose_base(first: &First, head: &Head, candidates: &[Candidate], now: Timestamp) -> Decision {
    let lowest = candidates
        .iter()
        .find_map(|c| c.position.number().filter(|_| !c.position.is_late()));
    let Some(lowest) = lowest else {
        return unchanged(head);
    };
    let with_base = |base, again| Decision {
        head: Head {
            base,
            wake_at: None,
            ..head.clone()
        },
        again,
        ..unchanged(head)
    };
    match (head.base, first) {
        (Base::Fixed(base), _) if lowest < base => with_base(Base::Fixed(lowest), true),
        (Base::Fixed(base), _) => with_base(Base::Settled(base), true),
        (_, First::Number(number)) => with_base(Base::Settled(*number), true),
        (_, First::Lowest { hold }) => match head.wake_at {
            Some(at) if now >= at => with_base(Base::Fixed(lowest), true),
            Some(_) => unchanged(head),
            None => {
                let opened = candidates
                    .iter()
                    .map(|candidate| candidate.recorded)
                    .min()
                    .unwrap_or(now);
                Decision {
                    head: Head {
                        wake_at: Some(opened.after(*hold)),
                        ..head.clone()
                    },
                    again: now >= opened.after(*hold),
                    ..unchanged(head)
                }
            }
        },
    }
}

/// The hole `from..=to`, with its clock. The clock runs from the first event above the hole, which is also the one that
/// shrank it from above; when the head moved into the hole it starts anew. It never runs from before the stream's
/// previous hole was opened.
fn open_gap(
    policy: &GapPolicy,
    before: Option<&Gap>,
    from: u64,
    to: u64,
    above: Timestamp,
    now: Timestamp,
) -> Gap {
    if let Some(gap) = before {
        if gap.from == from && gap.to == to {
            return gap.clone();
        }
        if gap.skipping_from.is_some() && from <= gap.to && to <= gap.to {
            return Gap {
                from,
                to,
                ..gap.clone()
            };
        }
    }
    let since = match before {
        Some(gap) if gap.from < from && from <= gap.to => now,
        Some(gap) => above.max(gap.since),
        None => above,
    };
    Gap {
        from,
        to,
        since,
        deadline: since.after(policy.after),
        stalled: false,
        skipping_from: None,
    }
}

fn decide_gap(
    policy: &GapPolicy,
    head: Head,
    gap: Gap,
    released: usize,
    now: Timestamp,
) -> Decision {
    let waiting = |gap: Gap, wake_at, again| Decision {
        head: Head {
            gap: Some(gap),
            wake_at,
            ..head.clone()
        },
        released,
        superseded: 0,
        skipped: None,
        again,
    };
    let start = gap.skipping_from.unwrap_or(gap.from);
    let skippable = gap.skipping_from.is_some()
        || (policy.then == GapAction::Skip
            && gap.to - gap.from < policy.max
            && now >= gap.deadline);
    if !skippable {
        let stalled = now >= gap.deadline;
        let wake_at = (!stalled).then_some(gap.deadline);
        return waiting(Gap { stalled, ..gap }, wake_at, false);
    }
    if released > 0 {
        // One thing at a time: first the run that is there, then the hole behind it.
        let due = Some(gap.deadline);
        return waiting(gap, due, true);
    }
    let to = gap.to.min(gap.from + (PLACEHOLDERS_MAX - 1));
    let complete = to == gap.to;
    let rest = Gap {
        from: to + 1,
        skipping_from: Some(start),
        ..gap
    };
    Decision {
        head: Head {
            position: Some(Position::dense(to)),
            gap: (!complete).then_some(rest),
            wake_at: None,
            ..head
        },
        released: 0,
        superseded: 0,
        skipped: Some(Skip {
            from: gap.from,
            to,
            range_from: complete.then_some(start),
        }),
        again: true,
    }
}
