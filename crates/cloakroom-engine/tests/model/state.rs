//! What is stored, what the workers know, and what is remembered for the properties.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use cloakroom_core::head::Head;
use cloakroom_core::id::Identity;
use cloakroom_core::ordering::{Guard, Rule};
use cloakroom_core::position::{Position, Sequence};
use cloakroom_core::time::Timestamp;

/// How long a send may take, in ticks.
pub(crate) const SEND: u8 = 1;
/// How long a lease lasts: longer than a send.
pub(crate) const LEASE: u8 = 2;
/// How long a failed try is waited for.
pub(crate) const RETRY: u8 = 1;
/// How many tries there are.
pub(crate) const ATTEMPTS: u8 = 2;

/// A rule of the protocol that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Nothing is.
    Nothing,
    /// Deliverers take no lease.
    NoLease,
    /// Cursors are moved whatever they are.
    BlindCursor,
    /// Heads are moved whatever they are.
    BlindHead,
    /// The range is read before the head.
    RangeFirst,
    /// Nobody looks for what nobody rang for.
    NoSweep,
    /// Appends are not conditioned on the head.
    NoAdmit,
    /// Placeholders are written whether their place is free or not.
    BlindPlaceholders,
    /// The dead letter is written after the cursor moved over the event.
    SkipInTwo,
    /// A lease ends before the send that it covers.
    ShortLease,
    /// A provider is told 2xx before the entry is written.
    EarlyAnswer,
}

/// How often things may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    /// Doorbells that ring once more, by themselves.
    pub(crate) doubled: u8,
    /// Doorbells that are lost.
    pub(crate) lost: u8,
    /// Workers that end in the middle of work.
    pub(crate) crashes: u8,
    /// Sends that fail, whether the consumer took the event or not.
    pub(crate) failures: u8,
    /// Providers that send again what was acknowledged.
    pub(crate) resends: u8,
    /// Acts of an operator.
    pub(crate) acts: u8,
    /// Ticks that pass while a deliverer stands still between two steps.
    pub(crate) pauses: u8,
}

/// The size of a model.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    pub(crate) rule: Rule,
    /// The order fields of the events; their identities are their indexes.
    pub(crate) numbers: Vec<u64>,
    /// How many events are in the ledger and released when the model begins.
    pub(crate) released: usize,
    pub(crate) resequencers: usize,
    pub(crate) deliverers: usize,
    /// Whether one process has the ledger to itself: no leases, appends may release, and a crash ends all workers.
    pub(crate) exclusive: bool,
    pub(crate) budget: Budget,
    pub(crate) broken: Broken,
    /// What must be able to happen, by the names of `properties.rs`.
    pub(crate) reaches: &'static [&'static str],
}

/// A head with a hash, and with an order, so that two workers who could change places count as one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyedHead(pub(crate) Head);

/// Everything of a head that changes in the streams that are modelled.
fn key(head: &Head) -> impl Hash + Ord + use<> {
    let gap = head.gap.as_ref();
    let gap = gap.map(|g| {
        (
            g.from,
            g.to,
            g.since,
            g.deadline,
            g.stalled,
            g.skipping_from,
        )
    });
    (head.position.clone(), head.base.number(), head.wake_at, gap)
}

impl Hash for KeyedHead {
    fn hash<H: Hasher>(&self, state: &mut H) {
        key(&self.0).hash(state);
    }
}

impl PartialOrd for KeyedHead {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyedHead {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        key(&self.0).cmp(&key(&other.0))
    }
}

/// What a ledger entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    Event(usize),
    Placeholder,
    Gap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) content: Content,
    pub(crate) recorded: u8,
}

/// How far the append of one event has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Append {
    /// Nothing was read yet, or everything must be read again.
    Begins {
        late: bool,
    },
    /// The place was chosen on a head that may have moved since.
    Planned {
        position: Position,
        guard: PlannedGuard,
        recorded: u8,
    },
    Acknowledged,
}

/// What the write is conditioned on, besides a free place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PlannedGuard {
    None,
    Admit,
    /// Late: admitted, and with an identity record.
    Late,
    /// The append moves the head itself, from this revision.
    Release {
        revision: u8,
        head: KeyedHead,
    },
}

