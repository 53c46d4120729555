//! The ordering rules of a stream, and where a new event is placed under them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::head::{Base, Head};
use crate::id::Identity;
use crate::position::{Position, Sequence};
use crate::time::Timestamp;

/// How many gaps of the greatest width a number may lie above the next expected one before it is taken for a mistake.
const PLAUSIBLE_GAPS: u64 = 1_000;

/// The narrowest width that counts there: who never skips (`max: 0`) still takes what comes before its predecessors.
const PLAUSIBLE_WIDTH_MIN: u64 = 1_000;

/// What orders a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// 1, 2, 3: a hole means that something is missing.
    Dense {
        /// Where a stream starts.
        first: First,
        /// What to do about a hole.
        gap: GapPolicy,
        /// What to do with a number that the stream has passed.
        late: LatePolicy,
    },
    /// Numbers or timestamps; holes mean nothing.
    Sparse {
        /// How long an event is held back for earlier ones to turn up.
        hold: Duration,
        /// What to do with a number that the stream has passed.
        late: LatePolicy,
    },
    /// Only the newest matters.
    Version,
    /// No order field: the order of acceptance.
    Arrival,
}

/// Where a dense stream starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// At this number.
    Number(u64),
    /// At the lowest number that turns up within the window, counted from the stream's first event.
    Lowest {
        /// The window.
        hold: Duration,
    },
}

/// What to do about a hole in a dense stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapPolicy {
    /// How long to wait for the missing numbers.
    pub after: Duration,
    /// What happens then.
    pub then: GapAction,
    /// The widest hole that is ever skipped without an operator.
    pub max: u64,
}

/// What happens at a gap's deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapAction {
    /// Go on waiting, and raise an alert.
    Wait,
    /// Pass the missing numbers over, on record.
    Skip,
}

/// What to do with an event whose place the stream has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatePolicy {
    /// Deliver it after what was sent already, flagged.
    Deliver,
    /// Keep it in quarantine.
    Quarantine,
}

/// Why a verified webhook is kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The key selector found nothing usable.
    MissingKey,
    /// The order selector found nothing.
    MissingSequence,
    /// The order field is no number that this stream can take.
    BadSequence,
    /// Another event holds this number already.
    SequenceConflict,
    /// The stream has passed this number and the policy says `quarantine`.
    Late,
}

impl Reason {
    /// The reason as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingKey => "missing-key",
            Self::MissingSequence => "missing-sequence",
            Self::BadSequence => "bad-sequence",
            Self::SequenceConflict => "sequence-conflict",
            Self::Late => "late",
        }
    }
}

/// Where a new event belongs, given what is known of its stream. The ledger's conditional write has the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Create the event at this position.
    At {
        /// The position.
        position: Position,
        /// What the write must be conditioned on besides the position being free.
        guard: Guard,
    },
    /// The stream has passed the event's own place.
    Late,
    /// It is older than what the stream handed out last: record it beside the events.
    Superseded(Position),
    /// It has no place.
    Quarantine(Reason),
}

/// What an append is conditioned on besides its position being free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Nothing: every number from the base to the head is taken, so the free position itself proves that it is above the head.
    None,
    /// The base is not fixed yet, or not above this number.
    Base(u64),
    /// The head is below the position; counted in `HEAD.appended`.
    Head,
}

impl Rule {
    /// The head of a stream of this kind before its first event.
    pub fn initial_head(&self) -> Head {
        Head {
            base: self.fixed_base(),
            ..Head::default()
        }
    }

    /// Where an event with this order field belongs. `head` may be out of date in every respect but its base.
    pub fn place(
        &self,
        head: &Head,
        sequence: Option<&Sequence>,
        identity: &Identity,
        now: Timestamp,
    ) -> Placement {
        let guarded = |position| Placement::At {
            position,
            guard: Guard::Head,
        };
        match (self, sequence) {
            (Self::Arrival, _) => guarded(Position::next_arrival(
                head.position.as_ref(),
                now,
                identity,
            )),
            (_, None) => Placement::Quarantine(Reason::MissingSequence),
            (Self::Sparse { .. }, Some(sequence)) => {
                let position = Position::sparse(sequence, identity);
                if head.is_at_or_below_floor(&position) {
                    Placement::Late
                } else {
                    guarded(position)
                }
            }
            (Self::Version, Some(sequence)) => {
                let position = Position::version(sequence);
                if head.covers(&position) {
                    Placement::Superseded(position)
                } else {
                    guarded(position)
                }
            }
            (Self::Dense { gap, .. }, Some(sequence)) => match sequence.as_whole() {
                Some(number) => place_dense(head, number, gap),
                None => Placement::Quarantine(Reason::BadSequence),
            },
        }
    }

    /// The place of an event that nothing but the conditional write to that place needs to be asked about, going by a
    /// head that may be an old one. Such an event is above that head, in a stream without a gap, and its number was a
    /// plausible one whatever the head and the policy were: it can never have been quarantined for it.
    pub fn undisputed(&self, head: &Head, sequence: &Sequence) -> Option<Position> {
        let (Self::Dense { .. }, Base::Settled(base)) = (self, head.base) else {
            return None;
        };
        let number = sequence.as_whole()?;
        let position = Position::dense(number);
        let plausible = base..=base.saturating_add(PLAUSIBLE_WIDTH_MIN * PLAUSIBLE_GAPS);
        let is_open = plausible.contains(&number) && head.gap.is_none() && !head.covers(&position);
        (is_open && number != u64::MAX).then_some(position)
    }

    /// What happens to what comes too late.
    pub fn late_policy(&self) -> LatePolicy {
        match self {
            Self::Dense { late, .. } | Self::Sparse { late, .. } => *late,
            Self::Version | Self::Arrival => LatePolicy::Deliver,
        }
    }

    /// Whether an event's position follows from the event alone, so that the conditional write of the entry also dedupes.
    pub fn position_is_identity(&self) -> bool {
        !matches!(self, Self::Arrival)
    }

    fn fixed_base(&self) -> Base {
        match self {
            Self::Dense {
                first: First::Number(number),
                ..
            } => Base::Settled(*number),
            _ => Base::Open,
        }
    }
}

fn place_dense(head: &Head, number: u64, gap: &GapPolicy) -> Placement {
    let position = Position::dense(number);
    let base = head.base.number();
    let below_base = matches!(head.base, Base::Settled(base) if number < base);
    if below_base || head.is_at_or_below_floor(&position) {
        return Placement::Late;
    }
    let expected = head.position.as_ref().and_then(Position::number).or(base);
    let plausible = gap
        .max
        .max(PLAUSIBLE_WIDTH_MIN)
        .saturating_mul(PLAUSIBLE_GAPS);
    let farthest = expected.map(|expected| expected.saturating_add(plausible));
    if number == u64::MAX || farthest.is_some_and(|farthest| number > farthest) {
        return Placement::Quarantine(Reason::BadSequence);
    }
    let guard = match head.base {
        Base::Settled(_) => Guard::None,
        // A fixed base may still be lowered: below it the write is refused until the base is settled.
        Base::Open | Base::Fixed(_) => Guard::Base(number),
    };
    Placement::At { position, guard }
}

#[cfg(test)]
mod tests;
