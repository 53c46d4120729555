//! Entries, heads, and what is removed.

use std::collections::HashSet;
use std::sync::Arc;

use cloakroom_core::event::{Body, ClaimName, Event, Payload};
use cloakroom_core::head::{Base, Head};
use cloakroom_core::id::{EventId, SourceName, StreamId};
use cloakroom_core::ordering::{GapAction, Rule};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::catalog::{STATE_SOURCE, configured_name};
use cloakroom_engine::ports::Write;
use cloakroom_engine::record::{Key, Quarantined, Record, Superseded};

use super::Kind;
use super::model::{Model, Who};
use crate::plan::Plan;
use crate::stores::PATIENCE;

impl Model {
    /// A transaction: what it may do is judged by what was there before, and by what is there after it.
    pub(super) fn transacted(&mut self, life: u32, now: Timestamp, writes: &[Write]) {
        let plan = Arc::clone(&self.plans[&life]);
        for write in writes {
            match write {
                Write::Create(record) => self.created(record, writes, &plan),
                Write::Replace { record, .. } => self.replaced(record),
                Write::Delete { key, .. } => self.deleted(key, &plan, now),
                Write::Admit { .. } | Write::BaseAllows { .. } => {}
            }
        }
        let cursors = self.cursors_before(writes);
        let heads: Vec<_> = writes
            .iter()
            .filter_map(|write| match write {
                Write::Create(Record::Head(head))
                | Write::Replace {
                    record: Record::Head(head),
                    ..
                } => Some((self.head(&head.stream).cloned(), head)),
                _ => None,
            })
            .collect();
        self.apply(writes);
        let stalled_now = heads.iter().filter(|(before, after)| {
            let before = before.clone().unwrap_or_default();
            after.head.is_stalled() && !before.is_stalled() && !is_being_skipped(&after.head)
        });
        let stalled: Vec<_> = stalled_now
            .map(|(_, head)| head.stream.to_string())
            .collect();
        self.check_notices(&plan, &cursors, &stalled, writes);
        for (before, after) in heads {
            self.moved(&plan, now, &after.stream, before, &after.head, writes);
        }
        self.check_cursors(&plan, cursors, writes);
    }

    fn created(&mut self, record: &Record, writes: &[Write], plan: &Plan) {
        match record {
            Record::Event(event) => self.entered(event, writes, plan),
            Record::Superseded(Superseded {
                event: Some(event), ..
            }) => self.stored(event),
            Record::Quarantined(record) => {
                let who = (record.source.to_string(), record.identity.clone());
                self.check_payload(&who, &record.payload);
                let (id, identity) = (record.id.clone(), record.identity.clone());
                self.quarantined_ever.insert(id, identity);
            }
            Record::Note(note) if self.forged.contains(&note.sha256) => {
                self.breach(Kind::Forged, "a forged body was noted as a duplicate");
            }
            _ => {}
        }
    }

    fn replaced(&mut self, record: &Record) {
        if matches!(
            record,
            Record::Event(_) | Record::Superseded(_) | Record::Note(_)
        ) {
            self.breach(Kind::Frozen, format!("{:?} was changed", record.key()));
        }
    }

    fn entered(&mut self, event: &Event, writes: &[Write], plan: &Plan) {
        let (stream, position) = (&event.stream, &event.position);
        match self.head(stream) {
            Some(head) if head.covers(position) => {
                self.breach(
                    Kind::Frozen,
                    format!("{position} of {stream} was put below its head"),
                );
            }
            Some(_) => {}
            None => {
                let key = Key::Head(stream.clone());
                if !writes.iter().any(|write| write.key() == key) {
                    self.breach(Kind::Index, format!("{stream} has entries and no head"));
                }
            }
        }
        let moves_head = |write: &Write| match write {
            Write::Replace { record, .. } => record.key() == Key::Head(stream.clone()),
            _ => false,
        };
        match &event.body {
            Body::Payload(_) => self.stored(event),
            Body::Gap { .. } | Body::Placeholder if !writes.iter().any(moves_head) => {
                let text = format!("{position} of {stream} is held apart from a move of the head");
                self.breach(Kind::Record, text);
            }
            Body::Gap { .. } | Body::Placeholder => {}
        }
        let rule = plan
            .source_of(stream.source.as_str())
            .map(|source| &source.rule);
        // Only an operator may place one there, who releases what was quarantined for a clash with the newest.
        let released = |write: &Write| match write {
            Write::Replace { record, .. } => matches!(record, Record::Quarantined(_)),
            _ => false,
        };
        let is_late = event.late.is_some() && !writes.iter().any(released);
        if rule == Some(&Rule::Version) && is_late {
            self.breach(
                Kind::Record,
                format!("a version was placed late at {position}"),
            );
        }
        let sha256 = event.payload().map(|payload| payload.sha256);
        let place = (stream.clone(), position.clone());
        self.ids.insert(event.id.clone(), place.clone());
        self.ever.insert(place, (event.identity.clone(), sha256));
    }

