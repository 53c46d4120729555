//! The gatekeeper between raw requests and a server that answers everything.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use serde_json::json;

use super::*;

/// A server that gives these answers, one a connection, and tells what it was asked.
fn upstream(answers: Vec<String>) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, asked) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !is_whole(&request) {
                let read = stream.read(&mut part).unwrap();
                assert!(read > 0, "the request broke off");
                request.extend_from_slice(&part[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            tell.send(String::from_utf8(request).unwrap()).unwrap();
        }
    });
    (port, asked)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")
            .map(str::to_owned)
    });
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn ask(gate: &Gatekeeper, line: &str, service: &str, more: &str, body: &str) -> String {
    let address = gate.endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{line} HTTP/1.1\r\nhost: x\r\nauthorization: AWS4-HMAC-SHA256 Credential=K/1/us-east-1/{service}/aws4_request\r\n\
         {more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn gate(port: u16, statements: &serde_json::Value) -> Gatekeeper {
    let gate = Gatekeeper::start(port).unwrap();
    let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let policy = Policy::none().and("p", &document).unwrap();
    gate.enforce("arn:aws:iam::000000000000:role/r", policy);
    gate
}

/// A server's answer with this body.
fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nx-amz-mark: m\r\n\r\n{body}")
}

fn gone() -> String {
    "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned()
}

#[test]
fn what_is_allowed_passes_and_is_counted() {
    let (port, asked) = upstream(vec![ok("hi")]);
    let gate = gate(
        port,
        &json!({"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": "arn:aws:s3:::b/*"}),
    );
    let answer = ask(
        &gate,
        "PUT /b/k?x-id=PutObject",
        "s3",
        "x-amz-meta-a: 1\r\n",
        "body",
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("x-amz-mark: m") && answer.ends_with("hi"),
        "{answer}"
    );
    let request = asked.recv().unwrap();
    assert!(
        request.starts_with("PUT /b/k?x-id=PutObject HTTP/1.1"),
        "{request}"
    );
    assert!(
        request.contains("x-amz-meta-a: 1") && request.ends_with("body"),
        "{request}"
    );
    let call = ("s3:PutObject".to_owned(), "arn:aws:s3:::b/k".to_owned());
    assert_eq!(gate.calls(), BTreeMap::from([(call, 1)]));
    let unused: Vec<String> = gate.unused().into_iter().map(|one| one.action).collect();
    assert_eq!(unused, ["s3:GetObject"]);
    assert!(gate.denied().is_empty());
}

#[test]
fn what_is_not_allowed_never_arrives_and_is_refused_as_the_service_does() {
    let (port, asked) = upstream(vec![]);
    let gate = gate(
        port,
        &json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:x"}),
    );
    let target = |target: &str| format!("x-amz-target: {target}\r\n");
    let publish = "Action=Publish&TopicArn=arn%3At";
    for (line, service, more, body, status, text) in [
        (
            "PUT /b/k",
            "s3",
            String::new(),
            "b",
            403,
            "<Code>AccessDenied</Code>",
        ),
        (
            "POST /",
            "dynamodb",
            target("DynamoDB_20120810.PutItem"),
            r#"{"TableName":"t"}"#,
            400,
            "#AccessDeniedException",
        ),
        (
            "POST /",
            "sqs",
            target("AmazonSQS.SendMessage"),
            r#"{"QueueUrl":"h/q"}"#,
            403,
            "AccessDeniedException",
        ),
        (
            "POST /",
            "events",
            target("AWSEvents.PutEvents"),
            r#"{"Entries":[{}]}"#,
            400,
            "AccessDeniedException",
        ),
        (
            "POST /",
            "sns",
            String::new(),
            publish,
            403,
            "<Code>AuthorizationError</Code>",
        ),
        (
            "POST /2015-03-31/functions/f/invocations",
            "lambda",
            String::new(),
            "{}",
            403,
            "x-amzn-errortype: AccessDeniedException",
        ),
        (
            "GET /b?acl",
            "s3",
            String::new(),
            "",
            403,
            "not known to the gatekeeper",
        ),
    ] {
        let answer = ask(&gate, line, service, &more, body);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{line}: {answer}"
        );
        assert!(answer.contains(text), "{line}: {answer}");
    }
    assert_eq!(gate.denied().len(), 7);
    assert!(gate.calls().is_empty());
    assert!(asked.try_recv().is_err());
}

