//! Given a world, when webhooks come, then consumers see …

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloakroom_core::event::Event;
use cloakroom_core::id::{EventId, StreamId, SubscriptionName};
use cloakroom_core::ordering::{First, GapAction, GapPolicy, LatePolicy, Rule};
use cloakroom_core::pattern::{Dialect, Pattern};
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Verifier};

use super::faults::{Faults, FaultyClaims, FaultyLedger, Life};
use super::sim::{SimClock, SimEntropy, pass};
use super::sink::{Connection, Script};
use crate::append::{Receipt, Status};
use crate::catalog::{Catalog, Exhausted, Interest, Route, Source, Subscription};
use crate::engine::{Engine, Parts, StartError};
use crate::intake::{Budget, Refusal};
use crate::memory::{MemoryClaims, MemoryLedger};
use crate::operate::{OperateError, ReplayFrom};
use crate::ports::Clock as _;
use crate::record::{Cursor, HeadRecord, Record};
use crate::shared::{ClaimLinks, Settings};

/// What a source is made from, again at every start.
#[derive(Clone)]
pub(super) struct SourceSpec {
    pub(super) name: &'static str,
    pub(super) rule: Rule,
    pub(super) ack_delivered: Option<Duration>,
    pub(super) generation: u32,
}

fn source(name: &'static str, rule: Rule) -> SourceSpec {
    SourceSpec {
        name,
        rule,
        ack_delivered: None,
        generation: 1,
    }
}

/// 1, 2, 3; waits at gaps for a minute, then goes on waiting; delivers what is late.
pub(super) fn dense(name: &'static str) -> SourceSpec {
    let gap = GapPolicy {
        after: Duration::from_secs(60),
        then: GapAction::Wait,
        max: 10_000,
    };
    source(
        name,
        Rule::Dense {
            first: First::Number(1),
            gap,
            late: LatePolicy::Deliver,
        },
    )
}

/// Held for five seconds.
pub(super) fn sparse(name: &'static str) -> SourceSpec {
    let hold = Duration::from_secs(5);
    let late = LatePolicy::Deliver;
    source(name, Rule::Sparse { hold, late })
}

pub(super) fn version(name: &'static str) -> SourceSpec {
    source(name, Rule::Version)
}

pub(super) fn arrival(name: &'static str) -> SourceSpec {
    source(name, Rule::Arrival)
}

impl SourceSpec {
    pub(super) fn lowest_first(mut self, window: Duration) -> Self {
        if let Rule::Dense { first, .. } = &mut self.rule {
            *first = First::Lowest { hold: window };
        }
        self
    }

    pub(super) fn skips_gaps(mut self) -> Self {
        if let Rule::Dense { gap, .. } = &mut self.rule {
            gap.then = GapAction::Skip;
        }
        self
    }

    pub(super) fn gap_max(mut self, max: u64) -> Self {
        if let Rule::Dense { gap, .. } = &mut self.rule {
            gap.max = max;
        }
        self
    }

    pub(super) fn quarantines_late(mut self) -> Self {
        if let Rule::Dense { late, .. } | Rule::Sparse { late, .. } = &mut self.rule {
            *late = LatePolicy::Quarantine;
        }
        self
    }

    pub(super) fn acknowledges_delivered(mut self, timeout: Duration) -> Self {
        self.ack_delivered = Some(timeout);
        self
    }

    fn build(&self) -> Source {
        let at = (self.rule != Rule::Arrival).then(|| "header:x-seq".parse().unwrap());
        Source {
            name: self.name.into(),
            generation: self.generation,
            ordering: format!("{:?}", std::mem::discriminant(&self.rule)),
            rule: self.rule.clone(),
            verifier: Verifier::new(&Scheme::new(SchemeName::None), &[]).unwrap(),
            id: vec!["header:webhook-id".parse().unwrap()],
            key: "header:x-key".parse().unwrap(),
            event_type: Some("header:x-type".parse().unwrap()),
            time: None,
            at,
            max_payload: 1 << 20,
            ack_delivered: self.ack_delivered,
        }
    }
}

/// What a subscription is made from, again at every start.
#[derive(Clone)]
pub(super) struct SubscriptionSpec {
    pub(super) name: &'static str,
    to: Interest,
    filter: Option<serde_json::Value>,
    retry: RetryPolicy,
    exhausted: Exhausted,
    earliest: bool,
    consumer: Consumer,
}

#[derive(Clone)]
enum Consumer {
    Push(Arc<Script>),
    Pull(Duration),
}

/// Sent to `script`; ten tries, then parked; from now.
pub(super) fn push(name: &'static str, script: &Arc<Script>) -> SubscriptionSpec {
    subscription(name, Consumer::Push(Arc::clone(script)))
}

/// Fetched, with a lease of half a minute.
pub(super) fn pull(name: &'static str) -> SubscriptionSpec {
    subscription(name, Consumer::Pull(Duration::from_secs(30)))
}

