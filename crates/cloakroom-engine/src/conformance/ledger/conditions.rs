//! Each condition, alone and together.

use cloakroom_core::head::{Base, Head};
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;

use super::{accept, create, get, refuse};
use crate::conformance::samples::{self, ODD_KEYS};
use crate::ports::{Ledger, TRANSACTION_MAX, Write};
use crate::record::{CursorState, HeadRecord, IdentityRecord, Key, Record};

fn stream() -> StreamId {
    StreamId::new("shop", "TR-42")
}

fn dense(number: u64) -> Position {
    Position::dense(number)
}

fn delete(key: Key, revision: Option<u64>) -> Write {
    Write::Delete { key, revision }
}

fn identity(name: &str, revision: u64) -> Record {
    Record::Identity(IdentityRecord {
        revision,
        ..samples::identity(&stream(), &dense(1), name)
    })
}

fn replace(record: Record, revision: u64) -> Write {
    Write::Replace { record, revision }
}

pub(super) async fn every_kind_is_kept<L: Ledger>(ledger: &L) {
    for (_, record) in samples::every_kind() {
        assert_eq!(
            get(ledger, &record.key()).await,
            None,
            "nothing is there before it is written"
        );
        accept(ledger, &[Write::Create(record.clone())]).await;
    }
    for (_, record) in samples::every_kind() {
        assert_eq!(
            get(ledger, &record.key()).await.as_ref(),
            Some(&record),
            "a record is read as it was written, under its own key"
        );
    }
}

pub(super) async fn create_only_where_nothing_is<L: Ledger>(ledger: &L) {
    let first = identity("evt-1", 1);
    let second = identity("evt-1", 2);
    accept(ledger, &[Write::Create(first.clone())]).await;
    refuse(ledger, &[Write::Create(second.clone())], 0, Some(&first)).await;
    refuse(ledger, &[Write::Create(first.clone())], 0, Some(&first)).await;
    assert_eq!(get(ledger, &first.key()).await, Some(first.clone()));
    accept(ledger, &[delete(first.key(), None)]).await;
    accept(ledger, &[Write::Create(second.clone())]).await;
    assert_eq!(get(ledger, &first.key()).await, Some(second));
}

pub(super) async fn replace_compares<L: Ledger>(ledger: &L) {
    let (one, five) = (identity("evt-1", 1), identity("evt-1", 5));
    refuse(ledger, &[replace(five.clone(), 0)], 0, None).await;
    accept(ledger, &[Write::Create(one.clone())]).await;
    refuse(ledger, &[replace(five.clone(), 2)], 0, Some(&one)).await;
    accept(ledger, &[replace(five.clone(), 1)]).await;
    assert_eq!(
        get(ledger, &one.key()).await,
        Some(five.clone()),
        "the new record carries its own revision"
    );
    refuse(ledger, &[replace(identity("evt-1", 6), 1)], 0, Some(&five)).await;
}

pub(super) async fn delete_compares<L: Ledger>(ledger: &L) {
    let one = identity("evt-1", 3);
    let key = one.key();
    refuse(ledger, &[delete(key.clone(), Some(0))], 0, None).await;
    accept(ledger, &[delete(key.clone(), None)]).await;
    accept(ledger, &[Write::Create(one.clone())]).await;
    refuse(ledger, &[delete(key.clone(), Some(2))], 0, Some(&one)).await;
    accept(ledger, &[delete(key.clone(), Some(3))]).await;
    assert_eq!(get(ledger, &key).await, None);
    accept(ledger, &[Write::Create(one.clone())]).await;
    accept(ledger, &[delete(key.clone(), None)]).await;
    assert_eq!(
        get(ledger, &key).await,
        None,
        "`None` removes whatever is there"
    );
    let event = samples::event(&stream(), &dense(1), "evt");
    accept(ledger, &[create(event.clone())]).await;
    accept(ledger, &[delete(Key::Event(stream(), dense(1)), Some(0))]).await;
    assert_eq!(ledger.last_event(&stream()).await.ok().flatten(), None);
}

pub(super) async fn all_or_nothing<L: Ledger>(ledger: &L) {
    let taken = identity("taken", 1);
    let old = identity("old", 1);
    let head = Record::from(samples::head(&stream(), Some(&dense(5)), 1));
    let writes_before = [taken.clone(), old.clone(), head.clone()].map(Write::Create);
    accept(ledger, &writes_before).await;
    let writes = [
        Write::Create(identity("new", 1)),
        replace(identity("old", 2), 1),
        delete(taken.key(), Some(1)),
        create(samples::event(&stream(), &dense(6), "evt")),
        Write::Admit {
            stream: stream(),
            position: dense(6),
        },
    ];
    let failing = [
        replace(identity("nowhere", 2), 1),
        delete(Key::Source("nowhere".into()), Some(1)),
    ];
    for failing in failing {
        for place in [0, 2, writes.len()] {
            let mut writes = writes.to_vec();
            writes.insert(place, failing.clone());
            refuse(ledger, &writes, place, None).await;
        }
    }
    let second = Write::Create(head.clone());
    refuse(
        ledger,
        &[writes[0].clone(), second, replace(identity("old", 2), 9)],
        1,
        Some(&head),
    )
    .await;
    for (key, expected) in [
        (identity("new", 1).key(), None),
        (old.key(), Some(old)),
        (taken.key(), Some(taken)),
        (Key::Event(stream(), dense(6)), None),
        (head.key(), Some(head)),
    ] {
        assert_eq!(
            get(ledger, &key).await,
            expected,
            "a refused transaction changes nothing"
        );
    }
    accept(ledger, &writes).await;
    assert_eq!(
        get(ledger, &identity("new", 1).key()).await,
        Some(identity("new", 1))
    );
    assert_eq!(
        get(ledger, &identity("old", 1).key()).await,
        Some(identity("old", 2))
    );
    assert_eq!(get(ledger, &identity("taken", 1).key()).await, None);
    assert!(get(ledger, &Key::Event(stream(), dense(6))).await.is_some());
}

