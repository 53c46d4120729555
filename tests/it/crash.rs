//! The server is killed in the middle of its work, again and again.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::support::consumer::{Consumer, Delivery};
use crate::support::http::Request;
use crate::support::server::{Server, assert_healthy};
use crate::support::wait_until;
use crate::support::webhook::Transfer;

const GAP: &str = "cloakroom.gap";
const KEYS: u64 = 5;
const PER_KEY: u64 = 200;
const CRASHES: usize = 5;
const SENDERS: usize = 4;

/// How the webhooks are signed and ordered.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Adyen's: the provider numbers them.
    Dense,
    /// The same, but nobody waits long for a missing number: it is passed over, and comes late.
    Impatient,
    /// Standard Webhooks: only their ids tell them apart.
    Arrival,
}

impl Kind {
    fn source(self) -> &'static str {
        match self {
            Self::Dense => {
                "verify: { scheme: adyen, secrets: [env:HEX_SECRET] }, \
                 order: { kind: dense, at: body:/data/sequenceNumber, first: 1 }"
            }
            Self::Impatient => {
                "verify: { scheme: adyen, secrets: [env:HEX_SECRET] }, \
                 order: { kind: dense, at: body:/data/sequenceNumber, first: 1, gap: { after: 20ms, then: skip } }"
            }
            Self::Arrival => "verify: { scheme: standard-webhooks, secrets: [env:SECRET] }",
        }
    }

    fn transfer(self, key: &str, number: u64) -> Transfer {
        let transfer = Transfer::new(key, number);
        match self {
            Self::Dense | Self::Impatient => transfer,
            Self::Arrival => transfer.signed_as_standard_webhook(),
        }
    }
}

