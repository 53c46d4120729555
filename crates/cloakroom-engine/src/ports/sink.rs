//! The sink port: where a subscription's events go.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::cloudevent::CloudEvent;
use cloakroom_core::event::Event;

/// Sends events of one stream to a consumer.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Sends `events` (one, or up to [`Sink::batch_max`] of one stream in order). `Delivered` settles all of them;
    /// anything else means that none may count as settled, and that they will be sent again, from the first.
    async fn send(&self, events: &[Outgoing]) -> Outcome;

    /// The most events one call may take.
    fn batch_max(&self) -> usize {
        1
    }

    /// What it is, in the configuration's word (`http`, `file`), for those who look at a subscription.
    fn kind(&self) -> &'static str {
        "push"
    }

    /// The longest one call may take before it answers by itself. A lease outlives it.
    fn timeout(&self) -> Duration;
}

/// The sink of a subscription whose events another host sends: it takes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Elsewhere {
    /// What the other host sends to, in the configuration's word.
    pub kind: &'static str,
}

#[async_trait]
impl Sink for Elsewhere {
    async fn send(&self, _: &[Outgoing]) -> Outcome {
        Outcome::Deferred {
            wait: Duration::from_secs(60),
        }
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn timeout(&self) -> Duration {
        Duration::ZERO
    }
}

/// An event on its way to a consumer.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The ledger entry.
    pub event: Event,
    /// The payload, when it is small enough to travel inside the event.
    pub inline: Option<Bytes>,
    /// Where the payload can be fetched.
    pub dataref: Option<String>,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// The cursor's epoch: part of any deduplication id, so that a replay is not swallowed.
    pub epoch: u64,
}

impl Outgoing {
    /// The event as consumers see it.
    pub fn cloud_event(&self) -> CloudEvent<'_> {
        CloudEvent::of(&self.event, self.inline.as_deref(), self.dataref.as_deref())
    }
}

/// How a call to a sink ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The consumer has it, durably, as far as it says.
    Delivered,
    /// It did not work; try again.
    Failed {
        /// What happened, for operators. Never holds payload or secrets.
        reason: String,
        /// How long the consumer asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// Nothing was sent: the subscription's own rate limit is used up. Costs no attempt.
    Deferred {
        /// When to come again.
        wait: Duration,
    },
    /// The consumer wants nothing any more (HTTP 410).
    Gone {
        /// What it said.
        reason: String,
    },
}
