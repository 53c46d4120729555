use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::model::{Body, Fate, Input, Model, Worker};
use crate::head::{Base, Head};
use crate::ordering::{First, GapAction, GapPolicy, LatePolicy, Reason, Rule};
use crate::position::Position;

const HOLD: Duration = Duration::from_secs(5);

/// One thing that happens.
#[derive(Debug, Clone)]
enum Op {
    /// A delivery of the event with this number; the flag makes it another event that claims the same number.
    Append(u64, bool),
    /// The same, by an ingest that read the head and took its time a while ago.
    AppendStale(u64, bool),
    /// A resequencer makes one step.
    Step(usize),
    /// A resequencer stops for ever in the middle of its work, and another takes its place.
    Crash(usize),
    /// A resequencer runs until it is at rest.
    Run,
    /// Time passes.
    Advance(u64),
    /// An operator passes the gap over.
    SkipGap,
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..25, 2 => 95u64..105, 1 => 0u64..420]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (number(), prop::bool::weighted(0.05)).prop_map(|(n, other)| Op::Append(n, other)),
        3 => (number(), prop::bool::weighted(0.05)).prop_map(|(n, other)| Op::AppendStale(n, other)),
        8 => (0usize..2).prop_map(Op::Step),
        1 => (0usize..2).prop_map(Op::Crash),
        2 => Just(Op::Run),
        4 => (0u64..20_000).prop_map(Op::Advance),
        1 => Just(Op::SkipGap),
    ]
}

fn dense(first: First, then: GapAction, max: u64, late: LatePolicy) -> Rule {
    let after = Duration::from_secs(30);
    let gap = GapPolicy { after, then, max };
    Rule::Dense { first, gap, late }
}

fn first() -> impl Strategy<Value = First> {
    prop_oneof![
        (0u64..3).prop_map(First::Number),
        Just(First::Lowest { hold: HOLD }),
    ]
}

fn late() -> impl Strategy<Value = LatePolicy> {
    prop_oneof![Just(LatePolicy::Deliver), Just(LatePolicy::Quarantine)]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        4 => (first(), late()).prop_map(|(first, late)| dense(first, GapAction::Skip, 1_000, late)),
        2 => (first(), late()).prop_map(|(first, late)| dense(first, GapAction::Wait, 1_000, late)),
        1 => (first(), late()).prop_map(|(first, late)| dense(first, GapAction::Skip, 5, late)),
        2 => late().prop_map(|late| Rule::Sparse { hold: HOLD, late }),
        1 => Just(Rule::Version),
        1 => Just(Rule::Arrival),
    ]
}

fn input(number: u64, other: bool) -> Input {
    let claimant = if other { "other" } else { "evt" };
    Input {
        identity: format!("{claimant}-{number}"),
        number,
    }
}

/// Plays `ops`, then lets the provider send everything again, and time pass.
fn play(rule: Rule, run_max: usize, ops: &[Op]) -> (Model, BTreeSet<Input>) {
    let mut model = Model::new(rule, run_max);
    let mut workers = [Worker::Idle, Worker::Idle];
    let mut sent = BTreeSet::new();
    let mut stale: (Head, _) = (model.head.clone(), model.now);
    for op in ops {
        match *op {
            Op::Append(number, other) => {
                let input = input(number, other);
                let (now, head) = (model.now, model.head.clone());
                model.append(&input, now, head);
                sent.insert(input);
            }
            Op::AppendStale(number, other) => {
                let input = input(number, other);
                // What is known of the base and the floor is never that old: an append that takes longer is refused.
                let (head, recorded) = stale;
                model.append(&input, recorded, head);
                sent.insert(input);
                stale = (model.head.clone(), model.now);
            }
            Op::Step(which) => {
                let worker = std::mem::take(&mut workers[which]);
                workers[which] = model.step(worker).unwrap_or_default();
            }
            Op::Crash(which) => workers[which] = Worker::Idle,
            Op::Run => {
                model.run();
            }
            Op::Advance(millis) => model.now = model.now.after(Duration::from_millis(millis)),
            Op::SkipGap => model.skip_gap(),
        }
    }
    model.settle();
    for input in &sent {
        let (now, head) = (model.now, model.head.clone());
        assert!(model.append(input, now, head), "{input:?} is still refused");
    }
    model.settle();
    (model, sent)
}

