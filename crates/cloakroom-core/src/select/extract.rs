//! Takes the scalars at a set of JSON Pointers out of a document in one pass, without building the document.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufReader, Read};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::guard::{Guard, Refusal, Watch};
use super::pointer::JsonPointer;

/// The longest text or number that is extracted, in bytes.
pub const TEXT_MAX_BYTES: usize = 64 * 1024;

/// A scalar of a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// A string, unescaped.
    Text(String),
    /// A number, digit for digit as it is written in the document.
    Number(String),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// Why nothing was extracted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// Not valid JSON. Says where, and never quotes the document.
    #[error(
        "not valid JSON at line {line}, column {column}: check the body, or select from a header"
    )]
    Invalid {
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 at a line's very beginning.
        column: usize,
    },
    /// A selected text or number, or in a stream any name or any text where a pointer leads further, is beyond [`TEXT_MAX_BYTES`].
    #[error("a selected value is longer than {TEXT_MAX_BYTES} bytes: point at a shorter one")]
    TooLong,
    /// Nested beyond what is read with flat memory.
    #[error("the JSON document is nested too deeply")]
    TooDeep,
    /// The reader failed.
    #[error("the body could not be read")]
    Read(#[source] io::Error),
}

/// A compiled set of pointers. The answers come in the order in which the pointers were given.
///
/// An object or array at a pointer is no scalar: `None`, as where there is nothing. Of members with the same name in one object the first counts,
/// and the others are not looked into (so that a stream need not be read to its end to be sure).
#[derive(Debug, Clone)]
pub struct Pointers {
    /// A trie; the root is the first, children come after their parent.
    nodes: Vec<Node>,
    count: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Which pointers end here.
    ends: Vec<usize>,
    /// How many end here or further down.
    below: usize,
    members: BTreeMap<String, usize>,
    /// Those of `members` whose name is an index.
    elements: BTreeMap<usize, usize>,
}

impl Pointers {
    /// Compiles the set. A pointer may occur several times.
    pub fn new(pointers: impl IntoIterator<Item = JsonPointer>) -> Self {
        let mut nodes = vec![Node::default()];
        let mut count = 0;
        for pointer in pointers {
            let mut at = 0;
            nodes[at].below += 1;
            for step in pointer.steps() {
                at = child(&mut nodes, at, step);
                nodes[at].below += 1;
            }
            nodes[at].ends.push(count);
            count += 1;
        }
        Self { nodes, count }
    }

    /// How many pointers there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Reads a whole document, which must be valid JSON to its end. Where a pointer leads further, a number beyond the range of a
    /// double counts as invalid too.
    ///
    /// # Errors
    /// [`ExtractError::Invalid`] and [`ExtractError::TooLong`].
    pub fn extract_slice(&self, json: &[u8]) -> Result<Vec<Option<Scalar>>, ExtractError> {
        let mut extraction = Extraction::new(self, None);
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let outcome = extraction
            .at(0, true)
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        extraction.finish(outcome)
    }

    /// Reads a document only as far as it takes to answer for every pointer, in memory that does not grow with the document (some
    /// hundred KiB at most). What follows after that is neither read nor checked; the reader may be left a few KiB further on. On the way,
    /// a number beyond the range of a double counts as invalid.
    ///
    /// # Errors
    /// All of [`ExtractError`].
    pub fn extract_prefix(&self, reader: impl Read) -> Result<Vec<Option<Scalar>>, ExtractError> {
        let watch = Watch::default();
        let mut extraction = Extraction::new(self, Some(&watch));
        if self.is_empty() {
            return extraction.finish(Ok(()));
        }
        let mut deserializer =
            serde_json::Deserializer::from_reader(Guard::new(BufReader::new(reader), &watch));
        let outcome = extraction.at(0, false).deserialize(&mut deserializer);
        extraction.finish(outcome)
    }
}

/// The child of a node by this step, made if need be.
fn child(nodes: &mut Vec<Node>, parent: usize, step: &str) -> usize {
    if let Some(known) = nodes[parent].members.get(step) {
        return *known;
    }
    let new = nodes.len();
    nodes.push(Node::default());
    nodes[parent].members.insert(step.to_owned(), new);
    // RFC 6901: digits without a leading zero.
    let digits =
        step.bytes().all(|byte| byte.is_ascii_digit()) && (step == "0" || !step.starts_with('0'));
    if let Some(index) = step.parse().ok().filter(|_| digits) {
        nodes[parent].elements.insert(index, new);
    }
    new
}

/// One pass over one document.
struct Extraction<'p> {
    nodes: &'p [Node],
    values: Vec<Option<Scalar>>,
    /// Which nodes were met. A node is one place of the document, so it is met once, duplicate members aside.
    met: Vec<bool>,
    /// How many pointers are unanswered.
    open: usize,
    /// In a stream: its guard. Then the pass ends with the last answer.
    watch: Option<&'p Watch>,
    too_long: bool,
}

impl<'p> Extraction<'p> {
    fn new(pointers: &'p Pointers, watch: Option<&'p Watch>) -> Self {
        Self {
            nodes: &pointers.nodes,
            values: vec![None; pointers.count],
            met: vec![false; pointers.nodes.len()],
            open: pointers.count,
            watch,
            too_long: false,
        }
    }

    fn at(&mut self, node: usize, raw: bool) -> Place<'_, 'p> {
        Place {
            extraction: self,
            node,
            raw,
        }
    }

