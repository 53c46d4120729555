//! A consumer that does what it is told and remembers what it got.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::event::{Body, Event};
use cloakroom_core::id::{EventId, StreamId};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use tokio::sync::Notify;

use super::faults::Life;
use super::sim::{SimClock, until};
use crate::ports::{Clock as _, Outcome, Outgoing, Sink};

/// What a consumer answers to one call.
#[derive(Clone)]
pub(super) enum Reply {
    Take,
    Fail,
    FailFor(Duration),
    /// Takes nothing now and fails nothing: wants to be asked after this time.
    Later(Duration),
    Gone,
    /// Takes it, but only once the gate is opened.
    TakeAt(Arc<Notify>),
    /// Takes it after this time.
    TakeIn(Duration),
}

/// One event in one call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) at: Timestamp,
    pub(super) stream: StreamId,
    pub(super) key: String,
    pub(super) label: String,
    pub(super) id: EventId,
    pub(super) position: Position,
    pub(super) attempt: u32,
    pub(super) epoch: u64,
    pub(super) body: Option<String>,
    pub(super) taken: bool,
}

/// A scripted consumer. Outlives the engines that send to it.
pub(super) struct Script {
    state: Mutex<State>,
    batch_max: usize,
}

#[derive(Default)]
struct State {
    clock: Option<Arc<SimClock>>,
    calls: Vec<Call>,
    batches: Vec<Vec<String>>,
    /// By key; `*` is for everything that has no replies of its own.
    replies: HashMap<String, VecDeque<Reply>>,
    always: HashMap<String, Reply>,
}

impl Script {
    pub(super) fn new() -> Arc<Self> {
        Self::batched(1)
    }

    pub(super) fn batched(batch_max: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            batch_max,
        })
    }

    pub(super) fn set_clock(&self, clock: &Arc<SimClock>) {
        self.state.lock().unwrap().clock = Some(Arc::clone(clock));
    }

    /// The next calls for `key` (`*` for any) are answered like this, in order, whatever is always answered.
    pub(super) fn replies(&self, key: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut state = self.state.lock().unwrap();
        state
            .replies
            .entry(key.to_owned())
            .or_default()
            .extend(replies);
    }

    /// From now on every call for `key` (`*` for any) is answered like this.
    pub(super) fn always(&self, key: &str, reply: Reply) {
        self.state
            .lock()
            .unwrap()
            .always
            .insert(key.to_owned(), reply);
    }

    /// From now on everything is taken.
    pub(super) fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.always.clear();
        state.replies.clear();
    }

    /// Every event in every call.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// What was taken of one key, in order.
    pub(super) fn taken(&self, key: &str) -> Vec<String> {
        let calls = self.calls();
        let taken = calls
            .into_iter()
            .filter(|call| call.taken && call.key == key);
        taken.map(|call| call.label).collect()
    }

    /// Everything that was taken, in order.
    pub(super) fn taken_in_all(&self) -> Vec<String> {
        let taken = self.calls().into_iter().filter(|call| call.taken);
        taken.map(|call| call.label).collect()
    }

    /// The calls, each as what was in it.
    pub(super) fn batches(&self) -> Vec<Vec<String>> {
        self.state.lock().unwrap().batches.clone()
    }

    /// Waits until so many were taken, retries included.
    pub(super) async fn until_taken(&self, count: usize) {
        until(&format!("{count} events are taken"), || {
            self.calls().iter().filter(|call| call.taken).count() >= count
        })
        .await;
    }

    /// Waits until so many tries were made.
    pub(super) async fn until_tried(&self, count: usize) {
        until(&format!("{count} tries are made"), || {
            self.calls().len() >= count
        })
        .await;
    }

    async fn answer(&self, events: &[Outgoing], life: &Life) -> Outcome {
        let key = events[0].event.stream.key.to_string();
        let (reply, first) = {
            let mut state = self.state.lock().unwrap();
            let at = state
                .clock
                .as_ref()
                .map_or_else(Timestamp::default, |c| c.now());
            let first = state.calls.len();
            state.batches.push(
                events
                    .iter()
                    .map(|outgoing| label(&outgoing.event))
                    .collect(),
            );
            state
                .calls
                .extend(events.iter().map(|outgoing| call(outgoing, at)));
            let scripted = [key.as_str(), "*"].into_iter().find_map(|key| {
                let next = state.replies.get_mut(key).and_then(VecDeque::pop_front);
                next.or_else(|| state.always.get(key).cloned())
            });
            (scripted.unwrap_or(Reply::Take), first)
        };
        match reply {
            Reply::Take => {}
            Reply::TakeAt(gate) => gate.notified().await,
            Reply::TakeIn(time) => super::sim::pass(time).await,
            Reply::Fail => return failed(None),
            Reply::FailFor(time) => return failed(Some(time)),
            Reply::Later(wait) => return Outcome::Deferred { wait },
            Reply::Gone => {
                return Outcome::Gone {
                    reason: "410 Gone".to_owned(),
                };
            }
        }
        life.check().await;
        let mut state = self.state.lock().unwrap();
        for call in &mut state.calls[first..first + events.len()] {
            call.taken = true;
        }
        Outcome::Delivered
    }
}

fn failed(retry_after: Option<Duration>) -> Outcome {
    Outcome::Failed {
        reason: "500 Internal Server Error".to_owned(),
        retry_after,
    }
}

/// A consumer as one run of the engine sees it: a crash cuts the connection.
pub(super) struct Connection {
    pub(super) script: Arc<Script>,
    pub(super) life: Life,
}

#[async_trait]
impl Sink for Connection {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        self.life.check().await;
        let outcome = self.script.answer(events, &self.life).await;
        self.life.check().await;
        outcome
    }

    fn batch_max(&self) -> usize {
        self.script.batch_max
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(15)
    }
}

/// An event in short: the provider's id, or what stands in its place.
pub(super) fn label(event: &Event) -> String {
    match (&event.body, &event.late) {
        (Body::Gap { from, to }, _) => format!("gap {from}-{to}"),
        (Body::Placeholder, _) => "placeholder".to_owned(),
        (Body::Payload(_), None) if event.stream.source.as_str() == "cloakroom" => {
            event.event_type.clone()
        }
        (Body::Payload(_), None) => event.identity.to_string(),
        (Body::Payload(_), Some(_)) => format!("late {}", event.identity),
    }
}

fn call(outgoing: &Outgoing, at: Timestamp) -> Call {
    let body = outgoing.inline.as_ref();
    Call {
        at,
        stream: outgoing.event.stream.clone(),
        key: outgoing.event.stream.key.to_string(),
        label: label(&outgoing.event),
        id: outgoing.event.id.clone(),
        position: outgoing.event.position.clone(),
        attempt: outgoing.attempt,
        epoch: outgoing.epoch,
        body: body.map(|body| String::from_utf8_lossy(body).into_owned()),
        taken: false,
    }
}
