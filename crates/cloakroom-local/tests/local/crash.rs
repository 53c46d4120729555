//! Processes that end in the middle of work, and writes that fail.
//!
//! A test here plays both parts: it starts itself again as a child, told by [`ROLE`] and the folder what to do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::conformance::samples;
use cloakroom_engine::ports::{Index, Ledger, LedgerError, TransactError, Write};
use cloakroom_engine::record::{Key, Record};
use cloakroom_local::{DataDir, Depth, LocalStore, Severity, doctor};
use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};

use super::{body, event_with, options, place, put, read};

const ROLE: &str = "CLOAKROOM_TEST_CHILD_IN";
const STREAMS: u64 = 12;
const ROUNDS: usize = 20;

fn child_folder() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// This very test, as a child that works in `folder`. Signals about too large files are ignored, so that such writes fail.
fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, folder);
    command
}

fn stream(number: u64) -> StreamId {
    StreamId::new("shop", format!("order-{number}"))
}

/// Small ones for the segments, and now and then one for a file of its own.
fn payload_of(stream: u64, number: u64) -> bytes::Bytes {
    let size = if number % 7 == 3 {
        70_000 + number as usize
    } else {
        200 + (number as usize * 37) % 3000
    };
    body(stream * 1_000_000 + number, size)
}

/// Writes on until it is killed, and tells each webhook that the store acknowledged.
async fn write_on(folder: &Path) {
    let store = Arc::new(DataDir::open(folder, &options()).unwrap());
    let tasks: Vec<_> = (0..STREAMS)
        .map(|number| tokio::spawn(write_stream(Arc::clone(&store), number)))
        .collect();
    futures::future::join_all(tasks).await;
}

