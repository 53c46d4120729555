//! Keys as bytes whose order is the order of the indexes.
//!
//! A key is a byte for its kind and then its parts. Each part ends with `00 01`; a zero byte inside a part becomes
//! `00 ff`. So no part is mistaken for the beginning of another, and byte order is part-by-part order.
//!
//! This is a stored format: kinds and encoding never change within one version of the data directory.

use cloakroom_core::id::StreamId;
use cloakroom_engine::ports::Index;
use cloakroom_engine::record::{AttentionKind, Key};
use sha2::{Digest as _, Sha256};

const HEAD: u8 = 1;
const EVENT: u8 = 2;
const SUPERSEDED: u8 = 3;
const NOTE: u8 = 4;
const CURSOR: u8 = 5;
const PASSED: u8 = 6;
const DEAD_LETTER: u8 = 7;
const IDENTITY: u8 = 8;
const QUARANTINED: u8 = 9;
const SUBSCRIPTION: u8 = 10;
const SOURCE: u8 = 11;

const PART_END: [u8; 2] = [0, 1];
const ZERO: [u8; 2] = [0, 0xff];

/// The first byte of a record's encoded key.
pub(crate) fn kind(key: &Key) -> u8 {
    match key {
        Key::Head(_) => HEAD,
        Key::Event(..) => EVENT,
        Key::Superseded(..) => SUPERSEDED,
        Key::Note(..) => NOTE,
        Key::Cursor(..) => CURSOR,
        Key::Passed(..) => PASSED,
        Key::DeadLetter(..) => DEAD_LETTER,
        Key::Identity(..) => IDENTITY,
        Key::Quarantined(..) => QUARANTINED,
        Key::Subscription(_) => SUBSCRIPTION,
        Key::Source(_) => SOURCE,
    }
}

/// The encoded key of a record.
pub(crate) fn encode(key: &Key) -> Vec<u8> {
    match key {
        Key::Head(stream) => of_stream(HEAD, stream).done(),
        Key::Event(stream, position) => of_stream(EVENT, stream).part(position.as_str()).done(),
        Key::Superseded(stream, position) => {
            of_stream(SUPERSEDED, stream).part(position.as_str()).done()
        }
        Key::Note(stream, position, sha256) => {
            let mut key = of_stream(NOTE, stream).part(position.as_str());
            key.0.extend_from_slice(&sha256.0);
            key.done()
        }
        Key::Cursor(name, stream) => Encoder::new(CURSOR)
            .part(name.as_str())
            .stream(stream)
            .done(),
        Key::Passed(name, stream, position) => {
            let key = Encoder::new(PASSED).part(name.as_str()).stream(stream);
            key.part(position.as_str()).done()
        }
        Key::DeadLetter(name, stream, position) => {
            let key = Encoder::new(DEAD_LETTER).part(name.as_str()).stream(stream);
            key.part(position.as_str()).done()
        }
        Key::Identity(source, identity) => {
            // Providers choose identities, of any length; nothing lists them, so their order does not matter.
            let both = Encoder::new(IDENTITY).part(source.as_str());
            let both = both.part(identity.as_str()).done();
            let mut key = Encoder::new(IDENTITY);
            key.0.extend_from_slice(&Sha256::digest(both));
            key.done()
        }
        Key::Quarantined(source, id) => {
            let key = Encoder::new(QUARANTINED).part(source.as_str());
            key.part(id.as_str()).done()
        }
        Key::Subscription(name) => Encoder::new(SUBSCRIPTION).part(name.as_str()).done(),
        Key::Source(name) => Encoder::new(SOURCE).part(name.as_str()).done(),
    }
}

