//! What a function finds around it in AWS, on loopback: the Lambda runtime API, and just enough of DynamoDB, SQS, S3 and
//! Secrets Manager for the functions of this project to do real work.
//!
//! It answers at once, so that what is measured is the function. Conditions of writes are taken to hold: a run is one
//! process by itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::clock;
use crate::webhook::SECRET;

const RUNTIME: &str = "/2018-06-01/runtime/";
/// Far in the future, in milliseconds since 1970.
const DEADLINE_MS: &str = "4102444800000";

/// What is sent to consumers is signed with this.
const SINK_SECRET: &str = "whsec_Y2xvYWtyb29tLWJlbmNoLWRlbGl2ZXJpZXM=";

/// The items of the table, by `PK` and `SK`.
pub(crate) type Table = BTreeMap<(String, String), Value>;

/// A running one, for one start of a function: what an earlier one sends too late goes to another port.
#[derive(Debug)]
pub(crate) struct Cloud {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    shared: Shared,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<State>>);

/// One start of a function, as seen from here.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// When it first asked for an event.
    pub(crate) asked: Option<Instant>,
    /// How many requests to AWS it had made by then.
    pub(crate) requests_before: usize,
    /// When it answered, and what.
    pub(crate) answered: Option<(Instant, Value)>,
    /// The requests to AWS, by name.
    pub(crate) requests: Vec<String>,
    /// The texts of the messages it sent to queues.
    pub(crate) messages: Vec<String>,
    /// What went wrong.
    pub(crate) failed: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    table: Table,
    event: Value,
    latency: Duration,
    seen: Seen,
}

type Answer = Response<Full<Bytes>>;

