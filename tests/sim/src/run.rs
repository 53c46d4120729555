//! One run of one seed: everything at once, by chance; then everything heals, and the checker reads the history.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cloakroom_core::event::Sha256;
use cloakroom_core::id::{EventId, StreamId, SubscriptionName};
use cloakroom_engine::catalog::STATE_SOURCE;
use cloakroom_engine::record::{CursorState, Record};
use futures::FutureExt as _;

use crate::check::{Breach, Kind, check};
use crate::consumer::{Mood, seen};
use crate::functions::SLICE;
use crate::logs::Logs;
use crate::operators::MAX_PULLED;
use crate::panics::Panics;
use crate::stores::Rates;
use crate::time::{pass, pass_ms, secs};
use crate::trace::{Act, Fact};
use crate::world::{Form, World};

/// How many things happen before everything heals.
const STEPS: u64 = 45;

/// More gaps than any run has.
const GAPS_MAX: usize = 200;

/// What became of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// One number for the whole history.
    pub hash: Sha256,
    /// How many facts it has.
    pub facts: usize,
    /// What was found wrong.
    pub breaches: Vec<Breach>,
    /// The history, when something was.
    pub history: Option<String>,
}

/// Runs a seed.
pub fn run(seed: u64) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing but memory");
    let logs = Logs::default();
    let _capture = logs.capture();
    let panics = Panics::watch();
    runtime.block_on(async {
        let world = World::new(seed);
        let ran = AssertUnwindSafe(live(&world)).catch_unwind().await;
        let mut breaches = ran.unwrap_or_default();
        breaches.extend(panics.seen());
        breaches.extend(check(&world).await);
        breaches.extend(logs.leaks());
        let history = (!breaches.is_empty()).then(|| history(&world));
        Outcome {
            hash: world.trace.hash(),
            facts: world.trace.read(<[_]>::len),
            breaches,
            history,
        }
    })
}

/// Runs a seed twice: the same must come of it.
pub fn run_twice(seed: u64) -> Outcome {
    let (first, second) = (run(seed), run(seed));
    if first.hash == second.hash {
        return first;
    }
    let text = format!(
        "one run led to {}, the other one to {}",
        first.hash, second.hash
    );
    let mut breaches = first.breaches;
    breaches.push(Breach::new(Kind::Determinism, text));
    Outcome { breaches, ..first }
}

fn history(world: &World) -> String {
    let mut text = format!("seed {}: {:?}\n", world.seed, world.form);
    world.trace.read(|facts| {
        for (number, (at, fact)) in facts.iter().enumerate() {
            let seconds = *at / 1_000_000;
            let millis = *at / 1_000 % 1_000;
            text.push_str(&format!("{number:5} {seconds:5}.{millis:03} {fact:?}\n"));
        }
    });
    text
}

async fn live(world: &Arc<World>) -> Vec<Breach> {
    for _ in 0..STEPS {
        step(world).await;
    }
    heal(world).await
}

async fn step(world: &Arc<World>) {
    let chance = &world.chance;
    match chance.below(32) {
        0..12 => {
            for _ in 0..=chance.below(5) {
                let webhook = world.webhook();
                world.provide(&webhook);
            }
        }
        12..15 => moods(world),
        15..17 => world.pull().await,
        17..20 => world.operate().await,
        20..22 => faults(world),
        22..26 => die(world),
        26 => {
            let next = world.plan().next(chance);
            world.configure(next);
            die(world);
        }
        27 => world.try_reordered().await,
        28 => set_clock(world).await,
        29 if world.form != Form::Embedded && chance.percent(60) => quiet_day(world).await,
        30 => begin_stream(world),
        _ => pass_ms(chance.below(30_000)).await,
    }
    pass_ms(chance.below(1_500)).await;
}

fn moods(world: &World) {
    for consumer in world.consumers.values() {
        let mood = match world.chance.below(8) {
            0 | 1 => Mood::Slow(world.chance.pick(&[200, 5_000, 14_000])),
            2 => Mood::Dead,
            3..5 => Mood::Flapping(world.chance.below(90)),
            _ => Mood::Healthy,
        };
        consumer.set(mood, world.chance.pick(&[0, 0, 0, 10]));
    }
}

