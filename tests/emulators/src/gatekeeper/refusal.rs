//! How each service says that something is not allowed.

use http::{Response, StatusCode};
use hyper::body::Bytes;
use serde_json::json;

use super::Denied;
use super::access::Service;

/// The refusal of a request that was understood.
pub(super) fn of(service: Service, principal: &str, denied: &Denied) -> Response<Bytes> {
    let Denied {
        action,
        resource,
        reason,
    } = denied;
    let message = format!(
        "User: {principal} is not authorized to perform: {action} on resource: {resource} {reason}"
    );
    let json = |status, name: &str| {
        let body = json!({"__type": name, "message": message}).to_string();
        answer(status, "application/x-amz-json-1.0", body)
    };
    match service {
        Service::DynamoDb => json(400, "com.amazon.coral.service#AccessDeniedException"),
        Service::Events | Service::SecretsManager | Service::StepFunctions => {
            json(400, "AccessDeniedException")
        }
        Service::Sqs => json(403, "com.amazon.coral.service#AccessDeniedException"),
        Service::Lambda => {
            let body = json!({"Message": message}).to_string();
            let mut refusal = answer(403, "application/json", body);
            let name = http::HeaderValue::from_static("AccessDeniedException");
            refusal.headers_mut().insert("x-amzn-errortype", name);
            refusal
        }
        Service::S3 => xml("AccessDenied", &message),
        Service::Sns => {
            let text = escaped(&message);
            let body = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>{text}</Message></Error></ErrorResponse>"
            );
            answer(403, "text/xml", body)
        }
    }
}

/// The refusal of a request that the gatekeeper does not know.
pub(super) fn of_unknown(denied: &Denied) -> Response<Bytes> {
    xml("AccessDenied", &denied.to_string())
}

fn xml(code: &str, message: &str) -> Response<Bytes> {
    let text = escaped(message);
    let body = format!("<Error><Code>{code}</Code><Message>{text}</Message></Error>");
    answer(403, "application/xml", body)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn answer(status: u16, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("the statuses here are valid");
    let content_type = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert("content-type", content_type);
    response
}
