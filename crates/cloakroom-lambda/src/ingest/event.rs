//! From an event to a request.
//!
//! The shapes are spelt out here: signatures may cover the query as it was sent, so its parameters must keep their order,
//! which those of `aws_lambda_events` do not for load balancers.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::answer::HandlerError;

/// What cannot stand in a path or query as it is. What was encoded already stays as it was sent.
const UNFIT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// How the answer is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For an HTTP API or a function URL.
    Gateway,
    /// For a load balancer.
    Balancer {
        /// Headers are lists of values.
        multi: bool,
    },
}

/// An HTTP API's payload 2.0, or a function URL's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gateway {
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    cookies: Vec<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    request_context: GatewayContext,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct GatewayContext {
    #[serde(default)]
    stage: String,
    http: GatewayHttp,
}

#[derive(Deserialize)]
struct GatewayHttp {
    method: String,
}

/// A load balancer's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Balancer {
    http_method: String,
    #[serde(default)]
    path: String,
    query_string_parameters: Option<Map<String, Value>>,
    multi_value_query_string_parameters: Option<Map<String, Value>>,
    headers: Option<Map<String, Value>>,
    multi_value_headers: Option<Map<String, Value>>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// The request in an event, or why it is a bad one; and how to answer. `base` is the path of the public address, which
/// stands before every path.
pub(super) fn read(
    event: Value,
    base: &str,
) -> Result<(Result<Request<Body>, &'static str>, Form), HandlerError> {
    let wrong = |found: String| HandlerError::Event {
        found,
        expected: "a request of an HTTP API (payload format 2.0), a function URL or a load balancer",
    };
    let unreadable = |error: serde_json::Error| wrong(format!("not readable ({error})"));
    let context = &event["requestContext"];
    if context.get("elb").is_some() {
        let event: Balancer = serde_json::from_value(event).map_err(unreadable)?;
        let multi = event.multi_value_headers.is_some();
        return Ok((event.request(base), Form::Balancer { multi }));
    }
    if context.get("http").is_some() {
        let event: Gateway = serde_json::from_value(event).map_err(unreadable)?;
        return Ok((event.request(base), Form::Gateway));
    }
    let version = event["version"].as_str();
    Err(wrong(match version {
        Some("1.0") => "a request in payload format 1.0".to_owned(),
        _ => "none of them".to_owned(),
    }))
}

impl Gateway {
    fn request(self, base: &str) -> Result<Request<Body>, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            add(&mut headers, name, value);
        }
        // Only these are taken out of the headers.
        if !self.cookies.is_empty() {
            let cookies = Value::String(self.cookies.join("; "));
            add(&mut headers, COOKIE.as_str(), &cookies);
        }
        let stage = match self.request_context.stage.as_str() {
            "" | "$default" => String::new(),
            stage => format!("/{stage}"),
        };
        let path = below(below(&self.raw_path, base), &stage);
        let method = &self.request_context.http.method;
        let body = body(self.body, self.is_base64_encoded)?;
        request(method, path, &self.raw_query_string, headers, body)
    }
}

impl Balancer {
    fn request(self, base: &str) -> Result<Request<Body>, &'static str> {
        let mut headers = HeaderMap::new();
        let lists = self.multi_value_headers.or(self.headers);
        for (name, value) in &lists.unwrap_or_default() {
            for value in values(value) {
                add(&mut headers, name, value);
            }
        }
        let parameters = self.multi_value_query_string_parameters;
        let parameters = parameters.or(self.query_string_parameters);
        // They come as they were sent, encoded.
        let query: Vec<String> = parameters
            .unwrap_or_default()
            .iter()
            .flat_map(|(name, value)| values(value).iter().map(move |value| (name, value)))
            .map(|(name, value)| match value.as_str() {
                Some("") | None => name.clone(),
                Some(value) => format!("{name}={value}"),
            })
            .collect();
        let body = body(self.body, self.is_base64_encoded)?;
        let path = below(&self.path, base);
        request(&self.http_method, path, &query.join("&"), headers, body)
    }
}

/// A value that may be a list of values.
fn values(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        value => std::slice::from_ref(value),
    }
}

/// A header that cannot be one is left out: none of ours is like that.
fn add(headers: &mut HeaderMap, name: &str, value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let name = HeaderName::from_bytes(name.as_bytes());
    let value = HeaderValue::from_bytes(text.as_bytes());
    if let (Ok(name), Ok(value)) = (name, value) {
        headers.append(name, value);
    }
}

/// `path` without the part that stands before all paths, if it does.
fn below<'a>(path: &'a str, base: &str) -> &'a str {
    match path.strip_prefix(base) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// The bytes that were sent: signatures are over these.
fn body(text: Option<String>, is_base64: bool) -> Result<Bytes, &'static str> {
    match text {
        None => Ok(Bytes::new()),
        Some(text) if is_base64 => STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|_| "the body is not the base64 it is said to be\n"),
        Some(text) => Ok(Bytes::from(text)),
    }
}

fn request(
    method: &str,
    path: &str,
    query: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Request<Body>, &'static str> {
    let separator = if query.is_empty() { "" } else { "?" };
    let target = format!("{path}{separator}{query}");
    let target = utf8_percent_encode(&target, UNFIT).to_string();
    let uri: Uri = target.parse().map_err(|_| "the path is not one\n")?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| "the method is not one\n")?;
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}
