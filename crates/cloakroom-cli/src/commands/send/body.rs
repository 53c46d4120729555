//! The bodies of test webhooks.

use bytes::Bytes;
use serde_json::{Value, json};

/// What every body is made from.
#[derive(Debug)]
pub(super) struct Template {
    base: Base,
    sequence_at: Option<Vec<String>>,
    key_at: Option<Vec<String>>,
    keys: u32,
    size: Option<usize>,
}

#[derive(Debug)]
enum Base {
    /// Sent as it is.
    Fixed(Bytes),
    /// Changed for every event.
    Json(Value),
    /// Made up here, different for every event.
    Sample,
}

/// The member that fills a body up.
const PADDING: &str = "padding";

impl Template {
    /// From what the user gave, or a sample body.
    ///
    /// # Errors
    /// When a body that must be changed is not a JSON object, or a pointer is none. Behind `; ` stands what to do.
    pub(super) fn new(
        given: Option<Vec<u8>>,
        sequence_at: Option<&str>,
        key_at: Option<&str>,
        keys: u32,
        size: Option<u64>,
    ) -> Result<Self, String> {
        let changes = sequence_at.is_some() || key_at.is_some() || size.is_some();
        let base =
            match given {
                None => Base::Sample,
                Some(bytes) if !changes => Base::Fixed(bytes.into()),
                Some(bytes) => match serde_json::from_slice(&bytes) {
                    Ok(value @ Value::Object(_)) => Base::Json(value),
                    _ => return Err(
                        "the body is no JSON object; leave out --sequence-at, --key-at and --size"
                            .to_owned(),
                    ),
                },
            };
        let size = size.map(|size| {
            usize::try_from(size).map_err(|_| "the size is too large; write less".to_owned())
        });
        Ok(Self {
            base,
            sequence_at: sequence_at.map(pointer).transpose()?,
            key_at: key_at.map(pointer).transpose()?,
            keys,
            size: size.transpose()?,
        })
    }

    /// Whether all bodies are equal.
    pub(super) fn is_constant(&self) -> bool {
        match self.base {
            Base::Fixed(_) => true,
            Base::Json(_) => {
                self.sequence_at.is_none() && (self.key_at.is_none() || self.keys == 1)
            }
            Base::Sample => false,
        }
    }

    /// The body of the event of this number, from 0: keys take turns, and each is numbered from 1.
    pub(super) fn body(&self, number: u32, seed: u64) -> Bytes {
        let mut value = match &self.base {
            Base::Fixed(bytes) => return bytes.clone(),
            Base::Json(value) => value.clone(),
            Base::Sample => {
                json!({ "type": "test.event", "id": format!("{seed:016x}-{number}"), "number": number })
            }
        };
        if let Some(place) = &self.key_at {
            let key = format!("key-{:04}", number % self.keys + 1);
            put(&mut value, place, key.into());
        }
        if let Some(place) = &self.sequence_at {
            put(&mut value, place, (number / self.keys + 1).into());
        }
        let mut bytes = value.to_string().into_bytes();
        if let Some(size) = self.size {
            fill(&mut bytes, size);
        }
        bytes.into()
    }
}

/// Adds a member of the length that is missing. Bodies that are too long already stay as they are.
fn fill(body: &mut Vec<u8>, size: usize) {
    let is_empty = body.as_slice() == b"{}";
    let opening = format!("{}\"{PADDING}\":\"", if is_empty { "" } else { "," });
    let needed = body.len() + opening.len() + 1;
    if size < needed {
        return;
    }
    body.reserve(size - body.len());
    body.pop();
    body.extend_from_slice(opening.as_bytes());
    body.resize(body.len() + size - needed, b'x');
    body.extend_from_slice(b"\"}");
}

/// The steps of a JSON Pointer.
fn pointer(text: &str) -> Result<Vec<String>, String> {
    let steps = text
        .strip_prefix('/')
        .ok_or_else(|| format!("`{text}` is no JSON Pointer; write it as `/data/id`"))?;
    Ok(steps
        .split('/')
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect())
}

/// Writes a value where a pointer leads, making the objects on the way. What is no object there is replaced.
fn put(root: &mut Value, place: &[String], value: Value) {
    let mut here = root;
    for step in place {
        let index = step.parse::<usize>().ok();
        let index = index.filter(|index| here.as_array().is_some_and(|items| *index < items.len()));
        here = match index {
            Some(index) => &mut here[index],
            None => {
                if !here.is_object() {
                    *here = json!({});
                }
                &mut here[step.as_str()]
            }
        };
    }
    *here = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(body: &str, size: Option<u64>) -> Template {
        Template::new(
            Some(body.into()),
            Some("/data/n"),
            Some("/data/id"),
            2,
            size,
        )
        .unwrap()
    }

    #[test]
    fn keys_take_turns_and_each_is_numbered_from_one() {
        let template = template(r#"{"type":"t"}"#, None);
        let bodies: Vec<Bytes> = (0..4).map(|number| template.body(number, 1)).collect();
        assert_eq!(bodies[0], r#"{"type":"t","data":{"id":"key-0001","n":1}}"#);
        assert_eq!(bodies[1], r#"{"type":"t","data":{"id":"key-0002","n":1}}"#);
        assert_eq!(bodies[3], r#"{"type":"t","data":{"id":"key-0002","n":2}}"#);
    }

    #[test]
    fn bodies_are_filled_up_to_the_byte() {
        for size in [64, 1_000, 1_000_000] {
            let body = template("{}", Some(size)).body(0, 1);
            assert_eq!(body.len() as u64, size);
            assert!(serde_json::from_slice::<Value>(&body).is_ok());
        }
        let mut empty = b"{}".to_vec();
        fill(&mut empty, 20);
        assert_eq!(empty, br#"{"padding":"xxxxxx"}"#);
    }

    #[test]
    fn a_body_that_needs_no_change_stays_what_it_is() {
        let odd = b" {\"a\" : 1.0}\n".to_vec();
        let template = Template::new(Some(odd.clone()), None, None, 1, None).unwrap();
        assert!(template.is_constant());
        assert_eq!(template.body(3, 1), odd);
    }

    #[test]
    fn what_cannot_be_changed_says_so() {
        let text = Template::new(Some(b"hello".to_vec()), Some("/n"), None, 1, None).unwrap_err();
        assert!(text.contains("no JSON object"));
        assert!(
            Template::new(None, Some("n"), None, 1, None)
                .unwrap_err()
                .contains("`/data/id`")
        );
    }

    #[test]
    fn a_pointer_may_lead_into_lists_and_odd_names() {
        let mut value = json!({"items": [1, 2]});
        put(&mut value, &pointer("/items/1").unwrap(), 9.into());
        put(&mut value, &pointer("/a~1b").unwrap(), 1.into());
        assert_eq!(value, json!({"items": [1, 9], "a/b": 1}));
    }
}
