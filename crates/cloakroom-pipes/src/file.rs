//! Checkpoints in a file.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::ports::{Checkpoint, Checkpoints, ShardId, Unavailable};

/// The version of the file's format. Persisted: a change of [`Stored`] or [`Checkpoint`] needs a new one.
const VERSION: u32 = 1;

/// Checkpoints in a JSON file, which is replaced as a whole. It is not flushed to the disk: what a power cut loses is delivered again.
#[derive(Debug)]
pub struct FileCheckpoints {
    path: PathBuf,
    known: Arc<Mutex<HashMap<ShardId, Checkpoint>>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    shards: HashMap<ShardId, Checkpoint>,
}

impl FileCheckpoints {
    /// Checkpoints in this file. It is made when the first one is saved; its directory must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            known: Arc::default(),
        }
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut HashMap<ShardId, Checkpoint>) + Send,
    ) -> Result<(), Unavailable> {
        let mut known = self.known.lock().await;
        change(&mut known);
        let stored = Stored {
            version: VERSION,
            shards: known.clone(),
        };
        let path = self.path.clone();
        // The lock is held meanwhile, so that an older state never replaces a newer one.
        tokio::task::spawn_blocking(move || write(&path, &stored))
            .await
            .expect("writing a file does not panic")
            .map_err(|error| self.unavailable(&error))
    }

    fn unavailable(&self, error: &dyn std::fmt::Display) -> Unavailable {
        Unavailable(format!("{}: {error}", self.path.display()))
    }
}

#[async_trait]
impl Checkpoints for FileCheckpoints {
    async fn load(&self) -> Result<HashMap<ShardId, Checkpoint>, Unavailable> {
        let text = match tokio::fs::read(&self.path).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
            Err(error) => return Err(self.unavailable(&error)),
        };
        let stored: Stored =
            serde_json::from_slice(&text).map_err(|error| self.unavailable(&error))?;
        if stored.version != VERSION {
            let problem = format!("version {} is not known, only {VERSION}", stored.version);
            return Err(self.unavailable(&problem));
        }
        self.known.lock().await.clone_from(&stored.shards);
        Ok(stored.shards)
    }

    async fn save(&self, shard: &ShardId, checkpoint: &Checkpoint) -> Result<(), Unavailable> {
        self.change(|known| {
            known.insert(shard.clone(), checkpoint.clone());
        })
        .await
    }

    async fn forget(&self, shard: &ShardId) -> Result<(), Unavailable> {
        self.change(|known| {
            known.remove(shard);
        })
        .await
    }
}

fn write(path: &Path, stored: &Stored) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, serde_json::to_vec(stored)?)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn checkpoints_outlive_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resequence.json");
        let before = FileCheckpoints::new(&path);
        assert_eq!(before.load().await.unwrap(), HashMap::new());
        let expected = HashMap::from([
            (ShardId::from("a"), Checkpoint::After("12".into())),
            (ShardId::from("b"), Checkpoint::Finished),
            (ShardId::from("c"), Checkpoint::Latest),
        ]);
        for (shard, checkpoint) in &expected {
            before.save(shard, &Checkpoint::Latest).await.unwrap();
            before.save(shard, checkpoint).await.unwrap();
        }
        before
            .save(&"gone".into(), &Checkpoint::Finished)
            .await
            .unwrap();
        before.forget(&"gone".into()).await.unwrap();
        assert_eq!(FileCheckpoints::new(&path).load().await.unwrap(), expected);
    }

    #[tokio::test]
    async fn the_format_of_version_1_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("golden.json");
        let golden = r#"{"version":1,"shards":{"a":{"after":"12"},"b":"finished","c":"latest"}}"#;
        std::fs::write(&path, golden).unwrap();
        let loaded = FileCheckpoints::new(&path).load().await.unwrap();
        assert_eq!(loaded[&"a".into()], Checkpoint::After("12".into()));
        assert_eq!(loaded[&"b".into()], Checkpoint::Finished);
        assert_eq!(loaded[&"c".into()], Checkpoint::Latest);
        for broken in ["{", r#"{"version":2,"shards":{}}"#] {
            std::fs::write(&path, broken).unwrap();
            let error = FileCheckpoints::new(&path).load().await.unwrap_err();
            assert!(error.to_string().contains("golden.json"), "{error}");
        }
    }
}
