//! Ids of streams and events in the form and length that a service takes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_core::event::Sha256;
use cloakroom_core::id::{EventId, StreamId};

/// The most characters of a message group or deduplication id, in SQS and SNS.
const MESSAGE_ID_MAX: usize = 128;

/// The most characters of an execution's name.
const EXECUTION_NAME_MAX: usize = 80;

/// The message group of a stream: its id, or the source and a hash where that is too long.
pub(super) fn group(stream: &StreamId) -> String {
    // The percent-encoded id holds nothing that a group id may not.
    let id = stream.to_string();
    if id.len() <= MESSAGE_ID_MAX {
        return id;
    }
    format!("{}/{}", stream.source, hashed(&id))
}

/// What a message is recognised by: a replay is another epoch, so it is not swallowed.
pub(super) fn deduplication(event: &EventId, epoch: u64) -> String {
    fit(event, epoch, MESSAGE_ID_MAX)
}

/// The name of the execution that an event starts.
pub(super) fn execution(event: &EventId, epoch: u64) -> String {
    fit(event, epoch, EXECUTION_NAME_MAX)
}

/// Event ids are base64url, which every service takes.
fn fit(event: &EventId, epoch: u64, max: usize) -> String {
    let suffix = match epoch {
        0 => String::new(),
        epoch => format!("-{epoch}"),
    };
    let id = event.as_str();
    let is_legal = id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    // An id could end like an epoch: those that are cut to size or carry one are told apart by their hash.
    if is_legal && id.len() + suffix.len() <= max && epoch == 0 {
        return id.to_owned();
    }
    format!("{}{suffix}", hashed(id))
}

fn hashed(text: &str) -> String {
    let hash = Sha256::of(text.as_bytes()).0;
    format!("sha256-{}", URL_SAFE_NO_PAD.encode(hash))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use cloakroom_core::id::KEY_MAX_BYTES;
    use cloakroom_core::position::Position;

    use super::*;

    #[test]
    fn groups_are_the_streams_in_128_characters() {
        assert_eq!(group(&StreamId::new("shop", "TR-42")), "shop/TR-42");
        assert_eq!(group(&StreamId::new("shop", "a b")), "shop/a%20b");
        let long = "ż".repeat(KEY_MAX_BYTES / 2);
        let streams = ["a", "b"].map(|end| StreamId::new("s".repeat(63), format!("{long}{end}")));
        let groups = streams.map(|stream| group(&stream));
        assert_ne!(groups[0], groups[1]);
        for group in groups {
            assert!(group.len() <= MESSAGE_ID_MAX, "{group}");
            assert!(group.bytes().all(|b| b.is_ascii_graphic()), "{group}");
        }
    }

    #[test]
    fn names_differ_by_event_and_by_epoch() {
        let mut names = HashSet::new();
        let keys = ["k".to_owned(), "k".repeat(60), "k".repeat(KEY_MAX_BYTES)];
        for key in &keys {
            let id = EventId::of(&StreamId::new("shop", key.as_str()), &Position::dense(7));
            for epoch in [0, 1, 2, u64::MAX] {
                let name = execution(&id, epoch);
                assert!(name.len() <= EXECUTION_NAME_MAX, "{name}");
                assert!(deduplication(&id, epoch).len() <= MESSAGE_ID_MAX);
                assert_eq!(name, execution(&id, epoch));
                names.insert(name);
            }
        }
        assert_eq!(names.len(), keys.len() * 4);
        let id = EventId::of(&StreamId::new("shop", "k"), &Position::dense(7));
        assert_eq!(execution(&id, 0), id.as_str());
    }
}
