//! From a response to what the trigger takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::SET_COOKIE;
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::event::Form;

/// A response with its whole body.
pub(super) fn write(form: Form, head: &Parts, body: &[u8]) -> Value {
    let (body, is_base64) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (STANDARD.encode(body), true),
    };
    let status = head.status;
    let mut answer = json!({
        "statusCode": status.as_u16(),
        "body": body,
        "isBase64Encoded": is_base64,
    });
    match form {
        Form::Gateway => {
            // Its headers have one value each; cookies are apart.
            let (cookies, headers): (Vec<_>, Vec<_>) =
                texts(&head.headers).partition(|(name, _)| *name == SET_COOKIE.as_str());
            answer["headers"] = joined(headers);
            answer["cookies"] = cookies.into_iter().map(|(_, value)| value).collect();
        }
        Form::Balancer { multi } => {
            let reason = status.canonical_reason().unwrap_or("Unknown");
            answer["statusDescription"] = format!("{} {reason}", status.as_u16()).into();
            if multi {
                answer["multiValueHeaders"] = listed(&head.headers);
            } else {
                answer["headers"] = joined(texts(&head.headers));
            }
        }
    }
    answer
}

/// A response of one line.
pub(super) fn plain(form: Form, status: StatusCode, text: &'static str) -> Value {
    let mut response = http::Response::new(());
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, plain);
    write(form, &response.into_parts().0, text.as_bytes())
}

fn texts(headers: &HeaderMap) -> impl Iterator<Item = (&str, String)> {
    headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str(), value)
    })
}

fn joined<'a>(headers: impl IntoIterator<Item = (&'a str, String)>) -> Value {
    let mut joined = Map::new();
    for (name, value) in headers {
        match joined.get_mut(name) {
            Some(Value::String(before)) => *before = format!("{before}, {value}"),
            _ => drop(joined.insert(name.to_owned(), value.into())),
        }
    }
    joined.into()
}

fn listed(headers: &HeaderMap) -> Value {
    let mut lists = Map::new();
    for (name, value) in texts(headers) {
        let list = lists.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(value.into());
        }
    }
    lists.into()
}
