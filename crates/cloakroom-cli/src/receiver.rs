//! The other end of a delivery: verifies what an `http` sink sent and reads the CloudEvents in it.

use base64::Engine as _;
use bytes::Bytes;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeError, SchemeName, Verifier};
use futures::TryStreamExt as _;
use http::HeaderMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Verifies the signatures of deliveries, which are those of Standard Webhooks.
pub(crate) struct Receiver {
    verifier: Option<Verifier>,
}

impl Receiver {
    /// With the secret of the sink; without one nothing is verified.
    ///
    /// # Errors
    /// When the secret is not written as Standard Webhooks writes them.
    pub(crate) fn new(secret: Option<&Secret>) -> Result<Self, SchemeError> {
        let scheme = Scheme::new(SchemeName::StandardWebhooks);
        let verifier = secret.map(|secret| Verifier::new(&scheme, std::slice::from_ref(secret)));
        Ok(Self {
            verifier: verifier.transpose()?,
        })
    }

    /// Whether signatures are checked at all.
    pub(crate) fn verifies(&self) -> bool {
        self.verifier.is_some()
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), String> {
        let Some(verifier) = &self.verifier else {
            return Ok(());
        };
        let pairs: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let head = RequestHead {
            method: "POST",
            url: "/",
            headers: &pairs,
        };
        let mut verification = verifier
            .begin(&head, now)
            .map_err(|error| error.to_string())?;
        verification.update(body);
        verification.finish().map_err(|error| error.to_string())
    }
}

/// A CloudEvent as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Everything but the payload.
    pub(crate) attributes: Map<String, Value>,
    /// The payload, byte for byte, when it travelled along.
    pub(crate) data: Option<Bytes>,
}

impl Received {
    /// An attribute's text.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(Value::as_str)
    }

    /// Whether the payload's size and hash are those that the event names.
    ///
    /// # Errors
    /// Says which is not.
    pub(crate) fn check_payload(&self, found: &Digested) -> Result<(), String> {
        if let Some(size) = self.attribute("payloadsize")
            && size != found.size.to_string()
        {
            return Err(format!(
                "the payload has {} bytes, the event says {size}",
                found.size
            ));
        }
        match self.attribute("payloadsha256") {
            Some(hash) if hash != found.sha256 => Err(format!(
                "the payload has SHA-256 {}, the event says {hash}",
                found.sha256
            )),
            _ => Ok(()),
        }
    }
}

/// What is known of a payload that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digested {
    /// In bytes.
    pub(crate) size: u64,
    /// In lower-case hex.
    pub(crate) sha256: String,
}

