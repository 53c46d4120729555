//! Runs a pipe: finds shards, and has each worked on once its parent has come to its end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cloakroom_engine::ports::{Clock, Entropy};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::definition::{Definition, StartingPosition};
use crate::lineage::{forgotten, from_latest, startable};
use crate::pipe::{Pipe, Stopped};
use crate::ports::{
    Checkpoint, Checkpoints, DeadLetters, Shard, ShardId, Source, SourceError, Target,
};
use crate::shard::Worker;

/// How often to look for new shards. A shard that comes to its end is reason to look at once.
const DISCOVERY: Duration = Duration::from_secs(10);

/// What a pipe runs on.
#[derive(Clone)]
pub struct Parts {
    /// The pipe's ARN, or whatever dead letters should name it.
    pub pipe_arn: String,
    /// The stream.
    pub source: Arc<dyn Source>,
    /// What is invoked.
    pub target: Arc<dyn Target>,
    /// Where the places of given-up records are sent. Without it they are only logged.
    pub dead_letters: Option<Arc<dyn DeadLetters>>,
    /// Where progress is remembered. Each pipe has its own.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The jitter of waits.
    pub entropy: Arc<dyn Entropy>,
}

/// Executes one pipe. At most one runner may work on the same checkpoints.
pub struct Runner {
    definition: Definition,
    parts: Parts,
}

/// Why a pipe stopped by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The stream is gone.
    #[error(
        "the pipe `{pipe}` has lost its stream: {reason}; when the table's stream was enabled again it has a new ARN, which the pipe needs"
    )]
    StreamGone {
        /// The pipe.
        pipe: String,
        /// What the source said.
        reason: String,
    },
    /// The checkpoints could not be read.
    #[error(
        "the checkpoints of the pipe `{pipe}` cannot be read: {reason}; without them the pipe begins at its starting position again, which is safe"
    )]
    Checkpoints {
        /// The pipe.
        pipe: String,
        /// What the store said.
        reason: String,
    },
}

impl Runner {
    /// A runner of a definition.
    pub fn new(definition: Definition, parts: Parts) -> Self {
        Self { definition, parts }
    }

    /// Runs until told to stop; then lets each invocation that is under way come to its end, and returns.
    ///
    /// # Errors
    /// When the stream is gone, or the checkpoints cannot be read. Everything else is tried again.
    ///
    /// # Panics
    /// When a worker does: that is a bug.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), RunError> {
        // When this returns for whatever reason, no worker goes on.
        let stop = stop.child_token();
        let _guard = stop.clone().drop_guard();
        let pipe = Pipe::new(&self.definition, self.parts.clone(), stop);
        let loaded = pipe.parts.checkpoints.load().await;
        let checkpoints = loaded.map_err(|error| RunError::Checkpoints {
            pipe: pipe.name.clone(),
            reason: error.to_string(),
        })?;
        let mut run = Run {
            begun: !checkpoints.is_empty(),
            checkpoints,
            starting: self.definition.stream().starting_position,
            running: HashSet::new(),
            workers: JoinSet::new(),
            pipe,
        };
        let outcome = run.work().await;
        run.pipe.stop.cancel();
        while let Some(joined) = run.workers.join_next().await {
            let (_shard, _stopped) = unwind(joined);
        }
        outcome
    }
}

/// One run of a pipe.
struct Run {
    pipe: Arc<Pipe>,
    starting: StartingPosition,
    /// Whether the starting position was taken, by this run or an earlier one.
    begun: bool,
    checkpoints: HashMap<ShardId, Checkpoint>,
    running: HashSet<ShardId>,
    workers: JoinSet<(ShardId, Result<(), Stopped>)>,
}

impl Run {
    async fn work(&mut self) -> Result<(), RunError> {
        let mut failed = 0;
        while !self.pipe.stop.is_cancelled() {
            match self.pipe.parts.source.shards().await {
                Ok(shards) => {
                    failed = 0;
                    self.adopt(&shards).await;
                    self.watch().await;
                }
                Err(SourceError::Gone(reason)) => {
                    let pipe = self.pipe.name.clone();
                    return Err(RunError::StreamGone { pipe, reason });
                }
                Err(error) => {
                    tracing::warn!(pipe = self.pipe.name, %error, "the shards could not be listed");
                    failed += 1;
                    if self.pipe.back_off(failed).await.is_err() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Starts what may be started, and forgets what is gone.
    async fn adopt(&mut self, shards: &[Shard]) {
        if !self.begun && self.starting == StartingPosition::Latest {
            self.checkpoints = from_latest(shards);
            for (shard, checkpoint) in &self.checkpoints {
                self.pipe.save(shard, checkpoint).await;
            }
        }
        self.begun |= !shards.is_empty();
        for shard in forgotten(shards, &self.checkpoints, &self.running) {
            if let Err(error) = self.pipe.parts.checkpoints.forget(&shard).await {
                tracing::warn!(pipe = self.pipe.name, %shard, %error, "a checkpoint was not removed");
            }
            self.checkpoints.remove(&shard);
        }
        for (shard, position) in startable(shards, &self.checkpoints, &self.running) {
            tracing::info!(pipe = self.pipe.name, %shard, ?position, "reads a shard");
            let worker = Worker::new(Arc::clone(&self.pipe), shard.clone(), position);
            self.running.insert(shard.clone());
            self.workers.spawn(async move {
                let outcome = worker.run().await;
                (shard, outcome)
            });
        }
    }

    /// Waits until it is time to look for shards again.
    async fn watch(&mut self) {
        let joined = tokio::select! {
            _ = self.pipe.pause(DISCOVERY) => return,
            Some(joined) = self.workers.join_next() => joined,
        };
        let (shard, outcome) = unwind(joined);
        self.running.remove(&shard);
        if outcome.is_ok() {
            tracing::info!(pipe = self.pipe.name, %shard, "has read a shard to its end");
            self.checkpoints.insert(shard, Checkpoint::Finished);
        }
    }
}

/// A worker's result. Its panic goes on here.
fn unwind<T>(joined: Result<T, tokio::task::JoinError>) -> T {
    match joined {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
