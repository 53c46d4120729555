//! Records as DynamoDB items.
//!
//! | attribute | of | what |
//! | --- | --- | --- |
//! | `PK`, `SK` | all | the primary key, see [`key`](super::key) |
//! | `kind` | all | `HEAD`, `EVENT`, …: pipes filter on it |
//! | `revision` | all | what conditional writes compare |
//! | `format` | all | [`FORMAT_VERSION`] |
//! | `record` | all | the record as JSON, without an inline payload |
//! | `payload` | events, superseded, quarantined | the inline payload, as it is |
//! | `appended` | heads | counted up by `Admit`; with `revision` it stands above what the JSON says |
//! | `position`, `base` | heads | what `Admit` and `BaseAllows` compare; absent where the head has none |
//! | `advanced` | heads | `yes` when this very change moved the position, else `no`: pipes filter on it |
//! | `heads`, `stream` | heads | keys of the index of heads; never changed, so that moving a head does not write to it |
//! | `attention`, `rank` | what is listed | keys of the sparse index |
//!
//! This is a stored format. `tests/golden/` holds one item of every kind in every version ever written.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::Blob;
use bytes::Bytes;
use cloakroom_core::event::{Body, Event, Payload};
use cloakroom_engine::record::{FORMAT_VERSION, HeadRecord, Record};

use super::key::{self, ItemKey};
use super::table::name;

/// An item as the SDK has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Why an item is no record. Never quotes what is stored, which may be payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// An attribute is missing or of another type.
    #[error("attribute {0:?} is missing or of the wrong type")]
    Attribute(&'static str),
    /// It was written by a later version.
    #[error("it has format {0}, which this version of cloakroom does not know: update cloakroom")]
    Format(u64),
    /// The JSON is not a record's.
    #[error("attribute \"record\" does not parse: {0}")]
    Json(String),
}

/// The kind of a record, as the attribute says it.
pub(crate) fn kind(record: &Record) -> &'static str {
    match record {
        Record::Head(_) => "HEAD",
        Record::Event(_) => "EVENT",
        Record::Superseded(_) => "SUPERSEDED",
        Record::Note(_) => "NOTE",
        Record::Cursor(_) => "CURSOR",
        Record::Passed(_) => "PASSED",
        Record::DeadLetter(_) => "DEAD",
        Record::Identity(_) => "ID",
        Record::Quarantined(_) => "QUARANTINED",
        Record::Subscription(_) => "SUBSCRIPTION",
        Record::Source(_) => "SOURCE",
    }
}

/// The primary key as attributes.
pub(crate) fn key_item(key: &ItemKey) -> Item {
    HashMap::from([
        (name::PK.to_owned(), text(&key.partition)),
        (name::SK.to_owned(), text(&key.sort)),
    ])
}

/// The stored form of a record.
pub(crate) fn encode(mut record: Record) -> Item {
    let mut item = key_item(&key::encode(&record.key()));
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(name::KIND, text(kind(&record)));
    set(name::REVISION, number(record.revision()));
    set(name::FORMAT, number(u64::from(FORMAT_VERSION)));
    if let Some(place) = key::heads_place(&record) {
        set(name::HEADS, text(&place.partition));
        set(name::STREAM, text(&place.rank));
    }
    if let Some(place) = key::attention_place(&record) {
        set(name::ATTENTION, text(&place.partition));
        set(name::RANK, text(&place.rank));
    }
    if let Record::Head(head) = &record {
        set(name::APPENDED, number(head.appended));
        set(
            name::ADVANCED,
            text(if advanced(head) { "yes" } else { "no" }),
        );
        if let Some(position) = &head.head.position {
            set(name::POSITION, text(position.as_str()));
        }
        if let Some(base) = head.head.base.number() {
            set(name::BASE, number(base));
        }
    }
    if let Some(inline) = payload_of(&mut record).and_then(|payload| payload.inline.take()) {
        set(name::PAYLOAD, AttributeValue::B(Blob::new(inline)));
    }
    let json =
        serde_json::to_string(&record).expect("a record is plain data and memory does not fail");
    set(name::RECORD, AttributeValue::S(json));
    item
}

/// Reads a record back: from the ledger's table, or from an image in its stream.
pub fn decode(mut item: HashMap<String, AttributeValue>) -> Result<Record, ItemError> {
    let format = number_of(&item, name::FORMAT)?;
    if format != u64::from(FORMAT_VERSION) {
        return Err(ItemError::Format(format));
    }
    let json = item
        .get(name::RECORD)
        .and_then(|value| value.as_s().ok())
        .ok_or(ItemError::Attribute(name::RECORD))?;
    let mut record: Record = serde_json::from_str(json).map_err(|error| {
        ItemError::Json(format!(
            "{:?} at column {}",
            error.classify(),
            error.column()
        ))
    })?;
    if let Record::Head(head) = &mut record {
        head.appended = number_of(&item, name::APPENDED)?;
        head.revision = number_of(&item, name::REVISION)?;
    }
    let inline = match item.remove(name::PAYLOAD) {
        None => None,
        Some(AttributeValue::B(blob)) => Some(Bytes::from(blob.into_inner())),
        Some(_) => return Err(ItemError::Attribute(name::PAYLOAD)),
    };
    if let Some(payload) = payload_of(&mut record) {
        payload.inline = inline;
    }
    Ok(record)
}

/// Whether this very change moved the head's position. A new head has moved nowhere.
fn advanced(head: &HeadRecord) -> bool {
    head.head.position.is_some() && head.advanced_at == head.revision
}

fn payload_of(record: &mut Record) -> Option<&mut Payload> {
    match record {
        Record::Event(event) => payload_of_event(event),
        Record::Superseded(superseded) => payload_of_event(superseded.event.as_mut()?),
        Record::Quarantined(quarantined) => Some(&mut quarantined.payload),
        _ => None,
    }
}

fn payload_of_event(event: &mut Event) -> Option<&mut Payload> {
    match &mut event.body {
        Body::Payload(payload) => Some(payload),
        Body::Gap { .. } | Body::Placeholder => None,
    }
}

/// A text attribute of an item.
pub(crate) fn text_of<'a>(item: &'a Item, name: &'static str) -> Result<&'a str, ItemError> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or(ItemError::Attribute(name))
}

fn number_of(item: &Item, name: &'static str) -> Result<u64, ItemError> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value
        .and_then(|digits| digits.parse().ok())
        .ok_or(ItemError::Attribute(name))
}

/// A text as an attribute.
pub(crate) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// A number as an attribute.
pub(crate) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
