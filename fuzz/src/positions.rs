//! Positions and ids: order, and the way back.
//!
//! Input: six lines: two numbers as providers write them, two identities, a key, and a text that claims to be an id.

use cloakroom_core::id::{EventId, Identity, Place, StreamId};
use cloakroom_core::position::{Position, Sequence};

/// The target.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.splitn(6, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let numbers = [Sequence::parse(next()), Sequence::parse(next())];
    let identities = [Identity::from(next()), Identity::from(next())];
    let (key, id) = (next(), next());
    if let [Some(low), Some(high)] = &numbers {
        order(low, high, &identities);
    }
    for sequence in numbers.iter().flatten() {
        if !key.is_empty() {
            back(&StreamId::new("shop", key), sequence, &identities[0]);
        }
    }
    claims_to_be(id);
}

/// Positions are ordered as their numbers are, and what is placed late stands between its head and the next number.
fn order(one: &Sequence, other: &Sequence, identities: &[Identity; 2]) {
    let by_number = one.cmp(other);
    let version = [one, other].map(Position::version);
    assert_eq!(version[0].cmp(&version[1]), by_number, "{version:?}");
    let sparse = [
        Position::sparse(one, &identities[0]),
        Position::sparse(other, &identities[1]),
    ];
    if by_number.is_ne() {
        assert_eq!(sparse[0].cmp(&sparse[1]), by_number, "{sparse:?}");
    }
    if let (Some(low), Some(high)) = (one.as_whole(), other.as_whole()) {
        let dense = [low, high].map(Position::dense);
        assert_eq!(dense[0].cmp(&dense[1]), low.cmp(&high));
        if low < high {
            let late = Position::after_head(Some(&dense[0])).expect("the first place after a head");
            let later = Position::after_head(Some(&late)).expect("the second place after a head");
            assert!(dense[0] < late && late < later && later < dense[1]);
            assert!(dense[0] < dense[1].just_below() && dense[1].just_below() < dense[1]);
        }
    }
    if sparse[0] < sparse[1] {
        let late = Position::after_head(Some(&sparse[0])).expect("the first place after a head");
        assert!(sparse[0] < late, "{late:?}");
        if one != other {
            assert!(late < sparse[1], "{late:?} {sparse:?}");
        }
    }
}

/// What was made leads back to what it was made from.
fn back(stream: &StreamId, sequence: &Sequence, identity: &Identity) {
    assert_eq!(StreamId::parse(&stream.to_string()).as_ref(), Some(stream));
    let positions = [
        Position::version(sequence),
        Position::sparse(sequence, identity),
    ];
    for position in positions {
        let late = Position::after_head(Some(&position)).expect("the first place after a head");
        for position in [position, late] {
            assert_eq!(
                Position::expand(position.compact()).as_ref(),
                Some(&position)
            );
            assert_eq!(Position::parse(position.as_str()).as_ref(), Some(&position));
            let id = EventId::of(stream, &position);
            assert_eq!(id.place(), Some(Place::Stream(stream.clone(), position)));
        }
    }
}

/// Whoever reads an id reads the one id of that place.
fn claims_to_be(text: &str) {
    let id = EventId::from(text);
    if let Some(Place::Stream(stream, position)) = id.place() {
        assert_eq!(
            EventId::of(&stream, &position),
            id,
            "two ids lead to {stream} {position}"
        );
    }
    if let Some(stream) = StreamId::parse(text) {
        assert_eq!(StreamId::parse(&stream.to_string()), Some(stream));
    }
}
