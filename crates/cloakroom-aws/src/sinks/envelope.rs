//! The event as it travels: a structured CloudEvent that the target can take.

use cloakroom_core::cloudevent::CloudEvent;
use cloakroom_engine::ports::{Outcome, Outgoing};

/// The event as JSON text in at most `max` bytes: with its payload where that fits, otherwise with its `dataref` alone.
///
/// # Errors
/// A failed delivery, when even that is too large, or when there is no `dataref` to fetch the payload from.
pub(super) fn text(outgoing: &Outgoing, max: usize, kind: &str) -> Result<String, Outcome> {
    let whole = written(&outgoing.cloud_event(), max);
    if let Some(text) = whole {
        return Ok(text);
    }
    let dataref = outgoing.dataref.as_deref();
    if outgoing.inline.is_some() && dataref.is_none() {
        return Err(failed(format!(
            "the event does not fit into the {max} bytes that {kind} takes, and its payload has no URL to be fetched from; set `claims.store: always`"
        )));
    }
    let without = CloudEvent::of(&outgoing.event, None, dataref);
    written(&without, max).ok_or_else(|| {
        failed(format!(
            "the event does not fit into the {max} bytes that {kind} takes, even without its payload"
        ))
    })
}

/// `None` when it is too large, or holds characters that no XML can: SQS and SNS refuse those.
fn written(event: &CloudEvent<'_>, max: usize) -> Option<String> {
    let bytes = event.structured();
    if bytes.len() > max {
        return None;
    }
    let text = String::from_utf8(bytes).ok()?;
    text.chars().all(is_xml).then_some(text)
}

fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn failed(reason: String) -> Outcome {
    Outcome::Failed {
        reason,
        retry_after: None,
    }
}

/// The attributes that are worth filtering by without opening the message, in the form that SQS and SNS have them.
pub(super) fn attributes(outgoing: &Outgoing) -> Vec<(&'static str, String)> {
    let view = outgoing.cloud_event().filter_view(false);
    let mut attributes = vec![(
        "content-type",
        cloakroom_core::cloudevent::STRUCTURED_CONTENT_TYPE.to_owned(),
    )];
    for (attribute, name) in [
        ("id", "ce-id"),
        ("source", "ce-source"),
        ("type", "ce-type"),
    ] {
        if let Some(text) = view.get(attribute).and_then(|value| value.as_str())
            && !text.is_empty()
        {
            attributes.push((name, text.to_owned()));
        }
    }
    attributes
}

/// What the attributes add to the size of a message: names, values, and the name of their type.
pub(super) fn attributes_size(attributes: &[(&'static str, String)]) -> usize {
    attributes
        .iter()
        .map(|(name, value)| name.len() + value.len() + "String".len())
        .sum()
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;
    use cloakroom_core::event::{Body, Event, Payload, Sha256};
    use cloakroom_core::id::{EventId, StreamId};
    use cloakroom_core::position::Position;
    use cloakroom_core::time::Timestamp;

    use super::*;

    pub(in crate::sinks) fn outgoing(payload: &str, dataref: Option<&str>) -> Outgoing {
        let stream = StreamId::new("shop", "TR-42");
        let position = Position::dense(7);
        Outgoing {
            event: Event {
                id: EventId::of(&stream, &position),
                stream,
                position,
                identity: "evt-1".into(),
                event_type: "transfer.updated".to_owned(),
                time: None,
                recorded: Timestamp::from_secs(1_800_000_000),
                traceparent: None,
                late: None,
                body: Body::Payload(Payload {
                    content_type: "application/json".to_owned(),
                    size: payload.len() as u64,
                    sha256: Sha256::of(payload.as_bytes()),
                    claim: None,
                    inline: None,
                }),
            },
            inline: Some(Bytes::from(payload.to_owned())),
            dataref: dataref.map(str::to_owned),
            attempt: 1,
            epoch: 0,
        }
    }

    #[test]
    fn a_payload_travels_along_where_it_fits() {
        let outgoing = outgoing(r#"{"a": 1}"#, Some("https://claims.example/1"));
        let whole = text(&outgoing, 2_000, "a queue").unwrap();
        assert!(whole.ends_with(r#""data":{"a": 1}}"#), "{whole}");
        let exactly = whole.len();
        assert_eq!(text(&outgoing, exactly, "a queue").unwrap(), whole);
        let without = text(&outgoing, exactly - 1, "a queue").unwrap();
        assert!(!without.contains("\"data\""), "{without}");
        assert!(without.contains(r#""dataref":"https://claims.example/1""#));
    }

    #[test]
    fn what_xml_cannot_hold_is_left_to_be_fetched() {
        let outgoing = outgoing("\"\u{ffff}\"", Some("https://claims.example/1"));
        let without = text(&outgoing, 2_000, "a queue").unwrap();
        assert!(!without.contains("\"data\""), "{without}");
    }

    #[test]
    fn nothing_leaves_without_its_payload_or_a_way_to_it() {
        let lost = text(&outgoing("\"large\"", None), 300, "a queue").unwrap_err();
        let Outcome::Failed { reason, .. } = lost else {
            panic!("{lost:?}");
        };
        assert!(reason.contains("claims.store: always"), "{reason}");
        assert!(!reason.contains("large\""), "{reason}");
        let huge = outgoing("1", Some(&format!("https://x.example/{}", "x".repeat(300))));
        assert!(text(&huge, 300, "a queue").is_err());
    }
}
