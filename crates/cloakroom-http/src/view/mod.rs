//! How things look in JSON. These shapes are a contract; they only ever grow.

mod event;
mod stream;

use std::fmt::Display;

use axum::Json;
use cloakroom_core::event::Payload;
use cloakroom_core::id::EventId;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::catalog::{Exhausted, Interest, Route, Subscription};
use cloakroom_engine::inspect::Listing;
use cloakroom_engine::record::{DeadLetter, Quarantined};
use cloakroom_engine::{Receipt, Status};
use serde::{Serialize, Serializer};

pub(crate) use event::EventView;
pub(crate) use stream::StreamView;

use crate::app::App;
use crate::extract::encode_cursor;

/// The receipt of a webhook.
pub(crate) fn receipt_json(receipt: &Receipt) -> Vec<u8> {
    #[derive(Serialize)]
    struct View<'a> {
        id: &'a str,
        #[serde(serialize_with = "displayed")]
        stream: Option<&'a cloakroom_core::id::StreamId>,
        position: Option<&'a str>,
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        differs: bool,
    }
    let view = View {
        id: receipt.id.as_str(),
        stream: receipt.stream.as_ref(),
        position: receipt.position.as_ref().map(|position| position.as_str()),
        status: match receipt.status {
            Status::Accepted => "accepted",
            Status::Duplicate => "duplicate",
            Status::Quarantined => "quarantined",
        },
        reason: receipt.reason.map(|reason| reason.as_str()),
        differs: receipt.differs,
    };
    let mut json = Vec::with_capacity(256);
    serde_json::to_writer(&mut json, &view).expect("a receipt is plain text");
    json
}

fn displayed<S: Serializer>(
    value: &Option<impl Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// A page of a list.
#[derive(Serialize)]
pub(crate) struct List<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> List<T> {
    pub(crate) fn of<U>(listing: Listing<U>, view: impl FnMut(U) -> T) -> Json<Self> {
        Json(Self {
            items: listing.items.into_iter().map(view).collect(),
            next: listing.next.as_deref().map(encode_cursor),
        })
    }

    pub(crate) fn whole(items: Vec<T>) -> Json<Self> {
        Json(Self { items, next: None })
    }
}

/// What is known of a payload, and where to fetch it.
#[derive(Serialize)]
pub(crate) struct PayloadView {
    content_type: String,
    size: u64,
    sha256: String,
    dataref: String,
}

impl PayloadView {
    fn new(app: &App, id: &EventId, payload: &Payload) -> Self {
        Self {
            content_type: payload.content_type.clone(),
            size: payload.size,
            sha256: payload.sha256.to_string(),
            dataref: app.claim_urls().url(id, app.engine().now()),
        }
    }
}

/// A subscription.
#[derive(Serialize)]
pub(crate) struct SubscriptionView {
    name: String,
    sources: Vec<String>,
    sink: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    since: Option<String>,
    filtered: bool,
    exhausted: &'static str,
}

impl SubscriptionView {
    pub(crate) fn new(app: &App, subscription: &Subscription) -> Self {
        let name = &subscription.name;
        let switched_off = || "it is switched off in the configuration".to_owned();
        let reason = app
            .engine()
            .disabled_reason(name)
            .or_else(|| (!subscription.enabled).then(switched_off));
        Self {
            name: name.to_string(),
            sources: match &subscription.sources {
                Interest::All => vec!["*".to_owned()],
                Interest::Named(names) => names.iter().map(ToString::to_string).collect(),
            },
            sink: match &subscription.route {
                Route::Push(sink) => sink.kind(),
                Route::Pull { .. } => "pull",
            },
            state: if reason.is_some() {
                "disabled"
            } else {
                "active"
            },
            reason,
            since: app.engine().since(name).as_ref().map(Timestamp::to_string),
            filtered: subscription.filter.is_some(),
            exhausted: match subscription.exhausted {
                Exhausted::Park => "park",
                Exhausted::DeadLetter => "dead-letter",
            },
        }
    }
}

/// A webhook in quarantine.
#[derive(Serialize)]
pub(crate) struct QuarantinedView {
    id: String,
    source: String,
    reason: &'static str,
    detail: String,
    stream: Option<String>,
    sequence: Option<String>,
    #[serde(rename = "type")]
    event_type: String,
    time: Option<String>,
    recorded: String,
    payload: PayloadView,
}

impl QuarantinedView {
    pub(crate) fn new(app: &App, record: Quarantined) -> Self {
        Self {
            payload: PayloadView::new(app, &record.id, &record.payload),
            id: record.id.to_string(),
            source: record.source.to_string(),
            reason: record.reason.as_str(),
            detail: record.detail,
            stream: record.stream.as_ref().map(ToString::to_string),
            sequence: record.sequence,
            event_type: record.event_type,
            time: record.time.map(|time| time.to_string()),
            recorded: record.recorded.to_string(),
        }
    }
}

/// An event that a subscription gave up on.
#[derive(Serialize)]
pub(crate) struct DeadLetterView {
    subscription: String,
    id: String,
    stream: String,
    position: String,
    since: String,
    attempts: u32,
    reason: String,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(record: DeadLetter) -> Self {
        Self {
            subscription: record.subscription.to_string(),
            id: record.id.to_string(),
            stream: record.stream.to_string(),
            position: record.position.to_string(),
            since: record.since.to_string(),
            attempts: record.attempts,
            reason: record.reason,
        }
    }
}
