//! Given a world, when webhooks come, then consumers see …

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloakroom_core::event::Event;
use cloakroom_core::id::{EventId, StreamId, SubscriptionName};
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::RequestHead;

use super::faults::{Faults, FaultyClaims, FaultyLedger, Life};
use super::given::Consumer;
pub(super) use super::given::{
    SourceSpec, SubscriptionSpec, Webhook, arrival, dense, order, pull, push, sparse, version,
};
use super::sim::{SimClock, SimEntropy, pass};
use crate::append::{Receipt, Status};
use crate::catalog::Catalog;
use crate::engine::{Engine, Parts};
use crate::intake::{Budget, Refusal};
use crate::memory::{MemoryClaims, MemoryLedger};
use crate::operate::{OperateError, ReplayFrom};
use crate::ports::{ClaimError, Clock as _};
use crate::record::{Cursor, HeadRecord, Record};
use crate::register::StartError;
use crate::shared::{ClaimLinks, Settings};
use crate::step::Stepper;

struct Links;

#[async_trait::async_trait]
impl ClaimLinks for Links {
    async fn link(&self, event: &Event, _: Timestamp) -> Result<Option<String>, ClaimError> {
        let claim = event.payload().and_then(|payload| payload.claim.as_ref());
        Ok(claim.map(|claim| format!("https://claims.example/{}", claim.0)))
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
    /// The most bytes of bodies that are held at once.
    pub(super) body_memory: u64,
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
            body_memory: 1 << 30,
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
        Engine::start(self.parts(life)).await
    }

    /// An engine without workers over the same stores.
    pub(super) async fn stepper(&self, life: &Life, owner: &str) -> Result<Stepper, StartError> {
        Stepper::open(self.parts(life), owner, secs(40)).await
    }

    fn parts(&self, life: &Life) -> Parts {
        for subscription in &self.subscriptions {
            if let Consumer::Push(script) = &subscription.consumer {
                script.set_clock(&self.clock);
            }
        }
        Parts {
            catalog: Catalog::new(
                self.sources.iter().map(SourceSpec::build),
                self.subscriptions.iter().map(|spec| spec.build(life)),
            ),
            settings: self.settings.clone(),
            budget: Budget::new(1_000, self.body_memory),
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
        }
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
