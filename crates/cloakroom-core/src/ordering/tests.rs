use super::*;
use crate::head::Gap;

const NOW: Timestamp = Timestamp::from_secs(1_000);

fn dense(first: First, max: u64) -> Rule {
    let gap = GapPolicy {
        after: Duration::from_secs(30),
        then: GapAction::Skip,
        max,
    };
    Rule::Dense {
        first,
        gap,
        late: LatePolicy::Quarantine,
    }
}

fn from_one() -> Rule {
    dense(First::Number(1), 10)
}

fn lowest() -> Rule {
    let hold = Duration::from_secs(5);
    dense(First::Lowest { hold }, 10)
}

fn sparse() -> Rule {
    Rule::Sparse {
        hold: Duration::from_secs(5),
        late: LatePolicy::Deliver,
    }
}

fn at(position: Position, guard: Guard) -> Placement {
    Placement::At { position, guard }
}

fn dense_at(number: u64, guard: Guard) -> Placement {
    at(Position::dense(number), guard)
}

fn check(rule: &Rule, head: &Head, sequence: &str, expected: &Placement) {
    let sequence = Sequence::parse(sequence);
    let placement = rule.place(head, sequence.as_ref(), &"evt".into(), NOW);
    assert_eq!(&placement, expected, "{sequence:?} at {head:?}");
}

/// The head of a settled dense stream.
fn head_at(rule: &Rule, number: u64) -> Head {
    Head {
        position: Some(Position::dense(number)),
        base: Base::Settled(1),
        ..rule.initial_head()
    }
}

#[test]
fn a_number_takes_its_own_place_whatever_the_head_says() {
    let rule = from_one();
    let fresh = rule.initial_head();
    check(&rule, &fresh, "1", &dense_at(1, Guard::None));
    check(&rule, &fresh, "7", &dense_at(7, Guard::None));
    // Below the head the place is taken, and what holds it decides: perhaps it is the event's own first delivery.
    check(&rule, &head_at(&rule, 9), "3", &dense_at(3, Guard::None));
}

#[test]
fn what_is_below_the_base_or_the_floor_is_late() {
    let rule = from_one();
    check(&rule, &rule.initial_head(), "0", &Placement::Late);
    let with_floor = Head {
        floor: Some(Position::dense(4)),
        ..head_at(&rule, 9)
    };
    check(&rule, &with_floor, "4", &Placement::Late);
    check(&rule, &with_floor, "5", &dense_at(5, Guard::None));
}

#[test]
fn until_the_base_is_settled_every_append_is_guarded_by_it() {
    let rule = lowest();
    let open = rule.initial_head();
    assert_eq!(open.base, Base::Open);
    check(&rule, &open, "7", &dense_at(7, Guard::Base(7)));
    let fixed = Head {
        base: Base::Fixed(5),
        ..open.clone()
    };
    check(&rule, &fixed, "7", &dense_at(7, Guard::Base(7)));
    // Not late yet: a lower number that slipped in before the base was fixed may still lower it.
    check(&rule, &fixed, "4", &dense_at(4, Guard::Base(4)));
    let settled = Head {
        base: Base::Settled(5),
        ..open
    };
    check(&rule, &settled, "4", &Placement::Late);
    check(&rule, &settled, "5", &dense_at(5, Guard::None));
}

#[test]
fn a_dense_stream_takes_no_fraction_no_mistake_and_no_last_number() {
    let rule = dense(First::Number(1), 10_000);
    let bad = || Placement::Quarantine(Reason::BadSequence);
    let head = head_at(&rule, 20);
    check(&rule, &head, "21.5", &bad());
    check(&rule, &head, "10000020", &dense_at(10_000_020, Guard::None));
    check(&rule, &head, "10000021", &bad());
    check(&rule, &head, "18446744073709551615", &bad());
    // Where a stream begins nobody knows: anything is plausible but the number that has no successor.
    let open = lowest().initial_head();
    let largest = u64::MAX - 1;
    let placed = dense_at(largest, Guard::Base(largest));
    check(&lowest(), &open, &largest.to_string(), &placed);
    check(&lowest(), &open, &u64::MAX.to_string(), &bad());
    // Near the end of all numbers nothing overflows.
    let near_the_end = head_at(&rule, largest - 1);
    let placed = dense_at(largest, Guard::None);
    check(&rule, &near_the_end, &largest.to_string(), &placed);
    check(&rule, &near_the_end, &u64::MAX.to_string(), &bad());
}

#[test]
fn who_never_skips_still_takes_what_comes_before_its_predecessors() {
    for max in [0, 1] {
        let rule = dense(First::Number(1), max);
        let head = rule.initial_head();
        check(&rule, &head, "100000", &dense_at(100_000, Guard::None));
        let bad = Placement::Quarantine(Reason::BadSequence);
        check(&rule, &head, "1000002", &bad);
    }
}

