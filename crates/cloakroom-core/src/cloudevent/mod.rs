//! What consumers receive: a ledger entry as a CloudEvent 1.0.
//!
//! The envelope is written here rather than by an SDK because a payload must leave as it came: JSON is embedded as the
//! provider's own bytes, never parsed and printed again. Three encodings exist, as the HTTP binding names them:
//! [structured](CloudEvent::structured), [binary](CloudEvent::binary) and [batched](CloudEvent::batch).
//!
//! The extensions are those of the CloudEvents project (`sequence`, `partitionkey`, `recordedtime`, `dataref`,
//! `traceparent`) and four of Cloakroom's own: `payloadsize` (decimal), `payloadsha256` (lower-case hex), and on events
//! that came too late for their place `cloakroomlate` (`"true"`) and `cloakroomlatesequence` (the provider's number).
//! `sequence` carries no `sequencetype`: the one type defined for it wraps around at 32 bits.

mod data;
mod text;

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::event::{Body, Event};
use data::Data;

/// The content type of [`CloudEvent::structured`].
pub const STRUCTURED_CONTENT_TYPE: &str = "application/cloudevents+json";

/// The content type of [`CloudEvent::batch`].
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// The `type` of the event that holds the place of numbers that were passed over.
pub const GAP_TYPE: &str = "cloakroom.gap";

/// The source whose streams tell of Cloakroom's own state changes. Its events all have the source `/cloakroom`.
const STATE_SOURCE: &str = "cloakroom";

/// Room for everything but the payload, so that a typical event is written without growing the buffer.
const ATTRIBUTES_ROOM: usize = 1024;

/// A ledger entry as consumers see it. Borrows everything; making one costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct CloudEvent<'a> {
    event: &'a Event,
    inline: Option<&'a [u8]>,
    dataref: Option<&'a str>,
}

impl<'a> CloudEvent<'a> {
    /// `event` with its payload, when it is small enough to travel along, and the place where the payload can be fetched.
    /// For a gap both are ignored: its data is the range it stands for.
    pub fn of(event: &'a Event, inline: Option<&'a [u8]>, dataref: Option<&'a str>) -> Self {
        Self {
            event,
            inline,
            dataref,
        }
    }

    /// The event in structured mode: one JSON object, to be sent as [`STRUCTURED_CONTENT_TYPE`].
    ///
    /// The payload is the last member, `data` or `data_base64`, or is missing when it does not travel along. Under
    /// `data` it is exactly the provider's bytes, whitespace around the value included: everything between `"data":`
    /// and the object's closing brace. So `payloadsha256` can be checked on it as it stands; a JSON parser that hands
    /// out raw values usually drops the outer whitespace, for which the hash then does not hold.
    ///
    /// `data` is used for valid JSON under a JSON content type (`*/json`, `*/*+json`). JSON that is no UTF-8, starts
    /// with a byte order mark or is malformed goes into `data_base64`, as does every other payload.
    pub fn structured(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_structured(&mut out);
        out
    }

    /// Appends what [`CloudEvent::structured`] returns to `out`.
    pub fn write_structured(&self, out: &mut Vec<u8>) {
        let data = self.data();
        out.reserve(ATTRIBUTES_ROOM + data.encoded_len());
        out.push(b'{');
        self.attributes(|name, value| {
            if !out.ends_with(b"{") {
                out.push(b',');
            }
            text::write_name(out, name.as_str());
            text::write_json(out, value);
        });
        data.write_member(out);
        out.push(b'}');
    }

