//! Taking in and releasing in one transaction: when it may be, and what becomes of it when something comes between.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::checker::{Facts, check_order};
use super::faults::{Op, Rates};
use super::sim::{SimEntropy, pass, until};
use super::sink::Script;
use super::world::{
    SourceSpec, Webhook, World, arrival, dense, name, order, pull, push, secs, send_to, sparse,
    version,
};
use crate::append::{Receipt, Status};
use crate::ports::Write;
use crate::record::Record;

/// What an observed transaction does: whether it creates an event, and whether it writes a head.
type Seen = Arc<Mutex<Vec<(bool, bool)>>>;

async fn world(source: SourceSpec) -> (World, Arc<Script>, Seen) {
    let billing = Script::new();
    let world = World::new()
        .source(source)
        .subscribe(push("billing", &billing));
    let world = world.start().await;
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    world.faults.fail_before(move |op| {
        if let Op::Transact(writes) = op {
            let kinds = (
                writes.iter().any(creates_event),
                writes.iter().any(writes_head),
            );
            noted.lock().unwrap().push(kinds);
        }
        false
    });
    (world, billing, seen)
}

fn creates_event(write: &Write) -> bool {
    matches!(write, Write::Create(Record::Event(_)))
}

fn writes_head(write: &Write) -> bool {
    let (Write::Create(record) | Write::Replace { record, .. }) = write else {
        return false;
    };
    matches!(record, Record::Head(_))
}

fn releases(op: &Op<'_>) -> bool {
    matches!(op, Op::Transact(writes) if writes.iter().any(creates_event) && writes.iter().any(writes_head))
}

/// How many of the transactions created an event and wrote a head; and how many did either.
fn counted(seen: &Seen) -> (usize, usize) {
    let seen = seen.lock().unwrap();
    let both = seen.iter().filter(|kinds| **kinds == (true, true)).count();
    let any = seen.iter().filter(|kinds| kinds.0 || kinds.1).count();
    (both, any)
}

fn orders(numbers: impl IntoIterator<Item = u64>) -> Vec<Webhook> {
    numbers.into_iter().map(|n| order("A", n)).collect()
}

fn labels(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("A-{n}")).collect()
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_order_takes_one_transaction_each() {
    let (world, billing, seen) = world(dense("orders")).await;
    world.accept(orders(1..=5)).await;
    billing.until_taken(5).await;
    assert_eq!(billing.taken("A"), labels(1..=5));
    assert_eq!(
        counted(&seen),
        (5, 5),
        "from the first event of the stream on"
    );
    let head = world.head("A").unwrap();
    assert_eq!((head.revision, head.advanced_at, head.appended), (5, 5, 0));
    let again = world.send(order("A", 3)).await.unwrap();
    assert_eq!(again.status, Status::Duplicate);
}

#[tokio::test(start_paused = true)]
async fn whoever_pulls_and_whoever_tails_hear_of_it_at_once() {
    let world = World::new()
        .source(dense("orders"))
        .subscribe(pull("audit"));
    let world = world.start().await;
    let engine = world.engine().clone();
    let mut tail = engine.tail(&name("audit"), None).await.unwrap();
    let waiting = tokio::spawn(async move { engine.pull(&name("audit"), 1, secs(9)).await });
    world.accept(orders([1])).await;
    let before = world.now();
    assert_eq!(waiting.await.unwrap().unwrap().events.len(), 1);
    tail.next().await.unwrap();
    assert!(world.now().since(before) < secs(1));
}