fn faults(world: &World) {
    let chance = &world.chance;
    let some = |percent: u64| match chance.percent(60) {
        true => chance.below(percent),
        false => 0,
    };
    let rates = Rates {
        before: some(8),
        after: some(8),
        slow: some(35),
    };
    world.faults.set(rates, chance.percent(5));
}

/// A process dies: now, after some more calls to its ports, or as it should.
fn die(world: &Arc<World>) {
    let Some(host) = world.some_host(|_| true) else {
        return;
    };
    match world.chance.below(6) {
        0 => host.life.end(),
        1 => drop(tokio::spawn(async move {
            host.engine.stop().await;
            host.life.end();
        })),
        _ => host.life.end_after(world.chance.below(60)),
    }
}

async fn set_clock(world: &World) {
    let chance = &world.chance;
    let back = world.bad_clocks && chance.percent(50);
    let seconds = match back {
        true => -(1 + i64::try_from(chance.below(20)).unwrap_or(0)),
        false => 1 + i64::try_from(chance.below(200)).unwrap_or(0),
    };
    // Leases of a shared ledger trust that clocks agree, so a clock is set for everybody and no faster than a call ends.
    world.trace.add(Fact::ClockSet {
        micros: seconds * 1_000_000,
    });
    world.clock.jump(seconds * 1_000_000);
    if back {
        let back = seconds.unsigned_abs() * 1_000_000;
        world.set_back.fetch_add(back, Ordering::Relaxed);
    }
    pass_ms(chance.below(3_000)).await;
}

/// A stream whose lower numbers come at the very moment when it is decided where it begins.
fn begin_stream(world: &Arc<World>) {
    for (number, webhook) in world.beginning().into_iter().enumerate() {
        let world = Arc::clone(world);
        tokio::spawn(async move {
            if number > 0 {
                // Its window is three seconds long, and the first took up to half a second to come in.
                pass_ms(3_000 + world.chance.below(500)).await;
            }
            world.provide(&webhook);
        });
    }
}

/// More than a day passes while nothing comes in; then what was left behind is looked for.
async fn quiet_day(world: &Arc<World>) {
    // What comes just before finds a ledger that often fails: payloads are kept, and their entries are not.
    let failing = Rates {
        before: 50,
        after: 0,
        slow: 10,
    };
    world.faults.set(failing, false);
    for _ in 0..4 {
        let webhook = world.webhook();
        world.provide(&webhook);
    }
    pass_ms(2_000).await;
    let slow = Rates {
        before: 0,
        after: 0,
        slow: 60,
    };
    for _ in 0..200 {
        if world.under_way.load(Ordering::Relaxed) == 0 {
            world.faults.set(slow, false);
            let micros = 25 * 60 * 60 * 1_000_000;
            world.trace.add(Fact::ClockSet { micros });
            world.clock.jump(micros);
            for _ in 0..8 {
                let reclaiming = Arc::clone(world);
                tokio::spawn(async move {
                    pass_ms(reclaiming.chance.below(6_000)).await;
                    reclaiming.reclaim().await;
                });
            }
            pass_ms(world.chance.below(10_000)).await;
            return;
        }
        pass_ms(50).await;
    }
}

/// How long it may take until what can be released is, or what can be delivered: the longest deadline, plus the time in
/// which the sweep has been everywhere, plus what the clock was set back.
fn patience(world: &World) -> Duration {
    let slices = 1 + u32::try_from(heads(world).len().div_ceil(SLICE)).expect("it is small");
    let sweep = match world.form {
        Form::Embedded => secs(5),
        Form::Servers => secs(130),
        // A slice of the streams a minute.
        Form::Functions => secs(60) * slices,
    };
    // A gap of 60 seconds; a lease of 45 and a try of 15; a wait of 40 before the last of them.
    secs(60 + 60 + 45) + sweep + Duration::from_micros(world.set_back.load(Ordering::Relaxed))
}

