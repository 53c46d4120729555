//! A ledger of one stream, with the append protocol and the resequencer over it, as small as they can be: the same
//! guards, pages and conditions as the engine's, one step at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::head::{Gap, Head};
use crate::ordering::{GapAction, Guard, LatePolicy, Placement, Reason, Rule};
use crate::position::{Position, Sequence};
use crate::resequence::{Candidate, Decision, Need, Skip, need, resequence};
use crate::time::Timestamp;

/// The first look of the engine reads this many candidates.
const FIRST_LOOK: usize = 2;

/// What a delivery is about: the event's identity and its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Input {
    pub(super) identity: String,
    pub(super) number: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Payload(Input),
    Placeholder,
    Gap(u64, u64),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) recorded: Timestamp,
    pub(super) body: Body,
}

/// What became of an input. Each gets exactly one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    Placed(Position),
    Superseded(Position),
    Quarantined(Reason),
}

/// A resequencer between two of its steps. Several may be at work, and any may stop for ever.
#[derive(Debug, Clone, Default)]
pub(super) enum Worker {
    #[default]
    Idle,
    Read(Head, u64),
    Decided(Head, u64, Box<Decision>, Timestamp),
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) rule: Rule,
    pub(super) now: Timestamp,
    pub(super) head: Head,
    revision: u64,
    pub(super) entries: BTreeMap<Position, Entry>,
    /// What left, in the order in which it left.
    pub(super) released: Vec<(Position, Entry)>,
    pub(super) fates: BTreeMap<String, Fate>,
    superseded: BTreeMap<Position, String>,
    /// The numbers at which the head stood while no gap was known.
    without_gap: BTreeSet<u64>,
    /// The longest run that is read at once.
    run_max: usize,
    pub(super) candidates_read: usize,
    pub(super) head_writes: usize,
}

impl Model {
    pub(super) fn new(rule: Rule, run_max: usize) -> Self {
        Self {
            head: rule.initial_head(),
            rule,
            now: Timestamp::from_secs(1_000),
            revision: 0,
            entries: BTreeMap::new(),
            released: Vec::new(),
            fates: BTreeMap::new(),
            superseded: BTreeMap::new(),
            without_gap: BTreeSet::new(),
            run_max,
            candidates_read: 0,
            head_writes: 0,
        }
    }

    /// One delivery, accepted at `recorded`, whose first round works with the head as it was when it was read.
    /// `false` when it was refused for now: the provider tries again.
    pub(super) fn append(&mut self, input: &Input, recorded: Timestamp, read: Head) -> bool {
        let mut head = read;
        for _ in 0..4 {
            if self.fates.contains_key(&input.identity) {
                return true;
            }
            if let Some(fate) = self.round(input, recorded, &head) {
                let before = self.fates.insert(input.identity.clone(), fate);
                assert_eq!(before, None, "{input:?} has two fates");
                return true;
            }
            head = self.head.clone();
        }
        false
    }

    fn round(&mut self, input: &Input, recorded: Timestamp, head: &Head) -> Option<Fate> {
        let sequence = Sequence::whole(input.number);
        let identity = input.identity.as_str().into();
        match self.rule.place(head, Some(&sequence), &identity, self.now) {
            Placement::At { position, guard } => self.create(input, recorded, position, guard),
            Placement::Late => self.late(input, recorded, head),
            Placement::Superseded(position) => Some(self.supersede(input, position)),
            Placement::Quarantine(reason) => Some(Fate::Quarantined(reason)),
        }
    }

    fn create(
        &mut self,
        input: &Input,
        recorded: Timestamp,
        position: Position,
        guard: Guard,
    ) -> Option<Fate> {
        if let Some(stored) = self.entries.get(&position) {
            return match &stored.body {
                // Its own fate would have been found before.
                Body::Payload(_) => Some(Fate::Quarantined(Reason::SequenceConflict)),
                Body::Placeholder | Body::Gap(..) => self.late(input, recorded, &self.head.clone()),
            };
        }
        let allowed = match guard {
            Guard::None => true,
            Guard::Base(number) => self.head.base.number().is_none_or(|base| base <= number),
            Guard::Head => !self.head.covers(&position),
        };
        if allowed {
            return Some(self.insert(input, recorded, position, guard == Guard::Head));
        }
        match (guard, &self.rule) {
            (Guard::Head, Rule::Version) => Some(self.supersede(input, position)),
            (Guard::Head, Rule::Sparse { .. }) => self.late(input, recorded, &self.head.clone()),
            _ => None,
        }
    }

