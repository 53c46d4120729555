//! Names of things: newtypes, so that a stream is never mistaken for a key.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::position::{Position, fingerprint};

/// The first part of every event id, so that it is known for what it is wherever it turns up.
const EVENT_ID_PREFIX: &str = "evt_";

/// Everything but RFC 3986's unreserved characters is percent-encoded in a stream id.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The source of Cloakroom's own state changes, whose events all have the source `/cloakroom`. Cannot be configured;
/// subscriptions may name it, and `"*"` leaves it out.
pub const STATE_SOURCE: &str = "cloakroom";

/// The longest ordering key, in bytes. A DynamoDB partition key holds 2,048 bytes, and a key may triple when encoded.
pub const KEY_MAX_BYTES: usize = 512;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
    };
}

name! {
    /// A configured inbound endpoint. Matches `[a-z0-9][a-z0-9_-]{0,62}` (the configuration checks it).
    SourceName
}
name! {
    /// A configured consumer. Matches `[a-z0-9][a-z0-9_-]{0,62}` (the configuration checks it).
    SubscriptionName
}
name! {
    /// The ordering key, as the provider sent it: any Unicode, at most [`KEY_MAX_BYTES`] bytes, not empty.
    Key
}
name! {
    /// The provider's own name for an event, or `sha256:…` of the payload where there is none.
    Identity
}
name! {
    /// The id of an event: the CloudEvents `id`, the receipt's `id` and the delivered `webhook-id`.
    EventId
}

/// One source and one key: the unit of ordering.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// The source.
    pub source: SourceName,
    /// The ordering key.
    pub key: Key,
}

impl StreamId {
    /// The stream of `key` in `source`.
    pub fn new(source: impl Into<SourceName>, key: impl Into<Key>) -> Self {
        Self {
            source: source.into(),
            key: key.into(),
        }
    }

    /// Reads `{source}/{percent-encoded key}`. `None` when it is not of that form.
    pub fn parse(text: &str) -> Option<Self> {
        let (source, key) = text.split_once('/')?;
        let key = percent_decode_str(key).decode_utf8().ok()?;
        (!source.is_empty() && !key.is_empty()).then(|| Self::new(source, key.as_ref()))
    }

    /// The CloudEvents `source` of this stream's events: `/sources/{source}/{percent-encoded key}`.
    pub fn event_source(&self) -> String {
        format!("/sources/{self}")
    }
}

/// `{source}/{key}` with the key percent-encoded: the form of receipts, paths and bodies.
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}",
            self.source,
            utf8_percent_encode(self.key.as_str(), RESERVED)
        )
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl EventId {
    /// The id of the event at `position`: it leads back to the ledger entry without any index. It is the base64url of
    /// `{source}\n{key}\n{position without leading zeros}`.
    pub fn of(stream: &StreamId, position: &Position) -> Self {
        let (source, key) = (stream.source.as_str(), stream.key.as_str());
        Self::encode(&[source, "\n", key, "\n", position.compact()].concat())
    }

    fn encode(place: &str) -> Self {
        let mut id = String::with_capacity(EVENT_ID_PREFIX.len() + place.len().div_ceil(3) * 4);
        id.push_str(EVENT_ID_PREFIX);
        URL_SAFE_NO_PAD.encode_string(place, &mut id);
        Self(id.into())
    }

    /// The id of a quarantined webhook: a function of its identity, so that a retry finds it. It has no position, and
    /// keeps this id when it is released.
    pub fn quarantined(source: &SourceName, identity: &Identity) -> Self {
        Self::encode(&format!("{source}\n{}", fingerprint(identity)))
    }

    /// Where the event with this id is kept. `None` when Cloakroom never issued such an id.
    pub fn place(&self) -> Option<Place> {
        let encoded = self.0.strip_prefix(EVENT_ID_PREFIX)?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?;
        let (source, rest) = text.split_once('\n')?;
        match rest.rsplit_once('\n') {
            Some((key, position)) => Some(Place::Stream(
                StreamId::new(source, key),
                Position::expand(position)?,
            )),
            None => Some(Place::Quarantine(source.into())),
        }
    }
}

/// Where an event id leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// To a ledger entry.
    Stream(StreamId, Position),
    /// To a quarantined webhook of this source, under the id itself.
    Quarantine(SourceName),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_id_reads_back_whatever_its_key() {
        for key in ["TR-42", "a/b", "100%", "zażółć", "?#&", "..", " "] {
            let stream = StreamId::new("shop", key);
            assert_eq!(StreamId::parse(&stream.to_string()), Some(stream));
        }
        assert_eq!(StreamId::new("shop", "a/b").to_string(), "shop/a%2Fb");
        assert_eq!(StreamId::parse("shop"), None);
        assert_eq!(StreamId::parse("shop/"), None);
    }

    #[test]
    fn an_event_id_leads_to_its_place() {
        for key in ["TR-42", "a\nb", "ż"] {
            let stream = StreamId::new("shop", key);
            for position in [
                Position::dense(7),
                Position::dense(0),
                Position::after_head(None).unwrap(),
            ] {
                let id = EventId::of(&stream, &position);
                assert_eq!(id.place(), Some(Place::Stream(stream.clone(), position)));
            }
        }
        let quarantined = EventId::quarantined(&"shop".into(), &"evt-1".into());
        assert_eq!(quarantined.place(), Some(Place::Quarantine("shop".into())));
        for text in ["", "evt_", "evt_!", "evt_c2hvcA", "msg_1"] {
            assert_eq!(EventId::from(text).place(), None, "{text}");
        }
    }
}
