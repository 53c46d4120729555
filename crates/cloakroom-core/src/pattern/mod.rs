//! Event patterns: the filter language of EventBridge.
//!
//! The language is the one of AWS's pages *Comparison operators for use in event patterns in Amazon EventBridge*, *Arrays in
//! Amazon EventBridge event patterns* and *Null values and empty strings in Amazon EventBridge event patterns*. Where those pages
//! are silent, the behaviour is that of AWS's open-source matcher, Event Ruler:
//!
//! - **Fields are joined by *and*, the values of one field by *or*.** `$or` joins whole objects by *or*; it nests.
//! - **Only leaves are compared**: strings, numbers, `true`, `false`, `null`. A member whose value is an object, an empty array or
//!   an array of objects alone has no leaf of its own, so `{"exists": false}` holds for it.
//! - **An array stands for its elements**, nested arrays included: a field matches when any element does. So `anything-but`
//!   holds as soon as *one* element differs.
//! - **Fields below an array of objects match within one element.** `{"items": {"sku": ["a"], "state": ["lost"]}}` wants one item
//!   that is both, wherever in the pattern the two fields are written, an enclosing `$or` included. `exists: false` looks into
//!   the element that the other fields chose, and into every element when no other field chose one.
//! - **Numbers are compared as numbers**: `300`, `300.0` and `3.0e2` are equal, and large integers are compared exactly.
//!   `numeric` takes bounds from -5.0e9 to 5.0e9 and never holds for an event's number outside of them.
//! - **`anything-but` needs a value** to be different: it never holds for a field that is missing.
//!
//! Three differences are deliberate. A member name with a dot is a name, not a path (Event Ruler cannot tell them apart and says not
//! to rely on it). Numbers are compared to their last digit, not to six decimals. A value that is an IP address is compared as text
//! unless `cidr` asks otherwise.

mod join;
mod node;
mod parse;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod shapes;
mod test;
#[cfg(test)]
mod tests;
mod wildcard;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use node::{Fit, Node};

/// The most text (names and values together, in bytes, with 8 for each) in one pattern. EventBridge itself takes 2,048 characters.
pub const PATTERN_MAX_BYTES: usize = 64 * 1024;

/// The deepest nesting of objects and `$or` in one pattern.
pub const PATTERN_MAX_DEPTH: usize = 64;

/// Which of AWS's two dialects a pattern is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Rules of an event bus: everything. Also the dialect of `filter:` in the configuration.
    EventBridge,
    /// Filters of a pipe: all but `wildcard`, and `anything-but` only with values.
    Pipes,
}

/// A compiled event pattern. Cheap to clone and to share; equal to another when their JSON is equal.
#[derive(Clone)]
pub struct Pattern(Arc<Compiled>);

struct Compiled {
    source: Value,
    root: Node,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Anything EventBridge would refuse as well, with the place and what to write instead; and patterns beyond [`PATTERN_MAX_BYTES`] or
    /// [`PATTERN_MAX_DEPTH`].
    pub fn parse(pattern: &Value, dialect: Dialect) -> Result<Self, PatternError> {
        let root = parse::parse(pattern, dialect)?;
        Ok(Self(Arc::new(Compiled {
            source: pattern.clone(),
            root,
        })))
    }

    /// Whether the event matches. What is not an object never does. Takes at most (size of the pattern) × (size of the event) steps.
    pub fn matches(&self, event: &Value) -> bool {
        event.is_object() && self.0.root.fit(Some(event)) != Fit::No
    }

    /// Whether the answer may depend on this member of the event, so that a caller builds only what the pattern looks at.
    pub fn reads(&self, top_level_field: &str) -> bool {
        self.0.root.mentions(top_level_field)
    }

    /// The JSON it was compiled from.
    pub fn source(&self) -> &Value {
        &self.0.source
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.0.source)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.source.serialize(serializer)
    }
}

/// Reads the [`Dialect::EventBridge`] dialect.
impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Value::deserialize(deserializer)?;
        Self::parse(&source, Dialect::EventBridge).map_err(D::Error::custom)
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "EventPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An EventBridge event pattern: member names lead to lists of values or operators, e.g. {\"type\": [{\"prefix\": \"order.\"}]}.",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": { "type": ["object", "array"] },
        })
    }
}

