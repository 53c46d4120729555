//! The complete history: everything observable, in the order in which it happened.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloakroom_core::event::{ClaimName, Sha256};
use cloakroom_core::id::{EventId, StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::Receipt;
use cloakroom_engine::ports::Write;
use sha2::Digest as _;

use crate::plan::Plan;
use crate::provider::Webhook;
use crate::time::WallClock;

/// One thing that happened.
#[expect(
    missing_docs,
    reason = "each fact says what it is, and its fields are named after what they hold"
)]
#[derive(Debug)]
pub enum Fact {
    /// A process began to work, under this configuration.
    Started { life: u32, plan: Arc<Plan> },
    /// A process was refused its configuration.
    StartRefused { plan: Arc<Plan>, why: String },
    /// A process died.
    Died { life: u32 },
    /// A transaction was carried out; `now` is what the process's clock showed.
    Transacted {
        life: u32,
        now: Timestamp,
        writes: Vec<Write>,
    },
    /// A payload became a claim.
    ClaimStored { claim: ClaimName, sha256: Sha256 },
    /// A claim was deleted.
    ClaimDeleted { claim: ClaimName },
    /// A provider, or somebody who pretends to be one, begins to send this.
    Requested { webhook: Arc<Webhook> },
    /// A provider was answered with a receipt: a 2xx. Whether it arrived is another question.
    Acknowledged {
        life: u32,
        webhook: Arc<Webhook>,
        receipt: Receipt,
    },
    /// A provider was told that its event is stored, and that not every consumer has it yet.
    NotDelivered {
        webhook: Arc<Webhook>,
        receipt: Receipt,
    },
    /// A provider was refused.
    Refused { webhook: Arc<Webhook>, why: String },
    /// A provider has put the body of this into the store itself, at the place that it was offered.
    Uploaded { webhook: Arc<Webhook> },
    /// What was uploaded was taken in.
    TakenIn {
        webhook: Arc<Webhook>,
        receipt: Receipt,
    },
    /// What was uploaded was not what was announced, and was removed.
    Discarded { webhook: Arc<Webhook>, why: String },
    /// A call arrived at a consumer.
    Sent {
        call: u64,
        life: u32,
        subscription: SubscriptionName,
        events: Vec<Seen>,
    },
    /// The consumer did what the call asked.
    Taken { call: u64 },
    /// The sender learned how the call ended, or will never learn it.
    Ended { call: u64 },
    /// A pulling consumer got these.
    Pulled {
        subscription: SubscriptionName,
        events: Vec<Seen>,
    },
    /// A pulling consumer acknowledges.
    Acknowledges {
        subscription: SubscriptionName,
        ids: Vec<EventId>,
    },
    /// An operator asks a process for something.
    Operator { act: Act },
    /// Somebody set the wall clock.
    ClockSet { micros: i64 },
    /// Nothing goes wrong any more.
    Healed,
}

/// What an operator does, as far as the checker must know of it.
#[derive(Debug)]
pub enum Act {
    /// A gap is passed over, whatever the policy.
    SkipGap(StreamId),
    /// Anything else, in words.
    Other(String),
}

/// An event as a consumer saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its stream.
    pub stream: StreamId,
    /// Its place.
    pub position: Position,
    /// Its id.
    pub id: EventId,
    /// The cursor's epoch.
    pub epoch: u64,
    /// The hash of the bytes that came with it, or that its claim held; `None` for an event without payload.
    pub bytes: Option<Sha256>,
}

/// The history while it is written.
#[derive(Debug)]
pub struct Trace {
    facts: Mutex<Vec<(i64, Fact)>>,
    clock: Arc<WallClock>,
}

impl Trace {
    /// An empty history.
    pub fn new(clock: &Arc<WallClock>) -> Self {
        Self {
            facts: Mutex::default(),
            clock: Arc::clone(clock),
        }
    }

    /// This happened now.
    pub fn add(&self, fact: Fact) {
        self.lock().push((self.clock.elapsed(), fact));
    }

    /// Reads what has happened so far.
    pub fn read<T>(&self, with: impl FnOnce(&[(i64, Fact)]) -> T) -> T {
        with(&self.lock())
    }

    /// One number for the whole history: two runs of one seed have the same.
    pub fn hash(&self) -> Sha256 {
        let mut hasher = sha2::Sha256::new();
        let mut text = String::new();
        for (at, fact) in self.lock().iter() {
            text.clear();
            write!(text, "{at} {fact:?}").expect("a string takes everything");
            hasher.update(text.as_bytes());
        }
        Sha256(hasher.finalize().into())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(i64, Fact)>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
