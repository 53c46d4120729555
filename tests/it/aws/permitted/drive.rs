//! Each part of what the functions do, once.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use cloakroom_core::verify::SchemeName;
use serde_json::{Value, json};

use super::super::deployed::deployment::Deployment;
use crate::support::consumer::Consumer;
use crate::support::http::{Answer, Request};
use crate::support::server::{SECRET, TEXT_SECRET};
use crate::support::sha256;
use crate::support::webhook::{now, sign};

const QUEUE: &str = "cloakroom-everything.fifo";
/// More than one part of an upload, less than a function takes.
const LARGE: usize = 5_500_000;

/// How often something is looked at that costs a call of a function each time.
const LOOKS: u32 = 150;

/// Looks again, as often as seems right, until `condition` holds.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let pause = std::time::Duration::from_millis(200);
    for _ in 0..LOOKS {
        if condition() {
            return;
        }
        std::thread::park_timeout(pause);
    }
    panic!("never: {what}");
}

/// A webhook's headers and body. Its id is told by key and number, unless `id` says another one.
fn webhook(key: &str, number: Option<u64>, more: &str) -> (Vec<(String, String)>, Vec<u8>) {
    let data = json!({"id": key, "sequenceNumber": number, "more": more});
    let body = json!({"type": "thing.changed", "data": data})
        .to_string()
        .into_bytes();
    // What is too long for the metadata of an object comes from long keys with long ids.
    let name = key.repeat(if key.len() > 100 { 2 } else { 1 });
    let id = format!("msg_{name}_{}", number.unwrap_or_default());
    let scheme = SchemeName::StandardWebhooks;
    (sign(scheme, SECRET, "/", &id, now(), &body), body)
}

/// A key that begins like this, and is so long that what is to be known of its claims is an object of its own.
fn long_key(start: &str) -> String {
    format!("{start}{}", "/".repeat(480))
}

/// Sends a webhook that must be taken; its receipt.
fn send(
    deployment: &Deployment,
    source: &str,
    key: &str,
    number: Option<u64>,
    more: &str,
) -> Value {
    let (headers, body) = webhook(key, number, more);
    let (status, receipt) = deployment.webhook(source, &headers, &body);
    assert!(
        status < 300,
        "{source} {key} {number:?}: {status} {receipt}"
    );
    receipt
}

/// What an operator asks.
fn ask(deployment: &Deployment, request: Request<'_>) -> Answer {
    let token = format!("Bearer {TEXT_SECRET}");
    let request = request.header("authorization", &token);
    request.send(&deployment.address()).unwrap()
}

