//! Byte ranges (RFC 9110, section 14): one range at a time; a list of several is answered with the whole.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: the header is malformed, of another unit, or names several ranges, and so is ignored.
    Whole,
    /// These bytes; never empty, never beyond the end.
    Part(Range<u64>),
    /// Bytes that there are not.
    Nothing,
}

/// Reads the header for a payload of `size` bytes.
pub(crate) fn wanted(header: &str, size: u64) -> Wanted {
    let Some((unit, set)) = header.split_once('=') else {
        return Wanted::Whole;
    };
    let Some((first, last)) = set.trim().split_once('-') else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let part = match (number(first), number(last)) {
        (Field::Number(first), Field::Number(last)) if first <= last => {
            first..last.saturating_add(1).min(size)
        }
        (Field::Number(first), Field::Absent) => first..size,
        (Field::Absent, Field::Number(length)) => size.saturating_sub(length)..size,
        _ => return Wanted::Whole,
    };
    if part.start < part.end {
        Wanted::Part(part)
    } else {
        Wanted::Nothing
    }
}

enum Field {
    Absent,
    Number(u64),
    Malformed,
}

fn number(text: &str) -> Field {
    match text.trim() {
        "" => Field::Absent,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            // A number beyond all payloads is beyond this one too.
            Field::Number(digits.parse().unwrap_or(u64::MAX))
        }
        _ => Field::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        let part = |range| Wanted::Part(range);
        let cases = [
            ("bytes=0-0", part(0..1)),
            ("bytes=2-5", part(2..6)),
            ("bytes=2-", part(2..10)),
            ("bytes=-3", part(7..10)),
            ("bytes=-99", part(0..10)),
            ("bytes=5-99", part(5..10)),
            ("Bytes = 9-9", part(9..10)),
            ("bytes=0-99999999999999999999999", part(0..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
    }
}
