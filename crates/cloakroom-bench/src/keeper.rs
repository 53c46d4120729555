//! The least a receiver must do for durability: bodies are appended to one file, and all that wait share one sync.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::oneshot;

/// Bodies that share a sync, and who waits for it.
type Waiting = (Vec<Bytes>, oneshot::Sender<bool>);

/// Keeps bodies in a file. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    bodies: Sender<Waiting>,
}

impl Keeper {
    /// Starts on a new file.
    pub(crate) fn start(path: &Path) -> anyhow::Result<Self> {
        let file =
            File::create_new(path).with_context(|| format!("cannot make {}", path.display()))?;
        let (bodies, waiting) = channel();
        thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || run(file, &waiting))?;
        Ok(Self { bodies })
    }

    /// Keeps a body that came in pieces. `false` when it could not be made durable.
    pub(crate) async fn keep(&self, body: Vec<Bytes>) -> bool {
        let (kept, waits) = oneshot::channel();
        self.bodies.send((body, kept)).is_ok() && waits.await.unwrap_or(false)
    }
}

fn run(mut file: File, waiting: &Receiver<Waiting>) {
    let mut buffer = Vec::new();
    while let Ok(first) = waiting.recv() {
        buffer.clear();
        let mut group = Vec::new();
        for (body, kept) in std::iter::once(first).chain(waiting.try_iter()) {
            for piece in body {
                buffer.extend_from_slice(&piece);
            }
            group.push(kept);
        }
        let is_durable = file.write_all(&buffer).is_ok() && file.sync_data().is_ok();
        for kept in group {
            // A sender that has gone is told nothing.
            let _ = kept.send(is_durable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bodies");
        let keeper = Keeper::start(&path).unwrap();
        let pieces = vec![Bytes::from_static(b"a"), Bytes::from_static(b"bc")];
        assert!(keeper.keep(pieces).await);
        assert!(keeper.keep(vec![Bytes::from_static(b"d")]).await);
        assert_eq!(std::fs::read(path).unwrap(), b"abcd");
    }
}
