//! What the ledger holds at every moment, rebuilt from the transactions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cloakroom_core::event::{ClaimName, Event, Sha256};
use cloakroom_core::head::Head;
use cloakroom_core::id::{EventId, Identity, SourceName, StreamId, SubscriptionName};
use cloakroom_core::ordering::Rule;
use cloakroom_core::position::Position;
use cloakroom_engine::ports::Write;
use cloakroom_engine::record::{Cursor, HeadRecord, Key, Record};

use super::{Breach, Kind};
use crate::plan::{Plan, SubscriptionPlan};
use crate::provider::Webhook;
use crate::trace::{Fact, Seen};

/// An event as one subscription sees it.
pub(super) type Place = (SubscriptionName, StreamId, Position);
/// What makes an event itself: its source, by configured name, and its identity.
pub(super) type Who = (String, Identity);

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) life: u32,
    pub(super) subscription: SubscriptionName,
    pub(super) events: Vec<Seen>,
    /// Whether its sender is not there any more, or has lost its right to send.
    pub(super) is_void: bool,
}

/// Everything the checker knows at one moment of the history.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Which fact is looked at.
    pub(super) number: usize,
    /// When it happened.
    pub(super) at: i64,
    /// When somebody last set the clock.
    pub(super) clock_set_at: i64,
    pub(super) breaches: Vec<Breach>,
    /// Whether clocks of different hosts differ.
    pub(super) bad_clocks: bool,
    pub(super) plans: HashMap<u32, Arc<Plan>>,
    /// What orders streams, by their source's name in stream ids: of each generation that there was. Only the kind never
    /// changes.
    pub(super) rules: HashMap<String, Rule>,
    pub(super) records: HashMap<Key, Record>,
    pub(super) events: HashMap<StreamId, BTreeMap<Position, Event>>,
    /// What ever stood at a place: identity and hash.
    pub(super) ever: HashMap<(StreamId, Position), (Identity, Option<Sha256>)>,
    pub(super) ids: HashMap<EventId, (StreamId, Position)>,
    /// The events of an identity, one of each generation, with when it was stored.
    pub(super) identities: HashMap<Who, Vec<(SourceName, EventId, i64)>>,
    /// Removed by retention: what comes again is new.
    pub(super) forgotten: HashSet<Who>,
    /// What providers were told an identity is, in each generation.
    pub(super) receipts: HashMap<Who, Vec<(Option<SourceName>, EventId)>>,
    /// What providers have put into the store themselves.
    pub(super) uploaded: Vec<Arc<Webhook>>,
    pub(super) quarantined_ever: HashMap<EventId, Identity>,
    pub(super) claims: HashMap<ClaimName, Sha256>,
    /// The hashes of forged bodies.
    pub(super) forged: HashSet<Sha256>,
    /// The hashes of bodies with the side in them that some subscriptions want.
    sided: HashSet<Sha256>,
    /// Up to which size filters see payloads.
    pub(super) inline_max: u64,
    /// What providers have sent, by identity.
    pub(super) genuine: HashMap<Who, HashSet<Sha256>>,
    pub(super) calls: BTreeMap<u64, Call>,
    pub(super) taken_ever: HashSet<Place>,
    /// Taken since the cursor was last moved back below it, or since it was redriven.
    pub(super) taken: HashSet<Place>,
    pub(super) dead_ever: HashSet<Place>,
    /// The furthest that each cursor ever stood.
    pub(super) furthest: HashMap<(SubscriptionName, StreamId), Position>,
    /// What a consumer that remembers the last sequence remembers.
    pub(super) last: HashMap<(SubscriptionName, StreamId), Position>,
    /// The highest version that was sent, and under which epoch.
    pub(super) versions: HashMap<(SubscriptionName, StreamId), (u64, Position)>,
    pub(super) skipped_by_operators: HashSet<StreamId>,
}

