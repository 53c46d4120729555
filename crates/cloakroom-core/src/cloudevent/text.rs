//! Attribute values as text: what may stand in one, in JSON and in a header.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::time::Timestamp;

/// What the HTTP binding wants encoded. Everything outside ASCII is encoded in any case.
const HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// In seconds since the Unix epoch: RFC 3339 begins with the year 0, and a [`Timestamp`] prints up to the last day of the
/// year 9999.
const YEARS: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_207_199;

/// The value of a string attribute. CloudEvents allows any Unicode but control characters and noncharacters; those are
/// percent-encoded, because consumers may refuse the whole event over one. The text is not made ambiguous where it
/// matters: a key is also in `source`, fully encoded.
pub(super) fn allowed(text: &str) -> Cow<'_, str> {
    if !text.contains(is_disallowed) {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_disallowed(c) {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                clean.push_str(percent_encoding::percent_encode_byte(byte));
            }
        } else {
            clean.push(c);
        }
    }
    clean.into()
}

pub(super) fn is_disallowed(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

/// An attribute's value as a header value.
pub(super) fn header(value: &str) -> Cow<'_, str> {
    utf8_percent_encode(value, HEADER).into()
}

/// A content type as a header value: as it came, because it is a header's value already; only what no header can
/// hold is encoded.
pub(super) fn content_type_header(value: &str) -> String {
    utf8_percent_encode(value, CONTROLS).to_string()
}

/// An instant as RFC 3339, or nothing where that has no form for it.
pub(super) fn timestamp(at: Timestamp) -> Option<String> {
    YEARS.contains(&at.as_secs()).then(|| at.to_string())
}

/// Writes `"name":`. Names need no escaping.
pub(super) fn write_name(out: &mut Vec<u8>, name: &str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Writes a JSON string.
pub(super) fn write_json(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is written to memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_attribute_may_hold_is_encoded() {
        assert!(matches!(allowed("TR-42 ż 😀 100%"), Cow::Borrowed(_)));
        assert_eq!(allowed("a\nb\u{85}c\u{7f}"), "a%0Ab%C2%85c%7F");
        assert_eq!(
            allowed("\u{fdd0}\u{fffe}\u{10ffff}\u{fffd}"),
            "%EF%B7%90%EF%BF%BE%F4%8F%BF%BF\u{fffd}"
        );
    }

    #[test]
    fn a_header_value_is_encoded_as_the_binding_says() {
        // The example that the HTTP binding gives.
        assert_eq!(header("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(header("\"50%\"~!"), "%2250%25%22~!");
        assert_eq!(content_type_header("a/b; c=\"d e\""), "a/b; c=\"d e\"");
        assert_eq!(content_type_header("a/ż\u{1}"), "a/%C5%BC%01");
    }

    #[test]
    fn a_time_that_rfc3339_cannot_write_is_left_out() {
        let at = |seconds| timestamp(Timestamp::from_secs(seconds));
        assert_eq!(at(*YEARS.start()).as_deref(), Some("0000-01-01T00:00:00Z"));
        assert_eq!(at(*YEARS.end()).as_deref(), Some("9999-12-30T21:59:59Z"));
        assert_eq!(at(YEARS.start() - 1), None);
        assert_eq!(at(YEARS.end() + 1), None);
    }
}
