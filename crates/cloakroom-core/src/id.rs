//! Names of things: newtypes, so that a stream is never mistaken for a key.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// Everything but RFC 3986's unreserved characters is percent-encoded in a stream id.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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
        Self { source: source.into(), key: key.into() }
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
        write!(f, "{}/{}", self.source, utf8_percent_encode(self.key.as_str(), RESERVED))
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
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
}
