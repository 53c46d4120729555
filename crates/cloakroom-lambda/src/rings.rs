//! Where bells go: deliveries to the doorbell queue, what is due later to the timers queue.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{Clock, Entropy};
use cloakroom_engine::{Bell, Due};

use crate::message::Doorbell;
use crate::queue::{Message, Queue, SendError};
use crate::role::Variable;

/// The longest time a queue hides a message.
const DELAY_MAX: Duration = Duration::from_secs(15 * 60);

/// The queues that bells go to; a host has those that it rings.
#[derive(Clone, Default)]
pub struct Queues {
    /// For deliveries that are due: a FIFO queue.
    pub doorbells: Option<Arc<dyn Queue>>,
    /// For everything else: a standard queue.
    pub timers: Option<Arc<dyn Queue>>,
}

impl Queues {
    /// Both.
    pub fn new(doorbells: Arc<dyn Queue>, timers: Arc<dyn Queue>) -> Self {
        Self {
            doorbells: Some(doorbells),
            timers: Some(timers),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.doorbells.is_none() && self.timers.is_none()
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

/// Passes bells on.
#[derive(Clone)]
pub struct Rings {
    queues: Queues,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Which queue a bell goes to.
enum To {
    Doorbells(Message),
    Timers(Message),
    /// It is due so late that the sweep finds it in time.
    Nowhere,
}

impl Rings {
    /// Passes them on to these.
    pub fn new(queues: Queues, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            queues,
            clock,
            entropy,
        }
    }

    /// Sends bells on; the outcome of each, in their order. What is due in more than a quarter of an hour is not sent: the
    /// sweep finds it.
    pub async fn pass_on(&self, bells: Vec<Bell>) -> Vec<Result<(), SendError>> {
        let now = self.clock.now();
        let mut outcomes = vec![Ok(()); bells.len()];
        let (mut doorbells, mut timers) = (Vec::new(), Vec::new());
        for (index, bell) in bells.into_iter().enumerate() {
            match self.addressed(bell, now) {
                To::Doorbells(message) => doorbells.push((index, message)),
                To::Timers(message) => timers.push((index, message)),
                To::Nowhere => {}
            }
        }
        let Queues {
            doorbells: now,
            timers: later,
        } = &self.queues;
        for (queue, variable, messages) in [
            (now, Variable::Doorbells, doorbells),
            (later, Variable::Timers, timers),
        ] {
            if messages.is_empty() {
                continue;
            }
            let (places, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
            let sent = match queue {
                Some(queue) => queue.send(messages).await,
                None => vec![Err(missing(variable)); messages.len()],
            };
            for (place, outcome) in places.into_iter().zip(sent) {
                outcomes[place] = outcome;
            }
        }
        outcomes
    }

    /// Sends bells on; the first failure, if any.
    pub async fn pass_all_on(&self, bells: Vec<Bell>) -> Result<(), SendError> {
        self.pass_on(bells).await.into_iter().collect()
    }

    fn addressed(&self, bell: Bell, now: Timestamp) -> To {
        let delay = bell.at.map_or(Duration::ZERO, |at| at.since(now));
        let is_delivery = matches!(bell.due, Due::Deliver(..));
        let doorbell = Doorbell::from(bell);
        if delay > DELAY_MAX {
            To::Nowhere
        } else if is_delivery && delay.is_zero() {
            let unique = format!("{:016x}{:016x}", self.entropy.next(), self.entropy.next());
            To::Doorbells(doorbell.grouped(unique))
        } else {
            // A look that comes too early is lost: round up to whole seconds.
            let whole = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            let delay = Duration::from_secs(whole).min(DELAY_MAX);
            To::Timers(doorbell.delayed(delay))
        }
    }
}

/// A host rings a queue that it was not given.
fn missing(variable: Variable) -> SendError {
    let (name, what) = (variable.name(), variable.what());
    SendError(format!("this host has none; set {name} to {what}"))
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rings").finish_non_exhaustive()
    }
}
