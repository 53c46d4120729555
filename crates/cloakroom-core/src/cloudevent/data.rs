//! How a payload sits inside the envelope.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::text;

/// A payload and the way it is embedded.
pub(super) enum Data<'a> {
    /// It does not travel along.
    None,
    /// Embedded as it is: these bytes are one JSON value, with any whitespace around it.
    Json(Cow<'a, [u8]>),
    /// Embedded as base64.
    Binary(&'a [u8]),
}

impl<'a> Data<'a> {
    pub(super) fn of(content_type: &str, bytes: &'a [u8]) -> Self {
        if is_json(content_type) && serde_json::from_slice::<&RawValue>(bytes).is_ok() {
            Self::Json(bytes.into())
        } else {
            Self::Binary(bytes)
        }
    }

    /// How many bytes the embedded payload takes, without its name.
    pub(super) fn encoded_len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Json(json) => json.len(),
            Self::Binary(bytes) => base64_len(bytes),
        }
    }

    /// Writes the payload as a further member of an object that has some already.
    pub(super) fn write_member(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Json(json) => {
                out.push(b',');
                text::write_name(out, "data");
                out.extend_from_slice(json);
            }
            Self::Binary(bytes) => {
                out.push(b',');
                text::write_name(out, "data_base64");
                out.push(b'"');
                let start = out.len();
                out.resize(start + base64_len(bytes), 0);
                STANDARD
                    .encode_slice(bytes, &mut out[start..])
                    .expect("there is room for exactly this text");
                out.push(b'"');
            }
        }
    }
}

/// The data of a gap event.
pub(super) fn gap(from: u64, to: u64) -> Vec<u8> {
    format!(r#"{{"from":{from},"to":{to}}}"#).into_bytes()
}

fn base64_len(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(3) * 4
}

/// Whether the content type, parameters aside, is `*/json` or `*/*+json`: the rule of the CloudEvents JSON format.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let Some((kind, subtype)) = essence.split_once('/') else {
        return false;
    };
    let ends = |suffix: &str| {
        let at = subtype.len().checked_sub(suffix.len());
        at.and_then(|at| subtype.as_bytes().get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
    };
    !kind.is_empty() && (subtype.eq_ignore_ascii_case("json") || ends("+json"))
}

/// Whether a receiver would take a message of this content type for a structured CloudEvent or a batch of them.
pub(super) fn is_cloudevent(content_type: &str) -> bool {
    const PREFIX: &[u8] = b"application/cloudevents";
    let start = content_type.trim_start().as_bytes().get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_content_type() {
        for json in [
            "application/json",
            "text/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.shop.order+json;v=2",
            "application/cloudevents+JSON",
            " application/json ",
        ] {
            assert!(is_json(json), "{json:?}");
        }
        for other in [
            "",
            "json",
            "/json",
            "application/jsonl",
            "application/json-seq",
            "application/xml",
            "text/plain; charset=application/json",
            "application/żjson",
        ] {
            assert!(!is_json(other), "{other:?}");
        }
    }

    #[test]
    fn only_valid_json_is_embedded_as_it_is() {
        let embedded = |bytes| matches!(Data::of("application/json", bytes), Data::Json(_));
        for valid in [
            &b"{}"[..],
            b" \t\r\n[1, 2]\n",
            b"null",
            br#"{"a":1,"a":1.0e400,"b":"\ud800"}"#,
        ] {
            assert!(embedded(valid), "{:?}", String::from_utf8_lossy(valid));
        }
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert!(embedded(&deep));
        for invalid in [
            &b""[..],
            b" ",
            b"{",
            b"{} {}",
            b"{\"a\":1,}",
            b"NaN",
            b"\xef\xbb\xbf{}",
            b"\"\xff\"",
            b"\"\xed\xa0\x80\"",
            b"\"\x01\"",
            b"{}\0",
            b"\x0b1",
        ] {
            assert!(!embedded(invalid), "{:?}", String::from_utf8_lossy(invalid));
        }
    }

    #[test]
    fn a_cloudevent_is_told_by_the_start_of_its_content_type() {
        assert!(is_cloudevent("application/cloudevents+json; charset=utf-8"));
        assert!(is_cloudevent("Application/CloudEvents-batch+json"));
        assert!(!is_cloudevent("application/cloud"));
        assert!(!is_cloudevent("application/json"));
    }
}
