//! A scripted target, what a runner left behind, and time that passes only when everybody waits.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{Clock, Entropy};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::stream::Stream;
use crate::memory::{MemoryCheckpoints, MemoryDeadLetters};
use crate::ports::{Checkpoints as _, Source, Target, TargetError};
use crate::{Definition, Parts, RunError, Runner};

/// When every simulation begins.
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The paused clock of the test's runtime, which jumps ahead whenever nothing else can happen.
pub(super) struct TokioClock(tokio::time::Instant);

impl TokioClock {
    pub(super) fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[async_trait]
impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        START.after(self.0.elapsed())
    }

    async fn sleep_until(&self, at: Timestamp) {
        tokio::time::sleep_until(self.0 + at.since(START)).await;
    }
}

/// A sequence that looks random, from a seed.
#[derive(Debug)]
pub(super) struct Dice(AtomicU64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Whether an event of this probability, in percent, happens now.
    pub(super) fn chance(&self, percent: u64) -> bool {
        Entropy::next(self) % 100 < percent
    }
}

impl Entropy for Dice {
    /// SplitMix64.
    fn next(&self) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

type Behaviour = dyn Fn(&[String]) -> Result<Value, TargetError> + Send + Sync;

/// A target that remembers what it was invoked with.
pub(super) struct Scripted {
    behaviour: Box<Behaviour>,
    /// How long each invocation takes.
    takes: Duration,
    clock: Arc<TokioClock>,
    pub(super) invocations: Mutex<Vec<Invocation>>,
}

/// One invocation, in the order in which they began.
#[derive(Debug, Clone)]
pub(super) struct Invocation {
    pub(super) at: Timestamp,
    pub(super) event_ids: Vec<String>,
    pub(super) bytes: usize,
    pub(super) outcome: Result<Value, TargetError>,
}

#[async_trait]
impl Target for Scripted {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, TargetError> {
        let records: Vec<Value> = serde_json::from_slice(&payload).unwrap();
        let ids = records
            .iter()
            .map(|record| record["eventID"].as_str().unwrap().to_owned());
        let event_ids: Vec<_> = ids.collect();
        let outcome = (self.behaviour)(&event_ids);
        let at = self.clock.now();
        let bytes = payload.len();
        let invocation = Invocation {
            at,
            event_ids,
            bytes,
            outcome: outcome.clone(),
        };
        self.invocations.lock().unwrap().push(invocation);
        self.clock.sleep_until(at.after(self.takes)).await;
        outcome.map(|answer| answer.to_string().into())
    }
}

/// A stream, a target, and what a runner left behind.
pub(super) struct World {
    pub(super) stream: Arc<Stream>,
    pub(super) target: Arc<Scripted>,
    pub(super) dead_letters: Arc<MemoryDeadLetters>,
    pub(super) checkpoints: Arc<MemoryCheckpoints>,
    pub(super) clock: Arc<TokioClock>,
    pub(super) definition: Definition,
}

/// How a world differs from a quiet one.
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) faults: u64,
    pub(super) page: usize,
    pub(super) takes: Duration,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            seed: 1,
            faults: 0,
            page: 1_000,
            takes: Duration::ZERO,
        }
    }
}

