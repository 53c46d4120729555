//! A consumer's memory: which events it knows, and the last sequence of each stream.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::provider::{NUMBER, Place, Source};
use crate::support::consumer::Delivery;
use crate::support::http::Request;
use crate::support::sha256;

const GAP: &str = "cloakroom.gap";

/// What one key's consumer has seen.
#[derive(Default)]
struct Stream {
    /// The ids in the order of first deliveries: the effective ones.
    ids: HashMap<String, usize>,
    sequence: String,
    /// The run of the latest delivery, and the place of its event.
    latest: Option<(usize, usize)>,
}

/// Checks every delivery against all before it.
#[derive(Default)]
pub(crate) struct Memory {
    streams: HashMap<String, Stream>,
    effective: HashMap<Place, String>,
    /// Where what was too large for its event can be fetched.
    large: BTreeMap<Place, String>,
    /// How many deliveries were looked at.
    pub(crate) known: usize,
    pub(crate) repeats: usize,
    pub(crate) late: usize,
}

impl Memory {
    /// First deliveries rise within their stream, without a hole where they are numbered, and hold what was sent. Nothing
    /// comes twice from one run of the server; the run after a crash may begin with what it can't know was acknowledged, in
    /// order and with the same ids.
    pub(crate) fn take(&mut self, deliveries: &[Delivery]) {
        self.remember(deliveries, true);
    }

    /// The same, where the server could not write down what was acknowledged: then anything may come again, in order.
    pub(crate) fn take_repeats(&mut self, deliveries: &[Delivery]) {
        self.remember(deliveries, false);
    }

    fn remember(&mut self, deliveries: &[Delivery], strictly: bool) {
        for delivery in deliveries {
            self.known += 1;
            let event = delivery.event();
            let id = event["id"].as_str().unwrap();
            assert_eq!(delivery.header("webhook-id"), id);
            let place = place_of(&event);
            let stream = event["source"].as_str().unwrap().to_owned();
            let stream = self.streams.entry(stream).or_default();
            let at = match stream.ids.get(id) {
                Some(at) => {
                    self.repeats += 1;
                    *at
                }
                None => {
                    let sequence = event["sequence"].as_str().unwrap();
                    assert!(*stream.sequence < *sequence, "{place:?} falls: {event}");
                    sequence.clone_into(&mut stream.sequence);
                    stream.ids.insert(id.to_owned(), stream.ids.len());
                    if let Some(place) = &place {
                        let before = self.effective.insert(place.clone(), id.to_owned());
                        assert_eq!(before, None, "{place:?} came as two events");
                    }
                    stream.ids.len() - 1
                }
            };
            if let Some((run, before)) = stream.latest
                && run == delivery.run
            {
                let follows = at == before + 1;
                assert!(
                    follows || (!strictly && at <= before),
                    "{place:?} within a run"
                );
            }
            stream.latest = Some((delivery.run, at));
            self.late += usize::from(event["cloakroomlate"] == "true");
            let Some(place) = place else { continue };
            if place.source == Source::Transfers {
                assert_eq!(place.number, at as u64 + 1, "{place:?}");
            }
            self.check_payload(&place, &event, &delivery.body);
        }
    }

    fn check_payload(&mut self, place: &Place, event: &Value, delivered: &[u8]) {
        let body = place.body();
        assert_eq!(event["payloadsha256"], sha256(body.as_bytes()), "{place:?}");
        if place.is_large() {
            let url = event["dataref"].as_str().unwrap().to_owned();
            self.large.insert(place.clone(), url);
        } else {
            let delivered = str::from_utf8(delivered).unwrap();
            let embedded = format!("\"data\":{body}");
            assert!(delivered.contains(&embedded), "{place:?}: {delivered}");
        }
    }

    /// How many webhooks were effective.
    pub(crate) fn effective(&self) -> usize {
        self.effective.len()
    }

    /// Everything acknowledged was effective, once, under the id of its receipt.
    pub(crate) fn check_all(&self, acknowledged: &HashMap<Place, String>) {
        for (place, id) in acknowledged {
            assert_eq!(self.effective.get(place), Some(id), "{place:?}");
        }
    }

    /// What was too large for its event is at its claim, byte for byte. How many there were.
    pub(crate) fn fetch_large(&self) -> usize {
        for (place, url) in &self.large {
            let rest = url.strip_prefix("http://").unwrap();
            let (address, path) = rest.split_once('/').unwrap();
            let fetched = Request::get(&format!("/{path}")).send(address).unwrap();
            assert_eq!(fetched.status, 200, "{place:?}");
            assert!(fetched.body == place.body().as_bytes(), "{place:?}");
        }
        self.large.len()
    }
}

/// Which webhook an event is; nothing for the event of a gap.
fn place_of(event: &Value) -> Option<Place> {
    if event["type"] == GAP {
        return None;
    }
    let key = event["partitionkey"].as_str().unwrap().to_owned();
    let source = event["source"].as_str().unwrap();
    let is_of = |one: &Source| source.starts_with(&format!("/sources/{}/", one.name()));
    let source = Source::ALL.into_iter().find(is_of).unwrap();
    let number = event["type"].as_str().unwrap().strip_prefix(NUMBER);
    Some(Place {
        source,
        key,
        number: number.unwrap().parse().unwrap(),
    })
}
