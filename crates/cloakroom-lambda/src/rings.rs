//! Where bells go: deliveries to the doorbell queue, what is due later to the timers queue.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{Clock, Entropy};
use cloakroom_engine::{Bell, Due};

use crate::message::Doorbell;
use crate::queue::{Message, Queue, SendError};

/// The longest time a queue hides a message.
const DELAY_MAX: Duration = Duration::from_secs(15 * 60);

/// Passes bells on.
#[derive(Clone)]
pub struct Rings {
    doorbells: Arc<dyn Queue>,
    timers: Arc<dyn Queue>,
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
    /// Deliveries that are due go to `doorbells`, a FIFO queue; everything else to `timers`, a standard queue.
    pub fn new(
        doorbells: Arc<dyn Queue>,
        timers: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            doorbells,
            timers,
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
        for (queue, messages) in [(&self.doorbells, doorbells), (&self.timers, timers)] {
            if messages.is_empty() {
                continue;
            }
            let (places, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
            for (place, outcome) in places.into_iter().zip(queue.send(messages).await) {
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

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rings").finish_non_exhaustive()
    }
}