    fn late(&mut self, input: &Input, recorded: Timestamp, head: &Head) -> Option<Fate> {
        if self.rule.late_policy() == LatePolicy::Quarantine {
            return Some(Fate::Quarantined(Reason::Late));
        }
        let mut place = Position::after_head(head.position.as_ref()).unwrap();
        while self.entries.contains_key(&place) {
            place = Position::after_head(Some(&place)).unwrap();
        }
        (!self.head.covers(&place)).then(|| self.insert(input, recorded, place, true))
    }

    fn supersede(&mut self, input: &Input, position: Position) -> Fate {
        let taken = self.entries.contains_key(&position) || self.superseded.contains_key(&position);
        if taken {
            return Fate::Quarantined(Reason::SequenceConflict);
        }
        self.superseded
            .insert(position.clone(), input.identity.clone());
        Fate::Superseded(position)
    }

    fn insert(
        &mut self,
        input: &Input,
        recorded: Timestamp,
        position: Position,
        counted: bool,
    ) -> Fate {
        assert!(!self.head.covers(&position), "{position} is frozen");
        self.revision += u64::from(counted);
        let body = Body::Payload(input.clone());
        self.entries
            .insert(position.clone(), Entry { recorded, body });
        Fate::Placed(position)
    }

    /// An operator asks to pass the gap over.
    pub(super) fn skip_gap(&mut self) {
        if let Some(gap) = &mut self.head.gap {
            gap.skipping_from.get_or_insert(gap.from);
            self.head.wake_at = None;
            self.revision += 1;
        }
    }

    /// The worker's next step. `None` when it is at rest: with the time at which it wants to look again.
    pub(super) fn step(&mut self, worker: Worker) -> Result<Worker, Option<Timestamp>> {
        match worker {
            Worker::Idle => Ok(Worker::Read(self.head.clone(), self.revision)),
            Worker::Read(head, revision) => match self.decide(&head) {
                Some(decision) => {
                    self.check_decision(&head, &decision);
                    Ok(Worker::Decided(
                        head,
                        revision,
                        Box::new(decision),
                        self.now,
                    ))
                }
                None => Err(head.wake_at),
            },
            Worker::Decided(before, revision, decision, now) => {
                let must_write = decision.must_write(&before, now);
                let written = !must_write || self.carry_out(&before, revision, &decision, now);
                assert!(
                    must_write || !decision.again,
                    "it would look again for ever"
                );
                if written && !decision.again {
                    return Err(decision.head.wake_at);
                }
                Ok(Worker::Idle)
            }
        }
    }

    /// Looks until there is nothing to do; when to look again.
    pub(super) fn run(&mut self) -> Option<Timestamp> {
        let mut worker = Worker::Idle;
        for _ in 0..100_000 {
            match self.step(worker) {
                Ok(next) => worker = next,
                Err(wake_at) => return wake_at,
            }
        }
        panic!("the resequencer never comes to rest: {:?}", self.head);
    }

