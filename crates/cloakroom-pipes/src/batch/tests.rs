//! Tables of what becomes of one batch, and what holds for every target.

use std::collections::{HashMap, HashSet};

use cloakroom_core::time::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::record::Record;

fn item(number: usize, created_at: Timestamp) -> Arc<Item> {
    Arc::new(Item::new(Record {
        event_id: format!("e{number}"),
        sequence_number: number.to_string(),
        created_at,
        body: json!({}),
    }))
}

fn items(count: usize) -> Vec<Arc<Item>> {
    (1..=count)
        .map(|n| item(n, Timestamp::from_secs(0)))
        .collect()
}

fn numbers(items: &[Arc<Item>]) -> Vec<usize> {
    items
        .iter()
        .map(|item| item.sequence_number.parse().unwrap())
        .collect()
}

fn policy(retries: u32, bisect: bool) -> Policy {
    Policy {
        retries: Some(retries),
        age_max: RETENTION,
        bisect,
    }
}

/// What a batch did, against a target that decides by the numbers of the records.
#[derive(Debug, Default)]
struct Story {
    invoked: Vec<Vec<usize>>,
    succeeded: Vec<usize>,
    buried: Vec<Vec<usize>>,
}

fn run(count: usize, policy: Policy, mut target: impl FnMut(&[usize]) -> Answer) -> Story {
    let mut batch = Batch::new(items(count), policy);
    let mut story = Story::default();
    let mut settled_before = 0;
    loop {
        match batch.step(Timestamp::from_secs(0)) {
            Step::Done => break,
            Step::Bury(given_up) => {
                story.buried.push(numbers(&given_up.items));
                batch.buried(given_up.items.len());
            }
            Step::Invoke(items) => {
                let numbers = numbers(&items);
                let answer = target(&numbers);
                match &answer {
                    Answer::Success => story.succeeded.extend(&numbers),
                    Answer::Partial(failed) => story.succeeded.extend(
                        numbers
                            .iter()
                            .enumerate()
                            .filter(|(place, _)| !failed.contains(place))
                            .map(|(_, n)| n),
                    ),
                    Answer::Failed => {}
                }
                story.invoked.push(numbers);
                batch.answered(&answer);
            }
        }
        let settled = batch.settled().map_or(0, |number| number.parse().unwrap());
        assert!(settled >= settled_before, "a checkpoint fell back");
        settled_before = settled;
        let dealt_with: HashSet<_> = story
            .succeeded
            .iter()
            .chain(story.buried.iter().flatten())
            .collect();
        assert!(
            (1..=settled).all(|number| dealt_with.contains(&number)),
            "a checkpoint is ahead"
        );
    }
    assert_eq!(settled_before, count);
    story
}

/// A target that cannot take this record.
fn poison(record: usize) -> impl FnMut(&[usize]) -> Answer {
    move |batch| {
        if batch.contains(&record) {
            Answer::Failed
        } else {
            Answer::Success
        }
    }
}

#[test]
fn bisecting_isolates_a_poison_record() {
    let story = run(8, policy(2, true), poison(3));
    let expected: [&[usize]; 9] = [
        &[1, 2, 3, 4, 5, 6, 7, 8],
        &[1, 2, 3, 4],
        &[1, 2],
        &[3, 4],
        &[3],
        &[3],
        &[3],
        &[4],
        &[5, 6, 7, 8],
    ];
    assert_eq!(story.invoked, expected);
    assert_eq!(story.buried, [[3]]);
    assert_eq!(story.succeeded, [1, 2, 4, 5, 6, 7, 8]);
}

#[test]
fn without_bisecting_the_whole_batch_is_given_up() {
    let story = run(4, policy(1, false), poison(3));
    assert_eq!(story.invoked, [[1, 2, 3, 4], [1, 2, 3, 4]]);
    assert_eq!(story.buried, [[1, 2, 3, 4]]);
}

