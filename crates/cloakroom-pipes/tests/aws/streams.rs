//! The committed definitions, run on the stream of a real table in MiniStack.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType, StreamSpecification, StreamViewType,
};
use cloakroom_aws::client::ClientOptions;
use cloakroom_emulators::MiniStack;
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_pipes::aws::{FunctionTarget, QueueDeadLetters, StreamSource};
use cloakroom_pipes::handler::Handler;
use cloakroom_pipes::memory::MemoryCheckpoints;
use cloakroom_pipes::ports::{
    Checkpoint, Checkpoints as _, Position, Source as _, SourceError, Target,
};
use cloakroom_pipes::{Condition, DeadLetter, Definition, Parts, Runner};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A table with a stream, and a queue, of their own.
struct Stack {
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    lambda: aws_sdk_lambda::Client,
    streams: aws_sdk_dynamodbstreams::Client,
    table: String,
    stream_arn: String,
    queue_url: String,
}

impl Stack {
    async fn new(name: &str) -> Self {
        let endpoint = MiniStack::shared().endpoint();
        let config = ClientOptions::emulator(endpoint, "us-east-1")
            .load()
            .await
            .unwrap();
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        let sqs = aws_sdk_sqs::Client::new(&config);
        let attribute = |name: &str| {
            let text = AttributeDefinition::builder().attribute_type(ScalarAttributeType::S);
            text.attribute_name(name).build().unwrap()
        };
        let key = |name: &str, kind: KeyType| {
            let element = KeySchemaElement::builder().attribute_name(name);
            element.key_type(kind).build().unwrap()
        };
        let stream = StreamSpecification::builder().stream_enabled(true);
        let stream = stream
            .stream_view_type(StreamViewType::NewAndOldImages)
            .build()
            .unwrap();
        let created = dynamodb
            .create_table()
            .table_name(name)
            .attribute_definitions(attribute("PK"))
            .attribute_definitions(attribute("SK"))
            .key_schema(key("PK", KeyType::Hash))
            .key_schema(key("SK", KeyType::Range))
            .billing_mode(BillingMode::PayPerRequest)
            .stream_specification(stream)
            .send()
            .await
            .unwrap();
        let stream_arn = created
            .table_description()
            .unwrap()
            .latest_stream_arn()
            .unwrap();
        let queue = sqs.create_queue().queue_name(name).send().await.unwrap();
        Self {
            stream_arn: stream_arn.to_owned(),
            queue_url: queue.queue_url().unwrap().to_owned(),
            table: name.to_owned(),
            lambda: aws_sdk_lambda::Client::new(&config),
            streams: aws_sdk_dynamodbstreams::Client::new(&config),
            dynamodb,
            sqs,
        }
    }

    async fn put(&self, sort_key: &str, attributes: &[(&str, &str)]) {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let mut item = HashMap::from([
            ("PK".to_owned(), text("STREAM#shop#42")),
            ("SK".to_owned(), text(sort_key)),
        ]);
        item.extend(
            attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), text(value))),
        );
        let put = self.dynamodb.put_item().table_name(&self.table);
        put.set_item(Some(item)).send().await.unwrap();
    }

    fn source(&self) -> StreamSource {
        StreamSource::new(self.streams.clone(), &self.stream_arn)
    }

    fn parts(&self, target: Arc<dyn Target>, checkpoints: &Arc<MemoryCheckpoints>) -> Parts {
        Parts {
            pipe_arn: "arn:aws:pipes:us-east-1:000000000000:pipe/test".into(),
            source: Arc::new(self.source()),
            target,
            dead_letters: Some(Arc::new(QueueDeadLetters::new(
                self.sqs.clone(),
                &self.queue_url,
            ))),
            checkpoints: Arc::clone(checkpoints) as _,
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// Waits for a message in the queue.
    async fn dead_letter(&self) -> DeadLetter {
        for _ in 0..60 {
            let receive = self.sqs.receive_message().queue_url(&self.queue_url);
            let received = receive.wait_time_seconds(1).send().await.unwrap();
            if let Some(message) = received.messages().first() {
                return serde_json::from_str(message.body().unwrap()).unwrap();
            }
        }
        panic!("no dead letter came within a minute");
    }
}

/// A target that hands on each record, and fails those whose sort key it is told to.
fn collector(poison: Option<&'static str>) -> (Arc<dyn Target>, mpsc::UnboundedReceiver<Value>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let handler = Handler::new(move |records: Value| {
        let sender = sender.clone();
        async move {
            let mut failures = Vec::new();
            for record in records.as_array().unwrap() {
                if record["dynamodb"]["Keys"]["SK"]["S"].as_str() == poison {
                    failures.push(json!({"itemIdentifier": record["eventID"]}));
                } else {
                    sender.send(record.clone()).unwrap();
                }
            }
            Ok(json!({ "batchItemFailures": failures }))
        }
    });
    (Arc::new(handler), receiver)
}