#[test]
fn without_an_order_field_only_an_arrival_stream_has_a_place() {
    let missing = || Placement::Quarantine(Reason::MissingSequence);
    for rule in [from_one(), sparse(), Rule::Version] {
        check(&rule, &rule.initial_head(), "", &missing());
    }
    let position = Position::arrival(NOW, &"evt".into());
    let placed = at(position, Guard::Head);
    check(&Rule::Arrival, &Head::default(), "", &placed);
    check(&Rule::Arrival, &Head::default(), "7", &placed);
}

#[test]
fn sparse_places_are_late_only_below_the_floor() {
    let position = |text| Position::sparse(&Sequence::parse(text).unwrap(), &"evt".into());
    let head = Head {
        position: Some(position("9")),
        floor: Some(position("5")),
        ..Head::default()
    };
    check(&sparse(), &head, "5", &Placement::Late);
    // Below the head its own place may be taken by its own first delivery: the conditional write tells.
    let placed = at(position("5.5"), Guard::Head);
    check(&sparse(), &head, "5.5", &placed);
    let timestamp = "2026-11-22T10:00:00Z";
    let placed = at(position(timestamp), Guard::Head);
    check(&sparse(), &head, timestamp, &placed);
}

#[test]
fn an_older_version_is_superseded() {
    let position = |text| Position::version(&Sequence::parse(text).unwrap());
    let head = Head {
        position: Some(position("9")),
        ..Head::default()
    };
    for older in ["8", "9", "8.5"] {
        let superseded = Placement::Superseded(position(older));
        check(&Rule::Version, &head, older, &superseded);
    }
    let placed = at(position("9.5"), Guard::Head);
    check(&Rule::Version, &head, "9.5", &placed);
}

#[test]
fn a_clock_that_was_set_back_keeps_no_arrival_below_the_head() {
    let later = NOW.after(Duration::from_secs(60));
    let last = Position::arrival(later, &"other".into());
    let late = Position::after_head(Some(&last)).unwrap();
    for position in [last, late] {
        let head = Head {
            position: Some(position),
            ..Head::default()
        };
        let next = later.after(Duration::from_micros(1));
        let placed = at(Position::arrival(next, &"evt".into()), Guard::Head);
        check(&Rule::Arrival, &head, "", &placed);
        let Placement::At { position, .. } = placed else {
            unreachable!("it was just made");
        };
        assert!(!head.covers(&position));
    }
}

#[test]
fn what_is_undisputed_takes_the_place_that_any_head_gives_it() {
    let number = |number: u64| Sequence::parse(&number.to_string()).unwrap();
    let rule = from_one();
    let old = head_at(&rule, 5);
    for next in [6, 7, 100_001] {
        assert_eq!(
            rule.undisputed(&old, &number(next)),
            Some(Position::dense(next))
        );
        check(&rule, &old, &next.to_string(), &dense_at(next, Guard::None));
    }
    let farthest = 1 + PLAUSIBLE_WIDTH_MIN * PLAUSIBLE_GAPS;
    assert!(rule.undisputed(&old, &number(farthest)).is_some());
    // At or below the head, below the base, too far away, or the last of all numbers.
    for disputed in [0, 1, 5, farthest + 1, u64::MAX] {
        assert_eq!(rule.undisputed(&old, &number(disputed)), None, "{disputed}");
    }
    let high = dense(First::Number(u64::MAX - 5), 10);
    let fresh = high.initial_head();
    assert!(high.undisputed(&fresh, &number(u64::MAX - 1)).is_some());
    assert_eq!(high.undisputed(&fresh, &number(u64::MAX)), None);
    let gap = Gap {
        from: 6,
        to: 6,
        since: NOW,
        deadline: NOW,
        stalled: false,
        skipping_from: None,
    };
    let waiting = Head {
        gap: Some(gap),
        ..old.clone()
    };
    assert_eq!(rule.undisputed(&waiting, &number(7)), None);
    // The base of the first stream is not settled, the others have none.
    assert_eq!(
        lowest().undisputed(&lowest().initial_head(), &number(6)),
        None
    );
    for rule in [sparse(), Rule::Version, Rule::Arrival] {
        assert_eq!(rule.undisputed(&old, &number(6)), None, "{rule:?}");
    }
}

#[test]
fn only_arrivals_have_no_position_of_their_own() {
    for (rule, own) in [
        (from_one(), true),
        (sparse(), true),
        (Rule::Version, true),
        (Rule::Arrival, false),
    ] {
        assert_eq!(rule.position_is_identity(), own, "{rule:?}");
    }
}

#[test]
fn a_stream_is_stalled_once_its_gap_is() {
    let gap = |stalled| Gap {
        from: 1,
        to: 2,
        since: NOW,
        deadline: NOW,
        stalled,
        skipping_from: None,
    };
    for (gap, stalled) in [
        (None, false),
        (Some(gap(false)), false),
        (Some(gap(true)), true),
    ] {
        let head = Head {
            gap,
            ..Head::default()
        };
        assert_eq!(head.is_stalled(), stalled, "{head:?}");
    }
}
