//! What is kept, what is removed, and when.

use std::sync::Arc;

use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use super::faults::Op;
use super::sim::{pass, until};
use super::sink::{Reply, Script};
use super::world::{
    SourceSpec, World, arrival, dense, name, order, pull, push, secs, stream, version,
};
use crate::append::Status;
use crate::inspect::EventState;
use crate::operate::{OperateError, ReplayFrom};
use crate::ports::Write;
use crate::record::Record;

const RETENTION: u64 = 1_000;

async fn world() -> (World, Arc<Script>) {
    let billing = Script::new();
    let world = World::new()
        .source(dense("orders").skips_gaps())
        .subscribe(push("billing", &billing))
        .retention(secs(RETENTION))
        .start()
        .await;
    (world, billing)
}

/// One try; what fails becomes a dead letter.
async fn world_of_dead_letters(source: SourceSpec) -> (World, Arc<Script>) {
    let billing = Script::new();
    let world = World::new()
        .source(source)
        .subscribe(push("billing", &billing).attempts(1).dead_letters())
        .retention(secs(RETENTION))
        .start()
        .await;
    (world, billing)
}

fn floor(world: &World) -> Option<u64> {
    world.head("A")?.head.floor?.number()
}

#[tokio::test(start_paused = true)]
async fn only_what_is_old_is_removed_and_its_claims_with_it() {
    let (world, billing) = world().await;
    world.accept([order("A", 1), order("A", 2)]).await;
    pass(secs(RETENTION / 2)).await;
    world.accept([order("A", 3)]).await;
    billing.until_taken(3).await;
    assert_eq!((world.entries(), world.claims.names().len()), (3, 3));
    let before = world.head("A").unwrap();
    pass(secs(RETENTION / 2 + 10)).await;
    assert_eq!(floor(&world), Some(2));
    let after = world.head("A").unwrap();
    assert!(after.revision > before.revision);
    assert_eq!(after.advanced_at, before.advanced_at);
    assert_eq!((world.entries(), world.claims.names().len()), (1, 1));
    assert_eq!(
        world.head("A").unwrap().head.position,
        Some(Position::dense(3))
    );
    pass(secs(RETENTION)).await;
    assert_eq!((world.entries(), world.claims.names().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_that_a_consumer_still_has_to_get() {
    let (parked, gone) = (Script::new(), Script::new());
    parked.always("*", Reply::Fail);
    gone.always("*", Reply::Gone);
    let world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", &parked).attempts(2))
        .subscribe(push("gone", &gone))
        .subscribe(pull("idle"))
        .retention(secs(RETENTION))
        .start()
        .await;
    let receipt = world.accept([order("A", 1)]).await.remove(0);
    pass(secs(2 * RETENTION)).await;
    parked.heal();
    world
        .engine()
        .retry(&name("billing"), &stream("A"))
        .await
        .unwrap();
    parked.until_taken(1).await;
    pass(secs(2 * RETENTION)).await;
    assert_eq!(world.entries(), 1, "a disabled one still wants it");
    gone.heal();
    world.engine().enable(&name("gone")).await.unwrap();
    gone.until_taken(1).await;
    pass(secs(2 * RETENTION)).await;
    assert_eq!(world.entries(), 1, "an idle one still wants it");
    let batch = world
        .engine()
        .pull(&name("idle"), 1, secs(1))
        .await
        .unwrap();
    assert!(batch.events[0].inline.is_some());
    world
        .engine()
        .acknowledge(&name("idle"), &[receipt.id])
        .await
        .unwrap();
    pass(secs(10)).await;
    assert_eq!(world.entries(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_to_be_sent_again_is_not_removed() {
    let (world, billing) = world_of_dead_letters(dense("orders")).await;
    billing.replies("A", [Reply::Fail]);
    let receipt = world.accept([order("A", 1)]).await.remove(0);
    pass(secs(RETENTION - 100)).await;
    let position = receipt.position.unwrap();
    billing.replies("A", [Reply::Gone]);
    world
        .engine()
        .redrive(&name("billing"), &stream("A"), &position)
        .await
        .unwrap();
    pass(secs(RETENTION)).await;
    assert_eq!(world.entries(), 1);
    world.engine().enable(&name("billing")).await.unwrap();
    billing.until_taken(1).await;
    assert_eq!(billing.taken("A"), ["A-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_about_to_be_removed_is_not_sent_again() {
    let (world, billing) = world_of_dead_letters(dense("orders")).await;
    billing.replies("A", [Reply::Fail]);
    let receipt = world.accept([order("A", 1)]).await.remove(0);
    pass(secs(RETENTION - 1)).await;
    while floor(&world).is_none() {
        pass(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(world.entries(), 1);
    let position = receipt.position.unwrap();
    let (name, stream) = (name("billing"), stream("A"));
    let again = world.engine().redrive(&name, &stream, &position).await;
    assert!(
        matches!(again, Err(OperateError::NotPossible(_))),
        "{again:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_was_asked_for_while_the_floor_rose_is_not_removed() {
    let (world, billing) = world_of_dead_letters(dense("orders")).await;
    billing.replies("A", [Reply::Fail, Reply::Gone]);
    let receipt = world.accept([order("A", 1)]).await.remove(0);
    pass(secs(RETENTION - 5)).await;
    let redrives = |write: &Write| matches!(write, Write::Replace { record: Record::Cursor(cursor), .. } if !cursor.redrive.is_empty());
    let asked = world
        .faults
        .hold(move |op| matches!(op, Op::Transact(writes) if writes.iter().any(redrives)));
    let (engine, position) = (world.engine().clone(), receipt.position.unwrap());
    let redriven = tokio::spawn(async move {
        engine
            .redrive(&name("billing"), &stream("A"), &position)
            .await
    });
    asked.until_reached().await;
    while floor(&world).is_none() {
        pass(std::time::Duration::from_millis(10)).await;
    }
    asked.open();
    redriven.await.unwrap().unwrap();
    pass(secs(RETENTION)).await;
    assert_eq!(world.entries(), 1);
    world.engine().enable(&name("billing")).await.unwrap();
    billing.until_taken(1).await;
    assert_eq!(billing.taken("A"), ["A-1"]);
}

#[tokio::test(start_paused = true)]
async fn below_the_floor_a_number_is_late_and_a_known_identity_a_duplicate() {
    let (world, billing) = world().await;
    world
        .accept([order("A", 1), order("A", 2), order("A", 3)])
        .await;
    billing.until_taken(3).await;
    pass(secs(RETENTION + 10)).await;
    assert_eq!(floor(&world), Some(3));
    let old = world.send(order("A", 1)).await.unwrap();
    assert_eq!(old.status, Status::Accepted);
    billing.until_taken(4).await;
    assert_eq!(billing.taken("A")[3], "late A-1");
    assert_eq!(
        world.send(order("A", 1)).await.unwrap().status,
        Status::Duplicate
    );
    world.accept([order("A", 4)]).await;
    billing.until_taken(5).await;
    let positions: Vec<_> = billing
        .calls()
        .into_iter()
        .map(|call| call.position)
        .collect();
    assert!(positions.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn a_replay_starts_at_the_floor() {
    let (world, billing) = world().await;
    world.accept([order("A", 1), order("A", 2)]).await;
    pass(secs(RETENTION)).await;
    world.accept([order("A", 3)]).await;
    billing.until_taken(3).await;
    pass(secs(10)).await;
    assert_eq!(floor(&world), Some(2));
    assert_eq!(
        world
            .replay("billing", None, ReplayFrom::Earliest)
            .await
            .unwrap(),
        1
    );
    billing.until_taken(4).await;
    assert_eq!(billing.taken("A")[3], "A-3");
}

#[tokio::test(start_paused = true)]
async fn a_new_subscription_on_an_emptied_stream_gets_what_comes_next() {
    for consumer in ["push", "pull"] {
        let (mut world, billing) = world().await;
        world.accept([order("A", 1), order("A", 2)]).await;
        billing.until_taken(2).await;
        pass(secs(RETENTION + 10)).await;
        assert_eq!(world.entries(), 0);
        let fresh = Script::new();
        world.subscriptions.push(match consumer {
            "push" => push("fresh", &fresh).earliest(),
            _ => pull("fresh").earliest(),
        });
        world.restart().await;
        pass(secs(10)).await;
        world.accept([order("A", 3)]).await;
        billing.until_taken(3).await;
        if consumer == "push" {
            fresh.until_taken(1).await;
            assert_eq!(fresh.taken("A"), ["A-3"]);
        } else {
            let batch = world
                .engine()
                .pull(&name("fresh"), 5, secs(5))
                .await
                .unwrap();
            assert_eq!(batch.events.len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn claims_that_nothing_names_are_reclaimed_and_no_others() {
    let billing = Script::new();
    let mut world = World::new()
        .source(dense("orders").skips_gaps())
        .source(arrival("news"))
        .source(version("states"))
        .subscribe(push("billing", &billing))
        .start()
        .await;
    let from = |source, mut webhook: super::world::Webhook| {
        webhook.source = source;
        webhook
    };
    world
        .accept([
            order("A", 1),
            order("A", 3),
            from("news", order("A", 1).id("n")),
        ])
        .await;
    world.accept([from("states", order("A", 5).id("v5"))]).await;
    until("a version is out", || {
        billing.taken("A").contains(&"v5".to_owned())
    })
    .await;
    world.accept([from("states", order("A", 4).id("v4"))]).await;
    world.send(order("B", 1).no_key()).await.unwrap();
    billing.until_tried(5).await;
    pass(secs(70)).await;
    world.accept([order("A", 2)]).await;
    pass(secs(1)).await;
    let kept = world.claims.names().len();
    assert_eq!(kept, 7);
    // Doubles leave their copies behind; so does a crash between the two writes.
    world.send(order("A", 1)).await.unwrap();
    world.send(order("A", 2)).await.unwrap();
    world.faults.ledger_down(true);
    assert!(world.send(order("A", 9)).await.is_err());
    world.faults.ledger_down(false);
    assert_eq!(world.claims.names().len(), kept + 3);
    world.restart().await;
    let reclaimed = world
        .engine()
        .reclaim_since(Timestamp::from_micros(0))
        .await
        .unwrap();
    assert_eq!(
        (reclaimed.examined, reclaimed.removed),
        (kept as u64 + 3, 3)
    );
    for record in world.ledger.dump() {
        if let Some(claim) = record.claim() {
            assert!(world.claims.names().contains(claim));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_sweep_goes_on_when_one_stream_cannot_be_cleaned_up() {
    let (world, billing) = world().await;
    world.accept((1..=100).map(|n| order("A", n))).await;
    billing.until_taken(100).await;
    pass(secs(RETENTION - 10)).await;
    world.faults.fail_after(
        |op| matches!(op, Op::Transact(writes) if matches!(writes[0], Write::Create(Record::Event(_)))),
    );
    pass(secs(5)).await;
    world.faults.claims_down(true);
    pass(secs(20)).await;
    world.faults.claims_down(false);
    // It is stored, but nobody was rung for.
    world.send(order("Z", 1)).await.unwrap_err();
    world.faults.claims_down(true);
    pass(secs(20)).await;
    assert_eq!(
        world.head("Z").unwrap().head.position,
        Some(Position::dense(1))
    );
}

#[tokio::test(start_paused = true)]
async fn notes_dead_letters_and_identities_go_with_their_event() {
    let (world, billing) = world_of_dead_letters(arrival("orders")).await;
    billing.replies("A", [Reply::Fail]);
    world.accept([order("A", 1)]).await;
    assert!(
        world
            .send(order("A", 1).body("other"))
            .await
            .unwrap()
            .differs
    );
    pass(secs(RETENTION + 10)).await;
    let left = world.ledger.dump();
    let left: Vec<_> = left
        .iter()
        .filter(|record| {
            !matches!(
                record,
                Record::Head(_) | Record::Cursor(_) | Record::Subscription(_) | Record::Source(_)
            )
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_quarantine_is_kept_until_it_is_decided() {
    let (world, billing) = world().await;
    let lost = world.send(order("A", 1).no_key()).await.unwrap();
    pass(secs(3 * RETENTION)).await;
    let released = world.engine().release(&lost.id, Some("A".into()), None);
    released.await.unwrap();
    billing.until_taken(1).await;
    let calls = billing.calls();
    assert!(calls[0].body.is_some());
    let status = world.engine().event(&lost.id).await.unwrap().unwrap();
    assert_eq!(status.state, EventState::Released);
}

#[tokio::test(start_paused = true)]
async fn an_older_version_is_removed_when_it_is_old() {
    let world = World::new()
        .source(version("orders"))
        .retention(secs(RETENTION))
        .start()
        .await;
    world.accept([order("A", 5)]).await;
    pass(secs(1)).await;
    world.accept([order("A", 3)]).await;
    assert_eq!(world.claims.names().len(), 2);
    pass(secs(RETENTION / 2)).await;
    assert_eq!(world.claims.names().len(), 2);
    pass(secs(RETENTION)).await;
    assert_eq!((world.entries(), world.claims.names().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_decision_about_quarantine_is_forgotten_when_it_is_old_and_nothing_else_is() {
    let (world, _) = world().await;
    let keyless = |id: &str| order("A", 1).id(id).no_key();
    let discarded = world.send(keyless("discarded")).await.unwrap();
    world.send(keyless("waiting")).await.unwrap();
    world.engine().discard(&discarded.id).await.unwrap();
    let kept = async || {
        let records = world.ledger.dump();
        let is_kept = |record: &&Record| matches!(record, Record::Quarantined(_));
        (
            records.iter().filter(is_kept).count(),
            world.claims.names().len(),
        )
    };
    pass(secs(RETENTION / 2)).await;
    assert_eq!(kept().await, (2, 2));
    // Old decisions are looked for once an hour.
    pass(secs(RETENTION + 3_700)).await;
    assert_eq!(kept().await, (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_still_there_is_a_duplicate_though_the_floor_is_above_it() {
    let (world, billing) = world().await;
    let first = world.accept([order("A", 1)]).await.remove(0);
    billing.until_taken(1).await;
    pass(secs(RETENTION - 2)).await;
    while floor(&world).is_none() {
        pass(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(world.entries(), 1, "it is removed with the next sweep");
    let again = world.send(order("A", 1)).await.unwrap();
    assert_eq!((again.status, again.id), (Status::Duplicate, first.id));
}

#[tokio::test(start_paused = true)]
async fn what_a_retry_may_share_a_claim_with_is_kept_for_a_day() {
    let billing = Script::new();
    let world = World::new()
        .source(dense("orders"))
        .subscribe(push("billing", &billing))
        .retention(secs(RETENTION));
    world.faults.shared_ledger();
    let world = world.start().await;
    world.accept([order("A", 1)]).await;
    billing.until_taken(1).await;
    pass(secs(20 * 60 * 60)).await;
    assert_eq!((world.entries(), floor(&world)), (1, None));
    pass(secs(5 * 60 * 60)).await;
    assert_eq!((world.entries(), floor(&world)), (0, Some(1)));
}
