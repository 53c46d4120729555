//! Ports that keep everything in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::letter::DeadLetter;
use crate::ports::{Checkpoint, Checkpoints, DeadLetters, ShardId, Unavailable};

/// Checkpoints that end with the process. A pipe then begins at its starting position again, which rings doorbells twice and
/// changes nothing else.
#[derive(Debug, Default)]
pub struct MemoryCheckpoints(Mutex<HashMap<ShardId, Checkpoint>>);

impl MemoryCheckpoints {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Checkpoints for MemoryCheckpoints {
    async fn load(&self) -> Result<HashMap<ShardId, Checkpoint>, Unavailable> {
        Ok(lock(&self.0).clone())
    }

    async fn save(&self, shard: &ShardId, checkpoint: &Checkpoint) -> Result<(), Unavailable> {
        lock(&self.0).insert(shard.clone(), checkpoint.clone());
        Ok(())
    }

    async fn forget(&self, shard: &ShardId) -> Result<(), Unavailable> {
        lock(&self.0).remove(shard);
        Ok(())
    }
}

/// Dead letters in a list.
#[derive(Debug, Default)]
pub struct MemoryDeadLetters(Mutex<Vec<DeadLetter>>);

impl MemoryDeadLetters {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All that were sent, in order.
    pub fn letters(&self) -> Vec<DeadLetter> {
        lock(&self.0).clone()
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    async fn send(&self, letter: &DeadLetter) -> Result<(), Unavailable> {
        lock(&self.0).push(letter.clone());
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
