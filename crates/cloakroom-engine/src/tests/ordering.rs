//! In what order events leave: gaps, late events, versions, holds.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::ordering::Reason;
use futures::future::join_all;

use super::sim::{pass, until};
use super::sink::{Reply, Script};
use super::world::{
    SourceSpec, World, arrival, dense, order, pull, push, secs, sparse, stream, version,
};
use crate::append::Status;
use crate::inspect::{Attention, DeliveryState, EventState};

async fn world(source: SourceSpec) -> (World, Arc<Script>) {
    let billing = Script::new();
    let world = World::new()
        .source(source)
        .subscribe(push("billing", &billing))
        .start()
        .await;
    (world, billing)
}

/// Numbers of key `A`.
fn orders(numbers: impl IntoIterator<Item = u64>) -> Vec<super::world::Webhook> {
    numbers.into_iter().map(|n| order("A", n)).collect()
}

fn labels(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("A-{n}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_shuffled_dense_stream_leaves_in_order() {
    let (world, billing) = world(dense("orders")).await;
    world.accept(orders([5, 3, 1, 4, 2, 8, 7, 6])).await;
    billing.until_taken(8).await;
    assert_eq!(billing.taken("A"), labels(1..=8));
}

#[tokio::test(start_paused = true)]
async fn a_long_reversed_burst_leaves_in_order() {
    let (world, billing) = world(dense("orders")).await;
    world.accept(orders((1..=300).rev())).await;
    billing.until_taken(300).await;
    assert_eq!(billing.taken("A"), labels(1..=300));
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_waited_at_then_stalls_then_closes() {
    let (world, billing) = world(dense("orders")).await;
    world.accept(orders([1, 4])).await;
    billing.until_taken(1).await;
    let open = world.engine().stream(&stream("A")).await.unwrap().unwrap();
    let gap = open.gap.unwrap();
    assert_eq!((gap.from, gap.to, gap.stalled), (2, 3, false));
    assert_eq!(gap.deadline.since(gap.since), secs(60));
    let stalled = async || {
        let streams = world.engine().streams(Some(Attention::Stalled), None, 10);
        streams.await.unwrap().items.len()
    };
    assert_eq!(stalled().await, 0);
    pass(secs(90)).await;
    assert_eq!(billing.taken("A"), ["A-1"]);
    assert_eq!(stalled().await, 1);
    // It shrinks from below: the clock starts anew.
    world.accept(orders([2])).await;
    billing.until_taken(2).await;
    assert_eq!(stalled().await, 0);
    let shrunk = world.engine().stream(&stream("A")).await.unwrap().unwrap();
    assert!(!shrunk.gap.unwrap().stalled);
    world.accept(orders([3])).await;
    billing.until_taken(4).await;
    assert_eq!(billing.taken("A"), labels(1..=4));
    assert_eq!(world.head("A").unwrap().head.gap, None);
}

#[tokio::test(start_paused = true)]
async fn a_skipped_gap_is_one_event_in_its_place_and_the_latecomer_comes_after() {
    let (world, billing) = world(dense("orders").skips_gaps()).await;
    world.accept(orders([1, 4])).await;
    pass(secs(59)).await;
    assert_eq!(billing.taken("A"), ["A-1"]);
    pass(secs(2)).await;
    assert_eq!(billing.taken("A"), ["A-1", "gap 2-3", "A-4"]);
    let late = world.accept(orders([3])).await.remove(0);
    billing.until_taken(4).await;
    let again = world.send(order("A", 3)).await.unwrap();
    assert_eq!((again.status, again.id), (Status::Duplicate, late.id));
    world.accept(orders([2, 5])).await;
    billing.until_taken(6).await;
    let taken = billing.taken("A");
    assert_eq!(taken[..4], ["A-1", "gap 2-3", "A-4", "late A-3"]);
    assert_eq!(taken[4..], ["late A-2", "A-5"]);
    let calls = billing.calls();
    assert!(calls.is_sorted_by(|a, b| a.position < b.position));
}

#[tokio::test(start_paused = true)]
async fn a_gap_ends_at_its_deadline_and_not_when_a_sweep_finds_it() {
    let (world, billing) = world(dense("orders").skips_gaps()).await;
    // Sweeps come at whole seconds.
    pass(Duration::from_millis(300)).await;
    world.accept(orders([1, 3])).await;
    let opened = world.now();
    billing.until_taken(3).await;
    let released = billing.calls()[2].at.since(opened);
    assert!(released < Duration::from_millis(60_100), "{released:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_fills_in_time_is_never_skipped() {
    let (world, billing) = world(dense("orders").skips_gaps()).await;
    world.accept(orders([1, 5])).await;
    for n in [4, 2, 3] {
        pass(secs(50)).await;
        world.accept(orders([n])).await;
    }
    billing.until_taken(5).await;
    assert_eq!(billing.taken("A"), labels(1..=5));
}

#[tokio::test(start_paused = true)]
async fn a_late_event_is_quarantined_where_the_policy_says_so() {
    let (world, billing) = world(dense("orders").skips_gaps().quarantines_late()).await;
    world.accept(orders([2])).await;
    pass(secs(70)).await;
    let late = world.send(order("A", 1)).await.unwrap();
    assert_eq!(
        (late.status, late.reason),
        (Status::Quarantined, Some(Reason::Late))
    );
    let again = world.send(order("A", 1)).await.unwrap();
    assert_eq!((again.status, &again.id), (Status::Duplicate, &late.id));
    assert_eq!(billing.taken("A"), ["gap 1-1", "A-2"]);
    world.engine().release(&late.id, None, None).await.unwrap();
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), ["gap 1-1", "A-2", "late A-1"]);
}

#[tokio::test(start_paused = true)]
async fn numbers_below_the_first_are_late_even_before_anything_else() {
    let (world, billing) = world(dense("orders")).await;
    world.accept(orders([0])).await;
    billing.until_taken(1).await;
    world.accept(orders([1])).await;
    billing.until_taken(2).await;
    assert_eq!(billing.taken("A"), ["late A-0", "A-1"]);
}

#[tokio::test(start_paused = true)]
async fn doubles_of_a_late_event_are_one_event_too() {
    let (world, billing) = world(dense("orders").skips_gaps()).await;
    world.accept(orders([2])).await;
    pass(secs(70)).await;
    let receipts = join_all((0..10).map(|_| world.send(order("A", 1)))).await;
    let is_new =
        |r: &&Result<crate::append::Receipt, _>| r.as_ref().unwrap().status == Status::Accepted;
    assert_eq!(receipts.iter().filter(is_new).count(), 1);
    pass(secs(10)).await;
    assert_eq!(billing.taken("A"), ["gap 1-1", "A-2", "late A-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_hole_wider_than_the_maximum_is_skipped_only_by_an_operator() {
    let (world, billing) = world(dense("orders").skips_gaps().gap_max(5)).await;
    world.accept(orders([1, 8])).await;
    pass(secs(300)).await;
    assert_eq!(billing.taken("A"), ["A-1"]);
    assert!(world.head("A").unwrap().head.is_stalled());
    let skipped = world.engine().skip_gap(&stream("A")).await.unwrap();
    assert_eq!(skipped, (2, 7));
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), ["A-1", "gap 2-7", "A-8"]);
}

#[tokio::test(start_paused = true)]
async fn a_hole_of_thousands_is_skipped_in_pieces_as_one_gap() {
    let (world, billing) = world(dense("orders").skips_gaps()).await;
    world.accept(orders([1, 5_000])).await;
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), ["A-1", "gap 2-4999", "A-5000"]);
    world.accept(orders([777])).await;
    billing.until_taken(4).await;
    assert_eq!(billing.taken("A")[3], "late A-777");
}