    fn finish(
        self,
        outcome: Result<(), serde_json::Error>,
    ) -> Result<Vec<Option<Scalar>>, ExtractError> {
        match outcome {
            _ if self.too_long => Err(ExtractError::TooLong),
            Err(error) if !self.is_done() => Err(explain(error)),
            _ => Ok(self.values),
        }
    }

    /// Whether a stream need not be read any further.
    fn is_done(&self) -> bool {
        self.watch.is_some() && self.open == 0
    }

    /// Ends the pass by an error when it is done, and the stream with it, since the parser would look for closing brackets all the
    /// same. The error is never seen: [`Self::finish`] knows.
    fn go_on<E: serde::de::Error>(&self) -> Result<(), E> {
        match self.watch {
            Some(watch) if self.is_done() => {
                watch.done.set(true);
                Err(E::custom("every pointer is answered"))
            }
            _ => Ok(()),
        }
    }

    /// Answers the pointers that end at a node.
    fn answer(&mut self, node: usize, scalar: Option<&Scalar>) {
        let ends = &self.nodes[node].ends;
        for end in ends {
            self.values[*end] = scalar.cloned();
        }
        self.open -= ends.len();
    }

    /// A scalar stands at this node, so nothing is further down.
    fn scalar<E: serde::de::Error>(
        &mut self,
        node: usize,
        scalar: impl FnOnce() -> Scalar,
    ) -> Result<(), E> {
        let Node { ends, below, .. } = &self.nodes[node];
        if !ends.is_empty() {
            let scalar = scalar();
            if let Scalar::Text(text) | Scalar::Number(text) = &scalar
                && text.len() > TEXT_MAX_BYTES
            {
                self.too_long = true;
                return Err(E::custom("too long"));
            }
            self.answer(node, Some(&scalar));
        }
        self.open -= below - ends.len();
        self.go_on()
    }

    fn number<E: serde::de::Error>(
        &mut self,
        node: usize,
        number: impl fmt::Display,
    ) -> Result<(), E> {
        let watch = self.watch;
        self.scalar(node, || {
            Scalar::Number(watch.map_or_else(|| number.to_string(), Watch::last_number))
        })
    }

    /// Nothing stands at this node.
    fn missing(&mut self, node: usize) {
        if !std::mem::replace(&mut self.met[node], true) {
            self.open -= self.nodes[node].below;
        }
    }

    fn skipping(&self, skipping: bool) {
        if let Some(watch) = self.watch {
            watch.skipping.set(skipping);
        }
    }
}

fn explain(error: serde_json::Error) -> ExtractError {
    if !error.is_io() {
        return ExtractError::Invalid {
            line: error.line(),
            column: error.column(),
        };
    }
    let error = io::Error::from(error);
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Refusal::TooLong) => ExtractError::TooLong,
        Some(Refusal::TooDeep) => ExtractError::TooDeep,
        None => ExtractError::Read(error),
    }
}

/// The value at one node of the trie.
struct Place<'e, 'p> {
    extraction: &'e mut Extraction<'p>,
    node: usize,
    /// The document is in memory: a value may be looked at as the text it is, which keeps a number's digits.
    raw: bool,
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.extraction.met[self.node] = true;
        if !self.raw || self.extraction.nodes[self.node].ends.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return self
                .extraction
                .scalar(self.node, || Scalar::Number(raw.to_owned()));
        }
        let mut deserializer = serde_json::Deserializer::from_str(raw);
        // Without its own message, which counts lines from the value's beginning.
        deserializer
            .deserialize_any(self)
            .map_err(|_| D::Error::custom("not readable"))
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.extraction.scalar(self.node, || Scalar::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.extraction.scalar(self.node, || Scalar::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.extraction.number(self.node, value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.extraction.number(self.node, value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.extraction.number(self.node, value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.extraction
            .scalar(self.node, || Scalar::Text(value.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self {
            extraction,
            node: at,
            raw,
        } = self;
        let node = &extraction.nodes[at];
        extraction.answer(at, None);
        extraction.go_on()?;
        while let Some(next) = members.next_key_seed(Name(&node.members))? {
            match next.filter(|child| !extraction.met[*child]) {
                Some(child) => members.next_value_seed(extraction.at(child, raw))?,
                None => {
                    extraction.skipping(true);
                    members.next_value::<IgnoredAny>()?;
                    extraction.skipping(false);
                }
            }
        }
        node.members
            .values()
            .for_each(|child| extraction.missing(*child));
        extraction.go_on()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self {
            extraction,
            node: at,
            raw,
        } = self;
        let node = &extraction.nodes[at];
        extraction.answer(at, None);
        node.members
            .values()
            .filter(|child| !node.elements.values().any(|element| element == *child))
            .for_each(|child| extraction.missing(*child));
        extraction.go_on()?;
        for index in 0.. {
            let more = match node.elements.get(&index) {
                Some(child) => elements
                    .next_element_seed(extraction.at(*child, raw))?
                    .is_some(),
                None => {
                    extraction.skipping(true);
                    let more = elements.next_element::<IgnoredAny>()?.is_some();
                    extraction.skipping(false);
                    more
                }
            };
            if !more {
                break;
            }
        }
        node.elements
            .values()
            .for_each(|child| extraction.missing(*child));
        extraction.go_on()
    }
}

/// The name of a member, as the child it leads to.
struct Name<'t>(&'t BTreeMap<String, usize>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.get(name).copied())
    }
}
