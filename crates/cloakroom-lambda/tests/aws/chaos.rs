//! The functions while everything around them fails: seeded, so that a failure can be had again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloakroom_emulators::{Fault, Tamper};
use cloakroom_lambda::start::Function;
use cloakroom_lambda::{Message, Role};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::given::{World, failures, messages};
use crate::pipe::Pipe;

/// How often a pipe tries a batch before it gives it up: as `pipes/` says, and the first time.
const TRIES: u32 = 6;

/// What happens to a request: mostly nothing. Counts what is not nothing.
pub(crate) fn weather(
    seed: u64,
    rate: f64,
    met: Arc<AtomicUsize>,
) -> impl FnMut(&str) -> Option<Fault> + Send {
    let mut rng = StdRng::seed_from_u64(seed);
    move |action| {
        if !rng.random_bool(rate) {
            return None;
        }
        met.fetch_add(1, Ordering::Relaxed);
        let is_s3 = action.ends_with("Object");
        Some(match rng.random_range(0..8) {
            0 | 1 if is_s3 => Fault::Answer(
                503,
                "<Error><Code>SlowDown</Code><Message>injected</Message></Error>".to_owned(),
            ),
            0 => Fault::error(400, "ThrottlingException"),
            1 => Fault::error(500, "InternalServerError"),
            2 => Fault::LoseRequest,
            3..=5 => Fault::LoseAnswer,
            6 => Fault::HaltBefore,
            _ => Fault::HaltAfter,
        })
    }
}

/// Functions, pipes and queues, and what goes wrong between them.
pub(crate) struct Chaos {
    pub(crate) world: Arc<World>,
    pub(crate) pipes: [Pipe; 2],
    rng: StdRng,
    instances: HashMap<&'static str, Function>,
    bells: Vec<Message>,
    /// Whether doorbells are lost and doubled, and instances replaced and doubled.
    pub(crate) rough: bool,
}

impl Chaos {
    pub(crate) async fn new(world: World, seed: u64) -> Self {
        let pipes = [
            world.pipe(Role::Resequence).await,
            world.pipe(Role::Dispatch).await,
        ];
        Self {
            world: Arc::new(world),
            pipes,
            rng: StdRng::seed_from_u64(!seed),
            instances: HashMap::new(),
            bells: Vec::new(),
            rough: true,
        }
    }

    fn happens(&mut self, chance: f64) -> bool {
        self.rough && self.rng.random_bool(chance)
    }

    /// Calls a function, in an instance that is there or in a new one. An instance dies with a halted call.
    pub(crate) async fn invoke(&mut self, role: Role, event: Value) -> Result<Value, String> {
        let there = self.instances.remove(role.name());
        let world = &self.world;
        let work = async {
            let function = match there {
                Some(function) => function,
                None => world.function(role).await?,
            };
            let answer = world.call(&function, event).await;
            Ok((function, answer))
        };
        let (function, answer) = unless_halted(&world.tamper, work).await?;
        if !self.happens(0.2) {
            self.instances.insert(role.name(), function);
        }
        answer
    }

    /// Two instances get the same event at the same time. The answer of one of them.
    async fn invoke_twice(&mut self, role: Role, event: Value) -> Result<Value, String> {
        let world = &self.world;
        let work = async {
            let (one, two) = (world.function(role).await?, world.function(role).await?);
            let both = tokio::join!(world.call(&one, event.clone()), world.call(&two, event));
            Ok(both.0)
        };
        unless_halted(&world.tamper, work).await?
    }

    async fn invoke_once_or_twice(&mut self, role: Role, event: Value) -> Result<Value, String> {
        if self.happens(0.2) {
            self.invoke_twice(role, event).await
        } else {
            self.invoke(role, event).await
        }
    }

