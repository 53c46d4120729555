//! One scenario in both forms: webhooks shuffled, doubled, with a number that is never sent and one that is forged, to
//! an SQS FIFO queue, an SNS topic, an EventBridge bus and an HTTP consumer.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::Value;

use super::stack::{Stack, topic_arn};
use crate::support::consumer::Consumer;
use crate::support::http::{Answer, Request};
use crate::support::server::{HEX_SECRET, SECRET, Server, TEXT_SECRET};
use crate::support::wait_until;
use crate::support::webhook::Transfer;

const KEYS: [&str; 4] = ["TR-A", "TR-B", "TR-C", "TR-D"];
const PER_KEY: u64 = 8;
/// This number of the first key is never sent.
const MISSING: u64 = 4;
/// What waits for it: itself, and what comes after it.
const WAITING: usize = 5;

/// What a stream must hand out, in order: type and number (of a gap, the last one).
fn expected(key: &str) -> Vec<(String, u64)> {
    let name = |number| match (key, number) {
        ("TR-A", MISSING) => "cloakroom.gap",
        _ => "balancePlatform.transfer.updated",
    };
    (1..=PER_KEY)
        .map(|number| (name(number).to_owned(), number))
        .collect()
}

fn shuffled() -> Vec<Transfer> {
    let mut all = Vec::new();
    for key in KEYS {
        for number in (1..=PER_KEY).filter(|number| (key, *number) != ("TR-A", MISSING)) {
            let transfer = Transfer::new(key, number);
            if number % 3 == 0 {
                all.push(transfer.clone());
            }
            all.push(transfer);
        }
    }
    all.shuffle(&mut StdRng::seed_from_u64(7));
    all
}