impl Digested {
    /// Of bytes at hand.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            size: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
        }
    }

    /// Of what stands behind a `dataref`, which is read and forgotten piece by piece.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub(crate) async fn fetch(client: &reqwest::Client, url: &str) -> Result<Self, String> {
        let response = client
            .get(url)
            .send()
            .await
            .map_err(|error| crate::client::causes(&error))?;
        if !response.status().is_success() {
            return Err(format!(
                "the claim store answered {}",
                response.status().as_u16()
            ));
        }
        let mut response = response;
        let (mut hash, mut size) = (Sha256::new(), 0);
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| crate::client::causes(&error))?
        {
            size += chunk.len() as u64;
            hash.update(&chunk);
        }
        Ok(Self {
            size,
            sha256: hex(&hash.finalize()),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the events of a delivery: structured, batched or binary.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Received>, String> {
    let content_type = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let malformed = |error: serde_json::Error| format!("not a CloudEvent: {error}");
    if content_type.starts_with("application/cloudevents-batch+json") {
        let events: Vec<&RawValue> = serde_json::from_slice(body).map_err(malformed)?;
        return events
            .into_iter()
            .map(|event| structured(&body.slice_ref(event.get().as_bytes())))
            .collect();
    }
    if content_type.starts_with("application/cloudevents+json") {
        return Ok(vec![structured(body)?]);
    }
    binary(headers, content_type, body).map(|event| vec![event])
}

fn structured(body: &Bytes) -> Result<Received, String> {
    let members: std::collections::BTreeMap<&str, &RawValue> =
        serde_json::from_slice(body).map_err(|error| format!("not a CloudEvent: {error}"))?;
    let mut event = Received {
        attributes: Map::new(),
        data: None,
    };
    for (name, raw) in members {
        match name {
            "data" => event.data = Some(outer(body, raw.get())),
            "data_base64" => {
                let text: &str =
                    serde_json::from_str(raw.get()).map_err(|_| "`data_base64` is not text")?;
                let decoded = base64::engine::general_purpose::STANDARD.decode(text);
                event.data = Some(decoded.map_err(|_| "`data_base64` is not base64")?.into());
            }
            _ => {
                let value = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
                event.attributes.insert(name.to_owned(), value);
            }
        }
    }
    Ok(event)
}

/// `value` with the whitespace around it, which belongs to the payload: Cloakroom writes none of its own.
fn outer(body: &Bytes, value: &str) -> Bytes {
    let inner = body.slice_ref(value.as_bytes());
    let start = inner.as_ptr().addr() - body.as_ptr().addr();
    let end = start + inner.len();
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let before = body[..start]
        .iter()
        .rev()
        .take_while(|byte| is_space(byte))
        .count();
    let after = body[end..].iter().take_while(|byte| is_space(byte)).count();
    body.slice(start - before..end + after)
}

fn binary(headers: &HeaderMap, content_type: &str, body: &Bytes) -> Result<Received, String> {
    if !headers.contains_key("ce-id") {
        return Err(
            "not a CloudEvent: neither its content type nor a `ce-id` header says so".to_owned(),
        );
    }
    let mut attributes = Map::new();
    for (name, value) in headers {
        if let (Some(name), Ok(value)) = (name.as_str().strip_prefix("ce-"), value.to_str()) {
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            attributes.insert(name.to_owned(), value.into());
        }
    }
    if !content_type.is_empty() {
        attributes.insert("datacontenttype".to_owned(), content_type.into());
    }
    let travels = !body.is_empty() || !attributes.contains_key("dataref");
    Ok(Received {
        attributes,
        data: travels.then(|| body.clone()),
    })
}

/// Reads a request's body, up to `max` bytes.
///
/// # Errors
/// When it is larger or cut off.
pub(crate) async fn read_body(body: axum::body::Body, max: usize) -> Result<Bytes, String> {
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.try_next().await.map_err(|error| error.to_string())? {
        if whole.len() + chunk.len() > max {
            return Err(format!("the body is larger than {max} bytes"));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<http::HeaderName>().unwrap(),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn the_payload_of_a_structured_event_is_found_byte_for_byte() {
        let headers = headers(&[(
            "content-type",
            "application/cloudevents+json; charset=utf-8",
        )]);
        let body = Bytes::from_static(b"{\"id\":\"evt_1\",\"data\": {\"a\" : 1.0}\n}");
        let events = read(&headers, &body).unwrap();
        assert_eq!(events[0].attribute("id"), Some("evt_1"));
        assert_eq!(
            events[0].data.as_deref(),
            Some(b" {\"a\" : 1.0}\n".as_slice())
        );
    }

    #[test]
    fn every_mode_gives_the_same_event() {
        let structured = Bytes::from_static(b"{\"id\":\"evt_1\",\"data_base64\":\"aGk=\"}");
        let batched = Bytes::from_static(b"[{\"id\":\"evt_1\",\"data_base64\":\"aGk=\"}]");
        for (content_type, body) in [
            ("application/cloudevents+json", structured),
            ("application/cloudevents-batch+json", batched),
        ] {
            let events = read(&headers(&[("content-type", content_type)]), &body).unwrap();
            assert_eq!(events.len(), 1);
            assert_eq!(events[0].attribute("id"), Some("evt_1"));
            assert_eq!(events[0].data.as_deref(), Some(b"hi".as_slice()));
        }
        let pairs = headers(&[
            ("content-type", "text/plain"),
            ("ce-id", "evt_1"),
            ("ce-subject", "a%20b"),
        ]);
        let events = read(&pairs, &Bytes::from_static(b"hi")).unwrap();
        assert_eq!(events[0].attribute("subject"), Some("a b"));
        assert_eq!(events[0].attribute("datacontenttype"), Some("text/plain"));
        assert_eq!(events[0].data.as_deref(), Some(b"hi".as_slice()));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let plain = headers(&[("content-type", "application/json")]);
        assert!(
            read(&plain, &Bytes::from_static(b"{}"))
                .unwrap_err()
                .contains("ce-id")
        );
        let event = headers(&[("content-type", "application/cloudevents+json")]);
        assert!(read(&event, &Bytes::from_static(b"{")).is_err());
    }

    #[test]
    fn a_payload_that_is_not_what_the_event_says_is_noticed() {
        let mut event = Received {
            attributes: Map::new(),
            data: None,
        };
        let found = Digested::of(b"abc");
        event
            .attributes
            .insert("payloadsha256".to_owned(), found.sha256.clone().into());
        event
            .attributes
            .insert("payloadsize".to_owned(), "3".into());
        assert_eq!(event.check_payload(&found), Ok(()));
        assert!(
            event
                .check_payload(&Digested::of(b"abd"))
                .unwrap_err()
                .contains("SHA-256")
        );
        assert!(
            event
                .check_payload(&Digested::of(b"abcd"))
                .unwrap_err()
                .contains("4 bytes")
        );
    }
}
