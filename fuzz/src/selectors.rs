//! Selectors, JSON Pointers and the one-pass extraction, against an extraction that reads the document pointer by pointer.
//!
//! Input: one selector a line up to an empty line, then the document.

use std::fmt;

use cloakroom_core::select::{ExtractError, JsonPointer, Pointers, Scalar, Selector};
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::line;

/// The target.
pub fn run(data: &[u8]) {
    let (pointers, document) = read(data);
    let compiled = Pointers::new(pointers.iter().cloned());
    assert_eq!(compiled.len(), pointers.len());
    let whole = compiled.extract_slice(document);
    let streamed = compiled.extract_prefix(Drips(document));
    if let Ok(values) = &whole {
        assert_eq!(values.len(), pointers.len());
        match &streamed {
            Ok(streamed) => assert_eq!(streamed, values),
            // Numbers beyond a double, and nesting.
            Err(ExtractError::Invalid { .. } | ExtractError::TooDeep) => {}
            Err(error) => panic!("in a stream: {error}"),
        }
    }
    let Ok(text) = std::str::from_utf8(document) else {
        return;
    };
    let Ok(root) = serde_json::from_str::<&RawValue>(text) else {
        assert!(whole.is_err(), "no JSON, but {whole:?}");
        return;
    };
    // The root is looked into even when nothing is looked for.
    let readable = match root.get().as_bytes()[0] {
        b'{' => members(root).is_some(),
        b'-' | b'0'..=b'9' => root.get().parse().is_ok_and(f64::is_finite),
        b'"' => scalar(root).is_some(),
        _ => true,
    };
    if !readable {
        assert!(whole.is_err(), "{whole:?}");
        return;
    }
    let expected: Option<Vec<_>> = pointers
        .iter()
        .map(|pointer| find(root, pointer, &pointers))
        .collect();
    match (whole, expected) {
        (Ok(values), Some(expected)) => assert_eq!(values, expected),
        (Err(_), None) => {}
        (whole, expected) => panic!("{whole:?} in place of {expected:?}"),
    }
}

fn read(mut rest: &[u8]) -> (Vec<JsonPointer>, &[u8]) {
    let mut pointers = Vec::new();
    while !rest.is_empty() {
        let (first, after) = line(rest);
        rest = after;
        if first.is_empty() {
            break;
        }
        let Ok(text) = std::str::from_utf8(first) else {
            continue;
        };
        if let Ok(selector) = text.parse::<Selector>() {
            assert_eq!(
                selector.to_string().parse::<Selector>().ok().as_ref(),
                Some(&selector)
            );
            pointers.extend(selector.pointer().cloned());
        }
    }
    (pointers, rest)
}

/// A reader that gives little at a time.
struct Drips<'a>(&'a [u8]);

impl std::io::Read for Drips<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let now = buffer.len().min(3).min(self.0.len());
        buffer[..now].copy_from_slice(&self.0[..now]);
        self.0 = &self.0[now..];
        Ok(now)
    }
}

/// What stands at the pointer, which is one of `all`; `None` when something on the way cannot be read.
fn find(root: &RawValue, pointer: &JsonPointer, all: &[JsonPointer]) -> Option<Option<Scalar>> {
    let mut at = root;
    for (depth, step) in pointer.steps().enumerate() {
        let next = match at.get().as_bytes()[0] {
            b'{' => members(at)?
                .into_iter()
                .find(|(name, _)| name == step)
                .map(|(_, value)| value),
            b'[' => {
                let elements: Vec<&RawValue> = serde_json::from_str(at.get()).ok()?;
                let canonical = step == "0" || !step.starts_with('0');
                let digits = step.bytes().all(|byte| byte.is_ascii_digit()) && canonical;
                digits
                    .then(|| elements.get(step.parse::<usize>().ok()?).copied())
                    .flatten()
            }
            b'-' | b'0'..=b'9' => {
                // Where a pointer leads further, the parser wants numbers that a double holds, unless another one ends here:
                // then it takes the digits as they are.
                let number: f64 = at.get().parse().ok()?;
                let is_taken = all
                    .iter()
                    .any(|other| other.steps().eq(pointer.steps().take(depth)));
                return (is_taken || number.is_finite()).then_some(None);
            }
            _ => return scalar(at).map(|_| None),
        };
        match next {
            Some(next) => at = next,
            None => return Some(None),
        }
    }
    scalar(at)
}

fn scalar(at: &RawValue) -> Option<Option<Scalar>> {
    let text = at.get();
    Some(Some(match text.as_bytes()[0] {
        b'{' => return members(at).map(|_| None),
        b'[' => return Some(None),
        b'"' => Scalar::Text(serde_json::from_str(text).ok()?),
        b't' | b'f' => Scalar::Bool(text == "true"),
        b'n' => Scalar::Null,
        _ => Scalar::Number(text.to_owned()),
    }))
}

/// The members of an object, doubled names included.
fn members(object: &RawValue) -> Option<Vec<(String, &RawValue)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(entry) = map.next_entry()? {
                members.push(entry);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(object.get())
        .deserialize_map(Members)
        .ok()
}
