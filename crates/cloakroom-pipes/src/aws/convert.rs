//! A stream record as JSON, in the shape that pipes pass to filters and targets.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodbstreams::types::{self as sdk, AttributeValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_core::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::record::Record;

/// The record, or `None` when it has no event id or sequence number, which every record has.
pub(super) fn record(record: &sdk::Record, stream_arn: &str) -> Option<Record> {
    let change = record.dynamodb()?;
    let event_id = record.event_id()?.to_owned();
    let sequence_number = change.sequence_number()?.to_owned();
    let created = change.approximate_creation_date_time();
    let mut body = Map::new();
    body.insert("eventID".into(), event_id.clone().into());
    let name = record.event_name().map(|name| name.as_str().into());
    insert(&mut body, "eventName", name);
    insert(
        &mut body,
        "eventVersion",
        record.event_version().map(Into::into),
    );
    insert(
        &mut body,
        "eventSource",
        record.event_source().map(Into::into),
    );
    insert(&mut body, "awsRegion", record.aws_region().map(Into::into));
    body.insert("dynamodb".into(), dynamodb(change));
    insert(
        &mut body,
        "userIdentity",
        record.user_identity().map(identity),
    );
    body.insert("eventSourceARN".into(), stream_arn.into());
    Some(Record {
        event_id,
        sequence_number,
        created_at: Timestamp::from_secs(
            created.map_or(0, aws_sdk_dynamodbstreams::primitives::DateTime::secs),
        ),
        body: Value::Object(body),
    })
}

fn dynamodb(change: &sdk::StreamRecord) -> Value {
    let mut json = Map::new();
    let created = change.approximate_creation_date_time();
    insert(
        &mut json,
        "ApproximateCreationDateTime",
        created.map(|at| at.secs().into()),
    );
    insert(&mut json, "Keys", change.keys().map(item));
    insert(&mut json, "NewImage", change.new_image().map(item));
    insert(&mut json, "OldImage", change.old_image().map(item));
    insert(
        &mut json,
        "SequenceNumber",
        change.sequence_number().map(Into::into),
    );
    insert(&mut json, "SizeBytes", change.size_bytes().map(Into::into));
    let view = change.stream_view_type().map(|view| view.as_str().into());
    insert(&mut json, "StreamViewType", view);
    Value::Object(json)
}

/// Who changed the item, when it was not a caller: DynamoDB itself, when an item expired.
fn identity(identity: &sdk::Identity) -> Value {
    json!({"principalId": identity.principal_id(), "type": identity.r#type()})
}

/// An item in DynamoDB's typed JSON, its attributes in a fixed order.
fn item(item: &HashMap<String, AttributeValue>) -> Value {
    let ordered: BTreeMap<_, _> = item.iter().collect();
    let typed = ordered
        .into_iter()
        .map(|(name, value)| (name.clone(), attribute(value)));
    Value::Object(typed.collect())
}

fn attribute(value: &AttributeValue) -> Value {
    let binary = |bytes: &[u8]| STANDARD.encode(bytes);
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::B(bytes) => json!({ "B": binary(bytes.as_ref()) }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::Null(_) => json!({ "NULL": true }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(blobs) => {
            let encoded: Vec<_> = blobs.iter().map(|bytes| binary(bytes.as_ref())).collect();
            json!({ "BS": encoded })
        }
        AttributeValue::L(values) => {
            let values: Vec<_> = values.iter().map(attribute).collect();
            json!({ "L": values })
        }
        AttributeValue::M(members) => json!({ "M": item(members) }),
        // A type that this version of the SDK does not know cannot be told; none of the ledger's items has one.
        _ => json!({}),
    }
}

fn insert(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodbstreams::primitives::{Blob, DateTime};

    use super::*;

    /// The second record of the example on AWS's page "Amazon DynamoDB stream as a source", and what the page leaves out.
    #[test]
    fn a_record_has_the_documented_shape() {
        let image = |message: &str| {
            HashMap::from([
                ("Message".to_owned(), AttributeValue::S(message.into())),
                ("Id".to_owned(), AttributeValue::N("101".into())),
            ])
        };
        let change = sdk::StreamRecord::builder()
            .approximate_creation_date_time(DateTime::from_secs(1_479_499_740))
            .keys("Id", AttributeValue::N("101".into()))
            .set_old_image(Some(image("New item!")))
            .set_new_image(Some(image("This item has changed")))
            .sequence_number("222")
            .size_bytes(59)
            .stream_view_type(sdk::StreamViewType::NewAndOldImages)
            .build();
        let record = sdk::Record::builder()
            .event_id("2")
            .event_name(sdk::OperationType::Modify)
            .event_version("1.0")
            .event_source("aws:dynamodb")
            .aws_region("us-west-2")
            .dynamodb(change)
            .build();
        let arn = "arn:aws:dynamodb:us-east-1:111122223333:table/EventSourceTable";
        let record = super::record(&record, arn).unwrap();
        assert_eq!(record.event_id, "2");
        assert_eq!(record.sequence_number, "222");
        assert_eq!(record.created_at, Timestamp::from_secs(1_479_499_740));
        let expected = json!({
            "eventID": "2", "eventVersion": "1.0",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_479_499_740,
                "OldImage": {"Message": {"S": "New item!"}, "Id": {"N": "101"}},
                "SequenceNumber": "222",
                "Keys": {"Id": {"N": "101"}},
                "SizeBytes": 59,
                "NewImage": {"Message": {"S": "This item has changed"}, "Id": {"N": "101"}},
                "StreamViewType": "NEW_AND_OLD_IMAGES"
            },
            "awsRegion": "us-west-2", "eventName": "MODIFY", "eventSourceARN": arn, "eventSource": "aws:dynamodb"
        });
        assert_eq!(record.body, expected);
    }

    #[test]
    fn every_type_of_attribute_is_written_as_dynamodb_does() {
        let text = |text: &str| AttributeValue::S(text.into());
        for (value, expected) in [
            (text("a"), json!({"S": "a"})),
            (AttributeValue::N("1.50".into()), json!({"N": "1.50"})),
            (
                AttributeValue::B(Blob::new(b"\xff\x00")),
                json!({"B": "/wA="}),
            ),
            (AttributeValue::Bool(false), json!({"BOOL": false})),
            (AttributeValue::Null(true), json!({"NULL": true})),
            (AttributeValue::Ss(vec!["a".into()]), json!({"SS": ["a"]})),
            (AttributeValue::Ns(vec!["1".into()]), json!({"NS": ["1"]})),
            (
                AttributeValue::Bs(vec![Blob::new(b"a")]),
                json!({"BS": ["YQ=="]}),
            ),
            (
                AttributeValue::L(vec![text("a")]),
                json!({"L": [{"S": "a"}]}),
            ),
            (
                AttributeValue::M(HashMap::from([("k".to_owned(), text("a"))])),
                json!({"M": {"k": {"S": "a"}}}),
            ),
        ] {
            assert_eq!(attribute(&value), expected);
        }
    }
}
