//! What becomes of a webhook: a new event, a duplicate, or quarantine.

use cloakroom_core::ordering::{Reason, Rule};
use cloakroom_core::position::Position;
use futures::future::join_all;

use super::faults::Op;
use super::sim::pass;
use super::sink::Script;
use super::world::{
    SourceSpec, Webhook, World, arrival, dense, order, push, secs, sparse, stream, version,
};
use crate::append::{Receipt, Status};
use crate::inspect::EventState;
use crate::operate::OperateError;
use crate::ports::Write;
use crate::record::Record;

async fn world(source: SourceSpec) -> (World, std::sync::Arc<Script>) {
    let billing = Script::new();
    let world = World::new()
        .source(source)
        .subscribe(push("billing", &billing))
        .start()
        .await;
    (world, billing)
}

fn kinds() -> [SourceSpec; 4] {
    [
        dense("orders"),
        sparse("orders"),
        version("orders"),
        arrival("orders"),
    ]
}

fn writes(op: &Op<'_>, any: impl Fn(&Write) -> bool) -> bool {
    matches!(op, Op::Transact(writes) if writes.iter().any(any))
}

async fn check_quarantined(world: &World, webhook: Webhook, reason: Reason) -> Receipt {
    let receipt = world.send(webhook.clone()).await.unwrap();
    assert_eq!(
        (receipt.status, receipt.reason),
        (Status::Quarantined, Some(reason))
    );
    let again = world.send(webhook).await.unwrap();
    assert_eq!(
        (again.status, again.id.clone(), again.reason),
        (Status::Duplicate, receipt.id.clone(), Some(reason))
    );
    let status = world.engine().event(&receipt.id).await.unwrap().unwrap();
    assert_eq!(status.state, EventState::Quarantined);
    receipt
}

