//! Errors as users see them: RFC 9457 `application/problem+json`, one exhaustive table from what went wrong to a status.
//!
//! `type` is `/problems/{name}`, relative to the server, which answers there with the same explanation. The names are
//! a contract; titles, details and hints are for people.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use cloakroom_core::verify::Rejection;
use cloakroom_engine::StoreError;
use cloakroom_engine::intake::Refusal;
use cloakroom_engine::operate::OperateError;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::view::receipt_json;

/// How long a sender that was shed, or that met an unavailable store, is asked to wait, in seconds.
const RETRY_AFTER_S: &str = "1";

/// What is always the same about one kind of problem.
struct Entry {
    name: &'static str,
    status: StatusCode,
    title: &'static str,
    hint: &'static str,
}

macro_rules! kinds {
    ($($kind:ident $name:literal $status:ident $title:literal $hint:literal)*) => {
        /// What can go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($kind),*
        }

        /// Every kind, in the order of [`Kind`].
        const ENTRIES: &[Entry] = &[$(Entry {
            name: $name,
            status: StatusCode::$status,
            title: $title,
            hint: $hint,
        }),*];
    };
}

kinds! {
    BodyTimeout "body-timeout" REQUEST_TIMEOUT "The body took too long"
        "send the whole body without pauses, or raise the server's body timeouts"
    ClaimExpired "claim-expired" GONE "This claim URL has expired"
        "fetch the event again: it carries a fresh URL"
    ClaimSignature "claim-signature" FORBIDDEN "This claim URL is not one that was given out"
        "use the `dataref` of an event exactly as it is; a bearer token does not replace its signature"
    CrossSite "cross-site" FORBIDDEN "A web page of another site may not do this"
        "call the API from a program, or from the server's own pages"
    ForeignHost "foreign-host" FORBIDDEN "The server is not known by this name"
        "reach it by its address or as `localhost`, name it in `server.public_url`, or set `server.admin_token`"
    IncompleteBody "incomplete-body" BAD_REQUEST "The body ended before it was complete"
        "send as many bytes as the request announced"
    Internal "internal" INTERNAL_SERVER_ERROR "Something is wrong with the server or its data"
        "look into the server's log, and run `cloakroom doctor`"
    InvalidRequest "invalid-request" BAD_REQUEST "The request cannot be understood"
        "mend what the detail names"
    InvalidSignature "invalid-signature" UNAUTHORIZED "The webhook's signature does not hold"
        "check the source's scheme and secrets, the sender's clock, and that nothing rewrites the request on its way"
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "This cannot be done with that method"
        "the `allow` header names the methods there are"
    NotDelivered "not-delivered" SERVICE_UNAVAILABLE "The webhook is stored, but was not delivered in time"
        "send it again: it is recognised and waited for"
    NotFound "not-found" NOT_FOUND "There is nothing here"
        "check the path: keys in it are percent-encoded, once"
    NotPossible "not-possible" CONFLICT "This cannot be done in the present state"
        "look at the present state first"
    Overloaded "overloaded" TOO_MANY_REQUESTS "Too many webhooks are under way"
        "wait as long as `retry-after` says, then send it again"
    RangeNotSatisfiable "range-not-satisfiable" RANGE_NOT_SATISFIABLE "The payload has no such part"
        "the `content-range` header tells the payload's size"
    TooLarge "too-large" PAYLOAD_TOO_LARGE "The body is too large"
        "send less, or raise the limit in the configuration (`claims.max_payload` for webhooks)"
    Unauthorized "unauthorized" UNAUTHORIZED "The API needs the admin token"
        "send the header `authorization: Bearer <admin token>`"
    Unavailable "unavailable" SERVICE_UNAVAILABLE "A store is unavailable"
        "wait as long as `retry-after` says, then send it again; nothing was acknowledged"
    UnknownSource "unknown-source" NOT_FOUND "No such source is configured"
        "check the URL given to the provider against `sources` in the configuration"
    UnsupportedMediaType "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "The body must be JSON"
        "send the header `content-type: application/json`"
    UploadsNotOffered "uploads-not-offered" NOT_IMPLEMENTED "This server takes no uploads"
        "send the body to POST /in/{source}, which takes any size"
}

impl Kind {
    fn entry(self) -> &'static Entry {
        &ENTRIES[self as usize]
    }

    /// The last part of the problem's type.
    pub(crate) fn name(self) -> &'static str {
        self.entry().name
    }
}

/// One problem, on its way to whoever asked.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
    receipt: Option<Vec<u8>>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            header: None,
            receipt: None,
        }
    }

    pub(crate) fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::InvalidRequest, detail)
    }

    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    /// With one more header.
    pub(crate) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self {
            header: Some(Box::new((name, value))),
            ..self
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(%error, "a request met an unavailable store");
            return Self::new(Kind::Unavailable, "the store does not answer at present");
        }
        tracing::error!(%error, "a request failed");
        Self::new(Kind::Internal, "the request failed; the log says why")
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::NotFound(detail) => Self::not_found(detail),
            OperateError::NotPossible(detail) => Self::new(Kind::NotPossible, detail),
            OperateError::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::UnknownSource(_) => Self::new(Kind::UnknownSource, detail),
            Refusal::Unverified(Rejection::BodyTooLarge { .. }) | Refusal::TooLarge { .. } => {
                Self::new(Kind::TooLarge, detail)
            }
            Refusal::Unverified(_) => Self::new(Kind::InvalidSignature, detail),
            Refusal::Overloaded => Self::new(Kind::Overloaded, detail),
            Refusal::NotDelivered(receipt) => Self {
                receipt: Some(receipt_json(&receipt)),
                ..Self::new(Kind::NotDelivered, detail)
            },
            Refusal::Store(error) => error.into(),
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    hint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a RawValue>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let entry = self.kind.entry();
        let document = Document {
            r#type: format!("/problems/{}", entry.name),
            title: entry.title,
            status: entry.status.as_u16(),
            detail: &self.detail,
            hint: entry.hint,
            receipt: self
                .receipt
                .as_deref()
                .and_then(|receipt| serde_json::from_slice(receipt).ok()),
        };
        let body = serde_json::to_vec(&document).expect("a problem is plain text and numbers");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = entry.status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, json);
        match self.kind {
            Kind::Overloaded | Kind::Unavailable | Kind::NotDelivered => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            Kind::Unauthorized => {
                let bearer = HeaderValue::from_static("Bearer realm=\"cloakroom\"");
                headers.insert(WWW_AUTHENTICATE, bearer);
            }
            Kind::InvalidSignature => {
                let signature = HeaderValue::from_static("Webhook-Signature");
                headers.insert(WWW_AUTHENTICATE, signature);
            }
            _ => {}
        }
        if let Some(header) = self.header {
            let (name, value) = *header;
            headers.insert(name, value);
        }
        response
    }
}

/// `GET /problems/{name}`: what a problem's `type` leads to.
pub(crate) fn explanation(name: &str) -> Option<String> {
    let entry = ENTRIES.iter().find(|entry| entry.name == name)?;
    Some(format!(
        "{} {}\n\n{}.\nWhat to do: {}.\n",
        entry.status.as_u16(),
        entry.name,
        entry.title,
        entry.hint
    ))
}
