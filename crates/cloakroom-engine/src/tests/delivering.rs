//! Sending: order, parallel streams, retries, giving up, filters, acknowledging delivered.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use super::sim::{pass, until};
use super::sink::{Reply, Script};
use super::world::{World, arrival, dense, name, order, pull, push, secs, stream};
use crate::append::Status;
use crate::inspect::{Attention, DeliveryState};
use crate::intake::Refusal;
use crate::record::CursorState;

async fn world_with(
    spec: impl FnOnce(super::world::SubscriptionSpec) -> super::world::SubscriptionSpec,
) -> (World, Arc<Script>) {
    let billing = Script::new();
    let world = World::new()
        .source(dense("orders"))
        .subscribe(spec(push("billing", &billing)))
        .start()
        .await;
    (world, billing)
}

#[tokio::test(start_paused = true)]
async fn a_blocked_stream_does_not_block_another() {
    let (world, billing) = world_with(|s| s).await;
    let gate = Arc::new(Notify::new());
    billing.replies("A", [Reply::TakeAt(Arc::clone(&gate))]);
    world
        .accept([order("A", 1), order("A", 2), order("B", 1), order("B", 2)])
        .await;
    billing.until_taken(2).await;
    assert_eq!(billing.taken_in_all(), ["B-1", "B-2"]);
    gate.notify_one();
    billing.until_taken(4).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_consumer_slows_neither_another_nor_ingest() {
    let (dead, alive) = (Script::new(), Script::new());
    dead.always("*", Reply::TakeIn(secs(15)));
    let world = World::new()
        .source(dense("orders"))
        .subscribe(push("dead", &dead))
        .subscribe(push("alive", &alive))
        .start()
        .await;
    let started = world.now();
    for n in 1..=50 {
        for key in ["A", "B"] {
            world.accept([order(key, n)]).await;
        }
    }
    alive.until_taken(100).await;
    assert!(world.now().since(started) < secs(1));
    assert!(dead.taken_in_all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_later_and_later_and_nothing_overtakes_it() {
    let (world, billing) = world_with(|s| s).await;
    billing.replies("A", vec![Reply::Fail; 5]);
    world.accept([order("A", 1), order("A", 2)]).await;
    billing.until_taken(2).await;
    let calls = billing.calls();
    let tries: Vec<_> = calls
        .iter()
        .map(|c| (c.label.as_str(), c.attempt))
        .collect();
    let expected = (1..=6).map(|n| ("A-1", n)).chain([("A-2", 1)]);
    assert_eq!(tries, expected.collect::<Vec<_>>());
    for (failed, pair) in calls[..6].windows(2).enumerate() {
        let bound = secs(1 << failed) + Duration::from_millis(10);
        assert!(pair[1].at.since(pair[0].at) <= bound, "wait {failed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_may_say_how_long_it_wants_to_be_left_alone() {
    let (world, billing) = world_with(|s| s).await;
    billing.replies("A", [Reply::FailFor(secs(3_600))]);
    world.accept([order("A", 1)]).await;
    billing.until_taken(1).await;
    let calls = billing.calls();
    let waited = calls[1].at.since(calls[0].at);
    assert!((secs(3_600)..secs(3_602)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_would_rather_send_later_costs_no_try() {
    let (world, billing) = world_with(|s| s.attempts(1)).await;
    billing.always("A", Reply::Later(secs(7)));
    world.accept([order("A", 1), order("A", 2)]).await;
    pass(secs(60)).await;
    // Rings and sweeps may ask in between; the sink itself sees to its limit.
    let calls = billing.calls();
    assert!((8..100).contains(&calls.len()), "{}", calls.len());
    assert!(calls.iter().all(|c| c.label == "A-1" && c.attempt == 1));
    billing.heal();
    billing.until_taken(2).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_store_that_is_away_costs_no_try() {
    let (world, billing) = world_with(|s| s.attempts(1)).await;
    let gate = Arc::new(Notify::new());
    billing.replies("A", [Reply::TakeAt(Arc::clone(&gate))]);
    world.accept([order("A", 1), order("A", 2)]).await;
    billing.until_tried(1).await;
    world.faults.claims_down(true);
    gate.notify_one();
    pass(secs(60)).await;
    assert_eq!(billing.calls().len(), 1);
    world.faults.claims_down(false);
    billing.until_taken(2).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_try_at_a_dead_consumer_reads_what_it_sends_and_no_more() {
    for (batch_max, most) in [(1, 1), (10, 10)] {
        let billing = Script::batched(batch_max);
        billing.always("A", Reply::Fail);
        let world = World::new()
            .source(dense("orders"))
            .subscribe(push("billing", &billing))
            .start()
            .await;
        world.accept((1..=50).map(|n| order("A", n))).await;
        pass(secs(1)).await;
        world.faults.take_longest_range();
        pass(secs(60)).await;
        assert!(billing.batches().len() > 3);
        assert_eq!(world.faults.take_longest_range(), most);
        billing.heal();
        until("all is taken", || billing.taken("A").len() == 50).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_takes_a_consumer_back_by_some_events_or_some_time_at_the_most() {
    // A quick consumer has had 150 events when the process dies, a slow one 12 of 150 ms each.
    for (time, taken, kept) in [(0, 150, 150 - 64), (150, 12, 10)] {
        let (mut world, billing) = world_with(|s| s).await;
        let gate = Arc::new(Notify::new());
        billing.replies("A", [Reply::TakeAt(Arc::clone(&gate))]);
        billing.replies(
            "A",
            vec![Reply::TakeIn(Duration::from_millis(time)); taken - 1],
        );
        billing.replies("A", [Reply::TakeIn(secs(3_600))]);
        world.accept((1..=200).map(|n| order("A", n))).await;
        gate.notify_one();
        billing.until_taken(taken).await;
        world.crash();
        billing.heal();
        let before = billing.calls().len();
        world.restart().await;
        until("the last one is taken", || {
            billing
                .taken("A")
                .last()
                .is_some_and(|last| last == "A-200")
        })
        .await;
        let again = &billing.calls()[before].label;
        let number: usize = again.trim_start_matches("A-").parse().unwrap();
        assert!(number > kept, "{again} came again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_tries_are_spent_is_parked_until_somebody_retries() {
    let (world, billing) = world_with(|s| s.attempts(3)).await;
    billing.always("A", Reply::Fail);
    let receipts = world
        .accept([order("A", 1), order("A", 2), order("B", 1)])
        .await;
    billing.until_tried(4).await;
    pass(secs(3_600)).await;
    assert_eq!(billing.calls().len(), 4);
    assert_eq!(billing.taken_in_all(), ["B-1"]);
    let parked = world
        .engine()
        .streams(Some(Attention::Parked), None, 10)
        .await
        .unwrap();
    assert_eq!(parked.items[0].head.stream, stream("A"));
    for (receipt, state) in receipts
        .iter()
        .zip([DeliveryState::Parked, DeliveryState::Waiting])
    {
        let status = world.engine().event(&receipt.id).await.unwrap().unwrap();
        assert_eq!(status.subscriptions, [(name("billing"), state)]);
    }
    billing.heal();
    world
        .engine()
        .retry(&name("billing"), &stream("A"))
        .await
        .unwrap();
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_gone_gets_nothing_until_it_is_enabled() {
    let (mut world, billing) = world_with(|s| s).await;
    billing.replies("A", [Reply::Gone]);
    world
        .accept([order("A", 1), order("A", 2), order("B", 1)])
        .await;
    until("it is disabled", || {
        world.engine().disabled_reason(&name("billing")).is_some()
    })
    .await;
    world.accept([order("C", 1)]).await;
    pass(secs(600)).await;
    let before = billing.taken_in_all().len();
    assert!(billing.taken("A").is_empty() && billing.taken("C").is_empty());
    world.restart().await;
    pass(secs(600)).await;
    assert_eq!(billing.taken_in_all().len(), before);
    world.engine().enable(&name("billing")).await.unwrap();
    billing.until_taken(4).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
    assert_eq!(billing.taken("C"), ["C-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_lets_the_rest_go_on() {
    let (world, billing) = world_with(|s| s.attempts(2).dead_letters()).await;
    billing.replies("A", [Reply::Take, Reply::Fail, Reply::Fail]);
    let receipts = world
        .accept([order("A", 1), order("A", 2), order("A", 3)])
        .await;
    billing.until_taken(2).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-3"]);
    let dead = world
        .engine()
        .dead_letters(None, None, 10)
        .await
        .unwrap()
        .items;
    assert_eq!(
        (dead.len(), dead[0].attempts, &dead[0].id),
        (1, 2, &receipts[1].id)
    );
    let status = world
        .engine()
        .event(&receipts[1].id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.subscriptions[0].1, DeliveryState::Dead);
}

#[tokio::test(start_paused = true)]
async fn a_filter_chooses_by_attributes_and_by_data() {
    let (paid, large) = (Script::new(), Script::new());
    let world = World::new()
        .source(dense("orders").skips_gaps())
        .subscribe(push("paid", &paid).filter(json!({"type": [{"prefix": "order.paid"}]})))
        .subscribe(push("large", &large).filter(json!({"data": {"n": [{"numeric": [">", 2]}]}})))
        .start()
        .await;
    let receipts = world
        .accept([
            order("A", 1),
            order("A", 2).kind("order.paid"),
            order("A", 3),
        ])
        .await;
    paid.until_taken(1).await;
    large.until_taken(1).await;
    pass(secs(10)).await;
    assert_eq!(paid.taken("A"), ["A-2"]);
    assert_eq!(large.taken("A"), ["A-3"]);
    let status = world
        .engine()
        .event(&receipts[1].id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        status.subscriptions,
        [(name("paid"), DeliveryState::Delivered)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_subscription_starts_now_or_with_the_earliest() {
    let (mut world, billing) = world_with(|s| s).await;
    world.accept([order("A", 1), order("A", 2)]).await;
    billing.until_taken(2).await;
    let (fresh, all) = (Script::new(), Script::new());
    world.subscriptions.push(push("fresh", &fresh));
    world.subscriptions.push(push("all", &all).earliest());
    world.restart().await;
    world.accept([order("A", 3)]).await;
    fresh.until_taken(1).await;
    all.until_taken(3).await;
    assert_eq!(fresh.taken("A"), ["A-3"]);
    assert_eq!(all.taken("A"), ["A-1", "A-2", "A-3"]);
    world.restart().await;
    pass(secs(10)).await;
    assert_eq!(
        fresh.taken("A"),
        ["A-3"],
        "`now` is the day it was first configured"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_in_order_and_is_sent_again_from_its_first() {
    let billing = Script::batched(3);
    let gate = Arc::new(Notify::new());
    billing.replies("A", [Reply::TakeAt(Arc::clone(&gate)), Reply::Fail]);
    let world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", &billing))
        .start()
        .await;
    world.accept([order("A", 1)]).await;
    billing.until_tried(1).await;
    world.accept((2..=6).map(|n| order("A", n))).await;
    world.until_head("A", "6").await;
    gate.notify_one();
    billing.until_taken(6).await;
    assert_eq!(
        billing.batches(),
        [
            vec!["A-1"],
            vec!["A-2", "A-3", "A-4"],
            vec!["A-2", "A-3", "A-4"],
            vec!["A-5", "A-6"],
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_first_of_a_batch_becomes_a_dead_letter() {
    let billing = Script::batched(3);
    billing.replies("A", [Reply::Fail, Reply::Fail]);
    let world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", &billing).attempts(2).dead_letters())
        .start()
        .await;
    world.accept([2, 3, 4, 5, 1].map(|n| order("A", n))).await;
    billing.until_taken(4).await;
    assert_eq!(billing.taken("A"), ["A-2", "A-3", "A-4", "A-5"]);
    let dead = world.engine().dead_letters(None, None, 10).await.unwrap();
    assert_eq!(dead.items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn acknowledged_once_delivered() {
    let (world, billing) = {
        let billing = Script::new();
        let world = World::new()
            .source(dense("orders").acknowledges_delivered(secs(10)))
            .subscribe(push("billing", &billing))
            .start()
            .await;
        (world, billing)
    };
    billing.replies("A", [Reply::TakeIn(secs(4)), Reply::TakeIn(secs(14))]);
    let started = world.now();
    world.accept([order("A", 1)]).await;
    assert!(world.now().since(started) >= secs(4));
    let refused = world.send(order("A", 2)).await.unwrap_err();
    assert!(
        matches!(&refused, Refusal::NotDelivered(receipt) if receipt.status == Status::Accepted)
    );
    let again = world.send(order("A", 2)).await.unwrap();
    assert_eq!(again.status, Status::Duplicate);
    assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn acknowledged_once_a_pulling_consumer_acknowledged() {
    let world = World::new()
        .source(dense("orders").acknowledges_delivered(secs(10)))
        .subscribe(pull("sync"))
        .start()
        .await;
    let consumer = async {
        let batch = world
            .engine()
            .pull(&name("sync"), 10, secs(5))
            .await
            .unwrap();
        pass(secs(3)).await;
        let ids = vec![batch.events[0].event.id.clone()];
        world
            .engine()
            .acknowledge(&name("sync"), &ids)
            .await
            .unwrap();
    };
    let (receipt, ()) = futures::join!(world.send(order("A", 1)), consumer);
    assert_eq!(receipt.unwrap().status, Status::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_lost_parks_the_stream_instead_of_blocking_it_for_good() {
    // A filter that reads payloads cannot tell, and leaves it to the sender.
    let reads_data = json!({"data": {"n": [{"numeric": [">", 0]}]}});
    for filter in [json!({"type": [{"exists": true}]}), reads_data] {
        let (world, billing) = world_with(|s| s.attempts(3).filter(filter)).await;
        let gate = Arc::new(Notify::new());
        billing.replies("A", [Reply::TakeAt(Arc::clone(&gate))]);
        world
            .accept([order("A", 1), order("A", 2), order("A", 3)])
            .await;
        billing.until_tried(1).await;
        let lost = &world.claims.names()[1];
        crate::ports::ClaimStore::delete(world.claims.as_ref(), lost)
            .await
            .unwrap();
        gate.notify_one();
        until("the stream is parked", || {
            let cursor = world.cursor("billing", "A");
            cursor.is_some_and(|cursor| matches!(cursor.state, CursorState::Parked { .. }))
        })
        .await;
        world
            .engine()
            .skip(&name("billing"), &stream("A"))
            .await
            .unwrap();
        billing.until_taken(2).await;
        assert_eq!(billing.taken("A").len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn ledger_and_claims_may_fail_for_a_while() {
    let (world, billing) = world_with(|s| s).await;
    world.accept([order("A", 1)]).await;
    billing.until_taken(1).await;
    world.faults.claims_down(true);
    assert!(world.send(order("A", 2)).await.is_err());
    world.faults.claims_down(false);
    world.accept([order("A", 3)]).await;
    world.faults.ledger_down(true);
    assert!(world.send(order("A", 2)).await.is_err());
    pass(secs(60)).await;
    world.faults.ledger_down(false);
    world.accept([order("A", 2)]).await;
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-2", "A-3"]);
}

#[tokio::test(start_paused = true)]
async fn every_webhook_goes_to_everybody_who_wants_it() {
    let scripts = [Script::new(), Script::new(), Script::new()];
    let world = World::new()
        .source(dense("orders"))
        .source(arrival("news"))
        .subscribe(push("orders-only", &scripts[0]).to(&["orders"]))
        .subscribe(push("news-only", &scripts[1]).to(&["news"]))
        .subscribe(push("everything", &scripts[2]))
        .start()
        .await;
    let mut headline = order("A", 1).id("headline");
    headline.source = "news";
    world.accept([order("A", 1), headline]).await;
    scripts[2].until_taken(2).await;
    pass(secs(5)).await;
    assert_eq!(scripts[0].taken_in_all(), ["A-1"]);
    assert_eq!(scripts[1].taken_in_all(), ["headline"]);
}

#[tokio::test(start_paused = true)]
async fn timers_do_not_pile_up_while_a_consumer_is_left_alone() {
    let (world, billing) = world_with(|s| s).await;
    billing.replies("A", [Reply::FailFor(secs(7_200))]);
    world.accept([order("A", 1)]).await;
    billing.until_tried(1).await;
    pass(secs(3_600)).await;
    assert!(
        world.engine().timers_set() < 10,
        "{}",
        world.engine().timers_set()
    );
    billing.until_taken(1).await;
}
