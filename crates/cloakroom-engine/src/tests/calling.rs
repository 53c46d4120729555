//! Nothing but steps, by chance: hosts that live for one call work on a shared ledger, called by whatever saw a change of
//! it, by queues and by the clock. Calls are lost, doubled, reordered, made at once, and end between any two calls to a
//! store. Then everything heals, and the checker looks at what became of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use super::checker::{Ever, Facts, check_nothing_overtakes, check_order};
use super::faults::{Life, Rates};
use super::sim::{SimEntropy, pass};
use super::sink::{Reply, Script};
use super::world::{
    Webhook, World, arrival, dense, name, order, push, secs, send_to, sparse, version,
};
use crate::append::Receipt;
use crate::bell::{Bell, Due};
use crate::memory::MemoryLedger;
use crate::record::Record;
use crate::step::{DueCursor, Stepper};

const KEYS: [&str; 3] = ["A", "B", "C"];
const SOURCES: [&str; 4] = ["orders", "held", "states", "news"];
const ROUNDS: u64 = 60;
/// How many hosts there are.
const HOSTS: usize = 3;

/// A host of functions: lives until it is ended in the middle of a call.
struct Host {
    life: Life,
    stepper: Stepper,
}

/// What a host is called for.
enum Call {
    TakeIn(Webhook),
    Look(Bell),
    /// Another owner delivers past the queue.
    Past(SubscriptionName, StreamId),
    Due,
    Sweep,
}

enum Answer {
    Receipt(Webhook, Receipt),
    Rung(Vec<Bell>),
    /// It did not end, or failed: a queue calls again.
    Again(Option<Bell>),
}

struct Calls {
    world: World,
    chance: SimEntropy,
    scripts: [Arc<Script>; 2],
    hosts: Vec<Host>,
    server: Host,
    queue: Vec<Bell>,
    sent: Vec<Webhook>,
    next: HashMap<(usize, &'static str), u64>,
    receipts: Vec<(Webhook, Receipt)>,
    /// What the feed of changes has shown.
    seen: HashSet<(StreamId, Position)>,
    heads: BTreeMap<StreamId, Position>,
}

async fn host(world: &World, owner: &str) -> Host {
    loop {
        let life = Life::default();
        if let Ok(stepper) = world.stepper(&life, owner).await {
            return Host { life, stepper };
        }
    }
}

/// One call, from its beginning to its end or to the end of its host.
async fn call(host: (Life, Stepper), call: Call, deadline: Timestamp) -> Answer {
    let (life, stepper) = host;
    let bell = match &call {
        Call::Look(bell) => Some(bell.clone()),
        _ => None,
    };
    let work = async {
        match call {
            Call::TakeIn(webhook) => {
                let receipt = send_to(stepper.engine().clone(), webhook.clone()).await;
                receipt
                    .ok()
                    .map(|receipt| Answer::Receipt(webhook, receipt))
            }
            Call::Look(bell) => match &bell.due {
                Due::Resequence(stream) => stepper.resequence(stream).await.ok().map(Answer::Rung),
                Due::Deliver(name, stream) => {
                    let up_to = bell.released_up_to.clone();
                    let rung = stepper.deliver(name, stream, up_to, Some(deadline)).await;
                    rung.ok().map(Answer::Rung)
                }
            },
            Call::Past(name, stream) => {
                let rung = stepper.deliver(&name, &stream, None, Some(deadline)).await;
                rung.ok().map(|_| Answer::Rung(Vec::new()))
            }
            Call::Due => {
                let due = stepper.due(DueCursor::default(), 100).await;
                due.ok().map(|(bells, _)| Answer::Rung(bells))
            }
            Call::Sweep => {
                let cursor = stepper.sweep_cursor().await.ok()?;
                let swept = stepper.sweep(cursor, 4).await;
                let _ = stepper.keep_sweep_cursor(swept.next.as_deref()).await;
                Some(Answer::Rung(swept.bells))
            }
        }
    };
    tokio::select! {
        biased;
        () = life.ended() => Answer::Again(bell),
        answer = work => answer.unwrap_or(Answer::Again(bell)),
    }
}

impl Calls {
    async fn new(seed: u64) -> Self {
        let chance = SimEntropy::new(seed.wrapping_mul(0x0765_4321) ^ 0x57e9);
        let scripts = [Script::new(), Script::batched(3)];
        let mut world = World::seeded(seed);
        world.ledger = Arc::new(MemoryLedger::shared());
        let mut ordered = dense("orders");
        if chance.chance(50) {
            ordered = ordered.skips_gaps();
        }
        if chance.chance(30) {
            ordered = ordered.lowest_first(secs(3));
        }
        let mut first = push("push", &scripts[0]).attempts(3);
        if chance.chance(50) {
            first = first.dead_letters();
        }
        world = world
            .source(ordered)
            .source(sparse("held"))
            .source(version("states"))
            .source(arrival("news"))
            .subscribe(first)
            .subscribe(push("batch", &scripts[1]).attempts(4));
        let mut hosts = Vec::new();
        for _ in 0..HOSTS {
            hosts.push(host(&world, "queue").await);
        }
        let server = host(&world, "server").await;
        Self {
            world,
            chance,
            scripts,
            hosts,
            server,
            queue: Vec::new(),
            sent: Vec::new(),
            next: HashMap::new(),
            receipts: Vec::new(),
            seen: HashSet::new(),
            heads: BTreeMap::new(),
        }
    }

