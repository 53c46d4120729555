//! The server is killed at random moments, again and again, while webhooks come in and events go out.
//!
//! A bounded number of times, unless `CLOAKROOM_CRASHES` says how often (a third as often on AWS). The seed is printed;
//! `CLOAKROOM_CRASH_SEED` sets it, which repeats what is sent and how long each run may live, though not what the
//! processes make of their time.

pub(crate) mod memory;
pub(crate) mod provider;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_emulators::MiniStack;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use self::memory::Memory;
use self::provider::Provider;
use crate::support::consumer::Consumer;
use crate::support::server::{Server, assert_healthy, cloakroom};
use crate::support::wait_until;
use crate::support::webhook::now;

const SENDERS: usize = 4;
const EMBEDDED_CRASHES: usize = 25;
const AWS_CRASHES: usize = 8;
/// The doctor looks after every so many crashes.
const EXAMINED_EVERY: usize = 12;

/// What a storm is made of.
struct Storm<'a> {
    folder: &'a Path,
    crashes: usize,
    /// How long a run may live, once it listens.
    life_ms: u64,
    /// How long a run may live that is killed on its way up.
    start_ms: u64,
    numbers_per_key: u64,
    command: &'a dyn Fn(&str) -> Command,
    examine: &'a dyn Fn(),
}

fn asked(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}

pub(crate) fn config(consumer: &Consumer) -> String {
    format!(
        "\
sources:
  transfers:
    verify: {{ scheme: adyen, secrets: [env:HEX_SECRET] }}
    key: body:/data/id
    type: header:x-type
    order: {{ kind: dense, at: body:/data/sequenceNumber, first: 1 }}
  impatient:
    verify: {{ scheme: adyen, secrets: [env:HEX_SECRET] }}
    key: body:/data/id
    type: header:x-type
    order: {{ kind: dense, at: body:/data/sequenceNumber, first: 1, gap: {{ after: 20ms, then: skip }} }}
  messages:
    verify: {{ scheme: standard-webhooks, secrets: [env:SECRET] }}
    key: body:/data/id
    type: header:x-type
subscriptions:
  ledger:
    sources: [\"*\"]
    sink: {{ http: {{ url: \"{}\", secret: env:SECRET, timeout: 2s }} }}
    retry: {{ attempts: 100, base: 10ms, max: 100ms }}
    from: earliest
server: {{ allow_private_sinks: true }}
",
        consumer.url("/hooks")
    )
}

#[test]
fn whatever_moment_the_embedded_server_is_killed_at() {
    let folder = tempfile::tempdir().unwrap();
    let crashes = asked("CLOAKROOM_CRASHES").map_or(EMBEDDED_CRASHES, |wanted| wanted as usize);
    storm(&Storm {
        folder: folder.path(),
        crashes,
        life_ms: 300,
        start_ms: 150,
        numbers_per_key: 200,
        command: &|address| {
            let mut command = cloakroom(folder.path());
            command.args(["serve", "--listen", address]);
            command
        },
        examine: &|| drop(assert_healthy(folder.path())),
    });
}

#[test]
fn whatever_moment_the_server_over_aws_is_killed_at() {
    let folder = tempfile::tempdir().unwrap();
    let crashes = asked("CLOAKROOM_CRASHES").map_or(AWS_CRASHES, |wanted| wanted as usize / 3);
    let ministack = MiniStack::start().unwrap_or_else(|error| panic!("{error}"));
    storm(&Storm {
        folder: folder.path(),
        crashes,
        life_ms: 1500,
        start_ms: 600,
        // Who dies over a send leaves its stream under a lease: the others go on, and new ones come.
        numbers_per_key: 24,
        command: &|address| {
            let mut command = cloakroom(folder.path());
            command
                .args(["serve", "--listen", address, "--backend", "aws"])
                .args(["--table", "cloakroom", "--bucket", "cloakroom-claims"])
                .args(["--create", "--run-pipes"])
                .env("AWS_ENDPOINT_URL", ministack.endpoint())
                .env("AWS_REGION", MiniStack::REGION)
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test");
            command
        },
        examine: &|| {},
    });
}

/// Sends, kills and restarts; then everything that was acknowledged is delivered: in order, once effective, as it was sent.
fn storm(storm: &Storm<'_>) {
    let seed = asked("CLOAKROOM_CRASH_SEED").unwrap_or_else(|| now().as_micros().unsigned_abs());
    println!(
        "CLOAKROOM_CRASH_SEED={seed} CLOAKROOM_CRASHES={}",
        storm.crashes
    );
    let mut random = StdRng::seed_from_u64(seed);
    let consumer = Consumer::start();
    let config = config(&consumer);
    let provider = Arc::new(Provider::new(seed, storm.numbers_per_key));
    let mut memory = Memory::default();

    let server = Server::start_as(&mut (storm.command)("127.0.0.1:0"), storm.folder, &config);
    let address = server.address.clone();
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (provider, address) = (Arc::clone(&provider), address.clone());
            std::thread::spawn(move || provider.send(&address))
        })
        .collect();
    let mut running = Some(server);
    let mut on_the_way_up = 0;
    for crash in 1..=storm.crashes {
        let server = match running.take() {
            Some(server) => server,
            None => {
                let mut server = Server::launch(&mut (storm.command)(&address));
                if random.random_bool(0.2) {
                    on_the_way_up += 1;
                    live(&mut random, storm.start_ms);
                } else {
                    server.listens();
                    live(&mut random, storm.life_ms);
                }
                server
            }
        };
        server.kill();
        consumer.quiesce();
        let ended = senders.iter().any(std::thread::JoinHandle::is_finished);
        assert!(!ended, "a sender has failed");
        memory.take(&consumer.taken_after(memory.known));
        if crash % EXAMINED_EVERY == 0 {
            (storm.examine)();
        }
    }
    let mut server = Server::launch(&mut (storm.command)(&address));
    server.listens();
    provider.close();
    for sender in senders {
        sender.join().unwrap();
    }
    let acknowledged = provider.acknowledged();
    wait_until("everything acknowledged is delivered", || {
        memory.take(&consumer.taken_after(memory.known));
        memory.effective() >= acknowledged.len()
    });
    memory.check_all(&acknowledged);
    let large = memory.fetch_large();
    server.stop();
    (storm.examine)();

    let (answers, broken) = provider.answers();
    println!(
        "{} crashes, {on_the_way_up} of them on the way up; {} webhooks in {answers} acknowledged and {broken} broken requests; \
         {} deliveries, {} of them repeats and {} late; {large} large payloads",
        storm.crashes,
        acknowledged.len(),
        memory.known,
        memory.repeats,
        memory.late,
    );
    assert!(broken > 0, "no crash met a sender");
    assert!(memory.late > 0, "nothing came late, so nothing was tested");
    assert!(large > 0, "nothing large was sent");
}

/// Lets the server work for a random while: the moment of the crash is what is tested.
fn live(random: &mut StdRng, most_ms: u64) {
    std::thread::park_timeout(Duration::from_millis(random.random_range(0..=most_ms)));
}
