//! The functions over one ledger, with queues that remember what they were sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::config::Config;
use cloakroom_core::event::Event;
use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ClaimLinks;
use cloakroom_engine::memory::{MemoryClaims, MemoryLedger, MemoryUploads};
use cloakroom_engine::ports::{ClaimError, Clock, Outcome, Outgoing, Sink};
use cloakroom_engine::record::{Cursor, HeadRecord, Record};
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use serde_json::{Value, json};

use crate::queue::{Message, Queue, SendError};
use crate::rings::Queues;
use crate::role::Role;
use crate::start::{Function, Stores};

/// Two subscriptions to one source; the sinks are the test's.
pub(super) const CONFIG: &str = r#"
sources:
  orders:
    verify: { scheme: none }
    id: header:webhook-id
    key: header:x-key
    order: { kind: dense, at: header:x-seq, first: 1, gap: { after: 60s, then: wait } }
subscriptions:
  billing: { sources: [orders], sink: { sqs-fifo: { queue: "https://sqs.eu-west-1.amazonaws.com/123456789012/billing.fifo" } } }
  audit: { sources: [orders], sink: { pull: {} } }
"#;

/// A queue that keeps what it is sent, and refuses what it is told to.
#[derive(Default)]
pub(super) struct Sent {
    messages: Mutex<Vec<Message>>,
    refuses: Mutex<Option<String>>,
}

impl Sent {
    pub(super) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.messages.lock().unwrap())
    }

    /// From now on refuses messages that contain this.
    pub(super) fn refuse(&self, text: &str) {
        *self.refuses.lock().unwrap() = Some(text.to_owned());
    }
}

#[async_trait]
impl Queue for Sent {
    async fn send(&self, messages: Vec<Message>) -> Vec<Result<(), SendError>> {
        let refuses = self.refuses.lock().unwrap().clone();
        messages
            .into_iter()
            .map(|message| match &refuses {
                Some(text) if message.body.contains(text.as_str()) => {
                    Err(SendError("the test says so".to_owned()))
                }
                _ => {
                    self.messages.lock().unwrap().push(message);
                    Ok(())
                }
            })
            .collect()
    }
}

/// A consumer: takes everything, unless it is told something else.
pub(super) struct Consumer {
    pub(super) outcomes: Mutex<VecDeque<Outcome>>,
    taken: Mutex<Vec<String>>,
    pub(super) needs: Mutex<Duration>,
}

impl Consumer {
    /// The identities of what was taken, in order.
    pub(super) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

#[async_trait]
impl Sink for Consumer {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        if let Some(outcome) = self.outcomes.lock().unwrap().pop_front() {
            return outcome;
        }
        for outgoing in events {
            let identity = outgoing.event.identity.to_string();
            self.taken.lock().unwrap().push(identity);
        }
        Outcome::Delivered
    }

    fn timeout(&self) -> Duration {
        *self.needs.lock().unwrap()
    }
}

struct NoLinks;

#[async_trait]
impl ClaimLinks for NoLinks {
    async fn link(&self, _: &Event, _: Timestamp) -> Result<Option<String>, ClaimError> {
        Ok(None)
    }
}

