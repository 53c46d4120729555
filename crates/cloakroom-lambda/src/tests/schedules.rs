//! The schedule and the timers queue.

use std::time::Duration;

use cloakroom_engine::ports::{Clock as _, Outcome};
use cloakroom_engine::record::CursorState;
use serde_json::{Value, json};

use super::given::{World, batch, failures, stream, webhook};
use crate::gauges::METRICS;
use crate::message::Doorbell;
use crate::role::Role;

/// What EventBridge Scheduler sends when it is not told what to send.
fn tick() -> Value {
    json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
        "source": "aws.scheduler", "account": "123456789012", "time": "2026-11-22T05:00:00Z", "region": "eu-west-1",
        "resources": ["arn:aws:scheduler:eu-west-1:123456789012:schedule/default/sweep"], "detail": "{}",
    })
}

#[tokio::test]
async fn a_sweep_finds_everything_that_nobody_rang_for() {
    let world = World::new();
    world.accept(&[("A", 1), ("B", 1)]).await;
    let summary = world.call(Role::Sweep, tick()).await;
    assert_eq!(summary["forgotten"], 2, "{summary}");
    assert_eq!(summary["round"], true);
    assert_eq!((world.head("A"), world.head("B")), (Some(1), Some(1)));
    let summary = world.call(Role::Sweep, tick()).await;
    assert_eq!(summary["forgotten"], 2, "{summary}");
    let bells = world.doorbells.take();
    assert_eq!(bells.len(), 2);
    world.call(Role::Deliver, batch(&bells)).await;
    assert_eq!(world.consumer.taken().len(), 2);
    let summary = world.call(Role::Sweep, tick()).await;
    assert_eq!(summary["forgotten"], 0, "{summary}");
}

#[tokio::test]
async fn a_sweep_rings_for_retries_that_are_due() {
    let world = World::new();
    world.release(&[("A", 1)]).await;
    let failed = Outcome::Failed {
        reason: "500".to_owned(),
        retry_after: Some(Duration::from_secs(3)),
    };
    world.consumer.outcomes.lock().unwrap().push_back(failed);
    world
        .call(Role::Dispatch, world.changes("HEAD").into())
        .await;
    world
        .call(Role::Deliver, batch(&world.doorbells.take()))
        .await;
    assert_eq!(world.call(Role::Sweep, tick()).await["due"], 0);
    world.doorbells.take();
    let timer = world.timers.take();
    let CursorState::Retrying { retry_at, .. } = world.cursor("A").unwrap().state else {
        panic!("it is not tried again");
    };
    world.clock.sleep_until(retry_at).await;
    let summary = world.call(Role::Sweep, tick()).await;
    assert_eq!(summary["due"], 1, "{summary}");
    // The timer says the same.
    let answer = world.call(Role::Sweep, batch(&timer)).await;
    assert_eq!(failures(&answer), [""; 0]);
    world
        .call(Role::Deliver, batch(&world.doorbells.take()))
        .await;
    assert_eq!(world.consumer.taken(), ["A-1"]);
}

#[tokio::test]
async fn a_timer_moves_a_head_or_rings_a_subscription() {
    let world = World::new();
    world.accept(&[("A", 1)]).await;
    let resequence = Doorbell::Resequence {
        stream: stream("A"),
    }
    .delayed(Duration::ZERO);
    let mut event = batch(&[resequence.clone(), resequence]);
    event["Records"][1]["body"] = "{}".into();
    let answer = world.call(Role::Sweep, event).await;
    assert_eq!(failures(&answer), ["message-1"]);
    assert_eq!(world.head("A"), Some(1));
}

#[tokio::test]
async fn without_time_the_sweep_keeps_its_place() {
    let world = World::new();
    world.accept(&[("A", 1)]).await;
    let function = world.function(Role::Sweep).await;
    let summary = function
        .handle(tick(), Some(world.clock.now()))
        .await
        .unwrap();
    assert_eq!(
        (&summary["forgotten"], &summary["round"]),
        (&json!(0), &json!(false))
    );
}

/// Three subscriptions that come to three different ends.
const ENDS: &str = r#"
sources:
  orders:
    verify: { scheme: none }
    id: header:webhook-id
    key: header:x-key
    order: { kind: dense, at: header:x-seq, first: 1, gap: { after: 1ms, then: wait } }
subscriptions:
  parked: { sources: [orders], retry: { attempts: 1 }, sink: { sqs-fifo: { queue: a.fifo } } }
  dead: { sources: [orders], retry: { attempts: 1 }, exhausted: dead-letter, sink: { sqs-fifo: { queue: a.fifo } } }
  gone: { sources: [orders], sink: { sqs-fifo: { queue: a.fifo } } }
"#;

/// What the last sweep told, by name.
fn told(world: &World) -> Vec<(&'static str, i64)> {
    let lines = world.told.lock().unwrap();
    let line: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(line["Table"], "ledger", "{line}");
    let value = |name| (name, line[name].as_i64().unwrap());
    METRICS.map(value).to_vec()
}

#[tokio::test]
async fn a_sweep_tells_how_much_wants_an_operator() {
    let world = World::with(ENDS);
    world.call(Role::Sweep, tick()).await;
    assert_eq!(told(&world), METRICS.map(|name| (name, 0)));

    world.release(&[("A", 1), ("A", 3)]).await;
    let mut nowhere = webhook("A", 9);
    nowhere["headers"].as_object_mut().unwrap().remove("x-key");
    let answer = world.call(Role::Ingest, nowhere).await;
    assert_eq!(answer["statusCode"], 202, "{answer}");
    let heads = world.changes("HEAD").into();
    world.call(Role::Dispatch, heads).await;
    for bell in world.doorbells.take() {
        let failed = || Outcome::Failed {
            reason: "500".to_owned(),
            retry_after: None,
        };
        let gone = || Outcome::Gone {
            reason: "410".to_owned(),
        };
        let outcome = if bell.body.contains("gone") {
            gone()
        } else {
            failed()
        };
        world.consumer.outcomes.lock().unwrap().push_back(outcome);
        world.call(Role::Deliver, batch(&[bell])).await;
    }
    // The gap's deadline is a millisecond away.
    world
        .clock
        .sleep_until(world.clock.now().after(Duration::from_millis(5)))
        .await;
    world.call(Role::Sweep, tick()).await;
    assert_eq!(told(&world), METRICS.map(|name| (name, 1)));

    let timers = world.told.lock().unwrap().len();
    world.call(Role::Sweep, batch(&world.timers.take())).await;
    world.call(Role::Sweep, json!({"task": "reclaim"})).await;
    assert_eq!(world.told.lock().unwrap().len(), timers, "each minute only");
}

#[tokio::test]
async fn what_is_to_be_done_may_be_said() {
    let world = World::new();
    let summary = world.call(Role::Sweep, json!({"task": "reclaim"})).await;
    assert_eq!(summary["reclaimed"], 0);
    let function = world.function(Role::Sweep).await;
    let error = function
        .handle(json!({"task": "dance"}), None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("`reclaim`"), "{error}");
}
