//! Tables that are not there, not ours, or too small for what is written.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use cloakroom_aws::DynamoLedger;
use cloakroom_aws::ledger::OpenError;
use cloakroom_core::event::Body;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::conformance::samples;
use cloakroom_engine::ports::{Ledger as _, Write};
use cloakroom_engine::record::{Key, Record};

use crate::given::{empty_ledger, ministack, table_name};

#[tokio::test]
async fn a_table_is_made_once_and_then_opened() {
    let ledger = empty_ledger(ministack()).await;
    let config = ministack().load().await.unwrap();
    let key = Key::Head(StreamId::new("s", "k"));
    let head = Record::Head(samples::head(&StreamId::new("s", "k"), None, 0));
    ledger
        .transact(vec![Write::Create(head.clone())])
        .await
        .unwrap();
    ledger.create_table().await.unwrap();
    let again = DynamoLedger::open(&config, ledger.table()).await.unwrap();
    assert_eq!(again.get(&key).await.unwrap(), Some(head));
    assert!(!again.is_exclusive());
}

#[tokio::test]
async fn a_table_that_is_not_there_is_named_with_its_region() {
    let config = ministack().load().await.unwrap();
    let error = DynamoLedger::open(&config, "nowhere").await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::Missing { .. }), "{text}");
    assert!(
        text.contains("nowhere") && text.contains("us-east-1"),
        "{text}"
    );
    let unchecked = DynamoLedger::new(&config, "nowhere");
    let error = unchecked.get(&Key::Source("s".into())).await.unwrap_err();
    assert!(error.to_string().contains("Region us-east-1"), "{error}");
    let elsewhere = "arn:aws:dynamodb:eu-west-1:000000000000:table/t";
    let error = DynamoLedger::open(&config, elsewhere).await.unwrap_err();
    assert!(
        error.to_string().contains("set AWS_REGION=eu-west-1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_table_of_another_kind_is_refused() {
    let config = ministack().load().await.unwrap();
    let name = table_name();
    let attribute = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder()
        .attribute_name("id")
        .key_type(KeyType::Hash);
    Client::new(&config)
        .create_table()
        .table_name(&name)
        .attribute_definitions(attribute.build().unwrap())
        .key_schema(key.build().unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
    let text = DynamoLedger::open(&config, &name)
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains("its key is id (HASH)"), "{text}");
    assert!(text.contains("table.json"), "{text}");
}

#[tokio::test]
async fn a_record_that_is_too_large_names_the_setting() {
    let ledger = empty_ledger(ministack()).await;
    let stream = StreamId::new("s", "k");
    let mut event = samples::event(&stream, &Position::dense(1), "evt");
    event.body = Body::Payload(samples::payload(&"x".repeat(410 * 1024), None));
    let write = Write::Create(Record::Event(event));
    for writes in [
        vec![write.clone()],
        vec![
            write,
            Write::Create(Record::Head(samples::head(&stream, None, 0))),
        ],
    ] {
        let error = ledger.transact(writes).await.unwrap_err().to_string();
        assert!(error.contains("claims.inline_max"), "{error}");
    }
    assert_eq!(ledger.last_event(&stream).await.unwrap(), None);
}

#[tokio::test]
async fn a_range_is_read_to_its_end_over_every_page() {
    let ledger = empty_ledger(ministack()).await;
    let stream = StreamId::new("s", "k");
    // Twelve times 200 KB are three pages.
    let large = |number| {
        let mut event = samples::event(&stream, &Position::dense(number), "evt");
        event.body = Body::Payload(samples::payload(&"x".repeat(200 * 1024), None));
        event
    };
    let all: Vec<_> = (0..12).map(large).collect();
    for event in &all {
        ledger
            .transact(vec![Write::Create(Record::Event(event.clone()))])
            .await
            .unwrap();
    }
    for limit in [7, 12, 1000, usize::MAX] {
        let found = ledger.events(&stream, None, None, limit).await.unwrap();
        assert!(
            found == all[..limit.min(12)],
            "{} events by {limit}",
            found.len()
        );
    }
}

#[tokio::test]
async fn keys_beyond_dynamodbs_limits_are_kept_all_the_same() {
    let ledger = empty_ledger(ministack()).await;
    for length in [500, 600, 2000, 5000] {
        let stream = StreamId::new("s", "ż".repeat(length));
        let head = Record::Head(samples::head(&stream, None, 0));
        let identity = samples::identity(&stream, &Position::dense(1), stream.key.as_str());
        let writes = [head.clone(), Record::Identity(identity)].map(Write::Create);
        ledger.transact(writes.to_vec()).await.unwrap();
        assert_eq!(ledger.get(&head.key()).await.unwrap(), Some(head));
    }
    let user_given = Key::Quarantined("x".repeat(3000).into(), "y".repeat(3000).into());
    assert_eq!(ledger.get(&user_given).await.unwrap(), None);
}
