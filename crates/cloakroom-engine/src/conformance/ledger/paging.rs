//! Every index, page by page.

use cloakroom_core::head::{Gap, Head};
use cloakroom_core::id::{SourceName, StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use super::{accept, create};
use crate::conformance::samples::{self, ODD_KEYS, at};
use crate::ports::{Index, Ledger, Write};
use crate::record::{
    AttentionKind, CursorState, HeadRecord, Key, Note, Passed, Record, Superseded,
};

/// More pages than any case here has.
const PAGES_MAX: usize = 10_000;

async fn page<L: Ledger>(
    ledger: &L,
    index: &Index,
    cursor: Option<&str>,
    limit: usize,
) -> (Vec<Record>, Option<String>) {
    let page = ledger.list(index, cursor, limit).await;
    let page = page.unwrap_or_else(|error| panic!("listing {index:?}: {error}"));
    assert!(
        page.records.len() <= limit,
        "a page holds at most {limit} records"
    );
    (page.records, page.next)
}

async fn all<L: Ledger>(ledger: &L, index: &Index, limit: usize) -> Vec<Record> {
    let (mut found, mut next) = page(ledger, index, None, limit).await;
    for _ in 0..PAGES_MAX {
        let Some(cursor) = next else { return found };
        let (records, following) = page(ledger, index, Some(&cursor), limit).await;
        found.extend(records);
        next = following;
    }
    panic!("paging of {index:?} by {limit} does not end");
}

/// Expects these records, in this order, whatever the size of the page.
async fn check<L: Ledger>(ledger: &L, index: &Index, expected: &[Record]) {
    for limit in [1, 2, 7, 1000] {
        let found = all(ledger, index, limit).await;
        assert_eq!(
            found.iter().map(Record::key).collect::<Vec<_>>(),
            expected.iter().map(Record::key).collect::<Vec<_>>(),
            "{index:?} by pages of {limit}"
        );
        assert_eq!(found, expected, "{index:?} by pages of {limit}");
    }
}

async fn store<L: Ledger>(ledger: &L, records: &[Record]) {
    for chunk in records.chunks(40) {
        let writes: Vec<_> = chunk.iter().cloned().map(Write::Create).collect();
        accept(ledger, &writes).await;
    }
}

const SOURCES: [&str; 3] = ["s", "s-1", "s1"];

fn streams() -> Vec<StreamId> {
    SOURCES
        .iter()
        .flat_map(|source| ODD_KEYS.map(|key| StreamId::new(*source, key)))
        .collect()
}

pub(super) async fn every_index<L: Ledger>(ledger: &L) {
    let streams = streams();
    let heads: Vec<Record> = streams
        .iter()
        .map(|s| samples::head(s, None, 1).into())
        .collect();
    let dead: Vec<Record> = SOURCES
        .iter()
        .flat_map(|subscription| streams.iter().map(move |stream| (*subscription, stream)))
        .flat_map(|(subscription, stream)| {
            [3, 20, 100]
                .map(|n| samples::dead_letter(subscription, stream, &Position::dense(n)).into())
        })
        .collect();
    let mut quarantined: Vec<Record> = SOURCES
        .iter()
        .flat_map(|source| ODD_KEYS.map(|key| samples::quarantined(source, key).into()))
        .collect();
    quarantined.sort_by_key(|record| match record {
        Record::Quarantined(q) => (q.source.clone(), q.id.clone()),
        _ => unreachable!("only quarantined ones were made"),
    });
    check(ledger, &Index::Heads(None), &[]).await;
    store(ledger, &heads).await;
    store(ledger, &dead).await;
    store(ledger, &quarantined).await;
    check(ledger, &Index::Heads(None), &heads).await;
    check(ledger, &Index::DeadLetters(None), &dead).await;
    check(ledger, &Index::Quarantine(None), &quarantined).await;
    for (number, name) in SOURCES.iter().enumerate() {
        let third = |all: &[Record]| {
            let size = all.len() / SOURCES.len();
            all[number * size..][..size].to_vec()
        };
        let (source, subscription) = (SourceName::from(*name), SubscriptionName::from(*name));
        check(ledger, &Index::Heads(Some(source.clone())), &third(&heads)).await;
        check(
            ledger,
            &Index::Quarantine(Some(source)),
            &third(&quarantined),
        )
        .await;
        check(
            ledger,
            &Index::DeadLetters(Some(subscription)),
            &third(&dead),
        )
        .await;
    }
    check(ledger, &Index::Heads(Some("s0".into())), &[]).await;
}

pub(super) async fn indexes_are_narrow<L: Ledger>(ledger: &L) {
    let positions = [1, 2, 10].map(Position::dense);
    let note = |stream: &StreamId, position: &Position, text: &str| {
        Record::from(Note {
            stream: stream.clone(),
            position: position.clone(),
            sha256: cloakroom_core::event::Sha256::of(text.as_bytes()),
            recorded: at(0),
        })
    };
    let passed = |name: &str, stream: &StreamId, to: &Position| {
        Record::from(Passed {
            subscription: name.into(),
            stream: stream.clone(),
            after: None,
            to: to.clone(),
        })
    };
    let superseded = |stream: &StreamId, position: &Position| {
        Record::Superseded(Superseded {
            stream: stream.clone(),
            position: position.clone(),
            event: None,
        })
    };
    let streams = streams();
    for stream in &streams {
        for position in &positions {
            let writes = [
                superseded(stream, position),
                note(stream, position, "one"),
                note(stream, position, "two"),
                passed("s", stream, position),
                passed("s-1", stream, position),
            ];
            store(ledger, &writes).await;
        }
    }
    for stream in &streams {
        let expected = positions
            .clone()
            .map(|position| passed("s", stream, &position));
        check(
            ledger,
            &Index::Passed("s".into(), stream.clone()),
            &expected,
        )
        .await;
        let expected = positions
            .clone()
            .map(|position| superseded(stream, &position));
        check(ledger, &Index::Superseded(stream.clone()), &expected).await;
        for position in &positions {
            let mut expected = ["one", "two"].map(|text| note(stream, position, text));
            let index = Index::Notes(stream.clone(), position.clone());
            let mut found = all(ledger, &index, 1).await;
            expected.sort_by_key(|record| format!("{:?}", record.key()));
            found.sort_by_key(|record| format!("{:?}", record.key()));
            assert_eq!(found, expected, "the notes beside one event");
        }
    }
}

fn waking(stream: &StreamId, wake_at: Option<i64>, revision: u64) -> HeadRecord {
    HeadRecord {
        head: Head {
            wake_at: wake_at.map(at),
            ..Head::default()
        },
        ..samples::head(stream, None, revision)
    }
}

fn attention(kind: AttentionKind, due: Timestamp) -> Index {
    Index::Attention { kind, due }
}

pub(super) async fn attention_moves<L: Ledger>(ledger: &L) {
    let [a, b, c] = ["a", "aa", "b"].map(|key| StreamId::new("shop", key));
    let [first, second, third] =
        [(&a, 30), (&b, 10), (&c, 20)].map(|(s, due)| Record::from(waking(s, Some(due), 1)));
    store(ledger, &[first.clone(), second.clone(), third.clone()]).await;
    let wake = |due| attention(AttentionKind::Wake, at(due));
    check(
        ledger,
        &wake(100),
        &[second.clone(), third.clone(), first.clone()],
    )
    .await;
    check(ledger, &wake(20), &[second.clone(), third.clone()]).await;
    check(ledger, &wake(9), &[]).await;
    let later = Record::from(waking(&b, Some(25), 2));
    accept(
        ledger,
        &[Write::Replace {
            record: later.clone(),
            revision: 1,
        }],
    )
    .await;
    check(
        ledger,
        &wake(100),
        &[third.clone(), later.clone(), first.clone()],
    )
    .await;
    let quiet = Record::from(waking(&c, None, 2));
    accept(
        ledger,
        &[Write::Replace {
            record: quiet,
            revision: 1,
        }],
    )
    .await;
    check(ledger, &wake(100), &[later.clone(), first.clone()]).await;
    // An append changes the record, but not when it is due.
    accept(
        ledger,
        &[Write::Admit {
            stream: b.clone(),
            position: Position::dense(1),
        }],
    )
    .await;
    let counted = Record::from(HeadRecord {
        appended: 1,
        advanced_at: 0,
        ..waking(&b, Some(25), 3)
    });
    check(ledger, &wake(100), &[counted, first.clone()]).await;
    let gap = Gap {
        from: 1,
        to: 2,
        since: at(0),
        deadline: at(5),
        stalled: true,
        skipping_from: None,
    };
    let mut stalled = waking(&a, Some(30), 2);
    stalled.head.gap = Some(gap);
    let stalled = Record::from(stalled);
    accept(
        ledger,
        &[Write::Replace {
            record: stalled.clone(),
            revision: 1,
        }],
    )
    .await;
    check(
        ledger,
        &attention(AttentionKind::Stalled, at(5)),
        &[stalled],
    )
    .await;
    accept(
        ledger,
        &[Write::Delete {
            key: Key::Head(b),
            revision: None,
        }],
    )
    .await;
    check(ledger, &wake(100), &[]).await;
    cursors_move(ledger, &a).await;
}

async fn cursors_move<L: Ledger>(ledger: &L, stream: &StreamId) {
    let retrying = |due| CursorState::Retrying {
        attempts: 1,
        retry_at: at(due),
        reason: String::new(),
    };
    let parked = CursorState::Parked {
        attempts: 2,
        since: at(50),
        reason: String::new(),
    };
    let cursor =
        |state, revision| Record::from(samples::cursor("billing", stream, state, revision));
    let retry = attention(AttentionKind::Retry, at(100));
    let park = attention(AttentionKind::Parked, at(100));
    store(ledger, &[cursor(retrying(10), 1)]).await;
    check(ledger, &retry, &[cursor(retrying(10), 1)]).await;
    check(ledger, &park, &[]).await;
    accept(
        ledger,
        &[Write::Replace {
            record: cursor(parked.clone(), 2),
            revision: 1,
        }],
    )
    .await;
    check(ledger, &retry, &[]).await;
    check(ledger, &park, &[cursor(parked, 2)]).await;
    accept(
        ledger,
        &[Write::Replace {
            record: cursor(CursorState::Active, 3),
            revision: 2,
        }],
    )
    .await;
    check(ledger, &park, &[]).await;
}

/// Between any two pages records come and go, also the one the cursor points at; the others are seen all the same.
pub(super) async fn while_writing<L: Ledger>(ledger: &L) {
    let stream = |key: &str| StreamId::new("shop", key);
    for round in 0..2 {
        let due = |number: usize| {
            if round == 0 {
                None
            } else {
                Some(number as i64)
            }
        };
        let keys: Vec<String> = ODD_KEYS.iter().map(|key| format!("{round}{key}")).collect();
        for (number, key) in keys.iter().enumerate() {
            accept(ledger, &[create(waking(&stream(key), due(number), 1))]).await;
        }
        let index = match round {
            0 => Index::Heads(Some("shop".into())),
            _ => attention(AttentionKind::Wake, at(1000)),
        };
        let (mut found, mut next) = page(ledger, &index, None, 1).await;
        let mut doomed = keys.len() - 1;
        while let Some(cursor) = next {
            let last = found
                .last()
                .map(Record::key)
                .expect("a page with a next one is not empty");
            accept(
                ledger,
                &[Write::Delete {
                    key: last,
                    revision: None,
                }],
            )
            .await;
            // Every third of those that are still to come is removed as well, from the end.
            if found.len() % 3 == 0 && doomed > found.len() + 1 {
                let key = Key::Head(stream(&keys[doomed]));
                accept(
                    ledger,
                    &[Write::Delete {
                        key,
                        revision: None,
                    }],
                )
                .await;
                doomed -= 1;
            }
            let name = format!("{round}{}new", keys[found.len() % keys.len()]);
            let newcomer = samples::head(
                &StreamId::new("other", format!("{name}{}", found.len())),
                None,
                1,
            );
            accept(ledger, &[create(newcomer)]).await;
            let (records, following) = page(ledger, &index, Some(&cursor), 1).await;
            found.extend(records);
            next = following;
        }
        let found: Vec<_> = found.iter().map(Record::key).collect();
        let expected: Vec<_> = keys[..=doomed]
            .iter()
            .map(|key| Key::Head(stream(key)))
            .collect();
        assert_eq!(
            found, expected,
            "what was there before paging began, and stayed, is seen once, in order"
        );
        let left = all(ledger, &Index::Heads(Some("shop".into())), 100).await;
        let writes: Vec<_> = left
            .iter()
            .map(|r| Write::Delete {
                key: r.key(),
                revision: None,
            })
            .collect();
        accept(ledger, &writes).await;
    }
}