    fn index(&self, below: usize) -> usize {
        usize::try_from(self.chance.below(below as u64)).unwrap()
    }

    fn webhook(&mut self) -> Webhook {
        if !self.sent.is_empty() && self.chance.chance(25) {
            return self.sent[self.index(self.sent.len())].clone();
        }
        let (source, key) = (self.index(SOURCES.len()), KEYS[self.index(KEYS.len())]);
        let next = self.next.entry((source, key)).or_insert(1);
        let n = match self.chance.below(10) {
            0 => *next + self.chance.below(4),
            1 => 1 + self.chance.below(*next),
            _ => *next,
        };
        *next = (*next).max(n + 1);
        let mut webhook = order(key, n);
        webhook.source = SOURCES[source];
        let clash = if self.chance.chance(3) { "-clash" } else { "" };
        let webhook = webhook.id(&format!("{}-{key}-{n}{clash}", SOURCES[source]));
        self.sent.push(webhook.clone());
        webhook
    }

    /// What has changed in the ledger is rung for: often once, sometimes never, sometimes twice.
    fn feed(&mut self) {
        let mut bells = Vec::new();
        for record in self.world.ledger.dump() {
            match record {
                Record::Event(event) => {
                    let place = (event.stream.clone(), event.position);
                    if self.seen.insert(place) {
                        bells.push(now(Due::Resequence(event.stream)));
                    }
                }
                Record::Head(head) => {
                    let Some(position) = head.head.position else {
                        continue;
                    };
                    let before = self.heads.insert(head.stream.clone(), position.clone());
                    assert!(before <= Some(position.clone()), "a head went back");
                    if before.as_ref() != Some(&position) {
                        let stepper = &self.hosts[0].stepper;
                        bells.extend(stepper.engine().catalog().dispatch(&head.stream, &position));
                    }
                }
                _ => {}
            }
        }
        self.enqueue(bells);
    }

    fn enqueue(&mut self, bells: Vec<Bell>) {
        for bell in bells {
            for _ in 0..[1, 1, 1, 1, 1, 1, 2, 2, 0, 0][self.index(10)] {
                self.queue.push(bell.clone());
            }
        }
    }

    /// Some of what waits in the queue, in any order; of one group only one delivery at a time.
    fn picked(&mut self) -> Vec<Call> {
        let (mut picked, mut groups) = (Vec::new(), HashSet::new());
        let at = self.world.now();
        for _ in 0..self.chance.below(8) {
            if self.queue.is_empty() {
                break;
            }
            let index = self.index(self.queue.len());
            let bell = &self.queue[index];
            let is_delivery = matches!(bell.due, Due::Deliver(..));
            if bell.at.is_none_or(|due| due <= at)
                && (!is_delivery || groups.insert(bell.due.clone()))
            {
                picked.push(Call::Look(self.queue.swap_remove(index)));
            }
        }
        picked
    }

    async fn round(&mut self) {
        let mut calls = self.picked();
        for _ in 0..self.chance.below(4) {
            let webhook = self.webhook();
            calls.push(Call::TakeIn(webhook));
        }
        if self.chance.chance(10) {
            calls.push(Call::Due);
        }
        if self.chance.chance(10) {
            calls.push(Call::Sweep);
        }
        self.make(calls).await;
        match self.chance.below(12) {
            0 => self.script_consumers(),
            1 => {
                let some = |percent| self.chance.below(percent);
                self.world.faults.by_chance(Rates {
                    fails_before: some(8),
                    fails_after: some(8),
                    yields: some(60),
                    delays: some(20),
                });
            }
            2..5 => pass(Duration::from_millis(self.chance.below(30_000))).await,
            _ => {}
        }
    }

    /// Makes calls at once. Sometimes a host ends meanwhile, and another takes its place.
    async fn make(&mut self, calls: Vec<Call>) {
        let deadline = self.world.now().after(secs(30));
        let mut under_way = Vec::new();
        for made in calls {
            let host = &self.hosts[self.index(HOSTS)];
            under_way.push(call(
                (host.life.clone(), host.stepper.clone()),
                made,
                deadline,
            ));
        }
        if self.chance.chance(25) {
            let subscription = name(["push", "batch"][self.index(2)]);
            let stream = StreamId::new(SOURCES[self.index(4)], KEYS[self.index(3)]);
            let server = (self.server.life.clone(), self.server.stepper.clone());
            under_way.push(call(server, Call::Past(subscription, stream), deadline));
        }
        let victim = self.chance.chance(20).then(|| self.index(HOSTS + 1));
        let life = victim.map(|v| self.hosts.get(v).unwrap_or(&self.server).life.clone());
        let after = Duration::from_millis(self.chance.below(60));
        let ending = async {
            if let Some(life) = life {
                pass(after).await;
                life.end();
            }
        };
        let (answers, ()) = futures::join!(futures::future::join_all(under_way), ending);
        for answer in answers {
            match answer {
                Answer::Receipt(webhook, receipt) => self.receipts.push((webhook, receipt)),
                Answer::Rung(bells) => self.enqueue(bells),
                Answer::Again(bell) => self.queue.extend(bell),
            }
        }
        match victim {
            Some(victim) if victim < HOSTS => self.hosts[victim] = host(&self.world, "queue").await,
            Some(_) => self.server = host(&self.world, "server").await,
            None => {}
        }
        self.feed();
    }

