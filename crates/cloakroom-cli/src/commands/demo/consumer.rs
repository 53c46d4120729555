//! The consumer: verifies every delivery, fetches what did not travel along, and keeps account.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use cloakroom_core::secret::Secret;
use cloakroom_engine::ports::Clock as _;
use cloakroom_engine::system::SystemClock;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;

use super::Sabotage;
use super::view::Happening;
use crate::client::http_client;
use crate::exit::{Exit, Failure};
use crate::receiver::{self, Digested, Received, Receiver};

/// No delivery is larger: large payloads come by reference.
const BODY_MAX: usize = 1 << 20;
/// Which delivery goes wrong, when one has to.
const UNLUCKY: usize = 5;

/// An event as the consumer got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) transfer: String,
    pub(super) sequence: u32,
    pub(super) digest: Digested,
    pub(super) by_reference: bool,
}

pub(super) struct Consumer {
    receiver: Receiver,
    http: reqwest::Client,
    clock: Arc<SystemClock>,
    sabotage: Option<Sabotage>,
    happenings: UnboundedSender<Happening>,
    account: Mutex<Account>,
}

/// What arrived.
#[derive(Debug, Default)]
struct Account {
    deliveries: Vec<Delivery>,
    /// The ids of what was acknowledged, whatever the account says.
    settled: HashSet<String>,
}

impl Consumer {
    pub(super) fn new(
        secret: &Secret,
        sabotage: Option<Sabotage>,
        happenings: UnboundedSender<Happening>,
        clock: Arc<SystemClock>,
    ) -> Result<Arc<Self>, Failure> {
        let receiver = Receiver::new(Some(secret))
            .map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
        let http = http_client(None)?;
        Ok(Arc::new(Self {
            receiver,
            http,
            clock,
            sabotage,
            happenings,
            account: Mutex::default(),
        }))
    }

    /// How many events were acknowledged.
    pub(super) fn settled(&self) -> usize {
        self.account().settled.len()
    }

    /// What arrived, in this order.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        self.account().deliveries.clone()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, request: Request) -> Result<(), (StatusCode, String)> {
        let (parts, body) = request.into_parts();
        let refuse = |status| move |problem| (status, problem);
        let body = receiver::read_body(body, BODY_MAX)
            .await
            .map_err(refuse(StatusCode::PAYLOAD_TOO_LARGE))?;
        self.receiver
            .check(&parts.headers, &body, self.clock.now())
            .map_err(refuse(StatusCode::UNAUTHORIZED))?;
        for event in
            receiver::read(&parts.headers, &body).map_err(refuse(StatusCode::BAD_REQUEST))?
        {
            self.keep(&event)
                .await
                .map_err(refuse(StatusCode::UNPROCESSABLE_ENTITY))?;
        }
        Ok(())
    }

    async fn keep(&self, event: &Received) -> Result<(), String> {
        let by_reference = event.data.is_none();
        let digest = match (&event.data, event.attribute("dataref")) {
            (Some(data), _) => Digested::of(data),
            (None, Some(url)) => Digested::fetch(&self.http, url).await?,
            (None, None) => return Err("neither a payload nor where to find it".to_owned()),
        };
        event.check_payload(&digest)?;
        let text = |name: &str| {
            event
                .attribute(name)
                .map(str::to_owned)
                .ok_or(format!("no `{name}`"))
        };
        let sequence = text("sequence")?
            .parse()
            .map_err(|_| "`sequence` is no number")?;
        let delivery = Delivery {
            id: text("id")?,
            transfer: text("partitionkey")?,
            sequence,
            digest,
            by_reference,
        };
        let _ = self.happenings.send(Happening::Left {
            transfer: delivery.transfer.clone(),
            sequence,
            size: delivery.digest.size,
            by_reference,
        });
        let mut account = self.account();
        account.settled.insert(delivery.id.clone());
        account.enter(delivery, self.sabotage);
        Ok(())
    }
}

impl Account {
    fn enter(&mut self, mut delivery: Delivery, sabotage: Option<Sabotage>) {
        let is_unlucky = self.settled.len() == UNLUCKY;
        match sabotage.filter(|_| is_unlucky) {
            Some(Sabotage::Lose) => return,
            Some(Sabotage::Repeat) => self.deliveries.push(delivery.clone()),
            Some(Sabotage::Alter) => delivery.digest = Digested::of(b"something else"),
            _ => {}
        }
        let before = self
            .deliveries
            .iter()
            .rposition(|earlier| earlier.transfer == delivery.transfer);
        match before.filter(|_| sabotage == Some(Sabotage::Swap)) {
            Some(at) => self.deliveries.insert(at, delivery),
            None => self.deliveries.push(delivery),
        }
    }
}

/// Receives until it is told to stop.
pub(super) async fn serve(
    socket: TcpListener,
    consumer: Arc<Consumer>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let app = axum::Router::new()
        .fallback(receive)
        .with_state(Arc::clone(&consumer));
    if let Err(error) = axum::serve(socket, app).with_graceful_shutdown(stop).await {
        let _ = consumer
            .happenings
            .send(Happening::Told(format!("the consumer failed: {error}")));
    }
}

async fn receive(State(consumer): State<Arc<Consumer>>, request: Request) -> StatusCode {
    match consumer.take(request).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err((status, problem)) => {
            let _ = consumer.happenings.send(Happening::Told(format!(
                "the consumer refused a delivery: {problem}"
            )));
            status
        }
    }
}
