//! Names of claims, and the keys of their objects. The form of a name is stored in the ledger for as long as its event is
//! kept: new forms may be added, none may change.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_core::event::{ClaimName, Sha256};
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::ClaimHint;

/// How many shards there are: one hexadecimal digit.
pub(super) const SHARDS: u8 = 16;

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// A claim's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// `c/{shard}/{hour}/{fingerprint}~{nonce}`.
    Put {
        /// The key below the prefix: everything before the `~`.
        path: String,
        /// Stored with the object; another nonce is another claim.
        nonce: String,
    },
    /// `m/{shard}/{hour}/{id}`: the key below the prefix.
    Multipart {
        /// The key below the prefix.
        path: String,
    },
}

impl Name {
    /// `None` for what was never a claim here, whatever it may look like as a key.
    pub(super) fn parse(claim: &ClaimName) -> Option<Self> {
        let text = claim.0.as_str();
        let (path, nonce) = match text.split_once('~') {
            Some((path, nonce)) => (path, Some(nonce)),
            None => (text, None),
        };
        let mut parts = path.split('/');
        let (kind, shard, hour, id) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let fits = parts.next().is_none()
            && shard.len() == 1
            && shard
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && hour.len() == HOUR_LEN
            && hour
                .bytes()
                .all(|b| b.is_ascii_digit() || b == b'-' || b == b'T')
            && is_token(id)
            && nonce.is_none_or(is_token);
        let path = path.to_owned();
        match (fits, kind, nonce) {
            (true, "c", Some(nonce)) => Some(Self::Put {
                path,
                nonce: nonce.to_owned(),
            }),
            (true, "m", None) => Some(Self::Multipart { path }),
            _ => None,
        }
    }

    /// The key below the prefix.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Put { path, .. } | Self::Multipart { path } => path,
        }
    }

    /// As it stands in the ledger.
    pub(super) fn claim(&self) -> ClaimName {
        ClaimName(match self {
            Self::Put { path, nonce } => format!("{path}~{nonce}"),
            Self::Multipart { path } => path.clone(),
        })
    }
}

const HOUR_LEN: usize = "2026-11-22T04".len();

fn is_token(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The hour of an instant, in a form whose byte order is the order of time.
pub(super) fn hour(at: Timestamp) -> String {
    let mut text = Timestamp::from_secs(at.as_secs().clamp(0, LAST_SECOND)).to_string();
    text.truncate(HOUR_LEN);
    text
}

/// Where a payload that is one object is kept: the same for every retry of its webhook within the hour.
pub(super) fn derived(hint: &ClaimHint) -> String {
    let text = format!(
        "cloakroom claim v1\n{}\n{}\n{}",
        hint.source, hint.sha256, hint.identity
    );
    let hash = Sha256::of(text.as_bytes()).0;
    let fingerprint = URL_SAFE_NO_PAD.encode(hash);
    format!(
        "c/{:x}/{}/{fingerprint}",
        hash[31] & 0xf,
        hour(hint.recorded)
    )
}

/// A place of its own for an object of this kind (`c` or `m`).
pub(super) fn unique(kind: char, at: Timestamp, random: &str) -> String {
    let shard = Sha256::of(random.as_bytes()).0[0] & 0xf;
    format!("{kind}/{shard:x}/{}/{random}", hour(at))
}

/// Where the hint of the object at `path` is kept when it is an object of its own.
pub(super) fn hint_path(path: &str) -> String {
    format!("h/{path}")
}

/// 128 bits as text.
pub(super) fn random_text(a: u64, b: u64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&a.to_be_bytes());
    bytes[8..].copy_from_slice(&b.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(identity: &str, recorded: i64) -> ClaimHint {
        ClaimHint {
            source: "shop".into(),
            identity: identity.into(),
            event: None,
            sha256: Sha256::of(b"{}"),
            size: 2,
            recorded: Timestamp::from_secs(recorded),
        }
    }

    /// Names are stored: this one must read the same for ever.
    #[test]
    fn the_place_of_a_payload_is_a_function_of_the_webhook_and_the_hour() {
        let path = derived(&hint("evt-1", 1_800_000_000));
        assert_eq!(
            path,
            "c/0/2027-01-15T08/xaqRZ97E-AnbtmN1i2yzN2tlS7jd6VzFQXclCxQccFA"
        );
        assert_eq!(path, derived(&hint("evt-1", 1_800_000_059)));
        assert_ne!(path, derived(&hint("evt-1", 1_800_003_600)));
        assert_ne!(path, derived(&hint("evt-2", 1_800_000_000)));
    }

    #[test]
    fn names_read_back_and_nothing_else_does() {
        let put = Name::Put {
            path: derived(&hint("ż/..", 0)),
            nonce: random_text(1, 2),
        };
        let multipart = Name::Multipart {
            path: unique('m', Timestamp::from_secs(0), &random_text(3, u64::MAX)),
        };
        for name in [put, multipart] {
            assert_eq!(Name::parse(&name.claim()), Some(name));
        }
        for text in [
            "",
            "c/0/2026-11-22T04/x",
            "m/0/2026-11-22T04/x~y",
            "h/0/2026-11-22T04/x",
            "c/g/2026-11-22T04/x~y",
            "c/0/2026-11-22T0/x~y",
            "c/0/2026-11-22T04/..~y",
            "c/0/2026-11-22T04/x~",
            "c/0/2026-11-22T04/x~y~z",
            "c/0/2026-11-22T04/x/x~y",
            "m/0/2026-11-22T04/",
        ] {
            assert_eq!(Name::parse(&ClaimName(text.to_owned())), None, "{text}");
        }
    }

    #[test]
    fn hours_sort_as_time_goes_and_never_fail() {
        let times = [i64::MIN, -1, 0, 3_599, 3_600, 1_800_000_000, i64::MAX];
        let hours: Vec<_> = times
            .iter()
            .map(|at| hour(Timestamp::from_secs(*at)))
            .collect();
        assert!(hours.is_sorted(), "{hours:?}");
        assert!(hours.iter().all(|hour| hour.len() == HOUR_LEN), "{hours:?}");
        assert_eq!(hours[4], "1970-01-01T01");
    }
}
