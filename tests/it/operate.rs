//! What operators and consumers do over the API, one story each.

use std::io::{BufRead as _, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

use crate::support::consumer::{Consumer, Delivery};
use crate::support::http::{Opened, Request};
use crate::support::server::{Server, assert_healthy};
use crate::support::wait_until;

fn config(consumer: &Consumer, subscriptions: &str) -> String {
    let subscriptions = subscriptions.replace("URL", &consumer.url(""));
    format!(
        "\
sources:
  orders:
    verify: {{ scheme: none }}
    key: body:/id
    order: {{ kind: dense, at: body:/n, first: 1, gap: {{ after: 100ms, then: wait }} }}
  careful:
    verify: {{ scheme: none }}
    ack: {{ delivered: {{ timeout: 60s }} }}
subscriptions:
{subscriptions}
server: {{ allow_private_sinks: true }}
"
    )
}

/// A server, a consumer whose status the test decides, and a folder for both.
struct Scene {
    server: Server,
    consumer: Consumer,
    status: Arc<AtomicU16>,
    folder: tempfile::TempDir,
}

impl Scene {
    fn set(subscriptions: &str) -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let answer = Arc::clone(&status);
        let consumer = Consumer::deciding(move |_| (answer.load(Ordering::SeqCst), Vec::new()));
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &config(&consumer, subscriptions));
        Self {
            server,
            consumer,
            status,
            folder,
        }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn order(&self, key: &str, number: u64) -> String {
        let receipt = self
            .server
            .webhook("orders", &json!({"id": key, "n": number}));
        receipt["id"].as_str().unwrap().to_owned()
    }

    fn end(self) {
        self.server.stop();
        assert_healthy(self.folder.path());
    }
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries
        .iter()
        .map(|one| one.header("webhook-id"))
        .collect()
}

const PUSH: &str = "  push: { sources: [orders], sink: { http: { url: \"URL/push\", secret: env:SECRET } }, \
     retry: { attempts: 1 }, from: earliest }";

#[test]
fn state_changes_are_events_of_their_own() {
    let scene = Scene::set(&format!(
        "{PUSH}\n  watch: {{ sources: [cloakroom], sink: {{ http: {{ url: \"URL/watch\", secret: env:SECRET }} }}, from: earliest }}"
    ));
    let first = scene.order("A", 1);
    scene.order("A", 3);
    let told = |what: &str| {
        let all = scene.consumer.taken();
        let events = all
            .iter()
            .filter(|one| one.path == "/watch")
            .map(Delivery::event);
        let matching = events.filter(|event| event["type"] == what);
        matching.collect::<Vec<_>>()
    };
    wait_until("success and stall are told", || {
        !told("cloakroom.delivery.succeeded").is_empty()
            && !told("cloakroom.stream.stalled").is_empty()
    });
    let succeeded = &told("cloakroom.delivery.succeeded")[0];
    assert_eq!(succeeded["source"], "/cloakroom");
    assert_eq!(succeeded["data"]["event"], first);
    assert_eq!(succeeded["data"]["subscription"], "push");
    let stalled = &told("cloakroom.stream.stalled")[0]["data"];
    assert_eq!(*stalled, json!({"stream": "orders/A", "from": 2, "to": 2}));
    let listed = scene.server.get("/v1/streams?attention=stalled");
    assert_eq!(listed["items"][0]["stream"], "orders/A");
    scene.end();
}

#[test]
fn an_ack_that_means_delivered_comes_after_the_delivery() {
    let scene = Scene::set(
        "  push: { sources: [careful], sink: { http: { url: \"URL/push\", secret: env:SECRET } }, \
         retry: { attempts: 100, base: 10ms, max: 20ms }, from: earliest }",
    );
    scene.answer(500);
    std::thread::scope(|scope| {
        let answered = scope.spawn(|| scene.server.webhook("careful", &json!({"n": 1})));
        scene.consumer.wait_for(3);
        assert!(!answered.is_finished(), "answered before anybody took it");
        scene.answer(204);
        let receipt = answered.join().unwrap();
        let id = receipt["id"].as_str().unwrap();
        let event = scene.server.get(&format!("/v1/events/{id}"));
        assert_eq!(event["subscriptions"]["push"], "delivered");
        assert!(ids(&scene.consumer.taken()).iter().all(|one| *one == id));
    });
    scene.end();
}