fn subscription(name: &'static str, consumer: Consumer) -> SubscriptionSpec {
    SubscriptionSpec {
        name,
        to: Interest::All,
        filter: None,
        retry: RetryPolicy {
            attempts: 10,
            base: Duration::from_secs(1),
            max: Duration::from_secs(600),
        },
        exhausted: Exhausted::Park,
        earliest: false,
        consumer,
    }
}

impl SubscriptionSpec {
    pub(super) fn to(mut self, sources: &[&str]) -> Self {
        self.to = Interest::Named(sources.iter().map(|name| (*name).into()).collect());
        self
    }

    pub(super) fn filter(mut self, pattern: serde_json::Value) -> Self {
        self.filter = Some(pattern);
        self
    }

    pub(super) fn attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = attempts;
        self
    }

    pub(super) fn dead_letters(mut self) -> Self {
        self.exhausted = Exhausted::DeadLetter;
        self
    }

    pub(super) fn earliest(mut self) -> Self {
        self.earliest = true;
        self
    }

    fn build(&self, life: &Life) -> Subscription {
        let pattern = |value| Pattern::parse(value, Dialect::EventBridge).unwrap();
        Subscription {
            name: self.name.into(),
            sources: self.to.clone(),
            filter: self.filter.as_ref().map(pattern),
            route: match &self.consumer {
                Consumer::Push(script) => Route::Push(Arc::new(Connection {
                    script: Arc::clone(script),
                    life: life.clone(),
                })),
                Consumer::Pull(lease) => Route::Pull { lease: *lease },
            },
            retry: self.retry,
            exhausted: self.exhausted,
            from_earliest: self.earliest,
            enabled: true,
        }
    }
}

/// A webhook as a provider sends it.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    pub(super) source: &'static str,
    pub(super) id: String,
    pub(super) key: Option<String>,
    pub(super) seq: Option<String>,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

/// Number `n` of `key` at source `orders`, with the identity `key-n`.
pub(super) fn order(key: &str, n: u64) -> Webhook {
    Webhook {
        source: "orders",
        id: format!("{key}-{n}"),
        key: Some(key.to_owned()),
        seq: Some(n.to_string()),
        kind: "order.changed",
        body: format!(r#"{{"order":"{key}","n":{n}}}"#),
    }
}

impl Webhook {
    pub(super) fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    pub(super) fn seq(mut self, seq: Option<&str>) -> Self {
        self.seq = seq.map(ToOwned::to_owned);
        self
    }

    pub(super) fn no_key(mut self) -> Self {
        self.key = None;
        self
    }

    pub(super) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    pub(super) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }
}

struct Links;

impl ClaimLinks for Links {
    fn link(&self, event: &Event, _: Timestamp) -> Option<String> {
        let claim = event.payload()?.claim.as_ref()?;
        Some(format!("https://claims.example/{}", claim.0))
    }
}

