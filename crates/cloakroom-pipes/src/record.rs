//! A change, as the stream tells it and as a target receives it.

use cloakroom_core::time::Timestamp;
use serde_json::Value;

/// The largest payload of one invocation: Lambda's limit for synchronous requests.
pub const PAYLOAD_MAX_BYTES: usize = 6 * 1024 * 1024;

/// One record of a DynamoDB stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Unique within the stream; what a partial answer names.
    pub event_id: String,
    /// Its place in its shard.
    pub sequence_number: String,
    /// When the item was changed, to the second.
    pub created_at: Timestamp,
    /// The record in the shape in which filters and targets see it:
    /// `{eventID, eventName, eventVersion, eventSource, eventSourceARN, awsRegion, dynamodb: {Keys, NewImage, …}}`.
    pub body: Value,
}

/// A record that passed the filters, ready to be sent.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) event_id: String,
    pub(crate) sequence_number: String,
    pub(crate) created_at: Timestamp,
    /// The record as JSON text.
    text: String,
}

impl Item {
    pub(crate) fn new(record: Record) -> Self {
        Self {
            text: record.body.to_string(),
            event_id: record.event_id,
            sequence_number: record.sequence_number,
            created_at: record.created_at,
        }
    }

    /// What it takes of a payload, separator included.
    pub(crate) fn size(&self) -> usize {
        self.text.len() + 1
    }
}

/// The payload of an invocation: a JSON array of records.
pub(crate) fn payload<'a>(items: impl IntoIterator<Item = &'a Item>) -> String {
    let mut payload = String::from("[");
    for item in items {
        if payload.len() > 1 {
            payload.push(',');
        }
        payload.push_str(&item.text);
    }
    payload.push(']');
    payload
}
