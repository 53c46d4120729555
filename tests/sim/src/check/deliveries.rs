//! What consumers saw.

use std::sync::Arc;

use cloakroom_core::id::{EventId, SubscriptionName};
use cloakroom_core::ordering::Rule;

use super::Kind;
use super::model::{Call, Model};
use crate::trace::Seen;

impl Model {
    /// Calls that stand in nobody's way any more. Their consumers may still do what they ask.
    pub(super) fn void_calls(&mut self, which: impl Fn(&Call) -> bool) {
        for call in self.calls.values_mut().filter(|call| which(call)) {
            call.is_void = true;
        }
    }

    /// A call arrived at a consumer.
    pub(super) fn sent(
        &mut self,
        number: u64,
        life: u32,
        subscription: &SubscriptionName,
        events: &[Seen],
    ) {
        let takes = if subscription.as_str() == "batch" {
            3
        } else {
            1
        };
        if events.len() > takes {
            let text = format!(
                "{subscription} takes {takes} and was given {}",
                events.len()
            );
            self.breach(Kind::Sink, text);
        }
        let rival = self.calls.values().find(|call| {
            // An operator's act makes what was begun before void: whoever begins after it need not wait for that.
            !call.is_void
                && call.subscription == *subscription
                && call.events[0].stream == events[0].stream
                && call.events[0].epoch == events[0].epoch
        });
        // Who was about to send when the clock was set does so yet.
        let is_settled = self.at - self.clock_set_at > 20_000_000;
        if let Some(rival) = rival.map(|rival| rival.life).filter(|_| is_settled) {
            let stream = &events[0].stream;
            let text = format!("{life} and {rival} send {stream} to {subscription} at once");
            self.breach(Kind::Lease, text);
        }
        self.arrived_by(Some(life), subscription, events);
        let call = Call {
            life,
            subscription: subscription.clone(),
            events: events.to_vec(),
            is_void: false,
        };
        self.calls.insert(number, call);
    }

    /// A pulling consumer got these.
    pub(super) fn arrived(&mut self, subscription: &SubscriptionName, events: &[Seen]) {
        self.arrived_by(None, subscription, events);
    }

    fn arrived_by(&mut self, life: Option<u32>, subscription: &SubscriptionName, events: &[Seen]) {
        // Any plan will do for a pulling consumer: it is in all of them, and always the same.
        let plan = match life {
            Some(life) => self.plans.get(&life),
            None => self.plans.values().next(),
        };
        let Some(plan) = plan.map(Arc::clone) else {
            return;
        };
        let Some(config) = plan.subscription(subscription.as_str()).cloned() else {
            return;
        };
        for (index, seen) in events.iter().enumerate() {
            let (stream, position) = (&seen.stream, &seen.position);
            if !self.head(stream).is_some_and(|head| head.covers(position)) {
                let text =
                    format!("{subscription} got {position} of {stream}, which is not released");
                self.breach(Kind::Order, text);
            }
            let stored = self.ever.get(&(stream.clone(), position.clone()));
            if stored.is_none_or(|(_, sha256)| *sha256 != seen.bytes) {
                let text = format!("{subscription} got other bytes for {position} of {stream}");
                self.breach(Kind::Bytes, text);
            }
            let wanted = self.event(stream, position);
            if wanted.is_some_and(|event| !self.wants(&config, event, i64::MIN)) {
                let text = format!("{subscription} does not want {position} of {stream}");
                self.breach(Kind::Order, text);
            }
            let cursor = self.cursor(subscription, stream);
            let epoch = cursor.map_or(0, |cursor| cursor.epoch);
            if seen.epoch < epoch {
                // It was begun before an operator's act, which has changed what comes when.
                continue;
            }
            if self.rule(&stream.source) == Some(&Rule::Version) {
                self.check_version(subscription, seen);
                continue;
            }
            let settled = cursor.and_then(|cursor| cursor.position.clone());
            let since = self.since(&plan, subscription, stream);
            let open = self
                .range(stream, settled.as_ref(), position)
                .find(|event| {
                    let place = (subscription.clone(), stream.clone(), event.position.clone());
                    let came_before = |seen: &Seen| seen.position == event.position;
                    event.position < *position
                        && self.wants(&config, event, since)
                        && !self.taken_ever.contains(&place)
                        && !self.dead_ever.contains(&place)
                        && !events[..index].iter().any(came_before)
                });
            if let Some(open) = open.map(|event| event.position.clone()) {
                let text = format!("{subscription} got {position} of {stream} before {open}");
                self.breach(Kind::Order, text);
            }
        }
    }

    /// Of versions, no older one follows a newer one.
    fn check_version(&mut self, subscription: &SubscriptionName, seen: &Seen) {
        let key = (subscription.clone(), seen.stream.clone());
        let newest = (seen.epoch, seen.position.clone());
        let before = self.versions.get(&key).cloned();
        if let Some((epoch, before)) = before {
            if epoch == seen.epoch && seen.position < before && !self.bad_clocks {
                let text = format!(
                    "{subscription} got version {} after {before}",
                    seen.position
                );
                self.breach(Kind::Order, text);
            }
            if epoch == seen.epoch && before > seen.position {
                return;
            }
        }
        self.versions.insert(key, newest);
    }

    /// The consumer took what a call asked.
    pub(super) fn taken(&mut self, call: u64) {
        let Some(call) = self.calls.get(&call) else {
            return;
        };
        let (subscription, events) = (call.subscription.clone(), call.events.clone());
        let is_void = call.is_void;
        for seen in events {
            let place = (
                subscription.clone(),
                seen.stream.clone(),
                seen.position.clone(),
            );
            let key = (subscription.clone(), seen.stream.clone());
            let last = self.last.get(&key).cloned();
            let is_new = !self.taken_ever.contains(&place) && !self.dead_ever.contains(&place);
            if seen.epoch == 0
                && !is_void
                && is_new
                && last.as_ref().is_some_and(|last| seen.position < *last)
            {
                let text = format!("{subscription} would take {} for an old one", seen.position);
                self.breach(Kind::Effective, text);
            }
            let newest = last.max(Some(seen.position.clone()));
            self.last.extend(newest.map(|newest| (key, newest)));
            self.taken_ever.insert(place.clone());
            self.taken.insert(place);
        }
    }

    /// A pulling consumer acknowledges.
    pub(super) fn acknowledges(&mut self, subscription: &SubscriptionName, ids: &[EventId]) {
        for id in ids {
            if let Some((stream, position)) = self.ids.get(id) {
                let place = (subscription.clone(), stream.clone(), position.clone());
                self.taken_ever.insert(place.clone());
                self.taken.insert(place);
            }
        }
    }
}
