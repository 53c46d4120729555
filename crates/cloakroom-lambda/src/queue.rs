//! Queues that bells are sent to, and SQS as one.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

/// The most messages of one request.
const BATCH_MAX: usize = 10;

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its text.
    pub body: String,
    /// Of one group, one message at a time is worked on. Only FIFO queues have groups.
    pub group: Option<String>,
    /// Messages with the same one, sent within five minutes, count as one. Only for FIFO queues.
    pub deduplication: Option<String>,
    /// How long it stays hidden, at most 15 minutes. Not for FIFO queues.
    pub delay: Duration,
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the queue did not take a message: {0}")]
pub struct SendError(pub String);

/// Takes messages.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Sends `messages`; the outcome of each, in their order.
    async fn send(&self, messages: Vec<Message>) -> Vec<Result<(), SendError>>;
}

/// A queue of SQS.
#[derive(Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue with this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }

    async fn send_batch(&self, messages: &[Message]) -> Vec<Result<(), SendError>> {
        let entries = messages.iter().enumerate().map(|(index, message)| {
            let delay = i32::try_from(message.delay.as_secs()).unwrap_or(i32::MAX);
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&message.body)
                .set_message_group_id(message.group.clone())
                .set_message_deduplication_id(message.deduplication.clone())
                .set_delay_seconds((delay > 0).then_some(delay))
                .build()
                .expect("an entry has an id and a body")
        });
        let sent = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect()))
            .send()
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => {
                let text = match error.code() {
                    Some("AWS.SimpleQueueService.NonExistentQueue" | "QueueDoesNotExist") => {
                        format!("there is no queue {}; check its URL", self.url)
                    }
                    Some("AccessDenied" | "AccessDeniedException") => {
                        format!(
                            "not allowed to send to {}; grant `sqs:SendMessage`",
                            self.url
                        )
                    }
                    _ => DisplayErrorContext(&error).to_string(),
                };
                return vec![Err(SendError(text)); messages.len()];
            }
        };
        let failed = answer.failed().iter().map(|entry| {
            let reason = entry.message().unwrap_or_else(|| entry.code());
            (entry.id(), reason)
        });
        let mut outcomes: HashMap<&str, Result<(), SendError>> = failed
            .map(|(id, reason)| (id, Err(SendError(reason.to_owned()))))
            .collect();
        for entry in answer.successful() {
            outcomes.insert(entry.id(), Ok(()));
        }
        // An entry that the answer does not mention may not have been sent.
        let missing = || Err(SendError("the answer does not mention it".to_owned()));
        let outcome = |index: usize| outcomes.remove(index.to_string().as_str());
        let mut outcome = outcome;
        (0..messages.len())
            .map(|index| outcome(index).unwrap_or_else(missing))
            .collect()
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, messages: Vec<Message>) -> Vec<Result<(), SendError>> {
        let mut outcomes = Vec::with_capacity(messages.len());
        for batch in messages.chunks(BATCH_MAX) {
            outcomes.extend(self.send_batch(batch).await);
        }
        outcomes
    }
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
