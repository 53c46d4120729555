//! What the disk can do by itself.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::clock;

const SYNCS: usize = 50;

/// The median time of appending 4 KiB to a file and syncing it, in milliseconds.
pub(crate) fn sync_time(directory: &Path) -> anyhow::Result<f64> {
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::tempfile_in(directory)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let start = clock::now();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        times.push(clock::now() - start);
    }
    times.sort_unstable();
    Ok(times[SYNCS / 2].as_secs_f64() * 1_000.0)
}

/// The bytes of all files below a directory, as far as they are there long enough to be looked at.
pub(crate) fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

/// The bytes that are free where `directory` is.
pub(crate) fn available(directory: &Path) -> anyhow::Result<u64> {
    let stat = rustix::fs::statvfs(directory)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The least anybody must do with a payload: hash it, write it into a new file, and sync that.
pub(crate) fn hash_and_keep<'a>(
    directory: &Path,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> anyhow::Result<Duration> {
    let path = directory.join("payload");
    let start = clock::now();
    let mut file = File::create_new(&path)?;
    let mut hash = Sha256::new();
    for chunk in chunks {
        hash.update(chunk);
        file.write_all(chunk)?;
    }
    file.sync_all()?;
    std::hint::black_box(hash.finalize());
    let elapsed = clock::now() - start;
    std::fs::remove_file(&path)?;
    Ok(elapsed)
}
