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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cloakroom_core::event::ClaimName;
    use cloakroom_core::id::StreamId;
    use cloakroom_core::position::Position;
    use cloakroom_engine::conformance::samples;
    use serde_json::{Map, Value, json};

    use super::*;

    /// As DynamoDB's API writes it; a payload as hex.
    fn shown(item: &Item) -> Value {
        let mut names: Vec<_> = item.keys().collect();
        names.sort();
        let pairs = names.into_iter().map(|name| {
            let value = match &item[name] {
                AttributeValue::S(text) => json!({ "S": text }),
                AttributeValue::N(digits) => json!({ "N": digits }),
                AttributeValue::B(blob) => {
                    let digits = blob.as_ref().iter().map(|byte| format!("{byte:02x}"));
                    json!({ "B": digits.collect::<String>() })
                }
                other => panic!("{other:?} is not stored"),
            };
            (name.clone(), value)
        });
        Value::Object(pairs.collect::<Map<_, _>>())
    }

    fn item_of(shown: &Value) -> Item {
        let of_text = |value: &Value| value.as_str().unwrap().to_owned();
        let value = |value: &Value| {
            let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
            let text = of_text(value);
            match kind.as_str() {
                "S" => AttributeValue::S(text),
                "N" => AttributeValue::N(text),
                _ => {
                    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
                    let bytes: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect();
                    AttributeValue::B(Blob::new(bytes))
                }
            }
        };
        let pairs = shown.as_object().unwrap().iter();
        pairs.map(|(name, of)| (name.clone(), value(of))).collect()
    }

    /// Every item ever written must stay readable: the files are never regenerated, only added to. To add one, run with
    /// `CLOAKROOM_NEW_GOLDEN=1`, which writes the missing files.
    #[test]
    fn golden_items_read_and_write_the_same() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
        for (name, record) in samples::every_kind() {
            let path = folder.join(format!("{name}.json"));
            let text = format!("{:#}\n", shown(&encode(record.clone())));
            if std::env::var_os("CLOAKROOM_NEW_GOLDEN").is_some() && !path.exists() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let golden = std::fs::read_to_string(&path).unwrap();
            let stored = item_of(&serde_json::from_str(&golden).unwrap());
            assert_eq!(
                decode(stored).unwrap(),
                record,
                "{name} reads as it was meant"
            );
            assert_eq!(text, golden, "{name} is written as before");
        }
    }

    /// As DynamoDB counts: names and values, a number as its digits in pairs and a byte more.
    fn size(item: &Item) -> usize {
        let value = |value: &AttributeValue| match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
            AttributeValue::B(blob) => blob.as_ref().len(),
            other => panic!("{other:?} is not stored"),
        };
        item.iter().map(|(name, of)| name.len() + value(of)).sum()
    }

    #[test]
    fn a_webhook_of_a_kilobyte_costs_two_write_units_and_a_head_one() {
        let stream = StreamId::new("transfers", "TR-0123456789abcdef");
        let position = Position::dense(1_234_567);
        let mut event = samples::event(&stream, &position, "evt_0123456789abcdef0123456789abcdef");
        event.event_type = "transfer.updated".to_owned();
        event.traceparent =
            Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
        let mut payload = samples::payload(&"x".repeat(1024), None);
        payload.claim = Some(ClaimName(format!(
            "transfers/2026/11/22/{}",
            "0".repeat(64)
        )));
        event.body = Body::Payload(payload);
        let size_of_event = size(&encode(Record::Event(event)));
        assert!(size_of_event <= 2048, "{size_of_event} bytes");
        let head = samples::head(&stream, Some(&position), 1_234_567);
        let size_of_head = size(&encode(Record::Head(head)));
        assert!(size_of_head <= 1024, "{size_of_head} bytes");
    }

    #[test]
    fn a_pipe_sees_which_change_moved_a_head() {
        let stream = StreamId::new("s", "k");
        let position = Position::dense(7);
        let advanced = |position, advanced_at, revision| {
            let head = HeadRecord {
                advanced_at,
                ..samples::head(&stream, position, revision)
            };
            let item = encode(Record::Head(head));
            text_of(&item, name::ADVANCED).unwrap().to_owned()
        };
        assert_eq!(advanced(Some(&position), 3, 3), "yes");
        assert_eq!(advanced(Some(&position), 2, 3), "no");
        assert_eq!(advanced(None, 0, 0), "no", "a new head has moved nowhere");
    }

    #[test]
    fn moving_a_head_leaves_its_place_in_the_index_alone() {
        let stream = StreamId::new("s", "k");
        let place = |position: Option<&Position>, revision| {
            let item = encode(Record::Head(samples::head(&stream, position, revision)));
            [name::HEADS, name::STREAM].map(|name| text_of(&item, name).unwrap().to_owned())
        };
        assert_eq!(place(None, 0), place(Some(&Position::dense(9)), 17));
    }

    #[test]
    fn what_admit_counted_stands_above_the_json() {
        let head = samples::head(&StreamId::new("s", "k"), None, 3);
        let mut item = encode(Record::Head(head.clone()));
        item.insert(name::APPENDED.to_owned(), number(2));
        item.insert(name::REVISION.to_owned(), number(5));
        let expected = HeadRecord {
            appended: 2,
            revision: 5,
            ..head
        };
        assert_eq!(decode(item).unwrap(), Record::Head(expected));
    }

    #[test]
    fn what_is_no_record_is_refused_without_being_quoted() {
        let good = encode(Record::Event(samples::event(
            &StreamId::new("s", "k"),
            &Position::dense(1),
            "evt",
        )));
        for name in [name::FORMAT, name::RECORD] {
            let mut item = good.clone();
            item.remove(name);
            assert_eq!(decode(item), Err(ItemError::Attribute(name)));
        }
        let mut newer = good.clone();
        newer.insert(name::FORMAT.to_owned(), number(2));
        assert_eq!(decode(newer), Err(ItemError::Format(2)));
        let mut odd = good;
        odd.insert(name::RECORD.to_owned(), text("{\"secret\":1}"));
        let error = decode(odd).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
