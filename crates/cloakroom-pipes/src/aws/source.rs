//! DynamoDB Streams as a source.

use async_trait::async_trait;
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::DisplayErrorContext;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsError;
use aws_sdk_dynamodbstreams::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_dynamodbstreams::types::{self as sdk, ShardIteratorType};

use super::convert::record;
use crate::ports::{Page, Position, Shard, ShardId, Source, SourceError};

/// The stream of a DynamoDB table. It allows two readers in all.
#[derive(Debug, Clone)]
pub struct StreamSource {
    client: Client,
    stream_arn: String,
}

impl StreamSource {
    /// A stream by its ARN, which is another one each time a table's stream is enabled.
    pub fn new(client: Client, stream_arn: impl Into<String>) -> Self {
        Self {
            client,
            stream_arn: stream_arn.into(),
        }
    }
}

#[async_trait]
impl Source for StreamSource {
    fn stream_arn(&self) -> &str {
        &self.stream_arn
    }

    async fn shards(&self) -> Result<Vec<Shard>, SourceError> {
        let mut shards = Vec::new();
        let mut after = None;
        loop {
            let request = self.client.describe_stream().stream_arn(&self.stream_arn);
            let answer = request.set_exclusive_start_shard_id(after).send().await;
            let answer = answer.map_err(|error| {
                let gone = error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception());
                let text = DisplayErrorContext(&error).to_string();
                if gone {
                    SourceError::Gone(text)
                } else {
                    SourceError::Unavailable(text)
                }
            })?;
            let stream = answer.stream_description();
            shards.extend(
                stream
                    .iter()
                    .flat_map(|stream| stream.shards())
                    .filter_map(shard),
            );
            after = stream
                .and_then(|stream| stream.last_evaluated_shard_id())
                .map(str::to_owned);
            if after.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn iterator(&self, shard: &ShardId, at: &Position) -> Result<String, SourceError> {
        let request = self
            .client
            .get_shard_iterator()
            .stream_arn(&self.stream_arn);
        let request = request.shard_id(&shard.0);
        let request = match at {
            Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Position::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
            Position::After(sequence_number) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(sequence_number),
        };
        let answer = request.send().await.map_err(|error| {
            let text = DisplayErrorContext(&error).to_string();
            match error.as_service_error() {
                Some(GetShardIteratorError::TrimmedDataAccessException(_)) => SourceError::Trimmed,
                Some(GetShardIteratorError::ResourceNotFoundException(_)) => {
                    SourceError::Gone(text)
                }
                _ => SourceError::Unavailable(text),
            }
        })?;
        let iterator = answer
            .shard_iterator
            .ok_or("GetShardIterator answered without an iterator");
        iterator.map_err(|problem| SourceError::Unavailable(problem.into()))
    }

    async fn records(&self, iterator: &str) -> Result<Page, SourceError> {
        let request = self.client.get_records().shard_iterator(iterator);
        let answer = request.send().await.map_err(|error| {
            let text = DisplayErrorContext(&error).to_string();
            match error.as_service_error() {
                Some(GetRecordsError::ExpiredIteratorException(_)) => SourceError::Expired,
                Some(GetRecordsError::TrimmedDataAccessException(_)) => SourceError::Trimmed,
                Some(GetRecordsError::ResourceNotFoundException(_)) => SourceError::Gone(text),
                _ => SourceError::Unavailable(text),
            }
        })?;
        let records = answer.records().iter();
        let converted: Option<Vec<_>> = records.map(|one| record(one, &self.stream_arn)).collect();
        Ok(Page {
            records: converted.ok_or_else(|| {
                SourceError::Unavailable("a record has no event id or sequence number".into())
            })?,
            next: answer.next_shard_iterator,
        })
    }
}

fn shard(shard: &sdk::Shard) -> Option<Shard> {
    let range = shard.sequence_number_range();
    Some(Shard {
        id: shard.shard_id()?.into(),
        parent: shard.parent_shard_id().map(Into::into),
        closed: range.is_some_and(|range| range.ending_sequence_number().is_some()),
    })
}
