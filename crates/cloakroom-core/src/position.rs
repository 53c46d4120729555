//! Positions: an event's place in its stream, as text whose byte order is the order.
//!
//! The forms below are stored and delivered (CloudEvents `sequence`), so they never change:
//!
//! | stream | form | example |
//! | --- | --- | --- |
//! | dense | the number, 20 digits | `00000000000000000007` |
//! | version | the number, 20 digits, with its fraction | `00000000000000000007` |
//! | sparse | the same, `-`, 16 hex digits of the identity | `00000001700000000000-9f86d081884c7d65` |
//! | arrival | acceptance in microseconds, `-`, 16 hex digits of the identity | as above |
//! | placed late | the head it came after, `+`, 8 digits | `00000000000000000007+00000001` |
//!
//! `+` sorts below `-`, `-` below `.`, and `.` below the digits, which is what keeps byte order and numeric order the same.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::Identity;
use crate::time::Timestamp;

/// How many digits a number has in a position: as many as the largest `u64`.
const NUMBER_DIGITS: usize = 20;

/// The longest fraction of a sequence number, in digits: enough for seconds with nanoseconds.
const FRACTION_MAX_DIGITS: usize = 9;

/// Where an event stands in its stream. Compares as bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(Arc<str>);

impl Position {
    /// The position of `number` in a dense stream.
    pub fn dense(number: u64) -> Self {
        Self(format!("{number:020}").into())
    }

    /// The position of `sequence` in a version stream.
    pub fn version(sequence: &Sequence) -> Self {
        Self(sequence.padded().into())
    }

    /// The position of `sequence` in a sparse stream: two events with one number stand side by side, ordered by identity.
    pub fn sparse(sequence: &Sequence, identity: &Identity) -> Self {
        Self(format!("{}-{}", sequence.padded(), fingerprint(identity)).into())
    }

    /// A position in an arrival stream for an event accepted at `at`.
    pub fn arrival(at: Timestamp, identity: &Identity) -> Self {
        let micros = u64::try_from(at.as_micros()).unwrap_or(0);
        Self(format!("{micros:020}-{}", fingerprint(identity)).into())
    }

    /// The position of the next arrival: by the clock, but always above `head`. A clock that was set back, or that shows
    /// the same time twice, must not bring a stream to a halt.
    pub fn next_arrival(head: Option<&Self>, now: Timestamp, identity: &Identity) -> Self {
        let latest = head.and_then(|head| head.0.get(..NUMBER_DIGITS)?.parse().ok());
        let after_head = latest.map_or(i64::MIN, |latest: i64| latest.saturating_add(1));
        Self::arrival(now.max(Timestamp::from_micros(after_head)), identity)
    }

    /// A place directly after `head` for what comes too late for its own: above the head, below every later number.
    /// `None` when a hundred million events were placed there already.
    pub fn after_head(head: Option<&Self>) -> Option<Self> {
        let head = head.map_or("", Self::as_str);
        let (place, count) = match head.split_once('+') {
            Some((place, count)) => (place, count.parse::<u32>().ok()? + 1),
            None => (head, 1),
        };
        (count < 100_000_000).then(|| Self(format!("{place}+{count:08}").into()))
    }

    /// A bound directly below this position: above every position that is below it. Only ever compared, never given to
    /// an event; a cursor that is moved back to send this position again stands there.
    pub fn just_below(&self) -> Self {
        let (last, rest) = self
            .0
            .as_bytes()
            .split_last()
            .expect("a position is never empty");
        let rest = std::str::from_utf8(rest).expect("a position is ASCII");
        // No position holds a character above `f`, so nothing fits between this bound and the position.
        Self(format!("{rest}{}~", char::from(last - 1)).into())
    }

