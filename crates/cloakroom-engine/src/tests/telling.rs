//! State changes as events of the source `cloakroom`.

use std::sync::Arc;

use super::faults::Op;
use super::sim::{pass, until};
use super::sink::{Reply, Script};
use super::world::{World, dense, order, push, secs, stream};
use crate::operate::ReplayFrom;
use crate::ports::Write;
use crate::record::Record;

async fn world(billing: &Arc<Script>) -> (World, Arc<Script>) {
    let told = Script::new();
    let world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", billing).attempts(2))
        .subscribe(push("alerts", &told).to(&["cloakroom"]))
        .start()
        .await;
    (world, told)
}

#[tokio::test(start_paused = true)]
async fn every_outcome_of_a_delivery_is_told_once_and_in_order() {
    let billing = Script::new();
    let (world, told) = world(&billing).await;
    billing.replies("A", [Reply::Fail, Reply::Take, Reply::Fail, Reply::Fail]);
    let receipts = world.accept([order("A", 1), order("A", 2)]).await;
    told.until_taken(4).await;
    pass(secs(60)).await;
    assert_eq!(
        told.taken("cloakroom"),
        [
            "cloakroom.delivery.failed",
            "cloakroom.delivery.succeeded",
            "cloakroom.delivery.failed",
            "cloakroom.delivery.aborted",
        ]
    );
    let body = told.calls()[1].body.clone().unwrap();
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["event"], receipts[0].id.as_str());
    assert_eq!(
        (&told["subscription"], &told["attempts"]),
        (&"billing".into(), &2.into())
    );
}

#[tokio::test(start_paused = true)]
async fn every_event_of_a_batch_is_told() {
    let billing = Script::batched(10);
    let (world, told) = world(&billing).await;
    billing.replies("A", [Reply::TakeIn(secs(1))]);
    let receipts = world.accept((1..=5).map(|n| order("A", n))).await;
    told.until_taken(5).await;
    let mut events: Vec<String> = Vec::new();
    for call in told.calls() {
        let body: serde_json::Value = serde_json::from_str(&call.body.unwrap()).unwrap();
        events.push(body["event"].as_str().unwrap().to_owned());
    }
    let expected: Vec<&str> = receipts.iter().map(|r| r.id.as_str()).collect();
    events.sort();
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    assert_eq!(events, sorted);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_twice_because_two_streams_tell_at_once() {
    let billing = Script::new();
    let (world, told) = world(&billing).await;
    let settles_a = |write: &Write| match write {
        Write::Create(Record::Cursor(cursor))
        | Write::Replace {
            record: Record::Cursor(cursor),
            ..
        } => cursor.stream == stream("A"),
        _ => false,
    };
    let gate = world
        .faults
        .hold(move |op| matches!(op, Op::Transact(writes) if writes.iter().any(settles_a)));
    world.accept([order("A", 1)]).await;
    gate.until_reached().await;
    world.accept([order("B", 1)]).await;
    told.until_taken(1).await;
    gate.open();
    told.until_taken(2).await;
    pass(secs(60)).await;
    assert_eq!(billing.taken_in_all().len(), 2);
    assert_eq!(told.taken_in_all().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_is_told() {
    let billing = Script::new();
    let (world, told) = world(&billing).await;
    world.accept([order("A", 3)]).await;
    pass(secs(59)).await;
    assert!(told.calls().is_empty());
    pass(secs(2)).await;
    assert_eq!(told.taken("cloakroom"), ["cloakroom.stream.stalled"]);
    pass(secs(600)).await;
    assert_eq!(told.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn telling_is_not_told() {
    let billing = Script::new();
    let (world, told) = world(&billing).await;
    told.always("*", Reply::Fail);
    world.accept([order("A", 1)]).await;
    told.until_tried(4).await;
    told.heal();
    told.until_taken(1).await;
    pass(secs(60)).await;
    assert_eq!(told.taken("cloakroom"), ["cloakroom.delivery.succeeded"]);
    let streams = world.engine().streams(None, None, 100).await.unwrap();
    assert_eq!(streams.items.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_did_not_count_is_not_told() {
    let billing = Script::new();
    let (world, told) = world(&billing).await;
    world.accept((1..=3).map(|n| order("A", n))).await;
    told.until_taken(3).await;
    let gate = Arc::new(tokio::sync::Notify::new());
    billing.replies("A", [Reply::TakeAt(Arc::clone(&gate))]);
    world.accept([order("A", 4)]).await;
    billing.until_tried(4).await;
    // The cursor moves back while the fourth is being sent: that it was taken changes nothing.
    let replayed = world.replay("billing", Some("A"), ReplayFrom::Earliest);
    assert_eq!(replayed.await.unwrap(), 1);
    gate.notify_one();
    billing.until_taken(8).await;
    pass(secs(5)).await;
    assert_eq!(told.taken("cloakroom").len(), 7);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_recorded_while_nobody_listens() {
    let billing = Script::new();
    let world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", &billing))
        .start()
        .await;
    world.accept([order("A", 1), order("A", 3)]).await;
    pass(secs(100)).await;
    assert_eq!(world.entries(), 2);
}

#[tokio::test(start_paused = true)]
async fn telling_goes_on_while_the_clock_stands_still() {
    let billing = Script::new();
    let (world, told) = world(&billing).await;
    world.accept([order("A", 1)]).await;
    told.until_taken(1).await;
    world.clock.stand_still(true);
    for n in 2..=8 {
        world.accept([order("A", n)]).await;
    }
    until("all are told", || told.taken("cloakroom").len() == 8).await;
}
