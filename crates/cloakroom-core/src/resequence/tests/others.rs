use std::time::Duration;

use super::check::*;
use crate::head::Head;
use crate::ordering::Rule;
use crate::position::{Position, Sequence};
use crate::resequence::{Candidate, Need, need, resequence};
use crate::time::Timestamp;

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
