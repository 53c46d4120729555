use super::check::*;
use crate::head::{Base, Head};
use crate::position::Position;
use crate::resequence::{Candidate, released_by_append, resequence};
use crate::time::Timestamp;

#[test]
fn a_run_leaves_at_once() {
    for rule in [waiting(), skipping()] {
        check(&rule, &at(""), "1@10", 10, "head 1 releases 1");
        check(&rule, &at("4"), "5@10 6@10 7@9", 10, "head 7 releases 3");
        check(&rule, &at("4"), "", 10, "head 4 releases 0");
        check_incomplete(&rule, &at("4"), "5@1 6@1", 9, "head 6 releases 2, again");
    }
    let from_zero = Head {
        base: Base::Settled(0),
        ..Head::default()
    };
    check(
        &waiting(),
        &from_zero,
        "0@1 1@1",
        1,
        "head 1 releases 2, Settled(0)",
    );
}

#[test]
fn a_hole_opens_a_gap_with_the_clock_of_the_event_above_it() {
    let gap = "head 2 releases 1, gap 3..=4 12-42, wakes at 42";
    check(&waiting(), &at("1"), "2@10 5@12 6@9", 13, gap);
    check(&skipping(), &at("1"), "2@10 5@12 6@9", 13, gap);
    // It did not open before the event below it was there.
    let gap = "head 2 releases 1, gap 3..=4 15-45, wakes at 45";
    check(&skipping(), &at("1"), "2@15 5@12", 16, gap);
    let gap = "head - releases 0, gap 1..=2 12-42, wakes at 42";
    check(&skipping(), &at(""), "3@12", 12, gap);
}

#[test]
fn every_shrinking_of_a_hole_starts_its_clock_anew() {
    let before = with_gap("2", 3, 9, 10);
    let from_above = "head 2 releases 0, gap 3..=6 25-55, wakes at 55";
    check(&skipping(), &before, "7@25 10@10", 26, from_above);
    let from_below = "head 4 releases 2, gap 5..=9 25-55, wakes at 55";
    check(&skipping(), &before, "3@24 4@25 10@10", 26, from_below);
    let in_the_middle = "head 3 releases 1, gap 4..=5 25-55, wakes at 55";
    check(&skipping(), &before, "3@25 6@11 10@10", 26, in_the_middle);
    // Something accepted long ago is put into the hole by an operator: the clock does not go back.
    let old = "head 3 releases 1, gap 4..=9 10-40, wakes at 40";
    check(&skipping(), &before, "3@1 10@10", 26, old);
}

#[test]
fn a_closed_hole_leaves_nothing_behind_but_the_next_one() {
    let before = with_gap("2", 3, 3, 10);
    check(
        &skipping(),
        &before,
        "3@20 4@10 5@11",
        20,
        "head 5 releases 3",
    );
    // That one was open all the time, and its clock has run since it was cut off from the first.
    let next = "head 4 releases 2, gap 5..=5 12-42, wakes at 42";
    check(&skipping(), &before, "3@20 4@10 6@12", 20, next);
}

#[test]
fn nothing_is_decided_before_the_deadline_and_everything_at_it() {
    let before = with_gap("2", 3, 4, 10);
    let not_yet = "head 2 releases 0, gap 3..=4 10-40, wakes at 40";
    check(&waiting(), &before, "5@10", 39, not_yet);
    check(&skipping(), &before, "5@10", 39, not_yet);
    let stalls = "head 2 releases 0, gap 3..=4 10-40 stalled";
    check(&waiting(), &before, "5@10", 40, stalls);
    let skips = "head 4 releases 0, skips 3..=4 ending 3..=4, again";
    check(&skipping(), &before, "5@10", 40, skips);
    // A deadline that passed while nobody looked, behind a run that nobody saw.
    let both = "head 4 releases 1, skips 3..=4 ending 3..=4, again";
    check(&skipping(), &at("1"), "2@8 5@10", 41, both);
}

#[test]
fn a_stream_stalls_once_and_goes_on_when_the_hole_shrinks_or_closes() {
    let before = stalled(with_gap("2", 3, 9, 10));
    let decision = check(
        &waiting(),
        &before,
        "10@10",
        100,
        "head 2 releases 0, gap 3..=9 10-40 stalled",
    );
    assert!(!decision.must_write(&before, secs(100)));
    let shrunk = "head 2 releases 0, gap 3..=6 99-129, wakes at 129";
    let decision = check(&waiting(), &before, "7@99 10@10", 100, shrunk);
    assert!(decision.must_write(&before, secs(100)));
    let closed = "head 5 releases 3, gap 6..=9 97-127, wakes at 127";
    check(&waiting(), &before, "3@98 4@50 5@97 10@10", 100, closed);
}

