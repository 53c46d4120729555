//! One step at a time: what each returns, and what it costs.

use std::sync::Arc;

use cloakroom_core::position::Position;
use serde_json::json;
use tokio::sync::Notify;

use super::faults::{Calls, Life};
use super::sim::pass;
use super::sink::{Reply, Script};
use super::world::{SourceSpec, World, arrival, dense, name, order, push, secs, send_to, stream};
use crate::append::Status;
use crate::bell::{Bell, Due};
use crate::memory::MemoryLedger;
use crate::operate::ReplayFrom;
use crate::ports::Clock as _;
use crate::record::CursorState;
use crate::step::{DueCursor, Stepper};

async fn world(billing: &Arc<Script>) -> (World, Stepper) {
    let mut world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", billing));
    world.ledger = Arc::new(MemoryLedger::shared());
    let stepper = world.stepper(&Life::default(), "queue").await.unwrap();
    (world, stepper)
}

async fn send(stepper: &Stepper, n: u64) {
    let engine = stepper.engine().clone();
    send_to(engine, order("A", n)).await.unwrap();
}

fn deliver_a() -> Due {
    Due::Deliver(name("billing"), stream("A"))
}

/// Delivers whatever is released of the stream `A`.
async fn deliver(stepper: &Stepper) -> Vec<Bell> {
    let (subscription, stream) = (name("billing"), stream("A"));
    let rung = stepper.deliver(&subscription, &stream, None, None).await;
    rung.unwrap()
}

