//! The claim store port: payloads of any size, written once, read often, deleted only by the sweeper.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::event::{ClaimName, Sha256};
use cloakroom_core::id::{EventId, Identity, SourceName};
use cloakroom_core::time::Timestamp;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// The bytes of a payload, in order.
pub type PayloadStream = BoxStream<'static, Result<Bytes, ClaimError>>;

/// Keeps payloads.
///
/// - **Durability.** When `put` or `commit` returns, the payload survives a crash of process and machine.
/// - **Immutability.** The bytes behind a name never change. A name is never given to other bytes.
/// - **Nothing half-done.** What was begun but not committed can never be read, and is gone at the latest after a restart.
#[async_trait]
pub trait ClaimStore: Send + Sync + 'static {
    /// Stores a verified payload that is in memory already.
    async fn put(&self, hint: &ClaimHint, body: Bytes) -> Result<ClaimName, ClaimError>;

    /// As [`Self::put`], for a payload whose ledger entry follows: the store may leave durability to the ledger that goes
    /// with it. The payload is durable, at the latest, before any transaction that was begun after this returned commits.
    async fn place(&self, hint: &ClaimHint, body: Bytes) -> Result<ClaimName, ClaimError> {
        self.put(hint, body).await
    }

    /// Begins to store a payload whose size, hash and signature are not known yet. Dropping the upload aborts it.
    async fn begin(&self) -> Result<Box<dyn Upload>, ClaimError>;

    /// The payload, or the part of it in `range` (in bytes; its end is clipped to the payload's).
    async fn read(
        &self,
        claim: &ClaimName,
        range: Option<Range<u64>>,
    ) -> Result<PayloadStream, ClaimError>;

    /// Deletes a payload. Deleting what is not there is fine. The space may come back later.
    async fn delete(&self, claim: &ClaimName) -> Result<(), ClaimError>;

    /// Deletes what was written at or after `after` and before `before` and is referenced by nothing: payloads whose ledger entry
    /// was never written, and packs whose last payload is gone.
    async fn reclaim(
        &self,
        after: Option<Timestamp>,
        before: Timestamp,
        references: &dyn References,
    ) -> Result<Reclaimed, ClaimError>;

    /// Whether small payloads are read back from here at next to no cost, so that the ledger need not carry a second copy.
    fn is_local(&self) -> bool;

    /// What an upload may hold in memory on its way, in bytes: intake counts it against its budget.
    fn upload_memory(&self) -> usize {
        1 << 20
    }
}

/// A payload on its way in.
#[async_trait]
pub trait Upload: Send {
    /// Takes the next bytes. Returns when there is room for more, not when they are durable.
    async fn write(&mut self, chunk: Bytes) -> Result<(), ClaimError>;

    /// Makes everything written a claim, durably. The caller vouches for the hash and has verified the signature.
    async fn commit(self: Box<Self>, hint: &ClaimHint) -> Result<ClaimName, ClaimError>;

    /// Gives up and removes what was written. Dropping does the same, if less promptly.
    async fn abort(self: Box<Self>);
}

/// What a store may derive a claim's name from, and later tells [`References`] about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimHint {
    /// The source.
    pub source: SourceName,
    /// The identity of the event.
    pub identity: Identity,
    /// Where its ledger entry will be, when that follows from the event alone; otherwise its identity record tells.
    pub event: Option<EventId>,
    /// The hash of the payload.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// When it was accepted.
    pub recorded: Timestamp,
}

/// Tells whether a claim is still needed.
#[async_trait]
pub trait References: Send + Sync {
    /// Whether any ledger record names this claim.
    async fn is_referenced(&self, hint: &ClaimHint, claim: &ClaimName) -> Result<bool, ClaimError>;
}

/// What [`ClaimStore::reclaim`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Payloads or packs that were looked at.
    pub examined: u64,
    /// Payloads or packs that were removed.
    pub removed: u64,
    /// Bytes that came back.
    pub bytes: u64,
}

/// What the claim store could not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClaimError {
    /// There is no such claim.
    #[error("there is no claim {0:?}")]
    Missing(ClaimName),
    /// The store cannot be reached, or is full: try again.
    #[error("the claim store is unavailable: {0}")]
    Unavailable(String),
    /// The stored bytes are not what was written.
    #[error("the claim store is damaged: {0}; run `cloakroom doctor`")]
    Corrupt(String),
}
