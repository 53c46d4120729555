//! A server for one test: its own engine, stores and port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::{App, ClaimUrls, Options, serve};
use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::event::Event;
use cloakroom_core::id::StreamId;
use cloakroom_core::ordering::{First, GapAction, GapPolicy, LatePolicy, Rule};
use cloakroom_core::position::Position;
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::secret::Secret;
use cloakroom_core::select::Selector;
use cloakroom_core::verify::{Scheme, Verifier};
use cloakroom_engine::catalog::{
    Catalog, Exhausted, InBody, Interest, Route, Source, Subscription,
};
use cloakroom_engine::intake::Budget;
use cloakroom_engine::memory::{MemoryClaims, MemoryLedger, MemoryUploads};
use cloakroom_engine::ports::{
    Index, Ledger, LedgerError, Outcome, Outgoing, Page, Sink, TransactError, Write,
};
use cloakroom_engine::record::{Key, Record};
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_engine::{Engine, Parts, Settings};
use http::Request;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::client::{Reply, Sent, send, whole};

pub(crate) const PUBLIC_URL: &str = "https://hooks.example";

/// How long a condition may take to come true before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that is about to be started.
pub(crate) struct Setup {
    pub(crate) sources: Vec<Source>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) options: Options,
    pub(crate) requests: usize,
    pub(crate) memory: u64,
    pub(crate) ledger_only_max: u64,
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) uploads: Option<Arc<MemoryUploads>>,
}

impl Setup {
    pub(crate) fn new(sources: impl IntoIterator<Item = Source>) -> Self {
        let minute = Duration::from_secs(60);
        Self {
            sources: sources.into_iter().collect(),
            subscriptions: Vec::new(),
            options: Options {
                public_url: format!("{PUBLIC_URL}/"),
                admin_token: None,
                header_timeout: minute,
                read_timeout: minute,
                body_timeout: minute,
                max_connections: 100,
                drain_timeout: minute,
            },
            requests: 100,
            memory: 64 << 20,
            ledger_only_max: 0,
            metrics: None,
            uploads: None,
        }
    }

    pub(crate) fn with(mut self, subscription: Subscription) -> Self {
        self.subscriptions.push(subscription);
        self
    }

    pub(crate) async fn start(self) -> Server {
        let (ledger, claims) = (
            Arc::new(TestLedger::default()),
            Arc::new(MemoryClaims::new()),
        );
        let ttl = Duration::from_secs(3_600);
        let claim_urls = ClaimUrls::new(PUBLIC_URL, &claim_key(), ttl);
        let engine = Engine::start(Parts {
            catalog: Catalog::new(self.sources, self.subscriptions),
            settings: Settings {
                inline_max: 16 << 10,
                ledger_only_max: self.ledger_only_max,
                retention: Duration::from_secs(86_400),
            },
            budget: Budget::new(self.requests, self.memory),
            ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
            claims: Arc::clone(&claims) as _,
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy),
            links: Arc::new(claim_urls.clone()),
        })
        .await
        .unwrap();
        let mut app = App::new(engine.clone(), claim_urls, self.options, self.metrics)
            .with_source_timeouts("hasty", Duration::from_millis(50), Duration::from_secs(60));
        if let Some(uploads) = self.uploads {
            app = app.with_uploads(uploads);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, app, async {
            // A test that ends drops the sender, which stops the server too.
            let _ = stopped.await;
        }));
        Server {
            address,
            engine,
            ledger,
            claims,
            stop: Some(stop),
            serving,
        }
    }
}

/// The key that claim URLs are signed with.
pub(crate) fn claim_key() -> Secret {
    Secret::new("the key of claim urls")
}

/// A server under test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) ledger: Arc<TestLedger>,
    pub(crate) claims: Arc<MemoryClaims>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn send(&self, request: Request<Sent>) -> Reply {
        send(self.address, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(whole("")).unwrap()).await
    }

    /// A JSON body, as the API wants it.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(whole(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    /// A webhook.
    pub(crate) async fn hook(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(whole(body)).unwrap()).await
    }

    /// A webhook that is accepted; its receipt.
    #[track_caller]
    pub(crate) fn accept(&self, path: &str, body: &Value) -> impl Future<Output = Value> {
        let (address, path, body) = (self.address, path.to_owned(), body.to_string());
        async move {
            let request = Request::post(path).header("content-type", "application/json");
            let reply = send(address, request.body(whole(body)).unwrap()).await;
            let receipt = reply.ok(202);
            assert_eq!(receipt["status"], "accepted");
            receipt
        }
    }

    /// Asks again and again until the answer is as wished.
    pub(crate) async fn get_until(&self, path: &str, wished: impl Fn(&Value) -> bool) -> Value {
        eventually(async || {
            let json = self.get(path).await.json();
            wished(&json).then_some(json)
        })
        .await
    }

    /// Tells the server to stop.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }
}

