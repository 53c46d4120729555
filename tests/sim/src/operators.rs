//! Operators, sensible or not, and the consumer that fetches.

use std::sync::Arc;

use cloakroom_core::id::{EventId, StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_engine::catalog::STATE_SOURCE;
use cloakroom_engine::operate::ReplayFrom;

use crate::consumer::seen;
use crate::plan::KEYS;
use crate::stores::PATIENCE;
use crate::time::{pass, secs};
use crate::trace::{Act, Fact};
use crate::world::{Host, World};

/// More batches than any run has.
pub const MAX_PULLED: usize = 1_000;

impl World {
    /// An operator asks some process for something.
    pub async fn operate(self: &Arc<Self>) {
        let Some(host) = self.some_host(|_| true) else {
            return;
        };
        let twice = self.chance.percent(20);
        // Two operators at once, through two processes where there are two.
        let other = self.some_host(|_| true).filter(|_| twice);
        let both = async {
            futures::join!(self.act(&host), async {
                if let Some(other) = &other {
                    self.act(other).await;
                }
            })
        };
        tokio::select! {
            biased;
            () = host.life.ended() => {}
            () = pass(PATIENCE) => {}
            _ = both => {}
        }
        self.take_rung();
    }

    /// What operators rang for goes to the queue, which is the only one to tell of it.
    pub fn take_rung(&self) {
        for host in self.hosts() {
            if let Some(stepper) = &host.stepper {
                self.enqueue(stepper.rung());
            }
        }
    }

    async fn act(&self, host: &Host) {
        let (engine, chance) = (&host.engine, &self.chance);
        let plan = self.plan();
        let subscriptions = &plan.subscriptions;
        let subscription =
            SubscriptionName::from(subscriptions[chance.index(subscriptions.len())].name);
        let source = &plan.sources[chance.index(plan.sources.len())];
        let stream = match plan.tells_state() && chance.percent(15) {
            true => StreamId::new(STATE_SOURCE, STATE_SOURCE),
            false => StreamId::new(source.some_stream_source(chance), chance.pick(&KEYS)),
        };
        let note = |text: String| {
            self.trace.add(Fact::Operator {
                act: Act::Other(text),
            });
        };
        match chance.below(12) {
            0 => {
                note(format!("retry {subscription} {stream}"));
                drop(engine.retry(&subscription, &stream).await);
            }
            1 => {
                note(format!("skip {subscription} {stream}"));
                drop(engine.skip(&subscription, &stream).await);
            }
            2 => {
                self.trace.add(Fact::Operator {
                    act: Act::SkipGap(stream.clone()),
                });
                drop(engine.skip_gap(&stream).await);
            }
            3 | 4 => {
                let from = match chance.below(3) {
                    0 => ReplayFrom::Earliest,
                    1 => ReplayFrom::Time(engine.now().before(secs(chance.below(120)))),
                    _ => ReplayFrom::Position(Position::dense(1 + chance.below(9))),
                };
                note(format!("replay {subscription} {stream} {from:?}"));
                drop(engine.replay(&subscription, Some(&stream), &from).await);
            }
            5 => {
                note(format!("enable {subscription}"));
                drop(engine.enable(&subscription).await);
            }
            6..10 => {
                if let Ok(dead) = engine.dead_letters(None, None, 50).await
                    && !dead.items.is_empty()
                {
                    let dead = &dead.items[chance.index(dead.items.len())];
                    note(format!("redrive {} {}", dead.subscription, dead.position));
                    let (name, stream) = (&dead.subscription, &dead.stream);
                    drop(engine.redrive(name, stream, &dead.position).await);
                }
            }
            _ => {
                if let Ok(waiting) = engine.quarantined(None, None, 5).await
                    && let Some(lost) = waiting.items.first()
                {
                    let number = Some((1 + chance.below(20)).to_string());
                    let key = Some(chance.pick(&KEYS).into());
                    note(format!("decide {}", lost.id));
                    if chance.percent(80) {
                        drop(engine.release(&lost.id, key, number).await);
                    } else {
                        drop(engine.discard(&lost.id).await);
                    }
                }
            }
        }
    }

    /// Switches every subscription on again.
    pub async fn enable_all(self: &Arc<Self>) {
        for subscription in &self.plan().subscriptions {
            if let Some(host) = self.some_host(|_| true) {
                let _ = host.engine.enable(&subscription.name.into()).await;
            }
        }
        self.take_rung();
    }

    /// The fetching consumer fetches, and acknowledges some of what it got.
    pub async fn pull(&self) {
        let Some(host) = self.some_host(|host| host.stepper.is_none()) else {
            return;
        };
        let subscription = SubscriptionName::from("pull");
        let max = 1 + self.chance.index(5);
        let work = async {
            let batch = host.engine.pull(&subscription, max, secs(1)).await.ok()?;
            self.trace.add(Fact::Pulled {
                subscription: subscription.clone(),
                events: seen(&self.objects, &batch.events),
            });
            let all = self.chance.percent(75);
            let ids = batch.events.iter().map(|one| one.event.id.clone());
            let ids: Vec<EventId> = ids.filter(|_| all || self.chance.percent(50)).collect();
            self.trace.add(Fact::Acknowledges {
                subscription: subscription.clone(),
                ids: ids.clone(),
            });
            host.engine.acknowledge(&subscription, &ids).await.ok()
        };
        tokio::select! {
            biased;
            () = host.life.ended() => {}
            () = pass(PATIENCE) => {}
            _ = work => {}
        }
    }
}