    /// Reads a position a user sent back. `None` when no stream can hold it.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_hexdigit() || matches!(c, '+' | '-' | '.');
        (!text.is_empty() && text.len() <= 64 && text.chars().all(allowed))
            .then(|| Self(text.into()))
    }

    /// The text itself; also the CloudEvents `sequence`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number of a dense position, without what was placed after it. `None` before the first number
    /// (a late event in a stream that has released nothing yet).
    pub fn number(&self) -> Option<u64> {
        let digits = self
            .0
            .split_once('+')
            .map_or(&*self.0, |(number, _)| number);
        digits.parse().ok()
    }
    /// Whether this is a place given to a late event.
    pub fn is_late(&self) -> bool {
        self.0.contains('+')
    }

    /// The text without leading zeros: shorter, for use inside an event id. [`Position::expand`] undoes it.
    pub fn compact(&self) -> &str {
        let zeros = self
            .0
            .bytes()
            .take(NUMBER_DIGITS - 1)
            .take_while(|b| *b == b'0')
            .count();
        &self.0[zeros..]
    }

    /// Undoes [`Position::compact`].
    pub fn expand(compact: &str) -> Option<Self> {
        let digits = compact.find(['+', '-', '.']).unwrap_or(compact.len());
        // Only a late event before the first number has no digits at all.
        let zeros = if digits == 0 {
            0
        } else {
            NUMBER_DIGITS.checked_sub(digits)?
        };
        Self::parse(&format!("{}{compact}", "0".repeat(zeros)))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of a provider's order field: a non-negative number of at most 20 digits with an optional fraction, or an
/// RFC 3339 timestamp, which counts as its microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence {
    whole: u64,
    fraction: String,
}

impl Sequence {
    /// A whole number.
    pub fn whole(number: u64) -> Self {
        Self {
            whole: number,
            fraction: String::new(),
        }
    }

    /// Reads a provider's order field. `None` when it is neither a number nor a timestamp.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !whole.is_empty() && digits(whole) {
            let valid =
                digits(fraction) && fraction.len() <= FRACTION_MAX_DIGITS && !text.ends_with('.');
            let whole = valid.then(|| whole.parse().ok())??;
            return Some(Self {
                whole,
                fraction: fraction.trim_end_matches('0').to_owned(),
            });
        }
        let timestamp = Timestamp::parse_rfc3339(text)?;
        u64::try_from(timestamp.as_micros()).ok().map(Self::whole)
    }

    /// The number, when it has no fraction: what a dense stream takes.
    pub fn as_whole(&self) -> Option<u64> {
        self.fraction.is_empty().then_some(self.whole)
    }

    fn padded(&self) -> String {
        if self.fraction.is_empty() {
            format!("{:020}", self.whole)
        } else {
            format!("{:020}.{}", self.whole, self.fraction)
        }
    }
}

/// The number as the provider wrote it, without padding.
impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fraction.as_str() {
            "" => write!(f, "{}", self.whole),
            fraction => write!(f, "{}.{fraction}", self.whole),
        }
    }
}

