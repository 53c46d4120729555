//! Cursors, dead letters, and what passes events over.

use std::sync::Arc;

use cloakroom_core::event::Event;
use cloakroom_core::ordering::Rule;
use cloakroom_core::position::Position;
use cloakroom_engine::ports::Write;
use cloakroom_engine::record::{Cursor, Key, Record};

use super::Kind;
use super::model::{Model, Place};
use crate::plan::Plan;

/// A cursor as it was, and as it is written.
pub(super) type Move = (Option<Cursor>, Cursor);

impl Model {
    pub(super) fn cursors_before(&self, writes: &[Write]) -> Vec<Move> {
        let cursors = writes.iter().filter_map(|write| match write {
            Write::Create(Record::Cursor(cursor))
            | Write::Replace {
                record: Record::Cursor(cursor),
                ..
            } => Some(cursor),
            _ => None,
        });
        cursors
            .map(|after| {
                let before = self.cursor(&after.subscription, &after.stream).cloned();
                (before, after.clone())
            })
            .collect()
    }

    pub(super) fn check_cursors(&mut self, plan: &Arc<Plan>, moves: Vec<Move>, writes: &[Write]) {
        for write in writes {
            if let Write::Create(Record::DeadLetter(dead))
            | Write::Replace {
                record: Record::DeadLetter(dead),
                ..
            } = write
            {
                let goes_with = moves.iter().any(|(before, after)| {
                    let was_below = before
                        .as_ref()
                        .is_none_or(|b| b.position.as_ref() < Some(&dead.position));
                    let redriven = before
                        .as_ref()
                        .is_some_and(|before| before.redrive.contains(&dead.position));
                    (&after.subscription, &after.stream) == (&dead.subscription, &dead.stream)
                        && (redriven
                            || was_below && after.position.as_ref() >= Some(&dead.position))
                });
                if !goes_with {
                    let text = format!("{} was given up apart from a move of its cursor", dead.id);
                    self.breach(Kind::Record, text);
                }
                let place = (
                    dead.subscription.clone(),
                    dead.stream.clone(),
                    dead.position.clone(),
                );
                self.dead_ever.insert(place);
            }
        }
        for (before, after) in moves {
            self.check_move(plan, before, &after);
        }
    }

    fn check_move(&mut self, plan: &Plan, before: Option<Cursor>, after: &Cursor) {
        let (name, stream) = (&after.subscription, &after.stream);
        let (epoch, position, redrive) = match before {
            Some(before) => (before.epoch, before.position, before.redrive),
            None => (0, None, Vec::new()),
        };
        let place = |at: &Position| (name.clone(), stream.clone(), at.clone());
        if after.position < position {
            if after.epoch <= epoch {
                self.breach(
                    Kind::Epoch,
                    format!("the cursor of {name} in {stream} was moved back"),
                );
            }
            let kept = |(of, in_stream, at): &Place| {
                of != name || in_stream != stream || Some(at) <= after.position.as_ref()
            };
            self.taken.retain(kept);
        } else if after.epoch < epoch {
            self.breach(
                Kind::Epoch,
                format!("the epoch of {name} in {stream} went back"),
            );
        }
        for added in after.redrive.iter().filter(|at| !redrive.contains(at)) {
            self.taken.remove(&place(added));
        }
        for gone in redrive.iter().filter(|at| !after.redrive.contains(at)) {
            let comes_again = Some(gone) > after.position.as_ref();
            let is_settled = self.is_settled(&place(gone));
            if !comes_again && !is_settled && self.event(stream, gone).is_some() {
                let text = format!("{name} was to get {gone} of {stream} once more and did not");
                self.breach(Kind::Unsettled, text);
            }
        }
        let Some(up_to) = &after.position else {
            return;
        };
        let furthest = self.furthest.entry((name.clone(), stream.clone()));
        let furthest = furthest.or_insert_with(|| up_to.clone());
        *furthest = up_to.max(furthest).clone();
        let Some(config) = plan.subscription(name.as_str()).cloned() else {
            return;
        };
        let since = self.since(plan, name, stream);
        let is_version = self.rule(&stream.source) == Some(&Rule::Version);
        let passed: Vec<Event> = self
            .range(stream, position.as_ref(), up_to)
            .cloned()
            .collect();
        for event in passed {
            let settled = self.is_settled(&place(&event.position))
                || (is_version && self.is_jumped(&place(&event.position)));
            if self.wants(&config, &event, since) && !settled {
                let text = format!("{name} passed {} of {stream} in silence", event.position);
                self.breach(Kind::Unsettled, text);
            }
        }
    }

    /// Taken, or given up on record.
    fn is_settled(&self, place: &Place) -> bool {
        let (name, stream, position) = place.clone();
        self.taken.contains(place)
            || self
                .records
                .contains_key(&Key::DeadLetter(name, stream, position))
    }

    /// Among what a cursor jumped over on record.
    fn is_jumped(&self, (name, stream, position): &Place) -> bool {
        self.records.values().any(|record| match record {
            Record::Passed(passed) => {
                (&passed.subscription, &passed.stream) == (name, stream)
                    && passed.after.as_ref() < Some(position)
                    && *position < passed.to
            }
            _ => false,
        })
    }
}
