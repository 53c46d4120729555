//! A request's headers and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakroom_core::cloudevent::{BATCH_CONTENT_TYPE, CloudEvent, STRUCTURED_CONTENT_TYPE};
use cloakroom_engine::ports::Outgoing;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::Url;
use sha2::{Digest as _, Sha256};

use super::signature::Signer;
use super::{HttpSinkError, Mode};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// One request, but for its URL.
pub(super) struct Message {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    id: String,
}

impl Message {
    /// `events` in the given mode; `headers` are those that every request has. There is at least one event, and only
    /// one unless the mode is batched.
    pub(super) fn of(mode: Mode, events: &[Outgoing], mut headers: HeaderMap) -> Self {
        let first = &events[0];
        let (id, body) = match mode {
            Mode::Structured => {
                headers.insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static(STRUCTURED_CONTENT_TYPE),
                );
                (event_id(first), first.cloud_event().structured().into())
            }
            Mode::Binary => (event_id(first), binary(first, &mut headers)),
            Mode::Batched { .. } => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(BATCH_CONTENT_TYPE));
                let body = CloudEvent::batch(events.iter().map(Outgoing::cloud_event));
                (batch_id(events), body.into())
            }
        };
        if body.is_empty() {
            // Would be left out otherwise, and some servers insist on it.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        // A batch of several events belongs to several traces.
        if let [only] = events
            && let Some(traceparent) = &only.event.traceparent
            && let Ok(value) = HeaderValue::from_str(traceparent)
        {
            headers.insert(TRACEPARENT, value);
        }
        Self { headers, body, id }
    }

    /// Adds the Standard Webhooks headers for a request sent at this Unix time.
    pub(super) fn sign(&mut self, signer: Option<&Signer>, seconds: i64) {
        if let Some(signer) = signer {
            let signature = signer.sign(&self.id, seconds, &self.body);
            self.headers.insert(WEBHOOK_SIGNATURE, plain(signature));
        }
        let id = std::mem::take(&mut self.id);
        self.headers.insert(WEBHOOK_ID, plain(id));
        self.headers.insert(WEBHOOK_TIMESTAMP, seconds.into());
    }
}

fn binary(outgoing: &Outgoing, headers: &mut HeaderMap) -> Bytes {
    let (attributes, body) = outgoing.cloud_event().binary();
    for (name, value) in attributes {
        headers.insert(HeaderName::from_static(name), plain(value));
    }
    match (body, &outgoing.inline) {
        (std::borrow::Cow::Borrowed(body), Some(inline)) => inline.slice_ref(body),
        (body, _) => body.into_owned().into(),
    }
}

fn event_id(outgoing: &Outgoing) -> String {
    outgoing.event.id.as_str().to_owned()
}

/// The id of a batch stands for exactly these events: a receiver that drops what it has seen before may only drop the
/// same batch again, not a larger one that begins with the same event.
fn batch_id(events: &[Outgoing]) -> String {
    let mut hash = Sha256::new();
    for outgoing in events {
        hash.update(outgoing.event.id.as_str());
        hash.update(b"\n");
    }
    format!("batch_{}", hex::encode(&hash.finalize()[..16]))
}

/// Ids, signatures and encoded attributes are visible ASCII.
fn plain(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("the text is visible ASCII")
}

/// The configured headers. Those that the sink sets itself cannot be configured.
pub(super) fn extra_headers(configured: &[(String, String)]) -> Result<HeaderMap, HttpSinkError> {
    let mut headers = HeaderMap::with_capacity(configured.len() + 24);
    for (name, value) in configured {
        let bad = |problem| HttpSinkError::Header {
            name: name.clone(),
            problem,
        };
        let parsed = HeaderName::try_from(name).map_err(|_| bad("this is no header name"))?;
        if is_reserved(&parsed) {
            return Err(bad("it is set by Cloakroom itself"));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| bad("its value (not shown) has characters no header can hold"))?;
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    Ok(headers)
}

fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: &[&str] = &[
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "traceparent",
        "transfer-encoding",
        "upgrade",
    ];
    let name = name.as_str();
    RESERVED.contains(&name) || name.starts_with("ce-") || name.starts_with("webhook-")
}

/// Moves a user and password from the URL into a header, so that no error can show them.
pub(super) fn move_credentials(
    url: &mut Url,
    headers: &mut HeaderMap,
) -> Result<(), HttpSinkError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    let decode = |text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let mut pair = decode(url.username());
    pair.push(b':');
    pair.extend(decode(url.password().unwrap_or_default()));
    let mut value = plain(format!("Basic {}", STANDARD.encode(pair)));
    value.set_sensitive(true);
    if headers.insert(AUTHORIZATION, value).is_some() {
        return Err(HttpSinkError::Header {
            name: AUTHORIZATION.to_string(),
            problem: "the URL has a user and password already; keep one of the two",
        });
    }
    let removed = url.set_username("").and_then(|()| url.set_password(None));
    removed.map_err(|()| HttpSinkError::Url("it can have no user".to_owned()))
}