/// Everything there is: stores that outlive the engine, and the engine while it runs.
pub(super) struct World {
    pub(super) clock: Arc<SimClock>,
    pub(super) ledger: Arc<MemoryLedger>,
    pub(super) claims: Arc<MemoryClaims>,
    pub(super) faults: Arc<Faults>,
    pub(super) chance: Arc<SimEntropy>,
    pub(super) sources: Vec<SourceSpec>,
    pub(super) subscriptions: Vec<SubscriptionSpec>,
    pub(super) settings: Settings,
    pub(super) life: Life,
    running: Option<Engine>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::seeded(1)
    }

    pub(super) fn seeded(seed: u64) -> Self {
        Self {
            clock: Arc::new(SimClock::new()),
            ledger: Arc::new(MemoryLedger::new()),
            claims: Arc::new(MemoryClaims::new()),
            faults: Arc::new(Faults::new(seed)),
            chance: Arc::new(SimEntropy::new(seed)),
            sources: Vec::new(),
            subscriptions: Vec::new(),
            settings: Settings {
                inline_max: 16 * 1024,
                ledger_only_max: 0,
                retention: Duration::from_secs(30 * 24 * 60 * 60),
            },
            life: Life::default(),
            running: None,
        }
    }

    pub(super) fn source(mut self, source: SourceSpec) -> Self {
        self.sources.push(source);
        self
    }

    pub(super) fn subscribe(mut self, subscription: SubscriptionSpec) -> Self {
        self.subscriptions.push(subscription);
        self
    }

    pub(super) fn retention(mut self, retention: Duration) -> Self {
        self.settings.retention = retention;
        self
    }

    pub(super) async fn start(mut self) -> Self {
        self.restart().await;
        self
    }

    /// Starts the engine; if one was running, as after a crash.
    pub(super) async fn restart(&mut self) {
        while self.try_start().await.is_err() {
            pass(Duration::from_millis(500)).await;
        }
    }

    pub(super) async fn try_start(&mut self) -> Result<(), StartError> {
        self.crash();
        self.life = Life::default();
        self.running = Some(self.another_engine(&self.life.clone()).await?);
        Ok(())
    }

    /// An engine over the same stores.
    pub(super) async fn another_engine(&self, life: &Life) -> Result<Engine, StartError> {
        for subscription in &self.subscriptions {
            if let Consumer::Push(script) = &subscription.consumer {
                script.set_clock(&self.clock);
            }
        }
        Engine::start(Parts {
            catalog: Catalog::new(
                self.sources.iter().map(SourceSpec::build),
                self.subscriptions.iter().map(|spec| spec.build(life)),
            ),
            settings: self.settings.clone(),
            budget: Budget::new(1_000, 1 << 30),
            ledger: Arc::new(FaultyLedger {
                inner: Arc::clone(&self.ledger),
                faults: Arc::clone(&self.faults),
                life: life.clone(),
            }),
            claims: Arc::new(FaultyClaims {
                inner: Arc::clone(&self.claims),
                faults: Arc::clone(&self.faults),
                life: life.clone(),
            }),
            clock: Arc::<SimClock>::clone(&self.clock),
            entropy: Arc::<SimEntropy>::clone(&self.chance),
            links: Arc::new(Links),
        })
        .await
    }

    /// The process dies, in the middle of whatever it was doing.
    pub(super) fn crash(&mut self) {
        self.life.end();
        self.running = None;
    }

    /// The process ends as it should.
    pub(super) async fn stop(&mut self) {
        if let Some(engine) = self.running.take() {
            engine.stop().await;
        }
        self.life.end();
    }

    pub(super) fn engine(&self) -> &Engine {
        self.running.as_ref().expect("the engine runs")
    }

    /// Sends a webhook and waits for the answer.
    pub(super) async fn send(&self, webhook: Webhook) -> Result<Receipt, Refusal> {
        send_to(self.engine().clone(), webhook).await
    }

    /// Sends webhooks one after the other; all of them are new.
    pub(super) async fn accept(&self, webhooks: impl IntoIterator<Item = Webhook>) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        for webhook in webhooks {
            let receipt = self.send(webhook).await.unwrap();
            assert_eq!(receipt.status, Status::Accepted, "{receipt:?}");
            receipts.push(receipt);
        }
        receipts
    }

    /// Replays one stream of `orders`, or every stream.
    pub(super) async fn replay(
        &self,
        subscription: &str,
        key: Option<&str>,
        from: ReplayFrom,
    ) -> Result<usize, OperateError> {
        let stream = key.map(stream);
        let engine = self.engine();
        engine
            .replay(&name(subscription), stream.as_ref(), &from)
            .await
    }

    /// The head of a stream of `orders`.
    pub(super) fn head(&self, key: &str) -> Option<HeadRecord> {
        let stream = StreamId::new("orders", key);
        let heads = self.ledger.dump().into_iter();
        heads.into_iter().find_map(|record| match record {
            Record::Head(head) if head.stream == stream => Some(head),
            _ => None,
        })
    }

    /// The cursor of `subscription` in a stream of `orders`.
    pub(super) fn cursor(&self, subscription: &str, key: &str) -> Option<Cursor> {
        let stream = StreamId::new("orders", key);
        let name = SubscriptionName::from(subscription);
        self.ledger
            .dump()
            .into_iter()
            .find_map(|record| match record {
                Record::Cursor(cursor)
                    if cursor.stream == stream && cursor.subscription == name =>
                {
                    Some(cursor)
                }
                _ => None,
            })
    }

    /// How many ledger entries there are.
    pub(super) fn entries(&self) -> usize {
        let records = self.ledger.dump();
        let events = records.iter().filter(|r| matches!(r, Record::Event(_)));
        events.count()
    }

    /// Waits until the head of a stream of `orders` covers this label's number.
    pub(super) async fn until_head(&self, key: &str, position: &str) {
        super::sim::until(&format!("the head of {key} is at {position}"), || {
            let head = self.head(key).and_then(|head| head.head.position);
            head.is_some_and(|head| head.as_str().trim_start_matches('0') == position)
        })
        .await;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Sends a webhook to this engine.
pub(super) async fn send_to(engine: Engine, webhook: Webhook) -> Result<Receipt, Refusal> {
    slowly(engine, webhook, Duration::ZERO).await
}

/// Sends a webhook whose body takes this long to arrive.
pub(super) async fn slowly(
    engine: Engine,
    webhook: Webhook,
    time: Duration,
) -> Result<Receipt, Refusal> {
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("webhook-id", webhook.id),
        ("x-type", webhook.kind.to_owned()),
    ];
    headers.extend(webhook.key.map(|key| ("x-key", key)));
    headers.extend(webhook.seq.map(|seq| ("x-seq", seq)));
    let mut intake = {
        let head = RequestHead {
            method: "POST",
            url: "https://cloakroom.example/in/orders",
            headers: &headers,
        };
        engine.intake(webhook.source, &head)?
    };
    if !time.is_zero() {
        pass(time).await;
    }
    intake.write(Bytes::from(webhook.body)).await?;
    intake.finish().await
}

pub(super) fn stream(key: &str) -> StreamId {
    StreamId::new("orders", key)
}

pub(super) fn name(subscription: &str) -> SubscriptionName {
    subscription.into()
}

pub(super) fn ids(receipts: &[Receipt]) -> Vec<EventId> {
    receipts.iter().map(|receipt| receipt.id.clone()).collect()
}

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
