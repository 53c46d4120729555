//! Cloakroom as it is deployed, on one machine: the functions behind an API, their queues, table, bucket and bus on
//! MiniStack, and the pipes by the runner.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{
    Environment, FunctionCode, FunctionResponseType, LogType, Runtime as FunctionRuntime,
};
use aws_sdk_sqs::types::QueueAttributeName;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cloakroom_aws::ClientOptions;
use cloakroom_emulators::MiniStack;
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_lambda::{Role, Variable};
use cloakroom_pipes::aws::{FunctionTarget, QueueDeadLetters, StreamSource};
use cloakroom_pipes::definition::Definition;
use cloakroom_pipes::memory::MemoryCheckpoints;
use cloakroom_pipes::{Parts, Runner};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::support::http::Request;
use crate::support::server::built;

const TABLE: &str = "cloakroom";
const BUCKET: &str = "cloakroom-claims";
/// Where the functions find their configuration, in the bucket.
const CONFIG: &str = "config/cloakroom.yaml";
/// Longer than any call takes here, shorter than a doorbell stays invisible.
const FUNCTION_TIMEOUT: i32 = 20;

/// What runs.
pub(crate) struct Stack {
    pub(crate) runtime: Runtime,
    pub(crate) sdk: aws_config::SdkConfig,
    pub(crate) ministack: MiniStack,
    /// The path in front of `/in/{source}`.
    pub(crate) api: String,
    pub(crate) queues: HashMap<&'static str, String>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Stack {
    /// Starts it with this configuration.
    pub(crate) fn start(config: &str, secrets: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let ministack = MiniStack::start().unwrap_or_else(|error| panic!("{error}"));
        let mut stack = runtime.block_on(async {
            let sdk = ClientOptions::emulator(ministack.endpoint(), MiniStack::REGION)
                .load()
                .await
                .unwrap();
            make_stores(&sdk, config, secrets).await;
            let queues = make_queues(&sdk).await;
            make_bus(&sdk).await;
            make_topic(&sdk).await;
            make_functions(&sdk, &ministack.endpoint(), &queues, &zip(folder.path())).await;
            (sdk, queues)
        });
        let api = make_api(&ministack);
        let stop = CancellationToken::new();
        for definition in [Definition::resequence(), Definition::dispatch()] {
            let (sdk, queues) = &mut stack;
            let runner = runtime.block_on(runner(sdk, definition, &queues["dead-pipes"]));
            let stop = stop.clone();
            runtime.spawn(async move { runner.run(stop).await });
        }
        let (sdk, queues) = stack;
        Self {
            runtime,
            sdk,
            ministack,
            api,
            queues,
            stop,
            _folder: folder,
        }
    }

    /// Sends a webhook through the API.
    pub(crate) fn webhook(
        &self,
        source: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> (u16, Value) {
        let address = self.address();
        let request = Request::post(&format!("{}/in/{source}", self.api))
            .headers(headers)
            .body(body);
        let answer = request.send(&address).unwrap();
        (answer.status, answer.json())
    }

    /// Where the API listens.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ministack.port())
    }

    /// Takes everything that is in a queue now, in its order.
    pub(crate) fn drain(&self, queue: &str) -> Vec<aws_sdk_sqs::types::Message> {
        let client = aws_sdk_sqs::Client::new(&self.sdk);
        let url = &self.queues[queue];
        self.runtime.block_on(async {
            let mut taken = Vec::new();
            loop {
                let answer = client
                    .receive_message()
                    .queue_url(url)
                    .max_number_of_messages(10)
                    .message_system_attribute_names(
                        aws_sdk_sqs::types::MessageSystemAttributeName::All,
                    )
                    .send()
                    .await
                    .unwrap();
                let messages = answer.messages.unwrap_or_default();
                if messages.is_empty() {
                    return taken;
                }
                for message in messages {
                    let handle = message.receipt_handle().unwrap();
                    client
                        .delete_message()
                        .queue_url(url)
                        .receipt_handle(handle)
                        .send()
                        .await
                        .unwrap();
                    taken.push(message);
                }
            }
        })
    }

