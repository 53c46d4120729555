//! Where each record is kept: primary keys, and the keys of the two indexes.
//!
//! | record | `PK` | `SK` |
//! | --- | --- | --- |
//! | head | `STREAM#{source}/{key, percent-encoded}` | `HEAD` |
//! | event | the same | `EVENT#{position}` |
//! | superseded | the same | `SUPERSEDED#{position}` |
//! | note | the same | `NOTE#{position}#{sha256}` |
//! | cursor | the same | `CURSOR#{subscription}` |
//! | passed | the same | `PASSED#{subscription}#{position}` |
//! | dead letter | the same | `DEAD#{subscription}#{position}` |
//! | identity | `ID#{source}#{identity, escaped}` | `ID` |
//! | quarantined | `QUARANTINE#{source}` | `QUARANTINED#{id}` |
//! | subscription | `SUBSCRIPTION#{name}` | `SUBSCRIPTION` |
//! | source | `SOURCE#{name}` | `SOURCE` |
//!
//! | list | index | partition | rank |
//! | --- | --- | --- | --- |
//! | heads | `heads` | `HEADS#{shard}` | `{source}#{key, escaped}` |
//! | attention | `attention` | `WAKE`, `STALLED`, `RETRY`, `PARKED`, each `#{shard}` | `{due, 20 digits}#…` |
//! | dead letters | `attention` | `DEAD#{shard}` | `{subscription}#{source}#{key, escaped}#{position, escaped}` |
//! | quarantine | `attention` | `QUARANTINE#{shard}` | `{source}#{id}` |
//!
//! Escaping keeps the order: see [`escaped`]. Lists are spread over [`SHARDS`] partitions, because one partition takes no
//! more than a thousand writes a second, and an index that cannot keep up slows the whole table down.
//!
//! This is a stored format: none of it ever changes for a table that holds records.

use cloakroom_core::event::Sha256;
use cloakroom_core::id::{SourceName, StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::record::{AttentionKind, Key, Record};

/// How many partitions each list is spread over.
pub(crate) const SHARDS: u8 = 4;

/// DynamoDB's limit for a partition key, in bytes.
const PARTITION_MAX: usize = 2048;
/// DynamoDB's limit for a sort key, in bytes.
const SORT_MAX: usize = 1024;
/// How much of a text that is too long is kept in front of its hash.
const HASH_BYTES: usize = "##sha256-".len() + 64;

const STREAM: &str = "STREAM#";

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ItemKey {
    pub(crate) partition: String,
    pub(crate) sort: String,
}

/// Where an index lists an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: String,
    pub(crate) rank: String,
}

/// What is listed by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Heads,
    Attention(AttentionKind),
    DeadLetters,
    Quarantine,
}

impl List {
    /// The partition of one shard.
    pub(crate) fn partition(self, shard: u8) -> String {
        let name = match self {
            Self::Heads => "HEADS",
            Self::Attention(AttentionKind::Wake) => "WAKE",
            Self::Attention(AttentionKind::Stalled) => "STALLED",
            Self::Attention(AttentionKind::Retry) => "RETRY",
            Self::Attention(AttentionKind::Parked) => "PARKED",
            Self::DeadLetters => "DEAD",
            Self::Quarantine => "QUARANTINE",
        };
        format!("{name}#{shard}")
    }

    fn place(self, key: &ItemKey, rank: &str) -> Place {
        let whole = format!("{}\n{}", key.partition, key.sort);
        let shard = Sha256::of(whole.as_bytes()).0[0] % SHARDS;
        Place {
            partition: self.partition(shard),
            rank: fitting(rank, SORT_MAX),
        }
    }
}

/// The primary key of a record.
pub(crate) fn encode(key: &Key) -> ItemKey {
    let (partition, sort) = match key {
        Key::Head(stream) => (partition_of(stream), "HEAD".to_owned()),
        Key::Event(stream, position) => (partition_of(stream), event_sort(position)),
        Key::Superseded(stream, position) => {
            (partition_of(stream), format!("SUPERSEDED#{position}"))
        }
        Key::Note(stream, position, sha256) => (
            partition_of(stream),
            format!("{}{sha256}", note_prefix(position)),
        ),
        Key::Cursor(name, stream) => (partition_of(stream), format!("CURSOR#{name}")),
        Key::Passed(name, stream, position) => (
            partition_of(stream),
            format!("{}{position}", passed_prefix(name)),
        ),
        Key::DeadLetter(name, stream, position) => {
            (partition_of(stream), format!("DEAD#{name}#{position}"))
        }
        Key::Identity(source, identity) => (
            format!("ID#{source}#{}", escaped(identity.as_str())),
            "ID".to_owned(),
        ),
        Key::Quarantined(source, id) => (quarantine_partition(source), format!("QUARANTINED#{id}")),
        Key::Subscription(name) => (format!("SUBSCRIPTION#{name}"), "SUBSCRIPTION".to_owned()),
        Key::Source(name) => (format!("SOURCE#{name}"), "SOURCE".to_owned()),
    };
    ItemKey {
        partition: fitting(&partition, PARTITION_MAX),
        sort: fitting(&sort, SORT_MAX),
    }
}