impl Model {
    pub(super) fn new(facts: &[(i64, Fact)], bad_clocks: bool) -> Self {
        let mut model = Self {
            bad_clocks,
            clock_set_at: i64::MIN / 2,
            ..Self::default()
        };
        for (_, fact) in facts {
            if let Fact::Requested { webhook } = fact {
                let sha256 = webhook.body.sha256();
                if webhook.body.has_side() {
                    model.sided.insert(sha256);
                }
                if webhook.forged.is_some() {
                    model.forged.insert(sha256);
                } else {
                    let who = (webhook.source.to_owned(), webhook.id.as_str().into());
                    model.genuine.entry(who).or_default().insert(sha256);
                }
            }
        }
        model
    }

    pub(super) fn breach(&mut self, kind: Kind, text: impl std::fmt::Display) {
        // The first few tell; the others follow from them.
        if self.breaches.len() < 20 {
            let text = format!("fact {}: {text}", self.number);
            self.breaches.push(Breach::new(kind, text));
        }
    }

    /// Whether a subscription wants this event, when it was accepted at or after `since`.
    pub(super) fn wants(&self, config: &SubscriptionPlan, event: &Event, since: i64) -> bool {
        config.wants(event, since, |payload| {
            payload.size <= self.inline_max && self.sided.contains(&payload.sha256)
        })
    }

    /// What orders a stream; `None` for the stream of state changes.
    pub(super) fn rule(&self, source: &SourceName) -> Option<&Rule> {
        self.rules.get(source.as_str())
    }

    pub(super) fn head(&self, stream: &StreamId) -> Option<&Head> {
        match self.records.get(&Key::Head(stream.clone())) {
            Some(Record::Head(HeadRecord { head, .. })) => Some(head),
            _ => None,
        }
    }

    pub(super) fn cursor(&self, name: &SubscriptionName, stream: &StreamId) -> Option<&Cursor> {
        match self.records.get(&Key::Cursor(name.clone(), stream.clone())) {
            Some(Record::Cursor(cursor)) => Some(cursor),
            _ => None,
        }
    }

    pub(super) fn event(&self, stream: &StreamId, position: &Position) -> Option<&Event> {
        self.events.get(stream)?.get(position)
    }

    /// The events above `after` and up to `up_to`, in order.
    pub(super) fn range(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: &Position,
    ) -> impl DoubleEndedIterator<Item = &Event> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let bounds = match after {
            Some(after) if after >= up_to => None,
            Some(after) => Some((Excluded(after.clone()), Included(up_to.clone()))),
            None => Some((Unbounded, Included(up_to.clone()))),
        };
        let events = self.events.get(stream).zip(bounds);
        events
            .into_iter()
            .flat_map(|(events, bounds)| events.range(bounds).map(|(_, event)| event))
    }

    /// The time from which on a subscription wants events of a stream.
    pub(super) fn since(&self, plan: &Plan, name: &SubscriptionName, stream: &StreamId) -> i64 {
        let replayed = self.cursor(name, stream).and_then(|cursor| cursor.since);
        if let Some(since) = replayed {
            return since.as_micros();
        }
        let earliest = plan
            .subscription(name.as_str())
            .is_some_and(|one| one.earliest);
        match self.records.get(&Key::Subscription(name.clone())) {
            Some(Record::Subscription(record)) if !earliest => record.since.as_micros(),
            _ => i64::MIN,
        }
    }

    /// Carries a transaction out.
    pub(super) fn apply(&mut self, writes: &[Write]) {
        for write in writes {
            let key = write.key();
            match write {
                Write::Create(record) | Write::Replace { record, .. } => {
                    if let Record::Event(event) = record {
                        let of_stream = self.events.entry(event.stream.clone()).or_default();
                        of_stream.insert(event.position.clone(), event.clone());
                    }
                    self.records.insert(key, record.clone());
                }
                Write::Delete { .. } => {
                    if let Key::Event(stream, position) = &key
                        && let Some(of_stream) = self.events.get_mut(stream)
                    {
                        of_stream.remove(position);
                    }
                    self.records.remove(&key);
                }
                Write::Admit { .. } => {
                    if let Some(Record::Head(head)) = self.records.get_mut(&key) {
                        head.appended += 1;
                    }
                }
                Write::BaseAllows { .. } => {}
            }
        }
    }
}