/// Nothing goes wrong any more. What can be released and delivered is, in time; then operators decide the rest.
async fn heal(world: &Arc<World>) -> Vec<Breach> {
    world.calm.store(true, Ordering::Relaxed);
    world.trace.add(Fact::Healed);
    world.faults.set(Rates::default(), false);
    for consumer in world.consumers.values() {
        consumer.set(Mood::Healthy, 0);
    }
    // Nothing depends on a doorbell: in half of the runs no pipe and no timer rings any more.
    let lost = world.chance.pick(&[0, 100]);
    world.lost_bells.store(lost, Ordering::Relaxed);
    for host in world.hosts() {
        // A process that was about to die does so now.
        host.life.end();
    }
    // Until every process works again.
    pass(secs(10)).await;
    let mut breaches = in_time(world, secs(60), unanswered).await;
    breaches.extend(
        in_time(world, patience(world), |world| {
            unreleased(world, of_providers)
        })
        .await,
    );
    // What is released last may have to be found once more before it is delivered.
    breaches.extend(all_delivered(world).await);
    world.enable_all().await;
    retry_all(world).await;
    breaches.extend(all_delivered(world).await);
    for _ in 0..GAPS_MAX {
        let Some(stream) = waiting_at_a_gap(world) else {
            break;
        };
        if let Some(host) = world.some_host(|_| true) {
            world.trace.add(Fact::Operator {
                act: Act::SkipGap(stream.clone()),
            });
            // It may find that the missing number has come, and has nothing to skip.
            let _ = host.engine.skip_gap(&stream).await;
        }
        // Told to skip, it shows no gap once it has.
        in_time(world, patience(world), unreleased_at_all).await;
    }
    breaches.extend(unreleased_at_all(world));
    breaches.extend(
        in_time(world, patience(world), |world| {
            unreleased(world, of_providers)
        })
        .await,
    );
    breaches.extend(all_delivered(world).await);
    drain(world).await;
    // What operators had asked for may have been parked until now.
    retry_all(world).await;
    breaches.extend(all_delivered(world).await);
    breaches.extend(unsettled_in_the_end(world));
    breaches
}

/// Waits until there is nothing to complain of, for a set time at most: what is found then is a breach.
async fn in_time(
    world: &Arc<World>,
    most: Duration,
    look: impl Fn(&World) -> Vec<Breach>,
) -> Vec<Breach> {
    let mut waited = Duration::ZERO;
    loop {
        let found = look(world);
        if found.is_empty() || waited >= most {
            return found;
        }
        let step = secs(5).min(most - waited);
        pass(step).await;
        waited += step;
    }
}

fn unanswered(world: &World) -> Vec<Breach> {
    let open = world.open.load(Ordering::Relaxed);
    let staged = world.staging.waiting();
    let text = format!("{open} providers have no answer, {staged} uploads are not taken in");
    let breach = (open > 0 || staged > 0).then(|| Breach::new(Kind::Stall, text));
    breach.into_iter().collect()
}

fn unreleased_at_all(world: &World) -> Vec<Breach> {
    let waits = waiting_at_a_gap(world).map(|stream| format!("{stream} waits at a gap"));
    let breach = waits.map(|text| Breach::new(Kind::Stall, text));
    breach.into_iter().collect()
}

fn heads(world: &World) -> Vec<cloakroom_engine::record::HeadRecord> {
    let heads = world
        .ledger
        .dump()
        .into_iter()
        .filter_map(|record| match record {
            Record::Head(head) => Some(head),
            _ => None,
        });
    heads.collect()
}

fn waiting_at_a_gap(world: &World) -> Option<StreamId> {
    let plan = world.plan();
    let waits = heads(world).into_iter().find(|head| {
        // A stream of an earlier generation waits for good.
        head.head.gap.is_some() && plan.releases(head.stream.source.as_str())
    });
    waits.map(|head| head.stream)
}

/// Streams whose last event should have been released by now.
fn unreleased(world: &World, of: impl Fn(&StreamId) -> bool) -> Vec<Breach> {
    let dump = world.ledger.dump();
    let plan = world.plan();
    let mut breaches = Vec::new();
    for record in &dump {
        let Record::Event(event) = record else {
            continue;
        };
        // What an earlier generation has not released by now it never will.
        if !plan.releases(event.stream.source.as_str()) || !of(&event.stream) {
            continue;
        }
        let head = dump.iter().find_map(|record| match record {
            Record::Head(head) if head.stream == event.stream => Some(&head.head),
            _ => None,
        });
        let is_fine = head.is_some_and(|head| head.covers(&event.position) || head.is_stalled());
        if !is_fine {
            let text = format!("{} of {} is not released", event.position, event.stream);
            breaches.push(Breach::new(Kind::Stall, text));
        }
    }
    breaches
}

/// Whether a stream is one of those that providers fill. What happens there is told in the other one, for as long as it
/// happens.
fn of_providers(stream: &StreamId) -> bool {
    stream.source.as_str() != STATE_SOURCE
}