/// What all functions of a test share.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) ledger: Arc<MemoryLedger>,
    pub(super) clock: Arc<SystemClock>,
    pub(super) claims: Arc<MemoryClaims>,
    pub(super) uploads: Arc<MemoryUploads>,
    pub(super) doorbells: Arc<Sent>,
    pub(super) timers: Arc<Sent>,
    pub(super) consumer: Arc<Consumer>,
    /// The lines of metrics.
    pub(super) told: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(CONFIG)
    }

    pub(super) fn with(config: &str) -> Self {
        Self {
            config: Config::parse(config).unwrap(),
            ledger: Arc::new(MemoryLedger::shared()),
            clock: Arc::new(SystemClock::new()),
            claims: Arc::new(MemoryClaims::new()),
            uploads: Arc::new(MemoryUploads::new()),
            doorbells: Arc::default(),
            timers: Arc::default(),
            told: Arc::default(),
            consumer: Arc::new(Consumer {
                outcomes: Mutex::default(),
                taken: Mutex::default(),
                needs: Mutex::new(Duration::from_millis(10)),
            }),
        }
    }

    pub(super) fn stores(&self) -> Stores {
        let told = Arc::clone(&self.told);
        Stores {
            table: "ledger".to_owned(),
            tell: Arc::new(move |line: &str| told.lock().unwrap().push(line.to_owned())),
            ledger: Arc::<MemoryLedger>::clone(&self.ledger),
            claims: Arc::<MemoryClaims>::clone(&self.claims),
            links: Arc::new(NoLinks),
            uploads: Arc::<MemoryUploads>::clone(&self.uploads),
            clock: Arc::<SystemClock>::clone(&self.clock),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// A function that has just started.
    pub(super) async fn function(&self, role: Role) -> Function {
        let doorbells: Arc<dyn Queue> = Arc::<Sent>::clone(&self.doorbells);
        let timers: Arc<dyn Queue> = Arc::<Sent>::clone(&self.timers);
        let resolve = |_: &_| Ok(Secret::new(b"a token of some length".to_vec()));
        let consumer = Arc::clone(&self.consumer);
        let sinks = move |_: &_| {
            let sink: Arc<dyn Sink> = Arc::<Consumer>::clone(&consumer);
            Ok(Some(sink))
        };
        let queues = Queues::new(doorbells, timers);
        Function::assemble(role, &self.config, self.stores(), queues, &resolve, &sinks)
            .await
            .unwrap()
    }

    /// Calls a function that has just started.
    pub(super) async fn call(&self, role: Role, event: Value) -> Value {
        let ends = self.clock.now().after(Duration::from_secs(30));
        let function = self.function(role).await;
        function.handle(event, Some(ends)).await.unwrap()
    }

    /// Takes webhooks of `orders` in, by their keys and numbers.
    pub(super) async fn accept(&self, webhooks: &[(&str, u64)]) {
        for (key, n) in webhooks {
            let answer = self.call(Role::Ingest, webhook(key, *n)).await;
            assert_eq!(answer["statusCode"], 202, "{answer}");
        }
    }

    /// The records of the table's stream that a pipe with this filter would bring: all entries, or all heads that moved.
    pub(super) fn changes(&self, kind: &str) -> Vec<Value> {
        let mut changes = Vec::new();
        for (index, record) in self.ledger.dump().into_iter().enumerate() {
            let image = match &record {
                Record::Event(event) if kind == "EVENT" => {
                    let mut image = image(&event.stream, kind);
                    image["SK"] = json!({"S": format!("EVENT#{}", event.position)});
                    image
                }
                Record::Head(head) if kind == "HEAD" && head.head.position.is_some() => {
                    let mut image = image(&head.stream, kind);
                    image["SK"] = json!({"S": "HEAD"});
                    image["advanced"] = json!({"S": "yes"});
                    image["position"] = json!({"S": head.head.position});
                    image
                }
                _ => continue,
            };
            changes.push(json!({
                "eventID": format!("change-{index}"), "eventName": "INSERT", "eventVersion": "1.1",
                "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1",
                "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/2026-11-22T00:00:00.000",
                "dynamodb": {
                    "ApproximateCreationDateTime": 1_790_000_000, "Keys": {"PK": image["PK"], "SK": image["SK"]},
                    "NewImage": image, "SequenceNumber": format!("{index:020}"), "SizeBytes": 900,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
            }));
        }
        changes
    }

    /// How far a stream of `orders` is released.
    pub(super) fn head(&self, key: &str) -> Option<u64> {
        let of_key = |head: &HeadRecord| head.stream == stream(key);
        let mut heads = self.ledger.dump().into_iter();
        heads.find_map(|record| match record {
            Record::Head(head) if of_key(&head) => head.head.position?.number(),
            _ => None,
        })
    }

    /// How far `billing` has settled a stream of `orders`.
    pub(super) fn cursor(&self, key: &str) -> Option<Cursor> {
        let mut records = self.ledger.dump().into_iter();
        records.find_map(|record| match record {
            Record::Cursor(cursor) if cursor.stream == stream(key) => Some(cursor),
            _ => None,
        })
    }

    /// Takes webhooks in and releases what may leave.
    pub(super) async fn release(&self, webhooks: &[(&str, u64)]) {
        self.accept(webhooks).await;
        let changes = self.changes("EVENT").into();
        assert_eq!(
            failures(&self.call(Role::Resequence, changes).await),
            [""; 0]
        );
    }
}

fn image(stream: &StreamId, kind: &str) -> Value {
    json!({"PK": {"S": format!("STREAM#{stream}")}, "kind": {"S": kind}, "format": {"N": "1"}})
}

pub(super) fn stream(key: &str) -> StreamId {
    StreamId::new("orders", key)
}

pub(super) fn billing() -> SubscriptionName {
    "billing".into()
}

/// Number `n` of `key`, as an HTTP API hands it on.
pub(super) fn webhook(key: &str, n: u64) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/in/orders", "rawQueryString": "",
        "headers": {
            "content-type": "application/json", "webhook-id": format!("{key}-{n}"), "x-key": key, "x-seq": n.to_string(),
        },
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "api.execute-api.eu-west-1.amazonaws.com",
            "http": {
                "method": "POST", "path": "/in/orders", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x",
            },
            "requestId": "id", "routeKey": "$default", "stage": "$default", "time": "22/Nov/2026:05:00:00 +0000",
            "timeEpoch": 1_790_000_000_000_u64,
        },
        "body": format!(r#"{{"n":{n}}}"#), "isBase64Encoded": false,
    })
}

/// What a batch's answer names.
pub(super) fn failures(answer: &Value) -> Vec<String> {
    let failures = answer["batchItemFailures"].as_array().unwrap();
    let name = |failure: &Value| failure["itemIdentifier"].as_str().unwrap().to_owned();
    failures.iter().map(name).collect()
}

/// Messages as a queue hands them to a function.
pub(super) fn batch(messages: &[Message]) -> Value {
    let records = messages.iter().enumerate().map(|(index, message)| {
        json!({
            "messageId": format!("message-{index}"), "receiptHandle": "handle", "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": "1790000000000", "SequenceNumber": index.to_string(),
                "MessageGroupId": message.group.clone().unwrap_or_default(), "SenderId": "AROA",
                "MessageDeduplicationId": message.deduplication.clone().unwrap_or_default(),
                "ApproximateFirstReceiveTimestamp": "1790000000000",
            },
            "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:doorbells.fifo", "awsRegion": "eu-west-1",
        })
    });
    json!({"Records": records.collect::<Vec<_>>()})
}
