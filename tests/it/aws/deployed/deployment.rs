//! An example that is applied, and ways to use it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use cloakroom_aws::ClientOptions;
use cloakroom_emulators::MiniStack;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::gates::{Gates, HANDLERS, PIPES, pipe_of};
use super::pipes;
use super::terraform::{Example, Rendered};
use crate::support::http::Request;
use crate::support::server::built;

/// How many of the last lines of each function are told when a test has failed.
const LINES_TOLD: usize = 15;

/// What runs. It ends when it is dropped.
pub(crate) struct Deployment {
    pub(crate) runtime: Runtime,
    /// Past all gates: the test's own.
    pub(crate) sdk: aws_config::SdkConfig,
    pub(crate) gates: Gates,
    pub(crate) rendered: Rendered,
    pub(crate) example: Example,
    pub(crate) ministack: MiniStack,
    stop: CancellationToken,
    _package: tempfile::TempDir,
}

impl Deployment {
    /// Applies an example with the functions that were built with this test. `prepare` sees what is there before.
    pub(crate) fn apply(name: &str, prepare: impl FnOnce(&mut Example, &Before<'_>)) -> Self {
        let ministack = MiniStack::start().unwrap_or_else(|error| panic!("{error}"));
        let runtime = Runtime::new().unwrap();
        let sdk = runtime
            .block_on(ClientOptions::emulator(ministack.endpoint(), MiniStack::REGION).load())
            .unwrap();
        let gates = Gates::start(&ministack);
        let folder = tempfile::tempdir().unwrap();
        let package = zip(folder.path());
        let mut example = Example::copy(
            name,
            vec![
                ("EMULATOR".to_owned(), ministack.endpoint()),
                ("EMULATOR_FUNCTION_ENDPOINTS".to_owned(), gates.endpoints()),
            ],
        );
        example.set("function_package", &package.display().to_string());
        let before = Before {
            runtime: &runtime,
            sdk: &sdk,
            address: &format!("127.0.0.1:{}", ministack.port()),
        };
        prepare(&mut example, &before);
        let rendered = example.apply();
        gates.enforce(&rendered);
        Self {
            runtime,
            sdk,
            gates,
            rendered,
            example,
            ministack,
            stop: CancellationToken::new(),
            _package: folder,
        }
    }

    /// Gives the secrets that were created empty their values.
    pub(crate) fn fill_secrets(&self, values: &[(&str, &str)]) {
        let values = BTreeMap::from_iter(values.iter().copied());
        let vault = aws_sdk_secretsmanager::Client::new(&self.sdk);
        for secret in self.rendered.all("aws_secretsmanager_secret") {
            let name = secret.text("name");
            let value = values.get(name);
            let value = value.unwrap_or_else(|| panic!("the test has no value for {name}"));
            let put = vault
                .put_secret_value()
                .secret_id(name)
                .secret_string(*value);
            self.runtime.block_on(put.send()).unwrap();
        }
    }

    /// Runs both pipes, as they are described now.
    pub(crate) fn run_pipes(&self) {
        for name in PIPES {
            let pipe = pipe_of(&self.rendered, name);
            let definition = pipes::described(&self.ministack, pipe);
            let gate = self.gates.of(&format!("pipe {name}"));
            let runner = self.runtime.block_on(pipes::runner(definition, gate));
            let stop = self.stop.clone();
            self.runtime.spawn(async move { runner.run(stop).await });
        }
    }

    /// Where the emulator listens.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ministack.port())
    }

    /// The path in front of `/in/…`.
    pub(crate) fn api(&self) -> String {
        let api = self.rendered.only("aws_apigatewayv2_api");
        format!("/_aws/execute-api/{}/$default", api.text("id"))
    }

