//! What a webhook says of itself: identity, key, position, type, time.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use cloakroom_core::select::{JsonPointer, Pointers, Scalar, Selector, TEXT_MAX_BYTES};
use cloakroom_core::verify::{Headers, RequestHead};
use tokio::sync::{mpsc, oneshot};

use crate::catalog::Source;

/// How many chunks of a body may wait for the extraction.
const WAITING_MAX: usize = 4;
/// The longest field of a form, with its name and as it is encoded, that is looked at.
const FORM_FIELD_MAX: u64 = TEXT_MAX_BYTES as u64;

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
        let wanted = self.in_body.as_ref();
        let scalars = if wanted.pointers.is_empty() {
            Vec::new()
        } else if is_form(&self.content_type) {
            from_form(&wanted.pointers, body)
        } else {
            wanted.json.extract_slice(body).unwrap_or_default()
        };
        self.finish(scalars)
    }

    /// Takes the next bytes of a body that is not held in memory.
    pub(super) async fn feed(&mut self, chunk: &Bytes) {
        if self.extraction.is_none() {
            let is_form = is_form(&self.content_type);
            self.extraction = Some(Extraction::start(Arc::clone(&self.in_body), is_form));
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
    fn start(wanted: Arc<Compiled>, is_form: bool) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let (done, found) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let body = Chunks {
                receiver,
                current: Bytes::new(),
            };
            let scalars = if is_form {
                from_form(&wanted.pointers, BufReader::new(body))
            } else {
                wanted.json.extract_prefix(body).unwrap_or_default()
            };
            // Nobody waits any more when the webhook was refused meanwhile.
            let _ = done.send(scalars);
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

/// A form's fields, by their names as one-step pointers (`body:/CallSid`): of several of one name the first that is not too
/// long.
fn from_form(pointers: &[JsonPointer], mut body: impl BufRead) -> Vec<Option<Scalar>> {
    let names: Vec<Option<&str>> = pointers.iter().map(one_step).collect();
    let mut found = vec![None; names.len()];
    let is_open = |found: &[Option<Scalar>]| {
        let mut each = names.iter().zip(found);
        each.any(|(name, value)| name.is_some() && value.is_none())
    };
    let mut pair = Vec::new();
    while is_open(&found) {
        pair.clear();
        let mut field = body.by_ref().take(FORM_FIELD_MAX);
        let Ok(1..) = field.read_until(b'&', &mut pair) else {
            break;
        };
        if field.limit() == 0 && !pair.ends_with(b"&") {
            if body.skip_until(b'&').is_err() {
                break;
            }
            continue;
        }
        for (key, value) in form_urlencoded::parse(&pair) {
            for (name, slot) in names.iter().zip(&mut found) {
                if slot.is_none() && *name == Some(&*key) {
                    *slot = Some(Scalar::Text(value.clone().into_owned()));
                }
            }
        }
    }
    found
}

fn one_step(pointer: &JsonPointer) -> Option<&str> {
    let mut steps = pointer.steps();
    steps.next().filter(|_| steps.next().is_none())
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

#[cfg(test)]
mod tests {
    use cloakroom_core::verify::RequestHead;
    use serde_json::json;

    use super::*;
    use crate::tests::given::dense;

    const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

    fn source() -> Source {
        let selector = |text: &str| text.parse().unwrap();
        Source {
            id: vec![selector("header:X-Id"), selector("body:/data/id")],
            key: selector("body:/key"),
            at: Some(selector("body:/n")),
            event_type: Some(selector("query:type")),
            time: Some(selector("const:now")),
            ..dense("orders").build()
        }
    }

    fn fields(content_type: &str, id: Option<&str>, url: &str) -> Fields {
        let mut headers = vec![("content-type".to_owned(), content_type.to_owned())];
        headers.extend(id.map(|id| ("x-id".to_owned(), id.to_owned())));
        let head = RequestHead {
            method: "POST",
            url,
            headers: &headers,
        };
        Fields::from_head(&source(), &head)
    }

    fn shown(found: Found) -> [Option<String>; 5] {
        [found.id, found.key, found.at, found.event_type, found.time]
    }

    /// What is found in a body in memory, and that the same is found when it comes in pieces.
    async fn find(content_type: &str, id: Option<&str>, body: &[u8]) -> [Option<String>; 5] {
        let url = "https://h/in/orders?a=b&type=x%20y";
        let (whole, said, _) = fields(content_type, id, url).read_body(body);
        assert_eq!(said, content_type);
        for size in [1_000, 70_000] {
            let mut fed = fields(content_type, id, url);
            for piece in body.chunks(size) {
                fed.feed(&Bytes::copy_from_slice(piece)).await;
            }
            assert_eq!(shown(fed.read_fed().await.0), shown(whole.clone()));
        }
        shown(whole)
    }

    fn some<const N: usize>(texts: [&str; N]) -> [Option<String>; N] {
        texts.map(|text| (!text.is_empty()).then(|| text.to_owned()))
    }

    #[tokio::test]
    async fn each_field_comes_from_where_its_selector_looks() {
        let padding = "x".repeat(200_000);
        let body = json!({"key": true, "p": padding, "n": 12.50, "data": {"id": "b"}});
        let body = body.to_string();
        let json = "application/json";
        assert_eq!(
            find(json, None, body.as_bytes()).await,
            some(["b", "true", "12.5", "x y", "now"])
        );
        let of_header = find(json, Some(" a "), body.as_bytes()).await;
        assert_eq!(of_header[0].as_deref(), Some("a"));
        assert_eq!(
            find(json, Some(""), b"{\"key\": null, \"n\": {}}").await,
            some(["", "", "", "x y", "now"])
        );
        assert_eq!(find(json, None, b"key=1").await[1], None);
    }

    #[tokio::test]
    async fn a_forms_fields_are_found_however_large_it_is() {
        let long = "y".repeat(200_000);
        for before in [0, 1_000, 70_000, 200_000] {
            let before = "x".repeat(before);
            let body = format!("p={before}&key=a+b%26c&q={long}&key=other&data/id=no&n=7");
            assert_eq!(
                find(FORM, None, body.as_bytes()).await,
                some(["", "a b&c", "7", "x y", "now"])
            );
        }
        let too_long = format!("key={long}&n=7");
        let found = find(FORM, Some("a"), too_long.as_bytes()).await;
        assert_eq!(found, some(["a", "", "7", "x y", "now"]));
        assert_eq!(find(FORM, None, b"").await[1..3], some(["", ""]));
        assert_eq!(find("text/plain", None, b"key=1").await[1], None);
    }
}