impl Cloud {
    /// Starts one over `table`, which hands out `event`. Its answers to requests to AWS take `latency`.
    pub(crate) async fn start(
        latency: Duration,
        table: Table,
        event: Value,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Shared(Arc::new(Mutex::new(State {
            table,
            event,
            latency,
            seen: Seen::default(),
        })));
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().connection(stream));
            }
        });
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// Whether the function has answered, or failed.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.shared.state();
        state.seen.answered.is_some() || state.seen.failed.is_some()
    }

    /// What the function did, and the table after it.
    pub(crate) fn end(self) -> (Seen, Table) {
        let mut state = self.shared.state();
        (
            std::mem::take(&mut state.seen),
            std::mem::take(&mut state.table),
        )
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(async |request| Ok::<_, Infallible>(self.answer(request).await));
        // However a connection ends: what a function did not get through is missed by whoever waits for it.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let at = clock::now();
        let (head, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return self.fail(format!("a request broke off: {error}")),
        };
        if let Some(call) = head.uri.path().strip_prefix(RUNTIME) {
            return self.runtime(call, at, &body).await;
        }
        let target = head.headers.get("x-amz-target");
        let target = target.and_then(|value| value.to_str().ok());
        let name = target.map_or_else(|| format!("S3 {}", head.method), str::to_owned);
        let latency = {
            let mut state = self.state();
            state.seen.requests.push(name.clone());
            state.latency
        };
        if !latency.is_zero() {
            clock::nap(latency).await;
        }
        match target {
            None if head.method == Method::PUT => respond(StatusCode::OK, ""),
            None => self.fail(format!("a request that is not known here: {name}")),
            Some(target) => self.service(target, &body),
        }
    }

    /// The runtime API: one event, then nothing more.
    async fn runtime(&self, call: &str, at: Instant, body: &[u8]) -> Answer {
        if call == "invocation/next" {
            let event = {
                let mut state = self.state();
                let is_first = state.seen.asked.is_none();
                if is_first {
                    state.seen.asked = Some(at);
                    state.seen.requests_before = state.seen.requests.len();
                }
                is_first.then(|| state.event.to_string())
            };
            let Some(event) = event else {
                return std::future::pending().await;
            };
            let mut response = respond(StatusCode::OK, event);
            let arn = "arn:aws:lambda:eu-west-1:123456789012:function:bench";
            for (name, value) in [
                ("lambda-runtime-aws-request-id", "1"),
                ("lambda-runtime-deadline-ms", DEADLINE_MS),
                ("lambda-runtime-invoked-function-arn", arn),
            ] {
                let value = http::HeaderValue::from_static(value);
                response.headers_mut().insert(name, value);
            }
            return response;
        }
        if call.ends_with("/response") {
            let answer = serde_json::from_slice(body).unwrap_or_default();
            self.state().seen.answered = Some((at, answer));
            return respond(StatusCode::ACCEPTED, "");
        }
        self.fail(format!("{call}: {}", String::from_utf8_lossy(body)))
    }

    /// The services that speak JSON.
    fn service(&self, target: &str, body: &[u8]) -> Answer {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut state = self.state();
        let (_, action) = target.rsplit_once('.').unwrap_or_default();
        let answer = match action {
            "GetItem" => {
                let item = state.table.get(&key(&asked["Key"]));
                item.map_or_else(|| json!({}), |item| json!({ "Item": item }))
            }
            "Query" => state.query(&asked),
            "PutItem" => state.write("Put", &asked),
            "TransactWriteItems" => {
                for item in asked["TransactItems"].as_array().into_iter().flatten() {
                    for (kind, write) in item.as_object().into_iter().flatten() {
                        state.write(kind, write);
                    }
                }
                json!({})
            }
            "SendMessage" => {
                state.sent(&asked);
                json!({ "MessageId": "1" })
            }
            "SendMessageBatch" => {
                let entries = asked["Entries"].as_array().into_iter().flatten();
                let sent: Vec<_> = entries
                    .map(|entry| {
                        state.sent(entry);
                        json!({ "Id": entry["Id"], "MessageId": "1", "MD5OfMessageBody": "" })
                    })
                    .collect();
                json!({ "Successful": sent, "Failed": [] })
            }
            "GetSecretValue" if asked["VersionStage"] != "AWSCURRENT" => {
                let error = json!({ "__type": "ResourceNotFoundException" });
                return respond(StatusCode::BAD_REQUEST, error.to_string());
            }
            "GetSecretValue" => {
                let is_sink = asked["SecretId"].as_str().is_some_and(|id| id == "sink");
                json!({ "SecretString": if is_sink { SINK_SECRET } else { SECRET } })
            }
            _ => {
                drop(state);
                return self.fail(format!("a request that is not known here: {target}"));
            }
        };
        respond(StatusCode::OK, answer.to_string())
    }

    fn fail(&self, reason: String) -> Answer {
        self.state().seen.failed.get_or_insert(reason);
        respond(StatusCode::BAD_REQUEST, "{}")
    }
}

impl State {
    fn write(&mut self, kind: &str, write: &Value) -> Value {
        match kind {
            "Put" => {
                let item = write["Item"].clone();
                self.table.insert(key(&item), item);
            }
            "Delete" => {
                self.table.remove(&key(&write["Key"]));
            }
            // A check changes nothing. An update counts what came; no run depends on the count.
            _ => {}
        }
        json!({})
    }

    /// A range of one partition. The indexes are empty: nothing is ever due here.
    fn query(&self, asked: &Value) -> Value {
        let value = |name: &str| text(&asked["ExpressionAttributeValues"][name]);
        let mut items: Vec<&Value> = Vec::new();
        if asked.get("IndexName").is_none() {
            let partition = value(":pk");
            let range = (partition.clone(), value(":from"))..=(partition, value(":to"));
            items.extend(self.table.range(range).map(|(_, item)| item));
        }
        if asked["ScanIndexForward"] == false {
            items.reverse();
        }
        let limit = asked["Limit"].as_u64().unwrap_or(u64::MAX);
        items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items })
    }

    fn sent(&mut self, message: &Value) {
        let body = message["MessageBody"].as_str().unwrap_or_default();
        self.seen.messages.push(body.to_owned());
    }
}

fn key(item: &Value) -> (String, String) {
    (text(&item["PK"]), text(&item["SK"]))
}

fn text(attribute: &Value) -> String {
    attribute["S"].as_str().unwrap_or_default().to_owned()
}

fn respond(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}
