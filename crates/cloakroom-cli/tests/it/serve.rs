//! The server as a process: what it takes, what it hands on, and how it ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

use crate::support::{Running, Server, read, run_with, wait_until};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ENV: [(&str, &str); 2] = [("TRANSFERS_SECRET", SECRET), ("HOOK_SECRET", SECRET)];

const CONFIG: &str = "\
sources:
  transfers:
    verify: { scheme: standard-webhooks, secrets: [env:TRANSFERS_SECRET] }
    key: body:/data/id
    order: { kind: dense, at: body:/data/n, first: 1 }
subscriptions:
  audit: { sources: [\"*\"], sink: { file: { path: audit.ndjson } }, from: earliest }
";

/// What `send` reports in JSON.
fn send(folder: &Path, url: &str, args: &[&str]) -> Value {
    let target = format!("{url}/in/transfers");
    let common = [
        "send",
        &target,
        "--secret",
        "env:TRANSFERS_SECRET",
        "--json",
    ];
    let numbered = ["--sequence-at", "/data/n", "--key-at", "/data/id"];
    let ran = run_with(folder, &[&common[..], &numbered, args].concat(), &ENV);
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err))
}

/// How often the answer was this.
fn answered(report: &Value, answer: &str) -> u64 {
    let answers = report["answers"].as_array().unwrap();
    let counts = answers.iter().filter(|entry| entry["answer"] == answer);
    counts.map(|entry| entry["count"].as_u64().unwrap()).sum()
}

/// The key and the number of every event in the file, in its order.
fn audited(folder: &Path) -> Vec<(String, u64)> {
    let text = read(&folder.join("audit.ndjson"));
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let place = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let number = event["sequence"].as_str().unwrap().parse().unwrap();
        (event["partitionkey"].as_str().unwrap().to_owned(), number)
    };
    whole.lines().map(place).collect()
}

/// Every key counts from 1 without a hole.
fn assert_in_order(events: &[(String, u64)]) {
    let mut last = std::collections::HashMap::new();
    for (key, number) in events {
        let before = last.insert(key, *number).unwrap_or(0);
        assert_eq!(*number, before + 1, "{key}");
    }
}

#[test]
fn shuffled_and_doubled_webhooks_leave_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), CONFIG, &ENV);
    let chance = [
        "--count",
        "200",
        "--keys",
        "7",
        "--shuffle",
        "--duplicates",
        "0.3",
        "--seed",
        "1",
    ];
    let report = send(folder.path(), &server.url, &chance);
    assert_eq!(answered(&report, "accepted"), 200);
    assert_eq!(
        answered(&report, "duplicate"),
        report["doubled"].as_u64().unwrap()
    );
    wait_until("all 200 are in the file", || {
        audited(folder.path()).len() >= 200
    });
    assert!(server.running.stop().success());
    let events = audited(folder.path());
    assert_eq!(events.len(), 200);
    assert_in_order(&events);
}

#[test]
fn what_was_acknowledged_survives_being_killed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), CONFIG, &ENV);
    let report = send(
        folder.path(),
        &server.url,
        &["--count", "300", "--keys", "3", "--shuffle"],
    );
    server.running.kill();
    assert_eq!(answered(&report, "accepted"), 300);
    let server = Server::start(folder.path(), CONFIG, &ENV);
    wait_until("all 300 are in the file", || {
        let mut events = audited(folder.path());
        events.sort();
        events.dedup();
        events.len() == 300
    });
    assert!(server.running.stop().success());
    let doctor = run_with(folder.path(), &["doctor", "cloakroom-data", "--deep"], &[]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.out);
}

#[test]
fn a_wrong_secret_is_refused_and_send_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), CONFIG, &ENV);
    let target = format!("{}/in/transfers", server.url);
    let args = ["send", &target, "--secret", "env:OTHER"];
    let ran = run_with(
        folder.path(),
        &args,
        &[("OTHER", "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz")],
    );
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("401"), "{}", ran.out);
    assert!(server.running.stop().success());
    assert_eq!(audited(folder.path()), []);
}

