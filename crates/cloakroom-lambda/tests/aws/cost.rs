//! What a webhook of one KB costs, by functions that are warm. `docs/cost.md` has these numbers: change both.

use cloakroom_lambda::Role;
use cloakroom_lambda::start::Function;
use serde_json::Value;

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
        let mut line = Box::new(Self {
            world,
            meter: Meter::default(),
            pipes,
            functions,
        });
        line.through(&[webhook("orders", "A", 1)]).await;
        line.through(&[webhook("feed", "A", 1)]).await;
        line
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

    /// What it costs to take webhooks in one after the other, and then to move all of them on at once.
    async fn through(&mut self, webhooks: &[Value]) -> (Cost, usize) {
        for webhook in webhooks {
            self.accept(webhook.clone()).await;
        }
        let rung = self.pump().await;
        (self.meter.measure(&self.world.tamper.exchanges()), rung)
    }

    /// As [`Line::through`], shown.
    async fn shown(&mut self, webhooks: &[Value]) -> (String, f64, f64, usize) {
        let (cost, rung) = self.through(webhooks).await;
        let (calls, writes, reads) = cost.shown();
        (calls, writes, reads, rung)
    }
}

#[track_caller]
fn check(
    found: &(String, f64, f64, usize),
    calls: &str,
    writes: f64,
    reads: f64,
    doorbells: usize,
) {
    assert_eq!(*found, (calls.to_owned(), writes, reads, doorbells));
}

/// The aim: one object, 3 write units and 1 for each subscription, 2 read units and 2 for each.
#[tokio::test]
async fn in_order() {
    let mut line = Line::warm(1, "").await;
    let one = line.shown(&[webhook("orders", "A", 2)]).await;
    let calls = "2 GetItem, 3 PutItem, 1 PutObject, 2 Query";
    check(&one, calls, 4.0, 4.0, 1);
}

#[tokio::test]
async fn in_order_for_two_subscriptions() {
    let mut line = Line::warm(2, "").await;
    let one = line.shown(&[webhook("orders", "A", 2)]).await;
    let calls = "3 GetItem, 4 PutItem, 1 PutObject, 3 Query";
    check(&one, calls, 5.0, 6.0, 2);
}

#[tokio::test]
async fn in_order_without_an_object() {
    let mut line = Line::warm(1, "claims: { above: 8KiB }\n").await;
    let one = line.shown(&[webhook("orders", "A", 2)]).await;
    check(&one, "2 GetItem, 3 PutItem, 2 Query", 4.0, 4.0, 1);
}

/// Its head is written twice, with a place in the index of heads, and its cursor twice, with a lease.
#[tokio::test]
async fn the_first_of_a_stream() {
    let mut line = Line::warm(1, "").await;
    let one = line.shown(&[webhook("orders", "B", 1)]).await;
    let calls = "4 GetItem, 5 PutItem, 1 PutObject, 2 Query";
    check(&one, calls, 7.0, 6.0, 1);
}

/// Head and cursor are written once for all of them.
#[tokio::test]
async fn ten_of_one_stream_in_a_batch() {
    let mut line = Line::warm(1, "").await;
    let webhooks: Vec<Value> = (2..12).map(|n| webhook("orders", "A", n)).collect();
    let ten = line.shown(&webhooks).await;
    let calls = "2 GetItem, 12 PutItem, 10 PutObject, 4 Query";
    check(&ten, calls, 22.0, 12.0, 1);
}

/// The first of them opens a gap, which is listed for attention; the second closes it.
#[tokio::test]
async fn a_pair_out_of_order() {
    let mut line = Line::warm(1, "").await;
    let third = line.shown(&[webhook("orders", "A", 3)]).await;
    let calls = "1 GetItem, 2 PutItem, 1 PutObject, 1 Query";
    check(&third, calls, 4.0, 2.0, 0);
    let second = line.shown(&[webhook("orders", "A", 2)]).await;
    let calls = "2 GetItem, 3 PutItem, 1 PutObject, 3 Query";
    check(&second, calls, 5.0, 5.0, 1);
}

/// Event, identity and head in a transaction; whoever reads the head then looks for the event it names.
#[tokio::test]
async fn in_the_order_of_arrival() {
    let mut line = Line::warm(1, "").await;
    let one = line.shown(&[webhook("feed", "A", 2)]).await;
    let calls = "1 BatchGetItem, 4 GetItem, 2 PutItem, 1 PutObject, 2 Query, 1 TransactWriteItems";
    check(&one, calls, 10.0, 7.0, 1);
}

/// The condition of its put fails, at the price of the event that is there.
#[tokio::test]
async fn a_duplicate() {
    let mut line = Line::warm(1, "").await;
    let again = line.shown(&[webhook("orders", "A", 1)]).await;
    let calls = "1 HeadObject, 1 PutItem, 1 PutObject";
    check(&again, calls, 2.0, 0.0, 0);
    let again = line.shown(&[webhook("feed", "A", 1)]).await;
    check(&again, "2 GetItem, 1 HeadObject, 1 PutObject", 0.0, 2.0, 0);
}
