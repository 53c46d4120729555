//! One shard: filters, batches, answers, retries, dead letters, stopping.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom_engine::ports::Clock as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::world::{Setting, World, failing, ids};
use crate::handler::Handler;
use crate::ports::{Checkpoint, Checkpoints as _, Target as _, TargetError};
use crate::{Condition, PAYLOAD_MAX_BYTES, RunError};

fn willing(parameters: Value) -> World {
    World::new(parameters, &Setting::default(), |_| Ok(Value::Null))
}

async fn checkpoint(world: &World, shard: &str) -> Option<Checkpoint> {
    world
        .checkpoints
        .load()
        .await
        .unwrap()
        .remove(&shard.into())
}

#[tokio::test(start_paused = true)]
async fn batches_are_in_order_and_of_the_configured_size() {
    let world = willing(json!({"BatchSize": 3}));
    world.stream.open("a", None);
    world.stream.write("a", 7, "EVENT");
    world.run_for(5).await;
    assert_eq!(
        world.invoked(),
        [ids("a", 1..=3), ids("a", 4..=6), ids("a", 7..=7)]
    );
    assert_eq!(
        checkpoint(&world, "a").await,
        Some(Checkpoint::After("7".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_filtered_out_is_settled_without_an_invocation() {
    let world = willing(json!({}));
    world.stream.open("a", None);
    world.stream.write("a", 2, "HEAD");
    world.run_for(1).await;
    assert!(world.invoked().is_empty());
    assert_eq!(
        checkpoint(&world, "a").await,
        Some(Checkpoint::After("2".into()))
    );
    world.stream.write("a", 1, "EVENT");
    world.stream.write("a", 1, "HEAD");
    world.run_for(1).await;
    assert_eq!(world.invoked(), [ids("a", 3..=3)]);
    assert_eq!(
        checkpoint(&world, "a").await,
        Some(Checkpoint::After("4".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_window_gathers_until_it_ends_or_the_batch_is_full() {
    let world = willing(json!({"BatchSize": 4, "MaximumBatchingWindowInSeconds": 30}));
    world.stream.open("a", None);
    let began = world.clock.now();
    world
        .run_while(async {
            for _ in 0..3 {
                world.stream.write("a", 1, "EVENT");
                world.pass(5).await;
            }
            world.pass(40).await;
            world.stream.write("a", 4, "EVENT");
            world.pass(1).await;
        })
        .await;
    assert_eq!(world.invoked(), [ids("a", 1..=3), ids("a", 4..=7)]);
    let waits: Vec<_> = world
        .invocations()
        .iter()
        .map(|one| one.at.since(began).as_secs())
        .collect();
    assert_eq!(waits, [30, 55]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_at_six_megabytes() {
    let world = willing(json!({"MaximumBatchingWindowInSeconds": 300}));
    world.stream.open("a", None);
    world.stream.write_sized("a", 20, "EVENT", 600_000);
    world.run_for(1).await;
    let sizes: Vec<_> = world
        .invocations()
        .iter()
        .map(|one| one.event_ids.len())
        .collect();
    assert_eq!(
        sizes,
        [10],
        "the other ten fill no batch yet, and wait for the window"
    );
    assert!(
        world
            .invocations()
            .iter()
            .all(|one| one.bytes <= PAYLOAD_MAX_BYTES)
    );
    world.run_for(301).await;
    assert_eq!(world.succeeded(), ids("a", 1..=20));
}

#[tokio::test(start_paused = true)]
async fn a_poison_record_is_isolated_and_its_place_told() {
    let world = World::new(
        json!({"MaximumRetryAttempts": 2, "OnPartialBatchItemFailure": "AUTOMATIC_BISECT"}),
        &Setting::default(),
        |batch| match batch.contains(&"a/3".to_owned()) {
            true => Err(TargetError::Failed("poison".into())),
            false => Ok(Value::Null),
        },
    );
    world.stream.open("a", None);
    world.stream.write("a", 8, "EVENT");
    world.run_for(60).await;
    assert_eq!(
        world.succeeded(),
        [ids("a", 1..=2), ids("a", 4..=8)].concat()
    );
    assert_eq!(
        checkpoint(&world, "a").await,
        Some(Checkpoint::After("8".into()))
    );
    let letter = serde_json::to_value(world.dead_letters.letters()).unwrap();
    let timestamp = letter[0]["timestamp"].clone();
    assert_eq!(
        letter,
        json!([{
            "context": {"partnerResourceArn": "arn:aws:pipes:eu-west-1:1:pipe/p", "condition": "RetryAttemptsExhausted"},
            "version": "1.0",
            "timestamp": timestamp,
            "DDBStreamBatchInfo": {
                "shardId": "a", "startSequenceNumber": "3", "endSequenceNumber": "3",
                "approximateArrivalOfFirstRecord": "2027-01-15T08:00:00Z",
                "approximateArrivalOfLastRecord": "2027-01-15T08:00:00Z",
                "batchSize": 1, "streamArn": "arn:aws:dynamodb:eu-west-1:1:table/t/stream/s"
            }
        }])
    );
}

#[tokio::test(start_paused = true)]
async fn a_partial_answer_is_tried_again_in_part() {
    let calls = AtomicUsize::new(0);
    let world = World::new(
        json!({"MaximumRetryAttempts": 3}),
        &Setting::default(),
        move |batch| {
            Ok(match calls.fetch_add(1, Ordering::SeqCst) {
                0 => failing(&batch[2..]),
                1 => json!({"batchItemFailures": [{"itemIdentifier": "another pipe's"}]}),
                _ => json!({}),
            })
        },
    );
    world.stream.open("a", None);
    world.stream.write("a", 4, "EVENT");
    world.run_for(60).await;
    assert_eq!(
        world.invoked(),
        [ids("a", 1..=4), ids("a", 3..=4), ids("a", 3..=4)]
    );
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_target_costs_no_attempts_until_records_are_too_old() {
    let world = World::new(
        json!({"MaximumRetryAttempts": 0, "MaximumRecordAgeInSeconds": 600}),
        &Setting::default(),
        |_| Err(TargetError::Unavailable("throttled".into())),
    );
    world.stream.open("a", None);
    world.stream.write("a", 2, "EVENT");
    world.run_for(550).await;
    assert!(world.dead_letters.letters().is_empty());
    assert!(world.invocations().len() > 20);
    world.run_for(100).await;
    let letters = world.dead_letters.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].context.condition, Condition::RecordAgeExceeded);
    assert_eq!(letters[0].batch.batch_size, 2);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_without_an_answer_fails_after_five_minutes() {
    let setting = Setting {
        takes: Duration::from_secs(3_600),
        ..Setting::default()
    };
    let world = World::new(json!({"MaximumRetryAttempts": 1}), &setting, |_| {
        Ok(Value::Null)
    });
    world.stream.open("a", None);
    world.stream.write("a", 1, "EVENT");
    world.run_for(700).await;
    assert_eq!(world.invoked(), [ids("a", 1..=1), ids("a", 1..=1)]);
    assert_eq!(world.dead_letters.letters().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_awaits_what_is_under_way_and_begins_nothing_new() {
    let setting = Setting {
        takes: Duration::from_secs(30),
        ..Setting::default()
    };
    let world = World::new(json!({"BatchSize": 1}), &setting, |_| Ok(Value::Null));
    world.stream.open("a", None);
    world.stream.write("a", 3, "EVENT");
    let began = world.clock.now();
    world.run_for(45).await;
    assert_eq!(world.clock.now().since(began).as_secs(), 60);
    assert_eq!(world.invoked(), [ids("a", 1..=1), ids("a", 2..=2)]);
    assert_eq!(
        checkpoint(&world, "a").await,
        Some(Checkpoint::After("2".into()))
    );
    world.run_for(45).await;
    assert_eq!(
        world.succeeded(),
        ids("a", 1..=3),
        "nothing is delivered twice after an orderly stop"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_gone_ends_the_pipe() {
    use crate::ports::{Page, Position, Shard, ShardId, Source, SourceError};
    struct Gone;
    #[async_trait::async_trait]
    impl Source for Gone {
        fn stream_arn(&self) -> &str {
            "arn:x"
        }
        async fn shards(&self) -> Result<Vec<Shard>, SourceError> {
            Err(SourceError::Gone("no such stream".into()))
        }
        async fn iterator(&self, _: &ShardId, _: &Position) -> Result<String, SourceError> {
            Err(SourceError::Expired)
        }
        async fn records(&self, _: &str) -> Result<Page, SourceError> {
            Err(SourceError::Expired)
        }
    }
    let world = willing(json!({}));
    let parts = crate::Parts {
        pipe_arn: "arn:p".into(),
        source: Arc::new(Gone),
        target: Arc::clone(&world.target) as _,
        dead_letters: None,
        checkpoints: Arc::clone(&world.checkpoints) as _,
        clock: Arc::clone(&world.clock) as _,
        entropy: Arc::new(super::world::Dice::new(1)),
    };
    let runner = crate::Runner::new(world.definition.clone(), parts);
    let outcome = runner.run(CancellationToken::new()).await;
    assert!(
        matches!(outcome, Err(RunError::StreamGone { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_handler_of_this_process_answers_as_a_function_does() {
    let payload = || bytes::Bytes::from_static(br#"[{"eventID": "1"}]"#);
    let echo =
        Handler::new(|records: Value| async move { Ok(json!({"seen": records[0]["eventID"]})) });
    assert_eq!(echo.invoke(payload()).await.unwrap(), r#"{"seen":"1"}"#);
    let failing = Handler::new(|_| async { Err("no".to_owned()) });
    assert_eq!(
        failing.invoke(payload()).await,
        Err(TargetError::Failed("no".into()))
    );
    let panicking = Handler::new(|records: Value| async move {
        assert!(records.is_null(), "a bug");
        Ok(Value::Null)
    });
    assert_eq!(
        panicking.invoke(payload()).await,
        Err(TargetError::Failed("the handler panicked".into()))
    );
}
