//! The way of doorbells on a shared ledger: pipes that follow its changes, a queue, timers, a schedule. Each of them loses,
//! doubles, delays and reorders what passes through it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_engine::{Bell, Due, DueCursor};

use crate::stores::Change;
use crate::time::{pass, pass_ms, secs};
use crate::world::{Host, World};

/// How long a function may run before it is ended.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(30);
/// How many streams the schedule visits in a minute.
pub const SLICE: usize = 8;

type Group = (SubscriptionName, StreamId);

/// Doorbells on their way.
#[derive(Debug, Default)]
pub struct Queue {
    bells: Mutex<Vec<Bell>>,
    /// What is being delivered: one message of a group at a time.
    groups: Mutex<BTreeSet<Group>>,
}

impl Queue {
    fn push(&self, bell: Bell) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells.push(bell);
    }

    /// Removes a bell whose time has come and whose group is free, picked by `index`.
    fn take(
        &self,
        now: cloakroom_core::time::Timestamp,
        index: impl Fn(usize) -> usize,
    ) -> Option<Bell> {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = |bell: &Bell| match &bell.due {
            Due::Resequence(_) => true,
            Due::Deliver(name, stream) => !groups.contains(&(name.clone(), stream.clone())),
        };
        let ready: Vec<usize> = (0..bells.len())
            .filter(|at| bells[*at].at.is_none_or(|due| due <= now) && is_free(&bells[*at]))
            .collect();
        let picked = *ready.get(index(ready.len().max(1)))?;
        let bell = bells.swap_remove(picked);
        if let Due::Deliver(name, stream) = &bell.due {
            groups.insert((name.clone(), stream.clone()));
        }
        Some(bell)
    }

    fn free(&self, bell: &Bell) {
        if let Due::Deliver(name, stream) = &bell.due {
            let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            groups.remove(&(name.clone(), stream.clone()));
        }
    }
}

impl World {
    /// Puts doorbells into the queue: often once, sometimes never, sometimes twice.
    pub fn enqueue(&self, bells: impl IntoIterator<Item = Bell>) {
        for bell in bells {
            if self.chance.percent(self.lost_bells.load(Ordering::Relaxed)) {
                continue;
            }
            if self.chance.percent(15) {
                self.queue.push(bell.clone());
            }
            self.queue.push(bell);
        }
    }

    /// The pipes, the queue's pollers and the schedule of functions.
    pub fn spawn_functions(self: &Arc<Self>) {
        tokio::spawn(Arc::clone(self).follow());
        for _ in 0..4 {
            tokio::spawn(Arc::clone(self).poll());
        }
        tokio::spawn(Arc::clone(self).schedule());
    }

    /// Servers that are told of the changes of their shared ledger.
    pub fn spawn_followers(self: &Arc<Self>) {
        tokio::spawn(Arc::clone(self).follow());
        let world = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                pass_ms(1 + world.chance.below(200)).await;
                let bell = world
                    .queue
                    .take(world.clock.now(), |len| world.chance.index(len));
                if let (Some(bell), Some(host)) = (bell, world.some_host(|_| true)) {
                    world.queue.free(&bell);
                    host.engine.ring(bell);
                }
            }
        });
    }

    /// Turns changes of the ledger into doorbells.
    async fn follow(self: Arc<Self>) {
        loop {
            pass_ms(1 + self.chance.below(300)).await;
            let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
            let changes = std::mem::take(&mut *feed);
            drop(feed);
            for change in changes {
                match change {
                    Change::Event(stream) => self.enqueue([Bell {
                        due: Due::Resequence(stream),
                        at: None,
                        released_up_to: None,
                    }]),
                    Change::Head(stream, position) => {
                        // Whoever dispatches may be any function, under whatever configuration it has.
                        let host = self.some_host(|_| true);
                        let stepper = host.and_then(|host| host.stepper);
                        let bells = stepper
                            .map(|stepper| stepper.engine().catalog().dispatch(&stream, &position));
                        self.enqueue(bells.unwrap_or_default());
                    }
                }
            }
        }
    }

    /// Takes messages from the queue and calls functions with them.
    async fn poll(self: Arc<Self>) {
        loop {
            pass_ms(1 + self.chance.below(100)).await;
            let is_function = |host: &Host| host.stepper.is_some();
            let Some(host) = self.some_host(is_function) else {
                continue;
            };
            while let Some(bell) = self
                .queue
                .take(self.clock.now(), |len| self.chance.index(len))
            {
                match self.call(&host, &bell).await {
                    Some(rung) => self.enqueue(rung),
                    // A queue delivers again what nobody has finished.
                    None => self.queue.push(bell.clone()),
                }
                self.queue.free(&bell);
                if host.life.is_over() {
                    break;
                }
                pass_ms(1 + self.chance.below(10)).await;
            }
        }
    }

    /// One call of a function; `None` when it failed, was ended or died.
    async fn call(&self, host: &Host, bell: &Bell) -> Option<Vec<Bell>> {
        let stepper = host.stepper.as_ref()?;
        let work = async {
            match &bell.due {
                Due::Resequence(stream) => stepper.resequence(stream).await.ok(),
                Due::Deliver(name, stream) => {
                    let hint = bell.released_up_to.clone();
                    let deadline = stepper.engine().now().after(FUNCTION_TIMEOUT - secs(2));
                    let rung = stepper.deliver(name, stream, hint, Some(deadline));
                    rung.await.ok()
                }
            }
        };
        tokio::select! {
            biased;
            () = host.life.ended() => None,
            () = pass(FUNCTION_TIMEOUT) => None,
            rung = work => rung,
        }
    }

    /// Every minute: what is due, and a slice of the rolling sweep.
    async fn schedule(self: Arc<Self>) {
        loop {
            pass(secs(60)).await;
            let host = self.some_host(|host| host.stepper.is_some());
            let (Some(host), false) = (host, !self.is_calm() && self.chance.percent(15)) else {
                continue;
            };
            let Some(stepper) = host.stepper.clone() else {
                continue;
            };
            let work = async {
                let (mut found, mut from) = (Vec::new(), Some(DueCursor::default()));
                while let Some(next) = from {
                    let Ok((bells, next)) = stepper.due(next, 5).await else {
                        break;
                    };
                    found.extend(bells);
                    from = next;
                }
                let cursor = stepper.sweep_cursor().await.ok().flatten();
                let swept = stepper.sweep(cursor, SLICE).await;
                found.extend(swept.bells);
                let _ = stepper.keep_sweep_cursor(swept.next.as_deref()).await;
                found
            };
            tokio::select! {
                biased;
                () = host.life.ended() => {}
                () = pass(FUNCTION_TIMEOUT) => {}
                found = work => {
                    // What the schedule finds goes to the queue, which loses nothing once all is well.
                    for bell in found {
                        if self.is_calm() || !self.chance.percent(10) {
                            self.queue.push(bell);
                        }
                    }
                }
            }
        }
    }

    /// A function looks for what nothing refers to any more.
    pub async fn reclaim(&self) {
        let Some(host) = self.some_host(|host| host.stepper.is_some()) else {
            return;
        };
        if let Some(stepper) = &host.stepper {
            tokio::select! {
                biased;
                () = host.life.ended() => {}
                () = pass(FUNCTION_TIMEOUT) => {}
                _ = stepper.reclaim(None) => {}
            }
        }
    }
}
