//! What the runner asks of the world. Each port is a contract; the adapters in [`crate::aws`], [`crate::memory`],
//! [`crate::file`] and [`crate::handler`] keep it.

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::letter::DeadLetter;
use crate::record::Record;

/// The name of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(pub String);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ShardId {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// A shard of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its name.
    pub id: ShardId,
    /// The shard it continues. It may be gone from the stream.
    pub parent: Option<ShardId>,
    /// Whether nothing is written to it any more.
    pub closed: bool,
}

/// A place in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// Before the oldest record that is still there.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// After the record with this sequence number.
    After(String),
}

/// Some records of a shard.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In the shard's order. May be empty although more follow.
    pub records: Vec<Record>,
    /// Where to read on; `None` when the shard is closed and was read to its end.
    pub next: Option<String>,
}

/// Why a source could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The iterator is too old: ask for a new one.
    #[error("the iterator expired")]
    Expired,
    /// The stream has forgotten what was asked for: read from its oldest record.
    #[error("the records are no longer in the stream")]
    Trimmed,
    /// The stream, or this shard of it, does not exist any more.
    #[error("it does not exist: {0}")]
    Gone(String),
    /// Anything else. Try again later.
    #[error("{0}")]
    Unavailable(String),
}

/// A stream. Every method may be repeated.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// The stream's ARN.
    fn stream_arn(&self) -> &str;

    /// All shards that the stream still knows, closed ones included, whatever the number of pages.
    ///
    /// # Errors
    /// [`SourceError::Gone`] when the stream itself is gone.
    async fn shards(&self) -> Result<Vec<Shard>, SourceError>;

    /// An iterator that begins at a position. It expires after some minutes.
    ///
    /// # Errors
    /// [`SourceError::Trimmed`] when the position is older than all that is kept.
    async fn iterator(&self, shard: &ShardId, at: &Position) -> Result<String, SourceError>;

    /// The next records.
    ///
    /// # Errors
    /// [`SourceError::Expired`] and [`SourceError::Trimmed`], after which a new iterator is needed.
    async fn records(&self, iterator: &str) -> Result<Page, SourceError>;
}

/// Why a target did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It failed, timed out, does not exist or may not be called. Counts as an attempt.
    #[error("the target failed: {0}")]
    Failed(String),
    /// It was not reached, or asked to be called later. Does not count: as with AWS, it is tried until the records are too old.
    #[error("the target could not be reached: {0}")]
    Unavailable(String),
}

/// What a pipe invokes.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// Invokes it with a JSON array of records, and waits for its answer: JSON, or nothing. May see a record several times. Is
    /// dropped when it takes longer than [`crate::EXECUTION_MAX`].
    ///
    /// # Errors
    /// Whether the invocation counts as an attempt.
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, TargetError>;
}

/// A port could not do its work. Try again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Where the places of records that were given up are sent.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Stores one durably. May store it twice.
    ///
    /// # Errors
    /// It is tried again until it succeeds: the shard does not move on before.
    async fn send(&self, letter: &DeadLetter) -> Result<(), Unavailable>;
}

/// How far a shard was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checkpoint {
    /// The pipe began with what was written after this was recorded; nothing was settled since.
    Latest,
    /// Everything up to this sequence number was.
    After(String),
    /// All of it was, and nothing more will come.
    Finished,
}

/// Where the runner remembers how far it came. Losing a checkpoint means that records are delivered again, never that one is missed.
#[async_trait]
pub trait Checkpoints: Send + Sync + 'static {
    /// All checkpoints of the pipe.
    ///
    /// # Errors
    /// The runner does not start without them.
    async fn load(&self) -> Result<HashMap<ShardId, Checkpoint>, Unavailable>;

    /// Replaces a shard's checkpoint. Called by one shard's worker at a time, in order.
    ///
    /// # Errors
    /// The runner goes on, and saves a later one.
    async fn save(&self, shard: &ShardId, checkpoint: &Checkpoint) -> Result<(), Unavailable>;

    /// Forgets a shard that the stream does not know any more.
    ///
    /// # Errors
    /// The runner goes on.
    async fn forget(&self, shard: &ShardId) -> Result<(), Unavailable>;
}