#[test]
fn a_pull_leases_and_an_ack_settles() {
    let scene = Scene::set(
        "  pull: { sources: [orders], sink: { pull: { lease: 500ms } }, from: earliest }",
    );
    let (first, second) = (scene.order("A", 1), scene.order("A", 2));
    let pull = || {
        scene
            .server
            .get("/v1/subscriptions/pull/events?wait=20s&max=1")
    };
    let batch = pull();
    assert_eq!(batch["events"][0]["id"], first);
    assert_eq!(batch["events"][0]["data"], json!({"id": "A", "n": 1}));
    assert!(batch["lease"].is_string());
    // Not acknowledged, so it comes again when its lease has ended, and nothing after it comes first.
    wait_until("the first one comes again", || {
        let events = pull()["events"].as_array().unwrap().clone();
        assert!(events.iter().all(|event| event["id"] == first));
        !events.is_empty()
    });
    let ack = |id: &str| {
        scene
            .server
            .post("/v1/subscriptions/pull/ack", &json!({"ids": [id]}))
    };
    assert_eq!(ack(&first), json!({"acknowledged": 1}));
    assert_eq!(ack(&first), json!({"acknowledged": 0}));
    assert_eq!(pull()["events"][0]["id"], second);
    assert_eq!(ack(&second), json!({"acknowledged": 1}));
    let event = scene.server.get(&format!("/v1/events/{second}"));
    assert_eq!(event["subscriptions"]["pull"], "delivered");
    scene.end();
}

/// The id and the event of the next message.
fn message(lines: &mut impl Iterator<Item = String>) -> (String, Value) {
    let (mut id, mut data) = (String::new(), String::new());
    for line in lines {
        match line.split_once(':') {
            Some(("id", value)) => value.trim().clone_into(&mut id),
            Some(("data", value)) => data.push_str(value),
            // The empty line ends a message.
            _ if line.is_empty() && !data.is_empty() => {
                return (id, serde_json::from_str(&data).unwrap());
            }
            _ => {}
        }
    }
    panic!("the tail ended");
}

