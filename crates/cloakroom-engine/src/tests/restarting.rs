//! Crashes and restarts at every point: what was acknowledged is delivered, timers survive.

use std::sync::Arc;

use super::faults::{Life, Op};
use super::sim::{pass, until};
use super::sink::{Reply, Script};
use super::world::{World, arrival, dense, order, push, secs, send_to, sparse, stream, version};
use crate::append::Status;
use crate::ports::Write;
use crate::record::Record;
use crate::register::StartError;

async fn world(source: super::world::SourceSpec) -> (World, Arc<Script>) {
    let billing = Script::new();
    let world = World::new()
        .source(source)
        .subscribe(push("billing", &billing))
        .start()
        .await;
    (world, billing)
}

#[tokio::test(start_paused = true)]
async fn a_crash_right_after_the_receipt_loses_nothing() {
    for crash in [true, false] {
        let (mut world, billing) = world(dense("orders")).await;
        world
            .accept([order("A", 2), order("A", 1), order("B", 1)])
            .await;
        if crash {
            world.crash();
        } else {
            world.stop().await;
        }
        world.restart().await;
        until("both streams are sent", || {
            billing.taken("A").len() >= 2 && !billing.taken("B").is_empty()
        })
        .await;
        pass(secs(5)).await;
        assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
        assert_eq!(billing.taken("B"), ["B-1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_deadline_survives_a_restart() {
    let (mut world, billing) = world(dense("orders").skips_gaps()).await;
    world.accept([order("A", 1), order("A", 3)]).await;
    billing.until_taken(1).await;
    pass(secs(40)).await;
    world.restart().await;
    pass(secs(15)).await;
    assert_eq!(billing.taken("A").last().unwrap(), "A-1");
    pass(secs(10)).await;
    assert!(
        billing
            .taken("A")
            .ends_with(&["gap 2-2".to_owned(), "A-3".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_hold_and_a_window_survive_a_restart() {
    for source in [sparse("orders"), dense("orders").lowest_first(secs(5))] {
        let (mut world, billing) = world(source).await;
        world.accept([order("A", 2), order("A", 1)]).await;
        pass(secs(2)).await;
        world.restart().await;
        assert!(billing.calls().is_empty());
        billing.until_taken(2).await;
        assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_and_its_count_survive_a_restart() {
    let (mut world, billing) = world(dense("orders")).await;
    billing.replies("A", [Reply::Fail, Reply::FailFor(secs(100))]);
    world.accept([order("A", 1)]).await;
    billing.until_tried(2).await;
    pass(secs(10)).await;
    let failed_at = billing.calls()[1].at;
    world.restart().await;
    billing.until_taken(1).await;
    let last = billing.calls().pop().unwrap();
    assert_eq!((last.attempt, billing.calls().len()), (3, 3));
    assert!(last.at.since(failed_at) >= secs(100));
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_middle_of_a_skip_ends_in_one_gap_event() {
    let (mut world, billing) = world(dense("orders").skips_gaps()).await;
    world.accept([order("A", 1), order("A", 1_000)]).await;
    billing.until_taken(1).await;
    pass(secs(55)).await;
    world.faults.by_chance(super::faults::Rates {
        yields: 50,
        ..super::faults::Rates::default()
    });
    let mut crashes = 0;
    while world.head("A").unwrap().head.position.unwrap().number() < Some(1_000) {
        let gate = world
            .faults
            .hold(|op| matches!(op, Op::Transact(writes) if writes.len() > 50));
        tokio::select! {
            () = gate.until_reached() => {}
            () = billing.until_taken(3) => break,
        }
        gate.open();
        for _ in 0..crashes % 6 {
            tokio::task::yield_now().await;
        }
        world.restart().await;
        crashes += 1;
    }
    billing.until_taken(3).await;
    let mut taken = billing.taken("A");
    taken.dedup();
    assert_eq!(taken, ["A-1", "gap 2-999", "A-1000"]);
    assert!(crashes > 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_a_consumer_sees_again_at_most_what_it_had_just_acknowledged() {
    let (mut world, billing) = world(dense("orders")).await;
    world.accept((1..=200).map(|n| order("A", n))).await;
    billing.until_taken(100).await;
    world.crash();
    let before = billing.taken("A").len();
    world.restart().await;
    until("all are sent", || {
        billing.taken("A").last().unwrap() == "A-200"
    })
    .await;
    let taken = billing.taken("A");
    assert!(taken.len() <= 200 + 64, "{} sent again", taken.len() - 200);
    let again = &taken[before..];
    let numbers: Vec<u64> = again.iter().map(|l| l[2..].parse().unwrap()).collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "in order"
    );
    let calls = billing.calls();
    let ids: std::collections::HashSet<_> = calls.iter().map(|call| &call.id).collect();
    assert_eq!(ids.len(), 200, "with the same ids");
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_ends_what_is_being_sent_and_repeats_nothing() {
    let (mut world, billing) = world(dense("orders")).await;
    billing.always("A", Reply::TakeIn(std::time::Duration::from_millis(30)));
    world.accept((1..=20).map(|n| order("A", n))).await;
    billing.until_taken(7).await;
    world.stop().await;
    world.restart().await;
    billing.until_taken(20).await;
    pass(secs(5)).await;
    let expected: Vec<String> = (1..=20).map(|n| format!("A-{n}")).collect();
    assert_eq!(billing.taken("A"), expected);
}

#[tokio::test(start_paused = true)]
async fn two_engines_on_one_ledger_send_everything_once_and_in_order() {
    for seed in 0..10 {
        let billing = Script::new();
        let mut world = World::seeded(seed)
            .source(dense("orders"))
            .subscribe(push("billing", &billing));
        world.faults.shared_ledger();
        world.restart().await;
        let other = world.another_engine(&Life::default()).await.unwrap();
        world.faults.by_chance(super::faults::Rates {
            yields: 30,
            delays: 10,
            ..super::faults::Rates::default()
        });
        for n in 1..=30 {
            let engine = if n % 2 == 0 { world.engine() } else { &other };
            send_to(engine.clone(), order("A", n)).await.unwrap();
        }
        billing.until_taken(30).await;
        pass(secs(120)).await;
        let expected: Vec<String> = (1..=30).map(|n| format!("A-{n}")).collect();
        assert_eq!(billing.taken("A"), expected, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resequencer_that_was_overtaken_moves_no_head_back() {
    let billing = Script::new();
    let mut world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", &billing));
    world.faults.shared_ledger();
    world.restart().await;
    let other = world.another_engine(&Life::default()).await.unwrap();
    pass(secs(1)).await;
    let gate = world.faults.hold(|op| {
        let moves_head = |write: &Write| match write {
            Write::Replace {
                record: Record::Head(head),
                ..
            } => head.head.position.is_some(),
            _ => false,
        };
        matches!(op, Op::Transact(writes) if writes.iter().any(moves_head))
    });
    world.accept([order("A", 1)]).await;
    gate.until_reached().await;
    for n in 2..=3 {
        send_to(other.clone(), order("A", n)).await.unwrap();
    }
    world.until_head("A", "3").await;
    gate.open();
    pass(std::time::Duration::from_millis(1)).await;
    let head = world.head("A").unwrap().head.position.unwrap();
    assert_eq!(head.number(), Some(3));
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-2", "A-3"]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_an_engine_that_died_is_waited_out() {
    let billing = Script::new();
    let mut world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", &billing));
    world.faults.shared_ledger();
    world.restart().await;
    billing.replies("A", [Reply::TakeIn(secs(10))]);
    world.accept([order("A", 1)]).await;
    billing.until_tried(1).await;
    let died = world.now();
    world.restart().await;
    billing.until_taken(1).await;
    let second = &billing.calls()[1];
    assert!(
        second.at.since(died) > secs(15),
        "not before the send may have ended"
    );
    assert_eq!(billing.taken("A"), ["A-1"]);
}

#[tokio::test(start_paused = true)]
async fn of_versions_in_an_earlier_generation_still_only_the_newest_is_handed_out() {
    for later in [version("orders"), dense("orders")] {
        let (mut world, billing) = world(version("orders")).await;
        billing.replies("A", [Reply::FailFor(secs(60))]);
        world.accept([order("A", 1)]).await;
        billing.until_tried(1).await;
        world.accept([order("A", 2), order("A", 3)]).await;
        world.until_head("A", "3").await;
        world.sources[0] = later;
        world.sources[0].generation = 2;
        world.restart().await;
        billing.until_taken(1).await;
        pass(secs(30)).await;
        assert_eq!(billing.taken("A"), ["A-3"]);
    }
}

#[tokio::test(start_paused = true)]
async fn another_ordering_needs_another_generation() {
    let (mut world, billing) = world(dense("orders")).await;
    world.accept([order("A", 1)]).await;
    billing.until_taken(1).await;
    world.stop().await;
    world.sources = vec![arrival("orders")];
    let refused = world.try_start().await.unwrap_err();
    assert!(matches!(
        refused,
        StartError::OrderingChanged { next: 2, .. }
    ));
    world.sources[0].generation = 2;
    world.try_start().await.unwrap();
    let receipt = world.send(order("A", 7)).await.unwrap();
    assert_eq!(receipt.status, Status::Accepted);
    assert_ne!(receipt.stream, Some(stream("A")));
    billing.until_taken(2).await;
    world.sources[0].generation = 1;
    let refused = world.try_start().await.unwrap_err();
    assert!(matches!(refused, StartError::GenerationBack { .. }));
}
