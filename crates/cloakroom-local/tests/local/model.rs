//! Whatever is done, the local ledger answers as the one in memory does, also across restarts.

use std::collections::HashSet;

use cloakroom_core::head::{Base, Head};
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::conformance::samples::{self, at};
use cloakroom_engine::memory::MemoryLedger;
use cloakroom_engine::ports::{Conflict, Index, Ledger, TransactError, Write};
use cloakroom_engine::record::{
    AttentionKind, CursorState, DeadLetter, HeadRecord, Key, Quarantined, Record,
};
use cloakroom_local::LocalLedger;
use proptest::prelude::*;

use super::options;

const KEYS: [&str; 3] = ["a", "aa", "a\u{1}"];

#[derive(Debug, Clone)]
enum Step {
    /// Transactions that are sent at once, so that they share a group.
    Burst(Vec<Vec<Write>>),
    Reopen,
}

fn stream() -> impl Strategy<Value = StreamId> {
    prop::sample::select(&KEYS[..]).prop_map(|key| StreamId::new("shop", key))
}

fn position() -> impl Strategy<Value = Position> {
    (0..4_u64, any::<bool>()).prop_map(|(number, late)| {
        let dense = Position::dense(number);
        if late {
            Position::after_head(Some(&dense)).unwrap()
        } else {
            dense
        }
    })
}

fn head() -> impl Strategy<Value = Record> {
    let base = prop::sample::select(vec![Base::Open, Base::Fixed(1), Base::Settled(2)]);
    (
        stream(),
        prop::option::of(position()),
        base,
        prop::option::of(0..3_i64),
        0..4_u64,
    )
        .prop_map(|(stream, position, base, wake_at, revision)| {
            let head = Head {
                position,
                base,
                wake_at: wake_at.map(at),
                ..Head::default()
            };
            Record::Head(HeadRecord {
                head,
                ..samples::head(&stream, None, revision)
            })
        })
}

fn cursor() -> impl Strategy<Value = Record> {
    let state = prop_oneof![
        Just(CursorState::Active),
        (0..3_i64).prop_map(|due| CursorState::Retrying {
            attempts: 1,
            retry_at: at(due),
            reason: String::new()
        }),
        (0..3_i64).prop_map(|due| CursorState::Parked {
            attempts: 1,
            since: at(due),
            reason: String::new()
        }),
    ];
    (stream(), state, 0..4_u64).prop_map(|(stream, state, revision)| {
        Record::Cursor(samples::cursor("billing", &stream, state, revision))
    })
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        3 => head(),
        3 => (stream(), position(), 0..2_u8).prop_map(|(s, p, who)| Record::Event(samples::event(&s, &p, &format!("evt-{who}")))),
        2 => cursor(),
        1 => (stream(), position(), 0..4_u64).prop_map(|(s, p, revision)| Record::DeadLetter(DeadLetter { revision, ..samples::dead_letter("billing", &s, &p) })),
        1 => ("[ab]", 0..4_u64).prop_map(|(identity, revision)| Record::Quarantined(Quarantined { revision, ..samples::quarantined("shop", &identity) })),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => record().prop_map(Write::Create),
        // Revisions rise.
        4 => (record(), 0..4_u64).prop_map(|(record, revision)| Write::Replace { revision: revision.min(record.revision().saturating_sub(1)), record }),
        1 => (record(), prop::option::of(0..3_u64)).prop_map(|(record, revision)| Write::Delete { key: record.key(), revision }),
        3 => (stream(), position()).prop_map(|(stream, position)| Write::Admit { stream, position }),
        1 => (stream(), 0..3_u64).prop_map(|(stream, number)| Write::BaseAllows { stream, number }),
    ]
}

/// A transaction with no two writes on one key.
fn transaction() -> impl Strategy<Value = Vec<Write>> {
    prop::collection::vec(write(), 1..4).prop_map(|mut writes| {
        let mut keys = HashSet::new();
        writes.retain(|write| keys.insert(write.key()));
        writes
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => prop::collection::vec(transaction(), 1..8).prop_map(Step::Burst),
        1 => Just(Step::Reopen),
    ]
}

fn outcome(answer: Result<(), TransactError>) -> Result<(), Box<Conflict>> {
    match answer {
        Ok(()) => Ok(()),
        Err(TransactError::Conflict(conflict)) => Err(conflict),
        Err(TransactError::Ledger(error)) => panic!("{error}"),
    }
}

/// Everything that can be asked of a ledger with these keys.
async fn everything<L: Ledger>(ledger: &L) -> Vec<Vec<Record>> {
    let mut all = Vec::new();
    for key in KEYS {
        let stream = StreamId::new("shop", key);
        let head = ledger.get(&Key::Head(stream.clone())).await.unwrap();
        let cursor = ledger
            .get(&Key::Cursor("billing".into(), stream.clone()))
            .await
            .unwrap();
        all.push(head.into_iter().chain(cursor).collect());
        let events = ledger.events(&stream, None, None, 100).await.unwrap();
        all.push(events.into_iter().map(Record::Event).collect());
        let two = ledger
            .events(&stream, Some(&Position::dense(1)), None, 2)
            .await
            .unwrap();
        all.push(two.into_iter().map(Record::Event).collect());
        all.push(
            ledger
                .last_event(&stream)
                .await
                .unwrap()
                .map(Record::Event)
                .into_iter()
                .collect(),
        );
    }
    let mut indexes = vec![
        Index::Heads(None),
        Index::DeadLetters(None),
        Index::Quarantine(None),
    ];
    for kind in [
        AttentionKind::Wake,
        AttentionKind::Stalled,
        AttentionKind::Retry,
        AttentionKind::Parked,
    ] {
        indexes.extend([0, 1, 9].map(|due| Index::Attention { kind, due: at(due) }));
    }
    for index in indexes {
        let mut records = ledger.list(&index, None, 1000).await.unwrap().records;
        if matches!(index, Index::Attention { .. }) {
            // Among those due at the same time, any order will do.
            records.sort_by_key(|record| {
                (
                    record.attention().map(|(_, due)| due),
                    format!("{:?}", record.key()),
                )
            });
        }
        all.push(records);
    }
    all
}

async fn compare(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let model = MemoryLedger::new();
    let mut ledger = LocalLedger::open(folder.path(), &options()).unwrap();
    for step in steps {
        match step {
            Step::Reopen => {
                drop(ledger);
                ledger = LocalLedger::open(folder.path(), &options()).unwrap();
            }
            Step::Burst(transactions) => {
                // Each is handed over when it is first polled, so they arrive in this order.
                let answers = transactions
                    .iter()
                    .map(|writes| ledger.transact(writes.clone()));
                let answers = futures::future::join_all(answers).await;
                for (writes, answer) in transactions.into_iter().zip(answers) {
                    let expected = outcome(model.transact(writes.clone()).await);
                    assert_eq!(outcome(answer), expected, "{writes:?}");
                }
            }
        }
        assert_eq!(everything(&ledger).await, everything(&model).await);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_local_ledger_answers_like_the_one_in_memory(steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(steps));
    }
}
