//! What a webhook of one KB costs, by functions that are warm. `units.json` has these numbers, `cloakroom cost` uses them
//! and `docs/cost.md` tells them: change all.

use std::time::Duration;

use cloakroom_lambda::Role;
use cloakroom_lambda::start::Function;
use cloakroom_lambda::units::{Requests, Units};
use serde_json::{Value, json};

use crate::given::{World, failures, messages, webhook};
use crate::meter::{Cost, Meter};
use crate::pipe::Pipe;

const SOURCES: &str = "
sources:
  orders:
    verify: { scheme: none }
    id: header:webhook-id
    key: header:x-key
    order: { kind: dense, at: header:x-seq, first: 1, gap: { after: 60s, then: wait } }
  feed:
    verify: { scheme: none }
    id: header:webhook-id
    key: header:x-key
    order: { kind: arrival }
";

/// One instance of each function, and what they ask AWS for.
struct Line {
    world: World,
    meter: Meter,
    pipes: [Pipe; 2],
    functions: [Function; 4],
}

impl Line {
    /// Warm, and a first webhook of key `A` of each source has gone through.
    async fn warm(subscriptions: usize, more: &str) -> Box<Self> {
        let mut line = Self::new(subscriptions, more).await;
        line.through(&[webhook("orders", "A", 1)]).await;
        line.through(&[webhook("feed", "A", 1)]).await;
        line
    }

    async fn new(subscriptions: usize, more: &str) -> Box<Self> {
        let names = (1..=subscriptions).map(|n| {
            format!("  s{n}: {{ sources: [orders, feed], sink: {{ sqs-fifo: {{ queue: \"https://sqs.us-east-1.amazonaws.com/1/q{n}.fifo\" }} }} }}\n")
        });
        let config = format!(
            "{SOURCES}subscriptions:\n{}{more}",
            names.collect::<String>()
        );
        let world = World::new(&config).await;
        let mut functions = Vec::new();
        for role in [
            Role::Ingest,
            Role::Resequence,
            Role::Dispatch,
            Role::Deliver,
        ] {
            functions.push(world.function(role).await.unwrap());
        }
        let pipes = [
            world.pipe(Role::Resequence).await,
            world.pipe(Role::Dispatch).await,
        ];
        world.tamper.taken();
        let functions = functions.try_into().unwrap_or_else(|_| unreachable!());
        Box::new(Self {
            world,
            meter: Meter::default(),
            pipes,
            functions,
        })
    }

    async fn accept(&self, webhook: Value) {
        let answer = self.world.call(&self.functions[0], webhook).await;
        let answer = answer.unwrap();
        let status = answer["statusCode"].as_u64().unwrap();
        assert!(status < 300, "{answer}");
    }

    /// Pumps both pipes and the doorbells until nothing moves any more. How many doorbells rang.
    async fn pump(&mut self) -> usize {
        let mut rung = 0;
        for (at, pipe) in self.pipes.iter_mut().enumerate() {
            pipe.fetch().await;
            let batch = pipe.batch(usize::MAX);
            if batch.is_empty() {
                continue;
            }
            let answer = self.world.call(&self.functions[at + 1], batch.into()).await;
            assert_eq!(failures(&answer.unwrap()), [""; 0]);
        }
        let bells = self.world.doorbells.take();
        if !bells.is_empty() {
            rung += bells.len();
            let answer = self.world.call(&self.functions[3], messages(&bells)).await;
            assert_eq!(failures(&answer.unwrap()), [""; 0]);
        }
        rung
    }

    /// Takes webhooks in one after the other, and then moves all of them on at once: what it costs, and how many
    /// doorbells rang.
    async fn through(&mut self, webhooks: &[Value]) -> (Cost, usize) {
        for webhook in webhooks {
            self.accept(webhook.clone()).await;
        }
        let rung = self.pump().await;
        (self.meter.measure(&self.world.tamper.exchanges()), rung)
    }

    /// A call of the sweep, which does nothing but visit all streams.
    async fn sweep(&mut self) -> (Cost, usize) {
        let function = self.world.function(Role::Sweep).await.unwrap();
        self.meter.measure(&self.world.tamper.exchanges());
        let summary = self.world.call(&function, json!({})).await.unwrap();
        assert_eq!(summary["round"], true, "{summary}");
        let cost = self.meter.measure(&self.world.tamper.exchanges());
        (cost, self.world.doorbells.take().len())
    }
}

