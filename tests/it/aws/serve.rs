//! `serve --backend aws`: the server over a table and a bucket.

use std::path::Path;
use std::process::Command;

use cloakroom_aws::ClientOptions;
use cloakroom_emulators::MiniStack;
use serde_json::{Value, json};

use crate::support::consumer::{Consumer, Delivery};
use crate::support::http::Request;
use crate::support::server::{Server, cloakroom};
use crate::support::wait_until;
use crate::support::webhook::Transfer;

const MIB: usize = 1 << 20;

pub(super) fn ministack() -> MiniStack {
    MiniStack::start().unwrap_or_else(|error| panic!("{error}"))
}

/// The command, over this emulator.
pub(super) fn on_aws(folder: &Path, ministack: &MiniStack, more: &[&str]) -> Command {
    let mut command = cloakroom(folder);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--backend", "aws"])
        .args(["--table", "cloakroom", "--bucket", "cloakroom-claims"])
        .args(more)
        .env("AWS_ENDPOINT_URL", ministack.endpoint())
        .env("AWS_REGION", MiniStack::REGION)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

fn config(consumer: &Consumer) -> String {
    format!(
        "\
sources:
  transfers:
    verify: {{ scheme: adyen, secrets: [env:HEX_SECRET] }}
    key: body:/data/id
    order: {{ kind: dense, at: body:/data/sequenceNumber, first: 1, gap: {{ after: 1h, then: wait }} }}
  large: {{ verify: {{ scheme: none }}, key: header:x-key }}
subscriptions:
  ledger: {{ sources: [transfers, large], from: earliest, sink: {{ http: {{ url: \"{}\", secret: env:SECRET }} }} }}
  fetched: {{ sources: [transfers], from: earliest, sink: pull }}
server: {{ allow_private_sinks: true }}
",
        consumer.url("/hooks")
    )
}

fn numbers(taken: &[Delivery]) -> Vec<u64> {
    let events = taken.iter().map(Delivery::event);
    let events = events.filter(|event| event["partitionkey"] == "TR-1");
    events
        .map(|event| event["sequence"].as_str().unwrap().parse().unwrap())
        .collect()
}

pub(super) fn send(server: &Server, number: u64) {
    let transfer = Transfer::new("TR-1", number);
    let request = Request::post("/in/transfers")
        .headers(&transfer.headers)
        .body(&transfer.body);
    let answer = request.send(&server.address).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[test]
fn a_server_that_runs_the_pipes_delivers_in_order_and_survives_a_kill() {
    let (ministack, folder, consumer) =
        (ministack(), tempfile::tempdir().unwrap(), Consumer::start());
    let config = config(&consumer);
    let start = || {
        let mut command = on_aws(folder.path(), &ministack, &["--create", "--run-pipes"]);
        Server::start_as(&mut command, folder.path(), &config)
    };
    let server = start();
    for number in [3, 1, 5, 2] {
        send(&server, number);
    }
    consumer.wait_for(3);
    assert_eq!(numbers(&consumer.taken()), [1, 2, 3]);
    server.kill();
    consumer.quiesce();

    let server = start();
    send(&server, 4);
    wait_until("the rest is delivered", || {
        numbers(&consumer.taken()).last() == Some(&5)
    });
    // After a crash a consumer may see again, in order, what it had just acknowledged.
    let mut seen = numbers(&consumer.taken());
    seen.dedup();
    assert_eq!(seen[seen.len() - 2..], [4, 5]);
    assert_eq!(&seen[..3], [1, 2, 3]);

    let pulled = || server.get("/v1/subscriptions/fetched/events?max=10&wait=5s");
    let batch: Value = pulled();
    let sequences = batch["events"].as_array().unwrap().iter();
    let sequences: Vec<u64> = sequences
        .map(|event| event["sequence"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5], "{batch}");
    server.stop();
}

#[test]
fn a_server_reads_its_configuration_from_the_bucket() {
    let (ministack, folder, consumer) =
        (ministack(), tempfile::tempdir().unwrap(), Consumer::start());
    let place = "s3://cloakroom-claims/config/cloakroom.yaml";
    let start = || {
        let more = ["--create", "--run-pipes", "--config", place];
        on_aws(folder.path(), &ministack, &more)
    };
    let told = |command: &mut Command| {
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = told(&mut start());
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains(place) && text.contains("`cloakroom-claims` does not exist"),
        "{text}"
    );
    let mut embedded = cloakroom(folder.path());
    let (code, text) = told(embedded.args(["serve", "--config", place]));
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("--backend aws"), "{text}");

    put_config(&ministack, &config(&consumer));
    let server = Server::start_with(&mut start());
    send(&server, 1);
    consumer.wait_for(1);
    server.stop();
}

/// Puts a configuration into the bucket, which is made.
fn put_config(ministack: &MiniStack, config: &str) {
    let sdk = ClientOptions::emulator(ministack.endpoint(), MiniStack::REGION);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let sdk = sdk.load().await.unwrap();
        let client = aws_sdk_s3::Client::new(&sdk);
        let make = client.create_bucket().bucket("cloakroom-claims");
        make.send().await.unwrap();
        let put = client.put_object().bucket("cloakroom-claims");
        let put = put.key("config/cloakroom.yaml");
        let put = put.body(config.as_bytes().to_vec().into());
        put.send().await.unwrap();
    });
}

#[test]
fn a_large_body_goes_to_the_bucket_in_parts_and_comes_back_the_same() {
    let (ministack, folder, consumer) =
        (ministack(), tempfile::tempdir().unwrap(), Consumer::start());
    let mut command = on_aws(folder.path(), &ministack, &["--create", "--run-pipes"]);
    let server = Server::start_as(&mut command, folder.path(), &config(&consumer));
    let body: Vec<u8> = (0..40 * MIB).map(|at| (at % 251) as u8).collect();
    let request = Request::post("/in/large")
        .header("x-key", "A")
        .header("content-type", "application/octet-stream");
    let answer = request
        .chunked(&body, 64 * 1024)
        .send(&server.address)
        .unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    let event = consumer.wait_for(1)[0].event();
    assert_eq!(event["payloadsize"], (40 * MIB).to_string());
    assert!(
        event.get("data_base64").is_none(),
        "too large to travel inside"
    );
    let url = event["dataref"].as_str().unwrap();
    let (address, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let fetched = Request::get(&format!("/{path}")).send(address).unwrap();
    assert_eq!(fetched.status, 200);
    assert!(fetched.body == body, "other bytes came back");
    server.stop();
}

#[test]
fn what_is_missing_is_named_with_its_remedy() {
    let (ministack, folder, consumer) =
        (ministack(), tempfile::tempdir().unwrap(), Consumer::start());
    std::fs::write(folder.path().join("cloakroom.yaml"), config(&consumer)).unwrap();
    let told = |more: &[&str]| {
        let output = on_aws(folder.path(), &ministack, more).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let text = told(&[]);
    assert!(
        text.contains("no DynamoDB table \"cloakroom\"") && text.contains("terraform apply"),
        "{text}"
    );
    let text = told(&["--doorbells", "http://queue"]);
    assert!(text.contains("--timers"), "{text}");
    let mut bare = cloakroom(folder.path());
    let output = bare.args(["serve", "--backend", "aws"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("--table") && text.contains("--bucket"),
        "{text}"
    );
    assert_eq!(json!(output.status.code()), json!(2));
}
