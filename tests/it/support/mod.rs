//! What the tests share: the server as a process, a sender, a consumer, and webhooks.

pub(crate) mod consumer;
pub(crate) mod disk;
pub(crate) mod http;
pub(crate) mod server;
pub(crate) mod webhook;

use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// Longer than anything takes on the slowest machine; a wait that lasts so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Asks again until `condition` holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let pause = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    while !condition() {
        assert!(waited < PATIENCE, "never: {what}");
        // Keeps the machine free for those whose work is waited for.
        std::thread::park_timeout(pause);
        waited += pause;
    }
}

/// Lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sizes of all files below a folder, by their paths.
pub(crate) fn files_below(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // A file may go away while it is looked at.
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => folders.push(path),
                Ok(meta) => found.push((path.display().to_string(), meta.len())),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}
