//! Whatever fails: every acknowledged webhook is delivered once and in order, or visibly parked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use cloakroom_aws::DynamoLedger;
use cloakroom_core::id::StreamId;
use cloakroom_emulators::Fault;
use cloakroom_engine::ports::Ledger as _;
use cloakroom_engine::record::{CursorState, Key, Record};
use cloakroom_lambda::Role;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::sync::Notify;

use crate::chaos::{Chaos, is_acknowledged, weather};
use crate::given::{World, failures, webhook};

const CONFIG: &str = "
sources:
  orders:
    verify: { scheme: none }
    id: header:webhook-id
    key: header:x-key
    order: { kind: dense, at: header:x-seq, first: 1, gap: { after: 1h, then: wait } }
  feed:
    verify: { scheme: none }
    id: header:webhook-id
    key: header:x-key
    order: { kind: arrival }
subscriptions:
  all:
    sources: [orders, feed]
    sink: { sqs-fifo: { queue: \"https://sqs.us-east-1.amazonaws.com/1/all.fifo\" } }
    retry: { attempts: 6, base: 5ms, max: 20ms }
";

const KEYS: [&str; 3] = ["A", "B", "C"];
const PER_KEY: u64 = 5;

/// Of each stream the identities that must be seen, in order: by number, or as they were first sent.
type Expected = BTreeMap<String, Vec<String>>;

/// Webhooks in any order, some of them together with another one of their stream, or doubled.
fn shuffled(rng: &mut StdRng) -> (Vec<Vec<Value>>, Expected) {
    let mut all = Vec::new();
    for source in ["orders", "feed"] {
        for key in KEYS {
            all.extend((1..=PER_KEY).map(|n| (source, key, n)));
        }
    }
    all.shuffle(rng);
    let (mut expected, mut groups) = (Expected::new(), Vec::new());
    while let Some(first) = all.pop() {
        let mut group = vec![first];
        let of_stream = |other: &(&str, &str, u64)| (other.0, other.1) == (first.0, first.1);
        match all.iter().position(of_stream) {
            Some(place) if rng.random_bool(0.5) => group.push(all.remove(place)),
            _ if rng.random_bool(0.2) => group.push(first),
            _ => {}
        }
        for (source, key, n) in &group {
            let identities = expected.entry(format!("{source}/{key}")).or_default();
            let identity = format!("{key}-{n}");
            if !identities.contains(&identity) {
                identities.push(identity);
            }
        }
        let group = group.into_iter();
        groups.push(
            group
                .map(|(source, key, n)| webhook(source, key, n))
                .collect(),
        );
    }
    for (stream, identities) in &mut expected {
        if stream.starts_with("orders") {
            identities.sort();
        }
    }
    (groups, expected)
}

/// Whether what was seen is in order: by number, or by arrival, where two that came at the same time may have changed
/// places.
fn is_in_order(stream: &str, seen: &[String], expected: &[String]) -> bool {
    let slack = usize::from(stream.starts_with("feed"));
    let place = |identity| expected.iter().position(|expected| expected == identity);
    let mut places = seen.iter().map(place).enumerate();
    let all_near = places.all(|(at, place)| place.is_some_and(|place| place.abs_diff(at) <= slack));
    all_near && seen.iter().collect::<BTreeSet<_>>().len() == seen.len()
}

/// Whether the subscription stopped at this stream, where an operator sees it.
async fn is_parked(world: &World, stream: &str) -> bool {
    let (source, key) = stream.split_once('/').unwrap();
    let ledger = DynamoLedger::new(&world.plain, &world.table);
    let key = Key::Cursor("all".into(), StreamId::new(source, key));
    match ledger.get(&key).await.unwrap() {
        Some(Record::Cursor(cursor)) => matches!(cursor.state, CursorState::Parked { .. }),
        _ => false,
    }
}

/// With quiet around it, works until everything was seen or is parked.
async fn settle(chaos: &mut Chaos, expected: &Expected) -> Vec<String> {
    chaos.world.tamper.calm();
    chaos.world.consumer.fail(None);
    chaos.rough = false;
    for _ in 0..30 {
        chaos.work().await;
        chaos.sweep().await.unwrap();
        chaos.work().await;
        let seen = chaos.world.consumer.seen();
        let mut parked = Vec::new();
        let mut missing = false;
        for (stream, identities) in expected {
            if seen.get(stream).map(Vec::len) == Some(identities.len()) {
                continue;
            }
            if is_parked(&chaos.world, stream).await {
                parked.push(stream.clone());
            } else {
                missing = true;
            }
        }
        if !missing {
            return parked;
        }
    }
    panic!(
        "seen: {:#?}\nexpected: {expected:#?}",
        chaos.world.consumer.seen()
    );
}

/// What of a parked stream was seen is the beginning of what is expected.
fn check(chaos: &Chaos, expected: &Expected, parked: &[String]) {
    for (stream, seen) in chaos.world.consumer.seen() {
        let of_stream = &expected[&stream];
        let in_order = is_in_order(&stream, &seen, of_stream);
        assert!(in_order, "{stream}: {seen:?}, not {of_stream:?}");
        assert!(seen.len() == of_stream.len() || parked.contains(&stream));
    }
}

async fn storm(seed: u64) {
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (webhooks, expected) = shuffled(&mut rng);
    let mut chaos = Chaos::new(World::new(CONFIG).await, seed).await;
    let met = Arc::new(AtomicUsize::new(0));
    chaos
        .world
        .tamper
        .choose(weather(seed, 0.08, Arc::clone(&met)));
    let mut consumer = StdRng::seed_from_u64(seed + 1);
    let fails = move |_: &str| consumer.random_bool(0.15);
    chaos.world.consumer.fail(Some(Box::new(fails)));
    for group in &webhooks {
        chaos.send_together(group).await;
        if rng.random_bool(0.3) {
            chaos.work().await;
        }
        if rng.random_bool(0.05) {
            // A sweep that fails comes again.
            drop(chaos.sweep().await);
        }
    }
    let parked = settle(&mut chaos, &expected).await;
    check(&chaos, &expected, &parked);
    let met = met.load(Ordering::Relaxed);
    assert!(met > 10, "only {met} requests met a fault");
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_out_of_order_1() {
    for seed in 1..=5 {
        storm(seed).await;
    }
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_out_of_order_2() {
    for seed in 101..=105 {
        storm(seed).await;
    }
}

#[tokio::test]
async fn what_a_consumer_never_takes_is_parked_and_holds_up_nothing_else() {
    let (webhooks, expected) = shuffled(&mut StdRng::seed_from_u64(7));
    let mut chaos = Chaos::new(World::new(CONFIG).await, 7).await;
    let fails = |identity: &str| identity == "B-3";
    chaos.world.consumer.fail(Some(Box::new(fails)));
    chaos.rough = false;
    for webhook in webhooks.iter().flatten() {
        chaos.send(webhook).await;
    }
    for _ in 0..20 {
        chaos.work().await;
        chaos.sweep().await.unwrap();
    }
    let parked = settle(&mut chaos, &expected).await;
    check(&chaos, &expected, &parked);
    for stream in ["feed/B", "orders/B"] {
        assert!(is_parked(&chaos.world, stream).await, "{stream}");
    }
}

/// One webhook from the provider to the consumer, each step until it is done, while the `k`th request meets `fault`. Whether
/// there was a `k`th.
async fn killed_at(chaos: &mut Chaos, source: &str, key: &str, k: usize, fault: Fault) -> bool {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    chaos.world.tamper.choose(move |_| {
        let is_it = counted.fetch_add(1, Ordering::Relaxed) + 1 == k;
        is_it.then(|| fault.clone())
    });
    chaos.send(&webhook(source, key, 1)).await;
    chaos.work().await;
    chaos.world.tamper.calm();
    count.load(Ordering::Relaxed) >= k
}

async fn killed_between_any_two_calls(source: &str, fault: Fault) {
    let mut chaos = Chaos::new(World::new(CONFIG).await, 1).await;
    chaos.rough = false;
    assert!(!killed_at(&mut chaos, source, "warm", usize::MAX, fault.clone()).await);
    let mut k = 0;
    loop {
        k += 1;
        let key = format!("K{k}");
        let met = killed_at(&mut chaos, source, &key, k, fault.clone()).await;
        // Nothing but the retries of provider, pipe and queue was needed: no sweep.
        let seen = chaos.world.consumer.seen();
        let expected = vec![format!("{key}-1")];
        assert_eq!(
            seen.get(&format!("{source}/{key}")),
            Some(&expected),
            "killed at {k}"
        );
        if !met {
            break;
        }
    }
    assert!(k > 10, "the path has only {k} requests");
}

#[tokio::test]
async fn a_function_may_die_before_any_request() {
    killed_between_any_two_calls("orders", Fault::HaltBefore).await;
    killed_between_any_two_calls("feed", Fault::HaltBefore).await;
}

#[tokio::test]
async fn a_function_may_die_after_any_request() {
    killed_between_any_two_calls("orders", Fault::HaltAfter).await;
    killed_between_any_two_calls("feed", Fault::HaltAfter).await;
}

#[tokio::test]
async fn any_answer_may_be_lost() {
    killed_between_any_two_calls("orders", Fault::LoseAnswer).await;
    killed_between_any_two_calls("feed", Fault::LoseAnswer).await;
}

#[tokio::test]
async fn any_request_may_be_refused() {
    let refused = Fault::error(400, "AccessDeniedException");
    killed_between_any_two_calls("orders", refused.clone()).await;
    killed_between_any_two_calls("feed", refused).await;
}

/// Two webhooks of one stream. The first is taken in and resequenced, but its `k`th request is held back until the second
/// has gone all the way. Whether there was a `k`th.
async fn overtaken_at(
    chaos: &mut Chaos,
    source: &str,
    key: &str,
    [x, y]: [u64; 2],
    k: usize,
) -> bool {
    let (release, finished) = (Arc::new(Notify::new()), Notify::new());
    let (mut count, held) = (0, Arc::clone(&release));
    chaos.world.tamper.choose(move |_| {
        count += 1;
        (count == k).then(|| Fault::Hold(Arc::clone(&held)))
    });
    let world = Arc::clone(&chaos.world);
    let first = async {
        let ingest = world.function(Role::Ingest).await.unwrap();
        let answer = world.call(&ingest, webhook(source, key, x)).await;
        assert!(is_acknowledged(answer));
        let mut pipe = world.pipe(Role::Resequence).await;
        pipe.fetch().await;
        let mut batch = pipe.batch(usize::MAX);
        let partition = format!("STREAM#{source}/{key}");
        batch.retain(|record| record["dynamodb"]["Keys"]["PK"]["S"] == partition.as_str());
        assert!(!batch.is_empty(), "nothing is in {partition}");
        let resequence = world.function(Role::Resequence).await.unwrap();
        let answer = world.call(&resequence, batch.into()).await.unwrap();
        assert_eq!(failures(&answer), [""; 0]);
        finished.notify_one();
    };
    let second = async {
        let is_held = tokio::select! {
            () = world.tamper.halted() => true,
            () = finished.notified() => false,
        };
        chaos.send(&webhook(source, key, y)).await;
        chaos.work().await;
        release.notify_one();
        is_held
    };
    let ((), is_held) = tokio::join!(first, second);
    chaos.world.tamper.calm();
    is_held
}

async fn overtaken_at_any_request(source: &str, numbers: [u64; 2]) {
    let mut chaos = Chaos::new(World::new(CONFIG).await, 1).await;
    chaos.rough = false;
    // The functions that overtake are warm.
    killed_at(&mut chaos, source, "warm", usize::MAX, Fault::LoseAnswer).await;
    let mut k = 0;
    loop {
        k += 1;
        let key = format!("K{k}");
        let met = overtaken_at(&mut chaos, source, &key, numbers, k).await;
        chaos.work().await;
        let mut seen = chaos.world.consumer.seen();
        let mut of_stream = seen.remove(&format!("{source}/{key}")).unwrap_or_default();
        if source == "feed" {
            of_stream.sort();
        }
        let expected = [1, 2].map(|n| format!("{key}-{n}"));
        assert_eq!(of_stream, expected, "overtaken at {k}");
        if !met {
            break;
        }
    }
    assert!(k > 10, "the path has only {k} requests");
}

#[tokio::test]
async fn another_handler_may_overtake_at_any_request() {
    overtaken_at_any_request("orders", [1, 2]).await;
    overtaken_at_any_request("orders", [2, 1]).await;
    overtaken_at_any_request("feed", [1, 2]).await;
}

/// An item that passes the pipes' filters and is no record.
async fn poison(world: &World) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let client = aws_sdk_dynamodb::Client::new(&world.plain);
    for (sort, kind) in [("EVENT#1", "EVENT"), ("HEAD", "HEAD")] {
        let put = client.put_item().table_name(&world.table);
        put.item("PK", text("poison"))
            .item("SK", text(sort))
            .item("kind", text(kind))
            .item("advanced", text("yes"))
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_poison_record_fails_alone() {
    let mut chaos = Chaos::new(World::new(CONFIG).await, 1).await;
    chaos.rough = false;
    chaos.send(&webhook("orders", "A", 1)).await;
    poison(&chaos.world).await;
    chaos.send(&webhook("orders", "B", 1)).await;
    for (at, role) in [(0, Role::Resequence), (1, Role::Dispatch)] {
        chaos.pipes[at].fetch().await;
        let batch = chaos.pipes[at].batch(100);
        assert_eq!(batch.len(), 3);
        let of_poison = |record: &&Value| record["dynamodb"]["Keys"]["PK"]["S"] == "poison";
        let named = batch.iter().find(of_poison).unwrap()["eventID"].clone();
        let answer = chaos.invoke(role, batch.into()).await.unwrap();
        assert_eq!(failures(&answer), [named.as_str().unwrap()]);
    }
    chaos.work().await;
    let seen = chaos.world.consumer.seen();
    let expected = ["A", "B"].map(|key| (format!("orders/{key}"), vec![format!("{key}-1")]));
    assert_eq!(seen, Expected::from(expected));
}