/// A webhook through every step, as a host does it that follows the ledger's changes.
async fn pass_through(stepper: &Stepper, n: u64) {
    send(stepper, n).await;
    stepper.resequence(&stream("A")).await.unwrap();
    let head = Position::dense(n);
    for bell in stepper.engine().catalog().dispatch(&stream("A"), &head) {
        let Due::Deliver(name, stream) = bell.due else {
            panic!("{bell:?}")
        };
        let rung = stepper
            .deliver(&name, &stream, bell.released_up_to, None)
            .await;
        assert_eq!(rung.unwrap(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn steps_ring_for_nothing_that_the_ledgers_changes_tell() {
    let billing = Script::new();
    let (_world, stepper) = world(&billing).await;
    for n in [1, 2, 4] {
        send(&stepper, n).await;
    }
    assert_eq!(stepper.rung(), [], "an entry tells of itself");
    let rung = stepper.resequence(&stream("A")).await.unwrap();
    let later = rung.iter().filter(|bell| bell.at.is_some()).count();
    assert_eq!((rung.len(), later), (1, 1), "the gap's deadline: {rung:?}");
    pass(secs(60)).await;
    assert_eq!(billing.calls().len(), 0, "nothing happens by itself");
    assert_eq!(deliver(&stepper).await, []);
    assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_looks_at_what_it_is_rung_for_now_or_at_the_time_that_the_bell_names() {
    let billing = Script::new();
    let (world, stepper) = world(&billing).await;
    let world = world.start().await;
    // Until its own sweep comes round, it knows nothing of what others take in.
    pass(secs(10)).await;
    let resequence = |at| Bell {
        due: Due::Resequence(stream("A")),
        at,
        released_up_to: None,
    };
    send(&stepper, 1).await;
    let sent = world.now();
    world.engine().ring(resequence(None));
    billing.until_taken(1).await;
    assert!(world.now().since(sent) < secs(1));
    send(&stepper, 2).await;
    let at = world.engine().now().after(secs(20));
    world.engine().ring(resequence(Some(at)));
    pass(secs(19)).await;
    assert_eq!(billing.taken("A"), ["A-1"]);
    pass(secs(2)).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn what_operators_ask_for_is_rung_for_since_nothing_else_tells_of_it() {
    let billing = Script::new();
    let (_world, stepper) = world(&billing).await;
    pass_through(&stepper, 1).await;
    send(&stepper, 3).await;
    let now = |due| Bell {
        due,
        at: None,
        released_up_to: None,
    };
    let engine = stepper.engine();
    engine.skip_gap(&stream("A")).await.unwrap();
    let rung = stepper.rung();
    let at_once = rung.into_iter().filter(|bell| bell.at.is_none());
    let of_gap: Vec<_> = at_once.collect();
    assert_eq!(of_gap, [now(Due::Resequence(stream("A")))]);
    let all = ReplayFrom::Earliest;
    engine.replay(&name("billing"), None, &all).await.unwrap();
    assert_eq!(stepper.rung(), [now(deliver_a())]);
    assert_eq!(stepper.rung(), []);
}

#[tokio::test(start_paused = true)]
async fn one_webhook_in_order_costs_no_call_more_than_it_must() {
    let billing = Script::new();
    let (world, stepper) = world(&billing).await;
    pass_through(&stepper, 1).await;
    for n in 2..5 {
        world.faults.take_calls();
        send(&stepper, n).await;
        let appended = world.faults.take_calls();
        let (lists, reads) = (0, 0);
        assert_eq!(
            appended,
            Calls {
                reads,
                lists,
                writes: 1
            },
            "the entry"
        );
        stepper.resequence(&stream("A")).await.unwrap();
        let released = world.faults.take_calls();
        assert_eq!(
            released,
            Calls {
                reads: 2,
                lists,
                writes: 1
            },
            "the head"
        );
        let head = Position::dense(n);
        stepper
            .deliver(&name("billing"), &stream("A"), Some(head), None)
            .await
            .unwrap();
        let settled = world.faults.take_calls();
        assert_eq!(
            settled,
            Calls {
                reads: 2,
                lists,
                writes: 1
            },
            "the cursor"
        );
    }
    assert_eq!(billing.taken("A").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_one_stream_costs_one_head_and_one_cursor() {
    let billing = Script::new();
    let (world, stepper) = world(&billing).await;
    pass_through(&stepper, 1).await;
    world.faults.take_calls();
    for n in 2..=20 {
        send(&stepper, n).await;
    }
    assert_eq!(world.faults.take_calls().writes, 19);
    stepper.resequence(&stream("A")).await.unwrap();
    deliver(&stepper).await;
    assert_eq!(world.faults.take_calls().writes, 2);
    assert_eq!(billing.taken("A").len(), 20);
}

#[tokio::test(start_paused = true)]
async fn an_append_without_asking_still_knows_a_duplicate_a_clash_and_a_latecomer() {
    let billing = Script::new();
    let (_world, stepper) = world(&billing).await;
    pass_through(&stepper, 1).await;
    let engine = stepper.engine();
    let first = send_to(engine.clone(), order("A", 2)).await.unwrap();
    let again = send_to(engine.clone(), order("A", 2)).await.unwrap();
    assert_eq!(again.status, Status::Duplicate);
    assert_eq!(again.id, first.id);
    let clash = order("A", 2).id("another");
    for status in [Status::Quarantined, Status::Duplicate] {
        let receipt = send_to(engine.clone(), clash.clone()).await.unwrap();
        assert_eq!(receipt.status, status);
    }
    // 3 is passed over; this process remembers a head from before that.
    send(&stepper, 4).await;
    stepper.resequence(&stream("A")).await.unwrap();
    engine.skip_gap(&stream("A")).await.unwrap();
    stepper.resequence(&stream("A")).await.unwrap();
    let late = send_to(engine.clone(), order("A", 3)).await.unwrap();
    assert_eq!(late.status, Status::Accepted);
    stepper.resequence(&stream("A")).await.unwrap();
    deliver(&stepper).await;
    assert_eq!(
        billing.taken("A"),
        ["A-1", "A-2", "gap 3-3", "A-4", "late A-3"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_rung_for_later_and_found_in_the_index_when_due() {
    let billing = Script::new();
    billing.replies("A", [Reply::Fail]);
    let (world, stepper) = world(&billing).await;
    send(&stepper, 1).await;
    stepper.resequence(&stream("A")).await.unwrap();
    let rung = deliver(&stepper).await;
    assert_eq!(rung.len(), 1);
    let at = rung[0].at.unwrap();
    assert!(at > world.now());
    // Too early: it rings for the same time again, and sends nothing.
    assert_eq!(deliver(&stepper).await, rung);
    assert_eq!(stepper.due(DueCursor::default(), 10).await.unwrap().0, []);
    world.clock.sleep_until(at).await;
    let (mut found, mut from) = (Vec::new(), Some(DueCursor::default()));
    while let Some(next) = from {
        let (bells, next) = stepper.due(next, 1).await.unwrap();
        found.extend(bells);
        from = next;
    }
    assert_eq!(found, rung);
    assert_eq!(deliver(&stepper).await, []);
    assert_eq!(billing.taken("A"), ["A-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_found_in_the_index_when_its_deadline_has_come() {
    let billing = Script::new();
    let (world, stepper) = world(&billing).await;
    send(&stepper, 1).await;
    send(&stepper, 3).await;
    stepper.resequence(&stream("A")).await.unwrap();
    let due = async || stepper.due(DueCursor::default(), 10).await.unwrap().0;
    assert_eq!(due().await, []);
    let gap = world.head("A").unwrap().head.gap.unwrap();
    world.clock.sleep_until(gap.deadline).await;
    let found = due().await;
    let dues: Vec<_> = found.iter().map(|bell| &bell.due).collect();
    assert_eq!(dues, [&Due::Resequence(stream("A"))]);
}

#[tokio::test(start_paused = true)]
async fn an_identity_of_an_earlier_generation_is_known_in_the_next_one() {
    let mut world = World::new().source(arrival("orders"));
    world.ledger = Arc::new(MemoryLedger::shared());
    let first = world.stepper(&Life::default(), "queue").await.unwrap();
    let before = send_to(first.engine().clone(), order("A", 1))
        .await
        .unwrap();
    world.sources[0] = SourceSpec {
        generation: 2,
        ..dense("orders")
    };
    let second = world.stepper(&Life::default(), "queue").await.unwrap();
    // From here on the head of the new stream is remembered.
    let next = send_to(second.engine().clone(), order("A", 2)).await;
    assert_eq!(next.unwrap().status, Status::Accepted);
    let again = send_to(second.engine().clone(), order("A", 1))
        .await
        .unwrap();
    assert_eq!((again.status, again.id), (Status::Duplicate, before.id));
}

#[tokio::test(start_paused = true)]
async fn without_time_a_delivery_saves_what_it_has_and_rings_again() {
    let billing = Script::new();
    billing.always("A", Reply::TakeIn(secs(10)));
    let (world, stepper) = world(&billing).await;
    for n in 1..=5 {
        send(&stepper, n).await;
    }
    stepper.resequence(&stream("A")).await.unwrap();
    // The sink may take 15 seconds for each.
    let deadline = world.now().after(secs(34));
    let rung = stepper
        .deliver(&name("billing"), &stream("A"), None, Some(deadline))
        .await
        .unwrap();
    assert_eq!(rung.len(), 1);
    assert_eq!((&rung[0].due, rung[0].at), (&deliver_a(), None));
    let cursor = world.cursor("billing", "A").unwrap();
    assert_eq!(cursor.position.unwrap().number(), Some(2));
    assert_eq!(deliver(&stepper).await, []);
    assert_eq!(billing.taken("A"), ["A-1", "A-2", "A-3", "A-4", "A-5"]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_kept_keeps_others_out_until_it_ends() {
    let billing = Script::new();
    let (world, stepper) = world(&billing).await;
    let server = world.stepper(&Life::default(), "server").await.unwrap();
    pass_through(&stepper, 1).await;
    send(&stepper, 2).await;
    stepper.resequence(&stream("A")).await.unwrap();
    let rung = deliver(&server).await;
    assert_eq!(billing.taken("A"), ["A-1"]);
    let until = rung[0].at.unwrap();
    assert_eq!(
        world.cursor("billing", "A").unwrap().lease.unwrap().until,
        until
    );
    world.clock.sleep_until(until).await;
    assert_eq!(deliver(&server).await, []);
    assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_kept_is_made_longer_with_every_move_and_before_a_send_that_may_outlast_it()
{
    let billing = Script::new();
    let (world, stepper) = world(&billing).await;
    let lease = || world.cursor("billing", "A").unwrap().lease.unwrap().until;
    pass_through(&stepper, 1).await;
    let first = lease();
    pass(secs(5)).await;
    pass_through(&stepper, 2).await;
    assert!(lease().since(first) > secs(4));
    pass(secs(20)).await;
    let gate = Arc::new(Notify::new());
    billing.replies("A", [Reply::TakeAt(Arc::clone(&gate))]);
    let looking = async {
        billing.until_tried(3).await;
        // The sink may take 15 seconds.
        assert!(lease().since(world.now()) > secs(15 + 15));
        gate.notify_one();
    };
    futures::join!(pass_through(&stepper, 3), looking);
    assert_eq!(billing.taken("A"), ["A-1", "A-2", "A-3"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nothing_was_sent_of_is_leased_to_nobody() {
    let mut world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", &Script::new()).filter(json!({"type": ["another"]})));
    world.ledger = Arc::new(MemoryLedger::shared());
    let stepper = world.stepper(&Life::default(), "queue").await.unwrap();
    pass_through(&stepper, 1).await;
    let cursor = world.cursor("billing", "A").unwrap();
    assert_eq!(cursor.position, Some(Position::dense(1)));
    assert_eq!(cursor.lease, None);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_by_slices_finds_every_forgotten_stream_and_keeps_its_place() {
    let billing = Script::new();
    let (world, stepper) = world(&billing).await;
    for key in ["A", "B", "C", "D", "E"] {
        send_to(stepper.engine().clone(), order(key, 1))
            .await
            .unwrap();
    }
    stepper.resequence(&stream("B")).await.unwrap();
    let mut found = Vec::new();
    loop {
        // Every slice by a host that knows only what the ledger knows.
        let host = world.stepper(&Life::default(), "queue").await.unwrap();
        let cursor = host.sweep_cursor().await.unwrap();
        let swept = host.sweep(cursor, 2).await;
        assert!(swept.failed.is_none());
        found.extend(swept.bells.into_iter().map(|bell| bell.due));
        host.keep_sweep_cursor(swept.next.as_deref()).await.unwrap();
        if swept.next.is_none() {
            break;
        }
    }
    let resequence = |key| Due::Resequence(stream(key));
    let deliver = Due::Deliver(name("billing"), stream("B"));
    let expected = [
        resequence("A"),
        deliver,
        resequence("C"),
        resequence("D"),
        resequence("E"),
    ];
    assert_eq!(found, expected);
    assert_eq!(stepper.sweep_cursor().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_was_enabled_elsewhere_is_served_again() {
    let billing = Script::new();
    billing.replies("A", [Reply::Gone]);
    let (world, stepper) = world(&billing).await;
    pass_through_gone(&stepper).await;
    let other = world.stepper(&Life::default(), "queue").await.unwrap();
    other.engine().enable(&name("billing")).await.unwrap();
    assert_eq!(other.rung()[0].due, deliver_a());
    deliver(&stepper).await;
    assert_eq!(billing.taken("A"), ["A-1"]);
    let state = world.cursor("billing", "A").unwrap().state;
    assert_eq!(state, CursorState::Active);
}

async fn pass_through_gone(stepper: &Stepper) {
    send(stepper, 1).await;
    stepper.resequence(&stream("A")).await.unwrap();
    for _ in 0..2 {
        deliver(stepper).await;
    }
    assert!(stepper.engine().disabled_reason(&name("billing")).is_some());
}