#[tokio::test(start_paused = true)]
async fn on_a_shared_ledger_only_the_resequencer_moves_heads() {
    let (world, billing, seen) = world(dense("orders")).await;
    world.faults.shared_ledger();
    world.accept(orders(1..=3)).await;
    billing.until_taken(3).await;
    assert_eq!(counted(&seen).0, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_next_waits() {
    let (world, billing, seen) = world(dense("orders")).await;
    world.accept(orders([2, 3])).await;
    pass(secs(1)).await;
    assert_eq!(counted(&seen).0, 0);
    assert_eq!(world.head("A").unwrap().head.position, None);
    world.accept(orders([1])).await;
    pass(secs(1)).await;
    assert_eq!(billing.taken("A"), labels(1..=3));
}

#[tokio::test(start_paused = true)]
async fn what_closes_a_gap_lets_what_waits_behind_it_go() {
    let (world, billing, _) = world(dense("orders")).await;
    world.accept(orders([1, 3, 4])).await;
    until("the gap is known", || {
        world.head("A").is_some_and(|head| head.head.gap.is_some())
    })
    .await;
    world.accept(orders([2])).await;
    pass(secs(1)).await;
    assert_eq!(billing.taken("A"), labels(1..=4));
    assert_eq!(world.head("A").unwrap().head.gap, None);
}

#[tokio::test(start_paused = true)]
async fn other_kinds_are_left_to_the_resequencer() {
    let lowest = dense("orders").lowest_first(secs(3));
    for source in [
        lowest,
        sparse("orders"),
        version("orders"),
        arrival("orders"),
    ] {
        let (world, billing, seen) = world(source).await;
        world.accept(orders(1..=3)).await;
        until("one is taken", || !billing.taken("A").is_empty()).await;
        assert_eq!(counted(&seen).0, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_moves_meanwhile_is_looked_at_again() {
    let (world, billing, seen) = world(dense("orders")).await;
    world.accept(orders([1])).await;
    let gate = world.faults.hold(releases);
    let (engine, second) = (world.engine().clone(), order("A", 2));
    let sending = tokio::spawn(send_to(engine, second));
    gate.until_reached().await;
    // It is below the base, so it is placed after the head, and moves it.
    world.accept([order("A", 0)]).await;
    until("the late one is released", || billing.calls().len() == 2).await;
    gate.open();
    assert_eq!(sending.await.unwrap().unwrap().status, Status::Accepted);
    pass(secs(1)).await;
    assert_eq!(billing.taken("A"), ["A-1", "late A-0", "A-2"]);
    assert_eq!(counted(&seen).0, 2, "the first one, and the one in vain");
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_answer_was_lost_is_a_duplicate_and_still_delivered() {
    let (world, billing, _) = world(dense("orders")).await;
    world.faults.fail_after(releases);
    world.send(order("A", 1)).await.unwrap_err();
    let receipt = world.send(order("A", 1)).await.unwrap();
    assert_eq!(receipt.status, Status::Duplicate);
    world.accept(orders([2])).await;
    billing.until_taken(2).await;
    assert_eq!(billing.taken("A"), labels(1..=2));
}

/// Sends a webhook again and again until it is acknowledged, as providers do; `None` when the process dies first.
async fn send_until_known(world: &World, webhook: Webhook) -> Option<(Webhook, Receipt)> {
    let (engine, life) = (world.engine().clone(), world.life.clone());
    let sending = async {
        loop {
            match send_to(engine.clone(), webhook.clone()).await {
                Ok(receipt) => return (webhook, receipt),
                Err(_) => pass(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::select! {
        biased;
        () = life.ended() => None,
        known = sending => Some(known),
    }
}

async fn run(seed: u64) {
    const LAST: u64 = 25;
    let chance = SimEntropy::new(seed ^ 0x5eed);
    let billing = Script::new();
    let mut world = World::seeded(seed)
        .source(dense("orders"))
        .subscribe(push("billing", &billing))
        .start()
        .await;
    world.faults.by_chance(Rates {
        fails_before: chance.below(6),
        fails_after: chance.below(12),
        yields: 40,
        delays: chance.below(20),
    });
    let mut left: Vec<Webhook> = (1..=LAST)
        .flat_map(|n| [order("A", n), order("B", n)])
        .collect();
    let mut receipts = Vec::new();
    while !left.is_empty() {
        // The next few, in any order and some of them twice, all at once.
        let few = usize::try_from(1 + chance.below(6))
            .unwrap()
            .min(left.len());
        let mut batch: Vec<Webhook> = left[..few].to_vec();
        if chance.chance(30) {
            batch.reverse();
        }
        if chance.chance(30) {
            batch.push(batch[0].clone());
        }
        let crash_after = chance
            .chance(15)
            .then(|| Duration::from_millis(chance.below(30)));
        let sends = batch
            .into_iter()
            .map(|webhook| send_until_known(&world, webhook));
        let crash = async {
            if let Some(time) = crash_after {
                pass(time).await;
                world.life.end();
            }
        };
        let (known, ()) = futures::join!(futures::future::join_all(sends), crash);
        let known: Vec<_> = known.into_iter().flatten().collect();
        let ids: BTreeSet<_> = known
            .iter()
            .map(|(webhook, _)| webhook.id.clone())
            .collect();
        left.retain(|webhook| !ids.contains(&webhook.id));
        receipts.extend(known);
        if crash_after.is_some() {
            world.restart().await;
        }
    }
    world.faults.by_chance(Rates::default());
    for key in ["A", "B"] {
        let taken = || {
            billing
                .taken(key)
                .into_iter()
                .collect::<BTreeSet<_>>()
                .len() as u64
        };
        until("everything is delivered", || taken() == LAST).await;
        let head = world.head(key).unwrap().head;
        assert_eq!(head.position.and_then(|at| at.number()), Some(LAST));
        assert_eq!(head.gap, None);
    }
    let facts = Facts::of(world.ledger.dump());
    facts.check_receipts(&receipts);
    facts.check_heads();
    check_order("billing", &billing.calls());
}

#[test]
fn whatever_comes_between_every_event_is_released_once_and_in_order() {
    for seed in 0..60 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let outcome = std::panic::catch_unwind(|| runtime.block_on(run(seed)));
        assert!(outcome.is_ok(), "seed {seed} failed");
    }
}