#[test]
fn what_was_placed_late_is_never_held() {
    let above = "5+00000001@10 5+00000002@11";
    check(
        &waiting(),
        &at("5"),
        above,
        11,
        "head 5+00000002 releases 2",
    );
    let run = format!("{above} 6@12");
    check(&waiting(), &at("5"), &run, 12, "head 6 releases 3");
    let hole = format!("{above} 7@12");
    let gap = "head 5+00000002 releases 2, gap 6..=6 12-42, wakes at 42";
    check(&waiting(), &at("5"), &hole, 12, gap);
    check(
        &waiting(),
        &at("5+00000001"),
        "6@12",
        12,
        "head 6 releases 1",
    );
    // The gap's clock goes on, stalled or not.
    let before = stalled(with_gap("5", 6, 6, 12));
    let still = "head 5+00000002 releases 2, gap 6..=6 12-42 stalled";
    check(&waiting(), &before, &hole, 50, still);
    // Before the first number.
    let first = "head +00000001 releases 1, gap 1..=1 12-42, wakes at 42";
    check(&waiting(), &at(""), "+00000001@11 2@12", 12, first);
    check(
        &waiting(),
        &at("+00000001"),
        "1@12",
        12,
        "head 1 releases 1",
    );
}

#[test]
fn a_run_that_is_read_in_pieces_keeps_the_clock_of_its_hole() {
    let before = with_gap("2", 3, 9, 10);
    let piece = "head 4 releases 2, gap 5..=9 39-69, again";
    check_incomplete(&skipping(), &before, "3@38 4@39", 41, piece);
    let head = resequence(
        &skipping(),
        &before,
        &candidates("3@38 4@39"),
        false,
        secs(41),
    )
    .head;
    let gap = "head 4 releases 0, gap 5..=9 39-69, wakes at 69";
    check(&skipping(), &head, "10@10", 41, gap);
    // The hole closes, and the next one may open right there.
    let before = with_gap("2", 3, 4, 10);
    let head = resequence(
        &skipping(),
        &before,
        &candidates("3@38 4@38 5@39"),
        false,
        secs(41),
    )
    .head;
    let gap = "head 5 releases 0, gap 6..=6 39-69, wakes at 69";
    check(&skipping(), &head, "7@11", 41, gap);
    check(&skipping(), &head, "", 41, "head 5 releases 0");
    // What an operator asked for goes on.
    let asked = passing_over(with_gap("2", 3, 9, 10), 3);
    let head = resequence(
        &waiting(),
        &asked,
        &candidates("3@38 4@39"),
        false,
        secs(41),
    )
    .head;
    let skips = "head 9 releases 0, skips 5..=9 ending 5..=9, again";
    check(&waiting(), &head, "10@10", 41, skips);
}

#[test]
fn the_lowest_number_within_the_window_is_the_base() {
    let rule = lowest();
    let open = rule.initial_head();
    check(&rule, &open, "", 10, "head - releases 0");
    let head = check(
        &rule,
        &open,
        "4@11 7@10",
        11,
        "head - releases 0, wakes at 15",
    )
    .head;
    check(
        &rule,
        &head,
        "2@14 4@11 7@10",
        14,
        "head - releases 0, wakes at 15",
    );
    let head = check(
        &rule,
        &head,
        "2@14 4@11 7@10",
        15,
        "head - releases 0, Fixed(2), again",
    )
    .head;
    // One more slipped in before that was written.
    let above = "1@15 2@14 4@11 7@10";
    let head = check(
        &rule,
        &head,
        above,
        15,
        "head - releases 0, Fixed(1), again",
    )
    .head;
    let head = check(&rule, &head, above, 15, "head - releases 0, again").head;
    assert_eq!(head.base, Base::Settled(1));
    let gap = "head 2 releases 2, gap 3..=3 14-44, wakes at 44";
    check(&rule, &head, above, 15, gap);
}

