//! What only the inside can test: a look around while a commit is under way.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cloakroom_core::head::Head;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::conformance::samples::{self, at};
use cloakroom_engine::record::{AttentionKind, Cursor, CursorState, HeadRecord};

use super::*;

/// Holds commits back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    is_shut: bool,
    is_reached: bool,
    /// How many may pass all the same.
    passes: usize,
}

impl Gate {
    /// What the writer does before each commit, and between it and the moment it shows what is new.
    pub(super) fn pass(&self) {
        let (_, changed) = &*self.0;
        let mut state = self.state();
        if state.is_shut && state.passes > 0 {
            state.passes -= 1;
            return;
        }
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
        self.shut_after(0);
    }

    fn shut_after(&self, passes: usize) {
        *self.state() = State {
            is_shut: true,
            is_reached: false,
            passes,
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

fn cursor(number: u64, revision: u64) -> Record {
    Record::Cursor(Cursor {
        position: Some(Position::dense(number)),
        ..samples::cursor("billing", &stream(), CursorState::Active, revision)
    })
}

fn dead_letter(number: u64) -> Record {
    let position = Position::dense(number);
    Record::DeadLetter(samples::dead_letter("billing", &stream(), &position))
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
async fn what_is_durable_is_seen_in_full_before_memory_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let options = Options {
        gate: Some(gate.clone()),
        ..Options::at(Timestamp::from_secs(0))
    };
    let ledger = Arc::new(LocalLedger::open(folder.path(), &options).unwrap());
    let first = [head(1, 1), event(1), cursor(1, 1)];
    let first = first.into_iter().map(Write::Create).collect();
    ledger.transact(first).await.unwrap();
    let (place, letter) = (cursor(1, 1).key(), dead_letter(1).key());
    assert_eq!(ledger.get(&place).await.unwrap(), Some(cursor(1, 1)));
    assert_eq!(ledger.get(&letter).await.unwrap(), None);
    let replace = |record, revision| Write::Replace { record, revision };
    let transact = |writes| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move { ledger.transact(writes).await })
    };
    gate.shut_after(1);
    let moving = transact(vec![
        Write::Create(event(2)),
        replace(head(2, 2), 1),
        Write::Create(dead_letter(1)),
    ]);
    gate.reached().await;
    let seen = view(&ledger).await;
    let at_two = ledger.get(&event(2).key()).await;
    let letter = ledger.get(&letter).await;
    gate.open();
    moving.await.unwrap().unwrap();
    assert_eq!((seen.0, seen.1), (Some(head(2, 2)), 2));
    assert_eq!(seen.2.map(Record::Event), Some(event(2)));
    assert_eq!(at_two.unwrap(), Some(event(2)));
    assert_eq!(letter.unwrap(), Some(dead_letter(1)));

    gate.shut_after(1);
    let moving = transact(vec![Write::Create(event(3)), replace(cursor(2, 2), 1)]);
    gate.reached().await;
    let seen = view(&ledger).await;
    let moved = ledger.get(&place).await;
    gate.open();
    moving.await.unwrap().unwrap();
    assert_eq!((seen.1, seen.2.map(Record::Event)), (3, Some(event(3))));
    assert_eq!(moved.unwrap(), Some(cursor(2, 2)));
    assert_eq!(ledger.get(&place).await.unwrap(), Some(cursor(2, 2)));
    assert_eq!(view(&ledger).await.1, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_one_group_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let options = Options {
        gate: Some(gate.clone()),
        ..Options::at(Timestamp::from_secs(0))
    };
    let ledger = Arc::new(LocalLedger::open(folder.path(), &options).unwrap());
    let first = vec![Write::Create(event(1)), Write::Create(cursor(1, 1))];
    ledger.transact(first).await.unwrap();
    gate.shut();
    let begin = |writes| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move { ledger.transact(writes).await })
    };
    let held = begin(vec![Write::Create(dead_letter(1))]);
    gate.reached().await;
    let move_on = || {
        let record = cursor(2, 2);
        begin(vec![Write::Replace {
            record,
            revision: 1,
        }])
    };
    // Both wait for the commit that is held, so the next group has both.
    let moves = [move_on(), move_on()];
    let events = [
        begin(vec![Write::Create(event(2))]),
        begin(vec![Write::Create(event(2))]),
    ];
    tokio::task::yield_now().await;
    gate.open();
    held.await.unwrap().unwrap();
    for pair in [moves, events] {
        let outcomes = futures::future::join_all(pair).await;
        let done = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Ok(Ok(()))));
        assert_eq!(done.count(), 1, "{outcomes:?}");
    }
    let place = cursor(1, 1).key();
    assert_eq!(ledger.get(&place).await.unwrap(), Some(cursor(2, 2)));
    assert_eq!(view(&ledger).await.1, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_in_memory_is_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::at(Timestamp::from_secs(0));
    for reopened in [false, true] {
        let ledger = LocalLedger::open(folder.path(), &options).unwrap();
        if !reopened {
            let first = vec![Write::Create(head(1, 1)), Write::Create(event(1))];
            ledger.transact(first).await.unwrap();
            let two = vec![Write::Create(event(4)), Write::Create(cursor(1, 1))];
            ledger.transact(two).await.unwrap();
            ledger
                .transact(vec![Write::Create(event(3))])
                .await
                .unwrap();
            let gone = Write::Delete {
                key: event(1).key(),
                revision: None,
            };
            ledger.transact(vec![gone]).await.unwrap();
        } else {
            // The first event of a run, in a stream that has some already.
            ledger
                .transact(vec![Write::Create(event(5))])
                .await
                .unwrap();
        }
        let last = 4 + u64::from(reopened);
        let events = |after: Option<u64>| {
            let (after, ledger) = (after.map(Position::dense), &ledger);
            async move {
                let events = ledger.events(&stream(), after.as_ref(), None, 9).await;
                let number = |event: &Event| event.position.number().unwrap();
                events.unwrap().iter().map(number).collect::<Vec<_>>()
            }
        };
        assert_eq!(events(None).await, (3..=last).collect::<Vec<_>>());
        assert_eq!(events(Some(3)).await, (4..=last).collect::<Vec<_>>());
        assert_eq!(ledger.get(&event(1).key()).await.unwrap(), None);
        assert_eq!(ledger.get(&event(3).key()).await.unwrap(), Some(event(3)));
        assert_eq!(view(&ledger).await.2.map(Record::Event), Some(event(last)));
        assert_eq!(
            ledger.get(&cursor(1, 1).key()).await.unwrap(),
            Some(cursor(1, 1))
        );
        let stale = Write::Replace {
            record: cursor(9, 9),
            revision: 8,
        };
        match ledger.transact(vec![stale]).await {
            Err(TransactError::Conflict(conflict)) => {
                assert_eq!(conflict.stored, Some(cursor(1, 1)));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_refused_writes_nothing_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = LocalLedger::open(folder.path(), &Options::at(Timestamp::from_secs(0))).unwrap();
    let replace = |number, revision| Write::Replace {
        record: head(number, revision + 1),
        revision,
    };
    let first = vec![Write::Create(event(1)), Write::Create(head(1, 1))];
    ledger.transact(first).await.unwrap();
    for (writes, at, stored) in [
        (vec![Write::Create(event(1)), replace(2, 1)], 0, event(1)),
        (vec![Write::Create(event(2)), replace(2, 7)], 1, head(1, 1)),
        (vec![Write::Create(event(1)), replace(2, 7)], 0, event(1)),
    ] {
        match ledger.transact(writes).await {
            Err(TransactError::Conflict(conflict)) => {
                assert_eq!((conflict.write, conflict.stored), (at, Some(stored)));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(view(&ledger).await.0, Some(head(1, 1)));
        assert_eq!(view(&ledger).await.1, 1);
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

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_carried_over_while_commits_go_on_and_stays_short() {
    const COMMITS: u64 = 600;
    let folder = tempfile::tempdir().unwrap();
    let options = Options::at(Timestamp::from_secs(0));
    let ledger = LocalLedger::open(folder.path(), &options).unwrap();
    for number in 1..=COMMITS {
        let write = vec![Write::Create(event(number))];
        ledger.transact(write).await.unwrap();
    }
    // Every commit is of two pages at least. The file is as long as the log ever was.
    let log = std::fs::metadata(folder.path().join("ledger.db-wal")).unwrap();
    let pages = log.len() / 4096;
    assert!(
        pages < u64::try_from(2 * writer::LOG_PAGES_MAX).unwrap(),
        "{pages} pages"
    );
    assert!(pages < COMMITS);
    drop(ledger);
    let again = LocalLedger::open(folder.path(), &options).unwrap();
    let events = again.events(&stream(), None, None, usize::MAX).await;
    assert_eq!(events.unwrap().len() as u64, COMMITS);
    assert_eq!(again.integrity(true).unwrap(), [""; 0]);
}
