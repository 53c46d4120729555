//! The functions, each with stores in MiniStack and queues in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use cloakroom_aws::{ClientOptions, DynamoLedger, S3Claims, S3Options, http_client};
use cloakroom_core::config::Config;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_emulators::{MiniStack, Tamper};
use cloakroom_engine::ports::{Clock, Outcome, Outgoing, Sink};
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_lambda::start::{Function, Stores, UPLOAD_TTL};
use cloakroom_lambda::{Message, Queue, Queues, Role, SendError};
use cloakroom_pipes::aws::StreamSource;
use serde_json::{Value, json};

use crate::pipe::Pipe;

/// A queue in memory.
#[derive(Default)]
pub(crate) struct Bells(Mutex<Vec<Message>>);

impl Bells {
    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[async_trait]
impl Queue for Bells {
    async fn send(&self, messages: Vec<Message>) -> Vec<Result<(), SendError>> {
        let outcomes = vec![Ok(()); messages.len()];
        self.0.lock().unwrap().extend(messages);
        outcomes
    }
}

/// What chooses, by an event's identity, whether a consumer's answer is lost.
type Choose = Box<dyn FnMut(&str) -> bool + Send>;

/// A consumer that notes everything it is sent: stream, position, identity.
#[derive(Default)]
pub(crate) struct Consumer {
    sent: Mutex<Vec<[String; 3]>>,
    fails: Mutex<Option<Choose>>,
}

impl Consumer {
    /// From now on the answer is lost when this says so. What was sent was received all the same.
    pub(crate) fn fail(&self, fails: Option<Choose>) {
        *self.fails.lock().unwrap() = fails;
    }

    /// What a consumer has that remembers the last sequence of each stream: of each stream the identities, in order.
    pub(crate) fn seen(&self) -> BTreeMap<String, Vec<String>> {
        let mut last = BTreeMap::<String, String>::new();
        let mut seen = BTreeMap::<String, Vec<String>>::new();
        for [stream, position, identity] in self.sent.lock().unwrap().iter() {
            if last.get(stream).is_none_or(|last| last < position) {
                last.insert(stream.clone(), position.clone());
                let of_stream = seen.entry(stream.clone()).or_default();
                of_stream.push(identity.clone());
            }
        }
        seen
    }
}

#[async_trait]
impl Sink for Consumer {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        for Outgoing { event, .. } in events {
            let note = [
                event.stream.to_string(),
                event.position.to_string(),
                event.identity.to_string(),
            ];
            self.sent.lock().unwrap().push(note);
        }
        let mut fails = self.fails.lock().unwrap();
        let mut loses = |sent: &Outgoing| {
            let identity = sent.event.identity.to_string();
            fails.as_mut().is_some_and(|fails| fails(&identity))
        };
        if events.iter().any(&mut loses) {
            return Outcome::Failed {
                reason: "its answer is lost".to_owned(),
                retry_after: None,
            };
        }
        Outcome::Delivered
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// A table, a bucket, queues and a consumer, and the functions over them.
pub(crate) struct World {
    pub(crate) tamper: Tamper,
    pub(crate) plain: SdkConfig,
    pub(crate) table: String,
    pub(crate) doorbells: Arc<Bells>,
    pub(crate) timers: Arc<Bells>,
    pub(crate) consumer: Arc<Consumer>,
    pub(crate) clock: Arc<SystemClock>,
    tampered: SdkConfig,
    config: Config,
    /// How far the functions' clock is ahead.
    pub(crate) ahead: Duration,
}

/// A clock that is ahead of the machine's.
struct Ahead(Arc<SystemClock>, Duration);

#[async_trait]
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.0.now().after(self.1)
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.0.sleep_until(at.before(self.1)).await;
    }
}

