//! What operators do: replay, retry, skip, redrive.

use std::sync::Arc;

use super::sim::{pass, until};
use super::sink::{Reply, Script};
use super::world::{SubscriptionSpec, World, dense, name, order, push, secs, stream, version};
use crate::inspect::DeliveryState;
use crate::operate::{OperateError, ReplayFrom};
use crate::record::{CursorState, Record};

async fn world_with(
    spec: impl FnOnce(SubscriptionSpec) -> SubscriptionSpec,
) -> (World, Arc<Script>) {
    let billing = Script::new();
    let world = World::new()
        .source(dense("orders"))
        .subscribe(spec(push("billing", &billing)))
        .start()
        .await;
    (world, billing)
}

fn labels(key: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("{key}-{n}")).collect()
}

async fn until_parked(world: &World) {
    until("the stream is parked", || {
        let cursor = world.cursor("billing", "A");
        cursor.is_some_and(|cursor| matches!(cursor.state, CursorState::Parked { .. }))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_replay_from_a_position_sends_it_and_all_that_follows_again() {
    let (world, billing) = world_with(|s| s).await;
    let receipts = world.accept((1..=5).map(|n| order("A", n))).await;
    billing.until_taken(5).await;
    pass(secs(1)).await;
    let from = ReplayFrom::Position(receipts[2].position.clone().unwrap());
    let replayed = world.replay("billing", Some("A"), from);
    assert_eq!(replayed.await.unwrap(), 1);
    billing.until_taken(8).await;
    assert_eq!(billing.taken("A")[5..], labels("A", 3..=5));
    let epochs: Vec<u64> = billing.calls().iter().map(|call| call.epoch).collect();
    assert_eq!(epochs, [0, 0, 0, 0, 0, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_all_streams_goes_back_to_a_time_or_to_the_earliest() {
    let (world, billing) = world_with(|s| s).await;
    world.accept([order("A", 1), order("B", 1)]).await;
    billing.until_taken(2).await;
    pass(secs(100)).await;
    let time = world.now();
    world
        .accept([order("A", 2), order("B", 2), order("C", 1)])
        .await;
    billing.until_taken(5).await;
    pass(secs(1)).await;
    let replay = async |from| world.replay("billing", None, from).await;
    assert_eq!(replay(ReplayFrom::Time(time)).await.unwrap(), 3);
    billing.until_taken(8).await;
    pass(secs(1)).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-2", "A-2"]);
    assert_eq!(replay(ReplayFrom::Earliest).await.unwrap(), 3);
    billing.until_taken(13).await;
    assert_eq!(billing.taken("B"), ["B-1", "B-2", "B-2", "B-1", "B-2"]);
    let position = ReplayFrom::Position(cloakroom_core::position::Position::dense(1));
    assert!(matches!(
        replay(position).await,
        Err(OperateError::NotPossible(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_replay_brings_what_came_before_the_subscription() {
    let (mut world, billing) = world_with(|s| s).await;
    world.accept([order("A", 1), order("A", 2)]).await;
    billing.until_taken(2).await;
    let fresh = Script::new();
    world.subscriptions.push(push("fresh", &fresh));
    world.restart().await;
    pass(secs(2)).await;
    assert!(fresh.calls().is_empty());
    let replayed = world.replay("fresh", None, ReplayFrom::Earliest);
    assert_eq!(replayed.await.unwrap(), 1);
    fresh.until_taken(2).await;
    assert_eq!(fresh.taken("A"), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_brings_what_came_before_a_subscription_that_has_not_begun() {
    let (mut world, _) = world_with(|s| s).await;
    world.accept([order("A", 1), order("A", 2)]).await;
    let fresh = Script::new();
    world.subscriptions.push(push("fresh", &fresh));
    world.restart().await;
    assert!(world.cursor("fresh", "A").is_none());
    let replayed = world.replay("fresh", None, ReplayFrom::Earliest);
    assert_eq!(replayed.await.unwrap(), 1);
    fresh.until_taken(2).await;
    assert_eq!(fresh.taken("A"), ["A-1", "A-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_finds_a_time_far_up_a_stream() {
    let (world, billing) = world_with(|s| s).await;
    world.accept((1..=600).map(|n| order("A", n))).await;
    billing.until_taken(600).await;
    pass(secs(10)).await;
    let time = world.now();
    world.accept([order("A", 601), order("A", 602)]).await;
    billing.until_taken(602).await;
    pass(secs(10)).await;
    let later = world.replay("billing", None, ReplayFrom::Time(world.now()));
    assert_eq!(later.await.unwrap(), 0);
    let replayed = world.replay("billing", None, ReplayFrom::Time(time));
    assert_eq!(replayed.await.unwrap(), 1);
    billing.until_taken(604).await;
    assert_eq!(billing.taken("A")[602..], labels("A", [601, 602]));
}

#[tokio::test(start_paused = true)]
async fn a_replay_never_jumps_ahead_of_what_is_not_settled() {
    let (world, billing) = world_with(|s| s.attempts(1)).await;
    billing.replies("A", [Reply::Fail]);
    let receipts = world.accept((1..=4).map(|n| order("A", n))).await;
    until_parked(&world).await;
    let from = ReplayFrom::Position(receipts[2].position.clone().unwrap());
    world.replay("billing", Some("A"), from).await.unwrap();
    // Whether or not the replay sets the stream going again: nothing is left out.
    if world.cursor("billing", "A").unwrap().position.is_none() {
        let _ = world.engine().retry(&name("billing"), &stream("A")).await;
    }
    billing.until_taken(4).await;
    assert_eq!(billing.taken("A"), labels("A", 1..=4));
}

#[tokio::test(start_paused = true)]
async fn a_replay_from_a_time_leaves_nothing_out_that_was_not_settled() {
    let (world, billing) = world_with(|s| s.attempts(1)).await;
    billing.replies("A", [Reply::Take, Reply::Take, Reply::Take, Reply::Fail]);
    world
        .accept([order("A", 1), order("A", 3), order("A", 4)])
        .await;
    pass(secs(10)).await;
    let time = world.now();
    world.accept([order("A", 2)]).await;
    until_parked(&world).await;
    assert_eq!(billing.taken("A"), labels("A", 1..=3));
    let replayed = world.replay("billing", None, ReplayFrom::Time(time));
    assert_eq!(replayed.await.unwrap(), 1);
    until("everything is settled", || {
        let cursor = world.cursor("billing", "A").unwrap();
        cursor.position == world.head("A").unwrap().head.position
    })
    .await;
    assert!(billing.taken("A").contains(&"A-4".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_replay_ahead_of_the_head_changes_nothing() {
    let (world, billing) = world_with(|s| s).await;
    let ahead = world.accept([order("A", 3)]).await.remove(0);
    pass(secs(1)).await;
    let from = ReplayFrom::Position(ahead.position.unwrap());
    let replay = world.replay("billing", Some("A"), from);
    assert_eq!(replay.await.unwrap(), 0);
    world.accept([order("A", 1), order("A", 2)]).await;
    billing.until_taken(3).await;
    assert_eq!(billing.taken("A"), labels("A", 1..=3));
}

#[tokio::test(start_paused = true)]
async fn a_replay_during_a_send_is_not_undone_by_it() {
    let (world, billing) = world_with(|s| s).await;
    world.accept((1..=3).map(|n| order("A", n))).await;
    billing.until_taken(3).await;
    pass(secs(1)).await;
    let gate = Arc::new(tokio::sync::Notify::new());
    billing.replies("A", [Reply::TakeAt(Arc::clone(&gate))]);
    world.accept([order("A", 4)]).await;
    billing.until_tried(4).await;
    let replay = world.replay("billing", None, ReplayFrom::Earliest);
    assert_eq!(replay.await.unwrap(), 1);
    gate.notify_one();
    billing.until_taken(8).await;
    assert_eq!(billing.taken("A")[4..], labels("A", 1..=4));
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_is_skipped_on_record() {
    let (world, billing) = world_with(|s| s.attempts(1)).await;
    billing.replies("A", [Reply::Fail]);
    let receipts = world.accept([order("A", 1), order("A", 2)]).await;
    until_parked(&world).await;
    let skipped = world
        .engine()
        .skip(&name("billing"), &stream("A"))
        .await
        .unwrap();
    assert_eq!(skipped, receipts[0].id);
    billing.until_taken(1).await;
    assert_eq!(billing.taken("A"), ["A-2"]);
    let status = world.engine().event(&skipped).await.unwrap().unwrap();
    assert_eq!(status.subscriptions[0].1, DeliveryState::Dead);
    pass(secs(1)).await;
    let nothing = world.engine().skip(&name("billing"), &stream("A")).await;
    assert!(matches!(nothing, Err(OperateError::NotPossible(_))));
    let dead = world.engine().dead_letters(None, None, 10).await.unwrap();
    assert_eq!(dead.items[0].attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn only_what_has_stopped_is_tried_again() {
    let (world, billing) = world_with(|s| s).await;
    world.accept([order("A", 1)]).await;
    billing.until_taken(1).await;
    pass(secs(1)).await;
    let (billing, engine) = (name("billing"), world.engine());
    for (key, said) in [("A", "neither parked nor waiting"), ("B", "has not begun")] {
        let retried = engine.retry(&billing, &stream(key)).await.unwrap_err();
        assert!(retried.to_string().contains(said), "{retried}");
        let skipped = engine.skip(&billing, &stream(key)).await.unwrap_err();
        assert!(skipped.to_string().contains(said), "{skipped}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_sent_once_more_before_anything_new() {
    let (world, billing) = world_with(|s| s.attempts(1).dead_letters()).await;
    billing.replies("A", [Reply::Take, Reply::Fail, Reply::Take]);
    let receipts = world.accept((1..=3).map(|n| order("A", n))).await;
    billing.until_taken(2).await;
    pass(secs(1)).await;
    let position = receipts[1].position.clone().unwrap();
    let redrive = async || {
        world
            .engine()
            .redrive(&name("billing"), &stream("A"), &position)
            .await
    };
    billing.replies("A", [Reply::Fail]);
    redrive().await.unwrap();
    pass(secs(1)).await;
    let dead = world.engine().dead_letters(None, None, 10).await.unwrap();
    assert_eq!(dead.items.len(), 1, "it failed again");
    assert_eq!(dead.items[0].attempts, 1);
    redrive().await.unwrap();
    world.accept([order("A", 4)]).await;
    billing.until_taken(4).await;
    assert_eq!(billing.taken("A"), ["A-1", "A-3", "A-2", "A-4"]);
    let dead = world.engine().dead_letters(None, None, 10).await.unwrap();
    assert!(dead.items.is_empty());
    assert!(matches!(redrive().await, Err(OperateError::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn a_skip_passes_over_what_is_being_tried_and_nothing_else() {
    let (world, billing) = world_with(|s| s.attempts(2).dead_letters()).await;
    billing.replies("A", [Reply::Fail, Reply::Fail]);
    let receipts = world.accept([order("A", 1)]).await;
    until("it is dead", || {
        world
            .cursor("billing", "A")
            .is_some_and(|c| c.position.is_some())
    })
    .await;
    billing.always("A", Reply::FailFor(secs(600)));
    let position = receipts[0].position.clone().unwrap();
    world
        .engine()
        .redrive(&name("billing"), &stream("A"), &position)
        .await
        .unwrap();
    billing.until_tried(3).await;
    world.accept([order("A", 2)]).await;
    pass(secs(5)).await;
    let skipped = world
        .engine()
        .skip(&name("billing"), &stream("A"))
        .await
        .unwrap();
    assert_eq!(skipped, receipts[0].id);
    billing.heal();
    billing.until_taken(1).await;
    assert_eq!(billing.taken("A"), ["A-2"]);
    let dead = world
        .engine()
        .dead_letters(None, None, 10)
        .await
        .unwrap()
        .items;
    assert_eq!((dead.len(), &dead[0].id), (1, &receipts[0].id));
}

#[tokio::test(start_paused = true)]
async fn a_redriven_letter_has_its_own_tries() {
    let (world, billing) = world_with(|s| s.attempts(3).dead_letters()).await;
    billing.replies("A", vec![Reply::Fail; 3]);
    let receipts = world.accept([order("A", 1)]).await;
    until("it is dead", || {
        world
            .cursor("billing", "A")
            .is_some_and(|c| c.position.is_some())
    })
    .await;
    billing.always("A", Reply::FailFor(secs(60)));
    world.accept([order("A", 2)]).await;
    billing.until_tried(4).await;
    let position = receipts[0].position.clone().unwrap();
    world
        .engine()
        .redrive(&name("billing"), &stream("A"), &position)
        .await
        .unwrap();
    billing.until_tried(7).await;
    let tries: Vec<_> = billing.calls()[3..7]
        .iter()
        .map(|call| (call.label.clone(), call.attempt))
        .collect();
    let expected = [("A-2", 1), ("A-1", 1), ("A-1", 2), ("A-1", 3)];
    assert_eq!(tries, expected.map(|(label, n)| (label.to_owned(), n)));
}

#[tokio::test(start_paused = true)]
async fn a_replay_after_a_dead_letter_takes_it_off_the_list() {
    let (world, billing) = world_with(|s| s.attempts(1).dead_letters()).await;
    billing.replies("A", [Reply::Fail]);
    world.accept([order("A", 1), order("A", 2)]).await;
    billing.until_taken(1).await;
    pass(secs(1)).await;
    let replay = world.replay("billing", None, ReplayFrom::Earliest);
    assert_eq!(replay.await.unwrap(), 1);
    billing.until_taken(3).await;
    pass(secs(1)).await;
    assert_eq!(billing.taken("A"), ["A-2", "A-1", "A-2"]);
    let dead = world.engine().dead_letters(None, None, 10).await.unwrap();
    assert!(dead.items.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_after_a_replay_is_one_dead_letter_that_can_be_sent_again() {
    let (world, billing) = world_with(|s| s.attempts(1).dead_letters()).await;
    billing.always("A", Reply::Fail);
    let receipts = world.accept([order("A", 1)]).await;
    let position = receipts[0].position.clone().unwrap();
    billing.until_tried(1).await;
    for tried in 2..=4 {
        pass(secs(1)).await;
        let replay = world.replay("billing", None, ReplayFrom::Earliest);
        assert_eq!(replay.await.unwrap(), 1);
        billing.until_tried(tried).await;
    }
    pass(secs(1)).await;
    let dead = async || world.engine().dead_letters(None, None, 10).await.unwrap();
    assert_eq!(dead().await.items.len(), 1);
    billing.heal();
    world
        .engine()
        .redrive(&name("billing"), &stream("A"), &position)
        .await
        .unwrap();
    billing.until_taken(1).await;
    pass(secs(1)).await;
    assert!(dead().await.items.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_skip_jumps_over_is_on_record() {
    let billing = Script::new();
    let world = World::new()
        .source(version("orders"))
        .subscribe(push("billing", &billing).attempts(1))
        .start()
        .await;
    billing.always("*", Reply::Fail);
    world.accept([order("A", 1)]).await;
    until_parked(&world).await;
    world.accept([order("A", 2), order("A", 3)]).await;
    world.until_head("A", "3").await;
    let engine = world.engine();
    engine.skip(&name("billing"), &stream("A")).await.unwrap();
    let passed: Vec<_> = world
        .ledger
        .dump()
        .into_iter()
        .filter_map(|record| match record {
            Record::Passed(passed) => Some((passed.after, passed.to.number())),
            _ => None,
        })
        .collect();
    assert_eq!(passed, [(None, Some(3))]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_sent_a_stream_that_it_does_not_listen_to() {
    let billing = Script::new();
    let world = World::new()
        .source(dense("orders"))
        .source(dense("others"))
        .subscribe(push("billing", &billing).to(&["others"]))
        .start()
        .await;
    world.accept([order("A", 1)]).await;
    world.until_head("A", "1").await;
    let replayed = world
        .replay("billing", Some("A"), ReplayFrom::Earliest)
        .await;
    assert!(matches!(replayed, Err(OperateError::NotPossible(_))));
    pass(secs(60)).await;
    assert_eq!(billing.calls().len(), 0);
}
