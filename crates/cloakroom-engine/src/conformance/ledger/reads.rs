//! Ranges of events.

use cloakroom_core::event::Event;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;

use super::{accept, create};
use crate::conformance::samples::{self, ODD_KEYS};
use crate::ports::Ledger;
use crate::record::{Record, Superseded};

async fn positions<L: Ledger>(
    ledger: &L,
    stream: &StreamId,
    after: Option<&Position>,
    up_to: Option<&Position>,
    limit: usize,
) -> Vec<Position> {
    let events = ledger.events(stream, after, up_to, limit).await;
    let events = events.unwrap_or_else(|error| panic!("reading events of {stream}: {error}"));
    assert!(
        events.iter().all(|event| event.stream == *stream),
        "only this stream's events"
    );
    events.into_iter().map(|event| event.position).collect()
}

async fn last<L: Ledger>(ledger: &L, stream: &StreamId) -> Option<Event> {
    let last = ledger.last_event(stream).await;
    last.unwrap_or_else(|error| panic!("reading the last event of {stream}: {error}"))
}

/// Positions of every form, in order.
fn mixed() -> Vec<Position> {
    let late = Position::after_head(Some(&Position::dense(3))).expect("a place after 3");
    let later = Position::after_head(Some(&late)).expect("a second place after 3");
    let before = Position::after_head(None).expect("a place before the first number");
    let mut all = vec![before, late, later];
    all.extend([0, 1, 2, 3, 4, 9, 10, 11, 100, u64::MAX].map(Position::dense));
    all.sort();
    all
}

pub(super) async fn events<L: Ledger>(ledger: &L) {
    let stream = StreamId::new("shop", "a");
    assert!(positions(ledger, &stream, None, None, 10).await.is_empty());
    let all = mixed();
    // Written from the last to the first: order must not come from the order of writing.
    for position in all.iter().rev() {
        accept(ledger, &[create(samples::event(&stream, position, "evt"))]).await;
        let superseded = Superseded {
            stream: stream.clone(),
            position: position.clone(),
            event: None,
        };
        accept(
            ledger,
            &[super::Write::Create(Record::Superseded(superseded))],
        )
        .await;
    }
    let bounds: Vec<Option<&Position>> =
        std::iter::once(None).chain(all.iter().map(Some)).collect();
    for after in &bounds {
        for up_to in &bounds {
            for limit in [0, 1, 2, 5, all.len(), usize::MAX] {
                let expected: Vec<Position> = all
                    .iter()
                    .filter(|p| after.is_none_or(|after| *p > after))
                    .filter(|p| up_to.is_none_or(|up_to| *p <= up_to))
                    .take(limit)
                    .cloned()
                    .collect();
                let found = positions(ledger, &stream, *after, *up_to, limit).await;
                assert_eq!(
                    found, expected,
                    "events above {after:?} up to {up_to:?}, at most {limit}"
                );
            }
        }
    }
    let between = Position::dense(50);
    assert_eq!(
        positions(ledger, &stream, Some(&between), None, 1).await,
        [Position::dense(100)],
        "a bound need not be taken by an event"
    );
    assert!(
        positions(
            ledger,
            &stream,
            Some(&between),
            Some(&Position::dense(99)),
            5
        )
        .await
        .is_empty()
    );
}

pub(super) async fn last_event<L: Ledger>(ledger: &L) {
    let stream = StreamId::new("shop", "a");
    assert_eq!(last(ledger, &stream).await, None);
    for number in [5, 2, 7, 6] {
        accept(
            ledger,
            &[create(samples::event(
                &stream,
                &Position::dense(number),
                "evt",
            ))],
        )
        .await;
    }
    let expected = samples::event(&stream, &Position::dense(7), "evt");
    assert_eq!(last(ledger, &stream).await, Some(expected.clone()));
    accept(
        ledger,
        &[create(samples::head(&stream, Some(&Position::dense(2)), 1))],
    )
    .await;
    assert_eq!(
        last(ledger, &stream).await,
        Some(expected),
        "whether released or not"
    );
    let key = crate::record::Key::Event(stream.clone(), Position::dense(7));
    accept(
        ledger,
        &[super::Write::Delete {
            key,
            revision: None,
        }],
    )
    .await;
    let expected = samples::event(&stream, &Position::dense(6), "evt");
    assert_eq!(last(ledger, &stream).await, Some(expected));
}

pub(super) async fn streams_do_not_mix<L: Ledger>(ledger: &L) {
    let streams: Vec<_> = ["s", "s-1", "s1"]
        .iter()
        .flat_map(|source| ODD_KEYS.map(|key| StreamId::new(*source, key)))
        .collect();
    for (number, stream) in streams.iter().enumerate() {
        let number = number as u64;
        let writes =
            [number, number + 1].map(|n| create(samples::event(stream, &Position::dense(n), "e")));
        accept(ledger, &writes).await;
    }
    for (number, stream) in streams.iter().enumerate() {
        let expected = [number as u64, number as u64 + 1].map(Position::dense);
        assert_eq!(
            positions(ledger, stream, None, None, 100).await,
            expected,
            "{stream:?}"
        );
        let last = last(ledger, stream)
            .await
            .map(|event| (event.stream, event.position));
        assert_eq!(last, Some((stream.clone(), expected[1].clone())));
    }
    assert_eq!(last(ledger, &StreamId::new("s", "a\u{2}")).await, None);
    assert_eq!(last(ledger, &StreamId::new("s0", "a")).await, None);
}
