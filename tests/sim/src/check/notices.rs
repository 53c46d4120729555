//! Notices: state changes of Cloakroom's own, told in the transaction of the change, once each, and never made up.

use std::sync::Arc;

use cloakroom_core::event::Event;
use cloakroom_core::ordering::Rule;
use cloakroom_engine::catalog::STATE_SOURCE;
use cloakroom_engine::ports::Write;
use cloakroom_engine::record::{CursorState, Key, Record};

use super::Kind;
use super::cursors::Move;
use super::model::Model;
use crate::plan::Plan;

/// A type of notice, whom it is about (a subscription, or nobody), and which event or stream.
type Notice = (String, String, String);

impl Model {
    /// Compares what a transaction tells with what it does. It was carried out already; `stalled` are the streams that it
    /// says wait at a gap from now on.
    pub(super) fn check_notices(
        &mut self,
        plan: &Arc<Plan>,
        moves: &[Move],
        stalled: &[String],
        writes: &[Write],
    ) {
        if !plan.tells_state() {
            return;
        }
        let mut told: Vec<Notice> = writes.iter().filter_map(notice).collect();
        let mut due: Vec<Notice> = Vec::new();
        due.extend(stalled.iter().map(|stream| {
            let kind = "cloakroom.stream.stalled".to_owned();
            (kind, String::new(), stream.clone())
        }));
        for (before, after) in moves {
            let name = after.subscription.as_str();
            let config = plan.subscription(name).cloned();
            let Some(config) = config.filter(|one| !one.pulls && !one.listens_to_state()) else {
                continue;
            };
            let mut of = |kind: &str, id: &str| {
                let kind = format!("cloakroom.delivery.{kind}");
                due.push((kind, name.to_owned(), id.to_owned()));
            };
            let tries = |state: &CursorState| match state {
                CursorState::Retrying { attempts, .. } => *attempts,
                CursorState::Active | CursorState::Parked { .. } => 0,
            };
            let (tried_before, was_parked) = before.as_ref().map_or((0, false), |before| {
                let is_parked = matches!(before.state, CursorState::Parked { .. });
                (tries(&before.state), is_parked)
            });
            // What was tried is told by the one notice of its kind: the cursor does not name it.
            if tries(&after.state) > tried_before {
                of("failed", "");
            }
            if matches!(after.state, CursorState::Parked { .. }) && !was_parked {
                of("aborted", "");
            }
            for write in writes {
                match write {
                    Write::Create(Record::DeadLetter(dead))
                    | Write::Replace {
                        record: Record::DeadLetter(dead),
                        ..
                    } if !dead.reason.starts_with("skipped by an operator") => {
                        of("aborted", dead.id.as_str());
                    }
                    _ => {}
                }
            }
            let position = before.as_ref().and_then(|before| before.position.as_ref());
            let Some(up_to) = after.position.as_ref() else {
                continue;
            };
            let since = self.since(plan, &after.subscription, &after.stream);
            let is_version = self.rule(&after.stream.source) == Some(&Rule::Version);
            for event in self.range(&after.stream, position, up_to) {
                let dead = Key::DeadLetter(
                    after.subscription.clone(),
                    after.stream.clone(),
                    event.position.clone(),
                );
                let is_jumped = is_version && event.position < *up_to;
                if self.wants(&config, event, since)
                    && !self.records.contains_key(&dead)
                    && !is_jumped
                {
                    of("succeeded", event.id.as_str());
                }
            }
        }
        for (kind, who, what) in due {
            let is_it = |(of_kind, of_whom, of_what): &Notice| {
                *of_kind == kind && *of_whom == who && (what.is_empty() || *of_what == what)
            };
            match told.iter().position(is_it) {
                Some(at) => drop(told.swap_remove(at)),
                None => self.breach(Kind::Notice, format!("{kind} {who} {what} was not told")),
            }
        }
        for (kind, who, what) in told {
            // A dead letter that was sent once more stands below the cursor: that it was taken must do.
            let is_redriven = kind == "cloakroom.delivery.succeeded"
                && self
                    .ids
                    .get(&what.as_str().into())
                    .is_some_and(|(stream, position)| {
                        let place = (who.as_str().into(), stream.clone(), position.clone());
                        self.taken_ever.contains(&place)
                    });
            if !is_redriven {
                self.breach(Kind::Notice, format!("{kind} {who} {what} was made up"));
            }
        }
    }
}

fn notice(write: &Write) -> Option<Notice> {
    let Write::Create(Record::Event(event)) = write else {
        return None;
    };
    let data = data(event)?;
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let what = match event.event_type.as_str() {
        "cloakroom.stream.stalled" => text("stream"),
        _ => text("event"),
    };
    Some((event.event_type.clone(), text("subscription"), what))
}

fn data(event: &Event) -> Option<serde_json::Value> {
    let is_notice = event.stream.source.as_str() == STATE_SOURCE;
    let inline = event.payload().filter(|_| is_notice)?.inline.as_ref()?;
    serde_json::from_slice(inline).ok()
}