/// What holds of every stream, whatever its rule.
fn check_stream(model: &Model, sent: &BTreeSet<Input>) {
    for pair in model.released.windows(2) {
        assert!(
            pair[0].0 < pair[1].0,
            "{} left before {}",
            pair[0].0,
            pair[1].0
        );
    }
    let frozen: Vec<_> = model
        .entries
        .iter()
        .filter(|(position, _)| model.head.covers(position))
        .collect();
    let left: Vec<_> = model
        .released
        .iter()
        .map(|(position, entry)| (position, entry))
        .collect();
    assert_eq!(
        frozen, left,
        "what is at or below the head is not what was released"
    );
    for input in sent {
        let placed: Vec<_> = model
            .entries
            .iter()
            .filter(|(_, entry)| entry.body == Body::Payload(input.clone()))
            .map(|(position, _)| position)
            .collect();
        match &model.fates[&input.identity] {
            Fate::Placed(position) => assert_eq!(placed, [position]),
            Fate::Superseded(_) => assert!(placed.is_empty() && model.rule == Rule::Version),
            Fate::Quarantined(reason) => {
                assert!(placed.is_empty());
                assert!(
                    matches!(reason, Reason::SequenceConflict | Reason::Late),
                    "{reason:?}"
                );
            }
        }
    }
}

/// Every number from the base to the head is either delivered at its own place or in exactly one gap event's range.
fn check_numbers(model: &Model) {
    let Base::Settled(base) = model.head.base else {
        return;
    };
    let end = model
        .head
        .position
        .as_ref()
        .and_then(Position::number)
        .map_or(base, |last| last + 1);
    let mut covered = vec![0; usize::try_from(end.saturating_sub(base)).unwrap()];
    let mut cover = |number: u64| covered[usize::try_from(number - base).unwrap()] += 1;
    let mut ranges = Vec::new();
    for (position, entry) in &model.released {
        match &entry.body {
            Body::Payload(input) if !position.is_late() => {
                assert_eq!(*position, Position::dense(input.number));
                cover(input.number);
            }
            Body::Gap(from, to) => {
                assert_eq!(position.number(), Some(*to));
                (*from..=*to).for_each(&mut cover);
                ranges.push(*from..=*to);
            }
            Body::Payload(_) | Body::Placeholder => {}
        }
    }
    assert!(
        covered.iter().all(|times| *times == 1),
        "from {base}: {covered:?}"
    );
    for (position, entry) in model
        .released
        .iter()
        .filter(|(position, _)| position.is_late())
    {
        if let Body::Payload(input) = &entry.body {
            let passed =
                input.number < base || ranges.iter().any(|range| range.contains(&input.number));
            assert!(passed, "{} at {position} was not late", input.number);
        }
    }
}

/// Nothing that may leave is left, and nothing is left for time to release.
fn check_rest(model: &mut Model) {
    let waiting: Vec<_> = model
        .entries
        .keys()
        .filter(|position| !model.head.covers(position))
        .collect();
    let wakes_at = model.head.wake_at.filter(|at| *at > model.now);
    assert_eq!(wakes_at, None);
    match (&model.rule, waiting.first()) {
        (_, None) => {}
        (Rule::Dense { gap: policy, .. }, Some(waiting)) => {
            let gap = model
                .head
                .gap
                .as_ref()
                .expect("only a hole holds anything for ever");
            let too_wide = gap.to - gap.from >= policy.max;
            assert!(
                gap.stalled && (policy.then == GapAction::Wait || too_wide),
                "{gap:?}"
            );
            assert_eq!(waiting.number(), Some(gap.to + 1));
        }
        (rule, Some(position)) => panic!("{position} waits for ever under {rule:?}"),
    }
    let head = model.head.clone();
    let decision = model.decide(&head);
    assert!(
        decision.is_none_or(|decision| !decision.must_write(&head, model.now)),
        "looking twice changed the head"
    );
}

