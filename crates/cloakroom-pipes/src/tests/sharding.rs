//! Several shards: parallel, split, closed, forgotten, trimmed; and where a pipe begins.

use std::time::Duration;

use cloakroom_engine::ports::Clock as _;
use serde_json::{Value, json};

use super::world::{Setting, World, ids};
use crate::ports::{Checkpoint, Checkpoints as _, TargetError};

fn willing(parameters: Value) -> World {
    World::new(parameters, &Setting::default(), |_| Ok(Value::Null))
}

#[tokio::test(start_paused = true)]
async fn children_wait_until_their_parent_is_settled() {
    let setting = Setting {
        takes: Duration::from_secs(60),
        ..Setting::default()
    };
    let world = World::new(json!({"BatchSize": 2}), &setting, |_| Ok(Value::Null));
    world.stream.open("parent", None);
    world.stream.open("left", Some("parent"));
    world.stream.open("right", Some("parent"));
    world.stream.write("left", 1, "EVENT");
    world.stream.write("right", 1, "EVENT");
    world.stream.write("parent", 4, "EVENT");
    world.stream.close("parent");
    world.run_for(300).await;
    let mut invoked = world.invoked();
    invoked[2..].sort();
    assert_eq!(
        invoked,
        [
            ids("parent", 1..=2),
            ids("parent", 3..=4),
            ids("left", 1..=1),
            ids("right", 1..=1)
        ]
    );
    let begins: Vec<_> = world.invocations().iter().map(|one| one.at).collect();
    assert_eq!(
        begins[2], begins[3],
        "the children are worked on at the same time"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_stuck_holds_up_its_children_but_no_other_shard() {
    let world = World::new(json!({}), &Setting::default(), |batch| {
        match batch.iter().any(|id| id.starts_with("parent/")) {
            true => Err(TargetError::Failed("stuck".into())),
            false => Ok(Value::Null),
        }
    });
    world.stream.open("parent", None);
    world.stream.open("child", Some("parent"));
    world.stream.open("other", None);
    for shard in ["parent", "child", "other"] {
        world.stream.write(shard, 1, "EVENT");
    }
    world.stream.close("parent");
    world.run_for(3_600).await;
    assert_eq!(world.succeeded(), ids("other", 1..=1));
    assert!(
        world.dead_letters.letters().is_empty(),
        "retries are unlimited by default"
    );
}

#[tokio::test(start_paused = true)]
async fn a_split_while_running_is_found_and_a_parent_forgotten_with_the_stream() {
    let world = willing(json!({}));
    world.stream.open("parent", None);
    world
        .run_while(async {
            world.stream.write("parent", 1, "EVENT");
            world.pass(1).await;
            world.stream.write("parent", 1, "EVENT");
            world.stream.close("parent");
            world.stream.open("child", Some("parent"));
            world.stream.write("child", 1, "EVENT");
            world.pass(15).await;
            let checkpoints = world.checkpoints.load().await.unwrap();
            assert_eq!(checkpoints[&"parent".into()], Checkpoint::Finished);
            world.stream.forget("parent");
            world.pass(15).await;
            let checkpoints = world.checkpoints.load().await.unwrap();
            assert_eq!(checkpoints.len(), 1, "{checkpoints:?}");
        })
        .await;
    let expected = [ids("parent", 1..=2), ids("child", 1..=1)].concat();
    assert_eq!(world.succeeded(), expected);
}

#[tokio::test(start_paused = true)]
async fn trim_horizon_begins_at_the_oldest_and_latest_at_the_newest() {
    for (position, expected) in [
        (
            "TRIM_HORIZON",
            [ids("old", 1..=2), ids("open", 1..=3), ids("child", 1..=2)].concat(),
        ),
        ("LATEST", [ids("open", 3..=3), ids("child", 1..=2)].concat()),
    ] {
        let world = willing(json!({"StartingPosition": position}));
        world.stream.open("old", None);
        world.stream.write("old", 2, "EVENT");
        world.stream.close("old");
        world.stream.open("open", Some("old"));
        world.stream.write("open", 2, "EVENT");
        world
            .run_while(async {
                world.pass(5).await;
                world.stream.write("open", 1, "EVENT");
                world.pass(5).await;
            })
            .await;
        // What is written between two runs is not missed, nor the shards that appear then.
        world.stream.close("open");
        world.stream.open("child", Some("open"));
        world.stream.write("child", 2, "EVENT");
        world.run_for(30).await;
        assert_eq!(world.succeeded(), expected, "{position}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_iterator_loses_and_repeats_nothing() {
    let setting = Setting {
        page: 2,
        ..Setting::default()
    };
    let world = World::new(json!({}), &setting, |_| Ok(Value::Null));
    world.stream.open("a", None);
    world
        .run_while(async {
            for _ in 0..5 {
                world.stream.write("a", 5, "EVENT");
                world.pass(2).await;
                world.stream.expire_iterators();
            }
            world.pass(2).await;
        })
        .await;
    assert_eq!(world.succeeded(), ids("a", 1..=25));
}

#[tokio::test(start_paused = true)]
async fn where_the_stream_forgot_records_reading_goes_on_after_them() {
    let world = willing(json!({}));
    world.stream.open("a", None);
    world.stream.write("a", 2, "EVENT");
    world.run_for(1).await;
    world.stream.write("a", 5, "EVENT");
    world.stream.trim("a", 5);
    world.run_for(60).await;
    assert_eq!(
        world.succeeded(),
        [ids("a", 1..=2), ids("a", 6..=7)].concat()
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_vanishes_counts_as_read_to_its_end() {
    let world = willing(json!({}));
    world.stream.open("a", None);
    world.stream.open("b", Some("a"));
    let began = world.clock.now();
    world
        .run_while(async {
            world.pass(1).await;
            world.stream.forget("a");
            world.stream.write("b", 1, "EVENT");
            world.pass(15).await;
        })
        .await;
    assert_eq!(world.succeeded(), ids("b", 1..=1));
    assert!(world.invocations()[0].at.since(began) < Duration::from_secs(15));
}