#[test]
fn send_signs_as_the_configuration_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let config = "\
sources:
  own:
    verify: { scheme: hmac, secrets: [env:TRANSFERS_SECRET], header: X-Sign, prefix: \"v1=\", signed: \"{timestamp}.{body}\", timestamp: \"header:X-Time\" }
";
    let server = Server::start(folder.path(), config, &ENV);
    let target = format!("{}/in/own", server.url);
    let ran = run_with(
        folder.path(),
        &["send", &target, "--source", "own", "--size", "2MB"],
        &ENV,
    );
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("202") && ran.out.contains("accepted"),
        "{}",
        ran.out
    );
}

#[test]
fn listen_verifies_fetches_and_lets_retries_be_tried() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "listen",
        "--port",
        "0",
        "--secret",
        "env:HOOK_SECRET",
        "--fail-first",
        "1",
        "--fetch",
    ];
    let listener = Running::start(folder.path(), &args, &ENV);
    let line = listener.wait_for("listening on");
    let address = line
        .split_whitespace()
        .nth(2)
        .unwrap()
        .trim_end_matches(',');
    let config = format!(
        "{CONFIG}  hook:
    sources: [transfers]
    sink: {{ http: {{ url: \"{address}/hooks\", secret: env:HOOK_SECRET }} }}
    retry: {{ attempts: 5, base: 10ms, max: 20ms }}
    from: earliest
server: {{ allow_private_sinks: true }}
"
    );
    let server = Server::start(folder.path(), &config, &ENV);
    send(
        folder.path(),
        &server.url,
        &["--count", "1", "--size", "1MB"],
    );
    let id = crate::operate::only_event(folder.path(), &server.url, "transfers/key-0001");
    wait_until("the event is delivered at the second try", || {
        let shown = run_with(
            folder.path(),
            &["events", "show", &id, "--json", "--url", &server.url],
            &[],
        );
        let event: Value = serde_json::from_str(&shown.out).unwrap();
        event["subscriptions"]["hook"] == "delivered"
    });
    assert!(listener.stop().success());
}

#[test]
fn logs_can_be_json_and_hold_no_payload() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cloakroom.yaml"), CONFIG).unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--log-format", "json"];
    let env = [ENV[0], ("CLOAKROOM_LOG", "info")];
    let mut command = crate::support::cloakroom();
    let child = command
        .current_dir(folder.path())
        .args(args)
        .envs(env)
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let data = folder.path().join("cloakroom-data/run.json");
    wait_until("the server runs", || data.exists());
    let pid = child.id().to_string();
    // It stops in order however early it is told to.
    assert!(
        std::process::Command::new("kill")
            .args(["-s", "INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let stopped = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let messages: Vec<String> = stopped
        .filter_map(|line| Some(line["message"].as_str()?.to_owned()))
        .collect();
    assert!(
        messages.iter().any(|message| message == "stopped"),
        "{text}"
    );
}

/// A webhook whose body the server has begun to read and that is not complete yet.
fn half_sent(url: &str) -> (TcpStream, &'static [u8]) {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    let body = br#"{"data":{"id":"A","n":1}}"#;
    let length = body.len();
    let head = format!(
        "POST /in/open HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut told = [0; 12];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100");
    stream.write_all(&body[..10]).unwrap();
    (stream, &body[10..])
}

const OPEN: &str = "sources: { open: { verify: { scheme: none } } }\n";

#[test]
fn what_is_under_way_is_finished_before_the_server_ends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), OPEN, &[]);
    let (mut stream, rest) = half_sent(&server.url);
    server.running.signal("TERM");
    server.running.wait_for("stopping");
    stream.write_all(rest).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("202 Accepted") && answer.contains("\"accepted\""),
        "{answer}"
    );
    assert_eq!(server.running.wait().code(), Some(0));
}

#[test]
fn a_second_signal_stops_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), OPEN, &[]);
    let (stream, _) = half_sent(&server.url);
    server.running.signal("INT");
    server.running.wait_for("stopping");
    server.running.signal("INT");
    assert_eq!(server.running.wait().code(), Some(130));
    drop(stream);
}