fn config(kind: Kind, consumer: &Consumer) -> String {
    format!(
        "\
sources:
  transfers: {{ key: body:/data/id, {} }}
subscriptions:
  ledger:
    sources: [transfers]
    sink: {{ http: {{ url: \"{}\", secret: env:SECRET }} }}
    retry: {{ attempts: 100, base: 10ms, max: 100ms }}
    from: earliest
server: {{ allow_private_sinks: true }}
",
        kind.source(),
        consumer.url("/hooks")
    )
}

/// What is still to be sent, and what was acknowledged under which id.
#[derive(Default)]
struct Post {
    waiting: Mutex<Vec<Transfer>>,
    acknowledged: Mutex<Vec<((String, u64), String)>>,
    broken: Mutex<usize>,
    stopped: AtomicBool,
}

impl Post {
    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Sends until nothing is left, as a provider does: what was not acknowledged is sent again later.
    fn send(&self, address: &str) {
        while !self.stopped.load(Ordering::SeqCst) {
            let Some(transfer) = self.waiting.lock().unwrap().pop() else {
                return;
            };
            let request = Request::post("/in/transfers").headers(&transfer.headers);
            match request.body(&transfer.body).send(address) {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    let id = answer.json()["id"].as_str().unwrap().to_owned();
                    let place = (transfer.key, transfer.number);
                    self.acknowledged.lock().unwrap().push((place, id));
                }
                Ok(answer) => {
                    assert_eq!(answer.status, 503, "{}", answer.text());
                    self.waiting.lock().unwrap().insert(0, transfer);
                }
                Err(_) => {
                    *self.broken.lock().unwrap() += 1;
                    self.waiting.lock().unwrap().insert(0, transfer);
                    // Nobody listens for now; the next try finds out whether somebody does.
                    std::thread::park_timeout(Duration::from_millis(10));
                }
            }
        }
    }
}

/// All transfers and a third of them twice, shuffled.
fn shuffled(kind: Kind, random: &mut StdRng) -> Vec<Transfer> {
    let mut all = Vec::new();
    for number in 1..=PER_KEY {
        for key in 0..KEYS {
            let transfer = kind.transfer(&format!("TR{key:04}"), number);
            if (number + key) % 3 == 0 {
                all.push(transfer.clone());
            }
            all.push(transfer);
        }
    }
    // Sent from the end. Shuffled within stretches, so that deliveries go on all the time.
    all.reverse();
    for stretch in all.chunks_mut(120) {
        stretch.shuffle(random);
    }
    all
}

#[test]
fn numbered_webhooks_survive_however_often_the_server_is_killed() {
    check(Kind::Dense);
}

#[test]
fn unnumbered_webhooks_survive_however_often_the_server_is_killed() {
    check(Kind::Arrival);
}

#[test]
fn late_webhooks_survive_however_often_the_server_is_killed() {
    check(Kind::Impatient);
}

/// Everything that was acknowledged is delivered, in one order, and is known when it is sent again.
fn check(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let config = config(kind, &consumer);
    let mut random = StdRng::seed_from_u64(7);
    let post = Arc::new(Post::default());
    *post.waiting.lock().unwrap() = shuffled(kind, &mut random);
    let total = post.waiting.lock().unwrap().len();

    let server = send_and_crash(folder.path(), &config, &consumer, &post, total);
    assert_eq!(post.acknowledged(), total);
    assert!(*post.broken.lock().unwrap() > 0, "no crash met a sender");

    let everything = usize::try_from(KEYS * PER_KEY).unwrap();
    wait_until("every event is delivered", || {
        first_deliveries(&consumer.taken()) >= everything
    });
    server.stop();
    consumer.quiesce();
    let deliveries = consumer.taken();
    let ids = assert_in_order(kind, &deliveries);
    assert_eq!(ids.len(), everything);
    for (place, id) in post.acknowledged.lock().unwrap().iter() {
        assert_eq!(ids.get(place), Some(id), "{place:?}");
    }
    let report = assert_healthy(folder.path());
    if matches!(kind, Kind::Impatient) {
        let late = deliveries.iter().map(Delivery::event);
        let late = late.filter(|event| event["cloakroomlate"] == "true");
        assert!(late.count() > 0, "nothing came late, so nothing was tested");
    } else {
        assert_eq!(report["totals"]["events"], everything);
    }
}

/// Sends everything, and kills and restarts the server while webhooks come in and go out. Returns the last server.
fn send_and_crash(
    folder: &Path,
    config: &str,
    consumer: &Consumer,
    post: &Arc<Post>,
    total: usize,
) -> Server {
    let mut server = Server::start(folder, config);
    let address = server.address.clone();
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (post, address) = (Arc::clone(post), address.clone());
            std::thread::spawn(move || post.send(&address))
        })
        .collect();
    for crash in 1..=CRASHES {
        let enough = total * crash / (CRASHES + 1);
        wait_until("enough is acknowledged", || {
            let all_ended = senders.iter().all(std::thread::JoinHandle::is_finished);
            let is_enough = post.acknowledged() >= enough;
            assert!(is_enough || !all_ended, "the senders have failed");
            is_enough
        });
        server.kill();
        consumer.quiesce();
        server = Server::start_at(folder, config, &address);
    }
    for sender in senders {
        sender.join().unwrap();
    }
    server
}

fn first_deliveries(deliveries: &[Delivery]) -> usize {
    let ids = deliveries
        .iter()
        .filter(|one| one.event()["type"] != GAP)
        .map(|one| one.header("webhook-id"));
    ids.collect::<HashSet<_>>().len()
}

/// What one key's consumer has seen: the ids in the order of first deliveries, and the latest `sequence` among them.
#[derive(Default)]
struct Seen {
    ids: Vec<String>,
    sequence: String,
    /// The run of the latest delivery, and the place of its event.
    latest: Option<(usize, usize)>,
}

/// First deliveries rise, without a hole where they are numbered. Nothing comes twice from one run of the server; the run
/// after a crash may begin with what it can't know was acknowledged, in order and with the same ids.
fn assert_in_order(kind: Kind, deliveries: &[Delivery]) -> HashMap<(String, u64), String> {
    let mut ids = HashMap::new();
    let mut keys: HashMap<String, Seen> = HashMap::new();
    for delivery in deliveries {
        let event = delivery.event();
        let key = event["partitionkey"].as_str().unwrap().to_owned();
        let number = &event["data"]["data"]["sequenceNumber"];
        let number = number.as_u64().unwrap_or_default();
        assert_eq!(number == 0, event["type"] == GAP, "{event}");
        let (id, sequence) = (delivery.header("webhook-id"), event["sequence"].as_str());
        assert_eq!(event["id"], id);
        let seen = keys.entry(key.clone()).or_default();
        let place = match seen.ids.iter().position(|one| one == id) {
            Some(place) => place,
            None => {
                assert!(*seen.sequence < *sequence.unwrap(), "{key} {number} falls");
                sequence.unwrap().clone_into(&mut seen.sequence);
                seen.ids.push(id.to_owned());
                if number != 0 {
                    let known = ids.insert((key.clone(), number), id.to_owned());
                    assert_eq!(known, None, "{key} {number} came as two events");
                }
                seen.ids.len() - 1
            }
        };
        match seen.latest {
            Some((run, before)) if run == delivery.run => {
                assert_eq!(place, before + 1, "{key} {number} within a run");
            }
            _ => {}
        }
        seen.latest = Some((delivery.run, place));
        if matches!(kind, Kind::Dense) {
            assert_eq!(number, place as u64 + 1, "{key}");
            assert_eq!(sequence.unwrap().parse(), Ok(number));
        }
    }
    ids
}