    /// Sends a webhook through the API: its status and its receipt.
    pub(crate) fn webhook(
        &self,
        source: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> (u16, Value) {
        let path = format!("{}/in/{source}", self.api());
        let request = Request::post(&path).headers(headers).body(body);
        let answer = request.send(&self.address()).unwrap();
        (answer.status, answer.json())
    }

    /// Takes everything that is in a queue now, in its order.
    pub(crate) fn drain(&self, queue: &str) -> Vec<Message> {
        let queue = self.rendered.find("aws_sqs_queue", "name", queue);
        let url = queue.expect("the queue was made").text("url").to_owned();
        self.drain_url(&url)
    }

    /// As [`drain`](Self::drain), of a queue that Terraform did not make.
    pub(crate) fn drain_url(&self, url: &str) -> Vec<Message> {
        let client = aws_sdk_sqs::Client::new(&self.sdk);
        self.runtime.block_on(async {
            let mut taken = Vec::new();
            loop {
                let receive = client.receive_message().queue_url(url);
                let answer = receive
                    .max_number_of_messages(10)
                    .wait_time_seconds(0)
                    .message_system_attribute_names(MessageSystemAttributeName::All)
                    .send()
                    .await
                    .unwrap();
                let messages = answer.messages.unwrap_or_default();
                if messages.is_empty() {
                    return taken;
                }
                for message in messages {
                    let delete = client.delete_message().queue_url(url);
                    let handle = message.receipt_handle().unwrap();
                    delete.receipt_handle(handle).send().await.unwrap();
                    taken.push(message);
                }
            }
        })
    }

    /// Calls a function; `gate` is the role that does, if it is one of the deployment's.
    pub(crate) fn invoke(&self, gate: Option<&str>, handler: &str, event: &Value) -> Value {
        let function = self.rendered.function(handler).text("arn");
        let endpoint = gate.map_or(self.ministack.endpoint(), |gate| {
            self.gates.of(gate).endpoint()
        });
        let answer = self.runtime.block_on(async {
            let sdk = ClientOptions::emulator(endpoint, MiniStack::REGION)
                .load()
                .await
                .unwrap();
            let client = aws_sdk_lambda::Client::new(&sdk);
            let invoke = client.invoke().function_name(function);
            invoke.payload(Blob::new(event.to_string())).send().await
        });
        let answer = answer.unwrap();
        let body = answer.payload.map(Blob::into_inner).unwrap_or_default();
        assert!(
            answer.function_error.is_none(),
            "{handler}: {}",
            String::from_utf8_lossy(&body)
        );
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        self.stop.cancel();
        if std::thread::panicking() {
            self.tell();
        }
    }
}

impl Deployment {
    /// What may explain a failure: what was refused, and what the functions said last.
    fn tell(&self) {
        for (name, gate) in self.gates.all() {
            for denied in gate.denied() {
                eprintln!("{name}: refused {denied}");
            }
        }
        for handler in HANDLERS {
            let group = format!(
                "/aws/lambda/{}",
                self.rendered.function(handler).text("function_name")
            );
            let body = serde_json::json!({"logGroupName": group}).to_string();
            let scope = "AWS4-HMAC-SHA256 Credential=test/20000101/us-east-1/logs/aws4_request, SignedHeaders=host";
            let request = Request::post("/")
                .header("authorization", scope)
                .header("content-type", "application/x-amz-json-1.1")
                .header("x-amz-target", "Logs_20140328.FilterLogEvents")
                .body(body.as_bytes());
            match request.send(&self.address()) {
                Ok(answer) if answer.status == 200 => {
                    let events = answer.json()["events"]
                        .as_array()
                        .cloned()
                        .unwrap_or_default();
                    let first = events.len().saturating_sub(LINES_TOLD);
                    for event in &events[first..] {
                        let line = event["message"].as_str().unwrap_or_default();
                        eprintln!("{handler}: {}", line.trim_end());
                    }
                }
                Ok(answer) => eprintln!("{handler}: no log: {}", answer.text()),
                Err(error) => eprintln!("{handler}: no log: {error}"),
            }
        }
    }
}

/// What is there before anything is applied.
pub(crate) struct Before<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) sdk: &'a aws_config::SdkConfig,
    /// Where the emulator listens.
    pub(crate) address: &'a str,
}

/// The real binary, as Lambda wants it.
pub(crate) fn zip(folder: &Path) -> PathBuf {
    let bootstrap = folder.join("bootstrap");
    let mut strip = Command::new("strip");
    run(strip
        .arg("-o")
        .arg(&bootstrap)
        .arg(built("cloakroom-lambda")));
    let mut pack = Command::new("python3");
    let arguments = ["-m", "zipfile", "-c", "function.zip", "bootstrap"];
    run(pack.current_dir(folder).args(arguments));
    folder.join("function.zip")
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