#[tokio::test(start_paused = true)]
async fn many_doubles_at_once_are_one_event_with_one_receipt() {
    for source in kinds() {
        let (world, billing) = world(source).await;
        let sends = (0..20).map(|_| world.send(order("A", 1)));
        let receipts: Vec<Receipt> = join_all(sends)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let accepted = receipts.iter().filter(|r| r.status == Status::Accepted);
        assert_eq!(accepted.count(), 1);
        assert!(receipts.iter().all(|r| r.id == receipts[0].id));
        assert!(receipts.iter().all(|r| r.position == receipts[0].position));
        assert!(receipts.iter().all(|r| !r.differs));
        pass(secs(30)).await;
        assert_eq!(world.entries(), 1);
        assert_eq!(billing.taken("A"), ["A-1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn doubles_are_one_event_whatever_way_their_writes_interleave() {
    for source in kinds() {
        for seed in 0..10 {
            let billing = Script::new();
            let world = World::seeded(seed)
                .source(source.clone())
                .subscribe(push("billing", &billing))
                .start()
                .await;
            world.faults.by_chance(super::faults::Rates {
                yields: 60,
                delays: 20,
                ..super::faults::Rates::default()
            });
            let sends = (0..5).map(|_| world.send(order("A", 1)));
            let receipts = join_all(sends).await;
            let accepted = receipts
                .iter()
                .filter(|r| r.as_ref().unwrap().status == Status::Accepted);
            assert_eq!(accepted.count(), 1, "seed {seed}");
            pass(secs(30)).await;
            assert_eq!(billing.taken("A"), ["A-1"], "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_a_duplicate_long_after_its_event_was_released() {
    for source in kinds() {
        let (world, billing) = world(source).await;
        let first = world.accept([order("A", 1)]).await.remove(0);
        billing.until_taken(1).await;
        world.accept([order("A", 2)]).await;
        billing.until_taken(2).await;
        let again = world.send(order("A", 1)).await.unwrap();
        assert_eq!((again.status, &again.id), (Status::Duplicate, &first.id));
        pass(secs(60)).await;
        assert_eq!(billing.taken("A"), ["A-1", "A-2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_with_another_payload_is_noted_and_not_kept() {
    for source in kinds() {
        let (world, billing) = world(source).await;
        let first = world.accept([order("A", 1)]).await.remove(0);
        for _ in 0..2 {
            let other = world.send(order("A", 1).body("{}")).await.unwrap();
            assert_eq!((other.status, other.differs), (Status::Duplicate, true));
            assert_eq!(other.id, first.id);
        }
        billing.until_taken(1).await;
        let status = world.engine().event(&first.id).await.unwrap().unwrap();
        assert_eq!(status.duplicates.len(), 1);
        assert_eq!(
            billing.calls()[0].body.as_deref(),
            Some(r#"{"order":"A","n":1}"#)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn another_event_with_a_taken_number_is_a_conflict_and_is_released_as_late() {
    for source in [dense("orders"), version("orders")] {
        let (world, billing) = world(source).await;
        world.accept([order("A", 1)]).await;
        let clash = order("A", 1).id("other");
        let receipt = check_quarantined(&world, clash.clone(), Reason::SequenceConflict).await;
        assert_eq!(receipt.stream, Some(stream("A")));
        billing.until_taken(1).await;
        world
            .engine()
            .release(&receipt.id, None, None)
            .await
            .unwrap();
        billing.until_taken(2).await;
        assert_eq!(billing.taken("A"), ["A-1", "late other"]);
        let call = &billing.calls()[1];
        assert_eq!(call.id, receipt.id);
        let again = world.send(clash).await.unwrap();
        assert_eq!(
            (again.status, again.id),
            (Status::Duplicate, receipt.id.clone())
        );
        let status = world.engine().event(&receipt.id).await.unwrap().unwrap();
        assert_eq!(status.state, EventState::Released);
    }
}

#[tokio::test(start_paused = true)]
async fn two_events_with_one_number_stand_side_by_side_in_a_sparse_stream() {
    let (world, billing) = world(sparse("orders")).await;
    world
        .accept([order("A", 1), order("A", 1).id("other")])
        .await;
    billing.until_taken(2).await;
    assert_eq!(world.entries(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_placed_is_kept_in_quarantine() {
    for source in kinds() {
        let arrives = source.rule == Rule::Arrival;
        let (world, billing) = world(source).await;
        check_quarantined(&world, order("A", 1).no_key(), Reason::MissingKey).await;
        if !arrives {
            let unordered = order("A", 2).seq(None);
            check_quarantined(&world, unordered, Reason::MissingSequence).await;
            let garbled = order("A", 3).seq(Some("soon"));
            check_quarantined(&world, garbled, Reason::BadSequence).await;
        }
        pass(secs(60)).await;
        assert_eq!(billing.calls().len(), 0);
        assert_eq!(world.entries(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_that_no_dense_stream_can_reach_is_a_mistake() {
    let (world, _) = world(dense("orders").gap_max(10)).await;
    let far = order("A", 0).id("far").seq(Some("1000002"));
    check_quarantined(&world, far, Reason::BadSequence).await;
    let fraction = order("A", 0).id("half").seq(Some("1.5"));
    check_quarantined(&world, fraction, Reason::BadSequence).await;
    world.accept([order("A", 1_000_001)]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_released_with_a_key_and_a_number_takes_its_place() {
    let (world, billing) = world(dense("orders")).await;
    world.accept([order("A", 1), order("A", 3)]).await;
    let lost = world.send(order("A", 2).no_key().seq(None)).await.unwrap();
    let released = world
        .engine()
        .release(&lost.id, Some("A".into()), Some("2".to_owned()))
        .await
        .unwrap();
    assert_eq!(released.0, stream("A"));
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-2", "A-3"]);
    let refused = world.engine().release(&lost.id, None, None).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("released already")
    );
}

#[tokio::test(start_paused = true)]
async fn a_clash_with_what_is_not_released_yet_is_released_after_the_head() {
    let (world, billing) = world(dense("orders")).await;
    world.accept([order("A", 1), order("A", 3)]).await;
    billing.until_taken(1).await;
    let clash = order("A", 3).id("other");
    let receipt = check_quarantined(&world, clash, Reason::SequenceConflict).await;
    let released = world.engine().release(&receipt.id, None, None).await;
    let late = Position::after_head(Some(&Position::dense(1)));
    assert_eq!(Some(released.unwrap().1), late);
    billing.until_taken(2).await;
    world.accept([order("A", 2)]).await;
    billing.until_taken(4).await;
    assert_eq!(billing.taken("A"), ["A-1", "late other", "A-2", "A-3"]);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_usable_number_is_released_under_one_that_is_given_and_once() {
    let (world, billing) = world(dense("orders")).await;
    let garbled = order("A", 1).seq(Some("soon"));
    let receipt = check_quarantined(&world, garbled, Reason::BadSequence).await;
    let engine = world.engine();
    for sequence in [None, Some("later".to_owned())] {
        let refused = engine.release(&receipt.id, None, sequence).await;
        let Err(OperateError::NotPossible(text)) = refused else {
            panic!("{refused:?}")
        };
        assert!(text.contains("sequence"), "{text}");
    }
    let one = Some("1".to_owned());
    let release = |n: &Option<String>| engine.release(&receipt.id, None, n.clone());
    let (first, second) = futures::join!(release(&one), release(&one));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    pass(secs(30)).await;
    assert_eq!(billing.taken_in_all().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_version_is_not_released_over_another_of_its_number() {
    let (world, billing) = world(version("orders")).await;
    world.accept([order("A", 3), order("A", 5)]).await;
    billing.until_taken(1).await;
    pass(secs(5)).await;
    let clash = order("A", 3).id("other");
    let receipt = check_quarantined(&world, clash, Reason::SequenceConflict).await;
    let older = world.accept([order("A", 4)]).await.remove(0);
    for taken in ["3", "4"] {
        let sequence = Some(taken.to_owned());
        let refused = world.engine().release(&receipt.id, None, sequence).await;
        let Err(OperateError::NotPossible(text)) = refused else {
            panic!("{refused:?}")
        };
        assert!(text.contains("another event holds"), "{text}");
    }
    let two = Some("2".to_owned());
    world
        .engine()
        .release(&receipt.id, None, two)
        .await
        .unwrap();
    for id in [older.id, receipt.id] {
        let status = world.engine().event(&id).await.unwrap().unwrap();
        assert_eq!(status.state, EventState::Superseded);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_discarded_stays_out_and_its_retries_are_duplicates() {
    let (world, billing) = world(dense("orders")).await;
    let lost = world.send(order("A", 1).no_key()).await.unwrap();
    world.engine().discard(&lost.id).await.unwrap();
    let again = world.send(order("A", 1)).await.unwrap();
    assert_eq!(
        (again.status, again.id),
        (Status::Duplicate, lost.id.clone())
    );
    let waiting = world.engine().quarantined(None, None, 10).await.unwrap();
    assert!(waiting.items.is_empty());
    assert!(world.engine().release(&lost.id, None, None).await.is_err());
    pass(secs(10)).await;
    assert!(billing.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_superseded_version_is_known_when_it_comes_again() {
    let (world, billing) = world(version("orders")).await;
    world.accept([order("A", 5)]).await;
    billing.until_taken(1).await;
    let old = world.accept([order("A", 3)]).await.remove(0);
    let again = world.send(order("A", 3)).await.unwrap();
    assert_eq!((again.status, again.id), (Status::Duplicate, old.id));
    let other = order("A", 3).id("other");
    check_quarantined(&world, other, Reason::SequenceConflict).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_version_that_is_released_does_not_pass_for_the_newest() {
    let (world, billing) = world(version("orders")).await;
    let lost = world.send(order("A", 3).no_key()).await.unwrap();
    world.accept([order("A", 5)]).await;
    billing.until_taken(1).await;
    world
        .engine()
        .release(&lost.id, Some("A".into()), None)
        .await
        .unwrap();
    pass(secs(30)).await;
    assert_eq!(billing.taken("A"), ["A-5"]);
    let status = world.engine().event(&lost.id).await.unwrap().unwrap();
    assert_eq!(status.state, EventState::Superseded);
    assert!(world.engine().release(&lost.id, None, None).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_released_below_the_base_of_a_stream_does_not_block_it() {
    let (world, billing) = world(dense("orders").lowest_first(secs(5))).await;
    let lost = world.send(order("A", 3).no_key()).await.unwrap();
    world.accept([order("A", 5)]).await;
    // The base is fixed between the look at the head and the write, and nothing above it is released yet.
    let release_written = world.faults.hold(|op| {
        writes(op, |write| {
            matches!(
                write,
                Write::Replace {
                    record: Record::Quarantined(_),
                    ..
                }
            )
        })
    });
    let first_release = world.faults.hold(|op| {
        writes(op, |write| match write {
            Write::Replace {
                record: Record::Head(head),
                ..
            } => head.head.position.is_some(),
            _ => false,
        })
    });
    let release = world.engine().release(&lost.id, Some("A".into()), None);
    let in_between = async {
        release_written.until_reached().await;
        first_release.until_reached().await;
        release_written.open();
        pass(secs(1)).await;
        first_release.open();
    };
    let (released, ()) = futures::join!(release, in_between);
    released.unwrap();
    world.accept([order("A", 6)]).await;
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), ["late A-3", "A-5", "A-6"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_the_ledger_is_a_duplicate_at_the_next_try() {
    for source in kinds() {
        let (world, billing) = world(source).await;
        let is_append = |op: &Op<'_>| match op {
            Op::Transact(writes) => matches!(writes[0], Write::Create(Record::Event(_))),
            _ => false,
        };
        world.faults.fail_before(is_append);
        world.send(order("A", 1)).await.unwrap_err();
        assert_eq!(world.entries(), 0);
        world.faults.fail_after(is_append);
        world.send(order("A", 1)).await.unwrap_err();
        let receipt = world.send(order("A", 1)).await.unwrap();
        assert_eq!(receipt.status, Status::Duplicate);
        billing.until_taken(1).await;
        pass(secs(30)).await;
        assert_eq!(billing.taken("A"), ["A-1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn arrivals_are_taken_while_the_clock_stands_still() {
    let (world, billing) = world(arrival("orders")).await;
    world.accept([order("A", 0)]).await;
    billing.until_taken(1).await;
    world.clock.stand_still(true);
    let labels: Vec<String> = (0..=12).map(|n| format!("A-{n}")).collect();
    for n in 1..=12 {
        world.accept([order("A", n)]).await;
        pass(secs(1)).await;
    }
    world.clock.stand_still(false);
    billing.until_taken(labels.len()).await;
    assert_eq!(billing.taken("A"), labels);
}

#[tokio::test(start_paused = true)]
async fn what_the_head_passes_while_it_is_written_becomes_what_it_would_have_been_after_it() {
    for source in [sparse("orders"), version("orders"), arrival("orders")] {
        let name = source.rule.clone();
        let (world, billing) = world(source).await;
        world.accept([order("A", 1)]).await;
        billing.until_taken(1).await;
        let admits = |op: &Op<'_>| writes(op, |write| matches!(write, Write::Admit { .. }));
        let gate = world.faults.hold(admits);
        let overtaking = async {
            gate.until_reached().await;
            world.accept([order("A", 9)]).await;
            billing.until_taken(2).await;
            gate.open();
        };
        let (receipt, ()) = futures::join!(world.send(order("A", 5)), overtaking);
        let receipt = receipt.unwrap();
        assert_eq!(receipt.status, Status::Accepted, "{name:?}");
        pass(secs(30)).await;
        let status = world.engine().event(&receipt.id).await.unwrap().unwrap();
        let (state, last) = match name {
            Rule::Version => (EventState::Superseded, None),
            Rule::Arrival => (EventState::Released, Some("A-5")),
            _ => (EventState::Released, Some("late A-5")),
        };
        assert_eq!(status.state, state, "{name:?}");
        let expected = ["A-1", "A-9"].into_iter().chain(last);
        assert!(
            billing.taken("A").iter().eq(expected),
            "{name:?}: {:?}",
            billing.taken("A")
        );
    }
}