async fn write_stream(store: Arc<LocalStore>, of: u64) {
    let stream = stream(of);
    if store
        .ledger
        .get(&Key::Head(stream.clone()))
        .await
        .unwrap()
        .is_none()
    {
        let head = Record::Head(samples::head(&stream, None, 0));
        store
            .ledger
            .transact(vec![Write::Create(head)])
            .await
            .unwrap();
    }
    let last = store.ledger.last_event(&stream).await.unwrap();
    let mut number = last.map_or(0, |event| event.position.number().unwrap() + 1);
    loop {
        let payload = payload_of(of, number);
        let claim = place(&store, &payload).await;
        let event = event_with(&stream, number, Some(claim), &payload);
        let admit = Write::Admit {
            stream: stream.clone(),
            position: Position::dense(number),
        };
        store
            .ledger
            .transact(vec![Write::Create(Record::Event(event)), admit])
            .await
            .unwrap();
        // One write, past the test harness, so that a line is told in full or not at all.
        let line = format!("ACK {of} {number}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
        number += 1;
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    if let Some(folder) = child_folder() {
        runtime().block_on(write_on(&folder));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = vec![None; STREAMS as usize];
    for round in 0..ROUNDS {
        let mut child = child(
            "crash::what_was_acknowledged_survives_a_kill",
            folder.path(),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        // Different lengths hit different moments.
        let enough = 1 + (round * 53) % 300;
        let mut told = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
            let line = String::from_utf8(line.unwrap()).unwrap();
            let Some((of, number)) = line
                .strip_prefix("ACK ")
                .and_then(|line| line.split_once(' '))
            else {
                continue;
            };
            let of: usize = of.parse().unwrap();
            let number: u64 = number.parse().unwrap();
            acknowledged[of] = acknowledged[of].max(Some(number));
            told += 1;
            if told == enough {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(told >= enough, "the child ended by itself after {told}");
        runtime().block_on(check(folder.path(), &acknowledged));
    }
    let report = doctor(folder.path(), Depth::Deep, &mut |_| {}).unwrap();
    assert!(report.is_healthy(), "{:#?}", report.findings);
    let notes = |severity| severity == Severity::Note;
    assert!(
        report
            .findings
            .iter()
            .all(|finding| notes(finding.severity)),
        "{:#?}",
        report.findings
    );
    assert_eq!(report.totals.streams, STREAMS);
    assert_eq!(report.totals.hashed, report.totals.events);
}

/// Everything acknowledged is there, and what is there is whole.
async fn check(folder: &Path, acknowledged: &[Option<u64>]) {
    let store = DataDir::open(folder, &options()).unwrap();
    assert!(!store.last_run.ended_cleanly);
    for (of, last) in acknowledged.iter().enumerate() {
        let stream = stream(of as u64);
        let events = store
            .ledger
            .events(&stream, None, None, usize::MAX)
            .await
            .unwrap();
        let numbers: Vec<_> = events
            .iter()
            .map(|event| event.position.number().unwrap())
            .collect();
        assert!(
            numbers.iter().copied().eq(0..numbers.len() as u64),
            "{stream}: {numbers:?}"
        );
        assert!(
            last.is_none_or(|last| last < numbers.len() as u64),
            "{stream} lost some up to {last:?}"
        );
        match store.ledger.get(&Key::Head(stream.clone())).await.unwrap() {
            Some(Record::Head(head)) => {
                assert_eq!(head.appended, numbers.len() as u64, "a torn transaction");
            }
            other => assert_eq!((other, numbers.len()), (None, 0)),
        }
        for (event, number) in events.iter().zip(numbers) {
            let claim = event.payload().unwrap().claim.as_ref().unwrap();
            assert!(
                read(&store, claim).await.unwrap() == payload_of(of as u64, number),
                "{claim:?}"
            );
        }
    }
    // Dropped without closing, like a crash.
}

fn is_unavailable(answer: &Result<(), TransactError>) -> bool {
    matches!(
        answer,
        Err(TransactError::Ledger(LedgerError::Unavailable(_)))
    )
}

/// Once no file may grow or be written, the store must say so, and must not go on as if nothing had happened.
async fn fail_to_write(folder: &Path) {
    let store = DataDir::open(folder, &options()).unwrap();
    let event = |number| {
        Write::Create(Record::Event(samples::event(
            &stream(0),
            &Position::dense(number),
            "evt",
        )))
    };
    store.ledger.transact(vec![event(1)]).await.unwrap();
    let claim = put(&store, &body(1, 1000)).await;
    let usual = getrlimit(Resource::Fsize);
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: Some(0),
            maximum: usual.maximum,
        },
    )
    .unwrap();
    assert!(is_unavailable(&store.ledger.transact(vec![event(2)]).await));
    setrlimit(Resource::Fsize, usual).unwrap();
    for number in [2, 3] {
        assert!(
            is_unavailable(&store.ledger.transact(vec![event(number)]).await),
            "writes are refused until it is opened again"
        );
    }
    let refused = Write::Create(Record::Event(samples::event(
        &stream(0),
        &Position::dense(1),
        "other",
    )));
    assert!(
        is_unavailable(&store.ledger.transact(vec![refused]).await),
        "what is refused is not judged either"
    );
    let events = store
        .ledger
        .events(&stream(0), None, None, 10)
        .await
        .unwrap();
    assert_eq!(events.len(), 1, "what failed is not shown");
    assert_eq!(
        store
            .ledger
            .list(&Index::Heads(None), None, 10)
            .await
            .unwrap()
            .records,
        []
    );
    assert!(read(&store, &claim).await.unwrap() == body(1, 1000));
    std::io::stdout().write_all(b"REFUSED\n").unwrap();
}

#[test]
fn a_failed_write_stops_the_ledger_until_it_is_opened_again() {
    if let Some(folder) = child_folder() {
        runtime().block_on(fail_to_write(&folder));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let test = "crash::a_failed_write_stops_the_ledger_until_it_is_opened_again";
    let output = child(test, folder.path()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("REFUSED"),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    runtime().block_on(async {
        let store = DataDir::open(folder.path(), &options()).unwrap();
        let events = store
            .ledger
            .events(&stream(0), None, None, 10)
            .await
            .unwrap();
        let first = samples::event(&stream(0), &Position::dense(1), "evt");
        assert_eq!(events.first(), Some(&first));
        let event = Record::Event(samples::event(&stream(0), &Position::dense(3), "evt"));
        store
            .ledger
            .transact(vec![Write::Create(event)])
            .await
            .unwrap();
    });
}

/// While payloads cannot be written, nothing that names one is stored; when they can, all goes on.
async fn wait_for_room(folder: &Path) {
    let store = DataDir::open(folder, &options()).unwrap();
    let usual = getrlimit(Resource::Fsize);
    let none = Rlimit {
        current: Some(0),
        maximum: usual.maximum,
    };
    setrlimit(Resource::Fsize, none).unwrap();
    let payload = body(1, 1000);
    let claim = place(&store, &payload).await;
    let event = || {
        let event = event_with(&stream(0), 1, Some(claim.clone()), &payload);
        vec![Write::Create(Record::Event(event))]
    };
    assert!(is_unavailable(&store.ledger.transact(event()).await));
    let shown = store.ledger.events(&stream(0), None, None, 10).await;
    assert_eq!(shown.unwrap(), [], "what was refused is not shown");
    setrlimit(Resource::Fsize, usual).unwrap();
    store.ledger.transact(event()).await.unwrap();
    let next = place(&store, &body(2, 1000)).await;
    let next = event_with(&stream(0), 2, Some(next), &body(2, 1000));
    let next = vec![Write::Create(Record::Event(next))];
    store.ledger.transact(next).await.unwrap();
    std::io::stdout().write_all(b"WENT ON\n").unwrap();
    // Nothing is flushed on the way out.
    kill_process(getpid(), Signal::KILL).unwrap();
}

#[test]
fn an_entry_waits_for_its_payload() {
    if let Some(folder) = child_folder() {
        runtime().block_on(wait_for_room(&folder));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = child("crash::an_entry_waits_for_its_payload", folder.path());
    let output = child.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("WENT ON"), "{told}\n{why}");
    runtime().block_on(async {
        let store = DataDir::open(folder.path(), &options()).unwrap();
        let events = store.ledger.events(&stream(0), None, None, 10).await;
        for (number, event) in (1..).zip(events.unwrap()) {
            let claim = event.payload().unwrap().claim.clone().unwrap();
            assert!(read(&store, &claim).await.unwrap() == body(number, 1000));
        }
        assert!(store.ledger.last_event(&stream(0)).await.unwrap().is_some());
    });
}
