//! Dense streams: where they start, their holes, and how these are passed over.

use std::ops::RangeInclusive;

use super::{Candidate, Decision, PLACEHOLDERS_MAX, Skip, release_all, unchanged};
use crate::head::{Base, Gap, Head};
use crate::ordering::{First, GapAction, GapPolicy};
use crate::position::Position;
use crate::time::Timestamp;

pub(super) fn decide(
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
        ..head
    };
    Decision {
        released,
        skipped: Some(skip),
        again: true,
        ..unchanged(&head)
    }
}