#[test]
fn a_tail_shows_events_and_resumes_after_the_last_one_seen() {
    let scene = Scene::set(PUSH);
    let tail = |last: Option<&str>| {
        let request = Request::get("/v1/subscriptions/push/events");
        let request = request.header("accept", "text/event-stream");
        let request = match last {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let opened: Opened = request.open(&scene.server.address).unwrap();
        assert_eq!(opened.status, 200);
        BufReader::new(opened.body).lines().map_while(Result::ok)
    };
    // The head of the answer tells that the tail has begun.
    let mut lines = tail(None);
    let first = scene.order("A", 1);
    let (id, event) = message(&mut lines);
    assert_eq!((id.as_str(), &event["id"]), (first.as_str(), &json!(first)));
    drop(lines);
    let (second, third) = (scene.order("A", 2), scene.order("A", 3));
    let mut lines = tail(Some(&first));
    for expected in [second, third] {
        let (id, event) = message(&mut lines);
        assert_eq!(id, expected);
        assert_eq!(event["id"], expected);
    }
    drop(lines);
    scene.end();
}

#[test]
fn a_replay_sends_again_in_order() {
    let scene = Scene::set(PUSH);
    let sent: Vec<String> = (1..=3).map(|number| scene.order("A", number)).collect();
    scene.consumer.wait_for(3);
    let id = &sent[1];
    wait_until("the last one is settled", || {
        scene.server.get(&format!("/v1/events/{}", sent[2]))["subscriptions"]["push"] == "delivered"
    });
    let from = scene.server.get(&format!("/v1/events/{id}"))["position"].clone();
    let replay = "/v1/subscriptions/push/replay";
    let answer = scene
        .server
        .post(replay, &json!({"stream": "orders/A", "from": from}));
    assert_eq!(answer, json!({"streams": 1}));
    let deliveries = scene.consumer.wait_for(5);
    assert_eq!(ids(&deliveries)[3..], sent[1..]);
    wait_until("the replay is settled", || {
        scene.server.get(&format!("/v1/events/{}", sent[2]))["subscriptions"]["push"] == "delivered"
    });
    scene.server.post(replay, &json!({"from": "earliest"}));
    let deliveries = scene.consumer.wait_for(8);
    assert_eq!(ids(&deliveries)[5..], sent);
    scene.end();
}

#[test]
fn a_parked_stream_is_retried_or_skipped() {
    let scene = Scene::set(PUSH);
    scene.answer(500);
    let sent: Vec<String> = (1..=3).map(|number| scene.order("A", number)).collect();
    let parked = || {
        let streams = scene.server.get("/v1/streams?attention=parked");
        !streams["items"].as_array().unwrap().is_empty()
    };
    wait_until("the stream is parked", parked);
    assert_eq!(ids(&scene.consumer.taken()), [&sent[0]]);
    let event = scene.server.get(&format!("/v1/events/{}", sent[0]));
    assert_eq!(event["subscriptions"]["push"], "parked");
    // It fails once more, and is parked again.
    let stream = "/v1/subscriptions/push/streams/orders/A";
    scene.server.post(&format!("{stream}/retry"), &json!({}));
    scene.consumer.wait_for(2);
    wait_until("the stream is parked again", parked);
    scene.answer(200);
    let skipped = scene.server.post(&format!("{stream}/skip"), &json!({}));
    assert_eq!(skipped["skipped"], sent[0]);
    let deliveries = scene.consumer.wait_for(4);
    assert_eq!(ids(&deliveries), [&sent[0], &sent[0], &sent[1], &sent[2]]);
    let event = scene.server.get(&format!("/v1/events/{}", sent[0]));
    assert_eq!(event["subscriptions"]["push"], "dead");
    scene.end();
}

#[test]
fn a_dead_letter_is_sent_again() {
    let scene = Scene::set(&PUSH.replace("from:", "exhausted: dead-letter, from:"));
    scene.answer(500);
    let first = scene.order("A", 1);
    let letters = || {
        scene.server.get("/v1/dead-letters")["items"]
            .as_array()
            .unwrap()
            .clone()
    };
    wait_until("the event is dead", || letters().len() == 1);
    assert_eq!(letters()[0]["id"], first);
    scene.answer(200);
    let second = scene.order("A", 2);
    scene.consumer.wait_for(2);
    let redrive = format!("/v1/dead-letters/push/{first}/redrive");
    assert_eq!(
        scene.server.post(&redrive, &json!({})),
        json!({"redriven": 1})
    );
    let deliveries = scene.consumer.wait_for(3);
    assert_eq!(ids(&deliveries), [&first, &second, &first]);
    wait_until("nothing is dead any more", || letters().is_empty());
    scene.end();
}

#[test]
fn a_quarantined_webhook_is_released_to_its_place() {
    let scene = Scene::set(PUSH);
    let receipt = scene
        .server
        .webhook("orders", &json!({"n": 1, "lost": "its key"}));
    assert_eq!(receipt["status"], "quarantined");
    assert_eq!(receipt["reason"], "missing-key");
    let id = receipt["id"].as_str().unwrap();
    let second = scene.order("B", 2);
    let listed = scene.server.get("/v1/quarantine");
    assert_eq!(listed["items"][0]["id"], id);
    let release = format!("/v1/quarantine/{id}/release");
    let released = scene
        .server
        .post(&release, &json!({"key": "B", "sequence": 1}));
    assert_eq!(released["stream"], "orders/B");
    let deliveries = scene.consumer.wait_for(2);
    assert_eq!(ids(&deliveries), [id, &second]);
    assert_eq!(deliveries[0].event()["data"]["lost"], "its key");
    assert_eq!(scene.server.get("/v1/quarantine")["items"], json!([]));
    // Its sender may still try again.
    let again = scene
        .server
        .webhook("orders", &json!({"n": 1, "lost": "its key"}));
    assert_eq!(
        (&again["status"], &again["id"]),
        (&json!("duplicate"), &json!(id))
    );
    scene.end();
}
