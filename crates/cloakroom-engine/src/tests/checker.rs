//! The checker: what became of a run, judged by the ledger and by what the consumers saw.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cloakroom_core::event::{Body, Event};
use cloakroom_core::head::Head;
use cloakroom_core::id::{EventId, StreamId};
use cloakroom_core::position::Position;

use super::sink::Call;
use super::world::{Webhook, World};
use crate::append::{Receipt, Status};
use crate::ports::ClaimStore as _;
use crate::record::{Cursor, DeadLetter, Quarantined, Record, Resolution, Superseded};

/// Events by their places.
pub(super) type Ever = BTreeMap<(StreamId, Position), Event>;

/// What the ledger holds in the end.
#[derive(Default)]
pub(super) struct Facts {
    events: BTreeMap<(StreamId, Position), Event>,
    heads: BTreeMap<StreamId, Head>,
    superseded: BTreeMap<(StreamId, Position), Superseded>,
    quarantined: BTreeMap<EventId, Quarantined>,
    dead: Vec<DeadLetter>,
    cursors: Vec<Cursor>,
}

impl Facts {
    pub(super) fn of(dump: Vec<Record>) -> Self {
        let mut facts = Self::default();
        for record in dump {
            match record {
                Record::Event(event) => {
                    let place = (event.stream.clone(), event.position.clone());
                    facts.events.insert(place, event);
                }
                Record::Head(head) => drop(facts.heads.insert(head.stream, head.head)),
                Record::Superseded(superseded) => {
                    let place = (superseded.stream.clone(), superseded.position.clone());
                    facts.superseded.insert(place, superseded);
                }
                Record::Quarantined(record) => {
                    facts.quarantined.insert(record.id.clone(), record);
                }
                Record::DeadLetter(dead) => facts.dead.push(dead),
                Record::Cursor(cursor) => facts.cursors.push(cursor),
                _ => {}
            }
        }
        facts
    }

    /// Every receipt leads to a fact, and one identity to one event.
    pub(super) fn check_receipts(&self, receipts: &[(Webhook, Receipt)]) {
        let mut by_identity: BTreeMap<(&str, &str), &Receipt> = BTreeMap::new();
        for (webhook, receipt) in receipts {
            let identity = (webhook.source, webhook.id.as_str());
            let first = by_identity.entry(identity).or_insert(receipt);
            assert_eq!(first.id, receipt.id, "one id for {}", webhook.id);
            let place = receipt.stream.clone().zip(receipt.position.clone());
            match place {
                Some(place) => {
                    let superseded = self.superseded.get(&place);
                    let beside = superseded.and_then(|s| s.event.as_ref());
                    let event = self.events.get(&place).or(beside);
                    let event = event.unwrap_or_else(|| panic!("{} is lost", webhook.id));
                    assert_eq!(event.identity.as_str(), webhook.id);
                }
                None => {
                    let kept = &self.quarantined[&receipt.id];
                    assert_eq!(kept.identity.as_str(), webhook.id);
                }
            }
        }
        let accepted = receipts
            .iter()
            .filter(|(_, r)| r.status == Status::Accepted);
        let accepted: Vec<&EventId> = accepted.map(|(_, receipt)| &receipt.id).collect();
        let once: BTreeSet<&EventId> = accepted.iter().copied().collect();
        assert_eq!(accepted.len(), once.len(), "accepted once each");
        let mut identities = BTreeSet::new();
        for event in self.events.values() {
            if let Body::Payload(_) = event.body {
                let identity = (event.stream.source.clone(), event.identity.clone());
                assert!(
                    identities.insert(identity),
                    "{} is two events",
                    event.identity
                );
            }
        }
        for kept in self.quarantined.values() {
            if let Some(Resolution::Released { stream, position }) = &kept.resolution {
                let place = (stream.clone(), position.clone());
                assert!(self.events.contains_key(&place) || self.superseded.contains_key(&place));
            }
        }
    }

    /// Dense streams have no holes below their heads.
    pub(super) fn check_heads(&self) {
        for (stream, head) in &self.heads {
            let Some(position) = &head.position else {
                continue;
            };
            if stream.source.as_str() != "orders" {
                continue;
            }
            let base = head.base.number().expect("what is released has a base");
            for number in base..=position.number().unwrap_or(0) {
                let place = (stream.clone(), Position::dense(number));
                if head.floor.as_ref() >= Some(&place.1) {
                    continue;
                }
                assert!(self.events.contains_key(&place), "{place:?} is no fact");
            }
        }
    }

