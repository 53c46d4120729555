//! Batches that pipes bring.

use serde_json::{Value, json};

use super::given::{World, billing, failures, stream};
use crate::message::Doorbell;
use crate::role::Role;

#[tokio::test]
async fn entries_move_heads_and_heads_ring_subscriptions() {
    let world = World::new();
    world.accept(&[("A", 1), ("A", 2), ("B", 1)]).await;
    let answer = world
        .call(Role::Resequence, world.changes("EVENT").into())
        .await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!((world.head("A"), world.head("B")), (Some(2), Some(1)));
    assert!(world.doorbells.take().is_empty(), "the other pipe rings");
    let answer = world
        .call(Role::Dispatch, world.changes("HEAD").into())
        .await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let bells = world.doorbells.take();
    // Nobody is rung for what is fetched.
    assert_eq!(bells.len(), 2);
    let bell: Doorbell = serde_json::from_str(&bells[0].body).unwrap();
    let expected = Doorbell::Deliver {
        subscription: billing(),
        stream: stream("A"),
        released_up_to: Some(cloakroom_core::position::Position::dense(2)),
    };
    assert_eq!(bell, expected);
    assert_ne!(bells[0].group, bells[1].group);
    assert_ne!(bells[0].deduplication, bells[1].deduplication);
    assert!(
        bells
            .iter()
            .all(|bell| bell.group.as_ref().unwrap().len() <= 128)
    );
}

#[tokio::test]
async fn a_gap_rings_at_its_deadline() {
    let world = World::new();
    world.release(&[("A", 1), ("A", 3)]).await;
    let timers = world.timers.take();
    assert_eq!(timers.len(), 1);
    assert!(timers[0].group.is_none() && timers[0].deduplication.is_none());
    assert!((50..=60).contains(&timers[0].delay.as_secs()), "{timers:?}");
    let bell: Doorbell = serde_json::from_str(&timers[0].body).unwrap();
    assert_eq!(
        bell,
        Doorbell::Resequence {
            stream: stream("A")
        }
    );
}

#[tokio::test]
async fn a_poison_record_fails_alone() {
    let world = World::new();
    world.accept(&[("A", 1)]).await;
    let mut changes = world.changes("EVENT");
    for (name, record) in [
        ("no-images", json!({})),
        (
            "no-text",
            json!({"dynamodb": {"NewImage": {"PK": {"N": "1"}, "kind": {"S": "EVENT"}}}}),
        ),
        (
            "no-stream",
            json!({"dynamodb": {"NewImage": {"PK": {"S": "?"}, "kind": {"S": "EVENT"}}}}),
        ),
        (
            "removed",
            json!({"dynamodb": {"OldImage": {"PK": {"S": "?"}, "kind": {"S": "EVENT"}}}}),
        ),
        (
            "another",
            json!({"dynamodb": {"NewImage": {"PK": {"S": "?"}, "kind": {"S": "CURSOR"}}}}),
        ),
    ] {
        let mut record = record;
        record["eventID"] = name.into();
        changes.insert(0, record);
    }
    let answer = world.call(Role::Resequence, changes.clone().into()).await;
    assert_eq!(failures(&answer), ["no-stream", "no-text", "no-images"]);
    assert_eq!(world.head("A"), Some(1));
    let answer = world.call(Role::Dispatch, changes.into()).await;
    assert_eq!(failures(&answer).len(), 3);
}

#[tokio::test]
async fn a_batch_that_cannot_be_told_apart_fails_as_a_whole() {
    let world = World::new();
    let function = world.function(Role::Resequence).await;
    for batch in [json!([{"dynamodb": {}}]), json!("x"), json!({"a": 1})] {
        assert!(function.handle(batch, None).await.is_err());
    }
}

#[tokio::test]
async fn a_doorbell_that_was_not_rung_fails_the_records_of_its_stream() {
    let world = World::new();
    world.release(&[("A", 1), ("B", 1)]).await;
    world.doorbells.refuse("\"B\"");
    let changes = world.changes("HEAD");
    let of_b: Vec<&Value> = changes
        .iter()
        .filter(|change| change["dynamodb"]["Keys"]["PK"]["S"] == "STREAM#orders/B")
        .collect();
    let answer = world.call(Role::Dispatch, changes.clone().into()).await;
    assert_eq!(failures(&answer), [of_b[0]["eventID"].as_str().unwrap()]);
    assert_eq!(world.doorbells.take().len(), 1);
}

#[tokio::test]
async fn without_time_records_are_left_for_the_next_call() {
    use cloakroom_engine::ports::Clock as _;
    let world = World::new();
    world.accept(&[("A", 1), ("A", 2)]).await;
    let function = world.function(Role::Resequence).await;
    let changes = world.changes("EVENT");
    let names = changes
        .iter()
        .map(|change| change["eventID"].as_str().unwrap().to_owned());
    let names: Vec<String> = names.collect();
    let answer = function
        .handle(changes.into(), Some(world.clock.now()))
        .await
        .unwrap();
    assert_eq!(failures(&answer), names);
    assert_eq!(world.head("A"), None);
}

#[tokio::test]
async fn a_stream_whose_key_is_too_long_for_a_key_of_the_table_is_read_from_its_record() {
    let world = World::new();
    world.accept(&[("A", 1)]).await;
    let mut changes = world.changes("EVENT");
    let mut dump = world.ledger.dump().into_iter();
    let event = dump.find(|record| matches!(record, cloakroom_engine::record::Record::Event(_)));
    let image = &mut changes[0]["dynamodb"]["NewImage"];
    image["PK"] = json!({"S": "STREAM#orders##sha256-0123"});
    image["record"] = json!({"S": serde_json::to_string(&event).unwrap()});
    let answer = world.call(Role::Resequence, changes.into()).await;
    assert_eq!(failures(&answer), [""; 0]);
    assert_eq!(world.head("A"), Some(1));
}