impl From<Guard> for PlannedGuard {
    fn from(guard: Guard) -> Self {
        match guard {
            Guard::None | Guard::Base(_) => Self::None,
            Guard::Head => Self::Admit,
        }
    }
}

/// How far a resequencer has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Resequencer {
    Idle,
    /// Only where the range is read before the head.
    HasRange(Vec<(Position, u8)>),
    HasHead {
        revision: u8,
        head: KeyedHead,
    },
    Decided {
        revision: u8,
        head: KeyedHead,
        skipped: Option<(u64, u64, bool)>,
        again: bool,
    },
}

/// What a cursor waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wait {
    Active,
    Retrying { attempts: u8, at: u8 },
    Parked,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Cursor {
    pub(crate) position: Option<Position>,
    pub(crate) wait: Wait,
    /// Who holds it, until when.
    pub(crate) lease: Option<(usize, u8)>,
    pub(crate) epoch: u8,
    pub(crate) revision: u8,
}

/// How far a deliverer has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Deliverer {
    Idle,
    /// It knows up to where the stream is released.
    Looked {
        up_to: Position,
    },
    /// It has its own copy of the cursor, which may be ahead of the stored one.
    Has {
        up_to: Position,
        cursor: Cursor,
        unsaved: bool,
    },
    /// A request is under way.
    Sends {
        up_to: Position,
        cursor: Cursor,
        position: Position,
        until: u8,
    },
}

/// An operator in the middle of an act.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Operator {
    Idle,
    Skips(Cursor),
    Replays(Cursor),
    /// Only where the dead letter is not written with the cursor's move.
    Buries(Position),
}

/// What happened that must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Wrong {
    HeadWentBack,
    InsertedBelowHead,
    EntryOverwritten,
    SentTooEarly,
    RepeatedWithoutCause,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) now: u8,
    pub(crate) head: KeyedHead,
    pub(crate) revision: u8,
    pub(crate) entries: BTreeMap<Position, Entry>,
    /// Where events are whose place does not follow from them.
    pub(crate) identities: BTreeMap<usize, Position>,
    pub(crate) appends: Vec<Append>,
    pub(crate) resequencers: Vec<Resequencer>,
    pub(crate) cursor: Cursor,
    pub(crate) deliverers: Vec<Deliverer>,
    pub(crate) operator: Operator,
    pub(crate) rings_resequencer: bool,
    pub(crate) rings_deliverer: bool,
    /// Requests of senders that died: what, and until when it may still arrive.
    pub(crate) strays: Vec<(Position, u8)>,
    pub(crate) budget: Budget,
    pub(crate) seen: Seen,
}

/// What nobody in the protocol knows: it is remembered for the properties.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Seen {
    /// Which events a provider got a 2xx for.
    pub(crate) acknowledged: BTreeSet<usize>,
    /// What the consumer took, ever.
    pub(crate) taken: BTreeSet<Position>,
    /// What the consumer acknowledged to a sender in the present epoch.
    pub(crate) settled: BTreeSet<Position>,
    /// Dead letters.
    pub(crate) dead: BTreeSet<Position>,
    /// What was one before a replay: a send that was under way then may still arrive. That the cursor passes only what is
    /// settled or dead since then is a property of its own.
    pub(crate) was_dead: BTreeSet<Position>,
    /// Whether something happened that lets a consumer see again what it had acknowledged.
    pub(crate) excused: bool,
    /// Whether a late event was placed, a gap passed over, a stream parked, an event sent twice: so that no property
    /// holds because nothing happens.
    pub(crate) placed_late: bool,
    pub(crate) parked: bool,
    pub(crate) repeated: bool,
    pub(crate) wrong: BTreeSet<Wrong>,
}

impl State {
    pub(crate) fn time(&self) -> Timestamp {
        time(self.now)
    }
}

pub(crate) fn time(tick: u8) -> Timestamp {
    Timestamp::from_micros(i64::from(tick))
}

pub(crate) fn tick(time: Timestamp) -> u8 {
    u8::try_from(time.as_micros()).unwrap()
}

pub(crate) fn identity(event: usize) -> Identity {
    Identity::from(format!("event {event}"))
}

impl Protocol {
    pub(crate) fn sequence(&self, event: usize) -> Sequence {
        Sequence::whole(self.numbers[event])
    }
}