impl World {
    /// A world with these stream parameters, whose filter passes records of the kind `EVENT`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "`json!` values read best by value"
    )]
    pub(super) fn new(
        parameters: Value,
        setting: &Setting,
        behaviour: impl Fn(&[String]) -> Result<Value, TargetError> + Send + Sync + 'static,
    ) -> Self {
        let mut stream = json!({"StartingPosition": "TRIM_HORIZON"});
        stream
            .as_object_mut()
            .unwrap()
            .extend(parameters.as_object().unwrap().clone());
        let pattern = r#"{"dynamodb": {"NewImage": {"kind": {"S": ["EVENT"]}}}}"#;
        let definition = json!({
            "Name": "p", "RoleArn": "${role_arn}", "Source": "${stream_arn}", "Target": "${function_arn}",
            "SourceParameters": {"DynamoDBStreamParameters": stream, "FilterCriteria": {"Filters": [{"Pattern": pattern}]}},
            "TargetParameters": {"LambdaFunctionParameters": {"InvocationType": "REQUEST_RESPONSE"}}
        });
        let clock = Arc::new(TokioClock::new());
        Self {
            stream: Arc::new(Stream::new(
                Arc::clone(&clock),
                setting.seed,
                setting.faults,
                setting.page,
            )),
            target: Arc::new(Scripted {
                behaviour: Box::new(behaviour),
                takes: setting.takes,
                clock: Arc::clone(&clock),
                invocations: Mutex::default(),
            }),
            dead_letters: Arc::default(),
            checkpoints: Arc::default(),
            definition: Definition::parse("p.json", &definition.to_string()).unwrap(),
            clock,
        }
    }

    /// Runs the pipe until told to stop.
    pub(super) async fn run(&self, stop: CancellationToken) -> Result<(), RunError> {
        let parts = Parts {
            pipe_arn: "arn:aws:pipes:eu-west-1:1:pipe/p".into(),
            source: Arc::clone(&self.stream) as Arc<dyn Source>,
            target: Arc::clone(&self.target) as Arc<dyn Target>,
            dead_letters: Some(Arc::clone(&self.dead_letters) as _),
            checkpoints: Arc::clone(&self.checkpoints) as _,
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::new(Dice::new(7)),
        };
        Runner::new(self.definition.clone(), parts).run(stop).await
    }

    /// Runs the pipe for a while of simulated time, doing something meanwhile, and stops it.
    pub(super) async fn run_while(&self, act: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let acting = async {
            act.await;
            stop.cancel();
        };
        let (outcome, ()) = tokio::join!(self.run(stop.clone()), acting);
        outcome.unwrap();
    }

    pub(super) async fn run_for(&self, seconds: u64) {
        self.run_while(self.pass(seconds)).await;
    }

    /// Runs the pipe until everything that was written is settled.
    pub(super) async fn run_until_settled(&self) {
        let hours = 4;
        let settled = async {
            for _ in 0..hours * 360 {
                let checkpoints = self.checkpoints.load().await.unwrap();
                let ends = self.stream.ends();
                if ends
                    .iter()
                    .all(|(shard, end)| checkpoints.get(shard) == Some(end))
                {
                    return;
                }
                self.pass(10).await;
            }
            panic!("not settled within {hours} h");
        };
        self.run_while(settled).await;
    }

    pub(super) async fn pass(&self, seconds: u64) {
        let until = self.clock.now().after(Duration::from_secs(seconds));
        self.clock.sleep_until(until).await;
    }

    pub(super) fn invocations(&self) -> Vec<Invocation> {
        self.target.invocations.lock().unwrap().clone()
    }

    /// The event ids of each invocation, in order.
    pub(super) fn invoked(&self) -> Vec<Vec<String>> {
        self.invocations()
            .into_iter()
            .map(|one| one.event_ids)
            .collect()
    }

    /// The event ids that the target dealt with.
    pub(super) fn succeeded(&self) -> Vec<String> {
        let invocations = self.invocations().into_iter();
        invocations
            .filter_map(|one| {
                let failed: HashSet<_> = failures(one.outcome.as_ref().ok()?);
                Some(
                    one.event_ids
                        .into_iter()
                        .filter(move |id| !failed.contains(id)),
                )
            })
            .flatten()
            .collect()
    }

    /// The event ids within the ranges of the dead letters.
    pub(super) fn given_up(&self) -> HashSet<String> {
        let letters = self.dead_letters.letters().into_iter();
        letters
            .flat_map(|letter| {
                let batch = letter.batch;
                let from: usize = batch.start_sequence_number.parse().unwrap();
                let to: usize = batch.end_sequence_number.parse().unwrap();
                (from..=to).map(move |number| format!("{}/{number}", batch.shard_id))
            })
            .collect()
    }
}

/// An answer that names these records as failed.
pub(super) fn failing<'a>(event_ids: impl IntoIterator<Item = &'a String>) -> Value {
    let failures: Vec<_> = event_ids
        .into_iter()
        .map(|id| json!({"itemIdentifier": id}))
        .collect();
    json!({ "batchItemFailures": failures })
}

fn failures(answer: &Value) -> HashSet<String> {
    let listed = answer["batchItemFailures"].as_array();
    listed
        .into_iter()
        .flatten()
        .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
        .collect()
}

/// `shard/from` to `shard/to`.
pub(super) fn ids(shard: &str, numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    numbers.map(|number| format!("{shard}/{number}")).collect()
}