/// Sixteen hex digits that stand for an identity where the identity itself would be too long.
pub fn fingerprint(identity: &Identity) -> String {
    hex::encode(&Sha256::digest(identity.as_str().as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_order(ascending: &[Position]) {
        for pair in ascending.windows(2) {
            assert!(
                pair[0] < pair[1],
                "{} should come before {}",
                pair[0],
                pair[1]
            );
        }
    }

    fn sparse(sequence: &str) -> Position {
        Position::sparse(&Sequence::parse(sequence).unwrap(), &"evt".into())
    }

    #[test]
    fn late_places_stand_between_a_number_and_the_next() {
        let head = Position::dense(7);
        let first = Position::after_head(Some(&head)).unwrap();
        let second = Position::after_head(Some(&first)).unwrap();
        check_order(&[head, first, second.clone(), Position::dense(8)]);
        assert_eq!(second.as_str(), "00000000000000000007+00000002");
        assert_eq!(second.number(), Some(7));
        let before_all = Position::after_head(None).unwrap();
        assert_eq!(before_all.number(), None);
        check_order(&[before_all, Position::dense(0)]);
    }

    #[test]
    fn sparse_positions_sort_by_number_then_fraction() {
        let ascending = ["5", "5.1", "5.15", "5.2", "6", "10", "1700000000000"];
        check_order(&ascending.map(sparse));
        assert_eq!(sparse("5.10"), sparse("5.1"));
        assert!(sparse("2026-11-22T10:00:00Z") < sparse("2026-11-22T10:00:00.000001Z"));
        let head = sparse("5");
        check_order(&[
            head.clone(),
            Position::after_head(Some(&head)).unwrap(),
            sparse("5.1"),
        ]);
    }

    #[test]
    fn no_late_place_has_more_digits_than_the_others() {
        let before_last = Position::parse("7+99999998").unwrap();
        let last = Position::after_head(Some(&before_last)).unwrap();
        check_order(&[before_last, last.clone()]);
        assert_eq!(Position::after_head(Some(&last)), None);
    }

    #[test]
    fn an_identity_has_one_fingerprint_and_another_one_another() {
        let [a, b] = ["a", "b"].map(|name| fingerprint(&name.into()));
        assert_eq!((a.len(), b.len()), (16, 16));
        assert_ne!(a, b);
    }

    #[test]
    fn what_no_stream_can_hold_is_no_position() {
        for text in [
            "7",
            "00000000000000000007+00000002",
            "5.1-abcdef",
            &"0".repeat(64),
        ] {
            assert_eq!(Position::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "7 ", "g", "7/8", &"0".repeat(65)] {
            assert_eq!(Position::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_next_arrival_is_above_the_head_whatever_the_clock_shows() {
        let at = Timestamp::from_micros;
        let head = Position::arrival(at(1_000), &"a".into());
        for now in [0, 999, 1_000, 1_001] {
            for identity in ["a", "b", "c", "d"] {
                let next = Position::next_arrival(Some(&head), at(now), &identity.into());
                check_order(&[head.clone(), next]);
            }
        }
        let late = Position::after_head(Some(&head)).unwrap();
        let next = Position::next_arrival(Some(&late), at(0), &"a".into());
        check_order(&[late, next]);
        assert_eq!(
            Position::next_arrival(Some(&head), at(5_000), &"a".into()),
            Position::arrival(at(5_000), &"a".into())
        );
    }

    #[test]
    fn what_is_no_number_is_no_sequence() {
        for text in [
            "",
            "-1",
            "1.",
            ".5",
            "1e3",
            "0x10",
            "abc",
            "18446744073709551616",
            "1.0123456789",
            "yesterday",
        ] {
            assert_eq!(Sequence::parse(text), None, "{text:?}");
        }
        assert_eq!(
            Sequence::parse("18446744073709551615").unwrap().as_whole(),
            Some(u64::MAX)
        );
        assert_eq!(Sequence::parse("1.0").unwrap().as_whole(), Some(1));
        assert_eq!(Sequence::parse("1.5").unwrap().as_whole(), None);
    }

    #[test]
    fn nothing_stands_between_a_position_and_the_bound_below_it() {
        let seven = Position::dense(7);
        let late = Position::after_head(Some(&Position::dense(6))).unwrap();
        check_order(&[Position::dense(6), late.clone(), seven.just_below(), seven]);
        check_order(&[Position::dense(6), late.just_below(), late]);
        check_order(&[
            Position::dense(9),
            Position::dense(10).just_below(),
            Position::dense(10),
        ]);
        check_order(&[sparse("5"), sparse("5.1").just_below(), sparse("5.1")]);
    }

    proptest! {
        #[test]
        fn dense_byte_order_is_numeric_order(a: u64, b: u64) {
            prop_assert_eq!(Position::dense(a).cmp(&Position::dense(b)), a.cmp(&b));
        }

        #[test]
        fn compact_and_expand_are_inverse(number: u64, late in 0u32..3, sparse_one: bool) {
            let mut position = if sparse_one {
                Position::sparse(&Sequence::whole(number), &"x".into())
            } else {
                Position::dense(number)
            };
            for _ in 0..late {
                position = Position::after_head(Some(&position)).unwrap();
            }
            prop_assert_eq!(Position::expand(position.compact()), Some(position));
        }
    }
}