#[track_caller]
fn check((cost, doorbells): &(Cost, usize), situation: &str) {
    let units = Units::measured();
    let known = units.of(situation);
    let found = Requests {
        about: known.about.clone(),
        calls: cost.calls.clone(),
        writes: cost.writes,
        reads: cost.reads,
        doorbells: *doorbells as u64,
    };
    assert_eq!(
        &found, known,
        "{situation}: units.json and docs/cost.md say something else"
    );
}

/// The aim: one object, 3 write units and 1 for each subscription, 2 read units and 2 for each.
#[tokio::test]
async fn in_order() {
    let mut line = Line::warm(1, "").await;
    let one = line.through(&[webhook("orders", "A", 2)]).await;
    check(&one, "in-order");
    let units = Units::measured();
    let payload = webhook("orders", "A", 2)["body"].as_str().unwrap().len();
    assert_eq!(payload as u64, units.payload_bytes);
    let largest = line.meter.entries().into_iter().max().unwrap();
    assert_eq!((largest - payload) as u64, units.entry_overhead_bytes);
}

#[tokio::test]
async fn in_order_for_two_subscriptions() {
    let mut line = Line::warm(2, "").await;
    let one = line.through(&[webhook("orders", "A", 2)]).await;
    check(&one, "in-order-two-subscriptions");
}

#[tokio::test]
async fn in_order_without_an_object() {
    let mut line = Line::warm(1, "claims: { above: 8KiB }\n").await;
    let one = line.through(&[webhook("orders", "A", 2)]).await;
    check(&one, "in-order-in-the-ledger-only");
}

/// Its head is written twice, with a place in the index of heads, and its cursor twice, with a lease.
#[tokio::test]
async fn the_first_of_a_stream() {
    let mut line = Line::warm(1, "").await;
    let one = line.through(&[webhook("orders", "B", 1)]).await;
    check(&one, "first-of-its-key");
}

/// Head and cursor are written once for all of them.
#[tokio::test]
async fn ten_of_one_stream_in_a_batch() {
    let mut line = Line::warm(1, "").await;
    let webhooks: Vec<Value> = (2..12).map(|n| webhook("orders", "A", n)).collect();
    let ten = line.through(&webhooks).await;
    check(&ten, "ten-of-one-key");
}

/// The first of them opens a gap, which is listed for attention; the second closes it.
#[tokio::test]
async fn a_pair_out_of_order() {
    let mut line = Line::warm(1, "").await;
    let third = line.through(&[webhook("orders", "A", 3)]).await;
    check(&third, "opens-a-gap");
    let second = line.through(&[webhook("orders", "A", 2)]).await;
    check(&second, "closes-a-gap");
}

/// Event, identity and head in a transaction; whoever reads the head then looks for the event it names.
#[tokio::test]
async fn in_the_order_of_arrival() {
    let mut line = Line::warm(1, "").await;
    let one = line.through(&[webhook("feed", "A", 2)]).await;
    check(&one, "arrival");
}

/// The condition of its put fails, at the price of the event that is there.
#[tokio::test]
async fn a_duplicate() {
    let mut line = Line::warm(1, "").await;
    let again = line.through(&[webhook("orders", "A", 1)]).await;
    check(&again, "duplicate");
    let again = line.through(&[webhook("feed", "A", 1)]).await;
    check(&again, "duplicate-arrival");
}

/// A visit reads. What is past retention goes in the visit after the one that raises the floor over it.
#[tokio::test]
async fn a_visit_of_the_sweep() {
    let mut line = Line::new(1, "").await;
    line.sweep().await;
    check(&line.sweep().await, "sweep-of-nothing");
    line.through(&[webhook("orders", "A", 1)]).await;
    check(&line.sweep().await, "visit");
    for (source, expires) in [("orders", "expires"), ("feed", "expires-arrival")] {
        let mut line = Line::new(1, "claims: { retention: 1ms }\n").await;
        line.through(&[webhook(source, "A", 1)]).await;
        // What is younger than a day stays, however short the retention is.
        check(&line.sweep().await, "visit");
        line.world.ahead = Duration::from_secs(2 * 24 * 60 * 60);
        check(&line.sweep().await, "raises-the-floor");
        check(&line.sweep().await, expires);
        check(&line.sweep().await, "visit-of-an-empty-stream");
    }
}
