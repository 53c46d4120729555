//! The worker of one shard: read, filter, gather a batch, have it dealt with, save how far it came; one batch at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use cloakroom_core::time::Timestamp;

use crate::EXECUTION_MAX;
use crate::answer::Answer;
use crate::batch::{Batch, Step};
use crate::letter::{Burial, DeadLetter};
use crate::pipe::{POLL, Pipe, Stopped};
use crate::ports::{Checkpoint, Position, ShardId, TargetError};
use crate::reader::Reader;
use crate::record::{Item, PAYLOAD_MAX_BYTES, payload};

/// The worker of one shard.
pub(crate) struct Worker {
    pipe: Arc<Pipe>,
    shard: ShardId,
    reader: Reader,
    /// What passed the filters and is not in a batch yet.
    waiting: VecDeque<Arc<Item>>,
    /// How much of a payload the waiting records take.
    waiting_bytes: usize,
    /// When the batching window of the waiting records ends.
    window_ends: Timestamp,
    /// The last record that was read, filtered out or not.
    read_to: Option<String>,
    ended: bool,
}

impl Worker {
    pub(crate) fn new(pipe: Arc<Pipe>, shard: ShardId, position: Position) -> Self {
        Self {
            reader: Reader::new(Arc::clone(&pipe), shard.clone(), position),
            window_ends: pipe.now(),
            pipe,
            shard,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            read_to: None,
            ended: false,
        }
    }

    /// Works until the shard is closed and all of it is settled.
    pub(crate) async fn run(mut self) -> Result<(), Stopped> {
        loop {
            if self.full() {
                self.deliver().await?;
            } else if self.ended {
                self.pipe.save(&self.shard, &Checkpoint::Finished).await;
                return Ok(());
            } else {
                self.read().await?;
            }
        }
    }

    /// Whether a batch should leave now.
    fn full(&self) -> bool {
        !self.waiting.is_empty()
            && (self.ended
                || self.waiting.len() >= self.pipe.batch_size
                || self.waiting_bytes >= PAYLOAD_MAX_BYTES
                || self.pipe.now() >= self.window_ends)
    }

    async fn read(&mut self) -> Result<(), Stopped> {
        let read = self.reader.next().await?;
        self.ended = read.ended;
        if read.records.is_empty() {
            return if self.ended {
                Ok(())
            } else {
                self.wait().await
            };
        }
        for record in read.records {
            self.read_to = Some(record.sequence_number.clone());
            if self.pipe.filters.pass(&record.body) {
                self.admit(Item::new(record));
            }
        }
        if self.waiting.is_empty() {
            self.settled_all().await;
        }
        Ok(())
    }

    /// Waits until the shard should be read again, or the window ends.
    async fn wait(&self) -> Result<(), Stopped> {
        let mut until = self.pipe.now().after(POLL);
        if !self.waiting.is_empty() {
            until = until.min(self.window_ends);
        }
        self.pipe.pause_until(until).await
    }

    fn admit(&mut self, item: Item) {
        if self.waiting.is_empty() {
            self.window_ends = self.pipe.now().after(self.pipe.window);
        }
        self.waiting_bytes += item.size();
        self.waiting.push_back(Arc::new(item));
    }

    /// Everything that was read is settled.
    async fn settled_all(&self) {
        if let Some(read_to) = &self.read_to {
            let checkpoint = Checkpoint::After(read_to.clone());
            self.pipe.save(&self.shard, &checkpoint).await;
        }
    }

    /// Takes the records of one batch.
    fn take_batch(&mut self) -> Vec<Arc<Item>> {
        let mut items = Vec::new();
        // The brackets take one byte more than the separators of all records.
        let mut bytes = 1;
        while let Some(next) = self.waiting.front() {
            let fits = bytes + next.size() <= PAYLOAD_MAX_BYTES;
            if items.len() == self.pipe.batch_size || !(fits || items.is_empty()) {
                break;
            }
            bytes += next.size();
            self.waiting_bytes -= next.size();
            items.extend(self.waiting.pop_front());
        }
        self.window_ends = self.pipe.now().after(self.pipe.window);
        items
    }

    async fn deliver(&mut self) -> Result<(), Stopped> {
        let mut batch = Batch::new(self.take_batch(), self.pipe.policy);
        let mut failed = 0;
        loop {
            if self.pipe.stop.is_cancelled() {
                return Err(Stopped);
            }
            match batch.step(self.pipe.now()) {
                Step::Done => break,
                Step::Bury(given_up) => {
                    self.bury(&given_up).await?;
                    batch.buried(given_up.items.len());
                }
                Step::Invoke(items) => match self.invoke(&items).await {
                    Ok(Answer::Success) => {
                        batch.answered(&Answer::Success);
                        failed = 0;
                    }
                    Ok(answer) => {
                        batch.answered(&answer);
                        failed += 1;
                        self.pipe.back_off(failed).await?;
                    }
                    Err(error) => {
                        tracing::warn!(pipe = self.pipe.name, shard = %self.shard, %error, "will be tried again");
                        failed += 1;
                        self.pipe.back_off(failed).await?;
                    }
                },
            }
            if let Some(settled) = batch.settled() {
                let checkpoint = Checkpoint::After(settled.to_owned());
                self.pipe.save(&self.shard, &checkpoint).await;
            }
        }
        if self.waiting.is_empty() {
            self.settled_all().await;
        }
        Ok(())
    }

    /// Invokes the target once. An error does not count as an attempt.
    async fn invoke(&self, items: &[Arc<Item>]) -> Result<Answer, TargetError> {
        let parts = &self.pipe.parts;
        let payload = Bytes::from(payload(items.iter().map(AsRef::as_ref)));
        let deadline = self.pipe.now().after(EXECUTION_MAX);
        let outcome = tokio::select! {
            outcome = parts.target.invoke(payload) => outcome,
            () = parts.clock.sleep_until(deadline) => {
                Err(TargetError::Failed(format!("no answer within {} s", EXECUTION_MAX.as_secs())))
            }
        };
        let answer = match outcome {
            Ok(answer) => Answer::read(&answer, items.iter().map(|item| item.event_id.as_str())),
            Err(TargetError::Failed(error)) => {
                tracing::warn!(pipe = self.pipe.name, shard = %self.shard, error, "an invocation failed");
                Answer::Failed
            }
            Err(error @ TargetError::Unavailable(_)) => return Err(error),
        };
        tracing::debug!(pipe = self.pipe.name, shard = %self.shard, records = items.len(), ?answer, "invoked");
        Ok(answer)
    }

    /// Gives records up. Does not return before their dead letter is stored.
    async fn bury(&self, given_up: &Burial) -> Result<(), Stopped> {
        let parts = &self.pipe.parts;
        let letter = DeadLetter::new(
            &parts.pipe_arn,
            parts.source.stream_arn(),
            &self.shard,
            given_up,
            self.pipe.now(),
        );
        let info = &letter.batch;
        tracing::error!(
            pipe = self.pipe.name, shard = %self.shard, condition = ?letter.context.condition,
            from = info.start_sequence_number, to = info.end_sequence_number, records = info.batch_size,
            "records were given up; the rolling sweep finds what they told"
        );
        let Some(dead_letters) = &parts.dead_letters else {
            return Ok(());
        };
        let mut failed = 0;
        while let Err(error) = dead_letters.send(&letter).await {
            tracing::warn!(pipe = self.pipe.name, shard = %self.shard, %error, "a dead letter was not stored");
            failed += 1;
            self.pipe.back_off(failed).await?;
        }
        Ok(())
    }
}
