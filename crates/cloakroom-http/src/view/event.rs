//! How an event and what became of it look in JSON.

use std::collections::BTreeMap;

use cloakroom_core::event::Body;
use cloakroom_core::id::EventId;
use cloakroom_engine::inspect::{DeliveryState, EventState, EventStatus};
use cloakroom_engine::record::Resolution;
use serde::Serialize;

use super::PayloadView;
use crate::app::App;

/// A range of numbers, both ends included.
#[derive(Serialize)]
struct Numbers {
    from: u64,
    to: u64,
}

/// A duplicate whose payload differed.
#[derive(Serialize)]
struct Differing {
    sha256: String,
    time: String,
}

/// An event and what became of it.
#[derive(Serialize)]
pub(crate) struct EventView {
    id: String,
    stream: Option<String>,
    position: Option<String>,
    state: &'static str,
    subscriptions: BTreeMap<String, &'static str>,
    #[serde(rename = "type")]
    event_type: String,
    time: Option<String>,
    recorded: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    late_sequence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Numbers>,
    payload: Option<PayloadView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<QuarantineNote>,
    duplicates: Vec<Differing>,
}

/// That an event is, or was, in quarantine.
#[derive(Serialize)]
struct QuarantineNote {
    reason: &'static str,
    detail: String,
    resolution: Option<&'static str>,
}

impl EventView {
    /// `None` when nothing is known of it at all, which never happens to a status that was found.
    pub(crate) fn new(app: &App, status: EventStatus) -> Option<Self> {
        let quarantine = status.quarantined.as_ref().map(|record| QuarantineNote {
            reason: record.reason.as_str(),
            detail: record.detail.clone(),
            resolution: record.resolution.as_ref().map(resolution),
        });
        let known = match (&status.event, &status.quarantined) {
            (Some(event), _) => Self {
                stream: Some(event.stream.to_string()),
                position: Some(event.position.to_string()),
                event_type: match event.body {
                    Body::Gap { .. } => cloakroom_core::cloudevent::GAP_TYPE.to_owned(),
                    Body::Payload(_) | Body::Placeholder => event.event_type.clone(),
                },
                time: event.time.map(|time| time.to_string()),
                recorded: event.recorded.to_string(),
                late_sequence: event.late.clone(),
                gap: match event.body {
                    Body::Gap { from, to } => Some(Numbers { from, to }),
                    Body::Payload(_) | Body::Placeholder => None,
                },
                payload: event
                    .payload()
                    .map(|payload| PayloadView::new(app, &event.id, payload)),
                ..Self::empty(&event.id)
            },
            (None, Some(record)) => Self {
                stream: record.stream.as_ref().map(ToString::to_string),
                event_type: record.event_type.clone(),
                time: record.time.map(|time| time.to_string()),
                recorded: record.recorded.to_string(),
                payload: Some(PayloadView::new(app, &record.id, &record.payload)),
                ..Self::empty(&record.id)
            },
            (None, None) => return None,
        };
        let subscriptions = status.subscriptions.into_iter();
        let duplicates = status.duplicates.into_iter();
        Some(Self {
            state: match status.state {
                EventState::Pending => "pending",
                EventState::Released => "released",
                EventState::Quarantined => "quarantined",
                EventState::Superseded => "superseded",
            },
            subscriptions: subscriptions
                .map(|(name, state)| (name.to_string(), delivery(state)))
                .collect(),
            duplicates: duplicates
                .map(|note| Differing {
                    sha256: note.sha256.to_string(),
                    time: note.recorded.to_string(),
                })
                .collect(),
            quarantine,
            ..known
        })
    }

    fn empty(id: &EventId) -> Self {
        Self {
            id: id.to_string(),
            stream: None,
            position: None,
            state: "",
            subscriptions: BTreeMap::new(),
            event_type: String::new(),
            time: None,
            recorded: String::new(),
            late_sequence: None,
            gap: None,
            payload: None,
            quarantine: None,
            duplicates: Vec::new(),
        }
    }
}

fn delivery(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Parked => "parked",
        DeliveryState::Dead => "dead",
    }
}

fn resolution(resolution: &Resolution) -> &'static str {
    match resolution {
        Resolution::Released { .. } => "released",
        Resolution::Discarded { .. } => "discarded",
    }
}
