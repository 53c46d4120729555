//! The sinks that end in a queue: SQS FIFO, SNS and EventBridge, on MiniStack.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client as Sqs;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use cloakroom_aws::sinks::{EventBridge, Sns, SqsFifo};
use cloakroom_engine::ports::{Outcome, Sink as _};
use serde_json::Value;

use crate::events::{event, numbers, reason, with_payload};
use crate::support::{fresh, ministack};

struct Queue {
    client: Sqs,
    url: String,
    arn: String,
}

impl Queue {
    async fn make(sdk: &SdkConfig, fifo: bool) -> Self {
        let client = Sqs::new(sdk);
        let mut make = client.create_queue();
        let mut name = fresh("queue");
        if fifo {
            name.push_str(".fifo");
            make = make.attributes(QueueAttributeName::FifoQueue, "true");
        }
        let made = make.queue_name(name).send().await.unwrap();
        let url = made.queue_url.unwrap();
        let asked = client
            .get_queue_attributes()
            .queue_url(&url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send();
        let arn = asked.await.unwrap().attributes.unwrap();
        let arn = arn[&QueueAttributeName::QueueArn].clone();
        Self { client, url, arn }
    }

    /// Waits for the next `count` messages, and takes them.
    async fn take(&self, count: usize) -> Vec<Message> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let received = self
                .client
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(10)
                .wait_time_seconds(20)
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .send();
            let messages = received.await.unwrap().messages.unwrap_or_default();
            assert!(!messages.is_empty(), "only {} came", taken.len());
            for message in messages {
                let handle = message.receipt_handle().unwrap();
                let delete = self.client.delete_message().queue_url(&self.url);
                delete.receipt_handle(handle).send().await.unwrap();
                taken.push(message);
            }
        }
        taken
    }
}

fn json(message: &Message) -> Value {
    serde_json::from_str(message.body().unwrap()).unwrap()
}

