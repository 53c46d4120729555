//! Keys as bytes whose order is the order of the indexes.
//!
//! A key is a byte for its kind and then its parts. Each part ends with `00 01`; a zero byte inside a part becomes
//! `00 ff`. So no part is mistaken for the beginning of another, and byte order is part-by-part order.
//!
//! This is a stored format: kinds and encoding never change within one version of the data directory.

use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
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

/// Ends the part of an identity that is too long to be stored whole: the hash of the whole follows.
const CUT: [u8; 2] = [0, 2];

/// Providers choose identities, and the store limits keys to 65,535 bytes. Longer ones are cut here and told apart by
/// their hash; nothing lists identities, so their order does not matter.
const IDENTITY_MAX_BYTES: usize = 1024;

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
            let key = Encoder::new(IDENTITY).part(source.as_str());
            key.cut_part(identity.as_str()).done()
        }
        Key::Quarantined(source, id) => {
            let key = Encoder::new(QUARANTINED).part(source.as_str());
            key.part(id.as_str()).done()
        }
        Key::Subscription(name) => Encoder::new(SUBSCRIPTION).part(name.as_str()).done(),
        Key::Source(name) => Encoder::new(SOURCE).part(name.as_str()).done(),
    }
}

/// What the keys of all events of a stream begin with.
pub(crate) fn events_prefix(stream: &StreamId) -> Vec<u8> {
    of_stream(EVENT, stream).done()
}

/// The key of an event, from its stream's [`events_prefix`].
pub(crate) fn event_in(prefix: &[u8], position: &Position) -> Vec<u8> {
    let mut key = Encoder(Vec::with_capacity(
        prefix.len() + position.as_str().len() + 2,
    ));
    key.0.extend_from_slice(prefix);
    key.part(position.as_str()).done()
}

/// What the keys of an index begin with. `None` for the attention index, which has a tree of its own.
pub(crate) fn index_prefix(index: &Index) -> Option<Vec<u8>> {
    let narrowed = |kind, name: Option<&str>| {
        let key = Encoder::new(kind);
        name.map_or_else(|| Encoder::new(kind).done(), |name| key.part(name).done())
    };
    Some(match index {
        Index::Heads(source) => narrowed(HEAD, source.as_ref().map(|s| s.as_str())),
        Index::Quarantine(source) => narrowed(QUARANTINED, source.as_ref().map(|s| s.as_str())),
        Index::DeadLetters(name) => narrowed(DEAD_LETTER, name.as_ref().map(|n| n.as_str())),
        Index::Notes(stream, position) => of_stream(NOTE, stream).part(position.as_str()).done(),
        Index::Passed(name, stream) => Encoder::new(PASSED)
            .part(name.as_str())
            .stream(stream)
            .done(),
        Index::Attention { .. } => return None,
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

/// Where a record stands in the attention index: kind, when it is due, and its key.
pub(crate) fn attention(kind: AttentionKind, due: Timestamp, record: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + record.len());
    key.push(attention_tag(kind));
    key.extend_from_slice(&sortable(due));
    key.extend_from_slice(record);
    key
}

/// The end of what is due at `due`, and the start of the kind.
pub(crate) fn attention_range(kind: AttentionKind, due: Timestamp) -> (Vec<u8>, Vec<u8>) {
    let start = vec![attention_tag(kind)];
    match due.as_micros().checked_add(1) {
        Some(next) => (start, attention(kind, Timestamp::from_micros(next), &[])),
        None => (start.clone(), end_of(&start)),
    }
}

/// The record's key inside a key of the attention index.
pub(crate) fn attention_record(key: &[u8]) -> Option<&[u8]> {
    key.get(9..).filter(|record| !record.is_empty())
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

/// A signed number as bytes in its order.
fn sortable(at: Timestamp) -> [u8; 8] {
    (at.as_micros() ^ i64::MIN).to_be_bytes()
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

    fn cut_part(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        if bytes.len() <= IDENTITY_MAX_BYTES {
            return self.part(text);
        }
        self.escaped(&bytes[..IDENTITY_MAX_BYTES]);
        self.0.extend_from_slice(&CUT);
        self.0.extend_from_slice(&Sha256::digest(bytes));
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
            let prefix = events_prefix(&StreamId::new(a.as_str(), c.as_str()));
            let within = encode(&event(&b, &d, n)).starts_with(&prefix);
            prop_assert_eq!(within, a == b && c == d);
        }

        #[test]
        fn attention_is_in_order_of_time(a: i64, b: i64) {
            let key = |at| attention(AttentionKind::Wake, Timestamp::from_micros(at), b"x");
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
        }
    }

    #[test]
    fn long_identities_are_told_apart() {
        let key = |end: &str| {
            let identity = format!("{}{end}", "x".repeat(100_000));
            encode(&Key::Identity("shop".into(), identity.into()))
        };
        assert_ne!(key("a"), key("b"));
        assert_eq!(key("a"), key("a"));
        assert!(key("a").len() < 1200);
    }

    #[test]
    fn the_end_of_a_prefix_is_behind_all_that_begins_with_it() {
        assert_eq!(end_of(&[1, 0xff, 0xff]), [2]);
        assert_eq!(end_of(&[1, 2]), [1, 3]);
    }
}
