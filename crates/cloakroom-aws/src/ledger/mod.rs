//! The ledger in one DynamoDB table.
//!
//! | file | what |
//! | --- | --- |
//! | `table.json`, `table.rs` | the table's definition; making a table, checking one |
//! | `key.rs` | primary keys and index keys |
//! | `item.rs` | records as items |
//! | `read.rs` | single records and ranges of events |
//! | `list.rs` | indexes, page by page |
//! | `write.rs`, `condition.rs` | conditional writes and transactions |
//! | `together.rs` | what was written in one transaction with a head is never seen later than the head |
//! | `error.rs` | what DynamoDB's errors mean, and the remedy for each |
//!
//! What decides something is read consistently: an index only tells which records to look at, and they are then read from
//! the table itself. The indexes follow the table within milliseconds, but not at once, so a list may miss what was
//! written just before. Nothing depends on a single list: the sweep comes round again.

mod condition;
mod error;
mod item;
mod key;
mod list;
mod read;
pub mod table;
mod together;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use cloakroom_core::event::Event;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::ports::{
    Clock, Entropy, Index, Ledger, LedgerError, Page, TransactError, Write,
};
use cloakroom_engine::record::{Key, Record};
use cloakroom_engine::system::{SystemClock, SystemEntropy};

pub use error::OpenError;
pub use item::{ItemError, decode as decode_item};
pub use key::stream_of_partition;

/// One request, its connection included. DynamoDB answers in milliseconds, or something is wrong.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// All tries of one request: a provider waits no longer either.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(12);
/// How often the SDK sends a request that was throttled, timed out or met an internal error.
const ATTEMPTS: u32 = 6;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// A ledger in a DynamoDB table.
#[derive(Clone)]
pub struct DynamoLedger {
    client: Client,
    table: String,
    region: String,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for DynamoLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamoLedger")
            .field("table", &self.table)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl DynamoLedger {
    /// The ledger in `table` (a name or an ARN). Sends nothing: a Lambda function starts with this.
    pub fn new(config: &SdkConfig, table: impl Into<String>) -> Self {
        let retry = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(BACKOFF_FIRST)
            .with_max_backoff(BACKOFF_MAX);
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .retry_config(retry)
            .timeout_config(timeouts)
            .build();
        let client = Client::from_conf(config);
        Self {
            region: table::region_of(&client),
            client,
            table: table.into(),
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// As [`new`](Self::new), once [`check`](Self::check) has found the table right: a server and a command start with this.
    pub async fn open(config: &SdkConfig, table: impl Into<String>) -> Result<Self, OpenError> {
        let ledger = Self::new(config, table);
        ledger.check().await?;
        Ok(ledger)
    }

    /// Whether the table is there, in this Region, and as [`table::DEFINITION`] says.
    pub async fn check(&self) -> Result<(), OpenError> {
        table::check(&self.client, &self.table).await
    }

    /// The ARN of the table's stream, which the pipes read.
    pub async fn stream_arn(&self) -> Result<String, OpenError> {
        table::stream_arn(&self.client, &self.table).await
    }

    /// Makes the table unless it is there, and waits until it is ready: for tests and local trials. In production
    /// Terraform makes it.
    pub async fn create_table(&self) -> Result<(), OpenError> {
        const WAIT: Duration = Duration::from_millis(100);
        const TIMES: u32 = 600;
        table::create(&self.client, &self.table).await?;
        for _ in 1..TIMES {
            match self.check().await {
                // The table is listed a moment after the request was accepted.
                Err(OpenError::NotReady { .. } | OpenError::Missing { .. }) => {
                    self.clock.sleep_until(self.clock.now().after(WAIT)).await;
                }
                result => return result,
            }
        }
        self.check().await
    }

    /// The table's name or ARN.
    pub fn table(&self) -> &str {
        &self.table
    }
}

#[async_trait]
impl Ledger for DynamoLedger {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        self.get_record(key).await
    }

    async fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        self.range_of_events(stream, after, up_to, limit).await
    }

    async fn last_event(&self, stream: &StreamId) -> Result<Option<Event>, LedgerError> {
        self.last_of_events(stream).await
    }

    async fn list(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        self.list_page(index, cursor, limit).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        self.write_all(writes).await
    }

    /// Other servers and Lambda functions use the table at the same time.
    fn is_exclusive(&self) -> bool {
        false
    }
}