/// Waits until `look` finds something.
pub(crate) async fn eventually<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("what was waited for never happened")
}

/// A source that takes anything: arrival order, one stream.
pub(crate) fn source(name: &str) -> Source {
    Source {
        name: name.into(),
        generation: 1,
        rule: Rule::Arrival,
        ordering: "arrival".into(),
        verifier: verifier("none", &[]).into(),
        id: vec![Selector::Header("webhook-id".into())],
        key: Selector::Const("all".into()),
        event_type: None,
        time: None,
        at: None,
        max_payload: 1 << 20,
        ack_delivered: None,
        in_body: InBody::default(),
    }
}

/// A source of numbered events: `{"key": …, "n": …}`.
pub(crate) fn dense(name: &str) -> Source {
    Source {
        rule: Rule::Dense {
            first: First::Number(1),
            gap: GapPolicy {
                after: Duration::from_millis(20),
                then: GapAction::Wait,
                max: 10_000,
            },
            late: LatePolicy::Deliver,
        },
        ordering: "dense".into(),
        id: vec!["body:/id".parse().unwrap()],
        key: "body:/key".parse().unwrap(),
        at: Some("body:/n".parse().unwrap()),
        event_type: Some("body:/type".parse().unwrap()),
        ..source(name)
    }
}

pub(crate) fn verifier(scheme: &str, secrets: &[Secret]) -> Verifier {
    Verifier::new(&named(scheme), secrets).unwrap()
}

pub(crate) fn named(scheme: &str) -> Scheme {
    serde_json::from_value(serde_json::json!({ "scheme": scheme })).unwrap()
}

/// A subscription to everything whose events are fetched.
pub(crate) fn pull(name: &str, lease: Duration) -> Subscription {
    Subscription {
        name: name.into(),
        sources: Interest::All,
        filter: None,
        route: Route::Pull { lease },
        retry: RetryPolicy {
            attempts: 1,
            base: Duration::from_millis(1),
            max: Duration::from_millis(1),
        },
        exhausted: Exhausted::Park,
        from_earliest: true,
        enabled: true,
    }
}

/// A subscription to everything whose events are sent to `sink`, once.
pub(crate) fn push(name: &str, sink: &Arc<TestSink>, exhausted: Exhausted) -> Subscription {
    Subscription {
        route: Route::Push(Arc::clone(sink) as Arc<dyn Sink>),
        exhausted,
        ..pull(name, Duration::ZERO)
    }
}

/// A consumer that works, fails or is gone, as told.
#[derive(Default)]
pub(crate) struct TestSink {
    pub(crate) fails: AtomicBool,
    pub(crate) gone: AtomicBool,
    pub(crate) delivered: AtomicUsize,
}

#[async_trait]
impl Sink for TestSink {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        if self.gone.load(Ordering::SeqCst) {
            return Outcome::Gone {
                reason: "410 Gone".into(),
            };
        }
        if self.fails.load(Ordering::SeqCst) {
            return Outcome::Failed {
                reason: "500 Internal Server Error".into(),
                retry_after: None,
            };
        }
        self.delivered.fetch_add(events.len(), Ordering::SeqCst);
        Outcome::Delivered
    }

    fn kind(&self) -> &'static str {
        "test"
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// A ledger in memory that can be made to fail, or to hold its writes back.
pub(crate) struct TestLedger {
    inner: MemoryLedger,
    error: std::sync::Mutex<Option<LedgerError>>,
    /// How many transactions may pass.
    pub(crate) gate: Semaphore,
    /// How many transactions have come to the gate.
    pub(crate) arrived: AtomicUsize,
}

impl Default for TestLedger {
    fn default() -> Self {
        Self {
            inner: MemoryLedger::new(),
            error: std::sync::Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            arrived: AtomicUsize::new(0),
        }
    }
}

impl TestLedger {
    /// Fails with this from now on.
    pub(crate) fn fail(&self, error: Option<LedgerError>) {
        *self.error.lock().unwrap() = error;
    }

    fn check(&self) -> Result<(), LedgerError> {
        self.error.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Ledger for TestLedger {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        self.check()?;
        self.inner.get(key).await
    }

    async fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        self.check()?;
        self.inner.events(stream, after, up_to, limit).await
    }

    async fn last_event(&self, stream: &StreamId) -> Result<Option<Event>, LedgerError> {
        self.check()?;
        self.inner.last_event(stream).await
    }

    async fn list(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        self.check()?;
        self.inner.list(index, cursor, limit).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        self.check()?;
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let passage = self.gate.acquire().await.unwrap();
        passage.forget();
        self.inner.transact(writes).await
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}
