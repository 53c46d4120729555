//! Fetching with leases, and tailing.

use cloakroom_core::id::EventId;
use cloakroom_core::position::Position;
use serde_json::json;

use super::faults::Op;
use super::sim::pass;
use super::sink::{Reply, Script};
use super::world::{SourceSpec, World, dense, ids, name, order, pull, push, secs, stream, version};
use crate::inspect::DeliveryState;
use crate::operate::ReplayFrom;
use crate::ports::{ClaimStore as _, Index};
use crate::pull::Batch;
use crate::tail::{Tail, Tailed};

async fn world(source: SourceSpec) -> World {
    World::new()
        .source(source)
        .subscribe(pull("sync"))
        .start()
        .await
}

async fn fetch(world: &World, max: usize) -> Batch {
    world
        .engine()
        .pull(&name("sync"), max, secs(5))
        .await
        .unwrap()
}

fn labels(batch: &Batch) -> Vec<String> {
    let events = batch.events.iter();
    events.map(|o| super::sink::label(&o.event)).collect()
}

async fn acknowledge(world: &World, ids: &[EventId]) -> usize {
    world
        .engine()
        .acknowledge(&name("sync"), ids)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_is_reserved_and_comes_again_when_the_lease_ends() {
    let world = world(dense("orders")).await;
    world
        .accept([order("A", 2), order("A", 1), order("A", 3)])
        .await;
    world.until_head("A", "3").await;
    let batch = fetch(&world, 2).await;
    assert_eq!(labels(&batch), ["A-1", "A-2"]);
    assert!(batch.lease.is_some());
    assert!(
        fetch(&world, 10).await.events.is_empty(),
        "nothing overtakes it"
    );
    pass(secs(21)).await;
    let again = fetch(&world, 10).await;
    assert_eq!(labels(&again), ["A-1", "A-2", "A-3"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wanted_is_passed_over_only_below_what_is() {
    let world = World::new()
        .source(dense("orders"))
        .subscribe(pull("sync").filter(serde_json::json!({ "type": ["wanted"] })))
        .start()
        .await;
    let kinds = ["other", "wanted", "other", "wanted"];
    let webhooks = (1..).zip(kinds).map(|(n, kind)| order("A", n).kind(kind));
    let ids = ids(&world.accept(webhooks).await);
    world.until_head("A", "4").await;
    assert_eq!(labels(&fetch(&world, 10).await), ["A-2", "A-4"]);
    pass(secs(31)).await;
    assert_eq!(labels(&fetch(&world, 10).await), ["A-2", "A-4"]);
    assert_eq!(acknowledge(&world, &ids[3..]).await, 1);
    pass(secs(31)).await;
    assert_eq!(labels(&fetch(&world, 10).await), ["A-2"]);
    assert_eq!(acknowledge(&world, &ids[1..2]).await, 1);
    assert_eq!(
        world.cursor("sync", "A").unwrap().position,
        world.head("A").unwrap().head.position
    );
    world.accept([order("B", 1).kind("other")]).await;
    world.until_head("B", "1").await;
    assert!(fetch(&world, 10).await.events.is_empty());
    assert_eq!(
        world.cursor("sync", "B").unwrap().position,
        world.head("B").unwrap().head.position,
        "there is nothing to wait for"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_never_larger_than_asked_for() {
    let world = world(dense("orders")).await;
    for key in ["A", "B", "C"] {
        world.accept((1..=2).map(|n| order(key, n))).await;
        world.until_head(key, "2").await;
    }
    assert_eq!(fetch(&world, 3).await.events.len(), 3);
    assert_eq!(fetch(&world, 3).await.events.len(), 2);
    assert!(fetch(&world, 3).await.events.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_away_comes_later_and_one_that_is_lost_does_not_hold_up_its_event() {
    let mut world = World::new().source(dense("orders")).subscribe(pull("sync"));
    world.settings.inline_max = 1_000;
    let world = world.start().await;
    world.accept([order("A", 1)]).await;
    world.until_head("A", "1").await;
    world.faults.claims_down(true);
    let away = world.engine().pull(&name("sync"), 1, secs(5)).await;
    assert!(away.unwrap_err().to_string().contains("the test says so"));
    world.faults.claims_down(false);
    pass(secs(31)).await;
    assert!(fetch(&world, 1).await.events[0].inline.is_some());
    for claim in world.claims.names() {
        world.claims.delete(&claim).await.unwrap();
    }
    pass(secs(31)).await;
    let batch = fetch(&world, 1).await;
    assert_eq!(labels(&batch), ["A-1"]);
    assert!(batch.events[0].inline.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_retention_removed_before_anybody_fetched_it_is_settled() {
    let billing = Script::new();
    let mut world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", &billing))
        .retention(secs(60))
        .start()
        .await;
    world.accept([order("A", 1)]).await;
    pass(secs(120)).await;
    assert_eq!(world.entries(), 0);
    world.subscriptions.push(pull("sync").earliest());
    world.restart().await;
    assert!(fetch(&world, 1).await.events.is_empty());
    assert_eq!(
        world.cursor("sync", "A").unwrap().position,
        world.head("A").unwrap().head.position
    );
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_versions_passes_none_over_without_a_record() {
    let world = world(version("orders")).await;
    let receipts = world.accept([order("A", 1)]).await;
    world.until_head("A", "1").await;
    world.accept([order("A", 3)]).await;
    world.until_head("A", "3").await;
    let from = ReplayFrom::Position(Position::dense(2));
    assert_eq!(world.replay("sync", Some("A"), from).await.unwrap(), 1);
    let batch = fetch(&world, 10).await;
    assert_eq!(labels(&batch), ["A-3"]);
    let fetched = [batch.events[0].event.id.clone()];
    assert_eq!(acknowledge(&world, &fetched).await, 1);
    let passed = world.engine().event(&receipts[0].id).await.unwrap();
    assert_eq!(passed.unwrap().subscriptions, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_makes_way_for_the_next() {
    let world = world(dense("orders")).await;
    let receipts = world.accept((1..=4).map(|n| order("A", n))).await;
    world.until_head("A", "4").await;
    let ids = ids(&receipts);
    assert_eq!(labels(&fetch(&world, 2).await), ["A-1", "A-2"]);
    assert_eq!(acknowledge(&world, &ids[..2]).await, 2);
    assert_eq!(acknowledge(&world, &ids[..2]).await, 0, "once is enough");
    assert_eq!(labels(&fetch(&world, 2).await), ["A-3", "A-4"]);
    assert_eq!(acknowledge(&world, &ids[2..]).await, 2);
    assert!(fetch(&world, 2).await.events.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_part_may_be_acknowledged_and_in_any_order() {
    let world = world(dense("orders")).await;
    let receipts = world.accept((1..=4).map(|n| order("A", n))).await;
    world.until_head("A", "4").await;
    let ids = ids(&receipts);
    assert_eq!(fetch(&world, 4).await.events.len(), 4);
    assert_eq!(
        acknowledge(&world, &[ids[3].clone(), ids[1].clone()]).await,
        2
    );
    let states = async |id| {
        world
            .engine()
            .event(id)
            .await
            .unwrap()
            .unwrap()
            .subscriptions[0]
            .1
    };
    assert_eq!(states(&ids[1]).await, DeliveryState::Delivered);
    assert_eq!(states(&ids[0]).await, DeliveryState::Waiting);
    pass(secs(31)).await;
    assert_eq!(labels(&fetch(&world, 4).await), ["A-1", "A-3"]);
    assert_eq!(acknowledge(&world, &ids).await, 2);
    assert_eq!(
        world.cursor("sync", "A").unwrap().position,
        receipts[3].position
    );
    assert!(world.cursor("sync", "A").unwrap().acknowledged.is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_consumers_share_the_streams_and_never_one_stream() {
    let world = world(dense("orders")).await;
    for key in ["A", "B", "C", "D"] {
        world.accept([order(key, 1), order(key, 2)]).await;
        world.until_head(key, "2").await;
    }
    let (one, two) = (fetch(&world, 4).await, fetch(&world, 4).await);
    let keys = |batch: &Batch| {
        let keys = batch.events.iter().map(|o| o.event.stream.key.to_string());
        keys.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((one.events.len(), two.events.len()), (4, 4));
    assert!(keys(&one).is_disjoint(&keys(&two)));
    assert_ne!(one.lease, two.lease);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_may_wait_for_the_first() {
    let world = world(dense("orders")).await;
    let started = world.now();
    assert!(fetch(&world, 1).await.events.is_empty());
    assert!(world.now().since(started) >= secs(5));
    let send = async {
        pass(secs(2)).await;
        world.accept([order("A", 1)]).await;
    };
    let started = world.now();
    let (batch, ()) = futures::join!(fetch(&world, 1), send);
    assert_eq!(labels(&batch), ["A-1"]);
    assert!(world.now().since(started) < secs(3));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_version_makes_way_for_a_newer_one_at_once() {
    let world = world(version("orders")).await;
    let first = world.accept([order("A", 1)]).await;
    let batch = fetch(&world, 1).await;
    assert_eq!(labels(&batch), ["A-1"]);
    world.accept([order("A", 2), order("A", 3)]).await;
    world.until_head("A", "3").await;
    assert_eq!(acknowledge(&world, &ids(&first)).await, 1);
    let batch = fetch(&world, 1).await;
    assert_eq!(labels(&batch), ["A-3"]);
    let status = world.engine().event(&first[0].id).await.unwrap().unwrap();
    assert_eq!(
        status.subscriptions,
        [(name("sync"), DeliveryState::Delivered)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_replay_and_a_restart_make_everything_fetchable_again() {
    let mut world = world(dense("orders")).await;
    let receipts = world.accept([order("A", 1), order("A", 2)]).await;
    world.until_head("A", "2").await;
    fetch(&world, 2).await;
    acknowledge(&world, &ids(&receipts)).await;
    assert_eq!(
        world
            .replay("sync", None, ReplayFrom::Earliest)
            .await
            .unwrap(),
        1
    );
    assert_eq!(labels(&fetch(&world, 1).await), ["A-1"]);
    world.restart().await;
    pass(secs(31)).await;
    assert_eq!(labels(&fetch(&world, 5).await), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn what_it_does_not_want_is_settled_by_looking_for_what_it_wants() {
    let world = World::new()
        .source(dense("orders"))
        .subscribe(pull("sync").filter(json!({"type": ["wanted"]})))
        .start()
        .await;
    world.accept([order("A", 1), order("A", 2)]).await;
    world.until_head("A", "2").await;
    assert!(fetch(&world, 5).await.events.is_empty());
    let position = world.cursor("sync", "A").unwrap().position;
    assert_eq!(position, Some(Position::dense(2)));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_passed_over_for_an_unwanted_one_is_not_said_to_be_delivered() {
    let world = World::new()
        .source(version("orders"))
        .subscribe(pull("sync").filter(json!({"type": ["wanted"]})))
        .start()
        .await;
    let wanted = world.accept([order("A", 1).kind("wanted")]).await.remove(0);
    world.accept([order("A", 2)]).await;
    world.until_head("A", "2").await;
    assert!(fetch(&world, 5).await.events.is_empty());
    let cursor = world.cursor("sync", "A").unwrap();
    assert!(cursor.position.is_some_and(|at| wanted.position < Some(at)));
    let status = world.engine().event(&wanted.id).await.unwrap().unwrap();
    assert_eq!(status.subscriptions, []);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_a_subscription_that_fetches_now_is_fetched_before_what_follows() {
    let sent = Script::new();
    sent.replies("A", [Reply::Fail]);
    let mut world = World::new()
        .source(dense("orders"))
        .subscribe(push("sync", &sent).attempts(1).dead_letters())
        .start()
        .await;
    world.accept([order("A", 1), order("A", 2)]).await;
    sent.until_taken(1).await;
    pass(secs(1)).await;
    world.subscriptions = vec![pull("sync")];
    world.restart().await;
    let (sync, of_a, first) = (name("sync"), stream("A"), Position::dense(1));
    let asked = world.engine().redrive(&sync, &of_a, &first);
    asked.await.unwrap();
    world.accept([order("A", 3)]).await;
    world.until_head("A", "3").await;
    let batch = fetch(&world, 5).await;
    assert_eq!(labels(&batch), ["A-1", "A-3"]);
    let ids: Vec<EventId> = batch.events.iter().map(|o| o.event.id.clone()).collect();
    assert_eq!(acknowledge(&world, &ids[1..]).await, 1);
    let is_reserved = |world: &World| world.cursor("sync", "A").unwrap().lease.is_some();
    assert!(is_reserved(&world), "the dead letter still is");
    assert_eq!(acknowledge(&world, &ids[..1]).await, 1);
    assert!(!is_reserved(&world));
    assert_eq!(acknowledge(&world, &ids).await, 0);
    pass(secs(60)).await;
    assert!(fetch(&world, 5).await.events.is_empty());
}

async fn shown(tail: &mut Tail) -> String {
    match tail.next().await.unwrap() {
        Tailed::Event(outgoing) => super::sink::label(&outgoing.event),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_tail_shows_what_is_released_and_moves_nothing() {
    let mut world = world(dense("orders")).await;
    world.accept([order("A", 1)]).await;
    world.until_head("A", "1").await;
    let mut tail = world.engine().tail(&name("sync"), None).await.unwrap();
    world
        .accept([order("A", 3), order("A", 2), order("B", 1)])
        .await;
    let mut seen = vec![
        shown(&mut tail).await,
        shown(&mut tail).await,
        shown(&mut tail).await,
    ];
    seen.sort();
    assert_eq!(seen, ["A-2", "A-3", "B-1"]);
    assert!(world.cursor("sync", "A").is_none());
    world.stop().await;
    assert_eq!(shown(&mut tail).await, "Closed");
}

#[tokio::test(start_paused = true)]
async fn a_tail_resumes_after_the_last_event_it_showed() {
    let world = world(dense("orders")).await;
    let receipts = world
        .accept([order("A", 1), order("A", 2), order("A", 3), order("B", 1)])
        .await;
    world.until_head("B", "1").await;
    let last = &receipts[1].id;
    let mut tail = world
        .engine()
        .tail(&name("sync"), Some(last))
        .await
        .unwrap();
    let mut seen = [shown(&mut tail).await, shown(&mut tail).await];
    seen.sort();
    assert_eq!(seen, ["A-3", "B-1"]);
    world.accept([order("A", 4)]).await;
    assert_eq!(shown(&mut tail).await, "A-4");
}

#[tokio::test(start_paused = true)]
async fn a_resumed_tail_shows_nothing_twice() {
    let world = world(dense("orders")).await;
    let receipts = world.accept([order("A", 1)]).await;
    world.until_head("A", "1").await;
    pass(secs(5)).await;
    let gate = world
        .faults
        .hold(|op| matches!(op, Op::List(Index::Heads(None))));
    let sync = name("sync");
    let starts = world.engine().tail(&sync, Some(&receipts[0].id));
    let meanwhile = async {
        gate.until_reached().await;
        world.accept([order("A", 2)]).await;
        world.until_head("A", "2").await;
        gate.open();
    };
    let (tail, ()) = futures::join!(starts, meanwhile);
    let mut tail = tail.unwrap();
    world.accept([order("A", 3)]).await;
    assert_eq!(shown(&mut tail).await, "A-2");
    assert_eq!(shown(&mut tail).await, "A-3");
}

#[tokio::test(start_paused = true)]
async fn a_resumed_tail_shows_all_that_follows_in_the_stream_and_what_is_newer_in_others() {
    let world = world(dense("orders")).await;
    world.accept([order("B", 1)]).await;
    // Of its own stream also what was recorded before it; more than is read at a time.
    for n in (2..=150).rev() {
        world.accept([order("A", n)]).await;
    }
    pass(secs(1)).await;
    let last = world.accept([order("A", 1)]).await.remove(0).id;
    world.until_head("A", "150").await;
    pass(secs(1)).await;
    world.accept([order("B", 2)]).await;
    world.until_head("B", "2").await;
    let sync = name("sync");
    let mut tail = world.engine().tail(&sync, Some(&last)).await.unwrap();
    let mut seen = Vec::new();
    for _ in 2..=151 {
        seen.push(shown(&mut tail).await);
    }
    let (of_b, of_a): (Vec<String>, Vec<String>) =
        seen.into_iter().partition(|label| label.starts_with('B'));
    assert_eq!(of_b, ["B-2"]);
    let expected: Vec<String> = (2..=150).map(|n| format!("A-{n}")).collect();
    assert_eq!(of_a, expected);
}
