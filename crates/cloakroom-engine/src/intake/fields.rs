//! What a webhook says of itself: identity, key, position, type, time.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use cloakroom_core::select::{JsonPointer, Pointers, Scalar, Selector};
use cloakroom_core::verify::{Headers, RequestHead};
use tokio::sync::{mpsc, oneshot};

use crate::catalog::Source;

/// How many chunks of a body may wait for the extraction.
const WAITING_MAX: usize = 4;

/// What a webhook's selectors found.
#[derive(Debug, Default, Clone)]
pub(super) struct Found {
    pub(super) id: Option<String>,
    pub(super) key: Option<String>,
    pub(super) at: Option<String>,
    pub(super) event_type: Option<String>,
    pub(super) time: Option<String>,
}

/// A selector's purpose.
type Slot = fn(&mut Found) -> &mut Option<String>;

/// One selector's purpose, and its value where the request's head tells it.
struct Field {
    slot: Slot,
    value: Value,
}

enum Value {
    Known(Option<String>),
    InBody,
}

/// What the selectors of a source look for in a body, in their order.
#[derive(Debug)]
pub(crate) struct Compiled {
    pointers: Vec<JsonPointer>,
    json: Pointers,
}

impl Compiled {
    fn of(source: &Source) -> Self {
        let pointers: Vec<_> = selectors(source)
            .filter_map(|(_, selector)| selector.pointer().cloned())
            .collect();
        Self {
            json: Pointers::new(pointers.iter().cloned()),
            pointers,
        }
    }
}

/// Every selector of a source. Of several for one field the first that finds something wins.
fn selectors(source: &Source) -> impl Iterator<Item = (Slot, &Selector)> {
    let slot = |slot: Slot| move |selector| (slot, selector);
    let ids = source.id.iter().map(slot(|f| &mut f.id));
    let key = std::iter::once(&source.key).map(slot(|f| &mut f.key));
    let at = source.at.iter().map(slot(|f| &mut f.at));
    let event_type = source.event_type.iter().map(slot(|f| &mut f.event_type));
    let time = source.time.iter().map(slot(|f| &mut f.time));
    ids.chain(key).chain(at).chain(event_type).chain(time)
}

/// Collects the fields of one webhook.
pub(super) struct Fields {
    wanted: Vec<Field>,
    in_body: Arc<Compiled>,
    content_type: String,
    traceparent: Option<String>,
    extraction: Option<Extraction>,
}

/// The extraction from a body that is too large to be held.
struct Extraction {
    chunks: Option<mpsc::Sender<Bytes>>,
    found: oneshot::Receiver<Vec<Option<Scalar>>>,
}

impl Fields {
    /// Reads what is in the head, and remembers what to look for in the body.
    pub(super) fn from_head(source: &Source, head: &RequestHead<'_>) -> Self {
        let query = head.url.split_once('?').map_or("", |(_, query)| query);
        let wanted = selectors(source).map(|(slot, selector)| Field {
            slot,
            value: in_head(selector, head.headers, query),
        });
        let header = |name| text(head.headers.get(name));
        let in_body = source.in_body.compiled(|| Compiled::of(source));
        Self {
            wanted: wanted.collect(),
            in_body: Arc::clone(in_body),
            content_type: header("content-type")
                .unwrap_or_else(|| "application/octet-stream".to_owned()),
            traceparent: header("traceparent"),
            extraction: None,
        }
    }

    /// Everything, from a body that is in memory.
    pub(super) fn read_body(self, body: &[u8]) -> (Found, String, Option<String>) {
        let Compiled { pointers, json } = self.in_body.as_ref();
        let scalars = if pointers.is_empty() {
            Vec::new()
        } else if is_form(&self.content_type) {
            from_form(pointers, body)
        } else {
            json.extract_slice(body).unwrap_or_default()
        };
        self.finish(scalars)
    }

    /// Takes the next bytes of a body that is not held in memory.
    pub(super) async fn feed(&mut self, chunk: &Bytes) {
        if self.extraction.is_none() {
            self.extraction = Some(Extraction::start(Arc::clone(&self.in_body)));
        }
        if let Some(extraction) = &mut self.extraction
            && let Some(chunks) = &extraction.chunks
            && chunks.send(chunk.clone()).await.is_err()
        {
            // It has found everything, or knows that it never will.
            extraction.chunks = None;
        }
    }

    /// Everything, from a body that was fed.
    pub(super) async fn read_fed(mut self) -> (Found, String, Option<String>) {
        let scalars = match self.extraction.take() {
            Some(extraction) => extraction.finish().await,
            None => Vec::new(),
        };
        self.finish(scalars)
    }

    fn finish(self, scalars: Vec<Option<Scalar>>) -> (Found, String, Option<String>) {
        let mut found = Found::default();
        let mut scalars = scalars.into_iter();
        for field in self.wanted {
            let value = match field.value {
                Value::Known(value) => value,
                Value::InBody => scalars.next().flatten().and_then(scalar_text),
            };
            let slot = (field.slot)(&mut found);
            if slot.is_none() {
                *slot = value.filter(|value| !value.is_empty());
            }
        }
        (found, self.content_type, self.traceparent)
    }
}

impl Extraction {
    fn start(wanted: Arc<Compiled>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let (done, found) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let scalars = wanted.json.extract_prefix(Chunks {
                receiver,
                current: Bytes::new(),
            });
            // Nobody waits any more when the webhook was refused meanwhile.
            let _ = done.send(scalars.unwrap_or_default());
        });
        Self {
            chunks: Some(sender),
            found,
        }
    }

    async fn finish(mut self) -> Vec<Option<Scalar>> {
        self.chunks = None;
        self.found.await.unwrap_or_default()
    }
}

/// Chunks of a body as a reader, on a thread that may block.
struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let taken = self.current.split_to(buffer.len().min(self.current.len()));
        buffer[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

fn in_head(selector: &Selector, headers: &dyn Headers, query: &str) -> Value {
    Value::Known(match selector {
        Selector::Body(_) => return Value::InBody,
        Selector::Header(name) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            text(headers.get(&name.to_ascii_lowercase()))
        }
        Selector::Header(name) => text(headers.get(name)),
        Selector::Const(text) => Some(text.clone()),
        Selector::Query(name) => {
            let mut parameters = form_urlencoded::parse(query.as_bytes());
            parameters
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        }
    })
}

/// A form's fields, by their names as one-step pointers (`body:/CallSid`).
fn from_form(pointers: &[JsonPointer], body: &[u8]) -> Vec<Option<Scalar>> {
    let field = |pointer: &JsonPointer| {
        let mut steps = pointer.steps();
        let (name, None) = (steps.next()?, steps.next()) else {
            return None;
        };
        let mut fields = form_urlencoded::parse(body);
        fields
            .find(|(key, _)| key == name)
            .map(|(_, value)| Scalar::Text(value.into_owned()))
    };
    pointers.iter().map(field).collect()
}

fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn scalar_text(scalar: Scalar) -> Option<String> {
    match scalar {
        Scalar::Text(text) | Scalar::Number(text) => Some(text),
        Scalar::Bool(value) => Some(value.to_string()),
        Scalar::Null => None,
    }
}

fn text(value: Option<&[u8]>) -> Option<String> {
    value
        .and_then(|value| std::str::from_utf8(value).ok())
        .map(|text| text.trim().to_owned())
}