/// Waits until everything is delivered; and then until that was told, to whom it may concern.
async fn all_delivered(world: &Arc<World>) -> Vec<Breach> {
    let mut breaches = in_time(world, patience(world), |world| {
        undelivered(world, of_providers)
    })
    .await;
    if world.plan().tells_state() {
        let all = |world: &World| unreleased(world, |_| true);
        breaches.extend(in_time(world, patience(world), all).await);
        let all = |world: &World| undelivered(world, |_| true);
        breaches.extend(in_time(world, patience(world), all).await);
    }
    breaches
}

/// Cursors that should be at their heads by now.
fn undelivered(world: &World, of: impl Fn(&StreamId) -> bool) -> Vec<Breach> {
    let mut breaches = Vec::new();
    each_cursor(world, |subscription, head, cursor, disabled| {
        if !of(&head.stream) {
            return;
        }
        let plan = world.plan();
        let pulls = plan.subscription(subscription).is_none_or(|one| one.pulls);
        let parked = cursor.is_some_and(|c| matches!(c.state, CursorState::Parked { .. }));
        let done = cursor.is_some_and(|cursor| {
            cursor.position.as_ref() >= head.head.position.as_ref() && cursor.redrive.is_empty()
        });
        if !pulls && !parked && !done && !disabled {
            let at = cursor.map(|cursor| (&cursor.position, &cursor.state));
            let text = format!("{subscription} stands at {at:?} in {}", head.stream);
            breaches.push(Breach::new(Kind::Stall, text));
        }
    });
    breaches
}

/// Whatever is not settled although operators have done what they can.
fn unsettled_in_the_end(world: &World) -> Vec<Breach> {
    let mut breaches = Vec::new();
    each_cursor(world, |subscription, head, cursor, _| {
        let at = cursor.and_then(|cursor| cursor.position.as_ref());
        if at < head.head.position.as_ref() {
            let text = format!("{subscription} ends at {at:?} in {}", head.stream);
            breaches.push(Breach::new(Kind::Stall, text));
        }
    });
    breaches
}

fn each_cursor(
    world: &World,
    mut look: impl FnMut(
        &str,
        &cloakroom_engine::record::HeadRecord,
        Option<&cloakroom_engine::record::Cursor>,
        bool,
    ),
) {
    let dump = world.ledger.dump();
    for head in heads(world) {
        for subscription in &world.plan().subscriptions {
            if head.head.position.is_none() || !subscription.listens_to(head.stream.source.as_str())
            {
                continue;
            }
            let cursor = dump.iter().find_map(|record| match record {
                Record::Cursor(cursor)
                    if cursor.stream == head.stream
                        && cursor.subscription.as_str() == subscription.name =>
                {
                    Some(cursor)
                }
                _ => None,
            });
            let disabled = dump.iter().any(|record| match record {
                Record::Subscription(record) => {
                    record.name.as_str() == subscription.name && record.disabled.is_some()
                }
                _ => false,
            });
            look(subscription.name, &head, cursor, disabled);
        }
    }
}

async fn retry_all(world: &Arc<World>) {
    for record in world.ledger.dump() {
        if let Record::Cursor(cursor) = record
            && let Some(host) = world.some_host(|_| true)
        {
            let _ = host
                .engine
                .retry(&cursor.subscription, &cursor.stream)
                .await;
        }
    }
    world.take_rung();
}

/// The pulling consumer fetches and acknowledges everything there is.
async fn drain(world: &Arc<World>) {
    let subscription = SubscriptionName::from("pull");
    let is_server = |host: &crate::world::Host| host.stepper.is_none();
    let Some(host) = world.some_host(is_server) else {
        return;
    };
    for _ in 0..MAX_PULLED {
        let wait = patience(world);
        let Ok(batch) = host.engine.pull(&subscription, 50, wait).await else {
            return;
        };
        if batch.events.is_empty() {
            return;
        }
        let ids: Vec<EventId> = batch
            .events
            .iter()
            .map(|one| one.event.id.clone())
            .collect();
        world.trace.add(Fact::Pulled {
            subscription: subscription.clone(),
            events: seen(&world.objects, &batch.events),
        });
        world.trace.add(Fact::Acknowledges {
            subscription: subscription.clone(),
            ids: ids.clone(),
        });
        let _ = host.engine.acknowledge(&subscription, &ids).await;
    }
}