    fn script_consumers(&self) {
        let script = &self.scripts[self.index(2)];
        let replies = (0..self.chance.below(6)).map(|_| match self.chance.below(10) {
            0..5 => Reply::Take,
            5..8 => Reply::Fail,
            8 => Reply::FailFor(secs(self.chance.below(90))),
            _ => Reply::TakeIn(Duration::from_millis(self.chance.below(9_000))),
        });
        script.replies(
            ["A", "B", "C", "*"][self.index(4)],
            replies.collect::<Vec<_>>(),
        );
    }

    /// Everything works again, and the clock calls often enough.
    async fn heal(&mut self) {
        self.world.faults.by_chance(Rates::default());
        for script in &self.scripts {
            script.heal();
        }
        // Longer than any lease, hold, gap or retry of this world.
        pass(secs(150)).await;
        self.settle().await;
        let engine = self.hosts[0].stepper.engine().clone();
        for record in self.world.ledger.dump() {
            if let Record::Cursor(cursor) = record {
                let _ = engine.retry(&cursor.subscription, &cursor.stream).await;
            }
        }
        self.settle().await;
        while let Some(stream) = self.waiting_at_a_gap() {
            engine.skip_gap(&stream).await.unwrap();
            self.settle().await;
        }
    }

    /// The clock calls, as often as it takes to go round a few times; the queue loses nothing now.
    async fn settle(&mut self) {
        for _ in 0..12 {
            pass(secs(10)).await;
            let stepper = &self.hosts[0].stepper;
            let mut bells = stepper.due(DueCursor::default(), 1_000).await.unwrap().0;
            bells.extend(stepper.sweep(None, 1_000).await.bells);
            self.queue.extend(bells);
            while let Some(bell) = self.queue.pop() {
                let deadline = self.world.now().after(secs(600));
                let host = (self.hosts[0].life.clone(), self.hosts[0].stepper.clone());
                if let Answer::Rung(bells) = call(host, Call::Look(bell), deadline).await {
                    self.queue
                        .extend(bells.into_iter().filter(|bell| bell.at.is_none()));
                }
            }
        }
    }

    fn waiting_at_a_gap(&self) -> Option<StreamId> {
        let mut dump = self.world.ledger.dump().into_iter();
        dump.find_map(|record| match record {
            Record::Head(head) if head.head.gap.is_some() => Some(head.stream),
            _ => None,
        })
    }

    async fn check(&self) {
        let dump = self.world.ledger.dump();
        let events = dump.iter().filter_map(|record| match record {
            Record::Event(event) => Some((
                (event.stream.clone(), event.position.clone()),
                event.clone(),
            )),
            _ => None,
        });
        let ever: Ever = events.collect();
        let facts = Facts::of(dump);
        facts.check_receipts(&self.receipts);
        facts.check_heads();
        facts.check_claims(&self.world).await;
        for (subscription, script) in ["push", "batch"].into_iter().zip(&self.scripts) {
            let calls = script.calls();
            check_nothing_overtakes(subscription, &calls, &ever);
            check_order(subscription, &calls);
            let taken = calls.iter().filter(|call| call.taken);
            let taken = taken.map(|call| (call.stream.clone(), call.position.clone()));
            facts.check_settled(subscription, &taken.collect(), &ever);
        }
    }
}

fn now(due: Due) -> Bell {
    Bell {
        due,
        at: None,
        released_up_to: None,
    }
}

fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut calls = Calls::new(seed).await;
        for _ in 0..ROUNDS {
            calls.round().await;
        }
        calls.heal().await;
        calls.check().await;
        assert!(!calls.receipts.is_empty());
    });
}

#[test]
fn whoever_is_called_and_however_often_nothing_is_lost_and_everything_is_in_order() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for first in 0..threads {
            let own = super::anything::seeds().skip(first).step_by(threads);
            scope.spawn(|| {
                own.for_each(|seed| {
                    let outcome = std::panic::catch_unwind(|| run(seed));
                    let next = seed + 1;
                    assert!(
                        outcome.is_ok(),
                        "seed {seed} failed: CLOAKROOM_SEEDS={seed}..{next}"
                    );
                });
            });
        }
    });
}
