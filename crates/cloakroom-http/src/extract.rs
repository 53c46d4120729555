//! What was asked: path, query and body of API requests, with problems for whatever cannot be read.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_core::id::{KEY_MAX_BYTES, StreamId};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Request};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::app::{API_BODY_MAX, App};
use crate::body::{Arriving, Pace};
use crate::problem::{Kind, Problem};

/// How many items a list has when nobody says.
const LIMIT: usize = 100;
/// How many items a list has at most.
pub(crate) const LIMIT_MAX: usize = 1_000;

/// The captures of the path, percent-decoded once.
pub(crate) struct At<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(captures)) => Ok(Self(captures)),
            Err(rejection) => Err(Problem::invalid(rejection.body_text())),
        }
    }
}

/// The query string. Unknown parameters are refused by the types that are read.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Problem::invalid(rejection.body_text())),
        }
    }
}

/// A JSON body; an empty one counts as `{}`.
pub(crate) struct Input<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        Ok(Self(read_json(request, app.pace(), API_BODY_MAX).await?))
    }
}

/// A JSON body of at most `max` bytes; an empty one counts as `{}`.
pub(crate) async fn read_json<T: DeserializeOwned>(
    request: Request<Body>,
    pace: Pace,
    max: usize,
) -> Result<T, Problem> {
    let (head, body) = request.into_parts();
    let body = Arriving::new(&head.headers, body, pace)
        .collect(max)
        .await?;
    // Besides being right, the content type keeps other sites' pages out: a browser asks before it sends this one.
    if !body.is_empty() && !is_json(&head.headers) {
        let text = "the request has a body of another content type";
        return Err(Problem::new(Kind::UnsupportedMediaType, text));
    }
    let json: &[u8] = if body.is_empty() { b"{}" } else { &body };
    match serde_json::from_slice(json) {
        Ok(input) => Ok(input),
        Err(error) => Err(Problem::invalid(format!(
            "the body is not as it must be: {error}"
        ))),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// How much of a list, and where it starts.
pub(crate) struct Paging {
    pub(crate) limit: usize,
    pub(crate) cursor: Option<String>,
}

impl Paging {
    /// Reads the `limit` and the `cursor` of a list. A larger limit is cut: the list says where it goes on.
    pub(crate) fn new(limit: Option<usize>, cursor: Option<&str>) -> Result<Self, Problem> {
        let cursor = cursor.map(decode_cursor).transpose()?;
        Ok(Self {
            limit: cut(limit)?,
            cursor,
        })
    }
}

/// The wished-for number of items, within its bounds.
pub(crate) fn cut(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(LIMIT) {
        0 => Err(Problem::invalid(
            "a list of no items is empty: ask for at least one",
        )),
        limit => Ok(limit.min(LIMIT_MAX)),
    }
}

/// A store's cursor in a form that needs no quoting in a URL.
pub(crate) fn encode_cursor(cursor: &str) -> String {
    URL_SAFE_NO_PAD.encode(cursor)
}

fn decode_cursor(text: &str) -> Result<String, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            Problem::invalid("the cursor is none that a list has given: use its `next` as it is")
        })
}

/// The stream that a path names by its source and (decoded) key.
pub(crate) fn stream_at(source: String, key: String) -> Result<StreamId, Problem> {
    if key.is_empty() || key.len() > KEY_MAX_BYTES {
        let text = format!("a key has 1 to {KEY_MAX_BYTES} bytes");
        return Err(Problem::invalid(text));
    }
    Ok(StreamId::new(source, key))
}

/// A JSON string or number as text, the number exactly as written.
pub(crate) fn scalar(name: &str, value: &RawValue) -> Result<String, Problem> {
    let text = value.get();
    if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    serde_json::from_str(text)
        .map_err(|_| Problem::invalid(format!("`{name}` must be a string or a number")))
}
