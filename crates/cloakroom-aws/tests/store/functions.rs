//! The sinks that start something: Lambda and Step Functions, on MiniStack.

use std::io::Write as _;

use aws_config::SdkConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use aws_sdk_sfn::types::ExecutionStatus;
use cloakroom_aws::sinks::{LambdaFunction, StepFunctions};
use cloakroom_engine::ports::{Outcome, Sink as _};
use serde_json::Value;

use crate::events::{event, reason};
use crate::support::{fresh, ministack};

/// Fails for number 2, with the payload in its message.
const FUNCTION: &str = "
def handler(event, context):
    if event['data']['number'] == 2:
        raise ValueError('cannot take ' + str(event['data']))
    return {'seen': event['id']}
";

/// A ZIP archive with one file, stored as it is.
fn zip(name: &str, content: &str) -> Vec<u8> {
    let (name, content) = (name.as_bytes(), content.as_bytes());
    let mut common = Vec::new();
    common.extend_from_slice(&[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
    common.extend_from_slice(&crc32(content).to_le_bytes());
    for size in [content.len(), content.len()] {
        common.extend_from_slice(&(size as u32).to_le_bytes());
    }
    common.extend_from_slice(&(name.len() as u16).to_le_bytes());
    common.extend_from_slice(&[0, 0]);
    let mut out = Vec::new();
    out.write_all(b"PK\x03\x04").unwrap();
    out.extend_from_slice(&common);
    out.extend_from_slice(name);
    out.extend_from_slice(content);
    let directory = out.len() as u32;
    out.extend_from_slice(b"PK\x01\x02\x14\x03");
    out.extend_from_slice(&common);
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(&0o100_644_u32.rotate_left(16).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(name);
    let size = out.len() as u32 - directory;
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&directory.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

async fn function(sdk: &SdkConfig) -> String {
    let code = FunctionCode::builder();
    let code = code.zip_file(Blob::new(zip("index.py", FUNCTION))).build();
    let made = aws_sdk_lambda::Client::new(sdk)
        .create_function()
        .function_name(fresh("function"))
        .runtime(Runtime::Python311)
        .role("arn:aws:iam::000000000000:role/tests")
        .handler("index.handler")
        .code(code)
        .send();
    made.await.unwrap().function_arn.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_has_an_event_when_it_has_returned() {
    let sdk = ministack();
    let arn = function(&sdk).await;
    let sink = LambdaFunction::new(&sdk, &arn).unwrap();
    assert_eq!(sink.send(&[event("k", 1)]).await, Outcome::Delivered);
    let told = reason(sink.send(&[event("k", 2)]).await);
    assert!(told.contains("failed ("), "{told}");
    assert!(!told.contains("number"), "a payload may be in it: {told}");
    assert_eq!(sink.send(&[event("k", 3)]).await, Outcome::Delivered);

    let gone = LambdaFunction::new(&sdk, &format!("{arn}-gone")).unwrap();
    let told = reason(gone.send(&[event("k", 1)]).await);
    assert!(told.contains("does not exist"), "{told}");
    for wrong in ["", "arn:aws:lambda:us-east-1:1:layer:x", "a b"] {
        assert!(LambdaFunction::new(&sdk, wrong).is_err(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_starts_one_execution_an_epoch() {
    let sdk = ministack();
    let client = aws_sdk_sfn::Client::new(&sdk);
    let made = client
        .create_state_machine()
        .name(fresh("machine"))
        .role_arn("arn:aws:iam::000000000000:role/tests")
        .definition(r#"{"StartAt":"Take","States":{"Take":{"Type":"Pass","End":true}}}"#)
        .send();
    let machine = made.await.unwrap().state_machine_arn;
    let sink = StepFunctions::new(&sdk, &machine).unwrap();
    let mut again = event("k", 1);
    // A retry has a fresh URL, and so another input.
    again.dataref = Some("https://claims.example/fresh".to_owned());
    let mut replayed = event("k", 1);
    replayed.epoch = 1;
    for event in [event("k", 1), again, replayed] {
        assert_eq!(sink.send(&[event]).await, Outcome::Delivered);
    }
    let list = client.list_executions().state_machine_arn(&machine);
    let executions = list.send().await.unwrap().executions;
    assert_eq!(executions.len(), 2);
    let name = event("k", 1).event.id;
    let first = executions.iter().find(|found| found.name == name.as_str());
    let arn = &first.unwrap().execution_arn;
    let described = loop {
        let described = client.describe_execution().execution_arn(arn).send();
        let described = described.await.unwrap();
        if described.status != ExecutionStatus::Running {
            break described;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(described.status, ExecutionStatus::Succeeded);
    let input: Value = serde_json::from_str(&described.input.unwrap()).unwrap();
    assert_eq!(input["data"]["number"], 1);
    assert_eq!(input["dataref"], "https://claims.example/1");

    let gone = StepFunctions::new(&sdk, &format!("{machine}-gone")).unwrap();
    let told = reason(gone.send(&[event("k", 1)]).await);
    assert!(told.contains("does not exist"), "{told}");
}