fn check_all(mut model: Model, sent: &BTreeSet<Input>) {
    check_stream(&model, sent);
    check_numbers(&model);
    check_rest(&mut model);
    if model.rule == Rule::Version {
        let newest = sent
            .iter()
            .map(|input| input.number)
            .max()
            .map(Position::dense);
        assert_eq!(model.head.position, newest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_keeps_the_promises(
        rule in any_rule(),
        run_max in prop_oneof![1usize..6, Just(90)],
        ops in prop::collection::vec(op(), 0..150),
    ) {
        let (model, sent) = play(rule, run_max, &ops);
        check_all(model, &sent);
    }

    /// A wide hole that is passed over in chunks, while what is missing turns up between them.
    #[test]
    fn what_turns_up_while_a_wide_hole_is_passed_over_keeps_its_place(
        late in late(),
        run_max in prop_oneof![1usize..6, Just(90)],
        by_operator: bool,
        arrivals in prop::collection::vec((prop_oneof![97u64..102, 195u64..200, 1u64..300], 0usize..8), 1..12),
    ) {
        let then = if by_operator { GapAction::Wait } else { GapAction::Skip };
        let mut ops = vec![Op::Append(300, false), Op::Run];
        ops.push(if by_operator { Op::SkipGap } else { Op::Advance(30_000) });
        for (number, steps) in arrivals {
            ops.extend((0..steps).map(|_| Op::Step(0)));
            ops.push(Op::Append(number, false));
        }
        let (model, sent) = play(dense(First::Number(1), then, 1_000, late), run_max, &ops);
        check_all(model, &sent);
    }

    /// In whatever order a dense stream's events come, they leave in the order of their numbers, without any gap event
    /// if none is lost.
    #[test]
    fn any_permutation_leaves_in_order(
        numbers in Just((1u64..=60).collect::<Vec<_>>()).prop_shuffle(),
        doubled in prop::collection::vec(0usize..60, 0..20),
        looks in prop::collection::vec(any::<bool>(), 80),
    ) {
        let doubles = doubled.iter().map(|index| numbers[*index]);
        let deliveries: Vec<_> = numbers.iter().copied().chain(doubles).collect();
        let mut ops = Vec::new();
        for (number, look) in deliveries.into_iter().zip(looks) {
            ops.push(Op::Append(number, false));
            ops.extend(look.then_some(Op::Run));
        }
        let rule = dense(First::Number(1), GapAction::Skip, 1_000, LatePolicy::Deliver);
        let (model, _) = play(rule, 90, &ops);
        let left: Vec<_> = model.released.iter().map(|(position, _)| position.clone()).collect();
        prop_assert_eq!(left, (1..=60).map(Position::dense).collect::<Vec<_>>());
    }
}

/// Sends `numbers` one by one, each with a look, `every` apart; how many candidates and head writes it took in all.
fn cost(rule: Rule, numbers: impl Iterator<Item = u64>, every: Duration) -> (usize, usize) {
    let mut model = Model::new(rule, 90);
    let mut due = None;
    for number in numbers {
        let (now, head) = (model.now, model.head.clone());
        assert!(model.append(&input(number, false), now, head));
        due = due.max(model.run());
        model.now = model.now.after(every);
        if due.is_some_and(|due| due <= model.now) {
            due = model.run();
        }
    }
    model.settle();
    let waiting = model
        .entries
        .keys()
        .any(|position| !model.head.covers(position));
    assert!(!waiting, "all of it should have left");
    (model.candidates_read, model.head_writes)
}

#[test]
fn the_cost_of_a_burst_is_flat_in_whatever_order_it_comes() {
    const N: usize = 5_000;
    let last = N as u64;
    let rule = || {
        dense(
            First::Number(1),
            GapAction::Skip,
            10_000,
            LatePolicy::Deliver,
        )
    };
    let at_once = Duration::from_micros(10);
    let (in_order, in_order_writes) = cost(rule(), 1..=last, at_once);
    assert!(
        in_order <= 2 * N && in_order_writes <= N,
        "{in_order} reads, {in_order_writes} writes"
    );
    let (reversed, reversed_writes) = cost(rule(), (1..=last).rev(), at_once);
    assert!(reversed <= 4 * N, "{reversed} candidates were read");
    // One for the gap, and one for every run of 90 that leaves.
    assert!(
        reversed_writes <= 2 + N.div_ceil(80),
        "{reversed_writes} head writes"
    );
    // Slowly, so that the deadline comes up again and again.
    let (slow, slow_writes) = cost(rule(), (1..=last).rev(), Duration::from_secs(1));
    assert!(
        slow <= 4 * N && slow_writes <= N / 10,
        "{slow} reads, {slow_writes} writes"
    );
    let lowest = dense(
        First::Lowest { hold: HOLD },
        GapAction::Skip,
        10_000,
        LatePolicy::Deliver,
    );
    let (base, _) = cost(lowest, (1..=last).rev(), at_once);
    assert!(base <= 4 * N, "{base} candidates were read");
}

#[test]
fn a_held_event_is_read_a_bounded_number_of_times() {
    const N: usize = 5_000;
    let rule = || Rule::Sparse {
        hold: HOLD,
        late: LatePolicy::Deliver,
    };
    let every = Duration::from_millis(10);
    let in_order: Vec<_> = (1..=N as u64).collect();
    // Reversed over two seconds at a time, so that nothing comes later than the hold allows.
    let shuffled = in_order
        .chunks(200)
        .flat_map(|chunk| chunk.iter().rev().copied())
        .collect();
    for numbers in [in_order, shuffled] {
        let (reads, writes) = cost(rule(), numbers.into_iter(), every);
        assert!(reads <= 11 * N, "{reads} candidates were read");
        assert!(writes <= N / 10, "{writes} head writes");
    }
}