#[test]
fn nothing_is_allowed_before_it_is_told_what_is() {
    let gate = Gatekeeper::start(1).unwrap();
    let answer = ask(&gate, "GET /b/k", "s3", "", "");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[test]
fn only_who_may_list_is_told_that_an_object_is_not_there() {
    let read = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"});
    let list = json!({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b"});
    let (port, _asked) = upstream(vec![gone()]);
    let blind = gate(port, &json!([read]));
    let answer = ask(&blind, "HEAD /b/k", "s3", "", "");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let denied: Vec<String> = blind.denied().into_iter().map(|one| one.action).collect();
    assert_eq!(denied, ["s3:ListBucket"]);

    let (port, _asked) = upstream(vec![gone()]);
    let seeing = gate(port, &json!([read, list]));
    let answer = ask(&seeing, "HEAD /b/k", "s3", "", "");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(seeing.unused().is_empty() && seeing.denied().is_empty());
}

#[test]
fn a_secret_is_known_by_its_whole_arn() {
    let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:name-AbCdEf";
    let described = ok(&json!({"ARN": arn}).to_string());
    let (port, asked) = upstream(vec![described.clone(), ok("{}"), described]);
    let gate = gate(
        port,
        &json!({"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn,
            "Condition": {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}}),
    );
    let target = "x-amz-target: secretsmanager.GetSecretValue\r\n";
    let answer = ask(
        &gate,
        "POST /",
        "secretsmanager",
        target,
        r#"{"SecretId":"name"}"#,
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(asked.recv().unwrap().contains("DescribeSecret"));
    let pending = r#"{"SecretId":"name","VersionStage":"AWSPENDING"}"#;
    let answer = ask(&gate, "POST /", "secretsmanager", target, pending);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let denied: Vec<String> = gate.denied().into_iter().map(|one| one.resource).collect();
    assert_eq!(denied, [arn]);
}

#[test]
fn records_are_read_with_the_leave_for_their_stream() {
    let first = ok(r#"{"ShardIterator":"i1"}"#);
    let next = ok(r#"{"NextShardIterator":"i2"}"#);
    let (port, _asked) = upstream(vec![first, next.clone(), next]);
    let actions = ["dynamodb:GetShardIterator", "dynamodb:GetRecords"];
    let gate = gate(
        port,
        &json!({"Effect": "Allow", "Action": actions, "Resource": "arn:s"}),
    );
    let ask = |operation: &str, body: &str| {
        let target = format!("x-amz-target: DynamoDBStreams_20120810.{operation}\r\n");
        ask(&gate, "POST /", "dynamodb", &target, body)
    };
    let first = ask("GetShardIterator", r#"{"StreamArn":"arn:s"}"#);
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    for iterator in ["i1", "i2"] {
        let body = format!(r#"{{"ShardIterator":"{iterator}"}}"#);
        let answer = ask("GetRecords", &body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{iterator}: {answer}");
    }
    let answer = ask("GetRecords", r#"{"ShardIterator":"stolen"}"#);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[test]
fn what_a_service_does_in_the_name_of_the_role_is_vouched_for() {
    let gate = gate(
        1,
        &json!({"Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": "arn:q"}),
    );
    assert_eq!(gate.unused().len(), 1);
    assert!(gate.vouch("sqs:ReceiveMessage", "arn:q").is_ok());
    assert!(gate.unused().is_empty());
    let denied = gate.vouch("sqs:DeleteMessage", "arn:q").unwrap_err();
    assert!(
        denied
            .to_string()
            .starts_with("sqs:DeleteMessage on arn:q because"),
        "{denied}"
    );
}
