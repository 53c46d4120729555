//! Reads one shard from a position on, whatever becomes of its iterators.

use std::sync::Arc;

use crate::pipe::{Pipe, Stopped};
use crate::ports::{Position, ShardId, SourceError};
use crate::record::Record;

/// A reader of one shard.
pub(crate) struct Reader {
    pipe: Arc<Pipe>,
    shard: ShardId,
    /// After what was read. A new iterator begins here.
    position: Position,
    iterator: Option<String>,
    /// How often the source failed in a row.
    failed: u32,
}

/// What was read.
pub(crate) struct Read {
    pub(crate) records: Vec<Record>,
    /// Whether nothing follows, ever.
    pub(crate) ended: bool,
}

impl Reader {
    pub(crate) fn new(pipe: Arc<Pipe>, shard: ShardId, position: Position) -> Self {
        Self {
            pipe,
            shard,
            position,
            iterator: None,
            failed: 0,
        }
    }

    /// The next records; none when there are none at the moment.
    pub(crate) async fn next(&mut self) -> Result<Read, Stopped> {
        loop {
            if self.pipe.stop.is_cancelled() {
                return Err(Stopped);
            }
            match self.attempt().await {
                Ok(read) => {
                    self.failed = 0;
                    return Ok(read);
                }
                Err(error) => {
                    if let Some(read) = self.recover(error).await? {
                        return Ok(read);
                    }
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Read, SourceError> {
        let source = &self.pipe.parts.source;
        let iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => source.iterator(&self.shard, &self.position).await?,
        };
        let page = match source.records(&iterator).await {
            Ok(page) => page,
            Err(error) => {
                let usable = matches!(error, SourceError::Unavailable(_));
                self.iterator = usable.then_some(iterator);
                return Err(error);
            }
        };
        if let Some(last) = page.records.last() {
            self.position = Position::After(last.sequence_number.clone());
        }
        let ended = page.next.is_none();
        self.iterator = page.next;
        Ok(Read {
            records: page.records,
            ended,
        })
    }

    /// Makes the next attempt possible; `Some` when there can be none.
    async fn recover(&mut self, error: SourceError) -> Result<Option<Read>, Stopped> {
        let pipe = Arc::clone(&self.pipe);
        let shard = &self.shard;
        match error {
            // A new iterator goes on after what was read; a second one in a row waits, so that nothing spins.
            SourceError::Expired if self.failed == 0 => {}
            SourceError::Expired => {
                tracing::warn!(pipe = pipe.name, %shard, "iterators expire at once");
            }
            SourceError::Trimmed => {
                tracing::warn!(
                    pipe = pipe.name, %shard, position = ?self.position,
                    "the stream forgot records before they were read; the rolling sweep finds what they told"
                );
                self.position = Position::TrimHorizon;
            }
            SourceError::Gone(error) => {
                tracing::warn!(pipe = pipe.name, %shard, error, "the shard is gone");
                return Ok(Some(Read {
                    records: Vec::new(),
                    ended: true,
                }));
            }
            SourceError::Unavailable(error) => {
                tracing::warn!(pipe = pipe.name, %shard, error, "the stream could not be read");
            }
        }
        let first = self.failed == 0 && self.iterator.is_none();
        self.failed = self.failed.saturating_add(1);
        if !first {
            pipe.back_off(self.failed).await?;
        }
        Ok(None)
    }
}
