//! The ledger port: a small transactional store of records, the only truth there is.

use async_trait::async_trait;
use cloakroom_core::event::Event;
use cloakroom_core::id::{SourceName, StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use crate::record::{Key, Record};

/// The most writes one transaction may hold (DynamoDB's limit).
pub const TRANSACTION_MAX: usize = 100;

/// Keeps records, each under one [`Key`], and changes them only by conditional writes.
///
/// Promises that hold for every method:
///
/// - **Durability.** When `transact` returns `Ok`, its writes survive a crash of the process and of the machine.
/// - **Consistency.** A read sees every transaction that was acknowledged before the read began, in full or (when it is
///   still under way) not at all. Nothing that is not durable yet is ever read.
/// - **Retry.** Every method may be called again after `Unavailable`. A transaction whose answer was lost may have
///   happened: its retry then ends in a conflict that shows the caller's own record.
/// - **Cancellation.** Dropping a future of `transact` leaves the transaction either done or not done.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// The record under `key`.
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError>;

    /// The events of `stream` above `after` (from the start if `None`) and up to and including `up_to` (to the end if
    /// `None`), in position order, at most `limit`. Fewer than `limit` means that there are no more.
    async fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError>;

    /// The last event of `stream`, whether released or not.
    async fn last_event(&self, stream: &StreamId) -> Result<Option<Event>, LedgerError>;

    /// A page of an index, in the index's order, starting behind `cursor` (a [`Page::next`] of the same index; from the
    /// start if `None`). What is written while paging may or may not be seen; what was there before is not missed.
    async fn list(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError>;

    /// Carries out all of `writes`, or none when any condition fails. At most [`TRANSACTION_MAX`], no two on one key.
    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError>;

    /// Whether this process is the only one that can be using the ledger. Leases of earlier owners are then void.
    fn is_exclusive(&self) -> bool;
}

/// A conditional write.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Writes a record on condition that there is none under its key.
    Create(Record),
    /// Writes a record on condition that the stored one has this revision. The new record carries its own, higher one.
    Replace {
        /// What to store.
        record: Record,
        /// The revision that must be stored now.
        revision: u64,
    },
    /// Removes a record on condition that the stored one has this revision; `None` removes whatever is there.
    Delete {
        /// What to remove.
        key: Key,
        /// The revision that must be stored now.
        revision: Option<u64>,
    },
    /// Counts an append: adds one to `appended` and to the revision of the stream's head, on condition that the head
    /// exists and that its position is below this one. Two of these on one head never conflict with each other.
    Admit {
        /// The stream.
        stream: StreamId,
        /// Where the append goes.
        position: Position,
    },
    /// Changes nothing, on condition that the stream's head exists and that its base is open, or not above `number`.
    BaseAllows {
        /// The stream.
        stream: StreamId,
        /// The number about to be appended.
        number: u64,
    },
}

impl Write {
    /// The key this write reads its condition from, and changes.
    pub fn key(&self) -> Key {
        match self {
            Self::Create(record) | Self::Replace { record, .. } => record.key(),
            Self::Delete { key, .. } => key.clone(),
            Self::Admit { stream, .. } | Self::BaseAllows { stream, .. } => {
                Key::Head(stream.clone())
            }
        }
    }
}

/// What can be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Index {
    /// The heads of every stream, or of one source's, by stream.
    Heads(Option<SourceName>),
    /// Records that want somebody's attention at or before `due`, the most urgent first, as [`Record::attention`] says.
    Attention {
        /// Which kind.
        kind: crate::record::AttentionKind,
        /// Only those due by then.
        due: Timestamp,
    },
    /// What was quarantined, of one source or of all, by source and id.
    Quarantine(Option<SourceName>),
    /// Dead letters, of one subscription or of all, by subscription, stream and position.
    DeadLetters(Option<SubscriptionName>),
    /// The notes beside one event (the duplicates that differed).
    Notes(StreamId, Position),
    /// The versions of one stream that were recorded as superseded, by position.
    Superseded(StreamId),
    /// What one subscription passed over in one stream, by position.
    Passed(SubscriptionName, StreamId),
}

/// A page of an index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

/// What the ledger could not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be reached, or is overloaded: try again.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read: an operator must look.
    #[error("the ledger is damaged: {0}; run `cloakroom doctor`")]
    Corrupt(String),
}

/// Why a transaction did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransactError {
    /// A condition did not hold. Nothing was written.
    #[error("write {} of the transaction met another record", .0.write)]
    Conflict(Box<Conflict>),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The first condition that did not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Which of the transaction's writes, from 0.
    pub write: usize,
    /// What is stored under that write's key.
    pub stored: Option<Record>,
}
