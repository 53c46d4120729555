//! Changes of the ledger's table, as a pipe brings them: a JSON array of records of its stream.
//!
//! Every record is read by itself: one that cannot be read fails alone.

use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::record::Record;
use serde::Deserialize;
use serde_json::Value;

use crate::answer::HandlerError;

/// One record of the table's stream.
pub(crate) struct Change {
    /// What a partial answer names.
    pub(crate) event_id: String,
    /// What it tells; the reason when it cannot be read. Never quotes what is stored.
    pub(crate) told: Result<Told, String>,
}

/// What a record tells.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    /// A new entry of this stream.
    Entry(StreamId),
    /// A head as it is after the change.
    Head(StreamId, Option<Position>),
    /// Something that is of no concern here, or that was removed.
    Other,
}

/// The records of a batch.
pub(crate) fn read(batch: Value) -> Result<Vec<Change>, HandlerError> {
    const EXPECTED: &str = "a batch of records of a DynamoDB stream";
    let wrong = |found: &str| HandlerError::Event {
        found: found.to_owned(),
        expected: EXPECTED,
    };
    let records = match batch {
        Value::Array(records) => records,
        // The shape of an event source mapping.
        Value::Object(mut event) => match event.remove("Records") {
            Some(Value::Array(records)) => records,
            _ => return Err(wrong("an object without records")),
        },
        _ => return Err(wrong("neither an array nor an object")),
    };
    records
        .into_iter()
        .map(|record| {
            // Without its name it cannot be told apart from the others: the pipe bisects the batch.
            let event_id = record["eventID"]
                .as_str()
                .ok_or_else(|| wrong("a batch with a record without an `eventID`"))?
                .to_owned();
            let told = tell(record);
            Ok(Change { event_id, told })
        })
        .collect()
}

#[derive(Deserialize)]
struct Shape {
    dynamodb: Images,
}

#[derive(Deserialize)]
struct Images {
    #[serde(rename = "NewImage")]
    new_image: Option<Image>,
}

/// The attributes that matter here, as `cloakroom-aws` writes them.
#[derive(Deserialize)]
struct Image {
    #[serde(rename = "PK")]
    partition: Text,
    kind: Text,
    position: Option<Text>,
    record: Option<Text>,
}

#[derive(Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

fn tell(record: Value) -> Result<Told, String> {
    let shape: Shape = serde_json::from_value(record)
        .map_err(|_| "it has not the shape of a record".to_owned())?;
    let Some(image) = shape.dynamodb.new_image else {
        return Ok(Told::Other);
    };
    match image.kind.text.as_str() {
        "EVENT" => stream_of(&image).map(Told::Entry),
        "HEAD" => {
            let position = image.position.as_ref().map(|position| {
                serde_json::from_value(Value::String(position.text.clone()))
                    .map_err(|_| "its position is none".to_owned())
            });
            Ok(Told::Head(stream_of(&image)?, position.transpose()?))
        }
        _ => Ok(Told::Other),
    }
}

/// The stream an item belongs to: from its key, or from the record where the key was too long to be one.
fn stream_of(image: &Image) -> Result<StreamId, String> {
    if let Some(stream) = cloakroom_aws::ledger::stream_of_partition(&image.partition.text) {
        return Ok(stream);
    }
    let record = image.record.as_ref().ok_or("it names no stream")?;
    match serde_json::from_str(&record.text) {
        Ok(Record::Event(event)) => Ok(event.stream),
        Ok(Record::Head(head)) => Ok(head.stream),
        _ => Err("its record cannot be read".to_owned()),
    }
}
