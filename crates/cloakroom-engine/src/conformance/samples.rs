//! Records of every kind, for suites, models and golden files.

use cloakroom_core::event::{Body, ClaimName, Event, Payload, Sha256};
use cloakroom_core::head::{Base, Gap, Head};
use cloakroom_core::id::{EventId, StreamId};
use cloakroom_core::ordering::Reason;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;

use crate::record::{
    Cursor, CursorState, DeadLetter, HeadRecord, IdentityPlace, IdentityRecord, Lease, Note,
    Passed, Quarantined, Record, Resolution, SourceRecord, SubscriptionRecord, Superseded,
};

/// Keys that a careless encoding would mix up or put out of order, in byte order.
pub const ODD_KEYS: [&str; 22] = [
    "\n",
    " ",
    "\"",
    "#",
    "%2F",
    "/",
    "A",
    "\\",
    "a",
    "a\u{1}",
    "a\n",
    "a!",
    "a\"",
    "a#",
    "a/",
    "a/b",
    "aa",
    "a\u{ffff}",
    "a\u{10ffff}",
    "b",
    "ż",
    "\u{ffff}",
];

/// An instant some seconds into the time of the samples.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + seconds)
}

/// A payload of `text` in the ledger entry.
pub fn payload(text: &str, claim: Option<&str>) -> Payload {
    Payload {
        content_type: "application/json".to_owned(),
        size: text.len() as u64,
        sha256: Sha256::of(text.as_bytes()),
        claim: claim.map(|name| ClaimName(name.to_owned())),
        inline: Some(text.to_owned().into()),
    }
}

/// A ledger entry whose identity is `identity`.
pub fn event(stream: &StreamId, position: &Position, identity: &str) -> Event {
    Event {
        stream: stream.clone(),
        position: position.clone(),
        id: EventId::of(stream, position),
        identity: identity.into(),
        event_type: "order.paid".to_owned(),
        time: Some(at(-5)),
        recorded: at(0),
        traceparent: None,
        late: None,
        body: Body::Payload(payload(&format!("{{\"id\":\"{identity}\"}}"), None)),
    }
}

/// A head that has released up to `position`.
pub fn head(stream: &StreamId, position: Option<&Position>, revision: u64) -> HeadRecord {
    HeadRecord {
        stream: stream.clone(),
        head: Head {
            position: position.cloned(),
            ..Head::default()
        },
        appended: 0,
        advanced_at: 0,
        revision,
    }
}

/// A cursor in `state`.
pub fn cursor(subscription: &str, stream: &StreamId, state: CursorState, revision: u64) -> Cursor {
    Cursor {
        subscription: subscription.into(),
        stream: stream.clone(),
        position: None,
        state,
        acknowledged: Vec::new(),
        lease: None,
        since: None,
        epoch: 0,
        redrive: Vec::new(),
        revision,
    }
}

/// A dead letter.
pub fn dead_letter(subscription: &str, stream: &StreamId, position: &Position) -> DeadLetter {
    DeadLetter {
        subscription: subscription.into(),
        stream: stream.clone(),
        position: position.clone(),
        id: EventId::of(stream, position),
        since: at(60),
        attempts: 10,
        reason: "answered 500".to_owned(),
        revision: 1,
    }
}

/// A quarantined webhook.
pub fn quarantined(source: &str, identity: &str) -> Quarantined {
    Quarantined {
        source: source.into(),
        id: EventId::quarantined(&source.into(), &identity.into()),
        identity: identity.into(),
        reason: Reason::MissingKey,
        detail: "nothing at /data/id".to_owned(),
        stream: None,
        sequence: Some("7".to_owned()),
        event_type: "order.paid".to_owned(),
        time: None,
        recorded: at(0),
        traceparent: None,
        payload: payload("{}", Some("claims/1")),
        resolution: None,
        revision: 1,
    }
}

/// The identity record of an event that was placed.
pub fn identity(stream: &StreamId, position: &Position, identity: &str) -> IdentityRecord {
    IdentityRecord {
        source: stream.source.clone(),
        identity: identity.into(),
        place: IdentityPlace::Placed {
            stream: stream.clone(),
            position: position.clone(),
        },
        recorded: at(0),
        revision: 1,
    }
}