#[test]
fn a_window_that_passed_while_nobody_looked_is_over() {
    let rule = lowest();
    let fixed = "head - releases 0, Fixed(4), again";
    check(&rule, &rule.initial_head(), "4@11 7@10", 15, fixed);
    // What was placed late before the base is known neither is the base nor hides it.
    let head = Head {
        base: Base::Fixed(4),
        ..Head::default()
    };
    let late = "+00000001@15 +00000002@15";
    let released = "head +00000002 releases 2, Fixed(4), again";
    check_incomplete(&rule, &head, late, 15, released);
    let settled = "head - releases 0, Settled(4), again";
    check(&rule, &head, &format!("{late} 4@11"), 15, settled);
}

#[test]
fn a_stream_with_a_base_below_which_something_slipped_goes_on() {
    let head = Head {
        base: Base::Settled(5),
        ..Head::default()
    };
    let above = "3@10 5@10 6@10";
    check(&lowest(), &head, above, 10, "head 6 releases 3, Settled(5)");
    let head = Head {
        position: Some(Position::dense(3)),
        ..head
    };
    check(
        &lowest(),
        &head,
        "5@10",
        10,
        "head 5 releases 1, Settled(5)",
    );
}

#[test]
fn the_largest_numbers_overflow_nothing() {
    let largest = u64::MAX - 1;
    let above = format!("{largest}@10");
    let stalls = format!("head 1 releases 0, gap 2..={} 10-40 stalled", largest - 1);
    check(&skipping(), &at("1"), &above, 40, &stalls);
    let head = at(&(largest - 1).to_string());
    let released = format!("head {largest} releases 1");
    check(&skipping(), &head, &above, 40, &released);
    check(
        &skipping(),
        &at(&largest.to_string()),
        "",
        40,
        &format!("head {largest} releases 0"),
    );
    let last_but_one = Head {
        gap: None,
        ..at(&(largest - 2).to_string())
    };
    let skips = format!(
        "head {0} releases 0, skips {0}..={0} ending {0}..={0}, again",
        largest - 1
    );
    check(&skipping(), &last_but_one, &above, 40, &skips);
}

#[test]
fn the_end_of_time_is_no_reason_to_fail() {
    let decision = resequence(
        &skipping(),
        &at(""),
        &[Candidate {
            position: Position::dense(2),
            recorded: Timestamp::from_micros(i64::MAX),
        }],
        true,
        secs(1),
    );
    assert_eq!(
        decision.head.wake_at,
        Some(Timestamp::from_micros(i64::MAX))
    );
}

#[test]
fn a_floor_changes_nothing_about_what_leaves() {
    let with_floor = Head {
        floor: Some(Position::dense(2)),
        ..at("4")
    };
    let decision = check(&skipping(), &with_floor, "5@10", 10, "head 5 releases 1");
    assert_eq!(decision.head.floor, with_floor.floor);
}

#[test]
fn an_append_releases_only_what_the_stream_waits_for() {
    let number = Position::dense;
    for (head, next) in [("", 1), ("4", 5), ("4+00000002", 5)] {
        let head = at(head);
        for other in 0..9 {
            let position = number(other);
            let candidate = Candidate {
                position: position.clone(),
                recorded: Timestamp::from_secs(1),
            };
            let released = released_by_append(&waiting(), &head, &position);
            assert_eq!(released.is_some(), other == next, "{other} behind {head:?}");
            if let Some(released) = released {
                let looked = resequence(&waiting(), &head, &[candidate], true, candidate_time());
                assert_eq!(released, looked.head, "as a look would");
            }
        }
        let late = Position::after_head(head.position.as_ref()).unwrap();
        assert_eq!(released_by_append(&waiting(), &head, &late), None);
    }
    let at_gap = resequence(
        &waiting(),
        &at("4"),
        &[Candidate {
            position: number(7),
            recorded: Timestamp::from_secs(1),
        }],
        true,
        candidate_time(),
    );
    assert!(at_gap.head.gap.is_some());
    assert_eq!(
        released_by_append(&waiting(), &at_gap.head, &number(5)),
        None
    );
    for base in [Base::Open, Base::Fixed(1)] {
        let open = Head {
            base,
            ..Head::default()
        };
        assert_eq!(released_by_append(&waiting(), &open, &number(1)), None);
    }
    let last = Head {
        position: Some(number(u64::MAX)),
        ..at("4")
    };
    assert_eq!(
        released_by_append(&waiting(), &last, &number(u64::MAX)),
        None
    );
}

fn candidate_time() -> Timestamp {
    Timestamp::from_secs(2)
}
