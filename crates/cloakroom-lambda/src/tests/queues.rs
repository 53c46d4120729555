//! Batches of the doorbell queue.

use std::time::Duration;

use cloakroom_core::position::Position;
use cloakroom_engine::ports::{Clock as _, Outcome};
use cloakroom_engine::record::CursorState;
use serde_json::json;

use super::given::{World, batch, billing, failures, stream};
use crate::message::Doorbell;
use crate::queue::Message;
use crate::role::Role;

fn bell(key: &str, released_up_to: Option<u64>) -> Message {
    let doorbell = Doorbell::Deliver {
        subscription: billing(),
        stream: stream(key),
        released_up_to: released_up_to.map(Position::dense),
    };
    doorbell.grouped("unique".to_owned())
}

fn fails(retry_after: Option<Duration>) -> Outcome {
    Outcome::Failed {
        reason: "500".to_owned(),
        retry_after,
    }
}

#[tokio::test]
async fn a_group_is_delivered_in_order_up_to_what_its_bells_tell() {
    let world = World::new();
    world
        .release(&[("A", 1), ("A", 2), ("A", 3), ("B", 1)])
        .await;
    let event = batch(&[bell("A", Some(1)), bell("B", None), bell("A", Some(2))]);
    let answer = world.call(Role::Deliver, event).await;
    assert_eq!(failures(&answer), [""; 0]);
    let taken = world.consumer.taken();
    let of_a: Vec<_> = taken.iter().filter(|id| id.starts_with('A')).collect();
    assert_eq!(of_a, ["A-1", "A-2"]);
    assert_eq!(taken.len(), 3);
    world.call(Role::Deliver, batch(&[bell("A", None)])).await;
    assert_eq!(world.consumer.taken().last().unwrap(), "A-3");
}

#[tokio::test]
async fn a_group_stops_at_its_first_failure_and_the_others_go_on() {
    let world = World::new();
    world.release(&[("A", 1), ("B", 1)]).await;
    let mut event = batch(&[
        bell("A", Some(1)),
        bell("A", Some(1)),
        bell("A", Some(1)),
        bell("B", Some(1)),
    ]);
    event["Records"][1]["body"] = "no doorbell".into();
    let answer = world.call(Role::Deliver, event).await;
    assert_eq!(failures(&answer), ["message-1", "message-2"]);
    assert_eq!(world.consumer.taken().len(), 2);
}

#[tokio::test]
async fn a_store_that_fails_leaves_the_message() {
    let world = World::new();
    world.release(&[("A", 1)]).await;
    let long = Some(Duration::from_secs(30));
    world
        .consumer
        .outcomes
        .lock()
        .unwrap()
        .push_back(fails(long));
    world.timers.refuse("A");
    let answer = world.call(Role::Deliver, batch(&[bell("A", None)])).await;
    assert_eq!(failures(&answer), ["message-0"], "the timer was not set");
}

#[tokio::test]
async fn a_retry_goes_to_the_timers_unless_it_is_worth_waiting_for() {
    let world = World::new();
    world.release(&[("A", 1)]).await;
    let long = Some(Duration::from_secs(30));
    world
        .consumer
        .outcomes
        .lock()
        .unwrap()
        .push_back(fails(long));
    let answer = world
        .call(Role::Deliver, batch(&[bell("A", Some(1))]))
        .await;
    assert_eq!(failures(&answer), [""; 0]);
    let timers = world.timers.take();
    assert_eq!(timers.len(), 1);
    assert!((29..=31).contains(&timers[0].delay.as_secs()), "{timers:?}");
    assert!(matches!(
        world.cursor("A").unwrap().state,
        CursorState::Retrying { .. }
    ));

    let soon = Outcome::Deferred {
        wait: Duration::from_millis(20),
    };
    world.release(&[("B", 1)]).await;
    world.consumer.outcomes.lock().unwrap().push_back(soon);
    let answer = world
        .call(Role::Deliver, batch(&[bell("B", Some(1))]))
        .await;
    assert_eq!(failures(&answer), [""; 0]);
    assert_eq!(world.consumer.taken(), ["B-1"]);
    assert!(world.timers.take().is_empty());
}

#[tokio::test]
async fn what_is_due_in_more_than_a_quarter_of_an_hour_is_left_to_the_sweep() {
    let world = World::new();
    world.release(&[("A", 1)]).await;
    let late = Some(Duration::from_secs(3_600));
    world
        .consumer
        .outcomes
        .lock()
        .unwrap()
        .push_back(fails(late));
    world
        .call(Role::Deliver, batch(&[bell("A", Some(1))]))
        .await;
    assert!(world.timers.take().is_empty() && world.doorbells.take().is_empty());
}

#[tokio::test]
async fn when_time_runs_out_the_rest_is_rung_for_again() {
    let world = World::new();
    world.release(&[("A", 1), ("A", 2), ("A", 3)]).await;
    // Each may take a minute, and there are 30 seconds: one is sent all the same.
    *world.consumer.needs.lock().unwrap() = Duration::from_secs(60);
    let answer = world
        .call(Role::Deliver, batch(&[bell("A", Some(3))]))
        .await;
    assert_eq!(failures(&answer), [""; 0]);
    assert_eq!(world.consumer.taken(), ["A-1"]);
    let rest = world.doorbells.take();
    assert_eq!(rest.len(), 1);
    *world.consumer.needs.lock().unwrap() = Duration::from_millis(1);
    world.call(Role::Deliver, batch(&rest)).await;
    assert_eq!(world.consumer.taken(), ["A-1", "A-2", "A-3"]);
}

#[tokio::test]
async fn a_call_without_any_time_leaves_everything() {
    let world = World::new();
    world.release(&[("A", 1)]).await;
    let function = world.function(Role::Deliver).await;
    let event = batch(&[bell("A", None), bell("A", None)]);
    let answer = function
        .handle(event, Some(world.clock.now()))
        .await
        .unwrap();
    assert_eq!(failures(&answer), ["message-0", "message-1"]);
    assert!(function.handle(json!({"a": 1}), None).await.is_err());
}
