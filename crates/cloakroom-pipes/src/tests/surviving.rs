//! Whatever the target answers, the stream does and whenever the runner stops: every record that passes the filter is dealt with or given
//! up on record, and first deliveries keep the order of their shard and of its parents.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cloakroom_engine::ports::Entropy as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{Dice, Setting, World, failing};
use crate::ports::TargetError;

/// `grand` was split into `left` and `right`; `left` was closed again and continued by `child`. `other` stands alone.
const FAMILY: [(&str, Option<&str>); 5] = [
    ("grand", None),
    ("left", Some("grand")),
    ("right", Some("grand")),
    ("child", Some("left")),
    ("other", None),
];

/// A target of which each invocation may succeed, fail in part or as a whole, name nonsense, or be out of reach.
fn moody(dice: Arc<Dice>) -> impl Fn(&[String]) -> Result<Value, TargetError> + Send + Sync {
    move |batch| match dice.next() % 10 {
        0 => Err(TargetError::Failed("a bad day".into())),
        1 => Err(TargetError::Unavailable("a bad line".into())),
        2 => Err(TargetError::Failed("a null identifier, say".into())),
        3 | 4 => Ok(failing(batch.iter().filter(|_| dice.chance(40)))),
        5 => Ok(failing(
            &batch[usize::try_from(dice.next()).unwrap_or(0) % batch.len()..],
        )),
        _ => Ok(json!({})),
    }
}

/// Writes into the family over time, then waits.
async fn write(world: &World, dice: &Dice, written: &mut HashMap<&'static str, usize>) {
    for (shard, _) in FAMILY {
        let kind = if dice.chance(70) { "EVENT" } else { "HEAD" };
        let count = usize::try_from(dice.next() % 6).unwrap_or(0);
        world.stream.write(shard, count, kind);
        if kind == "EVENT" {
            *written.entry(shard).or_default() += count;
        }
    }
    world.pass(dice.next() % 20).await;
}

async fn survive(seed: u64, parameters: Value, takes: u64) {
    let dice = Arc::new(Dice::new(seed));
    let page = 1 + usize::try_from(dice.next() % 7).unwrap_or(0);
    let setting = Setting {
        seed,
        faults: 15,
        page,
        takes: Duration::from_millis(takes),
    };
    let world = World::new(parameters, &setting, moody(Arc::clone(&dice)));
    for (shard, parent) in FAMILY {
        world.stream.open(shard, parent);
    }
    let mut written = HashMap::new();
    for _ in 0..3 {
        // Each round ends with a stop, wherever the workers are, and the next goes on from the checkpoints.
        world.run_while(write(&world, &dice, &mut written)).await;
    }
    write(&world, &dice, &mut written).await;
    for shard in ["grand", "left"] {
        world.stream.close(shard);
    }
    world.run_until_settled().await;

    let succeeded: HashSet<_> = world.succeeded().into_iter().collect();
    let given_up = world.given_up();
    let invoked: Vec<_> = world.invoked().into_iter().flatten().collect();
    let delivered: HashSet<_> = invoked.iter().cloned().collect();
    let total: usize = written.values().sum();
    assert!(
        invoked
            .iter()
            .all(|id| succeeded.contains(id) || given_up.contains(id))
    );
    assert_eq!(
        delivered.len(),
        total,
        "every record that passes the filter was delivered"
    );

    first_deliveries_are_in_order(&invoked);
}

fn first_deliveries_are_in_order(invoked: &[String]) {
    let mut seen = HashSet::new();
    let mut newest: HashMap<&str, usize> = HashMap::new();
    for id in invoked.iter().filter(|id| seen.insert(id.as_str())) {
        let (shard, number) = id.split_once('/').unwrap();
        let number: usize = number.parse().unwrap();
        let before = newest.insert(shard, number).unwrap_or(0);
        assert!(before < number, "{id} came after {before}");
        for (child, parent) in FAMILY {
            if parent == Some(shard) {
                assert!(
                    !newest.contains_key(child),
                    "{id} came after its child's records"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn every_record_is_dealt_with_or_given_up_on_record(
        seed: u64, batch in 1_u32..12, window in 0_u32..5, retries in 0_i32..4, bisect: bool, takes in 0_u64..3_000,
    ) {
        let mut parameters = json!({
            "BatchSize": batch, "MaximumBatchingWindowInSeconds": window, "MaximumRetryAttempts": retries,
        });
        if bisect {
            parameters["OnPartialBatchItemFailure"] = json!("AUTOMATIC_BISECT");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(survive(seed, parameters, takes));
    }
}
