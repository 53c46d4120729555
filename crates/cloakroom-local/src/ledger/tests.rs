//! What only the inside can test: a look around while a commit is under way.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cloakroom_core::head::Head;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::conformance::samples::{self, at};
use cloakroom_engine::record::{AttentionKind, HeadRecord};

use super::*;

/// Holds commits back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    is_shut: bool,
    is_reached: bool,
}

impl Gate {
    /// What the writer does before each commit.
    pub(super) fn pass(&self) {
        let (_, changed) = &*self.0;
        let mut state = self.state();
        state.is_reached = true;
        changed.notify_all();
        while state.is_shut {
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shut(&self) {
        *self.state() = State {
            is_shut: true,
            is_reached: false,
        };
    }

    fn open(&self) {
        self.state().is_shut = false;
        self.0.1.notify_all();
    }

    /// Waits until a commit stands at the gate.
    async fn reached(&self) {
        let gate = self.clone();
        let waiting = tokio::task::spawn_blocking(move || {
            let mut state = gate.state();
            while !state.is_reached {
                state = gate.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        });
        waiting.await.unwrap();
    }
}

fn stream() -> StreamId {
    StreamId::new("shop", "TR-42")
}

/// A head that is released up to `number` and wants attention then.
fn head(number: u64, revision: u64) -> Record {
    let head = Head {
        position: Some(Position::dense(number)),
        wake_at: Some(at(number as i64)),
        ..Head::default()
    };
    Record::Head(HeadRecord {
        head,
        ..samples::head(&stream(), None, revision)
    })
}

fn event(number: u64) -> Record {
    Record::Event(samples::event(&stream(), &Position::dense(number), "evt"))
}

/// Everything a reader can see of the stream.
async fn view(
    ledger: &LocalLedger,
) -> (
    Option<Record>,
    usize,
    Option<Event>,
    Vec<Record>,
    Vec<Record>,
) {
    let attention = Index::Attention {
        kind: AttentionKind::Wake,
        due: at(1000),
    };
    (
        ledger.get(&Key::Head(stream())).await.unwrap(),
        ledger
            .events(&stream(), None, None, 10)
            .await
            .unwrap()
            .len(),
        ledger.last_event(&stream()).await.unwrap(),
        ledger
            .list(&Index::Heads(None), None, 10)
            .await
            .unwrap()
            .records,
        ledger.list(&attention, None, 10).await.unwrap().records,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_seen_before_it_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let options = Options {
        gate: Some(gate.clone()),
        ..Options::at(Timestamp::from_secs(0))
    };
    let ledger = Arc::new(LocalLedger::open(folder.path(), &options).unwrap());
    ledger
        .transact(vec![Write::Create(head(1, 1)), Write::Create(event(1))])
        .await
        .unwrap();
    let before = view(&ledger).await;
    gate.shut();
    let transact = |writes| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move { ledger.transact(writes).await })
    };
    let replace = Write::Replace {
        record: head(2, 2),
        revision: 1,
    };
    let mut moving = transact(vec![Write::Create(event(2)), replace.clone()]);
    gate.reached().await;
    for _ in 0..3 {
        assert_eq!(
            view(&ledger).await,
            before,
            "a commit under way is not seen"
        );
    }
    // Its fate depends on the one before, so it must not be told yet.
    let mut late = transact(vec![replace]);
    tokio::select! {
        biased;
        _ = &mut moving => panic!("answered before it was durable"),
        _ = &mut late => panic!("a refusal was told before what it rests on was durable"),
        () = std::future::ready(()) => {}
    }
    gate.open();
    moving.await.unwrap().unwrap();
    let after = view(&ledger).await;
    assert_eq!(
        after,
        (
            Some(head(2, 2)),
            2,
            Some(samples::event(&stream(), &Position::dense(2), "evt")),
            vec![head(2, 2)],
            vec![head(2, 2)]
        )
    );
    match late.await.unwrap() {
        Err(TransactError::Conflict(conflict)) => assert_eq!(conflict.stored, Some(head(2, 2))),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_refuses_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::at(Timestamp::from_secs(0));
    {
        let ledger = LocalLedger::open(folder.path(), &options).unwrap();
        ledger
            .transact(vec![Write::Create(head(1, 1)), Write::Create(event(1))])
            .await
            .unwrap();
    }
    let full = Options {
        reserve_bytes: u64::MAX,
        ..options
    };
    let ledger = LocalLedger::open(folder.path(), &full).unwrap();
    let refused = ledger.transact(vec![Write::Create(event(2))]).await;
    assert!(
        matches!(
            refused,
            Err(TransactError::Ledger(LedgerError::Unavailable(_)))
        ),
        "{refused:?}"
    );
    let replace = Write::Replace {
        record: head(2, 2),
        revision: 1,
    };
    let delete = Write::Delete {
        key: event(1).key(),
        revision: None,
    };
    ledger.transact(vec![replace, delete]).await.unwrap();
    assert_eq!(view(&ledger).await.0, Some(head(2, 2)));
    ledger.close();
    let closed = ledger.transact(vec![Write::Create(event(3))]).await;
    assert!(
        matches!(
            closed,
            Err(TransactError::Ledger(LedgerError::Unavailable(_)))
        ),
        "{closed:?}"
    );
    assert_eq!(view(&ledger).await.0, Some(head(2, 2)), "reads go on");
}

/// A flush that ends in the middle of a commit must not show half of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn background_flushes_show_no_half_transactions() {
    const EACH: u64 = 99;
    let folder = tempfile::tempdir().unwrap();
    let options = Options::at(Timestamp::from_secs(0));
    let ledger = Arc::new(LocalLedger::open(folder.path(), &options).unwrap());
    ledger
        .transact(vec![Write::Create(head(0, 0))])
        .await
        .unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flushing = {
        let (store, done) = (ledger.store.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                store.records.rotate_memtable_and_wait().unwrap();
            }
        })
    };
    let reading = {
        let (ledger, done) = (Arc::clone(&ledger), Arc::clone(&done));
        std::thread::spawn(move || {
            let store = &ledger.store;
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                // What an event shows, the head shows as well, and the other way round.
                let last = store.last_event(&stream()).unwrap();
                let Some(Record::Head(head)) = store.get(&Key::Head(stream())).unwrap() else {
                    panic!("the head is gone");
                };
                let released = head.head.position.unwrap();
                assert!(
                    last.is_none_or(|last| last.position <= released),
                    "an event was seen before its head"
                );
                if head.revision > 0 {
                    let event = store.get(&Key::Event(stream(), released.clone())).unwrap();
                    assert!(event.is_some(), "a head was seen before its event");
                }
            }
        })
    };
    for round in 0..100 {
        let events = (1..=EACH).map(|number| Write::Create(event(round * EACH + number)));
        let record = head((round + 1) * EACH, round + 1);
        let mut writes: Vec<_> = events.collect();
        writes.push(Write::Replace {
            record,
            revision: round,
        });
        ledger.transact(writes).await.unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::Release);
    flushing.join().unwrap();
    reading.join().unwrap();
}
