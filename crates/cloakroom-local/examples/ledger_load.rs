//! Measures the embedded store by what one webhook asks of it, from many callers at once.
//!
//! `cargo run --release -p cloakroom-local --example ledger_load -- [webhooks] [callers] [streams] [folder]`
//!
//! One webhook: store a 1 KB claim, read the head (make it for a new stream), look for an identity that is not there,
//! append; then, as the workers do, read what is above the head, move the head, read from the cursor, move the cursor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cloakroom_core::event::Sha256;
use cloakroom_core::head::Head;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::conformance::samples;
use cloakroom_engine::ports::{ClaimHint, ClaimStore, Ledger, Write};
use cloakroom_engine::record::{Cursor, CursorState, HeadRecord, Key, Record};
use cloakroom_local::{DataDir, LocalStore, Options};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run())
}

async fn run() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| {
        args.next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (webhooks, callers, streams) = (number(200_000), number(64), number(10_000));
    let folder = args.next().unwrap_or_else(|| "ledger-load-data".to_owned());
    let with_claims = std::env::var_os("NO_CLAIMS").is_none();
    let workers = std::env::var_os("NO_WORKERS").is_none();
    let store = Arc::new(DataDir::open(
        &folder,
        &Options::at(Timestamp::from_secs(1_800_000_000)),
    )?);
    println!("at rest: {}", memory()?);
    let (begun, cpu_before) = (uptime()?, cpu()?);
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= webhooks {
                        return Ok::<(), Failure>(());
                    }
                    let stream = StreamId::new(
                        "shop",
                        format!(
                            "order-{:016x}",
                            (number % streams).wrapping_mul(0x9E37_79B9_7F4A_7C15)
                        ),
                    );
                    let round = number / streams + 1;
                    webhook(&store, &stream, round, with_claims, workers).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let (seconds, cpu) = (uptime()? - begun, cpu()? - cpu_before);
    println!(
        "{webhooks} webhooks by {callers} callers on {streams} streams: {:.0}/s, {:.1} us of CPU each, {}",
        webhooks as f64 / seconds,
        cpu * 1e6 / webhooks as f64,
        memory()?
    );
    println!("by thread, in seconds: {}", threads()?);
    println!("ledger on disk: {} MB", store.ledger.disk_bytes()? >> 20);
    Ok(())
}

async fn webhook(
    store: &LocalStore,
    stream: &StreamId,
    number: u64,
    with_claims: bool,
    workers: bool,
) -> Result<(), Failure> {
    let ledger = &store.ledger;
    let position = Position::dense(number);
    let mut event = samples::event(stream, &position, &format!("{stream}-{number}"));
    let body = Bytes::from(vec![b'x'; 1024]);
    if let cloakroom_core::event::Body::Payload(payload) = &mut event.body {
        payload.inline = None;
        payload.sha256 = Sha256::of(&body);
        let hint = ClaimHint {
            source: stream.source.clone(),
            identity: event.identity.clone(),
            event: Some(event.id.clone()),
            sha256: payload.sha256,
            size: 1024,
            recorded: event.recorded,
        };
        if with_claims {
            payload.claim = Some(store.claims.put(&hint, body).await?);
        }
    }
    let head = match ledger.get(&Key::Head(stream.clone())).await? {
        Some(Record::Head(head)) => head,
        _ => {
            let head = samples::head(stream, None, 0);
            ledger
                .transact(vec![Write::Create(Record::Head(head.clone()))])
                .await?;
            head
        }
    };
    ledger
        .get(&Key::Identity(
            stream.source.clone(),
            event.identity.clone(),
        ))
        .await?;
    ledger
        .transact(vec![Write::Create(Record::Event(event))])
        .await?;
    if workers {
        work(store, stream, head).await?;
    }
    Ok(())
}

async fn work(store: &LocalStore, stream: &StreamId, head: HeadRecord) -> Result<(), Failure> {
    let ledger = &store.ledger;
    let above = ledger
        .events(stream, head.head.position.as_ref(), None, 2)
        .await?;
    let Some(last) = above.last() else {
        return Ok(());
    };
    let moved = HeadRecord {
        head: Head {
            position: Some(last.position.clone()),
            ..head.head
        },
        revision: head.revision + 1,
        ..head
    };
    let write = Write::Replace {
        record: Record::Head(moved),
        revision: head.revision,
    };
    if ledger.transact(vec![write]).await.is_err() {
        return Ok(());
    }
    let key = Key::Cursor("billing".into(), stream.clone());
    let cursor = match ledger.get(&key).await? {
        Some(Record::Cursor(cursor)) => Some(cursor),
        _ => None,
    };
    let after = cursor.as_ref().and_then(|cursor| cursor.position.clone());
    let events = ledger
        .events(stream, after.as_ref(), Some(&last.position), 100)
        .await?;
    let revision = cursor.as_ref().map(|cursor| cursor.revision);
    let next = Cursor {
        position: events.last().map(|event| event.position.clone()).or(after),
        ..samples::cursor(
            "billing",
            stream,
            CursorState::Active,
            revision.map_or(0, |r| r + 1),
        )
    };
    let record = Record::Cursor(next);
    let write = match revision {
        Some(revision) => Write::Replace { record, revision },
        None => Write::Create(record),
    };
    // Another caller on this stream may have been first.
    let _ = ledger.transact(vec![write]).await;
    Ok(())
}

fn memory() -> Result<String, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let megabytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .unwrap_or(0)
            >> 10
    };
    Ok(format!(
        "{} MB resident, {} MB at most",
        megabytes("VmRSS"),
        megabytes("VmHWM")
    ))
}

/// Seconds of CPU this process has used.
fn cpu() -> Result<f64, Failure> {
    Ok(cpu_of("/proc/self/stat")?.1)
}

fn cpu_of(path: &str) -> Result<(String, f64), Failure> {
    let stat = std::fs::read_to_string(path)?;
    let (name, rest) = stat.rsplit_once(") ").ok_or("no command in stat")?;
    let name = name.split_once('(').map_or(name, |(_, name)| name);
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok((
        name.to_owned(),
        Duration::from_millis(ticks * 10).as_secs_f64(),
    ))
}

fn threads() -> Result<String, Failure> {
    let mut times = std::collections::BTreeMap::<String, f64>::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        let path = thread?.path().join("stat");
        let (name, time) = cpu_of(&path.to_string_lossy())?;
        *times.entry(name).or_default() += time;
    }
    Ok(times
        .iter()
        .map(|(name, time)| format!("{name} {time:.1}"))
        .collect::<Vec<_>>()
        .join(", "))
}

/// Seconds since the machine started.
fn uptime() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/uptime")?;
    Ok(text.split(' ').next().unwrap_or("0").parse()?)
}
