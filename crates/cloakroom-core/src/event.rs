//! Ledger entries: what is known of one event for good.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::id::{EventId, Identity, StreamId};
use crate::position::Position;
use crate::time::Timestamp;

/// One ledger entry. Never changed once written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream.
    pub position: Position,
    /// The id that its receipt told and consumers see.
    pub id: EventId,
    /// What makes two deliveries this event.
    pub identity: Identity,
    /// The CloudEvents `type`.
    pub event_type: String,
    /// When it happened, as the provider told.
    pub time: Option<Timestamp>,
    /// When it was accepted.
    pub recorded: Timestamp,
    /// The `traceparent` header it came with.
    pub traceparent: Option<String>,
    /// The sequence the provider gave it, when it was placed elsewhere because it came too late.
    pub late: Option<String>,
    /// What it stands for.
    pub body: Body,
}

/// What a ledger entry stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// A webhook, or a state change of Cloakroom's own.
    Payload(Payload),
    /// Holds the place of the numbers `from..=to`, which were passed over: their one gap event.
    Gap {
        /// The first number passed over.
        from: u64,
        /// The last number passed over.
        to: u64,
    },
    /// Holds the place of one number of a range that was passed over; never handed out.
    Placeholder,
}

impl Event {
    /// The payload, if the entry has one.
    pub fn payload(&self) -> Option<&Payload> {
        match &self.body {
            Body::Payload(payload) => Some(payload),
            Body::Gap { .. } | Body::Placeholder => None,
        }
    }
}

/// What is known of a payload. At least one of `claim` and `inline` is there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The content type it came with; `application/octet-stream` if it named none.
    pub content_type: String,
    /// In bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// The object in the claim store.
    pub claim: Option<ClaimName>,
    /// The payload itself, when the ledger keeps it.
    #[serde(
        with = "base64_bytes",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub inline: Option<Bytes>,
}

/// Shows everything but the payload's bytes.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("content_type", &self.content_type)
            .field("size", &self.size)
            .field("sha256", &self.sha256)
            .field("claim", &self.claim)
            .field("inline", &self.inline.as_ref().map(Bytes::len))
            .finish()
    }
}

/// The name of an object in the claim store. Opaque: only the store that gave it can read it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimName(pub String);

/// A SHA-256. Prints, and is stored, as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl Sha256 {
    /// Lower-case hex, without an allocation.
    fn hex<'a>(&self, buffer: &'a mut [u8; 64]) -> &'a str {
        hex::encode_to_slice(self.0, buffer).expect("two digits for each byte");
        std::str::from_utf8(buffer).expect("hex digits are ASCII")
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex(&mut [0; 64]))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sha256 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.hex(&mut [0; 64]))
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.as_bytes(), &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Bytes>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_some(&STANDARD.encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Bytes>, D::Error> {
        let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let decode = |text: std::borrow::Cow<'de, str>| STANDARD.decode(text.as_bytes());
        let bytes = text
            .map(decode)
            .transpose()
            .map_err(serde::de::Error::custom)?;
        Ok(bytes.map(Bytes::from))
    }
}
