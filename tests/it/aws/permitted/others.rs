//! What belongs to somebody else and is there before: a topic, a function and a state machine that subscriptions send to.

use std::process::Command;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use serde_json::json;

use super::super::deployed::deployment::Before;
use crate::support::http::Request;

/// Makes them, under the names of the configuration.
pub(super) fn make(before: &Before<'_>) {
    before.runtime.block_on(async {
        let topics = aws_sdk_sns::Client::new(before.sdk);
        let topic = topics.create_topic().name("others.fifo");
        topic.attributes("FifoTopic", "true").send().await.unwrap();
        let functions = aws_sdk_lambda::Client::new(before.sdk);
        let code = FunctionCode::builder().zip_file(Blob::new(package()));
        functions
            .create_function()
            .function_name("others")
            .handler("index.handler")
            .runtime(Runtime::Python312)
            .role("arn:aws:iam::000000000000:role/others")
            .code(code.build())
            .send()
            .await
            .unwrap();
    });
    let pass = json!({"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": true}}});
    let body = json!({
        "name": "others", "definition": pass.to_string(),
        "roleArn": "arn:aws:iam::000000000000:role/others",
    });
    let body = body.to_string();
    let scope = "AWS4-HMAC-SHA256 Credential=test/20000101/us-east-1/states/aws4_request, SignedHeaders=host, Signature=0";
    let request = Request::post("/")
        .header("authorization", scope)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AWSStepFunctions.CreateStateMachine")
        .body(body.as_bytes());
    let answer = request.send(before.address).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A function that takes everything.
fn package() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let source = "def handler(event, context):\n    return {}\n";
    std::fs::write(folder.path().join("index.py"), source).unwrap();
    let mut pack = Command::new("python3");
    let arguments = ["-m", "zipfile", "-c", "function.zip", "index.py"];
    let status = pack.current_dir(folder.path()).args(arguments).status();
    assert!(status.unwrap().success());
    std::fs::read(folder.path().join("function.zip")).unwrap()
}
