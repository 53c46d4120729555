//! Selectors: where in a webhook its identity, key, position, type or time is found.

mod extract;
mod guard;
mod pointer;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use extract::{ExtractError, Pointers, Scalar, TEXT_MAX_BYTES};
pub use pointer::{JsonPointer, POINTER_MAX_STEPS, PointerError};

/// Where a value is taken from, written `body:/data/id`, `header:X-Event-Id`, `query:id` or `const:all`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selector {
    /// A scalar in the JSON body.
    Body(JsonPointer),
    /// A header, by name. Kept as written; header names are compared without regard to case.
    Header(String),
    /// A parameter of the query string, by its decoded name.
    Query(String),
    /// This text, for every webhook.
    Const(String),
}

impl Selector {
    /// The pointer, when the body has to be read.
    pub fn pointer(&self) -> Option<&JsonPointer> {
        match self {
            Self::Body(pointer) => Some(pointer),
            Self::Header(_) | Self::Query(_) | Self::Const(_) => None,
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let (kind, rest) = text.split_once(':').ok_or_else(|| SelectorError::Kind {
            text: text.to_owned(),
            hint: hint(text, ""),
        })?;
        match kind {
            "body" if rest.is_empty() => Err(SelectorError::WholeBody),
            "body" => Ok(Self::Body(rest.parse()?)),
            "header" if !rest.is_empty() && rest.bytes().all(is_token) => {
                Ok(Self::Header(rest.to_owned()))
            }
            "header" => Err(SelectorError::HeaderName(rest.to_owned())),
            "query" if !rest.is_empty() => Ok(Self::Query(rest.to_owned())),
            "const" if !rest.is_empty() => Ok(Self::Const(rest.to_owned())),
            "query" | "const" => Err(SelectorError::Empty(kind.to_owned())),
            _ => Err(SelectorError::Kind {
                text: text.to_owned(),
                hint: hint(kind, rest),
            }),
        }
    }
}

/// A character of a header's name (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn hint(kind: &str, rest: &str) -> String {
    if kind.starts_with('/') {
        return format!("a JSON Pointer is written `body:{kind}`");
    }
    let plain = kind.trim().to_lowercase();
    match ["body", "header", "query", "const"]
        .into_iter()
        .find(|known| strsim::damerau_levenshtein(&plain, known) <= 2)
    {
        Some(known) if !rest.is_empty() => format!("did you mean `{known}:{rest}`?"),
        _ => "write body:<JSON Pointer>, header:<name>, query:<name> or const:<text>".to_owned(),
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(pointer) => write!(f, "body:{pointer}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Const(text) => write!(f, "const:{text}"),
        }
    }
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;

    fn try_from(text: String) -> Result<Self, SelectorError> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

impl JsonSchema for Selector {
    fn schema_name() -> Cow<'static, str> {
        "Selector".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a value is found: body:<JSON Pointer>, header:<name>, query:<name>, or const:<text>.",
            "type": "string",
            "pattern": r"^(body:(/([^~/]|~[01])*)+|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+|(query|const):[\s\S]+)$",
            "examples": ["body:/data/id", "header:webhook-id", "query:id", "const:all"],
        })
    }
}

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// Not one of the four kinds.
    #[error("`{text}` is no selector: {hint}")]
    Kind {
        /// What was written.
        text: String,
        /// What to write.
        hint: String,
    },
    /// `body:` alone.
    #[error("`body:` names no member: write a JSON Pointer, e.g. body:/data/id")]
    WholeBody,
    /// `query:` or `const:` alone.
    #[error("`{0}:` needs something after the colon, e.g. query:id or const:all")]
    Empty(String),
    /// Not the name of a header.
    #[error("`{0}` is no header name: write letters, digits and dashes, e.g. header:X-Event-Id")]
    HeaderName(String),
    /// Not a JSON Pointer.
    #[error(transparent)]
    Pointer(#[from] PointerError),
}
