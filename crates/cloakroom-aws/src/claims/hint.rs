//! What an object says about itself, so that reclaiming can ask whether it is still needed.
//!
//! **A stored format.** Metadata holds it where it fits: S3 takes 2 KB of it, in ASCII. A provider's identity and an
//! ordering key may be longer than that, and cutting them would make a claim look unreferenced that is not. What does not
//! fit is an object of its own, and the metadata says so.

use std::collections::HashMap;

use cloakroom_core::event::Sha256;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::ClaimHint;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// The form of what is stored. Older forms must stay readable.
const VERSION: u32 = 1;

/// S3 counts keys and values, in bytes, and takes 2,048.
const METADATA_MAX: usize = 2_000;

/// What ASCII headers carry as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

const FORM: &str = "cloakroom";
const NONCE: &str = "nonce";
const SHA256: &str = "sha256";
const HINT: &str = "hint";

/// A hint as an object of its own.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    source: String,
    identity: String,
    event: Option<String>,
    sha256: Sha256,
    size: u64,
    recorded_us: i64,
}

/// The hint as the body of an object.
pub(super) fn to_json(hint: &ClaimHint) -> Vec<u8> {
    let stored = Stored {
        version: VERSION,
        source: hint.source.as_str().to_owned(),
        identity: hint.identity.as_str().to_owned(),
        event: hint.event.as_ref().map(|event| event.as_str().to_owned()),
        sha256: hint.sha256,
        size: hint.size,
        recorded_us: hint.recorded.as_micros(),
    };
    serde_json::to_vec(&stored).expect("texts and numbers are JSON")
}

/// The hint in the body of an object. `None` when it is not one, or of a later version.
pub(super) fn from_json(bytes: &[u8]) -> Option<ClaimHint> {
    let stored: Stored = serde_json::from_slice(bytes).ok()?;
    (stored.version == VERSION).then(|| ClaimHint {
        source: stored.source.into(),
        identity: stored.identity.into(),
        event: stored.event.map(Into::into),
        sha256: stored.sha256,
        size: stored.size,
        recorded: Timestamp::from_micros(stored.recorded_us),
    })
}

/// What the metadata of an object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    /// Makes the claim's name differ from that of an earlier object under the same key.
    pub(super) nonce: String,
    /// The hash of the payload.
    pub(super) sha256: Sha256,
    /// `None` when the hint is an object of its own.
    pub(super) hint: Option<ClaimHint>,
}

/// The metadata of an object. Without the hint when that does not fit: then it has to be an object of its own.
pub(super) fn to_metadata(hint: &ClaimHint, nonce: &str) -> (HashMap<String, String>, bool) {
    let escape = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let mut short = HashMap::from([
        (FORM.to_owned(), VERSION.to_string()),
        (NONCE.to_owned(), nonce.to_owned()),
        (SHA256.to_owned(), hint.sha256.to_string()),
    ]);
    let mut full = short.clone();
    full.insert("source".to_owned(), escape(hint.source.as_str()));
    full.insert("identity".to_owned(), escape(hint.identity.as_str()));
    full.insert("size".to_owned(), hint.size.to_string());
    full.insert("recorded".to_owned(), hint.recorded.as_micros().to_string());
    if let Some(event) = &hint.event {
        full.insert("event".to_owned(), escape(event.as_str()));
    }
    let size: usize = full
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if size <= METADATA_MAX {
        return (full, true);
    }
    short.insert(HINT.to_owned(), "object".to_owned());
    (short, false)
}

/// What the metadata of an object says. `None` when Cloakroom did not write it, or a later version of it did.
pub(super) fn from_metadata(metadata: &HashMap<String, String>) -> Option<Label> {
    let get = |name: &str| metadata.get(name).map(String::as_str);
    if get(FORM)?.parse::<u32>().ok()? != VERSION {
        return None;
    }
    let text = |name: &str| {
        let decoded = percent_decode_str(get(name)?).decode_utf8().ok()?;
        Some(decoded.into_owned())
    };
    let sha256: Sha256 = serde_json::from_value(get(SHA256)?.into()).ok()?;
    let hint = if get(HINT).is_some() {
        None
    } else {
        Some(ClaimHint {
            source: text("source")?.into(),
            identity: text("identity")?.into(),
            event: text("event").map(Into::into),
            sha256,
            size: get("size")?.parse().ok()?,
            recorded: Timestamp::from_micros(get("recorded")?.parse().ok()?),
        })
    };
    Some(Label {
        nonce: get(NONCE)?.to_owned(),
        sha256,
        hint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(identity: &str, event: Option<&str>) -> ClaimHint {
        ClaimHint {
            source: "shop".into(),
            identity: identity.into(),
            event: event.map(Into::into),
            sha256: Sha256::of(b"{}"),
            size: 2,
            recorded: Timestamp::from_micros(1_800_000_000_000_001),
        }
    }

    #[test]
    fn metadata_reads_back_whatever_the_provider_calls_its_events() {
        for identity in ["evt-1", "", " a\r\nb ", "zażółć 100% 🧥", "sha256:00"] {
            for event in [None, Some("evt_c2hvcA")] {
                let hint = hint(identity, event);
                let (metadata, fits) = to_metadata(&hint, "n1");
                assert!(fits);
                for (name, value) in &metadata {
                    assert!(
                        value.bytes().all(|b| b.is_ascii_graphic()),
                        "{name}: {value}"
                    );
                }
                let label = from_metadata(&metadata).unwrap();
                assert_eq!((label.nonce.as_str(), label.hint), ("n1", Some(hint)));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said_to_be_elsewhere() {
        for identity in ["x".repeat(1_900), "ż".repeat(400)] {
            let hint = hint(&identity, None);
            let (metadata, fits) = to_metadata(&hint, "n1");
            assert!(!fits, "{} bytes", identity.len());
            let size: usize = metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
            assert!(size < METADATA_MAX);
            let label = from_metadata(&metadata).unwrap();
            assert_eq!((label.sha256, label.hint), (hint.sha256, None));
            assert_eq!(from_json(&to_json(&hint)), Some(hint));
        }
    }

    /// Stored for as long as claims are: these must stay readable for ever.
    #[test]
    fn what_version_1_wrote_is_read() {
        let json = r#"{"version":1,"source":"shop","identity":"evt-1","event":"evt_c2hvcA",
            "sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"recorded_us":1800000000000001}"#;
        let expected = hint("evt-1", Some("evt_c2hvcA"));
        assert_eq!(from_json(json.as_bytes()), Some(expected.clone()));
        let metadata = [
            ("cloakroom", "1"),
            ("nonce", "n1"),
            (
                "sha256",
                "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            ),
            ("source", "shop"),
            ("identity", "evt-1"),
            ("event", "evt_c2hvcA"),
            ("size", "2"),
            ("recorded", "1800000000000001"),
        ];
        let metadata = metadata
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        assert_eq!(from_metadata(&metadata).unwrap().hint, Some(expected));
        assert_eq!(from_json(json.replace(":1,", ":2,").as_bytes()), None);
        assert_eq!(from_metadata(&HashMap::new()), None);
    }
}