#[tokio::test(start_paused = true)]
async fn an_operator_skips_the_gap_as_it_is_now() {
    let (world, billing) = world(dense("orders")).await;
    world.accept(orders([1, 9])).await;
    billing.until_taken(1).await;
    world.accept(orders([5])).await;
    pass(secs(1)).await;
    assert_eq!(world.engine().skip_gap(&stream("A")).await.unwrap(), (2, 4));
    billing.until_taken(3).await;
    pass(secs(10)).await;
    assert_eq!(billing.taken("A"), ["A-1", "gap 2-4", "A-5"]);
    let none = world.engine().skip_gap(&stream("B")).await;
    assert!(none.unwrap_err().to_string().contains("no stream"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_start_at_the_lowest_number_that_turns_up_in_time() {
    let (world, billing) = world(dense("orders").lowest_first(secs(10))).await;
    world.accept(orders([9])).await;
    pass(secs(5)).await;
    world.accept(orders([7])).await;
    pass(secs(4)).await;
    assert_eq!(billing.calls().len(), 0);
    world.accept(orders([8])).await;
    billing.until_taken(3).await;
    world.accept(orders([6, 10])).await;
    billing.until_taken(5).await;
    assert_eq!(
        billing.taken("A"),
        ["A-7", "A-8", "A-9", "late A-6", "A-10"]
    );
}

#[tokio::test(start_paused = true)]
async fn sparse_events_are_held_for_the_window_and_then_leave_in_order() {
    let (world, billing) = world(sparse("orders")).await;
    world.accept(orders([30])).await;
    pass(secs(2)).await;
    world.accept(orders([10, 20])).await;
    pass(secs(2)).await;
    assert_eq!(billing.calls().len(), 0);
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), ["A-10", "A-20", "A-30"]);
    world.accept(orders([15, 40])).await;
    billing.until_taken(5).await;
    assert_eq!(
        billing.taken("A")[3..],
        ["late A-15", "A-40"],
        "a latecomer comes after what was sent"
    );
    let again = world.send(order("A", 15)).await.unwrap();
    assert_eq!(again.status, Status::Duplicate);
}

#[tokio::test(start_paused = true)]
async fn a_late_sparse_event_is_quarantined_where_the_policy_says_so() {
    let (world, billing) = world(sparse("orders").quarantines_late()).await;
    world.accept(orders([30])).await;
    billing.until_taken(1).await;
    let late = world.send(order("A", 10)).await.unwrap();
    assert_eq!(late.reason, Some(Reason::Late));
}

#[tokio::test(start_paused = true)]
async fn only_the_newest_version_is_handed_out() {
    let (world, billing) = world(version("orders")).await;
    let gate = Arc::new(tokio::sync::Notify::new());
    billing.replies("A", [Reply::TakeAt(Arc::clone(&gate))]);
    world.accept(orders([1])).await;
    billing.until_tried(1).await;
    let receipts = world.accept(orders([3, 5, 4, 2])).await;
    pass(secs(1)).await;
    gate.notify_one();
    billing.until_taken(2).await;
    pass(secs(10)).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-5"]);
    for (receipt, n) in receipts.iter().zip([3, 5, 4, 2]) {
        let status = world.engine().event(&receipt.id).await.unwrap().unwrap();
        let delivered = status
            .subscriptions
            .iter()
            .any(|(_, state)| *state == DeliveryState::Delivered);
        assert_eq!(delivered, n == 5, "version {n}");
        assert_eq!(
            world.send(order("A", n)).await.unwrap().status,
            Status::Duplicate
        );
    }
    let late = world
        .engine()
        .event(&receipts[3].id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(late.state, EventState::Superseded);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_nobody_was_given_is_not_said_to_be_delivered() {
    let billing = Script::new();
    let filter = serde_json::json!({"type": ["wanted"]});
    let world = World::new()
        .source(version("orders"))
        .subscribe(push("billing", &billing).filter(filter))
        .subscribe(pull("sync"))
        .start()
        .await;
    let gate = Arc::new(tokio::sync::Notify::new());
    billing.replies("A", [Reply::TakeAt(Arc::clone(&gate))]);
    world.accept([order("A", 1).kind("wanted")]).await;
    billing.until_tried(1).await;
    let jumped = world.accept([order("A", 2).kind("wanted")]).await.remove(0);
    world.until_head("A", "2").await;
    world.accept([order("A", 3).kind("unwanted")]).await;
    world.until_head("A", "3").await;
    gate.notify_one();
    until("the cursor is at the head", || {
        let cursor = world.cursor("billing", "A").and_then(|c| c.position);
        cursor == world.head("A").unwrap().head.position
    })
    .await;
    assert_eq!(billing.taken("A"), ["A-1"]);
    let status = world.engine().event(&jumped.id).await.unwrap().unwrap();
    let billing = status
        .subscriptions
        .iter()
        .find(|(n, _)| n.as_str() == "billing");
    assert_eq!(billing, None);
}

#[tokio::test(start_paused = true)]
async fn arrivals_leave_at_once_in_the_order_of_acceptance() {
    let (world, billing) = world(arrival("orders")).await;
    pass(Duration::from_millis(1_500)).await;
    let started = world.now();
    world.accept(orders([5, 3, 9, 1])).await;
    billing.until_taken(4).await;
    let waited = world.now().since(started);
    assert!(
        waited < Duration::from_millis(100),
        "{waited:?}: the sweeper found them"
    );
    assert_eq!(billing.taken("A"), ["A-5", "A-3", "A-9", "A-1"]);
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_gap_runs_from_acceptance_not_from_the_first_byte() {
    let (world, billing) = world(dense("orders").skips_gaps()).await;
    world.accept(orders([1])).await;
    let upload = super::world::slowly(world.engine().clone(), order("A", 3), secs(600));
    upload.await.unwrap();
    pass(secs(30)).await;
    world.accept(orders([2])).await;
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), labels(1..=3));
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_gap_runs_from_the_release_out_of_quarantine() {
    let (world, billing) = world(dense("orders").skips_gaps()).await;
    world.accept(orders([1])).await;
    let lost = world.send(order("A", 3).seq(None)).await.unwrap();
    pass(secs(3_600)).await;
    let released = world.engine().release(&lost.id, None, Some("3".to_owned()));
    released.await.unwrap();
    pass(secs(30)).await;
    world.accept(orders([2])).await;
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), labels(1..=3));
}