/// The next record. Its absence is a failure instead of a test that never ends.
async fn next(receiver: &mut mpsc::UnboundedReceiver<Value>) -> Value {
    let patience = Duration::from_secs(60);
    let received = tokio::time::timeout(patience, receiver.recv()).await;
    received.expect("a record comes within a minute").unwrap()
}

#[tokio::test]
async fn both_pipes_ring_for_their_records_only() {
    let stack = Stack::new("both-pipes").await;
    stack.put("EVENT#1", &[("kind", "EVENT")]).await;
    let stop = CancellationToken::new();
    let mut received = Vec::new();
    let mut running = Vec::new();
    for definition in [Definition::resequence(), Definition::dispatch()] {
        let (target, receiver) = collector(None);
        let parts = stack.parts(target, &Arc::default());
        let stop = stop.clone();
        running.push(tokio::spawn(async move {
            Runner::new(definition, parts).run(stop).await
        }));
        received.push(receiver);
    }
    stack
        .put("HEAD", &[("kind", "HEAD"), ("advanced", "no")])
        .await;
    stack
        .put("HEAD", &[("kind", "HEAD"), ("advanced", "yes")])
        .await;
    stack
        .put("EVENT#1", &[("kind", "EVENT"), ("changed", "yes")])
        .await;
    stack.put("CURSOR#billing", &[("kind", "CURSOR")]).await;
    stack.put("EVENT#2", &[("kind", "EVENT")]).await;
    stack
        .put(
            "HEAD",
            &[("kind", "HEAD"), ("advanced", "yes"), ("at", "2")],
        )
        .await;

    let mut seen = Vec::new();
    for receiver in &mut received {
        let both = [next(receiver).await, next(receiver).await];
        seen.push(both);
    }
    stop.cancel();
    for pipe in running {
        pipe.await.unwrap().unwrap();
    }
    let keys = seen.iter().map(|both| {
        both.each_ref()
            .map(|record| record["dynamodb"]["Keys"]["SK"]["S"].clone())
    });
    assert_eq!(
        keys.collect::<Vec<_>>(),
        [["EVENT#1", "EVENT#2"], ["HEAD", "HEAD"]]
    );
    let names = seen
        .iter()
        .map(|both| both.each_ref().map(|record| record["eventName"].clone()));
    assert_eq!(
        names.collect::<Vec<_>>(),
        [["INSERT", "INSERT"], ["MODIFY", "MODIFY"]]
    );
    let first = &seen[0][0];
    assert_eq!(first["eventSourceARN"], stack.stream_arn.as_str());
    assert_eq!(first["eventSource"], "aws:dynamodb");
    assert_eq!(first["dynamodb"]["NewImage"]["kind"], json!({"S": "EVENT"}));
    assert!(first["dynamodb"]["ApproximateCreationDateTime"].is_number());
    for receiver in &mut received {
        assert!(receiver.try_recv().is_err(), "nothing else was passed on");
    }
}

