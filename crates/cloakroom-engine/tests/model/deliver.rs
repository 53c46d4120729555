//! Deliverers, the consumer, and an operator: three who meet at one cursor.

use cloakroom_core::position::Position;

use crate::state::{
    ATTEMPTS, Broken, Content, Cursor, Deliverer, LEASE, Operator, Protocol, RETRY, SEND, State,
    Wait, Wrong,
};

/// How a send ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Taken,
    /// The consumer took it, and its answer was lost.
    TakenUnheard,
    Refused,
}

impl Protocol {
    /// Takes the doorbell and reads the head.
    pub(crate) fn deliverer_looks(&self, state: &mut State, worker: usize) {
        state.rings_deliverer = false;
        state.deliverers[worker] = match &state.head.0.position {
            Some(head) => Deliverer::Looked {
                up_to: head.clone(),
            },
            None => Deliverer::Idle,
        };
    }

    /// Reads the cursor, and leaves it when nothing may be sent.
    pub(crate) fn deliverer_reads(&self, state: &mut State, worker: usize, up_to: &Position) {
        let cursor = state.cursor.clone();
        state.deliverers[worker] = match self.may_begin(state, worker, up_to) {
            true => Deliverer::Has {
                up_to: up_to.clone(),
                cursor,
                unsaved: false,
            },
            false => Deliverer::Idle,
        };
    }

    pub(crate) fn may_begin(&self, state: &State, worker: usize, up_to: &Position) -> bool {
        let cursor = &state.cursor;
        let waits = match cursor.wait {
            Wait::Active => false,
            Wait::Retrying { at, .. } => state.now < at,
            Wait::Parked => true,
        };
        let foreign = cursor.lease.is_some_and(|(owner, until)| {
            self.takes_leases() && owner != worker && state.now < until
        });
        cursor.position.as_ref() < Some(up_to) && !waits && !foreign
    }

    fn takes_leases(&self) -> bool {
        !self.exclusive && self.broken != Broken::NoLease
    }

    /// What comes next above a copy of the cursor: passes what is not for the consumer, takes the lease, sends, or ends.
    pub(crate) fn deliverer_goes_on(&self, state: &mut State, worker: usize) {
        let Deliverer::Has {
            up_to,
            mut cursor,
            unsaved,
        } = state.deliverers[worker].clone()
        else {
            return;
        };
        let next = state.entries.iter();
        let mut next = next.filter(|(at, _)| Some(*at) > cursor.position.as_ref() && **at <= up_to);
        let Some((position, entry)) = next.next() else {
            let has_lease = cursor.lease.is_some_and(|(owner, _)| owner == worker);
            cursor.lease = cursor.lease.filter(|_| !has_lease);
            if unsaved || has_lease {
                self.save(state, worker, &up_to, cursor, true);
            } else {
                state.deliverers[worker] = Deliverer::Idle;
            }
            return;
        };
        let position = position.clone();
        if entry.content == Content::Placeholder {
            cursor.position = Some(position);
            cursor.wait = Wait::Active;
            state.deliverers[worker] = Deliverer::Has {
                up_to,
                cursor,
                unsaved: true,
            };
            return;
        }
        let enough = state.now + SEND;
        let holds = cursor.lease.is_some_and(|(owner, until)| {
            owner == worker && (until > enough || self.broken == Broken::ShortLease)
        });
        if self.takes_leases() && !holds {
            let long = if self.broken == Broken::ShortLease {
                0
            } else {
                LEASE
            };
            cursor.lease = Some((worker, state.now + long));
            self.save(state, worker, &up_to, cursor, false);
            return;
        }
        state.deliverers[worker] = Deliverer::Sends {
            up_to,
            cursor,
            position,
            until: state.now + SEND,
        };
    }

    /// Writes what is settled, in the middle of a drain.
    pub(crate) fn deliverer_saves(&self, state: &mut State, worker: usize) {
        if let Deliverer::Has { up_to, cursor, .. } = state.deliverers[worker].clone() {
            self.save(state, worker, &up_to, cursor, false);
        }
    }

    /// Moves the stored cursor, on condition that it is as it was.
    fn save(
        &self,
        state: &mut State,
        worker: usize,
        up_to: &Position,
        mut cursor: Cursor,
        ends: bool,
    ) {
        if state.cursor.revision != cursor.revision && self.broken != Broken::BlindCursor {
            // Somebody else moved it: look again.
            self.deliverer_looks(state, worker);
            return;
        }
        cursor.revision = state.cursor.revision + 1;
        if self.broken == Broken::BlindCursor {
            cursor.epoch = state.cursor.epoch;
        }
        state.cursor = cursor.clone();
        state.deliverers[worker] = match ends {
            false => Deliverer::Has {
                up_to: up_to.clone(),
                cursor,
                unsaved: false,
            },
            true => Deliverer::Idle,
        };
    }

