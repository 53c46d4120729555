//! JSON Pointers (RFC 6901).

use std::fmt;
use std::str::FromStr;

/// The most steps in one pointer. Below the depth at which the JSON parser stops, so that it never stops on the way to a value.
pub const POINTER_MAX_STEPS: usize = 100;

/// A JSON Pointer (RFC 6901): empty for the whole document, else `/` and a member name or element index per step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JsonPointer {
    text: String,
    steps: Vec<String>,
}

impl JsonPointer {
    /// The pointer as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The steps, with `~0` and `~1` undone.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(String::as_str)
    }
}

impl FromStr for JsonPointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        let mut steps = text.split('/');
        if steps.next().is_some_and(|before| !before.is_empty()) {
            return Err(PointerError::NoSlash(text.to_owned()));
        }
        let steps = steps
            .map(unescape)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| PointerError::Escape(text.to_owned()))?;
        if steps.len() > POINTER_MAX_STEPS {
            return Err(PointerError::TooDeep);
        }
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }
}

/// The name or index of one step. `None` for a `~` before anything but `0` or `1`.
fn unescape(step: &str) -> Option<String> {
    let mut pieces = step.split('~');
    let mut name = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        name.push(match piece.as_bytes().first()? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        });
        name.push_str(&piece[1..]);
    }
    Some(name)
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no JSON Pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointerError {
    /// Does not begin with a slash.
    #[error(
        "`{0}` is no JSON Pointer: begin with a slash and put one before each step, e.g. /data/id"
    )]
    NoSlash(String),
    /// A `~` on its own.
    #[error("`{0}` is no JSON Pointer: write `~0` for `~` and `~1` for `/` within a name")]
    Escape(String),
    /// More than [`POINTER_MAX_STEPS`].
    #[error("the JSON Pointer has too many steps: at most {POINTER_MAX_STEPS}")]
    TooDeep,
}