    /// Calls a function as its schedule does; the end of its log.
    pub(crate) fn invoke(&self, function: &str) -> String {
        let client = aws_sdk_lambda::Client::new(&self.sdk);
        let payload = json!({"source": "aws.scheduler"}).to_string();
        let answer = self.runtime.block_on(
            client
                .invoke()
                .function_name(function)
                .payload(Blob::new(payload))
                .log_type(LogType::Tail)
                .send(),
        );
        let answer = answer.unwrap();
        let body = answer.payload.map(Blob::into_inner).unwrap_or_default();
        assert!(
            answer.function_error.is_none(),
            "{}",
            String::from_utf8_lossy(&body)
        );
        let log = answer.log_result.unwrap_or_default();
        String::from_utf8(BASE64_STANDARD.decode(log).unwrap()).unwrap()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The table, the bucket with the configuration in it, and the secrets.
async fn make_stores(sdk: &aws_config::SdkConfig, config: &str, secrets: &[(&str, &str)]) {
    cloakroom_aws::DynamoLedger::new(sdk, TABLE)
        .create_table()
        .await
        .unwrap();
    let path_style = aws_sdk_s3::config::Builder::from(sdk)
        .force_path_style(true)
        .build();
    let s3 = aws_sdk_s3::Client::from_conf(path_style);
    s3.create_bucket().bucket(BUCKET).send().await.unwrap();
    let put = s3.put_object().bucket(BUCKET).key(CONFIG);
    let put = put.body(config.as_bytes().to_vec().into());
    put.send().await.unwrap();
    let vault = aws_sdk_secretsmanager::Client::new(sdk);
    for (name, secret) in secrets {
        vault
            .create_secret()
            .name(*name)
            .secret_string(*secret)
            .send()
            .await
            .unwrap();
    }
}

/// The product's own queues, and two that consumers read.
async fn make_queues(sdk: &aws_config::SdkConfig) -> HashMap<&'static str, String> {
    let client = aws_sdk_sqs::Client::new(sdk);
    let mut urls = HashMap::new();
    for name in [
        "doorbells.fifo",
        "timers",
        "dead-pipes",
        "ledger.fifo",
        "topic.fifo",
        "observed",
    ] {
        let mut create = client.create_queue().queue_name(name).attributes(
            QueueAttributeName::VisibilityTimeout,
            (FUNCTION_TIMEOUT * 6).to_string(),
        );
        if name.ends_with(".fifo") {
            create = create.attributes(QueueAttributeName::FifoQueue, "true");
        }
        urls.insert(name, create.send().await.unwrap().queue_url.unwrap());
    }
    urls
}

fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{}:000000000000:{name}", MiniStack::REGION)
}

async fn make_bus(sdk: &aws_config::SdkConfig) {
    let client = aws_sdk_eventbridge::Client::new(sdk);
    client
        .create_event_bus()
        .name("webhooks")
        .send()
        .await
        .unwrap();
    let everything = json!({"source": [{"prefix": ""}]}).to_string();
    client
        .put_rule()
        .name("all")
        .event_bus_name("webhooks")
        .event_pattern(everything)
        .send()
        .await
        .unwrap();
    let target = aws_sdk_eventbridge::types::Target::builder()
        .id("observed")
        .arn(queue_arn("observed"))
        .build()
        .unwrap();
    client
        .put_targets()
        .rule("all")
        .event_bus_name("webhooks")
        .targets(target)
        .send()
        .await
        .unwrap();
}

pub(crate) fn topic_arn() -> String {
    format!("arn:aws:sns:{}:000000000000:events.fifo", MiniStack::REGION)
}

/// A FIFO topic, and a queue that is subscribed to it.
async fn make_topic(sdk: &aws_config::SdkConfig) {
    let client = aws_sdk_sns::Client::new(sdk);
    let create = client.create_topic().name("events.fifo");
    create.attributes("FifoTopic", "true").send().await.unwrap();
    let subscribe = client.subscribe().topic_arn(topic_arn()).protocol("sqs");
    let subscribe = subscribe.endpoint(queue_arn("topic.fifo"));
    subscribe
        .attributes("RawMessageDelivery", "true")
        .send()
        .await
        .unwrap();
}