    /// An event with a payload, among the events or beside them.
    fn stored(&mut self, event: &Event) {
        let who = who(event);
        // Cloakroom's own events were sent by nobody.
        if let Some(payload) = event.payload().filter(|_| who.0 != STATE_SOURCE) {
            self.check_payload(&who, payload);
        }
        let first = self.identities.get(&who).filter(|_| who.0 != STATE_SOURCE);
        let first =
            first.and_then(|known| known.iter().find(|known| !self.may_be_anew(known, event)));
        if let Some((_, first, _)) = first {
            let text = format!("{} is two events, {first} and {}", who.1, event.id);
            self.breach(Kind::Identity, text);
        }
        let place = (event.stream.clone(), event.position.clone());
        let sha256 = event.payload().map(|payload| payload.sha256);
        self.ever.insert(place, (event.identity.clone(), sha256));
        let known = (event.stream.source.clone(), event.id.clone(), self.at);
        self.identities.entry(who).or_default().push(known);
    }

    /// Whether a webhook that is an event already may become another one, in another generation of its source: unless that
    /// event came by arrival, in a generation before, and so long ago that whoever was asked now could know it.
    fn may_be_anew(&self, known: &(SourceName, EventId, i64), event: &Event) -> bool {
        let (source, _, stored_at) = known;
        let asked_at_the_earliest =
            self.at - i64::try_from(PATIENCE.as_micros()).unwrap_or(i64::MAX);
        let is_known = self.rule(source) == Some(&Rule::Arrival)
            && generation(source) < generation(&event.stream.source)
            && *stored_at < asked_at_the_earliest;
        *source != event.stream.source && !is_known
    }

    fn check_payload(&mut self, who: &Who, payload: &Payload) {
        if self.forged.contains(&payload.sha256) {
            self.breach(Kind::Forged, format!("{} was stored", who.1));
        }
        let sent = self.genuine.get(who);
        if !sent.is_some_and(|sent| sent.contains(&payload.sha256)) {
            self.breach(Kind::Bytes, format!("{} was never sent like this", who.1));
        }
        match (&payload.claim, &payload.inline) {
            (Some(claim), _) if self.claims.get(claim) != Some(&payload.sha256) => {
                let text = format!(
                    "the entry of {} names {claim:?}, which is another one or none",
                    who.1
                );
                self.breach(Kind::Claim, text);
            }
            (None, None) => self.breach(Kind::Claim, format!("{} has no payload", who.1)),
            _ => {}
        }
        let other = |inline| cloakroom_core::event::Sha256::of(inline) != payload.sha256;
        if payload.inline.as_deref().is_some_and(other) {
            self.breach(
                Kind::Bytes,
                format!("{} was stored otherwise than it came", who.1),
            );
        }
    }