/// The partition of everything that belongs to a stream.
pub(crate) fn partition_of(stream: &StreamId) -> String {
    fitting(&format!("{STREAM}{stream}"), PARTITION_MAX)
}

/// The stream whose partition this is. `None` for every other partition, and for one whose key is too long to be in it.
pub fn stream_of_partition(partition: &str) -> Option<StreamId> {
    let stream = StreamId::parse(partition.strip_prefix(STREAM)?)?;
    (partition_of(&stream) == partition).then_some(stream)
}

/// The sort key of an event.
pub(crate) fn event_sort(position: &Position) -> String {
    format!("EVENT#{position}")
}

/// What the sort keys of all events begin with.
pub(crate) const EVENTS: &str = "EVENT#";
/// What the sort keys of all that were superseded begin with.
pub(crate) const SUPERSEDED: &str = "SUPERSEDED#";
/// What the sort keys of all that were quarantined begin with.
pub(crate) const QUARANTINED: &str = "QUARANTINED#";

/// What the sort keys of the notes beside one event begin with.
pub(crate) fn note_prefix(position: &Position) -> String {
    format!("NOTE#{position}#")
}

/// What the sort keys of all that a subscription passed over begin with.
pub(crate) fn passed_prefix(name: &SubscriptionName) -> String {
    format!("PASSED#{name}#")
}

/// The partition of everything that was quarantined of a source.
pub(crate) fn quarantine_partition(source: &SourceName) -> String {
    fitting(&format!("QUARANTINE#{source}"), PARTITION_MAX)
}

/// The first text behind all that begin with `text`, of those that are stored: what follows is at least a `#`.
pub(crate) fn just_behind(text: &str) -> String {
    format!("{text}!")
}

/// The first text behind all that begin with `prefix`, whose last character is a `#`.
pub(crate) fn end_of(prefix: &str) -> String {
    let stem = prefix.strip_suffix('#').unwrap_or(prefix);
    format!("{stem}$")
}

/// Where the index of heads lists the record.
pub(crate) fn heads_place(record: &Record) -> Option<Place> {
    match record {
        Record::Head(head) => {
            let key = encode(&Key::Head(head.stream.clone()));
            Some(List::Heads.place(&key, &stream_rank(&head.stream)))
        }
        _ => None,
    }
}

/// Where the index of what wants attention lists the record.
pub(crate) fn attention_place(record: &Record) -> Option<Place> {
    let key = encode(&record.key());
    match record {
        Record::DeadLetter(dead) => {
            let rank = format!(
                "{}#{}#{}",
                dead.subscription,
                stream_rank(&dead.stream),
                escaped(dead.position.as_str())
            );
            Some(List::DeadLetters.place(&key, &rank))
        }
        Record::Quarantined(quarantined) => {
            let rank = format!("{}#{}", quarantined.source, quarantined.id);
            Some(List::Quarantine.place(&key, &rank))
        }
        Record::Head(_) | Record::Cursor(_) => {
            let (kind, due) = record.attention()?;
            let whose = match record {
                Record::Cursor(cursor) => {
                    format!("{}#{}", cursor.subscription, stream_rank(&cursor.stream))
                }
                Record::Head(head) => stream_rank(&head.stream),
                _ => return None,
            };
            let rank = format!("{}#{whose}", due_rank(due));
            Some(List::Attention(kind).place(&key, &rank))
        }
        _ => None,
    }
}

/// An instant as text whose order is that of time. Nothing is due before 1970.
pub(crate) fn due_rank(due: Timestamp) -> String {
    format!("{:020}", due.as_micros().max(0))
}

fn stream_rank(stream: &StreamId) -> String {
    format!("{}#{}", stream.source, escaped(stream.key.as_str()))
}

/// The text with everything up to `,` (all that sorts below letters, digits, `-`, `.` and `/`) percent-encoded. So `#`
/// sorts below every character that is left, and ends a part without being mistaken for one of its characters; byte
/// order, part by part, stays what it was.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c <= ',' {
            escaped.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// The text if it fits, or else its beginning and its hash.
