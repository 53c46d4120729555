use std::fmt::Write;
use std::time::Duration;

use crate::head::{Base, Gap, Head};
use crate::ordering::{First, GapAction, GapPolicy, LatePolicy, Rule};
use crate::position::{Position, Sequence};
use crate::resequence::{Candidate, Decision, Need, need, resequence};
use crate::time::Timestamp;

fn secs(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn dense(first: First, then: GapAction) -> Rule {
    let after = Duration::from_secs(30);
    let max = 1_000;
    Rule::Dense {
        first,
        gap: GapPolicy { after, then, max },
        late: LatePolicy::Deliver,
    }
}

fn waiting() -> Rule {
    dense(First::Number(1), GapAction::Wait)
}

fn skipping() -> Rule {
    dense(First::Number(1), GapAction::Skip)
}

fn lowest() -> Rule {
    let hold = Duration::from_secs(5);
    dense(First::Lowest { hold }, GapAction::Skip)
}

fn sparse() -> Rule {
    Rule::Sparse {
        hold: Duration::from_secs(8),
        late: LatePolicy::Deliver,
    }
}

/// A dense stream that starts at 1, with its head at this position (without leading zeros); none for an empty one.
fn at(head: &str) -> Head {
    Head {
        position: (!head.is_empty()).then(|| Position::expand(head).unwrap()),
        base: Base::Settled(1),
        ..Head::default()
    }
}

fn with_gap(head: &str, from: u64, to: u64, since: i64) -> Head {
    let deadline = secs(since + 30);
    Head {
        gap: Some(Gap {
            from,
            to,
            since: secs(since),
            deadline,
            stalled: false,
            skipping_from: None,
        }),
        wake_at: Some(deadline),
        ..at(head)
    }
}

/// The same head, stalled.
fn stalled(mut head: Head) -> Head {
    if let Some(gap) = &mut head.gap {
        gap.stalled = true;
    }
    head.wake_at = None;
    head
}

/// The same head, while its gap is being passed over since `from`.
fn passing_over(mut head: Head, from: u64) -> Head {
    if let Some(gap) = &mut head.gap {
        gap.skipping_from = Some(from);
    }
    head.wake_at = None;
    head
}

/// Candidates like `3@10 5@11`: position (without leading zeros) and second of acceptance.
fn candidates(text: &str) -> Vec<Candidate> {
    let candidate = |word: &str| {
        let (position, recorded) = word.split_once('@').unwrap();
        Candidate {
            position: Position::expand(position).unwrap(),
            recorded: secs(recorded.parse().unwrap()),
        }
    };
    text.split_whitespace().map(candidate).collect()
}

fn show(decision: &Decision) -> String {
    let Decision { head, .. } = decision;
    let position = head.position.as_ref().map_or("-", Position::compact);
    let mut text = format!("head {position} releases {}", decision.released);
    if decision.superseded > 0 {
        write!(text, " superseding {}", decision.superseded).unwrap();
    }
    if let Some(skip) = decision.skipped {
        write!(text, ", skips {}..={}", skip.from, skip.to).unwrap();
        if let Some(from) = skip.range_from {
            write!(text, " ending {from}..={}", skip.to).unwrap();
        }
    }
    if let Some(gap) = &head.gap {
        let (since, deadline) = (gap.since.as_secs(), gap.deadline.as_secs());
        write!(text, ", gap {}..={} {since}-{deadline}", gap.from, gap.to).unwrap();
        text.push_str(if gap.stalled { " stalled" } else { "" });
        if let Some(from) = gap.skipping_from {
            write!(text, " skipping from {from}").unwrap();
        }
    }
    match head.base {
        Base::Settled(1) | Base::Open => {}
        base => write!(text, ", {base:?}").unwrap(),
    }
    if let Some(at) = head.wake_at {
        write!(text, ", wakes at {}", at.as_micros() as f64 / 1e6).unwrap();
    }
    text.push_str(if decision.again { ", again" } else { "" });
    text
}

/// Decides with every candidate known.
fn check(rule: &Rule, head: &Head, above: &str, now: i64, expected: &str) -> Decision {
    let decision = resequence(rule, head, &candidates(above), true, secs(now));
    assert_eq!(show(&decision), expected, "{above} above {head:?} at {now}");
    decision
}

/// Decides with only the first candidates known.
fn check_incomplete(rule: &Rule, head: &Head, above: &str, now: i64, expected: &str) {
    let decision = resequence(rule, head, &candidates(above), false, secs(now));
    assert_eq!(show(&decision), expected, "{above} above {head:?} at {now}");
}

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
fn a_hole_that_is_too_wide_is_never_skipped_by_itself() {
    let skips = "head 98 releases 0, skips 1..=98, gap 99..=1000 10-40 skipping from 1, again";
    check(&skipping(), &at(""), "1001@10", 40, skips);
    let stalls = "head - releases 0, gap 1..=1001 10-40 stalled";
    check(&skipping(), &at(""), "1002@10", 40, stalls);
    let Rule::Dense { first, gap, late } = skipping() else {
        unreachable!("it is dense");
    };
    let gap = GapPolicy { max: 0, ..gap };
    let never = Rule::Dense { first, gap, late };
    let stalls = "head - releases 0, gap 1..=1 10-40 stalled";
    check(&never, &at(""), "2@10", 40, stalls);
}

#[test]
fn a_wide_hole_is_passed_over_in_chunks_with_one_range_at_the_end() {
    let first = "head 100 releases 0, skips 3..=100, gap 101..=203 10-40 skipping from 3, again";
    let before = with_gap("2", 3, 203, 10);
    let head = check(&skipping(), &before, "204@10", 40, first).head;
    let second = "head 198 releases 0, skips 101..=198, gap 199..=203 10-40 skipping from 3, again";
    let head = check(&skipping(), &head, "204@10", 40, second).head;
    let last = "head 203 releases 0, skips 199..=203 ending 3..=203, again";
    let head = check(&skipping(), &head, "204@10", 40, last).head;
    check(&skipping(), &head, "204@10", 40, "head 204 releases 1");
    let exactly = with_gap("2", 3, 100, 10);
    let all = "head 100 releases 0, skips 3..=100 ending 3..=100, again";
    check(&skipping(), &exactly, "101@10", 40, all);
}

#[test]
fn an_event_inside_the_hole_between_two_chunks_ends_the_range_there() {
    let before = passing_over(with_gap("100", 101, 203, 10), 3);
    // Further up: the range ends below it, and what is left is another hole with its own clock.
    let ends = "head 149 releases 0, skips 101..=149 ending 3..=149, again";
    let head = check(&skipping(), &before, "150@41 204@10", 41, ends).head;
    let rest = "head 150 releases 1, gap 151..=203 41-71, wakes at 71";
    check(&skipping(), &head, "150@41 204@10", 41, rest);
    // Directly above the placeholders, which are frozen: the gap event is put behind them.
    let ends = "head 100+00000001 releases 0, skips 101..=100 ending 3..=100, \
                gap 101..=203 10-40 skipping from 101, again";
    let head = check(&skipping(), &before, "101@41 204@10", 41, ends).head;
    let goes_on =
        "head 199 releases 1, skips 102..=199, gap 200..=203 41-71 skipping from 102, again";
    check(&skipping(), &head, "101@41 204@10", 41, goes_on);
    // Everything that was still missing turned up.
    let before = passing_over(with_gap("100", 101, 102, 10), 3);
    let above = "101@41 102@41 103@10";
    let ends = "head 100+00000001 releases 0, skips 101..=100 ending 3..=100, \
                gap 101..=102 10-40 skipping from 101, again";
    let head = check(&skipping(), &before, above, 41, ends).head;
    check(&skipping(), &head, above, 41, "head 103 releases 3");
}

#[test]
fn late_ones_between_two_chunks_leave_before_the_gap_event() {
    let before = passing_over(with_gap("100", 101, 103, 10), 3);
    let late = "100+00000001@41 100+00000002@41";
    let above = format!("{late} 104@10");
    let skips = "head 103 releases 2, skips 101..=103 ending 3..=103, again";
    check(&skipping(), &before, &above, 41, skips);
    let above = format!("{late} 101@41 104@10");
    let ends = "head 100+00000003 releases 2, skips 101..=100 ending 3..=100, \
                gap 101..=103 10-40 skipping from 101, again";
    check(&skipping(), &before, &above, 41, ends);
    // While more late ones may follow, what has begun is not forgotten.
    let more = "head 100+00000002 releases 2, gap 101..=103 10-40 skipping from 3, again";
    check_incomplete(&skipping(), &before, late, 41, more);
}

#[test]
fn an_operator_passes_over_what_the_policy_does_not() {
    let asked = passing_over(stalled(with_gap("2", 3, 5, 10)), 3);
    let skips = "head 5 releases 0, skips 3..=5 ending 3..=5, again";
    check(&waiting(), &asked, "6@10", 12, skips);
    // It stops at what turned up meanwhile, and starts after it.
    let skips = "head 3 releases 0, skips 3..=3 ending 3..=3, again";
    check(&waiting(), &asked, "4@12 6@10", 12, skips);
    let skips = "head 5 releases 1, skips 4..=5 ending 4..=5, again";
    check(&waiting(), &asked, "3@12 6@10", 12, skips);
    // It does not reach into the next hole.
    let next = "head 6 releases 4, gap 7..=7 11-41, wakes at 41";
    check(&waiting(), &asked, "3@12 4@12 5@12 6@10 8@11", 12, next);
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

fn sparse_at(number: u64) -> String {
    let position = Position::sparse(&Sequence::whole(number), &"evt".into());
    position.compact().to_owned()
}

/// Like [`check`], with plain numbers for the sparse candidates and for the head expected.
fn check_sparse(above: &[(u64, i64)], now: i64, head: Option<u64>, expected: &str) {
    let words: Vec<_> = above
        .iter()
        .map(|(number, recorded)| format!("{}@{recorded}", sparse_at(*number)))
        .collect();
    let head = head.map_or("-".to_owned(), sparse_at);
    let expected = format!("head {head} {expected}");
    check(
        &sparse(),
        &Head::default(),
        &words.join(" "),
        now,
        &expected,
    );
}

#[test]
fn a_sparse_event_is_held_for_the_window() {
    check_sparse(&[(7, 10)], 17, None, "releases 0, wakes at 18");
    check_sparse(&[(7, 10)], 18, Some(7), "releases 1");
    check_sparse(&[], 18, None, "releases 0");
    // Whatever stands before one that may leave leaves with it.
    check_sparse(&[(3, 17), (7, 10)], 18, Some(7), "releases 2");
    let rest = "releases 2, wakes at 20";
    check_sparse(&[(3, 17), (7, 10), (9, 12), (11, 12)], 18, Some(7), rest);
    // The first that is due wakes the stream, not the first in order.
    check_sparse(&[(3, 17), (7, 12)], 18, None, "releases 0, wakes at 20");
    // A clock that runs ahead elsewhere.
    check_sparse(&[(3, 30)], 18, None, "releases 0, wakes at 38");
}

#[test]
fn a_sparse_stream_wakes_no_more_often_than_eight_times_in_a_window() {
    let many: Vec<_> = (0..8).map(|i| (i, 10 + i as i64)).collect();
    check_sparse(&many, 18, Some(0), "releases 1, wakes at 19");
    let all_but_due = [(3, 10), (4, 10)];
    let tenth = Duration::from_millis(17_900);
    let now = Timestamp::default().after(tenth);
    let above = all_but_due.map(|(number, recorded)| Candidate {
        position: Position::expand(&sparse_at(number)).unwrap(),
        recorded: secs(recorded),
    });
    let decision = resequence(&sparse(), &Head::default(), &above, true, now);
    assert_eq!(show(&decision), "head - releases 0, wakes at 18.9");
}

#[test]
fn a_late_sparse_event_is_not_held() {
    let late = format!("{}+00000001", sparse_at(7));
    let head = Head {
        position: Some(Position::expand(&sparse_at(7)).unwrap()),
        ..Head::default()
    };
    let above = format!("{late}@17 {}@17", sparse_at(8));
    let expected = format!("head {late} releases 1, wakes at 25");
    check(&sparse(), &head, &above, 17, &expected);
}

#[test]
fn a_version_stream_releases_the_newest_and_supersedes_the_rest() {
    let rule = Rule::Version;
    let empty = Head::default();
    check(&rule, &empty, "7@10", 10, "head 7 releases 1");
    check(
        &rule,
        &empty,
        "3@12 5@10 7@11",
        12,
        "head 7 releases 3 superseding 2",
    );
    check(&rule, &empty, "", 12, "head - releases 0");
    check_incomplete(
        &rule,
        &empty,
        "3@12 5@10",
        12,
        "head 5 releases 2 superseding 1, again",
    );
}

#[test]
fn an_arrival_stream_releases_everything() {
    let first = Position::arrival(secs(10), &"a".into());
    let second = Position::arrival(secs(11), &"b".into());
    let above = format!("{}@10 {}@11", first.compact(), second.compact());
    let head = Head::default();
    let expected = format!("head {} releases 2", second.compact());
    check(&Rule::Arrival, &head, &above, 11, &expected);
    let more = format!("{expected}, again");
    check_incomplete(&Rule::Arrival, &head, &above, 11, &more);
}

/// Whether a gap that is on record as 3..=9 since second 10 must be written again, when `above` is seen at `now`.
fn check_must_write(before: &Head, above: &str, now: i64, expected: bool) {
    let decision = resequence(&skipping(), before, &candidates(above), true, secs(now));
    assert_eq!(
        decision.must_write(before, secs(now)),
        expected,
        "{above} at {now}"
    );
}

#[test]
fn a_gap_that_shrank_from_above_is_written_only_at_its_old_deadline() {
    let before = with_gap("2", 3, 9, 10);
    check_must_write(&before, "10@10", 39, false);
    check_must_write(&before, "7@25 10@10", 39, false);
    check_must_write(&before, "7@25 10@10", 40, true);
    check_must_write(&before, "10@10", 40, true);
    check_must_write(&before, "3@25 10@10", 39, true);
    check_must_write(&before, "3@1 10@10", 39, true);
    check_must_write(&before, "2+00000001@25 10@10", 39, true);
    check_must_write(&at("2"), "10@10", 11, true);
    check_must_write(&at("2"), "", 11, false);
    check_must_write(&before, "", 11, true);
    check_must_write(&stalled(before.clone()), "7@25 10@10", 26, true);
    check_must_write(&passing_over(before, 3), "10@10", 26, true);
}

#[test]
fn a_sleeping_stream_is_not_read() {
    let asleep = |head: Head| Head {
        wake_at: Some(secs(20)),
        ..head
    };
    let open = Head::default();
    let check = |rule: &Rule, head: &Head, now, expected| {
        assert_eq!(
            need(rule, head, secs(now)),
            expected,
            "{rule:?} {head:?} at {now}"
        );
    };
    check(&sparse(), &open, 10, Need::All);
    check(&sparse(), &asleep(open.clone()), 19, Need::Nothing);
    check(&sparse(), &asleep(open.clone()), 20, Need::All);
    check(&lowest(), &open, 10, Need::All);
    check(&lowest(), &asleep(open.clone()), 19, Need::Nothing);
    check(&lowest(), &asleep(open.clone()), 20, Need::Run);
    // An arrival may close the hole or supersede the rest: a deadline is no reason not to look.
    check(&lowest(), &asleep(at("4")), 19, Need::Run);
    check(&skipping(), &asleep(at("4")), 19, Need::Run);
    check(&Rule::Version, &open, 10, Need::Run);
    check(&Rule::Arrival, &open, 10, Need::Run);
}