#[tokio::test]
async fn a_poison_record_is_told_of_in_the_queue_and_can_be_found_again() {
    let stack = Stack::new("poison").await;
    for number in 1..=5 {
        stack
            .put(&format!("EVENT#{number}"), &[("kind", "EVENT")])
            .await;
    }
    let mut definition = Definition::resequence();
    let stream = &mut definition.source_parameters.dynamodb_stream_parameters;
    stream.maximum_retry_attempts = 1;
    let checkpoints = Arc::new(MemoryCheckpoints::new());
    let stop = CancellationToken::new();
    let (target, mut receiver) = collector(Some("EVENT#3"));
    let runner = Runner::new(definition.clone(), stack.parts(target, &checkpoints));
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { runner.run(stop).await }
    });
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(next(&mut receiver).await["dynamodb"]["Keys"]["SK"]["S"].clone());
    }
    let letter = stack.dead_letter().await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(seen, ["EVENT#1", "EVENT#2", "EVENT#4", "EVENT#5"]);
    assert_eq!(letter.context.condition, Condition::RetryAttemptsExhausted);
    assert_eq!(letter.batch.batch_size, 1);
    assert_eq!(letter.batch.stream_arn, stack.stream_arn);

    // The place that the letter tells leads to the record.
    let shard = &letter.batch.shard_id;
    let source = stack.source();
    let iterator = source
        .iterator(shard, &Position::TrimHorizon)
        .await
        .unwrap();
    let all = source.records(&iterator).await.unwrap().records;
    let told = all
        .iter()
        .find(|record| record.sequence_number == letter.batch.start_sequence_number);
    assert_eq!(told.unwrap().body["dynamodb"]["Keys"]["SK"]["S"], "EVENT#3");

    // The next run goes on after everything that was settled.
    assert!(matches!(
        checkpoints.load().await.unwrap()[shard],
        Checkpoint::After(_)
    ));
    stack.put("EVENT#6", &[("kind", "EVENT")]).await;
    let stop = CancellationToken::new();
    let (target, mut receiver) = collector(None);
    let runner = Runner::new(definition, stack.parts(target, &checkpoints));
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { runner.run(stop).await }
    });
    let sixth = next(&mut receiver).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(sixth["dynamodb"]["Keys"]["SK"]["S"], "EVENT#6");
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let stack = Stack::new("missing").await;
    let missing = stack.stream_arn.replace("/missing/", "/never-made/");
    let source = StreamSource::new(stack.streams.clone(), missing);
    let error = source.shards().await.unwrap_err();
    assert!(matches!(error, SourceError::Gone(_)), "{error:?}");
    let target = FunctionTarget::new(stack.lambda.clone(), "never-made");
    let error = target.invoke("[]".into()).await.unwrap_err();
    assert!(error.to_string().contains("never-made"), "{error}");
}

#[tokio::test]
async fn a_target_sees_every_type_of_attribute_as_dynamodb_writes_it() {
    let stack = Stack::new("types").await;
    let seen = Arc::new(Mutex::new(None));
    let item = HashMap::from([
        ("PK".to_owned(), AttributeValue::S("a".into())),
        ("SK".to_owned(), AttributeValue::S("b".into())),
        ("kind".to_owned(), AttributeValue::S("EVENT".into())),
        ("n".to_owned(), AttributeValue::N("42".into())),
        (
            "b".to_owned(),
            AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new([255, 0])),
        ),
        (
            "list".to_owned(),
            AttributeValue::L(vec![AttributeValue::Bool(true), AttributeValue::Null(true)]),
        ),
        (
            "map".to_owned(),
            AttributeValue::M(HashMap::from([(
                "k".to_owned(),
                AttributeValue::Ss(vec!["x".into()]),
            )])),
        ),
    ]);
    let put = stack.dynamodb.put_item().table_name(&stack.table);
    put.set_item(Some(item)).send().await.unwrap();
    let source = stack.source();
    for shard in source.shards().await.unwrap() {
        let iterator = source
            .iterator(&shard.id, &Position::TrimHorizon)
            .await
            .unwrap();
        for record in source.records(&iterator).await.unwrap().records {
            *seen.lock().unwrap() = Some(record.body["dynamodb"]["NewImage"].clone());
        }
    }
    assert_eq!(
        seen.lock().unwrap().take(),
        Some(json!({
            "PK": {"S": "a"}, "SK": {"S": "b"}, "kind": {"S": "EVENT"}, "n": {"N": "42"}, "b": {"B": "/wA="},
            "list": {"L": [{"BOOL": true}, {"NULL": true}]}, "map": {"M": {"k": {"SS": ["x"]}}}
        }))
    );
}
