//! Receipts, and what became of what they promise.

use cloakroom_core::id::SourceName;
use cloakroom_core::ordering::{Reason, Rule};
use cloakroom_engine::record::Record;
use cloakroom_engine::{Receipt, Status};

use super::Kind;
use super::model::Model;
use crate::provider::Webhook;
use crate::world::World;

impl Model {
    pub(super) fn acknowledged(&mut self, webhook: &Webhook, receipt: &Receipt) {
        let id = &webhook.id;
        if let Some(forgery) = webhook.forged {
            self.breach(Kind::Forged, format!("{id} was acknowledged: {forgery:?}"));
            return;
        }
        let is_dense = |source: &SourceName| matches!(self.rule(source), Some(Rule::Dense { .. }));
        let source = receipt.stream.as_ref().map(|stream| stream.source.clone());
        if webhook.implausible
            && source.as_ref().is_some_and(is_dense)
            && receipt.status != Status::Duplicate
            && receipt.reason != Some(Reason::BadSequence)
        {
            self.breach(Kind::Gap, format!("{id} was placed in spite of its number"));
        }
        let is_new = receipt.status != Status::Duplicate;
        let place = receipt.stream.clone().zip(receipt.position.clone());
        let found = match &place {
            Some(place) => self.ever.get(place).map(|(identity, sha256)| {
                identity.as_str() == id && (!is_new || *sha256 == Some(webhook.body.sha256()))
            }),
            None => self
                .quarantined_ever
                .get(&receipt.id)
                .map(|identity| identity.as_str() == id),
        };
        if found != Some(true) {
            let text = format!("{id} was acknowledged and is not there: {receipt:?}");
            self.breach(Kind::Acknowledged, text);
        }
        let who = (webhook.source.to_owned(), id.as_str().into());
        // Another generation may know it as another event; whether it may is judged where that was stored.
        let told = self.receipts.entry(who.clone()).or_default();
        let first = told.iter().find(|(of, _)| *of == source).cloned();
        match first {
            Some((_, first)) if first != receipt.id && !self.forgotten.contains(&who) => {
                let text = format!("{id} was {first} before, and is {} now", receipt.id);
                self.breach(Kind::Identity, text);
            }
            Some(_) => {}
            None => told.push((source, receipt.id.clone())),
        }
    }

    /// Where providers wait for consumers, a 2xx says that everybody has settled the event.
    pub(super) fn check_delivered(&mut self, life: u32, webhook: &Webhook, receipt: &Receipt) {
        let place = receipt.stream.clone().zip(receipt.position.clone());
        let (Some(plan), Some((stream, position))) = (self.plans.get(&life).cloned(), place) else {
            return;
        };
        let mut of = plan.sources.iter();
        let source = of.find(|source| source.name == webhook.source);
        if source.is_none_or(|source| source.ack_delivered.is_none()) {
            return;
        }
        let listening = plan.subscriptions.iter();
        let listening = listening.filter(|one| one.listens_to(stream.source.as_str()));
        for one in listening {
            let furthest = self.furthest.get(&(one.name.into(), stream.clone()));
            if furthest < Some(&position) {
                let text = format!(
                    "{} was said to be delivered, and {} stands at {furthest:?}",
                    webhook.id, one.name
                );
                self.breach(Kind::Acknowledged, text);
            }
        }
    }

    /// Whatever a provider could put where it was offered a place is there, or was.
    pub(super) fn check_uploads_in_the_end(&mut self) {
        for webhook in std::mem::take(&mut self.uploaded) {
            let who = (webhook.source.to_owned(), webhook.id.as_str().into());
            let is_in = webhook.forged.is_some()
                || self.identities.contains_key(&who)
                || self.forgotten.contains(&who)
                || self.quarantined_ever.values().any(|one| *one == who.1);
            if !is_in {
                let text = format!("{} was uploaded, and is not there", webhook.id);
                self.breach(Kind::Acknowledged, text);
            }
        }
    }

    /// Every payload that a record names can be read, and is what was sent.
    pub(super) fn check_claims_in_the_end(&mut self, world: &World) {
        for record in world.ledger.dump() {
            let payload = match &record {
                Record::Event(event) => event.payload(),
                Record::Superseded(superseded) => {
                    superseded.event.as_ref().and_then(|event| event.payload())
                }
                Record::Quarantined(record) if record.resolution.is_none() => Some(&record.payload),
                _ => None,
            };
            let Some((payload, claim)) = payload.and_then(|p| Some((p, p.claim.clone()?))) else {
                continue;
            };
            let body = world.objects.get(&claim);
            let is_whole =
                body.is_some_and(|body| cloakroom_core::event::Sha256::of(&body) == payload.sha256);
            if !is_whole {
                self.breach(Kind::Claim, format!("{claim:?} cannot be read in the end"));
            }
        }
    }
}