/// Why a pattern was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", if path.is_empty() { "the pattern" } else { path })]
pub struct PatternError {
    /// The place in the pattern, e.g. `data.state[0].prefix`; empty for the pattern itself.
    pub path: String,
    /// What is wrong there, and the remedy.
    pub problem: PatternProblem,
}

/// What is wrong at one place of a pattern. The texts say what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternProblem {
    /// The pattern, or a branch of `$or`, is something else than an object.
    #[error(r#"must be an object of member names, e.g. {{"type": ["order.paid"]}}"#)]
    NotAnObject,
    /// `{}`.
    #[error(
        "an empty object matches nothing: name a member, or leave the filter out to match everything"
    )]
    EmptyObject,
    /// `[]`.
    #[error(r#"an empty list matches nothing: give at least one value, or {{"exists": true}} for any value"#)]
    EmptyList,
    /// A bare value where a list is needed.
    #[error("must be a list of values or an object of members: write [{0}]")]
    NotAList(String),
    /// An operator where a member name is expected.
    #[error(r#"`{0}` compares a value and belongs in a list: write [{{"{0}": …}}] as the member's value"#)]
    OperatorOutsideList(String),
    /// A list within a list.
    #[error("a list within a list never matches: write its values side by side")]
    NestedList,
    /// An operator nobody knows.
    #[error("`{name}` is no operator: {hint}")]
    UnknownOperator {
        /// What was written.
        name: String,
        /// The nearest operator, or all of them.
        hint: String,
    },
    /// None or several operators in one object.
    #[error(
        "needs exactly one operator: write each in an object of its own, side by side in the list"
    )]
    OneOperator,
    /// The operand has the wrong type.
    #[error("must be {0}")]
    Operand(&'static str),
    /// Strings and numbers in one `anything-but`.
    #[error(
        "must be all strings or all numbers: write one `anything-but` with one kind, and test the other kind in a pattern of its own"
    )]
    MixedList,
    /// A number beyond EventBridge's range.
    #[error(
        "must lie between -5.0e9 and 5.0e9: `numeric` compares nothing beyond; match larger numbers by value, without an operator"
    )]
    NumberRange,
    /// The list of `numeric` is not of the right form.
    #[error(r#"must be one comparison, e.g. [">=", 10], or a range with the lower bound first, e.g. [">", 0, "<=", 5]"#)]
    NumericForm,
    /// A range nothing lies in.
    #[error("the lower bound must be less than the upper bound")]
    EmptyRange,
    /// Not a block of addresses.
    #[error("must be an address block, e.g. 10.0.0.0/24 (up to /32) or 2001:db8::/32 (up to /128)")]
    Cidr,
    /// `**`.
    #[error(r"two `*` in a row mean the same as one: write one, or `\*` (in JSON `\\*`) for an asterisk")]
    ConsecutiveWildcards,
    /// A backslash before anything else.
    #[error(r"a backslash may only precede `*` or another backslash: write `\\` (in JSON `\\\\`) for a backslash")]
    WildcardEscape,
    /// `$or` without alternatives.
    #[error(
        r#"must be a list of at least two objects, e.g. [{{"type": ["a"]}}, {{"subject": ["b"]}}]"#
    )]
    OrForm,
    /// A member named like an operator within `$or`.
    #[error(
        "`{0}` is reserved and cannot be a member's name inside `$or`: move that member out of the `$or`"
    )]
    ReservedInOr(String),
    /// Not in the dialect of pipes.
    #[error("a pipe does not support {what}: {instead}")]
    NotInPipes {
        /// The operator.
        what: &'static str,
        /// What works there.
        instead: &'static str,
    },
    /// Nested beyond [`PATTERN_MAX_DEPTH`].
    #[error("is nested too deeply: at most {PATTERN_MAX_DEPTH} levels")]
    TooDeep,
    /// Larger than [`PATTERN_MAX_BYTES`].
    #[error("is too large: at most {PATTERN_MAX_BYTES} bytes of names and values")]
    TooLarge,
    /// Too many combinations of `$or` branches over the same member.
    #[error(
        "`$or` makes too many combinations over one member: write the `$or` inside that member"
    )]
    TooManyCombinations,
}
