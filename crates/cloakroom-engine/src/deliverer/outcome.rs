//! What comes of a try: it is counted, told, retried, given up on, or put off.

use std::time::Duration;

use cloakroom_core::event::Event;
use metrics::{counter, histogram};

use super::{Drain, Stop};
use crate::bell::Due;
use crate::catalog::Exhausted;
use crate::ports::Write;
use crate::record::{CursorState, DeadLetter, Key, Record};
use crate::shared::StoreError;
use crate::state::StateChange;

impl Drain<'_> {
    pub(super) async fn succeeded(
        &mut self,
        batch: &[Event],
        attempts: u32,
    ) -> Result<(), StoreError> {
        let name = &self.active.config.name;
        counter!("cloakroom_deliveries_total", "subscription" => name.to_string(), "outcome" => "delivered")
            .increment(batch.len() as u64);
        let now = self.shared.clock.now();
        for event in batch {
            histogram!("cloakroom_delivery_delay_seconds")
                .record(now.since(event.recorded).as_secs_f64());
        }
        if self.tells_state() {
            self.changes
                .extend(batch.iter().map(|event| StateChange::Succeeded {
                    subscription: name.clone(),
                    event: event.id.clone(),
                    stream: event.stream.clone(),
                    attempts,
                }));
        }
        if self.cursor.epoch > 0 {
            self.unbury(batch).await?;
        }
        Ok(())
    }

    /// After a replay: what is delivered after all is a dead letter no more.
    async fn unbury(&mut self, batch: &[Event]) -> Result<(), StoreError> {
        for event in batch {
            let name = self.active.config.name.clone();
            let key = Key::DeadLetter(name, event.stream.clone(), event.position.clone());
            if self.shared.ledger.get(&key).await?.is_some() {
                self.with_move.push(Write::Delete {
                    key,
                    revision: None,
                });
            }
        }
        Ok(())
    }

    pub(super) fn failed(&mut self, event: &Event, attempts: u32, reason: &str) {
        let name = &self.active.config.name;
        tracing::info!(subscription = %name, event_id = %event.id, stream = %event.stream, attempts, reason, "a delivery failed");
        counter!("cloakroom_deliveries_total", "subscription" => name.to_string(), "outcome" => "failed").increment(1);
    }

    fn tells_state(&self) -> bool {
        self.shared.catalog.has_state_subscribers() && !self.active.config.listens_to_state()
    }

    pub(super) fn next_wait(&self, failed: u32, retry_after: Option<Duration>) -> Option<Duration> {
        self.active
            .config
            .retry
            .wait_after(failed, retry_after, self.shared.entropy.next())
    }

    pub(super) async fn retry_later(
        &mut self,
        event: &Event,
        attempts: u32,
        reason: String,
        wait: Duration,
    ) -> Result<Result<(), Stop>, StoreError> {
        let retry_at = self.shared.clock.now().after(wait);
        if self.tells_state() {
            self.changes.push(StateChange::Failed {
                subscription: self.active.config.name.clone(),
                event: event.id.clone(),
                stream: event.stream.clone(),
                attempts,
                reason: reason.clone(),
            });
        }
        self.cursor.state = CursorState::Retrying {
            attempts,
            retry_at,
            reason,
        };
        if let Err(stop) = self.save().await? {
            return Ok(Err(stop));
        }
        let due = Due::Deliver(self.active.config.name.clone(), self.cursor.stream.clone());
        self.shared.set_timer(retry_at, due);
        Ok(Err(Stop::Waiting))
    }

    /// Every try is spent: park, or pass the event over, on record and in one transaction with the cursor's move.
    pub(super) async fn exhausted(
        &mut self,
        event: &Event,
        attempts: u32,
        reason: String,
    ) -> Result<Result<(), Stop>, StoreError> {
        match self.active.config.exhausted {
            Exhausted::Park => {
                self.aborted(event, attempts, &reason, Exhausted::Park);
                let since = self.shared.clock.now();
                self.cursor.state = CursorState::Parked {
                    attempts,
                    since,
                    reason,
                };
                Ok(self.save().await?.and(Err(Stop::Waiting)))
            }
            Exhausted::DeadLetter => {
                self.bury(event, attempts, reason).await?;
                self.settle(event.position.clone(), 1);
                self.save().await
            }
        }
    }

    pub(super) async fn bury(
        &mut self,
        event: &Event,
        attempts: u32,
        reason: String,
    ) -> Result<(), StoreError> {
        self.aborted(event, attempts, &reason, Exhausted::DeadLetter);
        self.cursor.state = CursorState::Active;
        let dead_letter = Record::DeadLetter(DeadLetter {
            subscription: self.active.config.name.clone(),
            stream: event.stream.clone(),
            position: event.position.clone(),
            id: event.id.clone(),
            since: self.shared.clock.now(),
            attempts,
            reason,
            revision: 0,
        });
        self.with_move.push(self.shared.upsert(dead_letter).await?);
        Ok(())
    }

    fn aborted(&mut self, event: &Event, attempts: u32, reason: &str, then: Exhausted) {
        let subscription = self.active.config.name.clone();
        // Alarms look for the words of this line: in one case the stream waits for an operator, in the other it goes on.
        let then = match then {
            Exhausted::Park => "park",
            Exhausted::DeadLetter => "dead-letter",
        };
        tracing::warn!(%subscription, event_id = %event.id, stream = %event.stream, attempts, then, reason, "gave up on a delivery");
        counter!("cloakroom_deliveries_total", "subscription" => subscription.to_string(), "outcome" => "aborted").increment(1);
        if self.tells_state() {
            let (event, stream) = (event.id.clone(), event.stream.clone());
            self.changes.push(StateChange::Aborted {
                subscription,
                event,
                stream,
                attempts,
                reason: reason.to_owned(),
            });
        }
    }

    /// The sink's own rate limit is used up: the event waits, and no try is counted.
    pub(super) async fn come_again(
        &mut self,
        wait: Duration,
    ) -> Result<Result<(), Stop>, StoreError> {
        let at = self.shared.clock.now().after(wait);
        let due = Due::Deliver(self.active.config.name.clone(), self.cursor.stream.clone());
        self.shared.set_timer(at, due);
        Ok(self.save_rest().await?.and(Err(Stop::Waiting)))
    }

    /// The consumer wants nothing any more: nothing is sent to it until an operator enables it again.
    pub(super) async fn gone(&mut self, reason: String) -> Result<Result<(), Stop>, StoreError> {
        let saved = self.save().await?;
        self.shared.disable(self.active, reason).await?;
        Ok(saved.and(Err(Stop::Waiting)))
    }
}
