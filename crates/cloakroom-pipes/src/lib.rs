//! The definitions of the pipes, and a runner that executes exactly these.
//!
//! On AWS two EventBridge pipes ring doorbells: each reads the stream of the ledger's table, filters it, and invokes a function. Their
//! definitions are the files in `pipes/`. Terraform deploys them; this crate executes them, in tests and for
//! `cloakroom serve --backend aws --run-pipes`, so that what is deployed is what is tested.
//!
//! # What the runner does
//!
//! - **Definition** ([`definition`]): the shape of `CreatePipe`, checked against AWS's limits; anything it would not execute is refused.
//! - **Shards**: lists them all every 10 s and when one ends; reads a shard only after its parent was settled to the end; shards run in
//!   parallel, each one batch at a time (parallelization factor 1). Expired iterators are renewed after what was read; where the stream
//!   has forgotten records, reading goes on at the oldest one.
//! - **Starting position**: only where there is no checkpoint. With `LATEST`, shards that appear later are read from their beginning.
//! - **Filters** ([`filter`]): the Pipes dialect of event patterns over each record, in the shape in which targets see it. What is filtered
//!   out is settled.
//! - **Batches**: leave when they have `BatchSize` records, when the window since their first record has passed, at 6 MB, or when the
//!   shard ends. A target gets a JSON array, also for one record.
//! - **Answers**: `batchItemFailures[].itemIdentifier` are `eventID`s. None, `null` or an empty list is a success. A null, empty or unknown
//!   identifier, an error of the function or no answer within 5 minutes fails the whole batch.
//! - **Retries**: only what failed is tried again, after a backoff. With `AUTOMATIC_BISECT` it is halved first, down to single records, and
//!   the halves are worked off in order. A piece that failed `MaximumRetryAttempts` + 1 times, or grew older than
//!   `MaximumRecordAgeInSeconds`, is given up: its shard and range of sequence numbers (never its records) go to the dead-letter queue,
//!   and the shard goes on. When the target was not reached, or throttled, no attempt is counted.
//! - **Checkpoints**: after every piece, up to the first record that is not settled. A record is delivered at least once; for the first time
//!   only after all earlier records of its shard were. Nothing is checkpointed before its dead letter is stored.
//! - **Stopping**: no new invocation begins; those under way are awaited and checkpointed.
//!
//! # Where AWS is silent or differs
//!
//! - AWS does not say whether halving counts as a retry. Here it does not, as with Lambda's own stream poller: a record is tried at
//!   most `MaximumRetryAttempts` + 1 + log2(`BatchSize`) times, rounded up, unless the target is out of reach.
//! - AWS does not say what a partial answer does under `AUTOMATIC_BISECT`. Here the failed records are what is halved.
//! - AWS does not document the dead letter of a pipe. The shape here is the one that pipes are seen to send.
//! - AWS disables a pipe after sustained 4xx errors. The runner goes on trying, and logs.
//! - A record older than the stream's retention (24 h) is given up with a dead letter; on AWS it is gone.
//! - After a restart under `LATEST`, a shard from which nothing was read before is read from its end again.
//! - Backoffs are 0 to 100 ms at first and at most 20 s. AWS's are not documented.
//! - `Enrichment`, input templates, `FIRE_AND_FORGET`, parallelization above 1, and sources and targets other than a DynamoDB stream and
//!   a Lambda function are not executed, so definitions with them are refused.

mod answer;
pub mod aws;
mod batch;
pub mod definition;
pub mod file;
pub mod filter;
pub mod handler;
mod letter;
mod lineage;
pub mod memory;
mod pipe;
pub mod ports;
mod reader;
mod record;
mod runner;
mod shard;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use definition::{Definition, DefinitionError};
pub use letter::{BatchInfo, Condition, Context, DeadLetter};
pub use record::{PAYLOAD_MAX_BYTES, Record};
pub use runner::{Parts, RunError, Runner};

/// The longest execution of a pipe, the target's work included.
pub const EXECUTION_MAX: Duration = Duration::from_secs(5 * 60);
