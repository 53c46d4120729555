//! Appends: an event is placed by a head that was read before, and only the conditional write decides.

use cloakroom_core::ordering::{Guard, Placement, Rule};
use cloakroom_core::position::Position;
use cloakroom_core::resequence::released_by_append;

use crate::state::{
    Append, Broken, Content, Entry, KeyedHead, PlannedGuard, Protocol, State, Wrong, identity,
};

impl Protocol {
    /// One more step of the append of `event`.
    pub(crate) fn append(&self, state: &mut State, event: usize) {
        if self.broken == Broken::EarlyAnswer {
            state.seen.acknowledged.insert(event);
        }
        let next = match state.appends[event].clone() {
            Append::Begins { late } => self.place(state, event, late),
            Append::Planned {
                position,
                guard,
                recorded,
            } => self.write(state, event, position, guard, recorded),
            Append::Acknowledged => {
                unreachable!("an acknowledged event begins again only by a resend")
            }
        };
        if next == Append::Acknowledged {
            state.seen.acknowledged.insert(event);
        }
        state.appends[event] = next;
    }

    /// Looks for the identity, reads the head, and chooses a place by it.
    fn place(&self, state: &State, event: usize, late: bool) -> Append {
        if state.identities.contains_key(&event) {
            return Append::Acknowledged;
        }
        let head = &state.head.0;
        let planned = |position, guard| Append::Planned {
            position,
            guard,
            recorded: state.now,
        };
        let after_head = || {
            let position = Position::after_head(head.position.as_ref()).unwrap();
            planned(position, PlannedGuard::Late)
        };
        if late {
            return after_head();
        }
        let sequence = self.sequence(event);
        match self
            .rule
            .place(head, Some(&sequence), &identity(event), state.time())
        {
            Placement::At { position, guard } => {
                let moved = released_by_append(&self.rule, head, &position);
                match moved.filter(|_| self.exclusive && guard == Guard::None) {
                    Some(moved) => {
                        let (revision, head) = (state.revision, KeyedHead(moved));
                        planned(position, PlannedGuard::Release { revision, head })
                    }
                    None => planned(position, guard.into()),
                }
            }
            Placement::Late => after_head(),
            other => unreachable!("{other:?} is not modelled"),
        }
    }

    /// The transaction, and what its conflict means.
    fn write(
        &self,
        state: &mut State,
        event: usize,
        position: Position,
        guard: PlannedGuard,
        recorded: u8,
    ) -> Append {
        let again = Append::Begins { late: false };
        if let Some(taken) = state.entries.get(&position) {
            return match (taken.content, &guard) {
                (Content::Event(other), _) if other == event => Append::Acknowledged,
                // Behind other late ones that wait there.
                (_, PlannedGuard::Late) => Append::Planned {
                    position: Position::after_head(Some(&position)).unwrap(),
                    guard,
                    recorded,
                },
                (Content::Placeholder | Content::Gap, _) => Append::Begins { late: true },
                (Content::Event(_), PlannedGuard::Release { .. }) => again,
                (Content::Event(other), _) => unreachable!("{event} and {other} share a number"),
            };
        }
        let admitted = !state.head.0.covers(&position) || self.broken == Broken::NoAdmit;
        let has_identity = guard == PlannedGuard::Late || self.rule == Rule::Arrival;
        match &guard {
            PlannedGuard::Admit | PlannedGuard::Late if !admitted => {
                return match guard {
                    PlannedGuard::Admit if self.rule != Rule::Arrival => {
                        Append::Begins { late: true }
                    }
                    _ => again,
                };
            }
            PlannedGuard::Release { revision, .. } if *revision != state.revision => {
                return Append::Planned {
                    position,
                    guard: PlannedGuard::None,
                    recorded,
                };
            }
            _ => {}
        }
        if has_identity && state.identities.contains_key(&event) {
            return again;
        }
        if state.head.0.covers(&position) {
            state.seen.wrong.insert(Wrong::InsertedBelowHead);
        }
        if has_identity {
            state.identities.insert(event, position.clone());
        }
        state.seen.placed_late |= guard == PlannedGuard::Late;
        let content = Content::Event(event);
        state.entries.insert(position, Entry { content, recorded });
        match guard {
            PlannedGuard::None => state.rings_resequencer = true,
            PlannedGuard::Admit | PlannedGuard::Late => {
                state.revision += 1;
                state.rings_resequencer = true;
            }
            PlannedGuard::Release { head, .. } => {
                state.revision += 1;
                state.head = head;
                state.rings_deliverer = true;
            }
        }
        Append::Acknowledged
    }
}