/// Records of every kind and shape, each under a name for its golden file. All keys differ.
pub fn every_kind() -> Vec<(&'static str, Record)> {
    let stream = StreamId::new("shop", "TR-42");
    let other = StreamId::new("shop", "zażółć/1");
    let (seven, eight) = (Position::dense(7), Position::dense(8));
    let full_event = Event {
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        late: Some("3".to_owned()),
        body: Body::Payload(payload("{\"id\":1}", Some("s/1/16/8"))),
        ..event(&stream, &seven, "evt-1")
    };
    let gap_event = Event {
        body: Body::Gap { from: 8, to: 9 },
        ..event(&stream, &eight, "gap")
    };
    let placeholder = Event {
        body: Body::Placeholder,
        ..event(&stream, &Position::dense(9), "gap")
    };
    let mut named = vec![
        ("head-new", Record::Head(head(&other, None, 0))),
        ("head-stalled", Record::Head(stalled_head(&stream))),
        (
            "head-advanced",
            Record::Head(HeadRecord {
                advanced_at: 3,
                ..head(&StreamId::new("transfers", "TR-advanced"), Some(&seven), 3)
            }),
        ),
        ("event", Record::Event(full_event.clone())),
        ("event-gap", Record::Event(gap_event)),
        ("event-placeholder", Record::Event(placeholder)),
        (
            "superseded",
            Record::Superseded(Superseded {
                stream: stream.clone(),
                position: seven.clone(),
                event: Some(full_event),
            }),
        ),
        (
            "note",
            Record::Note(Note {
                stream: stream.clone(),
                position: seven.clone(),
                sha256: Sha256::of(b"other"),
                recorded: at(9),
            }),
        ),
        (
            "passed",
            Record::Passed(Passed {
                subscription: "billing".into(),
                stream: stream.clone(),
                after: None,
                to: seven.clone(),
            }),
        ),
        (
            "dead-letter",
            Record::DeadLetter(dead_letter("billing", &stream, &seven)),
        ),
        (
            "identity-placed",
            Record::Identity(identity(&stream, &seven, "evt-1")),
        ),
    ];
    named.extend(cursors(&stream, &other));
    named.extend(of_operators(&stream, &seven));
    named
}

fn stalled_head(stream: &StreamId) -> HeadRecord {
    HeadRecord {
        head: Head {
            position: Some(Position::dense(7)),
            base: Base::Settled(1),
            gap: Some(Gap {
                from: 8,
                to: 9,
                since: at(0),
                deadline: at(30),
                stalled: true,
                skipping_from: Some(8),
            }),
            wake_at: Some(at(30)),
            floor: Some(Position::dense(2)),
        },
        appended: 9,
        advanced_at: 0,
        ..head(stream, None, 17)
    }
}

fn cursors(stream: &StreamId, other: &StreamId) -> Vec<(&'static str, Record)> {
    let active = Cursor {
        position: Some(Position::dense(7)),
        acknowledged: vec![Position::dense(9)],
        lease: Some(Lease {
            owner: "worker-1".to_owned(),
            until: at(60),
            through: None,
        }),
        epoch: 2,
        redrive: vec![Position::dense(3)],
        ..cursor("billing", stream, CursorState::Active, 5)
    };
    let retrying = CursorState::Retrying {
        attempts: 3,
        retry_at: at(40),
        reason: "timed out".to_owned(),
    };
    let parked = CursorState::Parked {
        attempts: 10,
        since: at(50),
        reason: "answered 500".to_owned(),
    };
    vec![
        ("cursor-active", Record::Cursor(active)),
        (
            "cursor-retrying",
            Record::Cursor(cursor("audit", stream, retrying, 1)),
        ),
        (
            "cursor-parked",
            Record::Cursor(cursor("audit", other, parked, 1)),
        ),
    ]
}

fn of_operators(stream: &StreamId, position: &Position) -> Vec<(&'static str, Record)> {
    let in_quarantine = quarantined("shop", "evt-2");
    let released = Quarantined {
        stream: Some(stream.clone()),
        time: Some(at(-1)),
        resolution: Some(Resolution::Released {
            stream: stream.clone(),
            position: position.clone(),
        }),
        ..quarantined("shop", "evt-3")
    };
    let discarded = Quarantined {
        resolution: Some(Resolution::Discarded { at: at(70) }),
        ..quarantined("shop", "evt-4")
    };
    vec![
        (
            "identity-quarantined",
            Record::Identity(IdentityRecord {
                source: "shop".into(),
                identity: "evt-2".into(),
                place: IdentityPlace::Quarantined(in_quarantine.id.clone()),
                recorded: at(0),
                revision: 1,
            }),
        ),
        ("quarantined", Record::Quarantined(in_quarantine)),
        ("quarantined-released", Record::Quarantined(released)),
        ("quarantined-discarded", Record::Quarantined(discarded)),
        (
            "subscription",
            Record::Subscription(SubscriptionRecord {
                name: "billing".into(),
                since: at(0),
                disabled: Some("the consumer answered 410".to_owned()),
                revision: 2,
            }),
        ),
        (
            "source",
            Record::Source(SourceRecord {
                name: "shop".into(),
                generation: 1,
                ordering: "dense body:/seq body:/id".to_owned(),
                revision: 0,
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_keys_are_in_byte_order() {
        assert!(ODD_KEYS.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()));
    }

    #[test]
    fn samples_have_keys_of_their_own() {
        let keys: std::collections::HashSet<_> = every_kind()
            .iter()
            .map(|(_, record)| record.key())
            .collect();
        assert_eq!(keys.len(), every_kind().len());
    }
}
