//! Resequencers: read the head, read the range, move the head by compare-and-set, with others in between.

use cloakroom_core::position::Position;
use cloakroom_core::resequence::{Candidate, Decision, Need, need, resequence};

use crate::state::{Broken, Content, Entry, KeyedHead, Protocol, Resequencer, State, Wrong, time};

impl Protocol {
    /// One more step of a resequencer.
    pub(crate) fn resequence(&self, state: &mut State, worker: usize) {
        let next = match state.resequencers[worker].clone() {
            Resequencer::Idle => {
                state.rings_resequencer = false;
                self.looks(state)
            }
            // Before the step, and in the wrong order.
            Resequencer::HasRange(range) => {
                let head = state.head.clone();
                self.decide(state, state.revision, &head, &candidates_of(&range))
            }
            Resequencer::HasHead { revision, head } => self.decide(
                state,
                revision,
                &head,
                &candidates_of(&range_above(state, &head)),
            ),
            Resequencer::Decided {
                revision,
                head,
                skipped,
                again,
            } => self.carry_out(state, revision, head, skipped, again),
        };
        state.resequencers[worker] = next;
        state.resequencers.sort();
    }

    /// Whether a resequencer that looked now would write anything.
    pub(crate) fn could_release(&self, state: &State) -> bool {
        let head = &state.head;
        let decided = self.decide(
            state,
            state.revision,
            head,
            &candidates_of(&range_above(state, head)),
        );
        decided != Resequencer::Idle
    }

    fn looks(&self, state: &State) -> Resequencer {
        match self.broken {
            Broken::RangeFirst => Resequencer::HasRange(range_above(state, &state.head)),
            _ => Resequencer::HasHead {
                revision: state.revision,
                head: state.head.clone(),
            },
        }
    }

    fn decide(
        &self,
        state: &State,
        revision: u8,
        head: &KeyedHead,
        candidates: &[Candidate],
    ) -> Resequencer {
        let now = state.time();
        if need(&self.rule, &head.0, now) == Need::Nothing {
            return Resequencer::Idle;
        }
        let decision = resequence(&self.rule, &head.0, candidates, true, now);
        if !decision.must_write(&head.0, now) {
            return Resequencer::Idle;
        }
        let Decision {
            head,
            skipped,
            again,
            ..
        } = decision;
        Resequencer::Decided {
            revision,
            head: KeyedHead(head),
            skipped: skipped.map(|skip| (skip.from, skip.to, skip.range_from.is_some())),
            again,
        }
    }

    fn carry_out(
        &self,
        state: &mut State,
        revision: u8,
        head: KeyedHead,
        skipped: Option<(u64, u64, bool)>,
        again: bool,
    ) -> Resequencer {
        let places = placeholders(&head, skipped);
        let is_free = |place: &Position| !state.entries.contains_key(place);
        let all_free = places.iter().all(|(place, _)| is_free(place));
        let is_same = state.revision == revision;
        if !(is_same || self.broken == Broken::BlindHead)
            || !(all_free || self.broken == Broken::BlindPlaceholders)
        {
            return self.looks(state);
        }
        let now = state.now;
        for (place, content) in places {
            let entry = Entry {
                content,
                recorded: now,
            };
            if state.entries.insert(place, entry).is_some() {
                state.seen.wrong.insert(Wrong::EntryOverwritten);
            }
        }
        let (old, new) = (&state.head.0.position, &head.0.position);
        if new < old {
            state.seen.wrong.insert(Wrong::HeadWentBack);
        }
        if new != old {
            state.rings_deliverer = true;
        }
        state.head = head;
        state.revision += 1;
        if again {
            return self.looks(state);
        }
        Resequencer::Idle
    }
}

fn range_above(state: &State, head: &KeyedHead) -> Vec<(Position, u8)> {
    let above = state.entries.iter();
    let above = above.filter(|(position, _)| !head.0.covers(position));
    above
        .map(|(position, entry)| (position.clone(), entry.recorded))
        .collect()
}

fn candidates_of(range: &[(Position, u8)]) -> Vec<Candidate> {
    let candidate = |(position, recorded): &(Position, u8)| Candidate {
        position: position.clone(),
        recorded: time(*recorded),
    };
    range.iter().map(candidate).collect()
}

/// The entries that hold the places of skipped numbers; the one at the head is the event of the gap.
fn placeholders(head: &KeyedHead, skipped: Option<(u64, u64, bool)>) -> Vec<(Position, Content)> {
    let Some((from, to, is_complete)) = skipped else {
        return Vec::new();
    };
    let gap = head.0.position.clone().filter(|_| is_complete);
    let mut places: Vec<_> = (from..=to)
        .map(Position::dense)
        .filter(|place| Some(place) != gap.as_ref())
        .map(|place| (place, Content::Placeholder))
        .collect();
    places.extend(gap.map(|place| (place, Content::Gap)));
    places
}