pub(super) async fn a_full_transaction<L: Ledger>(ledger: &L) {
    let mut writes: Vec<_> = (1..TRANSACTION_MAX as u64)
        .map(|number| create(samples::event(&stream(), &dense(number), "gap")))
        .collect();
    writes.push(create(samples::head(&stream(), Some(&dense(99)), 1)));
    accept(ledger, &writes).await;
    let events = ledger.events(&stream(), None, None, 1000).await;
    assert_eq!(events.map(|e| e.len()).ok(), Some(TRANSACTION_MAX - 1));
    let head = get(ledger, &Key::Head(stream())).await;
    let mut again = writes.clone();
    again.rotate_right(1);
    refuse(ledger, &again, 0, head.as_ref()).await;
    accept(ledger, &[]).await;
}

pub(super) async fn admit<L: Ledger>(ledger: &L) {
    let admit = |number| Write::Admit {
        stream: stream(),
        position: dense(number),
    };
    refuse(ledger, &[admit(1)], 0, None).await;
    accept(ledger, &[create(samples::head(&stream(), None, 0))]).await;
    accept(ledger, &[admit(0)]).await;
    let expected = HeadRecord {
        appended: 1,
        advanced_at: 0,
        ..samples::head(&stream(), None, 1)
    };
    assert_eq!(
        get(ledger, &Key::Head(stream())).await,
        Some(expected.into()),
        "an admitted append adds one to `appended` and to the revision, and nothing else"
    );
    let released = HeadRecord {
        appended: 1,
        advanced_at: 0,
        ..samples::head(&stream(), Some(&dense(5)), 2)
    };
    accept(ledger, &[replace(released.clone().into(), 1)]).await;
    for number in [0, 4, 5] {
        let writes = [
            create(samples::event(&stream(), &dense(number), "evt")),
            admit(number),
        ];
        refuse(ledger, &writes, 1, Some(&released.clone().into())).await;
        assert_eq!(
            get(ledger, &Key::Event(stream(), dense(number))).await,
            None
        );
    }
    let late = Position::after_head(Some(&dense(5))).expect("the first place after a head");
    for position in [late, dense(6)] {
        let event = create(samples::event(&stream(), &position, "evt"));
        accept(
            ledger,
            &[
                event,
                Write::Admit {
                    stream: stream(),
                    position,
                },
            ],
        )
        .await;
    }
    let expected = HeadRecord {
        appended: 3,
        advanced_at: 0,
        revision: 4,
        ..released.clone()
    };
    assert_eq!(
        get(ledger, &Key::Head(stream())).await,
        Some(expected.clone().into())
    );
    let stale = HeadRecord {
        revision: 5,
        ..released
    };
    refuse(
        ledger,
        &[replace(stale.clone().into(), 2)],
        0,
        Some(&expected.clone().into()),
    )
    .await;
    accept(ledger, &[replace(stale.into(), 4)]).await;
}

pub(super) async fn base_allows<L: Ledger>(ledger: &L) {
    let guard = |number| Write::BaseAllows {
        stream: stream(),
        number,
    };
    refuse(ledger, &[guard(1)], 0, None).await;
    let mut head = samples::head(&stream(), None, 0);
    accept(ledger, &[create(head.clone())]).await;
    accept(
        ledger,
        &[
            guard(0),
            create(samples::event(&stream(), &dense(0), "evt")),
        ],
    )
    .await;
    for base in [Base::Fixed(5), Base::Settled(5)] {
        let revision = head.revision;
        head = HeadRecord {
            head: Head {
                base,
                ..Head::default()
            },
            revision: revision + 1,
            ..head
        };
        accept(ledger, &[replace(head.clone().into(), revision)]).await;
        let event = create(samples::event(&stream(), &dense(4), "evt"));
        refuse(ledger, &[event, guard(4)], 1, Some(&head.clone().into())).await;
        for number in [5, 6] {
            accept(ledger, &[guard(number)]).await;
        }
    }
    assert_eq!(
        get(ledger, &Key::Head(stream())).await,
        Some(head.into()),
        "a guard changes nothing"
    );
    assert_eq!(get(ledger, &Key::Event(stream(), dense(4))).await, None);
}

pub(super) async fn odd_keys_stay_apart<L: Ledger>(ledger: &L) {
    let records = |key: &str| {
        let stream = StreamId::new("s", key);
        let name = format!("{key}-identity");
        [
            Record::from(samples::head(&stream, Some(&dense(1)), 1)),
            samples::event(&stream, &dense(1), key).into(),
            samples::identity(&stream, &dense(1), key).into(),
            samples::identity(&stream, &dense(1), &name).into(),
            samples::cursor("billing", &stream, CursorState::Active, 1).into(),
        ]
    };
    for key in ODD_KEYS {
        accept(ledger, &records(key).map(Write::Create)).await;
    }
    for key in ODD_KEYS {
        for record in records(key) {
            assert_eq!(get(ledger, &record.key()).await, Some(record));
        }
    }
}
