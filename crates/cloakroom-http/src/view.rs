//! How things look in JSON. These shapes are a contract; they only ever grow.

use std::collections::BTreeMap;
use std::fmt::Display;

use axum::Json;
use cloakroom_core::event::{Body, Payload};
use cloakroom_core::head::Gap;
use cloakroom_core::id::EventId;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::catalog::{Exhausted, Interest, Route, Subscription};
use cloakroom_engine::inspect::{DeliveryState, EventState, EventStatus, Listing, StreamStatus};
use cloakroom_engine::record::{Cursor, CursorState, DeadLetter, Quarantined, Resolution};
use cloakroom_engine::{Receipt, Status};
use serde::{Serialize, Serializer};

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

/// A stream and where everybody stands in it.
#[derive(Serialize)]
pub(crate) struct StreamView {
    stream: String,
    head: Option<String>,
    gap: Option<GapView>,
    cursors: BTreeMap<String, CursorView>,
}

#[derive(Serialize)]
struct GapView {
    from: u64,
    to: u64,
    since: String,
    deadline: String,
    stalled: bool,
}

#[derive(Serialize)]
struct CursorView {
    position: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<StreamStatus> for StreamView {
    fn from(status: StreamStatus) -> Self {
        let cursors = status.cursors.into_iter();
        Self {
            stream: status.head.stream.to_string(),
            head: status.head.head.position.map(|head| head.to_string()),
            gap: status.gap.map(GapView::from),
            cursors: cursors
                .map(|cursor| (cursor.subscription.to_string(), CursorView::from(cursor)))
                .collect(),
        }
    }
}

impl From<Gap> for GapView {
    fn from(gap: Gap) -> Self {
        Self {
            from: gap.from,
            to: gap.to,
            since: gap.since.to_string(),
            deadline: gap.deadline.to_string(),
            stalled: gap.stalled,
        }
    }
}

impl From<Cursor> for CursorView {
    fn from(cursor: Cursor) -> Self {
        let position = cursor.position.map(|position| position.to_string());
        let view = Self {
            position,
            state: "active",
            attempts: None,
            retry_at: None,
            since: None,
            reason: None,
        };
        match cursor.state {
            CursorState::Active => view,
            CursorState::Retrying {
                attempts,
                retry_at,
                reason,
            } => Self {
                state: "retrying",
                attempts: Some(attempts),
                retry_at: Some(retry_at.to_string()),
                reason: Some(reason),
                ..view
            },
            CursorState::Parked {
                attempts,
                since,
                reason,
            } => Self {
                state: "parked",
                attempts: Some(attempts),
                since: Some(since.to_string()),
                reason: Some(reason),
                ..view
            },
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