    /// Sends a webhook, as a provider does: until it is acknowledged.
    pub(crate) async fn send(&mut self, webhook: &Value) {
        for _ in 0..50 {
            let answer = self
                .invoke_once_or_twice(Role::Ingest, webhook.clone())
                .await;
            if is_acknowledged(answer) {
                return;
            }
        }
        panic!("a webhook was never acknowledged");
    }

    /// Sends webhooks at the same time, to an instance each, until all are acknowledged.
    pub(crate) async fn send_together(&mut self, webhooks: &[Value]) {
        let mut left = webhooks.to_vec();
        for _ in 0..50 {
            let world = &self.world;
            let work = async {
                let calls = left.iter().map(async |webhook| {
                    let function = world.function(Role::Ingest).await?;
                    world.call(&function, webhook.clone()).await
                });
                Ok(futures::future::join_all(calls).await)
            };
            if let Ok(answers) = unless_halted(&world.tamper, work).await {
                let mut answers = answers.into_iter();
                left.retain(|_| !answers.next().is_some_and(is_acknowledged));
            }
            if left.is_empty() {
                return;
            }
        }
        panic!("some webhooks were never acknowledged");
    }

    /// One batch of each pipe, the doorbells, the timers.
    pub(crate) async fn work(&mut self) {
        for at in 0..2 {
            self.pump(at).await;
        }
        self.ring().await;
        self.time().await;
    }

    /// Whatever is due, and whatever nobody rang for.
    pub(crate) async fn sweep(&mut self) -> Result<Value, String> {
        self.invoke(Role::Sweep, json!({"source": "aws.scheduler"}))
            .await
    }

    async fn pump(&mut self, at: usize) {
        self.pipes[at].fetch().await;
        let most = if self.rough {
            self.rng.random_range(1..12)
        } else {
            1000
        };
        let mut batch = self.pipes[at].batch(most);
        let role = self.pipes[at].role;
        for _ in 0..TRIES {
            if batch.is_empty() {
                return;
            }
            let answer = self.invoke_once_or_twice(role, batch.clone().into()).await;
            if let Ok(answer) = answer {
                let failed = failures(&answer);
                batch.retain(|record| failed.iter().any(|name| record["eventID"] == name.as_str()));
            }
        }
        // What is left is given up, as a pipe does.
    }

    /// What rang: some of it doubled, some of it lost, in any order.
    async fn ring(&mut self) {
        for bell in self.world.doorbells.take() {
            if self.happens(0.25) {
                continue;
            }
            if self.happens(0.25) {
                self.bells.push(bell.clone());
            }
            self.bells.push(bell);
        }
        if self.rough {
            self.bells.shuffle(&mut self.rng);
        }
        // One message of a group at a time, as the queue promises: there is only one batch in flight.
        while !self.bells.is_empty() {
            let few = self.bells.len().min(10);
            let batch: Vec<Message> = self.bells.drain(..few).collect();
            let left = match self.invoke(Role::Deliver, messages(&batch)).await {
                Ok(answer) => failures(&answer),
                Err(_) => (0..few).map(|index| index.to_string()).collect(),
            };
            let again = left
                .iter()
                .map(|index| batch[index.parse::<usize>().unwrap()].clone());
            self.bells.extend(again);
            if self.rough && !left.is_empty() {
                return;
            }
        }
    }

    async fn time(&mut self) {
        let timers = self.world.timers.take();
        if timers.is_empty() || self.happens(0.5) {
            return;
        }
        // What fails is lost here: the sweep finds it.
        drop(self.invoke(Role::Sweep, messages(&timers)).await);
    }
}

pub(crate) fn is_acknowledged(answer: Result<Value, String>) -> bool {
    answer.is_ok_and(|answer| answer["statusCode"].as_u64() < Some(300))
}

async fn unless_halted<T>(
    tamper: &Tamper,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    tokio::select! {
        biased;
        done = Box::pin(work) => done,
        () = tamper.halted() => Err("it was halted".to_owned()),
    }
}