    /// The event in binary mode: headers (lower-case names; values percent-encoded as the HTTP binding says) and the
    /// body, which is exactly the payload, or empty when the payload does not travel along.
    ///
    /// A payload whose own content type begins with `application/cloudevents` cannot travel in binary mode: a
    /// receiver tells the modes apart by that prefix and would take the payload for the event. Such an event leaves in
    /// structured mode.
    pub fn binary(&self) -> (Vec<(&'static str, String)>, Cow<'a, [u8]>) {
        let content_type = self.content_type();
        if content_type.as_deref().is_some_and(data::is_cloudevent) {
            let headers = vec![("content-type", STRUCTURED_CONTENT_TYPE.to_owned())];
            return (headers, Cow::Owned(self.structured()));
        }
        let mut headers = Vec::with_capacity(16);
        self.attributes(|name, value| match name {
            Name::CONTENT_TYPE => {
                headers.push(("content-type", text::content_type_header(value)));
            }
            name => headers.push((name.header(), text::header(value).into_owned())),
        });
        (headers, self.payload())
    }

    /// These events as one JSON array, to be sent as [`BATCH_CONTENT_TYPE`].
    pub fn batch<'e>(events: impl IntoIterator<Item = CloudEvent<'e>>) -> Vec<u8> {
        let mut out = vec![b'['];
        for (index, event) in events.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            event.write_structured(&mut out);
        }
        out.push(b']');
        out
    }

    /// The attributes, and with `with_data` the payload under `data`, as filters see them. `data` is there only for
    /// a payload that travels along, would be embedded as JSON, and whose numbers and nesting (at most 128 levels)
    /// can be held in memory as a value.
    pub fn filter_view(&self, with_data: bool) -> Value {
        let mut view = Map::new();
        self.attributes(|name, value| {
            view.insert(name.as_str().to_owned(), value.into());
        });
        if with_data
            && let Data::Json(json) = self.data()
            && let Ok(value) = serde_json::from_slice(&json)
        {
            view.insert("data".to_owned(), value);
        }
        Value::Object(view)
    }

    /// Every attribute that is set, in the order in which it is written.
    fn attributes(&self, mut visit: impl FnMut(Name, &str)) {
        let event = self.event;
        visit(Name("ce-specversion"), "1.0");
        visit(Name("ce-id"), event.id.as_str());
        visit(Name("ce-source"), &self.source());
        visit(Name("ce-type"), &self.event_type());
        if let Some(time) = event.time.and_then(text::timestamp) {
            visit(Name("ce-time"), &time);
        }
        let key = text::allowed(event.stream.key.as_str());
        visit(Name("ce-subject"), &key);
        if let Some(content_type) = self.content_type() {
            visit(Name::CONTENT_TYPE, &content_type);
        }
        visit(Name("ce-sequence"), event.position.as_str());
        visit(Name("ce-partitionkey"), &key);
        if let Some(recorded) = text::timestamp(event.recorded) {
            visit(Name("ce-recordedtime"), &recorded);
        }
        if let (Some(dataref), Body::Payload(_)) = (self.dataref, &event.body) {
            visit(Name("ce-dataref"), &text::allowed(dataref));
        }
        if let Some(traceparent) = &event.traceparent {
            visit(Name("ce-traceparent"), &text::allowed(traceparent));
        }
        if let Some(payload) = event.payload() {
            visit(Name("ce-payloadsize"), &payload.size.to_string());
            visit(Name("ce-payloadsha256"), &payload.sha256.to_string());
        }
        if let Some(late) = &event.late {
            visit(Name("ce-cloakroomlate"), "true");
            visit(Name("ce-cloakroomlatesequence"), &text::allowed(late));
        }
    }

    fn source(&self) -> Cow<'static, str> {
        if self.event.stream.source.as_str() == STATE_SOURCE {
            "/cloakroom".into()
        } else {
            self.event.stream.event_source().into()
        }
    }

    fn event_type(&self) -> Cow<'a, str> {
        match self.event.body {
            Body::Gap { .. } => GAP_TYPE.into(),
            Body::Payload(_) | Body::Placeholder => text::allowed(&self.event.event_type),
        }
    }

    fn content_type(&self) -> Option<Cow<'a, str>> {
        match &self.event.body {
            Body::Payload(payload) => Some(match payload.content_type.trim() {
                // No attribute may be empty, and leaving this one out would mean JSON.
                "" => "application/octet-stream".into(),
                content_type => text::allowed(content_type),
            }),
            Body::Gap { .. } => Some("application/json".into()),
            Body::Placeholder => None,
        }
    }

    fn data(&self) -> Data<'a> {
        match (&self.event.body, self.inline) {
            (Body::Payload(payload), Some(bytes)) => Data::of(&payload.content_type, bytes),
            (Body::Gap { from, to }, _) => Data::Json(data::gap(*from, *to).into()),
            (Body::Payload(_), None) | (Body::Placeholder, _) => Data::None,
        }
    }

    /// The bytes of the data, without deciding how to embed them.
    fn payload(&self) -> Cow<'a, [u8]> {
        match (&self.event.body, self.inline) {
            (Body::Payload(_), Some(bytes)) => bytes.into(),
            (Body::Gap { from, to }, _) => data::gap(*from, *to).into(),
            (Body::Payload(_), None) | (Body::Placeholder, _) => Cow::Borrowed(&[]),
        }
    }
}

/// The name of an attribute, kept as its header's name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Name(&'static str);

impl Name {
    /// Travels as `content-type` in binary mode, never under this header name.
    const CONTENT_TYPE: Self = Self("ce-datacontenttype");

    fn as_str(self) -> &'static str {
        &self.0["ce-".len()..]
    }

    fn header(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod samples;