    /// Lets time pass, with nothing but the timers ringing, until none is left.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            match self.run() {
                Some(wake_at) => self.now = self.now.max(wake_at),
                None => return,
            }
        }
        panic!("the timers never end: {:?}", self.head);
    }

    fn page(&mut self, after: Option<&Position>, limit: usize) -> Vec<Candidate> {
        let above =
            self.entries
                .iter()
                .filter(|_| after.is_none())
                .chain(after.into_iter().flat_map(|after| {
                    let bounds = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
                    self.entries.range::<Position, _>(bounds)
                }));
        let page: Vec<_> = above
            .take(limit)
            .map(|(position, entry)| Candidate {
                position: position.clone(),
                recorded: entry.recorded,
            })
            .collect();
        self.candidates_read += page.len();
        page
    }

    /// Reads as the engine's resequencer reads.
    pub(super) fn decide(&mut self, head: &Head) -> Option<Decision> {
        let (mut limit, longest) = match need(&self.rule, head, self.now) {
            Need::Nothing => return None,
            Need::Run => (FIRST_LOOK.min(self.run_max), self.run_max),
            Need::All => (usize::MAX, usize::MAX),
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        loop {
            let after = candidates.last().map(|last| last.position.clone());
            let page = self.page(after.as_ref().or(head.position.as_ref()), limit);
            let complete = page.len() < limit;
            candidates.extend(page);
            let decision = resequence(&self.rule, head, &candidates, complete, self.now);
            let again = resequence(&self.rule, head, &candidates, complete, self.now);
            assert_eq!(decision, again, "the same facts lead to the same decision");
            let all_leave = decision.released == candidates.len();
            if complete || candidates.len() >= longest || !all_leave {
                return Some(decision);
            }
            limit = (limit * 4).min(longest - candidates.len()).max(1);
        }
    }

    fn carry_out(
        &mut self,
        before: &Head,
        revision: u64,
        decision: &Decision,
        now: Timestamp,
    ) -> bool {
        let entries = decision.skipped.map_or_else(Vec::new, |skip| {
            skipped_entries(skip, decision.head.position.clone().unwrap(), now)
        });
        let taken = entries
            .iter()
            .any(|(position, _)| self.entries.contains_key(position));
        if self.revision != revision || taken {
            return false;
        }
        assert_eq!(&self.head, before);
        assert!(
            before.position <= decision.head.position,
            "the head went back"
        );
        let written = entries.len();
        self.entries.extend(entries);
        self.head = decision.head.clone();
        self.revision += 1;
        self.head_writes += 1;
        let number = self.head.position.as_ref().and_then(Position::number);
        self.without_gap
            .extend(number.filter(|_| self.head.gap.is_none()));
        let leaves = |position: &&Position| self.head.covers(position) && !before.covers(position);
        let leaving: Vec<_> = match &before.position {
            Some(_) | None if self.head.position == before.position => Vec::new(),
            _ => self.entries.keys().filter(leaves).cloned().collect(),
        };
        assert_eq!(leaving.len(), decision.released + written, "{decision:?}");
        for position in leaving {
            let entry = self.entries[&position].clone();
            self.released.push((position, entry));
        }
        true
    }

    /// What holds for each decision by itself.
    fn check_decision(&self, before: &Head, decision: &Decision) {
        if let Some(gap) = &decision.head.gap {
            assert!(gap.from <= gap.to, "{gap:?} is no hole");
        }
        if let Some(skip) = decision.skipped {
            self.check_skip(before, skip);
        }
    }

    /// A hole is passed over only on an operator's word, or when the policy's time is over since it last shrank.
    fn check_skip(&self, before: &Head, skip: Skip) {
        assert!(
            skip.to + 1 - skip.from <= 98,
            "{skip:?} fits no transaction"
        );
        let begun = |gap: &Gap| gap.skipping_from.is_some();
        let Rule::Dense { gap: policy, .. } = &self.rule else {
            panic!("only a dense stream has holes");
        };
        if before.gap.as_ref().is_some_and(begun) {
            return;
        }
        let (above, _) = self
            .own_places()
            .find(|(_, number)| *number > skip.to)
            .expect("a hole has an upper end");
        // What was released before anything was known of a hole did not shrink it.
        let below = self
            .own_places()
            .find(|(_, number)| *number + 1 == skip.from)
            .filter(|(_, number)| !self.without_gap.contains(number))
            .map(|(recorded, _)| recorded);
        let since = below.unwrap_or(above).max(above);
        assert_eq!(policy.then, GapAction::Skip);
        assert!(
            since.after(policy.after) <= self.now,
            "{skip:?} is premature"
        );
    }

    /// When what stands at its own place was accepted, by number.
    fn own_places(&self) -> impl Iterator<Item = (Timestamp, u64)> {
        self.entries
            .iter()
            .filter_map(|(position, entry)| match &entry.body {
                Body::Payload(input) if !position.is_late() => Some((entry.recorded, input.number)),
                _ => None,
            })
    }
}

/// What the engine writes for a [`Skip`].
fn skipped_entries(skip: Skip, head: Position, now: Timestamp) -> Vec<(Position, Entry)> {
    let entry = |body| Entry {
        recorded: now,
        body,
    };
    let mut entries: BTreeMap<_, _> = (skip.from..=skip.to)
        .map(|number| (Position::dense(number), entry(Body::Placeholder)))
        .collect();
    if let Some(from) = skip.range_from {
        entries.insert(head, entry(Body::Gap(from, skip.to)));
    }
    entries.into_iter().collect()
}