    /// A head was written.
    fn moved(
        &mut self,
        plan: &Plan,
        now: Timestamp,
        stream: &StreamId,
        before: Option<Head>,
        after: &Head,
        writes: &[Write],
    ) {
        let before = before.unwrap_or_default();
        let base_lost = matches!(before.base, Base::Settled(_)) && before.base != after.base;
        if after.position < before.position || after.floor < before.floor || base_lost {
            let text = format!("the head of {stream} went from {before:?} to {after:?}");
            self.breach(Kind::Head, text);
        }
        if after.floor > before.floor
            && let Some(floor) = &after.floor
        {
            let young = |event: &&Event| event.recorded.after(plan.settings.retention) > now;
            let young = self.range(stream, before.floor.as_ref(), floor).find(young);
            if let Some(young) = young.map(|event| event.position.clone()) {
                self.breach(
                    Kind::Retention,
                    format!("the floor rose over {young}, which is young"),
                );
            }
        }
        let Some(position) = after
            .position
            .clone()
            .filter(|p| before.position.as_ref() < Some(p))
        else {
            return;
        };
        let rule = plan
            .source_of(stream.source.as_str())
            .map(|source| &source.rule);
        let released = self.range(stream, before.position.as_ref(), &position);
        let released: Vec<Event> = released.cloned().collect();
        match rule {
            Some(Rule::Dense { .. }) => {
                self.check_dense(plan, now, stream, &before, after, &released, writes);
            }
            Some(Rule::Version) => {
                for older in released.iter().rev().skip(1) {
                    let key = Key::Superseded(stream.clone(), older.position.clone());
                    if !self.records.contains_key(&key) {
                        let text = format!("{} was superseded without a record", older.position);
                        self.breach(Kind::Record, text);
                    }
                }
            }
            Some(Rule::Sparse { hold, .. }) => {
                let held =
                    |last: &Event| last.position.is_late() || last.recorded.after(*hold) <= now;
                if !released.last().is_some_and(held) {
                    self.breach(
                        Kind::Gap,
                        format!("{position} of {stream} left before its hold was over"),
                    );
                }
            }
            Some(Rule::Arrival) => {}
            None if stream.source.as_str() == STATE_SOURCE => {}
            None => {
                let text = format!("{stream} went on to {position}, and its generation is over");
                self.breach(Kind::Ordering, text);
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a move of a head and all that goes with it"
    )]
    fn check_dense(
        &mut self,
        plan: &Plan,
        now: Timestamp,
        stream: &StreamId,
        before: &Head,
        after: &Head,
        released: &[Event],
        writes: &[Write],
    ) {
        let Base::Settled(base) = after.base else {
            // Only what is late leaves before the base is known.
            if released.iter().any(|event| !event.position.is_late()) {
                self.breach(
                    Kind::Base,
                    format!("{stream} released before its base was settled"),
                );
            }
            return;
        };
        let number = |position: &Option<Position>| position.as_ref().and_then(Position::number);
        let start = number(&before.position).map_or(base, |number| base.max(number + 1));
        // Nothing but what came late is released while the head has no number yet.
        let end = number(&after.position).map_or(start, |number| number + 1);
        for missing in start..end {
            let place = Position::dense(missing);
            let is_floored = after.floor.as_ref() >= Some(&place);
            if self.event(stream, &place).is_none() && !is_floored {
                self.breach(
                    Kind::Record,
                    format!("{missing} of {stream} is missing below the head"),
                );
            }
        }
        let is_below = |event: &&Event| {
            !event.position.is_late() && event.position.number().is_some_and(|n| n < base)
        };
        if let Some(below) = released.iter().find(is_below) {
            let text = format!("{stream} begins at {base} and has {}", below.position);
            self.breach(Kind::Base, text);
        }
        let Some(source) = plan.source_of(stream.source.as_str()) else {
            return;
        };
        let Rule::Dense { gap: policy, .. } = &source.rule else {
            return;
        };
        let begun = before
            .gap
            .as_ref()
            .is_some_and(|gap| gap.skipping_from.is_some());
        let by_operator = self.skipped_by_operators.contains(stream);
        let placeholder = |write: &Write| match write {
            Write::Create(Record::Event(event)) => match &event.body {
                Body::Gap { from, to } => Some((*from, *to)),
                Body::Placeholder => event.position.number().map(|number| (number, number)),
                Body::Payload(_) => None,
            },
            _ => None,
        };
        let passed: Vec<(u64, u64)> = writes.iter().filter_map(placeholder).collect();
        let (Some((_, to)), false, false) = (passed.last(), begun, by_operator) else {
            return;
        };
        let above = self.events.get(stream).and_then(|events| {
            let mut above = events.range(Position::dense(*to)..);
            above.find(|(_, event)| matches!(event.body, Body::Payload(_)))
        });
        let deadline = above.map(|(_, event)| event.recorded.after(policy.after));
        let width = above
            .and_then(|(position, _)| position.number())
            .map_or(0, |number| {
                number - 1 - passed.first().map_or(0, |first| first.0)
            });
        let in_time = deadline.is_some_and(|deadline| deadline <= now);
        if policy.then != GapAction::Skip || !in_time || width >= policy.max {
            let text = format!("{passed:?} of {stream} were passed over against {policy:?}");
            self.breach(Kind::Gap, text);
        }
    }

    fn deleted(&mut self, key: &Key, plan: &Plan, now: Timestamp) {
        let retention = plan.settings.retention;
        let is_young = |event: &Event| event.recorded.after(retention) > now;
        match (key, self.records.get(key).cloned()) {
            (_, None) => {}
            (Key::Event(stream, position), Some(Record::Event(event))) => {
                let floor = self.head(stream).and_then(|head| head.floor.clone());
                let mut unsettled: HashSet<&str> = HashSet::new();
                for one in &plan.subscriptions {
                    let cursor = self.cursor(&one.name.into(), stream);
                    let settled = cursor.is_some_and(|cursor| {
                        cursor.position.as_ref() >= Some(position)
                            && !cursor.redrive.contains(position)
                    });
                    if one.listens_to(stream.source.as_str()) && !settled {
                        unsettled.insert(one.name);
                    }
                }
                if floor.as_ref() < Some(position) || is_young(&event) || !unsettled.is_empty() {
                    let text = format!(
                        "{position} of {stream} was removed: floor {floor:?}, not settled by {unsettled:?}"
                    );
                    self.breach(Kind::Retention, text);
                }
                self.forget(&event);
            }
            (Key::Superseded(..), Some(Record::Superseded(Superseded { event, .. }))) => {
                if event.as_ref().is_some_and(is_young) {
                    self.breach(Kind::Retention, format!("{key:?} was removed and is young"));
                }
                if let Some(event) = event {
                    self.forget(&event);
                }
            }
            (Key::Quarantined(..), Some(Record::Quarantined(record))) => {
                if record.resolution.is_none() {
                    self.breach(
                        Kind::Retention,
                        format!("{} was removed undecided", record.id),
                    );
                }
                self.forgotten
                    .insert((record.source.to_string(), record.identity));
            }
            (Key::Head(_) | Key::Cursor(..) | Key::Subscription(_) | Key::Source(_), Some(_)) => {
                self.breach(Kind::Retention, format!("{key:?} was removed"));
            }
            _ => {}
        }
    }

    fn forget(&mut self, event: &Event) {
        let (who, source) = (who(event), &event.stream.source);
        let known = self.identities.entry(who.clone()).or_default();
        known.retain(|(of, _, _)| of != source);
        let told = self.receipts.entry(who.clone()).or_default();
        told.retain(|(of, _)| of.as_ref() != Some(source));
        self.forgotten.insert(who);
    }

    /// A claim goes only after everything that names it.
    pub(super) fn claim_deleted(&mut self, claim: &ClaimName) {
        let named = self.records.iter().find(|(_, record)| {
            let decided = |record: &Quarantined| record.resolution.is_some();
            let is_decided = matches!(record, Record::Quarantined(record) if decided(record));
            record.claim() == Some(claim) && !is_decided
        });
        if let Some((key, _)) = named {
            let text = format!("{claim:?} was deleted while {key:?} names it");
            self.breach(Kind::Claim, text);
        }
        self.claims.remove(claim);
    }
}

/// Whether a hole is being passed over: what was said of it before does not matter any more.
fn is_being_skipped(head: &Head) -> bool {
    let gap = head.gap.as_ref();
    gap.is_some_and(|gap| gap.skipping_from.is_some())
}

/// The generation in a stream's source name.
fn generation(source: &SourceName) -> u32 {
    let number = source.as_str().split_once('@');
    number.map_or(1, |(_, number)| number.parse().expect("it is a number"))
}

/// Who an event is.
pub(super) fn who(event: &Event) -> Who {
    let source = configured_name(&event.stream.source).to_owned();
    (source, event.identity.clone())
}
