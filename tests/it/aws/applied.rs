//! `terraform apply` of the minimal example, webhooks through what it deployed, and `terraform destroy`.

use std::collections::BTreeMap;

use cloakroom_core::verify::SchemeName;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use super::deployed::deployment::Deployment;
use super::deployed::remains;
use crate::support::server::SECRET;
use crate::support::wait_until;
use crate::support::webhook::{now, sign};

/// What all names begin with.
const NAME: &str = "cloakroom";
const KEYS: [&str; 3] = ["O-1", "O-2", "O-3"];
const PER_KEY: u64 = 6;
const QUEUE: &str = "cloakroom-billing.fifo";

/// A webhook of the example's source.
struct Order {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Order {
    fn new(key: &str, number: u64) -> Self {
        let data = json!({"order": key, "number": number});
        let body = json!({"type": "order.changed", "data": data}).to_string();
        let body = body.into_bytes();
        let id = format!("msg_{key}_{number}");
        let scheme = SchemeName::StandardWebhooks;
        let headers = sign(scheme, SECRET, "/", &id, now(), &body);
        Self { headers, body }
    }
}

/// Every webhook, one in three of them twice, in an order of no sense.
fn shuffled() -> Vec<Order> {
    let mut all = Vec::new();
    for key in KEYS {
        for number in 1..=PER_KEY {
            let times = if number % 3 == 0 { 2 } else { 1 };
            all.extend((0..times).map(|_| Order::new(key, number)));
        }
    }
    all.shuffle(&mut StdRng::seed_from_u64(4));
    all
}

/// The numbers of each key, in the order in which the queue had them.
fn by_key(events: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let mut keys: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in events {
        let key = event["partitionkey"].as_str().unwrap().to_owned();
        let number = event["data"]["data"]["number"].as_u64().unwrap();
        keys.entry(key).or_default().push(number);
    }
    keys
}

#[test]
fn the_minimal_example_is_applied_orders_webhooks_and_is_destroyed() {
    let deployment = Deployment::apply("minimal", |_, _| {});
    assert!(
        deployment.example.is_up_to_date(),
        "a second plan finds something to do"
    );
    deployment.fill_secrets(&[("cloakroom/orders", SECRET)]);
    deployment.run_pipes();

    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for order in shuffled() {
        let (status, receipt) = deployment.webhook("orders", &order.headers, &order.body);
        assert!(status < 300, "{status} {receipt}");
        *statuses.entry(status).or_default() += 1;
    }
    let different = KEYS.len() * usize::try_from(PER_KEY).unwrap();
    let doubled = KEYS.len() * usize::try_from(PER_KEY / 3).unwrap();
    assert_eq!(statuses, BTreeMap::from([(202, different), (200, doubled)]));
    let forged = Order::new("O-1", PER_KEY + 1);
    let (status, problem) = deployment.webhook("orders", &forged.headers, &forged.body[1..]);
    assert_eq!(status, 401, "{problem}");

    let mut received = Vec::new();
    wait_until("the queue has all", || {
        received.extend(deployment.drain(QUEUE));
        received.len() >= different
    });
    let bodies = received.iter().map(|message| message.body().unwrap());
    let events: Vec<Value> = bodies
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    let in_order = KEYS.map(|key| (key.to_owned(), Vec::from_iter(1..=PER_KEY)));
    assert_eq!(by_key(&events), BTreeMap::from(in_order));

    // Nobody has forgotten anything: the sweep finds nothing more to send.
    deployment.invoke(Some("scheduler"), "sweep", &json!({}));
    assert!(deployment.drain(QUEUE).is_empty());
    deployment.gates.assert_nothing_was_denied();

    let lists = remains::count(&deployment.ministack, NAME);
    assert!(lists > 10, "only {lists} lists name what was applied");
    let left = deployment.example.destroy();
    assert!(left.resources.is_empty(), "{:?}", left.resources);
    let remains = remains::of(&deployment.ministack, NAME);
    assert!(remains.is_empty(), "{remains:#?}");
}
