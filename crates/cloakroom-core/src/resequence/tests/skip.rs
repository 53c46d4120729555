use super::check::*;
use crate::ordering::{GapPolicy, Rule};

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
