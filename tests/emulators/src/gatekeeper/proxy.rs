//! The way of a request: read, understood, decided, passed on, and its answer looked at.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::access::{self, Asked, Unknown};
use super::{Denied, Shared, refusal};

/// What came back, or what went wrong on the way.
type Answer = Result<Response<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

/// Serves connections for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener)
        .expect("the listener is bound and does not block");
    loop {
        // One connection that could not be accepted is no reason to refuse all others.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&shared, request).await.map(Full::new)) }
            });
            let server = hyper::server::conn::http1::Builder::new();
            // A caller that goes away has ended its connection: nobody is left to be told.
            let _ = server.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return broken(&error),
    };
    let asked = match access::asked(&parts, &body) {
        Ok(asked) => asked,
        Err(reason) => {
            let (action, resource) = (parts.method.to_string(), parts.uri.path().to_owned());
            let denied = shared.state().deny(action, resource, reason);
            return refusal::of_unknown(&denied);
        }
    };
    let asked = match resolved(shared, asked).await {
        Ok(asked) => asked,
        Err(error) => return broken(error.as_ref()),
    };
    if let Err(denied) = decide(shared, &asked) {
        return refused(shared, &asked, &denied);
    }
    let response = match send(shared, &parts, body.clone()).await {
        Ok(response) => response,
        Err(error) => return broken(error.as_ref()),
    };
    if let Some(absence) = &asked.absence
        && response.status() == StatusCode::NOT_FOUND
    {
        let told = shared.state().decide(absence.clone());
        if let Err(denied) = told {
            return refused(shared, &asked, &denied);
        }
    }
    remember(shared, &asked, &body, response.body());
    response
}

/// The first access that is denied.
fn decide(shared: &Shared, asked: &Asked) -> Result<(), Denied> {
    let mut state = shared.state();
    let accesses = asked.accesses.iter().cloned();
    accesses.into_iter().try_for_each(|one| state.decide(one))
}

fn refused(shared: &Shared, asked: &Asked, denied: &Denied) -> Response<Bytes> {
    let principal = shared.state().principal.clone();
    refusal::of(asked.service, &principal, denied)
}

/// Fills in the resource that only the service can tell.
async fn resolved(
    shared: &Shared,
    mut asked: Asked,
) -> Result<Asked, Box<dyn std::error::Error + Send + Sync>> {
    let resource = match &asked.unknown {
        None => return Ok(asked),
        Some(Unknown::Iterator(iterator)) => {
            let known = shared.state().iterators.get(iterator).cloned();
            known.unwrap_or_else(|| "a shard iterator of unknown origin".to_owned())
        }
        Some(Unknown::Secret(name)) => {
            let described = describe_secret(shared, name).await?;
            let arn = described["ARN"].as_str();
            // IAM sees a secret that is not there under the name that was asked for.
            arn.unwrap_or(name).to_owned()
        }
    };
    for access in &mut asked.accesses {
        access.resource.clone_from(&resource);
    }
    Ok(asked)
}

async fn describe_secret(
    shared: &Shared,
    name: &str,
) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    let scope = "AWS4-HMAC-SHA256 Credential=test/20000101/us-east-1/secretsmanager/aws4_request, \
                 SignedHeaders=host, Signature=0";
    let request = Request::post("/")
        .header("host", shared.upstream.to_string())
        .header("authorization", scope)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "secretsmanager.DescribeSecret");
    let (parts, ()) = request.body(())?.into_parts();
    let body = json!({"SecretId": name}).to_string();
    let response = send(shared, &parts, body.into()).await?;
    Ok(serde_json::from_slice(response.body()).unwrap_or_default())
}

/// Which stream the shard iterators in an answer belong to.
fn remember(shared: &Shared, asked: &Asked, request: &[u8], response: &[u8]) {
    let (stream, field) = match asked.operation.as_str() {
        "GetShardIterator" => ("StreamArn", "ShardIterator"),
        "GetRecords" => ("ShardIterator", "NextShardIterator"),
        _ => return,
    };
    let text = |bytes: &[u8], name: &str| {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        value[name].as_str().map(str::to_owned)
    };
    if let (Some(from), Some(next)) = (text(request, stream), text(response, field)) {
        let mut state = shared.state();
        let stream = state.iterators.get(&from).cloned().unwrap_or(from);
        state.iterators.insert(next, stream);
    }
}

/// Sends a request to the emulator, and reads the whole answer.
async fn send(shared: &Shared, parts: &Parts, body: Bytes) -> Answer {
    let stream = TcpStream::connect(shared.upstream).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = parts.uri.path_and_query().cloned();
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.headers_mut() = end_to_end(&parts.headers);
    request.headers_mut().remove(CONTENT_LENGTH);
    let response = sender.send_request(request).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = end_to_end(&head.headers);
    // The length of what a HEAD request asks about is told by this header alone.
    if parts.method != Method::HEAD {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    Ok(response)
}

/// The headers without those that are about one connection.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [CONNECTION, TRANSFER_ENCODING, EXPECT] {
        headers.remove(name);
    }
    headers
}

fn broken(error: &(dyn std::error::Error + Send + Sync)) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("the gatekeeper: {error}")));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