fn config(secrets: [&str; 3], subscriptions: &str) -> String {
    let [provider, consumer, token] = secrets;
    format!(
        "\
sources:
  transfers:
    verify: {{ scheme: adyen, secrets: [{provider}] }}
    key: body:/data/id
    order: {{ kind: dense, at: body:/data/sequenceNumber, first: 1, gap: {{ after: 1h, then: wait }} }}
subscriptions:
{subscriptions}
server: {{ allow_private_sinks: true, admin_token: {token}, public_url: \"http://127.0.0.1:8080\" }}
"
    )
    .replace("CONSUMER_SECRET", consumer)
}

fn http_subscription(consumer: &Consumer) -> String {
    format!(
        "  http: {{ sources: [transfers], from: earliest, sink: {{ http: {{ url: \"{}\", secret: CONSUMER_SECRET }} }} }}\n",
        consumer.url("/hooks")
    )
}

/// What a consumer got of each stream, in the order it got it.
fn by_stream(events: &[Value]) -> BTreeMap<String, Vec<(String, u64)>> {
    let mut streams: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for event in events {
        let text = |name: &str| {
            event[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {event}"))
                .to_owned()
        };
        let number = text("sequence").parse().unwrap();
        streams
            .entry(text("partitionkey"))
            .or_default()
            .push((text("type"), number));
    }
    streams
}

fn in_order() -> BTreeMap<String, Vec<(String, u64)>> {
    KEYS.iter()
        .map(|key| ((*key).to_owned(), expected(key)))
        .collect()
}

/// An event's text without what comes from a clock or from the form: when it was recorded, and where its payload is.
fn timeless(body: &[u8]) -> String {
    let mut text = String::from_utf8(body.to_vec()).unwrap();
    let event: Value = serde_json::from_str(&text).unwrap();
    let of_gap = event["type"] == "cloakroom.gap";
    for name in ["recordedtime", "dataref", "time"] {
        if name == "time" && !of_gap {
            continue;
        }
        if let Some(value) = event[name].as_str() {
            text = text.replace(value, "…");
        }
    }
    text
}

fn skip_gap(address: &str, base: &str) -> Answer {
    let request = Request::post(&format!("{base}/v1/streams/transfers/TR-A/skip-gap"));
    let request = request.header("authorization", &format!("Bearer {TEXT_SECRET}"));
    request.send(address).unwrap()
}

fn bodies(consumer: &Consumer) -> BTreeSet<String> {
    consumer
        .taken()
        .iter()
        .map(|delivery| timeless(&delivery.body))
        .collect()
}

#[test]
fn webhooks_through_the_deployed_form_leave_once_and_in_order_as_from_the_embedded_one() {
    let total = KEYS.len() * usize::try_from(PER_KEY).unwrap();
    let embedded = {
        let folder = tempfile::tempdir().unwrap();
        let consumer = Consumer::start();
        let config = config(
            ["env:HEX_SECRET", "env:SECRET", "env:TEXT_SECRET"],
            &http_subscription(&consumer),
        );
        let server = Server::start(folder.path(), &config);
        for transfer in shuffled() {
            let request = Request::post("/in/transfers")
                .headers(&transfer.headers)
                .body(&transfer.body);
            assert!(request.send(&server.address).unwrap().status < 300);
        }
        // All but what waits behind the missing number, which an operator then passes over.
        consumer.wait_for(total - WAITING);
        assert_eq!(skip_gap(&server.address, "").status, 200);
        consumer.wait_for(total);
        bodies(&consumer)
    };

    let consumer = Consumer::start();
    let subscriptions = format!(
        "{}  queue: {{ sources: [transfers], from: earliest, sink: {{ sqs-fifo: {{ queue: \"{}\" }} }} }}\n  \
         bus: {{ sources: [transfers], from: earliest, sink: {{ eventbridge: {{ bus: webhooks }} }} }}\n  \
         topic: {{ sources: [transfers], from: earliest, sink: {{ sns: {{ topic: \"{}\" }} }} }}\n",
        http_subscription(&consumer),
        "ledger.fifo",
        topic_arn(),
    );
    let config = config(
        [
            "aws-secret:transfers",
            "aws-secret:consumer",
            "aws-secret:admin",
        ],
        &subscriptions,
    );
    let stack = Stack::start(
        &config,
        &[
            ("transfers", HEX_SECRET),
            ("consumer", SECRET),
            ("admin", TEXT_SECRET),
        ],
    );

    let mut receipts: BTreeMap<(String, u64), BTreeSet<String>> = BTreeMap::new();
    let mut statuses = BTreeMap::new();
    for transfer in shuffled() {
        let (status, receipt) = stack.webhook("transfers", &transfer.headers, &transfer.body);
        *statuses.entry(status).or_insert(0) += 1;
        let id = receipt["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{status} {receipt}"))
            .to_owned();
        receipts
            .entry((transfer.key, transfer.number))
            .or_default()
            .insert(id);
    }
    let doubled = KEYS.len() * usize::try_from(PER_KEY / 3).unwrap();
    assert_eq!(statuses, BTreeMap::from([(202, total - 1), (200, doubled)]));
    assert!(
        receipts.values().all(|ids| ids.len() == 1),
        "a double has the first one's receipt"
    );
    let forged = Transfer::new("TR-A", MISSING);
    let (status, problem) = stack.webhook("transfers", &forged.headers, &forged.body[1..]);
    assert_eq!(status, 401, "{problem}");

    consumer.wait_for(total - WAITING);
    let skipped = skip_gap(&stack.address(), &stack.api);
    assert_eq!(skipped.status, 200, "{}", skipped.text());
    consumer.wait_for(total);
    let delivered: Vec<Value> = consumer.taken().iter().map(|one| one.event()).collect();
    assert_eq!(by_stream(&delivered), in_order(), "at the HTTP consumer");
    assert_eq!(
        bodies(&consumer),
        embedded,
        "the two forms hand out the same"
    );

    for (queue, consumer) in [("ledger.fifo", "SQS FIFO"), ("topic.fifo", "SNS FIFO")] {
        let mut queued = Vec::new();
        wait_until("the queue has all", || {
            queued.extend(stack.drain(queue));
            queued.len() >= total
        });
        let bodies = queued.iter().map(|one| one.body().unwrap());
        let queued: Vec<Value> = bodies
            .map(|body| serde_json::from_str(body).unwrap())
            .collect();
        assert_eq!(by_stream(&queued), in_order(), "at the {consumer} consumer");
    }

    let mut observed = Vec::new();
    wait_until("the bus passed all on", || {
        observed.extend(stack.drain("observed"));
        observed.len() >= total
    });
    let events: Vec<Value> = observed
        .iter()
        .map(|one| serde_json::from_str::<Value>(one.body().unwrap()).unwrap()["detail"].clone())
        .collect();
    let unordered = |streams: BTreeMap<String, Vec<(String, u64)>>| -> BTreeSet<_> {
        streams
            .into_iter()
            .flat_map(|(key, all)| all.into_iter().map(move |one| (key.clone(), one)))
            .collect()
    };
    assert_eq!(events.len(), total);
    assert_eq!(
        unordered(by_stream(&events)),
        unordered(in_order()),
        "at the rule of the bus, which keeps no order"
    );

    // Nobody has forgotten anything: the sweep finds nothing more to send.
    stack.invoke("sweep");
    let log = stack.invoke("sweep");
    assert!(
        log.contains(r#""Namespace":"Cloakroom""#) && log.contains(r#""StalledStreams":0"#),
        "{log}"
    );
    assert!(
        stack.drain("dead-pipes").is_empty(),
        "no pipe gave anything up"
    );
    assert_eq!(
        (consumer.count(), stack.drain("ledger.fifo").len()),
        (total, 0)
    );
}
