//! Notifications of uploads: what providers put into the bucket themselves becomes events.
//!
//! A notification is a doorbell. Which object it names is all that it is believed; what is there is looked at, whatever
//! the notification says has happened to it. It may come from an EventBridge rule, from the bucket itself, or through an SQS
//! queue that either of them fills.

use std::fmt;
use std::sync::Arc;

use cloakroom_engine::Stepper;
use cloakroom_engine::catalog::Catalog;
use cloakroom_engine::ports::Uploads;
use cloakroom_engine::upload::{TakeError, Taken};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;

use crate::answer::{BatchAnswer, HandlerError};
use crate::deliver::messages;

/// The handler of notifications. Cheap to clone.
#[derive(Clone)]
pub struct Upload {
    stepper: Stepper,
    uploads: Arc<dyn Uploads>,
}

/// What became of one upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Became {
    /// Its place.
    pub claim: String,
    /// `accepted`, `duplicate`, `quarantined`, `refused`, `gone` or `unknown`.
    pub status: String,
    /// The event's id, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Upload {
    /// Takes in what is staged in `uploads`.
    pub fn new(stepper: Stepper, uploads: Arc<dyn Uploads>) -> Self {
        Self { stepper, uploads }
    }

    /// What it takes in.
    pub fn catalog(&self) -> &Catalog {
        self.stepper.engine().catalog()
    }

    /// Takes in every upload that the event names. Answers a queue with the messages that are to come again, everybody else
    /// with a list of what became of the uploads.
    ///
    /// # Errors
    /// When the event is no notification, or an upload has to be looked at again.
    pub async fn answer(&self, event: Value) -> Result<Value, HandlerError> {
        let answer = if is_from_queue(&event) {
            serde_json::to_value(self.batch(event).await?)
        } else {
            let places = places(&event).ok_or_else(|| HandlerError::Event {
                found: "something else".to_owned(),
                expected: "a notification of S3, from EventBridge, the bucket or an SQS queue",
            })?;
            let became = self.take_all(&places).await;
            serde_json::to_value(became.map_err(HandlerError::Upload)?)
        };
        Ok(answer.expect("an answer is plain data"))
    }

    /// Messages of a queue: each for itself.
    async fn batch(&self, event: Value) -> Result<BatchAnswer, HandlerError> {
        let mut failed = Vec::new();
        for message in messages(event)? {
            let body = message.body.as_deref().unwrap_or_default();
            let notification: Option<Value> = serde_json::from_str(body).ok();
            let error = match notification.as_ref().and_then(places) {
                Some(places) => self.take_all(&places).await.err().map(|e| e.to_string()),
                None => Some("the message is no notification of S3".to_owned()),
            };
            if let Some(error) = error {
                tracing::error!(error, "an upload has to be looked at again");
                failed.push(message.message_id.unwrap_or_default());
            }
        }
        Ok(BatchAnswer::failed(failed))
    }

    /// One after the other. What was taken in before one failed is no harm to the next try.
    async fn take_all(&self, places: &[String]) -> Result<Vec<Became>, TakeError> {
        let mut became = Vec::new();
        for place in places {
            let engine = self.stepper.engine();
            let taken = engine.take_upload(self.uploads.as_ref(), place).await;
            let taken = taken?;
            let status = taken.to_string();
            let id = match taken {
                Taken::In(receipt) => Some(receipt.id.as_str().to_owned()),
                _ => None,
            };
            tracing::info!(claim = place, status, event_id = id, "looked at an upload");
            became.push(Became {
                claim: place.clone(),
                status,
                id,
            });
        }
        Ok(became)
    }
}

fn is_from_queue(event: &Value) -> bool {
    event["Records"][0]["eventSource"] == "aws:sqs"
}

/// The keys that a notification names; `None` when it is none.
fn places(event: &Value) -> Option<Vec<String>> {
    if event["Event"] == "s3:TestEvent" {
        return Some(Vec::new());
    }
    if let Some(key) = event["detail"]["object"]["key"].as_str() {
        // EventBridge has keys as they are.
        return Some(vec![key.to_owned()]);
    }
    let key = |record: &Value| {
        // The bucket's own notifications have them as a form would.
        let key = record["s3"]["object"]["key"].as_str()?.replace('+', " ");
        Some(percent_decode_str(&key).decode_utf8().ok()?.into_owned())
    };
    event["Records"].as_array()?.iter().map(key).collect()
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}
