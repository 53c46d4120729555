//! One decision in, one line of text out.

use std::fmt::Write;
use std::time::Duration;

use crate::head::{Base, Gap, Head};
use crate::ordering::{First, GapAction, GapPolicy, LatePolicy, Rule};
use crate::position::Position;
use crate::resequence::{Candidate, Decision, resequence};
use crate::time::Timestamp;

pub(super) fn secs(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

pub(super) fn dense(first: First, then: GapAction) -> Rule {
    let after = Duration::from_secs(30);
    let max = 1_000;
    Rule::Dense {
        first,
        gap: GapPolicy { after, then, max },
        late: LatePolicy::Deliver,
    }
}

pub(super) fn waiting() -> Rule {
    dense(First::Number(1), GapAction::Wait)
}

pub(super) fn skipping() -> Rule {
    dense(First::Number(1), GapAction::Skip)
}

pub(super) fn lowest() -> Rule {
    let hold = Duration::from_secs(5);
    dense(First::Lowest { hold }, GapAction::Skip)
}

pub(super) fn sparse() -> Rule {
    Rule::Sparse {
        hold: Duration::from_secs(8),
        late: LatePolicy::Deliver,
    }
}

/// A dense stream that starts at 1, with its head at this position (without leading zeros); none for an empty one.
pub(super) fn at(head: &str) -> Head {
    Head {
        position: (!head.is_empty()).then(|| Position::expand(head).unwrap()),
        base: Base::Settled(1),
        ..Head::default()
    }
}

pub(super) fn with_gap(head: &str, from: u64, to: u64, since: i64) -> Head {
    let deadline = secs(since + 30);
    Head {
        gap: Some(Gap {
            from,
            to,
            since: secs(since),
            deadline,
            stalled: false,
            skipping_from: None,
        }),
        wake_at: Some(deadline),
        ..at(head)
    }
}

/// The same head, stalled.
pub(super) fn stalled(mut head: Head) -> Head {
    if let Some(gap) = &mut head.gap {
        gap.stalled = true;
    }
    head.wake_at = None;
    head
}

/// The same head, while its gap is being passed over since `from`.
pub(super) fn passing_over(mut head: Head, from: u64) -> Head {
    if let Some(gap) = &mut head.gap {
        gap.skipping_from = Some(from);
    }
    head.wake_at = None;
    head
}

/// Candidates like `3@10 5@11`: position (without leading zeros) and second of acceptance.
pub(super) fn candidates(text: &str) -> Vec<Candidate> {
    let candidate = |word: &str| {
        let (position, recorded) = word.split_once('@').unwrap();
        Candidate {
            position: Position::expand(position).unwrap(),
            recorded: secs(recorded.parse().unwrap()),
        }
    };
    text.split_whitespace().map(candidate).collect()
}

pub(super) fn show(decision: &Decision) -> String {
    let Decision { head, .. } = decision;
    let position = head.position.as_ref().map_or("-", Position::compact);
    let mut text = format!("head {position} releases {}", decision.released);
    if decision.superseded > 0 {
        write!(text, " superseding {}", decision.superseded).unwrap();
    }
    if let Some(skip) = decision.skipped {
        write!(text, ", skips {}..={}", skip.from, skip.to).unwrap();
        if let Some(from) = skip.range_from {
            write!(text, " ending {from}..={}", skip.to).unwrap();
        }
    }
    if let Some(gap) = &head.gap {
        let (since, deadline) = (gap.since.as_secs(), gap.deadline.as_secs());
        write!(text, ", gap {}..={} {since}-{deadline}", gap.from, gap.to).unwrap();
        text.push_str(if gap.stalled { " stalled" } else { "" });
        if let Some(from) = gap.skipping_from {
            write!(text, " skipping from {from}").unwrap();
        }
    }
    match head.base {
        Base::Settled(1) | Base::Open => {}
        base => write!(text, ", {base:?}").unwrap(),
    }
    if let Some(at) = head.wake_at {
        write!(text, ", wakes at {}", at.as_micros() as f64 / 1e6).unwrap();
    }
    text.push_str(if decision.again { ", again" } else { "" });
    text
}

/// Decides with every candidate known.
pub(super) fn check(rule: &Rule, head: &Head, above: &str, now: i64, expected: &str) -> Decision {
    let decision = resequence(rule, head, &candidates(above), true, secs(now));
    assert_eq!(show(&decision), expected, "{above} above {head:?} at {now}");
    decision
}

/// Decides with only the first candidates known.
pub(super) fn check_incomplete(rule: &Rule, head: &Head, above: &str, now: i64, expected: &str) {
    let decision = resequence(rule, head, &candidates(above), false, secs(now));
    assert_eq!(show(&decision), expected, "{above} above {head:?} at {now}");
}