impl World {
    /// With a table and a bucket of its own.
    pub(crate) async fn new(config: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let table = format!("functions-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let tamper = Tamper::default();
        let options = || ClientOptions::emulator(MiniStack::shared().endpoint(), MiniStack::REGION);
        let plain = options().load().await.unwrap();
        let tampered = ClientOptions {
            http_client: Some(tamper.client(http_client())),
            ..options()
        };
        let tampered = tampered.load().await.unwrap();
        let made = DynamoLedger::new(&plain, &table).create_table().await;
        made.unwrap_or_else(|error| panic!("{error}"));
        let bucket = s3(&plain).create_bucket().bucket(&table).send().await;
        bucket.unwrap();
        Self {
            tamper,
            plain,
            table,
            doorbells: Arc::default(),
            timers: Arc::default(),
            consumer: Arc::default(),
            clock: Arc::new(SystemClock::new()),
            tampered,
            config: Config::parse(config).unwrap_or_else(|mistakes| panic!("{mistakes}")),
            ahead: Duration::ZERO,
        }
    }

    /// A function that has just started, or why it did not.
    pub(crate) async fn function(&self, role: Role) -> Result<Function, String> {
        let clock: Arc<dyn Clock> = Arc::new(Ahead(Arc::clone(&self.clock), self.ahead));
        let claims = S3Claims::new(
            s3(&self.tampered),
            S3Options::new(&self.table),
            Arc::clone(&clock),
            Arc::new(SystemEntropy),
        );
        let stores = Stores {
            table: self.table.clone(),
            tell: Arc::new(|_| {}),
            ledger: Arc::new(DynamoLedger::new(&self.tampered, &self.table)),
            links: Arc::new(claims.links(self.config.claims.url_ttl.get(), None)),
            uploads: Arc::new(claims.uploads(UPLOAD_TTL)),
            claims: Arc::new(claims),
            clock,
            entropy: Arc::new(SystemEntropy),
        };
        let doorbells: Arc<dyn Queue> = Arc::<Bells>::clone(&self.doorbells);
        let timers: Arc<dyn Queue> = Arc::<Bells>::clone(&self.timers);
        let resolve = |_: &_| Ok(Secret::new(b"a token of some length".to_vec()));
        let sinks = |_: &_| {
            let sink: Arc<dyn Sink> = Arc::<Consumer>::clone(&self.consumer);
            Ok(Some(sink))
        };
        let queues = Queues::new(doorbells, timers);
        let function = Function::assemble(role, &self.config, stores, queues, &resolve, &sinks);
        // It is large, and many of the tests' futures hold one.
        let function = Box::pin(function).await;
        function.map_err(|error| error.to_string())
    }

    /// Calls a function.
    pub(crate) async fn call(&self, function: &Function, event: Value) -> Result<Value, String> {
        let ends = self.clock.now().after(self.ahead + Duration::from_secs(30));
        let answer = Box::pin(function.handle(event, Some(ends))).await;
        answer.map_err(|error| error.to_string())
    }

    /// A pipe, at the beginning of the table's stream.
    pub(crate) async fn pipe(&self, role: Role) -> Pipe {
        let ledger = DynamoLedger::new(&self.plain, &self.table);
        let arn = ledger.stream_arn().await.unwrap();
        let client = aws_sdk_dynamodbstreams::Client::new(&self.plain);
        Pipe::new(StreamSource::new(client, arn), role)
    }
}

fn s3(sdk: &SdkConfig) -> aws_sdk_s3::Client {
    let retry = aws_config::retry::RetryConfig::standard()
        .with_max_attempts(4)
        .with_initial_backoff(Duration::from_millis(20));
    let config = aws_sdk_s3::config::Builder::from(sdk)
        .force_path_style(true)
        .retry_config(retry);
    aws_sdk_s3::Client::from_conf(config.build())
}

/// A webhook of one KB, as an HTTP API hands it on.
pub(crate) fn webhook(source: &str, key: &str, n: u64) -> Value {
    let path = format!("/in/{source}");
    let text = format!(r#"{{"n":{n},"text":""}}"#);
    let filler = "x".repeat(1024 - text.len());
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {
            "content-type": "application/json", "webhook-id": format!("{key}-{n}"), "x-key": key, "x-seq": n.to_string(),
        },
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "api.execute-api.us-east-1.amazonaws.com",
            "http": {
                "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x",
            },
            "requestId": "id", "routeKey": "$default", "stage": "$default", "time": "22/Nov/2026:05:00:00 +0000",
            "timeEpoch": 1_790_000_000_000_u64,
        },
        "body": format!(r#"{{"n":{n},"text":"{filler}"}}"#), "isBase64Encoded": false,
    })
}

/// Messages as a queue hands them to a function; the names are their places.
pub(crate) fn messages(messages: &[Message]) -> Value {
    let records = messages.iter().enumerate().map(|(index, message)| {
        json!({
            "messageId": index.to_string(), "receiptHandle": "handle", "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": "1790000000000", "SequenceNumber": index.to_string(),
                "MessageGroupId": message.group.clone().unwrap_or_default(), "SenderId": "AROA",
                "MessageDeduplicationId": message.deduplication.clone().unwrap_or_default(),
                "ApproximateFirstReceiveTimestamp": "1790000000000",
            },
            "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:doorbells.fifo", "awsRegion": "us-east-1",
        })
    });
    json!({"Records": records.collect::<Vec<_>>()})
}

/// What a batch's answer names.
pub(crate) fn failures(answer: &Value) -> Vec<String> {
    let failures = answer["batchItemFailures"].as_array().unwrap();
    let name = |failure: &Value| failure["itemIdentifier"].as_str().unwrap().to_owned();
    failures.iter().map(name).collect()
}
