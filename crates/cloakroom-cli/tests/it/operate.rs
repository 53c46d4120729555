//! What operators do, with the command alone.

use std::path::Path;

use serde_json::Value;

use crate::support::{Ran, Running, Server, read, run, run_with, wait_until};

const CONFIG: &str = "\
sources:
  transfers:
    verify: { scheme: none }
    key: body:/id
    order: { kind: dense, at: body:/n, first: 1 }
subscriptions:
  audit: { sources: [transfers], sink: { file: { path: audit.ndjson } }, from: earliest }
  stuck:
    sources: [transfers]
    sink: { http: { url: \"http://127.0.0.1:9/\" } }
    retry: { attempts: 1 }
    from: earliest
  hopeless:
    sources: [transfers]
    sink: { http: { url: \"http://127.0.0.1:9/\" } }
    retry: { attempts: 1 }
    exhausted: dead-letter
    from: earliest
server: { allow_private_sinks: true }
";

struct Desk {
    folder: tempfile::TempDir,
    server: Server,
}

impl Desk {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), CONFIG, &[]);
        Self { folder, server }
    }

    fn run(&self, args: &[&str]) -> Ran {
        run_with(
            self.folder.path(),
            args,
            &[("CLOAKROOM_URL", &self.server.url)],
        )
    }

    /// The data that a command gives.
    fn ask(&self, args: &[&str]) -> Value {
        let ran = self.run(&[args, &["--json"]].concat());
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }

    /// What a command says to a person.
    fn say(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
        ran.out
    }

    fn send(&self, body: &str) {
        let target = format!("{}/in/transfers", self.server.url);
        self.say(&["send", &target, "--scheme", "none", "--body", body]);
    }

    fn audited(&self) -> usize {
        read(&self.folder.path().join("audit.ndjson"))
            .lines()
            .count()
    }
}

/// The id of the one event that a stream has released.
pub(crate) fn only_event(folder: &Path, url: &str, stream: &str) -> String {
    let mut id = None;
    wait_until("the event is released", || {
        let listed = run(folder, &["events", "list", stream, "--json", "--url", url]);
        let events: Value = serde_json::from_str(&listed.out).unwrap_or_default();
        id = events[0]["id"].as_str().map(str::to_owned);
        id.is_some()
    });
    id.unwrap()
}

#[test]
fn a_gap_is_found_and_passed_over() {
    let desk = Desk::open();
    desk.send(r#"{"id":"A","n":1}"#);
    desk.send(r#"{"id":"A","n":4}"#);
    wait_until("the gap is seen", || {
        desk.ask(&["streams", "show", "transfers/A"])["gap"]["from"] == 2
    });
    let listed = desk.say(&["streams", "list"]);
    assert!(
        listed.contains("STREAM") && listed.contains("transfers/A"),
        "{listed}"
    );
    assert_eq!(
        desk.say(&["streams", "skip-gap", "transfers/A"]).trim(),
        "passed over 2 to 3 of transfers/A"
    );
    wait_until("what waited leaves", || desk.audited() == 3);
    let events = desk.say(&["events", "list", "transfers/A"]);
    assert!(events.contains("cloakroom.gap"), "{events}");
}

#[test]
fn a_parked_stream_is_retried_and_skipped() {
    let desk = Desk::open();
    desk.send(r#"{"id":"A","n":1}"#);
    desk.send(r#"{"id":"A","n":2}"#);
    let parked = || desk.ask(&["parked", "list"]).as_array().unwrap().clone();
    wait_until("the stream is parked", || parked().len() == 1);
    assert_eq!(parked()[0]["subscription"], "stuck");
    let first = parked()[0]["position"].clone();
    desk.say(&["parked", "retry", "stuck", "transfers/A"]);
    wait_until("it is parked again", || parked().len() == 1);
    let skipped = desk.ask(&["parked", "skip", "stuck", "transfers/A"]);
    assert!(skipped["skipped"].as_str().unwrap().starts_with("evt_"));
    wait_until("it is parked at the next one", || {
        parked().len() == 1 && parked()[0]["position"] != first
    });
    assert!(desk.say(&["parked", "list"]).contains("stuck"));
}

#[test]
fn dead_letters_are_listed_and_sent_again() {
    let desk = Desk::open();
    desk.send(r#"{"id":"A","n":1}"#);
    let list = ["dead-letters", "list", "--subscription", "hopeless"];
    let letters = || desk.ask(&list).as_array().unwrap().clone();
    wait_until("the event is dead", || letters().len() == 1);
    let id = letters()[0]["id"].as_str().unwrap().to_owned();
    let event = desk.ask(&["events", "show", &id]);
    assert_eq!(event["subscriptions"]["hopeless"], "dead");
    assert!(
        desk.say(&["dead-letters", "redrive", "hopeless", &id])
            .contains('1')
    );
    wait_until("it is dead again", || letters().len() == 1);
    assert!(
        desk.say(&["dead-letters", "redrive", "hopeless", "--all"])
            .contains("hopeless")
    );
}

#[test]
fn a_quarantined_webhook_is_released_or_discarded() {
    let desk = Desk::open();
    desk.send(r#"{"n":1}"#);
    desk.send(r#"{"n":2,"why":"also without a key"}"#);
    let list = || {
        desk.ask(&["quarantine", "list"])
            .as_array()
            .unwrap()
            .clone()
    };
    assert_eq!(list().len(), 2);
    assert!(list().iter().all(|entry| entry["reason"] == "missing-key"));
    let ids: Vec<String> = list()
        .iter()
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        desk.say(&["quarantine", "show", &ids[0]])
            .contains("missing-key")
    );
    desk.say(&[
        "quarantine",
        "release",
        &ids[0],
        "--key",
        "B",
        "--sequence",
        "1",
    ]);
    desk.say(&["quarantine", "discard", &ids[1]]);
    wait_until("the released one leaves", || desk.audited() == 1);
    assert_eq!(list().len(), 0);
    assert!(
        desk.run(&["quarantine", "list"])
            .err
            .contains("the quarantine is empty")
    );
}

#[test]
fn a_replay_sends_everything_again_in_order() {
    let desk = Desk::open();
    for number in 1..=3 {
        desk.send(&format!(r#"{{"id":"A","n":{number}}}"#));
    }
    wait_until("all three left", || desk.audited() == 3);
    desk.say(&["replay", "audit", "--from", "earliest"]);
    wait_until("all three left again", || desk.audited() == 6);
    let refused = desk.run(&["replay", "nobody", "--from", "earliest"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("nobody"), "{}", refused.err);
}

#[test]
fn subscriptions_are_listed_and_shown() {
    let desk = Desk::open();
    let names: Vec<Value> = desk
        .ask(&["subscriptions", "list"])
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].clone())
        .collect();
    assert_eq!(names, ["audit", "hopeless", "stuck"]);
    assert!(
        desk.say(&["subscriptions", "show", "audit"])
            .contains("file")
    );
    assert!(desk.say(&["subscriptions", "list"]).contains("NAME"));
}

#[test]
fn a_tail_shows_events_as_they_are_released() {
    let desk = Desk::open();
    let args = [
        "events",
        "tail",
        "audit",
        "--json",
        "--url",
        &desk.server.url,
    ];
    let tail = Running::start_reading_data(desk.folder.path(), &args, &[]);
    // A tail begins at the present, and nothing tells when it has begun: events go on until one is seen.
    let mut number = 0;
    wait_until("the tail shows an event", || {
        number += 1;
        desk.send(&format!(r#"{{"id":"A","n":{number}}}"#));
        tail.line_now().is_some_and(|line| {
            let event: Value = serde_json::from_str(&line).unwrap();
            event["source"] == "/sources/transfers/A"
        })
    });
}