fn system(message: &Message, name: &MessageSystemAttributeName) -> String {
    message.attributes().unwrap()[name].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_queue_gets_each_event_once_an_epoch_in_order() {
    let sdk = ministack();
    let queue = Queue::make(&sdk, true).await;
    let name = queue.arn.rsplit(':').next().unwrap();
    for target in [&queue.arn, &queue.url, name] {
        let sink = SqsFifo::new(&sdk, target).unwrap();
        for epoch in 0..2 {
            for number in [1, 2, 2, 3, 1] {
                let mut event = event(target, number);
                event.epoch = epoch;
                assert_eq!(sink.send(&[event]).await, Outcome::Delivered);
            }
        }
        let messages = queue.take(6).await;
        let bodies: Vec<_> = messages.iter().map(json).collect();
        assert_eq!(numbers(&bodies), [1, 2, 3, 1, 2, 3]);
        let first = event(target, 1);
        assert_eq!(bodies[0]["id"], first.event.id.as_str());
        for message in &messages {
            let group = system(message, &MessageSystemAttributeName::MessageGroupId);
            assert!(group.starts_with("shop/"), "{group}");
        }
        let attributes = messages[0].message_attributes().unwrap();
        let text = |name: &str| attributes[name].string_value().unwrap_or_default();
        assert_eq!(text("ce-type"), "order.updated");
        assert_eq!(text("content-type"), "application/cloudevents+json");
        let exact = messages[0].body().unwrap();
        assert!(exact.ends_with(r#""data":{ "number": 1 }}"#), "{exact}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_a_queue_is_left_to_be_fetched() {
    let sdk = ministack();
    let queue = Queue::make(&sdk, true).await;
    let sink = SqsFifo::new(&sdk, &queue.arn).unwrap();
    let large = with_payload("large", 1, &format!("\"{}\"", "x".repeat(1 << 20)));
    assert_eq!(sink.send(&[large]).await, Outcome::Delivered);
    let body = json(&queue.take(1).await[0]);
    assert_eq!(body["dataref"], "https://claims.example/1");
    assert!(body.get("data").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_not_there_is_told_and_found_once_it_is() {
    let sdk = ministack();
    let queue = Queue::make(&sdk, true).await;
    let arn = format!("{}-later.fifo", queue.arn.trim_end_matches(".fifo"));
    let name = arn.rsplit(':').next().unwrap();
    let sinks = [arn.as_str(), name].map(|target| SqsFifo::new(&sdk, target).unwrap());
    for (sink, target) in sinks.iter().zip([&*arn, name]) {
        let told = reason(sink.send(&[event("k", 1)]).await);
        assert!(told.contains("does not exist"), "{told}");
        assert!(told.contains(target), "{told}");
    }
    let make = queue.client.create_queue().queue_name(name);
    let make = make.attributes(QueueAttributeName::FifoQueue, "true");
    make.send().await.unwrap();
    for sink in &sinks {
        assert_eq!(sink.send(&[event("k", 1)]).await, Outcome::Delivered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_cannot_be_right_is_refused_at_once() {
    let sdk = ministack();
    let standard = SqsFifo::new(&sdk, "arn:aws:sqs:us-east-1:000000000000:billing");
    assert!(
        standard
            .unwrap_err()
            .to_string()
            .contains("not a FIFO queue")
    );
    assert!(SqsFifo::new(&sdk, "billing.fifo").is_ok());
    let plain = SqsFifo::new(&sdk, "billing").unwrap_err().to_string();
    assert!(plain.contains("not a FIFO queue"), "{plain}");
    for wrong in ["", "a queue.fifo", "arn:aws:sns:us-east-1:1:x.fifo"] {
        let wrong = SqsFifo::new(&sdk, wrong).unwrap_err().to_string();
        assert!(wrong.contains("arn:aws:sqs:"), "{wrong}");
    }
    let long = format!("{}.fifo", "x".repeat(76));
    assert!(SqsFifo::new(&sdk, &long).is_err());
    assert!(Sns::new(&sdk, "webhooks").is_err());
    assert!(EventBridge::new(&sdk, "arn:aws:sqs:us-east-1:1:x").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_topic_passes_events_on_once_and_in_order() {
    topic(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standard_topic_passes_events_on() {
    topic(false).await;
}

async fn topic(fifo: bool) {
    let sdk = ministack();
    let queue = Queue::make(&sdk, fifo).await;
    let client = aws_sdk_sns::Client::new(&sdk);
    let mut make = client.create_topic();
    let mut name = fresh("topic");
    if fifo {
        name.push_str(".fifo");
        make = make.attributes("FifoTopic", "true");
    }
    let arn = make.name(name).send().await.unwrap().topic_arn.unwrap();
    let subscribe = client.subscribe().topic_arn(&arn).protocol("sqs");
    let subscribe = subscribe.endpoint(&queue.arn);
    let subscribe = subscribe.attributes("RawMessageDelivery", "true");
    subscribe.send().await.unwrap();
    let sink = Sns::new(&sdk, &arn).unwrap();
    let sent: &[u64] = if fifo { &[1, 2, 2, 3] } else { &[1, 2, 3] };
    for number in sent {
        assert_eq!(sink.send(&[event("k", *number)]).await, Outcome::Delivered);
    }
    let bodies: Vec<_> = queue.take(3).await.iter().map(json).collect();
    let mut found = numbers(&bodies);
    if !fifo {
        found.sort_unstable();
    }
    assert_eq!(found, [1, 2, 3]);

    let gone = Sns::new(&sdk, &format!("{arn}x")).unwrap();
    let told = reason(gone.send(&[event("k", 4)]).await);
    assert!(told.contains("does not exist"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_passes_whole_events_on_to_its_rules() {
    let sdk = ministack();
    let queue = Queue::make(&sdk, false).await;
    let client = aws_sdk_eventbridge::Client::new(&sdk);
    let bus = fresh("bus");
    client.create_event_bus().name(&bus).send().await.unwrap();
    let pattern = r#"{"source":["cloakroom.shop"],"detail-type":[{"prefix":"order."}],"detail":{"data":{"number":[2]}}}"#;
    let rule = client.put_rule().name(&bus).event_bus_name(&bus);
    rule.event_pattern(pattern).send().await.unwrap();
    let target = aws_sdk_eventbridge::types::Target::builder();
    let target = target.id("queue").arn(&queue.arn).build().unwrap();
    let targets = client.put_targets().rule(&bus).event_bus_name(&bus);
    targets.targets(target).send().await.unwrap();

    let sink = EventBridge::new(&sdk, &bus).unwrap();
    for number in 1..=3 {
        assert_eq!(sink.send(&[event("k", number)]).await, Outcome::Delivered);
    }
    let passed = json(&queue.take(1).await[0]);
    assert_eq!(passed["source"], "cloakroom.shop");
    assert_eq!(passed["detail-type"], "order.updated");
    assert_eq!(passed["detail"]["specversion"], "1.0");
    assert_eq!(passed["detail"]["partitionkey"], "k");
    assert_eq!(passed["detail"]["data"]["number"], 2);
}