fn get(deployment: &Deployment, path: &str) -> Value {
    let answer = ask(
        deployment,
        Request::get(&format!("{}{path}", deployment.api())),
    );
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn post(deployment: &Deployment, path: &str, body: &Value) -> Value {
    let body = body.to_string().into_bytes();
    let request = Request::post(&format!("{}{path}", deployment.api()));
    let request = request
        .header("content-type", "application/json")
        .body(&body);
    let answer = ask(deployment, request);
    assert!(answer.status < 300, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

/// Waits until the queue had so many events whose key begins like this; those that came.
fn await_queued(deployment: &Deployment, key: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    wait_until(&format!("{count} events of {key} in the queue"), || {
        for message in deployment.drain(QUEUE) {
            let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            if event["partitionkey"]
                .as_str()
                .unwrap_or_default()
                .starts_with(key)
            {
                found.push(event);
            }
        }
        found.len() >= count
    });
    found
}

/// Every kind of order, a gap that is passed over, and what comes too late or has no place.
pub(super) fn orders(deployment: &Deployment, consumer: &Consumer) {
    for number in [3, 1, 1, 2, 4] {
        send(deployment, "numbered", "N-1", Some(number), "");
    }
    await_queued(deployment, "N-1", 4);
    send(deployment, "numbered", "N-1", Some(6), "");
    let passed = await_queued(deployment, "N-1", 2);
    assert_eq!(passed[0]["type"], "cloakroom.gap", "{passed:?}");
    send(deployment, "waiting", "W-1", Some(2), "");
    post(deployment, "/v1/streams/waiting/W-1/skip-gap", &json!({}));
    await_queued(deployment, "W-1", 2);
    for number in [3, 2, 1] {
        send(deployment, "lowest", "L-1", Some(number), "");
    }
    await_queued(deployment, "L-1", 3);
    for number in [5, 4, 3, 2, 1] {
        send(deployment, "held", "H-1", Some(number), "");
    }
    await_queued(deployment, "H-1", 5);
    for number in [2, 1] {
        send(deployment, "newest", "V-1", Some(number), "");
    }
    let newest = await_queued(deployment, "V-1", 1).remove(0);
    assert_eq!(fetch(newest["dataref"].as_str().unwrap()).status, 200);
    let long = long_key("A-");
    for _ in 0..2 {
        send(deployment, "accepted", &long, Some(1), "");
    }
    await_queued(deployment, "A-", 1);
    consumer.wait_for(2);

    let late = send(deployment, "numbered", "N-1", Some(5), "");
    assert_eq!(late["status"], "quarantined", "{late}");
    let lost = send(deployment, "numbered", "N-2", None, "");
    assert_eq!(lost["status"], "quarantined", "{lost}");
    let listed = get(deployment, "/v1/quarantine");
    assert_eq!(
        listed["items"].as_array().map(Vec::len),
        Some(2),
        "{listed}"
    );
    let id = late["id"].as_str().unwrap();
    post(
        deployment,
        &format!("/v1/quarantine/{id}/release"),
        &json!({}),
    );
    await_queued(deployment, "N-1", 1);
    let id = lost["id"].as_str().unwrap();
    post(
        deployment,
        &format!("/v1/quarantine/{id}/discard"),
        &json!({}),
    );

    get(deployment, "/v1/streams");
    get(deployment, "/v1/streams/numbered/N-1");
    get(deployment, "/v1/streams?attention=stalled");
    get(deployment, "/v1/streams/numbered/N-1/events?limit=10");
}

/// Bodies that are sent to the bucket in parts, forged ones too.
pub(super) fn large(deployment: &Deployment) {
    let more = "y".repeat(LARGE);
    for _ in 0..2 {
        send(deployment, "accepted", "BIG-1", Some(1), &more);
    }
    let event = await_queued(deployment, "BIG-1", 1).remove(0);
    let (headers, mut body) = webhook("BIG-1", Some(2), &more);
    body.push(b' ');
    let (status, problem) = deployment.webhook("accepted", &headers, &body);
    assert_eq!(status, 401, "{problem}");
    let fetched = fetch(event["dataref"].as_str().unwrap());
    assert_eq!(fetched.status, 200, "{}", fetched.status);
    assert!(fetched.body.len() > LARGE);
    // The same from the one who signs for operators.
    let events = get(deployment, "/v1/streams/accepted/BIG-1/events?limit=1");
    let event = &events.as_array().or(events["items"].as_array()).unwrap()[0];
    assert_eq!(fetch(event["dataref"].as_str().unwrap()).status, 200);
}

/// Fetches what a claim's URL leads to.
fn fetch(url: &str) -> Answer {
    let (address, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    Request::get(&format!("/{path}")).send(address).unwrap()
}

/// Webhooks whose bodies go to the bucket past every function: small, large, twice, and forged.
pub(super) fn uploads(deployment: &Deployment) {
    let large = "z".repeat(LARGE);
    for (source, key, more, times) in [
        ("accepted", "UP-1", "", 2),
        ("accepted", long_key("UP-0-").as_str(), "", 2),
        ("accepted", "UP-2", large.as_str(), 1),
        ("lowest", "UP-3", "", 1),
    ] {
        let (headers, body) = webhook(key, Some(1), more);
        for _ in 0..times {
            upload(deployment, source, &headers, &body);
        }
        await_queued(deployment, key, 1);
    }
    let (headers, _) = webhook("UP-4", Some(1), "what was signed");
    let (_, body) = webhook("UP-4", Some(1), &large);
    let place = upload(deployment, "accepted", &headers, &body);
    // The notification may have been worked on already; whoever comes second finds nothing.
    let event = json!({
        "source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": "any"}, "object": {"key": place}},
    });
    wait_until("the forged upload is gone", || {
        let became = deployment.invoke(None, "upload", &event);
        became[0]["status"] == "gone"
    });
}

/// Puts a webhook's body where it is offered a place; the place.
fn upload(
    deployment: &Deployment,
    source: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> String {
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .filter(|(name, _)| name != "content-type")
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let announced = json!({
        "content_type": "application/json", "content_length": body.len(),
        "sha256": sha256(body), "headers": headers,
    });
    let offer = post(deployment, &format!("/in/{source}/uploads"), &announced);
    let url = offer["upload_url"].as_str().unwrap();
    let (address, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let path = format!("/{path}");
    let mut put = Request::put(&path);
    for (name, value) in offer["headers"].as_object().unwrap() {
        if !["host", "content-length"].contains(&name.as_str()) {
            put = put.header(name, value.as_str().unwrap());
        }
    }
    let answer = put.body(body).send(address).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    offer["claim"].as_str().unwrap().to_owned()
}

/// Consumers that refuse: what is parked and what is a dead letter, and what operators do about it.
pub(super) fn failures(deployment: &Deployment, consumer: &Consumer, refuses: &AtomicBool) {
    send(deployment, "accepted", "F-1", Some(1), "REFUSED");
    await_queued(deployment, "F-1", 1);
    let at = |path: &str| {
        let taken = consumer.taken();
        taken
            .iter()
            .filter(|one| one.path == path && String::from_utf8_lossy(&one.body).contains("F-1"))
            .count()
    };
    wait_until("it is a dead letter", || {
        let letters = get(deployment, "/v1/dead-letters");
        letters["items"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    });
    wait_until("it is parked", || {
        let parked = get(deployment, "/v1/streams?attention=parked");
        parked["items"].as_array().is_some_and(|all| all.len() == 1)
    });
    let before = at("/strict");
    let parked = "/v1/subscriptions/strict/streams/accepted/F-1";
    post(deployment, &format!("{parked}/retry"), &json!({}));
    wait_until("it is tried again", || at("/strict") > before);
    wait_until("it is parked again", || {
        let parked = get(deployment, "/v1/streams?attention=parked");
        parked["items"].as_array().is_some_and(|all| all.len() == 1)
    });
    post(deployment, &format!("{parked}/skip"), &json!({}));

    let before = at("/lenient");
    refuses.store(false, Ordering::SeqCst);
    post(deployment, "/v1/dead-letters/lenient/redrive", &json!({}));
    wait_until("it is redriven", || at("/lenient") > before);

    // Once more a dead letter, which a replay then delivers.
    refuses.store(true, Ordering::SeqCst);
    send(deployment, "accepted", "F-2", Some(1), "REFUSED");
    wait_until("there is another dead letter", || {
        let letters = get(deployment, "/v1/dead-letters?subscription=lenient");
        letters["items"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    });
    refuses.store(false, Ordering::SeqCst);
    let replay = json!({"stream": "accepted/F-2", "from": "earliest"});
    post(deployment, "/v1/subscriptions/lenient/replay", &replay);
    wait_until("the dead letter is none any more", || {
        let letters = get(deployment, "/v1/dead-letters?subscription=lenient");
        letters["items"].as_array().is_some_and(Vec::is_empty)
    });
}

/// What the schedules ask for.
pub(super) fn schedules(deployment: &Deployment) {
    deployment.invoke(Some("scheduler"), "sweep", &json!({}));
    deployment.invoke(Some("scheduler"), "sweep", &json!({"task": "reclaim"}));
}

/// Makes every entry of the ledger three days older than it is: what is younger than a day stays, however short the
/// retention is.
fn age(deployment: &Deployment, table: &str) {
    let client = aws_sdk_dynamodb::Client::new(&deployment.sdk);
    deployment.runtime.block_on(async {
        let found = client.scan().table_name(table).into_paginator().items();
        for item in found.send().try_collect().await.unwrap() {
            let Some(record) = item["record"]
                .as_s()
                .ok()
                .filter(|r| r.contains("\"recorded\":"))
            else {
                continue;
            };
            let mut record: Value = serde_json::from_str(record).unwrap();
            let Some(recorded) = record.pointer("/event/recorded").and_then(Value::as_i64) else {
                continue;
            };
            record["event"]["recorded"] = (recorded - 3 * 24 * 60 * 60 * 1_000_000).into();
            let update = client.update_item().table_name(table);
            update
                .key("PK", item["PK"].clone())
                .key("SK", item["SK"].clone())
                .update_expression("SET #record = :record")
                .expression_attribute_names("#record", "record")
                .expression_attribute_values(":record", AttributeValue::S(record.to_string()))
                .send()
                .await
                .unwrap();
        }
    });
}

/// What is old and settled goes: its entries, its notes, its claims.
pub(super) fn retention(deployment: &Deployment) {
    let table = deployment.rendered.all("aws_dynamodb_table");
    for table in table {
        age(deployment, table.text("name"));
    }
    let is_gone = |stream: &str| {
        deployment.invoke(Some("scheduler"), "sweep", &json!({}));
        let events = get(deployment, &format!("/v1/streams/{stream}/events?limit=10"));
        let events = events.as_array().or(events["items"].as_array());
        events.is_none_or(Vec::is_empty)
    };
    for stream in ["numbered/N-1", "accepted/BIG-1", "lowest/L-1"] {
        wait_until(&format!("the events of {stream} are removed"), || {
            is_gone(stream)
        });
    }
}
