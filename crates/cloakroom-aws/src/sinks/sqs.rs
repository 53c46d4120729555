//! An SQS FIFO queue.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use cloakroom_core::text::Mistake;
use cloakroom_engine::ports::{Outcome, Outgoing, Sink};
use tokio::sync::OnceCell;

use super::failure::Call;
use super::place::{arn, in_region_of};
use super::{SendOne, TIMEOUT, each, envelope, names};
use crate::client::within;

/// What a message may hold: body and attributes together.
const MESSAGE_MAX: usize = 1 << 20;

/// The longest name of a queue, with its `.fifo`.
const NAME_MAX: usize = 80;

/// Sends to an SQS FIFO queue. The message group is the stream, so a consumer sees each stream in order; the
/// deduplication id is the event's, with the cursor's epoch, so a repeated call is swallowed and a replay is not.
///
/// The body is the structured CloudEvent. The attributes `content-type`, `ce-id`, `ce-source` and `ce-type` tell about it.
#[derive(Debug)]
pub struct SqsFifo {
    client: Client,
    queue: String,
    url: OnceCell<String>,
}

impl SqsFifo {
    /// The queue with this name (of this account, in this Region), ARN or URL. Makes no request: the URL of one that is
    /// named otherwise is asked for with the first event.
    ///
    /// # Errors
    /// When it is none of them, or not a FIFO queue's.
    pub fn new(sdk: &SdkConfig, queue: &str) -> Result<Self, Mistake> {
        let found = arn(queue, "sqs");
        let is_url = queue.starts_with("https://") || queue.starts_with("http://");
        if found.is_none() && !is_url && !is_name(queue) {
            let text = format!("{queue:?} is neither the name of an SQS queue nor its ARN or URL");
            let hint = "write it as in `billing.fifo` or `arn:aws:sqs:eu-west-1:111122223333:billing.fifo`";
            return Err(Mistake::new(text, hint));
        }
        if !queue.ends_with(".fifo") {
            let text = format!("{queue:?} is not a FIFO queue, and others keep no order");
            let hint = "create a queue whose name ends in `.fifo`";
            return Err(Mistake::new(text, hint));
        }
        let sdk = within(&in_region_of(sdk, found.as_ref()), TIMEOUT);
        Ok(Self {
            client: Client::new(&sdk),
            queue: queue.to_owned(),
            url: if is_url {
                OnceCell::new_with(Some(queue.to_owned()))
            } else {
                OnceCell::new()
            },
        })
    }

    fn call<'a>(&'a self, action: &'a str) -> Call<'a> {
        Call {
            action,
            what: "queue",
            target: &self.queue,
        }
    }

    /// The queue's URL, asked for once.
    async fn url(&self) -> Result<&str, Outcome> {
        let found = self.url.get_or_try_init(|| self.find_url()).await;
        found.map(String::as_str)
    }

    async fn find_url(&self) -> Result<String, Outcome> {
        let found = arn(&self.queue, "sqs");
        let asked = self
            .client
            .get_queue_url()
            .queue_name(found.as_ref().map_or(&*self.queue, |arn| arn.resource))
            .set_queue_owner_aws_account_id(found.map(|arn| arn.account.to_owned()))
            .send()
            .await;
        match asked {
            Ok(found) => Ok(found.queue_url.unwrap_or_default()),
            Err(error) => Err(self.call("sqs:GetQueueUrl").failed(&error)),
        }
    }
}

impl SendOne for SqsFifo {
    async fn send_one(&self, outgoing: &Outgoing) -> Result<(), Outcome> {
        let attributes = envelope::attributes(outgoing);
        let room = MESSAGE_MAX.saturating_sub(envelope::attributes_size(&attributes));
        let body = envelope::text(outgoing, room, "SQS")?;
        let url = self.url().await?;
        let mut message = self
            .client
            .send_message()
            .queue_url(url)
            .message_group_id(names::group(&outgoing.event.stream))
            .message_deduplication_id(names::deduplication(&outgoing.event.id, outgoing.epoch))
            .message_body(body);
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .expect("the data type is there");
            message = message.message_attributes(name, value);
        }
        match message.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.call("sqs:SendMessage").failed(&error)),
        }
    }
}

/// Whether this may be the name of a queue.
fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

#[async_trait]
impl Sink for SqsFifo {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        each(self, events).await
    }

    fn kind(&self) -> &'static str {
        "sqs-fifo"
    }

    fn timeout(&self) -> Duration {
        // The URL is asked for before the first message.
        TIMEOUT * 2
    }
}
