//! The checker: what became of a run, judged by the ledger and by what the consumers saw.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cloakroom_core::event::{Body, Event};
use cloakroom_core::head::Head;
use cloakroom_core::id::{EventId, StreamId};
use cloakroom_core::position::Position;

use super::sink::Call;
use super::world::Webhook;
use crate::append::{Receipt, Status};
use crate::record::{Quarantined, Record, Resolution, Superseded};

/// What the ledger holds in the end.
#[derive(Default)]
pub(super) struct Facts {
    events: BTreeMap<(StreamId, Position), Event>,
    heads: BTreeMap<StreamId, Head>,
    superseded: BTreeMap<(StreamId, Position), Superseded>,
    quarantined: BTreeMap<EventId, Quarantined>,
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
