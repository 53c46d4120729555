//! Selectors: where in a webhook its identity, key, position, type or time is found.

mod extract;
mod guard;
mod pointer;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use extract::{ExtractError, Pointers, Scalar, TEXT_MAX_BYTES};
pub use pointer::{JsonPointer, POINTER_MAX_STEPS, PointerError};

use crate::text::{TextSchema, echo, is_header_name, nearest, text_value};

/// Where a value is taken from, written `body:/data/id`, `header:X-Event-Id`, `query:id` or `const:all`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
            "header" if is_header_name(rest) => Ok(Self::Header(rest.to_owned())),
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

fn hint(kind: &str, rest: &str) -> String {
    if kind.starts_with(['/', '$']) {
        return format!("did you mean `body:{}`?", pointer::likely(kind));
    }
    match nearest(kind.trim(), &["body", "header", "query", "const"]) {
        Some(known) if !rest.is_empty() => format!("did you mean `{known}:{rest}`?"),
        _ => "write `body:/json/pointer`, `header:name`, `query:name` or `const:text`".to_owned(),
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

text_value!(
    Selector,
    TextSchema {
        format: "cloakroom-selector",
        pattern: r"^(body:(/([^~/]|~[01])*)+|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+|(query|const):[\s\S]+)$",
        examples: &[
            "body:/data/id",
            "header:webhook-id",
            "query:topic",
            "const:all"
        ],
    }
);

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// Not one of the four kinds.
    #[error("{} does not say where the value is found; {hint}", echo(text))]
    Kind {
        /// What was written.
        text: String,
        /// What to write.
        hint: String,
    },
    /// `body:` alone.
    #[error("`body:` names no member; write a JSON Pointer, e.g. `body:/data/id`")]
    WholeBody,
    /// `query:` or `const:` alone.
    #[error("nothing follows `{0}:`; write e.g. `query:id` or `const:all`")]
    Empty(String),
    /// Not the name of a header.
    #[error(
        "{} is not the name of a header; write letters, digits and dashes, e.g. `header:X-Event-Id`",
        echo(.0)
    )]
    HeaderName(String),
    /// Not a JSON Pointer.
    #[error(transparent)]
    Pointer(#[from] PointerError),
}
