//! Many callers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom_core::head::Head;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use futures::future::join_all;

use super::{accept, create, get, transact};
use crate::conformance::samples;
use crate::ports::{Conflict, Ledger, Write};
use crate::record::{HeadRecord, Key, Record};

const CALLERS: u64 = 32;

fn stream() -> StreamId {
    StreamId::new("shop", "TR-42")
}

/// Runs `call` for every caller at the same time, each in a task of its own.
async fn at_once<F, T>(call: impl Fn(u64) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(call(caller)))
        .collect();
    let ended = join_all(tasks).await;
    ended
        .into_iter()
        .map(|task| task.expect("a caller panicked"))
        .collect()
}

pub(super) async fn one_create_wins<L: Ledger>(ledger: L) {
    let ledger = Arc::new(ledger);
    for round in 0..8 {
        let position = Position::dense(round);
        let answers = at_once(|caller| {
            let (ledger, position) = (Arc::clone(&ledger), position.clone());
            async move {
                let event = samples::event(&stream(), &position, &format!("evt-{caller}"));
                transact(&*ledger, &[create(event)]).await
            }
        });
        let answers = answers.await;
        let winners: Vec<_> = answers
            .iter()
            .enumerate()
            .filter(|(_, answer)| answer.is_ok())
            .collect();
        assert_eq!(
            winners.len(),
            1,
            "exactly one of many concurrent creates wins"
        );
        let winner = samples::event(&stream(), &position, &format!("evt-{}", winners[0].0));
        let winner = Record::from(winner);
        for answer in answers.into_iter().filter_map(Result::err) {
            let expected = Conflict {
                write: 0,
                stored: Some(winner.clone()),
            };
            assert_eq!(answer, expected, "the others are shown the winner's record");
        }
        assert_eq!(get(&*ledger, &winner.key()).await, Some(winner));
    }
}

pub(super) async fn admits_do_not_conflict<L: Ledger>(ledger: L) {
    let ledger = Arc::new(ledger);
    accept(&*ledger, &[create(samples::head(&stream(), None, 0))]).await;
    let answers = at_once(|caller| {
        let ledger = Arc::clone(&ledger);
        async move {
            let position = Position::dense(caller);
            let event = create(samples::event(&stream(), &position, "evt"));
            transact(
                &*ledger,
                &[
                    event,
                    Write::Admit {
                        stream: stream(),
                        position,
                    },
                ],
            )
            .await
        }
    });
    for answer in answers.await {
        assert_eq!(
            answer,
            Ok(()),
            "two admits on one head never conflict with each other"
        );
    }
    let expected = HeadRecord {
        appended: CALLERS,
        ..samples::head(&stream(), None, CALLERS)
    };
    assert_eq!(
        get(&*ledger, &Key::Head(stream())).await,
        Some(expected.into())
    );
    let events = ledger.events(&stream(), None, None, 1000).await;
    assert_eq!(events.map(|events| events.len() as u64).ok(), Some(CALLERS));
}

pub(super) async fn replaces_are_never_lost<L: Ledger>(ledger: L) {
    let ledger = Arc::new(ledger);
    let key = Key::Head(stream());
    accept(&*ledger, &[create(samples::head(&stream(), None, 0))]).await;
    let rounds = 4;
    let moved = at_once(|_| {
        let (ledger, key) = (Arc::clone(&ledger), key.clone());
        async move {
            let mut moved = 0;
            while moved < rounds {
                let Some(Record::Head(head)) = get(&*ledger, &key).await else {
                    panic!("the head is gone");
                };
                let next = HeadRecord {
                    appended: head.appended + 1,
                    revision: head.revision + 1,
                    ..head.clone()
                };
                let write = Write::Replace {
                    record: next.into(),
                    revision: head.revision,
                };
                moved += u64::from(transact(&*ledger, &[write]).await.is_ok());
            }
        }
    });
    moved.await;
    let Some(Record::Head(head)) = get(&*ledger, &key).await else {
        panic!("the head is gone");
    };
    assert_eq!(
        (head.appended, head.revision),
        (CALLERS * rounds, CALLERS * rounds),
        "every compare-and-set counts once"
    );
}

/// A writer puts an event and moves the head over it in one transaction; readers that see the head must see the event,
/// and what they read must never go back.
pub(super) async fn a_head_is_never_ahead_of_its_events<L: Ledger>(ledger: L) {
    let ledger = Arc::new(ledger);
    let moves = 200;
    let done = Arc::new(AtomicBool::new(false));
    accept(&*ledger, &[create(samples::head(&stream(), None, 0))]).await;
    let readers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(read_on(Arc::clone(&ledger), Arc::clone(&done))))
        .collect();
    for number in 0..moves {
        let position = Position::dense(number);
        let head = HeadRecord {
            head: Head {
                position: Some(position.clone()),
                ..Head::default()
            },
            ..samples::head(&stream(), None, number + 1)
        };
        let writes = [
            create(samples::event(&stream(), &position, "evt")),
            Write::Replace {
                record: head.into(),
                revision: number,
            },
        ];
        accept(&*ledger, &writes).await;
        let Some(Record::Head(head)) = get(&*ledger, &Key::Head(stream())).await else {
            panic!("the head is gone");
        };
        assert_eq!(
            head.revision,
            number + 1,
            "a read sees what was acknowledged before it began"
        );
        let before = number.checked_sub(1).map(Position::dense);
        let above = positions_above(&*ledger, before.as_ref()).await;
        assert_eq!(
            above,
            [position],
            "a read sees what was acknowledged before it began, and once"
        );
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        reader.await.expect("a reader panicked");
    }
}

async fn positions_above<L: Ledger>(ledger: &L, after: Option<&Position>) -> Vec<Position> {
    let events = ledger.events(&stream(), after, None, 2).await;
    let events = events.unwrap_or_else(|error| panic!("reading events: {error}"));
    events.into_iter().map(|event| event.position).collect()
}

async fn read_on<L: Ledger>(ledger: Arc<L>, done: Arc<AtomicBool>) {
    let mut seen = 0;
    while !done.load(Ordering::Acquire) {
        let Some(Record::Head(head)) = get(&*ledger, &Key::Head(stream())).await else {
            panic!("the head is gone");
        };
        assert!(head.revision >= seen, "a later read is never older");
        seen = head.revision;
        // Before the first release there is no bound to read up to.
        if let Some(position) = &head.head.position {
            let events = ledger.events(&stream(), None, Some(position), 1000).await;
            let events = events.unwrap_or_else(|error| panic!("reading events: {error}"));
            assert_eq!(
                events.len() as u64,
                head.revision,
                "a transaction is seen in full or not at all"
            );
        }
        // What is above the head is what came since: the next number first.
        let above = positions_above(&*ledger, head.head.position.as_ref()).await;
        let next = head.revision..head.revision + above.len() as u64;
        assert!(
            above.iter().cloned().eq(next.map(Position::dense)),
            "events are read in order and without holes: {above:?} above {}",
            head.revision
        );
        seen = seen.max(head.revision + above.len() as u64);
        let last = ledger.last_event(&stream()).await.ok().flatten();
        let last = last
            .and_then(|event| event.position.number())
            .map_or(0, |number| number + 1);
        assert!(last >= seen, "a transaction is seen in full or not at all");
        // What the event shows, the head shows as well.
        let Some(Record::Head(head)) = get(&*ledger, &Key::Head(stream())).await else {
            panic!("the head is gone");
        };
        assert!(head.revision >= last, "a later read is never older");
        seen = head.revision;
        tokio::task::yield_now().await;
    }
}