    /// The send ends.
    pub(crate) fn deliverer_hears(&self, state: &mut State, worker: usize, answer: Answer) {
        let Deliverer::Sends {
            up_to,
            mut cursor,
            position,
            ..
        } = state.deliverers[worker].clone()
        else {
            return;
        };
        if answer != Answer::Refused {
            self.consumer_takes(state, &position);
        }
        if answer == Answer::Taken {
            if cursor.epoch == state.cursor.epoch {
                state.seen.settled.insert(position.clone());
            }
            cursor.position = Some(position);
            cursor.wait = Wait::Active;
            state.deliverers[worker] = Deliverer::Has {
                up_to,
                cursor,
                unsaved: true,
            };
            return;
        }
        state.budget.failures -= 1;
        state.seen.excused |= answer == Answer::TakenUnheard;
        let failed = match cursor.wait {
            Wait::Retrying { attempts, .. } => attempts + 1,
            Wait::Active | Wait::Parked => 1,
        };
        let parks = failed >= ATTEMPTS;
        cursor.wait = match parks {
            true => Wait::Parked,
            false => Wait::Retrying {
                attempts: failed,
                at: state.now + RETRY,
            },
        };
        state.seen.parked |= parks;
        self.save(state, worker, &up_to, cursor, true);
    }

    /// The consumer is sent an event: nothing that it should have seen before may be missing.
    pub(crate) fn consumer_takes(&self, state: &mut State, position: &Position) {
        let is_for_it = |content: Content| content != Content::Placeholder;
        let seen = &mut state.seen;
        let before = state.entries.range(..position.clone());
        let mut before = before.filter(|(_, entry)| is_for_it(entry.content));
        let is_over = |at| {
            [&seen.taken, &seen.dead, &seen.was_dead]
                .iter()
                .any(|set| set.contains(at))
        };
        if before.any(|(at, _)| !is_over(at)) {
            seen.wrong.insert(Wrong::SentTooEarly);
        }
        if !seen.taken.insert(position.clone()) {
            seen.repeated = true;
            if !seen.excused {
                seen.wrong.insert(Wrong::RepeatedWithoutCause);
            }
        }
    }

    /// Whether an operator has something to do with the cursor.
    pub(crate) fn may_skip(&self, state: &State) -> bool {
        state.cursor.wait != Wait::Active && self.waits_at(state, &state.cursor).is_some()
    }

    /// The released event that a cursor waits at.
    fn waits_at(&self, state: &State, cursor: &Cursor) -> Option<Position> {
        let head = state.head.0.position.as_ref()?;
        let mut above = state.entries.iter().filter(|(at, entry)| {
            Some(*at) > cursor.position.as_ref()
                && *at <= head
                && entry.content != Content::Placeholder
        });
        above.next().map(|(at, _)| at.clone())
    }

    /// The second step of an operator's act: on condition that the cursor is as it was, or else the act begins again.
    pub(crate) fn operator_acts(&self, state: &mut State) {
        let operator = std::mem::replace(&mut state.operator, Operator::Idle);
        match operator {
            Operator::Idle => {}
            Operator::Buries(position) => {
                state.seen.dead.insert(position);
            }
            Operator::Skips(before) => {
                if before.revision != state.cursor.revision {
                    if self.may_skip(state) {
                        state.operator = Operator::Skips(state.cursor.clone());
                    }
                    return;
                }
                let Some(position) = self.waits_at(state, &before) else {
                    return;
                };
                if self.broken == Broken::SkipInTwo {
                    state.operator = Operator::Buries(position.clone());
                } else {
                    state.seen.dead.insert(position.clone());
                }
                self.change(
                    state,
                    Cursor {
                        position: Some(position),
                        ..before
                    },
                );
            }
            Operator::Replays(before) => {
                if before.revision != state.cursor.revision {
                    state.operator = Operator::Replays(state.cursor.clone());
                    return;
                }
                state.seen.settled.clear();
                let dead = std::mem::take(&mut state.seen.dead);
                state.seen.was_dead.extend(dead);
                self.change(
                    state,
                    Cursor {
                        position: None,
                        lease: None,
                        ..before
                    },
                );
            }
        }
    }

    fn change(&self, state: &mut State, cursor: Cursor) {
        state.seen.excused = true;
        state.cursor = Cursor {
            wait: Wait::Active,
            epoch: cursor.epoch + 1,
            revision: cursor.revision + 1,
            ..cursor
        };
        state.rings_deliverer = true;
    }
}
