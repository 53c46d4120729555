//! Claims over HTTP: signed, expiring URLs, and the payloads they lead to.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_core::event::{Event, Payload};
use cloakroom_core::id::EventId;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ClaimLinks;
use cloakroom_engine::ports::ClaimError;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use sha2::Sha256;

use crate::app::App;
use crate::extract::{At, Params};
use crate::problem::{Kind, Problem};
use crate::range::{Wanted, wanted};

/// Keeps these signatures apart from everything else that might be signed with the same key.
const PURPOSE: &[u8] = b"cloakroom claim url v1\n";

/// Makes and checks the URLs of claims: `{public url}/v1/claims/{event id}?expires={unix s}&signature={base64url}`.
/// The signature is an HMAC-SHA-256 over the id and the expiry.
#[derive(Clone)]
pub struct ClaimUrls {
    base: String,
    keyed: Hmac<Sha256>,
    ttl: Duration,
}

impl ClaimUrls {
    /// URLs below `public_url`, signed with `key` (secret, and the same for as long as URLs are to hold), valid for
    /// `ttl`.
    pub fn new(public_url: &str, key: &Secret, ttl: Duration) -> Self {
        let mut keyed =
            Hmac::new_from_slice(key.expose()).expect("an HMAC takes a key of any length");
        keyed.update(PURPOSE);
        Self {
            base: format!("{}/v1/claims/", public_url.trim_end_matches('/')),
            keyed,
            ttl,
        }
    }

    /// The URL of the payload of the event with this id.
    pub fn url(&self, id: &EventId, now: Timestamp) -> String {
        // Rounded up, so that a URL never lives shorter than promised.
        let expires = now.after(self.ttl).as_secs().saturating_add(1);
        let tag = self.mac(id, expires).finalize().into_bytes();
        let signature = URL_SAFE_NO_PAD.encode(tag);
        format!("{}{id}?expires={expires}&signature={signature}", self.base)
    }

    fn mac(&self, id: &EventId, expires: i64) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(id.as_str().as_bytes());
        mac.update(b"\n");
        mac.update(&expires.to_be_bytes());
        mac
    }

    fn check(&self, id: &EventId, ticket: &Ticket, now: Timestamp) -> Result<(), Problem> {
        let forged = || {
            let text = "the signature of the URL does not hold for its id and expiry";
            Problem::new(Kind::ClaimSignature, text)
        };
        let expires = ticket.expires.as_deref().ok_or_else(forged)?;
        let expires: i64 = expires.parse().map_err(|_| forged())?;
        let signature = ticket.signature.as_deref().ok_or_else(forged)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| forged())?;
        self.mac(id, expires)
            .verify_slice(&signature)
            .map_err(|_| forged())?;
        if now >= Timestamp::from_secs(expires) {
            let text = format!("it was valid until {}", Timestamp::from_secs(expires));
            return Err(Problem::new(Kind::ClaimExpired, text));
        }
        Ok(())
    }
}

#[async_trait]
impl ClaimLinks for ClaimUrls {
    async fn link(&self, event: &Event, now: Timestamp) -> Result<Option<String>, ClaimError> {
        Ok(event.payload().map(|_| self.url(&event.id, now)))
    }
}

impl fmt::Debug for ClaimUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimUrls")
            .field("base", &self.base)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// The query of a claim's URL. What somebody else added to it is let be.
#[derive(Deserialize)]
pub(crate) struct Ticket {
    expires: Option<String>,
    signature: Option<String>,
}

/// `GET /v1/claims/{id}`.
pub(crate) async fn fetch(
    State(app): State<App>,
    At(id): At<String>,
    Params(ticket): Params<Ticket>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = EventId::from(id);
    app.claim_urls().check(&id, &ticket, app.engine().now())?;
    let missing = || Problem::not_found("the payload is not kept any more");
    let payload = app.engine().payload(&id).await?.ok_or_else(missing)?;
    let tag = format!("\"{}\"", payload.sha256);
    if matches(&headers, IF_NONE_MATCH, &tag) {
        return Ok(head(
            StatusCode::NOT_MODIFIED,
            &payload,
            &tag,
            Body::empty(),
        ));
    }
    let size = payload.size;
    // A part is only of use to whoever has the rest of the same payload.
    let same = !headers.contains_key(IF_RANGE) || matches(&headers, IF_RANGE, &tag);
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    match range.filter(|_| same).map(|range| wanted(range, size)) {
        None | Some(Wanted::Whole) => {
            let body = Body::from_stream(app.engine().read_payload(&payload, None).await?);
            let mut response = head(StatusCode::OK, &payload, &tag, body);
            response.headers_mut().insert(CONTENT_LENGTH, size.into());
            Ok(response)
        }
        Some(Wanted::Part(part)) => {
            let (start, end) = (part.start, part.end);
            let body = app.engine().read_payload(&payload, Some(part)).await?;
            let body = Body::from_stream(body);
            let mut response = head(StatusCode::PARTIAL_CONTENT, &payload, &tag, body);
            let headers = response.headers_mut();
            headers.insert(CONTENT_LENGTH, (end - start).into());
            let range = format!("bytes {start}-{}/{size}", end - 1);
            headers.insert(CONTENT_RANGE, text(range));
            Ok(response)
        }
        Some(Wanted::Nothing) => {
            let detail = format!("it has {size} bytes");
            let problem = Problem::new(Kind::RangeNotSatisfiable, detail);
            Err(problem.with(CONTENT_RANGE, text(format!("bytes */{size}"))))
        }
    }
}

/// Whether a header holds this entity tag, or any (`*`).
fn matches(headers: &HeaderMap, name: http::HeaderName, tag: &str) -> bool {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let mut tags = value.unwrap_or_default().split(',').map(str::trim);
    tags.any(|found| found == tag || found == "*")
}

/// A payload is whatever a provider sent: no browser may take it for a page of this server.
fn head(status: StatusCode, payload: &Payload, tag: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let octets = HeaderValue::from_static("application/octet-stream");
    let content_type = HeaderValue::try_from(payload.content_type.as_str()).unwrap_or(octets);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(ETAG, text(tag.to_owned()));
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_DISPOSITION, "attachment"),
        (CACHE_CONTROL, "private, no-cache"),
        (ACCEPT_RANGES, "bytes"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("hex, digits and punctuation make a header value")
}