#[test]
fn only_what_failed_is_tried_again() {
    let mut answers = [Answer::Partial(vec![1, 3]), Answer::Partial(vec![1])].into_iter();
    let story = run(4, policy(5, false), |_| {
        answers.next().unwrap_or(Answer::Success)
    });
    assert_eq!(story.invoked, [vec![1, 2, 3, 4], vec![2, 4], vec![4]]);
    let mut answers = [Answer::Partial(vec![1, 2, 3])].into_iter();
    let story = run(4, policy(5, true), |_| {
        answers.next().unwrap_or(Answer::Success)
    });
    assert_eq!(story.invoked, [vec![1, 2, 3, 4], vec![2, 3], vec![4]]);
}

#[test]
fn no_retries_means_one_attempt() {
    let story = run(1, policy(0, true), poison(1));
    assert_eq!(story.invoked, [[1]]);
    assert_eq!(story.buried, [[1]]);
}

#[test]
fn what_is_too_old_is_given_up_before_it_is_tried() {
    let at = Timestamp::from_secs;
    let policy = Policy {
        retries: None,
        age_max: Duration::from_secs(60),
        bisect: true,
    };
    let mut batch = Batch::new(
        vec![item(1, at(0)), item(2, at(10)), item(3, at(50))],
        policy,
    );
    let Step::Bury(given_up) = batch.step(at(71)) else {
        panic!("two are too old")
    };
    assert_eq!(numbers(&given_up.items), [1, 2]);
    assert_eq!(given_up.condition, Condition::RecordAgeExceeded);
    batch.buried(2);
    assert_eq!(batch.settled(), Some("2"));
    let Step::Invoke(rest) = batch.step(at(71)) else {
        panic!("one is young enough")
    };
    assert_eq!(numbers(&rest), [3]);
    // However often it fails, it is tried until it is too old.
    for _ in 0..100 {
        batch.answered(&Answer::Failed);
        assert!(matches!(batch.step(at(110)), Step::Invoke(_)));
    }
    assert!(matches!(batch.step(at(111)), Step::Bury(_)));
}

/// Answers of any kind, picked by the numbers that a strategy drew.
fn any_answer(draw: u64, size: usize, suffixes_only: bool) -> Answer {
    let kind = draw % 4;
    let first = usize::try_from(draw / 4).unwrap() % size;
    match kind {
        0 => Answer::Success,
        1 => Answer::Failed,
        _ if suffixes_only => Answer::Partial((first..size).collect()),
        _ => {
            let picked = |place: &usize| draw >> (8 + place % 48) & 1 == 1 || *place == first;
            Answer::Partial((0..size).filter(picked).collect())
        }
    }
}

proptest! {
    #[test]
    fn every_record_succeeds_or_is_given_up(count in 1_usize..40, retries in 0_u32..4, bisect: bool, draws in prop::collection::vec(any::<u64>(), 1..60)) {
        let mut draws = draws.iter().cycle();
        let story = run(count, policy(retries, bisect), |batch| any_answer(*draws.next().unwrap() / 2, batch.len(), false));

        let buried: Vec<usize> = story.buried.iter().flatten().copied().collect();
        let mut ends: Vec<usize> = story.succeeded.iter().chain(&buried).copied().collect();
        ends.sort_unstable();
        prop_assert_eq!(ends, (1..=count).collect::<Vec<_>>(), "each record has exactly one end");

        let mut attempts: HashMap<usize, u32> = HashMap::new();
        let mut first_deliveries = Vec::new();
        for number in story.invoked.iter().flatten() {
            let tried = attempts.entry(*number).or_default();
            if *tried == 0 { first_deliveries.push(*number); }
            *tried += 1;
        }
        prop_assert!(first_deliveries.is_sorted(), "first deliveries are in order: {:?}", first_deliveries);
        let halvings = if bisect { count.next_power_of_two().trailing_zeros() } else { 0 };
        prop_assert!(attempts.values().all(|tried| *tried <= retries + 1 + halvings), "{:?}", attempts);
    }

    /// A target that stops at its first failure, as ours do, succeeds in order whatever happens.
    #[test]
    fn a_target_that_stops_at_its_first_failure_succeeds_in_order(count in 1_usize..40, retries in 0_u32..4, bisect: bool, draws in prop::collection::vec(any::<u64>(), 1..60)) {
        let mut draws = draws.iter().cycle();
        let story = run(count, policy(retries, bisect), |batch| any_answer(*draws.next().unwrap(), batch.len(), true));
        prop_assert!(story.succeeded.is_sorted(), "{:?}", story);
    }
}
