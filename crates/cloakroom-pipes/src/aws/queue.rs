//! An SQS queue for dead letters.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;

use crate::letter::DeadLetter;
use crate::ports::{DeadLetters, Unavailable};

/// A standard queue for dead letters.
#[derive(Debug, Clone)]
pub struct QueueDeadLetters {
    client: Client,
    queue_url: String,
}

impl QueueDeadLetters {
    /// A queue by its URL.
    pub fn new(client: Client, queue_url: impl Into<String>) -> Self {
        Self {
            client,
            queue_url: queue_url.into(),
        }
    }
}

#[async_trait]
impl DeadLetters for QueueDeadLetters {
    async fn send(&self, letter: &DeadLetter) -> Result<(), Unavailable> {
        let body = serde_json::to_string(letter).expect("a dead letter is JSON");
        let request = self.client.send_message().queue_url(&self.queue_url);
        match request.message_body(body).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(Unavailable(DisplayErrorContext(&error).to_string())),
        }
    }
}