/// What the keys of an index begin with. `None` for heads and attention, which have tables of their own.
pub(crate) fn index_prefix(index: &Index) -> Option<Vec<u8>> {
    let narrowed = |kind, name: Option<&str>| {
        let key = Encoder::new(kind);
        name.map_or_else(|| Encoder::new(kind).done(), |name| key.part(name).done())
    };
    Some(match index {
        Index::Quarantine(source) => narrowed(QUARANTINED, source.as_ref().map(|s| s.as_str())),
        Index::DeadLetters(name) => narrowed(DEAD_LETTER, name.as_ref().map(|n| n.as_str())),
        Index::Notes(stream, position) => of_stream(NOTE, stream).part(position.as_str()).done(),
        Index::Superseded(stream) => of_stream(SUPERSEDED, stream).done(),
        Index::Passed(name, stream) => Encoder::new(PASSED)
            .part(name.as_str())
            .stream(stream)
            .done(),
        Index::Heads(_) | Index::Attention { .. } => return None,
    })
}

/// The first key that no longer begins with `prefix`. Every prefix here has a byte below `ff`.
pub(crate) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// The stored number of an attention kind; 0 stands for none.
pub(crate) fn attention_tag(kind: AttentionKind) -> u8 {
    match kind {
        AttentionKind::Wake => 1,
        AttentionKind::Stalled => 2,
        AttentionKind::Retry => 3,
        AttentionKind::Parked => 4,
    }
}

/// The kind with this stored number.
pub(crate) fn attention_kind(tag: u8) -> Option<AttentionKind> {
    match tag {
        1 => Some(AttentionKind::Wake),
        2 => Some(AttentionKind::Stalled),
        3 => Some(AttentionKind::Retry),
        4 => Some(AttentionKind::Parked),
        _ => None,
    }
}

fn of_stream(kind: u8, stream: &StreamId) -> Encoder {
    Encoder::new(kind).stream(stream)
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn new(kind: u8) -> Self {
        let mut bytes = Vec::with_capacity(96);
        bytes.push(kind);
        Self(bytes)
    }

    fn stream(self, stream: &StreamId) -> Self {
        self.part(stream.source.as_str()).part(stream.key.as_str())
    }

    fn part(mut self, text: &str) -> Self {
        self.escaped(text.as_bytes());
        self.0.extend_from_slice(&PART_END);
        self
    }

    fn escaped(&mut self, bytes: &[u8]) {
        for (number, piece) in bytes.split(|byte| *byte == 0).enumerate() {
            if number > 0 {
                self.0.extend_from_slice(&ZERO);
            }
            self.0.extend_from_slice(piece);
        }
    }

    fn done(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::position::Position;
    use proptest::prelude::*;

    use super::*;

    fn event(source: &str, key: &str, number: u64) -> Key {
        Key::Event(StreamId::new(source, key), Position::dense(number))
    }

    proptest! {
        #[test]
        fn byte_order_is_the_order_of_streams(a in "[\\x00-\\x02ab]{0,3}", b in "[\\x00-\\x02ab]{0,3}", c in "[\\x00a]{1,2}", d in "[\\x00a]{1,2}", m in 0u64..3, n in 0u64..3) {
            let parts = (&a, &c, m).cmp(&(&b, &d, n));
            prop_assert_eq!(encode(&event(&a, &c, m)).cmp(&encode(&event(&b, &d, n))), parts);
            let stream = |source: &str, key: &str| StreamId::new(source, key);
            let passed = encode(&Key::Passed("x".into(), stream(&b, &d), Position::dense(n)));
            let prefix = index_prefix(&Index::Passed("x".into(), stream(&a, &c))).unwrap();
            prop_assert_eq!(passed.starts_with(&prefix), a == b && c == d);
        }
    }

    #[test]
    fn identities_are_told_apart_whatever_their_length() {
        let key =
            |source: &str, identity: &str| encode(&Key::Identity(source.into(), identity.into()));
        let long = "x".repeat(100_000);
        assert_ne!(
            key("shop", &format!("{long}a")),
            key("shop", &format!("{long}b"))
        );
        assert_ne!(key("shop", "a"), key("sho", "pa"));
        assert_eq!(key("shop", &long), key("shop", &long));
        assert_eq!(key("shop", &long).len(), 33);
    }

    #[test]
    fn the_end_of_a_prefix_is_behind_all_that_begins_with_it() {
        assert_eq!(end_of(&[1, 0xff, 0xff]), [2]);
        assert_eq!(end_of(&[1, 2]), [1, 3]);
    }
}
