//! Measures a large upload against the same bytes hashed, written and synced by hand.
//!
//! `cargo run --release -p cloakroom-local --example claim_load -- [MiB] [folder]`

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use cloakroom_core::event::Sha256;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{ClaimHint, ClaimStore as _};
use cloakroom_local::{DataDir, Options};
use sha2::Digest as _;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// As large as what arrives from a socket in one go.
const CHUNK_BYTES: usize = 64 * 1024;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let megabytes = args
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1024_u64);
    let folder = args.next().unwrap_or_else(|| "claim-load-data".to_owned());
    let chunk = Bytes::from(
        (0..CHUNK_BYTES)
            .map(|n| (n * 31 % 251) as u8)
            .collect::<Vec<_>>(),
    );
    let chunks = megabytes * 16;
    std::fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    for round in 1..=3 {
        let plain = by_hand(Path::new(&folder), &chunk, chunks)?;
        let stored = runtime.block_on(by_store(Path::new(&folder), &chunk, chunks))?;
        println!(
            "round {round}: {megabytes} MiB by hand {plain:.2} s, as a claim {stored:.2} s, ratio {:.2}, {}",
            stored / plain,
            peak()?
        );
    }
    Ok(())
}

fn by_hand(folder: &Path, chunk: &Bytes, chunks: u64) -> Result<f64, Failure> {
    let path = folder.join("by-hand");
    let begun = uptime()?;
    let mut file = File::create(&path)?;
    let mut hash = sha2::Sha256::new();
    for _ in 0..chunks {
        hash.update(chunk);
        file.write_all(chunk)?;
    }
    file.sync_all()?;
    std::hint::black_box(hash.finalize());
    let taken = uptime()? - begun;
    std::fs::remove_file(path)?;
    Ok(taken)
}

async fn by_store(folder: &Path, chunk: &Bytes, chunks: u64) -> Result<f64, Failure> {
    let store = DataDir::open(folder.join("data"), &Options::at(Timestamp::from_secs(0)))?;
    let begun = uptime()?;
    let mut upload = store.claims.begin().await?;
    let mut hash = sha2::Sha256::new();
    for _ in 0..chunks {
        hash.update(chunk);
        upload.write(chunk.clone()).await?;
    }
    let hint = ClaimHint {
        source: "shop".into(),
        identity: "evt".into(),
        event: None,
        sha256: Sha256(hash.finalize().into()),
        size: chunks * CHUNK_BYTES as u64,
        recorded: Timestamp::from_secs(0),
    };
    let claim = upload.commit(&hint).await?;
    let taken = uptime()? - begun;
    store.claims.delete(&claim).await?;
    store.close()?;
    Ok(taken)
}

fn peak() -> Result<String, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Seconds since the machine started.
fn uptime() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/uptime")?;
    Ok(text.split(' ').next().unwrap_or("0").parse()?)
}
