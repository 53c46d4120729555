//! Runs the pipes as they were applied: their definitions come from the Pipes API, their permissions from their roles.

use std::sync::Arc;

use cloakroom_aws::ClientOptions;
use cloakroom_emulators::{Gatekeeper, MiniStack};
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_pipes::aws::{FunctionTarget, QueueDeadLetters, StreamSource};
use cloakroom_pipes::definition::Definition;
use cloakroom_pipes::memory::MemoryCheckpoints;
use cloakroom_pipes::{Parts, Runner};

use super::terraform::Resource;
use crate::support::http::Request;

/// The emulator forgets the parameters of a pipe, but not its tags: whoever applies to it writes them there.
const DEFINITION: &str = "cloakroom:definition";

/// A pipe as `DescribePipe` shows it.
pub(crate) fn described(ministack: &MiniStack, pipe: &Resource) -> Definition {
    let scope = "AWS4-HMAC-SHA256 Credential=test/20000101/us-east-1/pipes/aws4_request, SignedHeaders=host, Signature=0";
    let name = pipe.text("name");
    let request = Request::get(&format!("/v1/pipes/{name}")).header("authorization", scope);
    let answer = request
        .send(&format!("127.0.0.1:{}", ministack.port()))
        .unwrap();
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    let told = answer.json();
    let text = told["Tags"][DEFINITION].as_str();
    let text = text.unwrap_or_else(|| panic!("{name} has no definition: {told}"));
    let definition = Definition::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
    for (field, value) in [
        ("Name", &definition.name),
        ("RoleArn", &definition.role_arn),
        ("Source", &definition.source),
        ("Target", &definition.target),
    ] {
        assert_eq!(told[field], **value, "{name}: {field}");
    }
    assert_eq!(told["CurrentState"], "RUNNING", "{name}");
    definition
}

/// A runner of this pipe, which does everything in the name of the pipe's role.
pub(crate) async fn runner(definition: Definition, gate: &Gatekeeper) -> Runner {
    let sdk = ClientOptions::emulator(gate.endpoint(), MiniStack::REGION)
        .load()
        .await
        .unwrap();
    let parameters = &definition.source_parameters.dynamodb_stream_parameters;
    let dead_letters = parameters.dead_letter_config.as_ref();
    let dead_letters = dead_letters.expect("what is given up is told").arn.clone();
    let queue = dead_letters.rsplit(':').next().unwrap();
    let parts = Parts {
        pipe_arn: format!(
            "arn:aws:pipes:{}:000000000000:pipe/{}",
            MiniStack::REGION,
            definition.name
        ),
        source: Arc::new(StreamSource::new(
            aws_sdk_dynamodbstreams::Client::new(&sdk),
            definition.source.clone(),
        )),
        target: Arc::new(FunctionTarget::new(
            aws_sdk_lambda::Client::new(&sdk),
            &definition.target,
        )),
        dead_letters: Some(Arc::new(QueueDeadLetters::new(
            aws_sdk_sqs::Client::new(&sdk),
            format!("{}/000000000000/{queue}", gate.endpoint()),
        ))),
        checkpoints: Arc::new(MemoryCheckpoints::default()),
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
    };
    Runner::new(definition, parts)
}
