//! The resequencer's decision: what may leave a stream now.
//!
//! A pure function. The engine reads the head and the candidates above it, asks [`resequence`], and writes the answer
//! in one transaction that is conditioned on the head it read.

use std::ops::RangeInclusive;
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
        Base::Open | Base::Fixed(_) => return choose_base(first, head, candidates, complete, now),
    };
    let start = match head.position.as_ref().and_then(Position::number) {
        Some(number) => base.max(number + 1),
        None => base,
    };
    let run = Run::of(start, candidates);
    let before = head.gap.as_ref();
    if let Some(gap) = before
        && let Some(range_from) = gap.skipping_from.filter(|from| *from < gap.from)
        && run.next > start
    {
        return end_range(head, gap, range_from, candidates);
    }
    let released = run.released;
    let position = candidates[..released].last().map(|last| &last.position);
    let head = Head {
        position: position.or(head.position.as_ref()).cloned(),
        gap: None,
        wake_at: None,
        ..head.clone()
    };
    if let Some(above) = candidates.get(released) {
        let to = above
            .position
            .number()
            .map_or(run.next, |number| number - 1);
        let gap = open_gap(policy, before, run.next..=to, above.recorded, run.last);
        return decide_gap(policy, head, &gap, released, now);
    }
    // While it is not known what follows, it is not known either whether the hole goes on, or the next one opens here:
    // the clock must not be forgotten.
    let gap = before.filter(|_| !complete).map(|gap| {
        let hole = run.next.min(gap.to)..=gap.to;
        open_gap(policy, before, hole, gap.since, run.last)
    });
    Decision {
        again: !complete,
        released,
        ..unchanged(&Head { gap, ..head })
    }
}

/// The candidates that follow on from the head without a hole.
struct Run {
    released: usize,
    /// The number after the run.
    next: u64,
    /// When the last number of the run was accepted.
    last: Option<Timestamp>,
}

impl Run {
    fn of(start: u64, candidates: &[Candidate]) -> Self {
        let mut run = Self {
            released: 0,
            next: start,
            last: None,
        };
        for candidate in candidates {
            match candidate.position.number() {
                Some(number) if number > run.next => break,
                Some(number) if number == run.next => {
                    run.next += 1;
                    run.last = Some(candidate.recorded);
                }
                // Placed late: nothing holds it.
                _ => {}
            }
            run.released += 1;
        }
        run
    }
}

/// Ends a range whose passing-over has begun, because the number after its last placeholder turned up meanwhile: the
/// placeholders are frozen, so their gap event comes directly after them, at a place like a late event's.
fn end_range(head: &Head, gap: &Gap, range_from: u64, candidates: &[Candidate]) -> Decision {
    let released = candidates
        .iter()
        .take_while(|candidate| candidate.position.is_late())
        .count();
    let last = candidates[..released].last().map(|last| &last.position);
    let Some(position) = Position::after_head(last.or(head.position.as_ref())) else {
        return unchanged(head);
    };
    Decision {
        head: Head {
            position: Some(position),
            gap: Some(Gap {
                skipping_from: Some(gap.from),
                ..gap.clone()
            }),
            wake_at: None,
            ..head.clone()
        },
        released,
        skipped: Some(Skip {
            from: gap.from,
            to: gap.from - 1,
            range_from: Some(range_from),
        }),
        again: true,
        ..unchanged(head)
    }
}

/// Fixes where a `first: lowest` stream starts, in three steps with a look at the ledger between them: choose the
/// lowest number once the window is over, look for lower ones that were written before the choice, then settle.
fn choose_base(
    first: &First,
    head: &Head,
    candidates: &[Candidate],
    complete: bool,
    now: Timestamp,
) -> Decision {
    let lowest = candidates
        .iter()
        .find_map(|c| c.position.number().filter(|_| !c.position.is_late()));
    let Some(lowest) = lowest else {
        // Only what was placed late: it waits for no base, and must not hide what stands behind it.
        return release_all(head, candidates, complete);
    };
    let with_base = |base| Decision {
        head: Head {
            base,
            wake_at: None,
            ..head.clone()
        },
        again: true,
        ..unchanged(head)
    };
    let hold = match (head.base, first) {
        (Base::Fixed(base), _) if lowest < base => return with_base(Base::Fixed(lowest)),
        (Base::Fixed(base), _) => return with_base(Base::Settled(base)),
        (_, First::Number(number)) => return with_base(Base::Settled(*number)),
        (_, First::Lowest { hold }) => *hold,
    };
    let opened = candidates.iter().map(|candidate| candidate.recorded).min();
    let ends = head
        .wake_at
        .unwrap_or_else(|| opened.unwrap_or(now).after(hold));
    if now >= ends {
        return with_base(Base::Fixed(lowest));
    }
    unchanged(&Head {
        wake_at: Some(ends),
        ..head.clone()
    })
}

/// The hole between two neighbours: the event `above` it, and the last one of the run `below` it (known when that run
/// has just been released). The clock runs from the later of the two, because that one opened the hole or shrank it
/// last. It never goes back.
fn open_gap(
    policy: &GapPolicy,
    before: Option<&Gap>,
    hole: RangeInclusive<u64>,
    above: Timestamp,
    below: Option<Timestamp>,
) -> Gap {
    let (from, to) = hole.into_inner();
    let since = above
        .max(below.unwrap_or(above))
        .max(before.map_or(above, |gap| gap.since));
    // Passing over goes on to the end of what is left of its hole. What it has not reached yet, it starts at.
    let skipping_from = before
        .filter(|gap| from <= gap.to)
        .and_then(|gap| gap.skipping_from.map(|begun| (gap, begun)))
        .map(|(gap, begun)| if gap.from == from { begun } else { from });
    Gap {
        from,
        to,
        since,
        deadline: since.after(policy.after),
        stalled: before.is_some_and(|gap| gap.stalled && gap.from == from && gap.to == to),
        skipping_from,
    }
}

fn decide_gap(
    policy: &GapPolicy,
    head: Head,
    gap: &Gap,
    released: usize,
    now: Timestamp,
) -> Decision {
    let due = now >= gap.deadline;
    let narrow = gap.to - gap.from < policy.max;
    let by_policy = due && narrow && policy.then == GapAction::Skip;
    if !by_policy && gap.skipping_from.is_none() {
        let head = Head {
            wake_at: (!due).then_some(gap.deadline),
            gap: Some(Gap {
                stalled: due,
                ..gap.clone()
            }),
            ..head
        };
        return Decision {
            released,
            ..unchanged(&head)
        };
    }
    let range_from = gap.skipping_from.unwrap_or(gap.from);
    let to = gap.to.min(gap.from.saturating_add(PLACEHOLDERS_MAX - 1));
    let complete = to == gap.to;
    let skip = Skip {
        from: gap.from,
        to,
        range_from: complete.then_some(range_from),
    };
    let rest = Gap {
        from: to + 1,
        skipping_from: Some(range_from),
        ..gap.clone()
    };
    let head = Head {
        position: Some(Position::dense(to)),
        gap: (!complete).then_some(rest),
        wake_at: None,
        ..head
    };
    Decision {
        released,
        skipped: Some(skip),
        again: true,
        ..unchanged(&head)
    }
}

#[cfg(test)]
mod tests;
