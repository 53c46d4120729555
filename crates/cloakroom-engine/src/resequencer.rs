//! The resequencer: moves heads.

use cloakroom_core::event::{Body, Event};
use cloakroom_core::head::Head;
use cloakroom_core::id::{EventId, Identity, StreamId};
use cloakroom_core::ordering::Rule;
use cloakroom_core::position::Position;
use cloakroom_core::resequence::{Candidate, Decision, Need, Skip, need, resequence};
use cloakroom_core::time::Timestamp;
use metrics::counter;

use crate::bell::Due;
use crate::ports::{LedgerError, TransactError, Write};
use crate::record::{HeadRecord, Key, Record, Superseded};
use crate::shared::{Release, Shared};
use crate::state::StateChange;

/// The first look reads the next candidate and one more, which tells whether there are more.
const FIRST_LOOK: usize = 2;
/// The longest run one head move releases: with a record for each superseded version it must fit one transaction.
const RUN_MAX: usize = 90;
/// How many candidates are read at a time when all are needed.
const PAGE: usize = 512;

impl Shared {
    /// Releases whatever may leave `stream` now, and sets the timer for what may leave later.
    pub(crate) async fn resequence(&self, stream: &StreamId) -> Result<(), LedgerError> {
        let Some(rule) = self.catalog.rule(stream) else {
            return Ok(());
        };
        while let Some(Record::Head(before)) = self.ledger.get(&Key::Head(stream.clone())).await? {
            let now = self.clock.now();
            let decision = self.decide(rule, &before, now).await?;
            if let Some(decision) = &decision
                && decision.must_write(&before.head, now)
            {
                if !self.carry_out(&before, decision, now).await? {
                    continue;
                }
                // What was not written is armed already.
                if let Some(at) = decision.head.wake_at {
                    self.set_timer(at, Due::Resequence(stream.clone()));
                }
            }
            if !decision.as_ref().is_some_and(|decision| decision.again) {
                break;
            }
        }
        Ok(())
    }

    /// What the core decides about the stream as it stands; `None` when nothing needs to be read.
    pub(crate) async fn decide(
        &self,
        rule: &Rule,
        before: &HeadRecord,
        now: Timestamp,
    ) -> Result<Option<Decision>, LedgerError> {
        let (mut limit, longest) = match need(rule, &before.head, now) {
            Need::Nothing => return Ok(None),
            Need::Run => (FIRST_LOOK, RUN_MAX),
            Need::All => (PAGE, usize::MAX),
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        loop {
            let after = candidates
                .last()
                .map(|last| &last.position)
                .or(before.head.position.as_ref());
            let page = self
                .ledger
                .events(&before.stream, after, None, limit)
                .await?;
            let complete = page.len() < limit;
            candidates.extend(page.into_iter().map(|e| Candidate {
                position: e.position,
                recorded: e.recorded,
            }));
            let all_leave = |decision: &Decision| decision.released == candidates.len();
            if longest == usize::MAX && !complete {
                continue;
            }
            let decision = resequence(rule, &before.head, &candidates, complete, now);
            if complete || candidates.len() >= longest || !all_leave(&decision) {
                return Ok(Some(decision));
            }
            limit = (limit * 4).min(longest - candidates.len()).max(1);
        }
    }

    /// Writes a decision, on condition that the head is still the one it was made on. `false` when it was not.
    async fn carry_out(
        &self,
        before: &HeadRecord,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let stream = &before.stream;
        let revision = before.revision + 1;
        let advanced = decision.head.position != before.head.position;
        let record = HeadRecord {
            head: decision.head.clone(),
            advanced_at: if advanced {
                revision
            } else {
                before.advanced_at
            },
            revision,
            ..before.clone()
        };
        let mut writes = vec![Write::Replace {
            record: Record::Head(record),
            revision: before.revision,
        }];
        if let Some(skip) = &decision.skipped {
            let entries = skipped(stream, *skip, decision.head.position.as_ref(), now);
            writes.extend(entries.map(|event| Write::Create(Record::Event(event))));
        }
        if decision.superseded > 0 {
            let after = before.head.position.as_ref();
            let older = self
                .ledger
                .events(stream, after, None, decision.superseded)
                .await?;
            writes.extend(older.into_iter().map(|event| {
                let superseded = Superseded {
                    stream: stream.clone(),
                    position: event.position,
                    event: None,
                };
                Write::Create(Record::Superseded(superseded))
            }));
        }
        let changes = stalled_now(stream, &before.head, &decision.head);
        writes.extend(self.state_writes(&changes).await?);
        match self.ledger.transact(writes).await {
            Ok(()) => {
                self.ring_state(&changes);
                if advanced && let Some(up_to) = &decision.head.position {
                    let release = Release {
                        stream: stream.clone(),
                        after: before.head.position.clone(),
                        up_to: up_to.clone(),
                    };
                    self.announce(release, decision.released as u64);
                }
                Ok(true)
            }
            Err(TransactError::Conflict(_)) => Ok(false),
            Err(TransactError::Ledger(error)) => Err(error),
        }
    }

    /// Tells whoever waits that a head has moved over this many events.
    pub(crate) fn announce(&self, release: Release, events: u64) {
        counter!("cloakroom_events_released_total").increment(events);
        self.head_moved(&release.stream);
        if self.releases.receiver_count() > 0 {
            // A send fails only when the last receiver has just gone.
            let _ = self.releases.send(release);
        }
    }
}

/// The entries that hold the places of skipped numbers. The one at the head stands for the whole range, once that is
/// complete.
fn skipped<'a>(
    stream: &'a StreamId,
    skip: Skip,
    head: Option<&'a Position>,
    now: Timestamp,
) -> impl Iterator<Item = Event> + 'a {
    let gap = skip
        .range_from
        .zip(head)
        .map(|(from, head)| (head.clone(), Body::Gap { from, to: skip.to }));
    let gap_event = gap.as_ref().map(|(position, _)| position.clone());
    let placeholders = (skip.from..=skip.to)
        .map(Position::dense)
        .filter(move |position| Some(position) != gap_event.as_ref())
        .map(|position| (position, Body::Placeholder));
    placeholders.chain(gap).map(move |(position, body)| Event {
        stream: stream.clone(),
        id: EventId::of(stream, &position),
        position,
        identity: Identity::from("cloakroom.gap"),
        event_type: "cloakroom.gap".to_owned(),
        time: None,
        recorded: now,
        traceparent: None,
        late: None,
        body,
    })
}

fn stalled_now(stream: &StreamId, before: &Head, after: &Head) -> Vec<StateChange> {
    match &after.gap {
        Some(gap) if gap.stalled && !before.is_stalled() => {
            tracing::warn!(%stream, from = gap.from, to = gap.to, "the stream is stalled at a gap");
            counter!("cloakroom_streams_stalled_total").increment(1);
            vec![StateChange::Stalled {
                stream: stream.clone(),
                from: gap.from,
                to: gap.to,
            }]
        }
        _ => Vec::new(),
    }
}