    /// Everything was released and settled, and whatever was not given to a consumer is on record.
    pub(super) fn check_settled(
        &self,
        subscription: &str,
        got: &BTreeSet<(StreamId, Position)>,
        ever: &Ever,
    ) {
        for (stream, head) in &self.heads {
            let last = self.events.keys().filter(|(s, _)| s == stream).max();
            let Some((_, last)) = last else { continue };
            assert_eq!(
                head.position.as_ref(),
                Some(last),
                "{stream} is released to its end"
            );
            let cursor = self.cursors.iter().find(|cursor| {
                cursor.stream == *stream && cursor.subscription.as_str() == subscription
            });
            let cursor = cursor.unwrap_or_else(|| panic!("{subscription} has not begun {stream}"));
            assert_eq!(
                cursor.position.as_ref(),
                Some(last),
                "{subscription} at {stream}"
            );
            assert!(cursor.redrive.is_empty(), "{subscription} at {stream}");
        }
        for (place, event) in ever {
            let is_version = place.0.source.as_str() == "states";
            let is_placeholder = matches!(event.body, Body::Placeholder);
            let is_dead = self.dead.iter().any(|dead| {
                dead.subscription.as_str() == subscription
                    && (&dead.stream, &dead.position) == (&place.0, &place.1)
            });
            assert!(
                got.contains(place) || is_placeholder || is_version || is_dead,
                "{subscription} never got {place:?}"
            );
        }
    }

    pub(super) async fn check_claims(&self, world: &World) {
        for event in self.events.values() {
            if let Some(claim) = event.payload().and_then(|payload| payload.claim.as_ref()) {
                assert!(world.claims.read(claim, None).await.is_ok());
            }
        }
    }
}

/// Nothing is tried before everything below it was tried. (Whether what was tried was also settled is another check.)
pub(super) fn check_nothing_overtakes(subscription: &str, calls: &[Call], ever: &Ever) {
    let mut tried: BTreeMap<&StreamId, BTreeSet<&Position>> = BTreeMap::new();
    for call in calls {
        let of_stream = tried.entry(&call.stream).or_default();
        if !of_stream.insert(&call.position) || call.stream.source.as_str() == "states" {
            continue;
        }
        // What is late before the first number stands below all numbers.
        let lowest = Position::after_head(None).unwrap();
        let first = (call.stream.clone(), lowest);
        let here = (call.stream.clone(), call.position.clone());
        for ((_, below), event) in ever.range(first..here) {
            let is_placeholder = matches!(event.body, Body::Placeholder);
            assert!(
                is_placeholder || of_stream.contains(below),
                "{subscription}: {} of {} overtook {below}",
                call.position,
                call.stream
            );
        }
    }
}

/// Once duplicates are left out by id, what a consumer has taken rises in every stream; but for what it once refused.
pub(super) fn check_order(subscription: &str, calls: &[Call]) {
    let mut last: HashMap<&StreamId, &Position> = HashMap::new();
    let mut taken: BTreeSet<&EventId> = BTreeSet::new();
    let mut refused: BTreeSet<&EventId> = BTreeSet::new();
    for call in calls {
        if !call.taken {
            refused.insert(&call.id);
        } else if taken.insert(&call.id) {
            let before = last.get(&call.stream).copied();
            let rises = before.is_none_or(|before| *before < call.position);
            assert!(
                rises || refused.contains(&call.id),
                "{subscription}: {} came after {before:?}",
                call.position
            );
            last.insert(
                &call.stream,
                before.map_or(&call.position, |b| b.max(&call.position)),
            );
        }
    }
}

pub(super) fn check_pulled(pulled: &[(StreamId, Position)]) {
    let mut last: HashMap<&StreamId, &Position> = HashMap::new();
    let mut seen = BTreeSet::new();
    for (stream, position) in pulled {
        if seen.insert((stream, position))
            && let Some(before) = last.insert(stream, position)
        {
            assert!(before < position, "{position} was fetched after {before}");
        }
    }
}
