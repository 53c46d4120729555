//! An SNS topic.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use cloakroom_core::text::Mistake;
use cloakroom_engine::ports::{Outcome, Outgoing, Sink};

use super::failure::Call;
use super::place::{arn_of, in_region_of};
use super::{SendOne, TIMEOUT, each, envelope, names};
use crate::client::within;

/// What a topic takes unless it is told to take more: message and attributes together.
const MESSAGE_MAX: usize = 256 << 10;

/// Publishes to an SNS topic. On a FIFO topic (its name ends in `.fifo`) the message group is the stream and the
/// deduplication id the event's, with the cursor's epoch; a standard topic keeps no order and may double.
///
/// The message is the structured CloudEvent. Subscriptions filter by the attributes `ce-type`, `ce-source`, `ce-id` and
/// `content-type`, or by the message itself.
#[derive(Debug)]
pub struct Sns {
    client: Client,
    topic: String,
}

impl Sns {
    /// The topic with this ARN.
    ///
    /// # Errors
    /// When it is not one.
    pub fn new(sdk: &SdkConfig, topic: &str) -> Result<Self, Mistake> {
        let example = "arn:aws:sns:eu-west-1:111122223333:webhooks.fifo";
        let found = arn_of(topic, "sns", example)?;
        let sdk = within(&in_region_of(sdk, Some(&found)), TIMEOUT);
        Ok(Self {
            client: Client::new(&sdk),
            topic: topic.to_owned(),
        })
    }
}

impl SendOne for Sns {
    async fn send_one(&self, outgoing: &Outgoing) -> Result<(), Outcome> {
        let attributes = envelope::attributes(outgoing);
        let room = MESSAGE_MAX.saturating_sub(envelope::attributes_size(&attributes));
        let body = envelope::text(outgoing, room, "SNS")?;
        let mut message = self.client.publish().topic_arn(&self.topic).message(body);
        if self.topic.ends_with(".fifo") {
            message = message
                .message_group_id(names::group(&outgoing.event.stream))
                .message_deduplication_id(names::deduplication(&outgoing.event.id, outgoing.epoch));
        }
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .expect("the data type is there");
            message = message.message_attributes(name, value);
        }
        let call = Call {
            action: "sns:Publish",
            what: "topic",
            target: &self.topic,
        };
        match message.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(call.failed(&error)),
        }
    }
}

#[async_trait]
impl Sink for Sns {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        each(self, events).await
    }

    fn kind(&self) -> &'static str {
        "sns"
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }
}
