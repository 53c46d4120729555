//! What is rung: for the workers of this process, or gathered as data for a host that passes it on.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use crate::doorbell::Doorbells;
use crate::timers::Timers;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Due {
    /// The head of a stream.
    Resequence(StreamId),
    /// What one subscription has not settled of a stream.
    Deliver(SubscriptionName, StreamId),
}

/// A doorbell as data: look at this, now or at a set time. It carries no truth: losing, doubling or reordering bells
/// delays work and never changes its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bell {
    /// What is to be looked at.
    pub due: Due,
    /// When; `None` is now.
    pub at: Option<Timestamp>,
    /// A position up to which the stream is known to be released: it saves a delivery the read of the head.
    pub released_up_to: Option<Position>,
}

/// Where rings go.
pub(crate) enum Rings {
    /// To the workers of this process.
    Workers(Arc<Workers>),
    /// Into the hands of a host that follows the ledger's changes: only what those do not tell.
    Gathered(Rung),
}

impl Rings {
    pub(crate) fn gathered() -> Self {
        Self::Gathered(Rung::default())
    }

    /// What was gathered since the last time.
    pub(crate) fn take(&self) -> Vec<Bell> {
        match self {
            Self::Workers(_) => Vec::new(),
            Self::Gathered(rung) => rung.take(),
        }
    }
}

/// The doorbells and timers of the workers.
#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) resequence: Doorbells<StreamId>,
    pub(crate) timers: Timers<Due>,
}

impl Workers {
    pub(crate) fn new() -> Self {
        Self {
            resequence: Doorbells::new(),
            timers: Timers::new(),
        }
    }
}

/// Rings that were gathered, each thing and time once.
#[derive(Debug, Default)]
pub(crate) struct Rung(Mutex<BTreeMap<(Due, bool), Option<Timestamp>>>);

impl Rung {
    /// Adds a ring. Of those for a set time the earliest stands: whoever looks then sets the next one.
    pub(crate) fn add(&self, due: Due, at: Option<Timestamp>) {
        let mut rung = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match rung.entry((due, at.is_some())) {
            Entry::Vacant(entry) => drop(entry.insert(at)),
            Entry::Occupied(mut entry) => {
                let earliest = (*entry.get()).min(at);
                entry.insert(earliest);
            }
        }
    }

    fn take(&self) -> Vec<Bell> {
        let mut rung = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
            .into_iter()
            .map(|((due, _), at)| Bell {
                due,
                at,
                released_up_to: None,
            })
            .collect()
    }
}
