//! What can be seen: payloads, streams, what is released, who is switched off.

use cloakroom_core::event::Sha256;
use cloakroom_core::id::EventId;
use cloakroom_core::position::Position;

use super::sim::{pass, until};
use super::sink::{Reply, Script};
use super::world::{World, dense, name, order, push, secs, stream, version};
use crate::append::Status;
use crate::inspect::Attention;

async fn shas(world: &World, ids: &[EventId]) -> Vec<Option<Sha256>> {
    let mut found = Vec::new();
    for id in ids {
        let payload = world.engine().payload(id).await.unwrap();
        found.push(payload.map(|payload| payload.sha256));
    }
    found
}

#[tokio::test(start_paused = true)]
async fn whatever_was_taken_in_shows_its_payload() {
    let world = World::new().source(version("orders")).start().await;
    let sent = [order("A", 5), order("A", 4), order("A", 6).no_key()];
    let mut ids = Vec::new();
    for webhook in sent.clone() {
        ids.push(world.send(webhook).await.unwrap().id);
        pass(secs(10)).await;
    }
    let expected = sent.map(|webhook| Some(Sha256::of(webhook.body.as_bytes())));
    assert_eq!(shas(&world, &ids).await, expected);
    let unknown = [
        EventId::from("nobody's"),
        EventId::of(&stream("A"), &Position::dense(9)),
    ];
    assert_eq!(shas(&world, &unknown).await, [None, None]);
}

#[tokio::test(start_paused = true)]
async fn what_is_released_comes_by_pages_and_without_placeholders() {
    let world = World::new()
        .source(dense("orders").skips_gaps())
        .start()
        .await;
    for n in [1, 2, 3, 6, 7] {
        world.accept([order("A", n)]).await;
    }
    world.until_head("A", "7").await;
    world.accept([order("A", 9)]).await;
    let page = async |after: Option<u64>, limit| {
        let after = after.map(Position::dense);
        let engine = world.engine();
        let found = engine.released(&stream("A"), after.as_ref(), limit).await;
        let number = |one: crate::ports::Outgoing| one.event.position.number().unwrap();
        let numbers = |all: Vec<_>| all.into_iter().map(number).collect::<Vec<u64>>();
        found.unwrap().map(numbers)
    };
    // 5 tells of the gap; 4 is only a placeholder.
    assert_eq!(page(None, 10).await, Some(vec![1, 2, 3, 5, 6, 7]));
    assert_eq!(page(None, 4).await, Some(vec![1, 2, 3, 5]));
    assert_eq!(page(Some(3), 1).await, Some(vec![5]));
    assert_eq!(page(Some(7), 4).await, Some(vec![]));
    let unknown = world.engine().released(&stream("B"), None, 4).await;
    assert!(unknown.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn streams_are_listed_by_pages_and_by_what_is_wrong_with_them() {
    let (one, other) = (Script::new(), Script::new());
    let world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", &one).attempts(1))
        .subscribe(push("search", &other).attempts(1))
        .start()
        .await;
    for script in [&one, &other] {
        script.always("B", Reply::Fail);
    }
    let all = ["A", "B", "C", "D"].map(|key| order(key, 1));
    world.accept(all).await;
    world.accept([order("C", 3), order("D", 4)]).await;
    let listed = async |attention, limit| {
        let (mut keys, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let engine = world.engine();
            let page = engine.streams(attention, cursor.as_deref(), limit).await;
            let page = page.unwrap();
            assert!(page.items.len() <= limit);
            let key = |one: &crate::inspect::StreamStatus| one.head.stream.key.to_string();
            keys.extend(page.items.iter().map(key));
            cursor = page.next;
            if cursor.is_none() {
                keys.sort();
                return keys;
            }
        }
    };
    pass(secs(30)).await;
    for limit in [1, 3, 10] {
        assert_eq!(listed(None, limit).await, ["A", "B", "C", "D"]);
    }
    // Once, although two subscriptions stopped at it.
    assert_eq!(listed(Some(Attention::Parked), 10).await, ["B"]);
    assert_eq!(listed(Some(Attention::Stalled), 10).await, [""; 0]);
    let gap = async |key| {
        let status = world.engine().stream(&stream(key)).await.unwrap().unwrap();
        (
            status.gap.map(|gap| (gap.from, gap.to)),
            status.cursors.len(),
        )
    };
    assert_eq!(gap("A").await, (None, 2));
    assert_eq!(gap("D").await, (Some((2, 3)), 2));
    pass(secs(60)).await;
    assert_eq!(listed(Some(Attention::Stalled), 10).await, ["C", "D"]);
}

#[tokio::test(start_paused = true)]
async fn it_is_known_since_when_a_subscription_is_there_and_why_it_gets_nothing() {
    let billing = Script::new();
    let world = World::new();
    let began = world.now();
    let world = world
        .source(dense("orders"))
        .subscribe(push("billing", &billing))
        .start()
        .await;
    pass(secs(10)).await;
    let (engine, billing_name) = (world.engine(), name("billing"));
    let since = engine.since(&billing_name).unwrap();
    assert!(since >= began && since < world.now());
    assert_eq!(engine.since(&name("nobody")), None);
    assert_eq!(engine.disabled_reason(&billing_name), None);
    billing.replies("A", [Reply::Gone]);
    let receipt = world.send(order("A", 1)).await.unwrap();
    assert_eq!(receipt.status, Status::Accepted);
    until("it is switched off", || {
        engine.disabled_reason(&billing_name).is_some()
    })
    .await;
    let reason = engine.disabled_reason(&billing_name);
    assert_eq!(reason.as_deref(), Some("410 Gone"));
}

#[tokio::test(start_paused = true)]
async fn pages_of_the_quarantine_are_full_although_some_of_it_is_decided() {
    let world = World::new().source(dense("orders")).start().await;
    let mut waiting = Vec::new();
    for n in 1..=7 {
        let receipt = world.send(order("A", n).no_key()).await.unwrap();
        assert_eq!(receipt.status, Status::Quarantined);
        waiting.push(receipt.id);
    }
    for decided in [5, 2, 1] {
        let id = waiting.remove(decided);
        world.engine().discard(&id).await.unwrap();
    }
    waiting.sort();
    for limit in 1..=5 {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let engine = world.engine();
            let page = engine.quarantined(None, cursor.as_deref(), limit).await;
            let page = page.unwrap();
            let is_last = page.next.is_none();
            assert!(page.items.len() == limit || (is_last && page.items.len() < limit));
            found.extend(page.items.into_iter().map(|one| one.id));
            cursor = page.next;
            if is_last {
                break;
            }
        }
        found.sort();
        assert_eq!(found, waiting, "by {limit}");
    }
}