/// The real binary, as Lambda wants it.
fn zip(folder: &Path) -> Vec<u8> {
    let bootstrap: PathBuf = folder.join("bootstrap");
    run(Command::new("strip")
        .arg("-o")
        .arg(&bootstrap)
        .arg(built("cloakroom-lambda")));
    run(Command::new("python3").current_dir(folder).args([
        "-m",
        "zipfile",
        "-c",
        "function.zip",
        "bootstrap",
    ]));
    std::fs::read(folder.join("function.zip")).unwrap()
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

async fn make_functions(
    sdk: &aws_config::SdkConfig,
    endpoint: &str,
    queues: &HashMap<&'static str, String>,
    zip: &[u8],
) {
    let client = aws_sdk_lambda::Client::new(sdk);
    for role in Role::ALL {
        // Exactly what the role says that it reads.
        let mut environment = Environment::builder().variables("AWS_ENDPOINT_URL", endpoint);
        for (variable, _) in role.variables() {
            let value = match variable {
                Variable::Config => &format!("s3://{BUCKET}/{CONFIG}"),
                Variable::Log => "info",
                Variable::Table => TABLE,
                Variable::Bucket => BUCKET,
                Variable::Doorbells => &queues["doorbells.fifo"],
                Variable::Timers => &queues["timers"],
            };
            environment = environment.variables(variable.name(), value);
        }
        client
            .create_function()
            .function_name(role.name())
            .handler(role.name())
            .runtime(FunctionRuntime::Providedal2023)
            .role("arn:aws:iam::000000000000:role/cloakroom")
            .code(FunctionCode::builder().zip_file(Blob::new(zip)).build())
            .timeout(FUNCTION_TIMEOUT)
            .environment(environment.build())
            .send()
            .await
            .unwrap();
    }
    for (queue, function) in [("doorbells.fifo", "deliver"), ("timers", "sweep")] {
        client
            .create_event_source_mapping()
            .function_name(function)
            .event_source_arn(queue_arn(queue))
            .batch_size(10)
            .function_response_types(FunctionResponseType::ReportBatchItemFailures)
            .send()
            .await
            .unwrap();
    }
}

/// An HTTP API with one route; the path in front of it.
fn make_api(ministack: &MiniStack) -> String {
    let address = format!("127.0.0.1:{}", ministack.port());
    let post = |path: &str, body: Value| {
        let body = body.to_string();
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(body.as_bytes());
        let answer = request.send(&address).unwrap();
        assert!(answer.status < 300, "{path}: {}", answer.text());
        answer.json()
    };
    let api = post(
        "/v2/apis",
        json!({"name": "cloakroom", "protocolType": "HTTP"}),
    );
    let id = api["apiId"].as_str().unwrap();
    let integration = post(
        &format!("/v2/apis/{id}/integrations"),
        json!({
            "integrationType": "AWS_PROXY", "payloadFormatVersion": "2.0",
            "integrationUri": format!("arn:aws:lambda:{}:000000000000:function:ingest", MiniStack::REGION),
        }),
    );
    let target = format!(
        "integrations/{}",
        integration["integrationId"].as_str().unwrap()
    );
    post(
        &format!("/v2/apis/{id}/routes"),
        json!({"routeKey": "$default", "target": target}),
    );
    post(
        &format!("/v2/apis/{id}/stages"),
        json!({"stageName": "$default", "autoDeploy": true}),
    );
    format!("/_aws/execute-api/{id}/$default")
}

async fn runner(sdk: &aws_config::SdkConfig, definition: Definition, dead_letters: &str) -> Runner {
    let stream = cloakroom_aws::DynamoLedger::new(sdk, TABLE)
        .stream_arn()
        .await
        .unwrap();
    let streams = aws_sdk_dynamodbstreams::Client::new(sdk);
    let parts = Parts {
        pipe_arn: format!(
            "arn:aws:pipes:{}:000000000000:pipe/{}",
            MiniStack::REGION,
            definition.name
        ),
        source: Arc::new(StreamSource::new(streams, stream)),
        target: Arc::new(FunctionTarget::new(
            aws_sdk_lambda::Client::new(sdk),
            &definition.name,
        )),
        dead_letters: Some(Arc::new(QueueDeadLetters::new(
            aws_sdk_sqs::Client::new(sdk),
            dead_letters,
        ))),
        checkpoints: Arc::new(MemoryCheckpoints::default()),
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
    };
    Runner::new(definition, parts)
}
