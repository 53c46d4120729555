//! What a pipe writes to its dead-letter queue: where the records were, not the records.

use cloakroom_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ports::ShardId;
use crate::record::Item;

/// Why records were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// `MaximumRetryAttempts` was reached.
    RetryAttemptsExhausted,
    /// `MaximumRecordAgeInSeconds`, or the age at which the stream itself forgets, was reached.
    RecordAgeExceeded,
}

/// A message in the dead-letter queue of a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Which pipe gave up, and why.
    pub context: Context,
    /// The version of this format, `1.0`.
    pub version: String,
    /// When, as RFC 3339.
    pub timestamp: String,
    /// Where the records are, as long as the stream keeps them.
    #[serde(rename = "DDBStreamBatchInfo")]
    pub batch: BatchInfo,
}

/// Which pipe gave up, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// The pipe's ARN.
    pub partner_resource_arn: String,
    /// Why.
    pub condition: Condition,
}

/// A range of records of one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchInfo {
    /// The shard.
    pub shard_id: ShardId,
    /// The first record's sequence number.
    pub start_sequence_number: String,
    /// The last record's sequence number. Not every record between the two need be among those given up.
    pub end_sequence_number: String,
    /// When the first record was written, as RFC 3339.
    pub approximate_arrival_of_first_record: String,
    /// When the last record was written, as RFC 3339.
    pub approximate_arrival_of_last_record: String,
    /// How many records were given up.
    pub batch_size: usize,
    /// The stream.
    pub stream_arn: String,
}

impl DeadLetter {
    /// The letter for records of one shard, in its order.
    pub(crate) fn new(
        pipe_arn: &str,
        stream_arn: &str,
        shard: &ShardId,
        given_up: &Burial,
        now: Timestamp,
    ) -> Self {
        let (first, last) = match given_up.items.as_slice() {
            [] => unreachable!("only records are given up"),
            [first, .., last] => (first, last),
            [only] => (only, only),
        };
        Self {
            context: Context {
                partner_resource_arn: pipe_arn.to_owned(),
                condition: given_up.condition,
            },
            version: "1.0".to_owned(),
            timestamp: Timestamp::from_micros(now.as_micros() / 1_000 * 1_000).to_string(),
            batch: BatchInfo {
                shard_id: shard.clone(),
                start_sequence_number: first.sequence_number.clone(),
                end_sequence_number: last.sequence_number.clone(),
                approximate_arrival_of_first_record: first.created_at.to_string(),
                approximate_arrival_of_last_record: last.created_at.to_string(),
                batch_size: given_up.items.len(),
                stream_arn: stream_arn.to_owned(),
            },
        }
    }
}

/// Records that are given up.
#[derive(Debug, Clone)]
pub(crate) struct Burial {
    pub(crate) items: Vec<std::sync::Arc<Item>>,
    pub(crate) condition: Condition,
}