fn fitting(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max - HASH_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}##sha256-{}", &text[..end], Sha256::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use cloakroom_engine::conformance::samples;
    use proptest::prelude::*;

    use super::*;

    fn head(source: &str, key: &str) -> Record {
        Record::Head(samples::head(&StreamId::new(source, key), None, 0))
    }

    fn rank_of_dead(subscription: &str, key: &str, number: u64) -> String {
        let stream = StreamId::new("s", key);
        let dead = samples::dead_letter(subscription, &stream, &Position::dense(number));
        attention_place(&Record::DeadLetter(dead)).unwrap().rank
    }

    proptest! {
        #[test]
        fn a_stream_is_read_back_from_its_partition(source in "[a-z0-9][a-z0-9_-]{0,62}", key in "\\PC{1,128}") {
            let stream = StreamId::new(source, key);
            prop_assert_eq!(stream_of_partition(&partition_of(&stream)), Some(stream));
        }

        #[test]
        fn keys_fit_and_differ(a in any::<String>(), b in any::<String>(), times in 1usize..2000) {
            let [one, two] = [&a, &b].map(|text| StreamId::new("s", format!("x{}{text}", "ż".repeat(times))));
            for key in [Key::Head(one.clone()), Key::Identity("s".into(), one.key.as_str().into())] {
                let key = encode(&key);
                prop_assert!(key.partition.len() <= PARTITION_MAX && key.sort.len() <= SORT_MAX);
            }
            prop_assert_eq!(partition_of(&one) == partition_of(&two), a == b);
            let rank = |stream: &StreamId| heads_place(&head("s", stream.key.as_str())).unwrap().rank;
            prop_assert!(rank(&one).len() <= SORT_MAX);
            prop_assert_eq!(rank(&one) == rank(&two), a == b);
        }

        #[test]
        fn ranks_are_in_the_order_of_their_parts(a in "[\\x00-\\x02 #,/~a-b\u{ff}]{0,3}", b in "[\\x00-\\x02 #,/~a-b\u{ff}]{0,3}", m in 0u64..3, n in 0u64..3, p in "s[1-]?", q in "s[1-]?") {
            let parts = (&p, &a, m).cmp(&(&q, &b, n));
            prop_assert_eq!(rank_of_dead(&p, &a, m).cmp(&rank_of_dead(&q, &b, n)), parts);
            let rank = |source: &str, key: &str| heads_place(&head(source, key)).unwrap().rank;
            prop_assert_eq!(rank(&p, &a).cmp(&rank(&q, &b)), (&p, &a).cmp(&(&q, &b)));
        }

        #[test]
        fn sort_keys_of_events_are_in_the_order_of_positions(a: u64, b: u64, late_a in 0u32..3, late_b in 0u32..3) {
            let position = |number, late| {
                (0..late).fold(Position::dense(number), |p, _| Position::after_head(Some(&p)).unwrap())
            };
            let (a, b) = (position(a, late_a), position(b, late_b));
            prop_assert_eq!(event_sort(&a).cmp(&event_sort(&b)), a.cmp(&b));
            if a < b {
                prop_assert!(just_behind(&event_sort(&a)) < event_sort(&b));
            }
            prop_assert!(event_sort(&a) < end_of(EVENTS) && *event_sort(&a) > *EVENTS);
        }
    }

    #[test]
    fn every_key_is_its_own() {
        let records = samples::every_kind();
        let keys: std::collections::HashSet<_> =
            records.iter().map(|(_, r)| encode(&r.key())).collect();
        assert_eq!(keys.len(), records.len());
    }

    #[test]
    fn the_layout_is_as_documented() {
        let stream = StreamId::new("shop", "TR 42/ż");
        let position = Position::dense(7);
        let encoded = |key: Key| {
            let key = encode(&key);
            format!("{} {}", key.partition, key.sort)
        };
        let of_stream = "STREAM#shop/TR%2042%2F%C5%BC";
        for (key, expected) in [
            (Key::Head(stream.clone()), format!("{of_stream} HEAD")),
            (
                Key::Event(stream.clone(), position.clone()),
                format!("{of_stream} EVENT#00000000000000000007"),
            ),
            (
                Key::Cursor("billing".into(), stream.clone()),
                format!("{of_stream} CURSOR#billing"),
            ),
            (
                Key::DeadLetter("billing".into(), stream.clone(), position.clone()),
                format!("{of_stream} DEAD#billing#00000000000000000007"),
            ),
            (
                Key::Identity("shop".into(), "evt #1".into()),
                "ID#shop#evt%20%231 ID".to_owned(),
            ),
            (
                Key::Quarantined("shop".into(), "evt_x".into()),
                "QUARANTINE#shop QUARANTINED#evt_x".to_owned(),
            ),
        ] {
            assert_eq!(encoded(key), expected);
        }
        let place = heads_place(&head("shop", "TR 42/ż")).unwrap();
        assert_eq!(place.rank, "shop#TR%2042/ż");
        assert!(place.partition.starts_with("HEADS#"), "{place:?}");
    }

    #[test]
    fn no_partition_but_a_streams_leads_to_a_stream() {
        for partition in [
            "QUARANTINE#shop",
            "ID#shop#x",
            "STREAM#",
            "STREAM#shop/",
            "STREAM#shop/%2f",
        ] {
            assert_eq!(stream_of_partition(partition), None, "{partition}");
        }
        let long = partition_of(&StreamId::new("shop", "x".repeat(3000)));
        assert_eq!(stream_of_partition(&long), None);
    }
}
